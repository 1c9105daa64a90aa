/* SPDX-License-Identifier: MIT
 * conformance_settle.c - what becomes of jobs: outcomes, retries, cancelling, going round again. */
#include "fixture.h"

#include <weft/group.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static struct weft_job *claimed_job(struct weft_broker *broker)
{
    (void)fixture_put(broker, "default");
    return fixture_claim_one(broker, "default");
}

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
    CHECK_EQUAL(found->finished_us - found->started_us, 2 * SECOND_US);
    CHECK_EQUAL(found->lease_token, 0);
    CHECK(!found->error);
    weft_job_free(found);
    weft_job_free(job);
    fixture_close(broker);
}

FIBER_TEST(results_may_be_bytes_and_absent_and_have_a_limit)
{
    struct weft_broker *broker = fixture_open();
    char *large = calloc(1, WEFT_JOB_RESULT_MAX + 1);
    REQUIRE(large);
    struct weft_job *job = claimed_job(broker);
    struct weft_settlement item = {
        .job = job, .event = WEFT_JOB_COMPLETE, .result = {large, WEFT_JOB_RESULT_MAX + 1, false}};
    CHECK_EQUAL(broker->ops->settle(broker, &item, 1), 0);
    CHECK_EQUAL(item.err, -EMSGSIZE);
    CHECK_EQUAL(fixture_state(broker, &job->id), WEFT_JOB_RUNNING); /* still held */
    item.result = (struct weft_bytes){"\0\xff", 2, false};
    CHECK_EQUAL(broker->ops->settle(broker, &item, 1), 0);
    CHECK_EQUAL(item.err, 0);
    CHECK_EQUAL(item.state, WEFT_JOB_COMPLETED);
    struct weft_job *found = fixture_find(broker, &job->id);
    CHECK(found->result.len == 2 && !found->result.json);
    CHECK(found->result.data && memcmp(found->result.data, "\0\xff", 2) == 0);
    weft_job_free(found);
    weft_job_free(job);
    job = claimed_job(broker);
    item = (struct weft_settlement){.job = job, .event = WEFT_JOB_COMPLETE};
    CHECK_EQUAL(broker->ops->settle(broker, &item, 1), 0);
    found = fixture_find(broker, &job->id);
    CHECK_EQUAL(found->state, WEFT_JOB_COMPLETED);
    CHECK(!found->result.data);
    weft_job_free(found);
    weft_job_free(job);
    free(large);
    fixture_close(broker);
}

static const enum weft_job_event outcomes[] = {WEFT_JOB_COMPLETE, WEFT_JOB_RETRY,  WEFT_JOB_DIE,
                                               WEFT_JOB_RELEASE,  WEFT_JOB_SNOOZE, WEFT_JOB_CANCEL};
#define OUTCOMES (sizeof outcomes / sizeof *outcomes)

FIBER_TEST(a_second_settlement_changes_nothing)
{
    struct weft_broker *broker = fixture_open();
    for (size_t first = 0; first < OUTCOMES; first++) {
        struct weft_job *job = claimed_job(broker);
        CHECK_EQUAL(fixture_settle(broker, job, outcomes[first], SECOND_US), 0);
        enum weft_job_state state = fixture_state(broker, &job->id);
        for (size_t i = 0; i < OUTCOMES; i++)
            CHECK_EQUAL(fixture_settle(broker, job, outcomes[i], 0), -ESTALE);
        CHECK_EQUAL(fixture_state(broker, &job->id), state);
        weft_job_free(job);
        (void)fixture_finish_all(broker, "default");
    }
    fixture_close(broker);
}

FIBER_TEST(an_old_token_changes_nothing_once_the_job_was_claimed_again)
{
    struct weft_broker *broker = fixture_open();
    struct weft_job *late = claimed_job(broker);
    CHECK_EQUAL(fixture_settle(broker, late, WEFT_JOB_RELEASE, 0), 0);
    struct weft_job *now = fixture_claim_one(broker, "default");
    CHECK(fixture_same_id(&late->id, &now->id));
    CHECK(late->lease_token != now->lease_token);
    for (size_t i = 0; i < OUTCOMES; i++)
        CHECK_EQUAL(fixture_settle(broker, late, outcomes[i], 0), -ESTALE);
    CHECK_EQUAL(fixture_state(broker, &now->id), WEFT_JOB_RUNNING);
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
                                      {.job = c, .event = WEFT_JOB_COMPLETE}};
    CHECK_EQUAL(broker->ops->settle(broker, items, 3), 0);
    CHECK_EQUAL(items[0].err, 0);
    CHECK_EQUAL(items[1].err, -ESTALE);
    CHECK_EQUAL(items[2].err, 0);
    CHECK_EQUAL(fixture_state(broker, &a->id), WEFT_JOB_COMPLETED);
    CHECK_EQUAL(fixture_state(broker, &b->id), WEFT_JOB_RUNNING);
    CHECK_EQUAL(fixture_state(broker, &c->id), WEFT_JOB_COMPLETED);
    weft_job_free(a);
    weft_job_free(b);
    weft_job_free(c);
    fixture_close(broker);
}

