/* SPDX-License-Identifier: MIT
 * base64.h - bytes as text, RFC 4648 section 4. */
#ifndef WEFT_BASE_BASE64_H
#define WEFT_BASE_BASE64_H

#include <stddef.h>

struct weft_buffer;

/* The most bytes that so many characters can stand for. */
size_t weft_base64_bytes_max(size_t len);

/* Read base64 as RFC 4648 section 4 has it: "+" and "/", padded to groups of four, and nothing
 * else: no line ends, no bits that mean nothing.
 *
 * bytes    room for weft_base64_bytes_max(len); written to in any case
 * Returns  0 with *ret_len set, -EINVAL */
int weft_base64_decode(void *bytes, size_t *ret_len, const char *text, size_t len);

/* Append bytes as base64, padded, on one line. Failure shows in the buffer's err. */
void weft_base64_append(struct weft_buffer *buffer, const void *bytes, size_t len);

#endif
