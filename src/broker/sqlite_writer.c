/* SPDX-License-Identifier: MIT
 * sqlite_writer.c - the thread that writes: group commit.
 *
 * While one transaction is being made durable, requests gather in the queue; the next transaction
 * takes them all. The slower the disk, the larger the groups: nobody waits on a timer, and the
 * rate does not depend on how long one fsync takes. Everybody is answered after the commit.
 *
 * Syncing on a second thread while the next transaction runs was tried: it made no difference on
 * two cores (medians of 7 runs, 64 connections: 44,400/s as it is, 40,000/s with the thread). */
#include "sqlite_internal.h"

#include <weft/runtime.h>

#include <errno.h>
#include <signal.h>
#include <stdlib.h>

#define TRANSACTION_BYTES_MAX    ((size_t)16 << 20)
#define TRANSACTION_REQUESTS_MAX 8192u

// clang-format off
const struct sqlite_text weft_sqlite_texts_writer[] = {
    {SQL_BEGIN, "BEGIN IMMEDIATE"},
    {SQL_COMMIT, "COMMIT"},
    {SQL_ROLLBACK, "ROLLBACK"},
    {SQL_SAVEPOINT, "SAVEPOINT item"},
    {SQL_SAVEPOINT_KEEP, "RELEASE item"},
    {SQL_SAVEPOINT_UNDO, "ROLLBACK TO item"},
    {SQL_STATEMENTS, NULL},
};
// clang-format on

/* --- statements --- */

static int prepare_texts(struct sqlite_writer *writer, const struct sqlite_text *text)
{
    for (; text->sql; text++) {
        int rc = sqlite3_prepare_v3(writer->db, text->sql, -1, SQLITE_PREPARE_PERSISTENT,
                                    &writer->statements[text->statement], NULL);
        if (rc != SQLITE_OK)
            return weft_sqlite_error(writer->db, rc);
    }
    return 0;
}

int weft_sqlite_prepare(struct sqlite_writer *writer)
{
    static const struct sqlite_text *const texts[] = {
        weft_sqlite_texts_writer,   weft_sqlite_texts_gather,  weft_sqlite_texts_queue,
        weft_sqlite_texts_enqueue,  weft_sqlite_texts_claim,   weft_sqlite_texts_limit,
        weft_sqlite_texts_move,     weft_sqlite_texts_settle,  weft_sqlite_texts_needs,
        weft_sqlite_texts_maintain, weft_sqlite_texts_control, weft_sqlite_texts_manage,
        weft_sqlite_texts_cron,     weft_sqlite_texts_prune,
    };
    int err = weft_sqlite_gather_init(writer);
    const size_t count = sizeof texts / sizeof *texts; // NOLINT(bugprone-sizeof-expression)
    for (size_t i = 0; !err && i < count; i++)
        err = prepare_texts(writer, texts[i]);
    return err;
}

