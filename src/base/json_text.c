/* SPDX-License-Identifier: MIT
 * json_text.c - the parts of buffer.h that write JSON. Reading JSON is jansson's work. */
#include <base/buffer.h>

#include <math.h>
#include <time.h>

/* RFC 3629, table in section 4. */
size_t weft_utf8_sequence(const unsigned char *text, size_t len)
{
    unsigned char lead = text[0];
    size_t need = lead < 0x80 ? 1 : lead < 0xc2 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    if (need == 0 || lead > 0xf4 || need > len)
        return 0;
    for (size_t i = 1; i < need; i++) {
        if ((text[i] & 0xc0) != 0x80)
            return 0;
    }
    if ((lead == 0xe0 && text[1] < 0xa0) || (lead == 0xed && text[1] > 0x9f) ||
        (lead == 0xf0 && text[1] < 0x90) || (lead == 0xf4 && text[1] > 0x8f))
        return 0;
    return need;
}

static void append_escape(struct weft_buffer *buffer, unsigned char c)
{
    switch (c) {
    case '"':
        weft_buffer_append(buffer, "\\\"", 2);
        break;
    case '\\':
        weft_buffer_append(buffer, "\\\\", 2);
        break;
    case '\n':
        weft_buffer_append(buffer, "\\n", 2);
        break;
    case '\r':
        weft_buffer_append(buffer, "\\r", 2);
        break;
    case '\t':
        weft_buffer_append(buffer, "\\t", 2);
        break;
    default:
        weft_buffer_append_format(buffer, "\\u%04x", c);
        break;
    }
}

void weft_buffer_append_json_string(struct weft_buffer *buffer, const char *text, size_t len)
{
    const unsigned char *bytes = (const unsigned char *)text;
    size_t plain = 0; /* bytes before at that need no change and are not copied yet */
    size_t at = 0;

    weft_buffer_append_char(buffer, '"');
    while (at < len) {
        unsigned char c = bytes[at];
        size_t sequence = 1;
        if (c >= 0x80)
            sequence = weft_utf8_sequence(bytes + at, len - at);
        if (sequence > 0 && c >= 0x20 && c != '"' && c != '\\') {
            at += sequence;
            continue;
        }
        weft_buffer_append(buffer, text + plain, at - plain);
        if (sequence == 0)
            weft_buffer_append(buffer, "\xef\xbf\xbd", 3);
        else
            append_escape(buffer, c);
        plain = ++at;
    }
    weft_buffer_append(buffer, text + plain, at - plain);
    weft_buffer_append_char(buffer, '"');
}

/* Write a number with a fixed count of digits. Returns where the next character goes. */
static char *put_digits(char *at, unsigned value, unsigned count)
{
    for (unsigned i = count; i > 0; i--) {
        at[i - 1] = (char)('0' + value % 10);
        value /= 10;
    }
    return at + count;
}

/* Not printf: its decimal point follows the locale, JSON's does not. */
void weft_buffer_append_json_double(struct weft_buffer *buffer, double value)
{
    const double exact_max = 9e12; /* times a million still fits 64 bits */
    if (!isfinite(value)) {
        weft_buffer_append_string(buffer, "null");
        return;
    }
    if (fabs(value) > exact_max) {
        weft_buffer_append_format(buffer, "%.0f.0", value);
        return;
    }
    int64_t micros = llround(fabs(value) * 1e6);
    char fraction[6];
    (void)put_digits(fraction, (unsigned)(micros % 1000000), sizeof fraction);
    size_t len = sizeof fraction;
    while (len > 1 && fraction[len - 1] == '0')
        len--;
    if (value < 0 && micros > 0)
        weft_buffer_append_char(buffer, '-');
    weft_buffer_append_int(buffer, micros / 1000000);
    weft_buffer_append_char(buffer, '.');
    weft_buffer_append(buffer, fraction, len);
}

/* By hand, for it is part of every reply, and printf's machinery costs more than all the rest. */
void weft_buffer_append_time(struct weft_buffer *buffer, int64_t unix_us)
{
    int64_t seconds = unix_us / 1000000;
    int64_t micros = unix_us % 1000000;
    if (micros < 0) {
        micros += 1000000;
        seconds--;
    }
    time_t when = (time_t)seconds;
    struct tm utc;
    bool in_range = gmtime_r(&when, &utc) && utc.tm_year >= -1900 && utc.tm_year <= 8099;
    if (!in_range)
        utc = (struct tm){.tm_year = -1900, .tm_mon = -1};
    char text[] = "0000-00-00T00:00:00.000000Z";
    char *at = put_digits(text, (unsigned)(utc.tm_year + 1900), 4) + 1;
    at = put_digits(at, (unsigned)(utc.tm_mon + 1), 2) + 1;
    at = put_digits(at, (unsigned)utc.tm_mday, 2) + 1;
    at = put_digits(at, (unsigned)utc.tm_hour, 2) + 1;
    at = put_digits(at, (unsigned)utc.tm_min, 2) + 1;
    at = put_digits(at, (unsigned)utc.tm_sec, 2) + 1;
    (void)put_digits(at, in_range ? (unsigned)micros : 0, 6);
    weft_buffer_append(buffer, text, sizeof text - 1);
}
