/* SPDX-License-Identifier: MIT
 * conformance_event.c - every change is told, once, in order; and what outlives a restart. */
#include "fixture.h"

#include <weft/group.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct expected {
    enum weft_job_event event;
    enum weft_job_state from, to;
};

/* Read the events after *after and compare; those of other jobs are errors as well. */
static void check_events(struct weft_broker *broker, uint64_t *after, const struct weft_uuid *id,
                         const struct expected *expected, int count)
{
    struct weft_broker_event events[16];
    uint64_t oldest = 0;
    int got = broker->ops->events(broker, *after, events, 16, WEFT_NOWAIT, &oldest);
    CHECK_EQUAL(got, count);
    for (int i = 0; i < got && i < count; i++) {
        CHECK_EQUAL(events[i].number, *after + 1);
        *after = events[i].number;
        CHECK(fixture_same_id(&events[i].id, id));
        CHECK(strcmp(events[i].queue, "default") == 0 && strcmp(events[i].task, "process") == 0);
        CHECK_EQUAL(events[i].from, expected[i].from);
        CHECK_EQUAL(events[i].to, expected[i].to);
        if (expected[i].from != WEFT_JOB_NONE)
            CHECK_EQUAL(events[i].event, expected[i].event);
    }
}

FIBER_TEST(the_whole_life_of_a_job_is_told_in_order)
{
    struct weft_broker *broker = fixture_open();
    NEEDS_CAPABILITY(broker, WEFT_BROKER_EVENTS);
    uint64_t after = broker->ops->events_last(broker);
    struct weft_job job = fixture_job(broker);
    job.run_at_us += SECOND_US;
    CHECK_EQUAL(fixture_enqueue(broker, &job), 0);
    fixture_pass(broker, SECOND_US);
    fixture_claim_and_settle(broker, "default", WEFT_JOB_RETRY);
    static const struct expected first[] = {
        {WEFT_JOB_EVENTS, WEFT_JOB_NONE, WEFT_JOB_SCHEDULED},
        {WEFT_JOB_DUE, WEFT_JOB_SCHEDULED, WEFT_JOB_AVAILABLE},
        {WEFT_JOB_CLAIM, WEFT_JOB_AVAILABLE, WEFT_JOB_RUNNING},
        {WEFT_JOB_RETRY, WEFT_JOB_RUNNING, WEFT_JOB_RETRYABLE},
    };
    check_events(broker, &after, &job.id, first, 4);
    fixture_pass(broker, SECOND_US);
    fixture_claim_and_settle(broker, "default", WEFT_JOB_COMPLETE);
    static const struct expected second[] = {
        {WEFT_JOB_DUE, WEFT_JOB_RETRYABLE, WEFT_JOB_AVAILABLE},
        {WEFT_JOB_CLAIM, WEFT_JOB_AVAILABLE, WEFT_JOB_RUNNING},
        {WEFT_JOB_COMPLETE, WEFT_JOB_RUNNING, WEFT_JOB_COMPLETED},
    };
    check_events(broker, &after, &job.id, second, 3);
    fixture_close(broker);
}

FIBER_TEST(losing_snoozing_releasing_and_reviving_are_told)
{
    struct weft_broker *broker = fixture_open();
    NEEDS_CAPABILITY(broker, WEFT_BROKER_EVENTS | WEFT_BROKER_MANAGES);
    struct weft_uuid id = fixture_put(broker, "default");
    uint64_t after = broker->ops->events_last(broker);
    struct weft_job *job = fixture_lease(broker, "default", SECOND_US);
    REQUIRE(job);
    weft_job_free(job);
    fixture_pass(broker, 2 * SECOND_US);
    fixture_claim_and_settle(broker, "default", WEFT_JOB_RELEASE);
    fixture_claim_and_settle(broker, "default", WEFT_JOB_DIE);
    enum weft_job_state state;
    CHECK_EQUAL(broker->ops->retry(broker, &id, &state), 0);
    static const struct expected events[] = {
        {WEFT_JOB_CLAIM, WEFT_JOB_AVAILABLE, WEFT_JOB_RUNNING},
        {WEFT_JOB_LOSE, WEFT_JOB_RUNNING, WEFT_JOB_AVAILABLE},
        {WEFT_JOB_CLAIM, WEFT_JOB_AVAILABLE, WEFT_JOB_RUNNING},
        {WEFT_JOB_RELEASE, WEFT_JOB_RUNNING, WEFT_JOB_AVAILABLE},
        {WEFT_JOB_CLAIM, WEFT_JOB_AVAILABLE, WEFT_JOB_RUNNING},
        {WEFT_JOB_DIE, WEFT_JOB_RUNNING, WEFT_JOB_DEAD},
        {WEFT_JOB_REVIVE, WEFT_JOB_DEAD, WEFT_JOB_AVAILABLE},
    };
    check_events(broker, &after, &id, events, 7);
    fixture_close(broker);
}

