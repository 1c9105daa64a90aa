/* SPDX-License-Identifier: MIT
 * mock_stats.c - what was counted, for C and as JSON. See weft/mock.h. */
#include <lab/mock_answers.h>

#include <weft/runtime.h>

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define READ(counter)         __atomic_load_n(counter, __ATOMIC_RELAXED)
#define WRITE(counter, value) __atomic_store_n(counter, value, __ATOMIC_RELAXED)

/* What the workers' servers have counted since they were opened. requests: of every kind. */
static struct weft_mock_stats sum_servers(const struct weft_mock *mock)
{
    struct weft_mock_stats sum = {0};
    for (unsigned i = 0; i < mock->workers_count; i++) {
        const struct weft_http_server *server =
            __atomic_load_n(&mock->workers[i].server, __ATOMIC_ACQUIRE);
        struct weft_http_server_stats stats;
        if (!server)
            continue;
        weft_http_server_stats(server, &stats);
        sum.requests += stats.requests;
        sum.refused += stats.bad_requests;
        sum.connections += stats.connections;
        sum.connections_refused += stats.connections_refused;
        sum.connections_now += stats.connections_now;
    }
    return sum;
}

static uint64_t less(uint64_t value, const uint64_t *counter)
{
    uint64_t before = READ(counter);
    return value > before ? value - before : 0;
}

/* The servers' numbers are read first: each request that they count is counted by its route later,
 * so that what is under way does not look as if it had no route. */
void weft_mock_stats(const struct weft_mock *mock, struct weft_mock_stats *ret_stats)
{
    const struct weft_mock_stats *before = &mock->before;
    struct weft_mock_stats stats = sum_servers(mock);
    uint64_t arrived = less(stats.requests, &before->requests), routed = 0;
    stats.requests = 0;
    for (unsigned i = 0; i < weft_mock_rows_count; i++) {
        const struct weft_mock_counters *counters = &mock->counters[i];
        uint64_t requests = READ(&counters->requests);
        routed += requests;
        if (weft_mock_rows[i].kind == WEFT_MOCK_CONTROL)
            continue;
        stats.requests += requests;
        stats.resets += READ(&counters->resets);
        stats.bytes += READ(&counters->bytes);
    }
    stats.unrouted = less(arrived, &routed);
    stats.refused = less(stats.refused, &before->refused);
    stats.connections = less(stats.connections, &before->connections);
    stats.connections_refused = less(stats.connections_refused, &before->connections_refused);
    *ret_stats = stats;
}

/* The row that a route's requests are counted in: its first. */
static bool is_counted_row(const struct weft_mock *mock, unsigned row)
{
    return mock->counted_as[row] == row && weft_mock_rows[row].kind != WEFT_MOCK_CONTROL;
}

static const struct weft_mock_counters *counters_of(const struct weft_mock *mock, const char *route)
{
    for (unsigned i = 0; i < weft_mock_rows_count; i++)
        if (is_counted_row(mock, i) && strcmp(weft_mock_rows[i].pattern, route) == 0)
            return &mock->counters[i];
    return NULL;
}

static void read_row(const struct weft_mock *mock, unsigned row,
                     struct weft_mock_route_stats *ret_stats)
{
    const struct weft_mock_counters *counters = &mock->counters[row];
    *ret_stats = (struct weft_mock_route_stats){
        .route = weft_mock_rows[row].pattern,
        .requests = READ(&counters->requests),
        .resets = READ(&counters->resets),
        .abandoned = READ(&counters->abandoned),
        .bytes = READ(&counters->bytes),
        .now = READ(&counters->now),
        .most = READ(&counters->most),
    };
}

int weft_mock_route_stats(const struct weft_mock *mock, unsigned number,
                          struct weft_mock_route_stats *ret_stats)
{
    for (unsigned i = 0; i < weft_mock_rows_count; i++) {
        if (!is_counted_row(mock, i) || number-- > 0)
            continue;
        read_row(mock, i, ret_stats);
        return 0;
    }
    return -ENOENT;
}

uint64_t weft_mock_requests(const struct weft_mock *mock, const char *route)
{
    const struct weft_mock_counters *counters = counters_of(mock, route);
    return counters ? READ(&counters->requests) : 0;
}

uint64_t weft_mock_answers(const struct weft_mock *mock, const char *route, int status)
{
    const struct weft_mock_counters *counters = counters_of(mock, route);
    int index = status - WEFT_MOCK_STATUS_MIN;
    return counters && index >= 0 && index < WEFT_MOCK_STATUSES ? READ(&counters->status[index])
                                                                : 0;
}

