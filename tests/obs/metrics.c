/* SPDX-License-Identifier: MIT
 * metrics.c - pages of metrics, byte by byte, and as Prometheus' own tools read them. */
#include <base/random.h>
#include <obs/metrics_fields.h>

#include "test.h"

#include <weft/weft.h>

#include <errno.h>
#include <locale.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

static struct weft_metrics *open_page(void)
{
    struct weft_metrics *page = NULL;
    REQUIRE(weft_metrics_open(&page, NULL) == 0);
    return page;
}

static const char *text_of(struct weft_metrics *page)
{
    const char *text = NULL;
    size_t len = 0;
    REQUIRE(weft_metrics_text(page, &text, &len) == 0);
    CHECK_EQUAL(strlen(text), len);
    return text;
}

static void check_text(struct weft_metrics *page, const char *expected)
{
    const char *text = text_of(page);
    CHECK(strcmp(text, expected) == 0);
    if (strcmp(text, expected) != 0)
        test_note("the page is\n%s", text);
}

static int add_gauge(struct weft_metrics *page, const char *family, double value)
{
    return weft_metrics_add(
        page, &(struct weft_metric){.family = family, .type = WEFT_METRIC_GAUGE, .value = value});
}

TEST(families_are_sorted_and_grouped_with_help_and_type_once)
{
    struct weft_metrics *page = open_page();
    const struct weft_metric metrics[] = {
        {"requests_total", "Requests.", WEFT_METRIC_COUNTER, {{"code", "200"}, {"m", "GET"}}, 17},
        {"depth", "Depth now.", WEFT_METRIC_GAUGE, {{NULL, NULL}}, -2.5},
        {"requests_total", "Other words.", WEFT_METRIC_COUNTER, {{"code", "500"}}, 3},
        {"a:rule", NULL, WEFT_METRIC_UNTYPED, {{NULL, NULL}}, 1},
    };
    for (size_t i = 0; i < 4; i++)
        CHECK_EQUAL(weft_metrics_add(page, &metrics[i]), 0);
    check_text(page, "# TYPE a:rule untyped\n"
                     "a:rule 1\n"
                     "# HELP depth Depth now.\n"
                     "# TYPE depth gauge\n"
                     "depth -2.5\n"
                     "# HELP requests_total Requests.\n"
                     "# TYPE requests_total counter\n"
                     "requests_total{code=\"200\",m=\"GET\"} 17\n"
                     "requests_total{code=\"500\"} 3\n");
    weft_metrics_clear(page);
    check_text(page, "");
    CHECK_EQUAL(weft_metrics_add(page, &metrics[1]), 0);
    check_text(page, "# HELP depth Depth now.\n# TYPE depth gauge\ndepth -2.5\n");
    weft_metrics_close(page);
    weft_metrics_close(NULL);
}

TEST(numbers_are_spelled_as_the_format_wants)
{
    static const struct {
        double value;
        const char *spelled;
    } vectors[] = {
        {0, "0"},
        {1, "1"},
        {-1, "-1"},
        {0.1, "0.1"},
        {1.0 / 3, "0.3333333333333333"},
        {1e21, "1e+21"},
        {9007199254740993.0, "9007199254740992"},
        {1e-9, "1e-09"},
        {(double)NAN, "NaN"},
        {(double)INFINITY, "+Inf"},
        {-(double)INFINITY, "-Inf"},
        {1.7976931348623157e308, "1.7976931348623157e+308"},
        {5e-324, "4.94065645841247e-324"},
    };
    char expected[100];
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        struct weft_metrics *page = open_page();
        CHECK_EQUAL(add_gauge(page, "x", vectors[i].value), 0);
        (void)snprintf(expected, sizeof expected, "# TYPE x gauge\nx %s\n", vectors[i].spelled);
        check_text(page, expected);
        weft_metrics_close(page);
    }
}

