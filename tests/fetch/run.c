/* SPDX-License-Identifier: MIT
 * run.c - weft_fetch: many requests from a source, their results into a sink, and the sum. */
#include "box.h"
#include "test.h"

#include <weft/io.h>
#include <weft/runtime.h>
#include <weft/sync.h>

#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- a run with its surroundings ---------------------------------------------------------- */

struct box {
    struct weft_fetch_options options;
    struct weft_fetch_source_options source;
    struct weft_fetch_summary summary;
    /* Of results, by the sink. */
    unsigned results, refused, failed;
    int sink_err; /* not 0: the sink fails with that at result number fails_at */
    unsigned fails_at;
    char last_error[256], last_url[256], last_tag[64];
    unsigned char *seen; /* by the number at the end of the url; NULL: nobody looks */
    unsigned seen_len, twice;
};

static void note_result(struct box *box, const struct weft_fetch_result *result)
{
    const char *digits = strrchr(result->url, '/');
    box->results++;
    box->failed += result->error_class != NULL;
    (void)snprintf(box->last_url, sizeof box->last_url, "%s", result->url);
    if (result->error)
        (void)snprintf(box->last_error, sizeof box->last_error, "%s", result->error);
    if (result->tag)
        (void)snprintf(box->last_tag, sizeof box->last_tag, "%s", result->tag);
    if (box->seen && digits) {
        unsigned number = (unsigned)atoi(digits + 1);
        REQUIRE(number < box->seen_len);
        box->twice += box->seen[number]++ > 0;
    }
}

static int take_results(void *arg, const struct weft_fetch_result *const *results, size_t count)
{
    struct box *box = arg;
    for (size_t i = 0; i < count; i++)
        note_result(box, results[i]);
    return box->sink_err && box->results >= box->fails_at ? box->sink_err : 0;
}

/* Returns what weft_fetch does. */
static int run(struct box *box)
{
    char error[256];
    const struct weft_sink_output output = {
        .kind = WEFT_SINK_FUNCTION, .write = take_results, .arg = box};
    const struct weft_sink_options options = {.outputs = &output, .outputs_count = 1};
    struct weft_fetch_source *source;
    struct weft_sink *sink;
    REQUIRE(weft_sink_open(&sink, &options, error, sizeof error) == 0);
    REQUIRE(weft_fetch_source_open(&source, &box->source) == 0);
    box->options.sink = sink;
    box->options.source = source;
    int err = weft_fetch(&box->options, &box->summary);
    int finished = weft_sink_finish(sink, WEFT_FOREVER);
    CHECK(finished == 0 || box->sink_err || err);
    weft_sink_close(sink);
    weft_fetch_source_close(source);
    return err;
}

static const char *write_lines(unsigned count, unsigned port)
{
    static char path[256];
    (void)snprintf(path, sizeof path, "%s/lines", test_directory());
    FILE *file = fopen(path, "we");
    REQUIRE(file);
    for (unsigned i = 0; i < count; i++) {
        (void)fprintf(file, "http://127.0.0.1:%u/%u\n", port, i);
    }
    REQUIRE(fclose(file) == 0);
    return path;
}

static uint64_t count_of(const struct weft_fetch_summary *summary, const char *class)
{
    for (unsigned i = 0; i < summary->classes_len; i++) {
        if (strcmp(summary->classes[i].name, class) == 0)
            return summary->classes[i].count;
    }
    return 0;
}

