/* SPDX-License-Identifier: MIT
 * engine_elsewhere.c - what an engine does for workers elsewhere: it leaves their jobs alone, and
 * tells when there is something to claim. */
#include "world.h"

#include <weft/runtime.h>
#include <weft/select.h>

#include <errno.h>
#include <string.h>

static unsigned runs;

static int task_known(struct weft_attempt *attempt, const void *settings)
{
    (void)attempt, (void)settings;
    runs++;
    return 0;
}

static const struct weft_handler handlers[] = {{.name = "known", .run = task_known}};

static void open_shared(struct world *world)
{
    runs = 0;
    world_open(world, (struct weft_engine_options){
                          .handlers = handlers, .handlers_count = 1, .leave_unknown = true});
}

static struct weft_uuid put(struct world *world, const char *queue, const char *task)
{
    return world_put(world, (struct weft_submission){.task = task, .queue = queue, .priority = -1});
}

/* ---- jobs of tasks that others know ----------------------------------------------------- */

FIBER_TEST(jobs_of_unknown_tasks_are_left_to_others)
{
    struct world world = {0};
    open_shared(&world);
    struct weft_uuid theirs = put(&world, "q", "theirs");
    for (int i = 0; i < 20; i++)
        (void)put(&world, "q", i % 2 ? "known" : "theirs");
    (void)weft_sleep(3600 * WEFT_SEC);
    CHECK_EQUAL(runs, 10);
    struct weft_job *job = world_find(&world, &theirs);
    CHECK_EQUAL(job->state, WEFT_JOB_AVAILABLE);
    CHECK_EQUAL(job->attempt, 0);
    weft_job_free(job);
    CHECK_EQUAL(world_counts(&world).retried, 0);
    world_close(&world, 0);
}

FIBER_TEST(what_is_known_runs_behind_any_number_of_jobs_of_others)
{
    struct world world = {0};
    open_shared(&world);
    struct weft_uuid last = {{0}};
    for (int i = 0; i < 1200; i++)
        last = put(&world, "q", "theirs");
    struct weft_uuid known = put(&world, "q", "known");
    (void)weft_sleep(10 * WEFT_SEC); /* no event tells of more than the last */
    CHECK_EQUAL(runs, 1);
    CHECK_EQUAL(world_state(&world, &known), WEFT_JOB_COMPLETED);
    CHECK_EQUAL(world_state(&world, &last), WEFT_JOB_AVAILABLE);
    for (int i = 0; i < 1200; i++) { /* others take theirs */
        static const char *const queue = "q", *const task = "theirs";
        struct weft_job *job;
        struct weft_claim claim = {.queues = &queue,
                                   .queues_count = 1,
                                   .tasks = &task,
                                   .tasks_count = 1,
                                   .jobs = &job,
                                   .jobs_max = 1,
                                   .lease_us = 7200000000};
        REQUIRE(world.broker->ops->claim(world.broker, &claim) == 0 && claim.count == 1);
        weft_job_free(job);
    }
    CHECK_EQUAL(world_state(&world, &last), WEFT_JOB_RUNNING);
    world_close(&world, 0);
}

FIBER_TEST(the_end_of_a_job_of_others_lets_a_known_one_begin_where_few_may_run)
{
    static const struct weft_queue_settings one = {.running_max = 1};
    static const char *const queue = "q", *const task = "theirs";
    struct world world = {0};
    open_shared(&world);
    REQUIRE(world.broker->ops->queue_set(world.broker, "q", &one) == 0);
    (void)put(&world, "q", "theirs");
    struct weft_job *job = NULL;
    struct weft_claim claim = {.queues = &queue,
                               .queues_count = 1,
                               .tasks = &task,
                               .tasks_count = 1,
                               .jobs = &job,
                               .jobs_max = 1,
                               .lease_us = 7200000000};
    REQUIRE(world.broker->ops->claim(world.broker, &claim) == 0 && claim.count == 1);
    (void)put(&world, "q", "known");
    (void)weft_sleep(10 * WEFT_SEC);
    CHECK_EQUAL(runs, 0);
    struct weft_settlement settlement = {.job = job, .event = WEFT_JOB_COMPLETE};
    CHECK_EQUAL(world.broker->ops->settle(world.broker, &settlement, 1), 0);
    (void)weft_sleep(WEFT_SEC);
    CHECK_EQUAL(runs, 1);
    weft_job_free(job);
    world_close(&world, 0);
}

/* ---- being told ------------------------------------------------------------------------- */

/* Whether the watch has told something within a second. */
static bool is_told(struct weft_queue_watch *watch)
{
    struct weft_case news = weft_queue_watch_case(watch);
    int chosen = weft_select(&news, 1, weft_now() + WEFT_SEC, 0);
    CHECK(chosen == 0 || chosen == -ETIMEDOUT);
    return chosen == 0;
}

