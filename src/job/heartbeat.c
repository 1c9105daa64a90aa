/* SPDX-License-Identifier: MIT
 * heartbeat.c - keeps leases that end alive, for brokers that do not hold them until they are
 * closed.
 *
 * A real thread does it, which no handler can starve, however long it computes. It shares one list
 * of leases with the engine, and walks it a portion at a time with a marker of its own in it, so
 * that neither ever holds the other up for long. What it hears of leases that are lost, or of jobs
 * that somebody wants cancelled, it leaves for a fiber. Under virtual time, where a handler that
 * computes takes no time, that fiber does all of it. */
#include "engine_internal.h"

#include <os/handler.h>
#include <runtime/worker.h>

#include <weft/runtime.h>

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#define AGAIN_NS (WEFT_SEC / 2) /* after a call that failed */

int64_t weft_beat_lease_us(const struct weft_engine *engine)
{
    return engine->beat.needed ? engine->options.lease_ns / 1000 : 0;
}

int weft_beat_init(struct weft_engine *engine)
{
    struct weft_beat *beat = &engine->beat;
    pthread_condattr_t monotonic;
    beat->needed = !(engine->capabilities & WEFT_BROKER_LEASES_UNTIL_CLOSE);
    weft_list_init(&beat->leased);
    weft_list_init(&beat->marker);
    (void)pthread_mutex_init(&beat->mutex, NULL);
    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&beat->changed, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
    beat->leases = calloc(WEFT_BEAT_MAX, sizeof *beat->leases);
    beat->answers = calloc(WEFT_BEAT_MAX, sizeof *beat->answers);
    return beat->leases && beat->answers ? weft_event_init(&beat->news, WEFT_SHARED) : -ENOMEM;
}

void weft_beat_deinit(struct weft_engine *engine)
{
    struct weft_beat *beat = &engine->beat;
    (void)pthread_cond_destroy(&beat->changed);
    (void)pthread_mutex_destroy(&beat->mutex);
    free(beat->leases);
    free(beat->answers);
}

unsigned weft_beat_failures(const struct weft_engine *engine)
{
    return atomic_load_explicit(&engine->beat.failures, memory_order_relaxed);
}

void weft_beat_add(struct weft_engine_job *job)
{
    struct weft_beat *beat = &job->engine->beat;
    (void)pthread_mutex_lock(&beat->mutex);
    weft_list_append(&beat->leased, &job->leased);
    beat->leased_count++;
    (void)pthread_mutex_unlock(&beat->mutex);
}

void weft_beat_remove(struct weft_engine_job *job)
{
    struct weft_beat *beat = &job->engine->beat;
    (void)pthread_mutex_lock(&beat->mutex);
    weft_list_unlink(&job->leased);
    beat->leased_count--;
    (void)pthread_mutex_unlock(&beat->mutex);
}

/* ---- one round -------------------------------------------------------------------------- */

/* The next leases behind the marker, at most max and no more than a call takes. */
static size_t collect(struct weft_beat *beat, size_t max, int64_t lease_us)
{
    size_t count = 0;
    struct weft_link *at = beat->marker.next;
    for (; at != &beat->leased && count < max && count < WEFT_BEAT_MAX; at = at->next) {
        const struct weft_job *job = weft_container_of(at, struct weft_engine_job, leased)->job;
        beat->leases[count++] =
            (struct weft_lease){.id = job->id, .token = job->lease_token, .lease_us = lease_us};
    }
    weft_list_unlink(&beat->marker);
    weft_list_append(at, &beat->marker); /* before where it goes on */
    return count;
}

static bool is_bad(const struct weft_lease *lease)
{
    return lease->err == -ESTALE || lease->cancelling;
}

/* Where there is no room for all of them, the next round will bring the rest again. */
static void leave_answers(struct weft_beat *beat, size_t count)
{
    bool any = false;
    (void)pthread_mutex_lock(&beat->mutex);
    for (size_t i = 0; i < count; i++) {
        if (!is_bad(&beat->leases[i]))
            continue;
        any = true;
        if (beat->answers_count < WEFT_BEAT_MAX)
            beat->answers[beat->answers_count++] = beat->leases[i];
    }
    (void)pthread_mutex_unlock(&beat->mutex);
    if (any)
        (void)weft_event_set(&beat->news);
}

static void take_answers(struct weft_engine *engine)
{
    struct weft_beat *beat = &engine->beat;
    struct weft_lease answer;
    bool more = true;
    (void)weft_event_clear(&beat->news);
    while (more) {
        (void)pthread_mutex_lock(&beat->mutex);
        more = beat->answers_count > 0;
        if (more)
            answer = beat->answers[--beat->answers_count];
        (void)pthread_mutex_unlock(&beat->mutex);
        if (more)
            weft_engine_lease_answered(engine, &answer);
    }
}

