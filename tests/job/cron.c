/* SPDX-License-Identifier: MIT
 * cron.c - when schedules run: the calendar, and clocks that are set forward and back. */
#include "cron_text.h"
#include "test.h"

#include <base/buffer.h>
#include <job/cron.h>
#include <job/zone.h>

#include <errno.h>
#include <string.h>

/* Some runs of a schedule. Times are as clocks in the zone show them. */
struct runs {
    const char *expression, *after, *expected;
};

static int count_of(const char *expected)
{
    int count = 1;
    for (; (expected = strchr(expected, ',')); expected++)
        count++;
    return count;
}

static void check_runs(const struct runs *runs, size_t len, const char *zone_name)
{
    struct weft_zone *zone = NULL;
    struct weft_buffer text;
    REQUIRE(weft_zone_open(&zone, zone_name, WEFT_TEST_ZONES) == 0);
    weft_buffer_init(&text, 1 << 16);
    for (size_t i = 0; i < len; i++) {
        weft_buffer_clear(&text);
        cron_text_append_runs(&text, runs[i].expression, zone, cron_text_time(zone, runs[i].after),
                              count_of(runs[i].expected));
        weft_buffer_append_char(&text, '\0');
        REQUIRE(!text.err);
        if (strcmp(text.data, runs[i].expected) != 0) {
            test_failed(__FILE__, __LINE__, "the runs are these");
            test_note("%s after %s\n#   %s\n#   %s", runs[i].expression, runs[i].after, text.data,
                      runs[i].expected);
        }
    }
    weft_buffer_deinit(&text);
    weft_zone_close(zone);
}

#define CHECK_RUNS(zone, ...)                                                                      \
    do {                                                                                           \
        static const struct runs runs_[] = {__VA_ARGS__};                                          \
        check_runs(runs_, sizeof runs_ / sizeof *runs_, zone);                                     \
    } while (0)

/* ---- the calendar -------------------------------------------------------------------------- */

// clang-format off
TEST(times_of_day_follow_each_other)
{
    CHECK_RUNS("UTC",
        {"* * * * *", "2026-11-21 19:59", "Sat 2026-11-21 20:00 +00:00, Sat 2026-11-21 20:01 +00:00"},
        {"* * * * *", "2026-12-31 23:59:59", "Fri 2027-01-01 00:00 +00:00"},
        {"* * * * * *", "2026-12-31 23:59:58", "Thu 2026-12-31 23:59:59 +00:00, Fri 2027-01-01 00:00 +00:00"},
        {"*/20 * * * *", "2026-11-21 19:20", "Sat 2026-11-21 19:40 +00:00, Sat 2026-11-21 20:00 +00:00, Sat 2026-11-21 20:20 +00:00"},
        {"*/7 * * * *", "2026-11-21 19:50", "Sat 2026-11-21 19:56 +00:00, Sat 2026-11-21 20:00 +00:00"},
        {"5/25 9,17 * * *", "2026-11-21 09:30", "Sat 2026-11-21 09:55 +00:00, Sat 2026-11-21 17:05 +00:00"},
        {"30 22-2/2 * * *", "2026-11-21 21:00", "Sat 2026-11-21 22:30 +00:00, Sun 2026-11-22 00:30 +00:00, Sun 2026-11-22 02:30 +00:00, Sun 2026-11-22 22:30 +00:00"},
        {"15,45 10 5 * * *", "2026-11-21 05:10:15", "Sat 2026-11-21 05:10:45 +00:00, Sun 2026-11-22 05:10:15 +00:00"},
        {"30 59 23 * * *", "2026-11-21 23:59:30", "Sun 2026-11-22 23:59:30 +00:00"},
        {"0 0 1 1 *", "2026-01-01 00:00", "Fri 2027-01-01 00:00 +00:00, Sat 2028-01-01 00:00 +00:00"},
        {"@hourly", "2026-11-21 19:29", "Sat 2026-11-21 20:00 +00:00"},
        {"@weekly", "2026-11-21 19:29", "Sun 2026-11-22 00:00 +00:00, Sun 2026-11-29 00:00 +00:00"},
        {"@monthly", "2026-11-21 19:29", "Tue 2026-12-01 00:00 +00:00, Fri 2027-01-01 00:00 +00:00"},
        {"@yearly", "2026-11-21 19:29", "Fri 2027-01-01 00:00 +00:00"},
    );
}

