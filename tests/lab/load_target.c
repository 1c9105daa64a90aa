/* SPDX-License-Identifier: MIT
 * load_target.c - files of URLs: what their lines mean, which are refused, and the order of the
 * requests. */
#include <lab/load_target.h>

#include "test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A file of this program's own with such a content. */
static const char *file_with(const char *text)
{
    static char path[512];
    (void)snprintf(path, sizeof path, "%s/urls", test_directory());
    FILE *file = fopen(path, "w");
    REQUIRE(file && fputs(text, file) >= 0 && fclose(file) == 0);
    return path;
}

/* Read it; an error is noted. */
static int read_text(struct weft_load_targets *targets, struct weft_load_options *options,
                     const char *text, char error[300])
{
    options->url_file = file_with(text);
    error[0] = '\0';
    return weft_load_targets_init(targets, options, error, 300);
}

static bool message_has(const struct weft_load_target *target, const char *text)
{
    const struct weft_buffer *bytes = &target->message.text;
    return memmem(bytes->data, bytes->len, text, strlen(text)) != NULL;
}

TEST(plain_lines_have_a_url_and_perhaps_a_weight)
{
    struct weft_load_options options = {.method = "DELETE"};
    struct weft_load_targets targets;
    char error[300];
    CHECK_EQUAL(read_text(&targets, &options,
                          "# a comment\n\nhttp://h/a\n  http://h/b?x \t 3 \r\nhttp://H:80/c 2",
                          error),
                0);
    CHECK_EQUAL(targets.count, 3);
    CHECK(strcmp(targets.items[1].line.url, "http://h/b?x") == 0);
    CHECK_EQUAL(targets.items[0].line.weight, 1);
    CHECK_EQUAL(targets.items[1].line.weight, 3);
    CHECK_EQUAL(targets.items[2].line.weight, 2);
    CHECK(message_has(&targets.items[1], "DELETE /b?x HTTP/1.1\r\nHost: h\r\n"));
    CHECK(message_has(&targets.items[2], "Host: H:80\r\n"));
    weft_load_targets_deinit(&targets);
}

TEST(each_is_asked_for_as_often_as_its_weight_and_spread_evenly)
{
    struct weft_load_options options = {0};
    struct weft_load_targets targets;
    char error[300];
    REQUIRE(read_text(&targets, &options, "http://h/a 6\nhttp://h/b 2\nhttp://h/c 4\n", error) ==
            0);
    CHECK_EQUAL(targets.order_len, 6);
    unsigned counts[3] = {0};
    uint32_t before = 99;
    for (uint64_t i = 0; i < 6000; i++) {
        uint32_t target = weft_load_targets_pick(&targets, i);
        REQUIRE(target < 3);
        counts[target]++;
        CHECK(target != before || target == 0); /* never b or c twice in turn */
        before = target;
    }
    CHECK_EQUAL(counts[0], 3000);
    CHECK_EQUAL(counts[1], 1000);
    CHECK_EQUAL(counts[2], 2000);
    weft_load_targets_deinit(&targets);
}

TEST(json_lines_say_more_and_the_options_fill_the_rest)
{
    static const char *const headers[] = {"X-All: 1", "X-Both: all"};
    struct weft_load_options options = {.body = "default", .headers = headers, .headers_count = 2};
    struct weft_load_targets targets;
    char error[300];
    int err = read_text(
        &targets, &options,
        "{\"url\": \"http://h/a\", \"method\": \"GET\", \"weight\": 5}\n"
        "{\"url\": \"http://h/b\", \"body\": {\"n\": [1, 2]}, \"headers\": {\"X-Own\": \"{i}\"}}\n"
        "{\"url\": \"http://h/c\", \"body\": \"te\\u0078t\", \"content_type\": \"text/plain\",\n"
        "http://h/d\n",
        error);
    if (err && strstr(error, "jansson")) {
        test_skip("built without jansson");
        weft_load_targets_deinit(&targets);
        return;
    }
    CHECK_EQUAL(err, -EINVAL); /* the third line is not whole */
    CHECK(strstr(error, "line 3: it begins with { and is not a JSON object"));
    weft_load_targets_deinit(&targets);

    err = read_text(
        &targets, &options,
        "{\"url\": \"http://h/a\", \"method\": \"GET\", \"weight\": 5}\n"
        "{\"url\": \"http://h/b\", \"body\": {\"n\": [1, 2]}, \"headers\": {\"X-Own\": \"{i}\"}}\n"
        "{\"url\": \"http://h/c\", \"body\": \"te\\u0078t\", \"content_type\": \"text/plain\"}\n"
        "http://h/d\n",
        error);
    CHECK_EQUAL(err, 0);
    REQUIRE(targets.count == 4);
    CHECK(message_has(&targets.items[0], "GET /a HTTP/1.1\r\n"));
    CHECK(message_has(&targets.items[0], "\r\n\r\ndefault")); /* asked for, though odd */
    CHECK(message_has(&targets.items[1], "POST /b HTTP/1.1\r\n"));
    CHECK(message_has(&targets.items[1], "{\"n\":[1,2]}"));
    CHECK(message_has(&targets.items[1], "X-Own: \r\n")); /* the number goes between */
    CHECK(message_has(&targets.items[1], "X-All: 1\r\n"));
    CHECK_EQUAL(targets.items[1].message.places_count, 1);
    CHECK(message_has(&targets.items[2], "Content-Type: text/plain\r\nContent-Length: 4\r\n"));
    CHECK(message_has(&targets.items[2], "\r\n\r\ntext"));
    CHECK(message_has(&targets.items[3], "\r\n\r\ndefault"));
    weft_load_targets_deinit(&targets);
}

