/* SPDX-License-Identifier: MIT
 * sqlite_maintain.c - what time brings about, in bounded portions: jobs become due, expire, lose
 * their holders; what was held back without need is let go. */
#include "sqlite_internal.h"

#define PORTION 1000u

// clang-format off
const struct sqlite_text weft_sqlite_texts_maintain[] = {
    /* The conditions are word for word those of the indexes. */
    {SQL_DUE_SELECT,
     "SELECT seq FROM queue WHERE state IN (1, 4) AND run_at_us <= ?1 ORDER BY run_at_us LIMIT ?2"},
    {SQL_DUE_NEXT,
     "SELECT run_at_us FROM queue WHERE state IN (1, 4) ORDER BY run_at_us LIMIT 1"},
    {SQL_LOST_SELECT,
     "SELECT seq FROM queue WHERE lease_until_us IS NOT NULL AND lease_until_us <= ?1"
     " ORDER BY lease_until_us LIMIT ?2"},
    {SQL_LOST_NEXT,
     "SELECT lease_until_us FROM queue WHERE lease_until_us IS NOT NULL"
     " ORDER BY lease_until_us LIMIT 1"},
    {SQL_LOST_UNTIL_CLOSE, "SELECT seq FROM queue WHERE state = 3 AND lease_until_us IS NULL"},
    {SQL_EXPIRED_SELECT,
     "SELECT seq FROM queue WHERE expires_us IS NOT NULL AND state <> 3 AND expires_us <= ?1"
     " ORDER BY expires_us LIMIT ?2"},
    {SQL_EXPIRED_NEXT,
     "SELECT expires_us FROM queue WHERE expires_us IS NOT NULL AND state <> 3"
     " ORDER BY expires_us LIMIT 1"},
    {SQL_STATEMENTS, NULL},
};
// clang-format on

static int expire(struct sqlite_writer *writer, const struct sqlite_row *row, int64_t now_us)
{
    static const struct sqlite_end end = {.error = SQLITE_EXPIRED_TEXT};
    return weft_sqlite_finish(writer, row, WEFT_JOB_EXPIRE, &end, now_us);
}

static int become_due(struct sqlite_writer *writer, const struct sqlite_row *row, int64_t now_us)
{
    return weft_sqlite_ready(writer, row, WEFT_JOB_DUE, row->run_at_us, now_us);
}

/* List what a statement finds, up to a portion. */
static int find(struct sqlite_writer *writer, enum sqlite_statement which, int64_t now_us)
{
    sqlite3_stmt *select = writer->statements[which];
    int rc;
    writer->found.count = 0;
    (void)sqlite3_bind_int64(select, 1, now_us);
    (void)sqlite3_bind_int64(select, 2, PORTION);
    while ((rc = sqlite3_step(select)) == SQLITE_ROW)
        if (!weft_sqlite_list_add(writer, &writer->found, sqlite3_column_int64(select, 0), NULL,
                                  0)) {
            rc = SQLITE_NOMEM;
            break;
        }
    (void)sqlite3_reset(select);
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

/* Find jobs and move each. */
static int move_all(struct sqlite_writer *writer, enum sqlite_statement which, int64_t now_us,
                    int (*move)(struct sqlite_writer *, const struct sqlite_row *, int64_t),
                    uint64_t *ret_moved, bool *ret_more)
{
    int rc = find(writer, which, now_us);
    for (size_t i = 0; !rc && i < writer->found.count; i++) {
        struct sqlite_row row;
        rc = weft_sqlite_row_find(writer, writer->found.items[i].seq, NULL, &row);
        if (rc == SQLITE_DONE) {
            rc = SQLITE_OK; /* it waited for one of those before it, and was cancelled */
            continue;
        }
        rc = rc == SQLITE_ROW ? move(writer, &row, now_us) : rc;
        (*ret_moved)++;
        if (!rc)
            rc = weft_sqlite_resolve(writer, now_us);
    }
    if (writer->found.count >= PORTION)
        *ret_more = true;
    return rc;
}

static int let_go(struct sqlite_writer *writer, int64_t now_us, bool *ret_more)
{
    for (int64_t number = 1; number <= writer->queues.last; number++) {
        struct sqlite_queue *queue = weft_sqlite_queue_numbered(writer, number);
        bool more = false;
        if (!queue || !queue->held_for_long)
            continue;
        int rc = weft_sqlite_let_go(writer, queue, PORTION, now_us, &more);
        if (rc)
            return rc;
        if (!more)
            weft_sqlite_set(writer, &queue->held_for_long, 0);
        *ret_more = *ret_more || more;
    }
    return SQLITE_OK;
}

static int find_next(struct sqlite_writer *writer, int64_t now_us, int64_t *ret_next_us)
{
    static const enum sqlite_statement statements[] = {SQL_DUE_NEXT, SQL_LOST_NEXT,
                                                       SQL_EXPIRED_NEXT};
    int64_t next_us = INT64_MAX;
    for (size_t i = 0; i < sizeof statements / sizeof *statements; i++) {
        sqlite3_stmt *select = writer->statements[statements[i]];
        int rc = sqlite3_step(select);
        int64_t at_us = rc == SQLITE_ROW ? sqlite3_column_int64(select, 0) : INT64_MAX;
        (void)sqlite3_reset(select);
        if (rc != SQLITE_ROW && rc != SQLITE_DONE)
            return rc;
        if (at_us != INT64_MAX && at_us - now_us < next_us)
            next_us = at_us - now_us;
    }
    *ret_next_us = next_us < 0 ? 0 : next_us;
    return SQLITE_OK;
}

int weft_sqlite_apply_maintain(struct sqlite_writer *writer, struct sqlite_request *request)
{
    struct weft_maintenance *done = request->arg;
    int64_t now_us = request->now_us;
    *done = (struct weft_maintenance){.next_us = INT64_MAX};
    int rc = move_all(writer, SQL_EXPIRED_SELECT, now_us, expire, &done->expired, &done->more);
    if (!rc)
        rc = move_all(writer, SQL_LOST_SELECT, now_us, weft_sqlite_lose, &done->lost, &done->more);
    if (!rc)
        rc = move_all(writer, SQL_DUE_SELECT, now_us, become_due, &done->due, &done->more);
    if (!rc)
        rc = let_go(writer, now_us, &done->more);
    return rc ? rc : find_next(writer, now_us, &done->next_us);
}
