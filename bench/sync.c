/* SPDX-License-Identifier: MIT
 * sync.c - locks, permits and selects within one worker, hand-offs and wakes between two. */
#include "bench.h"

#include <weft/channel.h>
#include <weft/group.h>
#include <weft/runtime.h>
#include <weft/select.h>
#include <weft/sync.h>

#include <stdatomic.h>

/* One op is a lock and an unlock that nobody else wants. */
BENCH(mutex_uncontended, "locks")
{
    struct weft_mutex mutex;
    BENCH_REQUIRE(weft_mutex_init(&mutex, WEFT_LOCAL) == 0);
    for (uint64_t i = 0; i < bench->ops; i++) {
        (void)weft_mutex_lock(&mutex, WEFT_FOREVER);
        (void)weft_mutex_unlock(&mutex);
    }
}

/* The same where other threads could. */
BENCH(mutex_shared, "locks")
{
    struct weft_mutex mutex;
    BENCH_REQUIRE(weft_mutex_init(&mutex, WEFT_SHARED) == 0);
    for (uint64_t i = 0; i < bench->ops; i++) {
        (void)weft_mutex_lock(&mutex, WEFT_FOREVER);
        (void)weft_mutex_unlock(&mutex);
    }
}

/* One op is a permit taken and given back. */
BENCH(semaphore, "permits")
{
    struct weft_semaphore semaphore;
    BENCH_REQUIRE(weft_semaphore_init(&semaphore, 4, WEFT_LOCAL) == 0);
    for (uint64_t i = 0; i < bench->ops; i++) {
        (void)weft_semaphore_acquire(&semaphore, 1, WEFT_FOREVER);
        (void)weft_semaphore_release(&semaphore, 1);
    }
}

struct pair {
    struct weft_channel first, second;
    struct weft_event ping, pong;
    uint64_t ops;
    atomic_bool over;
};

static int feed_both(void *arg)
{
    struct pair *pair = arg;
    for (uint64_t i = 0; i < pair->ops; i++)
        (void)weft_send(i % 2 ? &pair->first : &pair->second, &i, WEFT_FOREVER);
    return 0;
}

/* One op is one item received from either of two channels without a ring. */
BENCH(select_two_channels, "items")
{
    struct pair pair = {.ops = bench->ops};
    struct weft_group group;
    uint64_t items[2];
    BENCH_REQUIRE(weft_channel_init(&pair.first, sizeof items[0], 0) == 0);
    BENCH_REQUIRE(weft_channel_init(&pair.second, sizeof items[0], 0) == 0);
    BENCH_REQUIRE(weft_group_init(&group, NULL) == 0);
    BENCH_REQUIRE(weft_spawn(&group, feed_both, &pair) == 0);
    struct weft_case cases[] = {weft_case_receive(&pair.first, &items[0]),
                                weft_case_receive(&pair.second, &items[1])};
    for (uint64_t i = 0; i < bench->ops; i++)
        BENCH_REQUIRE(weft_select(cases, 2, WEFT_FOREVER, 0) >= 0);
    BENCH_REQUIRE(weft_group_wait(&group) == 0);
    weft_channel_deinit(&pair.first);
    weft_channel_deinit(&pair.second);
}

/* ---- two workers ------------------------------------------------------------------------- */

#define CROSS_OPS   500000u
#define BUSY_FIBERS 4u

static int64_t elapsed_ns(int64_t start_ns)
{
    return weft_now() - start_ns;
}

struct cross {
    struct pair pair;
    size_t capacity;
    bool busy;
    struct bench *bench;
};

static int send_first(void *arg)
{
    struct pair *pair = arg;
    for (uint64_t i = 0; i < pair->ops; i++)
        (void)weft_send(&pair->first, &i, WEFT_FOREVER);
    return 0;
}

