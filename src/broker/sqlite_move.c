/* SPDX-License-Identifier: MIT
 * sqlite_move.c - a job that is not over goes from state to state: by its worker, by time, by hand.
 * Each move keeps the rows, the counts, the limits and the events in step. */
#include "sqlite_internal.h"

#include <stdio.h>
#include <string.h>

_Static_assert(WEFT_JOB_ERRORS_MAX == 20, "SQL_ERRORS_TRIM has this number in it");

/* Of state ?2 at ?3, which is one in which a job waits. */
#define WAKE_US "CASE ?2 WHEN 2 THEN expires_us ELSE min(?3, coalesce(expires_us, ?3)) END"

// clang-format off
const struct sqlite_text weft_sqlite_texts_move[] = {
    {SQL_ROW_SELECT,
     "SELECT state, queue, task, attempt, crashes, flags, lease_token, started_us, worker,"
     " run_at_us, waits_for, limit_key FROM queue WHERE seq = ?1"},
    {SQL_ID_SELECT, "SELECT id FROM jobs WHERE seq = ?1"},
    {SQL_REASON_SELECT, "SELECT reason FROM queue WHERE seq = ?1"},
    {SQL_ROW_DELETE, "DELETE FROM queue WHERE seq = ?1"},
    {SQL_RESULT_TTL_SELECT, "SELECT result_ttl_us FROM jobs WHERE seq = ?1"},
    {SQL_RETURN,
     "UPDATE queue SET state = ?2, run_at_us = ?3, wake_us = " WAKE_US ", attempt = ?4,"
     " crashes = ?5, lease_token = NULL, lease_until_us = NULL, started_us = NULL, progress = NULL"
     " WHERE seq = ?1"},
    {SQL_READY,
     "UPDATE queue SET state = ?2, run_at_us = ?3, wake_us = " WAKE_US ", waits_for = NULL"
     " WHERE seq = ?1"},
    {SQL_ERROR_INSERT,
     "INSERT INTO errors (seq, at_us, attempt, error) VALUES (?1, " SQLITE_ERROR_TIME("?2", "?1") ","
     " ?3, ?4)"},
    {SQL_ERRORS_TRIM,
     "DELETE FROM errors WHERE seq = ?1 AND at_us <= (SELECT at_us FROM errors WHERE seq = ?1"
     " ORDER BY at_us DESC LIMIT 1 OFFSET 20)"},
    {SQL_STATEMENTS, NULL},
};
// clang-format on

int weft_sqlite_row_find(struct sqlite_writer *writer, int64_t seq, const struct weft_uuid *id,
                         struct sqlite_row *ret_row)
{
    sqlite3_stmt *select = writer->statements[SQL_ROW_SELECT];
    (void)sqlite3_bind_int64(select, 1, seq);
    int rc = sqlite3_step(select);
    if (rc == SQLITE_ROW) {
        const char *key = weft_sqlite_column_text(select, 11);
        ret_row->seq = seq;
        ret_row->state = (enum weft_job_state)sqlite3_column_int(select, 0);
        ret_row->queue = weft_sqlite_queue_numbered(writer, sqlite3_column_int64(select, 1));
        ret_row->task = weft_sqlite_name_numbered(&writer->tasks, sqlite3_column_int64(select, 2));
        ret_row->attempt = (unsigned)sqlite3_column_int(select, 3);
        ret_row->crashes = (unsigned)sqlite3_column_int(select, 4);
        ret_row->flags = (unsigned)sqlite3_column_int(select, 5);
        ret_row->token = (uint64_t)sqlite3_column_int64(select, 6);
        ret_row->started_us = sqlite3_column_int64(select, 7);
        ret_row->worker = sqlite3_column_int64(select, 8);
        ret_row->run_at_us = sqlite3_column_int64(select, 9);
        ret_row->waits_for = (unsigned)sqlite3_column_int64(select, 10);
        size_t key_len = key ? strnlen(key, WEFT_JOB_KEY_MAX) : 0;
        if (key_len > 0)
            memcpy(ret_row->limit_key, key, key_len);
        ret_row->limit_key[key_len] = '\0';
        if (!ret_row->queue || !ret_row->task)
            rc = SQLITE_CORRUPT;
    }
    (void)sqlite3_reset(select);
    if (rc != SQLITE_ROW)
        return rc;
    if (id) {
        ret_row->id = *id;
        return rc;
    }
    select = writer->statements[SQL_ID_SELECT];
    (void)sqlite3_bind_int64(select, 1, seq);
    rc = sqlite3_step(select);
    if (rc == SQLITE_DONE || (rc == SQLITE_ROW && !weft_sqlite_column_id(select, 0, &ret_row->id)))
        rc = SQLITE_CORRUPT;
    (void)sqlite3_reset(select);
    return rc;
}

