/* SPDX-License-Identifier: MIT
 * jobs_memory.c - the n-th allocation fails, for every n, while a program uses its jobs: each call
 * says so and can be made again, and nothing that was accepted is lost. */
#include "desk.h"

#include <weft/runtime.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define TRIES 3

static unsigned long
    countdown; /* allocations until one fails; 0: none will. Threads allocate too */
static unsigned long fired;

void *__real_malloc(size_t bytes);
void *__wrap_malloc(size_t bytes);
void *__real_calloc(size_t len, size_t bytes);
void *__wrap_calloc(size_t len, size_t bytes);
void *__real_realloc(void *allocated, size_t bytes);
void *__wrap_realloc(void *allocated, size_t bytes);

static bool fails(void)
{
    if (__atomic_load_n(&countdown, __ATOMIC_RELAXED) == 0 ||
        __atomic_fetch_sub(&countdown, 1, __ATOMIC_RELAXED) != 1)
        return false;
    (void)__atomic_fetch_add(&fired, 1, __ATOMIC_RELAXED);
    return true;
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

static void set_countdown(unsigned long number)
{
    __atomic_store_n(&countdown, number, __ATOMIC_RELAXED);
}

static const struct weft_jobs_request echo = {.task = "echo", .payload = "1"};
static const struct weft_jobs_cron cron = {.name = "c", .expression = "@daily", .job = &echo};

/* Whether a call is to be made again; what else it says is a failed check. */
static bool again(int err, int *tries)
{
    CHECK(err >= 0 || (err == -ENOMEM && fired > 0));
    return err < 0 && ++*tries < TRIES;
}

static struct weft_jobs *open_jobs(void)
{
    const struct weft_jobs_options options =
        desk_options((struct weft_jobs_options){.crons = &cron, .crons_count = 1});
    struct weft_jobs *jobs = NULL;
    char error[256];
    int tries = 0;
    while (again(weft_jobs_open(&jobs, &options, error, sizeof error), &tries)) {
        CHECK(!jobs);
        CHECK(error[0]);
    }
    REQUIRE(jobs != NULL);
    return jobs;
}

static void use(struct weft_jobs *jobs)
{
    const struct weft_jobs_after first = {.index = 0};
    struct weft_jobs_watch *watch = NULL;
    struct weft_jobs_view *view = NULL;
    struct weft_jobs_counts counts = {0};
    struct weft_jobs_event event;
    char error[256];
    int err, events = 0, tries = 0;
    while (again(weft_jobs_watch_open(jobs, 0, &watch), &tries))
        CHECK(!watch);
    struct weft_jobs_request two[2];
    for (tries = 0, err = -ENOMEM; err; err = again(err, &tries) ? err : 0) {
        two[0] = two[1] = echo;
        two[1].after = &first;
        two[1].after_count = 1;
        err = weft_jobs_enqueue(jobs, two, 2, 1);
        if (err)
            CHECK(!two[0].id[0] && two[0].err && two[1].reason);
    }
    for (tries = 0; again(weft_jobs_cron_set(jobs, &cron, error, sizeof error), &tries);)
        continue;
    for (tries = 0; again(weft_jobs_pause(jobs, "other"), &tries);)
        continue;
    for (tries = 0; again(weft_jobs_drain(jobs, 1, 0), &tries);)
        continue;
    for (tries = 0; again(weft_jobs_find(jobs, two[1].id, &view), &tries);)
        CHECK(!view);
    for (tries = 0; again(weft_jobs_count(jobs, NULL, &counts), &tries);)
        continue;
    set_countdown(0);
    CHECK_EQUAL(weft_jobs_drain(jobs, 1, 0), 0); /* whatever was left, was run by the next drain */
    REQUIRE(view != NULL);
    CHECK_EQUAL(view->state, WEFT_JOB_COMPLETED);
    CHECK_EQUAL(counts.completed, 2);
    weft_jobs_view_free(view);
    while (weft_jobs_watch_next(watch, &event, WEFT_NOWAIT) == 0)
        events++;
    CHECK(events >= 7); /* in, in, claim, done, unblocked, claim, done */
    weft_jobs_watch_close(watch);
}

FIBER_TEST(every_call_survives_every_failed_allocation)
{
    unsigned long number = 0;
    do {
        REQUIRE(++number < 2000);
        fired = 0;
        set_countdown(number);
        struct weft_jobs *jobs = open_jobs();
        use(jobs);
        set_countdown(0);
        weft_jobs_close(jobs);
    } while (fired > 0);
    CHECK(number > 50);
}
