/* SPDX-License-Identifier: MIT
 * worker.h - one thread that runs fibers: run queue, timers, reactor, and how fibers wait.
 *
 * Waiting, in three steps, always on the fiber's own worker:
 *     weft_park_prepare(self);            // from here on, whoever claims self owns its wake-up
 *     ... put a struct weft_waiter where the waker will find it ...
 *     int result = weft_park(self, deadline_ns, WEFT_PARK_CANCELLABLE);
 *     ... take the waiter out again ...
 * A waker may be an object's other side, the fiber's timer, its scope's cancellation, or another
 * thread. Exactly one claims the fiber; the others find nothing to do. Nobody has to wait for the
 * fiber to be off its stack: only its own worker ever resumes it. */
#ifndef WEFT_RUNTIME_WORKER_H
#define WEFT_RUNTIME_WORKER_H

#include <base/heap.h>
#include <base/list.h>
#include <os/context.h>
#include <os/poller.h>
#include <os/stack.h>
#include <runtime/fd_table.h>

#include <weft/group.h>
#include <weft/runtime.h>

#include <stdatomic.h>
#include <stdbool.h>

struct weft_offload_pool;
struct weft_resolver;

/* Lives at the top of its own stack, so that a new fiber touches one page. */
struct weft_fiber {
    struct weft_context context;
    struct weft_worker *worker;
    struct weft_fiber *next;   /* in the run queue or in the inbox, never in both */
    atomic_bool parked;        /* true while it waits and nobody has claimed it */
    int wake_result;           /* written by the claimer */
    struct weft_scope *scope;  /* innermost */
    struct weft_link in_scope; /* in scope->waiting while it waits cancellably */
    struct weft_timer timer;   /* armed while it waits with a deadline */
    struct weft_group *group;  /* NULL for the first fiber */
    struct weft_link sibling;  /* in group->children */
    struct weft_task *task;    /* where the outcome goes; may be NULL */
    int (*fn)(void *);
    void *arg;
    char *stack;          /* lowest usable byte */
    unsigned groups_open; /* made by this fiber and not waited for yet */
};

struct weft_worker {
    struct weft_context scheduler; /* the thread's own stack: polls, fires timers */
    struct weft_fiber *current;    /* NULL while the scheduler runs */
    struct weft_fiber *run_first, *run_last;
    unsigned switches_left; /* fiber to fiber, before the scheduler has a look around */
    unsigned budget;        /* operations that did not wait, before the fiber gives way */

    struct weft_heap timers;
    enum weft_clock_kind clock;
    int64_t virtual_now_ns;
    int64_t polled_at_ns;

    struct weft_stack_pool stacks;
    struct weft_sanitizer_stack grave;
    size_t fibers;      /* that have not ended */
    size_t outstanding; /* completions other threads owe: time must not jump */
    size_t fd_waiters;  /* fibers that wait for a descriptor */

    const struct weft_poller_ops *poller_ops;
    struct weft_poller *poller;
    struct weft_fd_table fds;
    struct weft_offload_pool *offload; /* made when first used */
    unsigned offload_threads_max, offload_queue_max;
    struct weft_resolver *resolver; /* made when first used */

    int wake_fd;                        /* eventfd, written only when the worker sleeps */
    _Atomic(struct weft_fiber *) inbox; /* woken by other threads, newest first */
    atomic_bool sleeping;
    atomic_uint wakers; /* threads inside inbox_push, which still touch this struct */

    struct weft_scope root;
    int root_result;
    bool deadlocked;
    int broken; /* the poller's error: nothing can be waited for any more */
};

/* The worker of the calling thread, NULL outside a runtime. */
extern _Thread_local struct weft_worker *weft_current_worker;

/* The running fiber, NULL outside a runtime. */
static inline struct weft_fiber *weft_self(void)
{
    struct weft_worker *worker = weft_current_worker;
    return worker ? worker->current : NULL;
}

static inline bool weft_fiber_cancelled(const struct weft_fiber *fiber)
{
    return fiber->scope->cause != 0;
}

/* How every call that can wait begins. Returns 0 with *ret_self set, -EPERM, -ECANCELED. */
int weft_enter(struct weft_fiber **ret_self);

/* Count an operation that did not have to wait; now and then give way, so that a fiber whose data
 * is always there does not starve the others. With WEFT_NOWAIT it never does. */
void weft_spend(struct weft_fiber *self, int64_t deadline_ns);

/* A place in a queue of waiting fibers, on the waiting fiber's stack. */
struct weft_waiter {
    struct weft_link link;
    struct weft_fiber *fiber;
    const void *source; /* a sender's item, which the waker reads */
    void *target;       /* where the waker puts a receiver's item */
};

enum weft_park_kind {
    WEFT_PARK_CANCELLABLE,
    WEFT_PARK_SHIELDED,
};

void weft_park_prepare(struct weft_fiber *self);

/* Undo weft_park_prepare without having waited; the fiber must not be in reach of other threads. */
void weft_park_abandon(struct weft_fiber *self);

/* Suspend until claimed. Returns what the claimer gave; -ETIMEDOUT, -ECANCELED by the timer and
 * the scope. */
int weft_park(struct weft_fiber *self, int64_t deadline_ns, enum weft_park_kind kind);

/* Take the right to wake a fiber. False: somebody else has it, leave the fiber alone. */
static inline bool weft_claim(struct weft_fiber *fiber)
{
    return atomic_exchange_explicit(&fiber->parked, false, memory_order_acq_rel);
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

/* Wait in a list until claimed; links and unlinks the waiter. */
int weft_park_in(struct weft_fiber *self, struct weft_link *list, struct weft_waiter *waiter,
                 int64_t deadline_ns, enum weft_park_kind kind);

/* Wake the longest waiting fiber of a list that nobody else has claimed. False: there is none. */
bool weft_wake_first(struct weft_link *list, int result);

/* Wake every fiber of a list. */
void weft_wake_all(struct weft_link *list, int result);

void weft_timer_arm(struct weft_worker *worker, struct weft_timer *timer, int64_t deadline_ns,
                    void (*fire)(struct weft_timer *timer));
void weft_timer_disarm(struct weft_worker *worker, struct weft_timer *timer);

/* Make a fiber, runnable behind the others. Returns NULL when there is no stack. */
struct weft_fiber *weft_fiber_start(struct weft_worker *worker, struct weft_scope *scope,
                                    int (*fn)(void *), void *arg);

/* Told by the worker when a fiber's function has returned, still on that fiber (group.c). */
void weft_group_child_ended(struct weft_fiber *fiber, int result);

/* Begin and end the life of a scope without a fiber of its own (scope.c). */
void weft_scope_attach(struct weft_scope *scope, struct weft_scope *parent, int64_t deadline_ns,
                       unsigned flags);
void weft_scope_detach(struct weft_scope *scope);

/* Say what is wrong and abort: going on would corrupt somebody's stack. */
_Noreturn void weft_misuse(const char *what);

/* Cancel as if a scope around this one had been. */
void weft_scope_cancel_from_outside(struct weft_scope *scope);

/* What the cancellation means to whoever waited for the scope's work: -ETIMEDOUT by its deadline,
 * -ECANCELED from outside, 0 when it was not cancelled or by choice. */
int weft_scope_verdict(const struct weft_scope *scope);

/* Offload (offload.c): stop the threads; queued calls must have ended. NULL is fine. */
void weft_offload_pool_close(struct weft_offload_pool *pool);

int64_t weft_worker_now(const struct weft_worker *worker);

#endif
