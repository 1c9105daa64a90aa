/* SPDX-License-Identifier: MIT
 * http_client_upload.c - requests whose body the caller gives in pieces: how it is sent, what holds
 * it back, when it has to be given again, and heads of responses. */
#include "client.h"
#include "origin.h"
#include "test.h"

#include <weft/channel.h>
#include <weft/io.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct giver {
    uint64_t len, given, calls;
    size_t piece;     /* at most that many bytes at once; 0: as many as there is room for */
    int64_t pause_ns; /* slept in each call */
    uint64_t stop_at; /* bytes after which to return result */
    int result;
    unsigned rewinds;
    int rewind_result;
    const uint64_t *received; /* by the server */
    uint64_t ahead_max;       /* given beyond that */
};

static char byte_at(uint64_t at)
{
    return (char)('a' + at % 26 + at / 70000 % 2);
}

static ssize_t give(void *context, void *bytes, size_t size)
{
    struct giver *giver = context;
    uint64_t left = giver->len - giver->given;
    size_t len = left < size ? (size_t)left : size;
    CHECK(size > 0);
    giver->calls++;
    if (giver->piece > 0 && len > giver->piece)
        len = giver->piece;
    for (size_t i = 0; i < len; i++)
        ((char *)bytes)[i] = byte_at(giver->given + i);
    int err = giver->pause_ns > 0 ? weft_sleep(giver->pause_ns) : 0;
    if (err < 0)
        return err;
    giver->given += len;
    if (giver->received && giver->given - *giver->received > giver->ahead_max)
        giver->ahead_max = giver->given - *giver->received;
    return giver->stop_at > 0 && giver->given >= giver->stop_at ? giver->result : (ssize_t)len;
}

static int begin_anew(void *context)
{
    struct giver *giver = context;
    giver->rewinds++;
    giver->given = 0;
    return giver->rewind_result;
}

static int send_given(struct weft_http_client *client, const char *url, struct giver *giver,
                      size_t announced, struct weft_http_response *response)
{
    const struct weft_http_request request = {.url = url,
                                              .method = "POST",
                                              .body_len = announced,
                                              .on_read = give,
                                              .on_rewind = begin_anew,
                                              .on_read_context = giver};
    return weft_http_send(client, &request, response, weft_now() + PATIENCE);
}

/* ---- what arrives ------------------------------------------------------------------------- */

static bool is_as_given(const char *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (bytes[i] != byte_at(i))
            return false;
    }
    return true;
}

REAL_TIME_FIBER_TEST(a_body_arrives_as_it_was_given)
{
    static const size_t lens[] = {1, 1000, 65536, 65537, 1000000, 3000000};
    static const size_t pieces[] = {0, 999, 65536};
    struct server server;
    struct weft_http_response response;
    server_open(&server, (struct weft_http_server_options){.body_bytes_max = 4 << 20});
    struct weft_http_client *client = open_client(NULL);
    for (size_t i = 0; i < sizeof lens / sizeof lens[0]; i++) {
        for (size_t j = 0; j < 6; j++) { /* its length announced, and not */
            struct giver giver = {.len = lens[i], .piece = pieces[j % 3]};
            size_t announced = j < 3 ? lens[i] : 0;
            REQUIRE(send_given(client, origin_url(server.port, "/echo"), &giver, announced,
                               &response) == 0);
            CHECK_EQUAL(response.status, 200);
            CHECK_EQUAL(response.body_len, lens[i]);
            CHECK_EQUAL(response.body_bytes, lens[i]);
            CHECK(is_as_given(response.body, response.body_len));
            CHECK(response.bytes_sent > lens[i]);
            CHECK_EQUAL(giver.rewinds, 0);
            weft_http_response_release(&response);
        }
    }
    CHECK_EQUAL(stats_of(client).connections, 1);
    weft_http_client_close(client);
    server_close(&server);
}

