/* SPDX-License-Identifier: MIT
 * engine_thread.c - the engines of threads, for comparison: one libcurl handle on one thread
 * (sync), or one on each of many (threaded). What they do for an exchange is engine_easy.c's.
 *
 * A fiber hands its exchange to a thread that is free and waits; there is one, because the fetcher
 * lets no more exchanges in than there are threads. Rules, limits and waits are the fetcher's, as
 * for fibers, so that only what waits for the network differs. The clock runs on the thread. */
#include <fetch/engine_easy.h>

#include <base/list.h>
#include <weft/runtime.h>
#include <weft/scope.h>
#include <weft/sync.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

struct thread {
    struct weft_link free; /* in pool->free, while nobody uses it */
    struct pool *pool;
    struct weft_fetch_easy *easy;
    pthread_t id;
    pthread_mutex_t lock;
    pthread_cond_t wanted;
    struct weft_fetch_exchange *exchange; /* under lock; NULL: nothing to do */
    bool ends;                            /* under lock */
    int result;
    struct weft_event done; /* set by the thread */
};

struct pool {
    pthread_mutex_t lock;
    struct weft_link free;
    unsigned started;
    unsigned count;
    struct thread threads[];
};

/* ---- on the thread ------------------------------------------------------------------------ */

/* Returns NULL when there will be nothing to do any more. */
static struct weft_fetch_exchange *next_exchange(struct thread *thread)
{
    (void)pthread_mutex_lock(&thread->lock);
    while (!thread->exchange && !thread->ends)
        (void)pthread_cond_wait(&thread->wanted, &thread->lock);
    struct weft_fetch_exchange *exchange = thread->exchange;
    thread->exchange = NULL;
    (void)pthread_mutex_unlock(&thread->lock);
    return exchange;
}

static void *run_thread(void *arg)
{
    struct thread *thread = arg;
    struct weft_fetch_exchange *exchange;
    while ((exchange = next_exchange(thread))) {
        thread->result = weft_fetch_easy_exchange(thread->easy, exchange);
        (void)weft_event_set(&thread->done);
    }
    return NULL;
}

/* ---- on the fiber ------------------------------------------------------------------------- */

static struct thread *take_thread(struct pool *pool)
{
    (void)pthread_mutex_lock(&pool->lock);
    struct weft_link *link = pool->free.prev; /* used last: its connection is the youngest */
    struct thread *thread =
        link == &pool->free ? NULL : weft_container_of(link, struct thread, free);
    if (thread)
        weft_list_unlink(link);
    (void)pthread_mutex_unlock(&pool->lock);
    return thread;
}

static void give_thread(struct thread *thread)
{
    (void)pthread_mutex_lock(&thread->pool->lock);
    weft_list_append(&thread->pool->free, &thread->free);
    (void)pthread_mutex_unlock(&thread->pool->lock);
}

static int wait_shielded(void *arg)
{
    return weft_event_wait(arg, WEFT_FOREVER);
}

static int exchange_on(void *engine, struct weft_fetch_exchange *exchange)
{
    struct thread *thread = take_thread(engine);
    if (!thread)
        return weft_fetch_fail(exchange->answer, WEFT_EFULL, "no thread is free");
    (void)weft_event_clear(&thread->done);
    weft_fetch_easy_begin(thread->easy);
    (void)pthread_mutex_lock(&thread->lock);
    thread->exchange = exchange;
    (void)pthread_cond_signal(&thread->wanted);
    (void)pthread_mutex_unlock(&thread->lock);
    /* The exchange is the fiber's: it is waited for in any case. */
    int err = weft_event_wait(&thread->done, WEFT_FOREVER);
    if (err) {
        weft_fetch_easy_stop(thread->easy);
        (void)weft_shield(wait_shielded, &thread->done);
    }
    err = thread->result;
    give_thread(thread);
    return err;
}

/* ---- open and close ----------------------------------------------------------------------- */

static void stop_thread(struct thread *thread)
{
    (void)pthread_mutex_lock(&thread->lock);
    thread->ends = true;
    (void)pthread_cond_signal(&thread->wanted);
    (void)pthread_mutex_unlock(&thread->lock);
    (void)pthread_join(thread->id, NULL);
    (void)pthread_cond_destroy(&thread->wanted);
    (void)pthread_mutex_destroy(&thread->lock);
    weft_fetch_easy_close(thread->easy);
}

static void close_engine(void *engine)
{
    struct pool *pool = engine;
    for (unsigned i = 0; i < pool->started; i++)
        stop_thread(&pool->threads[i]);
    (void)pthread_mutex_destroy(&pool->lock);
    free(pool);
}

/* Signals are for the program's own threads. */
static int create_thread(struct thread *thread)
{
    sigset_t all, before;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    int err = -pthread_create(&thread->id, NULL, run_thread, thread);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return err;
}

static int start_thread(struct pool *pool, const struct weft_fetcher_options *options)
{
    struct thread *thread = &pool->threads[pool->started];
    thread->pool = pool;
    int err = weft_event_init(&thread->done, WEFT_SHARED);
    if (err == 0)
        err = weft_fetch_easy_open(&thread->easy, options);
    if (err)
        return err;
    (void)pthread_mutex_init(&thread->lock, NULL);  /* of this kind it cannot fail, */
    (void)pthread_cond_init(&thread->wanted, NULL); /* nor can this */
    err = create_thread(thread);
    if (err) {
        weft_fetch_easy_close(thread->easy);
        return err;
    }
    weft_list_append(&pool->free, &thread->free);
    pool->started++;
    return 0;
}

static int open_engine(void **ret_engine, const struct weft_fetcher_options *options)
{
    unsigned count = options->concurrency;
    struct pool *pool = calloc(1, sizeof *pool + count * sizeof pool->threads[0]);
    if (!pool)
        return -ENOMEM;
    pool->count = count;
    weft_list_init(&pool->free);
    (void)pthread_mutex_init(&pool->lock, NULL);
    int err = 0;
    while (err == 0 && pool->started < count)
        err = start_thread(pool, options);
    if (err) {
        close_engine(pool);
        return err;
    }
    *ret_engine = pool;
    return 0;
}

const struct weft_fetch_engine_ops weft_fetch_threads = {
    .open = open_engine,
    .exchange = exchange_on,
    .close = close_engine,
};
