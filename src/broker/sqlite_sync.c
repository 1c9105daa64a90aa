/* SPDX-License-Identifier: MIT
 * sqlite_sync.c - the thread that makes commits durable and answers.
 *
 * With synchronous=FULL SQLite itself syncs the log inside COMMIT, and the thread that could run
 * the next transaction waits for the disk instead. Here it commits with synchronous=NORMAL, which
 * writes the log in the right order but does not wait, and hands the requests over; this thread
 * syncs the log and only then answers. While one group is on its way to the disk the next one is
 * executed: never more than one, so that groups stay large.
 *
 * A crash in between loses commits nobody was told of: their frames at the end of the log are
 * incomplete and SQLite ignores them (every frame carries a checksum over all before it).
 *
 * When a sync fails, the system may have dropped what it could not write, and a second sync would
 * claim success. So nothing is accepted any more until the database is opened again. */
#include "sqlite_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void *sync_main(void *arg)
{
    struct sqlite_sync *sync = arg;
    (void)pthread_mutex_lock(&sync->lock);
    for (;;) {
        while (!sync->committed && !sync->stopping)
            (void)pthread_cond_wait(&sync->wake, &sync->lock);
        struct sqlite_request *requests = sync->committed;
        int err = sync->broken;
        if (!requests)
            break;
        sync->committed = NULL;
        (void)pthread_cond_signal(&sync->taken);
        (void)pthread_mutex_unlock(&sync->lock);
        if (!err && fdatasync(sync->log_fd) < 0)
            err = -errno;
        (void)pthread_mutex_lock(&sync->lock);
        sync->broken = err;
        (void)pthread_mutex_unlock(&sync->lock);
        weft_sqlite_answer(requests, err);
        (void)pthread_mutex_lock(&sync->lock);
    }
    (void)pthread_mutex_unlock(&sync->lock);
    return NULL;
}

int weft_sqlite_sync_wait(struct sqlite_sync *sync)
{
    (void)pthread_mutex_lock(&sync->lock);
    while (sync->committed)
        (void)pthread_cond_wait(&sync->taken, &sync->lock);
    int err = sync->broken;
    (void)pthread_mutex_unlock(&sync->lock);
    return err;
}

void weft_sqlite_sync_push(struct sqlite_sync *sync, struct sqlite_request *requests)
{
    (void)pthread_mutex_lock(&sync->lock);
    while (sync->committed)
        (void)pthread_cond_wait(&sync->taken, &sync->lock);
    sync->committed = requests;
    (void)pthread_cond_signal(&sync->wake);
    (void)pthread_mutex_unlock(&sync->lock);
}

int weft_sqlite_sync_start(struct sqlite_broker *broker)
{
    struct sqlite_sync *sync = &broker->sync;
    char *path;
    if (asprintf(&path, "%s-wal", broker->path) < 0)
        return -ENOMEM;
    /* The log keeps its inode as long as a connection is open. */
    sync->log_fd = open(path, O_RDONLY | O_CLOEXEC);
    int err = sync->log_fd < 0 ? -errno : 0;
    free(path);
    if (err)
        return err;
    sigset_t all, before;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    err = pthread_create(&sync->thread, NULL, sync_main, sync);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    sync->running = err == 0;
    return -err;
}

void weft_sqlite_sync_stop(struct sqlite_sync *sync)
{
    if (sync->running) {
        (void)pthread_mutex_lock(&sync->lock);
        sync->stopping = true;
        (void)pthread_cond_signal(&sync->wake);
        (void)pthread_mutex_unlock(&sync->lock);
        (void)pthread_join(sync->thread, NULL);
        sync->running = false;
    }
    if (sync->log_fd >= 0)
        (void)close(sync->log_fd);
    sync->log_fd = -1;
}