TEST(numbers_have_a_point_in_every_locale)
{
    static const char *const commas[] = {"de_DE.UTF-8", "fr_FR.UTF-8", "de_DE", "fr_FR"};
    const char *found = NULL;
    for (size_t i = 0; i < 4 && !found; i++)
        found = setlocale(LC_NUMERIC, commas[i]);
    if (!found) {
        test_skip("no locale with a decimal comma is installed");
        return;
    }
    struct weft_metrics *page = open_page();
    CHECK_EQUAL(add_gauge(page, "x", 1.5), 0);
    check_text(page, "# TYPE x gauge\nx 1.5\n");
    weft_metrics_close(page);
    (void)setlocale(LC_NUMERIC, "C");
}

TEST(help_and_label_values_are_escaped_each_in_its_way)
{
    struct weft_metrics *page = open_page();
    const struct weft_metric metric = {"x",
                                       "a\\b \"c\"\nd",
                                       WEFT_METRIC_GAUGE,
                                       {{"v", "a\\b \"c\"\nd"}, {"w", "\xc3\xa9\xff"}},
                                       1};
    CHECK_EQUAL(weft_metrics_add(page, &metric), 0);
    check_text(page, "# HELP x a\\\\b \"c\"\\nd\n"
                     "# TYPE x gauge\n"
                     "x{v=\"a\\\\b \\\"c\\\"\\nd\",w=\"\xc3\xa9\xef\xbf\xbd\"} 1\n");
    weft_metrics_close(page);
}

TEST(names_that_the_format_does_not_know_are_refused)
{
    static const char *const wrong[] = {NULL, "", "1a", "a-b", "a b", "\xc3\xa9", "a{", "a\n"};
    static const char *const fine[] = {"a", "_a", ":a", "a1:b_C", "Z9"};
    struct weft_metrics *page = open_page();
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        CHECK_EQUAL(add_gauge(page, wrong[i], 1), -EINVAL);
        if (!wrong[i])
            continue;
        const struct weft_metric metric = {"x", NULL, WEFT_METRIC_GAUGE, {{wrong[i], "v"}}, 1};
        CHECK_EQUAL(weft_metrics_add(page, &metric), -EINVAL);
    }
    const struct weft_metric reserved = {"x", NULL, WEFT_METRIC_GAUGE, {{"__name__", "v"}}, 1};
    const struct weft_metric colon = {"x", NULL, WEFT_METRIC_GAUGE, {{"a:b", "v"}}, 1};
    const struct weft_metric twice = {"x", NULL, WEFT_METRIC_GAUGE, {{"a", "1"}, {"a", "2"}}, 1};
    CHECK_EQUAL(weft_metrics_add(page, &reserved), -EINVAL);
    CHECK_EQUAL(weft_metrics_add(page, &colon), -EINVAL);
    CHECK_EQUAL(weft_metrics_add(page, &twice), -EINVAL);
    check_text(page, "");
    for (size_t i = 0; i < sizeof fine / sizeof fine[0]; i++)
        CHECK_EQUAL(add_gauge(page, fine[i], 1), 0);
    weft_metrics_close(page);
}

TEST(what_contradicts_the_page_is_refused_and_leaves_no_trace)
{
    struct weft_metrics *page = open_page();
    const struct weft_metric counter = {"x", NULL, WEFT_METRIC_COUNTER, {{NULL, NULL}}, 1};
    const struct weft_metric below = {"y_total", NULL, WEFT_METRIC_COUNTER, {{NULL, NULL}}, -1};
    const struct weft_metric nan = {
        "y_total", NULL, WEFT_METRIC_COUNTER, {{NULL, NULL}}, (double)NAN};
    const struct weft_metric histogram = {.family = "h", .type = WEFT_METRIC_HISTOGRAM};
    const struct weft_metric_bucket bucket = {1, 0};
    CHECK_EQUAL(add_gauge(page, "x", 1), 0);
    CHECK_EQUAL(add_gauge(page, "x", 2), -EEXIST);
    CHECK_EQUAL(weft_metrics_add(page, &counter), -EINVAL);
    CHECK_EQUAL(weft_metrics_add(page, &below), -EINVAL);
    CHECK_EQUAL(weft_metrics_add(page, &nan), -EINVAL);
    CHECK_EQUAL(weft_metrics_add(page, &histogram), -EINVAL);
    check_text(page, "# TYPE x gauge\nx 1\n");
    CHECK_EQUAL(add_gauge(page, "h_count", 1), 0);
    CHECK_EQUAL(weft_metrics_add_histogram(page, &histogram, &bucket, 1, 0, 0), -EINVAL);
    weft_metrics_clear(page);
    CHECK_EQUAL(weft_metrics_add_histogram(page, &histogram, &bucket, 1, 0, 0), 0);
    CHECK_EQUAL(add_gauge(page, "h_count", 1), -EINVAL);
    CHECK_EQUAL(add_gauge(page, "h_bucket", 1), -EINVAL);
    CHECK_EQUAL(add_gauge(page, "h_total", 1), 0);
    weft_metrics_close(page);
}

