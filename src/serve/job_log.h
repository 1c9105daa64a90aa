/* SPDX-License-Identifier: MIT
 * job_log.h - what an engine and the handlers of jobs have to say, as lines of JSON. */
#ifndef WEFT_SERVE_JOB_LOG_H
#define WEFT_SERVE_JOB_LOG_H

#include <job/engine.h>

/* Where lines go. write NULL: standard error. */
struct weft_log_sink {
    void (*write)(void *context, const char *line); /* without line feed */
    void *context;
};

/* Write {"time", "level", "event", "detail", and of a job "job", "task", "queue", "attempt"}.
 * detail and job may be NULL. Any thread. */
void weft_job_log_line(const struct weft_log_sink *sink, enum weft_log_level level,
                       const char *event, const char *detail, const struct weft_job *job);

/* What to give to an engine. The sink is borrowed. */
struct weft_engine_log weft_job_log(const struct weft_log_sink *sink);

#endif
