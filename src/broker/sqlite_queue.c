/* SPDX-License-Identifier: MIT
 * sqlite_queue.c - the queues as the writer knows them: names, settings, and how many jobs are in
 * which state. The counts are exact at every moment of a transaction; what a claim finds empty it
 * need not look into. Others see them as of the last commit. */
#include "sqlite_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NUMBER_MAX 1000000 /* no weft writes higher ones */

// clang-format off
const struct sqlite_text weft_sqlite_texts_queue[] = {
    {SQL_TASK_INSERT, "INSERT INTO tasks (id, name) VALUES (?1, ?2)"},
    {SQL_QUEUE_NAME_INSERT, "INSERT INTO queues (id, name) VALUES (?1, ?2)"},
    {SQL_QUEUE_TOTALS,
     "UPDATE queues SET completed = ?2, cancelled = ?3, dead = ?4 WHERE id = ?1"},
    {SQL_TOTALS,
     "UPDATE totals SET scheduled = scheduled + ?1, available = available + ?2,"
     " running = running + ?3, retryable = retryable + ?4, completed = completed + ?5,"
     " cancelled = cancelled + ?6, dead = dead + ?7, blocked = blocked + ?8,"
     " processing_sum_us = processing_sum_us + ?9,"
     " processing_min_us = min(coalesce(processing_min_us, ?10), coalesce(?10, processing_min_us)),"
     " processing_max_us = max(coalesce(processing_max_us, ?11), coalesce(?11, processing_max_us))"
     " WHERE one = 1"},
    {SQL_STATEMENTS, NULL},
};
// clang-format on

/* --- names --- */

/* A new one, in the table and in memory. Returns an SQLite code. */
static int make_name(struct sqlite_writer *writer, struct sqlite_names *names, const char *text,
                     enum sqlite_statement insert, size_t size, struct sqlite_name **ret_name,
                     int *ret_err)
{
    *ret_err = !weft_job_name_is_valid(text) ? -EINVAL : names->count >= names->max ? -ENOBUFS : 0;
    if (*ret_err)
        return SQLITE_OK;
    sqlite3_stmt *statement = writer->statements[insert];
    (void)sqlite3_bind_int64(statement, 1, names->last + 1);
    weft_sqlite_bind_text(statement, 2, text);
    int rc = weft_sqlite_run(writer, insert);
    (void)sqlite3_clear_bindings(statement);
    if (rc)
        return rc;
    (void)pthread_mutex_lock(&writer->names_lock);
    *ret_name = weft_sqlite_name_add(names, text, names->last + 1, size);
    (void)pthread_mutex_unlock(&writer->names_lock);
    return *ret_name ? SQLITE_OK : SQLITE_NOMEM;
}

int weft_sqlite_task_named(struct sqlite_writer *writer, const char *name,
                           struct sqlite_name **ret_task, int *ret_err)
{
    *ret_err = 0;
    *ret_task = weft_sqlite_name_find(&writer->tasks, name);
    return *ret_task ? SQLITE_OK
                     : make_name(writer, &writer->tasks, name, SQL_TASK_INSERT,
                                 sizeof(struct sqlite_name), ret_task, ret_err);
}

static struct sqlite_queue *queue_of(struct sqlite_name *name)
{
    return (struct sqlite_queue *)(void *)name;
}

struct sqlite_queue *weft_sqlite_queue_numbered(struct sqlite_writer *writer, int64_t number)
{
    return queue_of(weft_sqlite_name_numbered(&writer->queues, number));
}

/* --- counts --- */

void weft_sqlite_queue_touch(struct sqlite_writer *writer, struct sqlite_queue *queue)
{
    if (queue->touched)
        return;
    queue->touched = true;
    queue->next_touched = writer->touched;
    writer->touched = queue;
}

