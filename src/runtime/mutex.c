/* SPDX-License-Identifier: MIT
 * mutex.c - see weft/sync.h. Unlocking hands the mutex over: it is never free while somebody
 * waits, so nobody overtakes. Who holds it counts that itself: a fiber that ended holding would
 * leave its address to the next one on the same stack. */
#include <runtime/mutex.h>

#include <errno.h>

int weft_mutex_init(struct weft_mutex *mutex, enum weft_sharing sharing)
{
    *mutex = (struct weft_mutex){0};
    weft_list_init(&mutex->waiting);
    return weft_guard_init(&mutex->guard, sharing);
}

int weft_mutex_lock(struct weft_mutex *mutex, int64_t deadline_ns)
{
    struct weft_fiber *self;
    struct weft_waiter waiter;
    int err = weft_enter_anywhere(&self);
    if (err < 0)
        return err;
    weft_spend(self, deadline_ns); /* before, not while holding it */
    err = weft_guard_admit(&mutex->guard);
    if (err < 0)
        return err;
    if (mutex->owner == self) {
        weft_guard_leave(&mutex->guard);
        return -EDEADLK;
    }
    if (mutex->owner) {
        err = weft_wait_turn(self, &mutex->guard, &mutex->waiting, &waiter, deadline_ns, "a mutex");
    } else {
        mutex->owner = self;
        weft_guard_leave(&mutex->guard);
    }
    self->holds += err == 0;
    return err;
}

void weft_mutex_lock_again(struct weft_mutex *mutex, struct weft_fiber *self)
{
    struct weft_waiter waiter;
    self->holds++;
    weft_guard_enter(&mutex->guard);
    if (mutex->owner) {
        self->waits_for = "a mutex, after a condition";
        (void)weft_park_served(self, &mutex->guard, &mutex->waiting, &waiter, WEFT_FOREVER,
                               WEFT_PARK_SHIELDED);
        return;
    }
    mutex->owner = self;
    weft_guard_leave(&mutex->guard);
}

int weft_mutex_unlock(struct weft_mutex *mutex)
{
    struct weft_fiber *self = weft_whoever();
    int err = weft_guard_admit(&mutex->guard);
    if (err < 0)
        return err;
    if (mutex->owner != self) {
        weft_guard_leave(&mutex->guard);
        return -EPERM;
    }
    self->holds--;
    const struct weft_waiter *next = weft_claim_first(&mutex->waiting);
    mutex->owner = next ? next->fiber : NULL;
    weft_guard_leave(&mutex->guard);
    if (next)
        weft_wake(next->fiber, 0);
    return 0;
}
