/* SPDX-License-Identifier: MIT
 * http_client.c - requests and responses as they should be. */
#include "client.h"
#include "origin.h"
#include "test.h"

#include <weft/io.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- one request -------------------------------------------------------------------------- */

FIBER_TEST(a_request_gets_its_response)
{
    struct server server;
    struct weft_http_response response;
    struct weft_http_field field;
    server_open(&server, (struct weft_http_server_options){.server_name = "weft"});
    struct weft_http_client *client = open_client(NULL);
    const char *url = origin_url(server.port, "/hello");
    REQUIRE(get(client, url, &response) == 0);
    CHECK_EQUAL(response.status, 200);
    CHECK_EQUAL(response.http_version, 11);
    CHECK(body_is(&response, "hello\n"));
    CHECK(strcmp(response.url, url) == 0);
    CHECK(strcmp(response.error, "") == 0);
    CHECK_EQUAL(response.redirects, 0);
    CHECK_EQUAL(response.connections, 1);
    CHECK(response.bytes_sent > 0);
    CHECK(response.bytes_received > response.body_len);
    CHECK(field_is(&response, "content-TYPE", "text/plain"));
    CHECK(field_is(&response, "Server", "weft"));
    CHECK(weft_http_response_field(&response, "Content") == NULL);
    REQUIRE(weft_http_response_field_at(&response, 0, &field));
    CHECK(weft_http_response_field(&response, field.name) == field.value);
    CHECK(!weft_http_response_field_at(&response, 100, &field));
    weft_http_response_release(&response);
    CHECK(weft_http_response_field(&response, "Server") == NULL);
    weft_http_response_release(&response);
    weft_http_client_close(client);
    server_close(&server);
}

FIBER_TEST(a_status_that_says_no_is_a_response_as_well)
{
    struct server server;
    struct weft_http_response response;
    server_open(&server, (struct weft_http_server_options){0});
    struct weft_http_client *client = open_client(NULL);
    CHECK_EQUAL(get_status(client, origin_url(server.port, "/nowhere")), 404);
    REQUIRE(get(client, origin_url(server.port, "/failing"), &response) == 0);
    CHECK_EQUAL(response.status, 422);
    CHECK(strstr(response.body, "missing") != NULL);
    weft_http_response_release(&response);
    weft_http_client_close(client);
    server_close(&server);
}

REAL_TIME_FIBER_TEST(times_say_what_took_how_long)
{
    struct origin origin;
    struct weft_http_response response;
    origin_open(&origin, origin_reflect);
    struct weft_http_client *client = open_client(NULL);
    REQUIRE(get(client, origin_url(origin.port, "/"), &response) == 0);
    const struct weft_http_times *times = &response.times;
    CHECK(times->total_ns > 0);
    CHECK(times->connect_ns >= 0 && times->connect_ns <= times->total_ns);
    CHECK(times->first_byte_ns >= 0 && times->first_byte_ns <= times->total_ns);
    CHECK_EQUAL(times->tls_ns, 0);
    weft_http_response_release(&response);
    REQUIRE(get(client, origin_url(origin.port, "/"), &response) == 0);
    CHECK_EQUAL(response.connections, 0);
    CHECK_EQUAL(times->connect_ns, 0);
    CHECK_EQUAL(times->name_ns, 0);
    weft_http_response_release(&response);
    weft_http_client_close(client);
    origin_close(&origin);
}

/* ---- what is sent ------------------------------------------------------------------------- */

/* What the server got, but for its port. */
static const char *without_port(const char *text, uint16_t port)
{
    static char plain[1024];
    char number[16];
    int len = snprintf(number, sizeof number, ":%u\r\n", port) - 2;
    const char *at = strstr(text, number);
    (void)snprintf(plain, sizeof plain, "%.*s%s", (int)(at ? at - text : 0), text,
                   at ? at + len : text);
    return plain;
}

/* Sends it to a server that answers with the request as it came. */
static void reflect(const struct weft_http_client_options *options,
                    struct weft_http_request request, const char *expected)
{
    struct origin origin;
    struct weft_http_response response;
    origin_open(&origin, origin_reflect);
    struct weft_http_client *client = open_client(options);
    request.url = origin_url(origin.port, "/path?a=b&c");
    REQUIRE(weft_http_send(client, &request, &response, weft_now() + PATIENCE) == 0);
    const char *got = without_port(response.body, origin.port);
    CHECK(strcmp(got, expected) == 0);
    if (strcmp(got, expected) != 0)
        test_note("got %s", got);
    weft_http_response_release(&response);
    weft_http_client_close(client);
    origin_close(&origin);
}

