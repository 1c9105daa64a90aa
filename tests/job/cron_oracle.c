/* SPDX-License-Identifier: MIT
 * cron_oracle.c - random schedules, followed step by step: second by second around the changes of
 * time zones, minute by minute through weeks, day by day through decades. Every step is asked
 * whether it matches, with the calendar of the C library, by a reading of the same fields that is
 * as plain as can be; the runs must be those of weft_cron_next. */
#include "test.h"

#include <base/buffer.h>
#include <base/random.h>
#include <job/cron.h>
#include <job/zone.h>

#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <time.h>

#define HOUR_S 3600
#define DAY_S  86400

/* The same schedule twice: as it is written, and as sets of what it means. */
struct oracle {
    struct weft_buffer text;
    bool values[WEFT_CRON_FIELDS][64];
    bool before_last[31], near[32], last_working;
    bool nth[6][7]; /* [0]: the last */
    bool star[WEFT_CRON_FIELDS], open[WEFT_CRON_FIELDS];
};

/* ---- writing ------------------------------------------------------------------------------- */

static const struct {
    int first, last;
} limits[WEFT_CRON_FIELDS] = {{0, 59}, {0, 59}, {0, 23}, {1, 31}, {1, 12}, {0, 6}};

static int below(struct weft_random *random, int bound)
{
    return (int)weft_random_below(random, (uint64_t)bound);
}

static int any_value(struct weft_random *random, int field)
{
    return limits[field].first + below(random, limits[field].last - limits[field].first + 1);
}

static void append_name(struct weft_random *random, struct oracle *oracle, const char *name)
{
    for (int i = 0; i < 3; i++)
        weft_buffer_append_char(&oracle->text, below(random, 2) ? name[i] : (char)tolower(name[i]));
}

/* A value in one of the ways it can be written. */
static void append_value(struct weft_random *random, struct oracle *oracle, int field, int value)
{
    static const char months[] = "JANFEBMARAPRMAYJUNJULAUGSEPOCTNOVDEC";
    static const char weekdays[] = "SUNMONTUEWEDTHUFRISAT";
    if (field == WEFT_CRON_MONTH && below(random, 2))
        append_name(random, oracle, months + (size_t)3 * (value - 1));
    else if (field == WEFT_CRON_WEEKDAY && below(random, 2))
        append_name(random, oracle, weekdays + (size_t)3 * value);
    else
        weft_buffer_append_format(&oracle->text, below(random, 4) ? "%d" : "%02d", value);
}

static void add_walk(struct oracle *oracle, int field, int from, int to, int step)
{
    int value = from;
    for (int i = 0;; i++) {
        if (i % step == 0)
            oracle->values[field][value] = true;
        if (value == to)
            return;
        value = value == limits[field].last ? limits[field].first : value + 1;
    }
}

static void write_special_day(struct weft_random *random, struct oracle *oracle)
{
    int n = 1 + below(random, 30);
    switch (below(random, 4)) {
    case 0:
        weft_buffer_append_string(&oracle->text, "L");
        oracle->before_last[0] = true;
        break;
    case 1:
        weft_buffer_append_format(&oracle->text, "L-%d", n);
        oracle->before_last[n] = true;
        break;
    case 2:
        weft_buffer_append_format(&oracle->text, "%dW", n + 1);
        oracle->near[n + 1] = true;
        break;
    default:
        weft_buffer_append_string(&oracle->text, "LW");
        oracle->last_working = true;
    }
}

static void write_special_weekday(struct weft_random *random, struct oracle *oracle)
{
    int weekday = below(random, 7), nth = below(random, 6);
    append_value(random, oracle, WEFT_CRON_WEEKDAY, weekday);
    if (nth == 0)
        weft_buffer_append_string(&oracle->text, "L");
    else
        weft_buffer_append_format(&oracle->text, "#%d", nth);
    oracle->nth[nth][weekday] = true;
}

