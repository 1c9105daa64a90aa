/* SPDX-License-Identifier: MIT
 * sqlite_recover.c - what a server finds in its database that another one left: of an older
 * version, killed in the middle, closed in order. */
#include "store.h"
#include "version_1.h"

#include <broker/sqlite.h>
#include <weft/runtime.h>

#include <errno.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static struct weft_queue_info queue_of(struct store *store, const char *name)
{
    struct weft_queue_info info = {0};
    CHECK_EQUAL(store->broker->ops->queue_find(store->broker, name, &info), 0);
    return info;
}

static void maintain(struct store *store, struct weft_maintenance *ret_done)
{
    CHECK_EQUAL(store->broker->ops->maintain(store->broker, ret_done), 0);
}

static struct weft_uuid id_of(const char *text)
{
    struct weft_uuid id = {{0}};
    REQUIRE(weft_uuid_parse(&id, text, strlen(text)) == 0);
    return id;
}

/* The job as it is now, which must be there; free it. */
static struct weft_job *find(struct store *store, const struct weft_uuid *id)
{
    struct weft_job *job = store_find(store, id);
    REQUIRE(job);
    return job;
}

static void check_error(struct store *store, const struct weft_uuid *id, const char *text)
{
    struct weft_job *job = find(store, id);
    CHECK(job->error && strcmp(job->error, text) == 0);
    if (job->error && strcmp(job->error, text) != 0)
        test_note("the error was: %s", job->error);
    weft_job_free(job);
}

/* --- version 1 --- */

static void make_version_1(const char *path)
{
    sqlite3 *db = NULL;
    REQUIRE(sqlite3_open(path, &db) == SQLITE_OK);
    REQUIRE(sqlite3_exec(db, "PRAGMA journal_mode = WAL", NULL, NULL, NULL) == SQLITE_OK);
    int rc = sqlite3_exec(db, version_1, NULL, NULL, NULL);
    if (rc != SQLITE_OK)
        test_note("%s", sqlite3_errmsg(db));
    REQUIRE(rc == SQLITE_OK);
    (void)sqlite3_close(db);
}

static void check_version_1_job(struct store *store, const char *id_text, const char *queue,
                                enum weft_job_state state, unsigned attempt)
{
    struct weft_uuid id = id_of(id_text);
    struct weft_job *job = find(store, &id);
    CHECK(strcmp(job->queue, queue) == 0 && strcmp(job->task, "process") == 0);
    CHECK_EQUAL(job->state, state);
    CHECK_EQUAL(job->attempt, attempt);
    CHECK_EQUAL(job->attempts_max, 3);
    CHECK_EQUAL(job->priority, 5);
    CHECK(job->payload.json && strncmp(job->payload.data, "{\"text\":\"", 9) == 0);
    weft_job_free(job);
}

FIBER_TEST(a_database_of_version_1_goes_on_with_all_its_jobs)
{
    char path[160];
    struct store store;
    (void)snprintf(path, sizeof path, "%s/version-1.db", test_directory());
    make_version_1(path);
    store_open(&store, &(struct weft_sqlite_options){.path = path});
    check_version_1_job(&store, "01a1ffbf-9dcd-70c5-aa4c-364796553b85", "process-0",
                        WEFT_JOB_COMPLETED, 1);
    check_version_1_job(&store, "01a1ffbf-9dd4-7514-a7a3-66c27b1c2e64", "process-1", WEFT_JOB_DEAD,
                        1);
    check_version_1_job(&store, "01a1ffbf-9dd9-7673-a2a7-fd6f1223c124", "process-3",
                        WEFT_JOB_CANCELLED, 1);
    check_version_1_job(&store, "01a1ffbf-9dda-70e6-9de8-b147cc4d9561", "process-1",
                        WEFT_JOB_RETRYABLE, 1);
    check_version_1_job(&store, "01a1ffbf-9de1-7221-90b1-a53a8cdb3c8d", "process-3",
                        WEFT_JOB_SCHEDULED, 0);
    check_version_1_job(&store, "01a1ffbf-9de1-7222-9126-72d84b11bdee", "process-2",
                        WEFT_JOB_AVAILABLE, 0); /* it was running */
    struct weft_queue_info one = queue_of(&store, "process-1"),
                           zero = queue_of(&store, "process-0");
    CHECK_EQUAL(one.jobs[WEFT_JOB_DEAD], 1);
    CHECK_EQUAL(one.jobs[WEFT_JOB_RETRYABLE], 1);
    CHECK_EQUAL(zero.jobs[WEFT_JOB_COMPLETED], 1);
    CHECK_EQUAL(zero.jobs[WEFT_JOB_AVAILABLE], 2);
    struct weft_broker_stats stats;
    CHECK_EQUAL(store.broker->ops->stats(store.broker, &stats), 0);
    for (int state = WEFT_JOB_SCHEDULED; state <= WEFT_JOB_DEAD; state++)
        CHECK_EQUAL(stats.jobs[state], state == WEFT_JOB_AVAILABLE ? 3
                                       : state == WEFT_JOB_RUNNING ? 0
                                                                   : 1);
    CHECK_EQUAL(stats.processing_sum_us, 2639);
    store_close(&store);
}

