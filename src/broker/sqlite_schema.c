/* SPDX-License-Identifier: MIT
 * sqlite_schema.c - the database file: lock, checks, tables, versions.
 *
 * A job is written three times at most, always as a new row, so that nothing large is written
 * twice and nothing in the middle of a table grows:
 *
 *   jobs      what was asked; inserted when the job is accepted, never changed
 *   queue     what is to do; one small row per job that is not finished, removed at the end.
 *             Its size is that of the backlog, whatever the history is
 *   outcomes  what came of it; inserted when the job is finished
 *   errors    one row per attempt that failed or was cut off
 *   needs     one row per job that a job waits or waited for; removed when that one is completed
 *   unresolved  one row per job that has ended, as long as not all that waited for it know
 *   held      one row per job that is held back by a limit
 *   uniques   the newest job with each unique key
 *   totals    one row: jobs by state and processing times, kept by every transaction
 *   tasks, queues  names that jobs carry as numbers; settings of queues and what came of their jobs
 *   workers, crons, audit  who works, what is put in when, what was done by hand
 *
 * `requests` is a view over them with the columns of the seed, `queue_metrics` a table.
 *
 * To change the format: append a script to migrations[]. The version is the number of scripts that
 * ran (PRAGMA user_version); each runs in one transaction together with its number. Never edit a
 * script that was released. Numbers of states are those of job/state.h. */
#include "sqlite_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define APPLICATION_ID 1466254932 /* "WeFT": tells weft's files from other databases */

_Static_assert(WEFT_JOB_SCHEDULED == 1 && WEFT_JOB_AVAILABLE == 2 && WEFT_JOB_RUNNING == 3 &&
                   WEFT_JOB_RETRYABLE == 4 && WEFT_JOB_COMPLETED == 5 && WEFT_JOB_CANCELLED == 6 &&
                   WEFT_JOB_DEAD == 7 && WEFT_JOB_BLOCKED == 8,
               "the SQL of all these files has these numbers in it");

#define ISO_TIME(column)                                                                           \
    "CASE WHEN " column " > 0 THEN strftime('%Y-%m-%dT%H:%M:%f', " column                          \
    " / 1000000.0, 'unixepoch') || 'Z' END"
#define TEXT_OF(column, path)                                                                      \
    "CASE WHEN typeof(" column ") = 'text' AND json_valid(" column ") THEN json_extract(" column   \
    ", '" path "') END"

#define UUID_TEXT(column)                                                                          \
    "lower(substr(hex(" column "), 1, 8) || '-' || substr(hex(" column "), 9, 4) || '-' ||"        \
    " substr(hex(" column "), 13, 4) || '-' || substr(hex(" column "), 17, 4) || '-' ||"           \
    " substr(hex(" column "), 21))"

