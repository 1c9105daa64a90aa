/* SPDX-License-Identifier: MIT
 * cron_parse.c - reads the expression of a schedule; the language is told in docs/cron.md. */
#include <job/cron_internal.h>

#include <base/date.h>

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define EVERY_MAX_S (INT64_C(3660) * 86400)
#define QUOTED_MAX  20

/* What is left to read. */
struct text {
    const char *at, *end;
};

static const struct field {
    const char *name;
    int first, last, most; /* values, and the highest that may be written: 7 is another Sunday */
    const char *names;     /* of three letters each, from the value first on */
} fields[WEFT_CRON_FIELDS] = {
    [WEFT_CRON_SECOND] = {"second", 0, 59, 59, ""},
    [WEFT_CRON_MINUTE] = {"minute", 0, 59, 59, ""},
    [WEFT_CRON_HOUR] = {"hour", 0, 23, 23, ""},
    [WEFT_CRON_DAY] = {"day", 1, 31, 31, ""},
    [WEFT_CRON_MONTH] = {"month", 1, 12, 12, "JANFEBMARAPRMAYJUNJULAUGSEPOCTNOVDEC"},
    [WEFT_CRON_WEEKDAY] = {"weekday", 0, 6, 7, "SUNMONTUEWEDTHUFRISAT"},
};

struct parser {
    struct weft_cron *cron;
    enum weft_cron_field number;
    const struct field *field;
    struct text item, rest; /* of the field's list, and what is left of it to read */
    bool any;               /* an item of the field begins with "*", or it is "?" */
    char *error;
    size_t error_bytes;
};

/* ---- errors -------------------------------------------------------------------------------- */

