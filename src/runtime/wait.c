/* SPDX-License-Identifier: MIT
 * wait.c - see wait.h. */
#include <os/clock.h>
#include <runtime/fork.h>
#include <runtime/worker.h>

_Thread_local struct weft_worker *weft_current_worker;

/* ---- threads outside any runtime ------------------------------------------------------- */

/* Never cancelled. Nobody writes to it: a scope is only touched by its own worker. */
static struct weft_scope outside;

struct weft_fiber *weft_outsider(void)
{
    static _Thread_local struct weft_fiber self;
    self.scope = &outside;
    return &self;
}

int weft_enter_outside(struct weft_fiber **ret_self)
{
    if (weft_fork_orphan)
        return -EPERM;
    *ret_self = weft_outsider();
    return 0;
}

static int park_outsider(struct weft_fiber *self, int64_t deadline_ns)
{
    while (!__atomic_load_n(&self->awake, __ATOMIC_ACQUIRE)) {
        if (weft_futex_wait(&self->awake, 0, deadline_ns))
            continue;
        if (weft_claim(self))
            return -ETIMEDOUT;
        deadline_ns = WEFT_FOREVER; /* somebody is about to wake us */
    }
    __atomic_store_n(&self->awake, 0, __ATOMIC_RELAXED);
    return self->wake_result;
}

static void wake_outsider(struct weft_fiber *self)
{
    __atomic_store_n(&self->awake, 1, __ATOMIC_RELEASE);
    weft_futex_wake_one(&self->awake); /* gone by now perhaps: then nobody sleeps there */
}

void weft_give_way(struct weft_fiber *self)
{
    struct weft_worker *worker = self->worker;
    worker->budget = WEFT_BUDGET;
    weft_run_push(worker, self);
    weft_switch_away(worker, self, false);
}

/* ---- parking --------------------------------------------------------------------------- */

static void fiber_timer_fired(struct weft_timer *timer)
{
    struct weft_fiber *fiber = weft_container_of(timer, struct weft_fiber, timer);
    (void)weft_unpark(fiber, -ETIMEDOUT);
}

int weft_park(struct weft_fiber *self, int64_t deadline_ns, enum weft_park_kind kind)
{
    struct weft_worker *worker = self->worker;
    if (!worker)
        return park_outsider(self, deadline_ns);
    if (++worker->waits == worker->cancel_at)
        weft_scope_cancel(&worker->root, 0);
    /* Cancellation is a level: the scope may have been cancelled since weft_enter looked. */
    if (kind == WEFT_PARK_CANCELLABLE && weft_fiber_cancelled(self) && weft_claim(self))
        return -ECANCELED;
    bool timed = deadline_ns != WEFT_FOREVER;
    if (timed)
        weft_timer_arm(worker, &self->timer, deadline_ns, fiber_timer_fired);
    if (kind == WEFT_PARK_CANCELLABLE)
        weft_list_append(&self->scope->waiting, &self->in_scope);

    weft_switch_away(worker, self, false);

    self->waits_for = NULL;
    if (timed)
        weft_timer_disarm(worker, &self->timer);
    if (kind == WEFT_PARK_CANCELLABLE)
        weft_list_unlink(&self->in_scope);
    worker->budget = WEFT_BUDGET;
    return self->wake_result;
}

void weft_wake(struct weft_fiber *fiber, int result)
{
    fiber->wake_result = result;
    if (!fiber->worker)
        wake_outsider(fiber);
    else if (fiber->worker == weft_current_worker)
        weft_run_push(fiber->worker, fiber);
    else
        weft_worker_send(fiber->worker, &fiber->mail);
}

int weft_park_in(struct weft_fiber *self, struct weft_link *list, struct weft_waiter *waiter,
                 int64_t deadline_ns, enum weft_park_kind kind)
{
    waiter->fiber = self;
    weft_park_prepare_local(self);
    weft_list_append(list, &waiter->link);
    int result = weft_park(self, deadline_ns, kind);
    weft_list_unlink(&waiter->link);
    return result;
}

int weft_park_served(struct weft_fiber *self, struct weft_guard *guard, struct weft_link *list,
                     struct weft_waiter *waiter, int64_t deadline_ns, enum weft_park_kind kind)
{
    if (guard->home)
        return weft_park_in(self, list, waiter, deadline_ns, kind);
    waiter->fiber = self;
    self->winner = NULL;
    weft_park_prepare(self);
    weft_list_append(list, &waiter->link);
    weft_guard_leave(guard);
    int result = weft_park(self, deadline_ns, kind);
    if (self->winner == waiter)
        return result;
    weft_guard_enter(guard);
    weft_list_unlink(&waiter->link);
    weft_guard_leave(guard);
    return result;
}

int weft_wait_turn(struct weft_fiber *self, struct weft_guard *guard, struct weft_link *list,
                   struct weft_waiter *waiter, int64_t deadline_ns, const char *what)
{
    if (deadline_ns == WEFT_NOWAIT) {
        weft_guard_leave(guard);
        return -EAGAIN;
    }
    self->waits_for = what;
    return weft_park_served(self, guard, list, waiter, deadline_ns, WEFT_PARK_CANCELLABLE);
}

bool weft_wake_first(struct weft_link *list, int result)
{
    struct weft_waiter *waiter = weft_claim_first(list);
    if (waiter)
        weft_wake(waiter->fiber, result);
    return waiter;
}

void weft_wake_all(struct weft_link *list, int result)
{
    while (weft_wake_first(list, result))
        ;
}

void weft_wake_claimed(struct weft_link *claimed, int result)
{
    while (!weft_list_empty(claimed)) {
        struct weft_waiter *waiter = weft_waiter_of(claimed->next);
        weft_list_unlink(&waiter->link); /* before: the waiter is its fiber's again after */
        weft_wake(waiter->fiber, result);
    }
}

/* ---- guards ---------------------------------------------------------------------------- */

int weft_guard_init(struct weft_guard *guard, enum weft_sharing sharing)
{
    struct weft_worker *worker = weft_current_worker;
    if (sharing != WEFT_AUTO && sharing != WEFT_LOCAL && sharing != WEFT_SHARED)
        return -EINVAL;
    if (sharing == WEFT_LOCAL && !worker)
        return -EPERM;
    bool local = sharing == WEFT_LOCAL || (sharing == WEFT_AUTO && worker && !worker->crowded);
    *guard = (struct weft_guard){.home = local ? worker : NULL, .shared = !local};
    return 0;
}
