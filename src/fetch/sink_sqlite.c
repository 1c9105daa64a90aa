/* SPDX-License-Identifier: MIT
 * sink_sqlite.c - results as rows of the table "results". A batch is a transaction; others may read
 * meanwhile (WAL). The connection is used on threads, by one at a time.
 *
 * What is committed survives the end of the process. The log is synced when the output is, and by
 * SQLite before it moves pages into the file: a power cut takes the last commits at most. */
#include "sink_database.h"
#include "sink_output.h"
#include "sink_text.h"

#include <base/list.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#define FINGERPRINT_AT (SINK_COLUMNS + 1) /* parameters count from 1 */

static const char create_sql[] =
    "CREATE TABLE IF NOT EXISTS results ("
    " id INTEGER PRIMARY KEY, url TEXT NOT NULL, status_code INTEGER NOT NULL,"
    " latency_ms REAL NOT NULL, timestamp REAL NOT NULL, attempt INTEGER NOT NULL, error TEXT,"
    " final_url TEXT, method TEXT NOT NULL, error_class TEXT, http_version INTEGER NOT NULL,"
    " queue_ms REAL NOT NULL, total_ms REAL NOT NULL, name_ms REAL NOT NULL,"
    " connect_ms REAL NOT NULL, tls_ms REAL NOT NULL, first_byte_ms REAL NOT NULL,"
    " redirects INTEGER NOT NULL, connections INTEGER NOT NULL, bytes_received INTEGER NOT NULL,"
    " body_bytes INTEGER NOT NULL, content_type TEXT, body_digest TEXT, tag TEXT,"
    " fingerprint BLOB NOT NULL)";
static const char index_sql[] = "CREATE INDEX IF NOT EXISTS results_url ON results (url)";
static const char pragmas_sql[] = "PRAGMA journal_mode = WAL; PRAGMA cache_size = -4096;"
                                  "PRAGMA temp_store = FILE";

struct database {
    struct sink_output output;
    sqlite3 *db;
    sqlite3_stmt *begin, *insert, *commit, *rollback;
    struct weft_buffer text; /* of what has to be bound otherwise than it came */
    int lock_fd;
};

static struct database *database_of(struct sink_output *output)
{
    return weft_container_of(output, struct database, output);
}

/* ---- opening --------------------------------------------------------------------------- */

/* flock(2) on a file of its own: SQLite's locks stay free for readers, and closing a descriptor of
 * the database itself would take them from us. The system gives it back when its holder dies. */
static int take_lock(struct database *database)
{
    char *path;
    if (asprintf(&path, "%s-lock", sqlite3_db_filename(database->db, "main")) < 0)
        return -ENOMEM;
    database->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    int err = database->lock_fd < 0 || flock(database->lock_fd, LOCK_EX | LOCK_NB) < 0 ? -errno : 0;
    free(path);
    if (err == -EWOULDBLOCK)
        return weft_sink_say(&database->output, -EBUSY, "%s is being written already",
                             database->output.options.path);
    return err < 0 ? weft_sink_cannot(&database->output, err, "lock") : 0;
}

/* What is in the way, or away with it. */
static int treat_existing(struct database *database)
{
    const struct weft_sink_output *options = &database->output.options;
    int64_t some = 0;
    if (options->existing == WEFT_SINK_APPEND)
        return 0;
    if (options->existing == WEFT_SINK_REPLACE)
        return weft_sink_database_run(database->db, "DROP TABLE results");
    int err = weft_sink_database_read(database->db, "SELECT EXISTS (SELECT 1 FROM results)", &some);
    return err == 0 && some ? weft_sink_say(&database->output, -EEXIST,
                                            "the database %s has results already", options->path)
                            : err;
}

static int set_up(struct database *database)
{
    static const char *const synchronous[] = {
        [WEFT_SINK_SYNC_FLUSH] = "PRAGMA synchronous = NORMAL",
        [WEFT_SINK_SYNC_BATCH] = "PRAGMA synchronous = FULL",
        [WEFT_SINK_SYNC_NEVER] = "PRAGMA synchronous = OFF",
    };
    sqlite3 *db = database->db;
    int err = weft_sink_database_run(db, pragmas_sql);
    if (err == 0)
        err = weft_sink_database_run(db, synchronous[database->output.options.sync]);
    if (err == 0)
        err = weft_sink_database_run(db, create_sql);
    return err;
}

