/* SPDX-License-Identifier: MIT
 * sqlite_needs.c - what happens to the jobs that waited for one that has ended.
 *
 * Step by step along a list, not by recursion: a chain may be as long as it likes. A transaction
 * deals with so many of those that waited; the parents of the rest are written down in the table
 * `unresolved`, and the writer goes on with them in transactions of their own, between those of
 * others. */
#include "sqlite_internal.h"

#include <stdio.h>

// clang-format off
const struct sqlite_text weft_sqlite_texts_needs[] = {
    /* Of those behind ?2 the last of so many and one; none: they are fewer. */
    {SQL_NEEDS_LAST,
     "SELECT child FROM needs WHERE parent = ?1 AND child > ?2 ORDER BY child LIMIT 1 OFFSET ?3"},
    {SQL_NEEDS_END,
     "UPDATE needs SET policy = policy | 2 WHERE parent = ?1 AND child > ?2 AND child <= ?3"
     " AND policy & 2 = 0 RETURNING child, policy"},
    {SQL_UNRESOLVED_PUT,
     "INSERT OR REPLACE INTO unresolved (parent, id, state, after) VALUES (?1, ?2, ?3, ?4)"},
    {SQL_UNRESOLVED_SELECT, "SELECT parent, id, state, after FROM unresolved LIMIT 1"},
    {SQL_UNRESOLVED_DELETE, "DELETE FROM unresolved WHERE parent = ?1"},
    {SQL_NEEDS_DELETE, "DELETE FROM needs WHERE child = ?1"},
    {SQL_WAITS_UPDATE, "UPDATE queue SET waits_for = ?2 WHERE seq = ?1"},
    {SQL_STATEMENTS, NULL},
};
// clang-format on

/* Up to which child of a parent there are `max`, INT64_MAX: to the last. */
static int find_last(struct sqlite_writer *writer, int64_t parent, int64_t after, unsigned max,
                     int64_t *ret_last)
{
    sqlite3_stmt *select = writer->statements[SQL_NEEDS_LAST];
    (void)sqlite3_bind_int64(select, 1, parent);
    (void)sqlite3_bind_int64(select, 2, after);
    (void)sqlite3_bind_int64(select, 3, max);
    int rc = sqlite3_step(select);
    *ret_last = rc == SQLITE_ROW ? sqlite3_column_int64(select, 0) - 1 : INT64_MAX;
    (void)sqlite3_reset(select);
    return rc == SQLITE_ROW || rc == SQLITE_DONE ? SQLITE_OK : rc;
}

