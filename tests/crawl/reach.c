/* SPDX-License-Identifier: MIT
 * reach.c - which URLs belong to a crawl. */
#include "test.h"

#include <crawl/reach.h>

#include <errno.h>
#include <string.h>

static bool has(const struct weft_crawl_options *options, const char *seed, const char *url)
{
    struct weft_reach reach;
    char error[128];
    REQUIRE(weft_reach_init(&reach, options, &seed, 1, error, sizeof error) == 0);
    bool result = weft_reach_has(&reach, url);
    weft_reach_deinit(&reach);
    return result;
}

TEST(the_host_is_one_with_and_without_www_and_tls)
{
    const struct weft_crawl_options host = {.scope = WEFT_CRAWL_HOST};
    const char *seed = "http://www.example.org/a/b";
    CHECK(has(&host, seed, "http://www.example.org/"));
    CHECK(has(&host, seed, "https://example.org/"));
    CHECK(!has(&host, seed, "http://example.org:8080/"));
    CHECK(!has(&host, seed, "http://x.example.org/"));
    CHECK(!has(&host, seed, "http://example.org.evil.example/"));
    CHECK(has(&host, "http://127.0.0.1:8080/", "http://127.0.0.1:8080/x"));
    CHECK(!has(&host, "http://127.0.0.1:8080/", "http://127.0.0.1:8081/x"));
}

TEST(a_domain_is_the_host_and_what_is_below_it)
{
    const struct weft_crawl_options domain = {.scope = WEFT_CRAWL_DOMAIN};
    const char *seed = "http://www.example.org/";
    CHECK(has(&domain, seed, "http://example.org/"));
    CHECK(has(&domain, seed, "https://a.b.example.org:8443/"));
    CHECK(!has(&domain, seed, "http://notexample.org/"));
    CHECK(!has(&domain, seed, "http://org/"));
    CHECK(!has(&domain, "http://10.0.0.1/", "http://1.10.0.0.1/"));
}

TEST(a_prefix_is_the_directory)
{
    const struct weft_crawl_options prefix = {.scope = WEFT_CRAWL_PREFIX};
    const char *seed = "http://example.org/docs/index.html";
    CHECK(has(&prefix, seed, "http://example.org/docs/"));
    CHECK(has(&prefix, seed, "https://example.org/docs/a/b?c"));
    CHECK(!has(&prefix, seed, "http://example.org/docs"));
    CHECK(!has(&prefix, seed, "http://example.org/"));
    CHECK(!has(&prefix, seed, "http://other.example/docs/"));
}

TEST(patterns_narrow_the_scope_but_not_the_seeds)
{
    static const char *const include[] = {"/keep/", "\\.html$"};
    static const char *const exclude[] = {"private", "[?]print=1"};
    const struct weft_crawl_options options = {
        .scope = WEFT_CRAWL_ANYWHERE,
        .include = include,
        .include_count = 2,
        .exclude = exclude,
        .exclude_count = 2,
    };
    const char *seed = "http://a/private";
    CHECK(has(&options, seed, "http://b/keep/x"));
    CHECK(has(&options, seed, "http://b/x.html"));
    CHECK(!has(&options, seed, "http://b/x"));
    CHECK(!has(&options, seed, "http://b/keep/private"));
    CHECK(!has(&options, seed, "http://b/x.html?print=1"));
    CHECK(has(&options, seed, seed));
}

TEST(what_is_no_pattern_is_told)
{
    static const char *const include[] = {"("};
    const struct weft_crawl_options options = {.include = include, .include_count = 1};
    struct weft_reach reach;
    char error[128] = "";
    CHECK_EQUAL(weft_reach_init(&reach, &options, NULL, 0, error, sizeof error), -EINVAL);
    CHECK(strstr(error, "'('"));
    weft_reach_deinit(&reach);
}
