/* SPDX-License-Identifier: MIT
 * crawl.c - whole crawls of small sites: what is fetched, what is found out. */
#include "site.h"

#include "test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#define ZLIB_CONST
#include <zlib.h>

static const struct site_page linked[] = {
    {.path = "/", .body = "<a href=/a>a</a><a href=b/>b</a><a href=/a#x>again</a>"},
    {.path = "/a", .body = "<a href=/>home</a><a href='/a?q'>q</a>"},
    {.path = "/a?q", .body = "<a href=a>a</a>"},
    {.path = "/b/", .body = "<a href=c>c</a><a href=../d>d</a><a href='mailto:x@example.org'>"},
    {.path = "/b/c", .body = "end"},
    {.path = "/d", .type = "text/plain", .body = "<a href=/never>"},
    {.path = "/never"},
};

FIBER_TEST(every_page_that_is_linked_is_fetched_once)
{
    struct site site;
    struct weft_crawl_result result;
    site_open(&site, linked);
    CHECK_EQUAL(site_crawl(&site, "/", NULL, &result), 0);
    for (size_t i = 0; i < 6; i++)
        CHECK_EQUAL(site.hits[i], 1);
    CHECK_EQUAL(site_hits(&site, "/never"), 0);
    CHECK_EQUAL(result.fetched, 7); /* with the sitemap that is not there */
    CHECK_EQUAL(result.done, 7);
    CHECK_EQUAL(result.status[2], 6);
    CHECK_EQUAL(result.status[4], 1);
    CHECK_EQUAL(result.waiting, 0);
    CHECK_EQUAL(result.hosts, 1);
    CHECK_EQUAL(result.links, 7);
    CHECK_EQUAL(result.retries, 0);
    CHECK_EQUAL(result.stopped, 0);
    CHECK_EQUAL(site.missed, 2); /* robots.txt, sitemap.xml */
    site_close(&site);
}

FIBER_TEST(depth_is_counted_in_links)
{
    struct site site;
    struct weft_crawl_result result;
    site_open(&site, linked);
    CHECK_EQUAL(site_crawl(&site, "/",
                           &(struct weft_crawl_options){.depth_max = 1, .ignore_sitemaps = 1},
                           &result),
                0);
    CHECK_EQUAL(result.fetched, 3);
    CHECK_EQUAL(site_hits(&site, "/b/"), 1);
    CHECK_EQUAL(site_hits(&site, "/b/c"), 0);
    CHECK_EQUAL(result.beyond, 3);
    CHECK_EQUAL(site_crawl(&site, "/",
                           &(struct weft_crawl_options){.depth_max = WEFT_CRAWL_DEPTH_0,
                                                        .ignore_sitemaps = 1},
                           &result),
                0);
    CHECK_EQUAL(result.fetched, 1);
    site_close(&site);
}

FIBER_TEST(pages_are_limited_in_all_and_by_host)
{
    struct site site;
    struct weft_crawl_result result;
    site_open(&site, linked);
    CHECK_EQUAL(site_crawl(&site, "/",
                           &(struct weft_crawl_options){.pages_max = 2, .ignore_sitemaps = 1},
                           &result),
                0);
    CHECK_EQUAL(result.fetched, 2);
    CHECK(result.waiting > 0);
    CHECK_EQUAL(site_crawl(&site, "/",
                           &(struct weft_crawl_options){.host_pages_max = 3, .ignore_sitemaps = 1},
                           &result),
                0);
    CHECK_EQUAL(result.fetched, 3);
    CHECK_EQUAL(result.waiting, 0);
    CHECK(result.beyond > 0);
    site_close(&site);
}

