/* SPDX-License-Identifier: MIT
 * engine_faults.c - a broker that refuses calls, tells of nothing, or loses its place: no job is
 * lost, and none runs twice. */
#include "faulty.h"
#include "world.h"

#include <weft/runtime.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define JOBS 24

static unsigned runs[JOBS];
static int64_t sleep_ns;

static int task_count(struct weft_attempt *attempt, const void *settings)
{
    int64_t number = 0;
    (void)settings;
    (void)weft_attempt_get_int(attempt, "n", &number);
    runs[number]++;
    (void)weft_attempt_progress(attempt, 0.5, "half");
    int err = weft_sleep(sleep_ns + number * WEFT_MSEC);
    if (!err && number % 4 == 0 && weft_attempt_number(attempt) == 1)
        return -EPROTO; /* some have to be tried again */
    return err;
}

/* Says nothing, so that nobody answers. */
static int task_quiet(struct weft_attempt *attempt, const void *settings)
{
    (void)attempt;
    (void)settings;
    return weft_sleep(3600 * WEFT_SEC);
}

static const struct weft_handler handlers[] = {
    {.name = "quiet", .run = task_quiet},
    {.name = "count",
     .run = task_count,
     .retry = {.backoff = WEFT_BACKOFF_CONSTANT,
               .jitter = WEFT_JITTER_NONE,
               .base_ns = WEFT_SEC / 2}},
};

static const struct weft_consumer_queue queue[] = {{.name = "default"}};
static const struct weft_consumer_options narrow = {
    .queues = queue, .queues_count = 1, .concurrency = 5};

static void open_on(struct world *world, struct faulty *faulty)
{
    memset(runs, 0, sizeof runs);
    *world = (struct world){.broker = &faulty->broker};
    world_open(world, (struct weft_engine_options){
                          .handlers = handlers,
                          .handlers_count = 2,
                          .consumers = &narrow,
                          .consumers_count = 1,
                      });
}

/* Put in one job, again as long as the broker refuses. */
static struct weft_uuid insist(struct world *world, int number)
{
    char json[32];
    (void)snprintf(json, sizeof json, "{\"n\":%d}", number);
    struct weft_submission job = {.task = "count", .priority = -1, .payload = world_json(json)};
    for (int try = 0; try < 100; try++) {
        int err = weft_engine_submit(world->engine, &job, 1, false);
        if (!err) {
            CHECK_EQUAL(job.err, 0);
            return job.id;
        }
        CHECK_EQUAL(job.err, err);
        (void)weft_sleep(10 * WEFT_MSEC);
    }
    test_note("the broker refuses for ever");
    REQUIRE(false);
    return job.id;
}

/* Run a few jobs on it; all complete, each as often as it should. */
static void work_on(struct faulty *faulty)
{
    struct world world;
    struct weft_uuid ids[JOBS];
    open_on(&world, faulty);
    for (int i = 0; i < JOBS; i++)
        ids[i] = insist(&world, i);
    (void)weft_sleep(100 * WEFT_SEC);
    faulty->random = NULL;
    (void)weft_sleep(2 * WEFT_SEC); /* it recovers */
    for (int i = 0; i < JOBS; i++) {
        CHECK_EQUAL(world_state(&world, &ids[i]), WEFT_JOB_COMPLETED);
        CHECK_EQUAL(runs[i], i % 4 == 0 ? 2 : 1);
    }
    struct weft_engine_counts counts = world_counts(&world);
    CHECK_EQUAL(counts.completed, JOBS);
    CHECK_EQUAL(counts.lost, 0);
    CHECK_EQUAL(counts.running, 0);
    CHECK_EQUAL(counts.broker_errors, faulty->refused);
    bool heard_once = faulty->plans[FAULTY_ENQUEUE].first + faulty->plans[FAULTY_EXTEND].first > 0;
    if (faulty->refused > 0 && !heard_once) {
        CHECK(world_logged("broker_failing", NULL) > 0);
        CHECK_EQUAL(world_logged("broker_recovered", NULL), world_logged("broker_failing", NULL));
    }
    world_close(&world, 0);
}