FIBER_TEST(stopping_and_progress_of_a_running_job_are_told)
{
    struct weft_broker *broker = fixture_open();
    NEEDS_CAPABILITY(broker, WEFT_BROKER_EVENTS | WEFT_BROKER_MANAGES);
    struct weft_uuid id = fixture_put(broker, "default");
    struct weft_job *job = fixture_claim_one(broker, "default");
    uint64_t after = broker->ops->events_last(broker);
    struct weft_lease lease = {.id = id, .token = job->lease_token, .progress = "{}"};
    CHECK_EQUAL(broker->ops->extend(broker, &lease, 1), 0);
    struct weft_cancel call = {.kind = WEFT_CANCEL_JOB, .id = id};
    CHECK_EQUAL(broker->ops->cancel(broker, &call), 0);
    CHECK_EQUAL(fixture_settle(broker, job, WEFT_JOB_RELEASE, 0), 0);
    static const struct expected events[] = {
        {WEFT_JOB_PROGRESS, WEFT_JOB_RUNNING, WEFT_JOB_RUNNING},
        {WEFT_JOB_STOP, WEFT_JOB_RUNNING, WEFT_JOB_RUNNING},
        {WEFT_JOB_CANCEL, WEFT_JOB_RUNNING, WEFT_JOB_CANCELLED},
    };
    check_events(broker, &after, &id, events, 3);
    weft_job_free(job);
    fixture_close(broker);
}

FIBER_TEST(a_changed_queue_is_told)
{
    struct weft_broker *broker = fixture_open();
    NEEDS_CAPABILITY(broker, WEFT_BROKER_EVENTS | WEFT_BROKER_MANAGES);
    uint64_t after = broker->ops->events_last(broker), oldest;
    fixture_limit(broker, "q", &(struct weft_queue_settings){.paused = true});
    struct weft_broker_event event;
    REQUIRE(broker->ops->events(broker, after, &event, 1, WEFT_NOWAIT, &oldest) == 1);
    static const struct weft_uuid none;
    CHECK(fixture_same_id(&event.id, &none));
    CHECK(strcmp(event.queue, "q") == 0);
    fixture_close(broker);
}

/* --- waiting for events --- */

static struct weft_broker *shared_broker;
static int heard;
static uint64_t heard_after;

static int listen_once(void *arg)
{
    struct weft_broker_event event;
    uint64_t oldest;
    (void)arg;
    heard =
        shared_broker->ops->events(shared_broker, heard_after, &event, 1, WEFT_FOREVER, &oldest);
    return 0;
}

FIBER_TEST(who_waits_for_an_event_is_woken_by_it)
{
    shared_broker = fixture_open();
    NEEDS_CAPABILITY(shared_broker, WEFT_BROKER_EVENTS);
    heard = 0;
    heard_after = shared_broker->ops->events_last(shared_broker);
    struct weft_group group;
    REQUIRE(weft_group_init(&group, NULL) == 0);
    for (int i = 0; i < 3; i++)
        REQUIRE(weft_spawn(&group, listen_once, NULL) == 0);
    (void)weft_sleep(WEFT_SEC);
    CHECK_EQUAL(heard, 0);
    (void)fixture_put(shared_broker, "default");
    CHECK_EQUAL(weft_group_wait(&group), 0);
    CHECK_EQUAL(heard, 1);
    fixture_close(shared_broker);
}

FIBER_TEST(waiting_for_events_ends_at_its_deadline_and_when_it_is_cancelled)
{
    shared_broker = fixture_open();
    NEEDS_CAPABILITY(shared_broker, WEFT_BROKER_EVENTS);
    struct weft_broker_event event;
    uint64_t oldest;
    heard_after = shared_broker->ops->events_last(shared_broker);
    int64_t begin_ns = weft_now();
    CHECK_EQUAL(shared_broker->ops->events(shared_broker, heard_after, &event, 1,
                                           begin_ns + WEFT_SEC, &oldest),
                -ETIMEDOUT);
    CHECK(weft_now() >= begin_ns + WEFT_SEC);
    heard = 0;
    struct weft_group group;
    REQUIRE(weft_group_init(&group, NULL) == 0);
    REQUIRE(weft_spawn(&group, listen_once, NULL) == 0);
    (void)weft_sleep(WEFT_SEC);
    weft_group_cancel(&group, 0);
    (void)weft_group_wait(&group);
    CHECK_EQUAL(heard, -ECANCELED);
    (void)fixture_put(shared_broker, "default"); /* nobody waits any more */
    fixture_close(shared_broker);
}