#define HEAD(method)                                                                               \
    method " /path?a=b&c HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: tester\r\nAccept: */*\r\n"

FIBER_TEST(methods_and_bodies_arrive_as_they_are)
{
    static const struct weft_http_client_options tester = {.user_agent = "tester"};
    static const struct {
        const char *method, *body, *expected;
    } cases[] = {
        {NULL, NULL, HEAD("GET") "\r\n"},
        {NULL, "x=1", HEAD("POST") "Content-Length: 3\r\n\r\nx=1"},
        {"POST", "", HEAD("POST") "Content-Length: 0\r\n\r\n"},
        {"POST", NULL, HEAD("POST") "Content-Length: 0\r\n\r\n"},
        {"PUT", "body", HEAD("PUT") "Content-Length: 4\r\n\r\nbody"},
        {"PUT", NULL, HEAD("PUT") "Content-Length: 0\r\n\r\n"},
        {"PATCH", "p", HEAD("PATCH") "Content-Length: 1\r\n\r\np"},
        {"DELETE", NULL, HEAD("DELETE") "\r\n"},
        {"DELETE", "d", HEAD("DELETE") "Content-Length: 1\r\n\r\nd"},
        {"GET", "g", HEAD("GET") "Content-Length: 1\r\n\r\ng"},
        {"OPTIONS", NULL, HEAD("OPTIONS") "\r\n"},
        {"X-own", NULL, HEAD("X-own") "\r\n"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *body = cases[i].body;
        reflect(&tester,
                (struct weft_http_request){
                    .method = cases[i].method, .body = body, .body_len = body ? strlen(body) : 0},
                cases[i].expected);
    }
}

FIBER_TEST(one_method_after_the_other_on_a_connection_leaves_nothing_behind)
{
    static const char *const methods[] = {"POST", "GET",  "HEAD", "GET",    "PUT",
                                          "HEAD", "POST", "GET",  "DELETE", "GET"};
    struct origin origin;
    origin_open(&origin, origin_reflect);
    struct weft_http_client *client = open_client(&(struct weft_http_client_options){0});
    for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++) {
        struct weft_http_response response;
        bool has_body = methods[i][0] == 'P';
        const struct weft_http_request request = {.url = origin_url(origin.port, "/"),
                                                  .method = methods[i],
                                                  .body = has_body ? "12345" : NULL,
                                                  .body_len = has_body ? 5 : 0};
        REQUIRE(weft_http_send(client, &request, &response, weft_now() + PATIENCE) == 0);
        CHECK_EQUAL(strncmp(origin.last, methods[i], strlen(methods[i])), 0);
        CHECK_EQUAL(strstr(origin.last, "Content-Length: 5\r\n") != NULL, has_body);
        CHECK_EQUAL(strstr(origin.last, "12345") != NULL, has_body);
        CHECK_EQUAL(response.body_len > 0, strcmp(methods[i], "HEAD") != 0);
        weft_http_response_release(&response);
    }
    CHECK_EQUAL(origin.accepted, 1);
    weft_http_client_close(client);
    origin_close(&origin);
}

FIBER_TEST(fields_are_added_replaced_and_may_be_empty)
{
    static const struct weft_http_field fields[] = {
        {"X-One", "1"},     {"Accept", "text/plain"}, {"X-Empty", ""},      {"User-Agent", "me"},
        {"X-One", "again"}, {"Content-Type", "a/b"},  {"Host", "elsewhere"}};
    reflect(
        NULL,
        (struct weft_http_request){.body = "b", .body_len = 1, .fields = fields, .fields_count = 7},
        "POST /path?a=b&c HTTP/1.1\r\nHost: elsewhere\r\nX-One: 1\r\nAccept: "
        "text/plain\r\nX-Empty:\r\n"
        "User-Agent: me\r\nX-One: again\r\nContent-Type: a/b\r\n"
        "Content-Length: 1\r\n\r\nb");
}

