/* SPDX-License-Identifier: MIT
 * conformance_put.c - what every broker must do with jobs that are put in. */
#include "fixture.h"

#include <weft/group.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void check_text(const char *actual, const char *expected)
{
    CHECK(actual && strcmp(actual, expected) == 0);
}

FIBER_TEST(find_gives_back_what_was_put_in)
{
    struct weft_broker *broker = fixture_open();
    struct weft_job asked = fixture_job_in(broker, "reports.eu");
    asked.priority = 7;
    asked.attempts_max = 11;
    asked.expires_us = asked.created_us + 90 * SECOND_US;
    asked.timeout_us = 5 * SECOND_US;
    asked.grace_us = 2 * SECOND_US;
    asked.result_ttl_us = 3600 * SECOND_US;
    asked.backoff = (struct weft_job_backoff){WEFT_BACKOFF_LINEAR, WEFT_JITTER_EQUAL, SECOND_US,
                                              30 * SECOND_US};
    asked.flow = asked.id;
    asked.limit_key = "customer 7";
    asked.headers = "{\"traceparent\":\"00-1-2-01\"}";
    asked.content_type = "text/plain";
    asked.payload = (struct weft_bytes){"plain", 5, false};
    CHECK_EQUAL(fixture_enqueue(broker, &asked), 0);
    struct weft_job *found = fixture_find(broker, &asked.id);
    CHECK(fixture_same_id(&found->id, &asked.id));
    check_text(found->task, "process");
    check_text(found->queue, "reports.eu");
    CHECK_EQUAL(found->priority, 7);
    CHECK_EQUAL(found->attempts_max, 11);
    CHECK_EQUAL(found->created_us, asked.created_us);
    CHECK_EQUAL(found->run_at_us, asked.run_at_us);
    CHECK_EQUAL(found->expires_us, asked.expires_us);
    CHECK_EQUAL(found->timeout_us, asked.timeout_us);
    CHECK_EQUAL(found->grace_us, asked.grace_us);
    CHECK_EQUAL(found->result_ttl_us, asked.result_ttl_us);
    CHECK_EQUAL(found->backoff.kind, WEFT_BACKOFF_LINEAR);
    CHECK_EQUAL(found->backoff.jitter, WEFT_JITTER_EQUAL);
    CHECK_EQUAL(found->backoff.base_us, SECOND_US);
    CHECK_EQUAL(found->backoff.cap_us, 30 * SECOND_US);
    CHECK(fixture_same_id(&found->flow, &asked.flow));
    check_text(found->limit_key, "customer 7");
    check_text(found->headers, asked.headers);
    check_text(found->content_type, "text/plain");
    CHECK(!found->payload.json && found->payload.len == 5);
    CHECK(memcmp(found->payload.data, "plain", 5) == 0);
    CHECK_EQUAL(found->state, WEFT_JOB_AVAILABLE);
    CHECK_EQUAL(found->attempt, 0);
    CHECK_EQUAL(found->crashes, 0);
    CHECK_EQUAL(found->lease_token, 0);
    CHECK_EQUAL(found->started_us, 0);
    CHECK_EQUAL(found->finished_us, 0);
    CHECK(!found->result.data && !found->error && !found->progress && !found->cancelling);
    weft_job_free(found);
    fixture_close(broker);
}

