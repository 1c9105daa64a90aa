/* SPDX-License-Identifier: MIT
 * offload.c - threads for blocking calls. See weft/offload.h.
 *
 * A thread is started when a call comes, no thread idles and the limit allows it; it stays until
 * the runtime ends. One mutex guards the queue and the state of every call. */
#include <os/handler.h>
#include <runtime/worker.h>

#include <weft/offload.h>

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

enum call_state {
    QUEUED,
    RUNNING,
    DONE,
};

/* On the stack of the fiber that waits for it. */
struct call {
    struct weft_link link; /* in pool->queue while QUEUED */
    int (*fn)(void *);
    void *arg;
    int result;
    enum call_state state;
    struct weft_fiber *fiber;
};

struct weft_offload_pool {
    pthread_mutex_t mutex;
    pthread_cond_t called;
    struct weft_link queue;
    unsigned queue_len, queue_max;
    unsigned idle, threads_len, threads_max;
    bool closing;
    pthread_t threads[];
};

static void run_call(struct weft_offload_pool *pool, struct call *call)
{
    weft_list_unlink(&call->link);
    pool->queue_len--;
    call->state = RUNNING;
    (void)pthread_mutex_unlock(&pool->mutex);
    int result = call->fn(call->arg);
    (void)pthread_mutex_lock(&pool->mutex);
    call->result = result;
    call->state = DONE;
    /* Under the mutex: a fiber that was woken by a cancel looks at the state before it leaves. */
    (void)weft_unpark(call->fiber, 0);
}

static void *thread_main(void *arg)
{
    struct weft_offload_pool *pool = arg;
    (void)pthread_mutex_lock(&pool->mutex);
    while (!pool->closing || !weft_list_empty(&pool->queue)) {
        if (!weft_list_empty(&pool->queue)) {
            run_call(pool, weft_container_of(pool->queue.next, struct call, link));
            continue;
        }
        pool->idle++;
        (void)pthread_cond_wait(&pool->called, &pool->mutex);
        pool->idle--;
    }
    (void)pthread_mutex_unlock(&pool->mutex);
    return NULL;
}

static struct weft_offload_pool *pool_open(unsigned threads_max, unsigned queue_max)
{
    struct weft_offload_pool *pool = calloc(1, sizeof *pool + threads_max * sizeof(pthread_t));
    if (!pool)
        return NULL;
    (void)pthread_mutex_init(&pool->mutex, NULL); /* cannot fail with default attributes */
    (void)pthread_cond_init(&pool->called, NULL);
    weft_list_init(&pool->queue);
    pool->threads_max = threads_max;
    pool->queue_max = queue_max;
    return pool;
}

void weft_offload_pool_close(struct weft_offload_pool *pool)
{
    if (!pool)
        return;
    (void)pthread_mutex_lock(&pool->mutex);
    pool->closing = true;
    (void)pthread_cond_broadcast(&pool->called);
    (void)pthread_mutex_unlock(&pool->mutex);
    for (unsigned i = 0; i < pool->threads_len; i++)
        (void)pthread_join(pool->threads[i], NULL);
    (void)pthread_cond_destroy(&pool->called);
    (void)pthread_mutex_destroy(&pool->mutex);
    free(pool);
}

static int start_thread(struct weft_offload_pool *pool)
{
    sigset_t before;
    weft_signals_hold(&before);
    int err = pthread_create(&pool->threads[pool->threads_len], NULL, thread_main, pool);
    weft_signals_restore(&before);
    if (err == 0)
        pool->threads_len++;
    return -err;
}

/* Under the mutex. Returns 0, WEFT_EFULL, -EAGAIN */
static int enqueue(struct weft_offload_pool *pool, struct call *call)
{
    if (pool->queue_len >= pool->queue_max)
        return WEFT_EFULL;
    if (pool->idle <= pool->queue_len && pool->threads_len < pool->threads_max) {
        int err = start_thread(pool);
        if (err < 0 && pool->threads_len == 0)
            return err;
    }
    weft_list_append(&pool->queue, &call->link);
    pool->queue_len++;
    (void)pthread_cond_signal(&pool->called);
    return 0;
}

/* The wait was cancelled: take the call back, or wait for its end. Returns the call's result or
 * -ECANCELED when it did not run. */
static int take_back(struct weft_offload_pool *pool, struct call *call)
{
    (void)pthread_mutex_lock(&pool->mutex);
    enum call_state state = call->state;
    if (state == QUEUED) {
        weft_list_unlink(&call->link);
        pool->queue_len--;
    } else if (state == RUNNING) {
        weft_park_prepare(call->fiber);
    }
    (void)pthread_mutex_unlock(&pool->mutex);
    if (state == QUEUED)
        return -ECANCELED;
    if (state == RUNNING) {
        call->fiber->waits_for = "a blocking call that has begun";
        (void)weft_park(call->fiber, WEFT_FOREVER, WEFT_PARK_SHIELDED);
    }
    return call->result;
}

int weft_offload(int (*fn)(void *), void *arg)
{
    struct weft_fiber *self;
    int err = weft_enter(&self);
    if (err < 0)
        return err;
    struct weft_worker *worker = self->worker;
    if (!worker->offload)
        worker->offload = pool_open(worker->offload_threads_max, worker->offload_queue_max);
    struct weft_offload_pool *pool = worker->offload;
    if (!pool)
        return -ENOMEM;

    struct call call = {.fn = fn, .arg = arg, .state = QUEUED, .fiber = self};
    weft_park_prepare(self);
    (void)pthread_mutex_lock(&pool->mutex);
    err = enqueue(pool, &call);
    (void)pthread_mutex_unlock(&pool->mutex);
    if (err < 0) {
        weft_park_abandon(self);
        return err;
    }
    worker->outstanding++;
    self->waits_for = "a blocking call on a thread";
    err = weft_park(self, WEFT_FOREVER, WEFT_PARK_CANCELLABLE);
    int result = err < 0 ? take_back(pool, &call) : call.result;
    worker->outstanding--;
    return result;
}