FIBER_TEST(who_was_away_for_too_long_is_told_of_the_gap)
{
    struct weft_broker *broker = fixture_open();
    NEEDS_CAPABILITY(broker, WEFT_BROKER_EVENTS);
    enum {
        BATCH = 1000,
        BATCHES = 70
    };
    uint64_t after = broker->ops->events_last(broker), oldest = 0;
    struct weft_job *jobs = calloc(BATCH, sizeof *jobs);
    struct weft_enqueue *items = calloc(BATCH, sizeof *items);
    REQUIRE(jobs && items);
    for (int round = 0; round < BATCHES; round++) {
        for (int i = 0; i < BATCH; i++) {
            jobs[i] = fixture_job(broker);
            items[i] = (struct weft_enqueue){.job = &jobs[i]};
        }
        CHECK_EQUAL(fixture_enqueue_batch(broker, items, BATCH, false), 0);
    }
    struct weft_broker_event event;
    CHECK_EQUAL(broker->ops->events(broker, after, &event, 1, WEFT_NOWAIT, &oldest), -ESTALE);
    CHECK(oldest > after);
    CHECK_EQUAL(broker->ops->events(broker, oldest, &event, 1, WEFT_NOWAIT, &after), 1);
    CHECK_EQUAL(event.number, oldest + 1);
    free(jobs);
    free(items);
    fixture_close(broker);
}

/* --- what outlives a restart --- */

FIBER_TEST(everything_is_there_after_reopening)
{
    struct weft_broker *broker = fixture_open();
    struct weft_uuid done = fixture_put(broker, "default");
    fixture_claim_and_settle(broker, "default", WEFT_JOB_COMPLETE);
    struct weft_uuid retry = fixture_put(broker, "default");
    struct weft_job *job = fixture_claim_one(broker, "default");
    CHECK_EQUAL(fixture_settle(broker, job, WEFT_JOB_RETRY, 5 * SECOND_US), 0);
    weft_job_free(job);
    struct weft_uuid waits = fixture_put(broker, "default");
    uint64_t number = broker->ops->events_last(broker);
    REOPEN(broker);
    CHECK_EQUAL(fixture_state(broker, &done), WEFT_JOB_COMPLETED);
    CHECK_EQUAL(fixture_state(broker, &retry), WEFT_JOB_RETRYABLE);
    CHECK_EQUAL(fixture_state(broker, &waits), WEFT_JOB_AVAILABLE);
    CHECK(broker->ops->events_last(broker) >= number);
    fixture_pass(broker, 5 * SECOND_US);
    CHECK_EQUAL(fixture_finish_all(broker, "default"), 2);
    fixture_close(broker);
}

/* Of the next job what its settlement reads: REOPEN may end the test, so nothing is to be freed. */
static struct weft_job leased_job(struct weft_broker *broker, int64_t lease_us)
{
    struct weft_job *job = fixture_lease(broker, "default", lease_us);
    REQUIRE(job);
    struct weft_job lease = {.id = job->id, .lease_token = job->lease_token};
    weft_job_free(job);
    return lease;
}

FIBER_TEST(what_a_dead_server_left_running_runs_again_without_having_spent_the_attempt)
{
    struct weft_broker *broker = fixture_open();
    NEEDS_CAPABILITY(broker, WEFT_BROKER_LEASES_UNTIL_CLOSE);
    struct weft_uuid id = fixture_put(broker, "default");
    struct weft_job before = leased_job(broker, 0);
    REOPEN(broker);
    struct weft_job *again = fixture_claim_one(broker, "default");
    CHECK(fixture_same_id(&again->id, &id));
    CHECK_EQUAL(again->attempt, 1);
    CHECK_EQUAL(again->crashes, 1);
    CHECK(again->lease_token != before.lease_token);
    CHECK_EQUAL(fixture_settle(broker, &before, WEFT_JOB_COMPLETE, 0), -ESTALE);
    CHECK_EQUAL(fixture_settle(broker, again, WEFT_JOB_COMPLETE, 0), 0);
    weft_job_free(again);
    fixture_close(broker);
}

FIBER_TEST(a_lease_with_an_end_outlives_the_server)
{
    struct weft_broker *broker = fixture_open();
    struct weft_uuid id = fixture_put(broker, "default");
    struct weft_job lease = leased_job(broker, 3600 * SECOND_US);
    REOPEN(broker);
    (void)fixture_maintain(broker);
    CHECK_EQUAL(fixture_state(broker, &id), WEFT_JOB_RUNNING);
    CHECK_EQUAL(fixture_settle(broker, &lease, WEFT_JOB_COMPLETE, 0), 0);
    CHECK_EQUAL(fixture_state(broker, &id), WEFT_JOB_COMPLETED);
    fixture_close(broker);
}

