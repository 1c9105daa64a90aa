/* SPDX-License-Identifier: MIT
 * load.c - see load.h. Checks the options, reaches the server once, finds the method, runs a fiber
 * per connection (load_client.c) beside one for progress, and sums up. */
#include <weft/load.h>

#include <lab/load_client.h>
#include <lab/load_url.h>
#include <weft/group.h>
#include <weft/io.h>
#include <weft/net.h>
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
#include <sys/socket.h>

#define CONNECTIONS_DEFAULT 64u
#define CONNECTIONS_MAX     10000u
#define DURATION_DEFAULT_NS (10 * WEFT_SEC)
#define TIMEOUT_DEFAULT_NS  (30 * WEFT_SEC)
#define RATE_MIN            0.001
#define RATE_MAX            1e9
#define PROGRESS_NS         (200 * WEFT_MSEC)
#define PROBE_BODY          "{\"text\": \"load {i}\"}"

/* Descriptors besides the connections': standard streams, the reactor's, what the caller has. */
#define OTHER_FILES 64u

struct load {
    const struct weft_load_options *options;
    struct weft_load_url url;
    struct weft_load_shared shared;
    unsigned connections;
    struct weft_load_client *clients;
    struct weft_group client_group;
    char host[NI_MAXHOST];
    bool stopped; /* by a signal */
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

/* RFC 9110, 5.6.2; and it must fit the result. */
static bool is_method(const char *text)
{
    size_t len = strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_");
    return len > 0 && len < sizeof((struct weft_load_result *)0)->method && text[len] == '\0';
}

static int check_options(struct load *load)
{
    const struct weft_load_options *options = load->options;
    const char *reason;
    if (!options->url)
        return fail(load, -EINVAL, "the URL is missing");
    int err = weft_load_url_parse(&load->url, options->url, &reason);
    if (err)
        return fail(load, err, "'%.200s' is not a URL to load: %s", options->url, reason);
    if (options->method && !is_method(options->method))
        return fail(load, -EINVAL, "'%.40s' is not a method", options->method);
    if (options->content_type && strpbrk(options->content_type, "\r\n"))
        return fail(load, -EINVAL, "the content type contains a line feed");
    if (options->connections > CONNECTIONS_MAX)
        return fail(load, -EINVAL, "%u connections are more than %u", options->connections,
                    CONNECTIONS_MAX);
    if (!(options->rate_per_s >= 0 && options->rate_per_s <= RATE_MAX) ||
        (options->rate_per_s > 0 && options->rate_per_s < RATE_MIN))
        return fail(load, -EINVAL, "the rate is not 0 and not between %g and %g", RATE_MIN,
                    RATE_MAX);
    if (options->duration_ns < 0 || options->timeout_ns < 0)
        return fail(load, -EINVAL, "a duration is negative");
    return 0;
}

static void apply_defaults(struct load *load)
{
    const struct weft_load_options *options = load->options;
    struct weft_load_shared *shared = &load->shared;
    load->connections = options->connections ? options->connections : CONNECTIONS_DEFAULT;
    shared->timeout_ns = options->timeout_ns ? options->timeout_ns : TIMEOUT_DEFAULT_NS;
    shared->duration_ns = options->duration_ns;
    if (options->requests == 0 && options->duration_ns == 0)
        shared->duration_ns = DURATION_DEFAULT_NS;
    shared->schedule = (struct weft_load_schedule){
        .end_ns = WEFT_FOREVER,
        .requests_max = options->requests ? options->requests : UINT64_MAX,
        .rate_per_s = options->rate_per_s,
    };
    const char *method = options->body ? "POST" : "GET";
    shared->message = (struct weft_load_message){
        .url = &load->url,
        .method = options->method ? options->method : method,
        .body = options->body,
        .content_type = options->content_type ? options->content_type : "application/json",
    };
    shared->host = load->url.host;
    shared->port = load->url.port;
}

static int raise_file_limit(const struct load *load)
{
    struct rlimit limit;
    rlim_t needed = load->connections + OTHER_FILES;
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

/* Connect once, to tell at once when nobody is there, and to look the name up only once. */
static int reach_server(struct load *load)
{
    struct weft_load_shared *shared = &load->shared;
    struct sockaddr_storage address;
    socklen_t address_len = sizeof address;
    int fd = weft_tcp_connect(shared->host, shared->port, weft_now() + shared->timeout_ns);
    if (fd < 0)
        return fail(load, fd, "cannot connect to %s port %u: %s", shared->host, shared->port,
                    fd == -EADDRNOTAVAIL ? "No such host, or no free port on this one"
                                         : weft_strerror(fd));
    if (getpeername(fd, (struct sockaddr *)&address, &address_len) == 0 &&
        getnameinfo((struct sockaddr *)&address, address_len, load->host, sizeof load->host, NULL,
                    0, NI_NUMERICHOST) == 0)
        shared->host = load->host;
    (void)weft_close(fd);
    return 0;
}

/* Whether a comma-separated list holds POST. */
static bool allows_post(const char *allow)
{
    while (*allow) {
        size_t len = strcspn(allow, ", \t");
        if (len == 4 && memcmp(allow, "POST", 4) == 0)
            return true;
        allow += len;
        allow += strspn(allow, ", \t");
    }
    return false;
}

/* Without a method and a body, ask with one GET. No answer to it leaves GET: the load will show
 * what is wrong. Returns 0, -ENOMEM, -ECANCELED */
static int find_method(struct load *load)
{
    struct weft_load_message *message = &load->shared.message;
    if (load->options->method || load->options->body)
        return 0;
    struct weft_load_client *probe = calloc(1, sizeof *probe);
    if (!probe)
        return -ENOMEM;
    int err = weft_load_client_init(probe, &load->shared);
    if (err == 0)
        err = weft_load_client_probe(probe);
    if (err == 0 && probe->response.status == 405 && allows_post(probe->response.allow)) {
        message->method = "POST";
        message->body = PROBE_BODY;
    }
    weft_load_client_deinit(probe);
    free(probe);
    return err == -ENOMEM || err == -ECANCELED ? err : 0;
}

static double fraction_done(const struct weft_load_shared *shared, int64_t now_ns)
{
    double by_count = (double)shared->result.requests / (double)shared->schedule.requests_max;
    double by_time =
        shared->duration_ns > 0 && shared->schedule.start_ns > 0
            ? (double)(now_ns - shared->schedule.start_ns) / (double)shared->duration_ns
            : 0;
    double fraction = by_time > by_count ? by_time : by_count;
    return fraction < 1 ? fraction : 1;
}

static int report_progress(void *arg)
{
    struct load *load = arg;
    const struct weft_load_options *options = load->options;
    const struct weft_load_shared *shared = &load->shared;
    uint64_t before = 0;
    int64_t before_ns = weft_now();
    while (weft_sleep(PROGRESS_NS) == 0) {
        int64_t now_ns = weft_now();
        uint64_t done = shared->result.requests;
        double rate = (double)(done - before) * 1e9 / (double)(now_ns - before_ns);
        options->progress(options->progress_context, done, fraction_done(shared, now_ns), rate);
        before = done;
        before_ns = now_ns;
    }
    return 0;
}

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
    struct weft_load_schedule *schedule = &load->shared.schedule;
    schedule->end_ns = load->shared.last_ns = weft_now();
    if (schedule->start_ns == 0) /* still connecting */
        schedule->start_ns = schedule->end_ns;
    weft_group_cancel(&load->client_group, 0);
    return 0;
}

static int run_clients(struct load *load)
{
    int err = weft_group_init(&load->client_group, &(struct weft_group_options){.name = "load"});
    if (err)
        return err;
    load->shared.connecting = load->connections;
    for (unsigned i = 0; i < load->connections && err == 0; i++)
        err = weft_spawn(&load->client_group, weft_load_client_run, &load->clients[i]);
    if (err)
        weft_group_cancel(&load->client_group, 0);
    int result = weft_group_wait(&load->client_group);
    if (load->stopped)
        return 0;
    return err ? err : result;
}

/* Clients, and beside them what only watches. */
static int run_all(struct load *load)
{
    struct weft_group watchers;
    int signals[2];
    int err = weft_group_init(&watchers, &(struct weft_group_options){.name = "watchers"});
    if (err)
        return err;
    if (load->options->progress)
        err = weft_spawn(&watchers, report_progress, load);
    if (err == 0 && blocked_signals(signals) > 0)
        err = weft_spawn(&watchers, stop_on_signal, load);
    if (err == 0)
        err = run_clients(load);
    weft_group_close(&watchers);
    return err;
}

static int open_clients(struct load *load)
{
    load->clients = calloc(load->connections, sizeof *load->clients);
    if (!load->clients)
        return -ENOMEM;
    for (unsigned i = 0; i < load->connections; i++) {
        int err = weft_load_client_init(&load->clients[i], &load->shared);
        if (err)
            return err;
    }
    return 0;
}

static void close_clients(struct load *load)
{
    for (unsigned i = 0; load->clients && i < load->connections; i++) {
        if (load->clients[i].shared)
            weft_load_client_deinit(&load->clients[i]);
    }
    free(load->clients);
    load->clients = NULL;
}

/* The first fiber. */
static int run_load(void *arg)
{
    struct load *load = arg;
    int err = reach_server(load);
    if (err)
        return err;
    err = weft_channel_init(&load->shared.gate, 1, 0);
    if (err)
        return fail(load, err, "out of memory");
    err = find_method(load);
    if (err == 0)
        err = open_clients(load);
    if (err == 0)
        err = run_all(load);
    if (err)
        (void)fail(load, err, "the load was broken off: %s", weft_strerror(err));
    close_clients(load);
    weft_channel_deinit(&load->shared.gate);
    return err;
}

static void sum_up(struct load *load, struct weft_load_result *ret_result)
{
    const struct weft_load_shared *shared = &load->shared;
    const struct weft_load_schedule *schedule = &shared->schedule;
    const struct weft_histogram *latency = shared->latency;
    struct weft_load_result result = shared->result;

    result.stopped = load->stopped;
    result.not_started = weft_load_schedule_left(schedule);
    result.elapsed_ns = shared->last_ns - schedule->start_ns;
    /* An open loop whose last request was answered early still lasted until its end. */
    if (schedule->rate_per_s > 0 && schedule->next < schedule->requests_max &&
        schedule->end_ns != WEFT_FOREVER && schedule->end_ns > shared->last_ns)
        result.elapsed_ns = schedule->end_ns - schedule->start_ns;
    if (result.elapsed_ns > 0)
        result.requests_per_s = (double)result.succeeded * 1e9 / (double)result.elapsed_ns;
    result.latency_min_ns = weft_histogram_min(latency);
    result.latency_mean_ns = weft_histogram_mean(latency);
    result.latency_max_ns = weft_histogram_max(latency);
    result.latency_p50_ns = weft_histogram_percentile(latency, 500000);
    result.latency_p75_ns = weft_histogram_percentile(latency, 750000);
    result.latency_p90_ns = weft_histogram_percentile(latency, 900000);
    result.latency_p95_ns = weft_histogram_percentile(latency, 950000);
    result.latency_p99_ns = weft_histogram_percentile(latency, 990000);
    result.latency_p999_ns = weft_histogram_percentile(latency, 999000);
    (void)snprintf(result.method, sizeof result.method, "%s", shared->message.method);
    *ret_result = result;
}

int weft_load(const struct weft_load_options *options, struct weft_load_result *ret_result,
              char *ret_error, size_t error_bytes)
{
    struct load load = {.options = options, .error = ret_error, .error_bytes = error_bytes};
    int err = check_options(&load);
    if (err)
        return err;
    apply_defaults(&load);
    err = raise_file_limit(&load);
    if (err)
        return err;
    err = weft_histogram_open(&load.shared.latency);
    if (err)
        return fail(&load, err, "out of memory");
    if (error_bytes > 0)
        ret_error[0] = '\0';
    err = weft_run(&(struct weft_run_options){.io = options->io}, run_load, &load);
    if (err == 0)
        sum_up(&load, ret_result);
    else if (error_bytes > 0 && ret_error[0] == '\0')
        (void)fail(&load, err, "the runtime cannot be started: %s", weft_strerror(err));
    weft_histogram_close(load.shared.latency);
    return err;
}
