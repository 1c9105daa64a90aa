/* SPDX-License-Identifier: MIT
 * frontier_schema.c - the file of a crawl: lock, checks, tables, and what is done at every open.
 *
 *   urls     every URL that is known, once; its fingerprint is its key, the id what others name
 *   results  what came of those that were fetched, or refused
 *   links    what leads where
 *   hosts    scheme, host and port; what is waiting there, and its robots.txt
 *   seeds    where it began
 *   totals   one row, kept by every transaction
 *
 * `pages` is a view of results with the columns of other result stores. To change the format:
 * append a script to migrations[], never edit one that was released. */
#include <crawl/frontier_internal.h>

#include <weft/base.h>

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#define APPLICATION_ID 1466254915 /* "WeFC": a crawl's */

_Static_assert(WEFT_URL_PENDING == 0 && WEFT_URL_CLAIMED == 1 && WEFT_URL_DELAYED == 2 &&
                   WEFT_URL_DONE == 3 && WEFT_URL_FORBIDDEN == 4 && WEFT_URL_KNOWN == 5 &&
                   WEFT_URL_TOO_DEEP == 6 && WEFT_URL_SHELVED == 7 && WEFT_URL_STATES == 8,
               "the SQL has these numbers in it");
_Static_assert(WEFT_LINK_MEDIA == 12 && WEFT_LINK_REDIRECT == 7, "and these are in the files");

