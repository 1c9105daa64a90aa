/* SPDX-License-Identifier: MIT */
#include "test.h"

#include <flow/throttle_core.h>

#include <weft/base.h>

TEST(the_first_passes_and_the_next_one_an_interval_later)
{
    struct weft_throttle_core core = {.interval_ns = 10};
    CHECK(weft_throttle_core_pass(&core, 5));
    CHECK(!weft_throttle_core_pass(&core, 5));
    CHECK(!weft_throttle_core_pass(&core, 14));
    CHECK(weft_throttle_core_pass(&core, 15));
    CHECK(!weft_throttle_core_pass(&core, 24));
}

TEST(idle_time_is_not_saved_up)
{
    struct weft_throttle_core core = {.interval_ns = 10};
    CHECK(weft_throttle_core_pass(&core, 5));
    CHECK(weft_throttle_core_pass(&core, 500));
    CHECK(!weft_throttle_core_pass(&core, 509));
}

TEST(neither_a_clock_that_goes_back_nor_a_long_interval_lets_anybody_through)
{
    struct weft_throttle_core core = {.interval_ns = WEFT_FOREVER};
    CHECK(weft_throttle_core_pass(&core, 100));
    CHECK(!weft_throttle_core_pass(&core, 50));
    CHECK(!weft_throttle_core_pass(&core, WEFT_FOREVER - 1));
}
