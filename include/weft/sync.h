/* SPDX-License-Identifier: MIT
 * sync.h - mutex, read-write lock, condition, event, semaphore, barrier, once, latch.
 *
 * What they have in common: storage is the caller's, the fields are private, nothing is allocated,
 * so nothing has to be undone; an object must outlive the calls on it. The last argument of every
 * init says who may use it (enum weft_sharing), and init returns 0, -EINVAL (no such sharing), or
 * -EPERM (WEFT_LOCAL outside a runtime). Every other call returns -EPERM for an object that is
 * local to another worker, whose init failed, or that is all zeros; weft_semaphore_available
 * returns 0.
 *
 * A call with a deadline is a checkpoint and suspends; a thread outside any runtime blocks. It
 * returns -ETIMEDOUT, -EAGAIN (WEFT_NOWAIT) or -ECANCELED only when it had no effect. Whoever waits
 * is served first come, first served. A call without a deadline never suspends and never fails by
 * a cancellation. */
#ifndef WEFT_SYNC_H
#define WEFT_SYNC_H

#include <weft/parts.h>

WEFT_BEGIN_DECLS

/* ---- mutex: one at a time ---------------------------------------------------------------- */

/* A fiber that ends while it holds a mutex, or a lock to write, aborts the program. A thread
 * outside any runtime must not end so either, nor inside weft_once_run: nobody notices, and a later
 * thread may be taken for it. */

struct weft_mutex {
    struct weft_guard guard;
    struct weft_fiber *owner; /* NULL: free */
    struct weft_link waiting;
};

WEFT_API int weft_mutex_init(struct weft_mutex *mutex, enum weft_sharing sharing);

/* Lock. Returns 0; -EDEADLK (the caller holds it), or as at the top of this file. */
WEFT_API int weft_mutex_lock(struct weft_mutex *mutex, int64_t deadline_ns);

/* Hand the mutex to who waited longest. Returns 0; -EPERM (the caller does not hold it). */
WEFT_API int weft_mutex_unlock(struct weft_mutex *mutex);

/* ---- read-write lock: many readers, or one writer ---------------------------------------- */

/* Readers and writers take turns: new readers wait once a writer does, and when a writer is done
 * all readers that wait go in together, before the next writer. */
struct weft_rwlock {
    struct weft_guard guard;
    struct weft_fiber *writer; /* who writes, NULL when nobody does */
    uint32_t readers;          /* inside */
    struct weft_link waiting_readers, waiting_writers;
};

WEFT_API int weft_rwlock_init(struct weft_rwlock *lock, enum weft_sharing sharing);

/* Lock. Returns 0; -EDEADLK (the caller writes), or as at the top of this file. Who reads already
 * must not lock again: a writer in between would wait for the first, and hold back the second. */
WEFT_API int weft_rwlock_lock_read(struct weft_rwlock *lock, int64_t deadline_ns);
WEFT_API int weft_rwlock_lock_write(struct weft_rwlock *lock, int64_t deadline_ns);

/* Unlock what the caller has locked. Returns 0; -EPERM (nobody reads; the caller does not write).
 */
WEFT_API int weft_rwlock_unlock_read(struct weft_rwlock *lock);
WEFT_API int weft_rwlock_unlock_write(struct weft_rwlock *lock);

/* ---- condition: wait for what a mutex protects to change ---------------------------------- */

struct weft_condition {
    struct weft_guard guard;
    struct weft_link waiting;
};

WEFT_API int weft_condition_init(struct weft_condition *condition, enum weft_sharing sharing);

/* Give the mutex away, wait for a signal, take the mutex back. Ask again whether what you wait for
 * is so: another may have been first. Returns holding the mutex, whatever happened; taking it back
 * is not cut short by a cancellation or the deadline.
 *
 * Returns  0 (signalled); -EPERM (the caller does not hold the mutex), or as at the top of this
 *          file: then no signal was used up */
WEFT_API int weft_condition_wait(struct weft_condition *condition, struct weft_mutex *mutex,
                                 int64_t deadline_ns);

/* Wake who waited longest, or everybody who waits now. With or without the mutex. Returns 0. */
WEFT_API int weft_condition_signal(struct weft_condition *condition);
WEFT_API int weft_condition_broadcast(struct weft_condition *condition);

/* ---- event: something is so, until it is cleared ----------------------------------------- */

struct weft_event {
    struct weft_guard guard;
    struct weft_link waiting;
    int set;
};

