/* SPDX-License-Identifier: MIT
 * server.c - what a well-behaved client sees: replies, routes, keep-alive, pipelining, drain. */
#include "client.h"
#include "test.h"

#include <weft/io.h>
#include <weft/runtime.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define GET(path) "GET " path " HTTP/1.1\r\n" HOST "\r\n"
#define UUID      "0190b7e0-1c2d-7abc-8def-0123456789ab"

static bool body_is(const struct client_reply *reply, const char *text)
{
    bool same = reply->status && reply->body_len == strlen(text) &&
                memcmp(reply->body, text, reply->body_len) == 0;
    if (!same)
        test_note("status %d, body %.*s", reply->status, (int)reply->body_len,
                  reply->body ? reply->body : "");
    return same;
}

FIBER_TEST(a_request_is_answered)
{
    struct server server;
    struct client client;
    server_open(&server, (struct weft_http_server_options){.server_name = "weft"});
    client_open(&client, &server);
    struct client_reply reply = client_ask(&client, GET("/hello"));
    CHECK_EQUAL(reply.status, 200);
    CHECK(strncmp(reply.head, "HTTP/1.1 200 OK\r\n", 17) == 0);
    CHECK(body_is(&reply, "hello\n"));
    CHECK(reply_says(&reply, "Content-Type", "text/plain"));
    CHECK(reply_says(&reply, "Content-Length", "6"));
    CHECK(reply_says(&reply, "Server", "weft"));
    CHECK(reply_field(&reply, "Date") != NULL);
    CHECK(reply_field(&reply, "Connection") == NULL);
    client_close(&client);
    server_close(&server);
}

FIBER_TEST(a_connection_serves_many_requests)
{
    struct server server;
    struct client client;
    server_open(&server, (struct weft_http_server_options){0});
    client_open(&client, &server);
    for (int i = 0; i < 100; i++)
        REQUIRE(client_ask(&client, GET("/hello")).status == 200);
    CHECK_EQUAL(server_stats(&server).connections, 1);
    CHECK_EQUAL(server_stats(&server).requests, 100);
    client_close(&client);
    server_close(&server);
}

FIBER_TEST(pipelined_requests_are_answered_in_order)
{
    struct server server;
    struct client client;
    struct weft_buffer text;
    server_open(&server, (struct weft_http_server_options){0});
    client_open(&client, &server);
    weft_buffer_init(&text, 1 << 20);
    for (int i = 0; i < 100; i++)
        weft_buffer_append_format(
            &text, "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\n%03d", i);
    client_send_bytes(&client, text.data, text.len);
    for (int i = 0; i < 100; i++) {
        char expected[8];
        (void)snprintf(expected, sizeof expected, "%03d", i);
        struct client_reply reply = client_receive(&client);
        REQUIRE(reply.status == 200);
        CHECK(body_is(&reply, expected));
    }
    weft_buffer_deinit(&text);
    client_close(&client);
    server_close(&server);
}

FIBER_TEST(more_pipelined_requests_than_any_buffer_holds_are_answered)
{
    enum {
        COUNT = 20000
    };
    struct server server;
    struct client client;
    struct weft_buffer text;
    server_open(&server, (struct weft_http_server_options){0});
    client_open(&client, &server);
    weft_buffer_init(&text, 16 << 20);
    for (int i = 0; i < 100; i++)
        weft_buffer_append_string(&text, GET("/hello"));
    for (int i = 0; i < COUNT / 100; i++) {
        client_send_bytes(&client, text.data, text.len);
        for (int j = 0; j < 100; j++)
            REQUIRE(client_receive(&client).status == 200);
    }
    CHECK_EQUAL(server_stats(&server).requests, COUNT);
    weft_buffer_deinit(&text);
    client_close(&client);
    server_close(&server);
}

FIBER_TEST(a_request_may_arrive_in_any_two_pieces)
{
    static const char *const texts[] = {
        "GET /hello?a=b HTTP/1.1\r\n" HOST "\r\n",
        "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 6\r\n\r\nhello\n",
        "POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n"
        "2\r\nhe\r\n3;a=b\r\nllo\r\n1\r\n\n\r\n0\r\nX: y\r\n\r\n",
        "GET /hello HTTP/1.1\r\n" HOST "\r\nGET /hello HTTP/1.1\r\n" HOST "\r\n",
    };
    struct server server;
    struct client client;
    server_open(&server, (struct weft_http_server_options){0});
    client_open(&client, &server);
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        size_t len = strlen(texts[i]);
        for (size_t cut = 1; cut < len; cut++) {
            client_send_bytes(&client, texts[i], cut);
            CHECK_EQUAL(weft_sleep(WEFT_MSEC), 0);
            client_send_bytes(&client, texts[i] + cut, len - cut);
            for (int replies = i == 3 ? 2 : 1; replies > 0; replies--) {
                struct client_reply reply = client_receive(&client);
                REQUIRE(reply.status == 200);
                CHECK(body_is(&reply, "hello\n"));
            }
        }
    }
    client_close(&client);
    server_close(&server);
}

