/* SPDX-License-Identifier: MIT
 * server.c - what a well-behaved client sees: replies, routes, pipelining, large bodies. */
#include "client.h"
#include "test.h"

#include <weft/io.h>
#include <weft/runtime.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define UUID "0190b7e0-1c2d-7abc-8def-0123456789ab"

FIBER_TEST(a_request_is_answered)
{
    struct server server;
    struct client client;
    server_open(&server, (struct weft_http_server_options){.server_name = "weft"});
    client_open(&client, &server);
    struct client_reply reply = client_ask(&client, GET("/hello"));
    CHECK_EQUAL(reply.status, 200);
    CHECK(strncmp(reply.head, "HTTP/1.1 200 OK\r\n", 17) == 0);
    CHECK(reply_body_is(&reply, "hello\n"));
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
        CHECK(reply_body_is(&reply, expected));
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
                CHECK(reply_body_is(&reply, "hello\n"));
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
    CHECK(reply_body_is(&reply, "hello"));
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
    CHECK(reply_body_is(&reply, "hello\n"));
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
        {GET("/pairs"), ""},
        {GET("/pairs?"), ""},
        {GET("/pairs?&&"), ""},
        {GET("/pairs?a=1&b=x%26y&a=2"), "[a=1][b=x&y][a=2]"},
        {GET("/pairs?&a&=&=b&c=&%2f+=%3d=&"), "[a=][=][=b][c=][/ ===]"},
        {"GET http://elsewhere/query?a=1 HTTP/1.1\r\n" HOST "\r\n", "1|-"},
    };
    struct server server;
    struct client client;
    server_open(&server, (struct weft_http_server_options){0});
    client_open(&client, &server);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct client_reply reply = client_ask(&client, cases[i].request);
        CHECK_EQUAL(reply.status, 200);
        CHECK(reply_body_is(&reply, cases[i].body));
    }
    client_close(&client);
    server_close(&server);
}

FIBER_TEST(a_handler_can_read_everything_about_its_request)
{
    struct server server;
    struct client client;
    server_open(&server, (struct weft_http_server_options){0});
    client_open(&client, &server);
    struct client_reply reply =
        client_ask(&client, "POST /describe/a%20b?c HTTP/1.1\r\n" HOST
                            "X-Some-Header:  first \r\nX-Some-Header: second\r\n"
                            "Content-Length: 5\r\n\r\nhello");
    CHECK(reply_body_is(&reply, "POST /describe/a b first 5"));
    reply = client_ask(&client, GET("/describe/%2f"));
    CHECK(reply_body_is(&reply, "GET /describe// - 0"));
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
    CHECK(reply_body_is(&reply, "{\"detail\": \"Not Found\"}"));
    CHECK(reply_says(&reply, "Content-Type", "application/json"));
    CHECK_EQUAL(client_ask(&client, GET("/number/x/x")).status, 404);
    reply = client_ask(&client, "DELETE /slow HTTP/1.1\r\n" HOST "\r\n");
    CHECK_EQUAL(reply.status, 405);
    CHECK(reply_body_is(&reply, "{\"detail\": \"Method Not Allowed\"}"));
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
    CHECK(reply_body_is(&reply, "{\"detail\": \"the handler did not reply\"}"));
    CHECK_EQUAL(client_ask(&client, GET("/hello")).status, 200);
    client_close(&client);
    server_close(&server);
}

FIBER_TEST(an_impossible_reply_becomes_a_500)
{
    static const char *const requests[] = {GET("/impossible"), GET("/verbose")};
    struct server server;
    server_open(&server, (struct weft_http_server_options){0});
    for (size_t i = 0; i < 2; i++) {
        struct client client;
        client_open(&client, &server);
        struct client_reply reply = client_ask(&client, requests[i]);
        CHECK_EQUAL(reply.status, 500);
        CHECK(reply_says(&reply, "Connection", "close"));
        CHECK(reply_field(&reply, "X-Verbose") == NULL);
        CHECK(client_at_end(&client));
        client_close(&client);
    }
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
    CHECK(reply_body_is(&reply, "first"));
    CHECK(reply_says(&reply, "X-First", "one"));
    CHECK(reply_says(&reply, "X-Second", "two  X-Third: three"));
    CHECK(reply_says(&reply, "Content-Length", "5"));
    CHECK(reply_field(&reply, "X-Third") == NULL);
    client_send(&client, GET("/odd") GET("/hello")); /* headers do not leak into the next reply */
    CHECK_EQUAL(client_receive(&client).status, 201);
    reply = client_receive(&client);
    CHECK_EQUAL(reply.status, 200);
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
    CHECK(reply_body_is(&reply, "{\"detail\": \"field \\\"text\\\" is missing\\n\"}"));
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

FIBER_TEST(large_replies_to_pipelined_requests_do_not_pile_up)
{
    struct server server;
    struct client client;
    server_open(&server, (struct weft_http_server_options){0});
    client_open(&client, &server);
    int64_t began_ns = weft_now();
    client_send(&client, GET("/large?bytes=100000") GET("/slow"));
    CHECK_EQUAL(client_receive(&client).status, 200);
    CHECK_EQUAL(weft_now(), began_ns);
    CHECK_EQUAL(client_receive(&client).status, 200);
    CHECK_EQUAL(weft_now() - began_ns, WEFT_SEC);
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

static int wait_for_slow(void *arg)
{
    struct client client;
    client_open(&client, arg);
    CHECK_EQUAL(client_ask(&client, GET("/slow")).status, 200);
    client_close(&client);
    return 0;
}

FIBER_TEST(requests_under_way_do_not_wait_for_each_other)
{
    struct server server;
    struct weft_group group;
    server_open(&server, (struct weft_http_server_options){0});
    CHECK_EQUAL(weft_group_init(&group, NULL), 0);
    int64_t began_ns = weft_now();
    for (int i = 0; i < 200; i++)
        CHECK_EQUAL(weft_spawn(&group, wait_for_slow, &server), 0);
    CHECK_EQUAL(weft_group_wait(&group), 0);
    CHECK_EQUAL(weft_now() - began_ns, WEFT_SEC);
    server_close(&server);
}