FIBER_TEST(an_announced_body_has_a_length_and_another_has_chunks)
{
    struct origin origin;
    struct weft_http_response response;
    origin_open(&origin, origin_reflect);
    struct weft_http_client *client = open_client(NULL);
    struct giver giver = {.len = 5};
    REQUIRE(send_given(client, origin_url(origin.port, "/"), &giver, 5, &response) == 0);
    CHECK(strncmp(response.body, "POST / HTTP/1.1\r\n", 17) == 0);
    CHECK(strstr(response.body, "\r\nContent-Length: 5\r\n") != NULL);
    CHECK(strstr(response.body, "Expect") == NULL);
    CHECK(strstr(response.body, "Content-Type") == NULL);
    CHECK(strstr(response.body, "\r\n\r\nabcde") != NULL);
    CHECK_EQUAL(giver.calls, 1); /* nobody asks for more than was announced */
    weft_http_response_release(&response);
    weft_http_client_close(client);
    origin_close(&origin);
}

/* Reads a head, says so, and then everything until "0\r\n\r\n". */
static void read_chunks(struct origin *origin, int fd)
{
    size_t have = 0;
    for (;;) {
        ssize_t count =
            weft_read(fd, origin->last + have, sizeof origin->last - 1 - have, WEFT_FOREVER);
        if (count <= 0)
            return;
        have += (size_t)count;
        origin->last[have] = '\0';
        if (!strstr(origin->last, "\r\n0\r\n\r\n"))
            continue;
        origin->requests++;
        have = 0;
        origin_say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    }
}

FIBER_TEST(a_body_of_unknown_length_goes_in_chunks_as_it_comes)
{
    struct origin origin;
    struct weft_http_response response;
    origin_open(&origin, read_chunks);
    struct weft_http_client *client = open_client(NULL);
    struct giver giver = {.len = 30, .piece = 10, .pause_ns = WEFT_SEC};
    int64_t begun_ns = weft_now();
    REQUIRE(send_given(client, origin_url(origin.port, "/"), &giver, 0, &response) == 0);
    CHECK(body_is(&response, "ok"));
    CHECK(strstr(origin.last, "Transfer-Encoding: chunked\r\n") != NULL);
    CHECK(strstr(origin.last, "\r\na\r\nabcdefghij\r\n") != NULL);
    CHECK_EQUAL(weft_now() - begun_ns, 4 * WEFT_SEC); /* and the call that says that it was all */
    weft_http_response_release(&response);
    struct giver nothing = {.len = 0};
    REQUIRE(send_given(client, origin_url(origin.port, "/"), &nothing, 0, &response) == 0);
    CHECK_EQUAL(nothing.calls, 1);
    weft_http_response_release(&response);
    CHECK_EQUAL(origin.accepted, 1);
    weft_http_client_close(client);
    origin_close(&origin);
}

FIBER_TEST(requests_of_all_kinds_follow_on_one_connection)
{
    struct origin origin;
    struct weft_http_response response;
    origin_open(&origin, origin_reflect);
    struct weft_http_client *client = open_client(NULL);
    for (int i = 0; i < 12; i++) {
        struct giver giver = {.len = 100};
        const struct weft_http_request memory = {
            .url = origin_url(origin.port, "/"), .body = "12345", .body_len = 5};
        int err = i % 3 == 0
                      ? send_given(client, origin_url(origin.port, "/"), &giver, 100, &response)
                  : i % 3 == 1 ? weft_http_send(client, &memory, &response, weft_now() + PATIENCE)
                               : get(client, origin_url(origin.port, "/"), &response);
        REQUIRE(err == 0);
        const char *expected = i % 3 == 0   ? "Content-Length: 100\r\n"
                               : i % 3 == 1 ? "Content-Length: 5\r\n"
                                            : "GET / HTTP/1.1\r\n";
        CHECK(strstr(origin.last, expected) != NULL);
        weft_http_response_release(&response);
    }
    CHECK_EQUAL(origin.accepted, 1);
    weft_http_client_close(client);
    origin_close(&origin);
}

