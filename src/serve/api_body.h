/* SPDX-License-Identifier: MIT
 * api_body.h - bodies in. */
#ifndef WEFT_SERVE_API_BODY_H
#define WEFT_SERVE_API_BODY_H

#include <serve/refusal.h>

#include <weft/http_server.h>

#include <stdbool.h>

/* Reads a body into ret_request, on any thread. Returns 0, or an error with *ret_refusal set. */
typedef int weft_body_parser(void *ret_request, const char *body, size_t len,
                             struct weft_refusal *ret_refusal);

/* Have the body read, a large one on another thread. False: it was no good, and is answered; there
 * is nothing to release then. What was read may point into the body. Suspends */
bool weft_api_read_body(struct weft_http_exchange *exchange, weft_body_parser *parse,
                        void *ret_request);

/* Where there is nothing to say: the body must be empty, or an object without members. False: it is
 * not, and that is answered. */
bool weft_api_read_nothing(struct weft_http_exchange *exchange);

#endif
