/* SPDX-License-Identifier: MIT
 * values.c - see values.h. */
#include "values.h"

#include <base/duration.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define DURATIONS_MAX 16u
#define RATE_MIN      0.001 /* as in weft_load */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* The digits at *at, and move it behind them. */
static bool take_digits(const char **at, uint64_t *ret_value)
{
    uint64_t value = 0;
    if (!is_digit(**at))
        return false;
    for (; is_digit(**at); (*at)++) {
        if (__builtin_mul_overflow(value, 10u, &value) ||
            __builtin_add_overflow(value, (uint64_t)(**at - '0'), &value))
            return false;
    }
    *ret_value = value;
    return true;
}

bool parse_count(const char *text, uint64_t *ret_value)
{
    uint64_t value;
    if (!take_digits(&text, &value) || *text != '\0')
        return false;
    *ret_value = value;
    return true;
}

bool parse_size(const char *text, uint64_t *ret_bytes)
{
    static const struct {
        const char *name;
        unsigned shift;
    } units[] = {{"", 0},     {"B", 0},  {"k", 10},   {"KiB", 10}, {"m", 20},
                 {"MiB", 20}, {"g", 30}, {"GiB", 30}, {"t", 40},   {"TiB", 40}};
    uint64_t value;
    if (!take_digits(&text, &value))
        return false;
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (strcasecmp(text, units[i].name) != 0)
            continue;
        if (value > UINT64_MAX >> units[i].shift)
            return false;
        *ret_bytes = value << units[i].shift;
        return true;
    }
    return false;
}

bool parse_durations(const char *text, int64_t *ret_ns, size_t count)
{
    int64_t values[DURATIONS_MAX] = {0};
    for (size_t i = 0; i < count; i++) {
        size_t len = strcspn(text, ",");
        bool last = i + 1 == count;
        if (count > DURATIONS_MAX || (text[len] == '\0') != last ||
            weft_duration_parse(&values[i], text, len) < 0)
            return false;
        text += len + !last;
    }
    memcpy(ret_ns, values, count * sizeof values[0]);
    return true;
}

/* A decimal number at the text's begin, and where it ends. */
static bool take_decimal(const char *text, double *ret_value, const char **ret_end)
{
    char *end;
    /* strtod alone would take spaces, signs, "inf", "nan" and hexadecimal. */
    if (text[strspn(text, "0123456789.eE+-%")] != '\0' || !(is_digit(*text) || *text == '.'))
        return false;
    errno = 0;
    *ret_value = strtod(text, &end);
    *ret_end = end;
    return errno == 0;
}

bool parse_rate(const char *text, double *ret_rate)
{
    const char *end;
    double value;
    if (!take_decimal(text, &value, &end) || *end != '\0' || !(value >= RATE_MIN))
        return false;
    *ret_rate = value;
    return true;
}

bool parse_share(const char *text, double *ret_share)
{
    const char *end;
    double value;
    if (!take_decimal(text, &value, &end))
        return false;
    if (strcmp(end, "%") == 0)
        value /= 100;
    else if (*end != '\0')
        return false;
    if (!(value >= 0 && value <= 1))
        return false;
    *ret_share = value;
    return true;
}

bool parse_yes(const char *text, bool *ret_yes)
{
    static const char *const words[][2] = {
        {"no", "yes"}, {"false", "true"}, {"off", "on"}, {"0", "1"}};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        for (int yes = 0; yes < 2; yes++) {
            if (strcasecmp(text, words[i][yes]) == 0) {
                *ret_yes = yes;
                return true;
            }
        }
    }
    return false;
}

bool parse_nice(const char *text, int *ret_nice)
{
    uint64_t value;
    bool negative = *text == '-';
    if (!parse_count(text + negative, &value) || value > (negative ? 20 : 19))
        return false;
    *ret_nice = negative ? -(int)value : (int)value;
    return true;
}

/* A part between quotes; *from is behind the first of them. Returns whether there is a second. */
static bool take_quoted(char quote, char **from, char **to)
{
    char *at = *from;
    for (; *at && *at != quote; at++) {
        if (quote == '"' && *at == '\\' && at[1] && strchr("\\\"$`", at[1]))
            at++;
        *(*to)++ = *at;
    }
    *from = at + (*at == quote);
    return *at == quote;
}

char *parse_word(char **text, const char **ret_reason)
{
    char *at = *text + strspn(*text, " \t");
    char *word = at, *to = at;
    if (!*at)
        return NULL;
    while (*at && *at != ' ' && *at != '\t') {
        char c = *at++;
        if (c == '\'' || c == '"') {
            if (!take_quoted(c, &at, &to)) {
                *ret_reason = "a quote is not closed (a ; behind a space begins a comment)";
                return NULL;
            }
        } else if (c == '\\' && !*at) {
            *ret_reason = "there is nothing behind the last \\";
            return NULL;
        } else {
            *to++ = (char)(c == '\\' ? *at++ : c);
        }
    }
    *text = at + (*at != '\0');
    *to = '\0';
    return word;
}
