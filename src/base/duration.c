/* SPDX-License-Identifier: MIT
 * duration.c - see duration.h. */
#include <base/duration.h>

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

struct cursor {
    const char *at, *end;
};

static bool at_digit(const struct cursor *cursor)
{
    return cursor->at < cursor->end && *cursor->at >= '0' && *cursor->at <= '9';
}

static bool take_digits(struct cursor *cursor, int64_t *ret_value)
{
    int64_t value = 0;
    if (!at_digit(cursor))
        return false;
    for (; at_digit(cursor); cursor->at++) {
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, *cursor->at - '0', &value))
            return false;
    }
    *ret_value = value;
    return true;
}

/* Digits behind a point, in units of 1e-9; further ones do not count. */
static int64_t take_fraction(struct cursor *cursor)
{
    int64_t value = 0, scale = 1000000000;
    for (; at_digit(cursor); cursor->at++) {
        scale /= 10;
        value += scale * (*cursor->at - '0');
    }
    return value;
}

static const struct unit {
    const char *name;
    int64_t ns;
} units[] = {
    {"d", 86400000000000}, {"h", 3600000000000}, {"min", 60000000000}, {"ms", 1000000},
    {"m", 60000000000},    {"s", 1000000000},    {"us", 1000},         {"ns", 1},
};

static const struct unit *take_unit(struct cursor *cursor)
{
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        size_t len = strlen(units[i].name);
        if ((size_t)(cursor->end - cursor->at) >= len &&
            memcmp(cursor->at, units[i].name, len) == 0) {
            cursor->at += len;
            return &units[i];
        }
    }
    return NULL;
}

/* "1.5s": the length, and its unit's to keep them in falling order. */
static bool take_part(struct cursor *cursor, int64_t *ret_ns, int64_t *ret_unit_ns)
{
    int64_t whole, fraction = 0, ns;
    if (!take_digits(cursor, &whole))
        return false;
    if (cursor->at < cursor->end && *cursor->at == '.') {
        cursor->at++;
        if (!at_digit(cursor))
            return false;
        fraction = take_fraction(cursor);
    }
    const struct unit *unit = take_unit(cursor);
    if (!unit || __builtin_mul_overflow(whole, unit->ns, &ns) ||
        __builtin_add_overflow(ns, llround((double)fraction * 1e-9 * (double)unit->ns), &ns))
        return false;
    *ret_ns = ns;
    *ret_unit_ns = unit->ns;
    return true;
}

int weft_duration_parse(int64_t *ret_ns, const char *text, size_t len)
{
    struct cursor cursor = {text, text + len};
    int64_t total_ns = 0, before_ns = INT64_MAX;
    if (len == 1 && text[0] == '0') {
        *ret_ns = 0;
        return 0;
    }
    do {
        int64_t ns, unit_ns;
        if (!take_part(&cursor, &ns, &unit_ns) || unit_ns >= before_ns ||
            __builtin_add_overflow(total_ns, ns, &total_ns))
            return -EINVAL;
        before_ns = unit_ns;
    } while (cursor.at < cursor.end);
    *ret_ns = total_ns;
    return 0;
}
