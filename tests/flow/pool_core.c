/* SPDX-License-Identifier: MIT */
#include "test.h"

#include <flow/pool_core.h>

#include <weft/base.h>

TEST(idle_comes_before_new_and_new_only_up_to_max)
{
    struct weft_pool_core core = {.max = 2};
    CHECK_EQUAL(weft_pool_core_next(&core), WEFT_POOL_MAKE_ONE);
    core.total = 2;
    CHECK_EQUAL(weft_pool_core_next(&core), WEFT_POOL_WAIT);
    core.idle = 1;
    CHECK_EQUAL(weft_pool_core_next(&core), WEFT_POOL_TAKE_IDLE);
    core.total = 1;
    CHECK_EQUAL(weft_pool_core_next(&core), WEFT_POOL_TAKE_IDLE);
}

TEST(a_lifetime_is_shortened_by_up_to_its_jitter_and_never_overflows)
{
    struct weft_pool_core core = {.lifetime_max_ns = 1000, .lifetime_jitter = 0.1};
    CHECK_EQUAL(weft_pool_core_expires(&core, 5000, 0), 6000);
    CHECK_EQUAL(weft_pool_core_expires(&core, 5000, 0.5), 5950);
    CHECK_EQUAL(weft_pool_core_expires(&core, 5000, 0.999999), 5900);
    core.lifetime_max_ns = WEFT_FOREVER;
    CHECK_EQUAL(weft_pool_core_expires(&core, 5000, 0), WEFT_FOREVER);
    core.lifetime_max_ns = 0;
    CHECK_EQUAL(weft_pool_core_expires(&core, 5000, 0.5), WEFT_FOREVER);
}

TEST(age_counts_before_idleness_and_idleness_before_checks)
{
    const struct weft_pool_core core = {
        .check_after_ns = 10, .idle_max_ns = 100, .lifetime_max_ns = 1000, .checks = true};
    CHECK_EQUAL(weft_pool_core_judge(&core, 1000, 0, 9), WEFT_POOL_LEND);
    CHECK_EQUAL(weft_pool_core_judge(&core, 1000, 0, 10), WEFT_POOL_CHECK);
    CHECK_EQUAL(weft_pool_core_judge(&core, 1000, 0, 99), WEFT_POOL_CHECK);
    CHECK_EQUAL(weft_pool_core_judge(&core, 1000, 0, 100), WEFT_POOL_RETIRE_UNUSED);
    CHECK_EQUAL(weft_pool_core_judge(&core, 1000, 995, 999), WEFT_POOL_LEND);
    CHECK_EQUAL(weft_pool_core_judge(&core, 1000, 995, 1000), WEFT_POOL_RETIRE_OLD);
}

TEST(a_clock_that_went_back_makes_nothing_idle)
{
    const struct weft_pool_core core = {.idle_max_ns = 100, .check_after_ns = 1, .checks = true};
    CHECK_EQUAL(weft_pool_core_judge(&core, WEFT_FOREVER, 1000, 10), WEFT_POOL_LEND);
}
