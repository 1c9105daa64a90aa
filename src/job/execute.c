/* SPDX-License-Identifier: MIT
 * execute.c - how a handler is run, by its executor. All of it happens on the fiber of the attempt,
 * inside the attempt's scope. */
#include "engine_internal.h"

#include <errno.h>

#define TIMEOUT_NS (1800 * WEFT_SEC) /* of what may be somebody else's */

/* An executor that is not built in has no run. */
struct executor {
    int (*run)(struct weft_engine_job *job); /* what the handler returned; suspends */
    int64_t timeout_ns;                      /* of a handler that does not say; 0: none */
};

static int run_on_fiber(struct weft_engine_job *job)
{
    weft_engine_job_clock(job);
    return job->handler->run(&job->attempt, job->handler->settings);
}

static const struct executor executors[WEFT_EXECUTORS] = {
    [WEFT_EXECUTOR_FIBER] = {.run = run_on_fiber},
    [WEFT_EXECUTOR_THREAD] = {.run = weft_thread_run},
    [WEFT_EXECUTOR_PROCESS] = {.timeout_ns = TIMEOUT_NS},
    [WEFT_EXECUTOR_EXEC] = {.timeout_ns = TIMEOUT_NS},
    [WEFT_EXECUTOR_HTTP] = {.timeout_ns = TIMEOUT_NS},
};

bool weft_executor_exists(enum weft_executor executor)
{
    return executor < WEFT_EXECUTORS && executors[executor].run;
}

int64_t weft_executor_timeout(const struct weft_handler *handler)
{
    return handler->timeout_ns > 0 ? handler->timeout_ns : executors[handler->executor].timeout_ns;
}

int weft_engine_job_execute(struct weft_engine_job *job)
{
    return executors[job->handler->executor].run(job);
}
