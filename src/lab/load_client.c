/* SPDX-License-Identifier: MIT
 * load_client.c - see load_client.h. The loop in weft_load_client_run is the load; below it,
 * exchange() sends what is due and takes what has been answered. */
#include <base/time.h>
#include <lab/load_client.h>

#include <weft/io.h>
#include <weft/net.h>
#include <weft/runtime.h>
#include <weft/select.h>

#include <errno.h>
#include <stdlib.h>

/* A server that is gone must not make us spin: refused connects come back in microseconds. */
#define CONNECT_PAUSE_MIN_NS (1 * WEFT_MSEC)
#define CONNECT_PAUSE_MAX_NS (100 * WEFT_MSEC)

/* After so long without traffic, look whether the server has closed before sending. Servers' idle
 * timeouts are seconds. */
#define IDLE_CHECK_NS WEFT_SEC

/* With so many bytes on their way, nothing is added. */
#define OUT_BYTES        ((size_t)256 << 10)
#define OUT_MAX          ((size_t)2 << 30)

#define load(at)         __atomic_load_n(at, __ATOMIC_RELAXED)
#define store(at, value) __atomic_store_n(at, value, __ATOMIC_RELAXED)

/* ---- making them ----------------------------------------------------------------------- */

static int open_tallies(struct weft_load_tally **ret_tallies, size_t count)
{
    *ret_tallies = calloc(count, sizeof **ret_tallies);
    if (!*ret_tallies)
        return -ENOMEM;
    for (size_t i = 0; i < count; i++) {
        int err = weft_load_tally_init(&(*ret_tallies)[i]);
        if (err)
            return err;
    }
    return 0;
}

int weft_load_shard_init(struct weft_load_shard *shard, struct weft_load_shared *shared)
{
    size_t targets = shared->targets.count;
    *shard = (struct weft_load_shard){.shared = shared};
    int err = weft_histogram_open(&shard->latency);
    if (err == 0)
        err = open_tallies(&shard->parts, shared->schedule.count);
    if (err == 0 && targets > 1)
        err = open_tallies(&shard->urls, targets);
    shard->known = calloc(targets, sizeof shard->known[0]);
    shard->input = malloc(WEFT_LOAD_INPUT_BYTES);
    return err || !shard->known || !shard->input ? -ENOMEM : 0;
}

static void close_tallies(struct weft_load_tally *tallies, size_t count)
{
    for (size_t i = 0; tallies && i < count; i++)
        weft_load_tally_deinit(&tallies[i]);
    free(tallies);
}

void weft_load_shard_deinit(struct weft_load_shard *shard)
{
    if (!shard->shared)
        return;
    close_tallies(shard->parts, shard->shared->schedule.count);
    close_tallies(shard->urls, shard->shared->targets.count);
    weft_histogram_close(shard->latency);
    free(shard->known);
    free(shard->input);
    *shard = (struct weft_load_shard){0};
}

int weft_load_client_init(struct weft_load_client *client, struct weft_load_shard *shard)
{
    *client = (struct weft_load_client){.shard = shard, .fd = -1};
    weft_buffer_init(&client->out, OUT_MAX);
    client->flights = calloc(shard->shared->pipeline, sizeof client->flights[0]);
    return client->flights ? 0 : -ENOMEM;
}

void weft_load_client_deinit(struct weft_load_client *client)
{
    weft_buffer_deinit(&client->out);
    free(client->flights);
    client->flights = NULL;
}

/* ---- the connection -------------------------------------------------------------------- */

static void disconnect(struct weft_load_client *client)
{
    struct weft_load_shard *shard = client->shard;
    if (client->fd >= 0) {
        (void)weft_close(client->fd);
        store(&shard->connected, shard->connected - 1);
    }
    client->fd = -1;
    client->broken = client->answering = false;
    weft_buffer_clear(&client->out);
    client->out_sent = 0;
}

/* A checkpoint; 0, -ECANCELED, or why there is no connection. */
static int connect_now(struct weft_load_client *client, int64_t deadline_ns)
{
    struct weft_load_shard *shard = client->shard;
    if (client->connect_failures > 0) {
        unsigned doublings = client->connect_failures < 8 ? client->connect_failures - 1 : 7;
        int64_t pause_ns = CONNECT_PAUSE_MIN_NS << doublings;
        int err = weft_sleep(pause_ns < CONNECT_PAUSE_MAX_NS ? pause_ns : CONNECT_PAUSE_MAX_NS);
        if (err)
            return err;
    }
    int fd = weft_tcp_connect(shard->shared->host, shard->shared->port, deadline_ns);
    client->now_ns = weft_now();
    if (fd < 0) {
        client->connect_failures += fd != -ECANCELED;
        return fd;
    }
    client->fd = fd;
    client->connect_failures = 0;
    shard->connects++;
    store(&shard->connected, shard->connected + 1);
    weft_load_response_init(&client->response);
    return 0;
}

