/* SPDX-License-Identifier: MIT
 * jobs_cancel.c - callers of weft_jobs that are cancelled: before a call, in it, at its end, and at
 * each wait of a whole program in turn. What was accepted stays, what was not is not there. */
#include "desk.h"

#include <weft/runtime.h>
#include <weft/scope.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* ---- before ------------------------------------------------------------------------------ */

static struct weft_scope cancelled;

static void begin_cancelled(void)
{
    weft_scope_enter(&cancelled, WEFT_FOREVER, WEFT_SCOPE_MOVE_ON);
    weft_scope_cancel(&cancelled, 0);
}

static void end_cancelled(void)
{
    (void)weft_scope_leave(&cancelled, 0);
}

FIBER_TEST(a_cancelled_caller_opens_nothing)
{
    const struct weft_jobs_options options = desk_options((struct weft_jobs_options){0});
    struct weft_jobs *jobs = NULL;
    char error[100] = "";
    begin_cancelled();
    CHECK_EQUAL(weft_jobs_open(&jobs, &options, error, sizeof error), -ECANCELED);
    end_cancelled();
    CHECK(!jobs);
    CHECK(error[0]);
}

FIBER_TEST(calls_that_read_or_wait_are_checkpoints)
{
    static const struct weft_jobs_request echo = {.task = "echo"};
    static const struct weft_jobs_cron cron = {.name = "c", .expression = "@daily", .job = &echo};
    struct weft_jobs_view *view = NULL;
    struct weft_jobs_counts counts;
    char error[100] = "";
    struct desk desk;
    desk_open(&desk, (struct weft_jobs_options){0});
    const char *id = desk_add(&desk, "echo", NULL);
    begin_cancelled();
    CHECK_EQUAL(weft_jobs_drain(desk.jobs, 0, 0), -ECANCELED);
    CHECK_EQUAL(weft_jobs_find(desk.jobs, id, &view), -ECANCELED);
    CHECK_EQUAL(weft_jobs_wait(desk.jobs, id, WEFT_FOREVER, &view), -ECANCELED);
    CHECK_EQUAL(weft_jobs_count(desk.jobs, NULL, &counts), -ECANCELED);
    CHECK_EQUAL(weft_jobs_count(desk.jobs, "default", &counts), -ECANCELED);
    CHECK_EQUAL(weft_jobs_pause(desk.jobs, "default"), -ECANCELED);
    CHECK_EQUAL(weft_jobs_resume(desk.jobs, "default"), -ECANCELED);
    CHECK_EQUAL(weft_jobs_limit(desk.jobs, "default", &(struct weft_jobs_limits){0}), -ECANCELED);
    CHECK_EQUAL(weft_jobs_cron_set(desk.jobs, &cron, error, sizeof error), -ECANCELED);
    CHECK_EQUAL(weft_jobs_run(desk.jobs), -ECANCELED);
    end_cancelled();
    CHECK(!view);
    CHECK_EQUAL(desk_state(&desk, id), WEFT_JOB_AVAILABLE);
    CHECK_EQUAL(weft_jobs_cron_remove(desk.jobs, "c"), -ENOENT);
    CHECK_EQUAL(weft_jobs_run(desk.jobs), -EALREADY);
    desk_close(&desk);
}

FIBER_TEST(calls_that_change_something_are_none)
{
    struct desk desk;
    char flow[WEFT_JOBS_ID_BYTES];
    desk_open(&desk, (struct weft_jobs_options){0});
    REQUIRE(weft_jobs_make_flow(desk.jobs, flow) == 0);
    begin_cancelled();
    struct weft_jobs_request requests[] = {{.task = "echo"}, {.task = "echo", .flow = flow}};
    CHECK_EQUAL(weft_jobs_enqueue(desk.jobs, requests, 2, 0), 0);
    CHECK_EQUAL(weft_jobs_cancel(desk.jobs, requests[0].id, NULL), 1);
    CHECK_EQUAL(weft_jobs_cancel_flow(desk.jobs, flow, NULL), 1);
    CHECK_EQUAL(weft_jobs_retry(desk.jobs, requests[1].id), 0);
    CHECK_EQUAL(weft_jobs_cron_remove(desk.jobs, "c"), -ENOENT);
    end_cancelled();
    CHECK_EQUAL(desk_state(&desk, requests[0].id), WEFT_JOB_CANCELLED);
    CHECK_EQUAL(desk_state(&desk, requests[1].id), WEFT_JOB_AVAILABLE);
    begin_cancelled();
    desk_close(&desk);
    end_cancelled();
}

