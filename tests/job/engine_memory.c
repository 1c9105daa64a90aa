/* SPDX-License-Identifier: MIT
 * engine_memory.c - the n-th allocation fails, for every n, in the engine or in the broker below
 * it: whoever asked hears of it, or the engine tries again; no job is lost and none runs twice. */
#include "world.h"

#include <broker/sqlite.h>

#include <weft/runtime.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define JOBS 6

static unsigned long countdown; /* allocations until one fails; 0: none will */
static bool fired;

void *__real_malloc(size_t bytes);
void *__wrap_malloc(size_t bytes);
void *__real_calloc(size_t len, size_t bytes);
void *__wrap_calloc(size_t len, size_t bytes);
void *__real_realloc(void *allocated, size_t bytes);
void *__wrap_realloc(void *allocated, size_t bytes);

static bool fails(void)
{
    bool now = countdown == 1;
    if (countdown > 0)
        countdown--;
    fired = fired || now;
    return now;
}

void *__wrap_malloc(size_t bytes)
{
    return fails() ? NULL : __real_malloc(bytes);
}

void *__wrap_calloc(size_t len, size_t bytes)
{
    return fails() ? NULL : __real_calloc(len, bytes);
}

void *__wrap_realloc(void *allocated, size_t bytes)
{
    return fails() ? NULL : __real_realloc(allocated, bytes);
}

static unsigned runs, children, refused;

/* Uses all there is. What it could not do fails the attempt, and is done by the next. */
static int task_busy(struct weft_attempt *attempt, const void *settings)
{
    int64_t number = 0;
    (void)settings;
    runs++;
    int err = weft_attempt_get_int(attempt, "n", &number);
    if (!err)
        err = weft_attempt_progress(attempt, 0.5, "half");
    if (!err)
        err = weft_sleep(WEFT_SEC);
    weft_attempt_log(attempt, WEFT_LOG_INFO, "hello");
    if (!err)
        err = weft_attempt_enqueue(attempt, &(struct weft_attempt_job){.task = "child"});
    if (!err)
        err = weft_attempt_printf_result(attempt, "%d", (int)number);
    if (err) {
        refused++;
        return weft_attempt_fail(attempt, err, "no memory");
    }
    return 0;
}

static int task_child(struct weft_attempt *attempt, const void *settings)
{
    (void)attempt;
    (void)settings;
    children++;
    return 0;
}

static const struct weft_handler handlers[] = {
    {.name = "busy", .run = task_busy, .attempts_max = 50, .timeout_ns = 10 * WEFT_SEC},
    {.name = "child", .run = task_child, .attempts_max = 50},
};

static const struct weft_consumer_queue every[] = {{.name = "*"}};
static const struct weft_consumer_options two = {
    .queues = every, .queues_count = 1, .concurrency = 2};

static int insist(struct world *world, struct weft_uuid *ret_id)
{
    struct weft_submission job = {.task = "busy", .payload = world_json("{\"n\":5}")};
    int err = -ENOMEM;
    for (int try = 0; err && try < 3; try++) {
        err = weft_engine_submit(world->engine, &job, 1, false);
        CHECK(!err || err == -ENOMEM);
        if (!err)
            err = job.err;
    }
    CHECK_EQUAL(err, 0);
    *ret_id = job.id;
    return err;
}

static int engine_main(void *arg)
{
    return weft_engine_run(arg);
}

/* The at-th allocation from here on fails. Returns whether there were so many. */
static bool work_with_refusal(struct weft_broker *broker, unsigned long at)
{
    struct world world = {.broker = broker};
    struct weft_engine_options options = {
        .broker = broker,
        .handlers = handlers,
        .handlers_count = 2,
        .consumers = &two,
        .consumers_count = 1,
        .seed = at,
    };
    runs = children = refused = 0;
    fired = false;
    countdown = at;
    int err = weft_engine_open(&world.engine, &options);
    if (err) {
        CHECK_EQUAL(err, -ENOMEM);
        CHECK(fired);
        return true;
    }
    REQUIRE(weft_group_init(&world.group, NULL) == 0);
    REQUIRE(weft_spawn(&world.group, engine_main, world.engine) == 0);
    (void)weft_sleep(WEFT_MSEC);
    struct weft_uuid ids[JOBS];
    for (int i = 0; i < JOBS; i++)
        REQUIRE(insist(&world, &ids[i]) == 0);
    (void)weft_sleep(300 * WEFT_SEC);
    unsigned long left = countdown;
    countdown = 0;
    struct weft_engine_counts counts = world_counts(&world);
    CHECK_EQUAL(counts.completed, 2 * JOBS);
    CHECK_EQUAL(counts.failed, 0);
    CHECK_EQUAL(counts.lost, 0);
    CHECK_EQUAL(children, JOBS);
    CHECK(runs <= JOBS + refused + counts.retried + counts.released);
    for (int i = 0; i < JOBS; i++)
        CHECK_EQUAL(world_state(&world, &ids[i]), WEFT_JOB_COMPLETED);
    world_end_run(&world, 0);
    weft_engine_close(world.engine);
    return left == 0;
}

FIBER_TEST(every_allocation_may_fail)
{
    struct weft_broker *broker;
    char error[64];
    REQUIRE(weft_sqlite_open(&broker, &(struct weft_sqlite_options){.memory = true}, error,
                             sizeof error) == 0);
    unsigned long at = 1;
    while (work_with_refusal(broker, at))
        at++;
    CHECK(at > 50);
    test_note("%lu allocations", at - 1);
    broker->ops->close(broker);
}
