/* SPDX-License-Identifier: MIT
 * load.c - see load.h. Checks the options, reaches the server once (load_probe.c), runs a fiber per
 * connection (load_client.c) beside one that looks on (load_watch.c), and sums up (load_result.c).
 */
#include <weft/load.h>

#include <lab/load_client.h>
#include <lab/load_probe.h>
#include <lab/load_result.h>
#include <lab/load_steps.h>
#include <lab/load_watch.h>
#include <weft/group.h>
#include <weft/runtime.h>
#include <weft/signal.h>

#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#define CONNECTIONS_DEFAULT 64u
#define CONNECTIONS_MAX     10000u
#define PIPELINE_MAX        1024u
#define WORKERS_MAX         256u
#define HEADERS_MAX         64u
#define DURATION_DEFAULT_NS (10 * WEFT_SEC)
#define TIMEOUT_DEFAULT_NS  (30 * WEFT_SEC)
#define PROBE_BODY          "{\"text\": \"load {i}\"}"

/* Descriptors besides the connections': standard streams, the reactors', what the caller has. */
#define OTHER_FILES      64u
#define FILES_PER_WORKER 8u

struct load {
    const struct weft_load_options *options;
    struct weft_load_shared shared;
    unsigned connections, workers;
    struct weft_load_shard *shards; /* one a worker */
    struct weft_load_client *clients;
    struct weft_load_watch watch;
    struct weft_group group; /* of what a signal ends: the preparation, then the connections */
    bool group_open;
    char host[NI_MAXHOST];
    int64_t epoch_us; /* when the fibers' clock was 0, since 1970 */
    bool stopped;     /* by a signal */
    char *error;
    size_t error_bytes;
};

/* Say what went wrong. Returns err, so that a failure is one statement. */
__attribute__((format(printf, 3, 4))) static int fail(const struct load *load, int err,
                                                      const char *format, ...)
{
    va_list args;
    va_start(args, format);
    if (load->error_bytes > 0)
        (void)vsnprintf(load->error, load->error_bytes, format, args);
    va_end(args);
    return err;
}

/* ---- options --------------------------------------------------------------------------- */

static int check_rate(const struct load *load)
{
    const struct weft_load_options *options = load->options;
    double rate = options->rate_per_s;
    if (!(rate >= 0 && rate <= WEFT_LOAD_RATE_MAX) || (rate > 0 && rate < WEFT_LOAD_RATE_MIN))
        return fail(load, -EINVAL, "the rate is not 0 and not between %g and %g",
                    WEFT_LOAD_RATE_MIN, WEFT_LOAD_RATE_MAX);
    if (options->steps_count == 0)
        return 0;
    if (rate > 0)
        return fail(load, -EINVAL, "there is a rate besides the steps");
    const char *reason = weft_load_steps_check(options->steps, options->steps_count);
    if (reason)
        return fail(load, -EINVAL, "the steps are not possible: %s", reason);
    if (options->steps[0].length_ns > 0 && options->duration_ns > 0)
        return fail(load, -EINVAL, "the steps have a length of their own: no duration beside them");
    return 0;
}

static int check_options(const struct load *load)
{
    const struct weft_load_options *options = load->options;
    if (options->connections > CONNECTIONS_MAX)
        return fail(load, -EINVAL, "%u connections are more than %u", options->connections,
                    CONNECTIONS_MAX);
    if (options->pipeline > PIPELINE_MAX)
        return fail(load, -EINVAL, "%u requests at once on a connection are more than %u",
                    options->pipeline, PIPELINE_MAX);
    if (options->workers > WORKERS_MAX)
        return fail(load, -EINVAL, "%u workers are more than %u", options->workers, WORKERS_MAX);
    if (options->headers_count > HEADERS_MAX)
        return fail(load, -EINVAL, "there are more than %u headers", HEADERS_MAX);
    if (options->duration_ns < 0 || options->timeout_ns < 0 || options->warmup_ns < 0)
        return fail(load, -EINVAL, "a duration is negative");
    return check_rate(load);
}

