/* SPDX-License-Identifier: MIT */
#include "test.h"

#include <weft/group.h>
#include <weft/local.h>

#include <stdatomic.h>
#include <stdlib.h>

static atomic_int living;

static void *make(int value)
{
    int *number = malloc(sizeof *number);
    REQUIRE(number);
    *number = value;
    living++;
    return number;
}

static void release(void *value)
{
    free(value);
    living--;
}

static void *inherit(void *value)
{
    return make(*(int *)value + 1);
}

static const struct weft_local_key own = {.release = release};
static const struct weft_local_key handed_down = {.release = release, .inherit = inherit};

static int look(void *arg)
{
    const int *number = weft_local_get(&handed_down);
    CHECK(weft_local_get(&own) == NULL);
    return number ? *number : *(int *)arg;
}

FIBER_TEST(a_local_value_is_the_fibers_own)
{
    int result = 0, none = -1;
    struct weft_task task;
    struct weft_group group;
    CHECK_EQUAL(weft_local_set(&own, make(1)), 0);
    CHECK_EQUAL(weft_group_init(&group, NULL), 0);
    CHECK_EQUAL(weft_spawn_task(&group, &task, look, &none), 0);
    CHECK_EQUAL(weft_task_join(&task, WEFT_FOREVER, &result), 0);
    CHECK_EQUAL(result, -1);
    CHECK_EQUAL(*(int *)weft_local_get(&own), 1);
    (void)weft_group_wait(&group);
}

FIBER_TEST(setting_another_value_or_none_releases_the_old_one)
{
    CHECK_EQUAL(weft_local_set(&own, make(1)), 0);
    CHECK_EQUAL(weft_local_set(&handed_down, make(2)), 0);
    CHECK_EQUAL(weft_local_set(&own, make(3)), 0);
    CHECK_EQUAL(living, 2);
    CHECK_EQUAL(weft_local_set(&own, NULL), 0);
    CHECK_EQUAL(weft_local_set(&own, NULL), 0);
    CHECK(weft_local_get(&own) == NULL);
    CHECK_EQUAL(*(int *)weft_local_get(&handed_down), 2);
    CHECK_EQUAL(living, 1);
}

TEST(values_are_released_with_their_fiber)
{
    CHECK_EQUAL(living, 0); /* of the tests before */
}

static int hand_down(void *arg)
{
    int workers = *(int *)arg, none = -1;
    struct weft_task tasks[4];
    struct weft_group group;
    CHECK_EQUAL(weft_local_set(&own, make(1)), 0);
    CHECK_EQUAL(weft_local_set(&handed_down, make(10)), 0);
    CHECK_EQUAL(weft_group_init(&group, NULL), 0);
    for (int i = 0; i < 4; i++) {
        const struct weft_spawn_options options = {.worker = WEFT_WORKER(i % workers),
                                                   .task = &tasks[i]};
        CHECK_EQUAL(weft_spawn_with(&group, look, &none, &options), 0);
    }
    CHECK_EQUAL(weft_group_wait(&group), 0);
    for (int i = 0; i < 4; i++)
        CHECK_EQUAL(tasks[i].result, 11);
    return 0;
}

TEST(children_inherit_what_the_key_says)
{
    CHECK_EQUAL(weft_run(NULL, hand_down, &(int){1}), 0);
    CHECK_EQUAL(weft_run(&(struct weft_run_options){.workers = 2}, hand_down, &(int){2}), 0);
    CHECK_EQUAL(living, 0);
}

TEST(outside_a_runtime_there_are_no_locals)
{
    CHECK(weft_local_set(&own, &living) < 0);
    CHECK(weft_local_get(&own) == NULL);
}
