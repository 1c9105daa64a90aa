/* SPDX-License-Identifier: MIT
 * conformance_flow.c - jobs that wait for other jobs, and limits that make jobs wait. */
#include "fixture.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Put in a job that waits for others. */
static struct weft_uuid put_after(struct weft_broker *broker, const char *queue,
                                  const struct weft_after *after, size_t count)
{
    struct weft_job job = fixture_job_in(broker, queue);
    struct weft_enqueue item = {.job = &job, .after = after, .after_count = count};
    CHECK_EQUAL(fixture_enqueue_item(broker, &item), 0);
    return job.id;
}

static void end_first(struct weft_broker *broker, const char *queue, enum weft_job_event event)
{
    fixture_claim_and_settle(broker, queue, event);
}

FIBER_TEST(a_job_waits_for_the_one_it_comes_after)
{
    struct weft_broker *broker = fixture_open();
    struct weft_uuid a = fixture_put(broker, "a");
    struct weft_uuid b = put_after(broker, "b", &(struct weft_after){.id = a}, 1);
    struct weft_job *found = fixture_find(broker, &b);
    CHECK_EQUAL(found->state, WEFT_JOB_BLOCKED);
    CHECK_EQUAL(found->waits_for, 1);
    weft_job_free(found);
    CHECK_EQUAL(fixture_finish_all(broker, "b"), 0);
    end_first(broker, "a", WEFT_JOB_COMPLETE);
    CHECK_EQUAL(fixture_state(broker, &b), WEFT_JOB_AVAILABLE);
    CHECK_EQUAL(fixture_finish_all(broker, "b"), 1);
    fixture_close(broker);
}

FIBER_TEST(a_retry_of_the_first_does_not_let_the_second_go)
{
    struct weft_broker *broker = fixture_open();
    struct weft_uuid a = fixture_put(broker, "a");
    struct weft_uuid b = put_after(broker, "b", &(struct weft_after){.id = a}, 1);
    end_first(broker, "a", WEFT_JOB_RETRY);
    CHECK_EQUAL(fixture_state(broker, &b), WEFT_JOB_BLOCKED);
    fixture_pass(broker, SECOND_US);
    end_first(broker, "a", WEFT_JOB_RELEASE);
    CHECK_EQUAL(fixture_state(broker, &b), WEFT_JOB_BLOCKED);
    end_first(broker, "a", WEFT_JOB_COMPLETE);
    CHECK_EQUAL(fixture_state(broker, &b), WEFT_JOB_AVAILABLE);
    fixture_close(broker);
}

FIBER_TEST(a_job_waits_for_all_it_comes_after_and_is_handed_their_results_in_order)
{
    struct weft_broker *broker = fixture_open();
    struct weft_after after[3] = {{.any_end = false}};
    static const char *const queues[] = {"x", "y", "z"};
    for (int i = 0; i < 3; i++)
        after[2 - i].id = fixture_put(broker, queues[i]);
    struct weft_uuid last = put_after(broker, "last", after, 3);
    for (int i = 0; i < 3; i++) {
        CHECK_EQUAL(fixture_state(broker, &last), WEFT_JOB_BLOCKED);
        struct weft_job *job = fixture_claim_one(broker, queues[i]);
        char result[16];
        int len = snprintf(result, sizeof result, "\"%s\"", queues[i]);
        struct weft_settlement item = {
            .job = job, .event = WEFT_JOB_COMPLETE, .result = {result, (size_t)len, true}};
        CHECK_EQUAL(broker->ops->settle(broker, &item, 1), 0);
        weft_job_free(job);
    }
    struct weft_job *job = fixture_claim_one(broker, "last");
    REQUIRE(job->inputs_count == 3);
    for (int i = 0; i < 3; i++) {
        CHECK(fixture_same_id(&job->inputs[i].id, &after[i].id));
        CHECK_EQUAL(job->inputs[i].state, WEFT_JOB_COMPLETED);
        CHECK(job->inputs[i].result.json && job->inputs[i].result.len == 3);
        CHECK_EQUAL(job->inputs[i].result.data[1], queues[2 - i][0]);
    }
    /* A second attempt is handed them again. */
    CHECK_EQUAL(fixture_settle(broker, job, WEFT_JOB_RETRY, 0), 0);
    weft_job_free(job);
    fixture_pass(broker, SECOND_US);
    job = fixture_claim_one(broker, "last");
    CHECK_EQUAL(job->inputs_count, 3);
    weft_job_free(job);
    fixture_close(broker);
}