static int apply_options(struct load *load)
{
    const struct weft_load_options *options = load->options;
    struct weft_load_shared *shared = &load->shared;
    struct weft_load_step constant = {options->rate_per_s, options->rate_per_s, 0};
    struct weft_load_plan plan = {
        .steps = options->steps_count > 0 ? options->steps : &constant,
        .steps_count = options->rate_per_s > 0 ? 1 : options->steps_count,
        .warmup_ns = options->warmup_ns,
        .duration_ns = options->duration_ns,
        .requests = options->requests,
    };
    if (options->requests == 0 && options->duration_ns == 0)
        plan.duration_ns = DURATION_DEFAULT_NS; /* steps with a length do not look at it */
    weft_load_schedule_init(&shared->schedule, &plan);
    int err = weft_load_targets_init(&shared->targets, options, load->error, load->error_bytes);
    if (err)
        return err;
    load->connections = options->connections ? options->connections : CONNECTIONS_DEFAULT;
    load->workers = options->workers ? options->workers : 1;
    if (load->workers > load->connections)
        load->workers = load->connections;
    shared->timeout_ns = options->timeout_ns ? options->timeout_ns : TIMEOUT_DEFAULT_NS;
    shared->pipeline = options->pipeline ? options->pipeline : 1;
    shared->host = shared->targets.items[0].url.host;
    shared->port = shared->targets.items[0].url.port;
    return 0;
}

static int raise_file_limit(const struct load *load)
{
    struct rlimit limit;
    rlim_t needed = load->connections + OTHER_FILES + (load->workers - 1) * FILES_PER_WORKER;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return fail(load, -errno, "the limit of open files cannot be read: %s",
                    weft_strerror(errno));
    if (limit.rlim_cur >= needed)
        return 0;
    if (limit.rlim_max < needed)
        return fail(
            load, -EMFILE, "%u connections need %llu open files and the limit is %llu (ulimit -Hn)",
            load->connections, (unsigned long long)needed, (unsigned long long)limit.rlim_max);
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
        return fail(load, -EMFILE, "the limit of open files cannot be raised: %s",
                    weft_strerror(errno));
    return 0;
}

/* ---- running --------------------------------------------------------------------------- */

/* A caller who has blocked SIGINT or SIGTERM wants them to end the load, not the program. */
static size_t blocked_signals(int signals[2])
{
    sigset_t blocked;
    size_t count = 0;
    if (pthread_sigmask(SIG_BLOCK, NULL, &blocked) != 0)
        return 0;
    if (sigismember(&blocked, SIGINT) == 1)
        signals[count++] = SIGINT;
    if (sigismember(&blocked, SIGTERM) == 1)
        signals[count++] = SIGTERM;
    return count;
}

static int stop_on_signal(void *arg)
{
    struct load *load = arg;
    int signals[2];
    size_t count = blocked_signals(signals);
    if (weft_signal_wait(signals, count, WEFT_FOREVER) < 0)
        return 0;
    load->stopped = true;
    weft_load_schedule_stop(&load->shared.schedule, weft_now());
    if (load->group_open)
        weft_group_cancel(&load->group, 0);
    return 0;
}

/* Run what spawn_all starts in load->group, until it has ended or a signal comes. */
static int run_group(struct load *load, int (*spawn_all)(struct load *))
{
    int err = weft_group_init(&load->group, &(struct weft_group_options){.name = "load"});
    if (err)
        return err;
    load->group_open = true;
    err = load->stopped ? 0 : spawn_all(load);
    if (err)
        weft_group_cancel(&load->group, 0);
    int result = weft_group_wait(&load->group);
    load->group_open = false;
    if (load->stopped)
        return 0;
    return err ? err : result;
}

static int spawn_clients(struct load *load)
{
    int err = 0;
    load->shared.connecting = load->shared.driving = load->connections;
    for (unsigned i = 0; i < load->connections && err == 0; i++) {
        const struct weft_spawn_options options = {.name = "connection",
                                                   .worker = WEFT_WORKER((int)(i % load->workers))};
        err = weft_spawn_with(&load->group, weft_load_client_run, &load->clients[i], &options);
    }
    return err;
}

static int open_clients(struct load *load)
{
    load->shards =
        aligned_alloc(_Alignof(struct weft_load_shard), load->workers * sizeof load->shards[0]);
    load->clients = calloc(load->connections, sizeof load->clients[0]);
    if (!load->shards || !load->clients) {
        free(load->shards);
        load->shards = NULL;
        return -ENOMEM;
    }
    memset(load->shards, 0, load->workers * sizeof load->shards[0]);
    for (unsigned i = 0; i < load->workers; i++) {
        int err = weft_load_shard_init(&load->shards[i], &load->shared);
        if (err)
            return err;
    }
    for (unsigned i = 0; i < load->connections; i++) {
        int err = weft_load_client_init(&load->clients[i], &load->shards[i % load->workers]);
        if (err)
            return err;
    }
    return weft_load_watch_init(&load->watch, &load->shared, load->shards, load->workers,
                                load->options);
}

