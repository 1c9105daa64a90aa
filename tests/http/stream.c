/* SPDX-License-Identifier: MIT
 * stream.c - replies in pieces: their framing, clients that are slow or gone, drains. Time is
 * virtual. */
#include "client.h"
#include "test.h"

#include <weft/channel.h>
#include <weft/io.h>
#include <weft/runtime.h>
#include <weft/select.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* What the last handler of its kind saw. */
static struct {
    int began, ended;  /* results of the first and the last call on the stream */
    int wrote, chosen; /* the last write's result; the case that ended the waiting */
    int gone, draining;
    int done; /* handlers that returned */
    int64_t at_ns;
} seen;

static struct weft_channel news; /* of const char * */

static void note_end(struct weft_http_exchange *exchange)
{
    seen.gone = weft_http_gone(exchange);
    seen.draining = weft_http_draining(exchange);
    seen.at_ns = weft_now();
    seen.done++;
}

/* ---- handlers --------------------------------------------------------------------------- */

static void hello(struct weft_http_exchange *exchange, void *context)
{
    (void)context;
    weft_http_reply(exchange, 200, "text/plain", "hello\n", 6);
}

/* One piece of the named size for each "bytes" of the query, a second apart. */
static void pieces(struct weft_http_exchange *exchange, void *context)
{
    (void)context;
    const char *name, *value;
    weft_http_reply_header(exchange, "X-Stream", "yes");
    seen.began = weft_http_stream_begin(exchange, 200, "text/plain");
    for (size_t position = 0; weft_http_query_next(exchange, &position, &name, &value) > 0;) {
        size_t len = strtoul(value, NULL, 10);
        char *text = malloc(len + 1);
        REQUIRE(text != NULL);
        memset(text, 'x', len);
        seen.wrote = weft_http_stream_write(exchange, text, len);
        free(text);
        if (seen.wrote < 0 || weft_sleep(WEFT_SEC) < 0)
            break;
    }
    seen.ended = weft_http_stream_end(exchange);
    note_end(exchange);
}

/* Whatever comes through the channel, until the client has gone or the server drains. */
static void events(struct weft_http_exchange *exchange, void *context)
{
    (void)context;
    const char *text;
    seen.began = weft_http_stream_begin(exchange, 200, "text/event-stream");
    struct weft_case cases[] = {
        weft_case_receive(&news, &text),
        weft_http_case_gone(exchange),
        weft_http_case_drain(exchange),
    };
    seen.wrote = seen.began;
    while (seen.wrote == 0 && (seen.chosen = weft_select(cases, 3, WEFT_FOREVER, 0)) == 0)
        seen.wrote = weft_http_stream_write(exchange, text, strlen(text));
    seen.ended = weft_http_stream_end(exchange);
    note_end(exchange);
}

/* A reply in one piece, after a long time: also such a handler can notice. */
static void poll_long(struct weft_http_exchange *exchange, void *context)
{
    (void)context;
    struct weft_case cases[] = {
        weft_http_case_gone(exchange),
        weft_http_case_drain(exchange),
    };
    seen.chosen = weft_select(cases, 2, weft_now() + WEFT_SEC, 0);
    note_end(exchange);
    weft_http_reply(exchange, 200, "text/plain", seen.chosen == 1 ? "draining\n" : "waited\n",
                    seen.chosen == 1 ? 9 : 7);
}

static void unfinished(struct weft_http_exchange *exchange, void *context)
{
    (void)context;
    seen.began = weft_http_stream_begin(exchange, 200, "text/plain");
    seen.wrote = weft_http_stream_write(exchange, "half", 4);
    note_end(exchange);
}

/* More than any socket holds, as long as it is taken. */
static void endless(struct weft_http_exchange *exchange, void *context)
{
    enum {
        LEN = 1 << 20
    };
    (void)context;
    char *text = calloc(1, LEN);
    REQUIRE(text != NULL);
    seen.began = weft_http_stream_begin(exchange, 200, "text/plain");
    do {
        seen.wrote = weft_http_stream_write(exchange, text, LEN);
    } while (seen.wrote == 0);
    CHECK_EQUAL(weft_http_stream_write(exchange, text, 1), seen.wrote); /* and stays so */
    CHECK_EQUAL(weft_http_stream_write(exchange, text, 0), seen.wrote);
    seen.ended = weft_http_stream_end(exchange);
    note_end(exchange);
    free(text);
}

