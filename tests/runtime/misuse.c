/* SPDX-License-Identifier: MIT
 * misuse.c - what would corrupt memory, or hang for ever, ends the process and says why. */
#include "child.h"
#include "test.h"

#include <weft/group.h>
#include <weft/runtime.h>
#include <weft/scope.h>
#include <weft/sync.h>

#include <signal.h>

struct misuse {
    int (*fn)(void *);
    void *arg;
};

static int run_misuse(void *arg)
{
    const struct misuse *misuse = arg;
    (void)weft_run(&(struct weft_run_options){.workers = 2}, misuse->fn, misuse->arg);
    return 0;
}

static bool aborts(int (*fn)(void *), void *arg, const char *words)
{
    struct misuse misuse = {fn, arg};
    struct child child;
    child_run(&child, run_misuse, &misuse);
    if (child.signal == SIGABRT)
        child_check_said(&child, words);
    return child.signal == SIGABRT;
}

/* ---- scopes ---------------------------------------------------------------------------- */

static int leave_with_open_group(void *arg)
{
    struct weft_scope scope;
    struct weft_group group;
    (void)arg;
    weft_scope_enter(&scope, WEFT_FOREVER, 0);
    (void)weft_group_init(&group, NULL);
    return weft_scope_leave(&scope, 0);
}

static int leave_out_of_order(void *arg)
{
    struct weft_scope outer, inner;
    (void)arg;
    weft_scope_enter(&outer, WEFT_FOREVER, 0);
    weft_scope_enter(&inner, WEFT_FOREVER, 0);
    return weft_scope_leave(&outer, 0);
}

static int end_inside_a_scope(void *arg)
{
    struct weft_scope scope;
    (void)arg;
    weft_scope_enter(&scope, WEFT_FOREVER, 0);
    return 0;
}

static int end_with_an_open_group(void *arg)
{
    struct weft_group group;
    (void)arg;
    return weft_group_init(&group, NULL);
}

static int end_holding_a_mutex(void *arg)
{
    static struct weft_mutex mutex;
    (void)arg;
    (void)weft_mutex_init(&mutex, WEFT_AUTO);
    return weft_mutex_lock(&mutex, WEFT_FOREVER);
}

static int end_holding_a_lock_to_write(void *arg)
{
    static struct weft_rwlock lock;
    (void)arg;
    (void)weft_rwlock_init(&lock, WEFT_SHARED);
    return weft_rwlock_lock_write(&lock, WEFT_FOREVER);
}

static int enter_with_unknown_flags(void *arg)
{
    struct weft_scope scope;
    const unsigned *flags = arg;
    weft_scope_enter(&scope, WEFT_FOREVER, *flags);
    return weft_scope_leave(&scope, 0);
}

static int enter_outside(void *arg)
{
    struct weft_scope scope;
    (void)arg;
    weft_scope_enter(&scope, WEFT_FOREVER, 0);
    return 0;
}

TEST(misuse_that_would_corrupt_a_stack_aborts)
{
    CHECK(aborts(leave_with_open_group, NULL, "a scope with an open group inside"));
    CHECK(aborts(leave_out_of_order, NULL, "a scope that is not the innermost"));
    CHECK(aborts(end_inside_a_scope, NULL, "a fiber ended inside a scope or group of its own"));
    CHECK(aborts(end_with_an_open_group, NULL, "a fiber ended inside a scope or group of its own"));
}

TEST(a_scope_without_a_fiber_aborts)
{
    struct child child;
    child_run(&child, enter_outside, NULL);
    CHECK_EQUAL(child.signal, SIGABRT);
    child_check_said(&child, "weft: weft_scope_enter called outside a fiber");
}

TEST(unknown_flags_of_a_scope_abort)
{
    for (unsigned bit = 0; bit < 32; bit++) {
        unsigned flags = 1u << bit;
        bool known = flags == WEFT_SCOPE_SHIELD || flags == WEFT_SCOPE_MOVE_ON;
        CHECK_EQUAL(aborts(enter_with_unknown_flags, &flags, "flags that there are not"), !known);
    }
}

/* ---- locks ----------------------------------------------------------------------------- */

TEST(ending_while_holding_a_lock_aborts)
{
    CHECK(aborts(end_holding_a_mutex, NULL, "a fiber ended holding"));
    CHECK(aborts(end_holding_a_lock_to_write, NULL, "a fiber ended holding"));
}

struct pair {
    struct weft_mutex mutex;
    struct weft_condition condition;
};

/* A wait for a condition comes back with the mutex, cancelled or not. */
static int wait_for_condition(void *arg)
{
    struct pair *pair = arg;
    (void)weft_mutex_lock(&pair->mutex, WEFT_FOREVER);
    int err = weft_condition_wait(&pair->condition, &pair->mutex, WEFT_FOREVER);
    (void)weft_mutex_unlock(&pair->mutex);
    return err;
}

static int wait_with_its_mutex(void *arg)
{
    struct pair pair;
    struct weft_group group;
    (void)arg;
    (void)weft_mutex_init(&pair.mutex, WEFT_AUTO);
    (void)weft_condition_init(&pair.condition, WEFT_AUTO);
    (void)weft_group_init(&group, NULL);
    (void)weft_spawn(&group, wait_for_condition, &pair);
    (void)weft_yield();
    (void)weft_mutex_lock(&pair.mutex, WEFT_FOREVER);
    return weft_group_wait(&group);
}

TEST(a_deadlock_that_no_cancellation_reaches_aborts)
{
    CHECK(aborts(wait_with_its_mutex, NULL, "where no cancellation reaches them"));
}

/* ---- groups ---------------------------------------------------------------------------- */

static int close_group(void *arg)
{
    weft_group_close(arg);
    return 0;
}

static int let_close(void *arg)
{
    struct weft_group group;
    CHECK_EQUAL(weft_group_init(&group, NULL), 0);
    CHECK_EQUAL(weft_spawn_with(&group, close_group, &group,
                                &(struct weft_spawn_options){.worker = *(int *)arg}),
                0);
    return weft_group_wait(&group);
}

TEST(who_closes_the_group_of_another_is_stopped)
{
    for (int worker = WEFT_WORKER(0); worker <= WEFT_WORKER(1); worker++)
        CHECK(aborts(let_close, &worker, "weft_group_close by another fiber"));
}
