/* SPDX-License-Identifier: MIT
 * cron.c - see cron.h: from one run to the next.
 *
 * A zone is a row of spans with one offset each. Inside a span the clock on the wall simply goes
 * on, so the next local time that matches is found by the calendar alone, field by field: months
 * that do not match are skipped whole, a month that does is a mask of its days.
 *
 * Where two spans meet, clocks are set, and one rule covers it. A schedule that repeats runs
 * whenever clocks show one of its times. Any other runs when clocks show one of its times, or a
 * later one, for the first time: so a time that is skipped runs at the instant it is skipped, and
 * of a time that comes twice the second is over already. */
#include <job/cron_internal.h>

#include <base/date.h>
#include <job/zone.h>

#include <errno.h>

/* The calendar repeats; some days more, because zones may not agree on when it does. */
#define SEARCH_US ((WEFT_CALENDAR_DAYS + 7) * WEFT_DAY_S * WEFT_CRON_SECOND_US)

/* ---- the days of a month ------------------------------------------------------------------- */

static uint32_t bit(int n)
{
    return UINT32_C(1) << n;
}

/* Of bits that are not all 0, the highest one alone. */
static uint32_t highest(uint32_t bits)
{
    return UINT32_C(0x80000000) >> __builtin_clz(bits);
}

/* Days 1 to length. */
static uint32_t whole_month(int length)
{
    return (uint32_t)((UINT64_C(2) << length) - 2);
}

/* All days of a month that are this weekday. */
static uint32_t weekday_days(int weekday, int length, int first_weekday)
{
    uint64_t days = UINT64_C(0x10204081) << (1 + (weekday - first_weekday + 7) % 7);
    return (uint32_t)days & whole_month(length);
}

/* The nth seven days: each weekday is among them once, the nth time in the month. */
static uint32_t seven_days(int nth)
{
    return (uint32_t)(UINT64_C(0x7f) << (7 * nth - 6));
}

static uint32_t days_by_weekday(const struct weft_cron *cron, int length, int first_weekday)
{
    uint32_t found = 0;
    for (int weekday = 0; weekday < 7; weekday++) {
        uint32_t days = weekday_days(weekday, length, first_weekday);
        if (cron->values[WEFT_CRON_WEEKDAY] & bit(weekday))
            found |= days;
        if (cron->weekdays_in_month[0] & bit(weekday))
            found |= highest(days);
        for (int nth = 1; nth <= 5; nth++)
            if (cron->weekdays_in_month[nth] & bit(weekday))
                found |= days & seven_days(nth);
    }
    return found;
}

/* The working day for a day, both as bits: Friday for Saturday, Monday for Sunday; the other one
 * where that is in another month. */
static uint32_t nearest(uint32_t day, uint32_t working)
{
    const uint32_t nearby[] = {day, day >> 1, day << 1, day >> 2, day << 2};
    for (size_t i = 0; i < sizeof nearby / sizeof *nearby; i++)
        if (nearby[i] & working)
            return nearby[i];
    return 0;
}

static uint32_t days_by_number(const struct weft_cron *cron, int length, int first_weekday)
{
    uint32_t month = whole_month(length);
    uint32_t working =
        month & ~weekday_days(6, length, first_weekday) & ~weekday_days(0, length, first_weekday);
    uint32_t found = (uint32_t)cron->values[WEFT_CRON_DAY] & month;
    if (cron->working_days_near & 1)
        found |= highest(working);
    for (uint32_t left = cron->working_days_near & month; left; left &= left - 1)
        found |= nearest(left & -left, working);
    for (uint32_t left = cron->days_before_last; left; left &= left - 1)
        found |= bit(length) >> __builtin_ctz(left) & month;
    return found;
}

uint32_t weft_cron_month_days(const struct weft_cron *cron, int length, int first_weekday)
{
    uint32_t by_number = days_by_number(cron, length, first_weekday);
    uint32_t by_weekday = days_by_weekday(cron, length, first_weekday);
    return cron->either_day ? by_number | by_weekday : by_number & by_weekday;
}

/* ---- the next local time ------------------------------------------------------------------- */

/* The lowest value that is in the set and at least from; -1 when there is none. */
static int lowest(const struct weft_cron *cron, enum weft_cron_field field, int from)
{
    uint64_t values = cron->values[field] >> from << from;
    return values ? __builtin_ctzll(values) : -1;
}

/* The first time of day at or after one, in seconds; -1 when there is none on the same day. */
static int next_time(const struct weft_cron *cron, int from_s)
{
    int hour = from_s / 3600, minute = from_s / 60 % 60;
    int found_second = lowest(cron, WEFT_CRON_SECOND, from_s % 60);
    if (found_second < 0)
        minute++;
    int found_minute = lowest(cron, WEFT_CRON_MINUTE, minute);
    if (found_minute < 0)
        hour++;
    int found_hour = lowest(cron, WEFT_CRON_HOUR, hour);
    if (found_hour < 0)
        return -1;
    if (found_hour != hour || found_minute < 0)
        found_minute = lowest(cron, WEFT_CRON_MINUTE, 0);
    else if (found_minute == minute && found_second >= 0)
        return found_hour * 3600 + found_minute * 60 + found_second;
    return found_hour * 3600 + found_minute * 60 + lowest(cron, WEFT_CRON_SECOND, 0);
}