/* To Prometheus these are one time series, and a page that has it twice is broken. */
TEST(the_order_of_labels_and_empty_ones_make_no_difference)
{
    struct weft_metrics *page;
    const struct weft_metric metrics[] = {
        {.family = "m", .labels = {{"b", "2"}, {"a", "1"}}},
        {.family = "m", .labels = {{"a", "1"}, {"b", "2"}}},
        {.family = "m", .labels = {{"b", "2"}, {"c", ""}, {"a", "1"}}},
        {.family = "m", .labels = {{"b", ""}}},
        {.family = "m"},
    };
    static const int results[] = {0, -EEXIST, -EEXIST, 0, -EEXIST};
    const char *text;
    size_t len;
    REQUIRE(weft_metrics_open(&page, NULL) == 0);
    for (size_t i = 0; i < sizeof metrics / sizeof metrics[0]; i++)
        CHECK_EQUAL(weft_metrics_add(page, &metrics[i]), results[i]);
    CHECK_EQUAL(weft_metrics_text(page, &text, &len), 0);
    CHECK(strcmp(text, "# TYPE m untyped\nm{a=\"1\",b=\"2\"} 0\nm 0\n") == 0);
    weft_metrics_close(page);
}

TEST(a_histogram_is_buckets_sum_and_count)
{
    struct weft_metrics *page = open_page();
    const struct weft_metric metric = {
        .family = "took_seconds", .type = WEFT_METRIC_HISTOGRAM, .labels = {{"op", "get"}}};
    const struct weft_metric le = {
        .family = "took_seconds", .type = WEFT_METRIC_HISTOGRAM, .labels = {{"le", "1"}}};
    const struct weft_metric_bucket buckets[] = {{0.1, 3}, {1, 5}};
    const struct weft_metric_bucket falling[] = {{0.1, 3}, {1, 2}};
    const struct weft_metric_bucket same[] = {{0.1, 3}, {0.1, 3}};
    CHECK_EQUAL(weft_metrics_add_histogram(page, &le, buckets, 2, 0, 6), -EINVAL);
    CHECK_EQUAL(weft_metrics_add_histogram(page, &metric, falling, 2, 0, 6), -EINVAL);
    CHECK_EQUAL(weft_metrics_add_histogram(page, &metric, same, 2, 0, 6), -EINVAL);
    CHECK_EQUAL(weft_metrics_add_histogram(page, &metric, buckets, 2, 0, 4), -EINVAL);
    CHECK_EQUAL(
        weft_metrics_add_histogram(page, &metric, buckets, 2, 12.5, UINT64_C(9007199254740993)), 0);
    CHECK_EQUAL(weft_metrics_add_histogram(page, &metric, buckets, 2, 12.5, 6), -EEXIST);
    check_text(page, "# TYPE took_seconds histogram\n"
                     "took_seconds_bucket{op=\"get\",le=\"0.1\"} 3\n"
                     "took_seconds_bucket{op=\"get\",le=\"1\"} 5\n"
                     "took_seconds_bucket{op=\"get\",le=\"+Inf\"} 9007199254740993\n"
                     "took_seconds_sum{op=\"get\"} 12.5\n"
                     "took_seconds_count{op=\"get\"} 9007199254740993\n");
    weft_metrics_close(page);
}

