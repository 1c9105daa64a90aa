/* SPDX-License-Identifier: MIT
 * load_client.c - see load_client.h. The loop in run() is the load; below it, exchange() is one
 * request and answer. */
#include <base/time.h>
#include <lab/load_client.h>

#include <weft/io.h>
#include <weft/net.h>
#include <weft/runtime.h>

#include <errno.h>

/* A server that is gone must not make us spin: refused connects come back in microseconds. */
#define CONNECT_PAUSE_MIN_NS (1 * WEFT_MSEC)
#define CONNECT_PAUSE_MAX_NS (100 * WEFT_MSEC)

/* After so long without traffic, look whether the server has closed before sending. Servers' idle
 * timeouts are seconds. */
#define IDLE_CHECK_NS WEFT_SEC

int weft_load_client_init(struct weft_load_client *client, struct weft_load_shared *shared)
{
    client->shared = shared;
    client->fd = -1;
    client->connect_failures = 0;
    return weft_load_request_init(&client->request, &shared->message);
}

static void disconnect(struct weft_load_client *client)
{
    if (client->fd >= 0)
        (void)weft_close(client->fd);
    client->fd = -1;
}

void weft_load_client_deinit(struct weft_load_client *client)
{
    disconnect(client);
    weft_load_request_deinit(&client->request);
}

/* A checkpoint; 0, -ECANCELED, or why there is no connection. */
static int connect_now(struct weft_load_client *client, int64_t deadline_ns)
{
    const struct weft_load_shared *shared = client->shared;
    if (client->connect_failures > 0) {
        unsigned doublings = client->connect_failures < 8 ? client->connect_failures - 1 : 7;
        int64_t pause_ns = CONNECT_PAUSE_MIN_NS << doublings;
        int err = weft_sleep(pause_ns < CONNECT_PAUSE_MAX_NS ? pause_ns : CONNECT_PAUSE_MAX_NS);
        if (err)
            return err;
    }
    int fd = weft_tcp_connect(shared->host, shared->port, deadline_ns);
    if (fd < 0) {
        client->connect_failures += fd != -ECANCELED;
        return fd;
    }
    client->fd = fd;
    client->connect_failures = 0;
    weft_load_response_init(&client->response, shared->message.method);
    return 0;
}

/* An idle connection the server has closed, or sent something on, is replaced without a word: the
 * request was not sent yet. */
static void check_idle(struct weft_load_client *client, int64_t now_ns)
{
    if (client->fd < 0 || now_ns - client->idle_since_ns < IDLE_CHECK_NS)
        return;
    if (weft_read(client->fd, client->input, sizeof client->input, WEFT_NOWAIT) != -EAGAIN)
        disconnect(client);
}

static int send_request(struct weft_load_client *client, int64_t deadline_ns)
{
    size_t written = 0;
    int err = weft_write_all(client->fd, client->request.text.data, client->request.text.len,
                             deadline_ns, &written);
    client->shared->result.bytes_written += written;
    return err;
}

/* 0 when the response is complete; -EPROTO for what is not HTTP; -ECONNRESET at an early end. A
 * read that finds bytes does not look at its deadline, so that is done here. */
static int read_response(struct weft_load_client *client, int64_t deadline_ns)
{
    for (;;) {
        ssize_t len = weft_read(client->fd, client->input, sizeof client->input, deadline_ns);
        if (len < 0)
            return (int)len;
        enum weft_load_progress progress;
        if (len == 0) {
            progress = weft_load_response_end(&client->response);
            return progress == WEFT_LOAD_COMPLETE ? 0 : -ECONNRESET;
        }
        client->shared->result.bytes_read += (uint64_t)len;
        progress = weft_load_response_feed(&client->response, client->input, (size_t)len);
        if (progress != WEFT_LOAD_MORE)
            return progress == WEFT_LOAD_COMPLETE ? 0 : -EPROTO;
        if (weft_now() >= deadline_ns)
            return -ETIMEDOUT;
    }
}

/* What one request came to. */
enum outcome {
    ANSWERED,
    CANCELLED,
    FAILED_CONNECT,
    FAILED_TIMEOUT,
    FAILED_RESET,
    FAILED_PROTOCOL,
};

static enum outcome outcome_of(int err, enum outcome otherwise)
{
    switch (err) {
    case 0:
        return ANSWERED;
    case -ECANCELED:
        return CANCELLED;
    case -ETIMEDOUT:
        return FAILED_TIMEOUT;
    case -EPROTO:
        return FAILED_PROTOCOL;
    default:
        return otherwise;
    }
}

