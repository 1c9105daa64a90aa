/* SPDX-License-Identifier: MIT
 * barrier.c - see weft/sync.h.
 *
 * Who has arrived is counted under the guard, also while it is giving up: when the round is
 * complete before it has left, it was part of it. */
#include <runtime/worker.h>

#include <weft/sync.h>

#include <errno.h>

int weft_barrier_init(struct weft_barrier *barrier, uint32_t parties, enum weft_sharing sharing)
{
    *barrier = (struct weft_barrier){.parties = parties};
    weft_list_init(&barrier->waiting);
    return parties == 0 ? -EINVAL : weft_guard_init(&barrier->guard, sharing);
}

static void complete_round(struct weft_barrier *barrier)
{
    struct weft_link claimed;
    weft_list_init(&claimed);
    barrier->arrived = 0;
    barrier->round++;
    weft_claim_all(&barrier->waiting, &claimed);
    weft_guard_leave(&barrier->guard);
    weft_wake_claimed(&claimed, 0);
}

/* Returns 0 when the round was completed all the same. */
static int give_up(struct weft_barrier *barrier, uint32_t round, int err)
{
    weft_guard_enter(&barrier->guard);
    if (barrier->round != round)
        err = 0;
    else
        barrier->arrived--;
    weft_guard_leave(&barrier->guard);
    return err;
}

int weft_barrier_wait(struct weft_barrier *barrier, int64_t deadline_ns)
{
    struct weft_fiber *self;
    struct weft_waiter waiter;
    int err = weft_enter_anywhere(&self);
    if (err == 0)
        err = weft_guard_admit(&barrier->guard);
    if (err < 0)
        return err;
    if (barrier->arrived + 1 == barrier->parties) {
        complete_round(barrier);
        weft_spend(self, deadline_ns);
        return 1;
    }
    uint32_t round = barrier->round;
    barrier->arrived += deadline_ns != WEFT_NOWAIT;
    err =
        weft_wait_turn(self, &barrier->guard, &barrier->waiting, &waiter, deadline_ns, "a barrier");
    return err < 0 && err != -EAGAIN ? give_up(barrier, round, err) : err;
}
