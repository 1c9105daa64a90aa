/* SPDX-License-Identifier: MIT
 * engine_queues.c - which jobs run, when, and how many at once. */
#include "world.h"

#include <weft/runtime.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RUNS_MAX 4096

/* What ran, in its order. */
static struct ran {
    unsigned count, now, most;
    char queue[RUNS_MAX];
    int64_t number[RUNS_MAX];
} ran;

static int64_t sleep_ns;

static int task_note(struct weft_attempt *attempt, const void *settings)
{
    (void)settings;
    unsigned at = ran.count++;
    if (at < RUNS_MAX) {
        ran.queue[at] = weft_attempt_queue(attempt)[0];
        (void)weft_attempt_get_int(attempt, "n", &ran.number[at]);
    }
    if (++ran.now > ran.most)
        ran.most = ran.now;
    int err = sleep_ns > 0 ? weft_sleep(sleep_ns) : 0;
    ran.now--;
    return err;
}

static const struct weft_handler handlers[] = {{.name = "note", .run = task_note}};

static void open_with(struct world *world, const struct weft_consumer_options *consumers,
                      size_t count)
{
    ran = (struct ran){0};
    world_open(world, (struct weft_engine_options){
                          .handlers = handlers,
                          .handlers_count = 1,
                          .consumers = consumers,
                          .consumers_count = count,
                      });
}

static struct weft_uuid put(struct world *world, const char *queue, int priority, int number)
{
    char json[32];
    (void)snprintf(json, sizeof json, "{\"n\":%d}", number);
    return world_put(world, (struct weft_submission){.task = "note",
                                                     .queue = queue,
                                                     .priority = priority,
                                                     .payload = world_json(json)});
}

static unsigned runs_of(char queue, unsigned from, unsigned to)
{
    unsigned count = 0;
    for (unsigned i = from; i < to && i < ran.count; i++)
        count += ran.queue[i] == queue;
    return count;
}

static void pause_queue(struct world *world, const char *queue, bool paused)
{
    struct weft_queue_settings settings = {.paused = paused};
    CHECK_EQUAL(world->broker->ops->queue_set(world->broker, queue, &settings), 0);
}

static const struct weft_consumer_queue every[] = {{.name = "*"}};

/* One that takes everything, so many jobs at once. */
#define EVERY(concurrency_)                                                                        \
    &(struct weft_consumer_options)                                                                \
    {                                                                                              \
        .name = "every", .queues = every, .queues_count = 1, .concurrency = (concurrency_)         \
    }

FIBER_TEST(no_more_jobs_run_at_once_than_a_consumer_may)
{
    struct world world = {0};
    sleep_ns = WEFT_SEC;
    open_with(&world, EVERY(3), 1);
    for (int i = 0; i < 30; i++)
        (void)put(&world, "a", -1, i);
    (void)weft_sleep(500 * WEFT_MSEC);
    CHECK_EQUAL(ran.now, 3);
    CHECK_EQUAL(world_counts(&world).running, 3);
    CHECK_EQUAL(world_counts(&world).running_of[0], 3);
    CHECK_EQUAL(world_counts(&world).places, 3);
    (void)weft_sleep(20 * WEFT_SEC);
    CHECK_EQUAL(ran.count, 30);
    CHECK_EQUAL(ran.most, 3);
    CHECK_EQUAL(world_counts(&world).completed, 30);
    world_close(&world, 0);
}

FIBER_TEST(jobs_for_later_hold_no_place_and_run_once_when_their_time_has_come)
{
    enum {
        LATER = 1000
    };
    struct world world = {0};
    sleep_ns = 0;
    open_with(&world, EVERY(1), 1);
    for (int i = 0; i < LATER; i++)
        (void)world_put(&world, (struct weft_submission){
                                    .task = "note", .queue = "later", .delay_us = 6 * 3600000000});
    (void)put(&world, "now", 9, 1);
    (void)weft_sleep(WEFT_SEC);
    CHECK_EQUAL(ran.count, 1);
    CHECK_EQUAL(world_counts(&world).running, 0);
    (void)weft_sleep(6 * 3600 * WEFT_SEC - 10 * WEFT_SEC);
    CHECK_EQUAL(ran.count, 1);
    (void)weft_sleep(60 * WEFT_SEC);
    CHECK_EQUAL(ran.count, 1 + LATER);
    CHECK_EQUAL(world_counts(&world).completed, 1 + LATER);
    CHECK_EQUAL(world_counts(&world).lost, 0);
    world_close(&world, 0);
}