/* ---- during ------------------------------------------------------------------------------ */

struct call {
    struct desk *desk;
    const char *id;
    struct weft_scope scope;
    struct weft_jobs_view *view;
    int result;
};

static int wait_main(void *arg)
{
    struct call *call = arg;
    weft_scope_enter(&call->scope, WEFT_FOREVER, WEFT_SCOPE_MOVE_ON);
    call->result = weft_jobs_wait(call->desk->jobs, call->id, WEFT_FOREVER, &call->view);
    return weft_scope_leave(&call->scope, 0);
}

static int drain_main(void *arg)
{
    struct call *call = arg;
    weft_scope_enter(&call->scope, WEFT_FOREVER, WEFT_SCOPE_MOVE_ON);
    call->result = weft_jobs_drain(call->desk->jobs, 1, 0);
    return weft_scope_leave(&call->scope, 0);
}

static int run_main(void *arg)
{
    struct call *call = arg;
    weft_scope_enter(&call->scope, WEFT_FOREVER, WEFT_SCOPE_MOVE_ON);
    call->result = weft_jobs_run(call->desk->jobs);
    return weft_scope_leave(&call->scope, 0);
}

static void begin_call(struct call *call, struct weft_group *group, int (*main)(void *))
{
    call->result = 1;
    REQUIRE(weft_group_init(group, NULL) == 0);
    REQUIRE(weft_spawn(group, main, call) == 0);
    (void)weft_sleep(WEFT_SEC);
}

FIBER_TEST(a_wait_that_is_cancelled_leaves_the_job_alone)
{
    struct desk desk;
    struct weft_group group;
    desk_open(&desk, (struct weft_jobs_options){0});
    desk_run(&desk);
    struct call call = {.desk = &desk, .id = desk_add(&desk, "sleep", "{\"ms\":5000}")};
    begin_call(&call, &group, wait_main);
    weft_scope_cancel(&call.scope, 0);
    CHECK_EQUAL(weft_group_wait(&group), 0);
    CHECK_EQUAL(call.result, -ECANCELED);
    CHECK(!call.view);
    weft_jobs_view_free(desk_end(&desk, call.id));
    desk_stop(&desk, 0);
    desk_close(&desk);
}

/* The job ends after two seconds, and so does the patience of whoever waits for it. */
static void end_together(int64_t cancel_ns)
{
    struct desk desk;
    struct weft_group group;
    desk_open(&desk, (struct weft_jobs_options){0});
    desk_run(&desk);
    struct call call = {.desk = &desk, .id = desk_add(&desk, "sleep", "{\"ms\":2000}")};
    begin_call(&call, &group, wait_main);
    (void)weft_sleep(cancel_ns);
    weft_scope_cancel(&call.scope, 0);
    CHECK_EQUAL(weft_group_wait(&group), 0);
    CHECK(call.result == 0 || call.result == -ECANCELED);
    CHECK((call.result == 0) == (call.view != NULL));
    weft_jobs_view_free(call.view);
    call.view = desk_end(&desk, call.id);
    CHECK_EQUAL(call.view->state, WEFT_JOB_COMPLETED);
    weft_jobs_view_free(call.view);
    desk_stop(&desk, 0);
    desk_close(&desk);
}

FIBER_TEST(a_wait_that_is_cancelled_at_the_end_of_the_job_is_one_or_the_other)
{
    for (int64_t ns = -3; ns <= 3; ns++)
        end_together(WEFT_SEC + ns);
}

