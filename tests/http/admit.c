/* SPDX-License-Identifier: MIT
 * admit.c - requests that are decided by their head, and what becomes of their bodies. Time is
 * virtual. */
#include "client.h"
#include "test.h"

#include <weft/io.h>
#include <weft/runtime.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static int handled, asked;

static void echo(struct weft_http_exchange *exchange, void *context)
{
    (void)context;
    size_t len;
    const char *body = weft_http_body(exchange, &len);
    handled++;
    CHECK_EQUAL(body[len], '\0');
    weft_http_reply(exchange, 200, "text/plain", body, len);
}

/* Tells what it was shown. */
static void describe(struct weft_http_exchange *exchange, const struct weft_http_route *route)
{
    const char *id = weft_http_param(exchange, "id"), *a = weft_http_query(exchange, "a");
    char text[256];
    size_t len = 99;
    const char *body = weft_http_body(exchange, &len);
    int text_len =
        snprintf(text, sizeof text, "%s %s %s|%s|%s|%zu%s", weft_http_method(exchange),
                 route->pattern, weft_http_path(exchange), id ? id : "-", a ? a : "-", len, body);
    weft_http_reply(exchange, 403, "text/plain", text, (size_t)text_len);
}

/* Does what the header X-Admit says. */
static int admit(struct weft_http_exchange *exchange, const struct weft_http_route *route,
                 void *context)
{
    const char *wish = weft_http_header(exchange, "X-Admit");
    CHECK(context == &handled);
    CHECK(route->handler == echo);
    asked++;
    if (!wish)
        return 1;
    if (strcmp(wish, "describe") == 0)
        describe(exchange, route);
    if (strcmp(wish, "401") == 0 || strcmp(wish, "401 but yes") == 0)
        weft_http_reply_error(exchange, 401, "who are you?");
    if (strcmp(wish, "slow") == 0)
        return weft_sleep(WEFT_SEC) == 0;
    if (strcmp(wish, "tagged") == 0) {
        weft_http_reply_header(exchange, "X-Tag", "seen");
        return 1;
    }
    return strcmp(wish, "error") == 0 ? -EACCES : strcmp(wish, "401 but yes") == 0;
}

static const struct weft_http_route routes[] = {
    {"POST", "/echo", echo},
    {"GET", "/echo", echo},
    {"POST", "/echo/{id}", echo},
    {"POST", "/small", echo, .body_bytes_max = 10},
    {"POST", "/big", echo, .body_bytes_max = (size_t)4 << 20},
};

static void open_server(struct server *server)
{
    handled = asked = 0;
    server_open(server, (struct weft_http_server_options){
                            .routes = routes,
                            .routes_count = sizeof routes / sizeof routes[0],
                            .context = &handled,
                            .admit = admit,
                            .body_bytes_max = 100000,
                        });
}

#define POST_401(fields) "POST /echo HTTP/1.1\r\n" HOST "X-Admit: 401\r\n" fields "\r\n"

static void check_last(struct client *client, int status)
{
    struct client_reply reply = client_receive(client);
    CHECK_EQUAL(reply.status, status);
    CHECK(reply_says(&reply, "Connection", "close"));
    CHECK(client_at_end(client));
}

/* ---- who comes in ----------------------------------------------------------------------- */

FIBER_TEST(who_is_admitted_is_handled)
{
    struct server server;
    struct client client;
    open_server(&server);
    client_open(&client, &server);
    struct client_reply reply =
        client_ask(&client, "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nhello");
    CHECK_EQUAL(reply.status, 200);
    CHECK(reply_body_is(&reply, "hello"));
    CHECK_EQUAL(client_ask(&client, GET("/echo")).status, 200);
    /* A header that was added on the way in leaves with the handler's reply. */
    reply = client_ask(&client, "GET /echo HTTP/1.1\r\n" HOST "X-Admit: tagged\r\n\r\n");
    CHECK(reply_says(&reply, "X-Tag", "seen"));
    reply = client_ask(&client, GET("/echo"));
    CHECK(reply_field(&reply, "X-Tag") == NULL);
    CHECK_EQUAL(asked, 4);
    CHECK_EQUAL(handled, 4);
    client_close(&client);
    server_close(&server);
}

