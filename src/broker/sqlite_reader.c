/* SPDX-License-Identifier: MIT
 * sqlite_reader.c - connections that read, beside the writer. Used on offload threads, so there are
 * never more of them than there are such threads. In memory the writer's connection reads too. */
#include "sqlite_internal.h"

#include <weft/offload.h>
#include <weft/runtime.h>

#include <errno.h>
#include <stdlib.h>

static void reader_close(struct sqlite_broker *broker, struct sqlite_reader *reader)
{
    for (int i = 0; i < READ_STATEMENTS; i++)
        (void)sqlite3_finalize(reader->statements[i]);
    if (!broker->memory)
        (void)sqlite3_close(reader->db);
    free(reader);
}

static int reader_connect(struct sqlite_broker *broker, struct sqlite_reader *reader)
{
    if (broker->memory) {
        reader->db = broker->writer.db;
        return 0;
    }
    /* Opened for writing only in so far as WAL needs it for its shared memory. */
    int err = weft_sqlite_connect(&reader->db, broker->path, SQLITE_OPEN_READWRITE);
    if (err)
        return err;
    int rc = sqlite3_exec(reader->db, "PRAGMA query_only = 1; PRAGMA wal_autocheckpoint = 0;", NULL,
                          NULL, NULL);
    return weft_sqlite_error(reader->db, rc);
}

static int reader_open(struct sqlite_broker *broker, struct sqlite_reader **ret_reader)
{
    struct sqlite_reader *reader = calloc(1, sizeof *reader);
    if (!reader)
        return -ENOMEM;
    int err = reader_connect(broker, reader);
    for (int i = 0; !err && i < READ_STATEMENTS; i++)
        err = weft_sqlite_error(reader->db, sqlite3_prepare_v3(reader->db, weft_sqlite_read_sql[i],
                                                               -1, SQLITE_PREPARE_PERSISTENT,
                                                               &reader->statements[i], NULL));
    if (err) {
        reader_close(broker, reader);
        return err;
    }
    *ret_reader = reader;
    return 0;
}

static int reader_acquire(struct sqlite_broker *broker, struct sqlite_reader **ret_reader)
{
    (void)pthread_mutex_lock(&broker->readers_lock);
    struct sqlite_reader *reader = broker->readers;
    if (reader)
        broker->readers = reader->next;
    (void)pthread_mutex_unlock(&broker->readers_lock);
    if (!reader)
        return reader_open(broker, ret_reader);
    *ret_reader = reader;
    return 0;
}

static void reader_release(struct sqlite_broker *broker, struct sqlite_reader *reader)
{
    (void)pthread_mutex_lock(&broker->readers_lock);
    reader->next = broker->readers;
    broker->readers = reader;
    (void)pthread_mutex_unlock(&broker->readers_lock);
}

void weft_sqlite_readers_close(struct sqlite_broker *broker)
{
    while (broker->readers) {
        struct sqlite_reader *reader = broker->readers;
        broker->readers = reader->next;
        reader_close(broker, reader);
    }
}

struct read_call {
    struct sqlite_broker *broker;
    int (*read)(struct sqlite_reader *reader, void *arg);
    void *arg;
};

static int read_on_thread(void *arg)
{
    struct read_call *call = arg;
    struct sqlite_reader *reader;
    int err = reader_acquire(call->broker, &reader);
    if (err)
        return err;
    err = call->read(reader, call->arg);
    reader_release(call->broker, reader);
    return err;
}

int weft_sqlite_read(struct sqlite_broker *broker,
                     int (*read)(struct sqlite_reader *reader, void *arg), void *arg)
{
    struct read_call call = {broker, read, arg};
    if (!broker->memory)
        return weft_offload(read_on_thread, &call);
    int err = weft_checkpoint();
    if (err)
        return err;
    (void)pthread_mutex_lock(&broker->writer.lock);
    err = read_on_thread(&call);
    (void)pthread_mutex_unlock(&broker->writer.lock);
    return err;
}
