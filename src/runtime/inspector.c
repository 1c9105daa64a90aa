/* SPDX-License-Identifier: MIT
 * inspector.c - the thread that prints dumps when a signal asks, and lets watchers look. See
 * debug.h and watch.h.
 *
 * The handler touches no runtime, which might be about to end: it counts, and rings a bell on which
 * the inspectors of all runtimes sleep. */
#include <os/clock.h>
#include <runtime/debug.h>
#include <runtime/inspect.h>

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <unistd.h>

struct weft_inspector {
    struct weft_runtime *runtime;
    pthread_t thread;
    int dump_signal; /* 0: none */
    unsigned dumps_seen;
    unsigned stopping;
    unsigned looking; /* lock over the list, held during looks */
    struct weft_link watchers;
};

static unsigned bell;
static unsigned dumps_asked;

static void ring_bell(void)
{
    (void)__atomic_add_fetch(&bell, 1, __ATOMIC_SEQ_CST);
    weft_futex_wake_all(&bell);
}

static void dump_asked(int number, siginfo_t *info, void *context)
{
    int saved = errno;
    (void)number, (void)info, (void)context;
    (void)__atomic_add_fetch(&dumps_asked, 1, __ATOMIC_SEQ_CST);
    ring_bell();
    errno = saved;
}

static void print_dump(struct weft_runtime *runtime)
{
    struct weft_buffer text;
    weft_buffer_init(&text, SIZE_MAX / 4);
    weft_buffer_append_format(&text, "weft: fibers of process %ld\n", (long)getpid());
    if (weft_inspect(runtime, &text) == 0)
        weft_debug_say(&text);
    weft_buffer_deinit(&text);
}

/* Returns when somebody wants to look again. */
static int64_t let_watchers_look(struct weft_inspector *inspector)
{
    int64_t next_ns = WEFT_FOREVER;
    weft_lock(&inspector->looking);
    WEFT_LIST_FOR_EACH (link, &inspector->watchers) {
        struct weft_watcher *watcher = weft_container_of(link, struct weft_watcher, link);
        int64_t wanted_ns = watcher->look(watcher, weft_clock_monotonic_ns());
        next_ns = wanted_ns < next_ns ? wanted_ns : next_ns;
    }
    weft_unlock(&inspector->looking);
    return next_ns;
}

static void *inspector_main(void *arg)
{
    struct weft_inspector *inspector = arg;
    while (true) {
        unsigned rung = __atomic_load_n(&bell, __ATOMIC_SEQ_CST);
        if (__atomic_load_n(&inspector->stopping, __ATOMIC_SEQ_CST))
            return NULL;
        unsigned asked = __atomic_load_n(&dumps_asked, __ATOMIC_SEQ_CST);
        if (inspector->dump_signal && asked != inspector->dumps_seen)
            print_dump(inspector->runtime);
        inspector->dumps_seen = asked;
        (void)weft_futex_wait(&bell, rung, let_watchers_look(inspector));
    }
}

/* Every other signal is held back, so that the one for dumps finds a thread even when the program
 * has blocked it in its own. */
static int start_thread(struct weft_inspector *inspector)
{
    sigset_t before, dump;
    weft_signals_hold(&before);
    (void)sigemptyset(&dump);
    if (inspector->dump_signal) {
        (void)sigaddset(&dump, inspector->dump_signal);
        (void)pthread_sigmask(SIG_UNBLOCK, &dump, NULL);
    }
    int err = -pthread_create(&inspector->thread, NULL, inspector_main, inspector);
    weft_signals_restore(&before);
    return err;
}

/* In debug mode SIGUSR1 asks for a dump, unless the program has plans of its own for it. */
static int choose_signal(bool debug, int asked)
{
    sigset_t blocked;
    if (asked)
        return asked;
    if (!debug || pthread_sigmask(SIG_BLOCK, NULL, &blocked) != 0 || sigismember(&blocked, SIGUSR1))
        return 0;
    return SIGUSR1;
}

/* Returns 0 with runtime->inspector set, or a negative error.
 * number  of the signal that asks for dumps, 0: none */
static int make_inspector(struct weft_runtime *runtime, int number)
{
    struct weft_inspector *inspector = calloc(1, sizeof *inspector);
    if (!inspector)
        return -ENOMEM;
    inspector->runtime = runtime;
    inspector->dump_signal = number;
    inspector->dumps_seen = __atomic_load_n(&dumps_asked, __ATOMIC_SEQ_CST);
    weft_list_init(&inspector->watchers);
    int err = start_thread(inspector);
    if (err < 0)
        free(inspector);
    else
        runtime->inspector = inspector;
    return err;
}

int weft_inspector_start(struct weft_runtime *runtime, const struct weft_run_options *options)
{
    int number = choose_signal(runtime->debug, options->dump_signal);
    int err = number ? weft_handler_install(number, dump_asked, !options->dump_signal) : 0;
    if (err < 0 && options->dump_signal)
        return err;
    if (err < 0)
        number = 0;
    err = number ? make_inspector(runtime, number) : 0;
    if (err < 0)
        weft_handler_remove(number);
    if (err == 0 && runtime->debug)
        err = weft_watcher_add(runtime, &runtime->debug->watcher);
    return err;
}

/* It may be waiting for answers of workers that have ended. */
void weft_inspector_stop(struct weft_runtime *runtime)
{
    struct weft_inspector *inspector = runtime->inspector;
    if (!inspector)
        return;
    __atomic_store_n(&inspector->stopping, 1, __ATOMIC_SEQ_CST);
    ring_bell();
    while (pthread_tryjoin_np(inspector->thread, NULL) != 0) {
        for (unsigned i = 0; i < runtime->workers_len; i++)
            weft_inspect_refuse(&runtime->workers[i]);
        (void)sched_yield();
    }
    while (!weft_list_empty(&inspector->watchers)) {
        struct weft_watcher *watcher =
            weft_container_of(inspector->watchers.next, struct weft_watcher, link);
        weft_list_unlink(&watcher->link);
        if (watcher->ended)
            watcher->ended(watcher);
    }
    if (inspector->dump_signal)
        weft_handler_remove(inspector->dump_signal);
    free(inspector);
    runtime->inspector = NULL;
}

/* ---- watchers -------------------------------------------------------------------------- */

int weft_watcher_add(struct weft_runtime *runtime, struct weft_watcher *watcher)
{
    weft_lock(&runtime->watch_lock);
    int err = runtime->inspector ? 0 : make_inspector(runtime, 0);
    if (err == 0) {
        weft_lock(&runtime->inspector->looking);
        weft_list_append(&runtime->inspector->watchers, &watcher->link);
        weft_unlock(&runtime->inspector->looking);
        ring_bell();
    }
    weft_unlock(&runtime->watch_lock);
    return err;
}

/* An inspector without a signal is there for its watchers only. */
void weft_watcher_remove(struct weft_runtime *runtime, struct weft_watcher *watcher)
{
    weft_lock(&runtime->watch_lock);
    struct weft_inspector *inspector = runtime->inspector;
    weft_lock(&inspector->looking);
    weft_list_unlink(&watcher->link);
    bool idle = weft_list_empty(&inspector->watchers) && !inspector->dump_signal;
    weft_unlock(&inspector->looking);
    if (idle) {
        __atomic_store_n(&inspector->stopping, 1, __ATOMIC_SEQ_CST);
        ring_bell();
        (void)pthread_join(inspector->thread, NULL);
        free(inspector);
        runtime->inspector = NULL;
    }
    weft_unlock(&runtime->watch_lock);
}
