/* SPDX-License-Identifier: MIT
 * sink_files.c - bodies as files that are named by their content, and the index beside them. */
#include "sink_box.h"

#include <weft/weft.h>

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* SHA-256 of nothing, and of "abc" (FIPS 180-4, examples). */
#define DIGEST_OF_NOTHING "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define DIGEST_OF_ABC     "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

static void put_body(struct weft_sink *sink, unsigned i, const void *body, size_t len)
{
    struct weft_fetch_result result = box_result(i);
    result.body = body;
    result.body_len = len;
    REQUIRE(weft_sink_put(sink, &result, WEFT_FOREVER) == 0);
}

static const char *below(const char *directory, const char *name)
{
    static char paths[4][400];
    static unsigned next;
    char *path = paths[next++ % 4];
    REQUIRE(snprintf(path, sizeof paths[0], "%s/%s", directory, name) < (int)sizeof paths[0]);
    return path;
}

static unsigned entries(const char *path)
{
    unsigned count = 0;
    DIR *stream = opendir(path);
    const struct dirent *entry;
    REQUIRE(stream);
    while ((entry = readdir(stream)))
        count += entry->d_name[0] != '.';
    (void)closedir(stream);
    return count;
}

REAL_TIME_FIBER_TEST(a_body_is_a_file_named_by_its_digest_and_the_index_says_whose)
{
    const struct weft_sink_output output = {.kind = WEFT_SINK_FILES, .path = box_path("bodies")};
    size_t len;
    struct weft_sink *sink = box_open(&output, NULL);
    put_body(sink, 0, "abc", 3);
    put_body(sink, 1, "", 0);
    put_body(sink, 2, NULL, 0);
    put_body(sink, 3, "abc", 3);
    box_close(sink, 0);
    char *text = box_read(below(output.path, "ba/7816bf8f01cfea414140de5dae2223b00361a396177a9cb410"
                                             "ff61f20015ad"),
                          &len);
    CHECK(text && len == 3 && memcmp(text, "abc", 3) == 0);
    free(text);
    text = box_read(below(output.path, "e3/b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b78"
                                       "52b855"),
                    &len);
    CHECK(text && len == 0);
    free(text);
    text = box_read(below(output.path, "index.jsonl"), NULL);
    REQUIRE(text);
    CHECK_EQUAL(box_lines(text), 4);
    const char *second = strchr(text, '\n') + 1, *third = strchr(second, '\n') + 1;
    const char *fourth = strchr(third, '\n') + 1;
    CHECK(strstr(text, "\"body_digest\":\"" DIGEST_OF_ABC "\"") < second);
    CHECK(strstr(second, "\"body_digest\":\"" DIGEST_OF_NOTHING "\"") < third);
    CHECK(strstr(third, "\"body_digest\":null") < fourth);
    CHECK(strstr(fourth, "\"body_digest\":\"" DIGEST_OF_ABC "\"") != NULL);
    free(text);
    CHECK_EQUAL(entries(below(output.path, "tmp")), 0);
    CHECK_EQUAL(entries(output.path), 4); /* ba, e3, tmp, index.jsonl */
}

REAL_TIME_FIBER_TEST(the_same_content_is_written_once_and_what_is_broken_again)
{
    struct stat before, after;
    struct weft_sink_output output = {.path = box_path("once/")};
    const char *path = below(output.path, "ba/7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff6"
                                          "1f20015ad");
    for (int round = 0; round < 3; round++) {
        struct weft_sink *sink = box_open(&output, NULL);
        put_body(sink, 0, "abc", 3);
        box_close(sink, 0);
        REQUIRE(stat(path, &after) == 0);
        if (round == 1)
            CHECK_EQUAL(after.st_ino, before.st_ino);
        if (round == 2)
            CHECK_EQUAL(after.st_size, 3);
        before = after;
        output.existing = WEFT_SINK_APPEND;
        if (round == 1)
            REQUIRE(truncate(path, 1) == 0);
    }
    char *index = box_read(below(output.path, "index.jsonl"), NULL);
    CHECK_EQUAL(box_lines(index), 3);
    free(index);
}

REAL_TIME_FIBER_TEST(many_bodies_of_one_batch_all_get_their_names)
{
    const struct weft_sink_output output = {
        .kind = WEFT_SINK_FILES, .path = box_path("many"), .sync = WEFT_SINK_SYNC_BATCH};
    unsigned files = 0;
    struct weft_sink *sink = box_open(&output, &(struct weft_sink_options){.batch_max = 500});
    for (unsigned i = 0; i < 1000; i++) {
        char body[32];
        int len = snprintf(body, sizeof body, "body %u", i % 300);
        put_body(sink, i, body, (size_t)len);
    }
    box_close(sink, 0);
    for (unsigned i = 0; i < 256; i++) {
        char name[3];
        struct stat info;
        (void)snprintf(name, sizeof name, "%02x", i);
        const char *path = below(output.path, name);
        files += stat(path, &info) == 0 ? entries(path) : 0;
    }
    CHECK_EQUAL(files, 300);
}

REAL_TIME_FIBER_TEST(what_a_crash_left_half_written_is_removed)
{
    struct weft_sink_output output = {.kind = WEFT_SINK_FILES, .path = box_path("left")};
    struct weft_sink *sink = box_open(&output, NULL);
    box_close(sink, 0);
    box_make(below(output.path, "tmp/17"), "half a bo", 9);
    sink = box_open(&output, NULL);
    CHECK_EQUAL(entries(below(output.path, "tmp")), 0);
    box_close(sink, 0);
}

REAL_TIME_FIBER_TEST(the_digest_is_in_the_other_outputs_too_and_one_that_is_given_is_taken)
{
    const struct weft_sink_output outputs[] = {
        {.path = box_path("digest.jsonl")}, {.kind = WEFT_SINK_FILES, .path = box_path("digests")}};
    const struct weft_sink_options options = {.outputs = outputs, .outputs_count = 2};
    struct weft_sink *sink;
    char error[200];
    REQUIRE(weft_sink_open(&sink, &options, error, sizeof error) == 0);
    put_body(sink, 0, "abc", 3);
    struct weft_fetch_result result = box_result(1);
    result.body_digest = DIGEST_OF_NOTHING;
    CHECK_EQUAL(weft_sink_put(sink, &result, WEFT_FOREVER), 0);
    box_close(sink, 0);
    char *text = box_read(outputs[0].path, NULL);
    REQUIRE(text);
    CHECK(strstr(text, DIGEST_OF_ABC) != NULL);
    CHECK(strstr(text, DIGEST_OF_NOTHING) != NULL);
    free(text);
}

REAL_TIME_FIBER_TEST(a_directory_that_cannot_be_says_why)
{
    const char *text;
    struct weft_sink_output output = {.kind = WEFT_SINK_FILES, .path = "/nowhere/at/all/"};
    CHECK_EQUAL(box_refused(&output, &text), -ENOENT);
    output.path = box_path("file/");
    box_make(box_path("file"), "x", 1);
    CHECK(box_refused(&output, &text) < 0);
    CHECK(strstr(text, "file") != NULL);
    output.path = box_path("full-of-results");
    struct weft_sink *sink = box_open(&output, NULL);
    put_body(sink, 0, "abc", 3);
    CHECK_EQUAL(box_refused(&output, &text), -EBUSY);
    box_close(sink, 0);
    CHECK_EQUAL(box_refused(&output, &text), -EEXIST);
}