/* An idle connection the server has closed, or sent something on, is replaced without a word: the
 * request was not sent yet. */
static void check_idle(struct weft_load_client *client)
{
    if (client->fd < 0 || client->begun > 0 ||
        client->now_ns - client->idle_since_ns < IDLE_CHECK_NS)
        return;
    if (weft_read(client->fd, client->shard->input, WEFT_LOAD_INPUT_BYTES, WEFT_NOWAIT) == -EAGAIN)
        return;
    /* What is to be sent stays. */
    struct weft_buffer out = client->out;
    weft_buffer_init(&client->out, OUT_MAX);
    disconnect(client);
    client->out = out;
}

/* ---- requests -------------------------------------------------------------------------- */

static struct weft_load_flight *flight_at(const struct weft_load_client *client, unsigned index)
{
    unsigned size = client->shard->shared->pipeline, at = client->first + index;
    return &client->flights[at < size ? at : at - size];
}

static void append_message(struct weft_load_client *client, const struct weft_load_flight *flight)
{
    const struct weft_load_target *target = &client->shard->shared->targets.items[flight->target];
    weft_load_message_append(&target->message, flight->number, &client->out);
}

/* Take what is due, as much as the connection may have on its way. Returns 0, -ENOMEM */
static int take_due(struct weft_load_client *client)
{
    struct weft_load_shared *shared = client->shard->shared;
    while (client->count < shared->pipeline && client->out.len < OUT_BYTES) {
        struct weft_load_turn *turn = &client->turn;
        if (!client->has_turn)
            client->has_turn = weft_load_schedule_take(&shared->schedule, client->now_ns, turn);
        if (!client->has_turn || turn->due_ns > client->now_ns)
            break;
        client->has_turn = false;
        struct weft_load_flight *flight = flight_at(client, client->count++);
        *flight = (struct weft_load_flight){
            .number = turn->number,
            .due_ns = turn->due_ns,
            .begun_ns = client->now_ns,
            .target = weft_load_targets_pick(&shared->targets, turn->number),
            .part = turn->part,
        };
        append_message(client, flight);
    }
    return client->out.err;
}

/* The oldest request has come to this. */
static void end_oldest(struct weft_load_client *client, enum weft_load_outcome outcome)
{
    struct weft_load_shard *shard = client->shard;
    const struct weft_load_flight *flight = flight_at(client, 0);
    int64_t now_ns = client->now_ns;
    struct weft_load_end end = {
        .outcome = outcome,
        .status = client->response.status,
        .latency_ns = now_ns - flight->due_ns,
        .sent_ns = now_ns - flight->sent_ns,
    };
    bool success = weft_load_tally_count(&shard->parts[flight->part], &end);
    if (shard->urls && flight->part > 0)
        (void)weft_load_tally_count(&shard->urls[flight->target], &end);
    store(&shard->requests, shard->requests + 1);
    if (success) {
        store(&shard->succeeded, shard->succeeded + 1);
        weft_histogram_record(shard->latency, end.latency_ns);
        if (shard->part != WEFT_LOAD_PART_NONE)
            shard->part = weft_load_schedule_part_at(&shard->shared->schedule, now_ns, shard->part);
        if (shard->part != WEFT_LOAD_PART_NONE)
            shard->parts[shard->part].in_time++;
    }
    shard->last_ns = now_ns;
    client->first = client->first + 1 < shard->shared->pipeline ? client->first + 1 : 0;
    client->count--;
    client->begun -= client->begun > 0;
}

/* The connection is of no use any more: the oldest request has failed so, and with it those that
 * were sent behind it. */
static void fail_all(struct weft_load_client *client, enum weft_load_outcome outcome)
{
    disconnect(client);
    end_oldest(client, outcome);
    while (client->count > 0)
        end_oldest(client, WEFT_LOAD_FAILED_RESET);
    client->idle_since_ns = client->now_ns;
}

/* The answer has closed the connection. What had been sent behind it was not looked at (RFC 9112,
 * 9.6), and is sent again. Returns 0, -ENOMEM */
