/* SPDX-License-Identifier: MIT
 * group.c - children end before their group, and the policies. */
#include "test.h"

#include <weft/group.h>
#include <weft/runtime.h>
#include <weft/select.h>

#include <errno.h>

/* Sleeps, then returns a result; a cancel shows as -ECANCELED and is counted. */
struct child {
    int64_t sleep_ns;
    int result;
    int *cancelled;
};

static int run_child(void *arg)
{
    struct child *child = arg;
    int err = weft_sleep(child->sleep_ns);
    if (err == -ECANCELED && child->cancelled)
        ++*child->cancelled;
    return err < 0 ? err : child->result;
}

static int run_group(enum weft_group_policy policy, unsigned quorum, struct child *children,
                     size_t len)
{
    struct weft_group group;
    struct weft_group_options options = {.policy = policy, .quorum = quorum};
    CHECK_EQUAL(weft_group_init(&group, &options), 0);
    for (size_t i = 0; i < len; i++)
        CHECK_EQUAL(weft_spawn(&group, run_child, &children[i]), 0);
    return weft_group_wait(&group);
}

FIBER_TEST(fail_fast_cancels_the_rest_and_returns_the_first_failure)
{
    int cancelled = 0;
    int64_t start = weft_now();
    struct child children[] = {
        {10, 0, &cancelled}, {20, -EIO, &cancelled}, {30, -EBADF, &cancelled}, {40, 0, &cancelled}};
    CHECK_EQUAL(run_group(WEFT_FAIL_FAST, 0, children, 4), -EIO);
    CHECK_EQUAL(cancelled, 2);
    CHECK_EQUAL(weft_now() - start, 20);
}

FIBER_TEST(supervise_lets_everybody_finish)
{
    int cancelled = 0;
    int64_t start = weft_now();
    struct child children[] = {
        {10, -EIO, &cancelled}, {30, 1, &cancelled}, {20, -EBADF, &cancelled}};
    CHECK_EQUAL(run_group(WEFT_SUPERVISE, 0, children, 3), -EIO);
    CHECK_EQUAL(cancelled, 0);
    CHECK_EQUAL(weft_now() - start, 30);
}

FIBER_TEST(race_returns_the_first_success)
{
    int cancelled = 0;
    int64_t start = weft_now();
    struct child children[] = {{10, -EIO, &cancelled}, {20, 5, &cancelled}, {30, 6, &cancelled}};
    CHECK_EQUAL(run_group(WEFT_RACE, 0, children, 3), 5);
    CHECK_EQUAL(cancelled, 1);
    CHECK_EQUAL(weft_now() - start, 20);
    struct child losers[] = {{20, -EIO, NULL}, {10, -EBADF, NULL}};
    CHECK_EQUAL(run_group(WEFT_RACE, 0, losers, 2), -EBADF);
}

FIBER_TEST(quorum_returns_when_enough_have_succeeded)
{
    int cancelled = 0;
    struct child children[] = {
        {10, 1, &cancelled}, {20, -EIO, &cancelled}, {30, 1, &cancelled}, {40, 1, &cancelled}};
    CHECK_EQUAL(run_group(WEFT_QUORUM, 2, children, 4), 0);
    CHECK_EQUAL(cancelled, 1);
    CHECK_EQUAL(run_group(WEFT_QUORUM, 4, children, 4), -EIO);
    CHECK_EQUAL(run_group(WEFT_QUORUM, 2, children, 1), -EINVAL);
    CHECK_EQUAL(weft_group_init(&(struct weft_group){0},
                                &(struct weft_group_options){.policy = WEFT_QUORUM}),
                -EINVAL);
}

FIBER_TEST(an_empty_group_succeeds_at_once)
{
    CHECK_EQUAL(run_group(WEFT_FAIL_FAST, 0, NULL, 0), 0);
    CHECK_EQUAL(run_group(WEFT_SUPERVISE, 0, NULL, 0), 0);
}

FIBER_TEST(an_empty_race_has_no_winner)
{
    CHECK_EQUAL(run_group(WEFT_RACE, 0, NULL, 0), -EINVAL);
}

