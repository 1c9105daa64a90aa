/* SPDX-License-Identifier: MIT
 * hostile.c - servers that want the crawl to go on for ever, to go where it must not, or to fall.
 */
#include "site.h"

#include "test.h"

#include <base/random.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

FIBER_TEST(private_addresses_are_refused_unless_allowed)
{
    struct site site;
    struct weft_crawl_result result;
    char error[256], store[512];
    (void)snprintf(store, sizeof store, "%s", store_path("private.db"));
    site_open(&site, ((const struct site_page[]){{.path = "/"}}));
    const char *const seeds[] = {site_url(&site, "/"), "http://[::1]:1/", "http://169.254.169.254/",
                                 "http://[::ffff:10.0.0.1]/", "http://localhost:1/"};
    const struct weft_crawl_options options = {
        .seeds = seeds, .seeds_count = 5, .store = store, .delay_ns = WEFT_CRAWL_NO_DELAY};
    CHECK_EQUAL(weft_crawl(&options, &result, error, sizeof error), 0);
    CHECK_EQUAL(site.origin.accepted, 0);
    CHECK_EQUAL(result.status[0], 5);
    CHECK_EQUAL(store_ask(store, "SELECT count(*) FROM results WHERE error_class = 'refused'"), 5);
    site_close(&site);
}

static bool make_calendar(struct site *site, const char *path, struct weft_buffer *body)
{
    unsigned day = 0;
    (void)site;
    if (sscanf(path, "/day/%u", &day) != 1)
        return false;
    weft_buffer_append_format(body, "<a href=/day/%u>next</a><a href='?sid=%u'>s</a>", day + 1,
                              day * 7919 + 1);
    return true;
}

FIBER_TEST(a_calendar_without_end_is_ended_by_depth_or_pages)
{
    static const char *const drop[] = {"sid"};
    struct site site;
    struct weft_crawl_result result;
    struct weft_crawl_options options = {
        .depth_max = 20, .drop = drop, .drop_count = 1, .ignore_sitemaps = 1};
    site_open_with(&site, NULL, 0);
    site.make = make_calendar;
    CHECK_EQUAL(site_crawl(&site, "/day/1", &options, &result), 0);
    CHECK_EQUAL(result.fetched, 21);
    CHECK_EQUAL(result.beyond, 1);
    options = (struct weft_crawl_options){.pages_max = 30, .ignore_sitemaps = 1};
    CHECK_EQUAL(site_crawl(&site, "/day/1", &options, &result), 0);
    CHECK_EQUAL(result.fetched, 30);
    site_close(&site);
}

static bool make_nested(struct site *site, const char *path, struct weft_buffer *body)
{
    (void)site;
    if (strcmp(path, "/robots.txt") == 0)
        return false;
    weft_buffer_append_string(body, "<a href=x/>deeper</a>");
    return true;
}

FIBER_TEST(a_path_that_grows_without_end_is_ended_by_its_segments)
{
    struct site site;
    struct weft_crawl_result result;
    site_open_with(&site, NULL, 0);
    site.make = make_nested;
    CHECK_EQUAL(site_crawl(&site, "/", &(struct weft_crawl_options){.ignore_sitemaps = 1}, &result),
                0);
    CHECK_EQUAL(result.fetched, 64);
    site_close(&site);
}

static bool make_chain(struct site *site, const char *path, struct weft_buffer *body)
{
    unsigned hop = 0;
    (void)body;
    if (sscanf(path, "/hop/%u", &hop) != 1)
        return false;
    site->made_status = 302;
    (void)snprintf(site->made_fields, sizeof site->made_fields, "Location: /hop/%u\r\n", hop + 1);
    return true;
}

FIBER_TEST(redirects_without_end_are_followed_ten_times)
{
    struct site site;
    struct weft_crawl_result result;
    char store[512];
    (void)snprintf(store, sizeof store, "%s", store_path("chain.db"));
    site_open_with(&site, NULL, 0);
    site.make = make_chain;
    const struct weft_crawl_options options = {.store = store, .ignore_sitemaps = 1};
    CHECK_EQUAL(site_crawl(&site, "/hop/0", &options, &result), 0);
    CHECK_EQUAL(site.made, 11);
    CHECK_EQUAL(store_ask(store, "SELECT count(*) FROM results WHERE error_class = 'redirects'"),
                1);
    site_close(&site);
}

