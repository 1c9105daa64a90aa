/* SPDX-License-Identifier: MIT
 * engine_scale.c - very many jobs at once: all of them end, and what one takes meanwhile. */
#include "world.h"

#include <job/builtin.h>
#include <job/engine_internal.h>
#include <os/sanitizer.h>

#include <weft/runtime.h>

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BATCH   1000u
#define KEPT_US ((int64_t)3600 * 1000000)

static struct weft_handler handlers[WEFT_BUILTINS];
static const struct weft_consumer_queue every[] = {{.name = "*"}};

/* Tools that follow each stack have room for fewer, or take too long. */
static unsigned jobs_wanted(void)
{
#ifdef WEFT_TSAN
    return 5000;
#else
    return weft_valgrind_runs() ? 2000 : 100000;
#endif
}

static size_t resident_bytes(void)
{
    unsigned long size = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    REQUIRE(file && fscanf(file, "%lu %lu", &size, &resident) == 2);
    (void)fclose(file);
    return resident * (size_t)sysconf(_SC_PAGESIZE);
}

static void put(struct world *world, const char *task, const char *json, unsigned count)
{
    struct weft_submission *jobs = calloc(BATCH, sizeof *jobs);
    REQUIRE(jobs);
    for (unsigned done = 0; done < count;) {
        unsigned batch = count - done < BATCH ? count - done : BATCH;
        for (unsigned i = 0; i < batch; i++)
            jobs[i] =
                (struct weft_submission){.task = task, .priority = -1, .payload = world_json(json)};
        REQUIRE(weft_engine_submit(world->engine, jobs, batch, false) == 0);
        for (unsigned i = 0; i < batch; i++)
            REQUIRE(jobs[i].err == 0);
        done += batch;
    }
    free(jobs);
}

static void open_world(struct world *world, unsigned concurrency)
{
    static struct weft_consumer_options consumer = {.queues = every, .queues_count = 1};
    consumer.concurrency = concurrency;
    weft_builtin_handlers(handlers, weft_process_steps_ns);
    world_open(world, (struct weft_engine_options){
                          .retention = {KEPT_US, KEPT_US, KEPT_US},
                          .handlers = handlers,
                          .handlers_count = WEFT_BUILTINS,
                          .consumers = &consumer,
                          .consumers_count = 1,
                      });
}

/* Run so many of a task that takes a while, all at once. */
static void run_at_once(const char *task, const char *json, unsigned jobs)
{
    struct world world = {0};
    open_world(&world, jobs);
    size_t before = resident_bytes();
    put(&world, task, json, jobs);
    (void)weft_sleep(WEFT_SEC);
    CHECK_EQUAL(world_counts(&world).running, jobs);
    size_t after = resident_bytes();
    test_note("%u jobs that run %s take %.1f KiB each, %zu bytes of it the engine's and the job's",
              jobs, task, (double)(after - before) / jobs / 1024,
              sizeof(struct weft_engine_job) + sizeof(struct weft_job));
    (void)weft_sleep(10 * WEFT_SEC);
    struct weft_engine_counts counts = world_counts(&world);
    CHECK_EQUAL(counts.completed, jobs);
    CHECK_EQUAL(counts.running, 0);
    CHECK_EQUAL(counts.lost, 0);
    world_close(&world, 0);
}

FIBER_TEST(jobs_whose_payload_was_read_sleep_as_well)
{
    run_at_once("sleep", "{\"seconds\":3.5}", jobs_wanted() / 5);
}

FIBER_TEST(a_hundred_thousand_jobs_sleep_at_once_and_end)
{
    run_at_once("process", "{\"text\":\"hello\"}", jobs_wanted());
}

FIBER_TEST(a_backlog_runs_through_few_places_and_each_job_once)
{
    struct world world = {0};
    unsigned jobs = jobs_wanted() / 5;
    open_world(&world, 50);
    put(&world, "sleep", "{\"seconds\":0.01}", jobs);
    CHECK(world_counts(&world).running <= 50);
    (void)weft_sleep((int64_t)jobs * WEFT_SEC / 1000);
    CHECK_EQUAL(world_counts(&world).completed, jobs);
    world_close(&world, 0);
}

/* Bytes in use of all arenas, as the allocator itself counts them. */
static size_t allocated_bytes(void)
{
    char *text = NULL;
    size_t len = 0, fast = 0, rest = 0, mapped = 0, taken = 0;
    FILE *file = open_memstream(&text, &len);
    REQUIRE(file && malloc_info(0, file) == 0 && fclose(file) == 0);
    const char *totals = strrchr(text, '/'); /* of the end, and before it those of all arenas */
    for (const char *heap = strstr(text, "</heap>"); heap; heap = strstr(heap + 1, "</heap>"))
        totals = heap;
    (void)sscanf(strstr(totals, "\"fast\""), "\"fast\" count=\"%*u\" size=\"%zu", &fast);
    (void)sscanf(strstr(totals, "\"rest\""), "\"rest\" count=\"%*u\" size=\"%zu", &rest);
    (void)sscanf(strstr(totals, "\"mmap\""), "\"mmap\" count=\"%*u\" size=\"%zu", &mapped);
    (void)sscanf(strstr(totals, "\"current\""), "\"current\" size=\"%zu", &taken);
    free(text);
    return taken + mapped - fast - rest;
}

/* Some complete, some fail and die, some are cancelled; then all of them are past their time. */
static void live_and_be_forgotten(struct world *world)
{
    put(world, "sleep", "{\"seconds\":0.01}", 2000);
    put(world, "fail", "{\"times\":100,\"error\":\"no\"}", 200);
    (void)weft_sleep(3 * 3600 * WEFT_SEC);
}

/* Sanitizers and valgrind have allocators of their own, and find leaks by themselves. */
static bool allocator_counts(void)
{
#if defined(WEFT_ASAN) || defined(WEFT_TSAN)
    return false;
#else
    return !weft_valgrind_runs();
#endif
}

FIBER_TEST(jobs_that_have_ended_and_been_kept_long_enough_leave_nothing_in_memory)
{
    struct world world = {0};
    if (!allocator_counts()) {
        test_skip("the allocator is that of a tool, which finds leaks by itself");
        return;
    }
    open_world(&world, 100);
    for (int i = 0; i < 3; i++) /* until tables and buffers have their sizes */
        live_and_be_forgotten(&world);
    size_t before = allocated_bytes();
    for (int i = 0; i < 3; i++)
        live_and_be_forgotten(&world);
    size_t after = allocated_bytes();
    test_note("%zu bytes before, %zu after", before, after);
    CHECK(after < before + 6600 * 16);
    CHECK_EQUAL(world_counts(&world).completed, 12000);
    CHECK_EQUAL(world_counts(&world).failed, 1200);
    world_close(&world, 0);
}
