/* SPDX-License-Identifier: MIT */
#include "test.h"

#include <weft/group.h>
#include <weft/retry.h>
#include <weft/retry_budget.h>

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

static struct weft_retry_budget *open_budget(const struct weft_retry_budget_options *options)
{
    struct weft_retry_budget *budget = NULL;
    REQUIRE(weft_retry_budget_open(&budget, options) == 0);
    return budget;
}

static unsigned take_all(struct weft_retry_budget *budget, const char *key)
{
    unsigned taken = 0;
    while (weft_retry_budget_take(budget, key) == 0)
        taken++;
    return taken;
}

static struct weft_retry_budget_snapshot look(struct weft_retry_budget *budget, const char *key)
{
    struct weft_retry_budget_snapshot snapshot = {0};
    CHECK_EQUAL(weft_retry_budget_snapshot(budget, key, &snapshot), 0);
    return snapshot;
}

FIBER_TEST(each_key_has_a_budget_of_its_own)
{
    struct weft_retry_budget *budget = open_budget(NULL);
    CHECK_EQUAL(take_all(budget, "a"), 100);
    CHECK_EQUAL(take_all(budget, "b"), 100);
    CHECK_EQUAL(take_all(budget, NULL), 100);
    CHECK_EQUAL(weft_retry_budget_take(budget, "a"), WEFT_ELIMIT);
    struct weft_retry_budget_snapshot snapshot = look(budget, "a");
    CHECK(snapshot.balance < 1);
    CHECK_EQUAL(snapshot.taken, 300);
    CHECK_EQUAL(snapshot.refused, 4);
    CHECK_EQUAL(snapshot.keys, 3);
    CHECK_EQUAL(strcmp(snapshot.name, "retry budget"), 0);
    CHECK(look(budget, "never seen").balance > 99);
    weft_retry_budget_close(budget);
}

/* What whoever is told may do: look. */
struct told {
    struct weft_retry_budget *budget;
    unsigned len;
};

static void be_told(void *arg, const struct weft_retry_budget_event *event)
{
    struct told *told = arg;
    told->len++;
    CHECK_EQUAL(event->kind, WEFT_RETRY_BUDGET_REFUSED);
    CHECK_EQUAL(strcmp(event->name, "hosts"), 0);
    CHECK_EQUAL(strcmp(event->key, "a"), 0);
    CHECK_EQUAL(look(told->budget, event->key).refused, told->len);
}

FIBER_TEST(refusals_are_told)
{
    struct told told = {0};
    const struct weft_retry_budget_options options = {
        .name = "hosts", .on_event = be_told, .on_event_arg = &told};
    told.budget = open_budget(&options);
    CHECK_EQUAL(take_all(told.budget, "a"), 100);
    CHECK_EQUAL(told.len, 1);
    CHECK_EQUAL(weft_retry_budget_take(told.budget, "b"), 0);
    CHECK_EQUAL(told.len, 1);
    weft_retry_budget_close(told.budget);
}

FIBER_TEST(a_thousand_calls_earn_two_hundred_retries)
{
    struct weft_retry_budget *budget = open_budget(NULL);
    for (unsigned i = 0; i < 1000; i++)
        CHECK_EQUAL(weft_retry_budget_note(budget, "a", WEFT_RETRY_CALL), 0);
    CHECK_EQUAL(weft_retry_budget_note(budget, "a", WEFT_RETRY_SUCCESS), 0); /* not counted */
    CHECK_EQUAL(weft_retry_budget_note(budget, "a", WEFT_RETRY_FAILURE), 0);
    CHECK_EQUAL(take_all(budget, "a"), 300);
    (void)weft_sleep(11 * WEFT_SEC);
    CHECK_EQUAL(take_all(budget, "a"), 100);
    weft_retry_budget_close(budget);
}

FIBER_TEST(keys_beyond_the_limit_share_one_budget)
{
    const struct weft_retry_budget_options options = {.keys_max = 2};
    struct weft_retry_budget *budget = open_budget(&options);
    CHECK_EQUAL(weft_retry_budget_take(budget, "a"), 0);
    CHECK_EQUAL(weft_retry_budget_take(budget, "b"), 0);
    CHECK_EQUAL(take_all(budget, "c"), 100);
    CHECK_EQUAL(take_all(budget, "d"), 0); /* no new budget for a new name */
    CHECK_EQUAL(take_all(budget, "a"), 99);
    CHECK_EQUAL(look(budget, "a").keys, 2);
    CHECK_EQUAL(look(budget, "a").crowded, 102);
    weft_retry_budget_close(budget);
}

