/* SPDX-License-Identifier: MIT
 * v1_events.c - /v1/events: every change, in order, to as many as want to know, and to nobody who
 * does not read. */
#include "v1.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define STREAMS_MAX 100

static struct server server;

static void open_server(const char *database)
{
    server_start(&server, database, &(struct weft_serve_options){0});
}

static void close_server(void)
{
    CHECK_EQUAL(server_stop(&server), 0);
}

/* ---- a client of event streams ------------------------------------------------------------ */

struct stream {
    int fd, status;
    FILE *in;
    size_t chunk; /* bytes that are left of the present one */
    bool ended;   /* as it should be: with the last chunk */
};

/* One event; the id is kept when an event has none. */
struct event {
    char id[32], name[32];
    json_t *data;
};

static void stream_open(struct stream *stream, const char *path, const char *headers)
{
    char request[600], line[600];
    *stream = (struct stream){.fd = server_connect(&server)};
    REQUIRE(stream->fd >= 0);
    int len = snprintf(request, sizeof request, "GET /v1/events%s HTTP/1.1\r\nHost: t\r\n%s\r\n",
                       path, headers);
    REQUIRE(send(stream->fd, request, (size_t)len, MSG_NOSIGNAL) == len);
    stream->in = fdopen(stream->fd, "r");
    REQUIRE(stream->in);
    while (fgets(line, sizeof line, stream->in) && strcmp(line, "\r\n") != 0)
        if (strncmp(line, "HTTP/1.1 ", 9) == 0)
            stream->status = atoi(line + 9);
        else if (strncmp(line, "Content-Type: ", 14) == 0 && stream->status == 200)
            CHECK(strcmp(line + 14, "text/event-stream\r\n") == 0);
}

static void stream_close(struct stream *stream)
{
    (void)fclose(stream->in);
}

/* The next byte of the stream, EOF at its end. */
static int next_byte(struct stream *stream)
{
    char line[32];
    if (stream->chunk == 0 && !stream->ended) {
        if (!fgets(line, sizeof line, stream->in))
            return EOF;
        stream->chunk = strtoul(line, NULL, 16);
        stream->ended = stream->chunk == 0;
    }
    if (stream->ended)
        return EOF;
    int c = fgetc(stream->in);
    if (c != EOF && --stream->chunk == 0 && !fgets(line, sizeof line, stream->in))
        return EOF;
    return c;
}

static bool next_line(struct stream *stream, char *line, size_t bytes)
{
    size_t len = 0;
    int c;
    while ((c = next_byte(stream)) != EOF && c != '\n')
        if (len + 1 < bytes)
            line[len++] = (char)c;
    line[len] = '\0';
    return c != EOF;
}

/* False: the stream has ended. json_decref the data. */
static bool next_event(struct stream *stream, struct event *event)
{
    char line[2000];
    *event = (struct event){.data = NULL};
    while (next_line(stream, line, sizeof line)) {
        if (!*line && event->data)
            return true;
        if (strncmp(line, "id: ", 4) == 0)
            (void)snprintf(event->id, sizeof event->id, "%.31s", line + 4);
        else if (strncmp(line, "event: ", 7) == 0)
            (void)snprintf(event->name, sizeof event->name, "%.31s", line + 7);
        else if (strncmp(line, "data: ", 6) == 0)
            event->data = json_loads(line + 6, 0, NULL);
        else
            CHECK(!*line || *line == ':');
    }
    return false;
}

/* The next event must be this one, of this job. */
static void expect(struct stream *stream, const char *name, const char *id, const char *from,
                   const char *to)
{
    struct event event;
    REQUIRE(next_event(stream, &event));
    CHECK(strcmp(event.name, name) == 0);
    if (strcmp(event.name, name) != 0)
        test_note("%s, not %s", event.name, name);
    CHECK_TEXT(event.data, "event", name);
    CHECK_TEXT(event.data, "id", id);
    CHECK_TEXT(event.data, "from", from);
    CHECK_TEXT(event.data, "to", to);
    CHECK_EQUAL(v1_number(event.data, "number"), strtoll(event.id, NULL, 10));
    json_decref(event.data);
}

/* A sign of life: the number up to which all was looked at. */
static long long next_sign(struct stream *stream)
{
    char line[2000];
    long long number = -1;
    while (next_line(stream, line, sizeof line) && *line) {
        CHECK(*line == ':' || strncmp(line, "id: ", 4) == 0);
        if (*line != ':')
            number = strtoll(line + 4, NULL, 10);
    }
    return number;
}

