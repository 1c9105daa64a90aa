/* SPDX-License-Identifier: MIT
 * rules.c - what is decided from arguments alone: retries, breakers, delays, redirects, URLs, the
 * ceiling. */
#include "test.h"

#include <fetch/rules.h>
#include <fetch/summary.h>
#include <fetch/url.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- retries ------------------------------------------------------------------------------ */

/* Which methods may be tried again: bits of who below. */
#define SAFE       1 /* GET HEAD OPTIONS TRACE */
#define REPEATABLE 2 /* PUT DELETE */
#define OTHERS     4 /* POST PATCH and what nobody knows */
#define KEYED      8 /* others with an Idempotency-Key */
#define ALL        15

static const struct {
    const char *method;
    bool has_key;
    int who;
} senders[] = {
    {"GET", false, SAFE},    {"HEAD", false, SAFE},      {"OPTIONS", false, SAFE},
    {"TRACE", false, SAFE},  {"PUT", false, REPEATABLE}, {"DELETE", false, REPEATABLE},
    {"POST", false, OTHERS}, {"PATCH", false, OTHERS},   {"FROBNICATE", false, OTHERS},
    {"get", false, OTHERS},  {"POST", true, KEYED},      {"PATCH", true, KEYED},
};

static const struct {
    int err, status;
    bool sent;
    int who;
} ends[] = {
    {-ECONNREFUSED, 0, false, ALL},
    {-EHOSTUNREACH, 0, false, ALL},
    {-ENETUNREACH, 0, false, ALL},
    {-EADDRNOTAVAIL, 0, false, ALL}, /* no such name */
    {-EAGAIN, 0, false, ALL},        /* no name service */
    {-ETIMEDOUT, 0, false, ALL},
    {-ECONNRESET, 0, false, ALL},
    {-EPIPE, 0, false, ALL},
    {-EPROTO, 0, false, ALL}, /* TLS broke off */
    {-ETIMEDOUT, 0, true, SAFE | REPEATABLE | KEYED},
    {-ECONNRESET, 0, true, SAFE | REPEATABLE | KEYED},
    {-ECONNABORTED, 0, true, SAFE | REPEATABLE | KEYED},
    {-EPIPE, 0, true, SAFE | REPEATABLE | KEYED},
    {-EPROTO, 0, true, 0},
    {-EKEYREJECTED, 0, false, 0},
    {-ENOKEY, 0, false, 0},
    {-EACCES, 0, false, 0},
    {-EINVAL, 0, false, 0},
    {-EPROTONOSUPPORT, 0, false, 0},
    {-EMSGSIZE, 0, true, 0},
    {-ELOOP, 0, true, 0},
    {-ECANCELED, 0, false, 0},
    {-ENOMEM, 0, false, 0},
    {-EMFILE, 0, false, 0},
    {WEFT_EOPEN, 0, false, 0},
    {WEFT_ELIMIT, 0, false, 0},
    {WEFT_EFULL, 0, false, 0},
    {0, 200, true, 0},
    {0, 204, true, 0},
    {0, 301, true, 0},
    {0, 304, true, 0},
    {0, 400, true, 0},
    {0, 401, true, 0},
    {0, 403, true, 0},
    {0, 404, true, 0},
    {0, 408, true, ALL},
    {0, 409, true, 0},
    {0, 410, true, 0},
    {0, 421, true, 0},
    {0, 425, true, ALL},
    {0, 429, true, ALL},
    {0, 500, true, SAFE},
    {0, 501, true, 0},
    {0, 502, true, SAFE | REPEATABLE | KEYED},
    {0, 503, true, SAFE | REPEATABLE | KEYED},
    {0, 504, true, SAFE | REPEATABLE | KEYED},
    {0, 505, true, 0},
    {0, 507, true, 0},
};

TEST(what_is_tried_again_is_as_the_table_says)
{
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        for (size_t j = 0; j < sizeof senders / sizeof senders[0]; j++) {
            const struct weft_fetch_end end = {
                .method = senders[j].method,
                .has_key = senders[j].has_key,
                .sent = ends[i].sent,
                .err = ends[i].err,
                .status = ends[i].status,
            };
            bool expected = (ends[i].who & senders[j].who) != 0;
            if (weft_fetch_may_retry(&end) != expected)
                test_note("%s%s, err %d, status %d, %s", end.method, end.has_key ? " with key" : "",
                          end.err, end.status, end.sent ? "sent" : "not sent");
            CHECK(weft_fetch_may_retry(&end) == expected);
        }
    }
}