FIBER_TEST(links_out_of_scope_are_known_and_not_followed)
{
    static const struct site_page pages[] = {
        {.path = "/in/", .body = "<a href=a>a</a><a href=/out>o</a><a href='~/x'>other</a>"},
        {.path = "/in/a"},
        {.path = "/out"},
    };
    static const struct site_page others[] = {{.path = "/x", .body = "<a href=/y>y</a>"},
                                              {.path = "/y"}};
    struct site site, other;
    struct weft_crawl_result result;
    struct weft_crawl_options options = {.scope = WEFT_CRAWL_PREFIX, .ignore_sitemaps = 1};
    site_open(&site, pages);
    site_open(&other, others);
    site.other_port = other.origin.port;
    CHECK_EQUAL(site_crawl(&site, "/in/", &options, &result), 0);
    CHECK_EQUAL(result.fetched, 2);
    CHECK_EQUAL(result.outside, 2);
    CHECK_EQUAL(site_hits(&site, "/out"), 0);
    CHECK_EQUAL(other.requests, 0);
    options.external = 1; /* whether they are there; no further */
    CHECK_EQUAL(site_crawl(&site, "/in/", &options, &result), 0);
    CHECK_EQUAL(result.fetched, 4);
    CHECK_EQUAL(site_hits(&site, "/out"), 1);
    CHECK_EQUAL(site_hits(&other, "/x"), 1);
    CHECK_EQUAL(site_hits(&other, "/y"), 0);
    options = (struct weft_crawl_options){.scope = WEFT_CRAWL_ANYWHERE, .ignore_sitemaps = 1};
    CHECK_EQUAL(site_crawl(&site, "/in/", &options, &result), 0);
    CHECK_EQUAL(site_hits(&other, "/y"), 1);
    CHECK_EQUAL(result.hosts, 2);
    site_close(&other);
    site_close(&site);
}

FIBER_TEST(broken_links_are_reported_with_who_has_them)
{
    static const struct site_page pages[] = {
        {.path = "/", .body = "<a href=/gone>x</a><a href=/a>a</a><img src=/i.png>"},
        {.path = "/a", .body = "<a href=/gone>x</a><a href='http://127.0.0.1:1/'>nobody</a>"},
        {.path = "/gone", .status = 410},
    };
    struct site site;
    struct weft_crawl_result result;
    char store[512];
    (void)snprintf(store, sizeof store, "%s", store_path("broken.db"));
    site_open(&site, pages);
    const struct weft_crawl_options options = {
        .store = store, .assets = 1, .external = 1, .ignore_sitemaps = 1, .attempts_max = 1};
    CHECK_EQUAL(site_crawl(&site, "/", &options, &result), 0);
    CHECK_EQUAL(result.broken, 3);
    CHECK_EQUAL(result.status[0], 1);
    const char *report = store_report(store, WEFT_CRAWL_BROKEN, WEFT_CRAWL_JSONL);
    unsigned lines = 0;
    for (const char *at = report; (at = strchr(at, '\n')); at++)
        lines++;
    CHECK_EQUAL(lines, 4); /* one of them has two referrers */
    CHECK(strstr(report, "/gone\",\"status_code\":410,\"error_class\":\"HTTP 410\""));
    CHECK(strstr(report, "\"kind\":\"image\""));
    CHECK(strstr(report, "\"error_class\":\"connect\""));
    site_close(&site);
}

FIBER_TEST(pages_with_the_same_content_are_duplicates)
{
    static const struct site_page pages[] = {
        {.path = "/", .body = "<a href=/1>1</a><a href=/2>2</a><a href=/3>3</a>"},
        {.path = "/1", .body = "the same"},
        {.path = "/2", .body = "the same"},
        {.path = "/3", .body = "another"},
    };
    struct site site;
    struct weft_crawl_result result;
    char store[512];
    (void)snprintf(store, sizeof store, "%s", store_path("same.db"));
    site_open(&site, pages);
    CHECK_EQUAL(site_crawl(&site, "/", &(struct weft_crawl_options){.store = store}, &result), 0);
    CHECK_EQUAL(result.duplicates, 1);
    const char *report = store_report(store, WEFT_CRAWL_DUPLICATES, WEFT_CRAWL_CSV);
    CHECK(strstr(report, "url,same_as,body_bytes,body_digest\r\n"));
    CHECK(strstr(report, "/2,http://127.0.0.1:"));
    CHECK(strstr(report, "/1,8,"));
    site_close(&site);
}

FIBER_TEST(redirects_are_results_and_are_followed)
{
    static const struct site_page pages[] = {
        {.path = "/", .body = "<a href=/old>o</a><a href=/loop>l</a><a href=/nowhere>n</a>"},
        {.path = "/old", .status = 301, .fields = "Location: new\r\n"},
        {.path = "/new", .body = "<a href=/more>m</a>"},
        {.path = "/more"},
        {.path = "/loop", .status = 302, .fields = "Location: @/loop2\r\n"},
        {.path = "/loop2", .status = 302, .fields = "Location: /loop\r\n"},
        {.path = "/nowhere", .status = 302},
    };
    struct site site;
    struct weft_crawl_result result;
    char store[512];
    (void)snprintf(store, sizeof store, "%s", store_path("redirects.db"));
    site_open(&site, pages);
    CHECK_EQUAL(site_crawl(&site, "/", &(struct weft_crawl_options){.store = store}, &result), 0);
    CHECK_EQUAL(result.redirects, 4);
    for (size_t i = 0; i < 7; i++)
        CHECK_EQUAL(site.hits[i], 1);
    const char *report = store_report(store, WEFT_CRAWL_REDIRECTS, WEFT_CRAWL_JSONL);
    CHECK(strstr(report, "/new\",\"status_code\":301}"));
    CHECK(strstr(report, "/loop2\",\"status_code\":302}"));
    site_close(&site);
}

