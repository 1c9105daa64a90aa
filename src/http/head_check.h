/* SPDX-License-Identifier: MIT
 * head_check.h - decides whether a request's head may be believed.
 *
 * Two servers that read one message differently let an attacker smuggle a request past the first.
 * So whatever RFC 9112 calls malformed, and a parser might forgive, is refused here. */
#ifndef WEFT_HTTP_HEAD_CHECK_H
#define WEFT_HTTP_HEAD_CHECK_H

#include <http/request_parser.h>

/* Check the head that llhttp has just seen the end of, decode it in place, end its strings with
 * NULs and fill in what it says about the body.
 *
 * message_len  bytes at request->message, at least the head
 * Returns      the refusal; status 0 when there is none. How long a body may be is not asked here
 */
struct weft_http_refusal weft_http_head_check(struct weft_http_incoming *request,
                                              const llhttp_t *llhttp, size_t message_len,
                                              size_t header_bytes_max);

#endif