FIBER_TEST(a_body_in_two_ways_is_refused)
{
    struct weft_http_client *client = open_client(NULL);
    struct weft_http_response response;
    struct giver giver = {.len = 1};
    const struct weft_http_request bad[] = {
        {.url = "http://127.0.0.1:1/", .on_read = give, .on_read_context = &giver, .body = "x"},
        {.url = "http://127.0.0.1:1/",
         .on_read = give,
         .on_read_context = &giver,
         .method = "HEAD"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        CHECK_EQUAL(weft_http_send(client, &bad[i], &response, weft_now() + PATIENCE), -EINVAL);
        CHECK(response.error[0]);
        weft_http_response_release(&response);
    }
    CHECK_EQUAL(giver.calls, 0);
    weft_http_client_close(client);
}

/* ---- backpressure ------------------------------------------------------------------------- */

struct slow_server {
    uint64_t received;
    int64_t pause_ns;
};

/* Takes its time for each 64 KiB. */
static void read_slowly(struct origin *origin, int fd)
{
    struct slow_server *slow = origin->arg;
    static char bytes[65536];
    for (;;) {
        ssize_t count = weft_read(fd, bytes, sizeof bytes, WEFT_FOREVER);
        if (count <= 0)
            return;
        slow->received += (uint64_t)count;
        if (slow->pause_ns > 0)
            (void)weft_sleep(slow->pause_ns);
        if (slow->received >= 20 << 20) {
            origin_say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
            return;
        }
    }
}

REAL_TIME_FIBER_TEST(a_slow_server_holds_the_giver_back)
{
    enum {
        KERNEL = 12 << 20 /* what both sockets together may hold */
    };
    struct origin origin;
    struct weft_http_response response;
    struct slow_server slow = {.pause_ns = WEFT_MSEC / 4};
    origin_open(&origin, read_slowly);
    origin.arg = &slow;
    struct weft_http_client *client = open_client(NULL);
    struct giver giver = {.len = 20 << 20, .received = &slow.received};
    REQUIRE(send_given(client, origin_url(origin.port, "/"), &giver, 20 << 20, &response) == 0);
    CHECK_EQUAL(giver.given, 20 << 20);
    CHECK(giver.ahead_max < KERNEL);
    CHECK(giver.calls >= (20 << 20) / 65536);
    weft_http_response_release(&response);
    weft_http_client_close(client);
    origin_close(&origin);
}

struct both {
    uint64_t sent, received;
};

static ssize_t give_both(void *context, void *bytes, size_t size)
{
    struct both *both = context;
    size_t len = 3000000 - both->sent < size ? (size_t)(3000000 - both->sent) : size;
    memset(bytes, 'x', len);
    both->sent += len;
    return weft_yield() < 0 ? -ECANCELED : (ssize_t)len;
}

static int take_both(void *context, const void *bytes, size_t len)
{
    struct both *both = context;
    (void)bytes;
    both->received += len;
    return weft_yield();
}

/* Says back what it has read so far, as it reads it. */
static void reflect_at_once(struct origin *origin, int fd)
{
    static char bytes[65536];
    bool begun = false;
    (void)origin;
    for (;;) {
        ssize_t count = weft_read(fd, bytes, sizeof bytes, WEFT_FOREVER);
        if (count <= 0)
            return;
        const char *end = begun ? NULL : memmem(bytes, (size_t)count, "\r\n\r\n", 4);
        size_t at = end ? (size_t)(end + 4 - bytes) : 0;
        if (!begun)
            origin_say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 3000000\r\n\r\n");
        begun = true;
        if (weft_write_all(fd, bytes + at, (size_t)count - at, WEFT_FOREVER, NULL) < 0)
            return;
    }
}

REAL_TIME_FIBER_TEST(bodies_go_both_ways_at_once)
{
    struct origin origin;
    struct weft_http_response response;
    struct both both = {0};
    origin_open(&origin, reflect_at_once);
    struct weft_http_client *client = open_client(NULL);
    const struct weft_http_request request = {.url = origin_url(origin.port, "/"),
                                              .body_len = 3000000,
                                              .on_read = give_both,
                                              .on_read_context = &both,
                                              .on_body = take_both,
                                              .on_body_context = &both};
    REQUIRE(weft_http_send(client, &request, &response, weft_now() + PATIENCE) == 0);
    CHECK_EQUAL(both.sent, 3000000);
    CHECK_EQUAL(both.received, 3000000);
    CHECK_EQUAL(response.body_bytes, 3000000);
    weft_http_response_release(&response);
    weft_http_client_close(client);
    origin_close(&origin);
}

/* ---- how it may end ----------------------------------------------------------------------- */

FIBER_TEST(the_giver_may_give_up)
{
    struct server server;
    struct weft_http_response response;
    server_open(&server, (struct weft_http_server_options){.body_bytes_max = 4 << 20});
    struct weft_http_client *client = open_client(NULL);
    for (uint64_t stop_at = 1; stop_at < 1000000; stop_at *= 10) {
        struct giver giver = {.len = 1000000, .stop_at = stop_at, .result = -EIO};
        CHECK_EQUAL(
            send_given(client, origin_url(server.port, "/echo"), &giver, 1000000, &response), -EIO);
        CHECK(strstr(response.error, "give") != NULL);
        weft_http_response_release(&response);
    }
    CHECK_EQUAL(stats_of(client).requests_now, 0);
    CHECK_EQUAL(get_status(client, origin_url(server.port, "/hello")), 200);
    weft_http_client_close(client);
    server_close(&server);
}

FIBER_TEST(a_body_shorter_than_announced_is_an_error)
{
    struct server server;
    struct weft_http_response response;
    server_open(&server, (struct weft_http_server_options){0});
    struct weft_http_client *client = open_client(NULL);
    struct giver giver = {.len = 999};
    CHECK_EQUAL(send_given(client, origin_url(server.port, "/echo"), &giver, 1000, &response),
                -EINVAL);
    CHECK(strstr(response.error, "announced") != NULL);
    weft_http_response_release(&response);
    struct giver longer = {.len = 2000}; /* is not asked for more */
    CHECK_EQUAL(send_given(client, origin_url(server.port, "/echo"), &longer, 1000, &response), 0);
    CHECK_EQUAL(response.body_len, 1000);
    weft_http_response_release(&response);
    weft_http_client_close(client);
    server_close(&server);
}

static void refuse_at_once(struct origin *origin, int fd)
{
    char bytes[100];
    if (weft_read(fd, bytes, sizeof bytes, WEFT_FOREVER) <= 0)
        return;
    origin_say(fd, origin->reply);
    (void)weft_sleep(WEFT_SEC);
}

FIBER_TEST(an_answer_before_the_end_of_the_body_is_the_answer)
{
    struct origin origin;
    struct weft_http_response response;
    origin_open(&origin, refuse_at_once);
    origin.reply = "HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno";
    struct weft_http_client *client = open_client(NULL);
    struct giver giver = {.len = 1000000, .piece = 100, .pause_ns = 10 * WEFT_MSEC};
    REQUIRE(send_given(client, origin_url(origin.port, "/"), &giver, 1000000, &response) == 0);
    CHECK_EQUAL(response.status, 413);
    CHECK(body_is(&response, "no"));
    CHECK(giver.given < 1000000);
    CHECK_EQUAL(stats_of(client).connections_now, 0); /* it is of no use any more */
    weft_http_response_release(&response);
    weft_http_client_close(client);
    origin_close(&origin);
}

struct upload {
    struct weft_http_client *client;
    const char *url;
    struct giver giver;
    int err;
};

static int upload(void *arg)
{
    struct upload *upload = arg;
    struct weft_http_response response;
    upload->err =
        send_given(upload->client, upload->url, &upload->giver, upload->giver.len, &response);
    weft_http_response_release(&response);
    return 0;
}

FIBER_TEST(an_upload_is_cancelled_at_any_moment)
{
    struct server server;
    server_open(&server, (struct weft_http_server_options){.body_bytes_max = 4 << 20});
    struct weft_http_client *client = open_client(NULL);
    const char *url = origin_url(server.port, "/echo");
    for (int moment = 0; moment <= 25; moment++) {
        struct upload one = {.client = client, .url = url, .err = 1};
        struct weft_group group;
        one.giver = (struct giver){.len = 2000000, .piece = 100000, .pause_ns = WEFT_MSEC};
        REQUIRE(weft_group_init(&group, NULL) == 0);
        REQUIRE(weft_spawn(&group, upload, &one) == 0);
        CHECK_EQUAL(weft_sleep(moment * 2 * WEFT_MSEC), 0); /* the last ones are complete */
        weft_group_close(&group);
        CHECK(one.err == -ECANCELED || (one.err == 0 && one.giver.given == one.giver.len));
        CHECK_EQUAL(stats_of(client).requests_now, 0);
    }
    CHECK_EQUAL(get_status(client, origin_url(server.port, "/hello")), 200);
    weft_http_client_close(client);
    server_close(&server);
}

FIBER_TEST(a_client_closed_under_an_upload_ends_it)
{
    struct server server;
    struct weft_group group;
    server_open(&server, (struct weft_http_server_options){.body_bytes_max = 4 << 20});
    struct upload one = {.client = open_client(NULL), .url = origin_url(server.port, "/echo")};
    one.giver = (struct giver){.len = 2000000, .piece = 1000, .pause_ns = WEFT_MSEC};
    REQUIRE(weft_group_init(&group, NULL) == 0);
    REQUIRE(weft_spawn(&group, upload, &one) == 0);
    CHECK_EQUAL(weft_sleep(15 * WEFT_MSEC), 0);
    weft_http_client_close(one.client);
    CHECK_EQUAL(weft_group_wait(&group), 0);
    CHECK_EQUAL(one.err, -ESHUTDOWN);
    server_close(&server);
}

/* ---- once more ---------------------------------------------------------------------------- */

/* The first connection answers once; it closes when some of the second request's body has come. */
static void close_within_the_second(struct origin *origin, int fd)
{
    static char bytes[65536];
    bool is_first = origin->accepted == 1;
    while (is_first && origin->requests > 0) {
        if (weft_read(fd, bytes, sizeof bytes, WEFT_FOREVER) <= 0)
            return;
    }
    while (origin_read(origin, fd)) {
        origin_say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        if (is_first) {
            (void)weft_read(fd, bytes, sizeof bytes, WEFT_FOREVER);
            (void)weft_read(fd, bytes, sizeof bytes, WEFT_FOREVER);
            return;
        }
    }
}

REAL_TIME_FIBER_TEST(a_body_that_an_old_connection_has_swallowed_is_given_again)
{
    for (int can = 0; can < 2; can++) {
        struct origin origin;
        struct weft_http_response response;
        origin_open(&origin, close_within_the_second);
        struct weft_http_client *client = open_client(NULL);
        CHECK_EQUAL(get_status(client, origin_url(origin.port, "/")), 200);
        struct giver giver = {.len = 5000, .piece = 1000, .pause_ns = 2 * WEFT_MSEC};
        const struct weft_http_request request = {.url = origin_url(origin.port, "/"),
                                                  .body_len = 5000,
                                                  .on_read = give,
                                                  .on_rewind = can ? begin_anew : NULL,
                                                  .on_read_context = &giver};
        int err = weft_http_send(client, &request, &response, weft_now() + PATIENCE);
        CHECK_EQUAL(err, can ? 0 : -ESPIPE);
        CHECK_EQUAL(giver.rewinds, can);
        CHECK_EQUAL(origin.accepted, can ? 2 : 1);
        if (can) {
            const char *body = strstr(origin.last, "\r\n\r\n");
            CHECK(body != NULL && is_as_given(body + 4, 5000));
            CHECK(body_is(&response, "ok"));
        } else {
            CHECK(strstr(response.error, "again") != NULL);
            CHECK(response.phase >= WEFT_HTTP_AT_FIRST_BYTE); /* the server may have got some */
        }
        weft_http_response_release(&response);
        weft_http_client_close(client);
        origin_close(&origin);
    }
}

/* "/STATUS/" leads to "/there". */
static void redirect_bodies(struct origin *origin, int fd)
{
    while (origin_read(origin, fd)) {
        char head[256];
        int status = atoi(strchr(origin->last, ' ') + 2);
        (void)snprintf(head, sizeof head,
                       "HTTP/1.1 %d Status\r\nLocation: /there\r\nContent-Length: 0\r\n\r\n",
                       status > 0 ? status : 200);
        origin_say(fd, head);
    }
}

FIBER_TEST(a_redirect_wants_the_body_again_or_no_more)
{
    static const struct {
        const char *path, *method;
        bool can;
        int err;
        unsigned rewinds;
        const char *last;
    } cases[] = {
        {"/307/", "POST", true, 0, 1, "POST /there "}, {"/308/", "PUT", true, 0, 1, "PUT /there "},
        {"/307/", "POST", false, -ESPIPE, 0, NULL},    {"/301/", "PUT", false, -ESPIPE, 0, NULL},
        {"/302/", "POST", false, 0, 0, "GET /there "}, {"/303/", "PUT", false, 0, 0, "GET /there "},
        {"/301/", "POST", true, 0, 0, "GET /there "},
    };
    struct origin origin;
    struct weft_http_response response;
    origin_open(&origin, redirect_bodies);
    struct weft_http_client *client =
        open_client(&(struct weft_http_client_options){.redirects_max = 3});
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct giver giver = {.len = 1000};
        const struct weft_http_request request = {.url = origin_url(origin.port, cases[i].path),
                                                  .method = cases[i].method,
                                                  .body_len = 1000,
                                                  .on_read = give,
                                                  .on_rewind = cases[i].can ? begin_anew : NULL,
                                                  .on_read_context = &giver};
        CHECK_EQUAL(weft_http_send(client, &request, &response, weft_now() + PATIENCE),
                    cases[i].err);
        CHECK_EQUAL(giver.rewinds, cases[i].rewinds);
        if (cases[i].last) {
            CHECK(strncmp(origin.last, cases[i].last, strlen(cases[i].last)) == 0);
            bool has_body = strstr(origin.last, "Content-Length: 1000\r\n") != NULL;
            CHECK_EQUAL(has_body, cases[i].last[0] == 'P');
        }
        weft_http_response_release(&response);
    }
    struct giver giver = {.len = 1000, .rewind_result = -EIO};
    CHECK_EQUAL(send_given(client, origin_url(origin.port, "/307/"), &giver, 1000, &response),
                -EIO);
    weft_http_response_release(&response);
    weft_http_client_close(client);
    origin_close(&origin);
}

