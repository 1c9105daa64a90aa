/* SPDX-License-Identifier: MIT
 * log.c - see log.h. */
#include <serve/log.h>

#include <base/buffer.h>
#include <os/clock.h>
#include <weft/serve.h>

#include <stdio.h>
#include <string.h>

#define LINE_BYTES_MAX ((size_t)16 << 10)

static void append_member(struct weft_buffer *line, const char *key, const char *value)
{
    weft_buffer_append_char(line, ',');
    weft_buffer_append_json_string(line, key, strlen(key));
    weft_buffer_append_char(line, ':');
    weft_buffer_append_json_string(line, value, strlen(value));
}

void weft_serve_log(const struct weft_serve_options *options, const char *level, const char *event,
                    const char *detail)
{
    struct weft_buffer line;
    weft_buffer_init(&line, LINE_BYTES_MAX);
    weft_buffer_append_string(&line, "{\"time\":\"");
    weft_buffer_append_time(&line, weft_clock_unix_us());
    weft_buffer_append_char(&line, '"');
    append_member(&line, "level", level);
    append_member(&line, "event", event);
    if (detail)
        append_member(&line, "detail", detail);
    weft_buffer_append_char(&line, '}');
    weft_buffer_append_char(&line, '\0');
    if (!line.err && options->log)
        options->log(options->log_context, line.data);
    else if (!line.err)
        (void)fprintf(stderr, "%s\n", line.data);
    weft_buffer_deinit(&line);
}
