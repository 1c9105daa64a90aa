/* SPDX-License-Identifier: MIT */
#include "test.h"

#include <flow/periodic_core.h>

#include <weft/base.h>

TEST(the_first_round_is_a_period_away_or_at_once)
{
    struct weft_periodic_core core = {.period_ns = 100, .jitter = 0.5};
    CHECK_EQUAL(weft_periodic_core_first(&core, 1000, true, 0.9), 1000);
    CHECK_EQUAL(weft_periodic_core_first(&core, 1000, false, 0), 1100);
    CHECK_EQUAL(weft_periodic_core_first(&core, 1000, false, 0.5), 1125);
}

TEST(a_fixed_rate_counts_from_start_to_start_and_its_jitter_does_not_add_up)
{
    struct weft_periodic_core core = {.period_ns = 100, .jitter = 0.5};
    CHECK_EQUAL(weft_periodic_core_first(&core, 1000, true, 0), 1000);
    CHECK_EQUAL(weft_periodic_core_next(&core, 1030, false, 0.5), 1125);
    CHECK_EQUAL(weft_periodic_core_next(&core, 1155, false, 0.5), 1225);
    CHECK_EQUAL(weft_periodic_core_next(&core, 1299, false, 0), 1300);
    CHECK_EQUAL(core.missed, 0);
}

TEST(a_round_that_takes_too_long_misses_starts_and_keeps_the_rhythm)
{
    struct weft_periodic_core core = {.period_ns = 100};
    CHECK_EQUAL(weft_periodic_core_first(&core, 1000, true, 0), 1000);
    CHECK_EQUAL(weft_periodic_core_next(&core, 1350, false, 0), 1400);
    CHECK_EQUAL(core.missed, 3);
    CHECK_EQUAL(weft_periodic_core_next(&core, 1500, false, 0), 1500);
    CHECK_EQUAL(core.missed, 3);
}

TEST(a_fixed_delay_counts_from_end_to_start)
{
    struct weft_periodic_core core = {.period_ns = 100, .fixed_delay = true};
    CHECK_EQUAL(weft_periodic_core_first(&core, 1000, true, 0), 1000);
    CHECK_EQUAL(weft_periodic_core_next(&core, 1350, false, 0), 1450);
    CHECK_EQUAL(core.missed, 0);
}

TEST(failures_back_off_up_to_a_maximum_and_a_success_forgets_them)
{
    struct weft_periodic_core core = {.period_ns = 1000, .backoff_ns = 10, .backoff_max_ns = 35};
    static const int64_t expected[] = {10, 20, 35, 35};
    CHECK_EQUAL(weft_periodic_core_first(&core, 0, true, 0), 0);
    for (int i = 0; i < 4; i++)
        CHECK_EQUAL(weft_periodic_core_next(&core, 500, true, 0), 500 + expected[i]);
    CHECK_EQUAL(core.failed_in_a_row, 4);
    CHECK_EQUAL(weft_periodic_core_next(&core, 500, false, 0), 1535);
    CHECK_EQUAL(weft_periodic_core_next(&core, 1600, true, 0), 1610);
}

TEST(after_so_many_failures_in_a_row_it_gives_up)
{
    struct weft_periodic_core core = {.period_ns = 100, .failures_max = 3};
    CHECK_EQUAL(weft_periodic_core_first(&core, 0, true, 0), 0);
    CHECK_EQUAL(weft_periodic_core_next(&core, 10, true, 0), 100);
    CHECK_EQUAL(weft_periodic_core_next(&core, 110, true, 0), 200);
    CHECK_EQUAL(weft_periodic_core_next(&core, 210, false, 0), 300);
    CHECK_EQUAL(weft_periodic_core_next(&core, 310, true, 0), 400);
    CHECK_EQUAL(weft_periodic_core_next(&core, 410, true, 0), 500);
    CHECK_EQUAL(weft_periodic_core_next(&core, 510, true, 0), -1);
}

TEST(no_length_overflows)
{
    struct weft_periodic_core core = {.period_ns = WEFT_FOREVER,
                                      .backoff_ns = WEFT_FOREVER / 3,
                                      .backoff_max_ns = WEFT_FOREVER,
                                      .jitter = 1};
    CHECK_EQUAL(weft_periodic_core_first(&core, 1000, false, 0.99), WEFT_FOREVER);
    for (int i = 0; i < 100; i++)
        CHECK(weft_periodic_core_next(&core, 1000, true, 0.5) > 1000);
    CHECK_EQUAL(weft_periodic_core_next(&core, 1000, false, 0.99), WEFT_FOREVER);
    CHECK_EQUAL(weft_periodic_core_next(&core, 1000, false, 0), WEFT_FOREVER);
}