TEST(days_and_months_follow_the_calendar)
{
    CHECK_RUNS("UTC",
        {"0 9 * * MON-FRI", "2026-11-20 09:00", "Mon 2026-11-23 09:00 +00:00, Tue 2026-11-24 09:00 +00:00"},
        {"0 9 * * SAT-SUN", "2026-11-22 09:00", "Sat 2026-11-28 09:00 +00:00, Sun 2026-11-29 09:00 +00:00"},
        {"0 0 31 * *", "2026-01-31 00:00", "Tue 2026-03-31 00:00 +00:00, Sun 2026-05-31 00:00 +00:00"},
        {"0 0 29 2 *", "2026-01-01 00:00", "Tue 2028-02-29 00:00 +00:00, Sun 2032-02-29 00:00 +00:00"},
        {"0 0 29 2 *", "2096-03-01 00:00", "Fri 2104-02-29 00:00 +00:00"},
        {"0 0 1 NOV-FEB *", "2026-11-21 00:00", "Tue 2026-12-01 00:00 +00:00, Fri 2027-01-01 00:00 +00:00, Mon 2027-02-01 00:00 +00:00, Mon 2027-11-01 00:00 +00:00"},
        {"0 0 */10 * *", "2026-11-21 00:00", "Tue 2026-12-01 00:00 +00:00, Fri 2026-12-11 00:00 +00:00, Mon 2026-12-21 00:00 +00:00, Thu 2026-12-31 00:00 +00:00"},
        /* both days: either will do */
        {"0 0 13 * FRI", "2026-11-21 00:00", "Fri 2026-11-27 00:00 +00:00, Fri 2026-12-04 00:00 +00:00, Fri 2026-12-11 00:00 +00:00, Sun 2026-12-13 00:00 +00:00"},
        {"0 0 30 2 MON", "2026-01-31 00:00", "Mon 2026-02-02 00:00 +00:00"},
        /* with a star in one of them, both are needed: every Sunday that is a 29th of February */
        {"0 0 29 2 */7", "2026-01-01 00:00", "Sun 2032-02-29 00:00 +00:00, Sun 2060-02-29 00:00 +00:00, Sun 2088-02-29 00:00 +00:00, Sun 2128-02-29 00:00 +00:00"},
        {"0 0 13 * */5", "2026-01-01 00:00", "Fri 2026-02-13 00:00 +00:00, Fri 2026-03-13 00:00 +00:00, Sun 2026-09-13 00:00 +00:00"},
    );
}

TEST(days_count_from_the_end_of_the_month_too)
{
    CHECK_RUNS("UTC",
        {"0 0 L * *", "2028-01-31 00:00", "Tue 2028-02-29 00:00 +00:00, Fri 2028-03-31 00:00 +00:00, Sun 2028-04-30 00:00 +00:00"},
        {"0 0 L-2 2 *", "2026-01-01 00:00", "Thu 2026-02-26 00:00 +00:00, Fri 2027-02-26 00:00 +00:00, Sun 2028-02-27 00:00 +00:00"},
        {"0 0 L-30 * *", "2026-01-02 00:00", "Sun 2026-03-01 00:00 +00:00, Fri 2026-05-01 00:00 +00:00"},
        {"0 0 L-28 2 *", "2026-01-01 00:00", "Tue 2028-02-01 00:00 +00:00"},
        {"0 0 1,L * *", "2026-02-01 00:00", "Sat 2026-02-28 00:00 +00:00, Sun 2026-03-01 00:00 +00:00"},
    );
}