FIBER_TEST(priorities_go_first_and_among_equals_who_came_first)
{
    struct world world = {0};
    sleep_ns = WEFT_MSEC;
    open_with(&world, EVERY(1), 1);
    pause_queue(&world, "a", true);
    for (int i = 0; i < 30; i++)
        (void)put(&world, "a", i % 3, i);
    pause_queue(&world, "a", false);
    (void)weft_sleep(WEFT_SEC);
    CHECK_EQUAL(ran.count, 30);
    for (int i = 0; i < 30; i++)
        CHECK_EQUAL(ran.number[i], i / 10 + i % 10 * 3);
    world_close(&world, 0);
}

FIBER_TEST(weights_of_queues_are_kept)
{
    static const struct weft_consumer_queue queues[] = {
        {.name = "heavy", .weight = 5}, {.name = "middle", .weight = 3}, {.name = "light"}};
    static const struct weft_consumer_options consumer = {
        .queues = queues, .queues_count = 3, .concurrency = 2};
    struct world world = {0};
    sleep_ns = WEFT_MSEC;
    open_with(&world, &consumer, 1);
    for (int i = 0; i < 600; i++) {
        (void)put(&world, "heavy", -1, i);
        (void)put(&world, "middle", -1, i);
        (void)put(&world, "light", -1, i);
    }
    (void)weft_sleep(10 * WEFT_SEC);
    CHECK_EQUAL(ran.count, 1800);
    for (unsigned from = 90; from < 900; from += 90) {
        unsigned heavy = runs_of('h', from, from + 90), middle = runs_of('m', from, from + 90);
        CHECK(heavy >= 47 && heavy <= 53);
        CHECK(middle >= 27 && middle <= 33);
    }
    world_close(&world, 0);
}

FIBER_TEST(a_light_queue_is_not_owed_what_it_did_not_ask_for)
{
    static const struct weft_consumer_queue queues[] = {{.name = "a"}, {.name = "b"}};
    static const struct weft_consumer_options consumer = {
        .queues = queues, .queues_count = 2, .concurrency = 1};
    struct world world = {0};
    sleep_ns = WEFT_MSEC;
    open_with(&world, &consumer, 1);
    for (int i = 0; i < 200; i++)
        (void)put(&world, "a", -1, i);
    (void)weft_sleep(100 * WEFT_MSEC);
    unsigned before = ran.count;
    for (int i = 0; i < 200; i++)
        (void)put(&world, "b", -1, i);
    (void)weft_sleep(2 * WEFT_SEC);
    CHECK_EQUAL(ran.count, 400);
    unsigned of_a = runs_of('a', before, before + 40);
    CHECK(of_a >= 18 && of_a <= 22);
    world_close(&world, 0);
}

FIBER_TEST(strict_order_serves_the_first_queue_that_has_a_job)
{
    static const struct weft_consumer_queue queues[] = {
        {.name = "first"}, {.name = "second"}, {.name = "third"}};
    static const struct weft_consumer_options consumer = {
        .queues = queues, .queues_count = 3, .order = WEFT_ORDER_STRICT, .concurrency = 1};
    struct world world = {0};
    sleep_ns = 10 * WEFT_MSEC;
    open_with(&world, &consumer, 1);
    (void)put(&world, "third", -1, 0); /* runs at once */
    for (int i = 0; i < 20; i++) {
        (void)put(&world, "third", -1, i);
        (void)put(&world, "second", -1, i);
        (void)put(&world, "first", -1, i);
    }
    (void)weft_sleep(105 * WEFT_MSEC);
    (void)put(&world, "first", -1, 99); /* while the first ones are on */
    (void)weft_sleep(5 * WEFT_SEC);
    CHECK_EQUAL(ran.count, 62);
    CHECK_EQUAL(runs_of('f', 1, 22), 21);
    CHECK_EQUAL(runs_of('s', 22, 42), 20);
    CHECK_EQUAL(runs_of('t', 42, 62), 20);
    world_close(&world, 0);
}

