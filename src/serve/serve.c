/* SPDX-License-Identifier: MIT
 * serve.c - weft_serve: opens broker, engine and HTTP server, and ends them in the right order. */
#include <weft/serve.h>

#include <broker/sqlite.h>
#include <serve/api.h>
#include <serve/job_log.h>
#include <serve/log.h>
#include <serve/schedules.h>
#include <serve/settings.h>
#include <serve/tasks.h>

#include <weft/group.h>
#include <weft/runtime.h>
#include <weft/signal.h>

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#define ANSWERS_NS       (10 * WEFT_SEC) /* at a drain, for requests under way */
#define PORT_NS          (WEFT_SEC / 2)  /* wait so long for a port to become free */
#define PORT_PAUSE_NS    (20 * WEFT_MSEC)
#define CONNECTIONS_MAX  10000u
#define DESCRIPTORS_KEPT 160u /* rings, store, readers on threads: not for connections */

static const int stop_signals[] = {SIGTERM, SIGINT};
static const int write_signals[] = {SIGPIPE, SIGXFSZ}; /* a failed write is an error, no death */
#define STOP_SIGNALS (sizeof stop_signals / sizeof *stop_signals)

struct service {
    const struct weft_serve_options *options;
    struct weft_serve_settings settings;
    struct weft_api api;
    struct weft_tasks tasks;
    struct weft_log_sink sink;
    struct weft_engine_log log; /* of the engine and of handlers */
    struct weft_http_server *http;
    struct weft_scope http_scope, scheduler_scope;
    struct weft_task http_task, engine_task;
    unsigned connections_max;
    char *error;
    size_t error_bytes;
};

__attribute__((format(printf, 3, 4))) static int refuse(struct service *service, int err,
                                                        const char *format, ...)
{
    va_list args;
    va_start(args, format);
    if (service->error_bytes > 0)
        (void)vsnprintf(service->error, service->error_bytes, format, args);
    va_end(args);
    return err;
}

/* --- the fibers --- */

static int http_main(void *arg)
{
    struct service *service = arg;
    weft_scope_enter(&service->http_scope, WEFT_FOREVER, WEFT_SCOPE_MOVE_ON);
    int err = weft_http_server_run(service->http);
    return weft_scope_leave(&service->http_scope, err);
}

static int scheduler_main(void *arg)
{
    struct service *service = arg;
    weft_scope_enter(&service->scheduler_scope, WEFT_FOREVER, WEFT_SCOPE_MOVE_ON);
    return weft_scope_leave(&service->scheduler_scope, weft_scheduler_run(service->api.scheduler));
}

static int engine_main(void *arg)
{
    struct service *service = arg;
    return weft_engine_run(service->api.engine);
}

/* A second signal: whoever sends it does not want to wait. */
static int hurry_main(void *arg)
{
    struct service *service = arg;
    int signal = weft_signal_wait(stop_signals, STOP_SIGNALS, WEFT_FOREVER);
    if (signal > 0) {
        weft_serve_log(service->options, "warning", "hurry", "jobs under way are given back");
        weft_scope_cancel(&service->http_scope, 0);
        weft_engine_drain(service->api.engine, 0);
    }
    return 0;
}

/* First no more requests, then no more jobs: each answer sent is about a job that is stored. The
 * grace is for both together. */
static int drain(struct service *service)
{
    struct weft_group hurry;
    int result, err = weft_group_init(&hurry, NULL);
    if (!err)
        err = weft_spawn(&hurry, hurry_main, service);
    if (err)
        return err;
    int64_t grace_ns = service->settings.grace_ns, begin_ns = weft_now();
    int64_t answers_ns = grace_ns < ANSWERS_NS ? grace_ns : ANSWERS_NS;
    service->api.draining = true;
    weft_http_server_drain(service->http);
    weft_scope_cancel(&service->scheduler_scope, 0);
    err = weft_task_join(&service->http_task, begin_ns + answers_ns, &result);
    if (err == -ETIMEDOUT)
        weft_scope_cancel(&service->http_scope, 0);
    int64_t left_ns = grace_ns - (weft_now() - begin_ns);
    weft_engine_drain(service->api.engine, left_ns > 0 ? left_ns : 0);
    service->api.metrics_over = true;
    weft_wake_post(&service->api.metrics_wake);
    if (err != -ECANCELED)
        err = weft_task_join(&service->engine_task, WEFT_FOREVER, &result);
    weft_group_close(&hurry);
    return err;
}

static int watch_main(void *arg)
{
    struct service *service = arg;
    int signal = weft_signal_wait(stop_signals, STOP_SIGNALS, WEFT_FOREVER);
    if (signal < 0)
        return signal;
    weft_serve_log(service->options, "info", "draining",
                   signal == SIGTERM ? "received SIGTERM" : "received SIGINT");
    return drain(service);
}

/* --- opening and closing --- */

