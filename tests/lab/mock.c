/* SPDX-License-Identifier: MIT
 * mock.c - what the mock answers, what chance does to it, and what it counts. Time is virtual. */
#include "mock_fixture.h"
#include "test.h"

#include <weft/retry_after.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static int64_t took(struct mocked *mocked, const char *target, int status)
{
    int64_t begin_ns = weft_now();
    CHECK_EQUAL(mocked_get(mocked, target).status, status);
    return weft_now() - begin_ns;
}

/* ---- the routes -------------------------------------------------------------------------- */

FIBER_TEST(the_service_takes_as_long_as_its_seed)
{
    struct mocked mocked;
    mocked_open(&mocked, (struct weft_mock_options){0});
    CHECK_EQUAL(took(&mocked, "/", 200), 0);
    CHECK_EQUAL(took(&mocked, "/users/7", 200), 100 * WEFT_MSEC);
    CHECK_EQUAL(took(&mocked, "/orders/7", 200), 150 * WEFT_MSEC);
    CHECK_EQUAL(took(&mocked, "/error-simulation", 200), 100 * WEFT_MSEC);
    CHECK_EQUAL(took(&mocked, "/heavy-computation", 200), 0);
    int64_t begin_ns = weft_now();
    struct client_reply reply =
        mocked_ask(&mocked, "POST", "/webhooks/process", NULL, "{\"a\": 1}");
    CHECK(body_has(&reply, "\"bytes\": 8"));
    CHECK_EQUAL(weft_now() - begin_ns, 200 * WEFT_MSEC);
    CHECK_EQUAL(took(&mocked, "/users/7?latency=0", 200), 0);
    CHECK_EQUAL(took(&mocked, "/orders/7?latency=5000", 200), 5 * WEFT_SEC);
    CHECK_EQUAL(took(&mocked, "/users/7?latency=5001", 422), 0);
    CHECK_EQUAL(took(&mocked, "/users/x", 422), 100 * WEFT_MSEC);
    reply = mocked_get(&mocked, "/users/12?latency=0");
    CHECK(body_has(&reply, "\"id\": 12, \"name\": \"User 12\""));
    CHECK_EQUAL(mocked_ask(&mocked, "GET", "/webhooks/process", NULL, NULL).status, 405);
    mocked_close(&mocked);
}

FIBER_TEST(statuses_delays_and_sizes_are_as_asked_for)
{
    struct mocked mocked;
    mocked_open(&mocked, (struct weft_mock_options){0});
    struct client_reply reply = mocked_get(&mocked, "/get");
    CHECK_EQUAL(reply.status, 200);
    CHECK(reply_says(&reply, "Server", "weft-mock"));
    for (int status = 200; status < 600; status++) {
        char target[32];
        (void)snprintf(target, sizeof target, "/status/%d", status);
        CHECK_EQUAL(mocked_get(&mocked, target).status, status);
    }
    CHECK_EQUAL(took(&mocked, "/status/199", 422), 0);
    CHECK_EQUAL(took(&mocked, "/status/600", 422), 0);
    CHECK_EQUAL(mocked_ask(&mocked, "DELETE", "/status/204", NULL, NULL).status, 204);
    CHECK_EQUAL(took(&mocked, "/delay/2", 200), 2 * WEFT_SEC);
    CHECK_EQUAL(took(&mocked, "/delay/0.25", 200), 250 * WEFT_MSEC);
    CHECK_EQUAL(took(&mocked, "/delay/99999", 200), 60 * WEFT_SEC);
    CHECK_EQUAL(took(&mocked, "/delay/soon", 422), 0);
    CHECK_EQUAL(took(&mocked, "/500", 500), 0);
    CHECK_EQUAL(mocked_get(&mocked, "/bytes/0").body_len, 0);
    CHECK_EQUAL(mocked_get(&mocked, "/bytes/1").body_len, 1);
    CHECK_EQUAL(mocked_get(&mocked, "/bytes/1048576").body_len, 1048576);
    CHECK_EQUAL(mocked_get(&mocked, "/bytes/65537").body_len, 65537);
    CHECK_EQUAL(took(&mocked, "/bytes/1073741825", 422), 0);
    CHECK_EQUAL(mocked_ask(&mocked, "HEAD", "/bytes/1000000", NULL, NULL).status, 200);
    CHECK_EQUAL(took(&mocked, "/health", 200), 0);
    mocked_close(&mocked);
}

