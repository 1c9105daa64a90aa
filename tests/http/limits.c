/* SPDX-License-Identifier: MIT
 * limits.c - every limit of the server is a number with a behaviour. Time is virtual. */
#include "client.h"
#include "test.h"

#include <weft/io.h>
#include <weft/runtime.h>

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

/* The reply is an error, says what it should, and is the last one. */
static void check_refused(struct client *client, int status)
{
    struct client_reply reply = client_receive(client);
    CHECK_EQUAL(reply.status, status);
    CHECK(reply_says(&reply, "Connection", "close"));
    CHECK(reply_says(&reply, "Content-Type", "application/json"));
    CHECK(reply.status && strncmp(reply.body, "{\"detail\": \"", 12) == 0);
    CHECK(client_at_end(client));
}

/* Seconds that passed since, as whole ones. */
static int64_t seconds_since(int64_t began_ns)
{
    return (weft_now() - began_ns) / WEFT_SEC;
}

/* ---- time ------------------------------------------------------------------------------- */

FIBER_TEST(headers_have_ten_seconds_from_their_first_byte)
{
    struct server server;
    struct client client;
    server_open(&server, (struct weft_http_server_options){0});
    client_open(&client, &server);
    CHECK_EQUAL(weft_sleep(20 * WEFT_SEC), 0); /* before the first byte it is idle */
    int64_t began_ns = weft_now();
    client_send(&client, "GET /hello HT");
    check_refused(&client, 408);
    CHECK_EQUAL(seconds_since(began_ns), 10);
    CHECK_EQUAL(server_stats(&server).timeouts, 1);
    CHECK_EQUAL(server_stats(&server).bad_requests, 1);
    client_close(&client);
    server_close(&server);
}

FIBER_TEST(headers_that_drip_get_no_more_time)
{
    struct server server;
    struct client client;
    server_open(&server, (struct weft_http_server_options){0});
    client_open(&client, &server);
    int64_t began_ns = weft_now();
    for (int i = 0; i < 25; i++) {
        client_send(&client, i == 0 ? "GET /hello HTTP/1.1\r\n" : "X: y\r\n");
        CHECK_EQUAL(weft_sleep(400 * WEFT_MSEC), 0);
    }
    check_refused(&client, 408);
    CHECK_EQUAL(seconds_since(began_ns), 10);
    client_close(&client);
    server_close(&server);
}

FIBER_TEST(every_request_of_a_connection_has_its_own_time)
{
    struct server server;
    struct client client;
    server_open(&server, (struct weft_http_server_options){0});
    client_open(&client, &server);
    for (int i = 0; i < 5; i++) {
        client_send(&client, "GET /hello HTTP/1.1\r\n");
        CHECK_EQUAL(weft_sleep(8 * WEFT_SEC), 0);
        CHECK_EQUAL(client_ask(&client, HOST "\r\n").status, 200);
        CHECK_EQUAL(weft_sleep(50 * WEFT_SEC), 0);
        client_send(&client, "POST /echo HTTP/1.1\r\n");
        CHECK_EQUAL(weft_sleep(8 * WEFT_SEC), 0);
        client_send(&client, HOST "Content-Length: 5\r\n\r\nhell");
        CHECK_EQUAL(weft_sleep(28 * WEFT_SEC), 0); /* the body's time begins with the body */
        CHECK_EQUAL(client_ask(&client, "o").status, 200);
    }
    CHECK_EQUAL(server_stats(&server).timeouts, 0);
    client_close(&client);
    server_close(&server);
}

FIBER_TEST(a_body_has_thirty_seconds)
{
    static const char *const starts[] = {
        "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 1000\r\n\r\n",
        "POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n3e8\r\n",
    };
    struct server server;
    server_open(&server, (struct weft_http_server_options){0});
    for (size_t i = 0; i < sizeof starts / sizeof starts[0]; i++) {
        struct client client;
        client_open(&client, &server);
        int64_t began_ns = weft_now();
        client_send(&client, starts[i]);
        for (int j = 0; j < 29; j++) {
            CHECK_EQUAL(weft_sleep(WEFT_SEC), 0);
            client_send(&client, "x");
        }
        check_refused(&client, 408);
        CHECK_EQUAL(seconds_since(began_ns), 30);
        client_close(&client);
    }
    CHECK_EQUAL(server_stats(&server).timeouts, 2);
    server_close(&server);
}

