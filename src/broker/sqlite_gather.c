/* SPDX-License-Identifier: MIT
 * sqlite_gather.c - rows that are written together.
 *
 * Most of what it costs to insert a row is to begin and to end the statement: opening the table and
 * its indexes. So what a transaction inserts is gathered, and written by one statement for all of
 * them, which reads the rows from a virtual table: 40 % less for a hundred rows. Whoever is about
 * to read these tables writes them first.
 *
 * An id that is in use shows only then, when the others of the transaction have gone on in the
 * belief that there was none. That is so rare that all of it is rolled back and done again, one by
 * one; see weft_sqlite_transact. */
#include "sqlite_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// clang-format off
const struct sqlite_text weft_sqlite_texts_gather[] = {
    /* FAIL: nothing is kept for taking back a part of it, because all of it is. */
    {SQL_JOBS_INSERT_PLAIN,
     "INSERT OR FAIL INTO jobs (seq, id, task, queue, priority, attempts_max, created_us, payload)"
     " SELECT seq, id, task, queue, priority, attempts_max, created_us, payload FROM weft_new_job"},
    {SQL_JOBS_INSERT,
     "INSERT OR FAIL INTO jobs (seq, id, task, queue, priority, attempts_max, created_us,"
     " expires_us, timeout_us, grace_us, result_ttl_us, backoff, flow, limit_key, unique_key,"
     " content_type, headers, payload) SELECT seq, id, task, queue, priority, attempts_max,"
     " created_us, expires_us, timeout_us, grace_us, result_ttl_us, backoff, flow, limit_key,"
     " unique_key, content_type, headers, payload FROM weft_new_job"},
    {SQL_QUEUE_INSERT_PLAIN,
     "INSERT OR FAIL INTO queue (seq, state, queue, task, priority, run_at_us, attempt,"
     " attempts_max, lease_token, started_us) SELECT seq, state, queue, task, priority, run_at_us,"
     " attempt, attempts_max, lease_token, started_us FROM weft_new_job"},
    {SQL_QUEUE_INSERT,
     "INSERT OR FAIL INTO queue (seq, state, queue, task, priority, run_at_us, attempt,"
     " attempts_max, flags, wake_us, lease_token, lease_until_us, started_us, worker, waits_for,"
     " expires_us, limit_key) SELECT seq, state, queue, task, priority, run_at_us, attempt,"
     " attempts_max, flags, wake_us, lease_token, lease_until_us, started_us, worker, waits_for,"
     " expires_us, limit_key FROM weft_new_job WHERE state <> 6"},
    {SQL_OUTCOMES_INSERT,
     "INSERT OR FAIL INTO outcomes (seq, state, worker, attempt, crashes, thread, started_us,"
     " finished_us, result_until_us, error, result) SELECT seq, state, worker, attempt, crashes,"
     " thread, started_us, finished_us, result_until_us, error, result FROM weft_new_outcome"},
    {SQL_STATEMENTS, NULL},
};
// clang-format on

/* --- gathering --- */

bool weft_sqlite_gather_job(struct sqlite_writer *writer, const struct sqlite_new_job *job)
{
    struct sqlite_gather *gather = &writer->gather;
    struct sqlite_new_job *jobs =
        weft_sqlite_grow(gather->jobs, gather->jobs_count, &gather->jobs_capacity, sizeof *jobs);
    if (!jobs)
        return false;
    gather->jobs = jobs;
    jobs[gather->jobs_count++] = *job;
    return true;
}

bool weft_sqlite_gather_outcome(struct sqlite_writer *writer,
                                const struct sqlite_new_outcome *outcome)
{
    struct sqlite_gather *gather = &writer->gather;
    struct sqlite_new_outcome *outcomes = weft_sqlite_grow(
        gather->outcomes, gather->outcomes_count, &gather->outcomes_capacity, sizeof *outcomes);
    if (!outcomes)
        return false;
    gather->outcomes = outcomes;
    outcomes[gather->outcomes_count++] = *outcome;
    return true;
}