TEST(wrong_lines_are_refused_with_their_number)
{
    static const struct {
        const char *text, *sentence;
    } vectors[] = {
        {"", "there is no URL in it"},
        {"# only a comment\n\n", "there is no URL in it"},
        {"http://h/\nftp://h/\n", "line 2: 'ftp://h/' is not a URL to load"},
        {"https://h/\n", "https is not supported"},
        {"http://h/ 0\n", "line 1: the weight is 0"},
        {"http://h/ -1\n", "not a weight"},
        {"http://h/ 3 4\n", "not a weight"},
        {"http://h/ 99999999999999999999\n", "not a weight"},
        {"http://h/ x\n", "not a weight"},
        {"http://h/\nhttp://other/\n", "line 2: all URLs of a load have one host and port"},
        {"http://h/\nhttp://h:81/\n", "one host and port"},
        {"http://h/ 65535\nhttp://h/b 65536\n", "the weights add up to more than 65536"},
        {"{\"url\": 5}\n", "url is not a string"},
        {"{\"method\": \"GET\"}\n", "has no url"},
        {"{\"url\": \"http://h/\", \"method\": \"G T\"}\n", "'G T' is not a method"},
        {"{\"url\": \"http://h/\", \"method\": 5}\n", "method is not a string"},
        {"{\"url\": \"http://h/\", \"weight\": 0}\n", "weight is not a whole number"},
        {"{\"url\": \"http://h/\", \"weight\": 1.5}\n", "weight is not a whole number"},
        {"{\"url\": \"http://h/\", \"headers\": []}\n", "headers are an object"},
        {"{\"url\": \"http://h/\", \"headers\": {\"A\": 1}}\n", "headers are an object"},
        {"{\"url\": \"http://h/\", \"headers\": {\"A B\": \"1\"}}\n", "is not a header"},
        {"{\"url\": \"http://h/\", \"headers\": {\"A\": \"b\\r\\nC: d\"}}\n", "line feed"},
        {"{\"url\": \"http://h/\", \"content_type\": \"a\\nb\"}\n", "{"},
        {"{\"url\": \"http://h/\", \"uri\": 1}\n", "a member besides"},
        {"{\"url\": \"http://h/\", \"url\": \"http://h/\"}\n", "not a JSON object"},
        {"{\"url\": \"http://h/\"} x\n", "not a JSON object"},
        {"{\n", "not a JSON object"},
    };
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        struct weft_load_options options = {0};
        struct weft_load_targets targets;
        char error[300];
        int err = read_text(&targets, &options, vectors[i].text, error);
        weft_load_targets_deinit(&targets);
        if (strstr(error, "jansson"))
            continue;
        if (strcmp(vectors[i].sentence, "{") == 0) { /* without a body the type is not sent */
            CHECK_EQUAL(err, -EINVAL);
            CHECK(strstr(error, "content type contains a line feed"));
            continue;
        }
        CHECK_EQUAL(err, -EINVAL);
        CHECK(strstr(error, vectors[i].sentence));
        if (!strstr(error, vectors[i].sentence))
            test_note("%s: %s", vectors[i].text, error);
    }
}

TEST(there_are_at_most_a_thousand_urls)
{
    struct weft_load_options options = {0};
    struct weft_load_targets targets;
    char error[300];
    char *text = calloc(1001, 20);
    REQUIRE(text);
    size_t len = 0;
    for (int i = 0; i < 1000; i++)
        len += (size_t)sprintf(text + len, "http://h/%d\n", i);
    CHECK_EQUAL(read_text(&targets, &options, text, error), 0);
    CHECK_EQUAL(targets.count, 1000);
    weft_load_targets_deinit(&targets);
    strcpy(text + len, "http://h/x\n");
    CHECK_EQUAL(read_text(&targets, &options, text, error), -EINVAL);
    CHECK(strstr(error, "line 1001: there are more than 1000 URLs"));
    weft_load_targets_deinit(&targets);
    free(text);
}

TEST(a_file_that_cannot_be_read_is_told)
{
    struct weft_load_targets targets;
    char error[300] = "";
    struct weft_load_options options = {.url_file = "/nonexistent/file"};
    CHECK_EQUAL(weft_load_targets_init(&targets, &options, error, sizeof error), -ENOENT);
    CHECK(strstr(error, "/nonexistent/file cannot be opened"));
    weft_load_targets_deinit(&targets);
    options.url_file = "/";
    CHECK(weft_load_targets_init(&targets, &options, error, sizeof error) < 0);
    weft_load_targets_deinit(&targets);
}
