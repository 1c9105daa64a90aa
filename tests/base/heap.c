/* SPDX-License-Identifier: MIT
 * heap.c - the timer heap against a plain sorted list. */
#include "test.h"

#include <base/heap.h>
#include <base/random.h>

#include <stdlib.h>

static bool earlier(const struct weft_timer *a, const struct weft_timer *b)
{
    return a->deadline_ns < b->deadline_ns ||
           (a->deadline_ns == b->deadline_ns && a->sequence < b->sequence);
}

TEST(heap_gives_timers_in_order_of_deadline_then_of_arming)
{
    static const int64_t deadlines[] = {30, 10, 20, 10, 40, 20, 10};
    static const size_t expected[] = {1, 3, 6, 2, 5, 0, 4};
    struct weft_timer timers[7] = {0};
    struct weft_heap heap = {0};
    for (size_t i = 0; i < 7; i++) {
        timers[i].deadline_ns = deadlines[i];
        weft_heap_push(&heap, &timers[i]);
    }
    for (size_t i = 0; i < 7; i++) {
        struct weft_timer *first = weft_heap_first(&heap);
        CHECK(first == &timers[expected[i]]);
        weft_heap_remove(&heap, first);
    }
    CHECK(weft_heap_first(&heap) == NULL);
}

TEST(heap_removing_an_unarmed_timer_does_nothing)
{
    struct weft_timer armed = {.deadline_ns = 1}, idle = {.deadline_ns = 2};
    struct weft_heap heap = {0};
    weft_heap_push(&heap, &armed);
    weft_heap_remove(&heap, &idle);
    CHECK(weft_heap_first(&heap) == &armed);
    CHECK(weft_timer_armed(&armed) && !weft_timer_armed(&idle));
    weft_heap_remove(&heap, &armed);
    weft_heap_remove(&heap, &armed);
    CHECK(weft_heap_first(&heap) == NULL && !weft_timer_armed(&armed));
}

/* The first of the armed timers, found the slow way. */
static struct weft_timer *slow_first(struct weft_timer *timers, size_t len)
{
    struct weft_timer *first = NULL;
    for (size_t i = 0; i < len; i++) {
        if (weft_timer_armed(&timers[i]) && (!first || earlier(&timers[i], first)))
            first = &timers[i];
    }
    return first;
}

TEST(heap_agrees_with_a_slow_search_over_random_pushes_and_removals)
{
    enum {
        TIMERS = 200,
        STEPS = 20000
    };
    struct weft_timer timers[TIMERS] = {0};
    struct weft_heap heap = {0};
    struct weft_random random;
    weft_random_seed(&random, 42);
    for (int step = 0; step < STEPS; step++) {
        struct weft_timer *timer = &timers[weft_random_below(&random, TIMERS)];
        if (weft_timer_armed(timer)) {
            if (weft_random_below(&random, 4) == 0)
                timer = weft_heap_first(&heap);
            weft_heap_remove(&heap, timer);
        } else {
            timer->deadline_ns = (int64_t)weft_random_below(&random, 50);
            weft_heap_push(&heap, timer);
        }
        REQUIRE(weft_heap_first(&heap) == slow_first(timers, TIMERS));
    }
}
