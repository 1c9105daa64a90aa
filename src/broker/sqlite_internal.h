/* SPDX-License-Identifier: MIT
 * sqlite_internal.h - what the files of the SQLite broker share.
 *
 *   sqlite.c             open, close, the table of the broker's functions
 *   sqlite_schema.c      the file: lock, checks, tables, versions
 *   sqlite_recover.c     what is done at every open: leases of the dead, counts
 *   sqlite_writer.c      the thread that writes: group commit; without it in memory
 *   sqlite_checkpoint.c  the thread that moves the log into the file
 *   sqlite_row.c         rows to jobs and back
 *   sqlite_queue.c       names of tasks and queues, settings and counts, all in memory; undo
 *   sqlite_event.c       the ring of events
 *   sqlite_enqueue.c     inside the transaction: put in ...
 *   sqlite_claim.c       ... take out ...
 *   sqlite_settle.c      ... end, give back, extend ...
 *   sqlite_needs.c       ... what waits for what ...
 *   sqlite_limit.c       ... limits of a queue ...
 *   sqlite_maintain.c    ... what time brings about ...
 *   sqlite_control.c     ... cancel, retry, settings of queues, firing schedules
 *   sqlite_reader.c      connections that read, beside the writer
 *   sqlite_read.c        texts of all that is asked; one job, statistics
 *   sqlite_list.c        pages of jobs
 *   sqlite_prune.c       what was kept long enough is removed
 *   sqlite_manage.c      metrics, registry of workers, audit
 *   sqlite_cron.c        the table of schedules
 *
 * A fiber puts a struct sqlite_request, which lives on its stack, into the writer's queue and parks
 * on its completion. Reading never waits for writing (WAL). In memory there is one connection and
 * no thread: each request is a transaction of its own, done on the spot. */
#ifndef WEFT_BROKER_SQLITE_INTERNAL_H
#define WEFT_BROKER_SQLITE_INTERNAL_H

#include <broker/sqlite.h>
#include <runtime/completion.h>
#include <weft/base.h>

#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>

/* --- statements of the writer's connection, prepared at open --- */

enum sqlite_statement {
    SQL_BEGIN,
    SQL_COMMIT,
    SQL_ROLLBACK,
    SQL_TOTALS,
    SQL_QUEUE_TOTALS,
    SQL_METRICS_INSERT,
    SQL_METRICS_TRIM,
    SQL_WORKER_INSERT,
    SQL_WORKERS_TRIM,
    SQL_WORKER_BEAT,
    SQL_WORKER_LEAVE,
    SQL_CRON_SUMS,
    SQL_CRON_SET,
    SQL_CRON_REMOVE,
    SQL_AUDIT_INSERT,
    SQL_AUDIT_TRIM,
    SQL_PRUNE_OUTCOME,
    SQL_PRUNE_UNIQUE,
    SQL_PRUNE_ERRORS,
    SQL_PRUNE_NEEDS,
    SQL_PRUNE_JOB,
    SQL_RESULT_DROP,
    SQL_RESULT_DEFER,
    SQL_STATEMENTS,
};

/* Each file has a table of its own, ended by sql NULL; weft_sqlite_prepare knows them all. */
struct sqlite_text {
    enum sqlite_statement statement;
    const char *sql;
};

extern const struct sqlite_text weft_sqlite_texts_writer[], weft_sqlite_texts_manage[],
    weft_sqlite_texts_cron[], weft_sqlite_texts_prune[];

/* --- the columns flags of queue and policy of needs, bits --- */

enum sqlite_flag {
    SQLITE_HELD = 1,       /* available, but as many with its limit_key run as may */
    SQLITE_CANCELLING = 2, /* runs, and somebody wants it cancelled; reason tells why */
    SQLITE_NEEDS = 4,      /* has rows in needs as a child: it is handed inputs */
    SQLITE_NEEDED = 8,     /* has rows in needs as a parent: its end is news to others */
    SQLITE_RESULT_TTL = 16 /* its result is dropped some time after its end */
};

