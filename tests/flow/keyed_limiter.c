/* SPDX-License-Identifier: MIT
 * keyed_limiter.c - every key has its own permits, and keys come and go unnoticed. */
#include "runtime/crowd.h"
#include "test.h"

#include <base/random.h>

#include <weft/group.h>
#include <weft/keyed_limiter.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

static struct weft_keyed_limiter *keyed;

static void open_with(double count, uint32_t keys_max, enum weft_sharing sharing)
{
    const struct weft_keyed_limiter_options options = {
        .limiter = {.rate = {.count = count}, .sharing = sharing}, .keys_max = keys_max};
    REQUIRE(weft_keyed_limiter_open(&keyed, &options) == 0);
}

static struct weft_keyed_limiter_snapshot snapshot(void)
{
    struct weft_keyed_limiter_snapshot shot = {.keys = 0};
    CHECK_EQUAL(weft_keyed_limiter_snapshot(keyed, &shot), 0);
    return shot;
}

static int try_key(const char *key, uint32_t count)
{
    return weft_keyed_limiter_try(keyed, key, strlen(key), count);
}

static int acquire(const char *key, uint32_t count, int64_t deadline_ns)
{
    return weft_keyed_limiter_acquire(keyed, key, strlen(key), count, deadline_ns);
}

FIBER_TEST(each_key_has_its_own_permits)
{
    open_with(2, 0, WEFT_AUTO);
    int64_t now_ns = weft_now();
    CHECK_EQUAL(try_key("ann", 2), 0);
    CHECK_EQUAL(try_key("ann", 1), -EAGAIN);
    CHECK_EQUAL(try_key("bob", 2), 0);
    CHECK_EQUAL(try_key("", 1), 0); /* nobody's key is a key */
    CHECK_EQUAL(try_key("ann\n", 1), 0);
    CHECK_EQUAL(acquire("bob", 1, WEFT_FOREVER), 0);
    CHECK_EQUAL(weft_now() - now_ns, WEFT_SEC / 2);
    CHECK_EQUAL(try_key("ann", 1), 0);
    CHECK_EQUAL(acquire("ann", 3, WEFT_FOREVER), WEFT_ELIMIT);
    CHECK_EQUAL(acquire("new", 3, WEFT_FOREVER), WEFT_ELIMIT); /* and is not kept for that */
    CHECK_EQUAL(acquire("ann", 2, weft_now() + WEFT_SEC - 1), WEFT_ELIMIT);
    CHECK_EQUAL(snapshot().keys, 4);
    CHECK_EQUAL(snapshot().keys_max, 10000);
    CHECK_EQUAL(snapshot().granted, 8);
    CHECK_EQUAL(snapshot().refused, 4);
    weft_keyed_limiter_close(keyed);
}

FIBER_TEST(keys_as_good_as_new_make_room_and_busy_ones_do_not)
{
    for (int kind = WEFT_LIMITER_TOKEN_BUCKET; kind <= WEFT_LIMITER_LEAKY; kind++) {
        const struct weft_keyed_limiter_options options = {
            .limiter = {.kind = (enum weft_limiter_kind)kind, .rate = {.count = 2}}, .keys_max = 3};
        REQUIRE(weft_keyed_limiter_open(&keyed, &options) == 0);
        CHECK_EQUAL(try_key("a", 2), 0);
        CHECK_EQUAL(try_key("b", 1), 0);
        CHECK_EQUAL(try_key("c", 1), 0);
        CHECK_EQUAL(try_key("d", 1), WEFT_EFULL);
        CHECK_EQUAL(acquire("d", 1, WEFT_FOREVER), WEFT_EFULL);
        CHECK_EQUAL(snapshot().evicted, 0);
        CHECK_EQUAL(weft_sleep(3 * WEFT_SEC), 0);
        CHECK_EQUAL(try_key("a", 1), 0); /* busy again: it stays */
        CHECK_EQUAL(try_key("d", 1), 0);
        CHECK_EQUAL(snapshot().evicted, 2);
        CHECK_EQUAL(snapshot().keys, 2);
        CHECK_EQUAL(try_key("a", 2), -EAGAIN);
        weft_keyed_limiter_close(keyed);
    }
}

struct wisher {
    const char *key;
    int result;
    int64_t took_ns;
};

