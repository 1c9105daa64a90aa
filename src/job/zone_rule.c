/* SPDX-License-Identifier: MIT
 * zone_rule.c - see zone_rule.h. */
#include <job/zone_rule.h>

#include <base/date.h>

#include <errno.h>

/* ---- reading ------------------------------------------------------------------------------- */

/* What is left to read. */
struct text {
    const char *at, *end;
};

static bool take(struct text *text, char c)
{
    if (text->at == text->end || *text->at != c)
        return false;
    text->at++;
    return true;
}

static bool take_number(struct text *text, int min, int max, int *ret_number)
{
    int number = 0;
    const char *start = text->at;
    for (; text->at < text->end && *text->at >= '0' && *text->at <= '9'; text->at++) {
        number = number * 10 + (*text->at - '0');
        if (number > max)
            return false;
    }
    if (text->at == start || number < min)
        return false;
    *ret_number = number;
    return true;
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_in_name(char c, bool quoted)
{
    return is_letter(c) || (quoted && ((c >= '0' && c <= '9') || c == '+' || c == '-'));
}

/* CET or <+0330>: three characters at least. Nobody asks for it again. */
static bool skip_name(struct text *text)
{
    bool quoted = take(text, '<');
    const char *start = text->at;
    while (text->at < text->end && is_in_name(*text->at, quoted))
        text->at++;
    return text->at - start >= 3 && (!quoted || take(text, '>'));
}

/* [+-]hours[:minutes[:seconds]] */
static bool take_time(struct text *text, int hours_max, int32_t *ret_s)
{
    int hours, minutes = 0, seconds = 0;
    bool negative = take(text, '-');
    if (!negative)
        (void)take(text, '+');
    if (!take_number(text, 0, hours_max, &hours))
        return false;
    if (take(text, ':')) {
        if (!take_number(text, 0, 59, &minutes))
            return false;
        if (take(text, ':') && !take_number(text, 0, 59, &seconds))
            return false;
    }
    int32_t time_s = hours * 3600 + minutes * 60 + seconds;
    *ret_s = negative ? -time_s : time_s;
    return true;
}

/* ,Mmonth.week.day[/time] or ,Jday[/time] or ,day[/time] */
static bool take_change(struct text *text, struct weft_zone_change_day *change)
{
    bool good;
    change->time_s = 2 * 3600;
    if (!take(text, ','))
        return false;
    if (take(text, 'M')) {
        change->kind = WEFT_ZONE_NTH_WEEKDAY;
        good = take_number(text, 1, 12, &change->month) && take(text, '.') &&
               take_number(text, 1, 5, &change->week) && take(text, '.') &&
               take_number(text, 0, 6, &change->day);
    } else if (take(text, 'J')) {
        change->kind = WEFT_ZONE_NO_LEAP_DAY;
        good = take_number(text, 1, 365, &change->day);
    } else {
        change->kind = WEFT_ZONE_DAY_OF_YEAR;
        good = take_number(text, 0, 365, &change->day);
    }
    return good && (!take(text, '/') || take_time(text, 167, &change->time_s));
}

static bool take_rule(struct text *text, struct weft_zone_rule *rule)
{
    int32_t behind_s;
    if (!skip_name(text) || !take_time(text, 24, &behind_s))
        return false;
    rule->standard_s = -behind_s;
    rule->has_summer = text->at < text->end;
    if (!rule->has_summer)
        return true;
    rule->summer_s = rule->standard_s + 3600;
    if (!skip_name(text) || text->at == text->end)
        return false;
    if (*text->at != ',') {
        if (!take_time(text, 24, &behind_s))
            return false;
        rule->summer_s = -behind_s;
    }
    return take_change(text, &rule->from) && take_change(text, &rule->to);
}

int weft_zone_rule_parse(struct weft_zone_rule *ret, const char *text, size_t len)
{
    struct weft_zone_rule rule = {.has_summer = false};
    struct text rest = {text, text + len};
    if (!take_rule(&rest, &rule) || rest.at != rest.end)
        return -EBADMSG;
    *ret = rule;
    return 0;
}

/* ---- applying ------------------------------------------------------------------------------ */

struct event {
    int64_t at_s;
    int32_t offset_s; /* from then on */
};

static int64_t change_day(const struct weft_zone_change_day *change, int64_t year)
{
    if (change->kind == WEFT_ZONE_NO_LEAP_DAY && change->day >= 60)
        return weft_date_to_days(year, 3, 1) + change->day - 60;
    if (change->kind != WEFT_ZONE_NTH_WEEKDAY)
        return weft_date_to_days(year, 1, 1) + change->day -
               (change->kind == WEFT_ZONE_NO_LEAP_DAY);
    int64_t first = weft_date_to_days(year, change->month, 1);
    int day = (change->day - weft_date_weekday(first) + 7) % 7 + (change->week - 1) * 7;
    return first + (day < weft_date_month_length(year, change->month) ? day : day - 7);
}

/* The change is announced in the local time that ends with it. */
static struct event make_event(const struct weft_zone_change_day *change, int64_t year,
                               int32_t before_s, int32_t after_s)
{
    int64_t local_s = change_day(change, year) * WEFT_DAY_S + change->time_s;
    return (struct event){local_s - before_s, after_s};
}

/* In order of time; what comes later stays later where two are at once. */
static void insert(struct event *events, size_t len, struct event event)
{
    for (; len > 0 && events[len - 1].at_s > event.at_s; len--)
        events[len] = events[len - 1];
    events[len] = event;
}

/* A change can be a week outside of its year, so both changes of the year before may still be to
 * come, and both of the year after be over: two years either way always hold the nearest ones. */
#define YEARS  2
#define EVENTS ((size_t)2 * (2 * YEARS + 1))

static void list_events(const struct weft_zone_rule *rule, int64_t middle, struct event *events)
{
    size_t len = 0;
    for (int away = -YEARS; away <= YEARS; away++) {
        int64_t year = middle + away;
        struct event from = make_event(&rule->from, year, rule->standard_s, rule->summer_s);
        struct event to = make_event(&rule->to, year, rule->summer_s, rule->standard_s);
        bool summer_inside = from.at_s < to.at_s;
        insert(events, len++, summer_inside ? from : to);
        insert(events, len++, summer_inside ? to : from);
    }
}

struct weft_zone_span weft_zone_rule_span(const struct weft_zone_rule *rule, int64_t at_s)
{
    struct weft_zone_span span = {WEFT_ZONE_BEGIN_S, WEFT_ZONE_END_S, rule->standard_s};
    struct event events[EVENTS];
    if (!rule->has_summer)
        return span;
    list_events(rule, weft_date_from_days(weft_floor_divide(at_s, WEFT_DAY_S)).year, events);
    for (size_t i = 0; i < EVENTS; i++) {
        if (events[i].at_s > at_s) {
            span.end_s = events[i].at_s;
            break;
        }
        span.start_s = events[i].at_s;
        span.offset_s = events[i].offset_s;
    }
    return span;
}
