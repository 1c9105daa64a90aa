/* SPDX-License-Identifier: MIT
 * engine_exec.c - commands as handlers of the engine: what their ends mean for jobs, and that none
 * outlives its job. Real time, since processes live in it; every wait is bounded. */
#include "faulty.h"
#include "outcome.h"
#include "world.h"

#include <job/exec.h>

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* A command of the tests' own: a shell can do everything a command might. */
struct script {
    const char *command[4];
    struct weft_exec_command exec;
    struct weft_handler handler;
};

static const struct weft_handler *script(struct script *storage, const char *text)
{
    *storage = (struct script){.command = {"/bin/sh", "-c", text, NULL}};
    storage->exec = (struct weft_exec_command){
        .name = "script", .command = storage->command, .directory = test_directory()};
    storage->handler = (struct weft_handler){
        .name = "script", .executor = WEFT_EXECUTOR_EXEC, .settings = &storage->exec};
    return &storage->handler;
}

static void open_world(struct world *world, const struct weft_handler *handler)
{
    *world = (struct world){0};
    world_open(world, (struct weft_engine_options){.handlers = handler, .handlers_count = 1});
}

/* Run a script once, with a payload. Returns the job, to be freed. */
static struct weft_job *run_once(const char *text, const char *payload)
{
    struct script storage;
    struct world world;
    open_world(&world, script(&storage, text));
    struct weft_uuid id =
        world_put(&world, (struct weft_submission){
                              .task = "script", .attempts_max = 1, .payload = world_json(payload)});
    struct weft_job *job = world_end(&world, &id);
    world_close(&world, 0);
    check_no_children();
    return job;
}

/* ---- what comes of a command ------------------------------------------------------------- */

REAL_TIME_FIBER_TEST(a_command_gets_the_payload_and_its_output_is_the_result)
{
    struct weft_job *job = run_once("cat", "{\"n\":[1,2]}");
    CHECK_EQUAL(job->state, WEFT_JOB_COMPLETED);
    CHECK_TEXT(job->result.data, "{\"n\":[1,2]}");
    CHECK(job->result.json);
    weft_job_free(job);
    job = run_once("printf 'plain \\377'", "{}");
    CHECK_EQUAL(job->state, WEFT_JOB_COMPLETED);
    CHECK_EQUAL(job->result.len, 7);
    CHECK(!job->result.json);
    weft_job_free(job);
    job = run_once("echo '{\"cut\":'", "{}");
    CHECK(job->result.data && !job->result.json);
    weft_job_free(job);
    job = run_once("cat >/dev/null", "{}");
    CHECK_EQUAL(job->state, WEFT_JOB_COMPLETED);
    CHECK(!job->result.data);
    weft_job_free(job);
}

REAL_TIME_FIBER_TEST(a_command_knows_its_job)
{
    struct script storage;
    struct world world;
    char expected[128];
    open_world(&world, script(&storage, "printf '\"%s %s %s %s\"' $WEFT_JOB_ID $WEFT_TASK "
                                        "$WEFT_QUEUE $WEFT_ATTEMPT"));
    struct weft_uuid id =
        world_put(&world, (struct weft_submission){.task = "script", .queue = "slow"});
    struct weft_job *job = world_end(&world, &id);
    char text[WEFT_UUID_TEXT_LEN + 1];
    weft_uuid_format(&id, text);
    (void)snprintf(expected, sizeof expected, "\"%s script slow 1\"", text);
    CHECK_TEXT(job->result.data, expected);
    weft_job_free(job);
    world_close(&world, 0);
}

REAL_TIME_FIBER_TEST(a_failure_says_why_and_is_tried_again)
{
    struct script storage;
    struct world world;
    struct weft_handler handler =
        *script(&storage, "[ $WEFT_ATTEMPT = 2 ] && exit 0; echo 'no such customer' >&2; exit 3");
    handler.retry = (struct weft_retry_options){
        .backoff = WEFT_BACKOFF_CONSTANT, .jitter = WEFT_JITTER_NONE, .base_ns = WEFT_MSEC};
    open_world(&world, &handler);
    struct weft_uuid id = world_add(&world, "script", "{}");
    struct weft_job *job = world_end(&world, &id);
    CHECK_EQUAL(job->state, WEFT_JOB_COMPLETED);
    CHECK_EQUAL(job->attempt, 2);
    weft_job_free(job);
    CHECK_EQUAL(world_logged("failed", "exit code 3: no such customer"), 1);
    CHECK_EQUAL(world_logged("output", "no such customer"), 1);
    world_close(&world, 0);
}

