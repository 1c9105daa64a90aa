/* SPDX-License-Identifier: MIT
 * limiter_core.c - what each kind of limiter gives and when: vectors by hand, and the promises of
 * weft/limiter.h over random schedules. */
#include "test.h"

#include <base/random.h>
#include <flow/limiter_core.h>

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define START_NS (1000 * WEFT_SEC)

static struct weft_limit rule;
static struct weft_limit_state state;

static void begin(enum weft_limiter_kind kind, double count, int64_t period_ns, uint32_t burst)
{
    const struct weft_limiter_rate rate = {count, period_ns, burst};
    REQUIRE(weft_limit_init(&rule, kind, &rate) == 0);
    REQUIRE(weft_limit_start(&state, &rule, rule.slots, START_NS) == 0);
}

/* Times in the vectors are counted from START_NS. */
static bool take(uint32_t count, int64_t at_ns)
{
    return weft_limit_take(&rule, &state, count, START_NS + at_ns);
}

static int64_t earliest(uint64_t ahead, uint32_t count, int64_t now_ns)
{
    return weft_limit_earliest(&rule, &state, ahead, count, START_NS + now_ns) - START_NS;
}

static int64_t reserve(uint32_t count, int64_t now_ns)
{
    int64_t at_ns = weft_limit_earliest(&rule, &state, 0, count, START_NS + now_ns);
    weft_limit_give(&rule, &state, count, at_ns);
    return at_ns - START_NS;
}

static double available(int64_t now_ns)
{
    return weft_limit_available(&rule, &state, START_NS + now_ns);
}

static void change(double count, int64_t period_ns, uint32_t burst, int64_t now_ns)
{
    const struct weft_limiter_rate rate = {count, period_ns, burst};
    struct weft_limit new_rule;
    REQUIRE(weft_limit_init(&new_rule, rule.kind, &rate) == 0);
    weft_limit_change(&rule, &state, &new_rule, START_NS + now_ns);
    rule = new_rule;
}

/* ---- vectors ------------------------------------------------------------------------------ */

TEST(a_token_bucket_refills_in_fractions_by_the_time_that_passed)
{
    begin(WEFT_LIMITER_TOKEN_BUCKET, 10, WEFT_SEC, 3);
    CHECK(take(1, 0) && take(2, 0));
    CHECK(!take(1, 0));
    CHECK_EQUAL(earliest(0, 1, 0), 100 * WEFT_MSEC);
    CHECK(!take(1, 99999999));
    CHECK(available(50 * WEFT_MSEC) < 1); /* looked at often, it loses nothing */
    CHECK(take(1, 100 * WEFT_MSEC));
    CHECK(fabs(available(150 * WEFT_MSEC) - 0.5) < 1e-9);
    CHECK_EQUAL(earliest(0, 2, 150 * WEFT_MSEC), 300 * WEFT_MSEC);
    CHECK_EQUAL(earliest(2, 1, 150 * WEFT_MSEC), 400 * WEFT_MSEC);
    CHECK(available(100 * WEFT_SEC) == 3);
    CHECK(take(3, 100 * WEFT_SEC) && !take(1, 100 * WEFT_SEC));
}

TEST(a_rate_below_one_permit_per_period_works)
{
    begin(WEFT_LIMITER_TOKEN_BUCKET, 0.5, WEFT_SEC, 0);
    CHECK(take(1, 0));
    CHECK_EQUAL(earliest(0, 1, 0), 2 * WEFT_SEC);
    CHECK_EQUAL(earliest(0, 2, 0) + START_NS, WEFT_FOREVER);
    begin(WEFT_LIMITER_LEAKY, 1.0 / 3, WEFT_SEC, 0);
    CHECK(take(1, 0));
    CHECK_EQUAL(earliest(0, 1, 0), 3 * WEFT_SEC);
}

