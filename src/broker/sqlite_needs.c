/* SPDX-License-Identifier: MIT
 * sqlite_needs.c - what happens to the jobs that waited for one that has ended.
 *
 * Step by step along a list, not by recursion: a chain may be as long as it likes. */
#include "sqlite_internal.h"

#include <stdio.h>

// clang-format off
const struct sqlite_text weft_sqlite_texts_needs[] = {
    {SQL_NEEDS_END,
     "UPDATE needs SET policy = policy | 2 WHERE parent = ?1 AND policy & 2 = 0"
     " RETURNING child, policy"},
    {SQL_NEEDS_DELETE, "DELETE FROM needs WHERE child = ?1"},
    {SQL_WAITS_UPDATE, "UPDATE queue SET waits_for = ?2 WHERE seq = ?1"},
    {SQL_STATEMENTS, NULL},
};
// clang-format on

/* Mark that the parent has ended, and list who waited for it, with their policies. */
static int find_children(struct sqlite_writer *writer, int64_t parent)
{
    sqlite3_stmt *update = writer->statements[SQL_NEEDS_END];
    int rc;
    writer->children.count = 0;
    (void)sqlite3_bind_int64(update, 1, parent);
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

int weft_sqlite_resolve(struct sqlite_writer *writer, int64_t now_us)
{
    int rc = SQLITE_OK;
    for (size_t at = 0; !rc && at < writer->ended.count; at++) {
        const struct sqlite_item parent = writer->ended.items[at]; /* the list may grow */
        rc = find_children(writer, parent.seq);
        for (size_t i = 0; !rc && i < writer->children.count; i++)
            rc = resolve_child(writer, &parent, &writer->children.items[i], now_us);
    }
    writer->ended.count = 0;
    return rc;
}
