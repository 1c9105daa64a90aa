/* SPDX-License-Identifier: MIT
 * client.h - a server under test, and a client that sends exactly the bytes it is given. */
#ifndef WEFT_TESTS_HTTP_CLIENT_H
#define WEFT_TESTS_HTTP_CLIENT_H

#include <base/buffer.h>

#include <weft/group.h>
#include <weft/http_server.h>

#include <stdbool.h>

#define HOST      "Host: test\r\n"
#define GET(path) "GET " path " HTTP/1.1\r\n" HOST "\r\n"

struct server {
    struct weft_http_server *http;
    struct weft_group group;
    struct weft_task task;
    uint16_t port;
};

/* Serve on a fiber of its own. Without routes in the options, those of client.c: see there. */
void server_open(struct server *server, struct weft_http_server_options options);

/* Drain, and check that it ended well. */
void server_close(struct server *server);

struct weft_http_server_stats server_stats(const struct server *server);

struct client {
    int fd;
    struct weft_buffer in;
    size_t seen; /* bytes of replies handed out */
};

/* Valid until the client receives again. */
struct client_reply {
    int status; /* 0: the server closed the connection, or cut it */
    char *head; /* status line and fields, NUL-terminated */
    char *body; /* NUL-terminated */
    size_t body_len;
};

void client_open(struct client *client, const struct server *server);
void client_close(struct client *client);

void client_send(struct client *client, const char *text);
void client_send_bytes(struct client *client, const char *bytes, size_t len);

/* The next reply; after a HEAD request one without a body. Informational ones are replies too. */
struct client_reply client_receive(struct client *client);
struct client_reply client_receive_head(struct client *client);

/* After the head of a chunked reply: the next chunk, of length 0 when it is the last one. False
 * when the connection ended first. *ret_text is valid until the client receives again. */
bool client_receive_chunk(struct client *client, const char **ret_text, size_t *ret_len);

/* The next chunk says this. Prints what came instead. */
bool client_chunk_is(struct client *client, const char *text);

/* The value of a field of the reply, NULL when it has none. */
const char *reply_field(const struct client_reply *reply, const char *name);
bool reply_says(const struct client_reply *reply, const char *name, const char *value);

/* A reply came, and this is its body. Prints what came instead. */
bool reply_body_is(const struct client_reply *reply, const char *text);

/* Send and receive. */
struct client_reply client_ask(struct client *client, const char *text);

/* True when the server has closed the connection and nothing is left to read. */
bool client_at_end(struct client *client);

/* One request on a connection of its own; the status of the reply. */
int ask_once(const struct server *server, const char *text);

/* True when the server still answers. */
bool server_answers(const struct server *server);

#endif
