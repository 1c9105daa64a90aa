/* SPDX-License-Identifier: MIT
 * periodic_core.c - see periodic_core.h. */
#include <flow/periodic_core.h>

#include <base/time.h>

static int64_t jittered(const struct weft_periodic_core *core, int64_t start_ns, int64_t length_ns,
                        double draw)
{
    double more_ns = (double)length_ns * core->jitter * draw;
    return weft_time_after(start_ns, weft_time_from_double(more_ns));
}

int64_t weft_periodic_core_first(struct weft_periodic_core *core, int64_t now_ns, bool at_once,
                                 double draw)
{
    core->planned_ns = at_once ? now_ns : weft_time_after(now_ns, core->period_ns);
    return at_once ? now_ns : jittered(core, core->planned_ns, core->period_ns, draw);
}

/* base, 2 base, 4 base, ... up to the maximum. */
static int64_t backoff(const struct weft_periodic_core *core)
{
    int64_t length_ns = core->backoff_ns;
    for (unsigned i = 1; i < core->failed_in_a_row && length_ns < core->backoff_max_ns; i++)
        length_ns = weft_time_after(length_ns, length_ns);
    return length_ns < core->backoff_max_ns ? length_ns : core->backoff_max_ns;
}

/* The first start of the schedule that is not over; those before it are missed. */
static void plan_at_rate(struct weft_periodic_core *core, int64_t now_ns)
{
    core->planned_ns = weft_time_after(core->planned_ns, core->period_ns);
    if (core->planned_ns >= now_ns)
        return;
    int64_t over = (now_ns - core->planned_ns + core->period_ns - 1) / core->period_ns;
    core->missed += (uint64_t)over;
    core->planned_ns += over * core->period_ns;
}

int64_t weft_periodic_core_next(struct weft_periodic_core *core, int64_t now_ns, bool failed,
                                double draw)
{
    core->failed_in_a_row = failed ? core->failed_in_a_row + 1 : 0;
    if (failed && core->failures_max && core->failed_in_a_row >= core->failures_max)
        return -1;
    if (failed && core->backoff_ns > 0) {
        int64_t length_ns = backoff(core);
        core->planned_ns = weft_time_after(now_ns, length_ns);
        return jittered(core, core->planned_ns, length_ns, draw);
    }
    if (core->fixed_delay)
        core->planned_ns = weft_time_after(now_ns, core->period_ns);
    else
        plan_at_rate(core, now_ns);
    return jittered(core, core->planned_ns, core->period_ns, draw);
}
