/* SPDX-License-Identifier: MIT
 * breaker_core.c - what a breaker decides: single rules by name, and every short sequence of events
 * against a model that is too simple to be wrong. */
#include "test.h"

#include <flow/breaker_core.h>
#include <flow/breaker_state.h>

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A core with its window. */
struct breaker {
    struct weft_breaker_core core;
    void *window;
    int64_t now_ns;
};

static void make(struct breaker *breaker, const struct weft_breaker_options *options)
{
    struct weft_breaker_options filled = *options;
    REQUIRE(weft_breaker_core_options(&filled) == 0);
    breaker->window = calloc(1, weft_breaker_core_window_bytes(&filled));
    REQUIRE(breaker->window);
    breaker->now_ns = 1000;
    weft_breaker_core_init(&breaker->core, &filled, breaker->window, breaker->now_ns);
}

static void discard(struct breaker *breaker)
{
    free(breaker->window);
}

/* One call that takes took_ns. Returns 0, WEFT_EOPEN. */
static int call(struct breaker *breaker, int result, int64_t took_ns)
{
    struct weft_breaker_permit permit;
    enum weft_breaker_verdict verdict = weft_breaker_core_judge(&breaker->core.options, result);
    int err = weft_breaker_core_enter(&breaker->core, &permit, breaker->now_ns);
    if (err < 0)
        return err;
    breaker->now_ns += took_ns;
    CHECK_EQUAL(weft_breaker_core_leave(&breaker->core, &permit, verdict, breaker->now_ns), 0);
    return 0;
}

static void calls(struct breaker *breaker, int count, int result)
{
    for (int i = 0; i < count; i++)
        CHECK_EQUAL(call(breaker, result, 0), 0);
}

static struct weft_breaker_snapshot look(struct breaker *breaker)
{
    struct weft_breaker_snapshot snapshot;
    weft_breaker_core_snapshot(&breaker->core, breaker->now_ns, &snapshot);
    return snapshot;
}

/* ---- defects of other breakers, which this one must not have ------------------------------- */

TEST(nine_successes_and_one_failure_do_not_open_it_by_default)
{
    struct breaker breaker;
    make(&breaker, &(const struct weft_breaker_options){0});
    calls(&breaker, 9, 0);
    calls(&breaker, 1, -EIO);
    CHECK_EQUAL(breaker.core.state, WEFT_BREAKER_CLOSED);
    discard(&breaker);
}

TEST(a_slow_failing_call_is_one_call_and_one_failure)
{
    struct breaker breaker;
    make(&breaker, &(const struct weft_breaker_options){.slow_call_ns = 100});
    CHECK_EQUAL(call(&breaker, -EIO, 100), 0);
    struct weft_breaker_snapshot snapshot = look(&breaker);
    CHECK_EQUAL(snapshot.calls, 1);
    CHECK_EQUAL(snapshot.failures, 1);
    CHECK_EQUAL(snapshot.slow, 1);
    CHECK_EQUAL(snapshot.failed, 1);
    CHECK_EQUAL(snapshot.succeeded, 0);
    CHECK_EQUAL(snapshot.consecutive_failures, 1);
    discard(&breaker);
}

TEST(single_slow_calls_do_not_open_it_only_their_share_does)
{
    struct breaker breaker;
    make(&breaker, &(const struct weft_breaker_options){
                       .slow_call_ns = 100, .slow_rate = 0.5, .calls_min = 10});
    for (int i = 0; i < 5; i++)
        CHECK_EQUAL(call(&breaker, 0, 99), 0);
    for (int i = 0; i < 4; i++)
        CHECK_EQUAL(call(&breaker, 0, 1000), 0);
    CHECK_EQUAL(breaker.core.state, WEFT_BREAKER_CLOSED);
    CHECK_EQUAL(call(&breaker, 0, 100), 0); /* the tenth call, the fifth slow one */
    CHECK_EQUAL(breaker.core.state, WEFT_BREAKER_OPEN);
    CHECK_EQUAL(look(&breaker).slow, 5);
    CHECK_EQUAL(look(&breaker).failures, 0);
    discard(&breaker);
}

