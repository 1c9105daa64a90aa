/* SPDX-License-Identifier: MIT
 * scope.c - the tree of cancellation. See weft/scope.h.
 *
 * Cancelling walks down and marks every scope inside, up to shields, so that asking "am I
 * cancelled?" is one load. Only the worker of a scope touches it: what
 * other threads cancel arrives by mail, and a task that runs elsewhere gets mail in turn. */
#include <base/time.h>
#include <runtime/runtime.h>

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

#define SCOPE_FLAGS (WEFT_SCOPE_SHIELD | WEFT_SCOPE_MOVE_ON) /* what a program may ask for */

enum cause {
    NOT_CANCELLED,
    BY_DEADLINE,
    BY_CALL,
    BY_OUTER, /* a scope around this one */
};

static struct weft_scope *scope_of(struct weft_link *sibling)
{
    return weft_container_of(sibling, struct weft_scope, sibling);
}

static bool lets_in(const struct weft_scope *scope)
{
    return scope->cause == NOT_CANCELLED && !(scope->flags & WEFT_SCOPE_SHIELD);
}

static void mark(struct weft_scope *scope, enum cause cause, int reason)
{
    scope->cause = cause;
    scope->reason = reason;
    WEFT_LIST_FOR_EACH (link, &scope->waiting)
        (void)weft_unpark(weft_container_of(link, struct weft_fiber, in_scope), -ECANCELED);
    WEFT_LIST_FOR_EACH (link, &scope->remotes)
        weft_remote_cancel(weft_container_of(link, struct weft_remote, in_group), reason);
}

/* The next scope of a walk through everything inside top, parents first; NULL at the end. */
static struct weft_scope *walk_on(struct weft_scope *top, struct weft_scope *scope, bool enter)
{
    if (enter && !weft_list_empty(&scope->children))
        return scope_of(scope->children.next);
    while (scope != top) {
        if (scope->sibling.next != &scope->parent->children)
            return scope_of(scope->sibling.next);
        scope = scope->parent;
    }
    return NULL;
}

/* No recursion: the tree may be as deep as there are fibers. */
static void cancel(struct weft_scope *top, enum cause cause, int reason)
{
    if (top->cause != NOT_CANCELLED)
        return;
    mark(top, cause, reason);
    struct weft_scope *scope = walk_on(top, top, true);
    while (scope) {
        bool enter = lets_in(scope);
        if (enter)
            mark(scope, BY_OUTER, reason);
        scope = walk_on(top, scope, enter);
    }
}

/* Another thread's weft_scope_cancel has arrived. */
static void cancel_arrived(struct weft_mail *mail)
{
    struct weft_scope *scope = weft_container_of(mail, struct weft_scope, mail);
    int reason = scope->mailed_reason;
    __atomic_store_n(&scope->mailed, 0, __ATOMIC_RELEASE);
    cancel(scope, BY_CALL, reason);
}

static void deadline_passed(struct weft_timer *timer)
{
    cancel(weft_container_of(timer, struct weft_scope, timer), BY_DEADLINE, -ETIMEDOUT);
}

static void begin_deadline(struct weft_scope *scope, int64_t deadline_ns, int64_t now_ns)
{
    scope->timer.deadline_ns = deadline_ns;
    if (deadline_ns <= now_ns)
        cancel(scope, BY_DEADLINE, -ETIMEDOUT);
    else if (deadline_ns != WEFT_FOREVER)
        weft_timer_arm(weft_current_worker, &scope->timer, deadline_ns, deadline_passed);
}

static void set_deadline(struct weft_scope *scope, int64_t deadline_ns)
{
    struct weft_worker *worker = weft_current_worker;
    bool endless = deadline_ns == WEFT_FOREVER;
    weft_timer_disarm(worker, &scope->timer);
    begin_deadline(scope, deadline_ns, endless ? 0 : weft_worker_now(worker));
}

void weft_scope_attach(struct weft_scope *scope, struct weft_scope *parent, int64_t deadline_ns,
                       unsigned flags)
{
    scope->parent = parent;
    scope->home = weft_current_worker;
    scope->mail.deliver = cancel_arrived;
    scope->mailed = 0;
    scope->flags = flags & SCOPE_FLAGS;
    scope->abroad = (flags & WEFT_SCOPE_REMOTE) != 0;
    scope->cause = NOT_CANCELLED;
    scope->reason = 0;
    scope->timer = (struct weft_timer){.deadline_ns = WEFT_FOREVER};
    weft_list_init(&scope->sibling);
    weft_list_init(&scope->children);
    weft_list_init(&scope->waiting);
    weft_list_init(&scope->remotes);
    if (parent) {
        weft_list_append(&parent->children, &scope->sibling);
        if (parent->cause != NOT_CANCELLED && lets_in(scope))
            mark(scope, BY_OUTER, parent->reason);
    }
    if (deadline_ns != WEFT_FOREVER)
        set_deadline(scope, deadline_ns);
}