FIBER_TEST(a_consumer_of_all_takes_what_no_other_names_and_learns_of_new_queues)
{
    static const struct weft_consumer_queue own[] = {{.name = "own"}};
    static const struct weft_consumer_options consumers[] = {
        {.name = "one", .queues = own, .queues_count = 1, .concurrency = 2},
        {.name = "rest", .queues = every, .queues_count = 1, .concurrency = 3},
    };
    struct world world = {0};
    sleep_ns = 10 * WEFT_SEC;
    open_with(&world, consumers, 2);
    for (int i = 0; i < 10; i++)
        (void)put(&world, "own", -1, i);
    (void)put(&world, "brand-new", -1, 0);
    /* Put in by somebody else, so that only an event tells of it. */
    int64_t now_us = world.broker->ops->now_us(world.broker);
    struct weft_job job = {.id = {{1}},
                           .task = "note",
                           .queue = "foreign",
                           .attempts_max = 1,
                           .created_us = now_us,
                           .run_at_us = now_us};
    struct weft_enqueue item = {.job = &job};
    struct weft_enqueue_batch batch = {.items = &item, .count = 1};
    CHECK_EQUAL(world.broker->ops->enqueue(world.broker, &batch), 0);
    CHECK_EQUAL(item.err, 0);
    (void)weft_sleep(WEFT_SEC);
    CHECK_EQUAL(world_counts(&world).running_of[0], 2);
    CHECK_EQUAL(world_counts(&world).running_of[1], 2);
    CHECK_EQUAL(runs_of('o', 0, 9), 2);
    CHECK_EQUAL(runs_of('b', 0, 9), 1);
    CHECK_EQUAL(runs_of('f', 0, 9), 1);
    world_close(&world, 0);
}

FIBER_TEST(queues_that_were_there_before_are_found)
{
    struct world world = {0};
    sleep_ns = 0;
    open_with(&world, EVERY(0), 1);
    pause_queue(&world, "b", true); /* so that it stays */
    for (int i = 0; i < 5; i++)
        (void)put(&world, "b", -1, i);
    world_end_run(&world, 0);
    weft_engine_close(world.engine);
    pause_queue(&world, "b", false);
    open_with(&world, EVERY(0), 1);
    (void)weft_sleep(WEFT_SEC);
    CHECK_EQUAL(ran.count, 5);
    world.own_broker = true;
    world_close(&world, 0);
}

FIBER_TEST(several_consumers_may_share_a_queue)
{
    static const struct weft_consumer_queue queue[] = {{.name = "shared"}};
    static const struct weft_consumer_options consumers[] = {
        {.queues = queue, .queues_count = 1, .concurrency = 2},
        {.queues = queue, .queues_count = 1, .concurrency = 3},
        {.queues = every, .queues_count = 1, .concurrency = 4},
    };
    struct world world = {0};
    sleep_ns = WEFT_SEC;
    open_with(&world, consumers, 3);
    for (int i = 0; i < 50; i++)
        (void)put(&world, "shared", -1, i);
    (void)weft_sleep(500 * WEFT_MSEC);
    CHECK_EQUAL(ran.now, 5);
    (void)weft_sleep(20 * WEFT_SEC);
    CHECK_EQUAL(ran.count, 50);
    CHECK_EQUAL(ran.most, 5);
    world_close(&world, 0);
}

FIBER_TEST(a_job_begins_in_the_commit_that_puts_it_in_while_a_place_is_free)
{
    struct world world = {0};
    sleep_ns = WEFT_SEC;
    open_with(&world, EVERY(2), 1);
    struct weft_submission jobs[4];
    for (int i = 0; i < 4; i++)
        jobs[i] = (struct weft_submission){.task = "note", .priority = -1};
    CHECK_EQUAL(weft_engine_submit(world.engine, jobs, 4, false), 0);
    CHECK_EQUAL(jobs[0].state, WEFT_JOB_RUNNING);
    CHECK_EQUAL(jobs[1].state, WEFT_JOB_RUNNING);
    CHECK_EQUAL(jobs[2].state, WEFT_JOB_AVAILABLE);
    CHECK_EQUAL(jobs[3].state, WEFT_JOB_AVAILABLE);
    CHECK_EQUAL(jobs[3].waiting, 2);
    CHECK_EQUAL(world_counts(&world).running, 2);
    struct weft_submission later = {.task = "note", .delay_us = 1000000};
    CHECK_EQUAL(weft_engine_submit(world.engine, &later, 1, false), 0);
    CHECK_EQUAL(later.state, WEFT_JOB_SCHEDULED);
    (void)weft_sleep(10 * WEFT_SEC);
    CHECK_EQUAL(ran.most, 2);
    CHECK_EQUAL(ran.count, 5);
    world_close(&world, 0);
}

