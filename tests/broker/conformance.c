/* SPDX-License-Identifier: MIT
 * conformance.c - what every broker must do, through job/broker.h alone. Time is virtual. */
#include "fixture.h"

#include <weft/group.h>
#include <weft/runtime.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static enum weft_job_state state_of(struct weft_broker *broker, const struct weft_uuid *id)
{
    struct weft_job *job = fixture_find(broker, id);
    enum weft_job_state state = job->state;
    weft_job_free(job);
    return state;
}

static bool same_id(const struct weft_job *a, const struct weft_job *b)
{
    return memcmp(a->id.bytes, b->id.bytes, sizeof a->id.bytes) == 0;
}

/* Enqueue one job in worker 0's queue and claim it. */
static struct weft_job *claimed_job(struct weft_broker *broker)
{
    struct weft_job asked = fixture_job(broker, 0), *job = NULL;
    REQUIRE(fixture_enqueue(broker, &asked) == 0);
    REQUIRE(fixture_claim(broker, 0, &job, 1) == 1);
    return job;
}

/* --- enqueue and find --- */

FIBER_TEST(find_gives_back_what_was_enqueued)
{
    struct weft_broker *broker = fixture_open();
    struct weft_job asked = fixture_job(broker, 3);
    asked.priority = 7;
    asked.attempts_max = 11;
    CHECK_EQUAL(fixture_enqueue(broker, &asked), 0);
    struct weft_job *found = fixture_find(broker, &asked.id);
    CHECK(same_id(found, &asked));
    CHECK(strcmp(found->task, "process") == 0);
    CHECK_EQUAL(found->priority, 7);
    CHECK_EQUAL(found->attempts_max, 11);
    CHECK_EQUAL(found->attempt, 0);
    CHECK_EQUAL(found->worker, 3);
    CHECK_EQUAL(found->created_us, asked.created_us);
    CHECK_EQUAL(found->run_at_us, asked.run_at_us);
    CHECK_EQUAL(found->state, WEFT_JOB_AVAILABLE);
    CHECK_EQUAL(found->lease_token, 0);
    CHECK_EQUAL(found->started_us, 0);
    CHECK_EQUAL(found->finished_us, 0);
    CHECK(found->payload.json && found->payload.len == asked.payload.len);
    CHECK(memcmp(found->payload.data, asked.payload.data, asked.payload.len) == 0);
    CHECK(!found->result.data && !found->error);
    weft_job_free(found);
    fixture_close(broker);
}

FIBER_TEST(find_of_an_unknown_id_says_so)
{
    struct weft_broker *broker = fixture_open();
    struct weft_job job = fixture_job(broker, 0), *found = NULL;
    CHECK_EQUAL(broker->ops->find(broker, &job.id, &found), -ENOENT);
    CHECK_EQUAL(fixture_enqueue(broker, &job), 0);
    job.id.bytes[15] ^= 1; /* differs from a known one in the last bit only */
    CHECK_EQUAL(broker->ops->find(broker, &job.id, &found), -ENOENT);
    CHECK(!found);
    fixture_close(broker);
}

FIBER_TEST(an_id_that_is_in_use_fails_alone_in_its_batch)
{
    struct weft_broker *broker = fixture_open();
    struct weft_job a = fixture_job(broker, 0), b = fixture_job(broker, 0), again = a;
    again.payload.len = 0;
    struct weft_enqueue items[] = {{.job = &a}, {.job = &again}, {.job = &b}};
    CHECK_EQUAL(broker->ops->enqueue(broker, items, 3), 0);
    CHECK_EQUAL(items[0].err, 0);
    CHECK_EQUAL(items[1].err, -EEXIST);
    CHECK_EQUAL(items[2].err, 0);
    struct weft_job *found = fixture_find(broker, &a.id);
    CHECK_EQUAL(found->payload.len, a.payload.len);
    weft_job_free(found);
    struct weft_job *jobs[4];
    unsigned count = fixture_claim(broker, 0, jobs, 4);
    CHECK_EQUAL(count, 2);
    for (unsigned i = 0; i < count; i++)
        weft_job_free(jobs[i]);
    fixture_close(broker);
}

