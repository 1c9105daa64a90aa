/* SPDX-License-Identifier: MIT
 * source.c - requests out of lists, files and streams. */
#include "test.h"

#include <fetch/source.h>

#include <weft/group.h>
#include <weft/io.h>
#include <weft/runtime.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *write_file(const char *text, size_t len)
{
    static char path[256];
    (void)snprintf(path, sizeof path, "%s/input", test_directory());
    FILE *file = fopen(path, "we");
    REQUIRE(file && fwrite(text, 1, len, file) == len && fclose(file) == 0);
    return path;
}

struct taken {
    struct weft_buffer bytes;
    struct weft_fetch_item item;
};

/* Returns what weft_fetch_source_next does. */
static int take(struct weft_fetch_source *source, struct taken *taken)
{
    weft_buffer_clear(&taken->bytes);
    return weft_fetch_source_next(source, &taken->bytes, &taken->item);
}

static const char *text_of(const struct taken *taken, size_t at)
{
    return at == WEFT_FETCH_ABSENT ? "-" : taken->bytes.data + taken->item.at + at;
}

static bool url_is(const struct taken *taken, const char *url)
{
    bool same = strcmp(text_of(taken, taken->item.url), url) == 0;
    if (!same)
        test_note("url %s", text_of(taken, taken->item.url));
    return same;
}

static struct weft_fetch_source *open_source(const struct weft_fetch_source_options *options)
{
    struct weft_fetch_source *source;
    REQUIRE(weft_fetch_source_open(&source, options) == 0);
    return source;
}

FIBER_TEST(a_list_comes_first_and_as_often_as_asked_and_then_the_lines)
{
    static const char *const urls[] = {"http://a/", "http://b/"};
    static const char *const expected[] = {"http://a/", "http://b/", "http://a/",
                                           "http://b/", "http://c/", "http://d/"};
    static const char text[] = "\n# no request\n  http://c/ \r\n\n\thttp://d/";
    struct taken taken = {0};
    weft_buffer_init(&taken.bytes, 1 << 20);
    struct weft_fetch_source *source = open_source(&(struct weft_fetch_source_options){
        .urls = urls, .urls_count = 2, .repeat = 2, .path = write_file(text, sizeof text - 1)});
    for (int i = 0; i < 6; i++) {
        CHECK_EQUAL(take(source, &taken), 1);
        CHECK(url_is(&taken, expected[i]));
        CHECK(taken.item.wrong == WEFT_FETCH_ABSENT);
    }
    CHECK_EQUAL(take(source, &taken), 0);
    CHECK_EQUAL(take(source, &taken), 0);
    CHECK_EQUAL(weft_fetch_source_place(source).read_bytes, sizeof text - 1);
    CHECK_EQUAL(weft_fetch_source_place(source).all_bytes, sizeof text - 1);
    weft_fetch_source_close(source);
    weft_buffer_deinit(&taken.bytes);
}

FIBER_TEST(a_line_of_json_says_all_of_a_request)
{
    static const char text[] =
        "{\"url\": \"http://a/\", \"method\": \"PUT\", \"headers\": {\"X-A\": \"1\", \"X-B\": "
        "\"2\"},"
        " \"body\": \"a\\u0000b\", \"id\": 17}\n{\"id\":\"x\",\"url\":\"http://b/\"}\n";
    struct taken taken = {0};
    weft_buffer_init(&taken.bytes, 1 << 20);
    struct weft_fetch_source *source =
        open_source(&(struct weft_fetch_source_options){.path = write_file(text, sizeof text - 1)});
    CHECK_EQUAL(take(source, &taken), 1);
    CHECK(url_is(&taken, "http://a/"));
    CHECK(strcmp(text_of(&taken, taken.item.method), "PUT") == 0);
    CHECK(strcmp(text_of(&taken, taken.item.tag), "17") == 0);
    CHECK_EQUAL(taken.item.fields_count, 2);
    CHECK(memcmp(text_of(&taken, taken.item.fields), "X-A\0001\0X-B\0002", 12) == 0);
    CHECK_EQUAL(taken.item.body_len, 3);
    CHECK(memcmp(text_of(&taken, taken.item.body), "a\0b", 4) == 0);
    CHECK_EQUAL(take(source, &taken), 1);
    CHECK(url_is(&taken, "http://b/"));
    CHECK(taken.item.method == WEFT_FETCH_ABSENT && taken.item.body == WEFT_FETCH_ABSENT);
    CHECK(strcmp(text_of(&taken, taken.item.tag), "x") == 0);
    CHECK_EQUAL(take(source, &taken), 0);
    weft_fetch_source_close(source);
    weft_buffer_deinit(&taken.bytes);
}