/* Whether so many streams are open before half a minute is over. */
static bool streams_come_to(const char *count)
{
    int64_t until_ms = 0;
    char line[80];
    bool found = false;
    (void)snprintf(line, sizeof line, "\nweft_event_streams %s\n", count);
    while (!found && look_again(&until_ms)) {
        struct reply reply;
        http_get(&server, "/metrics", &reply);
        found = reply.body && strstr(reply.body, line);
        reply_free(&reply);
    }
    return found;
}

/* ---- what is told ------------------------------------------------------------------------- */

TEST(every_change_is_told_in_its_order)
{
    struct stream stream;
    open_server("order.db");
    stream_open(&stream, "", "");
    CHECK_EQUAL(stream.status, 200);
    const char *id = v1_put(&server, "{'task':'t','queue':'q'}");
    json_t *leased = v1_lease(&server, "q");
    json_decref(v1_settle(&server, leased, "retry", ",'delay':3600"));
    json_decref(leased);
    v1_ok(&server, "POST", v1_path("/v1/jobs/%s/retry", id), 200, NULL);
    leased = v1_lease(&server, "q");
    v1_ok(&server, "POST", "/v1/extend", 200, "{'jobs':[{'id':'%s','token':'%s','progress':1}]}",
          id, v1_text(leased, "token"));
    json_decref(v1_settle(&server, leased, "complete", ""));
    json_decref(leased);
    struct event event;
    REQUIRE(next_event(&stream, &event));
    CHECK(strcmp(event.name, "enqueue") == 0);
    check_keys(event.data, "number at event queue id task to attempt");
    CHECK_TEXT(event.data, "queue", "q");
    CHECK_TEXT(event.data, "task", "t");
    CHECK_TEXT(event.data, "to", "available");
    json_decref(event.data);
    expect(&stream, "claim", id, "available", "running");
    expect(&stream, "retry", id, "running", "retryable");
    expect(&stream, "due", id, "retryable", "available");
    expect(&stream, "claim", id, "available", "running");
    expect(&stream, "progress", id, "running", "running");
    expect(&stream, "complete", id, "running", "completed");
    v1_ok(&server, "PATCH", "/v1/queues/q", 200, "{'paused':true}");
    REQUIRE(next_event(&stream, &event));
    CHECK(strcmp(event.name, "queue") == 0);
    check_keys(event.data, "number at event queue");
    json_decref(event.data);
    stream_close(&stream);
    close_server();
}

TEST(numbers_rise_without_a_gap_through_a_large_batch)
{
    struct stream stream;
    struct event event;
    open_server("batch.db");
    stream_open(&stream, "", "");
    char *batch = malloc((size_t)1 << 20);
    REQUIRE(batch);
    size_t len = 0;
    for (int i = 0; i < 3000; i++)
        len += (size_t)sprintf(batch + len, "%s{\"task\":\"t\"}", i ? "," : "[");
    len += (size_t)sprintf(batch + len, "]");
    json_t *answer = v1_send(&server, "POST", "/v1/jobs", 200, NULL, "", batch, len);
    free(batch);
    int64_t last = 0;
    for (int i = 0; i < 3000; i++) {
        REQUIRE(next_event(&stream, &event));
        CHECK(v1_is(event.data, "id", v1_text(answer, v1_path("jobs.%d.id", i))));
        CHECK(last == 0 || v1_number(event.data, "number") == last + 1);
        last = v1_number(event.data, "number");
        json_decref(event.data);
    }
    json_decref(answer);
    stream_close(&stream);
    close_server();
}

TEST(whoever_comes_back_goes_on_where_it_was)
{
    struct stream stream;
    struct event event;
    char headers[80], path[80];
    open_server("resume.db");
    stream_open(&stream, "", "");
    const char *first = v1_put(&server, "{'task':'t'}");
    REQUIRE(next_event(&stream, &event));
    CHECK_TEXT(event.data, "id", first);
    json_decref(event.data);
    stream_close(&stream);
    const char *missed = v1_put(&server, "{'task':'t'}"), *then = v1_put(&server, "{'task':'t'}");
    (void)snprintf(headers, sizeof headers, "Last-Event-ID: %s\r\n", event.id);
    (void)snprintf(path, sizeof path, "?after=%s", event.id);
    for (int i = 0; i < 2; i++) {
        stream_open(&stream, i ? path : "?after=1", i ? "" : headers); /* the header goes first */
        expect(&stream, "enqueue", missed, "", "available");
        expect(&stream, "enqueue", then, "", "available");
        stream_close(&stream);
    }
    stream_open(&stream, "", ""); /* who says nothing begins now */
    const char *now = v1_put(&server, "{'task':'t'}");
    expect(&stream, "enqueue", now, "", "available");
    stream_close(&stream);
    close_server();
}