FIBER_TEST(what_was_done_before_is_not_waited_for_but_its_result_is_handed_over)
{
    struct weft_broker *broker = fixture_open();
    struct weft_uuid a = fixture_put(broker, "a");
    end_first(broker, "a", WEFT_JOB_COMPLETE);
    struct weft_uuid b = put_after(broker, "b", &(struct weft_after){.id = a}, 1);
    CHECK_EQUAL(fixture_state(broker, &b), WEFT_JOB_AVAILABLE);
    struct weft_job *job = fixture_claim_one(broker, "b");
    REQUIRE(job->inputs_count == 1);
    CHECK(job->inputs[0].result.len == 7);
    weft_job_free(job);
    fixture_close(broker);
}

FIBER_TEST(what_needs_a_job_that_failed_is_cancelled_with_all_that_needs_it)
{
    struct weft_broker *broker = fixture_open();
    struct weft_uuid a = fixture_put(broker, "a");
    struct weft_uuid b = put_after(broker, "b", &(struct weft_after){.id = a}, 1);
    struct weft_uuid c = put_after(broker, "c", &(struct weft_after){.id = b}, 1);
    struct weft_uuid d = put_after(broker, "d", &(struct weft_after){.id = c}, 1);
    end_first(broker, "a", WEFT_JOB_DIE);
    struct weft_job *found = fixture_find(broker, &b);
    CHECK_EQUAL(found->state, WEFT_JOB_CANCELLED);
    CHECK(found->error && strstr(found->error, "dead"));
    weft_job_free(found);
    CHECK_EQUAL(fixture_state(broker, &c), WEFT_JOB_CANCELLED);
    CHECK_EQUAL(fixture_state(broker, &d), WEFT_JOB_CANCELLED);
    fixture_close(broker);
}

FIBER_TEST(what_needs_a_cancelled_job_is_cancelled)
{
    struct weft_broker *broker = fixture_open();
    NEEDS_CAPABILITY(broker, WEFT_BROKER_MANAGES);
    struct weft_uuid a = fixture_put(broker, "a");
    struct weft_uuid b = put_after(broker, "b", &(struct weft_after){.id = a}, 1);
    struct weft_cancel call = {.kind = WEFT_CANCEL_JOB, .id = a};
    CHECK_EQUAL(broker->ops->cancel(broker, &call), 0);
    CHECK_EQUAL(call.cancelled, 2);
    CHECK_EQUAL(fixture_state(broker, &b), WEFT_JOB_CANCELLED);
    /* What comes after one that is cancelled already does not even begin. */
    struct weft_uuid c = put_after(broker, "c", &(struct weft_after){.id = a}, 1);
    CHECK_EQUAL(fixture_state(broker, &c), WEFT_JOB_CANCELLED);
    fixture_close(broker);
}

FIBER_TEST(what_needs_a_job_that_expired_is_cancelled)
{
    struct weft_broker *broker = fixture_open();
    struct weft_job job = fixture_job_in(broker, "a");
    job.expires_us = job.created_us + SECOND_US;
    CHECK_EQUAL(fixture_enqueue(broker, &job), 0);
    struct weft_uuid b = put_after(broker, "b", &(struct weft_after){.id = job.id}, 1);
    fixture_pass(broker, 2 * SECOND_US);
    CHECK_EQUAL(fixture_state(broker, &b), WEFT_JOB_CANCELLED);
    fixture_close(broker);
}

FIBER_TEST(a_job_may_come_after_any_end_of_another)
{
    static const enum weft_job_event ends[] = {WEFT_JOB_COMPLETE, WEFT_JOB_DIE, WEFT_JOB_CANCEL};
    struct weft_broker *broker = fixture_open();
    for (int i = 0; i < 3; i++) {
        struct weft_uuid a = fixture_put(broker, "a");
        struct weft_after after = {.id = a, .any_end = true};
        struct weft_uuid b = put_after(broker, "b", &after, 1);
        end_first(broker, "a", ends[i]);
        CHECK_EQUAL(fixture_state(broker, &b), WEFT_JOB_AVAILABLE);
        struct weft_job *job = fixture_claim_one(broker, "b");
        REQUIRE(job->inputs_count == 1);
        CHECK_EQUAL(job->inputs[0].state, weft_job_next(WEFT_JOB_RUNNING, ends[i]));
        CHECK_EQUAL(fixture_settle(broker, job, WEFT_JOB_COMPLETE, 0), 0);
        weft_job_free(job);
    }
    fixture_close(broker);
}

