/* SPDX-License-Identifier: MIT
 * latch.c - see weft/sync.h. */
#include <runtime/worker.h>

#include <weft/sync.h>

#include <errno.h>

int weft_latch_init(struct weft_latch *latch, uint32_t count, enum weft_sharing sharing)
{
    *latch = (struct weft_latch){.count = count};
    weft_list_init(&latch->waiting);
    return weft_guard_init(&latch->guard, sharing);
}

int weft_latch_count_down(struct weft_latch *latch, uint32_t count)
{
    struct weft_link claimed;
    int err = weft_guard_admit(&latch->guard);
    if (err < 0)
        return err;
    weft_list_init(&claimed);
    if (count > latch->count)
        err = -EINVAL;
    else
        latch->count -= count;
    if (latch->count == 0)
        weft_claim_all(&latch->waiting, &claimed);
    weft_guard_leave(&latch->guard);
    weft_wake_claimed(&claimed, 0);
    return err;
}

int weft_latch_wait(struct weft_latch *latch, int64_t deadline_ns)
{
    struct weft_fiber *self;
    struct weft_waiter waiter;
    int err = weft_enter_anywhere(&self);
    if (err == 0)
        err = weft_guard_admit(&latch->guard);
    if (err < 0)
        return err;
    if (latch->count > 0)
        return weft_wait_turn(self, &latch->guard, &latch->waiting, &waiter, deadline_ns,
                              "a latch");
    weft_guard_leave(&latch->guard);
    weft_spend(self, deadline_ns);
    return 0;
}