// clang-format off
static const char *const migrations[] = {
    /* 1 */
    "CREATE TABLE jobs ("
    " seq INTEGER PRIMARY KEY," /* weft_sqlite_seq(id) */
    " id BLOB NOT NULL, task TEXT NOT NULL, priority INTEGER NOT NULL,"
    " attempts_max INTEGER NOT NULL, created_us INTEGER NOT NULL,"
    " payload BLOB);" /* stored as TEXT: JSON; as BLOB: bytes */
    "CREATE TABLE queue ("
    " seq INTEGER PRIMARY KEY, state INTEGER NOT NULL, worker INTEGER NOT NULL,"
    " priority INTEGER NOT NULL, run_at_us INTEGER NOT NULL, attempt INTEGER NOT NULL,"
    " attempts_max INTEGER NOT NULL, lease_token INTEGER, started_us INTEGER,"
    " crashes INTEGER NOT NULL DEFAULT 0);" /* times the server ended while it ran */
    /* What is claimed at once is in neither index and costs neither. */
    "CREATE INDEX queue_ready ON queue (worker, priority, run_at_us) WHERE state = 2;"
    "CREATE INDEX queue_due ON queue (run_at_us) WHERE state IN (1, 4);"
    "CREATE TABLE outcomes ("
    " seq INTEGER PRIMARY KEY, state INTEGER NOT NULL, worker INTEGER NOT NULL,"
    " attempt INTEGER NOT NULL, thread INTEGER, started_us INTEGER, finished_us INTEGER NOT NULL,"
    " result BLOB, error TEXT, crashes INTEGER NOT NULL);"
    "CREATE TABLE errors ("
    " seq INTEGER NOT NULL, attempt INTEGER NOT NULL, at_us INTEGER NOT NULL, error TEXT,"
    " PRIMARY KEY (seq, attempt)) WITHOUT ROWID;"
    "CREATE TABLE totals ("
    " one INTEGER PRIMARY KEY CHECK (one = 1),"
    " scheduled INTEGER NOT NULL DEFAULT 0, available INTEGER NOT NULL DEFAULT 0,"
    " running INTEGER NOT NULL DEFAULT 0, retryable INTEGER NOT NULL DEFAULT 0,"
    " completed INTEGER NOT NULL DEFAULT 0, cancelled INTEGER NOT NULL DEFAULT 0,"
    " dead INTEGER NOT NULL DEFAULT 0, blocked INTEGER NOT NULL DEFAULT 0,"
    " processing_sum_us INTEGER NOT NULL DEFAULT 0, processing_min_us INTEGER,"
    " processing_max_us INTEGER,"
    " opened INTEGER NOT NULL DEFAULT 0);" /* times; part of every lease token */
    "INSERT INTO totals (one) VALUES (1);"
    "CREATE TABLE queue_metrics ("
    " timestamp TIMESTAMP, total_queued INTEGER, worker_0_queue INTEGER, worker_1_queue INTEGER,"
    " worker_2_queue INTEGER, worker_3_queue INTEGER, active_threads INTEGER,"
    " processed_requests INTEGER);"
    "CREATE VIEW requests AS SELECT"
    " lower(substr(hex(j.id), 1, 8) || '-' || substr(hex(j.id), 9, 4) || '-' ||"
    "  substr(hex(j.id), 13, 4) || '-' || substr(hex(j.id), 17, 4) || '-' ||"
    "  substr(hex(j.id), 21)) AS id,"
    " " TEXT_OF("j.payload", "$.text") " AS text,"
    " coalesce(o.worker, q.worker) AS worker_id,"
    " CASE coalesce(o.state, q.state) WHEN 5 THEN 'completed' WHEN 6 THEN 'failed'"
    "  WHEN 7 THEN 'failed' WHEN 3 THEN 'processing' ELSE 'queued' END AS status,"
    " " ISO_TIME("j.created_us") " AS created_at,"
    " " ISO_TIME("j.created_us") " AS queued_at,"
    " " ISO_TIME("coalesce(o.started_us, q.started_us)") " AS started_at,"
    " " ISO_TIME("o.finished_us") " AS completed_at,"
    " (o.finished_us - o.started_us) / 1000000.0 AS processing_time,"
    " " TEXT_OF("o.result", "$.step1_result") " AS step1_result,"
    " " TEXT_OF("o.result", "$.step2_result") " AS step2_result,"
    " " TEXT_OF("o.result", "$.final_result") " AS final_result,"
    " o.thread AS thread_id,"
    /* What went wrong before it went right is in errors; here it would look like a failure. */
    " CASE WHEN o.state IS NOT 5 THEN coalesce(o.error, (SELECT e.error FROM errors e"
    "  WHERE e.seq = j.seq ORDER BY e.attempt DESC LIMIT 1)) END AS error_message"
    " FROM jobs j LEFT JOIN queue q ON q.seq = j.seq LEFT JOIN outcomes o ON o.seq = j.seq;",
    /* 2: named queues and tasks, leases with an end, workers, limits, dependencies, schedules.
     * What may be large stands last in its row, where it is in nobody's way. */
    "DROP VIEW requests;"
    "CREATE TABLE tasks (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);"
    "INSERT INTO tasks (name) SELECT DISTINCT task FROM jobs;"
    "CREATE TABLE queues ("
    " id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, paused INTEGER NOT NULL DEFAULT 0,"
    " size_max INTEGER NOT NULL DEFAULT 0, running_max INTEGER NOT NULL DEFAULT 0,"
    " running_max_per_key INTEGER NOT NULL DEFAULT 0, rate_per_s REAL NOT NULL DEFAULT 0,"
    " burst INTEGER NOT NULL DEFAULT 0, completed INTEGER NOT NULL DEFAULT 0,"
    " cancelled INTEGER NOT NULL DEFAULT 0, dead INTEGER NOT NULL DEFAULT 0);"
    /* Each worker of version 1 had a queue of its own. */
    "INSERT INTO queues (id, name) SELECT worker + 1, 'process-' || worker FROM queue"
    " UNION SELECT worker + 1, 'process-' || worker FROM outcomes;"
    "UPDATE queues SET"
    " completed = (SELECT count(*) FROM outcomes o WHERE o.worker + 1 = id AND o.state = 5),"
    " cancelled = (SELECT count(*) FROM outcomes o WHERE o.worker + 1 = id AND o.state = 6),"
    " dead = (SELECT count(*) FROM outcomes o WHERE o.worker + 1 = id AND o.state = 7);"
    "ALTER TABLE jobs RENAME TO jobs_1;"
    "CREATE TABLE jobs ("
    " seq INTEGER PRIMARY KEY," /* weft_sqlite_seq(id) */
    " id BLOB NOT NULL, task INTEGER NOT NULL, queue INTEGER NOT NULL,"
    " priority INTEGER NOT NULL, attempts_max INTEGER NOT NULL, created_us INTEGER NOT NULL,"
    " expires_us INTEGER, timeout_us INTEGER, grace_us INTEGER, result_ttl_us INTEGER,"
    " backoff TEXT," /* kind jitter base_us cap_us */
    " flow BLOB, limit_key TEXT, unique_key TEXT, content_type TEXT, headers TEXT,"
    " payload BLOB);" /* stored as TEXT: JSON; as BLOB: bytes */
    "INSERT INTO jobs (seq, id, task, queue, priority, attempts_max, created_us, payload)"
    " SELECT j.seq, j.id, t.id, 1 + coalesce(q.worker, o.worker, 0), j.priority, j.attempts_max,"
    "  j.created_us, j.payload FROM jobs_1 j JOIN tasks t ON t.name = j.task"
    "  LEFT JOIN queue q ON q.seq = j.seq LEFT JOIN outcomes o ON o.seq = j.seq ORDER BY j.seq;"
    "DROP TABLE jobs_1;"
    "CREATE INDEX jobs_flow ON jobs (flow) WHERE flow IS NOT NULL;"
    "ALTER TABLE queue RENAME TO queue_1;"
    "DROP INDEX queue_ready;"
    "DROP INDEX queue_due;"
    "CREATE TABLE queue ("
    " seq INTEGER PRIMARY KEY, state INTEGER NOT NULL, queue INTEGER NOT NULL,"
    " task INTEGER NOT NULL, priority INTEGER NOT NULL, run_at_us INTEGER NOT NULL,"
    " attempt INTEGER NOT NULL, attempts_max INTEGER NOT NULL,"
    " crashes INTEGER NOT NULL DEFAULT 0," /* times its holder was lost while it ran */
    " flags INTEGER NOT NULL DEFAULT 0," /* enum sqlite_flag */
    /* When time changes its state: run_at_us, expires_us or lease_until_us, whichever is first and
     * means something in its state; NULL: never. */
    " wake_us INTEGER,"
    " lease_token INTEGER, lease_until_us INTEGER, started_us INTEGER, worker INTEGER,"
    " waits_for INTEGER," /* state 8: so many jobs */
    " expires_us INTEGER, limit_key TEXT," /* as in jobs, where they stand behind more */
    " reason TEXT," /* flag 2: why it is to be cancelled */
    " progress TEXT);"
    "INSERT INTO queue (seq, state, queue, task, priority, run_at_us, attempt, attempts_max,"
    "  crashes, wake_us, lease_token, started_us)"
    " SELECT q.seq, q.state, q.worker + 1, j.task, q.priority, q.run_at_us, q.attempt,"
    "  q.attempts_max, q.crashes, CASE WHEN q.state IN (1, 4) THEN q.run_at_us END, q.lease_token,"
    "  q.started_us"
    "  FROM queue_1 q JOIN jobs j ON j.seq = q.seq ORDER BY q.seq;"
    "DROP TABLE queue_1;"
    /* Every index costs every job something, also those that are not in it; so there are few. What
     * is claimed at once is in neither. */
    "CREATE INDEX queue_ready ON queue (queue, priority, run_at_us)"
    " WHERE state = 2 AND flags & 1 = 0;"
    "CREATE INDEX queue_wake ON queue (wake_us) WHERE wake_us IS NOT NULL;"
    /* Flag 1: held back because as many jobs with its limit_key run as may. */
    "CREATE TABLE held ("
    " queue INTEGER, limit_key TEXT, priority INTEGER, run_at_us INTEGER, seq INTEGER,"
    " PRIMARY KEY (queue, limit_key, priority, run_at_us, seq)) WITHOUT ROWID;"
    "ALTER TABLE outcomes RENAME TO outcomes_1;"
    "CREATE TABLE outcomes ("
    " seq INTEGER PRIMARY KEY, state INTEGER NOT NULL, worker INTEGER, attempt INTEGER NOT NULL,"
    " crashes INTEGER NOT NULL, thread INTEGER, started_us INTEGER, finished_us INTEGER NOT NULL,"
    " result_until_us INTEGER," /* then the result is dropped; NULL: kept with the job */
    " error TEXT, result BLOB);"
    "INSERT INTO outcomes SELECT seq, state, NULL, attempt, crashes, thread, started_us,"
    " finished_us, NULL, error, result FROM outcomes_1 ORDER BY seq;"
    "DROP TABLE outcomes_1;"
    /* An attempt that was cut off by the loss of its worker is made again: it can fail twice. */
    "ALTER TABLE errors RENAME TO errors_1;"
    "CREATE TABLE errors ("
    " seq INTEGER NOT NULL, at_us INTEGER NOT NULL, attempt INTEGER NOT NULL, error TEXT,"
    " PRIMARY KEY (seq, at_us, attempt)) WITHOUT ROWID;"
    "INSERT INTO errors SELECT seq, at_us, attempt, error FROM errors_1 ORDER BY seq, at_us;"
    "DROP TABLE errors_1;"
    /* The few among the many that somebody looks for: by state those that were not completed, and
     * by time those whose results are dropped before them. */
    "CREATE INDEX outcomes_unusual ON outcomes (state, result_until_us, seq)"
    " WHERE state <> 5 OR result_until_us IS NOT NULL;"
    "CREATE TABLE needs (" /* parent has to end before child; policy: enum sqlite_policy */
    " parent INTEGER NOT NULL, child INTEGER NOT NULL, position INTEGER NOT NULL,"
    " policy INTEGER NOT NULL, PRIMARY KEY (parent, child)) WITHOUT ROWID;"
    "CREATE INDEX needs_child ON needs (child, position);"
    "CREATE TABLE uniques ("
    " key TEXT PRIMARY KEY, seq INTEGER NOT NULL, created_us INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE workers ("
    " id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL, host TEXT, pid INTEGER,"
    " version TEXT, queues TEXT, concurrency INTEGER, running INTEGER, done INTEGER,"
    " started_us INTEGER NOT NULL, seen_us INTEGER NOT NULL, ended_us INTEGER);"
    "CREATE TABLE crons ("
    " name TEXT PRIMARY KEY, schedule TEXT NOT NULL, zone TEXT, missed TEXT, job TEXT NOT NULL,"
    " paused INTEGER NOT NULL, created_us INTEGER NOT NULL, next_us INTEGER NOT NULL,"
    " last_us INTEGER, last_job BLOB);"
    "CREATE TABLE audit (at_us INTEGER NOT NULL, who TEXT, action TEXT NOT NULL, target TEXT,"
    " detail TEXT);"
    /* Where things are, under the names of the seed. */
    "CREATE VIEW requests AS SELECT"
    " " UUID_TEXT("j.id") " AS id,"
    " " TEXT_OF("j.payload", "$.text") " AS text,"
    " CASE WHEN n.name GLOB 'process-[0-9]*' THEN CAST(substr(n.name, 9) AS INTEGER) END"
    "  AS worker_id,"
    " CASE coalesce(o.state, q.state) WHEN 5 THEN 'completed' WHEN 6 THEN 'failed'"
    "  WHEN 7 THEN 'failed' WHEN 3 THEN 'processing' ELSE 'queued' END AS status,"
    " " ISO_TIME("j.created_us") " AS created_at,"
    " " ISO_TIME("j.created_us") " AS queued_at,"
    " " ISO_TIME("coalesce(o.started_us, q.started_us)") " AS started_at,"
    " " ISO_TIME("o.finished_us") " AS completed_at,"
    " (o.finished_us - o.started_us) / 1000000.0 AS processing_time,"
    " " TEXT_OF("o.result", "$.step1_result") " AS step1_result,"
    " " TEXT_OF("o.result", "$.step2_result") " AS step2_result,"
    " " TEXT_OF("o.result", "$.final_result") " AS final_result,"
    " o.thread AS thread_id,"
    /* What went wrong before it went right is in errors; here it would look like a failure. */
    " CASE WHEN o.state IS NOT 5 THEN coalesce(o.error, (SELECT e.error FROM errors e"
    "  WHERE e.seq = j.seq ORDER BY e.at_us DESC LIMIT 1)) END AS error_message"
    " FROM jobs j LEFT JOIN queue q ON q.seq = j.seq LEFT JOIN outcomes o ON o.seq = j.seq"
    "  LEFT JOIN queues n ON n.id = j.queue;"
    /* Everything about a job in one line, for the sqlite3 shell. */
    "CREATE VIEW job_list AS SELECT"
    " " UUID_TEXT("j.id") " AS id, t.name AS task, n.name AS queue,"
    " CASE coalesce(o.state, q.state) WHEN 1 THEN 'scheduled' WHEN 2 THEN 'available'"
    "  WHEN 3 THEN 'running' WHEN 4 THEN 'retryable' WHEN 5 THEN 'completed'"
    "  WHEN 6 THEN 'cancelled' WHEN 7 THEN 'dead' WHEN 8 THEN 'blocked' END AS state,"
    " j.priority, coalesce(o.attempt, q.attempt) AS attempt, j.attempts_max,"
    " " ISO_TIME("j.created_us") " AS created_at, " ISO_TIME("q.run_at_us") " AS run_at,"
    " " ISO_TIME("coalesce(o.started_us, q.started_us)") " AS started_at,"
    " " ISO_TIME("o.finished_us") " AS finished_at, w.name AS worker,"
    " coalesce(o.error, (SELECT e.error FROM errors e WHERE e.seq = j.seq"
    "  ORDER BY e.at_us DESC LIMIT 1)) AS error, j.payload, o.result"
    " FROM jobs j LEFT JOIN queue q ON q.seq = j.seq LEFT JOIN outcomes o ON o.seq = j.seq"
    "  LEFT JOIN queues n ON n.id = j.queue LEFT JOIN tasks t ON t.id = j.task"
    "  LEFT JOIN workers w ON w.id = coalesce(o.worker, q.worker);",
    /* 3: jobs that have ended, while some that waited for them do not know yet: those above after. */
    "CREATE TABLE unresolved ("
    " parent INTEGER PRIMARY KEY, id BLOB NOT NULL, state INTEGER NOT NULL,"
    " after INTEGER NOT NULL);",
};
// clang-format on
#define VERSION ((int)(sizeof migrations / sizeof *migrations))

