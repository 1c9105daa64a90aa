/* SPDX-License-Identifier: MIT
 * mock_parts.c - the mock's parts without a server: distributions, quotas, limits, the site. */
#include "test.h"

#include <base/random.h>
#include <lab/mock_latency.h>
#include <lab/mock_limit.h>
#include <lab/mock_site.h>

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static double draw(struct weft_random *random)
{
    return (double)(weft_random_next(random) >> 11) * 0x1.0p-53;
}

/* ---- latency ----------------------------------------------------------------------------- */

TEST(latencies_are_read_as_they_are_written)
{
    static const struct {
        const char *text;
        struct weft_mock_latency latency;
    } cases[] = {
        {"0", {WEFT_MOCK_FIXED, 0, 0, 0}},
        {"100ms", {WEFT_MOCK_FIXED, 100 * WEFT_MSEC, 100 * WEFT_MSEC, 0}},
        {"fixed:1.5s", {WEFT_MOCK_FIXED, 1500 * WEFT_MSEC, 1500 * WEFT_MSEC, 0}},
        {"60s", {WEFT_MOCK_FIXED, 60 * WEFT_SEC, 60 * WEFT_SEC, 0}},
        {"uniform:50ms,150ms", {WEFT_MOCK_UNIFORM, 50 * WEFT_MSEC, 150 * WEFT_MSEC, 0}},
        {"uniform:0,0", {WEFT_MOCK_UNIFORM, 0, 0, 0}},
        {"lognormal:80ms,0.5", {WEFT_MOCK_LOGNORMAL, 80 * WEFT_MSEC, 60 * WEFT_SEC, 0.5}},
        {"lognormal:80ms,2,5s", {WEFT_MOCK_LOGNORMAL, 80 * WEFT_MSEC, 5 * WEFT_SEC, 2}},
        {"pareto:20ms,1.5", {WEFT_MOCK_PARETO, 20 * WEFT_MSEC, 60 * WEFT_SEC, 1.5}},
        {"pareto:20ms,100,20ms", {WEFT_MOCK_PARETO, 20 * WEFT_MSEC, 20 * WEFT_MSEC, 100}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct weft_mock_latency latency = {0};
        const char *reason = NULL;
        CHECK_EQUAL(weft_mock_latency_parse(&latency, cases[i].text, &reason), 0);
        CHECK_EQUAL(latency.kind, cases[i].latency.kind);
        CHECK_EQUAL(latency.low_ns, cases[i].latency.low_ns);
        CHECK_EQUAL(latency.high_ns, cases[i].latency.high_ns);
        CHECK(fabs(latency.shape - cases[i].latency.shape) < 1e-12);
    }
}

TEST(what_is_no_latency_is_refused_with_a_reason)
{
    static const char *const cases[] = {
        "",
        "abc",
        "100",
        "-5ms",
        "61s",
        "fixed:",
        "fixed:100ms,1",
        "uniform:50ms",
        "uniform:50ms,",
        "uniform:150ms,50ms",
        "uniform:50ms,150ms,1",
        "uniform:50ms,61s",
        "lognormal:80ms",
        "lognormal:80ms,",
        "lognormal:80ms,0",
        "lognormal:80ms,0.001",
        "lognormal:80ms,101",
        "lognormal:80ms,1e1",
        "lognormal:80ms,-1",
        "lognormal:80ms,0.5,1ms",
        "lognormal:80ms,0.5,61s",
        "lognormal:80ms,0.5,1s,",
        "lognormal:80ms,0.5,1s,2s",
        "pareto:,1.5",
        "pareto:20ms,.",
        "pareto:20ms,1.5.5",
        "pareto:20ms,nan",
        "exponential:1s",
        " 100ms",
        "100ms ",
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct weft_mock_latency latency = {.low_ns = 7};
        const char *reason = NULL;
        int err = weft_mock_latency_parse(&latency, cases[i], &reason);
        if (err != -EINVAL)
            test_note("taken: \"%s\"", cases[i]);
        CHECK_EQUAL(err, -EINVAL);
        CHECK(reason && *reason);
        CHECK_EQUAL(latency.low_ns, 7);
    }
}

TEST(decimals_are_read_without_asking_the_locale)
{
    double value = 7;
    CHECK(weft_mock_decimal_parse(&value, "0.25", 4) && fabs(value - 0.25) < 1e-15);
    CHECK(weft_mock_decimal_parse(&value, "1.", 2) && fabs(value - 1) < 1e-15);
    CHECK(weft_mock_decimal_parse(&value, ".5", 2) && fabs(value - 0.5) < 1e-15);
    CHECK(weft_mock_decimal_parse(&value, "12x", 2) && fabs(value - 12) < 1e-15);
    value = 7;
    CHECK(!weft_mock_decimal_parse(&value, "", 0));
    CHECK(!weft_mock_decimal_parse(&value, ".", 1));
    CHECK(!weft_mock_decimal_parse(&value, "1,5", 3));
    CHECK(!weft_mock_decimal_parse(&value, "1e5", 3));
    CHECK(!weft_mock_decimal_parse(&value, "+1", 2));
    CHECK(!weft_mock_decimal_parse(&value, "1234567890123456789", 19));
    CHECK(fabs(value - 7) < 1e-15);
}

static int compare(const void *a, const void *b)
{
    const int64_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

enum {
    DRAWS = 20001
};

/* Sorted. */
static int64_t *draw_many(const char *text)
{
    struct weft_mock_latency latency;
    struct weft_random random;
    const char *reason;
    int64_t *drawn = malloc(DRAWS * sizeof *drawn);
    REQUIRE(drawn && weft_mock_latency_parse(&latency, text, &reason) == 0);
    weft_random_seed(&random, 42);
    for (size_t i = 0; i < DRAWS; i++) {
        double first = draw(&random), second = draw(&random);
        drawn[i] = weft_mock_latency_draw(&latency, first, second);
        CHECK(drawn[i] >= 0 && drawn[i] <= latency.high_ns);
    }
    qsort(drawn, DRAWS, sizeof *drawn, compare);
    return drawn;
}

static bool is_near(int64_t value, double expected, double share)
{
    bool near = fabs((double)value - expected) <= expected * share;
    if (!near)
        test_note("%lld is not near %.0f", (long long)value, expected);
    return near;
}

/* The quantiles of the distributions, from their formulas. */
TEST(what_is_drawn_has_the_distribution)
{
    int64_t *drawn = draw_many("fixed:3ms");
    CHECK_EQUAL(drawn[0], 3 * WEFT_MSEC);
    CHECK_EQUAL(drawn[DRAWS - 1], 3 * WEFT_MSEC);
    free(drawn);
    drawn = draw_many("uniform:50ms,150ms");
    CHECK(drawn[0] >= 50 * WEFT_MSEC);
    CHECK(is_near(drawn[DRAWS / 2], 100e6, 0.02));
    CHECK(is_near(drawn[DRAWS / 10], 60e6, 0.02));
    free(drawn);
    drawn = draw_many("lognormal:80ms,0.5");
    CHECK(is_near(drawn[DRAWS / 2], 80e6, 0.02));
    CHECK(is_near(drawn[DRAWS * 9 / 10], 80e6 * exp(0.5 * 1.2815515655), 0.03));
    CHECK(is_near(drawn[DRAWS / 10], 80e6 * exp(-0.5 * 1.2815515655), 0.03));
    free(drawn);
    drawn = draw_many("pareto:20ms,1.5");
    CHECK(drawn[0] >= 20 * WEFT_MSEC);
    CHECK(is_near(drawn[DRAWS / 2], 20e6 * pow(2, 1 / 1.5), 0.02));
    CHECK(is_near(drawn[DRAWS * 9 / 10], 20e6 * pow(10, 1 / 1.5), 0.04));
    free(drawn);
}

TEST(the_tail_is_cut_where_it_is_said)
{
    int64_t *drawn = draw_many("pareto:20ms,0.2,2s");
    CHECK_EQUAL(drawn[DRAWS - 1], 2 * WEFT_SEC);
    free(drawn);
    drawn = draw_many("lognormal:1s,100");
    CHECK_EQUAL(drawn[DRAWS - 1], WEFT_MOCK_LATENCY_MAX_NS);
    CHECK(drawn[0] >= 0);
    free(drawn);
    drawn = draw_many("pareto:0,0.01");
    CHECK_EQUAL(drawn[DRAWS - 1], 0);
    free(drawn);
}

/* ---- quotas and limits ------------------------------------------------------------------- */

TEST(quotas_are_a_number_and_a_time)
{
    static const char *const wrong[] = {"",      "10",       "/1s",    "10/",  "10/0",
                                        "-1/1s", "10/1s/1s", "10/25h", "x/1s", "1234567890/1s"};
    struct weft_mock_quota quota = {0};
    const char *reason = NULL;
    CHECK_EQUAL(weft_mock_quota_parse(&quota, "10/1s", &reason), 0);
    CHECK_EQUAL(quota.requests, 10);
    CHECK_EQUAL(quota.window_ns, WEFT_SEC);
    CHECK_EQUAL(weft_mock_quota_parse(&quota, "0/1m30s", &reason), 0);
    CHECK_EQUAL(quota.requests, 0);
    CHECK_EQUAL(quota.window_ns, 90 * WEFT_SEC);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        CHECK_EQUAL(weft_mock_quota_parse(&quota, wrong[i], &reason), -EINVAL);
    CHECK_EQUAL(quota.window_ns, 90 * WEFT_SEC);
}

static struct weft_mock_verdict take(struct weft_mock_limit *limit, const char *client,
                                     int64_t now_ns)
{
    static const struct weft_mock_quota quota = {.requests = 2, .window_ns = 100};
    struct weft_mock_verdict verdict = {0};
    CHECK_EQUAL(weft_mock_limit_take(limit, &quota, client, now_ns, &verdict), 0);
    return verdict;
}

TEST(a_window_begins_with_its_first_request_and_each_client_has_its_own)
{
    struct weft_mock_limit limit;
    REQUIRE(weft_mock_limit_init(&limit) == 0);
    struct weft_mock_verdict verdict = take(&limit, "a", 1000);
    CHECK(verdict.granted);
    CHECK_EQUAL(verdict.left, 1);
    CHECK_EQUAL(verdict.wait_ns, 100);
    CHECK(take(&limit, "a", 1050).granted);
    verdict = take(&limit, "a", 1060);
    CHECK(!verdict.granted);
    CHECK_EQUAL(verdict.wait_ns, 40);
    CHECK(take(&limit, "b", 1060).granted);
    CHECK(!take(&limit, "a", 1099).granted);
    CHECK(take(&limit, "a", 1100).granted);
    CHECK(take(&limit, "a", 1199).granted);
    CHECK(!take(&limit, "a", 1199).granted);
    weft_mock_limit_clear(&limit);
    CHECK(take(&limit, "a", 1199).granted);
    weft_mock_limit_deinit(&limit);
}

TEST(clients_are_not_counted_without_end)
{
    static const struct weft_mock_quota quota = {.requests = 1, .window_ns = WEFT_SEC};
    struct weft_mock_limit limit;
    struct weft_mock_verdict verdict;
    char client[16];
    REQUIRE(weft_mock_limit_init(&limit) == 0);
    for (unsigned i = 0; i < WEFT_MOCK_CLIENTS_MAX; i++) {
        (void)snprintf(client, sizeof client, "%u", i);
        CHECK_EQUAL(weft_mock_limit_take(&limit, &quota, client, WEFT_SEC, &verdict), 0);
    }
    CHECK_EQUAL(weft_mock_limit_take(&limit, &quota, "one more", WEFT_SEC, &verdict), WEFT_EFULL);
    CHECK_EQUAL(weft_mock_limit_take(&limit, &quota, "7", WEFT_SEC, &verdict), 0);
    CHECK_EQUAL(weft_mock_limit_take(&limit, &quota, "one more", 2 * WEFT_SEC, &verdict), 0);
    CHECK(verdict.granted);
    weft_mock_limit_deinit(&limit);
}

/* ---- the site ---------------------------------------------------------------------------- */

struct graph {
    struct weft_mock_site site;
    unsigned *distance; /* from page 0; UINT32_MAX: no way */
};

/* Breadth first, over links to pages and to moved ones. */
static void walk(struct graph *graph)
{
    uint64_t pages = graph->site.pages, head = 0, tail = 0;
    uint64_t *queue = calloc(pages, sizeof *queue);
    graph->distance = malloc(pages * sizeof *graph->distance);
    REQUIRE(queue && graph->distance);
    memset(graph->distance, 0xff, pages * sizeof *graph->distance);
    graph->distance[0] = 0;
    queue[tail++] = 0;
    while (head < tail) {
        uint64_t page = queue[head++];
        struct weft_mock_links links;
        struct weft_mock_link link;
        weft_mock_links_begin(&links, &graph->site, page);
        while (weft_mock_links_next(&links, &link)) {
            CHECK(link.page < pages && link.form < WEFT_MOCK_LINK_FORMS);
            if (link.kind > WEFT_MOCK_LINK_MOVED || graph->distance[link.page] != UINT32_MAX)
                continue;
            graph->distance[link.page] = graph->distance[page] + 1;
            queue[tail++] = link.page;
        }
    }
    CHECK_EQUAL(tail, pages);
    free(queue);
}

TEST(every_page_is_as_deep_as_the_site_says)
{
    static const struct weft_mock_site_options sizes[] = {
        {.pages = 1},
        {.pages = 2},
        {.pages = 31, .depth = 30},
        {.pages = 1000},
        {.pages = 5000, .depth = 12, .links = 20},
        {.pages = 300, .depth = 1, .broken = -1},
    };
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct graph graph;
        CHECK(weft_mock_site_init(&graph.site, &sizes[i], 7) == NULL);
        unsigned depth = sizes[i].depth ? sizes[i].depth : 4;
        CHECK(graph.site.levels >= 1 && graph.site.levels <= depth + 1);
        CHECK_EQUAL(graph.site.ends[graph.site.levels - 1], graph.site.pages);
        walk(&graph);
        for (uint64_t page = 0; page < graph.site.pages; page++)
            CHECK_EQUAL(graph.distance[page], weft_mock_site_depth(&graph.site, page));
        free(graph.distance);
    }
}

static unsigned count_kind(const struct weft_mock_site *site, enum weft_mock_link_kind kind)
{
    unsigned count = 0;
    for (uint64_t page = 0; page < site->pages; page++) {
        struct weft_mock_links links;
        struct weft_mock_link link;
        weft_mock_links_begin(&links, site, page);
        while (weft_mock_links_next(&links, &link))
            count += link.kind == kind;
    }
    return count;
}

TEST(links_to_nowhere_are_as_many_as_asked_for)
{
    struct weft_mock_site site;
    CHECK(weft_mock_site_init(&site, &(struct weft_mock_site_options){.broken = -1}, 1) == NULL);
    CHECK_EQUAL(count_kind(&site, WEFT_MOCK_LINK_BROKEN), 0);
    CHECK_EQUAL(count_kind(&site, WEFT_MOCK_LINK_PRIVATE), 20);
    CHECK(weft_mock_site_init(&site, &(struct weft_mock_site_options){.broken = 1}, 1) == NULL);
    CHECK_EQUAL(count_kind(&site, WEFT_MOCK_LINK_BROKEN), 1000);
    CHECK(weft_mock_site_init(&site, &(struct weft_mock_site_options){0}, 1) == NULL);
    unsigned broken = count_kind(&site, WEFT_MOCK_LINK_BROKEN);
    CHECK(broken > 20 && broken < 100);
}

TEST(the_seed_decides_which_page_links_to_which)
{
    struct weft_mock_site one, same, other;
    unsigned differences = 0;
    CHECK(weft_mock_site_init(&one, &(struct weft_mock_site_options){0}, 1) == NULL);
    CHECK(weft_mock_site_init(&same, &(struct weft_mock_site_options){0}, 1) == NULL);
    CHECK(weft_mock_site_init(&other, &(struct weft_mock_site_options){0}, 2) == NULL);
    for (uint64_t page = 0; page < 1000; page++) {
        struct weft_mock_links a, b, c;
        struct weft_mock_link x, y, z;
        weft_mock_links_begin(&a, &one, page);
        weft_mock_links_begin(&b, &same, page);
        weft_mock_links_begin(&c, &other, page);
        while (weft_mock_links_next(&a, &x)) {
            REQUIRE(weft_mock_links_next(&b, &y));
            CHECK(x.kind == y.kind && x.page == y.page && x.form == y.form);
            differences += weft_mock_links_next(&c, &z) && x.page != z.page;
        }
        CHECK(!weft_mock_links_next(&b, &y));
    }
    CHECK(differences > 1000);
}

TEST(a_site_that_is_too_large_is_refused)
{
    struct weft_mock_site site;
    CHECK(weft_mock_site_init(&site, &(struct weft_mock_site_options){.pages = 10000001}, 1));
    CHECK(weft_mock_site_init(&site, &(struct weft_mock_site_options){.depth = 31}, 1));
    CHECK(weft_mock_site_init(&site, &(struct weft_mock_site_options){.links = 101}, 1));
    CHECK(weft_mock_site_init(&site, &(struct weft_mock_site_options){.broken = 1.5}, 1));
    CHECK(weft_mock_site_init(&site, &(struct weft_mock_site_options){.broken = (double)NAN}, 1));
    CHECK(!weft_mock_site_init(&site, &(struct weft_mock_site_options){.pages = 10000000}, 1));
}
