/* SPDX-License-Identifier: MIT
 * request_parser.h - bytes in, one request or a refusal out. No socket, no clock, no allocation.
 *
 *     weft_http_parser_begin(&parser, header_bytes_max);
 *     do {
 *         ... append received bytes to message, len counts them ...
 *         verdict = weft_http_parser_feed(&parser, message, &len);
 *         if (verdict == WEFT_HTTP_HEAD) {
 *             ... decide by the head whether the body is wanted, and how much of it ...
 *             verdict = weft_http_parser_expect(&parser, body_bytes_max, message, &len);
 *         }
 *     } while (verdict == WEFT_HTTP_MORE);
 *
 * What the head says is decided before any byte of the body is looked at, however the bytes were
 * cut. llhttp finds the parts; head_check.c decides whether they may be believed. */
#ifndef WEFT_HTTP_REQUEST_PARSER_H
#define WEFT_HTTP_REQUEST_PARSER_H

#include <http/request.h>

#include <llhttp.h>

#define WEFT_HTTP_BYTES_MAX ((size_t)1 << 30) /* of a head, and of a body: offsets have 32 bits */

enum weft_http_verdict {
    WEFT_HTTP_MORE,     /* well so far: receive more bytes */
    WEFT_HTTP_HEAD,     /* the head is in and a body follows: weft_http_parser_expect goes on */
    WEFT_HTTP_COMPLETE, /* parser.request is complete */
    WEFT_HTTP_REFUSED,  /* parser.refusal says why; what follows in the stream has no meaning */
};

struct weft_http_parser {
    llhttp_t llhttp;
    struct weft_http_incoming request;
    struct weft_http_refusal refusal;
    size_t header_bytes_max, body_bytes_max;
    size_t message_len;   /* bytes given to the present call of feed */
    size_t parsed;        /* bytes of the message that llhttp has seen and that were kept */
    size_t end;           /* when complete: where the next message begins */
    size_t body_received; /* bytes of the body with all their framing */
    char last_byte;       /* of the previous call, whose framing may be gone */
    bool field_open;      /* inside a header's name */
    bool complete;
};

/* Get ready for the next message. */
void weft_http_parser_begin(struct weft_http_parser *parser, size_t header_bytes_max);

/* Look at the bytes that were added to the message since the last call.
 *
 * message  the whole message from its first byte, at a new place if need be; the byte behind its
 *          end must be writable too
 * len      bytes of it; on return maybe fewer, where the framing of a chunked body was dropped
 * Needs    a previous verdict, if any, of WEFT_HTTP_MORE */
enum weft_http_verdict weft_http_parser_feed(struct weft_http_parser *parser, char *message,
                                             size_t *len);

/* After WEFT_HTTP_HEAD: go on with the body, refuse it when it is or becomes longer than
 * body_bytes_max. message and len as they were. */
enum weft_http_verdict weft_http_parser_expect(struct weft_http_parser *parser,
                                               size_t body_bytes_max, char *message, size_t *len);

#endif
