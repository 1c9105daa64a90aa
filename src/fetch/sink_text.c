/* SPDX-License-Identifier: MIT
 * sink_text.c - see sink_text.h. */
#include "sink_text.h"

#include <string.h>

/* Every column once: its name, how its field becomes a value, and the field. */
// clang-format off
#define COLUMNS(X)                                       \
    X("url",            TEXT,       url)                 \
    X("status_code",    INT,        status_code)         \
    X("latency_ms",     MILLIONTHS, latency_ns)          \
    X("timestamp",      MILLIONTHS, timestamp_us)        \
    X("attempt",        UNSIGNED,   attempt)             \
    X("error",          TEXT,       error)               \
    X("final_url",      TEXT,       final_url)           \
    X("method",         TEXT,       method)              \
    X("error_class",    TEXT,       error_class)         \
    X("http_version",   INT,        http_version)        \
    X("queue_ms",       MILLIONTHS, queue_ns)            \
    X("total_ms",       MILLIONTHS, total_ns)            \
    X("name_ms",        MILLIONTHS, times.name_ns)       \
    X("connect_ms",     MILLIONTHS, times.connect_ns)    \
    X("tls_ms",         MILLIONTHS, times.tls_ns)        \
    X("first_byte_ms",  MILLIONTHS, times.first_byte_ns) \
    X("redirects",      UNSIGNED,   redirects)           \
    X("connections",    UNSIGNED,   connections)         \
    X("bytes_received", UINT64,     bytes_received)      \
    X("body_bytes",     UINT64,     body_bytes)          \
    X("content_type",   TEXT,       content_type)        \
    X("body_digest",    TEXT,       body_digest)         \
    X("tag",            TEXT,       tag)
// clang-format on

#define NAME(name, type, field)       name,
#define NAME_COMMA(name, type, field) name ","
#define FIELD(name, type, field)      {FIELD_##type, offsetof(struct weft_fetch_result, field)},

enum field_type {
    FIELD_TEXT,
    FIELD_INT,
    FIELD_UNSIGNED,
    FIELD_UINT64,
    FIELD_MILLIONTHS,
};

const char *const weft_sink_columns[SINK_COLUMNS] = {COLUMNS(NAME)};

const char weft_sink_table_columns[] = "id," COLUMNS(NAME_COMMA) "fingerprint";

static const struct {
    enum field_type type;
    size_t offset;
} fields[SINK_COLUMNS] = {COLUMNS(FIELD)};

struct sink_value weft_sink_value(const struct weft_fetch_result *result, unsigned column)
{
    const char *field = (const char *)result + fields[column].offset;
    struct sink_value value = {.kind = SINK_INTEGER};
    union {
        const char *text;
        int signed_int;
        unsigned unsigned_int;
        uint64_t unsigned_long;
        int64_t signed_long;
    } as;
    switch (fields[column].type) {
    case FIELD_TEXT:
        memcpy(&as.text, field, sizeof as.text);
        value.text = as.text;
        value.kind = as.text ? SINK_TEXT : SINK_NULL;
        break;
    case FIELD_INT:
        memcpy(&as.signed_int, field, sizeof as.signed_int);
        value.number = as.signed_int;
        break;
    case FIELD_UNSIGNED:
        memcpy(&as.unsigned_int, field, sizeof as.unsigned_int);
        value.number = as.unsigned_int;
        break;
    case FIELD_UINT64:
        memcpy(&as.unsigned_long, field, sizeof as.unsigned_long);
        value.number = as.unsigned_long > INT64_MAX ? INT64_MAX : (int64_t)as.unsigned_long;
        break;
    case FIELD_MILLIONTHS:
        memcpy(&as.signed_long, field, sizeof as.signed_long);
        value.number = as.signed_long;
        value.kind = SINK_MILLIONTHS;
        break;
    }
    return value;
}

/* ---- what both formats have ------------------------------------------------------------ */

/* Exact, with at least one decimal: no float on the way. */
static void append_millionths(struct weft_buffer *buffer, int64_t number)
{
    uint64_t rest = number < 0 ? -(uint64_t)number : (uint64_t)number;
    char decimals[7] = {'.'};
    unsigned fraction = (unsigned)(rest % 1000000);
    size_t len = sizeof decimals;
    for (size_t i = sizeof decimals - 1; i > 0; i--) {
        decimals[i] = (char)('0' + fraction % 10);
        fraction /= 10;
    }
    while (len > 2 && decimals[len - 1] == '0')
        len--;
    if (number < 0)
        weft_buffer_append_char(buffer, '-');
    weft_buffer_append_int(buffer, (int64_t)(rest / 1000000));
    weft_buffer_append(buffer, decimals, len);
}