FIBER_TEST(a_job_that_takes_the_server_with_it_each_time_ends_dead)
{
    struct weft_broker *broker = fixture_open();
    NEEDS_CAPABILITY(broker, WEFT_BROKER_LEASES_UNTIL_CLOSE);
    struct weft_uuid id = fixture_put(broker, "default");
    for (unsigned i = 0; i < WEFT_JOB_CRASHES_MAX; i++) {
        struct weft_job *job = fixture_lease(broker, "default", 0);
        REQUIRE(job);
        CHECK_EQUAL(job->crashes, i);
        weft_job_free(job);
        REOPEN(broker);
    }
    CHECK_EQUAL(fixture_state(broker, &id), WEFT_JOB_DEAD);
    CHECK_EQUAL(fixture_finish_all(broker, "default"), 0);
    fixture_close(broker);
}

FIBER_TEST(a_running_job_that_was_to_be_cancelled_does_not_run_again_after_a_crash)
{
    struct weft_broker *broker = fixture_open();
    NEEDS_CAPABILITY(broker, WEFT_BROKER_LEASES_UNTIL_CLOSE | WEFT_BROKER_MANAGES);
    struct weft_uuid id = fixture_put(broker, "default");
    struct weft_job *job = fixture_lease(broker, "default", 0);
    REQUIRE(job);
    weft_job_free(job);
    struct weft_cancel call = {.kind = WEFT_CANCEL_JOB, .id = id};
    CHECK_EQUAL(broker->ops->cancel(broker, &call), 0);
    REOPEN(broker);
    CHECK_EQUAL(fixture_state(broker, &id), WEFT_JOB_CANCELLED);
    CHECK_EQUAL(fixture_finish_all(broker, "default"), 0);
    fixture_close(broker);
}

FIBER_TEST(unique_keys_waiting_jobs_and_settings_outlive_the_server)
{
    struct weft_broker *broker = fixture_open();
    NEEDS_CAPABILITY(broker, WEFT_BROKER_MANAGES);
    struct weft_job first = fixture_job_in(broker, "a"), child = fixture_job_in(broker, "b");
    first.unique_key = "k";
    CHECK_EQUAL(fixture_enqueue(broker, &first), 0);
    struct weft_after after = {.id = first.id};
    struct weft_enqueue item = {.job = &child, .after = &after, .after_count = 1};
    CHECK_EQUAL(fixture_enqueue_item(broker, &item), 0);
    const struct weft_queue_settings set = {.paused = true, .running_max_per_key = 1};
    fixture_limit(broker, "a", &set);
    REOPEN(broker);
    struct weft_job same = fixture_job_in(broker, "a");
    same.unique_key = "k";
    CHECK_EQUAL(fixture_enqueue(broker, &same), WEFT_EDUPLICATE);
    struct weft_queue_info info;
    CHECK_EQUAL(broker->ops->queue_find(broker, "a", &info), 0);
    CHECK(info.settings.paused && info.settings.running_max_per_key == 1);
    CHECK_EQUAL(info.jobs[WEFT_JOB_AVAILABLE], 1);
    CHECK_EQUAL(fixture_finish_all(broker, "a"), 0);
    fixture_limit(broker, "a", &(struct weft_queue_settings){0});
    CHECK_EQUAL(fixture_finish_all(broker, "a"), 1);
    CHECK_EQUAL(fixture_finish_all(broker, "b"), 1);
    fixture_close(broker);
}

FIBER_TEST(what_a_limit_held_back_is_not_forgotten_by_a_restart)
{
    struct weft_broker *broker = fixture_open();
    NEEDS_CAPABILITY(broker, WEFT_BROKER_MANAGES | WEFT_BROKER_LEASES_UNTIL_CLOSE);
    fixture_limit(broker, "q", &(struct weft_queue_settings){.running_max_per_key = 1});
    for (int i = 0; i < 5; i++) {
        struct weft_job job = fixture_job_in(broker, "q");
        job.limit_key = "k";
        CHECK_EQUAL(fixture_enqueue(broker, &job), 0);
    }
    struct weft_job *jobs[5];
    REQUIRE(fixture_claim(broker, "q", jobs, 5) == 1);
    weft_job_free(jobs[0]);
    CHECK_EQUAL(fixture_claim(broker, "q", jobs, 5), 0);
    REOPEN(broker);
    (void)fixture_maintain(broker);
    CHECK_EQUAL(fixture_finish_all(broker, "q"), 5);
    fixture_close(broker);
}