static void misused(struct weft_http_exchange *exchange, void *context)
{
    (void)context;
    static const int bad[] = {0, 100, 199, 204, 205, 304, 600};
    CHECK_EQUAL(weft_http_stream_write(exchange, "x", 1), -EINVAL);
    CHECK_EQUAL(weft_http_stream_end(exchange), -EINVAL);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        CHECK_EQUAL(weft_http_stream_begin(exchange, bad[i], NULL), -EINVAL);
    CHECK_EQUAL(weft_http_stream_begin(exchange, 203, NULL), 0);
    CHECK_EQUAL(weft_http_stream_begin(exchange, 200, NULL), -EALREADY);
    weft_http_reply_header(exchange, "X-Late", "yes");
    weft_http_reply_error(exchange, 500, "too late");
    CHECK_EQUAL(weft_http_stream_write(exchange, "", 0), 0);
    CHECK_EQUAL(weft_http_stream_write(exchange, "piece", 5), 0);
    CHECK_EQUAL(weft_http_reply_send(exchange), -EINVAL);
    CHECK_EQUAL(weft_http_stream_end(exchange), 0);
    CHECK_EQUAL(weft_http_stream_end(exchange), -EINVAL);
    CHECK_EQUAL(weft_http_stream_write(exchange, "x", 1), -EINVAL);
}

static void replied_before(struct weft_http_exchange *exchange, void *context)
{
    (void)context;
    weft_http_reply(exchange, 200, NULL, "first", 5);
    CHECK_EQUAL(weft_http_stream_begin(exchange, 200, NULL), -EALREADY);
    CHECK_EQUAL(weft_http_stream_write(exchange, "x", 1), -EINVAL);
}

static void too_many_headers(struct weft_http_exchange *exchange, void *context)
{
    (void)context;
    char value[1000];
    memset(value, 'v', sizeof value - 1);
    value[sizeof value - 1] = '\0';
    for (int i = 0; i < 20; i++)
        weft_http_reply_header(exchange, "X-Verbose", value);
    CHECK_EQUAL(weft_http_stream_begin(exchange, 200, NULL), -EMSGSIZE);
}

/* A scope of the handler's own that is cancelled costs the stream nothing, as long as no byte of a
 * piece went out in it. */
static void scoped(struct weft_http_exchange *exchange, void *context)
{
    (void)context;
    struct weft_scope scope;
    seen.began = weft_http_stream_begin(exchange, 200, NULL);
    weft_scope_enter(&scope, WEFT_FOREVER, WEFT_SCOPE_MOVE_ON);
    weft_scope_cancel(&scope, 0);
    CHECK_EQUAL(weft_http_stream_write(exchange, "never", 5), -ECANCELED);
    CHECK_EQUAL(weft_http_stream_end(exchange), -ECANCELED);
    CHECK_EQUAL(weft_scope_leave(&scope, -ECANCELED), 0);
    CHECK_EQUAL(weft_http_stream_write(exchange, "after", 5), 0);
    CHECK_EQUAL(weft_http_stream_end(exchange), 0);
}

static void cut_in_two(struct weft_http_exchange *exchange, void *context)
{
    enum {
        LEN = 32 << 20
    };
    (void)context;
    struct weft_scope scope;
    char *text = calloc(1, LEN);
    REQUIRE(text != NULL);
    seen.began = weft_http_stream_begin(exchange, 200, NULL);
    weft_scope_enter(&scope, weft_now() + WEFT_SEC, 0);
    seen.wrote = weft_http_stream_write(exchange, text, LEN);
    CHECK_EQUAL(weft_scope_leave(&scope, seen.wrote), -ETIMEDOUT);
    CHECK_EQUAL(weft_http_stream_write(exchange, "after", 5), seen.wrote);
    seen.ended = weft_http_stream_end(exchange);
    note_end(exchange);
    free(text);
}

/* A reply in one piece of the size in the query, sent a second after the request. */
static void send_now(struct weft_http_exchange *exchange, void *context)
{
    (void)context;
    size_t len = strtoul(weft_http_query(exchange, "b"), NULL, 10);
    char *text = calloc(1, len + 1);
    REQUIRE(text != NULL);
    CHECK_EQUAL(weft_http_reply_send(exchange), -EINVAL);
    CHECK_EQUAL(weft_sleep(WEFT_SEC), 0);
    weft_http_reply(exchange, 200, "text/plain", text, len);
    seen.wrote = weft_http_reply_send(exchange);
    seen.ended = weft_http_reply_send(exchange);
    note_end(exchange);
    (void)weft_sleep(WEFT_SEC);
    free(text);
}

