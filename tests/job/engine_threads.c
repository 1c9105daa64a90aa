/* SPDX-License-Identifier: MIT
 * engine_threads.c - handlers that block, on threads. */
#include "world.h"

#include <weft/runtime.h>

#include <errno.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static atomic_uint runs, now, most, ended;
static sem_t gate; /* handlers wait for it, blocking their threads */
static atomic_bool told;

static void enter(void)
{
    runs++;
    unsigned here = ++now, before = most;
    while (here > before && !atomic_compare_exchange_weak(&most, &before, here))
        continue;
}

static void leave(void)
{
    now--;
    ended++;
}

static void pass_gate(void)
{
    while (sem_wait(&gate) < 0)
        continue;
}

static int task_block(struct weft_attempt *attempt, const void *settings)
{
    (void)settings;
    enter();
    CHECK_EQUAL(weft_yield(), -EPERM); /* no fiber */
    weft_attempt_log(attempt, WEFT_LOG_INFO, "on thread %d", 7);
    CHECK_EQUAL(weft_attempt_progress(attempt, 0.25, "blocked"), 0);
    pass_gate();
    int err = weft_attempt_printf_result(attempt, "%lld", (long long)gettid());
    leave();
    return err;
}

/* Looks now and then whether it is to end. */
static int task_polite(struct weft_attempt *attempt, const void *settings)
{
    (void)settings;
    enter();
    while (!weft_attempt_is_cancelled(attempt))
        (void)usleep(1000);
    told = true;
    leave();
    return -ECANCELED;
}

/* Does not look, and talks all the time. */
static int task_deaf(struct weft_attempt *attempt, const void *settings)
{
    (void)settings;
    enter();
    pass_gate();
    weft_attempt_log(attempt, WEFT_LOG_ERROR, "too late");
    CHECK_EQUAL(weft_attempt_progress(attempt, 1, "too late"), 0);
    CHECK_EQUAL(weft_attempt_result_json(attempt, "1", 1), 0);
    CHECK(weft_attempt_is_cancelled(attempt));
    CHECK_EQUAL(strlen(weft_attempt_id(attempt)), 36);
    leave();
    return 0;
}

static const struct weft_handler handlers[] = {
    {.name = "block", .run = task_block, .executor = WEFT_EXECUTOR_THREAD},
    {.name = "polite", .run = task_polite, .executor = WEFT_EXECUTOR_THREAD, .attempts_max = 1},
    {.name = "deaf", .run = task_deaf, .executor = WEFT_EXECUTOR_THREAD, .grace_ns = WEFT_MSEC},
};

static void open_threads(struct world *world, unsigned threads_max)
{
    runs = now = most = ended = 0;
    told = false;
    REQUIRE(sem_init(&gate, 0, 0) == 0);
    world_open(world, (struct weft_engine_options){
                          .handlers = handlers, .handlers_count = 3, .threads_max = threads_max});
}

static void open_gate(unsigned times)
{
    while (times-- > 0)
        REQUIRE(sem_post(&gate) == 0);
}

static void wait_until(const atomic_uint *value, unsigned wanted)
{
    for (int i = 0; i < 60000 && *value < wanted; i++)
        (void)weft_sleep(WEFT_MSEC);
    CHECK(*value >= wanted);
}

FIBER_TEST(a_handler_that_blocks_does_so_on_a_thread_and_its_time_stands_still)
{
    struct world world = {0};
    open_threads(&world, 0);
    int64_t begin_ns = weft_now();
    open_gate(1);
    struct weft_uuid id = world_add(&world, "block", "{}");
    struct weft_job *job = world_end(&world, &id);
    CHECK_EQUAL(job->state, WEFT_JOB_COMPLETED);
    CHECK(job->thread != gettid());
    char thread[32];
    (void)snprintf(thread, sizeof thread, "%lld", (long long)job->thread);
    CHECK_TEXT(job->result.data, thread);
    weft_job_free(job);
    CHECK(weft_now() - begin_ns < WEFT_SEC);
    CHECK_EQUAL(world_logged("task", "on thread 7"), 1);
    world_close(&world, 0);
}

