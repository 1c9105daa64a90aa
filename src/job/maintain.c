/* SPDX-License-Identifier: MIT
 * maintain.c - what time brings about: jobs that become due, leases that run out, finished jobs
 * that are old; and this worker's own sign of life.
 *
 * The broker says when it wants to be called next. Others may have put something in since, or have
 * taken a lease that ends, so it is called every so often in any case. */
#include "engine_internal.h"

#include <base/time.h>

#include <weft/runtime.h>

#include <errno.h>

#define AGAIN_NS         WEFT_SEC         /* after a call that failed */
#define SPACING_NS       (10 * WEFT_MSEC) /* between two calls that events have caused */
#define LOOK_NS          (10 * WEFT_SEC)  /* for queues that nobody tells of */
#define ALIVE_NS         (10 * WEFT_SEC)
#define PRUNE_NS         (60 * WEFT_SEC)
#define PRUNE_SPACING_NS (20 * WEFT_MSEC) /* others want to write as well */

/* ---- what is due ------------------------------------------------------------------------ */

void weft_maintain_at(struct weft_engine *engine, int64_t at_ns)
{
    if (at_ns >= engine->maintain_at_ns)
        return;
    engine->maintain_at_ns = at_ns;
    weft_wake_post(&engine->maintain_wake);
}

void weft_maintain_soon(struct weft_engine *engine)
{
    weft_maintain_at(engine, engine->maintained_at_ns + SPACING_NS);
}

void weft_engine_expect(struct weft_engine *engine, const char *queue, int64_t delay_us)
{
    struct weft_engine_queue *found;
    if (engine->pumped)
        return;
    if (delay_us > 0)
        weft_maintain_at(engine, weft_time_after(weft_now(), weft_ns_from_us(delay_us)));
    else if (queue && weft_engine_queue(engine, queue, &found) == 0 && found)
        weft_queue_rouse(found);
}

/* Returns when to call again, unless something comes before. */
static int64_t maintain(struct weft_engine *engine)
{
    struct weft_maintenance done = {.next_us = INT64_MAX};
    int err = engine->broker->ops->maintain(engine->broker, &done);
    weft_engine_heard(engine, WEFT_CALL_MAINTAIN, err);
    int64_t now_ns = weft_now();
    if (!engine->pumped && !err && done.due + done.lost > 0)
        weft_lanes_rouse(engine);
    if (!err && done.more)
        return now_ns;
    int64_t next_ns = weft_time_after(now_ns, err ? AGAIN_NS : weft_ns_from_us(done.next_us));
    int64_t last_ns = now_ns + weft_engine_jitter(engine, engine->options.maintain_ns);
    return next_ns < last_ns ? next_ns : last_ns;
}

int weft_maintain_main(void *arg)
{
    struct weft_engine *engine = arg;
    int err = 0;
    while (err != -ECANCELED) {
        int64_t now_ns = weft_now();
        if (now_ns >= engine->maintain_at_ns) {
            engine->maintain_at_ns = WEFT_FOREVER; /* what comes during the call lowers it */
            engine->maintained_at_ns = now_ns;
            weft_maintain_at(engine, maintain(engine));
        }
        err = weft_wake_wait(&engine->maintain_wake, engine->maintain_at_ns);
    }
    return 0;
}

/* ---- the house -------------------------------------------------------------------------- */

/* Also where jobs are kept for ever: results may go before. Returns whether there is more. */
static bool prune(struct weft_engine *engine)
{
    uint64_t removed;
    bool more = false;
    int err =
        engine->broker->ops->prune(engine->broker, &engine->options.retention, &removed, &more);
    weft_engine_heard(engine, WEFT_CALL_PRUNE, err);
    return err == 0 && more;
}

static void sign_of_life(struct weft_engine *engine)
{
    struct weft_engine_counts counts;
    weft_engine_counts(engine, &counts);
    engine->worker.running = counts.running;
    engine->worker.done = counts.completed + counts.failed;
    int err = engine->broker->ops->worker_beat(engine->broker, &engine->worker);
    if (err == -ENOENT) /* we were silent for too long */
        err = engine->broker->ops->worker_join(engine->broker, &engine->worker);
    weft_engine_heard(engine, WEFT_CALL_REGISTRY, err);
}

/* Something that is done every so often, from a moment that is not the same for all workers. */
struct chore {
    int64_t every_ns, at_ns;
};

static struct chore begin_chore(struct weft_engine *engine, bool wanted, int64_t every_ns)
{
    int64_t first_ns = (int64_t)weft_random_below(&engine->random, (uint64_t)every_ns);
    return (struct chore){every_ns, wanted ? weft_now() + first_ns : WEFT_FOREVER};
}

static bool is_time(struct chore *chore)
{
    int64_t now_ns = weft_now();
    if (now_ns < chore->at_ns)
        return false;
    chore->at_ns = now_ns + chore->every_ns;
    return true;
}

static int64_t earlier(int64_t one_ns, int64_t other_ns)
{
    return one_ns < other_ns ? one_ns : other_ns;
}

int weft_keep_main(void *arg)
{
    struct weft_engine *engine = arg;
    bool manages = engine->capabilities & WEFT_BROKER_MANAGES;
    int64_t alive_ns =
        engine->options.maintain_ns > ALIVE_NS ? engine->options.maintain_ns : ALIVE_NS;
    struct chore alive = begin_chore(engine, engine->worker.number != 0, alive_ns);
    struct chore pruning = begin_chore(engine, manages, PRUNE_NS);
    struct chore look = begin_chore(engine, !engine->pumped && engine->has_star, LOOK_NS);
    look.at_ns = look.at_ns == WEFT_FOREVER ? WEFT_FOREVER : weft_now();
    int err = 0;
    while (err != -ECANCELED) {
        if (is_time(&alive))
            sign_of_life(engine);
        if (is_time(&look))
            (void)weft_lanes_learn(engine);
        if (is_time(&pruning) && prune(engine))
            pruning.at_ns = weft_now() + PRUNE_SPACING_NS;
        err = weft_sleep_until(earlier(alive.at_ns, earlier(look.at_ns, pruning.at_ns)));
    }
    return 0;
}