FIBER_TEST(a_drain_that_is_cancelled_gives_back_what_it_runs)
{
    struct desk desk;
    struct weft_group group;
    desk_open(&desk, (struct weft_jobs_options){0});
    struct call call = {.desk = &desk, .id = desk_add(&desk, "sleep", "{\"ms\":5000}")};
    begin_call(&call, &group, drain_main);
    CHECK_EQUAL(desk_state(&desk, call.id), WEFT_JOB_RUNNING);
    weft_scope_cancel(&call.scope, 0);
    CHECK_EQUAL(weft_group_wait(&group), 0);
    CHECK_EQUAL(call.result, -ECANCELED);
    struct weft_jobs_view *view = desk_find(&desk, call.id);
    CHECK_EQUAL(view->state, WEFT_JOB_AVAILABLE);
    CHECK_EQUAL(view->attempt, 0);
    weft_jobs_view_free(view);
    CHECK_EQUAL(weft_jobs_drain(desk.jobs, 0, 0), 1);
    CHECK_EQUAL(desk_state(&desk, call.id), WEFT_JOB_COMPLETED);
    desk_close(&desk);
}

FIBER_TEST(a_run_that_is_cancelled_gives_back_what_it_runs)
{
    struct desk desk;
    struct weft_group group;
    desk_open(&desk, (struct weft_jobs_options){0});
    struct call call = {.desk = &desk, .id = desk_add(&desk, "sleep", "{\"ms\":5000}")};
    begin_call(&call, &group, run_main);
    weft_scope_cancel(&call.scope, 0);
    CHECK_EQUAL(weft_group_wait(&group), 0);
    CHECK_EQUAL(call.result, -ECANCELED);
    CHECK_EQUAL(desk_state(&desk, call.id), WEFT_JOB_AVAILABLE);
    desk_close(&desk);
}

/* A job ends, and so does the run: settled, or given back with its attempt unspent. */
FIBER_TEST(a_run_that_is_cancelled_as_a_job_ends_settles_it_or_gives_it_back)
{
    for (int64_t ns = -3; ns <= 3; ns++) {
        struct desk desk;
        struct weft_group group;
        desk_open(&desk, (struct weft_jobs_options){0});
        struct call call = {.desk = &desk, .id = desk_add(&desk, "sleep", "{\"ms\":2000}")};
        begin_call(&call, &group, run_main);
        (void)weft_sleep(WEFT_SEC + ns);
        weft_scope_cancel(&call.scope, 0);
        CHECK_EQUAL(weft_group_wait(&group), 0);
        struct weft_jobs_view *view = desk_find(&desk, call.id);
        CHECK(view->state == WEFT_JOB_COMPLETED || view->state == WEFT_JOB_AVAILABLE);
        CHECK_EQUAL(view->attempt, view->state == WEFT_JOB_COMPLETED);
        weft_jobs_view_free(view);
        desk_close(&desk);
    }
}

/* ---- at each wait of a program ----------------------------------------------------------- */

#define ACCEPTED_MAX 16

struct program {
    char broker[256];
    char accepted[ACCEPTED_MAX][WEFT_JOBS_ID_BYTES];
    unsigned count;
    int worst; /* a result that should not have come; 0: none has */
};

static void expect(struct program *program, int result, int other)
{
    if (result < 0 && result != -ECANCELED && result != other)
        program->worst = result;
}

static void put(struct program *program, struct weft_jobs *jobs, const char *task)
{
    struct weft_jobs_request request = {.task = task, .payload = "{\"ms\":10}"};
    int err = weft_jobs_enqueue(jobs, &request, 1, 0);
    expect(program, err == -ECANCELED ? -EIO : err,
           -ESHUTDOWN); /* a run that ends shuts the door */
    if (err == 0)
        memcpy(program->accepted[program->count++], request.id, WEFT_JOBS_ID_BYTES);
}

static int jobs_main(void *arg)
{
    return weft_jobs_run(arg);
}

