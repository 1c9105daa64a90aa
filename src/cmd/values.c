/* SPDX-License-Identifier: MIT
 * values.c - see values.h. */
#include "values.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define WORD_MAX      64u
#define DISTANCE_MAX  99u
#define TEXT_MAX      64u /* characters of a duration; longer is nothing sensible */
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

/* Digits behind a point, in units of 1e-9; further ones do not count. */
static uint64_t take_fraction(const char **at)
{
    uint64_t value = 0, scale = 1000000000;
    for (; is_digit(**at); (*at)++) {
        scale /= 10;
        value += scale * (uint64_t)(**at - '0');
    }
    return value;
}

static const struct {
    const char *name;
    int64_t ns;
} duration_units[] = {
    {"h", 3600000000000}, {"min", 60000000000}, {"ms", 1000000}, {"m", 60000000000},
    {"s", 1000000000},    {"us", 1000},         {"ns", 1}};
#define DURATION_UNITS (sizeof duration_units / sizeof duration_units[0])

/* "1.5s" at *at: the length, and its unit's length to keep them in falling order. */
static bool take_part(const char **at, int64_t *ret_ns, int64_t *ret_unit_ns)
{
    uint64_t whole, fraction = 0;
    if (!take_digits(at, &whole))
        return false;
    if (**at == '.') {
        (*at)++;
        if (!is_digit(**at))
            return false;
        fraction = take_fraction(at);
    }
    for (size_t i = 0; i < DURATION_UNITS; i++) {
        size_t len = strlen(duration_units[i].name);
        int64_t ns;
        if (strncmp(*at, duration_units[i].name, len) != 0)
            continue;
        if (whole > INT64_MAX || __builtin_mul_overflow((int64_t)whole, duration_units[i].ns, &ns))
            return false;
        double part_ns = (double)fraction * 1e-9 * (double)duration_units[i].ns;
        if (__builtin_add_overflow(ns, llround(part_ns), &ns))
            return false;
        *at += len;
        *ret_ns = ns;
        *ret_unit_ns = duration_units[i].ns;
        return true;
    }
    return false;
}

bool parse_duration(const char *text, int64_t *ret_ns)
{
    int64_t total_ns = 0, before_ns = INT64_MAX;
    if (strcmp(text, "0") == 0) {
        *ret_ns = 0;
        return true;
    }
    do {
        int64_t ns, unit_ns;
        if (!take_part(&text, &ns, &unit_ns) || unit_ns >= before_ns ||
            __builtin_add_overflow(total_ns, ns, &total_ns))
            return false;
        before_ns = unit_ns;
    } while (*text);
    *ret_ns = total_ns;
    return true;
}

bool parse_durations(const char *text, int64_t *ret_ns, size_t count)
{
    int64_t values[DURATIONS_MAX] = {0};
    for (size_t i = 0; i < count; i++) {
        char part[TEXT_MAX];
        size_t len = strcspn(text, ",");
        bool last = i + 1 == count;
        if (len >= sizeof part || count > DURATIONS_MAX || (text[len] == '\0') != last)
            return false;
        memcpy(part, text, len);
        part[len] = '\0';
        if (!parse_duration(part, &values[i]))
            return false;
        text += len + !last;
    }
    memcpy(ret_ns, values, count * sizeof values[0]);
    return true;
}

bool parse_rate(const char *text, double *ret_rate)
{
    char *end;
    /* strtod alone would take spaces, signs, "inf", "nan" and hexadecimal. */
    if (text[strspn(text, "0123456789.eE+-")] != '\0' || !(is_digit(*text) || *text == '.'))
        return false;
    errno = 0;
    double value = strtod(text, &end);
    if (errno || *end != '\0' || !(value >= RATE_MIN))
        return false;
    *ret_rate = value;
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

static unsigned least(unsigned a, unsigned b, unsigned c)
{
    unsigned ab = a < b ? a : b;
    return ab < c ? ab : c;
}

/* Levenshtein's, with one row. */
unsigned word_distance(const char *a, const char *b)
{
    unsigned row[WORD_MAX + 1];
    size_t a_len = strlen(a), b_len = strlen(b);
    if (a_len > WORD_MAX || b_len > WORD_MAX)
        return DISTANCE_MAX;
    for (unsigned j = 0; j <= b_len; j++)
        row[j] = j;
    for (size_t i = 1; i <= a_len; i++) {
        unsigned diagonal = row[0];
        row[0] = (unsigned)i;
        for (size_t j = 1; j <= b_len; j++) {
            unsigned above = row[j];
            row[j] = least(above + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1]));
            diagonal = above;
        }
    }
    return row[b_len];
}

bool word_is_near(const char *text, unsigned distance)
{
    return distance <= strlen(text) / 3 + 1;
}