FIBER_TEST(results_are_kept_by_task_and_in_order_of_completion)
{
    struct child children[] = {{30, 3, NULL}, {10, 1, NULL}, {20, -EIO, NULL}};
    struct weft_task tasks[3];
    struct weft_group group;
    CHECK_EQUAL(weft_group_init(&group, &(struct weft_group_options){.policy = WEFT_SUPERVISE}), 0);
    for (size_t i = 0; i < 3; i++)
        CHECK_EQUAL(weft_spawn_task(&group, &tasks[i], run_child, &children[i]), 0);
    int result = 99;
    CHECK_EQUAL(weft_task_join(&tasks[1], WEFT_NOWAIT, &result), -EAGAIN);
    CHECK_EQUAL(weft_task_join(&tasks[1], weft_now() + 5, &result), -ETIMEDOUT);
    CHECK_EQUAL(result, 99);
    CHECK_EQUAL(weft_task_join(&tasks[1], WEFT_FOREVER, &result), 0);
    CHECK_EQUAL(result, 1);
    CHECK_EQUAL(weft_group_wait(&group), -EIO);
    CHECK_EQUAL(tasks[0].result, 3);
    CHECK_EQUAL(tasks[2].result, -EIO);
    struct weft_task *first = weft_group_completed(&group, NULL);
    struct weft_task *second = weft_group_completed(&group, first);
    struct weft_task *third = weft_group_completed(&group, second);
    CHECK(first == &tasks[1] && second == &tasks[2] && third == &tasks[0]);
    CHECK(weft_group_completed(&group, third) == NULL);
}

FIBER_TEST(a_group_has_its_own_deadline)
{
    struct child child = {100, 0, NULL};
    struct weft_group group;
    struct weft_group_options options = {.deadline_ns = weft_now() + 10};
    CHECK_EQUAL(weft_group_init(&group, &options), 0);
    CHECK_EQUAL(weft_spawn(&group, run_child, &child), 0);
    CHECK_EQUAL(weft_group_wait(&group), -ETIMEDOUT);
    CHECK_EQUAL(weft_sleep(1), 0);
}

FIBER_TEST(a_deadline_that_comes_after_the_work_was_done_changes_nothing)
{
    struct child child = {5, 3, NULL};
    struct weft_group group;
    struct weft_group_options options = {.policy = WEFT_SUPERVISE, .deadline_ns = weft_now() + 10};
    CHECK_EQUAL(weft_group_init(&group, &options), 0);
    CHECK_EQUAL(weft_spawn(&group, run_child, &child), 0);
    CHECK_EQUAL(weft_sleep(20), 0);
    CHECK_EQUAL(weft_group_wait(&group), 0);
}

FIBER_TEST(work_that_was_refused_is_not_reported_as_done)
{
    struct child child = {5, 3, NULL};
    struct weft_group group;
    struct weft_group_options options = {.deadline_ns = weft_now() + 10};
    CHECK_EQUAL(weft_group_init(&group, &options), 0);
    CHECK_EQUAL(weft_sleep(20), 0);
    CHECK_EQUAL(weft_spawn(&group, run_child, &child), -ECANCELED);
    CHECK_EQUAL(weft_group_wait(&group), -ETIMEDOUT);
}

struct joiner {
    struct weft_task *task;
    int err, result;
};

static int join_task(void *arg)
{
    struct joiner *joiner = arg;
    joiner->err = weft_task_join(joiner->task, WEFT_FOREVER, &joiner->result);
    return joiner->err;
}

static int own_a_task(void *arg)
{
    struct joiner *joiner = arg;
    struct child child = {10, 77, NULL};
    struct weft_task task;
    struct weft_group group;
    CHECK_EQUAL(weft_group_init(&group, NULL), 0);
    CHECK_EQUAL(weft_spawn_task(&group, &task, run_child, &child), 0);
    joiner->task = &task;
    return weft_group_wait(&group); /* returns before the joiner runs, and the task is gone */
}