FIBER_TEST(the_client_has_a_name_unless_it_is_to_have_none)
{
    reflect(NULL, (struct weft_http_request){0},
            "GET /path?a=b&c HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: weft/" WEFT_VERSION
            "\r\nAccept: */*\r\n\r\n");
    reflect(&(struct weft_http_client_options){.user_agent = ""}, (struct weft_http_request){0},
            "GET /path?a=b&c HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: */*\r\n\r\n");
}

FIBER_TEST(what_cannot_be_sent_is_refused)
{
    static const struct weft_http_field bad[][1] = {
        {{"X", "a\r\nY: b"}},
        {{"X\r\n", "a"}},
        {{"X Y", "a"}},
        {{"", "a"}},
        {{NULL, "a"}},
        {{"X", NULL}},
        {{"X:", "a"}},
        {{"X", "a\x01"}},
        {{"Content-Length", "5"}},
        {{"transfer-encoding", "chunked"}},
        {{"Expect", "100-continue"}},
        {{"X", "a\x7f"}},
    };
    static const char *const urls[] = {
        NULL,
        "",
        "127.0.0.1",
        "/path",
        "ftp://127.0.0.1/",
        "file:///etc/passwd",
        "http://",
        "http://a b/",
        "http://127.0.0.1:99999/",
        "http://127.0.0.1/a\r\nX: y",
        "http://[::1/",
        "http://127.0.0.1:x/",
    };
    struct weft_http_client *client = open_client(NULL);
    struct weft_http_response response;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        const struct weft_http_request request = {
            .url = "http://127.0.0.1:1/", .fields = bad[i], .fields_count = 1};
        CHECK_EQUAL(weft_http_send(client, &request, &response, weft_now() + PATIENCE), -EINVAL);
        CHECK(response.error[0]);
        weft_http_response_release(&response);
    }
    for (size_t i = 0; i < sizeof urls / sizeof urls[0]; i++) {
        CHECK_EQUAL(get(client, urls[i], &response), -EINVAL);
        CHECK(response.error[0]);
        CHECK_EQUAL(response.status, 0);
        weft_http_response_release(&response);
    }
    static const char *const methods[] = {"", "GE T", "GET\r\n", "CONNECT",
                                          "A234567890B234567890C234567890D23"};
    for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++) {
        const struct weft_http_request request = {.url = "http://127.0.0.1:1/",
                                                  .method = methods[i]};
        CHECK_EQUAL(weft_http_send(client, &request, &response, weft_now() + PATIENCE), -EINVAL);
        weft_http_response_release(&response);
    }
    const struct weft_http_request head = {
        .url = "http://127.0.0.1:1/", .method = "HEAD", .body = "x", .body_len = 1};
    CHECK_EQUAL(weft_http_send(client, &head, &response, weft_now() + PATIENCE), -EINVAL);
    CHECK_EQUAL(stats_of(client).connections, 0);
    weft_http_client_close(client);
}

FIBER_TEST(a_head_that_is_too_large_is_refused)
{
    static char long_url[70000] = "http://127.0.0.1:1/", long_value[70000];
    static struct weft_http_field many[101];
    struct weft_http_client *client = open_client(NULL);
    struct weft_http_response response;
    memset(long_url + 19, 'x', sizeof long_url - 20);
    memset(long_value, 'x', sizeof long_value - 1);
    const struct weft_http_field large = {"X", long_value};
    for (int i = 0; i < 101; i++)
        many[i] = (struct weft_http_field){"X", "y"};
    const struct weft_http_request requests[] = {
        {.url = long_url},
        {.url = "http://127.0.0.1:1/", .fields = &large, .fields_count = 1},
        {.url = "http://127.0.0.1:1/", .fields = many, .fields_count = 101},
    };
    for (int i = 0; i < 3; i++) {
        CHECK_EQUAL(weft_http_send(client, &requests[i], &response, weft_now() + PATIENCE),
                    -EMSGSIZE);
        weft_http_response_release(&response);
    }
    weft_http_client_close(client);
}

