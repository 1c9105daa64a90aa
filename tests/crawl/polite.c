/* SPDX-License-Identifier: MIT
 * polite.c - a crawl does what servers ask for. */
#include "site.h"

#include "test.h"

#include <weft/io.h>
#include <weft/runtime.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct site_page guarded[] = {
    {.path = "/robots.txt",
     .type = "text/plain",
     .body =
         "User-agent: *\nDisallow: /\n\nUser-agent: Weft\nDisallow: /secret\nAllow: /secret/not\n"
         "Disallow: /*?x=\n"},
    {.path = "/",
     .body =
         "<a href=/secret>s</a><a href=/secret/not>n</a><a href='/a?x=1'>x</a><a href=/a>a</a>"},
    {.path = "/secret"},
    {.path = "/secret/not"},
    {.path = "/a?x=1"},
    {.path = "/a"},
};

FIBER_TEST(robots_txt_is_asked_for_once_and_respected)
{
    struct site site;
    struct weft_crawl_result result;
    site_open(&site, guarded);
    CHECK_EQUAL(site_crawl(&site, "/", NULL, &result), 0);
    CHECK_EQUAL(site_hits(&site, "/robots.txt"), 1);
    CHECK_EQUAL(site_hits(&site, "/secret"), 0);
    CHECK_EQUAL(site_hits(&site, "/a?x=1"), 0);
    CHECK_EQUAL(site_hits(&site, "/secret/not"), 1);
    CHECK_EQUAL(site_hits(&site, "/a"), 1);
    CHECK_EQUAL(result.forbidden, 2);
    CHECK_EQUAL(result.broken, 1); /* the sitemap */
    CHECK_EQUAL(site.agents, site.requests);
    site_close(&site);
}

FIBER_TEST(another_name_has_other_rules)
{
    struct site site;
    struct weft_crawl_result result;
    site_open(&site, guarded);
    const struct weft_crawl_options options = {.user_agent = "Other/1.0 (+http://x)",
                                               .ignore_sitemaps = 1};
    CHECK_EQUAL(site_crawl(&site, "/", &options, &result), 0);
    CHECK_EQUAL(site.requests, 1); /* robots.txt */
    CHECK_EQUAL(result.forbidden, 1);
    CHECK_EQUAL(result.fetched, 0);
    site_close(&site);
}

FIBER_TEST(rules_can_be_ignored_on_ones_own_site)
{
    struct site site;
    struct weft_crawl_result result;
    site_open(&site, guarded);
    CHECK_EQUAL(site_crawl(&site, "/", &(struct weft_crawl_options){.ignore_robots = 1}, &result),
                0);
    CHECK_EQUAL(site_hits(&site, "/robots.txt"), 0);
    CHECK_EQUAL(site_hits(&site, "/secret"), 1);
    CHECK_EQUAL(result.forbidden, 0);
    site_close(&site);
}

FIBER_TEST(nofollow_of_links_pages_and_fields_is_respected)
{
    static const struct site_page pages[] = {
        {.path = "/",
         .body = "<a rel=nofollow href=/1>1</a><a href=/meta>m</a><a href=/field>f</a>"},
        {.path = "/meta", .body = "<meta name=robots content=nofollow><a href=/2>2</a>"},
        {.path = "/field",
         .fields = "X-Robots-Tag: other: none\r\nX-Robots-Tag: weft: nofollow, noindex\r\n",
         .body = "<a href=/3>3</a>"},
        {.path = "/1"},
        {.path = "/2"},
        {.path = "/3"},
    };
    struct site site;
    struct weft_crawl_result result;
    char store[512];
    (void)snprintf(store, sizeof store, "%s", store_path("tags.db"));
    site_open(&site, pages);
    CHECK_EQUAL(site_crawl(&site, "/", &(struct weft_crawl_options){.store = store}, &result), 0);
    CHECK_EQUAL(site_hits(&site, "/1") + site_hits(&site, "/2") + site_hits(&site, "/3"), 0);
    CHECK_EQUAL(site_hits(&site, "/meta") + site_hits(&site, "/field"), 2);
    CHECK_EQUAL(result.outside, 3);
    CHECK_EQUAL(store_ask(store, "SELECT count(*) FROM results WHERE noindex"), 1);
    CHECK_EQUAL(store_ask(store, "SELECT count(*) FROM links WHERE nofollow"), 3);
    CHECK_EQUAL(site_crawl(&site, "/", &(struct weft_crawl_options){.ignore_robots = 1}, &result),
                0);
    CHECK_EQUAL(site_hits(&site, "/1") + site_hits(&site, "/2") + site_hits(&site, "/3"), 3);
    site_close(&site);
}

static const struct site_page row[] = {
    {.path = "/", .body = "<a href=/1>1</a><a href=/2>2</a><a href=/3>3</a><a href=/4>4</a>"},
    {.path = "/1"},
    {.path = "/2"},
    {.path = "/3"},
    {.path = "/4"},
};

