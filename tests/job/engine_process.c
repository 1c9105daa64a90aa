/* SPDX-License-Identifier: MIT
 * engine_process.c - handlers of the engine in children: the same code comes to the same as on a
 * fiber, and no job outlives the wish for it. Real time; every wait is bounded. */
#include "faulty.h"
#include "outcome.h"
#include "program.h"
#include "tasks.h"
#include "world.h"

#include <base/buffer.h>
#include <job/children.h>

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- an engine with children ------------------------------------------------------------- */

struct nursery {
    const char *command[2];
    struct weft_children_options options;
    struct weft_children *children;
    struct weft_handler handlers[TASKS + 1];
    struct world world;
};

/* A stand-in for what only children have. */
static int only_in_children(struct weft_attempt *attempt, const void *settings)
{
    (void)settings;
    return weft_attempt_fail(attempt, -EPROTO, "it ran here");
}

static void nursery_prepare(struct nursery *nursery, unsigned size)
{
    *nursery = (struct nursery){.command = {helper_program("child-program"), NULL}};
    nursery->options = (struct weft_children_options){.command = nursery->command, .size = size};
    for (int i = 0; i < TASKS; i++) {
        nursery->handlers[i] = tasks[i];
        nursery->handlers[i].run = only_in_children;
        nursery->handlers[i].executor = WEFT_EXECUTOR_PROCESS;
    }
    nursery->handlers[TASKS] = (struct weft_handler){
        .name = "die_by", .run = only_in_children, .executor = WEFT_EXECUTOR_PROCESS};
}

static void nursery_open(struct nursery *nursery)
{
    struct weft_outcome why = {.exit_code = -1};
    int err = weft_children_open(&nursery->children, &nursery->options, &why);
    if (err)
        test_note("%s", why.reason ? why.reason : weft_strerror(err));
    REQUIRE(err == 0);
    world_open(&nursery->world, (struct weft_engine_options){.handlers = nursery->handlers,
                                                             .handlers_count = TASKS + 1,
                                                             .children = nursery->children});
}

static void nursery_close(struct nursery *nursery)
{
    world_close(&nursery->world, 0);
    weft_children_close(nursery->children);
    check_no_children();
}

static struct weft_children_counts counts_of(const struct nursery *nursery)
{
    struct weft_children_counts counts;
    weft_children_counts(nursery->children, &counts);
    return counts;
}

static const char *begun_file(void)
{
    static char path[PATH_MAX];
    (void)snprintf(path, sizeof path, "%s/begun", test_directory());
    return path;
}

/* A payload of "wait". */
static const char *wait_and(const char *then)
{
    static char payload[PATH_MAX + 64];
    (void)snprintf(payload, sizeof payload, "{\"file\":\"%s\",\"then\":\"%s\"}", begun_file(),
                   then);
    return payload;
}

static void wait_until_begun(void)
{
    int64_t until_ns = weft_now() + PATIENCE;
    while (access(begun_file(), F_OK) != 0 && weft_now() < until_ns)
        REQUIRE(weft_sleep(WEFT_MSEC) == 0);
    REQUIRE(unlink(begun_file()) == 0);
}

/* ---- the same code ----------------------------------------------------------------------- */

/* What became of its attempt, to be freed: not waiting for it, nor running. */
static struct weft_job *after_attempt(struct world *world, const struct weft_uuid *id)
{
    int64_t until_ns = weft_now() + PATIENCE;
    struct weft_job *job = world_find(world, id);
    while ((job->state == WEFT_JOB_AVAILABLE || job->state == WEFT_JOB_RUNNING) &&
           weft_now() < until_ns) {
        weft_job_free(job);
        (void)weft_sleep(WEFT_MSEC);
        job = world_find(world, id);
    }
    return job;
}

static void describe(struct weft_buffer *text, struct world *world, const struct weft_uuid *id)
{
    struct weft_job *job = after_attempt(world, id);
    bool later = job->state == WEFT_JOB_RETRYABLE || job->state == WEFT_JOB_SCHEDULED;
    int64_t delay_us = later ? job->run_at_us - job->created_us : 0;
    weft_buffer_append_format(text, "%s attempt %u, error %s, result %d %.*s, %lld minutes\n",
                              weft_job_state_name(job->state), job->attempt,
                              job->error ? job->error : "(none)", job->result.json,
                              (int)job->result.len, job->result.data ? job->result.data : "",
                              (long long)delay_us / 60000000);
    weft_job_free(job);
}

