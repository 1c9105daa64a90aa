/* SPDX-License-Identifier: MIT
 * flow.c - what the patterns cost when nothing is in the way: no failure, no limit reached. */
#include "bench.h"

#include <weft/breaker.h>
#include <weft/cache.h>
#include <weft/fallback.h>
#include <weft/flight.h>
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

/* ---- fallback, cache, flight ----------------------------------------------------------------- */

static int succeed(void *arg)
{
    return arg ? 0 : -1;
}

static int nothing_instead(void *arg, int failure)
{
    (void)arg;
    return failure;
}

/* One op is a call that succeeds. */
BENCH(fallback_unused, "calls")
{
    const struct weft_fallback_options options = {.fallback = nothing_instead};
    for (uint64_t i = 0; i < bench->ops; i++)
        BENCH_REQUIRE(weft_fallback(&options, succeed, bench) == 0);
}

/* One op is a value of 64 bytes found among 1,000, with a key of 8 bytes. */
BENCH(cache_hit, "values")
{
    struct weft_cache *cache;
    const struct weft_cache_options options = {.sharing = WEFT_LOCAL, .ttl_ns = WEFT_FOREVER};
    char value[64] = {0};
    BENCH_REQUIRE(weft_cache_open(&cache, &options) == 0);
    for (uint64_t key = 0; key < 1000; key++)
        BENCH_REQUIRE(weft_cache_put(cache, &key, sizeof key, value, sizeof value) == 0);
    for (uint64_t i = 0; i < bench->ops; i++) {
        uint64_t key = i % 1000;
        BENCH_REQUIRE(weft_cache_get(cache, &key, sizeof key, value, sizeof value) > 0);
    }
    weft_cache_close(cache);
}

static int fill(void *arg, void *ret, size_t ret_bytes)
{
    (void)arg, (void)ret;
    return (int)ret_bytes;
}

/* One op is an execution that nobody shares. */
BENCH(flight_alone, "calls")
{
    struct weft_flight *flight;
    const struct weft_flight_options options = {.sharing = WEFT_LOCAL};
    uint64_t value = 0;
    BENCH_REQUIRE(weft_flight_open(&flight, &options) == 0);
    for (uint64_t i = 0; i < bench->ops; i++)
        BENCH_REQUIRE(weft_flight_do(flight, &i, sizeof i, fill, NULL, &value, sizeof value,
                                     WEFT_NOWAIT) > 0);
    weft_flight_close(flight);
}
