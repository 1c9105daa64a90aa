/* SPDX-License-Identifier: MIT
 * sqlite_read.c - what can be asked of the database: the texts of all readers, one job, statistics.
 *
 * Numbers of states in the SQL are those of job/state.h; sqlite_schema.c asserts them. */
#include "sqlite_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A job as weft_sqlite_column_job reads it. What is large stands last in every table, so that
 * what is not asked for is not read either. */
#define JOB(payload, result)                                                                       \
    "SELECT " SQLITE_ASKED_WITH(                                                                   \
        payload) ", t.name, n.name, coalesce(o.state, q.state),"                                   \
                 " coalesce(q.attempts_max, j.attempts_max), coalesce(o.attempt, q.attempt),"      \
                 " coalesce(o.crashes, q.crashes), q.flags, q.waits_for, q.run_at_us, "            \
                 "q.lease_token,"                                                                  \
                 " q.lease_until_us, q.progress, coalesce(o.worker, q.worker), o.thread,"          \
                 " coalesce(o.started_us, q.started_us), o.finished_us,"                           \
                 " coalesce(o.error, (SELECT e.error FROM errors e WHERE e.seq = j.seq"            \
                 "  ORDER BY e.at_us DESC, e.attempt DESC LIMIT 1)), " result                      \
                 " FROM jobs j LEFT JOIN queue q ON q.seq = j.seq LEFT JOIN outcomes o ON o.seq "  \
                 "= j.seq"                                                                         \
                 " LEFT JOIN tasks t ON t.id = j.task LEFT JOIN queues n ON n.id = j.queue WHERE " \
                 "j.seq = ?1"

// clang-format off
const char *const weft_sqlite_read_sql[READ_STATEMENTS] = {
    [READ_JOB] = JOB(" j.payload", "o.result"),
    [READ_LISTED_JOB] = JOB(" NULL", "NULL"),
    [READ_JOB_ID] = "SELECT id FROM jobs WHERE seq = ?1",
    [READ_FAILURES] =
        "SELECT * FROM (SELECT attempt, at_us, error FROM errors WHERE seq = ?1"
        " ORDER BY at_us DESC, attempt DESC LIMIT ?2) ORDER BY at_us, attempt",
    [READ_TOTALS] =
        "SELECT 0, scheduled, available, running, retryable, completed, cancelled, dead, blocked,"
        " processing_sum_us, processing_min_us, processing_max_us FROM totals WHERE one = 1",
    [READ_METRICS] =
        "SELECT CAST(round((julianday(timestamp) - 2440587.5) * 86400000) AS INTEGER) * 1000,"
        " total_queued, worker_0_queue, worker_1_queue, worker_2_queue, worker_3_queue,"
        " active_threads, processed_requests FROM queue_metrics ORDER BY rowid DESC LIMIT ?1",
    /* The condition is word for word that of the index queue_ready. */
    [READ_QUEUE_OLDEST] =
        "SELECT run_at_us FROM queue WHERE queue = (SELECT id FROM queues WHERE name = ?1)"
        " AND priority = ?2 AND state = 2 AND flags & 1 = 0 ORDER BY run_at_us LIMIT 1",

    /* Candidates for a page: seq, queue, task, state. See sqlite_list.c. */
    [READ_QUEUE_NUMBER] = "SELECT id FROM queues WHERE name = ?1",
    [READ_TASK_NUMBER] = "SELECT id FROM tasks WHERE name = ?1",
    [READ_LIST_JOBS] =
        "SELECT seq, queue, task, 0 FROM jobs WHERE seq < ?1 ORDER BY seq DESC",
    [READ_LIST_FLOW] =
        "SELECT j.seq, j.queue, j.task, coalesce(o.state, q.state) FROM jobs j"
        " LEFT JOIN queue q ON q.seq = j.seq LEFT JOIN outcomes o ON o.seq = j.seq"
        " WHERE j.flow = ?2 AND j.seq < ?1 ORDER BY j.seq DESC",
    [READ_LIST_LIVE] =
        "SELECT seq, queue, task, state FROM queue WHERE seq < ?1 ORDER BY seq DESC",
    [READ_LIST_COMPLETED] =
        "SELECT o.seq, j.queue, j.task, o.state FROM outcomes o CROSS JOIN jobs j"
        " ON j.seq = o.seq WHERE o.seq < ?1 ORDER BY o.seq DESC",
    [READ_LIST_UNUSUAL] =
        "SELECT o.seq, j.queue, j.task, o.state FROM outcomes o CROSS JOIN jobs j"
        " ON j.seq = o.seq WHERE o.state <> 5 AND o.state = ?2 AND o.result_until_us IS NULL"
        " AND o.seq < ?1 ORDER BY o.seq DESC",

    /* What can be removed: seq, state, finished_us. See sqlite_prune.c. */
    [READ_PRUNE_COMPLETED] =
        "SELECT seq, state, finished_us FROM outcomes WHERE seq > ?1 AND seq < ?2 ORDER BY seq",
    [READ_PRUNE_UNUSUAL] =
        "SELECT seq, state, finished_us FROM outcomes WHERE state <> 5 AND state = ?3"
        " AND result_until_us IS NULL AND seq > ?1 AND seq < ?2 ORDER BY seq",
    [READ_PRUNE_RESULTS] =
        "SELECT seq FROM outcomes WHERE state = 5 AND result_until_us IS NOT NULL"
        " AND result_until_us <= ?1"
        " ORDER BY result_until_us LIMIT ?2",

    /* See sqlite_manage.c. */
    [READ_WORKERS] =
        "SELECT id, name, host, pid, version, queues, concurrency, running, done, started_us,"
        " seen_us, ended_us FROM workers ORDER BY id DESC LIMIT ?1",
    [READ_CRONS] =
        "SELECT name, schedule, zone, missed, job, paused, created_us, next_us, last_us, last_job"
        " FROM crons ORDER BY paused, next_us, name LIMIT ?1",
    [READ_AUDITS] =
        "SELECT at_us, who, action, target, detail FROM audit ORDER BY rowid DESC LIMIT ?1",
};
// clang-format on

