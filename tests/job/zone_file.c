/* SPDX-License-Identifier: MIT
 * zone_file.c - files of time zones: where they may be, and what is refused about what is in them.
 */
#include "test.h"

#include <base/buffer.h>
#include <job/zone.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- names and places ---------------------------------------------------------------------- */

TEST(names_that_could_lead_elsewhere_are_refused)
{
    static const char *const wrong[] = {
        "",
        "/",
        "/etc/localtime",
        "../job/zones/Europe/Berlin",
        "Europe/../Europe/Berlin",
        "./Europe/Berlin",
        "Europe//Berlin",
        "Europe/",
        "Europe/Berlin\n",
        "Europe Berlin",
        "Europe/B\xc3\xa4rlin",
        "vectors.txt",
        "a234567890123456789012345678901234567890123456789012345678901234",
    };
    struct weft_zone *zone = NULL;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        CHECK_EQUAL(weft_zone_open(&zone, wrong[i], WEFT_TEST_ZONES), -EINVAL);
    CHECK(!zone);
}

TEST(zones_that_do_not_exist_are_not_found)
{
    struct weft_zone *zone = NULL;
    CHECK_EQUAL(weft_zone_open(&zone, "Europe/Atlantis", WEFT_TEST_ZONES), -ENOENT);
    CHECK_EQUAL(weft_zone_open(&zone, "Europe", WEFT_TEST_ZONES), -ENOENT);
    CHECK_EQUAL(weft_zone_open(&zone, "Europe/Berlin/Mitte", WEFT_TEST_ZONES), -ENOENT);
    CHECK_EQUAL(weft_zone_open(&zone, "Europe/Berlin", "/nonexistent"), -ENOENT);
    CHECK(!zone);
}

static const char *path_of(const char *name)
{
    static char path[4096];
    REQUIRE(snprintf(path, sizeof path, "%s/%s", test_directory(), name) < (int)sizeof path);
    return path;
}

static void write_file(const char *name, const void *data, size_t len)
{
    FILE *file = fopen(path_of(name), "wb");
    REQUIRE(file);
    REQUIRE(fwrite(data, 1, len, file) == len);
    REQUIRE(fclose(file) == 0);
}

/* The bytes of a committed zone; freed by the caller. */
static uint8_t *load(const char *name, size_t *ret_len)
{
    char path[512];
    REQUIRE(snprintf(path, sizeof path, "%s/%s", WEFT_TEST_ZONES, name) < (int)sizeof path);
    FILE *file = fopen(path, "rb");
    uint8_t *data = malloc(8192);
    REQUIRE(file && data);
    *ret_len = fread(data, 1, 8192, file);
    (void)fclose(file);
    return data;
}

TEST(links_inside_the_directory_are_followed_and_others_are_not)
{
    size_t len;
    struct weft_zone *zone = NULL;
    uint8_t *data = load("Europe/Berlin", &len);
    write_file("Berlin", data, len);
    free(data);
    REQUIRE(symlink("Berlin", path_of("Inside")) == 0);
    REQUIRE(symlink(WEFT_TEST_ZONES "/Europe/Berlin", path_of("Outside")) == 0);
    REQUIRE(symlink(WEFT_TEST_ZONES, path_of("Away")) == 0);
    REQUIRE(symlink("Loop", path_of("Loop")) == 0);
    CHECK(weft_zone_open(&zone, "Inside", test_directory()) == 0);
    CHECK(zone && weft_zone_offset(zone, 0) == 3600);
    weft_zone_close(zone);
    CHECK_EQUAL(weft_zone_open(&zone, "Outside", test_directory()), -EACCES);
    CHECK_EQUAL(weft_zone_open(&zone, "Away/Europe/Berlin", test_directory()), -EACCES);
    CHECK_EQUAL(weft_zone_open(&zone, "Loop", test_directory()), -ELOOP);
}

TEST(files_that_are_too_large_or_no_files_are_refused)
{
    struct weft_zone *zone = NULL;
    write_file("Large", "", 0);
    REQUIRE(truncate(path_of("Large"), (off_t)WEFT_ZONE_FILE_MAX + 1) == 0);
    CHECK_EQUAL(weft_zone_open(&zone, "Large", test_directory()), -EFBIG);
    REQUIRE(mkfifo(path_of("Pipe"), 0600) == 0);
    CHECK_EQUAL(weft_zone_open(&zone, "Pipe", test_directory()), -ENOENT);
    write_file("Text", "Europe/Berlin", 13);
    CHECK_EQUAL(weft_zone_open(&zone, "Text", test_directory()), -EBADMSG);
    write_file("Empty", "", 0);
    CHECK_EQUAL(weft_zone_open(&zone, "Empty", test_directory()), -EBADMSG);
    CHECK(!zone);
}