/* Whole chunks, as many as come. Returns the body's length. */
static size_t read_chunks(struct mocked *mocked, unsigned *ret_count)
{
    const char *text;
    size_t len, sum = 0;
    *ret_count = 0;
    while (client_receive_chunk(&mocked->client, &text, &len) && len > 0) {
        sum += len;
        (*ret_count)++;
    }
    return sum;
}

static struct client_reply get_chunked(struct mocked *mocked, const char *target)
{
    char text[256];
    (void)snprintf(text, sizeof text, "GET %s HTTP/1.1\r\nHost: test\r\n\r\n", target);
    client_send(&mocked->client, text);
    return client_receive_head(&mocked->client);
}

FIBER_TEST(bodies_come_in_chunks_and_at_a_pace)
{
    struct mocked mocked;
    unsigned count;
    mocked_open(&mocked, (struct weft_mock_options){0});
    struct client_reply reply = get_chunked(&mocked, "/chunked?bytes=1003&pieces=4");
    CHECK(reply_says(&reply, "Transfer-Encoding", "chunked"));
    CHECK_EQUAL(read_chunks(&mocked, &count), 1003);
    CHECK_EQUAL(count, 4);
    (void)get_chunked(&mocked, "/bytes/100000?framing=chunked");
    CHECK_EQUAL(read_chunks(&mocked, &count), 100000);

    int64_t begin_ns = weft_now();
    reply = mocked_get(&mocked, "/slow?bytes=1000&rate=500&piece=100");
    CHECK_EQUAL(reply.body_len, 1000);
    CHECK_EQUAL(weft_now() - begin_ns, 1800 * WEFT_MSEC); /* the first piece comes at once */
    begin_ns = weft_now();
    (void)get_chunked(&mocked, "/slow?bytes=10&rate=1&framing=chunked");
    CHECK_EQUAL(read_chunks(&mocked, &count), 10);
    CHECK_EQUAL(count, 10);
    CHECK_EQUAL(weft_now() - begin_ns, 9 * WEFT_SEC);
    CHECK_EQUAL(took(&mocked, "/slow?bytes=1000000&piece=1", 422), 0);
    CHECK_EQUAL(took(&mocked, "/slow?framing=none", 422), 0);
    begin_ns = weft_now();
    CHECK_EQUAL(mocked_ask(&mocked, "HEAD", "/slow", NULL, NULL).status, 200);
    CHECK_EQUAL(weft_now() - begin_ns, 0);
    mocked_close(&mocked);
}

FIBER_TEST(what_was_sent_comes_back)
{
    struct mocked mocked;
    mocked_open(&mocked, (struct weft_mock_options){0});
    struct client_reply reply = mocked_ask(&mocked, "PUT", "/echo?a=1&b=%22x%22&a=2",
                                           "X-Twice: one\r\nx-twice: two\r\n", "say \"hi\"\n");
    CHECK_EQUAL(reply.status, 200);
    CHECK(body_has(&reply, "\"method\": \"PUT\", \"path\": \"/echo\", \"client\": \"127.0.0.1:"));
    CHECK(body_has(&reply, "\"query\": {\"a\": \"1, 2\", \"b\": \"\\\"x\\\"\"}"));
    CHECK(body_has(&reply, "\"X-Twice\": \"one, two\""));
    CHECK(body_has(&reply, "\"body\": \"say \\\"hi\\\"\\n\", \"bytes\": 9}"));
    reply = mocked_get(&mocked, "/headers");
    CHECK(reply_body_is(&reply, "{\"headers\": {\"Host\": \"mock.test:80\"}}"));
    reply = mocked_get(&mocked, "/echo");
    CHECK(body_has(&reply, "\"query\": {}"));
    mocked_close(&mocked);
}