FIBER_TEST(sitemaps_lead_to_pages)
{
    static const struct site_page pages[] = {
        {.path = "/robots.txt", .type = "text/plain", .body = "Sitemap: @/index.xml\n"},
        {.path = "/", .body = "no links"},
        {.path = "/index.xml",
         .type = "application/xml",
         .body = "<sitemapindex><sitemap><loc>@/one.xml</loc></sitemap>"
                 "<sitemap><loc>@/two.txt</loc></sitemap>"
                 "<sitemap><loc>~/three.xml</loc></sitemap></sitemapindex>"},
        {.path = "/one.xml",
         .type = "application/xml",
         .body = "<urlset><url><loc>@/a</loc></url><url><loc>~/x</loc></url></urlset>"},
        {.path = "/two.txt", .type = "text/plain", .body = "@/b\n@/c"},
        {.path = "/a"},
        {.path = "/b"},
        {.path = "/c"},
    };
    struct site site;
    struct weft_crawl_result result;
    site_open(&site, pages);
    site.other_port = 1;
    CHECK_EQUAL(site_crawl(&site, "/", NULL, &result), 0);
    for (size_t i = 0; i < 8; i++)
        CHECK_EQUAL(site.hits[i], 1);
    CHECK_EQUAL(site.missed, 0);
    CHECK_EQUAL(result.outside, 2);
    site_close(&site);
    site_open(&site, pages);
    CHECK_EQUAL(site_crawl(&site, "/", &(struct weft_crawl_options){.ignore_sitemaps = 1}, &result),
                0);
    CHECK_EQUAL(result.fetched, 1);
    site_close(&site);
}

FIBER_TEST(a_graph_is_written_in_three_forms)
{
    static const struct site_page pages[] = {
        {.path = "/", .body = "<a href='/a,\"b\"'>a</a><link rel=canonical href=/>"},
        {.path = "/a,%22b%22"},
    };
    struct site site;
    struct weft_crawl_result result;
    char store[512], expected[512];
    (void)snprintf(store, sizeof store, "%s", store_path("graph.db"));
    site_open(&site, pages);
    const struct weft_crawl_options options = {.store = store, .ignore_sitemaps = 1};
    CHECK_EQUAL(site_crawl(&site, "/", &options, &result), 0);
    unsigned port = site.origin.port;
    (void)snprintf(expected, sizeof expected,
                   "source,target,kind,nofollow\r\n"
                   "http://127.0.0.1:%u/,http://127.0.0.1:%u/,canonical,0\r\n"
                   "http://127.0.0.1:%u/,\"http://127.0.0.1:%u/a,%%22b%%22\",a,0\r\n",
                   port, port, port, port);
    CHECK(strcmp(store_report(store, WEFT_CRAWL_LINKS, WEFT_CRAWL_CSV), expected) == 0);
    (void)snprintf(expected, sizeof expected,
                   "digraph crawl {\n"
                   "  \"http://127.0.0.1:%u/\" -> \"http://127.0.0.1:%u/\" [label=\"canonical\"];\n"
                   "  \"http://127.0.0.1:%u/\" -> \"http://127.0.0.1:%u/a,%%22b%%22\";\n}\n",
                   port, port, port, port);
    CHECK(strcmp(store_report(store, WEFT_CRAWL_LINKS, WEFT_CRAWL_DOT), expected) == 0);
    CHECK(strstr(store_report(store, WEFT_CRAWL_LINKS, WEFT_CRAWL_JSONL),
                 "\"kind\":\"canonical\",\"nofollow\":0}\n"));
    const char *report = store_report(store, WEFT_CRAWL_PAGES, WEFT_CRAWL_CSV);
    CHECK(strncmp(report,
                  "url,status_code,latency_ms,timestamp,attempt,error,final_url,method,error_class,"
                  "http_version,queue_ms,total_ms,name_ms,connect_ms,tls_ms,first_byte_ms,"
                  "redirects,connections,bytes_received,body_bytes,content_type,body_digest,tag,"
                  "depth,noindex\r\n",
                  200) == 0);
    CHECK(strstr(report, "/,200,"));
    site_close(&site);
}

