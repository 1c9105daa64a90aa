/* SPDX-License-Identifier: MIT
 * sqlite_prune.c - what is removed, when, and above all what is not. */
#include "store.h"

#include <weft/runtime.h>

#include <errno.h>
#include <string.h>

#define HOUR_US INT64_C(3600000000)
#define DAY_US  (24 * HOUR_US)
#define HOUR_NS (3600 * WEFT_SEC)
#define DAY_NS  (24 * HOUR_NS)

static const struct weft_retention days = {DAY_US, 2 * DAY_US, 3 * DAY_US};

/* Until there is no more to be removed; returns how many were. */
static uint64_t prune(struct store *store, const struct weft_retention *retention)
{
    uint64_t sum = 0, removed;
    bool more = true;
    for (int calls = 0; more && calls < 1000; calls++) {
        REQUIRE(store->broker->ops->prune(store->broker, retention, &removed, &more) == 0);
        sum += removed;
    }
    CHECK(!more);
    return sum;
}

STORE_TEST(finished_jobs_go_when_the_time_of_their_state_is_over)
{
    struct weft_uuid completed = store_end(store, "default", WEFT_JOB_COMPLETE);
    struct weft_uuid cancelled = store_end(store, "default", WEFT_JOB_CANCEL);
    struct weft_uuid dead = store_end(store, "default", WEFT_JOB_DIE);
    CHECK_EQUAL(prune(store, &days), 0);
    REQUIRE(weft_sleep(DAY_NS - WEFT_SEC) == 0);
    CHECK_EQUAL(prune(store, &days), 0);
    REQUIRE(weft_sleep(2 * WEFT_SEC) == 0);
    CHECK_EQUAL(prune(store, &days), 1);
    CHECK_EQUAL(store_state(store, &completed), WEFT_JOB_NONE);
    CHECK_EQUAL(store_state(store, &cancelled), WEFT_JOB_CANCELLED);
    REQUIRE(weft_sleep(DAY_NS) == 0);
    CHECK_EQUAL(prune(store, &days), 1);
    CHECK_EQUAL(store_state(store, &cancelled), WEFT_JOB_NONE);
    CHECK_EQUAL(store_state(store, &dead), WEFT_JOB_DEAD);
    REQUIRE(weft_sleep(DAY_NS) == 0);
    CHECK_EQUAL(prune(store, &days), 1);
    CHECK_EQUAL(store_state(store, &dead), WEFT_JOB_NONE);
}

STORE_TEST(zero_keeps_a_state_for_ever)
{
    struct weft_uuid completed = store_end(store, "default", WEFT_JOB_COMPLETE);
    struct weft_uuid dead = store_end(store, "default", WEFT_JOB_DIE);
    REQUIRE(weft_sleep(4000 * DAY_NS) == 0);
    CHECK_EQUAL(prune(store, &(struct weft_retention){0}), 0);
    CHECK_EQUAL(prune(store, &(struct weft_retention){.dead_us = DAY_US}), 1);
    CHECK_EQUAL(store_state(store, &completed), WEFT_JOB_COMPLETED);
    CHECK_EQUAL(store_state(store, &dead), WEFT_JOB_NONE);
}

STORE_TEST(jobs_that_are_not_finished_stay_however_old)
{
    struct weft_uuid running = store_add(store, "default", "work");
    weft_job_free(store_claim(store, "default"));
    struct weft_uuid waiting = store_add(store, "default", "work");
    REQUIRE(weft_sleep(4000 * DAY_NS) == 0);
    CHECK_EQUAL(prune(store, &days), 0);
    CHECK_EQUAL(store_state(store, &running), WEFT_JOB_RUNNING);
    CHECK_EQUAL(store_state(store, &waiting), WEFT_JOB_AVAILABLE);
}

STORE_TEST(a_job_that_took_long_is_removed_when_its_time_is_over)
{
    struct weft_uuid slow = store_add(store, "slow", "work");
    struct weft_job *job = store_claim(store, "slow");
    for (int day = 0; day < 5; day++) {
        (void)store_end(store, "default", WEFT_JOB_COMPLETE);
        (void)prune(store, &days);
        REQUIRE(weft_sleep(DAY_NS) == 0);
    }
    store_settle(store, job, WEFT_JOB_COMPLETE);
    (void)prune(store, &days);
    CHECK_EQUAL(store_state(store, &slow), WEFT_JOB_COMPLETED);
    REQUIRE(weft_sleep(DAY_NS - WEFT_SEC) == 0);
    (void)prune(store, &days);
    CHECK_EQUAL(store_state(store, &slow), WEFT_JOB_COMPLETED);
    REQUIRE(weft_sleep(HOUR_NS + WEFT_SEC) == 0);
    CHECK_EQUAL(prune(store, &days), 1);
    CHECK_EQUAL(store_state(store, &slow), WEFT_JOB_NONE);
}

