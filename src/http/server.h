/* SPDX-License-Identifier: MIT
 * server.h - what the accept loop and its connections share. All of it belongs to one thread. */
#ifndef WEFT_HTTP_SERVER_INTERNAL_H
#define WEFT_HTTP_SERVER_INTERNAL_H

#include <base/list.h>
#include <http/reply.h>
#include <http/request_parser.h>
#include <http/router.h>
#include <http/workspace.h>

#include <weft/group.h>
#include <weft/http_server.h>
#include <weft/sync.h>

/* Counters are written by the server's thread alone, and read by any. */
#define weft_http_count(at, change) __atomic_store_n(at, *(at) + (change), __ATOMIC_RELAXED)

struct weft_http_server {
    struct weft_http_server_options options; /* with the defaults filled in */
    struct weft_http_router *router;
    struct weft_http_workspaces workspaces;
    struct weft_http_date date;
    struct weft_http_server_stats stats;

    int listen_fd;
    uint16_t port;
    bool draining;
    struct weft_event drained;      /* for handlers that wait: set when draining is; all zero
                                       before run */
    bool accepting;                 /* accept_scope is entered */
    struct weft_scope accept_scope; /* cancelled by drain */
    struct weft_group group;        /* one child per connection */
    struct weft_link connections;   /* struct weft_http_connection */
    unsigned refusals;              /* connections beyond the limit that are being turned away */
};

#endif