/* Extend all leases there are, from the thread or from a fiber. Returns 0, or the first error of a
 * call: the rest was tried too. */
static int beat_all(struct weft_engine *engine, bool on_fiber)
{
    const struct weft_broker_ops *ops = engine->broker->ops;
    struct weft_beat *beat = &engine->beat;
    int64_t lease_us = weft_beat_lease_us(engine);
    int first = 0;
    (void)pthread_mutex_lock(&beat->mutex);
    size_t left = beat->leased_count; /* those that come during the round are fresh */
    weft_list_append(beat->leased.next, &beat->marker);
    while (left > 0) {
        size_t count = collect(beat, left, lease_us);
        if (count == 0)
            break;
        left -= count;
        (void)pthread_mutex_unlock(&beat->mutex);
        int err = on_fiber ? ops->extend(engine->broker, beat->leases, count)
                           : ops->beat(engine->broker, beat->leases, count);
        atomic_fetch_add_explicit(&beat->failures, err != 0, memory_order_relaxed);
        if (err == 0)
            leave_answers(beat, count);
        else if (first == 0)
            first = err;
        if (on_fiber)
            take_answers(engine);
        (void)pthread_mutex_lock(&beat->mutex);
    }
    weft_list_unlink(&beat->marker);
    (void)pthread_mutex_unlock(&beat->mutex);
    return first;
}

void weft_beat_look(struct weft_engine *engine)
{
    if (!engine->beat.needed)
        (void)beat_all(engine, true);
}

static int64_t interval_ns(const struct weft_engine *engine, int err)
{
    int64_t third_ns = engine->options.lease_ns / 3;
    return err && AGAIN_NS < third_ns ? AGAIN_NS : third_ns;
}

/* ---- on a thread ------------------------------------------------------------------------ */

/* Under the mutex. */
static void wait_on_thread(struct weft_beat *beat, int64_t duration_ns)
{
    struct timespec until;
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    int64_t ns = until.tv_nsec + duration_ns;
    until.tv_sec += ns / WEFT_SEC;
    until.tv_nsec = ns % WEFT_SEC;
    int err = 0;
    while (err == 0 && !beat->stopping)
        err = pthread_cond_timedwait(&beat->changed, &beat->mutex, &until);
}

static void *thread_main(void *arg)
{
    struct weft_engine *engine = arg;
    struct weft_beat *beat = &engine->beat;
    int err = 0;
    for (;;) {
        (void)pthread_mutex_lock(&beat->mutex);
        wait_on_thread(beat, interval_ns(engine, err));
        bool stopping = beat->stopping;
        (void)pthread_mutex_unlock(&beat->mutex);
        if (stopping)
            return NULL;
        err = beat_all(engine, false);
    }
}

int weft_beat_start(struct weft_engine *engine)
{
    struct weft_beat *beat = &engine->beat;
    sigset_t before;
    bool real_time = weft_current_worker->clock == WEFT_CLOCK_REAL;
    if (!beat->needed || !real_time || !engine->broker->ops->beat)
        return 0;
    beat->runtime = weft_runtime_acquire(); /* it wakes a fiber */
    beat->stopping = false;
    weft_signals_hold(&before);
    int err = pthread_create(&beat->thread, NULL, thread_main, engine);
    weft_signals_restore(&before);
    beat->has_thread = err == 0;
    if (err)
        weft_runtime_release(beat->runtime);
    return -err;
}

void weft_beat_stop(struct weft_engine *engine)
{
    struct weft_beat *beat = &engine->beat;
    if (!beat->has_thread)
        return;
    (void)pthread_mutex_lock(&beat->mutex);
    beat->stopping = true;
    (void)pthread_cond_signal(&beat->changed);
    (void)pthread_mutex_unlock(&beat->mutex);
    (void)pthread_join(beat->thread, NULL);
    weft_runtime_release(beat->runtime);
    beat->has_thread = false;
}

/* ---- on a fiber ------------------------------------------------------------------------- */

int weft_beat_main(void *arg)
{
    struct weft_engine *engine = arg;
    struct weft_beat *beat = &engine->beat;
    int err = 0, heard = 0;
    while (err != -ECANCELED) {
        int64_t until_ns = WEFT_FOREVER;
        if (beat->needed && !beat->has_thread)
            until_ns = weft_now() + interval_ns(engine, heard);
        err = weft_event_wait(&beat->news, until_ns);
        if (err == -ETIMEDOUT)
            heard = beat_all(engine, true);
        take_answers(engine);
    }
    return 0;
}