static void refuse_each(enum faulty_call call, unsigned burst, unsigned without)
{
    static const int errors[] = {-EIO, -ENOSPC, -ENOMEM};
    unsigned at = 1;
    bool reached = true;
    for (; reached && at < 40; at += at < 8 ? 1 : 7) {
        struct faulty faulty;
        (void)faulty_open(&faulty, without);
        faulty.plans[call] =
            (struct faulty_plan){.first = at, .last = at + burst - 1, .err = errors[at % 3]};
        work_on(&faulty);
        reached = faulty.refused == burst;
        faulty_close(&faulty);
    }
    CHECK(at > (call == FAULTY_EXTEND ? 1 : 2));
}

FIBER_TEST(a_refused_enqueue_loses_nothing)
{
    refuse_each(FAULTY_ENQUEUE, 1, 0);
    refuse_each(FAULTY_ENQUEUE, 6, 0);
}

FIBER_TEST(a_refused_claim_loses_nothing)
{
    refuse_each(FAULTY_CLAIM, 1, 0);
    refuse_each(FAULTY_CLAIM, 6, 0);
}

FIBER_TEST(a_refused_settlement_loses_nothing)
{
    refuse_each(FAULTY_SETTLE, 1, 0);
    refuse_each(FAULTY_SETTLE, 6, 0);
}

FIBER_TEST(a_refused_extension_loses_nothing)
{
    refuse_each(FAULTY_EXTEND, 1, 0);
    refuse_each(FAULTY_EXTEND, 3, 0);
}

/* Tells twice a second how far it is. */
static int task_tell(struct weft_attempt *attempt, const void *settings)
{
    (void)settings;
    for (int i = 0; i < 20; i++) {
        CHECK_EQUAL(weft_attempt_progress(attempt, i / 20.0, i == 19 ? "nearly" : NULL), 0);
        int err = weft_sleep(WEFT_SEC / 2);
        if (err)
            return err;
    }
    (void)weft_sleep(10 * WEFT_SEC);
    CHECK_EQUAL(weft_attempt_progress(attempt, 2, NULL), -EINVAL);
    return 0;
}

static const struct weft_handler teller[] = {{.name = "tell", .run = task_tell}};

static void check_progress(struct world *world, const struct weft_uuid *id, const char *json)
{
    struct weft_job *job = world_find(world, id);
    if (json)
        CHECK_TEXT(job->progress, json);
    else
        CHECK(!job->progress);
    weft_job_free(job);
}

FIBER_TEST(progress_is_stored_at_most_once_a_second_and_the_last_in_the_end)
{
    struct faulty faulty;
    struct world world = {.broker = faulty_open(&faulty, 0)};
    world_open(&world, (struct weft_engine_options){.handlers = teller, .handlers_count = 1});
    struct weft_uuid id = world_add(&world, "tell", "{}");
    (void)weft_sleep(10 * WEFT_MSEC);
    check_progress(&world, &id, "{\"fraction\":0.0}");
    (void)weft_sleep(5 * WEFT_SEC);
    CHECK(faulty.calls[FAULTY_EXTEND] <= 6);
    (void)weft_sleep(10 * WEFT_SEC);
    CHECK(faulty.calls[FAULTY_EXTEND] >= 10 && faulty.calls[FAULTY_EXTEND] <= 12);
    check_progress(&world, &id, "{\"fraction\":0.95,\"note\":\"nearly\"}");
    struct weft_job *job = world_end(&world, &id);
    CHECK_EQUAL(job->state, WEFT_JOB_COMPLETED);
    weft_job_free(job);
    world_close(&world, 0);
    faulty_close(&faulty);
}