static void send_too_much(struct weft_http_exchange *exchange, void *context)
{
    (void)context;
    weft_http_reply(exchange, 200, "text/plain", "", (size_t)1 << 40);
    seen.wrote = weft_http_reply_send(exchange);
    note_end(exchange);
}

static void send_cancelled(struct weft_http_exchange *exchange, void *context)
{
    struct weft_scope scope;
    (void)context;
    char *text = calloc(1, 32 << 20);
    REQUIRE(text != NULL);
    weft_http_reply(exchange, 200, "text/plain", text, 32 << 20);
    weft_scope_enter(&scope, weft_now() + WEFT_SEC, WEFT_SCOPE_MOVE_ON);
    seen.wrote = weft_http_reply_send(exchange);
    CHECK_EQUAL(weft_scope_leave(&scope, seen.wrote), 0);
    note_end(exchange);
    free(text);
}

static int admit(struct weft_http_exchange *exchange, const struct weft_http_route *route,
                 void *context)
{
    (void)route, (void)context;
    const char *wish = weft_http_header(exchange, "X-Admit");
    if (!wish)
        return 1;
    CHECK_EQUAL(weft_http_stream_begin(exchange, 403, NULL), 0);
    CHECK_EQUAL(weft_http_stream_write(exchange, "no", 2), 0);
    if (strcmp(wish, "no") == 0)
        CHECK_EQUAL(weft_http_stream_end(exchange), 0);
    return 0;
}

static const struct weft_http_route routes[] = {
    {"GET", "/hello", hello},
    {"POST", "/hello", hello},
    {"GET", "/pieces", pieces},
    {"GET", "/events", events},
    {"GET", "/poll", poll_long},
    {"GET", "/unfinished", unfinished},
    {"GET", "/endless", endless},
    {"GET", "/misused", misused},
    {"GET", "/replied", replied_before},
    {"GET", "/verbose", too_many_headers},
    {"GET", "/scoped", scoped},
    {"GET", "/cut", cut_in_two},
    {"GET", "/send", send_now},
    {"GET", "/send-too-much", send_too_much},
    {"GET", "/send-cancelled", send_cancelled},
};

static void open_server(struct server *server)
{
    memset(&seen, 0, sizeof seen);
    server_open(server, (struct weft_http_server_options){
                            .routes = routes,
                            .routes_count = sizeof routes / sizeof routes[0],
                            .admit = admit,
                        });
    REQUIRE(weft_channel_init(&news, sizeof(const char *), 16) == 0);
}

static void close_server(struct server *server)
{
    server_close(server);
    weft_channel_deinit(&news);
}

static void tell(const char *text)
{
    CHECK_EQUAL(weft_send(&news, &text, WEFT_FOREVER), 0);
}

static struct client_reply ask_for_head(struct client *client, const char *text)
{
    client_send(client, text);
    return client_receive_head(client);
}

/* ---- replies sent at once --------------------------------------------------------------- */

FIBER_TEST(a_reply_that_is_sent_goes_out_before_its_handler_returns)
{
    struct server server;
    struct client client;
    open_server(&server);
    client_open(&client, &server);
    int64_t began_ns = weft_now();
    client_send(&client, GET("/hello") GET("/send?b=3") GET("/hello"));
    struct client_reply reply = client_receive(&client);
    CHECK(reply_body_is(&reply, "hello\n"));
    reply = client_receive(&client);
    CHECK_EQUAL(reply.status, 200);
    CHECK_EQUAL(reply.body_len, 3);
    CHECK_EQUAL(weft_now() - began_ns, WEFT_SEC);
    CHECK_EQUAL(seen.wrote, 0);
    CHECK_EQUAL(seen.ended, 0);
    reply = client_receive(&client);
    CHECK(reply_body_is(&reply, "hello\n"));
    CHECK_EQUAL(weft_now() - began_ns, 2 * WEFT_SEC);
    client_close(&client);
    close_server(&server);
}

FIBER_TEST(a_handler_learns_that_nobody_took_its_reply)
{
    struct server server;
    struct client client;
    open_server(&server);
    client_open(&client, &server);
    client_send(&client, GET("/send?b=33554432"));
    CHECK_EQUAL(weft_sleep(40 * WEFT_SEC), 0); /* the client does not read */
    CHECK_EQUAL(seen.wrote, -ETIMEDOUT);
    CHECK_EQUAL(seen.ended, -ETIMEDOUT);
    client_close(&client);
    memset(&seen, 0, sizeof seen);
    client_open(&client, &server);
    client_send(&client, GET("/send?b=33554432"));
    client_close(&client);
    CHECK_EQUAL(weft_sleep(10 * WEFT_SEC), 0);
    CHECK_EQUAL(seen.done, 1);
    CHECK_EQUAL(seen.wrote, -EPIPE);
    memset(&seen, 0, sizeof seen);
    client_open(&client, &server);
    client_send(&client, GET("/send-cancelled"));
    CHECK_EQUAL(weft_sleep(10 * WEFT_SEC), 0);
    CHECK_EQUAL(seen.wrote, -ECANCELED);
    client_close(&client);
    close_server(&server);
}

