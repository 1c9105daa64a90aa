/* SPDX-License-Identifier: MIT
 * api_event.c - /v1/events: every change of every job as server-sent events, in order.
 *
 * An event's id is its number. Whoever comes back with Last-Event-ID, as browsers do by themselves,
 * goes on behind it; when it was away for so long that events are gone, an event "gap" says so. */
#include <serve/api.h>

#include <serve/api_json.h>

#include <weft/group.h>
#include <weft/runtime.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STREAMS_MAX 100
#define BATCH       128
#define PIECE_MAX   ((size_t)1 << 20)

struct stream {
    struct weft_http_exchange *exchange;
    struct weft_api *api;
    const char *queue, *task; /* NULL: all */
    bool one_job;
    struct weft_uuid id;
    uint64_t after;
    int64_t sign_ns; /* when a sign of life is due */
    struct weft_broker_event *events;
    struct weft_buffer piece;
};

static bool is_about_queue(const struct weft_broker_event *event)
{
    return weft_uuid_is_none(&event->id);
}

static bool is_wanted(const struct stream *stream, const struct weft_broker_event *event)
{
    if (!weft_broker_event_is_step(event) && !is_about_queue(event))
        return false; /* a consumer's business */
    if (stream->one_job && memcmp(&stream->id, &event->id, sizeof event->id) != 0)
        return false;
    if (stream->task && (!event->task || strcmp(stream->task, event->task) != 0))
        return false;
    return !stream->queue || strcmp(stream->queue, event->queue) == 0;
}

static const char *name_of(const struct weft_broker_event *event)
{
    if (is_about_queue(event))
        return "queue";
    return event->from == WEFT_JOB_NONE ? "enqueue" : weft_job_event_name(event->event);
}

static void append_event(struct weft_buffer *piece, const struct weft_broker_event *event)
{
    weft_buffer_append_format(piece, "id: %" PRIu64 "\nevent: %s\ndata: ", event->number,
                              name_of(event));
    weft_buffer_append_char(piece, '{');
    weft_api_number(piece, "number", event->number);
    weft_api_time(piece, "at", event->at_us);
    weft_api_text(piece, "event", name_of(event));
    weft_api_text(piece, "queue", event->queue);
    if (!is_about_queue(event)) {
        weft_api_id(piece, "id", &event->id);
        weft_api_text_if(piece, "task", event->task);
        if (event->from != WEFT_JOB_NONE)
            weft_api_text(piece, "from", weft_job_state_name(event->from));
        weft_api_text(piece, "to", weft_job_state_name(event->to));
        weft_api_number(piece, "attempt", event->attempt);
    }
    weft_buffer_append_string(piece, "}\n\n");
}

static int send_piece(struct stream *stream)
{
    int err = stream->piece.err;
    if (!err && stream->piece.len > 0)
        err = weft_http_stream_write(stream->exchange, stream->piece.data, stream->piece.len);
    if (stream->piece.len > 0)
        stream->sign_ns = weft_now() + stream->api->settings->event_silence_ns;
    weft_buffer_clear(&stream->piece);
    return err;
}

/* The connection lives, and everything up to this event was looked at: who comes back need not ask
 * for it again. An id without data is no event, but is remembered as one's. */
static int send_sign(struct stream *stream)
{
    weft_buffer_append_format(&stream->piece, ":\nid: %" PRIu64 "\n\n", stream->after);
    return send_piece(stream);
}

static int send_events(struct stream *stream, int count)
{
    for (int i = 0; i < count; i++)
        if (is_wanted(stream, &stream->events[i]))
            append_event(&stream->piece, &stream->events[i]);
    stream->after = stream->events[count - 1].number;
    if (stream->piece.len == 0 && weft_now() >= stream->sign_ns)
        return send_sign(stream);
    return send_piece(stream);
}