FIBER_TEST(progress_that_was_refused_is_stored_later)
{
    struct faulty faulty;
    struct world world = {.broker = faulty_open(&faulty, 0)};
    faulty.plans[FAULTY_EXTEND] = (struct faulty_plan){.first = 9, .last = 14, .err = -EIO};
    world_open(&world, (struct weft_engine_options){.handlers = teller, .handlers_count = 1});
    struct weft_uuid id = world_add(&world, "tell", "{}");
    (void)weft_sleep(12 * WEFT_SEC);
    CHECK(faulty.refused > 0);
    (void)weft_sleep(7 * WEFT_SEC);
    check_progress(&world, &id, "{\"fraction\":0.95,\"note\":\"nearly\"}");
    world_close(&world, 10 * WEFT_SEC);
    faulty_close(&faulty);
}

FIBER_TEST(refused_maintenance_loses_nothing)
{
    refuse_each(FAULTY_MAINTAIN, 1, 0);
    refuse_each(FAULTY_MAINTAIN, 6, 0);
}

FIBER_TEST(refused_events_lose_nothing)
{
    refuse_each(FAULTY_EVENTS, 1, 0);
    refuse_each(FAULTY_EVENTS, 6, 0);
}

FIBER_TEST(refusals_of_a_broker_without_events_lose_nothing)
{
    refuse_each(FAULTY_CLAIM, 1, WEFT_BROKER_EVENTS);
    refuse_each(FAULTY_SETTLE, 1, WEFT_BROKER_EVENTS);
    refuse_each(FAULTY_MAINTAIN, 1, WEFT_BROKER_EVENTS);
}

FIBER_TEST(refusals_of_a_broker_that_does_not_claim_on_enqueue_lose_nothing)
{
    refuse_each(FAULTY_CLAIM, 1, WEFT_BROKER_CLAIMS_ON_ENQUEUE);
    refuse_each(FAULTY_ENQUEUE, 1, WEFT_BROKER_CLAIMS_ON_ENQUEUE);
}

FIBER_TEST(a_broker_that_refuses_at_random_loses_nothing)
{
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct faulty faulty;
        struct weft_random random;
        weft_random_seed(&random, seed);
        (void)faulty_open(&faulty, seed % 2 ? 0 : WEFT_BROKER_EVENTS);
        faulty.random = &random;
        faulty.of_thousand = 300;
        work_on(&faulty);
        CHECK(faulty.refused > 10);
        faulty_close(&faulty);
    }
}

FIBER_TEST(jobs_come_without_events_as_well)
{
    struct faulty faulty;
    (void)faulty_open(&faulty, WEFT_BROKER_EVENTS | WEFT_BROKER_CLAIMS_ON_ENQUEUE);
    work_on(&faulty);
    CHECK_EQUAL(faulty.calls[FAULTY_EVENTS], 0);
    faulty_close(&faulty);
}

FIBER_TEST(retries_come_in_time_without_events_as_well)
{
    struct faulty faulty;
    struct world world;
    (void)faulty_open(&faulty, WEFT_BROKER_EVENTS | WEFT_BROKER_CLAIMS_ON_ENQUEUE);
    open_on(&world, &faulty);
    sleep_ns = 0;
    struct weft_uuid id = insist(&world, 4); /* fails once, and half a second goes by */
    struct weft_job *job = world_end(&world, &id);
    CHECK_EQUAL(job->attempt, 2);
    CHECK(job->finished_us - job->created_us < 600000);
    weft_job_free(job);
    world_close(&world, 0);
    faulty_close(&faulty);
}

FIBER_TEST(a_broker_that_only_stores_is_enough)
{
    struct faulty faulty;
    (void)faulty_open(&faulty, WEFT_BROKER_EVENTS | WEFT_BROKER_CLAIMS_ON_ENQUEUE |
                                   WEFT_BROKER_MANAGES | WEFT_BROKER_REGISTRY);
    work_on(&faulty);
    faulty_close(&faulty);
}