static void check_payload(struct weft_broker *broker, const char *data, size_t len, bool json)
{
    struct weft_job job = fixture_job(broker, 0), *claimed = NULL;
    job.payload = (struct weft_bytes){data, len, json};
    CHECK_EQUAL(fixture_enqueue(broker, &job), 0);
    REQUIRE(fixture_claim(broker, 0, &claimed, 1) == 1);
    CHECK_EQUAL(claimed->payload.len, len);
    CHECK_EQUAL(claimed->payload.json, json);
    CHECK(len == 0 || memcmp(claimed->payload.data, data, len) == 0);
    CHECK_EQUAL(fixture_settle(broker, claimed, WEFT_JOB_COMPLETE, 0), 0);
    weft_job_free(claimed);
}

FIBER_TEST(payloads_come_back_byte_for_byte)
{
    struct weft_broker *broker = fixture_open();
    check_payload(broker, "", 0, false);
    check_payload(broker, "\0\1\xff\xfe\0", 5, false);
    check_payload(broker, "\xc3(not utf-8\x80", 12, false);
    check_payload(broker, "{\"text\":\"h\xc3\xa4\"}", 14, true);
    check_payload(broker, "123", 3, true); /* looks like a number, stays text */
    fixture_close(broker);
}

FIBER_TEST(payloads_of_one_mebibyte_are_taken_larger_ones_refused)
{
    struct weft_broker *broker = fixture_open();
    char *data = malloc(WEFT_JOB_PAYLOAD_MAX + 1);
    REQUIRE(data);
    for (size_t i = 0; i <= WEFT_JOB_PAYLOAD_MAX; i++)
        data[i] = (char)(i * 31);
    check_payload(broker, data, WEFT_JOB_PAYLOAD_MAX, false);
    struct weft_job large = fixture_job(broker, 0), small = fixture_job(broker, 0);
    large.payload = (struct weft_bytes){data, WEFT_JOB_PAYLOAD_MAX + 1, false};
    struct weft_enqueue items[] = {{.job = &large}, {.job = &small}};
    CHECK_EQUAL(broker->ops->enqueue(broker, items, 2), 0);
    CHECK_EQUAL(items[0].err, -EMSGSIZE);
    CHECK_EQUAL(items[1].err, 0);
    free(data);
    fixture_close(broker);
}

/* --- claim --- */

FIBER_TEST(claim_goes_by_priority_then_time_then_age)
{
    struct weft_broker *broker = fixture_open();
    (void)weft_sleep(WEFT_SEC);
    struct weft_job jobs[5];
    for (int i = 0; i < 5; i++)
        jobs[i] = fixture_job(broker, 0);
    jobs[0].priority = 9;
    jobs[1].run_at_us -= 1000;
    jobs[4].priority = 0;
    static const int order[] = {4, 1, 2, 3, 0};
    for (int i = 4; i >= 0; i--) /* the order of arrival does not matter */
        CHECK_EQUAL(fixture_enqueue(broker, &jobs[i]), 0);
    struct weft_job *claimed[8];
    REQUIRE(fixture_claim(broker, 0, claimed, 2) == 2); /* no more than asked for */
    REQUIRE(fixture_claim(broker, 0, claimed + 2, 6) == 3);
    for (int i = 0; i < 5; i++) {
        CHECK(same_id(claimed[i], &jobs[order[i]]));
        weft_job_free(claimed[i]);
    }
    CHECK_EQUAL(fixture_claim(broker, 0, claimed, 8), 0);
    fixture_close(broker);
}

FIBER_TEST(claim_takes_only_from_the_workers_own_queue)
{
    struct weft_broker *broker = fixture_open();
    struct weft_job a = fixture_job(broker, 1), b = fixture_job(broker, 2), *jobs[2];
    CHECK_EQUAL(fixture_enqueue(broker, &a), 0);
    CHECK_EQUAL(fixture_enqueue(broker, &b), 0);
    CHECK_EQUAL(fixture_claim(broker, 0, jobs, 2), 0);
    REQUIRE(fixture_claim(broker, 2, jobs, 2) == 1);
    CHECK(same_id(jobs[0], &b));
    weft_job_free(jobs[0]);
    CHECK_EQUAL(state_of(broker, &a.id), WEFT_JOB_AVAILABLE);
    fixture_close(broker);
}

