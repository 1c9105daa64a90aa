/* SPDX-License-Identifier: MIT
 * sqlite_internal.h - what the files of the SQLite broker share.
 *
 *   sqlite.c             open, close, the table of the broker's functions
 *   sqlite_schema.c      the file: lock, checks, tables, versions
 *   sqlite_recover.c     what is done at every open: leases of the dead, counts
 *   sqlite_writer.c      the thread that writes: group commit; without it in memory
 *   sqlite_checkpoint.c  the thread that moves the log into the file
 *   sqlite_row.c         columns to the parts of a job, and back
 *   sqlite_names.c       names of tasks and queues, which rows have as numbers
 *   sqlite_queue.c       settings and counts of the queues, in memory
 *   sqlite_undo.c        takes back what was changed in memory when a transaction fails
 *   sqlite_gather.c      rows of one transaction that are written together
 *   sqlite_event.c       the ring of events
 *   sqlite_enqueue.c     inside the transaction: put in ...
 *   sqlite_claim.c       ... take out ...
 *   sqlite_passed.c      ... behind what was looked at before ...
 *   sqlite_settle.c      ... end, give back, extend ...
 *   sqlite_move.c        ... from state to state, whoever asks ...
 *   sqlite_lease.c       ... what is remembered of those that run ...
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
#include <weft/parts.h>

#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>

/* --- statements of the writer's connection, prepared at open --- */

enum sqlite_statement {
    SQL_BEGIN,
    SQL_COMMIT,
    SQL_ROLLBACK,
    SQL_SAVEPOINT,
    SQL_SAVEPOINT_KEEP,
    SQL_SAVEPOINT_UNDO,
    SQL_TOTALS,
    SQL_QUEUE_TOTALS,
    SQL_TASK_INSERT,
    SQL_QUEUE_NAME_INSERT,
    SQL_QUEUE_SETTINGS,
    SQL_JOBS_INSERT_PLAIN,
    SQL_JOBS_INSERT,
    SQL_QUEUE_INSERT_PLAIN,
    SQL_QUEUE_INSERT,
    SQL_OUTCOMES_INSERT,
    SQL_STATE_SELECT,
    SQL_UNIQUE_SELECT,
    SQL_UNIQUE_INSERT,
    SQL_NEED_INSERT,
    SQL_NEEDED_UPDATE,
    SQL_CLAIM_SELECT,
    SQL_CLAIM_SELECT_AFTER,
    SQL_CLAIM_SELECT_ONE,
    SQL_CLAIM_UPDATE,
    SQL_CLAIM_UPDATE_ALL,
    SQL_CLAIM_HEAD,
    SQL_CLAIM_HEAD_AFTER,
    SQL_INPUTS_SELECT,
    SQL_HOLD,
    SQL_UNHOLD,
    SQL_HELD_INSERT,
    SQL_HELD_DELETE,
    SQL_HELD_SELECT,
    SQL_ROW_SELECT,
    SQL_ID_SELECT,
    SQL_REASON_SELECT,
    SQL_RETURN,
    SQL_READY,
    SQL_ROW_DELETE,
    SQL_RESULT_TTL_SELECT,
    SQL_ERROR_INSERT,
    SQL_ERRORS_TRIM,
    SQL_EXTEND,
    SQL_NEEDS_LAST,
    SQL_NEEDS_END,
    SQL_UNRESOLVED_PUT,
    SQL_UNRESOLVED_SELECT,
    SQL_UNRESOLVED_DELETE,
    SQL_NEEDS_DELETE,
    SQL_WAITS_UPDATE,
    SQL_WAKE_SELECT,
    SQL_WAKE_NEXT,
    SQL_LOST_UNTIL_CLOSE,
    SQL_LEASES_LATER,
    SQL_CANCELLING,
    SQL_FLOW_SELECT,
    SQL_REVIVE_SELECT,
    SQL_REVIVE,
    SQL_OUTCOME_DELETE,
    SQL_CRON_SELECT,
    SQL_CRON_FIRED,
    SQL_METRICS_INSERT,
    SQL_METRICS_TRIM,
    SQL_WORKER_INSERT,
    SQL_WORKERS_TRIM,
    SQL_WORKER_BEAT,
    SQL_WORKER_LEAVE,
    SQL_WORKER_HOLDS,
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

extern const struct sqlite_text weft_sqlite_texts_writer[], weft_sqlite_texts_queue[],
    weft_sqlite_texts_gather[], weft_sqlite_texts_enqueue[], weft_sqlite_texts_claim[],
    weft_sqlite_texts_limit[], weft_sqlite_texts_move[], weft_sqlite_texts_settle[],
    weft_sqlite_texts_needs[], weft_sqlite_texts_maintain[], weft_sqlite_texts_control[],
    weft_sqlite_texts_manage[], weft_sqlite_texts_cron[], weft_sqlite_texts_prune[];

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
    bool gathers; /* apply looks at no row that may still have to be written */
    size_t count; /* items, for statistics */
    size_t bytes; /* about so much is written: bounds a transaction */
    /* When the fiber called: the writer reads no clock. By the runtime's; and by the broker's,
     * which may be set forward before it is applied. */
    int64_t called_us, now_us;
    struct weft_completion done;
};

