/* SPDX-License-Identifier: MIT
 * sqlite_write.c - what each request does inside the transaction. Runs on the writer thread.
 *
 * Numbers of states in the SQL are those of job/state.h; sqlite_schema.c asserts them. */
#include "sqlite_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define CLAIM_BYTES_MAX        ((size_t)8 << 20) /* of payloads; one job more may go beyond it */
#define PROMOTE_MAX            1000
#define METRICS_ROWS_MAX       "100000"
#define SCHEDULED_OR_RETRYABLE "state IN (1, 4)" /* word for word as in the index queue_due */

// clang-format off
static const char *const sql[SQL_STATEMENTS] = {
    [SQL_BEGIN] = "BEGIN IMMEDIATE",
    [SQL_COMMIT] = "COMMIT",
    [SQL_ROLLBACK] = "ROLLBACK",
    [SQL_TOTALS] =
        "UPDATE totals SET scheduled = scheduled + ?1, available = available + ?2,"
        " running = running + ?3, retryable = retryable + ?4, completed = completed + ?5,"
        " cancelled = cancelled + ?6, dead = dead + ?7, blocked = blocked + ?8,"
        " processing_sum_us = processing_sum_us + ?9,"
        " processing_min_us = min(coalesce(processing_min_us, ?10), coalesce(?10, processing_min_us)),"
        " processing_max_us = max(coalesce(processing_max_us, ?11), coalesce(?11, processing_max_us))"
        " WHERE one = 1",
    [SQL_JOB_INSERT] =
        "INSERT INTO jobs (seq, id, task, priority, attempts_max, created_us, payload)"
        " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    [SQL_QUEUE_INSERT] =
        "INSERT INTO queue (seq, state, worker, priority, run_at_us, attempt, attempts_max,"
        " lease_token, started_us) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    [SQL_CLAIM_SELECT] =
        "SELECT q.seq, j.id, j.task, q.priority, q.attempts_max, j.created_us, j.payload,"
        " q.attempt, q.run_at_us, q.crashes FROM queue q CROSS JOIN jobs j ON j.seq = q.seq"
        " WHERE q.state = 2 AND q.worker = ?1 ORDER BY q.priority, q.run_at_us, q.seq LIMIT ?2",
    [SQL_CLAIM_UPDATE] =
        "UPDATE queue SET state = 3, attempt = attempt + 1, lease_token = ?2, started_us = ?3"
        " WHERE seq = ?1",
    /* The token is the fence: whoever comes with an old one changes no row. */
    [SQL_LEASE_SELECT] =
        "SELECT 1 FROM queue WHERE seq = ?1 AND lease_token = ?2 AND state = 3",
    [SQL_LEASE_END] = "DELETE FROM queue WHERE seq = ?1 AND lease_token = ?2 AND state = 3",
    [SQL_LEASE_RETURN] =
        "UPDATE queue SET state = ?3, run_at_us = max(run_at_us, ?4), attempt = attempt - ?5,"
        " lease_token = NULL, started_us = NULL"
        " WHERE seq = ?1 AND lease_token = ?2 AND state = 3",
    [SQL_OUTCOME_INSERT] =
        "INSERT INTO outcomes (seq, state, worker, attempt, thread, started_us, finished_us,"
        " result, error, crashes) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
    [SQL_ERROR_INSERT] =
        "INSERT OR REPLACE INTO errors (seq, attempt, at_us, error) VALUES (?1, ?2, ?3, ?4)",
    [SQL_DUE_SELECT] =
        "SELECT seq, worker, state FROM queue WHERE " SCHEDULED_OR_RETRYABLE
        " AND run_at_us <= ?1 ORDER BY run_at_us LIMIT ?2",
    [SQL_DUE_UPDATE] = "UPDATE queue SET state = 2 WHERE seq = ?1",
    [SQL_DUE_NEXT] = "SELECT run_at_us FROM queue WHERE " SCHEDULED_OR_RETRYABLE
        " ORDER BY run_at_us LIMIT 1",
    [SQL_ADOPT] = "UPDATE queue SET worker = worker % ?1 WHERE worker >= ?1",
    [SQL_COUNTS] =
        "SELECT worker, state = 2, count(*) FROM queue WHERE state <> 3 GROUP BY 1, 2",
    [SQL_METRICS_INSERT] =
        "INSERT INTO queue_metrics VALUES (strftime('%Y-%m-%dT%H:%M:%f', ?1 / 1000000.0,"
        " 'unixepoch') || 'Z', ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    [SQL_METRICS_PRUNE] =
        "DELETE FROM queue_metrics WHERE rowid <="
        " (SELECT max(rowid) FROM queue_metrics) - " METRICS_ROWS_MAX,
};
// clang-format on

