/* SPDX-License-Identifier: MIT
 * load_response.h - find the end of each response on one connection, and its status.
 *
 * llhttp judges what is HTTP. Bodies are passed over, not kept. A server mostly sends the same head
 * again and again, on every connection: what llhttp said about a head holds for the next one of the
 * same bytes, so that only the first of them is parsed. It saves 0.4 of 1.0 us outside the kernel
 * per request. */
#ifndef WEFT_LAB_LOAD_RESPONSE_H
#define WEFT_LAB_LOAD_RESPONSE_H

#include <llhttp.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum weft_load_progress {
    WEFT_LOAD_MORE,      /* the response goes on; read again */
    WEFT_LOAD_COMPLETE,  /* it ended; status and keep_alive are set */
    WEFT_LOAD_MALFORMED, /* not HTTP, or a head without end; the connection is of no use any more */
};

/* Of the head of a response, together with the interim responses before it. */
#define WEFT_LOAD_HEAD_BYTES_MAX ((size_t)64 << 10)

#define WEFT_LOAD_KNOWN_BYTES    512

/* The bytes before the counted body (chunked ones are not) of the last response that came whole in
 * one piece and left the connection open. All zero: none. Shared by the connections of a thread,
 * for each kind of request. */
struct weft_load_known {
    char head[WEFT_LOAD_KNOWN_BYTES];
    size_t head_len;
    size_t response_len; /* with the body */
    int status;
};

struct weft_load_response {
    llhttp_t parser;
    struct weft_load_known *known; /* for the request that is answered */
    bool head;                     /* answers HEAD: never a body */
    bool started;                  /* some byte of the response has come */
    bool head_complete;            /* that of the final response */
    size_t head_bytes;             /* read while it was not */
    bool complete;                 /* set by the parser's callback */
    bool keep_alive;               /* the connection can take another request */
    int status;                    /* of the final response */
    uint64_t body_len;             /* as its head says; 0 for chunked ones */
    bool allow_field;              /* the header being parsed is Allow ... */
    char field[6];                 /* ... found out here, lower case */
    size_t field_len;
    char allow[128]; /* the value of Allow, cut to fit, NUL-terminated */
    size_t allow_len;
};

/* For a new connection. */
void weft_load_response_init(struct weft_load_response *response);

/* Before each response: whether it answers HEAD, and what is known of answers to such requests. */
void weft_load_response_begin(struct weft_load_response *response, bool head,
                              struct weft_load_known *known);

/* Take what was read.
 *
 * ret_used  set in every case: with WEFT_LOAD_COMPLETE less than len when more follows the
 * response, else len */
enum weft_load_progress weft_load_response_feed(struct weft_load_response *response,
                                                const char *data, size_t len, size_t *ret_used);

/* The peer has closed. Some responses end only there. WEFT_LOAD_MORE means cut in the middle. */
enum weft_load_progress weft_load_response_end(struct weft_load_response *response);

#endif
