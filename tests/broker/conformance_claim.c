/* SPDX-License-Identifier: MIT
 * conformance_claim.c - who gets which job, and for how long. */
#include "fixture.h"

#include <weft/group.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

FIBER_TEST(claim_goes_by_priority_then_time_then_age)
{
    struct weft_broker *broker = fixture_open();
    (void)weft_sleep(WEFT_SEC);
    struct weft_job jobs[5];
    for (int i = 0; i < 5; i++)
        jobs[i] = fixture_job(broker);
    jobs[0].priority = 9;
    jobs[1].run_at_us -= 1000;
    jobs[4].priority = 0;
    static const int order[] = {4, 1, 2, 3, 0};
    for (int i = 4; i >= 0; i--) /* the order of arrival does not matter */
        CHECK_EQUAL(fixture_enqueue(broker, &jobs[i]), 0);
    struct weft_job *claimed[8];
    REQUIRE(fixture_claim(broker, "default", claimed, 2) == 2); /* no more than asked for */
    REQUIRE(fixture_claim(broker, "default", claimed + 2, 6) == 3);
    for (int i = 0; i < 5; i++) {
        CHECK(fixture_same_id(&claimed[i]->id, &jobs[order[i]].id));
        weft_job_free(claimed[i]);
    }
    CHECK_EQUAL(fixture_claim(broker, "default", claimed, 8), 0);
    fixture_close(broker);
}

FIBER_TEST(claim_takes_from_the_queues_it_names_in_their_order)
{
    struct weft_broker *broker = fixture_open();
    struct weft_uuid a = fixture_put(broker, "a"), b = fixture_put(broker, "b");
    struct weft_uuid c = fixture_put(broker, "c");
    struct weft_job *jobs[4];
    CHECK_EQUAL(fixture_claim(broker, "nobody-knows-it", jobs, 4), 0);
    static const char *const queues[] = {"c", "nobody-knows-it", "a"};
    struct weft_claim claim = {.queues = queues, .queues_count = 3, .jobs_max = 4, .jobs = jobs};
    claim.lease_us = 60 * SECOND_US;
    CHECK_EQUAL(broker->ops->claim(broker, &claim), 0);
    REQUIRE(claim.count == 2);
    CHECK(fixture_same_id(&jobs[0]->id, &c));
    CHECK(fixture_same_id(&jobs[1]->id, &a));
    CHECK(strcmp(jobs[0]->queue, "c") == 0);
    CHECK(!claim.more);
    CHECK_EQUAL(fixture_state(broker, &b), WEFT_JOB_AVAILABLE);
    weft_job_free(jobs[0]);
    weft_job_free(jobs[1]);
    fixture_close(broker);
}

static struct weft_claim claim_of(const char *const *tasks, size_t count, struct weft_job **jobs,
                                  unsigned jobs_max)
{
    static const char *const queue = "default";
    return (struct weft_claim){.queues = &queue,
                               .queues_count = 1,
                               .tasks = tasks,
                               .tasks_count = count,
                               .jobs = jobs,
                               .jobs_max = jobs_max,
                               .lease_us = MINUTE_US};
}

static unsigned claim_tasks(struct weft_broker *broker, const char *const *tasks, size_t count,
                            struct weft_job **jobs, unsigned jobs_max, int64_t *ret_next_us)
{
    struct weft_claim claim = claim_of(tasks, count, jobs, jobs_max);
    CHECK_EQUAL(broker->ops->claim(broker, &claim), 0);
    CHECK(!claim.more);
    *ret_next_us = claim.next_us;
    return claim.count;
}

/* Come again as it says, at most so many times. Returns NULL when none came by then. */
static struct weft_job *claim_in_the_end(struct weft_broker *broker, const char *task, int calls)
{
    struct weft_job *job = NULL;
    struct weft_claim claim = claim_of(&task, 1, &job, 1);
    do {
        CHECK_EQUAL(broker->ops->claim(broker, &claim), 0);
        if (claim.count == 0 && !claim.more && claim.next_us < MINUTE_US)
            (void)weft_sleep(claim.next_us * 1000);
        else if (claim.count == 0 && !claim.more)
            return NULL;
    } while (claim.count == 0 && --calls > 0);
    return claim.count > 0 ? job : NULL;
}