static int wish(void *arg)
{
    struct wisher *wisher = arg;
    int64_t since_ns = weft_now();
    wisher->result = acquire(wisher->key, 1, WEFT_FOREVER);
    wisher->took_ns = weft_now() - since_ns;
    return 0;
}

FIBER_TEST(who_waits_at_a_key_keeps_it_and_waits_for_that_key_only)
{
    for (enum weft_sharing sharing = WEFT_LOCAL; sharing <= WEFT_SHARED; sharing++) {
        struct wisher wishers[] = {{.key = "a"}, {.key = "a"}, {.key = "b"}, {.key = "a"}};
        struct weft_group group, cancelled;
        open_with(1, 2, sharing);
        CHECK_EQUAL(try_key("a", 1), 0);
        CHECK_EQUAL(try_key("b", 1), 0);
        CHECK_EQUAL(weft_group_init(&group, NULL), 0);
        CHECK_EQUAL(weft_group_init(&cancelled, NULL), 0);
        CHECK_EQUAL(weft_spawn(&cancelled, wish, &wishers[0]), 0);
        for (int i = 1; i < 4; i++)
            CHECK_EQUAL(weft_spawn(&group, wish, &wishers[i]), 0);
        CHECK_EQUAL(weft_yield(), 0);
        CHECK_EQUAL(snapshot().waiting, 4);
        CHECK_EQUAL(try_key("a", 1), -EAGAIN);
        weft_group_cancel(&cancelled, 0);
        CHECK_EQUAL(weft_group_wait(&cancelled), 0);
        CHECK_EQUAL(wishers[0].result, -ECANCELED);
        CHECK_EQUAL(weft_group_wait(&group), 0);
        CHECK_EQUAL(wishers[1].took_ns, WEFT_SEC);
        CHECK_EQUAL(wishers[2].took_ns, WEFT_SEC);
        CHECK_EQUAL(wishers[3].took_ns, 2 * WEFT_SEC);
        CHECK_EQUAL(snapshot().waiting, 0);
        CHECK_EQUAL(snapshot().waits, 3);
        weft_keyed_limiter_close(keyed);
    }
}

static int from_elsewhere(void *arg)
{
    struct weft_keyed_limiter_snapshot shot;
    (void)arg;
    CHECK_EQUAL(try_key("a", 1), -EPERM);
    CHECK_EQUAL(acquire("a", 1, WEFT_NOWAIT), -EPERM);
    CHECK_EQUAL(weft_keyed_limiter_snapshot(keyed, &shot), -EPERM);
    return 0;
}

FIBER_TEST(a_local_keyed_limiter_is_its_workers_own)
{
    open_with(1, 2, WEFT_LOCAL);
    CHECK_EQUAL(on_a_thread(from_elsewhere, NULL), 0);
    weft_keyed_limiter_close(keyed);
}

TEST(options_and_keys_that_make_no_sense_are_refused)
{
    static const struct weft_keyed_limiter_options bad[] = {
        {.limiter = {.rate = {.count = -1}}},
        {.limiter = {.rate = {.count = 1}, .adaptive = {.max = 5}}},
        {.keys_max = 10000001},
        {.limiter = {.kind = WEFT_LIMITER_SLIDING_LOG, .rate = {.count = 1001}}},
    };
    char key[WEFT_KEY_MAX + 1] = "";
    keyed = NULL;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        CHECK_EQUAL(weft_keyed_limiter_open(&keyed, &bad[i]), -EINVAL);
    CHECK(!keyed);
    weft_keyed_limiter_close(NULL);
    REQUIRE(weft_keyed_limiter_open(&keyed, NULL) == 0);
    CHECK_EQUAL(weft_keyed_limiter_try(keyed, key, WEFT_KEY_MAX, 1), 0);
    CHECK_EQUAL(weft_keyed_limiter_try(keyed, key, WEFT_KEY_MAX + 1, 1), -EINVAL);
    CHECK_EQUAL(weft_keyed_limiter_try(keyed, NULL, 0, 1), 0);
    CHECK_EQUAL(try_key("a", 0), -EINVAL);
    CHECK_EQUAL(acquire("a", 0, WEFT_FOREVER), -EINVAL);
    weft_keyed_limiter_close(keyed);
}