static void work(struct program *program, struct weft_jobs *jobs)
{
    struct weft_jobs_view *view = NULL;
    struct weft_jobs_watch *watch = NULL;
    struct weft_jobs_event event;
    struct weft_jobs_counts counts;
    int err = weft_jobs_watch_open(jobs, 0, &watch);
    expect(program, err, 0);
    put(program, jobs, "echo");
    put(program, jobs, "sleep");
    if (program->count == 2) {
        err = weft_jobs_wait(jobs, program->accepted[1], WEFT_FOREVER, &view);
        expect(program, err, 0);
        if ((err == 0) != (view != NULL))
            program->worst = -EFAULT;
        weft_jobs_view_free(view);
    }
    expect(program, weft_jobs_watch_next(watch, &event, WEFT_FOREVER), 0);
    expect(program, weft_jobs_pause(jobs, "other"), 0);
    expect(program, weft_jobs_count(jobs, NULL, &counts), 0);
    put(program, jobs, "parent");
    expect(program, weft_jobs_cron_remove(jobs, "daily"), 0);
    weft_jobs_watch_close(watch);
}

static int program_main(void *arg)
{
    static const struct weft_jobs_request echo = {.task = "echo"};
    static const struct weft_jobs_cron cron = {
        .name = "daily", .expression = "@daily", .job = &echo};
    struct program *program = arg;
    const struct weft_jobs_options options = desk_options(
        (struct weft_jobs_options){.broker = program->broker, .crons = &cron, .crons_count = 1});
    struct weft_group group;
    struct weft_jobs *jobs = NULL;
    int err = weft_jobs_open(&jobs, &options, NULL, 0);
    expect(program, err, 0);
    if (err)
        return err;
    err = weft_group_init(&group, NULL);
    if (!err)
        err = weft_spawn(&group, jobs_main, jobs);
    work(program, jobs);
    weft_jobs_stop(jobs, WEFT_SEC);
    (void)weft_group_wait(&group);
    weft_jobs_close(jobs);
    return err;
}

/* Everything that was accepted is there, and nothing thinks that it runs. */
static int look_main(void *arg)
{
    struct program *program = arg;
    struct desk desk;
    desk_open(&desk, (struct weft_jobs_options){.broker = program->broker});
    for (unsigned i = 0; i < program->count; i++) {
        enum weft_job_state state = desk_state(&desk, program->accepted[i]);
        CHECK(state == WEFT_JOB_AVAILABLE || state == WEFT_JOB_COMPLETED);
    }
    CHECK(weft_jobs_drain(desk.jobs, 1, 0) >= 0);
    for (unsigned i = 0; i < program->count; i++)
        CHECK_EQUAL(desk_state(&desk, program->accepted[i]), WEFT_JOB_COMPLETED);
    desk_close(&desk);
    return 0;
}

/* Returns whether the program waited so often. */
static bool cancel_program_at(uint64_t wait)
{
    struct program program = {.worst = 0};
    char path[200], command[256];
    uint64_t waits = 0;
    (void)snprintf(path, sizeof path, "%s/cancelled.db", test_directory());
    (void)snprintf(program.broker, sizeof program.broker, "sqlite:%s", path);
    const struct weft_run_options options = {
        .clock = WEFT_CLOCK_VIRTUAL, .cancel_at = wait, .ret_waits = &waits};
    (void)weft_run(&options, program_main, &program);
    CHECK_EQUAL(program.worst, 0);
    const struct weft_run_options calm = {.clock = WEFT_CLOCK_VIRTUAL};
    CHECK_EQUAL(weft_run(&calm, look_main, &program), 0);
    for (const char *const *end = (const char *const[]){"", "-wal", "-shm", "-lock", NULL}; *end;
         end++) {
        (void)snprintf(command, sizeof command, "%s%s", path, *end);
        (void)unlink(command);
    }
    return waits >= wait;
}

TEST(a_program_that_is_cancelled_at_any_wait_loses_nothing_it_accepted)
{
    uint64_t wait = 1;
    while (cancel_program_at(wait) && wait < 200)
        wait++;
    CHECK(wait > 20); /* it has waited, and in the end it was not cancelled */
    CHECK(wait < 200);
}