FIBER_TEST(who_waits_goes_before_who_comes)
{
    struct world world = {0};
    sleep_ns = WEFT_SEC;
    open_with(&world, EVERY(1), 1);
    for (int i = 0; i < 3; i++)
        (void)put(&world, "a", -1, i);
    (void)weft_sleep(1100 * WEFT_MSEC); /* the second runs, the third waits */
    (void)put(&world, "a", -1, 3);
    (void)weft_sleep(10 * WEFT_SEC);
    for (int i = 0; i < 4; i++)
        CHECK_EQUAL(ran.number[i], i);
    world_close(&world, 0);
}

FIBER_TEST(a_paused_queue_rests_and_goes_on)
{
    struct world world = {0};
    sleep_ns = 0;
    open_with(&world, EVERY(0), 1);
    pause_queue(&world, "a", true);
    for (int i = 0; i < 3; i++)
        (void)put(&world, "a", -1, i);
    (void)weft_sleep(100 * WEFT_SEC);
    CHECK_EQUAL(ran.count, 0);
    pause_queue(&world, "a", false);
    (void)weft_sleep(WEFT_MSEC);
    CHECK_EQUAL(ran.count, 3);
    world_close(&world, 0);
}

FIBER_TEST(a_limit_of_running_jobs_is_kept_and_used)
{
    struct world world = {0};
    sleep_ns = WEFT_SEC;
    open_with(&world, EVERY(100), 1);
    struct weft_queue_settings settings = {.running_max = 4};
    CHECK_EQUAL(world.broker->ops->queue_set(world.broker, "a", &settings), 0);
    for (int i = 0; i < 40; i++)
        (void)put(&world, "a", -1, i);
    (void)weft_sleep(10500 * WEFT_MSEC);
    CHECK_EQUAL(ran.most, 4);
    CHECK_EQUAL(ran.count, 40); /* four each second: none waits without need */
    world_close(&world, 0);
}

FIBER_TEST(a_limit_per_key_is_kept_and_used)
{
    struct world world = {0};
    sleep_ns = WEFT_SEC;
    open_with(&world, EVERY(100), 1);
    struct weft_queue_settings settings = {.running_max_per_key = 1};
    CHECK_EQUAL(world.broker->ops->queue_set(world.broker, "a", &settings), 0);
    for (int i = 0; i < 30; i++)
        (void)world_put(&world, (struct weft_submission){
                                    .task = "note",
                                    .queue = "a",
                                    .limit_key = i % 3 == 0   ? "x"
                                                 : i % 3 == 1 ? "y"
                                                              : "z",
                                });
    (void)weft_sleep(10500 * WEFT_MSEC);
    CHECK_EQUAL(ran.most, 3);
    CHECK_EQUAL(ran.count, 30);
    world_close(&world, 0);
}

FIBER_TEST(a_limit_of_claims_per_second_is_kept_and_used)
{
    struct world world = {0};
    sleep_ns = 0;
    open_with(&world, EVERY(100), 1);
    struct weft_queue_settings settings = {.rate_per_s = 10, .burst = 1};
    CHECK_EQUAL(world.broker->ops->queue_set(world.broker, "a", &settings), 0);
    for (int i = 0; i < 100; i++)
        (void)put(&world, "a", -1, i);
    (void)weft_sleep(5 * WEFT_SEC);
    CHECK(ran.count >= 48 && ran.count <= 52);
    (void)weft_sleep(6 * WEFT_SEC);
    CHECK_EQUAL(ran.count, 100);
    world_close(&world, 0);
}