void weft_mock_reset(struct weft_mock *mock)
{
    const struct weft_mock_stats now = sum_servers(mock);
    WRITE(&mock->before.requests, now.requests);
    WRITE(&mock->before.refused, now.refused);
    WRITE(&mock->before.connections, now.connections);
    WRITE(&mock->before.connections_refused, now.connections_refused);
    for (unsigned i = 0; i < weft_mock_rows_count; i++) {
        struct weft_mock_counters *counters = &mock->counters[i];
        WRITE(&counters->requests, 0);
        WRITE(&counters->bytes, 0);
        WRITE(&counters->resets, 0);
        WRITE(&counters->abandoned, 0);
        WRITE(&counters->most, READ(&counters->now));
        for (unsigned j = 0; j < WEFT_MOCK_STATUSES; j++)
            WRITE(&counters->status[j], 0);
    }
    weft_mock_limit_clear(&mock->limit);
}

/* ---- as JSON ----------------------------------------------------------------------------- */

static void append_count(struct weft_buffer *out, const char *name, uint64_t value)
{
    weft_buffer_append_format(out, "\"%s\": %" PRIu64 ", ", name, value);
}

static void append_statuses(struct weft_buffer *out, const struct weft_mock_counters *counters)
{
    const char *comma = "";
    weft_buffer_append_string(out, "\"status\": {");
    for (int i = 0; i < WEFT_MOCK_STATUSES; i++) {
        uint64_t count = READ(&counters->status[i]);
        if (count == 0)
            continue;
        weft_buffer_append_format(out, "%s\"%d\": %" PRIu64, comma, i + WEFT_MOCK_STATUS_MIN,
                                  count);
        comma = ", ";
    }
    weft_buffer_append_string(out, "}}");
}

static void append_route(struct weft_buffer *out, const struct weft_mock *mock, unsigned row)
{
    struct weft_mock_route_stats stats;
    read_row(mock, row, &stats);
    weft_buffer_append_json_string(out, stats.route, strlen(stats.route));
    weft_buffer_append_string(out, ": {");
    append_count(out, "requests", stats.requests);
    append_count(out, "resets", stats.resets);
    append_count(out, "abandoned", stats.abandoned);
    append_count(out, "bytes", stats.bytes);
    append_count(out, "now", stats.now);
    append_count(out, "most", stats.most);
    append_statuses(out, &mock->counters[row]);
}

/* Routes that nobody has asked for are left out. */
static void append_routes(struct weft_buffer *out, const struct weft_mock *mock)
{
    const char *comma = "";
    weft_buffer_append_string(out, "\"routes\": {");
    for (unsigned i = 0; i < weft_mock_rows_count; i++) {
        if (!is_counted_row(mock, i) || READ(&mock->counters[i].requests) == 0)
            continue;
        weft_buffer_append_string(out, comma);
        append_route(out, mock, i);
        comma = ",\n";
    }
    weft_buffer_append_string(out, "}");
}

void weft_mock_tell_stats(struct weft_mock_request *request)
{
    const struct weft_mock *mock = request->mock;
    struct weft_mock_stats stats;
    struct weft_mock_text text;
    weft_mock_stats(mock, &stats);
    weft_mock_text_begin(&text, request, "application/json");
    weft_buffer_append_char(&text.bytes, '{');
    append_count(&text.bytes, "seed", mock->seed);
    append_count(&text.bytes, "workers", mock->workers_count);
    weft_buffer_append_format(&text.bytes, "\"uptime_s\": %.3f, ",
                              (double)(weft_now() - mock->started_ns) / 1e9);
    append_count(&text.bytes, "requests", stats.requests);
    append_count(&text.bytes, "unrouted", stats.unrouted);
    append_count(&text.bytes, "refused", stats.refused);
    append_count(&text.bytes, "resets", stats.resets);
    append_count(&text.bytes, "bytes", stats.bytes);
    append_count(&text.bytes, "connections", stats.connections);
    append_count(&text.bytes, "connections_refused", stats.connections_refused);
    append_count(&text.bytes, "connections_now", stats.connections_now);
    append_routes(&text.bytes, mock);
    weft_buffer_append_string(&text.bytes, "}\n");
    weft_mock_text_end(&text);
}

void weft_mock_forget_stats(struct weft_mock_request *request)
{
    weft_mock_reset(request->mock);
    weft_mock_reply(request, 204, NULL, NULL, 0);
}
