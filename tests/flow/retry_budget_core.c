/* SPDX-License-Identifier: MIT */
#include "test.h"

#include <base/random.h>
#include <flow/retry_budget_core.h>

static unsigned take_all(struct weft_share *share, const struct weft_share_rule *rule,
                         int64_t now_ns)
{
    unsigned taken = 0;
    while (weft_share_take(share, rule, now_ns))
        taken++;
    return taken;
}

/* 20 %, 10 per second, 10 s: Finagle's defaults. */
static struct weft_share_rule finagle(void)
{
    return weft_share_rule(0.2, 10, 10 * WEFT_SEC);
}

TEST(an_idle_budget_has_100_retries)
{
    struct weft_share share = {0};
    struct weft_share_rule rule = finagle();
    CHECK_EQUAL(take_all(&share, &rule, WEFT_SEC), 100);
}

TEST(after_1000_requests_it_has_300)
{
    struct weft_share share = {0};
    struct weft_share_rule rule = finagle();
    for (unsigned i = 0; i < 1000; i++)
        weft_share_call(&share, &rule, WEFT_SEC);
    CHECK_EQUAL(take_all(&share, &rule, WEFT_SEC), 300);
}

TEST(what_calls_have_earned_expires)
{
    struct weft_share share = {0};
    struct weft_share_rule rule = finagle();
    for (unsigned i = 0; i < 1000; i++)
        weft_share_call(&share, &rule, WEFT_SEC);
    CHECK(weft_share_balance(&share, &rule, 10 * WEFT_SEC) > 299);
    CHECK(weft_share_balance(&share, &rule, 11 * WEFT_SEC) < 101);
    CHECK_EQUAL(take_all(&share, &rule, 11 * WEFT_SEC), 100);
}

TEST(what_was_spent_comes_back_with_time)
{
    struct weft_share share = {0};
    struct weft_share_rule rule = finagle();
    CHECK_EQUAL(take_all(&share, &rule, WEFT_SEC), 100);
    CHECK_EQUAL(take_all(&share, &rule, 10 * WEFT_SEC), 0);
    CHECK_EQUAL(take_all(&share, &rule, 11 * WEFT_SEC), 100);
}

TEST(a_returned_retry_is_there_again_but_only_once)
{
    struct weft_share share = {0};
    struct weft_share_rule rule = finagle();
    CHECK_EQUAL(take_all(&share, &rule, WEFT_SEC), 100);
    weft_share_return(&share, &rule, WEFT_SEC, 5 * WEFT_SEC);
    CHECK_EQUAL(take_all(&share, &rule, 5 * WEFT_SEC), 1);
    weft_share_return(&share, &rule, WEFT_SEC, 12 * WEFT_SEC); /* forgotten by then */
    CHECK_EQUAL(take_all(&share, &rule, 12 * WEFT_SEC), 99);   /* one since was at 5 s */
    weft_share_return(&share, &rule, 30 * WEFT_SEC, 12 * WEFT_SEC);
    CHECK_EQUAL(take_all(&share, &rule, 12 * WEFT_SEC), 1);
}

TEST(time_that_goes_back_stays)
{
    struct weft_share share = {0};
    struct weft_share_rule rule = finagle();
    CHECK_EQUAL(take_all(&share, &rule, 100 * WEFT_SEC), 100);
    CHECK_EQUAL(take_all(&share, &rule, WEFT_SEC), 0);
    CHECK_EQUAL(take_all(&share, &rule, 105 * WEFT_SEC), 0);
}

TEST(without_a_minimum_only_calls_earn_retries)
{
    struct weft_share share = {0};
    struct weft_share_rule rule = weft_share_rule(0.2, 0, 10 * WEFT_SEC);
    CHECK(!weft_share_take(&share, &rule, WEFT_SEC));
    for (unsigned i = 0; i < 4; i++)
        weft_share_call(&share, &rule, WEFT_SEC);
    CHECK(!weft_share_take(&share, &rule, WEFT_SEC));
    weft_share_call(&share, &rule, WEFT_SEC);
    CHECK(weft_share_take(&share, &rule, WEFT_SEC));
    CHECK(!weft_share_take(&share, &rule, WEFT_SEC));
}

TEST(the_largest_budget_does_not_overflow)
{
    struct weft_share share = {0};
    struct weft_share_rule rule = weft_share_rule(1000, 1e6, 3600 * WEFT_SEC);
    share.slices[0] = share.sum = INT64_MAX / 64;
    weft_share_call(&share, &rule, 1);
    CHECK(weft_share_balance(&share, &rule, 1) > 0);
    CHECK(weft_share_take(&share, &rule, WEFT_FOREVER));
}

/* In any order of calls, takes, returns and steps of time: never more retries in ttl than the
 * reserve and what the calls of the last ttl have earned. */
TEST(no_schedule_gets_more_than_the_ratio_and_the_floor)
{
    for (uint64_t seed = 1; seed <= 200; seed++) {
        struct weft_random random;
        struct weft_share share = {0};
        struct weft_share_rule rule = weft_share_rule(0.2, 1, 10 * WEFT_SEC);
        int64_t now_ns = WEFT_SEC, calls = 0, taken = 0;
        weft_random_seed(&random, seed);
        for (unsigned i = 0; i < 2000; i++) {
            now_ns += (int64_t)weft_random_below(&random, 50 * WEFT_MSEC);
            if (weft_random_below(&random, 2)) {
                weft_share_call(&share, &rule, now_ns);
                calls++;
            } else if (weft_share_take(&share, &rule, now_ns)) {
                taken++;
                if (weft_random_below(&random, 8) == 0) {
                    weft_share_return(&share, &rule, now_ns, now_ns);
                    taken--;
                }
            }
        }
        int64_t windows = (now_ns - WEFT_SEC) / (9 * WEFT_SEC) + 1;
        if (taken * 5 > calls + windows * 50) {
            CHECK(taken * 5 <= calls + windows * 50);
            test_note("seed %llu", (unsigned long long)seed);
        }
        int64_t sum = 0;
        for (unsigned i = 0; i < WEFT_SHARE_SLICES; i++)
            sum += share.slices[i];
        CHECK_EQUAL(sum, share.sum);
    }
}

TEST(five_failures_stop_retries_and_one_success_allows_them_again)
{
    struct weft_token_rule rule = weft_token_rule(10, 0.1);
    int64_t tokens = rule.max;
    for (unsigned i = 0; i < 5; i++) {
        CHECK(weft_tokens_allow(tokens, &rule));
        tokens = weft_tokens_after_failure(tokens);
    }
    CHECK_EQUAL(tokens, 5 * WEFT_TOKEN_UNIT);
    CHECK(!weft_tokens_allow(tokens, &rule));
    tokens = weft_tokens_after_success(tokens, &rule);
    CHECK_EQUAL(tokens, 5100);
    CHECK(weft_tokens_allow(tokens, &rule));
}

TEST(tokens_stay_between_none_and_all)
{
    struct weft_token_rule rule = weft_token_rule(10, 0.1);
    CHECK_EQUAL(weft_tokens_after_failure(500), 0);
    CHECK_EQUAL(weft_tokens_after_failure(0), 0);
    CHECK_EQUAL(weft_tokens_after_success(9950, &rule), 10000);
}
