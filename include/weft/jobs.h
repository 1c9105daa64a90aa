/* SPDX-License-Identifier: MIT
 * jobs.h - durable jobs inside a program of one's own, without a server.
 *
 *     static const struct weft_handler handlers[] = {{.name = "mail", .run = send_mail}};
 *     struct weft_jobs *jobs;
 *     int err = weft_jobs_open(&jobs,
 *                              &(struct weft_jobs_options){.broker = "sqlite:mail.db",
 *                                                          .handlers = handlers,
 *                                                          .handlers_count = 1},
 *                              error, sizeof error);
 *     weft_spawn(&group, run_jobs, jobs);                  // calls weft_jobs_run(jobs)
 *     struct weft_jobs_request mail = {.task = "mail", .payload = "{\"to\":\"a@b\"}"};
 *     err = weft_jobs_enqueue(jobs, &mail, 1, 0);          // 0: it is on disk
 *
 * A job that was accepted survives kill -9, and runs at least once. With the broker "memory:" and
 * the virtual clock the same handlers are tested without files and without waiting: retries and
 * schedules of days take milliseconds. docs/embedding.md shows both.
 *
 * Everything here belongs to the worker on which it was opened: its fibers call these functions,
 * others are told -EPERM. */
#ifndef WEFT_JOBS_H
#define WEFT_JOBS_H

#include <weft/job_state.h>
#include <weft/task.h>
#include <weft/work.h>

WEFT_BEGIN_DECLS

#define WEFT_JOBS_ID_BYTES  37    /* of a job's id as text, with its NUL */
#define WEFT_JOBS_MAX       10000 /* in one weft_jobs_enqueue */
#define WEFT_JOBS_AFTER_MAX 1000  /* that one job waits for */
#define WEFT_JOBS_LIST_MAX  1000
#define WEFT_JOBS_DRAIN_MAX 100000

struct weft_jobs;

/* ---- what to put in ------------------------------------------------------------------ */

/* Another job to wait for. */
struct weft_jobs_after {
    const char *id; /* of a stored one; NULL: the one with this ... */
    size_t index;   /* ... index in the same call, before this one */
    int any_end;    /* not 0: whatever becomes of it; else it must complete, or this one is
                       cancelled */
};

/* Zero or NULL means the default. Borrowed for the call. */
struct weft_jobs_request {
    const char *task;    /* needed: one of the handlers */
    const char *queue;   /* "default" */
    const void *payload; /* JSON text; NULL: null */
    size_t payload_len;  /* 0: to its NUL */
    int is_bytes;        /* not 0: the payload is bytes, payload_len of them, and no JSON ... */
    const char *content_type; /* ... of this type */
    const char *headers;      /* JSON, an object of strings, for weft_attempt_header */
    int priority;             /* 0, which goes first, to 9 ... */
    int has_priority;         /* ... if this is set; else 5 */
    int64_t delay_ns;         /* not before so long from now ... */
    int64_t run_at_us;        /* ... or then, on the clock of weft_jobs_now_us */
    int64_t expires_in_ns;    /* cancelled when it was not begun by then; 0: it does not expire */
    int64_t timeout_ns;       /* of an attempt; the handler's */
    unsigned attempts_max;    /* the handler's, at most 1,000 */
    const char *unique_key;   /* wanted only if no unfinished job has this key ... */
    int64_t unique_window_ns; /* ... or if this is set, no unfinished or completed one that was put
                                 in since so long */
    const char *limit_key;    /* see weft_jobs_limits.running_max_per_key */
    const char *flow;         /* the flow it belongs to, from weft_jobs_make_flow; NULL: none */
    const struct weft_jobs_after *after;
    size_t after_count;

    char id[WEFT_JOBS_ID_BYTES]; /* out: the job's; with WEFT_EDUPLICATE that of the job that is
                                    there; else "" */
    enum weft_job_state state;   /* out: where it begins */
    int err;            /* out: 0: it is stored; why it is not, see weft_jobs_enqueue ... */
    const char *reason; /* out: ... as a sentence, in static storage; NULL with 0 */
};

/* A schedule: at its times the job is put in. */
struct weft_jobs_cron {
    const char *name;       /* letters, digits and . _ : -, at most 128; unique */
    const char *expression; /* "30 2 * * MON-FRI", "@daily", "@every 90s"; see schedule.h */
    const char *zone;       /* "Europe/Berlin"; NULL: UTC */
    const char *missed;     /* runs that were missed while nobody ran jobs: "once", which is NULL,
                               "skip" or "all" */
    const struct weft_jobs_request *job; /* without run_at_us, flow and after */
};

