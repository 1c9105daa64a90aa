/* SPDX-License-Identifier: MIT
 * conformance_manage.c - looking after jobs: lists, statistics, workers, schedules, retention. */
#include "fixture.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DAY_US (24 * 60 * MINUTE_US)

/* Read all pages; returns how many jobs there were. Each must be older than the one before. */
static unsigned list_all(struct weft_broker *broker, struct weft_job_filter filter)
{
    struct weft_job *jobs[7];
    struct weft_job_page page = {.jobs = jobs};
    struct weft_uuid last = {{0}};
    unsigned total = 0, pages = 0;
    filter.jobs_max = 7;
    do {
        REQUIRE(broker->ops->list(broker, &filter, &page) == 0);
        for (size_t i = 0; i < page.count; i++, total++) {
            CHECK(total == 0 || memcmp(jobs[i]->id.bytes, last.bytes, sizeof last.bytes) < 0);
            last = jobs[i]->id;
            if (filter.state)
                CHECK_EQUAL(jobs[i]->state, filter.state);
            if (filter.queue)
                CHECK(strcmp(jobs[i]->queue, filter.queue) == 0);
            if (filter.task)
                CHECK(strcmp(jobs[i]->task, filter.task) == 0);
            CHECK(jobs[i]->payload.len == 0 && jobs[i]->result.len == 0);
            weft_job_free(jobs[i]);
        }
        filter.before = page.next;
    } while (page.more && ++pages < 1000);
    CHECK(!page.more);
    return total;
}

FIBER_TEST(lists_give_each_job_once_newest_first_whatever_is_asked_for)
{
    struct weft_broker *broker = fixture_open();
    NEEDS_CAPABILITY(broker, WEFT_BROKER_MANAGES);
    CHECK_EQUAL(list_all(broker, (struct weft_job_filter){0}), 0);
    struct weft_uuid flow = {{0}};
    for (int i = 0; i < 60; i++) {
        struct weft_job job = fixture_job_in(broker, i % 2 ? "odd" : "even");
        job.task = i % 3 ? "process" : "third";
        if (i == 0)
            flow = job.id;
        if (i % 10 == 0)
            job.flow = flow;
        if (i >= 50)
            job.run_at_us += MINUTE_US;
        CHECK_EQUAL(fixture_enqueue(broker, &job), 0);
    }
    for (int i = 0; i < 5; i++)
        fixture_claim_and_settle(broker, "odd", WEFT_JOB_COMPLETE);
    for (int i = 0; i < 4; i++)
        fixture_claim_and_settle(broker, "odd", WEFT_JOB_DIE);
    fixture_claim_and_settle(broker, "even", WEFT_JOB_RETRY);
    fixture_claim_and_settle(broker, "even", WEFT_JOB_CANCEL);
    weft_job_free(fixture_claim_one(broker, "even"));
    CHECK_EQUAL(list_all(broker, (struct weft_job_filter){0}), 60);
    CHECK_EQUAL(list_all(broker, (struct weft_job_filter){.queue = "odd"}), 30);
    CHECK_EQUAL(list_all(broker, (struct weft_job_filter){.task = "third"}), 20);
    CHECK_EQUAL(list_all(broker, (struct weft_job_filter){.queue = "odd", .task = "third"}), 10);
    CHECK_EQUAL(list_all(broker, (struct weft_job_filter){.flow = flow}), 6);
    CHECK_EQUAL(list_all(broker, (struct weft_job_filter){.state = WEFT_JOB_COMPLETED}), 5);
    CHECK_EQUAL(list_all(broker, (struct weft_job_filter){.state = WEFT_JOB_DEAD}), 4);
    CHECK_EQUAL(list_all(broker, (struct weft_job_filter){.state = WEFT_JOB_CANCELLED}), 1);
    CHECK_EQUAL(list_all(broker, (struct weft_job_filter){.state = WEFT_JOB_RETRYABLE}), 1);
    CHECK_EQUAL(list_all(broker, (struct weft_job_filter){.state = WEFT_JOB_RUNNING}), 1);
    CHECK_EQUAL(list_all(broker, (struct weft_job_filter){.state = WEFT_JOB_SCHEDULED}), 10);
    CHECK_EQUAL(list_all(broker, (struct weft_job_filter){.state = WEFT_JOB_AVAILABLE}), 38);
    CHECK_EQUAL(list_all(broker, (struct weft_job_filter){.state = WEFT_JOB_DEAD, .queue = "even"}),
                0);
    CHECK_EQUAL(list_all(broker, (struct weft_job_filter){.queue = "never"}), 0);
    fixture_close(broker);
}

