/* SPDX-License-Identifier: MIT
 * schedule.c - when schedules run, as `weft cron next` asks. The zones are those of
 * tests/job/zones. */
#include "test.h"

#include <weft/schedule.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SECOND_US INT64_C(1000000)
/* 2026-03-28T12:00:00Z: summer time begins in Berlin in the following night. */
#define NOON_US (INT64_C(1774699200) * SECOND_US)

static int runs_of(const char *schedule, const char *zone, struct weft_schedule_run *runs,
                   size_t max, size_t *ret_count, char error[128])
{
    (void)setenv("TZDIR", WEFT_TEST_ZONES, 1); // NOLINT(concurrency-mt-unsafe): one thread
    error[0] = '\0';
    return weft_schedule_runs(schedule, zone, NOON_US, runs, max, ret_count, error, 128);
}

TEST(runs_come_in_order_and_show_what_clocks_show)
{
    struct weft_schedule_run runs[3];
    char error[128];
    size_t count = 0;
    REQUIRE(runs_of("0 18 * * *", "Europe/Berlin", runs, 3, &count, error) == 0);
    CHECK_EQUAL(count, 3);
    CHECK_EQUAL(runs[0].at_us, NOON_US + 5 * 3600 * SECOND_US); /* 18:00 is 17:00 UTC */
    CHECK_EQUAL(runs[0].offset_s, 3600);
    CHECK_EQUAL(runs[1].at_us, NOON_US + 28 * 3600 * SECOND_US); /* and 16:00 UTC from then on */
    CHECK_EQUAL(runs[1].offset_s, 7200);
    CHECK_EQUAL(runs[2].at_us - runs[1].at_us, 86400 * SECOND_US);
}

TEST(without_a_zone_it_is_utc)
{
    static const char *const none[] = {NULL, ""};
    for (int i = 0; i < 2; i++) {
        struct weft_schedule_run run;
        char error[128];
        size_t count = 0;
        REQUIRE(runs_of("30 12 * * *", none[i], &run, 1, &count, error) == 0);
        CHECK_EQUAL(count, 1);
        CHECK_EQUAL(run.at_us, NOON_US + 1800 * SECOND_US);
        CHECK_EQUAL(run.offset_s, 0);
    }
}

TEST(an_interval_counts_from_the_time_that_is_asked_about)
{
    struct weft_schedule_run runs[2];
    char error[128];
    size_t count = 0;
    REQUIRE(runs_of("@every 90s", NULL, runs, 2, &count, error) == 0);
    CHECK_EQUAL(count, 2);
    CHECK_EQUAL(runs[0].at_us, NOON_US + 90 * SECOND_US);
    CHECK_EQUAL(runs[1].at_us, NOON_US + 180 * SECOND_US);
}

TEST(what_is_no_schedule_and_no_zone_is_said)
{
    struct weft_schedule_run run;
    char error[128];
    size_t count = 77;
    CHECK_EQUAL(runs_of("61 * * * *", NULL, &run, 1, &count, error), -EINVAL);
    CHECK(error[0] != '\0');
    CHECK_EQUAL(runs_of("@daily", "Europe/Nowhere", &run, 1, &count, error), -EINVAL);
    CHECK(strcmp(error, "there is no time zone Europe/Nowhere") == 0);
    CHECK_EQUAL(runs_of("@daily", "../passwd", &run, 1, &count, error), -EINVAL);
    CHECK(strcmp(error, "there is no time zone ../passwd") == 0);
    CHECK_EQUAL(count, 77);
    CHECK_EQUAL(weft_schedule_runs("@daily", "Nowhere", NOON_US, &run, 1, &count, NULL, 0),
                -EINVAL);
}
