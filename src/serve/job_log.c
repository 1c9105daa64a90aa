/* SPDX-License-Identifier: MIT
 * job_log.c - see job_log.h. */
#include <serve/job_log.h>

#include <obs/log.h>
#include <os/clock.h>

#include <stdint.h>
#include <stdio.h>

#define LINE_BYTES_MAX ((size_t)16 << 10)

static const char *level_name(enum weft_log_level level)
{
    static const char *const names[] = {
        [WEFT_LOG_DEBUG] = "debug",
        [WEFT_LOG_INFO] = "info",
        [WEFT_LOG_WARNING] = "warning",
        [WEFT_LOG_ERROR] = "error",
    };
    return (unsigned)level < sizeof names / sizeof *names ? names[level] : "info";
}

static void append_job(struct weft_buffer *line, const struct weft_job *job)
{
    char id[WEFT_UUID_TEXT_LEN + 1];
    weft_uuid_format(&job->id, id);
    weft_log_string(line, "job", id);
    weft_log_string(line, "task", job->task);
    weft_log_string(line, "queue", job->queue);
    weft_log_int(line, "attempt", job->attempt);
}

void weft_job_log_line(const struct weft_log_sink *sink, enum weft_log_level level,
                       const char *event, const char *detail, const struct weft_job *job)
{
    struct weft_buffer line;
    weft_buffer_init(&line, LINE_BYTES_MAX);
    weft_log_begin(&line, level_name(level), event, weft_clock_unix_us());
    weft_log_string(&line, "detail", detail);
    if (job)
        append_job(&line, job);
    weft_log_end(&line);
    if (!line.err) {
        line.data[line.len - 1] = '\0';
        if (sink->write)
            sink->write(sink->context, line.data);
        else
            (void)fprintf(stderr, "%s\n", line.data);
    }
    weft_buffer_deinit(&line);
}

static void write_line(void *context, enum weft_log_level level, const struct weft_job *job,
                       const char *event, const char *text)
{
    weft_job_log_line(context, level, event, text, job);
}

struct weft_engine_log weft_job_log(const struct weft_log_sink *sink)
{
    /* The engine hands it back, and does not change it.
     * NOLINTNEXTLINE(performance-no-int-to-ptr) */
    return (struct weft_engine_log){write_line, (void *)(uintptr_t)sink};
}
