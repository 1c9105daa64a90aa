/* SPDX-License-Identifier: MIT
 * throttle_core.h - the distance between two who pass. Reads no clock, takes no lock. */
#ifndef WEFT_FLOW_THROTTLE_CORE_H
#define WEFT_FLOW_THROTTLE_CORE_H

#include <stdbool.h>
#include <stdint.h>

struct weft_throttle_core {
    int64_t interval_ns;
    int64_t next_at_ns; /* when the next may pass; 0: the first */
};

/* Pass, if it is time. The next one's time is set in the same step: that is what keeps callers
 * apart who come at once. */
bool weft_throttle_core_pass(struct weft_throttle_core *core, int64_t now_ns);

#endif