FIBER_TEST(a_host_gets_one_request_at_a_time_with_pauses_between)
{
    struct site site;
    struct weft_crawl_result result;
    site_open(&site, row);
    site.work_ns = 200 * WEFT_MSEC;
    const struct weft_crawl_options options = {.delay_ns = 3 * WEFT_SEC, .ignore_sitemaps = 1};
    CHECK_EQUAL(site_crawl(&site, "/", &options, &result), 0);
    CHECK_EQUAL(site.requests, 6);
    CHECK_EQUAL(site.serving_most, 1);
    CHECK(result.elapsed_ns >= 5 * 3 * WEFT_SEC);
    site_close(&site);
}

/* The third request waits for the fourth, with more patience than a busy machine needs. */
static void wait_for_another(struct site *site)
{
    for (unsigned i = 0; i < 2000 && site->requests == 3; i++)
        (void)weft_sleep(10 * WEFT_MSEC);
}

FIBER_TEST(more_at_a_time_are_as_many_as_allowed)
{
    struct site site;
    struct weft_crawl_result result;
    site_open(&site, row);
    site.work_ns = 200 * WEFT_MSEC;
    site.on_request = wait_for_another;
    const struct weft_crawl_options options = {.host_concurrency = 3};
    CHECK_EQUAL(site_crawl(&site, "/", &options, &result), 0);
    CHECK(site.serving_most >= 2 && site.serving_most <= 3);
    site_close(&site);
}

static const struct site_page slow[] = {
    {.path = "/robots.txt", .body = "User-agent: *\nCrawl-delay: 20\n"},
    {.path = "/", .body = "<a href=/1>1</a>"},
    {.path = "/1"},
};

FIBER_TEST(crawl_delay_is_a_floor_with_a_ceiling)
{
    struct site site;
    struct weft_crawl_result result;
    struct weft_crawl_options options = {.ignore_sitemaps = 1};
    site_open(&site, slow);
    CHECK_EQUAL(site_crawl(&site, "/", &options, &result), 0);
    CHECK(result.elapsed_ns >= 40 * WEFT_SEC);
    options.delay_ns = 50 * WEFT_SEC;
    CHECK_EQUAL(site_crawl(&site, "/", &options, &result), 0);
    CHECK(result.elapsed_ns >= 100 * WEFT_SEC);
    options = (struct weft_crawl_options){.ignore_sitemaps = 1, .delay_max_ns = 2 * WEFT_SEC};
    CHECK_EQUAL(site_crawl(&site, "/", &options, &result), 0);
    CHECK(result.elapsed_ns < 40 * WEFT_SEC);
    site_close(&site);
}

static unsigned busy_left;

static bool make_busy(struct site *site, const char *path, struct weft_buffer *body)
{
    (void)body;
    if (strcmp(path, "/1") != 0 || busy_left == 0)
        return false;
    busy_left--;
    site->made_status = 503;
    (void)snprintf(site->made_fields, sizeof site->made_fields, "Retry-After: 30\r\n");
    return true;
}

FIBER_TEST(a_busy_host_is_left_alone_for_as_long_as_it_asks)
{
    struct site site;
    struct weft_crawl_result result;
    site_open(&site, row);
    site.make = make_busy;
    busy_left = 2;
    CHECK_EQUAL(site_crawl(&site, "/", &(struct weft_crawl_options){.ignore_sitemaps = 1}, &result),
                0);
    CHECK_EQUAL(site.made, 2);
    for (size_t i = 0; i < 5; i++)
        CHECK_EQUAL(site.hits[i], 1);
    CHECK_EQUAL(result.retries, 2);
    CHECK_EQUAL(result.status[5], 0);
    CHECK_EQUAL(result.broken, 0);
    CHECK(result.elapsed_ns >= 60 * WEFT_SEC);
    busy_left = 1000;
    CHECK_EQUAL(site_crawl(&site, "/", &(struct weft_crawl_options){.ignore_sitemaps = 1}, &result),
                0);
    CHECK_EQUAL(result.status[5], 1); /* after three attempts */
    CHECK_EQUAL(result.broken, 1);
    site_close(&site);
}

static bool make_closed(struct site *site, const char *path, struct weft_buffer *body)
{
    (void)path, (void)body;
    if (site->requests < 4)
        return false;
    site->made_status = 429;
    (void)snprintf(site->made_fields, sizeof site->made_fields, "Retry-After: 86400\r\n");
    return true;
}

FIBER_TEST(who_asks_for_too_long_a_pause_is_left_for_another_run)
{
    struct site site;
    struct weft_crawl_result result;
    char store[512];
    (void)snprintf(store, sizeof store, "%s", store_path("later.db"));
    const struct weft_crawl_options options = {.store = store, .ignore_sitemaps = 1};
    site_open(&site, row);
    site.make = make_closed;
    CHECK_EQUAL(site_crawl(&site, "/", &options, &result), 0);
    CHECK_EQUAL(site.made, 1); /* nobody asks again */
    CHECK_EQUAL(result.fetched, 2);
    CHECK_EQUAL(result.beyond, 3);
    CHECK_EQUAL(result.waiting, 0);
    CHECK(result.elapsed_ns < 86400 * WEFT_SEC);
    site.make = NULL;
    CHECK_EQUAL(site_crawl(&site, "/", &options, &result), 0);
    CHECK_EQUAL(result.fetched, 3);
    CHECK_EQUAL(result.done, 5);
    for (size_t i = 0; i < 5; i++)
        CHECK_EQUAL(site.hits[i], 1);
    site_close(&site);
}

