/* SPDX-License-Identifier: MIT
 * Vectors: base 100 ms, cap 10 s, every draw at its midpoint, unless said otherwise. */
#include "test.h"

#include <base/random.h>
#include <flow/backoff.h>
#include <flow/pattern.h>

#include <math.h>

static int64_t delay_after(const struct weft_retry_options *options, unsigned retries, double draw)
{
    struct weft_backoff_state state = {.retries = retries};
    return weft_backoff_next(options, &state, draw);
}

static void check_delays(const struct weft_retry_options *options, const double *expected_ms,
                         unsigned len)
{
    struct weft_backoff_state state = {0};
    for (unsigned i = 0; i < len; i++) {
        int64_t delay_ns = weft_backoff_next(options, &state, 0.5);
        CHECK_EQUAL(delay_ns, expected_ms[i] * 1e6);
    }
}

static const struct weft_retry_options hundred = {.base_ns = 100 * WEFT_MSEC,
                                                  .cap_ns = 10 * WEFT_SEC};

TEST(full_jitter_follows_its_vectors)
{
    struct weft_retry_options options = hundred;
    options.jitter = WEFT_JITTER_FULL;
    check_delays(&options, (const double[]){50, 100, 200, 400, 800}, 5);
}

TEST(equal_jitter_follows_its_vectors)
{
    struct weft_retry_options options = hundred;
    options.jitter = WEFT_JITTER_EQUAL;
    check_delays(&options, (const double[]){75, 150, 300, 600, 1200}, 5);
}

TEST(decorrelated_jitter_follows_its_vectors)
{
    struct weft_retry_options options = hundred;
    options.jitter = WEFT_JITTER_DECORRELATED;
    check_delays(&options, (const double[]){200, 350, 575, 912.5, 1418.75}, 5);
}

TEST(smooth_jitter_follows_its_vectors)
{
    static const double expected[] = {.897405, 1.093004, 2.035748, 4.045979, 8.083632};
    const struct weft_retry_options options = {
        .base_ns = WEFT_SEC, .cap_ns = 60 * WEFT_SEC, .jitter = WEFT_JITTER_SMOOTH};
    struct weft_backoff_state state = {0};
    for (unsigned i = 0; i < 5; i++) {
        double delay = (double)weft_backoff_next(&options, &state, 0.5) / (double)WEFT_SEC;
        CHECK(fabs(delay - expected[i]) < 1e-6);
    }
}

TEST(delays_grow_as_asked)
{
    struct weft_retry_options options = hundred;
    options.jitter = WEFT_JITTER_NONE;
    check_delays(&options, (const double[]){100, 200, 400, 800, 1600, 3200, 6400, 10000, 10000}, 9);
    options.backoff = WEFT_BACKOFF_LINEAR;
    check_delays(&options, (const double[]){100, 200, 300, 400}, 4);
    options.backoff = WEFT_BACKOFF_CONSTANT;
    check_delays(&options, (const double[]){100, 100, 100}, 3);
    options.backoff = WEFT_BACKOFF_EXPONENTIAL;
    options.multiplier = 1.5;
    check_delays(&options, (const double[]){100, 150, 225}, 3);
    options.multiplier = 1;
    check_delays(&options, (const double[]){100, 100}, 2);
}

TEST(defaults_are_the_documented_ones)
{
    const struct weft_retry_options options = {.jitter = WEFT_JITTER_NONE};
    const struct weft_retry_options low = {.jitter = WEFT_JITTER_NONE, .cap_ns = 5 * WEFT_MSEC};
    const struct weft_retry_options high = {.jitter = WEFT_JITTER_NONE, .base_ns = 20 * WEFT_SEC};
    CHECK_EQUAL(delay_after(&options, 0, 0), 100 * WEFT_MSEC);
    CHECK_EQUAL(delay_after(&options, 1, 0), 200 * WEFT_MSEC);
    CHECK_EQUAL(delay_after(&options, 30, 0), 10 * WEFT_SEC);
    CHECK_EQUAL(delay_after(&low, 0, 0), 5 * WEFT_MSEC);
    CHECK_EQUAL(delay_after(&high, 3, 0), 20 * WEFT_SEC);
}

