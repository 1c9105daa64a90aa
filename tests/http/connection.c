/* SPDX-License-Identifier: MIT
 * connection.c - how connections begin and end: keep-alive, half-closing, 100 Continue, drain. */
#include "client.h"
#include "test.h"

#include <weft/io.h>
#include <weft/net.h>
#include <weft/runtime.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* ---- the end of a connection ------------------------------------------------------------ */

FIBER_TEST(the_client_decides_whether_the_connection_stays)
{
    static const struct {
        const char *request;
        const char *connection; /* what the reply says */
        bool stays;
    } cases[] = {
        {"GET /hello HTTP/1.1\r\n" HOST "\r\n", NULL, true},
        {"GET /hello HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n", "close", false},
        {"GET /hello HTTP/1.0\r\n\r\n", "close", false},
        {"GET /hello HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", "keep-alive", true},
    };
    struct server server;
    server_open(&server, (struct weft_http_server_options){0});
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct client client;
        client_open(&client, &server);
        struct client_reply reply = client_ask(&client, cases[i].request);
        CHECK_EQUAL(reply.status, 200);
        const char *connection = reply_field(&reply, "Connection");
        CHECK(cases[i].connection ? connection && strcmp(connection, cases[i].connection) == 0
                                  : !connection);
        if (cases[i].stays)
            CHECK_EQUAL(client_ask(&client, GET("/hello")).status, 200);
        else
            CHECK(client_at_end(&client));
        client_close(&client);
    }
    server_close(&server);
}

FIBER_TEST(nothing_is_answered_after_the_last_reply)
{
    struct server server;
    struct client client;
    server_open(&server, (struct weft_http_server_options){0});
    client_open(&client, &server);
    client_send(&client, "GET /hello HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n" GET("/hello"));
    CHECK_EQUAL(client_receive(&client).status, 200);
    CHECK(client_at_end(&client));
    CHECK_EQUAL(server_stats(&server).requests, 1);
    client_close(&client);
    server_close(&server);
}

FIBER_TEST(a_client_that_is_done_sending_still_gets_its_reply)
{
    struct server server;
    struct client client;
    server_open(&server, (struct weft_http_server_options){0});
    client_open(&client, &server);
    client_send(&client, GET("/slow"));
    CHECK_EQUAL(shutdown(client.fd, SHUT_WR), 0);
    CHECK_EQUAL(client_receive(&client).status, 200);
    CHECK(client_at_end(&client));
    client_close(&client);
    server_close(&server);
}

FIBER_TEST(half_a_request_is_malformed)
{
    static const char *const halves[] = {
        "G",
        "GET /hello HTTP/1.1\r\n",
        "GET /hello HTTP/1.1\r\n" HOST,
        "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nhell",
        "POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
    };
    struct server server;
    server_open(&server, (struct weft_http_server_options){0});
    for (size_t i = 0; i < sizeof halves / sizeof halves[0]; i++) {
        struct client client;
        client_open(&client, &server);
        client_send(&client, halves[i]);
        CHECK_EQUAL(shutdown(client.fd, SHUT_WR), 0);
        struct client_reply reply = client_receive(&client);
        CHECK_EQUAL(reply.status, 400);
        CHECK(client_at_end(&client));
        client_close(&client);
    }
    CHECK_EQUAL(server_stats(&server).bad_requests, sizeof halves / sizeof halves[0]);
    server_close(&server);
}

FIBER_TEST(a_client_that_vanishes_harms_nobody)
{
    static const char *const texts[] = {
        "",
        "GET /hello HT",
        GET("/slow"),
        "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 500000\r\n\r\nhell",
        GET("/large?bytes=20000000"),
    };
    struct server server;
    server_open(&server, (struct weft_http_server_options){0});
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        for (int reset = 0; reset < 2; reset++) {
            struct client client;
            client_open(&client, &server);
            client_send(&client, texts[i]);
            CHECK_EQUAL(weft_sleep(WEFT_MSEC), 0);
            struct linger cut = {.l_onoff = reset};
            CHECK_EQUAL(setsockopt(client.fd, SOL_SOCKET, SO_LINGER, &cut, sizeof cut), 0);
            client_close(&client);
            CHECK(server_answers(&server));
        }
    }
    CHECK_EQUAL(weft_sleep(2 * WEFT_SEC), 0);
    CHECK_EQUAL(server_stats(&server).connections_now, 0);
    server_close(&server);
}

FIBER_TEST(an_error_reply_reaches_a_client_that_keeps_sending)
{
    enum {
        LEN = 3 << 20
    };
    struct server server;
    struct client client;
    server_open(&server, (struct weft_http_server_options){0});
    client_open(&client, &server);
    char *body = calloc(1, LEN);
    REQUIRE(body != NULL);
    client_send(&client, "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 3145728\r\n\r\n");
    int err = weft_write_all(client.fd, body, LEN, weft_now() + WEFT_SEC, NULL);
    CHECK_EQUAL(err, 0);
    CHECK_EQUAL(client_receive(&client).status, 413);
    free(body);
    client_close(&client);
    server_close(&server);
}