FIBER_TEST(a_handler_learns_that_its_reply_was_too_large)
{
    struct server server;
    struct client client;
    open_server(&server);
    client_open(&client, &server);
    CHECK_EQUAL(client_ask(&client, GET("/send-too-much")).status, 500);
    CHECK_EQUAL(seen.wrote, -EMSGSIZE);
    client_close(&client);
    close_server(&server);
}

/* ---- framing ---------------------------------------------------------------------------- */

FIBER_TEST(pieces_are_chunks_of_any_size)
{
    static const size_t sizes[] = {1, 15, 16, 17, 255, 256, 4095, 65536, 1048576, 9};
    struct server server;
    struct client client;
    open_server(&server);
    client_open(&client, &server);
    struct client_reply reply =
        ask_for_head(&client, GET("/pieces?b=1&b=15&b=16&b=0&b=17&b=255&b=256&b=4095&b=65536&"
                                  "b=1048576&b=0&b=9"));
    CHECK_EQUAL(reply.status, 200);
    CHECK(reply_says(&reply, "Transfer-Encoding", "chunked"));
    CHECK(reply_says(&reply, "Content-Type", "text/plain"));
    CHECK(reply_says(&reply, "X-Stream", "yes"));
    CHECK(reply_field(&reply, "Date") != NULL);
    CHECK(reply_field(&reply, "Content-Length") == NULL);
    CHECK(reply_field(&reply, "Connection") == NULL);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        const char *text;
        size_t len;
        REQUIRE(client_receive_chunk(&client, &text, &len));
        CHECK_EQUAL(len, sizes[i]);
        CHECK(text[0] == 'x' && text[len - 1] == 'x');
    }
    CHECK(client_chunk_is(&client, ""));
    CHECK_EQUAL(seen.ended, 0);
    client_close(&client);
    close_server(&server);
}

FIBER_TEST(a_piece_leaves_when_it_is_written)
{
    struct server server;
    struct client client;
    open_server(&server);
    client_open(&client, &server);
    CHECK_EQUAL(ask_for_head(&client, GET("/events")).status, 200);
    tell("one");
    CHECK(client_chunk_is(&client, "one"));
    CHECK_EQUAL(weft_sleep(1000 * WEFT_SEC), 0); /* silence is no reason to end */
    tell("two");
    CHECK(client_chunk_is(&client, "two"));
    CHECK_EQUAL(seen.done, 0);
    client_close(&client);
    close_server(&server);
}

FIBER_TEST(a_connection_goes_on_after_a_stream)
{
    struct server server;
    struct client client;
    open_server(&server);
    client_open(&client, &server);
    client_send(&client, GET("/hello") GET("/pieces?b=3") GET("/misused") GET("/hello"));
    int64_t began_ns = weft_now();
    struct client_reply reply = client_receive(&client);
    CHECK(reply_body_is(&reply, "hello\n"));
    CHECK_EQUAL(client_receive_head(&client).status, 200);
    CHECK(client_chunk_is(&client, "xxx"));
    CHECK_EQUAL(weft_now(), began_ns);
    CHECK(client_chunk_is(&client, ""));
    CHECK_EQUAL(weft_now() - began_ns, WEFT_SEC);
    reply = client_receive_head(&client);
    CHECK_EQUAL(reply.status, 203);
    CHECK(reply_field(&reply, "X-Late") == NULL);
    CHECK(client_chunk_is(&client, "piece"));
    CHECK(client_chunk_is(&client, ""));
    reply = client_receive(&client);
    CHECK(reply_body_is(&reply, "hello\n"));
    CHECK_EQUAL(server_stats(&server).connections, 1);
    client_close(&client);
    close_server(&server);
}

/* What is left of the connection, as text. */
static bool rest_is(struct client *client, const char *text)
{
    char buffer[256];
    ssize_t count;
    while ((count = weft_read(client->fd, buffer, sizeof buffer, weft_now() + 60 * WEFT_SEC)) > 0)
        weft_buffer_append(&client->in, buffer, (size_t)count);
    CHECK_EQUAL(count, 0);
    return client->in.len - client->seen == strlen(text) &&
           memcmp(client->in.data + client->seen, text, strlen(text)) == 0;
}