TEST(who_was_cut_off_before_anything_happened_misses_nothing)
{
    struct stream stream;
    char path[80];
    open_server("early.db");
    stream_open(&stream, "", "");
    long long place = next_sign(&stream);
    CHECK(place > 0);
    stream_close(&stream);
    const char *missed = v1_put(&server, "{'task':'t'}");
    (void)snprintf(path, sizeof path, "?after=%lld", place);
    stream_open(&stream, path, "");
    CHECK_EQUAL(next_sign(&stream), place);
    expect(&stream, "enqueue", missed, "", "available");
    stream_close(&stream);
    close_server();
}

/* Without a pause in which nothing happens at all. */
TEST(who_wants_little_of_much_hears_that_the_stream_lives_and_how_far_it_is)
{
    struct stream stream;
    int64_t until_ms = 0;
    struct weft_serve_options options = {.event_silence_ns = 300 * WEFT_MSEC};
    server_start(&server, "little.db", &options);
    stream_open(&stream, "?queue=quiet", "");
    long long begin = next_sign(&stream);
    struct pollfd readable = {.fd = stream.fd, .events = POLLIN};
    do
        (void)v1_put(&server, "{'task':'t','queue':'loud'}");
    while (poll(&readable, 1, 0) == 0 && look_again(&until_ms));
    CHECK(readable.revents & POLLIN);
    CHECK(next_sign(&stream) > begin);
    stream_close(&stream);
    close_server();
}

TEST(a_job_that_is_let_go_by_the_limit_of_its_key_takes_no_step)
{
    struct stream stream;
    open_server("held.db");
    v1_ok(&server, "PATCH", "/v1/queues/q", 200, "{'running_max_per_key':1}");
    const char *one = v1_put(&server, "{'task':'t','queue':'q','limit_key':'k'}");
    const char *other = v1_put(&server, "{'task':'t','queue':'q','limit_key':'k'}");
    stream_open(&stream, "", "");
    json_t *leased = v1_lease(&server, "q");
    json_t *none = v1(&server, "POST", "/v1/lease", 200, "{'queues':['q']}");
    CHECK_EQUAL(json_array_size(v1_at(none, "jobs")), 0);
    json_decref(none);
    json_decref(v1_settle(&server, leased, "complete", ""));
    json_decref(leased);
    leased = v1_lease(&server, "q");
    json_decref(leased);
    expect(&stream, "claim", one, "available", "running");
    expect(&stream, "complete", one, "running", "completed");
    expect(&stream, "claim", other, "available", "running");
    stream_close(&stream);
    close_server();
}

TEST(whoever_was_away_for_too_long_is_told_of_the_gap)
{
    struct stream stream;
    struct event event, gap;
    char headers[80];
    open_server("gap.db");
    stream_open(&stream, "", "");
    (void)v1_put(&server, "{'task':'t'}");
    REQUIRE(next_event(&stream, &event));
    json_decref(event.data);
    stream_close(&stream);
    close_server();
    open_server("gap.db"); /* events live in memory */
    static const char *const ids[] = {"1", "99999999999999999", NULL};
    for (int i = 0; i < 3; i++) {
        (void)snprintf(headers, sizeof headers, "Last-Event-ID: %s\r\n",
                       ids[i] ? ids[i] : event.id);
        stream_open(&stream, "", headers);
        REQUIRE(next_event(&stream, &gap));
        CHECK(strcmp(gap.name, "gap") == 0);
        check_keys(gap.data, "after next");
        CHECK_EQUAL(v1_number(gap.data, "next"), strtoll(gap.id, NULL, 10) + 1);
        json_decref(gap.data);
        const char *id = v1_put(&server, "{'task':'t','queue':'q%d'}", i);
        do { /* what was there before, of this server */
            REQUIRE(next_event(&stream, &gap));
            bool found = strcmp(v1_text(gap.data, "id"), id) == 0;
            json_decref(gap.data);
            if (found)
                break;
        } while (true);
        stream_close(&stream);
    }
    close_server();
}

