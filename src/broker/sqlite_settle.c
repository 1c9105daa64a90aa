/* SPDX-License-Identifier: MIT
 * sqlite_settle.c - holders of leases tell what became of their jobs, inside the transaction.
 *
 * The token is the fence: whoever comes with an old one changes nothing. */
#include "sqlite_internal.h"

#include <errno.h>
#include <string.h>

// clang-format off
const struct sqlite_text weft_sqlite_texts_settle[] = {
    {SQL_EXTEND,
     "UPDATE queue SET lease_until_us = coalesce(?2, lease_until_us),"
     " wake_us = coalesce(?2, wake_us), progress = coalesce(?3, progress) WHERE seq = ?1"},
    {SQL_STATEMENTS, NULL},
};
// clang-format on

/* Whether the end of this job concerns no row that may still have to be written. */
static bool is_plain(const struct weft_settlement *item, const struct sqlite_row *row)
{
    const unsigned special = SQLITE_CANCELLING | SQLITE_NEEDS | SQLITE_NEEDED | SQLITE_RESULT_TTL;
    return item->event == WEFT_JOB_COMPLETE && item->follow_count == 0 && !(row->flags & special);
}

/* SQLITE_ROW: the lease holds; SQLITE_DONE: it does not. */
static int find_lease(struct sqlite_writer *writer, const struct weft_uuid *id, uint64_t token,
                      struct sqlite_row *ret_row)
{
    int64_t seq = weft_sqlite_seq(id);
    ret_row->id = *id;
    if (weft_sqlite_lease_find(writer, seq, token, ret_row))
        return SQLITE_ROW;
    int rc = weft_sqlite_flush(writer);
    if (!rc)
        rc = weft_sqlite_row_find(writer, seq, id, ret_row);
    bool holds = rc == SQLITE_ROW && ret_row->state == WEFT_JOB_RUNNING && ret_row->token == token;
    return rc == SQLITE_ROW && !holds ? SQLITE_DONE : rc;
}

static bool is_settlement(enum weft_job_event event)
{
    return event == WEFT_JOB_COMPLETE || event == WEFT_JOB_RETRY || event == WEFT_JOB_DIE ||
           event == WEFT_JOB_RELEASE || event == WEFT_JOB_SNOOZE || event == WEFT_JOB_CANCEL;
}

static int64_t due_us(const struct weft_settlement *item, int64_t now_us)
{
    int64_t at_us;
    if (item->delay_us <= 0)
        return now_us;
    return __builtin_add_overflow(now_us, item->delay_us, &at_us) ? INT64_MAX : at_us;
}

static int cancel(struct sqlite_writer *writer, const struct sqlite_row *row,
                  const struct weft_settlement *item, int64_t now_us)
{
    char reason[WEFT_JOB_ERROR_MAX + 1];
    int rc = weft_sqlite_reason(writer, row, reason);
    const struct sqlite_end end = {.error = reason[0] ? reason : item->error,
                                   .thread = item->thread};
    return rc ? rc : weft_sqlite_finish(writer, row, WEFT_JOB_CANCEL, &end, now_us);
}

/* What it says becomes of a job whose lease holds. */
static int settle_row(struct sqlite_writer *writer, const struct sqlite_row *row,
                      struct weft_settlement *item, int64_t now_us)
{
    const struct sqlite_end end = {
        .result = &item->result, .error = item->error, .thread = item->thread};
    enum weft_job_event event = item->event;
    int rc = SQLITE_OK;
    if (item->error && (event == WEFT_JOB_RETRY || event == WEFT_JOB_DIE))
        rc = weft_sqlite_error_insert(writer, row, item->error, now_us);
    if (rc)
        return rc;
    if (row->flags & SQLITE_CANCELLING && event != WEFT_JOB_COMPLETE && event != WEFT_JOB_DIE)
        event = WEFT_JOB_CANCEL;
    item->state = weft_job_next(WEFT_JOB_RUNNING, event);
    if (event == WEFT_JOB_CANCEL)
        return cancel(writer, row, item, now_us);
    if (event == WEFT_JOB_RELEASE)
        return weft_sqlite_return(writer, row, event, row->run_at_us, now_us);
    if (event == WEFT_JOB_RETRY || event == WEFT_JOB_SNOOZE)
        return weft_sqlite_return(writer, row, event, due_us(item, now_us), now_us);
    return weft_sqlite_finish(writer, row, event, &end, now_us);
}

/* What can be mended stays as it was found: all of it is, before the next try. */
static bool can_be_mended(int err)
{
    return err == WEFT_EDUPLICATE || err == -EEXIST;
}

static void refuse_follow(struct weft_settlement *item, size_t refused)
{
    for (size_t i = 0; i < item->follow_count; i++) {
        item->follow[i].claimed = false;
        item->follow[i].lease_token = 0;
        item->follow[i].state = WEFT_JOB_NONE;
        if (i != refused && !can_be_mended(item->follow[i].err))
            item->follow[i].err = -ECANCELED;
    }
}