static int send_gap(struct stream *stream, uint64_t oldest)
{
    weft_buffer_append_format(&stream->piece,
                              "id: %" PRIu64 "\nevent: gap\ndata: {\"after\":%" PRIu64
                              ",\"next\":%" PRIu64 "}\n\n",
                              oldest, stream->after, oldest + 1);
    stream->after = oldest;
    return send_piece(stream);
}

/* Runs beside the stream, in its group: ends it when nobody listens any more. */
static int watch_end(void *arg)
{
    struct stream *stream = arg;
    struct weft_case cases[] = {
        weft_http_case_gone(stream->exchange),
        weft_http_case_drain(stream->exchange),
    };
    int result = 0;
    while (result >= 0 && !weft_http_gone(stream->exchange) &&
           !weft_http_draining(stream->exchange))
        result = weft_select(cases, 2, WEFT_FOREVER, 0);
    return -EPIPE; /* fails the group, which cancels the stream */
}

static int send_all(void *arg)
{
    struct stream *stream = arg;
    struct weft_broker *broker = stream->api->broker;
    int err = send_sign(stream);
    while (!err) {
        uint64_t oldest = 0;
        int count = broker->ops->events(broker, stream->after, stream->events, BATCH,
                                        stream->sign_ns, &oldest);
        if (count > 0)
            err = send_events(stream, count);
        else if (count == -ESTALE)
            err = send_gap(stream, oldest);
        else if (count == -ETIMEDOUT)
            err = send_sign(stream);
        else
            err = count;
    }
    return err;
}

static void run_stream(struct stream *stream)
{
    struct weft_group group;
    if (weft_http_stream_begin(stream->exchange, 200, "text/event-stream"))
        return;
    if (weft_group_init(&group, NULL) == 0) {
        if (weft_spawn(&group, watch_end, stream) || weft_spawn(&group, send_all, stream))
            weft_group_cancel(&group, 0);
        (void)weft_group_wait(&group);
    }
    (void)weft_http_stream_end(stream->exchange);
}

/* Where to begin: behind Last-Event-ID, behind ?after=, else now. */
static bool read_after(struct weft_http_exchange *exchange, struct stream *stream)
{
    const char *text = weft_http_header(exchange, "Last-Event-ID");
    if (!text)
        text = weft_http_query(exchange, "after");
    stream->after = stream->api->broker->ops->events_last(stream->api->broker);
    if (!text)
        return true;
    char *end;
    errno = 0;
    unsigned long long after = strtoull(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end || errno) {
        weft_http_reply_error(exchange, 422, "the number of the last event is not a number");
        return false;
    }
    stream->after = after;
    return true;
}

static bool read_stream(struct weft_http_exchange *exchange, struct stream *stream)
{
    stream->one_job = weft_http_query(exchange, "id") != NULL;
    return weft_api_query_name(exchange, "queue", &stream->queue) &&
           weft_api_query_name(exchange, "task", &stream->task) &&
           weft_api_query_id(exchange, "id", &stream->id, "a job's id") &&
           read_after(exchange, stream);
}

static void get_events(struct weft_http_exchange *exchange, void *context)
{
    struct weft_api *api = context;
    struct stream stream = {.exchange = exchange, .api = api};
    if (!read_stream(exchange, &stream))
        return;
    if (api->streams == STREAMS_MAX) {
        weft_api_reply_busy(exchange, "10", "too many streams of events are open");
        return;
    }
    stream.events = calloc(BATCH, sizeof *stream.events);
    if (!stream.events) {
        weft_api_refuse(api, exchange, -ENOMEM);
        return;
    }
    weft_buffer_init(&stream.piece, PIECE_MAX);
    weft_http_reply_header(exchange, "Cache-Control", "no-store");
    api->streams++;
    run_stream(&stream);
    api->streams--;
    weft_buffer_deinit(&stream.piece);
    free(stream.events);
}

const struct weft_api_route weft_api_event_routes[] = {
    {{.method = "GET", .pattern = "/v1/events", .handler = get_events},
     WEFT_MAY_READ,
     "after id queue task"},
    {{0}},
};
