/* SPDX-License-Identifier: MIT */
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
    const struct weft_spawn_options copied = {.copy_bytes = 8};
    struct weft_group group;
    CHECK_EQUAL(weft_group_init(&group, NULL), 0);
    CHECK_EQUAL(weft_spawn_started(&group, serve, &(int64_t){0}, &copied, WEFT_FOREVER), -EINVAL);
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
