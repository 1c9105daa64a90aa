/* SPDX-License-Identifier: MIT
 * mock_program.c - a mock with a runtime of its own: on threads beside the caller's, or as all that
 * a program does. See weft/mock.h. */
#include <lab/mock_internal.h>

#include <weft/group.h>
#include <weft/runtime.h>
#include <weft/select.h>
#include <weft/signal.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#define GRACE_NS            (10 * WEFT_SEC)
#define CONNECTIONS_DEFAULT 10000u
#define DESCRIPTORS_KEPT    64u /* standard streams, rings, listeners: not for connections */

/* A runtime that cannot even be started has said nothing yet. */
static int explain(int err, char *error, size_t error_bytes)
{
    if (err && error_bytes > 0 && !error[0])
        (void)snprintf(error, error_bytes, "cannot start: %s", weft_strerror(err));
    return err;
}

static int run_mock(void *arg)
{
    return weft_mock_run(arg);
}

/* ---- on threads of its own --------------------------------------------------------------- */

/* What the caller and the thread share; it ends with the mock. */
struct weft_mock_thread {
    struct weft_mock_options options;
    char *error; /* the caller's, until it is told */
    size_t error_bytes;
    struct weft_mock *mock;
    struct weft_runtime *runtime; /* held, so that the caller can wake it */
    struct weft_event stop;
    sem_t started; /* posted once: it listens, or it never will */
    bool listening;
    int err;
    pthread_t thread;
};

static void tell_listening(void *context, const struct weft_mock *mock)
{
    struct weft_mock_thread *thread = context;
    (void)mock;
    thread->listening = true;
    (void)sem_post(&thread->started);
}

static int run_until_stopped(struct weft_mock_thread *thread)
{
    struct weft_group group;
    struct weft_task running = {0};
    int err = weft_group_init(&group, NULL);
    if (err)
        return err;
    err = weft_spawn_task(&group, &running, run_mock, thread->mock);
    struct weft_case cases[] = {weft_case_event(&thread->stop), weft_case_task(&running)};
    if (!err)
        err = weft_select(cases, 2, WEFT_FOREVER, 0);
    weft_group_close(&group);
    return err < 0 ? err : running.result;
}

static int thread_fiber(void *arg)
{
    struct weft_mock_thread *thread = arg;
    int err = weft_mock_open(&thread->mock, &thread->options, thread->error, thread->error_bytes);
    if (err)
        return err;
    thread->mock->thread = thread;
    thread->mock->ready = tell_listening;
    thread->mock->context = thread;
    thread->runtime = weft_runtime_acquire();
    err = run_until_stopped(thread);
    if (!thread->listening) {
        weft_runtime_release(thread->runtime);
        weft_mock_close(thread->mock);
        err = err ? err : -ECANCELED;
    }
    return err;
}

static void *thread_main(void *arg)
{
    struct weft_mock_thread *thread = arg;
    const struct weft_run_options options = {
        .io = thread->options.io,
        .workers = thread->options.workers,
    };
    int err = weft_run(&options, thread_fiber, thread);
    if (!thread->listening) {
        thread->err = explain(err, thread->error, thread->error_bytes);
        (void)sem_post(&thread->started);
    }
    return NULL;
}

/* No signal of the program's is for the thread, or for those that it starts. */
static int start_thread(struct weft_mock_thread *thread)
{
    sigset_t all, before;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    int err = -pthread_create(&thread->thread, NULL, thread_main, thread);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return err;
}

int weft_mock_start(struct weft_mock **ret_mock, const struct weft_mock_options *options,
                    char *ret_error, size_t error_bytes)
{
    struct weft_mock_thread *thread = calloc(1, sizeof *thread);
    if (!thread)
        return -ENOMEM;
    thread->options = *options;
    thread->error = ret_error;
    thread->error_bytes = error_bytes;
    if (error_bytes > 0)
        ret_error[0] = '\0';
    (void)sem_init(&thread->started, 0, 0);
    int err = weft_event_init(&thread->stop, WEFT_SHARED);
    if (!err)
        err = start_thread(thread);
    if (!err) {
        while (sem_wait(&thread->started) < 0 && errno == EINTR)
            ;
        if (thread->listening) {
            *ret_mock = thread->mock;
            return 0;
        }
        err = thread->err;
        (void)pthread_join(thread->thread, NULL);
    }
    (void)sem_destroy(&thread->started);
    free(thread);
    return explain(err, ret_error, error_bytes);
}

