/* SPDX-License-Identifier: MIT
 * builtin.c - the tasks that are always there. */
#include "world.h"

#include <job/builtin.h>

#include <weft/runtime.h>

#include <string.h>

static struct weft_handler handlers[WEFT_BUILTINS];

static void open_world(struct world *world)
{
    weft_builtin_handlers(handlers, weft_process_steps_ns);
    world_open(world,
               (struct weft_engine_options){.handlers = handlers, .handlers_count = WEFT_BUILTINS});
}

/* Run one to its end. */
static struct weft_job *run(struct world *world, const char *task, const char *json)
{
    struct weft_uuid id = world_add(world, task, json);
    return world_end(world, &id);
}

FIBER_TEST(noop_completes_with_null)
{
    struct world world = {0};
    open_world(&world);
    struct weft_job *job = run(&world, "noop", "{}");
    CHECK_EQUAL(job->state, WEFT_JOB_COMPLETED);
    CHECK_TEXT(job->result.data, "null");
    weft_job_free(job);
    world_close(&world, 0);
}

FIBER_TEST(sleep_sleeps_as_long_as_it_is_told)
{
    struct world world = {0};
    open_world(&world);
    int64_t begin_ns = weft_now();
    struct weft_job *job = run(&world, "sleep", "{\"seconds\":1.5}");
    CHECK_EQUAL(job->state, WEFT_JOB_COMPLETED);
    CHECK_EQUAL((weft_now() - begin_ns) / WEFT_MSEC, 1500);
    weft_job_free(job);
    job = run(&world, "sleep", "{\"seconds\":0}");
    CHECK_EQUAL(job->state, WEFT_JOB_COMPLETED);
    weft_job_free(job);
    static const char *const wrong[] = {"{}", "{\"seconds\":-1}", "{\"seconds\":\"1\"}", "[]"};
    for (int i = 0; i < 4; i++) {
        job = run(&world, "sleep", wrong[i]);
        CHECK_EQUAL(job->state, WEFT_JOB_DEAD);
        CHECK_EQUAL(job->attempt, 1);
        weft_job_free(job);
    }
    world_close(&world, 0);
}

FIBER_TEST(fail_fails_as_often_as_it_is_told)
{
    struct world world = {0};
    open_world(&world);
    struct weft_job *job =
        run(&world, "fail", "{\"times\":2,\"error\":\"the printer is on fire\"}");
    CHECK_EQUAL(job->state, WEFT_JOB_COMPLETED);
    CHECK_EQUAL(job->attempt, 3);
    struct weft_job_failure failures[3];
    size_t count;
    CHECK_EQUAL(world.broker->ops->failures(world.broker, &job->id, failures, 3, &count), 0);
    CHECK_EQUAL(count, 2);
    CHECK_TEXT(failures[1].text, "the printer is on fire");
    weft_job_free(job);
    job = run(&world, "fail", "{}");
    CHECK_EQUAL(job->state, WEFT_JOB_DEAD);
    CHECK_TEXT(job->error, "it was told to fail");
    weft_job_free(job);
    job = run(&world, "fail", "null"); /* what a job without a payload has */
    CHECK_EQUAL(job->attempt, 3);
    CHECK_TEXT(job->error, "it was told to fail");
    weft_job_free(job);
    job = run(&world, "fail", "{\"times\":0}");
    CHECK_EQUAL(job->state, WEFT_JOB_COMPLETED);
    weft_job_free(job);
    job = run(&world, "fail", "{\"times\":\"two\"}");
    CHECK_EQUAL(job->attempt, 1);
    CHECK_EQUAL(job->state, WEFT_JOB_DEAD);
    weft_job_free(job);
    job = run(&world, "fail", "{\"error\":5}");
    CHECK_EQUAL(job->attempt, 1);
    weft_job_free(job);
    world_close(&world, 0);
}

FIBER_TEST(process_takes_its_steps_and_answers_with_the_text)
{
    struct world world = {0};
    open_world(&world);
    int64_t begin_ns = weft_now();
    struct weft_uuid id = world_add(&world, "process", "{\"text\":\"say \\\"hi\\\" \\u00e4\"}");
    (void)weft_sleep(3400 * WEFT_MSEC);
    CHECK_EQUAL(world_state(&world, &id), WEFT_JOB_RUNNING);
    struct weft_job *job = world_end(&world, &id);
    CHECK_EQUAL((weft_now() - begin_ns) / WEFT_MSEC, 3500);
    CHECK_TEXT(job->result.data,
               "{\"step1_result\":\"fun_1\",\"step2_result\":\"fun_2\","
               "\"final_result\":\"processed_say \\\"hi\\\" \\u00e4_fun_1_fun_2\"}");
    weft_job_free(job);
    world_close(&world, 0);
}

FIBER_TEST(process_without_text_is_tried_three_times_a_second_apart)
{
    struct world world = {0};
    static const int64_t steps_ns[3];
    weft_builtin_handlers(handlers, steps_ns);
    world_open(&world,
               (struct weft_engine_options){.handlers = handlers, .handlers_count = WEFT_BUILTINS});
    int64_t begin_ns = weft_now();
    struct weft_job *job = run(&world, "process", "{\"words\":1}");
    CHECK_EQUAL(job->state, WEFT_JOB_DEAD);
    CHECK_EQUAL(job->attempt, 3);
    CHECK_TEXT(job->error, "the payload has no string \"text\"");
    CHECK_EQUAL((weft_now() - begin_ns + WEFT_SEC / 2) / WEFT_SEC, 2);
    weft_job_free(job);
    world_close(&world, 0);
}