static void close_clients(struct load *load)
{
    for (unsigned i = 0; load->clients && i < load->connections; i++)
        weft_load_client_deinit(&load->clients[i]);
    for (unsigned i = 0; load->shards && i < load->workers; i++)
        weft_load_shard_deinit(&load->shards[i]);
    weft_load_watch_deinit(&load->watch);
    free(load->clients);
    free(load->shards);
}

/* Without a method and a body, ask with one GET. Returns 0, -ENOMEM, -ECANCELED */
static int find_method(struct load *load)
{
    const struct weft_load_options *options = load->options;
    if (options->method || options->body || options->url_file)
        return 0;
    int wants = weft_load_wants_post(&load->shared);
    if (wants <= 0)
        return wants;
    return weft_load_targets_replace(&load->shared.targets, options, "POST", PROBE_BODY);
}

static int prepare(void *arg)
{
    struct load *load = arg;
    const struct weft_load_shared *shared = &load->shared;
    int err = weft_load_reach(&load->shared, load->host);
    if (err)
        return fail(load, err, "cannot connect to %s port %u: %s", shared->host, shared->port,
                    err == -EADDRNOTAVAIL ? "No such host, or no free port on this one"
                                          : weft_strerror(err));
    err = find_method(load);
    return err ? err : open_clients(load);
}

static int spawn_preparation(struct load *load)
{
    return weft_spawn(&load->group, prepare, load);
}

/* What can be stopped, with what watches beside it. */
static int run_watched(struct load *load, struct weft_group *watchers)
{
    int signals[2];
    int err = blocked_signals(signals) > 0 ? weft_spawn(watchers, stop_on_signal, load) : 0;
    if (err == 0)
        err = run_group(load, spawn_preparation);
    if (err == 0 && !load->stopped)
        err = weft_spawn(watchers, weft_load_watch_run, &load->watch);
    if (err == 0 && !load->stopped)
        err = run_group(load, spawn_clients);
    return err;
}

/* The first fiber. */
static int run_load(void *arg)
{
    struct load *load = arg;
    struct weft_group watchers;
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    load->epoch_us = (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000 - weft_now() / 1000;
    int err = weft_channel_init(&load->shared.gate, 1, 0);
    if (err == 0)
        err = weft_channel_init(&load->shared.end, 1, 0);
    if (err == 0)
        err = weft_group_init(&watchers, &(struct weft_group_options){.name = "watchers"});
    if (err)
        return err;
    err = run_watched(load, &watchers);
    weft_group_close(&watchers);
    weft_channel_deinit(&load->shared.gate);
    weft_channel_deinit(&load->shared.end);
    if (err && load->error_bytes > 0 && load->error[0] == '\0')
        (void)fail(load, err, "the load was broken off: %s", weft_strerror(err));
    if (err == 0 && load->shared.schedule.start_ns == 0)
        return fail(load, -ECANCELED, "interrupted before the load began");
    return err;
}

static int sum_up(struct load *load, struct weft_load_result *ret_result)
{
    struct weft_load_result result;
    int err =
        weft_load_result_make(&result, &load->shared, load->shards, load->workers, &load->watch);
    if (err)
        return fail(load, err, "out of memory");
    result.connections = load->connections;
    result.started_us = load->epoch_us + load->shared.schedule.start_ns / 1000;
    result.stopped = load->stopped;
    *ret_result = result;
    return 0;
}

static int run(struct load *load, struct weft_load_result *ret_result)
{
    const struct weft_run_options options = {.io = load->options->io, .workers = load->workers};
    int err = raise_file_limit(load);
    if (err)
        return err;
    if (load->error_bytes > 0)
        load->error[0] = '\0';
    err = weft_run(&options, run_load, load);
    if (err == 0)
        return sum_up(load, ret_result);
    if (load->error_bytes > 0 && load->error[0] == '\0')
        (void)fail(load, err, "the runtime cannot be started: %s", weft_strerror(err));
    return err;
}

int weft_load(const struct weft_load_options *options, struct weft_load_result *ret_result,
              char *ret_error, size_t error_bytes)
{
    struct load *load = calloc(1, sizeof *load); /* its parts are too many for a stack */
    if (!load) {
        if (error_bytes > 0)
            (void)snprintf(ret_error, error_bytes, "out of memory");
        return -ENOMEM;
    }
    load->options = options;
    load->error = ret_error;
    load->error_bytes = error_bytes;
    int err = check_options(load);
    if (err == 0)
        err = apply_options(load);
    if (err == 0)
        err = run(load, ret_result);
    close_clients(load);
    weft_load_targets_deinit(&load->shared.targets);
    free(load);
    return err;
}