TEST(gcra_allows_when_the_arrival_time_is_no_further_ahead_than_tau)
{
    begin(WEFT_LIMITER_GCRA, 10, WEFT_SEC, 3);     /* T = 100 ms, tau = 200 ms */
    CHECK(take(1, 0) && take(1, 0) && take(1, 0)); /* TAT = 300 ms */
    CHECK(!take(1, 99999999));
    CHECK(take(1, 100 * WEFT_MSEC)); /* TAT - now = 200 ms; then TAT = 400 ms */
    CHECK_EQUAL(earliest(0, 1, 150 * WEFT_MSEC), 200 * WEFT_MSEC);
    CHECK_EQUAL(earliest(0, 3, 150 * WEFT_MSEC), 400 * WEFT_MSEC);
    CHECK(take(1, WEFT_SEC)); /* TAT = now + T */
    CHECK(fabs(available(WEFT_SEC) - 2) < 1e-9);
}

TEST(gcra_keeps_fractions_of_a_nanosecond)
{
    begin(WEFT_LIMITER_GCRA, 3, 10, 1); /* T = 3.33 ns */
    int64_t at_ns = 0;
    for (int i = 0; i < 3000; i++)
        at_ns = reserve(1, at_ns);
    CHECK_EQUAL(at_ns, 9997);
}

TEST(a_sliding_log_forgets_each_permit_one_window_after_it_was_given)
{
    begin(WEFT_LIMITER_SLIDING_LOG, 3, WEFT_SEC, 0);
    CHECK(take(1, 0) && take(2, 500 * WEFT_MSEC) && !take(1, 999999999));
    CHECK_EQUAL(earliest(0, 1, 600 * WEFT_MSEC), WEFT_SEC);
    CHECK_EQUAL(earliest(0, 2, 600 * WEFT_MSEC), 1500 * WEFT_MSEC);
    CHECK_EQUAL(earliest(3, 1, 600 * WEFT_MSEC), 2 * WEFT_SEC); /* a window after the first */
    CHECK(take(1, WEFT_SEC) && !take(1, WEFT_SEC));
    CHECK(available(1500 * WEFT_MSEC) == 2);
    weft_limit_stop(&state, &rule);
}

TEST(a_sliding_counter_weights_the_last_window)
{
    begin(WEFT_LIMITER_SLIDING_COUNTER, 10, WEFT_SEC, 0);
    CHECK(take(10, 900 * WEFT_MSEC) && !take(1, 999 * WEFT_MSEC));
    CHECK_EQUAL(earliest(0, 1, 900 * WEFT_MSEC), 1100 * WEFT_MSEC);
    CHECK_EQUAL(earliest(0, 10, 900 * WEFT_MSEC), 2 * WEFT_SEC);
    CHECK(take(5, 1500 * WEFT_MSEC) && !take(1, 1500 * WEFT_MSEC));
    CHECK_EQUAL(earliest(0, 5, 1500 * WEFT_MSEC), 2 * WEFT_SEC);
    CHECK(available(2500 * WEFT_MSEC) == 7.5);
}

TEST(a_leaky_bucket_spaces_permits_and_has_no_burst)
{
    begin(WEFT_LIMITER_LEAKY, 10, WEFT_SEC, 0);
    CHECK(take(1, 0) && !take(1, 99999999) && take(3, 100 * WEFT_MSEC));
    CHECK_EQUAL(earliest(0, 1, 100 * WEFT_MSEC), 400 * WEFT_MSEC);
    CHECK_EQUAL(earliest(2, 1, 100 * WEFT_MSEC), 600 * WEFT_MSEC);
    CHECK(take(1, 100 * WEFT_SEC) && !take(1, 100 * WEFT_SEC)); /* idle time is not saved up */
}

TEST(what_was_reserved_is_paid_for_before_anybody_else_gets_something)
{
    static const enum weft_limiter_kind kinds[] = {WEFT_LIMITER_TOKEN_BUCKET, WEFT_LIMITER_GCRA,
                                                   WEFT_LIMITER_LEAKY};
    for (unsigned i = 0; i < 3; i++) {
        begin(kinds[i], 10, WEFT_SEC, kinds[i] == WEFT_LIMITER_LEAKY ? 0 : 1);
        CHECK_EQUAL(reserve(1, 0), 0);
        CHECK_EQUAL(reserve(1, 0), 100 * WEFT_MSEC);
        CHECK_EQUAL(reserve(1, 0), 200 * WEFT_MSEC);
        CHECK(available(0) < -1.9 || kinds[i] == WEFT_LIMITER_LEAKY);
        CHECK(!take(1, 250 * WEFT_MSEC) && take(1, 300 * WEFT_MSEC));
    }
}

