/* SPDX-License-Identifier: MIT
 * connection.h - one connection, on a fiber of its own: wait, read, parse, handle, write. */
#ifndef WEFT_HTTP_CONNECTION_H
#define WEFT_HTTP_CONNECTION_H

#include <http/server.h>

struct weft_http_connection {
    struct weft_http_server *server;
    struct weft_link link;                 /* in server->connections */
    struct weft_http_workspace *workspace; /* NULL while idle */
    int fd;
    bool refused; /* beyond the limit: told so and turned away */
    bool linger;  /* the client may still be sending: closing at once could lose the reply */
    bool idle;    /* idle_scope is entered */
    struct weft_scope idle_scope;
};

/* Start serving fd, or turning it away. Takes fd over in every case.
 * Returns 0, -ENOMEM, -ECANCELED */
int weft_http_connection_start(struct weft_http_server *server, int fd, bool refused);

/* Wake the connection if it is idle: it closes, unless a request was on its way. */
void weft_http_connection_drain(struct weft_http_connection *connection);

#endif
