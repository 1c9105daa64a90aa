/* SPDX-License-Identifier: MIT
 * load_errors.c - weft_load against servers that fail, and options that are wrong. */
#include <weft/load.h>

#include "fixture.h"
#include "test.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define OK_RESPONSE "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

/* Load with 12 requests on 3 connections. */
static struct weft_load_result load_of_12(fixture_answer answer, unsigned accepts_max)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    struct weft_load_result result = {0};
    char error[256] = "";
    REQUIRE(fixture);
    fixture_start(fixture, answer, accepts_max);
    CHECK_EQUAL(weft_load(&(struct weft_load_options){.url = fixture->url,
                                                      .method = "GET",
                                                      .requests = 12,
                                                      .connections = 3,
                                                      .timeout_ns = 20 * WEFT_SEC},
                          &result, error, sizeof error),
                0);
    if (error[0])
        test_note("%s", error);
    CHECK_EQUAL(result.total.requests, 12);
    fixture_stop(fixture);
    free(fixture);
    struct weft_load_result whole = result;
    weft_load_result_release(&whole);
    return result; /* what needs no release */
}

static bool answer_every_third(struct fixture *fixture, int fd, unsigned number, const char *text)
{
    static const char *const answers[] = {OK_RESPONSE,
                                          "HTTP/1.1 503 Full\r\nContent-Length: 4\r\n\r\nfull",
                                          "HTTP/1.1 301 There\r\nContent-Length: 0\r\n\r\n"};
    (void)fixture, (void)text;
    return fixture_send(fd, answers[number % 3]);
}

TEST(statuses_are_counted_by_class)
{
    struct weft_load_result result = load_of_12(answer_every_third, 0);
    CHECK_EQUAL(result.total.status[2], 4);
    CHECK_EQUAL(result.total.status[3], 4);
    CHECK_EQUAL(result.total.status[5], 4);
    CHECK_EQUAL(result.total.errors[WEFT_LOAD_STATUS], 4);
    CHECK_EQUAL(result.total.succeeded, 8);
}

static bool answer_strange_status(struct fixture *fixture, int fd, unsigned number,
                                  const char *text)
{
    (void)fixture, (void)number, (void)text;
    return fixture_send(fd, "HTTP/1.1 999 What\r\nContent-Length: 0\r\n\r\n");
}

TEST(a_status_that_is_none_is_a_protocol_error)
{
    struct weft_load_result result = load_of_12(answer_strange_status, 0);
    CHECK_EQUAL(result.total.status[0], 12);
    CHECK_EQUAL(result.total.errors[WEFT_LOAD_PROTOCOL], 12);
}

static bool answer_garbage(struct fixture *fixture, int fd, unsigned number, const char *text)
{
    (void)fixture, (void)text;
    return fixture_send(fd, number % 2 ? "SSH-2.0-OpenSSH\r\n\r\n" : OK_RESPONSE);
}

TEST(garbage_is_a_protocol_error)
{
    struct weft_load_result result = load_of_12(answer_garbage, 0);
    CHECK_EQUAL(result.total.errors[WEFT_LOAD_PROTOCOL], 6);
    CHECK_EQUAL(result.total.status[0], 6);
    CHECK_EQUAL(result.total.succeeded, 6);
}

