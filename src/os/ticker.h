/* SPDX-License-Identifier: MIT
 * ticker.h - the kernel's clock for who looks at it all the time. */
#ifndef WEFT_OS_TICKER_H
#define WEFT_OS_TICKER_H

#include <stdbool.h>
#include <stdint.h>

/* CLOCK_MONOTONIC for one thread that looks often, at half the price: for up to 100 us after a look
 * at the kernel's clock it counts the processor's own ticks, at a rate taken a thousandth too low.
 * So it lags by up to 0.1 us, and by as much more as passed while the kernel was asked (1 us at
 * most), is never early, and does not go back. Where the ticks are not what the kernel itself
 * counts by, every look is at the kernel's clock. So it is for a while after the ticks went back or
 * got faster (a machine that went on elsewhere): what was shown until that was noticed, within 100
 * us, may have been early. */
struct weft_ticker {
    uint64_t anchor_ticks; /* at the last look at the kernel's clock */
    int64_t anchor_ns;
    uint64_t span_ticks;  /* how long that is good for; 0 while the rate is not known */
    uint64_t rate;        /* ns per tick, 32 bits of them after the point */
    uint64_t since_ticks; /* what the rate is taken from: since then */
    int64_t since_ns;
    bool counts; /* the ticks can be used */
};

void weft_ticker_init(struct weft_ticker *ticker);

int64_t weft_ticker_ask(struct weft_ticker *ticker);

static inline uint64_t weft_ticks(void)
{
#ifdef __x86_64__
    return __builtin_ia32_rdtsc();
#else
    return 0;
#endif
}

static inline int64_t weft_ticker_now(struct weft_ticker *ticker)
{
    if (ticker->span_ticks == 0)
        return weft_ticker_ask(ticker);
    uint64_t passed = weft_ticks() - ticker->anchor_ticks;
    if (passed >= ticker->span_ticks)
        return weft_ticker_ask(ticker);
    return ticker->anchor_ns + (int64_t)(passed * ticker->rate >> 32);
}

#endif