/* Every delay beyond the cap would be the cap itself if it were cut after the jitter. */
static void check_spread(enum weft_jitter jitter)
{
    struct weft_retry_options options = hundred;
    struct weft_random random;
    int at_cap = 0;
    options.jitter = jitter;
    weft_random_seed(&random, 7);
    for (unsigned caller = 0; caller < 1000; caller++) {
        struct weft_backoff_state state = {0};
        int64_t delay_ns = 0;
        for (unsigned i = 0; i < 30; i++)
            delay_ns = weft_backoff_next(&options, &state, weft_pattern_draw(&random));
        at_cap += delay_ns > options.cap_ns - options.cap_ns / 100;
    }
    CHECK(at_cap < 100);
}

TEST(callers_at_the_cap_do_not_retry_in_step)
{
    check_spread(WEFT_JITTER_FULL);
    check_spread(WEFT_JITTER_EQUAL);
    check_spread(WEFT_JITTER_DECORRELATED);
    check_spread(WEFT_JITTER_SMOOTH);
}

static const enum weft_jitter jitters[] = {WEFT_JITTER_FULL, WEFT_JITTER_EQUAL,
                                           WEFT_JITTER_DECORRELATED, WEFT_JITTER_SMOOTH,
                                           WEFT_JITTER_NONE};

/* Any base, cap, multiplier, draw and number of retries. */
static void check_bounds(enum weft_jitter jitter, struct weft_random *random)
{
    static const double draws[] = {0, 0.5, 1 - 0x1p-53};
    static const unsigned retries[] = {0, 1, 62, 63, 64, 1023, 1024, 1u << 31, UINT32_MAX};
    for (unsigned i = 0; i < 9; i++) {
        for (unsigned j = 0; j < 3; j++) {
            struct weft_retry_options options = {.jitter = jitter};
            options.cap_ns = (int64_t)(weft_random_next(random) >> (1 + i * 7)) + 1;
            options.base_ns = (int64_t)weft_random_below(random, (uint64_t)options.cap_ns) + 1;
            options.multiplier = 1 + weft_pattern_draw(random) * 1e5;
            options.backoff = jitter == WEFT_JITTER_DECORRELATED || jitter == WEFT_JITTER_SMOOTH
                                  ? WEFT_BACKOFF_EXPONENTIAL
                                  : (enum weft_backoff)weft_random_below(random, 3);
            struct weft_backoff_state state = {.retries = retries[i]};
            for (int again = 0; again < 3; again++) {
                int64_t delay_ns = weft_backoff_next(&options, &state, draws[j]);
                CHECK(delay_ns >= 0 && delay_ns <= options.cap_ns);
            }
        }
    }
}

TEST(no_delay_is_negative_or_beyond_the_cap)
{
    struct weft_random random;
    weft_random_seed(&random, 20261121);
    for (unsigned round = 0; round < 200; round++) {
        for (unsigned i = 0; i < 5; i++)
            check_bounds(jitters[i], &random);
    }
}

TEST(delays_do_not_overflow_at_attempt_2_to_the_31)
{
    const struct weft_retry_options longest = {
        .base_ns = INT64_MAX, .cap_ns = INT64_MAX, .jitter = WEFT_JITTER_NONE};
    struct weft_backoff_state last = {.retries = UINT32_MAX};
    CHECK_EQUAL(delay_after(&longest, 1u << 31, 0.5), INT64_MAX);
    CHECK_EQUAL(weft_backoff_next(&longest, &last, 0.5), INT64_MAX);
    CHECK_EQUAL(last.retries, UINT32_MAX);
    for (unsigned i = 0; i < 5; i++) {
        struct weft_retry_options options = hundred;
        options.jitter = jitters[i];
        int64_t delay_ns = delay_after(&options, 1u << 31, 0.5);
        CHECK(delay_ns >= 0 && delay_ns <= options.cap_ns);
    }
}
