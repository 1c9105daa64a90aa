/* SPDX-License-Identifier: MIT */
#include "no_stacks.h"
#include "test.h"

#include <weft/group.h>

#include <errno.h>

static int serve(void *arg)
{
    int64_t prepare_ns = *(int64_t *)arg;
    int err = weft_sleep(prepare_ns);
    if (err == 0)
        err = weft_started(8080);
    if (err < 0)
        return err;
    CHECK_EQUAL(weft_started(1), -EINVAL); /* once is enough */
    return weft_sleep(3600 * WEFT_SEC);
}

FIBER_TEST(the_spawner_goes_on_when_the_child_is_ready)
{
    int64_t prepare_ns = 5 * WEFT_SEC, before_ns = weft_now();
    struct weft_group group;
    CHECK_EQUAL(weft_group_init(&group, NULL), 0);
    CHECK_EQUAL(weft_spawn_started(&group, serve, &prepare_ns, NULL, WEFT_FOREVER), 8080);
    CHECK_EQUAL(weft_now() - before_ns, prepare_ns);
    CHECK_EQUAL(weft_group_live(&group), 1);
    weft_group_cancel(&group, 0);
    CHECK_EQUAL(weft_group_wait(&group), 0);
}

static int fail(void *arg)
{
    (void)weft_sleep(WEFT_SEC);
    return *(int *)arg;
}

FIBER_TEST(a_child_that_ends_before_it_is_ready_is_heard_by_the_spawner_only)
{
    struct weft_group group;
    CHECK_EQUAL(weft_group_init(&group, NULL), 0);
    CHECK_EQUAL(weft_spawn_started(&group, fail, &(int){-EADDRINUSE}, NULL, WEFT_FOREVER),
                -EADDRINUSE);
    CHECK_EQUAL(weft_spawn_started(&group, fail, &(int){0}, NULL, WEFT_FOREVER), -ECHILD);
    CHECK_EQUAL(weft_group_failures(&group), 0);
    CHECK_EQUAL(weft_group_wait(&group), 0);
}

FIBER_TEST(a_child_that_is_not_ready_in_time_is_cancelled_and_waited_for)
{
    int64_t prepare_ns = 5 * WEFT_SEC, before_ns = weft_now();
    struct weft_group group;
    CHECK_EQUAL(weft_group_init(&group, NULL), 0);
    CHECK_EQUAL(weft_spawn_started(&group, serve, &prepare_ns, NULL, before_ns + WEFT_SEC),
                -ETIMEDOUT);
    CHECK_EQUAL(weft_now() - before_ns, WEFT_SEC);
    CHECK_EQUAL(weft_group_live(&group), 0);
    CHECK_EQUAL(weft_group_wait(&group), 0);
}

static int start_too_late(void *arg)
{
    int *answer = arg;
    struct weft_scope shield;
    weft_scope_enter(&shield, WEFT_FOREVER, WEFT_SCOPE_SHIELD);
    CHECK_EQUAL(weft_sleep(5 * WEFT_SEC), 0);
    *answer = weft_started(1);
    return weft_scope_leave(&shield, 0);
}

FIBER_TEST(a_child_that_is_ready_too_late_is_told)
{
    int answer = 0;
    struct weft_group group;
    CHECK_EQUAL(weft_group_init(&group, NULL), 0);
    CHECK_EQUAL(weft_spawn_started(&group, start_too_late, &answer, NULL, weft_now() + WEFT_SEC),
                -ETIMEDOUT);
    CHECK_EQUAL(answer, -ECANCELED);
    CHECK_EQUAL(weft_group_wait(&group), 0);
}

FIBER_TEST(a_spawner_that_is_cancelled_takes_the_child_along)
{
    int64_t prepare_ns = 5 * WEFT_SEC;
    struct weft_scope scope;
    struct weft_group group;
    CHECK_EQUAL(weft_group_init(&group, NULL), 0);
    weft_scope_enter(&scope, weft_now() + WEFT_SEC, 0);
    int err = weft_spawn_started(&group, serve, &prepare_ns, NULL, WEFT_FOREVER);
    CHECK_EQUAL(err, -ECANCELED);
    CHECK_EQUAL(weft_spawn_started(&group, serve, &prepare_ns, NULL, WEFT_FOREVER), -ECANCELED);
    CHECK_EQUAL(weft_scope_leave(&scope, err), -ETIMEDOUT);
    CHECK_EQUAL(weft_group_live(&group), 0);
    CHECK_EQUAL(weft_group_wait(&group), 0);
}

FIBER_TEST(started_means_nothing_where_nobody_waits)
{
    CHECK_EQUAL(weft_started(0), -EINVAL);
}

static int start_with(void *arg)
{
    CHECK_EQUAL(weft_started(*(int *)arg), 0);
    CHECK_EQUAL(weft_sleep(WEFT_SEC), 0);
    return *(int *)arg;
}

FIBER_TEST(the_child_may_have_a_copy_of_its_argument)
{
    int value = 5;
    struct weft_task task;
    struct weft_group group;
    const struct weft_spawn_options copied = {.copy_bytes = sizeof value, .task = &task};
    CHECK_EQUAL(weft_group_init(&group, NULL), 0);
    CHECK_EQUAL(weft_spawn_started(&group, start_with, &value, &copied, WEFT_FOREVER), 5);
    value = 6;
    CHECK_EQUAL(weft_group_wait(&group), 0);
    CHECK_EQUAL(task.result, 5);
}