FIBER_TEST(in_http_1_0_the_end_of_the_connection_ends_the_stream)
{
    static const char *const requests[] = {
        "GET /pieces?b=3&b=2 HTTP/1.0\r\n\r\n",
        "GET /pieces?b=3&b=2 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    };
    struct server server;
    open_server(&server);
    for (size_t i = 0; i < 2; i++) {
        struct client client;
        client_open(&client, &server);
        struct client_reply reply = ask_for_head(&client, requests[i]);
        CHECK_EQUAL(reply.status, 200);
        CHECK(reply_field(&reply, "Transfer-Encoding") == NULL);
        CHECK(reply_says(&reply, "Connection", "close"));
        CHECK(rest_is(&client, "xxxxx"));
        client_close(&client);
    }
    close_server(&server);
}

FIBER_TEST(a_client_that_asks_for_the_end_gets_it_after_the_stream)
{
    struct server server;
    struct client client;
    open_server(&server);
    client_open(&client, &server);
    struct client_reply reply =
        ask_for_head(&client, "GET /pieces?b=3 HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n");
    CHECK(reply_says(&reply, "Connection", "close"));
    CHECK(client_chunk_is(&client, "xxx"));
    CHECK(client_chunk_is(&client, ""));
    CHECK(client_at_end(&client));
    client_close(&client);
    close_server(&server);
}

FIBER_TEST(head_gets_no_pieces)
{
    static const char *const paths[] = {"/pieces?b=3", "/events", "/endless", "/unfinished"};
    struct server server;
    struct client client;
    open_server(&server);
    client_open(&client, &server);
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        char text[256];
        int64_t began_ns = weft_now();
        (void)snprintf(text, sizeof text, "HEAD %s HTTP/1.1\r\n" HOST "\r\n" GET("/hello"),
                       paths[i]);
        struct client_reply reply = ask_for_head(&client, text);
        CHECK_EQUAL(reply.status, 200);
        CHECK(reply_says(&reply, "Transfer-Encoding", "chunked"));
        reply = client_receive(&client);
        CHECK(reply_body_is(&reply, "hello\n"));
        CHECK_EQUAL(seen.done, i + 1);
        CHECK(seen.wrote == -EPIPE || seen.chosen == 1);
        CHECK_EQUAL(seen.gone, 1);
        CHECK_EQUAL(weft_now(), began_ns);
    }
    client_close(&client);
    close_server(&server);
}

FIBER_TEST(a_stream_that_cannot_begin_is_a_500)
{
    struct server server;
    struct client client;
    open_server(&server);
    client_open(&client, &server);
    struct client_reply reply = client_ask(&client, GET("/replied"));
    CHECK(reply_body_is(&reply, "first"));
    reply = client_ask(&client, GET("/verbose"));
    CHECK_EQUAL(reply.status, 500);
    CHECK(reply_says(&reply, "Content-Type", "application/json"));
    CHECK(client_at_end(&client));
    client_close(&client);
    close_server(&server);
}

/* ---- what is not whole must not look whole ---------------------------------------------- */

FIBER_TEST(a_stream_that_was_not_ended_is_cut)
{
    struct server server;
    struct client client;
    const char *text;
    size_t len;
    open_server(&server);
    client_open(&client, &server);
    CHECK_EQUAL(ask_for_head(&client, GET("/unfinished") GET("/hello")).status, 200);
    CHECK(client_chunk_is(&client, "half"));
    CHECK(!client_receive_chunk(&client, &text, &len));
    CHECK_EQUAL(client.in.len, client.seen);
    client_close(&client);
    close_server(&server);
}

FIBER_TEST(without_chunks_such_a_connection_is_reset)
{
    struct server server;
    struct client client;
    char buffer[16];
    open_server(&server);
    client_open(&client, &server);
    client_send(&client, "GET /unfinished HTTP/1.0\r\n\r\n");
    while (seen.done == 0 && weft_sleep(WEFT_MSEC) == 0)
        ;
    CHECK_EQUAL(weft_sleep(WEFT_MSEC), 0);
    ssize_t count;
    do {
        count = weft_read(client.fd, buffer, sizeof buffer, weft_now() + WEFT_SEC);
    } while (count > 0);
    CHECK_EQUAL(count, -ECONNRESET);
    client_close(&client);
    close_server(&server);
}