FIBER_TEST(a_batch_may_hold_a_whole_graph)
{
    struct weft_broker *broker = fixture_open();
    struct weft_job top = fixture_job(broker), left = fixture_job(broker);
    struct weft_job right = fixture_job(broker), bottom = fixture_job(broker);
    struct weft_after first = {.id = top.id}, both[] = {{.id = left.id}, {.id = right.id}};
    struct weft_enqueue items[] = {{.job = &top},
                                   {.job = &left, .after = &first, .after_count = 1},
                                   {.job = &right, .after = &first, .after_count = 1},
                                   {.job = &bottom, .after = both, .after_count = 2}};
    CHECK_EQUAL(fixture_enqueue_batch(broker, items, 4, true), 0);
    for (int i = 0; i < 4; i++)
        CHECK_EQUAL(items[i].err, 0);
    struct weft_job *jobs[4];
    REQUIRE(fixture_claim(broker, "default", jobs, 4) == 1);
    CHECK_EQUAL(fixture_settle(broker, jobs[0], WEFT_JOB_COMPLETE, 0), 0);
    weft_job_free(jobs[0]);
    REQUIRE(fixture_claim(broker, "default", jobs, 4) == 2);
    CHECK_EQUAL(fixture_settle(broker, jobs[0], WEFT_JOB_COMPLETE, 0), 0);
    CHECK_EQUAL(fixture_state(broker, &bottom.id), WEFT_JOB_BLOCKED);
    CHECK_EQUAL(fixture_settle(broker, jobs[1], WEFT_JOB_COMPLETE, 0), 0);
    weft_job_free(jobs[0]);
    weft_job_free(jobs[1]);
    CHECK_EQUAL(fixture_finish_all(broker, "default"), 1);
    fixture_close(broker);
}

FIBER_TEST(an_unknown_job_to_wait_for_is_refused)
{
    struct weft_broker *broker = fixture_open();
    struct weft_job job = fixture_job(broker), never = fixture_job(broker), *found = NULL;
    struct weft_after after = {.id = never.id}, itself = {.id = job.id};
    struct weft_enqueue item = {.job = &job, .after = &after, .after_count = 1};
    CHECK_EQUAL(fixture_enqueue_item(broker, &item), -ENOENT);
    item.after = &itself;
    CHECK_EQUAL(fixture_enqueue_item(broker, &item), -ENOENT);
    CHECK_EQUAL(broker->ops->find(broker, &job.id, &found), -ENOENT);
    fixture_close(broker);
}

FIBER_TEST(a_job_whose_time_has_not_come_goes_on_waiting_when_nothing_else_holds_it)
{
    struct weft_broker *broker = fixture_open();
    struct weft_uuid a = fixture_put(broker, "a");
    struct weft_job job = fixture_job_in(broker, "b");
    job.run_at_us += MINUTE_US;
    struct weft_after after = {.id = a};
    struct weft_enqueue item = {.job = &job, .after = &after, .after_count = 1};
    CHECK_EQUAL(fixture_enqueue_item(broker, &item), 0);
    end_first(broker, "a", WEFT_JOB_COMPLETE);
    CHECK_EQUAL(fixture_state(broker, &job.id), WEFT_JOB_SCHEDULED);
    fixture_pass(broker, MINUTE_US);
    CHECK_EQUAL(fixture_finish_all(broker, "b"), 1);
    fixture_close(broker);
}

/* One job, and so many that wait for it; what one of them comes to is looked at. */
static struct weft_uuid end_crowd(struct weft_broker *broker, enum weft_job_event event, int count)
{
    enum {
        EACH = 500
    };
    struct weft_job *jobs = calloc(EACH, sizeof *jobs);
    struct weft_enqueue *items = calloc(EACH, sizeof *items);
    REQUIRE(jobs && items);
    const struct weft_after after = {.id = fixture_put(broker, "a")};
    for (; count > 0; count -= EACH) {
        for (int i = 0; i < EACH; i++) {
            jobs[i] = fixture_job_in(broker, "b");
            items[i] = (struct weft_enqueue){.job = &jobs[i], .after = &after, .after_count = 1};
        }
        CHECK_EQUAL(fixture_enqueue_batch(broker, items, EACH, false), 0);
    }
    struct weft_uuid last = jobs[EACH - 1].id;
    free(jobs);
    free(items);
    end_first(broker, "a", event);
    for (int i = 0; i < 20; i++) /* of very many some may come later */
        (void)fixture_maintain(broker);
    return last;
}