FIBER_TEST(a_name_and_password_in_a_url_do_not_stay_for_the_next)
{
    struct origin origin;
    char url[128];
    origin_open(&origin, origin_reflect);
    struct weft_http_client *client = open_client(NULL);
    (void)snprintf(url, sizeof url, "http://user:secret@127.0.0.1:%u/", origin.port);
    CHECK_EQUAL(get_status(client, url), 200);
    CHECK(strstr(origin.last, "Authorization: Basic dXNlcjpzZWNyZXQ=\r\n") != NULL);
    CHECK_EQUAL(get_status(client, origin_url(origin.port, "/")), 200);
    CHECK(strstr(origin.last, "Authorization") == NULL);
    weft_http_client_close(client);
    origin_close(&origin);
}

/* ---- large bodies: more than sockets hold, so the kernel's own times count --------------- */

static char *make_bytes(size_t len)
{
    char *bytes = malloc(len + 1);
    REQUIRE(bytes);
    for (size_t i = 0; i < len; i++)
        bytes[i] = (char)('a' + i % 25 + i / 65536 % 2);
    bytes[len] = '\0';
    return bytes;
}

REAL_TIME_FIBER_TEST(large_bodies_go_both_ways_again_and_again)
{
    enum {
        LEN = 3 << 20
    };
    struct server server;
    struct weft_http_response response;
    server_open(&server, (struct weft_http_server_options){.body_bytes_max = LEN});
    struct weft_http_client *client = open_client(NULL);
    char *bytes = make_bytes(LEN);
    for (int i = 0; i < 5; i++) {
        const struct weft_http_request request = {
            .url = origin_url(server.port, "/echo"), .body = bytes, .body_len = LEN};
        REQUIRE(weft_http_send(client, &request, &response, weft_now() + PATIENCE) == 0);
        CHECK_EQUAL(response.status, 200);
        REQUIRE(response.body_len == LEN);
        CHECK(memcmp(response.body, bytes, LEN + 1) == 0);
        weft_http_response_release(&response);
    }
    CHECK_EQUAL(stats_of(client).connections, 1);
    free(bytes);
    weft_http_client_close(client);
    server_close(&server);
}

/* The socket has been writable all along, so nothing tells that it becomes so. */
REAL_TIME_FIBER_TEST(a_large_body_goes_out_on_a_connection_that_was_idle)
{
    enum {
        LEN = 2 << 20
    };
    struct server server;
    struct weft_http_response response;
    server_open(&server, (struct weft_http_server_options){.body_bytes_max = LEN});
    struct weft_http_client *client = open_client(NULL);
    char *bytes = make_bytes(LEN);
    CHECK_EQUAL(get_status(client, origin_url(server.port, "/hello")), 200);
    CHECK_EQUAL(weft_sleep(WEFT_MSEC), 0);
    const struct weft_http_request request = {
        .url = origin_url(server.port, "/echo"), .body = bytes, .body_len = LEN};
    REQUIRE(weft_http_send(client, &request, &response, weft_now() + PATIENCE) == 0);
    CHECK_EQUAL(response.body_len, LEN);
    CHECK_EQUAL(response.connections, 0);
    weft_http_response_release(&response);
    free(bytes);
    weft_http_client_close(client);
    server_close(&server);
}

FIBER_TEST(a_body_as_large_as_allowed_comes_and_a_larger_one_does_not)
{
    struct server server;
    struct weft_http_response response;
    server_open(&server, (struct weft_http_server_options){0});
    struct weft_http_client *client =
        open_client(&(struct weft_http_client_options){.response_bytes_max = 100000});
    REQUIRE(get(client, origin_url(server.port, "/large?bytes=100000"), &response) == 0);
    CHECK_EQUAL(response.body_len, 100000);
    weft_http_response_release(&response);
    CHECK_EQUAL(get(client, origin_url(server.port, "/large?bytes=100001"), &response), -EMSGSIZE);
    CHECK(strstr(response.error, "too large") != NULL);
    CHECK_EQUAL(response.body_len, 0);
    weft_http_response_release(&response);
    const struct weft_http_request one = {.url = origin_url(server.port, "/large?bytes=100001"),
                                          .response_bytes_max = 100001};
    CHECK_EQUAL(weft_http_send(client, &one, &response, weft_now() + PATIENCE), 0);
    weft_http_response_release(&response);
    weft_http_client_close(client);
    server_close(&server);
}

