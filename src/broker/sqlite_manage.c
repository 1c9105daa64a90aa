/* SPDX-License-Identifier: MIT
 * sqlite_manage.c - what is kept beside the jobs: metrics, the registry of workers, and who did
 * what by hand. Each has a limit of rows. */
#include "sqlite_internal.h"

#include <errno.h>
#include <string.h>

#define METRICS_ROWS_MAX "100000"
#define AUDIT_ROWS_MAX   "100000"
#define WORKERS_ROWS_MAX "10000"
#define WORKERS_KEPT_US  (INT64_C(86400) * 1000000)
#define HELD_ROWS_MAX    "10000" /* looked at when a worker leaves: about 10 ms */

// clang-format off
const struct sqlite_text weft_sqlite_texts_manage[] = {
    {SQL_METRICS_INSERT,
        "INSERT INTO queue_metrics VALUES (strftime('%Y-%m-%dT%H:%M:%f', ?1 / 1000000.0,"
        " 'unixepoch') || 'Z', ?2, ?3, ?4, ?5, ?6, ?7, ?8)"},
    {SQL_METRICS_TRIM,
        "DELETE FROM queue_metrics WHERE rowid <="
        " (SELECT max(rowid) FROM queue_metrics) - " METRICS_ROWS_MAX},
    {SQL_WORKER_INSERT,
        "INSERT INTO workers (name, host, pid, version, queues, concurrency, running, done,"
        " started_us, seen_us) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?9)"},
    {SQL_WORKERS_TRIM,
        "DELETE FROM workers WHERE seen_us < ?1 OR id <="
        " (SELECT max(id) FROM workers) - " WORKERS_ROWS_MAX},
    {SQL_WORKER_BEAT,
        "UPDATE workers SET concurrency = ifnull(nullif(?2, 0), concurrency), running = ?3,"
        " done = ?4, seen_us = ?5"
        " WHERE id = ?1 AND ended_us IS NULL"},
    {SQL_WORKER_LEAVE,
        "UPDATE workers SET running = 0, seen_us = ?2, ended_us = ?2"
        " WHERE id = ?1 AND ended_us IS NULL"},
    /* Leases with an end are among what is due next. The condition is word for word that of the
     * index. */
    {SQL_WORKER_HOLDS,
        "SELECT seq FROM (SELECT seq, state, worker FROM queue WHERE wake_us IS NOT NULL"
        " AND wake_us > ?2 ORDER BY wake_us LIMIT " HELD_ROWS_MAX ") WHERE state = 3 AND worker = ?1"},
    {SQL_AUDIT_INSERT, "INSERT INTO audit VALUES (?1, ?2, ?3, ?4, ?5)"},
    {SQL_AUDIT_TRIM,
        "DELETE FROM audit WHERE rowid <= (SELECT max(rowid) FROM audit) - " AUDIT_ROWS_MAX},
    {SQL_STATEMENTS, NULL},
};
// clang-format on

void weft_sqlite_column_copy(sqlite3_stmt *row, int column, char *text, size_t bytes)
{
    const char *stored = weft_sqlite_column_text(row, column);
    size_t len = stored ? strnlen(stored, bytes - 1) : 0;
    if (len > 0)
        memcpy(text, stored, len);
    text[len] = '\0';
}

int weft_sqlite_change(struct weft_broker *broker,
                       int (*apply)(struct sqlite_writer *writer, struct sqlite_request *request),
                       struct sqlite_change *change, size_t bytes)
{
    struct sqlite_request request = {
        .apply = apply, .arg = change, .count = 1, .bytes = bytes + SQLITE_ROW_BYTES};
    int err = weft_sqlite_write(weft_sqlite_of(broker), &request);
    return err ? err : change->err;
}

int weft_sqlite_run_bound(struct sqlite_writer *writer, enum sqlite_statement statement)
{
    int rc = weft_sqlite_run(writer, statement);
    (void)sqlite3_clear_bindings(writer->statements[statement]);
    return rc;
}

/* --- metrics --- */

static int apply_record(struct sqlite_writer *writer, struct sqlite_request *request)
{
    const struct weft_queue_metrics *metrics = ((const struct sqlite_change *)request->arg)->what;
    sqlite3_stmt *insert = writer->statements[SQL_METRICS_INSERT];
    (void)sqlite3_bind_int64(insert, 1, metrics->time_us ? metrics->time_us : request->now_us);
    (void)sqlite3_bind_int64(insert, 2, (int64_t)metrics->total);
    for (int i = 0; i < 4; i++)
        (void)sqlite3_bind_int64(insert, 3 + i, (int64_t)metrics->workers[i]);
    (void)sqlite3_bind_int64(insert, 7, (int64_t)metrics->active);
    (void)sqlite3_bind_int64(insert, 8, (int64_t)metrics->processed);
    int rc = weft_sqlite_run(writer, SQL_METRICS_INSERT);
    return rc ? rc : weft_sqlite_run(writer, SQL_METRICS_TRIM);
}