TEST(a_reservation_taken_back_leaves_what_later_ones_were_not_promised)
{
    begin(WEFT_LIMITER_TOKEN_BUCKET, 1, WEFT_SEC, 1);
    CHECK(take(1, 0));
    CHECK_EQUAL(reserve(1, 0), 1 * WEFT_SEC);
    CHECK_EQUAL(reserve(1, 0), 2 * WEFT_SEC);
    weft_limit_retract(&rule, &state, 1, START_NS + WEFT_SEC, START_NS);
    CHECK_EQUAL(earliest(0, 1, 0), 3 * WEFT_SEC); /* the one at 2 s holds its place */
    weft_limit_retract(&rule, &state, 1, START_NS + 2 * WEFT_SEC, START_NS);
    CHECK_EQUAL(earliest(0, 1, 0), 2 * WEFT_SEC);
}

TEST(a_reservation_taken_back_twice_never_fills_more_than_the_burst)
{
    begin(WEFT_LIMITER_TOKEN_BUCKET, 1, WEFT_SEC, 2);
    CHECK(take(2, 0));
    CHECK_EQUAL(reserve(2, 0), 2 * WEFT_SEC);
    for (int i = 0; i < 3; i++)
        weft_limit_retract(&rule, &state, 2, START_NS + 2 * WEFT_SEC, START_NS);
    CHECK(available(0) == 2);
}

TEST(a_log_remembers_through_a_reservation_taken_back_and_a_longer_period)
{
    begin(WEFT_LIMITER_SLIDING_LOG, 1, WEFT_SEC, 0);
    CHECK(take(1, 0));
    CHECK_EQUAL(reserve(1, 0), WEFT_SEC);
    weft_limit_retract(&rule, &state, 1, START_NS + WEFT_SEC, START_NS + 1);
    CHECK_EQUAL(earliest(0, 1, 1), WEFT_SEC);
    change(1, 10 * WEFT_SEC, 0, 2);
    CHECK_EQUAL(earliest(0, 1, 2), 10 * WEFT_SEC);
    weft_limit_stop(&state, &rule);
}

TEST(nothing_is_given_or_drained_before_what_was_reserved)
{
    begin(WEFT_LIMITER_SLIDING_LOG, 1, WEFT_SEC, 0);
    free(weft_limit_grow(&state, malloc(5 * sizeof(int64_t)), 5));
    CHECK(take(1, 0));
    CHECK_EQUAL(reserve(1, 0), WEFT_SEC);
    change(5, WEFT_SEC, 0, 0);
    CHECK_EQUAL(earliest(0, 1, 0), WEFT_SEC);
    CHECK_EQUAL(weft_limit_drain(&rule, &state, START_NS), 0);
    weft_limit_stop(&state, &rule);
    begin(WEFT_LIMITER_SLIDING_COUNTER, 5, WEFT_SEC, 0);
    CHECK(take(5, 0));
    CHECK_EQUAL(reserve(1, 0), WEFT_SEC + WEFT_SEC / 5);
    CHECK_EQUAL(weft_limit_drain(&rule, &state, START_NS), 0);
    CHECK_EQUAL(earliest(0, 1, 0), WEFT_SEC + 2 * WEFT_SEC / 5);
    change(50, WEFT_SEC, 0, 0); /* there will be more then, but then only */
    CHECK_EQUAL(weft_limit_drain(&rule, &state, START_NS), 0);
    CHECK_EQUAL(earliest(0, 1, 0), WEFT_SEC + WEFT_SEC / 5);
}

TEST(a_drain_takes_the_part_of_a_permit_as_well)
{
    for (int kind = WEFT_LIMITER_TOKEN_BUCKET; kind <= WEFT_LIMITER_GCRA; kind++) {
        begin((enum weft_limiter_kind)kind, 1, WEFT_SEC, 3);
        CHECK(take(3, 0));
        CHECK_EQUAL(weft_limit_drain(&rule, &state, START_NS + 1500 * WEFT_MSEC), 1);
        CHECK_EQUAL(earliest(0, 1, 1500 * WEFT_MSEC), 2500 * WEFT_MSEC);
    }
}

