/* SPDX-License-Identifier: MIT
 * once.c - see weft/sync.h. */
#include <runtime/worker.h>

#include <weft/sync.h>

#include <errno.h>

/* What a waiting caller is woken with. */
enum {
    DONE,
    YOUR_TURN,
};

int weft_once_init(struct weft_once *once, enum weft_sharing sharing)
{
    *once = (struct weft_once){0};
    weft_list_init(&once->waiting);
    return weft_guard_init(&once->guard, sharing);
}

static void succeeded(struct weft_once *once, int result)
{
    struct weft_link claimed;
    weft_list_init(&claimed);
    weft_guard_enter(&once->guard);
    once->runner = NULL;
    once->result = result;
    __atomic_store_n(&once->done, 1, __ATOMIC_RELEASE);
    weft_claim_all(&once->waiting, &claimed);
    weft_guard_leave(&once->guard);
    weft_wake_claimed(&claimed, DONE);
}

static void failed(struct weft_once *once)
{
    weft_guard_enter(&once->guard);
    const struct weft_waiter *next = weft_claim_first(&once->waiting);
    once->runner = next ? next->fiber : NULL;
    weft_guard_leave(&once->guard);
    if (next)
        weft_wake(next->fiber, YOUR_TURN);
}

/* Returns DONE, YOUR_TURN, or an error. */
static int take_turn(struct weft_once *once, struct weft_fiber *self, int64_t deadline_ns)
{
    struct weft_waiter waiter;
    int err = weft_guard_admit(&once->guard);
    if (err < 0)
        return err;
    if (once->runner && once->runner != self)
        return weft_wait_turn(self, &once->guard, &once->waiting, &waiter, deadline_ns,
                              "what is done once");
    if (once->runner)
        err = -EDEADLK;
    else if (!once->done)
        err = YOUR_TURN;
    if (err == YOUR_TURN)
        once->runner = self;
    weft_guard_leave(&once->guard);
    return err;
}

int weft_once_run(struct weft_once *once, int (*fn)(void *), void *arg, int64_t deadline_ns)
{
    struct weft_fiber *self;
    int turn = weft_enter_anywhere(&self);
    if (turn < 0)
        return turn;
    weft_spend(self, deadline_ns); /* before, not while others wait for fn */
    if (!__atomic_load_n(&once->done, __ATOMIC_ACQUIRE)) {
        turn = take_turn(once, self, deadline_ns);
        if (turn < 0)
            return turn;
    }
    if (turn == DONE)
        return once->result;
    int result = fn(arg);
    if (result >= 0)
        succeeded(once, result);
    else
        failed(once);
    return result;
}