FIBER_TEST(jobs_of_version_1_keep_their_results_their_errors_and_their_crashes)
{
    char path[160];
    struct store store;
    struct weft_job_failure failures[4];
    size_t count = 0;
    (void)snprintf(path, sizeof path, "%s/version-1-too.db", test_directory());
    make_version_1(path);
    store_open(&store, &(struct weft_sqlite_options){.path = path});
    struct weft_uuid id = id_of("01a1ffbf-9dcd-70c5-aa4c-364796553b85");
    struct weft_job *job = find(&store, &id);
    CHECK(job->result.json && job->result.len == 22 &&
          memcmp(job->result.data, "{\"final_result\":\"end\"}", 22) == 0);
    CHECK_EQUAL(job->thread, 42);
    CHECK_EQUAL(job->finished_us - job->started_us, 2639);
    weft_job_free(job);
    id = id_of("01a1ffbf-9dd4-7514-a7a3-66c27b1c2e64");
    CHECK_EQUAL(store.broker->ops->failures(store.broker, &id, failures, 4, &count), 0);
    CHECK_EQUAL(count, 1);
    CHECK(strcmp(failures[0].text, "it did not work") == 0);
    CHECK_EQUAL(failures[0].at_us, 1795292110293122);

    struct weft_uuid lost = id_of("01a1ffbf-9de1-7222-9126-72d84b11bdee");
    job = store_claim(&store, "process-2");
    REQUIRE(job);
    CHECK(store_same(&job->id, &lost));
    CHECK_EQUAL(job->attempt, 1);
    CHECK_EQUAL(job->crashes, 2);
    store_settle(&store, job, WEFT_JOB_COMPLETE);
    job = store_claim(&store, "process-0"); /* the one with the better priority */
    REQUIRE(job);
    CHECK(strcmp(job->task, "report") == 0);
    store_settle(&store, job, WEFT_JOB_COMPLETE);
    job = store_claim(&store, "process-0");
    REQUIRE(job);
    CHECK(!job->payload.json && job->payload.len == 3 &&
          memcmp(job->payload.data, "\0\1\xff", 3) == 0);
    store_settle(&store, job, WEFT_JOB_COMPLETE);
    (void)store_end(&store, "new", WEFT_JOB_COMPLETE);
    store_close(&store);
}

/* --- killed --- */

struct victim {
    const char *path;
    int acknowledged; /* ids are written to it when they are durable */
};

/* Puts in jobs and runs every other one, until it is killed. */
static int put_in_until_killed(void *arg)
{
    const struct victim *victim = arg;
    struct store store;
    store_open(&store, &(struct weft_sqlite_options){.path = victim->path});
    for (int i = 0;; i++) {
        struct weft_uuid id = store_add(&store, i % 2 ? "stays" : "runs", "work");
        if (i % 2 == 0)
            (void)store_claim(&store, "runs"); // NOLINT: it dies with them
        if (write(victim->acknowledged, &id, sizeof id) != (ssize_t)sizeof id)
            return -EIO;
    }
}