REAL_TIME_FIBER_TEST(what_no_other_attempt_will_do_better_is_dead_at_once)
{
    struct script storage;
    struct world world;
    open_world(&world, script(&storage, "echo 'line 7 is odd' >&2; exit 65"));
    struct weft_uuid id = world_add(&world, "script", "{}");
    struct weft_job *job = world_end(&world, &id);
    CHECK_EQUAL(job->state, WEFT_JOB_DEAD);
    CHECK_EQUAL(job->attempt, 1);
    CHECK_TEXT(job->error, "exit code 65 (bad input): line 7 is odd");
    weft_job_free(job);
    world_close(&world, 0);
}

REAL_TIME_FIBER_TEST(reasons_name_signals_and_what_could_not_be_started)
{
    struct weft_job *job = run_once("ulimit -c 0; kill -SEGV $$", "{}");
    CHECK_EQUAL(job->state, WEFT_JOB_DEAD);
    CHECK_TEXT(job->error, "killed by SIGSEGV");
    weft_job_free(job);
    struct script storage;
    struct world world;
    struct weft_handler handler = *script(&storage, "");
    storage.command[0] = "/does/not/exist";
    handler.attempts_max = 1;
    open_world(&world, &handler);
    struct weft_uuid id = world_add(&world, "script", "{}");
    job = world_end(&world, &id);
    CHECK_EQUAL(job->state, WEFT_JOB_DEAD);
    CHECK_TEXT(job->error, "script cannot be started: No such file or directory");
    weft_job_free(job);
    world_close(&world, 0);
}

REAL_TIME_FIBER_TEST(what_a_command_says_on_the_way_is_in_the_log)
{
    struct script storage;
    struct world world;
    open_world(&world, script(&storage, "echo 'nearly there' >&2; echo 1"));
    struct weft_uuid id = world_add(&world, "script", "{}");
    weft_job_free(world_end(&world, &id));
    CHECK_EQUAL(world_logged("output", "nearly there\n"), 1);
    world_close(&world, 0);
}

REAL_TIME_FIBER_TEST(more_output_than_allowed_is_a_failure)
{
    struct script storage;
    struct world world;
    struct weft_handler handler = *script(&storage, "head -c 2000 /dev/zero; sleep 60");
    storage.exec.output_bytes_max = 1000;
    handler.attempts_max = 1;
    open_world(&world, &handler);
    struct weft_uuid id = world_add(&world, "script", "{}");
    struct weft_job *job = world_end(&world, &id);
    CHECK_EQUAL(job->state, WEFT_JOB_DEAD);
    CHECK_TEXT(job->error, "it wrote more than 1000 bytes to its standard output");
    weft_job_free(job);
    world_close(&world, 0);
}

/* ---- times ------------------------------------------------------------------------------- */

REAL_TIME_FIBER_TEST(a_job_that_takes_too_long_is_asked_to_end)
{
    struct script storage;
    struct world world;
    open_world(&world, script(&storage, "echo reading >&2; sleep 60"));
    struct weft_uuid id = world_put(
        &world,
        (struct weft_submission){.task = "script", .attempts_max = 1, .timeout_us = 200000});
    struct weft_job *job = world_end(&world, &id);
    CHECK_EQUAL(job->state, WEFT_JOB_DEAD);
    CHECK(begins_with(job->error, "it took longer than 200 ms, and ended when asked to"));
    weft_job_free(job);
    CHECK_EQUAL(world_counts(&world).stuck, 0);
    world_close(&world, 0);
    check_no_children();
}

/* It needs its time to become deaf: until it had it, each round gives it more. */
REAL_TIME_FIBER_TEST(who_does_not_end_is_killed_after_the_grace_of_the_job)
{
    struct script storage;
    struct world world;
    struct weft_job *job = NULL;
    struct weft_handler handler = *script(&storage, "trap '' TERM; echo deaf >&2; sleep 60");
    handler.grace_ns = 3600 * WEFT_SEC;
    handler.attempts_max = 1;
    open_world(&world, &handler);
    for (int64_t timeout_us = 100000; timeout_us < 16000000; timeout_us *= 2) {
        struct weft_uuid id =
            world_put(&world, (struct weft_submission){
                                  .task = "script", .timeout_us = timeout_us, .grace_us = 10000});
        weft_job_free(job);
        job = world_end(&world, &id);
        CHECK_EQUAL(job->state, WEFT_JOB_DEAD);
        if (strstr(job->error, "deaf"))
            break;
    }
    CHECK(job && strstr(job->error, "s, and had to be killed: deaf"));
    weft_job_free(job);
    CHECK_EQUAL(world_counts(&world).stuck, 0);
    world_close(&world, 0);
    check_no_children();
}

