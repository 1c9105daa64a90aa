/* SPDX-License-Identifier: MIT
 * timing.h - how long calls take, and how much of that they compute.
 *
 *     struct weft_timing *timing;
 *     int err = weft_timing_open(&timing, &(struct weft_timing_options){.name = "fetch"});
 *     ...
 *     int result = weft_timed(timing, fetch, &url);
 *     ...
 *     struct weft_timing_snapshot snapshot;
 *     weft_timing_snapshot(timing, &snapshot);
 *     printf("p99 %lld ns\n", (long long)snapshot.wall.p99_ns);
 *
 * Every duration goes into a histogram of three significant digits; it counts as at least 1 ns and
 * at most 1 h. */
#ifndef WEFT_TIMING_H
#define WEFT_TIMING_H

#include <weft/parts.h>

WEFT_BEGIN_DECLS

/* What a histogram says: all 0 when nothing was recorded. Minimum, mean and maximum are exact, the
 * others up to a thousandth too long. A percentile is the value that so many do not exceed. */
struct weft_times {
    uint64_t count;
    int64_t min_ns, mean_ns, max_ns;
    int64_t p50_ns, p95_ns, p99_ns;
};

struct weft_timing;

struct weft_timing_options {
    const char *name; /* copied; NULL means "timing"; at most WEFT_NAME_MAX bytes */
    enum weft_sharing sharing;
    int wall_only; /* not 0: do not count running time, which costs two looks at the clock for
                      every switch of a fiber that is being timed */
};

struct weft_timing_snapshot {
    uint64_t calls;         /* that have returned */
    uint64_t failures;      /* of them: with a negative result, unless that was -ECANCELED */
    uint64_t cancelled;     /* of them: with -ECANCELED */
    unsigned running;       /* calls that have not returned */
    struct weft_times wall; /* from call to return */
    struct weft_times run;  /* of that, the calling fiber ran: it neither waited nor was runnable
                               behind others. What fn spawned is not counted, nor calls by threads
                               outside a runtime. On a virtual clock nothing but 1 ns */
};

/* Make one. Takes up to 528 KiB, most of which is never touched.
 * options  NULL means all defaults
 * Returns  0, -EINVAL (the name is too long; no such sharing), -EPERM (WEFT_LOCAL outside a
 *          runtime), -ENOMEM. Never suspends */
WEFT_API int weft_timing_open(struct weft_timing **ret_timing,
                              const struct weft_timing_options *options);

/* Free it; no call may be inside. NULL is fine. */
WEFT_API void weft_timing_close(struct weft_timing *timing);

/* Call fn(arg), and record how long it took. Calls may be nested, and run side by side.
 * Returns  fn's result; -EPERM without a call (local to another worker). Suspends when fn does */
WEFT_API int weft_timed(struct weft_timing *timing, int (*fn)(void *), void *arg);

/* Record what was measured by other means: a call that took so long and had this result.
 * Returns  0, -EPERM (local to another worker), -EINVAL (wall_ns is negative). Never suspends */
WEFT_API int weft_timing_record(struct weft_timing *timing, int64_t wall_ns, int result);

/* Returns 0, -EPERM (local to another worker). Never suspends */
WEFT_API int weft_timing_snapshot(struct weft_timing *timing, struct weft_timing_snapshot *ret);

WEFT_END_DECLS

#endif