int weft_sqlite_prepare(struct sqlite_writer *writer)
{
    for (int i = 0; i < SQL_STATEMENTS; i++) {
        int rc = sqlite3_prepare_v3(writer->db, sql[i], -1, SQLITE_PREPARE_PERSISTENT,
                                    &writer->statements[i], NULL);
        if (rc != SQLITE_OK)
            return weft_sqlite_error(writer->db, rc);
    }
    return 0;
}

void weft_sqlite_finalize(struct sqlite_writer *writer)
{
    for (int i = 0; i < SQL_STATEMENTS; i++) {
        (void)sqlite3_finalize(writer->statements[i]);
        writer->statements[i] = NULL;
    }
}

int weft_sqlite_run(struct sqlite_writer *writer, enum sqlite_statement statement)
{
    int rc = sqlite3_step(writer->statements[statement]);
    (void)sqlite3_reset(writer->statements[statement]);
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

/* A code that concerns one item only, or the whole transaction? */
static bool is_items_own(int rc)
{
    return (rc & 0xff) == SQLITE_CONSTRAINT || (rc & 0xff) == SQLITE_TOOBIG;
}

static void count_move(struct sqlite_writer *writer, enum weft_job_state from,
                       enum weft_job_state to)
{
    writer->delta.jobs[from]--;
    writer->delta.jobs[to]++;
    writer->delta.dirty = true;
}

static void bind_bytes(sqlite3_stmt *statement, int at, const struct weft_bytes *bytes)
{
    if (!bytes->data)
        (void)sqlite3_bind_null(statement, at);
    else if (bytes->json)
        (void)sqlite3_bind_text64(statement, at, bytes->data, bytes->len, SQLITE_STATIC,
                                  SQLITE_UTF8);
    else
        (void)sqlite3_bind_blob64(statement, at, bytes->data, bytes->len, SQLITE_STATIC);
}

static int insert_job(struct sqlite_writer *writer, const struct weft_job *job, int64_t seq)
{
    sqlite3_stmt *insert = writer->statements[SQL_JOB_INSERT];
    (void)sqlite3_bind_int64(insert, 1, seq);
    (void)sqlite3_bind_blob(insert, 2, job->id.bytes, sizeof job->id.bytes, SQLITE_STATIC);
    (void)sqlite3_bind_text(insert, 3, job->task, -1, SQLITE_STATIC);
    (void)sqlite3_bind_int(insert, 4, job->priority);
    (void)sqlite3_bind_int(insert, 5, job->attempts_max);
    (void)sqlite3_bind_int64(insert, 6, job->created_us);
    bind_bytes(insert, 7, &job->payload);
    int rc = weft_sqlite_run(writer, SQL_JOB_INSERT);
    (void)sqlite3_clear_bindings(insert); /* nothing borrowed is kept */
    return rc;
}

static int enqueue_one(struct sqlite_writer *writer, struct weft_enqueue *item, int64_t now_us)
{
    const struct weft_job *job = item->job;
    int64_t seq = weft_sqlite_seq(&job->id);
    enum weft_job_state state = item->claim               ? WEFT_JOB_RUNNING
                                : job->run_at_us > now_us ? WEFT_JOB_SCHEDULED
                                                          : WEFT_JOB_AVAILABLE;
    int rc = insert_job(writer, job, seq);
    if (rc)
        return rc;
    sqlite3_stmt *insert = writer->statements[SQL_QUEUE_INSERT];
    (void)sqlite3_bind_int64(insert, 1, seq);
    (void)sqlite3_bind_int(insert, 2, (int)state);
    (void)sqlite3_bind_int(insert, 3, job->worker);
    (void)sqlite3_bind_int(insert, 4, job->priority);
    (void)sqlite3_bind_int64(insert, 5, job->run_at_us);
    (void)sqlite3_bind_int(insert, 6, item->claim);
    (void)sqlite3_bind_int(insert, 7, job->attempts_max);
    (void)sqlite3_bind_null(insert, 8);
    (void)sqlite3_bind_null(insert, 9);
    if (item->claim) {
        item->lease_token = writer->next_token++;
        (void)sqlite3_bind_int64(insert, 8, (int64_t)item->lease_token);
        (void)sqlite3_bind_int64(insert, 9, now_us);
    }
    rc = weft_sqlite_run(writer, SQL_QUEUE_INSERT);
    if (rc)
        return is_items_own(rc) ? SQLITE_CORRUPT : rc; /* in the queue but not in jobs */
    writer->delta.jobs[state]++;
    writer->delta.dirty = true;
    return SQLITE_OK;
}

int weft_sqlite_apply_enqueue(struct sqlite_writer *writer, struct sqlite_request *request)
{
    struct weft_enqueue *items = request->arg;
    for (size_t i = 0; i < request->count; i++) {
        struct weft_enqueue *item = &items[i];
        if (item->job->payload.len > WEFT_JOB_PAYLOAD_MAX) {
            item->err = -EMSGSIZE;
            continue;
        }
        int rc = enqueue_one(writer, item, request->now_us);
        if (rc && !is_items_own(rc))
            return rc;
        item->err = weft_sqlite_error(writer->db, rc);
    }
    return SQLITE_OK;
}

static int claimed_job(sqlite3_stmt *row, const struct weft_claim *claim, uint64_t token,
                       int64_t now_us, struct weft_job **ret_job)
{
    struct weft_job job = {
        .task = (const char *)sqlite3_column_text(row, 2),
        .priority = (uint8_t)sqlite3_column_int(row, 3),
        .attempts_max = (uint16_t)sqlite3_column_int(row, 4),
        .created_us = sqlite3_column_int64(row, 5),
        .payload = weft_sqlite_column_bytes(row, 6),
        .state = WEFT_JOB_RUNNING,
        .worker = (uint16_t)claim->worker,
        .attempt = (uint16_t)(sqlite3_column_int(row, 7) + 1),
        .run_at_us = sqlite3_column_int64(row, 8),
        .crashes = (uint16_t)sqlite3_column_int(row, 9),
        .lease_token = token,
        .started_us = now_us,
    };
    const void *id = sqlite3_column_blob(row, 1);
    if (!job.task || !id || sqlite3_column_bytes(row, 1) != (int)sizeof job.id.bytes)
        return SQLITE_CORRUPT;
    memcpy(job.id.bytes, id, sizeof job.id.bytes);
    if (weft_sqlite_seq(&job.id) != sqlite3_column_int64(row, 0))
        return SQLITE_CORRUPT;
    *ret_job = weft_job_copy(&job);
    return *ret_job ? SQLITE_OK : SQLITE_NOMEM;
}

/* Copy the rows out first: a table must not be changed while it is being read. */
static int claim_select(struct sqlite_writer *writer, struct weft_claim *claim, uint64_t token,
                        int64_t now_us)
{
    sqlite3_stmt *select = writer->statements[SQL_CLAIM_SELECT];
    (void)sqlite3_bind_int64(select, 1, claim->worker);
    (void)sqlite3_bind_int64(select, 2, claim->jobs_max);
    size_t bytes = 0;
    int rc;
    claim->more = false;
    while ((rc = sqlite3_step(select)) == SQLITE_ROW && !claim->more) {
        struct weft_job **ret_job = &claim->jobs[claim->count];
        rc = claimed_job(select, claim, token, now_us, ret_job);
        if (rc)
            break;
        claim->count++;
        bytes += (*ret_job)->payload.len;
        claim->more = bytes > CLAIM_BYTES_MAX;
    }
    (void)sqlite3_reset(select);
    return rc == SQLITE_DONE || rc == SQLITE_ROW ? SQLITE_OK : rc;
}

int weft_sqlite_apply_claim(struct sqlite_writer *writer, struct sqlite_request *request)
{
    struct weft_claim *claim = request->arg;
    while (claim->count > 0) /* of a run that was rolled back */
        weft_job_free(claim->jobs[--claim->count]);
    uint64_t token = writer->next_token++;
    int rc = claim_select(writer, claim, token, request->now_us);
    sqlite3_stmt *update = writer->statements[SQL_CLAIM_UPDATE];
    for (unsigned i = 0; !rc && i < claim->count; i++) {
        (void)sqlite3_bind_int64(update, 1, weft_sqlite_seq(&claim->jobs[i]->id));
        (void)sqlite3_bind_int64(update, 2, (int64_t)token);
        (void)sqlite3_bind_int64(update, 3, request->now_us);
        rc = weft_sqlite_run(writer, SQL_CLAIM_UPDATE);
        count_move(writer, WEFT_JOB_AVAILABLE, WEFT_JOB_RUNNING);
    }
    return rc;
}

static void bind_lease(sqlite3_stmt *statement, const struct weft_uuid *id, uint64_t token)
{
    (void)sqlite3_bind_int64(statement, 1, weft_sqlite_seq(id));
    (void)sqlite3_bind_int64(statement, 2, (int64_t)token);
}

static void bind_error(sqlite3_stmt *statement, int at, const char *error)
{
    if (error)
        (void)sqlite3_bind_text(statement, at, error, (int)strnlen(error, WEFT_JOB_ERROR_MAX),
                                SQLITE_STATIC);
    else
        (void)sqlite3_bind_null(statement, at);
}

/* Take the job out of the queue, or give it back to it; *ret_held tells whether the lease was the
 * job's present one, else nothing happened. */
static int end_lease(struct sqlite_writer *writer, const struct weft_settlement *item,
                     enum weft_job_state state, int64_t now_us, bool *ret_held)
{
    bool stays = item->event == WEFT_JOB_RETRY || item->event == WEFT_JOB_RELEASE;
    enum sqlite_statement which = stays ? SQL_LEASE_RETURN : SQL_LEASE_END;
    sqlite3_stmt *statement = writer->statements[which];
    bind_lease(statement, &item->job->id, item->job->lease_token);
    if (stays) {
        bool retry = item->event == WEFT_JOB_RETRY;
        (void)sqlite3_bind_int(statement, 3, (int)state);
        (void)sqlite3_bind_int64(statement, 4, retry ? now_us + item->delay_us : 0);
        (void)sqlite3_bind_int(statement, 5, retry ? 0 : 1); /* the attempt is not spent */
    }
    int rc = weft_sqlite_run(writer, which);
    *ret_held = !rc && sqlite3_changes(writer->db) == 1;
    return rc;
}

static int insert_error(struct sqlite_writer *writer, const struct weft_settlement *item,
                        int64_t now_us)
{
    sqlite3_stmt *insert = writer->statements[SQL_ERROR_INSERT];
    (void)sqlite3_bind_int64(insert, 1, weft_sqlite_seq(&item->job->id));
    (void)sqlite3_bind_int(insert, 2, item->job->attempt);
    (void)sqlite3_bind_int64(insert, 3, now_us);
    bind_error(insert, 4, item->error);
    int rc = weft_sqlite_run(writer, SQL_ERROR_INSERT);
    (void)sqlite3_clear_bindings(insert);
    return rc;
}

static void count_time(struct sqlite_delta *delta, int64_t took_us)
{
    delta->processing_sum_us += took_us;
    if (took_us < delta->processing_min_us)
        delta->processing_min_us = took_us;
    if (took_us > delta->processing_max_us)
        delta->processing_max_us = took_us;
}

/* Completed, dead or cancelled: into the history. */
static int insert_outcome(struct sqlite_writer *writer, const struct weft_settlement *item,
                          enum weft_job_state state, int64_t now_us)
{
    const struct weft_job *job = item->job;
    const struct weft_bytes nothing = {NULL, 0, false};
    bool completed = state == WEFT_JOB_COMPLETED;
    sqlite3_stmt *insert = writer->statements[SQL_OUTCOME_INSERT];
    (void)sqlite3_bind_int64(insert, 1, weft_sqlite_seq(&job->id));
    (void)sqlite3_bind_int(insert, 2, (int)state);
    (void)sqlite3_bind_int(insert, 3, job->worker);
    (void)sqlite3_bind_int(insert, 4, job->attempt);
    (void)sqlite3_bind_int64(insert, 5, item->thread);
    (void)sqlite3_bind_int64(insert, 6, job->started_us);
    (void)sqlite3_bind_int64(insert, 7, now_us);
    bind_bytes(insert, 8, completed ? &item->result : &nothing);
    bind_error(insert, 9, completed ? NULL : item->error);
    (void)sqlite3_bind_int(insert, 10, job->crashes);
    int rc = weft_sqlite_run(writer, SQL_OUTCOME_INSERT);
    (void)sqlite3_clear_bindings(insert);
    if (!rc && completed)
        count_time(&writer->delta, now_us > job->started_us ? now_us - job->started_us : 0);
    return rc;
}

static int settle_one(struct sqlite_writer *writer, struct weft_settlement *item, int64_t now_us)
{
    enum weft_job_state state = weft_job_next(WEFT_JOB_RUNNING, item->event);
    item->err = -EINVAL;
    if (state == WEFT_JOB_NONE || item->event == WEFT_JOB_LOSE)
        return SQLITE_OK;
    item->err = -ESTALE;
    bool held;
    int rc = end_lease(writer, item, state, now_us, &held);
    if (rc || !held)
        return rc;
    item->err = 0;
    if (item->error && (item->event == WEFT_JOB_RETRY || item->event == WEFT_JOB_DIE))
        rc = insert_error(writer, item, now_us);
    if (!rc && item->event != WEFT_JOB_RETRY && item->event != WEFT_JOB_RELEASE)
        rc = insert_outcome(writer, item, state, now_us);
    count_move(writer, WEFT_JOB_RUNNING, state);
    return rc;
}

int weft_sqlite_apply_settle(struct sqlite_writer *writer, struct sqlite_request *request)
{
    struct weft_settlement *items = request->arg;
    int rc = SQLITE_OK;
    for (size_t i = 0; !rc && i < request->count; i++)
        rc = settle_one(writer, &items[i], request->now_us);
    return rc;
}

int weft_sqlite_apply_extend(struct sqlite_writer *writer, struct sqlite_request *request)
{
    struct weft_lease *items = request->arg;
    sqlite3_stmt *select = writer->statements[SQL_LEASE_SELECT];
    for (size_t i = 0; i < request->count; i++) {
        bind_lease(select, &items[i].id, items[i].token);
        int rc = sqlite3_step(select);
        (void)sqlite3_reset(select);
        if (rc != SQLITE_ROW && rc != SQLITE_DONE)
            return rc;
        items[i].err = rc == SQLITE_ROW ? 0 : -ESTALE;
    }
    return SQLITE_OK;
}

struct due {
    int64_t seq;
    int worker;
    enum weft_job_state state;
};

static int select_due(struct sqlite_writer *writer, struct due *due, int64_t now_us,
                      unsigned *ret_count)
{
    sqlite3_stmt *select = writer->statements[SQL_DUE_SELECT];
    (void)sqlite3_bind_int64(select, 1, now_us);
    (void)sqlite3_bind_int(select, 2, PROMOTE_MAX);
    unsigned count = 0;
    int rc;
    while ((rc = sqlite3_step(select)) == SQLITE_ROW && count < PROMOTE_MAX)
        due[count++] = (struct due){
            .seq = sqlite3_column_int64(select, 0),
            .worker = sqlite3_column_int(select, 1),
            .state = (enum weft_job_state)sqlite3_column_int(select, 2),
        };
    (void)sqlite3_reset(select);
    *ret_count = count;
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

static int select_next_due(struct sqlite_writer *writer, int64_t now_us, int64_t *ret_next_us)
{
    sqlite3_stmt *select = writer->statements[SQL_DUE_NEXT];
    int rc = sqlite3_step(select);
    int64_t next_us = INT64_MAX;
    if (rc == SQLITE_ROW)
        next_us = sqlite3_column_int64(select, 0) - now_us;
    (void)sqlite3_reset(select);
    if (rc != SQLITE_ROW && rc != SQLITE_DONE)
        return rc;
    *ret_next_us = next_us < 0 ? 0 : next_us;
    return SQLITE_OK;
}

int weft_sqlite_apply_promote(struct sqlite_writer *writer, struct sqlite_request *request)
{
    struct weft_promotion *promotion = request->arg;
    *promotion = (struct weft_promotion){.next_us = INT64_MAX};
    struct due *due = calloc(PROMOTE_MAX, sizeof *due);
    if (!due)
        return SQLITE_NOMEM;
    unsigned count = 0;
    int rc = select_due(writer, due, request->now_us, &count);
    sqlite3_stmt *update = writer->statements[SQL_DUE_UPDATE];
    for (unsigned i = 0; !rc && i < count; i++) {
        (void)sqlite3_bind_int64(update, 1, due[i].seq);
        rc = weft_sqlite_run(writer, SQL_DUE_UPDATE);
        count_move(writer, due[i].state, weft_job_next(due[i].state, WEFT_JOB_DUE));
        if (due[i].worker >= 0 && due[i].worker < (int)WEFT_WORKERS_MAX)
            promotion->moved[due[i].worker]++;
    }
    promotion->more = count == PROMOTE_MAX;
    free(due);
    return rc ? rc : select_next_due(writer, request->now_us, &promotion->next_us);
}

int weft_sqlite_apply_adopt(struct sqlite_writer *writer, struct sqlite_request *request)
{
    const struct sqlite_adoption *adoption = request->arg;
    struct weft_worker_counts *counts = adoption->counts;
    memset(counts, 0, adoption->workers * sizeof *counts);
    (void)sqlite3_bind_int64(writer->statements[SQL_ADOPT], 1, (int64_t)adoption->workers);
    int rc = weft_sqlite_run(writer, SQL_ADOPT);
    if (rc)
        return rc;
    sqlite3_stmt *select = writer->statements[SQL_COUNTS];
    while ((rc = sqlite3_step(select)) == SQLITE_ROW) {
        int worker = sqlite3_column_int(select, 0);
        if (worker < 0 || worker >= (int)adoption->workers)
            continue;
        uint64_t count = (uint64_t)sqlite3_column_int64(select, 2);
        if (sqlite3_column_int(select, 1))
            counts[worker].available = count;
        else
            counts[worker].waiting += count;
    }
    (void)sqlite3_reset(select);
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

int weft_sqlite_apply_record(struct sqlite_writer *writer, struct sqlite_request *request)
{
    const struct weft_queue_metrics *metrics = request->arg;
    sqlite3_stmt *insert = writer->statements[SQL_METRICS_INSERT];
    (void)sqlite3_bind_int64(insert, 1, metrics->time_us ? metrics->time_us : request->now_us);
    (void)sqlite3_bind_int64(insert, 2, (int64_t)metrics->total);
    for (int i = 0; i < 4; i++)
        (void)sqlite3_bind_int64(insert, 3 + i, (int64_t)metrics->workers[i]);
    (void)sqlite3_bind_int64(insert, 7, (int64_t)metrics->active);
    (void)sqlite3_bind_int64(insert, 8, (int64_t)metrics->processed);
    int rc = weft_sqlite_run(writer, SQL_METRICS_INSERT);
    return rc ? rc : weft_sqlite_run(writer, SQL_METRICS_PRUNE);
}

int weft_sqlite_apply_limit(struct sqlite_writer *writer, struct sqlite_request *request)
{
    const uint64_t *size_bytes_max = request->arg;
    return weft_sqlite_limit_pages(writer->db, *size_bytes_max) ? SQLITE_ERROR : SQLITE_OK;
}

int weft_sqlite_write_totals(struct sqlite_writer *writer)
{
    const struct sqlite_delta *delta = &writer->delta;
    if (!delta->dirty)
        return SQLITE_OK;
    sqlite3_stmt *update = writer->statements[SQL_TOTALS];
    (void)sqlite3_clear_bindings(update); /* NULL leaves minimum and maximum as they are */
    for (int state = WEFT_JOB_SCHEDULED; state < WEFT_JOB_STATES; state++)
        (void)sqlite3_bind_int64(update, state, delta->jobs[state]);
    (void)sqlite3_bind_int64(update, 9, delta->processing_sum_us);
    if (delta->processing_min_us != INT64_MAX) {
        (void)sqlite3_bind_int64(update, 10, delta->processing_min_us);
        (void)sqlite3_bind_int64(update, 11, delta->processing_max_us);
    }
    return weft_sqlite_run(writer, SQL_TOTALS);
}
