/* SPDX-License-Identifier: MIT
 * engine_life.c - an engine begins, drains and ends; jobs are waited for; queues are run inline. */
#include "world.h"

#include <weft/runtime.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct seen {
    unsigned runs, noted, now, cancelled, most;
    int order[16];
} seen;

static int64_t sleep_ns;

static int task_note(struct weft_attempt *attempt, const void *settings)
{
    int64_t number = 0;
    (void)settings;
    (void)weft_attempt_get_int(attempt, "n", &number);
    if (seen.noted < 16)
        seen.order[seen.noted++] = (int)number;
    seen.runs++;
    if (++seen.now > seen.most)
        seen.most = seen.now;
    int err = sleep_ns > 0 ? weft_sleep(sleep_ns) : 0;
    seen.now--;
    seen.cancelled += err == -ECANCELED;
    return err;
}

static int stubborn(void *arg)
{
    (void)arg;
    return weft_sleep(100 * WEFT_SEC);
}

static int task_stubborn(struct weft_attempt *attempt, const void *settings)
{
    (void)attempt;
    (void)settings;
    return weft_shield(stubborn, NULL);
}

/* Puts in another one, as often as its payload says. */
static int task_chain(struct weft_attempt *attempt, const void *settings)
{
    int64_t number = 0;
    char json[32];
    (void)settings;
    seen.runs++;
    (void)weft_attempt_get_int(attempt, "n", &number);
    (void)snprintf(json, sizeof json, "{\"n\":%d}", (int)number - 1);
    if (number > 0)
        CHECK_EQUAL(weft_attempt_enqueue(attempt, &(struct weft_attempt_job){.task = "chain",
                                                                             .queue = "next",
                                                                             .payload = json}),
                    0);
    return 0;
}

static int task_fail(struct weft_attempt *attempt, const void *settings)
{
    (void)attempt;
    (void)settings;
    seen.runs++;
    return -EPROTO;
}

/* Has the engine stopped that runs it. */
static struct weft_engine *to_be_stopped;

static int task_stop(struct weft_attempt *attempt, const void *settings)
{
    (void)attempt;
    (void)settings;
    seen.runs++;
    weft_engine_drain(to_be_stopped, 0);
    return 0;
}

static const struct weft_handler handlers[] = {
    {.name = "note", .run = task_note},
    {.name = "stubborn", .run = task_stubborn, .grace_ns = 60 * WEFT_SEC},
    {.name = "chain", .run = task_chain},
    {.name = "fail", .run = task_fail},
    {.name = "stop", .run = task_stop},
};

static const struct weft_consumer_queue every[] = {{.name = "*"}};
static const struct weft_consumer_options one = {
    .queues = every, .queues_count = 1, .concurrency = 1};
static const struct weft_consumer_options three = {
    .queues = every, .queues_count = 1, .concurrency = 3};

static void open_world(struct world *world, const struct weft_consumer_options *consumer)
{
    seen = (struct seen){0};
    world_open(world, (struct weft_engine_options){
                          .handlers = handlers,
                          .handlers_count = 5,
                          .consumers = consumer,
                          .consumers_count = consumer ? 1 : 0,
                      });
}

/* End the engine; the broker stays, for another one. */
static void end_engine(struct world *world, int64_t grace_ns)
{
    world_end_run(world, grace_ns);
    weft_engine_close(world->engine);
    world->engine = NULL;
}

static struct weft_uuid put(struct world *world, int number)
{
    char json[32];
    (void)snprintf(json, sizeof json, "{\"n\":%d}", number);
    return world_add(world, "note", json);
}

/* ---- drain ------------------------------------------------------------------------------ */

FIBER_TEST(a_drain_lets_jobs_finish_within_the_grace)
{
    struct world world = {0};
    sleep_ns = 5 * WEFT_SEC;
    open_world(&world, &one);
    (void)put(&world, 0);
    struct weft_uuid waits = put(&world, 1); /* must not be begun any more */
    (void)weft_sleep(WEFT_SEC);
    int64_t begin_ns = weft_now();
    end_engine(&world, 30 * WEFT_SEC);
    CHECK_EQUAL((weft_now() - begin_ns + WEFT_SEC / 2) / WEFT_SEC, 4);
    CHECK_EQUAL(seen.runs, 1);
    CHECK_EQUAL(seen.cancelled, 0);
    open_world(&world, &one);
    weft_job_free(world_end(&world, &waits));
    CHECK_EQUAL(seen.runs, 1);
    world_close(&world, 0);
}