TEST(a_summary_is_quantiles_sum_and_count)
{
    struct weft_metrics *page = open_page();
    const struct weft_metric metric = {.family = "took", .help = "", .type = WEFT_METRIC_SUMMARY};
    const struct weft_metric_quantile quantiles[] = {{0.5, 2}, {0.99, 7.5}};
    const struct weft_metric_quantile wrong[] = {{0.5, 2}, {1.1, 7.5}};
    CHECK_EQUAL(weft_metrics_add_summary(page, &metric, wrong, 2, 0, 0), -EINVAL);
    CHECK_EQUAL(weft_metrics_add_summary(page, &metric, quantiles, 2, 21, 9), 0);
    check_text(page, "# HELP took \n"
                     "# TYPE took summary\n"
                     "took{quantile=\"0.5\"} 2\n"
                     "took{quantile=\"0.99\"} 7.5\n"
                     "took_sum 21\n"
                     "took_count 9\n");
    weft_metrics_close(page);
}

TEST(a_full_page_takes_no_more_and_stays_whole)
{
    struct weft_metrics *page;
    const struct weft_metrics_options three = {.samples_max = 3};
    const struct weft_metrics_options bytes = {.bytes_max = 42};
    const struct weft_metric histogram = {.family = "h", .type = WEFT_METRIC_HISTOGRAM};
    CHECK_EQUAL(weft_metrics_open(&page, &three), 0);
    CHECK_EQUAL(add_gauge(page, "a", 1), 0);
    CHECK_EQUAL(weft_metrics_add_histogram(page, &histogram, NULL, 0, 0, 0), WEFT_EFULL);
    CHECK_EQUAL(add_gauge(page, "b", 2), 0);
    CHECK_EQUAL(add_gauge(page, "c", 3), 0);
    CHECK_EQUAL(add_gauge(page, "d", 4), WEFT_EFULL);
    check_text(page, "# TYPE a gauge\na 1\n# TYPE b gauge\nb 2\n# TYPE c gauge\nc 3\n");
    weft_metrics_close(page);
    CHECK_EQUAL(weft_metrics_open(&page, &bytes), 0);
    CHECK_EQUAL(add_gauge(page, "a", 1), 0);
    CHECK_EQUAL(add_gauge(page, "bcde", 1), WEFT_EFULL); /* 19 bytes and 25 */
    CHECK_EQUAL(add_gauge(page, "bcd", 1), 0);           /* 19 and 23 */
    weft_metrics_close(page);
    const struct weft_metrics_options huge = {.bytes_max = SIZE_MAX};
    CHECK_EQUAL(weft_metrics_open(&page, &huge), -EINVAL);
}

/* Against a model: a set of keys. */
TEST(thousands_of_metrics_are_each_there_once)
{
    struct weft_random random;
    static bool there[100][100];
    struct weft_metrics *page = open_page();
    size_t expected = 0, lines = 0;
    weft_random_seed(&random, 20250612);
    for (int i = 0; i < 12000; i++) {
        unsigned family = (unsigned)weft_random_below(&random, 100);
        unsigned label = (unsigned)weft_random_below(&random, 100);
        char name[16], value[16];
        (void)snprintf(name, sizeof name, "f%u", family);
        (void)snprintf(value, sizeof value, "%u", label);
        const struct weft_metric metric = {name, "f", WEFT_METRIC_GAUGE, {{"l", value}}, label};
        CHECK_EQUAL(weft_metrics_add(page, &metric), there[family][label] ? -EEXIST : 0);
        expected += !there[family][label];
        there[family][label] = true;
    }
    for (const char *at = text_of(page); *at; at = strchr(at, '\n') + 1)
        lines += *at != '#';
    CHECK_EQUAL(lines, expected);
    weft_metrics_close(page);
}

/* ---- tables ---------------------------------------------------------------------------- */

struct counts {
    int level;
    unsigned depth;
    uint64_t ok, failed;
    int64_t waited_ns;
    double rate;
    unsigned state;
};

static const char *const states[] = {"closed", "open", NULL};

