/* SPDX-License-Identifier: MIT
 * select.c - see weft/select.h.
 *
 * First every case is tried without waiting. If none can go, the fiber puts itself up for claiming
 * and enters one queue after the other, each under that object's guard and only after asking once
 * more whether the case can go now. From the first queue on, another thread may claim the fiber;
 * whoever does has done its case, and the fiber must not do another. So before it does a case
 * itself it claims itself. When that succeeds but the other side is gone meanwhile, to a third
 * party or because it has claimed itself too, nothing has happened, and all is tried again.
 *
 * No two guards are ever held at once. A fiber that has claimed itself is no partner for its own
 * other cases: a channel's sender never meets itself as receiver. */
#include <runtime/case.h>

#include <errno.h>

/* What registering came to, beside the index of a case. */
enum {
    PARKING = -1, /* all are queued, or another thread has claimed us: park */
    RETRY = -2,
};

/* ---- one case -------------------------------------------------------------------------- */

static void enter(const struct weft_case *c)
{
    if (c->guard)
        weft_guard_enter(c->guard);
}

static void leave(const struct weft_case *c)
{
    if (c->guard)
        weft_guard_leave(c->guard);
}

static void settle(struct weft_case *c, int result)
{
    c->result = result == 0 && c->ops->outcome ? c->ops->outcome(c) : result;
}

/* Try it under the guard, which is left. Returns whether it was done. */
static bool attempt(struct weft_case *c)
{
    struct weft_waiter *served = NULL;
    int result = c->ops->attempt(c, &served);
    leave(c);
    if (served)
        weft_wake(served->fiber, 0);
    if (result == WEFT_WOULD_WAIT)
        return false;
    settle(c, result);
    return true;
}

static void queue_up(struct weft_case *c, struct weft_fiber *self)
{
    struct weft_link *queue = c->ops->queue(c);
    c->waiter.fiber = self;
    c->waiter.source = c->source;
    c->waiter.target = c->target;
    c->waiter.count = c->count;
    weft_list_append(queue, &c->waiter.link);
    c->queued = 1;
}

static void withdraw(struct weft_case *c, bool served)
{
    c->queued = 0;
    if (!served) {
        enter(c);
        weft_list_unlink(&c->waiter.link);
        leave(c);
    }
    if (c->ops->left)
        c->ops->left(c, served);
}

/* ---- all of them ----------------------------------------------------------------------- */

struct select {
    struct weft_fiber *self;
    struct weft_case *cases;
    size_t count, first; /* where the search begins */
};

static struct weft_case *case_at(const struct select *select, size_t step)
{
    size_t at = select->first + step;
    return &select->cases[at < select->count ? at : at - select->count];
}

/* Returns 0, or why the select is not possible. *ret_shared: some object has other users. */
static int check_cases(const struct select *select, bool *ret_shared)
{
    for (size_t i = 0; i < select->count; i++) {
        struct weft_case *c = &select->cases[i];
        if (!c->ops)
            continue;
        int err = c->guard ? weft_guard_permit(c->guard) : 0;
        if (err == 0 && c->ops->permit)
            err = c->ops->permit(c);
        if (err < 0)
            return err;
        *ret_shared = *ret_shared || (c->guard && !c->guard->home);
        c->queued = 0;
    }
    return 0;
}

/* Returns the index of the case that was done, or RETRY. */
static int try_each(const struct select *select)
{
    for (size_t i = 0; i < select->count; i++) {
        struct weft_case *c = case_at(select, i);
        if (!c->ops)
            continue;
        enter(c);
        if (attempt(c))
            return (int)(c - select->cases);
    }
    return RETRY;
}

/* Returns the index of the case that was done after all, PARKING, RETRY. */
static int queue_each(const struct select *select)
{
    for (size_t i = 0; i < select->count; i++) {
        struct weft_case *c = case_at(select, i);
        if (!c->ops || !c->ops->queue)
            continue;
        enter(c);
        if (!c->ops->ready(c, select->self)) {
            queue_up(c, select->self);
            leave(c);
            continue;
        }
        if (weft_claim(select->self))
            return attempt(c) ? (int)(c - select->cases) : RETRY;
        leave(c);
        break;
    }
    return PARKING;
}