FIBER_TEST(an_invited_body_that_never_comes_times_out)
{
    struct server server;
    struct client client;
    server_open(&server, (struct weft_http_server_options){0});
    client_open(&client, &server);
    int64_t began_ns = weft_now();
    CHECK_EQUAL(client_ask(&client, "POST /echo HTTP/1.1\r\n" HOST
                                    "Expect: 100-continue\r\nContent-Length: 5\r\n\r\n")
                    .status,
                100);
    check_refused(&client, 408);
    CHECK_EQUAL(seconds_since(began_ns), 30);
    client_close(&client);
    server_close(&server);
}

FIBER_TEST(an_idle_connection_is_closed_without_a_word)
{
    struct server server;
    struct client fresh, used;
    server_open(&server, (struct weft_http_server_options){0});
    client_open(&fresh, &server);
    client_open(&used, &server);
    CHECK_EQUAL(client_ask(&used, GET("/hello")).status, 200);
    int64_t began_ns = weft_now();
    CHECK(client_at_end(&fresh));
    CHECK(client_at_end(&used));
    CHECK_EQUAL(seconds_since(began_ns), 60);
    CHECK_EQUAL(server_stats(&server).timeouts, 0);
    client_close(&fresh);
    client_close(&used);
    server_close(&server);
}

FIBER_TEST(a_client_that_does_not_read_is_cut_after_thirty_seconds)
{
    struct server server;
    struct client client;
    server_open(&server, (struct weft_http_server_options){0});
    client_open(&client, &server);
    client_send(&client, GET("/large?bytes=60000000"));
    CHECK_EQUAL(weft_sleep(29 * WEFT_SEC), 0);
    CHECK_EQUAL(server_stats(&server).connections_now, 1);
    CHECK_EQUAL(weft_sleep(2 * WEFT_SEC), 0);
    CHECK_EQUAL(server_stats(&server).connections_now, 0);
    CHECK_EQUAL(server_stats(&server).timeouts, 1);
    CHECK_EQUAL(client_receive(&client).status, 0);
    client_close(&client);
    server_close(&server);
}

FIBER_TEST(timeouts_can_be_chosen)
{
    struct server server;
    struct client client;
    server_open(&server, (struct weft_http_server_options){
                             .header_timeout_ns = 2 * WEFT_SEC,
                             .body_timeout_ns = 3 * WEFT_SEC,
                             .idle_timeout_ns = 4 * WEFT_SEC,
                         });
    int64_t began_ns = weft_now();
    client_open(&client, &server);
    client_send(&client, "GET");
    check_refused(&client, 408);
    CHECK_EQUAL(seconds_since(began_ns), 2);
    client_close(&client);
    began_ns = weft_now();
    client_open(&client, &server);
    client_send(&client, "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 1\r\n\r\n");
    check_refused(&client, 408);
    CHECK_EQUAL(seconds_since(began_ns), 3);
    client_close(&client);
    began_ns = weft_now();
    client_open(&client, &server);
    CHECK(client_at_end(&client));
    CHECK_EQUAL(seconds_since(began_ns), 4);
    client_close(&client);
    server_close(&server);
}

FIBER_TEST(lingering_after_an_error_is_bounded)
{
    struct server server;
    struct client client;
    server_open(&server, (struct weft_http_server_options){0});
    client_open(&client, &server);
    int64_t began_ns = weft_now();
    CHECK_EQUAL(client_ask(&client, "nonsense\r\n\r\n").status, 400);
    while (server_stats(&server).connections_now > 0 && seconds_since(began_ns) < 60) {
        client_send(&client, "and more of it");
        CHECK_EQUAL(weft_sleep(100 * WEFT_MSEC), 0);
    }
    CHECK_EQUAL(seconds_since(began_ns), 2);
    client_close(&client);
    server_close(&server);
}

