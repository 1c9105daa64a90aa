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

static int fail_at_once(void *arg)
{
    (void)arg;
    return -EIO;
}

static void keep_failure(void *arg, const struct weft_background_event *event)
{
    *(struct weft_background_event *)arg = *event;
    (void)weft_sleep(WEFT_SEC);
}

FIBER_TEST(a_failure_is_told_and_the_stop_waits_for_who_is_told)
{
    struct weft_background background;
    struct weft_background_event told = {0};
    const struct weft_background_options options = {.on_event = keep_failure,
                                                    .on_event_arg = &told};
    CHECK_EQUAL(weft_background_init(&background, &options), 0);
    CHECK_EQUAL(weft_background_start(&background, fail_at_once, NULL, "sync"), 1);
    CHECK_EQUAL(weft_yield(), 0);
    CHECK_EQUAL(told.id, 1);
    CHECK_EQUAL(told.result, -EIO);
    CHECK_EQUAL(background.running, 1);
    CHECK_EQUAL(weft_background_cancel(&background, 1), 0);
    CHECK_EQUAL(weft_background_stop(&background, WEFT_FOREVER), 0);
    CHECK_EQUAL(background.failed, 1);
}

FIBER_TEST(what_the_keeper_has_counted_is_no_failure_that_nobody_sees)
{
    int64_t long_ns = 3600 * WEFT_SEC;
    struct weft_background background;
    CHECK_EQUAL(weft_background_init(&background, NULL), 0);
    for (int i = 0; i < 3; i++)
        CHECK(weft_background_start(&background, work_for, &long_ns, NULL) > 0);
    for (uint64_t id = 1; id <= 3; id++)
        CHECK_EQUAL(weft_background_cancel(&background, id), 0);
    CHECK_EQUAL(weft_yield(), 0);
    CHECK_EQUAL(background.running, 0);
    CHECK_EQUAL(background.failed, 0);
    CHECK_EQUAL(background.group.failures, 0); /* of which debug mode would complain */
    CHECK_EQUAL(weft_background_stop(&background, WEFT_FOREVER), 0);
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

/* ---- every so often ------------------------------------------------------------------ */

struct rounds {
    int64_t work_ns, begun_at_ns[16];
    int begun, ended, inside;
    int results[8]; /* of the rounds, one after the other; then 0 */
    int events, gave_up;
    struct weft_periodic_event last;
};

static int one_round(void *arg)
{
    struct rounds *rounds = arg;
    int i = rounds->begun++;
    CHECK_EQUAL(rounds->inside++, 0); /* they never overlap */
    rounds->begun_at_ns[i % 16] = weft_now();
    int err = rounds->work_ns ? weft_sleep(rounds->work_ns) : 0;
    rounds->inside--;
    if (err < 0)
        return err;
    rounds->ended++;
    return i < 8 ? rounds->results[i] : 0;
}

static void keep_event(void *arg, const struct weft_periodic_event *event)
{
    struct rounds *rounds = arg;
    rounds->events++;
    rounds->gave_up += event->kind == WEFT_PERIODIC_GAVE_UP;
    rounds->last = *event;
}

FIBER_TEST(rounds_begin_at_a_fixed_rate_whatever_they_take)
{
    struct weft_background background;
    struct weft_background_task task = {0};
    struct rounds rounds = {.work_ns = 3 * WEFT_SEC};
    const struct weft_periodic_options options = {.period_ns = 10 * WEFT_SEC, .run_at_start = 1};
    int64_t begin_ns = weft_now();
    CHECK_EQUAL(weft_background_init(&background, NULL), 0);
    CHECK_EQUAL(weft_background_every(&background, &options, one_round, &rounds, "rounds"), 1);
    CHECK_EQUAL(weft_sleep(35 * WEFT_SEC), 0);
    CHECK_EQUAL(rounds.begun, 4);
    for (int i = 0; i < 4; i++)
        CHECK_EQUAL(rounds.begun_at_ns[i] - begin_ns, i * 10 * WEFT_SEC);
    CHECK_EQUAL(weft_background_list(&background, &task, 1), 1);
    CHECK_EQUAL(task.rounds, 4);
    CHECK_EQUAL(task.period_ns, 10 * WEFT_SEC);
    CHECK_EQUAL(task.next_at_ns - begin_ns, 40 * WEFT_SEC);
    CHECK_EQUAL(weft_background_stop(&background, WEFT_FOREVER), 0);
    CHECK_EQUAL(weft_now() - begin_ns, 35 * WEFT_SEC); /* its pause ends at once */
}

FIBER_TEST(rounds_with_a_fixed_delay_begin_that_long_after_the_last_has_ended)
{
    struct weft_background background;
    struct rounds rounds = {.work_ns = 3 * WEFT_SEC};
    const struct weft_periodic_options options = {.period_ns = 10 * WEFT_SEC, .fixed_delay = 1};
    int64_t begin_ns = weft_now();
    CHECK_EQUAL(weft_background_init(&background, NULL), 0);
    CHECK_EQUAL(weft_background_every(&background, &options, one_round, &rounds, NULL), 1);
    CHECK_EQUAL(weft_sleep(40 * WEFT_SEC), 0);
    CHECK_EQUAL(rounds.begun, 3);
    for (int i = 0; i < 3; i++)
        CHECK_EQUAL(rounds.begun_at_ns[i] - begin_ns, (10 + 13 * i) * WEFT_SEC);
    CHECK_EQUAL(weft_background_stop(&background, WEFT_FOREVER), 0);
}

FIBER_TEST(a_round_longer_than_the_period_misses_starts_and_does_not_overlap)
{
    struct weft_background background;
    struct weft_background_task task = {0};
    struct rounds rounds = {.work_ns = 25 * WEFT_SEC};
    const struct weft_periodic_options options = {.period_ns = 10 * WEFT_SEC, .run_at_start = 1};
    int64_t begin_ns = weft_now();
    CHECK_EQUAL(weft_background_init(&background, NULL), 0);
    CHECK_EQUAL(weft_background_every(&background, &options, one_round, &rounds, NULL), 1);
    CHECK_EQUAL(weft_sleep(58 * WEFT_SEC), 0);
    CHECK_EQUAL(rounds.begun, 2);
    CHECK_EQUAL(rounds.begun_at_ns[1] - begin_ns, 30 * WEFT_SEC);
    CHECK_EQUAL(weft_background_list(&background, &task, 1), 1);
    CHECK_EQUAL(task.missed, 4); /* at 10, 20, 40, 50 */
    CHECK_EQUAL(weft_background_stop(&background, WEFT_FOREVER), 0);
}

FIBER_TEST(after_a_failure_it_is_restarted_with_backoff)
{
    struct weft_background background;
    struct weft_background_snapshot snapshot;
    struct rounds rounds = {.results = {-EIO, -EIO, -EIO, -EIO, 0}};
    const struct weft_periodic_options options = {.period_ns = 100 * WEFT_SEC,
                                                  .run_at_start = 1,
                                                  .backoff_ns = WEFT_SEC,
                                                  .backoff_max_ns = 4 * WEFT_SEC,
                                                  .on_event = keep_event,
                                                  .on_event_arg = &rounds};
    int64_t begin_ns = weft_now();
    CHECK_EQUAL(weft_background_init(&background, NULL), 0);
    CHECK_EQUAL(weft_background_every(&background, &options, one_round, &rounds, "mail"), 1);
    CHECK_EQUAL(weft_sleep(120 * WEFT_SEC), 0);
    static const int starts[] = {0, 1, 3, 7, 11, 111};
    CHECK_EQUAL(rounds.begun, 6);
    for (int i = 0; i < 6; i++)
        CHECK_EQUAL(rounds.begun_at_ns[i] - begin_ns, starts[i] * WEFT_SEC);
    CHECK_EQUAL(rounds.events, 4);
    CHECK_EQUAL(rounds.gave_up, 0);
    CHECK_EQUAL(rounds.last.failed_in_a_row, 4);
    CHECK_EQUAL(rounds.last.next_at_ns - begin_ns, 11 * WEFT_SEC);
    CHECK_EQUAL(rounds.last.id, 1);
    CHECK_EQUAL(weft_background_snapshot(&background, &snapshot), 0);
    CHECK_EQUAL(snapshot.rounds, 6);
    CHECK_EQUAL(snapshot.rounds_failed, 4);
    CHECK_EQUAL(snapshot.failed, 0); /* the task goes on */
    CHECK_EQUAL(snapshot.running, 1);
    CHECK_EQUAL(weft_background_stop(&background, WEFT_FOREVER), 0);
}

FIBER_TEST(after_so_many_failures_in_a_row_the_task_gives_up)
{
    struct weft_background background;
    struct weft_background_snapshot snapshot;
    struct rounds rounds = {.results = {-EIO, 0, -EIO, -EPIPE}};
    const struct weft_periodic_options options = {
        .period_ns = WEFT_SEC, .failures_max = 2, .on_event = keep_event, .on_event_arg = &rounds};
    CHECK_EQUAL(weft_background_init(&background, NULL), 0);
    CHECK_EQUAL(weft_background_every(&background, &options, one_round, &rounds, NULL), 1);
    CHECK_EQUAL(weft_sleep(100 * WEFT_SEC), 0);
    CHECK_EQUAL(rounds.begun, 4);
    CHECK_EQUAL(rounds.gave_up, 1);
    CHECK_EQUAL(rounds.last.result, -EPIPE);
    CHECK_EQUAL(weft_background_snapshot(&background, &snapshot), 0);
    CHECK_EQUAL(snapshot.running, 0);
    CHECK_EQUAL(snapshot.failed, 1);
    CHECK_EQUAL(snapshot.last_failure, -EPIPE);
    CHECK_EQUAL(weft_background_stop(&background, WEFT_FOREVER), 0);
}

FIBER_TEST(a_graceful_stop_waits_for_the_round_that_runs_and_begins_no_other)
{
    struct weft_background background;
    struct rounds rounds = {.work_ns = 5 * WEFT_SEC};
    const struct weft_periodic_options options = {.period_ns = WEFT_SEC, .run_at_start = 1};
    int64_t begin_ns = weft_now();
    CHECK_EQUAL(weft_background_init(&background, NULL), 0);
    CHECK_EQUAL(weft_background_every(&background, &options, one_round, &rounds, NULL), 1);
    CHECK_EQUAL(weft_sleep(2 * WEFT_SEC), 0);
    CHECK_EQUAL(weft_background_stop(&background, begin_ns + 60 * WEFT_SEC), 0);
    CHECK_EQUAL(weft_now() - begin_ns, 5 * WEFT_SEC);
    CHECK_EQUAL(rounds.ended, 1);
    CHECK_EQUAL(rounds.begun, 1);
}

FIBER_TEST(a_round_too_long_for_the_stop_is_cancelled_and_no_failure)
{
    struct weft_background background;
    struct rounds rounds = {.work_ns = 3600 * WEFT_SEC};
    const struct weft_periodic_options options = {.period_ns = WEFT_SEC, .run_at_start = 1};
    CHECK_EQUAL(weft_background_init(&background, NULL), 0);
    CHECK_EQUAL(weft_background_every(&background, &options, one_round, &rounds, NULL), 1);
    CHECK_EQUAL(weft_sleep(2 * WEFT_SEC), 0);
    CHECK_EQUAL(weft_background_stop(&background, weft_now() + WEFT_SEC), 1);
    CHECK_EQUAL(background.rounds_failed, 0);
    CHECK_EQUAL(background.failed, 0);
}

FIBER_TEST(a_periodic_task_is_cancelled_by_its_id_like_any_other)
{
    struct weft_background background;
    struct rounds rounds = {0};
    const struct weft_periodic_options options = {.period_ns = WEFT_SEC};
    CHECK_EQUAL(weft_background_init(&background, NULL), 0);
    CHECK_EQUAL(weft_background_every(&background, &options, one_round, &rounds, NULL), 1);
    CHECK_EQUAL(weft_sleep(3 * WEFT_SEC + WEFT_SEC / 2), 0);
    CHECK_EQUAL(weft_background_cancel(&background, 1), 0);
    CHECK_EQUAL(weft_sleep(10 * WEFT_SEC), 0);
    CHECK_EQUAL(rounds.begun, 3);
    CHECK_EQUAL(background.running, 0);
    CHECK_EQUAL(weft_background_stop(&background, WEFT_FOREVER), 0);
}

FIBER_TEST(periods_that_make_no_sense_are_refused)
{
    struct weft_background background;
    struct rounds rounds = {0};
    struct weft_periodic_options options = {.period_ns = 0};
    CHECK_EQUAL(weft_background_init(&background, NULL), 0);
    CHECK_EQUAL(weft_background_every(&background, NULL, one_round, &rounds, NULL), -EINVAL);
    CHECK_EQUAL(weft_background_every(&background, &options, one_round, &rounds, NULL), -EINVAL);
    options.period_ns = 1, options.jitter = 1.1;
    CHECK_EQUAL(weft_background_every(&background, &options, one_round, &rounds, NULL), -EINVAL);
    options.jitter = 0, options.backoff_ns = 2, options.backoff_max_ns = 1;
    CHECK_EQUAL(weft_background_every(&background, &options, one_round, &rounds, NULL), -EINVAL);
    CHECK_EQUAL(weft_background_stop(&background, WEFT_NOWAIT), 0);
    options.backoff_ns = 0;
    CHECK_EQUAL(weft_background_every(&background, &options, one_round, &rounds, NULL), -ESHUTDOWN);
}