TEST(closing_clears_the_window_so_that_one_later_failure_does_not_reopen_it)
{
    struct breaker breaker;
    make(&breaker, &(const struct weft_breaker_options){
                       .calls_min = 5, .open_ns = 100, .open_jitter = WEFT_BREAKER_NONE});
    calls(&breaker, 5, -EIO);
    CHECK_EQUAL(breaker.core.state, WEFT_BREAKER_OPEN);
    breaker.now_ns += 100;
    calls(&breaker, 2, 0);
    CHECK_EQUAL(breaker.core.state, WEFT_BREAKER_CLOSED);
    CHECK_EQUAL(look(&breaker).calls, 0);
    calls(&breaker, 1, -EIO);
    CHECK_EQUAL(breaker.core.state, WEFT_BREAKER_CLOSED);
    CHECK_EQUAL(look(&breaker).consecutive_failures, 1);
    discard(&breaker);
}

TEST(a_result_from_before_the_change_of_state_is_not_a_probes)
{
    struct breaker breaker;
    struct weft_breaker_permit old[3], probe;
    make(&breaker, &(const struct weft_breaker_options){.consecutive_failures_max = 1,
                                                        .successes_min = 1,
                                                        .open_ns = 100,
                                                        .open_jitter = WEFT_BREAKER_NONE});
    for (int i = 0; i < 3; i++)
        CHECK_EQUAL(weft_breaker_core_enter(&breaker.core, &old[i], breaker.now_ns), 0);
    calls(&breaker, 1, -EIO);
    breaker.now_ns += 100;
    CHECK_EQUAL(weft_breaker_core_enter(&breaker.core, &probe, breaker.now_ns), 0);
    CHECK_EQUAL(breaker.core.state, WEFT_BREAKER_HALF_OPEN);
    (void)weft_breaker_core_leave(&breaker.core, &old[0], WEFT_BREAKER_SUCCESS, breaker.now_ns);
    CHECK_EQUAL(breaker.core.state, WEFT_BREAKER_HALF_OPEN); /* it does not close it */
    (void)weft_breaker_core_leave(&breaker.core, &old[1], WEFT_BREAKER_FAILURE, breaker.now_ns);
    CHECK_EQUAL(breaker.core.state, WEFT_BREAKER_HALF_OPEN); /* nor open it again */
    (void)weft_breaker_core_leave(&breaker.core, &old[2], WEFT_BREAKER_IGNORED, breaker.now_ns);
    CHECK_EQUAL(look(&breaker).probes, 1); /* nor give back what it has not taken */
    CHECK_EQUAL(look(&breaker).late, 3);
    (void)weft_breaker_core_leave(&breaker.core, &probe, WEFT_BREAKER_SUCCESS, breaker.now_ns);
    CHECK_EQUAL(breaker.core.state, WEFT_BREAKER_CLOSED);
    discard(&breaker);
}

TEST(a_cancelled_probe_leaks_no_permit)
{
    struct breaker breaker;
    make(&breaker, &(const struct weft_breaker_options){.consecutive_failures_max = 1,
                                                        .open_ns = 100,
                                                        .open_jitter = WEFT_BREAKER_NONE});
    calls(&breaker, 1, -EIO);
    breaker.now_ns += 100;
    calls(&breaker, 1000, -ECANCELED);
    CHECK_EQUAL(breaker.core.state, WEFT_BREAKER_HALF_OPEN);
    CHECK_EQUAL(look(&breaker).probes, 0);
    CHECK_EQUAL(look(&breaker).ignored, 1000);
    calls(&breaker, 2, 0);
    CHECK_EQUAL(breaker.core.state, WEFT_BREAKER_CLOSED);
    discard(&breaker);
}

TEST(cancelled_calls_and_refusals_of_our_own_count_neither_way)
{
    static const int ignored[] = {-ECANCELED, WEFT_EOPEN, WEFT_ELIMIT, WEFT_EFULL};
    struct breaker breaker;
    make(&breaker, &(const struct weft_breaker_options){.consecutive_failures_max = 2});
    calls(&breaker, 1, -EIO);
    for (size_t i = 0; i < sizeof ignored / sizeof *ignored; i++)
        calls(&breaker, 100, ignored[i]);
    CHECK_EQUAL(look(&breaker).calls, 1);
    CHECK_EQUAL(look(&breaker).ignored, 400);
    CHECK_EQUAL(look(&breaker).consecutive_failures, 1); /* neither reset nor raised */
    calls(&breaker, 1, -ETIMEDOUT);
    CHECK_EQUAL(breaker.core.state, WEFT_BREAKER_OPEN);
    discard(&breaker);
}

