/* SPDX-License-Identifier: MIT
 * sqlite_manage.c - looking at one job, statistics, and what is kept beside the jobs. */
#include "store.h"

#include <weft/group.h>
#include <weft/runtime.h>
#include <weft/scope.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HOUR_US INT64_C(3600000000)
#define DAY_NS  (24 * 3600 * WEFT_SEC)

static bool same_text(const char *one, const char *other)
{
    return one && other && strcmp(one, other) == 0;
}

/* --- one job --- */

STORE_TEST(a_job_is_found_as_it_was_asked_for)
{
    struct weft_job asked = store_job(store);
    asked.priority = 2;
    asked.attempts_max = 9;
    asked.run_at_us += HOUR_US;
    asked.expires_us = asked.run_at_us + HOUR_US;
    asked.timeout_us = 1000001;
    asked.grace_us = 1000002;
    asked.result_ttl_us = 1000003;
    asked.backoff = (struct weft_job_backoff){WEFT_BACKOFF_LINEAR, WEFT_JITTER_NONE, 5, 6};
    asked.flow = store_job(store).id;
    asked.limit_key = "limit";
    asked.unique_key = "unique";
    asked.content_type = "text/plain";
    asked.headers = "{\"trace\":\"1\"}";
    asked.payload = (struct weft_bytes){"\0\1", 2, false};
    struct weft_uuid id = store_put(store, &asked);
    struct weft_job *job = store_find(store, &id);
    REQUIRE(job);
    CHECK(store_same(&job->id, &asked.id) && store_same(&job->flow, &asked.flow));
    CHECK(same_text(job->task, "work") && same_text(job->queue, "default"));
    CHECK_EQUAL(job->state, WEFT_JOB_SCHEDULED);
    CHECK_EQUAL(job->priority, 2);
    CHECK_EQUAL(job->attempts_max, 9);
    CHECK_EQUAL(job->created_us, asked.created_us);
    CHECK_EQUAL(job->run_at_us, asked.run_at_us);
    CHECK_EQUAL(job->expires_us, asked.expires_us);
    CHECK_EQUAL(job->timeout_us, asked.timeout_us);
    CHECK_EQUAL(job->grace_us, asked.grace_us);
    CHECK_EQUAL(job->result_ttl_us, asked.result_ttl_us);
    CHECK_EQUAL(job->backoff.kind, WEFT_BACKOFF_LINEAR);
    CHECK_EQUAL(job->backoff.jitter, WEFT_JITTER_NONE);
    CHECK_EQUAL(job->backoff.base_us, 5);
    CHECK_EQUAL(job->backoff.cap_us, 6);
    CHECK(same_text(job->limit_key, "limit") && same_text(job->unique_key, "unique"));
    CHECK(same_text(job->content_type, "text/plain"));
    CHECK(same_text(job->headers, "{\"trace\":\"1\"}"));
    CHECK(job->payload.len == 2 && memcmp(job->payload.data, "\0\1", 2) == 0);
    CHECK(!job->payload.json && !job->result.data && !job->error && !job->progress);
    CHECK(job->attempt == 0 && job->lease_token == 0 && !job->cancelling);
    weft_job_free(job);
}

