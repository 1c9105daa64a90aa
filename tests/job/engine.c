/* SPDX-License-Identifier: MIT
 * engine.c - jobs through the engine, on SQLite, in virtual time. */
#include "test.h"

#include <broker/sqlite.h>
#include <job/engine.h>
#include <weft/group.h>
#include <weft/runtime.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What the tasks of these tests do and see. */
struct world {
    char path[160];
    struct weft_broker *broker;
    struct weft_engine *engine;
    struct weft_group group;
    unsigned runs, running, running_max, cancelled;
    int failures; /* of the next runs */
    int64_t started_ns[16];
    int64_t sleep_ns;
};

static int task_note(struct weft_attempt *attempt, const void *settings)
{
    struct world *world = (struct world *)(uintptr_t)settings;
    (void)attempt;
    if (world->runs < 16)
        world->started_ns[world->runs] = weft_now();
    world->runs++;
    if (++world->running > world->running_max)
        world->running_max = world->running;
    int err = world->sleep_ns > 0 ? weft_sleep(world->sleep_ns) : 0;
    world->running--;
    world->cancelled += err == -ECANCELED;
    if (!err && world->failures > 0) {
        world->failures--;
        return -EPROTO;
    }
    return err;
}

static int task_reason(struct weft_attempt *attempt, const void *settings)
{
    (void)settings;
    weft_attempt_reason(attempt, "the moon is not full");
    return -EAGAIN;
}

static const int64_t steps_ns[] = {2 * WEFT_SEC, WEFT_SEC, WEFT_SEC / 2};

static int engine_main(void *arg)
{
    struct world *world = arg;
    return weft_engine_run(world->engine);
}

static struct weft_handler handlers[3];

/* Start the engine, on a new database unless the world has one already. */
static void world_start(struct world *world, struct weft_engine_options options)
{
    static unsigned number;
    char error[256] = "";
    if (!world->path[0])
        (void)snprintf(world->path, sizeof world->path, "%s/engine-%u.db", test_directory(),
                       ++number);
    struct weft_sqlite_options store = {.path = world->path};
    int err = weft_sqlite_open(&world->broker, &store, error, sizeof error);
    if (err)
        test_note("%s", error);
    REQUIRE(!err);
    handlers[0] = (struct weft_handler){.name = "note", .run = task_note, .settings = world};
    handlers[1] =
        (struct weft_handler){.name = "process", .run = weft_process_task, .settings = steps_ns};
    handlers[2] = (struct weft_handler){.name = "reason", .run = task_reason, .attempts_max = 1};
    options.broker = world->broker;
    options.handlers = handlers;
    options.handlers_count = 3;
    REQUIRE(weft_engine_open(&world->engine, &options) == 0);
    REQUIRE(weft_group_init(&world->group, NULL) == 0);
    REQUIRE(weft_spawn(&world->group, engine_main, world) == 0);
}

static void world_stop(struct world *world, int64_t grace_ns)
{
    weft_engine_drain(world->engine, grace_ns);
    CHECK_EQUAL(weft_group_wait(&world->group), 0);
    weft_engine_close(world->engine);
    world->broker->ops->close(world->broker);
}

static struct weft_uuid submit_text(struct world *world, const char *task, const char *json)
{
    struct weft_bytes payload = {json, strlen(json), true};
    struct weft_receipt receipt;
    int err = weft_engine_submit(world->engine, task, &payload, &receipt);
    CHECK_EQUAL(err, 0);
    REQUIRE(!err);
    return receipt.id;
}

static struct weft_uuid submit(struct world *world)
{
    return submit_text(world, "note", "{}");
}

static struct weft_job *find(struct world *world, const struct weft_uuid *id)
{
    struct weft_job *job = NULL;
    REQUIRE(world->broker->ops->find(world->broker, id, &job) == 0);
    return job;
}

