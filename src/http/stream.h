/* SPDX-License-Identifier: MIT
 * stream.h - replies without a known length: what the connection needs to know of them. */
#ifndef WEFT_HTTP_STREAM_H
#define WEFT_HTTP_STREAM_H

#include <http/exchange.h>

/* The handler has returned. A reply it began and did not end must not look whole: the exchange
 * fails, and the connection is cut. */
void weft_http_stream_leave(struct weft_http_exchange *exchange);

#endif
