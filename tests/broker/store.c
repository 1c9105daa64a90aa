/* SPDX-License-Identifier: MIT
 * store.c - see store.h. */
#include "store.h"

#include <broker/sqlite.h>

#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

static struct weft_random random_numbers;
static struct weft_uuid_maker maker;

static void open_broker(struct store *store, const struct weft_sqlite_options *options)
{
    char error[256];
    int err = weft_sqlite_open(&store->broker, options, error, sizeof error);
    if (err)
        test_note("%s", error);
    REQUIRE(!err);
}

void store_open(struct store *store, const struct weft_sqlite_options *options)
{
    static unsigned number;
    weft_random_seed(&random_numbers, ++number); /* the former test's ids are from years ahead */
    weft_uuid_maker_init(&maker, &random_numbers);
    store->path = options->memory ? NULL : options->path;
    open_broker(store, options);
}

void store_reopen(struct store *store)
{
    store_close(store);
    open_broker(store, &(struct weft_sqlite_options){.path = store->path});
}

void store_close(struct store *store)
{
    store->broker->ops->close(store->broker);
    store->broker = NULL;
}

void store_run(bool memory, void (*body)(struct store *store))
{
    static unsigned number;
    char path[160];
    struct store store;
    (void)snprintf(path, sizeof path, "%s/store-%u.db", test_directory(), ++number);
    store_open(&store, &(struct weft_sqlite_options){.path = path, .memory = memory});
    body(&store);
    store_close(&store);
}

struct weft_job store_job(struct store *store)
{
    int64_t now_us = store->broker->ops->now_us(store->broker);
    return (struct weft_job){
        .id = weft_uuid_make(&maker, now_us / 1000),
        .task = "work",
        .queue = "default",
        .priority = WEFT_PRIORITY_DEFAULT,
        .attempts_max = 3,
        .created_us = now_us,
        .run_at_us = now_us,
        .payload = {"{\"n\":1}", 7, true},
    };
}

int store_try(struct store *store, const struct weft_job *job)
{
    struct weft_enqueue item = {.job = job};
    struct weft_enqueue_batch batch = {.items = &item, .count = 1};
    int err = store->broker->ops->enqueue(store->broker, &batch);
    return err ? err : item.err;
}

struct weft_uuid store_put(struct store *store, const struct weft_job *job)
{
    int err = store_try(store, job);
    if (err)
        test_note("enqueue: %s", weft_strerror(err));
    REQUIRE(!err);
    return job->id;
}

struct weft_uuid store_add(struct store *store, const char *queue, const char *task)
{
    struct weft_job job = store_job(store);
    job.queue = queue;
    job.task = task;
    return store_put(store, &job);
}

struct weft_job *store_claim(struct store *store, const char *queue)
{
    struct weft_job *job = NULL;
    struct weft_claim claim = {.queues = &queue, .queues_count = 1, .jobs_max = 1, .jobs = &job};
    REQUIRE(store->broker->ops->claim(store->broker, &claim) == 0);
    return claim.count == 1 ? job : NULL;
}

void store_settle(struct store *store, struct weft_job *job, enum weft_job_event event)
{
    struct weft_settlement item = {.job = job, .event = event, .thread = 7};
    if (event == WEFT_JOB_COMPLETE)
        item.result = (struct weft_bytes){"{\"r\":1}", 7, true};
    else
        item.error = "it did not work";
    int err = store->broker->ops->settle(store->broker, &item, 1);
    if (err || item.err)
        test_note("settle: %s", weft_strerror(err ? err : item.err));
    REQUIRE(!err && !item.err);
    weft_job_free(job);
}

struct weft_uuid store_work(struct store *store, const char *queue, enum weft_job_event event)
{
    struct weft_job *job = store_claim(store, queue);
    REQUIRE(job);
    struct weft_uuid id = job->id;
    store_settle(store, job, event);
    return id;
}

struct weft_uuid store_end(struct store *store, const char *queue, enum weft_job_event event)
{
    struct weft_uuid id = store_add(store, queue, "work"), done = store_work(store, queue, event);
    REQUIRE(store_same(&id, &done));
    return id;
}

struct weft_job *store_find(struct store *store, const struct weft_uuid *id)
{
    struct weft_job *job = NULL;
    int err = store->broker->ops->find(store->broker, id, &job);
    REQUIRE(err == 0 || err == -ENOENT);
    CHECK((err == 0) == (job != NULL));
    return job;
}

enum weft_job_state store_state(struct store *store, const struct weft_uuid *id)
{
    struct weft_job *job = store_find(store, id);
    enum weft_job_state state = job ? job->state : WEFT_JOB_NONE;
    weft_job_free(job);
    return state;
}

static sqlite3 *open_file(struct store *store)
{
    sqlite3 *db = NULL;
    REQUIRE(store->path && sqlite3_open(store->path, &db) == SQLITE_OK);
    (void)sqlite3_busy_timeout(db, 10000);
    return db;
}

void store_sql(struct store *store, const char *sql)
{
    sqlite3 *db = open_file(store);
    int rc = sqlite3_exec(db, sql, NULL, NULL, NULL);
    if (rc != SQLITE_OK)
        test_note("%s: %s", sql, sqlite3_errmsg(db));
    REQUIRE(rc == SQLITE_OK);
    (void)sqlite3_close(db);
}

int64_t store_number(struct store *store, const char *sql)
{
    sqlite3 *db = open_file(store);
    sqlite3_stmt *statement = NULL;
    if (sqlite3_prepare_v2(db, sql, -1, &statement, NULL) != SQLITE_OK)
        test_note("%s: %s", sql, sqlite3_errmsg(db));
    REQUIRE(statement && sqlite3_step(statement) == SQLITE_ROW);
    int64_t number = sqlite3_column_int64(statement, 0);
    (void)sqlite3_finalize(statement);
    (void)sqlite3_close(db);
    return number;
}

bool store_same(const struct weft_uuid *one, const struct weft_uuid *other)
{
    return memcmp(one, other, sizeof *one) == 0;
}
