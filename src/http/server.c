/* SPDX-License-Identifier: MIT
 * server.c - listening, admitting connections, draining. See weft/http_server.h. */
#include <http/connection.h>
#include <http/server.h>

#include <weft/io.h>
#include <weft/net.h>
#include <weft/runtime.h>

#include <errno.h>
#include <stdlib.h>

#define HEADER_BYTES   ((size_t)16 << 10)
#define BODY_BYTES     ((size_t)1 << 20)
#define CONNECTIONS    10000u
#define HEADER_TIMEOUT (10 * WEFT_SEC)
#define BODY_TIMEOUT   (30 * WEFT_SEC)
#define IDLE_TIMEOUT   (60 * WEFT_SEC)
#define WRITE_TIMEOUT  (30 * WEFT_SEC)

/* Connections told politely that there are too many; more than these are just closed. */
#define REFUSALS_MAX 64u

/* Out of descriptors or memory: only somebody who closes can help, so wait and see. */
#define ACCEPT_PAUSE_NS (50 * WEFT_MSEC)

static size_t bytes_or(size_t value, size_t otherwise)
{
    return value ? value : otherwise;
}

static int64_t ns_or(int64_t value, int64_t otherwise)
{
    return value ? value : otherwise;
}

static int fill_options(struct weft_http_server_options *options,
                        const struct weft_http_server_options *given)
{
    *options = *given;
    if (!options->address)
        options->address = "127.0.0.1";
    if (options->connections_max == 0)
        options->connections_max = CONNECTIONS;
    options->header_bytes_max = bytes_or(options->header_bytes_max, HEADER_BYTES);
    options->body_bytes_max = bytes_or(options->body_bytes_max, BODY_BYTES);
    options->header_timeout_ns = ns_or(options->header_timeout_ns, HEADER_TIMEOUT);
    options->body_timeout_ns = ns_or(options->body_timeout_ns, BODY_TIMEOUT);
    options->idle_timeout_ns = ns_or(options->idle_timeout_ns, IDLE_TIMEOUT);
    options->write_timeout_ns = ns_or(options->write_timeout_ns, WRITE_TIMEOUT);
    bool negative = options->header_timeout_ns < 0 || options->body_timeout_ns < 0 ||
                    options->idle_timeout_ns < 0 || options->write_timeout_ns < 0;
    return negative || options->header_bytes_max > WEFT_HTTP_BYTES_MAX ? -EINVAL : 0;
}

/* The longest body that any route takes, or that is dropped. */
static size_t longest_body(const struct weft_http_server_options *options)
{
    size_t longest = WEFT_HTTP_DROP_BYTES_MAX;
    if (options->body_bytes_max > longest)
        longest = options->body_bytes_max;
    for (size_t i = 0; i < options->routes_count; i++)
        if (options->routes[i].body_bytes_max > longest)
            longest = options->routes[i].body_bytes_max;
    return longest;
}

int weft_http_server_open(struct weft_http_server **ret_server,
                          const struct weft_http_server_options *options)
{
    struct weft_http_server *server = calloc(1, sizeof *server);
    if (!server)
        return -ENOMEM;
    server->listen_fd = -1; /* from here close copes with a half-built server */
    weft_list_init(&server->connections);
    int err = fill_options(&server->options, options);
    if (err)
        goto fail;
    err = weft_http_router_open(&server->router, options->routes, options->routes_count);
    if (err)
        goto fail;
    size_t body_bytes_max = longest_body(&server->options);
    err = -EINVAL;
    if (body_bytes_max > WEFT_HTTP_BYTES_MAX)
        goto fail;
    weft_http_workspaces_init(&server->workspaces, server->options.header_bytes_max,
                              body_bytes_max);
    const struct weft_listen_options listening = {.reuse_port = options->reuse_port};
    err = server->listen_fd = weft_tcp_listen(server->options.address, options->port, &listening);
    if (err < 0)
        goto fail;
    err = weft_tcp_port(server->listen_fd);
    if (err < 0)
        goto fail;
    server->port = (uint16_t)err;
    *ret_server = server;
    return 0;
fail:
    weft_http_server_close(server);
    return err;
}

