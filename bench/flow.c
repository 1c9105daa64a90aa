/* SPDX-License-Identifier: MIT
 * flow.c - what the patterns cost when nothing is in the way: no failure, no limit reached. */
#include "bench.h"

#include <weft/map.h>
#include <weft/pipeline.h>
#include <weft/runtime.h>

/* One op is a look at the clock, which most of what follows needs once. */
BENCH(clock_read, "looks")
{
    int64_t latest_ns = 0;
    for (uint64_t i = 0; i < bench->ops; i++)
        latest_ns = weft_now();
    BENCH_REQUIRE(latest_ns > 0);
}

/* ---- map and pipeline -------------------------------------------------------------------- */

static int add_index(void *arg, void *item, size_t index)
{
    (void)item;
    *(uint64_t *)arg += index;
    return 0;
}

/* One op is one item, 16 at once, of nothing to do. */
BENCH(map_item, "items")
{
    const struct weft_map_options options = {.concurrency_max = 16, .worker = WEFT_HERE};
    uint64_t sum = 0;
    BENCH_REQUIRE(weft_map(&options, add_index, &sum, NULL, 0, bench->ops, NULL) == 0);
    BENCH_REQUIRE(sum == bench->ops * (bench->ops - 1) / 2);
}

static int count_up(void *arg, const void *in, void *out)
{
    (void)arg;
    *(uint64_t *)out = *(const uint64_t *)in + 1;
    return 1;
}

static int sum_up(void *arg, const void *in, void *out)
{
    (void)out;
    *(uint64_t *)arg += *(const uint64_t *)in;
    return 0;
}

static void push_through(struct bench *bench, unsigned workers, int ordered)
{
    uint64_t sum = 0;
    const struct weft_stage_options up = {.fn = count_up,
                                          .item_bytes_in = sizeof sum,
                                          .item_bytes_out = sizeof sum,
                                          .workers = workers,
                                          .ordered = ordered,
                                          .queue_max = 128,
                                          .worker = WEFT_HERE};
    const struct weft_stage_options down = {
        .fn = sum_up, .arg = &sum, .item_bytes_in = sizeof sum, .queue_max = 128};
    const struct weft_stage_options stages[] = {up, up, down};
    const struct weft_pipeline_options options = {.stages = stages, .stage_count = 3};
    struct weft_pipeline *pipeline;
    BENCH_REQUIRE(weft_pipeline_open(&pipeline, &options) == 0);
    for (uint64_t i = 0; i < bench->ops; i++)
        BENCH_REQUIRE(weft_pipeline_push(pipeline, &i, WEFT_FOREVER) == 0);
    BENCH_REQUIRE(weft_pipeline_finish(pipeline, WEFT_FOREVER) == 0);
    BENCH_REQUIRE(sum == bench->ops * (bench->ops + 3) / 2);
    weft_pipeline_close(pipeline);
}

/* One op is one item through three stages of one fiber each, queues of 128. */
BENCH(pipeline_three_stages, "items")
{
    push_through(bench, 1, 0);
}

/* The same where the first two stages have four fibers each and keep the order. */
BENCH(pipeline_three_stages_ordered, "items")
{
    push_through(bench, 4, 1);
}