TEST(a_sliding_counter_keeps_its_windows_through_a_change_or_begins_anew_with_what_counts)
{
    begin(WEFT_LIMITER_SLIDING_COUNTER, 10, WEFT_SEC, 0);
    CHECK(take(10, 0));
    change(20, WEFT_SEC, 0, 1500 * WEFT_MSEC);
    CHECK(available(1500 * WEFT_MSEC) == 15 && available(1750 * WEFT_MSEC) == 17.5);
    change(8, 500 * WEFT_MSEC, 0, 1750 * WEFT_MSEC);
    CHECK(available(1750 * WEFT_MSEC) == 5.5);
    CHECK(available(1999 * WEFT_MSEC) == 5.5); /* in the window in which all of it was given */
}

TEST(a_drained_limiter_gives_nothing_before_it_would_have_after_a_burst)
{
    for (int kind = WEFT_LIMITER_TOKEN_BUCKET; kind <= WEFT_LIMITER_LEAKY; kind++) {
        bool leaky = kind == WEFT_LIMITER_LEAKY;
        begin((enum weft_limiter_kind)kind, 5, WEFT_SEC, 0);
        CHECK_EQUAL(weft_limit_drain(&rule, &state, START_NS), leaky ? 1 : 5);
        CHECK_EQUAL(weft_limit_drain(&rule, &state, START_NS), 0);
        CHECK(!take(1, 0) && take(1, 2 * WEFT_SEC));
        weft_limit_stop(&state, &rule);
    }
}

TEST(after_a_change_of_the_rate_what_is_owed_is_owed_in_permits)
{
    begin(WEFT_LIMITER_TOKEN_BUCKET, 10, WEFT_SEC, 10);
    CHECK(take(5, 0));
    change(1, WEFT_SEC, 2, 0); /* five were left: two fit */
    CHECK(take(2, 0) && !take(1, 999 * WEFT_MSEC) && take(1, WEFT_SEC));
    begin(WEFT_LIMITER_GCRA, 10, WEFT_SEC, 10);
    CHECK(take(9, 0));
    change(1, WEFT_SEC, 20, 0);
    CHECK(fabs(available(0) - 1) < 1e-9);
    begin(WEFT_LIMITER_LEAKY, 10, WEFT_SEC, 0);
    CHECK(take(1, 0));
    change(1, WEFT_SEC, 0, 50 * WEFT_MSEC); /* half a permit to wait for */
    CHECK_EQUAL(earliest(0, 1, 50 * WEFT_MSEC), 550 * WEFT_MSEC);
}

TEST(a_log_grows_and_shrinks_without_forgetting)
{
    begin(WEFT_LIMITER_SLIDING_LOG, 4, WEFT_SEC, 0);
    CHECK(take(1, 0) && take(1, 100) && take(1, 200) && take(1, 300));
    change(2, WEFT_SEC, 0, 400);
    CHECK_EQUAL(earliest(0, 1, 400), WEFT_SEC + 200);
    CHECK_EQUAL(earliest(0, 2, 400), WEFT_SEC + 300);
    free(weft_limit_grow(&state, malloc(6 * sizeof(int64_t)), 6));
    change(6, WEFT_SEC, 0, 500);
    CHECK(take(2, 500) && !take(1, 600));
    CHECK_EQUAL(earliest(0, 1, 600), WEFT_SEC);
    weft_limit_stop(&state, &rule);
}

TEST(a_clock_that_is_seen_to_run_backwards_gives_nothing_twice)
{
    for (int kind = WEFT_LIMITER_TOKEN_BUCKET; kind <= WEFT_LIMITER_LEAKY; kind++) {
        begin((enum weft_limiter_kind)kind, 1, WEFT_SEC, 0);
        CHECK(take(1, 5 * WEFT_SEC));
        CHECK(!take(1, 0) && !take(1, 5 * WEFT_SEC));
        CHECK(earliest(0, 1, 0) >= 6 * WEFT_SEC);
        weft_limit_stop(&state, &rule);
    }
}

