/* SPDX-License-Identifier: MIT
 * sqlite_undo.c - what fails leaves nothing behind, in the tables and in the writer's memory;
 * limits of names, of events and of what one call does; and what statements cost. */
#include "store.h"

#include <broker/sqlite_internal.h>
#include <weft/runtime.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int enqueue(struct store *store, struct weft_enqueue *items, size_t count, bool atomic)
{
    struct weft_enqueue_batch batch = {.items = items, .count = count, .atomic = atomic};
    return store->broker->ops->enqueue(store->broker, &batch);
}

static int find_queue(struct store *store, const char *name, struct weft_queue_info *ret_queue)
{
    return store->broker->ops->queue_find(store->broker, name, ret_queue);
}

/* --- what fails --- */

STORE_TEST(what_waits_for_a_job_goes_on_waiting_when_its_settlement_is_refused)
{
    struct weft_uuid parent = store_add(store, "default", "work");
    struct weft_job child = store_job(store), taken = store_job(store);
    const struct weft_after after = {.id = parent};
    struct weft_enqueue item = {.job = &child, .after = &after, .after_count = 1};
    CHECK_EQUAL(enqueue(store, &item, 1, false), 0);
    struct weft_job *job = store_claim(store, "default");
    REQUIRE(job);
    taken.id = child.id; /* in use */
    struct weft_job fine = store_job(store);
    struct weft_enqueue follow[] = {{.job = &fine}, {.job = &taken}};
    struct weft_settlement end = {
        .job = job, .event = WEFT_JOB_COMPLETE, .follow = follow, .follow_count = 2};
    uint64_t before = store->broker->ops->events_last(store->broker);
    CHECK_EQUAL(store->broker->ops->settle(store->broker, &end, 1), 0);
    CHECK_EQUAL(end.err, -EEXIST);
    CHECK_EQUAL(end.state, WEFT_JOB_NONE);
    CHECK_EQUAL(follow[0].err, -ECANCELED);
    CHECK_EQUAL(follow[1].err, -EEXIST);
    CHECK_EQUAL(store->broker->ops->events_last(store->broker), before);
    CHECK_EQUAL(store_state(store, &child.id), WEFT_JOB_BLOCKED);
    CHECK_EQUAL(store_state(store, &fine.id), WEFT_JOB_NONE);
    CHECK_EQUAL(store_state(store, &parent), WEFT_JOB_RUNNING);
    store_settle(store, job, WEFT_JOB_COMPLETE);
    CHECK_EQUAL(store_state(store, &child.id), WEFT_JOB_AVAILABLE);
}

STORE_TEST(names_that_a_full_disk_cut_off_are_made_again_later)
{
    static char large[100000];
    struct weft_queue_info queue;
    struct weft_job jobs[20];
    struct weft_enqueue items[20] = {{.job = NULL}};
    char names[20][16];
    (void)store_add(store, "default", "work");
    CHECK_EQUAL(weft_sqlite_limit(store->broker, 1000000), 0);
    for (int i = 0; i < 20; i++) {
        (void)snprintf(names[i], sizeof names[i], "name-%d", i);
        jobs[i] = store_job(store);
        jobs[i].queue = jobs[i].task = names[i];
        jobs[i].payload = (struct weft_bytes){large, sizeof large, false};
        items[i].job = &jobs[i];
    }
    uint64_t before = store->broker->ops->events_last(store->broker);
    CHECK_EQUAL(enqueue(store, items, 20, false), -ENOSPC);
    for (int i = 0; i < 20; i++) {
        CHECK_EQUAL(items[i].err, -ENOSPC);
        CHECK_EQUAL(find_queue(store, names[i], &queue), -ENOENT);
    }
    CHECK_EQUAL(store->broker->ops->events_last(store->broker), before);
    CHECK_EQUAL(weft_sqlite_limit(store->broker, 0), 0);
    CHECK_EQUAL(enqueue(store, items, 20, false), 0);
    for (int i = 0; i < 20; i++) {
        CHECK_EQUAL(items[i].err, 0);
        CHECK_EQUAL(find_queue(store, names[i], &queue), 0);
        CHECK_EQUAL(queue.jobs[WEFT_JOB_AVAILABLE], 1);
        struct weft_job *job = store_claim(store, names[i]);
        REQUIRE(job);
        CHECK(strcmp(job->task, names[i]) == 0);
        weft_job_free(job);
    }
}