FIBER_TEST(what_is_no_outcome_is_refused)
{
    static const enum weft_job_event wrong[] = {WEFT_JOB_CLAIM, WEFT_JOB_LOSE,   WEFT_JOB_DUE,
                                                WEFT_JOB_STOP,  WEFT_JOB_REVIVE, WEFT_JOB_EVENTS};
    struct weft_broker *broker = fixture_open();
    struct weft_job *job = claimed_job(broker);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        CHECK_EQUAL(fixture_settle(broker, job, wrong[i], 0), -EINVAL);
    CHECK_EQUAL(fixture_state(broker, &job->id), WEFT_JOB_RUNNING);
    weft_job_free(job);
    fixture_close(broker);
}

FIBER_TEST(a_retry_waits_for_its_time_and_keeps_the_attempt)
{
    struct weft_broker *broker = fixture_open();
    struct weft_job *job = claimed_job(broker), *none;
    CHECK_EQUAL(fixture_settle(broker, job, WEFT_JOB_RETRY, 5 * SECOND_US), 0);
    struct weft_job *found = fixture_find(broker, &job->id);
    CHECK_EQUAL(found->state, WEFT_JOB_RETRYABLE);
    CHECK_EQUAL(found->attempt, 1);
    CHECK(found->error && strcmp(found->error, "it did not work") == 0);
    weft_job_free(found);
    fixture_pass(broker, 4 * SECOND_US);
    CHECK_EQUAL(fixture_claim(broker, "default", &none, 1), 0);
    fixture_pass(broker, SECOND_US);
    struct weft_job *again = fixture_claim_one(broker, "default");
    CHECK(fixture_same_id(&again->id, &job->id));
    CHECK_EQUAL(again->attempt, 2);
    weft_job_free(again);
    weft_job_free(job);
    fixture_close(broker);
}

static void check_same_text(const char *actual, const char *expected)
{
    CHECK(actual && strcmp(actual, expected) == 0);
}

/* Everything a job can ask for, and nothing of it the default. */
static struct weft_job demanding_job(struct weft_broker *broker)
{
    struct weft_job asked = fixture_job(broker);
    asked.priority = 3;
    asked.attempts_max = 40;
    asked.expires_us = asked.created_us + 3600 * SECOND_US;
    asked.timeout_us = 5 * SECOND_US;
    asked.grace_us = 2 * SECOND_US;
    asked.result_ttl_us = 60 * SECOND_US;
    asked.backoff = (struct weft_job_backoff){
        .kind = WEFT_BACKOFF_LINEAR, .jitter = WEFT_JITTER_NONE, .base_us = 7, .cap_us = 70};
    asked.flow = asked.id;
    asked.limit_key = "limit";
    asked.unique_key = "unique";
    asked.content_type = "application/x";
    asked.headers = "{\"a\":\"b\"}";
    return asked;
}

static void check_as_asked(const struct weft_job *job, const struct weft_job *asked)
{
    CHECK_EQUAL(job->priority, asked->priority);
    CHECK_EQUAL(job->attempts_max, asked->attempts_max);
    CHECK_EQUAL(job->created_us, asked->created_us);
    CHECK_EQUAL(job->expires_us, asked->expires_us);
    CHECK_EQUAL(job->timeout_us, asked->timeout_us);
    CHECK_EQUAL(job->grace_us, asked->grace_us);
    CHECK_EQUAL(job->result_ttl_us, asked->result_ttl_us);
    CHECK_EQUAL(job->backoff.kind, asked->backoff.kind);
    CHECK_EQUAL(job->backoff.jitter, asked->backoff.jitter);
    CHECK_EQUAL(job->backoff.base_us, asked->backoff.base_us);
    CHECK_EQUAL(job->backoff.cap_us, asked->backoff.cap_us);
    CHECK(fixture_same_id(&job->flow, &asked->flow));
    check_same_text(job->limit_key, asked->limit_key);
    check_same_text(job->unique_key, asked->unique_key);
    check_same_text(job->content_type, asked->content_type);
    check_same_text(job->headers, asked->headers);
    CHECK(job->payload.len == asked->payload.len &&
          memcmp(job->payload.data, asked->payload.data, job->payload.len) == 0);
}