static const struct weft_field count_fields[] = {
    WEFT_FIELD(struct counts, level, GAUGE, "level", "Level."),
    WEFT_FIELD(struct counts, depth, GAUGE, "depth", "Depth."),
    WEFT_FIELD(struct counts, ok, COUNTER, "calls_total", "Calls.", .label = {"result", "ok"}),
    WEFT_FIELD(struct counts, failed, COUNTER, "calls_total", NULL, .label = {"result", "failed"}),
    WEFT_FIELD(struct counts, waited_ns, GAUGE, "waited_seconds", "Waited."),
    WEFT_FIELD(struct counts, rate, GAUGE, "rate", "Rate."),
    {.offset = offsetof(struct counts, state),
     .kind = WEFT_FIELD_STATE,
     .type = WEFT_METRIC_GAUGE,
     .family = "state",
     .help = "State.",
     .label = {"is", NULL},
     .states = states},
};

TEST(a_struct_is_exported_by_its_table)
{
    struct weft_metrics *page = open_page();
    const struct counts counts = {-3, 7, 40, 2, 1500 * WEFT_MSEC, 0.25, 1};
    const struct weft_label labels[] = {{"name", "db"}, {NULL, NULL}};
    CHECK_EQUAL(weft_metrics_add_fields(page, WEFT_FIELDS(count_fields), &counts, labels), 0);
    check_text(page, "# HELP calls_total Calls.\n"
                     "# TYPE calls_total counter\n"
                     "calls_total{name=\"db\",result=\"ok\"} 40\n"
                     "calls_total{name=\"db\",result=\"failed\"} 2\n"
                     "# HELP depth Depth.\n"
                     "# TYPE depth gauge\n"
                     "depth{name=\"db\"} 7\n"
                     "# HELP level Level.\n"
                     "# TYPE level gauge\n"
                     "level{name=\"db\"} -3\n"
                     "# HELP rate Rate.\n"
                     "# TYPE rate gauge\n"
                     "rate{name=\"db\"} 0.25\n"
                     "# HELP state State.\n"
                     "# TYPE state gauge\n"
                     "state{is=\"closed\",name=\"db\"} 0\n"
                     "state{is=\"open\",name=\"db\"} 1\n"
                     "# HELP waited_seconds Waited.\n"
                     "# TYPE waited_seconds gauge\n"
                     "waited_seconds{name=\"db\"} 1.5\n");
    weft_metrics_close(page);
}

/* Every pattern, with all numbers 0. */
static void add_patterns(struct weft_metrics *page)
{
    static const struct weft_background_snapshot background;
    static const struct weft_breaker_snapshot breaker = {.state = WEFT_BREAKER_HALF_OPEN};
    static const struct weft_bulkhead_snapshot bulkhead;
    static const struct weft_bus_snapshot bus;
    static const struct weft_cache_snapshot cache;
    static const struct weft_debounce_snapshot debounce;
    static const struct weft_fallback_stats fallback;
    static const struct weft_flight_snapshot flight;
    static const struct weft_hedge_snapshot hedge;
    static const struct weft_keyed_limiter_snapshot keyed;
    static const struct weft_limiter_snapshot limiter;
    static const struct weft_pipeline_snapshot pipeline;
    static const struct weft_policy_snapshot policy = {
        .layers_len = 1, .layers = {{.name = "retry"}}, .work = {.name = "work"}};
    static const struct weft_pool_snapshot pool;
    static const struct weft_retry_stats retry;
    static const struct weft_retry_budget_snapshot budget;
    static const struct weft_stage_snapshot first = {.name = "parse"}, second = {.name = "store"};
    static const struct weft_subscription_snapshot subscription;
    static const struct weft_throttle_snapshot throttle;
    CHECK_EQUAL(weft_metrics_add_background(page, NULL, &background), 0);
    CHECK_EQUAL(weft_metrics_add_breaker(page, NULL, &breaker), 0);
    CHECK_EQUAL(weft_metrics_add_bulkhead(page, NULL, &bulkhead), 0);
    CHECK_EQUAL(weft_metrics_add_bus(page, NULL, &bus), 0);
    CHECK_EQUAL(weft_metrics_add_cache(page, NULL, &cache), 0);
    CHECK_EQUAL(weft_metrics_add_debounce(page, NULL, &debounce), 0);
    CHECK_EQUAL(weft_metrics_add_fallback(page, NULL, &fallback), 0);
    CHECK_EQUAL(weft_metrics_add_flight(page, NULL, &flight), 0);
    CHECK_EQUAL(weft_metrics_add_hedge(page, NULL, &hedge), 0);
    CHECK_EQUAL(weft_metrics_add_keyed_limiter(page, NULL, &keyed), 0);
    CHECK_EQUAL(weft_metrics_add_limiter(page, NULL, &limiter), 0);
    CHECK_EQUAL(weft_metrics_add_pipeline(page, NULL, &pipeline), 0);
    CHECK_EQUAL(weft_metrics_add_policy(page, NULL, &policy), 0);
    CHECK_EQUAL(weft_metrics_add_pool(page, NULL, &pool), 0);
    CHECK_EQUAL(weft_metrics_add_retry(page, NULL, &retry), 0);
    CHECK_EQUAL(weft_metrics_add_retry_budget(page, NULL, &budget), 0);
    CHECK_EQUAL(weft_metrics_add_stage(page, NULL, &first), 0);
    CHECK_EQUAL(weft_metrics_add_stage(page, NULL, &second), 0);
    CHECK_EQUAL(weft_metrics_add_subscription(page, NULL, &subscription), 0);
    CHECK_EQUAL(weft_metrics_add_throttle(page, NULL, &throttle), 0);
}

