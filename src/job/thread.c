/* SPDX-License-Identifier: MIT
 * thread.c - the executor "thread": handlers that block.
 *
 * The attempt's fiber waits for the thread, behind a shield: a cancellation only sets the flag that
 * weft_attempt_is_cancelled shows, and the thread goes on until it looks at it. One that is given
 * up is left alone. It keeps what it needs, its job and its count among the stuck, and is kept from
 * what it must not touch any more, the engine. A place on a thread is given back with it: the
 * threads themselves are more than the places, by those that may be stuck. */
#include "engine_internal.h"

#include <runtime/offload.h>

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

/* Owned by the thread, or by the fiber where there never was one or it has returned. */
struct weft_thread_call {
    struct weft_engine_job *job; /* a reference */
    pthread_mutex_t mutex;       /* held while the handler has something done by the engine */
    bool abandoned;
    int64_t thread;
};

static int thread_main(void *arg)
{
    struct weft_thread_call *call = arg;
    struct weft_engine_job *job = call->job;
    call->thread = gettid();
    return job->handler->run(&job->attempt, job->handler->settings);
}

static void release(void *arg)
{
    struct weft_thread_call *call = arg;
    (void)pthread_mutex_destroy(&call->mutex);
    weft_engine_job_unref(call->job);
    free(call);
}

static int run_with_place(struct weft_engine_job *job)
{
    struct weft_thread_call *call = calloc(1, sizeof *call);
    if (!call)
        return -ENOMEM;
    (void)pthread_mutex_init(&call->mutex, NULL);
    call->job = job;
    atomic_fetch_add_explicit(&job->references, 1, memory_order_relaxed);
    job->call = call;
    weft_engine_job_clock(job);

    struct weft_scope force;
    int result = -ECANCELED;
    weft_scope_enter(&force, WEFT_FOREVER, WEFT_SCOPE_SHIELD);
    job->force = &force;
    int err = weft_offload_or_abandon_on(WEFT_OFFLOAD_JOBS, thread_main, call, release,
                                         WEFT_FOREVER, &result);
    job->force = NULL;
    (void)weft_scope_leave(&force, 0);
    if (err) { /* it was released, or will be: the thread still looks at job->call */
        if (!job->given_up)
            job->call = NULL;
        return err;
    }
    job->thread = call->thread;
    job->call = NULL;
    release(call);
    return result;
}

int weft_thread_run(struct weft_engine_job *job)
{
    struct weft_semaphore *places = &job->engine->threads;
    int err = weft_semaphore_acquire(places, 1, WEFT_FOREVER);
    if (err)
        return err;
    int result = run_with_place(job);
    (void)weft_semaphore_release(places, 1);
    return result;
}

void weft_thread_abandon(struct weft_thread_call *call)
{
    (void)pthread_mutex_lock(&call->mutex);
    call->abandoned = true;
    (void)pthread_mutex_unlock(&call->mutex);
}

bool weft_engine_job_reach(struct weft_engine_job *job)
{
    struct weft_thread_call *call = job->call;
    if (!call) /* on the fiber */
        return !job->given_up;
    (void)pthread_mutex_lock(&call->mutex);
    if (!call->abandoned)
        return true;
    (void)pthread_mutex_unlock(&call->mutex);
    return false;
}

void weft_engine_job_let_go(struct weft_engine_job *job)
{
    if (job->call)
        (void)pthread_mutex_unlock(&job->call->mutex);
}