/* ---- sizes ------------------------------------------------------------------------------ */

static void send_repeated(struct client *client, const char *text, size_t times)
{
    struct weft_buffer bytes;
    weft_buffer_init(&bytes, (size_t)64 << 20);
    for (size_t i = 0; i < times; i++)
        weft_buffer_append_string(&bytes, text);
    client_send_bytes(client, bytes.data, bytes.len);
    weft_buffer_deinit(&bytes);
}

FIBER_TEST(too_large_headers_are_431)
{
    struct server server;
    struct client client;
    server_open(&server, (struct weft_http_server_options){0});
    client_open(&client, &server);
    client_send(&client, "GET /hello HTTP/1.1\r\n" HOST "X: ");
    send_repeated(&client, "x", 16 << 10);
    check_refused(&client, 431);
    client_close(&client);
    server_close(&server);
}

FIBER_TEST(too_many_headers_are_431)
{
    struct server server;
    struct client client;
    server_open(&server, (struct weft_http_server_options){0});
    client_open(&client, &server);
    client_send(&client, "GET /hello HTTP/1.1\r\n" HOST);
    send_repeated(&client, "X: y\r\n", 100);
    client_send(&client, "\r\n");
    check_refused(&client, 431);
    client_close(&client);
    server_close(&server);
}

FIBER_TEST(a_too_long_target_is_414)
{
    struct server server;
    struct client client;
    server_open(&server, (struct weft_http_server_options){0});
    client_open(&client, &server);
    client_send(&client, "GET /");
    send_repeated(&client, "x", 9000);
    check_refused(&client, 414);
    client_close(&client);
    server_close(&server);
}

FIBER_TEST(a_too_large_body_is_413_before_it_is_sent)
{
    struct server server;
    struct client client;
    server_open(&server, (struct weft_http_server_options){0});
    client_open(&client, &server);
    client_send(&client, "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 1048577\r\n\r\n");
    check_refused(&client, 413);
    client_close(&client);
    client_open(&client, &server);
    client_send(&client, "POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n");
    client_send(&client, "100001\r\n");
    check_refused(&client, 413);
    client_close(&client);
    server_close(&server);
}

FIBER_TEST(a_chunked_body_that_grows_too_large_is_413)
{
    struct server server;
    struct client client;
    server_open(&server, (struct weft_http_server_options){0});
    client_open(&client, &server);
    client_send(&client, "POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n");
    send_repeated(&client, "10\r\n0123456789abcdef\r\n", (1 << 16) + 1);
    check_refused(&client, 413);
    client_close(&client);
    server_close(&server);
}

FIBER_TEST(sizes_can_be_chosen)
{
    struct server server;
    server_open(&server, (struct weft_http_server_options){
                             .header_bytes_max = 100,
                             .body_bytes_max = 10,
                         });
    CHECK_EQUAL(ask_once(&server, GET("/hello")), 200);
    CHECK_EQUAL(ask_once(&server, "GET /hello HTTP/1.1\r\n" HOST
                                  "X: 0123456789012345678901234567890123456789012345678901234567"
                                  "890123456789\r\n\r\n"),
                431);
    CHECK_EQUAL(
        ask_once(&server, "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 10\r\n\r\n0123456789"),
        200);
    CHECK_EQUAL(
        ask_once(&server, "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 11\r\n\r\n0123456789a"),
        413);
    server_close(&server);
}

/* ---- connections ------------------------------------------------------------------------ */