STORE_TEST(a_queue_of_a_refused_batch_does_not_exist)
{
    struct weft_queue_info queue;
    struct weft_job a = store_job(store), b = store_job(store);
    a.queue = b.queue = "new";
    a.task = b.task = "new";
    b.priority = 77;
    struct weft_enqueue items[] = {{.job = &a}, {.job = &b}};
    CHECK_EQUAL(enqueue(store, items, 2, true), 0);
    CHECK_EQUAL(items[0].err, -ECANCELED);
    CHECK_EQUAL(items[1].err, -EINVAL);
    CHECK_EQUAL(find_queue(store, "new", &queue), -ENOENT);
    CHECK_EQUAL(enqueue(store, items, 1, true), 0);
    CHECK_EQUAL(items[0].err, 0);
    CHECK_EQUAL(find_queue(store, "new", &queue), 0);
}

STORE_TEST(a_claim_that_a_full_disk_cut_off_holds_nothing)
{
    static const char *const queue = "default";
    const struct weft_queue_settings settings = {.rate_per_s = 1, .burst = 5};
    struct weft_queue_info info;
    struct weft_job *jobs[5];
    struct weft_claim claim = {.queues = &queue, .queues_count = 1, .jobs = jobs, .jobs_max = 5};
    CHECK_EQUAL(store->broker->ops->queue_set(store->broker, "default", &settings), 0);
    for (int i = 0; i < 5; i++) {
        struct weft_job job = store_job(store);
        job.limit_key = i % 2 ? "odd" : "even";
        (void)store_put(store, &job);
    }
    /* Rows grow by being claimed, so fill the pages they are on, and allow no other. */
    struct sqlite_writer *writer = &weft_sqlite_of(store->broker)->writer;
    CHECK_EQUAL(weft_sqlite_limit(store->broker, 1), 0);
    for (int i = 0; i < 1000; i++) {
        struct weft_job job = store_job(store);
        job.queue = "other";
        if (store_try(store, &job))
            break;
    }
    int err = store->broker->ops->claim(store->broker, &claim);
    if (err == -ENOSPC) {
        CHECK_EQUAL(claim.count, 0);
        CHECK_EQUAL(find_queue(store, "default", &info), 0);
        CHECK_EQUAL(info.jobs[WEFT_JOB_AVAILABLE], 5);
        CHECK_EQUAL(writer->keys.count, 0);
        CHECK_EQUAL(weft_sqlite_limit(store->broker, 0), 0);
        CHECK_EQUAL(store->broker->ops->claim(store->broker, &claim), 0);
    }
    CHECK_EQUAL(claim.count, 5); /* the rate was not spent by the first try */
    CHECK_EQUAL(writer->keys.count, 2);
    for (unsigned i = 0; i < claim.count; i++)
        store_settle(store, jobs[i], WEFT_JOB_COMPLETE);
    CHECK_EQUAL(writer->keys.count, 0);
}

/* --- how much --- */

STORE_TEST(a_long_chain_is_cancelled_by_one_call)
{
    enum {
        LINKS = 5000
    };
    struct weft_job *jobs = calloc(LINKS, sizeof *jobs);
    struct weft_enqueue *items = calloc(LINKS, sizeof *items);
    struct weft_after *after = calloc(LINKS, sizeof *after);
    REQUIRE(jobs && items && after);
    for (int i = 0; i < LINKS; i++) {
        jobs[i] = store_job(store);
        items[i].job = &jobs[i];
        if (i > 0) {
            after[i].id = jobs[i - 1].id;
            items[i].after = &after[i];
            items[i].after_count = 1;
        }
    }
    CHECK_EQUAL(enqueue(store, items, LINKS, true), 0);
    struct weft_cancel cancel = {.id = jobs[0].id};
    CHECK_EQUAL(store->broker->ops->cancel(store->broker, &cancel), 0);
    CHECK_EQUAL(cancel.cancelled, LINKS);
    CHECK_EQUAL(store_state(store, &jobs[LINKS - 1].id), WEFT_JOB_CANCELLED);
    struct weft_queue_info queue;
    CHECK_EQUAL(find_queue(store, "default", &queue), 0);
    CHECK_EQUAL(queue.jobs[WEFT_JOB_CANCELLED], LINKS);
    CHECK_EQUAL(queue.jobs[WEFT_JOB_BLOCKED], 0);
    free(jobs);
    free(items);
    free(after);
}

