/* SPDX-License-Identifier: MIT
 * buffer.h - bytes that grow at the end, up to a limit.
 *
 * Appending to a buffer that failed does nothing: append many times, then look at err once. */
#ifndef WEFT_BASE_BUFFER_H
#define WEFT_BASE_BUFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct weft_buffer {
    char *data;
    size_t len, capacity;
    size_t len_max; /* appending beyond it fails with -EMSGSIZE */
    int err;        /* 0, or the first failure: -ENOMEM, -EMSGSIZE */
};

/* An empty buffer without memory. len_max is a number of bytes, at least 1. */
void weft_buffer_init(struct weft_buffer *buffer, size_t len_max);
void weft_buffer_deinit(struct weft_buffer *buffer);

/* Forget the content and the error, keep the memory. */
void weft_buffer_clear(struct weft_buffer *buffer);

/* Make room for more bytes behind len. Returns where they go (len bytes long), NULL on failure;
 * the caller adds to buffer->len what it used. */
char *weft_buffer_reserve(struct weft_buffer *buffer, size_t len);

/* Drop len bytes from the front. */
void weft_buffer_consume(struct weft_buffer *buffer, size_t len);

void weft_buffer_append(struct weft_buffer *buffer, const void *data, size_t len);
void weft_buffer_append_string(struct weft_buffer *buffer, const char *text);
void weft_buffer_append_char(struct weft_buffer *buffer, char c);
void weft_buffer_append_int(struct weft_buffer *buffer, int64_t value);
void weft_buffer_append_format(struct weft_buffer *buffer, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* The length of the well-formed UTF-8 sequence at text, of len bytes, at least 1; 0: there is none.
 */
size_t weft_utf8_sequence(const unsigned char *text, size_t len);

/* Append text as a JSON string with its quotes. The bytes must be UTF-8; what is not becomes
 * U+FFFD. */
void weft_buffer_append_json_string(struct weft_buffer *buffer, const char *text, size_t len);

/* Append a JSON number with up to 6 decimals; what is not finite becomes null. */
void weft_buffer_append_json_double(struct weft_buffer *buffer, double value);

/* Append wall-clock time as ISO 8601 in UTC with microseconds and "Z", without quotes; all digits 0
 * for years outside 0 ... 9999. weft_time_parse (iso_time.h) reads it. */
void weft_buffer_append_time(struct weft_buffer *buffer, int64_t unix_us);

#endif