static bool answer_reset(struct fixture *fixture, int fd, unsigned number, const char *text)
{
    (void)fixture, (void)text;
    switch (number % 4) {
    case 0:
        fixture_reset(fd); /* before the answer */
        return false;
    case 1:
        return false; /* an orderly end, but no answer */
    case 2:
        (void)fixture_send(fd, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\ncut");
        return false;
    default:
        return fixture_send(fd, OK_RESPONSE);
    }
}

TEST(connections_that_end_in_an_exchange_are_resets)
{
    struct weft_load_result result = load_of_12(answer_reset, 0);
    CHECK_EQUAL(result.total.errors[WEFT_LOAD_RESET], 9);
    CHECK_EQUAL(result.total.succeeded, 3);
    CHECK_EQUAL(result.total.status[2], 3);
}

/* Hang up, but not before nobody listens any more. */
static bool answer_and_leave(struct fixture *fixture, int fd, unsigned number, const char *text)
{
    struct timespec length = {.tv_nsec = 1000000};
    (void)number, (void)text;
    while (atomic_load(&fixture->connections) < fixture->accepts_max)
        (void)nanosleep(&length, NULL);
    (void)fixture_send(fd, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    return false;
}

TEST(a_server_that_goes_away_gives_connect_errors)
{
    /* The one to see whether it is there, and one per connection. */
    struct weft_load_result result = load_of_12(answer_and_leave, 4);
    CHECK_EQUAL(result.total.succeeded, 3);
    CHECK_EQUAL(result.total.errors[WEFT_LOAD_CONNECT], 9);
}

static bool answer_never(struct fixture *fixture, int fd, unsigned number, const char *text)
{
    (void)fixture, (void)fd, (void)number, (void)text;
    return true;
}

TEST(silence_is_a_timeout)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    struct weft_load_result result = {0};
    char error[256];
    REQUIRE(fixture);
    fixture_start(fixture, answer_never, 0);
    CHECK_EQUAL(weft_load(&(struct weft_load_options){.url = fixture->url,
                                                      .method = "GET",
                                                      .requests = 6,
                                                      .connections = 3,
                                                      .timeout_ns = 30 * WEFT_MSEC},
                          &result, error, sizeof error),
                0);
    CHECK_EQUAL(result.total.errors[WEFT_LOAD_TIMEOUT], 6);
    CHECK_EQUAL(result.total.succeeded, 0);
    CHECK(result.elapsed_ns >= 60 * WEFT_MSEC);
    weft_load_result_release(&result);
    fixture_stop(fixture);
    free(fixture);
}

/* A body that never ends, so that there is always something to read. */
static bool answer_endlessly(struct fixture *fixture, int fd, unsigned number, const char *text)
{
    char piece[4096];
    (void)number, (void)text;
    memset(piece, 'x', sizeof piece - 1);
    piece[sizeof piece - 1] = '\0';
    bool sent = fixture_send(fd, "HTTP/1.1 200 OK\r\n\r\n");
    while (sent && !atomic_load(&fixture->stopping))
        sent = fixture_send(fd, piece);
    return false;
}

TEST(the_timeout_holds_while_bytes_keep_coming)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    struct weft_load_result result = {0};
    char error[256];
    REQUIRE(fixture);
    fixture_start(fixture, answer_endlessly, 0);
    CHECK_EQUAL(weft_load(&(struct weft_load_options){.url = fixture->url,
                                                      .method = "GET",
                                                      .requests = 2,
                                                      .connections = 1,
                                                      .timeout_ns = 100 * WEFT_MSEC},
                          &result, error, sizeof error),
                0);
    CHECK_EQUAL(result.total.errors[WEFT_LOAD_TIMEOUT], 2);
    CHECK(result.elapsed_ns >= 200 * WEFT_MSEC);
    CHECK(result.elapsed_ns < 2 * WEFT_SEC);
    weft_load_result_release(&result);
    fixture_stop(fixture);
    free(fixture);
}

static bool answer_with_endless_head(struct fixture *fixture, int fd, unsigned number,
                                     const char *text)
{
    (void)text;
    bool sent = fixture_send(fd, "HTTP/1.1 200 OK\r\n");
    while (sent && !atomic_load(&fixture->stopping))
        sent = fixture_send(fd, number % 2 ? "X: y\r\n" : "xxxxxxxxxxxxxxxx");
    return false;
}

TEST(a_head_without_end_is_a_protocol_error)
{
    struct weft_load_result result = load_of_12(answer_with_endless_head, 0);
    CHECK_EQUAL(result.total.errors[WEFT_LOAD_PROTOCOL], 12);
    CHECK(result.bytes_read < 12 * 2 * 65536);
}

TEST(nobody_listening_is_a_failure_with_a_sentence)
{
    char url[64], error[256] = "";
    struct weft_load_result result = {.resent = 77};
    (void)snprintf(url, sizeof url, "http://127.0.0.1:%u/", fixture_free_port());
    CHECK_EQUAL(weft_load(&(struct weft_load_options){.url = url, .requests = 1}, &result, error,
                          sizeof error),
                -ECONNREFUSED);
    CHECK(strstr(error, "cannot connect to 127.0.0.1 port"));
    CHECK(strstr(error, "refused"));
    CHECK_EQUAL(result.resent, 77);
}

