/* SPDX-License-Identifier: MIT
 * pool_core.h - the rules of a resource pool: who gets what, and which resource is past use.
 *
 * Reads no clock, takes no lock. total counts places: one for every resource that exists, is being
 * made or is being destroyed. */
#ifndef WEFT_FLOW_POOL_CORE_H
#define WEFT_FLOW_POOL_CORE_H

#include <stdbool.h>
#include <stdint.h>

struct weft_pool_core {
    uint32_t min, max;
    int64_t check_after_ns, idle_max_ns, lifetime_max_ns; /* the last two: 0 is no limit */
    double lifetime_jitter;
    bool checks;
    uint32_t total, idle;
};

/* What is there for the next who asks. */
enum weft_pool_next {
    WEFT_POOL_TAKE_IDLE,
    WEFT_POOL_MAKE_ONE, /* there is a free place */
    WEFT_POOL_WAIT,
};

enum weft_pool_verdict {
    WEFT_POOL_LEND,
    WEFT_POOL_CHECK,         /* lend it if it is healthy */
    WEFT_POOL_RETIRE_OLD,    /* destroy it */
    WEFT_POOL_RETIRE_UNUSED, /* destroy it */
};

enum weft_pool_next weft_pool_core_next(const struct weft_pool_core *core);

/* Until when a resource made at now_ns may be used; draw is in [0, 1). */
int64_t weft_pool_core_expires(const struct weft_pool_core *core, int64_t now_ns, double draw);

/* What to do with a resource that has been idle since idle_since_ns. */
enum weft_pool_verdict weft_pool_core_judge(const struct weft_pool_core *core,
                                            int64_t expires_at_ns, int64_t idle_since_ns,
                                            int64_t now_ns);

#endif
