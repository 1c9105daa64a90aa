/* SPDX-License-Identifier: MIT
 * load.c - weft_load against servers that answer: every kind of framing, numbers, methods, the
 * schedule, ending early. What goes wrong is in load_errors.c. */
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

static bool answer_chunked(struct fixture *fixture, int fd, unsigned number, const char *text)
{
    (void)fixture, (void)number, (void)text;
    return fixture_send(fd, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\no") &&
           fixture_send(fd, "k\r\n0\r\n\r\n");
}

static bool answer_closing(struct fixture *fixture, int fd, unsigned number, const char *text)
{
    (void)fixture, (void)number, (void)text;
    (void)fixture_send(fd, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok");
    return false;
}

static bool answer_until_end(struct fixture *fixture, int fd, unsigned number, const char *text)
{
    (void)fixture, (void)number, (void)text;
    (void)fixture_send(fd, "HTTP/1.1 200 OK\r\n\r\nas long as it goes on");
    return false;
}

static bool answer_bytewise(struct fixture *fixture, int fd, unsigned number, const char *text)
{
    (void)fixture, (void)number, (void)text;
    for (const char *at = OK_RESPONSE; *at; at++) {
        char byte[2] = {*at, '\0'};
        if (!fixture_send(fd, byte))
            return false;
    }
    return true;
}

static bool answer_interim(struct fixture *fixture, int fd, unsigned number, const char *text)
{
    (void)fixture, (void)number, (void)text;
    return fixture_send(fd, "HTTP/1.1 100 Continue\r\n\r\n") && fixture_send(fd, OK_RESPONSE);
}

static bool answer_twice(struct fixture *fixture, int fd, unsigned number, const char *text)
{
    (void)fixture, (void)number, (void)text;
    return fixture_send(fd, OK_RESPONSE OK_RESPONSE);
}

static bool answer_empty(struct fixture *fixture, int fd, unsigned number, const char *text)
{
    (void)fixture, (void)text;
    return fixture_send(fd, number % 2 ? "HTTP/1.1 204 Nothing\r\n\r\n"
                                       : "HTTP/1.1 304 Same\r\nContent-Length: 500\r\n\r\n");
}

static bool answer_old(struct fixture *fixture, int fd, unsigned number, const char *text)
{
    (void)fixture, (void)number, (void)text;
    (void)fixture_send(fd, "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok");
    return false;
}

static bool answer_large(struct fixture *fixture, int fd, unsigned number, const char *text)
{
    char body[10001];
    (void)fixture, (void)number, (void)text;
    memset(body, 'x', 10000);
    body[10000] = '\0';
    if (!fixture_send(fd, "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"))
        return false;
    for (int i = 0; i < 10; i++) {
        if (!fixture_send(fd, body))
            return false;
    }
    return true;
}

/* Run a load that has to work; of its result what needs no release. */
static struct weft_load_result load(const struct weft_load_options *options)
{
    struct weft_load_result result = {0}, whole;
    char error[256] = "";
    int err = weft_load(options, &whole, error, sizeof error);
    CHECK_EQUAL(err, 0);
    if (err) {
        test_note("%s", error);
    } else {
        result = whole;
        weft_load_result_release(&whole);
    }
    uint64_t failed = 0;
    for (int i = 0; i < WEFT_LOAD_ERRORS; i++)
        failed += result.total.errors[i];
    CHECK_EQUAL(result.total.requests, result.total.succeeded + failed);
    CHECK_EQUAL(result.total.failed, failed);
    return result;
}

/* The connections that a load opens besides its own: one to see whether somebody is there. */
#define EXTRA_CONNECTIONS 1

TEST(every_framing_is_understood)
{
    static const struct {
        fixture_answer answer;
        unsigned connections; /* opened for 40 requests on 4 connections */
    } vectors[] = {
        {answer_fixed, 4},    {answer_chunked, 4}, {answer_closing, 40}, {answer_until_end, 40},
        {answer_bytewise, 4}, {answer_interim, 4}, {answer_large, 4},    {answer_old, 40},
    };
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        struct fixture *fixture = calloc(1, sizeof *fixture);
        REQUIRE(fixture);
        fixture_start(fixture, vectors[i].answer, 0);
        struct weft_load_result result = load(&(struct weft_load_options){
            .url = fixture->url, .method = "GET", .requests = 40, .connections = 4});
        CHECK_EQUAL(result.total.succeeded, 40);
        CHECK_EQUAL(result.total.status[2], 40);
        CHECK_EQUAL(atomic_load(&fixture->requests), 40);
        CHECK_EQUAL(result.not_started, 0);
        CHECK(strcmp(result.method, "GET") == 0);
        fixture_stop(fixture);
        CHECK_EQUAL(atomic_load(&fixture->connections), vectors[i].connections + EXTRA_CONNECTIONS);
        free(fixture);
    }
}

TEST(answers_without_a_body_leave_the_connection_open)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    REQUIRE(fixture);
    fixture_start(fixture, answer_empty, 0);
    struct weft_load_result result = load(&(struct weft_load_options){
        .url = fixture->url, .method = "GET", .requests = 40, .connections = 2});
    CHECK_EQUAL(result.total.status[2], 20);
    CHECK_EQUAL(result.total.status[3], 20);
    CHECK_EQUAL(result.connects, 2);
    fixture_stop(fixture);
    free(fixture);
}