FIBER_TEST(redirects_lead_nowhere_they_must_not)
{
    static const struct site_page pages[] = {
        {.path = "/", .body = "<a href=1>1</a><a href=2>2</a><a href=3>3</a><a href=4>4</a>"},
        {.path = "/1", .status = 302, .fields = "Location: file:///etc/passwd\r\n"},
        {.path = "/2", .status = 302, .fields = "Location: http://a@127.0.0.1/\r\n"},
        {.path = "/3", .status = 302, .fields = "Location: http://2130706433/\r\n"},
        {.path = "/4", .status = 302, .fields = "Location: javascript:alert(1)\r\n"},
    };
    struct site site;
    struct weft_crawl_result result;
    site_open(&site, pages);
    CHECK_EQUAL(site_crawl(&site, "/", &(struct weft_crawl_options){.ignore_sitemaps = 1}, &result),
                0);
    CHECK_EQUAL(result.known, 5);
    CHECK_EQUAL(result.fetched, 5);
    site_close(&site);
}

FIBER_TEST(a_body_that_is_too_long_is_no_page)
{
    char *body = malloc(300000);
    REQUIRE(body);
    memset(body, ' ', 300000);
    memcpy(body, "<a href=/x>", 11);
    const struct site_page pages[] = {{.path = "/", .body = body, .len = 300000}, {.path = "/x"}};
    struct site site;
    struct weft_crawl_result result;
    char store[512];
    (void)snprintf(store, sizeof store, "%s", store_path("long.db"));
    site_open(&site, pages);
    const struct weft_crawl_options options = {
        .store = store, .body_bytes_max = 100000, .ignore_sitemaps = 1};
    CHECK_EQUAL(site_crawl(&site, "/", &options, &result), 0);
    CHECK_EQUAL(site_hits(&site, "/"), 1); /* it will not become shorter */
    CHECK_EQUAL(site_hits(&site, "/x"), 0);
    CHECK_EQUAL(store_ask(store, "SELECT count(*) FROM results WHERE error_class = 'too-large'"),
                1);
    site_close(&site);
    free(body);
}

FIBER_TEST(of_very_many_links_some_are_taken)
{
    struct weft_buffer body;
    weft_buffer_init(&body, (size_t)1 << 20);
    for (unsigned i = 0; i < 5000; i++)
        weft_buffer_append_format(&body, "<a href=%u>", i);
    const struct site_page pages[] = {{.path = "/", .body = body.data, .len = body.len}};
    struct site site;
    struct weft_crawl_result result;
    site_open(&site, pages);
    const struct weft_crawl_options options = {
        .links_max = 100, .pages_max = 1, .ignore_sitemaps = 1};
    CHECK_EQUAL(site_crawl(&site, "/", &options, &result), 0);
    CHECK_EQUAL(result.known, 101);
    site_close(&site);
    weft_buffer_deinit(&body);
}

FIBER_TEST(sitemaps_that_are_none_are_told_and_do_no_harm)
{
    static const struct site_page pages[] = {
        {.path = "/robots.txt",
         .body =
             "Sitemap: /laughs.xml\nSitemap: /html.xml\nSitemap: /loop.xml\nSitemap: http://\n"},
        {.path = "/"},
        {.path = "/laughs.xml",
         .body = "<!DOCTYPE x [<!ENTITY a 'aaaa'><!ENTITY b '&a;&a;&a;'>]><urlset><url><loc>"
                 "@/&b;</loc></url></urlset>"},
        {.path = "/html.xml", .body = "<html><a href=/never>n</a></html>"},
        {.path = "/loop.xml",
         .body = "<sitemapindex><sitemap><loc>@/loop.xml</loc></sitemap></sitemapindex>"},
    };
    struct site site;
    struct weft_crawl_result result;
    char store[512];
    (void)snprintf(store, sizeof store, "%s", store_path("maps.db"));
    site_open(&site, pages);
    CHECK_EQUAL(site_crawl(&site, "/", &(struct weft_crawl_options){.store = store}, &result), 0);
    CHECK_EQUAL(result.known, 4);
    for (size_t i = 0; i < 5; i++)
        CHECK_EQUAL(site.hits[i], 1);
    CHECK_EQUAL(store_ask(store, "SELECT count(*) FROM results WHERE error_class = 'protocol'"), 2);
    site_close(&site);
}

