/* SPDX-License-Identifier: MIT
 * fd_table.c - see fd_table.h. */
#include <runtime/debug.h>
#include <runtime/request.h>
#include <runtime/worker.h>

#include <weft/io.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#define CHUNK_LEN      256u
#define GENERATION_MAX 0x7fffffffu /* see struct weft_ready */

_Static_assert(WEFT_READY_READ == WEFT_READABLE && WEFT_READY_WRITE == WEFT_WRITABLE &&
                   WEFT_READY_HANGUP == WEFT_HANGUP,
               "what callers ask for is what the poller reports");

void weft_fd_table_init(struct weft_fd_table *table)
{
    *table = (struct weft_fd_table){0};
}

void weft_fd_table_deinit(struct weft_fd_table *table)
{
    for (size_t i = 0; i < table->chunks_len; i++)
        free(table->chunks[i]);
    free(table->chunks);
    *table = (struct weft_fd_table){0};
}

static struct weft_fd *find_entry(const struct weft_fd_table *table, int fd)
{
    size_t chunk = (size_t)fd / CHUNK_LEN;
    if (fd < 0 || chunk >= table->chunks_len || !table->chunks[chunk])
        return NULL;
    return &table->chunks[chunk][(size_t)fd % CHUNK_LEN];
}

static int grow_chunks(struct weft_fd_table *table, size_t chunk)
{
    if (chunk < table->chunks_len)
        return 0;
    struct weft_fd **chunks = realloc(table->chunks, (chunk + 1) * sizeof(struct weft_fd *));
    if (!chunks)
        return -ENOMEM;
    for (size_t i = table->chunks_len; i <= chunk; i++)
        chunks[i] = NULL;
    table->chunks = chunks;
    table->chunks_len = chunk + 1;
    return 0;
}

struct weft_fd *weft_fd_entry(struct weft_fd_table *table, int fd)
{
    struct weft_fd *entry = find_entry(table, fd);
    if (entry || fcntl(fd, F_GETFD) < 0)
        return entry;
    size_t chunk = (size_t)fd / CHUNK_LEN;
    if (grow_chunks(table, chunk) < 0)
        return NULL;
    struct weft_fd *entries = calloc(CHUNK_LEN, sizeof *entries);
    if (!entries)
        return NULL;
    for (size_t i = 0; i < CHUNK_LEN; i++) {
        weft_list_init(&entries[i].readers);
        weft_list_init(&entries[i].writers);
        weft_list_init(&entries[i].hangups);
    }
    table->chunks[chunk] = entries;
    return &entries[(size_t)fd % CHUNK_LEN];
}

bool weft_fd_direction_valid(unsigned direction)
{
    return direction == WEFT_READY_READ || direction == WEFT_READY_WRITE ||
           direction == WEFT_READY_HANGUP;
}

struct weft_link *weft_fd_waiters(struct weft_fd *entry, unsigned direction)
{
    return direction == WEFT_READY_READ    ? &entry->readers
           : direction == WEFT_READY_WRITE ? &entry->writers
                                           : &entry->hangups;
}

static void wake_everybody(struct weft_fd *entry, int result)
{
    weft_wake_all(&entry->readers, result);
    weft_wake_all(&entry->writers, result);
    weft_wake_all(&entry->hangups, result);
}

static void note_direction(struct weft_fd *entry, struct weft_link *waiters, unsigned direction)
{
    if (weft_list_empty(waiters))
        entry->ready |= (uint8_t)direction;
    else
        weft_wake_all(waiters, 0);
}

void weft_fd_event(struct weft_fd_table *table, const struct weft_ready *ready)
{
    if (ready->request) {
        weft_request_ended(ready->request);
        return;
    }
    struct weft_fd *entry = find_entry(table, ready->fd);
    if (!entry || entry->generation != ready->generation)
        return; /* closed since; the number may belong to another descriptor by now */
    if (ready->events & WEFT_READY_LOST)
        entry->watched = false;
    if (entry->watcher) {
        entry->watcher->ready(entry->watcher, ready->events);
        return;
    }
    if (ready->events & WEFT_READY_LOST) {
        /* Who waits has to come again, to have it watched again. */
        wake_everybody(entry, 0);
    }
    if (ready->events & WEFT_READY_HANGUP) {
        entry->hangup = true;
        weft_wake_all(&entry->hangups, 0);
    }
    if (ready->events & WEFT_READY_READ) {
        entry->drained = false;
        note_direction(entry, &entry->readers, WEFT_READY_READ);
    }
    if (ready->events & WEFT_READY_WRITE)
        note_direction(entry, &entry->writers, WEFT_READY_WRITE);
}

