/* SPDX-License-Identifier: MIT
 * jobs_watch.c - subscribers to every change: in order, at their own pace, told what they missed.
 */
#include "desk.h"

#include <weft/runtime.h>
#include <weft/scope.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* The next event, which must be there. */
static struct weft_jobs_event next(struct weft_jobs_watch *watch)
{
    struct weft_jobs_event event = {0};
    REQUIRE(weft_jobs_watch_next(watch, &event, WEFT_NOWAIT) == 0);
    return event;
}

static void check_step(struct weft_jobs_watch *watch, const char *id, enum weft_job_state from,
                       enum weft_job_state to)
{
    struct weft_jobs_event event = next(watch);
    CHECK_TEXT(event.id, id);
    CHECK_EQUAL(event.from, from);
    CHECK_EQUAL(event.to, to);
}

static void check_silence(struct weft_jobs_watch *watch)
{
    struct weft_jobs_event event;
    CHECK_EQUAL(weft_jobs_watch_next(watch, &event, WEFT_NOWAIT), -EAGAIN);
}

FIBER_TEST(every_step_of_a_job_is_told_in_order)
{
    struct desk desk;
    struct weft_jobs_watch *watch;
    desk_open(&desk, (struct weft_jobs_options){0});
    (void)desk_add(&desk, "echo", NULL); /* before there was a subscriber */
    CHECK_EQUAL(weft_jobs_drain(desk.jobs, 0, 0), 1);
    REQUIRE(weft_jobs_watch_open(desk.jobs, 0, &watch) == 0);
    check_silence(watch);
    const char *id = desk_add(&desk, "flaky", "{\"fails\":1}");
    CHECK_EQUAL(weft_jobs_drain(desk.jobs, 1, 0), 2);
    check_step(watch, id, WEFT_JOB_NONE, WEFT_JOB_AVAILABLE);
    struct weft_jobs_event event = next(watch);
    CHECK_EQUAL(event.event, WEFT_JOB_CLAIM);
    CHECK_EQUAL(event.attempt, 1);
    CHECK_TEXT(event.task, "flaky");
    CHECK_TEXT(event.queue, "default");
    CHECK_EQUAL(event.at_us, NEW_YEAR_US);
    check_step(watch, id, WEFT_JOB_RUNNING, WEFT_JOB_RETRYABLE);
    check_step(watch, id, WEFT_JOB_RETRYABLE, WEFT_JOB_AVAILABLE);
    check_step(watch, id, WEFT_JOB_AVAILABLE, WEFT_JOB_RUNNING);
    check_step(watch, id, WEFT_JOB_RUNNING, WEFT_JOB_COMPLETED);
    check_silence(watch);
    weft_jobs_watch_close(watch);
    weft_jobs_watch_close(NULL);
    desk_close(&desk);
}

/* ---- several ----------------------------------------------------------------------------- */

#define JOBS 200

struct subscriber {
    struct weft_jobs *jobs;
    int64_t pause_ns; /* between two looks */
    uint64_t last, sum;
    unsigned ended, unordered;
};

static int subscriber_main(void *arg)
{
    struct subscriber *subscriber = arg;
    struct weft_jobs_watch *watch;
    struct weft_jobs_event event;
    int err = weft_jobs_watch_open(subscriber->jobs, 0, &watch);
    if (err)
        return err;
    while (!err && subscriber->ended < JOBS) {
        err = weft_jobs_watch_next(watch, &event, WEFT_FOREVER);
        if (err)
            break;
        subscriber->unordered += event.number != subscriber->last + 1 && subscriber->last > 0;
        subscriber->last = event.number;
        subscriber->sum = subscriber->sum * 31 + event.number * 7 + (uint64_t)event.to;
        subscriber->ended += event.to == WEFT_JOB_COMPLETED;
        if (subscriber->pause_ns && weft_sleep(subscriber->pause_ns) < 0)
            err = -ECANCELED;
    }
    weft_jobs_watch_close(watch);
    return err;
}