TEST(a_weekday_is_the_nth_or_the_last_of_its_month)
{
    CHECK_RUNS("UTC",
        {"0 0 * * 5L", "2026-11-21 00:00", "Fri 2026-11-27 00:00 +00:00, Fri 2026-12-25 00:00 +00:00, Fri 2027-01-29 00:00 +00:00"},
        {"0 0 * * TUE#1", "2026-11-21 00:00", "Tue 2026-12-01 00:00 +00:00, Tue 2027-01-05 00:00 +00:00"},
        {"0 0 * * 0#5", "2026-11-21 00:00", "Sun 2026-11-29 00:00 +00:00, Sun 2027-01-31 00:00 +00:00, Sun 2027-05-30 00:00 +00:00"},
        {"0 0 * * MON#2,THU#4", "2026-11-21 00:00", "Thu 2026-11-26 00:00 +00:00, Mon 2026-12-14 00:00 +00:00, Thu 2026-12-24 00:00 +00:00"},
    );
}

TEST(a_working_day_stays_in_its_month)
{
    CHECK_RUNS("UTC",
        {"0 0 15W * *", "2026-07-16 00:00", "Fri 2026-08-14 00:00 +00:00, Tue 2026-09-15 00:00 +00:00, Thu 2026-10-15 00:00 +00:00, Mon 2026-11-16 00:00 +00:00"},
        {"0 0 1W * *", "2026-07-31 00:00", "Mon 2026-08-03 00:00 +00:00, Tue 2026-09-01 00:00 +00:00, Thu 2026-10-01 00:00 +00:00, Mon 2026-11-02 00:00 +00:00"},
        {"0 0 31W * *", "2026-05-01 00:00", "Fri 2026-05-29 00:00 +00:00, Fri 2026-07-31 00:00 +00:00"},
        {"0 0 LW * *", "2026-01-01 00:00", "Fri 2026-01-30 00:00 +00:00, Fri 2026-02-27 00:00 +00:00, Tue 2026-03-31 00:00 +00:00, Thu 2026-04-30 00:00 +00:00, Fri 2026-05-29 00:00 +00:00"},
    );
}
// clang-format on

static struct weft_cron parse(const char *text)
{
    struct weft_cron cron = {.every_us = 0};
    REQUIRE(weft_cron_parse(&cron, text, strlen(text), NULL, 0) == 0);
    return cron;
}

static int64_t next(const char *text, const struct weft_zone *zone, int64_t after_us)
{
    struct weft_cron cron = parse(text);
    int64_t run_us = -7;
    int err = weft_cron_next(&cron, zone, after_us, &run_us);
    CHECK(err == 0 || run_us == -7);
    return err == 0 ? run_us : err;
}

TEST(the_next_run_is_strictly_after_to_the_microsecond)
{
    CHECK_EQUAL(next("* * * * * *", NULL, 0), 1000000);
    CHECK_EQUAL(next("* * * * * *", NULL, -1), 0);
    CHECK_EQUAL(next("* * * * * *", NULL, 999999), 1000000);
    CHECK_EQUAL(next("* * * * * *", NULL, 1000000), 2000000);
    CHECK_EQUAL(next("* * * * * *", NULL, -1000001), -1000000);
    CHECK_EQUAL(next("* * * * * *", NULL, -1000000), INT64_C(-1) + 1);
}

TEST(times_before_1970_and_very_late_ones_work_too)
{
    int64_t day_us = INT64_C(86400000000);
    CHECK_EQUAL(next("@daily", NULL, -1 - day_us), -day_us);
    CHECK_EQUAL(next("@daily", NULL, INT64_C(100000000) * day_us), INT64_C(100000001) * day_us);
    CHECK_EQUAL(next("@daily", NULL, INT64_C(-100000000) * day_us), INT64_C(-99999999) * day_us);
    CHECK(next("@yearly", NULL, INT64_MIN) < INT64_MIN + 400 * day_us);
    CHECK_EQUAL(next("@daily", NULL, INT64_MAX - day_us / 24), -ERANGE);
    CHECK_EQUAL(next("@daily", NULL, INT64_MAX), -ERANGE);
}