FIBER_TEST(however_many_wait_for_a_job_its_end_reaches_all_of_them)
{
    struct weft_broker *broker = fixture_open();
    struct weft_uuid last = end_crowd(broker, WEFT_JOB_COMPLETE, 1500);
    CHECK_EQUAL(fixture_state(broker, &last), WEFT_JOB_AVAILABLE);
    CHECK_EQUAL(fixture_finish_all(broker, "b"), 1500);
    last = end_crowd(broker, WEFT_JOB_DIE, 1500);
    CHECK_EQUAL(fixture_state(broker, &last), WEFT_JOB_CANCELLED);
    CHECK_EQUAL(fixture_finish_all(broker, "b"), 0);
    if (broker->ops->capabilities & WEFT_BROKER_MANAGES) {
        struct weft_queue_info info;
        CHECK_EQUAL(broker->ops->queue_find(broker, "b", &info), 0);
        CHECK_EQUAL(info.jobs[WEFT_JOB_BLOCKED], 0);
        CHECK_EQUAL(info.jobs[WEFT_JOB_CANCELLED], 1500);
    }
    fixture_close(broker);
}

/* --- limits of queues --- */

FIBER_TEST(a_paused_queue_gives_nothing_until_it_goes_on)
{
    struct weft_broker *broker = fixture_open();
    NEEDS_CAPABILITY(broker, WEFT_BROKER_MANAGES);
    (void)fixture_put(broker, "q");
    (void)fixture_put(broker, "other");
    fixture_limit(broker, "q", &(struct weft_queue_settings){.paused = true});
    CHECK_EQUAL(fixture_finish_all(broker, "q"), 0);
    CHECK_EQUAL(fixture_finish_all(broker, "other"), 1);
    (void)fixture_put(broker, "q"); /* it still takes jobs */
    fixture_limit(broker, "q", &(struct weft_queue_settings){0});
    CHECK_EQUAL(fixture_finish_all(broker, "q"), 2);
    fixture_close(broker);
}

FIBER_TEST(no_more_than_running_max_of_a_queue_run_at_once)
{
    struct weft_broker *broker = fixture_open();
    NEEDS_CAPABILITY(broker, WEFT_BROKER_MANAGES);
    fixture_limit(broker, "q", &(struct weft_queue_settings){.running_max = 3});
    for (int i = 0; i < 8; i++)
        (void)fixture_put(broker, "q");
    struct weft_job *jobs[8];
    REQUIRE(fixture_claim(broker, "q", jobs, 2) == 2);
    REQUIRE(fixture_claim(broker, "q", jobs + 2, 6) == 1);
    CHECK_EQUAL(fixture_claim(broker, "q", jobs + 3, 5), 0);
    CHECK_EQUAL(fixture_settle(broker, jobs[0], WEFT_JOB_COMPLETE, 0), 0);
    CHECK_EQUAL(fixture_settle(broker, jobs[1], WEFT_JOB_RETRY, MINUTE_US), 0);
    CHECK_EQUAL(fixture_claim(broker, "q", jobs + 3, 5), 2);
    for (int i = 0; i < 5; i++)
        weft_job_free(jobs[i]);
    fixture_close(broker);
}

static struct weft_uuid put_key(struct weft_broker *broker, const char *key)
{
    struct weft_job job = fixture_job_in(broker, "q");
    job.limit_key = key;
    REQUIRE(fixture_enqueue(broker, &job) == 0);
    return job.id;
}

