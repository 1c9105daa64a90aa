/* SPDX-License-Identifier: MIT
 * client.c - see client.h. */
#include "client.h"
#include "test.h"

#include <weft/io.h>
#include <weft/net.h>
#include <weft/runtime.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define PATIENCE (1000 * WEFT_SEC)

static int described; /* only its address counts: handlers get it as their context */

/* ---- routes ----------------------------------------------------------------------------- */

static void hello(struct weft_http_exchange *exchange, void *context)
{
    (void)context;
    weft_http_reply(exchange, 200, "text/plain", "hello\n", 6);
}

static void echo(struct weft_http_exchange *exchange, void *context)
{
    (void)context;
    size_t len;
    const char *body = weft_http_body(exchange, &len);
    CHECK_EQUAL(strnlen(body, len + 1) <= len, 1);
    CHECK_EQUAL(body[len], '\0');
    weft_http_reply(exchange, 200, weft_http_header(exchange, "content-type"), body, len);
}

static void slow(struct weft_http_exchange *exchange, void *context)
{
    (void)context;
    int err = weft_sleep(WEFT_SEC);
    weft_http_reply(exchange, err ? 500 : 200, "text/plain", "slow\n", 5);
}

static void silent(struct weft_http_exchange *exchange, void *context)
{
    (void)exchange, (void)context;
}

static void param(struct weft_http_exchange *exchange, void *context)
{
    (void)context;
    const char *value = weft_http_param(exchange, "id");
    CHECK(weft_http_param(exchange, "other") == NULL);
    weft_http_reply(exchange, 200, "text/plain", value, value ? strlen(value) : 0);
}

static void query(struct weft_http_exchange *exchange, void *context)
{
    (void)context;
    const char *a = weft_http_query(exchange, "a"), *b = weft_http_query(exchange, "b");
    char text[256];
    int len = snprintf(text, sizeof text, "%s|%s", a ? a : "-", b ? b : "-");
    weft_http_reply(exchange, 200, "text/plain", text, (size_t)len);
}

/* Every parameter, and what it is. */
static void pairs(struct weft_http_exchange *exchange, void *context)
{
    (void)context;
    const char *name, *value;
    char text[256] = "";
    int len = 0;
    for (size_t position = 0; weft_http_query_next(exchange, &position, &name, &value) > 0;)
        len += snprintf(text + len, sizeof text - (size_t)len, "[%s=%s]", name, value);
    weft_http_reply(exchange, 200, "text/plain", text, (size_t)len);
}

/* Answers with as many bytes as the query says. */
static void large(struct weft_http_exchange *exchange, void *context)
{
    (void)context;
    const char *bytes = weft_http_query(exchange, "bytes");
    size_t len = bytes ? strtoul(bytes, NULL, 10) : 0;
    char *body = malloc(len + 1);
    REQUIRE(body != NULL);
    memset(body, 'x', len);
    weft_http_reply(exchange, 200, "text/plain", body, len);
    free(body);
}

static void odd(struct weft_http_exchange *exchange, void *context)
{
    (void)context;
    weft_http_reply_header(exchange, "X-First", "one");
    weft_http_reply_header(exchange, "X-Second", "two\r\nX-Third: three");
    weft_http_reply_header(exchange, "Content-Length", "7");
    weft_http_reply(exchange, 201, NULL, "first", 5);
    weft_http_reply(exchange, 200, NULL, "second", 6);
    weft_http_reply_error(exchange, 404, "third");
}

static void failing(struct weft_http_exchange *exchange, void *context)
{
    (void)context;
    weft_http_reply_error(exchange, 422, "field \"text\" is missing\n");
}

/* What the server read of the request, as text. */
static void describe(struct weft_http_exchange *exchange, void *context)
{
    const char *header = weft_http_header(exchange, "x-some-HEADER");
    char text[256];
    size_t body_len;
    (void)weft_http_body(exchange, &body_len);
    CHECK(context == &described);
    CHECK(weft_http_body(exchange, NULL) != NULL);
    int len = snprintf(text, sizeof text, "%s %s %s %zu", weft_http_method(exchange),
                       weft_http_path(exchange), header ? header : "-", body_len);
    weft_http_reply(exchange, 200, "text/plain", text, (size_t)len);
}

static void impossible(struct weft_http_exchange *exchange, void *context)
{
    (void)context;
    weft_http_reply(exchange, 99, "text/plain", "x", 1);
}