/* Whether the last I/O error was that the file cannot grow. A failed commit tells the reason only
 * to the file of the log. */
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

int weft_sqlite_error(sqlite3 *db, int rc)
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
    case SQLITE_CONSTRAINT:
        return -EEXIST;
    case SQLITE_CANTOPEN:
        return db && sqlite3_system_errno(db) > 0 ? -sqlite3_system_errno(db) : -ENOENT;
    default:
        if (rc == SQLITE_IOERR_NOMEM)
            return -ENOMEM;
        if (rc == SQLITE_IOERR_SHMSIZE) /* the index of the log cannot grow; no file says why */
            return -ENOSPC;
        return is_for_want_of_space(db) ? -ENOSPC : -EIO;
    }
}

int weft_sqlite_connect(sqlite3 **ret_db, const char *path, int flags)
{
    sqlite3 *db = NULL;
    int rc =
        sqlite3_open_v2(path, &db, flags | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_extended_result_codes(db, 1);
    if (rc == SQLITE_OK)
        rc = sqlite3_busy_timeout(db, 5000); /* somebody writes with the sqlite3 shell */
    if (rc != SQLITE_OK) {
        int err = weft_sqlite_error(db, rc);
        (void)sqlite3_close(db);
        return err;
    }
    *ret_db = db;
    return 0;
}

int weft_sqlite_read_int(sqlite3 *db, const char *sql, int64_t *ret_value)
{
    sqlite3_stmt *statement;
    int rc = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);
    if (rc == SQLITE_OK) {
        rc = sqlite3_step(statement);
        if (rc == SQLITE_ROW)
            *ret_value = sqlite3_column_int64(statement, 0);
        (void)sqlite3_finalize(statement);
    }
    return rc == SQLITE_ROW ? 0 : rc == SQLITE_DONE ? -ENODATA : weft_sqlite_error(db, rc);
}

