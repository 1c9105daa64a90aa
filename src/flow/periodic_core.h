/* SPDX-License-Identifier: MIT
 * periodic_core.h - when the next round of what is done every so often begins. Reads no clock. */
#ifndef WEFT_FLOW_PERIODIC_CORE_H
#define WEFT_FLOW_PERIODIC_CORE_H

#include <stdbool.h>
#include <stdint.h>

struct weft_periodic_core {
    int64_t period_ns, backoff_ns, backoff_max_ns;
    double jitter;
    bool fixed_delay;
    unsigned failures_max;
    /* state */
    int64_t planned_ns; /* the latest start as it was planned, without jitter */
    uint64_t missed;
    unsigned failed_in_a_row;
};

/* When the first round begins; draw is in [0, 1). */
int64_t weft_periodic_core_first(struct weft_periodic_core *core, int64_t now_ns, bool at_once,
                                 double draw);

/* A round has ended. Returns when the next one begins, at least now_ns; -1: never, because it has
 * failed too often in a row. */
int64_t weft_periodic_core_next(struct weft_periodic_core *core, int64_t now_ns, bool failed,
                                double draw);

#endif