FIBER_TEST(large_jobs_are_claimed_in_parts_and_none_is_forgotten)
{
    struct weft_broker *broker = fixture_open();
    char *data = calloc(1, WEFT_JOB_PAYLOAD_MAX);
    REQUIRE(data);
    for (int i = 0; i < 20; i++) {
        struct weft_job job = fixture_job(broker, 0);
        job.payload = (struct weft_bytes){data, WEFT_JOB_PAYLOAD_MAX, false};
        CHECK_EQUAL(fixture_enqueue(broker, &job), 0);
    }
    free(data);
    struct weft_job *jobs[30];
    unsigned claimed = 0;
    struct weft_claim claim = {.worker = 0, .jobs_max = 30, .jobs = jobs, .more = true};
    while (claim.more) {
        CHECK_EQUAL(broker->ops->claim(broker, &claim), 0);
        claimed += claim.count;
        for (unsigned i = 0; i < claim.count; i++)
            weft_job_free(jobs[i]);
    }
    CHECK_EQUAL(claimed, 20);
    fixture_close(broker);
}

FIBER_TEST(a_claim_counts_the_attempt_and_gives_a_token)
{
    struct weft_broker *broker = fixture_open();
    struct weft_job *first = claimed_job(broker), *second = claimed_job(broker);
    CHECK_EQUAL(first->state, WEFT_JOB_RUNNING);
    CHECK_EQUAL(first->attempt, 1);
    CHECK(first->lease_token != 0 && second->lease_token != 0);
    struct weft_job *found = fixture_find(broker, &first->id);
    CHECK_EQUAL(found->state, WEFT_JOB_RUNNING);
    CHECK_EQUAL(found->attempt, 1);
    CHECK_EQUAL(found->lease_token, first->lease_token);
    CHECK_EQUAL(found->started_us, first->started_us);
    weft_job_free(found);
    weft_job_free(first);
    weft_job_free(second);
    fixture_close(broker);
}

FIBER_TEST(enqueue_can_claim_in_the_same_step)
{
    struct weft_broker *broker = fixture_open();
    if (!(broker->ops->capabilities & WEFT_BROKER_CLAIMS_ON_ENQUEUE)) {
        test_skip("the broker cannot claim on enqueue");
        fixture_close(broker);
        return;
    }
    struct weft_job asked = fixture_job(broker, 0), *other;
    struct weft_enqueue item = {.job = &asked, .claim = true};
    CHECK_EQUAL(broker->ops->enqueue(broker, &item, 1), 0);
    CHECK_EQUAL(item.err, 0);
    CHECK(item.lease_token != 0);
    CHECK_EQUAL(fixture_claim(broker, 0, &other, 1), 0);
    struct weft_job *found = fixture_find(broker, &asked.id);
    CHECK_EQUAL(found->state, WEFT_JOB_RUNNING);
    CHECK_EQUAL(found->attempt, 1);
    CHECK_EQUAL(found->lease_token, item.lease_token);
    CHECK_EQUAL(fixture_settle(broker, found, WEFT_JOB_COMPLETE, 0), 0);
    weft_job_free(found);
    fixture_close(broker);
}

/* --- settle --- */

FIBER_TEST(a_completed_job_keeps_its_result)
{
    struct weft_broker *broker = fixture_open();
    struct weft_job *job = claimed_job(broker);
    (void)weft_sleep(2 * WEFT_SEC);
    CHECK_EQUAL(fixture_settle(broker, job, WEFT_JOB_COMPLETE, 0), 0);
    struct weft_job *found = fixture_find(broker, &job->id);
    CHECK_EQUAL(found->state, WEFT_JOB_COMPLETED);
    CHECK(found->result.json && found->result.len == 7);
    CHECK(found->result.data && memcmp(found->result.data, "{\"r\":1}", 7) == 0);
    CHECK_EQUAL(found->attempt, 1);
    CHECK_EQUAL(found->thread, 42);
    CHECK(found->finished_us - found->started_us >= 2000000);
    CHECK(!found->error);
    weft_job_free(found);
    weft_job_free(job);
    fixture_close(broker);
}