FIBER_TEST(stats_count_jobs_by_state_and_time_what_was_completed)
{
    struct weft_broker *broker = fixture_open();
    NEEDS_CAPABILITY(broker, WEFT_BROKER_MANAGES);
    for (int i = 0; i < 3; i++) {
        (void)fixture_put(broker, "default");
        struct weft_job *job = fixture_claim_one(broker, "default");
        (void)weft_sleep((i + 1) * WEFT_SEC);
        CHECK_EQUAL(fixture_settle(broker, job, WEFT_JOB_COMPLETE, 0), 0);
        weft_job_free(job);
    }
    (void)fixture_put(broker, "default");
    fixture_claim_and_settle(broker, "default", WEFT_JOB_DIE);
    (void)fixture_put(broker, "default");
    struct weft_broker_stats stats;
    CHECK_EQUAL(broker->ops->stats(broker, &stats), 0);
    CHECK_EQUAL(stats.jobs[WEFT_JOB_COMPLETED], 3);
    CHECK_EQUAL(stats.jobs[WEFT_JOB_DEAD], 1);
    CHECK_EQUAL(stats.jobs[WEFT_JOB_AVAILABLE], 1);
    CHECK_EQUAL(stats.jobs[WEFT_JOB_RUNNING], 0);
    CHECK_EQUAL(stats.processing_min_us, SECOND_US);
    CHECK_EQUAL(stats.processing_max_us, 3 * SECOND_US);
    CHECK_EQUAL(stats.processing_sum_us, 6 * SECOND_US);
    fixture_close(broker);
}

FIBER_TEST(metrics_come_back_newest_first_and_not_all)
{
    struct weft_broker *broker = fixture_open();
    NEEDS_CAPABILITY(broker, WEFT_BROKER_MANAGES);
    for (unsigned i = 1; i <= WEFT_BROKER_METRICS_RECENT + 3; i++) {
        struct weft_queue_metrics row = {.total = i, .workers = {i, 2, 3, 4}, .processed = 9};
        CHECK_EQUAL(broker->ops->record(broker, &row), 0);
        (void)weft_sleep(WEFT_SEC);
    }
    struct weft_broker_stats stats;
    CHECK_EQUAL(broker->ops->stats(broker, &stats), 0);
    REQUIRE(stats.metrics_count == WEFT_BROKER_METRICS_RECENT);
    for (unsigned i = 0; i < stats.metrics_count; i++) {
        CHECK_EQUAL(stats.metrics[i].total, WEFT_BROKER_METRICS_RECENT + 3 - i);
        CHECK_EQUAL(stats.metrics[i].workers[3], 4);
    }
    fixture_close(broker);
}

/* --- retention --- */

static uint64_t prune_all(struct weft_broker *broker, const struct weft_retention *retention)
{
    uint64_t total = 0, removed;
    bool more = true;
    for (int i = 0; more && i < 1000; i++) {
        REQUIRE(broker->ops->prune(broker, retention, &removed, &more) == 0);
        total += removed;
    }
    CHECK(!more);
    return total;
}

