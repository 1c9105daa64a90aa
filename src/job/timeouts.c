/* SPDX-License-Identifier: MIT
 * timeouts.c - attempts that have to end: they are told, and given up when they do not.
 *
 * A handler is told by the cancellation of its scope. If it has not returned one grace later, it is
 * ended by force where its executor can do that. Where it cannot, or even that was in vain, its job
 * is settled without it and its place given back; what it does from then on concerns nobody, only
 * the count of those that are stuck. One heap holds the next step of each attempt that has one. */
#include "engine_internal.h"

#include <base/time.h>
#include <job/executor.h>

#include <weft/runtime.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define FORCE_NS       (10 * WEFT_SEC) /* for a process that is killed to be gone */
#define DRAIN_GRACE_NS (10 * WEFT_SEC) /* at most, when the whole engine ends */
#define STUCK_IS_OPEN  0x80000000u     /* in the count of stuck handlers: the engine is there */

/* ---- the count of those that are stuck -------------------------------------------------- */

atomic_uint *weft_stuck_open(void)
{
    atomic_uint *stuck = malloc(sizeof *stuck);
    if (stuck)
        atomic_init(stuck, STUCK_IS_OPEN);
    return stuck;
}

static void take_off(atomic_uint *stuck, unsigned count)
{
    if (atomic_fetch_sub(stuck, count) == count)
        free(stuck);
}

void weft_stuck_close(atomic_uint *stuck)
{
    if (stuck)
        take_off(stuck, STUCK_IS_OPEN);
}

void weft_stuck_ended(atomic_uint *stuck)
{
    take_off(stuck, 1);
}

unsigned weft_stuck_count(const atomic_uint *stuck)
{
    return atomic_load(stuck) & ~STUCK_IS_OPEN;
}

/* ---- times ------------------------------------------------------------------------------ */

int64_t weft_engine_job_timeout(const struct weft_engine_job *job)
{
    int64_t timeout_ns = job->job->timeout_us > 0 ? weft_ns_from_us(job->job->timeout_us)
                                                  : weft_executor_timeout(job->handler);
    return timeout_ns < WEFT_FOREVER ? timeout_ns : 0;
}

int64_t weft_engine_job_grace(const struct weft_engine_job *job)
{
    if (job->job->grace_us > 0)
        return weft_ns_from_us(job->job->grace_us);
    return job->handler->grace_ns > 0 ? job->handler->grace_ns : WEFT_GRACE_NS;
}

static void arm(struct weft_engine_job *job, int64_t at_ns)
{
    struct weft_engine *engine = job->engine;
    weft_heap_remove(&engine->timers, &job->timer);
    if (at_ns == WEFT_FOREVER)
        return;
    job->timer.deadline_ns = at_ns;
    weft_heap_push(&engine->timers, &job->timer);
    if (weft_heap_first(&engine->timers) == &job->timer)
        weft_wake_post(&engine->timers_wake);
}

void weft_engine_job_clock(struct weft_engine_job *job)
{
    int64_t timeout_ns = weft_engine_job_timeout(job);
    if (timeout_ns <= 0)
        return;
    int64_t at_ns = weft_time_after(weft_now(), timeout_ns);
    job->timeout_ns = timeout_ns;
    weft_scope_set_deadline(&job->scope, at_ns); /* for weft_deadline */
    if (!job->stop)
        arm(job, at_ns);
}

/* ---- the steps -------------------------------------------------------------------------- */

void weft_engine_job_stop(struct weft_engine_job *job, enum weft_stop why)
{
    bool first = job->stop == WEFT_STOP_NOT;
    if (why <= job->stop)
        return;
    job->stop = why;
    atomic_store_explicit(&job->cancelled, true, memory_order_relaxed);
    if (!first || !job->running || job->given_up)
        return;
    weft_scope_cancel(&job->scope, why == WEFT_STOP_TIMEOUT ? -ETIMEDOUT : 0);
    arm(job, weft_time_after(weft_now(), weft_engine_job_grace(job)));
}

static void force(struct weft_engine_job *job)
{
    job->forced = true;
    if (job->force)
        weft_scope_cancel(job->force, 0);
    arm(job, weft_time_after(weft_now(), FORCE_NS));
}

static void give_up(struct weft_engine_job *job)
{
    weft_heap_remove(&job->engine->timers, &job->timer);
    job->given_up = true;
    (void)atomic_fetch_add(job->stuck, 1);
    weft_engine_log(job->engine, WEFT_LOG_ERROR, job->job, "stuck",
                    "the handler did not end although it had to");
    if (job->call)
        weft_thread_abandon(job->call);
    if (job->force)
        weft_scope_cancel(job->force, 0);
    weft_engine_job_conclude_stuck(job, weft_engine_job_grace(job));
}

static void step(struct weft_engine_job *job)
{
    if (!job->stop)
        weft_engine_job_stop(job, WEFT_STOP_TIMEOUT);
    else if (weft_executor_forces(job->handler) && !job->forced)
        force(job);
    else
        give_up(job);
}

/* ---- the fiber -------------------------------------------------------------------------- */

/* Those that were told before may have more time than we have. */
static void stop_for_drain(struct weft_table_node *node, void *arg)
{
    struct weft_engine_job *job = weft_container_of(node, struct weft_engine_job, by_id);
    int64_t last_ns = *(const int64_t *)arg + DRAIN_GRACE_NS;
    weft_engine_job_stop(job, WEFT_STOP_DRAIN);
    if (job->running && !job->given_up && !job->forced &&
        (!weft_timer_armed(&job->timer) || job->timer.deadline_ns > last_ns))
        arm(job, last_ns);
}

/* Do what is due. Returns when the next is. */
static int64_t do_due(struct weft_engine *engine)
{
    int64_t now_ns = weft_now();
    struct weft_timer *timer;
    if (engine->stopping && now_ns >= engine->deadline_ns && !engine->cut_short) {
        engine->cut_short = true;
        weft_table_visit(&engine->jobs, stop_for_drain, &now_ns);
    }
    while ((timer = weft_heap_first(&engine->timers)) && timer->deadline_ns <= now_ns)
        step(weft_container_of(timer, struct weft_engine_job, timer));
    int64_t next_ns = timer ? timer->deadline_ns : WEFT_FOREVER;
    bool drains = engine->stopping && !engine->cut_short;
    return drains && engine->deadline_ns < next_ns ? engine->deadline_ns : next_ns;
}

int weft_timeouts_main(void *arg)
{
    struct weft_engine *engine = arg;
    int err = 0;
    while (err != -ECANCELED)
        err = weft_wake_wait(&engine->timers_wake, do_due(engine));
    return 0;
}
