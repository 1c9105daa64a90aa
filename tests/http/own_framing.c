/* SPDX-License-Identifier: MIT
 * own_framing.c - replies of a known length in pieces, connections that handlers take over or end,
 * what they can ask about the client, servers that share a port. Time is virtual. */
#include "client.h"
#include "test.h"

#include <weft/io.h>
#include <weft/net.h>
#include <weft/runtime.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct {
    int began, wrote, ended, hung_up;
} seen;

/* ---- handlers ---------------------------------------------------------------------------- */

static void hello(struct weft_http_exchange *exchange, void *context)
{
    (void)context;
    weft_http_reply(exchange, 200, "text/plain", "hello\n", 6);
}

/* "says" bytes are announced, and pieces of "piece" bytes follow, a second apart. */
static void sized(struct weft_http_exchange *exchange, void *context)
{
    (void)context;
    const char *name, *value;
    weft_http_stream_length(exchange, strtoull(weft_http_query(exchange, "says"), NULL, 10));
    seen.began = weft_http_stream_begin(exchange, 200, "text/plain");
    for (size_t position = 0; weft_http_query_next(exchange, &position, &name, &value) > 0;) {
        if (strcmp(name, "piece") != 0)
            continue;
        char text[100];
        memset(text, 'x', sizeof text);
        seen.wrote = weft_http_stream_write(exchange, text, strtoul(value, NULL, 10));
        (void)weft_sleep(WEFT_SEC);
    }
    seen.ended = weft_http_stream_end(exchange);
}

static void raw(struct weft_http_exchange *exchange, void *context)
{
    static const char text[] = "HTTP/1.1 299 Odd\r\nContent-Length: 3\r\n\r\nabcdef";
    (void)context;
    weft_http_stream_length(exchange, 1); /* has no meaning here */
    weft_http_reply_header(exchange, "X-Lost", "yes");
    seen.began = weft_http_stream_raw(exchange);
    CHECK_EQUAL(weft_http_stream_raw(exchange), -EALREADY);
    CHECK_EQUAL(weft_http_stream_begin(exchange, 200, NULL), -EALREADY);
    weft_http_reply_error(exchange, 500, "ignored");
    seen.wrote = weft_http_stream_write(exchange, text, sizeof text - 1);
    seen.ended = weft_http_query(exchange, "open") ? 0 : weft_http_stream_end(exchange);
}

/* after: how much of a chunked reply goes out before; reset: whether it is one. */
static void hang_up(struct weft_http_exchange *exchange, void *context)
{
    (void)context;
    if (weft_http_query(exchange, "after")) {
        CHECK_EQUAL(weft_http_stream_begin(exchange, 200, NULL), 0);
        CHECK_EQUAL(weft_http_stream_write(exchange, "some", 4), 0);
    }
    seen.hung_up = weft_http_hang_up(exchange, weft_http_query(exchange, "reset") != NULL);
    weft_http_reply(exchange, 200, NULL, "too late", 8);
    CHECK_EQUAL(weft_http_stream_write(exchange, "x", 1), -EINVAL);
}

static void replied(struct weft_http_exchange *exchange, void *context)
{
    (void)context;
    weft_http_reply(exchange, 200, NULL, "kept", 4);
    seen.hung_up = weft_http_hang_up(exchange, 1);
    CHECK_EQUAL(weft_http_stream_raw(exchange), -EALREADY);
}

static void headers(struct weft_http_exchange *exchange, void *context)
{
    (void)context;
    const char *name, *value;
    char text[256] = "";
    int len = 0;
    for (size_t position = 0; weft_http_header_next(exchange, &position, &name, &value) > 0;)
        len += snprintf(text + len, sizeof text - (size_t)len, "[%s=%s]", name, value);
    weft_http_reply(exchange, 200, "text/plain", text, (size_t)len);
}

static void peer(struct weft_http_exchange *exchange, void *context)
{
    (void)context;
    struct weft_address address = {0};
    char text[WEFT_ADDRESS_TEXT_MAX] = "";
    CHECK_EQUAL(weft_http_peer(exchange, &address), 0);
    CHECK(weft_address_format(&address, text, sizeof text) > 0);
    weft_http_reply(exchange, 200, "text/plain", text, strlen(text));
}

static const struct weft_http_route routes[] = {
    {"GET", "/hello", hello},     {"GET", "/sized", sized},     {"GET", "/raw", raw},
    {"GET", "/hang-up", hang_up}, {"GET", "/replied", replied}, {"GET", "/headers", headers},
    {"GET", "/peer", peer},
};

static void open_pair(struct server *server, struct client *client)
{
    memset(&seen, 0, sizeof seen);
    server_open(server, (struct weft_http_server_options){
                            .routes = routes,
                            .routes_count = sizeof routes / sizeof routes[0],
                        });
    client_open(client, server);
}

static void close_pair(struct server *server, struct client *client)
{
    client_close(client);
    server_close(server);
}