static void write_item(struct weft_random *random, struct oracle *oracle, int field)
{
    int from = any_value(random, field), to = any_value(random, field), kind = below(random, 8);
    int step = 1 + below(random, limits[field].last - limits[field].first + 1);
    if (below(random, 2))
        step = 1 + below(random, 4);
    if (kind <= 1 && field == WEFT_CRON_DAY) {
        write_special_day(random, oracle);
    } else if (kind <= 1 && field == WEFT_CRON_WEEKDAY) {
        write_special_weekday(random, oracle);
    } else if (kind <= 3) {
        append_value(random, oracle, field, from);
        add_walk(oracle, field, from, from, 1);
    } else if (kind == 4) {
        append_value(random, oracle, field, from);
        weft_buffer_append_format(&oracle->text, "/%d", step);
        add_walk(oracle, field, from, limits[field].last, step);
        oracle->open[field] = true;
    } else if (kind == 5) {
        weft_buffer_append_format(&oracle->text, "*/%d", step);
        add_walk(oracle, field, limits[field].first, limits[field].last, step);
        oracle->star[field] = oracle->open[field] = true;
    } else {
        append_value(random, oracle, field, from);
        weft_buffer_append_char(&oracle->text, '-');
        append_value(random, oracle, field, to);
        if (kind == 7)
            weft_buffer_append_format(&oracle->text, "/%d", step);
        add_walk(oracle, field, from, to, kind == 7 ? step : 1);
    }
}

/* "*" in so many of a hundred schedules. */
static void write_field(struct weft_random *random, struct oracle *oracle, int field, int stars)
{
    if (below(random, 100) < stars) {
        bool day = field == WEFT_CRON_DAY || field == WEFT_CRON_WEEKDAY;
        weft_buffer_append_char(&oracle->text, day && below(random, 3) == 0 ? '?' : '*');
        add_walk(oracle, field, limits[field].first, limits[field].last, 1);
        oracle->star[field] = oracle->open[field] = true;
    } else {
        for (int items = 1 + below(random, 3); items > 0; items--) {
            write_item(random, oracle, field);
            if (items > 1)
                weft_buffer_append_char(&oracle->text, ',');
        }
    }
    weft_buffer_append_char(&oracle->text, ' ');
}

/* A fixed text for the finer fields where steps are too large to see them. */
static void write_schedule(struct weft_random *random, struct oracle *oracle, int finest)
{
    static const int stars[WEFT_CRON_FIELDS] = {30, 30, 40, 60, 80, 60};
    memset(oracle, 0, sizeof *oracle);
    weft_buffer_init(&oracle->text, WEFT_CRON_TEXT_MAX);
    for (int field = finest > WEFT_CRON_SECOND; field < WEFT_CRON_FIELDS; field++) {
        if (field < finest)
            weft_buffer_append_string(&oracle->text, "0 ");
        else
            write_field(random, oracle, field, stars[field]);
    }
    for (int field = 0; field < finest; field++)
        oracle->values[field][0] = true;
    REQUIRE(!oracle->text.err);
}

/* ---- matching ------------------------------------------------------------------------------ */

static int month_length(const struct tm *date)
{
    struct tm next = {.tm_year = date->tm_year, .tm_mon = date->tm_mon + 1, .tm_mday = 1};
    time_t time_s = timegm(&next) - DAY_S;
    REQUIRE(gmtime_r(&time_s, &next));
    return next.tm_mday;
}

static bool is_working(const struct tm *date, int day)
{
    int weekday = ((date->tm_wday + day - date->tm_mday) % 7 + 7) % 7;
    return weekday >= 1 && weekday <= 5;
}

/* The first of the day itself, the one before, the one after, and so on, that will do. */
static bool is_nearest(const struct tm *date, int to, int length)
{
    static const int away[] = {0, -1, 1, -2, 2};
    if (to > length)
        return false;
    for (int i = 0; i < 5; i++) {
        int day = to + away[i];
        if (day >= 1 && day <= length && is_working(date, day))
            return day == date->tm_mday;
    }
    return false;
}

