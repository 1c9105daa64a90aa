/* SPDX-License-Identifier: MIT
 * wait.h - how a fiber waits, and how it is woken.
 *
 * Three steps, always on the fiber's own worker:
 *     weft_park_prepare(self);            // from here on, whoever claims self owns its wake-up
 *     ... put a struct weft_waiter where the waker will find it ...
 *     int result = weft_park(self, deadline_ns, WEFT_PARK_CANCELLABLE);
 *     ... take the waiter out again ...
 * A waker may be an object's other side, the fiber's timer, its scope's cancellation, or another
 * thread. Exactly one claims the fiber; the others find nothing to do. Nobody has to wait for the
 * fiber to be off its stack: only its own worker ever resumes it.
 *
 * Threads outside any runtime wait the same way: each has a stand-in for a fiber, which sleeps on
 * a futex instead of switching stacks. */
#ifndef WEFT_RUNTIME_WAIT_H
#define WEFT_RUNTIME_WAIT_H

#include <os/lock.h>
#include <runtime/fiber.h>

#include <errno.h>

/* The worker of the calling thread, NULL outside a runtime. */
extern _Thread_local struct weft_worker *weft_current_worker;

enum weft_park_kind {
    WEFT_PARK_CANCELLABLE,
    WEFT_PARK_SHIELDED,
};

/* How every call that can wait begins. Returns 0 with *ret_self set, -EPERM, -ECANCELED. */
int weft_enter(struct weft_fiber **ret_self);

/* The same for objects that any thread may use: -EPERM only where a fiber was forked. */
int weft_enter_anywhere(struct weft_fiber **ret_self);

/* Count an operation that did not have to wait; now and then give way, so that a fiber whose data
 * is always there does not starve the others. With WEFT_NOWAIT it never does. */
void weft_spend(struct weft_fiber *self, int64_t deadline_ns);

/* Begin to wait where other threads can see it. */
static inline void weft_park_prepare(struct weft_fiber *self)
{
    self->exposed = true;
    atomic_store_explicit(&self->parked, true, memory_order_relaxed);
}

/* Begin to wait where only fibers, timers and scopes of this worker can see it. */
static inline void weft_park_prepare_local(struct weft_fiber *self)
{
    self->exposed = false;
    atomic_store_explicit(&self->parked, true, memory_order_relaxed);
}

/* Undo either without having waited; the fiber must not be in reach of other threads. */
static inline void weft_park_abandon(struct weft_fiber *self)
{
    atomic_store_explicit(&self->parked, false, memory_order_relaxed);
}

/* Suspend until claimed. Returns what the claimer gave; -ETIMEDOUT, -ECANCELED by the timer and
 * the scope. */
int weft_park(struct weft_fiber *self, int64_t deadline_ns, enum weft_park_kind kind);

/* Take the right to wake a fiber. False: somebody else has it, leave the fiber alone. */
static inline bool weft_claim(struct weft_fiber *fiber)
{
    if (fiber->exposed)
        return atomic_exchange_explicit(&fiber->parked, false, memory_order_acq_rel);
    bool parked = atomic_load_explicit(&fiber->parked, memory_order_relaxed);
    atomic_store_explicit(&fiber->parked, false, memory_order_relaxed);
    return parked;
}

/* Make a claimed fiber runnable, from any thread; weft_park returns result there. */
void weft_wake(struct weft_fiber *fiber, int result);

/* Claim and wake. False when somebody else was first. */
static inline bool weft_unpark(struct weft_fiber *fiber, int result)
{
    if (!weft_claim(fiber))
        return false;
    weft_wake(fiber, result);
    return true;
}

/* ---- queues of waiting fibers ---------------------------------------------------------- */

/* Wait in a list of this worker's own until claimed; links and unlinks the waiter. */
int weft_park_in(struct weft_fiber *self, struct weft_link *list, struct weft_waiter *waiter,
                 int64_t deadline_ns, enum weft_park_kind kind);

/* The same in a list under a guard, which the caller has entered; it is left when this returns. */
int weft_park_guarded(struct weft_fiber *self, struct weft_guard *guard, struct weft_link *list,
                      struct weft_waiter *waiter, int64_t deadline_ns, enum weft_park_kind kind);

/* The first of a list, now the caller's to wake and out of the list; NULL when there is none. */
static inline struct weft_waiter *weft_claim_first(struct weft_link *list)
{
    while (!weft_list_empty(list)) {
        struct weft_waiter *waiter = weft_container_of(list->next, struct weft_waiter, link);
        weft_list_unlink(&waiter->link);
        if (weft_claim(waiter->fiber)) {
            waiter->fiber->winner = waiter;
            return waiter;
        }
    }
    return NULL;
}

/* Wake the longest waiting fiber of a list that nobody else has claimed. False: there is none. */
bool weft_wake_first(struct weft_link *list, int result);

/* Wake every fiber of a list. */
void weft_wake_all(struct weft_link *list, int result);

/* ---- guards ---------------------------------------------------------------------------- */

/* Returns 0, -EPERM (WEFT_LOCAL outside a runtime), -EINVAL */
int weft_guard_init(struct weft_guard *guard, enum weft_sharing sharing);

/* Returns 0; -EPERM: the object belongs to another worker. Nothing that can suspend may happen
 * before weft_guard_leave. */
static inline int weft_guard_enter(struct weft_guard *guard)
{
    if (guard->home)
        return guard->home == weft_current_worker ? 0 : -EPERM;
    weft_lock(&guard->lock);
    return 0;
}

static inline void weft_guard_leave(struct weft_guard *guard)
{
    if (!guard->home)
        weft_unlock(&guard->lock);
}

#endif
