/* SPDX-License-Identifier: MIT
 * iso_time.c - see iso_time.h. */
#include <base/date.h>
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

static bool take_date(struct cursor *cursor, int64_t *ret_days)
{
    int year, month, day;
    if (!take_number(cursor, 4, 0, 9999, &year) || !take(cursor, '-') ||
        !take_number(cursor, 2, 1, 12, &month) || !take(cursor, '-') ||
        !take_number(cursor, 2, 1, weft_date_month_length(year, month), &day))
        return false;
    *ret_days = weft_date_to_days(year, month, day);
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
    *ret_unix_us = days * WEFT_DAY_S * MICROS_PER_SECOND + clock_us - zone_us;
    return 0;
}