TEST(safe_methods_are_idempotent_and_others_are_neither)
{
    CHECK(weft_fetch_is_safe("GET") && weft_fetch_is_idempotent("GET"));
    CHECK(!weft_fetch_is_safe("PUT") && weft_fetch_is_idempotent("PUT"));
    CHECK(!weft_fetch_is_safe("DELETE") && weft_fetch_is_idempotent("DELETE"));
    CHECK(!weft_fetch_is_safe("POST") && !weft_fetch_is_idempotent("POST"));
    CHECK(!weft_fetch_is_safe("Get") && !weft_fetch_is_idempotent(""));
}

TEST(a_breaker_hears_of_failures_of_the_host_and_of_nothing_else)
{
    static const int failures[] = {-ETIMEDOUT,    -ECONNREFUSED, -EADDRNOTAVAIL,
                                   -EKEYREJECTED, -ECONNRESET,   -EPROTO};
    static const int ignored[] = {-ECANCELED, -EINVAL,    -EMFILE,    -ENOMEM,    -EACCES,
                                  -EMSGSIZE,  WEFT_EOPEN, WEFT_EFULL, WEFT_ELIMIT};
    static const int answers[] = {200, 204, 301, 304, 400, 401, 403, 404, 410, 418, 451};
    static const int troubles[] = {408, 429, 500, 502, 503, 504, 599};
    for (size_t i = 0; i < sizeof failures / sizeof failures[0]; i++)
        CHECK_EQUAL(weft_fetch_judge(failures[i], 0), WEFT_BREAKER_FAILURE);
    for (size_t i = 0; i < sizeof ignored / sizeof ignored[0]; i++)
        CHECK_EQUAL(weft_fetch_judge(ignored[i], 0), WEFT_BREAKER_IGNORED);
    for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++)
        CHECK_EQUAL(weft_fetch_judge(0, answers[i]), WEFT_BREAKER_SUCCESS);
    for (size_t i = 0; i < sizeof troubles / sizeof troubles[0]; i++)
        CHECK_EQUAL(weft_fetch_judge(0, troubles[i]), WEFT_BREAKER_FAILURE);
}

TEST(every_failure_has_a_class_and_an_answer_has_none)
{
    CHECK(weft_fetch_kind_name(weft_fetch_kind_of(0)) == NULL);
    for (int err = 1; err < 200; err++)
        CHECK(weft_fetch_kind_name(weft_fetch_kind_of(-err)) != NULL);
    CHECK(strcmp(weft_fetch_kind_name(weft_fetch_kind_of(-ETIMEDOUT)), "timeout") == 0);
    CHECK(strcmp(weft_fetch_kind_name(weft_fetch_kind_of(-ECONNREFUSED)), "connect") == 0);
    CHECK(strcmp(weft_fetch_kind_name(weft_fetch_kind_of(-EKEYREJECTED)), "tls") == 0);
    CHECK(strcmp(weft_fetch_kind_name(weft_fetch_kind_of(WEFT_EOPEN)), "breaker") == 0);
    CHECK(strcmp(weft_fetch_kind_name(weft_fetch_kind_of(-12345)), "other") == 0);
}

/* ---- delays ------------------------------------------------------------------------------- */

#define HALF ((uint64_t)1 << 63)

/* The vectors of the simulator behind "Exponential Backoff and Jitter": every draw in the middle.
 */
TEST(delays_grow_with_full_jitter_up_to_the_cap)
{
    static const int64_t middle_ms[] = {50, 100, 200, 400, 800, 1600, 3200, 5000, 5000};
    for (unsigned n = 0; n < 9; n++)
        CHECK_EQUAL(weft_fetch_backoff(100 * WEFT_MSEC, 10 * WEFT_SEC, n, HALF),
                    middle_ms[n] * WEFT_MSEC);
    CHECK_EQUAL(weft_fetch_backoff(100 * WEFT_MSEC, 10 * WEFT_SEC, 3, 0), 0);
    CHECK(weft_fetch_backoff(100 * WEFT_MSEC, 10 * WEFT_SEC, 3, UINT64_MAX) < 800 * WEFT_MSEC);
}