REAL_TIME_FIBER_TEST(the_command_may_have_less_time_than_the_job_asks_for)
{
    struct script storage;
    struct world world;
    struct weft_handler handler = *script(&storage, "sleep 60");
    storage.exec.timeout_ns = 50 * WEFT_MSEC;
    handler.attempts_max = 1;
    open_world(&world, &handler);
    struct weft_uuid id = world_put(
        &world, (struct weft_submission){.task = "script", .timeout_us = 3600 * INT64_C(1000000)});
    struct weft_job *job = world_end(&world, &id);
    CHECK(begins_with(job->error, "it took longer than 50 ms, and "));
    weft_job_free(job);
    world_close(&world, 0);
}

/* ---- jobs that are not wanted any more --------------------------------------------------- */

/* Its process id, and that of one that it has started. */
#define TELL_AND_WAIT "sleep 60 & echo $$ $! >begun.new; mv begun.new begun; wait"

struct pids {
    pid_t command, grandchild;
};

static const char *place(const char *name)
{
    static char path[PATH_MAX];
    (void)snprintf(path, sizeof path, "%s/%s", test_directory(), name);
    return path;
}

static struct pids wait_until_begun(void)
{
    char text[64] = "", *end;
    int64_t until_ns = weft_now() + PATIENCE;
    while (access(place("begun"), F_OK) != 0 && weft_now() < until_ns)
        REQUIRE(weft_sleep(WEFT_MSEC) == 0);
    FILE *file = fopen(place("begun"), "r");
    REQUIRE(file && fgets(text, sizeof text, file));
    (void)fclose(file);
    REQUIRE(unlink(place("begun")) == 0);
    struct pids pids = {.command = (pid_t)strtol(text, &end, 10)};
    pids.grandchild = (pid_t)strtol(end, NULL, 10);
    REQUIRE(pids.command > 0 && pids.grandchild > 0);
    return pids;
}

static void check_all_gone(const struct pids *pids)
{
    check_no_children();
    check_dies(pids->grandchild);
}

REAL_TIME_FIBER_TEST(a_cancelled_job_takes_its_command_and_all_it_has_started_with_it)
{
    struct script storage;
    struct world world;
    open_world(&world, script(&storage, TELL_AND_WAIT));
    struct weft_uuid id = world_add(&world, "script", "{}");
    struct pids pids = wait_until_begun();
    world_cancel(&world, &id);
    struct weft_job *job = world_end(&world, &id);
    CHECK_EQUAL(job->state, WEFT_JOB_CANCELLED);
    CHECK_TEXT(job->error, "not wanted");
    weft_job_free(job);
    world_close(&world, 0);
    check_all_gone(&pids);
}

