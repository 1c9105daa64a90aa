/* SPDX-License-Identifier: MIT
 * workspace.h - what a connection needs while a request is under way, and only then.
 *
 * Idle connections hold none, so ten thousand of them cost little more than their stacks. A
 * workspace is taken when bytes arrive and given back when everything was answered; the server
 * keeps some, with their buffers, for the next one. */
#ifndef WEFT_HTTP_WORKSPACE_H
#define WEFT_HTTP_WORKSPACE_H

#include <http/exchange.h>
#include <http/request_parser.h>

#define WEFT_HTTP_SPARE_MAX      512u               /* workspaces kept for later */
#define WEFT_HTTP_KEPT_BYTES_MAX ((size_t)16 << 10) /* larger buffers are freed when given back */
#define WEFT_HTTP_DROP_BYTES_MAX ((size_t)64 << 10) /* of a body that nobody wants */
#define WEFT_HTTP_READ_BYTES     (((size_t)8 << 10) - 1) /* of one read; with a NUL 8 KiB */
#define WEFT_HTTP_BODY_READ_BYTES                                                                  \
    (((size_t)64 << 10) - 1) /* of a body that is known to be long                                 \
                              */

struct weft_http_workspace {
    struct weft_http_workspace *next; /* in the pool */
    struct weft_buffer in;  /* bytes received: the present message, maybe others behind it */
    size_t at;              /* where the present message begins */
    struct weft_buffer out; /* replies not sent yet */
    struct weft_http_parser parser;
    struct weft_http_exchange exchange;
};

struct weft_http_workspaces {
    struct weft_http_workspace *spare;
    unsigned spare_count;
    size_t in_bytes_max; /* no input grows beyond it */
};

void weft_http_workspaces_init(struct weft_http_workspaces *workspaces, size_t header_bytes_max,
                               size_t body_bytes_max);
void weft_http_workspaces_deinit(struct weft_http_workspaces *workspaces);

/* One with empty buffers; NULL: no memory. */
struct weft_http_workspace *weft_http_workspace_take(struct weft_http_workspaces *workspaces);

/* Whatever is left in its buffers is dropped. NULL is fine. */
void weft_http_workspace_give(struct weft_http_workspaces *workspaces,
                              struct weft_http_workspace *workspace);

#endif
