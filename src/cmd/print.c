/* SPDX-License-Identifier: MIT
 * print.c - see print.h. */
#include "print.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>

static const char *three_digits(char text[FIGURE_BYTES], double value, const char *unit)
{
    /* 99.95 would be printed as 100.0 with one decimal. */
    int decimals = value < 9.995 ? 2 : value < 99.95 ? 1 : 0;
    (void)snprintf(text, FIGURE_BYTES, "%.*f %s", decimals, value, unit);
    return text;
}

const char *format_duration(char text[FIGURE_BYTES], int64_t length_ns)
{
    double ns = (double)length_ns;
    if (length_ns < 1000)
        (void)snprintf(text, FIGURE_BYTES, "%" PRId64 " ns", length_ns);
    else if (ns < 999.5e3)
        return three_digits(text, ns / 1e3, "us");
    else if (ns < 999.5e6)
        return three_digits(text, ns / 1e6, "ms");
    else
        return three_digits(text, ns / 1e9, "s");
    return text;
}

const char *format_bytes(char text[FIGURE_BYTES], uint64_t bytes)
{
    static const char *const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    double value = (double)bytes;
    size_t unit = 0;
    if (bytes < 1024) {
        (void)snprintf(text, FIGURE_BYTES, "%u B", (unsigned)bytes);
        return text;
    }
    value /= 1024;
    while (value >= 1023.5) { /* would be printed as 1024 */
        value /= 1024;
        unit++;
    }
    return three_digits(text, value, units[unit]);
}

void print_json_ms(const char *name, int64_t length_ns)
{
    (void)printf("\"%s\": %" PRId64 ".%06" PRId64, name, length_ns / 1000000, length_ns % 1000000);
}

/* Length of the well-formed UTF-8 sequence at text, 0 if there is none (RFC 3629, 4). A NUL ends
 * every sequence, so nothing is read beyond the end. */
static size_t utf8_sequence(const unsigned char *text)
{
    unsigned char lead = text[0];
    size_t len = lead < 0x80 ? 1 : lead < 0xc2 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    if (lead > 0xf4)
        return 0;
    for (size_t i = 1; i < len; i++) {
        if ((text[i] & 0xc0) != 0x80)
            return 0;
    }
    if ((lead == 0xe0 && text[1] < 0xa0) || (lead == 0xed && text[1] > 0x9f) ||
        (lead == 0xf0 && text[1] < 0x90) || (lead == 0xf4 && text[1] > 0x8f))
        return 0;
    return len;
}

void print_json_string(const char *text)
{
    const unsigned char *at = (const unsigned char *)text;
    (void)putchar('"');
    while (*at) {
        size_t len = utf8_sequence(at);
        if (len == 0)
            (void)fputs("\\ufffd", stdout);
        else if (*at < 0x20 || *at == 0x7f)
            (void)printf("\\u%04x", *at);
        else if (*at == '"' || *at == '\\')
            (void)printf("\\%c", *at);
        else
            (void)fwrite(at, 1, len, stdout);
        at += len > 0 ? len : 1;
    }
    (void)putchar('"');
}
