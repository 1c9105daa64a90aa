/* SPDX-License-Identifier: MIT
 * obs.c - what it costs to be watched, and to be timed. */
#include "bench.h"

#include <weft/group.h>
#include <weft/metrics.h>
#include <weft/monitor.h>
#include <weft/runtime.h>

static int yield_ops(void *arg)
{
    const struct bench *bench = arg;
    for (uint64_t i = 0; i < bench->ops / 2; i++)
        (void)weft_yield();
    return 0;
}

static void yield_in_turns(struct bench *bench)
{
    struct weft_group group;
    BENCH_REQUIRE(weft_group_init(&group, NULL) == 0);
    BENCH_REQUIRE(weft_spawn(&group, yield_ops, bench) == 0);
    BENCH_REQUIRE(weft_spawn(&group, yield_ops, bench) == 0);
    BENCH_REQUIRE(weft_group_wait(&group) == 0);
}

/* The benchmark yield, while a monitor with all defaults watches. */
BENCH(yield_monitored, "yields")
{
    struct weft_monitor *monitor;
    BENCH_REQUIRE(weft_monitor_open(&monitor, NULL) == 0);
    yield_in_turns(bench);
    weft_monitor_close(monitor);
}

static int nothing(void *arg)
{
    (void)arg;
    return 0;
}

static void time_nothing(struct bench *bench, const struct weft_timing_options *options)
{
    struct weft_timing *timing;
    BENCH_REQUIRE(weft_timing_open(&timing, options) == 0);
    for (uint64_t i = 0; i < bench->ops; i++)
        (void)weft_timed(timing, nothing, NULL);
    weft_timing_close(timing);
}

/* One op is one call of a function that does nothing, with two looks at the clock. */
BENCH(timed, "calls")
{
    const struct weft_timing_options options = {.sharing = WEFT_LOCAL};
    time_nothing(bench, &options);
}

/* The same without running time, and for all workers. */
BENCH(timed_wall_shared, "calls")
{
    const struct weft_timing_options options = {.sharing = WEFT_SHARED, .wall_only = 1};
    time_nothing(bench, &options);
}

static int yield_all(void *arg)
{
    const struct bench *bench = arg;
    for (uint64_t i = 0; i < bench->ops; i++)
        (void)weft_yield();
    return 0;
}

static int yield_beside(void *arg)
{
    return yield_all(arg);
}

/* One op is one yield of a fiber that is being timed, and one of a sibling that is not. */
BENCH(timed_yield, "yields")
{
    struct weft_timing *timing;
    struct weft_group group;
    BENCH_REQUIRE(weft_timing_open(&timing, NULL) == 0);
    BENCH_REQUIRE(weft_group_init(&group, NULL) == 0);
    BENCH_REQUIRE(weft_spawn(&group, yield_beside, bench) == 0);
    (void)weft_timed(timing, yield_all, bench);
    BENCH_REQUIRE(weft_group_wait(&group) == 0);
    weft_timing_close(timing);
}

/* One op is one page: the runtime, and a timing with its two histograms. */
BENCH(metrics_page, "pages")
{
    struct weft_metrics *page;
    struct weft_timing *timing;
    const char *text;
    size_t len;
    BENCH_REQUIRE(weft_timing_open(&timing, NULL) == 0);
    BENCH_REQUIRE(weft_metrics_open(&page, NULL) == 0);
    (void)weft_timed(timing, nothing, NULL);
    for (uint64_t i = 0; i < bench->ops; i++) {
        weft_metrics_clear(page);
        BENCH_REQUIRE(weft_metrics_add_runtime(page, NULL) == 0);
        BENCH_REQUIRE(weft_metrics_add_timing(page, timing) == 0);
        BENCH_REQUIRE(weft_metrics_text(page, &text, &len) == 0 && len > 0);
    }
    weft_metrics_close(page);
    weft_timing_close(timing);
}
