/* SPDX-License-Identifier: MIT
 * sqlite_recover.c - what is done each time the database is opened.
 *
 * Jobs that were leased until the close are given back, without having spent the attempt, which
 * says nothing about them. A job that brings the server down must not do so for ever, so these ends
 * are counted, and the last one that is allowed makes it dead. There may be a million of them, so
 * those with nothing special about them go back by a few statements. Leases that end at a time are
 * left alone: their holders may well be alive. */
#include "sqlite_internal.h"

#include <stdio.h>

_Static_assert(WEFT_JOB_CRASHES_MAX == 10, "the SQL of this file has this number in it");

#define LOST      "state = 3 AND lease_until_us IS NULL"
#define LOST_ONLY LOST " AND crashes < 9 AND flags & 2 = 0"

static const char give_back[] = "INSERT INTO errors SELECT seq, " SQLITE_ERROR_TIME(
    "%lld",
    "queue.seq") ", attempt,"
                 " 'the worker was lost' FROM queue WHERE " LOST_ONLY ";"
                 "UPDATE queue SET state = 2, attempt = max(attempt - 1, 0), crashes = crashes + 1,"
                 " wake_us = expires_us, lease_token = NULL, started_us = NULL, progress = NULL "
                 "WHERE " LOST_ONLY ";"
                 "UPDATE totals SET opened = opened + 1;";

/* The others, which end: dead, or cancelled. */
static int end_rest(struct sqlite_writer *writer, struct sqlite_request *request)
{
    sqlite3_stmt *select = writer->statements[SQL_LOST_UNTIL_CLOSE];
    int rc;
    writer->found.count = 0;
    while ((rc = sqlite3_step(select)) == SQLITE_ROW)
        if (!weft_sqlite_list_add(writer, &writer->found, sqlite3_column_int64(select, 0), NULL,
                                  0)) {
            rc = SQLITE_NOMEM;
            break;
        }
    (void)sqlite3_reset(select);
    rc = rc == SQLITE_DONE ? SQLITE_OK : rc;
    for (size_t i = 0; !rc && i < writer->found.count; i++) {
        struct sqlite_row row;
        rc = weft_sqlite_row_find(writer, writer->found.items[i].seq, NULL, &row);
        rc = rc == SQLITE_ROW    ? weft_sqlite_lose(writer, &row, request->now_us)
             : rc == SQLITE_DONE ? SQLITE_CORRUPT
                                 : rc;
        if (!rc)
            rc = weft_sqlite_resolve(writer, request->now_us);
    }
    return rc;
}

/* In one transaction, with the number of this opening. */
static int give_back_and_load(struct sqlite_writer *writer, int64_t now_us)
{
    char sql[sizeof give_back + 32];
    (void)snprintf(sql, sizeof sql, give_back, (long long)now_us);
    int rc = weft_sqlite_run(writer, SQL_BEGIN);
    if (!rc)
        rc = sqlite3_exec(writer->db, sql, NULL, NULL, NULL);
    if (!rc)
        rc = weft_sqlite_queues_load(writer, now_us);
    if (!rc)
        rc = weft_sqlite_run(writer, SQL_COMMIT);
    int err = weft_sqlite_error(writer->db, rc);
    if (!sqlite3_get_autocommit(writer->db))
        (void)weft_sqlite_run(writer, SQL_ROLLBACK);
    return err;
}

int weft_sqlite_recover(struct sqlite_broker *broker)
{
    struct sqlite_writer *writer = &broker->writer;
    struct sqlite_request rest = {
        .apply = end_rest, .called_us = broker->opened_us - (int64_t)writer->clock_offset_us};
    int64_t opened = 0, unresolved = 0;
    int err = weft_sqlite_prepare(writer);
    if (!err)
        err = give_back_and_load(writer, broker->opened_us);
    if (!err)
        err = weft_sqlite_read_int(writer->db, "SELECT opened FROM totals", &opened);
    if (!err)
        err = weft_sqlite_read_int(writer->db, "SELECT EXISTS (SELECT 1 FROM unresolved)",
                                   &unresolved);
    writer->unresolved = unresolved != 0;
    /* Neither a token nor the number of an event ever comes again, also not after a restart. */
    writer->next_token = ((uint64_t)opened << 40) + 1;
    writer->events.opened = writer->events.last = (uint64_t)opened << 40;
    if (!err)
        err = weft_sqlite_transact(writer, &rest);
    atomic_store(&writer->commits, 0); /* what calls cost is counted from now on */
    return err;
}
