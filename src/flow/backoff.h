/* SPDX-License-Identifier: MIT
 * backoff.h - how long to wait before the next attempt: pure arithmetic, chance is passed in.
 *
 * The cap comes before the jitter, everywhere: where it came after, callers that have failed often
 * would all wait for exactly the cap, and come back together. */
#ifndef WEFT_FLOW_BACKOFF_H
#define WEFT_FLOW_BACKOFF_H

#include <weft/retry.h>

#define WEFT_BACKOFF_BASE_NS (100 * WEFT_MSEC)
#define WEFT_BACKOFF_CAP_NS  (10 * WEFT_SEC)

struct weft_backoff_state {
    unsigned retries;    /* delays asked for so far */
    int64_t previous_ns; /* WEFT_JITTER_DECORRELATED: the last one; 0 before the first */
    double curve;        /* WEFT_JITTER_SMOOTH: the curve at the last one */
};

/* The next delay; 0 to the cap. Of the options it reads what concerns delays; they are valid.
 *
 * state  all zeros at first
 * draw   in [0, 1) */
int64_t weft_backoff_next(const struct weft_retry_options *options,
                          struct weft_backoff_state *state, double draw);

#endif
