/* SPDX-License-Identifier: MIT
 * task.h - named handlers, and what a handler may do with the job it is given.
 *
 * A handler runs on a fiber of its own. Many sleep at once, so the server counts on one page of
 * stack each: keep frames small before a wait, and put what is large on the heap. */
#ifndef WEFT_JOB_TASK_H
#define WEFT_JOB_TASK_H

#include <job/job.h>

struct weft_attempt; /* one run of one job */

struct weft_handler {
    const char *name;
    /* 0 or more: the job is completed. Negative: the attempt failed. When the server stops, waits
     * give -ECANCELED; handed through, the job runs again later without having spent an attempt. */
    int (*run)(struct weft_attempt *attempt, const void *settings);
    const void *settings;   /* for run */
    unsigned attempts_max;  /* 0 means 3 */
    int64_t retry_delay_ns; /* from a failure to the next attempt; 0 means 1 s */
};

/* The job, valid until run returns. */
const struct weft_job *weft_attempt_job(const struct weft_attempt *attempt);

/* Hand over the result: len bytes from malloc, freed by the engine. A second one replaces it.
 * Returns  0, -EMSGSIZE (more than WEFT_JOB_RESULT_MAX: freed, not kept) */
int weft_attempt_result(struct weft_attempt *attempt, char *data, size_t len, bool json);

/* Say why the attempt fails, in one sentence in static storage; without it the sentence is
 * weft_strerror's for the code returned. */
void weft_attempt_reason(struct weft_attempt *attempt, const char *reason);

/* The built-in task "process": text goes through three steps that take the time of settings,
 * which points to three lengths in nanoseconds. */
int weft_process_task(struct weft_attempt *attempt, const void *settings);

#endif