uint16_t weft_http_server_port(const struct weft_http_server *server)
{
    return server->port;
}

#define READ(counter) __atomic_load_n(counter, __ATOMIC_RELAXED)

void weft_http_server_stats(const struct weft_http_server *server,
                            struct weft_http_server_stats *ret_stats)
{
    const struct weft_http_server_stats *stats = &server->stats;
    *ret_stats = (struct weft_http_server_stats){
        .requests = READ(&stats->requests),
        .bad_requests = READ(&stats->bad_requests),
        .connections = READ(&stats->connections),
        .connections_refused = READ(&stats->connections_refused),
        .timeouts = READ(&stats->timeouts),
        .connections_now = READ(&stats->connections_now),
    };
}

static void stop_listening(struct weft_http_server *server)
{
    if (server->listen_fd >= 0)
        (void)weft_close(server->listen_fd);
    server->listen_fd = -1;
}

static void admit(struct weft_http_server *server, int fd)
{
    struct weft_http_server_stats *stats = &server->stats;
    bool full = stats->connections_now >= server->options.connections_max;
    if (full && server->refusals >= REFUSALS_MAX) {
        weft_http_count(&stats->connections_refused, 1);
        (void)weft_close(fd);
        return;
    }
    int err = weft_http_connection_start(server, fd, full);
    weft_http_count(full || err ? &stats->connections_refused : &stats->connections, 1);
}

/* What a failed accept means: 0 to go on, or the error that ends the server. */
static int after_failed_accept(int err)
{
    switch (err) {
    case -EMFILE:
    case -ENFILE:
    case -ENOBUFS:
    case -ENOMEM:
        return weft_sleep(ACCEPT_PAUSE_NS);
    /* The network's errors for that one connection, see accept(2). */
    case -ECONNABORTED:
    case -EPROTO:
    case -ENETDOWN:
    case -ENOPROTOOPT:
    case -EHOSTDOWN:
    case -ENONET:
    case -EHOSTUNREACH:
    case -EOPNOTSUPP:
    case -ENETUNREACH:
    case -EPERM: /* a firewall's word */
        return weft_yield();
    default:
        return err;
    }
}

static int accept_all(struct weft_http_server *server)
{
    int err = 0;
    while (err == 0) {
        int fd = weft_tcp_accept(server->listen_fd, WEFT_FOREVER);
        if (fd >= 0)
            admit(server, fd);
        else
            err = after_failed_accept(fd);
    }
    return err;
}

int weft_http_server_run(struct weft_http_server *server)
{
    const struct weft_group_options options = {.policy = WEFT_SUPERVISE, .name = "http"};
    int err = weft_event_init(&server->drained, WEFT_LOCAL);
    if (!err)
        err = weft_group_init(&server->group, &options);
    if (err)
        return err;
    if (server->draining) {
        (void)weft_event_set(&server->drained);
    } else {
        weft_scope_enter(&server->accept_scope, WEFT_FOREVER, 0);
        server->accepting = true;
        err = accept_all(server);
        server->accepting = false;
        err = weft_scope_leave(&server->accept_scope, err);
    }
    stop_listening(server);
    /* Drained or cancelled, -ECANCELED is what accept said. Waiting tells which: a cancelled
     * caller's children are cancelled with it. */
    if (server->draining && (err == 0 || err == -ECANCELED))
        return weft_group_wait(&server->group);
    weft_group_close(&server->group);
    return err;
}

void weft_http_server_drain(struct weft_http_server *server)
{
    server->draining = true;
    (void)weft_event_set(&server->drained);
    if (server->accepting)
        weft_scope_cancel(&server->accept_scope, 0);
    WEFT_LIST_FOR_EACH (link, &server->connections)
        weft_http_connection_drain(weft_container_of(link, struct weft_http_connection, link));
}

void weft_http_server_close(struct weft_http_server *server)
{
    if (!server)
        return;
    stop_listening(server);
    weft_http_workspaces_deinit(&server->workspaces);
    weft_http_router_close(server->router);
    free(server);
}
