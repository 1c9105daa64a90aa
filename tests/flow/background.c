/* SPDX-License-Identifier: MIT */
#include "test.h"

#include <weft/background.h>

#include <errno.h>

struct poller {
    struct weft_background *background;
    int polls;
    int64_t pause_ns, work_ns;
};

/* The usual loop: do something, sleep, until the shutdown. */
static int poll_often(void *arg)
{
    struct poller *poller = arg;
    int err = 0;
    while (err == 0) {
        poller->polls++;
        err = weft_sleep(poller->work_ns);
        if (err == 0)
            err = weft_background_sleep(poller->background, poller->pause_ns);
    }
    return err == -ESHUTDOWN ? 0 : err;
}

FIBER_TEST(a_graceful_stop_ends_the_pause_but_not_the_work)
{
    struct weft_background background;
    struct poller poller = {&background, 0, 100 * WEFT_SEC, 2 * WEFT_SEC};
    CHECK_EQUAL(weft_background_init(&background, NULL), 0);
    CHECK_EQUAL(weft_background_start(&background, poll_often, &poller, "poll"), 1);
    CHECK_EQUAL(weft_sleep(103 * WEFT_SEC), 0); /* a second into its second piece of work */
    int64_t before_ns = weft_now();
    CHECK_EQUAL(weft_background_stop(&background, before_ns + 30 * WEFT_SEC), 0);
    CHECK_EQUAL(weft_now() - before_ns, WEFT_SEC);
    CHECK_EQUAL(poller.polls, 2);
    CHECK_EQUAL(background.failed, 0);
}

static int work_for(void *arg)
{
    return weft_sleep(*(int64_t *)arg);
}

FIBER_TEST(what_does_not_end_in_time_is_cancelled)
{
    int64_t short_ns = 5 * WEFT_SEC, long_ns = 3600 * WEFT_SEC, before_ns = weft_now();
    struct weft_background background;
    CHECK_EQUAL(weft_background_init(&background, NULL), 0);
    CHECK_EQUAL(weft_background_start(&background, work_for, &short_ns, NULL), 1);
    CHECK_EQUAL(weft_background_start(&background, work_for, &long_ns, NULL), 2);
    CHECK_EQUAL(weft_background_stop(&background, before_ns + 30 * WEFT_SEC), 1);
    CHECK_EQUAL(weft_now() - before_ns, 30 * WEFT_SEC);
}

FIBER_TEST(a_stop_without_patience_cancels_at_once)
{
    int64_t long_ns = 3600 * WEFT_SEC, before_ns = weft_now();
    struct weft_background background;
    CHECK_EQUAL(weft_background_init(&background, NULL), 0);
    CHECK_EQUAL(weft_background_start(&background, work_for, &long_ns, NULL), 1);
    CHECK_EQUAL(weft_background_stop(&background, WEFT_NOWAIT), 1);
    CHECK_EQUAL(weft_now(), before_ns);
}

FIBER_TEST(a_cancelled_keeper_does_not_wait_for_the_deadline)
{
    int64_t long_ns = 3600 * WEFT_SEC, before_ns = weft_now();
    struct weft_background background;
    struct weft_scope scope;
    CHECK_EQUAL(weft_background_init(&background, NULL), 0);
    CHECK_EQUAL(weft_background_start(&background, work_for, &long_ns, NULL), 1);
    weft_scope_enter(&scope, before_ns + WEFT_SEC, 0);
    CHECK_EQUAL(weft_background_stop(&background, before_ns + 30 * WEFT_SEC), 1);
    CHECK_EQUAL(weft_scope_leave(&scope, -ECANCELED), -ETIMEDOUT);
    CHECK_EQUAL(weft_now() - before_ns, WEFT_SEC);
}

static int fail(void *arg)
{
    (void)weft_sleep(WEFT_SEC);
    return *(int *)arg;
}

FIBER_TEST(a_failure_is_counted_and_leaves_the_others_alone)
{
    int64_t work_ns = 5 * WEFT_SEC, before_ns = weft_now();
    int failure = -EIO;
    struct weft_background background;
    CHECK_EQUAL(weft_background_init(&background, NULL), 0);
    CHECK_EQUAL(weft_background_start(&background, fail, &failure, NULL), 1);
    CHECK_EQUAL(weft_background_start(&background, work_for, &work_ns, NULL), 2);
    CHECK_EQUAL(weft_background_stop(&background, WEFT_FOREVER), 0);
    CHECK_EQUAL(weft_now() - before_ns, work_ns);
    CHECK_EQUAL(background.failed, 1);
    CHECK_EQUAL(background.last_failure, -EIO);
}

FIBER_TEST(tasks_are_listed_and_cancelled_by_id)
{
    int64_t long_ns = 3600 * WEFT_SEC, now_ns = weft_now();
    struct weft_background background;
    struct weft_background_task tasks[2];
    CHECK_EQUAL(weft_background_init(&background, NULL), 0);
    for (int i = 1; i <= 3; i++)
        CHECK_EQUAL(weft_background_start(&background, work_for, &long_ns, "work"), i);
    CHECK_EQUAL(weft_background_cancel(&background, 1), 0); /* before it has begun */
    CHECK_EQUAL(weft_sleep(WEFT_SEC), 0);
    CHECK_EQUAL(weft_background_cancel(&background, 1), -ENOENT);
    CHECK_EQUAL(weft_background_cancel(&background, 3), 0);
    CHECK_EQUAL(weft_background_start(&background, work_for, &long_ns, "work"), 4);
    CHECK_EQUAL(weft_sleep(WEFT_SEC), 0);
    CHECK_EQUAL(weft_background_list(&background, tasks, 1), 2);
    CHECK_EQUAL(weft_background_list(&background, tasks, 2), 2);
    CHECK_EQUAL(tasks[0].id, 2);
    CHECK_EQUAL(tasks[1].id, 4);
    CHECK_EQUAL(tasks[1].started_at_ns, now_ns + WEFT_SEC);
    CHECK_EQUAL(background.failed, 0); /* cancelled by choice */
    CHECK_EQUAL(weft_background_stop(&background, WEFT_NOWAIT), 2);
}

FIBER_TEST(a_full_or_stopping_keeper_takes_no_task)
{
    int64_t long_ns = 3600 * WEFT_SEC;
    struct weft_background background;
    const struct weft_background_options one = {.tasks_max = 1};
    CHECK_EQUAL(weft_background_init(&background, &one), 0);
    CHECK_EQUAL(weft_background_start(&background, work_for, &long_ns, NULL), 1);
    CHECK_EQUAL(weft_background_start(&background, work_for, &long_ns, NULL), WEFT_EFULL);
    CHECK(!weft_background_stopping(&background));
    CHECK_EQUAL(weft_background_stop(&background, WEFT_NOWAIT), 1);
    CHECK(weft_background_stopping(&background));
    CHECK_EQUAL(weft_background_start(&background, work_for, &long_ns, NULL), -ESHUTDOWN);
    CHECK_EQUAL(weft_background_sleep(&background, 1), -ESHUTDOWN);
}