/* The same, of one that must be this. */
static void check_next(struct weft_broker *broker, const char *task, const struct weft_uuid *id)
{
    struct weft_job *job = claim_in_the_end(broker, task, 100);
    CHECK(job && fixture_same_id(&job->id, id));
    weft_job_free(job);
}

static struct weft_uuid put_task(struct weft_broker *broker, const char *task, int priority)
{
    struct weft_job job = fixture_job(broker);
    job.task = task;
    job.priority = (uint8_t)priority;
    CHECK_EQUAL(fixture_enqueue(broker, &job), 0);
    return job.id;
}

FIBER_TEST(a_claim_takes_only_jobs_of_the_tasks_it_names)
{
    static const char *const tasks[] = {"b", "nobody-knows-it", "c"};
    struct weft_broker *broker = fixture_open();
    NEEDS_CAPABILITY(broker, WEFT_BROKER_CHOOSES);
    struct weft_uuid a = put_task(broker, "a", 0), c = put_task(broker, "c", 1);
    struct weft_uuid b = put_task(broker, "b", 2), late = put_task(broker, "a", 3);
    struct weft_job *jobs[4];
    int64_t next_us;
    CHECK_EQUAL(claim_tasks(broker, tasks, 0, jobs, 4, &next_us), 0);
    CHECK_EQUAL(claim_tasks(broker, tasks + 1, 1, jobs, 4, &next_us), 0);
    REQUIRE(claim_tasks(broker, tasks, 3, jobs, 4, &next_us) == 2);
    CHECK_EQUAL(next_us, INT64_MAX);
    CHECK(fixture_same_id(&jobs[0]->id, &c));
    CHECK(fixture_same_id(&jobs[1]->id, &b));
    CHECK_EQUAL(fixture_state(broker, &a), WEFT_JOB_AVAILABLE);
    CHECK_EQUAL(fixture_state(broker, &late), WEFT_JOB_AVAILABLE);
    weft_job_free(jobs[0]);
    weft_job_free(jobs[1]);
    CHECK_EQUAL(fixture_claim(broker, "default", jobs, 4), 2);
    CHECK(fixture_same_id(&jobs[0]->id, &a));
    weft_job_free(jobs[0]);
    weft_job_free(jobs[1]);
    fixture_close(broker);
}

static void put_tasks(struct weft_broker *broker, const char *task, int priority, int count)
{
    struct weft_job *jobs = calloc((size_t)count, sizeof *jobs);
    struct weft_enqueue *items = calloc((size_t)count, sizeof *items);
    REQUIRE(jobs && items);
    for (int i = 0; i < count; i++) {
        jobs[i] = fixture_job(broker);
        jobs[i].task = task;
        jobs[i].priority = (uint8_t)priority;
        items[i].job = &jobs[i];
    }
    CHECK_EQUAL(fixture_enqueue_batch(broker, items, (size_t)count, false), 0);
    CHECK_EQUAL(items[0].err, 0);
    free(jobs);
    free(items);
}

FIBER_TEST(a_claim_looks_at_a_bounded_number_of_jobs_of_other_tasks)
{
    static const char *const tasks[] = {"wanted"};
    struct weft_broker *broker = fixture_open();
    NEEDS_CAPABILITY(broker, WEFT_BROKER_CHOOSES);
    struct weft_job *job;
    struct weft_claim claim = claim_of(tasks, 1, &job, 1);
    put_tasks(broker, "other", 1, 2000);
    (void)put_task(broker, "wanted", 2);
    CHECK_EQUAL(broker->ops->claim(broker, &claim), 0);
    CHECK_EQUAL(claim.count, 0);
    CHECK(claim.more || claim.next_us < MINUTE_US);
    struct weft_uuid first = put_task(broker, "wanted", 0);
    CHECK_EQUAL(broker->ops->claim(broker, &claim), 0);
    REQUIRE(claim.count == 1);
    CHECK(fixture_same_id(&job->id, &first));
    weft_job_free(job);
    fixture_pass(broker, 2 * MINUTE_US); /* the others starve, and are not for this claim */
    for (int i = 0; i < 20; i++) {
        (void)put_task(broker, "wanted", 0);
        job = claim_in_the_end(broker, "wanted", 20);
        REQUIRE(job);
        weft_job_free(job);
    }
    fixture_close(broker);
}