struct month {
    int64_t year;
    int month;
    int64_t first_day;
};

/* The first month at or after one that is in the schedule. */
static struct month matching_month(const struct weft_cron *cron, int64_t year, int month)
{
    int found = month <= 12 ? lowest(cron, WEFT_CRON_MONTH, month) : -1;
    if (found < 0) {
        year++;
        found = lowest(cron, WEFT_CRON_MONTH, 1);
    }
    return (struct month){year, found, weft_date_to_days(year, found, 1)};
}

/* The first local time that matches, at or after from_s and before until_s. */
static bool next_local(const struct weft_cron *cron, int64_t from_s, int64_t until_s,
                       int64_t *ret_s)
{
    int64_t from_day = weft_floor_divide(from_s, WEFT_DAY_S);
    struct weft_date date = weft_date_from_days(from_day);
    struct month month = matching_month(cron, date.year, date.month);
    for (; month.first_day * WEFT_DAY_S < until_s;
         month = matching_month(cron, month.year, month.month + 1)) {
        int length = weft_date_month_length(month.year, month.month);
        uint32_t days = weft_cron_month_days(cron, length, weft_date_weekday(month.first_day));
        for (; days; days &= days - 1) {
            int64_t day = month.first_day + __builtin_ctz(days) - 1;
            if (day < from_day)
                continue;
            int time_s = next_time(cron, day == from_day ? (int)(from_s - day * WEFT_DAY_S) : 0);
            if (time_s < 0)
                continue;
            *ret_s = day * WEFT_DAY_S + time_s;
            return *ret_s < until_s;
        }
    }
    return false;
}

/* ---- instants ------------------------------------------------------------------------------ */

/* The first run after a time, at multiples of the interval from the anchor; not at the anchor. */
static bool next_interval(const struct weft_cron *cron, int64_t after_us, int64_t *ret_us)
{
    int64_t from_us = after_us < cron->anchor_us ? cron->anchor_us : after_us, next_us;
    uint64_t since_us = (uint64_t)from_us - (uint64_t)cron->anchor_us;
    int64_t left_us = cron->every_us - (int64_t)(since_us % (uint64_t)cron->every_us);
    if (__builtin_add_overflow(from_us, left_us, &next_us))
        return false;
    *ret_us = next_us;
    return true;
}

static int64_t later(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* The local time up to which clocks had gone when a span began. What ended longer ago than two
 * offsets can differ cannot have shown a later one. */
static int64_t passed_before(const struct weft_zone *zone, int64_t start_s)
{
    int64_t passed_s = WEFT_ZONE_BEGIN_S, at_s = start_s;
    while (at_s > WEFT_ZONE_BEGIN_S && at_s > start_s - WEFT_ZONE_SPREAD_S) {
        struct weft_zone_span span = weft_zone_span(zone, at_s - 1);
        passed_s = later(passed_s, span.end_s + span.offset_s);
        at_s = span.start_s;
    }
    return passed_s;
}

/* The first run at or after at_s and before until_s. */
static bool next_run(const struct weft_cron *cron, const struct weft_zone *zone, int64_t at_s,
                     int64_t until_s, int64_t *ret_s)
{
    struct weft_zone_span span = weft_zone_span(zone, at_s);
    int64_t passed_s = passed_before(zone, span.start_s), match_s;
    while (at_s < until_s) {
        int64_t from_s = at_s + span.offset_s;
        int64_t end_s = span.end_s < until_s ? span.end_s : until_s;
        if (!cron->repeats)
            from_s = at_s == span.start_s ? passed_s : later(from_s, passed_s);
        if (next_local(cron, from_s, end_s + span.offset_s, &match_s)) {
            match_s -= span.offset_s;
            *ret_s = later(match_s, at_s); /* what is skipped just now would be before it */
            return true;
        }
        passed_s = later(passed_s, span.end_s + span.offset_s);
        at_s = span.end_s;
        span = weft_zone_span(zone, at_s);
    }
    return false;
}

bool weft_cron_first(const struct weft_cron *cron, const struct weft_zone *zone, int64_t after_us,
                     int64_t until_us, int64_t *ret_us)
{
    int64_t run_s, run_us;
    if (cron->every_us > 0) {
        if (!next_interval(cron, after_us, &run_us) || run_us > until_us)
            return false;
    } else {
        int64_t from_s = weft_floor_divide(after_us, WEFT_CRON_SECOND_US) + 1;
        int64_t until_s = weft_floor_divide(until_us, WEFT_CRON_SECOND_US) + 1;
        if (!next_run(cron, zone, from_s, until_s, &run_s))
            return false;
        run_us = run_s * WEFT_CRON_SECOND_US;
    }
    *ret_us = run_us;
    return true;
}

int weft_cron_next(const struct weft_cron *cron, const struct weft_zone *zone, int64_t after_us,
                   int64_t *ret_us)
{
    int64_t until_us;
    if (cron->every_us > 0 || __builtin_add_overflow(after_us, SEARCH_US, &until_us))
        until_us = INT64_MAX;
    return weft_cron_first(cron, zone, after_us, until_us, ret_us) ? 0 : -ERANGE;
}
