/* SPDX-License-Identifier: MIT
 * switch.c - the bare change of stacks, without a scheduler. The one benchmark that reaches below
 * the public interface: nothing there offers a switch alone. */
#include "bench.h"

#include <os/context.h>

#include <stdlib.h>

#define STACK_BYTES ((size_t)64 << 10)

struct two {
    struct weft_context here, there;
    uint64_t rounds;
};

/* Both sides run the same loop, as fibers of one kind do. */
__attribute__((noinline)) static void take_turns(struct weft_context *self,
                                                 struct weft_context *other, uint64_t rounds)
{
    for (uint64_t i = 0; i < rounds; i++)
        weft_context_switch(self, other, false);
}

static void run_other(void *arg)
{
    struct two *two = arg;
    weft_sanitizer_arrive(&two->there.sanitizer);
    take_turns(&two->there, &two->here, two->rounds + 1);
}

/* One op is one switch; they come in pairs, there and back. */
BENCH(switch_raw, "switches")
{
    struct two two = {.rounds = bench->ops / 2 + 1};
    void *stack = aligned_alloc(64, STACK_BYTES);
    BENCH_REQUIRE(stack);
    weft_context_init_thread(&two.here);
    weft_context_init(&two.there, stack, STACK_BYTES, run_other, &two);
    take_turns(&two.here, &two.there, two.rounds);
    weft_sanitizer_bury(&two.there.sanitizer, NULL);
    free(stack);
}
