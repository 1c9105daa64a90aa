/* SPDX-License-Identifier: MIT
 * context.c - switching stacks keeps what the ABI promises. */
#include "test.h"

#include <os/context.h>

#include <stdint.h>
#include <stdlib.h>

#define STACK_BYTES ((size_t)64 << 10)

struct pair {
    struct weft_context main, other;
    int visits;
    bool aligned;
    double product;
};

static void *make_stack(void)
{
    void *stack = aligned_alloc(64, STACK_BYTES);
    REQUIRE(stack);
    return stack;
}

static void visit(void *arg)
{
    struct pair *pair = arg;
    weft_sanitizer_arrive(&pair->other.sanitizer);
    char probe[16] __attribute__((aligned(16)));
    pair->aligned = ((uintptr_t)probe & 15) == 0;
    for (;;) {
        pair->visits++;
        pair->product *= 1.5;
        weft_context_switch(&pair->other, &pair->main, false);
    }
}

TEST(a_context_goes_on_where_it_left)
{
    struct pair pair = {.product = 1};
    void *stack = make_stack();
    weft_context_init_thread(&pair.main);
    weft_context_init(&pair.other, stack, STACK_BYTES, visit, &pair);
    for (int i = 1; i <= 5; i++) {
        weft_context_switch(&pair.main, &pair.other, false);
        CHECK_EQUAL(pair.visits, i);
    }
    CHECK(pair.aligned);
    CHECK(pair.product > 7.59 && pair.product < 7.6);
    weft_sanitizer_bury(&pair.other.sanitizer, NULL);
    free(stack);
}

/* Values the compiler likes to keep in callee-saved registers, across switches to code that uses
 * those registers too. */
static void churn(void *arg)
{
    struct pair *pair = arg;
    weft_sanitizer_arrive(&pair->other.sanitizer);
    uint64_t a = 11, b = 13, c = 17, d = 19, e = 23, f = 29;
    double x = 1.25, y = 2.5;
    for (;;) {
        a = a * 3 + b, b = b * 5 + c, c = c * 7 + d, d = d * 9 + e, e = e * 11 + f, f = f * 13 + a;
        x = x * 1.5 + y, y = y * 0.5 + x;
        pair->product = x + y + (double)(a ^ b ^ c ^ d ^ e ^ f);
        weft_context_switch(&pair->other, &pair->main, false);
    }
}

TEST(registers_survive_a_switch)
{
    struct pair pair = {.product = 0};
    void *stack = make_stack();
    weft_context_init_thread(&pair.main);
    weft_context_init(&pair.other, stack, STACK_BYTES, churn, &pair);
    uint64_t a = 1, b = 2, c = 3, d = 4, e = 5, f = 6;
    uint64_t a2 = 1, b2 = 2, c2 = 3, d2 = 4, e2 = 5, f2 = 6;
    double x = 0.5, x2 = 0.5;
    for (int i = 0; i < 1000; i++) {
        a += b, b += c, c += d, d += e, e += f, f += a, x = x * 0.999 + 1;
        weft_context_switch(&pair.main, &pair.other, false);
    }
    for (int i = 0; i < 1000; i++)
        a2 += b2, b2 += c2, c2 += d2, d2 += e2, e2 += f2, f2 += a2, x2 = x2 * 0.999 + 1;
    CHECK(a == a2 && b == b2 && c == c2 && d == d2 && e == e2 && f == f2);
    CHECK(x >= x2 && x <= x2);
    weft_sanitizer_bury(&pair.other.sanitizer, NULL);
    free(stack);
}
