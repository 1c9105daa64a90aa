/* SPDX-License-Identifier: MIT
 * sink_text.h - a result as columns, and these as a line of JSON or a row of CSV. No I/O. */
#ifndef WEFT_FETCH_SINK_TEXT_H
#define WEFT_FETCH_SINK_TEXT_H

#include <base/buffer.h>
#include <weft/sink.h>

#define SINK_COLUMNS 23

enum sink_value_kind {
    SINK_NULL,
    SINK_TEXT,       /* NUL-terminated, any bytes */
    SINK_INTEGER,    /* number */
    SINK_MILLIONTHS, /* number / 1,000,000: milliseconds of nanoseconds, seconds of microseconds */
};

struct sink_value {
    enum sink_value_kind kind;
    const char *text;
    int64_t number;
};

/* Their names, in the order of every output: keys, header row, columns. */
extern const char *const weft_sink_columns[SINK_COLUMNS];

/* The columns of the table "results", joined by commas: "id,url,...,fingerprint". */
extern const char weft_sink_table_columns[];

struct sink_value weft_sink_value(const struct weft_fetch_result *result, unsigned column);

/* Append a text with U+FFFD for each byte that is not UTF-8. */
void weft_sink_append_utf8(struct weft_buffer *buffer, const char *text, size_t len);

/* Append an object and a line feed. */
void weft_sink_append_json(struct weft_buffer *buffer, const struct weft_fetch_result *result);

/* Append a row, or the header row, with CR LF. as_is: see struct weft_sink_output. */
void weft_sink_append_csv(struct weft_buffer *buffer, const struct weft_fetch_result *result,
                          bool as_is);
void weft_sink_append_csv_header(struct weft_buffer *buffer);

#endif