/* About what a row costs beside its payload, all tables together. */
#define SQLITE_ROW_BYTES ((size_t)256)

/* Jobs to be dealt with after the statement that found them. */
struct sqlite_item {
    int64_t seq;
    int tag; /* what it means is between who fills the list and who reads it */
    struct weft_uuid id;
};

struct sqlite_list {
    struct sqlite_item *items;
    size_t count, capacity;
};

/* Processing times of the current transaction. */
struct sqlite_times {
    int64_t sum_us, min_us, max_us; /* min_us INT64_MAX: none */
};

/* A word as it was before it was changed. */
struct sqlite_word {
    uint64_t *at, before;
};

struct sqlite_undo {
    struct sqlite_word *words;
    size_t count, capacity;
};

/* Rows to be written. What is pointed to is borrowed until they are. */
struct sqlite_new_job {
    const struct weft_job *job; /* what was asked is read, and run_at_us */
    int64_t seq, task, queue;
    enum weft_job_state state; /* CANCELLED: no row in queue */
    unsigned flags, waits_for;
    int64_t wake_us, lease_until_us, started_us, worker; /* 0: NULL */
    uint64_t lease_token;
};

struct sqlite_new_outcome {
    int64_t seq;
    enum weft_job_state state;
    unsigned attempt, crashes;
    int64_t worker, thread, started_us, finished_us, result_until_us;
    const char *error;
    const struct weft_bytes *result;
};

struct sqlite_gather {
    struct sqlite_new_job *jobs;
    struct sqlite_new_outcome *outcomes;
    size_t jobs_count, jobs_capacity, outcomes_count, outcomes_capacity;
    struct sqlite_list claimed; /* only their seq */
    bool one_by_one; /* no row but the one that is about to be written: its error is its own */
};

/* Where a transaction was at some point, as far as memory is concerned. */
struct sqlite_mark {
    size_t words, events, ended, jobs, outcomes;
    int64_t last_task, last_queue;
    struct sqlite_times times;
};

/* Names by number and by hash. Numbers are given in order, so the latest is the last. */
struct sqlite_name {
    int64_t number;
    uint64_t hash;
    const char *text;
    uint64_t wanted; /* of a task: by the claim with this token */
};

struct sqlite_names {
    struct sqlite_name **numbered, **slots;
    size_t numbered_capacity, slots_count;
    int64_t last;       /* the highest number */
    size_t count, max;  /* names */
    uint64_t secret[2]; /* of the hash; there with the slots */
};

struct sqlite_queue {
    struct sqlite_name name; /* first */
    struct weft_queue_settings settings;
    uint64_t jobs[WEFT_JOB_STATES]; /* as of this moment in the transaction */
    uint64_t held;                  /* of the available ones */
    uint64_t claims;                /* so far */
    uint64_t empty_ns; /* the bucket of the rate was empty then, had nothing been claimed since */
    uint64_t held_for_long; /* 1: jobs may be held back that need not be; maintain looks */
    bool touched;
    struct sqlite_queue *next_touched;
    struct weft_queue_info info; /* as of the last commit; name NULL: made since */
};