FIBER_TEST(what_is_wrong_with_a_submission_is_its_own_matter)
{
    struct world world = {0};
    sleep_ns = 0;
    open_with(&world, EVERY(0), 1);
    char *large = calloc(1, WEFT_JOB_PAYLOAD_MAX + 1);
    REQUIRE(large);
    char key[WEFT_JOB_KEY_MAX + 2];
    memset(key, 'k', sizeof key - 1);
    key[sizeof key - 1] = '\0';
    static const int self[] = {1};
    static const struct weft_after after[1];
    struct weft_submission jobs[] = {
        {.task = "note"},
        {.task = "note", .after = after, .after_index = self, .after_count = 1},
        {.task = "a b"},
        {0},
        {.task = "note", .queue = "no spaces"},
        {.task = "note", .priority = 10},
        {.task = "note", .priority = -2},
        {.task = "note", .attempts_max = WEFT_JOB_ATTEMPTS_MAX + 1},
        {.task = "note", .timeout_us = -1},
        {.task = "note", .unique_key = ""},
        {.task = "note", .backoff = {.jitter = WEFT_JITTER_SMOOTH}},
        {.task = "note", .after = after, .after_count = 1},
        {.task = "note", .payload = {large, WEFT_JOB_PAYLOAD_MAX + 1, false}},
        {.task = "note", .limit_key = key},
        {.task = "note", .unique_key = key},
        {.task = "note", .priority = -1, .payload = {large, WEFT_JOB_PAYLOAD_MAX, false}},
    };
    size_t count = sizeof jobs / sizeof jobs[0];
    CHECK_EQUAL(weft_engine_submit(world.engine, jobs, count, false), 0);
    for (size_t i = 1; i < count - 1; i++)
        CHECK_EQUAL(jobs[i].err, i < 12 ? -EINVAL : -EMSGSIZE);
    CHECK_EQUAL(jobs[0].err, 0);
    CHECK_EQUAL(jobs[count - 1].err, 0);
    CHECK_EQUAL(world_counts(&world).submitted, 2);
    CHECK_EQUAL(weft_engine_submit(world.engine, jobs, count, true), 0);
    CHECK_EQUAL(jobs[0].err, -ECANCELED);
    CHECK_EQUAL(jobs[2].err, -EINVAL);
    CHECK_EQUAL(world_counts(&world).submitted, 2);
    CHECK_EQUAL(weft_engine_submit(world.engine, jobs, 0, false), -EINVAL);
    CHECK_EQUAL(weft_engine_submit(world.engine, jobs, WEFT_SUBMIT_MAX + 1, false), -EINVAL);
    free(large);
    (void)weft_sleep(WEFT_SEC);
    CHECK_EQUAL(ran.count, 2);
    world_close(&world, 0);
}

FIBER_TEST(an_atomic_submission_is_all_or_nothing)
{
    struct world world = {0};
    sleep_ns = 0;
    open_with(&world, EVERY(0), 1);
    struct weft_uuid there = world_put(
        &world, (struct weft_submission){.task = "note", .unique_key = "k", .delay_us = 60000000});
    struct weft_submission jobs[] = {
        {.task = "note"}, {.task = "note", .unique_key = "k"}, {.task = "note"}};
    CHECK_EQUAL(weft_engine_submit(world.engine, jobs, 3, true), 0);
    CHECK_EQUAL(jobs[0].err, -ECANCELED);
    CHECK_EQUAL(jobs[1].err, WEFT_EDUPLICATE);
    CHECK(memcmp(&jobs[1].id, &there, sizeof there) == 0);
    CHECK_EQUAL(jobs[1].state, WEFT_JOB_NONE);
    CHECK_EQUAL(weft_engine_submit(world.engine, jobs, 3, false), 0);
    CHECK_EQUAL(jobs[0].err, 0);
    CHECK_EQUAL(jobs[1].err, WEFT_EDUPLICATE);
    (void)weft_sleep(WEFT_SEC);
    CHECK_EQUAL(ran.count, 2);
    CHECK_EQUAL(world_counts(&world).running, 0);
    world_close(&world, 0);
}

