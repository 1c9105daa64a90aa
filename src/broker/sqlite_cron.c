/* SPDX-License-Identifier: MIT
 * sqlite_cron.c - the table of schedules. They are fired in sqlite_control.c.
 *
 * All of them together have a limit, so that whoever reads them needs no pages. */
#include "sqlite_internal.h"

#include <base/buffer.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define CRONS_MAX       10000
#define CRONS_BYTES_MAX ((int64_t)16 << 20) /* of their jobs */
#define TEXTS_BYTES_MAX ((size_t)32 << 20)  /* of all their texts: none of the rest is long */

// clang-format off
const struct sqlite_text weft_sqlite_texts_cron[] = {
    {SQL_CRON_SUMS,
        "SELECT count(*), coalesce(sum(length(CAST(job AS BLOB))), 0) FROM crons WHERE name <> ?1"},
    {SQL_CRON_SET,
        "INSERT INTO crons (name, schedule, zone, missed, job, paused, created_us, next_us)"
        " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT (name) DO UPDATE SET"
        " schedule = ?2, zone = ?3, missed = ?4, job = ?5, paused = ?6, next_us = ?8"},
    {SQL_CRON_REMOVE, "DELETE FROM crons WHERE name = ?1"},
    {SQL_STATEMENTS, NULL},
};
// clang-format on

static bool is_short(const char *text)
{
    return !text || strnlen(text, WEFT_JOB_KEY_MAX + 1) <= WEFT_JOB_KEY_MAX;
}

/* Whether one more of this size has room, in place of the one with its name. */
static int check_room(struct sqlite_writer *writer, const struct weft_cron_entry *entry,
                      int *ret_err)
{
    sqlite3_stmt *sums = writer->statements[SQL_CRON_SUMS];
    weft_sqlite_bind_text(sums, 1, entry->name);
    int rc = sqlite3_step(sums);
    if (rc == SQLITE_ROW)
        *ret_err =
            sqlite3_column_int64(sums, 0) >= CRONS_MAX ||
                    sqlite3_column_int64(sums, 1) + (int64_t)strlen(entry->job) > CRONS_BYTES_MAX
                ? -ENOBUFS
                : 0;
    (void)sqlite3_reset(sums);
    (void)sqlite3_clear_bindings(sums);
    return rc == SQLITE_ROW ? SQLITE_OK : rc;
}

static int apply_cron_set(struct sqlite_writer *writer, struct sqlite_request *request)
{
    struct sqlite_change *change = request->arg;
    const struct weft_cron_entry *entry = change->what;
    int rc = check_room(writer, entry, &change->err);
    if (rc || change->err)
        return rc;
    sqlite3_stmt *set = writer->statements[SQL_CRON_SET];
    weft_sqlite_bind_text(set, 1, entry->name);
    weft_sqlite_bind_text(set, 2, entry->schedule);
    weft_sqlite_bind_text(set, 3, entry->zone);
    weft_sqlite_bind_text(set, 4, entry->missed);
    weft_sqlite_bind_text(set, 5, entry->job);
    (void)sqlite3_bind_int(set, 6, entry->paused);
    (void)sqlite3_bind_int64(set, 7, entry->created_us ? entry->created_us : request->now_us);
    (void)sqlite3_bind_int64(set, 8, entry->next_us);
    return weft_sqlite_run_bound(writer, SQL_CRON_SET);
}

int weft_sqlite_cron_set(struct weft_broker *broker, const struct weft_cron_entry *entry)
{
    if (!entry->name || !entry->schedule || !entry->job || !weft_job_name_is_valid(entry->name) ||
        !is_short(entry->schedule) || !is_short(entry->zone) || !is_short(entry->missed))
        return -EINVAL;
    size_t bytes = strnlen(entry->job, WEFT_JOB_PAYLOAD_MAX + 1);
    if (bytes > WEFT_JOB_PAYLOAD_MAX)
        return -EMSGSIZE;
    struct sqlite_change change = {.what = entry};
    return weft_sqlite_change(broker, apply_cron_set, &change, bytes);
}

