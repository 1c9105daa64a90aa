/* SPDX-License-Identifier: MIT
 * flow.c - what the patterns cost when nothing is in the way: no failure, no limit reached. */
#include "bench.h"

#include <weft/bulkhead.h>
#include <weft/keyed_limiter.h>
#include <weft/limiter.h>
#include <weft/runtime.h>

/* One op is a look at the clock, which most of what follows needs once. */
BENCH(clock_read, "looks")
{
    int64_t latest_ns = 0;
    for (uint64_t i = 0; i < bench->ops; i++)
        latest_ns = weft_now();
    BENCH_REQUIRE(latest_ns > 0);
}

/* ---- limits ------------------------------------------------------------------------------- */

static void acquire_permits(struct bench *bench, enum weft_limiter_kind kind,
                            enum weft_sharing sharing)
{
    const struct weft_limiter_options options = {
        .kind = kind, .rate = {.count = 1e9, .burst = 1000000000}, .sharing = sharing};
    struct weft_limiter *limiter;
    BENCH_REQUIRE(weft_limiter_open(&limiter, &options) == 0);
    for (uint64_t i = 0; i < bench->ops; i++)
        BENCH_REQUIRE(weft_limiter_acquire(limiter, 1, WEFT_FOREVER) == 0);
    weft_limiter_close(limiter);
}

/* One op is a permit that is there. */
BENCH(limiter_token_bucket, "permits")
{
    acquire_permits(bench, WEFT_LIMITER_TOKEN_BUCKET, WEFT_LOCAL);
}

BENCH(limiter_gcra, "permits")
{
    acquire_permits(bench, WEFT_LIMITER_GCRA, WEFT_LOCAL);
}

/* The same where other threads could ask for it. */
BENCH(limiter_token_bucket_shared, "permits")
{
    acquire_permits(bench, WEFT_LIMITER_TOKEN_BUCKET, WEFT_SHARED);
}

BENCH(limiter_gcra_shared, "permits")
{
    acquire_permits(bench, WEFT_LIMITER_GCRA, WEFT_SHARED);
}

/* One op is a permit of one of 1,000 keys. */
BENCH(limiter_keyed, "permits")
{
    const struct weft_keyed_limiter_options options = {
        .limiter = {.rate = {.count = 1e9, .burst = 1000000000}, .sharing = WEFT_LOCAL}};
    struct weft_keyed_limiter *keyed;
    BENCH_REQUIRE(weft_keyed_limiter_open(&keyed, &options) == 0);
    for (uint64_t i = 0; i < bench->ops; i++) {
        uint64_t key[2] = {i % 1000, 0};
        BENCH_REQUIRE(weft_keyed_limiter_acquire(keyed, key, sizeof key, 1, WEFT_FOREVER) == 0);
    }
    weft_keyed_limiter_close(keyed);
}

static void visit_bulkhead(struct bench *bench, enum weft_sharing sharing)
{
    const struct weft_bulkhead_options options = {.calls_max = 4, .sharing = sharing};
    struct weft_bulkhead *bulkhead;
    BENCH_REQUIRE(weft_bulkhead_open(&bulkhead, &options) == 0);
    for (uint64_t i = 0; i < bench->ops; i++) {
        BENCH_REQUIRE(weft_bulkhead_acquire(bulkhead, WEFT_FOREVER) == 0);
        (void)weft_bulkhead_release(bulkhead);
    }
    weft_bulkhead_close(bulkhead);
}

/* One op is in and out of a bulkhead that has room. */
BENCH(bulkhead, "calls")
{
    visit_bulkhead(bench, WEFT_LOCAL);
}

/* The same where other threads could come. */
BENCH(bulkhead_shared, "calls")
{
    visit_bulkhead(bench, WEFT_SHARED);
}
