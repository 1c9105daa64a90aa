/* SPDX-License-Identifier: MIT
 * work.c - weft_work: an engine on the broker of a server elsewhere. */
#include <weft/work.h>

#include <broker/remote.h>
#include <job/builtin.h>
#include <serve/job_log.h>
#include <serve/tasks.h>
#include <serve/worker_queues.h>

#include <weft/group.h>
#include <weft/runtime.h>
#include <weft/scope.h>
#include <weft/signal.h>

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SERVER         "http://127.0.0.1:8001"
#define LEASE_NS       (30 * WEFT_SEC)
#define LEASE_MAX_NS   (3600 * WEFT_SEC)
#define GRACE_NS       (30 * WEFT_SEC)
#define START_NS       (60 * WEFT_SEC) /* a server that is not there at first */
#define START_PAUSE_NS WEFT_SEC

static const int stop_signals[] = {SIGTERM, SIGINT};
static const int write_signals[] = {SIGPIPE}; /* a failed write is an error, no death */
#define STOP_SIGNALS (sizeof stop_signals / sizeof *stop_signals)

struct work {
    const struct weft_work_options *options;
    struct weft_log_sink sink;
    struct weft_engine_log log;
    struct weft_tasks tasks;
    struct weft_worker_queues queues;
    struct weft_broker *broker;
    struct weft_engine *engine; /* NULL: the server was not there yet */
    struct weft_scope opening;
    int64_t grace_ns;
    bool ending; /* somebody asked for it */
    char *error;
    size_t error_bytes;
};

__attribute__((format(printf, 3, 4))) static int refuse(struct work *work, int err,
                                                        const char *format, ...)
{
    va_list args;
    va_start(args, format);
    if (work->error_bytes > 0)
        (void)vsnprintf(work->error, work->error_bytes, format, args);
    va_end(args);
    return err;
}

static void say(const struct work *work, enum weft_log_level level, const char *event,
                const char *detail)
{
    weft_job_log_line(&work->sink, level, event, detail, NULL);
}

static const char *server_of(const struct work *work)
{
    return work->options->server ? work->options->server : SERVER;
}

/* ---- what the options mean -------------------------------------------------------------- */

static int set_queues(struct work *work)
{
    const struct weft_work_options *options = work->options;
    const struct weft_worker_queues_options queues = {
        .who = "a worker",
        .otherwise = "default",
        .queues = options->queues,
        .count = options->queues_count,
        .strict = options->strict,
        .concurrency = options->concurrency,
    };
    return weft_worker_queues_init(&work->queues, &queues, work->error, work->error_bytes);
}

static int check_numbers(struct work *work)
{
    const struct weft_work_options *options = work->options;
    work->grace_ns = options->grace_ns ? options->grace_ns : GRACE_NS;
    if (options->lease_ns && (options->lease_ns < WEFT_SEC || options->lease_ns > LEASE_MAX_NS))
        return refuse(work, -EINVAL, "a lease lasts from one second to one hour");
    if (work->grace_ns < 0)
        return refuse(work, -EINVAL, "the grace period cannot be negative");
    if (options->name && !weft_job_name_is_valid(options->name))
        return refuse(work, -EINVAL,
                      "\"%.100s\" is no name of a worker: letters, digits and . _ : - make one",
                      options->name);
    return 0;
}

static int gather_tasks(struct work *work)
{
    const struct weft_work_options *options = work->options;
    const struct weft_tasks_options tasks = {
        .steps_ns = options->builtin ? weft_process_steps_ns : NULL,
        .handlers = options->handlers,
        .handlers_count = options->handlers_count,
        .libraries = options->libraries,
        .libraries_count = options->libraries_count,
        .executors = options->executors,
    };
    int err = weft_tasks_gather(&work->tasks, &tasks, work->error, work->error_bytes);
    if (!err && work->tasks.handlers.count == 0)
        err = refuse(work, -EINVAL,
                     "there are no tasks to work on: load a library, or ask for the built-in ones");
    return err;
}

/* ---- the server ------------------------------------------------------------------------- */

/* Whether it may come back; what refuses us will refuse us again. */
static bool is_away(int err)
{
    switch (err) {
    case -ECONNREFUSED:
    case -ECONNRESET:
    case -EPIPE:
    case -ETIMEDOUT:
    case -EHOSTUNREACH:
    case -ENETUNREACH:
    case -EADDRNOTAVAIL:
    case -EAGAIN:
    case -EREMOTEIO:
    case -EBUSY:
        return true;
    default:
        return false;
    }
}

static int open_engine(struct work *work)
{
    const struct weft_work_options *options = work->options;
    return weft_engine_open(&work->engine,
                            &(struct weft_engine_options){
                                .broker = work->broker,
                                .handlers = work->tasks.handlers.items,
                                .handlers_count = work->tasks.handlers.count,
                                .children = work->tasks.children,
                                .consumers = &work->queues.consumer,
                                .consumers_count = 1,
                                .worker_name = options->name,
                                .lease_ns = options->lease_ns ? options->lease_ns : LEASE_NS,
                                .leave_unknown = true,
                                .log = &work->log,
                            });
}

/* Enter the server's registry; a server that starts at the same time is waited for. */
static int open_in_time(struct work *work)
{
    int64_t end_ns = weft_now() + START_NS;
    bool said = false;
    int err = open_engine(work);
    while (is_away(err) && weft_now() < end_ns && !work->ending) {
        if (!said)
            say(work, WEFT_LOG_WARNING, "server_away", weft_remote_error(work->broker));
        said = true;
        if (weft_sleep(START_PAUSE_NS) < 0)
            return -ECANCELED;
        err = open_engine(work);
    }
    if (!err || err == -ECANCELED)
        return err;
    const char *why = weft_remote_error(work->broker);
    return refuse(work, err, "cannot work for %.200s: %s", server_of(work),
                  *why ? why : weft_strerror(err));
}