REAL_TIME_FIBER_TEST(a_cancelled_command_that_does_not_listen_is_killed_and_is_not_stuck)
{
    struct script storage;
    struct world world;
    struct weft_handler handler = *script(&storage, "trap '' TERM; " TELL_AND_WAIT);
    handler.grace_ns = 20 * WEFT_MSEC;
    open_world(&world, &handler);
    struct weft_uuid id = world_add(&world, "script", "{}");
    struct pids pids = wait_until_begun();
    world_cancel(&world, &id);
    struct weft_job *job = world_end(&world, &id);
    CHECK_EQUAL(job->state, WEFT_JOB_CANCELLED);
    weft_job_free(job);
    CHECK_EQUAL(world_counts(&world).stuck, 0);
    CHECK_EQUAL(world_logged("stuck", NULL), 0);
    world_close(&world, 0);
    check_all_gone(&pids);
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

REAL_TIME_FIBER_TEST(a_lost_lease_ends_the_command)
{
    struct script storage;
    struct faulty faulty;
    struct world world = {.broker = faulty_open(&faulty, WEFT_BROKER_LEASES_UNTIL_CLOSE)};
    world_open(&world, (struct weft_engine_options){.handlers = script(&storage, TELL_AND_WAIT),
                                                    .handlers_count = 1,
                                                    .lease_ns = 3 * WEFT_SEC});
    struct weft_uuid id = world_add(&world, "script", "{}");
    struct pids pids = wait_until_begun();
    settle_elsewhere(&world, &id);
    int64_t until_ns = weft_now() + PATIENCE;
    while (world_counts(&world).lost == 0 && weft_now() < until_ns)
        REQUIRE(weft_sleep(WEFT_MSEC) == 0);
    CHECK(world_counts(&world).lost > 0);
    check_all_gone(&pids);
    CHECK_EQUAL(world_state(&world, &id), WEFT_JOB_DEAD);
    world_close(&world, 0);
    faulty_close(&faulty);
}

REAL_TIME_FIBER_TEST(an_engine_that_ends_gives_its_commands_back_without_an_attempt)
{
    struct script storage;
    struct world world;
    open_world(&world, script(&storage, TELL_AND_WAIT));
    struct weft_uuid id = world_add(&world, "script", "{}");
    struct pids pids = wait_until_begun();
    world_end_run(&world, 0);
    check_all_gone(&pids);
    struct weft_job *job = world_find(&world, &id);
    CHECK_EQUAL(job->state, WEFT_JOB_AVAILABLE);
    CHECK_EQUAL(job->attempt, 0);
    weft_job_free(job);
    weft_engine_close(world.engine);
    world.broker->ops->close(world.broker);
}

REAL_TIME_FIBER_TEST(a_command_that_ends_within_the_grace_of_a_drain_is_completed)
{
    struct script storage;
    struct world world;
    open_world(&world, script(&storage, "echo $$ $$ >begun.new; mv begun.new begun; "
                                        "while [ ! -e go ]; do sleep 0.01; done; echo 7"));
    struct weft_uuid id = world_add(&world, "script", "{}");
    (void)wait_until_begun();
    weft_engine_drain(world.engine, PATIENCE);
    FILE *file = fopen(place("go"), "w");
    REQUIRE(file && fclose(file) == 0);
    CHECK_EQUAL(weft_group_wait(&world.group), 0);
    struct weft_job *job = world_find(&world, &id);
    CHECK_EQUAL(job->state, WEFT_JOB_COMPLETED);
    CHECK_TEXT(job->result.data, "7\n");
    weft_job_free(job);
    CHECK_EQUAL(unlink(place("go")), 0);
    weft_engine_close(world.engine);
    world.broker->ops->close(world.broker);
}

REAL_TIME_FIBER_TEST(a_cancel_at_any_time_ends_a_job_in_one_way)
{
    struct script storage;
    struct world world;
    unsigned completed = 0;
    open_world(&world, script(&storage, "echo 1"));
    for (int i = 0; i < 30 || (completed == 0 && i < 300); i++) {
        struct weft_uuid id = world_add(&world, "script", "{}");
        (void)weft_sleep(i * 200 * WEFT_USEC);
        struct weft_cancel cancel = {.kind = WEFT_CANCEL_JOB, .id = id};
        (void)world.broker->ops->cancel(world.broker, &cancel);
        struct weft_job *job = world_end(&world, &id);
        CHECK(job->state == WEFT_JOB_CANCELLED || job->state == WEFT_JOB_COMPLETED);
        completed += job->state == WEFT_JOB_COMPLETED;
        weft_job_free(job);
    }
    CHECK(completed > 0);
    world_close(&world, 0);
    check_no_children();
}

/* ---- many of them ------------------------------------------------------------------------ */

REAL_TIME_FIBER_TEST(many_commands_run_side_by_side)
{
    struct script storage;
    struct world world;
    struct weft_uuid ids[60];
    open_world(&world, script(&storage, "cat"));
    for (int i = 0; i < 60; i++)
        ids[i] = world_add(&world, "script", "[1]");
    for (int i = 0; i < 60; i++) {
        struct weft_job *job = world_end(&world, &ids[i]);
        CHECK_EQUAL(job->state, WEFT_JOB_COMPLETED);
        CHECK_TEXT(job->result.data, "[1]");
        weft_job_free(job);
    }
    world_close(&world, 0);
    check_no_children();
}

FIBER_TEST(a_command_without_a_program_is_no_handler)
{
    static const struct weft_exec_command empty = {.name = "empty"};
    struct weft_handler handler = {.name = "script", .executor = WEFT_EXECUTOR_EXEC};
    struct weft_engine *engine = NULL;
    struct faulty faulty;
    struct weft_engine_options options = {
        .broker = faulty_open(&faulty, 0), .handlers = &handler, .handlers_count = 1};
    CHECK_EQUAL(weft_engine_open(&engine, &options), -EINVAL);
    handler.settings = &empty;
    CHECK_EQUAL(weft_engine_open(&engine, &options), -EINVAL);
    CHECK(!engine);
    faulty_close(&faulty);
}