FIBER_TEST(a_joiner_gets_the_result_even_when_the_task_is_gone)
{
    struct joiner joiner = {.result = -1};
    struct weft_group group;
    CHECK_EQUAL(weft_group_init(&group, NULL), 0);
    CHECK_EQUAL(weft_spawn(&group, own_a_task, &joiner), 0);
    CHECK_EQUAL(weft_yield(), 0);
    CHECK_EQUAL(weft_spawn(&group, join_task, &joiner), 0);
    CHECK_EQUAL(weft_group_wait(&group), 0);
    CHECK_EQUAL(joiner.err, 0);
    CHECK_EQUAL(joiner.result, 77);
}

FIBER_TEST(cancel_ends_the_children_and_is_no_error)
{
    int cancelled = 0;
    struct child child = {100, 0, &cancelled};
    struct weft_group group;
    CHECK_EQUAL(weft_group_init(&group, NULL), 0);
    CHECK_EQUAL(weft_spawn(&group, run_child, &child), 0);
    CHECK_EQUAL(weft_yield(), 0);
    weft_group_cancel(&group, 0);
    weft_group_cancel(&group, 0);
    CHECK_EQUAL(weft_spawn(&group, run_child, &child), -ECANCELED);
    CHECK_EQUAL(weft_group_wait(&group), 0);
    CHECK_EQUAL(cancelled, 1);
    weft_group_close(&group);
}

FIBER_TEST(a_child_that_never_ran_before_the_cancel_still_runs_and_sees_it)
{
    int cancelled = 0;
    struct child child = {100, 0, &cancelled};
    struct weft_group group;
    CHECK_EQUAL(weft_group_init(&group, NULL), 0);
    CHECK_EQUAL(weft_spawn(&group, run_child, &child), 0);
    weft_group_close(&group);
    CHECK_EQUAL(cancelled, 1);
}

static int wait_in_cancelled_scope(void *arg)
{
    int *cancelled = arg;
    struct child child = {100, 0, cancelled};
    struct weft_group group;
    struct weft_scope scope;
    CHECK_EQUAL(weft_group_init(&group, NULL), 0);
    CHECK_EQUAL(weft_spawn(&group, run_child, &child), 0);
    /* The scope is inside the group's owner but not around the group. */
    weft_scope_enter(&scope, weft_now() + 10, 0);
    int err = weft_group_wait(&group);
    CHECK_EQUAL(err, -ECANCELED);
    return weft_scope_leave(&scope, err);
}

FIBER_TEST(waiting_in_a_cancelled_scope_cancels_and_still_joins)
{
    int cancelled = 0;
    int64_t start = weft_now();
    CHECK_EQUAL(wait_in_cancelled_scope(&cancelled), -ETIMEDOUT);
    CHECK_EQUAL(cancelled, 1);
    CHECK_EQUAL(weft_now() - start, 10);
}

struct limited {
    unsigned now, peak;
};

static int count_concurrency(void *arg)
{
    struct limited *limited = arg;
    if (++limited->now > limited->peak)
        limited->peak = limited->now;
    int err = weft_sleep(10);
    limited->now--;
    return err;
}

FIBER_TEST(concurrency_max_holds_spawners_back)
{
    struct limited limited = {0};
    struct weft_group group;
    int64_t start = weft_now();
    CHECK_EQUAL(weft_group_init(&group, &(struct weft_group_options){.concurrency_max = 3}), 0);
    for (int i = 0; i < 10; i++)
        CHECK_EQUAL(weft_spawn(&group, count_concurrency, &limited), 0);
    CHECK_EQUAL(weft_group_wait(&group), 0);
    CHECK_EQUAL(limited.peak, 3);
    CHECK_EQUAL(weft_now() - start, 40);
}

struct spawner {
    struct weft_group *group;
    struct child *child;
};

static int spawn_one(void *arg)
{
    struct spawner *spawner = arg;
    return weft_spawn(spawner->group, run_child, spawner->child);
}

