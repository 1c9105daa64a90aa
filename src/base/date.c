/* SPDX-License-Identifier: MIT
 * date.c - see date.h.
 *
 * Inside, years begin in March: the leap day is then the last day of its year, and the lengths of
 * the months before it follow one formula. Turned round as in Hinnant, "chrono-Compatible Low-Level
 * Date Algorithms". */
#include <base/date.h>

#include <stdbool.h>

/* Days from 0000-03-01 to 1970-01-01. */
#define EPOCH INT64_C(719468)

/* Days from the first of March to the first of a month, March being 0. */
static int days_before_month(int march_month)
{
    return (153 * march_month + 2) / 5;
}

int64_t weft_date_to_days(int64_t year, int month, int day)
{
    int64_t march_year = month < 3 ? year - 1 : year;
    int64_t leap_days = weft_floor_divide(march_year, 4) - weft_floor_divide(march_year, 100) +
                        weft_floor_divide(march_year, 400);
    return march_year * 365 + leap_days + days_before_month((month + 9) % 12) + day - 1 - EPOCH;
}

struct weft_date weft_date_from_days(int64_t days)
{
    int64_t cycle = weft_floor_divide(days + EPOCH, WEFT_CALENDAR_DAYS);
    int64_t in_cycle = days + EPOCH - cycle * WEFT_CALENDAR_DAYS;
    /* Take the leap days out, those of 4, 100 and 400 years, and all years are equally long. */
    int64_t year = (in_cycle - in_cycle / 1460 + in_cycle / 36524 - in_cycle / 146096) / 365;
    int in_year = (int)(in_cycle - (365 * year + year / 4 - year / 100));
    int march_month = (5 * in_year + 2) / 153;
    int month = march_month < 10 ? march_month + 3 : march_month - 9;
    return (struct weft_date){
        .year = cycle * 400 + year + (month < 3),
        .month = month,
        .day = in_year - days_before_month(march_month) + 1,
    };
}

static bool is_leap(int64_t year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

int weft_date_month_length(int64_t year, int month)
{
    static const int8_t lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return month == 2 && is_leap(year) ? 29 : lengths[month - 1];
}

int weft_date_weekday(int64_t days)
{
    return (int)(days + 4 - weft_floor_divide(days + 4, 7) * 7); /* 1970-01-01 was a Thursday */
}