FIBER_TEST(a_drain_gives_back_what_does_not_finish_without_spending_the_attempt)
{
    struct world world = {0};
    sleep_ns = 100 * WEFT_SEC;
    open_world(&world, &three);
    struct weft_uuid id = put(&world, 0);
    (void)weft_sleep(WEFT_SEC);
    int64_t begin_ns = weft_now();
    world_end_run(&world, 2 * WEFT_SEC);
    CHECK_EQUAL((weft_now() - begin_ns) / WEFT_MSEC / 10, 200);
    CHECK_EQUAL(seen.cancelled, 1);
    CHECK_EQUAL(world_counts(&world).released, 1);
    CHECK_EQUAL(world_counts(&world).retried, 0);
    CHECK_EQUAL(world_state(&world, &id), WEFT_JOB_AVAILABLE);
    weft_engine_close(world.engine);
    sleep_ns = 0;
    open_world(&world, &three);
    struct weft_job *job = world_end(&world, &id);
    CHECK_EQUAL(job->state, WEFT_JOB_COMPLETED);
    CHECK_EQUAL(job->attempt, 1);
    weft_job_free(job);
    world_close(&world, 0);
}

FIBER_TEST(what_was_claimed_and_has_not_begun_goes_back)
{
    struct world world = {0};
    sleep_ns = WEFT_SEC;
    open_world(&world, &three);
    struct weft_submission job = {.task = "note"};
    CHECK_EQUAL(weft_engine_submit(world.engine, &job, 1, false), 0);
    CHECK_EQUAL(job.state, WEFT_JOB_RUNNING);
    CHECK_EQUAL(seen.runs, 0); /* its fiber has not had its turn */
    world_end_run(&world, 30 * WEFT_SEC);
    CHECK_EQUAL(seen.runs, 0);
    CHECK_EQUAL(world_counts(&world).released, 1);
    CHECK_EQUAL(world_state(&world, &job.id), WEFT_JOB_AVAILABLE);
    weft_engine_close(world.engine);
    world.broker->ops->close(world.broker);
}

FIBER_TEST(a_second_drain_can_shorten_the_grace)
{
    struct world world = {0};
    sleep_ns = 100 * WEFT_SEC;
    open_world(&world, &three);
    (void)put(&world, 0);
    (void)weft_sleep(WEFT_SEC);
    int64_t begin_ns = weft_now();
    weft_engine_drain(world.engine, 60 * WEFT_SEC);
    (void)weft_sleep(WEFT_SEC);
    struct weft_submission job = {.task = "note"};
    CHECK_EQUAL(weft_engine_submit(world.engine, &job, 1, false), -ESHUTDOWN);
    world_close(&world, 0);
    CHECK_EQUAL((weft_now() - begin_ns) / WEFT_MSEC / 10, 100);
}

FIBER_TEST(a_drain_gives_up_what_does_not_end_after_ten_seconds_and_waits_for_fibers)
{
    struct world world = {0};
    open_world(&world, &three);
    struct weft_uuid id = world_add(&world, "stubborn", "{}");
    (void)weft_sleep(WEFT_SEC);
    weft_engine_drain(world.engine, 2 * WEFT_SEC);
    (void)weft_sleep(12500 * WEFT_MSEC);
    CHECK_EQUAL(world_state(&world, &id), WEFT_JOB_AVAILABLE); /* given back without it */
    CHECK_EQUAL(world_counts(&world).stuck, 1);
    CHECK_EQUAL(world_counts(&world).running, 0);
    world_close(&world, 0);
}

FIBER_TEST(a_cancelled_engine_gives_everything_back)
{
    struct world world = {0};
    sleep_ns = 100 * WEFT_SEC;
    open_world(&world, &three);
    for (int i = 0; i < 10; i++)
        (void)put(&world, i);
    (void)weft_sleep(WEFT_SEC);
    CHECK_EQUAL(seen.now, 3);
    weft_group_close(&world.group);
    CHECK_EQUAL(seen.cancelled, 3);
    CHECK_EQUAL(world_counts(&world).running, 0);
    CHECK_EQUAL(world_counts(&world).released, 3);
    struct weft_broker_stats stats;
    CHECK_EQUAL(world.broker->ops->stats(world.broker, &stats), 0);
    CHECK_EQUAL(stats.jobs[WEFT_JOB_AVAILABLE], 10);
    weft_engine_close(world.engine);
    world.broker->ops->close(world.broker);
}