int weft_sqlite_queue_named(struct sqlite_writer *writer, const char *name,
                            struct sqlite_queue **ret_queue, int *ret_err)
{
    struct sqlite_name *found = weft_sqlite_name_find(&writer->queues, name);
    *ret_err = 0;
    *ret_queue = queue_of(found);
    if (found)
        return SQLITE_OK;
    int rc = make_name(writer, &writer->queues, name, SQL_QUEUE_NAME_INSERT,
                       sizeof(struct sqlite_queue), &found, ret_err);
    if (rc || *ret_err)
        return rc;
    *ret_queue = queue_of(found);
    weft_sqlite_queue_touch(writer, *ret_queue);
    return SQLITE_OK;
}

void weft_sqlite_queue_count(struct sqlite_writer *writer, struct sqlite_queue *queue,
                             enum weft_job_state from, enum weft_job_state to)
{
    if (from != WEFT_JOB_NONE)
        weft_sqlite_set(writer, &queue->jobs[from], queue->jobs[from] - 1);
    weft_sqlite_set(writer, &queue->jobs[to], queue->jobs[to] + 1);
    weft_sqlite_queue_touch(writer, queue);
}

uint64_t weft_sqlite_queue_waiting(const struct sqlite_queue *queue)
{
    return queue->jobs[WEFT_JOB_SCHEDULED] + queue->jobs[WEFT_JOB_AVAILABLE] +
           queue->jobs[WEFT_JOB_RETRYABLE] + queue->jobs[WEFT_JOB_BLOCKED];
}

/* --- into the tables, once per transaction --- */

static int store_queue(struct sqlite_writer *writer, const struct sqlite_queue *queue)
{
    static const enum weft_job_state finals[] = {WEFT_JOB_COMPLETED, WEFT_JOB_CANCELLED,
                                                 WEFT_JOB_DEAD};
    sqlite3_stmt *update = writer->statements[SQL_QUEUE_TOTALS];
    bool changed = false;
    for (int i = 0; i < 3; i++) {
        changed = changed || queue->jobs[finals[i]] != queue->info.jobs[finals[i]];
        (void)sqlite3_bind_int64(update, 2 + i, (int64_t)queue->jobs[finals[i]]);
    }
    (void)sqlite3_bind_int64(update, 1, queue->name.number);
    return changed ? weft_sqlite_run(writer, SQL_QUEUE_TOTALS) : SQLITE_OK;
}

static int store_totals(struct sqlite_writer *writer, const int64_t jobs[WEFT_JOB_STATES])
{
    const struct sqlite_times *times = &writer->times;
    sqlite3_stmt *update = writer->statements[SQL_TOTALS];
    (void)sqlite3_clear_bindings(update); /* NULL leaves minimum and maximum as they are */
    for (int state = WEFT_JOB_SCHEDULED; state < WEFT_JOB_STATES; state++)
        (void)sqlite3_bind_int64(update, state, jobs[state]);
    (void)sqlite3_bind_int64(update, 9, times->sum_us);
    if (times->min_us != INT64_MAX) {
        (void)sqlite3_bind_int64(update, 10, times->min_us);
        (void)sqlite3_bind_int64(update, 11, times->max_us);
    }
    return weft_sqlite_run(writer, SQL_TOTALS);
}

int weft_sqlite_queues_store(struct sqlite_writer *writer)
{
    int64_t jobs[WEFT_JOB_STATES] = {0};
    bool changed = false;
    int rc = SQLITE_OK;
    for (struct sqlite_queue *queue = writer->touched; !rc && queue; queue = queue->next_touched) {
        for (int state = WEFT_JOB_SCHEDULED; state < WEFT_JOB_STATES; state++) {
            jobs[state] += (int64_t)(queue->jobs[state] - queue->info.jobs[state]);
            changed = changed || queue->jobs[state] != queue->info.jobs[state];
        }
        rc = store_queue(writer, queue);
    }
    return rc || !changed ? rc : store_totals(writer, jobs);
}