/* Run each with the executor, and say what came of it. */
static void run_all(struct weft_buffer *text, struct world *world)
{
    static const char *const ends[] = {
        "{\"how\":\"fail\",\"code\":9}",
        "{\"how\":\"discard\"}",
        "{\"how\":\"cancel\"}",
        "{\"how\":\"snooze\"}",
        "{\"how\":\"retry_after\"}",
        "{\"how\":\"code\",\"code\":3}",
        "{\"how\":\"code\",\"code\":-5}",
        "{\"how\":\"code\",\"code\":-4200}",
        "{\"how\":\"code\",\"code\":-4202}",
        "{}",
        "[",
    };
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        struct weft_uuid id = world_add(world, "end", ends[i]);
        describe(text, world, &id);
    }
    struct weft_uuid first = world_add(world, "end", "{\"how\":\"code\",\"code\":8}");
    const struct weft_after after = {.id = first};
    struct weft_uuid id = world_put(
        world,
        (struct weft_submission){
            .task = "everything",
            .queue = "q",
            .attempts_max = 5,
            .headers = "{\"trace\":\"00-ab\"}",
            .after = &after,
            .after_count = 1,
            .payload = world_json("{\"user\":{\"name\":\"Ada\"},\"items\":[{\"id\":1},{\"id\":-2}],"
                                  "\"half\":0.5,\"yes\":true}")});
    struct weft_job *job = world_end(world, &id);
    weft_job_free(job);
    describe(text, world, &id);
    CHECK_EQUAL(world_logged("task", "job everything"), 1);
    /* Its further job is there as well. */
    struct weft_queue_info info = {.name = NULL};
    CHECK_EQUAL(world->broker->ops->queue_find(world->broker, "later", &info), 0);
    weft_buffer_append_char(text, '\0');
    REQUIRE(!text->err);
}

static void run_here(struct weft_buffer *text, enum weft_executor executor)
{
    struct weft_handler handlers[TASKS];
    struct world world = {0};
    for (int i = 0; i < TASKS; i++) {
        handlers[i] = tasks[i];
        handlers[i].executor = executor;
    }
    world_open(&world, (struct weft_engine_options){.handlers = handlers, .handlers_count = TASKS});
    run_all(text, &world);
    world_close(&world, 0);
}

REAL_TIME_FIBER_TEST(a_handler_comes_to_the_same_wherever_it_runs)
{
    struct weft_buffer fiber, thread, child;
    struct nursery nursery;
    weft_buffer_init(&fiber, 1 << 16);
    weft_buffer_init(&thread, 1 << 16);
    weft_buffer_init(&child, 1 << 16);
    run_here(&fiber, WEFT_EXECUTOR_FIBER);
    run_here(&thread, WEFT_EXECUTOR_THREAD);
    nursery_prepare(&nursery, 2);
    nursery_open(&nursery);
    run_all(&child, &nursery.world);
    nursery_close(&nursery);
    CHECK(strstr(fiber.data, "completed attempt 1, error (none), result 0 everything q 1 of 5 "
                             "00-ab Ada -2 0.5 1 2 1 [8], 0 minutes\n"));
    CHECK(strstr(fiber.data, "retryable attempt 1, error the partner sleeps"));
    CHECK_TEXT(thread.data, fiber.data);
    CHECK_TEXT(child.data, fiber.data);
    weft_buffer_deinit(&fiber);
    weft_buffer_deinit(&thread);
    weft_buffer_deinit(&child);
}