static void withdraw_all(const struct select *select, const struct weft_waiter *winner)
{
    for (size_t i = 0; i < select->count; i++) {
        if (select->cases[i].queued)
            withdraw(&select->cases[i], winner == &select->cases[i].waiter);
    }
}

/* The case that a waker has done, with what it was woken with. */
static int served_case(const struct select *select, struct weft_waiter *winner, int result)
{
    struct weft_case *c = weft_container_of(winner, struct weft_case, waiter);
    settle(c, result);
    return (int)(c - select->cases);
}

/* Queue, and park unless there is no need. Returns an index, RETRY, or ret_err set and PARKING. */
static int wait_for_one(const struct select *select, bool shared, int64_t deadline_ns, int *ret_err)
{
    struct weft_fiber *self = select->self;
    self->winner = NULL;
    self->waits_for = "one of several";
    if (shared)
        weft_park_prepare(self);
    else
        weft_park_prepare_local(self);
    int index = queue_each(select);
    if (index != PARKING) {
        withdraw_all(select, NULL);
        return index;
    }
    int result = weft_park(self, deadline_ns, WEFT_PARK_CANCELLABLE);
    struct weft_waiter *winner = self->winner;
    withdraw_all(select, winner);
    if (winner)
        return served_case(select, winner, result);
    *ret_err = result;
    return PARKING;
}

/* ---- timers ---------------------------------------------------------------------------- */

static int attempt_timer(struct weft_case *c, struct weft_waiter **ret_served)
{
    (void)ret_served;
    return c->deadline_ns <= weft_now() ? 0 : WEFT_WOULD_WAIT;
}

static const struct weft_case_ops timer_ops = {.attempt = attempt_timer};

struct weft_case weft_case_timer(int64_t deadline_ns)
{
    return (struct weft_case){.ops = &timer_ops, .deadline_ns = deadline_ns};
}

/* The timer that is over first, NULL when there is none. */
static struct weft_case *first_timer(const struct select *select)
{
    struct weft_case *first = NULL;
    for (size_t i = 0; i < select->count; i++) {
        struct weft_case *c = &select->cases[i];
        if (c->ops == &timer_ops && (!first || c->deadline_ns < first->deadline_ns))
            first = c;
    }
    return first;
}

/* ---- the call -------------------------------------------------------------------------- */

static size_t where_to_begin(const struct weft_fiber *self, size_t count, unsigned flags)
{
    static _Thread_local size_t turn; /* of a thread outside any runtime */
    if (count == 1 || flags & WEFT_SELECT_IN_ORDER)
        return 0;
    if (!self->worker)
        return turn++ % count;
    /* Without the division of weft_random_below; the bias is under 2^-25. */
    return (size_t)((weft_random_next(&self->worker->random) >> 32) * count >> 32);
}

static int run(const struct select *select, bool shared, int64_t deadline_ns)
{
    struct weft_case *timer = first_timer(select);
    int64_t until_ns = deadline_ns;
    if (timer && timer->deadline_ns < until_ns)
        until_ns = timer->deadline_ns;
    for (;;) {
        int err = 0;
        int index = try_each(select);
        if (index >= 0)
            weft_spend(select->self, deadline_ns);
        if (index == RETRY && deadline_ns == WEFT_NOWAIT)
            return -EAGAIN;
        if (index == RETRY)
            index = wait_for_one(select, shared, until_ns, &err);
        if (index >= 0)
            return index;
        if (err == -ETIMEDOUT && timer && timer->deadline_ns <= deadline_ns) {
            timer->result = 0;
            return (int)(timer - select->cases);
        }
        if (err < 0)
            return err;
    }
}

int weft_select(struct weft_case *cases, size_t count, int64_t deadline_ns, unsigned flags)
{
    struct select select = {.cases = cases, .count = count};
    bool shared = false;
    int err = weft_enter_anywhere(&select.self);
    if (err == 0 && (count == 0 || count > WEFT_SELECT_MAX || flags & ~WEFT_SELECT_IN_ORDER))
        err = -EINVAL;
    if (err == 0)
        err = check_cases(&select, &shared);
    if (err < 0)
        return err;
    select.first = where_to_begin(select.self, count, flags);
    return run(&select, shared, deadline_ns);
}
