/* SPDX-License-Identifier: MIT
 * fetcher.c - one fetcher and its rules, against a server that says what it is told to, on a clock
 * that jumps: a pause of five minutes is over at once, and counted to the nanosecond. */
#include "box.h"
#include "test.h"

#include <weft/io.h>
#include <weft/net.h>
#include <weft/runtime.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define UNAVAILABLE "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n"
#define TOO_MANY    "HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\n"

/* Fetch from an origin that answers by a list. Returns what weft_fetcher_get does. */
static int fetch_list(struct origin *origin, const char *const *list,
                      const struct weft_fetcher_options *options,
                      const struct weft_fetch_request *like, struct weft_fetch_answer *answer)
{
    struct weft_fetch_request request = *like;
    origin_open(origin, origin_say_list);
    origin->arg = (void *)(uintptr_t)list;
    struct weft_fetcher *fetcher = open_fetcher(options);
    request.url = origin_url(origin->port, request.url ? request.url : "/");
    int err = weft_fetcher_get(fetcher, &request, answer, WEFT_FOREVER);
    weft_fetcher_close(fetcher);
    origin_close(origin);
    return err;
}

static const struct weft_fetch_request plain;

/* ---- an answer ---------------------------------------------------------------------------- */

FIBER_TEST(an_answer_has_its_status_its_fields_and_its_body)
{
    static const char *const list[] = {"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nX-A: 1 \r\n"
                                       "X-Empty:\r\nContent-Length: 5\r\n\r\nhello",
                                       NULL};
    struct origin origin;
    struct weft_fetch_answer answer = {0};
    CHECK_EQUAL(fetch_list(&origin, list, NULL, &plain, &answer), 0);
    CHECK_EQUAL(answer.result.status_code, 200);
    CHECK_EQUAL(answer.result.http_version, 11);
    CHECK_EQUAL(answer.result.attempt, 1);
    CHECK_EQUAL(answer.result.body_len, 5);
    CHECK_EQUAL(answer.result.body_bytes, 5);
    CHECK(answer.result.body && strcmp(answer.result.body, "hello") == 0);
    CHECK(answer.result.error == NULL && answer.result.error_class == NULL);
    CHECK(answer.result.final_url == NULL);
    CHECK(answer.result.content_type && strcmp(answer.result.content_type, "text/plain") == 0);
    CHECK(field_is(&answer.response, "x-a", "1"));
    CHECK(field_is(&answer.response, "X-Empty", ""));
    CHECK(weft_http_response_field(&answer.response, "X-B") == NULL);
    CHECK_EQUAL(answer.result.connections, 1);
    CHECK(answer.result.timestamp_us > INT64_C(1700000000000000));
    weft_fetch_answer_release(&answer);
}

FIBER_TEST(what_is_sent_is_what_was_asked_for)
{
    struct origin origin;
    struct weft_fetch_answer answer = {0};
    const struct weft_http_field fields[] = {{"X-A", "1"}, {"Host", "other"}, {"Accept", "a/b"}};
    origin_open(&origin, origin_reflect);
    struct weft_fetcher *fetcher = open_fetcher(NULL);
    const struct weft_fetch_request request = {
        .url = origin_url(origin.port, "/path?query#fragment"),
        .method = "PUT",
        .fields = fields,
        .fields_count = 3,
        .body = "body",
        .body_len = 4,
        .tag = "tag",
    };
    CHECK_EQUAL(weft_fetcher_get(fetcher, &request, &answer, WEFT_FOREVER), 0);
    const char *sent = answer.result.body ? answer.result.body : "";
    CHECK(strncmp(sent, "PUT /path?query HTTP/1.1\r\n", 26) == 0);
    CHECK(strstr(sent, "\r\nHost: other\r\n") && strstr(sent, "\r\nAccept: a/b\r\n"));
    CHECK(strstr(sent, "\r\nX-A: 1\r\n") && strstr(sent, "\r\nContent-Length: 4\r\n"));
    CHECK(strstr(sent, "\r\nUser-Agent: weft/"));
    CHECK(strcmp(sent + strlen(sent) - 8, "\r\n\r\nbody") == 0);
    CHECK(strcmp(answer.result.tag, "tag") == 0 && strcmp(answer.result.method, "PUT") == 0);
    CHECK_EQUAL(fetch_status(fetcher, "POST", origin_url(origin.port, "/")), 200);
    CHECK(strstr(origin.last, "\r\nContent-Length: 0\r\n"));
    weft_fetch_answer_release(&answer);
    weft_fetcher_close(fetcher);
    origin_close(&origin);
}

FIBER_TEST(what_cannot_be_sent_is_refused_before_anything_is)
{
    static const struct weft_http_field bad[][1] = {
        {{"X A", "1"}}, {{"X", "1\r\nY: 2"}}, {{"", "1"}}, {{"Content-Length", "1"}}, {{"X", NULL}},
    };
    struct weft_fetch_answer answer = {0};
    struct weft_fetcher *fetcher = open_fetcher(NULL);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        const struct weft_fetch_request request = {
            .url = "http://127.0.0.1:1/", .fields = bad[i], .fields_count = 1};
        CHECK_EQUAL(weft_fetcher_get(fetcher, &request, &answer, WEFT_FOREVER), -EINVAL);
        CHECK(is_class(&answer, "invalid"));
    }
    CHECK_EQUAL(fetch_status(fetcher, "G T", "http://127.0.0.1:1/"), -EINVAL);
    CHECK_EQUAL(fetch_status(fetcher, "CONNECT", "http://127.0.0.1:1/"), -EINVAL);
    CHECK_EQUAL(fetch_status(fetcher, NULL, "file:///etc/passwd"), -EINVAL);
    CHECK_EQUAL(fetch_status(fetcher, NULL, "http://a b/"), -EINVAL);
    CHECK_EQUAL(fetch_status(fetcher, NULL, NULL), -EINVAL);
    CHECK_EQUAL(counts_of(fetcher).exchanges, 0);
    weft_fetch_answer_release(&answer);
    weft_fetcher_close(fetcher);
}