TEST(reservations_beyond_all_times_are_never)
{
    for (int kind = WEFT_LIMITER_TOKEN_BUCKET; kind <= WEFT_LIMITER_LEAKY; kind++) {
        int64_t at_ns = 0, last_ns = 0;
        begin((enum weft_limiter_kind)kind, 1, WEFT_LIMIT_PERIOD_MAX, 0);
        for (int i = 0; i < 100 && at_ns != WEFT_FOREVER; i++) {
            at_ns = weft_limit_earliest(&rule, &state, 0, 1, START_NS);
            CHECK(at_ns >= last_ns);
            last_ns = at_ns;
            if (at_ns != WEFT_FOREVER)
                weft_limit_give(&rule, &state, 1, at_ns);
        }
        CHECK_EQUAL(at_ns, WEFT_FOREVER);
        CHECK(!take(1, 0) && available(0) < 1);
        weft_limit_stop(&state, &rule);
    }
}

TEST(a_long_pause_fills_a_token_bucket_and_not_a_bit_more)
{
    begin(WEFT_LIMITER_TOKEN_BUCKET, 999999937, WEFT_SEC + 1, 7);
    for (int64_t pause_ns = WEFT_SEC; pause_ns < 10000 * 86400 * WEFT_SEC; pause_ns *= 3) {
        CHECK(take(6, state.latest_ns - START_NS + pause_ns + 1));
        CHECK(fabs(state.of.tokens + state.of.rest - 1) < 1e-6);
        CHECK(fabs(available(state.latest_ns - START_NS + 1) - 2) < 1e-6);
    }
}

TEST(a_reservation_taken_back_forgives_no_centuries)
{
    const enum weft_limiter_kind kinds[] = {WEFT_LIMITER_GCRA, WEFT_LIMITER_LEAKY};
    for (int i = 0; i < 2; i++) {
        int64_t at_ns = 0;
        begin(kinds[i], 1, WEFT_LIMIT_PERIOD_MAX, 0);
        for (int permits = 0; permits < 25; permits++)
            at_ns = reserve(1, 0);
        weft_limit_retract(&rule, &state, 1, START_NS + at_ns, START_NS);
        CHECK(earliest(0, 1, 0) > at_ns - WEFT_SEC);
    }
}

/* Each look brings less than what the double for the tokens can tell apart. */
TEST(a_large_token_bucket_that_is_looked_at_all_the_time_refills_as_fast)
{
    begin(WEFT_LIMITER_TOKEN_BUCKET, 50, WEFT_SEC, 1000000000);
    CHECK(take(100000000, 0));
    for (int64_t now_ns = 0; now_ns <= 2 * WEFT_MSEC; now_ns++)
        (void)available(now_ns);
    CHECK(fabs(available(2 * WEFT_MSEC) - 900000000.1) < 1e-6);
}

TEST(nonsense_is_refused)
{
    static const struct {
        enum weft_limiter_kind kind;
        struct weft_limiter_rate rate;
    } bad[] = {
        {WEFT_LIMITER_TOKEN_BUCKET, {-1, 0, 0}},
        {WEFT_LIMITER_TOKEN_BUCKET, {(double)NAN, 0, 0}},
        {WEFT_LIMITER_TOKEN_BUCKET, {HUGE_VAL, 0, 0}},
        {WEFT_LIMITER_TOKEN_BUCKET, {2e9, 0, 0}},
        {WEFT_LIMITER_TOKEN_BUCKET, {1e-12, 0, 0}},
        {WEFT_LIMITER_TOKEN_BUCKET, {1, -1, 0}},
        {WEFT_LIMITER_TOKEN_BUCKET, {1, INT64_MAX, 0}},
        {WEFT_LIMITER_TOKEN_BUCKET, {1, 0, UINT32_MAX}},
        {WEFT_LIMITER_SLIDING_LOG, {1000001, 0, 0}},
        {WEFT_LIMITER_SLIDING_LOG, {0.5, 0, 0}},
        {WEFT_LIMITER_SLIDING_LOG, {5, 0, 5}},
        {WEFT_LIMITER_SLIDING_COUNTER, {0.5, 0, 0}},
        {WEFT_LIMITER_LEAKY, {5, 0, 2}},
        {(enum weft_limiter_kind)5, {5, 0, 0}},
    };
    for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++)
        CHECK_EQUAL(weft_limit_init(&rule, bad[i].kind, &bad[i].rate), -EINVAL);
}

/* ---- a rate that finds itself ------------------------------------------------------------- */

static struct weft_aimd aimd;

static double hear(enum weft_limiter_outcome outcome, int64_t latency_ns, int64_t at_ns)
{
    double before = aimd.count;
    bool changed = weft_aimd_hear(&aimd, outcome, latency_ns, START_NS + at_ns);
    CHECK(changed == (aimd.count != before));
    return aimd.count;
}