/* HTTP: a status is a result like any other, and most of 4xx are the caller's own fault. */
static enum weft_breaker_verdict judge_status(void *arg, int result)
{
    ++*(int *)arg;
    if (result < 0 || result >= 500 || result == 408 || result == 429)
        return WEFT_BREAKER_FAILURE;
    return result >= 400 ? WEFT_BREAKER_IGNORED : WEFT_BREAKER_SUCCESS;
}

TEST(the_judge_makes_a_failure_of_what_looks_like_a_success)
{
    struct breaker breaker;
    int asked = 0;
    make(&breaker, &(const struct weft_breaker_options){
                       .calls_min = 4, .judge = judge_status, .judge_arg = &asked});
    calls(&breaker, 2, 200);
    calls(&breaker, 50, 404);
    CHECK_EQUAL(look(&breaker).calls, 2);
    calls(&breaker, 1, 500);
    CHECK_EQUAL(breaker.core.state, WEFT_BREAKER_CLOSED);
    calls(&breaker, 1, 503);
    CHECK_EQUAL(breaker.core.state, WEFT_BREAKER_OPEN);
    CHECK_EQUAL(asked, 54);
    (void)weft_breaker_core_judge(&breaker.core.options, -ECANCELED);
    CHECK_EQUAL(asked, 54); /* a cancellation is not for the judge */
    discard(&breaker);
}

/* ---- rules ------------------------------------------------------------------------------- */

TEST(nothing_opens_it_before_calls_min_and_a_success_never_does)
{
    struct breaker breaker;
    make(&breaker, &(const struct weft_breaker_options){.calls_min = 10});
    calls(&breaker, 9, -EIO);
    CHECK_EQUAL(breaker.core.state, WEFT_BREAKER_CLOSED);
    calls(&breaker, 1, 0);
    CHECK_EQUAL(breaker.core.state, WEFT_BREAKER_CLOSED);
    calls(&breaker, 1, -EIO);
    CHECK_EQUAL(breaker.core.state, WEFT_BREAKER_OPEN);
    discard(&breaker);
}

TEST(a_rate_is_reached_exactly_for_every_whole_percent)
{
    for (int percent = 1; percent <= 100; percent++) {
        struct breaker breaker;
        make(&breaker, &(const struct weft_breaker_options){.calls_min = 100,
                                                            .failure_rate = percent / 100.0});
        calls(&breaker, 100 - percent, 0);
        calls(&breaker, percent - 1, -EIO);
        CHECK_EQUAL(breaker.core.state, WEFT_BREAKER_CLOSED);
        calls(&breaker, 1, -EIO);
        CHECK_EQUAL(breaker.core.state, WEFT_BREAKER_OPEN);
        discard(&breaker);
    }
}

TEST(the_window_of_calls_forgets_the_oldest)
{
    struct breaker breaker;
    make(&breaker, &(const struct weft_breaker_options){.window_calls = 10, .failure_rate = 0.3});
    for (int i = 0; i < 1000; i++) /* two in ten, for ever */
        calls(&breaker, 1, i % 5 == 0 ? -EIO : 0);
    CHECK_EQUAL(breaker.core.state, WEFT_BREAKER_CLOSED);
    CHECK_EQUAL(look(&breaker).calls, 10);
    CHECK_EQUAL(look(&breaker).failures, 2);
    discard(&breaker);
}

TEST(the_window_of_time_moves_on_by_its_parts)
{
    struct breaker breaker;
    make(&breaker, &(const struct weft_breaker_options){.window_ns = 1000, .calls_min = 1000});
    calls(&breaker, 3, -EIO);
    breaker.now_ns = 1900;
    calls(&breaker, 2, 0);
    CHECK_EQUAL(look(&breaker).calls, 5);
    breaker.now_ns = 2000;
    CHECK_EQUAL(look(&breaker).calls, 2);
    CHECK_EQUAL(look(&breaker).failures, 0);
    breaker.now_ns = 2899;
    CHECK_EQUAL(look(&breaker).calls, 2);
    breaker.now_ns = 2900;
    CHECK_EQUAL(look(&breaker).calls, 0);
    breaker.now_ns = 1000000000;
    calls(&breaker, 1, -EIO);
    CHECK_EQUAL(look(&breaker).calls, 1);
    discard(&breaker);
}