TEST(what_was_acknowledged_survives_a_kill)
{
    enum {
        JOBS = 40
    };
    char path[160];
    int ends[2];
    (void)snprintf(path, sizeof path, "%s/killed.db", test_directory());
    struct victim victim = {.path = path};
    REQUIRE(pipe(ends) == 0);
    victim.acknowledged = ends[1];
    pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0)
        _exit(weft_run(NULL, put_in_until_killed, &victim) != 0);
    (void)close(ends[1]);
    static struct weft_uuid ids[JOBS];
    for (int i = 0; i < JOBS; i++)
        REQUIRE(read(ends[0], &ids[i], sizeof ids[i]) == (ssize_t)sizeof ids[i]);
    CHECK(kill(child, SIGKILL) == 0 && waitpid(child, NULL, 0) == child);
    (void)close(ends[0]);
    sqlite3 *db = NULL;
    REQUIRE(sqlite3_open(path, &db) == SQLITE_OK);
    sqlite3_stmt *statement = NULL;
    REQUIRE(sqlite3_prepare_v2(db,
                               "SELECT q.state, n.name FROM jobs j JOIN queue q ON q.seq = j.seq"
                               " JOIN queues n ON n.id = j.queue WHERE j.id = ?1",
                               -1, &statement, NULL) == SQLITE_OK);
    for (int i = 0; i < JOBS; i++) {
        (void)sqlite3_bind_blob(statement, 1, ids[i].bytes, sizeof ids[i].bytes, SQLITE_STATIC);
        REQUIRE(sqlite3_step(statement) == SQLITE_ROW);
        CHECK_EQUAL(sqlite3_column_int(statement, 0),
                    i % 2 ? WEFT_JOB_AVAILABLE : WEFT_JOB_RUNNING);
        (void)sqlite3_reset(statement);
    }
    (void)sqlite3_finalize(statement);
    (void)sqlite3_close(db);
}

STORE_FILE_TEST(a_lost_job_runs_again_and_the_loss_is_kept)
{
    struct weft_job_failure failures[4];
    size_t count = 0;
    struct weft_uuid id = store_add(store, "default", "work");
    struct weft_job *lost = store_claim(store, "default");
    REQUIRE(lost);
    store_reopen(store);
    struct weft_settlement late = {.job = lost, .event = WEFT_JOB_COMPLETE};
    CHECK_EQUAL(store->broker->ops->settle(store->broker, &late, 1), 0);
    CHECK_EQUAL(late.err, -ESTALE);
    weft_job_free(lost);
    check_error(store, &id, "the worker was lost");
    struct weft_job *again = store_claim(store, "default");
    REQUIRE(again);
    CHECK_EQUAL(again->attempt, 1);
    CHECK_EQUAL(again->crashes, 1);
    store_settle(store, again, WEFT_JOB_DIE);
    CHECK_EQUAL(store->broker->ops->failures(store->broker, &id, failures, 4, &count), 0);
    CHECK_EQUAL(count, 2);
    CHECK(strcmp(failures[0].text, "the worker was lost") == 0 && failures[0].attempt == 1);
    CHECK(strcmp(failures[1].text, "it did not work") == 0 && failures[1].attempt == 1);
}

STORE_FILE_TEST(a_job_that_takes_the_server_with_it_each_time_ends_dead_with_what_needs_it)
{
    struct weft_uuid id = store_add(store, "default", "work");
    struct weft_job child = store_job(store), other = store_job(store);
    const struct weft_after strict = {.id = id}, any = {.id = id, .any_end = true};
    struct weft_enqueue items[] = {{.job = &child, .after = &strict, .after_count = 1},
                                   {.job = &other, .after = &any, .after_count = 1}};
    struct weft_enqueue_batch batch = {.items = items, .count = 2};
    CHECK_EQUAL(store->broker->ops->enqueue(store->broker, &batch), 0);
    for (unsigned i = 0; i < WEFT_JOB_CRASHES_MAX; i++) {
        struct weft_job *claimed = store_claim(store, "default");
        REQUIRE(claimed);
        CHECK_EQUAL(claimed->attempt, 1);
        CHECK_EQUAL(claimed->crashes, i);
        weft_job_free(claimed);
        store_reopen(store);
    }
    CHECK_EQUAL(store_state(store, &id), WEFT_JOB_DEAD);
    check_error(store, &id, "its worker was lost 10 times while it ran");
    CHECK_EQUAL(store_state(store, &child.id), WEFT_JOB_CANCELLED);
    CHECK_EQUAL(store_state(store, &other.id), WEFT_JOB_AVAILABLE);
    struct weft_queue_info queue = queue_of(store, "default");
    CHECK_EQUAL(queue.jobs[WEFT_JOB_DEAD], 1);
    CHECK_EQUAL(queue.jobs[WEFT_JOB_CANCELLED], 1);
    CHECK_EQUAL(queue.jobs[WEFT_JOB_RUNNING] + queue.jobs[WEFT_JOB_BLOCKED], 0);
    CHECK_EQUAL(store_number(store, "SELECT dead * 10 + cancelled FROM queues"), 11);
}