STORE_TEST(a_running_job_shows_its_lease_and_progress)
{
    struct weft_worker_info worker = {.name = "one"};
    REQUIRE(store->broker->ops->worker_join(store->broker, &worker) == 0);
    struct weft_uuid id = store_add(store, "default", "work");
    struct weft_job *job = NULL;
    const char *queue = "default";
    struct weft_claim claim = {.queues = &queue,
                               .queues_count = 1,
                               .worker = worker.number,
                               .lease_us = HOUR_US,
                               .jobs_max = 1,
                               .jobs = &job};
    REQUIRE(store->broker->ops->claim(store->broker, &claim) == 0 && claim.count == 1);
    struct weft_lease lease = {.id = id, .token = job->lease_token, .progress = "{\"done\":0.5}"};
    REQUIRE(store->broker->ops->extend(store->broker, &lease, 1) == 0 && !lease.err);
    struct weft_cancel cancel = {.kind = WEFT_CANCEL_JOB, .id = id};
    REQUIRE(store->broker->ops->cancel(store->broker, &cancel) == 0);
    struct weft_job *found = store_find(store, &id);
    REQUIRE(found);
    CHECK_EQUAL(found->state, WEFT_JOB_RUNNING);
    CHECK_EQUAL(found->attempt, 1);
    CHECK_EQUAL(found->worker, worker.number);
    CHECK(found->lease_token == job->lease_token && found->lease_token != 0);
    CHECK_EQUAL(found->lease_until_us, job->lease_until_us);
    CHECK(found->lease_until_us > found->started_us && found->started_us > 0);
    CHECK(same_text(found->progress, "{\"done\":0.5}"));
    CHECK(found->cancelling);
    weft_job_free(found);
    weft_job_free(job);
}

STORE_TEST(a_finished_job_shows_what_came_of_it)
{
    struct weft_uuid id = store_end(store, "default", WEFT_JOB_COMPLETE);
    struct weft_job *job = store_find(store, &id);
    REQUIRE(job);
    CHECK_EQUAL(job->state, WEFT_JOB_COMPLETED);
    CHECK(job->result.json && job->result.len == 7 && same_text(job->result.data, "{\"r\":1}"));
    CHECK(same_text(job->payload.data, "{\"n\":1}"));
    CHECK(!job->error && job->finished_us >= job->started_us);
    CHECK_EQUAL(job->thread, 7);
    weft_job_free(job);
    id = store_end(store, "default", WEFT_JOB_DIE);
    job = store_find(store, &id);
    REQUIRE(job);
    CHECK_EQUAL(job->state, WEFT_JOB_DEAD);
    CHECK(same_text(job->error, "it did not work") && !job->result.data);
    weft_job_free(job);
}

STORE_TEST(an_id_that_agrees_only_in_front_is_another_job)
{
    struct weft_uuid id = store_end(store, "default", WEFT_JOB_DIE), other = id;
    other.bytes[15] ^= 1;
    struct weft_job_failure failures[2];
    size_t count = 9;
    CHECK_EQUAL(store_state(store, &id), WEFT_JOB_DEAD);
    CHECK_EQUAL(store_state(store, &other), WEFT_JOB_NONE);
    CHECK_EQUAL(store->broker->ops->failures(store->broker, &other, failures, 2, &count), -ENOENT);
    CHECK_EQUAL(count, 9);
    other = store_job(store).id;
    CHECK_EQUAL(store_state(store, &other), WEFT_JOB_NONE);
    CHECK_EQUAL(store->broker->ops->failures(store->broker, &other, failures, 2, &count), -ENOENT);
}

STORE_TEST(failures_are_the_latest_with_the_newest_last)
{
    struct weft_job_failure failures[8];
    size_t count = 9;
    struct weft_job asked = store_job(store);
    asked.attempts_max = 8;
    struct weft_uuid id = store_put(store, &asked);
    CHECK_EQUAL(store->broker->ops->failures(store->broker, &id, failures, 8, &count), 0);
    CHECK_EQUAL(count, 0);
    for (int i = 1; i <= 4; i++) {
        struct weft_job *job = store_claim(store, "default");
        REQUIRE(job);
        char text[16];
        (void)snprintf(text, sizeof text, "failure %d", i);
        struct weft_settlement item = {.job = job, .event = WEFT_JOB_RETRY, .error = text};
        REQUIRE(store->broker->ops->settle(store->broker, &item, 1) == 0 && !item.err);
        weft_job_free(job);
        struct weft_maintenance maintenance;
        REQUIRE(weft_sleep(WEFT_SEC) == 0);
        REQUIRE(store->broker->ops->maintain(store->broker, &maintenance) == 0);
    }
    CHECK_EQUAL(store->broker->ops->failures(store->broker, &id, failures, 8, &count), 0);
    CHECK_EQUAL(count, 4);
    CHECK(same_text(failures[0].text, "failure 1") && same_text(failures[3].text, "failure 4"));
    CHECK_EQUAL(failures[3].attempt, 4);
    CHECK(failures[3].at_us > failures[2].at_us);
    CHECK_EQUAL(store->broker->ops->failures(store->broker, &id, failures, 2, &count), 0);
    CHECK_EQUAL(count, 2);
    CHECK(same_text(failures[0].text, "failure 3") && same_text(failures[1].text, "failure 4"));
    CHECK_EQUAL(store->broker->ops->failures(store->broker, &id, failures, 0, &count), 0);
    CHECK_EQUAL(count, 0);
}