static unsigned refusals;

static void count_refusal(void *arg, const struct weft_limiter_event *event)
{
    CHECK(!arg && event->kind == WEFT_LIMITER_REFUSED && event->key_bytes == 3);
    CHECK_EQUAL(memcmp(event->key, "ann", 3), 0);
    CHECK_EQUAL(strcmp(event->name, "keyed limiter"), 0);
    refusals++;
}

FIBER_TEST(events_tell_the_key)
{
    const struct weft_keyed_limiter_options options = {
        .limiter = {.rate = {.count = 1}, .on_event = count_refusal}};
    refusals = 0;
    REQUIRE(weft_keyed_limiter_open(&keyed, &options) == 0);
    CHECK_EQUAL(try_key("bob", 1), 0);
    CHECK_EQUAL(try_key("ann", 1), 0);
    CHECK_EQUAL(try_key("ann", 1), -EAGAIN);
    CHECK_EQUAL(refusals, 1);
    weft_keyed_limiter_close(keyed);
}

enum {
    KEYS = 200,
};

/* Many more keys than there is room for, against a model that remembers them all. */
FIBER_TEST(eviction_gives_nobody_more_and_nobody_less)
{
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct weft_random random;
        double tokens[KEYS];
        int64_t seen_ns[KEYS];
        unsigned wrong = 0;
        weft_random_seed(&random, seed);
        open_with(4, 50, seed % 2 ? WEFT_LOCAL : WEFT_SHARED);
        for (int i = 0; i < KEYS; i++) {
            tokens[i] = 4;
            seen_ns[i] = weft_now();
        }
        for (int i = 0; i < 5000; i++) {
            char key[16];
            unsigned who = (unsigned)weft_random_below(&random, KEYS);
            uint32_t count = 1 + (uint32_t)weft_random_below(&random, 4);
            (void)weft_sleep((int64_t)weft_random_below(&random, 20) * 5 * WEFT_MSEC);
            tokens[who] += (double)(weft_now() - seen_ns[who]) * 4 / WEFT_SEC;
            tokens[who] = tokens[who] < 4 ? tokens[who] : 4;
            seen_ns[who] = weft_now();
            (void)snprintf(key, sizeof key, "client %u", who);
            int err = try_key(key, count);
            if (err == WEFT_EFULL)
                continue;
            wrong += (err == 0) != (tokens[who] + 1e-6 >= count);
            tokens[who] -= err == 0 ? count : 0;
        }
        CHECK_EQUAL(wrong, 0);
        CHECK(snapshot().keys <= 50);
        CHECK(snapshot().evicted > 100);
        if (wrong > 0)
            test_note("seed %d", (int)seed);
        weft_keyed_limiter_close(keyed);
    }
}

static atomic_ullong permits;

static void acquire_in_the_crowd(void *arg, unsigned index)
{
    unsigned random = index + 1;
    (void)arg;
    for (int i = 0; i < 50; i++) {
        char key[16];
        (void)snprintf(key, sizeof key, "%u", crowd_random(&random) % 30);
        int64_t deadline_ns = crowd_random(&random) % 2
                                  ? WEFT_FOREVER
                                  : weft_now() + (int64_t)(crowd_random(&random) % 500) * WEFT_USEC;
        int err = acquire(key, 1 + crowd_random(&random) % 3, deadline_ns);
        if (err == 0)
            atomic_fetch_add(&permits, 1);
        CHECK(err == 0 || err == WEFT_ELIMIT || err == -ETIMEDOUT || err == WEFT_EFULL);
    }
}

TEST(workers_and_threads_share_keys)
{
    const struct crowd crowd = {
        .workers = 4, .fibers = 100, .threads = 4, .run = acquire_in_the_crowd};
    const struct weft_keyed_limiter_options options = {
        .limiter = {.rate = {.count = 20000, .burst = 5}, .sharing = WEFT_SHARED}, .keys_max = 20};
    atomic_store(&permits, 0);
    REQUIRE(weft_keyed_limiter_open(&keyed, &options) == 0);
    crowd_run(&crowd);
    CHECK_EQUAL(snapshot().waiting, 0);
    CHECK(snapshot().granted >= atomic_load(&permits));
    weft_keyed_limiter_close(keyed);
}
