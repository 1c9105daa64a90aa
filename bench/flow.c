/* SPDX-License-Identifier: MIT
 * flow.c - what the patterns cost when nothing is in the way: no failure, no limit reached. */
#include "bench.h"

#include <weft/runtime.h>

/* One op is a look at the clock, which most of what follows needs once. */
BENCH(clock_read, "looks")
{
    int64_t latest_ns = 0;
    for (uint64_t i = 0; i < bench->ops; i++)
        latest_ns = weft_now();
    BENCH_REQUIRE(latest_ns > 0);
}