static void check_state(struct world *world, const struct weft_uuid *id, enum weft_job_state state)
{
    struct weft_job *job = find(world, id);
    CHECK_EQUAL(job->state, state);
    weft_job_free(job);
}

static struct weft_engine_counts counts_of(struct world *world)
{
    struct weft_engine_counts counts;
    weft_engine_counts(world->engine, &counts);
    return counts;
}

FIBER_TEST(the_process_task_takes_its_steps_and_answers_with_the_text)
{
    struct world world = {0};
    world_start(&world, (struct weft_engine_options){0});
    int64_t start_ns = weft_now();
    struct weft_uuid id = submit_text(&world, "process", "{\"text\":\"say \\\"hi\\\" \\u00e4\"}");
    (void)weft_sleep(3400 * WEFT_MSEC);
    check_state(&world, &id, WEFT_JOB_RUNNING);
    (void)weft_sleep(200 * WEFT_MSEC);
    struct weft_job *job = find(&world, &id);
    CHECK_EQUAL(job->state, WEFT_JOB_COMPLETED);
    static const char expected[] =
        "{\"step1_result\":\"fun_1\",\"step2_result\":\"fun_2\","
        "\"final_result\":\"processed_say \\\"hi\\\" \\u00e4_fun_1_fun_2\"}";
    CHECK(job->result.data && strcmp(job->result.data, expected) == 0);
    CHECK_EQUAL((job->finished_us - job->started_us) / 1000, 3500);
    CHECK((weft_now() - start_ns) / WEFT_MSEC == 3600);
    weft_job_free(job);
    CHECK_EQUAL(counts_of(&world).completed, 1);
    CHECK_EQUAL(counts_of(&world).running, 0);
    world_stop(&world, 0);
}

FIBER_TEST(a_failing_job_is_tried_three_times_a_second_apart_and_then_dead)
{
    struct world world = {.failures = 99};
    world_start(&world, (struct weft_engine_options){0});
    struct weft_uuid id = submit(&world);
    (void)weft_sleep(500 * WEFT_MSEC);
    check_state(&world, &id, WEFT_JOB_RETRYABLE);
    CHECK_EQUAL(counts_of(&world).queued_total, 1);
    (void)weft_sleep(10 * WEFT_SEC);
    CHECK_EQUAL(world.runs, 3);
    CHECK((world.started_ns[1] - world.started_ns[0]) / WEFT_MSEC == 1000);
    CHECK((world.started_ns[2] - world.started_ns[1]) / WEFT_MSEC == 1000);
    struct weft_job *job = find(&world, &id);
    CHECK_EQUAL(job->state, WEFT_JOB_DEAD);
    CHECK_EQUAL(job->attempt, 3);
    CHECK(job->error && strcmp(job->error, weft_strerror(-EPROTO)) == 0);
    weft_job_free(job);
    struct weft_engine_counts counts = counts_of(&world);
    CHECK_EQUAL(counts.retried, 2);
    CHECK_EQUAL(counts.failed, 1);
    CHECK_EQUAL(counts.queued_total, 0);
    world_stop(&world, 0);
}

FIBER_TEST(a_job_that_fails_once_completes_at_the_second_try)
{
    struct world world = {.failures = 1};
    world_start(&world, (struct weft_engine_options){0});
    struct weft_uuid id = submit(&world);
    (void)weft_sleep(5 * WEFT_SEC);
    CHECK_EQUAL(world.runs, 2);
    check_state(&world, &id, WEFT_JOB_COMPLETED);
    world_stop(&world, 0);
}

FIBER_TEST(the_reason_a_task_gives_is_kept)
{
    struct world world = {0};
    world_start(&world, (struct weft_engine_options){0});
    struct weft_uuid id = submit_text(&world, "reason", "{}");
    (void)weft_sleep(WEFT_SEC);
    struct weft_job *job = find(&world, &id);
    CHECK_EQUAL(job->state, WEFT_JOB_DEAD);
    CHECK_EQUAL(job->attempt, 1);
    CHECK(job->error && strcmp(job->error, "the moon is not full") == 0);
    weft_job_free(job);
    world_stop(&world, 0);
}

