/* SPDX-License-Identifier: MIT
 * jobs_internal.h - what the files of weft/jobs.h share.
 *
 *   jobs.c          a life: open, run, stop, drain, close
 *   jobs_request.c  what is put in, checked with a reason for people
 *   jobs_view.c     what became of it
 *   jobs_manage.c   cancel, retry, queues
 *   jobs_cron.c     schedules
 *   jobs_watch.c    subscribers */
#ifndef WEFT_SERVE_JOBS_INTERNAL_H
#define WEFT_SERVE_JOBS_INTERNAL_H

#include <weft/jobs.h>

#include <base/buffer.h>
#include <job/scheduler.h>
#include <runtime/worker.h>
#include <serve/job_log.h>
#include <serve/tasks.h>
#include <serve/worker_queues.h>

#include <weft/group.h>
#include <weft/sync.h>

struct weft_jobs {
    const struct weft_worker *worker; /* whose fibers may use it */
    struct weft_log_sink sink;
    struct weft_engine_log log;
    struct weft_tasks tasks;
    struct weft_worker_queues queues;
    struct weft_broker *broker;
    struct weft_engine *engine;
    struct weft_scheduler *scheduler;
    struct weft_mutex settings_turn; /* a queue's settings are read, changed and stored by one
                                        call after the other */
    struct weft_group *running;      /* of the scheduler, while jobs are run */
    bool ran, draining, stopping;
};

/* How every call begins. Returns 0; -EPERM on another worker, or outside a runtime. */
int weft_jobs_enter(const struct weft_jobs *jobs);

/* Whether some handler here is for the task; true of every one where there are no handlers. */
bool weft_jobs_has_task(const struct weft_jobs *jobs, const char *task);

/* Why it cannot be put in, as a sentence; NULL when it can. *ret_err: -EINVAL, -EMSGSIZE. index: of
 * the request in its call. */
const char *weft_jobs_request_problem(const struct weft_jobs *jobs,
                                      const struct weft_jobs_request *request, size_t index,
                                      int *ret_err);

/* The payload of a request that is in order. */
struct weft_bytes weft_jobs_payload(const struct weft_jobs_request *request);

#endif