FIBER_TEST(a_response_may_be_empty)
{
    struct server server;
    struct weft_http_response response;
    server_open(&server, (struct weft_http_server_options){0});
    struct weft_http_client *client = open_client(NULL);
    REQUIRE(get(client, origin_url(server.port, "/large?bytes=0"), &response) == 0);
    CHECK(body_is(&response, ""));
    weft_http_response_release(&response);
    weft_http_client_close(client);
    server_close(&server);
}

/* ---- heads -------------------------------------------------------------------------------- */

/* Asks for a response of exactly these bytes. */
static int ask_for(const char *reply, struct weft_http_response *response)
{
    struct origin origin;
    origin_open(&origin, origin_say_reply);
    origin.reply = reply;
    struct weft_http_client *client = open_client(NULL);
    int err = get(client, origin_url(origin.port, "/"), response);
    weft_http_client_close(client);
    origin_close(&origin);
    return err;
}

FIBER_TEST(chunks_are_put_together_and_trailers_left_out)
{
    struct weft_http_response response;
    REQUIRE(ask_for("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-After\r\n\r\n"
                    "5\r\nhello\r\n1;ext=1\r\n \r\n5\r\nworld\r\n0\r\nX-After: 1\r\n\r\n",
                    &response) == 0);
    CHECK(body_is(&response, "hello world"));
    CHECK(weft_http_response_field(&response, "X-After") == NULL);
    CHECK(field_is(&response, "Trailer", "X-After"));
    weft_http_response_release(&response);
    REQUIRE(ask_for("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                    "0\r\nX-After: 1\r\n\r\n",
                    &response) == 0);
    CHECK(body_is(&response, ""));
    CHECK(weft_http_response_field(&response, "X-After") == NULL);
    weft_http_response_release(&response);
}

FIBER_TEST(heads_on_the_way_are_not_the_response)
{
    struct weft_http_response response;
    REQUIRE(ask_for("HTTP/1.1 100 Continue\r\nX-Early: 1\r\n\r\n"
                    "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
                    "HTTP/1.1 201 Created\r\nContent-Length: 2\r\nX-Late: 1\r\n\r\nok",
                    &response) == 0);
    CHECK_EQUAL(response.status, 201);
    CHECK(body_is(&response, "ok"));
    CHECK(weft_http_response_field(&response, "X-Early") == NULL);
    CHECK(weft_http_response_field(&response, "Link") == NULL);
    CHECK(field_is(&response, "X-Late", "1"));
    weft_http_response_release(&response);
}

FIBER_TEST(fields_are_read_however_they_are_written)
{
    struct weft_http_response response;
    struct weft_http_field field;
    REQUIRE(ask_for("HTTP/1.1 200 OK\r\nX-Twice: one\r\nX-Empty:\r\nX-Spaces:   a b \t \r\n"
                    "X-Folded: first\r\n  second\r\nX-Twice: two\r\nContent-Length: 0\r\n\r\n",
                    &response) == 0);
    CHECK(field_is(&response, "X-Twice", "one"));
    CHECK(field_is(&response, "X-Empty", ""));
    CHECK(field_is(&response, "X-Spaces", "a b"));
    CHECK(field_is(&response, "X-Folded", "first second"));
    REQUIRE(weft_http_response_field_at(&response, 4, &field));
    CHECK(strcmp(field.name, "X-Twice") == 0 && strcmp(field.value, "two") == 0);
    CHECK(weft_http_response_field_at(&response, 5, &field));
    CHECK(!weft_http_response_field_at(&response, 6, &field));
    weft_http_response_release(&response);
}

FIBER_TEST(responses_without_a_body_end_with_their_head)
{
    struct weft_http_response response;
    REQUIRE(ask_for("HTTP/1.1 204 No Content\r\n\r\n", &response) == 0);
    CHECK_EQUAL(response.status, 204);
    CHECK(body_is(&response, ""));
    weft_http_response_release(&response);
    REQUIRE(ask_for("HTTP/1.1 304 Not Modified\r\nContent-Length: 10\r\n\r\n", &response) == 0);
    CHECK_EQUAL(response.status, 304);
    weft_http_response_release(&response);
}

static void say_and_close(struct origin *origin, int fd)
{
    if (origin_read(origin, fd))
        origin_say(fd, origin->reply);
}