/* ---- @every -------------------------------------------------------------------------------- */

TEST(every_counts_from_when_it_was_made)
{
    struct weft_cron cron = parse("@every 90s");
    int64_t run_us;
    cron.anchor_us = 1000000007;
    CHECK(weft_cron_next(&cron, NULL, cron.anchor_us, &run_us) == 0);
    CHECK_EQUAL(run_us, 1090000007);
    CHECK(weft_cron_next(&cron, NULL, run_us - 1, &run_us) == 0);
    CHECK_EQUAL(run_us, 1090000007);
    CHECK(weft_cron_next(&cron, NULL, run_us, &run_us) == 0);
    CHECK_EQUAL(run_us, 1180000007);
    CHECK(weft_cron_next(&cron, NULL, INT64_MIN, &run_us) == 0); /* not before it was made */
    CHECK_EQUAL(run_us, 1090000007);
    CHECK_EQUAL(weft_cron_next(&cron, NULL, INT64_MAX - 5, &run_us), -ERANGE);
    cron.anchor_us = INT64_MIN; /* twice as far away as a number can say */
    CHECK(weft_cron_next(&cron, NULL, INT64_MAX - 90000000, &run_us) == 0);
    CHECK(run_us > INT64_MAX - 90000000);
    cron.anchor_us = INT64_MAX;
    CHECK_EQUAL(weft_cron_next(&cron, NULL, 0, &run_us), -ERANGE);
}

TEST(every_does_not_look_at_the_zone)
{
    struct weft_zone *zone = NULL;
    REQUIRE(weft_zone_open(&zone, "Europe/Berlin", WEFT_TEST_ZONES) == 0);
    for (int64_t at_us = 0; at_us < INT64_C(40000000) * 1000000; at_us += INT64_C(7777777) * 1000)
        CHECK_EQUAL(next("@every 1h30m", zone, at_us), next("@every 1h30m", NULL, at_us));
    weft_zone_close(zone);
}

/* ---- clocks are set forward ---------------------------------------------------------------- */

// clang-format off
TEST(a_time_that_is_skipped_runs_once_right_after)
{
    CHECK_RUNS("Europe/Berlin",
        {"30 2 * * *", "2026-03-28 12:00", "Sun 2026-03-29 03:00 +02:00, Mon 2026-03-30 02:30 +02:00"},
        {"0 2 * * *", "2026-03-28 12:00", "Sun 2026-03-29 03:00 +02:00, Mon 2026-03-30 02:00 +02:00"},
        {"0,15,30,45 2 * * *", "2026-03-28 12:00", "Sun 2026-03-29 03:00 +02:00, Mon 2026-03-30 02:00 +02:00"},
        {"30 2 29 3 *", "2026-03-28 12:00", "Sun 2026-03-29 03:00 +02:00, Mon 2027-03-29 02:30 +02:00"},
        {"30 2,3 * * *", "2026-03-28 12:00", "Sun 2026-03-29 03:00 +02:00, Sun 2026-03-29 03:30 +02:00"},
        {"0 2-4 * * *", "2026-03-28 12:00", "Sun 2026-03-29 03:00 +02:00, Sun 2026-03-29 04:00 +02:00"},
        {"59 59 2 * * *", "2026-03-28 12:00", "Sun 2026-03-29 03:00 +02:00, Mon 2026-03-30 02:59:59 +02:00"},
        {"30 2 * * *", "2026-03-29 03:00", "Mon 2026-03-30 02:30 +02:00"},
        {"30 2 * * *", "2026-03-29 01:59:59", "Sun 2026-03-29 03:00 +02:00"},
    );
}