FIBER_TEST(a_claim_hands_over_everything_a_task_may_ask_for)
{
    struct weft_broker *broker = fixture_open();
    struct weft_job asked = fixture_job(broker);
    asked.timeout_us = 5 * SECOND_US;
    asked.grace_us = SECOND_US;
    asked.backoff.base_us = 7;
    asked.backoff.cap_us = 70;
    asked.headers = "{\"a\":\"b\"}";
    asked.limit_key = "k";
    asked.content_type = "application/x";
    asked.payload = (struct weft_bytes){"\0\1", 2, false};
    CHECK_EQUAL(fixture_enqueue(broker, &asked), 0);
    struct weft_job *job = fixture_claim_one(broker, "default");
    CHECK_EQUAL(job->timeout_us, 5 * SECOND_US);
    CHECK_EQUAL(job->grace_us, SECOND_US);
    CHECK_EQUAL(job->backoff.base_us, 7);
    CHECK_EQUAL(job->backoff.cap_us, 70);
    check_text(job->headers, "{\"a\":\"b\"}");
    check_text(job->content_type, "application/x");
    check_text(job->task, "process");
    check_text(job->queue, "default");
    CHECK_EQUAL(job->attempts_max, 3);
    CHECK_EQUAL(job->created_us, asked.created_us);
    CHECK(job->payload.len == 2 && memcmp(job->payload.data, "\0\1", 2) == 0);
    weft_job_free(job);
    fixture_close(broker);
}

FIBER_TEST(find_of_an_unknown_id_says_so)
{
    struct weft_broker *broker = fixture_open();
    struct weft_job job = fixture_job(broker), *found = NULL;
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
    struct weft_job a = fixture_job(broker), b = fixture_job(broker), again = a;
    again.payload.len = 0;
    struct weft_enqueue items[] = {{.job = &a}, {.job = &again}, {.job = &b}};
    CHECK_EQUAL(fixture_enqueue_batch(broker, items, 3, false), 0);
    CHECK_EQUAL(items[0].err, 0);
    CHECK_EQUAL(items[1].err, -EEXIST);
    CHECK_EQUAL(items[2].err, 0);
    struct weft_job *found = fixture_find(broker, &a.id);
    CHECK_EQUAL(found->payload.len, a.payload.len);
    weft_job_free(found);
    CHECK_EQUAL(fixture_finish_all(broker, "default"), 2);
    fixture_close(broker);
}

static void check_payload(struct weft_broker *broker, const char *data, size_t len, bool json)
{
    struct weft_job job = fixture_job(broker);
    job.payload = (struct weft_bytes){data, len, json};
    CHECK_EQUAL(fixture_enqueue(broker, &job), 0);
    struct weft_job *claimed = fixture_claim_one(broker, "default");
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
    struct weft_job large = fixture_job(broker), small = fixture_job(broker);
    large.payload = (struct weft_bytes){data, WEFT_JOB_PAYLOAD_MAX + 1, false};
    struct weft_enqueue items[] = {{.job = &large}, {.job = &small}};
    CHECK_EQUAL(fixture_enqueue_batch(broker, items, 2, false), 0);
    CHECK_EQUAL(items[0].err, -EMSGSIZE);
    CHECK_EQUAL(items[1].err, 0);
    free(data);
    fixture_close(broker);
}

FIBER_TEST(names_priorities_and_attempts_out_of_range_are_refused_alone)
{
    struct weft_broker *broker = fixture_open();
    char long_name[WEFT_JOB_NAME_MAX + 2];
    memset(long_name, 'n', sizeof long_name - 1);
    long_name[sizeof long_name - 1] = '\0';
    struct weft_job jobs[6];
    for (int i = 0; i < 6; i++)
        jobs[i] = fixture_job(broker);
    jobs[0].task = "";
    jobs[1].queue = "with space";
    jobs[2].priority = WEFT_PRIORITY_LAST + 1;
    jobs[3].attempts_max = 0;
    jobs[4].task = long_name;
    struct weft_enqueue items[6] = {{0}};
    for (int i = 0; i < 6; i++)
        items[i].job = &jobs[i];
    CHECK_EQUAL(fixture_enqueue_batch(broker, items, 6, false), 0);
    for (int i = 0; i < 5; i++)
        CHECK_EQUAL(items[i].err, -EINVAL);
    CHECK_EQUAL(items[5].err, 0);
    long_name[WEFT_JOB_NAME_MAX] = '\0';
    struct weft_job longest = fixture_job_in(broker, long_name);
    longest.task = long_name;
    CHECK_EQUAL(fixture_enqueue(broker, &longest), 0);
    fixture_close(broker);
}

