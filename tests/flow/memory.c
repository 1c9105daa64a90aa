/* SPDX-License-Identifier: MIT
 * memory.c - what the patterns around a call do when there is no memory: the n-th allocation fails,
 * for every n. */
#include "test.h"

#include <weft/weft.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static unsigned long countdown; /* allocations until one fails; 0: none will */
static bool fired;
static long live; /* allocations that are not freed */

void *__real_malloc(size_t bytes);
void *__wrap_malloc(size_t bytes);
void *__real_calloc(size_t len, size_t bytes);
void *__wrap_calloc(size_t len, size_t bytes);
void __real_free(void *allocated);
void __wrap_free(void *allocated);

static bool fails(void)
{
    bool now = countdown == 1;
    if (countdown > 0)
        countdown--;
    fired = fired || now;
    live += !now;
    return now;
}

void *__wrap_malloc(size_t bytes)
{
    return fails() ? NULL : __real_malloc(bytes);
}

void *__wrap_calloc(size_t len, size_t bytes)
{
    return fails() ? NULL : __real_calloc(len, bytes);
}

void __wrap_free(void *allocated)
{
    live -= allocated != NULL;
    __real_free(allocated);
}

static void fail_at(unsigned long number)
{
    countdown = number;
    fired = false;
}

/* ---- opening ------------------------------------------------------------------------------ */

#define OPENS(pattern, ...)                                                                        \
    static int open_##pattern(void)                                                                \
    {                                                                                              \
        const struct weft_##pattern##_options options = {__VA_ARGS__};                             \
        struct weft_##pattern *opened = NULL;                                                      \
        int err = weft_##pattern##_open(&opened, &options);                                        \
        CHECK((err == 0) == (opened != NULL));                                                     \
        weft_##pattern##_close(opened);                                                            \
        return err;                                                                                \
    }

OPENS(breaker, .window_ns = WEFT_SEC)
OPENS(bulkhead, .calls_max = 1)
OPENS(cache, .entries_max = 10)
OPENS(flight, .keys_max = 10)
OPENS(hedge, .window = 16)
OPENS(keyed_limiter, .keys_max = 10)
OPENS(limiter, .kind = WEFT_LIMITER_SLIDING_LOG)
OPENS(retry_budget, .keys_max = 10)

static int open_policy(void)
{
    const struct weft_layer layers[] = {weft_layer_shield(), weft_layer_retry(NULL)};
    struct weft_policy *opened = NULL;
    int err = weft_policy_open(&opened, layers, 2, NULL);
    CHECK((err == 0) == (opened != NULL));
    weft_policy_close(opened);
    return err;
}

FIBER_TEST(opening_fails_whole_at_every_allocation)
{
    static int (*const opens[])(void) = {open_breaker, open_bulkhead,     open_cache,
                                         open_flight,  open_hedge,        open_keyed_limiter,
                                         open_limiter, open_retry_budget, open_policy};
    for (size_t i = 0; i < sizeof opens / sizeof opens[0]; i++) {
        unsigned failures = 0;
        for (;; failures++) {
            long before = live;
            fail_at(failures + 1);
            int err = opens[i]();
            countdown = 0;
            CHECK_EQUAL(live, before);
            if (err == 0)
                break;
            CHECK_EQUAL(err, -ENOMEM);
            REQUIRE(failures < 10);
        }
        CHECK(failures > 0);
    }
}

/* ---- use ---------------------------------------------------------------------------------- */

FIBER_TEST(a_new_key_without_memory_is_refused_and_not_there)
{
    for (unsigned long step = 1; step <= 2; step++) {
        struct weft_keyed_limiter *keyed;
        struct weft_keyed_limiter_snapshot snapshot = {0};
        const struct weft_keyed_limiter_options options = {
            .limiter = {.kind = WEFT_LIMITER_SLIDING_LOG, .rate = {.count = 5}}};
        REQUIRE(weft_keyed_limiter_open(&keyed, &options) == 0);
        fail_at(step);
        CHECK_EQUAL(weft_keyed_limiter_try(keyed, "a", 1, 1), -ENOMEM);
        CHECK(fired);
        CHECK_EQUAL(weft_keyed_limiter_snapshot(keyed, &snapshot), 0);
        CHECK_EQUAL(snapshot.keys, 0);
        CHECK_EQUAL(snapshot.granted, 0);
        CHECK_EQUAL(weft_keyed_limiter_try(keyed, "a", 1, 5), 0);
        weft_keyed_limiter_close(keyed);
    }
}

FIBER_TEST(a_log_without_memory_for_a_new_rate_keeps_the_old)
{
    struct weft_limiter *limiter;
    struct weft_limiter_snapshot snapshot = {0};
    const struct weft_limiter_options options = {.kind = WEFT_LIMITER_SLIDING_LOG,
                                                 .rate = {.count = 5}};
    const struct weft_limiter_rate more = {.count = 50};
    REQUIRE(weft_limiter_open(&limiter, &options) == 0);
    fail_at(1);
    CHECK_EQUAL(weft_limiter_set(limiter, &more), -ENOMEM);
    CHECK_EQUAL(weft_limiter_snapshot(limiter, &snapshot), 0);
    CHECK(snapshot.rate.count == 5);
    CHECK_EQUAL(weft_limiter_try(limiter, 5), 0);
    weft_limiter_close(limiter);
}

static int seven(void *arg, void *ret_value, size_t value_max)
{
    (void)arg;
    CHECK(value_max > 0);
    *(char *)ret_value = 7;
    return 1;
}

FIBER_TEST(a_value_without_memory_is_served_and_not_kept)
{
    struct weft_cache *cache;
    struct weft_cache_snapshot snapshot = {0};
    char value = 0;
    REQUIRE(weft_cache_open(&cache, NULL) == 0);
    CHECK_EQUAL(weft_cache_put(cache, "a", 1, "old", 3), 0);
    fail_at(1);
    CHECK_EQUAL(weft_cache_put(cache, "a", 1, "new", 3), -ENOMEM);
    CHECK_EQUAL(weft_cache_get(cache, "a", 1, &value, 1), -ENOENT); /* and not what is outdated */
    fail_at(1);
    CHECK_EQUAL(weft_cache_load(cache, "a", 1, seven, NULL, &value, 1, WEFT_FOREVER), 1);
    CHECK(fired);
    CHECK_EQUAL(value, 7);
    CHECK_EQUAL(weft_cache_snapshot(cache, &snapshot), 0);
    CHECK_EQUAL(snapshot.entries, 0);
    CHECK_EQUAL(snapshot.bytes, 0);
    CHECK_EQUAL(snapshot.not_kept, 2);
    weft_cache_close(cache);
}

FIBER_TEST(a_budget_without_memory_for_a_key_counts_it_with_the_rest)
{
    struct weft_retry_budget *budget;
    struct weft_retry_budget_snapshot snapshot = {0};
    REQUIRE(weft_retry_budget_open(&budget, NULL) == 0);
    fail_at(1);
    CHECK_EQUAL(weft_retry_budget_take(budget, "a"), 0);
    CHECK_EQUAL(weft_retry_budget_snapshot(budget, "a", &snapshot), 0);
    CHECK_EQUAL(snapshot.keys, 0);
    CHECK_EQUAL(snapshot.crowded, 1);
    CHECK_EQUAL(snapshot.taken, 1);
    weft_retry_budget_close(budget);
}
