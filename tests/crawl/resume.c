/* SPDX-License-Identifier: MIT
 * resume.c - a crawl goes on where it was. tests/crawl/kill.c has the same with kill -9. */
#include "site.h"

#include "test.h"

#include <weft/runtime.h>
#include <weft/scope.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define TREE_PAGES 40

/* Each page leads to two more, and home. */
static bool make_tree(struct site *site, const char *path, struct weft_buffer *body)
{
    unsigned page = 0;
    if (strcmp(path, "/robots.txt") == 0 || sscanf(path, "/%u", &page) > 1)
        return false;
    if (page >= TREE_PAGES)
        return false;
    site->hits[page]++;
    weft_buffer_append_string(body, "<a href=/>home</a>");
    for (unsigned next = 2 * page + 1; next <= 2 * page + 2 && next < TREE_PAGES; next++)
        weft_buffer_append_format(body, "<a href=/%u>%u</a>", next, next);
    return true;
}

static void open_tree(struct site *site)
{
    static const struct site_page rules[] = {{.path = "/robots.txt", .body = "User-agent: *\n"}};
    site_open_with(site, rules, 0);
    site->pages = rules;
    site->make = make_tree;
}

static unsigned sum_hits(const struct site *site)
{
    unsigned sum = 0;
    for (unsigned i = 0; i < TREE_PAGES; i++)
        sum += site->hits[i];
    return sum;
}

FIBER_TEST(a_crawl_in_pieces_fetches_every_page_once)
{
    struct site site;
    struct weft_crawl_result result = {0};
    char store[512];
    (void)snprintf(store, sizeof store, "%s", store_path("pieces.db"));
    open_tree(&site);
    struct weft_crawl_options options = {.store = store, .ignore_sitemaps = 1};
    for (options.pages_max = 7; options.pages_max < 60; options.pages_max += 7) {
        CHECK_EQUAL(site_crawl(&site, "/", &options, &result), 0);
        uint64_t expected = options.pages_max < TREE_PAGES ? options.pages_max : TREE_PAGES;
        CHECK_EQUAL(result.done, expected);
    }
    CHECK_EQUAL(sum_hits(&site), TREE_PAGES);
    for (unsigned i = 0; i < TREE_PAGES; i++)
        CHECK_EQUAL(site.hits[i], 1);
    CHECK_EQUAL(site.missed, 1); /* robots.txt: the store remembers it, too */
    CHECK_EQUAL(store_ask(store, "SELECT count(*) FROM results"), TREE_PAGES);
    site_close(&site);
}

static struct weft_scope *to_cancel;
static unsigned cancel_at;

static void count_down(struct site *site)
{
    if (site->requests == cancel_at)
        weft_scope_cancel(to_cancel, 0);
}

static int crawl_until(struct site *site, unsigned requests,
                       const struct weft_crawl_options *options, struct weft_crawl_result *result)
{
    struct weft_scope scope;
    weft_scope_enter(&scope, WEFT_FOREVER, 0);
    to_cancel = &scope;
    cancel_at = requests;
    site->on_request = count_down;
    int err = weft_scope_leave(&scope, site_crawl(site, "/", options, result));
    site->on_request = NULL;
    return err;
}