/* ---- clients that are slow or gone ------------------------------------------------------ */

FIBER_TEST(a_client_that_does_not_take_a_piece_is_cut_after_thirty_seconds)
{
    struct server server;
    struct client client;
    open_server(&server);
    client_open(&client, &server);
    int64_t began_ns = weft_now();
    CHECK_EQUAL(ask_for_head(&client, GET("/endless")).status, 200);
    CHECK_EQUAL(weft_sleep(29 * WEFT_SEC), 0);
    CHECK_EQUAL(seen.done, 0);
    CHECK_EQUAL(weft_sleep(2 * WEFT_SEC), 0);
    CHECK_EQUAL(seen.done, 1);
    CHECK_EQUAL(seen.wrote, -ETIMEDOUT);
    CHECK_EQUAL(seen.ended, -ETIMEDOUT);
    CHECK_EQUAL(seen.gone, 1);
    CHECK_EQUAL((seen.at_ns - began_ns) / WEFT_SEC, 30);
    CHECK_EQUAL(server_stats(&server).timeouts, 1);
    CHECK_EQUAL(server_stats(&server).connections_now, 0);
    client_close(&client);
    close_server(&server);
}

FIBER_TEST(every_piece_has_its_own_time)
{
    struct server server;
    struct client client;
    open_server(&server);
    client_open(&client, &server);
    CHECK_EQUAL(ask_for_head(&client, GET("/pieces?b=16000000&b=16000000&b=16000000")).status, 200);
    for (int i = 0; i < 3; i++) {
        const char *text;
        size_t len;
        CHECK_EQUAL(weft_sleep(25 * WEFT_SEC), 0);
        REQUIRE(client_receive_chunk(&client, &text, &len));
        CHECK_EQUAL(len, 16000000);
    }
    CHECK(client_chunk_is(&client, ""));
    CHECK_EQUAL(server_stats(&server).timeouts, 0);
    client_close(&client);
    close_server(&server);
}

static void leave(struct client *client, int how)
{
    const struct linger at_once = {.l_onoff = 1};
    if (how == 1)
        CHECK_EQUAL(setsockopt(client->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once), 0);
    if (how == 2)
        CHECK_EQUAL(shutdown(client->fd, SHUT_WR), 0);
    else
        client_close(client);
}

FIBER_TEST(a_handler_that_waits_for_something_else_notices_that_the_client_has_gone)
{
    for (int how = 0; how < 3; how++) { /* closes, resets, closes its sending side */
        struct server server;
        struct client client;
        open_server(&server);
        client_open(&client, &server);
        CHECK_EQUAL(ask_for_head(&client, GET("/events") GET("/hello")).status, 200);
        tell("one");
        CHECK(client_chunk_is(&client, "one"));
        int64_t left_ns = weft_now();
        leave(&client, how);
        CHECK_EQUAL(weft_sleep(WEFT_SEC), 0);
        CHECK_EQUAL(seen.done, 1);
        CHECK_EQUAL(seen.chosen, 1);
        CHECK_EQUAL(seen.gone, 1);
        CHECK_EQUAL(seen.draining, 0);
        CHECK_EQUAL(seen.at_ns, left_ns);
        if (how == 2) { /* somebody is there after all */
            CHECK(client_chunk_is(&client, ""));
            struct client_reply reply = client_receive(&client);
            CHECK(reply_body_is(&reply, "hello\n"));
            client_close(&client);
        }
        close_server(&server);
    }
}

FIBER_TEST(further_requests_are_no_reason_to_end_a_stream)
{
    struct server server;
    struct client client;
    open_server(&server);
    client_open(&client, &server);
    CHECK_EQUAL(ask_for_head(&client, GET("/events")).status, 200);
    for (int i = 0; i < 5; i++) {
        client_send(&client, GET("/hello"));
        CHECK_EQUAL(weft_sleep(WEFT_SEC), 0);
        tell("more");
        CHECK(client_chunk_is(&client, "more"));
    }
    CHECK_EQUAL(seen.done, 0);
    client_close(&client);
    CHECK_EQUAL(weft_sleep(WEFT_SEC), 0);
    CHECK_EQUAL(seen.chosen, 1); /* not hidden by what nobody has read */
    close_server(&server);
}