static int apply_cron_remove(struct sqlite_writer *writer, struct sqlite_request *request)
{
    struct sqlite_change *change = request->arg;
    weft_sqlite_bind_text(writer->statements[SQL_CRON_REMOVE], 1, change->what);
    int rc = weft_sqlite_run_bound(writer, SQL_CRON_REMOVE);
    change->err = sqlite3_changes(writer->db) == 1 ? 0 : -ENOENT;
    return rc;
}

int weft_sqlite_cron_remove(struct weft_broker *broker, const char *name)
{
    struct sqlite_change change = {.what = name};
    return weft_sqlite_change(broker, apply_cron_remove, &change, 0);
}

/* --- all of them --- */

struct crons_call {
    size_t max, count, room;
    struct weft_cron_entry *entries; /* their texts not set: not NULL where there is one */
    struct weft_buffer texts;        /* in order, each with its NUL */
};

static int grow(struct crons_call *call)
{
    if (call->count < call->room)
        return 0;
    size_t room = call->room ? call->room * 2 : 16;
    struct weft_cron_entry *entries = realloc(call->entries, room * sizeof *entries);
    if (!entries)
        return -ENOMEM;
    call->entries = entries;
    call->room = room;
    return 0;
}

static const char *keep_text(struct crons_call *call, sqlite3_stmt *row, int column)
{
    const char *text = weft_sqlite_column_text(row, column);
    if (text)
        weft_buffer_append(&call->texts, text, strlen(text) + 1);
    return text ? "" : NULL;
}

static int append_cron(struct crons_call *call, sqlite3_stmt *row)
{
    int err = grow(call);
    if (err)
        return err;
    struct weft_cron_entry entry = {
        .paused = sqlite3_column_int(row, 5) != 0,
        .created_us = sqlite3_column_int64(row, 6),
        .next_us = sqlite3_column_int64(row, 7),
        .last_us = sqlite3_column_int64(row, 8),
    };
    entry.name = keep_text(call, row, 0);
    entry.schedule = keep_text(call, row, 1);
    entry.zone = keep_text(call, row, 2);
    entry.missed = keep_text(call, row, 3);
    entry.job = keep_text(call, row, 4);
    (void)weft_sqlite_column_id(row, 9, &entry.last_job);
    call->entries[call->count++] = entry;
    return call->texts.err;
}

static int read_crons(struct sqlite_reader *reader, void *arg)
{
    struct crons_call *call = arg;
    sqlite3_stmt *row = reader->statements[READ_CRONS];
    (void)sqlite3_bind_int64(row, 1, (int64_t)call->max);
    int rc, err = 0;
    while (!err && (rc = sqlite3_step(row)) == SQLITE_ROW)
        err = append_cron(call, row);
    (void)sqlite3_reset(row);
    return err ? err : weft_sqlite_error(reader->db, rc);
}

static void set_text(const char **text, char **next)
{
    if (!*text)
        return;
    *text = *next;
    *next += strlen(*next) + 1;
}

/* Entries and texts in one block. */
static struct weft_cron_entry *join_parts(const struct crons_call *call)
{
    size_t entries_bytes = call->count * sizeof *call->entries;
    struct weft_cron_entry *block = malloc(entries_bytes + call->texts.len + 1);
    if (!block)
        return NULL;
    char *next = (char *)block + entries_bytes;
    if (call->count > 0) {
        memcpy(block, call->entries, entries_bytes);
        memcpy(next, call->texts.data, call->texts.len);
    }
    for (size_t i = 0; i < call->count; i++) {
        set_text(&block[i].name, &next);
        set_text(&block[i].schedule, &next);
        set_text(&block[i].zone, &next);
        set_text(&block[i].missed, &next);
        set_text(&block[i].job, &next);
    }
    return block;
}

int weft_sqlite_crons(struct weft_broker *broker, struct weft_cron_entry **ret_entries, size_t max,
                      size_t *ret_count)
{
    struct crons_call call = {.max = max < CRONS_MAX ? max : CRONS_MAX};
    weft_buffer_init(&call.texts, TEXTS_BYTES_MAX);
    int err = weft_sqlite_read(weft_sqlite_of(broker), read_crons, &call);
    struct weft_cron_entry *block = err ? NULL : join_parts(&call);
    if (!err && !block)
        err = -ENOMEM;
    if (!err) {
        *ret_entries = block;
        *ret_count = call.count;
    }
    free(call.entries);
    weft_buffer_deinit(&call.texts);
    return err;
}
