/* SPDX-License-Identifier: MIT
 * runtime.c - the workers of one weft_run: their beginning, their end, and when none can go on. */
#include <runtime/debug.h>
#include <runtime/fork.h>

#include <sched.h>
#include <stdlib.h>
#include <unistd.h>

#define WORKERS_MAX 1024u

struct weft_link weft_runtimes = {&weft_runtimes, &weft_runtimes};
static unsigned runtimes_lock;

static unsigned load(unsigned *at)
{
    return __atomic_load_n(at, __ATOMIC_SEQ_CST);
}

static void rouse_all(struct weft_runtime *runtime)
{
    for (unsigned i = 0; i < runtime->workers_len; i++)
        (void)weft_worker_rouse(&runtime->workers[i]);
}

/* ---- the end --------------------------------------------------------------------------- */

bool weft_runtime_finished(struct weft_runtime *runtime, const struct weft_worker *worker)
{
    return worker->fibers == 0 && load(&runtime->stopping) && load(&runtime->guests) == 0;
}

void weft_runtime_stop(struct weft_runtime *runtime, int result)
{
    runtime->result = result;
    __atomic_store_n(&runtime->stopping, 1, __ATOMIC_SEQ_CST);
    for (unsigned i = 0; i < runtime->workers_ready; i++)
        weft_scope_cancel(&runtime->workers[i].root, -ESHUTDOWN);
    rouse_all(runtime);
}

void weft_runtime_guest_left(struct weft_runtime *runtime)
{
    if (__atomic_sub_fetch(&runtime->guests, 1, __ATOMIC_SEQ_CST) == 0 && load(&runtime->stopping))
        rouse_all(runtime);
}

void weft_runtime_broken(struct weft_runtime *runtime, int err)
{
    int none = 0;
    (void)__atomic_compare_exchange_n(&runtime->broken, &none, err, false, __ATOMIC_SEQ_CST,
                                      __ATOMIC_RELAXED);
    weft_scope_cancel(&runtime->workers[0].root, err);
}

/* ---- deadlock -------------------------------------------------------------------------- */

/* Something is on its way to a worker that still counts as idle: mail, or news of a deadlock. */
static bool mail_under_way(struct weft_runtime *runtime)
{
    unsigned deadlocks = load(&runtime->deadlocks);
    for (unsigned i = 0; i < runtime->workers_len; i++) {
        struct weft_worker *worker = &runtime->workers[i];
        if (!weft_mailbox_empty(&worker->mailbox) || load(&worker->deadlocks_seen) != deadlocks)
            return true;
    }
    return weft_remote_waiting(runtime);
}

/* Cancel every fiber, so that they end. If they wait on behind shields, shields do not count any
 * more: each worker sees to its own (weft_worker_run). If they wait even then, nothing can help:
 * to return would leave waiters on unmapped stacks in the program's objects. */