FIBER_TEST(writing_to_a_client_that_has_gone_is_an_error)
{
    struct server server;
    struct client client;
    open_server(&server);
    client_open(&client, &server);
    CHECK_EQUAL(ask_for_head(&client, GET("/endless")).status, 200);
    leave(&client, 1);
    CHECK_EQUAL(weft_sleep(WEFT_SEC), 0);
    CHECK_EQUAL(seen.done, 1);
    CHECK_EQUAL(seen.wrote, -EPIPE);
    CHECK_EQUAL(seen.ended, -EPIPE);
    CHECK_EQUAL(server_stats(&server).timeouts, 0);
    CHECK_EQUAL(server_stats(&server).connections_now, 0);
    close_server(&server);
}

FIBER_TEST(a_client_that_only_listens_gets_the_whole_stream)
{
    struct server server;
    struct client client;
    open_server(&server);
    client_open(&client, &server);
    client_send(&client, GET("/pieces?b=3&b=2"));
    CHECK_EQUAL(shutdown(client.fd, SHUT_WR), 0);
    CHECK_EQUAL(client_receive_head(&client).status, 200);
    CHECK(client_chunk_is(&client, "xxx"));
    CHECK(client_chunk_is(&client, "xx"));
    CHECK(client_chunk_is(&client, ""));
    CHECK_EQUAL(seen.gone, 1); /* as far as anybody can tell */
    client_close(&client);
    close_server(&server);
}

FIBER_TEST(a_long_poll_notices_it_too)
{
    struct server server;
    struct client client;
    open_server(&server);
    client_open(&client, &server);
    struct client_reply reply = client_ask(&client, GET("/poll"));
    CHECK(reply_body_is(&reply, "waited\n"));
    CHECK_EQUAL(seen.chosen, -ETIMEDOUT);
    client_send(&client, GET("/poll"));
    CHECK_EQUAL(weft_sleep(WEFT_MSEC), 0);
    int64_t left_ns = weft_now();
    client_close(&client);
    CHECK_EQUAL(weft_sleep(WEFT_MSEC), 0);
    CHECK_EQUAL(seen.chosen, 0);
    CHECK_EQUAL(seen.at_ns, left_ns);
    close_server(&server);
}

/* ---- cancellation ----------------------------------------------------------------------- */

FIBER_TEST(a_cancellation_before_the_first_byte_costs_nothing)
{
    struct server server;
    struct client client;
    open_server(&server);
    client_open(&client, &server);
    CHECK_EQUAL(ask_for_head(&client, GET("/scoped") GET("/hello")).status, 200);
    CHECK(client_chunk_is(&client, "after"));
    CHECK(client_chunk_is(&client, ""));
    CHECK_EQUAL(client_receive(&client).status, 200);
    client_close(&client);
    close_server(&server);
}

FIBER_TEST(a_cancellation_in_the_middle_of_a_piece_ends_the_stream)
{
    struct server server;
    struct client client;
    const char *text;
    size_t len;
    open_server(&server);
    client_open(&client, &server);
    CHECK_EQUAL(ask_for_head(&client, GET("/cut")).status, 200);
    CHECK_EQUAL(weft_sleep(2 * WEFT_SEC), 0);
    CHECK_EQUAL(seen.done, 1);
    CHECK_EQUAL(seen.wrote, -ECANCELED);
    CHECK_EQUAL(seen.ended, -ECANCELED);
    CHECK(!client_receive_chunk(&client, &text, &len));
    client_close(&client);
    close_server(&server);
}

FIBER_TEST(a_cancelled_server_cancels_its_streams)
{
    static const char *const requests[] = {GET("/events"), GET("/endless")};
    for (size_t i = 0; i < 2; i++) {
        struct server server;
        struct client client;
        open_server(&server);
        client_open(&client, &server);
        CHECK_EQUAL(ask_for_head(&client, requests[i]).status, 200);
        CHECK_EQUAL(weft_sleep(WEFT_MSEC), 0);
        weft_group_close(&server.group);
        CHECK_EQUAL(server.task.result, -ECANCELED);
        CHECK_EQUAL(seen.done, 1);
        CHECK_EQUAL(i == 0 ? seen.chosen : seen.wrote, -ECANCELED);
        client_close(&client);
        weft_http_server_close(server.http);
        weft_channel_deinit(&news);
    }
}

/* ---- drain ------------------------------------------------------------------------------ */