FIBER_TEST(a_cancelled_crawl_loses_only_what_was_in_flight)
{
    struct weft_crawl_result result;
    for (unsigned requests = 1; requests < TREE_PAGES; requests += 6) {
        struct site site;
        char store[512];
        (void)snprintf(store, sizeof store, "%s", store_path("cancel.db"));
        open_tree(&site);
        const struct weft_crawl_options options = {
            .store = store, .ignore_sitemaps = 1, .host_concurrency = 3, .concurrency = 3};
        CHECK_EQUAL(crawl_until(&site, requests, &options, &result), -ECANCELED);
        CHECK_EQUAL(result.stopped, 1);
        CHECK_EQUAL(store_ask(store, "SELECT count(*) FROM urls WHERE state = 1"), 0);
        CHECK_EQUAL(store_ask(store, "SELECT pending = (SELECT count(*) FROM urls WHERE state = 0) "
                                     "FROM totals"),
                    1);
        CHECK_EQUAL(site_crawl(&site, "/", &options, &result), 0);
        CHECK_EQUAL(result.done, TREE_PAGES);
        CHECK_EQUAL(store_ask(store, "SELECT count(*) FROM results"), TREE_PAGES);
        CHECK_EQUAL(store_ask(store, "SELECT max(attempt) FROM results"), 1);
        CHECK(sum_hits(&site) >= TREE_PAGES && sum_hits(&site) <= TREE_PAGES + 3);
        site_close(&site);
    }
}

FIBER_TEST(without_seeds_those_of_the_store_count)
{
    struct site site;
    struct weft_crawl_result result;
    char store[512], error[256];
    (void)snprintf(store, sizeof store, "%s", store_path("seeds.db"));
    open_tree(&site);
    struct weft_crawl_options options = {.store = store, .ignore_sitemaps = 1, .pages_max = 3};
    CHECK_EQUAL(site_crawl(&site, "/", &options, &result), 0);
    options.pages_max = 0;
    options.allow_private = 1;
    options.delay_ns = WEFT_CRAWL_NO_DELAY;
    CHECK_EQUAL(weft_crawl(&options, &result, error, sizeof error), 0);
    CHECK_EQUAL(result.done, TREE_PAGES);
    site_close(&site);
}

FIBER_TEST(a_later_run_may_go_deeper_and_take_more_of_a_host)
{
    struct site site;
    struct weft_crawl_result result;
    char store[512];
    (void)snprintf(store, sizeof store, "%s", store_path("deeper.db"));
    open_tree(&site);
    struct weft_crawl_options options = {.store = store, .ignore_sitemaps = 1, .depth_max = 2};
    CHECK_EQUAL(site_crawl(&site, "/", &options, &result), 0);
    CHECK_EQUAL(result.done, 7);
    CHECK_EQUAL(result.beyond, 8);
    options.depth_max = 0;
    options.host_pages_max = 12;
    CHECK_EQUAL(site_crawl(&site, "/", &options, &result), 0);
    CHECK_EQUAL(result.done, 12);
    CHECK_EQUAL(result.waiting, 0);
    options.host_pages_max = 0;
    CHECK_EQUAL(site_crawl(&site, "/", &options, &result), 0);
    CHECK_EQUAL(result.done, TREE_PAGES);
    CHECK_EQUAL(sum_hits(&site), TREE_PAGES);
    site_close(&site);
}

struct second {
    struct site *site;
    const char *store;
    int err;
};

static struct second *second;

static int open_again(void *arg)
{
    struct weft_crawl_result result;
    struct second *again = arg;
    char error[256];
    const char *const seeds[] = {"http://127.0.0.1:1/"};
    const struct weft_crawl_options options = {
        .seeds = seeds, .seeds_count = 1, .store = again->store};
    again->err = weft_crawl(&options, &result, error, sizeof error);
    CHECK(strstr(error, "another crawl has the store"));
    return 0;
}

static void begin_second(struct site *site)
{
    if (site->requests == 2)
        (void)open_again(second);
}

FIBER_TEST(a_store_is_one_crawls_at_a_time)
{
    struct site site;
    struct weft_crawl_result result;
    char store[512];
    (void)snprintf(store, sizeof store, "%s", store_path("twice.db"));
    open_tree(&site);
    struct second again = {.store = store};
    second = &again;
    site.on_request = begin_second;
    const struct weft_crawl_options options = {.store = store, .ignore_sitemaps = 1};
    CHECK_EQUAL(site_crawl(&site, "/", &options, &result), 0);
    CHECK_EQUAL(again.err, -EBUSY);
    CHECK_EQUAL(result.done, TREE_PAGES);
    site_close(&site);
}

