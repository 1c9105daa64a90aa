/* SPDX-License-Identifier: MIT
 * settle.c - says in batches what became of jobs, and watches for the time of retries.
 *
 * While one batch becomes durable the next gathers. A batch the broker refuses, because the disk
 * is full for instance, is tried again until it is taken: the work was done. */
#include "engine_internal.h"

#include <weft/runtime.h>

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define BACKOFF_MIN_NS   (50 * WEFT_MSEC)
#define BACKOFF_MAX_NS   (2 * WEFT_SEC)
#define LAST_TRIES_NS    (10 * WEFT_SEC) /* when everything else has ended */
#define RETRY_DEFAULT_NS WEFT_SEC

static int64_t retry_delay_ns(const struct weft_attempt *attempt)
{
    int64_t delay_ns = attempt->handler ? attempt->handler->retry_delay_ns : 0;
    return delay_ns > 0 ? delay_ns : RETRY_DEFAULT_NS;
}

static const char *error_of(const struct weft_attempt *attempt)
{
    if (attempt->reason || attempt->code >= 0)
        return attempt->reason;
    return weft_strerror(attempt->code);
}

static size_t fill_batch(struct weft_engine *engine)
{
    size_t count = 0;
    int64_t thread = gettid();
    while (count < WEFT_SETTLE_MAX && !weft_list_empty(&engine->finished)) {
        struct weft_attempt *attempt =
            weft_container_of(engine->finished.next, struct weft_attempt, link);
        weft_list_unlink(&attempt->link);
        engine->settling[count] = attempt;
        engine->settlements[count++] = (struct weft_settlement){
            .job = attempt->job,
            .event = attempt->event,
            .delay_us = retry_delay_ns(attempt) / 1000,
            .result = {attempt->result, attempt->result_len, attempt->result_json},
            .error = error_of(attempt),
            .thread = thread,
        };
    }
    return count;
}

static void lower_retry_time(struct weft_engine *engine, int64_t at_ns)
{
    if (at_ns < engine->retry_at_ns) {
        engine->retry_at_ns = at_ns;
        weft_wake_post(&engine->retry_wake);
    }
}

static void count_settled(struct weft_engine *engine, const struct weft_attempt *attempt, int err)
{
    struct weft_worker_slot *worker = attempt->worker;
    if (err) {
        engine->counts.lost++;
    } else if (attempt->event == WEFT_JOB_COMPLETE) {
        engine->counts.completed++;
    } else if (attempt->event == WEFT_JOB_RETRY) {
        engine->counts.retried++;
        worker->waiting++;
        lower_retry_time(engine, weft_now() + retry_delay_ns(attempt));
    } else if (attempt->event == WEFT_JOB_RELEASE) {
        engine->counts.released++;
        worker->available++;
    } else {
        engine->counts.failed++;
    }
    worker->running--;
    weft_wake_post(&worker->wake);
}

static void free_attempt(struct weft_attempt *attempt)
{
    free(attempt->result);
    weft_job_free(attempt->job);
    free(attempt);
}

/* Returns 0, or the broker's last error when all attempts at settling were in vain. */
static int settle_batch(struct weft_engine *engine, size_t count)
{
    struct weft_broker *broker = engine->broker;
    int64_t backoff_ns = BACKOFF_MIN_NS, spent_ns = 0;
    int err;
    while ((err = broker->ops->settle(broker, engine->settlements, count)) != 0) {
        engine->counts.broker_errors++;
        if (engine->settled_all && spent_ns >= LAST_TRIES_NS)
            break;
        (void)weft_sleep(backoff_ns);
        spent_ns += backoff_ns;
        backoff_ns = backoff_ns * 2 < BACKOFF_MAX_NS ? backoff_ns * 2 : BACKOFF_MAX_NS;
    }
    for (size_t i = 0; i < count; i++) {
        count_settled(engine, engine->settling[i], err ? err : engine->settlements[i].err);
        free_attempt(engine->settling[i]);
    }
    return err;
}

int weft_settler_main(void *arg)
{
    struct weft_engine *engine = arg;
    struct weft_scope shield; /* ends when there is nothing left to settle, not before */
    weft_scope_enter(&shield, WEFT_FOREVER, WEFT_SCOPE_SHIELD);
    for (;;) {
        size_t count = fill_batch(engine);
        if (count > 0)
            (void)settle_batch(engine, count);
        else if (engine->settled_all && engine->submissions == 0)
            break;
        else
            (void)weft_wake_wait(&engine->settle_wake, WEFT_FOREVER);
    }
    return weft_scope_leave(&shield, 0);
}

/* Let the broker make available what is due, and learn when to come again. */
static int promote(struct weft_engine *engine)
{
    struct weft_promotion promotion;
    int err = engine->broker->ops->promote(engine->broker, &promotion);
    if (err) {
        engine->counts.broker_errors++;
        lower_retry_time(engine, weft_now() + BACKOFF_MAX_NS);
        return err;
    }
    for (unsigned i = 0; i < engine->options.workers; i++) {
        struct weft_worker_slot *worker = &engine->workers[i];
        uint64_t moved = promotion.moved[i];
        if (moved == 0)
            continue;
        worker->waiting -= moved < worker->waiting ? moved : worker->waiting;
        worker->available += moved;
        weft_wake_post(&worker->wake);
    }
    int64_t next_us = promotion.more ? 0 : promotion.next_us;
    if (next_us < WEFT_FOREVER / 2000)
        lower_retry_time(engine, weft_now() + next_us * 1000);
    return 0;
}

int weft_retrier_main(void *arg)
{
    struct weft_engine *engine = arg;
    int err = 0;
    engine->retry_at_ns = weft_now();
    while (!engine->stopping && err != -ECANCELED) {
        if (weft_now() >= engine->retry_at_ns) {
            /* A retry that is settled while promote is on its way lowers this again. */
            engine->retry_at_ns = WEFT_FOREVER;
            (void)promote(engine);
        }
        err = weft_wake_wait(&engine->retry_wake, engine->retry_at_ns);
    }
    return 0;
}