FIBER_TEST(a_drain_is_told_to_streams_which_can_end_at_once)
{
    struct server server;
    struct client client;
    open_server(&server);
    client_open(&client, &server);
    CHECK_EQUAL(ask_for_head(&client, GET("/events")).status, 200);
    tell("one");
    CHECK(client_chunk_is(&client, "one"));
    int64_t began_ns = weft_now();
    weft_http_server_drain(server.http);
    CHECK(client_chunk_is(&client, ""));
    CHECK(client_at_end(&client));
    CHECK(weft_now() - began_ns < 100 * WEFT_MSEC);
    CHECK_EQUAL(seen.chosen, 2);
    CHECK_EQUAL(seen.draining, 1);
    CHECK_EQUAL(seen.gone, 0);
    CHECK_EQUAL(seen.ended, 0);
    client_close(&client);
    close_server(&server);
}

FIBER_TEST(a_drain_is_told_to_long_polls)
{
    struct server server;
    struct client client;
    open_server(&server);
    client_open(&client, &server);
    client_send(&client, GET("/poll"));
    CHECK_EQUAL(weft_sleep(WEFT_MSEC), 0);
    int64_t began_ns = weft_now();
    weft_http_server_drain(server.http);
    struct client_reply reply = client_receive(&client);
    CHECK(reply_body_is(&reply, "draining\n"));
    CHECK(reply_says(&reply, "Connection", "close"));
    CHECK_EQUAL(weft_now(), began_ns);
    client_close(&client);
    close_server(&server);
}

FIBER_TEST(a_stream_that_begins_in_a_drain_is_the_last_reply)
{
    struct server server;
    struct client client;
    open_server(&server);
    client_open(&client, &server);
    CHECK_EQUAL(client_ask(&client, GET("/hello")).status, 200);
    client_send(&client, GET("/events"));
    weft_http_server_drain(server.http);
    struct client_reply reply = client_receive_head(&client);
    CHECK_EQUAL(reply.status, 200);
    CHECK(reply_says(&reply, "Connection", "close"));
    CHECK(client_chunk_is(&client, ""));
    CHECK(client_at_end(&client));
    CHECK_EQUAL(seen.chosen, 2);
    client_close(&client);
    close_server(&server);
}

FIBER_TEST(a_stream_that_goes_on_is_waited_for)
{
    struct server server;
    struct client client;
    open_server(&server);
    client_open(&client, &server);
    CHECK_EQUAL(ask_for_head(&client, GET("/pieces?b=1&b=2&b=3") GET("/hello")).status, 200);
    weft_http_server_drain(server.http);
    CHECK(client_chunk_is(&client, "x"));
    CHECK(client_chunk_is(&client, "xx"));
    CHECK(client_chunk_is(&client, "xxx"));
    CHECK(client_chunk_is(&client, ""));
    struct client_reply reply = client_receive(&client);
    CHECK(reply_says(&reply, "Connection", "close"));
    CHECK(client_at_end(&client));
    client_close(&client);
    close_server(&server);
}

/* ---- beside others ---------------------------------------------------------------------- */

FIBER_TEST(streams_do_not_wait_for_each_other)
{
    enum {
        COUNT = 100
    };
    static struct client clients[COUNT];
    struct server server;
    open_server(&server);
    int64_t began_ns = weft_now();
    for (int i = 0; i < COUNT; i++) {
        client_open(&clients[i], &server);
        client_send(&clients[i], GET("/pieces?b=1&b=2"));
    }
    for (int i = 0; i < COUNT; i++) {
        CHECK_EQUAL(client_receive_head(&clients[i]).status, 200);
        CHECK(client_chunk_is(&clients[i], "x"));
        CHECK(client_chunk_is(&clients[i], "xx"));
        CHECK(client_chunk_is(&clients[i], ""));
        client_close(&clients[i]);
    }
    CHECK_EQUAL(weft_now() - began_ns, 2 * WEFT_SEC);
    close_server(&server);
}

FIBER_TEST(who_is_turned_down_may_be_told_in_pieces)
{
    struct server server;
    struct client client;
    const char *text;
    size_t len;
    open_server(&server);
    client_open(&client, &server);
    CHECK_EQUAL(ask_for_head(&client, "POST /hello HTTP/1.1\r\n" HOST "X-Admit: no\r\n"
                                      "Content-Length: 5\r\n\r\n")
                    .status,
                403);
    CHECK(client_chunk_is(&client, "no"));
    CHECK(client_chunk_is(&client, ""));
    client_send(&client, "hello");
    CHECK_EQUAL(client_ask(&client, GET("/hello")).status, 200);
    CHECK_EQUAL(
        ask_for_head(&client, "GET /hello HTTP/1.1\r\n" HOST "X-Admit: half\r\n\r\n").status, 403);
    CHECK(client_chunk_is(&client, "no"));
    CHECK(!client_receive_chunk(&client, &text, &len));
    client_close(&client);
    close_server(&server);
}