enum sqlite_policy {
    SQLITE_ANY_END = 1, /* however the parent ends */
    SQLITE_ENDED = 2,   /* it has ended: the child no longer waits for it */
};

/* --- writing --- */

struct sqlite_broker;
struct sqlite_writer;

struct sqlite_request {
    struct sqlite_request *next;
    /* Runs on the writer thread inside the transaction. Returns SQLITE_OK, or the code that makes
     * the whole transaction fail; what concerns one item goes into the item's err. It may run
     * again from the start after a rollback. */
    int (*apply)(struct sqlite_writer *writer, struct sqlite_request *request);
    void *arg;
    size_t count;   /* items, for statistics */
    size_t bytes;   /* about so much is written: bounds a transaction */
    int64_t now_us; /* when the fiber called: the writer reads no clock */
    struct weft_completion done;
};

/* About what a row costs beside its payload, all tables together. */
#define SQLITE_ROW_BYTES ((size_t)256)

/* What the current transaction changes in the table totals. */
struct sqlite_delta {
    int64_t jobs[WEFT_JOB_STATES];
    int64_t processing_sum_us, processing_min_us, processing_max_us;
    bool dirty;
};

struct sqlite_writer {
    sqlite3 *db;
    sqlite3_stmt *statements[SQL_STATEMENTS];
    uint64_t next_token;
    struct sqlite_delta delta;
    pthread_t thread;
    bool running;

    pthread_mutex_t lock; /* guards what follows; in memory: held while a request is applied */
    pthread_cond_t wake;
    struct sqlite_request *first, *last;
    size_t pending, pending_max;
    bool stopping;
    bool checkpoint_due; /* finish what the checkpoint thread began */

    atomic_uint_fast64_t operations, commits, batch_max;
    atomic_uint wal_pages;        /* after the last commit */
    unsigned checkpoint_at_pages; /* when the log is so long, wake the checkpoint thread */
};

/* From a fiber: hand over and wait until it is durable; in memory it is done at once.
 * Returns 0 or the error of the request's transaction. */
int weft_sqlite_write(struct sqlite_broker *broker, struct sqlite_request *request);

/* For apply functions: run a statement that gives no rows, and reset it. */
int weft_sqlite_run(struct sqlite_writer *writer, enum sqlite_statement statement);

/* The same; what is bound is not looked at any more. */
int weft_sqlite_run_bound(struct sqlite_writer *writer, enum sqlite_statement statement);

/* A change that is one small request; arg of apply is the change. */
struct sqlite_change {
    const void *what;
    int64_t number;
    int err; /* the change's own: the transaction goes on all the same */
};

/* From a fiber. Returns the error of the transaction, else the change's. */
int weft_sqlite_change(struct weft_broker *broker,
                       int (*apply)(struct sqlite_writer *writer, struct sqlite_request *request),
                       struct sqlite_change *change, size_t bytes);

/* Whether a result code concerns one item only, or the whole transaction. */
bool weft_sqlite_is_items_own(int rc);

/* --- reading --- */

/* Statements of every connection that reads, texts in sqlite_read.c. */
enum sqlite_read_statement {
    READ_JOB,
    READ_LISTED_JOB,
    READ_JOB_ID,
    READ_FAILURES,
    READ_TOTALS,
    READ_METRICS,
    READ_QUEUE_OLDEST,
    READ_QUEUE_NUMBER,
    READ_TASK_NUMBER,
    READ_LIST_JOBS,
    READ_LIST_FLOW,
    READ_LIST_LIVE,
    READ_LIST_COMPLETED,
    READ_LIST_UNUSUAL,
    READ_PRUNE_COMPLETED,
    READ_PRUNE_UNUSUAL,
    READ_PRUNE_RESULTS,
    READ_WORKERS,
    READ_CRONS,
    READ_AUDITS,
    READ_STATEMENTS,
};

extern const char *const weft_sqlite_read_sql[READ_STATEMENTS];

struct sqlite_reader {
    struct sqlite_reader *next;
    sqlite3 *db;
    sqlite3_stmt *statements[READ_STATEMENTS];
};