TEST(clients_at_the_cap_do_not_come_back_in_step)
{
    int64_t low_ns = INT64_MAX, high_ns = 0;
    for (uint64_t i = 0; i < 16; i++) {
        int64_t delay_ns = weft_fetch_backoff(WEFT_SEC, 4 * WEFT_SEC, 60, i << 60);
        low_ns = delay_ns < low_ns ? delay_ns : low_ns;
        high_ns = delay_ns > high_ns ? delay_ns : high_ns;
    }
    CHECK_EQUAL(low_ns, 0);
    CHECK(high_ns > 3 * WEFT_SEC && high_ns <= 4 * WEFT_SEC);
}

TEST(delays_do_not_overflow)
{
    for (unsigned n = 0; n < 200; n++) {
        int64_t delay_ns = weft_fetch_backoff(INT64_MAX / 2 + 1, INT64_MAX, n, UINT64_MAX);
        CHECK(delay_ns >= 0);
    }
    CHECK_EQUAL(weft_fetch_backoff(1, 1, 5, UINT64_MAX), 0);
    CHECK_EQUAL(weft_fetch_backoff(10 * WEFT_SEC, WEFT_SEC, 0, HALF), WEFT_SEC / 2);
}

/* ---- redirects ---------------------------------------------------------------------------- */