FIBER_TEST(whatever_brings_a_job_back_leaves_all_that_was_asked_of_it)
{
    struct weft_broker *broker = fixture_open();
    struct weft_job asked = demanding_job(broker);
    CHECK_EQUAL(fixture_enqueue(broker, &asked), 0);
    static const enum weft_job_event ways[] = {WEFT_JOB_RETRY, WEFT_JOB_SNOOZE, WEFT_JOB_RELEASE};
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        struct weft_job *job = fixture_claim_one(broker, "default");
        check_as_asked(job, &asked);
        CHECK_EQUAL(fixture_settle(broker, job, ways[i], SECOND_US), 0);
        weft_job_free(job);
        fixture_pass(broker, SECOND_US);
    }
    struct weft_job *lost = fixture_lease(broker, "default", SECOND_US);
    REQUIRE(lost);
    fixture_pass(broker, 2 * SECOND_US);
    struct weft_job *job = fixture_claim_one(broker, "default");
    check_as_asked(job, &asked);
    CHECK_EQUAL(job->crashes, 1);
    weft_job_free(lost);
    weft_job_free(job);
    fixture_close(broker);
}

FIBER_TEST(jobs_that_are_alike_end_each_for_itself)
{
    struct weft_broker *broker = fixture_open();
    struct weft_job *one = claimed_job(broker), *other = claimed_job(broker);
    CHECK(one->payload.len == other->payload.len &&
          memcmp(one->payload.data, other->payload.data, one->payload.len) == 0);
    CHECK_EQUAL(fixture_settle(broker, other, WEFT_JOB_COMPLETE, 0), 0);
    CHECK_EQUAL(fixture_state(broker, &one->id), WEFT_JOB_RUNNING);
    CHECK_EQUAL(fixture_state(broker, &other->id), WEFT_JOB_COMPLETED);
    CHECK_EQUAL(fixture_settle(broker, one, WEFT_JOB_DIE, 0), 0);
    CHECK_EQUAL(fixture_state(broker, &one->id), WEFT_JOB_DEAD);
    CHECK_EQUAL(fixture_state(broker, &other->id), WEFT_JOB_COMPLETED);
    weft_job_free(one);
    weft_job_free(other);
    fixture_close(broker);
}

FIBER_TEST(retries_become_due_in_the_order_of_their_times)
{
    struct weft_broker *broker = fixture_open();
    struct weft_job *a = claimed_job(broker), *b = claimed_job(broker), *jobs[2];
    CHECK_EQUAL(fixture_settle(broker, a, WEFT_JOB_RETRY, 3 * SECOND_US), 0);
    CHECK_EQUAL(fixture_settle(broker, b, WEFT_JOB_RETRY, 2 * SECOND_US), 0);
    fixture_pass(broker, 4 * SECOND_US);
    REQUIRE(fixture_claim(broker, "default", jobs, 2) == 2);
    CHECK(fixture_same_id(&jobs[0]->id, &b->id));
    CHECK(fixture_same_id(&jobs[1]->id, &a->id));
    weft_job_free(jobs[0]);
    weft_job_free(jobs[1]);
    weft_job_free(a);
    weft_job_free(b);
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
    weft_job_free(found);
    weft_job_free(job);
    fixture_close(broker);
}

FIBER_TEST(a_released_job_has_not_spent_the_attempt)
{
    struct weft_broker *broker = fixture_open();
    struct weft_job *job = claimed_job(broker);
    CHECK_EQUAL(fixture_settle(broker, job, WEFT_JOB_RELEASE, 0), 0);
    struct weft_job *again = fixture_claim_one(broker, "default");
    CHECK_EQUAL(again->attempt, 1);
    CHECK_EQUAL(again->crashes, 0);
    weft_job_free(again);
    weft_job_free(job);
    fixture_close(broker);
}