FIBER_TEST(a_job_for_later_is_scheduled)
{
    struct weft_broker *broker = fixture_open();
    struct weft_job later = fixture_job(broker), *job = NULL;
    later.run_at_us += 10 * SECOND_US;
    struct weft_enqueue item = {.job = &later};
    CHECK_EQUAL(fixture_enqueue_item(broker, &item), 0);
    CHECK_EQUAL(item.state, WEFT_JOB_SCHEDULED);
    CHECK_EQUAL(item.waiting, 1);
    CHECK_EQUAL(fixture_claim(broker, "default", &job, 1), 0);
    fixture_pass(broker, 9 * SECOND_US);
    CHECK_EQUAL(fixture_claim(broker, "default", &job, 1), 0);
    fixture_pass(broker, SECOND_US);
    job = fixture_claim_one(broker, "default");
    CHECK(fixture_same_id(&job->id, &later.id));
    weft_job_free(job);
    fixture_close(broker);
}

/* --- claimed at once --- */

FIBER_TEST(enqueue_can_claim_in_the_same_step)
{
    struct weft_broker *broker = fixture_open();
    NEEDS_CAPABILITY(broker, WEFT_BROKER_CLAIMS_ON_ENQUEUE);
    struct weft_job asked = fixture_job(broker), *other;
    struct weft_enqueue item = {.job = &asked, .claim = true};
    CHECK_EQUAL(fixture_enqueue_item(broker, &item), 0);
    CHECK(item.claimed && item.lease_token != 0);
    CHECK_EQUAL(item.state, WEFT_JOB_RUNNING);
    CHECK_EQUAL(item.waiting, 0);
    CHECK_EQUAL(fixture_claim(broker, "default", &other, 1), 0);
    struct weft_job *found = fixture_find(broker, &asked.id);
    CHECK_EQUAL(found->state, WEFT_JOB_RUNNING);
    CHECK_EQUAL(found->attempt, 1);
    CHECK_EQUAL(found->lease_token, item.lease_token);
    CHECK_EQUAL(fixture_settle(broker, found, WEFT_JOB_COMPLETE, 0), 0);
    weft_job_free(found);
    fixture_close(broker);
}

static bool is_claimed_at_once(struct weft_broker *broker, const struct weft_job *job)
{
    struct weft_enqueue item = {.job = job, .claim = true};
    CHECK_EQUAL(fixture_enqueue_item(broker, &item), 0);
    CHECK_EQUAL(item.claimed, item.state == WEFT_JOB_RUNNING);
    return item.claimed;
}

FIBER_TEST(a_job_is_not_claimed_at_once_past_one_that_waits)
{
    struct weft_broker *broker = fixture_open();
    NEEDS_CAPABILITY(broker, WEFT_BROKER_CLAIMS_ON_ENQUEUE);
    struct weft_uuid first = fixture_put(broker, "default");
    struct weft_job second = fixture_job(broker), elsewhere = fixture_job_in(broker, "other");
    CHECK(!is_claimed_at_once(broker, &second));
    CHECK(is_claimed_at_once(broker, &elsewhere));
    struct weft_job *job = fixture_claim_one(broker, "default");
    CHECK(fixture_same_id(&job->id, &first));
    weft_job_free(job);
    fixture_close(broker);
}

FIBER_TEST(a_job_that_must_wait_is_not_claimed_at_once)
{
    struct weft_broker *broker = fixture_open();
    NEEDS_CAPABILITY(broker, WEFT_BROKER_CLAIMS_ON_ENQUEUE | WEFT_BROKER_MANAGES);
    struct weft_job later = fixture_job(broker);
    later.run_at_us += SECOND_US;
    CHECK(!is_claimed_at_once(broker, &later));
    fixture_limit(broker, "paused", &(struct weft_queue_settings){.paused = true});
    struct weft_job paused = fixture_job_in(broker, "paused");
    CHECK(!is_claimed_at_once(broker, &paused));
    fixture_limit(broker, "one", &(struct weft_queue_settings){.running_max = 1});
    struct weft_job a = fixture_job_in(broker, "one"), b = fixture_job_in(broker, "one");
    CHECK(is_claimed_at_once(broker, &a));
    CHECK(!is_claimed_at_once(broker, &b));
    fixture_close(broker);
}

