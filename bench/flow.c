/* SPDX-License-Identifier: MIT
 * flow.c - what the patterns cost when nothing is in the way: no failure, no limit reached. */
#include "bench.h"

#include <weft/breaker.h>
#include <weft/bulkhead.h>
#include <weft/cache.h>
#include <weft/debounce.h>
#include <weft/fallback.h>
#include <weft/flight.h>
#include <weft/hedge.h>
#include <weft/keyed_limiter.h>
#include <weft/limiter.h>
#include <weft/map.h>
#include <weft/pipeline.h>
#include <weft/policy.h>
#include <weft/pool.h>
#include <weft/pubsub.h>
#include <weft/retry.h>
#include <weft/retry_budget.h>
#include <weft/runtime.h>
#include <weft/throttle.h>

#include <stdio.h>

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

/* ---- breaker ------------------------------------------------------------------------------- */

static void enter_and_leave(struct bench *bench, const struct weft_breaker_options *options)
{
    struct weft_breaker *breaker;
    struct weft_breaker_permit permit;
    BENCH_REQUIRE(weft_breaker_open(&breaker, options) == 0);
    for (uint64_t i = 0; i < bench->ops; i++) {
        (void)weft_breaker_enter(breaker, &permit);
        (void)weft_breaker_leave(breaker, &permit, 0);
    }
    weft_breaker_close(breaker);
}

/* One op is a call let through and its success counted, in a window of calls: no look at the clock.
 */
BENCH(breaker, "calls")
{
    const struct weft_breaker_options options = {.sharing = WEFT_LOCAL};
    enter_and_leave(bench, &options);
}

/* The same where other threads could. */
BENCH(breaker_shared, "calls")
{
    const struct weft_breaker_options options = {.sharing = WEFT_SHARED};
    enter_and_leave(bench, &options);
}

/* With a window of time: one look at the clock. */
BENCH(breaker_timed, "calls")
{
    const struct weft_breaker_options options = {.sharing = WEFT_LOCAL, .window_ns = 10 * WEFT_SEC};
    enter_and_leave(bench, &options);
}

/* Where slow calls count: two looks at the clock. */
BENCH(breaker_slow_calls, "calls")
{
    const struct weft_breaker_options options = {.sharing = WEFT_LOCAL, .slow_call_ns = WEFT_SEC};
    enter_and_leave(bench, &options);
}

/* ---- fallback, cache, flight ----------------------------------------------------------------- */

static int be_there(void *arg)
{
    return arg ? 0 : -1;
}

static int nothing_instead(void *arg, int failure)
{
    (void)arg;
    return failure;
}

/* One op is a call that succeeds. */
BENCH(fallback_unused, "calls")
{
    const struct weft_fallback_options options = {.fallback = nothing_instead};
    for (uint64_t i = 0; i < bench->ops; i++)
        BENCH_REQUIRE(weft_fallback(&options, be_there, bench) == 0);
}

/* One op is a value of 64 bytes found among 1,000, with a key of 8 bytes. */
BENCH(cache_hit, "values")
{
    struct weft_cache *cache;
    const struct weft_cache_options options = {.sharing = WEFT_LOCAL, .ttl_ns = WEFT_FOREVER};
    char value[64] = {0};
    BENCH_REQUIRE(weft_cache_open(&cache, &options) == 0);
    for (uint64_t key = 0; key < 1000; key++)
        BENCH_REQUIRE(weft_cache_put(cache, &key, sizeof key, value, sizeof value) == 0);
    for (uint64_t i = 0; i < bench->ops; i++) {
        uint64_t key = i % 1000;
        BENCH_REQUIRE(weft_cache_get(cache, &key, sizeof key, value, sizeof value) > 0);
    }
    weft_cache_close(cache);
}

static int fill(void *arg, void *ret, size_t ret_bytes)
{
    (void)arg, (void)ret;
    return (int)ret_bytes;
}

/* One op is an execution that nobody shares. */
BENCH(flight_alone, "calls")
{
    struct weft_flight *flight;
    const struct weft_flight_options options = {.sharing = WEFT_LOCAL};
    uint64_t value = 0;
    BENCH_REQUIRE(weft_flight_open(&flight, &options) == 0);
    for (uint64_t i = 0; i < bench->ops; i++)
        BENCH_REQUIRE(weft_flight_do(flight, &i, sizeof i, fill, NULL, &value, sizeof value,
                                     WEFT_NOWAIT) > 0);
    weft_flight_close(flight);
}

/* ---- retry and hedge ---------------------------------------------------------------------- */

static int succeed(void *arg)
{
    return (int)++*(uint64_t *)arg & 1;
}

/* One op is a call that succeeds at once, through weft_retry with all options at their defaults. */
BENCH(retry_without_failure, "calls")
{
    const struct weft_retry_options options = {
        .attempts_max = 3, .base_ns = 100 * WEFT_MSEC, .cap_ns = 10 * WEFT_SEC};
    uint64_t calls = 0;
    for (uint64_t i = 0; i < bench->ops; i++)
        BENCH_REQUIRE(weft_retry(&options, succeed, &calls) >= 0);
    BENCH_REQUIRE(calls == bench->ops);
}