FIBER_TEST(a_snoozed_job_comes_again_later_and_has_not_spent_the_attempt)
{
    struct weft_broker *broker = fixture_open();
    struct weft_job *job = claimed_job(broker), *none;
    CHECK_EQUAL(fixture_settle(broker, job, WEFT_JOB_SNOOZE, 10 * SECOND_US), 0);
    CHECK_EQUAL(fixture_state(broker, &job->id), WEFT_JOB_SCHEDULED);
    fixture_pass(broker, 9 * SECOND_US);
    CHECK_EQUAL(fixture_claim(broker, "default", &none, 1), 0);
    fixture_pass(broker, SECOND_US);
    struct weft_job *again = fixture_claim_one(broker, "default");
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
    CHECK_EQUAL(fixture_state(broker, &job->id), WEFT_JOB_CANCELLED);
    weft_job_free(job);
    fixture_close(broker);
}

FIBER_TEST(long_errors_are_cut_between_characters)
{
    struct weft_broker *broker = fixture_open();
    struct weft_job *job = claimed_job(broker);
    char text[2 * WEFT_JOB_ERROR_MAX];
    for (size_t i = 0; i + 2 < sizeof text; i += 2)
        memcpy(text + i, "\xc3\xa4", 3); /* a letter of two bytes */
    text[0] = 'x';                       /* so that the limit falls into one */
    memmove(text + 1, text + 2, sizeof text - 3);
    struct weft_settlement item = {.job = job, .event = WEFT_JOB_DIE, .error = text};
    CHECK_EQUAL(broker->ops->settle(broker, &item, 1), 0);
    CHECK_EQUAL(item.err, 0);
    struct weft_job *found = fixture_find(broker, &job->id);
    REQUIRE(found->error);
    size_t len = strlen(found->error);
    CHECK(len <= WEFT_JOB_ERROR_MAX && len >= WEFT_JOB_ERROR_MAX - 4);
    CHECK((unsigned char)found->error[len - 1] == 0xa4);
    CHECK(strncmp(found->error, text, len) == 0);
    weft_job_free(found);
    weft_job_free(job);
    fixture_close(broker);
}

FIBER_TEST(the_latest_failures_are_kept_with_their_attempts)
{
    struct weft_broker *broker = fixture_open();
    NEEDS_CAPABILITY(broker, WEFT_BROKER_MANAGES);
    struct weft_job asked = fixture_job(broker);
    asked.attempts_max = 40;
    CHECK_EQUAL(fixture_enqueue(broker, &asked), 0);
    for (int i = 1; i <= 30; i++) {
        struct weft_job *job = fixture_claim_one(broker, "default");
        CHECK_EQUAL(job->attempt, i);
        char text[32] = "failure of attempt ..";
        text[19] = (char)('0' + i / 10);
        text[20] = (char)('0' + i % 10);
        struct weft_settlement item = {.job = job, .event = WEFT_JOB_RETRY, .error = text};
        CHECK_EQUAL(broker->ops->settle(broker, &item, 1), 0);
        weft_job_free(job);
        fixture_pass(broker, SECOND_US);
    }
    struct weft_job_failure *failures = calloc(40, sizeof *failures);
    REQUIRE(failures);
    size_t count = 0;
    CHECK_EQUAL(broker->ops->failures(broker, &asked.id, failures, 40, &count), 0);
    CHECK_EQUAL(count, WEFT_JOB_ERRORS_MAX);
    for (size_t i = 0; i < count; i++) {
        CHECK_EQUAL(failures[i].attempt, 11 + i);
        CHECK(i == 0 || failures[i].at_us > failures[i - 1].at_us);
    }
    CHECK(strcmp(failures[0].text, "failure of attempt 11") == 0);
    free(failures);
    fixture_close(broker);
}

/* --- further jobs in the same commit --- */

FIBER_TEST(a_completion_puts_in_further_jobs)
{
    struct weft_broker *broker = fixture_open();
    struct weft_job *job = claimed_job(broker);
    struct weft_job next = fixture_job_in(broker, "next"), later = fixture_job_in(broker, "next");
    later.run_at_us += SECOND_US;
    struct weft_enqueue follow[] = {{.job = &next}, {.job = &later}};
    struct weft_settlement item = {
        .job = job, .event = WEFT_JOB_COMPLETE, .follow = follow, .follow_count = 2};
    CHECK_EQUAL(broker->ops->settle(broker, &item, 1), 0);
    CHECK_EQUAL(item.err, 0);
    CHECK_EQUAL(fixture_state(broker, &next.id), WEFT_JOB_AVAILABLE);
    CHECK_EQUAL(fixture_state(broker, &later.id), WEFT_JOB_SCHEDULED);
    weft_job_free(job);
    fixture_close(broker);
}

