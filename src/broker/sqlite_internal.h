/* SPDX-License-Identifier: MIT
 * sqlite_internal.h - what the files of the SQLite broker share.
 *
 *   sqlite.c             open, close, the broker's functions as seen by fibers
 *   sqlite_schema.c      the file: lock, checks, tables, versions, recovery after a crash
 *   sqlite_writer.c      the thread that writes: group commit
 *   sqlite_write.c       what each request does inside the transaction
 *   sqlite_read.c        connections that read, used on offload threads
 *   sqlite_checkpoint.c  the thread that moves the log into the file
 *
 * A fiber puts a struct sqlite_request, which lives on its stack, into the writer's queue and parks
 * on its completion. Reading never waits for writing (WAL). */
#ifndef WEFT_BROKER_SQLITE_INTERNAL_H
#define WEFT_BROKER_SQLITE_INTERNAL_H

#include <broker/sqlite.h>
#include <runtime/completion.h>
#include <weft/base.h>

#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>

/* Prepared once per connection; the texts are in sqlite_write.c. */
enum sqlite_statement {
    SQL_BEGIN,
    SQL_COMMIT,
    SQL_ROLLBACK,
    SQL_TOTALS,
    SQL_JOB_INSERT,
    SQL_QUEUE_INSERT,
    SQL_CLAIM_SELECT,
    SQL_CLAIM_UPDATE,
    SQL_LEASE_SELECT,
    SQL_LEASE_END,
    SQL_LEASE_RETURN,
    SQL_OUTCOME_INSERT,
    SQL_ERROR_INSERT,
    SQL_DUE_SELECT,
    SQL_DUE_UPDATE,
    SQL_DUE_NEXT,
    SQL_ADOPT,
    SQL_COUNTS,
    SQL_METRICS_INSERT,
    SQL_METRICS_PRUNE,
    SQL_STATEMENTS,
};

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

    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t wake;
    struct sqlite_request *first, *last;
    size_t pending, pending_max;
    bool stopping;
    bool checkpoint_due; /* finish what the checkpoint thread began */

    atomic_uint_fast64_t operations, commits, batch_max;
    atomic_uint wal_pages;        /* after the last commit */
    unsigned checkpoint_at_pages; /* when the log is so long, wake the checkpoint thread */
};

struct sqlite_reader {
    struct sqlite_reader *next;
    sqlite3 *db;
    sqlite3_stmt *find, *totals, *metrics;
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
    int lock_fd;
    int64_t clock_offset_us; /* time of day minus the runtime's clock, fixed at open */
    struct sqlite_writer writer;
    struct sqlite_checkpoint checkpoint;
    pthread_mutex_t readers_lock;
    struct sqlite_reader *readers; /* idle ones */
};

/* A job's row number: the 60 bits of a UUIDv7 in front of its random part, without the version.
 * They rise with time, so rows are appended; ids that agree in them count as the same. */
int64_t weft_sqlite_seq(const struct weft_uuid *id);

/* A column that holds JSON (as text) or bytes; valid until the statement's next step. */
struct weft_bytes weft_sqlite_column_bytes(sqlite3_stmt *row, int column);

/* Translate the connection's last error, rc, into a negative code. */
int weft_sqlite_error(sqlite3 *db, int rc);

/* sqlite_schema.c; both fill error with a sentence when they fail. Blocking: not on a fiber. */
int weft_sqlite_schema_open(struct sqlite_broker *broker, const struct weft_sqlite_options *options,
                            char *error, size_t error_bytes);
int weft_sqlite_connect(sqlite3 **ret_db, const char *path, int flags);
int weft_sqlite_limit_pages(sqlite3 *db, uint64_t size_bytes_max);

/* sqlite_writer.c */
int weft_sqlite_writer_start(struct sqlite_broker *broker);
void weft_sqlite_writer_stop(struct sqlite_writer *writer); /* finishes what is pending */
/* From a fiber: hand over and wait. Returns 0 or the error of the request's transaction. */
int weft_sqlite_write(struct sqlite_broker *broker, struct sqlite_request *request);

struct sqlite_adoption {
    struct weft_worker_counts *counts;
    unsigned workers;
};

/* sqlite_write.c: apply functions; arg is what the broker's function was given. */
int weft_sqlite_prepare(struct sqlite_writer *writer);
void weft_sqlite_finalize(struct sqlite_writer *writer);
int weft_sqlite_apply_enqueue(struct sqlite_writer *writer, struct sqlite_request *request);
int weft_sqlite_apply_claim(struct sqlite_writer *writer, struct sqlite_request *request);
int weft_sqlite_apply_settle(struct sqlite_writer *writer, struct sqlite_request *request);
int weft_sqlite_apply_extend(struct sqlite_writer *writer, struct sqlite_request *request);
int weft_sqlite_apply_promote(struct sqlite_writer *writer, struct sqlite_request *request);
int weft_sqlite_apply_adopt(struct sqlite_writer *writer, struct sqlite_request *request);
int weft_sqlite_apply_record(struct sqlite_writer *writer, struct sqlite_request *request);
int weft_sqlite_apply_limit(struct sqlite_writer *writer, struct sqlite_request *request);
/* Run a statement that gives no rows, and reset it. */
int weft_sqlite_run(struct sqlite_writer *writer, enum sqlite_statement statement);
/* Bring the table totals up to date with writer->delta, at the end of a transaction. */
int weft_sqlite_write_totals(struct sqlite_writer *writer);

/* sqlite_read.c: on offload threads. */
int weft_sqlite_read_find(struct sqlite_broker *broker, const struct weft_uuid *id,
                          struct weft_job **ret_job);
int weft_sqlite_read_stats(struct sqlite_broker *broker, struct weft_broker_stats *ret_stats);
void weft_sqlite_readers_close(struct sqlite_broker *broker);

/* sqlite_checkpoint.c */
int weft_sqlite_checkpoint_start(struct sqlite_broker *broker);
void weft_sqlite_checkpoint_stop(struct sqlite_checkpoint *checkpoint);
void weft_sqlite_checkpoint_due(struct sqlite_checkpoint *checkpoint);

#endif
