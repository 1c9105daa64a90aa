/* SPDX-License-Identifier: MIT
 * worker.h - one thread that runs fibers: run queue, timers, reactor, mailbox. */
#ifndef WEFT_RUNTIME_WORKER_H
#define WEFT_RUNTIME_WORKER_H

#include <base/heap.h>
#include <base/random.h>
#include <os/poller.h>
#include <os/stack.h>
#include <os/ticker.h>
#include <runtime/fd_table.h>
#include <runtime/fiber.h>
#include <runtime/mailbox.h>
#include <runtime/wait.h>

#include <weft/runtime.h>

#include <limits.h>

struct weft_debug;
struct weft_meter;
struct weft_offload_pool;
struct weft_resolver;
struct weft_runtime;
struct weft_sim;
struct weft_watched;

/* Sizes of stacks that a spawn may ask for, beside the runtime's default: 16 KiB to 1 MiB. */
#define WEFT_STACK_CLASSES 7

struct weft_worker {
    struct weft_context scheduler; /* the thread's own stack: polls, fires timers */
    struct weft_fiber *current;    /* NULL while the scheduler runs; others look at it as well */
    struct weft_mail *run_first, *run_last;
    uint64_t pushed, popped; /* fibers, into the run queue and out of it */
    uint64_t rounds;         /* of the scheduler that ran fibers */
    unsigned switches_left;  /* fiber to fiber, before the scheduler has a look around */
    unsigned switches_max;   /* adapted to how long the fibers run */
    unsigned deadlocks_seen; /* of runtime->deadlocks */
    unsigned budget;         /* operations that did not wait, before the fiber gives way */
    bool shuffled;           /* who runs next is drawn */
    bool repeats;            /* what is drawn shall be the same in every run */

    struct weft_runtime *runtime;
    struct weft_debug *debug;     /* NULL outside debug mode */
    struct weft_watched *watched; /* NULL until it takes the signal of captures */
    struct weft_meter *meter;     /* NULL while nobody measures; set by other threads */
    unsigned index;
    bool crowded; /* there are other workers */

    struct weft_heap timers;
    enum weft_clock_kind clock;
    int64_t virtual_now_ns;
    struct weft_ticker ticker; /* the real clock */
    int64_t polled_at_ns;
    struct weft_random random;

    struct weft_stack_pool stacks;
    struct weft_stack_pool stacks_of[WEFT_STACK_CLASSES];
    struct weft_sanitizer_stack grave;
    size_t fibers;           /* that have not ended */
    uint64_t spawned;        /* fibers, so far */
    size_t outstanding;      /* completions other threads owe: time must not jump */
    size_t fd_waiters;       /* fibers that wait for a descriptor */
    struct weft_link guests; /* fibers of no group here: the first, called from outside, or spawned
                                from other workers */

    const struct weft_poller_ops *poller_ops;
    struct weft_poller *poller;
    struct weft_sim *sim; /* NULL: descriptors are as the kernel has them */
    struct weft_fd_table fds;
    struct weft_offload_pool *offload; /* made when first used */
    unsigned offload_threads_max, offload_queue_max;
    struct weft_resolver *resolver; /* made when first used */

    int wake_fd; /* eventfd, written only when the worker sleeps */
    struct weft_mailbox mailbox;

    struct weft_scope root; /* around the first fiber, and around calls from outside */
    uint64_t waits;         /* of all fibers, so far */
    uint64_t cancel_at;     /* the wait at which everything is cancelled, 0: none */
    int broken;             /* the poller's error: no descriptor can be waited for any more */
};

/* Write what other threads look at, as cheaply as any other store. */
#define weft_note(at, value) __atomic_store_n(at, value, __ATOMIC_RELAXED)

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

/* ---- how calls begin that wait or not --------------------------------------------------- */

/* Returns 0 with *ret_self set, -EPERM, -ECANCELED. */
static inline int weft_enter(struct weft_fiber **ret_self)
{
    struct weft_fiber *self = weft_self();
    if (!self)
        return -EPERM;
    if (weft_fiber_cancelled(self))
        return -ECANCELED;
    *ret_self = self;
    return 0;
}

/* The calling fiber, or the stand-in of a thread outside any runtime; never NULL. */
static inline struct weft_fiber *weft_whoever(void)
{
    return weft_current_worker ? weft_current_worker->current : weft_outsider();
}

/* The same as weft_enter for objects that any thread may use: -EPERM only where a fiber was forked.
 */
static inline int weft_enter_anywhere(struct weft_fiber **ret_self)
{
    return weft_current_worker ? weft_enter(ret_self) : weft_enter_outside(ret_self);
}