TEST(failures_in_a_row_open_it_whatever_the_rates_say)
{
    struct breaker breaker;
    make(&breaker, &(const struct weft_breaker_options){.failure_rate = WEFT_BREAKER_NONE,
                                                        .consecutive_failures_max = 5});
    for (int i = 0; i < 100; i++) {
        calls(&breaker, 4, -EIO);
        calls(&breaker, 1, 0);
    }
    CHECK_EQUAL(breaker.core.state, WEFT_BREAKER_CLOSED);
    calls(&breaker, 5, -EIO);
    CHECK_EQUAL(breaker.core.state, WEFT_BREAKER_OPEN);
    discard(&breaker);
}

/* Let a breaker that opens at the first failure do so count times in a row. Returns for how long.
 */
static int64_t opened_for(struct breaker *breaker, int count)
{
    for (int i = 0; i < count; i++) {
        breaker->now_ns += look(breaker).retry_after_ns;
        CHECK_EQUAL(call(breaker, -EIO, 0), 0);
        CHECK_EQUAL(breaker->core.state, WEFT_BREAKER_OPEN);
    }
    return look(breaker).retry_after_ns;
}

TEST(the_open_time_grows_to_its_cap_and_starts_anew_after_a_close)
{
    struct breaker breaker;
    make(&breaker, &(const struct weft_breaker_options){.consecutive_failures_max = 1,
                                                        .open_ns = 100,
                                                        .open_factor = 3,
                                                        .open_max_ns = 1000,
                                                        .open_jitter = WEFT_BREAKER_NONE});
    CHECK_EQUAL(opened_for(&breaker, 1), 100);
    CHECK_EQUAL(opened_for(&breaker, 1), 300);
    CHECK_EQUAL(opened_for(&breaker, 1), 900);
    CHECK_EQUAL(opened_for(&breaker, 1), 1000);
    CHECK_EQUAL(opened_for(&breaker, 50), 1000);
    breaker.now_ns += 1000;
    calls(&breaker, 2, 0);
    CHECK_EQUAL(opened_for(&breaker, 1), 100);
    CHECK_EQUAL(look(&breaker).opened, 55);
    discard(&breaker);
}

TEST(jitter_comes_after_the_cap_and_only_adds)
{
    int64_t least_ns = INT64_MAX, most_ns = 0, before_ns = 0;
    for (uint64_t seed = 1; seed <= 200; seed++) {
        struct breaker breaker;
        make(&breaker, &(const struct weft_breaker_options){.consecutive_failures_max = 1,
                                                            .open_ns = 1000000,
                                                            .open_max_ns = 4000000,
                                                            .open_jitter = 0.25,
                                                            .seed = seed});
        int64_t open_ns = opened_for(&breaker, 10);
        CHECK(open_ns >= 4000000 && open_ns <= 5000000);
        CHECK(open_ns != before_ns);
        before_ns = open_ns;
        least_ns = open_ns < least_ns ? open_ns : least_ns;
        most_ns = open_ns > most_ns ? open_ns : most_ns;
        discard(&breaker);
    }
    CHECK(least_ns < 4050000 && most_ns > 4950000);
}