TEST(latencies_traffic_and_time_add_up)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    REQUIRE(fixture);
    fixture_start(fixture, answer_fixed, 0);
    struct weft_load_result result = load(&(struct weft_load_options){
        .url = fixture->url, .method = "GET", .requests = 100, .connections = 3});
    CHECK_EQUAL(result.bytes_read, 100 * strlen(OK_RESPONSE));
    CHECK(result.bytes_written > 100 * strlen("GET / HTTP/1.1\r\n\r\n"));
    CHECK(0 < result.total.latency.min_ns &&
          result.total.latency.min_ns <= result.total.latency.p50_ns);
    CHECK(result.total.latency.p50_ns <= result.total.latency.p75_ns);
    CHECK(result.total.latency.p75_ns <= result.total.latency.p90_ns);
    CHECK(result.total.latency.p90_ns <= result.total.latency.p95_ns);
    CHECK(result.total.latency.p95_ns <= result.total.latency.p99_ns);
    CHECK(result.total.latency.p99_ns <= result.total.latency.p999_ns);
    CHECK(result.total.latency.p999_ns <= result.total.latency.max_ns);
    CHECK(result.total.latency.min_ns <= result.total.latency.mean_ns);
    CHECK(result.total.latency.mean_ns <= result.total.latency.max_ns);
    CHECK(result.total.latency.max_ns <= result.elapsed_ns);
    double rate = 100.0 * 1e9 / (double)result.elapsed_ns;
    CHECK(result.requests_per_s > rate * 0.999 && result.requests_per_s < rate * 1.001);
    fixture_stop(fixture);
    free(fixture);
}

TEST(a_second_answer_is_not_taken_for_the_next_ones)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    REQUIRE(fixture);
    fixture_start(fixture, answer_twice, 0);
    struct weft_load_result result = load(&(struct weft_load_options){
        .url = fixture->url, .method = "GET", .requests = 10, .connections = 1});
    CHECK_EQUAL(result.total.succeeded, 10);
    CHECK_EQUAL(atomic_load(&fixture->requests), 10);
    fixture_stop(fixture);
    free(fixture);
}

#define NUMBERS 1500

static atomic_uint seen[NUMBERS];

/* Body: "<i>/<i>". */
static bool answer_counting(struct fixture *fixture, int fd, unsigned number, const char *text)
{
    unsigned first, second;
    const char *body = strstr(text, "\r\n\r\n");
    (void)fixture, (void)number;
    if (strncmp(text, "PUT /x?y HTTP/1.1\r\n", 19) == 0 && strstr(text, "text/csv") && body &&
        sscanf(body + 4, "%u/%u", &first, &second) == 2 && first == second && first < NUMBERS)
        atomic_fetch_add(&seen[first], 1);
    return fixture_send(fd, OK_RESPONSE);
}

TEST(every_request_has_its_own_number)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    char url[80];
    REQUIRE(fixture);
    fixture_start(fixture, answer_counting, 0);
    (void)snprintf(url, sizeof url, "%sx?y#part", fixture->url);
    struct weft_load_result result = load(&(struct weft_load_options){.url = url,
                                                                      .method = "PUT",
                                                                      .body = "{i}/{i}",
                                                                      .content_type = "text/csv",
                                                                      .requests = NUMBERS,
                                                                      .connections = 7});
    CHECK_EQUAL(result.total.succeeded, NUMBERS);
    fixture_stop(fixture);
    unsigned once = 0;
    for (int i = 0; i < NUMBERS; i++)
        once += atomic_load(&seen[i]) == 1;
    CHECK_EQUAL(once, NUMBERS);
    free(fixture);
}