FIBER_TEST(there_are_no_more_queues_than_allowed)
{
    struct store store;
    store_open(&store, &(struct weft_sqlite_options){.memory = true});
    struct weft_job job;
    char name[32];
    for (unsigned i = 0; i < WEFT_QUEUES_MAX; i++) {
        (void)snprintf(name, sizeof name, "queue-%u", i);
        job = store_job(&store);
        job.queue = name;
        REQUIRE(store_try(&store, &job) == 0);
    }
    job = store_job(&store);
    job.queue = "one-too-many";
    CHECK_EQUAL(store_try(&store, &job), -ENOBUFS);
    const struct weft_queue_settings settings = {.paused = true};
    CHECK_EQUAL(store.broker->ops->queue_set(store.broker, "one-too-many", &settings), -ENOBUFS);
    job = store_job(&store);
    job.queue = "queue-7";
    CHECK_EQUAL(store_try(&store, &job), 0);
    struct weft_queue_info *queues = calloc(WEFT_QUEUES_MAX, sizeof *queues);
    size_t count = 0;
    REQUIRE(queues);
    CHECK_EQUAL(store.broker->ops->queues(store.broker, queues, WEFT_QUEUES_MAX, &count), 0);
    CHECK_EQUAL(count, WEFT_QUEUES_MAX);
    for (size_t i = 1; i < count; i++)
        CHECK(strcmp(queues[i - 1].name, queues[i].name) < 0);
    free(queues);
    store_close(&store);
}

/* Put in so many jobs, by large batches. */
static void put_many(struct store *store, size_t count)
{
    enum {
        BATCH = 1000
    };
    static struct weft_job jobs[BATCH];
    static struct weft_enqueue items[BATCH];
    while (count > 0) {
        size_t batch = count < BATCH ? count : BATCH;
        for (size_t i = 0; i < batch; i++) {
            jobs[i] = store_job(store);
            items[i] = (struct weft_enqueue){.job = &jobs[i]};
        }
        REQUIRE(enqueue(store, items, batch, false) == 0);
        count -= batch;
    }
}

/* Jobs of the queue "default" with limit keys: so many keys, so many jobs each. */
static void put_keyed(struct store *store, unsigned keys, unsigned each)
{
    for (unsigned i = 0; i < keys * each; i++) {
        char key[32];
        struct weft_job job = store_job(store);
        (void)snprintf(key, sizeof key, "customer-%u", i % keys);
        job.limit_key = key;
        (void)store_put(store, &job);
    }
}

/* Claim whatever can be claimed, in as many calls as that takes. Free the jobs. */
static size_t claim_all(struct store *store, struct weft_job **jobs, unsigned max)
{
    static const char *const queue = "default";
    unsigned count = 0;
    struct weft_claim claim = {.queues = &queue, .queues_count = 1, .more = true};
    while (count < max && claim.more) {
        claim.jobs = jobs + count;
        claim.jobs_max = max - count;
        REQUIRE(store->broker->ops->claim(store->broker, &claim) == 0);
        count += claim.count;
    }
    return count;
}

FIBER_TEST(a_limit_per_key_holds_for_hundreds_of_keys_at_once)
{
    enum {
        KEYS = 300
    };
    static struct weft_job *jobs[3 * KEYS];
    const struct weft_queue_settings one_each = {.running_max_per_key = 1};
    struct store store;
    store_open(&store, &(struct weft_sqlite_options){.memory = true});
    const struct sqlite_keys *keys = &weft_sqlite_of(store.broker)->writer.keys;
    CHECK_EQUAL(store.broker->ops->queue_set(store.broker, "default", &one_each), 0);
    put_keyed(&store, KEYS, 3);
    for (int round = 0; round < 3; round++) {
        size_t count = claim_all(&store, jobs, 3 * KEYS);
        CHECK_EQUAL(count, KEYS); /* one of each */
        CHECK_EQUAL(keys->count, KEYS);
        for (size_t i = 0; i < count; i++)
            store_settle(&store, jobs[i], WEFT_JOB_COMPLETE);
    }
    CHECK_EQUAL(claim_all(&store, jobs, 3 * KEYS), 0);
    CHECK_EQUAL(keys->count, 0); /* nothing is remembered of those that do nothing */
    store_close(&store);
}

FIBER_TEST(very_many_jobs_that_are_held_are_let_go_in_portions)
{
    enum {
        JOBS = 2500
    };
    static struct weft_job *jobs[JOBS];
    const struct weft_queue_settings one_each = {.running_max_per_key = 1}, unlimited = {0};
    struct weft_maintenance done = {.more = true};
    struct store store;
    store_open(&store, &(struct weft_sqlite_options){.memory = true});
    CHECK_EQUAL(store.broker->ops->queue_set(store.broker, "default", &one_each), 0);
    put_keyed(&store, 1, JOBS);
    CHECK_EQUAL(claim_all(&store, jobs, JOBS), 1); /* the others are held back */
    CHECK_EQUAL(store.broker->ops->queue_set(store.broker, "default", &unlimited), 0);
    size_t count = 1 + claim_all(&store, jobs + 1, JOBS - 1);
    CHECK(count < JOBS);
    for (int i = 0; i < 10 && done.more; i++)
        CHECK_EQUAL(store.broker->ops->maintain(store.broker, &done), 0);
    CHECK(!done.more);
    count += claim_all(&store, jobs + count, JOBS - (unsigned)count);
    CHECK_EQUAL(count, JOBS);
    for (size_t i = 0; i < count; i++)
        weft_job_free(jobs[i]);
    store_close(&store);
}