FIBER_TEST(a_request_may_arrive_byte_by_byte)
{
    static const char text[] = "POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n"
                               "5\r\nhello\r\n0\r\n\r\n";
    struct server server;
    struct client client;
    server_open(&server, (struct weft_http_server_options){0});
    client_open(&client, &server);
    for (size_t i = 0; i < sizeof text - 1; i++) {
        client_send_bytes(&client, text + i, 1);
        CHECK_EQUAL(weft_sleep(WEFT_MSEC), 0);
    }
    struct client_reply reply = client_receive(&client);
    CHECK(body_is(&reply, "hello"));
    client_close(&client);
    server_close(&server);
}

FIBER_TEST(large_bodies_go_both_ways)
{
    enum {
        LEN = 1 << 20
    };
    struct server server;
    struct client client;
    server_open(&server, (struct weft_http_server_options){0});
    client_open(&client, &server);
    char *body = malloc(LEN);
    REQUIRE(body != NULL);
    for (size_t i = 0; i < LEN; i++)
        body[i] = (char)('a' + i % 26);
    for (int round = 0; round < 3; round++) {
        client_send(&client, "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 1048576\r\n\r\n");
        client_send_bytes(&client, body, LEN);
        struct client_reply reply = client_receive(&client);
        REQUIRE(reply.status == 200 && reply.body_len == LEN);
        CHECK(memcmp(reply.body, body, LEN) == 0);
    }
    free(body);
    client_close(&client);
    server_close(&server);
}

FIBER_TEST(head_is_answered_without_the_body)
{
    struct server server;
    struct client client;
    server_open(&server, (struct weft_http_server_options){0});
    client_open(&client, &server);
    client_send(&client, "HEAD /hello HTTP/1.1\r\n" HOST "\r\n" GET("/hello"));
    struct client_reply reply = client_receive_head(&client);
    CHECK_EQUAL(reply.status, 200);
    CHECK(reply_says(&reply, "Content-Length", "6"));
    reply = client_receive(&client);
    CHECK(body_is(&reply, "hello\n"));
    client_send(&client, "HEAD /nowhere HTTP/1.1\r\n" HOST "\r\n" GET("/hello"));
    CHECK_EQUAL(client_receive_head(&client).status, 404);
    CHECK_EQUAL(client_receive(&client).status, 200);
    client_close(&client);
    server_close(&server);
}

FIBER_TEST(parameters_and_queries_reach_the_handler_decoded)
{
    static const struct {
        const char *request, *body;
    } cases[] = {
        {GET("/name/a%20b%2fc"), "a b/c"},
        {GET("/number/-42/x"), "-42"},
        {GET("/uuid/" UUID), UUID},
        {GET("/query?a=1&b=2"), "1|2"},
        {GET("/query?b=x%26y&a=p+q%3d"), "p q=|x&y"},
        {GET("/query?a"), "|-"},
        {GET("/query?a=&a=2&c=3"), "|-"},
        {GET("/query?&&=&b=1&"), "-|1"},
        {GET("/query"), "-|-"},
        {GET("/query?%61=1"), "1|-"},
        {"GET http://elsewhere/query?a=1 HTTP/1.1\r\n" HOST "\r\n", "1|-"},
    };
    struct server server;
    struct client client;
    server_open(&server, (struct weft_http_server_options){0});
    client_open(&client, &server);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct client_reply reply = client_ask(&client, cases[i].request);
        CHECK_EQUAL(reply.status, 200);
        CHECK(body_is(&reply, cases[i].body));
    }
    client_close(&client);
    server_close(&server);
}

