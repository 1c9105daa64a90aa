/* SPDX-License-Identifier: MIT */
#include "test.h"

#include <base/random.h>
#include <flow/hedge_core.h>

#include <stdlib.h>
#include <string.h>

#define SIZE 64u

TEST(an_empty_window_has_no_quantile)
{
    struct weft_latency_window window;
    int64_t memory[2 * SIZE];
    weft_latency_init(&window, memory, SIZE);
    CHECK_EQUAL(weft_latency_quantile(&window, 0.95), 0);
}

TEST(the_p95_of_1_to_100_is_95)
{
    struct weft_latency_window window;
    int64_t memory[200];
    weft_latency_init(&window, memory, 100);
    for (int64_t i = 100; i >= 1; i--)
        weft_latency_add(&window, i);
    CHECK_EQUAL(weft_latency_quantile(&window, 0.95), 95);
    CHECK_EQUAL(weft_latency_quantile(&window, 0.5), 50);
    CHECK_EQUAL(weft_latency_quantile(&window, 0.001), 1);
    CHECK_EQUAL(weft_latency_quantile(&window, 0.999), 100);
}

TEST(the_oldest_latency_is_forgotten_first)
{
    struct weft_latency_window window;
    int64_t memory[2 * SIZE];
    weft_latency_init(&window, memory, SIZE);
    for (int64_t i = 0; i < SIZE; i++)
        weft_latency_add(&window, 1000);
    CHECK_EQUAL(weft_latency_quantile(&window, 0.95), 1000);
    for (int64_t i = 0; i < SIZE; i++)
        weft_latency_add(&window, 1);
    CHECK_EQUAL(weft_latency_quantile(&window, 0.999), 1);
}

static int compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* Beside a ring that is sorted anew every time. */
TEST(the_order_is_that_of_a_sort)
{
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct weft_latency_window window;
        struct weft_random random;
        int64_t memory[2 * SIZE], ring[SIZE], sorted[SIZE];
        weft_random_seed(&random, seed);
        weft_latency_init(&window, memory, SIZE);
        for (unsigned i = 0; i < 500; i++) {
            int64_t latency_ns = (int64_t)weft_random_below(&random, seed % 2 ? 10 : 1000000);
            unsigned len = i < SIZE ? i + 1 : SIZE;
            weft_latency_add(&window, latency_ns);
            ring[i % SIZE] = latency_ns;
            memcpy(sorted, ring, sizeof sorted);
            qsort(sorted, len, sizeof sorted[0], compare);
            bool in_order = memcmp(sorted, window.sorted, len * sizeof sorted[0]) == 0;
            CHECK(in_order);
            if (!in_order) {
                test_note("seed %llu, step %u", (unsigned long long)seed, i);
                return;
            }
        }
    }
}
