/* SPDX-License-Identifier: MIT
 * origin.h - a server for tests of the HTTP client that says exactly the bytes it is told to. */
#ifndef WEFT_TESTS_HTTP_ORIGIN_H
#define WEFT_TESTS_HTTP_ORIGIN_H

#include <weft/group.h>
#include <weft/http_client.h>

#include <stdbool.h>

#define PATIENCE (1000 * WEFT_SEC)

struct origin {
    int listener;
    uint16_t port;
    struct weft_group group;
    /* One connection; what it returns does not matter, and it need not close it. */
    void (*serve)(struct origin *origin, int fd);
    unsigned accepted, now, most; /* connections so far, at present, and at the most */
    unsigned requests;            /* that origin_read has read */
    char last[8192];              /* the latest of them */
    const char *reply;            /* for origin_say_reply */
    void *arg;
};

void origin_open(struct origin *origin, void (*serve)(struct origin *origin, int fd));
void origin_close(struct origin *origin); /* cuts what is open */

/* Read a request with its body into origin->last. False: the client is gone. */
bool origin_read(struct origin *origin, int fd);
void origin_say(int fd, const char *text);

/* Ways to serve: every request is answered with itself as the body; with origin->reply; with
 * nothing at all. */
void origin_reflect(struct origin *origin, int fd);
void origin_say_reply(struct origin *origin, int fd);
void origin_keep_silent(struct origin *origin, int fd);

/* "http://127.0.0.1:port" and the path; good until the eighth call after. */
const char *origin_url(uint16_t port, const char *path);

/* ---- the client -------------------------------------------------------------------------- */

struct weft_http_client *open_client(const struct weft_http_client_options *options);

/* GET. Returns what weft_http_send does. */
int get(struct weft_http_client *client, const char *url, struct weft_http_response *response);

/* The same; only the result or, when that is 0, the status. */
int get_status(struct weft_http_client *client, const char *url);

bool body_is(const struct weft_http_response *response, const char *text);
bool field_is(const struct weft_http_response *response, const char *name, const char *value);
struct weft_http_client_stats stats_of(struct weft_http_client *client);

#endif
