/* SPDX-License-Identifier: MIT
 * offload.c - threads for blocking calls. See weft/offload.h and offload.h.
 *
 * A thread is started when a call comes, no thread of its class idles and the limit allows it; it
 * stays until the runtime ends. One mutex guards the queues and the state of every call.
 *
 * A call is in the hands of its fiber, or of nobody: then it is abandoned, lives on the heap, and
 * whoever holds it last releases what it owns. Threads that are busy with such a call when the
 * runtime ends are left to themselves; the last one takes the pool with it. */
#include <os/handler.h>
#include <runtime/offload.h>
#include <runtime/worker.h>

#include <weft/offload.h>

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#define FILES_THREADS 4u
#define FILES_QUEUE   65536u
#define NAMES_THREADS 4u
#define NAMES_QUEUE   1024u
#define JOBS_THREADS  1024u
#define JOBS_QUEUE    1024u

enum call_state {
    QUEUED,
    RUNNING,
    DONE,
};

/* On the stack of the fiber that waits for it, or, where it can be abandoned, on the heap. */
struct call {
    struct weft_link link; /* in lane->queue while QUEUED */
    int (*fn)(void *);
    void *arg;
    void (*release)(void *arg); /* of a call that can be abandoned */
    int result;
    enum call_state state;
    struct weft_fiber *fiber; /* NULL: abandoned */
};

struct lane;

struct thread {
    pthread_t id;
    struct weft_offload_pool *pool;
    struct lane *lane;
    const struct call *running;
};

/* The threads and the queue of one class. */
struct lane {
    pthread_cond_t called;
    struct weft_link queue;
    unsigned queue_len, queue_max;
    unsigned idle, threads_len, threads_max;
    struct thread *threads;
};

struct weft_offload_pool {
    pthread_mutex_t mutex;
    unsigned users; /* the runtime and each thread */
    bool closing;
    struct lane lanes[WEFT_OFFLOAD_CLASSES];
};

/* ---- the pool -------------------------------------------------------------------------- */

static void pool_free(struct weft_offload_pool *pool)
{
    for (int i = 0; i < WEFT_OFFLOAD_CLASSES; i++) {
        (void)pthread_cond_destroy(&pool->lanes[i].called);
        free(pool->lanes[i].threads);
    }
    (void)pthread_mutex_destroy(&pool->mutex);
    free(pool);
}

/* Under the mutex, which it gives back. */
static void leave_pool(struct weft_offload_pool *pool)
{
    bool last = --pool->users == 0;
    (void)pthread_mutex_unlock(&pool->mutex);
    if (last)
        pool_free(pool);
}

static int lane_init(struct lane *lane, unsigned threads_max, unsigned queue_max)
{
    (void)pthread_cond_init(&lane->called, NULL); /* cannot fail with default attributes */
    weft_list_init(&lane->queue);
    lane->threads_max = threads_max;
    lane->queue_max = queue_max;
    lane->threads = calloc(threads_max, sizeof *lane->threads);
    return lane->threads ? 0 : -ENOMEM;
}

static struct weft_offload_pool *pool_open(const struct weft_worker *worker)
{
    struct weft_offload_pool *pool = calloc(1, sizeof *pool);
    if (!pool)
        return NULL;
    (void)pthread_mutex_init(&pool->mutex, NULL);
    pool->users = 1;
    int user = lane_init(&pool->lanes[WEFT_OFFLOAD_USER], worker->offload_threads_max,
                         worker->offload_queue_max);
    int files = lane_init(&pool->lanes[WEFT_OFFLOAD_FILES], FILES_THREADS, FILES_QUEUE);
    int names = lane_init(&pool->lanes[WEFT_OFFLOAD_NAMES], NAMES_THREADS, NAMES_QUEUE);
    int jobs = lane_init(&pool->lanes[WEFT_OFFLOAD_JOBS], JOBS_THREADS, JOBS_QUEUE);
    if (user < 0 || files < 0 || names < 0 || jobs < 0) {
        pool_free(pool);
        return NULL;
    }
    return pool;
}

static struct weft_offload_pool *pool_of(struct weft_worker *worker)
{
    if (!worker->offload)
        worker->offload = pool_open(worker);
    return worker->offload;
}

/* Under the mutex, which is given back meanwhile. */
static void call_release(struct weft_offload_pool *pool, struct call *call)
{
    (void)pthread_mutex_unlock(&pool->mutex);
    call->release(call->arg);
    free(call);
    (void)pthread_mutex_lock(&pool->mutex);
}

static void take_from_queue(struct lane *lane, struct call *call)
{
    weft_list_unlink(&call->link);
    lane->queue_len--;
}

/* ---- its threads ----------------------------------------------------------------------- */