FIBER_TEST(a_refused_further_job_refuses_the_settlement)
{
    struct weft_broker *broker = fixture_open();
    struct weft_job *job = claimed_job(broker), *other = claimed_job(broker), *found = NULL;
    struct weft_job good = fixture_job_in(broker, "next"), bad = fixture_job_in(broker, "next");
    bad.priority = 99;
    struct weft_enqueue follow[] = {{.job = &good}, {.job = &bad}};
    struct weft_settlement items[] = {
        {.job = job, .event = WEFT_JOB_COMPLETE, .follow = follow, .follow_count = 2},
        {.job = other, .event = WEFT_JOB_COMPLETE}};
    CHECK_EQUAL(broker->ops->settle(broker, items, 2), 0);
    CHECK_EQUAL(items[0].err, -EINVAL);
    CHECK_EQUAL(items[1].err, 0);
    CHECK_EQUAL(fixture_state(broker, &job->id), WEFT_JOB_RUNNING);
    CHECK_EQUAL(broker->ops->find(broker, &good.id, &found), -ENOENT);
    CHECK_EQUAL(fixture_settle(broker, job, WEFT_JOB_RETRY, 0), 0); /* the lease is still good */
    weft_job_free(job);
    weft_job_free(other);
    fixture_close(broker);
}

FIBER_TEST(who_has_lost_the_job_puts_in_nothing)
{
    struct weft_broker *broker = fixture_open();
    struct weft_job *job = claimed_job(broker), *found = NULL;
    job->lease_token++;
    struct weft_job next = fixture_job_in(broker, "next");
    struct weft_enqueue follow = {.job = &next};
    struct weft_settlement item = {
        .job = job, .event = WEFT_JOB_COMPLETE, .follow = &follow, .follow_count = 1};
    CHECK_EQUAL(broker->ops->settle(broker, &item, 1), 0);
    CHECK_EQUAL(item.err, -ESTALE);
    CHECK_EQUAL(broker->ops->find(broker, &next.id, &found), -ENOENT);
    weft_job_free(job);
    fixture_close(broker);
}

/* --- progress --- */

FIBER_TEST(progress_is_stored_while_the_lease_is_held)
{
    struct weft_broker *broker = fixture_open();
    struct weft_job *job = claimed_job(broker);
    struct weft_lease lease = {
        .id = job->id, .token = job->lease_token, .progress = "{\"fraction\":0.5}"};
    CHECK_EQUAL(broker->ops->extend(broker, &lease, 1), 0);
    CHECK_EQUAL(lease.err, 0);
    lease.token++;
    lease.progress = "{\"fraction\":0.9}";
    CHECK_EQUAL(broker->ops->extend(broker, &lease, 1), 0);
    CHECK_EQUAL(lease.err, -ESTALE);
    struct weft_job *found = fixture_find(broker, &job->id);
    CHECK(found->progress && strcmp(found->progress, "{\"fraction\":0.5}") == 0);
    weft_job_free(found);
    char *large = malloc(WEFT_JOB_PROGRESS_MAX + 2);
    REQUIRE(large);
    memset(large, ' ', WEFT_JOB_PROGRESS_MAX + 1);
    large[WEFT_JOB_PROGRESS_MAX + 1] = '\0';
    lease = (struct weft_lease){.id = job->id, .token = job->lease_token, .progress = large};
    CHECK_EQUAL(broker->ops->extend(broker, &lease, 1), 0);
    CHECK_EQUAL(lease.err, -EMSGSIZE);
    free(large);
    weft_job_free(job);
    fixture_close(broker);
}

/* --- cancelling --- */

static int cancel(struct weft_broker *broker, const struct weft_uuid *id,
                  struct weft_cancel *ret_cancel)
{
    struct weft_cancel call = {.kind = WEFT_CANCEL_JOB, .id = *id, .reason = "not wanted"};
    int err = broker->ops->cancel(broker, &call);
    if (ret_cancel)
        *ret_cancel = call;
    return err;
}

