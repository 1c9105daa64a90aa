/* SPDX-License-Identifier: MIT
 * sqlite_checkpoint.c - the thread that moves the log (WAL) into the database file.
 *
 * A passive checkpoint stops nobody, but can only move what was in the log when it began. So this
 * thread repeats it until little is left, and the writer, between two transactions, does the rest
 * in a few milliseconds; see finish_checkpoint in sqlite_writer.c. */
#include "sqlite_internal.h"

#include <signal.h>

#define PASSES_MAX 4
#define LITTLE     256 /* pages */

static bool wait_until_due(struct sqlite_checkpoint *checkpoint)
{
    (void)pthread_mutex_lock(&checkpoint->lock);
    while (!checkpoint->due && !checkpoint->stopping)
        (void)pthread_cond_wait(&checkpoint->wake, &checkpoint->lock);
    checkpoint->due = false;
    bool stopping = checkpoint->stopping;
    (void)pthread_mutex_unlock(&checkpoint->lock);
    return !stopping;
}

static void ask_writer_to_finish(struct sqlite_writer *writer)
{
    (void)pthread_mutex_lock(&writer->lock);
    writer->checkpoint_due = true;
    (void)pthread_cond_signal(&writer->wake);
    (void)pthread_mutex_unlock(&writer->lock);
}

static void *checkpoint_main(void *arg)
{
    struct sqlite_broker *broker = arg;
    struct sqlite_checkpoint *checkpoint = &broker->checkpoint;
    while (wait_until_due(checkpoint)) {
        for (int pass = 0; pass < PASSES_MAX; pass++) {
            int moved = 0;
            int rc = sqlite3_wal_checkpoint_v2(checkpoint->db, NULL, SQLITE_CHECKPOINT_PASSIVE,
                                               NULL, &moved);
            int left = (int)atomic_load(&broker->writer.wal_pages) - moved;
            if (rc != SQLITE_OK || left <= LITTLE)
                break;
        }
        ask_writer_to_finish(&broker->writer);
    }
    return NULL;
}

int weft_sqlite_checkpoint_start(struct sqlite_broker *broker)
{
    struct sqlite_checkpoint *checkpoint = &broker->checkpoint;
    int err = weft_sqlite_connect(&checkpoint->db, broker->path, SQLITE_OPEN_READWRITE);
    if (err)
        return err;
    int rc = sqlite3_exec(checkpoint->db, "PRAGMA synchronous = FULL; PRAGMA cache_size = -1024;",
                          NULL, NULL, NULL);
    if (rc != SQLITE_OK)
        return weft_sqlite_error(checkpoint->db, rc);
    sigset_t all, before;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    err = pthread_create(&checkpoint->thread, NULL, checkpoint_main, broker);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    checkpoint->running = err == 0;
    return -err;
}

void weft_sqlite_checkpoint_stop(struct sqlite_checkpoint *checkpoint)
{
    if (checkpoint->running) {
        (void)pthread_mutex_lock(&checkpoint->lock);
        checkpoint->stopping = true;
        (void)pthread_cond_signal(&checkpoint->wake);
        (void)pthread_mutex_unlock(&checkpoint->lock);
        (void)pthread_join(checkpoint->thread, NULL);
        checkpoint->running = false;
    }
    (void)sqlite3_close(checkpoint->db);
    checkpoint->db = NULL;
}

void weft_sqlite_checkpoint_due(struct sqlite_checkpoint *checkpoint)
{
    (void)pthread_mutex_lock(&checkpoint->lock);
    checkpoint->due = true;
    (void)pthread_cond_signal(&checkpoint->wake);
    (void)pthread_mutex_unlock(&checkpoint->lock);
}