STORE_TEST(a_cancelled_fiber_reads_nothing)
{
    struct weft_uuid id = store_add(store, "default", "work");
    struct weft_job *job = NULL;
    struct weft_broker_stats stats;
    struct weft_cron_entry *crons = NULL;
    size_t count;
    struct weft_scope scope;
    weft_scope_enter(&scope, WEFT_FOREVER, 0);
    weft_scope_cancel(&scope, 0);
    CHECK_EQUAL(store->broker->ops->find(store->broker, &id, &job), -ECANCELED);
    CHECK_EQUAL(store->broker->ops->stats(store->broker, &stats), -ECANCELED);
    CHECK_EQUAL(store->broker->ops->crons(store->broker, &crons, 5, &count), -ECANCELED);
    CHECK(!job && !crons);
    (void)weft_scope_leave(&scope, 0);
}

struct look {
    struct store *store;
    struct weft_uuid id;
    int err;
};

static int look_for_job(void *arg)
{
    struct look *look = arg;
    struct weft_job *job = NULL;
    look->err = look->store->broker->ops->find(look->store->broker, &look->id, &job);
    CHECK((look->err == 0) == (job != NULL));
    weft_job_free(job);
    return 0;
}

STORE_TEST(a_fiber_that_is_cancelled_while_it_reads_gets_all_or_nothing)
{
    struct look look = {.store = store, .id = store_add(store, "default", "work")};
    for (int yields = 0; yields < 20; yields++) {
        struct weft_group group;
        look.err = 1;
        REQUIRE(weft_group_init(&group, NULL) == 0);
        REQUIRE(weft_spawn(&group, look_for_job, &look) == 0);
        for (int i = 0; i < yields; i++)
            weft_yield();
        weft_group_close(&group);
        CHECK(look.err == 0 || look.err == -ECANCELED || (yields == 0 && look.err == 1));
    }
}

STORE_TEST(a_cancelled_fiber_can_still_change_things)
{
    struct weft_worker_info worker = {.name = "one"};
    struct weft_audit_entry entry = {.who = "somebody"};
    struct weft_cron_entry cron = {.name = "nightly", .schedule = "@daily", .job = "{}"};
    struct weft_scope scope;
    weft_scope_enter(&scope, WEFT_FOREVER, 0);
    weft_scope_cancel(&scope, 0);
    CHECK_EQUAL(store->broker->ops->worker_join(store->broker, &worker), 0);
    CHECK_EQUAL(store->broker->ops->audit(store->broker, &entry), 0);
    CHECK_EQUAL(store->broker->ops->cron_set(store->broker, &cron), 0);
    CHECK_EQUAL(store->broker->ops->cron_remove(store->broker, "nightly"), 0);
    CHECK_EQUAL(store->broker->ops->worker_leave(store->broker, worker.number), 0);
    (void)weft_scope_leave(&scope, 0);
}

/* --- statistics --- */