FIBER_TEST(a_body_may_end_with_the_connection)
{
    struct origin origin;
    struct weft_http_response response;
    origin_open(&origin, say_and_close);
    struct weft_http_client *client = open_client(NULL);
    origin.reply = "HTTP/1.0 200 OK\r\nServer: old\r\n\r\nto the end";
    for (unsigned i = 1; i <= 3; i++) {
        REQUIRE(get(client, origin_url(origin.port, "/"), &response) == 0);
        CHECK_EQUAL(response.http_version, 10);
        CHECK(body_is(&response, "to the end"));
        CHECK_EQUAL(origin.accepted, i);
        weft_http_response_release(&response);
    }
    weft_http_client_close(client);
    origin_close(&origin);
}

/* As many fields of 1,000 bytes as the test says. */
static void say_long_head(struct origin *origin, int fd)
{
    char line[1001];
    memset(line, 'x', sizeof line - 1);
    memcpy(line, "X-Long: ", 8);
    memcpy(line + 998, "\r\n", 3);
    while (origin_read(origin, fd)) {
        origin_say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n");
        for (unsigned i = 0; i < *(unsigned *)origin->arg; i++)
            origin_say(fd, line);
        origin_say(fd, "\r\n");
    }
}

FIBER_TEST(a_head_may_be_large_but_not_for_ever)
{
    struct origin origin;
    struct weft_http_response response;
    unsigned lines = 60;
    origin_open(&origin, say_long_head);
    origin.arg = &lines;
    struct weft_http_client *client = open_client(NULL);
    CHECK_EQUAL(get_status(client, origin_url(origin.port, "/")), 200);
    lines = 70;
    CHECK_EQUAL(get(client, origin_url(origin.port, "/"), &response), -EMSGSIZE);
    CHECK(strstr(response.error, "64 KiB") != NULL);
    weft_http_response_release(&response);
    weft_http_client_close(client);
    origin_close(&origin);
}

/* ---- connections -------------------------------------------------------------------------- */

FIBER_TEST(a_connection_is_used_again)
{
    struct server server;
    struct weft_http_response response;
    server_open(&server, (struct weft_http_server_options){0});
    struct weft_http_client *client = open_client(NULL);
    for (unsigned i = 0; i < 50; i++) {
        REQUIRE(get(client, origin_url(server.port, "/hello"), &response) == 0);
        CHECK_EQUAL(response.connections, i == 0);
        weft_http_response_release(&response);
    }
    struct weft_http_client_stats stats = stats_of(client);
    CHECK_EQUAL(stats.requests, 50);
    CHECK_EQUAL(stats.responses, 50);
    CHECK_EQUAL(stats.connections, 1);
    CHECK_EQUAL(stats.connections_now, 1);
    CHECK_EQUAL(stats.reused, 49);
    CHECK_EQUAL(stats.requests_now, 0);
    CHECK_EQUAL(server_stats(&server).connections, 1);
    weft_http_client_close(client);
    server_close(&server);
}

static void say_one_and_close(struct origin *origin, int fd)
{
    if (origin_read(origin, fd))
        origin_say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
}

FIBER_TEST(a_connection_that_the_server_has_closed_is_replaced)
{
    struct origin origin;
    origin_open(&origin, say_one_and_close);
    struct weft_http_client *client = open_client(NULL);
    for (unsigned i = 1; i <= 10; i++) {
        CHECK_EQUAL(get_status(client, origin_url(origin.port, "/")), 200);
        CHECK_EQUAL(origin.accepted, i);
        CHECK_EQUAL(weft_sleep(WEFT_MSEC), 0);
    }
    CHECK_EQUAL(stats_of(client).connections, 10);
    CHECK(stats_of(client).connections_now <= 1);
    weft_http_client_close(client);
    origin_close(&origin);
}

/* The first connection answers once, and then closes when the next request has come. */
static void close_on_the_second(struct origin *origin, int fd)
{
    bool is_first = origin->accepted == 1;
    while (origin_read(origin, fd)) {
        if (is_first && origin->requests > 1)
            return;
        origin_say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    }
}

