/* SPDX-License-Identifier: MIT
 * retry_after.c - see weft/retry_after.h.
 *
 * The three forms of a date are three patterns for one small matcher. A failed match leaves nothing
 * behind. */
#include <base/date.h>
#include <base/time.h>

#include <weft/retry_after.h>

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#define SECONDS_MAX (WEFT_FOREVER / WEFT_SEC)

struct date {
    int64_t year;
    int month, day, hour, minute, second; /* month from 0 */
    bool short_year;
};

/* What is left to read. */
struct text {
    const char *at, *end;
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* ---- the matcher --------------------------------------------------------------------------- */

static bool take_char(struct text *text, char c)
{
    if (text->at == text->end || *text->at != c)
        return false;
    text->at++;
    return true;
}

static bool take_number(struct text *text, unsigned digits, int *ret_number)
{
    int number = 0;
    for (; digits > 0; digits--, text->at++) {
        if (text->at == text->end || !is_digit(*text->at))
            return false;
        number = number * 10 + (*text->at - '0');
    }
    *ret_number = number;
    return true;
}

/* One of some words; its index. A longer word that begins like a shorter one does not occur. */
static bool take_word(struct text *text, const char *const *words, int words_len, int *ret_index)
{
    for (int i = 0; i < words_len; i++) {
        size_t len = strlen(words[i]);
        if ((size_t)(text->end - text->at) < len || memcmp(text->at, words[i], len) != 0)
            continue;
        text->at += len;
        *ret_index = i;
        return true;
    }
    return false;
}

static bool take_day_name(struct text *text, bool whole)
{
    static const char *const short_names[] = {"Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"};
    static const char *const whole_names[] = {"Monday", "Tuesday",  "Wednesday", "Thursday",
                                              "Friday", "Saturday", "Sunday"};
    int ignored;
    return take_word(text, whole ? whole_names : short_names, 7, &ignored);
}

static bool take_month(struct text *text, int *ret_month)
{
    static const char *const names[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                        "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    return take_word(text, names, 12, ret_month);
}

/* The second form of asctime: a blank in place of the first digit. */
static bool take_padded_day(struct text *text, int *ret_day)
{
    return take_char(text, ' ') ? take_number(text, 1, ret_day) : take_number(text, 2, ret_day);
}

static bool take_year(struct text *text, unsigned digits, struct date *date)
{
    int year;
    if (!take_number(text, digits, &year))
        return false;
    date->year = year;
    date->short_year = digits == 2;
    return true;
}

/* What stands for what in a pattern: 'w' the day of the week, 'W' in full, 'd' the day, '_' the
 * same padded with a blank, 'b' the month, 'y' a year of two digits, 'Y' of four, 'H', 'M', 'S' the
 * time; all else for itself. */
static bool take_field(struct text *text, char field, struct date *date)
{
    switch (field) {
    case 'w':
    case 'W':
        return take_day_name(text, field == 'W');
    case 'd':
        return take_number(text, 2, &date->day);
    case '_':
        return take_padded_day(text, &date->day);
    case 'b':
        return take_month(text, &date->month);
    case 'y':
    case 'Y':
        return take_year(text, field == 'y' ? 2 : 4, date);
    case 'H':
        return take_number(text, 2, &date->hour);
    case 'M':
        return take_number(text, 2, &date->minute);
    case 'S':
        return take_number(text, 2, &date->second);
    default:
        return take_char(text, field);
    }
}

static bool match(struct text text, const char *pattern, const char *suffix, struct date *date)
{
    for (; *pattern; pattern++) {
        if (!take_field(&text, *pattern, date))
            return false;
    }
    for (; *suffix; suffix++) {
        if (!take_char(&text, *suffix))
            return false;
    }
    return text.at == text.end;
}

/* ---- dates --------------------------------------------------------------------------------- */

static bool exists(const struct date *date)
{
    return date->year >= 1 && date->day >= 1 &&
           date->day <= weft_date_month_length(date->year, date->month + 1) && date->hour <= 23 &&
           date->minute <= 59 && date->second <= 60; /* a leap second */
}

/* The year of a time; within what HTTP can write. */
static int64_t year_of(int64_t time_s)
{
    int64_t year = weft_date_from_days(weft_floor_divide(time_s, WEFT_DAY_S)).year;
    return year < 1 ? 1 : year > 9999 ? 9999 : year;
}

/* The last year with these two digits that is at most 50 years ahead. */
static int64_t whole_year(int64_t digits, int64_t now_s)
{
    int64_t last = year_of(now_s) + 50;
    int64_t back = (last - digits) % 100;
    return back < 0 ? last - back - 100 : last - back;
}

static struct text trimmed(const char *value, size_t len)
{
    struct text text = {value, value + len};
    while (text.at < text.end && (*text.at == ' ' || *text.at == '\t'))
        text.at++;
    while (text.end > text.at && (text.end[-1] == ' ' || text.end[-1] == '\t'))
        text.end--;
    return text;
}

static int parse_date(struct text text, int64_t now_s, int64_t *ret_date_s)
{
    struct date date = {.year = 0};
    if (!match(text, "w, d b Y H:M:S", " GMT", &date) &&
        !match(text, "W, d-b-y H:M:S", " GMT", &date) && !match(text, "w b _ H:M:S Y", "", &date))
        return -EINVAL;
    if (date.short_year)
        date.year = whole_year(date.year, now_s);
    if (!exists(&date))
        return -EINVAL;
    int64_t minutes = (int64_t)date.hour * 60 + date.minute;
    *ret_date_s = weft_date_to_days(date.year, date.month + 1, date.day) * WEFT_DAY_S +
                  minutes * 60 + date.second;
    return 0;
}

int weft_http_date_parse(const char *value, size_t len, int64_t now_s, int64_t *ret_date_s)
{
    return parse_date(trimmed(value, len), now_s, ret_date_s);
}

/* ---- Retry-After --------------------------------------------------------------------------- */

static int64_t from_seconds(int64_t seconds)
{
    if (seconds <= 0)
        return 0;
    return seconds > SECONDS_MAX ? WEFT_FOREVER : seconds * WEFT_SEC;
}

/* Digits and nothing else, however many. */
static int parse_seconds(struct text text, int64_t *ret_delay_ns)
{
    int64_t seconds = 0;
    if (text.at == text.end)
        return -EINVAL;
    for (; text.at < text.end; text.at++) {
        if (!is_digit(*text.at))
            return -EINVAL;
        if (seconds <= SECONDS_MAX)
            seconds = seconds * 10 + (*text.at - '0');
    }
    *ret_delay_ns = from_seconds(seconds);
    return 0;
}

int weft_retry_after_parse(const char *value, size_t len, int64_t date_s, int64_t *ret_delay_ns)
{
    int64_t until_s;
    struct text text = trimmed(value, len);
    if (parse_seconds(text, ret_delay_ns) == 0)
        return 0;
    int err = parse_date(text, date_s, &until_s);
    if (err < 0)
        return err;
    /* Dates have years of four digits: only date_s can be far out. */
    bool long_over = date_s > INT64_MAX / 2, far = date_s < -(INT64_MAX / 2);
    *ret_delay_ns = far ? WEFT_FOREVER : long_over ? 0 : from_seconds(until_s - date_s);
    return 0;
}

int64_t weft_retry_after_delay(int64_t retry_after_ns, int64_t planned_ns, int64_t cap_ns)
{
    if (retry_after_ns > cap_ns)
        return -1;
    if (retry_after_ns <= planned_ns)
        return planned_ns;
    return weft_time_after(retry_after_ns, planned_ns / 8);
}
