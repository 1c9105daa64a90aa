/* SPDX-License-Identifier: MIT
 * timing.c - wall time, running time and outcomes of timed calls. */
#include "test.h"

#include <weft/group.h>
#include <weft/timing.h>

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <time.h>

static int sleep_for(void *arg)
{
    return weft_sleep(*(int64_t *)arg);
}

static int result_of(void *arg)
{
    return *(int *)arg;
}

FIBER_TEST(wall_time_is_from_call_to_return)
{
    struct weft_timing *timing;
    struct weft_timing_snapshot snapshot;
    int64_t naps_ns[] = {10 * WEFT_MSEC, 20 * WEFT_MSEC, 600 * WEFT_MSEC};
    CHECK_EQUAL(weft_timing_open(&timing, NULL), 0);
    CHECK_EQUAL(weft_timing_snapshot(timing, &snapshot), 0);
    CHECK_EQUAL(snapshot.wall.count, 0);
    for (int i = 0; i < 3; i++)
        CHECK_EQUAL(weft_timed(timing, sleep_for, &naps_ns[i]), 0);
    CHECK_EQUAL(weft_timing_snapshot(timing, &snapshot), 0);
    CHECK_EQUAL(snapshot.calls, 3);
    CHECK_EQUAL(snapshot.failures, 0);
    CHECK_EQUAL(snapshot.running, 0);
    CHECK_EQUAL(snapshot.wall.count, 3);
    CHECK_EQUAL(snapshot.wall.min_ns, naps_ns[0]);
    CHECK_EQUAL(snapshot.wall.max_ns, naps_ns[2]);
    CHECK_EQUAL(snapshot.wall.mean_ns, 210 * WEFT_MSEC);
    CHECK(snapshot.wall.p50_ns >= naps_ns[1] && snapshot.wall.p50_ns <= 20020 * WEFT_USEC);
    CHECK_EQUAL(snapshot.wall.p95_ns, naps_ns[2]);
    CHECK_EQUAL(snapshot.wall.p99_ns, naps_ns[2]);
    CHECK_EQUAL(snapshot.run.count, 3);
    CHECK_EQUAL(snapshot.run.max_ns, 1); /* computing takes no virtual time */
    weft_timing_close(timing);
    weft_timing_close(NULL);
}

FIBER_TEST(results_are_passed_on_and_counted)
{
    struct weft_timing *timing;
    struct weft_timing_snapshot snapshot;
    int results[] = {7, 0, -EIO, -ECANCELED, -ETIMEDOUT};
    CHECK_EQUAL(weft_timing_open(&timing, NULL), 0);
    for (int i = 0; i < 5; i++)
        CHECK_EQUAL(weft_timed(timing, result_of, &results[i]), results[i]);
    CHECK_EQUAL(weft_timing_record(timing, 5, -EIO), 0);
    CHECK_EQUAL(weft_timing_record(timing, -1, 0), -EINVAL);
    CHECK_EQUAL(weft_timing_snapshot(timing, &snapshot), 0);
    CHECK_EQUAL(snapshot.calls, 6);
    CHECK_EQUAL(snapshot.failures, 3);
    CHECK_EQUAL(snapshot.cancelled, 1);
    weft_timing_close(timing);
}

struct pair {
    struct weft_timing *timing;
    int64_t nap_ns;
    int depth;
};

static int time_within(void *arg)
{
    struct pair *pair = arg;
    int err = weft_sleep(pair->nap_ns);
    if (err == 0 && pair->depth-- > 0)
        err = weft_timed(pair->timing, time_within, pair);
    return err;
}

