/* SPDX-License-Identifier: MIT
 * fiber.c - what fibers, channels and timers cost within one worker. */
#include "bench.h"

#include <weft/channel.h>
#include <weft/group.h>
#include <weft/runtime.h>

static int yield_ops(void *arg)
{
    const struct bench *bench = arg;
    for (uint64_t i = 0; i < bench->ops / 2; i++)
        (void)weft_yield();
    return 0;
}

/* One op is one yield to a sibling that does the same. */
BENCH(yield, "yields")
{
    struct weft_group group;
    BENCH_REQUIRE(weft_group_init(&group, NULL) == 0);
    BENCH_REQUIRE(weft_spawn(&group, yield_ops, bench) == 0);
    BENCH_REQUIRE(weft_spawn(&group, yield_ops, bench) == 0);
    BENCH_REQUIRE(weft_group_wait(&group) == 0);
}

static int nothing(void *arg)
{
    (void)arg;
    return 0;
}

/* One op is one fiber started, run and waited for; ten at a time, as a group is used. */
BENCH(spawn_join, "fibers")
{
    for (uint64_t i = 0; i < bench->ops; i += 10) {
        struct weft_group group;
        BENCH_REQUIRE(weft_group_init(&group, NULL) == 0);
        for (int k = 0; k < 10; k++)
            BENCH_REQUIRE(weft_spawn(&group, nothing, NULL) == 0);
        BENCH_REQUIRE(weft_group_wait(&group) == 0);
    }
}

struct link {
    struct weft_channel channel;
    uint64_t ops;
};

static int send_ops(void *arg)
{
    struct link *link = arg;
    for (uint64_t i = 0; i < link->ops; i++)
        (void)weft_send(&link->channel, &i, WEFT_FOREVER);
    return 0;
}

static void hand_over(struct bench *bench, size_t capacity)
{
    struct link link = {.ops = bench->ops};
    struct weft_group group;
    uint64_t item = 0;
    BENCH_REQUIRE(weft_channel_init(&link.channel, sizeof item, capacity) == 0);
    BENCH_REQUIRE(weft_group_init(&group, NULL) == 0);
    BENCH_REQUIRE(weft_spawn(&group, send_ops, &link) == 0);
    for (uint64_t i = 0; i < bench->ops; i++)
        (void)weft_receive(&link.channel, &item, WEFT_FOREVER);
    BENCH_REQUIRE(item == bench->ops - 1);
    BENCH_REQUIRE(weft_group_wait(&group) == 0);
    weft_channel_deinit(&link.channel);
}

/* One op is one 8-byte item from one fiber to another, through a ring of 128. */
BENCH(channel_buffered, "items")
{
    hand_over(bench, 128);
}

/* The same without a ring: sender and receiver meet. */
BENCH(channel_rendezvous, "items")
{
    hand_over(bench, 0);
}

/* One op is one deadline set and taken away before it came. */
BENCH(timer_set_cancel, "timers")
{
    int64_t deadline_ns = weft_now() + 3600 * WEFT_SEC;
    for (uint64_t i = 0; i < bench->ops; i++) {
        struct weft_scope scope;
        weft_scope_enter(&scope, deadline_ns + (int64_t)i, 0);
        (void)weft_scope_leave(&scope, 0);
    }
}
