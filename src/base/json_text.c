/* SPDX-License-Identifier: MIT
 * json_text.c - the parts of buffer.h that write JSON. Reading JSON is jansson's work. */
#include <base/buffer.h>

#include <math.h>
#include <time.h>

/* Length of the well-formed UTF-8 sequence at text, 0 if there is none (RFC 3629, table in 4). */
static size_t utf8_sequence(const unsigned char *text, size_t len)
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
            sequence = utf8_sequence(bytes + at, len - at);
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

void weft_buffer_append_json_double(struct weft_buffer *buffer, double value)
{
    if (!isfinite(value)) {
        weft_buffer_append_string(buffer, "null");
        return;
    }
    size_t start = buffer->len;
    weft_buffer_append_format(buffer, "%.6f", value);
    if (buffer->err)
        return;
    while (buffer->len > start + 2 && buffer->data[buffer->len - 1] == '0' &&
           buffer->data[buffer->len - 2] != '.')
        buffer->len--;
}

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
    if (!gmtime_r(&when, &utc)) {
        weft_buffer_append_string(buffer, "0000-00-00T00:00:00.000000Z");
        return;
    }
    weft_buffer_append_format(buffer, "%04d-%02d-%02dT%02d:%02d:%02d.%06dZ", utc.tm_year + 1900,
                              utc.tm_mon + 1, utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec,
                              (int)micros);
}