static int run(sqlite3 *db, const char *sql)
{
    return weft_sqlite_error(db, sqlite3_exec(db, sql, NULL, NULL, NULL));
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

/* flock(2) on a file of its own: SQLite's locks stay free for readers, and the system takes it
 * back the moment the holder dies. It is beside the file that SQLite opened, whatever links led
 * there: one database, one lock. */
static int take_lock(struct sqlite_broker *broker, char *error, size_t error_bytes)
{
    char *path;
    if (asprintf(&path, "%s-lock", sqlite3_db_filename(broker->writer.db, "main")) < 0)
        return -ENOMEM;
    int err = 0;
    broker->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (broker->lock_fd < 0 || flock(broker->lock_fd, LOCK_EX | LOCK_NB) < 0)
        err = -errno;
    if (err == -EWOULDBLOCK)
        err =
            refuse(-EBUSY, error, error_bytes, "another server uses the database %s", broker->path);
    else if (err)
        err = refuse(err, error, error_bytes, "cannot %s %s: %s",
                     broker->lock_fd < 0 ? "open" : "lock", path, weft_strerror(err));
    free(path);
    return err;
}

/* SQLite's own error says only that there is no such file. */
static int refuse_open(int err, const char *path, char *error, size_t error_bytes)
{
    char *copy = strdup(path);
    const char *directory =
        copy ? dirname(copy) : path; // NOLINT(concurrency-mt-unsafe): its own copy
    if (access(path, F_OK) < 0 && access(directory, F_OK) == 0 && access(directory, W_OK) < 0)
        err = refuse(-errno, error, error_bytes,
                     "cannot make the database %s: the directory %s cannot be written to", path,
                     directory);
    else
        err = refuse(err, error, error_bytes, "cannot open the database %s: %s", path,
                     weft_strerror(err));
    free(copy);
    return err;
}

/* Open the file. Devices and the like are refused before they are touched, and so is what SQLite
 * would keep in memory. */
static int connect_writer(struct sqlite_broker *broker, char *error, size_t error_bytes)
{
    const char *path = broker->path;
    struct stat info;
    bool regular = stat(path, &info) < 0 || S_ISREG(info.st_mode);
    if (regular) {
        const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
        int err = weft_sqlite_connect(&broker->writer.db, path, flags);
        if (err)
            return refuse_open(err, path, error, error_bytes);
        regular = sqlite3_db_filename(broker->writer.db, "main")[0] != '\0';
    }
    return regular
               ? 0
               : refuse(-EINVAL, error, error_bytes, "the database %s is no regular file", path);
}

/* Look, without changing a byte, whether this file is ours to write.
 * Returns the version, 0 for an empty file, or an error */
static int check_file(sqlite3 *db, const char *path, char *error, size_t error_bytes)
{
    int64_t version = 0, application = 0, tables = 0;
    /* Nothing is moved from log to file when a refused database is closed. */
    (void)sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    if (sqlite3_db_readonly(db, "main") == 1)
        return refuse(-EROFS, error, error_bytes, "the database %s cannot be written to", path);
    int err = weft_sqlite_read_int(db, "PRAGMA user_version", &version);
    if (!err)
        err = weft_sqlite_read_int(db, "PRAGMA application_id", &application);
    if (!err)
        err = weft_sqlite_read_int(db, "SELECT count(*) FROM sqlite_master", &tables);
    if (err == WEFT_ECORRUPT)
        return refuse(err, error, error_bytes,
                      (sqlite3_errcode(db) & 0xff) == SQLITE_NOTADB ? "%s is not an SQLite database"
                                                                    : "the database %s is damaged",
                      path);
    if (err)
        return refuse(err, error, error_bytes, "cannot read the database %s: %s", path,
                      weft_strerror(err));
    bool ours = application == APPLICATION_ID;
    if (!ours && (tables > 0 || version != 0))
        return refuse(WEFT_ECORRUPT, error, error_bytes,
                      "%s is the database of another program: weft leaves it alone", path);
    if (version > VERSION)
        return refuse(WEFT_EVERSION, error, error_bytes,
                      "the database %s has version %lld, written by a newer weft; this one knows "
                      "up to version %d",
                      path, (long long)version, VERSION);
    (void)sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0, NULL);
    return (int)version;
}