static int refuse(const struct parser *parser, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static int refuse(const struct parser *parser, const char *format, ...)
{
    va_list arguments;
    int len = 0;
    if (parser->error_bytes > 0 && parser->field)
        len = snprintf(parser->error, parser->error_bytes, "%s: ", parser->field->name);
    va_start(arguments, format);
    if (len >= 0 && (size_t)len < parser->error_bytes)
        (void)vsnprintf(parser->error + len, parser->error_bytes - (size_t)len, format, arguments);
    va_end(arguments);
    return -EINVAL;
}

struct quoted {
    char text[QUOTED_MAX + 6];
};

/* In quotes, shortened, and nothing in it that could upset a terminal. */
static struct quoted quote(struct text text)
{
    struct quoted quoted = {"\""};
    size_t len = 1;
    const char *at = text.at;
    for (; at < text.end && at - text.at < QUOTED_MAX; at++) {
        char c = *at;
        if (c < ' ' || c > '~')
            c = '?';
        quoted.text[len++] = c;
    }
    memcpy(quoted.text + len, at < text.end ? "...\"" : "\"", at < text.end ? 5 : 2);
    return quoted;
}

/* ---- one item of a list -------------------------------------------------------------------- */

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* A sign, or a letter, given as a capital, in either case. */
static bool take(struct text *text, char c)
{
    if (text->at == text->end || (*text->at != c && *text->at != (c | 0x20)))
        return false;
    text->at++;
    return true;
}

/* Digits; what is too large for anything stays so. */
static bool take_number(struct text *text, int64_t *ret_number)
{
    int64_t number = 0;
    const char *start = text->at;
    for (; text->at < text->end && is_digit(*text->at); text->at++)
        number = number < INT64_C(1000000000000) ? number * 10 + (*text->at - '0') : number;
    *ret_number = number;
    return text->at > start;
}

static bool take_name(struct parser *parser, int *ret_value)
{
    int value = parser->field->first;
    if (parser->rest.end - parser->rest.at < 3)
        return false;
    for (const char *name = parser->field->names; *name; name += 3, value++) {
        if (strncasecmp(parser->rest.at, name, 3) == 0) {
            parser->rest.at += 3;
            *ret_value = value;
            return true;
        }
    }
    return false;
}

static int refuse_item(const struct parser *parser)
{
    return refuse(parser, "%s is not understood", quote(parser->item).text);
}

/* A number within limits, the next thing to read. */
static int take_limited(struct parser *parser, const char *what, int first, int last,
                        int *ret_number)
{
    int64_t number;
    struct text digits = parser->rest;
    if (!take_number(&parser->rest, &number))
        return refuse_item(parser);
    digits.end = parser->rest.at;
    if (number < first || number > last)
        return refuse(parser, "%s%s is not between %d and %d", what, quote(digits).text, first,
                      last);
    *ret_number = (int)number;
    return 0;
}

/* A number or a name of the field. */
static int take_value(struct parser *parser, int *ret_value)
{
    const struct field *field = parser->field;
    const char *at = parser->rest.at;
    if (take_name(parser, ret_value))
        return 0;
    if (at < parser->rest.end && is_digit(*at))
        return take_limited(parser, "", field->first, field->most, ret_value);
    if (field->names[0])
        return refuse(parser, "%s is neither a number nor a name such as %.3s",
                      quote(parser->item).text, field->names);
    return refuse(parser, "%s is not a number", quote(parser->item).text);
}

/* Whatever else is left belongs to nothing. */
static int end_item(const struct parser *parser)
{
    return parser->rest.at == parser->rest.end ? 0 : refuse_item(parser);
}

/* L, LW or L-n, behind the L. */
static int parse_last_day(struct parser *parser)
{
    int before = 0;
    if (take(&parser->rest, 'W')) {
        parser->cron->working_days_near |= 1;
        return end_item(parser);
    }
    if (take(&parser->rest, '-')) {
        int err = take_limited(parser, "", 1, 30, &before);
        if (err < 0)
            return err;
    }
    parser->cron->days_before_last |= UINT32_C(1) << before;
    return end_item(parser);
}

/* 5L or 5#2, behind the value; nth 0 is the last. */
static int parse_nth_weekday(struct parser *parser, int value, bool last)
{
    int nth = 0;
    int err = last ? 0 : take_limited(parser, "", 1, 5, &nth);
    if (err < 0)
        return err;
    parser->cron->weekdays_in_month[nth] |= (uint8_t)(1u << value % 7);
    return end_item(parser);
}

struct range {
    int low, high, step;
};

/* From low on; past the last value it goes on with the first. */
static void add_range(struct parser *parser, struct range range)
{
    const struct field *field = parser->field;
    int values = field->last - field->first + 1;
    if (range.low > field->last) { /* Sunday, written 7 */
        range.low -= values;
        range.high = range.high > field->last ? range.low : range.high;
    }
    if (range.high < range.low)
        range.high += values;
    for (int value = range.low; value <= range.high; value += range.step)
        parser->cron->values[parser->number] |= UINT64_C(1)
                                                << (value > field->last ? value - values : value);
}

/* The step, if there is one, and the end of the item. An open range has no end of its own; a single
 * value that is followed by a step becomes one. */
static int parse_range(struct parser *parser, struct range range, bool single, bool open)
{
    if (take(&parser->rest, '/')) {
        int values = parser->field->last - parser->field->first + 1;
        int err = take_limited(parser, "the step ", 1, values, &range.step);
        if (err < 0)
            return err;
        open = open || single;
    }
    if (open)
        range.high = parser->field->last;
    if (open && parser->number <= WEFT_CRON_HOUR)
        parser->cron->repeats = true;
    add_range(parser, range);
    return end_item(parser);
}

static int parse_item(struct parser *parser)
{
    bool is_day = parser->number == WEFT_CRON_DAY;
    bool is_weekday = parser->number == WEFT_CRON_WEEKDAY;
    struct range range = {parser->field->first, parser->field->first, 1};
    if (take(&parser->rest, '*')) {
        parser->any = true;
        return parse_range(parser, range, false, true);
    }
    if (is_day && take(&parser->rest, 'L'))
        return parse_last_day(parser);
    if (is_weekday && take(&parser->rest, 'L'))
        return refuse(parser, "L needs a weekday before it, as in 5L for the last Friday");
    int err = take_value(parser, &range.low);
    if (err < 0)
        return err;
    if (is_day && take(&parser->rest, 'W')) {
        parser->cron->working_days_near |= UINT32_C(1) << range.low;
        return end_item(parser);
    }
    if (is_weekday && take(&parser->rest, 'L'))
        return parse_nth_weekday(parser, range.low, true);
    if (is_weekday && take(&parser->rest, '#'))
        return parse_nth_weekday(parser, range.low, false);
    bool single = !take(&parser->rest, '-');
    range.high = range.low;
    err = single ? 0 : take_value(parser, &range.high);
    return err < 0 ? err : parse_range(parser, range, single, false);
}

/* ---- five or six fields -------------------------------------------------------------------- */

/* Move text behind its first word. */
static struct text take_word(struct text *text)
{
    struct text word;
    while (text->at < text->end && is_blank(*text->at))
        text->at++;
    word.at = text->at;
    while (text->at < text->end && !is_blank(*text->at))
        text->at++;
    word.end = text->at;
    return word;
}

static int parse_field(struct parser *parser, enum weft_cron_field number, struct text text)
{
    parser->number = number;
    parser->field = &fields[number];
    parser->any = false;
    if (text.end - text.at == 1 && *text.at == '?') {
        if (number != WEFT_CRON_DAY && number != WEFT_CRON_WEEKDAY)
            return refuse(parser, "? can stand for any value in the fields day and weekday only");
        text.at = "*";
        text.end = text.at + 1;
    }
    for (;;) {
        const char *comma = memchr(text.at, ',', (size_t)(text.end - text.at));
        parser->item = parser->rest = (struct text){text.at, comma ? comma : text.end};
        if (parser->item.at == parser->item.end)
            return refuse(parser, "an item of the list is empty");
        int err = parse_item(parser);
        if (err < 0 || !comma)
            return err;
        text.at = comma + 1;
    }
}

/* Whether any month of any year has a day that matches. A month of each length begins with every
 * weekday in some year. */
static bool ever_comes(const struct weft_cron *cron)
{
    for (int month = 1; month <= 12; month++) {
        if (!(cron->values[WEFT_CRON_MONTH] >> month & 1))
            continue;
        int length = weft_date_month_length(2000, month);
        for (int weekday = 0; weekday < 7; weekday++) {
            if (weft_cron_month_days(cron, length, weekday) ||
                (month == 2 && weft_cron_month_days(cron, 28, weekday)))
                return true;
        }
    }
    return false;
}

static int parse_fields(struct parser *parser, const struct text *words, size_t len)
{
    bool any_day = false;
    size_t first = len == WEFT_CRON_FIELDS ? WEFT_CRON_SECOND : WEFT_CRON_MINUTE;
    parser->cron->values[WEFT_CRON_SECOND] = first == WEFT_CRON_MINUTE; /* second 0 */
    for (size_t i = 0; i < len; i++) {
        enum weft_cron_field number = (enum weft_cron_field)(first + i);
        int err = parse_field(parser, number, words[i]);
        if (err < 0)
            return err;
        if (number == WEFT_CRON_DAY || number == WEFT_CRON_WEEKDAY)
            any_day = any_day || parser->any;
    }
    parser->cron->either_day = !any_day;
    parser->field = &fields[WEFT_CRON_DAY];
    return ever_comes(parser->cron) ? 0 : refuse(parser, "no such day ever comes");
}

static int parse_expression(struct parser *parser, struct text text)
{
    struct text words[WEFT_CRON_FIELDS];
    size_t len = 0;
    for (struct text word = take_word(&text); word.at < word.end; word = take_word(&text)) {
        if (len < WEFT_CRON_FIELDS)
            words[len] = word;
        len++;
    }
    if (len != WEFT_CRON_FIELDS && len != WEFT_CRON_FIELDS - 1)
        return refuse(
            parser,
            "there are 5 fields (minute hour day month weekday) or 6 (second first), not %zu", len);
    return parse_fields(parser, words, len);
}

/* ---- @words -------------------------------------------------------------------------------- */

static bool equals(struct text text, const char *word)
{
    size_t len = strlen(word);
    return (size_t)(text.end - text.at) == len && strncasecmp(text.at, word, len) == 0;
}

/* Units from the largest to the smallest, each at most once: 1d12h, 90s. */
static bool take_interval(struct text text, int64_t *ret_s)
{
    static const struct {
        char letter;
        int seconds;
    } units[] = {{'D', 86400}, {'H', 3600}, {'M', 60}, {'S', 1}};
    size_t unit = 0;
    int64_t sum_s = 0, number;
    if (text.at == text.end)
        return false;
    while (text.at < text.end) {
        if (!take_number(&text, &number))
            return false;
        while (unit < 4 && !take(&text, units[unit].letter))
            unit++;
        if (unit == 4)
            return false;
        sum_s += number * units[unit++].seconds;
    }
    *ret_s = sum_s;
    return true;
}

static int parse_every(struct parser *parser, struct text text)
{
    int64_t interval_s;
    struct text word = take_word(&text), more = take_word(&text);
    if (more.at < more.end || !take_interval(word, &interval_s))
        return refuse(parser, "@every needs one length of time such as 90s, 1h30m or 1d");
    if (interval_s < 1 || interval_s > EVERY_MAX_S)
        return refuse(parser, "@every: %s is not between 1s and 3660d", quote(word).text);
    parser->cron->every_us = interval_s * WEFT_CRON_SECOND_US;
    return 0;
}

static int parse_word(struct parser *parser, struct text text)
{
    static const struct {
        const char *word, *expression;
    } words[] = {
        {"@yearly", "0 0 1 1 *"}, {"@annually", "0 0 1 1 *"}, {"@monthly", "0 0 1 * *"},
        {"@weekly", "0 0 * * 0"}, {"@daily", "0 0 * * *"},    {"@midnight", "0 0 * * *"},
        {"@hourly", "0 * * * *"},
    };
    struct text word = take_word(&text), more = text;
    if (equals(word, "@every"))
        return parse_every(parser, text);
    more = take_word(&more);
    for (size_t i = 0; i < sizeof words / sizeof *words && more.at == more.end; i++) {
        const char *expression = words[i].expression;
        if (equals(word, words[i].word))
            return parse_expression(parser,
                                    (struct text){expression, expression + strlen(expression)});
    }
    return refuse(parser, "%s is none of @yearly @monthly @weekly @daily @hourly @every",
                  quote(word).text);
}

int weft_cron_parse(struct weft_cron *ret, const char *text, size_t len, char *error,
                    size_t error_bytes)
{
    struct weft_cron cron = {.every_us = 0};
    struct parser parser = {.cron = &cron, .error = error, .error_bytes = error_bytes};
    struct text all = {text, text + len}, rest = all;
    if (len > WEFT_CRON_TEXT_MAX)
        return refuse(&parser, "a schedule has at most %d bytes", WEFT_CRON_TEXT_MAX);
    struct text word = take_word(&rest);
    if (word.at == word.end)
        return refuse(&parser, "the schedule is empty");
    int err = *word.at == '@' ? parse_word(&parser, all) : parse_expression(&parser, all);
    if (err == 0)
        *ret = cron;
    return err;
}