FIBER_TEST(without_links_the_store_has_none)
{
    struct site site;
    struct weft_crawl_result result;
    site_open(&site, linked);
    CHECK_EQUAL(site_crawl(&site, "/", &(struct weft_crawl_options){.no_links = 1}, &result), 0);
    CHECK_EQUAL(result.links, 0);
    CHECK_EQUAL(result.status[2], 6);
    site_close(&site);
}

FIBER_TEST(only_wanted_types_are_read)
{
    static const struct site_page pages[] = {
        {.path = "/", .body = "<a href=/x>x</a>"},
        {.path = "/x", .type = "application/xhtml+xml", .body = "<a href='/y'>y</a>"},
        {.path = "/y"},
    };
    static const char *const types[] = {"text/"};
    struct site site;
    struct weft_crawl_result result;
    site_open(&site, pages);
    CHECK_EQUAL(site_crawl(&site, "/", NULL, &result), 0);
    CHECK_EQUAL(site_hits(&site, "/y"), 1);
    CHECK_EQUAL(site_crawl(&site, "/",
                           &(struct weft_crawl_options){.types = types, .types_count = 1}, &result),
                0);
    CHECK_EQUAL(site_hits(&site, "/x"), 2);
    CHECK_EQUAL(site_hits(&site, "/y"), 1);
    site_close(&site);
}

FIBER_TEST(base_and_drop_and_sort_make_one_of_many)
{
    static const struct site_page pages[] = {
        {.path = "/",
         .body = "<base href=/b/><a href='x?b=1&a=2&sid=77'>x</a><a href='x?a=2&b=1'>"},
        {.path = "/b/x?a=2&b=1"},
    };
    static const char *const drop[] = {"sid"};
    struct site site;
    struct weft_crawl_result result;
    const struct weft_crawl_options options = {
        .drop = drop, .drop_count = 1, .sort_query = 1, .ignore_sitemaps = 1};
    site_open(&site, pages);
    CHECK_EQUAL(site_crawl(&site, "/", &options, &result), 0);
    CHECK_EQUAL(result.fetched, 2);
    CHECK_EQUAL(site.hits[1], 1);
    CHECK_EQUAL(result.links, 1);
    site_close(&site);
}

static unsigned told;

static void count_progress(void *context, const struct weft_crawl_progress *progress)
{
    (void)context;
    CHECK(progress->done <= progress->known);
    told++;
}

FIBER_TEST(progress_is_told_while_it_runs)
{
    struct site site;
    struct weft_crawl_result result;
    const struct weft_crawl_options options = {.on_progress = count_progress, .delay_ns = WEFT_SEC};
    site_open(&site, linked);
    told = 0;
    CHECK_EQUAL(site_crawl(&site, "/", &options, &result), 0);
    CHECK(told > 10);
    site_close(&site);
}

FIBER_TEST(options_that_make_no_sense_are_refused)
{
    struct weft_crawl_result result;
    char error[256];
    static const char *const seeds[] = {"http://a/", "gopher://a/"};
    static const char *const patterns[] = {"["};
    const struct weft_crawl_options refused[] = {
        {.store = ":memory:"},
        {.store = ":memory:", .seeds = seeds, .seeds_count = 2},
        {.store = ":memory:",
         .seeds = seeds,
         .seeds_count = 1,
         .include = patterns,
         .include_count = 1},
        {.store = ":memory:", .seeds = seeds, .seeds_count = 1, .concurrency = 1001},
        {.store = ":memory:", .seeds = seeds, .seeds_count = 1, .depth_max = -2},
        {.store = ":memory:", .seeds = seeds, .seeds_count = 1, .agent = "a/b"},
        {.store = ":memory:", .seeds = seeds, .seeds_count = 1, .proxy = "http://a:1"},
        {.store = ":memory:", .seeds = seeds, .seeds_count = 1, .url_bytes_max = 10000},
    };
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        CHECK_EQUAL(weft_crawl(&refused[i], &result, error, sizeof error), -EINVAL);
        CHECK(error[0] != '\0');
    }
    CHECK_EQUAL(weft_crawl(&(struct weft_crawl_options){.store = "/no/such/place.db",
                                                        .seeds = seeds,
                                                        .seeds_count = 1},
                           &result, error, sizeof error),
                -ENOENT);
    CHECK(strstr(error, "/no/such/place.db"));
}