FIBER_TEST(the_task_has_what_the_function_returned_whoever_heard_it_first)
{
    struct weft_task failed, unready, late;
    struct weft_group group;
    CHECK_EQUAL(weft_group_init(&group, NULL), 0);
    struct weft_spawn_options options = {.task = &failed};
    CHECK_EQUAL(weft_spawn_started(&group, fail, &(int){-EIO}, &options, WEFT_FOREVER), -EIO);
    options.task = &unready;
    CHECK_EQUAL(weft_spawn_started(&group, fail, &(int){7}, &options, WEFT_FOREVER), -ECHILD);
    options.task = &late;
    CHECK_EQUAL(weft_spawn_started(&group, fail, &(int){8}, &options, weft_now() + 1), -ETIMEDOUT);
    CHECK_EQUAL(weft_group_wait(&group), 0);
    CHECK_EQUAL(failed.result, -EIO);
    CHECK_EQUAL(unready.result, 7);
    CHECK_EQUAL(late.result, 8);
    CHECK_EQUAL(weft_group_failures(&group), 0);
}

FIBER_TEST(who_does_not_wait_cannot_start_anything)
{
    struct weft_group group;
    CHECK_EQUAL(weft_group_init(&group, NULL), 0);
    CHECK_EQUAL(weft_spawn_started(&group, serve, &(int64_t){0}, NULL, WEFT_NOWAIT), -EAGAIN);
    CHECK_EQUAL(weft_group_live(&group), 0);
    CHECK_EQUAL(weft_group_wait(&group), 0);
}

static int start_elsewhere(void *arg)
{
    int64_t prepare_ns = WEFT_MSEC;
    (void)arg;
    for (int round = 0; round < 50; round++) {
        const struct weft_spawn_options options = {.worker = WEFT_WORKER(1)};
        struct weft_group group;
        CHECK_EQUAL(weft_group_init(&group, NULL), 0);
        int64_t deadline_ns = weft_now() + round * 50 * WEFT_USEC;
        int port = weft_spawn_started(&group, serve, &prepare_ns, &options, deadline_ns);
        CHECK(port == 8080 || port == -ETIMEDOUT);
        if (port > 0)
            CHECK_EQUAL(weft_group_live(&group), 1);
        weft_group_cancel(&group, 0);
        CHECK_EQUAL(weft_group_wait(&group), 0);
    }
    return 0;
}

TEST(the_handshake_works_across_workers)
{
    CHECK_EQUAL(weft_run(&(struct weft_run_options){.workers = 2}, start_elsewhere, NULL), 0);
}

static int start_without_a_stack(void *arg)
{
    int worker = *(int *)arg;
    struct weft_task task;
    struct weft_group group;
    const struct weft_spawn_options options = {
        .worker = worker, .stack_bytes = 1 << 20, .task = &task};
    CHECK_EQUAL(weft_group_init(&group, NULL), 0);
    no_stacks = true;
    CHECK_EQUAL(weft_spawn_started(&group, serve, &(int64_t){0}, &options, WEFT_FOREVER), -ENOMEM);
    no_stacks = false;
    CHECK_EQUAL(weft_group_live(&group), 0);
    CHECK_EQUAL(weft_group_wait(&group), 0);
    CHECK_EQUAL(task.result, -ENOMEM);
    return 0;
}

TEST(a_child_for_which_there_is_no_stack_is_not_waited_for)
{
    const struct weft_run_options two = {.workers = 2};
    for (int worker = WEFT_ANY_WORKER; worker <= WEFT_WORKER(1); worker++)
        CHECK_EQUAL(weft_run(&two, start_without_a_stack, &worker), 0);
}

static int start_from_abroad(void *arg)
{
    int64_t prepare_ns = 10 * WEFT_USEC;
    for (int worker = WEFT_ANY_WORKER; worker <= WEFT_WORKER(1); worker++) {
        const struct weft_spawn_options options = {.worker = worker};
        CHECK_EQUAL(weft_spawn_started(arg, serve, &prepare_ns, &options, WEFT_FOREVER), 8080);
        CHECK_EQUAL(
            weft_spawn_started(arg, fail, &(int){-EIO}, &options, weft_now() + 100 * WEFT_USEC),
            -ETIMEDOUT);
    }
    weft_group_cancel(arg, 0);
    return 0;
}

static int let_start_from_abroad(void *arg)
{
    struct weft_group group;
    const struct weft_spawn_options there = {.worker = WEFT_WORKER(1)};
    (void)arg;
    CHECK_EQUAL(weft_group_init(&group, NULL), 0);
    CHECK_EQUAL(weft_spawn_with(&group, start_from_abroad, &group, &there), 0);
    return weft_group_wait(&group);
}

TEST(the_spawner_may_be_on_another_worker_than_the_group)
{
    CHECK_EQUAL(weft_run(&(struct weft_run_options){.workers = 2}, let_start_from_abroad, NULL), 0);
}

TEST(outside_a_fiber_nothing_has_started)
{
    CHECK_EQUAL(weft_started(1), -EINVAL);
}

static int start_with_an_error(void *arg)
{
    (void)arg;
    CHECK_EQUAL(weft_started(-EIO), -EINVAL);
    return weft_started(7);
}

FIBER_TEST(an_error_is_no_start)
{
    struct weft_group group;
    CHECK_EQUAL(weft_group_init(&group, NULL), 0);
    CHECK_EQUAL(weft_spawn_started(&group, start_with_an_error, NULL, NULL, WEFT_FOREVER), 7);
    CHECK_EQUAL(weft_group_wait(&group), 0);
}
