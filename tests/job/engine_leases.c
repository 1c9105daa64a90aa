/* SPDX-License-Identifier: MIT
 * engine_leases.c - brokers whose leases end: they are kept alive, whatever handlers do, and a job
 * whose lease is lost is stopped. */
#include "faulty.h"
#include "world.h"

#include <weft/runtime.h>

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

static unsigned runs, cancelled;
static int64_t sleep_ns;

static int task_sleep(struct weft_attempt *attempt, const void *settings)
{
    (void)attempt;
    (void)settings;
    runs++;
    int err = weft_sleep(sleep_ns);
    cancelled += err == -ECANCELED;
    return err;
}

static const struct weft_handler sleeper[] = {{.name = "sleep", .run = task_sleep}};

static void open_on(struct world *world, struct faulty *faulty, unsigned without)
{
    runs = cancelled = 0;
    *world =
        (struct world){.broker = faulty_open(faulty, WEFT_BROKER_LEASES_UNTIL_CLOSE | without)};
    world_open(world, (struct weft_engine_options){.handlers = sleeper, .handlers_count = 1});
}

FIBER_TEST(leases_are_kept_alive_as_long_as_jobs_run)
{
    struct faulty faulty;
    struct world world;
    open_on(&world, &faulty, WEFT_BROKER_CLAIMS_ON_ENQUEUE);
    sleep_ns = 600 * WEFT_SEC;
    struct weft_uuid ids[1200];
    for (int i = 0; i < 1200; i++)
        ids[i] = world_add(&world, "sleep", "{}");
    (void)weft_sleep(500 * WEFT_SEC);
    CHECK_EQUAL(faulty.lease_us, 30000000);
    CHECK_EQUAL(faulty.extended_max, 500);
    for (int i = 0; i < 1200; i++)
        weft_job_free(world_end(&world, &ids[i]));
    CHECK_EQUAL(runs, 1200); /* each once */
    CHECK_EQUAL(world_counts(&world).completed, 1200);
    world_close(&world, 0);
    faulty_close(&faulty);
}

FIBER_TEST(a_lost_lease_stops_the_attempt_and_its_end_does_not_count)
{
    struct faulty faulty;
    struct world world;
    open_on(&world, &faulty, 0);
    sleep_ns = 100 * WEFT_SEC;
    struct weft_uuid id = world_add(&world, "sleep", "{}");
    (void)weft_sleep(WEFT_SEC);
    faulty.deaf = true; /* nobody hears of us for longer than the lease */
    (void)weft_sleep(35 * WEFT_SEC);
    faulty.deaf = false;
    (void)weft_sleep(15 * WEFT_SEC);
    CHECK_EQUAL(cancelled, 1);
    CHECK_EQUAL(runs, 2); /* it was available again, and taken by ourselves */
    CHECK_EQUAL(world_counts(&world).lost, 1);
    CHECK(world_counts(&world).broker_errors > 0);
    struct weft_job *job = world_end(&world, &id);
    CHECK_EQUAL(job->state, WEFT_JOB_COMPLETED);
    CHECK_EQUAL(job->crashes, 1);
    CHECK_EQUAL(job->attempt, 1);
    weft_job_free(job);
    CHECK_EQUAL(world_counts(&world).completed, 1);
    world_close(&world, 0);
    faulty_close(&faulty);
}

FIBER_TEST(what_is_settled_after_its_lease_is_refused)
{
    struct faulty faulty;
    struct world world;
    open_on(&world, &faulty, 0);
    sleep_ns = 40 * WEFT_SEC;
    struct weft_uuid id = world_add(&world, "sleep", "{}");
    faulty.deaf = true;
    (void)weft_sleep(50 * WEFT_SEC);
    CHECK_EQUAL(world_counts(&world).lost, 1);
    CHECK_EQUAL(world_counts(&world).completed, 0);
    CHECK_EQUAL(cancelled, 0);
    faulty.deaf = false;
    struct weft_job *job = world_end(&world, &id);
    CHECK_EQUAL(job->state, WEFT_JOB_COMPLETED);
    weft_job_free(job);
    CHECK_EQUAL(runs, 2);
    world_close(&world, 0);
    faulty_close(&faulty);
}

FIBER_TEST(a_cancellation_comes_with_the_answer_about_a_lease_where_there_are_no_events)
{
    struct faulty faulty;
    struct world world;
    open_on(&world, &faulty, WEFT_BROKER_EVENTS);
    sleep_ns = 1000 * WEFT_SEC;
    struct weft_uuid id = world_add(&world, "sleep", "{}");
    (void)weft_sleep(5 * WEFT_SEC);
    CHECK_EQUAL(runs, 1);
    world_cancel(&world, &id);
    int64_t begin_ns = weft_now();
    struct weft_job *job = world_end(&world, &id);
    CHECK_EQUAL(job->state, WEFT_JOB_CANCELLED);
    CHECK(weft_now() - begin_ns < 15 * WEFT_SEC);
    weft_job_free(job);
    CHECK_EQUAL(cancelled, 1);
    world_close(&world, 0);
    faulty_close(&faulty);
}

