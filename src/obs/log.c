/* SPDX-License-Identifier: MIT
 * log.c - see log.h. */
#include <obs/log.h>

#include <string.h>

static void append_key(struct weft_buffer *line, const char *key)
{
    weft_buffer_append_char(line, ',');
    weft_buffer_append_json_string(line, key, strlen(key));
    weft_buffer_append_char(line, ':');
}

void weft_log_begin(struct weft_buffer *line, const char *level, const char *event, int64_t unix_us)
{
    weft_buffer_append_string(line, "{\"time\":\"");
    weft_buffer_append_time(line, unix_us);
    weft_buffer_append_char(line, '"');
    weft_log_string(line, "level", level);
    weft_log_string(line, "event", event);
}

void weft_log_int(struct weft_buffer *line, const char *key, int64_t value)
{
    append_key(line, key);
    weft_buffer_append_int(line, value);
}

void weft_log_bool(struct weft_buffer *line, const char *key, bool value)
{
    append_key(line, key);
    weft_buffer_append_string(line, value ? "true" : "false");
}

void weft_log_string(struct weft_buffer *line, const char *key, const char *value)
{
    if (!value)
        return;
    append_key(line, key);
    weft_buffer_append_json_string(line, value, strlen(value));
}

void weft_log_end(struct weft_buffer *line)
{
    weft_buffer_append(line, "}\n", 3);
    if (line->err == 0)
        line->len--;
}
