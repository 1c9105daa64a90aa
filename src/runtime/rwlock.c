/* SPDX-License-Identifier: MIT
 * rwlock.c - see weft/sync.h. Phases alternate: a writer, then all readers that came meanwhile.
 *
 * Invariants, while the guard is not held: readers wait only while somebody writes or a writer
 * waits; writers only while somebody is inside. Whoever leaves, inside or from the queue, hands
 * the lock on.
 * Source: Brandenburg, Anderson, "Reader-writer synchronization for shared-memory multiprocessor
 * real-time systems", ECRTS 2009 (phase-fair locks). */
#include <runtime/worker.h>

#include <weft/sync.h>

#include <errno.h>

int weft_rwlock_init(struct weft_rwlock *lock, enum weft_sharing sharing)
{
    *lock = (struct weft_rwlock){0};
    weft_list_init(&lock->waiting_readers);
    weft_list_init(&lock->waiting_writers);
    return weft_guard_init(&lock->guard, sharing);
}

static void admit_readers(struct weft_rwlock *lock, struct weft_link *claimed)
{
    struct weft_waiter *reader;
    while ((reader = weft_claim_first(&lock->waiting_readers))) {
        lock->readers++;
        weft_list_append(claimed, &reader->link);
    }
}

static void admit_writer(struct weft_rwlock *lock, struct weft_link *claimed)
{
    struct weft_waiter *writer = weft_claim_first(&lock->waiting_writers);
    if (!writer)
        return;
    lock->writer = writer->fiber;
    weft_list_append(claimed, &writer->link);
}

/* Let in who can be, leave the guard, wake them. */
static void hand_on(struct weft_rwlock *lock, bool after_writer)
{
    struct weft_link claimed;
    weft_list_init(&claimed);
    if (!lock->writer) {
        if (after_writer)
            admit_readers(lock, &claimed);
        if (lock->readers == 0)
            admit_writer(lock, &claimed);
        if (!lock->writer && !weft_first_waiting(&lock->waiting_writers))
            admit_readers(lock, &claimed);
    }
    weft_guard_leave(&lock->guard);
    weft_wake_claimed(&claimed, 0);
}

/* Wait in a queue; who gives up may have been what others waited behind. */
static int wait_in(struct weft_rwlock *lock, struct weft_link *queue, struct weft_fiber *self,
                   int64_t deadline_ns, const char *what)
{
    struct weft_waiter waiter;
    int err = weft_wait_turn(self, &lock->guard, queue, &waiter, deadline_ns, what);
    if (err < 0 && err != -EAGAIN) {
        weft_guard_enter(&lock->guard);
        hand_on(lock, false);
    }
    return err;
}

/* Returns with the guard entered, or an error. */
static int enter(struct weft_rwlock *lock, struct weft_fiber **ret_self, int64_t deadline_ns)
{
    int err = weft_enter_anywhere(ret_self);
    if (err < 0)
        return err;
    weft_spend(*ret_self, deadline_ns);
    err = weft_guard_admit(&lock->guard);
    if (err == 0 && lock->writer == *ret_self) {
        weft_guard_leave(&lock->guard);
        err = -EDEADLK;
    }
    return err;
}

int weft_rwlock_lock_read(struct weft_rwlock *lock, int64_t deadline_ns)
{
    struct weft_fiber *self;
    int err = enter(lock, &self, deadline_ns);
    if (err < 0)
        return err;
    if (lock->writer || weft_first_waiting(&lock->waiting_writers))
        return wait_in(lock, &lock->waiting_readers, self, deadline_ns, "a lock, to read");
    lock->readers++;
    weft_guard_leave(&lock->guard);
    return 0;
}

int weft_rwlock_lock_write(struct weft_rwlock *lock, int64_t deadline_ns)
{
    struct weft_fiber *self;
    int err = enter(lock, &self, deadline_ns);
    if (err < 0)
        return err;
    if (lock->writer || lock->readers > 0) {
        err = wait_in(lock, &lock->waiting_writers, self, deadline_ns, "a lock, to write");
    } else {
        lock->writer = self;
        weft_guard_leave(&lock->guard);
    }
    self->holds += err == 0;
    return err;
}

int weft_rwlock_unlock_read(struct weft_rwlock *lock)
{
    int err = weft_guard_admit(&lock->guard);
    if (err < 0)
        return err;
    if (lock->readers == 0) {
        weft_guard_leave(&lock->guard);
        return -EPERM;
    }
    lock->readers--;
    hand_on(lock, false);
    return 0;
}

int weft_rwlock_unlock_write(struct weft_rwlock *lock)
{
    struct weft_fiber *self = weft_whoever();
    int err = weft_guard_admit(&lock->guard);
    if (err < 0)
        return err;
    if (lock->writer != self) {
        weft_guard_leave(&lock->guard);
        return -EPERM;
    }
    self->holds--;
    lock->writer = NULL;
    hand_on(lock, true);
    return 0;
}