FIBER_TEST(a_waiting_job_is_cancelled_at_once)
{
    struct weft_broker *broker = fixture_open();
    NEEDS_CAPABILITY(broker, WEFT_BROKER_MANAGES);
    struct weft_uuid available = fixture_put(broker, "default");
    struct weft_job later = fixture_job(broker);
    later.run_at_us += MINUTE_US;
    CHECK_EQUAL(fixture_enqueue(broker, &later), 0);
    struct weft_cancel result;
    CHECK_EQUAL(cancel(broker, &available, &result), 0);
    CHECK_EQUAL(result.cancelled, 1);
    CHECK_EQUAL(result.flagged, 0);
    CHECK_EQUAL(result.state, WEFT_JOB_CANCELLED);
    CHECK_EQUAL(cancel(broker, &later.id, NULL), 0);
    CHECK_EQUAL(fixture_finish_all(broker, "default"), 0);
    struct weft_job *found = fixture_find(broker, &available);
    CHECK_EQUAL(found->state, WEFT_JOB_CANCELLED);
    CHECK(found->error && strcmp(found->error, "not wanted") == 0);
    CHECK(found->finished_us > 0);
    weft_job_free(found);
    CHECK_EQUAL(cancel(broker, &available, NULL), -EALREADY);
    fixture_pass(broker, 2 * MINUTE_US);
    CHECK_EQUAL(fixture_finish_all(broker, "default"), 0);
    fixture_close(broker);
}

FIBER_TEST(a_retry_that_waits_can_be_cancelled)
{
    struct weft_broker *broker = fixture_open();
    NEEDS_CAPABILITY(broker, WEFT_BROKER_MANAGES);
    struct weft_job *job = claimed_job(broker);
    CHECK_EQUAL(fixture_settle(broker, job, WEFT_JOB_RETRY, SECOND_US), 0);
    CHECK_EQUAL(cancel(broker, &job->id, NULL), 0);
    fixture_pass(broker, MINUTE_US);
    CHECK_EQUAL(fixture_finish_all(broker, "default"), 0);
    weft_job_free(job);
    fixture_close(broker);
}

FIBER_TEST(a_running_jobs_worker_is_told_to_stop_and_it_does_not_run_again)
{
    static const enum weft_job_event endings[] = {WEFT_JOB_RETRY, WEFT_JOB_RELEASE, WEFT_JOB_SNOOZE,
                                                  WEFT_JOB_CANCEL};
    struct weft_broker *broker = fixture_open();
    NEEDS_CAPABILITY(broker, WEFT_BROKER_MANAGES);
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        struct weft_job *job = claimed_job(broker);
        struct weft_cancel result;
        CHECK_EQUAL(cancel(broker, &job->id, &result), 0);
        CHECK_EQUAL(result.flagged, 1);
        CHECK_EQUAL(result.state, WEFT_JOB_RUNNING);
        struct weft_job *found = fixture_find(broker, &job->id);
        CHECK(found->cancelling);
        weft_job_free(found);
        struct weft_lease lease = {.id = job->id, .token = job->lease_token};
        CHECK_EQUAL(broker->ops->extend(broker, &lease, 1), 0);
        CHECK(lease.err == 0 && lease.cancelling);
        CHECK_EQUAL(fixture_settle(broker, job, endings[i], 0), 0);
        CHECK_EQUAL(fixture_state(broker, &job->id), WEFT_JOB_CANCELLED);
        weft_job_free(job);
    }
    CHECK_EQUAL(fixture_finish_all(broker, "default"), 0);
    fixture_close(broker);
}

FIBER_TEST(a_job_that_completes_although_it_was_to_be_cancelled_is_completed)
{
    struct weft_broker *broker = fixture_open();
    NEEDS_CAPABILITY(broker, WEFT_BROKER_MANAGES);
    struct weft_job *job = claimed_job(broker);
    CHECK_EQUAL(cancel(broker, &job->id, NULL), 0);
    CHECK_EQUAL(fixture_settle(broker, job, WEFT_JOB_COMPLETE, 0), 0);
    CHECK_EQUAL(fixture_state(broker, &job->id), WEFT_JOB_COMPLETED);
    CHECK_EQUAL(cancel(broker, &job->id, NULL), -EALREADY);
    weft_job_free(job);
    fixture_close(broker);
}

FIBER_TEST(a_lost_job_that_was_to_be_cancelled_does_not_run_again)
{
    struct weft_broker *broker = fixture_open();
    NEEDS_CAPABILITY(broker, WEFT_BROKER_MANAGES);
    struct weft_uuid id = fixture_put(broker, "default");
    struct weft_job *job = fixture_lease(broker, "default", 10 * SECOND_US);
    REQUIRE(job);
    CHECK_EQUAL(cancel(broker, &id, NULL), 0);
    fixture_pass(broker, 11 * SECOND_US);
    CHECK_EQUAL(fixture_state(broker, &id), WEFT_JOB_CANCELLED);
    weft_job_free(job);
    fixture_close(broker);
}

