/* SPDX-License-Identifier: MIT
 * cron_due.c - which runs to start after a pause. */
#include "test.h"

#include <base/random.h>
#include <job/cron.h>

#include <string.h>

#define SECOND_US INT64_C(1000000)
#define MINUTE_US (60 * SECOND_US)
#define HOUR_US   (60 * MINUTE_US)
#define DAY_US    (24 * HOUR_US)

/* A day that begins at midnight. */
#define START_US (INT64_C(20000) * DAY_US)

static struct weft_cron parse(const char *text)
{
    struct weft_cron cron = {.every_us = 0};
    REQUIRE(weft_cron_parse(&cron, text, strlen(text), NULL, 0) == 0);
    return cron;
}

static struct weft_cron_due due(const char *text, enum weft_cron_missed missed, int64_t last_us,
                                int64_t now_us, int64_t grace_us)
{
    struct weft_cron cron = parse(text);
    struct weft_cron_due result;
    weft_cron_due(&cron, NULL, missed, last_us, now_us, grace_us, &result);
    return result;
}

TEST(before_its_time_nothing_is_due)
{
    for (int missed = WEFT_CRON_SKIP; missed <= WEFT_CRON_ALL; missed++) {
        struct weft_cron_due now = due("0 * * * *", (enum weft_cron_missed)missed, START_US,
                                       START_US + HOUR_US - 1, MINUTE_US);
        CHECK_EQUAL(now.runs_len, 0);
        CHECK(!now.dropped);
        CHECK_EQUAL(now.next_us, START_US + HOUR_US);
    }
}

TEST(a_run_that_is_hardly_late_is_started_whatever_is_done_about_missed_ones)
{
    for (int missed = WEFT_CRON_SKIP; missed <= WEFT_CRON_ALL; missed++) {
        struct weft_cron_due now = due("0 * * * *", (enum weft_cron_missed)missed, START_US,
                                       START_US + HOUR_US + 3000, MINUTE_US);
        CHECK_EQUAL(now.runs_len, 1);
        CHECK_EQUAL(now.runs_us[0], START_US + HOUR_US);
        CHECK_EQUAL(now.next_us, START_US + 2 * HOUR_US);
    }
}

TEST(grace_is_how_late_a_run_may_be_and_not_be_missed)
{
    CHECK_EQUAL(due("0 * * * *", WEFT_CRON_SKIP, START_US, START_US + HOUR_US, 0).runs_len, 1);
    CHECK_EQUAL(due("0 * * * *", WEFT_CRON_SKIP, START_US, START_US + HOUR_US, -5).runs_len, 1);
    CHECK_EQUAL(due("0 * * * *", WEFT_CRON_SKIP, START_US, START_US + HOUR_US + 1, 0).runs_len, 0);
    CHECK_EQUAL(due("0 * * * *", WEFT_CRON_SKIP, START_US, START_US + HOUR_US + 5, 5).runs_len, 1);
    CHECK_EQUAL(due("0 * * * *", WEFT_CRON_SKIP, START_US, START_US + HOUR_US + 6, 5).runs_len, 0);
}

/* Five hours are over; the fifth is on time. */
TEST(skip_goes_on_with_what_is_on_time)
{
    struct weft_cron_due now =
        due("0 * * * *", WEFT_CRON_SKIP, START_US, START_US + 5 * HOUR_US + SECOND_US, MINUTE_US);
    CHECK_EQUAL(now.runs_len, 1);
    CHECK_EQUAL(now.runs_us[0], START_US + 5 * HOUR_US);
    now = due("0 * * * *", WEFT_CRON_SKIP, START_US, START_US + 5 * HOUR_US + 2 * MINUTE_US,
              MINUTE_US);
    CHECK_EQUAL(now.runs_len, 0);
    CHECK_EQUAL(now.next_us, START_US + 6 * HOUR_US);
}