TEST(the_patterns_are_exported_by_name)
{
    struct weft_metrics *page = open_page();
    add_patterns(page);
    const struct weft_breaker_snapshot breaker = {
        .state = WEFT_BREAKER_OPEN, .failure_rate = 0.25, .entered = 5, .refused = 6, .opened = 2};
    const struct weft_limiter_snapshot limiter = {.waited_ns = 2500 * WEFT_MSEC, .granted = 9};
    CHECK_EQUAL(weft_metrics_add_breaker(page, "db", &breaker), 0);
    CHECK_EQUAL(weft_metrics_add_breaker(page, "db", &breaker), -EEXIST);
    CHECK_EQUAL(weft_metrics_add_limiter(page, "db", &limiter), 0);
    const struct weft_retry_stats retry = {.delayed_ns = 1500000000,
                                           .ended = {[WEFT_RETRY_BUDGET] = 3}};
    CHECK_EQUAL(weft_metrics_add_retry(page, "calls", &retry), 0);
    const char *text = text_of(page);
    CHECK(strstr(text, "# HELP weft_breaker_opened_total Times a circuit breaker opened.\n"
                       "# TYPE weft_breaker_opened_total counter\n"
                       "weft_breaker_opened_total{name=\"breaker\"} 0\n"
                       "weft_breaker_opened_total{name=\"db\"} 2\n"));
    CHECK(strstr(text, "weft_breaker_state{name=\"db\",state=\"closed\"} 0\n"
                       "weft_breaker_state{name=\"db\",state=\"open\"} 1\n"
                       "weft_breaker_state{name=\"db\",state=\"half_open\"} 0\n"
                       "weft_breaker_state{name=\"db\",state=\"forced_open\"} 0\n"
                       "weft_breaker_state{name=\"db\",state=\"forced_closed\"} 0\n"
                       "weft_breaker_state{name=\"db\",state=\"disabled\"} 0\n"));
    CHECK(strstr(text, "weft_breaker_calls_total{name=\"db\",result=\"entered\"} 5\n"
                       "weft_breaker_calls_total{name=\"db\",result=\"refused\"} 6\n"));
    CHECK(strstr(text, "weft_breaker_failure_ratio{name=\"db\"} 0.25\n"));
    CHECK(strstr(text, "weft_limiter_waited_seconds_total{name=\"db\"} 2.5\n"));
    CHECK(strstr(text, "weft_stage_running{name=\"pipeline\",stage=\"parse\"} 0\n"
                       "weft_stage_running{name=\"pipeline\",stage=\"store\"} 0\n"));
    CHECK(strstr(text, "weft_pool_resources{name=\"pool\",state=\"idle\"} 0\n"));
    CHECK(strstr(text, "weft_policy_calls_total{layer=\"retry\",name=\"policy\",place=\"0\"} 0\n"
                       "weft_policy_calls_total{layer=\"work\",name=\"policy\",place=\"1\"} 0\n"));
    CHECK(strstr(text, "weft_retry_given_up_total{name=\"calls\",reason=\"budget\"} 3\n"));
    CHECK(strstr(text, "weft_retry_delayed_seconds_total{name=\"calls\"} 1.5\n"));
    weft_metrics_close(page);
}