STORE_TEST(statistics_count_jobs_by_state_and_their_times)
{
    struct weft_broker_stats stats;
    CHECK_EQUAL(store->broker->ops->stats(store->broker, &stats), 0);
    CHECK_EQUAL(stats.jobs[WEFT_JOB_COMPLETED] + stats.jobs[WEFT_JOB_AVAILABLE], 0);
    for (int i = 1; i <= 2; i++) {
        (void)store_add(store, "default", "work");
        struct weft_job *job = store_claim(store, "default");
        REQUIRE(job && weft_sleep(i * WEFT_SEC) == 0);
        store_settle(store, job, WEFT_JOB_COMPLETE);
    }
    (void)store_end(store, "default", WEFT_JOB_DIE);
    (void)store_end(store, "default", WEFT_JOB_CANCEL);
    (void)store_add(store, "default", "work");
    CHECK_EQUAL(store->broker->ops->stats(store->broker, &stats), 0);
    CHECK_EQUAL(stats.jobs[WEFT_JOB_NONE], 0);
    CHECK_EQUAL(stats.jobs[WEFT_JOB_COMPLETED], 2);
    CHECK_EQUAL(stats.jobs[WEFT_JOB_DEAD], 1);
    CHECK_EQUAL(stats.jobs[WEFT_JOB_CANCELLED], 1);
    CHECK_EQUAL(stats.jobs[WEFT_JOB_AVAILABLE], 1);
    CHECK_EQUAL(stats.jobs[WEFT_JOB_RUNNING], 0);
    CHECK_EQUAL(stats.processing_sum_us, 3000000);
    CHECK_EQUAL(stats.processing_min_us, 1000000);
    CHECK_EQUAL(stats.processing_max_us, 2000000);
    CHECK(stats.commits > 0 && stats.operations > 0);
}

STORE_TEST(statistics_have_the_latest_metrics_first)
{
    struct weft_broker_stats stats;
    for (int i = 1; i <= WEFT_BROKER_METRICS_RECENT + 3; i++) {
        struct weft_queue_metrics metrics = {.time_us = i * INT64_C(1000),
                                             .total = (uint64_t)i,
                                             .workers = {1, 2, 3, 4},
                                             .active = 5,
                                             .processed = 6};
        CHECK_EQUAL(store->broker->ops->record(store->broker, &metrics), 0);
    }
    CHECK_EQUAL(store->broker->ops->stats(store->broker, &stats), 0);
    CHECK_EQUAL(stats.metrics_count, WEFT_BROKER_METRICS_RECENT);
    CHECK_EQUAL(stats.metrics[0].total, WEFT_BROKER_METRICS_RECENT + 3);
    CHECK_EQUAL(stats.metrics[0].time_us, (WEFT_BROKER_METRICS_RECENT + 3) * 1000);
    CHECK_EQUAL(stats.metrics[0].workers[3], 4);
    CHECK_EQUAL(stats.metrics[0].active, 5);
    CHECK_EQUAL(stats.metrics[0].processed, 6);
    CHECK_EQUAL(stats.metrics[9].total, 4);
}

STORE_FILE_TEST(the_latest_100000_metrics_are_kept)
{
    store_sql(store,
              "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100005)"
              " INSERT INTO queue_metrics (total_queued) SELECT i FROM n");
    struct weft_queue_metrics metrics = {.total = 1000000};
    CHECK_EQUAL(store->broker->ops->record(store->broker, &metrics), 0);
    CHECK_EQUAL(store_number(store, "SELECT count(*) FROM queue_metrics"), 100000);
    CHECK_EQUAL(store_number(store, "SELECT min(total_queued) FROM queue_metrics"), 7);
}

/* --- queues --- */