void weft_mock_stop(struct weft_mock *mock)
{
    if (!mock)
        return;
    struct weft_mock_thread *thread = mock->thread;
    (void)weft_event_set(&thread->stop);
    (void)pthread_join(thread->thread, NULL);
    weft_runtime_release(thread->runtime);
    weft_mock_close(mock);
    (void)sem_destroy(&thread->started);
    free(thread);
}

/* ---- as a program ------------------------------------------------------------------------ */

struct serving {
    struct weft_mock_options options;
    char *error;
    size_t error_bytes;
    struct weft_mock *mock;
    struct weft_scope scope; /* of the run */
    bool running;
};

static const int stop_signals[] = {SIGTERM, SIGINT};
#define STOP_SIGNALS (sizeof stop_signals / sizeof stop_signals[0])

static int watch_signals(void *arg)
{
    struct serving *serving = arg;
    int signal = weft_signal_wait(stop_signals, STOP_SIGNALS, WEFT_FOREVER);
    if (signal < 0)
        return 0;
    weft_mock_drain(serving->mock);
    /* A second one, or no more time. */
    signal = weft_signal_wait(stop_signals, STOP_SIGNALS, weft_now() + GRACE_NS);
    if (signal != -ECANCELED && serving->running)
        weft_scope_cancel(&serving->scope, 0);
    return 0;
}

static int run_until_signal(struct serving *serving)
{
    struct weft_group watchers;
    int err = weft_group_init(&watchers, NULL);
    if (err)
        return err;
    err = weft_spawn(&watchers, watch_signals, serving);
    if (!err) {
        weft_scope_enter(&serving->scope, WEFT_FOREVER, WEFT_SCOPE_MOVE_ON);
        serving->running = true;
        err = weft_mock_run(serving->mock);
        serving->running = false;
        err = weft_scope_leave(&serving->scope, err);
    }
    weft_group_close(&watchers);
    return err;
}

static int serving_fiber(void *arg)
{
    struct serving *serving = arg;
    const struct weft_mock_options *options = &serving->options;
    int err = weft_mock_open(&serving->mock, options, serving->error, serving->error_bytes);
    if (err)
        return err;
    serving->mock->ready = options->ready;
    serving->mock->context = options->context;
    err = run_until_signal(serving);
    if (!err && options->ended)
        options->ended(options->context, serving->mock);
    weft_mock_close(serving->mock);
    return err;
}

/* Each connection needs a descriptor: as many as the system allows without asking.
 * Returns 0, or -EMFILE with a sentence: there are fewer than were asked for */
static int provide_descriptors(struct serving *serving)
{
    struct weft_mock_options *options = &serving->options;
    struct rlimit limit = {0};
    rlim_t wanted = options->connections_max ? options->connections_max : CONNECTIONS_DEFAULT;
    (void)getrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_cur < limit.rlim_max) {
        struct rlimit raised = {limit.rlim_max, limit.rlim_max};
        if (setrlimit(RLIMIT_NOFILE, &raised) == 0)
            limit = raised;
    }
    if (limit.rlim_cur >= wanted + DESCRIPTORS_KEPT)
        return 0;
    if (options->connections_max) {
        if (serving->error_bytes > 0)
            (void)snprintf(serving->error, serving->error_bytes,
                           "%u connections are more than the limit of %llu open files allows "
                           "(ulimit -Hn)",
                           options->connections_max, (unsigned long long)limit.rlim_cur);
        return -EMFILE;
    }
    options->connections_max = limit.rlim_cur > (rlim_t)2 * DESCRIPTORS_KEPT
                                   ? (unsigned)limit.rlim_cur - DESCRIPTORS_KEPT
                                   : 1;
    return 0;
}

int weft_mock_serve(const struct weft_mock_options *options, char *ret_error, size_t error_bytes)
{
    struct serving serving = {.options = *options, .error = ret_error, .error_bytes = error_bytes};
    const struct weft_run_options run = {.io = options->io, .workers = options->workers};
    if (error_bytes > 0)
        ret_error[0] = '\0';
    int err = weft_signal_block(stop_signals, STOP_SIGNALS);
    if (!err)
        err = provide_descriptors(&serving);
    if (!err)
        err = weft_run(&run, serving_fiber, &serving);
    return explain(err, ret_error, error_bytes);
}