static bool answer_post_only(struct fixture *fixture, int fd, unsigned number, const char *text)
{
    (void)fixture, (void)number;
    if (strncmp(text, "POST ", 5) == 0 && strstr(text, "application/json") &&
        strstr(text, "{\"text\": \"load "))
        return fixture_send(fd, OK_RESPONSE);
    return fixture_send(fd, "HTTP/1.1 405 No\r\nAllow: HEAD, POST\r\nContent-Length: 0\r\n\r\n");
}

static bool answer_put_only(struct fixture *fixture, int fd, unsigned number, const char *text)
{
    (void)fixture, (void)number, (void)text;
    return fixture_send(
        fd, "HTTP/1.1 405 No\r\nAllow: XPOST, POSTER, PUT\r\nContent-Length: 0\r\n\r\n");
}

TEST(where_get_is_not_allowed_and_post_is_the_load_is_post)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    REQUIRE(fixture);
    fixture_start(fixture, answer_post_only, 0);
    struct weft_load_options options = {.url = fixture->url, .requests = 20, .connections = 2};
    struct weft_load_result result = load(&options);
    CHECK_EQUAL(result.total.succeeded, 20);
    CHECK_EQUAL(atomic_load(&fixture->requests), 21); /* the probe is not counted */
    CHECK(strcmp(result.method, "POST") == 0);

    options.method = "GET"; /* what is asked for is done */
    result = load(&options);
    CHECK_EQUAL(result.total.status[4], 20);
    CHECK_EQUAL(atomic_load(&fixture->requests), 41);
    fixture_stop(fixture);

    fixture_start(fixture, answer_put_only, 0);
    result =
        load(&(struct weft_load_options){.url = fixture->url, .requests = 3, .connections = 1});
    CHECK_EQUAL(result.total.errors[WEFT_LOAD_STATUS], 3);
    CHECK_EQUAL(result.total.status[4], 3);
    CHECK_EQUAL(result.total.succeeded, 0);
    CHECK_EQUAL(result.total.latency.max_ns, 0);
    CHECK(strcmp(result.method, "GET") == 0);
    fixture_stop(fixture);
    free(fixture);
}

static void pause_ms(long ms)
{
    struct timespec length = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    (void)nanosleep(&length, NULL);
}

/* The first request takes 300 ms. */
static bool answer_stalled(struct fixture *fixture, int fd, unsigned number, const char *text)
{
    (void)fixture, (void)text;
    if (number == 0)
        pause_ms(300);
    return fixture_send(fd, OK_RESPONSE);
}

/* Requests are due every 10 ms until 90 ms; one connection, which the first one holds for 300. In
 * a closed loop nine of ten would look fast. */
TEST(open_loop_latency_counts_from_the_intended_start)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    REQUIRE(fixture);
    fixture_start(fixture, answer_stalled, 0);
    struct weft_load_result result = load(&(struct weft_load_options){
        .url = fixture->url, .method = "GET", .requests = 10, .connections = 1, .rate_per_s = 100});
    CHECK_EQUAL(result.total.succeeded, 10);
    CHECK_EQUAL(result.not_started, 0);
    CHECK(result.total.latency.max_ns >= 300 * WEFT_MSEC);
    CHECK(result.total.latency.min_ns >= 210 * WEFT_MSEC);
    fixture_stop(fixture);
    free(fixture);
}

TEST(closed_loop_latency_counts_from_the_sending)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    REQUIRE(fixture);
    fixture_start(fixture, answer_stalled, 0);
    struct weft_load_result result = load(&(struct weft_load_options){
        .url = fixture->url, .method = "GET", .requests = 10, .connections = 1});
    CHECK(result.total.latency.max_ns >= 300 * WEFT_MSEC);
    CHECK(result.total.latency.p90_ns < result.total.latency.max_ns);
    fixture_stop(fixture);
    free(fixture);
}

/* 20 requests are due within 200 ms, the only connection is busy for 300. */
TEST(what_was_due_and_found_no_connection_is_counted)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    REQUIRE(fixture);
    fixture_start(fixture, answer_stalled, 0);
    struct weft_load_result result =
        load(&(struct weft_load_options){.url = fixture->url,
                                         .method = "GET",
                                         .duration_ns = 200 * WEFT_MSEC,
                                         .connections = 1,
                                         .rate_per_s = 100});
    CHECK_EQUAL(result.total.requests, 1);
    CHECK_EQUAL(result.not_started, 19);
    CHECK(result.elapsed_ns >= 300 * WEFT_MSEC);
    fixture_stop(fixture);
    free(fixture);
}