STORE_TEST(a_queue_tells_since_when_its_oldest_job_waits)
{
    struct weft_queue_info queue, queues[2];
    size_t count;
    CHECK_EQUAL(store->broker->ops->queue_find(store->broker, "a", &queue), -ENOENT);
    struct weft_job first = store_job(store);
    first.queue = "a";
    first.priority = WEFT_PRIORITY_LAST;
    (void)store_put(store, &first);
    REQUIRE(weft_sleep(WEFT_SEC) == 0);
    struct weft_job second = store_job(store);
    second.queue = "a";
    second.priority = 0;
    (void)store_put(store, &second);
    CHECK_EQUAL(store->broker->ops->queue_find(store->broker, "a", &queue), 0);
    CHECK_EQUAL(queue.jobs[WEFT_JOB_AVAILABLE], 2);
    CHECK_EQUAL(queue.oldest_us, first.run_at_us);
    (void)store_work(store, "a", WEFT_JOB_COMPLETE);
    CHECK_EQUAL(store->broker->ops->queue_find(store->broker, "a", &queue), 0);
    CHECK_EQUAL(queue.oldest_us, first.run_at_us);
    second = store_job(store);
    second.queue = "urgent";
    second.priority = 0;
    (void)store_put(store, &second);
    CHECK_EQUAL(store->broker->ops->queue_find(store->broker, "urgent", &queue), 0);
    CHECK_EQUAL(queue.oldest_us, second.run_at_us);
    (void)store_work(store, "a", WEFT_JOB_COMPLETE);
    (void)store_add(store, "b", "work");
    (void)store_add(store, "c", "work");
    CHECK_EQUAL(store->broker->ops->queues(store->broker, queues, 2, &count), 0);
    CHECK_EQUAL(count, 4);
    CHECK(same_text(queues[0].name, "a") && same_text(queues[1].name, "b"));
    CHECK_EQUAL(queues[0].oldest_us, 0);
    CHECK_EQUAL(queues[0].jobs[WEFT_JOB_COMPLETED], 2);
    CHECK(queues[1].oldest_us > 0);
}

/* --- workers --- */

STORE_TEST(workers_join_tell_what_they_do_and_leave)
{
    struct weft_worker_info worker = {.name = "host-1",
                                      .host = "host",
                                      .pid = 77,
                                      .version = "0.1",
                                      .queues = "a,b",
                                      .concurrency = 10};
    struct weft_worker_info other = {.name = "host-2"}, workers[3];
    size_t count;
    CHECK_EQUAL(store->broker->ops->worker_join(store->broker, &worker), 0);
    CHECK_EQUAL(store->broker->ops->worker_join(store->broker, &other), 0);
    CHECK(worker.number > 0 && other.number > worker.number);
    REQUIRE(weft_sleep(WEFT_SEC) == 0);
    worker.running = 3;
    worker.done = 4;
    CHECK_EQUAL(store->broker->ops->worker_beat(store->broker, &worker), 0);
    CHECK_EQUAL(store->broker->ops->workers(store->broker, workers, 3, &count), 0);
    CHECK_EQUAL(count, 2);
    CHECK_EQUAL(workers[0].number, other.number);
    CHECK_EQUAL(workers[0].seen_us, workers[0].started_us);
    CHECK_EQUAL(workers[1].number, worker.number);
    CHECK(same_text(workers[1].name, "host-1") && same_text(workers[1].host, "host"));
    CHECK(same_text(workers[1].version, "0.1") && same_text(workers[1].queues, "a,b"));
    CHECK_EQUAL(workers[1].pid, 77);
    CHECK_EQUAL(workers[1].concurrency, 10);
    CHECK_EQUAL(workers[1].running, 3);
    CHECK_EQUAL(workers[1].done, 4);
    CHECK_EQUAL(workers[1].seen_us - workers[1].started_us, 1000000);
    CHECK_EQUAL(workers[1].ended_us, 0);
    CHECK_EQUAL(store->broker->ops->worker_leave(store->broker, worker.number), 0);
    CHECK_EQUAL(store->broker->ops->workers(store->broker, workers, 3, &count), 0);
    CHECK(workers[1].ended_us == workers[1].seen_us && workers[1].running == 0);
    CHECK_EQUAL(store->broker->ops->workers(store->broker, workers, 1, &count), 0);
    CHECK_EQUAL(count, 1);
}

