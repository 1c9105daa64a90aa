/* SPDX-License-Identifier: MIT
 * scope.c - deadlines, cancellation as a level, shields. */
#include "test.h"

#include <weft/group.h>
#include <weft/runtime.h>
#include <weft/scope.h>

#include <errno.h>

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

static int sleep_long(void *arg)
{
    (void)arg;
    return weft_sleep(WEFT_SEC);
}

FIBER_TEST(a_function_can_be_given_so_much_time)
{
    int64_t start = weft_now();
    CHECK_EQUAL(weft_timeout(10, sleep_long, NULL), -ETIMEDOUT);
    CHECK_EQUAL(weft_now(), start + 10);
    CHECK_EQUAL(weft_timeout(2 * WEFT_SEC, sleep_long, NULL), 0);
    CHECK_EQUAL(weft_timeout(WEFT_FOREVER, sleep_long, NULL), 0);
}

FIBER_TEST(a_deadline_can_be_taken_away)
{
    struct weft_scope scope;
    int64_t start = weft_now();
    weft_scope_enter(&scope, start + 10, 0);
    weft_scope_set_deadline(&scope, WEFT_FOREVER);
    CHECK_EQUAL(weft_sleep(20), 0);
    CHECK_EQUAL(weft_scope_leave(&scope, 0), 0);
}

TEST(outside_a_fiber_there_are_no_scopes)
{
    CHECK_EQUAL(weft_timeout(10, sleep_long, NULL), -EPERM);
    CHECK_EQUAL(weft_shield(sleep_long, NULL), -EPERM);
    CHECK_EQUAL(weft_cancel_reason(), 0);
}

FIBER_TEST(without_a_cancel_there_is_no_reason)
{
    CHECK_EQUAL(weft_cancel_reason(), 0);
}