FIBER_TEST(no_more_jobs_run_at_once_than_allowed)
{
    struct world world = {.sleep_ns = WEFT_SEC};
    world_start(&world, (struct weft_engine_options){.workers = 2, .concurrency = 3});
    for (int i = 0; i < 60; i++)
        (void)submit(&world);
    (void)weft_sleep(500 * WEFT_MSEC);
    CHECK_EQUAL(world.running, 6);
    (void)weft_sleep(60 * WEFT_SEC);
    CHECK_EQUAL(world.runs, 60);
    CHECK_EQUAL(world.running_max, 6);
    CHECK_EQUAL(counts_of(&world).completed, 60);
    CHECK_EQUAL(counts_of(&world).queued_total, 0);
    world_stop(&world, 0);
}

FIBER_TEST(full_queues_refuse_after_every_worker_was_tried)
{
    struct world world = {.sleep_ns = 100 * WEFT_SEC};
    struct weft_engine_options options = {.workers = 4, .concurrency = 1, .queue_size = 5};
    world_start(&world, options);
    for (int i = 0; i < 4 + 4 * 5; i++) /* one runs and five wait, for each worker */
        (void)submit(&world);
    struct weft_engine_counts counts = counts_of(&world);
    CHECK_EQUAL(counts.running, 4);
    for (int i = 0; i < 4; i++)
        CHECK_EQUAL(counts.queued[i], 5);
    struct weft_bytes payload = {"{}", 2, true};
    struct weft_receipt receipt;
    CHECK_EQUAL(weft_engine_submit(world.engine, "note", &payload, &receipt), WEFT_EFULL);
    (void)weft_sleep(101 * WEFT_SEC);
    CHECK_EQUAL(weft_engine_submit(world.engine, "note", &payload, &receipt), 0);
    world_stop(&world, 0);
}

FIBER_TEST(unknown_tasks_and_large_payloads_are_refused_at_the_door)
{
    struct world world = {0};
    world_start(&world, (struct weft_engine_options){0});
    struct weft_bytes payload = {"{}", 2, true};
    struct weft_receipt receipt;
    CHECK_EQUAL(weft_engine_submit(world.engine, "dance", &payload, &receipt), -ENOENT);
    payload.len = WEFT_JOB_PAYLOAD_MAX + 1;
    CHECK_EQUAL(weft_engine_submit(world.engine, "note", &payload, &receipt), -EMSGSIZE);
    world_stop(&world, 0);
}

FIBER_TEST(a_stored_job_nobody_knows_how_to_run_ends_dead)
{
    struct world world = {0};
    world_start(&world, (struct weft_engine_options){0});
    world_stop(&world, 0);
    char error[256];
    struct weft_sqlite_options store = {.path = world.path};
    REQUIRE(weft_sqlite_open(&world.broker, &store, error, sizeof error) == 0);
    int64_t now_us = world.broker->ops->now_us(world.broker);
    struct weft_job job = {.id = {{1, 2, 3, 4, 5, 6, 0x70, 8, 0x80}},
                           .task = "forgotten",
                           .attempts_max = 2,
                           .created_us = now_us,
                           .run_at_us = now_us};
    struct weft_enqueue item = {.job = &job};
    CHECK_EQUAL(world.broker->ops->enqueue(world.broker, &item, 1), 0);
    world.broker->ops->close(world.broker);

    world_start(&world, (struct weft_engine_options){0});
    (void)weft_sleep(10 * WEFT_SEC);
    struct weft_job *found = find(&world, &job.id);
    CHECK_EQUAL(found->state, WEFT_JOB_DEAD);
    CHECK_EQUAL(found->attempt, 2);
    CHECK(found->error && strstr(found->error, "no task of this name"));
    weft_job_free(found);
    world_stop(&world, 0);
}