FIBER_TEST(finished_jobs_are_removed_when_the_time_of_their_state_is_over)
{
    struct weft_broker *broker = fixture_open();
    NEEDS_CAPABILITY(broker, WEFT_BROKER_MANAGES);
    const struct weft_retention retention = {.completed_us = DAY_US, .dead_us = 10 * DAY_US};
    struct weft_uuid completed = fixture_put(broker, "default");
    fixture_claim_and_settle(broker, "default", WEFT_JOB_COMPLETE);
    struct weft_uuid dead = fixture_put(broker, "default");
    fixture_claim_and_settle(broker, "default", WEFT_JOB_DIE);
    struct weft_uuid cancelled = fixture_put(broker, "default");
    fixture_claim_and_settle(broker, "default", WEFT_JOB_CANCEL);
    struct weft_uuid waits = fixture_put(broker, "default");
    CHECK_EQUAL(prune_all(broker, &retention), 0);
    fixture_pass(broker, DAY_US + MINUTE_US);
    struct weft_uuid young = fixture_put(broker, "other");
    fixture_claim_and_settle(broker, "other", WEFT_JOB_COMPLETE);
    CHECK_EQUAL(prune_all(broker, &retention), 1);
    struct weft_job *found = NULL;
    CHECK_EQUAL(broker->ops->find(broker, &completed, &found), -ENOENT);
    CHECK_EQUAL(fixture_state(broker, &dead), WEFT_JOB_DEAD);
    CHECK_EQUAL(fixture_state(broker, &young), WEFT_JOB_COMPLETED);
    fixture_pass(broker, 10 * DAY_US);
    CHECK_EQUAL(prune_all(broker, &retention), 2); /* the dead one, and the young one */
    CHECK_EQUAL(broker->ops->find(broker, &dead, &found), -ENOENT);
    CHECK_EQUAL(fixture_state(broker, &cancelled), WEFT_JOB_CANCELLED); /* for ever */
    CHECK_EQUAL(fixture_state(broker, &waits), WEFT_JOB_AVAILABLE);
    fixture_close(broker);
}

FIBER_TEST(a_result_may_go_before_its_job)
{
    struct weft_broker *broker = fixture_open();
    NEEDS_CAPABILITY(broker, WEFT_BROKER_MANAGES);
    const struct weft_retention retention = {.completed_us = 30 * DAY_US};
    struct weft_job job = fixture_job(broker);
    job.result_ttl_us = 60 * MINUTE_US;
    CHECK_EQUAL(fixture_enqueue(broker, &job), 0);
    fixture_claim_and_settle(broker, "default", WEFT_JOB_COMPLETE);
    fixture_pass(broker, 2 * 60 * MINUTE_US);
    CHECK_EQUAL(prune_all(broker, &retention), 0);
    struct weft_job *found = fixture_find(broker, &job.id);
    CHECK_EQUAL(found->state, WEFT_JOB_COMPLETED);
    CHECK(!found->result.data);
    weft_job_free(found);
    fixture_close(broker);
}

/* --- workers --- */

FIBER_TEST(workers_join_are_seen_and_leave)
{
    struct weft_broker *broker = fixture_open();
    NEEDS_CAPABILITY(broker, WEFT_BROKER_MANAGES);
    struct weft_worker_info a = {.name = "a", .host = "h", .pid = 7, .concurrency = 10}, b = a;
    (void)snprintf(b.name, sizeof b.name, "b");
    (void)snprintf(b.queues, sizeof b.queues, "x,y");
    CHECK_EQUAL(broker->ops->worker_join(broker, &a), 0);
    CHECK_EQUAL(broker->ops->worker_join(broker, &b), 0);
    CHECK(a.number > 0 && b.number > a.number);
    (void)weft_sleep(10 * WEFT_SEC);
    b.running = 3;
    b.done = 99;
    CHECK_EQUAL(broker->ops->worker_beat(broker, &b), 0);
    CHECK_EQUAL(broker->ops->worker_leave(broker, a.number), 0);
    struct weft_worker_info *list = calloc(4, sizeof *list);
    REQUIRE(list);
    size_t count = 0;
    CHECK_EQUAL(broker->ops->workers(broker, list, 4, &count), 0);
    REQUIRE(count == 2);
    CHECK(strcmp(list[0].name, "b") == 0 && strcmp(list[1].name, "a") == 0);
    CHECK_EQUAL(list[0].running, 3);
    CHECK_EQUAL(list[0].done, 99);
    CHECK_EQUAL(list[0].seen_us - list[0].started_us, 10 * SECOND_US);
    CHECK_EQUAL(list[0].ended_us, 0);
    CHECK(list[1].ended_us > 0);
    CHECK(strcmp(list[0].queues, "x,y") == 0);
    CHECK_EQUAL(broker->ops->worker_leave(broker, 12345), -ENOENT);
    free(list);
    fixture_close(broker);
}

