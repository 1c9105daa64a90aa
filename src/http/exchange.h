/* SPDX-License-Identifier: MIT
 * exchange.h - one request and its reply, as a handler sees them (weft/http_server.h). */
#ifndef WEFT_HTTP_EXCHANGE_H
#define WEFT_HTTP_EXCHANGE_H

#include <base/buffer.h>
#include <http/reply.h>
#include <http/request.h>
#include <http/router.h>

#define WEFT_HTTP_REPLY_BYTES_MAX  ((size_t)64 << 20) /* a larger one becomes a 500 */
#define WEFT_HTTP_FIELDS_BYTES_MAX ((size_t)16 << 10) /* added headers beyond it become a 500 */

struct weft_http_connection;

enum weft_http_stream {
    WEFT_HTTP_STREAM_NONE, /* the reply is made in one piece, or not yet */
    WEFT_HTTP_STREAM_OPEN,
    WEFT_HTTP_STREAM_ENDED,
};

/* Buffers keep their memory from one request to the next. */
struct weft_http_exchange {
    struct weft_http_incoming *request;
    struct weft_http_connection *connection; /* that it came from */
    struct weft_http_match match;
    bool decided;   /* the route was looked for, and whoever admits was asked */
    bool head_only; /* the body did not come yet */
    const char *server_name;
    struct weft_http_date *date; /* the server's */
    const bool *draining;        /* the server's: every reply says that it is the last */

    struct weft_buffer *out;   /* replies of this connection that were not sent yet */
    struct weft_buffer fields; /* header lines added by the handler */
    struct weft_buffer params; /* the path, with NULs for slashes */
    struct weft_buffer query;  /* "name NUL value NUL ..."; filled when first asked for */
    struct weft_buffer detail; /* the body of an error */

    enum weft_http_stream stream;
    enum weft_http_framing framing; /* of the stream */
    bool raw;      /* the stream is all there is: no head, and not for HEAD alone */
    uint64_t left; /* of a sized stream's body */
    int status;    /* of the reply; 0: none yet */
    int spoiled;   /* why the reply that was made became a 500; 0: it did not */
    int failure;   /* the reply could not be made: nothing more can be said on this connection */
    bool close;    /* the connection ends with this reply */
};

/* Make the buffers ready, once. The rest is set by weft_http_exchange_begin. */
void weft_http_exchange_init(struct weft_http_exchange *exchange, struct weft_buffer *out);
void weft_http_exchange_deinit(struct weft_http_exchange *exchange);

/* Start over with a new request. */
void weft_http_exchange_begin(struct weft_http_exchange *exchange,
                              struct weft_http_incoming *request);

/* Take the route that was found, and make its parameters readable. Returns 0, -ENOMEM */
int weft_http_exchange_route(struct weft_http_exchange *exchange, struct weft_http_match match);

/* What every reply of this exchange begins with. */
void weft_http_exchange_head(struct weft_http_exchange *exchange, int status,
                             const char *content_type, struct weft_http_reply_head *ret_head);

/* Answer without a handler: 404; 405, or 204 to OPTIONS, with the methods in "Allow". */
void weft_http_exchange_reply_unrouted(struct weft_http_exchange *exchange, uint64_t methods);

#endif