FIBER_TEST(leases_are_held_until_the_settlement_is_durable)
{
    struct faulty faulty;
    struct world world;
    open_on(&world, &faulty, 0);
    sleep_ns = WEFT_SEC;
    struct weft_uuid id = world_add(&world, "sleep", "{}");
    faulty.plans[FAULTY_SETTLE] = (struct faulty_plan){.first = 1, .last = 50, .err = -ENOSPC};
    (void)weft_sleep(60 * WEFT_SEC); /* the disk is full for two leases */
    CHECK_EQUAL(world_state(&world, &id), WEFT_JOB_RUNNING);
    struct weft_job *job = world_end(&world, &id);
    CHECK_EQUAL(job->state, WEFT_JOB_COMPLETED);
    CHECK_EQUAL(job->crashes, 0);
    weft_job_free(job);
    CHECK_EQUAL(runs, 1);
    world_close(&world, 0);
    faulty_close(&faulty);
}

/* ---- with a real thread ----------------------------------------------------------------- */

/* What the heartbeat's thread saw and answers; it asks no real broker, which only fibers may. */
static struct thread_side {
    atomic_uint beats;
    atomic_uint leases;   /* in the last beat */
    atomic_bool on_fiber; /* a beat came from the runtime's own thread */
    atomic_int err;       /* refuse */
    atomic_bool lost, cancelling;
    pthread_t runtime;
} side;

static int beat(struct weft_broker *broker, struct weft_lease *items, size_t count)
{
    (void)broker;
    if (pthread_equal(pthread_self(), side.runtime))
        side.on_fiber = true;
    side.beats++;
    side.leases = (unsigned)count;
    for (size_t i = 0; i < count; i++) {
        items[i].err = side.lost ? -ESTALE : 0;
        items[i].cancelling = side.cancelling;
    }
    return side.err;
}

static int task_compute(struct weft_attempt *attempt, const void *settings)
{
    (void)attempt;
    (void)settings;
    runs++;
    unsigned begin = side.beats;
    int64_t until_ns = weft_now() + 100 * WEFT_SEC;
    while (side.beats < begin + 3 && weft_now() < until_ns)
        continue; /* without giving way once */
    return side.beats >= begin + 3 ? 0 : -ETIME;
}

static int task_wait(struct weft_attempt *attempt, const void *settings)
{
    (void)attempt;
    (void)settings;
    runs++;
    int err = weft_sleep(100 * WEFT_SEC);
    cancelled += err == -ECANCELED;
    return err;
}

static const struct weft_handler real_time[] = {
    {.name = "compute", .run = task_compute, .attempts_max = 1},
    {.name = "wait", .run = task_wait},
};

static void open_real(struct world *world, struct faulty *faulty)
{
    memset(&side, 0, sizeof side);
    side.runtime = pthread_self();
    runs = cancelled = 0;
    *world = (struct world){.broker = faulty_open(faulty, WEFT_BROKER_LEASES_UNTIL_CLOSE)};
    faulty->ops.beat = beat;
    world_open(world, (struct weft_engine_options){
                          .handlers = real_time, .handlers_count = 2, .lease_ns = WEFT_SEC});
}

REAL_TIME_FIBER_TEST(a_handler_that_never_gives_way_does_not_stop_the_heartbeat)
{
    struct faulty faulty;
    struct world world;
    open_real(&world, &faulty);
    struct weft_uuid id = world_add(&world, "compute", "{}");
    for (int i = 0; i < 1000 && runs == 0; i++)
        (void)weft_sleep(WEFT_MSEC);
    CHECK_EQUAL(runs, 1);
    CHECK(side.beats >= 3); /* it has not given way: the first look of ours is after its end */
    CHECK_EQUAL(side.leases, 1);
    CHECK(!side.on_fiber);
    (void)id;
    world_close(&world, WEFT_SEC);
    faulty_close(&faulty);
}

/* Have one job run until it hears that. */
static void stop_by_answer(atomic_bool *answer, uint64_t *ret_lost, uint64_t *ret_cancelled)
{
    struct faulty faulty;
    struct world world;
    open_real(&world, &faulty);
    (void)world_add(&world, "wait", "{}");
    *answer = true;
    for (int i = 0; i < 10000 && cancelled == 0; i++)
        (void)weft_sleep(WEFT_MSEC);
    CHECK_EQUAL(cancelled, 1);
    *answer = false;
    for (int i = 0; i < 10000 && world_counts(&world).running > 0 && runs == 1; i++)
        (void)weft_sleep(WEFT_MSEC);
    *ret_lost = world_counts(&world).lost;
    *ret_cancelled = world_counts(&world).cancelled;
    world_close(&world, 0);
    faulty_close(&faulty);
}

REAL_TIME_FIBER_TEST(the_heartbeats_bad_news_stops_jobs)
{
    uint64_t lost, was_cancelled;
    stop_by_answer(&side.lost, &lost, &was_cancelled);
    CHECK_EQUAL(lost, 1);
    stop_by_answer(&side.cancelling, &lost, &was_cancelled);
    CHECK_EQUAL(lost, 0);
    CHECK_EQUAL(was_cancelled, 1);
}

REAL_TIME_FIBER_TEST(a_heartbeat_that_fails_is_counted_and_tried_again)
{
    struct faulty faulty;
    struct world world;
    open_real(&world, &faulty);
    (void)world_add(&world, "wait", "{}");
    side.err = -EIO;
    for (int i = 0; i < 10000 && side.beats < 2; i++)
        (void)weft_sleep(WEFT_MSEC);
    CHECK(side.beats >= 2);
    CHECK(world_counts(&world).broker_errors >= 1);
    CHECK_EQUAL(cancelled, 0);
    world_close(&world, 0);
    faulty_close(&faulty);
}