FIBER_TEST(a_job_names_the_worker_that_has_it)
{
    struct weft_broker *broker = fixture_open();
    NEEDS_CAPABILITY(broker, WEFT_BROKER_MANAGES);
    struct weft_worker_info worker = {.name = "w"};
    CHECK_EQUAL(broker->ops->worker_join(broker, &worker), 0);
    struct weft_uuid id = fixture_put(broker, "default");
    const char *queue = "default";
    struct weft_job *job;
    struct weft_claim claim = {.queues = &queue,
                               .queues_count = 1,
                               .worker = worker.number,
                               .lease_us = MINUTE_US,
                               .jobs_max = 1,
                               .jobs = &job};
    CHECK_EQUAL(broker->ops->claim(broker, &claim), 0);
    REQUIRE(claim.count == 1);
    struct weft_job *found = fixture_find(broker, &id);
    CHECK_EQUAL(found->worker, worker.number);
    weft_job_free(found);
    CHECK_EQUAL(fixture_settle(broker, job, WEFT_JOB_COMPLETE, 0), 0);
    found = fixture_find(broker, &id);
    CHECK_EQUAL(found->worker, worker.number);
    weft_job_free(found);
    weft_job_free(job);
    fixture_close(broker);
}

static struct weft_job *claim_as(struct weft_broker *broker, int64_t worker)
{
    const char *queue = "default";
    struct weft_job *job = NULL;
    struct weft_claim claim = {.queues = &queue,
                               .queues_count = 1,
                               .worker = worker,
                               .lease_us = MINUTE_US,
                               .jobs_max = 1,
                               .jobs = &job};
    CHECK_EQUAL(broker->ops->claim(broker, &claim), 0);
    REQUIRE(claim.count == 1);
    return job;
}

FIBER_TEST(what_a_worker_holds_when_it_leaves_is_for_others_at_once)
{
    struct weft_broker *broker = fixture_open();
    NEEDS_CAPABILITY(broker, WEFT_BROKER_MANAGES);
    struct weft_worker_info leaves = {.name = "leaves"}, stays = {.name = "stays"};
    CHECK_EQUAL(broker->ops->worker_join(broker, &leaves), 0);
    CHECK_EQUAL(broker->ops->worker_join(broker, &stays), 0);
    for (int i = 0; i < 4; i++)
        (void)fixture_put(broker, "default");
    struct weft_job *done = claim_as(broker, leaves.number);
    struct weft_job *held = claim_as(broker, leaves.number);
    struct weft_job *unwanted = claim_as(broker, leaves.number);
    struct weft_job *of_other = claim_as(broker, stays.number);
    CHECK_EQUAL(fixture_settle(broker, done, WEFT_JOB_COMPLETE, 0), 0);
    struct weft_cancel cancel = {.id = unwanted->id};
    CHECK_EQUAL(broker->ops->cancel(broker, &cancel), 0);

    CHECK_EQUAL(broker->ops->worker_leave(broker, leaves.number), 0);
    CHECK_EQUAL(fixture_state(broker, &done->id), WEFT_JOB_COMPLETED);
    CHECK_EQUAL(fixture_state(broker, &held->id), WEFT_JOB_AVAILABLE);
    CHECK_EQUAL(fixture_state(broker, &unwanted->id), WEFT_JOB_CANCELLED);
    CHECK_EQUAL(fixture_state(broker, &of_other->id), WEFT_JOB_RUNNING);
    CHECK_EQUAL(fixture_settle(broker, held, WEFT_JOB_COMPLETE, 0), -ESTALE);
    struct weft_job *again = claim_as(broker, stays.number);
    CHECK(fixture_same_id(&again->id, &held->id));
    CHECK_EQUAL(again->attempt, 1); /* as when its lease had run out */
    CHECK_EQUAL(again->crashes, 1);
    CHECK_EQUAL(broker->ops->worker_leave(broker, leaves.number), -ENOENT);
    CHECK_EQUAL(fixture_settle(broker, again, WEFT_JOB_COMPLETE, 0), 0);
    CHECK_EQUAL(fixture_settle(broker, of_other, WEFT_JOB_COMPLETE, 0), 0);
    weft_job_free(done);
    weft_job_free(held);
    weft_job_free(unwanted);
    weft_job_free(of_other);
    weft_job_free(again);
    fixture_close(broker);
}