FIBER_TEST(a_line_that_is_no_request_is_told_of_and_the_next_one_comes)
{
    static const struct {
        const char *line, *why;
    } cases[] = {
        {"{", "no JSON"},
        {"{}", "'url' is missing"},
        {"{\"url\": 1}", "'url' is not a text"},
        {"{\"url\": \"http://a/\", \"metod\": \"PUT\"}", "there is no key 'metod'"},
        {"{\"url\": \"http://a/\", \"headers\": []}", "'headers' is not an object"},
        {"{\"url\": \"http://a/\", \"headers\": {\"A\": 1}}", "'A' is not a text"},
        {"{\"url\": \"http://a/\", \"body\": {}}", "'body' is not a text"},
        {"{\"url\": \"http://a/\", \"url\": \"http://b/\"}", "no JSON"},
        {"{\"url\": \"http://a\\u0000b/\"}", "'url' is not a text"},
        {"{\"url\": \"http://a/\"} x", "no JSON"},
        {"{\"x\": [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
         "nested too deeply"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[256];
        struct taken taken = {0};
        weft_buffer_init(&taken.bytes, 1 << 20);
        int len = snprintf(text, sizeof text, "%s\nhttp://next/\n", cases[i].line);
        struct weft_fetch_source *source =
            open_source(&(struct weft_fetch_source_options){.path = write_file(text, (size_t)len)});
        CHECK_EQUAL(take(source, &taken), 1);
        CHECK(taken.item.wrong != WEFT_FETCH_ABSENT);
        if (!strstr(text_of(&taken, taken.item.wrong), cases[i].why))
            test_note("%s", text_of(&taken, taken.item.wrong));
        CHECK(strstr(text_of(&taken, taken.item.wrong), cases[i].why));
        CHECK(url_is(&taken, cases[i].line));
        CHECK_EQUAL(take(source, &taken), 1);
        CHECK(url_is(&taken, "http://next/"));
        CHECK_EQUAL(take(source, &taken), 0);
        weft_fetch_source_close(source);
        weft_buffer_deinit(&taken.bytes);
    }
}

FIBER_TEST(a_line_that_is_too_long_is_passed_over)
{
    static char text[500000];
    struct taken taken = {0};
    weft_buffer_init(&taken.bytes, 1 << 20);
    memset(text, 'x', sizeof text);
    memcpy(text, "http://a/\n", 10);
    memcpy(text + sizeof text - 11, "\nhttp://b/\n", 11);
    struct weft_fetch_source *source = open_source(&(struct weft_fetch_source_options){
        .path = write_file(text, sizeof text), .line_bytes_max = 1000});
    CHECK_EQUAL(take(source, &taken), 1);
    CHECK(url_is(&taken, "http://a/"));
    CHECK_EQUAL(take(source, &taken), 1);
    CHECK(strcmp(text_of(&taken, taken.item.wrong), "the line is too long") == 0);
    CHECK(strlen(text_of(&taken, taken.item.url)) < 1000);
    CHECK_EQUAL(take(source, &taken), 1);
    CHECK(url_is(&taken, "http://b/"));
    CHECK_EQUAL(take(source, &taken), 0);
    weft_fetch_source_close(source);
    weft_buffer_deinit(&taken.bytes);
}

FIBER_TEST(many_lines_come_through_whole)
{
    static char text[1200000];
    char url[64];
    struct taken taken = {0};
    weft_buffer_init(&taken.bytes, 1 << 20);
    size_t len = 0;
    for (int i = 0; i < 30000; i++)
        len += (size_t)snprintf(text + len, sizeof text - len, "http://host-%d.example/%d\n", i % 7,
                                i);
    struct weft_fetch_source *source =
        open_source(&(struct weft_fetch_source_options){.path = write_file(text, len)});
    for (int i = 0; i < 30000; i++) {
        (void)snprintf(url, sizeof url, "http://host-%d.example/%d", i % 7, i);
        CHECK_EQUAL(take(source, &taken), 1);
        CHECK(url_is(&taken, url));
    }
    CHECK_EQUAL(take(source, &taken), 0);
    weft_fetch_source_close(source);
    weft_buffer_deinit(&taken.bytes);
}

static int write_later(void *arg)
{
    int fd = *(int *)arg;
    CHECK_EQUAL(weft_sleep(WEFT_SEC), 0);
    CHECK_EQUAL(write(fd, "http://b/\nhttp://", 17), 17);
    CHECK_EQUAL(weft_sleep(WEFT_SEC), 0);
    CHECK_EQUAL(write(fd, "c/", 2), 2);
    CHECK_EQUAL(weft_close(fd), 0);
    return 0;
}

FIBER_TEST(a_stream_is_read_as_it_comes)
{
    int fds[2], kept = dup(STDIN_FILENO);
    struct taken taken = {0};
    struct weft_group group;
    weft_buffer_init(&taken.bytes, 1 << 20);
    REQUIRE(kept >= 0 && pipe2(fds, O_CLOEXEC) == 0 && dup2(fds[0], STDIN_FILENO) == STDIN_FILENO);
    CHECK_EQUAL(write(fds[1], "http://a/\n", 10), 10);
    struct weft_fetch_source *source =
        open_source(&(struct weft_fetch_source_options){.path = "-"});
    CHECK_EQUAL(take(source, &taken), 1);
    CHECK(url_is(&taken, "http://a/"));
    CHECK(!weft_fetch_source_ready(source));
    REQUIRE(weft_group_init(&group, NULL) == 0);
    CHECK_EQUAL(weft_spawn(&group, write_later, &fds[1]), 0);
    CHECK_EQUAL(take(source, &taken), 1);
    CHECK(url_is(&taken, "http://b/"));
    CHECK_EQUAL(take(source, &taken), 1);
    CHECK(url_is(&taken, "http://c/"));
    CHECK_EQUAL(take(source, &taken), 0);
    CHECK_EQUAL(weft_group_wait(&group), 0);
    CHECK((fcntl(STDIN_FILENO, F_GETFL) & O_NONBLOCK) == 0);
    weft_fetch_source_close(source);
    CHECK(dup2(kept, STDIN_FILENO) == STDIN_FILENO);
    (void)close(kept);
    (void)close(fds[0]);
    weft_buffer_deinit(&taken.bytes);
}

FIBER_TEST(what_cannot_be_read_is_told_of_at_once)
{
    struct weft_fetch_source *source;
    CHECK_EQUAL(weft_fetch_source_open(
                    &source, &(struct weft_fetch_source_options){.path = "/no/such/file"}),
                -ENOENT);
    CHECK_EQUAL(weft_fetch_source_open(&source, &(struct weft_fetch_source_options){.path = "/"}),
                -EISDIR);
    CHECK_EQUAL(
        weft_fetch_source_open(&source, &(struct weft_fetch_source_options){.urls_count = 1}),
        -EINVAL);
    weft_fetch_source_close(NULL);
}