TEST(probes_are_limited_and_one_failure_or_slow_call_reopens)
{
    const struct weft_breaker_options options = {.consecutive_failures_max = 1,
                                                 .slow_call_ns = 50,
                                                 .probes_max = 3,
                                                 .open_ns = 100,
                                                 .open_factor = 1,
                                                 .open_jitter = WEFT_BREAKER_NONE};
    struct breaker breaker;
    struct weft_breaker_permit probes[4];
    make(&breaker, &options);
    (void)opened_for(&breaker, 1);
    breaker.now_ns += 99;
    CHECK_EQUAL(weft_breaker_core_enter(&breaker.core, &probes[0], breaker.now_ns), WEFT_EOPEN);
    CHECK_EQUAL(probes[0].retry_after_ns, 1);
    breaker.now_ns++;
    for (int i = 0; i < 3; i++)
        CHECK_EQUAL(weft_breaker_core_enter(&breaker.core, &probes[i], breaker.now_ns), 0);
    CHECK_EQUAL(weft_breaker_core_enter(&breaker.core, &probes[3], breaker.now_ns), WEFT_EOPEN);
    CHECK_EQUAL(probes[3].retry_after_ns, 0);
    CHECK_EQUAL(
        weft_breaker_core_leave(&breaker.core, &probes[3], WEFT_BREAKER_SUCCESS, breaker.now_ns),
        -EINVAL); /* refused: not a permit */
    (void)weft_breaker_core_leave(&breaker.core, &probes[0], WEFT_BREAKER_SUCCESS, breaker.now_ns);
    CHECK_EQUAL(
        weft_breaker_core_leave(&breaker.core, &probes[0], WEFT_BREAKER_SUCCESS, breaker.now_ns),
        -EINVAL); /* given back before */
    CHECK_EQUAL(look(&breaker).probe_successes, 1);
    CHECK_EQUAL(look(&breaker).probes, 2);
    breaker.now_ns += 50;
    (void)weft_breaker_core_leave(&breaker.core, &probes[1], WEFT_BREAKER_SUCCESS, breaker.now_ns);
    CHECK_EQUAL(breaker.core.state, WEFT_BREAKER_OPEN);
    (void)weft_breaker_core_leave(&breaker.core, &probes[2], WEFT_BREAKER_SUCCESS, breaker.now_ns);
    CHECK_EQUAL(look(&breaker).late, 1);
    discard(&breaker);
}

TEST(probes_that_take_too_long_reopen_it_but_a_pause_between_them_does_not)
{
    struct breaker breaker;
    struct weft_breaker_permit probe, other;
    make(&breaker, &(const struct weft_breaker_options){.consecutive_failures_max = 1,
                                                        .half_open_max_ns = 1000,
                                                        .open_ns = 100,
                                                        .open_jitter = WEFT_BREAKER_NONE});
    (void)opened_for(&breaker, 1);
    breaker.now_ns += 100;
    calls(&breaker, 1, 0);
    breaker.now_ns += 1000000; /* nobody calls */
    CHECK_EQUAL(weft_breaker_core_enter(&breaker.core, &probe, breaker.now_ns), 0);
    breaker.now_ns += 999;
    CHECK_EQUAL(weft_breaker_core_enter(&breaker.core, &other, breaker.now_ns), WEFT_EOPEN);
    CHECK_EQUAL(breaker.core.state, WEFT_BREAKER_HALF_OPEN);
    breaker.now_ns++;
    CHECK_EQUAL(weft_breaker_core_enter(&breaker.core, &other, breaker.now_ns), WEFT_EOPEN);
    CHECK_EQUAL(breaker.core.state, WEFT_BREAKER_OPEN);
    CHECK_EQUAL(other.retry_after_ns, 200);
    (void)weft_breaker_core_leave(&breaker.core, &probe, WEFT_BREAKER_SUCCESS, breaker.now_ns);
    CHECK_EQUAL(look(&breaker).late, 1);
    discard(&breaker);
}

TEST(a_later_probe_does_not_prolong_the_wait_for_an_earlier_one)
{
    struct breaker breaker;
    struct weft_breaker_permit probes[3];
    make(&breaker, &(const struct weft_breaker_options){.consecutive_failures_max = 1,
                                                        .half_open_max_ns = 1000,
                                                        .probes_max = 3,
                                                        .open_ns = 100,
                                                        .open_jitter = WEFT_BREAKER_NONE});
    (void)opened_for(&breaker, 1);
    breaker.now_ns += 100;
    CHECK_EQUAL(weft_breaker_core_enter(&breaker.core, &probes[0], breaker.now_ns), 0);
    breaker.now_ns += 600;
    CHECK_EQUAL(weft_breaker_core_enter(&breaker.core, &probes[1], breaker.now_ns), 0);
    breaker.now_ns += 400;
    CHECK_EQUAL(weft_breaker_core_enter(&breaker.core, &probes[2], breaker.now_ns), WEFT_EOPEN);
    CHECK_EQUAL(breaker.core.state, WEFT_BREAKER_OPEN);
    discard(&breaker);
}

