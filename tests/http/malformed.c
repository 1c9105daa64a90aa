/* SPDX-License-Identifier: MIT
 * malformed.c - bad requests over a socket: refused once, with nothing smuggled behind them.
 *
 * parser.c has the long list, and every way to cut it; here it matters what goes over the wire. */
#include "client.h"
#include "test.h"

#include <weft/runtime.h>

#include <string.h>

/* What an attacker wants to be taken for a request of its own. */
#define SMUGGLED "GET /hello HTTP/1.1\r\n" HOST "\r\n"

static const struct {
    int status;
    const char *text;
} cases[] = {
    /* noise */
    {400, "\x16\x03\x01\x02\x01\x01\xfc"},
    {400, "GET"
          "\x01"
          " / HTTP/1.1\r\n\r\n"},
    {400, "hello\r\n\r\n"},
    {400, "\r\n \r\n"},
    {400, "GET / HTTP/1.1\n\n"},
    {400, "GET /hello HTTP/1.1\r\n\r\n"},
    {400, "GET hello HTTP/1.1\r\n" HOST "\r\n"},
    {400, "GET /%zz HTTP/1.1\r\n" HOST "\r\n"},
    {505, "GET /hello HTTP/2.0\r\n" HOST "\r\n"},
    {505, "GET /hello HTTP/1.9\r\n" HOST "\r\n"},
    {501, "POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: br\r\n\r\n"},
    /* Content-Length against Transfer-Encoding, both ways round */
    {400, "POST /echo HTTP/1.1\r\n" HOST
          "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" SMUGGLED},
    {400, "POST /echo HTTP/1.1\r\n" HOST
          "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n" SMUGGLED},
    /* lengths that another server may read differently */
    {400,
     "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 0\r\nContent-Length: 44\r\n\r\n" SMUGGLED},
    {400, "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 0, 44\r\n\r\n" SMUGGLED},
    {400, "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 0x0\r\n\r\n" SMUGGLED},
    {400, "POST /echo HTTP/1.1\r\n" HOST "Content-Length : 44\r\n\r\n" SMUGGLED},
    {400, "POST /echo HTTP/1.1\r\n" HOST "X: y\r\n Content-Length: 44\r\n\r\n" SMUGGLED},
    {400, "POST /echo HTTP/1.1\r\n" HOST "X: y\nContent-Length: 44\r\n\r\n" SMUGGLED},
    {400, "POST /echo HTTP/1.1\r\n" HOST "X: y\rContent-Length: 44\r\n\r\n" SMUGGLED},
    /* codings that another server may not recognise */
    {501, "POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: xchunked\r\n\r\n" SMUGGLED},
    {501, "POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: gzip, chunked\r\n\r\n" SMUGGLED},
    {400, "POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked, identity\r\n\r\n" SMUGGLED},
    {400, "POST /echo HTTP/1.1\r\n" HOST
          "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n" SMUGGLED},
    {400, "POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding : chunked\r\n\r\n" SMUGGLED},
    {400, "POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding:\r\n chunked\r\n\r\n" SMUGGLED},
    {501, "POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: \"chunked\"\r\n\r\n" SMUGGLED},
    {400, "POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: \x0b"
          "chunked\r\n\r\n" SMUGGLED},
    {400, "POST /echo HTTP/1.0\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" SMUGGLED},
    /* chunks that another server may end elsewhere */
    {400, "POST /echo HTTP/1.1\r\n" HOST
          "Transfer-Encoding: chunked\r\n\r\n1\r\nZZ\r\n0\r\n\r\n" SMUGGLED},
    {400, "POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n0\r\n\n" SMUGGLED},
    {400, "POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n0\n\r\n" SMUGGLED},
    {400, "POST /echo HTTP/1.1\r\n" HOST
          "Transfer-Encoding: chunked\r\n\r\n1;\nx\r\nZ\r\n0\r\n\r\n" SMUGGLED},
    {400, "POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n+0\r\n\r\n" SMUGGLED},
    {400, "POST /echo HTTP/1.1\r\n" HOST
          "Transfer-Encoding: chunked\r\n\r\n00000000000000000000001z\r\n" SMUGGLED},
    /* two hosts, or one that is two */
    {400, "GET /hello HTTP/1.1\r\n" HOST HOST "\r\n" SMUGGLED},
    {400, "GET /hello HTTP/1.1\r\nHost: a b\r\n\r\n" SMUGGLED},
    {400, "GET /hello HTTP/1.1\r\nHost: a/../b\r\n\r\n" SMUGGLED},
    {501, "CONNECT test:80 HTTP/1.1\r\n" HOST "\r\n" SMUGGLED},
};

FIBER_TEST(a_malformed_request_gets_one_error_and_the_end)
{
    struct server server;
    server_open(&server, (struct weft_http_server_options){0});
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct client client;
        client_open(&client, &server);
        struct client_reply reply = client_ask(&client, cases[i].text);
        CHECK_EQUAL(reply.status, cases[i].status);
        if (reply.status != cases[i].status)
            test_note("request %zu: %s", i, cases[i].text);
        CHECK(reply_says(&reply, "Connection", "close"));
        CHECK(reply.status && strncmp(reply.body, "{\"detail\": \"", 12) == 0);
        CHECK(client_at_end(&client));
        client_close(&client);
    }
    CHECK_EQUAL(server_stats(&server).requests, 0);
    CHECK_EQUAL(server_stats(&server).bad_requests, sizeof cases / sizeof cases[0]);
    CHECK(server_answers(&server));
    server_close(&server);
}

FIBER_TEST(a_malformed_request_behind_good_ones_does_not_cost_their_replies)
{
    struct server server;
    server_open(&server, (struct weft_http_server_options){0});
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct client client;
        client_open(&client, &server);
        client_send(&client, SMUGGLED SMUGGLED);
        client_send(&client, cases[i].text);
        CHECK_EQUAL(client_receive(&client).status, 200);
        CHECK_EQUAL(client_receive(&client).status, 200);
        CHECK_EQUAL(client_receive(&client).status, cases[i].status);
        CHECK(client_at_end(&client));
        client_close(&client);
    }
    server_close(&server);
}

FIBER_TEST(a_zero_byte_is_malformed_anywhere_in_a_head)
{
    static const char text[] = "GET /hello HTTP/1.1\r\n" HOST "X: y\r\n\r\n";
    struct server server;
    server_open(&server, (struct weft_http_server_options){0});
    for (size_t i = 0; i < sizeof text - 1; i++) {
        struct client client;
        client_open(&client, &server);
        client_send_bytes(&client, text, i);
        client_send_bytes(&client, "", 1);
        client_send_bytes(&client, text + i, sizeof text - 1 - i);
        CHECK_EQUAL(client_receive(&client).status, 400);
        client_close(&client);
    }
    server_close(&server);
}