/* The broker knows better than its error code. */
static void write_log(void *context, enum weft_log_level level, const struct weft_job *job,
                      const char *event, const char *text)
{
    const struct work *work = context;
    if (strcmp(event, "broker_failing") == 0 && *weft_remote_error(work->broker))
        text = weft_remote_error(work->broker);
    weft_job_log_line(&work->sink, level, event, text, job);
}

/* ---- signals ---------------------------------------------------------------------------- */

/* The next one strikes as usual: jobs cannot be given back to a server that is away. */
static void let_signals_strike(void)
{
    sigset_t set;
    (void)sigemptyset(&set);
    for (size_t i = 0; i < STOP_SIGNALS; i++)
        (void)sigaddset(&set, stop_signals[i]);
    (void)pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

static int watch_main(void *arg)
{
    struct work *work = arg;
    int signal = weft_signal_wait(stop_signals, STOP_SIGNALS, WEFT_FOREVER);
    if (signal < 0)
        return signal;
    work->ending = true;
    say(work, WEFT_LOG_INFO, "draining",
        signal == SIGTERM ? "received SIGTERM" : "received SIGINT");
    if (work->engine)
        weft_engine_drain(work->engine, work->grace_ns);
    else
        weft_scope_cancel(&work->opening, 0);
    if (weft_signal_wait(stop_signals, STOP_SIGNALS, WEFT_FOREVER) < 0)
        return -ECANCELED;
    say(work, WEFT_LOG_WARNING, "hurry", "jobs under way are given back");
    if (work->engine)
        weft_engine_drain(work->engine, 0);
    let_signals_strike();
    return 0;
}

/* ---- its life --------------------------------------------------------------------------- */

static void say_working(const struct work *work)
{
    char detail[400];
    (void)snprintf(detail, sizeof detail, "%.200s: %zu tasks, %zu queues, %u jobs at once",
                   server_of(work), work->tasks.handlers.count, work->queues.consumer.queues_count,
                   work->queues.consumer.concurrency);
    say(work, WEFT_LOG_INFO, "working", detail);
    if (work->options->ready)
        work->options->ready(work->options->ready_context);
}

static void say_stopped(const struct work *work)
{
    struct weft_engine_counts counts;
    char detail[200];
    weft_engine_counts(work->engine, &counts);
    (void)snprintf(detail, sizeof detail,
                   "%" PRIu64 " jobs completed, %" PRIu64 " failed for good, %" PRIu64
                   " to be tried again, %" PRIu64 " given back, %" PRIu64 " lost",
                   counts.completed, counts.failed, counts.retried, counts.released, counts.lost);
    say(work, WEFT_LOG_INFO, "stopped", detail);
}

/* Everything between the first signal that could come and the last. */
static int work_in_group(struct work *work)
{
    weft_scope_enter(&work->opening, WEFT_FOREVER, 0);
    int err = open_in_time(work);
    err = weft_scope_leave(&work->opening, err);
    if (err)
        return work->ending ? 0 : err;
    say_working(work);
    if (work->ending) /* between the last look and now */
        weft_engine_drain(work->engine, work->grace_ns);
    err = weft_engine_run(work->engine);
    say_stopped(work);
    return err ? refuse(work, err, "the worker ended: %s", weft_strerror(err)) : 0;
}

static int work_main(void *arg)
{
    struct work *work = arg;
    struct weft_group group;
    int err = weft_remote_open(&work->broker,
                               &(struct weft_remote_options){
                                   .url = server_of(work),
                                   .token = work->options->token,
                                   .ca_file = work->options->ca_file,
                               },
                               work->error, work->error_bytes);
    if (!err)
        err = weft_tasks_open(&work->tasks, work->error, work->error_bytes);
    if (!err)
        err = weft_group_init(&group, &(struct weft_group_options){.policy = WEFT_SUPERVISE});
    if (!err) {
        err = weft_spawn(&group, watch_main, work);
        if (!err)
            err = work_in_group(work);
        weft_group_cancel(&group, 0);
        (void)weft_group_wait(&group);
    }
    weft_engine_close(work->engine);
    weft_tasks_close(&work->tasks);
    if (work->broker)
        work->broker->ops->close(work->broker);
    return err;
}

int weft_work(const struct weft_work_options *options, char *ret_error, size_t error_bytes)
{
    struct work work = {
        .options = options,
        .sink = {options->log, options->log_context},
        .error = ret_error,
        .error_bytes = error_bytes,
    };
    work.log = (struct weft_engine_log){write_log, &work};
    if (error_bytes > 0)
        ret_error[0] = '\0';
    int err = check_numbers(&work);
    if (!err)
        err = set_queues(&work);
    if (!err)
        err = gather_tasks(&work);
    if (!err)
        err = weft_signal_block(stop_signals, STOP_SIGNALS);
    if (!err)
        err = weft_signal_block(write_signals, sizeof write_signals / sizeof *write_signals);
    if (!err)
        err = weft_run(&(struct weft_run_options){.io = options->io}, work_main, &work);
    if (err && error_bytes > 0 && !ret_error[0])
        (void)snprintf(ret_error, error_bytes, "cannot start: %s", weft_strerror(err));
    weft_tasks_release(&work.tasks);
    weft_worker_queues_release(&work.queues);
    return err;
}