FIBER_TEST(a_spawner_at_the_limit_can_be_cancelled_without_losing_the_place)
{
    struct child child = {100, 0, NULL};
    struct weft_group limited, others;
    struct spawner spawner = {&limited, &child};
    CHECK_EQUAL(weft_group_init(&limited, &(struct weft_group_options){.concurrency_max = 1}), 0);
    CHECK_EQUAL(weft_spawn(&limited, run_child, &child), 0);
    CHECK_EQUAL(weft_group_init(&others, NULL), 0);
    CHECK_EQUAL(weft_spawn(&others, spawn_one, &spawner), 0);
    CHECK_EQUAL(weft_sleep(10), 0);
    weft_group_cancel(&others, 0);
    CHECK_EQUAL(weft_group_wait(&others), 0);
    CHECK_EQUAL(weft_sleep(200), 0);
    CHECK_EQUAL(weft_group_live(&limited), 0);
    CHECK_EQUAL(weft_spawn(&limited, run_child, &child), 0);
    CHECK_EQUAL(weft_group_wait(&limited), 0);
}

static int spawn_siblings(void *arg)
{
    struct spawner *spawner = arg;
    for (int i = 0; i < 3; i++)
        CHECK_EQUAL(weft_spawn(spawner->group, run_child, spawner->child), 0);
    return 0;
}

FIBER_TEST(children_may_spawn_into_their_own_group)
{
    struct child child = {10, 0, NULL};
    struct weft_group group;
    struct spawner spawner = {&group, &child};
    int64_t start = weft_now();
    CHECK_EQUAL(weft_group_init(&group, NULL), 0);
    CHECK_EQUAL(weft_spawn(&group, spawn_siblings, &spawner), 0);
    CHECK_EQUAL(weft_group_wait(&group), 0);
    CHECK_EQUAL(weft_now() - start, 10);
}

static int nest_deeply(void *arg)
{
    int depth = *(int *)arg;
    if (depth == 0)
        return weft_sleep(1000);
    struct weft_group group;
    int deeper = depth - 1;
    CHECK_EQUAL(weft_group_init(&group, NULL), 0);
    CHECK_EQUAL(weft_spawn(&group, nest_deeply, &deeper), 0);
    return weft_group_wait(&group);
}

FIBER_TEST(cancelling_a_very_deep_tree_needs_no_deep_stack)
{
    int depth = 5000;
    struct weft_group group;
    CHECK_EQUAL(
        weft_group_init(&group, &(struct weft_group_options){.deadline_ns = weft_now() + 5}), 0);
    CHECK_EQUAL(weft_spawn(&group, nest_deeply, &depth), 0);
    CHECK_EQUAL(weft_group_wait(&group), -ETIMEDOUT);
}

/* ---- what a group comes to --------------------------------------------------------------- */

enum ending {
    NOT_CANCELLED,
    BY_DEADLINE,
    BY_OUTER,
    BY_CALL,
};

/* A child that ends early does so before the cancellation, a late one after it, shielded from it;
 * one that is cut is kept from succeeding by it. Zero means there is no such child. */
struct outcome {
    enum weft_group_policy policy; /* WEFT_QUORUM: of two */
    enum ending ending;
    int early, early_too, late, late_too;
    bool cut;
    int result;
};

static int end_early(void *arg)
{
    (void)weft_sleep(10);
    return *(int *)arg;
}

static int sleep_past(void *arg)
{
    (void)arg;
    return weft_sleep(30);
}

static int end_late(void *arg)
{
    (void)weft_shield(sleep_past, NULL);
    return *(int *)arg;
}

static void spawn_if(struct weft_group *group, int (*fn)(void *), int *result)
{
    if (*result)
        CHECK_EQUAL(weft_spawn(group, fn, result), 0);
}