static bool is_plain(const struct sqlite_new_job *row)
{
    static const struct weft_uuid none;
    const struct weft_job *job = row->job;
    return !row->flags && !row->wake_us && !row->lease_until_us && !row->worker &&
           !row->waits_for && row->state != WEFT_JOB_CANCELLED && job->expires_us <= 0 &&
           job->timeout_us <= 0 && job->grace_us <= 0 && job->result_ttl_us <= 0 &&
           job->backoff.base_us <= 0 && !job->limit_key && !job->unique_key && !job->content_type &&
           !job->headers && memcmp(&job->flow, &none, sizeof none) == 0;
}

int weft_sqlite_flush(struct sqlite_writer *writer)
{
    struct sqlite_gather *gather = &writer->gather;
    bool plain = true;
    int rc = SQLITE_OK;
    for (size_t i = 0; plain && i < gather->jobs_count; i++)
        plain = is_plain(&gather->jobs[i]);
    if (gather->jobs_count > 0) {
        rc = weft_sqlite_run(writer, plain ? SQL_JOBS_INSERT_PLAIN : SQL_JOBS_INSERT);
        /* From here on a row that is there already means that the tables do not agree. */
        if (!rc) {
            rc = weft_sqlite_run(writer, plain ? SQL_QUEUE_INSERT_PLAIN : SQL_QUEUE_INSERT);
            rc = weft_sqlite_is_items_own(rc) ? SQLITE_CORRUPT : rc;
        }
    }
    if (!rc && gather->outcomes_count > 0) {
        rc = weft_sqlite_run(writer, SQL_OUTCOMES_INSERT);
        rc = weft_sqlite_is_items_own(rc) ? SQLITE_CORRUPT : rc;
    }
    gather->jobs_count = gather->outcomes_count = 0;
    return rc;
}

/* --- the virtual tables that the statements read --- */

struct table {
    sqlite3_vtab base;
    const struct sqlite_gather *gather;
};

struct cursor {
    sqlite3_vtab_cursor base;
    size_t at;
};

static const struct sqlite_gather *gather_of(const sqlite3_vtab_cursor *cursor)
{
    return ((const struct table *)(const void *)cursor->pVtab)->gather;
}

static size_t place(const sqlite3_vtab_cursor *cursor)
{
    return ((const struct cursor *)(const void *)cursor)->at;
}

static int connect_table(sqlite3 *db, void *gather, const char *columns, sqlite3_vtab **ret_table)
{
    struct table *table = calloc(1, sizeof *table);
    if (!table)
        return SQLITE_NOMEM;
    int rc = sqlite3_declare_vtab(db, columns);
    if (rc) {
        free(table);
        return rc;
    }
    table->gather = gather;
    *ret_table = &table->base;
    return SQLITE_OK;
}

static int table_disconnect(sqlite3_vtab *table)
{
    free(table);
    return SQLITE_OK;
}

/* There is but one way to read it: all of it. */
static int table_best_index(sqlite3_vtab *table, sqlite3_index_info *info)
{
    (void)table;
    info->estimatedCost = 100;
    return SQLITE_OK;
}

static int table_open(sqlite3_vtab *table, sqlite3_vtab_cursor **ret_cursor)
{
    (void)table;
    struct cursor *cursor = calloc(1, sizeof *cursor);
    if (!cursor)
        return SQLITE_NOMEM;
    *ret_cursor = &cursor->base;
    return SQLITE_OK;
}

static int table_close(sqlite3_vtab_cursor *cursor)
{
    free(cursor);
    return SQLITE_OK;
}

static int table_filter(sqlite3_vtab_cursor *cursor, int number, const char *text, int argc,
                        sqlite3_value **argv)
{
    (void)number, (void)text, (void)argc, (void)argv;
    ((struct cursor *)(void *)cursor)->at = 0;
    return SQLITE_OK;
}

