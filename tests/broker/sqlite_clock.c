/* SPDX-License-Identifier: MIT
 * sqlite_clock.c - the clock of the machine is set while a database is open. The time of day is
 * answered here (tests/meson.build); the rest is real. */
#include "store.h"

#include <broker/sqlite.h>
#include <os/clock.h>
#include <weft/runtime.h>

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#define SECOND_US INT64_C(1000000)
#define HOUR_US   (3600 * SECOND_US)

static atomic_int_least64_t shift_us;

int64_t __real_weft_clock_unix_us(void);
int64_t __wrap_weft_clock_unix_us(void);

int64_t __wrap_weft_clock_unix_us(void)
{
    return __real_weft_clock_unix_us() + atomic_load(&shift_us);
}

static void open_in_file(struct store *store)
{
    static char path[160];
    atomic_store(&shift_us, 0);
    (void)snprintf(path, sizeof path, "%s/clock.db", test_directory());
    store_open(store, &(struct weft_sqlite_options){.path = path});
}

static int64_t now_of(struct store *store)
{
    return store->broker->ops->now_us(store->broker);
}

static struct weft_maintenance maintain(struct store *store)
{
    struct weft_maintenance done = {0};
    REQUIRE(store->broker->ops->maintain(store->broker, &done) == 0);
    return done;
}

static struct weft_job *lease(struct store *store, int64_t lease_us)
{
    static const char *const queue = "default";
    struct weft_job *job = NULL;
    struct weft_claim claim = {
        .queues = &queue, .queues_count = 1, .jobs_max = 1, .jobs = &job, .lease_us = lease_us};
    REQUIRE(store->broker->ops->claim(store->broker, &claim) == 0 && claim.count == 1);
    return job;
}

REAL_TIME_FIBER_TEST(what_is_for_later_comes_due_when_the_machines_clock_is_set_forward)
{
    struct store store;
    open_in_file(&store);
    struct weft_job later = store_job(&store), much_later = store_job(&store);
    later.run_at_us += HOUR_US;
    much_later.run_at_us += 3 * HOUR_US;
    (void)store_put(&store, &later);
    (void)store_put(&store, &much_later);
    CHECK_EQUAL(maintain(&store).due, 0);
    atomic_store(&shift_us, 2 * HOUR_US);
    CHECK_EQUAL(maintain(&store).due, 1);
    CHECK(now_of(&store) >= later.created_us + 2 * HOUR_US);
    CHECK_EQUAL(store_state(&store, &later.id), WEFT_JOB_AVAILABLE);
    CHECK_EQUAL(store_state(&store, &much_later.id), WEFT_JOB_SCHEDULED);
    store_close(&store);
}

REAL_TIME_FIBER_TEST(no_lease_is_lost_because_the_machines_clock_is_set_forward)
{
    struct store store;
    open_in_file(&store);
    for (int i = 0; i < 3; i++)
        (void)store_add(&store, "default", "work");
    struct weft_job *held = lease(&store, 600 * SECOND_US), *until_close = lease(&store, 0);
    struct weft_job *endless = lease(&store, INT64_MAX);
    int64_t left_us = held->lease_until_us - now_of(&store);
    atomic_store(&shift_us, 2 * HOUR_US);
    CHECK_EQUAL(maintain(&store).lost, 0);
    CHECK(now_of(&store) >= held->lease_until_us); /* it would have been */
    struct weft_job *found = store_find(&store, &held->id);
    REQUIRE(found);
    int64_t moved_us = found->lease_until_us - held->lease_until_us;
    CHECK(llabs(moved_us - 2 * HOUR_US) <
          60 * SECOND_US); /* two clocks are not read at one moment */
    CHECK(found->lease_until_us - now_of(&store) <= left_us);
    weft_job_free(found);
    store_settle(&store, held, WEFT_JOB_COMPLETE);
    store_settle(&store, until_close, WEFT_JOB_COMPLETE);
    store_settle(&store, endless, WEFT_JOB_COMPLETE);
    store_close(&store);
}

REAL_TIME_FIBER_TEST(a_clock_that_is_set_back_holds_nothing_up)
{
    struct store store;
    open_in_file(&store);
    int64_t before_us = now_of(&store);
    struct weft_job soon = store_job(&store);
    soon.run_at_us += 1000;
    (void)store_put(&store, &soon);
    atomic_store(&shift_us, -24 * HOUR_US);
    while (maintain(&store).due == 0)
        (void)weft_yield();
    CHECK(now_of(&store) > before_us);
    CHECK_EQUAL(store_state(&store, &soon.id), WEFT_JOB_AVAILABLE);
    store_close(&store);
}