FIBER_TEST(an_engine_that_was_drained_before_it_ran_ends_at_once)
{
    struct world world = {0};
    sleep_ns = 0;
    open_world(&world, &three);
    world_end_run(&world, 0);
    weft_engine_close(world.engine);
    struct weft_engine_options options = {.broker = world.broker};
    REQUIRE(weft_engine_open(&world.engine, &options) == 0);
    weft_engine_drain(world.engine, 0);
    CHECK_EQUAL(weft_engine_run(world.engine), 0);
    weft_engine_close(world.engine);
    world.broker->ops->close(world.broker);
}

FIBER_TEST(an_engine_whose_caller_is_cancelled_does_not_begin)
{
    struct world world = {0};
    sleep_ns = 0;
    open_world(&world, &three);
    end_engine(&world, 0);
    struct weft_engine_options options = {.broker = world.broker,
                                          .handlers = handlers,
                                          .handlers_count = 5,
                                          .consumers = &three,
                                          .consumers_count = 1};
    REQUIRE(weft_engine_open(&world.engine, &options) == 0);
    struct weft_uuid id = put(&world, 0);
    struct weft_scope scope;
    weft_scope_enter(&scope, WEFT_FOREVER, 0);
    weft_scope_cancel(&scope, 0);
    CHECK_EQUAL(weft_engine_run(world.engine), 0);
    (void)weft_scope_leave(&scope, 0);
    CHECK_EQUAL(world_state(&world, &id), WEFT_JOB_AVAILABLE);
    CHECK_EQUAL(seen.runs, 0);
    weft_engine_close(world.engine);
    world.broker->ops->close(world.broker);
}

FIBER_TEST(an_engine_without_consumers_takes_jobs_in_for_others)
{
    struct world world = {0};
    sleep_ns = 0;
    open_world(&world, &three);
    struct weft_engine *door;
    struct weft_engine_options options = {.broker = world.broker};
    REQUIRE(weft_engine_open(&door, &options) == 0);
    struct weft_submission job = {.task = "note"};
    CHECK_EQUAL(weft_engine_submit(door, &job, 1, false), 0);
    CHECK_EQUAL(job.err, 0);
    CHECK_EQUAL(job.state, WEFT_JOB_AVAILABLE);
    struct weft_job *ended;
    CHECK_EQUAL(weft_engine_wait(door, &job.id, WEFT_FOREVER, &ended), 0);
    CHECK_EQUAL(ended->state, WEFT_JOB_COMPLETED);
    weft_job_free(ended);
    weft_engine_close(door);
    world_close(&world, 0);
}

/* ---- the registry, and old jobs --------------------------------------------------------- */

FIBER_TEST(a_worker_is_in_the_registry_while_it_lives_and_tells_what_it_does)
{
    struct world world = {0};
    sleep_ns = 100 * WEFT_SEC;
    open_world(&world, &three);
    struct weft_uuid id = put(&world, 0);
    (void)weft_sleep(30 * WEFT_SEC);
    struct weft_worker_info workers[2];
    size_t count = 0;
    CHECK_EQUAL(world.broker->ops->workers(world.broker, workers, 2, &count), 0);
    CHECK_EQUAL(count, 1);
    CHECK_EQUAL(workers[0].concurrency, 3);
    CHECK_EQUAL(workers[0].running, 1);
    CHECK_TEXT(workers[0].queues, "*");
    CHECK_TEXT(workers[0].version, weft_version());
    CHECK(workers[0].seen_us - workers[0].started_us >= 15000000);
    CHECK_EQUAL(workers[0].ended_us, 0);
    struct weft_job *job = world_find(&world, &id);
    CHECK_EQUAL(job->worker, workers[0].number);
    weft_job_free(job);
    end_engine(&world, 0);
    CHECK_EQUAL(world.broker->ops->workers(world.broker, workers, 2, &count), 0);
    CHECK(workers[0].ended_us > 0);
    world.broker->ops->close(world.broker);
}