static int open_store(struct service *service)
{
    struct weft_sqlite_options options = {.path = service->settings.database_path};
    int err =
        weft_sqlite_open(&service->api.broker, &options, service->error, service->error_bytes);
    if (err)
        return err;
    struct weft_broker_stats stats;
    err = service->api.broker->ops->stats(service->api.broker, &stats);
    if (err)
        return refuse(service, err, "cannot read the database: %s", weft_strerror(err));
    service->api.completed_before = stats.jobs[WEFT_JOB_COMPLETED];
    char detail[512];
    (void)snprintf(detail, sizeof detail, "%.400s: %" PRIu64 " jobs wait, %" PRIu64 " completed",
                   options.path, weft_job_states_waiting(stats.jobs),
                   stats.jobs[WEFT_JOB_COMPLETED]);
    weft_serve_log(service->options, "info", "store_open", detail);
    return 0;
}

/* How well the group commit worked goes into the log, where it can be compared. */
static void close_store(struct service *service)
{
    struct weft_broker *broker = service->api.broker;
    if (!broker)
        return;
    struct weft_broker_stats stats;
    if (broker->ops->stats(broker, &stats) == 0 && stats.commits > 0) {
        char detail[160];
        (void)snprintf(detail, sizeof detail,
                       "%" PRIu64 " operations in %" PRIu64 " commits, %.1f each, at most %" PRIu64,
                       stats.operations, stats.commits,
                       (double)stats.operations / (double)stats.commits, stats.batch_max);
        weft_serve_log(service->options, "info", "store_close", detail);
    }
    broker->ops->close(broker);
}

static int gather_tasks(struct service *service)
{
    const struct weft_serve_options *options = service->options;
    const struct weft_tasks_options tasks = {
        .steps_ns = service->settings.steps_ns,
        .handlers = options->handlers,
        .handlers_count = options->handlers_count,
        .libraries = options->libraries,
        .libraries_count = options->libraries_count,
        .executors = options->executors,
    };
    return weft_tasks_gather(&service->tasks, &tasks, service->error, service->error_bytes);
}

static int open_engine(struct service *service)
{
    const struct weft_serve_settings *settings = &service->settings;
    struct weft_consumers *consumers = &service->api.consumers;
    int err = weft_consumers_init(consumers, service->api.broker, settings);
    if (err)
        return refuse(service, err, "cannot set up the queues: %s", weft_strerror(err));
    err =
        weft_engine_open(&service->api.engine, &(struct weft_engine_options){
                                                   .broker = service->api.broker,
                                                   .handlers = service->tasks.handlers.items,
                                                   .handlers_count = service->tasks.handlers.count,
                                                   .children = service->tasks.children,
                                                   .consumers = consumers->options,
                                                   .consumers_count = consumers->workers + 1,
                                                   .leave_unknown = true, /* for /v1/lease */
                                                   .log = &service->log,
                                               });
    return err ? refuse(service, err, "cannot start the job engine: %s", weft_strerror(err)) : 0;
}

static int open_scheduler(struct service *service)
{
    const struct weft_scheduler_options options = {
        .broker = service->api.broker,
        .make = weft_schedules_make,
        .context = service->api.engine,
    };
    int err = weft_scheduler_open(&service->api.scheduler, &options);
    return err ? refuse(service, err, "cannot start the scheduler: %s", weft_strerror(err)) : 0;
}

static int open_http(struct service *service, const struct weft_http_server_options *options)
{
    int64_t end_ns = weft_now() + PORT_NS;
    int err = weft_http_server_open(&service->http, options);
    /* After kill -9 the kernel takes the dead server's io_uring down in the background, and holds
     * its socket as long. */
    while (err == -EADDRINUSE && weft_now() < end_ns && weft_sleep(PORT_PAUSE_NS) == 0)
        err = weft_http_server_open(&service->http, options);
    if (err == -EADDRINUSE)
        return refuse(service, err, "%s port %u is in use by another program", options->address,
                      (unsigned)options->port);
    if (err)
        return refuse(service, err, "cannot listen on %s port %u: %s", options->address,
                      (unsigned)options->port, weft_strerror(err));
    return 0;
}

static void announce(struct service *service)
{
    const struct weft_serve_settings *settings = &service->settings;
    char address[WEFT_LISTEN_TEXT_MAX];
    weft_listen_address_format(&settings->listen, weft_http_server_port(service->http), address);
    weft_serve_log(service->options, "info", "listening", address);
    if (!settings->listen.loopback && settings->tokens.count == 0)
        weft_serve_log(service->options, "warning", "insecure",
                       "anybody who reaches this address can use the service");
    if (service->options->ready)
        service->options->ready(service->options->ready_context, address);
}