int weft_sqlite_record(struct weft_broker *broker, const struct weft_queue_metrics *metrics)
{
    struct sqlite_change change = {.what = metrics};
    return weft_sqlite_change(broker, apply_record, &change, 0);
}

/* --- workers --- */

static int apply_join(struct sqlite_writer *writer, struct sqlite_request *request)
{
    struct sqlite_change *change = request->arg;
    const struct weft_worker_info *worker = change->what;
    (void)sqlite3_bind_int64(writer->statements[SQL_WORKERS_TRIM], 1,
                             request->now_us - WORKERS_KEPT_US);
    sqlite3_stmt *insert = writer->statements[SQL_WORKER_INSERT];
    weft_sqlite_bind_text(insert, 1, worker->name);
    weft_sqlite_bind_text(insert, 2, worker->host);
    (void)sqlite3_bind_int64(insert, 3, worker->pid);
    weft_sqlite_bind_text(insert, 4, worker->version);
    weft_sqlite_bind_text(insert, 5, worker->queues);
    (void)sqlite3_bind_int64(insert, 6, (int64_t)worker->concurrency);
    (void)sqlite3_bind_int64(insert, 7, (int64_t)worker->running);
    (void)sqlite3_bind_int64(insert, 8, (int64_t)worker->done);
    (void)sqlite3_bind_int64(insert, 9, request->now_us);
    int rc = weft_sqlite_run_bound(writer, SQL_WORKER_INSERT);
    change->number = sqlite3_last_insert_rowid(writer->db);
    return rc ? rc : weft_sqlite_run(writer, SQL_WORKERS_TRIM);
}

int weft_sqlite_worker_join(struct weft_broker *broker, struct weft_worker_info *worker)
{
    if (!weft_job_name_is_valid(worker->name))
        return -EINVAL;
    struct sqlite_change change = {.what = worker};
    int err = weft_sqlite_change(broker, apply_join, &change, 0);
    if (!err)
        worker->number = change.number;
    return err;
}

static int apply_beat(struct sqlite_writer *writer, struct sqlite_request *request)
{
    struct sqlite_change *change = request->arg;
    const struct weft_worker_info *worker = change->what;
    sqlite3_stmt *update = writer->statements[SQL_WORKER_BEAT];
    (void)sqlite3_bind_int64(update, 1, worker->number);
    (void)sqlite3_bind_int64(update, 2, (int64_t)worker->concurrency);
    (void)sqlite3_bind_int64(update, 3, (int64_t)worker->running);
    (void)sqlite3_bind_int64(update, 4, (int64_t)worker->done);
    (void)sqlite3_bind_int64(update, 5, request->now_us);
    int rc = weft_sqlite_run(writer, SQL_WORKER_BEAT);
    change->err = sqlite3_changes(writer->db) == 1 ? 0 : -ENOENT;
    return rc;
}

int weft_sqlite_worker_beat(struct weft_broker *broker, const struct weft_worker_info *worker)
{
    struct sqlite_change change = {.what = worker};
    return weft_sqlite_change(broker, apply_beat, &change, 0);
}