static int table_next(sqlite3_vtab_cursor *cursor)
{
    ((struct cursor *)(void *)cursor)->at++;
    return SQLITE_OK;
}

static int table_rowid(sqlite3_vtab_cursor *cursor, sqlite3_int64 *ret_rowid)
{
    *ret_rowid = (sqlite3_int64)place(cursor);
    return SQLITE_OK;
}

/* NULL, which a column is that nothing is said about, for 0 and below. */
static void positive(sqlite3_context *context, int64_t value)
{
    if (value > 0)
        sqlite3_result_int64(context, value);
}

/* NULL for none and for "". */
static void text(sqlite3_context *context, const char *value)
{
    if (value && value[0])
        sqlite3_result_text(context, value, -1, SQLITE_STATIC);
}

static void bytes(sqlite3_context *context, const struct weft_bytes *value)
{
    if (!value || !value->data)
        return;
    if (value->json)
        sqlite3_result_text64(context, value->data, value->len, SQLITE_STATIC, SQLITE_UTF8);
    else
        sqlite3_result_blob64(context, value->data, value->len, SQLITE_STATIC);
}

static void backoff(sqlite3_context *context, const struct weft_job_backoff *value)
{
    char buffer[64];
    if (value->base_us <= 0)
        return;
    (void)snprintf(buffer, sizeof buffer, "%u %u %lld %lld", (unsigned)value->kind,
                   (unsigned)value->jitter, (long long)value->base_us, (long long)value->cap_us);
    sqlite3_result_text(context, buffer, -1, SQLITE_TRANSIENT);
}

static void flow(sqlite3_context *context, const struct weft_uuid *value)
{
    static const struct weft_uuid none;
    if (memcmp(value, &none, sizeof none) != 0)
        sqlite3_result_blob(context, value->bytes, sizeof value->bytes, SQLITE_STATIC);
}

/* --- new jobs --- */

enum job_column {
    JOB_SEQ,
    JOB_ID,
    JOB_TASK,
    JOB_QUEUE,
    JOB_PRIORITY,
    JOB_ATTEMPTS_MAX,
    JOB_CREATED_US,
    JOB_EXPIRES_US,
    JOB_TIMEOUT_US,
    JOB_GRACE_US,
    JOB_RESULT_TTL_US,
    JOB_BACKOFF,
    JOB_FLOW,
    JOB_LIMIT_KEY,
    JOB_UNIQUE_KEY,
    JOB_CONTENT_TYPE,
    JOB_HEADERS,
    JOB_PAYLOAD,
    JOB_STATE,
    JOB_RUN_AT_US,
    JOB_ATTEMPT,
    JOB_FLAGS,
    JOB_WAKE_US,
    JOB_LEASE_TOKEN,
    JOB_LEASE_UNTIL_US,
    JOB_STARTED_US,
    JOB_WORKER,
    JOB_WAITS_FOR,
};

static int job_connect(sqlite3 *db, void *gather, int argc, const char *const *argv,
                       sqlite3_vtab **ret_table, char **error)
{
    (void)argc, (void)argv, (void)error;
    return connect_table(db, gather,
                         "CREATE TABLE x (seq, id, task, queue, priority, attempts_max,"
                         " created_us, expires_us, timeout_us, grace_us, result_ttl_us, backoff,"
                         " flow, limit_key, unique_key, content_type, headers, payload, state,"
                         " run_at_us, attempt, flags, wake_us, lease_token, lease_until_us,"
                         " started_us, worker, waits_for)",
                         ret_table);
}

static int job_eof(sqlite3_vtab_cursor *cursor)
{
    return place(cursor) >= gather_of(cursor)->jobs_count;
}