REAL_TIME_FIBER_TEST(progress_of_a_child_is_stored)
{
    struct nursery nursery;
    nursery_prepare(&nursery, 1);
    nursery_open(&nursery);
    struct weft_uuid id = world_add(&nursery.world, "wait", wait_and("end"));
    wait_until_begun();
    struct weft_job *job = world_find(&nursery.world, &id);
    for (int i = 0; i < 10000 && !job->progress; i++) {
        weft_job_free(job);
        (void)weft_sleep(WEFT_MSEC);
        job = world_find(&nursery.world, &id);
    }
    CHECK_TEXT(job->progress, "{\"fraction\":0.25,\"note\":\"waits\"}");
    weft_job_free(job);
    world_cancel(&nursery.world, &id);
    weft_job_free(world_end(&nursery.world, &id));
    nursery_close(&nursery);
}

/* ---- crashes ----------------------------------------------------------------------------- */

REAL_TIME_FIBER_TEST(a_crash_is_a_failed_attempt_and_the_next_job_does_not_notice)
{
    struct nursery nursery;
    nursery_prepare(&nursery, 1);
    nursery.handlers[TASKS].retry = (struct weft_retry_options){
        .backoff = WEFT_BACKOFF_CONSTANT, .jitter = WEFT_JITTER_NONE, .base_ns = WEFT_MSEC};
    nursery.handlers[TASKS].attempts_max = 2;
    nursery_open(&nursery);
    struct weft_uuid id = world_add(&nursery.world, "die_by", "11");
    struct weft_job *job = world_end(&nursery.world, &id);
    CHECK_EQUAL(job->state, WEFT_JOB_DEAD);
    CHECK_EQUAL(job->attempt, 2);
    CHECK_TEXT(job->error, "killed by SIGSEGV: a last word");
    weft_job_free(job);
    CHECK_EQUAL(counts_of(&nursery).crashed, 2);
    id = world_add(&nursery.world, "end", "{\"how\":\"code\"}");
    job = world_end(&nursery.world, &id);
    CHECK_EQUAL(job->state, WEFT_JOB_COMPLETED);
    CHECK_TEXT(job->result.data, "[0]");
    weft_job_free(job);
    nursery_close(&nursery);
}

/* ---- times ------------------------------------------------------------------------------- */

/* Its end when it waits so long; to be freed. */
static struct weft_job *run_late(struct nursery *nursery, const char *then, int64_t timeout_us,
                                 int64_t grace_us)
{
    char payload[64];
    (void)snprintf(payload, sizeof payload, "{\"then\":\"%s\"}", then);
    struct weft_uuid id =
        world_put(&nursery->world, (struct weft_submission){.task = "wait",
                                                            .attempts_max = 1,
                                                            .timeout_us = timeout_us,
                                                            .grace_us = grace_us,
                                                            .payload = world_json(payload)});
    return world_end(&nursery->world, &id);
}

REAL_TIME_FIBER_TEST(a_job_that_takes_too_long_is_asked_to_end)
{
    struct nursery nursery;
    nursery_prepare(&nursery, 1);
    nursery_open(&nursery);
    struct weft_job *job = run_late(&nursery, "end", 100000, 60000000);
    CHECK_EQUAL(job->state, WEFT_JOB_DEAD);
    CHECK_TEXT(job->error, "it took longer than 100 ms, and ended when asked to");
    weft_job_free(job);
    nursery_close(&nursery);
}

/* It needs its time to become deaf: until it had it, each round gives it more. */
REAL_TIME_FIBER_TEST(a_job_that_does_not_end_when_asked_to_is_killed_after_its_grace)
{
    struct nursery nursery;
    struct weft_job *job = NULL;
    nursery_prepare(&nursery, 1);
    nursery_open(&nursery);
    for (int64_t timeout_us = 100000; timeout_us < 16000000; timeout_us *= 2) {
        weft_job_free(job);
        job = run_late(&nursery, "ignore", timeout_us, 10000);
        CHECK_EQUAL(job->state, WEFT_JOB_DEAD);
        if (strstr(job->error, "killed"))
            break;
    }
    CHECK(job && begins_with(job->error, "it took longer than ") &&
          strstr(job->error, ", and had to be killed"));
    weft_job_free(job);
    CHECK_EQUAL(world_counts(&nursery.world).stuck, 0);
    nursery_close(&nursery);
}

/* ---- jobs that are not wanted any more --------------------------------------------------- */

