/* SPDX-License-Identifier: MIT
 * condition.c - see weft/sync.h. The waiter is in the queue before the mutex is given away, so a
 * signal by the next holder cannot be missed. */
#include <runtime/mutex.h>

#include <errno.h>

int weft_condition_init(struct weft_condition *condition, enum weft_sharing sharing)
{
    *condition = (struct weft_condition){0};
    weft_list_init(&condition->waiting);
    return weft_guard_init(&condition->guard, sharing);
}

/* Apart: gcc does not see that whoever wakes us takes the waiter out, and warns of it when inlined.
 * Returns 0, -EPERM */
__attribute__((noinline)) static int join_queue(struct weft_condition *condition,
                                                struct weft_fiber *self, struct weft_waiter *waiter)
{
    int err = weft_guard_admit(&condition->guard);
    if (err < 0)
        return err;
    waiter->fiber = self;
    self->winner = NULL;
    self->waits_for = "a condition";
    weft_park_prepare(self);
    weft_list_append(&condition->waiting, &waiter->link);
    weft_guard_leave(&condition->guard);
    return 0;
}

static void leave_queue(struct weft_condition *condition, struct weft_waiter *waiter)
{
    weft_guard_enter(&condition->guard);
    weft_list_unlink(&waiter->link);
    weft_guard_leave(&condition->guard);
}

static int check_holder(struct weft_mutex *mutex, const struct weft_fiber *self)
{
    int err = weft_guard_admit(&mutex->guard);
    if (err < 0)
        return err;
    bool holds = mutex->owner == self;
    weft_guard_leave(&mutex->guard);
    return holds ? 0 : -EPERM;
}

int weft_condition_wait(struct weft_condition *condition, struct weft_mutex *mutex,
                        int64_t deadline_ns)
{
    struct weft_fiber *self;
    struct weft_waiter waiter = {.fiber = NULL};
    int err = weft_enter_anywhere(&self);
    if (err == 0)
        err = check_holder(mutex, self);
    if (err == 0 && deadline_ns == WEFT_NOWAIT)
        err = -EAGAIN;
    if (err == 0)
        err = join_queue(condition, self, &waiter);
    if (err != 0)
        return err;
    (void)weft_mutex_unlock(mutex);
    int result = weft_park(self, deadline_ns, WEFT_PARK_CANCELLABLE);
    if (self->winner != &waiter)
        leave_queue(condition, &waiter);
    weft_mutex_lock_again(mutex, self);
    return result;
}

int weft_condition_signal(struct weft_condition *condition)
{
    int err = weft_guard_admit(&condition->guard);
    if (err < 0)
        return err;
    const struct weft_waiter *first = weft_claim_first(&condition->waiting);
    weft_guard_leave(&condition->guard);
    if (first)
        weft_wake(first->fiber, 0);
    return 0;
}

int weft_condition_broadcast(struct weft_condition *condition)
{
    struct weft_link claimed;
    int err = weft_guard_admit(&condition->guard);
    if (err < 0)
        return err;
    weft_list_init(&claimed);
    weft_claim_all(&condition->waiting, &claimed);
    weft_guard_leave(&condition->guard);
    weft_wake_claimed(&claimed, 0);
    return 0;
}