FIBER_TEST(a_broker_that_waits_for_jobs_is_asked_again_at_once_and_not_too_often)
{
    struct faulty faulty;
    struct world world;
    (void)faulty_open(&faulty,
                      WEFT_BROKER_EVENTS | WEFT_BROKER_CLAIMS_ON_ENQUEUE | WEFT_BROKER_MANAGES);
    faulty.ops.capabilities |= WEFT_BROKER_WAITS;
    open_on(&world, &faulty);
    sleep_ns = 0;
    (void)weft_sleep(60 * WEFT_SEC);
    CHECK(faulty.calls[FAULTY_CLAIM] <= 8);
    for (int i = 1; i < 20; i += 2) {
        struct weft_uuid id = insist(&world, i);
        (void)weft_sleep(i * WEFT_MSEC + 15 * WEFT_MSEC);
        CHECK_EQUAL(world_state(&world, &id), WEFT_JOB_COMPLETED);
    }
    /* One that says at once that there is nothing is not asked more often than any other. */
    faulty.hasty = true;
    (void)weft_sleep(10 * WEFT_SEC);
    unsigned before = faulty.calls[FAULTY_CLAIM];
    (void)weft_sleep(60 * WEFT_SEC);
    CHECK(faulty.calls[FAULTY_CLAIM] - before <= 61);
    world_close(&world, 0);
    faulty_close(&faulty);
}

FIBER_TEST(a_worker_is_in_the_registry_of_a_broker_that_has_only_that)
{
    struct faulty faulty;
    struct world world;
    struct weft_worker_info workers[4];
    size_t count = 0;
    (void)faulty_open(&faulty, WEFT_BROKER_MANAGES | WEFT_BROKER_EVENTS);
    open_on(&world, &faulty);
    CHECK_EQUAL(faulty.inner->ops->workers(faulty.inner, workers, 4, &count), 0);
    CHECK_EQUAL(count, 1);
    CHECK_EQUAL(workers[0].ended_us, 0);
    world_close(&world, 0);
    CHECK_EQUAL(faulty.inner->ops->workers(faulty.inner, workers, 4, &count), 0);
    CHECK(count == 0 || workers[0].ended_us > 0);
    faulty_close(&faulty);
}

FIBER_TEST(what_happened_while_events_were_lost_is_found)
{
    struct faulty faulty;
    struct world world;
    (void)faulty_open(&faulty, WEFT_BROKER_CLAIMS_ON_ENQUEUE);
    open_on(&world, &faulty);
    struct weft_uuid first = insist(&world, 1);
    weft_job_free(world_end(&world, &first));
    faulty.gone = true; /* the next news is lost: that this one is there */
    struct weft_uuid id = insist(&world, 2);
    struct weft_job *job = world_end(&world, &id);
    CHECK_EQUAL(job->state, WEFT_JOB_COMPLETED);
    weft_job_free(job);
    CHECK(!faulty.gone);
    world_close(&world, 0);
    faulty_close(&faulty);
}

FIBER_TEST(a_waiter_hears_of_an_end_whose_event_was_lost)
{
    struct faulty faulty;
    struct world world;
    (void)faulty_open(&faulty, 0);
    open_on(&world, &faulty);
    sleep_ns = 0;
    struct weft_uuid id = insist(&world, 21); /* does not fail */
    (void)weft_sleep(WEFT_MSEC);
    faulty.gone = true;
    int64_t begin_ns = weft_now();
    weft_job_free(world_end(&world, &id));
    CHECK(weft_now() - begin_ns < WEFT_SEC);
    CHECK(!faulty.gone);
    world_close(&world, 0);
    faulty_close(&faulty);
}

FIBER_TEST(a_cancellation_whose_event_was_lost_stops_the_job_all_the_same)
{
    struct faulty faulty;
    struct world world;
    (void)faulty_open(&faulty, 0);
    open_on(&world, &faulty);
    struct weft_uuid id = world_add(&world, "quiet", "{}");
    (void)weft_sleep(WEFT_SEC);
    faulty.gone = true;
    world_cancel(&world, &id);
    int64_t begin_ns = weft_now();
    struct weft_job *job = world_end(&world, &id);
    CHECK_EQUAL(job->state, WEFT_JOB_CANCELLED);
    CHECK(weft_now() - begin_ns < WEFT_SEC);
    weft_job_free(job);
    world_close(&world, 0);
    faulty_close(&faulty);
}