STORE_TEST(a_worker_that_left_or_never_joined_is_told_so)
{
    struct weft_worker_info worker = {.name = "one"}, stranger = {.name = "two", .number = 99};
    struct weft_worker_info nameless = {.name = ""};
    CHECK_EQUAL(store->broker->ops->worker_join(store->broker, &worker), 0);
    CHECK_EQUAL(store->broker->ops->worker_leave(store->broker, worker.number), 0);
    CHECK_EQUAL(store->broker->ops->worker_leave(store->broker, worker.number), -ENOENT);
    CHECK_EQUAL(store->broker->ops->worker_beat(store->broker, &worker), -ENOENT);
    CHECK_EQUAL(store->broker->ops->worker_beat(store->broker, &stranger), -ENOENT);
    CHECK_EQUAL(store->broker->ops->worker_leave(store->broker, 99), -ENOENT);
    CHECK_EQUAL(store->broker->ops->worker_join(store->broker, &nameless), -EINVAL);
}

STORE_TEST(workers_that_were_last_seen_a_day_ago_are_forgotten)
{
    struct weft_worker_info left = {.name = "left"}, lost = {.name = "lost"}, here = {.name = "on"};
    struct weft_worker_info next = {.name = "next"}, workers[5];
    size_t count;
    CHECK_EQUAL(store->broker->ops->worker_join(store->broker, &left), 0);
    CHECK_EQUAL(store->broker->ops->worker_join(store->broker, &lost), 0);
    CHECK_EQUAL(store->broker->ops->worker_join(store->broker, &here), 0);
    CHECK_EQUAL(store->broker->ops->worker_leave(store->broker, left.number), 0);
    REQUIRE(weft_sleep(DAY_NS - WEFT_SEC) == 0);
    CHECK_EQUAL(store->broker->ops->worker_beat(store->broker, &here), 0);
    CHECK_EQUAL(store->broker->ops->worker_join(store->broker, &next), 0);
    CHECK_EQUAL(store->broker->ops->workers(store->broker, workers, 5, &count), 0);
    CHECK_EQUAL(count, 4);
    REQUIRE(weft_sleep(2 * WEFT_SEC) == 0);
    CHECK_EQUAL(store->broker->ops->worker_join(store->broker, &next), 0);
    CHECK_EQUAL(store->broker->ops->workers(store->broker, workers, 5, &count), 0);
    CHECK_EQUAL(count, 3);
    CHECK_EQUAL(workers[2].number, here.number);
    CHECK_EQUAL(store->broker->ops->worker_beat(store->broker, &lost), -ENOENT);
}

STORE_FILE_TEST(the_registry_keeps_the_latest_10000_workers)
{
    struct weft_worker_info worker = {.name = "last"};
    store_sql(store,
              "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10005)"
              " INSERT INTO workers (name, started_us, seen_us)"
              " SELECT 'worker-' || i, 1, strftime('%s', 'now') * 1000000 FROM n");
    CHECK_EQUAL(store->broker->ops->worker_join(store->broker, &worker), 0);
    CHECK_EQUAL(worker.number, 10006);
    CHECK_EQUAL(store_number(store, "SELECT count(*) FROM workers"), 10000);
    CHECK_EQUAL(store_number(store, "SELECT max(id) FROM workers"), 10006);
}

/* --- schedules --- */

static int set_cron(struct store *store, const char *name, int64_t next_us, bool paused)
{
    struct weft_cron_entry entry = {.name = name,
                                    .schedule = "0 3 * * *",
                                    .job = "{\"task\":\"work\"}",
                                    .next_us = next_us,
                                    .paused = paused};
    return store->broker->ops->cron_set(store->broker, &entry);
}

STORE_TEST(schedules_are_kept_as_they_were_set)
{
    struct weft_cron_entry set = {.name = "nightly",
                                  .schedule = "0 3 * * *",
                                  .zone = "Europe/Berlin",
                                  .missed = "once",
                                  .job = "{\"task\":\"work\"}",
                                  .next_us = 5};
    struct weft_cron_entry *crons;
    size_t count;
    CHECK_EQUAL(store->broker->ops->cron_set(store->broker, &set), 0);
    CHECK_EQUAL(set_cron(store, "plain", 6, false), 0);
    CHECK_EQUAL(store->broker->ops->crons(store->broker, &crons, 10, &count), 0);
    REQUIRE(count == 2);
    CHECK(same_text(crons[0].name, "nightly") && same_text(crons[0].schedule, "0 3 * * *"));
    CHECK(same_text(crons[0].zone, "Europe/Berlin") && same_text(crons[0].missed, "once"));
    CHECK(same_text(crons[0].job, "{\"task\":\"work\"}"));
    CHECK(!crons[0].paused && crons[0].next_us == 5 && crons[0].last_us == 0);
    CHECK(crons[0].created_us > 0);
    CHECK(same_text(crons[1].name, "plain") && !crons[1].zone && !crons[1].missed);
    free(crons);
}

