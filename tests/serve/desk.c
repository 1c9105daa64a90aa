/* SPDX-License-Identifier: MIT
 * desk.c - see desk.h. */
#include "desk.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#define KEPT 8

struct weft_jobs *desk_inside;

static int task_echo(struct weft_attempt *attempt, const void *settings)
{
    size_t len;
    const char *payload = weft_attempt_payload(attempt, &len);
    (void)settings;
    int err = weft_attempt_result_json(attempt, payload, len);
    return err == -EINVAL ? weft_attempt_result_bytes(attempt, payload, len) : err;
}

static int task_fail(struct weft_attempt *attempt, const void *settings)
{
    (void)settings;
    return weft_attempt_fail(attempt, -EPROTO, "attempt %u is no good",
                             weft_attempt_number(attempt));
}

static int task_flaky(struct weft_attempt *attempt, const void *settings)
{
    int64_t fails = 0;
    (void)settings;
    (void)weft_attempt_get_int(attempt, "fails", &fails);
    if (weft_attempt_number(attempt) <= fails)
        return weft_attempt_retry_after(attempt, 3600 * WEFT_SEC, "not yet");
    return weft_attempt_printf_result(attempt, "%u", weft_attempt_number(attempt));
}

static int task_sleep(struct weft_attempt *attempt, const void *settings)
{
    int64_t ms = 0;
    (void)settings;
    (void)weft_attempt_get_int(attempt, "ms", &ms);
    return weft_sleep(ms * WEFT_MSEC);
}

static int task_sleepy(struct weft_attempt *attempt, const void *settings)
{
    int64_t ms = 0;
    (void)settings;
    (void)weft_attempt_get_int(attempt, "ms", &ms);
    const struct timespec time = {.tv_nsec = (long)ms * 1000000};
    (void)nanosleep(&time, NULL);
    return 0;
}

static int task_parent(struct weft_attempt *attempt, const void *settings)
{
    (void)settings;
    return weft_attempt_enqueue(
        attempt, &(struct weft_attempt_job){.task = "echo", .payload = "\"from its parent\""});
}

static int task_late(struct weft_attempt *attempt, const void *settings)
{
    struct weft_jobs_request request = {.task = "echo", .payload = "\"from inside\""};
    (void)attempt;
    (void)settings;
    return weft_jobs_enqueue(desk_inside, &request, 1, 0);
}

const struct weft_handler desk_handlers[] = {
    {.name = "echo", .run = task_echo},
    {.name = "fail", .run = task_fail},
    {.name = "flaky", .run = task_flaky, .attempts_max = 10},
    {.name = "sleep", .run = task_sleep},
    {.name = "sleepy", .run = task_sleepy, .executor = WEFT_EXECUTOR_THREAD},
    {.name = "parent", .run = task_parent},
    {.name = "late", .run = task_late},
};
_Static_assert(sizeof desk_handlers / sizeof *desk_handlers == DESK_HANDLERS, "all of them");

struct weft_jobs_options desk_options(struct weft_jobs_options options)
{
    if (!options.broker)
        options.broker = "memory:";
    if (!options.handlers) {
        options.handlers = desk_handlers;
        options.handlers_count = DESK_HANDLERS;
    }
    if (!options.seed)
        options.seed = 1;
    if (!options.clock_us)
        options.clock_us = NEW_YEAR_US;
    return options;
}

void desk_open(struct desk *desk, struct weft_jobs_options options)
{
    const struct weft_jobs_options filled = desk_options(options);
    char error[512] = "";
    int err = weft_jobs_open(&desk->jobs, &filled, error, sizeof error);
    if (err)
        test_note("open: %s", error);
    REQUIRE(err == 0);
    desk_inside = desk->jobs;
}

void desk_close(struct desk *desk)
{
    weft_jobs_close(desk->jobs);
}

static int run_main(void *arg)
{
    return weft_jobs_run(arg);
}

void desk_run(struct desk *desk)
{
    REQUIRE(weft_group_init(&desk->group, NULL) == 0);
    REQUIRE(weft_spawn(&desk->group, run_main, desk->jobs) == 0);
}

void desk_stop(struct desk *desk, int64_t grace_ns)
{
    weft_jobs_stop(desk->jobs, grace_ns);
    CHECK_EQUAL(weft_group_wait(&desk->group), 0);
}

const char *desk_put(struct desk *desk, struct weft_jobs_request request)
{
    static char ids[KEPT][WEFT_JOBS_ID_BYTES];
    static unsigned next;
    char *id = ids[next++ % KEPT];
    int err = weft_jobs_enqueue(desk->jobs, &request, 1, 0);
    if (err)
        test_note("enqueue: %s", request.reason ? request.reason : weft_strerror(err));
    REQUIRE(err == 0);
    memcpy(id, request.id, WEFT_JOBS_ID_BYTES);
    return id;
}

const char *desk_add(struct desk *desk, const char *task, const char *json)
{
    return desk_put(desk, (struct weft_jobs_request){.task = task, .payload = json});
}

struct weft_jobs_view *desk_find(struct desk *desk, const char *id)
{
    struct weft_jobs_view *view = NULL;
    REQUIRE(weft_jobs_find(desk->jobs, id, &view) == 0);
    return view;
}

struct weft_jobs_view *desk_end(struct desk *desk, const char *id)
{
    struct weft_jobs_view *view = NULL;
    REQUIRE(weft_jobs_wait(desk->jobs, id, WEFT_FOREVER, &view) == 0);
    return view;
}

enum weft_job_state desk_state(struct desk *desk, const char *id)
{
    struct weft_jobs_view *view = desk_find(desk, id);
    enum weft_job_state state = view->state;
    weft_jobs_view_free(view);
    return state;
}

struct weft_jobs_counts desk_counts(struct desk *desk)
{
    struct weft_jobs_counts counts = {0};
    REQUIRE(weft_jobs_count(desk->jobs, NULL, &counts) == 0);
    return counts;
}
