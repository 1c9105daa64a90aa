/* SPDX-License-Identifier: MIT
 * settings.c - what the options of weft_serve may be, and the comparison of tokens. */
#include "test.h"

#include <serve/settings.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char error[256];

static int parse(const struct weft_serve_options *options, struct weft_serve_settings *settings)
{
    error[0] = '\0';
    return weft_serve_settings_parse(settings, options, error, sizeof error);
}

static void refused(const struct weft_serve_options *options, const char *word)
{
    struct weft_serve_settings settings;
    CHECK(parse(options, &settings) < 0);
    CHECK(strstr(error, word) != NULL);
    if (!strstr(error, word))
        test_note("the error was: %s", error);
}

TEST(defaults_are_those_of_the_header)
{
    struct weft_serve_settings settings;
    CHECK_EQUAL(parse(&(struct weft_serve_options){0}, &settings), 0);
    CHECK(strcmp(settings.listen.host, "127.0.0.1") == 0);
    CHECK_EQUAL(settings.listen.port, 8001);
    CHECK(settings.listen.loopback);
    CHECK(strcmp(settings.database_path, "weft.db") == 0);
    CHECK_EQUAL(settings.workers, 4);
    CHECK_EQUAL(settings.concurrency, 1000);
    CHECK_EQUAL(settings.queue_size, 100000);
    CHECK_EQUAL(settings.steps_ns[0], 2 * WEFT_SEC);
    CHECK_EQUAL(settings.steps_ns[2], WEFT_SEC / 2);
    CHECK_EQUAL(settings.grace_ns, 30 * WEFT_SEC);
    CHECK_EQUAL(settings.answer_timeout_ns, 30 * WEFT_SEC);
    CHECK_EQUAL(settings.tokens.count, 0);
    CHECK_EQUAL(settings.job_concurrency, 1000);
}

TEST(addresses_are_taken_apart)
{
    static const struct {
        const char *listen, *address;
        int port;
    } cases[] = {
        {"127.0.0.1:0", "127.0.0.1", 0},
        {"127.9.9.9:65535", "127.9.9.9", 65535},
        {"localhost:80", "127.0.0.1", 80},
        {"[::1]:8001", "::1", 8001},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct weft_serve_settings settings;
        CHECK_EQUAL(parse(&(struct weft_serve_options){.listen = cases[i].listen}, &settings), 0);
        CHECK(strcmp(settings.listen.host, cases[i].address) == 0);
        CHECK_EQUAL(settings.listen.port, cases[i].port);
        CHECK(settings.listen.loopback);
    }
}

TEST(what_is_no_address_is_refused)
{
    static const char *const bad[] = {
        "",
        "8001",
        ":8001",
        "127.0.0.1",
        "127.0.0.1:",
        "127.0.0.1:x",
        "1.2.3:80",
        "host:80",
        "::1:8001",
        "127.0.0.1:70000",
        "[::1]",
        "127.0.0.1:-1",
        "127.0.0.1:8001 ",
        "[]:80",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        refused(&(struct weft_serve_options){.listen = bad[i]}, "no address");
}

TEST(an_address_others_can_reach_needs_a_token_or_the_wish_to_be_insecure)
{
    struct weft_serve_settings settings;
    static const char *const open[] = {"0.0.0.0:8001", "192.168.1.5:8001", "[::]:8001",
                                       "[::ffff:127.0.0.1]:8001"};
    for (size_t i = 0; i < sizeof open / sizeof *open; i++) {
        refused(&(struct weft_serve_options){.listen = open[i]}, "other machines");
        CHECK_EQUAL(
            parse(&(struct weft_serve_options){.listen = open[i], .insecure = 1}, &settings), 0);
        CHECK(!settings.listen.loopback);
    }
}

TEST(numbers_have_limits)
{
    static const int64_t negative[] = {0, -1, 0};
    refused(&(struct weft_serve_options){.workers = 65}, "at most 64 workers");
    refused(&(struct weft_serve_options){.concurrency = 1000001}, "at most 1000000 jobs");
    refused(&(struct weft_serve_options){.steps_ns = negative}, "a step");
    refused(&(struct weft_serve_options){.grace_ns = -1}, "grace");
    refused(&(struct weft_serve_options){.answer_timeout_ns = -1}, "answers");
}

TEST(brokers_that_are_not_known_are_refused)
{
    refused(&(struct weft_serve_options){.broker = "redis://localhost"}, "not known");
    refused(&(struct weft_serve_options){.broker = "sqlite:"}, "not known");
    refused(&(struct weft_serve_options){.broker = "sqlite::memory:"}, "path of a file");
}

static const char *token_file(const char *text)
{
    static char path[160];
    (void)snprintf(path, sizeof path, "%s/token", test_directory());
    FILE *file = fopen(path, "wb");
    REQUIRE(file);
    (void)fputs(text, file);
    (void)fclose(file);
    return path;
}

TEST(a_token_file_is_read_and_one_that_cannot_be_is_refused)
{
    struct weft_serve_settings settings;
    struct weft_serve_options options = {.listen = "0.0.0.0:1",
                                         .token_file = token_file("0123456789abcdef\n")};
    CHECK_EQUAL(parse(&options, &settings), 0);
    REQUIRE(settings.tokens.count == 1);
    CHECK(strcmp(settings.tokens.tokens[0].text, "0123456789abcdef") == 0);
    weft_serve_settings_release(&settings);
    (void)token_file("short");
    refused(&options, "one word of 16");
    options.token_file = "/nonexistent/token";
    refused(&options, "/nonexistent/token");
}