static struct weft_random noise;

static bool make_noise(struct site *site, const char *path, struct weft_buffer *body)
{
    static const char *const pieces[] = {"<a href=",
                                         "<",
                                         ">",
                                         "'",
                                         "\"",
                                         "<!--",
                                         "--",
                                         "<script",
                                         "</",
                                         "&",
                                         ";",
                                         "/",
                                         "#",
                                         "?",
                                         "%",
                                         "\xff",
                                         "<base href=http://",
                                         "<meta charset=utf-16>",
                                         "<html>"};
    (void)path, (void)site;
    for (unsigned i = 0; i < 300; i++) {
        if (weft_random_below(&noise, 3))
            weft_buffer_append_string(
                body, pieces[weft_random_below(&noise, sizeof pieces / sizeof *pieces)]);
        else
            weft_buffer_append_char(body, (char)weft_random_below(&noise, 256));
    }
    return true;
}

FIBER_TEST(noise_is_crawled_without_harm)
{
    struct site site;
    struct weft_crawl_result result;
    site_open_with(&site, NULL, 0);
    site.make = make_noise;
    weft_random_seed(&noise, 11);
    CHECK_EQUAL(site_crawl(&site, "/", &(struct weft_crawl_options){.pages_max = 60}, &result), 0);
    CHECK(result.fetched > 0);
    site_close(&site);
}

FIBER_TEST(connections_that_are_cut_are_tried_again_and_then_broken)
{
    static const struct site_page pages[] = {{.path = "/", .body = "<a href=/cut>c</a>"},
                                             {.path = "/cut", .status = -1}};
    struct site site;
    struct weft_crawl_result result;
    char store[512];
    (void)snprintf(store, sizeof store, "%s", store_path("cut.db"));
    site_open(&site, pages);
    const struct weft_crawl_options options = {.store = store, .ignore_sitemaps = 1};
    CHECK_EQUAL(site_crawl(&site, "/", &options, &result), 0);
    CHECK(site_hits(&site, "/cut") >= 3); /* and once more on a connection that was there */
    CHECK_EQUAL(result.retries, 2);
    CHECK_EQUAL(store_ask(store, "SELECT count(*) FROM results WHERE error_class = 'reset' AND "
                                 "attempt = 3 AND status_code = 0"),
                1);
    site_close(&site);
}

FIBER_TEST(a_host_that_fails_again_and_again_is_left)
{
    struct weft_buffer body;
    weft_buffer_init(&body, (size_t)1 << 20);
    for (unsigned i = 0; i < 50; i++)
        weft_buffer_append_format(&body, "<a href=/cut?%u>", i);
    weft_buffer_append_char(&body, '\0');
    struct site site;
    struct weft_crawl_result result;
    static struct site_page pages[51];
    static char paths[50][16];
    pages[0] = (struct site_page){.path = "/", .body = body.data};
    for (unsigned i = 0; i < 50; i++) {
        (void)snprintf(paths[i], sizeof paths[i], "/cut?%u", i);
        pages[i + 1] = (struct site_page){.path = paths[i], .status = -1};
    }
    site_open(&site, pages);
    const struct weft_crawl_options options = {.ignore_sitemaps = 1, .attempts_max = 1};
    CHECK_EQUAL(site_crawl(&site, "/", &options, &result), 0);
    CHECK_EQUAL(result.broken, 10);
    CHECK_EQUAL(result.beyond, 40);
    site_close(&site);
    weft_buffer_deinit(&body);
}