FIBER_TEST(of_many_who_wait_one_is_told_of_a_job)
{
    static const char *const queues[] = {"q"};
    const struct weft_claim claim = {.queues = queues, .queues_count = 1, .next_us = INT64_MAX};
    struct world world = {0};
    open_shared(&world);
    (void)weft_sleep(WEFT_SEC);
    struct weft_queue_watch watches[3];
    for (int i = 0; i < 3; i++)
        REQUIRE(weft_queue_watch_begin(&watches[i], world.engine, &claim) == 0);
    (void)put(&world, "q", "theirs");
    CHECK(is_told(&watches[0]));
    CHECK(!is_told(&watches[1]));
    (void)put(&world, "q", "theirs");
    CHECK(is_told(&watches[1]));
    CHECK(!is_told(&watches[2]));
    weft_queue_watch_look(&watches[0]); /* somebody who waits goes before one who looks */
    (void)put(&world, "q", "theirs");
    CHECK(is_told(&watches[2]));
    weft_queue_watch_look(&watches[1]);
    weft_queue_watch_look(&watches[2]);
    (void)put(&world, "q", "theirs");
    (void)weft_sleep(WEFT_SEC);
    CHECK(is_told(&watches[0])); /* there is nobody else */
    CHECK(!is_told(&watches[1]));
    CHECK(!is_told(&watches[2]));
    weft_queue_watch_end(&watches[0]); /* and left without a look */
    CHECK(is_told(&watches[1]) && is_told(&watches[2]));
    weft_queue_watch_end(&watches[1]);
    weft_queue_watch_end(&watches[2]);
    world_close(&world, 0);
}

FIBER_TEST(a_watch_is_told_of_tasks_that_it_wants)
{
    static const char *const queues[] = {"q"}, *const a[] = {"a"}, *const b[] = {"theirs"};
    const struct weft_claim others = {
        .queues = queues, .queues_count = 1, .tasks = a, .tasks_count = 1, .next_us = INT64_MAX};
    const struct weft_claim theirs = {
        .queues = queues, .queues_count = 1, .tasks = b, .tasks_count = 1, .next_us = INT64_MAX};
    struct world world = {0};
    open_shared(&world);
    (void)weft_sleep(WEFT_SEC);
    struct weft_queue_watch other, their;
    REQUIRE(weft_queue_watch_begin(&other, world.engine, &others) == 0);
    REQUIRE(weft_queue_watch_begin(&their, world.engine, &theirs) == 0);
    (void)put(&world, "q", "theirs");
    CHECK(is_told(&their));
    CHECK(!is_told(&other));
    /* Settings concern everybody. */
    weft_queue_watch_look(&their);
    CHECK_EQUAL(world.broker->ops->queue_set(world.broker, "q", &(struct weft_queue_settings){0}),
                0);
    CHECK(is_told(&their) && is_told(&other));
    weft_queue_watch_end(&other);
    weft_queue_watch_end(&their);
    world_close(&world, 0);
}

FIBER_TEST(who_was_to_claim_after_a_while_leaves_it_to_others)
{
    static const char *const queues[] = {"q"};
    const struct weft_claim none = {.queues = queues, .queues_count = 1, .next_us = INT64_MAX};
    const struct weft_claim soon = {.queues = queues, .queues_count = 1, .next_us = 500000};
    struct world world = {0};
    open_shared(&world);
    (void)weft_sleep(WEFT_SEC);
    struct weft_queue_watch stays, leaves;
    REQUIRE(weft_queue_watch_begin(&stays, world.engine, &none) == 0);
    REQUIRE(weft_queue_watch_begin(&leaves, world.engine, &soon) == 0);
    weft_queue_watch_end(&leaves);
    CHECK(is_told(&stays));
    weft_queue_watch_end(&stays);
    world_close(&world, 0);
}

FIBER_TEST(a_watch_tells_of_its_queues_until_somebody_looks)
{
    static const char *const queues[] = {"a", "b"};
    const struct weft_claim claim = {.queues = queues, .queues_count = 2, .next_us = INT64_MAX};
    struct world world = {0};
    open_shared(&world);
    (void)weft_sleep(WEFT_SEC);
    struct weft_queue_watch watch;
    REQUIRE(weft_queue_watch_begin(&watch, world.engine, &claim) == 0);
    CHECK(!is_told(&watch));
    (void)put(&world, "c", "theirs");
    CHECK(!is_told(&watch));
    (void)put(&world, "b", "theirs");
    CHECK(is_told(&watch));
    CHECK(is_told(&watch)); /* nobody has looked */
    weft_queue_watch_look(&watch);
    CHECK(!is_told(&watch));
    (void)put(&world, "a", "theirs");
    (void)weft_sleep(WEFT_SEC);
    CHECK(is_told(&watch)); /* also of what came before the wait */
    weft_queue_watch_end(&watch);
    world_close(&world, 0);
}

FIBER_TEST(a_wait_for_a_job_ends_when_something_else_happens)
{
    struct world world = {0};
    open_shared(&world);
    struct weft_uuid id = put(&world, "q", "theirs");
    struct weft_event event;
    REQUIRE(weft_event_init(&event, WEFT_LOCAL) == 0);
    struct weft_case others[] = {weft_case_timer(weft_now() + 5 * WEFT_SEC),
                                 weft_case_event(&event)};
    struct weft_job *job = NULL;
    int64_t begin_ns = weft_now();
    CHECK_EQUAL(weft_engine_wait_or(world.engine, &id, WEFT_FOREVER, others, 2, &job), -ETIMEDOUT);
    CHECK_EQUAL(weft_now() - begin_ns, 5 * WEFT_SEC);
    REQUIRE(job);
    CHECK_EQUAL(job->state, WEFT_JOB_AVAILABLE);
    weft_job_free(job);
    CHECK_EQUAL(weft_event_set(&event), 0);
    others[0] = weft_case_timer(WEFT_FOREVER);
    CHECK_EQUAL(weft_engine_wait_or(world.engine, &id, WEFT_FOREVER, others, 2, &job), -ETIMEDOUT);
    weft_job_free(job);
    CHECK_EQUAL(weft_engine_wait_or(world.engine, &id, WEFT_FOREVER, others,
                                    WEFT_WAIT_OTHERS_MAX + 1, &job),
                -EINVAL);
    world_close(&world, 0);
}