FIBER_TEST(a_broker_whose_claims_wait_is_asked_that_way)
{
    struct faulty faulty;
    struct world world;
    (void)faulty_open(&faulty, WEFT_BROKER_EVENTS | WEFT_BROKER_CLAIMS_ON_ENQUEUE);
    faulty.ops.capabilities |= WEFT_BROKER_WAITS;
    open_on(&world, &faulty);
    (void)weft_sleep(1000 * WEFT_SEC);
    CHECK(faulty.calls[FAULTY_CLAIM] <= 110); /* each waits for ten seconds */
    int64_t begin_ns = weft_now();
    struct weft_uuid id = insist(&world, 1);
    struct weft_job *job = world_end(&world, &id);
    CHECK(job->started_us - job->created_us < 100000);
    weft_job_free(job);
    (void)weft_sleep(WEFT_SEC);
    begin_ns = weft_now();
    world_close(&world, 0); /* while it waits */
    CHECK(weft_now() - begin_ns < WEFT_SEC);
    faulty_close(&faulty);
}

FIBER_TEST(a_cancellation_that_overtakes_the_claim_stops_the_job_all_the_same)
{
    struct faulty faulty;
    struct world world;
    (void)faulty_open(&faulty, WEFT_BROKER_CLAIMS_ON_ENQUEUE);
    faulty.claim_ns = WEFT_SEC;
    open_on(&world, &faulty);
    struct weft_uuid id = world_add(&world, "quiet", "{}");
    (void)weft_sleep(WEFT_SEC / 2);
    CHECK_EQUAL(world_state(&world, &id), WEFT_JOB_RUNNING); /* but nobody here knows of it yet */
    CHECK_EQUAL(world_counts(&world).running, 0);
    world_cancel(&world, &id);
    int64_t begin_ns = weft_now();
    struct weft_job *job = world_end(&world, &id);
    CHECK_EQUAL(job->state, WEFT_JOB_CANCELLED);
    CHECK(weft_now() - begin_ns < WEFT_SEC);
    weft_job_free(job);
    world_close(&world, 0);
    faulty_close(&faulty);
}

FIBER_TEST(claims_that_never_cease_hold_up_no_cancellation)
{
    static const struct weft_consumer_options three[] = {
        {.queues = queue, .queues_count = 1, .concurrency = 1},
        {.queues = queue, .queues_count = 1, .concurrency = 1},
        {.queues = queue, .queues_count = 1, .concurrency = 1},
    };
    struct faulty faulty;
    struct world world = {.broker = faulty_open(&faulty, WEFT_BROKER_CLAIMS_ON_ENQUEUE)};
    faulty.claim_ns = WEFT_SEC;
    faulty.claim_spread_ns = WEFT_SEC; /* so that they overlap */
    sleep_ns = 0;
    world_open(&world, (struct weft_engine_options){
                           .handlers = handlers,
                           .handlers_count = 2,
                           .consumers = three,
                           .consumers_count = 3,
                       });
    for (int i = 0; i < 300; i++)
        (void)insist(&world, 1);
    (void)weft_sleep(20 * WEFT_SEC);
    struct weft_uuid id = world_put(&world, (struct weft_submission){.task = "quiet"});
    while (world_state(&world, &id) != WEFT_JOB_RUNNING)
        (void)weft_sleep(WEFT_MSEC);
    world_cancel(&world, &id); /* its claim is not answered yet, and others go on all the time */
    int64_t begin_ns = weft_now();
    struct weft_job *job = world_end(&world, &id);
    CHECK_EQUAL(job->state, WEFT_JOB_CANCELLED);
    CHECK(weft_now() - begin_ns < 3 * WEFT_SEC);
    weft_job_free(job);
    world_close(&world, 0);
    faulty_close(&faulty);
}