struct sqlite_key;
struct sqlite_lease;

/* Jobs of a queue that have the same limit_key. */
struct sqlite_keys {
    struct sqlite_key **chains;
    size_t chains_count, count;
    uint64_t secret[2];         /* of the hash; there with the chains */
    struct sqlite_key *touched; /* perhaps without jobs at the end of the transaction */
};

/* A place in the order of the ready jobs of one queue and priority. */
struct sqlite_place {
    int64_t run_at_us, seq;
};

#define SQLITE_PASSED_MAX 64u

/* What claims of the same tasks have looked at in a queue, see sqlite_passed.c. */
struct sqlite_passed {
    uint64_t queue;                             /* its number */
    uint64_t tasks;                             /* hash of their numbers */
    uint64_t places[WEFT_PRIORITY_LAST + 1][2]; /* struct sqlite_place, of each priority: up to
                                                   there nothing is for them */
    uint64_t used; /* no word that is taken back: the later the higher */
};

#define SQLITE_EVENTS 65536u /* kept */

struct sqlite_events {
    struct weft_broker_event *pending; /* of the current transaction */
    size_t pending_count, pending_capacity;
    struct weft_guard guard; /* guards what follows */
    struct weft_link waiting;
    struct weft_broker_event *ring; /* by number modulo SQLITE_EVENTS */
    uint64_t opened, last;          /* numbers above opened, to last */
};

struct sqlite_writer {
    sqlite3 *db;
    sqlite3_stmt *statements[SQL_STATEMENTS];
    pthread_t thread;
    bool running;

    /* Of the writer alone. */
    uint64_t next_token;
    uint64_t unresolved;             /* 1: there may be rows in the table of this name */
    unsigned resolved, resolved_max; /* jobs that waited for others, in one transaction */
    int64_t called_us;               /* of the latest request */
    uint64_t clock_offset_us; /* what its clock is ahead of the runtime's: an int64_t, as a word */
    int memory; /* SQLITE_NOMEM: something could not be noted, the transaction must fail */
    struct sqlite_times times;
    struct sqlite_undo undo;
    struct sqlite_names tasks, queues;
    struct sqlite_queue *touched;
    struct sqlite_gather gather;
    struct sqlite_keys keys;
    struct sqlite_lease *leases; /* claimed lately */
    struct sqlite_passed passed[SQLITE_PASSED_MAX];
    unsigned passed_count;
    struct sqlite_list found, skipped, ended, children;
    uint64_t cancelled;         /* jobs, counted by weft_sqlite_finish */
    pthread_mutex_t names_lock; /* the writer changes tasks, queues and info with it */
    struct sqlite_events events;

    pthread_mutex_t lock; /* guards what follows; in memory: held while a request is applied */
    pthread_cond_t wake;
    struct sqlite_request *first, *last;
    size_t pending, pending_max;
    bool stopping;
    bool checkpoint_due; /* finish what the checkpoint thread began */