FIBER_TEST(a_second_settlement_changes_nothing)
{
    static const enum weft_job_event events[] = {WEFT_JOB_COMPLETE, WEFT_JOB_RETRY, WEFT_JOB_DIE,
                                                 WEFT_JOB_RELEASE, WEFT_JOB_CANCEL};
    struct weft_broker *broker = fixture_open();
    struct weft_job *job = claimed_job(broker);
    CHECK_EQUAL(fixture_settle(broker, job, WEFT_JOB_COMPLETE, 0), 0);
    for (size_t i = 0; i < sizeof events / sizeof *events; i++)
        CHECK_EQUAL(fixture_settle(broker, job, events[i], 0), -ESTALE);
    CHECK_EQUAL(state_of(broker, &job->id), WEFT_JOB_COMPLETED);
    weft_job_free(job);
    fixture_close(broker);
}

FIBER_TEST(an_old_token_changes_nothing_once_the_job_was_claimed_again)
{
    struct weft_broker *broker = fixture_open();
    struct weft_job *late = claimed_job(broker), *now = NULL;
    CHECK_EQUAL(fixture_settle(broker, late, WEFT_JOB_RELEASE, 0), 0);
    REQUIRE(fixture_claim(broker, 0, &now, 1) == 1);
    CHECK(same_id(late, now));
    CHECK(late->lease_token != now->lease_token);
    CHECK_EQUAL(fixture_settle(broker, late, WEFT_JOB_COMPLETE, 0), -ESTALE);
    CHECK_EQUAL(fixture_settle(broker, late, WEFT_JOB_DIE, 0), -ESTALE);
    CHECK_EQUAL(state_of(broker, &now->id), WEFT_JOB_RUNNING);
    struct weft_lease leases[] = {{.id = late->id, .token = late->lease_token},
                                  {.id = now->id, .token = now->lease_token}};
    CHECK_EQUAL(broker->ops->extend(broker, leases, 2), 0);
    CHECK_EQUAL(leases[0].err, -ESTALE);
    CHECK_EQUAL(leases[1].err, 0);
    CHECK_EQUAL(fixture_settle(broker, now, WEFT_JOB_COMPLETE, 0), 0);
    weft_job_free(late);
    weft_job_free(now);
    fixture_close(broker);
}

FIBER_TEST(a_stale_item_does_not_spoil_the_others_of_its_batch)
{
    struct weft_broker *broker = fixture_open();
    struct weft_job *a = claimed_job(broker), *b = claimed_job(broker), *c = claimed_job(broker);
    b->lease_token++;
    struct weft_settlement items[] = {{.job = a, .event = WEFT_JOB_COMPLETE},
                                      {.job = b, .event = WEFT_JOB_COMPLETE},
                                      {.job = c, .event = WEFT_JOB_DUE},
                                      {.job = c, .event = WEFT_JOB_DIE, .error = "no"}};
    CHECK_EQUAL(broker->ops->settle(broker, items, 4), 0);
    CHECK_EQUAL(items[0].err, 0);
    CHECK_EQUAL(items[1].err, -ESTALE);
    CHECK_EQUAL(items[2].err, -EINVAL); /* not an end of an attempt */
    CHECK_EQUAL(items[3].err, 0);
    CHECK_EQUAL(state_of(broker, &a->id), WEFT_JOB_COMPLETED);
    CHECK_EQUAL(state_of(broker, &b->id), WEFT_JOB_RUNNING);
    CHECK_EQUAL(state_of(broker, &c->id), WEFT_JOB_DEAD);
    weft_job_free(a);
    weft_job_free(b);
    weft_job_free(c);
    fixture_close(broker);
}

FIBER_TEST(a_retry_waits_for_its_time_and_keeps_the_attempt)
{
    struct weft_broker *broker = fixture_open();
    struct weft_job *job = claimed_job(broker), *again = NULL;
    CHECK_EQUAL(fixture_settle(broker, job, WEFT_JOB_RETRY, 1000000), 0);
    struct weft_job *found = fixture_find(broker, &job->id);
    CHECK_EQUAL(found->state, WEFT_JOB_RETRYABLE);
    CHECK(found->error && strcmp(found->error, "it did not work") == 0);
    weft_job_free(found);

    struct weft_promotion promotion;
    CHECK_EQUAL(broker->ops->promote(broker, &promotion), 0);
    CHECK_EQUAL(promotion.moved[0], 0);
    CHECK(promotion.next_us > 900000 && promotion.next_us <= 1000000);
    CHECK_EQUAL(fixture_claim(broker, 0, &again, 1), 0);

    (void)weft_sleep(promotion.next_us * 1000);
    CHECK_EQUAL(broker->ops->promote(broker, &promotion), 0);
    CHECK_EQUAL(promotion.moved[0], 1);
    CHECK_EQUAL(promotion.next_us, INT64_MAX);
    REQUIRE(fixture_claim(broker, 0, &again, 1) == 1);
    CHECK_EQUAL(again->attempt, 2);
    weft_job_free(again);
    weft_job_free(job);
    fixture_close(broker);
}