/* --- all or none, and bounds --- */

FIBER_TEST(an_atomic_batch_is_put_in_as_a_whole_or_not_at_all)
{
    struct weft_broker *broker = fixture_open();
    struct weft_job a = fixture_job(broker), b = fixture_job(broker), c = fixture_job(broker);
    b.priority = 99;
    struct weft_enqueue items[] = {{.job = &a}, {.job = &b}, {.job = &c}};
    CHECK_EQUAL(fixture_enqueue_batch(broker, items, 3, true), 0);
    CHECK_EQUAL(items[0].err, -ECANCELED);
    CHECK_EQUAL(items[1].err, -EINVAL);
    CHECK_EQUAL(items[2].err, -ECANCELED);
    CHECK_EQUAL(fixture_finish_all(broker, "default"), 0);
    b.priority = 9;
    CHECK_EQUAL(fixture_enqueue_batch(broker, items, 3, true), 0);
    for (int i = 0; i < 3; i++)
        CHECK_EQUAL(items[i].err, 0);
    CHECK_EQUAL(fixture_finish_all(broker, "default"), 3);
    fixture_close(broker);
}

FIBER_TEST(of_a_refused_atomic_batch_all_that_are_there_already_are_named)
{
    struct weft_broker *broker = fixture_open();
    struct weft_job jobs[4];
    struct weft_enqueue items[4] = {{0}};
    static const char *const keys[] = {"new", "a", NULL, "b"};
    for (int i = 0; i < 4; i++) {
        jobs[i] = fixture_job(broker);
        jobs[i].unique_key = keys[i];
        items[i].job = &jobs[i];
    }
    CHECK_EQUAL(fixture_enqueue(broker, &jobs[1]), 0);
    CHECK_EQUAL(fixture_enqueue(broker, &jobs[3]), 0);
    struct weft_job again[2] = {fixture_job(broker), fixture_job(broker)};
    again[0].unique_key = "a";
    again[1].unique_key = "b";
    items[1].job = &again[0];
    items[3].job = &again[1];
    CHECK_EQUAL(fixture_enqueue_batch(broker, items, 4, true), 0);
    CHECK_EQUAL(items[0].err, -ECANCELED);
    CHECK_EQUAL(items[1].err, WEFT_EDUPLICATE);
    CHECK_EQUAL(items[2].err, -ECANCELED);
    CHECK_EQUAL(items[3].err, WEFT_EDUPLICATE);
    CHECK(memcmp(&items[1].same, &jobs[1].id, sizeof jobs[1].id) == 0);
    CHECK(memcmp(&items[3].same, &jobs[3].id, sizeof jobs[3].id) == 0);
    /* One that doubles another of the batch is nowhere. */
    struct weft_enqueue doubled[] = {{.job = &jobs[0]}, {.job = &again[0]}};
    again[0].unique_key = "new";
    CHECK_EQUAL(fixture_enqueue_batch(broker, doubled, 2, true), 0);
    CHECK_EQUAL(doubled[0].err, -ECANCELED);
    CHECK_EQUAL(doubled[1].err, WEFT_EDUPLICATE);
    CHECK(weft_uuid_is_none(&doubled[1].same));
    CHECK_EQUAL(fixture_finish_all(broker, "default"), 2);
    fixture_close(broker);
}

FIBER_TEST(a_refused_atomic_batch_leaves_no_trace_in_counts_and_keys)
{
    struct weft_broker *broker = fixture_open();
    NEEDS_CAPABILITY(broker, WEFT_BROKER_MANAGES);
    struct weft_job a = fixture_job(broker), b = fixture_job(broker);
    a.unique_key = "k";
    b.priority = 99;
    struct weft_enqueue items[] = {{.job = &a}, {.job = &b}};
    uint64_t before = broker->ops->events_last(broker);
    CHECK_EQUAL(fixture_enqueue_batch(broker, items, 2, true), 0);
    struct weft_queue_info info;
    int err = broker->ops->queue_find(broker, "default", &info);
    CHECK(err == -ENOENT || (err == 0 && info.jobs[WEFT_JOB_AVAILABLE] == 0));
    CHECK_EQUAL(broker->ops->events_last(broker), before);
    CHECK_EQUAL(fixture_enqueue(broker, &a), 0); /* the key is free */
    fixture_close(broker);
}