static void verbose(struct weft_http_exchange *exchange, void *context)
{
    (void)context;
    char value[1000];
    memset(value, 'v', sizeof value - 1);
    value[sizeof value - 1] = '\0';
    for (int i = 0; i < 20; i++)
        weft_http_reply_header(exchange, "X-Verbose", value);
    weft_http_reply(exchange, 200, "text/plain", "x", 1);
}

static void stream(struct weft_http_exchange *exchange, void *context)
{
    (void)context;
    weft_http_reply_header(exchange, "X-Stream", "yes");
    if (weft_http_stream_begin(exchange, 200, "text/plain") == 0 &&
        weft_http_stream_write(exchange, "hello", 5) == 0)
        (void)weft_http_stream_end(exchange);
}

static const struct weft_http_route routes[] = {
    {"GET", "/stream", stream},
    {"GET", "/hello", hello},
    {"GET", "/describe/{id}", describe},
    {"POST", "/describe/{id}", describe},
    {"GET", "/impossible", impossible},
    {"GET", "/verbose", verbose},
    {"POST", "/echo", echo},
    {"GET", "/slow", slow},
    {"POST", "/slow", slow},
    {"GET", "/silent", silent},
    {"GET", "/name/{id}", param},
    {"GET", "/number/{id:int}/x", param},
    {"GET", "/uuid/{id:uuid}", param},
    {"GET", "/query", query},
    {"GET", "/pairs", pairs},
    {"GET", "/large", large},
    {"GET", "/odd", odd},
    {"GET", "/failing", failing},
};

/* ---- server ----------------------------------------------------------------------------- */

static int run_server(void *arg)
{
    return weft_http_server_run(arg);
}

void server_open(struct server *server, struct weft_http_server_options options)
{
    if (!options.routes) {
        options.routes = routes;
        options.routes_count = sizeof routes / sizeof routes[0];
        options.context = &described;
    }
    REQUIRE(weft_http_server_open(&server->http, &options) == 0);
    server->port = weft_http_server_port(server->http);
    REQUIRE(weft_group_init(&server->group, NULL) == 0);
    REQUIRE(weft_spawn_task(&server->group, &server->task, run_server, server->http) == 0);
}

void server_close(struct server *server)
{
    weft_http_server_drain(server->http);
    CHECK_EQUAL(weft_group_wait(&server->group), 0);
    CHECK_EQUAL(server->task.result, 0);
    CHECK_EQUAL(server_stats(server).connections_now, 0);
    weft_http_server_close(server->http);
}

struct weft_http_server_stats server_stats(const struct server *server)
{
    struct weft_http_server_stats stats;
    weft_http_server_stats(server->http, &stats);
    return stats;
}

/* ---- client ----------------------------------------------------------------------------- */

void client_open(struct client *client, const struct server *server)
{
    client->fd = weft_tcp_connect("127.0.0.1", server->port, weft_now() + PATIENCE);
    REQUIRE(client->fd >= 0);
    weft_buffer_init(&client->in, (size_t)128 << 20);
    client->seen = 0;
}

void client_close(struct client *client)
{
    CHECK_EQUAL(weft_close(client->fd), 0);
    weft_buffer_deinit(&client->in);
}

void client_send_bytes(struct client *client, const char *bytes, size_t len)
{
    /* A server that has refused may have closed: not the client's concern. */
    (void)weft_write_all(client->fd, bytes, len, weft_now() + PATIENCE, NULL);
}

void client_send(struct client *client, const char *text)
{
    client_send_bytes(client, text, strlen(text));
}

/* Returns false at the end of the stream, or where it was cut. */
static bool read_more(struct client *client)
{
    char *end = weft_buffer_reserve(&client->in, 65536);
    REQUIRE(end != NULL);
    ssize_t count = weft_read(client->fd, end, 65535, weft_now() + PATIENCE);
    CHECK(count != -ETIMEDOUT);
    if (count > 0)
        client->in.len += (size_t)count;
    return count > 0;
}

static bool wait_for_bytes(struct client *client, size_t len)
{
    while (client->in.len < len)
        if (!read_more(client))
            return false;
    return true;
}

/* The length of the head at the beginning of the input, 0 when the server closed before. */
static size_t wait_for_head(struct client *client)
{
    for (;;) {
        const char *stop =
            client->in.len ? memmem(client->in.data, client->in.len, "\r\n\r\n", 4) : NULL;
        if (stop)
            return (size_t)(stop - client->in.data) + 4;
        if (!read_more(client))
            return 0;
    }
}