FIBER_TEST(however_many_jobs_nobody_asks_for_those_behind_them_are_claimed)
{
    struct weft_broker *broker = fixture_open();
    NEEDS_CAPABILITY(broker, WEFT_BROKER_CHOOSES);
    struct weft_uuid ids[4];
    put_tasks(broker, "misspelt", 5, 3000);
    ids[0] = put_task(broker, "wanted", 5);
    put_tasks(broker, "misspelt", 7, 1000);
    ids[1] = put_task(broker, "wanted", 7);
    ids[2] = put_task(broker, "wanted", 9);
    for (int i = 0; i < 3; i++)
        check_next(broker, "wanted", &ids[i]);
    CHECK(!claim_in_the_end(broker, "wanted", 100)); /* and it says that it has seen all */
    ids[3] = put_task(broker, "wanted", 6);
    check_next(broker, "wanted", &ids[3]);
    fixture_close(broker);
}

FIBER_TEST(what_comes_back_before_jobs_that_were_passed_is_claimed_again)
{
    static const enum weft_job_event ways[] = {WEFT_JOB_RELEASE, WEFT_JOB_RETRY, WEFT_JOB_SNOOZE,
                                               WEFT_JOB_LOSE};
    struct weft_broker *broker = fixture_open();
    NEEDS_CAPABILITY(broker, WEFT_BROKER_CHOOSES);
    struct weft_uuid id = put_task(broker, "wanted", 5);
    put_tasks(broker, "misspelt", 5, 1200);
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        struct weft_job *job = claim_in_the_end(broker, "wanted", 100);
        REQUIRE(job && fixture_same_id(&job->id, &id));
        CHECK(!claim_in_the_end(broker, "wanted", 100));
        if (ways[i] != WEFT_JOB_LOSE)
            CHECK_EQUAL(fixture_settle(broker, job, ways[i], SECOND_US), 0);
        fixture_pass(broker, 2 * MINUTE_US);
        weft_job_free(job);
    }
    check_next(broker, "wanted", &id);
    fixture_close(broker);
}

FIBER_TEST(what_a_key_held_back_is_let_go_before_jobs_that_were_passed)
{
    struct weft_broker *broker = fixture_open();
    NEEDS_CAPABILITY(broker, WEFT_BROKER_CHOOSES | WEFT_BROKER_MANAGES);
    fixture_limit(broker, "default", &(struct weft_queue_settings){.running_max_per_key = 1});
    struct weft_job jobs[3];
    for (int i = 0; i < 3; i++) {
        jobs[i] = fixture_job(broker);
        jobs[i].task = "wanted";
        jobs[i].limit_key = "k";
        jobs[i].expires_us = i == 1 ? jobs[i].created_us + MINUTE_US : 0;
        CHECK_EQUAL(fixture_enqueue(broker, &jobs[i]), 0);
    }
    put_tasks(broker, "misspelt", 5, 1200);
    struct weft_job *first = claim_in_the_end(broker, "wanted", 100);
    REQUIRE(first && fixture_same_id(&first->id, &jobs[0].id));
    CHECK(!claim_in_the_end(broker, "wanted", 100));
    CHECK_EQUAL(fixture_settle(broker, first, WEFT_JOB_COMPLETE, 0), 0);
    weft_job_free(first);
    (void)weft_sleep(2 * 60 * WEFT_SEC); /* the second, which was let go, has expired */
    check_next(broker, "wanted", &jobs[2].id);
    fixture_close(broker);
}