static int migrate(sqlite3 *db, int version)
{
    int err = 0;
    for (; !err && version < VERSION; version++) {
        char mark[96];
        (void)snprintf(mark, sizeof mark, "PRAGMA application_id = %d; PRAGMA user_version = %d;",
                       APPLICATION_ID, version + 1);
        err = run(db, "BEGIN IMMEDIATE");
        if (!err)
            err = run(db, migrations[version]);
        if (!err)
            err = run(db, mark);
        if (!err)
            err = run(db, "COMMIT");
        if (err)
            (void)run(db, "ROLLBACK");
    }
    return err;
}

int weft_sqlite_limit_pages(sqlite3 *db, uint64_t size_bytes_max)
{
    int64_t page_bytes = 0;
    int err = weft_sqlite_read_int(db, "PRAGMA page_size", &page_bytes);
    if (err)
        return err;
    if (page_bytes <= 0)
        return WEFT_ECORRUPT;
    uint64_t pages = size_bytes_max ? size_bytes_max / (uint64_t)page_bytes : 0xfffffffe;
    char sql[64];
    (void)snprintf(sql, sizeof sql, "PRAGMA max_page_count = %llu",
                   (unsigned long long)(pages > 0 ? pages : 1));
    return run(db, sql);
}

/* Looks before it locks, to leave no lock file beside a file that is not ours, and again with the
 * lock, because another server may have made the database meanwhile.
 * Returns the version, 0 for an empty file, or an error */
