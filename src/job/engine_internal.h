/* SPDX-License-Identifier: MIT
 * engine_internal.h - what the files of the engine share.
 *
 *   engine.c    open, run, drain, close: the fibers and their order of ending
 *   submit.c    jobs in: routing, bounds, durable acceptance
 *   dispatch.c  one fiber per worker: claims batches, starts a fiber per job
 *   settle.c    one fiber: says in batches what became of jobs; one more: waits for retries
 *
 * The way of an attempt: submit or claim makes it --> worker->ready --> its own fiber -->
 * engine->finished --> settled and freed. At each moment exactly one of these owns it. */
#ifndef WEFT_JOB_ENGINE_INTERNAL_H
#define WEFT_JOB_ENGINE_INTERNAL_H

#include <job/engine.h>
#include <job/wake.h>

#include <base/list.h>
#include <weft/group.h>

#define WEFT_CLAIM_MAX  512  /* jobs per claim: so many can be hit by one crash */
#define WEFT_SETTLE_MAX 1024 /* jobs per settlement */

struct weft_attempt {
    struct weft_link link; /* in worker->ready, or in engine->finished */
    struct weft_worker_slot *worker;
    const struct weft_handler *handler; /* NULL: nobody knows the job's task */
    struct weft_job *job;               /* owned */
    char *result;                       /* owned; NULL: none */
    size_t result_len;
    bool result_json;
    const char *reason;        /* static storage; NULL: what code means */
    int code;                  /* what the task returned */
    enum weft_job_event event; /* once finished */
};

/* One logical worker. */
struct weft_worker_slot {
    struct weft_engine *engine;
    unsigned index;
    uint64_t available; /* jobs in the broker that can be claimed */
    uint64_t waiting;   /* jobs in the broker whose time has not come */
    unsigned reserved;  /* places in the queue for jobs on their way into it */
    unsigned running;   /* jobs between claim and settlement */
    unsigned claiming;  /* places kept for a claim under way */
    bool draining;      /* the dispatcher waits for its group to end */
    struct weft_link ready;
    struct weft_wake wake;   /* for the dispatcher: more to claim, start, or stop */
    struct weft_group group; /* of job fibers; owned by the dispatcher */
    struct weft_job *claimed[WEFT_CLAIM_MAX];
};

struct weft_engine {
    struct weft_engine_options options;
    struct weft_broker *broker;
    struct weft_random random;
    struct weft_uuid_maker ids;

    bool stopping;        /* drain was called, or run was cancelled */
    int64_t deadline_ns;  /* of the jobs that still run then */
    unsigned submissions; /* under way */

    struct weft_link finished;
    struct weft_wake settle_wake, retry_wake;
    int64_t retry_at_ns; /* when the next job becomes due */
    bool settled_all;    /* no more attempts will come to the settler */
    struct weft_settlement settlements[WEFT_SETTLE_MAX];
    struct weft_attempt *settling[WEFT_SETTLE_MAX];

    struct weft_engine_counts counts;
    struct weft_worker_slot workers[];
};

/* engine.c: the handler of a task, NULL when there is none. */
const struct weft_handler *weft_engine_handler(const struct weft_engine *engine, const char *task);

/* dispatch.c: have a claimed job run, one of worker->running. Takes the job over. Suspends only
 * when memory is out: then the job goes back to the broker. */
void weft_attempt_start(struct weft_worker_slot *worker, struct weft_job *job);
/* The attempt is over: hand it to the settler. */
void weft_attempt_finish(struct weft_attempt *attempt, enum weft_job_event event);
int weft_dispatcher_main(void *worker_slot);

/* settle.c: arg is the engine. */
int weft_settler_main(void *arg);
int weft_retrier_main(void *arg);

#endif