void weft_scope_detach(struct weft_scope *scope)
{
    while (__atomic_load_n(&scope->mailed, __ATOMIC_ACQUIRE)) { /* it must find us here */
        weft_worker_take_mail(scope->home);
        (void)sched_yield();
    }
    weft_timer_disarm(scope->home, &scope->timer);
    weft_list_unlink(&scope->sibling);
}

void weft_misuse(const char *what)
{
    (void)fprintf(stderr, "weft: %s\n", what);
    abort();
}

void weft_scope_enter(struct weft_scope *scope, int64_t deadline_ns, unsigned flags)
{
    struct weft_fiber *self = weft_self();
    if (!self)
        weft_misuse("weft_scope_enter called outside a fiber");
    if (flags & ~SCOPE_FLAGS)
        weft_misuse("weft_scope_enter with flags that there are not");
    weft_scope_attach(scope, self->scope, deadline_ns, flags);
    self->scope = scope;
}

void weft_scope_enter_for(struct weft_scope *scope, int64_t duration_ns)
{
    weft_scope_enter(scope, WEFT_FOREVER, 0);
    int64_t now_ns = weft_worker_now(weft_current_worker);
    begin_deadline(scope, weft_time_after(now_ns, duration_ns), now_ns);
}

int weft_scope_leave(struct weft_scope *scope, int result)
{
    struct weft_fiber *self = weft_self();
    if (!self || self->scope != scope)
        weft_misuse("weft_scope_leave of a scope that is not the innermost");
    if (!weft_list_empty(&scope->children))
        weft_misuse("weft_scope_leave of a scope with an open group inside");
    weft_scope_detach(scope);
    self->scope = scope->parent;
    bool outer = scope->cause == BY_OUTER ||
                 (scope->parent->cause != NOT_CANCELLED && !(scope->flags & WEFT_SCOPE_SHIELD));
    if (result != -ECANCELED || outer || scope->cause == NOT_CANCELLED)
        return result;
    if (scope->flags & WEFT_SCOPE_MOVE_ON)
        return 0;
    return scope->cause == BY_DEADLINE ? -ETIMEDOUT : -ECANCELED;
}

void weft_scope_cancel(struct weft_scope *scope, int reason)
{
    if (reason >= 0)
        reason = -ECANCELED;
    if (scope->home == weft_current_worker) {
        cancel(scope, BY_CALL, reason);
    } else if (!__atomic_exchange_n(&scope->mailed, 1, __ATOMIC_ACQ_REL)) {
        scope->mailed_reason = reason;
        weft_worker_send(scope->home, &scope->mail);
    }
}

int weft_cancel_reason(void)
{
    const struct weft_fiber *self = weft_self();
    return self && self->scope->cause ? self->scope->reason : 0;
}

void weft_scope_set_deadline(struct weft_scope *scope, int64_t deadline_ns)
{
    set_deadline(scope, deadline_ns);
}

int64_t weft_scope_outer_deadline(struct weft_scope *scope)
{
    int64_t earliest_ns = WEFT_FOREVER;
    while (scope) {
        int64_t deadline_ns = scope->timer.deadline_ns;
        if (scope->abroad)
            deadline_ns = weft_container_of(scope, struct weft_remote, scope)->outer_deadline_ns;
        if (deadline_ns < earliest_ns)
            earliest_ns = deadline_ns;
        scope = scope->flags & WEFT_SCOPE_SHIELD ? NULL : scope->parent;
    }
    return earliest_ns;
}

int64_t weft_deadline(void)
{
    const struct weft_fiber *self = weft_self();
    return self ? weft_scope_outer_deadline(self->scope) : WEFT_FOREVER;
}

int weft_scope_verdict(const struct weft_scope *scope)
{
    switch ((enum cause)scope->cause) {
    case BY_DEADLINE:
        return -ETIMEDOUT;
    case BY_OUTER:
        return -ECANCELED;
    case BY_CALL:
    case NOT_CANCELLED:
    default:
        return 0;
    }
}

void weft_scope_cancel_from_outside(struct weft_scope *scope, int reason)
{
    cancel(scope, BY_OUTER, reason);
}

void weft_scope_cancel_through(struct weft_scope *top, int reason)
{
    for (struct weft_scope *scope = top; scope; scope = walk_on(top, scope, true)) {
        if (scope->cause == NOT_CANCELLED)
            mark(scope, BY_OUTER, reason);
    }
}

int weft_timeout(int64_t timeout_ns, int (*fn)(void *), void *arg)
{
    struct weft_scope scope;
    if (!weft_self())
        return -EPERM;
    weft_scope_enter_for(&scope, timeout_ns);
    return weft_scope_leave(&scope, fn(arg));
}

int weft_shield(int (*fn)(void *), void *arg)
{
    struct weft_scope scope;
    if (!weft_self())
        return -EPERM;
    weft_scope_enter(&scope, WEFT_FOREVER, WEFT_SCOPE_SHIELD);
    return weft_scope_leave(&scope, fn(arg));
}