/* The next bytes, whatever they are, to the end of the connection. Returns the last read's result.
 */
static int read_rest(struct client *client, char *text, size_t bytes)
{
    size_t len = 0;
    ssize_t count;
    while ((count = weft_read(client->fd, text + len, bytes - 1 - len,
                              weft_now() + 1000 * WEFT_SEC)) > 0)
        len += (size_t)count;
    text[len] = '\0';
    return (int)count;
}

/* ---- known lengths ----------------------------------------------------------------------- */

FIBER_TEST(a_stream_of_known_length_is_not_chunked_and_the_connection_stays)
{
    struct server server;
    struct client client;
    open_pair(&server, &client);
    struct client_reply reply = client_ask(&client, GET("/sized?says=30&piece=10&piece=20"));
    CHECK_EQUAL(reply.status, 200);
    CHECK(reply_says(&reply, "Content-Length", "30"));
    CHECK(reply_field(&reply, "Transfer-Encoding") == NULL);
    CHECK_EQUAL(reply.body_len, 30);
    CHECK_EQUAL(seen.wrote, 0);
    reply = client_ask(&client, GET("/hello"));
    CHECK(reply_body_is(&reply, "hello\n"));
    CHECK_EQUAL(seen.ended, 0);
    close_pair(&server, &client);
}

