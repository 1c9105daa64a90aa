/* SPDX-License-Identifier: MIT
 * zone_rule.h - the rule at the end of a TZif file: POSIX's TZ, with the extensions of RFC 8536.
 *
 * "CET-1CEST,M3.5.0,M10.5.0/3" says: an hour ahead of UTC, two in summer, which is from the last
 * Sunday of March, 2:00, to the last Sunday of October, 3:00. */
#ifndef WEFT_JOB_ZONE_RULE_H
#define WEFT_JOB_ZONE_RULE_H

#include <job/zone.h>

#include <stdbool.h>
#include <stddef.h>

struct weft_zone_change_day {
    enum {
        WEFT_ZONE_NTH_WEEKDAY, /* Mmonth.week.day: week 5 is the last one */
        WEFT_ZONE_NO_LEAP_DAY, /* Jday: from 1, February 29 is not counted */
        WEFT_ZONE_DAY_OF_YEAR, /* day: from 0 */
    } kind;
    int month, week, day;
    int32_t time_s; /* after local midnight of that day; -167 h to 167 h */
};

struct weft_zone_rule {
    int32_t standard_s; /* offsets: local time less UTC, the opposite of how POSIX writes them */
    bool has_summer;    /* the rest is about summer; it may well be winter, and behind */
    int32_t summer_s;
    struct weft_zone_change_day from, to;
};

/* Returns 0; -EBADMSG. A summer without its days, which POSIX leaves to each system, is refused. */
int weft_zone_rule_parse(struct weft_zone_rule *ret, const char *text, size_t len);

/* The span that an instant from WEFT_ZONE_BEGIN_S to WEFT_ZONE_END_S lies in. */
struct weft_zone_span weft_zone_rule_span(const struct weft_zone_rule *rule, int64_t at_s);

#endif
