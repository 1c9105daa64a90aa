/* SPDX-License-Identifier: MIT
 * sqlite_read.c - connections that read, beside the writer. Runs on offload threads, so there are
 * never more connections than there are such threads. */
#include "sqlite_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

// clang-format off
static const char find_sql[] =
    "SELECT j.id, j.task, j.priority, j.attempts_max, j.created_us, j.payload,"
    " coalesce(o.state, q.state), coalesce(o.worker, q.worker), coalesce(o.attempt, q.attempt),"
    " q.run_at_us, q.lease_token, coalesce(o.started_us, q.started_us), o.finished_us, o.thread,"
    " o.result, coalesce(o.error, (SELECT e.error FROM errors e WHERE e.seq = j.seq"
    "  ORDER BY e.attempt DESC LIMIT 1)), coalesce(o.crashes, q.crashes)"
    " FROM jobs j LEFT JOIN queue q ON q.seq = j.seq LEFT JOIN outcomes o ON o.seq = j.seq"
    " WHERE j.seq = ?1";
static const char totals_sql[] =
    "SELECT 0, scheduled, available, running, retryable, completed, cancelled, dead, blocked,"
    " processing_sum_us, processing_min_us, processing_max_us FROM totals WHERE one = 1";
static const char metrics_sql[] =
    "SELECT CAST(round((julianday(timestamp) - 2440587.5) * 86400000) AS INTEGER) * 1000,"
    " total_queued, worker_0_queue, worker_1_queue, worker_2_queue, worker_3_queue,"
    " active_threads, processed_requests FROM queue_metrics ORDER BY rowid DESC LIMIT ?1";
// clang-format on

static void reader_close(struct sqlite_reader *reader)
{
    (void)sqlite3_finalize(reader->find);
    (void)sqlite3_finalize(reader->totals);
    (void)sqlite3_finalize(reader->metrics);
    (void)sqlite3_close(reader->db);
    free(reader);
}

static int reader_open(struct sqlite_broker *broker, struct sqlite_reader **ret_reader)
{
    struct sqlite_reader *reader = calloc(1, sizeof *reader);
    if (!reader)
        return -ENOMEM;
    int err = weft_sqlite_connect(&reader->db, broker->path, SQLITE_OPEN_READWRITE);
    if (!err) {
        /* Opened for writing only in so far as WAL needs it for its shared memory. */
        int rc = sqlite3_exec(reader->db, "PRAGMA query_only = 1; PRAGMA wal_autocheckpoint = 0;",
                              NULL, NULL, NULL);
        const unsigned keep = SQLITE_PREPARE_PERSISTENT;
        if (rc == SQLITE_OK)
            rc = sqlite3_prepare_v3(reader->db, find_sql, -1, keep, &reader->find, NULL);
        if (rc == SQLITE_OK)
            rc = sqlite3_prepare_v3(reader->db, totals_sql, -1, keep, &reader->totals, NULL);
        if (rc == SQLITE_OK)
            rc = sqlite3_prepare_v3(reader->db, metrics_sql, -1, keep, &reader->metrics, NULL);
        err = weft_sqlite_error(reader->db, rc);
    }
    if (err) {
        reader_close(reader);
        return err;
    }
    *ret_reader = reader;
    return 0;
}

static int reader_acquire(struct sqlite_broker *broker, struct sqlite_reader **ret_reader)
{
    (void)pthread_mutex_lock(&broker->readers_lock);
    struct sqlite_reader *reader = broker->readers;
    if (reader)
        broker->readers = reader->next;
    (void)pthread_mutex_unlock(&broker->readers_lock);
    if (!reader)
        return reader_open(broker, ret_reader);
    *ret_reader = reader;
    return 0;
}

static void reader_release(struct sqlite_broker *broker, struct sqlite_reader *reader)
{
    (void)pthread_mutex_lock(&broker->readers_lock);
    reader->next = broker->readers;
    broker->readers = reader;
    (void)pthread_mutex_unlock(&broker->readers_lock);
}