STORE_TEST(a_job_that_began_again_is_not_removed)
{
    struct weft_uuid id = store_end(store, "default", WEFT_JOB_DIE);
    enum weft_job_state state;
    REQUIRE(weft_sleep(4 * DAY_NS) == 0);
    CHECK_EQUAL(store->broker->ops->retry(store->broker, &id, &state), 0);
    CHECK_EQUAL(prune(store, &days), 0);
    CHECK_EQUAL(store_state(store, &id), WEFT_JOB_AVAILABLE);
    (void)store_work(store, "default", WEFT_JOB_DIE);
    CHECK_EQUAL(prune(store, &days), 0); /* its time begins anew */
    REQUIRE(weft_sleep(3 * DAY_NS + WEFT_SEC) == 0);
    CHECK_EQUAL(prune(store, &days), 1);
}

STORE_TEST(one_call_removes_a_bounded_number)
{
    enum {
        JOBS = 1200
    };
    for (int i = 0; i < JOBS; i++)
        (void)store_end(store, "default", i % 2 ? WEFT_JOB_COMPLETE : WEFT_JOB_DIE);
    REQUIRE(weft_sleep(4 * DAY_NS) == 0);
    uint64_t removed = 0, sum = 0;
    bool more = true;
    int calls = 0;
    for (; more && calls < 100; calls++) {
        REQUIRE(store->broker->ops->prune(store->broker, &days, &removed, &more) == 0);
        CHECK(removed <= 500);
        sum += removed;
    }
    CHECK_EQUAL(sum, JOBS);
    CHECK(calls >= 3 && !more);
}

STORE_FILE_TEST(one_call_looks_at_a_bounded_number)
{
    (void)store_end(store, "default", WEFT_JOB_COMPLETE);
    store_sql(store,
              "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50000)"
              " INSERT INTO outcomes (seq, state, attempt, crashes, finished_us)"
              " SELECT i, 7, 1, 0, 1 FROM n");
    REQUIRE(weft_sleep(2 * DAY_NS) == 0);
    const struct weft_retention retention = {.completed_us = DAY_US};
    uint64_t removed;
    bool more;
    CHECK_EQUAL(store->broker->ops->prune(store->broker, &retention, &removed, &more), 0);
    CHECK(removed == 0 && more);
    CHECK_EQUAL(store->broker->ops->prune(store->broker, &retention, &removed, &more), 0);
    CHECK(removed == 0 && more);
    CHECK_EQUAL(store->broker->ops->prune(store->broker, &retention, &removed, &more), 0);
    CHECK(removed == 1 && !more);
}

STORE_FILE_TEST(nothing_of_a_removed_job_is_left)
{
    struct weft_job asked = store_job(store);
    asked.unique_key = "only-one";
    asked.flow = asked.id;
    (void)store_put(store, &asked);
    (void)store_work(store, "default", WEFT_JOB_DIE);
    CHECK_EQUAL(store_number(store, "SELECT count(*) FROM errors"), 1);
    CHECK_EQUAL(store_number(store, "SELECT count(*) FROM uniques"), 1);
    REQUIRE(weft_sleep(4 * DAY_NS) == 0);
    CHECK_EQUAL(prune(store, &days), 1);
    CHECK_EQUAL(store_number(store, "SELECT (SELECT count(*) FROM jobs) +"
                                    " (SELECT count(*) FROM outcomes) +"
                                    " (SELECT count(*) FROM errors) +"
                                    " (SELECT count(*) FROM uniques) +"
                                    " (SELECT count(*) FROM needs) + (SELECT count(*) FROM queue)"),
                0);
}

STORE_TEST(totals_count_also_what_was_removed)
{
    struct weft_broker_stats stats;
    struct weft_queue_info queue;
    (void)store_end(store, "default", WEFT_JOB_COMPLETE);
    REQUIRE(weft_sleep(4 * DAY_NS) == 0);
    CHECK_EQUAL(prune(store, &days), 1);
    CHECK_EQUAL(store->broker->ops->stats(store->broker, &stats), 0);
    CHECK_EQUAL(stats.jobs[WEFT_JOB_COMPLETED], 1);
    CHECK_EQUAL(store->broker->ops->queue_find(store->broker, "default", &queue), 0);
    CHECK_EQUAL(queue.jobs[WEFT_JOB_COMPLETED], 1);
}

STORE_TEST(a_unique_key_is_free_when_its_job_is_removed)
{
    struct weft_job first = store_job(store);
    first.unique_key = "only-one";
    (void)store_put(store, &first);
    (void)store_work(store, "default", WEFT_JOB_DIE);
    struct weft_job second = store_job(store);
    second.unique_key = "only-one";
    struct weft_unique unique = {.states = 1u << WEFT_JOB_DEAD};
    struct weft_enqueue item = {.job = &second, .unique = &unique};
    struct weft_enqueue_batch batch = {.items = &item, .count = 1};
    CHECK_EQUAL(store->broker->ops->enqueue(store->broker, &batch), 0);
    CHECK_EQUAL(item.err, WEFT_EDUPLICATE);
    REQUIRE(weft_sleep(4 * DAY_NS) == 0);
    CHECK_EQUAL(prune(store, &days), 1);
    CHECK_EQUAL(store->broker->ops->enqueue(store->broker, &batch), 0);
    CHECK_EQUAL(item.err, 0);
}

