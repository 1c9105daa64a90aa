/* SPDX-License-Identifier: MIT
 * scope.c - deadlines, cancellation as a level, shields. */
#include "test.h"

#include <weft/group.h>
#include <weft/runtime.h>
#include <weft/scope.h>
#include <weft/sync.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

FIBER_TEST(a_deadline_is_canceled_inside_and_timed_out_outside)
{
    struct weft_scope scope;
    int64_t before = weft_now();
    weft_scope_enter(&scope, before + 100, 0);
    CHECK_EQUAL(weft_deadline(), before + 100);
    int err = weft_sleep(WEFT_SEC);
    CHECK_EQUAL(err, -ECANCELED);
    CHECK_EQUAL(weft_now() - before, 100);
    CHECK_EQUAL(weft_scope_leave(&scope, err), -ETIMEDOUT);
    CHECK_EQUAL(weft_sleep(1), 0);
    CHECK_EQUAL(weft_deadline(), WEFT_FOREVER);
}

FIBER_TEST(cancellation_is_a_level_every_later_wait_sees_it)
{
    struct weft_scope scope;
    weft_scope_enter(&scope, WEFT_FOREVER, 0);
    weft_scope_cancel(&scope, 0);
    CHECK_EQUAL(weft_checkpoint(), -ECANCELED);
    CHECK_EQUAL(weft_sleep(1), -ECANCELED);
    CHECK_EQUAL(weft_sleep(1), -ECANCELED);
    CHECK_EQUAL(weft_yield(), -ECANCELED);
    CHECK_EQUAL(weft_scope_leave(&scope, -ECANCELED), -ECANCELED);
    CHECK_EQUAL(weft_checkpoint(), 0);
}

FIBER_TEST(leaving_hands_other_results_through)
{
    struct weft_scope scope;
    weft_scope_enter(&scope, weft_now(), 0);
    CHECK_EQUAL(weft_checkpoint(), -ECANCELED); /* over before it began */
    CHECK_EQUAL(weft_scope_leave(&scope, 7), 7);
    weft_scope_enter(&scope, weft_now(), 0);
    CHECK_EQUAL(weft_scope_leave(&scope, -EIO), -EIO);
    weft_scope_enter(&scope, WEFT_FOREVER, 0);
    CHECK_EQUAL(weft_scope_leave(&scope, -ECANCELED), -ECANCELED); /* not this scope's doing */
}

FIBER_TEST(move_on_turns_the_timeout_into_success)
{
    struct weft_scope scope;
    weft_scope_enter(&scope, weft_now() + 10, WEFT_SCOPE_MOVE_ON);
    CHECK_EQUAL(weft_scope_leave(&scope, weft_sleep(100)), 0);
}

FIBER_TEST(the_outer_scope_wins_over_the_inner_one)
{
    struct weft_scope outer, inner;
    weft_scope_enter(&outer, weft_now() + 10, 0);
    weft_scope_enter(&inner, weft_now() + 20, WEFT_SCOPE_MOVE_ON);
    CHECK_EQUAL(weft_deadline(), weft_now() + 10);
    int err = weft_scope_leave(&inner, weft_sleep(100));
    CHECK_EQUAL(err, -ECANCELED);
    CHECK_EQUAL(weft_scope_leave(&outer, err), -ETIMEDOUT);
}

FIBER_TEST(the_inner_scope_ends_without_the_outer_one)
{
    struct weft_scope outer, inner;
    weft_scope_enter(&outer, weft_now() + 20, 0);
    weft_scope_enter(&inner, weft_now() + 10, 0);
    CHECK_EQUAL(weft_scope_leave(&inner, weft_sleep(100)), -ETIMEDOUT);
    CHECK_EQUAL(weft_sleep(5), 0);
    CHECK_EQUAL(weft_scope_leave(&outer, 0), 0);
}

FIBER_TEST(a_shield_keeps_outer_cancellation_out_but_not_its_own_deadline)
{
    struct weft_scope outer, shield;
    int64_t start = weft_now();
    weft_scope_enter(&outer, start + 10, 0);
    weft_scope_enter(&shield, start + 30, WEFT_SCOPE_SHIELD);
    CHECK_EQUAL(weft_deadline(), start + 30);
    CHECK_EQUAL(weft_sleep(20), 0);
    CHECK_EQUAL(weft_sleep(20), -ECANCELED);
    CHECK_EQUAL(weft_now(), start + 30);
    CHECK_EQUAL(weft_scope_leave(&shield, -ECANCELED), -ETIMEDOUT);
    CHECK_EQUAL(weft_checkpoint(), -ECANCELED);
    CHECK_EQUAL(weft_scope_leave(&outer, -ECANCELED), -ETIMEDOUT);
}