/* From a fiber: run read(reader, arg) on an offload thread with an idle connection, or, in memory,
 * at once with the only one. A checkpoint. Returns its result, or why it did not run. */
int weft_sqlite_read(struct sqlite_broker *broker,
                     int (*read)(struct sqlite_reader *reader, void *arg), void *arg);

/* sqlite_reader.c */
void weft_sqlite_readers_close(struct sqlite_broker *broker);

/* --- the broker --- */

/* One walk through finished jobs in the order of their numbers, see sqlite_prune.c. */
struct sqlite_walk {
    int64_t seq; /* it is there */
    int64_t began_us;
    int64_t in_vain; /* rows it had to pass */
};

enum sqlite_walk_kind {
    SQLITE_WALK_COMPLETED,
    SQLITE_WALK_CANCELLED,
    SQLITE_WALK_DEAD,
    SQLITE_WALKS,
};

struct sqlite_checkpoint {
    sqlite3 *db;
    pthread_t thread;
    bool running;
    unsigned wal_pages_max;
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t wake;
    bool due, stopping;
};

struct sqlite_broker {
    struct weft_broker broker;
    char *path;
    bool memory;
    int lock_fd;
    int64_t clock_offset_us; /* time of day minus the runtime's clock, fixed at open */
    struct sqlite_writer writer;
    struct sqlite_checkpoint checkpoint;
    pthread_mutex_t readers_lock;
    struct sqlite_reader *readers; /* idle ones */
    struct sqlite_walk walks[SQLITE_WALKS];
};

struct sqlite_broker *weft_sqlite_of(struct weft_broker *broker);
int64_t weft_sqlite_now_us(struct weft_broker *broker);

/* Translate the connection's last error, rc, into a negative code. */
int weft_sqlite_error(sqlite3 *db, int rc);

/* --- rows, sqlite_row.c --- */

/* A job's row number: the 60 bits of a UUIDv7 in front of its random part, without the version.
 * They rise with time, so rows are appended; ids that agree in them count as the same. */
int64_t weft_sqlite_seq(const struct weft_uuid *id);

/* What was asked for, in a SELECT over `jobs j`; read by weft_sqlite_column_asked from column `at`
 * on. Texts and payload are valid until the statement's next step. */
#define SQLITE_ASKED_COLUMNS SQLITE_ASKED_WITH(" j.payload")
#define SQLITE_ASKED_WITH(payload)                                                                 \
    "j.id, j.priority, j.attempts_max, j.created_us, j.expires_us, j.timeout_us, j.grace_us,"      \
    " j.result_ttl_us, j.backoff, j.flow, j.limit_key, j.unique_key, j.content_type, "             \
    "j.headers," payload
#define SQLITE_ASKED_COUNT 15

/* Sets all that never changes but task and queue. False: the row is not what weft writes. */
bool weft_sqlite_column_asked(sqlite3_stmt *row, int at, struct weft_job *job);

/* A column that holds JSON (as text) or bytes; valid until the statement's next step. */
struct weft_bytes weft_sqlite_column_bytes(sqlite3_stmt *row, int column);
const char *weft_sqlite_column_text(sqlite3_stmt *row, int column); /* NULL: none */
/* Cut where there is no room; "" for NULL. */
void weft_sqlite_column_copy(sqlite3_stmt *row, int column, char *text, size_t bytes);
bool weft_sqlite_column_id(sqlite3_stmt *row, int column, struct weft_uuid *ret_id);

/* What is bound is borrowed until sqlite3_clear_bindings. NULL and data NULL bind NULL. */
void weft_sqlite_bind_bytes(sqlite3_stmt *statement, int at, const struct weft_bytes *bytes);
void weft_sqlite_bind_text(sqlite3_stmt *statement, int at, const char *text);
void weft_sqlite_bind_id(sqlite3_stmt *statement, int at, const struct weft_uuid *id);
/* Cut to WEFT_JOB_ERROR_MAX at the start of a UTF-8 character. */
void weft_sqlite_bind_error(sqlite3_stmt *statement, int at, const char *text);