// clang-format off
static const char *const migrations[] = {
    /* 1 */
    "CREATE TABLE urls ("
    " id INTEGER PRIMARY KEY, fingerprint BLOB NOT NULL UNIQUE, host INTEGER NOT NULL,"
    " state INTEGER NOT NULL, use INTEGER NOT NULL, depth INTEGER NOT NULL, hops INTEGER NOT NULL,"
    " attempts INTEGER NOT NULL DEFAULT 0, next_at_us INTEGER, url TEXT NOT NULL);"
    "CREATE INDEX urls_pending ON urls (host, depth, id) WHERE state = 0;"
    "CREATE INDEX urls_claimed ON urls (id) WHERE state = 1;"
    "CREATE INDEX urls_delayed ON urls (next_at_us) WHERE state = 2;"
    "CREATE INDEX urls_deep ON urls (depth) WHERE state = 6;"
    "CREATE INDEX urls_shelved ON urls (host) WHERE state = 7;"
    "CREATE TABLE results ("
    " id INTEGER PRIMARY KEY, status_code INTEGER NOT NULL, latency_us INTEGER NOT NULL,"
    " timestamp_us INTEGER NOT NULL, attempt INTEGER NOT NULL, error TEXT, error_class TEXT,"
    " http_version INTEGER NOT NULL, queue_us INTEGER NOT NULL, total_us INTEGER NOT NULL,"
    " name_us INTEGER NOT NULL, connect_us INTEGER NOT NULL, tls_us INTEGER NOT NULL,"
    " first_byte_us INTEGER NOT NULL, connections INTEGER NOT NULL,"
    " bytes_received INTEGER NOT NULL, body_bytes INTEGER NOT NULL, content_type TEXT,"
    " digest BLOB, noindex INTEGER NOT NULL);"
    "CREATE INDEX results_digest ON results (digest) WHERE digest IS NOT NULL;"
    "CREATE TABLE links ("
    " source INTEGER NOT NULL, target INTEGER NOT NULL, kind INTEGER NOT NULL,"
    " nofollow INTEGER NOT NULL, PRIMARY KEY (source, target, kind)) WITHOUT ROWID;"
    "CREATE TABLE hosts ("
    " id INTEGER PRIMARY KEY, origin TEXT NOT NULL UNIQUE, pending INTEGER NOT NULL DEFAULT 0,"
    " pages INTEGER NOT NULL DEFAULT 0, next_at_us INTEGER NOT NULL DEFAULT 0,"
    " shelved INTEGER NOT NULL DEFAULT 0, robots_status INTEGER NOT NULL DEFAULT 0,"
    " robots_at_us INTEGER NOT NULL DEFAULT 0, robots BLOB);"
    "CREATE INDEX hosts_pending ON hosts (next_at_us, id) WHERE pending > 0;"
    "CREATE TABLE seeds (url TEXT PRIMARY KEY) WITHOUT ROWID;"
    "CREATE TABLE kinds (kind INTEGER PRIMARY KEY, name TEXT NOT NULL);"
    "INSERT INTO kinds VALUES (1, 'a'), (2, 'canonical'), (3, 'alternate'), (4, 'next'),"
    " (5, 'refresh'), (6, 'frame'), (7, 'redirect'), (8, 'sitemap'), (9, 'image'), (10, 'script'),"
    " (11, 'style'), (12, 'media');"
    "CREATE TABLE totals ("
    " one INTEGER PRIMARY KEY CHECK (one = 1),"
    " pending INTEGER NOT NULL DEFAULT 0, claimed INTEGER NOT NULL DEFAULT 0,"
    " delayed INTEGER NOT NULL DEFAULT 0, done INTEGER NOT NULL DEFAULT 0,"
    " forbidden INTEGER NOT NULL DEFAULT 0, known INTEGER NOT NULL DEFAULT 0,"
    " too_deep INTEGER NOT NULL DEFAULT 0, shelved INTEGER NOT NULL DEFAULT 0,"
    " hosts INTEGER NOT NULL DEFAULT 0, links INTEGER NOT NULL DEFAULT 0,"
    " broken INTEGER NOT NULL DEFAULT 0, redirects INTEGER NOT NULL DEFAULT 0,"
    " duplicates INTEGER NOT NULL DEFAULT 0, body_bytes INTEGER NOT NULL DEFAULT 0,"
    " no_answer INTEGER NOT NULL DEFAULT 0, status_1xx INTEGER NOT NULL DEFAULT 0,"
    " status_2xx INTEGER NOT NULL DEFAULT 0, status_3xx INTEGER NOT NULL DEFAULT 0,"
    " status_4xx INTEGER NOT NULL DEFAULT 0, status_5xx INTEGER NOT NULL DEFAULT 0);"
    "INSERT INTO totals (one) VALUES (1);"
    "CREATE VIEW pages AS SELECT u.url, r.status_code, r.latency_us / 1000.0 AS latency_ms,"
    " strftime('%Y-%m-%dT%H:%M:%f', r.timestamp_us / 1000000.0, 'unixepoch') || 'Z' AS timestamp,"
    " r.attempt, r.error, t.url AS final_url, 'GET' AS method, r.error_class, r.http_version,"
    " r.queue_us / 1000.0 AS queue_ms, r.total_us / 1000.0 AS total_ms,"
    " r.name_us / 1000.0 AS name_ms, r.connect_us / 1000.0 AS connect_ms,"
    " r.tls_us / 1000.0 AS tls_ms, r.first_byte_us / 1000.0 AS first_byte_ms,"
    " 0 AS redirects, r.connections, r.bytes_received, r.body_bytes, r.content_type,"
    " lower(hex(r.digest)) AS body_digest, u.depth, r.noindex, r.id"
    " FROM results r JOIN urls u USING (id)"
    " LEFT JOIN links l ON l.source = r.id AND l.kind = 7 LEFT JOIN urls t ON t.id = l.target;",
};
// clang-format on
#define VERSION ((int)(sizeof migrations / sizeof *migrations))

int weft_frontier_error(sqlite3 *db, int rc)
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
        return -EROFS;
    case SQLITE_PERM:
    case SQLITE_AUTH:
        return -EACCES;
    case SQLITE_TOOBIG:
        return -EMSGSIZE;
    case SQLITE_CANTOPEN:
        return db && sqlite3_system_errno(db) > 0 ? -sqlite3_system_errno(db) : -ENOENT;
    default:
        return db && (rc & 0xff) == SQLITE_IOERR && sqlite3_system_errno(db) == ENOSPC ? -ENOSPC
                                                                                       : -EIO;
    }
}

int weft_frontier_exec(sqlite3 *db, const char *sql)
{
    return weft_frontier_error(db, sqlite3_exec(db, sql, NULL, NULL, NULL));
}

__attribute__((format(printf, 4, 5))) static int refuse(int err, char *text, size_t bytes,
                                                        const char *format, ...)
{
    va_list args;
    va_start(args, format);
    if (bytes > 0)
        (void)vsnprintf(text, bytes, format, args);
    va_end(args);
    return err;
}

