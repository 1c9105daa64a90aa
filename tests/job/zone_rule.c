/* SPDX-License-Identifier: MIT
 * zone_rule.c - the rules for the time to come: what is read, what is refused, and when they change
 * the time. */
#include "test.h"

#include <base/date.h>
#include <job/zone_rule.h>

#include <errno.h>
#include <string.h>

static struct weft_zone_rule parse(const char *text)
{
    struct weft_zone_rule rule;
    REQUIRE(weft_zone_rule_parse(&rule, text, strlen(text)) == 0);
    return rule;
}

static int64_t utc(int64_t year, int month, int day, int hour, int minute)
{
    return weft_date_to_days(year, month, day) * WEFT_DAY_S + hour * 3600 + minute * 60;
}

/* The spans before and after an instant meet there, with these offsets. */
static void check_change(const char *text, int64_t at_s, int before_s, int after_s)
{
    struct weft_zone_rule rule = parse(text);
    struct weft_zone_span before = weft_zone_rule_span(&rule, at_s - 1);
    struct weft_zone_span after = weft_zone_rule_span(&rule, at_s);
    CHECK_EQUAL(before.offset_s, before_s);
    CHECK_EQUAL(before.end_s, at_s);
    CHECK_EQUAL(after.offset_s, after_s);
    CHECK_EQUAL(after.start_s, at_s);
}

TEST(offsets_are_read_with_the_sign_turned_round)
{
    CHECK_EQUAL(parse("CET-1").standard_s, 3600);
    CHECK_EQUAL(parse("EST5").standard_s, -18000);
    CHECK_EQUAL(parse("EST+5").standard_s, -18000);
    CHECK_EQUAL(parse("<+0545>-5:45").standard_s, 20700);
    CHECK_EQUAL(parse("LMT0:53:28").standard_s, -3208);
    CHECK_EQUAL(parse("CET-1CEST,0,1").summer_s, 7200); /* an hour more, unless it is said */
    CHECK_EQUAL(parse("<+1030>-10:30<+11>-11,0,1").summer_s, 39600);
    CHECK(!parse("UTC0").has_summer);
}

TEST(what_is_no_rule_is_refused_and_leaves_the_output_alone)
{
    static const char *const wrong[] = {
        "",
        "C",
        "CE-1",
        "CET",
        "CET-",
        "CET-25",
        "CET-1:60",
        "CET-1:",
        "CET-1:00:60",
        "<+01-1",
        "<>-1",
        "C3T-1",
        "CET-1CEST",
        "CET-1CEST-2",
        "CET-1CEST,M3.5.0",
        "CET-1CEST,M3.5.0,",
        "CET-1CEST,M0.5.0,M10.5.0",
        "CET-1CEST,M13.5.0,M10.5.0",
        "CET-1CEST,M3.0.0,M10.5.0",
        "CET-1CEST,M3.6.0,M10.5.0",
        "CET-1CEST,M3.5.7,M10.5.0",
        "CET-1CEST,M3.5,M10.5.0",
        "CET-1CEST,J0,J300",
        "CET-1CEST,J1,J366",
        "CET-1CEST,0,366",
        "CET-1CEST,M3.5.0/168,M10.5.0",
        "CET-1CEST,M3.5.0/,M10.5.0",
        "CET-1CEST,M3.5.0,M10.5.0/3 ",
        "CET-99999999999999999999",
    };
    struct weft_zone_rule rule = {.standard_s = 77};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        CHECK_EQUAL(weft_zone_rule_parse(&rule, wrong[i], strlen(wrong[i])), -EBADMSG);
    CHECK_EQUAL(rule.standard_s, 77);
}