FIBER_TEST(cancelling_what_is_not_there_says_so)
{
    struct weft_broker *broker = fixture_open();
    NEEDS_CAPABILITY(broker, WEFT_BROKER_MANAGES);
    struct weft_job never = fixture_job(broker);
    CHECK_EQUAL(cancel(broker, &never.id, NULL), -ENOENT);
    struct weft_cancel flow = {.kind = WEFT_CANCEL_FLOW, .id = never.id};
    CHECK_EQUAL(broker->ops->cancel(broker, &flow), -ENOENT);
    fixture_close(broker);
}

FIBER_TEST(a_flow_is_cancelled_as_a_whole)
{
    struct weft_broker *broker = fixture_open();
    NEEDS_CAPABILITY(broker, WEFT_BROKER_MANAGES);
    struct weft_job jobs[4];
    for (int i = 0; i < 4; i++) {
        jobs[i] = fixture_job_in(broker, i == 3 ? "elsewhere" : "default");
        if (i != 1)
            jobs[i].flow = jobs[0].id;
        CHECK_EQUAL(fixture_enqueue(broker, &jobs[i]), 0);
    }
    struct weft_job *running = fixture_claim_one(broker, "default");
    CHECK(fixture_same_id(&running->id, &jobs[0].id));
    struct weft_cancel call = {.kind = WEFT_CANCEL_FLOW, .id = jobs[0].id};
    CHECK_EQUAL(broker->ops->cancel(broker, &call), 0);
    CHECK_EQUAL(call.cancelled, 2);
    CHECK_EQUAL(call.flagged, 1);
    CHECK_EQUAL(fixture_state(broker, &jobs[1].id), WEFT_JOB_AVAILABLE);
    CHECK_EQUAL(fixture_state(broker, &jobs[2].id), WEFT_JOB_CANCELLED);
    CHECK_EQUAL(fixture_state(broker, &jobs[3].id), WEFT_JOB_CANCELLED);
    CHECK_EQUAL(fixture_settle(broker, running, WEFT_JOB_RELEASE, 0), 0);
    CHECK_EQUAL(fixture_state(broker, &jobs[0].id), WEFT_JOB_CANCELLED);
    weft_job_free(running);
    fixture_close(broker);
}

FIBER_TEST(a_flow_of_very_many_jobs_is_cancelled_as_a_whole)
{
    enum {
        MANY = 2500
    };
    struct weft_broker *broker = fixture_open();
    NEEDS_CAPABILITY(broker, WEFT_BROKER_MANAGES);
    struct weft_job *jobs = calloc(MANY, sizeof *jobs);
    struct weft_enqueue *items = calloc(MANY, sizeof *items);
    REQUIRE(jobs && items);
    struct weft_after after = {.any_end = false};
    for (int i = 0; i < MANY; i++) {
        jobs[i] = fixture_job(broker);
        jobs[i].flow = jobs[0].id;
        items[i].job = &jobs[i];
    }
    after.id = jobs[0].id;
    for (int i = MANY - 100; i < MANY; i++) {
        items[i].after = &after;
        items[i].after_count = 1;
    }
    CHECK_EQUAL(fixture_enqueue_batch(broker, items, MANY, false), 0);
    struct weft_cancel call = {.kind = WEFT_CANCEL_FLOW, .id = jobs[0].id, .reason = "enough"};
    CHECK_EQUAL(broker->ops->cancel(broker, &call), 0);
    CHECK_EQUAL(call.cancelled, MANY);
    CHECK_EQUAL(call.flagged, 0);
    for (int i = 0; i < MANY; i += MANY - 1) {
        struct weft_job *found = fixture_find(broker, &jobs[i].id);
        CHECK_EQUAL(found->state, WEFT_JOB_CANCELLED);
        CHECK(found->error && strcmp(found->error, "enough") == 0);
        weft_job_free(found);
    }
    CHECK_EQUAL(fixture_finish_all(broker, "default"), 0);
    CHECK_EQUAL(broker->ops->cancel(broker, &call), -EALREADY);
    free(jobs);
    free(items);
    fixture_close(broker);
}

/* --- by hand --- */