TEST(an_adaptive_rate_rises_by_steps_and_falls_by_halves)
{
    const struct weft_limiter_adaptive options = {
        .max = 100, .min = 20, .increase = 5, .latency_limit_ns = WEFT_SEC};
    begin(WEFT_LIMITER_TOKEN_BUCKET, 90, WEFT_SEC, 0);
    REQUIRE(weft_aimd_init(&aimd, &options, &rule, START_NS) == 0);
    CHECK(hear(WEFT_LIMITER_SUCCESS, 0, 999999999) == 90);
    CHECK(hear(WEFT_LIMITER_SUCCESS, 0, WEFT_SEC) == 95);
    CHECK(hear(WEFT_LIMITER_SUCCESS, WEFT_SEC, WEFT_SEC + 1) == 95); /* once per period */
    CHECK(hear(WEFT_LIMITER_SUCCESS, 0, 2 * WEFT_SEC) == 100);
    CHECK(hear(WEFT_LIMITER_SUCCESS, 0, 3 * WEFT_SEC) == 100);
    CHECK(hear(WEFT_LIMITER_OVERLOAD, 0, 3 * WEFT_SEC) == 50);
    CHECK(hear(WEFT_LIMITER_OVERLOAD, 0, 3999999999) == 50); /* once per period as well */
    CHECK(hear(WEFT_LIMITER_SUCCESS, 0, 3999999999) == 50);  /* none so soon after a decrease */
    CHECK(hear(WEFT_LIMITER_SUCCESS, WEFT_SEC + 1, 4 * WEFT_SEC) == 25); /* too slow */
    CHECK(hear(WEFT_LIMITER_OVERLOAD, 0, 5 * WEFT_SEC) == 20);
    CHECK(hear(WEFT_LIMITER_SUCCESS, 0, 6 * WEFT_SEC) == 25);
}

TEST(an_adaptive_rate_has_defaults_and_refuses_nonsense)
{
    const struct weft_limiter_adaptive plain = {.max = 200};
    static const struct weft_limiter_adaptive bad[] = {
        {.max = 50},
        {.max = 200, .min = 101},
        {.max = 200, .min = -1},
        {.max = (double)NAN},
        {.max = 1e10},
        {.max = 200, .decrease = 1},
        {.max = 200, .decrease = -0.5},
        {.max = 200, .increase = -1},
        {.max = 200, .period_ns = -1},
        {.max = 200, .latency_limit_ns = -1},
    };
    begin(WEFT_LIMITER_TOKEN_BUCKET, 100, WEFT_SEC, 0);
    CHECK_EQUAL(weft_aimd_init(&aimd, &plain, &rule, START_NS), 0);
    CHECK(aimd.options.min == 2 && aimd.options.increase == 2 && aimd.options.decrease == 0.5);
    for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++)
        CHECK_EQUAL(weft_aimd_init(&aimd, &bad[i], &rule, START_NS), -EINVAL);
}

/* ---- promises ----------------------------------------------------------------------------- */

#define GRANTS_MAX 400

static struct grant {
    int64_t at_ns;
    uint32_t count;
} grants[GRANTS_MAX]; /* sorted */
static unsigned grant_count;

static void note_grant(int64_t at_ns, uint32_t count)
{
    unsigned i = grant_count++;
    for (; i > 0 && grants[i - 1].at_ns > at_ns; i--)
        grants[i] = grants[i - 1];
    grants[i] = (struct grant){at_ns, count};
}

static void forget_grant(int64_t at_ns, uint32_t count)
{
    for (unsigned i = 0; i < grant_count; i++) {
        if (grants[i].at_ns != at_ns || grants[i].count != count)
            continue;
        memmove(&grants[i], &grants[i + 1], (--grant_count - i) * sizeof grants[0]);
        return;
    }
}