FIBER_TEST(retries_become_due_in_the_order_of_their_times)
{
    struct weft_broker *broker = fixture_open();
    struct weft_job *jobs[3], *next = NULL;
    static const int64_t delays_us[] = {3000000, 1000000, 2000000};
    for (int i = 0; i < 3; i++)
        jobs[i] = claimed_job(broker);
    for (int i = 0; i < 3; i++)
        CHECK_EQUAL(fixture_settle(broker, jobs[i], WEFT_JOB_RETRY, delays_us[i]), 0);
    static const int order[] = {1, 2, 0};
    for (int i = 0; i < 3; i++) {
        struct weft_promotion promotion;
        CHECK_EQUAL(broker->ops->promote(broker, &promotion), 0);
        (void)weft_sleep(promotion.next_us * 1000);
        CHECK_EQUAL(broker->ops->promote(broker, &promotion), 0);
        REQUIRE(fixture_claim(broker, 0, &next, 1) == 1);
        CHECK(same_id(next, jobs[order[i]]));
        weft_job_free(next);
    }
    for (int i = 0; i < 3; i++)
        weft_job_free(jobs[i]);
    fixture_close(broker);
}

FIBER_TEST(a_job_for_later_is_scheduled)
{
    struct weft_broker *broker = fixture_open();
    struct weft_job job = fixture_job(broker, 5), *claimed = NULL;
    job.run_at_us += 60 * 1000000;
    CHECK_EQUAL(fixture_enqueue(broker, &job), 0);
    CHECK_EQUAL(state_of(broker, &job.id), WEFT_JOB_SCHEDULED);
    CHECK_EQUAL(fixture_claim(broker, 5, &claimed, 1), 0);
    (void)weft_sleep(60 * WEFT_SEC);
    struct weft_promotion promotion;
    CHECK_EQUAL(broker->ops->promote(broker, &promotion), 0);
    CHECK_EQUAL(promotion.moved[5], 1);
    REQUIRE(fixture_claim(broker, 5, &claimed, 1) == 1);
    weft_job_free(claimed);
    fixture_close(broker);
}

FIBER_TEST(promotion_works_in_bounded_steps)
{
    struct weft_broker *broker = fixture_open();
    enum {
        JOBS = 2500
    };
    struct weft_job *jobs = calloc(JOBS, sizeof *jobs);
    struct weft_enqueue *items = calloc(JOBS, sizeof *items);
    REQUIRE(jobs && items);
    for (int i = 0; i < JOBS; i++) {
        jobs[i] = fixture_job(broker, 0);
        jobs[i].run_at_us += 1000000;
        items[i].job = &jobs[i];
    }
    CHECK_EQUAL(broker->ops->enqueue(broker, items, JOBS), 0);
    (void)weft_sleep(2 * WEFT_SEC);
    struct weft_promotion promotion = {.more = true};
    unsigned moved = 0, steps = 0;
    for (; promotion.more; steps++) {
        CHECK_EQUAL(broker->ops->promote(broker, &promotion), 0);
        moved += promotion.moved[0];
    }
    CHECK_EQUAL(moved, JOBS);
    CHECK(steps > 1);
    free(items);
    free(jobs);
    fixture_close(broker);
}