int weft_sqlite_column_job(sqlite3_stmt *row, struct weft_job **ret_job)
{
    struct weft_job job = {0};
    bool good = weft_sqlite_column_asked(row, 0, &job);
    int at = SQLITE_ASKED_COUNT;
    job.task = weft_sqlite_column_text(row, at++);
    job.queue = weft_sqlite_column_text(row, at++);
    job.state = (enum weft_job_state)sqlite3_column_int(row, at++);
    job.attempts_max = (uint16_t)sqlite3_column_int(row, at++);
    job.attempt = (uint16_t)sqlite3_column_int(row, at++);
    job.crashes = (uint16_t)sqlite3_column_int(row, at++);
    job.cancelling = (sqlite3_column_int(row, at++) & SQLITE_CANCELLING) != 0;
    job.waits_for = (uint32_t)sqlite3_column_int64(row, at++);
    job.run_at_us = sqlite3_column_int64(row, at++);
    job.lease_token = (uint64_t)sqlite3_column_int64(row, at++);
    job.lease_until_us = sqlite3_column_int64(row, at++);
    job.progress = weft_sqlite_column_text(row, at++);
    job.worker = sqlite3_column_int64(row, at++);
    job.thread = sqlite3_column_int64(row, at++);
    job.started_us = sqlite3_column_int64(row, at++);
    job.finished_us = sqlite3_column_int64(row, at++);
    job.error = weft_sqlite_column_text(row, at++);
    job.result = weft_sqlite_column_bytes(row, at++);
    if (!good || !job.task || !job.queue || job.state == WEFT_JOB_NONE)
        return WEFT_ECORRUPT;
    *ret_job = weft_job_copy(&job);
    return *ret_job ? 0 : -ENOMEM;
}

int weft_sqlite_pages_read(sqlite3 *db)
{
    int pages = 0, unused;
    (void)sqlite3_db_status(db, SQLITE_DBSTATUS_CACHE_MISS, &pages, &unused, 0);
    return pages;
}

/* --- one job --- */

struct job_call {
    const struct weft_uuid *id;
    struct weft_job *job;
    struct weft_job_failure *failures;
    size_t failures_max, failures_count;
};

/* Whether the row that a statement is at has this id in its first column: its number is only the
 * front part. */
static bool row_is_of(sqlite3_stmt *row, const struct weft_uuid *id)
{
    struct weft_uuid stored;
    return weft_sqlite_column_id(row, 0, &stored) &&
           memcmp(stored.bytes, id->bytes, sizeof id->bytes) == 0;
}