static int prepare_insert(struct database *database)
{
    struct weft_buffer *sql = &database->text;
    weft_buffer_append_string(sql, "INSERT INTO results (");
    for (unsigned i = 0; i < SINK_COLUMNS; i++) {
        weft_buffer_append_string(sql, weft_sink_columns[i]);
        weft_buffer_append_char(sql, ',');
    }
    weft_buffer_append_string(sql, "fingerprint) VALUES (?");
    for (unsigned i = 0; i < SINK_COLUMNS; i++)
        weft_buffer_append_string(sql, ",?");
    weft_buffer_append(sql, ")", 2);
    return sql->err < 0 ? sql->err
                        : weft_sink_database_prepare(database->db, sql->data, &database->insert);
}

static int prepare(struct database *database)
{
    sqlite3 *db = database->db;
    int err = weft_sink_database_prepare(db, "BEGIN IMMEDIATE", &database->begin);
    if (err == 0)
        err = prepare_insert(database);
    if (err == 0)
        err = weft_sink_database_prepare(db, "COMMIT", &database->commit);
    if (err == 0)
        err = weft_sink_database_prepare(db, "ROLLBACK", &database->rollback);
    return err;
}

static int refuse(struct database *database, int err)
{
    const char *path = database->output.options.path;
    if (err == WEFT_ECORRUPT && database->db &&
        (sqlite3_errcode(database->db) & 0xff) == SQLITE_NOTADB)
        return weft_sink_say(&database->output, err, "%s is not an SQLite database", path);
    return weft_sink_cannot(&database->output, err, "open the database");
}

static int sqlite_open(struct sink_output *output)
{
    struct database *database = database_of(output);
    const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
    int table = SINK_TABLE_MISSING;
    int err = weft_sink_database_open(&database->db, output->options.path, flags);
    if (err == 0 && sqlite3_db_filename(database->db, "main")[0] == '\0')
        err = -EINVAL; /* ":memory:" and the like */
    if (err == 0)
        err = take_lock(database);
    if (err == 0)
        err = table = weft_sink_database_find_table(database->db, "main");
    if (table == SINK_TABLE_FOREIGN)
        return weft_sink_say(output, WEFT_ECORRUPT,
                             "the database %s has a table \"results\" with other columns",
                             output->options.path);
    if (table == SINK_TABLE_OURS)
        err = treat_existing(database);
    if (err >= 0)
        err = set_up(database);
    if (err == 0)
        err = prepare(database);
    return err < 0 ? refuse(database, err) : 0;
}

/* ---- writing --------------------------------------------------------------------------- */

/* Texts that are UTF-8 are bound as they are; others have to live until the statement is reset. */
static int bind_text(struct database *database, int at, const char *text)
{
    size_t len = strlen(text), good = 0;
    const unsigned char *bytes = (const unsigned char *)text;
    while (good < len) {
        size_t sequence = bytes[good] < 0x80 ? 1 : weft_utf8_sequence(bytes + good, len - good);
        if (sequence == 0)
            break;
        good += sequence;
    }
    if (good == len)
        return sqlite3_bind_text(database->insert, at, text, (int)len, SQLITE_STATIC);
    weft_buffer_clear(&database->text);
    weft_sink_append_utf8(&database->text, text, len);
    if (database->text.err < 0)
        return SQLITE_NOMEM;
    return sqlite3_bind_text(database->insert, at, database->text.data, (int)database->text.len,
                             SQLITE_TRANSIENT);
}

static int bind_column(struct database *database, unsigned column,
                       const struct weft_fetch_result *result)
{
    const struct sink_value value = weft_sink_value(result, column);
    int at = (int)column + 1;
    switch (value.kind) {
    case SINK_NULL:
        return sqlite3_bind_null(database->insert, at);
    case SINK_TEXT:
        return bind_text(database, at, value.text);
    case SINK_INTEGER:
        return sqlite3_bind_int64(database->insert, at, value.number);
    case SINK_MILLIONTHS:
        return sqlite3_bind_double(database->insert, at, (double)value.number / 1e6);
    }
    return SQLITE_MISUSE;
}