FIBER_TEST(a_dead_job_keeps_its_last_error)
{
    struct weft_broker *broker = fixture_open();
    struct weft_job *job = claimed_job(broker);
    CHECK_EQUAL(fixture_settle(broker, job, WEFT_JOB_DIE, 0), 0);
    struct weft_job *found = fixture_find(broker, &job->id);
    CHECK_EQUAL(found->state, WEFT_JOB_DEAD);
    CHECK(found->error && strcmp(found->error, "it did not work") == 0);
    CHECK(!found->result.data);
    CHECK(found->finished_us > 0);
    weft_job_free(found);
    weft_job_free(job);
    fixture_close(broker);
}

FIBER_TEST(a_released_job_has_not_spent_the_attempt)
{
    struct weft_broker *broker = fixture_open();
    struct weft_job *job = claimed_job(broker), *again = NULL;
    CHECK_EQUAL(fixture_settle(broker, job, WEFT_JOB_RELEASE, 0), 0);
    struct weft_job *found = fixture_find(broker, &job->id);
    CHECK_EQUAL(found->state, WEFT_JOB_AVAILABLE);
    CHECK_EQUAL(found->attempt, 0);
    CHECK(!found->error);
    weft_job_free(found);
    REQUIRE(fixture_claim(broker, 0, &again, 1) == 1);
    CHECK_EQUAL(again->attempt, 1);
    weft_job_free(again);
    weft_job_free(job);
    fixture_close(broker);
}

FIBER_TEST(a_running_job_can_be_cancelled_by_its_holder)
{
    struct weft_broker *broker = fixture_open();
    struct weft_job *job = claimed_job(broker);
    CHECK_EQUAL(fixture_settle(broker, job, WEFT_JOB_CANCEL, 0), 0);
    CHECK_EQUAL(state_of(broker, &job->id), WEFT_JOB_CANCELLED);
    weft_job_free(job);
    fixture_close(broker);
}

FIBER_TEST(long_errors_are_cut)
{
    struct weft_broker *broker = fixture_open();
    struct weft_job *job = claimed_job(broker);
    char error[WEFT_JOB_ERROR_MAX + 100];
    memset(error, 'e', sizeof error - 1);
    error[sizeof error - 1] = '\0';
    struct weft_settlement item = {.job = job, .event = WEFT_JOB_DIE, .error = error};
    CHECK_EQUAL(broker->ops->settle(broker, &item, 1), 0);
    struct weft_job *found = fixture_find(broker, &job->id);
    CHECK(found->error && strlen(found->error) == WEFT_JOB_ERROR_MAX);
    weft_job_free(found);
    weft_job_free(job);
    fixture_close(broker);
}

/* --- what outlives the server --- */

FIBER_TEST(everything_is_there_after_reopening)
{
    struct weft_broker *broker = fixture_open();
    struct weft_job waiting = fixture_job(broker, 1), later = fixture_job(broker, 1);
    later.run_at_us += 3600 * (int64_t)1000000;
    struct weft_job *done = claimed_job(broker);
    CHECK_EQUAL(fixture_settle(broker, done, WEFT_JOB_COMPLETE, 0), 0);
    CHECK_EQUAL(fixture_enqueue(broker, &waiting), 0);
    CHECK_EQUAL(fixture_enqueue(broker, &later), 0);
    fixture_close(broker);

    broker = fixture_reopen();
    CHECK_EQUAL(state_of(broker, &waiting.id), WEFT_JOB_AVAILABLE);
    CHECK_EQUAL(state_of(broker, &later.id), WEFT_JOB_SCHEDULED);
    CHECK_EQUAL(state_of(broker, &done->id), WEFT_JOB_COMPLETED);
    struct weft_worker_counts counts[4];
    CHECK_EQUAL(broker->ops->adopt(broker, counts, 4), 0);
    CHECK_EQUAL(counts[0].available + counts[0].waiting, 0);
    CHECK_EQUAL(counts[1].available, 1);
    CHECK_EQUAL(counts[1].waiting, 1);
    weft_job_free(done);
    fixture_close(broker);
}

