/* SPDX-License-Identifier: MIT
 * date.c - the calendar, against that of the C library. */
#include "test.h"

#include <base/date.h>
#include <base/random.h>

#include <time.h>

static void check_day(int64_t days)
{
    struct weft_date date = weft_date_from_days(days);
    time_t time_s = days * WEFT_DAY_S;
    struct tm parts;
    REQUIRE(gmtime_r(&time_s, &parts));
    CHECK_EQUAL(date.year, parts.tm_year + INT64_C(1900));
    CHECK_EQUAL(date.month, parts.tm_mon + 1);
    CHECK_EQUAL(date.day, parts.tm_mday);
    CHECK_EQUAL(weft_date_weekday(days), parts.tm_wday);
    CHECK_EQUAL(weft_date_to_days(date.year, date.month, date.day), days);
}

TEST(every_day_of_800_years_is_the_date_the_c_library_says)
{
    int64_t start = weft_date_to_days(1600, 1, 1);
    for (int64_t days = start; days < start + 2 * WEFT_CALENDAR_DAYS; days++)
        check_day(days);
}

TEST(dates_far_away_are_right_too)
{
    struct weft_random random;
    weft_random_seed(&random, 20261121);
    for (int i = 0; i < 20000; i++)
        check_day((int64_t)weft_random_below(&random, UINT64_C(200) << 32) - (INT64_C(100) << 32));
    struct weft_date before = weft_date_from_days(weft_date_to_days(0, 3, 1) - 1);
    CHECK(before.year == 0 && before.month == 2 && before.day == 29);
}

TEST(a_month_ends_where_the_next_one_begins)
{
    for (int64_t year = -400; year < 2500; year++)
        for (int month = 1; month <= 12; month++) {
            int64_t next = month < 12 ? weft_date_to_days(year, month + 1, 1)
                                      : weft_date_to_days(year + 1, 1, 1);
            CHECK_EQUAL(weft_date_month_length(year, month),
                        next - weft_date_to_days(year, month, 1));
        }
}

TEST(division_rounds_down_on_both_sides_of_zero)
{
    CHECK_EQUAL(weft_floor_divide(7, 7), 1);
    CHECK_EQUAL(weft_floor_divide(6, 7), 0);
    CHECK_EQUAL(weft_floor_divide(-1, 7), -1);
    CHECK_EQUAL(weft_floor_divide(-7, 7), -1);
    CHECK_EQUAL(weft_floor_divide(-8, 7), -2);
    CHECK_EQUAL(weft_floor_divide(INT64_MIN, 1), INT64_MIN);
}