FIBER_TEST(idle_keys_make_room)
{
    const struct weft_retry_budget_options options = {.keys_max = 2, .idle_ns = 30 * WEFT_SEC};
    struct weft_retry_budget *budget = open_budget(&options);
    CHECK_EQUAL(weft_retry_budget_take(budget, "a"), 0);
    (void)weft_sleep(20 * WEFT_SEC);
    CHECK_EQUAL(weft_retry_budget_take(budget, "b"), 0);
    (void)weft_sleep(10 * WEFT_SEC);
    CHECK_EQUAL(weft_retry_budget_take(budget, "c"), 0);
    CHECK_EQUAL(look(budget, NULL).evicted, 1);
    CHECK_EQUAL(look(budget, NULL).crowded, 0);
    CHECK_EQUAL(look(budget, NULL).keys, 2);
    weft_retry_budget_close(budget);
}

FIBER_TEST(a_key_that_has_spent_its_budget_is_not_forgotten_too_soon)
{
    const struct weft_retry_budget_options options = {.keys_max = 1, .idle_ns = WEFT_SEC};
    struct weft_retry_budget *budget = open_budget(&options);
    CHECK_EQUAL(take_all(budget, "a"), 100);
    (void)weft_sleep(5 * WEFT_SEC); /* idle, but what it spent still counts */
    CHECK_EQUAL(weft_retry_budget_take(budget, "b"), 0);
    CHECK_EQUAL(look(budget, "a").evicted, 0);
    CHECK_EQUAL(weft_retry_budget_take(budget, "a"), WEFT_ELIMIT);
    weft_retry_budget_close(budget);
}

FIBER_TEST(tokens_go_with_failures_and_come_with_successes)
{
    const struct weft_retry_budget_options options = {.kind = WEFT_RETRY_BUDGET_TOKENS};
    struct weft_retry_budget *budget = open_budget(&options);
    for (unsigned i = 0; i < 5; i++) {
        CHECK_EQUAL(weft_retry_budget_take(budget, "a"), 0);
        CHECK_EQUAL(weft_retry_budget_note(budget, "a", WEFT_RETRY_FAILURE), 0);
    }
    CHECK_EQUAL(weft_retry_budget_take(budget, "a"), WEFT_ELIMIT);
    CHECK_EQUAL(weft_retry_budget_take(budget, "b"), 0);
    CHECK_EQUAL(weft_retry_budget_note(budget, "a", WEFT_RETRY_SUCCESS), 0);
    CHECK(fabs(look(budget, "a").balance - 5.1) < 1e-9);
    CHECK_EQUAL(weft_retry_budget_take(budget, "a"), 0);
    weft_retry_budget_close(budget);
}

/* Every call succeeds: there is nothing to keep about any key. */
FIBER_TEST(a_success_of_a_new_key_needs_no_place)
{
    const struct weft_retry_budget_options options = {.kind = WEFT_RETRY_BUDGET_TOKENS};
    struct weft_retry_budget *budget = open_budget(&options);
    CHECK_EQUAL(weft_retry_budget_note(budget, "a", WEFT_RETRY_CALL), 0);
    CHECK_EQUAL(weft_retry_budget_note(budget, "a", WEFT_RETRY_SUCCESS), 0);
    CHECK_EQUAL(look(budget, "a").keys, 0);
    weft_retry_budget_close(budget);
}

FIBER_TEST(an_unused_retry_can_be_given_back)
{
    struct weft_retry_budget *budget = open_budget(NULL);
    int64_t taken_at_ns = weft_now();
    CHECK_EQUAL(take_all(budget, "a"), 100);
    CHECK_EQUAL(weft_retry_budget_return(budget, "a", taken_at_ns), 0);
    CHECK_EQUAL(look(budget, "a").taken, 99);
    CHECK_EQUAL(take_all(budget, "a"), 1);
    weft_retry_budget_close(budget);
}

