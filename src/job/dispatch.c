/* SPDX-License-Identifier: MIT
 * dispatch.c - one fiber per worker: claims jobs in batches and starts a fiber for each. */
#include "engine_internal.h"

#include <weft/runtime.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BACKOFF_NS (WEFT_SEC / 2) /* after the broker refused, or memory ran out */

const struct weft_job *weft_attempt_job(const struct weft_attempt *attempt)
{
    return attempt->job;
}

int weft_attempt_result(struct weft_attempt *attempt, char *data, size_t len, bool json)
{
    if (len > WEFT_JOB_RESULT_MAX) {
        free(data);
        return -EMSGSIZE;
    }
    free(attempt->result);
    attempt->result = data;
    attempt->result_len = len;
    attempt->result_json = json;
    return 0;
}

void weft_attempt_reason(struct weft_attempt *attempt, const char *reason)
{
    attempt->reason = reason;
}

void weft_attempt_finish(struct weft_attempt *attempt, enum weft_job_event event)
{
    struct weft_engine *engine = attempt->worker->engine;
    attempt->event = event;
    weft_list_append(&engine->finished, &attempt->link);
    weft_wake_post(&engine->settle_wake);
}

/* No memory to run it: without another word back to where it came from. */
static void give_back(struct weft_worker_slot *worker, struct weft_job *job)
{
    struct weft_settlement item = {.job = job, .event = WEFT_JOB_RELEASE};
    struct weft_broker *broker = worker->engine->broker;
    int err = broker->ops->settle(broker, &item, 1);
    /* Refused as well: the recovery at the next start will find it. */
    if (!err && !item.err)
        worker->available++;
    worker->running--;
    weft_job_free(job);
}

void weft_attempt_start(struct weft_worker_slot *worker, struct weft_job *job)
{
    struct weft_engine *engine = worker->engine;
    struct weft_attempt *attempt = calloc(1, sizeof *attempt);
    if (!attempt) {
        give_back(worker, job);
        return;
    }
    attempt->worker = worker;
    attempt->job = job;
    attempt->handler = weft_engine_handler(engine, job->task);
    if (engine->stopping) {
        weft_attempt_finish(attempt, WEFT_JOB_RELEASE);
        return;
    }
    weft_list_append(&worker->ready, &attempt->link);
    weft_wake_post(&worker->wake);
}

/* Not inlined: while the task runs, only the frame of job_main lies under it. */
__attribute__((noinline)) static void conclude(struct weft_attempt *attempt, int result)
{
    const struct weft_job *job = attempt->job;
    enum weft_job_event event = WEFT_JOB_COMPLETE;
    if (result == -ECANCELED && weft_checkpoint() == -ECANCELED)
        event = WEFT_JOB_RELEASE;
    else if (result < 0)
        event = job->attempt < job->attempts_max ? WEFT_JOB_RETRY : WEFT_JOB_DIE;
    attempt->code = result;
    weft_attempt_finish(attempt, event);
}

static int job_main(void *arg)
{
    struct weft_attempt *attempt = arg;
    int result = -ENOSYS;
    if (attempt->handler)
        result = attempt->handler->run(attempt, attempt->handler->settings);
    else
        attempt->reason = "no task of this name is known here";
    conclude(attempt, result);
    return 0;
}

/* Returns 0, or -ENOMEM when there was no stack for one: it and what follows wait. */
static int start_ready(struct weft_worker_slot *worker)
{
    while (!weft_list_empty(&worker->ready)) {
        struct weft_attempt *attempt =
            weft_container_of(worker->ready.next, struct weft_attempt, link);
        int err = weft_spawn(&worker->group, job_main, attempt);
        if (err)
            return err;
        /* The fiber has not run yet: a spawned fiber queues behind its spawner. */
        weft_list_unlink(&attempt->link);
    }
    return 0;
}

static void release_ready(struct weft_worker_slot *worker)
{
    while (!weft_list_empty(&worker->ready)) {
        struct weft_attempt *attempt =
            weft_container_of(worker->ready.next, struct weft_attempt, link);
        weft_list_unlink(&attempt->link);
        weft_attempt_finish(attempt, WEFT_JOB_RELEASE);
    }
}

/* Returns the number of jobs claimed, 0 when there is none or no place for one, or an error. */
static int claim(struct weft_worker_slot *worker)
{
    struct weft_engine *engine = worker->engine;
    unsigned places = engine->options.concurrency - worker->running; /* one claim at a time */
    uint64_t known = worker->available;
    if (places == 0 || known == 0)
        return 0;
    if (places > WEFT_CLAIM_MAX)
        places = WEFT_CLAIM_MAX;
    struct weft_claim claim = {
        .worker = worker->index, .jobs_max = places, .jobs = worker->claimed};
    worker->claiming = places;
    int err = engine->broker->ops->claim(engine->broker, &claim);
    worker->claiming = 0;
    if (err) {
        engine->counts.broker_errors++;
        return err;
    }
    /* Fewer than asked for: of the jobs known before, none is left. */
    uint64_t gone = claim.count < places && !claim.more ? known : claim.count;
    worker->available -= gone < worker->available ? gone : worker->available;
    worker->running += claim.count;
    for (unsigned i = 0; i < claim.count; i++)
        weft_attempt_start(worker, claim.jobs[i]);
    return (int)claim.count;
}

/* Until a drain or a cancel. */
static void dispatch(struct weft_worker_slot *worker)
{
    struct weft_engine *engine = worker->engine;
    int err = 0;
    while (!engine->stopping && err != -ECANCELED) {
        err = start_ready(worker);
        if (!err)
            err = claim(worker);
        if (err > 0)
            continue;
        err = weft_wake_wait(&worker->wake, err < 0 ? weft_now() + BACKOFF_NS : WEFT_FOREVER);
    }
}

int weft_dispatcher_main(void *worker_slot)
{
    struct weft_worker_slot *worker = worker_slot;
    struct weft_engine *engine = worker->engine;
    int err = weft_group_init(&worker->group, &(struct weft_group_options){
                                                  .policy = WEFT_SUPERVISE,
                                                  .name = "jobs",
                                              });
    if (err)
        return err;
    dispatch(worker);
    engine->stopping = true;
    release_ready(worker);
    weft_scope_set_deadline(&worker->group.scope, engine->deadline_ns);
    worker->draining = true;
    (void)weft_group_wait(&worker->group);
    worker->draining = false;
    return 0;
}
