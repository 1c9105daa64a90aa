/* SPDX-License-Identifier: MIT
 * throttle_core.c - see throttle_core.h. */
#include <flow/throttle_core.h>

#include <base/time.h>

bool weft_throttle_core_pass(struct weft_throttle_core *core, int64_t now_ns)
{
    if (now_ns < core->next_at_ns)
        return false;
    core->next_at_ns = weft_time_after(now_ns, core->interval_ns);
    return true;
}