/* Count an operation that did not have to wait; now and then give way, so that a fiber whose data
 * is always there does not starve the others. With WEFT_NOWAIT it never does. */
static inline void weft_spend(struct weft_fiber *self, int64_t deadline_ns)
{
    struct weft_worker *worker = self->worker;
    if (deadline_ns != WEFT_NOWAIT && worker && --worker->budget == 0)
        weft_give_way(self);
}

/* ---- the scheduler (worker.c) ---------------------------------------------------------- */

/* On the worker's own thread, before and after everything else. Returns 0 or what the kernel
 * refuses. */
int weft_worker_init(struct weft_worker *worker, const struct weft_run_options *options);
void weft_worker_deinit(struct weft_worker *worker);

/* Run fibers until the runtime stops. */
void weft_worker_run(struct weft_worker *worker);

void weft_worker_send(struct weft_worker *worker, struct weft_mail *mail); /* any thread */

/* Have the worker look around, from any thread. Returns true when it slept. */
bool weft_worker_rouse(struct weft_worker *worker);

/* Deliver what has come; for who must not go on before a certain letter was read. */
void weft_worker_take_mail(struct weft_worker *worker);

/* Make a fiber of this worker runnable, behind the others. */
void weft_run_push(struct weft_worker *worker, struct weft_fiber *fiber);

/* Leave the current fiber, until somebody makes it runnable again or forever. */
void weft_switch_away(struct weft_worker *worker, struct weft_fiber *self, bool forever);

void weft_timer_arm(struct weft_worker *worker, struct weft_timer *timer, int64_t deadline_ns,
                    void (*fire)(struct weft_timer *timer));
void weft_timer_disarm(struct weft_worker *worker, struct weft_timer *timer);

int64_t weft_worker_now(struct weft_worker *worker);

/* Count for how long a fiber runs, not how long it waits: how much it was before and after, to be
 * subtracted. Calls come in pairs and nest; in between each of its switches costs two looks at the
 * clock. */
static inline int64_t weft_run_time_begin(struct weft_fiber *self, int64_t now_ns)
{
    if (self->clocked++ == 0) {
        self->run_ns = 0;
        self->resumed_at_ns = now_ns;
    }
    return self->run_ns + (now_ns - self->resumed_at_ns);
}

static inline int64_t weft_run_time_end(struct weft_fiber *self, int64_t now_ns)
{
    self->clocked--;
    return self->run_ns + (now_ns - self->resumed_at_ns);
}

/* ---- scopes and groups ----------------------------------------------------------------- */

/* Begin and end the life of a scope without a fiber of its own (scope.c). */
void weft_scope_attach(struct weft_scope *scope, struct weft_scope *parent, int64_t deadline_ns,
                       unsigned flags);
void weft_scope_detach(struct weft_scope *scope);

/* Cancel as if a scope around this one had been. On the scope's own worker. */
void weft_scope_cancel_from_outside(struct weft_scope *scope, int reason);

/* Cancel everything inside, shields or not. On the scope's own worker. */
void weft_scope_cancel_through(struct weft_scope *top, int reason);

/* weft_scope_enter, to end after duration_ns: the clock is looked at once. */
void weft_scope_enter_for(struct weft_scope *scope, int64_t duration_ns);

/* The earliest deadline of a scope and those around it, up to a shield. */
int64_t weft_scope_outer_deadline(struct weft_scope *scope);

/* A flag of weft_scope_attach alone, kept as scope->abroad: the scope lies in a struct weft_remote,
 * and those around it on another worker. */
#define WEFT_SCOPE_REMOTE 0x100u

/* What the cancellation means to whoever waited for the scope's work: -ETIMEDOUT by its deadline,
 * -ECANCELED from outside, 0 when it was not cancelled or by choice. */
int weft_scope_verdict(const struct weft_scope *scope);

/* How all spawns begin (group.c). plan has fn, arg, spawned_at and starter; the rest is filled in.
 */
int weft_group_spawn(struct weft_group *group, const struct weft_spawn_options *options,
                     struct weft_fiber_plan *plan);

/* Told when a child's function has returned, or could not be started, on the group's worker
 * (group.c). When there is a starter, the result is for it to hear and not for the group. */
void weft_group_child_ended(struct weft_group *group, struct weft_task *task, const char *name,
                            struct weft_starter *starter, int result);

/* The child ended without having said that it is ready (start.c). */
void weft_starter_ended(struct weft_starter *starter, int result);

/* Say what is wrong and abort: going on would corrupt somebody's stack. */
_Noreturn void weft_misuse(const char *what);

/* Offload (offload.c): stop the threads; queued calls must have ended. NULL is fine. */
void weft_offload_pool_close(struct weft_offload_pool *pool);

#endif