FIBER_TEST(connections_beyond_the_limit_are_told_and_turned_away)
{
    enum {
        MAX = 5
    };
    struct server server;
    struct client clients[MAX], extra;
    server_open(&server, (struct weft_http_server_options){.connections_max = MAX});
    for (int i = 0; i < MAX; i++) {
        client_open(&clients[i], &server);
        CHECK_EQUAL(client_ask(&clients[i], GET("/hello")).status, 200);
    }
    for (int i = 0; i < 3; i++) {
        client_open(&extra, &server);
        client_send(&extra, GET("/hello"));
        struct client_reply reply = client_receive(&extra);
        CHECK_EQUAL(reply.status, 503);
        CHECK(reply_says(&reply, "Retry-After", "1"));
        CHECK(reply_says(&reply, "Connection", "close"));
        CHECK(client_at_end(&extra));
        client_close(&extra);
    }
    CHECK_EQUAL(server_stats(&server).connections_refused, 3);
    CHECK_EQUAL(server_stats(&server).connections, MAX);
    CHECK_EQUAL(server_stats(&server).connections_now, MAX);
    CHECK_EQUAL(client_ask(&clients[0], GET("/hello")).status, 200);
    client_close(&clients[0]);
    CHECK_EQUAL(weft_sleep(WEFT_MSEC), 0);
    CHECK(server_answers(&server)); /* there is room again */
    for (int i = 1; i < MAX; i++)
        client_close(&clients[i]);
    server_close(&server);
}

FIBER_TEST(a_crowd_of_refused_connections_is_not_waited_for)
{
    enum {
        CROWD = 200
    };
    struct server server;
    struct client one, crowd[CROWD];
    server_open(&server, (struct weft_http_server_options){.connections_max = 1});
    client_open(&one, &server);
    CHECK_EQUAL(client_ask(&one, GET("/hello")).status, 200);
    for (int i = 0; i < CROWD; i++)
        client_open(&crowd[i], &server);
    int64_t began_ns = weft_now();
    int told = 0, cut = 0;
    for (int i = 0; i < CROWD; i++) {
        int status = client_receive(&crowd[i]).status;
        told += status == 503;
        cut += status == 0;
    }
    CHECK_EQUAL(told + cut, CROWD);
    CHECK_EQUAL(told, 64);
    CHECK_EQUAL(weft_now(), began_ns);
    for (int i = 0; i < CROWD; i++)
        client_close(&crowd[i]);
    client_close(&one);
    server_close(&server);
}

/* A connection made without giving way to the server. */
static int connect_quietly(const struct server *server)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons(server->port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    REQUIRE(fd >= 0);
    REQUIRE(connect(fd, (struct sockaddr *)&address, sizeof address) == 0);
    REQUIRE(send(fd, GET("/hello"), sizeof GET("/hello") - 1, 0) > 0);
    return fd;
}

FIBER_TEST(running_out_of_descriptors_is_waited_out)
{
    struct server server;
    struct client before;
    struct rlimit limit;
    server_open(&server, (struct weft_http_server_options){0});
    client_open(&before, &server);
    CHECK_EQUAL(client_ask(&before, GET("/hello")).status, 200);
    int fd = connect_quietly(&server);

    CHECK_EQUAL(getrlimit(RLIMIT_NOFILE, &limit), 0);
    struct rlimit none = {.rlim_cur = (rlim_t)fd + 1, .rlim_max = limit.rlim_max};
    CHECK_EQUAL(setrlimit(RLIMIT_NOFILE, &none), 0);
    CHECK_EQUAL(client_ask(&before, GET("/hello")).status, 200); /* who is in is served */
    CHECK_EQUAL(weft_sleep(10 * WEFT_SEC), 0);
    CHECK_EQUAL(server_stats(&server).connections, 1);
    CHECK_EQUAL(setrlimit(RLIMIT_NOFILE, &limit), 0);

    CHECK_EQUAL(weft_sleep(100 * WEFT_MSEC), 0);
    CHECK_EQUAL(server_stats(&server).connections, 2);
    char reply[13] = "";
    CHECK_EQUAL(recv(fd, reply, 12, MSG_DONTWAIT), 12);
    CHECK(strcmp(reply, "HTTP/1.1 200") == 0);
    CHECK_EQUAL(close(fd), 0);
    client_close(&before);
    server_close(&server);
}
