/* SPDX-License-Identifier: MIT
 * request.h - one HTTP request as plain data: what the parser fills and everybody else reads.
 *
 * A request does not own its text. It points into the message, the bytes as they were received,
 * by offset, because the message moves when its buffer grows. When a request is complete, every
 * string in it has been decoded in place and ends with a NUL. */
#ifndef WEFT_HTTP_REQUEST_H
#define WEFT_HTTP_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WEFT_HTTP_HEADERS_MAX   100u  /* more: 431 */
#define WEFT_HTTP_URL_BYTES_MAX 8192u /* longer: 414 */
#define WEFT_HTTP_SEGMENTS_MAX  16u   /* a path with more matches no route: 404 */

/* Bytes of the message, counted from its first one. */
struct weft_http_span {
    uint32_t at, len;
};

struct weft_http_header {
    struct weft_http_span name, value;
};

/* What lies between two slashes of the decoded path, counted from the path's first byte. An
 * encoded slash (%2F) is inside a segment, not a border. */
struct weft_http_segment {
    uint16_t at, len;
};

struct weft_http_path {
    const char *text; /* begins with '/', decoded */
    size_t len;
    unsigned segments_count; /* WEFT_HTTP_SEGMENTS_MAX + 1: too many to be kept */
    struct weft_http_segment segments[WEFT_HTTP_SEGMENTS_MAX];
};

/* One that a server has received; clients make a struct weft_http_request (weft/http_client.h). */
struct weft_http_incoming {
    char *message;         /* first byte; moves while the request is being received */
    uint8_t method;        /* number in llhttp's list, see method.h */
    uint8_t version_minor; /* of HTTP/1 */
    bool head_complete;    /* the head is in, checked and decoded; the body may follow */
    bool keep_alive;       /* the client lets the connection stay open */
    bool chunked;
    bool expects_continue; /* the client waits for "100 Continue" before it sends the body */
    bool any_target;       /* the target is "*" */

    struct weft_http_span url; /* as received; not meaningful once the head is complete */
    struct weft_http_span query;
    uint32_t path_at;
    struct weft_http_path path; /* path.text is valid when the request is complete */

    uint64_t content_length;
    size_t body_at, body_len;

    size_t headers_count;
    struct weft_http_header headers[WEFT_HTTP_HEADERS_MAX];
};

/* Why a request is not served: the status to answer with, and a sentence for the client. */
struct weft_http_refusal {
    int status;         /* 0: none */
    const char *detail; /* static */
};

static inline const char *weft_http_text(const struct weft_http_incoming *request,
                                         struct weft_http_span span)
{
    return request->message + span.at;
}

#endif