STORE_FILE_TEST(a_job_that_was_to_be_cancelled_is_when_its_server_is_gone)
{
    struct weft_uuid id = store_add(store, "default", "work");
    weft_job_free(store_claim(store, "default"));
    struct weft_cancel cancel = {.id = id, .reason = "the customer has left"};
    CHECK_EQUAL(store->broker->ops->cancel(store->broker, &cancel), 0);
    CHECK_EQUAL(cancel.flagged, 1);
    store_reopen(store);
    CHECK_EQUAL(store_state(store, &id), WEFT_JOB_CANCELLED);
    check_error(store, &id, "the customer has left");
}

/* --- leases with an end --- */

static struct weft_job *claim_for(struct store *store, int64_t lease_us)
{
    static const char *const queue = "default";
    struct weft_job *job = NULL;
    struct weft_claim claim = {
        .queues = &queue, .queues_count = 1, .jobs_max = 1, .jobs = &job, .lease_us = lease_us};
    REQUIRE(store->broker->ops->claim(store->broker, &claim) == 0 && claim.count == 1);
    return job;
}

STORE_FILE_TEST(a_lease_with_an_end_outlives_the_server)
{
    (void)store_add(store, "default", "work");
    struct weft_job *job = claim_for(store, 60000000);
    CHECK(job->lease_until_us > job->started_us);
    store_reopen(store);
    CHECK_EQUAL(queue_of(store, "default").jobs[WEFT_JOB_RUNNING], 1);
    struct weft_lease lease = {.id = job->id, .token = job->lease_token, .lease_us = 90000000};
    CHECK_EQUAL(store->broker->ops->extend(store->broker, &lease, 1), 0);
    CHECK_EQUAL(lease.err, 0);
    store_settle(store, job, WEFT_JOB_COMPLETE);
}

STORE_FILE_TEST(a_lease_that_ran_out_while_nobody_served_is_lost)
{
    struct weft_maintenance done;
    struct weft_uuid id = store_add(store, "default", "work");
    weft_job_free(claim_for(store, 60000000));
    store_reopen(store);
    maintain(store, &done);
    CHECK_EQUAL(done.lost, 0);
    CHECK(done.next_us > 0 && done.next_us <= 60000000);
    (void)weft_sleep(61 * WEFT_SEC);
    maintain(store, &done);
    CHECK_EQUAL(done.lost, 1);
    CHECK_EQUAL(store_state(store, &id), WEFT_JOB_AVAILABLE);
    struct weft_job *job = store_claim(store, "default");
    REQUIRE(job);
    CHECK_EQUAL(job->attempt, 1);
    CHECK_EQUAL(job->crashes, 1);
    store_settle(store, job, WEFT_JOB_COMPLETE);
}

/* --- what waits --- */

STORE_FILE_TEST(settings_and_jobs_held_back_by_them_outlive_the_server)
{
    const struct weft_queue_settings one_each = {.running_max_per_key = 1, .size_max = 9};
    CHECK_EQUAL(store->broker->ops->queue_set(store->broker, "default", &one_each), 0);
    for (int i = 0; i < 3; i++) {
        struct weft_job job = store_job(store);
        job.limit_key = "customer-1";
        (void)store_put(store, &job);
    }
    struct weft_job *first = claim_for(store, 3600000000);
    CHECK(!store_claim(store, "default"));
    CHECK_EQUAL(store_number(store, "SELECT count(*) FROM queue WHERE flags & 1 = 1"), 2);
    store_reopen(store);
    CHECK_EQUAL(queue_of(store, "default").settings.running_max_per_key, 1);
    CHECK_EQUAL(queue_of(store, "default").settings.size_max, 9);
    CHECK(!store_claim(store, "default"));
    store_settle(store, first, WEFT_JOB_COMPLETE); /* lets the next one go */
    weft_job_free(store_claim(store, "default"));
    CHECK(!store_claim(store, "default"));
    store_reopen(store); /* that one is lost: nobody with this key runs, one is held */
    struct weft_maintenance done;
    maintain(store, &done);
    CHECK_EQUAL(store_number(store, "SELECT count(*) FROM queue WHERE flags & 1 = 1"), 0);
    (void)store_work(store, "default", WEFT_JOB_COMPLETE);
    (void)store_work(store, "default", WEFT_JOB_COMPLETE);
}

