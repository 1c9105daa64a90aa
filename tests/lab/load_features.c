/* SPDX-License-Identifier: MIT
 * load_features.c - weft_load with several requests on a connection, several threads, a warm-up,
 * steps, several URLs; and what it makes of its result. */
#include <weft/load.h>
#include <weft/signal.h>

#include "fixture.h"
#include "test.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define OK_RESPONSE "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

static bool answer_fixed(struct fixture *fixture, int fd, unsigned number, const char *text)
{
    (void)fixture, (void)number, (void)text;
    return fixture_send(fd, OK_RESPONSE);
}

static struct fixture *start(fixture_answer answer)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    REQUIRE(fixture);
    fixture_start(fixture, answer, 0);
    return fixture;
}

static void stop(struct fixture *fixture)
{
    fixture_stop(fixture);
    free(fixture);
}

/* A load that has to work. */
static struct weft_load_result load(const struct weft_load_options *options)
{
    struct weft_load_result result = {0};
    char error[300] = "";
    int err = weft_load(options, &result, error, sizeof error);
    CHECK_EQUAL(err, 0);
    if (err)
        test_note("%s", error);
    REQUIRE(err == 0);
    return result;
}

/* ---- pipelining ------------------------------------------------------------------------ */

/* Says nothing until it has four. */
static bool answer_by_four(struct fixture *fixture, int fd, unsigned number, const char *text)
{
    (void)fixture, (void)text;
    return number % 4 != 3 || fixture_send(fd, OK_RESPONSE OK_RESPONSE OK_RESPONSE OK_RESPONSE);
}

TEST(a_pipeline_sends_without_waiting)
{
    struct fixture *fixture = start(answer_by_four);
    struct weft_load_result result = load(&(struct weft_load_options){.url = fixture->url,
                                                                      .method = "GET",
                                                                      .requests = 40,
                                                                      .connections = 1,
                                                                      .pipeline = 4,
                                                                      .timeout_ns = 20 * WEFT_SEC});
    CHECK_EQUAL(result.total.succeeded, 40);
    CHECK_EQUAL(result.connects, 1);
    CHECK_EQUAL(result.resent, 0);
    CHECK_EQUAL(result.pipeline, 4);
    weft_load_result_release(&result);
    stop(fixture);
}

#define NUMBERS 3000

static atomic_uint seen[NUMBERS];

static bool answer_counting(struct fixture *fixture, int fd, unsigned number, const char *text)
{
    unsigned first, second;
    const char *body = strstr(text, "\r\n\r\n"), *header = strstr(text, "X-Number: ");
    (void)fixture, (void)number;
    if (body && header && sscanf(body + 4, "%u", &first) == 1 &&
        sscanf(header + 10, "%u", &second) == 1 && first == second && first < NUMBERS)
        atomic_fetch_add(&seen[first], 1);
    return fixture_send(fd, OK_RESPONSE);
}

static void check_every_number(unsigned pipeline, unsigned workers, double rate)
{
    static const char *const headers[] = {"X-Number: {i}"};
    struct fixture *fixture = start(answer_counting);
    memset(seen, 0, sizeof seen);
    struct weft_load_result result = load(&(struct weft_load_options){.url = fixture->url,
                                                                      .body = "{i}",
                                                                      .headers = headers,
                                                                      .headers_count = 1,
                                                                      .requests = NUMBERS,
                                                                      .connections = 5,
                                                                      .rate_per_s = rate,
                                                                      .pipeline = pipeline,
                                                                      .workers = workers});
    CHECK_EQUAL(result.total.succeeded, NUMBERS);
    CHECK_EQUAL(result.not_started, 0);
    CHECK_EQUAL(result.workers, workers);
    CHECK_EQUAL(result.total.latency.count, NUMBERS);
    CHECK_EQUAL(result.total.sent.count, NUMBERS);
    weft_load_result_release(&result);
    stop(fixture);
    unsigned once = 0;
    for (int i = 0; i < NUMBERS; i++)
        once += atomic_load(&seen[i]) == 1;
    CHECK_EQUAL(once, NUMBERS);
}

TEST(every_request_is_sent_once_in_a_pipeline)
{
    check_every_number(7, 1, 0);
}

TEST(every_request_is_sent_once_by_several_threads)
{
    check_every_number(1, 3, 0);
}

TEST(every_request_is_sent_once_by_several_threads_in_an_open_loop)
{
    check_every_number(3, 2, 20000);
}

