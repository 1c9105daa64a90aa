/* SPDX-License-Identifier: MIT
 * engine_wire.h - HTTP/1.1 without TLS by our own hands: one write, one read and llhttp for each
 * exchange, on connections that are kept. It costs a fraction of what libcurl takes for the same,
 * and does a fraction of what it can; what it cannot do goes to http_client.h (engine_async.c).
 *
 * A pool belongs to one worker. */
#ifndef WEFT_FETCH_ENGINE_WIRE_H
#define WEFT_FETCH_ENGINE_WIRE_H

#include <fetch/engine.h>

struct weft_fetch_wire;

/* Returns 0, -ENOMEM. */
int weft_fetch_wire_open(struct weft_fetch_wire **ret_wire,
                         const struct weft_fetcher_options *options);

/* Whether it can make this exchange. */
bool weft_fetch_wire_can(const struct weft_fetcher_options *options,
                         const struct weft_fetch_exchange *exchange);

int weft_fetch_wire_exchange(struct weft_fetch_wire *wire, struct weft_fetch_exchange *exchange);

/* On the worker that has opened it. NULL is fine. */
void weft_fetch_wire_close(struct weft_fetch_wire *wire);

#endif