/* ---- heads of responses ------------------------------------------------------------------- */

struct reader {
    unsigned heads;
    int status, refuses;
    size_t bytes;
    bool head_first;
    char type[32];
    int64_t at_ns;
};

static int see_head(void *context, const struct weft_http_response *response)
{
    struct reader *reader = context;
    const char *type = weft_http_response_field(response, "Content-Type");
    reader->heads++;
    reader->status = response->status;
    reader->head_first = reader->bytes == 0;
    reader->at_ns = weft_now();
    CHECK_EQUAL(response->http_version, 11);
    CHECK(strncmp(response->url, "http://127.0.0.1:", 17) == 0);
    (void)snprintf(reader->type, sizeof reader->type, "%s", type ? type : "");
    CHECK_EQUAL(weft_sleep(WEFT_MSEC), 0);
    CHECK(!type || strcmp(weft_http_response_field(response, "Content-Type"), reader->type) == 0);
    return reader->refuses;
}

static int see_body(void *context, const void *bytes, size_t len)
{
    struct reader *reader = context;
    (void)bytes;
    CHECK_EQUAL(reader->heads, 1);
    reader->bytes += len;
    return 0;
}

static int read_with_head(struct weft_http_client *client, const char *url, struct reader *reader,
                          struct weft_http_response *response)
{
    const struct weft_http_request request = {
        .url = url, .on_head = see_head, .on_body = see_body, .on_body_context = reader};
    return weft_http_send(client, &request, response, weft_now() + PATIENCE);
}