FIBER_TEST(results_that_cannot_be_settled_to_the_end_are_left_to_their_leases)
{
    struct faulty faulty;
    struct world world;
    (void)faulty_open(&faulty, 0);
    open_on(&world, &faulty);
    for (int i = 1; i < 4; i++)
        (void)insist(&world, i);
    faulty.plans[FAULTY_SETTLE] = (struct faulty_plan){.first = 1, .last = 100000, .err = -EIO};
    (void)weft_sleep(WEFT_SEC);
    CHECK_EQUAL(world_counts(&world).running, 3);
    int64_t begin_ns = weft_now();
    world_end_run(&world, 0);
    CHECK(weft_now() - begin_ns < 20 * WEFT_SEC);
    CHECK_EQUAL(world_counts(&world).lost, 3);
    CHECK_EQUAL(world_counts(&world).running, 0);
    weft_engine_close(world.engine);
    faulty_close(&faulty);
}

FIBER_TEST(a_cancelled_engine_settles_all_the_same)
{
    struct faulty faulty;
    struct world world;
    (void)faulty_open(&faulty, 0);
    open_on(&world, &faulty);
    sleep_ns = 3600 * WEFT_SEC;
    struct weft_uuid ids[5];
    for (int i = 0; i < 5; i++)
        ids[i] = insist(&world, i);
    (void)weft_sleep(WEFT_SEC);
    faulty.plans[FAULTY_SETTLE] = (struct faulty_plan){.first = 1, .last = 3, .err = -EIO};
    weft_group_close(&world.group);
    for (int i = 0; i < 5; i++)
        CHECK_EQUAL(world_state(&world, &ids[i]), WEFT_JOB_AVAILABLE);
    CHECK_EQUAL(world_counts(&world).released, 5);
    sleep_ns = 0;
    weft_engine_close(world.engine);
    faulty_close(&faulty);
}

/* Two engines that draw the same numbers make the same ids at the same time. */
FIBER_TEST(an_id_that_is_in_use_is_replaced_also_where_others_wait_for_it)
{
    struct faulty faulty;
    struct world first, second;
    (void)faulty_open(&faulty, 0);
    sleep_ns = 0;
    open_on(&first, &faulty);
    open_on(&second, &faulty);
    struct weft_uuid taken = insist(&first, 1);
    struct weft_after after = {.any_end = true};
    int index = 0;
    struct weft_submission jobs[] = {
        {.task = "count", .priority = -1, .payload = world_json("{\"n\":2}")},
        {.task = "count",
         .priority = -1,
         .payload = world_json("{\"n\":3}"),
         .after = &after,
         .after_index = &index,
         .after_count = 1},
    };
    unsigned before = faulty.calls[FAULTY_ENQUEUE];
    CHECK_EQUAL(weft_engine_submit(second.engine, jobs, 2, false), 0);
    CHECK_EQUAL(faulty.calls[FAULTY_ENQUEUE] - before, 2); /* the id was in use */
    CHECK_EQUAL(jobs[0].err, 0);
    CHECK_EQUAL(jobs[1].err, 0);
    CHECK(memcmp(&jobs[0].id, &taken, sizeof taken) != 0);
    weft_job_free(world_end(&second, &jobs[1].id)); /* not before the other one */
    CHECK_EQUAL(world_state(&second, &jobs[0].id), WEFT_JOB_COMPLETED);
    weft_job_free(world_end(&first, &taken));
    CHECK_EQUAL(runs[1] + runs[2] + runs[3], 3);
    world_close(&second, 0);
    world_close(&first, 0);
    faulty_close(&faulty);
}

FIBER_TEST(what_a_failure_elsewhere_means_is_judged_by_its_attempts)
{
    struct faulty faulty;
    struct world world;
    (void)faulty_open(&faulty, 0);
    open_on(&world, &faulty);
    struct weft_job job = {.task = "count", .queue = "default", .attempt = 1, .attempts_max = 2};
    struct weft_settlement settlement = {.job = &job, .delay_us = -1};
    weft_engine_judge(world.engine, &job, &settlement);
    CHECK_EQUAL(settlement.event, WEFT_JOB_RETRY);
    CHECK_EQUAL(settlement.delay_us, 500000); /* the handler's */
    settlement.delay_us = 7;
    weft_engine_judge(world.engine, &job, &settlement);
    CHECK_EQUAL(settlement.delay_us, 7); /* what the worker asked for */
    job.attempt = 2;
    weft_engine_judge(world.engine, &job, &settlement);
    CHECK_EQUAL(settlement.event, WEFT_JOB_DIE);
    world_close(&world, 0);
    faulty_close(&faulty);
}