FIBER_TEST(a_queue_takes_no_more_than_its_size)
{
    struct weft_broker *broker = fixture_open();
    NEEDS_CAPABILITY(broker, WEFT_BROKER_MANAGES);
    fixture_limit(broker, "small", &(struct weft_queue_settings){.size_max = 2});
    struct weft_job jobs[4];
    struct weft_enqueue items[4] = {{0}};
    for (int i = 0; i < 4; i++) {
        jobs[i] = fixture_job_in(broker, i == 2 ? "large" : "small");
        items[i].job = &jobs[i];
    }
    jobs[1].run_at_us += SECOND_US; /* what waits for its time takes a place as well */
    CHECK_EQUAL(fixture_enqueue_batch(broker, items, 4, false), 0);
    CHECK_EQUAL(items[0].err, 0);
    CHECK_EQUAL(items[1].err, 0);
    CHECK_EQUAL(items[2].err, 0);
    CHECK_EQUAL(items[3].err, WEFT_EFULL);
    struct weft_job *running = fixture_claim_one(broker, "small");
    CHECK_EQUAL(fixture_enqueue(broker, &jobs[3]), 0); /* what runs takes none */
    weft_job_free(running);
    fixture_close(broker);
}

/* --- unique jobs --- */

static int put_unique(struct weft_broker *broker, const char *key, const struct weft_unique *unique,
                      struct weft_uuid *ret_same)
{
    struct weft_job job = fixture_job(broker);
    job.unique_key = key;
    struct weft_enqueue item = {.job = &job, .unique = unique};
    int err = fixture_enqueue_item(broker, &item);
    if (ret_same)
        *ret_same = err ? item.same : job.id;
    return err;
}

FIBER_TEST(a_unique_job_is_there_once_while_it_is_unfinished)
{
    struct weft_broker *broker = fixture_open();
    struct weft_uuid first, same;
    CHECK_EQUAL(put_unique(broker, "a", NULL, &first), 0);
    CHECK_EQUAL(put_unique(broker, "a", NULL, &same), WEFT_EDUPLICATE);
    CHECK(fixture_same_id(&first, &same));
    CHECK_EQUAL(put_unique(broker, "b", NULL, NULL), 0);
    struct weft_job *job = fixture_claim_one(broker, "default");
    CHECK_EQUAL(put_unique(broker, "a", NULL, NULL), WEFT_EDUPLICATE); /* it runs */
    CHECK_EQUAL(fixture_settle(broker, job, WEFT_JOB_RETRY, MINUTE_US), 0);
    CHECK_EQUAL(put_unique(broker, "a", NULL, NULL), WEFT_EDUPLICATE); /* it waits for a retry */
    weft_job_free(job);
    fixture_pass(broker, MINUTE_US);
    CHECK_EQUAL(fixture_finish_all(broker, "default"), 2);
    CHECK_EQUAL(put_unique(broker, "a", NULL, NULL), 0);
    fixture_close(broker);
}

FIBER_TEST(two_of_a_kind_in_one_batch_count_as_well)
{
    struct weft_broker *broker = fixture_open();
    struct weft_job a = fixture_job(broker), b = fixture_job(broker);
    a.unique_key = b.unique_key = "k";
    struct weft_enqueue items[] = {{.job = &a}, {.job = &b}};
    CHECK_EQUAL(fixture_enqueue_batch(broker, items, 2, false), 0);
    CHECK_EQUAL(items[0].err, 0);
    CHECK_EQUAL(items[1].err, WEFT_EDUPLICATE);
    CHECK(fixture_same_id(&items[1].same, &a.id));
    CHECK_EQUAL(fixture_finish_all(broker, "default"), 1);
    fixture_close(broker);
}