FIBER_TEST(old_jobs_are_removed_as_long_as_nothing_else_is_said)
{
    struct world world = {0};
    sleep_ns = 0;
    open_world(&world, &three);
    struct weft_uuid id = put(&world, 0), dead = world_add(&world, "fail", "{}");
    weft_job_free(world_end(&world, &dead));
    (void)weft_sleep(6 * 86400 * WEFT_SEC);
    CHECK_EQUAL(world_state(&world, &id), WEFT_JOB_COMPLETED);
    (void)weft_sleep(2 * 86400 * WEFT_SEC);
    struct weft_job *job;
    CHECK_EQUAL(world.broker->ops->find(world.broker, &id, &job), -ENOENT);
    CHECK_EQUAL(world_state(&world, &dead), WEFT_JOB_DEAD);
    world_close(&world, 0);
}

/* ---- waiting ---------------------------------------------------------------------------- */

struct waiting {
    struct world *world;
    struct weft_uuid id;
    int64_t deadline_ns, ended_ns;
    int result;
    enum weft_job_state state;
};

static int wait_for(void *arg)
{
    struct waiting *waiting = arg;
    struct weft_job *job = NULL;
    waiting->result =
        weft_engine_wait(waiting->world->engine, &waiting->id, waiting->deadline_ns, &job);
    waiting->ended_ns = weft_now();
    if (waiting->result == 0 || waiting->result == -ETIMEDOUT) {
        waiting->state = job->state;
        weft_job_free(job);
    }
    return 0;
}

FIBER_TEST(many_wait_for_a_job_and_hear_of_its_end_at_once)
{
    struct world world = {0};
    sleep_ns = 5 * WEFT_SEC;
    open_world(&world, &three);
    struct waiting waiting[10];
    struct weft_group group;
    REQUIRE(weft_group_init(&group, NULL) == 0);
    int64_t begin_ns = weft_now();
    struct weft_uuid id = put(&world, 0);
    for (int i = 0; i < 10; i++) {
        waiting[i] = (struct waiting){&world, id, WEFT_FOREVER, 0, 0, 0};
        CHECK_EQUAL(weft_spawn(&group, wait_for, &waiting[i]), 0);
    }
    CHECK_EQUAL(weft_group_wait(&group), 0);
    for (int i = 0; i < 10; i++) {
        CHECK_EQUAL(waiting[i].result, 0);
        CHECK_EQUAL(waiting[i].state, WEFT_JOB_COMPLETED);
        CHECK_EQUAL(waiting[i].ended_ns - begin_ns, 5 * WEFT_SEC);
    }
    world_close(&world, 0);
}

FIBER_TEST(waiting_for_a_job_that_is_over_does_not_wait)
{
    struct world world = {0};
    sleep_ns = 0;
    open_world(&world, &three);
    struct weft_uuid id = put(&world, 0);
    (void)weft_sleep(WEFT_SEC);
    int64_t begin_ns = weft_now();
    struct weft_job *job = world_end(&world, &id);
    CHECK_EQUAL(weft_now(), begin_ns);
    weft_job_free(job);
    CHECK_EQUAL(weft_engine_wait(world.engine, &id, WEFT_NOWAIT, &job), 0);
    weft_job_free(job);
    world_close(&world, 0);
}

FIBER_TEST(a_wait_that_takes_too_long_shows_where_the_job_is)
{
    struct world world = {0};
    sleep_ns = 50 * WEFT_SEC;
    open_world(&world, &three);
    struct weft_uuid id = put(&world, 0);
    int64_t begin_ns = weft_now();
    struct waiting waiting = {&world, id, begin_ns + 2 * WEFT_SEC, 0, 0, 0};
    CHECK_EQUAL(wait_for(&waiting), 0);
    CHECK_EQUAL(waiting.result, -ETIMEDOUT);
    CHECK_EQUAL(waiting.state, WEFT_JOB_RUNNING);
    CHECK_EQUAL(weft_now() - begin_ns, 2 * WEFT_SEC);
    waiting.deadline_ns = WEFT_NOWAIT;
    CHECK_EQUAL(wait_for(&waiting), 0);
    CHECK_EQUAL(waiting.result, -ETIMEDOUT);
    struct weft_uuid unknown = {{7}};
    waiting.id = unknown;
    CHECK_EQUAL(wait_for(&waiting), 0);
    CHECK_EQUAL(waiting.result, -ENOENT);
    world_close(&world, 0);
}