TEST(redirects_change_the_method_as_the_standard_says)
{
    static const struct {
        int status;
        const char *method, *next;
        bool follows, without_body;
    } cases[] = {
        {301, "GET", "GET", true, false},       {301, "POST", "GET", true, true},
        {301, "PUT", "PUT", true, false},       {302, "POST", "GET", true, true},
        {302, "DELETE", "DELETE", true, false}, {303, "POST", "GET", true, true},
        {303, "PUT", "GET", true, true},        {303, "HEAD", "HEAD", true, false},
        {303, "GET", "GET", true, false},       {307, "POST", "POST", true, false},
        {308, "POST", "POST", true, false},     {300, "GET", "GET", false, false},
        {304, "GET", "GET", false, false},      {305, "GET", "GET", false, false},
        {200, "GET", "GET", false, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct weft_fetch_turn turn = weft_fetch_turn_of(cases[i].status, cases[i].method);
        CHECK(turn.follows == cases[i].follows);
        CHECK(turn.without_body == cases[i].without_body);
        CHECK(strcmp(turn.method, cases[i].next) == 0);
    }
    CHECK(weft_fetch_is_private("authorization") && weft_fetch_is_private("Cookie"));
    CHECK(!weft_fetch_is_private("Accept"));
}

/* ---- URLs --------------------------------------------------------------------------------- */

TEST(a_url_has_one_origin_however_it_is_written)
{
    static const struct {
        const char *url, *origin, *target;
    } cases[] = {
        {"http://a/", "http://a:80", "/"},
        {"HTTP://A.example", "http://a.example:80", ""},
        {"http://a:80/x?y=z#w", "http://a:80", "/x?y=z"},
        {"http://a:/x", "http://a:80", "/x"},
        {"https://a", "https://a:443", ""},
        {"https://a:8443?q", "https://a:8443", "?q"},
        {"http://user:pass@a:81/", "http://a:81", "/"},
        {"http://u@v@a/", "http://a:80", "/"},
        {"http://[::1]:8080/p", "http://[::1]:8080", "/p"},
        {"http://127.0.0.1/", "http://127.0.0.1:80", "/"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct weft_fetch_url url;
        const char *wrong = weft_fetch_url_parse(&url, cases[i].url);
        if (wrong)
            test_note("%s: %s", cases[i].url, wrong);
        CHECK(!wrong);
        CHECK(!wrong && strcmp(url.origin, cases[i].origin) == 0);
        CHECK(!wrong && strlen(url.origin) == url.origin_len);
        CHECK(!wrong && url.target_len == strlen(cases[i].target) &&
              memcmp(url.target, cases[i].target, url.target_len) == 0);
    }
}

TEST(what_readers_of_urls_disagree_on_is_refused)
{
    static const char *const urls[] = {
        "",
        "a",
        "ftp://a/",
        "http:/a",
        "http://",
        "http:///x",
        "http://a b/",
        "http://a/\r\nX:",
        "http://a:0/",
        "http://a:65536/",
        "http://a:x",
        "http://[::1",
        "http://[::1]x/",
        "http://a\\b/",
        "http://a%2eb/",
        "http://a/\t",
        "http://a|b",
        "http://[::1]:",
        "http://\x01/",
    };
    for (size_t i = 0; i < sizeof urls / sizeof urls[0]; i++) {
        struct weft_fetch_url url;
        bool fine = strcmp(urls[i], "http://[::1]:") == 0; /* the default port, says RFC 3986 */
        CHECK((weft_fetch_url_parse(&url, urls[i]) == NULL) == fine);
    }
    char *endless = malloc(70000);
    REQUIRE(endless);
    memset(endless, 'a', 69999);
    memcpy(endless, "http://a/", 9);
    endless[69999] = '\0';
    struct weft_fetch_url url;
    CHECK(weft_fetch_url_parse(&url, endless) != NULL);
    free(endless);
}

TEST(paths_that_have_to_be_made_plain_are_libcurls)
{
    static const struct {
        const char *url;
        bool is_plain;
    } cases[] = {
        {"http://a/", true},
        {"http://a/x/y?z=/../w", true},
        {"http://a", false},
        {"http://a?x", false},
        {"http://a/./b", false},
        {"http://a/../b", false},
        {"http://a/b/..", false},
        {"http://a/b/.", false},
        {"http://a/.well-known/x", true},
        {"http://a/..b/...", true},
        {"http://a/\xc3\xa4", false},
        {"http://a/.?x", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct weft_fetch_url url;
        CHECK(weft_fetch_url_parse(&url, cases[i].url) == NULL);
        if (url.is_plain != cases[i].is_plain)
            test_note("%s", cases[i].url);
        CHECK(url.is_plain == cases[i].is_plain);
    }
}

static bool joins(const char *base, const char *location, const char *expected)
{
    char *url = NULL;
    int err = weft_fetch_url_join(base, location, &url);
    bool same = err == 0 ? expected && strcmp(url, expected) == 0 : !expected && err == -EINVAL;
    if (!same)
        test_note("%s + %s: %d %s", base, location, err, err == 0 ? url : "");
    if (err == 0)
        free(url);
    return same;
}

TEST(a_location_is_taken_from_where_it_was_met)
{
    CHECK(joins("http://a/b/c", "/d", "http://a/d"));
    CHECK(joins("http://a/b/c", "d?e", "http://a/b/d?e"));
    CHECK(joins("http://a/b/c", "../d", "http://a/d"));
    CHECK(joins("http://a/b/c", "//e/f", "http://e/f"));
    CHECK(joins("http://a/b/c", "https://e/f#g", "https://e/f"));
    CHECK(joins("http://a/b/c", "a b", "http://a/b/a%20b"));
    CHECK(joins("http://a/b/c", "http://[", NULL));
}

/* ---- the ceiling -------------------------------------------------------------------------- */

TEST(the_ceiling_is_littles_law)
{
    struct weft_fetcher_options options = {.concurrency = 100};
    unsigned places;
    CHECK_EQUAL(weft_fetch_ceiling(&options, 1, 5 * WEFT_MSEC, &places), 20000);
    CHECK_EQUAL(places, 100);
    /* What the limit of a host leaves: the reason for a famous factor of 20. */
    options.host_concurrency = 20;
    CHECK_EQUAL(weft_fetch_ceiling(&options, 1, 5500000, &places), 3636);
    CHECK_EQUAL(places, 20);
    CHECK_EQUAL(weft_fetch_ceiling(&options, 3, 5 * WEFT_MSEC, &places), 12000);
    CHECK_EQUAL(weft_fetch_ceiling(&options, 50, 5 * WEFT_MSEC, &places), 20000);
    options.rate_per_s = 50;
    CHECK_EQUAL(weft_fetch_ceiling(&options, 50, 5 * WEFT_MSEC, &places), 50);
    options.host_rate_per_s = 7;
    CHECK_EQUAL(weft_fetch_ceiling(&options, 2, 5 * WEFT_MSEC, &places), 14);
    CHECK_EQUAL(weft_fetch_ceiling(&options, 0, 0, &places), 0);
}