FIBER_TEST(two_subscribers_of_different_speed_get_the_same_in_order)
{
    struct desk desk;
    struct weft_group group;
    desk_open(&desk, (struct weft_jobs_options){.concurrency = 7});
    struct subscriber two[] = {{.jobs = desk.jobs},
                               {.jobs = desk.jobs, .pause_ns = 70 * WEFT_MSEC}};
    REQUIRE(weft_group_init(&group, NULL) == 0);
    for (int i = 0; i < 2; i++)
        REQUIRE(weft_spawn(&group, subscriber_main, &two[i]) == 0);
    (void)weft_yield();
    desk_run(&desk);
    for (int i = 0; i < JOBS; i++)
        (void)desk_add(&desk, "sleep", "{\"ms\":10}");
    CHECK_EQUAL(weft_group_wait(&group), 0);
    for (int i = 0; i < 2; i++) {
        CHECK_EQUAL(two[i].ended, JOBS);
        CHECK_EQUAL(two[i].unordered, 0);
    }
    CHECK(two[0].sum == two[1].sum);
    desk_stop(&desk, 0);
    desk_close(&desk);
}

/* ---- away -------------------------------------------------------------------------------- */

FIBER_TEST(who_comes_back_goes_on_behind_what_it_has_seen)
{
    struct desk desk;
    struct weft_jobs_watch *watch;
    desk_open(&desk, (struct weft_jobs_options){0});
    REQUIRE(weft_jobs_watch_open(desk.jobs, 0, &watch) == 0);
    const char *first = desk_add(&desk, "echo", NULL);
    const char *second = desk_add(&desk, "echo", NULL);
    uint64_t seen = next(watch).number;
    (void)first;
    weft_jobs_watch_close(watch);
    REQUIRE(weft_jobs_watch_open(desk.jobs, seen, &watch) == 0);
    check_step(watch, second, WEFT_JOB_NONE, WEFT_JOB_AVAILABLE);
    check_silence(watch);
    weft_jobs_watch_close(watch);
    desk_close(&desk);
}

FIBER_TEST(who_was_away_for_too_long_is_told_and_goes_on_with_the_oldest)
{
    struct desk desk;
    struct weft_jobs_watch *watch;
    struct weft_jobs_event event;
    desk_open(&desk, (struct weft_jobs_options){0});
    const char *id = desk_add(&desk, "echo", NULL);
    REQUIRE(weft_jobs_watch_open(desk.jobs, 17, &watch) == 0); /* of an earlier open */
    CHECK_EQUAL(weft_jobs_watch_next(watch, &event, WEFT_NOWAIT), -ESTALE);
    check_step(watch, id, WEFT_JOB_NONE, WEFT_JOB_AVAILABLE);
    check_silence(watch);
    weft_jobs_watch_close(watch);
    desk_close(&desk);
}

/* So many that the first are overwritten while the subscriber looks the other way. */
FIBER_TEST(who_is_too_slow_is_told_once_and_gets_the_rest)
{
    struct desk desk;
    struct weft_jobs_watch *watch;
    struct weft_jobs_event event = {0};
    static struct weft_jobs_request requests[WEFT_JOBS_MAX];
    const unsigned rounds = 7; /* 70,000 events */
    desk_open(&desk, (struct weft_jobs_options){0});
    REQUIRE(weft_jobs_watch_open(desk.jobs, 0, &watch) == 0);
    for (unsigned round = 0; round < rounds; round++) {
        for (size_t i = 0; i < WEFT_JOBS_MAX; i++)
            requests[i] = (struct weft_jobs_request){.task = "echo"};
        REQUIRE(weft_jobs_enqueue(desk.jobs, requests, WEFT_JOBS_MAX, 0) == 0);
    }
    CHECK_EQUAL(weft_jobs_watch_next(watch, &event, WEFT_FOREVER), -ESTALE);
    unsigned count = 0;
    while (weft_jobs_watch_next(watch, &event, WEFT_NOWAIT) == 0)
        count++;
    CHECK_EQUAL(count, 65536);
    CHECK_TEXT(event.id, requests[WEFT_JOBS_MAX - 1].id);
    weft_jobs_watch_close(watch);
    desk_close(&desk);
}