FIBER_TEST(each_choice_of_tasks_passes_what_is_not_for_it)
{
    struct weft_broker *broker = fixture_open();
    NEEDS_CAPABILITY(broker, WEFT_BROKER_CHOOSES);
    static const char *const both[] = {"b", "a"};
    put_tasks(broker, "misspelt", 5, 700);
    struct weft_uuid a = put_task(broker, "a", 5);
    put_tasks(broker, "misspelt", 5, 700);
    struct weft_uuid b = put_task(broker, "b", 5);
    check_next(broker, "b", &b);
    check_next(broker, "a", &a);
    struct weft_uuid more[] = {put_task(broker, "a", 5), put_task(broker, "b", 5)};
    struct weft_job *jobs[4];
    struct weft_claim claim = claim_of(both, 2, jobs, 4);
    for (int calls = 0; claim.count == 0 && calls < 100; calls++)
        CHECK_EQUAL(broker->ops->claim(broker, &claim), 0);
    REQUIRE(claim.count == 2);
    for (int i = 0; i < 2; i++) {
        CHECK(fixture_same_id(&jobs[i]->id, &more[i]));
        weft_job_free(jobs[i]);
    }
    fixture_close(broker);
}

FIBER_TEST(a_claim_of_one_takes_from_the_first_queue_that_has_one)
{
    struct weft_broker *broker = fixture_open();
    (void)fixture_put(broker, "a");
    struct weft_uuid b = fixture_put(broker, "b");
    static const char *const queues[] = {"b", "a"};
    struct weft_job *job;
    struct weft_claim claim = {
        .queues = queues, .queues_count = 2, .jobs_max = 1, .jobs = &job, .lease_us = MINUTE_US};
    CHECK_EQUAL(broker->ops->claim(broker, &claim), 0);
    REQUIRE(claim.count == 1);
    CHECK(fixture_same_id(&job->id, &b));
    weft_job_free(job);
    fixture_close(broker);
}

FIBER_TEST(large_jobs_are_claimed_in_parts_and_none_is_forgotten)
{
    struct weft_broker *broker = fixture_open();
    char *data = calloc(1, WEFT_JOB_PAYLOAD_MAX);
    REQUIRE(data);
    for (int i = 0; i < 20; i++) {
        struct weft_job job = fixture_job(broker);
        job.payload = (struct weft_bytes){data, WEFT_JOB_PAYLOAD_MAX, false};
        CHECK_EQUAL(fixture_enqueue(broker, &job), 0);
    }
    free(data);
    struct weft_job *jobs[30];
    unsigned claimed = 0;
    const char *queue = "default";
    struct weft_claim claim = {.queues = &queue,
                               .queues_count = 1,
                               .jobs_max = 30,
                               .jobs = jobs,
                               .lease_us = MINUTE_US,
                               .more = true};
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
    (void)fixture_put(broker, "default");
    (void)fixture_put(broker, "default");
    struct weft_job *first = fixture_lease(broker, "default", 30 * SECOND_US);
    struct weft_job *second = fixture_claim_one(broker, "default");
    REQUIRE(first);
    CHECK_EQUAL(first->state, WEFT_JOB_RUNNING);
    CHECK_EQUAL(first->attempt, 1);
    CHECK(first->lease_token != 0 && second->lease_token != 0);
    CHECK_EQUAL(first->lease_until_us, first->started_us + 30 * SECOND_US);
    struct weft_job *found = fixture_find(broker, &first->id);
    CHECK_EQUAL(found->state, WEFT_JOB_RUNNING);
    CHECK_EQUAL(found->attempt, 1);
    CHECK_EQUAL(found->lease_token, first->lease_token);
    CHECK_EQUAL(found->lease_until_us, first->lease_until_us);
    CHECK_EQUAL(found->started_us, first->started_us);
    weft_job_free(found);
    weft_job_free(first);
    weft_job_free(second);
    fixture_close(broker);
}

/* --- nothing starves --- */

static struct weft_uuid put_priority(struct weft_broker *broker, unsigned priority)
{
    struct weft_job job = fixture_job(broker);
    job.priority = (uint8_t)priority;
    REQUIRE(fixture_enqueue(broker, &job) == 0);
    return job.id;
}

