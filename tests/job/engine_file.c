/* SPDX-License-Identifier: MIT
 * engine_file.c - the engine on a database in a file, whose calls really wait. */
#include "world.h"

#include <broker/sqlite.h>
#include <job/builtin.h>

#include <weft/runtime.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct weft_handler handlers[WEFT_BUILTINS];
static const struct weft_consumer_queue every[] = {{.name = "*"}};
static const struct weft_consumer_options many = {
    .queues = every, .queues_count = 1, .concurrency = 2000};
static const struct weft_consumer_options few = {
    .queues = every, .queues_count = 1, .concurrency = 25};

static char path[160];

static void open_file(struct world *world, const struct weft_consumer_options *consumer)
{
    char error[256] = "";
    int err = weft_sqlite_open(&world->broker, &(struct weft_sqlite_options){.path = path}, error,
                               sizeof error);
    if (err)
        test_note("%s", error);
    REQUIRE(!err);
    world->own_broker = true;
    weft_builtin_handlers(handlers, weft_process_steps_ns);
    world_open(world, (struct weft_engine_options){
                          .handlers = handlers,
                          .handlers_count = WEFT_BUILTINS,
                          .consumers = consumer,
                          .consumers_count = 1,
                      });
}

static void new_file(void)
{
    static unsigned number;
    (void)snprintf(path, sizeof path, "%s/engine-%u.db", test_directory(), ++number);
}

static int put_fifty(void *arg)
{
    for (int i = 0; i < 50; i++)
        (void)world_add(arg, i % 2 ? "noop" : "sleep", "{\"seconds\":0.01}");
    return 0;
}

REAL_TIME_FIBER_TEST(thousands_of_jobs_from_many_clients_all_complete_once)
{
    struct world world = {0};
    new_file();
    open_file(&world, &many);
    struct weft_group clients;
    REQUIRE(weft_group_init(&clients, NULL) == 0);
    for (int i = 0; i < 60; i++)
        CHECK_EQUAL(weft_spawn(&clients, put_fifty, &world), 0);
    CHECK_EQUAL(weft_group_wait(&clients), 0);
    for (int i = 0; i < 60000 && world_counts(&world).completed < 3000; i++)
        (void)weft_sleep(WEFT_MSEC);
    struct weft_engine_counts counts = world_counts(&world);
    CHECK_EQUAL(counts.completed, 3000);
    CHECK_EQUAL(counts.submitted, 3000);
    CHECK_EQUAL(counts.lost, 0);
    CHECK_EQUAL(counts.broker_errors, 0);
    struct weft_broker_stats stats;
    CHECK_EQUAL(world.broker->ops->stats(world.broker, &stats), 0);
    CHECK_EQUAL(stats.jobs[WEFT_JOB_COMPLETED], 3000);
    world_close(&world, 0);
}

REAL_TIME_FIBER_TEST(a_wait_hears_of_an_end_in_a_file_as_well)
{
    struct world world = {0};
    new_file();
    open_file(&world, &few);
    for (int i = 0; i < 50; i++) {
        struct weft_uuid id = world_add(&world, "sleep", "{\"seconds\":0.001}");
        struct weft_job *job = world_end(&world, &id);
        CHECK_EQUAL(job->state, WEFT_JOB_COMPLETED);
        weft_job_free(job);
    }
    world_close(&world, 0);
}

FIBER_TEST(what_waited_and_what_ran_is_there_again_after_a_restart)
{
    struct world world = {0};
    new_file();
    open_file(&world, &few);
    for (int i = 0; i < 60; i++)
        (void)world_add(&world, "sleep", "{\"seconds\":100}");
    struct weft_uuid later =
        world_put(&world, (struct weft_submission){.task = "noop", .delay_us = 10000000});
    (void)weft_sleep(WEFT_SEC);
    CHECK_EQUAL(world_counts(&world).running, 25);
    world_close(&world, 0);
    world = (struct world){0};
    open_file(&world, &many);
    weft_job_free(world_end(&world, &later));
    (void)weft_sleep(200 * WEFT_SEC);
    CHECK_EQUAL(world_counts(&world).completed, 61);
    world_close(&world, 0);
}

FIBER_TEST(finished_jobs_are_settled_as_soon_as_the_disk_has_space_again)
{
    struct world world = {0};
    new_file();
    open_file(&world, &many);
    char text[2048]; /* comes back in the result: what was freed of the queue is not enough */
    (void)snprintf(text, sizeof text, "{\"text\":\"%02000d\"}", 0);
    struct weft_uuid ids[200];
    for (int i = 0; i < 200; i++)
        ids[i] = world_add(&world, "process", text);
    CHECK_EQUAL(weft_sqlite_limit(world.broker, 4096), 0); /* not a page more */
    (void)weft_sleep(5 * WEFT_SEC);
    char *large = calloc(1, WEFT_JOB_PAYLOAD_MAX / 2);
    REQUIRE(large);
    struct weft_submission job = {.task = "noop",
                                  .payload = {large, WEFT_JOB_PAYLOAD_MAX / 2, false}};
    CHECK_EQUAL(weft_engine_submit(world.engine, &job, 1, false), -ENOSPC);
    CHECK_EQUAL(job.err, -ENOSPC);
    free(large);
    CHECK(world_counts(&world).completed < 200);
    CHECK(world_counts(&world).broker_errors > 0);
    CHECK_EQUAL(world_logged("broker_failing", NULL), 1);
    CHECK_EQUAL(weft_sqlite_limit(world.broker, 0), 0);
    for (int i = 0; i < 200; i++) {
        struct weft_job *ended = world_end(&world, &ids[i]);
        CHECK_EQUAL(ended->state, WEFT_JOB_COMPLETED);
        CHECK_EQUAL(ended->attempt, 1);
        CHECK_EQUAL(ended->crashes, 0);
        weft_job_free(ended);
    }
    CHECK_EQUAL(world_logged("broker_recovered", NULL), 1);
    world_close(&world, 0);
}

FIBER_TEST(a_backlog_of_large_jobs_runs_to_the_last_one)
{
    struct world world = {0};
    new_file();
    open_file(&world, &few);
    char *data = calloc(1, WEFT_JOB_PAYLOAD_MAX);
    REQUIRE(data);
    memset(data, ' ', WEFT_JOB_PAYLOAD_MAX);
    memcpy(data, "{\"seconds\":1}", 13);
    for (int i = 0; i < 60; i++)
        (void)world_put(&world,
                        (struct weft_submission){.task = "sleep",
                                                 .payload = {data, WEFT_JOB_PAYLOAD_MAX, true}});
    free(data);
    (void)weft_sleep(60 * WEFT_SEC);
    CHECK_EQUAL(world_counts(&world).completed, 60);
    world_close(&world, 0);
}