FIBER_TEST(only_the_latest_events_are_kept_and_the_gap_is_told)
{
    struct store store;
    store_open(&store, &(struct weft_sqlite_options){.memory = true});
    struct weft_broker_event events[100];
    uint64_t start = store.broker->ops->events_last(store.broker), oldest = 0;
    put_many(&store, SQLITE_EVENTS);
    CHECK_EQUAL(store.broker->ops->events(store.broker, start, events, 100, WEFT_NOWAIT, &oldest),
                100);
    CHECK_EQUAL(events[0].number, start + 1);
    put_many(&store, 1);
    CHECK_EQUAL(store.broker->ops->events(store.broker, start, events, 100, WEFT_NOWAIT, &oldest),
                -ESTALE);
    CHECK_EQUAL(oldest, start + 1);
    CHECK_EQUAL(store.broker->ops->events(store.broker, oldest, events, 100, WEFT_NOWAIT, &oldest),
                100);
    CHECK_EQUAL(events[0].number, start + 2);
    put_many(&store, 3 * SQLITE_EVENTS + 5); /* more than once around */
    CHECK_EQUAL(store.broker->ops->events(store.broker, events[99].number, events, 100, WEFT_NOWAIT,
                                          &oldest),
                -ESTALE);
    CHECK_EQUAL(oldest, store.broker->ops->events_last(store.broker) - SQLITE_EVENTS);
    store_close(&store);
}

FIBER_TEST(a_claim_looks_at_a_bounded_number_of_jobs_in_vain_and_says_that_there_is_more)
{
    enum {
        JOBS = 2500
    };
    static const char *const queue = "default";
    struct store store;
    struct weft_job *job = NULL;
    struct weft_claim claim = {.queues = &queue, .queues_count = 1, .jobs = &job, .jobs_max = 1};
    store_open(&store, &(struct weft_sqlite_options){.memory = true});
    for (int i = 0; i < JOBS; i++) {
        struct weft_job expired = store_job(&store);
        expired.expires_us = expired.created_us + 1;
        (void)store_put(&store, &expired);
    }
    (void)weft_sleep(WEFT_SEC);
    struct weft_uuid id = store_add(&store, "default", "work");
    unsigned calls = 0;
    do {
        REQUIRE(store.broker->ops->claim(store.broker, &claim) == 0);
        calls++;
    } while (claim.count == 0 && claim.more && calls < 10);
    REQUIRE(claim.count == 1);
    CHECK(store_same(&job->id, &id));
    CHECK_EQUAL(calls, 3);
    weft_job_free(job);
    store_close(&store);
}

/* --- what statements cost --- */

/* Whole indexes are not walked either: only those who take the first few of one may begin at its
 * front. */
static void check_plan(sqlite3 *db, const char *sql, bool takes_first)
{
    static const char *const tables[] = {
        "SCAN jobs", "SCAN queue",   "SCAN outcomes", "SCAN errors",    "SCAN needs",
        "SCAN held", "SCAN uniques", "SCAN j",        "SCAN q",         "SCAN o",
        "SCAN h",    "SCAN n",       "SCAN e",        "USE TEMP B-TREE"};
    sqlite3_stmt *plan = NULL;
    char *explain = sqlite3_mprintf("EXPLAIN QUERY PLAN %s", sql);
    REQUIRE(explain && sqlite3_prepare_v2(db, explain, -1, &plan, NULL) == SQLITE_OK);
    while (sqlite3_step(plan) == SQLITE_ROW) {
        const char *step = (const char *)sqlite3_column_text(plan, 3);
        REQUIRE(step);
        for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
            size_t len = strlen(tables[i]);
            bool found = strncmp(step, tables[i], len) == 0 && (!step[len] || step[len] == ' ');
            bool first = takes_first && strstr(step, "USING");
            if (found && !first)
                test_note("%s: %s", step, sql);
            CHECK(!found || first);
        }
    }
    (void)sqlite3_finalize(plan);
    sqlite3_free(explain);
}

FIBER_TEST(no_statement_of_the_writer_looks_at_more_rows_than_it_is_about)
{
    struct store store;
    store_open(&store, &(struct weft_sqlite_options){.memory = true});
    struct sqlite_writer *writer = &weft_sqlite_of(store.broker)->writer;
    for (int i = 0; i < SQL_STATEMENTS; i++) {
        REQUIRE(writer->statements[i]); /* each has a text */
        if (i != SQL_LOST_UNTIL_CLOSE)  /* once, at open */
            check_plan(writer->db, sqlite3_sql(writer->statements[i]), i == SQL_WAKE_NEXT);
    }
    store_close(&store);
}