/* At which place of the next `count` jobs, taken `batch` at a time, this one comes; -1: not. */
static int place_of(struct weft_broker *broker, const struct weft_uuid *id, unsigned count,
                    unsigned batch)
{
    int place = -1;
    struct weft_job *jobs[16];
    for (unsigned taken = 0; taken < count;) {
        unsigned got = fixture_claim(broker, "default", jobs, batch);
        if (got == 0)
            break;
        for (unsigned i = 0; i < got; i++) {
            if (fixture_same_id(&jobs[i]->id, id))
                place = (int)(taken + i);
            weft_job_free(jobs[i]);
        }
        taken += got;
    }
    return place;
}

FIBER_TEST(a_job_that_has_waited_long_runs_although_more_urgent_ones_keep_coming)
{
    struct weft_broker *broker = fixture_open();
    struct weft_uuid patient = put_priority(broker, 9);
    fixture_pass(broker, 61 * SECOND_US);
    for (int i = 0; i < 40; i++)
        (void)put_priority(broker, 0);
    int place = place_of(broker, &patient, 16, 1);
    CHECK(place >= 0 && place < 16);
    fixture_close(broker);
}

FIBER_TEST(behind_jobs_that_nobody_asks_for_the_longest_waiting_gets_its_turn_as_well)
{
    struct weft_broker *broker = fixture_open();
    NEEDS_CAPABILITY(broker, WEFT_BROKER_CHOOSES);
    put_tasks(broker, "misspelt", 9, 1200);
    struct weft_uuid patient = put_task(broker, "wanted", 9);
    fixture_pass(broker, 61 * SECOND_US);
    put_tasks(broker, "wanted", 0, 80);
    int place = -1;
    for (int i = 0; i < 64 && place < 0; i++) {
        struct weft_job *job = claim_in_the_end(broker, "wanted", 100);
        REQUIRE(job);
        if (fixture_same_id(&job->id, &patient))
            place = i;
        weft_job_free(job);
    }
    CHECK(place >= 0);
    fixture_close(broker);
}

FIBER_TEST(in_batches_the_longest_waiting_gets_its_turn_as_well)
{
    struct weft_broker *broker = fixture_open();
    struct weft_uuid patient = put_priority(broker, 9);
    fixture_pass(broker, 61 * SECOND_US);
    for (int i = 0; i < 40; i++)
        (void)put_priority(broker, 0);
    int place = place_of(broker, &patient, 16, 16);
    CHECK(place >= 0 && place < 16);
    fixture_close(broker);
}

FIBER_TEST(within_a_minute_priority_alone_decides)
{
    struct weft_broker *broker = fixture_open();
    struct weft_uuid young = put_priority(broker, 9);
    fixture_pass(broker, 30 * SECOND_US);
    for (int i = 0; i < 40; i++)
        (void)put_priority(broker, 0);
    CHECK_EQUAL(place_of(broker, &young, 41, 1), 40);
    fixture_close(broker);
}

/* --- one holder --- */

#define JOBS    300
#define CLAIMER 10

static struct weft_broker *shared_broker;
static unsigned char given[JOBS];
static struct weft_uuid ids[JOBS];

static int claim_all(void *arg)
{
    struct weft_job *jobs[7];
    unsigned count;
    (void)arg;
    while ((count = fixture_claim(shared_broker, "default", jobs, 7)) > 0) {
        for (unsigned i = 0; i < count; i++) {
            for (int k = 0; k < JOBS; k++)
                given[k] = (unsigned char)(given[k] + fixture_same_id(&ids[k], &jobs[i]->id));
            weft_job_free(jobs[i]);
        }
    }
    return 0;
}

FIBER_TEST(no_job_is_given_to_two)
{
    shared_broker = fixture_open();
    memset(given, 0, sizeof given);
    for (int i = 0; i < JOBS; i++)
        ids[i] = fixture_put(shared_broker, "default");
    struct weft_group group;
    REQUIRE(weft_group_init(&group, NULL) == 0);
    for (int i = 0; i < CLAIMER; i++)
        REQUIRE(weft_spawn(&group, claim_all, NULL) == 0);
    CHECK_EQUAL(weft_group_wait(&group), 0);
    for (int i = 0; i < JOBS; i++)
        CHECK_EQUAL(given[i], 1);
    fixture_close(shared_broker);
}