void weft_sqlite_row_tell(struct sqlite_writer *writer, const struct sqlite_row *row,
                          enum weft_job_event event, enum weft_job_state to, unsigned attempt,
                          int64_t now_us)
{
    const struct weft_broker_event told = {.at_us = now_us,
                                           .id = row->id,
                                           .task = row->task->text,
                                           .queue = row->queue->name.text,
                                           .event = event,
                                           .from = row->state,
                                           .to = to,
                                           .attempt = (uint16_t)attempt};
    weft_sqlite_tell(writer, &told);
}

/* After the tables have changed: the rest of a move. */
static int moved(struct sqlite_writer *writer, const struct sqlite_row *row,
                 enum weft_job_event event, enum weft_job_state to, unsigned attempt,
                 int64_t now_us)
{
    if (row->state == WEFT_JOB_RUNNING)
        weft_sqlite_lease_forget(writer, row->seq);
    weft_sqlite_queue_count(writer, row->queue, row->state, to);
    weft_sqlite_row_tell(writer, row, event, to, attempt, now_us);
    return weft_sqlite_limits_leave(writer, row, now_us);
}

/* --- to an end --- */

static void count_time(struct sqlite_times *times, int64_t took_us)
{
    times->sum_us += took_us;
    if (took_us < times->min_us)
        times->min_us = took_us;
    if (took_us > times->max_us)
        times->max_us = took_us;
}

/* Until when the result is kept; 0: with the job. */
static int find_result_end(struct sqlite_writer *writer, const struct sqlite_row *row,
                           int64_t now_us, int64_t *ret_until_us)
{
    *ret_until_us = 0;
    if (!(row->flags & SQLITE_RESULT_TTL))
        return SQLITE_OK;
    sqlite3_stmt *select = writer->statements[SQL_RESULT_TTL_SELECT];
    (void)sqlite3_bind_int64(select, 1, row->seq);
    int rc = sqlite3_step(select);
    if (rc == SQLITE_ROW &&
        __builtin_add_overflow(now_us, sqlite3_column_int64(select, 0), ret_until_us))
        *ret_until_us = 0;
    (void)sqlite3_reset(select);
    return rc == SQLITE_ROW || rc == SQLITE_DONE ? SQLITE_OK : rc;
}

static int insert_outcome(struct sqlite_writer *writer, const struct sqlite_row *row,
                          enum weft_job_state state, const struct sqlite_end *end, int64_t now_us)
{
    bool completed = state == WEFT_JOB_COMPLETED;
    struct sqlite_new_outcome outcome = {
        .seq = row->seq,
        .state = state,
        .attempt = row->attempt,
        .crashes = row->crashes,
        .worker = row->worker,
        .thread = end->thread,
        .started_us = row->started_us,
        .finished_us = now_us,
        .error = completed ? NULL : end->error,
        .result = completed ? end->result : NULL,
    };
    int rc = SQLITE_OK;
    if (completed) {
        rc = find_result_end(writer, row, now_us, &outcome.result_until_us);
        count_time(&writer->times, now_us > row->started_us ? now_us - row->started_us : 0);
    }
    if (!rc && !weft_sqlite_gather_outcome(writer, &outcome))
        rc = SQLITE_NOMEM;
    /* An error lives no longer than this call; what waits is dealt with next, and looks. */
    return rc || completed ? rc : weft_sqlite_flush(writer);
}

int weft_sqlite_finish(struct sqlite_writer *writer, const struct sqlite_row *row,
                       enum weft_job_event event, const struct sqlite_end *end, int64_t now_us)
{
    enum weft_job_state to = weft_job_next(row->state, event);
    int rc = row->flags & SQLITE_HELD ? weft_sqlite_held_delete(writer, row->seq) : SQLITE_OK;
    if (rc)
        return rc;
    (void)sqlite3_bind_int64(writer->statements[SQL_ROW_DELETE], 1, row->seq);
    rc = weft_sqlite_run(writer, SQL_ROW_DELETE);
    if (!rc && sqlite3_changes(writer->db) != 1)
        rc = SQLITE_CORRUPT;
    if (!rc)
        rc = insert_outcome(writer, row, to, end, now_us);
    /* Those of others can begin again, and are to find their inputs then. */
    if (!rc && to == WEFT_JOB_COMPLETED && row->flags & SQLITE_NEEDS) {
        (void)sqlite3_bind_int64(writer->statements[SQL_NEEDS_DELETE], 1, row->seq);
        rc = weft_sqlite_run(writer, SQL_NEEDS_DELETE);
    }
    if (!rc && row->flags & SQLITE_NEEDED &&
        !weft_sqlite_list_add(writer, &writer->ended, row->seq, &row->id, (int)to))
        rc = SQLITE_NOMEM;
    writer->cancelled += to == WEFT_JOB_CANCELLED;
    return rc ? rc : moved(writer, row, event, to, row->attempt, now_us);
}

/* --- to another state --- */

