/* SPDX-License-Identifier: MIT
 * pool_core.c - see pool_core.h. */
#include <flow/pool_core.h>

#include <base/time.h>

enum weft_pool_next weft_pool_core_next(const struct weft_pool_core *core)
{
    if (core->idle > 0)
        return WEFT_POOL_TAKE_IDLE;
    return core->total < core->max ? WEFT_POOL_MAKE_ONE : WEFT_POOL_WAIT;
}

int64_t weft_pool_core_expires(const struct weft_pool_core *core, int64_t now_ns, double draw)
{
    if (core->lifetime_max_ns == 0)
        return WEFT_FOREVER;
    double shorter_ns = (double)core->lifetime_max_ns * core->lifetime_jitter * draw;
    int64_t lifetime_ns = core->lifetime_max_ns - weft_time_from_double(shorter_ns);
    return weft_time_after(now_ns, lifetime_ns);
}

enum weft_pool_verdict weft_pool_core_judge(const struct weft_pool_core *core,
                                            int64_t expires_at_ns, int64_t idle_since_ns,
                                            int64_t now_ns)
{
    int64_t idle_ns = now_ns > idle_since_ns ? now_ns - idle_since_ns : 0;
    if (now_ns >= expires_at_ns)
        return WEFT_POOL_RETIRE_OLD;
    if (core->idle_max_ns > 0 && idle_ns >= core->idle_max_ns)
        return WEFT_POOL_RETIRE_UNUSED;
    return core->checks && idle_ns >= core->check_after_ns ? WEFT_POOL_CHECK : WEFT_POOL_LEND;
}
