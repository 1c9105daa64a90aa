/* SPDX-License-Identifier: MIT
 * mock_program.c - a mock on threads of its own, with one worker and with several. */
#include "test.h"

#include <weft/load.h>
#include <weft/mock.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

static struct weft_mock *start(unsigned workers)
{
    struct weft_mock *mock = NULL;
    char error[256] = "";
    const struct weft_mock_options options = {.listen = "127.0.0.1:0", .workers = workers};
    int err = weft_mock_start(&mock, &options, error, sizeof error);
    if (err)
        test_note("%s", error);
    REQUIRE(err == 0);
    return mock;
}

static struct weft_load_counts load(const struct weft_mock *mock, const char *target,
                                    unsigned connections, uint64_t requests)
{
    struct weft_load_result result = {0};
    char url[128], error[256] = "";
    (void)snprintf(url, sizeof url, "%s%s", weft_mock_url(mock), target);
    const struct weft_load_options options = {
        .url = url,
        .method = "GET",
        .connections = connections,
        .requests = requests,
    };
    int err = weft_load(&options, &result, error, sizeof error);
    if (err)
        test_note("%s", error);
    CHECK_EQUAL(err, 0);
    struct weft_load_counts counts = result.total;
    weft_load_result_release(&result);
    return counts;
}

static void count_what_is_sent(unsigned workers)
{
    struct weft_mock *mock = start(workers);
    struct weft_mock_stats stats;
    struct weft_load_counts result = load(mock, "/get", 8, 2000);
    CHECK_EQUAL(result.succeeded, 2000);
    result = load(mock, "/get?error_rate=0.5", 8, 1000);
    CHECK_EQUAL(result.succeeded + result.errors[WEFT_LOAD_STATUS], 1000);
    CHECK_EQUAL(weft_mock_requests(mock, "/get"), 3000);
    CHECK_EQUAL(weft_mock_answers(mock, "/get", 200), 2000 + result.succeeded);
    CHECK_EQUAL(weft_mock_answers(mock, "/get", 500), result.errors[WEFT_LOAD_STATUS]);
    weft_mock_stats(mock, &stats);
    CHECK_EQUAL(stats.requests, 3000);
    CHECK_EQUAL(stats.unrouted, 0);
    CHECK(stats.connections >= 16 && stats.connections <= 18);
    weft_mock_reset(mock);
    CHECK_EQUAL(weft_mock_requests(mock, "/get"), 0);
    result = load(mock, "/limited?limit=10&window=1h", 4, 100);
    CHECK_EQUAL(result.succeeded, 10);
    weft_mock_stop(mock);
}

TEST(a_mock_beside_the_caller_counts_what_is_sent_to_it)
{
    count_what_is_sent(1);
}

TEST(several_workers_count_together)
{
    count_what_is_sent(3);
}

TEST(a_mock_can_be_stopped_with_requests_under_way)
{
    struct weft_mock *mock = start(2);
    CHECK(weft_mock_port(mock) != 0);
    weft_mock_stop(mock);
    mock = start(1);
    weft_mock_drain(mock);
    weft_mock_stop(mock);
}

TEST(why_it_does_not_start_is_said)
{
    struct weft_mock *mock = start(2), *other = NULL;
    char error[256] = "";
    struct weft_mock_options options = {.listen = strstr(weft_mock_url(mock), "127")};
    for (options.workers = 1; options.workers <= 2; options.workers++)
        CHECK_EQUAL(weft_mock_start(&other, &options, error, sizeof error), -EADDRINUSE);
    CHECK(strstr(error, "cannot listen on 127.0.0.1") != NULL);
    options.listen = "127.0.0.1:0";
    options.latency = "never";
    CHECK_EQUAL(weft_mock_start(&other, &options, error, sizeof error), -EINVAL);
    CHECK(strstr(error, "the latency \"never\"") != NULL);
    options.latency = NULL;
    options.io = "abacus";
    CHECK_EQUAL(weft_mock_start(&other, &options, error, sizeof error), -EINVAL);
    CHECK(strstr(error, "cannot start: ") != NULL);
    CHECK(other == NULL);
    weft_mock_stop(mock);
}

/* A fiber may start one as well: it blocks for a moment, and no more. */
REAL_TIME_FIBER_TEST(a_fiber_can_have_a_mock_on_other_threads)
{
    struct weft_mock *mock = start(2);
    CHECK(strncmp(weft_mock_url(mock), "http://127.0.0.1:", 17) == 0);
    weft_mock_stop(mock);
}
