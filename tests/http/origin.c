/* SPDX-License-Identifier: MIT
 * origin.c - see origin.h. */
#include "origin.h"
#include "test.h"

#include <weft/io.h>
#include <weft/net.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct connection {
    struct origin *origin;
    int fd;
};

static int serve_one(void *arg)
{
    struct connection connection = *(struct connection *)arg;
    struct origin *origin = connection.origin;
    if (++origin->now > origin->most)
        origin->most = origin->now;
    origin->serve(origin, connection.fd);
    origin->now--;
    (void)weft_close(connection.fd);
    return 0;
}

static int accept_all(void *arg)
{
    struct origin *origin = arg;
    const struct weft_spawn_options options = {.copy_bytes = sizeof(struct connection)};
    for (;;) {
        int fd = weft_tcp_accept(origin->listener, WEFT_FOREVER);
        if (fd < 0)
            return 0;
        origin->accepted++;
        struct connection connection = {origin, fd};
        if (weft_spawn_with(&origin->group, serve_one, &connection, &options) < 0)
            (void)weft_close(fd);
    }
}

void origin_open(struct origin *origin, void (*serve)(struct origin *origin, int fd))
{
    *origin = (struct origin){.serve = serve};
    origin->listener = weft_tcp_listen("127.0.0.1", 0, NULL);
    REQUIRE(origin->listener >= 0);
    origin->port = (uint16_t)weft_tcp_port(origin->listener);
    REQUIRE(weft_group_init(&origin->group, NULL) == 0);
    REQUIRE(weft_spawn(&origin->group, accept_all, origin) == 0);
}

void origin_close(struct origin *origin)
{
    weft_group_close(&origin->group);
    CHECK_EQUAL(weft_close(origin->listener), 0);
}

static size_t announced(const char *head)
{
    const char *field = strcasestr(head, "\r\nContent-Length:");
    return field ? strtoul(field + 17, NULL, 10) : 0;
}

/* Bodies that do not fit are read, and forgotten. */
static bool read_body(struct origin *origin, int fd, size_t have, size_t len)
{
    static char rest[65536];
    while (have < len) {
        size_t room = sizeof origin->last - 1 - have;
        bool fits = have < sizeof origin->last - 1;
        size_t wanted = len - have;
        ssize_t count = weft_read(fd, fits ? origin->last + have : rest,
                                  fits             ? (wanted < room ? wanted : room)
                                  : wanted < 65536 ? wanted
                                                   : 65536,
                                  WEFT_FOREVER);
        if (count <= 0)
            return false;
        have += (size_t)count;
    }
    return true;
}

bool origin_read(struct origin *origin, int fd)
{
    size_t have = 0;
    char *text = origin->last;
    for (;;) {
        ssize_t count = weft_read(fd, text + have, sizeof origin->last - 1 - have, WEFT_FOREVER);
        if (count <= 0)
            return false;
        have += (size_t)count;
        text[have] = '\0';
        const char *end = strstr(text, "\r\n\r\n");
        if (!end)
            continue;
        size_t len = (size_t)(end + 4 - text) + announced(text);
        if (!read_body(origin, fd, have, len))
            return false;
        text[len < sizeof origin->last ? len : sizeof origin->last - 1] = '\0';
        origin->requests++;
        return true;
    }
}

void origin_say(int fd, const char *text)
{
    (void)weft_write_all(fd, text, strlen(text), WEFT_FOREVER, NULL);
}

void origin_reflect(struct origin *origin, int fd)
{
    while (origin_read(origin, fd)) {
        char head[128];
        bool is_head = strncmp(origin->last, "HEAD ", 5) == 0;
        (void)snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n",
                       strlen(origin->last));
        origin_say(fd, head);
        if (!is_head)
            origin_say(fd, origin->last);
    }
}

void origin_say_reply(struct origin *origin, int fd)
{
    while (origin_read(origin, fd))
        origin_say(fd, origin->reply);
}

void origin_keep_silent(struct origin *origin, int fd)
{
    while (origin_read(origin, fd))
        ;
}

const char *origin_url(uint16_t port, const char *path)
{
    static char urls[8][256];
    static unsigned next;
    char *url = urls[next++ % 8];
    (void)snprintf(url, sizeof urls[0], "http://127.0.0.1:%u%s", port, path);
    return url;
}

/* ---- the client -------------------------------------------------------------------------- */

struct weft_http_client *open_client(const struct weft_http_client_options *options)
{
    struct weft_http_client *client;
    REQUIRE(weft_http_client_open(&client, options) == 0);
    return client;
}

int get(struct weft_http_client *client, const char *url, struct weft_http_response *response)
{
    const struct weft_http_request request = {.url = url};
    return weft_http_send(client, &request, response, weft_now() + PATIENCE);
}

int get_status(struct weft_http_client *client, const char *url)
{
    struct weft_http_response response;
    int err = get(client, url, &response);
    int status = err < 0 ? err : response.status;
    weft_http_response_release(&response);
    return status;
}

bool body_is(const struct weft_http_response *response, const char *text)
{
    bool same = response->body_len == strlen(text) && strcmp(response->body, text) == 0;
    if (!same)
        test_note("status %d, error \"%s\", body %.*s", response->status, response->error,
                  (int)response->body_len, response->body);
    return same;
}

bool field_is(const struct weft_http_response *response, const char *name, const char *value)
{
    const char *found = weft_http_response_field(response, name);
    if (!found || strcmp(found, value) != 0)
        test_note("%s: %s", name, found ? found : "none");
    return found && strcmp(found, value) == 0;
}

struct weft_http_client_stats stats_of(struct weft_http_client *client)
{
    struct weft_http_client_stats stats;
    weft_http_client_stats(client, &stats);
    return stats;
}