static int send_again(struct weft_load_client *client)
{
    disconnect(client);
    for (unsigned i = 0; i < client->count; i++)
        append_message(client, flight_at(client, i));
    client->shard->resent += client->begun;
    return client->out.err;
}

/* ---- bytes ----------------------------------------------------------------------------- */

/* Write what there is. When the server takes no more and has something to say, that comes first:
 * it may wait for us to listen. Returns 0, or why it goes no further */
static int write_out(struct weft_load_client *client, int64_t deadline_ns)
{
    struct weft_buffer *out = &client->out;
    while (client->out_sent < out->len) {
        ssize_t count = weft_write(client->fd, out->data + client->out_sent,
                                   out->len - client->out_sent, WEFT_NOWAIT);
        if (count >= 0) {
            client->out_sent += (size_t)count;
            client->shard->bytes_written += (size_t)count;
            continue;
        }
        if (count != -EAGAIN)
            return (int)count;
        struct weft_case cases[] = {weft_case_fd(client->fd, WEFT_WRITABLE),
                                    weft_case_fd(client->fd, WEFT_READABLE)};
        int chosen = weft_select(cases, 2, deadline_ns, WEFT_SELECT_IN_ORDER);
        if (chosen != 0)
            return chosen == 1 ? 0 : chosen;
    }
    weft_buffer_clear(out);
    client->out_sent = 0;
    return 0;
}

/* Connect if need be, and send. Returns 0, -ECANCELED, or after an error that was counted 1 */
static int send_requests(struct weft_load_client *client)
{
    int64_t timeout_ns = client->shard->shared->timeout_ns;
    check_idle(client);
    if (client->fd < 0) {
        int err = connect_now(client, weft_time_after(client->now_ns, timeout_ns));
        if (err == -ECANCELED)
            return err;
        if (err) { /* the others get another try */
            end_oldest(client,
                       err == -ETIMEDOUT ? WEFT_LOAD_FAILED_TIMEOUT : WEFT_LOAD_FAILED_CONNECT);
            weft_buffer_clear(&client->out);
            for (unsigned i = 0; i < client->count; i++)
                append_message(client, flight_at(client, i));
            return client->out.err ? client->out.err : 1;
        }
    }
    for (; client->begun < client->count; client->begun++)
        flight_at(client, client->begun)->sent_ns = client->now_ns;
    if (client->broken)
        return 0;
    int err = write_out(client, weft_time_after(flight_at(client, 0)->begun_ns, timeout_ns));
    /* A server may answer, 413 say, and close before it has read everything. */
    if (err == -EPIPE || err == -ECONNRESET) {
        client->broken = true;
        err = 0;
    }
    return err;
}

/* The end of an answer. Returns 1 when the connection is over, 0, -ENOMEM */
static int end_answer(struct weft_load_client *client)
{
    bool keep_alive = client->response.keep_alive, broken = client->broken;
    client->answering = false;
    client->idle_since_ns = client->now_ns;
    end_oldest(client, WEFT_LOAD_ANSWERED);
    if (keep_alive && !broken)
        return 0;
    if (client->count == 0)
        disconnect(client);
    else if (broken)
        fail_all(client, WEFT_LOAD_FAILED_RESET);
    else if (send_again(client) < 0)
        return -ENOMEM;
    return 1;
}

/* Take answers out of what was read. Returns 0, -EPROTO, -ETIMEDOUT, -ENOMEM */
static int take_answers(struct weft_load_client *client, const char *data, size_t len)
{
    const struct weft_load_shared *shared = client->shard->shared;
    while (len > 0 && client->count > 0) {
        size_t used;
        uint32_t target = flight_at(client, 0)->target;
        if (!client->answering)
            weft_load_response_begin(&client->response, shared->targets.items[target].message.head,
                                     &client->shard->known[target]);
        client->answering = true;
        switch (weft_load_response_feed(&client->response, data, len, &used)) {
        case WEFT_LOAD_MALFORMED:
            return -EPROTO;
        case WEFT_LOAD_COMPLETE: {
            int over = end_answer(client);
            if (over)
                return over < 0 ? over : 0;
            break;
        }
        case WEFT_LOAD_MORE:
            break;
        }
        data += used;
        len -= used;
    }
    if (client->count == 0) {
        if (len > 0) /* nobody asked for it: the next answer could not be told apart */
            disconnect(client);
        return 0;
    }
    /* A read that finds bytes does not look at its deadline. */
    bool late = client->now_ns - flight_at(client, 0)->begun_ns >= shared->timeout_ns;
    return late ? -ETIMEDOUT : 0;
}