FIBER_TEST(a_wait_can_be_cancelled_before_and_meanwhile)
{
    struct world world = {0};
    sleep_ns = 50 * WEFT_SEC;
    open_world(&world, &three);
    struct waiting waiting = {&world, put(&world, 0), WEFT_FOREVER, 0, 0, 0};
    for (int before = 0; before < 2; before++) {
        struct weft_group group;
        REQUIRE(weft_group_init(&group, NULL) == 0);
        waiting.result = 1;
        CHECK_EQUAL(weft_spawn(&group, wait_for, &waiting), 0);
        if (!before)
            (void)weft_sleep(WEFT_SEC);
        weft_group_close(&group);
        CHECK_EQUAL(waiting.result, -ECANCELED);
    }
    world_close(&world, 0);
}

FIBER_TEST(who_waits_when_the_engine_ends_goes_on_by_asking)
{
    struct world world = {0};
    sleep_ns = 50 * WEFT_SEC;
    open_world(&world, &three);
    struct waiting waiting = {&world, put(&world, 0), WEFT_FOREVER, 0, 0, 0};
    struct weft_group group;
    REQUIRE(weft_group_init(&group, NULL) == 0);
    CHECK_EQUAL(weft_spawn(&group, wait_for, &waiting), 0);
    (void)weft_sleep(WEFT_SEC);
    world_end_run(&world, 0);
    (void)weft_sleep(10 * WEFT_SEC);
    CHECK_EQUAL(weft_group_live(&group), 1);
    world_cancel(&world, &waiting.id);
    CHECK_EQUAL(weft_group_wait(&group), 0);
    CHECK_EQUAL(waiting.result, 0);
    CHECK_EQUAL(waiting.state, WEFT_JOB_CANCELLED);
    weft_engine_close(world.engine);
    world.broker->ops->close(world.broker);
}

/* ---- inline ----------------------------------------------------------------------------- */

/* An engine that does not run. */
static void open_still(struct world *world, const struct weft_consumer_options *consumer)
{
    open_world(world, consumer);
    end_engine(world, 0);
    seen = (struct seen){0};
    struct weft_engine_options options = {
        .broker = world->broker,
        .handlers = handlers,
        .handlers_count = 5,
        .consumers = consumer,
        .consumers_count = consumer ? 1 : 0,
        .seed = 3,
    };
    REQUIRE(weft_engine_open(&world->engine, &options) == 0);
}

static void close_still(struct world *world)
{
    CHECK_EQUAL(world_counts(world).running, 0);
    weft_engine_close(world->engine);
    world->broker->ops->close(world->broker);
}

FIBER_TEST(queues_can_be_run_inline_until_nothing_is_due)
{
    struct world world = {0};
    sleep_ns = WEFT_SEC;
    open_still(&world, NULL);
    for (int i = 0; i < 5; i++)
        (void)put(&world, i);
    struct weft_uuid later =
        world_put(&world, (struct weft_submission){.task = "note", .delay_us = 3600000000});
    CHECK_EQUAL(weft_engine_drain_queues(world.engine, false, 100), 5);
    CHECK_EQUAL(seen.runs, 5);
    CHECK_EQUAL(seen.most, 1);
    for (int i = 0; i < 5; i++)
        CHECK_EQUAL(seen.order[i], i);
    CHECK_EQUAL(world_state(&world, &later), WEFT_JOB_SCHEDULED);
    CHECK_EQUAL(weft_engine_drain_queues(world.engine, false, 100), 0);
    close_still(&world);
}

FIBER_TEST(inline_runs_take_as_many_at_once_as_the_consumer_may)
{
    struct world world = {0};
    sleep_ns = WEFT_SEC;
    open_still(&world, &three);
    for (int i = 0; i < 10; i++)
        (void)put(&world, i);
    CHECK_EQUAL(weft_engine_drain_queues(world.engine, false, 7), 7);
    CHECK_EQUAL(seen.most, 3);
    CHECK_EQUAL(weft_engine_drain_queues(world.engine, false, 7), 3);
    close_still(&world);
}