FIBER_TEST(calls_nest_and_run_side_by_side)
{
    struct weft_timing_snapshot snapshot;
    struct weft_group group;
    struct pair pair = {.nap_ns = WEFT_SEC, .depth = 2};
    int64_t other_ns = 10 * WEFT_SEC;
    CHECK_EQUAL(weft_timing_open(&pair.timing, NULL), 0);
    CHECK_EQUAL(weft_group_init(&group, NULL), 0);
    CHECK_EQUAL(weft_spawn(&group, sleep_for, &other_ns), 0);
    int err = weft_timed(pair.timing, time_within, &pair);
    CHECK_EQUAL(weft_group_wait(&group), 0);
    CHECK_EQUAL(weft_timing_snapshot(pair.timing, &snapshot), 0);
    if (err == 0) {
        CHECK_EQUAL(snapshot.calls, 3);
        CHECK_EQUAL(snapshot.wall.min_ns, WEFT_SEC);
        CHECK_EQUAL(snapshot.wall.max_ns, 3 * WEFT_SEC);
    }
    weft_timing_close(pair.timing);
}

/* ---- running time ---------------------------------------------------------------------- */

static int64_t clock_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * WEFT_SEC + now.tv_nsec;
}

static int compute(int64_t duration_ns)
{
    int64_t until_ns = clock_ns() + duration_ns;
    while (clock_ns() < until_ns)
        ;
    return 0;
}

static int compute_and_yield(void *arg)
{
    int err = 0;
    for (int i = 0; i < 5 && err == 0; i++) {
        (void)compute(*(int64_t *)arg);
        err = weft_yield();
    }
    return err;
}

static int wait_and_compute(void *arg)
{
    int64_t piece_ns = *(int64_t *)arg;
    (void)compute(piece_ns);
    int err = weft_sleep(20 * piece_ns);
    (void)compute(piece_ns);
    return err < 0 ? err : weft_yield();
}

/* What others compute in the meantime is not this call's. Both bounds hold on the slowest machine:
 * the call computed two pieces, and slept or waited for twenty. */
REAL_TIME_FIBER_TEST(running_time_is_without_waits_and_without_others)
{
    struct weft_timing *timing;
    struct weft_timing_snapshot snapshot;
    struct weft_group group;
    int64_t piece_ns = WEFT_MSEC;
    CHECK_EQUAL(weft_timing_open(&timing, NULL), 0);
    CHECK_EQUAL(weft_group_init(&group, NULL), 0);
    CHECK_EQUAL(weft_spawn(&group, compute_and_yield, &piece_ns), 0);
    int err = weft_timed(timing, wait_and_compute, &piece_ns);
    (void)weft_group_wait(&group);
    CHECK_EQUAL(weft_timing_snapshot(timing, &snapshot), 0);
    if (err == 0) {
        CHECK(snapshot.run.min_ns >= 2 * piece_ns);
        CHECK(snapshot.wall.min_ns >= 22 * piece_ns);
        CHECK(snapshot.wall.min_ns - snapshot.run.max_ns >= 20 * piece_ns);
    }
    weft_timing_close(timing);
}

struct nested {
    struct weft_timing *inner;
    int64_t piece_ns;
};

static int inner_and_more(void *arg)
{
    struct nested *nested = arg;
    (void)compute(nested->piece_ns);
    int err = weft_timed(nested->inner, wait_and_compute, &nested->piece_ns);
    (void)compute(nested->piece_ns);
    return err;
}

REAL_TIME_FIBER_TEST(running_time_of_nested_calls_counts_for_each)
{
    struct weft_timing *outer;
    struct weft_timing_snapshot inside, outside;
    struct nested nested = {.piece_ns = WEFT_MSEC};
    CHECK_EQUAL(weft_timing_open(&outer, NULL), 0);
    CHECK_EQUAL(weft_timing_open(&nested.inner, NULL), 0);
    int err = weft_timed(outer, inner_and_more, &nested);
    CHECK_EQUAL(weft_timing_snapshot(outer, &outside), 0);
    CHECK_EQUAL(weft_timing_snapshot(nested.inner, &inside), 0);
    if (err == 0) {
        CHECK(inside.run.min_ns >= 2 * nested.piece_ns);
        CHECK(outside.run.min_ns >= inside.run.max_ns + 2 * nested.piece_ns);
        CHECK(outside.wall.min_ns >= outside.run.max_ns + 20 * nested.piece_ns);
    }
    weft_timing_close(nested.inner);
    weft_timing_close(outer);
}

