/* SPDX-License-Identifier: MIT
 * sink_database.c - see sink_database.h. */
#include "sink_database.h"
#include "sink_text.h"

#include <weft/base.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* Whether the last I/O error was that a file cannot grow. A failed commit tells the reason only to
 * the file of the log. */
static bool is_for_want_of_space(sqlite3 *db)
{
    int reason = db ? sqlite3_system_errno(db) : 0;
    sqlite3_file *log = NULL;
    if (!reason && db &&
        sqlite3_file_control(db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &log) == SQLITE_OK && log &&
        log->pMethods && log->pMethods->xFileControl)
        (void)log->pMethods->xFileControl(log, SQLITE_FCNTL_LAST_ERRNO, &reason);
    return reason == ENOSPC || reason == EDQUOT || reason == EFBIG;
}

static int io_error(sqlite3 *db, int rc)
{
    if (rc == SQLITE_IOERR_NOMEM)
        return -ENOMEM;
    /* The index of the log cannot grow; no file says why. */
    return rc == SQLITE_IOERR_SHMSIZE || is_for_want_of_space(db) ? -ENOSPC : -EIO;
}

int weft_sink_database_error(sqlite3 *db, int rc)
{
    switch (rc & 0xff) {
    case SQLITE_OK:
    case SQLITE_DONE:
    case SQLITE_ROW:
        return 0;
    case SQLITE_FULL:
        return -ENOSPC;
    case SQLITE_NOMEM:
        return -ENOMEM;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return -EBUSY;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return WEFT_ECORRUPT;
    case SQLITE_READONLY:
        return rc == SQLITE_READONLY_DBMOVED ? -EIO : -EROFS;
    case SQLITE_PERM:
    case SQLITE_AUTH:
        return -EACCES;
    case SQLITE_TOOBIG:
        return -EMSGSIZE;
    case SQLITE_INTERRUPT:
        return -ECANCELED;
    case SQLITE_CANTOPEN:
        return db && sqlite3_system_errno(db) > 0 ? -sqlite3_system_errno(db) : -ENOENT;
    case SQLITE_ERROR:
    case SQLITE_CONSTRAINT:
    case SQLITE_MISMATCH:
        return WEFT_ECORRUPT; /* the tables are not what they were at the open */
    default:
        return io_error(db, rc);
    }
}

int weft_sink_database_open(sqlite3 **ret_db, const char *path, int flags)
{
    struct stat info;
    sqlite3 *db = NULL;
    if (path[0] && stat(path, &info) == 0 && !S_ISREG(info.st_mode))
        return S_ISDIR(info.st_mode) ? -EISDIR : -EINVAL;
    int rc =
        sqlite3_open_v2(path, &db, flags | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_extended_result_codes(db, 1);
    if (rc == SQLITE_OK)
        rc = sqlite3_busy_timeout(db, 5000); /* somebody writes with the sqlite3 shell */
    if (rc != SQLITE_OK) {
        int err = weft_sink_database_error(db, rc);
        (void)sqlite3_close(db);
        return err;
    }
    *ret_db = db;
    return 0;
}

int weft_sink_database_run(sqlite3 *db, const char *sql)
{
    return weft_sink_database_error(db, sqlite3_exec(db, sql, NULL, NULL, NULL));
}

int weft_sink_database_read(sqlite3 *db, const char *sql, int64_t *ret_value)
{
    sqlite3_stmt *statement;
    int rc = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);
    if (rc == SQLITE_OK) {
        rc = sqlite3_step(statement);
        if (rc == SQLITE_ROW)
            *ret_value = sqlite3_column_int64(statement, 0);
        (void)sqlite3_finalize(statement);
    }
    return rc == SQLITE_ROW ? 0 : rc == SQLITE_DONE ? -ENODATA : weft_sink_database_error(db, rc);
}

int weft_sink_database_prepare(sqlite3 *db, const char *sql, sqlite3_stmt **ret_statement)
{
    int rc = sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, ret_statement, NULL);
    return weft_sink_database_error(db, rc);
}

int weft_sink_database_step(sqlite3_stmt *statement)
{
    sqlite3 *db = sqlite3_db_handle(statement);
    int rc = sqlite3_step(statement);
    int err = weft_sink_database_error(db, rc); /* before the reset, which forgets the reason */
    (void)sqlite3_reset(statement);
    return err;
}

/* The columns as "id,url,...", in the order of the table. */
static const char columns_sql[] =
    "SELECT group_concat(name) FROM (SELECT name FROM pragma_table_info('results', '%s')"
    " ORDER BY cid)";

int weft_sink_database_find_table(sqlite3 *db, const char *schema)
{
    char sql[sizeof columns_sql + 32];
    sqlite3_stmt *statement;
    (void)snprintf(sql, sizeof sql, columns_sql, schema);
    int result = weft_sink_database_prepare(db, sql, &statement);
    if (result < 0)
        return result;
    int rc = sqlite3_step(statement);
    if (rc == SQLITE_ROW) {
        const char *names = (const char *)sqlite3_column_text(statement, 0);
        result = !names                                        ? SINK_TABLE_MISSING
                 : strcmp(names, weft_sink_table_columns) == 0 ? SINK_TABLE_OURS
                                                               : SINK_TABLE_FOREIGN;
    } else {
        result = weft_sink_database_error(db, rc);
    }
    (void)sqlite3_finalize(statement);
    return result;
}
