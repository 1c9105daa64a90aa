/* SPDX-License-Identifier: MIT
 * fd_table.h - what a worker knows of each descriptor that a fiber has waited for.
 *
 * Readiness is edge-triggered, so edges that nobody waits for are remembered here. */
#ifndef WEFT_RUNTIME_FD_TABLE_H
#define WEFT_RUNTIME_FD_TABLE_H

#include <os/poller.h>

#include <weft/scope.h>

#include <stdbool.h>

struct weft_worker;
struct weft_fiber;

/* Told of every edge of a descriptor, in the scheduler: for libraries that read and write
 * themselves. Must not wait; may watch, close and wake. */
struct weft_fd_watcher {
    void (*ready)(struct weft_fd_watcher *watcher, unsigned events); /* WEFT_READY_* */
};

struct weft_fd {
    struct weft_link readers, writers, hangups; /* struct weft_waiter */
    struct weft_fd_watcher *watcher;            /* NULL: fibers wait for it, if anybody */
    uint32_t generation;                        /* raised at close: tells stale events apart */
    bool watched;                               /* the poller reports it */
    bool always_ready;                          /* a regular file */
    bool stream;   /* a stream socket: a short read means that nothing is left */
    bool drained;  /* nothing is left to read, until the next event says otherwise */
    bool hangup;   /* the peer is done, so a short read means nothing */
    bool broken;   /* by the simulated network: every further call answers -ECONNRESET */
    uint8_t ready; /* WEFT_READY_READ, _WRITE: edges nobody has waited for yet */
};

/* Chunks, so that entries, and the lists inside, never move. */
struct weft_fd_table {
    struct weft_fd **chunks;
    size_t chunks_len;
};

void weft_fd_table_init(struct weft_fd_table *table);
void weft_fd_table_deinit(struct weft_fd_table *table);

/* The entry of a descriptor, made when there is none. NULL: no memory, or the kernel knows no such
 * descriptor, so the table is as large as the descriptors that there have been. */
struct weft_fd *weft_fd_entry(struct weft_fd_table *table, int fd);

/* Apply what the poller reported: wake who waits, remember the rest. Requests go to request.c. */
void weft_fd_event(struct weft_fd_table *table, const struct weft_ready *ready);

/* The poller is gone: whoever waits gets err. */
void weft_fd_table_fail(struct weft_fd_table *table, int err);

/* Have the poller report the descriptor from now on. Returns 0, -EBADF, -ENOMEM */
int weft_fd_watch(struct weft_worker *worker, int fd);

/* Have the watcher told of a descriptor that nobody has waited for yet: of its level now, and then
 * of every edge, until weft_fd_forget; WEFT_READY_LOST asks for this call again. Who waits for
 * something to come of it is to be counted in worker->fd_waiters. Returns like weft_fd_watch */
int weft_fd_watch_by(struct weft_worker *worker, int fd, struct weft_fd_watcher *watcher);

/* The watcher of a descriptor, NULL when there is none. */
struct weft_fd_watcher *weft_fd_watcher_of(const struct weft_worker *worker, int fd);

/* A direction is one of WEFT_READY_READ, _WRITE and _HANGUP, which are WEFT_READABLE, _WRITABLE and
 * _HANGUP of weft/io.h. */
bool weft_fd_direction_valid(unsigned direction);

/* The list to wait in. */
struct weft_link *weft_fd_waiters(struct weft_fd *entry, unsigned direction);

/* Suspend until the descriptor may be ready. A hang-up is reported only when it happens: ask
 * weft_fd_level first.
 * Returns 0 (also without need), -ETIMEDOUT, -EAGAIN (WEFT_NOWAIT), -ECANCELED, -EBADF */
int weft_fd_wait(struct weft_fiber *self, int fd, unsigned direction, int64_t deadline_ns);

/* Whether the descriptor is ready now (io.c): edges say nothing about a level that was there
 * before. Returns 0, -EAGAIN, -EBADF, ... */
int weft_fd_level(int fd, unsigned direction);

/* A descriptor that the kernel has just made: whatever is remembered under its number belongs to
 * one that was closed behind our back. stream: a stream socket. */
void weft_fd_made(struct weft_worker *worker, int fd, bool stream);

/* Forget the descriptor before it is closed; waiting fibers get -EBADF. */
void weft_fd_forget(struct weft_worker *worker, int fd);

#endif
