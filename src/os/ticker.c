/* SPDX-License-Identifier: MIT
 * ticker.c - see ticker.h. */
#include <os/ticker.h>

#include <os/clock.h>
#include <os/sanitizer.h>

#include <fcntl.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#ifdef __x86_64__
#include <cpuid.h>
#endif

#define SPAN_NS        100000     /* a look at the kernel's clock is good for so long */
#define FIRST_NS       10000000   /* the first rate is taken over so long, */
#define LATER_NS       1000000000 /* those after it over so long */
#define STEADY_TICKS   2000u      /* a look that took longer was interrupted */
#define RATE_SAFETY    10         /* a rate is lowered by 2 to the minus this: 1/1024 */
#define RATE_TOLERANCE 8          /* and may differ from the one before by 1/256 */

#ifdef __x86_64__

/* Whether the ticks go on at one rate on all processors, whatever these do. */
static bool ticks_are_even(void)
{
    unsigned a, b, c, d;
    int allowed = 0;
    if (!__get_cpuid(0x80000007, &a, &b, &c, &d) || !(d & 1u << 8))
        return false;
    return prctl(PR_GET_TSC, &allowed) == 0 && allowed == PR_TSC_ENABLE;
}

/* Whether the kernel itself counts by them: it has found them the same on all processors. */
static bool kernel_counts_by_ticks(void)
{
    static const char *const sources[] = {"tsc\n", "kvm-clock\n", "hyperv_clocksource_tsc_page\n"};
    char name[64] = "";
    int fd = open("/sys/devices/system/clocksource/clocksource0/current_clocksource",
                  O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t len = read(fd, name, sizeof name - 1);
    (void)close(fd);
    for (size_t i = 0; len > 0 && i < sizeof sources / sizeof sources[0]; i++) {
        if (strcmp(name, sources[i]) == 0)
            return true;
    }
    return false;
}

#else

static bool ticks_are_even(void)
{
    return false;
}

static bool kernel_counts_by_ticks(void)
{
    return false;
}

#endif

void weft_ticker_init(struct weft_ticker *ticker)
{
    *ticker = (struct weft_ticker){0};
    ticker->counts = !weft_valgrind_runs() && ticks_are_even() && kernel_counts_by_ticks();
}

/* The time is passed_ns later than then, the ticks by no more than passed_ticks. */
static uint64_t rate_of(int64_t passed_ns, uint64_t passed_ticks)
{
    uint64_t rate = (uint64_t)((double)passed_ns / (double)passed_ticks * 0x1p32);
    return rate - (rate >> RATE_SAFETY);
}

static void begin_rate(struct weft_ticker *ticker, uint64_t ticks, int64_t now_ns)
{
    ticker->since_ticks = ticks;
    ticker->since_ns = now_ns;
}

/* A machine that slept, or went on elsewhere, has another rate: then the kernel is asked until a
 * new one is known. */
static void take_rate(struct weft_ticker *ticker, uint64_t ticks, int64_t now_ns)
{
    int64_t passed_ns = now_ns - ticker->since_ns;
    if (ticker->since_ns == 0 || ticks <= ticker->since_ticks) {
        ticker->span_ticks = 0;
        begin_rate(ticker, ticks, now_ns);
        return;
    }
    if (passed_ns < (ticker->span_ticks ? LATER_NS : FIRST_NS))
        return;
    uint64_t before = ticker->rate, rate = rate_of(passed_ns, ticks - ticker->since_ticks);
    uint64_t apart = rate > before ? rate - before : before - rate;
    bool credible = ticker->span_ticks == 0 || apart <= before >> RATE_TOLERANCE;
    ticker->rate = rate;
    ticker->span_ticks = credible && rate > 0 ? ((uint64_t)SPAN_NS << 32) / rate : 0;
    begin_rate(ticker, ticks, now_ns);
}

/* Ticks that went back, or on faster than the rate says. What was shown is not taken back: if it is
 * ahead of the kernel's clock, or may be, that is waited for, for less than a span. */
static int64_t start_over(struct weft_ticker *ticker, int64_t shown_ns)
{
    int64_t now_ns;
    do
        now_ns = weft_clock_monotonic_ns();
    while (now_ns < shown_ns);
    *ticker = (struct weft_ticker){.anchor_ns = now_ns, .counts = true};
    return now_ns;
}

int64_t weft_ticker_ask(struct weft_ticker *ticker)
{
    if (!ticker->counts)
        return weft_clock_monotonic_ns();
    uint64_t before = weft_ticks();
    int64_t now_ns = weft_clock_monotonic_ns();
    uint64_t after = weft_ticks();
    int64_t shown_ns = ticker->anchor_ns + (int64_t)(ticker->span_ticks * ticker->rate >> 32);
    if (now_ns < shown_ns || before < ticker->anchor_ticks)
        return start_over(ticker, shown_ns);
    if (after - before > STEADY_TICKS)
        return now_ns;
    take_rate(ticker, after, now_ns);
    ticker->anchor_ticks = after;
    ticker->anchor_ns = now_ns;
    return now_ns;
}