static void run_call(struct thread *thread, struct call *call)
{
    struct weft_offload_pool *pool = thread->pool;
    take_from_queue(thread->lane, call);
    call->state = RUNNING;
    thread->running = call;
    (void)pthread_mutex_unlock(&pool->mutex);
    int result = call->fn(call->arg);
    (void)pthread_mutex_lock(&pool->mutex);
    thread->running = NULL;
    call->result = result;
    call->state = DONE;
    /* Under the mutex: a fiber that was woken by a cancel looks at the state before it leaves. */
    if (call->fiber)
        (void)weft_unpark(call->fiber, 0);
    else
        call_release(pool, call);
}

static void *thread_main(void *arg)
{
    struct thread *thread = arg;
    struct weft_offload_pool *pool = thread->pool;
    struct lane *lane = thread->lane;
    (void)pthread_mutex_lock(&pool->mutex);
    while (!pool->closing) {
        if (!weft_list_empty(&lane->queue)) {
            // NOLINTNEXTLINE(clang-analyzer-unix.Malloc): the one before was taken out of the list
            run_call(thread, weft_container_of(lane->queue.next, struct call, link));
            continue;
        }
        lane->idle++;
        (void)pthread_cond_wait(&lane->called, &pool->mutex);
        lane->idle--;
    }
    leave_pool(pool);
    return NULL;
}

static int start_thread(struct weft_offload_pool *pool, struct lane *lane)
{
    sigset_t before;
    struct thread *thread = &lane->threads[lane->threads_len];
    *thread = (struct thread){.pool = pool, .lane = lane};
    weft_signals_hold(&before);
    int err = pthread_create(&thread->id, NULL, thread_main, thread);
    weft_signals_restore(&before);
    if (err == 0) {
        lane->threads_len++;
        pool->users++;
    }
    return -err;
}

/* Under the mutex, which is given back meanwhile. No fiber waits any more: what is left was posted,
 * and owns what it holds. */
static void drop_queue(struct weft_offload_pool *pool, struct lane *lane)
{
    while (!weft_list_empty(&lane->queue)) {
        struct call *call = weft_container_of(lane->queue.next, struct call, link);
        take_from_queue(lane, call);
        call_release(pool, call);
    }
}

/* Under the mutex, which is given back meanwhile. */
static void end_threads(struct weft_offload_pool *pool, struct lane *lane)
{
    (void)pthread_cond_broadcast(&lane->called);
    for (unsigned i = 0; i < lane->threads_len; i++) {
        const struct thread *thread = &lane->threads[i];
        if (thread->running) { /* abandoned */
            (void)pthread_detach(thread->id);
            continue;
        }
        (void)pthread_mutex_unlock(&pool->mutex);
        (void)pthread_join(thread->id, NULL);
        (void)pthread_mutex_lock(&pool->mutex);
    }
}

void weft_offload_pool_close(struct weft_offload_pool *pool)
{
    if (!pool)
        return;
    (void)pthread_mutex_lock(&pool->mutex);
    pool->closing = true;
    for (int i = 0; i < WEFT_OFFLOAD_CLASSES; i++) {
        drop_queue(pool, &pool->lanes[i]);
        end_threads(pool, &pool->lanes[i]);
    }
    leave_pool(pool);
}

/* ---- calls ----------------------------------------------------------------------------- */

/* Returns 0, WEFT_EFULL, -EAGAIN */
static int enqueue(struct weft_offload_pool *pool, struct lane *lane, struct call *call)
{
    int err = 0;
    (void)pthread_mutex_lock(&pool->mutex);
    if (lane->queue_len >= lane->queue_max)
        err = WEFT_EFULL;
    else if (lane->idle <= lane->queue_len && lane->threads_len < lane->threads_max)
        err = start_thread(pool, lane);
    if (err != WEFT_EFULL && lane->threads_len > 0)
        err = 0; /* one thread more would have been nice */
    if (err == 0) {
        weft_list_append(&lane->queue, &call->link);
        lane->queue_len++;
        (void)pthread_cond_signal(&lane->called);
    }
    (void)pthread_mutex_unlock(&pool->mutex);
    return err;
}

/* The wait was cancelled: take the call back, or wait for its end. Returns the call's result or
 * -ECANCELED when it did not run. */
static int take_back(struct weft_offload_pool *pool, struct lane *lane, struct call *call)
{
    (void)pthread_mutex_lock(&pool->mutex);
    enum call_state state = call->state;
    if (state == QUEUED)
        take_from_queue(lane, call);
    else if (state == RUNNING)
        weft_park_prepare(call->fiber);
    (void)pthread_mutex_unlock(&pool->mutex);
    if (state == QUEUED)
        return -ECANCELED;
    if (state == RUNNING) {
        call->fiber->waits_for = "a blocking call that has begun";
        (void)weft_park(call->fiber, WEFT_FOREVER, WEFT_PARK_SHIELDED);
    }
    return call->result;
}