/* What a kind promises of the permits from one grant to another. */
static double most_between(int64_t first_ns, int64_t last_ns)
{
    double length_ns = (double)(last_ns - first_ns), period_ns = (double)rule.rate.period_ns;
    double with_ends_ns = length_ns + 1; /* times are rounded up to whole ones */
    switch (rule.kind) {
    case WEFT_LIMITER_TOKEN_BUCKET:
    case WEFT_LIMITER_GCRA:
        return rule.burst + with_ends_ns * rule.per_ns;
    case WEFT_LIMITER_SLIDING_LOG:
        return length_ns < period_ns ? rule.slots : HUGE_VAL;
    case WEFT_LIMITER_SLIDING_COUNTER:
        if (first_ns / rule.rate.period_ns == last_ns / rule.rate.period_ns)
            return rule.rate.count;
        return length_ns < period_ns ? 2 * rule.rate.count : HUGE_VAL;
    case WEFT_LIMITER_LEAKY:
        break;
    }
    return HUGE_VAL;
}

static bool promises_kept(void)
{
    for (unsigned i = 0; i < grant_count; i++) {
        double sum = 0;
        for (unsigned j = i; j < grant_count; j++) {
            sum += grants[j].count;
            if (sum > most_between(grants[i].at_ns, grants[j].at_ns) + 1e-6)
                return false;
        }
        if (rule.kind == WEFT_LIMITER_LEAKY && i + 1 < grant_count &&
            (double)(grants[i + 1].at_ns - grants[i].at_ns + 1) <
                (grants[i].count - 1e-6) * rule.permit_ns)
            return false;
    }
    return true;
}

static void begin_drawn(struct weft_random *random, enum weft_limiter_kind kind)
{
    static const int64_t periods_ns[] = {7, 1000, WEFT_MSEC, WEFT_SEC, 3600 * WEFT_SEC};
    bool burst = kind <= WEFT_LIMITER_GCRA && weft_random_below(random, 2);
    double count = (double)(1 + weft_random_below(random, 20));
    if (kind != WEFT_LIMITER_SLIDING_LOG && weft_random_below(random, 2))
        count += (double)weft_random_below(random, 1000) / 1000;
    begin(kind, count, periods_ns[weft_random_below(random, 5)],
          burst ? (uint32_t)(1 + weft_random_below(random, 30)) : 0);
    grant_count = 0;
}

/* A change to a rate of at most the slots a log has; promises count from here. */
static void change_drawn(struct weft_random *random, int64_t now_ns)
{
    uint64_t most = rule.slots ? state.of.log.capacity : 20;
    struct weft_limiter_rate rate = rule.rate;
    rate.count = (double)(1 + weft_random_below(random, most));
    if (weft_random_below(random, 2))
        rate.period_ns = 1 + (int64_t)weft_random_below(random, 2 * (uint64_t)rate.period_ns);
    struct weft_limit new_rule;
    REQUIRE(weft_limit_init(&new_rule, rule.kind, &rate) == 0);
    weft_limit_change(&rule, &state, &new_rule, now_ns);
    rule = new_rule;
    grant_count = 0;
}

/* Within the tolerance, and a nanosecond for rounding. */
static bool is_earliest(uint32_t count, int64_t at_ns, int64_t now_ns)
{
    struct weft_limit_state before = state;
    int64_t sooner_ns = at_ns - 2 - (int64_t)(rule.permit_ns * 1e-8);
    return sooner_ns < now_ns || !weft_limit_take(&rule, &before, count, sooner_ns);
}

static bool keeps_promises(enum weft_limiter_kind kind, uint64_t seed)
{
    struct weft_random random;
    int64_t now_ns = START_NS;
    bool good = true;
    weft_random_seed(&random, seed);
    begin_drawn(&random, kind);
    for (int step = 0; good && step < 2 * GRANTS_MAX && grant_count < GRANTS_MAX; step++) {
        uint32_t count = 1 + (uint32_t)weft_random_below(&random, (uint64_t)rule.burst);
        double pause_ns = (double)weft_random_below(&random, 3000) / 1000 * rule.permit_ns;
        if (weft_random_below(&random, 3) > 0)
            now_ns += (int64_t)pause_ns;
        int64_t at_ns = weft_limit_earliest(&rule, &state, 0, count, now_ns);
        switch (weft_random_below(&random, 8)) {
        case 0: /* somebody with patience */
            good = is_earliest(count, at_ns, now_ns);
            now_ns = at_ns;
            good = good && weft_limit_take(&rule, &state, count, now_ns);
            note_grant(now_ns, count);
            break;
        case 1:
        case 2:
            weft_limit_give(&rule, &state, count, at_ns);
            note_grant(at_ns, count);
            if (at_ns > now_ns && weft_random_below(&random, 3) == 0) {
                now_ns += (int64_t)weft_random_below(&random, (uint64_t)(at_ns - now_ns));
                weft_limit_retract(&rule, &state, count, at_ns, now_ns);
                forget_grant(at_ns, count);
            }
            break;
        case 3:
            if (weft_random_below(&random, 10) == 0)
                (void)weft_limit_drain(&rule, &state, now_ns);
            break;
        case 4:
            if (weft_random_below(&random, 20) == 0)
                change_drawn(&random, now_ns);
            break;
        default:
            if (weft_limit_take(&rule, &state, count, now_ns))
                note_grant(now_ns, count);
        }
    }
    good = good && promises_kept();
    weft_limit_stop(&state, &rule);
    return good;
}