TEST(wrong_options_are_refused_with_a_sentence)
{
    static const char url[] = "http://127.0.0.1:1/";
    static const char *const no_colon[] = {"nothing"};
    static const char *const two_lines[] = {"A: b\r\nC: d"};
    static const char *const length[] = {"content-length: 5"};
    static const struct weft_load_step step = {1, 2, WEFT_SEC}, endless = {1, 2, 0};
    static const struct weft_load_step negative = {-1, 2, WEFT_SEC}, none = {0, 0, WEFT_SEC};
    static const struct {
        struct weft_load_options options;
        const char *sentence;
    } vectors[] = {
        {{.url = NULL}, "URL is missing"},
        {{.url = "https://h/"}, "https is not supported"},
        {{.url = url, .method = "G T"}, "not a method"},
        {{.url = url, .method = ""}, "not a method"},
        {{.url = url, .method = "ABCDEFGHIJKLMNOP"}, "not a method"},
        {{.url = url, .content_type = "a\r\nb"}, "line feed"},
        {{.url = url, .connections = 10001}, "10000"},
        {{.url = url, .rate_per_s = -1}, "rate"},
        {{.url = url, .rate_per_s = (double)NAN}, "rate"},
        {{.url = url, .rate_per_s = (double)INFINITY}, "rate"},
        {{.url = url, .duration_ns = -1}, "negative"},
        {{.url = url, .timeout_ns = -1}, "negative"},
        {{.url = url, .io = "kqueue"}, "runtime"},
        {{.url = url, .url_file = "x"}, "besides the file"},
        {{.url = url, .headers = no_colon, .headers_count = 1}, "'nothing' is not a header"},
        {{.url = url, .headers = two_lines, .headers_count = 1}, "line feed"},
        {{.url = url, .headers = length, .headers_count = 1}, "length of the body"},
        {{.url = url, .headers = no_colon, .headers_count = 65}, "more than 64 headers"},
        {{.url = url, .pipeline = 1025}, "1024"},
        {{.url = url, .workers = 257}, "256"},
        {{.url = url, .warmup_ns = -1}, "negative"},
        {{.url = url, .rate_per_s = 1, .steps = &step, .steps_count = 1}, "besides the steps"},
        {{.url = url, .steps = &step, .steps_count = 1, .duration_ns = 1}, "no duration"},
        {{.url = url, .steps = &endless, .steps_count = 1}, "needs its length"},
        {{.url = url, .steps = &negative, .steps_count = 1}, "not between"},
        {{.url = url, .steps = &none, .steps_count = 1}, "below 0.001"},
    };
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        struct weft_load_result result;
        char error[256] = "";
        CHECK_EQUAL(weft_load(&vectors[i].options, &result, error, sizeof error), -EINVAL);
        CHECK(strstr(error, vectors[i].sentence));
        CHECK_EQUAL(weft_load(&vectors[i].options, &result, NULL, 0), -EINVAL);
    }
}

/* In a process of its own: a hard limit cannot always be raised again. */
static int load_with_few_files(const char *url)
{
    struct weft_load_result result;
    struct rlimit limit = {.rlim_cur = 20, .rlim_max = 100};
    char error[256] = "";
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
        return 77;
    int err = weft_load(&(struct weft_load_options){.url = url, .connections = 200}, &result, error,
                        sizeof error);
    if (err != -EMFILE || !strstr(error, "open files"))
        return 1;
    /* 30 connections need the soft limit raised, which is allowed: then nobody is there. */
    err = weft_load(&(struct weft_load_options){.url = url, .connections = 30}, &result, error,
                    sizeof error);
    if (err != -ECONNREFUSED || getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return 2;
    return limit.rlim_cur == 100 ? 0 : 3;
}

TEST(too_few_descriptors_are_told_before_the_load)
{
    char url[64];
    int status = 0;
    (void)snprintf(url, sizeof url, "http://127.0.0.1:%u/", fixture_free_port());
    pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0)
        _exit(load_with_few_files(url));
    REQUIRE(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status));
    if (WEXITSTATUS(status) == 77)
        test_skip("the limit of open files cannot be lowered here");
    else
        CHECK_EQUAL(WEXITSTATUS(status), 0);
}