STORE_TEST(a_schedule_that_is_set_again_keeps_its_history)
{
    struct weft_cron_entry *crons;
    size_t count;
    CHECK_EQUAL(set_cron(store, "nightly", 5, false), 0);
    struct weft_job job = store_job(store);
    struct weft_enqueue item = {.job = &job};
    struct weft_cron_fire fire = {
        .name = "nightly", .planned_us = 5, .next_us = 9, .batch = {.items = &item, .count = 1}};
    CHECK_EQUAL(store->broker->ops->cron_fire(store->broker, &fire), 0);
    REQUIRE(weft_sleep(WEFT_SEC) == 0);
    CHECK_EQUAL(set_cron(store, "nightly", 7, true), 0);
    CHECK_EQUAL(store->broker->ops->crons(store->broker, &crons, 10, &count), 0);
    REQUIRE(count == 1);
    CHECK(crons[0].next_us == 7 && crons[0].paused);
    CHECK_EQUAL(crons[0].last_us, 5);
    CHECK(store_same(&crons[0].last_job, &job.id));
    CHECK(crons[0].created_us < store->broker->ops->now_us(store->broker));
    free(crons);
}

STORE_TEST(schedules_come_in_order_of_their_next_time_with_paused_ones_last)
{
    static const char *const names[] = {"soon", "later", "last", "paused"};
    struct weft_cron_entry *crons;
    size_t count;
    CHECK_EQUAL(set_cron(store, "paused", 1, true), 0);
    CHECK_EQUAL(set_cron(store, "later", 20, false), 0);
    CHECK_EQUAL(set_cron(store, "soon", 10, false), 0);
    CHECK_EQUAL(set_cron(store, "last", INT64_MAX, false), 0);
    CHECK_EQUAL(store->broker->ops->crons(store->broker, &crons, 10, &count), 0);
    REQUIRE(count == 4);
    for (int i = 0; i < 4; i++)
        CHECK(same_text(crons[i].name, names[i]));
    free(crons);
    CHECK_EQUAL(store->broker->ops->crons(store->broker, &crons, 1, &count), 0);
    CHECK(count == 1 && same_text(crons[0].name, "soon"));
    free(crons);
    CHECK_EQUAL(store->broker->ops->cron_remove(store->broker, "soon"), 0);
    CHECK_EQUAL(store->broker->ops->cron_remove(store->broker, "soon"), -ENOENT);
    CHECK_EQUAL(store->broker->ops->crons(store->broker, &crons, 1, &count), 0);
    CHECK(count == 1 && same_text(crons[0].name, "later"));
    free(crons);
    CHECK_EQUAL(store->broker->ops->crons(store->broker, &crons, 0, &count), 0);
    CHECK_EQUAL(count, 0);
    free(crons);
}