static int maintain_and_claim(void *arg)
{
    (void)arg;
    struct weft_maintenance done = {0};
    CHECK_EQUAL(shared_broker->ops->maintain(shared_broker, &done), 0);
    return claim_all(NULL);
}

FIBER_TEST(a_job_comes_due_once_however_many_look_after_the_time)
{
    shared_broker = fixture_open();
    memset(given, 0, sizeof given);
    for (int i = 0; i < JOBS; i++) {
        struct weft_job job = fixture_job(shared_broker);
        job.run_at_us += 10 * SECOND_US;
        ids[i] = job.id;
        REQUIRE(fixture_enqueue(shared_broker, &job) == 0);
    }
    (void)weft_sleep(11 * WEFT_SEC);
    struct weft_group group;
    REQUIRE(weft_group_init(&group, NULL) == 0);
    for (int i = 0; i < CLAIMER; i++)
        REQUIRE(weft_spawn(&group, maintain_and_claim, NULL) == 0);
    CHECK_EQUAL(weft_group_wait(&group), 0);
    (void)fixture_maintain(shared_broker);
    (void)claim_all(NULL); /* what came due when all others had looked */
    for (int i = 0; i < JOBS; i++)
        CHECK_EQUAL(given[i], 1);
    fixture_close(shared_broker);
}

/* --- expiry --- */

FIBER_TEST(an_expired_job_is_never_given_to_anybody)
{
    struct weft_broker *broker = fixture_open();
    struct weft_job job = fixture_job(broker), *claimed;
    job.expires_us = job.created_us + 10 * SECOND_US;
    CHECK_EQUAL(fixture_enqueue(broker, &job), 0);
    struct weft_uuid other = fixture_put(broker, "default");
    (void)weft_sleep(11 * WEFT_SEC); /* nobody has looked after it meanwhile */
    claimed = fixture_claim_one(broker, "default");
    CHECK(fixture_same_id(&claimed->id, &other));
    weft_job_free(claimed);
    struct weft_job *found = fixture_find(broker, &job.id);
    CHECK_EQUAL(found->state, WEFT_JOB_CANCELLED);
    CHECK(found->error && strstr(found->error, "expired"));
    weft_job_free(found);
    fixture_close(broker);
}

FIBER_TEST(what_waits_expires_without_being_claimed)
{
    struct weft_broker *broker = fixture_open();
    struct weft_job waits = fixture_job(broker), later = fixture_job(broker);
    waits.expires_us = waits.created_us + 10 * SECOND_US;
    later.run_at_us += MINUTE_US;
    later.expires_us = later.created_us + 20 * SECOND_US;
    CHECK_EQUAL(fixture_enqueue(broker, &waits), 0);
    CHECK_EQUAL(fixture_enqueue(broker, &later), 0);
    (void)weft_sleep(21 * WEFT_SEC);
    struct weft_maintenance done = fixture_maintain(broker);
    CHECK_EQUAL(done.expired, 2);
    CHECK_EQUAL(fixture_state(broker, &waits.id), WEFT_JOB_CANCELLED);
    CHECK_EQUAL(fixture_state(broker, &later.id), WEFT_JOB_CANCELLED);
    fixture_close(broker);
}

FIBER_TEST(a_job_that_runs_does_not_expire)
{
    struct weft_broker *broker = fixture_open();
    struct weft_job job = fixture_job(broker), *claimed;
    job.expires_us = job.created_us + 10 * SECOND_US;
    CHECK_EQUAL(fixture_enqueue(broker, &job), 0);
    claimed = fixture_claim_one(broker, "default");
    fixture_pass(broker, MINUTE_US);
    CHECK_EQUAL(fixture_settle(broker, claimed, WEFT_JOB_COMPLETE, 0), 0);
    weft_job_free(claimed);
    fixture_close(broker);
}

/* --- leases --- */