/* --- schedules --- */

FIBER_TEST(schedules_are_kept_and_listed_by_their_next_time)
{
    struct weft_broker *broker = fixture_open();
    NEEDS_CAPABILITY(broker, WEFT_BROKER_MANAGES);
    int64_t now_us = broker->ops->now_us(broker);
    struct weft_cron_entry late = {.name = "late",
                                   .schedule = "@daily",
                                   .zone = "Europe/Berlin",
                                   .missed = "once",
                                   .job = "{\"task\":\"process\"}",
                                   .next_us = now_us + 2 * SECOND_US};
    struct weft_cron_entry early = late, paused = late;
    early.name = "early";
    early.next_us = now_us + SECOND_US;
    paused.name = "paused";
    paused.paused = true;
    paused.next_us = now_us;
    CHECK_EQUAL(broker->ops->cron_set(broker, &late), 0);
    CHECK_EQUAL(broker->ops->cron_set(broker, &paused), 0);
    CHECK_EQUAL(broker->ops->cron_set(broker, &early), 0);
    struct weft_cron_entry *entries = NULL;
    size_t count = 0;
    CHECK_EQUAL(broker->ops->crons(broker, &entries, 10, &count), 0);
    REQUIRE(count == 3);
    CHECK(strcmp(entries[0].name, "early") == 0 && strcmp(entries[1].name, "late") == 0);
    CHECK(strcmp(entries[2].name, "paused") == 0 && entries[2].paused && !entries[1].paused);
    CHECK(strcmp(entries[1].zone, "Europe/Berlin") == 0);
    CHECK(strcmp(entries[1].job, late.job) == 0);
    CHECK_EQUAL(entries[1].next_us, late.next_us);
    free(entries);
    CHECK_EQUAL(broker->ops->cron_remove(broker, "early"), 0);
    CHECK_EQUAL(broker->ops->cron_remove(broker, "early"), -ENOENT);
    CHECK_EQUAL(broker->ops->cron_remove(broker, "paused"), 0);
    late.schedule = "@hourly"; /* replaces */
    CHECK_EQUAL(broker->ops->cron_set(broker, &late), 0);
    CHECK_EQUAL(broker->ops->crons(broker, &entries, 10, &count), 0);
    REQUIRE(count == 1);
    CHECK(strcmp(entries[0].schedule, "@hourly") == 0);
    free(entries);
    fixture_close(broker);
}