FIBER_TEST(a_limit_per_key_holds_back_jobs_of_that_key_only)
{
    struct weft_broker *broker = fixture_open();
    NEEDS_CAPABILITY(broker, WEFT_BROKER_MANAGES);
    fixture_limit(broker, "q", &(struct weft_queue_settings){.running_max_per_key = 1});
    struct weft_uuid first = put_key(broker, "loud");
    for (int i = 0; i < 20; i++)
        (void)put_key(broker, "loud");
    struct weft_uuid quiet = put_key(broker, "quiet");
    struct weft_uuid none = put_key(broker, NULL);
    struct weft_job *jobs[10];
    REQUIRE(fixture_claim(broker, "q", jobs, 10) == 3);
    CHECK(fixture_same_id(&jobs[0]->id, &first));
    CHECK(fixture_same_id(&jobs[1]->id, &quiet));
    CHECK(fixture_same_id(&jobs[2]->id, &none));
    CHECK_EQUAL(fixture_claim(broker, "q", jobs + 3, 7), 0);
    /* One ends: one more of its key may run, in the order in which they wait. */
    CHECK_EQUAL(fixture_settle(broker, jobs[0], WEFT_JOB_COMPLETE, 0), 0);
    CHECK_EQUAL(fixture_claim(broker, "q", jobs + 3, 7), 1);
    for (int i = 0; i < 4; i++)
        weft_job_free(jobs[i]);
    fixture_close(broker);
}

FIBER_TEST(jobs_of_a_key_run_one_after_the_other_until_none_is_left)
{
    struct weft_broker *broker = fixture_open();
    NEEDS_CAPABILITY(broker, WEFT_BROKER_MANAGES);
    fixture_limit(broker, "q", &(struct weft_queue_settings){.running_max_per_key = 1});
    struct weft_uuid ids[12];
    for (int i = 0; i < 12; i++)
        ids[i] = put_key(broker, "k");
    for (int i = 0; i < 12; i++) {
        struct weft_job *jobs[4];
        REQUIRE(fixture_claim(broker, "q", jobs, 4) == 1);
        CHECK(fixture_same_id(&jobs[0]->id, &ids[i]));
        CHECK_EQUAL(fixture_settle(broker, jobs[0], WEFT_JOB_COMPLETE, 0), 0);
        weft_job_free(jobs[0]);
    }
    CHECK_EQUAL(fixture_finish_all(broker, "q"), 0);
    fixture_close(broker);
}

FIBER_TEST(what_a_key_held_back_is_cancelled_expires_and_counts_like_the_rest)
{
    struct weft_broker *broker = fixture_open();
    NEEDS_CAPABILITY(broker, WEFT_BROKER_MANAGES);
    fixture_limit(broker, "q", &(struct weft_queue_settings){.running_max_per_key = 1});
    (void)put_key(broker, "k");
    struct weft_uuid held = put_key(broker, "k");
    struct weft_job *jobs[4];
    REQUIRE(fixture_claim(broker, "q", jobs, 4) == 1);
    CHECK_EQUAL(fixture_claim(broker, "q", jobs + 1, 3), 0);
    CHECK_EQUAL(fixture_state(broker, &held), WEFT_JOB_AVAILABLE);
    struct weft_queue_info info;
    CHECK_EQUAL(broker->ops->queue_find(broker, "q", &info), 0);
    CHECK_EQUAL(info.jobs[WEFT_JOB_AVAILABLE], 1);
    CHECK_EQUAL(info.jobs[WEFT_JOB_RUNNING], 1);
    struct weft_cancel call = {.kind = WEFT_CANCEL_JOB, .id = held};
    CHECK_EQUAL(broker->ops->cancel(broker, &call), 0);
    CHECK_EQUAL(fixture_settle(broker, jobs[0], WEFT_JOB_COMPLETE, 0), 0);
    CHECK_EQUAL(fixture_claim(broker, "q", jobs + 1, 3), 0);
    CHECK_EQUAL(broker->ops->queue_find(broker, "q", &info), 0);
    CHECK_EQUAL(info.jobs[WEFT_JOB_AVAILABLE], 0);
    weft_job_free(jobs[0]);
    fixture_close(broker);
}

FIBER_TEST(without_the_limit_what_it_held_back_may_run)
{
    struct weft_broker *broker = fixture_open();
    NEEDS_CAPABILITY(broker, WEFT_BROKER_MANAGES);
    fixture_limit(broker, "q", &(struct weft_queue_settings){.running_max_per_key = 1});
    for (int i = 0; i < 6; i++)
        (void)put_key(broker, "k");
    struct weft_job *jobs[6];
    REQUIRE(fixture_claim(broker, "q", jobs, 6) == 1);
    CHECK_EQUAL(fixture_claim(broker, "q", jobs + 1, 5), 0);
    fixture_limit(broker, "q", &(struct weft_queue_settings){.running_max_per_key = 3});
    (void)fixture_maintain(broker);
    REQUIRE(fixture_claim(broker, "q", jobs + 1, 5) == 2);
    fixture_limit(broker, "q", &(struct weft_queue_settings){0});
    (void)fixture_maintain(broker);
    REQUIRE(fixture_claim(broker, "q", jobs + 3, 3) == 3);
    for (int i = 0; i < 6; i++)
        weft_job_free(jobs[i]);
    fixture_close(broker);
}