    atomic_uint_fast64_t operations, commits, batch_max;
    atomic_int_least64_t offset_us; /* clock_offset_us as of the last commit, for others */
    atomic_uint wal_pages;          /* after the last commit */
    unsigned checkpoint_at_pages;   /* when the log is so long, wake the checkpoint thread */
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
    int64_t opened_us;  /* by its clock, which only fibers can read */
    bool follows_clock; /* the machine's, when that is set forward */
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
void weft_sqlite_bind_text(sqlite3_stmt *statement, int at, const char *text);
void weft_sqlite_bind_id(sqlite3_stmt *statement, int at, const struct weft_uuid *id);
/* Cut to WEFT_JOB_ERROR_MAX at the start of a UTF-8 character: so much of it is kept. */
size_t weft_sqlite_error_len(const char *text);
void weft_sqlite_bind_error(sqlite3_stmt *statement, int at, const char *text);

/* Pages of the file that a connection had to read so far: what work is bounded by. */
int weft_sqlite_pages_read(sqlite3 *db);

/* A copy of the job in a row of READ_JOB or READ_LISTED_JOB. WEFT_ECORRUPT: not what weft writes.
 */
int weft_sqlite_column_job(sqlite3_stmt *row, struct weft_job **ret_job);

/* --- names, sqlite_names.c: the writer alone --- */

void weft_sqlite_names_free(struct sqlite_names *names);
struct sqlite_name *weft_sqlite_name_find(const struct sqlite_names *names, const char *text);
/* NULL: there is none with this number. */
struct sqlite_name *weft_sqlite_name_numbered(const struct sqlite_names *names, int64_t number);
/* Put in under its number, above all others; size bytes, which begin with struct sqlite_name, are
 * allocated, zeroed. NULL: out of memory. */
struct sqlite_name *weft_sqlite_name_add(struct sqlite_names *names, const char *text,
                                         int64_t number, size_t size);
/* Take out again, latest first, all above `last`. */
void weft_sqlite_names_cut(struct sqlite_names *names, int64_t last);

/* --- settings and counts of queues, sqlite_queue.c --- */

/* Find or make. On refusal *ret_err is -EINVAL (no name) or -ENOBUFS. Returns an SQLite code. */
int weft_sqlite_queue_named(struct sqlite_writer *writer, const char *name,
                            struct sqlite_queue **ret_queue, int *ret_err);
int weft_sqlite_task_named(struct sqlite_writer *writer, const char *name,
                           struct sqlite_name **ret_task, int *ret_err);
struct sqlite_queue *weft_sqlite_queue_numbered(struct sqlite_writer *writer, int64_t number);

/* It is stored and published at the end of the transaction. */
void weft_sqlite_queue_touch(struct sqlite_writer *writer, struct sqlite_queue *queue);
/* A job went from state to state; NONE: it is new. */
void weft_sqlite_queue_count(struct sqlite_writer *writer, struct sqlite_queue *queue,
                             enum weft_job_state from, enum weft_job_state to);
/* Jobs that wait for a worker, for their time, or for others. */
uint64_t weft_sqlite_queue_waiting(const struct sqlite_queue *queue);

/* At open: names, settings, counts. */
int weft_sqlite_queues_load(struct sqlite_writer *writer, int64_t now_us);
/* At the end of a transaction: into the tables; and when it is durable: for others to see. */
int weft_sqlite_queues_store(struct sqlite_writer *writer);
void weft_sqlite_queues_publish(struct sqlite_writer *writer);
void weft_sqlite_queues_untouch(struct sqlite_writer *writer);

/* Copies as they are after the last commit, in order of name; oldest_us is left 0. From any
 * thread. Returns how many there are, also beyond max. */
size_t weft_sqlite_queues_copy(struct sqlite_broker *broker, struct weft_queue_info *queues,
                               size_t max);
/* -ENOENT. *ret_number is the queue's number in the tables. */
int weft_sqlite_queue_copy(struct sqlite_broker *broker, const char *name,
                           struct weft_queue_info *ret_queue, int64_t *ret_number);

/* --- what fails with the transaction, sqlite_undo.c --- */

/* Change a word in memory, so that it is taken back when the transaction is. */
void weft_sqlite_set(struct sqlite_writer *writer, uint64_t *word, uint64_t value);
struct sqlite_mark weft_sqlite_mark(const struct sqlite_writer *writer);
void weft_sqlite_take_back(struct sqlite_writer *writer, const struct sqlite_mark *mark);

/* A part of a transaction that can be taken back alone: after begin comes keep or undo. */
int weft_sqlite_part_begin(struct sqlite_writer *writer, struct sqlite_mark *ret_mark);
int weft_sqlite_part_keep(struct sqlite_writer *writer);
int weft_sqlite_part_undo(struct sqlite_writer *writer, const struct sqlite_mark *mark);

/* Lists. False: out of memory, and the transaction is going to fail. */
bool weft_sqlite_list_add(struct sqlite_writer *writer, struct sqlite_list *list, int64_t seq,
                          const struct weft_uuid *id, int tag);

/* Make room for one more of `count` things. Returns the array, NULL if memory is out. */
void *weft_sqlite_grow(void *array, size_t count, size_t *capacity, size_t size);

/* --- rows that are written together, sqlite_gather.c --- */

int weft_sqlite_gather_init(struct sqlite_writer *writer); /* a negative code */
void weft_sqlite_gather_free(struct sqlite_gather *gather);
/* False: out of memory. */
bool weft_sqlite_gather_job(struct sqlite_writer *writer, const struct sqlite_new_job *job);
bool weft_sqlite_gather_outcome(struct sqlite_writer *writer,
                                const struct sqlite_new_outcome *outcome);
/* Write them: before any of the tables jobs, queue and outcomes is read. */
int weft_sqlite_flush(struct sqlite_writer *writer);

/* --- events, sqlite_event.c --- */

int weft_sqlite_events_init(struct sqlite_events *events);
void weft_sqlite_events_deinit(struct sqlite_events *events);
/* Note an event of the current transaction; number is filled in when it is published. */
void weft_sqlite_tell(struct sqlite_writer *writer, const struct weft_broker_event *event);
void weft_sqlite_events_publish(struct sqlite_events *events);
int weft_sqlite_events(struct weft_broker *broker, uint64_t after, struct weft_broker_event *events,
                       size_t max, int64_t deadline_ns, uint64_t *ret_oldest);
uint64_t weft_sqlite_events_last(struct weft_broker *broker);

/* --- jobs that are not over, sqlite_move.c --- */

struct sqlite_row {
    int64_t seq;
    struct weft_uuid id;
    enum weft_job_state state;
    struct sqlite_queue *queue;
    const struct sqlite_name *task;
    unsigned attempt, crashes, flags, waits_for;
    uint64_t token;
    int64_t started_us, worker, run_at_us;
    char limit_key[WEFT_JOB_KEY_MAX + 1]; /* "": none */
};

/* What came of a job, beside the event that ends it. */
struct sqlite_end {
    const struct weft_bytes *result;
    const char *error;
    int64_t thread;
};

/* Read the row of a job, with its id if that is NULL.
 * Returns  SQLITE_ROW; SQLITE_DONE: there is none; else what fails the transaction */
int weft_sqlite_row_find(struct sqlite_writer *writer, int64_t seq, const struct weft_uuid *id,
                         struct sqlite_row *ret_row);

/* To a state in which it is over. What waits for it is dealt with by weft_sqlite_resolve. */
int weft_sqlite_finish(struct sqlite_writer *writer, const struct sqlite_row *row,
                       enum weft_job_event event, const struct sqlite_end *end, int64_t now_us);
/* A running one back to one that waits, until run_at_us. */
int weft_sqlite_return(struct sqlite_writer *writer, const struct sqlite_row *row,
                       enum weft_job_event event, int64_t run_at_us, int64_t now_us);
/* One that waits for its time or for others on to AVAILABLE or SCHEDULED. */
int weft_sqlite_ready(struct sqlite_writer *writer, const struct sqlite_row *row,
                      enum weft_job_event event, int64_t run_at_us, int64_t now_us);
/* Its worker is gone. */
int weft_sqlite_lose(struct sqlite_writer *writer, const struct sqlite_row *row, int64_t now_us);
/* The reason why a running job is to be cancelled, into text; else "". */
int weft_sqlite_reason(struct sqlite_writer *writer, const struct sqlite_row *row,
                       char text[WEFT_JOB_ERROR_MAX + 1]);
/* Errors of a job are in the order of their times: no two have the same. */
#define SQLITE_ERROR_TIME(now_us, seq)                                                             \
    "max(" now_us ", coalesce((SELECT max(e.at_us) + 1 FROM errors e WHERE e.seq = " seq "), 0))"
/* Keep what went wrong in an attempt. */
int weft_sqlite_error_insert(struct sqlite_writer *writer, const struct sqlite_row *row,
                             const char *error, int64_t now_us);
void weft_sqlite_row_tell(struct sqlite_writer *writer, const struct sqlite_row *row,
                          enum weft_job_event event, enum weft_job_state to, unsigned attempt,
                          int64_t now_us);

/* --- leases of late, sqlite_lease.c --- */

int weft_sqlite_leases_init(struct sqlite_writer *writer);
void weft_sqlite_lease_keep(struct sqlite_writer *writer, const struct sqlite_row *row);
/* All of the row but its id. False: read the table. */
bool weft_sqlite_lease_find(const struct sqlite_writer *writer, int64_t seq, uint64_t token,
                            struct sqlite_row *ret_row);
/* The row has changed; and: no row is what it was. */
void weft_sqlite_lease_forget(struct sqlite_writer *writer, int64_t seq);
void weft_sqlite_leases_forget(struct sqlite_writer *writer);

/* --- what claims have looked at, sqlite_passed.c --- */

/* What claims of these tasks have looked at in a queue; NULL: nothing is noted. */
struct sqlite_passed *weft_sqlite_passed_find(struct sqlite_writer *writer, int64_t queue,
                                              uint64_t tasks);
/* Note from now on what they look at. False: another note had to go for it. */
bool weft_sqlite_passed_begin(struct sqlite_writer *writer, int64_t queue, uint64_t tasks);
struct sqlite_place weft_sqlite_passed_until(const struct sqlite_passed *passed, int priority);
/* They have looked at all up to a place: what is for them is no longer ready. */
void weft_sqlite_passed_note(struct sqlite_writer *writer, struct sqlite_passed *passed,
                             int priority, struct sqlite_place place);
/* A job of the queue has become ready: whatever brings a job into the index of those calls this. */
void weft_sqlite_passed_ready(struct sqlite_writer *writer, int64_t queue, int64_t run_at_us,
                              int64_t seq);

/* --- what waits for what, sqlite_needs.c --- */

/* Why a job is cancelled: one that it needed has ended so. */
#define SQLITE_NEED_TEXT 96
void weft_sqlite_need_failed(const struct weft_uuid *parent, enum weft_job_state state,
                             char text[SQLITE_NEED_TEXT]);
/* Deal with what waited for the jobs that ended, with those that end thereby, and so on; or, when
 * they are very many, write down that it is to be done. */
int weft_sqlite_resolve(struct sqlite_writer *writer, int64_t now_us);
/* Some of that: the writer's own request, as long as there is any. */
int weft_sqlite_apply_resolve(struct sqlite_writer *writer, struct sqlite_request *request);
/* It has not ended after all: who is left waits for it again. */
int weft_sqlite_unresolved_forget(struct sqlite_writer *writer, int64_t seq);

/* --- limits, sqlite_limit.c --- */

/* How many jobs a claim may take from the queue, at most max; *next_us is lowered to when the rate
 * allows one more. */
unsigned weft_sqlite_room(const struct sqlite_queue *queue, unsigned max, int64_t now_us,
                          int64_t *next_us);
/* Whether one more with this key may run; without one, NULL or "", it always may. */
bool weft_sqlite_key_has_room(struct sqlite_writer *writer, const struct sqlite_queue *queue,
                              const char *text);
/* One begins to run. */
void weft_sqlite_limits_begin(struct sqlite_writer *writer, struct sqlite_queue *queue,
                              const char *text, int64_t now_us);
/* The row is about to leave the state it is in, and has already done so in the table. */
int weft_sqlite_limits_leave(struct sqlite_writer *writer, const struct sqlite_row *row,
                             int64_t now_us);
/* Hold a job back until one with its key has ended. */
int weft_sqlite_hold(struct sqlite_writer *writer, struct sqlite_queue *queue, int64_t seq,
                     const char *text);
/* Before its row goes: it is no longer listed as held back. */
int weft_sqlite_held_delete(struct sqlite_writer *writer, int64_t seq);
/* Let go what is held back without need, at most max jobs; *ret_more: there may be more. */
int weft_sqlite_let_go(struct sqlite_writer *writer, struct sqlite_queue *queue, unsigned max,
                       int64_t now_us, bool *ret_more);
/* At open: a job that runs, or is held back. */
int weft_sqlite_key_load(struct sqlite_writer *writer, struct sqlite_queue *queue, const char *text,
                         bool held);
void weft_sqlite_keys_sweep(struct sqlite_writer *writer);
void weft_sqlite_keys_free(struct sqlite_keys *keys);

/* --- apply functions; arg is what the broker's function was given --- */

int weft_sqlite_apply_enqueue(struct sqlite_writer *writer, struct sqlite_request *request);
int weft_sqlite_apply_claim(struct sqlite_writer *writer, struct sqlite_request *request);
int weft_sqlite_apply_settle(struct sqlite_writer *writer, struct sqlite_request *request);
int weft_sqlite_apply_extend(struct sqlite_writer *writer, struct sqlite_request *request);
int weft_sqlite_apply_maintain(struct sqlite_writer *writer, struct sqlite_request *request);
/* arg: int64_t, so many microseconds forward. */
int weft_sqlite_apply_set_clock(struct sqlite_writer *writer, struct sqlite_request *request);

#define SQLITE_EXPIRED_TEXT "expired before it began"

/* When a lease of so long ends; 0: with the broker. */
int64_t weft_sqlite_lease_end(int64_t lease_us, int64_t now_us);
/* The state of the job with this row number, and its id. NONE: there is none. */
int weft_sqlite_state_find(struct sqlite_writer *writer, int64_t seq, struct weft_uuid *ret_id,
                           enum weft_job_state *ret_state);
/* Whether a job with this key is there that counts, see struct weft_unique. */
int weft_sqlite_unique_find(struct sqlite_writer *writer, const char *key,
                            const struct weft_unique *unique, int64_t now_us,
                            struct weft_uuid *ret_same, bool *ret_there);
int weft_sqlite_unique_take(struct sqlite_writer *writer, const char *key, int64_t seq,
                            int64_t created_us);
/* About what they write; and: none of it happened. */
size_t weft_sqlite_bytes_of(const struct weft_enqueue *items, size_t count);
void weft_sqlite_refuse(struct weft_enqueue *items, size_t count, int err);
/* The items of a batch, inside any transaction. */
int weft_sqlite_enqueue_items(struct sqlite_writer *writer, struct weft_enqueue_batch *batch,
                              int64_t now_us);

/* --- sqlite_schema.c: blocking; they fill error with a sentence when they fail --- */

int weft_sqlite_schema_open(struct sqlite_broker *broker, const struct weft_sqlite_options *options,
                            char *error, size_t error_bytes);
int weft_sqlite_connect(sqlite3 **ret_db, const char *path, int flags);
int weft_sqlite_limit_pages(sqlite3 *db, uint64_t size_bytes_max);
/* The number that a statement gives. -ENODATA: it gives no row. */
int weft_sqlite_read_int(sqlite3 *db, const char *sql, int64_t *ret_value);

/* --- sqlite_recover.c --- */

/* Whose holder was to keep it only while the database was open is given back; names and counts are
 * loaded, statements prepared. */
int weft_sqlite_recover(struct sqlite_broker *broker);

/* --- sqlite_writer.c --- */

/* Prepare the statements; what was loaded is known to the writer from then on. */
int weft_sqlite_prepare(struct sqlite_writer *writer);
/* Run one request in a transaction of its own, from the thread that calls. */
int weft_sqlite_transact(struct sqlite_writer *writer, struct sqlite_request *requests);
int weft_sqlite_writer_start(struct sqlite_broker *broker);
void weft_sqlite_writer_stop(struct sqlite_writer *writer); /* finishes what is pending */

/* --- sqlite_checkpoint.c --- */

int weft_sqlite_checkpoint_start(struct sqlite_broker *broker);
void weft_sqlite_checkpoint_stop(struct sqlite_checkpoint *checkpoint);
void weft_sqlite_checkpoint_due(struct sqlite_checkpoint *checkpoint);

/* --- the broker's functions that live in other files than sqlite.c, see job/broker.h --- */

int weft_sqlite_cancel(struct weft_broker *broker, struct weft_cancel *cancel);
int weft_sqlite_retry(struct weft_broker *broker, const struct weft_uuid *id,
                      enum weft_job_state *ret_state);
int weft_sqlite_queue_set(struct weft_broker *broker, const char *name,
                          const struct weft_queue_settings *settings);
int weft_sqlite_cron_fire(struct weft_broker *broker, struct weft_cron_fire *fire);
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