/* What was asked for. */
static void asked_column(sqlite3_context *context, const struct weft_job *job,
                         enum job_column column)
{
    switch ((int)column) {
    case JOB_ID:
        sqlite3_result_blob(context, job->id.bytes, sizeof job->id.bytes, SQLITE_STATIC);
        break;
    case JOB_PRIORITY:
        sqlite3_result_int(context, job->priority);
        break;
    case JOB_ATTEMPTS_MAX:
        sqlite3_result_int(context, job->attempts_max);
        break;
    case JOB_CREATED_US:
        sqlite3_result_int64(context, job->created_us);
        break;
    case JOB_EXPIRES_US:
        positive(context, job->expires_us);
        break;
    case JOB_TIMEOUT_US:
        positive(context, job->timeout_us);
        break;
    case JOB_GRACE_US:
        positive(context, job->grace_us);
        break;
    case JOB_RESULT_TTL_US:
        positive(context, job->result_ttl_us);
        break;
    case JOB_BACKOFF:
        backoff(context, &job->backoff);
        break;
    case JOB_FLOW:
        flow(context, &job->flow);
        break;
    case JOB_LIMIT_KEY:
        text(context, job->limit_key);
        break;
    case JOB_UNIQUE_KEY:
        text(context, job->unique_key);
        break;
    case JOB_CONTENT_TYPE:
        text(context, job->content_type);
        break;
    case JOB_HEADERS:
        text(context, job->headers);
        break;
    case JOB_PAYLOAD:
        bytes(context, &job->payload);
        break;
    case JOB_RUN_AT_US:
        sqlite3_result_int64(context, job->run_at_us);
        break;
    }
}

static int job_column(sqlite3_vtab_cursor *cursor, sqlite3_context *context, int column)
{
    const struct sqlite_new_job *row = &gather_of(cursor)->jobs[place(cursor)];
    switch (column) {
    case JOB_SEQ:
        sqlite3_result_int64(context, row->seq);
        break;
    case JOB_TASK:
        sqlite3_result_int64(context, row->task);
        break;
    case JOB_QUEUE:
        sqlite3_result_int64(context, row->queue);
        break;
    case JOB_STATE:
        sqlite3_result_int(context, (int)row->state);
        break;
    case JOB_ATTEMPT:
        sqlite3_result_int(context, row->state == WEFT_JOB_RUNNING);
        break;
    case JOB_FLAGS:
        sqlite3_result_int(context, (int)row->flags);
        break;
    case JOB_WAKE_US:
        positive(context, row->wake_us);
        break;
    case JOB_LEASE_TOKEN:
        positive(context, (int64_t)row->lease_token);
        break;
    case JOB_LEASE_UNTIL_US:
        positive(context, row->lease_until_us);
        break;
    case JOB_STARTED_US:
        positive(context, row->started_us);
        break;
    case JOB_WORKER:
        positive(context, row->worker);
        break;
    case JOB_WAITS_FOR:
        positive(context, row->waits_for);
        break;
    default:
        asked_column(context, row->job, (enum job_column)column);
    }
    return SQLITE_OK;
}

/* --- new outcomes --- */

enum outcome_column {
    OUTCOME_SEQ,
    OUTCOME_STATE,
    OUTCOME_WORKER,
    OUTCOME_ATTEMPT,
    OUTCOME_CRASHES,
    OUTCOME_THREAD,
    OUTCOME_STARTED_US,
    OUTCOME_FINISHED_US,
    OUTCOME_RESULT_UNTIL_US,
    OUTCOME_ERROR,
    OUTCOME_RESULT,
};

static int outcome_connect(sqlite3 *db, void *gather, int argc, const char *const *argv,
                           sqlite3_vtab **ret_table, char **error)
{
    (void)argc, (void)argv, (void)error;
    return connect_table(db, gather,
                         "CREATE TABLE x (seq, state, worker, attempt, crashes, thread,"
                         " started_us, finished_us, result_until_us, error, result)",
                         ret_table);
}

static int outcome_eof(sqlite3_vtab_cursor *cursor)
{
    return place(cursor) >= gather_of(cursor)->outcomes_count;
}

