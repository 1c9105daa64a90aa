/* SPDX-License-Identifier: MIT
 * zone.c - what time zones answer, against Python's reading of the same files
 * (scripts/zone-vectors). */
#include "test.h"

#include <job/zone.h>

#include <stdio.h>
#include <string.h>

static struct weft_zone *open_zone(const char *name)
{
    struct weft_zone *zone = NULL;
    REQUIRE(weft_zone_open(&zone, name, WEFT_TEST_ZONES) == 0);
    return zone;
}

/* ---- vectors ------------------------------------------------------------------------------- */

static void check_instant(const struct weft_zone *zone, long long at_s, int offset_s)
{
    struct weft_zone_span span = weft_zone_span(zone, at_s);
    CHECK_EQUAL(span.offset_s, offset_s);
    CHECK(span.start_s <= at_s && at_s < span.end_s);
}

/* The two offsets are those of the first and the second time that clocks show it, or, where they
 * skip it, those before and after. */
static void check_local(const struct weft_zone *zone, long long local_s, int first_s, int second_s)
{
    struct weft_zone_instants instants = weft_zone_instants(zone, local_s);
    if (first_s < second_s) {
        CHECK_EQUAL(instants.fit, WEFT_ZONE_SKIPPED);
        CHECK_EQUAL(instants.first_s, instants.last_s);
        CHECK_EQUAL(weft_zone_offset(zone, instants.first_s - 1), first_s);
        CHECK_EQUAL(weft_zone_offset(zone, instants.first_s), second_s);
        CHECK(instants.first_s - 1 + first_s < local_s && instants.first_s + second_s > local_s);
    } else {
        CHECK_EQUAL(instants.fit, first_s == second_s ? WEFT_ZONE_ONCE : WEFT_ZONE_TWICE);
        CHECK_EQUAL(instants.first_s, local_s - first_s);
        CHECK_EQUAL(instants.last_s, local_s - second_s);
    }
}

TEST(instants_and_local_times_are_what_python_makes_of_the_same_files)
{
    char line[128], name[WEFT_ZONE_NAME_MAX + 1] = "";
    struct weft_zone *zone = NULL;
    int zones = 0, vectors = 0;
    FILE *file = fopen(WEFT_TEST_ZONES "/vectors.txt", "r");
    REQUIRE(file);
    while (fgets(line, sizeof line, file)) {
        long long time_s;
        int offset_s, second_s;
        if (sscanf(line, "zone %63s", name) == 1) {
            weft_zone_close(zone);
            zone = open_zone(name);
            CHECK(strcmp(weft_zone_name(zone), name) == 0);
            zones++;
        } else if (sscanf(line, "at %lld %d", &time_s, &offset_s) == 2) {
            check_instant(zone, time_s, offset_s);
            vectors++;
        } else if (sscanf(line, "local %lld %d %d", &time_s, &offset_s, &second_s) == 3) {
            check_local(zone, time_s, offset_s, second_s);
            vectors++;
        } else {
            CHECK(line[0] == '#');
        }
    }
    (void)fclose(file);
    weft_zone_close(zone);
    CHECK_EQUAL(zones, 14);
    CHECK(vectors > 4000);
}

TEST(a_table_to_2037_and_a_rule_from_2007_on_say_the_same)
{
    struct weft_zone *slim = open_zone("America/New_York");
    struct weft_zone *fat = open_zone("fat/America/New_York");
    for (int64_t at_s = INT64_C(1100000000); at_s < INT64_C(2300000000);) {
        struct weft_zone_span a = weft_zone_span(slim, at_s), b = weft_zone_span(fat, at_s);
        CHECK(a.offset_s == b.offset_s && a.start_s == b.start_s && a.end_s == b.end_s);
        at_s = a.end_s;
    }
    weft_zone_close(slim);
    weft_zone_close(fat);
}

TEST(spans_follow_each_other_from_the_beginning_to_the_end_of_time)
{
    struct weft_zone *zone = open_zone("Europe/Dublin");
    int64_t at_s = WEFT_ZONE_BEGIN_S;
    for (int i = 0; i < 2000; i++) {
        struct weft_zone_span span = weft_zone_span(zone, at_s);
        CHECK_EQUAL(span.start_s, at_s);
        CHECK(span.end_s > at_s);
        at_s = span.end_s;
    }
    struct weft_zone_span last = weft_zone_span(zone, INT64_MAX);
    CHECK_EQUAL(last.end_s, WEFT_ZONE_END_S);
    CHECK_EQUAL(weft_zone_span(zone, INT64_MIN).start_s, WEFT_ZONE_BEGIN_S);
    weft_zone_close(zone);
}

TEST(a_whole_day_that_was_skipped_is_one_gap)
{
    struct weft_zone *zone = open_zone("Pacific/Apia");
    int64_t noon_s = INT64_C(1325246400); /* 2011-12-30 12:00 */
    struct weft_zone_instants instants = weft_zone_instants(zone, noon_s);
    CHECK_EQUAL(instants.fit, WEFT_ZONE_SKIPPED);
    CHECK_EQUAL(instants.first_s, INT64_C(1325239200)); /* 2011-12-30 10:00 UTC */
    CHECK_EQUAL(weft_zone_offset(zone, instants.first_s - 1), -10 * 3600);
    CHECK_EQUAL(weft_zone_offset(zone, instants.first_s), 14 * 3600);
    weft_zone_close(zone);
}

TEST(local_times_beyond_all_instants_do_not_overflow)
{
    struct weft_zone *zone = open_zone("Europe/Berlin");
    CHECK_EQUAL(weft_zone_instants(zone, INT64_MAX).fit, WEFT_ZONE_ONCE);
    CHECK_EQUAL(weft_zone_instants(zone, INT64_MIN).fit, WEFT_ZONE_ONCE);
    CHECK_EQUAL(weft_zone_instants(NULL, INT64_MIN).fit, WEFT_ZONE_ONCE);
    weft_zone_close(zone);
}

TEST(utc_needs_no_files)
{
    struct weft_zone *zone = NULL;
    CHECK(weft_zone_open(&zone, "UTC", "/nonexistent") == 0);
    CHECK_EQUAL(weft_zone_offset(zone, 1795000000), 0);
    CHECK(strcmp(weft_zone_name(zone), "UTC") == 0);
    weft_zone_close(zone);
    CHECK_EQUAL(weft_zone_offset(NULL, 1795000000), 0);
    CHECK(strcmp(weft_zone_name(NULL), "UTC") == 0);
    weft_zone_close(NULL);
}