int weft_sqlite_run(struct sqlite_writer *writer, enum sqlite_statement statement)
{
    int rc = sqlite3_step(writer->statements[statement]);
    (void)sqlite3_reset(writer->statements[statement]);
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

bool weft_sqlite_is_items_own(int rc)
{
    return (rc & 0xff) == SQLITE_CONSTRAINT || (rc & 0xff) == SQLITE_TOOBIG;
}

/* --- one transaction --- */

/* A file that was removed or replaced still takes writes, and they are gone when it is closed:
 * nothing may be acknowledged from then on. Costs one stat(2). */
static int check_file_is_there(struct sqlite_writer *writer)
{
    int moved = 0;
    int rc = sqlite3_file_control(writer->db, "main", SQLITE_FCNTL_HAS_MOVED, &moved);
    return rc == SQLITE_OK && moved ? SQLITE_READONLY_DBMOVED : SQLITE_OK;
}

static int apply_all(struct sqlite_writer *writer, struct sqlite_request *requests)
{
    int rc = check_file_is_there(writer);
    if (!rc)
        rc = weft_sqlite_run(writer, SQL_BEGIN);
    for (struct sqlite_request *request = requests; !rc && request; request = request->next) {
        if (!request->gathers)
            rc = weft_sqlite_flush(writer);
        writer->called_us = request->called_us;
        request->now_us = request->called_us + (int64_t)writer->clock_offset_us;
        if (!rc)
            rc = request->apply(writer, request);
    }
    if (!rc)
        rc = weft_sqlite_flush(writer);
    if (!rc)
        rc = weft_sqlite_queues_store(writer);
    if (!rc)
        rc = writer->memory;
    return rc ? rc : weft_sqlite_run(writer, SQL_COMMIT);
}

static void count_commit(struct sqlite_writer *writer, const struct sqlite_request *requests)
{
    uint64_t operations = 0;
    for (const struct sqlite_request *request = requests; request; request = request->next)
        operations += request->count;
    atomic_fetch_add(&writer->operations, operations);
    atomic_fetch_add(&writer->commits, 1);
    if (operations > atomic_load(&writer->batch_max))
        atomic_store(&writer->batch_max, operations);
}

/* Memory follows the tables: either all of it is to be seen now, or none of it happened. */
static void publish(struct sqlite_writer *writer)
{
    atomic_store(&writer->offset_us, (int64_t)writer->clock_offset_us);
    weft_sqlite_queues_publish(writer);
    weft_sqlite_events_publish(&writer->events);
    writer->undo.count = 0;
}

static void roll_back(struct sqlite_writer *writer, const struct sqlite_mark *start)
{
    /* On some errors, a full disk among them, SQLite has rolled back by itself. */
    if (!sqlite3_get_autocommit(writer->db))
        (void)weft_sqlite_run(writer, SQL_ROLLBACK);
    weft_sqlite_take_back(writer, start);
    weft_sqlite_queues_untouch(writer);
}

static int try_all(struct sqlite_writer *writer, struct sqlite_request *requests, int *ret_err)
{
    const struct sqlite_times no_times = {.min_us = INT64_MAX};
    writer->memory = SQLITE_OK;
    writer->resolved = 0;
    writer->times = no_times;
    const struct sqlite_mark start = weft_sqlite_mark(writer);
    int rc = apply_all(writer, requests);
    *ret_err = weft_sqlite_error(writer->db, rc);
    if (rc)
        roll_back(writer, &start);
    return rc;
}

int weft_sqlite_transact(struct sqlite_writer *writer, struct sqlite_request *requests)
{
    int err;
    if (weft_sqlite_is_items_own(try_all(writer, requests, &err))) {
        writer->gather.one_by_one = true; /* to see whose it is */
        (void)try_all(writer, requests, &err);
        writer->gather.one_by_one = false;
    }
    if (!err) {
        count_commit(writer, requests);
        publish(writer);
    }
    weft_sqlite_queues_untouch(writer);
    weft_sqlite_keys_sweep(writer);
    return err;
}

/* --- many requests --- */

static void wait_for_work(struct sqlite_writer *writer, bool goes_on)
{
    while (!writer->first && !writer->stopping && !writer->checkpoint_due && !goes_on)
        (void)pthread_cond_wait(&writer->wake, &writer->lock);
}

/* Take the oldest requests, as many as one transaction may have. With the lock. */
static struct sqlite_request *take_requests(struct sqlite_writer *writer)
{
    struct sqlite_request *first = writer->first, *last = NULL;
    size_t bytes = 0, requests = 0;
    for (struct sqlite_request *request = first; request; request = request->next) {
        bytes += request->bytes;
        if (last && (bytes > TRANSACTION_BYTES_MAX || requests == TRANSACTION_REQUESTS_MAX))
            break;
        last = request;
        requests++;
    }
    if (last) {
        writer->first = last->next;
        if (!writer->first)
            writer->last = NULL;
        last->next = NULL;
        writer->pending -= requests;
    }
    return first;
}

static void answer(struct sqlite_request *requests, int err)
{
    while (requests) {
        struct sqlite_request *next = requests->next; /* gone as soon as it is signalled */
        weft_completion_signal(&requests->done, err);
        requests = next;
    }
}

static void serve(struct sqlite_writer *writer, struct sqlite_request *requests)
{
    int err = weft_sqlite_transact(writer, requests);
    bool everybodys = !err || err == -ENOSPC || err == -EIO || err == -EBUSY || !requests->next;
    if (everybodys) {
        answer(requests, err);
        return;
    }
    /* One of them has a fault of its own: the others must not suffer for it. */
    while (requests) {
        struct sqlite_request *next = requests->next;
        requests->next = NULL;
        answer(requests, weft_sqlite_transact(writer, requests));
        requests = next;
    }
}

/* The checkpoint thread moved nearly all pages; what was written meanwhile is moved here, where
 * nothing is written. After a complete checkpoint the next commit starts the log from its
 * beginning: that keeps the log bounded under load without end. */
static void finish_checkpoint(struct sqlite_writer *writer)
{
    (void)sqlite3_wal_checkpoint_v2(writer->db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
}

/* With what was left of earlier transactions, a portion of it. Returns whether there is more; where
 * it fails, it is tried again behind the next requests. */
static bool go_on(struct sqlite_writer *writer)
{
    struct sqlite_request request = {
        .apply = weft_sqlite_apply_resolve, .called_us = writer->called_us, .count = 1};
    return writer->unresolved && !weft_sqlite_transact(writer, &request) && writer->unresolved;
}

static void *writer_main(void *arg)
{
    struct sqlite_writer *writer = arg;
    bool goes_on = writer->unresolved;
    (void)pthread_mutex_lock(&writer->lock);
    for (;;) {
        wait_for_work(writer, goes_on);
        struct sqlite_request *requests = take_requests(writer);
        bool checkpoint = writer->checkpoint_due, stopping = writer->stopping;
        writer->checkpoint_due = false;
        (void)pthread_mutex_unlock(&writer->lock);
        if (checkpoint)
            finish_checkpoint(writer);
        if (requests)
            serve(writer, requests);
        goes_on = go_on(writer);
        (void)pthread_mutex_lock(&writer->lock);
        if (stopping && !writer->first)
            break;
    }
    (void)pthread_mutex_unlock(&writer->lock);
    return NULL;
}

/* After each commit: how long the log is now. A reader that holds an old snapshot keeps the log
 * from starting over; then it is tried again only after it has grown by half as much. */
static int log_grew(void *context, sqlite3 *db, const char *name, int pages)
{
    struct sqlite_broker *broker = context;
    struct sqlite_writer *writer = &broker->writer;
    unsigned pages_max = broker->checkpoint.wal_pages_max;
    (void)db, (void)name;
    if ((unsigned)pages < atomic_load(&writer->wal_pages))
        writer->checkpoint_at_pages = pages_max;
    atomic_store(&writer->wal_pages, (unsigned)pages);
    if ((unsigned)pages >= writer->checkpoint_at_pages) {
        writer->checkpoint_at_pages = (unsigned)pages + pages_max / 2 + 1;
        weft_sqlite_checkpoint_due(&broker->checkpoint);
    }
    return SQLITE_OK;
}

int weft_sqlite_writer_start(struct sqlite_broker *broker)
{
    struct sqlite_writer *writer = &broker->writer;
    writer->checkpoint_at_pages = broker->checkpoint.wal_pages_max;
    (void)sqlite3_wal_hook(writer->db, log_grew, broker);

    sigset_t all, before; /* signals belong to the program's threads, not to this one */
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    int err = pthread_create(&writer->thread, NULL, writer_main, writer);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    writer->running = err == 0;
    return -err;
}

void weft_sqlite_writer_stop(struct sqlite_writer *writer)
{
    if (writer->running) {
        (void)pthread_mutex_lock(&writer->lock);
        writer->stopping = true;
        (void)pthread_cond_signal(&writer->wake);
        (void)pthread_mutex_unlock(&writer->lock);
        (void)pthread_join(writer->thread, NULL);
        writer->running = false;
    }
    for (int i = 0; i < SQL_STATEMENTS; i++)
        (void)sqlite3_finalize(writer->statements[i]);
    (void)sqlite3_close(writer->db);
    weft_sqlite_keys_free(&writer->keys);
    free(writer->leases);
    weft_sqlite_gather_free(&writer->gather);
    weft_sqlite_names_free(&writer->tasks);
    weft_sqlite_names_free(&writer->queues);
    weft_sqlite_events_deinit(&writer->events);
    free(writer->undo.words);
    free(writer->found.items);
    free(writer->skipped.items);
    free(writer->ended.items);
    free(writer->children.items);
}

/* No thread and no waiting: the calling one does it. */
static int write_at_once(struct sqlite_writer *writer, struct sqlite_request *request)
{
    (void)pthread_mutex_lock(&writer->lock);
    int err = weft_sqlite_transact(writer, request);
    while (go_on(writer))
        continue;
    (void)pthread_mutex_unlock(&writer->lock);
    return err;
}

int weft_sqlite_write(struct sqlite_broker *broker, struct sqlite_request *request)
{
    struct sqlite_writer *writer = &broker->writer;
    request->next = NULL;
    request->called_us = weft_now() / 1000;
    if (broker->memory)
        return write_at_once(writer, request);

    (void)pthread_mutex_lock(&writer->lock);
    int err = writer->stopping                         ? -ESHUTDOWN
              : writer->pending >= writer->pending_max ? WEFT_EFULL
                                                       : 0;
    if (!err) {
        weft_completion_init(&request->done);
        if (writer->last)
            writer->last->next = request;
        else
            writer->first = request;
        writer->last = request;
        if (writer->pending++ == 0)
            (void)pthread_cond_signal(&writer->wake);
    }
    (void)pthread_mutex_unlock(&writer->lock);
    return err ? err : weft_completion_wait(&request->done);
}