FIBER_TEST(a_dead_job_can_begin_again_with_all_its_attempts)
{
    struct weft_broker *broker = fixture_open();
    NEEDS_CAPABILITY(broker, WEFT_BROKER_MANAGES);
    struct weft_uuid id = fixture_put(broker, "default");
    fixture_claim_and_settle(broker, "default", WEFT_JOB_DIE);
    enum weft_job_state state = WEFT_JOB_NONE;
    CHECK_EQUAL(broker->ops->retry(broker, &id, &state), 0);
    CHECK_EQUAL(state, WEFT_JOB_AVAILABLE);
    struct weft_job *job = fixture_claim_one(broker, "default");
    CHECK(fixture_same_id(&job->id, &id));
    CHECK_EQUAL(job->attempts_max - job->attempt, 2); /* three attempts, this is the first */
    CHECK_EQUAL(fixture_settle(broker, job, WEFT_JOB_COMPLETE, 0), 0);
    weft_job_free(job);
    struct weft_job *found = fixture_find(broker, &id);
    CHECK_EQUAL(found->state, WEFT_JOB_COMPLETED);
    weft_job_free(found);
    fixture_close(broker);
}

FIBER_TEST(a_cancelled_job_can_begin_again)
{
    struct weft_broker *broker = fixture_open();
    NEEDS_CAPABILITY(broker, WEFT_BROKER_MANAGES);
    struct weft_uuid id = fixture_put(broker, "default");
    enum weft_job_state state;
    CHECK_EQUAL(cancel(broker, &id, NULL), 0);
    CHECK_EQUAL(broker->ops->retry(broker, &id, &state), 0);
    CHECK_EQUAL(fixture_finish_all(broker, "default"), 1);
    fixture_close(broker);
}

FIBER_TEST(what_waits_for_its_time_can_run_now)
{
    struct weft_broker *broker = fixture_open();
    NEEDS_CAPABILITY(broker, WEFT_BROKER_MANAGES);
    struct weft_job later = fixture_job(broker);
    later.run_at_us += 3600 * SECOND_US;
    CHECK_EQUAL(fixture_enqueue(broker, &later), 0);
    enum weft_job_state state = WEFT_JOB_NONE;
    CHECK_EQUAL(broker->ops->retry(broker, &later.id, &state), 0);
    CHECK_EQUAL(state, WEFT_JOB_AVAILABLE);
    struct weft_job *job = fixture_claim_one(broker, "default");
    CHECK_EQUAL(fixture_settle(broker, job, WEFT_JOB_RETRY, 3600 * SECOND_US), 0);
    CHECK_EQUAL(broker->ops->retry(broker, &later.id, &state), 0);
    weft_job_free(job);
    job = fixture_claim_one(broker, "default");
    CHECK_EQUAL(job->attempt, 2);
    weft_job_free(job);
    fixture_close(broker);
}

FIBER_TEST(a_job_that_runs_or_is_completed_is_not_begun_again)
{
    struct weft_broker *broker = fixture_open();
    NEEDS_CAPABILITY(broker, WEFT_BROKER_MANAGES);
    struct weft_job *job = claimed_job(broker), never = fixture_job(broker);
    enum weft_job_state state = WEFT_JOB_NONE;
    CHECK_EQUAL(broker->ops->retry(broker, &job->id, &state), -EALREADY);
    CHECK_EQUAL(state, WEFT_JOB_RUNNING);
    CHECK_EQUAL(fixture_settle(broker, job, WEFT_JOB_COMPLETE, 0), 0);
    CHECK_EQUAL(broker->ops->retry(broker, &job->id, &state), -EALREADY);
    CHECK_EQUAL(state, WEFT_JOB_COMPLETED);
    CHECK_EQUAL(broker->ops->retry(broker, &never.id, &state), -ENOENT);
    weft_job_free(job);
    fixture_close(broker);
}

/* --- a caller that is cancelled --- */

static struct weft_broker *shared_broker;
static bool settled;

static int settle_when_cancelled(void *arg)
{
    (void)arg;
    struct weft_job *job = claimed_job(shared_broker);
    CHECK_EQUAL(weft_sleep(100 * WEFT_SEC), -ECANCELED);
    CHECK_EQUAL(fixture_settle(shared_broker, job, WEFT_JOB_RELEASE, 0), 0);
    settled = true;
    weft_job_free(job);
    return 0;
}

FIBER_TEST(a_cancelled_fiber_can_still_settle)
{
    shared_broker = fixture_open();
    settled = false;
    struct weft_group group;
    REQUIRE(weft_group_init(&group, NULL) == 0);
    REQUIRE(weft_spawn(&group, settle_when_cancelled, NULL) == 0);
    (void)weft_sleep(WEFT_SEC);
    weft_group_cancel(&group, 0);
    (void)weft_group_wait(&group);
    CHECK(settled);
    CHECK_EQUAL(fixture_finish_all(shared_broker, "default"), 1);
    fixture_close(shared_broker);
}
