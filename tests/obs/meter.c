/* SPDX-License-Identifier: MIT
 * meter.c - what a worker measures of itself, without a worker. */
#include "test.h"

#include <obs/meter.h>
#include <obs/times.h>
#include <os/clock.h>

static struct weft_times lag_of(struct weft_runtime *runtime)
{
    struct weft_histogram *histogram;
    REQUIRE(weft_histogram_open(&histogram) == 0);
    weft_meter_collect(runtime, WEFT_MEASURE_LAG, histogram);
    struct weft_times times = weft_times_of(histogram);
    weft_histogram_close(histogram);
    return times;
}

/* A meter is turned on by another thread, perhaps between a turn's beginning and its timers. */
TEST(a_timer_of_a_turn_that_began_before_the_meter_is_not_measured)
{
    static struct weft_worker worker;
    static struct weft_runtime runtime = {.workers = &worker, .workers_len = 1};
    worker.runtime = &runtime;
    REQUIRE(weft_meter_begin(&runtime) == 0);
    struct weft_meter *meter = worker.meter;
    int64_t now_ns = weft_clock_monotonic_ns();
    meter->fired(meter, now_ns, now_ns - 60 * WEFT_SEC);
    CHECK_EQUAL(lag_of(&runtime).count, 0);

    meter->turn(meter, &worker, now_ns + WEFT_MSEC, 0);
    meter->fired(meter, now_ns + WEFT_MSEC, now_ns - 60 * WEFT_SEC);
    struct weft_times lag = lag_of(&runtime);
    CHECK_EQUAL(lag.count, 1);
    CHECK(lag.max_ns >= WEFT_MSEC && lag.max_ns < 60 * WEFT_SEC); /* since the meter began */
    weft_meter_end(&runtime);
    CHECK(!worker.meter);
    weft_watch_close(&runtime);
}