/* Hand the call over and wait. Returns 0 (it is done), -ECANCELED, -ETIMEDOUT (look at its state);
 * or why it could not be queued, with *ret_queued false. */
static int queue_and_wait(struct weft_fiber *self, struct lane *lane, struct call *call,
                          int64_t deadline_ns, bool *ret_queued)
{
    struct weft_worker *worker = self->worker;
    weft_park_prepare(self);
    int err = enqueue(worker->offload, lane, call);
    *ret_queued = err == 0;
    if (err < 0) {
        weft_park_abandon(self);
        return err;
    }
    self->waits_for = "a blocking call on a thread";
    worker->outstanding++;
    err = weft_park(self, deadline_ns, WEFT_PARK_CANCELLABLE);
    worker->outstanding--;
    return err;
}

int weft_offload_on(enum weft_offload_class kind, int (*fn)(void *), void *arg)
{
    struct weft_fiber *self;
    bool queued;
    int err = weft_enter(&self);
    if (err < 0)
        return err;
    struct weft_worker *worker = self->worker;
    struct weft_offload_pool *pool = pool_of(worker);
    if (!pool)
        return -ENOMEM;
    struct lane *lane = &pool->lanes[kind];
    struct call call = {.fn = fn, .arg = arg, .state = QUEUED, .fiber = self};
    err = queue_and_wait(self, lane, &call, WEFT_FOREVER, &queued);
    if (!queued)
        return err;
    if (err == 0)
        return call.result;
    worker->outstanding++;
    int result = take_back(pool, lane, &call);
    worker->outstanding--;
    return result;
}

int weft_offload(int (*fn)(void *), void *arg)
{
    return weft_offload_on(WEFT_OFFLOAD_USER, fn, arg);
}

int weft_offload_post(enum weft_offload_class kind, int (*fn)(void *), void *arg,
                      void (*release)(void *arg))
{
    struct weft_offload_pool *pool = pool_of(weft_current_worker);
    struct call *call = pool ? calloc(1, sizeof *call) : NULL;
    if (!call)
        return -ENOMEM;
    *call = (struct call){.fn = fn, .arg = arg, .release = release, .state = QUEUED};
    int err = enqueue(pool, &pool->lanes[kind], call);
    if (err < 0)
        free(call);
    return err; // NOLINT(clang-analyzer-unix.Malloc): the queue has it
}

/* The wait is over before the call is. Returns true when the caller still holds the call. */
static bool let_go(struct weft_offload_pool *pool, struct lane *lane, struct call *call)
{
    (void)pthread_mutex_lock(&pool->mutex);
    enum call_state state = call->state;
    if (state == QUEUED)
        take_from_queue(lane, call);
    else if (state == RUNNING)
        call->fiber = NULL;
    (void)pthread_mutex_unlock(&pool->mutex);
    return state != RUNNING;
}

/* Returns 0 with the result set and arg the caller's, or negative with arg released, now or by the
 * thread that runs the call. */
static int run_or_abandon(enum weft_offload_class kind, struct weft_fiber *self, struct call *call,
                          int64_t deadline_ns, int *ret_result)
{
    struct weft_offload_pool *pool = pool_of(self->worker);
    bool queued = false;
    int err = pool ? 0 : -ENOMEM;
    if (pool) {
        struct lane *lane = &pool->lanes[kind];
        err = queue_and_wait(self, lane, call, deadline_ns, &queued);
        if (queued && err < 0 && !let_go(pool, lane, call))
            return err;
    }
    if (queued && call->state == DONE) {
        *ret_result = call->result;
        err = 0;
    } else {
        call->release(call->arg);
    }
    free(call);
    return err;
}

int weft_offload_or_abandon_on(enum weft_offload_class kind, int (*fn)(void *), void *arg,
                               void (*release)(void *arg), int64_t deadline_ns, int *ret_result)
{
    struct weft_fiber *self;
    int err = weft_enter(&self);
    if (err == 0 && deadline_ns == WEFT_NOWAIT)
        err = -EAGAIN;
    struct call *call = err == 0 ? calloc(1, sizeof *call) : NULL;
    if (!call) {
        release(arg);
        return err < 0 ? err : -ENOMEM;
    }
    *call = (struct call){
        .fn = fn,
        .arg = arg,
        .release = release,
        .state = QUEUED,
        .fiber = self,
    };
    return run_or_abandon(kind, self, call, deadline_ns, ret_result);
}

int weft_offload_or_abandon(int (*fn)(void *), void *arg, void (*release)(void *arg),
                            int64_t deadline_ns, int *ret_result)
{
    return weft_offload_or_abandon_on(WEFT_OFFLOAD_USER, fn, arg, release, deadline_ns, ret_result);
}
