/* SPDX-License-Identifier: MIT
 * time.h - arithmetic with times: what is later than every time is WEFT_FOREVER. */
#ifndef WEFT_BASE_TIME_H
#define WEFT_BASE_TIME_H

#include <weft/base.h>

/* The time duration_ns after now_ns, which is not negative. A duration below 0 counts as 0. */
static inline int64_t weft_time_after(int64_t now_ns, int64_t duration_ns)
{
    if (duration_ns <= 0)
        return now_ns;
    return duration_ns > WEFT_FOREVER - now_ns ? WEFT_FOREVER : now_ns + duration_ns;
}

/* A duration given as a floating-point number of nanoseconds: rounded up, never negative; NaN and
 * what is too large for a number are WEFT_FOREVER. */
static inline int64_t weft_time_from_double(double duration_ns)
{
    if (duration_ns <= 0)
        return 0;
    if (!(duration_ns < 9.2e18))
        return WEFT_FOREVER;
    int64_t whole = (int64_t)duration_ns;
    return (double)whole < duration_ns ? whole + 1 : whole;
}

#endif