FIBER_TEST(cookies_are_set_and_told)
{
    struct mocked mocked;
    mocked_open(&mocked, (struct weft_mock_options){0});
    struct client_reply reply =
        mocked_ask(&mocked, "GET", "/cookies", "Cookie: a=1; b=x=y;c; \r\n", NULL);
    CHECK(reply_body_is(&reply, "{\"cookies\": {\"a\": \"1\", \"b\": \"x=y\", \"c\": \"\"}}"));
    reply = mocked_get(&mocked, "/cookies");
    CHECK(reply_body_is(&reply, "{\"cookies\": {}}"));
    reply = mocked_get(&mocked, "/cookies/set?a=1");
    CHECK_EQUAL(reply.status, 302);
    CHECK(reply_says(&reply, "Location", "/cookies"));
    CHECK(reply_says(&reply, "Set-Cookie", "a=1; Path=/"));
    reply = mocked_get(&mocked, "/cookies/set?a=1&b=2&Path=/x&Max-Age=60&Secure=&HttpOnly");
    CHECK(strstr(reply.head, "\r\nSet-Cookie: a=1; Path=/x; Max-Age=60; Secure; HttpOnly\r\n"));
    CHECK(strstr(reply.head, "\r\nSet-Cookie: b=2; Path=/x; Max-Age=60; Secure; HttpOnly\r\n"));
    mocked_close(&mocked);
}