TEST(the_environment_may_name_another_directory)
{
    struct weft_zone *zone = NULL;
    REQUIRE(setenv("TZDIR", WEFT_TEST_ZONES "/fat", 1) == 0);
    CHECK(weft_zone_open(&zone, "America/New_York", NULL) == 0);
    weft_zone_close(zone);
    CHECK_EQUAL(weft_zone_open(&zone, "Europe/Berlin", NULL), -ENOENT);
    REQUIRE(setenv("TZDIR", "tests/job/zones", 1) == 0); /* depends on where one is: not taken */
    CHECK_EQUAL(weft_zone_open(&zone, "fat/America/New_York", NULL), -ENOENT);
    REQUIRE(unsetenv("TZDIR") == 0);
}

TEST(the_database_of_the_system_is_read)
{
    struct weft_zone *zone = NULL;
    int err = weft_zone_open(&zone, "America/New_York", NULL);
    if (err == -ENOENT) {
        test_skip("tzdata is not installed");
        return;
    }
    REQUIRE(err == 0);
    CHECK_EQUAL(weft_zone_offset(zone, 1183248000), -4 * 3600); /* July 2007 */
    CHECK_EQUAL(weft_zone_offset(zone, 1199145600), -5 * 3600); /* January 2008 */
    weft_zone_close(zone);
}

TEST(the_name_of_the_system_zone_is_where_its_link_points)
{
    char name[WEFT_ZONE_NAME_MAX + 1] = "untouched";
    REQUIRE(symlink("../usr/share/zoneinfo/Europe/Berlin", path_of("link")) == 0);
    REQUIRE(symlink("/etc/passwd", path_of("strange")) == 0);
    REQUIRE(symlink("/usr/share/zoneinfo/../../../etc/passwd", path_of("upwards")) == 0);
    write_file("file", "", 0);
    CHECK_EQUAL(weft_zone_linked_name(path_of("nothing"), name), -ENOENT);
    CHECK_EQUAL(weft_zone_linked_name(path_of("file"), name), -ENOENT);
    CHECK_EQUAL(weft_zone_linked_name(path_of("strange"), name), -ENOENT);
    CHECK_EQUAL(weft_zone_linked_name(path_of("upwards"), name), -ENOENT);
    CHECK(strcmp(name, "untouched") == 0);
    CHECK_EQUAL(weft_zone_linked_name(path_of("link"), name), 0);
    CHECK(strcmp(name, "Europe/Berlin") == 0);
}

/* ---- damage -------------------------------------------------------------------------------- */

static int parse(const uint8_t *data, size_t len)
{
    struct weft_zone *zone = NULL;
    uint8_t *exact = malloc(len > 0 ? len : 1); /* so that reading on would be found */
    REQUIRE(exact);
    if (len > 0)
        memcpy(exact, data, len);
    int err = weft_zone_parse(&zone, "test", exact, len);
    free(exact);
    CHECK((err == 0) == (zone != NULL));
    weft_zone_close(zone);
    return err;
}

TEST(a_file_cut_anywhere_is_refused)
{
    size_t len;
    uint8_t *data = load("Europe/Berlin", &len);
    CHECK_EQUAL(parse(data, len), 0);
    for (size_t cut = 0; cut < len; cut++)
        CHECK_EQUAL(parse(data, cut), -EBADMSG);
    free(data);
}

/* Where the parts of Europe/Berlin are: its header for 64 bits follows an empty one. */
static size_t second_header(const uint8_t *data, size_t len)
{
    const uint8_t *found = memmem(data + 4, len - 4, "TZif", 4);
    REQUIRE(found);
    return (size_t)(found - data);
}

TEST(damage_in_header_and_table_is_refused)
{
    size_t len;
    uint8_t *data = load("Europe/Berlin", &len);
    size_t header = second_header(data, len), table = header + 44;
    uint32_t transitions = (uint32_t)data[header + 34] << 8 | data[header + 35];
    size_t indexes = table + (size_t)transitions * 8, types = indexes + transitions;
    struct {
        size_t at;
        uint8_t value;
        int err;
    } const damages[] = {
        {0, 't', -EBADMSG},           /* no magic */
        {header, 't', -EBADMSG},      /* nor in the second header */
        {4, 0, -ENOTSUP},             /* version 1 */
        {23, 200, -EBADMSG},          /* the first half longer than it is */
        {header + 20, 255, -EBADMSG}, /* four thousand million of something */
        {header + 31, 1, -ENOTSUP},   /* a leap second */
        {header + 39, 0, -EBADMSG},   /* no types */
        {table, 0x7f, -EBADMSG},      /* the first transition long after the second */
        {table, 0x80, -EBADMSG},      /* before all time */
        {indexes, 250, -EBADMSG},     /* no such type */
        {types, 1, -EBADMSG},         /* an offset of half a year */
        {len - 1, 'x', -EBADMSG},     /* the rule does not end */
    };
    for (size_t i = 0; i < sizeof damages / sizeof *damages; i++) {
        uint8_t old = data[damages[i].at];
        data[damages[i].at] = damages[i].value;
        CHECK_EQUAL(parse(data, len), damages[i].err);
        data[damages[i].at] = old;
    }
    memcpy(data + table + 8, data + table, 8); /* two transitions at once */
    CHECK_EQUAL(parse(data, len), -EBADMSG);
    free(data);
}

