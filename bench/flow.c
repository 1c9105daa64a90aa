/* SPDX-License-Identifier: MIT
 * flow.c - what the patterns cost when nothing is in the way: no failure, no limit reached. */
#include "bench.h"

#include <weft/debounce.h>
#include <weft/pool.h>
#include <weft/pubsub.h>
#include <weft/runtime.h>
#include <weft/throttle.h>

/* One op is a look at the clock, which most of what follows needs once. */
BENCH(clock_read, "looks")
{
    int64_t latest_ns = 0;
    for (uint64_t i = 0; i < bench->ops; i++)
        latest_ns = weft_now();
    BENCH_REQUIRE(latest_ns > 0);
}

/* ---- shared things: pool, bus, debounce, throttle ------------------------------------ */

static int make_resource(void *arg, void **ret_resource)
{
    *ret_resource = arg;
    return 0;
}

/* One op is one resource acquired and released. */
static void borrow(struct bench *bench, enum weft_sharing sharing)
{
    struct weft_pool *pool;
    void *resource;
    const struct weft_pool_options options = {
        .create = make_resource, .arg = bench, .sharing = sharing};
    BENCH_REQUIRE(weft_pool_open(&pool, &options) == 0);
    for (uint64_t i = 0; i < bench->ops; i++) {
        BENCH_REQUIRE(weft_pool_acquire(pool, &resource, WEFT_FOREVER) == 0);
        BENCH_REQUIRE(weft_pool_release(pool, resource, 1) == 0);
    }
    BENCH_REQUIRE(weft_pool_close(pool, WEFT_NOWAIT) == 0);
}

BENCH(pool_local, "loans")
{
    borrow(bench, WEFT_LOCAL);
}

BENCH(pool_shared, "loans")
{
    borrow(bench, WEFT_SHARED);
}

/* One op is one message of 16 bytes published to one of a few subscriptions and received. */
BENCH(publish_and_receive, "messages")
{
    struct weft_bus *bus;
    struct weft_subscription *subscriptions[3];
    static const char *const topics[] = {"order.paid", "order.*", "user.>"};
    BENCH_REQUIRE(weft_bus_open(&bus, NULL) == 0);
    for (int i = 0; i < 3; i++) {
        const struct weft_subscription_options options = {.topic = topics[i]};
        BENCH_REQUIRE(weft_subscribe(bus, &options, &subscriptions[i]) == 0);
    }
    for (uint64_t i = 0; i < bench->ops; i++) {
        const struct weft_message *message;
        BENCH_REQUIRE(weft_publish_nowait(bus, "user.created", "0123456789abcdef", 16) == 1);
        BENCH_REQUIRE(weft_subscription_receive(subscriptions[2], &message, WEFT_NOWAIT) == 0);
        weft_message_release(message);
    }
    for (int i = 0; i < 3; i++)
        weft_unsubscribe(subscriptions[i]);
    BENCH_REQUIRE(weft_bus_close(bus, WEFT_NOWAIT) == 0);
}

static int handle_message(void *arg, const struct weft_message *message)
{
    *(uint64_t *)arg += message->len;
    return 0;
}

/* One op is one message published, handled by another fiber and waited for. */
BENCH(publish_and_handle, "messages")
{
    struct weft_bus *bus;
    uint64_t bytes = 0;
    const struct weft_subscription_options options = {
        .topic = "user.created", .handler = handle_message, .arg = &bytes};
    BENCH_REQUIRE(weft_bus_open(&bus, NULL) == 0);
    BENCH_REQUIRE(weft_subscribe(bus, &options, NULL) == 0);
    for (uint64_t i = 0; i < bench->ops; i++)
        BENCH_REQUIRE(weft_publish(bus, "user.created", "0123456789abcdef", 16, WEFT_FOREVER) == 1);
    BENCH_REQUIRE(bytes == 16 * bench->ops);
    BENCH_REQUIRE(weft_bus_close(bus, WEFT_NOWAIT) == 0);
}

static int do_nothing(void *arg)
{
    (void)arg;
    return 0;
}

/* One op is one call that moves the window of a debounce. */
BENCH(debounce_call, "calls")
{
    struct weft_debounce *debounce;
    const struct weft_debounce_options options = {
        .fn = do_nothing, .arg_bytes = sizeof(uint64_t), .wait_ns = WEFT_SEC};
    BENCH_REQUIRE(weft_debounce_open(&debounce, &options) == 0);
    for (uint64_t i = 0; i < bench->ops; i++)
        BENCH_REQUIRE(weft_debounce_call(debounce, &i) == 0);
    weft_debounce_close(debounce);
}

/* One op is one call that a throttle skips. */
BENCH(throttle_skip, "calls")
{
    struct weft_throttle *throttle;
    const struct weft_throttle_options options = {.interval_ns = 3600 * WEFT_SEC,
                                                  .mode = WEFT_THROTTLE_SKIP};
    BENCH_REQUIRE(weft_throttle_open(&throttle, &options) == 0);
    BENCH_REQUIRE(weft_throttle_enter(throttle, WEFT_FOREVER) == 0);
    for (uint64_t i = 0; i < bench->ops; i++)
        BENCH_REQUIRE(weft_throttle_enter(throttle, WEFT_FOREVER) < 0);
    weft_throttle_close(throttle);
}