FIBER_TEST(options_that_make_no_sense_are_refused)
{
    static const struct weft_consumer_queue twice[] = {{.name = "a"}, {.name = "a"}};
    static const struct weft_consumer_queue stars[] = {{.name = "*"}, {.name = "*"}};
    static const struct weft_consumer_queue bad[] = {{.name = "a b"}};
    static const struct weft_consumer_queue heavy[] = {{.name = "a", .weight = 2000000}};
    static const struct weft_consumer_options consumers[] = {
        {.queues = twice, .queues_count = 2},
        {.queues = stars, .queues_count = 2},
        {.queues = bad, .queues_count = 1},
        {.queues = heavy, .queues_count = 1},
        {.queues_count = 0},
    };
    static const struct weft_handler wrong[][2] = {
        {{.name = "no function"}},
        {{.name = "no-function"}},
        {{.name = "twice", .run = task_note}, {.name = "twice", .run = task_note}},
        {{.name = "smooth", .run = task_note, .retry = {.jitter = WEFT_JITTER_SMOOTH}}},
        {{.name = "nowhere", .run = task_note, .executor = WEFT_EXECUTORS}},
        {{.name = "negative", .run = task_note, .timeout_ns = -1}},
        {{.name = "often", .run = task_note, .attempts_max = WEFT_JOB_ATTEMPTS_MAX + 1}},
    };
    struct world world = {0};
    open_with(&world, EVERY(0), 1);
    struct weft_engine *engine = NULL;
    for (size_t i = 0; i < sizeof consumers / sizeof consumers[0]; i++) {
        struct weft_engine_options options = {
            .broker = world.broker, .consumers = &consumers[i], .consumers_count = 1};
        CHECK_EQUAL(weft_engine_open(&engine, &options), -EINVAL);
    }
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct weft_engine_options options = {.broker = world.broker,
                                              .handlers = wrong[i],
                                              .handlers_count = wrong[i][1].name ? 2 : 1};
        CHECK_EQUAL(weft_engine_open(&engine, &options), -EINVAL);
    }
    struct weft_engine_options options[] = {
        {0},
        {.broker = world.broker, .consumers_count = WEFT_CONSUMERS_MAX + 1},
        {.broker = world.broker, .lease_ns = WEFT_MSEC},
        {.broker = world.broker, .threads_max = 513},
        {.broker = world.broker, .stuck_max = 513},
        {.broker = world.broker, .worker_name = "two words"},
    };
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++)
        CHECK_EQUAL(weft_engine_open(&engine, &options[i]), -EINVAL);
    CHECK(!engine);
    weft_engine_close(NULL);
    world_close(&world, 0);
}

FIBER_TEST(many_queues_are_all_served)
{
    struct world world = {0};
    sleep_ns = WEFT_MSEC;
    open_with(&world, EVERY(5), 1);
    char name[16];
    for (int i = 0; i < 600; i++) {
        (void)snprintf(name, sizeof name, "q%d", i % 300);
        (void)put(&world, name, -1, i);
    }
    (void)weft_sleep(5 * WEFT_SEC);
    CHECK_EQUAL(ran.count, 600);
    CHECK_EQUAL(ran.most, 5);
    world_close(&world, 0);
}

/* ---- what is in the way ----------------------------------------------------------------- */

FIBER_TEST(what_waits_behind_very_many_that_a_key_holds_back_runs)
{
    struct world world = {0};
    const struct weft_queue_settings one_per_key = {.running_max_per_key = 1};
    sleep_ns = 3600 * WEFT_SEC;
    open_with(&world, EVERY(10), 1);
    pause_queue(&world, "a", true);
    for (int i = 0; i < 3500; i++)
        (void)world_put(&world,
                        (struct weft_submission){
                            .task = "note", .queue = "a", .priority = -1, .limit_key = "k"});
    (void)put(&world, "a", 9, 1);
    CHECK_EQUAL(world.broker->ops->queue_set(world.broker, "a", &one_per_key), 0);
    (void)weft_sleep(10 * WEFT_SEC);
    CHECK_EQUAL(ran.count, 2); /* one of the key, and the last */
    CHECK_EQUAL(ran.number[1], 1);
    world_close(&world, 0);
}

FIBER_TEST(what_waits_behind_very_many_jobs_of_tasks_that_nobody_has_runs)
{
    struct world world = {0};
    sleep_ns = 0;
    ran = (struct ran){0};
    world_open(&world, (struct weft_engine_options){
                           .handlers = handlers, .handlers_count = 1, .leave_unknown = true});
    for (int i = 0; i < 3500; i++)
        (void)world_put(&world, (struct weft_submission){
                                    .task = "misspelt", .queue = i % 2 ? "a" : "b", .priority = 3});
    for (int i = 0; i < 10; i++)
        (void)put(&world, i % 2 ? "a" : "b", 5, i);
    (void)weft_sleep(10 * WEFT_SEC);
    CHECK_EQUAL(ran.count, 10);
    (void)put(&world, "a", 9, 10);
    (void)weft_sleep(10 * WEFT_SEC);
    CHECK_EQUAL(ran.count, 11);
    world_close(&world, 0);
}