static void break_deadlock(struct weft_runtime *runtime, unsigned deadlocks)
{
    /* Two workers that went idle at the same time may both have seen the same deadlock. */
    if (!__atomic_compare_exchange_n(&runtime->deadlocks, &deadlocks, deadlocks + 1, false,
                                     __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
        return;
    if (runtime->debug)
        weft_debug_deadlock(weft_current_worker);
    if (deadlocks >= 2)
        weft_misuse("fibers wait for each other where no cancellation reaches them");
    weft_scope_cancel(&runtime->workers[0].root, -EDEADLK);
    rouse_all(runtime);
}

/* All idle and no mail under way means that none will ever be sent: only a worker that is not idle
 * sends mail. rousings tells whether one was up and idle again while we looked. */
bool weft_runtime_idle(struct weft_runtime *runtime)
{
    if (__atomic_add_fetch(&runtime->idle, 1, __ATOMIC_SEQ_CST) < runtime->workers_len)
        return true;
    /* Not before we count: who is up and idle again before that leaves the looking to us. */
    unsigned rousings = load(&runtime->rousings), deadlocks = load(&runtime->deadlocks);
    if (load(&runtime->references) > 1 || load(&runtime->stopping) || mail_under_way(runtime) ||
        load(&runtime->idle) < runtime->workers_len || load(&runtime->rousings) != rousings)
        return true;
    weft_runtime_busy(runtime);
    break_deadlock(runtime, deadlocks);
    return false;
}

void weft_runtime_busy(struct weft_runtime *runtime)
{
    (void)__atomic_add_fetch(&runtime->rousings, 1, __ATOMIC_SEQ_CST);
    (void)__atomic_sub_fetch(&runtime->idle, 1, __ATOMIC_SEQ_CST);
}

/* ---- all of them ----------------------------------------------------------------------- */

static void enlist(struct weft_runtime *runtime)
{
    weft_lock(&runtimes_lock);
    weft_list_append(&weft_runtimes, &runtime->all);
    weft_unlock(&runtimes_lock);
}

static void delist(struct weft_runtime *runtime)
{
    weft_lock(&runtimes_lock);
    weft_list_unlink(&runtime->all);
    weft_unlock(&runtimes_lock);
}

void weft_runtimes_forget(void)
{
    weft_list_init(&weft_runtimes);
    runtimes_lock = 0;
}

/* ---- the beginning --------------------------------------------------------------------- */

struct weft_start {
    struct weft_worker *worker;
    const struct weft_run_options *options;
    unsigned state; /* the word that weft_run sleeps on: 0 until the worker is ready */
    int err;
};

static void *worker_main(void *arg)
{
    struct weft_start *start = arg;
    struct weft_worker *worker = start->worker;
    int err = weft_debug_attach(worker);
    if (err == 0)
        err = weft_worker_init(worker, start->options);
    start->err = err;
    __atomic_store_n(&start->state, 1, __ATOMIC_RELEASE);
    weft_futex_wake_one(&start->state); /* *start may be gone: then nobody sleeps there */
    if (err == 0)
        weft_worker_run(worker);
    weft_watch_detach(worker);
    return NULL;
}

static int start_worker(struct weft_runtime *runtime, unsigned index,
                        const struct weft_run_options *options)
{
    struct weft_start start = {.worker = &runtime->workers[index], .options = options};
    sigset_t before;
    weft_signals_hold(&before);
    int err = -pthread_create(&runtime->threads[index], NULL, worker_main, &start);
    weft_signals_restore(&before);
    if (err < 0)
        return err;
    while (!__atomic_load_n(&start.state, __ATOMIC_ACQUIRE))
        (void)weft_futex_wait(&start.state, 0, WEFT_FOREVER);
    if (start.err < 0)
        (void)pthread_join(runtime->threads[index], NULL);
    else
        runtime->workers_ready++;
    return start.err;
}

static int start_workers(struct weft_runtime *runtime, const struct weft_run_options *options)
{
    for (unsigned i = 0; i < runtime->workers_len; i++) {
        runtime->workers[i].runtime = runtime;
        runtime->workers[i].index = i;
        runtime->workers[i].wake_fd = -1;
        runtime->workers[i].crowded = runtime->workers_len > 1;
    }
    int err = weft_debug_open(runtime, options);
    if (err == 0)
        err = weft_debug_attach(&runtime->workers[0]);
    if (err == 0)
        err = weft_worker_init(&runtime->workers[0], options);
    if (err < 0)
        return err;
    runtime->workers_ready = 1;
    while (err == 0 && runtime->workers_ready < runtime->workers_len)
        err = start_worker(runtime, runtime->workers_ready, options);
    return err;
}

static unsigned workers_wanted(const struct weft_run_options *options)
{
    if (options->clock == WEFT_CLOCK_VIRTUAL || options->workers == 0)
        return 1;
    if (options->workers != WEFT_ALL_CORES)
        return options->workers;
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    return cores > 0 ? (unsigned)cores : 1;
}

static struct weft_runtime *make_runtime(unsigned workers_len)
{
    struct weft_runtime *runtime = calloc(1, sizeof *runtime);
    if (!runtime)
        return NULL;
    runtime->workers = calloc(workers_len, sizeof *runtime->workers);
    runtime->threads = calloc(workers_len, sizeof *runtime->threads);
    runtime->workers_len = workers_len;
    runtime->references = 1;
    runtime->fork_count = weft_fork_count;
    weft_list_init(&runtime->unstarted);
    if (runtime->workers && runtime->threads)
        return runtime;
    free(runtime->workers);
    free(runtime->threads);
    free(runtime);
    return NULL;
}

static void end_workers(struct weft_runtime *runtime, uint64_t *ret_waits)
{
    uint64_t waits = 0;
    for (unsigned i = 1; i < runtime->workers_ready; i++)
        (void)pthread_join(runtime->threads[i], NULL);
    weft_inspector_stop(runtime);
    weft_watch_detach(&runtime->workers[0]);
    __atomic_store_n(&runtime->closed, 1, __ATOMIC_SEQ_CST);
    while (load(&runtime->callers) > 0)
        (void)sched_yield();
    delist(runtime);
    for (unsigned i = runtime->workers_len; i-- > 0;) {
        waits += runtime->workers[i].waits;
        weft_worker_deinit(&runtime->workers[i]);
    }
    if (ret_waits && runtime->workers_ready == runtime->workers_len)
        *ret_waits = waits;
    free(runtime->workers);
    free(runtime->threads);
}

/* Once all workers have ended: the reactor of another one may fail while the first one leaves. */
static int run_result(const struct weft_runtime *runtime)
{
    if (runtime->deadlocks > 0)
        return -EDEADLK;
    return runtime->broken ? runtime->broken : runtime->result;
}

static int start_first(struct weft_worker *worker, const struct weft_fiber_plan *plan)
{
    struct weft_fiber *fiber = weft_fiber_start(worker, plan);
    if (!fiber)
        return -ENOMEM;
    weft_list_append(&worker->guests, &fiber->sibling);
    return 0;
}

int weft_run(const struct weft_run_options *options, int (*fn)(void *), void *arg)
{
    static const struct weft_run_options defaults;
    if (!options)
        options = &defaults;
    if (weft_current_worker)
        return -EBUSY;
    unsigned workers_len = workers_wanted(options);
    if (workers_len > WORKERS_MAX)
        return -EINVAL;
    if (weft_fork_watch() < 0)
        return -ENOMEM;
    struct weft_runtime *runtime = make_runtime(workers_len);
    if (!runtime)
        return -ENOMEM;
    enlist(runtime);
    if (options->guards_by_mprotect)
        runtime->guards.kind = WEFT_GUARD_MPROTECT;
    int err = start_workers(runtime, options);
    if (err == 0)
        err = weft_inspector_start(runtime, options);
    struct weft_worker *first = &runtime->workers[0];
    const struct weft_fiber_plan plan = {
        .scope = &first->root, .fn = fn, .arg = arg, .name = "main"};
    if (err == 0)
        err = start_first(first, &plan);
    if (err < 0)
        weft_runtime_stop(runtime, err);
    if (runtime->workers_ready > 0)
        weft_worker_run(first);
    end_workers(runtime, options->ret_waits);
    err = run_result(runtime);
    weft_debug_close(runtime);
    weft_watch_close(runtime);
    weft_runtime_release(runtime);
    return err;
}

/* ---- from outside ---------------------------------------------------------------------- */

struct weft_runtime *weft_runtime_acquire(void)
{
    if (!weft_current_worker)
        return NULL;
    struct weft_runtime *runtime = weft_current_worker->runtime;
    (void)__atomic_add_fetch(&runtime->references, 1, __ATOMIC_SEQ_CST);
    return runtime;
}

/* While the runtime is open, weft_run holds a reference of its own until no caller is inside. */
void weft_runtime_release(struct weft_runtime *runtime)
{
    if (!runtime || runtime->fork_count != weft_fork_count)
        return;
    (void)__atomic_add_fetch(&runtime->callers, 1, __ATOMIC_SEQ_CST);
    bool open = !load(&runtime->closed);
    /* Perhaps only we have kept this from being a deadlock. */
    if (open && __atomic_sub_fetch(&runtime->references, 1, __ATOMIC_SEQ_CST) == 1) {
        (void)__atomic_add_fetch(&runtime->releases, 1, __ATOMIC_SEQ_CST);
        rouse_all(runtime);
    }
    (void)__atomic_sub_fetch(&runtime->callers, 1, __ATOMIC_SEQ_CST);
    if (!open && __atomic_sub_fetch(&runtime->references, 1, __ATOMIC_SEQ_CST) == 0)
        free(runtime);
}

int weft_call(struct weft_runtime *runtime, int (*fn)(void *), void *arg)
{
    if (weft_current_worker)
        return -EBUSY;
    if (runtime->fork_count != weft_fork_count)
        return -EPERM;
    int result = -ESHUTDOWN;
    (void)__atomic_add_fetch(&runtime->callers, 1, __ATOMIC_SEQ_CST);
    if (!load(&runtime->closed))
        result = weft_remote_call(runtime, fn, arg);
    (void)__atomic_sub_fetch(&runtime->callers, 1, __ATOMIC_SEQ_CST);
    return result;
}

unsigned weft_worker_count(void)
{
    return weft_current_worker ? weft_current_worker->runtime->workers_len : 0;
}

int weft_worker_index(void)
{
    return weft_current_worker ? (int)weft_current_worker->index : -EPERM;
}
