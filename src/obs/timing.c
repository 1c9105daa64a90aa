/* SPDX-License-Identifier: MIT
 * timing.c - see weft/timing.h. */
#include <flow/pattern.h>
#include <obs/times.h>
#include <obs/timing.h>
#include <runtime/worker.h>

#include <errno.h>
#include <stdlib.h>

int weft_timing_open(struct weft_timing **ret_timing, const struct weft_timing_options *options)
{
    static const struct weft_timing_options defaults;
    if (!options)
        options = &defaults;
    struct weft_timing *timing = calloc(1, sizeof *timing);
    if (!timing)
        return -ENOMEM;
    timing->wall_only = options->wall_only != 0;
    int err = weft_pattern_name(timing->name, options->name, "timing");
    if (err == 0)
        err = weft_guard_init(&timing->guard, options->sharing);
    if (err == 0)
        err = weft_histogram_open(&timing->wall);
    if (err == 0 && !timing->wall_only)
        err = weft_histogram_open(&timing->run);
    if (err < 0)
        weft_timing_close(timing);
    else
        *ret_timing = timing;
    return err;
}

void weft_timing_close(struct weft_timing *timing)
{
    if (!timing)
        return;
    weft_histogram_close(timing->wall);
    weft_histogram_close(timing->run);
    free(timing);
}

/* Under the guard. */
static void count_call(struct weft_timing *timing, int64_t wall_ns, int result)
{
    timing->calls++;
    timing->failures += result < 0 && result != -ECANCELED;
    timing->cancelled += result == -ECANCELED;
    weft_histogram_record(timing->wall, wall_ns);
}

int weft_timed(struct weft_timing *timing, int (*fn)(void *), void *arg)
{
    int err = weft_guard_admit(&timing->guard);
    if (err < 0)
        return err;
    timing->running++;
    weft_guard_leave(&timing->guard);
    struct weft_fiber *self = timing->wall_only ? NULL : weft_self();
    int64_t began_ns = weft_now();
    int64_t run_ns = self ? weft_run_time_begin(self, began_ns) : 0;
    int result = fn(arg);
    int64_t ended_ns = weft_now();
    if (self)
        run_ns = weft_run_time_end(self, ended_ns) - run_ns;
    weft_guard_enter(&timing->guard);
    timing->running--;
    count_call(timing, ended_ns - began_ns, result);
    if (self)
        weft_histogram_record(timing->run, run_ns);
    weft_guard_leave(&timing->guard);
    return result;
}

int weft_timing_record(struct weft_timing *timing, int64_t wall_ns, int result)
{
    if (wall_ns < 0)
        return -EINVAL;
    int err = weft_guard_admit(&timing->guard);
    if (err < 0)
        return err;
    count_call(timing, wall_ns, result);
    weft_guard_leave(&timing->guard);
    return 0;
}

int weft_timing_snapshot(struct weft_timing *timing, struct weft_timing_snapshot *ret)
{
    int err = weft_guard_admit(&timing->guard);
    if (err < 0)
        return err;
    *ret = (struct weft_timing_snapshot){
        .calls = timing->calls,
        .failures = timing->failures,
        .cancelled = timing->cancelled,
        .running = timing->running,
        .wall = weft_times_of(timing->wall),
    };
    if (timing->run)
        ret->run = weft_times_of(timing->run);
    weft_guard_leave(&timing->guard);
    return 0;
}
