/* SPDX-License-Identifier: MIT
 * base64.c - see base64.h. */
#include <base/base64.h>

#include <base/buffer.h>

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>

/* One more than the value; 0: no character of base64. */
// clang-format off
static const uint8_t values[256] = {
    ['A'] =  1, ['B'] =  2, ['C'] =  3, ['D'] =  4, ['E'] =  5, ['F'] =  6, ['G'] =  7, ['H'] =  8,
    ['I'] =  9, ['J'] = 10, ['K'] = 11, ['L'] = 12, ['M'] = 13, ['N'] = 14, ['O'] = 15, ['P'] = 16,
    ['Q'] = 17, ['R'] = 18, ['S'] = 19, ['T'] = 20, ['U'] = 21, ['V'] = 22, ['W'] = 23, ['X'] = 24,
    ['Y'] = 25, ['Z'] = 26, ['a'] = 27, ['b'] = 28, ['c'] = 29, ['d'] = 30, ['e'] = 31, ['f'] = 32,
    ['g'] = 33, ['h'] = 34, ['i'] = 35, ['j'] = 36, ['k'] = 37, ['l'] = 38, ['m'] = 39, ['n'] = 40,
    ['o'] = 41, ['p'] = 42, ['q'] = 43, ['r'] = 44, ['s'] = 45, ['t'] = 46, ['u'] = 47, ['v'] = 48,
    ['w'] = 49, ['x'] = 50, ['y'] = 51, ['z'] = 52, ['0'] = 53, ['1'] = 54, ['2'] = 55, ['3'] = 56,
    ['4'] = 57, ['5'] = 58, ['6'] = 59, ['7'] = 60, ['8'] = 61, ['9'] = 62, ['+'] = 63, ['/'] = 64,
};
// clang-format on

size_t weft_base64_bytes_max(size_t len)
{
    return len / 4 * 3;
}

/* Three bytes of four characters. */
static bool decode_group(uint8_t *out, const uint8_t *in)
{
    uint32_t a = values[in[0]], b = values[in[1]], c = values[in[2]], d = values[in[3]];
    if (!a || !b || !c || !d)
        return false;
    uint32_t bits = (a - 1) << 18 | (b - 1) << 12 | (c - 1) << 6 | (d - 1);
    out[0] = (uint8_t)(bits >> 16);
    out[1] = (uint8_t)(bits >> 8);
    out[2] = (uint8_t)bits;
    return true;
}

int weft_base64_decode(void *bytes, size_t *ret_len, const char *text, size_t len)
{
    const uint8_t *in = (const uint8_t *)text, *end = in + len;
    uint8_t *out = bytes;
    if (len % 4 != 0)
        return -EINVAL;
    size_t padding = len == 0 ? 0 : end[-1] != '=' ? 0 : end[-2] != '=' ? 1 : 2;
    for (; in < end - (padding ? 4 : 0); in += 4, out += 3)
        if (!decode_group(out, in))
            return -EINVAL;
    if (padding > 0) {
        const uint8_t last[4] = {in[0], in[1], padding == 1 ? in[2] : 'A', 'A'};
        uint8_t three[3];
        if (!decode_group(three, last) || three[2] != 0 || (padding == 2 && three[1] != 0))
            return -EINVAL; /* bits that mean nothing */
        for (size_t i = 0; i < 3 - padding; i++)
            *out++ = three[i];
    }
    *ret_len = (size_t)(out - (uint8_t *)bytes);
    return 0;
}

void weft_base64_append(struct weft_buffer *buffer, const void *bytes, size_t len)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const unsigned char *from = bytes;
    char *to = weft_buffer_reserve(buffer, (len + 2) / 3 * 4);
    if (!to)
        return;
    for (size_t i = 0; i < len; i += 3) {
        unsigned group = (unsigned)from[i] << 16;
        group |= i + 1 < len ? (unsigned)from[i + 1] << 8 : 0;
        group |= i + 2 < len ? (unsigned)from[i + 2] : 0;
        *to++ = digits[group >> 18];
        *to++ = digits[group >> 12 & 63];
        *to++ = (char)(i + 1 < len ? digits[group >> 6 & 63] : '=');
        *to++ = (char)(i + 2 < len ? digits[group & 63] : '=');
    }
    buffer->len += (len + 2) / 3 * 4;
}
