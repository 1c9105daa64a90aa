/* SPDX-License-Identifier: MIT
 * submit.c - jobs in: routing, bounds, durable acceptance.
 *
 * A job whose worker has nothing waiting and a place free is claimed in the same step that makes
 * it durable: half the work for the broker and one commit less before it runs. */
#include "engine_internal.h"

#include <base/hash.h>

#include <errno.h>
#include <string.h>

#define ID_TRIES 64 /* ids are taken only if the clock went back to a busy time */

static uint64_t queued_total(const struct weft_engine *engine)
{
    uint64_t queued = 0;
    for (unsigned i = 0; i < engine->options.workers; i++)
        queued += engine->workers[i].available + engine->workers[i].waiting;
    return queued;
}

static bool has_place_to_run(const struct weft_worker_slot *worker)
{
    const struct weft_engine *engine = worker->engine;
    return (engine->broker->ops->capabilities & WEFT_BROKER_CLAIMS_ON_ENQUEUE) &&
           !engine->stopping && worker->available == 0 && worker->reserved == 0 &&
           worker->running + worker->claiming < engine->options.concurrency;
}

static bool has_place_to_wait(const struct weft_worker_slot *worker)
{
    return worker->available + worker->waiting + worker->reserved <
           worker->engine->options.queue_size;
}

/* The worker the id's hash points at. When it is busy, the next one that can run the job at once:
 * nothing waits while a place is free. When all are busy, the queue of the first that has room. */
static struct weft_worker_slot *route(struct weft_engine *engine, const struct weft_uuid *id)
{
    unsigned workers = engine->options.workers;
    unsigned first = (unsigned)(weft_hash(id->bytes, sizeof id->bytes) % workers);
    struct weft_worker_slot *waits = NULL;
    for (unsigned i = 0; i < workers; i++) {
        struct weft_worker_slot *worker = &engine->workers[(first + i) % workers];
        if (has_place_to_run(worker))
            return worker;
        if (!waits && has_place_to_wait(worker))
            waits = worker;
    }
    return waits;
}

static int enqueue(struct weft_engine *engine, struct weft_enqueue *item)
{
    int err = engine->broker->ops->enqueue(engine->broker, item, 1);
    if (err)
        engine->counts.broker_errors++;
    return err ? err : item->err;
}

static int submit_to_run(struct weft_worker_slot *worker, const struct weft_job *job)
{
    struct weft_job *running = weft_job_copy(job); /* first: afterwards it must not fail */
    if (!running)
        return -ENOMEM;
    running->state = WEFT_JOB_RUNNING;
    running->attempt = 1;
    running->started_us = job->created_us;
    struct weft_enqueue item = {.job = running, .claim = true};
    worker->running++;
    int err = enqueue(worker->engine, &item);
    if (err) {
        worker->running--;
        weft_job_free(running);
        return err;
    }
    running->lease_token = item.lease_token;
    weft_attempt_start(worker, running);
    return 0;
}

static int submit_to_wait(struct weft_worker_slot *worker, const struct weft_job *job)
{
    struct weft_enqueue item = {.job = job};
    worker->reserved++;
    int err = enqueue(worker->engine, &item);
    worker->reserved--;
    if (err)
        return err;
    worker->available++;
    weft_wake_post(&worker->wake);
    return 0;
}

static int submit_to(struct weft_worker_slot *worker, struct weft_job *job)
{
    job->worker = (uint16_t)worker->index;
    worker->engine->submissions++;
    int err = has_place_to_run(worker) ? submit_to_run(worker, job) : submit_to_wait(worker, job);
    worker->engine->submissions--;
    return err;
}

int weft_engine_submit(struct weft_engine *engine, const char *task,
                       const struct weft_bytes *payload, struct weft_receipt *ret_receipt)
{
    const struct weft_handler *handler = weft_engine_handler(engine, task);
    if (!handler)
        return -ENOENT;
    if (payload->len > WEFT_JOB_PAYLOAD_MAX)
        return -EMSGSIZE;
    if (engine->stopping)
        return -ESHUTDOWN;
    struct weft_job job = {
        .task = handler->name,
        .priority = WEFT_PRIORITY_DEFAULT,
        .attempts_max = (uint16_t)(handler->attempts_max ? handler->attempts_max : 3),
        .payload = *payload,
        .created_us = engine->broker->ops->now_us(engine->broker),
    };
    job.run_at_us = job.created_us;
    struct weft_worker_slot *worker = NULL;
    int err = -EEXIST;
    for (int try = 0; err == -EEXIST && try < ID_TRIES; try++) {
        job.id = weft_uuid_make(&engine->ids, job.created_us / 1000);
        worker = route(engine, &job.id);
        err = worker ? submit_to(worker, &job) : WEFT_EFULL;
    }
    if (err)
        return err;
    *ret_receipt = (struct weft_receipt){
        .id = job.id,
        .worker = worker->index,
        .queued_total = queued_total(engine),
        .created_us = job.created_us,
    };
    return 0;
}
