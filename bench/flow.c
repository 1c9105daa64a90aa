/* SPDX-License-Identifier: MIT
 * flow.c - what the patterns cost when nothing is in the way: no failure, no limit reached. */
#include "bench.h"

#include <weft/breaker.h>
#include <weft/runtime.h>

/* One op is a look at the clock, which most of what follows needs once. */
BENCH(clock_read, "looks")
{
    int64_t latest_ns = 0;
    for (uint64_t i = 0; i < bench->ops; i++)
        latest_ns = weft_now();
    BENCH_REQUIRE(latest_ns > 0);
}

/* ---- breaker ------------------------------------------------------------------------------- */

static void enter_and_leave(struct bench *bench, const struct weft_breaker_options *options)
{
    struct weft_breaker *breaker;
    struct weft_breaker_permit permit;
    BENCH_REQUIRE(weft_breaker_open(&breaker, options) == 0);
    for (uint64_t i = 0; i < bench->ops; i++) {
        (void)weft_breaker_enter(breaker, &permit);
        (void)weft_breaker_leave(breaker, &permit, 0);
    }
    weft_breaker_close(breaker);
}

/* One op is a call let through and its success counted, in a window of calls: no look at the clock.
 */
BENCH(breaker, "calls")
{
    const struct weft_breaker_options options = {.sharing = WEFT_LOCAL};
    enter_and_leave(bench, &options);
}

/* The same where other threads could. */
BENCH(breaker_shared, "calls")
{
    const struct weft_breaker_options options = {.sharing = WEFT_SHARED};
    enter_and_leave(bench, &options);
}

/* With a window of time: one look at the clock. */
BENCH(breaker_timed, "calls")
{
    const struct weft_breaker_options options = {.sharing = WEFT_LOCAL, .window_ns = 10 * WEFT_SEC};
    enter_and_leave(bench, &options);
}

/* Where slow calls count: two looks at the clock. */
BENCH(breaker_slow_calls, "calls")
{
    const struct weft_breaker_options options = {.sharing = WEFT_LOCAL, .slow_call_ns = WEFT_SEC};
    enter_and_leave(bench, &options);
}