static int read_int(sqlite3 *db, const char *sql, int64_t *ret_value)
{
    sqlite3_stmt *statement;
    int rc = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);
    if (rc != SQLITE_OK)
        return weft_frontier_error(db, rc);
    rc = sqlite3_step(statement);
    if (rc == SQLITE_ROW)
        *ret_value = sqlite3_column_int64(statement, 0);
    (void)sqlite3_finalize(statement);
    return rc == SQLITE_ROW ? 0 : weft_frontier_error(db, rc);
}

int weft_frontier_check(sqlite3 *db, const char *path, char *error, size_t error_bytes)
{
    int64_t version = 0, application = 0, tables = 0;
    int err = read_int(db, "PRAGMA user_version", &version);
    if (err == 0)
        err = read_int(db, "PRAGMA application_id", &application);
    if (err == 0)
        err = read_int(db, "SELECT count(*) FROM sqlite_master", &tables);
    if (err)
        return refuse(err, error, error_bytes,
                      err == WEFT_ECORRUPT ? "%s is no SQLite database, or damaged: %s"
                                           : "the store %s cannot be read: %s",
                      path, weft_strerror(err));
    if (application != APPLICATION_ID && (tables > 0 || version != 0))
        return refuse(WEFT_ECORRUPT, error, error_bytes,
                      "%s is a database, but not of a crawl: it is left alone", path);
    if (version > VERSION)
        return refuse(WEFT_EVERSION, error, error_bytes,
                      "the store %s has version %lld, written by a newer weft; this one knows up "
                      "to version %d",
                      path, (long long)version, VERSION);
    return (int)version;
}

static int migrate(sqlite3 *db, int version)
{
    int err = 0;
    for (; err == 0 && version < VERSION; version++) {
        char mark[96];
        (void)snprintf(mark, sizeof mark, "PRAGMA application_id = %d; PRAGMA user_version = %d;",
                       APPLICATION_ID, version + 1);
        err = weft_frontier_exec(db, "BEGIN IMMEDIATE");
        if (err == 0)
            err = weft_frontier_exec(db, migrations[version]);
        if (err == 0)
            err = weft_frontier_exec(db, mark);
        if (err == 0)
            err = weft_frontier_exec(db, "COMMIT");
        if (err)
            (void)weft_frontier_exec(db, "ROLLBACK");
    }
    return err;
}

/* A lock beside the file: SQLite's own stay free for who reads meanwhile, and the system takes it
 * back when the process dies. */
static int take_lock(struct weft_frontier *frontier, const char *path, char *error,
                     size_t error_bytes)
{
    char *name;
    const char *file = sqlite3_db_filename(frontier->db, "main");
    if (!file || !*file) /* in memory */
        return 0;
    if (asprintf(&name, "%s-lock", file) < 0)
        return -ENOMEM;
    int err = 0;
    frontier->lock_fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (frontier->lock_fd < 0 || flock(frontier->lock_fd, LOCK_EX | LOCK_NB) < 0)
        err = -errno;
    if (err == -EWOULDBLOCK)
        err = refuse(-EBUSY, error, error_bytes, "another crawl has the store %s open", path);
    else if (err)
        err = refuse(err, error, error_bytes, "cannot lock %s: %s", name, weft_strerror(err));
    free(name);
    return err;
}

static int load_totals(struct weft_frontier *frontier)
{
    struct weft_frontier_totals *totals = &frontier->totals;
    sqlite3_stmt *statement;
    int rc = sqlite3_prepare_v2(frontier->db, "SELECT * FROM totals", -1, &statement, NULL);
    if (rc != SQLITE_OK)
        return weft_frontier_error(frontier->db, rc);
    rc = sqlite3_step(statement);
    int column = 1;
    if (rc == SQLITE_ROW) {
        for (int i = 0; i < WEFT_URL_STATES; i++)
            totals->states[i] = sqlite3_column_int64(statement, column++);
        totals->hosts = sqlite3_column_int64(statement, column++);
        totals->links = sqlite3_column_int64(statement, column++);
        totals->broken = sqlite3_column_int64(statement, column++);
        totals->redirects = sqlite3_column_int64(statement, column++);
        totals->duplicates = sqlite3_column_int64(statement, column++);
        totals->body_bytes = sqlite3_column_int64(statement, column++);
        for (int i = 0; i < 6; i++)
            totals->status[i] = sqlite3_column_int64(statement, column++);
    }
    (void)sqlite3_finalize(statement);
    return rc == SQLITE_ROW ? 0 : WEFT_ECORRUPT;
}