FIBER_TEST(a_job_whose_lease_ran_out_is_available_again_and_has_not_spent_the_attempt)
{
    struct weft_broker *broker = fixture_open();
    struct weft_uuid id = fixture_put(broker, "default");
    struct weft_job *lost = fixture_lease(broker, "default", 30 * SECOND_US);
    REQUIRE(lost);
    fixture_pass(broker, 29 * SECOND_US);
    CHECK_EQUAL(fixture_state(broker, &id), WEFT_JOB_RUNNING);
    (void)weft_sleep(2 * WEFT_SEC);
    CHECK_EQUAL(fixture_maintain(broker).lost, 1);
    struct weft_job *again = fixture_lease(broker, "default", 30 * SECOND_US);
    REQUIRE(again);
    CHECK(fixture_same_id(&again->id, &id));
    CHECK_EQUAL(again->attempt, 1);
    CHECK_EQUAL(again->crashes, 1);
    CHECK(again->lease_token != lost->lease_token);
    /* The zombie comes back: it changes nothing. */
    CHECK_EQUAL(fixture_settle(broker, lost, WEFT_JOB_COMPLETE, 0), -ESTALE);
    CHECK_EQUAL(fixture_settle(broker, again, WEFT_JOB_COMPLETE, 0), 0);
    weft_job_free(lost);
    weft_job_free(again);
    fixture_close(broker);
}

FIBER_TEST(an_extended_lease_goes_on)
{
    struct weft_broker *broker = fixture_open();
    struct weft_uuid id = fixture_put(broker, "default");
    struct weft_job *job = fixture_lease(broker, "default", 30 * SECOND_US);
    REQUIRE(job);
    for (int i = 0; i < 5; i++) {
        fixture_pass(broker, 20 * SECOND_US);
        struct weft_lease lease = {
            .id = job->id, .token = job->lease_token, .lease_us = 30 * SECOND_US};
        CHECK_EQUAL(broker->ops->extend(broker, &lease, 1), 0);
        CHECK_EQUAL(lease.err, 0);
        CHECK(!lease.cancelling);
    }
    CHECK_EQUAL(fixture_state(broker, &id), WEFT_JOB_RUNNING);
    CHECK_EQUAL(fixture_settle(broker, job, WEFT_JOB_COMPLETE, 0), 0);
    weft_job_free(job);
    fixture_close(broker);
}

FIBER_TEST(an_old_token_extends_nothing)
{
    struct weft_broker *broker = fixture_open();
    (void)fixture_put(broker, "default");
    struct weft_job *old = fixture_lease(broker, "default", 10 * SECOND_US);
    REQUIRE(old);
    fixture_pass(broker, 11 * SECOND_US);
    struct weft_job *now = fixture_lease(broker, "default", 30 * SECOND_US);
    REQUIRE(now);
    struct weft_lease leases[] = {
        {.id = old->id, .token = old->lease_token, .lease_us = 3600 * SECOND_US},
        {.id = now->id, .token = now->lease_token, .lease_us = 40 * SECOND_US}};
    CHECK_EQUAL(broker->ops->extend(broker, leases, 2), 0);
    CHECK_EQUAL(leases[0].err, -ESTALE);
    CHECK_EQUAL(leases[1].err, 0);
    fixture_pass(broker, 41 * SECOND_US);
    CHECK_EQUAL(fixture_state(broker, &now->id), WEFT_JOB_AVAILABLE);
    weft_job_free(old);
    weft_job_free(now);
    fixture_close(broker);
}

FIBER_TEST(a_holder_that_is_late_may_still_settle_as_long_as_nobody_has_taken_the_job_away)
{
    struct weft_broker *broker = fixture_open();
    (void)fixture_put(broker, "default");
    struct weft_job *job = fixture_lease(broker, "default", 10 * SECOND_US);
    REQUIRE(job);
    (void)weft_sleep(11 * WEFT_SEC);
    CHECK_EQUAL(fixture_settle(broker, job, WEFT_JOB_COMPLETE, 0), 0);
    CHECK_EQUAL(fixture_maintain(broker).lost, 0);
    weft_job_free(job);
    fixture_close(broker);
}