REAL_TIME_FIBER_TEST(a_cancelled_job_is_told_and_its_child_replaced)
{
    struct nursery nursery;
    nursery_prepare(&nursery, 1);
    nursery_open(&nursery);
    struct weft_uuid id = world_add(&nursery.world, "wait", wait_and("end"));
    wait_until_begun();
    world_cancel(&nursery.world, &id);
    struct weft_job *job = world_end(&nursery.world, &id);
    CHECK_EQUAL(job->state, WEFT_JOB_CANCELLED);
    weft_job_free(job);
    CHECK_EQUAL(counts_of(&nursery).replaced, 1);
    nursery_close(&nursery);
}

REAL_TIME_FIBER_TEST(who_completes_when_told_to_end_has_completed)
{
    struct nursery nursery;
    nursery_prepare(&nursery, 1);
    nursery_open(&nursery);
    struct weft_uuid id = world_add(&nursery.world, "wait", wait_and("complete"));
    wait_until_begun();
    world_cancel(&nursery.world, &id);
    struct weft_job *job = world_end(&nursery.world, &id);
    CHECK_EQUAL(job->state, WEFT_JOB_COMPLETED);
    CHECK_TEXT(job->result.data, "1");
    weft_job_free(job);
    nursery_close(&nursery);
}

REAL_TIME_FIBER_TEST(a_child_that_does_not_listen_is_killed_after_the_grace)
{
    struct nursery nursery;
    nursery_prepare(&nursery, 1);
    nursery_open(&nursery);
    struct weft_uuid id = world_put(
        &nursery.world, (struct weft_submission){.task = "wait",
                                                 .grace_us = 20000,
                                                 .payload = world_json(wait_and("ignore"))});
    wait_until_begun();
    world_cancel(&nursery.world, &id);
    struct weft_job *job = world_end(&nursery.world, &id);
    CHECK_EQUAL(job->state, WEFT_JOB_CANCELLED);
    weft_job_free(job);
    CHECK_EQUAL(world_logged("stuck", NULL), 0);
    nursery_close(&nursery);
}

REAL_TIME_FIBER_TEST(a_job_that_waits_for_a_child_can_be_cancelled)
{
    struct nursery nursery;
    nursery_prepare(&nursery, 1);
    nursery_open(&nursery);
    struct weft_uuid busy = world_add(&nursery.world, "wait", wait_and("end"));
    wait_until_begun();
    struct weft_uuid id = world_add(&nursery.world, "end", "{\"how\":\"code\"}");
    for (int i = 0; i < 10000 && counts_of(&nursery).waiting == 0; i++)
        (void)weft_sleep(WEFT_MSEC);
    CHECK_EQUAL(counts_of(&nursery).waiting, 1);
    world_cancel(&nursery.world, &id);
    struct weft_job *job = world_end(&nursery.world, &id);
    CHECK_EQUAL(job->state, WEFT_JOB_CANCELLED);
    weft_job_free(job);
    CHECK_EQUAL(world_state(&nursery.world, &busy), WEFT_JOB_RUNNING);
    nursery_close(&nursery);
}

/* Whoever has it now has ended it. */
static void settle_elsewhere(struct world *world, const struct weft_uuid *id)
{
    struct weft_job *job = world_find(world, id);
    struct weft_settlement item = {.job = job, .event = WEFT_JOB_DIE, .error = "by another"};
    CHECK_EQUAL(world->broker->ops->settle(world->broker, &item, 1), 0);
    CHECK_EQUAL(item.err, 0);
    weft_job_free(job);
}

REAL_TIME_FIBER_TEST(a_lost_lease_ends_the_child)
{
    struct faulty faulty;
    struct nursery nursery;
    nursery_prepare(&nursery, 1);
    nursery.world.broker = faulty_open(&faulty, WEFT_BROKER_LEASES_UNTIL_CLOSE);
    REQUIRE(weft_children_open(&nursery.children, &nursery.options, NULL) == 0);
    world_open(&nursery.world, (struct weft_engine_options){.handlers = nursery.handlers,
                                                            .handlers_count = TASKS,
                                                            .children = nursery.children,
                                                            .lease_ns = 3 * WEFT_SEC});
    struct weft_uuid id = world_add(&nursery.world, "wait", wait_and("end"));
    wait_until_begun();
    settle_elsewhere(&nursery.world, &id);
    int64_t until_ns = weft_now() + PATIENCE;
    while (counts_of(&nursery).replaced == 0 && weft_now() < until_ns)
        REQUIRE(weft_sleep(WEFT_MSEC) == 0);
    CHECK(counts_of(&nursery).replaced > 0);
    nursery_close(&nursery);
    faulty_close(&faulty);
}