static int read_job(struct sqlite_reader *reader, void *arg)
{
    struct job_call *call = arg;
    sqlite3_stmt *select = reader->statements[READ_JOB];
    (void)sqlite3_bind_int64(select, 1, weft_sqlite_seq(call->id));
    int rc = sqlite3_step(select);
    int err = rc == SQLITE_DONE  ? -ENOENT
              : rc != SQLITE_ROW ? weft_sqlite_error(reader->db, rc)
                                 : 0;
    if (!err)
        err = row_is_of(select, call->id) ? weft_sqlite_column_job(select, &call->job) : -ENOENT;
    (void)sqlite3_reset(select);
    return err;
}

int weft_sqlite_find(struct weft_broker *broker, const struct weft_uuid *id,
                     struct weft_job **ret_job)
{
    struct job_call call = {.id = id};
    int err = weft_sqlite_read(weft_sqlite_of(broker), read_job, &call);
    if (!err)
        *ret_job = call.job;
    return err;
}

static int check_job(struct sqlite_reader *reader, const struct weft_uuid *id)
{
    sqlite3_stmt *select = reader->statements[READ_JOB_ID];
    (void)sqlite3_bind_int64(select, 1, weft_sqlite_seq(id));
    int rc = sqlite3_step(select);
    bool found = rc == SQLITE_ROW && row_is_of(select, id);
    (void)sqlite3_reset(select);
    return found                                   ? 0
           : rc == SQLITE_ROW || rc == SQLITE_DONE ? -ENOENT
                                                   : weft_sqlite_error(reader->db, rc);
}

static int read_failures(struct sqlite_reader *reader, void *arg)
{
    struct job_call *call = arg;
    int err = check_job(reader, call->id);
    if (err)
        return err;
    sqlite3_stmt *row = reader->statements[READ_FAILURES];
    size_t max =
        call->failures_max < WEFT_JOB_ERRORS_MAX ? call->failures_max : WEFT_JOB_ERRORS_MAX;
    (void)sqlite3_bind_int64(row, 1, weft_sqlite_seq(call->id));
    (void)sqlite3_bind_int64(row, 2, (int64_t)max);
    int rc;
    while ((rc = sqlite3_step(row)) == SQLITE_ROW && call->failures_count < max) {
        struct weft_job_failure *failure = &call->failures[call->failures_count++];
        failure->attempt = (unsigned)sqlite3_column_int(row, 0);
        failure->at_us = sqlite3_column_int64(row, 1);
        weft_sqlite_column_copy(row, 2, failure->text, sizeof failure->text);
    }
    (void)sqlite3_reset(row);
    return weft_sqlite_error(reader->db, rc);
}

int weft_sqlite_failures(struct weft_broker *broker, const struct weft_uuid *id,
                         struct weft_job_failure *failures, size_t max, size_t *ret_count)
{
    struct job_call call = {.id = id, .failures = failures, .failures_max = max};
    int err = weft_sqlite_read(weft_sqlite_of(broker), read_failures, &call);
    if (!err)
        *ret_count = call.failures_count;
    return err;
}

/* --- all of them --- */

static int read_totals(struct sqlite_reader *reader, struct weft_broker_stats *stats)
{
    sqlite3_stmt *row = reader->statements[READ_TOTALS];
    int rc = sqlite3_step(row);
    if (rc == SQLITE_ROW) {
        for (int state = 0; state < WEFT_JOB_STATES; state++)
            stats->jobs[state] = (uint64_t)sqlite3_column_int64(row, state);
        stats->processing_sum_us = sqlite3_column_int64(row, WEFT_JOB_STATES);
        stats->processing_min_us = sqlite3_column_int64(row, WEFT_JOB_STATES + 1);
        stats->processing_max_us = sqlite3_column_int64(row, WEFT_JOB_STATES + 2);
    }
    (void)sqlite3_reset(row);
    return rc == SQLITE_ROW    ? 0
           : rc == SQLITE_DONE ? WEFT_ECORRUPT
                               : weft_sqlite_error(reader->db, rc);
}

static int read_metrics(struct sqlite_reader *reader, struct weft_broker_stats *stats)
{
    sqlite3_stmt *row = reader->statements[READ_METRICS];
    (void)sqlite3_bind_int(row, 1, WEFT_BROKER_METRICS_RECENT);
    unsigned count = 0;
    int rc;
    while ((rc = sqlite3_step(row)) == SQLITE_ROW && count < WEFT_BROKER_METRICS_RECENT) {
        struct weft_queue_metrics *metrics = &stats->metrics[count++];
        metrics->time_us = sqlite3_column_int64(row, 0);
        metrics->total = (uint64_t)sqlite3_column_int64(row, 1);
        for (int i = 0; i < 4; i++)
            metrics->workers[i] = (uint64_t)sqlite3_column_int64(row, 2 + i);
        metrics->active = (uint64_t)sqlite3_column_int64(row, 6);
        metrics->processed = (uint64_t)sqlite3_column_int64(row, 7);
    }
    (void)sqlite3_reset(row);
    stats->metrics_count = count;
    return weft_sqlite_error(reader->db, rc);
}

