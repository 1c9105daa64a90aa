/* SPDX-License-Identifier: MIT
 * engines.c - the three engines, and the two ways of the first, say the same of the same server.
 * On the real clock: threads know no other. */
#include "box.h"
#include "test.h"

#include <weft/runtime.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define WAYS 4

static const struct weft_fetcher_options ways[WAYS] = {
    {.engine = WEFT_FETCH_ASYNC, .concurrency = 4},
    {.engine = WEFT_FETCH_ASYNC, .concurrency = 4, .curl_only = 1},
    {.engine = WEFT_FETCH_THREADED, .concurrency = 4},
    {.engine = WEFT_FETCH_SYNC},
};
static const char *const way_names[WAYS] = {"async", "async by libcurl", "threaded", "sync"};

/* Small delays: the clock is real. */
static struct weft_fetcher_options quick(int way)
{
    struct weft_fetcher_options options = ways[way];
    options.backoff_base_ns = 1;
    options.breaker_off = 1;
    return options;
}

#define THIRTY_THREE "012345678901234567890123456789012"
#define NINETY_NINE  THIRTY_THREE THIRTY_THREE THIRTY_THREE

static const struct {
    const char *method, *list[4];
    int err, status;
    unsigned attempt, requests;
    const char *class, *body;
} cases[] = {
    {"GET", {OK}, 0, 200, 1, 1, NULL, "ok"},
    {"HEAD", {"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"}, 0, 200, 1, 1, NULL, ""},
    {"GET", {"HTTP/1.1 204 No Content\r\n\r\n"}, 0, 204, 1, 1, NULL, ""},
    {"GET",
     {"HTTP/1.1 404 Not Found\r\nContent-Length: 1\r\n\r\nx"},
     0,
     404,
     1,
     1,
     "HTTP 404",
     "x"},
    {"GET",
     {"HTTP/1.1 503 Wait\r\nContent-Length: 0\r\n\r\n",
      "HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n", OK},
     0,
     200,
     3,
     3,
     NULL,
     "ok"},
    {"POST", {"HTTP/1.1 500 Oops\r\nContent-Length: 1\r\n\r\ny"}, 0, 500, 1, 1, "HTTP 500", "y"},
    {"POST", {"HTTP/1.1 429 Slow\r\nContent-Length: 0\r\n\r\n", OK}, 0, 200, 2, 2, NULL, "ok"},
    {"GET", {"", OK}, 0, 200, 2, 2, NULL, "ok"},
    {"POST", {"", OK}, -ECONNRESET, 0, 1, 1, "reset", NULL},
    {"GET",
     {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"},
     0,
     200,
     1,
     1,
     NULL,
     "abc"},
    {"GET",
     {"HTTP/1.1 301 Moved\r\nLocation: /b\r\nContent-Length: 0\r\n\r\n", OK},
     0,
     200,
     1,
     2,
     NULL,
     "ok"},
    {"POST",
     {"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nConnection: close\r\n\r\nhalf"},
     -ECONNRESET,
     0,
     1,
     1,
     "reset",
     NULL},
    {"GET",
     {"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n" NINETY_NINE},
     -EMSGSIZE,
     0,
     1,
     1,
     "too-large",
     NULL},
};

static void try_case(int way, size_t number)
{
    struct origin origin;
    struct weft_fetch_answer answer = {0};
    struct weft_fetcher_options options = quick(way);
    options.response_bytes_max = 98;
    origin_open(&origin, origin_say_list);
    origin.arg = (void *)(uintptr_t)cases[number].list;
    struct weft_fetcher *fetcher = open_fetcher(&options);
    const struct weft_fetch_request request = {.url = origin_url(origin.port, "/a"),
                                               .method = cases[number].method};
    int err = weft_fetcher_get(fetcher, &request, &answer, weft_now() + PATIENCE);
    bool same = err == cases[number].err && answer.result.status_code == cases[number].status &&
                answer.result.attempt == cases[number].attempt &&
                origin.requests == cases[number].requests;
    if (!same)
        test_note("%s, case %zu: err %d (%s), status %d, attempt %u, requests %u", way_names[way],
                  number, err, answer.result.error ? answer.result.error : "",
                  answer.result.status_code, answer.result.attempt, origin.requests);
    CHECK(same);
    CHECK(is_class(&answer, cases[number].class));
    CHECK(!cases[number].body || body_is(&answer.response, cases[number].body));
    CHECK(err != 0 || answer.result.latency_ns > 0);
    CHECK(answer.result.total_ns >= answer.result.latency_ns);
    weft_fetch_answer_release(&answer);
    weft_fetcher_close(fetcher);
    origin_close(&origin);
}

REAL_TIME_FIBER_TEST(engines_agree_on_results)
{
    for (int way = 0; way < WAYS; way++) {
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
            try_case(way, i);
    }
}

REAL_TIME_FIBER_TEST(engines_send_the_same_request)
{
    const struct weft_http_field fields[] = {{"X-A", "1"}, {"X-Empty", ""}};
    for (int way = 0; way < WAYS; way++) {
        struct origin origin;
        struct weft_fetch_answer answer = {0};
        const struct weft_fetcher_options options = quick(way);
        origin_open(&origin, origin_reflect);
        struct weft_fetcher *fetcher = open_fetcher(&options);
        const struct weft_fetch_request request = {.url = origin_url(origin.port, "/p?q#f"),
                                                   .method = "PATCH",
                                                   .fields = fields,
                                                   .fields_count = 2,
                                                   .body = "body",
                                                   .body_len = 4};
        CHECK_EQUAL(weft_fetcher_get(fetcher, &request, &answer, weft_now() + PATIENCE), 0);
        CHECK(strncmp(origin.last, "PATCH /p?q HTTP/1.1\r\n", 21) == 0);
        CHECK(strstr(origin.last, "\r\nX-A: 1\r\n") && strstr(origin.last, "\r\nX-Empty:"));
        CHECK(strstr(origin.last, "\r\nContent-Length: 4\r\n"));
        CHECK(strstr(origin.last, "\r\nUser-Agent: weft/") && strstr(origin.last, "Accept: */*"));
        CHECK(!strcasestr(origin.last, "Content-Type"));
        CHECK(!strcasestr(origin.last, "Accept-Encoding"));
        CHECK(strcmp(origin.last + strlen(origin.last) - 8, "\r\n\r\nbody") == 0);
        weft_fetch_answer_release(&answer);
        weft_fetcher_close(fetcher);
        origin_close(&origin);
    }
}

/* As servers do: who says that it will close is closed. */
static void close_if_told(struct origin *origin, int fd)
{
    while (origin_read(origin, fd)) {
        bool last = strstr(origin->last, "Connection: close");
        origin_say(fd, OK);
        if (last)
            return;
    }
}

REAL_TIME_FIBER_TEST(engines_pool_alike)
{
    for (int way = 0; way < WAYS; way++) {
        for (int naive = 0; naive < 2; naive++) {
            struct origin origin;
            struct weft_fetcher_options options = quick(way);
            options.pooling = naive ? WEFT_FETCH_NAIVE : WEFT_FETCH_OPTIMIZED;
            origin_open(&origin, close_if_told);
            struct weft_fetcher *fetcher = open_fetcher(&options);
            for (int i = 0; i < 4; i++)
                CHECK_EQUAL(fetch_status(fetcher, NULL, origin_url(origin.port, "/")), 200);
            CHECK_EQUAL(origin.accepted, naive ? 4 : 1);
            CHECK_EQUAL(counts_of(fetcher).connections, naive ? 4 : 1);
            weft_fetcher_close(fetcher);
            origin_close(&origin);
        }
    }
}

struct side {
    struct weft_fetcher *fetcher;
    const char *url;
    int result;
};

static int fetch_beside(void *arg)
{
    struct side *side = arg;
    side->result = fetch_status(side->fetcher, NULL, side->url);
    return 0;
}

REAL_TIME_FIBER_TEST(an_exchange_that_is_cancelled_ends_at_once_whatever_the_engine)
{
    for (int way = 0; way < WAYS; way++) {
        struct origin origin;
        struct weft_group group;
        const struct weft_fetcher_options options = quick(way);
        origin_open(&origin, origin_keep_silent);
        struct side side = {.fetcher = open_fetcher(&options), .url = origin_url(origin.port, "/")};
        REQUIRE(weft_group_init(&group, NULL) == 0);
        CHECK_EQUAL(weft_spawn(&group, fetch_beside, &side), 0);
        while (origin.requests == 0)
            CHECK_EQUAL(weft_sleep(WEFT_MSEC), 0);
        weft_group_cancel(&group, 0);
        (void)weft_group_wait(&group); /* and not after the 30 s of an attempt */
        CHECK_EQUAL(side.result, -ECANCELED);
        /* It can be used again. */
        origin.serve = origin_reflect;
        CHECK_EQUAL(fetch_status(side.fetcher, NULL, side.url), 200);
        weft_fetcher_close(side.fetcher);
        origin_close(&origin);
    }
}

static void take_their_time(struct origin *origin, int fd)
{
    while (origin_read(origin, fd)) {
        if (weft_sleep(20 * WEFT_MSEC) < 0)
            return;
        origin_say(fd, OK);
    }
}

/* As many at once as were asked for, and no more. */
REAL_TIME_FIBER_TEST(engines_make_as_many_exchanges_at_once_as_they_may)
{
    static const unsigned most[WAYS] = {4, 4, 4, 1};
    for (int way = 0; way < WAYS; way++) {
        struct origin origin;
        struct weft_group group;
        struct side sides[8];
        const struct weft_fetcher_options options = quick(way);
        origin_open(&origin, take_their_time);
        struct weft_fetcher *fetcher = open_fetcher(&options);
        REQUIRE(weft_group_init(&group, NULL) == 0);
        for (int i = 0; i < 8; i++) {
            sides[i] = (struct side){.fetcher = fetcher, .url = origin_url(origin.port, "/")};
            CHECK_EQUAL(weft_spawn(&group, fetch_beside, &sides[i]), 0);
        }
        CHECK_EQUAL(weft_group_wait(&group), 0);
        for (int i = 0; i < 8; i++)
            CHECK_EQUAL(sides[i].result, 200);
        CHECK(origin.most <= most[way]);
        CHECK_EQUAL(origin.requests, 8);
        weft_fetcher_close(fetcher);
        origin_close(&origin);
    }
}

TEST(options_that_cannot_be_are_refused)
{
    struct weft_fetcher *fetcher;
    CHECK_EQUAL(weft_fetcher_open(&fetcher, NULL), -EPERM); /* outside a runtime */
    CHECK(strcmp(weft_fetch_engine_name(WEFT_FETCH_THREADED), "threaded") == 0);
    CHECK(strcmp(weft_fetch_engine_name((enum weft_fetch_engine)77), "none") == 0);
    weft_fetcher_close(NULL);
}

FIBER_TEST(wrong_options_are_refused)
{
    static const struct weft_fetcher_options wrong[] = {
        {.engine = WEFT_FETCH_ENGINES},
        {.concurrency = 10001},
        {.engine = WEFT_FETCH_THREADED, .concurrency = 1001},
        {.rate_per_s = -1},
        {.host_rate_per_s = 1e9},
        {.attempt_timeout_ns = -1},
        {.connect_timeout_ns = 301 * WEFT_SEC},
        {.breaker_rate = 2},
        {.proxy = "http://127.0.0.1:1", .refuse_private = 1},
        {.hosts_max = 2000000},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct weft_fetcher *fetcher;
        CHECK_EQUAL(weft_fetcher_open(&fetcher, &wrong[i]), -EINVAL);
    }
}