static int list_held(struct sqlite_writer *writer, int64_t worker, int64_t now_us)
{
    sqlite3_stmt *select = writer->statements[SQL_WORKER_HOLDS];
    int rc;
    writer->found.count = 0;
    (void)sqlite3_bind_int64(select, 1, worker);
    (void)sqlite3_bind_int64(select, 2, now_us);
    while ((rc = sqlite3_step(select)) == SQLITE_ROW)
        if (!weft_sqlite_list_add(writer, &writer->found, sqlite3_column_int64(select, 0), NULL,
                                  0)) {
            rc = SQLITE_NOMEM;
            break;
        }
    (void)sqlite3_reset(select);
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

/* Nobody will settle what it holds: as if the leases had run out. */
static int lose_held(struct sqlite_writer *writer, int64_t worker, int64_t now_us)
{
    int rc = list_held(writer, worker, now_us);
    for (size_t i = 0; !rc && i < writer->found.count; i++) {
        struct sqlite_row row;
        rc = weft_sqlite_row_find(writer, writer->found.items[i].seq, NULL, &row);
        rc = rc == SQLITE_ROW    ? weft_sqlite_lose(writer, &row, now_us)
             : rc == SQLITE_DONE ? SQLITE_CORRUPT
                                 : rc;
        if (!rc)
            rc = weft_sqlite_resolve(writer, now_us);
    }
    return rc;
}

static int apply_leave(struct sqlite_writer *writer, struct sqlite_request *request)
{
    struct sqlite_change *change = request->arg;
    sqlite3_stmt *update = writer->statements[SQL_WORKER_LEAVE];
    (void)sqlite3_bind_int64(update, 1, change->number);
    (void)sqlite3_bind_int64(update, 2, request->now_us);
    int rc = weft_sqlite_run(writer, SQL_WORKER_LEAVE);
    change->err = sqlite3_changes(writer->db) == 1 ? 0 : -ENOENT;
    return rc || change->err ? rc : lose_held(writer, change->number, request->now_us);
}

int weft_sqlite_worker_leave(struct weft_broker *broker, int64_t number)
{
    struct sqlite_change change = {.number = number};
    return weft_sqlite_change(broker, apply_leave, &change, 0);
}

struct rows_call {
    void *rows;
    size_t max, count;
};

static void column_worker(sqlite3_stmt *row, struct weft_worker_info *worker)
{
    *worker = (struct weft_worker_info){
        .number = sqlite3_column_int64(row, 0),
        .pid = sqlite3_column_int64(row, 3),
        .concurrency = (uint64_t)sqlite3_column_int64(row, 6),
        .running = (uint64_t)sqlite3_column_int64(row, 7),
        .done = (uint64_t)sqlite3_column_int64(row, 8),
        .started_us = sqlite3_column_int64(row, 9),
        .seen_us = sqlite3_column_int64(row, 10),
        .ended_us = sqlite3_column_int64(row, 11),
    };
    weft_sqlite_column_copy(row, 1, worker->name, sizeof worker->name);
    weft_sqlite_column_copy(row, 2, worker->host, sizeof worker->host);
    weft_sqlite_column_copy(row, 4, worker->version, sizeof worker->version);
    weft_sqlite_column_copy(row, 5, worker->queues, sizeof worker->queues);
}

static int read_workers(struct sqlite_reader *reader, void *arg)
{
    struct rows_call *call = arg;
    struct weft_worker_info *workers = call->rows;
    sqlite3_stmt *row = reader->statements[READ_WORKERS];
    (void)sqlite3_bind_int64(row, 1, (int64_t)call->max);
    int rc;
    while ((rc = sqlite3_step(row)) == SQLITE_ROW && call->count < call->max)
        column_worker(row, &workers[call->count++]);
    (void)sqlite3_reset(row);
    return weft_sqlite_error(reader->db, rc);
}

int weft_sqlite_workers(struct weft_broker *broker, struct weft_worker_info *workers, size_t max,
                        size_t *ret_count)
{
    struct rows_call call = {.rows = workers, .max = max};
    int err = weft_sqlite_read(weft_sqlite_of(broker), read_workers, &call);
    if (!err)
        *ret_count = call.count;
    return err;
}

/* --- what was done by hand --- */

static int apply_audit(struct sqlite_writer *writer, struct sqlite_request *request)
{
    const struct weft_audit_entry *entry = ((const struct sqlite_change *)request->arg)->what;
    sqlite3_stmt *insert = writer->statements[SQL_AUDIT_INSERT];
    (void)sqlite3_bind_int64(insert, 1, entry->at_us ? entry->at_us : request->now_us);
    weft_sqlite_bind_text(insert, 2, entry->who);
    weft_sqlite_bind_text(insert, 3, entry->action);
    weft_sqlite_bind_text(insert, 4, entry->target);
    weft_sqlite_bind_text(insert, 5, entry->detail);
    int rc = weft_sqlite_run_bound(writer, SQL_AUDIT_INSERT);
    return rc ? rc : weft_sqlite_run(writer, SQL_AUDIT_TRIM);
}

int weft_sqlite_audit(struct weft_broker *broker, const struct weft_audit_entry *entry)
{
    struct sqlite_change change = {.what = entry};
    return weft_sqlite_change(broker, apply_audit, &change, 0);
}

static int read_audits(struct sqlite_reader *reader, void *arg)
{
    struct rows_call *call = arg;
    sqlite3_stmt *row = reader->statements[READ_AUDITS];
    (void)sqlite3_bind_int64(row, 1, (int64_t)call->max);
    int rc;
    while ((rc = sqlite3_step(row)) == SQLITE_ROW && call->count < call->max) {
        struct weft_audit_entry *entry = (struct weft_audit_entry *)call->rows + call->count++;
        entry->at_us = sqlite3_column_int64(row, 0);
        weft_sqlite_column_copy(row, 1, entry->who, sizeof entry->who);
        weft_sqlite_column_copy(row, 2, entry->action, sizeof entry->action);
        weft_sqlite_column_copy(row, 3, entry->target, sizeof entry->target);
        weft_sqlite_column_copy(row, 4, entry->detail, sizeof entry->detail);
    }
    (void)sqlite3_reset(row);
    return weft_sqlite_error(reader->db, rc);
}

int weft_sqlite_audits(struct weft_broker *broker, struct weft_audit_entry *entries, size_t max,
                       size_t *ret_count)
{
    struct rows_call call = {.rows = entries, .max = max};
    int err = weft_sqlite_read(weft_sqlite_of(broker), read_audits, &call);
    if (!err)
        *ret_count = call.count;
    return err;
}