TEST(forced_closed_counts_and_never_opens_disabled_counts_nothing)
{
    struct breaker breaker;
    struct weft_breaker_permit permit;
    make(&breaker, &(const struct weft_breaker_options){.consecutive_failures_max = 1});
    weft_breaker_core_by_hand(&breaker.core, WEFT_BREAKER_FORCE_CLOSE, breaker.now_ns);
    calls(&breaker, 100, -EIO);
    CHECK_EQUAL(breaker.core.state, WEFT_BREAKER_FORCED_CLOSED);
    CHECK_EQUAL(look(&breaker).failures, 100);
    weft_breaker_core_by_hand(&breaker.core, WEFT_BREAKER_DISABLE, breaker.now_ns);
    calls(&breaker, 100, -EIO);
    CHECK_EQUAL(look(&breaker).failures, 0);
    CHECK_EQUAL(look(&breaker).entered, 100);
    CHECK_EQUAL(look(&breaker).failed, 100);
    weft_breaker_core_by_hand(&breaker.core, WEFT_BREAKER_FORCE_OPEN, breaker.now_ns);
    breaker.now_ns += 1000 * WEFT_SEC;
    CHECK_EQUAL(weft_breaker_core_enter(&breaker.core, &permit, breaker.now_ns), WEFT_EOPEN);
    CHECK(permit.retry_after_ns == WEFT_FOREVER);
    weft_breaker_core_by_hand(&breaker.core, WEFT_BREAKER_RESET, breaker.now_ns);
    CHECK_EQUAL(breaker.core.state, WEFT_BREAKER_CLOSED);
    CHECK_EQUAL(breaker.core.generation, 5);
    discard(&breaker);
}

TEST(time_that_goes_back_counts_as_the_latest_seen)
{
    struct breaker breaker;
    struct weft_breaker_permit permit;
    make(&breaker, &(const struct weft_breaker_options){.consecutive_failures_max = 1,
                                                        .window_ns = 1000,
                                                        .open_ns = 100,
                                                        .open_jitter = WEFT_BREAKER_NONE});
    breaker.now_ns = 50000;
    calls(&breaker, 1, 0);
    breaker.now_ns = 10;
    calls(&breaker, 1, -EIO);
    CHECK_EQUAL(look(&breaker).calls, 2);
    CHECK_EQUAL(weft_breaker_core_enter(&breaker.core, &permit, 200), WEFT_EOPEN);
    CHECK_EQUAL(permit.retry_after_ns, 100);
    CHECK_EQUAL(weft_breaker_core_enter(&breaker.core, &permit, 50100), 0);
    discard(&breaker);
}

TEST(an_open_time_beyond_all_times_is_for_ever)
{
    struct breaker breaker;
    struct weft_breaker_permit permit;
    make(&breaker, &(const struct weft_breaker_options){
                       .consecutive_failures_max = 1, .open_ns = WEFT_FOREVER, .open_jitter = 1});
    calls(&breaker, 1, -EIO);
    CHECK_EQUAL(weft_breaker_core_enter(&breaker.core, &permit, breaker.now_ns), WEFT_EOPEN);
    CHECK(permit.retry_after_ns == WEFT_FOREVER);
    discard(&breaker);
}

TEST(nonsense_in_the_options_is_refused)
{
    static const struct weft_breaker_options refused[] = {
        {.window_calls = 65537},
        {.window_calls = 10, .window_ns = WEFT_SEC},
        {.window_ns = -1},
        {.window_ns = 5},
        {.window_buckets = 10},
        {.window_ns = WEFT_SEC, .window_buckets = 1001},
        {.window_calls = 10, .calls_min = 11},
        {.failure_rate = -0.5},
        {.failure_rate = 1.01},
        {.failure_rate = (double)NAN},
        {.slow_rate = 0.5},
        {.slow_call_ns = -1},
        {.slow_call_ns = 1, .slow_rate = (double)INFINITY},
        {.open_ns = -1},
        {.open_max_ns = -1},
        {.open_ns = 10, .open_max_ns = 9},
        {.open_factor = 0.5},
        {.open_factor = 1001},
        {.open_factor = (double)NAN},
        {.open_jitter = -0.1},
        {.open_jitter = 1.5},
        {.open_jitter = (double)NAN},
        {.half_open_max_ns = -1},
    };
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        struct weft_breaker_options options = refused[i];
        CHECK_EQUAL(weft_breaker_core_options(&options), -EINVAL);
        if (weft_breaker_core_options(&options) != -EINVAL)
            test_note("number %zu", i);
    }
}