void weft_sqlite_readers_close(struct sqlite_broker *broker)
{
    while (broker->readers) {
        struct sqlite_reader *reader = broker->readers;
        broker->readers = reader->next;
        reader_close(reader);
    }
}

struct weft_bytes weft_sqlite_column_bytes(sqlite3_stmt *row, int column)
{
    int type = sqlite3_column_type(row, column);
    if (type == SQLITE_NULL)
        return (struct weft_bytes){NULL, 0, false};
    const char *data = type == SQLITE_TEXT ? (const char *)sqlite3_column_text(row, column)
                                           : sqlite3_column_blob(row, column);
    size_t len = (size_t)sqlite3_column_bytes(row, column);
    return (struct weft_bytes){data ? data : "", len, type == SQLITE_TEXT};
}

static int row_to_job(sqlite3_stmt *row, const struct weft_uuid *id, struct weft_job **ret_job)
{
    /* The row's number is only the front part of the id. */
    const void *stored = sqlite3_column_blob(row, 0);
    if (!stored || sqlite3_column_bytes(row, 0) != (int)sizeof id->bytes ||
        memcmp(stored, id->bytes, sizeof id->bytes) != 0)
        return -ENOENT;
    struct weft_job job = {
        .id = *id,
        .task = (const char *)sqlite3_column_text(row, 1),
        .priority = (uint8_t)sqlite3_column_int(row, 2),
        .attempts_max = (uint16_t)sqlite3_column_int(row, 3),
        .created_us = sqlite3_column_int64(row, 4),
        .payload = weft_sqlite_column_bytes(row, 5),
        .state = (enum weft_job_state)sqlite3_column_int(row, 6),
        .worker = (uint16_t)sqlite3_column_int(row, 7),
        .attempt = (uint16_t)sqlite3_column_int(row, 8),
        .run_at_us = sqlite3_column_int64(row, 9),
        .lease_token = (uint64_t)sqlite3_column_int64(row, 10),
        .started_us = sqlite3_column_int64(row, 11),
        .finished_us = sqlite3_column_int64(row, 12),
        .thread = sqlite3_column_int64(row, 13),
        .result = weft_sqlite_column_bytes(row, 14),
        .error = (const char *)sqlite3_column_text(row, 15),
        .crashes = (uint16_t)sqlite3_column_int(row, 16),
    };
    if (!job.task || job.state == WEFT_JOB_NONE)
        return WEFT_ECORRUPT;
    *ret_job = weft_job_copy(&job);
    return *ret_job ? 0 : -ENOMEM;
}

int weft_sqlite_read_find(struct sqlite_broker *broker, const struct weft_uuid *id,
                          struct weft_job **ret_job)
{
    struct sqlite_reader *reader;
    int err = reader_acquire(broker, &reader);
    if (err)
        return err;
    (void)sqlite3_bind_int64(reader->find, 1, weft_sqlite_seq(id));
    int rc = sqlite3_step(reader->find);
    if (rc == SQLITE_ROW)
        err = row_to_job(reader->find, id, ret_job);
    else
        err = rc == SQLITE_DONE ? -ENOENT : weft_sqlite_error(reader->db, rc);
    (void)sqlite3_reset(reader->find);
    reader_release(broker, reader);
    return err;
}

static int read_totals(struct sqlite_reader *reader, struct weft_broker_stats *stats)
{
    sqlite3_stmt *row = reader->totals;
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
    sqlite3_stmt *row = reader->metrics;
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

int weft_sqlite_read_stats(struct sqlite_broker *broker, struct weft_broker_stats *ret_stats)
{
    struct sqlite_reader *reader;
    int err = reader_acquire(broker, &reader);
    if (err)
        return err;
    err = read_totals(reader, ret_stats);
    if (!err)
        err = read_metrics(reader, ret_stats);
    reader_release(broker, reader);
    return err;
}