/* Pages of the file that a connection had to read so far: what work is bounded by. */
int weft_sqlite_pages_read(sqlite3 *db);

/* A copy of the job in a row of READ_JOB or READ_LISTED_JOB. WEFT_ECORRUPT: not what weft writes.
 */
int weft_sqlite_column_job(sqlite3_stmt *row, struct weft_job **ret_job);

/* --- names, settings and counts of queues, sqlite_queue.c --- */

/* Copies as they are after the last commit, in order of name; oldest_us is left 0. From any
 * thread. Returns how many there are, also beyond max. */
size_t weft_sqlite_queues_copy(struct sqlite_broker *broker, struct weft_queue_info *queues,
                               size_t max);
/* -ENOENT. *ret_number is the queue's number in the tables. */
int weft_sqlite_queue_copy(struct sqlite_broker *broker, const char *name,
                           struct weft_queue_info *ret_queue, int64_t *ret_number);

/* --- sqlite_schema.c: blocking; they fill error with a sentence when they fail --- */

int weft_sqlite_schema_open(struct sqlite_broker *broker, const struct weft_sqlite_options *options,
                            char *error, size_t error_bytes);
int weft_sqlite_connect(sqlite3 **ret_db, const char *path, int flags);
int weft_sqlite_limit_pages(sqlite3 *db, uint64_t size_bytes_max);

/* --- sqlite_writer.c --- */

int weft_sqlite_writer_start(struct sqlite_broker *broker);
void weft_sqlite_writer_stop(struct sqlite_writer *writer); /* finishes what is pending */

/* --- sqlite_checkpoint.c --- */

int weft_sqlite_checkpoint_start(struct sqlite_broker *broker);
void weft_sqlite_checkpoint_stop(struct sqlite_checkpoint *checkpoint);
void weft_sqlite_checkpoint_due(struct sqlite_checkpoint *checkpoint);

/* --- the broker's functions that live in other files than sqlite.c, see job/broker.h --- */

int weft_sqlite_find(struct weft_broker *broker, const struct weft_uuid *id,
                     struct weft_job **ret_job);
int weft_sqlite_failures(struct weft_broker *broker, const struct weft_uuid *id,
                         struct weft_job_failure *failures, size_t max, size_t *ret_count);
int weft_sqlite_list(struct weft_broker *broker, const struct weft_job_filter *filter,
                     struct weft_job_page *page);
int weft_sqlite_prune(struct weft_broker *broker, const struct weft_retention *retention,
                      uint64_t *ret_removed, bool *ret_more);
int weft_sqlite_stats(struct weft_broker *broker, struct weft_broker_stats *ret_stats);
int weft_sqlite_record(struct weft_broker *broker, const struct weft_queue_metrics *metrics);
int weft_sqlite_queues(struct weft_broker *broker, struct weft_queue_info *queues, size_t max,
                       size_t *ret_count);
int weft_sqlite_queue_find(struct weft_broker *broker, const char *name,
                           struct weft_queue_info *ret);
int weft_sqlite_worker_join(struct weft_broker *broker, struct weft_worker_info *worker);
int weft_sqlite_worker_beat(struct weft_broker *broker, const struct weft_worker_info *worker);
int weft_sqlite_worker_leave(struct weft_broker *broker, int64_t number);
int weft_sqlite_workers(struct weft_broker *broker, struct weft_worker_info *workers, size_t max,
                        size_t *ret_count);
int weft_sqlite_cron_set(struct weft_broker *broker, const struct weft_cron_entry *entry);
int weft_sqlite_cron_remove(struct weft_broker *broker, const char *name);
int weft_sqlite_crons(struct weft_broker *broker, struct weft_cron_entry **ret_entries, size_t max,
                      size_t *ret_count);
int weft_sqlite_audit(struct weft_broker *broker, const struct weft_audit_entry *entry);
int weft_sqlite_audits(struct weft_broker *broker, struct weft_audit_entry *entries, size_t max,
                       size_t *ret_count);

#endif