FIBER_TEST(a_scope_entered_in_a_cancelled_one_is_cancelled)
{
    struct weft_scope outer, inner;
    weft_scope_enter(&outer, WEFT_FOREVER, 0);
    weft_scope_cancel(&outer, 0);
    weft_scope_enter(&inner, weft_now() + 5, 0);
    CHECK_EQUAL(weft_sleep(10), -ECANCELED);
    CHECK_EQUAL(weft_scope_leave(&inner, -ECANCELED), -ECANCELED);
    CHECK_EQUAL(weft_scope_leave(&outer, -ECANCELED), -ECANCELED);
}

FIBER_TEST(a_deadline_can_be_moved_both_ways)
{
    struct weft_scope scope;
    int64_t start = weft_now();
    weft_scope_enter(&scope, start + 10, 0);
    weft_scope_set_deadline(&scope, start + 50);
    CHECK_EQUAL(weft_sleep(20), 0);
    weft_scope_set_deadline(&scope, start + 25);
    CHECK_EQUAL(weft_sleep(20), -ECANCELED);
    CHECK_EQUAL(weft_now(), start + 25);
    CHECK_EQUAL(weft_scope_leave(&scope, -ECANCELED), -ETIMEDOUT);
}

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

static bool aborts_with(int (*fn)(void *), void *arg)
{
    int status = 0;
    pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        int quiet = open("/dev/null", O_WRONLY);
        (void)dup2(quiet, STDERR_FILENO);
        (void)weft_run(NULL, fn, arg);
        _exit(0);
    }
    REQUIRE(waitpid(child, &status, 0) == child);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

static bool aborts(int (*fn)(void *))
{
    return aborts_with(fn, NULL);
}

TEST(misuse_that_would_corrupt_a_stack_aborts)
{
    CHECK(aborts(leave_with_open_group));
    CHECK(aborts(leave_out_of_order));
    CHECK(aborts(end_inside_a_scope));
    CHECK(aborts(end_with_an_open_group));
}

TEST(unknown_flags_of_a_scope_abort)
{
    for (unsigned bit = 0; bit < 32; bit++) {
        unsigned flags = 1u << bit;
        bool known = flags == WEFT_SCOPE_SHIELD || flags == WEFT_SCOPE_MOVE_ON;
        CHECK_EQUAL(aborts_with(enter_with_unknown_flags, &flags), !known);
    }
}

TEST(ending_while_holding_a_lock_aborts)
{
    CHECK(aborts(end_holding_a_mutex));
    CHECK(aborts(end_holding_a_lock_to_write));
}

static int sleep_in_group(void *arg)
{
    int *woken = arg;
    int err = weft_sleep(WEFT_SEC);
    ++*woken;
    return err;
}

static int nest(void *arg)
{
    struct weft_group group;
    int *woken = arg;
    CHECK_EQUAL(weft_group_init(&group, NULL), 0);
    CHECK_EQUAL(weft_spawn(&group, sleep_in_group, woken), 0);
    CHECK_EQUAL(weft_spawn(&group, sleep_in_group, woken), 0);
    return weft_group_wait(&group);
}

FIBER_TEST(a_deadline_reaches_children_of_groups_inside)
{
    struct weft_scope scope;
    struct weft_group group;
    int woken = 0;
    int64_t start = weft_now();
    weft_scope_enter(&scope, start + 10, 0);
    CHECK_EQUAL(weft_group_init(&group, NULL), 0);
    CHECK_EQUAL(weft_spawn(&group, nest, &woken), 0);
    CHECK_EQUAL(weft_spawn(&group, nest, &woken), 0);
    int err = weft_group_wait(&group);
    CHECK_EQUAL(err, -ECANCELED);
    CHECK_EQUAL(woken, 4);
    CHECK_EQUAL(weft_now(), start + 10);
    CHECK_EQUAL(weft_scope_leave(&scope, err), -ETIMEDOUT);
}