FIBER_TEST(large_things_that_are_no_pages_are_there_and_are_not_read)
{
    size_t len = (size_t)4 << 20;
    char *body = malloc(len);
    REQUIRE(body);
    memset(body, 'x', len);
    const struct site_page pages[] = {
        {.path = "/", .body = "<a href=/film>f</a><img src=/image><a href=/short>s</a>"},
        {.path = "/film", .type = "video/mp4", .body = body, .len = len},
        {.path = "/image", .type = "image/png", .body = body, .len = len},
        {.path = "/short", .type = "application/pdf", .body = body, .len = 1000},
    };
    struct site site;
    struct weft_crawl_result result;
    char store[512];
    (void)snprintf(store, sizeof store, "%s", store_path("large.db"));
    const struct weft_crawl_options options = {
        .store = store, .assets = 1, .body_bytes_max = 100000, .ignore_sitemaps = 1};
    site_open(&site, pages);
    CHECK_EQUAL(site_crawl(&site, "/", &options, &result), 0);
    CHECK_EQUAL(result.broken, 0);
    CHECK_EQUAL(result.status[2], 4);
    CHECK_EQUAL(result.retries, 0);
    CHECK(result.bytes < 1000000);
    CHECK_EQUAL(store_ask(store, "SELECT count(*) FROM results WHERE digest IS NOT NULL"), 2);
    CHECK_EQUAL(store_ask(store, "SELECT count(*) FROM results WHERE error IS NOT NULL"), 0);
    site_close(&site);
    free(body);
}

FIBER_TEST(pages_in_gzip_are_read)
{
    static const char text[] = "<a href=/x>hidden from who cannot read it</a>";
    unsigned char packed[256];
    z_stream stream = {0};
    REQUIRE(deflateInit2(&stream, 6, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY) == Z_OK);
    stream.next_in = (const Bytef *)text;
    stream.avail_in = sizeof text - 1;
    stream.next_out = packed;
    stream.avail_out = sizeof packed;
    REQUIRE(deflate(&stream, Z_FINISH) == Z_STREAM_END);
    const struct site_page pages[] = {{.path = "/",
                                       .fields = "Content-Encoding: gzip\r\n",
                                       .body = (const char *)packed,
                                       .len = sizeof packed - stream.avail_out},
                                      {.path = "/x"}};
    (void)deflateEnd(&stream);
    struct site site;
    struct weft_crawl_result result;
    site_open(&site, pages);
    CHECK_EQUAL(site_crawl(&site, "/", &(struct weft_crawl_options){.ignore_sitemaps = 1}, &result),
                0);
    CHECK_EQUAL(site_hits(&site, "/x"), 1);
    site_close(&site);
}

struct tally {
    unsigned results, most;
    char text[4096];
};

static int tally_result(void *context, const struct weft_fetch_result *result)
{
    struct tally *tally = context;
    char line[256];
    (void)snprintf(line, sizeof line, "%s %d %s %s %s\n", strchr(result->url + 7, '/'),
                   result->status_code, result->error_class ? result->error_class : "",
                   result->final_url ? strchr(result->final_url + 7, '/') : "",
                   result->body_digest ? "digest" : "");
    if (strlen(tally->text) + strlen(line) < sizeof tally->text)
        strcat(tally->text, line);
    CHECK(result->attempt == 1 && result->timestamp_us > 0);
    return ++tally->results == tally->most ? -EDQUOT : 0;
}

FIBER_TEST(results_are_told_once_the_store_has_them)
{
    static const struct site_page pages[] = {
        {.path = "/robots.txt", .body = "User-agent: *\nDisallow: /no\n"},
        {.path = "/", .body = "<a href=/no>n</a><a href=/moved>m</a><a href=/gone>g</a>"},
        {.path = "/moved", .status = 301, .fields = "Location: /\r\n"},
    };
    struct site site;
    struct weft_crawl_result result;
    struct tally tally = {0};
    const struct weft_crawl_options options = {
        .ignore_sitemaps = 1, .on_result = tally_result, .on_result_context = &tally};
    site_open(&site, pages);
    CHECK_EQUAL(site_crawl(&site, "/", &options, &result), 0);
    CHECK_EQUAL(tally.results, 4);
    CHECK(strstr(tally.text, "/ 200   digest\n"));
    CHECK(strstr(tally.text, "/no 0 robots  \n"));
    CHECK(strstr(tally.text, "/moved 301  / \n"));
    CHECK(strstr(tally.text, "/gone 404 HTTP 404  \n"));
    tally = (struct tally){.most = 2};
    CHECK_EQUAL(site_crawl(&site, "/", &options, &result), -EDQUOT);
    CHECK_EQUAL(tally.results, 2);
    site_close(&site);
}