FIBER_TEST(a_rate_is_not_exceeded_and_the_claim_says_when_to_come_again)
{
    struct weft_broker *broker = fixture_open();
    NEEDS_CAPABILITY(broker, WEFT_BROKER_MANAGES);
    fixture_limit(broker, "q", &(struct weft_queue_settings){.rate_per_s = 10, .burst = 5});
    enum {
        MANY = 200
    };
    for (int i = 0; i < MANY; i++)
        (void)fixture_put(broker, "q");
    const char *queue = "q";
    struct weft_job *jobs[32];
    unsigned total = 0;
    for (int step = 0; step < 40; step++) { /* 10 s in quarters */
        struct weft_claim claim = {.queues = &queue,
                                   .queues_count = 1,
                                   .jobs_max = 32,
                                   .jobs = jobs,
                                   .lease_us = 3600 * SECOND_US,
                                   .next_us = -1};
        CHECK_EQUAL(broker->ops->claim(broker, &claim), 0);
        CHECK(claim.count <= 5);
        CHECK(claim.next_us > 0 && claim.next_us <= SECOND_US / 10 + 1);
        for (unsigned i = 0; i < claim.count; i++)
            weft_job_free(jobs[i]);
        total += claim.count;
        (void)weft_sleep(WEFT_SEC / 4);
    }
    CHECK(total >= 95 && total <= 105);
    fixture_close(broker);
}

FIBER_TEST(settings_and_counts_of_queues_can_be_read)
{
    struct weft_broker *broker = fixture_open();
    NEEDS_CAPABILITY(broker, WEFT_BROKER_MANAGES);
    const struct weft_queue_settings set = {
        .size_max = 50, .running_max = 4, .running_max_per_key = 2, .rate_per_s = 2.5, .burst = 9};
    fixture_limit(broker, "b", &set);
    (void)fixture_put(broker, "a");
    (void)fixture_put(broker, "a");
    (void)fixture_put(broker, "a");
    fixture_claim_and_settle(broker, "a", WEFT_JOB_COMPLETE);
    fixture_claim_and_settle(broker, "a", WEFT_JOB_DIE);
    struct weft_job later = fixture_job_in(broker, "a");
    later.run_at_us += SECOND_US;
    CHECK_EQUAL(fixture_enqueue(broker, &later), 0);
    struct weft_queue_info queues[4];
    size_t count = 0;
    CHECK_EQUAL(broker->ops->queues(broker, queues, 4, &count), 0);
    REQUIRE(count == 2);
    CHECK(strcmp(queues[0].name, "a") == 0 && strcmp(queues[1].name, "b") == 0);
    CHECK_EQUAL(queues[0].jobs[WEFT_JOB_AVAILABLE], 1);
    CHECK_EQUAL(queues[0].jobs[WEFT_JOB_SCHEDULED], 1);
    CHECK_EQUAL(queues[0].jobs[WEFT_JOB_RUNNING], 0);
    CHECK_EQUAL(queues[0].jobs[WEFT_JOB_COMPLETED], 1);
    CHECK_EQUAL(queues[0].jobs[WEFT_JOB_DEAD], 1);
    CHECK(queues[0].oldest_us > 0);
    CHECK_EQUAL(queues[1].settings.size_max, 50);
    CHECK_EQUAL(queues[1].settings.running_max, 4);
    CHECK_EQUAL(queues[1].settings.running_max_per_key, 2);
    CHECK(queues[1].settings.rate_per_s == 2.5);
    CHECK_EQUAL(queues[1].settings.burst, 9);
    CHECK_EQUAL(queues[1].oldest_us, 0);
    CHECK_EQUAL(broker->ops->queues(broker, queues, 1, &count), 0);
    CHECK_EQUAL(count, 2);
    CHECK_EQUAL(broker->ops->queue_find(broker, "never", queues), -ENOENT);
    CHECK_EQUAL(broker->ops->queue_set(broker, "bad name", &set), -EINVAL);
    fixture_close(broker);
}