/* Put in a job that waits for another one; it is due after delay_us. */
static struct weft_uuid add_child(struct store *store, const struct weft_uuid *parent,
                                  int64_t delay_us)
{
    struct weft_job child = store_job(store);
    child.run_at_us += delay_us;
    struct weft_after after = {.id = *parent};
    struct weft_enqueue item = {.job = &child, .after = &after, .after_count = 1};
    struct weft_enqueue_batch batch = {.items = &item, .count = 1};
    REQUIRE(store->broker->ops->enqueue(store->broker, &batch) == 0 && !item.err);
    return child.id;
}

STORE_TEST(a_job_whose_result_another_one_waits_for_stays)
{
    struct weft_uuid parent = store_add(store, "default", "work");
    struct weft_uuid child = add_child(store, &parent, 10 * DAY_US);
    (void)store_work(store, "default", WEFT_JOB_COMPLETE);
    CHECK_EQUAL(store_state(store, &child), WEFT_JOB_SCHEDULED);
    REQUIRE(weft_sleep(10 * DAY_NS + WEFT_SEC) == 0);
    CHECK_EQUAL(prune(store, &days), 0);
    struct weft_maintenance maintenance;
    REQUIRE(store->broker->ops->maintain(store->broker, &maintenance) == 0);
    struct weft_job *job = store_claim(store, "default");
    REQUIRE(job && job->inputs_count == 1);
    CHECK(job->inputs[0].result.len == 7);
    store_settle(store, job, WEFT_JOB_COMPLETE);
    REQUIRE(weft_sleep(HOUR_NS) == 0);
    CHECK_EQUAL(prune(store, &days), 1);
    CHECK_EQUAL(store_state(store, &parent), WEFT_JOB_NONE);
    CHECK_EQUAL(store_state(store, &child), WEFT_JOB_COMPLETED);
}

/* --- results that go before their jobs --- */

static bool has_result(struct store *store, const struct weft_uuid *id)
{
    struct weft_job *job = store_find(store, id);
    REQUIRE(job);
    bool has = job->result.data != NULL;
    weft_job_free(job);
    return has;
}

STORE_TEST(a_result_goes_when_its_own_time_is_over)
{
    struct weft_job asked = store_job(store);
    asked.result_ttl_us = HOUR_US;
    struct weft_uuid id = store_put(store, &asked);
    (void)store_work(store, "default", WEFT_JOB_COMPLETE);
    struct weft_uuid other = store_end(store, "default", WEFT_JOB_COMPLETE);
    REQUIRE(weft_sleep(HOUR_NS - WEFT_SEC) == 0);
    CHECK_EQUAL(prune(store, &days), 0);
    CHECK(has_result(store, &id));
    REQUIRE(weft_sleep(2 * WEFT_SEC) == 0);
    CHECK_EQUAL(prune(store, &days), 0);
    CHECK(!has_result(store, &id) && has_result(store, &other));
    CHECK_EQUAL(store_state(store, &id), WEFT_JOB_COMPLETED);
    REQUIRE(weft_sleep(DAY_NS) == 0);
    CHECK_EQUAL(prune(store, &days), 2);
}

STORE_TEST(a_result_that_is_waited_for_stays_until_it_was_used)
{
    struct weft_job asked = store_job(store);
    asked.result_ttl_us = HOUR_US;
    struct weft_uuid parent = store_put(store, &asked);
    (void)add_child(store, &parent, 0);
    (void)store_work(store, "default", WEFT_JOB_COMPLETE);
    REQUIRE(weft_sleep(2 * HOUR_NS) == 0);
    CHECK_EQUAL(prune(store, &days), 0);
    CHECK(has_result(store, &parent));
    (void)store_work(store, "default", WEFT_JOB_COMPLETE);
    REQUIRE(weft_sleep(60 * WEFT_SEC) == 0);
    CHECK_EQUAL(prune(store, &days), 0);
    CHECK(!has_result(store, &parent));
}

STORE_FILE_TEST(large_results_end_a_call_before_it_takes_long)
{
    struct weft_uuid id = store_end(store, "default", WEFT_JOB_COMPLETE);
    store_sql(store, "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 60)"
                     " INSERT INTO outcomes (seq, state, attempt, crashes, finished_us, result)"
                     " SELECT i, 5, 1, 0, 1, zeroblob(500000) FROM n;"
                     "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 60)"
                     " INSERT INTO jobs (seq, id, task, queue, priority, attempts_max, created_us)"
                     " SELECT i, zeroblob(16), 1, 1, 5, 3, 1 FROM n");
    uint64_t removed;
    bool more;
    CHECK_EQUAL(store->broker->ops->prune(store->broker, &days, &removed, &more), 0);
    CHECK(removed > 0 && removed < 60 && more);
    CHECK_EQUAL(removed + prune(store, &days), 60);
    CHECK_EQUAL(store_state(store, &id), WEFT_JOB_COMPLETED);
    CHECK_EQUAL(store_number(store, "SELECT count(*) FROM jobs"), 1);
}
