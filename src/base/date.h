/* SPDX-License-Identifier: MIT
 * date.h - days and dates of the Gregorian calendar, before and after 1970 alike, without a zone.
 *
 * A day is its distance from 1970-01-01. Months and days of a month count from 1, days of the week
 * from Sunday, 0. Years are those of ISO 8601: the year before 1 is 0. Everything here holds for at
 * least 30 thousand million years either way. */
#ifndef WEFT_BASE_DATE_H
#define WEFT_BASE_DATE_H

#include <stdint.h>

#define WEFT_DAY_S INT64_C(86400)

/* After this many days the calendar repeats, days of the week included: 400 years. */
#define WEFT_CALENDAR_DAYS INT64_C(146097)

struct weft_date {
    int64_t year;
    int month, day;
};

/* A date that does not exist counts on: February 30 is the day after February 29. */
int64_t weft_date_to_days(int64_t year, int month, int day);

struct weft_date weft_date_from_days(int64_t days);

/* How many days the month has, 28 to 31. */
int weft_date_month_length(int64_t year, int month);

int weft_date_weekday(int64_t days);

/* The quotient rounded down, also below zero; divisor above 0. */
static inline int64_t weft_floor_divide(int64_t dividend, int64_t divisor)
{
    int64_t quotient = dividend / divisor;
    return dividend % divisor < 0 ? quotient - 1 : quotient;
}

#endif