void weft_fd_table_fail(struct weft_fd_table *table, int err)
{
    for (size_t i = 0; i < table->chunks_len * CHUNK_LEN; i++) {
        struct weft_fd *entry = find_entry(table, (int)i);
        if (entry)
            wake_everybody(entry, err);
    }
}

int weft_fd_watch(struct weft_worker *worker, int fd)
{
    struct weft_fd *entry = weft_fd_entry(&worker->fds, fd);
    if (!entry)
        return fcntl(fd, F_GETFD) < 0 ? -EBADF : -ENOMEM;
    if (entry->watched || entry->always_ready)
        return 0;
    int err = worker->poller_ops->watch(worker->poller, fd, entry->generation);
    if (err == -EPERM)
        entry->always_ready = true;
    else if (err < 0)
        return err;
    else
        entry->watched = true;
    return 0;
}

int weft_fd_watch_by(struct weft_worker *worker, int fd, struct weft_fd_watcher *watcher)
{
    int err = weft_fd_watch(worker, fd);
    if (err == 0)
        weft_fd_entry(&worker->fds, fd)->watcher = watcher;
    return err;
}

struct weft_fd_watcher *weft_fd_watcher_of(const struct weft_worker *worker, int fd)
{
    const struct weft_fd *entry = find_entry(&worker->fds, fd);
    return entry ? entry->watcher : NULL;
}

int weft_fd_wait(struct weft_fiber *self, int fd, unsigned direction, int64_t deadline_ns)
{
    struct weft_worker *worker = self->worker;
    int err = worker->broken ? worker->broken : weft_fd_watch(worker, fd);
    if (err < 0)
        return err;
    struct weft_fd *entry = weft_fd_entry(&worker->fds, fd);
    if (entry->always_ready)
        return 0;
    if (entry->ready & direction) {
        entry->ready &= (uint8_t)~direction;
        return 0;
    }
    if (deadline_ns == WEFT_NOWAIT)
        return -EAGAIN;
    struct weft_waiter waiter;
    uint32_t generation = entry->generation;
    self->waits_for = direction == WEFT_READY_READ    ? "data"
                      : direction == WEFT_READY_WRITE ? "room to write"
                                                      : "hang-up";
    worker->fd_waiters++;
    err = weft_park_in(self, weft_fd_waiters(entry, direction), &waiter, deadline_ns,
                       WEFT_PARK_CANCELLABLE);
    worker->fd_waiters--;
    /* Closed after we were woken: the number may belong to another descriptor by now. */
    return err == 0 && entry->generation != generation ? -EBADF : err;
}

void weft_fd_made(struct weft_worker *worker, int fd, bool stream)
{
    struct weft_fd *entry = weft_fd_entry(&worker->fds, fd);
    if (!entry)
        return; /* no memory: the first wait for it will say so */
    if (entry->watched || entry->always_ready)
        weft_fd_forget(worker, fd);
    entry->stream = stream;
    if (worker->debug)
        weft_debug_fd_made(worker->debug, fd);
}

void weft_fd_forget(struct weft_worker *worker, int fd)
{
    if (worker->debug)
        weft_debug_fd_closed(worker->debug, fd);
    struct weft_fd *entry = find_entry(&worker->fds, fd);
    if (!entry)
        return;
    wake_everybody(entry, -EBADF);
    if (entry->watched)
        worker->poller_ops->unwatch(worker->poller, fd, entry->generation);
    entry->generation = (entry->generation + 1) & GENERATION_MAX;
    entry->watched = entry->always_ready = entry->stream = false;
    entry->drained = entry->hangup = entry->broken = false;
    entry->ready = 0;
    entry->watcher = NULL;
}