static int read_stats(struct sqlite_reader *reader, void *arg)
{
    int err = read_totals(reader, arg);
    return err ? err : read_metrics(reader, arg);
}

int weft_sqlite_stats(struct weft_broker *broker, struct weft_broker_stats *ret_stats)
{
    struct sqlite_broker *sqlite = weft_sqlite_of(broker);
    struct weft_broker_stats stats = {0};
    int err = weft_sqlite_read(sqlite, read_stats, &stats);
    if (err)
        return err;
    stats.operations = atomic_load(&sqlite->writer.operations);
    stats.commits = atomic_load(&sqlite->writer.commits);
    stats.batch_max = atomic_load(&sqlite->writer.batch_max);
    *ret_stats = stats;
    return 0;
}

/* --- queues --- */

struct oldest_call {
    struct weft_queue_info *queues;
    size_t count;
};

/* The head of each priority: an index seek each. Jobs that are held back do not count. */
static int read_oldest(struct sqlite_reader *reader, struct weft_queue_info *queue)
{
    sqlite3_stmt *select = reader->statements[READ_QUEUE_OLDEST];
    int64_t oldest_us = INT64_MAX;
    int rc = SQLITE_DONE;
    weft_sqlite_bind_text(select, 1, queue->name);
    for (int priority = 0; priority <= WEFT_PRIORITY_LAST; priority++) {
        (void)sqlite3_bind_int(select, 2, priority);
        rc = sqlite3_step(select);
        if (rc == SQLITE_ROW && sqlite3_column_int64(select, 0) < oldest_us)
            oldest_us = sqlite3_column_int64(select, 0);
        (void)sqlite3_reset(select);
        if (rc != SQLITE_ROW && rc != SQLITE_DONE)
            break;
    }
    (void)sqlite3_clear_bindings(select);
    queue->oldest_us = oldest_us == INT64_MAX ? 0 : oldest_us;
    return weft_sqlite_error(reader->db, rc);
}

static int read_oldest_of_all(struct sqlite_reader *reader, void *arg)
{
    struct oldest_call *call = arg;
    int err = 0;
    for (size_t i = 0; !err && i < call->count; i++)
        if (call->queues[i].jobs[WEFT_JOB_AVAILABLE] > 0)
            err = read_oldest(reader, &call->queues[i]);
    return err;
}

/* When there is no room for all, those that come first by name: all have to be looked at. */
static int copy_first_queues(struct sqlite_broker *broker, struct weft_queue_info *queues,
                             size_t max, size_t *ret_count)
{
    struct weft_queue_info *all = calloc(WEFT_QUEUES_MAX, sizeof *all);
    if (!all)
        return -ENOMEM;
    *ret_count = weft_sqlite_queues_copy(broker, all, WEFT_QUEUES_MAX);
    if (max > 0)
        memcpy(queues, all, max * sizeof *all);
    free(all);
    return 0;
}

int weft_sqlite_queues(struct weft_broker *broker, struct weft_queue_info *queues, size_t max,
                       size_t *ret_count)
{
    struct sqlite_broker *sqlite = weft_sqlite_of(broker);
    size_t count = weft_sqlite_queues_copy(sqlite, queues, max);
    int err = count > max ? copy_first_queues(sqlite, queues, max, &count) : 0;
    if (err)
        return err;
    struct oldest_call call = {queues, count < max ? count : max};
    err = weft_sqlite_read(sqlite, read_oldest_of_all, &call);
    if (!err)
        *ret_count = count;
    return err;
}

int weft_sqlite_queue_find(struct weft_broker *broker, const char *name,
                           struct weft_queue_info *ret)
{
    struct weft_queue_info queue;
    int64_t number;
    int err = weft_sqlite_queue_copy(weft_sqlite_of(broker), name, &queue, &number);
    if (err)
        return err;
    struct oldest_call call = {&queue, 1};
    err = weft_sqlite_read(weft_sqlite_of(broker), read_oldest_of_all, &call);
    if (!err)
        *ret = queue;
    return err;
}
