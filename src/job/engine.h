/* SPDX-License-Identifier: MIT
 * engine.h - takes jobs in, has them run by handlers, settles them. Works with any broker.
 *
 * The engine keeps no jobs that wait: what waits, waits in the broker. It has consumers; each
 * claims from its queues and runs a bounded number of jobs at once. All of it belongs to one
 * runtime thread. */
#ifndef WEFT_JOB_ENGINE_H
#define WEFT_JOB_ENGINE_H

#include <job/broker.h>
#include <job/wake.h>
#include <weft/select.h>
#include <weft/task.h>

#define WEFT_CONSUMERS_MAX    80u
#define WEFT_SUBMIT_MAX       10000u /* jobs per call */
#define WEFT_ATTEMPTS_DEFAULT 3u

/* Which queue comes first when several have jobs. */
enum weft_queue_order {
    WEFT_ORDER_WEIGHTED, /* each as often as its weight says, and none starves */
    WEFT_ORDER_STRICT,   /* the first that has one */
};

struct weft_children;

struct weft_consumer_queue {
    const char *name; /* "*": every queue that no consumer names */
    unsigned weight;  /* 0 means 1 */
};

struct weft_consumer_options {
    const char *name; /* for people */
    const struct weft_consumer_queue *queues;
    size_t queues_count;
    enum weft_queue_order order;
    unsigned concurrency; /* jobs at once; 0 means 1000 */
};

/* What a program wants to know of each line: level, event name, one sentence or NULL; job NULL when
 * it is not about one. Called on the runtime's thread, or on the thread a handler runs on; must not
 * wait for a fiber. */
struct weft_engine_log {
    void (*write)(void *context, enum weft_log_level level, const struct weft_job *job,
                  const char *event, const char *text);
    void *context;
};

/* Zero means the default. Borrowed until weft_engine_close. */
struct weft_engine_options {
    struct weft_broker *broker; /* needed */
    const struct weft_handler *handlers;
    size_t handlers_count;
    const struct weft_consumer_options *consumers; /* none: only takes jobs in */
    size_t consumers_count;
    bool leave_unknown; /* jobs of tasks without a handler here are for other workers, if the broker
                           has WEFT_BROKER_CHOOSES; else they are claimed and fail */
    const char *worker_name; /* in the registry; NULL: host and process id */
    int64_t
        lease_ns;    /* 30 s; brokers that hold leases until they are closed are not asked for it */
    int64_t poll_ns; /* how often to ask a broker that has no events; 1 s, with jitter */
    int64_t maintain_ns;  /* how often to look for what time has brought about and nobody tells of,
                             like leases of others that run out; 1 s, with jitter. Beyond 10 s signs
                             of life are as rare */
    unsigned threads_max; /* handlers at once on threads, WEFT_EXECUTOR_THREAD; 32, at most 512 */
    struct weft_children *children; /* where handlers with WEFT_EXECUTOR_PROCESS run (children.h):
                                       of programs that know them; NULL: there may be none */
    unsigned stuck_max; /* handlers that do not end although they must: beyond so many nothing more
                           is claimed; 100, at most 512 */
    struct weft_retention retention; /* 7, 7 and 30 days; negative: for ever */
    const struct weft_engine_log *log;
    uint64_t seed; /* 0: drawn */
};

struct weft_engine;

/* Make an engine and enter the registry.
 * Returns  0; -EINVAL (options), -ENOMEM, the broker's errors. Suspends */
int weft_engine_open(struct weft_engine **ret_engine, const struct weft_engine_options *options);

/* Run jobs until weft_engine_drain was obeyed or the caller is cancelled, which is a drain without
 * grace. Once. When it returns nothing runs any more but threads that were given up as stuck, and
 * those do not touch the engine; every job was settled, or, where the broker refused to the end, is
 * left to its lease. A fiber that does not end is waited for.
 * Returns  0, -ENOMEM, -EAGAIN (no thread for the heartbeat), -EBUSY (weft_engine_drain_queues is
 *          on its way, or it was called before). Suspends */
int weft_engine_run(struct weft_engine *engine);

/* Claim nothing more; let what runs go on for grace_ns, then cancel it and give it back without
 * having spent the attempt. From another fiber; does not wait. A second call can shorten it. */
void weft_engine_drain(struct weft_engine *engine, int64_t grace_ns);

/* Free it; weft_engine_run must have returned or never been called. NULL is fine. Suspends */
void weft_engine_close(struct weft_engine *engine);

/* --- jobs in --- */

/* What is asked for. Zero or NULL means the default. Borrowed for the call. */
struct weft_submission {
    const char *task;
    const char *queue; /* "default" */
    int priority;      /* -1: 5 */
    struct weft_bytes payload;
    const char *content_type, *headers, *limit_key;
    int64_t delay_us; /* from now; negative: run_at_us counts */
    int64_t run_at_us;
    int64_t expires_in_us, expires_at_us;
    int64_t timeout_us, grace_us, result_ttl_us;
    unsigned attempts_max; /* the handler's; 3 where there is none */
    struct weft_job_backoff backoff;
    const char *unique_key;
    struct weft_unique unique;
    struct weft_uuid flow;
    const struct weft_after *after; /* to wait for ... */
    const int *after_index; /* ... the one with this index in the same call, before this one; -1, or
                               NULL: after[i].id */
    size_t after_count;