static int run(struct service *service)
{
    struct weft_group group;
    int err = weft_group_init(&group, NULL);
    if (err)
        return err;
    err = weft_spawn_task(&group, &service->engine_task, engine_main, service);
    if (!err)
        err = weft_spawn_task(&group, &service->http_task, http_main, service);
    if (!err)
        err = weft_spawn(&group, scheduler_main, service);
    if (!err)
        err = weft_spawn(&group, weft_api_recorder_main, &service->api);
    if (!err)
        err = weft_spawn(&group, watch_main, service);
    if (err)
        weft_group_cancel(&group, 0);
    else
        announce(service);
    int result = weft_group_wait(&group);
    err = err ? err : result;
    return err ? refuse(service, err, "the service ended: %s", weft_strerror(err)) : 0;
}

/* Beyond this number a client gets its 503 while there are descriptors left to answer with. */
static void log_connections(const struct service *service)
{
    if (service->connections_max == CONNECTIONS_MAX)
        return;
    char detail[120];
    (void)snprintf(detail, sizeof detail,
                   "at most %u connections: the limit of open files (ulimit -n) is low",
                   service->connections_max);
    weft_serve_log(service->options, "warning", "few_connections", detail);
}

static int service_main(void *arg)
{
    struct service *service = arg;
    log_connections(service);
    int err = weft_api_init(&service->api);
    struct weft_http_server_options http_options = {
        .address = service->settings.listen.host,
        .port = service->settings.listen.port,
        .routes = service->api.routes,
        .routes_count = service->api.routes_count,
        .context = &service->api,
        .admit = weft_api_admit,
        .connections_max = service->connections_max,
        .write_timeout_ns = service->settings.answer_timeout_ns,
        .server_name = "weft",
    };
    if (!err)
        err = open_http(service, &http_options); /* first: it changes nothing when it fails */
    if (!err)
        err = open_store(service);
    if (!err)
        err = weft_tasks_open(&service->tasks, service->error, service->error_bytes);
    if (!err)
        err = open_engine(service);
    if (!err)
        err = open_scheduler(service);
    if (!err)
        err = weft_wake_init(&service->api.metrics_wake);
    if (!err) {
        err = run(service);
        weft_wake_deinit(&service->api.metrics_wake);
    }
    weft_http_server_close(service->http);
    weft_api_release(&service->api);
    weft_scheduler_close(service->api.scheduler);
    weft_engine_close(service->api.engine);
    weft_tasks_close(&service->tasks);
    weft_consumers_release(&service->api.consumers);
    close_store(service);
    weft_serve_log(service->options, err ? "error" : "info", "stopped",
                   err ? service->error : NULL);
    return err;
}

/* Connections need descriptors: as many as the system allows without asking.
 * Returns the limit */
static rlim_t raise_descriptor_limit(void)
{
    struct rlimit limit = {0};
    (void)getrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_cur < limit.rlim_max) {
        struct rlimit raised = {limit.rlim_max, limit.rlim_max};
        if (setrlimit(RLIMIT_NOFILE, &raised) == 0)
            return raised.rlim_cur;
    }
    return limit.rlim_cur;
}

static unsigned connections_for(rlim_t descriptors)
{
    if (descriptors >= CONNECTIONS_MAX + DESCRIPTORS_KEPT)
        return CONNECTIONS_MAX;
    if (descriptors / 2 >= DESCRIPTORS_KEPT)
        return (unsigned)descriptors - DESCRIPTORS_KEPT;
    return (unsigned)descriptors / 2 + 1; /* 0 would mean the default */
}

/* Run with settings that are in order. */
static int serve(struct service *service)
{
    const struct weft_serve_options *options = service->options;
    int err = weft_signal_block(stop_signals, STOP_SIGNALS);
    if (!err)
        err = weft_signal_block(write_signals, sizeof write_signals / sizeof *write_signals);
    if (err)
        return err;
    service->connections_max = connections_for(raise_descriptor_limit());
    if (service->error_bytes > 0)
        service->error[0] = '\0';
    err = weft_run(&(struct weft_run_options){.io = options->io}, service_main, service);
    if (err && service->error_bytes > 0 && !service->error[0])
        (void)snprintf(service->error, service->error_bytes, "cannot start: %s",
                       weft_strerror(err));
    return err;
}

int weft_serve(const struct weft_serve_options *options, char *ret_error, size_t error_bytes)
{
    struct service *service = calloc(1, sizeof *service);
    if (!service)
        return -ENOMEM;
    service->options = options;
    service->api.options = options;
    service->api.settings = &service->settings;
    service->error = ret_error;
    service->error_bytes = error_bytes;
    service->sink = (struct weft_log_sink){options->log, options->log_context};
    service->log = weft_job_log(&service->sink);
    int err = weft_serve_settings_parse(&service->settings, options, ret_error, error_bytes);
    if (!err) {
        err = gather_tasks(service);
        if (!err)
            err = serve(service);
        weft_serve_settings_release(&service->settings);
    }
    weft_tasks_release(&service->tasks);
    free(service);
    return err;
}