/* The same with a budget of one of a hundred hosts, which counts every call. */
BENCH(retry_with_budget, "calls")
{
    static char hosts[100][WEFT_NAME_MAX + 1];
    struct weft_retry_budget *budget;
    uint64_t calls = 0;
    for (int i = 0; i < 100; i++)
        (void)snprintf(hosts[i], sizeof hosts[i], "host-%d.example.org", i);
    BENCH_REQUIRE(weft_retry_budget_open(&budget, NULL) == 0);
    for (uint64_t i = 0; i < bench->ops; i++) {
        const struct weft_retry_options options = {.budget = budget, .budget_key = hosts[i % 100]};
        BENCH_REQUIRE(weft_retry(&options, succeed, &calls) >= 0);
    }
    weft_retry_budget_close(budget);
}

/* One op is a call that succeeds before it would be hedged: a fiber, a copy of 64 bytes, a look at
 * the clock before and after. */
BENCH(hedge_without_hedging, "calls")
{
    const struct weft_hedge_options options = {
        .attempts_max = 2, .delay_ns = WEFT_SEC, .fixed = 1, .sharing = WEFT_LOCAL};
    uint64_t calls[8] = {0};
    struct weft_hedge *hedge;
    BENCH_REQUIRE(weft_hedge_open(&hedge, &options) == 0);
    for (uint64_t i = 0; i < bench->ops; i++)
        BENCH_REQUIRE(weft_hedge_call(hedge, succeed, calls, sizeof calls) >= 0);
    BENCH_REQUIRE(calls[0] == bench->ops);
    weft_hedge_close(hedge);
}

/* ---- policy ------------------------------------------------------------------------------- */

/* A call through all that a client has by rule, without a failure and with room everywhere. */
struct client {
    struct weft_limiter *limiter;
    struct weft_breaker *breaker;
    struct weft_bulkhead *bulkhead;
};

static void open_parts(struct client *client, enum weft_sharing sharing)
{
    const struct weft_limiter_options limit = {.rate = {.count = 1e9, .period_ns = WEFT_SEC},
                                               .sharing = sharing};
    const struct weft_breaker_options breaker = {.sharing = sharing};
    const struct weft_bulkhead_options bulkhead = {.calls_max = 100, .sharing = sharing};
    BENCH_REQUIRE(weft_limiter_open(&client->limiter, &limit) == 0);
    BENCH_REQUIRE(weft_breaker_open(&client->breaker, &breaker) == 0);
    BENCH_REQUIRE(weft_bulkhead_open(&client->bulkhead, &bulkhead) == 0);
}

static void close_parts(struct client *client)
{
    weft_bulkhead_close(client->bulkhead);
    weft_breaker_close(client->breaker);
    weft_limiter_close(client->limiter);
}

static void call_policy(struct bench *bench, const struct weft_layer *layers, size_t count,
                        enum weft_sharing sharing)
{
    const struct weft_policy_options options = {.sharing = sharing};
    struct weft_policy *policy;
    uint64_t calls = 0;
    BENCH_REQUIRE(weft_policy_open(&policy, layers, count, &options) == 0);
    for (uint64_t i = 0; i < bench->ops; i++)
        BENCH_REQUIRE(weft_policy_call(policy, succeed, &calls) >= 0);
    BENCH_REQUIRE(calls == bench->ops);
    weft_policy_close(policy);
}

static void call_without_timeouts(struct bench *bench, enum weft_sharing sharing)
{
    struct client client;
    open_parts(&client, sharing);
    const struct weft_layer layers[] = {
        weft_layer_retry(NULL),
        weft_layer_limit(client.limiter, 1),
        weft_layer_breaker(client.breaker),
        weft_layer_bulkhead(client.bulkhead),
    };
    call_policy(bench, layers, 4, sharing);
    close_parts(&client);
}

/* One op is a call with retry, rate limit, breaker and bulkhead: no timeouts. */
BENCH(policy_without_timeouts, "calls")
{
    call_without_timeouts(bench, WEFT_LOCAL);
}

/* The same where other threads could call. */
BENCH(policy_without_timeouts_shared, "calls")
{
    call_without_timeouts(bench, WEFT_SHARED);
}

static void call_full_stack(struct bench *bench, enum weft_sharing sharing)
{
    struct client client;
    open_parts(&client, sharing);
    const struct weft_layer layers[] = {
        weft_layer_timeout(10 * WEFT_SEC),    weft_layer_retry(NULL),
        weft_layer_limit(client.limiter, 1),  weft_layer_breaker(client.breaker),
        weft_layer_bulkhead(client.bulkhead), weft_layer_timeout(2 * WEFT_SEC),
    };
    call_policy(bench, layers, 6, sharing);
    close_parts(&client);
}

/* With a timeout for all and one for each attempt as well: the full stack. */
BENCH(policy_full_stack, "calls")
{
    call_full_stack(bench, WEFT_LOCAL);
}

BENCH(policy_full_stack_shared, "calls")
{
    call_full_stack(bench, WEFT_SHARED);
}

/* One op is a call through eight layers that do nothing but shield: what a layer costs by itself,
 * with its scope. */
BENCH(policy_eight_shields, "calls")
{
    const struct weft_layer layers[] = {
        weft_layer_shield(), weft_layer_shield(), weft_layer_shield(), weft_layer_shield(),
        weft_layer_shield(), weft_layer_shield(), weft_layer_shield(), weft_layer_shield()};
    call_policy(bench, layers, 8, WEFT_LOCAL);
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