static int insert(struct database *database, const struct weft_fetch_result *result)
{
    struct weft_fingerprint made;
    const struct weft_fingerprint *fingerprint = result->fingerprint;
    int rc = SQLITE_OK;
    if (!fingerprint) {
        int err = weft_fingerprint(&made, result->method, result->url, NULL, 0, result->tag);
        if (err < 0)
            return err;
        fingerprint = &made;
    }
    for (unsigned i = 0; i < SINK_COLUMNS && rc == SQLITE_OK; i++)
        rc = bind_column(database, i, result);
    if (rc == SQLITE_OK)
        rc = sqlite3_bind_blob(database->insert, FINGERPRINT_AT, fingerprint->bytes,
                               sizeof fingerprint->bytes, SQLITE_STATIC);
    return rc == SQLITE_OK ? weft_sink_database_step(database->insert)
                           : weft_sink_database_error(database->db, rc);
}

/* A file that was removed or replaced still takes rows, and they are gone when it is closed. */
static int check_file_is_there(struct database *database)
{
    int moved = 0;
    int rc = sqlite3_file_control(database->db, "main", SQLITE_FCNTL_HAS_MOVED, &moved);
    return rc == SQLITE_OK && moved
               ? weft_sink_say(&database->output, -ENOENT,
                               "the database %s was removed or replaced while it is written",
                               database->output.options.path)
               : 0;
}

static int sqlite_write(struct sink_output *output, struct sink_item *const *items, size_t count)
{
    struct database *database = database_of(output);
    int err = check_file_is_there(database);
    if (err == 0)
        err = weft_sink_database_step(database->begin);
    for (size_t i = 0; i < count && err == 0; i++)
        err = insert(database, &items[i]->result);
    if (err == 0)
        err = weft_sink_database_step(database->commit);
    if (err < 0) {
        err = weft_sink_cannot(output, err, "write");
        /* On some errors, a full disk among them, SQLite has rolled back by itself. */
        if (!sqlite3_get_autocommit(database->db))
            (void)weft_sink_database_step(database->rollback);
    }
    return err;
}

/* Everything committed is in the file, synced, or in the log, which is synced here. */
static int sqlite_sync(struct sink_output *output)
{
    sqlite3 *db = database_of(output)->db;
    sqlite3_file *log = NULL;
    if (output->options.sync == WEFT_SINK_SYNC_NEVER)
        return 0;
    int rc = sqlite3_file_control(db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &log);
    if (rc == SQLITE_OK && log && log->pMethods)
        rc = log->pMethods->xSync(log, SQLITE_SYNC_NORMAL);
    int err = weft_sink_database_error(db, rc);
    return err < 0 ? weft_sink_cannot(output, err, "have on disk") : 0;
}

/* Rows whose URLs come in no order cost five times as much with an index as without one, and to
 * make it of all of them costs little. One that is there already grows with the table. */
static int sqlite_finish(struct sink_output *output)
{
    int err = weft_sink_database_run(database_of(output)->db, index_sql);
    return err < 0 ? weft_sink_cannot(output, err, "make an index in") : sqlite_sync(output);
}

static int sqlite_close(struct sink_output *output)
{
    struct database *database = database_of(output);
    (void)sqlite3_finalize(database->begin);
    (void)sqlite3_finalize(database->insert);
    (void)sqlite3_finalize(database->commit);
    (void)sqlite3_finalize(database->rollback);
    (void)sqlite3_close(database->db); /* moves the log into the file, unless somebody reads */
    if (database->lock_fd >= 0)
        (void)close(database->lock_fd);
    weft_buffer_deinit(&database->text);
    free(database);
    return 0;
}

static const struct sink_output_ops sqlite_ops = {
    .open = sqlite_open,
    .write = sqlite_write,
    .sync = sqlite_sync,
    .finish = sqlite_finish,
    .close = sqlite_close,
};

struct sink_output *weft_sink_sqlite_new(void)
{
    struct database *database = calloc(1, sizeof *database);
    if (!database)
        return NULL;
    database->output.ops = &sqlite_ops;
    database->lock_fd = -1;
    weft_buffer_init(&database->text, 4 * SINK_TEXT_BYTES_MAX);
    return &database->output;
}