/* Every third answer is the last of its connection. */
static bool answer_closing(struct fixture *fixture, int fd, unsigned number, const char *text)
{
    (void)fixture, (void)text;
    if (number % 3 != 2)
        return fixture_send(fd, OK_RESPONSE);
    (void)fixture_send(fd, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok");
    return false;
}

TEST(what_stood_behind_a_closing_answer_is_sent_again)
{
    struct fixture *fixture = start(answer_closing);
    struct weft_load_result result = load(&(struct weft_load_options){
        .url = fixture->url, .method = "GET", .requests = 60, .connections = 1, .pipeline = 4});
    CHECK_EQUAL(result.total.succeeded, 60);
    CHECK_EQUAL(atomic_load(&fixture->requests), 60);
    CHECK_EQUAL(result.connects, 20);
    CHECK(result.resent > 0 && result.resent < 60 * 4);
    weft_load_result_release(&result);
    stop(fixture);
}

/* Every fifth request breaks the connection off. */
static bool answer_reset(struct fixture *fixture, int fd, unsigned number, const char *text)
{
    (void)fixture, (void)text;
    if (number % 5 != 4)
        return fixture_send(fd, OK_RESPONSE);
    fixture_reset(fd);
    return false;
}

TEST(a_broken_connection_takes_its_pipeline_along)
{
    struct fixture *fixture = start(answer_reset);
    struct weft_load_result result = load(&(struct weft_load_options){
        .url = fixture->url, .method = "GET", .requests = 60, .connections = 1, .pipeline = 4});
    CHECK_EQUAL(result.total.requests, 60);
    CHECK_EQUAL(result.total.succeeded + result.total.errors[WEFT_LOAD_RESET], 60);
    CHECK(result.total.errors[WEFT_LOAD_RESET] > 0);
    CHECK_EQUAL(result.resent, 0);
    weft_load_result_release(&result);
    stop(fixture);
}

static bool answer_never(struct fixture *fixture, int fd, unsigned number, const char *text)
{
    (void)fixture, (void)fd, (void)number, (void)text;
    return true;
}

TEST(a_timeout_in_a_pipeline_ends_all_that_wait_behind_it)
{
    struct fixture *fixture = start(answer_never);
    struct weft_load_result result =
        load(&(struct weft_load_options){.url = fixture->url,
                                         .method = "GET",
                                         .requests = 8,
                                         .connections = 1,
                                         .pipeline = 4,
                                         .timeout_ns = 30 * WEFT_MSEC});
    CHECK_EQUAL(result.total.errors[WEFT_LOAD_TIMEOUT], 2);
    CHECK_EQUAL(result.total.errors[WEFT_LOAD_RESET], 6);
    weft_load_result_release(&result);
    stop(fixture);
}

/* Answers the head, and does not read the body. */
static bool answer_too_large(struct fixture *fixture, int fd, unsigned number, const char *text)
{
    (void)fixture, (void)number, (void)text;
    (void)fixture_send(fd, "HTTP/1.1 413 No\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    return false;
}

TEST(an_answer_counts_while_the_request_is_still_being_sent)
{
    struct fixture *fixture = start(answer_too_large);
    size_t len = (size_t)8 << 20; /* more than sockets hold */
    char *body = malloc(len + 1);
    REQUIRE(body);
    memset(body, 'x', len);
    body[len] = '\0';
    atomic_store(&fixture->heads_only, true);
    struct weft_load_result result = load(&(struct weft_load_options){
        .url = fixture->url, .body = body, .requests = 4, .connections = 2});
    CHECK_EQUAL(result.total.status[4], 4);
    CHECK_EQUAL(result.total.errors[WEFT_LOAD_STATUS], 4);
    CHECK(result.bytes_written < 4 * len);
    weft_load_result_release(&result);
    stop(fixture);
    free(body);
}

/* ---- schedules ------------------------------------------------------------------------- */

TEST(the_warm_up_is_told_apart)
{
    struct fixture *fixture = start(answer_fixed);
    struct weft_load_result result = load(&(struct weft_load_options){.url = fixture->url,
                                                                      .method = "GET",
                                                                      .requests = 20,
                                                                      .connections = 2,
                                                                      .warmup_ns = 50 * WEFT_MSEC});
    CHECK_EQUAL(result.total.requests, 20);
    CHECK_EQUAL(result.warmup_ns, 50 * WEFT_MSEC);
    REQUIRE(result.warmup);
    CHECK(result.warmup->counts.requests > 0);
    CHECK_EQUAL(result.warmup->length_ns, 50 * WEFT_MSEC);
    CHECK_EQUAL(atomic_load(&fixture->requests), 20 + result.warmup->counts.requests);
    CHECK_EQUAL(result.steps_count, 1);
    CHECK_EQUAL(result.steps[0].counts.requests, 20);
    CHECK_EQUAL(result.steps[0].begin_ns, 50 * WEFT_MSEC);
    REQUIRE(result.seconds_count > 0);
    CHECK(result.seconds[0].warmup);
    uint64_t requests = 0;
    for (size_t i = 0; i < result.seconds_count; i++)
        requests += result.seconds[i].requests;
    CHECK_EQUAL(requests, atomic_load(&fixture->requests));
    weft_load_result_release(&result);
    CHECK(!result.data && !result.warmup);
    stop(fixture);
}

/* Five requests keep five of eight connections busy; the others are not closed before the end. */
TEST(connections_stay_open_to_the_end)
{
    struct fixture *fixture = start(answer_fixed);
    struct weft_load_result result = load(&(struct weft_load_options){.url = fixture->url,
                                                                      .method = "GET",
                                                                      .requests = 5,
                                                                      .rate_per_s = 100,
                                                                      .connections = 8,
                                                                      .workers = 2});
    CHECK_EQUAL(result.total.succeeded, 5);
    REQUIRE(result.seconds_count > 0);
    CHECK_EQUAL(result.seconds[result.seconds_count - 1].connected, 8);
    weft_load_result_release(&result);
    stop(fixture);
}

TEST(every_step_has_its_row)
{
    static const struct weft_load_step steps[] = {
        {100, 100, 100 * WEFT_MSEC}, {0, 0, 50 * WEFT_MSEC}, {200, 400, 100 * WEFT_MSEC}};
    struct fixture *fixture = start(answer_fixed);
    struct weft_load_result result = load(&(struct weft_load_options){
        .url = fixture->url, .method = "GET", .connections = 4, .steps = steps, .steps_count = 3});
    REQUIRE(result.steps_count == 3);
    CHECK(result.open_loop);
    CHECK_EQUAL(result.steps[0].intended, 10);
    CHECK_EQUAL(result.steps[1].intended, 0);
    CHECK_EQUAL(result.steps[2].intended, 30);
    CHECK_EQUAL(result.steps[2].begin_ns, 150 * WEFT_MSEC);
    uint64_t requests = 0;
    for (size_t i = 0; i < 3; i++) {
        const struct weft_load_step_row *row = &result.steps[i];
        CHECK_EQUAL(row->counts.requests + row->not_started, row->intended);
        requests += row->counts.requests;
    }
    CHECK_EQUAL(requests, result.total.requests);
    CHECK(result.intended_per_s > 159 && result.intended_per_s < 161);
    CHECK(result.elapsed_ns >= 250 * WEFT_MSEC);
    weft_load_result_release(&result);
    stop(fixture);
}

/* One request holds everything up for half a second. */
static bool answer_stalled(struct fixture *fixture, int fd, unsigned number, const char *text)
{
    struct timespec length = {.tv_nsec = 500 * 1000000};
    (void)fixture, (void)text;
    if (number == 20)
        (void)nanosleep(&length, NULL);
    return fixture_send(fd, OK_RESPONSE);
}

/* 100 requests, one every 10 ms: 12 of them are due within the first 110 ms of the stall. */
TEST(a_stall_shows_in_the_latency_from_the_intended_start)
{
    struct fixture *fixture = start(answer_stalled);
    struct weft_load_result result = load(&(struct weft_load_options){.url = fixture->url,
                                                                      .method = "GET",
                                                                      .requests = 100,
                                                                      .connections = 1,
                                                                      .rate_per_s = 100});
    CHECK_EQUAL(result.total.succeeded, 100);
    CHECK(result.total.latency.p90_ns >= 380 * WEFT_MSEC);
    CHECK(result.total.latency.max_ns >= 500 * WEFT_MSEC);
    CHECK(result.total.sent.max_ns >= 500 * WEFT_MSEC);
    CHECK(result.total.sent.mean_ns < result.total.latency.mean_ns);
    CHECK(result.total.sent.p90_ns <= result.total.latency.p90_ns);
    weft_load_result_release(&result);
    stop(fixture);
}

static bool answer_and_interrupt(struct fixture *fixture, int fd, unsigned number, const char *text)
{
    (void)fixture, (void)text;
    if (number == 99)
        (void)kill(getpid(), SIGTERM);
    return fixture_send(fd, OK_RESPONSE);
}

static bool answer_and_interrupt_at_once(struct fixture *fixture, int fd, unsigned number,
                                         const char *text)
{
    (void)fixture, (void)fd, (void)number, (void)text;
    (void)kill(getpid(), SIGTERM);
    return true;
}

TEST(an_interrupt_ends_the_load_on_every_thread)
{
    static const int interrupt = SIGTERM;
    REQUIRE(weft_signal_block(&interrupt, 1) == 0);
    struct fixture *fixture = start(answer_and_interrupt);
    struct weft_load_result result = load(&(struct weft_load_options){.url = fixture->url,
                                                                      .method = "GET",
                                                                      .rate_per_s = 5000,
                                                                      .duration_ns = 100 * WEFT_SEC,
                                                                      .connections = 4,
                                                                      .pipeline = 2,
                                                                      .workers = 2});
    CHECK_EQUAL(result.stopped, 1);
    CHECK(result.total.succeeded >= 80);
    CHECK(result.elapsed_ns < 100 * WEFT_SEC);
    CHECK(result.steps[0].intended < 500000);
    weft_load_result_release(&result);
    stop(fixture);
}

/* Nobody answers the first GET, which looks for the method. */
TEST(an_interrupt_before_the_clock_starts_is_an_error)
{
    static const int interrupt = SIGTERM;
    struct weft_load_result result = {.resent = 77};
    char error[300] = "";
    REQUIRE(weft_signal_block(&interrupt, 1) == 0);
    struct fixture *fixture = start(answer_and_interrupt_at_once);
    CHECK_EQUAL(weft_load(&(struct weft_load_options){.url = fixture->url, .requests = 5}, &result,
                          error, sizeof error),
                -ECANCELED);
    CHECK(strstr(error, "interrupted before the load began"));
    CHECK_EQUAL(result.resent, 77);
    stop(fixture);
}

/* ---- several URLs ---------------------------------------------------------------------- */

static bool answer_by_path(struct fixture *fixture, int fd, unsigned number, const char *text)
{
    (void)fixture, (void)number;
    if (strncmp(text, "GET /often ", 11) == 0 || strncmp(text, "GET /rare/", 10) == 0)
        return fixture_send(fd, OK_RESPONSE);
    if (strncmp(text, "HEAD /head ", 11) == 0)
        return fixture_send(fd, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n");
    return fixture_send(fd, "HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n");
}

TEST(several_urls_share_the_connections_by_weight)
{
    struct fixture *fixture = start(answer_by_path);
    char path[512], error[300] = "";
    (void)snprintf(path, sizeof path, "%s/urls", test_directory());
    FILE *file = fopen(path, "w");
    REQUIRE(file);
    (void)fprintf(file, "%soften 5\n%srare/{i} 1\n%smissing 2\n", fixture->url, fixture->url,
                  fixture->url);
    (void)fprintf(file, "{\"url\": \"%shead\", \"method\": \"HEAD\", \"weight\": 2}\n",
                  fixture->url);
    REQUIRE(fclose(file) == 0);
    struct weft_load_options options = {
        .url_file = path, .requests = 100, .connections = 3, .pipeline = 3};
    struct weft_load_result result;
    int err = weft_load(&options, &result, error, sizeof error);
    if (err == -EINVAL && strstr(error, "jansson")) {
        test_skip("built without jansson");
        stop(fixture);
        return;
    }
    REQUIRE(err == 0);
    REQUIRE(result.urls_count == 4);
    CHECK_EQUAL(result.urls[0].counts.succeeded, 50);
    CHECK_EQUAL(result.urls[1].counts.succeeded, 10);
    CHECK_EQUAL(result.urls[2].counts.errors[WEFT_LOAD_STATUS], 20);
    CHECK_EQUAL(result.urls[3].counts.succeeded, 20);
    CHECK_EQUAL(result.urls[3].weight, 2);
    CHECK(strcmp(result.urls[3].method, "HEAD") == 0);
    CHECK(strstr(result.urls[1].url, "/rare/{i}"));
    CHECK_EQUAL(result.total.requests, 100);
    CHECK_EQUAL(result.connects, 3);
    weft_load_result_release(&result);
    stop(fixture);
}

/* ---- what is made of it ---------------------------------------------------------------- */

static bool answer_with_failures(struct fixture *fixture, int fd, unsigned number, const char *text)
{
    (void)fixture, (void)text;
    return fixture_send(fd, number % 10 == 9 ? "HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"
                                             : OK_RESPONSE);
}

TEST(limits_hold_or_fail)
{
    static const struct {
        const char *text;
        int fails;
    } vectors[] = {
        {"errors>9", 1},        {"errors>10", 0},   {"errors>=10", 1},    {"errors<10", 0},
        {"errors<=10", 1},      {"errors>9.9%", 1}, {"errors>10%", 0},    {"p99>1h", 0},
        {"p99<1h", 1},          {"max>0", 1},       {"min>=0", 1},        {"mean<1h", 1},
        {"rate<1000000000", 1}, {"rate>0", 1},      {"not-started>0", 0}, {"not-started>=0%", 1},
    };
    struct fixture *fixture = start(answer_with_failures);
    struct weft_load_result result = load(&(struct weft_load_options){
        .url = fixture->url, .method = "GET", .requests = 100, .connections = 2});
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        char text[200] = "";
        CHECK_EQUAL(weft_load_limit_check(vectors[i].text, &result, text, sizeof text),
                    vectors[i].fails);
        CHECK(!text[0] == !vectors[i].fails);
    }
    weft_load_result_release(&result);
    stop(fixture);

    fixture = start(answer_never);
    result = load(&(struct weft_load_options){.url = fixture->url,
                                              .method = "GET",
                                              .requests = 1,
                                              .connections = 1,
                                              .timeout_ns = 20 * WEFT_MSEC});
    char text[200] = "";
    CHECK_EQUAL(weft_load_limit_check("p99>1h", &result, text, sizeof text), 1);
    CHECK(strstr(text, "not known"));
    weft_load_result_release(&result);
    stop(fixture);
}

TEST(a_result_goes_out_as_json_and_in_the_formats_of_hdrhistogram)
{
    static const char *const members[] = {
        "\"schema\": 1",
        "\"url\": \"http://127.0.0.1:",
        "\"method\": \"GET\"",
        "\"connections\": 2",
        "\"rate_per_s\": 1000.0",
        "\"elapsed_s\": ",
        "\"requests\": 30",
        "\"succeeded\": 30",
        "\"not_started\": 0",
        "\"errors\": {",
        "\"status\": {",
        "\"bytes_read\": ",
        "\"latency_ms\": {",
        "\"sent_latency_ms\": {",
        "\"p99.9\": ",
        "\"intended_per_s\": ",
        "\"warmup\": {",
        "\"steps\": [{",
        "\"seconds\": [{",
        "\"histograms\": {\"latency\": \"HISTFAAA",
    };
    struct fixture *fixture = start(answer_fixed);
    struct weft_load_result result = load(&(struct weft_load_options){.url = fixture->url,
                                                                      .method = "GET",
                                                                      .requests = 30,
                                                                      .rate_per_s = 1000,
                                                                      .warmup_ns = 10 * WEFT_MSEC,
                                                                      .connections = 2});
    char *json = NULL, *hgrm = NULL, *log = NULL;
    REQUIRE(weft_load_json(&result, &json) == 0);
    REQUIRE(weft_load_hgrm(&result, &hgrm) == 0);
    REQUIRE(weft_load_hdr_log(&result, &log) == 0);
    for (size_t i = 0; i < sizeof members / sizeof members[0]; i++) {
        CHECK(strstr(json, members[i]));
        if (!strstr(json, members[i]))
            test_note("no %s", members[i]);
    }
    CHECK(strstr(hgrm, "Total count    =           30]"));
    CHECK(strstr(log, "#[Histogram log format version 1.3]\n"));
    CHECK(strstr(log, "\nTag=warmup-intended,0.000,0.010,"));
    CHECK(strstr(log, "\nTag=intended,0.010,"));
    CHECK(strstr(log, ",HISTFAAA"));
    free(json);
    free(hgrm);
    free(log);

    /* What is written can be compared: with itself it is the same. */
    char path[512], error[300] = "";
    struct weft_load_comparison comparison;
    (void)snprintf(path, sizeof path, "%s/result.json", test_directory());
    FILE *file = fopen(path, "w");
    REQUIRE(file && weft_load_json(&result, &json) == 0);
    REQUIRE(fputs(json, file) >= 0 && fputs(json, file) >= 0 && fclose(file) == 0);
    free(json);
    int err = weft_load_compare(path, path, &comparison, error, sizeof error);
    if (err != -ENOSYS) {
        CHECK_EQUAL(err, 0);
        CHECK_EQUAL(comparison.runs_before, 2);
        CHECK_EQUAL(comparison.rows_count, WEFT_LOAD_COMPARISON_ROWS);
        for (size_t i = 0; i < comparison.rows_count; i++)
            CHECK(comparison.rows[i].ratio > 0.999999 && comparison.rows[i].ratio < 1.000001);
        CHECK(comparison.rows[1].before >= (double)result.total.latency.p50_ns * 0.999 &&
              comparison.rows[1].before <= (double)result.total.latency.p50_ns * 1.001);
    }
    weft_load_result_release(&result);
    stop(fixture);
}