static int outcome_column(sqlite3_vtab_cursor *cursor, sqlite3_context *context, int column)
{
    const struct sqlite_new_outcome *row = &gather_of(cursor)->outcomes[place(cursor)];
    switch (column) {
    case OUTCOME_SEQ:
        sqlite3_result_int64(context, row->seq);
        break;
    case OUTCOME_STATE:
        sqlite3_result_int(context, (int)row->state);
        break;
    case OUTCOME_WORKER:
        positive(context, row->worker);
        break;
    case OUTCOME_ATTEMPT:
        sqlite3_result_int(context, (int)row->attempt);
        break;
    case OUTCOME_CRASHES:
        sqlite3_result_int(context, (int)row->crashes);
        break;
    case OUTCOME_THREAD:
        if (row->thread)
            sqlite3_result_int64(context, row->thread);
        break;
    case OUTCOME_STARTED_US:
        positive(context, row->started_us);
        break;
    case OUTCOME_FINISHED_US:
        sqlite3_result_int64(context, row->finished_us);
        break;
    case OUTCOME_RESULT_UNTIL_US:
        positive(context, row->result_until_us);
        break;
    case OUTCOME_ERROR:
        if (row->error)
            sqlite3_result_text(context, row->error, (int)weft_sqlite_error_len(row->error),
                                SQLITE_STATIC);
        break;
    case OUTCOME_RESULT:
        bytes(context, row->result);
        break;
    }
    return SQLITE_OK;
}

/* --- jobs that are claimed --- */

static int claimed_connect(sqlite3 *db, void *gather, int argc, const char *const *argv,
                           sqlite3_vtab **ret_table, char **error)
{
    (void)argc, (void)argv, (void)error;
    return connect_table(db, gather, "CREATE TABLE x (seq)", ret_table);
}

static int claimed_eof(sqlite3_vtab_cursor *cursor)
{
    return place(cursor) >= gather_of(cursor)->claimed.count;
}

static int claimed_column(sqlite3_vtab_cursor *cursor, sqlite3_context *context, int column)
{
    (void)column;
    sqlite3_result_int64(context, gather_of(cursor)->claimed.items[place(cursor)].seq);
    return SQLITE_OK;
}

/* --- life --- */

int weft_sqlite_gather_init(struct sqlite_writer *writer)
{
    static const sqlite3_module jobs = {
        .xConnect = job_connect,
        .xBestIndex = table_best_index,
        .xDisconnect = table_disconnect,
        .xOpen = table_open,
        .xClose = table_close,
        .xFilter = table_filter,
        .xNext = table_next,
        .xEof = job_eof,
        .xColumn = job_column,
        .xRowid = table_rowid,
    };
    static const sqlite3_module outcomes = {
        .xConnect = outcome_connect,
        .xBestIndex = table_best_index,
        .xDisconnect = table_disconnect,
        .xOpen = table_open,
        .xClose = table_close,
        .xFilter = table_filter,
        .xNext = table_next,
        .xEof = outcome_eof,
        .xColumn = outcome_column,
        .xRowid = table_rowid,
    };
    static const sqlite3_module claimed = {
        .xConnect = claimed_connect,
        .xBestIndex = table_best_index,
        .xDisconnect = table_disconnect,
        .xOpen = table_open,
        .xClose = table_close,
        .xFilter = table_filter,
        .xNext = table_next,
        .xEof = claimed_eof,
        .xColumn = claimed_column,
        .xRowid = table_rowid,
    };
    int rc = sqlite3_create_module(writer->db, "weft_new_job", &jobs, &writer->gather);
    if (!rc)
        rc = sqlite3_create_module(writer->db, "weft_new_outcome", &outcomes, &writer->gather);
    if (!rc)
        rc = sqlite3_create_module(writer->db, "weft_claimed", &claimed, &writer->gather);
    return weft_sqlite_error(writer->db, rc);
}

void weft_sqlite_gather_free(struct sqlite_gather *gather)
{
    free(gather->jobs);
    free(gather->outcomes);
    free(gather->claimed.items);
}