/* The server has closed. */
static int take_end(struct weft_load_client *client)
{
    if (!client->answering || weft_load_response_end(&client->response) != WEFT_LOAD_COMPLETE)
        return -ECONNRESET;
    int over = end_answer(client);
    return over < 0 ? over : 0;
}

/* Wait for bytes, but not longer than until the next request is due. */
static int read_answers(struct weft_load_client *client)
{
    struct weft_load_shard *shard = client->shard;
    int64_t deadline_ns =
        weft_time_after(flight_at(client, 0)->begun_ns, shard->shared->timeout_ns);
    bool room = client->has_turn && client->count < shard->shared->pipeline;
    int64_t until_ns =
        room && client->turn.due_ns < deadline_ns ? client->turn.due_ns : deadline_ns;
    if (client->out.len > 0 && !client->broken)
        until_ns = WEFT_NOWAIT; /* the rest of it is to be sent */
    ssize_t len = weft_read(client->fd, shard->input, WEFT_LOAD_INPUT_BYTES, until_ns);
    client->now_ns = weft_now();
    if (len > 0) {
        shard->bytes_read += (size_t)len;
        return take_answers(client, shard->input, (size_t)len);
    }
    if (len == 0)
        return take_end(client);
    if (len == -EAGAIN || (len == -ETIMEDOUT && client->now_ns < deadline_ns))
        return 0;
    return (int)len;
}

/* Returns 0 with something done, -ECANCELED, -ENOMEM */
static int exchange(struct weft_load_client *client)
{
    int err = send_requests(client);
    if (err == 0)
        err = read_answers(client);
    switch (err) {
    case -ECANCELED:
    case -ENOMEM:
        return err;
    case 0:
    case 1:
        return 0;
    case -ETIMEDOUT:
        client->now_ns = weft_now();
        fail_all(client, WEFT_LOAD_FAILED_TIMEOUT);
        return 0;
    case -EPROTO:
        fail_all(client, WEFT_LOAD_FAILED_PROTOCOL);
        return 0;
    default:
        fail_all(client, WEFT_LOAD_FAILED_RESET);
        return 0;
    }
}

/* ---- the fiber ------------------------------------------------------------------------- */

/* Count one client less, and wait until there are none. Returns 1 to the last of them, who is to
 * close the gate; 0, -ECANCELED */
static int wait_for_others(unsigned *count, struct weft_channel *gate)
{
    char nothing;
    if (__atomic_sub_fetch(count, 1, __ATOMIC_ACQ_REL) == 0)
        return 1;
    int err = weft_receive(gate, &nothing, WEFT_FOREVER);
    return err == -ECANCELED ? err : 0;
}

/* The last client to connect starts the clock for all. */
static int wait_for_start(struct weft_load_shared *shared)
{
    int last = wait_for_others(&shared->connecting, &shared->gate);
    if (last <= 0)
        return last;
    weft_load_schedule_start(&shared->schedule, weft_now());
    (void)weft_channel_close(&shared->gate, -EPIPE);
    return 0;
}

/* The server has as many connections to the end as were asked for. */
static int wait_for_end(struct weft_load_shared *shared)
{
    int last = wait_for_others(&shared->driving, &shared->end);
    if (last > 0)
        (void)weft_channel_close(&shared->end, -EPIPE);
    return last < 0 ? last : 0;
}

static int drive(struct weft_load_client *client)
{
    struct weft_load_shared *shared = client->shard->shared;
    client->now_ns = weft_now();
    /* A failure here is counted when the first request meets it again. */
    int err = connect_now(client, weft_time_after(client->now_ns, shared->timeout_ns));
    if (err != -ECANCELED)
        err = wait_for_start(shared);
    client->now_ns = client->idle_since_ns = weft_now();
    while (err == 0) {
        err = take_due(client);
        if (err == 0 && client->count > 0) {
            err = exchange(client);
        } else if (err == 0) {
            if (!client->has_turn)
                return wait_for_end(shared);
            err = weft_sleep_until(client->turn.due_ns);
            client->now_ns = weft_now();
        }
    }
    return err;
}

int weft_load_client_run(void *arg)
{
    struct weft_load_client *client = arg;
    int err = drive(client);
    /* On its own thread. The shard keeps how many there were until the end. */
    if (client->fd >= 0)
        (void)weft_close(client->fd);
    client->fd = -1;
    return err;
}
