/* SPDX-License-Identifier: MIT
 * engine_wire_response.h - one response as it comes: llhttp finds what is what, and its parts are
 * moved to where weft_http_response wants them, inside of the buffer they were read into.
 *
 * What is kept is never longer than what came, so it ends before the place where the next read goes
 * to; a body that follows its head is mostly there already and is not moved at all. */
#ifndef WEFT_FETCH_ENGINE_WIRE_RESPONSE_H
#define WEFT_FETCH_ENGINE_WIRE_RESPONSE_H

#include <base/buffer.h>

#include <llhttp.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WEFT_FETCH_HEAD_MAX ((size_t)64 << 10)

struct weft_fetch_wire_response {
    llhttp_t parser;
    struct weft_buffer *buffer;
    size_t fields_at; /* in the buffer: behind the URL */
    size_t body_at;   /* once the head has ended */
    size_t body_max;
    bool keeps_body, is_head; /* a response to HEAD has no body */
    bool head_ended, complete, keep_alive;
    size_t gap;        /* between what is kept and where the present read went to */
    size_t head_bytes; /* read before the head's end */
    uint64_t body_bytes;
    uint64_t received;
    int err; /* why a callback has ended it */
    const char *why;
};

/* Before each request. The buffer holds what goes before the fields. */
void weft_fetch_wire_response_begin(struct weft_fetch_wire_response *response,
                                    struct weft_buffer *buffer, bool is_head, bool keeps_body,
                                    size_t body_max);

/* Room for the next read, at least len bytes; NULL: no memory. */
char *weft_fetch_wire_response_room(struct weft_fetch_wire_response *response, size_t len);

/* Take len bytes that were read to there; 0: the other side has closed.
 * Returns 0, with complete set or not; -EPROTO, -EMSGSIZE, -ECONNRESET (it ended too early),
 * -ENOMEM; response->why is the sentence */
int weft_fetch_wire_response_feed(struct weft_fetch_wire_response *response, size_t len);

#endif