FIBER_TEST(wall_only_does_not_count_running_time)
{
    struct weft_timing *timing;
    struct weft_timing_snapshot snapshot;
    int result = 0;
    CHECK_EQUAL(weft_timing_open(&timing, &(struct weft_timing_options){.wall_only = 1}), 0);
    CHECK_EQUAL(weft_timed(timing, result_of, &result), 0);
    CHECK_EQUAL(weft_timing_snapshot(timing, &snapshot), 0);
    CHECK_EQUAL(snapshot.wall.count, 1);
    CHECK_EQUAL(snapshot.run.count, 0);
    weft_timing_close(timing);
}

/* ---- who may ----------------------------------------------------------------------------- */

static int record_often(void *arg)
{
    int result = 0, err = 0;
    for (int i = 0; i < 1000 && err == 0; i++)
        err = weft_timed(arg, result_of, &result);
    return err;
}

static void *record_outside(void *arg)
{
    CHECK_EQUAL(record_often(arg), 0);
    return NULL;
}

static int record_everywhere(void *arg)
{
    struct weft_group group;
    pthread_t thread;
    REQUIRE(pthread_create(&thread, NULL, record_outside, arg) == 0);
    CHECK_EQUAL(weft_group_init(&group, NULL), 0);
    for (int i = 0; i < 4; i++) {
        const struct weft_spawn_options options = {.worker = WEFT_WORKER(i % 2)};
        CHECK_EQUAL(weft_spawn_with(&group, record_often, arg, &options), 0);
    }
    int err = weft_group_wait(&group);
    REQUIRE(pthread_join(thread, NULL) == 0);
    return err;
}

TEST(a_shared_timing_takes_calls_from_all_workers_and_threads)
{
    struct weft_timing *timing;
    struct weft_timing_snapshot snapshot;
    const struct weft_run_options two = {.workers = 2};
    CHECK_EQUAL(weft_timing_open(&timing, NULL), 0);
    CHECK_EQUAL(weft_run(&two, record_everywhere, timing), 0);
    CHECK_EQUAL(weft_timing_snapshot(timing, &snapshot), 0);
    CHECK_EQUAL(snapshot.calls, 5000);
    CHECK_EQUAL(snapshot.wall.count, 5000);
    CHECK_EQUAL(snapshot.run.count, 4000); /* threads outside have no worker to run on */
    weft_timing_close(timing);
}

TEST(a_local_timing_is_for_its_worker_only)
{
    struct weft_timing *timing = NULL;
    const struct weft_timing_options local = {.sharing = WEFT_LOCAL};
    CHECK_EQUAL(weft_timing_open(&timing, &local), -EPERM);
    CHECK(!timing);
}

static void *call_from_outside(void *arg)
{
    struct weft_timing_snapshot snapshot;
    int result = 0;
    CHECK_EQUAL(weft_timed(arg, result_of, &result), -EPERM);
    CHECK_EQUAL(weft_timing_record(arg, 1, 0), -EPERM);
    CHECK_EQUAL(weft_timing_snapshot(arg, &snapshot), -EPERM);
    return NULL;
}

FIBER_TEST(others_are_refused_before_the_call)
{
    struct weft_timing *timing;
    pthread_t thread;
    const struct weft_timing_options local = {.sharing = WEFT_LOCAL};
    CHECK_EQUAL(weft_timing_open(&timing, &local), 0);
    REQUIRE(pthread_create(&thread, NULL, call_from_outside, timing) == 0);
    REQUIRE(pthread_join(thread, NULL) == 0);
    weft_timing_close(timing);
}

FIBER_TEST(a_name_that_is_too_long_is_refused)
{
    struct weft_timing *timing;
    char name[WEFT_NAME_MAX + 2];
    memset(name, 'n', sizeof name);
    name[WEFT_NAME_MAX + 1] = 0;
    const struct weft_timing_options options = {.name = name};
    CHECK_EQUAL(weft_timing_open(&timing, &options), -EINVAL);
    name[WEFT_NAME_MAX] = 0;
    CHECK_EQUAL(weft_timing_open(&timing, &options), 0);
    weft_timing_close(timing);
}