/* Rows of one state are PENDING from now on; where says which. */
static int make_pending(struct weft_frontier *frontier, enum weft_url_state state,
                        const char *where, const char *also)
{
    char sql[640];
    (void)snprintf(sql, sizeof sql,
                   "UPDATE hosts SET pending = pending + n FROM (SELECT host AS h, count(*) AS n"
                   " FROM urls WHERE %s GROUP BY host) WHERE hosts.id = h;"
                   "UPDATE urls SET state = 0%s WHERE %s;",
                   where, also, where);
    int err = weft_frontier_exec(frontier->db, sql);
    if (err == 0) {
        int64_t count = sqlite3_changes64(frontier->db);
        frontier->totals.states[state] -= count;
        frontier->totals.states[WEFT_URL_PENDING] += count;
    }
    return err;
}

int weft_frontier_release(struct weft_frontier *frontier)
{
    return make_pending(frontier, WEFT_URL_CLAIMED, "state = 1",
                        ", attempts = max(attempts - 1, 0)");
}

static int recover(struct weft_frontier *frontier)
{
    char deep[64];
    (void)snprintf(deep, sizeof deep, "state = 6 AND depth <= %u", frontier->depth_max);
    int err = weft_frontier_begin(frontier);
    if (err)
        return err;
    err = weft_frontier_release(frontier);
    if (err == 0)
        err = make_pending(frontier, WEFT_URL_SHELVED, "state = 7", "");
    if (err == 0)
        err = make_pending(frontier, WEFT_URL_TOO_DEEP, deep, "");
    if (err == 0)
        err = weft_frontier_exec(frontier->db, "UPDATE hosts SET shelved = 0 WHERE shelved");
    if (err == 0)
        err = weft_frontier_commit(frontier);
    return err;
}

static int set_up(struct weft_frontier *frontier, const char *path, char *error, size_t error_bytes)
{
    int rc = sqlite3_open_v2(path, &frontier->db,
                             SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX |
                                 SQLITE_OPEN_PRIVATECACHE,
                             NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_extended_result_codes(frontier->db, 1);
    if (rc == SQLITE_OK)
        rc = sqlite3_busy_timeout(frontier->db, 5000);
    int err = weft_frontier_error(frontier->db, rc);
    if (err)
        return refuse(err, error, error_bytes, "cannot open the store %s: %s", path,
                      weft_strerror(err));
    int version = weft_frontier_check(frontier->db, path, error, error_bytes);
    if (version >= 0)
        err = take_lock(frontier, path, error, error_bytes);
    if (version >= 0 && err == 0)
        version = weft_frontier_check(frontier->db, path, error, error_bytes);
    if (version < 0 || err)
        return err ? err : version;
    err =
        weft_frontier_exec(frontier->db, "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;"
                                         "PRAGMA cache_size = -16384; PRAGMA temp_store = MEMORY;");
    if (err == 0)
        err = migrate(frontier->db, version);
    if (err == 0)
        err = load_totals(frontier);
    if (err == 0)
        err = weft_frontier_prepare(frontier);
    if (err == 0)
        err = recover(frontier);
    return err ? refuse(err, error, error_bytes, "cannot set up the store %s: %s", path,
                        weft_strerror(err))
               : 0;
}

int weft_frontier_open(struct weft_frontier **ret_frontier,
                       const struct weft_frontier_options *options, char *error, size_t error_bytes)
{
    struct weft_frontier *frontier = calloc(1, sizeof *frontier);
    if (!frontier)
        return refuse(-ENOMEM, error, error_bytes, "out of memory");
    frontier->lock_fd = -1;
    frontier->depth_max = options->depth_max;
    frontier->host_pages_max = options->host_pages_max;
    frontier->keeps_links = options->keeps_links;
    int err = set_up(frontier, options->path, error, error_bytes);
    if (err) {
        weft_frontier_close(frontier);
        return err;
    }
    *ret_frontier = frontier;
    return 0;
}

void weft_frontier_close(struct weft_frontier *frontier)
{
    if (!frontier)
        return;
    for (size_t i = 0; i < FRONTIER_STATEMENTS; i++)
        (void)sqlite3_finalize(frontier->statements[i]);
    (void)sqlite3_close(frontier->db);
    if (frontier->lock_fd >= 0)
        (void)close(frontier->lock_fd);
    free(frontier);
}
