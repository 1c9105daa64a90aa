/* SPDX-License-Identifier: MIT
 * iso_time.c - see iso_time.h. */
#include <base/iso_time.h>

#include <errno.h>
#include <stdbool.h>

#define MICROS_PER_SECOND INT64_C(1000000)

struct cursor {
    const char *at, *end;
};

static bool take(struct cursor *cursor, char c)
{
    if (cursor->at == cursor->end || *cursor->at != c)
        return false;
    cursor->at++;
    return true;
}

/* Exactly count digits, from least to most. */
static bool take_number(struct cursor *cursor, unsigned count, int least, int most, int *ret_value)
{
    int value = 0;
    for (; count > 0; count--, cursor->at++) {
        if (cursor->at == cursor->end || *cursor->at < '0' || *cursor->at > '9')
            return false;
        value = value * 10 + (*cursor->at - '0');
    }
    *ret_value = value;
    return value >= least && value <= most;
}

static bool is_leap_year(int year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static int days_in_month(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return days[month - 1] + (month == 2 && is_leap_year(year));
}

/* Days from 1970-01-01 in the Gregorian calendar, also before its beginning. */
static int64_t days_since_1970(int year, int month, int day)
{
    static const int days_before[] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334};
    int64_t years = year + 400 - 1; /* whole ones, from 400 before: nothing below is negative */
    int64_t days = years * 365 + years / 4 - years / 100 + years / 400;
    days += days_before[month - 1] + (month > 2 && is_leap_year(year)) + day - 1;
    return days - 865259; /* 1970-01-01, counted so */
}

static bool take_date(struct cursor *cursor, int64_t *ret_days)
{
    int year, month, day;
    if (!take_number(cursor, 4, 0, 9999, &year) || !take(cursor, '-') ||
        !take_number(cursor, 2, 1, 12, &month) || !take(cursor, '-') ||
        !take_number(cursor, 2, 1, days_in_month(year, month), &day))
        return false;
    *ret_days = days_since_1970(year, month, day);
    return true;
}

static bool take_clock(struct cursor *cursor, int64_t *ret_us)
{
    int hour, minute, second, digit;
    if (!take_number(cursor, 2, 0, 23, &hour) || !take(cursor, ':') ||
        !take_number(cursor, 2, 0, 59, &minute) || !take(cursor, ':') ||
        !take_number(cursor, 2, 0, 59, &second))
        return false;
    int64_t us = ((hour * 60 + minute) * 60 + second) * MICROS_PER_SECOND;
    if (take(cursor, '.')) {
        int64_t unit_us = MICROS_PER_SECOND;
        unsigned digits = 0;
        for (; digits < 9 && take_number(cursor, 1, 0, 9, &digit); digits++) {
            unit_us /= 10; /* 0 from the seventh on */
            us += unit_us * digit;
        }
        if (digits == 0)
            return false;
    }
    *ret_us = us;
    return true;
}

/* What local time is ahead of UTC. */
static bool take_zone(struct cursor *cursor, int64_t *ret_us)
{
    int hours, minutes;
    *ret_us = 0;
    if (take(cursor, 'Z'))
        return true;
    bool behind = take(cursor, '-');
    if ((!behind && !take(cursor, '+')) || !take_number(cursor, 2, 0, 23, &hours) ||
        !take(cursor, ':') || !take_number(cursor, 2, 0, 59, &minutes))
        return false;
    int64_t ahead = hours * 60 + minutes;
    *ret_us = (behind ? -ahead : ahead) * 60 * MICROS_PER_SECOND;
    return true;
}

int weft_time_parse(int64_t *ret_unix_us, const char *text, size_t len)
{
    struct cursor cursor = {text, text + len};
    int64_t days, clock_us, zone_us;
    if (!take_date(&cursor, &days) || !take(&cursor, 'T') || !take_clock(&cursor, &clock_us) ||
        !take_zone(&cursor, &zone_us) || cursor.at != cursor.end)
        return -EINVAL;
    *ret_unix_us = days * 86400 * MICROS_PER_SECOND + clock_us - zone_us;
    return 0;
}