static int come_to(struct outcome outcome)
{
    int zero = 1;
    struct weft_scope around;
    struct weft_group group;
    struct weft_group_options options = {.policy = outcome.policy};
    if (outcome.policy == WEFT_QUORUM)
        options.quorum = 2;
    if (outcome.ending == BY_DEADLINE)
        options.deadline_ns = weft_now() + 20;
    weft_scope_enter(&around, outcome.ending == BY_OUTER ? weft_now() + 20 : WEFT_FOREVER, 0);
    CHECK_EQUAL(weft_group_init(&group, &options), 0);
    spawn_if(&group, end_early, &outcome.early);
    spawn_if(&group, end_early, &outcome.early_too);
    spawn_if(&group, end_late, &outcome.late);
    spawn_if(&group, end_late, &outcome.late_too);
    if (outcome.cut)
        spawn_if(&group, sleep_past, &zero);
    if (outcome.ending != NOT_CANCELLED)
        (void)weft_sleep(20);
    if (outcome.ending == BY_CALL)
        weft_group_cancel(&group, 0);
    int result = weft_group_wait(&group);
    (void)weft_scope_leave(&around, 0);
    return result;
}

FIBER_TEST(every_outcome_is_as_documented)
{
    enum {
        F = -EIO,
        G = -EBADF
    };
    static const struct outcome table[] = {
        /* A race that somebody wins, however late. */
        {WEFT_RACE, NOT_CANCELLED, 5, 0, 6, 0, false, 5},
        {WEFT_RACE, NOT_CANCELLED, F, 0, 6, 0, false, 6},
        {WEFT_RACE, BY_DEADLINE, 0, 0, 7, 0, false, 7},
        {WEFT_RACE, BY_DEADLINE, F, 0, 7, 0, true, 7},
        {WEFT_RACE, BY_OUTER, F, 0, 7, G, true, 7},
        {WEFT_RACE, BY_CALL, 0, 0, 7, 8, true, 7},
        /* A quorum that is reached, however late. */
        {WEFT_QUORUM, NOT_CANCELLED, 1, 1, F, 0, true, 0},
        {WEFT_QUORUM, BY_DEADLINE, 1, F, 1, 0, true, 0},
        {WEFT_QUORUM, BY_DEADLINE, 0, 0, 1, 1, false, 0},
        {WEFT_QUORUM, BY_OUTER, 1, 0, 1, 0, true, 0},
        {WEFT_QUORUM, BY_CALL, 1, 0, 1, 0, true, 0},
        /* Somebody was cut, and it was not by choice. */
        {WEFT_FAIL_FAST, BY_DEADLINE, 1, 0, 1, 0, true, -ETIMEDOUT},
        {WEFT_FAIL_FAST, BY_DEADLINE, 0, 0, F, 0, false, -ETIMEDOUT},
        {WEFT_FAIL_FAST, BY_OUTER, 1, 0, 1, 0, true, -ECANCELED},
        {WEFT_SUPERVISE, BY_DEADLINE, F, 1, 1, 0, true, -ETIMEDOUT},
        {WEFT_SUPERVISE, BY_OUTER, F, 1, F, 0, false, -ECANCELED},
        {WEFT_RACE, BY_DEADLINE, F, 0, 0, 0, true, -ETIMEDOUT},
        {WEFT_RACE, BY_OUTER, 0, 0, F, 0, false, -ECANCELED},
        {WEFT_QUORUM, BY_DEADLINE, 1, F, 0, 0, true, -ETIMEDOUT},
        {WEFT_QUORUM, BY_OUTER, 1, 0, F, 0, false, -ECANCELED},
        /* The first failure before the cancellation. */
        {WEFT_FAIL_FAST, NOT_CANCELLED, F, 0, G, 1, true, F},
        {WEFT_SUPERVISE, NOT_CANCELLED, F, 1, G, 0, false, F},
        {WEFT_SUPERVISE, BY_DEADLINE, F, 1, 1, 0, false, F},
        {WEFT_SUPERVISE, BY_CALL, F, 1, G, 0, true, F},
        {WEFT_RACE, NOT_CANCELLED, F, 0, G, 0, false, F},
        {WEFT_RACE, BY_DEADLINE, F, G, 0, 0, false, F},
        {WEFT_RACE, BY_CALL, F, 0, G, 0, true, F},
        {WEFT_QUORUM, NOT_CANCELLED, F, 1, G, 0, false, F},
        {WEFT_QUORUM, BY_CALL, F, 1, G, 0, true, F},
        /* Nobody failed, and there were too few. */
        {WEFT_RACE, NOT_CANCELLED, 0, 0, 0, 0, false, -EINVAL},
        {WEFT_RACE, BY_DEADLINE, 0, 0, 0, 0, false, -EINVAL},
        {WEFT_QUORUM, NOT_CANCELLED, 1, 0, 0, 0, false, -EINVAL},
        {WEFT_QUORUM, BY_OUTER, 1, 0, 0, 0, false, -EINVAL},
        /* All is well. */
        {WEFT_FAIL_FAST, NOT_CANCELLED, 1, 0, 1, 0, true, 0},
        {WEFT_FAIL_FAST, BY_DEADLINE, 1, 0, 1, 0, false, 0},
        {WEFT_FAIL_FAST, BY_OUTER, 1, 0, 1, 0, false, 0},
        {WEFT_FAIL_FAST, BY_CALL, 1, 0, F, 0, true, 0},
        {WEFT_SUPERVISE, BY_DEADLINE, 1, 0, 1, 0, false, 0},
        {WEFT_SUPERVISE, BY_CALL, 1, 0, F, 0, true, 0},
        {WEFT_RACE, BY_CALL, 0, 0, F, 0, true, 0},
        {WEFT_QUORUM, BY_CALL, 1, 0, F, 0, true, 0},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        int result = come_to(table[i]);
        if (result != table[i].result)
            test_note("row %zu: policy %d, ending %d", i, table[i].policy, table[i].ending);
        CHECK_EQUAL(result, table[i].result);
    }
}