TEST(once_makes_up_for_all_with_the_latest)
{
    struct weft_cron_due now = due("0 * * * *", WEFT_CRON_ONCE, START_US,
                                   START_US + 5 * HOUR_US + 2 * MINUTE_US, MINUTE_US);
    CHECK_EQUAL(now.runs_len, 1);
    CHECK_EQUAL(now.runs_us[0], START_US + 5 * HOUR_US);
    CHECK(!now.dropped);
    CHECK_EQUAL(now.next_us, START_US + 6 * HOUR_US);
    /* A run on time makes up for the missed ones as well. */
    now = due("0 * * * *", WEFT_CRON_ONCE, START_US, START_US + 6 * HOUR_US, MINUTE_US);
    CHECK_EQUAL(now.runs_len, 1);
    CHECK_EQUAL(now.runs_us[0], START_US + 6 * HOUR_US);
}

TEST(all_makes_up_for_each_in_order)
{
    struct weft_cron_due now = due("0 * * * *", WEFT_CRON_ALL, START_US,
                                   START_US + 5 * HOUR_US + 2 * MINUTE_US, MINUTE_US);
    CHECK_EQUAL(now.runs_len, 5);
    for (int i = 0; i < 5; i++)
        CHECK_EQUAL(now.runs_us[i], START_US + (i + 1) * HOUR_US);
    CHECK(!now.dropped);
    CHECK_EQUAL(now.next_us, START_US + 6 * HOUR_US);
}

TEST(all_keeps_the_latest_hundred_and_says_so)
{
    int64_t now_us = START_US + 100 * HOUR_US;
    struct weft_cron_due now = due("0 * * * *", WEFT_CRON_ALL, START_US, now_us, 0);
    CHECK_EQUAL(now.runs_len, 100);
    CHECK(!now.dropped);
    now = due("0 * * * *", WEFT_CRON_ALL, START_US, now_us + HOUR_US, 0);
    CHECK_EQUAL(now.runs_len, 100);
    CHECK(now.dropped);
    CHECK_EQUAL(now.runs_us[0], START_US + 2 * HOUR_US);
    CHECK_EQUAL(now.runs_us[99], START_US + 101 * HOUR_US);
}

TEST(a_pause_of_years_with_a_run_each_second_is_no_work)
{
    int64_t now_us = START_US + 3000 * DAY_US;
    struct weft_cron_due now = due("* * * * * *", WEFT_CRON_ALL, START_US, now_us, 0);
    CHECK_EQUAL(now.runs_len, 100);
    CHECK(now.dropped);
    CHECK_EQUAL(now.runs_us[0], now_us - 99 * SECOND_US);
    CHECK_EQUAL(now.runs_us[99], now_us);
    /* Busy in the morning, long ago: the search goes back over the evening. */
    now = due("* * 6 * * *", WEFT_CRON_ONCE, START_US, now_us - 30 * MINUTE_US, 0);
    CHECK_EQUAL(now.runs_len, 1);
    CHECK_EQUAL(now.runs_us[0], now_us - 17 * HOUR_US - SECOND_US);
}

TEST(runs_that_were_started_are_not_started_again)
{
    struct weft_cron_due now =
        due("0 * * * *", WEFT_CRON_ALL, START_US + 3 * HOUR_US, START_US + 5 * HOUR_US, 0);
    CHECK_EQUAL(now.runs_len, 2);
    CHECK_EQUAL(now.runs_us[0], START_US + 4 * HOUR_US);
    /* Nor when grace reaches further back than the last one. */
    now = due("0 * * * *", WEFT_CRON_SKIP, START_US + 5 * HOUR_US, START_US + 5 * HOUR_US + 1,
              10 * HOUR_US);
    CHECK_EQUAL(now.runs_len, 0);
}

TEST(a_clock_that_was_set_back_starts_nothing_twice)
{
    for (int missed = WEFT_CRON_SKIP; missed <= WEFT_CRON_ALL; missed++) {
        struct weft_cron_due now = due("0 * * * *", (enum weft_cron_missed)missed,
                                       START_US + 5 * HOUR_US, START_US + 2 * HOUR_US + 1, HOUR_US);
        CHECK_EQUAL(now.runs_len, 0);
        CHECK(!now.dropped);
        CHECK_EQUAL(now.next_us, START_US + 6 * HOUR_US);
    }
}