TEST(the_fifth_week_is_the_last_one_and_others_count_from_the_first)
{
    check_change("CET-1CEST,M3.5.0,M10.5.0/3", utc(2026, 3, 29, 1, 0), 3600, 7200);
    check_change("CET-1CEST,M3.5.0,M10.5.0/3", utc(2026, 10, 25, 1, 0), 7200, 3600);
    check_change("EST5EDT,M3.2.0,M11.1.0", utc(2026, 3, 8, 7, 0), -18000, -14400);
    check_change("EST5EDT,M3.2.0,M11.1.0", utc(2026, 11, 1, 6, 0), -14400, -18000);
    check_change("EST5EDT,M2.5.6,M11.1.0", utc(2025, 2, 22, 7, 0), -18000, -14400); /* of four */
    check_change("EST5EDT,M2.5.6,M11.1.0", utc(2020, 2, 29, 7, 0), -18000, -14400); /* of five */
}

TEST(days_of_the_year_count_the_leap_day_or_do_not)
{
    check_change("EST5EDT,J60,J300", utc(2023, 3, 1, 7, 0), -18000, -14400);
    check_change("EST5EDT,J60,J300", utc(2024, 3, 1, 7, 0), -18000, -14400);
    check_change("EST5EDT,J59,J300", utc(2024, 2, 28, 7, 0), -18000, -14400);
    check_change("EST5EDT,59,300", utc(2023, 3, 1, 7, 0), -18000, -14400);
    check_change("EST5EDT,59,300", utc(2024, 2, 29, 7, 0), -18000, -14400);
    check_change("EST5EDT,0,300", utc(2024, 1, 1, 7, 0), -18000, -14400);
    check_change("EST5EDT,J1,365", utc(2024, 12, 31, 6, 0), -14400, -18000);
}

TEST(a_change_may_be_up_to_a_week_from_its_day)
{
    check_change("<-02>2<-01>,M3.5.0/-1,M10.5.0/0", utc(2026, 3, 29, 1, 0), -7200, -3600);
    check_change("EET-2EEST,M3.4.4/50,M10.4.4/50", utc(2026, 3, 28, 0, 0), 7200, 10800);
    check_change("AAA0BBB,J2/-167,J300", utc(2025, 12, 26, 1, 0), 0, 3600);
    check_change("AAA0BBB,J100,J364/167", utc(2027, 1, 5, 22, 0), 3600, 0);
    /* Both changes in the next year: what holds comes from two years back. */
    check_change("AAA0BBB,J364/167,J365/166", utc(2026, 1, 5, 23, 0), 0, 3600);
    struct weft_zone_rule rule = parse("AAA0BBB,J364/167,J365/166");
    struct weft_zone_span span = weft_zone_rule_span(&rule, utc(2026, 1, 3, 0, 0));
    CHECK(span.start_s == utc(2025, 1, 6, 21, 0) && span.end_s == utc(2026, 1, 5, 23, 0));
}

TEST(in_the_south_summer_spans_the_new_year)
{
    check_change("<+1030>-10:30<+11>-11,M10.1.0,M4.1.0", utc(2026, 4, 4, 15, 0), 39600, 37800);
    check_change("<+1030>-10:30<+11>-11,M10.1.0,M4.1.0", utc(2026, 10, 3, 15, 30), 37800, 39600);
}

TEST(summer_may_be_behind_the_standard)
{
    check_change("IST-1GMT0,M10.5.0,M3.5.0/1", utc(2026, 3, 29, 1, 0), 0, 3600);
    check_change("IST-1GMT0,M10.5.0,M3.5.0/1", utc(2026, 10, 25, 1, 0), 3600, 0);
}

TEST(summer_all_the_year_has_no_winter_between)
{
    struct weft_zone_rule rule = parse("EST5EDT,0/0,J365/25"); /* RFC 8536, 3.3.1 */
    for (int64_t at_s = utc(2023, 12, 1, 0, 0); at_s < utc(2025, 2, 1, 0, 0); at_s += 1800)
        CHECK_EQUAL(weft_zone_rule_span(&rule, at_s).offset_s, -14400);
}

TEST(without_summer_there_is_one_span)
{
    struct weft_zone_rule rule = parse("IST-5:30");
    struct weft_zone_span span = weft_zone_rule_span(&rule, 0);
    CHECK(span.start_s == WEFT_ZONE_BEGIN_S && span.end_s == WEFT_ZONE_END_S);
    CHECK_EQUAL(span.offset_s, 19800);
}