static int receive_across(void *arg)
{
    struct cross *cross = arg;
    const struct weft_channel_options options = {
        .item_bytes = sizeof(uint64_t), .capacity = cross->capacity, .sharing = WEFT_SHARED};
    const struct weft_spawn_options there = {.worker = WEFT_WORKER(1)};
    struct weft_group group;
    uint64_t item = 0;
    BENCH_REQUIRE(weft_channel_init_with(&cross->pair.first, &options) == 0);
    BENCH_REQUIRE(weft_group_init(&group, NULL) == 0);
    int64_t start_ns = weft_now();
    BENCH_REQUIRE(weft_spawn_with(&group, send_first, &cross->pair, &there) == 0);
    for (uint64_t i = 0; i < cross->pair.ops; i++)
        BENCH_REQUIRE(weft_receive(&cross->pair.first, &item, WEFT_FOREVER) == 0 && item == i);
    cross->bench->elapsed_ns = elapsed_ns(start_ns);
    BENCH_REQUIRE(weft_group_wait(&group) == 0);
    weft_channel_deinit(&cross->pair.first);
    return 0;
}

static int spin(void *arg)
{
    struct pair *pair = arg;
    while (!atomic_load_explicit(&pair->over, memory_order_relaxed))
        (void)weft_yield();
    return 0;
}

static int answer_pings(void *arg)
{
    struct pair *pair = arg;
    for (uint64_t i = 0; i < pair->ops; i += 2) {
        (void)weft_event_wait(&pair->ping, WEFT_FOREVER);
        (void)weft_event_clear(&pair->ping);
        (void)weft_event_set(&pair->pong);
    }
    return 0;
}

static int ping_across(void *arg)
{
    struct cross *cross = arg;
    struct pair *pair = &cross->pair;
    struct weft_group group;
    BENCH_REQUIRE(weft_event_init(&pair->ping, WEFT_SHARED) == 0);
    BENCH_REQUIRE(weft_event_init(&pair->pong, WEFT_SHARED) == 0);
    BENCH_REQUIRE(weft_group_init(&group, NULL) == 0);
    for (unsigned i = 0; cross->busy && i < 2 * BUSY_FIBERS; i++) {
        const struct weft_spawn_options options = {.worker = WEFT_WORKER((int)(i % 2))};
        BENCH_REQUIRE(weft_spawn_with(&group, spin, pair, &options) == 0);
    }
    const struct weft_spawn_options there = {.worker = WEFT_WORKER(1)};
    BENCH_REQUIRE(weft_spawn_with(&group, answer_pings, pair, &there) == 0);
    int64_t start_ns = weft_now();
    for (uint64_t i = 0; i < pair->ops; i += 2) {
        (void)weft_event_set(&pair->ping);
        (void)weft_event_wait(&pair->pong, WEFT_FOREVER);
        (void)weft_event_clear(&pair->pong);
    }
    cross->bench->elapsed_ns = elapsed_ns(start_ns);
    atomic_store(&pair->over, true);
    return weft_group_wait(&group);
}

static void run_across(struct bench *bench, int (*fn)(void *), uint64_t ops, size_t capacity,
                       bool busy)
{
    struct cross cross = {.pair = {.ops = ops}, .capacity = capacity, .busy = busy, .bench = bench};
    bench->ops = ops;
    BENCH_REQUIRE(weft_run(&(struct weft_run_options){.workers = 2}, fn, &cross) == 0);
}

/* One op is one item from one worker to another, through a ring of 128. */
PLAIN_BENCH(cross_channel_buffered, "items")
{
    run_across(bench, receive_across, CROSS_OPS, 128, false);
}

/* The same without a ring. */
PLAIN_BENCH(cross_channel_rendezvous, "items")
{
    run_across(bench, receive_across, CROSS_OPS / 10, 0, false);
}

/* One op is one fiber woken on the other worker, while other fibers keep both awake. */
PLAIN_BENCH(wake_busy, "wakes")
{
    run_across(bench, ping_across, CROSS_OPS / 10, 0, true);
}

/* The same when there is nothing else to do: each worker sleeps in the kernel in between. */
PLAIN_BENCH(wake_idle, "wakes")
{
    run_across(bench, ping_across, CROSS_OPS / 10, 0, false);
}