/* ---- opening and running ------------------------------------------------------------- */

/* Zero or NULL means the default. What it points to is borrowed until weft_jobs_close. */
struct weft_jobs_options {
    const char *broker; /* "sqlite:PATH", made when it does not exist; "memory:", gone at the close:
                           for tests. NULL: "sqlite:weft.db" */
    const struct weft_handler *handlers; /* none of all these: it only puts jobs in */
    size_t handlers_count;
    const char *const *libraries; /* paths of shared objects with WEFT_TASK_LIBRARY */
    size_t libraries_count;
    const struct weft_executors *executors; /* tasks that run elsewhere */
    int builtin;                            /* not 0: and noop, sleep, fail and process */
    const struct weft_work_queue *queues;   /* jobs are taken from these; none: from every queue */
    size_t queues_count;                    /* at most WEFT_WORK_QUEUES_MAX */
    int strict;           /* not 0: from a queue only when those before it have nothing */
    unsigned concurrency; /* jobs at once; 100, at most 1,000,000 */
    struct weft_jobs_retention retention;
    uint64_t file_bytes_max; /* the file grows no further: -ENOSPC; 0: as far as the disk goes */
    /* Set at the open, as weft_jobs_cron_set does. Others that are stored stay, and run as well. */
    const struct weft_jobs_cron *crons;
    size_t crons_count;
    uint64_t seed;    /* of ids and delays; 0: drawn. On the virtual clock, with "memory:" and a
                         clock_us, all that happens is the same for the same seed */
    int64_t clock_us; /* what the clock of "memory:" shows at first, microseconds since 1970; 0: the
                         time of day */
    /* Receives one log record as a line of JSON without line feed, on any thread; NULL: nobody
     * does. */
    void (*log)(void *context, const char *line);
    void *log_context;
};

/* Open the store, and take up what is in it. Jobs that were running when the last program ended
 * run again.
 *
 * ret_error  receives, on failure, one sentence for people, truncated to error_bytes
 * Returns    0; -EINVAL (options), -EBUSY (another program has the file), -EACCES, -EROFS, -ENOSPC,
 *            WEFT_EVERSION (made by a newer weft), WEFT_ECORRUPT, -ENOMEM, ...; -ECANCELED; -EPERM
 *            outside a runtime
 * Threads    on a fiber. Suspends: files are read on other threads, which "memory:" with nothing
 * but functions for handlers, and no schedules, does without */
WEFT_API int weft_jobs_open(struct weft_jobs **ret_jobs, const struct weft_jobs_options *options,
                            char *ret_error, size_t error_bytes);

/* Run jobs, and put in those of schedules, until weft_jobs_stop was obeyed. Once.
 * When it returns nothing runs any more, and what was running is stored as done, failed, or waiting
 * with its attempt unspent. A caller that is cancelled stops it without grace.
 *
 * Returns  0; -ECANCELED, -EALREADY (it was called before), -EBUSY (weft_jobs_drain is under way),
 *          -EINVAL (there are no tasks), -ENOMEM, -EAGAIN, -EPERM
 * Suspends */
WEFT_API int weft_jobs_run(struct weft_jobs *jobs);

/* Begin no more jobs, take none in; let what runs go on for grace_ns, then cancel it and give it
 * back. weft_jobs_run returns after that. Does not wait; a second call can shorten the grace.
 * Without effect on another worker. */
WEFT_API void weft_jobs_stop(struct weft_jobs *jobs, int64_t grace_ns);

/* Free it. weft_jobs_run must have returned, no other call be under way, every watch be closed.
 * NULL is fine. Suspends; no checkpoint */
WEFT_API void weft_jobs_close(struct weft_jobs *jobs);

/* For tests, in place of weft_jobs_run, or before it: run what is due, in the caller, then what has
 * become due meanwhile, until nothing is.
 *
 * with_scheduled  not 0: also what is not due yet, retries and delays, one by one in the order of
 *                 their times as if those had come; the clock does not move. Schedules do not run
 * jobs_max        attempts at most; 0 means WEFT_JOBS_DRAIN_MAX
 * Returns         how many attempts were made; -EBUSY (it is under way already, or weft_jobs_run
 *                 is, or was), -ECANCELED, -EPERM, errors of the store
 * Suspends */
WEFT_API int weft_jobs_drain(struct weft_jobs *jobs, int with_scheduled, unsigned jobs_max);