/* Mark that the parent has ended, and list who of some waited for it, with their policies. */
static int find_children(struct sqlite_writer *writer, int64_t parent, int64_t after, int64_t last)
{
    sqlite3_stmt *update = writer->statements[SQL_NEEDS_END];
    int rc;
    writer->children.count = 0;
    (void)sqlite3_bind_int64(update, 1, parent);
    (void)sqlite3_bind_int64(update, 2, after);
    (void)sqlite3_bind_int64(update, 3, last);
    while ((rc = sqlite3_step(update)) == SQLITE_ROW)
        if (!weft_sqlite_list_add(writer, &writer->children, sqlite3_column_int64(update, 0), NULL,
                                  sqlite3_column_int(update, 1))) {
            rc = SQLITE_NOMEM;
            break;
        }
    (void)sqlite3_reset(update);
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

static int wait_for_one_less(struct sqlite_writer *writer, const struct sqlite_row *child,
                             int64_t now_us)
{
    if (child->waits_for > 1) {
        sqlite3_stmt *update = writer->statements[SQL_WAITS_UPDATE];
        (void)sqlite3_bind_int64(update, 1, child->seq);
        (void)sqlite3_bind_int(update, 2, (int)child->waits_for - 1);
        return weft_sqlite_run(writer, SQL_WAITS_UPDATE);
    }
    enum weft_job_event event = child->run_at_us > now_us ? WEFT_JOB_DEFER : WEFT_JOB_UNBLOCK;
    return weft_sqlite_ready(writer, child, event, child->run_at_us, now_us);
}

void weft_sqlite_need_failed(const struct weft_uuid *parent, enum weft_job_state state,
                             char text[SQLITE_NEED_TEXT])
{
    char id[WEFT_UUID_TEXT_LEN + 1];
    weft_uuid_format(parent, id);
    (void)snprintf(text, SQLITE_NEED_TEXT, "the job it waits for (%s) %s", id,
                   state == WEFT_JOB_DEAD ? "is dead" : "was cancelled");
}

static int resolve_child(struct sqlite_writer *writer, const struct sqlite_item *parent,
                         const struct sqlite_item *found, int64_t now_us)
{
    struct sqlite_row child;
    int rc = weft_sqlite_row_find(writer, found->seq, NULL, &child);
    if (rc != SQLITE_ROW)
        return rc == SQLITE_DONE ? SQLITE_OK : rc; /* it has ended before */
    if (child.state != WEFT_JOB_BLOCKED)
        return SQLITE_OK; /* begun again by hand: it waits no longer */
    if (parent->tag == WEFT_JOB_COMPLETED || found->tag & SQLITE_ANY_END)
        return wait_for_one_less(writer, &child, now_us);
    char text[SQLITE_NEED_TEXT];
    const struct sqlite_end end = {.error = text};
    weft_sqlite_need_failed(&parent->id, (enum weft_job_state)parent->tag, text);
    return weft_sqlite_finish(writer, &child, WEFT_JOB_CANCEL, &end, now_us);
}

/* The rest of its children is for later. */
static int leave(struct sqlite_writer *writer, const struct sqlite_item *parent, int64_t after)
{
    sqlite3_stmt *put = writer->statements[SQL_UNRESOLVED_PUT];
    (void)sqlite3_bind_int64(put, 1, parent->seq);
    weft_sqlite_bind_id(put, 2, &parent->id);
    (void)sqlite3_bind_int(put, 3, parent->tag);
    (void)sqlite3_bind_int64(put, 4, after);
    weft_sqlite_set(writer, &writer->unresolved, 1);
    return weft_sqlite_run_bound(writer, SQL_UNRESOLVED_PUT);
}

/* Those behind a child, as many as there is room for. *ret_all: there are no more. */
static int resolve_some(struct sqlite_writer *writer, const struct sqlite_item *parent,
                        int64_t after, int64_t now_us, bool *ret_all)
{
    unsigned max = writer->resolved_max;
    unsigned room = writer->resolved < max ? max - writer->resolved : 0;
    int64_t last;
    int rc = find_last(writer, parent->seq, after, room, &last);
    if (!rc)
        rc = find_children(writer, parent->seq, after, last);
    for (size_t i = 0; !rc && i < writer->children.count; i++, writer->resolved++)
        rc = resolve_child(writer, parent, &writer->children.items[i], now_us);
    *ret_all = last == INT64_MAX;
    return rc || *ret_all ? rc : leave(writer, parent, last);
}

int weft_sqlite_resolve(struct sqlite_writer *writer, int64_t now_us)
{
    int rc = SQLITE_OK;
    bool all;
    for (size_t at = 0; !rc && at < writer->ended.count; at++) {
        const struct sqlite_item parent = writer->ended.items[at]; /* the list may grow */
        rc = resolve_some(writer, &parent, INT64_MIN, now_us, &all);
    }
    writer->ended.count = 0;
    return rc;
}

int weft_sqlite_unresolved_forget(struct sqlite_writer *writer, int64_t seq)
{
    (void)sqlite3_bind_int64(writer->statements[SQL_UNRESOLVED_DELETE], 1, seq);
    return weft_sqlite_run(writer, SQL_UNRESOLVED_DELETE);
}

/* --- what was left --- */

/* SQLITE_ROW; SQLITE_DONE: there is nothing. */
static int find_unresolved(struct sqlite_writer *writer, struct sqlite_item *ret_parent,
                           int64_t *ret_after)
{
    sqlite3_stmt *select = writer->statements[SQL_UNRESOLVED_SELECT];
    int rc = sqlite3_step(select);
    if (rc == SQLITE_ROW) {
        ret_parent->seq = sqlite3_column_int64(select, 0);
        ret_parent->tag = sqlite3_column_int(select, 2);
        *ret_after = sqlite3_column_int64(select, 3);
        if (!weft_sqlite_column_id(select, 1, &ret_parent->id))
            rc = SQLITE_CORRUPT;
    }
    (void)sqlite3_reset(select);
    return rc;
}

int weft_sqlite_apply_resolve(struct sqlite_writer *writer, struct sqlite_request *request)
{
    struct sqlite_item parent;
    int64_t after;
    bool all = false;
    int rc = find_unresolved(writer, &parent, &after);
    if (rc == SQLITE_DONE)
        weft_sqlite_set(writer, &writer->unresolved, 0);
    if (rc != SQLITE_ROW)
        return rc == SQLITE_DONE ? SQLITE_OK : rc;
    rc = resolve_some(writer, &parent, after, request->now_us, &all);
    if (!rc && all)
        rc = weft_sqlite_unresolved_forget(writer, parent.seq);
    return rc ? rc : weft_sqlite_resolve(writer, request->now_us);
}