STORE_FILE_TEST(restarts_do_not_add_up_to_more_than_the_rate)
{
    static const char *const queue = "default";
    const struct weft_queue_settings slow = {.rate_per_s = 0.5, .burst = 2};
    struct weft_job *jobs[4];
    struct weft_claim claim = {.queues = &queue, .queues_count = 1, .jobs_max = 4, .jobs = jobs};
    CHECK_EQUAL(store->broker->ops->queue_set(store->broker, "default", &slow), 0);
    for (int i = 0; i < 4; i++)
        (void)store_add(store, "default", "work");
    store_reopen(store);
    CHECK_EQUAL(store->broker->ops->claim(store->broker, &claim), 0);
    CHECK_EQUAL(claim.count, 0);
    CHECK(claim.next_us > 0 && claim.next_us <= 2000000);
    (void)weft_sleep(claim.next_us * 1000);
    CHECK_EQUAL(store->broker->ops->claim(store->broker, &claim), 0);
    CHECK_EQUAL(claim.count, 1);
    weft_job_free(jobs[0]);
}

STORE_FILE_TEST(what_a_job_waits_for_and_its_unique_key_outlive_the_server)
{
    struct weft_uuid parent = store_add(store, "default", "work");
    struct weft_job child = store_job(store), same = store_job(store);
    child.unique_key = same.unique_key = "only-one";
    const struct weft_after after = {.id = parent};
    struct weft_enqueue item = {.job = &child, .after = &after, .after_count = 1};
    struct weft_enqueue_batch batch = {.items = &item, .count = 1};
    CHECK_EQUAL(store->broker->ops->enqueue(store->broker, &batch), 0);
    store_reopen(store);
    CHECK_EQUAL(store_state(store, &child.id), WEFT_JOB_BLOCKED);
    CHECK_EQUAL(store_try(store, &same), WEFT_EDUPLICATE);
    (void)store_work(store, "default", WEFT_JOB_COMPLETE);
    CHECK_EQUAL(store_state(store, &child.id), WEFT_JOB_AVAILABLE);
    struct weft_job *job = store_claim(store, "default");
    REQUIRE(job && job->inputs_count == 1);
    CHECK(store_same(&job->inputs[0].id, &parent));
    CHECK(job->inputs[0].result.data && memcmp(job->inputs[0].result.data, "{\"r\":1}", 7) == 0);
    store_settle(store, job, WEFT_JOB_COMPLETE);
    CHECK_EQUAL(store_try(store, &same), 0);
}

STORE_FILE_TEST(what_waits_for_its_time_comes_due_although_the_server_was_away)
{
    struct weft_maintenance done;
    struct weft_job later = store_job(store), retried = store_job(store);
    later.run_at_us += 60000000;
    (void)store_put(store, &retried);
    struct weft_job *job = store_claim(store, "default");
    REQUIRE(job);
    struct weft_settlement item = {
        .job = job, .event = WEFT_JOB_RETRY, .error = "not yet", .delay_us = 120000000};
    CHECK_EQUAL(store->broker->ops->settle(store->broker, &item, 1), 0);
    CHECK_EQUAL(item.err, 0);
    weft_job_free(job);
    (void)store_put(store, &later);
    store_reopen(store); /* nobody who put them in is there any more */
    CHECK(!store_claim(store, "default"));
    (void)weft_sleep(61 * WEFT_SEC);
    maintain(store, &done);
    CHECK_EQUAL(done.due, 1);
    struct weft_uuid first = store_work(store, "default", WEFT_JOB_COMPLETE);
    CHECK(store_same(&first, &later.id));
    (void)weft_sleep(60 * WEFT_SEC);
    maintain(store, &done);
    CHECK_EQUAL(done.due, 1);
    struct weft_uuid second = store_work(store, "default", WEFT_JOB_COMPLETE);
    CHECK(store_same(&second, &retried.id));
}

STORE_FILE_TEST(what_was_cancelled_or_is_dead_stays_so_and_can_begin_again)
{
    struct weft_uuid dead = store_end(store, "default", WEFT_JOB_DIE);
    struct weft_uuid id = store_add(store, "default", "work");
    struct weft_cancel cancel = {.id = id, .reason = "not wanted any more"};
    CHECK_EQUAL(store->broker->ops->cancel(store->broker, &cancel), 0);
    store_reopen(store);
    CHECK(!store_claim(store, "default"));
    CHECK_EQUAL(store_state(store, &id), WEFT_JOB_CANCELLED);
    check_error(store, &id, "not wanted any more");
    CHECK_EQUAL(store_state(store, &dead), WEFT_JOB_DEAD);
    check_error(store, &dead, "it did not work");
    enum weft_job_state state;
    CHECK_EQUAL(store->broker->ops->retry(store->broker, &dead, &state), 0);
    struct weft_uuid again = store_work(store, "default", WEFT_JOB_COMPLETE);
    CHECK(store_same(&again, &dead));
}