/* The store's clock, microseconds since 1970: that of all times below. It goes with the runtime's,
 * on the real one it is set forward with the machine's time of day as well, and never goes back.
 * Never suspends; any fiber of the worker */
WEFT_API int64_t weft_jobs_now_us(const struct weft_jobs *jobs);

/* ---- jobs in ------------------------------------------------------------------------- */

/* Put jobs in. Those with err 0 are durable when this returns.
 *
 * atomic   not 0: all or none; those that are not the reason get -ECANCELED
 * Returns  0: all are in; else the first request's error that is the reason: WEFT_EDUPLICATE;
 *          WEFT_EFULL (the queue has no room); -EINVAL (its reason says what); -EMSGSIZE (payload 1
 *          MiB, headers 4 KiB, keys 255 bytes); -ENOENT (a job to wait for is not known); -ENOBUFS.
 *          Of the call as a whole: -EINVAL (no requests, or more than WEFT_JOBS_MAX), -ESHUTDOWN
 *          (stopped), -EPERM, -ENOMEM, -ENOSPC, -EIO; then no job was put in
 * Suspends; no checkpoint: a job is either accepted, and said to be, or not */
WEFT_API int weft_jobs_enqueue(struct weft_jobs *jobs, struct weft_jobs_request *requests,
                               size_t count, int atomic);

/* Make the id of a flow: of jobs that belong together, put in by one call or by several.
 * Returns 0, -EPERM. Never suspends */
WEFT_API int weft_jobs_make_flow(struct weft_jobs *jobs, char ret_flow[WEFT_JOBS_ID_BYTES]);

/* Put in or replace a schedule. One that is stored just like this keeps the time of its next run,
 * and so what it missed; one that was paused stays so, and "@every" counts from when it was first
 * set.
 * Returns  0; -EINVAL, -EMSGSIZE, -ENOBUFS (10,000 are there), with a sentence in ret_error;
 *          -ECANCELED, -EPERM, errors of the store
 * Suspends */
WEFT_API int weft_jobs_cron_set(struct weft_jobs *jobs, const struct weft_jobs_cron *cron,
                                char *ret_error, size_t error_bytes);
/* Returns 0; -ENOENT; -EPERM, errors of the store. Suspends; no checkpoint */
WEFT_API int weft_jobs_cron_remove(struct weft_jobs *jobs, const char *name);

/* ---- what became of them ------------------------------------------------------------- */

/* A job as it was when it was asked for. A time that there is not is 0. */
struct weft_jobs_view {
    const char *id, *flow; /* flow NULL: it belongs to none */
    const char *task, *queue;
    enum weft_job_state state;
    int priority;
    unsigned attempt, attempts_max; /* of those that count; the first is 1 */
    const char *payload;
    size_t payload_len;
    const char *progress; /* {"fraction":0.5,"note":"..."}, as the handler told; or NULL */
    const char *result;   /* NULL: none */
    size_t result_len;
    int result_is_json;
    const char *error; /* of the last attempt that failed, or why it was cancelled; or NULL */
    int64_t created_us, started_us, finished_us;
    int64_t run_at_us; /* while it is not over: not before then */
};

/* Returns  0 with *ret_view, the caller's; -ENOENT; -EINVAL (that is no id), -ECANCELED, -EPERM,
 *          -ENOMEM, -EIO
 * Suspends */
WEFT_API int weft_jobs_find(struct weft_jobs *jobs, const char *id,
                            struct weft_jobs_view **ret_view);

/* Wait until it is over: completed, cancelled or dead. Somebody else must run it: where nobody
 * does, it is looked at every second.
 * Returns  as weft_jobs_find; -ETIMEDOUT: it is not, and *ret_view is untouched
 * Suspends */
WEFT_API int weft_jobs_wait(struct weft_jobs *jobs, const char *id, int64_t deadline_ns,
                            struct weft_jobs_view **ret_view);

/* NULL is fine. Any thread. */
WEFT_API void weft_jobs_view_free(struct weft_jobs_view *view);

/* Which jobs to list. Zero or NULL: whatever. */
struct weft_jobs_filter {
    enum weft_job_state state;
    const char *queue, *task, *flow;
    const char *before; /* id: only jobs that are older than this one */
};

/* List jobs, newest first: at most max, 1 to WEFT_JOBS_LIST_MAX. To go on, the last one's id is the
 * next filter's `before`.
 *
 * views      room for max; the first *ret_count are the caller's. Without payload and result
 * Returns    0; -EINVAL (max, an id that is none), -ECANCELED, -EPERM, -ENOMEM, -EIO: then there
 *            are none
 * Suspends */