/* --- for others --- */

void weft_sqlite_queues_untouch(struct sqlite_writer *writer)
{
    while (writer->touched) {
        writer->touched->touched = false;
        writer->touched = writer->touched->next_touched;
    }
}

/* With names_lock, or before anybody else knows of the queue. */
static void publish(struct sqlite_queue *queue)
{
    queue->info.name = queue->name.text;
    queue->info.settings = queue->settings;
    memcpy(queue->info.jobs, queue->jobs, sizeof queue->jobs);
}

void weft_sqlite_queues_publish(struct sqlite_writer *writer)
{
    if (!writer->touched)
        return;
    (void)pthread_mutex_lock(&writer->names_lock);
    for (struct sqlite_queue *queue = writer->touched; queue; queue = queue->next_touched)
        publish(queue);
    (void)pthread_mutex_unlock(&writer->names_lock);
}

static int by_name(const void *a, const void *b)
{
    const struct weft_queue_info *left = a, *right = b;
    return strcmp(left->name, right->name);
}

size_t weft_sqlite_queues_copy(struct sqlite_broker *broker, struct weft_queue_info *queues,
                               size_t max)
{
    struct sqlite_writer *writer = &broker->writer;
    size_t count = 0;
    (void)pthread_mutex_lock(&writer->names_lock);
    for (int64_t number = 1; number <= writer->queues.last; number++) {
        const struct sqlite_queue *queue = weft_sqlite_queue_numbered(writer, number);
        if (!queue || !queue->info.name)
            continue;
        if (count < max)
            queues[count] = queue->info;
        count++;
    }
    (void)pthread_mutex_unlock(&writer->names_lock);
    qsort(queues, count < max ? count : max, sizeof *queues, by_name);
    return count;
}

int weft_sqlite_queue_copy(struct sqlite_broker *broker, const char *name,
                           struct weft_queue_info *ret_queue, int64_t *ret_number)
{
    struct sqlite_writer *writer = &broker->writer;
    (void)pthread_mutex_lock(&writer->names_lock);
    const struct sqlite_queue *queue = queue_of(weft_sqlite_name_find(&writer->queues, name));
    bool known = queue && queue->info.name;
    if (known) {
        *ret_queue = queue->info;
        *ret_number = queue->name.number;
    }
    (void)pthread_mutex_unlock(&writer->names_lock);
    return known ? 0 : -ENOENT;
}

/* --- at open --- */

/* One name of each row: number, name. */
static int load_name(struct sqlite_names *names, sqlite3_stmt *row, size_t size,
                     struct sqlite_name **ret_name)
{
    int64_t number = sqlite3_column_int64(row, 0);
    const char *text = weft_sqlite_column_text(row, 1);
    if (!text || number <= names->last || number > NUMBER_MAX)
        return SQLITE_CORRUPT;
    *ret_name = weft_sqlite_name_add(names, text, number, size);
    return *ret_name ? SQLITE_OK : SQLITE_NOMEM;
}

static int load_task(struct sqlite_writer *writer, sqlite3_stmt *row, int64_t now_us)
{
    struct sqlite_name *task;
    (void)now_us;
    return load_name(&writer->tasks, row, sizeof *task, &task);
}