TEST(filters_show_only_what_was_asked_for)
{
    struct stream of_queue, of_task, of_job;
    open_server("filters.db");
    const char *wanted = v1_put(&server, "{'task':'a','queue':'q'}");
    stream_open(&of_queue, "?queue=q", "");
    stream_open(&of_task, "?task=b", "");
    stream_open(&of_job, v1_path("?id=%s", wanted), "");
    const char *other = v1_put(&server, "{'task':'b','queue':'r'}");
    v1_ok(&server, "PATCH", "/v1/queues/r", 200, "{'burst':1}");
    json_t *leased = v1_lease(&server, "q");
    json_decref(v1_settle(&server, leased, "complete", ""));
    json_decref(leased);
    leased = v1_lease(&server, "r");
    json_decref(leased);
    expect(&of_queue, "claim", wanted, "available", "running");
    expect(&of_queue, "complete", wanted, "running", "completed");
    expect(&of_task, "enqueue", other, "", "available");
    expect(&of_task, "claim", other, "available", "running");
    expect(&of_job, "claim", wanted, "available", "running");
    expect(&of_job, "complete", wanted, "running", "completed");
    stream_close(&of_queue);
    stream_close(&of_task);
    stream_close(&of_job);
    v1_refused(&server, "GET", "/v1/events?after=x", 422, "is not a number", NULL);
    v1_refused(&server, "GET", "/v1/events?after=-1", 422, "is not a number", NULL);
    v1_refused(&server, "GET", "/v1/events?id=x", 422, "\"id\" must be a job's id", NULL);
    v1_refused(&server, "GET", "/v1/events?flow=x", 422, "\"flow\"", NULL);
    json_decref(v1_send(&server, "GET", "/v1/events", 422, NULL, "Last-Event-ID: x\r\n", NULL, 0));
    close_server();
}

/* ---- how many, and for how long ------------------------------------------------------------ */

TEST(a_hundred_streams_may_be_open_and_those_of_clients_that_left_do_not_count)
{
    struct stream *streams = calloc(STREAMS_MAX, sizeof *streams);
    REQUIRE(streams);
    open_server("many.db");
    for (int i = 0; i < STREAMS_MAX; i++) {
        stream_open(&streams[i], "", "");
        CHECK_EQUAL(streams[i].status, 200);
    }
    struct reply reply;
    http_get(&server, "/v1/events", &reply);
    CHECK_EQUAL(reply.status, 503);
    CHECK(strstr(reply.head, "Retry-After: ") != NULL);
    reply_free(&reply);
    const char *id = v1_put(&server, "{'task':'t'}");
    for (int i = 0; i < STREAMS_MAX; i++) {
        expect(&streams[i], "enqueue", id, "", "available");
        stream_close(&streams[i]);
    }
    struct stream again = {.status = 503};
    int64_t until_ms = 0;
    while (again.status == 503 && look_again(&until_ms)) {
        stream_open(&again, "", "");
        if (again.status == 503)
            stream_close(&again);
    }
    CHECK_EQUAL(again.status, 200);
    stream_close(&again);
    free(streams);
    close_server();
}

TEST(streams_end_at_once_and_well_when_the_server_drains)
{
    struct stream stream;
    struct event event;
    open_server("drain.db");
    stream_open(&stream, "", "");
    int64_t begin_ms = v1_now_ms();
    close_server();
    CHECK(v1_now_ms() - begin_ms < 9000); /* answers have 10 s */
    CHECK(!next_event(&stream, &event));
    CHECK(stream.ended);
    stream_close(&stream);
}

TEST(the_head_of_a_stream_can_be_asked_for)
{
    struct reply reply;
    open_server("head.db");
    http_request(&server, "HEAD", "/v1/events", "", NULL, 0, &reply);
    CHECK_EQUAL(reply.status, 200);
    CHECK(strstr(reply.head, "Content-Type: text/event-stream") != NULL);
    CHECK_EQUAL(reply.len, 0);
    reply_free(&reply);
    close_server();
}

TEST(who_does_not_read_is_cut_off_and_holds_up_nobody)
{
    struct stream slow, quick;
    struct event event;
    struct weft_serve_options options = {.answer_timeout_ns = 100 * WEFT_MSEC};
    server_start(&server, "slow.db", &options);
    stream_open(&slow, "", "");
    /* More events than sockets hold. */
    char *batch = malloc((size_t)1 << 20);
    REQUIRE(batch);
    size_t len = 0;
    for (int i = 0; i < 10000; i++)
        len += (size_t)sprintf(batch + len, "%s{\"task\":\"t\",\"queue\":\"%s\"}", i ? "," : "[",
                               "a-queue-with-a-name-that-is-long-enough-to-fill-the-buffers");
    len += (size_t)sprintf(batch + len, "]");
    for (int i = 0; i < 5; i++)
        json_decref(v1_send(&server, "POST", "/v1/jobs", 200, NULL, "", batch, len));
    free(batch);
    stream_open(&quick, "", "");
    const char *id = v1_put(&server, "{'task':'t'}");
    expect(&quick, "enqueue", id, "", "available");
    CHECK(streams_come_to("1"));
    size_t seen = 0;
    while (next_event(&slow, &event)) {
        json_decref(event.data);
        seen++;
    }
    CHECK(seen < 50000);
    CHECK(!slow.ended); /* it can tell that something is missing */
    stream_close(&slow);
    stream_close(&quick);
    close_server();
}