FIBER_TEST(an_error_status_keeps_its_status_and_has_a_class)
{
    static const char *const list[] = {"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\ngone",
                                       NULL};
    struct origin origin;
    struct weft_fetch_answer answer = {0};
    CHECK_EQUAL(fetch_list(&origin, list, NULL, &plain, &answer), 0);
    CHECK_EQUAL(answer.result.status_code, 404);
    CHECK(is_class(&answer, "HTTP 404"));
    CHECK(answer.result.body && strcmp(answer.result.body, "gone") == 0);
    weft_fetch_answer_release(&answer);
}

/* The end of a response is found however it is marked. */
FIBER_TEST(bodies_end_where_they_should)
{
    static const struct {
        const char *method, *reply, *body;
    } cases[] = {
        {"GET",
         "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
         "abcde"},
        {"GET",
         "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX-T: 1\r\n\r\n", "a"},
        {"GET", "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nuntil the end", "until the end"},
        {"GET", "HTTP/1.0 200 OK\r\nConnection: close\r\n\r\nold", "old"},
        {"GET", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx", "x"},
        {"GET", "HTTP/1.1 103 Early\r\nX-E: 1\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\ny",
         "y"},
        {"HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", ""},
        {"GET", "HTTP/1.1 204 No Content\r\n\r\n", ""},
        {"GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n", ""},
        {"GET", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct origin origin;
        struct weft_fetch_answer answer = {0};
        const struct weft_fetch_request request = {.method = cases[i].method};
        const char *const list[] = {cases[i].reply, NULL};
        CHECK_EQUAL(fetch_list(&origin, list, NULL, &request, &answer), 0);
        CHECK(body_is(&answer.response, cases[i].body));
        CHECK(weft_http_response_field(&answer.response, "X-E") == NULL);
        CHECK(weft_http_response_field(&answer.response, "X-T") == NULL);
        weft_fetch_answer_release(&answer);
    }
}

/* A response in pieces of one byte each is the same response. */
static void say_slowly(struct origin *origin, int fd)
{
    static const char reply[] =
        "HTTP/1.1 200 OK\r\nX-Long: a b c \r\nTransfer-Encoding: chunked\r\n"
        "\r\n3\r\nabc\r\n0\r\n\r\n";
    while (origin_read(origin, fd)) {
        for (size_t i = 0; i + 1 < sizeof reply; i++) {
            if (weft_write_all(fd, &reply[i], 1, WEFT_FOREVER, NULL) < 0 ||
                weft_sleep(WEFT_MSEC) < 0)
                return;
        }
    }
}

FIBER_TEST(a_response_that_comes_byte_by_byte_is_put_together)
{
    struct origin origin;
    struct weft_fetch_answer answer = {0};
    origin_open(&origin, say_slowly);
    struct weft_fetcher *fetcher = open_fetcher(NULL);
    for (int i = 0; i < 2; i++) {
        CHECK_EQUAL(fetch(fetcher, origin_url(origin.port, "/"), &answer), 0);
        CHECK(body_is(&answer.response, "abc"));
        CHECK(field_is(&answer.response, "x-long", "a b c"));
        CHECK(answer.result.times.first_byte_ns < answer.result.latency_ns);
    }
    CHECK_EQUAL(origin.accepted, 1);
    weft_fetch_answer_release(&answer);
    weft_fetcher_close(fetcher);
    origin_close(&origin);
}

FIBER_TEST(what_is_no_answer_is_an_error_with_a_class)
{
    static const struct {
        const char *reply, *class;
        int err;
    } cases[] = {
        {"HTTP/1.1 200 OK\r\nContent-Length: 10\r\nConnection: close\r\n\r\nhalf", "reset",
         -ECONNRESET},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n5\r\nab",
         "reset", -ECONNRESET},
        {"", "reset", -ECONNRESET},
        {"!", "reset", -ECONNRESET},
        {"~", "timeout", -ETIMEDOUT},
        {"SSH-2.0-OpenSSH\r\n", "protocol", -EPROTO},
        {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n", "protocol", -EPROTO},
        {"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n", "too-large", -EMSGSIZE},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct origin origin;
        struct weft_fetch_answer answer = {0};
        const char *const list[] = {cases[i].reply, NULL};
        const struct weft_fetcher_options options = {.attempts_max = 1, .response_bytes_max = 4999};
        CHECK_EQUAL(fetch_list(&origin, list, &options, &plain, &answer), cases[i].err);
        CHECK(is_class(&answer, cases[i].class));
        CHECK(answer.result.error && *answer.result.error);
        CHECK_EQUAL(answer.result.status_code, 0);
        CHECK_EQUAL(origin.requests, 1);
        weft_fetch_answer_release(&answer);
    }
}

FIBER_TEST(a_body_that_is_not_wanted_is_counted_and_not_kept)
{
    struct origin origin;
    struct weft_fetch_answer answer = {0};
    static char reply[300000];
    int head = snprintf(reply, sizeof reply, "HTTP/1.1 200 OK\r\nContent-Length: 250000\r\n\r\n");
    memset(reply + head, 'x', 250000);
    const char *const list[] = {reply, NULL};
    const struct weft_fetch_request request = {.without_body = 1};
    CHECK_EQUAL(fetch_list(&origin, list, NULL, &request, &answer), 0);
    CHECK(answer.result.body == NULL);
    CHECK_EQUAL(answer.result.body_bytes, 250000);
    CHECK(answer.storage_bytes < 200000);
    weft_fetch_answer_release(&answer);
}

/* ---- connections -------------------------------------------------------------------------- */

FIBER_TEST(connections_are_used_again_or_not_as_asked)
{
    for (int pooling = WEFT_FETCH_OPTIMIZED; pooling <= WEFT_FETCH_NAIVE; pooling++) {
        struct origin origin;
        origin_open(&origin, origin_reflect);
        struct weft_fetcher *fetcher = open_fetcher(
            &(struct weft_fetcher_options){.pooling = (enum weft_fetch_pooling)pooling});
        for (int i = 0; i < 5; i++)
            CHECK_EQUAL(fetch_status(fetcher, NULL, origin_url(origin.port, "/")), 200);
        CHECK_EQUAL(origin.accepted, pooling == WEFT_FETCH_NAIVE ? 5 : 1);
        CHECK_EQUAL(counts_of(fetcher).connections, pooling == WEFT_FETCH_NAIVE ? 5 : 1);
        CHECK_EQUAL(counts_of(fetcher).reused, pooling == WEFT_FETCH_NAIVE ? 0 : 4);
        CHECK((strstr(origin.last, "Connection: close") != NULL) == (pooling == WEFT_FETCH_NAIVE));
        weft_fetcher_close(fetcher);
        origin_close(&origin);
    }
}

/* It answers once and closes later, as servers do with connections they are tired of. */
static void tire(struct origin *origin, int fd)
{
    if (origin_read(origin, fd))
        origin_say(fd, OK);
    (void)weft_sleep(100 * WEFT_MSEC);
}

FIBER_TEST(a_connection_that_the_server_has_closed_is_replaced)
{
    struct origin origin;
    origin_open(&origin, tire);
    struct weft_fetcher *fetcher = open_fetcher(&(struct weft_fetcher_options){.attempts_max = 1});
    const char *url = origin_url(origin.port, "/");
    CHECK_EQUAL(fetch_status(fetcher, "GET", url), 200);
    CHECK_EQUAL(weft_sleep(200 * WEFT_MSEC), 0);
    CHECK_EQUAL(fetch_status(fetcher, "GET", url), 200);
    CHECK_EQUAL(weft_sleep(200 * WEFT_MSEC), 0);
    CHECK_EQUAL(fetch_status(fetcher, "POST", url), 200);
    CHECK_EQUAL(weft_sleep(5 * WEFT_SEC), 0);
    CHECK_EQUAL(fetch_status(fetcher, "GET", url), 200);
    CHECK_EQUAL(origin.accepted, 4);
    CHECK_EQUAL(origin.requests, 4);
    weft_fetcher_close(fetcher);
    origin_close(&origin);
}

FIBER_TEST(a_request_that_must_not_come_twice_does_not_even_on_a_kept_connection)
{
    static const char *const list[] = {OK, "", OK, NULL};
    for (int posts = 0; posts < 2; posts++) {
        struct origin origin;
        origin_open(&origin, origin_say_list);
        origin.arg = (void *)(uintptr_t)list;
        struct weft_fetcher *fetcher =
            open_fetcher(&(struct weft_fetcher_options){.attempts_max = 1});
        const char *url = origin_url(origin.port, "/");
        CHECK_EQUAL(fetch_status(fetcher, "GET", url), 200);
        CHECK_EQUAL(fetch_status(fetcher, posts ? "POST" : "PUT", url), posts ? -ECONNRESET : 200);
        CHECK_EQUAL(origin.requests, posts ? 2 : 3);
        weft_fetcher_close(fetcher);
        origin_close(&origin);
    }
}

/* ---- retries ------------------------------------------------------------------------------ */

FIBER_TEST(a_failure_that_may_pass_is_tried_again_later)
{
    static const char *const list[] = {UNAVAILABLE "\r\n", "!", OK, NULL};
    struct origin origin;
    struct weft_fetch_answer answer = {0};
    int64_t begun_ns = weft_now();
    CHECK_EQUAL(
        fetch_list(&origin, list, &(struct weft_fetcher_options){.seed = 7}, &plain, &answer), 0);
    CHECK_EQUAL(answer.result.status_code, 200);
    CHECK_EQUAL(answer.result.attempt, 2); /* the reset met a kept connection: sent again at once */
    CHECK_EQUAL(origin.requests, 3);
    CHECK(weft_now() - begun_ns < 1500 * WEFT_MSEC);
    CHECK(answer.result.total_ns > answer.result.latency_ns);
    weft_fetch_answer_release(&answer);
}

FIBER_TEST(after_the_last_attempt_the_result_is_what_it_came_to)
{
    static const char *const list[] = {"!", UNAVAILABLE "\r\n", NULL};
    struct origin origin;
    struct weft_fetch_answer answer = {0};
    CHECK_EQUAL(fetch_list(&origin, list, NULL, &plain, &answer), 0);
    CHECK_EQUAL(answer.result.status_code, 503);
    CHECK_EQUAL(answer.result.attempt, 3);
    CHECK(is_class(&answer, "HTTP 503"));
    CHECK_EQUAL(origin.requests, 3);
    weft_fetch_answer_release(&answer);
}

FIBER_TEST(what_may_not_come_twice_is_not_tried_again_unless_it_has_a_key)
{
    static const char *const list[] = {"!", OK, NULL};
    const struct weft_http_field key = {"idempotency-key", "k1"};
    for (int keyed = 0; keyed < 2; keyed++) {
        struct origin origin;
        struct weft_fetch_answer answer = {0};
        const struct weft_fetch_request request = {.method = "POST",
                                                   .body = "x",
                                                   .body_len = 1,
                                                   .fields = &key,
                                                   .fields_count = (size_t)keyed};
        CHECK_EQUAL(fetch_list(&origin, list, NULL, &request, &answer), keyed ? 0 : -ECONNRESET);
        CHECK_EQUAL(origin.requests, keyed ? 2 : 1);
        CHECK_EQUAL(answer.result.attempt, keyed ? 2 : 1);
        weft_fetch_answer_release(&answer);
    }
}

FIBER_TEST(where_nothing_was_sent_every_method_is_tried_again)
{
    struct weft_fetch_answer answer = {0};
    struct weft_fetcher *fetcher = open_fetcher(NULL);
    int listener = weft_tcp_listen("127.0.0.1", 0, NULL);
    REQUIRE(listener >= 0);
    uint16_t port = (uint16_t)weft_tcp_port(listener);
    CHECK_EQUAL(weft_close(listener), 0); /* nobody is there now */
    const struct weft_fetch_request request = {.url = origin_url(port, "/"), .method = "POST"};
    CHECK_EQUAL(weft_fetcher_get(fetcher, &request, &answer, WEFT_FOREVER), -ECONNREFUSED);
    CHECK_EQUAL(answer.result.attempt, 3);
    CHECK(is_class(&answer, "connect"));
    CHECK_EQUAL(counts_of(fetcher).retries, 2);
    weft_fetch_answer_release(&answer);
    weft_fetcher_close(fetcher);
}

FIBER_TEST(no_retry_is_waited_for_that_could_not_end_in_time)
{
    static const char *const list[] = {UNAVAILABLE "Retry-After: 60\r\n\r\n", OK, NULL};
    struct origin origin;
    struct weft_fetch_answer answer = {0};
    int64_t begun_ns = weft_now();
    const struct weft_fetcher_options options = {.total_timeout_ns = 59 * WEFT_SEC};
    CHECK_EQUAL(fetch_list(&origin, list, &options, &plain, &answer), 0);
    CHECK_EQUAL(answer.result.status_code, 503);
    CHECK_EQUAL(answer.result.attempt, 1);
    CHECK(weft_now() - begun_ns < WEFT_SEC);
    weft_fetch_answer_release(&answer);
}

FIBER_TEST(one_deadline_holds_for_all_attempts)
{
    static const char *const list[] = {"~", NULL};
    struct origin origin;
    struct weft_fetch_answer answer = {0};
    int64_t begun_ns = weft_now();
    const struct weft_fetcher_options options = {.attempt_timeout_ns = 10 * WEFT_SEC,
                                                 .total_timeout_ns = 25 * WEFT_SEC,
                                                 .attempts_max = 10,
                                                 .backoff_base_ns = 1};
    CHECK_EQUAL(fetch_list(&origin, list, &options, &plain, &answer), -ETIMEDOUT);
    CHECK_EQUAL(answer.result.attempt, 3);
    CHECK(weft_now() - begun_ns >= 25 * WEFT_SEC && weft_now() - begun_ns < 26 * WEFT_SEC);
    CHECK(is_class(&answer, "timeout"));
    weft_fetch_answer_release(&answer);
}

FIBER_TEST(a_retry_that_the_budget_refuses_leaves_the_result_as_it_was)
{
    static const char *const list[] = {UNAVAILABLE "\r\n", NULL};
    struct origin origin;
    origin_open(&origin, origin_say_list);
    origin.arg = (void *)(uintptr_t)list;
    struct weft_fetcher *fetcher = open_fetcher(&(struct weft_fetcher_options){
        .backoff_base_ns = 1, .breaker_off = 1, .retry_ratio = 0.001});
    struct weft_fetch_answer answer = {0};
    for (int i = 0; i < 200; i++) {
        CHECK_EQUAL(fetch(fetcher, origin_url(origin.port, "/"), &answer), 0);
        CHECK_EQUAL(answer.result.status_code, 503);
    }
    struct weft_fetcher_stats stats = counts_of(fetcher);
    CHECK_EQUAL(answer.retries_refused, 1);
    CHECK_EQUAL(answer.result.attempt, 1);
    CHECK(stats.retries_refused > 0);
    CHECK(stats.retries >= 100 && stats.retries < 200); /* 10 a second, for 10 s */
    CHECK_EQUAL(stats.attempts, 200 + stats.retries);
    weft_fetch_answer_release(&answer);
    weft_fetcher_close(fetcher);
    origin_close(&origin);
}

/* ---- Retry-After -------------------------------------------------------------------------- */

FIBER_TEST(the_server_says_when_in_seconds_or_by_date)
{
    static const struct {
        const char *field;
        int64_t wait_ns;
    } cases[] = {
        {"Retry-After: 120\r\n", 120 * WEFT_SEC},
        /* The date counts from the server's own, whatever time it is here. */
        {"Date: Fri, 31 Dec 1999 23:58:59 GMT\r\nRetry-After: Fri, 31 Dec 1999 23:59:59 GMT\r\n",
         60 * WEFT_SEC},
        {"Date: Fri, 31 Dec 1999 23:58:59 GMT\r\nRetry-After: Friday, 31-Dec-99 23:59:59 GMT\r\n",
         60 * WEFT_SEC},
        {"Date: Fri, 31 Dec 1999 23:58:59 GMT\r\nRetry-After: Fri Dec 31 23:59:59 1999\r\n",
         60 * WEFT_SEC},
        {"Retry-After: Fri, 31 Dec 1999 23:59:59 GMT\r\n", 0},
        {"Retry-After: -1\r\n", 0},
        {"Retry-After: 1.5\r\n", 0},
        {"Retry-After: soon\r\n", 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct origin origin;
        struct weft_fetch_answer answer = {0};
        char reply[256];
        (void)snprintf(reply, sizeof reply, TOO_MANY "%s\r\n", cases[i].field);
        const char *const list[] = {reply, OK, NULL};
        const struct weft_fetcher_options options = {.total_timeout_ns = 600 * WEFT_SEC};
        int64_t begun_ns = weft_now();
        CHECK_EQUAL(fetch_list(&origin, list, &options, &plain, &answer), 0);
        int64_t waited_ns = weft_now() - begun_ns;
        CHECK_EQUAL(answer.result.status_code, 200);
        CHECK_EQUAL(answer.result.attempt, 2);
        CHECK(waited_ns >= cases[i].wait_ns && waited_ns < cases[i].wait_ns + WEFT_SEC);
        weft_fetch_answer_release(&answer);
    }
}

struct side_fetch {
    struct weft_fetcher *fetcher;
    const char *url;
    struct weft_fetch_answer answer;
    int64_t ended_ns;
    int err;
};

static int fetch_beside(void *arg)
{
    struct side_fetch *side = arg;
    side->err = fetch(side->fetcher, side->url, &side->answer);
    side->ended_ns = weft_now();
    return 0;
}

FIBER_TEST(a_pause_concerns_all_requests_to_the_host_and_no_other)
{
    static const char *const list[] = {TOO_MANY "Retry-After: 100\r\n\r\n", OK, NULL};
    struct origin origin, other;
    struct weft_group group;
    origin_open(&origin, origin_say_list);
    origin.arg = (void *)(uintptr_t)list;
    origin_open(&other, origin_reflect);
    struct weft_fetcher *fetcher = open_fetcher(NULL);
    int64_t begun_ns = weft_now();
    struct side_fetch sides[3] = {
        {.fetcher = fetcher, .url = origin_url(origin.port, "/1")},
        {.fetcher = fetcher, .url = origin_url(origin.port, "/2")},
        {.fetcher = fetcher, .url = origin_url(other.port, "/3")},
    };
    REQUIRE(weft_group_init(&group, NULL) == 0);
    CHECK_EQUAL(weft_spawn(&group, fetch_beside, &sides[0]), 0);
    CHECK_EQUAL(weft_sleep(WEFT_SEC), 0);
    CHECK_EQUAL(weft_spawn(&group, fetch_beside, &sides[1]), 0);
    CHECK_EQUAL(weft_spawn(&group, fetch_beside, &sides[2]), 0);
    CHECK_EQUAL(weft_group_wait(&group), 0);
    for (int i = 0; i < 3; i++) {
        CHECK_EQUAL(sides[i].err, 0);
        CHECK_EQUAL(sides[i].answer.result.status_code, 200);
    }
    CHECK(sides[0].ended_ns - begun_ns >= 100 * WEFT_SEC);
    CHECK(sides[1].ended_ns - begun_ns >= 100 * WEFT_SEC);
    CHECK(sides[1].answer.result.queue_ns >= 98 * WEFT_SEC);
    CHECK_EQUAL(sides[1].answer.result.attempt, 1);
    CHECK(sides[2].ended_ns - begun_ns < 2 * WEFT_SEC);
    CHECK_EQUAL(counts_of(fetcher).pauses, 1);
    for (int i = 0; i < 3; i++)
        weft_fetch_answer_release(&sides[i].answer);
    weft_fetcher_close(fetcher);
    origin_close(&origin);
    origin_close(&other);
}

FIBER_TEST(who_is_asked_to_wait_too_long_fails_and_the_host_is_left_alone)
{
    static const char *const list[] = {TOO_MANY "Retry-After: 86400\r\n\r\n", OK, NULL};
    struct origin origin;
    struct weft_fetch_answer answer = {0};
    origin_open(&origin, origin_say_list);
    origin.arg = (void *)(uintptr_t)list;
    struct weft_fetcher *fetcher = open_fetcher(NULL);
    const char *url = origin_url(origin.port, "/");
    int64_t begun_ns = weft_now();
    CHECK_EQUAL(fetch(fetcher, url, &answer), 0);
    CHECK_EQUAL(answer.result.status_code, 429);
    CHECK_EQUAL(fetch(fetcher, url, &answer), WEFT_ELIMIT);
    CHECK(is_class(&answer, "paused"));
    CHECK(weft_now() - begun_ns < WEFT_SEC);
    CHECK_EQUAL(origin.requests, 1);
    CHECK_EQUAL(weft_sleep(200 * WEFT_SEC), 0);
    CHECK_EQUAL(fetch(fetcher, url, &answer), 0); /* 100 s are left: less than the total timeout */
    CHECK_EQUAL(answer.result.status_code, 200);
    CHECK(weft_now() - begun_ns >= 300 * WEFT_SEC && weft_now() - begun_ns < 301 * WEFT_SEC);
    weft_fetch_answer_release(&answer);
    weft_fetcher_close(fetcher);
    origin_close(&origin);
}

/* ---- places, rates ------------------------------------------------------------------------ */

FIBER_TEST(who_waits_to_try_again_holds_no_place)
{
    static const char *const list[] = {UNAVAILABLE "Retry-After: 0\r\n\r\n", OK, NULL};
    struct origin origin, other;
    struct weft_group group;
    origin_open(&origin, origin_say_list);
    origin.arg = (void *)(uintptr_t)list;
    origin_open(&other, origin_reflect);
    struct weft_fetcher *fetcher =
        open_fetcher(&(struct weft_fetcher_options){.concurrency = 1,
                                                    .backoff_base_ns = 1000 * WEFT_SEC,
                                                    .backoff_cap_ns = 1000 * WEFT_SEC,
                                                    .total_timeout_ns = 5000 * WEFT_SEC,
                                                    .seed = 1});
    struct side_fetch sides[2] = {
        {.fetcher = fetcher, .url = origin_url(origin.port, "/")},
        {.fetcher = fetcher, .url = origin_url(other.port, "/")},
    };
    REQUIRE(weft_group_init(&group, NULL) == 0);
    CHECK_EQUAL(weft_spawn(&group, fetch_beside, &sides[0]), 0);
    CHECK_EQUAL(weft_sleep(WEFT_MSEC), 0);
    CHECK_EQUAL(counts_of(fetcher).waiting_now, 1);
    int64_t begun_ns = weft_now();
    CHECK_EQUAL(weft_spawn(&group, fetch_beside, &sides[1]), 0);
    CHECK_EQUAL(weft_group_wait(&group), 0);
    CHECK(sides[1].ended_ns - begun_ns < WEFT_SEC);
    CHECK_EQUAL(sides[1].answer.result.status_code, 200);
    CHECK_EQUAL(sides[0].answer.result.attempt, 2);
    CHECK(sides[0].ended_ns - begun_ns > WEFT_SEC);
    for (int i = 0; i < 2; i++)
        weft_fetch_answer_release(&sides[i].answer);
    weft_fetcher_close(fetcher);
    origin_close(&origin);
    origin_close(&other);
}

static void take_100_ms(struct origin *origin, int fd)
{
    while (origin_read(origin, fd)) {
        if (weft_sleep(100 * WEFT_MSEC) < 0)
            return;
        origin_say(fd, OK);
    }
}

/* What the seed's engines got wrong: the wait for a place is not the server's time. */
FIBER_TEST(latency_ends_with_the_body_and_is_without_the_wait_for_a_turn)
{
    struct origin origin;
    struct weft_group group;
    struct side_fetch sides[5];
    origin_open(&origin, take_100_ms);
    struct weft_fetcher *fetcher =
        open_fetcher(&(struct weft_fetcher_options){.concurrency = 100, .host_concurrency = 1});
    REQUIRE(weft_group_init(&group, NULL) == 0);
    for (int i = 0; i < 5; i++) {
        sides[i] = (struct side_fetch){.fetcher = fetcher, .url = origin_url(origin.port, "/")};
        CHECK_EQUAL(weft_spawn(&group, fetch_beside, &sides[i]), 0);
    }
    CHECK_EQUAL(weft_group_wait(&group), 0);
    for (int i = 0; i < 5; i++) {
        const struct weft_fetch_result *result = &sides[i].answer.result;
        CHECK(result->latency_ns >= 100 * WEFT_MSEC && result->latency_ns < 110 * WEFT_MSEC);
        CHECK(result->queue_ns >= i * 100 * WEFT_MSEC &&
              result->queue_ns < (i * 100 + 50) * WEFT_MSEC);
        CHECK(result->total_ns >= result->latency_ns + result->queue_ns);
        weft_fetch_answer_release(&sides[i].answer);
    }
    CHECK_EQUAL(origin.most, 1);
    weft_fetcher_close(fetcher);
    origin_close(&origin);
}

FIBER_TEST(a_rate_is_kept_by_retries_too)
{
    static const char *const list[] = {UNAVAILABLE "\r\n", NULL};
    struct origin origin;
    for (int by_host = 0; by_host < 2; by_host++) {
        origin_open(&origin, origin_say_list);
        origin.arg = (void *)(uintptr_t)list;
        struct weft_fetcher *fetcher =
            open_fetcher(&(struct weft_fetcher_options){.rate_per_s = by_host ? 0 : 10,
                                                        .host_rate_per_s = by_host ? 10 : 0,
                                                        .backoff_base_ns = 1,
                                                        .breaker_off = 1});
        int64_t begun_ns = weft_now();
        for (int i = 0; i < 10; i++)
            CHECK_EQUAL(fetch_status(fetcher, NULL, origin_url(origin.port, "/")), 503);
        CHECK_EQUAL(origin.requests, 30);
        CHECK(weft_now() - begun_ns >= 2900 * WEFT_MSEC);
        CHECK(weft_now() - begun_ns < 3100 * WEFT_MSEC);
        weft_fetcher_close(fetcher);
        origin_close(&origin);
    }
}

FIBER_TEST(hosts_are_forgotten_when_there_are_too_many)
{
    struct origin origin;
    char url[64];
    origin_open(&origin, origin_reflect);
    struct weft_fetcher *fetcher = open_fetcher(&(struct weft_fetcher_options){.hosts_max = 10});
    for (unsigned i = 1; i <= 100; i++) {
        (void)snprintf(url, sizeof url, "http://127.0.0.%u:%u/", i, origin.port);
        int status = fetch_status(fetcher, NULL, url);
        CHECK(status == 200 || status == -ECONNREFUSED); /* it listens at the first */
    }
    CHECK_EQUAL(counts_of(fetcher).hosts_now, 10);
    CHECK_EQUAL(counts_of(fetcher).hosts_dropped, 90);
    weft_fetcher_close(fetcher);
    origin_close(&origin);
}

/* ---- breakers ----------------------------------------------------------------------------- */

FIBER_TEST(a_breaker_needs_more_than_one_failure_in_ten)
{
    struct origin origin;
    static const char *list[11];
    for (int i = 0; i < 9; i++)
        list[i] = OK;
    list[9] = "HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n";
    origin_open(&origin, origin_say_list);
    origin.arg = list;
    struct weft_fetcher *fetcher = open_fetcher(&(struct weft_fetcher_options){.attempts_max = 1});
    for (int i = 0; i < 12; i++)
        CHECK_EQUAL(fetch_status(fetcher, NULL, origin_url(origin.port, "/")), i < 9 ? 200 : 500);
    CHECK_EQUAL(counts_of(fetcher).breaker_opened, 0);
    weft_fetcher_close(fetcher);
    origin_close(&origin);
}

FIBER_TEST(a_host_that_keeps_failing_is_left_alone_until_it_works_again)
{
    static const char *bad = "HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n";
    static const char *list[22];
    struct origin origin;
    struct weft_fetch_answer answer = {0};
    for (int i = 0; i < 20; i++)
        list[i] = bad;
    list[20] = OK;
    origin_open(&origin, origin_say_list);
    origin.arg = list;
    struct weft_fetcher *fetcher = open_fetcher(&(struct weft_fetcher_options){.attempts_max = 1});
    const char *url = origin_url(origin.port, "/");
    for (int i = 0; i < 20; i++)
        CHECK_EQUAL(fetch_status(fetcher, NULL, url), 500);
    CHECK_EQUAL(counts_of(fetcher).breaker_opened, 1);
    CHECK_EQUAL(fetch(fetcher, url, &answer), WEFT_EOPEN);
    CHECK(is_class(&answer, "breaker"));
    CHECK_EQUAL(origin.requests, 20);
    CHECK_EQUAL(weft_sleep(12 * WEFT_SEC), 0);
    CHECK_EQUAL(fetch_status(fetcher, NULL, url), 200);
    CHECK_EQUAL(fetch_status(fetcher, NULL, url), 200);
    CHECK_EQUAL(fetch_status(fetcher, NULL, url), 200);
    CHECK_EQUAL(counts_of(fetcher).breaker_opened, 1);
    CHECK_EQUAL(counts_of(fetcher).breaker_refused, 1);
    weft_fetch_answer_release(&answer);
    weft_fetcher_close(fetcher);
    origin_close(&origin);
}

FIBER_TEST(who_is_told_to_waits_for_the_breaker)
{
    static const char *bad = "HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n";
    static const char *list[22];
    struct origin origin;
    for (int i = 0; i < 20; i++)
        list[i] = bad;
    list[20] = OK;
    origin_open(&origin, origin_say_list);
    origin.arg = list;
    struct weft_fetcher *fetcher =
        open_fetcher(&(struct weft_fetcher_options){.attempts_max = 1, .breaker_waits = 1});
    const char *url = origin_url(origin.port, "/");
    for (int i = 0; i < 20; i++)
        CHECK_EQUAL(fetch_status(fetcher, NULL, url), 500);
    int64_t begun_ns = weft_now();
    CHECK_EQUAL(fetch_status(fetcher, NULL, url), 200);
    CHECK(weft_now() - begun_ns >= 10 * WEFT_SEC && weft_now() - begun_ns < 12 * WEFT_SEC);
    weft_fetcher_close(fetcher);
    origin_close(&origin);
}

FIBER_TEST(a_retry_that_finds_the_breaker_open_leaves_the_result_as_it_was)
{
    static const char *const list[] = {"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n", NULL};
    struct origin origin;
    struct weft_fetch_answer answer = {0};
    origin_open(&origin, origin_say_list);
    origin.arg = (void *)(uintptr_t)list;
    struct weft_fetcher *fetcher = open_fetcher(&(struct weft_fetcher_options){
        .attempts_max = 3, .backoff_base_ns = 1, .breaker_calls = 2});
    CHECK_EQUAL(fetch(fetcher, origin_url(origin.port, "/"), &answer), 0);
    CHECK_EQUAL(answer.result.status_code, 500);
    CHECK_EQUAL(answer.result.attempt, 2);
    CHECK_EQUAL(origin.requests, 2);
    weft_fetch_answer_release(&answer);
    weft_fetcher_close(fetcher);
    origin_close(&origin);
}

/* ---- redirects ---------------------------------------------------------------------------- */

static void redirect(struct origin *origin, int fd)
{
    while (origin_read(origin, fd)) {
        char reply[256];
        int to = 0;
        if (sscanf(origin->last, "%*s /%d", &to) == 1 && to > 0) {
            (void)snprintf(reply, sizeof reply,
                           "HTTP/1.1 302 Found\r\nLocation: %d\r\nContent-Length: 3\r\n\r\nno\n",
                           to - 1);
            origin_say(fd, reply);
        } else {
            origin_say(fd, OK);
        }
    }
}

FIBER_TEST(redirects_are_followed_up_to_a_number)
{
    struct origin origin;
    struct weft_fetch_answer answer = {0};
    origin_open(&origin, redirect);
    struct weft_fetcher *fetcher = open_fetcher(&(struct weft_fetcher_options){.redirects_max = 3});
    CHECK_EQUAL(fetch(fetcher, origin_url(origin.port, "/3"), &answer), 0);
    CHECK_EQUAL(answer.result.status_code, 200);
    CHECK_EQUAL(answer.result.redirects, 3);
    CHECK(answer.result.final_url && strstr(answer.result.final_url, "/0"));
    CHECK(body_is(&answer.response, "ok"));
    CHECK_EQUAL(fetch(fetcher, origin_url(origin.port, "/4"), &answer), -ELOOP);
    CHECK(is_class(&answer, "redirects"));
    CHECK_EQUAL(origin.requests, 8);
    CHECK_EQUAL(counts_of(fetcher).attempts, 2);
    CHECK_EQUAL(counts_of(fetcher).exchanges, 8);
    weft_fetcher_close(fetcher);
    fetcher = open_fetcher(&(struct weft_fetcher_options){.redirects_max = WEFT_FETCH_NONE});
    CHECK_EQUAL(fetch(fetcher, origin_url(origin.port, "/3"), &answer), 0);
    CHECK_EQUAL(answer.result.status_code, 302);
    CHECK(is_class(&answer, NULL));
    CHECK(field_is(&answer.response, "location", "2"));
    weft_fetch_answer_release(&answer);
    weft_fetcher_close(fetcher);
    origin_close(&origin);
}

static void lead_away(struct origin *origin, int fd)
{
    while (origin_read(origin, fd)) {
        char reply[256];
        (void)snprintf(reply, sizeof reply,
                       "HTTP/1.1 303 See Other\r\nLocation: %s\r\nContent-Length: 0\r\n\r\n",
                       (const char *)origin->arg);
        origin_say(fd, reply);
    }
}

FIBER_TEST(another_server_does_not_get_what_is_secret)
{
    struct origin origin, other;
    struct weft_fetch_answer answer = {0};
    const struct weft_http_field fields[] = {
        {"Authorization", "secret"}, {"Cookie", "secret"}, {"X-A", "1"}, {"Content-Type", "a/b"}};
    origin_open(&origin, lead_away);
    origin_open(&other, origin_reflect);
    origin.arg = (void *)(uintptr_t)origin_url(other.port, "/there");
    struct weft_fetcher *fetcher = open_fetcher(NULL);
    const struct weft_fetch_request request = {.url = origin_url(origin.port, "/"),
                                               .fields = fields,
                                               .fields_count = 4,
                                               .method = "POST",
                                               .body = "b",
                                               .body_len = 1};
    CHECK_EQUAL(weft_fetcher_get(fetcher, &request, &answer, WEFT_FOREVER), 0);
    CHECK(strstr(origin.last, "Authorization: secret"));
    CHECK(strncmp(other.last, "GET /there ", 11) == 0);
    CHECK(strstr(other.last, "X-A: 1") && !strstr(other.last, "secret"));
    CHECK(!strstr(other.last, "Content-"));
    CHECK(strcmp(answer.result.method, "POST") == 0);
    weft_fetch_answer_release(&answer);
    weft_fetcher_close(fetcher);
    origin_close(&origin);
    origin_close(&other);
}

static int refuse_to_follow(void *context, const char *url)
{
    CHECK(strstr(url, "/2") != NULL);
    ++*(int *)context;
    return 0;
}

FIBER_TEST(a_caller_may_refuse_a_redirect)
{
    struct origin origin;
    struct weft_fetch_answer answer = {0};
    int asked = 0;
    origin_open(&origin, redirect);
    struct weft_fetcher *fetcher = open_fetcher(NULL);
    const struct weft_fetch_request request = {.url = origin_url(origin.port, "/3"),
                                               .may_follow = refuse_to_follow,
                                               .may_follow_context = &asked};
    CHECK_EQUAL(weft_fetcher_get(fetcher, &request, &answer, WEFT_FOREVER), 0);
    CHECK_EQUAL(answer.result.status_code, 302);
    CHECK_EQUAL(asked, 1);
    CHECK_EQUAL(origin.requests, 1);
    weft_fetch_answer_release(&answer);
    weft_fetcher_close(fetcher);
    origin_close(&origin);
}

/* ---- limits of time, and cancelling ------------------------------------------------------- */

FIBER_TEST(an_attempt_has_a_time)
{
    struct origin origin;
    struct weft_fetch_answer answer = {0};
    origin_open(&origin, origin_keep_silent);
    struct weft_fetcher *fetcher = open_fetcher(
        &(struct weft_fetcher_options){.attempt_timeout_ns = 3 * WEFT_SEC, .attempts_max = 1});
    int64_t begun_ns = weft_now();
    CHECK_EQUAL(fetch(fetcher, origin_url(origin.port, "/"), &answer), -ETIMEDOUT);
    CHECK(weft_now() - begun_ns >= 3 * WEFT_SEC && weft_now() - begun_ns < 4 * WEFT_SEC);
    CHECK(answer.result.latency_ns >= 3 * WEFT_SEC);
    weft_fetch_answer_release(&answer);
    weft_fetcher_close(fetcher);
    origin_close(&origin);
}

FIBER_TEST(private_addresses_are_refused_when_asked_to)
{
    struct origin origin;
    struct weft_fetch_answer answer = {0};
    origin_open(&origin, origin_reflect);
    struct weft_fetcher *fetcher =
        open_fetcher(&(struct weft_fetcher_options){.refuse_private = 1});
    CHECK_EQUAL(fetch(fetcher, origin_url(origin.port, "/"), &answer), -EACCES);
    CHECK(is_class(&answer, "refused"));
    CHECK_EQUAL(origin.accepted, 0);
    CHECK_EQUAL(counts_of(fetcher).retries, 0);
    weft_fetch_answer_release(&answer);
    weft_fetcher_close(fetcher);
    origin_close(&origin);
}

/* Connect, exchange, redirect, pause, retry: everything that waits. */
static int live(void *arg)
{
    static const char *const list[] = {
        UNAVAILABLE "Retry-After: 2\r\n\r\n", "!",
        "HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n", OK, NULL};
    struct origin origin;
    struct weft_fetcher *fetcher;
    struct weft_fetch_answer answer = {0};
    (void)arg;
    origin_open(&origin, origin_say_list); /* nothing has waited before */
    origin.arg = (void *)(uintptr_t)list;
    int err = weft_fetcher_open(&fetcher, &(struct weft_fetcher_options){.attempts_max = 5,
                                                                         .rate_per_s = 2,
                                                                         .host_rate_per_s = 1,
                                                                         .host_concurrency = 1,
                                                                         .seed = 3});
    if (err == 0) {
        err = fetch(fetcher, origin_url(origin.port, "/"), &answer);
        CHECK(err == 0 || err == -ECANCELED);
        CHECK(err == 0 || is_class(&answer, "cancelled"));
        CHECK_EQUAL(counts_of(fetcher).exchanges_now, 0);
        CHECK_EQUAL(counts_of(fetcher).waiting_now, 0);
        weft_fetch_answer_release(&answer);
        weft_fetcher_close(fetcher);
    }
    origin_close(&origin);
    return err;
}

TEST(it_can_be_cancelled_at_every_wait)
{
    uint64_t waits = 0;
    const struct weft_run_options whole = {.clock = WEFT_CLOCK_VIRTUAL, .ret_waits = &waits};
    CHECK_EQUAL(weft_run(&whole, live, NULL), 0);
    CHECK(waits > 10);
    for (uint64_t at = 1; at <= waits; at++) {
        const struct weft_run_options cut = {.clock = WEFT_CLOCK_VIRTUAL, .cancel_at = at};
        int err = weft_run(&cut, live, NULL);
        CHECK(err == 0 || err == -ECANCELED);
    }
}