static int open_file(struct sqlite_broker *broker, char *error, size_t error_bytes)
{
    if (broker->memory)
        return weft_sqlite_connect(&broker->writer.db,
                                   ":memory:", SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);
    int result = connect_writer(broker, error, error_bytes);
    if (!result)
        result = check_file(broker->writer.db, broker->path, error, error_bytes);
    if (result >= 0)
        result = take_lock(broker, error, error_bytes);
    if (!result)
        result = check_file(broker->writer.db, broker->path, error, error_bytes);
    return result;
}

/* Where memory cannot be shared, as on some file systems of networks and virtual machines, SQLite
 * goes on with another kind of log, without a word: commits in it are not all that they are here.
 */
static int check_log(struct sqlite_broker *broker, char *error, size_t error_bytes)
{
    int64_t is_wal = 0;
    int err = weft_sqlite_read_int(broker->writer.db,
                                   "SELECT journal_mode = 'wal' FROM pragma_journal_mode", &is_wal);
    if (err || is_wal || broker->memory)
        return err;
    return refuse(-ENOTSUP, error, error_bytes,
                  "the database %s is on a file system that SQLite's log (WAL) does not work on",
                  broker->path);
}

int weft_sqlite_schema_open(struct sqlite_broker *broker, const struct weft_sqlite_options *options,
                            char *error, size_t error_bytes)
{
    int version = open_file(broker, error, error_bytes);
    if (version < 0)
        return version;
    sqlite3 *db = broker->writer.db;
    int err = run(db, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
                      "PRAGMA wal_autocheckpoint = 0; PRAGMA cache_size = -16384;"
                      "PRAGMA temp_store = MEMORY; PRAGMA foreign_keys = OFF;");
    if (!err)
        err = check_log(broker, error, error_bytes);
    if (!err)
        err = migrate(db, version);
    if (!err)
        err = weft_sqlite_recover(broker);
    if (!err)
        err = weft_sqlite_limit_pages(db, options->size_bytes_max);
    if (err && err != -ENOTSUP)
        err = refuse(err, error, error_bytes, "cannot set up the database %s: %s", broker->path,
                     weft_strerror(err));
    return err;
}
