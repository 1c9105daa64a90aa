/* SPDX-License-Identifier: MIT
 * log.h - one line of JSON: {"time":"...","level":"info","event":"sample", members ...}. */
#ifndef WEFT_OBS_LOG_H
#define WEFT_OBS_LOG_H

#include <base/buffer.h>

/* Begin a line in an empty buffer.
 * level  "info", "warning", "error"
 * event  a fixed word to search for */
void weft_log_begin(struct weft_buffer *line, const char *level, const char *event,
                    int64_t unix_us);

void weft_log_int(struct weft_buffer *line, const char *key, int64_t value);
void weft_log_bool(struct weft_buffer *line, const char *key, bool value);
void weft_log_string(struct weft_buffer *line, const char *key, const char *value); /* NULL: none */

/* Close it, with a newline and a NUL behind that. The line is line->data, line->len without the
 * NUL, if line->err is 0. */
void weft_log_end(struct weft_buffer *line);

#endif