FIBER_TEST(a_drain_lets_jobs_finish_within_the_grace)
{
    struct world world = {.sleep_ns = 5 * WEFT_SEC};
    world_start(&world, (struct weft_engine_options){.concurrency = 1, .workers = 1});
    (void)submit(&world);
    (void)submit(&world); /* waits, and must not be begun any more */
    (void)weft_sleep(WEFT_SEC);
    int64_t start_ns = weft_now();
    world_stop(&world, 30 * WEFT_SEC);
    CHECK((weft_now() - start_ns) / WEFT_MSEC == 4000);
    CHECK_EQUAL(world.runs, 1);
    CHECK_EQUAL(world.cancelled, 0);
    world_start(&world, (struct weft_engine_options){.concurrency = 1, .workers = 1});
    (void)weft_sleep(10 * WEFT_SEC);
    CHECK_EQUAL(world.runs, 2);
    world_stop(&world, 0);
}

FIBER_TEST(a_drain_gives_back_what_does_not_finish_without_spending_the_attempt)
{
    struct world world = {.sleep_ns = 100 * WEFT_SEC};
    world_start(&world, (struct weft_engine_options){0});
    struct weft_uuid id = submit(&world);
    (void)weft_sleep(WEFT_SEC);
    int64_t start_ns = weft_now();
    world_stop(&world, 2 * WEFT_SEC);
    CHECK((weft_now() - start_ns) / WEFT_MSEC == 2000);
    CHECK_EQUAL(world.cancelled, 1);

    world.sleep_ns = WEFT_SEC;
    world_start(&world, (struct weft_engine_options){0});
    (void)weft_sleep(5 * WEFT_SEC);
    struct weft_job *job = find(&world, &id);
    CHECK_EQUAL(job->state, WEFT_JOB_COMPLETED);
    CHECK_EQUAL(job->attempt, 1);
    weft_job_free(job);
    world_stop(&world, 0);
}

FIBER_TEST(a_second_drain_can_shorten_the_grace)
{
    struct world world = {.sleep_ns = 100 * WEFT_SEC};
    world_start(&world, (struct weft_engine_options){0});
    (void)submit(&world);
    (void)weft_sleep(WEFT_SEC);
    int64_t start_ns = weft_now();
    weft_engine_drain(world.engine, 60 * WEFT_SEC);
    (void)weft_sleep(WEFT_SEC);
    struct weft_bytes payload = {"{}", 2, true};
    struct weft_receipt receipt;
    CHECK_EQUAL(weft_engine_submit(world.engine, "note", &payload, &receipt), -ESHUTDOWN);
    world_stop(&world, 0);
    CHECK((weft_now() - start_ns) / WEFT_MSEC == 1000);
}

FIBER_TEST(cancelling_the_engine_gives_everything_back)
{
    struct world world = {.sleep_ns = 100 * WEFT_SEC};
    world_start(&world, (struct weft_engine_options){.workers = 2, .concurrency = 2});
    for (int i = 0; i < 10; i++)
        (void)submit(&world);
    (void)weft_sleep(WEFT_SEC);
    weft_group_close(&world.group);
    CHECK_EQUAL(world.cancelled, 4);
    CHECK_EQUAL(counts_of(&world).running, 0);
    CHECK_EQUAL(counts_of(&world).released, 4);
    struct weft_broker_stats stats;
    CHECK_EQUAL(world.broker->ops->stats(world.broker, &stats), 0);
    CHECK_EQUAL(stats.jobs[WEFT_JOB_AVAILABLE], 10);
    weft_engine_close(world.engine);
    world.broker->ops->close(world.broker);
}