/* ---- tasks that never ran ---------------------------------------------------------------- */

FIBER_TEST(a_task_whose_spawn_was_refused_has_ended_with_the_refusal)
{
    int result = 0;
    struct child child = {10, 3, NULL};
    struct weft_task tasks[3], *next;
    struct weft_group group;
    CHECK_EQUAL(weft_group_init(&group, NULL), 0);
    const struct weft_spawn_options impossible = {.task = &tasks[1], .worker = -2};
    CHECK_EQUAL(weft_spawn_task(&group, &tasks[0], run_child, &child), 0);
    CHECK_EQUAL(weft_spawn_with(&group, run_child, &child, &impossible), -EINVAL);
    CHECK_EQUAL(weft_wait_first(tasks, 2, WEFT_NOWAIT), 1);
    CHECK_EQUAL(weft_wait_first_failed(tasks, 2, WEFT_NOWAIT), 1);
    CHECK_EQUAL(weft_wait_all(tasks, 2, WEFT_NOWAIT), -EAGAIN);
    CHECK_EQUAL(weft_wait_all(tasks, 2, WEFT_FOREVER), 0);
    weft_group_cancel(&group, 0);
    CHECK_EQUAL(weft_spawn_task(&group, &tasks[2], run_child, &child), -ECANCELED);
    CHECK_EQUAL(weft_wait_all(&tasks[1], 2, WEFT_NOWAIT), 0);
    CHECK_EQUAL(weft_task_join(&tasks[2], WEFT_FOREVER, &result), 0);
    CHECK_EQUAL(result, -ECANCELED);
    struct weft_case c = weft_case_task(&tasks[1]);
    CHECK_EQUAL(weft_select(&c, 1, WEFT_FOREVER, 0), 0);
    CHECK_EQUAL(c.result, -EINVAL);
    CHECK_EQUAL(weft_group_next(&group, &next, WEFT_FOREVER), 0);
    CHECK(next == &tasks[0]);
    CHECK_EQUAL(weft_group_next(&group, &next, WEFT_FOREVER), -ENOENT);
    CHECK_EQUAL(weft_group_wait(&group), 0);
    CHECK(tasks[1].done && tasks[1].result == -EINVAL);
}

FIBER_TEST(a_task_may_be_tried_again_after_a_refusal)
{
    struct child child = {10, 3, NULL};
    struct weft_task task;
    struct weft_group group;
    const struct weft_spawn_options impossible = {.task = &task, .worker = -2};
    CHECK_EQUAL(weft_group_init(&group, NULL), 0);
    CHECK_EQUAL(weft_spawn_with(&group, run_child, &child, &impossible), -EINVAL);
    CHECK_EQUAL(weft_spawn_task(&group, &task, run_child, &child), 0);
    CHECK_EQUAL(weft_group_wait(&group), 0);
    CHECK_EQUAL(task.result, 3);
    CHECK(weft_group_completed(&group, NULL) == &task);
    CHECK(weft_group_completed(&group, &task) == NULL);
}

