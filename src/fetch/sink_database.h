/* SPDX-License-Identifier: MIT
 * sink_database.h - SQLite as the sink and the resume store use it. Everything here blocks, and is
 * called on a thread, by one at a time. */
#ifndef WEFT_FETCH_SINK_DATABASE_H
#define WEFT_FETCH_SINK_DATABASE_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

/* A result of SQLite's as a code of weft's. db may be NULL. */
int weft_sink_database_error(sqlite3 *db, int rc);

/* Open with a busy timeout of 5 s; flags as for sqlite3_open_v2. Not a device or a directory:
 * -EINVAL. Returns 0 with *ret_db set, to be closed with sqlite3_close. */
int weft_sink_database_open(sqlite3 **ret_db, const char *path, int flags);

int weft_sink_database_run(sqlite3 *db, const char *sql);

/* The first column of the first row. Returns 0, -ENODATA (no row), ... */
int weft_sink_database_read(sqlite3 *db, const char *sql, int64_t *ret_value);

int weft_sink_database_prepare(sqlite3 *db, const char *sql, sqlite3_stmt **ret_statement);

/* Step and reset a statement without rows. */
int weft_sink_database_step(sqlite3_stmt *statement);

enum sink_table {
    SINK_TABLE_MISSING,
    SINK_TABLE_OURS,
    SINK_TABLE_FOREIGN, /* a table of that name, with other columns */
};

/* Look for the table of results, in "main" or an attached schema. Returns an enum sink_table, or
 * why it could not be read. */
int weft_sink_database_find_table(sqlite3 *db, const char *schema);

#endif