FIBER_TEST(who_is_turned_down_is_not_handled)
{
    static const struct {
        const char *wish;
        int status;
    } cases[] = {{"401", 401}, {"401 but yes", 401}, {"no", 403}, {"error", 403}};
    struct server server;
    struct client client;
    open_server(&server);
    client_open(&client, &server);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[256];
        (void)snprintf(text, sizeof text, "GET /echo HTTP/1.1\r\n" HOST "X-Admit: %s\r\n\r\n",
                       cases[i].wish);
        CHECK_EQUAL(client_ask(&client, text).status, cases[i].status);
    }
    CHECK_EQUAL(handled, 0);
    CHECK_EQUAL(asked, 4);
    CHECK_EQUAL(server_stats(&server).requests, 4);
    CHECK_EQUAL(server_stats(&server).bad_requests, 0);
    CHECK_EQUAL(server_stats(&server).connections, 1);
    client_close(&client);
    server_close(&server);
}

/* The body is there, or not; the answer is the same. */
FIBER_TEST(the_head_is_all_that_is_decided_by)
{
    static const char text[] = "POST /echo/x%20y?a=1 HTTP/1.1\r\n" HOST
                               "X-Admit: describe\r\nContent-Length: 5\r\n\r\nhello";
    struct server server;
    struct client client;
    open_server(&server);
    client_open(&client, &server);
    for (size_t cut = 1; cut < sizeof text - 1; cut++) {
        client_send_bytes(&client, text, cut);
        CHECK_EQUAL(weft_sleep(WEFT_MSEC), 0);
        client_send_bytes(&client, text + cut, sizeof text - 1 - cut);
        struct client_reply reply = client_receive(&client);
        CHECK_EQUAL(reply.status, 403);
        CHECK(reply_body_is(&reply, "POST /echo/{id} /echo/x y|x y|1|0"));
        CHECK(reply_field(&reply, "Connection") == NULL);
    }
    CHECK_EQUAL(asked, sizeof text - 2);
    client_close(&client);
    server_close(&server);
}

FIBER_TEST(deciding_may_take_its_time)
{
    struct server server;
    struct client client;
    open_server(&server);
    client_open(&client, &server);
    int64_t began_ns = weft_now();
    client_send(&client, "POST /echo HTTP/1.1\r\n" HOST "X-Admit: slow\r\n"
                         "Content-Length: 10\r\n\r\nhello");
    CHECK_EQUAL(weft_sleep(500 * WEFT_MSEC), 0);
    client_send(&client, "world");
    struct client_reply reply = client_receive(&client);
    CHECK(reply_body_is(&reply, "helloworld"));
    CHECK_EQUAL(weft_now() - began_ns, WEFT_SEC);
    client_close(&client);
    server_close(&server);
}

FIBER_TEST(without_a_route_nobody_is_asked)
{
    struct server server;
    struct client client;
    open_server(&server);
    client_open(&client, &server);
    CHECK_EQUAL(client_ask(&client, GET("/nowhere")).status, 404);
    CHECK_EQUAL(
        client_ask(&client, "POST /nowhere HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nhello")
            .status,
        404);
    client_send(&client, "DELETE /echo HTTP/1.1\r\n" HOST "Content-Length: 90000\r\n\r\n");
    check_last(&client, 405);
    CHECK_EQUAL(asked, 0);
    client_close(&client);
    server_close(&server);
}

/* ---- bodies that nobody wants ----------------------------------------------------------- */