TEST(a_time_next_to_the_gap_is_not_moved)
{
    CHECK_RUNS("Europe/Berlin",
        {"59 1 * * *", "2026-03-28 12:00", "Sun 2026-03-29 01:59 +01:00, Mon 2026-03-30 01:59 +02:00"},
        {"0 3 * * *", "2026-03-28 12:00", "Sun 2026-03-29 03:00 +02:00, Mon 2026-03-30 03:00 +02:00"},
    );
}

TEST(what_repeats_leaves_out_what_is_skipped)
{
    CHECK_RUNS("Europe/Berlin",
        {"*/30 * * * *", "2026-03-29 01:15", "Sun 2026-03-29 01:30 +01:00, Sun 2026-03-29 03:00 +02:00, Sun 2026-03-29 03:30 +02:00"},
        {"15 * * * *", "2026-03-29 01:00", "Sun 2026-03-29 01:15 +01:00, Sun 2026-03-29 03:15 +02:00"},
        {"*/30 2 * * *", "2026-03-28 12:00", "Mon 2026-03-30 02:00 +02:00"},
        {"0/30 2 * * *", "2026-03-28 12:00", "Mon 2026-03-30 02:00 +02:00"},
        {"0 */2 * * *", "2026-03-29 00:00", "Sun 2026-03-29 04:00 +02:00"},
    );
}

TEST(a_schedule_that_only_repeats_inside_gaps_never_runs)
{
    CHECK_RUNS("Europe/Berlin", {"*/30 2 * 3 7L", "2026-01-01 00:00", "never"});
    CHECK_RUNS("Europe/Berlin", {"30 2 * 3 7L", "2026-01-01 00:00", "Sun 2026-03-29 03:00 +02:00"});
}

TEST(midnight_may_be_skipped)
{
    CHECK_RUNS("America/Sao_Paulo",
        {"@daily", "2018-11-03 12:00", "Sun 2018-11-04 01:00 -02:00, Mon 2018-11-05 00:00 -02:00"},
        {"30 0 * * SUN", "2018-11-03 12:00", "Sun 2018-11-04 01:00 -02:00, Sun 2018-11-11 00:30 -02:00"},
    );
}

TEST(a_whole_day_may_be_skipped)
{
    CHECK_RUNS("Pacific/Apia",
        {"0 12 * * *", "2011-12-28 13:00", "Thu 2011-12-29 12:00 -10:00, Sat 2011-12-31 00:00 +14:00, Sat 2011-12-31 12:00 +14:00"},
        {"0 12 30 * *", "2011-12-01 00:00", "Sat 2011-12-31 00:00 +14:00, Mon 2012-01-30 12:00 +14:00"},
        {"0 12 * * FRI", "2011-12-24 00:00", "Sat 2011-12-31 00:00 +14:00, Fri 2012-01-06 12:00 +14:00"},
        {"0 */6 * * *", "2011-12-29 17:00", "Thu 2011-12-29 18:00 -10:00, Sat 2011-12-31 00:00 +14:00, Sat 2011-12-31 06:00 +14:00"},
    );
}

TEST(gaps_of_half_an_hour_and_of_two_hours)
{
    CHECK_RUNS("Australia/Lord_Howe",
        {"15 2 * * *", "2026-10-03 12:00", "Sun 2026-10-04 02:30 +11:00, Mon 2026-10-05 02:15 +11:00"},
        {"45 2 * * *", "2026-10-03 12:00", "Sun 2026-10-04 02:45 +11:00"},
        {"*/15 * * * *", "2026-10-04 01:45", "Sun 2026-10-04 02:30 +11:00"},
        {"0 * * * *", "2026-10-04 01:00", "Sun 2026-10-04 03:00 +11:00"},
    );
    CHECK_RUNS("Antarctica/Troll",
        {"0 1 * * *", "2026-03-28 12:00", "Sun 2026-03-29 03:00 +02:00"},
        {"30 2 * * *", "2026-03-28 12:00", "Sun 2026-03-29 03:00 +02:00"},
        {"0 1,2 * * *", "2026-03-28 12:00", "Sun 2026-03-29 03:00 +02:00, Mon 2026-03-30 01:00 +02:00"},
    );
}

