/* SPDX-License-Identifier: MIT
 * ticker.c - the cheap clock against the kernel's. */
#include "test.h"

#include <os/clock.h>
#include <os/ticker.h>

#include <time.h>

#define LAG_NS 5000 /* a thousandth of its span, and one look that was nearly too long */

/* Where its rate is known it is used: about half a second of looks, most of them cheap. */
TEST(the_ticker_is_never_early_never_late_and_never_goes_back)
{
    struct weft_ticker ticker;
    weft_ticker_init(&ticker);
    int64_t start_ns = weft_clock_monotonic_ns(), before_ns = start_ns, latest_ns = 0;
    unsigned early = 0, late = 0, back = 0;
    while (before_ns - start_ns < 500000000) {
        before_ns = weft_clock_monotonic_ns();
        int64_t now_ns = weft_ticker_now(&ticker);
        int64_t after_ns = weft_clock_monotonic_ns();
        early += now_ns > after_ns;
        late += now_ns < before_ns - LAG_NS;
        back += now_ns < latest_ns;
        latest_ns = now_ns;
    }
    CHECK_EQUAL(early, 0);
    CHECK_EQUAL(late, 0);
    CHECK_EQUAL(back, 0);
    CHECK_EQUAL(ticker.span_ticks > 0, ticker.counts);
}

/* Look until the ticker has a rate. Returns false, with the test skipped, where it never will. */
static bool begin_counting(struct weft_ticker *ticker)
{
    weft_ticker_init(ticker);
    if (!ticker->counts) {
        test_skip("the kernel does not count by the processor's ticks");
        return false;
    }
    while (ticker->span_ticks == 0)
        (void)weft_ticker_now(ticker);
    return true;
}

TEST(a_ticker_whose_rate_changes_asks_the_kernel_until_it_knows_better)
{
    struct weft_ticker ticker;
    if (!begin_counting(&ticker))
        return;
    /* As if the ticks had been half as fast since the rate was begun. */
    int64_t since_ns = weft_clock_monotonic_ns() - INT64_C(2000000000);
    ticker.since_ns = since_ns;
    ticker.since_ticks = weft_ticks() - (uint64_t)1000000000;
    while (ticker.since_ns == since_ns)
        (void)weft_ticker_now(&ticker);
    CHECK_EQUAL(ticker.span_ticks, 0);
    int64_t latest_ns = 0;
    while (ticker.span_ticks == 0) {
        int64_t now_ns = weft_ticker_now(&ticker);
        CHECK(now_ns >= latest_ns);
        CHECK(now_ns <= weft_clock_monotonic_ns());
        latest_ns = now_ns;
    }
}

/* Look until there is a rate, and on. What was shown once may be ahead; nothing after that is. */
static void check_looks(struct weft_ticker *ticker, int64_t latest_ns)
{
    unsigned back = 0, early = 0;
    for (unsigned with_rate = 0; with_rate<10000; with_rate += ticker->span_ticks> 0) {
        int64_t now_ns = weft_ticker_now(ticker);
        back += now_ns < latest_ns;
        early += now_ns > weft_clock_monotonic_ns();
        latest_ns = now_ns;
    }
    CHECK_EQUAL(back, 0);
    CHECK_EQUAL(early, 0);
}

TEST(a_ticker_whose_ticks_got_faster_waits_for_the_kernels_clock_once)
{
    struct weft_ticker ticker;
    if (!begin_counting(&ticker))
        return;
    /* As if the machine had gone on elsewhere, where the ticks are twice as fast. */
    ticker.rate *= 2;
    int64_t latest_ns = 0, now_ns;
    while ((now_ns = weft_ticker_now(&ticker)) > 0 && ticker.span_ticks > 0) {
        CHECK(now_ns >= latest_ns);
        latest_ns = now_ns;
        if (latest_ns > weft_clock_monotonic_ns() + 1000000)
            break; /* for ever */
    }
    CHECK_EQUAL(ticker.span_ticks, 0);
    check_looks(&ticker, latest_ns);
}

TEST(a_ticker_whose_ticks_went_back_does_not)
{
    struct weft_ticker ticker;
    if (!begin_counting(&ticker))
        return;
    (void)weft_ticker_now(&ticker);
    int64_t latest_ns = weft_ticker_now(&ticker);
    ticker.anchor_ticks += 1000000000;
    ticker.since_ticks += 1000000000;
    check_looks(&ticker, latest_ns);
}

TEST(a_ticker_that_may_not_count_is_the_kernels_clock)
{
    struct weft_ticker ticker = {0};
    int64_t before_ns = weft_clock_monotonic_ns();
    int64_t now_ns = weft_ticker_now(&ticker);
    CHECK(now_ns >= before_ns);
    CHECK(now_ns <= weft_clock_monotonic_ns());
    CHECK_EQUAL(ticker.span_ticks, 0);
}

TEST(the_time_of_day_is_the_systems)
{
    struct timespec before, after;
    REQUIRE(timespec_get(&before, TIME_UTC) == TIME_UTC);
    int64_t now_us = weft_clock_unix_us();
    REQUIRE(timespec_get(&after, TIME_UTC) == TIME_UTC);
    CHECK(now_us >= before.tv_sec * INT64_C(1000000));
    CHECK(now_us <= (after.tv_sec + 1) * INT64_C(1000000));
}