FIBER_TEST(a_task_that_was_never_spawned_cannot_be_waited_for)
{
    int result;
    struct child child = {10, 3, NULL};
    struct weft_task tasks[2] = {0};
    struct weft_group group;
    struct weft_case c = weft_case_task(&tasks[1]);
    CHECK_EQUAL(weft_task_join(&tasks[1], WEFT_FOREVER, &result), -EINVAL);
    CHECK_EQUAL(weft_wait_all(&tasks[1], 1, WEFT_FOREVER), -EINVAL);
    CHECK_EQUAL(weft_select(&c, 1, WEFT_FOREVER, 0), -EINVAL);
    CHECK_EQUAL(weft_group_init(&group, NULL), 0);
    CHECK_EQUAL(weft_spawn_task(&group, &tasks[0], run_child, &child), 0);
    CHECK_EQUAL(weft_wait_first(tasks, 2, WEFT_FOREVER), -EINVAL);
    CHECK_EQUAL(weft_group_wait(&group), 0);
}

/* ---- who waits --------------------------------------------------------------------------- */

static int wait_for(void *arg)
{
    return weft_group_wait(arg);
}

FIBER_TEST(only_who_opened_a_group_may_wait_for_it)
{
    struct weft_group group, others;
    CHECK_EQUAL(weft_group_init(&group, NULL), 0);
    CHECK_EQUAL(weft_group_init(&others, NULL), 0);
    CHECK_EQUAL(weft_spawn(&group, wait_for, &group), 0);
    CHECK_EQUAL(weft_spawn(&others, wait_for, &group), 0);
    CHECK_EQUAL(weft_group_wait(&others), -EPERM);
    CHECK_EQUAL(weft_group_wait(&group), -EDEADLK);
}

/* ---- one after the other ----------------------------------------------------------------- */

FIBER_TEST(tasks_can_be_taken_in_the_order_in_which_they_end)
{
    struct child children[] = {{30, 3, NULL}, {10, 1, NULL}, {20, 2, NULL}};
    struct weft_task tasks[3], *next = NULL;
    struct weft_group group;
    CHECK_EQUAL(weft_group_init(&group, NULL), 0);
    for (int i = 0; i < 3; i++)
        CHECK_EQUAL(weft_spawn_task(&group, &tasks[i], run_child, &children[i]), 0);
    CHECK_EQUAL(weft_group_next(&group, &next, WEFT_NOWAIT), -EAGAIN);
    CHECK_EQUAL(weft_group_next(&group, &next, weft_now() + 5), -ETIMEDOUT);
    for (int result = 1; result <= 3; result++) {
        CHECK_EQUAL(weft_group_next(&group, &next, WEFT_FOREVER), 0);
        CHECK_EQUAL(next ? next->result : 0, result);
    }
    CHECK_EQUAL(weft_group_next(&group, &next, WEFT_FOREVER), -ENOENT);
    CHECK_EQUAL(weft_group_wait(&group), 0);
}

FIBER_TEST(a_group_keeps_its_first_failures_with_their_names)
{
    struct child children[] = {{20, -EIO, NULL}, {10, -EBADF, NULL}, {30, -EPIPE, NULL}};
    static const char *const names[] = {"second", "first", "third"};
    struct weft_failure failures[2] = {{0, NULL}};
    struct weft_group group;
    CHECK_EQUAL(weft_group_init(&group, &(struct weft_group_options){.policy = WEFT_SUPERVISE,
                                                                     .failures = failures,
                                                                     .failures_max = 2}),
                0);
    for (int i = 0; i < 3; i++)
        CHECK_EQUAL(weft_spawn_with(&group, run_child, &children[i],
                                    &(struct weft_spawn_options){.name = names[i]}),
                    0);
    CHECK_EQUAL(weft_group_wait(&group), -EBADF);
    CHECK_EQUAL(weft_group_failures(&group), 3);
    CHECK_EQUAL(failures[0].result, -EBADF);
    CHECK(failures[0].name == names[1]);
    CHECK_EQUAL(failures[1].result, -EIO);
    CHECK(failures[1].name == names[0]);
}