FIBER_TEST(unknown_paths_and_methods_are_told_apart)
{
    struct server server;
    struct client client;
    server_open(&server, (struct weft_http_server_options){0});
    client_open(&client, &server);
    struct client_reply reply = client_ask(&client, GET("/nowhere"));
    CHECK_EQUAL(reply.status, 404);
    CHECK(body_is(&reply, "{\"detail\": \"Not Found\"}"));
    CHECK(reply_says(&reply, "Content-Type", "application/json"));
    CHECK_EQUAL(client_ask(&client, GET("/number/x/x")).status, 404);
    reply = client_ask(&client, "DELETE /slow HTTP/1.1\r\n" HOST "\r\n");
    CHECK_EQUAL(reply.status, 405);
    CHECK(body_is(&reply, "{\"detail\": \"Method Not Allowed\"}"));
    CHECK(reply_says(&reply, "Allow", "GET, HEAD, POST, OPTIONS"));
    reply = client_ask(&client, "OPTIONS /echo HTTP/1.1\r\n" HOST "\r\n");
    CHECK_EQUAL(reply.status, 204);
    CHECK(reply_says(&reply, "Allow", "POST, OPTIONS"));
    CHECK_EQUAL(client_ask(&client, "OPTIONS /nowhere HTTP/1.1\r\n" HOST "\r\n").status, 404);
    reply = client_ask(&client, "OPTIONS * HTTP/1.1\r\n" HOST "\r\n");
    CHECK_EQUAL(reply.status, 204);
    CHECK(reply_says(&reply, "Allow", "GET, HEAD, POST, OPTIONS"));
    CHECK_EQUAL(client_ask(&client, GET("/hello")).status, 200); /* the connection went on */
    client_close(&client);
    server_close(&server);
}

FIBER_TEST(a_handler_without_a_reply_is_a_500)
{
    struct server server;
    struct client client;
    server_open(&server, (struct weft_http_server_options){0});
    client_open(&client, &server);
    struct client_reply reply = client_ask(&client, GET("/silent"));
    CHECK_EQUAL(reply.status, 500);
    CHECK(body_is(&reply, "{\"detail\": \"the handler did not reply\"}"));
    CHECK_EQUAL(client_ask(&client, GET("/hello")).status, 200);
    client_close(&client);
    server_close(&server);
}

FIBER_TEST(only_the_first_reply_counts)
{
    struct server server;
    struct client client;
    server_open(&server, (struct weft_http_server_options){0});
    client_open(&client, &server);
    struct client_reply reply = client_ask(&client, GET("/odd"));
    CHECK_EQUAL(reply.status, 201);
    CHECK(body_is(&reply, "first"));
    CHECK(reply_says(&reply, "X-First", "one"));
    CHECK(reply_says(&reply, "X-Second", "two  X-Third: three"));
    CHECK(reply_says(&reply, "Content-Length", "5"));
    CHECK(reply_field(&reply, "X-Third") == NULL);
    reply = client_ask(&client, GET("/hello")); /* headers do not leak into the next reply */
    CHECK(reply_field(&reply, "X-First") == NULL);
    client_close(&client);
    server_close(&server);
}

FIBER_TEST(errors_are_json)
{
    struct server server;
    struct client client;
    server_open(&server, (struct weft_http_server_options){0});
    client_open(&client, &server);
    struct client_reply reply = client_ask(&client, GET("/failing"));
    CHECK_EQUAL(reply.status, 422);
    CHECK(body_is(&reply, "{\"detail\": \"field \\\"text\\\" is missing\\n\"}"));
    client_close(&client);
    server_close(&server);
}

FIBER_TEST(a_reply_may_be_larger_than_the_socket_takes)
{
    struct server server;
    struct client client;
    server_open(&server, (struct weft_http_server_options){0});
    client_open(&client, &server);
    struct client_reply reply = client_ask(&client, GET("/large?bytes=20000000"));
    CHECK_EQUAL(reply.status, 200);
    CHECK_EQUAL(reply.body_len, 20000000);
    CHECK_EQUAL(client_ask(&client, GET("/hello")).status, 200);
    client_close(&client);
    server_close(&server);
}

FIBER_TEST(a_reply_beyond_the_limit_becomes_a_500)
{
    struct server server;
    struct client client;
    server_open(&server, (struct weft_http_server_options){0});
    client_open(&client, &server);
    struct client_reply reply = client_ask(&client, GET("/large?bytes=200000000"));
    CHECK_EQUAL(reply.status, 500);
    CHECK(reply_says(&reply, "Connection", "close"));
    CHECK(client_at_end(&client));
    client_close(&client);
    server_close(&server);
}

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
        CHECK(body_is(&reply, "hello"));
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

FIBER_TEST(impossible_options_are_refused)
{
    static const struct weft_http_server_options bad[] = {
        {.address = "localhost"}, {.address = "1.2.3"},           {.header_timeout_ns = -1},
        {.write_timeout_ns = -1}, {.header_bytes_max = SIZE_MAX}, {.body_bytes_max = SIZE_MAX},
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