REAL_TIME_FIBER_TEST(an_engine_that_ends_gives_the_jobs_of_children_back_without_an_attempt)
{
    struct nursery nursery;
    nursery_prepare(&nursery, 1);
    nursery_open(&nursery);
    struct weft_uuid id = world_add(&nursery.world, "wait", wait_and("end"));
    wait_until_begun();
    world_end_run(&nursery.world, 0);
    struct weft_job *job = world_find(&nursery.world, &id);
    CHECK_EQUAL(job->state, WEFT_JOB_AVAILABLE);
    CHECK_EQUAL(job->attempt, 0);
    weft_job_free(job);
    weft_engine_close(nursery.world.engine);
    nursery.world.broker->ops->close(nursery.world.broker);
    weft_children_close(nursery.children);
    check_no_children();
}

/* ---- many of them ------------------------------------------------------------------------ */

REAL_TIME_FIBER_TEST(many_jobs_share_few_children_and_none_is_refused)
{
    struct nursery nursery;
    struct weft_uuid ids[100];
    nursery_prepare(&nursery, 2);
    nursery.options.jobs_max = 30;
    nursery_open(&nursery);
    for (int i = 0; i < 100; i++)
        ids[i] = world_add(&nursery.world, "end", "{\"how\":\"code\",\"code\":1}");
    for (int i = 0; i < 100; i++) {
        struct weft_job *job = world_end(&nursery.world, &ids[i]);
        CHECK_EQUAL(job->state, WEFT_JOB_COMPLETED);
        CHECK_EQUAL(job->attempt, 1);
        weft_job_free(job);
    }
    CHECK(counts_of(&nursery).replaced >= 2);
    CHECK_EQUAL(counts_of(&nursery).crashed, 0);
    nursery_close(&nursery);
}

/* One at work, one that waits: a third comes back a second later. */
REAL_TIME_FIBER_TEST(a_job_for_which_too_many_wait_comes_again_without_having_spent_an_attempt)
{
    struct nursery nursery;
    struct weft_uuid ids[2];
    nursery_prepare(&nursery, 1);
    nursery.options.waiters_max = 1;
    nursery_open(&nursery);
    struct weft_uuid busy = world_add(&nursery.world, "wait", wait_and("end"));
    wait_until_begun();
    for (int i = 0; i < 2; i++)
        ids[i] = world_add(&nursery.world, "end", "{\"how\":\"code\",\"code\":1}");
    for (int i = 0; i < 10000 && world_counts(&nursery.world).snoozed == 0; i++)
        (void)weft_sleep(WEFT_MSEC);
    CHECK(world_counts(&nursery.world).snoozed > 0);
    world_cancel(&nursery.world, &busy);
    for (int i = 0; i < 2; i++) {
        struct weft_job *job = world_end(&nursery.world, &ids[i]);
        CHECK_EQUAL(job->state, WEFT_JOB_COMPLETED);
        CHECK_EQUAL(job->attempt, 1);
        weft_job_free(job);
    }
    nursery_close(&nursery);
}

FIBER_TEST(without_children_there_are_no_handlers_for_them)
{
    const struct weft_handler handler = {
        .name = "end", .run = only_in_children, .executor = WEFT_EXECUTOR_PROCESS};
    struct weft_engine *engine = NULL;
    struct faulty faulty;
    const struct weft_engine_options options = {
        .broker = faulty_open(&faulty, 0), .handlers = &handler, .handlers_count = 1};
    CHECK_EQUAL(weft_engine_open(&engine, &options), -EINVAL);
    CHECK(!engine);
    faulty_close(&faulty);
}