FIBER_TEST(tags_are_compared)
{
    struct mocked mocked;
    mocked_open(&mocked, (struct weft_mock_options){0});
    struct client_reply reply = mocked_get(&mocked, "/etag/v1");
    CHECK(reply_says(&reply, "ETag", "\"v1\""));
    static const struct {
        const char *header;
        int status;
    } cases[] = {
        {"If-None-Match: \"v1\"\r\n", 304}, {"If-None-Match: \"v0\", W/\"v1\"\r\n", 304},
        {"If-None-Match: *\r\n", 304},      {"If-None-Match: \"v0\", \"v11\"\r\n", 200},
        {"If-None-Match: v1\r\n", 200},     {"If-None-Match: \"v1\r\n", 200},
        {"If-Match: \"v1\"\r\n", 200},      {"If-Match: \"v2\"\r\n", 412},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        CHECK_EQUAL(mocked_ask(&mocked, "GET", "/etag/v1", cases[i].header, NULL).status,
                    cases[i].status);
    CHECK_EQUAL(took(&mocked, "/etag/a%22b", 422), 0);
    mocked_close(&mocked);
}

FIBER_TEST(redirects_lead_where_they_say)
{
    static const char *const statuses[] = {"301", "302", "303", "307", "308"};
    struct mocked mocked;
    mocked_open(&mocked, (struct weft_mock_options){0});
    for (size_t i = 0; i < 5; i++) {
        char target[64], location[64];
        (void)snprintf(target, sizeof target, "/redirect/3?status=%s", statuses[i]);
        (void)snprintf(location, sizeof location, "/redirect/2?status=%s&absolute=0", statuses[i]);
        struct client_reply reply = mocked_ask(&mocked, "POST", target, NULL, "x");
        CHECK_EQUAL(reply.status, atoi(statuses[i]));
        CHECK(reply_says(&reply, "Location", location));
    }
    struct client_reply reply = mocked_get(&mocked, "/redirect/1");
    CHECK_EQUAL(reply.status, 302);
    CHECK(reply_says(&reply, "Location", "/echo"));
    reply = mocked_get(&mocked, "/redirect/2?absolute=1");
    CHECK(reply_says(&reply, "Location", "http://mock.test:80/redirect/1?status=302&absolute=1"));
    reply = mocked_get(&mocked, "/redirect-to?url=http%3A%2F%2Fother.test%2Fx%3Fy&status=307");
    CHECK_EQUAL(reply.status, 307);
    CHECK(reply_says(&reply, "Location", "http://other.test/x?y"));
    reply = mocked_get(&mocked, "/redirect-loop?length=3&at=2");
    CHECK(reply_says(&reply, "Location", "/redirect-loop?length=3&at=0&status=302"));
    CHECK_EQUAL(took(&mocked, "/redirect/1?status=304", 422), 0);
    CHECK_EQUAL(took(&mocked, "/redirect-to", 422), 0);
    CHECK_EQUAL(took(&mocked, "/redirect/1001", 422), 0);
    mocked_close(&mocked);
}

/* ---- limits ------------------------------------------------------------------------------ */

static int64_t retry_after(const struct client_reply *reply)
{
    char date[64] = "";
    int64_t date_s = time(NULL), wait_ns = -1;
    const char *value = reply_field(reply, "Date");
    (void)snprintf(date, sizeof date, "%s", value ? value : "");
    CHECK_EQUAL(weft_http_date_parse(date, strlen(date), date_s, &date_s), 0);
    value = reply_field(reply, "Retry-After");
    if (value)
        CHECK_EQUAL(weft_retry_after_parse(value, strlen(value), date_s, &wait_ns), 0);
    return wait_ns;
}

FIBER_TEST(who_asks_too_often_is_sent_away_until_the_window_ends)
{
    struct mocked mocked;
    mocked_open(&mocked, (struct weft_mock_options){.rate_limit = "3/10s"});
    for (int left = 2; left >= 0; left--) {
        char text[8];
        (void)snprintf(text, sizeof text, "%d", left);
        struct client_reply reply = mocked_get(&mocked, "/get");
        CHECK_EQUAL(reply.status, 200);
        CHECK(reply_says(&reply, "X-RateLimit-Remaining", text));
    }
    CHECK_EQUAL(weft_sleep(4 * WEFT_SEC), 0);
    struct client_reply reply = mocked_get(&mocked, "/users/1");
    CHECK_EQUAL(reply.status, 429);
    CHECK(reply_says(&reply, "Retry-After", "6"));
    CHECK(reply_says(&reply, "X-RateLimit-Limit", "3"));
    CHECK_EQUAL(mocked_ask(&mocked, "GET", "/get", "X-Client: another\r\n", NULL).status, 200);
    CHECK_EQUAL(mocked_get(&mocked, "/health").status, 200);
    reply = mocked_get(&mocked, "/get?form=date");
    int64_t wait_ns = retry_after(&reply);
    CHECK(wait_ns >= 6 * WEFT_SEC && wait_ns <= 8 * WEFT_SEC);
    CHECK_EQUAL(weft_sleep(6 * WEFT_SEC), 0);
    CHECK_EQUAL(mocked_get(&mocked, "/get").status, 200);
    mocked_close(&mocked);
}

FIBER_TEST(a_route_has_limits_that_the_request_describes)
{
    struct mocked mocked;
    mocked_open(&mocked, (struct weft_mock_options){.retry_after_date = 1});
    CHECK_EQUAL(mocked_get(&mocked, "/limited?limit=1&window=2s").status, 200);
    struct client_reply reply = mocked_get(&mocked, "/limited?limit=1&window=2s");
    CHECK_EQUAL(reply.status, 429);
    CHECK(strstr(reply_field(&reply, "Retry-After"), "GMT") != NULL);
    reply = mocked_get(&mocked, "/limited?limit=1&window=2s&form=seconds");
    CHECK(reply_says(&reply, "Retry-After", "2"));
    CHECK_EQUAL(mocked_get(&mocked, "/limited?limit=2&window=2s").status, 200);
    CHECK_EQUAL(mocked_get(&mocked, "/limited?limit=1&window=2s&form=never").status, 422);
    CHECK_EQUAL(mocked_get(&mocked, "/limited?limit=0").status, 429);
    mocked_close(&mocked);
}

FIBER_TEST(a_429_says_when_in_both_forms)
{
    struct mocked mocked;
    mocked_open(&mocked, (struct weft_mock_options){0});
    for (int i = 0; i < 20; i++) {
        struct client_reply reply = mocked_get(&mocked, "/429");
        CHECK_EQUAL(reply.status, 429);
        int64_t wait_ns = retry_after(&reply);
        CHECK(wait_ns >= WEFT_SEC && wait_ns <= 5 * WEFT_SEC);
    }
    struct client_reply reply = mocked_get(&mocked, "/429?retry_after=90s");
    CHECK(reply_says(&reply, "Retry-After", "90"));
    reply = mocked_get(&mocked, "/429?retry_after=1500&form=date");
    int64_t wait_ns = retry_after(&reply);
    CHECK(wait_ns >= WEFT_SEC && wait_ns <= 3 * WEFT_SEC);
    reply = mocked_get(&mocked, "/status/503?retry_after=7s");
    CHECK_EQUAL(reply.status, 503);
    CHECK(reply_says(&reply, "Retry-After", "7"));
    CHECK(reply_field(&reply, "X-None") == NULL);
    mocked_close(&mocked);
}

/* ---- chance ------------------------------------------------------------------------------ */

enum {
    ASKED = 200
};

struct outcome {
    int status;
    int64_t took_ns;
};

/* What becomes of so many requests, with a mock of its own. */
static void ask_many(struct weft_mock_options options, const char *target,
                     struct outcome outcomes[ASKED])
{
    struct mocked mocked;
    mocked_open(&mocked, options);
    for (int i = 0; i < ASKED; i++) {
        int64_t begin_ns = weft_now();
        outcomes[i].status = mocked_get(&mocked, target).status;
        outcomes[i].took_ns = weft_now() - begin_ns;
        if (outcomes[i].status == 0)
            mocked_reconnect(&mocked);
    }
    mocked_close(&mocked);
}

static unsigned count_status(const struct outcome outcomes[ASKED], int status)
{
    unsigned count = 0;
    for (int i = 0; i < ASKED; i++)
        count += outcomes[i].status == status;
    return count;
}

FIBER_TEST(the_same_seed_gives_the_same_answers)
{
    static struct outcome one[ASKED], same[ASKED], other[ASKED];
    struct weft_mock_options options = {
        .seed = 42,
        .latency = "lognormal:20ms,0.7",
        .error_rate = 0.2,
        .reset_rate = 0.1,
    };
    ask_many(options, "/get", one);
    ask_many(options, "/get", same);
    CHECK(memcmp(one, same, sizeof one) == 0);
    options.seed = 43;
    ask_many(options, "/get", other);
    CHECK(memcmp(one, other, sizeof one) != 0);
    unsigned errors = count_status(one, 500), resets = count_status(one, 0);
    CHECK(errors >= 15 && errors <= 60);
    CHECK(resets >= 5 && resets <= 40);
    CHECK_EQUAL(errors + resets + count_status(one, 200), ASKED);
}

FIBER_TEST(one_chance_does_not_change_another)
{
    static struct outcome with[ASKED], without[ASKED];
    struct weft_mock_options options = {.latency = "uniform:1ms,50ms", .error_rate = 0.2};
    ask_many(options, "/get", with);
    options.error_rate = 0;
    ask_many(options, "/get", without);
    for (int i = 0; i < ASKED; i++)
        CHECK_EQUAL(with[i].took_ns, without[i].took_ns);
    options.latency = NULL;
    options.error_rate = 0.2;
    ask_many(options, "/get", without);
    for (int i = 0; i < ASKED; i++)
        CHECK_EQUAL(with[i].status, without[i].status);
}

FIBER_TEST(a_request_can_ask_for_its_own_chances)
{
    static struct outcome outcomes[ASKED];
    ask_many((struct weft_mock_options){0}, "/error-simulation?error_rate=0.5&latency=0", outcomes);
    unsigned errors = count_status(outcomes, 500);
    CHECK(errors > 70 && errors < 130);
    ask_many((struct weft_mock_options){0}, "/get?error_rate=1&error_status=503", outcomes);
    CHECK_EQUAL(count_status(outcomes, 503), ASKED);
    ask_many((struct weft_mock_options){.error_rate = 1}, "/get?error_rate=0", outcomes);
    CHECK_EQUAL(count_status(outcomes, 200), ASKED);
    ask_many((struct weft_mock_options){0}, "/get?reset_rate=1", outcomes);
    CHECK_EQUAL(count_status(outcomes, 0), ASKED);
    ask_many((struct weft_mock_options){0}, "/get?latency=uniform:2ms,4ms", outcomes);
    for (int i = 0; i < ASKED; i++)
        CHECK(outcomes[i].took_ns >= 2 * WEFT_MSEC && outcomes[i].took_ns <= 4 * WEFT_MSEC);
    ask_many((struct weft_mock_options){.latency = "1s"}, "/health", outcomes);
    for (int i = 0; i < ASKED; i++)
        CHECK_EQUAL(outcomes[i].took_ns, 0);
}

FIBER_TEST(what_cannot_be_asked_for_is_a_422)
{
    static const char *const targets[] = {
        "/get?error_rate=2",
        "/get?error_rate=-1",
        "/get?error_rate=",
        "/get?reset_rate=x",
        "/get?latency=soon",
        "/get?latency=61s",
        "/get?error_status=200",
        "/get?error_status=999",
        "/slow?rate=0",
        "/429?retry_after=forever",
        "/429?retry_after=99999999999",
        "/chunked?pieces=0",
        "/heavy-computation?complexity=10000001",
    };
    struct mocked mocked;
    mocked_open(&mocked, (struct weft_mock_options){0});
    for (size_t i = 0; i < sizeof targets / sizeof targets[0]; i++) {
        struct client_reply reply = mocked_get(&mocked, targets[i]);
        if (reply.status != 422)
            test_note("%s", targets[i]);
        CHECK_EQUAL(reply.status, 422);
        CHECK(body_has(&reply, "{\"detail\": \""));
    }
    mocked_close(&mocked);
}

/* ---- counters ---------------------------------------------------------------------------- */

FIBER_TEST(what_is_counted_is_what_was_asked)
{
    struct mocked mocked;
    struct weft_mock_stats stats;
    struct weft_mock_route_stats route;
    mocked_open(&mocked, (struct weft_mock_options){0});
    for (int i = 0; i < 3; i++)
        (void)mocked_get(&mocked, "/bytes/100");
    (void)mocked_ask(&mocked, "HEAD", "/bytes/100", NULL, NULL);
    (void)mocked_get(&mocked, "/bytes/x");
    (void)mocked_ask(&mocked, "POST", "/echo", NULL, "x");
    (void)mocked_ask(&mocked, "PUT", "/echo", NULL, "x");
    (void)mocked_get(&mocked, "/no-such-path");
    (void)mocked_ask(&mocked, "DELETE", "/get", NULL, NULL);
    CHECK_EQUAL(weft_mock_requests(mocked.mock, "/bytes/{n}"), 5);
    CHECK_EQUAL(weft_mock_answers(mocked.mock, "/bytes/{n}", 200), 4);
    CHECK_EQUAL(weft_mock_answers(mocked.mock, "/bytes/{n}", 422), 1);
    CHECK_EQUAL(weft_mock_answers(mocked.mock, "/bytes/{n}", 99), 0);
    CHECK_EQUAL(weft_mock_requests(mocked.mock, "/echo"), 2);
    CHECK_EQUAL(weft_mock_requests(mocked.mock, "/none"), 0);
    weft_mock_stats(mocked.mock, &stats);
    CHECK_EQUAL(stats.requests, 7);
    CHECK_EQUAL(stats.unrouted, 2);
    CHECK_EQUAL(stats.connections, 1);
    CHECK_EQUAL(stats.connections_now, 1);
    unsigned routes = 0;
    uint64_t requests = 0;
    for (; weft_mock_route_stats(mocked.mock, routes, &route) == 0; routes++) {
        requests += route.requests;
        CHECK_EQUAL(route.now, 0);
        if (strcmp(route.route, "/bytes/{n}") == 0)
            CHECK(route.bytes > 300 && route.bytes < 500 && route.most == 1);
    }
    CHECK_EQUAL(requests, 7);
    struct client_reply reply = mocked_get(&mocked, "/__stats");
    CHECK(body_has(&reply, "\"requests\": 7, \"unrouted\": 2, "));
    CHECK(body_has(&reply, "\"/echo\": {\"requests\": 2, "));
    CHECK(body_has(&reply, "\"status\": {\"200\": 4, \"422\": 1}}"));
    CHECK(strstr(reply.body, "__stats") == NULL);
    mocked_close(&mocked);
}

FIBER_TEST(a_reset_begins_everything_anew)
{
    struct mocked mocked;
    struct weft_mock_stats stats;
    struct outcome before[20], after[20];
    mocked_open(&mocked,
                (struct weft_mock_options){.latency = "uniform:0,1s", .rate_limit = "20/24h"});
    for (int round = 0; round < 2; round++) {
        struct outcome *outcomes = round ? after : before;
        memset(outcomes, 0, sizeof before);
        for (int i = 0; i < 20; i++) {
            int64_t begin_ns = weft_now();
            outcomes[i].status = mocked_get(&mocked, "/get").status;
            outcomes[i].took_ns = weft_now() - begin_ns;
        }
        CHECK_EQUAL(mocked_get(&mocked, "/get").status, 429);
        CHECK_EQUAL(mocked_ask(&mocked, "POST", "/__reset", NULL, NULL).status, 204);
        weft_mock_stats(mocked.mock, &stats);
        CHECK_EQUAL(stats.requests, 0);
        CHECK_EQUAL(stats.unrouted, 0);
        CHECK_EQUAL(stats.bytes, 0);
        CHECK_EQUAL(stats.connections, 0);
        CHECK_EQUAL(stats.connections_now, 1);
    }
    CHECK(memcmp(before, after, sizeof before) == 0);
    mocked_close(&mocked);
}

static int ask_slowly(void *arg)
{
    struct mocked *mocked = arg;
    struct client client;
    client_open(&client, &mocked->server);
    CHECK_EQUAL(client_ask(&client, GET("/get?latency=1s")).status, 200);
    client_close(&client);
    return 0;
}

FIBER_TEST(requests_at_once_are_counted_at_their_most)
{
    struct mocked mocked;
    struct weft_group group;
    struct weft_mock_route_stats route = {0};
    mocked_open(&mocked, (struct weft_mock_options){0});
    REQUIRE(weft_group_init(&group, NULL) == 0);
    for (int i = 0; i < 10; i++)
        CHECK_EQUAL(weft_spawn(&group, ask_slowly, &mocked), 0);
    CHECK_EQUAL(weft_group_wait(&group), 0);
    for (unsigned i = 0; weft_mock_route_stats(mocked.mock, i, &route) == 0; i++)
        if (strcmp(route.route, "/get") == 0)
            break;
    CHECK_EQUAL(route.most, 10);
    CHECK_EQUAL(route.now, 0);
    mocked_close(&mocked);
}

FIBER_TEST(who_leaves_before_the_answer_is_counted)
{
    struct mocked mocked;
    struct weft_mock_route_stats route;
    mocked_open(&mocked, (struct weft_mock_options){0});
    client_send(&mocked.client, GET("/delay/60"));
    CHECK_EQUAL(weft_sleep(WEFT_SEC), 0);
    mocked_reconnect(&mocked);
    CHECK_EQUAL(weft_sleep(WEFT_SEC), 0);
    for (unsigned i = 0; weft_mock_route_stats(mocked.mock, i, &route) == 0; i++) {
        CHECK_EQUAL(route.abandoned, strcmp(route.route, "/delay/{s}") == 0);
        CHECK_EQUAL(route.now, 0);
    }
    CHECK_EQUAL(weft_mock_answers(mocked.mock, "/delay/{s}", 200), 0);
    mocked_close(&mocked);
}

/* ---- options and ends -------------------------------------------------------------------- */

FIBER_TEST(options_that_cannot_be_are_refused_with_a_sentence)
{
    static const struct {
        struct weft_mock_options options;
        const char *sentence;
    } cases[] = {
        {{.listen = "8080"}, "is no address to listen on"},
        {{.listen = "0.0.0.0:0"}, "can be reached from other machines"},
        {{.listen = "[::]:0"}, "can be reached from other machines"},
        {{.latency = "soon"}, "the latency \"soon\" is not one"},
        {{.rate_limit = "often"}, "the rate limit \"often\" is not one"},
        {{.error_rate = 1.5}, "between 0 and 1"},
        {{.reset_rate = -0.1}, "between 0 and 1"},
        {{.robots_status = 100}, "the status of robots.txt"},
        {{.workers = 65}, "at most 64 workers"},
        {{.site = {.pages = 10000001}}, "at most 10000000 pages"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct weft_mock *mock = NULL;
        struct weft_mock_options options = cases[i].options;
        char error[256] = "";
        if (!options.listen)
            options.listen = "127.0.0.1:0";
        CHECK_EQUAL(weft_mock_open(&mock, &options, error, sizeof error), -EINVAL);
        CHECK(mock == NULL);
        CHECK(strstr(error, cases[i].sentence) != NULL);
        CHECK_EQUAL(weft_mock_open(&mock, &options, NULL, 0), -EINVAL);
    }
}

FIBER_TEST(an_address_in_use_is_said_to_be)
{
    struct mocked mocked;
    struct weft_mock *other = NULL;
    char error[256] = "", listen[32];
    mocked_open(&mocked, (struct weft_mock_options){0});
    (void)snprintf(listen, sizeof listen, "127.0.0.1:%u", weft_mock_port(mocked.mock));
    CHECK_EQUAL(
        weft_mock_open(&other, &(struct weft_mock_options){.listen = listen}, error, sizeof error),
        -EADDRINUSE);
    CHECK(strstr(error, "cannot listen on 127.0.0.1 port") != NULL);
    CHECK(strstr(weft_mock_url(mocked.mock), listen) != NULL);
    mocked_close(&mocked);
}

FIBER_TEST(a_drain_lets_answers_under_way_go_out)
{
    struct mocked mocked;
    mocked_open(&mocked, (struct weft_mock_options){0});
    client_send(&mocked.client, GET("/delay/5"));
    CHECK_EQUAL(weft_sleep(WEFT_SEC), 0);
    weft_mock_drain(mocked.mock);
    struct client_reply reply = client_receive(&mocked.client);
    CHECK_EQUAL(reply.status, 200);
    CHECK(reply_says(&reply, "Connection", "close"));
    mocked_close(&mocked);
}

FIBER_TEST(a_cancelled_mock_cuts_its_connections)
{
    struct mocked mocked;
    mocked_open(&mocked, (struct weft_mock_options){0});
    client_send(&mocked.client, GET("/delay/60"));
    CHECK_EQUAL(weft_sleep(WEFT_SEC), 0);
    weft_group_cancel(&mocked.group, 0);
    CHECK_EQUAL(weft_group_wait(&mocked.group), 0);
    CHECK_EQUAL(mocked.task.result, -ECANCELED);
    CHECK_EQUAL(client_receive(&mocked.client).status, 0);
    client_close(&mocked.client);
    weft_mock_close(mocked.mock);
}

FIBER_TEST(a_mock_that_never_ran_can_be_closed)
{
    struct weft_mock *mock = NULL;
    CHECK_EQUAL(
        weft_mock_open(&mock, &(struct weft_mock_options){.listen = "127.0.0.1:0"}, NULL, 0), 0);
    weft_mock_close(mock);
    weft_mock_close(NULL);
    weft_mock_stop(NULL);
}

FIBER_TEST(more_workers_than_the_runtime_has_are_refused)
{
    struct weft_mock *mock = NULL;
    const struct weft_mock_options options = {.listen = "127.0.0.1:0", .workers = 2};
    REQUIRE(weft_mock_open(&mock, &options, NULL, 0) == 0);
    CHECK_EQUAL(weft_mock_run(mock), -EINVAL);
    weft_mock_close(mock);
}