FIBER_TEST(without_management_the_queues_that_are_named_are_drained)
{
    struct faulty faulty;
    struct weft_engine *engine;
    (void)faulty_open(&faulty, WEFT_BROKER_MANAGES | WEFT_BROKER_EVENTS);
    memset(runs, 0, sizeof runs);
    sleep_ns = 0;
    REQUIRE(weft_engine_open(&engine, &(struct weft_engine_options){.broker = &faulty.broker,
                                                                    .handlers = handlers,
                                                                    .handlers_count = 2,
                                                                    .consumers = &narrow,
                                                                    .consumers_count = 1,
                                                                    .seed = 1}) == 0);
    struct world world = {.broker = &faulty.broker, .engine = engine};
    for (int i = 1; i < 4; i++)
        (void)insist(&world, i);
    CHECK_EQUAL(weft_engine_drain_queues(engine, false, 100), 3);
    CHECK_EQUAL(runs[1] + runs[2] + runs[3], 3);
    weft_engine_close(engine);
    faulty_close(&faulty);
}

static int drain_in_background(void *arg)
{
    return weft_engine_drain_queues(arg, false, 100);
}

FIBER_TEST(of_two_that_run_jobs_of_one_engine_the_second_is_refused)
{
    struct faulty faulty;
    struct weft_engine *engine;
    (void)faulty_open(&faulty, 0);
    faulty.claim_ns = WEFT_SEC; /* the first one waits for the broker */
    memset(runs, 0, sizeof runs);
    sleep_ns = 0;
    REQUIRE(weft_engine_open(&engine, &(struct weft_engine_options){.broker = &faulty.broker,
                                                                    .handlers = handlers,
                                                                    .handlers_count = 2,
                                                                    .consumers = &narrow,
                                                                    .consumers_count = 1,
                                                                    .seed = 1}) == 0);
    struct world world = {.broker = &faulty.broker, .engine = engine};
    (void)insist(&world, 1);
    struct weft_group group;
    REQUIRE(weft_group_init(&group, NULL) == 0);
    REQUIRE(weft_spawn(&group, drain_in_background, engine) == 0);
    (void)weft_sleep(WEFT_SEC / 2);
    CHECK_EQUAL(weft_engine_drain_queues(engine, false, 100), -EBUSY);
    CHECK_EQUAL(weft_engine_run(engine), -EBUSY);
    CHECK_EQUAL(weft_group_wait(&group), 0);
    CHECK_EQUAL(runs[1], 1);
    weft_engine_close(engine);
    faulty_close(&faulty);
}

/* ---- the house -------------------------------------------------------------------------- */

static unsigned signs_of_life;

static int count_sign(struct weft_broker *broker, const struct weft_worker_info *worker)
{
    (void)broker;
    (void)worker;
    signs_of_life++;
    return 0;
}

static int prune_without_end(struct weft_broker *broker, const struct weft_retention *retention,
                             uint64_t *ret_removed, bool *ret_more)
{
    (void)broker;
    (void)retention;
    *ret_removed = 500;
    *ret_more = true;
    return 0;
}

FIBER_TEST(a_worker_shows_that_it_lives_while_very_much_is_removed)
{
    struct faulty faulty;
    struct world world;
    (void)faulty_open(&faulty, 0);
    faulty.ops.prune = prune_without_end;
    faulty.ops.worker_beat = count_sign;
    open_on(&world, &faulty);
    (void)weft_sleep(2 * 60 * WEFT_SEC); /* by then it removes */
    signs_of_life = 0;
    (void)weft_sleep(60 * WEFT_SEC);
    CHECK(signs_of_life >= 5);
    world_close(&world, 0);
    faulty_close(&faulty);
}