/* Put in what follows, into the same part of the transaction. item->err tells what refuses it. */
static int follow(struct sqlite_writer *writer, struct weft_settlement *item, int64_t now_us)
{
    struct weft_enqueue_batch batch = {.items = item->follow, .count = item->follow_count};
    int rc = weft_sqlite_enqueue_items(writer, &batch, now_us);
    for (size_t i = 0; !rc && !item->err && i < item->follow_count; i++)
        if (item->follow[i].err) {
            item->err = item->follow[i].err;
            item->state = WEFT_JOB_NONE;
            refuse_follow(item, i);
        }
    return rc;
}

static int settle_and_follow(struct sqlite_writer *writer, const struct sqlite_row *row,
                             struct weft_settlement *item, int64_t now_us)
{
    struct sqlite_mark mark;
    int rc = weft_sqlite_part_begin(writer, &mark);
    if (!rc)
        rc = settle_row(writer, row, item, now_us);
    if (!rc)
        rc = follow(writer, item, now_us);
    if (rc)
        return rc;
    return item->err ? weft_sqlite_part_undo(writer, &mark) : weft_sqlite_part_keep(writer);
}

static int settle_one(struct sqlite_writer *writer, struct weft_settlement *item, int64_t now_us)
{
    struct sqlite_row row;
    item->state = WEFT_JOB_NONE;
    item->err = !is_settlement(item->event)              ? -EINVAL
                : item->result.len > WEFT_JOB_RESULT_MAX ? -EMSGSIZE
                                                         : 0;
    int rc =
        item->err ? SQLITE_DONE : find_lease(writer, &item->job->id, item->job->lease_token, &row);
    if (rc == SQLITE_DONE) {
        item->err = item->err ? item->err : -ESTALE;
        refuse_follow(item, item->follow_count);
        return SQLITE_OK;
    }
    if (rc != SQLITE_ROW)
        return rc;
    if (is_plain(item, &row))
        return settle_row(writer, &row, item, now_us);
    rc = weft_sqlite_flush(writer);
    if (rc)
        return rc;
    rc = item->follow_count > 0 ? settle_and_follow(writer, &row, item, now_us)
                                : settle_row(writer, &row, item, now_us);
    return rc ? rc : weft_sqlite_resolve(writer, now_us);
}

int weft_sqlite_apply_settle(struct sqlite_writer *writer, struct sqlite_request *request)
{
    struct weft_settlement *items = request->arg;
    int rc = SQLITE_OK;
    for (size_t i = 0; !rc && i < request->count; i++)
        rc = settle_one(writer, &items[i], request->now_us);
    return rc;
}

/* --- extend --- */

static int store_extension(struct sqlite_writer *writer, const struct weft_lease *item, int64_t seq,
                           int64_t now_us)
{
    sqlite3_stmt *update = writer->statements[SQL_EXTEND];
    if (item->lease_us <= 0 && !item->progress)
        return SQLITE_OK;
    (void)sqlite3_bind_int64(update, 1, seq);
    if (item->lease_us > 0)
        (void)sqlite3_bind_int64(update, 2, weft_sqlite_lease_end(item->lease_us, now_us));
    weft_sqlite_bind_text(update, 3, item->progress);
    int rc = weft_sqlite_run(writer, SQL_EXTEND);
    (void)sqlite3_clear_bindings(update);
    return rc;
}

static int extend_one(struct sqlite_writer *writer, struct weft_lease *item, int64_t now_us)
{
    struct sqlite_row row;
    item->cancelling = false;
    item->err = 0;
    if (item->progress &&
        strnlen(item->progress, WEFT_JOB_PROGRESS_MAX + 1) > WEFT_JOB_PROGRESS_MAX) {
        item->err = -EMSGSIZE;
        return SQLITE_OK;
    }
    int rc = find_lease(writer, &item->id, item->token, &row);
    if (rc == SQLITE_DONE)
        item->err = -ESTALE;
    if (rc != SQLITE_ROW)
        return rc == SQLITE_DONE ? SQLITE_OK : rc;
    item->cancelling = row.flags & SQLITE_CANCELLING;
    rc = store_extension(writer, item, row.seq, now_us);
    if (!rc && item->progress)
        weft_sqlite_row_tell(writer, &row, WEFT_JOB_PROGRESS, WEFT_JOB_RUNNING, row.attempt,
                             now_us);
    return rc;
}

int weft_sqlite_apply_extend(struct sqlite_writer *writer, struct sqlite_request *request)
{
    struct weft_lease *items = request->arg;
    int rc = SQLITE_OK;
    for (size_t i = 0; !rc && i < request->count; i++)
        rc = extend_one(writer, &items[i], request->now_us);
    return rc;
}