FIBER_TEST(what_is_no_store_is_left_alone)
{
    struct site site;
    struct weft_crawl_result result;
    char store[512];
    static const char text[] = "this is no database, and it is longer than a header of one is";
    (void)snprintf(store, sizeof store, "%s", store_path("text.db"));
    int fd = open(store, O_WRONLY | O_CREAT, 0600);
    REQUIRE(fd >= 0 && write(fd, text, sizeof text) == (ssize_t)sizeof text);
    (void)close(fd);
    open_tree(&site);
    CHECK_EQUAL(site_crawl(&site, "/", &(struct weft_crawl_options){.store = store}, &result),
                WEFT_ECORRUPT);
    char error[256];
    CHECK_EQUAL(weft_crawl_write_report(store, WEFT_CRAWL_PAGES, WEFT_CRAWL_CSV, STDERR_FILENO, 0,
                                        error, sizeof error),
                WEFT_ECORRUPT);
    CHECK_EQUAL(weft_crawl_write_report("/no/such.db", WEFT_CRAWL_PAGES, WEFT_CRAWL_CSV,
                                        STDERR_FILENO, 0, error, sizeof error),
                -ENOENT);
    CHECK_EQUAL(weft_crawl_write_report(store, WEFT_CRAWL_PAGES, WEFT_CRAWL_DOT, STDERR_FILENO, 0,
                                        error, sizeof error),
                -EINVAL);
    site_close(&site);
}

FIBER_TEST(a_crawl_that_is_cancelled_before_it_begins_does_nothing)
{
    struct site site;
    struct weft_scope scope;
    struct weft_crawl_result result;
    char store[512];
    (void)snprintf(store, sizeof store, "%s", store_path("before.db"));
    open_tree(&site);
    const struct weft_crawl_options options = {.store = store, .ignore_sitemaps = 1};
    weft_scope_enter(&scope, WEFT_FOREVER, 0);
    weft_scope_cancel(&scope, 0);
    int err = weft_scope_leave(&scope, site_crawl(&site, "/", &options, &result));
    CHECK_EQUAL(err, -ECANCELED);
    CHECK_EQUAL(site.requests, 0);
    CHECK_EQUAL(site_crawl(&site, "/", &options, &result), 0);
    CHECK_EQUAL(result.done, TREE_PAGES);
    site_close(&site);
}

/* Every write beyond some size of a file fails, as on a disk that is full. */
FIBER_TEST(a_store_that_cannot_grow_ends_the_crawl_with_a_reason)
{
    struct site site;
    struct weft_crawl_result result;
    struct rlimit before, small;
    char store[512], error[256];
    (void)snprintf(store, sizeof store, "%s", store_path("full.db"));
    open_tree(&site);
    struct weft_crawl_options options = {.store = store, .ignore_sitemaps = 1, .pages_max = 2};
    CHECK_EQUAL(site_crawl(&site, "/", &options, &result), 0);
    options.pages_max = 0;
    options.allow_private = 1;
    options.delay_ns = WEFT_CRAWL_NO_DELAY;
    (void)signal(SIGXFSZ, SIG_IGN);
    REQUIRE(getrlimit(RLIMIT_FSIZE, &before) == 0);
    small = before;
    small.rlim_cur = 60000;
    REQUIRE(setrlimit(RLIMIT_FSIZE, &small) == 0);
    int err = weft_crawl(&options, &result, error, sizeof error);
    REQUIRE(setrlimit(RLIMIT_FSIZE, &before) == 0);
    CHECK(err < 0 && err != -ECANCELED);
    CHECK(strstr(error, "store") != NULL);
    if (!strstr(error, "store"))
        test_note("%d: %s", err, error);
    CHECK_EQUAL(weft_crawl(&options, &result, error, sizeof error), 0);
    CHECK_EQUAL(result.done, TREE_PAGES);
    site_close(&site);
}