static enum outcome exchange(struct weft_load_client *client, int64_t deadline_ns)
{
    if (client->fd < 0) {
        int err = connect_now(client, deadline_ns);
        if (err)
            return outcome_of(err, FAILED_CONNECT);
    }
    weft_load_response_begin(&client->response);
    int sent = send_request(client, deadline_ns);
    int err = sent;
    /* A server may answer, 413 say, and close before it has read everything. */
    if (sent == 0 || sent == -EPIPE || sent == -ECONNRESET)
        err = read_response(client, deadline_ns);
    if (err || sent || !client->response.keep_alive)
        disconnect(client);
    return outcome_of(err, FAILED_RESET);
}

static void count_answer(struct weft_load_shared *shared, int status, int64_t latency_ns)
{
    struct weft_load_result *result = &shared->result;
    int class = status / 100;
    if (class < 1 || class > 5) {
        result->status[0]++;
        result->errors[WEFT_LOAD_PROTOCOL]++;
        return;
    }
    result->status[class]++;
    if (class >= 4) {
        result->errors[WEFT_LOAD_STATUS]++;
        return;
    }
    result->succeeded++;
    weft_histogram_record(shared->latency, latency_ns);
}

static void count(struct weft_load_client *client, enum outcome outcome, int64_t latency_ns)
{
    struct weft_load_shared *shared = client->shared;
    struct weft_load_result *result = &shared->result;
    result->requests++;
    switch (outcome) {
    case ANSWERED:
        count_answer(shared, client->response.status, latency_ns);
        break;
    case FAILED_CONNECT:
        result->errors[WEFT_LOAD_CONNECT]++;
        break;
    case FAILED_TIMEOUT:
        result->errors[WEFT_LOAD_TIMEOUT]++;
        break;
    case FAILED_PROTOCOL:
        result->errors[WEFT_LOAD_PROTOCOL]++;
        result->status[0]++;
        break;
    case FAILED_RESET:
    case CANCELLED: /* never gets here */
        result->errors[WEFT_LOAD_RESET]++;
        break;
    }
}

/* The last client to connect starts the clock for all. */
static int wait_for_start(struct weft_load_shared *shared)
{
    char nothing;
    if (--shared->connecting > 0) {
        int err = weft_receive(&shared->gate, &nothing, WEFT_FOREVER);
        return err == -ECANCELED ? err : 0;
    }
    struct weft_load_schedule *schedule = &shared->schedule;
    schedule->start_ns = shared->last_ns = weft_now();
    if (shared->duration_ns > 0)
        schedule->end_ns = weft_time_after(schedule->start_ns, shared->duration_ns);
    weft_channel_close(&shared->gate, -EPIPE);
    return 0;
}

int weft_load_client_run(void *arg)
{
    struct weft_load_client *client = arg;
    struct weft_load_shared *shared = client->shared;
    uint64_t number;
    int64_t due_ns;

    int64_t now_ns = client->idle_since_ns = weft_now();
    /* A failure here is counted when the first request meets it again. */
    int err = connect_now(client, weft_time_after(now_ns, shared->timeout_ns));
    if (err != -ECANCELED)
        err = wait_for_start(shared);
    if (err)
        return err;

    now_ns = weft_now();
    while (weft_load_schedule_take(&shared->schedule, now_ns, &number, &due_ns)) {
        if (due_ns > now_ns) {
            err = weft_sleep_until(due_ns);
            if (err)
                return err;
            now_ns = weft_now();
        }
        check_idle(client, now_ns);
        err = weft_load_request_set_number(&client->request, number);
        if (err)
            return err;
        enum outcome outcome = exchange(client, weft_time_after(now_ns, shared->timeout_ns));
        if (outcome == CANCELLED)
            return -ECANCELED;
        now_ns = client->idle_since_ns = shared->last_ns = weft_now();
        count(client, outcome, now_ns - due_ns);
    }
    return 0;
}

int weft_load_client_probe(struct weft_load_client *client)
{
    int64_t deadline_ns = weft_time_after(weft_now(), client->shared->timeout_ns);
    int err = client->fd < 0 ? connect_now(client, deadline_ns) : 0;
    if (err == 0)
        err = weft_load_request_set_number(&client->request, 0);
    if (err)
        return err;
    weft_load_response_begin(&client->response);
    err = send_request(client, deadline_ns);
    return err ? err : read_response(client, deadline_ns);
}
