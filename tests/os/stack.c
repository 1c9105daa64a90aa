/* SPDX-License-Identifier: MIT
 * stack.c - stacks: reuse, guards, giving memory back. */
#include "test.h"

#include <os/sanitizer.h>
#include <os/stack.h>

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define USABLE ((size_t)64 << 10)

static struct weft_stack_guards guards;

static struct weft_stack_pool open_pool(enum weft_stack_guard kind)
{
    struct weft_stack_pool pool;
    guards = (struct weft_stack_guards){.kind = kind};
    REQUIRE(weft_stack_pool_init(&pool, USABLE, &guards) == 0);
    return pool;
}

TEST(a_stack_is_usable_from_end_to_end)
{
    struct weft_stack_pool pool = open_pool(WEFT_GUARD_INSTALL);
    for (int i = 0; i < 3; i++) {
        char *stack = weft_stack_acquire(&pool);
        REQUIRE(stack);
        memset(stack, i, USABLE);
    }
    CHECK_EQUAL(pool.stacks, 3);
    weft_stack_pool_deinit(&pool);
}

TEST(the_stack_released_last_is_reused_first)
{
    struct weft_stack_pool pool = open_pool(WEFT_GUARD_INSTALL);
    char *a = weft_stack_acquire(&pool), *b = weft_stack_acquire(&pool);
    CHECK(a != b);
    weft_stack_release(&pool, a);
    weft_stack_release(&pool, b);
    CHECK(weft_stack_acquire(&pool) == b);
    CHECK(weft_stack_acquire(&pool) == a);
    CHECK_EQUAL(pool.stacks, 2);
    weft_stack_pool_deinit(&pool);
}

/* Whether touching the byte below a stack kills the process. */
static bool guard_strikes(char *stack)
{
    pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        (void)signal(SIGSEGV, SIG_DFL); /* sanitizers report; here the plain death is wanted */
        (void)signal(SIGBUS, SIG_DFL);
        *(volatile char *)(stack - 1) = 1;
        _exit(0);
    }
    int status = 0;
    REQUIRE(waitpid(child, &status, 0) == child);
    return WIFSIGNALED(status);
}

TEST(every_stack_has_a_guard_below)
{
    struct weft_stack_pool pool = open_pool(WEFT_GUARD_INSTALL);
    char *first = weft_stack_acquire(&pool), *second = weft_stack_acquire(&pool);
    CHECK(guard_strikes(first));
    CHECK(guard_strikes(second));
    weft_stack_pool_deinit(&pool);
}

TEST(without_guard_install_mprotect_guards)
{
    struct weft_stack_pool pool = open_pool(WEFT_GUARD_MPROTECT);
    char *stack = weft_stack_acquire(&pool);
    CHECK_EQUAL(guards.kind, WEFT_GUARD_MPROTECT);
    CHECK_EQUAL(guards.protected, 1);
    CHECK(guard_strikes(stack));
    weft_stack_pool_deinit(&pool);
}

TEST(a_pool_of_mprotect_guards_stops_before_the_kernel_runs_out_of_mappings)
{
    struct weft_stack_pool pool = open_pool(WEFT_GUARD_MPROTECT);
    for (unsigned i = 0; i < WEFT_STACK_MPROTECT_MAX + 5; i++)
        REQUIRE(weft_stack_acquire(&pool));
    CHECK_EQUAL(guards.kind, WEFT_GUARD_NONE);
    CHECK_EQUAL(guards.protected, WEFT_STACK_MPROTECT_MAX);
    CHECK(guards.bare > 0);
    weft_stack_pool_deinit(&pool);
}

TEST(long_idle_stacks_give_their_memory_back_and_keep_their_guard)
{
    enum {
        STACKS = 5000
    };
    static char *stacks[STACKS];
    struct weft_stack_pool pool = open_pool(WEFT_GUARD_INSTALL);
    for (int i = 0; i < STACKS; i++) {
        stacks[i] = weft_stack_acquire(&pool);
        REQUIRE(stacks[i]);
        stacks[i][USABLE - 1] = 7;
    }
    CHECK(!weft_stack_pool_trim(&pool)); /* nothing is idle */
    for (int i = 0; i < STACKS; i++)
        weft_stack_release(&pool, stacks[i]);
    int calls = 0;
    while (weft_stack_pool_trim(&pool))
        REQUIRE(++calls < STACKS);
    CHECK(stacks[0][USABLE - 1] == 0);          /* cold: given back */
    CHECK(stacks[STACKS - 1][USABLE - 1] == 7); /* hot: kept */
    CHECK(guard_strikes(stacks[0]));
    for (int i = 0; i < STACKS; i++)
        CHECK(weft_stack_acquire(&pool) != NULL);
    CHECK_EQUAL(pool.stacks, STACKS);
    weft_stack_pool_deinit(&pool);
}

TEST(pools_refuse_stacks_too_small_to_be_useful)
{
    struct weft_stack_pool pool;
    CHECK_EQUAL(weft_stack_pool_init(&pool, 4096, &guards), -EINVAL);
    CHECK_EQUAL(weft_stack_pool_init(&pool, (size_t)2 << 30, &guards), -EINVAL);
}