    struct weft_uuid id;       /* in: all zeros, or from weft_engine_make_id; out: the job's */
    enum weft_job_state state; /* out: where it began; NONE with WEFT_EDUPLICATE, id is the other */
    uint64_t waiting;          /* out: jobs that wait in its queue */
    int64_t created_us;        /* out */
    int err;                   /* out, as of weft_enqueue */
};

/* Accept jobs: when this returns 0 each with err 0 is durable. A job whose consumer has a place
 * free begins to run in the same commit. Tasks nobody here has a handler for are taken all the
 * same: another worker may have one.
 * Returns  0; -EINVAL (count 0, or more than WEFT_SUBMIT_MAX), -ENOMEM, -ESHUTDOWN (draining), the
 *          broker's errors: then no item counts, whatever it says
 * Suspends; no checkpoint: a job is either accepted, and said to be, or not */
int weft_engine_submit(struct weft_engine *engine, struct weft_submission *jobs, size_t count,
                       bool atomic);

/* An id for a job that is yet to be submitted, for those whose queue depends on it. Never suspends.
 */
struct weft_uuid weft_engine_make_id(struct weft_engine *engine);

/* The job that a submission stands for, with its id or a new one, for those who put it in by other
 * means; it points to what the submission points to. Jobs it waits for are not in it. Returns 0,
 * -EINVAL, -EMSGSIZE. Never suspends. */
int weft_engine_prepare(struct weft_engine *engine, const struct weft_submission *asked,
                        struct weft_job *ret_job);

/* Wait until the job is over, without polling where the broker has events.
 * Returns  0 with *ret_job, the caller's; -ENOENT, -ETIMEDOUT (*ret_job is set to what it is now),
 *          -ECANCELED. Suspends */
int weft_engine_wait(struct weft_engine *engine, const struct weft_uuid *id, int64_t deadline_ns,
                     struct weft_job **ret_job);

#define WEFT_WAIT_OTHERS_MAX 3u

/* The same, and it ends as at the deadline when one of these cases can go, at most
 * WEFT_WAIT_OTHERS_MAX. */
int weft_engine_wait_or(struct weft_engine *engine, const struct weft_uuid *id, int64_t deadline_ns,
                        const struct weft_case *others, size_t others_count,
                        struct weft_job **ret_job);

/* --- for workers elsewhere --- */

/* Being told when there may be something for a claim:
 *
 *     weft_queue_watch_begin(&watch, engine, &claim);
 *     for (;;) {
 *         weft_queue_watch_look(&watch);
 *         if (the broker's claim has found something) break;
 *         weft_select(weft_queue_watch_case(&watch), ...);
 *     }
 *     weft_queue_watch_end(&watch);
 *
 * What becomes available after the look is told by the case, during the claim as well: of each job
 * to one of those whose queues and tasks fit, so that a crowd that waits costs nobody anything. Who
 * ends without having looked at what it was told leaves it to the others. Of a broker that has no
 * events nothing is told. */
struct weft_queue_watch {
    struct weft_link link; /* in the engine's list */
    struct weft_engine *engine;
    const struct weft_claim *claim;
    struct weft_wake wake;
    bool told; /* since the last look */
    bool busy; /* looks: rather tell somebody who waits */
};

/* Returns 0, or what weft_wake_init does. Of the claim, which is borrowed until end, queues, tasks
 * and what came of it are read. Never suspend. */
int weft_queue_watch_begin(struct weft_queue_watch *watch, struct weft_engine *engine,
                           const struct weft_claim *claim);
void weft_queue_watch_look(struct weft_queue_watch *watch);
struct weft_case weft_queue_watch_case(struct weft_queue_watch *watch);
void weft_queue_watch_end(struct weft_queue_watch *watch);

/* What a failure means for a job that ran elsewhere: settlement->event becomes WEFT_JOB_RETRY or
 * WEFT_JOB_DIE by the attempts that are left, and delay_us, if it is negative, the delay that the
 * job's backoff, or its handler's, has for this attempt. Never suspends. */
void weft_engine_judge(struct weft_engine *engine, const struct weft_job *job,
                       struct weft_settlement *settlement);

/* --- for tests of programs: no run loop --- */

/* Run what is due now, in every queue, as many at once as the first consumer may, or one after the
 * other where there is none; then what has become due meanwhile, until nothing is or jobs_max were
 * run. with_scheduled: also what is not due yet, in the order of its times, as if they had come.
 * Returns  how many were run; -EBUSY: somebody else does so, or weft_engine_run runs, or has run;
 *          other errors. Suspends */
int weft_engine_drain_queues(struct weft_engine *engine, bool with_scheduled, unsigned jobs_max);

struct weft_engine_counts {
    uint64_t running; /* jobs between claim and settlement */
    uint64_t places;  /* jobs that may run at once, all consumers */
    uint64_t stuck;   /* handlers that did not end although they had to */
    uint64_t submitted, completed, failed, retried, released, snoozed, cancelled, lost; /* so far */
    uint64_t broker_errors; /* calls that failed; each was or will be tried again */
    unsigned consumers;
    uint64_t running_of[WEFT_CONSUMERS_MAX];
};

/* Never suspends. */
void weft_engine_counts(const struct weft_engine *engine, struct weft_engine_counts *ret_counts);

#endif