static bool day_matches(const struct oracle *oracle, const struct tm *date)
{
    int length = month_length(date), last = length;
    bool by_number =
        oracle->values[WEFT_CRON_DAY][date->tm_mday] || oracle->before_last[length - date->tm_mday];
    bool by_weekday = oracle->values[WEFT_CRON_WEEKDAY][date->tm_wday] ||
                      oracle->nth[(date->tm_mday + 6) / 7][date->tm_wday] ||
                      (oracle->nth[0][date->tm_wday] && date->tm_mday + 7 > length);
    for (int day = 1; day <= 31; day++)
        by_number = by_number || (oracle->near[day] && is_nearest(date, day, length));
    while (!is_working(date, last))
        last--;
    by_number = by_number || (oracle->last_working && date->tm_mday == last);
    if (oracle->star[WEFT_CRON_DAY] || oracle->star[WEFT_CRON_WEEKDAY])
        return by_number && by_weekday;
    return by_number || by_weekday;
}

static bool matches(const struct oracle *oracle, int64_t local_s)
{
    time_t time_s = local_s;
    struct tm parts;
    REQUIRE(gmtime_r(&time_s, &parts));
    return oracle->values[WEFT_CRON_SECOND][parts.tm_sec] &&
           oracle->values[WEFT_CRON_MINUTE][parts.tm_min] &&
           oracle->values[WEFT_CRON_HOUR][parts.tm_hour] &&
           oracle->values[WEFT_CRON_MONTH][parts.tm_mon + 1] && day_matches(oracle, &parts);
}

/* A schedule that repeats runs when its time is shown. Any other runs when its time is shown, or
 * passed over, and was not shown or passed over before. */
struct clock {
    const struct weft_zone *zone;
    struct weft_zone_span span;
    int64_t passed_s; /* the first local time that is not over */
};

static bool runs_at(const struct oracle *oracle, struct clock *clock, int64_t at_s, int step_s)
{
    bool found = false;
    if (at_s >= clock->span.end_s)
        clock->span = weft_zone_span(clock->zone, at_s);
    int64_t local_s = at_s + clock->span.offset_s;
    if (oracle->open[WEFT_CRON_SECOND] || oracle->open[WEFT_CRON_MINUTE] ||
        oracle->open[WEFT_CRON_HOUR])
        return matches(oracle, local_s);
    for (; clock->passed_s <= local_s; clock->passed_s += step_s)
        found = found || matches(oracle, clock->passed_s);
    return found;
}

/* ---- comparing ----------------------------------------------------------------------------- */

static bool ever_matches(const struct oracle *oracle)
{
    struct oracle days = *oracle;
    for (int field = WEFT_CRON_SECOND; field <= WEFT_CRON_HOUR; field++)
        memset(days.values[field], true, sizeof days.values[field]);
    for (int64_t day = 0; day < 146097; day++)
        if (matches(&days, day * DAY_S))
            return true;
    return false;
}

/* Asked anew just before a time, the next run is still the one that was expected. */
static void ask_anew(const struct weft_cron *cron, const struct weft_zone *zone, int64_t at_s,
                     int err, int64_t expected_us)
{
    int64_t run_us = 0;
    CHECK_EQUAL(weft_cron_next(cron, zone, at_s * 1000000 - 1, &run_us), err);
    if (err == 0)
        CHECK_EQUAL(run_us, expected_us);
}

/* Both from start_s on; returns how many runs there were. */
static int compare(struct weft_random *random, struct oracle *oracle, const struct weft_zone *zone,
                   int64_t start_s, int64_t end_s, int step_s)
{
    struct weft_cron cron;
    struct clock clock = {zone, weft_zone_span(zone, start_s), 0};
    char error[WEFT_CRON_ERROR_BYTES] = "";
    int64_t run_us = start_s * 1000000 - 1;
    int runs = 0;
    if (weft_cron_parse(&cron, oracle->text.data, oracle->text.len, error, sizeof error) < 0) {
        CHECK(strcmp(error, "day: no such day ever comes") == 0);
        CHECK(!ever_matches(oracle));
        return 0;
    }
    clock.passed_s = start_s + clock.span.offset_s;
    int err = weft_cron_next(&cron, zone, run_us, &run_us);
    for (int64_t at_s = start_s; at_s < end_s; at_s += step_s) {
        bool runs_now = runs_at(oracle, &clock, at_s, step_s);
        if (below(random, 500) == 0)
            ask_anew(&cron, zone, at_s, err, run_us);
        if (runs_now != (err == 0 && run_us == at_s * 1000000)) {
            test_failed(__FILE__, __LINE__, "the same runs");
            test_note("%.*s in %s at %lld: %s", (int)oracle->text.len, oracle->text.data,
                      weft_zone_name(zone), (long long)at_s, runs_now ? "left out" : "too many");
            return runs;
        }
        if (runs_now)
            err = weft_cron_next(&cron, zone, run_us, &run_us);
        runs += runs_now;
    }
    CHECK(err == -ERANGE || run_us >= end_s * 1000000);
    return runs;
}