FIBER_TEST(the_reply_comes_before_the_body)
{
    static const char *const heads[] = {
        POST_401("Content-Length: 65537\r\n"),
        POST_401("Content-Length: 99999999999\r\n"), /* not even 413 */
        POST_401("Transfer-Encoding: chunked\r\n"),
        POST_401("Content-Length: 5\r\nConnection: close\r\n"),
        POST_401("Expect: 100-continue\r\nContent-Length: 5\r\n"),
        POST_401("Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n"),
        "POST /echo HTTP/1.0\r\nX-Admit: 401\r\nContent-Length: 5\r\n\r\n",
    };
    struct server server;
    open_server(&server);
    for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++) {
        struct client client;
        client_open(&client, &server);
        int64_t began_ns = weft_now();
        client_send(&client, heads[i]);
        check_last(&client, 401);
        CHECK_EQUAL(weft_now(), began_ns);
        client_close(&client);
    }
    CHECK_EQUAL(handled, 0);
    CHECK_EQUAL(server_stats(&server).timeouts, 0);
    server_close(&server);
}

FIBER_TEST(a_short_body_is_dropped_and_the_connection_stays)
{
    struct server server;
    struct client client;
    open_server(&server);
    client_open(&client, &server);
    for (int i = 0; i < 3; i++) {
        struct client_reply reply = client_ask(&client, POST_401("Content-Length: 10\r\n"));
        CHECK_EQUAL(reply.status, 401);
        CHECK(reply_field(&reply, "Connection") == NULL);
        client_send(&client, "GET /");
        CHECK_EQUAL(weft_sleep(WEFT_MSEC), 0);
        client_send(&client, "echo "); /* what looks like a request was the body */
        CHECK_EQUAL(client_ask(&client, GET("/echo")).status, 200);
    }
    client_close(&client);
    server_close(&server);
}

FIBER_TEST(dropped_bodies_between_pipelined_requests_cost_nothing)
{
    struct server server;
    struct client client;
    struct weft_buffer text;
    open_server(&server);
    client_open(&client, &server);
    weft_buffer_init(&text, 1 << 20);
    weft_buffer_append_string(&text, GET("/echo") POST_401("Content-Length: 65536\r\n"));
    for (int i = 0; i < 65536; i++)
        weft_buffer_append_char(&text, 'x');
    weft_buffer_append_string(&text, POST_401("Content-Length: 5\r\n") "hello" GET("/echo"));
    client_send_bytes(&client, text.data, text.len);
    CHECK_EQUAL(client_receive(&client).status, 200);
    CHECK_EQUAL(client_receive(&client).status, 401);
    CHECK_EQUAL(client_receive(&client).status, 401);
    CHECK_EQUAL(client_receive(&client).status, 200);
    weft_buffer_deinit(&text);
    client_close(&client);
    server_close(&server);
}

FIBER_TEST(a_dropped_body_has_its_time_and_no_second_reply)
{
    struct server server;
    struct client slow, gone;
    open_server(&server);
    client_open(&slow, &server);
    int64_t began_ns = weft_now();
    CHECK_EQUAL(client_ask(&slow, POST_401("Content-Length: 10\r\n") "hello").status, 401);
    CHECK_EQUAL(weft_now(), began_ns);
    CHECK(client_at_end(&slow));
    CHECK_EQUAL((weft_now() - began_ns) / WEFT_SEC, 30);
    CHECK_EQUAL(server_stats(&server).timeouts, 1);
    client_open(&gone, &server);
    CHECK_EQUAL(client_ask(&gone, POST_401("Content-Length: 10\r\n") "hello").status, 401);
    CHECK_EQUAL(shutdown(gone.fd, SHUT_WR), 0);
    CHECK(client_at_end(&gone));
    client_close(&slow);
    client_close(&gone);
    server_close(&server);
}

FIBER_TEST(a_reply_reaches_a_client_that_sends_its_long_body_all_the_same)
{
    enum {
        LEN = 3 << 20
    };
    struct server server;
    struct client client;
    open_server(&server);
    char *body = calloc(1, LEN);
    REQUIRE(body != NULL);
    client_open(&client, &server);
    client_send(&client, POST_401("Content-Length: 3145728\r\n"));
    CHECK_EQUAL(weft_write_all(client.fd, body, LEN, weft_now() + WEFT_SEC, NULL), 0);
    check_last(&client, 401);
    client_close(&client);
    free(body);
    server_close(&server);
}

/* ---- how long bodies may be ------------------------------------------------------------- */