static int refuse_to_work(void *arg)
{
    (void)arg;
    return -EIO;
}

static int do_without(void *arg, int failure)
{
    (void)arg, (void)failure;
    return 0;
}

static void *fail_often(void *stats)
{
    const struct weft_fallback_options options = {.fallback = do_without, .stats = stats};
    for (int i = 0; i < 1000; i++)
        CHECK_EQUAL(weft_fallback(&options, refuse_to_work, NULL), 0);
    return NULL;
}

TEST(numbers_that_the_program_keeps_are_read_while_others_count)
{
    pthread_t thread;
    struct weft_fallback_stats stats = {0};
    struct weft_metrics *page = open_page();
    REQUIRE(pthread_create(&thread, NULL, fail_often, &stats) == 0);
    for (int i = 0; i < 100; i++) {
        weft_metrics_clear(page);
        CHECK_EQUAL(weft_metrics_add_fallback(page, NULL, &stats), 0);
    }
    CHECK_EQUAL(pthread_join(thread, NULL), 0);
    weft_metrics_clear(page);
    CHECK_EQUAL(weft_metrics_add_fallback(page, NULL, &stats), 0);
    CHECK(strstr(text_of(page),
                 "weft_fallback_replaced_total{by=\"function\",name=\"fallback\"} 1000\n"));
    weft_metrics_close(page);
}

static int record_some(void *arg)
{
    (void)arg;
    return 0;
}

FIBER_TEST(a_timing_is_exported_as_histograms_of_seconds)
{
    struct weft_metrics *page = open_page();
    struct weft_timing *timing;
    const struct weft_timing_options options = {.name = "fetch", .wall_only = 1};
    CHECK_EQUAL(weft_timing_open(&timing, &options), 0);
    CHECK_EQUAL(weft_timing_record(timing, 20 * WEFT_USEC, 0), 0);
    CHECK_EQUAL(weft_timing_record(timing, 3 * WEFT_SEC, -EIO), 0);
    CHECK_EQUAL(weft_timed(timing, record_some, NULL), 0);
    CHECK_EQUAL(weft_metrics_add_timing(page, timing), 0);
    const char *text = text_of(page);
    CHECK(strstr(text, "weft_calls_failed_total{call=\"fetch\"} 1\n"));
    CHECK(strstr(text, "weft_calls_cancelled_total{call=\"fetch\"} 0\n"));
    CHECK(strstr(text, "weft_calls_running{call=\"fetch\"} 0\n"));
    CHECK(strstr(text, "weft_call_seconds_bucket{call=\"fetch\",le=\"1e-05\"} 1\n"));
    CHECK(strstr(text, "weft_call_seconds_bucket{call=\"fetch\",le=\"2.5e-05\"} 2\n"));
    CHECK(strstr(text, "weft_call_seconds_bucket{call=\"fetch\",le=\"2.5\"} 2\n"));
    CHECK(strstr(text, "weft_call_seconds_bucket{call=\"fetch\",le=\"5\"} 3\n"));
    CHECK(strstr(text, "weft_call_seconds_bucket{call=\"fetch\",le=\"+Inf\"} 3\n"));
    CHECK(strstr(text, "weft_call_seconds_sum{call=\"fetch\"} 3.000020001\n"));
    CHECK(!strstr(text, "weft_call_run_seconds"));
    weft_timing_close(timing);
    weft_metrics_close(page);
}

/* ---- what others read ------------------------------------------------------------------ */