FIBER_TEST(what_a_dead_server_left_running_runs_again_without_having_spent_the_attempt)
{
    struct weft_broker *broker = fixture_open();
    struct weft_job *lost = claimed_job(broker), *again = NULL;
    fixture_close(broker);
    broker = fixture_reopen();
    CHECK_EQUAL(fixture_settle(broker, lost, WEFT_JOB_COMPLETE, 0), -ESTALE);
    REQUIRE(fixture_claim(broker, 0, &again, 1) == 1);
    CHECK(same_id(again, lost));
    CHECK_EQUAL(again->attempt, 1);
    CHECK_EQUAL(again->crashes, 1);
    CHECK(again->lease_token != lost->lease_token);
    CHECK_EQUAL(fixture_settle(broker, again, WEFT_JOB_COMPLETE, 0), 0);
    struct weft_job *found = fixture_find(broker, &lost->id);
    CHECK_EQUAL(found->state, WEFT_JOB_COMPLETED);
    CHECK_EQUAL(found->attempt, 1);
    CHECK_EQUAL(found->crashes, 1);
    weft_job_free(found);
    weft_job_free(again);
    weft_job_free(lost);
    fixture_close(broker);
}

FIBER_TEST(a_job_that_takes_the_server_with_it_each_time_ends_dead)
{
    struct weft_broker *broker = fixture_open();
    struct weft_job job = fixture_job(broker, 0), *claimed = NULL;
    CHECK_EQUAL(fixture_enqueue(broker, &job), 0);
    for (unsigned i = 0; i < WEFT_JOB_CRASHES_MAX; i++) {
        REQUIRE(fixture_claim(broker, 0, &claimed, 1) == 1);
        CHECK_EQUAL(claimed->attempt, 1);
        CHECK_EQUAL(claimed->crashes, i);
        weft_job_free(claimed);
        fixture_close(broker);
        broker = fixture_reopen();
    }
    CHECK_EQUAL(fixture_claim(broker, 0, &claimed, 1), 0);
    struct weft_job *found = fixture_find(broker, &job.id);
    CHECK_EQUAL(found->state, WEFT_JOB_DEAD);
    CHECK_EQUAL(found->crashes, WEFT_JOB_CRASHES_MAX);
    CHECK(found->error && strcmp(found->error, "the server ended 10 times while it ran") == 0);
    weft_job_free(found);
    struct weft_broker_stats stats;
    CHECK_EQUAL(broker->ops->stats(broker, &stats), 0);
    CHECK_EQUAL(stats.jobs[WEFT_JOB_DEAD], 1);
    CHECK_EQUAL(stats.jobs[WEFT_JOB_RUNNING], 0);
    fixture_close(broker);
}

FIBER_TEST(jobs_of_workers_that_no_longer_exist_are_adopted)
{
    struct weft_broker *broker = fixture_open();
    for (unsigned worker = 0; worker < 8; worker++) {
        struct weft_job job = fixture_job(broker, worker);
        CHECK_EQUAL(fixture_enqueue(broker, &job), 0);
    }
    struct weft_worker_counts counts[3];
    CHECK_EQUAL(broker->ops->adopt(broker, counts, 3), 0);
    CHECK_EQUAL(counts[0].available + counts[1].available + counts[2].available, 8);
    struct weft_job *jobs[8];
    unsigned claimed = 0;
    for (unsigned worker = 0; worker < 3; worker++) {
        unsigned count = fixture_claim(broker, worker, jobs, 8);
        CHECK_EQUAL(count, counts[worker].available);
        for (unsigned i = 0; i < count; i++)
            weft_job_free(jobs[i]);
        claimed += count;
    }
    CHECK_EQUAL(claimed, 8);
    fixture_close(broker);
}

/* --- numbers --- */

FIBER_TEST(stats_count_jobs_by_state_and_time_what_was_completed)
{
    struct weft_broker *broker = fixture_open();
    struct weft_job *jobs[4], available = fixture_job(broker, 1);
    for (int i = 0; i < 4; i++)
        jobs[i] = claimed_job(broker);
    CHECK_EQUAL(fixture_enqueue(broker, &available), 0);
    (void)weft_sleep(WEFT_SEC);
    CHECK_EQUAL(fixture_settle(broker, jobs[0], WEFT_JOB_COMPLETE, 0), 0);
    (void)weft_sleep(2 * WEFT_SEC);
    CHECK_EQUAL(fixture_settle(broker, jobs[1], WEFT_JOB_COMPLETE, 0), 0);
    CHECK_EQUAL(fixture_settle(broker, jobs[2], WEFT_JOB_DIE, 0), 0);
    struct weft_broker_stats stats;
    CHECK_EQUAL(broker->ops->stats(broker, &stats), 0);
    CHECK_EQUAL(stats.jobs[WEFT_JOB_COMPLETED], 2);
    CHECK_EQUAL(stats.jobs[WEFT_JOB_DEAD], 1);
    CHECK_EQUAL(stats.jobs[WEFT_JOB_RUNNING], 1);
    CHECK_EQUAL(stats.jobs[WEFT_JOB_AVAILABLE], 1);
    CHECK_EQUAL(stats.processing_min_us / 1000000, 1);
    CHECK_EQUAL(stats.processing_max_us / 1000000, 3);
    CHECK_EQUAL(stats.processing_sum_us / 1000000, 4);
    for (int i = 0; i < 4; i++)
        weft_job_free(jobs[i]);
    fixture_close(broker);
}