static void say_head_then_wait(struct origin *origin, int fd)
{
    while (origin_read(origin, fd)) {
        origin_say(fd, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Made\r\nContent-Type: a/b\r\n"
                       "Content-Length: 4\r\n\r\n");
        CHECK_EQUAL(weft_sleep(5 * WEFT_SEC), 0);
        origin_say(fd, "body");
    }
}

FIBER_TEST(a_head_is_told_before_the_body_comes)
{
    struct origin origin;
    struct weft_http_response response;
    struct reader reader = {0};
    origin_open(&origin, say_head_then_wait);
    struct weft_http_client *client = open_client(NULL);
    int64_t begun_ns = weft_now();
    REQUIRE(read_with_head(client, origin_url(origin.port, "/"), &reader, &response) == 0);
    CHECK_EQUAL(reader.heads, 1);
    CHECK_EQUAL(reader.status, 201);
    CHECK(reader.head_first);
    CHECK_EQUAL(reader.at_ns, begun_ns);
    CHECK(strcmp(reader.type, "a/b") == 0);
    CHECK_EQUAL(reader.bytes, 4);
    CHECK_EQUAL(response.status, 201);
    CHECK_EQUAL(response.body_bytes, 4);
    weft_http_response_release(&response);
    weft_http_client_close(client);
    origin_close(&origin);
}