FIBER_TEST(a_lease_until_close_does_not_run_out)
{
    struct weft_broker *broker = fixture_open();
    NEEDS_CAPABILITY(broker, WEFT_BROKER_LEASES_UNTIL_CLOSE);
    struct weft_uuid id = fixture_put(broker, "default");
    struct weft_job *job = fixture_lease(broker, "default", 0);
    REQUIRE(job);
    fixture_pass(broker, 24 * 60 * MINUTE_US);
    CHECK_EQUAL(fixture_state(broker, &id), WEFT_JOB_RUNNING);
    CHECK_EQUAL(fixture_settle(broker, job, WEFT_JOB_COMPLETE, 0), 0);
    weft_job_free(job);
    fixture_close(broker);
}

FIBER_TEST(a_job_that_takes_its_worker_with_it_each_time_ends_dead)
{
    struct weft_broker *broker = fixture_open();
    struct weft_uuid id = fixture_put(broker, "default");
    for (unsigned i = 0; i < WEFT_JOB_CRASHES_MAX; i++) {
        struct weft_job *job = fixture_lease(broker, "default", SECOND_US);
        REQUIRE(job);
        CHECK_EQUAL(job->crashes, i);
        weft_job_free(job);
        fixture_pass(broker, 2 * SECOND_US);
    }
    struct weft_job *found = fixture_find(broker, &id);
    CHECK_EQUAL(found->state, WEFT_JOB_DEAD);
    CHECK(found->error && strstr(found->error, "lost"));
    weft_job_free(found);
    CHECK_EQUAL(fixture_finish_all(broker, "default"), 0);
    fixture_close(broker);
}

FIBER_TEST(maintenance_says_when_it_is_needed_next)
{
    struct weft_broker *broker = fixture_open();
    CHECK_EQUAL(fixture_maintain(broker).next_us, INT64_MAX);
    (void)fixture_put(broker, "default");
    struct weft_job *job = fixture_lease(broker, "default", 30 * SECOND_US);
    REQUIRE(job);
    CHECK_EQUAL(fixture_maintain(broker).next_us, 30 * SECOND_US);
    struct weft_job later = fixture_job(broker);
    later.run_at_us += 20 * SECOND_US;
    CHECK_EQUAL(fixture_enqueue(broker, &later), 0);
    CHECK_EQUAL(fixture_maintain(broker).next_us, 20 * SECOND_US);
    struct weft_job expires = fixture_job(broker);
    expires.expires_us = expires.created_us + 5 * SECOND_US;
    CHECK_EQUAL(fixture_enqueue(broker, &expires), 0);
    CHECK(fixture_maintain(broker).next_us <= 5 * SECOND_US + 1);
    weft_job_free(job);
    fixture_close(broker);
}

FIBER_TEST(maintenance_works_in_bounded_steps)
{
    struct weft_broker *broker = fixture_open();
    enum {
        MANY = 2500
    };
    struct weft_job *jobs = calloc(MANY, sizeof *jobs);
    struct weft_enqueue *items = calloc(MANY, sizeof *items);
    REQUIRE(jobs && items);
    for (int i = 0; i < MANY; i++) {
        jobs[i] = fixture_job(broker);
        jobs[i].run_at_us += SECOND_US;
        items[i].job = &jobs[i];
    }
    CHECK_EQUAL(fixture_enqueue_batch(broker, items, MANY, false), 0);
    (void)weft_sleep(2 * WEFT_SEC);
    struct weft_maintenance step = {0};
    CHECK_EQUAL(broker->ops->maintain(broker, &step), 0);
    CHECK(step.more && step.due < MANY);
    struct weft_maintenance rest = fixture_maintain(broker);
    CHECK_EQUAL(step.due + rest.due, MANY);
    CHECK_EQUAL(fixture_finish_all(broker, "default"), MANY);
    free(jobs);
    free(items);
    fixture_close(broker);
}

FIBER_TEST(the_brokers_clock_does_not_go_back)
{
    struct weft_broker *broker = fixture_open();
    int64_t before_us = broker->ops->now_us(broker);
    (void)weft_sleep(WEFT_SEC);
    int64_t after_us = broker->ops->now_us(broker);
    CHECK(after_us >= before_us + SECOND_US);
    fixture_close(broker);
}