/* Everything that weft exports, and what is hard to read. */
static void fill(struct weft_metrics *page)
{
    struct weft_monitor *monitor;
    struct weft_timing *timing;
    const struct weft_metric tricky = {"tricky",
                                       "Back\\slash, \"quotes\"\nand a line.",
                                       WEFT_METRIC_GAUGE,
                                       {{"v", "a\\b \"c\"\nd \xc3\xa9"}},
                                       (double)NAN};
    const struct weft_metric summary = {
        .family = "odd_seconds", .help = "Odd.", .type = WEFT_METRIC_SUMMARY};
    const struct weft_metric_quantile quantiles[] = {{0.5, -(double)INFINITY},
                                                     {1, (double)INFINITY}};
    CHECK_EQUAL(weft_metrics_add(page, &tricky), 0);
    CHECK_EQUAL(weft_metrics_add_summary(page, &summary, quantiles, 2, 1e300, 2), 0);
    CHECK_EQUAL(weft_monitor_open(&monitor, NULL), 0);
    CHECK_EQUAL(weft_timing_open(&timing, NULL), 0);
    CHECK_EQUAL(weft_timed(timing, record_some, NULL), 0);
    CHECK_EQUAL(weft_metrics_add_runtime(page, "main"), 0);
    CHECK_EQUAL(weft_metrics_add_monitor(page, monitor), 0);
    CHECK_EQUAL(weft_metrics_add_timing(page, timing), 0);
    add_patterns(page);
    weft_timing_close(timing);
    weft_monitor_close(monitor);
}

/* Run a command of the shell with the page as its input. Returns its exit code. */
static int feed(const char *command, const char *text)
{
    char path[200], line[1200];
    (void)snprintf(path, sizeof path, "%s/page", test_directory());
    FILE *file = fopen(path, "w");
    REQUIRE(file);
    REQUIRE(fputs(text, file) >= 0);
    REQUIRE(fclose(file) == 0);
    (void)snprintf(line, sizeof line, "%s <'%s' >'%s.out' 2>&1", command, path, path);
    int status = system(line);
    int code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    file = code > 0 ? fopen(strcat(path, ".out"), "r") : NULL;
    while (file && fgets(line, sizeof line, file))
        test_note("%.*s", (int)strcspn(line, "\n"), line);
    if (file)
        (void)fclose(file);
    return code;
}

REAL_TIME_FIBER_TEST(promtool_has_nothing_to_say_against_the_page)
{
    if (system("command -v promtool >/dev/null") != 0) {
        test_skip("promtool (Debian: prometheus) is not installed");
        return;
    }
    struct weft_metrics *page = open_page();
    fill(page);
    CHECK_EQUAL(feed("promtool check metrics", text_of(page)), 0);
    weft_metrics_close(page);
}

static const char reader[] =
    "python3 -c '\n"
    "import sys, math\n"
    "from prometheus_client.parser import text_string_to_metric_families as parse\n"
    "all = {f.name: f for f in parse(sys.stdin.read())}\n"
    "t = all[\"tricky\"]\n"
    "assert t.documentation == \"Back\\\\slash, \\\"quotes\\\"\\nand a line.\", t\n"
    "assert t.samples[0].labels == {\"v\": \"a\\\\b \\\"c\\\"\\nd \\u00e9\"}, t\n"
    "assert math.isnan(t.samples[0].value), t\n"
    "assert [s.value for s in all[\"odd_seconds\"].samples] == "
    "[-math.inf, math.inf, 1e300, 2], all\n"
    "assert all[\"weft_call_seconds\"].type == \"histogram\", all\n"
    "assert all[\"weft_workers\"].samples[0].value == 1, all\n"
    "'";

REAL_TIME_FIBER_TEST(the_python_client_reads_back_what_was_written)
{
    if (system("python3 -c 'import prometheus_client.parser' 2>/dev/null") != 0) {
        test_skip("python3-prometheus-client is not installed");
        return;
    }
    struct weft_metrics *page = open_page();
    fill(page);
    CHECK_EQUAL(feed(reader, text_of(page)), 0);
    weft_metrics_close(page);
}

TEST(outside_a_runtime_there_is_no_runtime_to_export)
{
    struct weft_metrics *page = open_page();
    CHECK_EQUAL(weft_metrics_add_runtime(page, NULL), -EPERM);
    check_text(page, "");
    weft_metrics_close(page);
}
