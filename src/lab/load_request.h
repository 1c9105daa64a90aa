/* SPDX-License-Identifier: MIT
 * load_request.h - the bytes of a request, made once and patched with each request's number.
 *
 * The message is what all requests have in common; a request is one connection's own copy. Only
 * when the number gets one digit more are the bytes laid out anew, because Content-Length and
 * everything behind the number move then. */
#ifndef WEFT_LAB_LOAD_REQUEST_H
#define WEFT_LAB_LOAD_REQUEST_H

#include <base/buffer.h>
#include <lab/load_url.h>

/* Strings are borrowed and must outlive the message's requests. */
struct weft_load_message {
    const struct weft_load_url *url;
    const char *method;
    const char *body;         /* NULL: none */
    const char *content_type; /* NULL: no such header */
};

struct weft_load_request {
    struct weft_buffer text; /* data and len are what to send */
    const struct weft_load_message *message;
    size_t *places; /* where in text the numbers stand */
    size_t places_count;
    unsigned digits; /* of the number that text is laid out for; 0 before the first */
};

/* Returns 0, -ENOMEM. Free it with deinit */
int weft_load_request_init(struct weft_load_request *request,
                           const struct weft_load_message *message);
void weft_load_request_deinit(struct weft_load_request *request);

/* Put the number in the place of each "{i}". Returns 0, -ENOMEM, -EMSGSIZE (over 64 MiB) */
int weft_load_request_set_number(struct weft_load_request *request, uint64_t number);

#endif