TEST(every_makes_up_too)
{
    struct weft_cron cron = parse("@every 90s");
    struct weft_cron_due now;
    cron.anchor_us = START_US + 7;
    weft_cron_due(&cron, NULL, WEFT_CRON_ALL, cron.anchor_us, START_US + 5 * MINUTE_US, 0, &now);
    CHECK_EQUAL(now.runs_len, 3);
    CHECK_EQUAL(now.runs_us[0], START_US + 7 + 90 * SECOND_US);
    CHECK_EQUAL(now.runs_us[2], START_US + 7 + 270 * SECOND_US);
    CHECK_EQUAL(now.next_us, START_US + 7 + 360 * SECOND_US);
}

TEST(a_schedule_without_a_next_run_says_so)
{
    struct weft_cron_due now =
        due("0 0 1 1 *", WEFT_CRON_ALL, INT64_MAX - 400 * DAY_US, INT64_MAX, INT64_MAX);
    CHECK_EQUAL(now.next_us, INT64_MAX);
    CHECK(now.runs_len >= 1);
    now = due("0 0 1 1 *", WEFT_CRON_SKIP, INT64_MIN, INT64_MIN, INT64_MAX);
    CHECK_EQUAL(now.runs_len, 0);
    now = due("0 0 1 1 *", WEFT_CRON_ONCE, INT64_MIN, INT64_MAX, 0);
    CHECK_EQUAL(now.runs_len, 1);
}

/* Against stepping from run to run. */
static void check_against_steps(struct weft_random *random, const char *text)
{
    struct weft_cron cron = parse(text);
    struct weft_cron_due now;
    int64_t last_us = START_US + (int64_t)weft_random_below(random, (uint64_t)DAY_US);
    int64_t now_us = last_us + (int64_t)weft_random_below(random, (uint64_t)DAY_US * 3);
    int64_t latest_us[WEFT_CRON_RUNS_MAX], run_us = last_us;
    size_t count = 0;
    for (;; count++) {
        REQUIRE(weft_cron_next(&cron, NULL, run_us, &run_us) == 0);
        if (run_us > now_us)
            break;
        latest_us[count % WEFT_CRON_RUNS_MAX] = run_us;
    }
    weft_cron_due(&cron, NULL, WEFT_CRON_ALL, last_us, now_us, 0, &now);
    size_t kept = count < WEFT_CRON_RUNS_MAX ? count : WEFT_CRON_RUNS_MAX;
    REQUIRE(now.runs_len == kept);
    CHECK_EQUAL(now.dropped, count > kept);
    CHECK_EQUAL(now.next_us, run_us);
    for (size_t i = 0; i < kept; i++)
        CHECK_EQUAL(now.runs_us[i], latest_us[(count - kept + i) % WEFT_CRON_RUNS_MAX]);
    weft_cron_due(&cron, NULL, WEFT_CRON_ONCE, last_us, now_us, 0, &now);
    CHECK_EQUAL(now.runs_len, count > 0);
    if (count > 0)
        CHECK_EQUAL(now.runs_us[0], latest_us[(count - 1) % WEFT_CRON_RUNS_MAX]);
}

TEST(the_latest_runs_are_those_found_by_stepping_through_all)
{
    static const char *const texts[] = {
        "* * * * *",   "*/7 * * * *",        "30 2 * * *",    "0-5 6,18 * * *",
        "0 0 1 * *",   "*/20 0-4 9 * * *",   "@every 7m13s",  "0 12 * * MON-FRI",
        "@every 1d1h", "15,16,17 3 4 * * *", "0 */5 */3 * *", "59 23 L * *",
    };
    struct weft_random random;
    weft_random_seed(&random, 20261121);
    for (int round = 0; round < 20; round++)
        for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
            check_against_steps(&random, texts[i]);
}