FIBER_TEST(within_its_window_a_completed_unique_job_counts)
{
    struct weft_broker *broker = fixture_open();
    const struct weft_unique hour = {.window_us = 60 * MINUTE_US};
    CHECK_EQUAL(put_unique(broker, "k", &hour, NULL), 0);
    CHECK_EQUAL(fixture_finish_all(broker, "default"), 1);
    fixture_pass(broker, 59 * MINUTE_US);
    CHECK_EQUAL(put_unique(broker, "k", &hour, NULL), WEFT_EDUPLICATE);
    fixture_pass(broker, 2 * MINUTE_US);
    CHECK_EQUAL(put_unique(broker, "k", &hour, NULL), 0);
    fixture_close(broker);
}

FIBER_TEST(after_its_window_an_unfinished_unique_job_counts_no_more)
{
    struct weft_broker *broker = fixture_open();
    const struct weft_unique minute = {.window_us = MINUTE_US};
    CHECK_EQUAL(put_unique(broker, "k", &minute, NULL), 0);
    CHECK_EQUAL(put_unique(broker, "k", &minute, NULL), WEFT_EDUPLICATE);
    fixture_pass(broker, MINUTE_US + SECOND_US);
    CHECK_EQUAL(put_unique(broker, "k", &minute, NULL), 0);
    fixture_close(broker);
}

FIBER_TEST(unique_counts_in_the_states_it_names)
{
    struct weft_broker *broker = fixture_open();
    const struct weft_unique waiting = {.states = 1u << WEFT_JOB_AVAILABLE};
    const struct weft_unique dead = {.states = 1u << WEFT_JOB_DEAD};
    CHECK_EQUAL(put_unique(broker, "k", &waiting, NULL), 0);
    CHECK_EQUAL(put_unique(broker, "k", &waiting, NULL), WEFT_EDUPLICATE);
    fixture_claim_and_settle(broker, "default", WEFT_JOB_DIE);
    CHECK_EQUAL(put_unique(broker, "k", &dead, NULL), WEFT_EDUPLICATE);
    CHECK_EQUAL(put_unique(broker, "k", &waiting, NULL), 0);
    fixture_close(broker);
}

static struct weft_broker *shared_broker;
static unsigned succeeded;

static int put_in_one(void *arg)
{
    (void)arg;
    succeeded += put_unique(shared_broker, "race", NULL, NULL) == 0;
    return 0;
}

FIBER_TEST(of_many_that_put_in_the_same_unique_job_one_succeeds)
{
    shared_broker = fixture_open();
    succeeded = 0;
    struct weft_group group;
    REQUIRE(weft_group_init(&group, NULL) == 0);
    for (int i = 0; i < 50; i++)
        REQUIRE(weft_spawn(&group, put_in_one, NULL) == 0);
    CHECK_EQUAL(weft_group_wait(&group), 0);
    CHECK_EQUAL(succeeded, 1);
    CHECK_EQUAL(fixture_finish_all(shared_broker, "default"), 1);
    fixture_close(shared_broker);
}

/* --- many at once --- */

#define FIBERS   100
#define PER_EACH 20

static int put_in_some(void *arg)
{
    (void)arg;
    for (int i = 0; i < PER_EACH; i++)
        (void)fixture_put(shared_broker, "default");
    return 0;
}

FIBER_TEST(many_fibers_put_in_at_once_and_nothing_is_lost)
{
    shared_broker = fixture_open();
    struct weft_group group;
    REQUIRE(weft_group_init(&group, NULL) == 0);
    for (int i = 0; i < FIBERS; i++)
        REQUIRE(weft_spawn(&group, put_in_some, NULL) == 0);
    CHECK_EQUAL(weft_group_wait(&group), 0);
    CHECK_EQUAL(fixture_finish_all(shared_broker, "default"), FIBERS * PER_EACH);
    fixture_close(shared_broker);
}