/* ---- 100 Continue ----------------------------------------------------------------------- */

#define EXPECTING(path, length)                                                                    \
    "POST " path " HTTP/1.1\r\n" HOST "Expect: 100-continue\r\nContent-Length: " length "\r\n\r\n"

FIBER_TEST(a_body_is_invited)
{
    struct server server;
    struct client client;
    server_open(&server, (struct weft_http_server_options){0});
    client_open(&client, &server);
    for (int i = 0; i < 2; i++) {
        CHECK_EQUAL(client_ask(&client, EXPECTING("/echo", "5")).status, 100);
        struct client_reply reply = client_ask(&client, "hello");
        CHECK_EQUAL(reply.status, 200);
        CHECK(reply_body_is(&reply, "hello"));
    }
    /* Who does not wait is not invited. */
    struct client_reply reply = client_ask(&client, EXPECTING("/echo", "5") "hello");
    CHECK_EQUAL(reply.status, 200);
    client_close(&client);
    server_close(&server);
}

FIBER_TEST(a_body_that_nobody_wants_is_not_invited)
{
    static const struct {
        const char *request;
        int status;
    } cases[] = {
        {EXPECTING("/nowhere", "5"), 404},
        {EXPECTING("/hello", "5"), 405},
        {EXPECTING("/echo", "2000000"), 413},
        {"POST /echo HTTP/1.1\r\n" HOST "Expect: tea\r\nContent-Length: 5\r\n\r\n", 417},
    };
    struct server server;
    server_open(&server, (struct weft_http_server_options){0});
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct client client;
        client_open(&client, &server);
        struct client_reply reply = client_ask(&client, cases[i].request);
        CHECK_EQUAL(reply.status, cases[i].status);
        CHECK(reply_says(&reply, "Connection", "close"));
        CHECK(client_at_end(&client));
        client_close(&client);
    }
    server_close(&server);
}

FIBER_TEST(a_body_that_comes_uninvited_does_not_reset_the_connection)
{
    struct server server;
    struct client client;
    server_open(&server, (struct weft_http_server_options){0});
    client_open(&client, &server);
    client_send(&client, EXPECTING("/nowhere", "10"));
    for (int i = 0; i < 2; i++) { /* a closed socket would answer the first with a reset */
        CHECK_EQUAL(weft_sleep(WEFT_MSEC), 0);
        CHECK_EQUAL(weft_write_all(client.fd, "hello", 5, WEFT_FOREVER, NULL), 0);
    }
    CHECK_EQUAL(client_receive(&client).status, 404);
    CHECK(client_at_end(&client));
    client_close(&client);
    server_close(&server);
}

FIBER_TEST(other_protocols_are_refused_or_passed_over)
{
    struct server server;
    struct client client;
    server_open(&server, (struct weft_http_server_options){0});
    client_open(&client, &server);
    CHECK_EQUAL(client_ask(&client, "GET /hello HTTP/1.1\r\n" HOST "Upgrade: websocket\r\n"
                                    "Connection: upgrade\r\n\r\n" GET("/hello"))
                    .status,
                200);
    CHECK_EQUAL(client_receive(&client).status, 200);
    client_close(&client);
    CHECK_EQUAL(ask_once(&server, "CONNECT a:80 HTTP/1.1\r\n" HOST "\r\n"), 501);
    CHECK_EQUAL(ask_once(&server, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), 505);
    server_close(&server);
}

/* ---- beginning and end of a server ------------------------------------------------------ */

static int ask_slowly(void *arg)
{
    struct client client;
    client_open(&client, arg);
    struct client_reply reply = client_ask(&client, GET("/slow"));
    CHECK_EQUAL(reply.status, 200);
    CHECK(reply_says(&reply, "Connection", "close"));
    CHECK(client_at_end(&client));
    client_close(&client);
    return 0;
}

FIBER_TEST(draining_closes_what_is_idle_and_answers_what_is_under_way)
{
    struct server server;
    struct client idle, partial, fresh;
    server_open(&server, (struct weft_http_server_options){0});
    client_open(&idle, &server);
    CHECK_EQUAL(client_ask(&idle, GET("/hello")).status, 200);
    client_open(&partial, &server);
    client_send(&partial, "GET /hello HTTP/1.1\r\n");
    client_open(&fresh, &server);
    struct weft_group group;
    CHECK_EQUAL(weft_group_init(&group, NULL), 0);
    for (int i = 0; i < 3; i++)
        CHECK_EQUAL(weft_spawn(&group, ask_slowly, &server), 0);
    CHECK_EQUAL(weft_sleep(100 * WEFT_MSEC), 0);

    int64_t began_ns = weft_now();
    weft_http_server_drain(server.http);
    CHECK(client_at_end(&idle));
    CHECK(client_at_end(&fresh));
    CHECK(weft_now() - began_ns < 100 * WEFT_MSEC);
    CHECK_EQUAL(weft_tcp_connect("127.0.0.1", server.port, WEFT_FOREVER), -ECONNREFUSED);
    struct client_reply reply = client_ask(&partial, HOST "\r\n");
    CHECK_EQUAL(reply.status, 200);
    CHECK(reply_says(&reply, "Connection", "close"));
    CHECK(client_at_end(&partial));
    CHECK_EQUAL(weft_group_wait(&group), 0);
    client_close(&idle);
    client_close(&partial);
    client_close(&fresh);
    server_close(&server);
}