FIBER_TEST(a_request_that_an_old_connection_does_not_take_is_sent_on_a_fresh_one)
{
    struct origin origin;
    struct weft_http_response response;
    origin_open(&origin, close_on_the_second);
    struct weft_http_client *client = open_client(NULL);
    CHECK_EQUAL(get_status(client, origin_url(origin.port, "/")), 200);
    const struct weft_http_request request = {
        .url = origin_url(origin.port, "/"), .body = "again", .body_len = 5};
    REQUIRE(weft_http_send(client, &request, &response, weft_now() + PATIENCE) == 0);
    CHECK(body_is(&response, "ok"));
    CHECK(strstr(origin.last, "again") != NULL);
    CHECK_EQUAL(origin.requests, 3);
    CHECK_EQUAL(origin.accepted, 2);
    weft_http_response_release(&response);
    weft_http_client_close(client);
    origin_close(&origin);
}

FIBER_TEST(a_server_may_ask_for_the_end_of_a_connection)
{
    struct origin origin;
    origin_open(&origin, origin_say_reply);
    origin.reply = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok";
    struct weft_http_client *client = open_client(NULL);
    for (int i = 0; i < 3; i++)
        CHECK_EQUAL(get_status(client, origin_url(origin.port, "/")), 200);
    CHECK_EQUAL(origin.accepted, 3);
    CHECK_EQUAL(stats_of(client).connections_now, 0);
    weft_http_client_close(client);
    origin_close(&origin);
}

/* libcurl counts whole seconds on a clock of its own: this one takes its time. */
REAL_TIME_FIBER_TEST(a_connection_that_was_idle_for_too_long_is_not_used_again)
{
    struct origin origin;
    origin_open(&origin, origin_reflect);
    struct weft_http_client *client =
        open_client(&(struct weft_http_client_options){.idle_timeout_ns = WEFT_SEC});
    CHECK_EQUAL(get_status(client, origin_url(origin.port, "/")), 200);
    CHECK_EQUAL(weft_sleep(2100 * WEFT_MSEC), 0);
    CHECK_EQUAL(get_status(client, origin_url(origin.port, "/")), 200);
    CHECK_EQUAL(origin.accepted, 2);
    weft_http_client_close(client);
    origin_close(&origin);
}

/* ---- opening ------------------------------------------------------------------------------ */

FIBER_TEST(options_that_cannot_be_are_refused)
{
    static const struct weft_http_client_options bad[] = {
        {.connect_timeout_ns = -1},
        {.total_timeout_ns = -1},
        {.idle_timeout_ns = -1},
        {.connect_timeout_ns = 301 * WEFT_SEC},
        {.proxy = "http://127.0.0.1"},
        {.proxy = "socks5://127.0.0.1:1"},
        {.proxy = "//"},
        {.proxy = "http://127.0.0.1:1", .allow_address = weft_http_address_is_public},
        {.proxy_of_environment = 1, .allow_address = weft_http_address_is_public},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct weft_http_client *client = NULL;
        CHECK_EQUAL(weft_http_client_open(&client, &bad[i]), -EINVAL);
        CHECK(client == NULL);
    }
    weft_http_client_close(NULL);
}

FIBER_TEST(a_request_is_never_sent_without_waiting)
{
    struct weft_http_client *client = open_client(NULL);
    struct weft_http_response response;
    const struct weft_http_request request = {.url = "http://127.0.0.1:1/"};
    CHECK_EQUAL(weft_http_send(client, &request, &response, WEFT_NOWAIT), -EAGAIN);
    weft_http_response_release(&response);
    weft_http_client_close(client);
}

TEST(outside_a_runtime_there_is_no_client)
{
    struct weft_http_client *client;
    CHECK_EQUAL(weft_http_client_open(&client, NULL), -EPERM);
}

static struct weft_http_client *left_open;

static void leave_open(void)
{
    struct origin origin;
    origin_open(&origin, origin_reflect);
    left_open = open_client(NULL);
    CHECK_EQUAL(get_status(left_open, origin_url(origin.port, "/")), 200);
    origin_close(&origin);
}

TEST(a_client_can_be_closed_after_its_runtime_has_ended)
{
    test_on_fiber(WEFT_CLOCK_VIRTUAL, leave_open);
    CHECK_EQUAL(get_status(left_open, "http://127.0.0.1:1/"), -EPERM);
    CHECK_EQUAL(stats_of(left_open).connections_now, 1);
    weft_http_client_close(left_open);
}