FIBER_TEST(of_two_schedulers_one_fires)
{
    struct weft_broker *broker = fixture_open();
    NEEDS_CAPABILITY(broker, WEFT_BROKER_MANAGES);
    int64_t planned_us = broker->ops->now_us(broker);
    struct weft_cron_entry entry = {
        .name = "c", .schedule = "@hourly", .job = "{}", .next_us = planned_us};
    CHECK_EQUAL(broker->ops->cron_set(broker, &entry), 0);
    struct weft_job jobs[] = {fixture_job(broker), fixture_job(broker)};
    struct weft_enqueue items[] = {{.job = &jobs[0]}, {.job = &jobs[1]}};
    struct weft_cron_fire fires[2];
    for (int i = 0; i < 2; i++)
        fires[i] = (struct weft_cron_fire){.name = "c",
                                           .planned_us = planned_us,
                                           .next_us = planned_us + 60 * MINUTE_US,
                                           .batch = {.items = &items[i], .count = 1}};
    CHECK_EQUAL(broker->ops->cron_fire(broker, &fires[0]), 0);
    CHECK_EQUAL(items[0].err, 0);
    CHECK_EQUAL(broker->ops->cron_fire(broker, &fires[1]), -ESTALE);
    struct weft_job *found = NULL;
    CHECK_EQUAL(broker->ops->find(broker, &jobs[1].id, &found), -ENOENT);
    struct weft_cron_entry *entries = NULL;
    size_t count = 0;
    CHECK_EQUAL(broker->ops->crons(broker, &entries, 10, &count), 0);
    REQUIRE(count == 1);
    CHECK_EQUAL(entries[0].next_us, planned_us + 60 * MINUTE_US);
    CHECK_EQUAL(entries[0].last_us, planned_us);
    CHECK(fixture_same_id(&entries[0].last_job, &jobs[0].id));
    free(entries);
    fires[1].name = "never";
    CHECK_EQUAL(broker->ops->cron_fire(broker, &fires[1]), -ENOENT);
    fixture_close(broker);
}

FIBER_TEST(a_run_whose_id_is_in_use_stays_due)
{
    struct weft_broker *broker = fixture_open();
    NEEDS_CAPABILITY(broker, WEFT_BROKER_MANAGES);
    int64_t planned_us = broker->ops->now_us(broker);
    struct weft_cron_entry entry = {
        .name = "c", .schedule = "@hourly", .job = "{}", .next_us = planned_us};
    CHECK_EQUAL(broker->ops->cron_set(broker, &entry), 0);
    struct weft_uuid taken = fixture_put(broker, "default");
    struct weft_job jobs[] = {fixture_job(broker), fixture_job(broker)}, *found = NULL;
    struct weft_uuid fresh = jobs[1].id;
    jobs[1].id = taken;
    struct weft_enqueue items[] = {{.job = &jobs[0]}, {.job = &jobs[1]}};
    struct weft_cron_fire fire = {.name = "c",
                                  .planned_us = planned_us,
                                  .next_us = planned_us + 60 * MINUTE_US,
                                  .batch = {.items = items, .count = 2}};
    CHECK_EQUAL(broker->ops->cron_fire(broker, &fire), -EEXIST);
    CHECK_EQUAL(broker->ops->find(broker, &jobs[0].id, &found), -ENOENT);
    jobs[1].id = fresh;
    CHECK_EQUAL(broker->ops->cron_fire(broker, &fire), 0);
    CHECK_EQUAL(fixture_state(broker, &jobs[0].id), WEFT_JOB_AVAILABLE);
    CHECK_EQUAL(fixture_state(broker, &fresh), WEFT_JOB_AVAILABLE);
    fixture_close(broker);
}

/* --- audit --- */

FIBER_TEST(what_was_done_by_hand_is_written_down)
{
    struct weft_broker *broker = fixture_open();
    NEEDS_CAPABILITY(broker, WEFT_BROKER_MANAGES);
    struct weft_audit_entry entry = {.who = "ops", .action = "pause", .target = "queue q"};
    CHECK_EQUAL(broker->ops->audit(broker, &entry), 0);
    (void)weft_sleep(WEFT_SEC);
    (void)snprintf(entry.action, sizeof entry.action, "resume");
    CHECK_EQUAL(broker->ops->audit(broker, &entry), 0);
    struct weft_audit_entry *entries = calloc(4, sizeof *entries);
    REQUIRE(entries);
    size_t count = 0;
    CHECK_EQUAL(broker->ops->audits(broker, entries, 4, &count), 0);
    REQUIRE(count == 2);
    CHECK(strcmp(entries[0].action, "resume") == 0 && strcmp(entries[1].action, "pause") == 0);
    CHECK(strcmp(entries[0].who, "ops") == 0 && strcmp(entries[0].target, "queue q") == 0);
    CHECK(entries[0].at_us > entries[1].at_us);
    free(entries);
    fixture_close(broker);
}