TEST(budgets_refuse_nonsense)
{
    static const struct weft_retry_budget_options wrong[] = {
        {.ratio = -0.1},
        {.ratio = 1001},
        {.ratio = (double)NAN},
        {.per_second_min = -2},
        {.per_second_min = 1e7},
        {.per_second_min = (double)NAN},
        {.ttl_ns = -1},
        {.ttl_ns = 1},
        {.ttl_ns = 7200 * WEFT_SEC},
        {.tokens_max = 0.5},
        {.tokens_max = (double)NAN},
        {.keys_max = 1u << 21},
        {.idle_ns = -1},
        {.kind = (enum weft_retry_budget_kind)2},
        {.sharing = (enum weft_sharing)9},
        {.name = "a name of sixty-four bytes, which is one more than a pattern's may"},
    };
    struct weft_retry_budget *budget = NULL;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        CHECK_EQUAL(weft_retry_budget_open(&budget, &wrong[i]), -EINVAL);
    CHECK(!budget);
    const struct weft_retry_budget_options local = {.sharing = WEFT_LOCAL};
    CHECK_EQUAL(weft_retry_budget_open(&budget, &local), -EPERM);
    weft_retry_budget_close(NULL);
}

TEST(keys_have_a_length_limit)
{
    char key[WEFT_NAME_MAX + 2];
    struct weft_retry_budget *budget = open_budget(NULL);
    memset(key, 'k', sizeof key);
    key[WEFT_NAME_MAX + 1] = 0;
    CHECK_EQUAL(weft_retry_budget_take(budget, key), -EINVAL);
    CHECK_EQUAL(weft_retry_budget_note(budget, key, WEFT_RETRY_CALL), -EINVAL);
    CHECK_EQUAL(weft_retry_budget_note(budget, key, WEFT_RETRY_SUCCESS), -EINVAL);
    key[WEFT_NAME_MAX] = 0;
    CHECK_EQUAL(weft_retry_budget_take(budget, key), 0);
    weft_retry_budget_close(budget);
}

static void *use_local(void *budget)
{
    struct weft_retry_budget_snapshot snapshot;
    CHECK_EQUAL(weft_retry_budget_take(budget, "a"), -EPERM);
    CHECK_EQUAL(weft_retry_budget_note(budget, "a", WEFT_RETRY_CALL), -EPERM);
    CHECK_EQUAL(weft_retry_budget_note(budget, "a", WEFT_RETRY_SUCCESS), -EPERM);
    CHECK_EQUAL(weft_retry_budget_return(budget, "a", 0), -EPERM);
    CHECK_EQUAL(weft_retry_budget_snapshot(budget, "a", &snapshot), -EPERM);
    return NULL;
}

FIBER_TEST(a_local_budget_is_one_workers)
{
    const struct weft_retry_budget_options options = {.sharing = WEFT_LOCAL};
    struct weft_retry_budget *budget = open_budget(&options);
    pthread_t thread;
    REQUIRE(pthread_create(&thread, NULL, use_local, budget) == 0);
    REQUIRE(pthread_join(thread, NULL) == 0);
    weft_retry_budget_close(budget);
}

static void *use_shared(void *arg)
{
    struct weft_retry_budget *budget = arg;
    uintptr_t taken = 0;
    char key[16];
    for (unsigned i = 0; i < 2000; i++) {
        (void)snprintf(key, sizeof key, "%u", i % 50);
        taken += weft_retry_budget_take(budget, key) == 0;
    }
    return (void *)taken;
}

/* 50 keys, 40 of them with a budget of their own and the others with one between them: 10 each. */
TEST(threads_share_a_budget_exactly)
{
    const struct weft_retry_budget_options options = {
        .per_second_min = 1.0 / 360, .ttl_ns = 3600 * WEFT_SEC, .keys_max = 40};
    struct weft_retry_budget *budget = open_budget(&options);
    pthread_t threads[4];
    uintptr_t taken = 0;
    for (unsigned i = 0; i < 4; i++)
        REQUIRE(pthread_create(&threads[i], NULL, use_shared, budget) == 0);
    for (unsigned i = 0; i < 4; i++) {
        void *result;
        REQUIRE(pthread_join(threads[i], &result) == 0);
        taken += (uintptr_t)result;
    }
    CHECK_EQUAL(taken, 410);
    CHECK_EQUAL(look(budget, NULL).taken, 410);
    CHECK_EQUAL(look(budget, NULL).refused, 8000 - 410);
    CHECK_EQUAL(look(budget, NULL).keys, 40);
    weft_retry_budget_close(budget);
}