static int load_queue(struct sqlite_writer *writer, sqlite3_stmt *row, int64_t now_us)
{
    struct sqlite_name *name;
    int rc = load_name(&writer->queues, row, sizeof(struct sqlite_queue), &name);
    if (rc)
        return rc;
    struct sqlite_queue *queue = queue_of(name);
    queue->settings = (struct weft_queue_settings){
        .paused = sqlite3_column_int(row, 2) != 0,
        .size_max = (uint64_t)sqlite3_column_int64(row, 3),
        .running_max = (uint32_t)sqlite3_column_int64(row, 4),
        .running_max_per_key = (uint32_t)sqlite3_column_int64(row, 5),
        .rate_per_s = sqlite3_column_double(row, 6),
        .burst = (uint32_t)sqlite3_column_int64(row, 7),
    };
    queue->jobs[WEFT_JOB_COMPLETED] = (uint64_t)sqlite3_column_int64(row, 8);
    queue->jobs[WEFT_JOB_CANCELLED] = (uint64_t)sqlite3_column_int64(row, 9);
    queue->jobs[WEFT_JOB_DEAD] = (uint64_t)sqlite3_column_int64(row, 10);
    queue->empty_ns = (uint64_t)now_us * 1000; /* restarts do not add up to more than the rate */
    queue->held_for_long = 1;
    return SQLITE_OK;
}

static int load_job(struct sqlite_writer *writer, sqlite3_stmt *row, int64_t now_us)
{
    (void)now_us;
    struct sqlite_queue *queue = weft_sqlite_queue_numbered(writer, sqlite3_column_int64(row, 0));
    int state = sqlite3_column_int(row, 1);
    if (!queue || state <= WEFT_JOB_NONE || state >= WEFT_JOB_STATES)
        return SQLITE_CORRUPT;
    queue->jobs[state]++;
    const char *key = weft_sqlite_column_text(row, 2);
    return key ? weft_sqlite_key_load(writer, queue, key, state == WEFT_JOB_AVAILABLE) : SQLITE_OK;
}

static int load_rows(struct sqlite_writer *writer, const char *sql, int64_t now_us,
                     int (*load)(struct sqlite_writer *, sqlite3_stmt *, int64_t))
{
    sqlite3_stmt *rows;
    int rc = sqlite3_prepare_v2(writer->db, sql, -1, &rows, NULL);
    if (rc)
        return rc;
    while ((rc = sqlite3_step(rows)) == SQLITE_ROW) {
        rc = load(writer, rows, now_us);
        if (rc)
            break;
    }
    (void)sqlite3_finalize(rows);
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

/* The counts of the tables are those of the rows from now on. */
static int store_loaded(struct sqlite_writer *writer)
{
    unsigned long long jobs[WEFT_JOB_STATES] = {0};
    char sql[256];
    for (int64_t number = 1; number <= writer->queues.last; number++) {
        struct sqlite_queue *queue = weft_sqlite_queue_numbered(writer, number);
        if (!queue)
            continue;
        publish(queue);
        for (int state = 0; state < WEFT_JOB_STATES; state++)
            jobs[state] += queue->jobs[state];
    }
    (void)snprintf(sql, sizeof sql,
                   "UPDATE totals SET scheduled = %llu, available = %llu, running = %llu,"
                   " retryable = %llu, blocked = %llu",
                   jobs[WEFT_JOB_SCHEDULED], jobs[WEFT_JOB_AVAILABLE], jobs[WEFT_JOB_RUNNING],
                   jobs[WEFT_JOB_RETRYABLE], jobs[WEFT_JOB_BLOCKED]);
    return sqlite3_exec(writer->db, sql, NULL, NULL, NULL);
}

int weft_sqlite_queues_load(struct sqlite_writer *writer, int64_t now_us)
{
    writer->tasks.max = WEFT_TASKS_MAX;
    writer->queues.max = WEFT_QUEUES_MAX;
    int rc = load_rows(writer, "SELECT id, name FROM tasks ORDER BY id", now_us, load_task);
    if (!rc)
        rc = load_rows(writer,
                       "SELECT id, name, paused, size_max, running_max, running_max_per_key,"
                       " rate_per_s, burst, completed, cancelled, dead FROM queues ORDER BY id",
                       now_us, load_queue);
    if (!rc)
        rc = load_rows(writer,
                       "SELECT queue, state,"
                       " CASE WHEN state = 3 OR flags & 1 = 1 THEN limit_key END FROM queue",
                       now_us, load_job);
    return rc ? rc : store_loaded(writer);
}
