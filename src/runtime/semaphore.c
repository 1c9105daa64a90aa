/* SPDX-License-Identifier: MIT
 * semaphore.c - see weft/sync.h.
 *
 * Invariant, while the guard is not held: the first who waits asks for more than is available.
 * Whatever makes that untrue, a release, a resize or the first giving up, serves the queue. */
#include <runtime/case.h>

#include <weft/sync.h>

#include <errno.h>

int weft_semaphore_init(struct weft_semaphore *semaphore, uint32_t permits,
                        enum weft_sharing sharing)
{
    *semaphore = (struct weft_semaphore){.available = permits, .permits = permits};
    weft_list_init(&semaphore->waiting);
    return weft_guard_init(&semaphore->guard, sharing);
}

/* Give to the first in the queue as long as there is enough, leave the guard, wake them. */
static void serve(struct weft_semaphore *semaphore)
{
    struct weft_link claimed;
    struct weft_waiter *first;
    weft_list_init(&claimed);
    while ((first = weft_first_waiting(&semaphore->waiting)) &&
           first->count <= semaphore->available) {
        if (!weft_claim_waiter(first))
            continue;
        semaphore->available -= first->count;
        weft_list_append(&claimed, &first->link);
    }
    weft_guard_leave(&semaphore->guard);
    weft_wake_claimed(&claimed, 0);
}

/* Returns 0, WEFT_WOULD_WAIT */
static int acquire_now(struct weft_semaphore *semaphore, uint32_t count)
{
    if (semaphore->available < count || weft_first_waiting(&semaphore->waiting))
        return WEFT_WOULD_WAIT;
    semaphore->available -= count;
    return 0;
}

int weft_semaphore_acquire(struct weft_semaphore *semaphore, uint32_t count, int64_t deadline_ns)
{
    struct weft_fiber *self;
    int err = weft_enter_anywhere(&self);
    if (err == 0 && count == 0)
        err = -EINVAL;
    if (err < 0)
        return err;
    weft_spend(self, deadline_ns); /* before, not while holding permits */
    err = weft_guard_admit(&semaphore->guard);
    if (err < 0)
        return err;
    if (acquire_now(semaphore, count) == 0) {
        weft_guard_leave(&semaphore->guard);
        return 0;
    }
    struct weft_waiter waiter = {.count = count};
    err = weft_wait_turn(self, &semaphore->guard, &semaphore->waiting, &waiter, deadline_ns,
                         "permits of a semaphore");
    if (err < 0 && err != -EAGAIN) {
        weft_guard_enter(&semaphore->guard);
        serve(semaphore);
    }
    return err;
}

/* Change what is available, serve, leave the guard. Returns 0, -EOVERFLOW */
static int adjust(struct weft_semaphore *semaphore, int64_t change)
{
    int64_t available = semaphore->available + change;
    if (change > 0 && available > UINT32_MAX) {
        weft_guard_leave(&semaphore->guard);
        return -EOVERFLOW;
    }
    semaphore->available = available;
    serve(semaphore);
    return 0;
}

int weft_semaphore_release(struct weft_semaphore *semaphore, uint32_t count)
{
    int err = weft_guard_admit(&semaphore->guard);
    return err < 0 ? err : adjust(semaphore, count);
}

int weft_semaphore_resize(struct weft_semaphore *semaphore, uint32_t permits)
{
    int err = weft_guard_admit(&semaphore->guard);
    if (err < 0)
        return err;
    int64_t change = (int64_t)permits - semaphore->permits;
    if (change <= 0 || semaphore->available + change <= UINT32_MAX)
        semaphore->permits = permits;
    return adjust(semaphore, change);
}

int64_t weft_semaphore_available(struct weft_semaphore *semaphore)
{
    if (weft_guard_admit(&semaphore->guard) < 0)
        return 0;
    int64_t available = semaphore->available;
    weft_guard_leave(&semaphore->guard);
    return available;
}

/* ---- in weft_select -------------------------------------------------------------------- */

static int permit(const struct weft_case *c)
{
    return c->count > 0 ? 0 : -EINVAL;
}

static int attempt(struct weft_case *c, struct weft_waiter **ret_served)
{
    (void)ret_served;
    return acquire_now(c->object, c->count);
}

static bool ready(const struct weft_case *c, const struct weft_fiber *self)
{
    struct weft_semaphore *semaphore = c->object;
    (void)self; /* its own wishes in the queue hold it back like anybody else's */
    return semaphore->available >= c->count && !weft_first_waiting(&semaphore->waiting);
}

static struct weft_link *queue(struct weft_case *c)
{
    struct weft_semaphore *semaphore = c->object;
    return &semaphore->waiting;
}

static void left(const struct weft_case *c, bool served)
{
    struct weft_semaphore *semaphore = c->object;
    if (served)
        return;
    weft_guard_enter(&semaphore->guard);
    serve(semaphore);
}

struct weft_case weft_case_acquire(struct weft_semaphore *semaphore, uint32_t count)
{
    static const struct weft_case_ops ops = {
        .permit = permit, .attempt = attempt, .ready = ready, .queue = queue, .left = left};
    return (struct weft_case){
        .ops = &ops, .object = semaphore, .guard = &semaphore->guard, .count = count};
}