/* ---- waiting ----------------------------------------------------------------------------- */

FIBER_TEST(what_is_said_about_queues_is_no_step_of_a_job)
{
    struct desk desk;
    struct weft_jobs_watch *watch;
    struct weft_jobs_event event;
    desk_open(&desk, (struct weft_jobs_options){0});
    REQUIRE(weft_jobs_watch_open(desk.jobs, 0, &watch) == 0);
    CHECK_EQUAL(weft_jobs_pause(desk.jobs, "default"), 0);
    CHECK_EQUAL(weft_jobs_resume(desk.jobs, "default"), 0);
    CHECK_EQUAL(weft_jobs_watch_next(watch, &event, weft_now() + WEFT_SEC), -ETIMEDOUT);
    weft_jobs_watch_close(watch);
    desk_close(&desk);
}

struct waiting {
    struct weft_jobs_watch *watch;
    struct weft_jobs_event event;
    struct weft_scope scope;
    int result;
};

static int waiting_main(void *arg)
{
    struct waiting *waiting = arg;
    weft_scope_enter(&waiting->scope, WEFT_FOREVER, WEFT_SCOPE_MOVE_ON);
    waiting->result = weft_jobs_watch_next(waiting->watch, &waiting->event, WEFT_FOREVER);
    return weft_scope_leave(&waiting->scope, 0);
}

/* The event comes, and the cancel, at the same moment: in either order nothing is lost. */
static void check_race(struct desk *desk, bool cancel_first)
{
    struct weft_group group;
    struct waiting waiting = {.result = 1};
    REQUIRE(weft_jobs_watch_open(desk->jobs, 0, &waiting.watch) == 0);
    REQUIRE(weft_group_init(&group, NULL) == 0);
    REQUIRE(weft_spawn(&group, waiting_main, &waiting) == 0);
    (void)weft_yield();
    if (cancel_first)
        weft_scope_cancel(&waiting.scope, 0);
    const char *id = desk_add(desk, "echo", NULL);
    if (!cancel_first)
        weft_scope_cancel(&waiting.scope, 0);
    (void)weft_group_wait(&group);
    CHECK(waiting.result == 0 || waiting.result == -ECANCELED);
    if (waiting.result < 0)
        check_step(waiting.watch, id, WEFT_JOB_NONE, WEFT_JOB_AVAILABLE);
    else
        CHECK_TEXT(waiting.event.id, id);
    check_silence(waiting.watch);
    weft_jobs_watch_close(waiting.watch);
}

FIBER_TEST(a_cancel_loses_no_event)
{
    struct desk desk;
    struct weft_scope scope;
    struct weft_jobs_watch *watch;
    struct weft_jobs_event event;
    desk_open(&desk, (struct weft_jobs_options){0});
    check_race(&desk, true);
    check_race(&desk, false);
    REQUIRE(weft_jobs_watch_open(desk.jobs, 0, &watch) == 0);
    const char *id = desk_add(&desk, "echo", NULL);
    weft_scope_enter(&scope, WEFT_FOREVER, WEFT_SCOPE_MOVE_ON);
    weft_scope_cancel(&scope, 0);
    CHECK_EQUAL(weft_jobs_watch_next(watch, &event, WEFT_FOREVER), -ECANCELED); /* before */
    (void)weft_scope_leave(&scope, 0);
    check_step(watch, id, WEFT_JOB_NONE, WEFT_JOB_AVAILABLE);
    weft_jobs_watch_close(watch);
    desk_close(&desk);
}