TEST(zero_means_the_documented_defaults)
{
    struct weft_breaker_options options = {0}, small = {.window_calls = 8};
    CHECK_EQUAL(weft_breaker_core_options(&options), 0);
    CHECK_EQUAL(options.window_calls, 100);
    CHECK_EQUAL(options.calls_min, 20);
    CHECK(options.failure_rate == 0.5 && options.slow_rate == 1.0 && options.open_jitter == 0.1);
    CHECK(options.open_factor == 2.0);
    CHECK_EQUAL(options.open_ns, 60 * WEFT_SEC);
    CHECK_EQUAL(options.open_max_ns, 600 * WEFT_SEC);
    CHECK_EQUAL(options.probes_max, 1);
    CHECK_EQUAL(options.successes_min, 2);
    CHECK_EQUAL(weft_breaker_core_options(&small), 0);
    CHECK_EQUAL(small.calls_min, 8);
}

/* ---- the table --------------------------------------------------------------------------- */

TEST(every_pair_of_state_and_event_leads_where_the_header_says)
{
    for (int state = -1; state <= WEFT_BREAKER_STATES; state++)
        for (int event = -1; event <= WEFT_BREAKER_EVENTS; event++) {
            int expected = 0;
            bool known = state > 0 && state < WEFT_BREAKER_STATES;
            if (known && event == WEFT_BREAKER_RESET)
                expected = WEFT_BREAKER_CLOSED;
            if (known && event == WEFT_BREAKER_FORCE_OPEN && state != WEFT_BREAKER_FORCED_OPEN)
                expected = WEFT_BREAKER_FORCED_OPEN;
            if (known && event == WEFT_BREAKER_FORCE_CLOSE && state != WEFT_BREAKER_FORCED_CLOSED)
                expected = WEFT_BREAKER_FORCED_CLOSED;
            if (known && event == WEFT_BREAKER_DISABLE && state != WEFT_BREAKER_DISABLED)
                expected = WEFT_BREAKER_DISABLED;
            if (state == WEFT_BREAKER_CLOSED && event == WEFT_BREAKER_TRIP)
                expected = WEFT_BREAKER_OPEN;
            if (state == WEFT_BREAKER_OPEN && event == WEFT_BREAKER_DUE)
                expected = WEFT_BREAKER_HALF_OPEN;
            if (state == WEFT_BREAKER_HALF_OPEN && event == WEFT_BREAKER_RECOVER)
                expected = WEFT_BREAKER_CLOSED;
            if (state == WEFT_BREAKER_HALF_OPEN &&
                (event == WEFT_BREAKER_RELAPSE || event == WEFT_BREAKER_OVERDUE))
                expected = WEFT_BREAKER_OPEN;
            CHECK_EQUAL(weft_breaker_next((enum weft_breaker_state)state,
                                          (enum weft_breaker_event_kind)event),
                        expected);
        }
}

TEST(every_state_and_event_has_a_name_of_its_own)
{
    for (int a = 0; a < WEFT_BREAKER_STATES; a++)
        for (int b = 0; b < a; b++)
            CHECK(strcmp(weft_breaker_state_name((enum weft_breaker_state)a),
                         weft_breaker_state_name((enum weft_breaker_state)b)) != 0);
    for (int a = 0; a < WEFT_BREAKER_EVENTS; a++)
        for (int b = 0; b < a; b++)
            CHECK(strcmp(weft_breaker_event_name((enum weft_breaker_event_kind)a),
                         weft_breaker_event_name((enum weft_breaker_event_kind)b)) != 0);
    CHECK(strcmp(weft_breaker_state_name((enum weft_breaker_state)99), "none") == 0);
    CHECK(strcmp(weft_breaker_event_name((enum weft_breaker_event_kind)99), "none") == 0);
}