/* ---- clocks are set back ------------------------------------------------------------------- */

TEST(a_time_that_comes_twice_runs_the_first_time_only)
{
    CHECK_RUNS("Europe/Berlin",
        {"30 2 * * *", "2026-10-24 12:00", "Sun 2026-10-25 02:30 +02:00, Mon 2026-10-26 02:30 +01:00"},
        {"0,30 2 * * *", "2026-10-24 12:00", "Sun 2026-10-25 02:00 +02:00, Sun 2026-10-25 02:30 +02:00, Mon 2026-10-26 02:00 +01:00"},
        {"0 2,3 * * *", "2026-10-24 12:00", "Sun 2026-10-25 02:00 +02:00, Sun 2026-10-25 03:00 +01:00"},
        {"0 0-23 * * *", "2026-10-25 01:30", "Sun 2026-10-25 02:00 +02:00, Sun 2026-10-25 03:00 +01:00"},
        {"30 2 * * *", "2026-10-25 02:30", "Mon 2026-10-26 02:30 +01:00"},
    );
    CHECK_RUNS("Australia/Lord_Howe",
        {"45 1 * * *", "2026-04-04 12:00", "Sun 2026-04-05 01:45 +11:00, Mon 2026-04-06 01:45 +10:30"},
    );
    CHECK_RUNS("America/St_Johns", /* at one past midnight, to 23:01 of the day before */
        {"30 23 * * *", "2010-11-06 12:00", "Sat 2010-11-06 23:30 -02:30, Sun 2010-11-07 23:30 -03:30"},
        {"0 0 * * *", "2010-11-06 12:00", "Sun 2010-11-07 00:00 -02:30, Mon 2010-11-08 00:00 -03:30"},
    );
    CHECK_RUNS("Pacific/Kwajalein", /* at midnight, to 1:00 of the day before */
        {"0 20 * * *", "1969-09-29 12:00", "Mon 1969-09-29 20:00 +11:00, Tue 1969-09-30 20:00 +11:00, Wed 1969-10-01 20:00 -12:00"},
        {"0 * * * *", "1969-09-30 22:00", "Tue 1969-09-30 23:00 +11:00, Tue 1969-09-30 01:00 -12:00, Tue 1969-09-30 02:00 -12:00"},
    );
}

TEST(what_repeats_runs_both_times)
{
    CHECK_RUNS("Europe/Berlin",
        {"30 * * * *", "2026-10-25 01:30", "Sun 2026-10-25 02:30 +02:00, Sun 2026-10-25 02:30 +01:00, Sun 2026-10-25 03:30 +01:00"},
        {"*/30 2 * * *", "2026-10-24 12:00", "Sun 2026-10-25 02:00 +02:00, Sun 2026-10-25 02:30 +02:00, Sun 2026-10-25 02:00 +01:00, Sun 2026-10-25 02:30 +01:00, Mon 2026-10-26 02:00 +01:00"},
    );
    CHECK_RUNS("Australia/Lord_Howe",
        {"*/30 * * * *", "2026-04-05 01:00", "Sun 2026-04-05 01:30 +11:00, Sun 2026-04-05 01:30 +10:30, Sun 2026-04-05 02:00 +10:30"},
    );
}
// clang-format on