/* An event that is not set. */
WEFT_API int weft_event_init(struct weft_event *event, enum weft_sharing sharing);

/* Set it, and wake everybody who waits, even if it is cleared at once; or clear it. Returns 0. */
WEFT_API int weft_event_set(struct weft_event *event);
WEFT_API int weft_event_clear(struct weft_event *event);

/* Whether it is set: 0 or 1. */
WEFT_API int weft_event_is_set(struct weft_event *event);

/* Wait until it is set. Returns 0, or as at the top of this file. */
WEFT_API int weft_event_wait(struct weft_event *event, int64_t deadline_ns);

/* ---- semaphore: so many permits ---------------------------------------------------------- */

struct weft_semaphore {
    struct weft_guard guard;
    struct weft_link waiting;
    int64_t available; /* below 0 while more are out than a resize has left */
    uint32_t permits;
};

WEFT_API int weft_semaphore_init(struct weft_semaphore *semaphore, uint32_t permits,
                                 enum weft_sharing sharing);

/* Take count permits, at least 1, all at once. Who comes later does not overtake, even if its
 * smaller wish could be met. More than there will ever be waits for ever.
 * Returns  0; -EINVAL (count is 0), or as at the top of this file */
WEFT_API int weft_semaphore_acquire(struct weft_semaphore *semaphore, uint32_t count,
                                    int64_t deadline_ns);

/* Give count permits, by anybody: they need not have been acquired.
 * Returns  0; -EOVERFLOW (more than UINT32_MAX would be available: nothing was given) */
WEFT_API int weft_semaphore_release(struct weft_semaphore *semaphore, uint32_t count);

/* Have so many permits in all from now on. Those that are out stay out: after a resize to fewer,
 * acquire waits until enough have come back. Returns 0, -EOVERFLOW. */
WEFT_API int weft_semaphore_resize(struct weft_semaphore *semaphore, uint32_t permits);

/* Permits that are free; below 0 after a resize to fewer than are out. An object that the caller
 * may not use has 0: no error, because every negative count is a count. */
WEFT_API int64_t weft_semaphore_available(struct weft_semaphore *semaphore);

/* ---- barrier: nobody goes on before all are here ------------------------------------------ */

struct weft_barrier {
    struct weft_guard guard;
    struct weft_link waiting;
    uint32_t parties, arrived;
    uint32_t round;
};

/* parties  at least 1; else -EINVAL */
WEFT_API int weft_barrier_init(struct weft_barrier *barrier, uint32_t parties,
                               enum weft_sharing sharing);

/* Wait until as many callers as there are parties wait; then all go on and the next round begins.
 * Who gives up leaves, and its place is free again.
 * Returns  1 for the last to arrive, 0 for the others, or as at the top of this file */
WEFT_API int weft_barrier_wait(struct weft_barrier *barrier, int64_t deadline_ns);

/* ---- once: done by the first, awaited by the rest ----------------------------------------- */

struct weft_once {
    struct weft_guard guard;
    struct weft_fiber *runner; /* who is at it, NULL when nobody is */
    struct weft_link waiting;
    int done, result;
};

WEFT_API int weft_once_init(struct weft_once *once, enum weft_sharing sharing);

/* Run fn(arg) unless that has succeeded before; while another caller is at it, wait. When it fails,
 * with its caller's cancellation too, the error is that caller's, and the next one tries.
 *
 * deadline_ns  for waiting; fn is not cut short
 * Returns      what fn returned when it succeeded, 0 or more; its error, to who called it;
 *              -EDEADLK (called inside fn), or as at the top of this file */
WEFT_API int weft_once_run(struct weft_once *once, int (*fn)(void *), void *arg,
                           int64_t deadline_ns);

/* ---- latch: opens when a count has come down to 0, and stays open ------------------------- */

struct weft_latch {
    struct weft_guard guard;
    struct weft_link waiting;
    uint32_t count;
};

WEFT_API int weft_latch_init(struct weft_latch *latch, uint32_t count, enum weft_sharing sharing);

/* Take count off. Returns 0; -EINVAL (more than is left: nothing was taken off). */
WEFT_API int weft_latch_count_down(struct weft_latch *latch, uint32_t count);

/* Wait until it is 0. Returns 0, or as at the top of this file. */
WEFT_API int weft_latch_wait(struct weft_latch *latch, int64_t deadline_ns);

WEFT_END_DECLS

#endif