FIBER_TEST(the_queue_is_there_again_after_a_restart_with_fewer_workers)
{
    struct world world = {.sleep_ns = 10 * WEFT_SEC};
    world_start(&world, (struct weft_engine_options){.workers = 8, .concurrency = 1});
    for (int i = 0; i < 50; i++)
        (void)submit(&world);
    world_stop(&world, 0);
    world.runs = 0;
    world_start(&world, (struct weft_engine_options){.workers = 3, .concurrency = 5});
    (void)weft_sleep(200 * WEFT_SEC);
    CHECK_EQUAL(world.runs, 50);
    CHECK_EQUAL(counts_of(&world).completed, 50);
    world_stop(&world, 0);
}

FIBER_TEST(finished_jobs_are_settled_as_soon_as_the_disk_has_space_again)
{
    struct world world = {.sleep_ns = WEFT_SEC};
    world_start(&world, (struct weft_engine_options){0});
    struct weft_uuid ids[200];
    for (int i = 0; i < 200; i++)
        ids[i] = submit(&world);
    CHECK_EQUAL(weft_sqlite_limit(world.broker, 4096), 0); /* not a page more */
    (void)weft_sleep(5 * WEFT_SEC);
    struct weft_bytes payload = {NULL, WEFT_JOB_PAYLOAD_MAX / 2, false};
    char *large = calloc(1, payload.len);
    REQUIRE(large);
    payload.data = large;
    struct weft_receipt receipt;
    CHECK_EQUAL(weft_engine_submit(world.engine, "note", &payload, &receipt), -ENOSPC);
    free(large);
    CHECK(counts_of(&world).completed < 200);
    CHECK(counts_of(&world).broker_errors > 0);
    CHECK_EQUAL(world.runs, 200);
    CHECK_EQUAL(weft_sqlite_limit(world.broker, 0), 0);
    (void)weft_sleep(5 * WEFT_SEC);
    CHECK_EQUAL(counts_of(&world).completed, 200);
    CHECK_EQUAL(world.runs, 200); /* nothing ran twice */
    for (int i = 0; i < 200; i++)
        check_state(&world, &ids[i], WEFT_JOB_COMPLETED);
    world_stop(&world, 0);
}

FIBER_TEST(a_backlog_of_large_jobs_runs_to_the_last_one)
{
    struct world world = {.sleep_ns = WEFT_SEC};
    world_start(&world, (struct weft_engine_options){.workers = 1, .concurrency = 25});
    char *data = calloc(1, WEFT_JOB_PAYLOAD_MAX);
    REQUIRE(data);
    struct weft_bytes payload = {data, WEFT_JOB_PAYLOAD_MAX, false};
    for (int i = 0; i < 60; i++) {
        struct weft_receipt receipt;
        CHECK_EQUAL(weft_engine_submit(world.engine, "note", &payload, &receipt), 0);
    }
    free(data);
    (void)weft_sleep(60 * WEFT_SEC);
    CHECK_EQUAL(world.runs, 60);
    CHECK_EQUAL(counts_of(&world).completed, 60);
    world_stop(&world, 0);
}

static int submit_hundred(void *arg)
{
    for (int i = 0; i < 100; i++)
        (void)submit(arg);
    return 0;
}

FIBER_TEST(thousands_of_jobs_at_once_all_complete_once)
{
    struct world world = {.sleep_ns = 3500 * WEFT_MSEC};
    world_start(&world, (struct weft_engine_options){.concurrency = 500});
    struct weft_group clients;
    REQUIRE(weft_group_init(&clients, NULL) == 0);
    for (int i = 0; i < 50; i++)
        CHECK_EQUAL(weft_spawn(&clients, submit_hundred, &world), 0);
    CHECK_EQUAL(weft_group_wait(&clients), 0);
    (void)weft_sleep(30 * WEFT_SEC);
    CHECK_EQUAL(world.runs, 5000);
    CHECK(world.running_max > 1000 && world.running_max <= 2000);
    struct weft_engine_counts counts = counts_of(&world);
    CHECK_EQUAL(counts.completed, 5000);
    CHECK_EQUAL(counts.lost, 0);
    CHECK_EQUAL(counts.queued_total, 0);
    world_stop(&world, 0);
}
