/* SPDX-License-Identifier: MIT
 * connection.h - one connection, on a fiber of its own: wait, read, parse, handle, write. */
#ifndef WEFT_HTTP_CONNECTION_H
#define WEFT_HTTP_CONNECTION_H

#include <http/server.h>

#include <sys/uio.h>

struct weft_http_connection {
    struct weft_http_server *server;
    struct weft_link link;                 /* in server->connections */
    struct weft_http_workspace *workspace; /* NULL while idle */
    int fd;
    bool refused; /* beyond the limit: told so and turned away */
    bool linger;  /* the client may still be sending: closing at once could lose the reply */
    bool reset;   /* end it so that the client cannot take what it got for everything */
    bool idle;    /* idle_scope is entered */
    struct weft_scope idle_scope;
};

/* Start serving fd, or turning it away. Takes fd over in every case.
 * Returns 0, -ENOMEM, -ECANCELED */
int weft_http_connection_start(struct weft_http_server *server, int fd, bool refused);

/* Send the replies made so far, within the time for a reply to be taken.
 * Returns 0 or why they did not go; then the connection is of no more use. Suspends */
int weft_http_connection_flush(struct weft_http_connection *connection);

/* Send these bytes behind them, from where they are.
 * ret_written  set in every case. Returns and suspends like weft_http_connection_flush */
int weft_http_connection_send(struct weft_http_connection *connection, const struct iovec *pieces,
                              int count, size_t *ret_written);

/* Wake the connection if it is idle: it closes, unless a request was on its way. */
void weft_http_connection_drain(struct weft_http_connection *connection);

#endif
