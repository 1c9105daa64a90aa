/* SPDX-License-Identifier: MIT
 * engine.c - open, run, drain and close, see engine.h. */
#include "engine_internal.h"

#include <weft/runtime.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

static int fill_in(struct weft_engine_options *options)
{
    if (!options->workers)
        options->workers = 4;
    if (!options->concurrency)
        options->concurrency = 1000;
    if (!options->queue_size)
        options->queue_size = 100000;
    return options->workers <= WEFT_WORKERS_MAX && options->broker && options->handlers ? 0
                                                                                        : -EINVAL;
}

static int init_worker(struct weft_engine *engine, unsigned index)
{
    struct weft_worker_slot *worker = &engine->workers[index];
    worker->engine = engine;
    worker->index = index;
    weft_list_init(&worker->ready);
    return weft_wake_init(&worker->wake);
}

static int adopt(struct weft_engine *engine)
{
    struct weft_worker_counts counts[WEFT_WORKERS_MAX];
    unsigned workers = engine->options.workers;
    int err = engine->broker->ops->adopt(engine->broker, counts, workers);
    for (unsigned i = 0; !err && i < workers; i++) {
        engine->workers[i].available = counts[i].available;
        engine->workers[i].waiting = counts[i].waiting;
    }
    return err;
}

int weft_engine_open(struct weft_engine **ret_engine, const struct weft_engine_options *options)
{
    struct weft_engine_options filled = *options;
    int err = fill_in(&filled);
    if (err)
        return err;
    struct weft_engine *engine =
        calloc(1, sizeof *engine + filled.workers * sizeof engine->workers[0]);
    if (!engine)
        return -ENOMEM;
    engine->options = filled;
    engine->broker = filled.broker;
    weft_list_init(&engine->finished);
    engine->deadline_ns = WEFT_FOREVER;
    uint64_t seed;
    if (getentropy(&seed, sizeof seed) < 0)
        seed = (uint64_t)weft_now();
    weft_random_seed(&engine->random, seed);
    weft_uuid_maker_init(&engine->ids, &engine->random);

    err = weft_wake_init(&engine->settle_wake);
    if (!err)
        err = weft_wake_init(&engine->retry_wake);
    for (unsigned i = 0; !err && i < filled.workers; i++)
        err = init_worker(engine, i);
    if (!err)
        err = adopt(engine);
    if (err) {
        weft_engine_close(engine);
        return err;
    }
    *ret_engine = engine;
    return 0;
}

void weft_engine_close(struct weft_engine *engine)
{
    if (!engine)
        return;
    for (unsigned i = 0; i < engine->options.workers; i++)
        weft_wake_deinit(&engine->workers[i].wake);
    weft_wake_deinit(&engine->settle_wake);
    weft_wake_deinit(&engine->retry_wake);
    free(engine);
}

/* The settler ends last: dispatchers end when their jobs have, and each of those still has to be
 * settled. */
int weft_engine_run(struct weft_engine *engine)
{
    struct weft_group settling, working;
    int err = weft_group_init(&settling, &(struct weft_group_options){.policy = WEFT_SUPERVISE});
    if (err)
        return err;
    err = weft_spawn(&settling, weft_settler_main, engine);
    if (!err)
        err = weft_group_init(&working, NULL);
    if (!err) {
        err = weft_spawn(&working, weft_retrier_main, engine);
        for (unsigned i = 0; !err && i < engine->options.workers; i++)
            err = weft_spawn(&working, weft_dispatcher_main, &engine->workers[i]);
        if (err)
            weft_group_cancel(&working, 0);
        (void)weft_group_wait(&working);
    }
    engine->stopping = true;
    engine->settled_all = true;
    weft_wake_post(&engine->settle_wake);
    (void)weft_group_wait(&settling);
    return err == -ECANCELED ? 0 : err;
}

void weft_engine_drain(struct weft_engine *engine, int64_t grace_ns)
{
    int64_t deadline_ns = weft_now() + grace_ns;
    engine->stopping = true;
    if (deadline_ns < engine->deadline_ns)
        engine->deadline_ns = deadline_ns;
    for (unsigned i = 0; i < engine->options.workers; i++) {
        struct weft_worker_slot *worker = &engine->workers[i];
        if (worker->draining)
            weft_scope_set_deadline(&worker->group.scope, engine->deadline_ns);
        weft_wake_post(&worker->wake);
    }
    weft_wake_post(&engine->retry_wake);
}

const struct weft_handler *weft_engine_handler(const struct weft_engine *engine, const char *task)
{
    for (size_t i = 0; i < engine->options.handlers_count; i++)
        if (strcmp(engine->options.handlers[i].name, task) == 0)
            return &engine->options.handlers[i];
    return NULL;
}

void weft_engine_counts(const struct weft_engine *engine, struct weft_engine_counts *ret_counts)
{
    struct weft_engine_counts counts = engine->counts;
    counts.workers = engine->options.workers;
    counts.concurrency = engine->options.concurrency;
    counts.queue_size = engine->options.queue_size;
    for (unsigned i = 0; i < engine->options.workers; i++) {
        const struct weft_worker_slot *worker = &engine->workers[i];
        counts.queued[i] = worker->available + worker->waiting;
        counts.queued_total += counts.queued[i];
        counts.running += worker->running;
    }
    *ret_counts = counts;
}
