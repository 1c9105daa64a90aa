/* SPDX-License-Identifier: MIT
 * completion.c - see completion.h. */
#include <runtime/completion.h>
#include <runtime/worker.h>

enum {
    PENDING, /* neither side has come */
    WAITING, /* the fiber is parked: the signaller wakes it */
    DONE,    /* the answer is there: the fiber need not park */
};

void weft_completion_init(struct weft_completion *completion)
{
    completion->fiber = weft_self();
    completion->result = 0;
    atomic_init(&completion->state, PENDING);
    completion->fiber->worker->outstanding++;
}

int weft_completion_wait(struct weft_completion *completion)
{
    struct weft_fiber *self = completion->fiber;
    self->waits_for = "another thread";
    weft_park_prepare(self);
    int state = PENDING;
    if (atomic_compare_exchange_strong(&completion->state, &state, WAITING))
        (void)weft_park(self, WEFT_FOREVER, WEFT_PARK_SHIELDED);
    else
        weft_park_abandon(self);
    self->worker->outstanding--;
    return completion->result;
}

void weft_completion_signal(struct weft_completion *completion, int result)
{
    struct weft_fiber *fiber = completion->fiber;
    completion->result = result;
    if (atomic_exchange(&completion->state, DONE) == WAITING)
        (void)weft_unpark(fiber, 0);
}