TEST(inside_the_second_time_the_first_is_over)
{
    struct weft_zone *zone = NULL;
    REQUIRE(weft_zone_open(&zone, "Europe/Berlin", WEFT_TEST_ZONES) == 0);
    int64_t second_us = INT64_C(1792891800) * 1000000; /* 2026-10-25 02:30 +01:00 */
    int64_t tomorrow_us = second_us + INT64_C(86400) * 1000000;
    CHECK_EQUAL(next("30 2 * * *", zone, second_us - 1000000), tomorrow_us);
    CHECK_EQUAL(next("30 2 * * *", zone, second_us - INT64_C(1800) * 1000000), tomorrow_us);
    CHECK_EQUAL(next("30 2 * * *", zone, second_us), tomorrow_us);
    CHECK_EQUAL(next("30 * * * *", zone, second_us - 1000000), second_us);
    weft_zone_close(zone);
}

/* A TZif file with one type, no table, and this rule between newlines. */
static struct weft_zone *made_zone(const char *rule)
{
    uint8_t file[44 + 44 + 6 + 4 + 64] = {0};
    struct weft_zone *zone = NULL;
    size_t len = strlen(rule);
    REQUIRE(len <= 64);
    memcpy(file, "TZif2", 5);
    memcpy(file + 44, "TZif2", 5);
    file[44 + 39] = 1;
    file[44 + 43] = 4;
    memcpy(file + 98, rule, len);
    REQUIRE(weft_zone_parse(&zone, "made", file, 98 + len) == 0);
    return zone;
}

#define HOUR_US INT64_C(3600000000)

TEST(a_gap_soon_after_an_overlap_repeats_nothing)
{
    /* Back from 12:00 to 9:00, and an hour later forward from 10:00 to 13:00. */
    struct weft_zone *zone = made_zone("\nAAA0BBB3,J100/12,J100/10\n");
    int64_t start_us = cron_text_time(zone, "2026-04-10 00:00");
    CHECK_EQUAL(next("0 11 * * *", zone, start_us), start_us + 11 * HOUR_US);
    CHECK_EQUAL(next("0 11 * * *", zone, start_us + 11 * HOUR_US), start_us + 35 * HOUR_US);
    CHECK_EQUAL(next("0 11 * * *", zone, start_us + 13 * HOUR_US - 1), start_us + 35 * HOUR_US);
    CHECK_EQUAL(next("30 12 * * *", zone, start_us), start_us + 13 * HOUR_US);
    CHECK_EQUAL(next("*/30 9 * * *", zone, start_us + 10 * HOUR_US), start_us + 12 * HOUR_US);
    weft_zone_close(zone);
    /* The same, but forward on the next day: what was shown between is over. */
    zone = made_zone("\nAAA0BBB3,J100/12,J101/10\n");
    CHECK_EQUAL(next("0 20 * * *", zone, start_us + 37 * HOUR_US - 1), start_us + 44 * HOUR_US);
    CHECK_EQUAL(next("0 12 * * *", zone, start_us + 37 * HOUR_US - 1), start_us + 37 * HOUR_US);
    weft_zone_close(zone);
}

/* A table that ends, and a rule after it: the runs of 300 years are one a day, or the gap's. */
TEST(a_daily_schedule_runs_every_day_of_300_years)
{
    static const char *const zones[] = {"Europe/Berlin", "America/Nuuk", "Asia/Gaza",
                                        "Africa/Casablanca", "fat/America/New_York"};
    for (size_t i = 0; i < sizeof zones / sizeof *zones; i++) {
        struct weft_zone *zone = NULL;
        struct weft_cron cron = parse("30 2 * * *");
        REQUIRE(weft_zone_open(&zone, zones[i], WEFT_TEST_ZONES) == 0);
        int64_t first_us = cron_text_time(zone, "1990-01-01 02:30"), run_us = first_us;
        for (int day = 1; day <= 300 * 365; day++)
            REQUIRE(weft_cron_next(&cron, zone, run_us, &run_us) == 0);
        int64_t days = (run_us - first_us + INT64_C(43200000000)) / INT64_C(86400000000);
        CHECK_EQUAL(days, 300 * 365);
        weft_zone_close(zone);
    }
}