/* By the number in the path: 404 for each tenth, a closed connection for each seventh. */
static void say_by_number(struct origin *origin, int fd)
{
    while (origin_read(origin, fd)) {
        unsigned number = 0;
        (void)sscanf(origin->last, "%*s /%u", &number);
        if (number % 10 == 0)
            origin_say(fd, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
        else if (number % 7 == 0)
            return;
        else
            origin_say(fd, OK);
    }
}

/* ---- sums --------------------------------------------------------------------------------- */

FIBER_TEST(every_request_has_one_result_and_the_summary_adds_up)
{
    struct origin origin;
    origin_open(&origin, say_by_number);
    struct box box = {.seen_len = 1000, .seen = calloc(1000, 1)};
    box.source.path = write_lines(1000, origin.port);
    box.options.fetcher =
        (struct weft_fetcher_options){.concurrency = 20, .attempts_max = 1, .breaker_off = 1};
    CHECK_EQUAL(run(&box), 0);
    CHECK_EQUAL(box.results, 1000);
    CHECK_EQUAL(box.twice, 0);
    const struct weft_fetch_summary *summary = &box.summary;
    CHECK_EQUAL(summary->total_requests, 1000);
    CHECK_EQUAL(summary->successful + summary->failed, 1000);
    CHECK_EQUAL(count_of(summary, "HTTP 404"), 100);
    CHECK_EQUAL(count_of(summary, "reset"), 128);
    CHECK_EQUAL(summary->failed, 228);
    CHECK_EQUAL(box.failed, 228);
    CHECK_EQUAL(summary->latency.count, 872);
    CHECK_EQUAL(summary->queue.count, 1000);
    CHECK_EQUAL(summary->stopped, 0);
    CHECK_EQUAL(summary->body_bytes, 2 * 772);
    CHECK_EQUAL(summary->ceiling_places, 20);
    CHECK(summary->peak_memory_mb > 0);
    CHECK(origin.most <= 20 + 1);
    free(box.seen);
    origin_close(&origin);
}

FIBER_TEST(a_line_that_is_no_request_is_a_failed_result)
{
    struct box box = {0};
    static const char *const urls[] = {"nonsense", "{\"url\": \"x\", \"y\": 1}", "ftp://a/"};
    box.source.urls = urls;
    box.source.urls_count = 3;
    CHECK_EQUAL(run(&box), 0);
    CHECK_EQUAL(box.results, 3);
    CHECK_EQUAL(count_of(&box.summary, "invalid"), 3);
    CHECK_EQUAL(box.summary.stats.exchanges, 0);
}

FIBER_TEST(what_a_line_says_counts_before_what_is_said_of_all)
{
    struct origin origin;
    origin_open(&origin, origin_reflect);
    char line[256];
    (void)snprintf(
        line, sizeof line,
        "{\"url\": \"%s\", \"headers\": {\"x-a\": \"mine\", \"X-C\": \"3\"}, \"id\": \"t\"}",
        origin_url(origin.port, "/"));
    const char *const urls[] = {line};
    const struct weft_http_field fields[] = {{"X-A", "all"}, {"X-B", "2"}};
    struct box box = {.source = {.urls = urls,
                                 .urls_count = 1,
                                 .method = "PUT",
                                 .fields = fields,
                                 .fields_count = 2,
                                 .body = "b",
                                 .body_len = 1}};
    CHECK_EQUAL(run(&box), 0);
    CHECK(strncmp(origin.last, "PUT / ", 6) == 0);
    CHECK(strstr(origin.last, "X-A: mine") && !strstr(origin.last, "all"));
    CHECK(strstr(origin.last, "X-B: 2") && strstr(origin.last, "X-C: 3"));
    CHECK(strcmp(box.last_tag, "t") == 0);
    origin_close(&origin);
}

/* ---- waiting does not hold up the others -------------------------------------------------- */

FIBER_TEST(a_host_that_pauses_does_not_hold_up_the_others)
{
    static const char *const list[] = {
        "HTTP/1.1 429 Slow\r\nRetry-After: 100\r\nContent-Length: 0\r\n\r\n", OK, NULL};
    struct origin slow, quick;
    origin_open(&slow, origin_say_list);
    slow.arg = (void *)(uintptr_t)list;
    origin_open(&quick, origin_reflect);
    char paths[2][128];
    (void)snprintf(paths[0], sizeof paths[0], "%s", origin_url(slow.port, "/"));
    (void)snprintf(paths[1], sizeof paths[1], "%s", origin_url(quick.port, "/"));
    const char *urls[100];
    for (int i = 0; i < 100; i++)
        urls[i] = paths[i >= 10];
    struct box box = {.source = {.urls = urls, .urls_count = 100}};
    box.options.fetcher = (struct weft_fetcher_options){.concurrency = 2};
    box.options.ahead = 20;
    int64_t begun_ns = weft_now();
    CHECK_EQUAL(run(&box), 0);
    CHECK_EQUAL(box.summary.successful, 100);
    CHECK_EQUAL(quick.requests, 90);
    CHECK_EQUAL(slow.requests, 11);
    CHECK(weft_now() - begun_ns >= 100 * WEFT_SEC && weft_now() - begun_ns < 110 * WEFT_SEC);
    CHECK(slow.most <= 2);
    origin_close(&slow);
    origin_close(&quick);
}

/* ---- ends --------------------------------------------------------------------------------- */

static void take_a_second(struct origin *origin, int fd)
{
    while (origin_read(origin, fd)) {
        if (weft_sleep(WEFT_SEC) < 0)
            return;
        origin_say(fd, OK);
    }
}

/* What was asked for is there at once, and stays there to the end. */
FIBER_TEST(a_run_keeps_all_its_places_busy)
{
    struct origin origin;
    struct box box = {0};
    origin_open(&origin, take_a_second);
    box.source.path = write_lines(200, origin.port);
    box.options.fetcher = (struct weft_fetcher_options){.concurrency = 20};
    CHECK_EQUAL(run(&box), 0);
    CHECK_EQUAL(origin.most, 20);
    CHECK_EQUAL(box.summary.successful, 200);
    CHECK(box.summary.total_duration_ns < 11 * WEFT_SEC);
    CHECK(box.summary.requests_per_second > 0.9 * box.summary.ceiling_per_second);
    origin_close(&origin);
}

struct stopper {
    struct weft_event *event;
    int64_t after_ns;
};

static int stop_later(void *arg)
{
    const struct stopper *stopper = arg;
    if (weft_sleep(stopper->after_ns) == 0)
        CHECK_EQUAL(weft_event_set(stopper->event), 0);
    return 0;
}

static void run_and_stop(struct box *box, struct origin *origin, int64_t after_ns, int64_t grace_ns)
{
    struct weft_event stop;
    struct weft_group group;
    struct stopper stopper = {&stop, after_ns};
    REQUIRE(weft_event_init(&stop, WEFT_AUTO) == 0);
    box->source.path = write_lines(1000, origin->port);
    box->options.stop = &stop;
    box->options.grace_ns = grace_ns;
    box->options.fetcher = (struct weft_fetcher_options){.concurrency = 4};
    REQUIRE(weft_group_init(&group, NULL) == 0);
    CHECK_EQUAL(weft_spawn(&group, stop_later, &stopper), 0);
    CHECK_EQUAL(run(box), 0);
    weft_group_close(&group);
}

FIBER_TEST(who_is_told_to_stop_finishes_what_is_under_way)
{
    struct origin origin;
    struct box box = {0};
    origin_open(&origin, take_a_second);
    int64_t begun_ns = weft_now();
    run_and_stop(&box, &origin, 2500 * WEFT_MSEC, 10 * WEFT_SEC);
    CHECK_EQUAL(box.results, 12);
    CHECK_EQUAL(box.summary.successful, 12);
    CHECK_EQUAL(box.summary.cancelled, 0);
    CHECK(box.summary.stopped);
    CHECK(weft_now() - begun_ns >= 3 * WEFT_SEC && weft_now() - begun_ns < 4 * WEFT_SEC);
    origin_close(&origin);
}

FIBER_TEST(and_when_the_grace_is_over_it_is_cancelled_and_no_result)
{
    struct origin origin;
    struct box box = {0};
    origin_open(&origin, take_a_second);
    int64_t begun_ns = weft_now();
    run_and_stop(&box, &origin, 2200 * WEFT_MSEC, 200 * WEFT_MSEC);
    CHECK_EQUAL(box.results, 8);
    CHECK_EQUAL(box.summary.total_requests, 8);
    CHECK_EQUAL(box.summary.cancelled, 4);
    CHECK(box.summary.stopped);
    CHECK(weft_now() - begun_ns < 3 * WEFT_SEC);
    origin_close(&origin);
}

FIBER_TEST(a_sink_that_fails_ends_the_run)
{
    struct origin origin;
    struct box box = {.sink_err = -ENOSPC, .fails_at = 10};
    origin_open(&origin, origin_reflect);
    box.source.path = write_lines(100000, origin.port);
    CHECK_EQUAL(run(&box), -ENOSPC);
    CHECK(box.summary.stopped);
    CHECK(box.summary.total_requests < 100000);
    origin_close(&origin);
}

FIBER_TEST(options_of_a_run_are_checked)
{
    struct weft_fetch_summary summary;
    CHECK_EQUAL(weft_fetch(&(struct weft_fetch_options){0}, &summary), -EINVAL);
    const char *const urls[] = {"http://a/"};
    struct box box = {.source = {.urls = urls, .urls_count = 1},
                      .options = {.fetcher = {.concurrency = 100000}}};
    CHECK_EQUAL(run(&box), -EINVAL);
}

/* ---- cancelled at any moment -------------------------------------------------------------- */

static int live(void *arg)
{
    struct origin origin;
    struct weft_fetch_source *source;
    struct weft_fetch_summary summary;
    (void)arg;
    origin_open(&origin, say_by_number);
    char url[64];
    (void)snprintf(url, sizeof url, "%s", origin_url(origin.port, "/7"));
    const char *const urls[] = {url, "http://127.0.0.1:1/", "nonsense"};
    int err = weft_fetch_source_open(
        &source, &(struct weft_fetch_source_options){.urls = urls, .urls_count = 3, .repeat = 5});
    if (err == 0) {
        const struct weft_fetch_options options = {
            .source = source, .fetcher = {.concurrency = 2, .breaker_off = 1, .seed = 1}};
        err = weft_fetch(&options, &summary);
        weft_fetch_source_close(source);
    }
    origin_close(&origin);
    return err;
}

TEST(a_run_can_be_cancelled_at_every_wait)
{
    uint64_t waits = 0;
    const struct weft_run_options whole = {.clock = WEFT_CLOCK_VIRTUAL, .ret_waits = &waits};
    CHECK_EQUAL(weft_run(&whole, live, NULL), 0);
    CHECK(waits > 30);
    for (uint64_t at = 1; at <= waits; at++) {
        const struct weft_run_options cut = {.clock = WEFT_CLOCK_VIRTUAL, .cancel_at = at};
        int err = weft_run(&cut, live, NULL);
        CHECK(err == 0 || err == -ECANCELED);
    }
}

/* ---- memory ------------------------------------------------------------------------------- */

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || defined(WEFT_COVERAGE)
#define MANY 20000u
#else
#define MANY 200000u
#endif

struct memory {
    size_t early, most;
    unsigned results;
};

static int note_memory(void *arg, const struct weft_fetch_result *const *results, size_t count)
{
    struct memory *memory = arg;
    (void)results;
    memory->results += (unsigned)count;
    size_t now = mallinfo2().uordblks;
    if (memory->results < MANY / 10)
        memory->early = now > memory->early ? now : memory->early;
    memory->most = now > memory->most ? now : memory->most;
    return 0;
}

REAL_TIME_FIBER_TEST(memory_does_not_grow_with_the_number_of_requests)
{
    struct origin origin;
    struct memory memory = {0};
    char error[256];
    const struct weft_sink_output output = {
        .kind = WEFT_SINK_FUNCTION, .write = note_memory, .arg = &memory};
    const struct weft_sink_options sink_options = {.outputs = &output, .outputs_count = 1};
    struct weft_fetch_options options = {.fetcher = {.concurrency = 50}};
    struct weft_fetch_summary summary;
    origin_open(&origin, origin_reflect);
    const struct weft_fetch_source_options source = {.path = write_lines(MANY, origin.port)};
    REQUIRE(weft_sink_open(&options.sink, &sink_options, error, sizeof error) == 0);
    REQUIRE(weft_fetch_source_open(&options.source, &source) == 0);
    CHECK_EQUAL(weft_fetch(&options, &summary), 0);
    CHECK_EQUAL(weft_sink_finish(options.sink, WEFT_FOREVER), 0);
    weft_sink_close(options.sink);
    weft_fetch_source_close(options.source);
    CHECK_EQUAL(summary.successful, MANY);
    CHECK_EQUAL(memory.results, MANY);
    if (memory.most > memory.early + ((size_t)2 << 20))
        test_note("%zu bytes early, %zu at the most", memory.early, memory.most);
    CHECK(memory.most <= memory.early + ((size_t)2 << 20));
    origin_close(&origin);
}

/* ---- several workers ---------------------------------------------------------------------- */

static int run_on_all(void *arg)
{
    struct box *box = arg;
    struct origin origin;
    origin_open(&origin, origin_reflect);
    box->source.path = write_lines(5000, origin.port);
    int err = run(box);
    CHECK_EQUAL(origin.requests, 5000);
    origin_close(&origin);
    return err;
}

TEST(lanes_are_spread_over_all_workers)
{
    struct box box = {.seen_len = 5000, .seen = calloc(5000, 1)};
    box.options.fetcher = (struct weft_fetcher_options){.concurrency = 16, .host_concurrency = 8};
    CHECK_EQUAL(weft_run(&(struct weft_run_options){.workers = 3}, run_on_all, &box), 0);
    CHECK_EQUAL(box.results, 5000);
    CHECK_EQUAL(box.twice, 0);
    CHECK_EQUAL(box.summary.successful, 5000);
    CHECK(box.summary.ceiling_places == 8);
    free(box.seen);
}