static int rules_status;

static bool make_rules(struct site *site, const char *path, struct weft_buffer *body)
{
    if (strcmp(path, "/robots.txt") != 0)
        return false;
    weft_buffer_append_string(body, "User-agent: *\nDisallow: /\n");
    site->made_status = rules_status;
    return true;
}

static uint64_t fetched_with_rules(int status, unsigned requests)
{
    struct site site;
    struct weft_crawl_result result;
    site_open(&site, row);
    site.make = make_rules;
    rules_status = status;
    CHECK_EQUAL(site_crawl(&site, "/", &(struct weft_crawl_options){.ignore_sitemaps = 1}, &result),
                0);
    CHECK_EQUAL(site.made, requests);
    site_close(&site);
    return result.fetched;
}

FIBER_TEST(rules_that_are_not_there_allow_all_and_those_that_cannot_be_had_forbid_all)
{
    CHECK_EQUAL(fetched_with_rules(404, 1), 5);
    CHECK_EQUAL(fetched_with_rules(403, 1), 5);
    CHECK_EQUAL(fetched_with_rules(401, 1), 5);
    CHECK_EQUAL(fetched_with_rules(200, 1), 0);
    CHECK_EQUAL(fetched_with_rules(500, 3), 0);
    CHECK_EQUAL(fetched_with_rules(503, 3), 0);
    CHECK_EQUAL(fetched_with_rules(429, 3), 0);
}

FIBER_TEST(redirects_of_rules_are_followed_five_times)
{
    static const struct site_page pages[] = {
        {.path = "/robots.txt", .status = 301, .fields = "Location: /r1\r\n"},
        {.path = "/r1", .status = 302, .fields = "Location: /r2\r\n"},
        {.path = "/r2", .status = 307, .fields = "Location: /r3\r\n"},
        {.path = "/r3", .status = 308, .fields = "Location: /r4\r\n"},
        {.path = "/r4", .status = 301, .fields = "Location: /r5\r\n"},
        {.path = "/r5", .body = "User-agent: *\nDisallow: /no\n"},
        {.path = "/", .body = "<a href=/no>n</a><a href=/yes>y</a>"},
        {.path = "/no"},
        {.path = "/yes"},
    };
    struct site site;
    struct weft_crawl_result result;
    site_open(&site, pages);
    CHECK_EQUAL(site_crawl(&site, "/", &(struct weft_crawl_options){.ignore_sitemaps = 1}, &result),
                0);
    CHECK_EQUAL(site_hits(&site, "/r5"), 1);
    CHECK_EQUAL(site_hits(&site, "/no"), 0);
    CHECK_EQUAL(site_hits(&site, "/yes"), 1);
    site_close(&site);
}

/* Of a port where nobody listens. */
FIBER_TEST(a_host_that_does_not_answer_is_not_asked_for_each_page)
{
    static const struct site_page pages[] = {
        {.path = "/", .body = "<a href='~/1'>1</a><a href='~/2'>2</a><a href='~/3'>3</a>"}};
    struct site site, gone;
    struct weft_crawl_result result;
    char store[512];
    (void)snprintf(store, sizeof store, "%s", store_path("gone.db"));
    site_open(&site, pages);
    site_open(&gone, pages);
    site.other_port = gone.origin.port;
    site_close(&gone);
    const struct weft_crawl_options options = {
        .store = store, .external = 1, .ignore_sitemaps = 1, .attempts_max = 2};
    CHECK_EQUAL(site_crawl(&site, "/", &options, &result), 0);
    CHECK_EQUAL(result.broken, 3);
    CHECK_EQUAL(result.status[0], 3);
    CHECK_EQUAL(store_ask(store, "SELECT count(*) FROM results WHERE error_class = 'connect'"), 3);
    site_close(&site);
}

FIBER_TEST(a_small_host_does_not_wait_for_a_large_one)
{
    static const struct site_page few[] = {{.path = "/", .body = "<a href=/1>1</a>"},
                                           {.path = "/1"}};
    static const struct site_page many[] = {
        {.path = "/",
         .body = "<a href='~/'>o</a><a href=/1>1</a><a href=/2>2</a><a href=/3>3</a>"
                 "<a href=/4>4</a><a href=/5>5</a><a href=/6>6</a><a href=/7>7</a>"}};
    struct site large, small;
    struct weft_crawl_result result;
    site_open(&large, many);
    site_open(&small, few);
    large.other_port = small.origin.port;
    const struct weft_crawl_options options = {
        .scope = WEFT_CRAWL_ANYWHERE, .concurrency = 1, .delay_ns = WEFT_SEC, .ignore_sitemaps = 1};
    CHECK_EQUAL(site_crawl(&large, "/", &options, &result), 0);
    CHECK_EQUAL(result.fetched, 10);
    CHECK(small.last_ns < large.last_ns);
    site_close(&small);
    site_close(&large);
}
