/* SPDX-License-Identifier: MIT
 * switch.c - the bare change of stacks, without a scheduler. The one benchmark that reaches below
 * the public interface: nothing there offers a switch alone. */
#include "bench.h"

#include <os/context.h>

#include <stdlib.h>

#define STACK_BYTES ((size_t)64 << 10)

struct two {
    struct weft_context main, other;
};

static void switch_back(void *arg)
{
    struct two *two = arg;
    weft_sanitizer_arrive(&two->other.sanitizer);
    for (;;)
        weft_context_switch(&two->other, &two->main);
}

/* One op is one switch; they come in pairs, there and back. */
BENCH(switch_raw, "switches")
{
    struct two two;
    void *stack = aligned_alloc(64, STACK_BYTES);
    BENCH_REQUIRE(stack);
    weft_context_init_thread(&two.main);
    weft_context_init(&two.other, stack, STACK_BYTES, switch_back, &two);
    for (uint64_t i = 0; i < bench->ops; i += 2)
        weft_context_switch(&two.main, &two.other);
    free(stack);
}