TEST(an_open_loop_does_not_start_early)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    REQUIRE(fixture);
    fixture_start(fixture, answer_fixed, 0);
    struct weft_load_result result = load(&(struct weft_load_options){
        .url = fixture->url, .method = "GET", .requests = 21, .connections = 4, .rate_per_s = 200});
    CHECK_EQUAL(result.total.succeeded, 21);
    CHECK(result.elapsed_ns >= 100 * WEFT_MSEC);
    fixture_stop(fixture);
    free(fixture);
}

TEST(a_duration_ends_the_load_and_lets_answers_arrive)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    REQUIRE(fixture);
    fixture_start(fixture, answer_stalled, 0);
    struct weft_load_result result = load(&(struct weft_load_options){
        .url = fixture->url, .method = "GET", .duration_ns = 50 * WEFT_MSEC, .connections = 1});
    CHECK_EQUAL(result.total.succeeded, 1);
    CHECK(result.elapsed_ns >= 300 * WEFT_MSEC);
    fixture_stop(fixture);
    free(fixture);
}

struct progress {
    unsigned calls;
    struct weft_load_view view;
    bool falls;
};

static void note_progress(void *context, const struct weft_load_view *view)
{
    struct progress *progress = context;
    progress->calls++;
    progress->falls = progress->falls || view->requests < progress->view.requests ||
                      view->fraction < progress->view.fraction || view->fraction > 1 ||
                      view->elapsed_ns <= progress->view.elapsed_ns || view->requests_per_s < 0;
    progress->view = *view;
}

TEST(progress_is_told_and_never_falls)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    struct progress progress = {0};
    REQUIRE(fixture);
    fixture_start(fixture, answer_fixed, 0);
    struct weft_load_result result =
        load(&(struct weft_load_options){.url = fixture->url,
                                         .method = "GET",
                                         .requests = 41,
                                         .connections = 2,
                                         .rate_per_s = 50,
                                         .progress = note_progress,
                                         .progress_context = &progress});
    CHECK_EQUAL(result.total.succeeded, 41);
    CHECK_EQUAL(result.stopped, 0);
    CHECK(progress.calls >= 1); /* 800 ms: four, on a machine that is not overloaded */
    CHECK(!progress.falls);
    CHECK(progress.view.connected <= 2);
    CHECK(progress.view.step == 1 && progress.view.steps_count == 1);
    CHECK(progress.view.intended_per_s >= 49.9 && progress.view.intended_per_s <= 50.1);
    fixture_stop(fixture);
    free(fixture);
}

static bool answer_and_interrupt(struct fixture *fixture, int fd, unsigned number, const char *text)
{
    (void)fixture, (void)text;
    if (number == 9)
        (void)kill(getpid(), SIGINT);
    return fixture_send(fd, OK_RESPONSE);
}

TEST(a_blocked_interrupt_ends_the_load_with_what_was_measured)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    static const int interrupt = SIGINT;
    REQUIRE(fixture);
    REQUIRE(weft_signal_block(&interrupt, 1) == 0);
    fixture_start(fixture, answer_and_interrupt, 0);
    struct weft_load_result result = load(&(struct weft_load_options){
        .url = fixture->url, .method = "GET", .duration_ns = 100 * WEFT_SEC, .connections = 2});
    CHECK(result.total.succeeded >=
          8); /* at the tenth, the other connection may wait for its ninth */
    CHECK(result.elapsed_ns < 100 * WEFT_SEC);
    CHECK_EQUAL(result.stopped, 1);
    fixture_stop(fixture);
    free(fixture);
}

/* Not the client's mistake: it was idle, and nothing had been sent yet. */
static bool answer_then_hang_up_when_idle(struct fixture *fixture, int fd, unsigned number,
                                          const char *text)
{
    (void)fixture, (void)text, (void)number;
    (void)fixture_send(fd, OK_RESPONSE);
    pause_ms(100);
    return false;
}

TEST(a_connection_closed_while_idle_is_replaced)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    REQUIRE(fixture);
    fixture_start(fixture, answer_then_hang_up_when_idle, 0);
    struct weft_load_result result = load(&(struct weft_load_options){
        .url = fixture->url, .method = "GET", .requests = 2, .connections = 1, .rate_per_s = 0.8});
    CHECK_EQUAL(result.total.succeeded, 2);
    fixture_stop(fixture);
    free(fixture);
}