static void send_body(struct client *client, const char *path, size_t len, bool chunked)
{
    struct weft_buffer text;
    weft_buffer_init(&text, (size_t)16 << 20);
    weft_buffer_append_format(&text, "POST %s HTTP/1.1\r\n" HOST, path);
    if (chunked)
        weft_buffer_append_format(&text, "Transfer-Encoding: chunked\r\n\r\n%zx\r\n", len);
    else
        weft_buffer_append_format(&text, "Content-Length: %zu\r\n\r\n", len);
    for (size_t i = 0; i < len; i++)
        weft_buffer_append_char(&text, (char)('a' + i % 26));
    weft_buffer_append_string(&text, chunked ? "\r\n0\r\n\r\n" : "");
    CHECK_EQUAL(text.err, 0);
    client_send_bytes(client, text.data, text.len);
    weft_buffer_deinit(&text);
}

FIBER_TEST(a_route_says_how_long_its_bodies_may_be)
{
    static const struct {
        const char *path;
        size_t max;
    } cases[] = {{"/echo", 100000}, {"/small", 10}, {"/big", (size_t)4 << 20}};
    struct server server;
    struct client client;
    open_server(&server);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        for (int chunked = 0; chunked < 2; chunked++) {
            client_open(&client, &server);
            send_body(&client, cases[i].path, cases[i].max, chunked);
            struct client_reply reply = client_receive(&client);
            CHECK_EQUAL(reply.status, 200);
            CHECK_EQUAL(reply.body_len, cases[i].max);
            CHECK(reply.body_len > 0 &&
                  reply.body[reply.body_len - 1] == (char)('a' + (cases[i].max - 1) % 26));
            send_body(&client, cases[i].path, cases[i].max + 1, chunked);
            check_last(&client, 413);
            client_close(&client);
        }
    }
    server_close(&server);
}

FIBER_TEST(a_body_that_is_too_long_is_not_invited)
{
    struct server server;
    struct client client;
    open_server(&server);
    client_open(&client, &server);
    client_send(&client, "POST /small HTTP/1.1\r\n" HOST
                         "Expect: 100-continue\r\nContent-Length: 11\r\n\r\n");
    check_last(&client, 413);
    client_close(&client);
    client_open(&client, &server);
    CHECK_EQUAL(client_ask(&client, "POST /small HTTP/1.1\r\n" HOST
                                    "Expect: 100-continue\r\nContent-Length: 10\r\n\r\n")
                    .status,
                100);
    CHECK_EQUAL(client_ask(&client, "0123456789").status, 200);
    client_close(&client);
    server_close(&server);
}

/* ---- the end of the server -------------------------------------------------------------- */

static const char slow_request[] = "POST /echo HTTP/1.1\r\n" HOST "X-Admit: slow\r\n"
                                   "Content-Length: 5\r\n\r\nhello";

FIBER_TEST(a_server_may_be_cancelled_while_it_decides)
{
    struct server server;
    struct client client;
    open_server(&server);
    client_open(&client, &server);
    client_send(&client, slow_request);
    CHECK_EQUAL(weft_sleep(WEFT_MSEC), 0);
    CHECK_EQUAL(asked, 1);
    weft_group_close(&server.group);
    CHECK_EQUAL(server.task.result, -ECANCELED);
    CHECK_EQUAL(handled, 0);
    client_close(&client);
    weft_http_server_close(server.http);
}

FIBER_TEST(a_drain_waits_for_who_is_decided_about)
{
    struct server server;
    struct client served, dropped;
    open_server(&server);
    client_open(&served, &server);
    client_send(&served, slow_request);
    client_open(&dropped, &server);
    CHECK_EQUAL(client_ask(&dropped, POST_401("Content-Length: 10\r\n")).status, 401);
    CHECK_EQUAL(weft_sleep(WEFT_MSEC), 0);
    weft_http_server_drain(server.http);
    struct client_reply reply = client_receive(&served);
    CHECK_EQUAL(reply.status, 200);
    CHECK(reply_says(&reply, "Connection", "close"));
    client_send(&dropped, "0123456789");
    CHECK(client_at_end(&dropped));
    client_close(&served);
    client_close(&dropped);
    server_close(&server);
}