FIBER_TEST(inline_runs_go_on_with_what_jobs_put_in)
{
    struct world world = {0};
    open_still(&world, NULL);
    (void)world_add(&world, "chain", "{\"n\":4}");
    CHECK_EQUAL(weft_engine_drain_queues(world.engine, false, 100), 5);
    CHECK_EQUAL(seen.runs, 5);
    close_still(&world);
}

FIBER_TEST(inline_runs_can_take_what_is_not_due_yet_in_its_order)
{
    struct world world = {0};
    sleep_ns = 0;
    open_still(&world, &three);
    static const int hours[] = {3, 1, 5, 2, 6, 4};
    for (int i = 0; i < 6; i++) {
        char json[32];
        (void)snprintf(json, sizeof json, "{\"n\":%d}", hours[i]);
        (void)world_put(&world, (struct weft_submission){.task = "note",
                                                         .delay_us = 3600000000LL * hours[i],
                                                         .payload = world_json(json)});
    }
    struct weft_uuid failing = world_add(&world, "fail", "{}");
    int64_t begin_ns = weft_now();
    CHECK_EQUAL(weft_engine_drain_queues(world.engine, true, 100), 6 + 3);
    CHECK(weft_now() - begin_ns < WEFT_SEC);
    CHECK_EQUAL(world_state(&world, &failing), WEFT_JOB_DEAD);
    struct weft_engine_counts counts = world_counts(&world);
    CHECK_EQUAL(counts.completed, 6);
    CHECK_EQUAL(counts.failed, 1);
    for (int i = 0; i < 6; i++)
        CHECK_EQUAL(seen.order[i], i + 1);
    close_still(&world);
}

FIBER_TEST(an_inline_run_is_refused_while_the_engine_runs_and_ends_when_cancelled)
{
    struct world world = {0};
    sleep_ns = 0;
    open_world(&world, &three);
    CHECK_EQUAL(weft_engine_drain_queues(world.engine, false, 100), -EBUSY);
    end_engine(&world, 0);
    world.broker->ops->close(world.broker);

    world = (struct world){0};
    sleep_ns = 100 * WEFT_SEC;
    open_still(&world, &three);
    struct weft_uuid id = put(&world, 0);
    struct weft_scope scope;
    weft_scope_enter(&scope, weft_now() + WEFT_SEC, 0);
    CHECK_EQUAL(weft_engine_drain_queues(world.engine, false, 100), -ECANCELED);
    (void)weft_scope_leave(&scope, 0);
    CHECK_EQUAL(world_state(&world, &id), WEFT_JOB_AVAILABLE);
    CHECK_EQUAL(world_counts(&world).released, 1);
    close_still(&world);
}

FIBER_TEST(an_inline_run_ends_when_the_engine_is_stopped)
{
    struct world world = {0};
    sleep_ns = 0;
    open_still(&world, &three);
    to_be_stopped = world.engine;
    for (int i = 0; i < 10; i++)
        (void)world_add(&world, "stop", "{}");
    CHECK(weft_engine_drain_queues(world.engine, false, 100) <= 3);
    CHECK(seen.runs >= 1 && seen.runs <= 3);
    CHECK_EQUAL(weft_engine_drain_queues(world.engine, false, 100), -EBUSY);
    close_still(&world);
}

FIBER_TEST(an_inline_run_comes_past_jobs_of_tasks_that_nobody_has)
{
    struct world world = {0};
    sleep_ns = 0;
    open_world(&world, NULL);
    end_engine(&world, 0);
    seen = (struct seen){0};
    REQUIRE(weft_engine_open(&world.engine, &(struct weft_engine_options){.broker = world.broker,
                                                                          .handlers = handlers,
                                                                          .handlers_count = 5,
                                                                          .leave_unknown = true,
                                                                          .seed = 3}) == 0);
    for (int i = 0; i < 2000; i++)
        (void)world_add(&world, "misspelt", "{}");
    for (int i = 0; i < 5; i++)
        (void)put(&world, i);
    CHECK_EQUAL(weft_engine_drain_queues(world.engine, false, 100), 5);
    CHECK_EQUAL(seen.runs, 5);
    close_still(&world);
}