FIBER_TEST(a_stream_of_known_length_keeps_an_old_client_connected)
{
    struct server server;
    struct client client;
    open_pair(&server, &client);
    struct client_reply reply =
        client_ask(&client, "GET /sized?says=5&piece=5 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    CHECK_EQUAL(reply.body_len, 5);
    CHECK(reply_says(&reply, "Connection", "keep-alive"));
    reply = client_ask(&client, GET("/hello"));
    CHECK_EQUAL(reply.status, 200);
    close_pair(&server, &client);
}

FIBER_TEST(a_stream_of_length_nothing_has_an_end)
{
    struct server server;
    struct client client;
    open_pair(&server, &client);
    struct client_reply reply = client_ask(&client, GET("/sized?says=0"));
    CHECK(reply_says(&reply, "Content-Length", "0"));
    reply = client_ask(&client, GET("/hello"));
    CHECK_EQUAL(reply.status, 200);
    close_pair(&server, &client);
}

FIBER_TEST(more_than_the_length_is_refused_and_not_sent)
{
    struct server server;
    struct client client;
    open_pair(&server, &client);
    struct client_reply reply = client_ask(&client, GET("/sized?says=10&piece=10&piece=1"));
    CHECK_EQUAL(reply.body_len, 10);
    reply = client_ask(&client, GET("/hello"));
    CHECK(reply_body_is(&reply, "hello\n"));
    CHECK_EQUAL(seen.wrote, -EMSGSIZE);
    CHECK_EQUAL(seen.ended, 0);
    close_pair(&server, &client);
}

FIBER_TEST(less_than_the_length_ends_the_connection)
{
    struct server server;
    struct client client;
    char text[1024];
    open_pair(&server, &client);
    client_send(&client, GET("/sized?says=10&piece=9"));
    CHECK_EQUAL(read_rest(&client, text, sizeof text), 0);
    CHECK(strstr(text, "Content-Length: 10\r\n") != NULL);
    CHECK_EQUAL(strlen(strstr(text, "\r\n\r\n")), 4 + 9);
    CHECK_EQUAL(seen.ended, -EMSGSIZE);
    close_pair(&server, &client);
}

FIBER_TEST(a_length_is_told_to_head_and_no_byte_follows)
{
    struct server server;
    struct client client;
    open_pair(&server, &client);
    client_send(&client, "HEAD /sized?says=30&piece=10 HTTP/1.1\r\n" HOST "\r\n");
    struct client_reply reply = client_receive_head(&client);
    CHECK(reply_says(&reply, "Content-Length", "30"));
    reply = client_ask(&client, GET("/hello"));
    CHECK(reply_body_is(&reply, "hello\n"));
    CHECK_EQUAL(seen.wrote, -EPIPE);
    CHECK_EQUAL(seen.ended, 0);
    close_pair(&server, &client);
}

/* ---- taken over, hung up ----------------------------------------------------------------- */

FIBER_TEST(a_handler_that_takes_the_connection_over_sends_what_it_likes)
{
    struct server server;
    struct client client;
    char text[1024];
    open_pair(&server, &client);
    client_send(&client, GET("/hello") GET("/raw"));
    struct client_reply reply = client_receive(&client);
    CHECK(reply_body_is(&reply, "hello\n"));
    reply = client_receive(&client);
    CHECK_EQUAL(reply.status, 299);
    CHECK(reply_body_is(&reply, "abc"));
    CHECK(reply_field(&reply, "Date") == NULL && reply_field(&reply, "X-Lost") == NULL);
    CHECK_EQUAL(read_rest(&client, text, sizeof text), 0);
    CHECK_EQUAL(client.in.len - client.seen + strlen(text), 3); /* more than was said */
    CHECK_EQUAL(seen.began, 0);
    CHECK_EQUAL(seen.wrote, 0);
    CHECK_EQUAL(seen.ended, 0);
    close_pair(&server, &client);
}

FIBER_TEST(a_handler_that_takes_over_answers_head_as_it_likes)
{
    struct server server;
    struct client client;
    open_pair(&server, &client);
    client_send(&client, "HEAD /raw HTTP/1.1\r\n" HOST "\r\n");
    struct client_reply reply = client_receive(&client);
    CHECK(reply_body_is(&reply, "abc"));
    close_pair(&server, &client);
}

FIBER_TEST(what_is_taken_over_and_not_ended_is_reset)
{
    struct server server;
    struct client client;
    char text[1024];
    open_pair(&server, &client);
    client_send(&client, GET("/raw?open=1"));
    CHECK_EQUAL(read_rest(&client, text, sizeof text), -ECONNRESET);
    CHECK(strstr(text, "299 Odd") != NULL);
    close_pair(&server, &client);
}

FIBER_TEST(a_hang_up_ends_the_connection_in_place_of_a_reply)
{
    struct server server;
    struct client client;
    char text[1024];
    open_pair(&server, &client);
    client_send(&client, GET("/hello") GET("/hang-up"));
    CHECK_EQUAL(read_rest(&client, text, sizeof text), 0);
    const char *end = strstr(text, "\r\n\r\n");
    CHECK(end && strcmp(end, "\r\n\r\nhello\n") == 0); /* the earlier reply, and nothing else */
    CHECK_EQUAL(seen.hung_up, 0);
    close_pair(&server, &client);
}

FIBER_TEST(a_hang_up_by_reset_breaks_the_connection)
{
    struct server server;
    struct client client;
    char text[1024];
    open_pair(&server, &client);
    client_send(&client, GET("/hang-up?reset=1"));
    CHECK_EQUAL(read_rest(&client, text, sizeof text), -ECONNRESET);
    CHECK_EQUAL(text[0], '\0');
    close_pair(&server, &client);
}

FIBER_TEST(a_hang_up_can_come_within_a_reply)
{
    struct server server;
    struct client client;
    char text[1024];
    open_pair(&server, &client);
    client_send(&client, GET("/hang-up?after=1"));
    CHECK_EQUAL(read_rest(&client, text, sizeof text), 0);
    CHECK(strstr(text, "4\r\nsome\r\n") != NULL && strstr(text, "0\r\n\r\n") == NULL);
    client_close(&client);
    client_open(&client, &server);
    client_send(&client, GET("/hang-up?after=1&reset=1"));
    CHECK_EQUAL(read_rest(&client, text, sizeof text), -ECONNRESET);
    CHECK(strstr(text, "4\r\nsome\r\n") != NULL);
    close_pair(&server, &client);
}

FIBER_TEST(a_hang_up_behind_a_reply_is_refused)
{
    struct server server;
    struct client client;
    open_pair(&server, &client);
    struct client_reply reply = client_ask(&client, GET("/replied"));
    CHECK(reply_body_is(&reply, "kept"));
    CHECK_EQUAL(seen.hung_up, -EALREADY);
    close_pair(&server, &client);
}

/* ---- who asks ---------------------------------------------------------------------------- */

FIBER_TEST(headers_are_told_in_their_order)
{
    struct server server;
    struct client client;
    open_pair(&server, &client);
    struct client_reply reply = client_ask(
        &client, "GET /headers HTTP/1.1\r\nHost: a\r\nX-B: 1\r\nx-a: 2\r\nX-B: 3\r\n\r\n");
    CHECK(reply_body_is(&reply, "[Host=a][X-B=1][x-a=2][X-B=3]"));
    close_pair(&server, &client);
}

FIBER_TEST(the_peer_is_where_the_client_is)
{
    struct server server;
    struct client client;
    char expected[32];
    open_pair(&server, &client);
    (void)snprintf(expected, sizeof expected, "127.0.0.1:%d", weft_tcp_port(client.fd));
    struct client_reply reply = client_ask(&client, GET("/peer"));
    CHECK(reply_body_is(&reply, expected));
    close_pair(&server, &client);
}

FIBER_TEST(servers_share_a_port_when_all_of_them_say_so)
{
    struct weft_http_server_options options = {
        .routes = routes,
        .routes_count = sizeof routes / sizeof routes[0],
        .reuse_port = 1,
    };
    struct server server;
    struct weft_http_server *other = NULL;
    server_open(&server, options);
    options.port = server.port;
    REQUIRE(weft_http_server_open(&other, &options) == 0);
    CHECK_EQUAL(weft_http_server_port(other), server.port);
    weft_http_server_close(other);
    options.reuse_port = 0;
    CHECK_EQUAL(weft_http_server_open(&other, &options), -EADDRINUSE);
    CHECK(server_answers(&server));
    server_close(&server);
}
