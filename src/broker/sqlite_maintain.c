/* SPDX-License-Identifier: MIT
 * sqlite_maintain.c - what time brings about, in bounded portions: jobs become due, expire, lose
 * their holders; what was held back without need is let go. */
#include "sqlite_internal.h"

#define PORTION 1000u

// clang-format off
const struct sqlite_text weft_sqlite_texts_maintain[] = {
    /* The condition is word for word that of the index. The tag: it has expired. */
    {SQL_WAKE_SELECT,
     "SELECT seq, state <> 3 AND expires_us <= ?1 FROM queue WHERE wake_us IS NOT NULL"
     " AND wake_us <= ?1 ORDER BY wake_us LIMIT ?2"},
    {SQL_WAKE_NEXT,
     "SELECT wake_us FROM queue WHERE wake_us IS NOT NULL ORDER BY wake_us LIMIT 1"},
    {SQL_LEASES_LATER,
     "UPDATE queue SET lease_until_us = lease_until_us + ?1, wake_us = wake_us + ?1"
     " WHERE wake_us > 0 AND wake_us IS NOT NULL AND state = 3 AND lease_until_us < ?2"},
    {SQL_LOST_UNTIL_CLOSE, "SELECT seq FROM queue WHERE state = 3 AND lease_until_us IS NULL"},
    {SQL_STATEMENTS, NULL},
};
// clang-format on

static int expire(struct sqlite_writer *writer, const struct sqlite_row *row, int64_t now_us)
{
    static const struct sqlite_end end = {.error = SQLITE_EXPIRED_TEXT};
    return weft_sqlite_finish(writer, row, WEFT_JOB_EXPIRE, &end, now_us);
}

/* List those whose time has come, up to a portion. */
static int find(struct sqlite_writer *writer, int64_t now_us)
{
    sqlite3_stmt *select = writer->statements[SQL_WAKE_SELECT];
    int rc;
    writer->found.count = 0;
    (void)sqlite3_bind_int64(select, 1, now_us);
    (void)sqlite3_bind_int64(select, 2, PORTION);
    while ((rc = sqlite3_step(select)) == SQLITE_ROW)
        if (!weft_sqlite_list_add(writer, &writer->found, sqlite3_column_int64(select, 0), NULL,
                                  sqlite3_column_int(select, 1))) {
            rc = SQLITE_NOMEM;
            break;
        }
    (void)sqlite3_reset(select);
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

static int wake(struct sqlite_writer *writer, const struct sqlite_item *item, int64_t now_us,
                struct weft_maintenance *done)
{
    struct sqlite_row row;
    int rc = weft_sqlite_row_find(writer, item->seq, NULL, &row);
    if (rc != SQLITE_ROW) /* it waited for one of those before it, and was cancelled */
        return rc == SQLITE_DONE ? SQLITE_OK : rc;
    if (row.state == WEFT_JOB_RUNNING) {
        done->lost++;
        rc = weft_sqlite_lose(writer, &row, now_us);
    } else if (item->tag) {
        done->expired++;
        rc = expire(writer, &row, now_us);
    } else if (weft_job_next(row.state, WEFT_JOB_DUE) != WEFT_JOB_NONE) {
        done->due++;
        rc = weft_sqlite_ready(writer, &row, WEFT_JOB_DUE, row.run_at_us, now_us);
    }
    return rc ? rc : weft_sqlite_resolve(writer, now_us);
}

static int wake_all(struct sqlite_writer *writer, int64_t now_us, struct weft_maintenance *done)
{
    int rc = find(writer, now_us);
    for (size_t i = 0; !rc && i < writer->found.count; i++)
        rc = wake(writer, &writer->found.items[i], now_us, done);
    done->more = writer->found.count >= PORTION;
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
    sqlite3_stmt *select = writer->statements[SQL_WAKE_NEXT];
    int rc = sqlite3_step(select);
    if (rc == SQLITE_ROW) {
        int64_t next_us = sqlite3_column_int64(select, 0) - now_us;
        *ret_next_us = next_us < 0 ? 0 : next_us;
    }
    (void)sqlite3_reset(select);
    return rc == SQLITE_ROW || rc == SQLITE_DONE ? SQLITE_OK : rc;
}

int weft_sqlite_apply_maintain(struct sqlite_writer *writer, struct sqlite_request *request)
{
    struct weft_maintenance *done = request->arg;
    *done = (struct weft_maintenance){.next_us = INT64_MAX};
    int rc = wake_all(writer, request->now_us, done);
    if (!rc)
        rc = let_go(writer, request->now_us, &done->more);
    return rc ? rc : find_next(writer, request->now_us, &done->next_us);
}

/* A lease is a length of time: its holder is no later than before. What is to be at a time is. */
int weft_sqlite_apply_set_clock(struct sqlite_writer *writer, struct sqlite_request *request)
{
    int64_t forward_us = *(const int64_t *)request->arg;
    sqlite3_stmt *update = writer->statements[SQL_LEASES_LATER];
    (void)sqlite3_bind_int64(update, 1, forward_us);
    (void)sqlite3_bind_int64(update, 2, INT64_MAX - forward_us);
    weft_sqlite_set(writer, &writer->clock_offset_us,
                    writer->clock_offset_us + (uint64_t)forward_us);
    return weft_sqlite_run(writer, SQL_LEASES_LATER);
}
