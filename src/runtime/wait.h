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

/* Operations that did not have to wait, before a fiber gives way. */
#define WEFT_BUDGET 128u

enum weft_park_kind {
    WEFT_PARK_CANCELLABLE,
    WEFT_PARK_SHIELDED,
};

/* What an object's operation says, beside 0 and negative errors, when it cannot be done at once. */
#define WEFT_WOULD_WAIT 1

/* How calls begin that wait or not: weft_enter, weft_enter_anywhere, weft_whoever, weft_spend are
 * in worker.h, inline. */
struct weft_fiber *weft_outsider(void); /* the stand-in of a thread outside any runtime */
int weft_enter_outside(struct weft_fiber **ret_self);
void weft_give_way(struct weft_fiber *self);

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

/* The same in a list under a guard, which the caller has entered; it is left when this returns.
 * Wakers take waiters out under the guard and wake them after they have left it: who was served
 * need not enter it again, and may free the object. */
int weft_park_served(struct weft_fiber *self, struct weft_guard *guard, struct weft_link *list,
                     struct weft_waiter *waiter, int64_t deadline_ns, enum weft_park_kind kind);

/* How most of their calls wait: weft_park_served, cancellably, unless deadline_ns is WEFT_NOWAIT.
 *
 * what     for people: "room in a channel"
 * Returns  what the waker gave, -ETIMEDOUT, -EAGAIN, -ECANCELED. The guard is left in every case */
int weft_wait_turn(struct weft_fiber *self, struct weft_guard *guard, struct weft_link *list,
                   struct weft_waiter *waiter, int64_t deadline_ns, const char *what);

static inline struct weft_waiter *weft_waiter_of(struct weft_link *link)
{
    return weft_container_of(link, struct weft_waiter, link);
}

/* Take a waiter out of its list. True: it is now the caller's to wake; false: somebody else has
 * claimed its fiber. */
static inline bool weft_claim_waiter(struct weft_waiter *waiter)
{
    weft_list_unlink(&waiter->link);
    if (!weft_claim(waiter->fiber))
        return false;
    waiter->fiber->winner = waiter;
    return true;
}

/* The first of a list, now the caller's to wake and out of the list; NULL when there is none. */
static inline struct weft_waiter *weft_claim_first(struct weft_link *list)
{
    while (!weft_list_empty(list)) {
        struct weft_waiter *waiter = weft_waiter_of(list->next);
        if (weft_claim_waiter(waiter))
            return waiter;
    }
    return NULL;
}

/* Move all of a list to another, for weft_wake_claimed. */
static inline void weft_claim_all(struct weft_link *list, struct weft_link *claimed)
{
    struct weft_waiter *waiter;
    while ((waiter = weft_claim_first(list)))
        weft_list_append(claimed, &waiter->link);
}

static inline bool weft_waiting(const struct weft_waiter *waiter)
{
    return atomic_load_explicit(&waiter->fiber->parked, memory_order_relaxed);
}

/* The first of a list whom nobody has claimed yet, NULL when there is none. Those before it, on
 * their way out after a timer or a cancellation, are taken out. */
static inline struct weft_waiter *weft_first_waiting(struct weft_link *list)
{
    while (!weft_list_empty(list)) {
        struct weft_waiter *waiter = weft_waiter_of(list->next);
        if (weft_waiting(waiter))
            return waiter;
        weft_list_unlink(&waiter->link);
    }
    return NULL;
}

/* Whether a fiber other than self waits in a list. */
static inline bool weft_another_waits(struct weft_link *list, const struct weft_fiber *self)
{
    WEFT_LIST_FOR_EACH (link, list) {
        const struct weft_waiter *waiter = weft_waiter_of(link);
        if (waiter->fiber != self && weft_waiting(waiter))
            return true;
    }
    return false;
}

/* Wake all of a list of claimed waiters, first come, first served. Not under a guard. */
void weft_wake_claimed(struct weft_link *claimed, int result);

/* Wake the longest waiting fiber of a list that nobody else has claimed. False: there is none. */
bool weft_wake_first(struct weft_link *list, int result);

/* Wake every fiber of a list. */
void weft_wake_all(struct weft_link *list, int result);

/* ---- guards ---------------------------------------------------------------------------- */

/* Returns 0, -EPERM (WEFT_LOCAL outside a runtime), -EINVAL (no such sharing): then the guard is as
 * it was, which for one that is all zeros means that it lets nobody in */
int weft_guard_init(struct weft_guard *guard, enum weft_sharing sharing);

/* Enter, as one who has been admitted before, or in a guard of the library's own, which is shared
 * when it is all zeros. Nothing that can suspend may happen before weft_guard_leave. */
static inline void weft_guard_enter(struct weft_guard *guard)
{
    if (!guard->home)
        weft_lock(&guard->lock);
}

/* Whether the caller may enter. Returns 0; -EPERM: the object is another worker's, or nobody's. */
static inline int weft_guard_permit(const struct weft_guard *guard)
{
    bool permitted = guard->home ? guard->home == weft_current_worker : guard->shared;
    return permitted ? 0 : -EPERM;
}

/* Enter if that is permitted: how calls on a program's objects begin. Returns as above. */
static inline int weft_guard_admit(struct weft_guard *guard)
{
    int err = weft_guard_permit(guard);
    if (err == 0)
        weft_guard_enter(guard);
    return err;
}

static inline void weft_guard_leave(struct weft_guard *guard)
{
    if (!guard->home)
        weft_unlock(&guard->lock);
}

#endif