TEST(over_any_window_no_kind_gives_more_than_it_promises)
{
    for (int kind = WEFT_LIMITER_TOKEN_BUCKET; kind <= WEFT_LIMITER_LEAKY; kind++) {
        uint64_t seed = 1;
        while (seed <= 1000 && keeps_promises((enum weft_limiter_kind)kind, seed))
            seed++;
        CHECK_EQUAL(seed, 1001);
        if (seed <= 1000)
            test_note("kind %d, seed %d", kind, (int)seed);
    }
}

/* What a limiter says about those who queue is never too late. */
static bool is_not_too_late(enum weft_limiter_kind kind, uint64_t seed)
{
    struct weft_random random;
    int64_t now_ns = START_NS;
    uint32_t counts[10];
    uint64_t ahead = 0;
    bool good = true;
    weft_random_seed(&random, seed);
    begin_drawn(&random, kind);
    (void)weft_limit_take(&rule, &state, 1, now_ns);
    for (int i = 0; i < 10; i++)
        counts[i] = 1 + (uint32_t)weft_random_below(&random, (uint64_t)rule.burst);
    int64_t said_ns[10];
    for (int i = 0; i < 10; i++) {
        said_ns[i] = weft_limit_earliest(&rule, &state, ahead, counts[i], now_ns);
        ahead += counts[i];
    }
    bool exact = kind <= WEFT_LIMITER_GCRA || kind == WEFT_LIMITER_LEAKY;
    for (int i = 0; i < 10; i++) {
        now_ns = weft_limit_earliest(&rule, &state, 0, counts[i], now_ns);
        good = good && said_ns[i] <= now_ns + 20; /* each was rounded up */
        good = good && (!exact || said_ns[i] + 20 >= now_ns);
        weft_limit_give(&rule, &state, counts[i], now_ns);
    }
    weft_limit_stop(&state, &rule);
    return good;
}

TEST(a_queue_is_never_told_a_time_that_is_too_late)
{
    for (int kind = WEFT_LIMITER_TOKEN_BUCKET; kind <= WEFT_LIMITER_LEAKY; kind++) {
        uint64_t seed = 1;
        while (seed <= 1000 && is_not_too_late((enum weft_limiter_kind)kind, seed))
            seed++;
        CHECK_EQUAL(seed, 1001);
        if (seed <= 1000)
            test_note("kind %d, seed %d", kind, (int)seed);
    }
}

TEST(a_state_is_as_good_as_new_when_it_says_so)
{
    for (int kind = WEFT_LIMITER_TOKEN_BUCKET; kind <= WEFT_LIMITER_LEAKY; kind++) {
        for (uint64_t seed = 1; seed <= 100; seed++) {
            struct weft_random random;
            weft_random_seed(&random, seed);
            begin_drawn(&random, (enum weft_limiter_kind)kind);
            for (int i = 0; i < 5; i++)
                (void)weft_limit_take(&rule, &state, 1, START_NS + i);
            int64_t fresh_ns = weft_limit_fresh_at(&rule, &state);
            double most = kind == WEFT_LIMITER_LEAKY ? 1 : rule.slots ? rule.slots : rule.burst;
            CHECK(fresh_ns > START_NS + 4);
            CHECK(weft_limit_available(&rule, &state, fresh_ns) > most - 1e-6);
            weft_limit_stop(&state, &rule);
        }
    }
}