static struct client_reply receive(struct client *client, bool hidden_body)
{
    struct client_reply none = {0}, reply = {0};
    weft_buffer_consume(&client->in, client->seen);
    client->seen = 0;
    size_t head_len = wait_for_head(client);
    if (!head_len)
        return none;
    client->in.data[head_len - 3] = '\0'; /* between the two ends of line: both fields stay whole */
    reply.head = client->in.data;
    if (sscanf(reply.head, "HTTP/1.1 %3d ", &reply.status) != 1)
        return none;
    const char *length = reply_field(&reply, "Content-Length");
    reply.body_len = length && !hidden_body ? strtoul(length, NULL, 10) : 0;
    CHECK(length || hidden_body || reply.status < 200 || reply.status == 204 ||
          reply.status == 304);
    if (!wait_for_bytes(client, head_len + reply.body_len))
        return none;
    client->seen = head_len + reply.body_len;
    char *end = weft_buffer_reserve(&client->in, 1);
    REQUIRE(end != NULL);
    reply.head = client->in.data;
    reply.body = client->in.data + head_len;
    if (client->in.len == client->seen)
        *end = '\0';
    return reply;
}

struct client_reply client_receive(struct client *client)
{
    return receive(client, false);
}

struct client_reply client_receive_head(struct client *client)
{
    return receive(client, true);
}

bool client_receive_chunk(struct client *client, const char **ret_text, size_t *ret_len)
{
    weft_buffer_consume(&client->in, client->seen);
    client->seen = 0;
    const char *stop = NULL;
    while (!stop) {
        stop = client->in.len ? memmem(client->in.data, client->in.len, "\r\n", 2) : NULL;
        if (!stop && !read_more(client))
            return false;
    }
    char *after;
    size_t len = strtoul(client->in.data, &after, 16), line_len = (size_t)(stop - client->in.data);
    CHECK(after == stop && line_len > 0);
    if (!wait_for_bytes(client, line_len + 2 + len + 2))
        return false;
    CHECK(memcmp(client->in.data + line_len + 2 + len, "\r\n", 2) == 0);
    client->seen = line_len + 2 + len + 2;
    *ret_text = client->in.data + line_len + 2;
    *ret_len = len;
    return true;
}

bool client_chunk_is(struct client *client, const char *text)
{
    const char *chunk;
    size_t len;
    bool came = client_receive_chunk(client, &chunk, &len);
    bool same = came && len == strlen(text) && memcmp(chunk, text, len) == 0;
    if (!same)
        test_note("%s: %.*s", came ? "another chunk" : "the end", came ? (int)len : 0,
                  came ? chunk : "");
    return same;
}

/* Fields are looked for at the beginning of lines. The value is copied out. */
const char *reply_field(const struct client_reply *reply, const char *name)
{
    static char value[256];
    size_t len = strlen(name);
    const char *line = reply->head;
    while (line && (line = strstr(line, "\r\n"))) {
        line += 2;
        if (strncasecmp(line, name, len) == 0 && line[len] == ':') {
            size_t value_len = strcspn(line + len + 2, "\r");
            (void)snprintf(value, sizeof value, "%.*s", (int)value_len, line + len + 2);
            return value;
        }
    }
    return NULL;
}

bool reply_says(const struct client_reply *reply, const char *name, const char *value)
{
    const char *found = reply_field(reply, name);
    return found && strcmp(found, value) == 0;
}

bool reply_body_is(const struct client_reply *reply, const char *text)
{
    bool same = reply->status && reply->body_len == strlen(text) &&
                memcmp(reply->body, text, reply->body_len) == 0;
    if (!same)
        test_note("status %d, body %.*s", reply->status, (int)reply->body_len,
                  reply->body ? reply->body : "");
    return same;
}

struct client_reply client_ask(struct client *client, const char *text)
{
    client_send(client, text);
    return client_receive(client);
}

bool client_at_end(struct client *client)
{
    return client->in.len == client->seen && !read_more(client);
}

int ask_once(const struct server *server, const char *text)
{
    struct client client;
    client_open(&client, server);
    int status = client_ask(&client, text).status;
    client_close(&client);
    return status;
}

bool server_answers(const struct server *server)
{
    return ask_once(server, "GET /hello HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n") == 200;
}