static const char *const zones[] = {
    "Africa/Casablanca",
    "America/New_York",
    "America/Nuuk",
    "America/Sao_Paulo",
    "America/St_Johns",
    "Antarctica/Troll",
    "Asia/Gaza",
    "Asia/Kolkata",
    "Europe/Berlin",
    "Australia/Lord_Howe",
    "Europe/Dublin",
    "Pacific/Apia",
    "UTC",
    "Pacific/Kwajalein",
    "fat/America/New_York",
};
#define ZONES (sizeof zones / sizeof *zones)

/* A change of the zone, whole days after the one before; or any time when there is none. */
static int64_t pick_change(struct weft_random *random, const struct weft_zone *zone)
{
    int64_t at_s = (int64_t)weft_random_below(random, INT64_C(90) * 365 * DAY_S);
    struct weft_zone_span span = weft_zone_span(zone, at_s);
    while (span.end_s < WEFT_ZONE_END_S && span.end_s - span.start_s < (int64_t)4 * DAY_S)
        span = weft_zone_span(zone, span.end_s);
    return span.end_s == WEFT_ZONE_END_S ? at_s / 60 * 60 : span.end_s;
}

static int compare_around_changes(uint64_t seed, int schedules, int finest, int64_t before_s,
                                  int64_t after_s, int step_s)
{
    struct weft_random random;
    int runs = 0;
    weft_random_seed(&random, seed);
    for (int i = 0; i < schedules; i++) {
        struct oracle oracle;
        struct weft_zone *zone = NULL;
        REQUIRE(weft_zone_open(&zone, zones[(size_t)i % ZONES], WEFT_TEST_ZONES) == 0);
        int64_t change_s = pick_change(&random, zone);
        write_schedule(&random, &oracle, finest);
        runs += compare(&random, &oracle, zone, change_s - before_s, change_s + after_s, step_s);
        weft_buffer_deinit(&oracle.text);
        weft_zone_close(zone);
    }
    return runs;
}

TEST(second_by_second_around_changes_of_the_clock)
{
    CHECK(compare_around_changes(1, 300, WEFT_CRON_SECOND, 3 * HOUR_S, 3 * HOUR_S, 1) > 50000);
}

TEST(second_by_second_from_the_change_on)
{
    CHECK(compare_around_changes(2, 200, WEFT_CRON_SECOND, 1, 2 * HOUR_S, 1) > 10000);
}

TEST(minute_by_minute_through_the_weeks_around_changes)
{
    CHECK(compare_around_changes(3, 200, WEFT_CRON_MINUTE, 2 * DAY_S, 12 * DAY_S, 60) > 50000);
}

TEST(hour_by_hour_through_years)
{
    struct weft_random random;
    int runs = 0;
    weft_random_seed(&random, 4);
    for (int i = 0; i < 60; i++) {
        struct oracle oracle;
        int64_t start_s = below(&random, 40000) * (int64_t)DAY_S;
        write_schedule(&random, &oracle, WEFT_CRON_HOUR);
        runs += compare(&random, &oracle, NULL, start_s, start_s + INT64_C(800) * DAY_S, HOUR_S);
        weft_buffer_deinit(&oracle.text);
    }
    CHECK(runs > 10000);
}

TEST(day_by_day_through_decades)
{
    struct weft_random random;
    int runs = 0;
    weft_random_seed(&random, 5);
    for (int i = 0; i < 200; i++) {
        struct oracle oracle;
        int64_t start_s = (below(&random, 150000) - 50000) * (int64_t)DAY_S;
        write_schedule(&random, &oracle, WEFT_CRON_DAY);
        runs += compare(&random, &oracle, NULL, start_s, start_s + INT64_C(6000) * DAY_S, DAY_S);
        weft_buffer_deinit(&oracle.text);
    }
    CHECK(runs > 10000);
}
