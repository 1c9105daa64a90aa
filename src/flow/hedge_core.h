/* SPDX-License-Identifier: MIT
 * hedge_core.h - the latest latencies and a quantile of them, exact at any moment.
 *
 * Beside the ring, which knows the oldest, they are kept in order: a new one moves those between
 * its place and the oldest's. For a few hundred that is cheaper than sorting them now and then, and
 * no call pays for many. No clock, no lock; memory is the caller's. */
#ifndef WEFT_FLOW_HEDGE_CORE_H
#define WEFT_FLOW_HEDGE_CORE_H

#include <stdint.h>

struct weft_latency_window {
    int64_t *ring;   /* size of them, oldest at next once it is full */
    int64_t *sorted; /* the same, in order */
    unsigned size, len, next;
};

/* memory  2 x size numbers, which stay the caller's */
void weft_latency_init(struct weft_latency_window *window, int64_t *memory, unsigned size);

void weft_latency_add(struct weft_latency_window *window, int64_t latency_ns);

/* The smallest latency that at least that share of all kept are not above; quantile in (0, 1). 0
 * when there are none. */
int64_t weft_latency_quantile(const struct weft_latency_window *window, double quantile);

#endif