void weft_sink_append_utf8(struct weft_buffer *buffer, const char *text, size_t len)
{
    const unsigned char *bytes = (const unsigned char *)text;
    size_t plain = 0; /* bytes from here to at are not copied yet */
    for (size_t at = 0; at < len;) {
        size_t sequence = bytes[at] < 0x80 ? 1 : weft_utf8_sequence(bytes + at, len - at);
        if (sequence == 0) {
            weft_buffer_append(buffer, text + plain, at - plain);
            weft_buffer_append(buffer, "\xef\xbf\xbd", 3);
            plain = at + 1;
        }
        at += sequence ? sequence : 1;
    }
    weft_buffer_append(buffer, text + plain, len - plain);
}

/* ---- JSON ------------------------------------------------------------------------------ */

static void append_json_value(struct weft_buffer *buffer, const struct sink_value *value)
{
    switch (value->kind) {
    case SINK_NULL:
        weft_buffer_append(buffer, "null", 4);
        break;
    case SINK_TEXT:
        weft_buffer_append_json_string(buffer, value->text, strlen(value->text));
        break;
    case SINK_INTEGER:
        weft_buffer_append_int(buffer, value->number);
        break;
    case SINK_MILLIONTHS:
        append_millionths(buffer, value->number);
        break;
    }
}

void weft_sink_append_json(struct weft_buffer *buffer, const struct weft_fetch_result *result)
{
    for (unsigned i = 0; i < SINK_COLUMNS; i++) {
        const struct sink_value value = weft_sink_value(result, i);
        weft_buffer_append(buffer, i == 0 ? "{\"" : ",\"", 2);
        weft_buffer_append_string(buffer, weft_sink_columns[i]);
        weft_buffer_append(buffer, "\":", 2);
        append_json_value(buffer, &value);
    }
    weft_buffer_append(buffer, "}\n", 2);
}

/* ---- CSV ------------------------------------------------------------------------------- */

/* What makes a spreadsheet compute a cell; and the mark itself, so that taking one away from the
 * front of a cell that has one always gives the text. */
static bool needs_mark(const char *text)
{
    return text[0] && strchr("=+-@'\t\r", text[0]);
}

/* An empty text is "" and no text is nothing at all. */
static void append_csv_text(struct weft_buffer *buffer, const char *text, bool as_is)
{
    size_t len = strlen(text);
    bool quoted = len == 0 || strpbrk(text, "\",\r\n");
    if (quoted)
        weft_buffer_append_char(buffer, '"');
    if (!as_is && needs_mark(text))
        weft_buffer_append_char(buffer, '\'');
    while (len > 0) {
        const char *quote = memchr(text, '"', len);
        size_t part = quote ? (size_t)(quote - text) + 1 : len;
        weft_sink_append_utf8(buffer, text, part);
        if (quote)
            weft_buffer_append_char(buffer, '"');
        text += part;
        len -= part;
    }
    if (quoted)
        weft_buffer_append_char(buffer, '"');
}

void weft_sink_append_csv(struct weft_buffer *buffer, const struct weft_fetch_result *result,
                          bool as_is)
{
    for (unsigned i = 0; i < SINK_COLUMNS; i++) {
        const struct sink_value value = weft_sink_value(result, i);
        if (i > 0)
            weft_buffer_append_char(buffer, ',');
        if (value.kind == SINK_TEXT)
            append_csv_text(buffer, value.text, as_is);
        else if (value.kind == SINK_INTEGER)
            weft_buffer_append_int(buffer, value.number);
        else if (value.kind == SINK_MILLIONTHS)
            append_millionths(buffer, value.number);
    }
    weft_buffer_append(buffer, "\r\n", 2);
}

void weft_sink_append_csv_header(struct weft_buffer *buffer)
{
    for (unsigned i = 0; i < SINK_COLUMNS; i++) {
        if (i > 0)
            weft_buffer_append_char(buffer, ',');
        weft_buffer_append_string(buffer, weft_sink_columns[i]);
    }
    weft_buffer_append(buffer, "\r\n", 2);
}