STORE_TEST(schedules_that_cannot_be_are_refused)
{
    char *large = malloc(WEFT_JOB_PAYLOAD_MAX + 2), longer[WEFT_JOB_KEY_MAX + 2];
    REQUIRE(large);
    memset(large, ' ', WEFT_JOB_PAYLOAD_MAX + 1);
    large[WEFT_JOB_PAYLOAD_MAX + 1] = '\0';
    memset(longer, 'x', WEFT_JOB_KEY_MAX + 1);
    longer[WEFT_JOB_KEY_MAX + 1] = '\0';
    const struct weft_cron_entry wrong[] = {
        {.name = "no name", .schedule = "@daily", .job = "{}"},
        {.name = NULL, .schedule = "@daily", .job = "{}"},
        {.name = "a", .schedule = NULL, .job = "{}"},
        {.name = "a", .schedule = "@daily", .job = NULL},
        {.name = "a", .schedule = longer, .job = "{}"},
        {.name = "a", .schedule = "@daily", .zone = longer, .job = "{}"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        CHECK_EQUAL(store->broker->ops->cron_set(store->broker, &wrong[i]), -EINVAL);
    struct weft_cron_entry entry = {.name = "a", .schedule = "@daily", .job = large};
    CHECK_EQUAL(store->broker->ops->cron_set(store->broker, &entry), -EMSGSIZE);
    large[WEFT_JOB_PAYLOAD_MAX] = '\0';
    for (int i = 0; i < 17; i++) {
        char name[2] = {(char)('a' + i), '\0'};
        entry.name = name;
        CHECK_EQUAL(store->broker->ops->cron_set(store->broker, &entry), i < 16 ? 0 : -ENOBUFS);
    }
    entry.name = "a"; /* in its own place it has room */
    CHECK_EQUAL(store->broker->ops->cron_set(store->broker, &entry), 0);
    free(large);
}

STORE_FILE_TEST(there_are_at_most_10000_schedules)
{
    store_sql(store,
              "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 9999)"
              " INSERT INTO crons (name, schedule, job, paused, created_us, next_us)"
              " SELECT 'cron-' || i, '@daily', '{}', 0, 1, i FROM n");
    struct weft_cron_entry *crons;
    size_t count;
    CHECK_EQUAL(set_cron(store, "one", 5, false), 0);
    CHECK_EQUAL(set_cron(store, "two", 5, false), -ENOBUFS);
    CHECK_EQUAL(set_cron(store, "one", 50000, false), 0);
    CHECK_EQUAL(store->broker->ops->crons(store->broker, &crons, SIZE_MAX, &count), 0);
    REQUIRE(count == 10000);
    CHECK(same_text(crons[0].name, "cron-1") && same_text(crons[9999].name, "one"));
    free(crons);
}

/* --- what was done by hand --- */

STORE_TEST(the_audit_has_the_newest_first)
{
    struct weft_audit_entry entry = {
        .who = "ada", .action = "cancel", .target = "job 1", .detail = "asked for"};
    struct weft_audit_entry last = {.at_us = 5, .who = "bob", .action = "pause"}, entries[3];
    size_t count;
    CHECK_EQUAL(store->broker->ops->audit(store->broker, &entry), 0);
    CHECK_EQUAL(store->broker->ops->audit(store->broker, &last), 0);
    CHECK_EQUAL(store->broker->ops->audits(store->broker, entries, 3, &count), 0);
    CHECK_EQUAL(count, 2);
    CHECK(same_text(entries[0].who, "bob") && same_text(entries[0].target, ""));
    CHECK_EQUAL(entries[0].at_us, 5);
    CHECK(same_text(entries[1].who, "ada") && same_text(entries[1].action, "cancel"));
    CHECK(same_text(entries[1].target, "job 1") && same_text(entries[1].detail, "asked for"));
    CHECK_EQUAL(entries[1].at_us, store->broker->ops->now_us(store->broker));
    CHECK_EQUAL(store->broker->ops->audits(store->broker, entries, 1, &count), 0);
    CHECK_EQUAL(count, 1);
}

STORE_FILE_TEST(the_audit_keeps_the_latest_100000)
{
    store_sql(store,
              "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100005)"
              " INSERT INTO audit (at_us, action) SELECT i, 'test' FROM n");
    CHECK_EQUAL(
        store->broker->ops->audit(store->broker, &(struct weft_audit_entry){.action = "last"}), 0);
    CHECK_EQUAL(store_number(store, "SELECT count(*) FROM audit"), 100000);
    CHECK_EQUAL(store_number(store, "SELECT min(at_us) FROM audit"), 7);
}
