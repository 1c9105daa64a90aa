/* SPDX-License-Identifier: MIT
 * load_message.h - the bytes of a request, made once; only numbers are put in for each.
 *
 * "{i}" in the URL, in headers and in the body stands for the request's number. Where the body has
 * one, Content-Length goes with its digits. One message is shared by all connections and threads.
 */
#ifndef WEFT_LAB_LOAD_MESSAGE_H
#define WEFT_LAB_LOAD_MESSAGE_H

#include <base/buffer.h>
#include <lab/load_url.h>

#define WEFT_LOAD_BODY_MAX ((size_t)16 << 20)

/* Read only while the message is made. */
struct weft_load_request {
    const struct weft_load_url *url;
    const char *method;
    const char *body; /* NULL: none */
    size_t body_len;
    const char *content_type;   /* NULL: no such header */
    const char *const *headers; /* "Name: value", checked; their names replace those sent anyway */
    size_t headers_count;
};

/* Where a number stands between the bytes of a text. */
struct weft_load_place {
    size_t offset;
    bool is_length; /* the body's, not the request's number */
};

struct weft_load_message {
    struct weft_buffer text; /* without the numbers */
    struct weft_load_place *places;
    size_t places_count;
    size_t body_len;    /* without the numbers in it ... */
    size_t body_places; /* ... and how many there are */
    bool head;          /* the answer has no body */
};

/* Returns NULL, or what is wrong with a header, a part of a sentence. */
const char *weft_load_header_check(const char *header);

/* Returns 0, -ENOMEM, -EMSGSIZE (over 32 MiB). Free it with deinit, also after a failure */
int weft_load_message_init(struct weft_load_message *message,
                           const struct weft_load_request *request);
void weft_load_message_deinit(struct weft_load_message *message);

/* Append the request with this number. Failure shows in the buffer's err. */
void weft_load_message_append(const struct weft_load_message *message, uint64_t number,
                              struct weft_buffer *buffer);

#endif