FIBER_TEST(a_request_that_crosses_the_drain_is_answered)
{
    struct server server;
    struct client client;
    server_open(&server, (struct weft_http_server_options){0});
    client_open(&client, &server);
    CHECK_EQUAL(client_ask(&client, GET("/hello")).status, 200);
    client_send(&client, GET("/hello"));
    weft_http_server_drain(server.http);
    struct client_reply reply = client_receive(&client);
    CHECK_EQUAL(reply.status, 200);
    CHECK(reply_says(&reply, "Connection", "close"));
    client_close(&client);
    server_close(&server);
}

FIBER_TEST(a_server_may_be_drained_before_it_runs)
{
    struct weft_http_server *server;
    REQUIRE(weft_http_server_open(&server, &(struct weft_http_server_options){0}) == 0);
    weft_http_server_drain(server);
    weft_http_server_drain(server);
    CHECK_EQUAL(weft_http_server_run(server), 0);
    weft_http_server_close(server);
}

FIBER_TEST(a_cancelled_server_cuts_its_connections)
{
    struct server server;
    struct client idle, busy;
    server_open(&server, (struct weft_http_server_options){0});
    client_open(&idle, &server);
    CHECK_EQUAL(client_ask(&idle, GET("/hello")).status, 200);
    client_open(&busy, &server);
    client_send(&busy, GET("/slow"));
    CHECK_EQUAL(weft_sleep(WEFT_MSEC), 0);
    int64_t began_ns = weft_now();
    weft_group_close(&server.group);
    CHECK_EQUAL(weft_now(), began_ns);
    CHECK_EQUAL(server.task.result, -ECANCELED);
    CHECK(client_at_end(&idle));
    CHECK(client_at_end(&busy));
    client_close(&idle);
    client_close(&busy);
    weft_http_server_close(server.http);
}

FIBER_TEST(a_drain_can_be_cut_short)
{
    struct server server;
    struct client busy;
    server_open(&server, (struct weft_http_server_options){0});
    client_open(&busy, &server);
    client_send(&busy, GET("/slow"));
    CHECK_EQUAL(weft_sleep(WEFT_MSEC), 0);
    weft_http_server_drain(server.http);
    CHECK_EQUAL(weft_sleep(WEFT_MSEC), 0);
    weft_group_close(&server.group);
    CHECK_EQUAL(server.task.result, -ECANCELED);
    client_close(&busy);
    weft_http_server_close(server.http);
}

static void impossible_handler(struct weft_http_exchange *exchange, void *context)
{
    (void)exchange, (void)context;
}

FIBER_TEST(impossible_options_are_refused)
{
    static const struct weft_http_route routes[] = {
        {"GET", "/", impossible_handler, .body_bytes_max = ((size_t)1 << 30) + 1}};
    static const struct weft_http_server_options bad[] = {
        {.routes = routes, .routes_count = 1},
        {.address = "localhost"},
        {.address = "1.2.3"},
        {.header_timeout_ns = -1},
        {.write_timeout_ns = -1},
        {.header_bytes_max = SIZE_MAX},
        {.body_bytes_max = SIZE_MAX},
        {.routes_count = 1},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct weft_http_server *server = NULL;
        CHECK_EQUAL(weft_http_server_open(&server, &bad[i]), -EINVAL);
        CHECK(server == NULL);
    }
    weft_http_server_close(NULL);
}

FIBER_TEST(a_port_in_use_is_refused)
{
    struct server server;
    struct weft_http_server *other = NULL;
    server_open(&server, (struct weft_http_server_options){0});
    CHECK_EQUAL(
        weft_http_server_open(&other, &(struct weft_http_server_options){.port = server.port}),
        -EADDRINUSE);
    server_close(&server);
}

FIBER_TEST(ipv6_is_served)
{
    struct server server;
    struct weft_http_server *probe = NULL;
    if (weft_http_server_open(&probe, &(struct weft_http_server_options){.address = "::1"}) < 0) {
        test_skip("no IPv6 here");
        return;
    }
    weft_http_server_close(probe);
    server_open(&server, (struct weft_http_server_options){.address = "::1"});
    struct client client = {.fd = weft_tcp_connect("::1", server.port, WEFT_FOREVER)};
    REQUIRE(client.fd >= 0);
    weft_buffer_init(&client.in, 1 << 20);
    CHECK_EQUAL(client_ask(&client, GET("/hello")).status, 200);
    client_close(&client);
    server_close(&server);
}