WEFT_API int weft_jobs_list(struct weft_jobs *jobs, const struct weft_jobs_filter *filter,
                            struct weft_jobs_view **views, size_t max, size_t *ret_count);

/* Cancel a job, or all of a flow. A running one is told, and may complete all the same. Those that
 * wait for it to complete are cancelled with it.
 *
 * reason   kept as the job's error; NULL: "cancelled by request"
 * Returns  how many were cancelled or told; -ENOENT; -EALREADY (it is over); -EINVAL (that is no
 *          id), -EPERM, errors of the store
 * Suspend; no checkpoints */
WEFT_API int weft_jobs_cancel(struct weft_jobs *jobs, const char *id, const char *reason);
WEFT_API int weft_jobs_cancel_flow(struct weft_jobs *jobs, const char *flow, const char *reason);

/* Run a job now that waits for its time, or begin one that is dead or cancelled again.
 * Returns  0; -ENOENT; -EALREADY (in another state), WEFT_EDUPLICATE (another one has its unique
 *          key), -EINVAL (that is no id), -EPERM, errors of the store
 * Suspends; no checkpoint */
WEFT_API int weft_jobs_retry(struct weft_jobs *jobs, const char *id);

/* ---- queues -------------------------------------------------------------------------- */

/* Jobs by state. completed, cancelled and dead: since the queue was made. */
struct weft_jobs_counts {
    uint64_t scheduled, available, running, retryable, completed, cancelled, dead, blocked;
};

/* queue    NULL: all together. One that was never used has nothing
 * Returns  0, -ECANCELED, -EPERM, errors of the store. Suspends */
WEFT_API int weft_jobs_count(struct weft_jobs *jobs, const char *queue,
                             struct weft_jobs_counts *ret_counts);

/* Begin nothing of this queue, also after the next open; what runs goes on. And go on with it.
 * Return  0; -EINVAL (no name of a queue), -ENOBUFS (4,096 queues), -ECANCELED, -EPERM, errors of
 *         the store
 * Suspend */
WEFT_API int weft_jobs_pause(struct weft_jobs *jobs, const char *queue);
WEFT_API int weft_jobs_resume(struct weft_jobs *jobs, const char *queue);

/* Zero: no such limit. */
struct weft_jobs_limits {
    uint64_t size_max;            /* waiting jobs; 0 means 1,000,000 */
    uint32_t running_max;         /* at once */
    uint32_t running_max_per_key; /* at once with the same limit_key */
    double rate_per_s;            /* that begin */
    uint32_t burst;               /* of them at once; 0 means the rate, at least 1 */
};

/* What a queue may hold and begin; kept. Whether it is paused stays as it is. Otherwise like
 * weft_jobs_pause; -EINVAL: also a rate that is none. */
WEFT_API int weft_jobs_limit(struct weft_jobs *jobs, const char *queue,
                             const struct weft_jobs_limits *limits);

/* ---- every change -------------------------------------------------------------------- */

/* One step of one job. */
struct weft_jobs_event {
    uint64_t number; /* rises from event to event, over restarts as well */
    int64_t at_us;
    char id[WEFT_JOBS_ID_BYTES];
    const char *task, *queue;     /* valid until weft_jobs_close */
    enum weft_job_state from, to; /* from WEFT_JOB_NONE: it was put in, and event means nothing */
    enum weft_job_event event;
    unsigned attempt;
};

struct weft_jobs_watch; /* of one subscriber */

/* Subscribe to all that happens: every subscriber gets every event, in order. The latest 65,536
 * are kept for subscribers, in memory.
 *
 * after    the number of an event, to go on behind it; 0: from now on
 * Returns  0, -ENOMEM, -EPERM. Never suspends */
WEFT_API int weft_jobs_watch_open(struct weft_jobs *jobs, uint64_t after,
                                  struct weft_jobs_watch **ret_watch);

/* Wait for the next event. One fiber at a time.
 * Returns  0 with *ret_event; -ESTALE (it was too slow, or away for too long: events are missing
 *          here. The next call goes on with the oldest that is left), -ETIMEDOUT, -EAGAIN
 *          (WEFT_NOWAIT), -ECANCELED: the event comes the next time; -EPERM
 * Suspends */
WEFT_API int weft_jobs_watch_next(struct weft_jobs_watch *watch, struct weft_jobs_event *ret_event,
                                  int64_t deadline_ns);

/* NULL is fine. Never suspends. */
WEFT_API void weft_jobs_watch_close(struct weft_jobs_watch *watch);

WEFT_END_DECLS

#endif