int weft_sqlite_return(struct sqlite_writer *writer, const struct sqlite_row *row,
                       enum weft_job_event event, int64_t run_at_us, int64_t now_us)
{
    enum weft_job_state to = weft_job_next(row->state, event);
    /* What says nothing about the job does not spend the attempt. */
    unsigned attempt =
        event == WEFT_JOB_RETRY || row->attempt == 0 ? row->attempt : row->attempt - 1;
    sqlite3_stmt *update = writer->statements[SQL_RETURN];
    (void)sqlite3_bind_int64(update, 1, row->seq);
    (void)sqlite3_bind_int(update, 2, (int)to);
    (void)sqlite3_bind_int64(update, 3, run_at_us);
    (void)sqlite3_bind_int(update, 4, (int)attempt);
    (void)sqlite3_bind_int(update, 5, (int)row->crashes + (event == WEFT_JOB_LOSE));
    int rc = weft_sqlite_run(writer, SQL_RETURN);
    if (to == WEFT_JOB_AVAILABLE)
        weft_sqlite_passed_ready(writer, row->queue->name.number, run_at_us, row->seq);
    return rc ? rc : moved(writer, row, event, to, attempt, now_us);
}

int weft_sqlite_ready(struct sqlite_writer *writer, const struct sqlite_row *row,
                      enum weft_job_event event, int64_t run_at_us, int64_t now_us)
{
    enum weft_job_state to = weft_job_next(row->state, event);
    sqlite3_stmt *update = writer->statements[SQL_READY];
    (void)sqlite3_bind_int64(update, 1, row->seq);
    (void)sqlite3_bind_int(update, 2, (int)to);
    (void)sqlite3_bind_int64(update, 3, run_at_us);
    int rc = weft_sqlite_run(writer, SQL_READY);
    if (to == WEFT_JOB_AVAILABLE)
        weft_sqlite_passed_ready(writer, row->queue->name.number, run_at_us, row->seq);
    return rc ? rc : moved(writer, row, event, to, row->attempt, now_us);
}

int weft_sqlite_error_insert(struct sqlite_writer *writer, const struct sqlite_row *row,
                             const char *error, int64_t now_us)
{
    sqlite3_stmt *insert = writer->statements[SQL_ERROR_INSERT];
    (void)sqlite3_bind_int64(insert, 1, row->seq);
    (void)sqlite3_bind_int64(insert, 2, now_us);
    (void)sqlite3_bind_int(insert, 3, (int)row->attempt);
    weft_sqlite_bind_error(insert, 4, error);
    int rc = weft_sqlite_run(writer, SQL_ERROR_INSERT);
    (void)sqlite3_clear_bindings(insert);
    if (rc)
        return rc;
    (void)sqlite3_bind_int64(writer->statements[SQL_ERRORS_TRIM], 1, row->seq);
    return weft_sqlite_run(writer, SQL_ERRORS_TRIM);
}

int weft_sqlite_reason(struct sqlite_writer *writer, const struct sqlite_row *row,
                       char text[WEFT_JOB_ERROR_MAX + 1])
{
    text[0] = '\0';
    if (!(row->flags & SQLITE_CANCELLING))
        return SQLITE_OK;
    sqlite3_stmt *select = writer->statements[SQL_REASON_SELECT];
    (void)sqlite3_bind_int64(select, 1, row->seq);
    int rc = sqlite3_step(select);
    const char *reason = rc == SQLITE_ROW ? weft_sqlite_column_text(select, 0) : NULL;
    if (reason)
        (void)snprintf(text, WEFT_JOB_ERROR_MAX + 1, "%s", reason);
    (void)sqlite3_reset(select);
    return rc == SQLITE_ROW ? SQLITE_OK : rc == SQLITE_DONE ? SQLITE_CORRUPT : rc;
}

int weft_sqlite_lose(struct sqlite_writer *writer, const struct sqlite_row *row, int64_t now_us)
{
    char text[WEFT_JOB_ERROR_MAX + 1];
    struct sqlite_row lost = *row;
    struct sqlite_end end = {.error = text};
    int rc = weft_sqlite_error_insert(writer, row, "the worker was lost", now_us);
    if (!rc)
        rc = weft_sqlite_reason(writer, row, text);
    if (rc)
        return rc;
    bool too_often = row->crashes + 1 >= WEFT_JOB_CRASHES_MAX;
    if (!(row->flags & SQLITE_CANCELLING) && !too_often)
        return weft_sqlite_return(writer, row, WEFT_JOB_LOSE, row->run_at_us, now_us);
    lost.crashes++;
    lost.attempt -= lost.attempt > 0;
    if (row->flags & SQLITE_CANCELLING)
        return weft_sqlite_finish(writer, &lost, WEFT_JOB_CANCEL, &end, now_us);
    (void)snprintf(text, sizeof text, "its worker was lost %u times while it ran", lost.crashes);
    return weft_sqlite_finish(writer, &lost, WEFT_JOB_DIE, &end, now_us);
}