REAL_TIME_FIBER_TEST(fibers_go_on_while_handlers_block)
{
    struct world world = {0};
    open_threads(&world, 0);
    struct weft_uuid ids[5];
    for (int i = 0; i < 5; i++)
        ids[i] = world_add(&world, "block", "{}");
    wait_until(&runs, 5);
    CHECK_EQUAL(most, 5);
    struct weft_job *job = NULL;
    for (int i = 0; i < 10000 && (!job || !job->progress); i++) {
        weft_job_free(job);
        job = world_find(&world, &ids[0]);
        (void)weft_sleep(WEFT_MSEC);
    }
    CHECK_TEXT(job->progress, "{\"fraction\":0.25,\"note\":\"blocked\"}");
    weft_job_free(job);
    open_gate(5);
    for (int i = 0; i < 5; i++) {
        job = world_end(&world, &ids[i]);
        CHECK_EQUAL(job->state, WEFT_JOB_COMPLETED);
        weft_job_free(job);
    }
    world_close(&world, 0);
}

REAL_TIME_FIBER_TEST(no_more_handlers_block_at_once_than_there_are_places)
{
    struct world world = {0};
    open_threads(&world, 3);
    struct weft_uuid ids[20];
    for (int i = 0; i < 20; i++)
        ids[i] = world_add(&world, "block", "{}");
    wait_until(&runs, 3);
    world_cancel(&world, &ids[19]); /* while it waits for a place */
    struct weft_job *job = world_end(&world, &ids[19]);
    CHECK_EQUAL(job->state, WEFT_JOB_CANCELLED);
    weft_job_free(job);
    open_gate(19);
    for (int i = 0; i < 19; i++)
        weft_job_free(world_end(&world, &ids[i]));
    CHECK_EQUAL(most, 3);
    CHECK_EQUAL(runs, 19);
    world_close(&world, 0);
}

REAL_TIME_FIBER_TEST(a_handler_on_a_thread_can_see_that_it_is_to_end)
{
    struct world world = {0};
    open_threads(&world, 0);
    struct weft_uuid id = world_add(&world, "polite", "{}");
    wait_until(&runs, 1);
    world_cancel(&world, &id);
    struct weft_job *job = world_end(&world, &id);
    CHECK_EQUAL(job->state, WEFT_JOB_CANCELLED);
    CHECK(told);
    weft_job_free(job);
    id = world_put(&world, (struct weft_submission){.task = "polite", .timeout_us = 1000});
    job = world_end(&world, &id);
    CHECK_EQUAL(job->state, WEFT_JOB_DEAD);
    CHECK_TEXT(job->error, "timed out after 0.001 s");
    weft_job_free(job);
    id = world_add(&world, "polite", "{}");
    wait_until(&runs, 3);
    world_end_run(&world, 0);
    CHECK_EQUAL(world_state(&world, &id), WEFT_JOB_AVAILABLE);
    CHECK_EQUAL(world_counts(&world).stuck, 0);
    weft_engine_close(world.engine);
    world.broker->ops->close(world.broker);
}

REAL_TIME_FIBER_TEST(a_thread_that_does_not_end_is_given_up_and_its_place_taken_by_others)
{
    struct world world = {0};
    open_threads(&world, 1);
    struct weft_uuid id = world_add(&world, "deaf", "{}");
    wait_until(&runs, 1);
    world_cancel(&world, &id);
    struct weft_job *job = world_end(&world, &id);
    CHECK_EQUAL(job->state, WEFT_JOB_CANCELLED);
    weft_job_free(job);
    CHECK_EQUAL(world_counts(&world).stuck, 1);
    id = world_add(&world, "polite", "{}"); /* on another thread */
    wait_until(&runs, 2);
    world_cancel(&world, &id);
    weft_job_free(world_end(&world, &id));
    open_gate(1);
    wait_until(&ended, 2);
    for (int i = 0; i < 10000 && world_counts(&world).stuck > 0; i++)
        (void)weft_sleep(WEFT_MSEC);
    CHECK_EQUAL(world_counts(&world).stuck, 0);
    CHECK_EQUAL(world_logged("task", "too late"), 0);
    world_close(&world, 0);
}

REAL_TIME_FIBER_TEST(an_engine_ends_without_a_thread_that_does_not)
{
    struct world world = {0};
    open_threads(&world, 1);
    (void)world_add(&world, "deaf", "{}");
    wait_until(&runs, 1);
    world_close(&world, 0);
    open_gate(1); /* the engine and the broker are gone */
    wait_until(&ended, 1);
}

FIBER_TEST(threads_and_fibers_work_side_by_side)
{
    struct world world = {0};
    open_threads(&world, 4);
    open_gate(100);
    struct weft_uuid ids[100];
    for (int i = 0; i < 100; i++)
        ids[i] = world_add(&world, "block", "{}");
    for (int i = 0; i < 100; i++) {
        struct weft_job *job = world_end(&world, &ids[i]);
        CHECK_EQUAL(job->state, WEFT_JOB_COMPLETED);
        weft_job_free(job);
    }
    CHECK(most <= 4);
    world_close(&world, 0);
}
