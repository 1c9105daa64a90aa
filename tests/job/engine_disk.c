/* SPDX-License-Identifier: MIT
 * engine_disk.c - the engine on a database whose disk fails again and again: writes, syncs, reads,
 * locks, no space. What was accepted completes, as often as it should run and no more, and stands
 * in the file in the end. */
#include "../broker/fault.h"
#include "world.h"

#include <base/random.h>
#include <broker/sqlite.h>
#include <weft/runtime.h>

#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

enum {
    JOBS = 40
};

static unsigned runs[JOBS], children[JOBS];

/* Every fourth is tried again, every third has a child. */
static int task_parent(struct weft_attempt *attempt, const void *settings)
{
    int64_t number = 0;
    char json[32];
    (void)settings;
    (void)weft_attempt_get_int(attempt, "n", &number);
    runs[number]++;
    int err = weft_sleep(number * WEFT_MSEC);
    if (!err && number % 4 == 0 && weft_attempt_number(attempt) == 1)
        return -EPROTO;
    (void)snprintf(json, sizeof json, "{\"n\":%d}", (int)number);
    if (!err && number % 3 == 0)
        err = weft_attempt_enqueue(attempt,
                                   &(struct weft_attempt_job){.task = "child", .payload = json});
    return err;
}

static int task_child(struct weft_attempt *attempt, const void *settings)
{
    int64_t number = 0;
    (void)settings;
    (void)weft_attempt_get_int(attempt, "n", &number);
    children[number]++;
    return 0;
}

static const struct weft_handler handlers[] = {
    {.name = "parent",
     .run = task_parent,
     .attempts_max = 5,
     .retry = {.backoff = WEFT_BACKOFF_CONSTANT,
               .jitter = WEFT_JITTER_NONE,
               .base_ns = WEFT_SEC / 10}},
    {.name = "child", .run = task_child},
};

/* One of many things goes wrong, once or a few times in a row, before long. */
static void plan_fault(struct weft_random *random)
{
    static const struct {
        enum fault_file kind;
        int code;
    } faults[] = {{FAULT_WRITE, SQLITE_IOERR_WRITE}, {FAULT_WRITE, SQLITE_FULL},
                  {FAULT_SYNC, SQLITE_IOERR_FSYNC},  {FAULT_READ, SQLITE_IOERR_READ},
                  {FAULT_LOCK, SQLITE_IOERR_LOCK},   {FAULT_SHARED_MEMORY, SQLITE_IOERR_SHMMAP},
                  {FAULT_OPEN, SQLITE_CANTOPEN}};
    uint64_t which = weft_random_below(random, sizeof faults / sizeof faults[0]);
    fault_file(faults[which].kind, 1 + weft_random_below(random, 8), weft_random_below(random, 4),
               faults[which].code);
}

/* Put in one job, again as long as it is refused. */
static struct weft_uuid insist(struct world *world, int number)
{
    char json[32];
    int err = -EIO;
    (void)snprintf(json, sizeof json, "{\"n\":%d}", number);
    struct weft_submission job = {.task = "parent", .priority = -1, .payload = world_json(json)};
    for (int try = 0; err && try < 100; try++) {
        err = weft_engine_submit(world->engine, &job, 1, false);
        err = err ? err : job.err;
        if (err)
            (void)weft_sleep(10 * WEFT_MSEC);
    }
    REQUIRE(!err);
    return job.id;
}

static long long number_in(const char *path, const char *sql)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *statement = NULL;
    REQUIRE(sqlite3_open(path, &db) == SQLITE_OK);
    REQUIRE(sqlite3_prepare_v2(db, sql, -1, &statement, NULL) == SQLITE_OK);
    REQUIRE(sqlite3_step(statement) == SQLITE_ROW);
    long long number = sqlite3_column_int64(statement, 0);
    (void)sqlite3_finalize(statement);
    (void)sqlite3_close(db);
    return number;
}

/* Returns how many calls were refused. */
static unsigned work_on_a_failing_disk(uint64_t seed)
{
    char path[160], error[256] = "";
    struct weft_uuid ids[JOBS];
    struct weft_random random;
    struct world world = {0};
    unsigned fired = 0, all_children = 0;
    memset(runs, 0, sizeof runs);
    memset(children, 0, sizeof children);
    weft_random_seed(&random, seed);
    (void)snprintf(path, sizeof path, "%s/disk-%u.db", test_directory(), (unsigned)seed);
    REQUIRE(weft_sqlite_open(&world.broker, &(struct weft_sqlite_options){.path = path}, error,
                             sizeof error) == 0);
    world_open(&world, (struct weft_engine_options){
                           .handlers = handlers, .handlers_count = 2, .seed = seed});
    for (int i = 0; i < JOBS; i++) {
        plan_fault(&random);
        ids[i] = insist(&world, i);
        (void)weft_sleep((int64_t)weft_random_below(&random, 30) * WEFT_MSEC);
        fired += fault_fired();
    }
    (void)weft_sleep(WEFT_SEC);
    fault_clear();
    (void)weft_sleep(100 * WEFT_SEC);
    for (int i = 0; i < JOBS; i++) {
        CHECK_EQUAL(world_state(&world, &ids[i]), WEFT_JOB_COMPLETED);
        CHECK_EQUAL(runs[i], i % 4 == 0 ? 2 : 1);
        CHECK_EQUAL(children[i], i % 3 == 0);
        all_children += children[i];
    }
    struct weft_engine_counts counts = world_counts(&world);
    CHECK_EQUAL(counts.completed, JOBS + all_children);
    CHECK_EQUAL(counts.lost, 0);
    world_close(&world, 0);
    world.broker->ops->close(world.broker);
    CHECK_EQUAL(number_in(path, "SELECT count(*) FROM outcomes WHERE state = 5"),
                JOBS + all_children);
    CHECK_EQUAL(number_in(path, "SELECT count(*) FROM queue"), 0);
    CHECK_EQUAL(number_in(path, "SELECT count(*) FROM pragma_integrity_check"
                                " WHERE integrity_check <> 'ok'"),
                0);
    test_note("seed %u: %u faults, %u calls refused", (unsigned)seed, fired,
              (unsigned)counts.broker_errors);
    return (unsigned)counts.broker_errors;
}

FIBER_TEST(jobs_complete_once_on_a_disk_that_fails_again_and_again)
{
    unsigned refused = 0;
    for (uint64_t seed = 1; seed <= 10; seed++)
        refused += work_on_a_failing_disk(seed);
    CHECK(refused > 10); /* else the test would say nothing */
}