struct abroad {
    struct weft_group group;
    struct weft_task task;
    struct child child;
};

static int use_from_abroad(void *arg)
{
    struct abroad *abroad = arg;
    struct weft_task *next;
    CHECK_EQUAL(weft_group_next(&abroad->group, &next, WEFT_FOREVER), -EPERM);
    CHECK_EQUAL(weft_wait_all(&abroad->task, 1, WEFT_FOREVER), -EPERM);
    struct weft_case c = weft_case_task(&abroad->task);
    CHECK_EQUAL(weft_select(&c, 1, WEFT_FOREVER, 0), -EPERM);
    return 0;
}

static int wait_abroad(void *arg)
{
    struct abroad abroad = {.child = {WEFT_MSEC, 0, NULL}};
    (void)arg;
    CHECK_EQUAL(weft_group_init(&abroad.group, NULL), 0);
    CHECK_EQUAL(weft_spawn_task(&abroad.group, &abroad.task, run_child, &abroad.child), 0);
    CHECK_EQUAL(weft_spawn_with(&abroad.group, use_from_abroad, &abroad,
                                &(struct weft_spawn_options){.worker = WEFT_WORKER(1)}),
                0);
    return weft_group_wait(&abroad.group);
}

TEST(only_the_groups_own_worker_waits_for_its_tasks)
{
    CHECK_EQUAL(weft_run(&(struct weft_run_options){.workers = 2}, wait_abroad, NULL), 0);
}

FIBER_TEST(what_cannot_be_counted_is_refused)
{
    struct child child = {10, 0, NULL};
    struct weft_task task;
    struct weft_group group;
    CHECK_EQUAL(weft_group_init(&group, NULL), 0);
    CHECK_EQUAL(weft_spawn_with(&group, run_child, &child, NULL), 0);
    CHECK_EQUAL(weft_spawn_task(&group, &task, run_child, &child), 0);
    CHECK_EQUAL(weft_wait_all(&task, SIZE_MAX, WEFT_FOREVER), -EINVAL);
    CHECK_EQUAL(weft_group_wait(&group), 0);
}

TEST(outside_a_fiber_no_group_is_spawned_into_or_waited_for)
{
    struct weft_group group = {0};
    struct child child = {10, 0, NULL};
    CHECK_EQUAL(weft_spawn(&group, run_child, &child), -EPERM);
    CHECK_EQUAL(weft_group_wait(&group), -EPERM);
}

struct late_spawn {
    struct weft_group *group;
    struct child child;
};

static int spawn_late(void *arg)
{
    struct late_spawn *late = arg;
    return weft_spawn(late->group, run_child, &late->child) == -ECANCELED ? 0 : -EIO;
}

static int cancel_at_ten(void *arg)
{
    int err = weft_sleep(10);
    weft_group_cancel(arg, 0);
    return err;
}

/* The child ends, its place is handed on; before the spawner runs, the group is cancelled. */
FIBER_TEST(a_place_in_a_group_that_was_cancelled_meanwhile_is_given_back)
{
    struct weft_group limited, others;
    struct child child = {10, 0, NULL};
    struct late_spawn late = {&limited, {10, 0, NULL}};
    CHECK_EQUAL(weft_group_init(&others, NULL), 0);
    CHECK_EQUAL(weft_group_init(&limited, &(struct weft_group_options){.concurrency_max = 1}), 0);
    CHECK_EQUAL(weft_spawn(&limited, run_child, &child), 0);
    CHECK_EQUAL(weft_spawn(&others, cancel_at_ten, &limited), 0);
    CHECK_EQUAL(weft_spawn(&others, spawn_late, &late), 0);
    CHECK_EQUAL(weft_group_wait(&others), 0);
    CHECK_EQUAL(weft_group_wait(&limited), 0);
}