/* ---- made here ----------------------------------------------------------------------------- */

struct made {
    int64_t first_s, step_s; /* when the offset changes */
    uint32_t changes, leaps;
    int32_t offsets_s[2]; /* before the first one and after the second, and otherwise */
    const char *footer;
};

static void append_number(struct weft_buffer *out, uint64_t number, unsigned bytes)
{
    while (bytes-- > 0)
        weft_buffer_append_char(out, (char)(number >> (8 * bytes)));
}

static void append_header(struct weft_buffer *out, uint32_t changes, uint32_t leaps)
{
    uint32_t counts[] = {0, 0, leaps, changes, 2, 4};
    weft_buffer_append_string(out, "TZif2");
    append_number(out, 0, 15);
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        append_number(out, counts[i], 4);
}

static void append_data(struct weft_buffer *out, const struct made *made, uint32_t changes,
                        uint32_t leaps, unsigned time_bytes)
{
    for (uint32_t i = 0; i < changes; i++)
        append_number(out, (uint64_t)(made->first_s + i * made->step_s), time_bytes);
    for (uint32_t i = 0; i < changes; i++)
        append_number(out, (i + 1) % 2, 1);
    for (int i = 0; i < 2; i++) {
        append_number(out, (uint32_t)made->offsets_s[i], 4);
        append_number(out, 0, 2);
    }
    append_number(out, 0x41414100, 4); /* AAA */
    for (uint32_t i = 0; i < leaps; i++) {
        append_number(out, 78796800 + (uint64_t)i, time_bytes);
        append_number(out, i + 1, 4);
    }
}

/* The error, or 0 and the offset at an instant, which is far from every error. */
static int64_t parse_made(const struct made *made, int64_t at_s)
{
    struct weft_buffer out;
    struct weft_zone *zone = NULL;
    weft_buffer_init(&out, 1 << 20);
    append_header(&out, 0, 0);
    append_data(&out, made, 0, 0, 4);
    append_header(&out, made->changes, made->leaps);
    append_data(&out, made, made->changes, made->leaps, 8);
    weft_buffer_append_string(&out, made->footer);
    REQUIRE(!out.err);
    int err = weft_zone_parse(&zone, "made", out.data, out.len);
    int64_t offset_s = zone ? weft_zone_offset(zone, at_s) : err;
    weft_zone_close(zone);
    weft_buffer_deinit(&out);
    return offset_s;
}

TEST(a_made_file_is_read_as_it_was_meant)
{
    struct made made = {1000, 1000, 3, 0, {-7200, 7200}, "\n\n"};
    CHECK_EQUAL(parse_made(&made, 999), -7200);
    CHECK_EQUAL(parse_made(&made, 1000), 7200);
    CHECK_EQUAL(parse_made(&made, 2000), -7200);
    CHECK_EQUAL(parse_made(&made, INT64_C(1) << 50), 7200); /* no rule: the last one for ever */
    made.footer = "\nXXX-3\n";
    CHECK_EQUAL(parse_made(&made, 2999), -7200);
    CHECK_EQUAL(parse_made(&made, 3000), 10800); /* a rule: from the last transition on */
    made.changes = 0;
    CHECK_EQUAL(parse_made(&made, -5), 10800); /* none at all: always */
}

TEST(time_that_counts_leap_seconds_is_refused)
{
    struct made made = {1000, 1000, 1, 2, {0, 3600}, "\n\n"};
    CHECK_EQUAL(parse_made(&made, 0), -ENOTSUP);
}

TEST(more_transitions_than_any_zone_has_are_refused)
{
    struct made made = {1000, 1000, 2000, 0, {0, 3600}, "\n\n"};
    CHECK_EQUAL(parse_made(&made, 1000), 3600);
    made.changes = 2001;
    CHECK_EQUAL(parse_made(&made, 1000), -EFBIG);
}

TEST(offsets_of_more_than_a_day_or_so_are_refused)
{
    struct made made = {1000, 1000, 1, 0, {-25 * 3600, 26 * 3600}, "\n\n"};
    CHECK_EQUAL(parse_made(&made, 1000), 26 * 3600);
    made.offsets_s[1]++;
    CHECK_EQUAL(parse_made(&made, 1000), -EBADMSG);
    made.offsets_s[1] = 0;
    made.offsets_s[0]--;
    CHECK_EQUAL(parse_made(&made, 1000), -EBADMSG);
}

TEST(what_follows_the_table_is_a_rule_between_newlines_or_refused)
{
    static const char *const wrong[] = {"", "\n", "XXX-3\n", "\nXXX-3", "\nXXX\n", "\nXXX-3 \n"};
    struct made made = {1000, 1000, 1, 0, {0, 3600}, NULL};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        made.footer = wrong[i];
        CHECK_EQUAL(parse_made(&made, 0), -EBADMSG);
    }
}