FIBER_TEST(metrics_come_back_newest_first_and_not_all)
{
    struct weft_broker *broker = fixture_open();
    for (unsigned i = 1; i <= WEFT_BROKER_METRICS_RECENT + 3; i++) {
        struct weft_queue_metrics metrics = {.total = i, .workers = {i, 0, 0, 2}, .active = 7};
        CHECK_EQUAL(broker->ops->record(broker, &metrics), 0);
    }
    struct weft_broker_stats stats;
    CHECK_EQUAL(broker->ops->stats(broker, &stats), 0);
    CHECK_EQUAL(stats.metrics_count, WEFT_BROKER_METRICS_RECENT);
    CHECK_EQUAL(stats.metrics[0].total, WEFT_BROKER_METRICS_RECENT + 3);
    CHECK_EQUAL(stats.metrics[0].workers[3], 2);
    CHECK_EQUAL(stats.metrics[0].active, 7);
    CHECK_EQUAL(stats.metrics[1].total, WEFT_BROKER_METRICS_RECENT + 2);
    int64_t apart_us = broker->ops->now_us(broker) - stats.metrics[0].time_us;
    CHECK(apart_us > -1000000 && apart_us < 60000000);
    fixture_close(broker);
}

/* --- many at once --- */

struct crowd {
    struct weft_broker *broker;
    unsigned accepted;
};

static int enqueue_ten(void *arg)
{
    struct crowd *crowd = arg;
    for (int i = 0; i < 10; i++) {
        struct weft_job job = fixture_job(crowd->broker, 0);
        if (fixture_enqueue(crowd->broker, &job) == 0)
            crowd->accepted++;
        (void)weft_yield();
    }
    return 0;
}

FIBER_TEST(many_fibers_enqueue_at_once_and_nothing_is_lost)
{
    struct crowd crowd = {.broker = fixture_open()};
    struct weft_group group;
    REQUIRE(weft_group_init(&group, NULL) == 0);
    for (int i = 0; i < 100; i++)
        CHECK_EQUAL(weft_spawn(&group, enqueue_ten, &crowd), 0);
    CHECK_EQUAL(weft_group_wait(&group), 0);
    CHECK_EQUAL(crowd.accepted, 1000);
    struct weft_worker_counts counts[1];
    CHECK_EQUAL(crowd.broker->ops->adopt(crowd.broker, counts, 1), 0);
    CHECK_EQUAL(counts[0].available, 1000);
    fixture_close(crowd.broker);
}

static int settle_when_cancelled(void *arg)
{
    struct crowd *crowd = arg;
    struct weft_job *job = claimed_job(crowd->broker);
    int err = weft_sleep(100 * WEFT_SEC);
    CHECK_EQUAL(err, -ECANCELED);
    CHECK_EQUAL(fixture_settle(crowd->broker, job, WEFT_JOB_RELEASE, 0), 0);
    crowd->accepted++;
    weft_job_free(job);
    return 0;
}

FIBER_TEST(a_cancelled_fiber_can_still_settle)
{
    struct crowd crowd = {.broker = fixture_open()};
    struct weft_group group;
    REQUIRE(weft_group_init(&group, NULL) == 0);
    CHECK_EQUAL(weft_spawn(&group, settle_when_cancelled, &crowd), 0);
    (void)weft_sleep(WEFT_SEC);
    weft_group_close(&group);
    CHECK_EQUAL(crowd.accepted, 1);
    fixture_close(crowd.broker);
}