FIBER_TEST(a_head_may_be_all_there_is_or_enough)
{
    struct origin origin;
    struct weft_http_response response;
    struct reader reader = {0};
    origin_open(&origin, origin_say_reply);
    struct weft_http_client *client =
        open_client(&(struct weft_http_client_options){.redirects_max = 1});
    origin.reply = "HTTP/1.1 204 No Content\r\n\r\n";
    REQUIRE(read_with_head(client, origin_url(origin.port, "/"), &reader, &response) == 0);
    CHECK_EQUAL(reader.heads, 1);
    CHECK_EQUAL(reader.status, 204);
    weft_http_response_release(&response);

    origin.reply = "HTTP/1.1 302 Found\r\nLocation:\r\nContent-Length: 0\r\n\r\n"; /* nowhere */
    reader = (struct reader){0};
    int err = read_with_head(client, origin_url(origin.port, "/"), &reader, &response);
    CHECK(err < 0 || reader.heads == 1);
    weft_http_response_release(&response);

    origin.reply = "HTTP/1.1 404 Not Found\r\nContent-Length: 3\r\n\r\nabc";
    reader = (struct reader){.refuses = -ENOENT};
    CHECK_EQUAL(read_with_head(client, origin_url(origin.port, "/"), &reader, &response), -ENOENT);
    CHECK_EQUAL(reader.bytes, 0);
    CHECK(response.error[0]);
    weft_http_response_release(&response);

    const struct weft_http_request bad = {.url = origin_url(origin.port, "/"), .on_head = see_head};
    CHECK_EQUAL(weft_http_send(client, &bad, &response, weft_now() + PATIENCE), -EINVAL);
    weft_http_response_release(&response);
    weft_http_client_close(client);
    origin_close(&origin);
}

FIBER_TEST(the_head_of_a_redirect_that_is_followed_is_not_told)
{
    struct origin origin;
    struct weft_http_response response;
    struct reader reader = {0};
    origin_open(&origin, redirect_bodies);
    struct weft_http_client *client =
        open_client(&(struct weft_http_client_options){.redirects_max = 1});
    REQUIRE(read_with_head(client, origin_url(origin.port, "/302/"), &reader, &response) == 0);
    CHECK_EQUAL(reader.heads, 1);
    CHECK_EQUAL(reader.status, 200);
    CHECK_EQUAL(response.redirects, 1);
    weft_http_response_release(&response);
    weft_http_client_close(client);
    origin_close(&origin);
}
