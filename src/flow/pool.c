/* SPDX-License-Identifier: MIT
 * pool.c - lending and taking back; opening, maintenance and closing are in pool_life.c. See
 * weft/pool.h and pool_internal.h.
 *
 * Invariant, while the guard is not held: when somebody waits, nothing is idle and no place is
 * free. Whatever makes that untrue serves the queue before it leaves the guard (weft_pool_leave). A
 * waiter is given a resource or a free place; whoever holds either gives it back or on, in every
 * case.
 *
 * A pool is freed when it is closed and nothing holds it any more: see weft_pool_held. */
#include <flow/pattern.h>
#include <flow/pool_internal.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void weft_pool_free(struct weft_pool *pool)
{
    free(pool->out);
    free(pool);
}

/* ---- under the guard ----------------------------------------------------------------- */

struct entry *weft_pool_take_idle(struct weft_pool *pool, struct weft_link *link)
{
    weft_list_unlink(link);
    pool->core.idle--;
    return weft_pool_entry_of(link);
}

/* In the order in which they became idle. What comes back from a check that was cut short has been
 * idle for a while; everything else goes last. */
static void put_idle(struct weft_pool *pool, struct entry *entry)
{
    struct weft_link *next = &pool->idle;
    while (next->prev != &pool->idle && weft_pool_entry_of(next->prev)->since_ns > entry->since_ns)
        next = next->prev;
    weft_list_append(next, &entry->link);
    pool->core.idle++;
}

enum weft_pool_verdict weft_pool_judge(const struct weft_pool *pool, const struct entry *entry,
                                       int64_t now_ns)
{
    return weft_pool_core_judge(&pool->core, entry->expires_at_ns, entry->since_ns, now_ns);
}

/* An idle resource that can be lent as it is, the one used last; NULL when there is none. The older
 * ones have been idle longer; only their lifetimes may be over in any order. */
static struct entry *take_ready(struct weft_pool *pool, int64_t now_ns)
{
    for (struct weft_link *link = pool->idle.prev; link != &pool->idle; link = link->prev) {
        enum weft_pool_verdict verdict = weft_pool_judge(pool, weft_pool_entry_of(link), now_ns);
        if (verdict == WEFT_POOL_LEND)
            return weft_pool_take_idle(pool, link);
        if (verdict != WEFT_POOL_RETIRE_OLD)
            return NULL;
    }
    return NULL;
}

/* Of a pool without maintainer: what has been idle longest, if it must go. The caller retires it
 * and gives its place back. */
static struct entry *take_overdue(struct weft_pool *pool, int64_t now_ns)
{
    if (pool->maintained || weft_list_empty(&pool->idle))
        return NULL;
    enum weft_pool_verdict verdict =
        weft_pool_judge(pool, weft_pool_entry_of(pool->idle.next), now_ns);
    bool overdue = verdict == WEFT_POOL_RETIRE_OLD || verdict == WEFT_POOL_RETIRE_UNUSED;
    return overdue ? weft_pool_take_idle(pool, pool->idle.next) : NULL;
}

static struct entry **bucket(const struct weft_pool *pool, const void *resource)
{
    uint64_t hash = (uint64_t)(uintptr_t)resource * 0x9E3779B97F4A7C15u; /* Fibonacci hashing */
    return &pool->out[(hash >> 32) & (pool->buckets - 1)];
}

static void lend(struct weft_pool *pool, struct entry *entry, const char *holder, int64_t now_ns)
{
    struct entry **first = bucket(pool, entry->resource);
    entry->next = *first;
    *first = entry;
    entry->since_ns = now_ns;
    size_t len = strnlen(holder, WEFT_NAME_MAX);
    memcpy(entry->holder, holder, len);
    entry->holder[len] = 0;
    pool->counts.acquired++;
    if (++pool->counts.out > pool->counts.out_max)
        pool->counts.out_max = pool->counts.out;
}

static struct entry *take_back(struct weft_pool *pool, const void *resource)
{
    for (struct entry **place = bucket(pool, resource); *place; place = &(*place)->next) {
        struct entry *entry = *place;
        if (entry->resource != resource)
            continue;
        *place = entry->next;
        pool->counts.out--;
        pool->counts.released++;
        return entry;
    }
    return NULL;
}

/* Give what is idle or free to those who wait; collect them for weft_wake_claimed. */
static void serve(struct weft_pool *pool, struct weft_link *claimed)
{
    struct weft_waiter *first;
    enum weft_pool_next next;
    while ((next = weft_pool_core_next(&pool->core)) != WEFT_POOL_WAIT &&
           (first = weft_claim_first(&pool->waiting))) {
        struct entry **target = first->target;
        *target = next == WEFT_POOL_TAKE_IDLE ? weft_pool_take_idle(pool, pool->idle.prev) : NULL;
        pool->core.total += next == WEFT_POOL_MAKE_ONE;
        pool->waiters--;
        weft_list_append(claimed, &first->link);
    }
}

void weft_pool_leave(struct weft_pool *pool)
{
    struct weft_link claimed;
    weft_list_init(&claimed);
    if (!pool->closing)
        serve(pool, &claimed);
    bool over = pool->closing && !weft_pool_held(pool);
    if (over)
        weft_claim_all(&pool->closers, &claimed);
    bool last = over && pool->abandoned;
    weft_guard_leave(&pool->guard);
    weft_wake_claimed(&claimed, 0);
    if (last)
        weft_pool_free(pool);
}

/* ---- the user's functions, never under the guard ------------------------------------- */

void weft_pool_tell(struct weft_pool *pool, struct weft_pool_event event)
{
    if (!pool->options.on_event)
        return;
    event.name = pool->name;
    event.at_ns = weft_now();
    pool->options.on_event(pool->options.on_event_arg, &event);
}

/* Destroy a resource; its place is the caller's. */
void weft_pool_retire(struct weft_pool *pool, struct entry *entry, enum weft_pool_reason reason,
                      int result)
{
    const struct weft_pool_event event = {WEFT_POOL_DESTROYED, .reason = reason, .result = result,
                                          .resource = entry->resource};
    if (pool->options.destroy)
        pool->options.destroy(pool->options.arg, entry->resource);
    free(entry);
    weft_guard_enter(&pool->guard);
    pool->counts.destroyed++;
    pool->counts.unhealthy += reason == WEFT_POOL_BROKEN || reason == WEFT_POOL_UNHEALTHY;
    weft_guard_leave(&pool->guard);
    weft_pool_tell(pool, event);
}

void weft_pool_give_place_back(struct weft_pool *pool)
{
    weft_guard_enter(&pool->guard);
    pool->core.total--;
    weft_pool_leave(pool);
}

/* What nobody takes now: idle, or destroyed when the pool was closed meanwhile. */
void weft_pool_set_aside(struct weft_pool *pool, struct entry *entry)
{
    weft_guard_enter(&pool->guard);
    if (!pool->closing) {
        put_idle(pool, entry);
        weft_pool_leave(pool);
        return;
    }
    weft_guard_leave(&pool->guard);
    weft_pool_retire(pool, entry, WEFT_POOL_CLOSED, 0);
    weft_pool_give_place_back(pool);
}

/* Of what take_overdue has taken. */
void weft_pool_retire_overdue(struct weft_pool *pool, struct entry *entry, int64_t now_ns)
{
    if (!entry)
        return;
    bool old = weft_pool_judge(pool, entry, now_ns) == WEFT_POOL_RETIRE_OLD;
    weft_pool_retire(pool, entry, old ? WEFT_POOL_TOO_OLD : WEFT_POOL_TOO_IDLE, 0);
    weft_pool_give_place_back(pool);
}

/* Make a resource in a place of the caller's. Returns 0 with *ret_entry set, or why not */
int weft_pool_make(struct weft_pool *pool, int64_t deadline_ns, struct entry **ret_entry)
{
    struct weft_scope scope;
    struct entry *entry = calloc(1, sizeof *entry);
    if (!entry)
        return -ENOMEM;
    bool on_fiber = weft_current_worker;
    if (on_fiber)
        weft_scope_enter(&scope, deadline_ns, 0);
    int err = pool->options.create(pool->options.arg, &entry->resource);
    bool cut = err == -ECANCELED;
    if (on_fiber)
        err = weft_scope_leave(&scope, err);
    entry->since_ns = weft_now();
    weft_list_init(&entry->link);
    weft_guard_enter(&pool->guard);
    pool->counts.created += err >= 0;
    pool->counts.create_failed += err < 0 && !cut;
    entry->expires_at_ns =
        weft_pool_core_expires(&pool->core, entry->since_ns, weft_pattern_draw(&pool->random));
    weft_guard_leave(&pool->guard);
    if (err >= 0)
        weft_pool_tell(pool,
                       (struct weft_pool_event){WEFT_POOL_CREATED, .resource = entry->resource});
    else if (!cut)
        weft_pool_tell(pool, (struct weft_pool_event){WEFT_POOL_CREATE_FAILED, .result = err});
    if (err >= 0)
        *ret_entry = entry;
    else
        free(entry);
    return err < 0 ? err : 0;
}

/* Returns 0 or more: healthy; *ret_cut: the check was cut short and says nothing. */
static int check(struct weft_pool *pool, const struct entry *entry, int64_t deadline_ns,
                 bool *ret_cut)
{
    struct weft_scope scope;
    bool on_fiber = weft_current_worker;
    if (on_fiber)
        weft_scope_enter(&scope, deadline_ns, 0);
    int result = pool->options.check(pool->options.arg, entry->resource);
    *ret_cut = result == -ECANCELED;
    return on_fiber ? weft_scope_leave(&scope, result) : result;
}

/* ---- acquire ------------------------------------------------------------------------- */

/* Enter with the guard, which is left: get an idle resource, *ret_entry, or a place to make one in,
 * NULL. Returns 0, WEFT_EFULL, -ESHUTDOWN, -ETIMEDOUT, -ECANCELED */
static int find_place(struct weft_pool *pool, struct weft_fiber *self, int64_t deadline_ns,
                      struct entry **ret_entry)
{
    enum weft_pool_next next = weft_pool_core_next(&pool->core);
    bool full = next == WEFT_POOL_WAIT && pool->waiters >= pool->options.waiters_max;
    if (next != WEFT_POOL_WAIT || full) {
        *ret_entry =
            next == WEFT_POOL_TAKE_IDLE ? weft_pool_take_idle(pool, pool->idle.prev) : NULL;
        pool->core.total += next == WEFT_POOL_MAKE_ONE;
        weft_guard_leave(&pool->guard);
        return full ? WEFT_EFULL : 0;
    }
    struct weft_waiter waiter = {.target = ret_entry};
    pool->waiters++;
    pool->counts.waited++;
    int err = weft_wait_turn(self, &pool->guard, &pool->waiting, &waiter, deadline_ns,
                             "a resource of a pool");
    if (err < 0 && err != -ESHUTDOWN) { /* which a closer gives, who has counted us out */
        weft_guard_enter(&pool->guard);
        pool->waiters--;
        weft_pool_leave(pool);
    }
    return err;
}

/* The caller's place is empty: something idle is better than making a new one. */
static struct entry *exchange_place(struct weft_pool *pool)
{
    struct entry *entry = NULL;
    weft_guard_enter(&pool->guard);
    if (pool->core.idle > 0) {
        entry = weft_pool_take_idle(pool, pool->idle.prev);
        pool->core.total--; /* the new place goes to who waits */
    }
    weft_pool_leave(pool);
    return entry;
}

/* Destroy what must not be lent. Returns 0: lend it; WEFT_WOULD_WAIT: it is gone, its place is
 * there; an error: the caller was interrupted, and it is idle again. */
static int examine(struct weft_pool *pool, struct entry *entry, int64_t deadline_ns)
{
    bool cut = false;
    int result = 0;
    enum weft_pool_reason reason = WEFT_POOL_UNHEALTHY;
    switch (weft_pool_judge(pool, entry, weft_now())) {
    case WEFT_POOL_CHECK:
        result = check(pool, entry, deadline_ns, &cut);
        if (result >= 0)
            return 0;
        break;
    case WEFT_POOL_RETIRE_OLD:
        reason = WEFT_POOL_TOO_OLD;
        break;
    case WEFT_POOL_RETIRE_UNUSED:
        reason = WEFT_POOL_TOO_IDLE;
        break;
    case WEFT_POOL_LEND:
    default:
        return 0;
    }
    if (!cut) {
        weft_pool_retire(pool, entry, reason, result);
        return WEFT_WOULD_WAIT;
    }
    weft_pool_set_aside(pool, entry); /* idle as long as before, and to be checked by the next */
    return result;
}

/* Make an entry, or a place, into a resource that can be lent. On an error both are given back. */
static int prepare(struct weft_pool *pool, struct entry **entry, int64_t deadline_ns)
{
    while (*entry) {
        int err = examine(pool, *entry, deadline_ns);
        if (err != WEFT_WOULD_WAIT)
            return err;
        *entry = exchange_place(pool);
    }
    int err = weft_pool_make(pool, deadline_ns, entry);
    if (err < 0)
        weft_pool_give_place_back(pool);
    return err;
}

/* What is prepared is the caller's, unless the pool was closed meanwhile. */
static int hand_over(struct weft_pool *pool, struct entry *entry, const char *holder,
                     void **ret_resource)
{
    int64_t now_ns = weft_now();
    weft_guard_enter(&pool->guard);
    bool closing = pool->closing;
    if (!closing)
        lend(pool, entry, holder, now_ns);
    weft_guard_leave(&pool->guard);
    if (!closing) {
        *ret_resource = entry->resource;
        return 0;
    }
    weft_pool_retire(pool, entry, WEFT_POOL_CLOSED, 0);
    weft_pool_give_place_back(pool);
    return -ESHUTDOWN;
}

/* Enter with the guard, which is left when there is one that can be lent as it is: then 0.
 * Otherwise -EAGAIN, or -ESHUTDOWN, and the guard is still entered. */
static int acquire_ready(struct weft_pool *pool, const char *holder, bool tidy, void **ret_resource)
{
    int64_t now_ns = weft_now();
    struct entry *entry = pool->closing ? NULL : take_ready(pool, now_ns);
    if (!entry)
        return pool->closing ? -ESHUTDOWN : -EAGAIN;
    lend(pool, entry, holder, now_ns);
    *ret_resource = entry->resource;
    struct entry *overdue = tidy ? take_overdue(pool, now_ns) : NULL;
    weft_guard_leave(&pool->guard);
    weft_pool_retire_overdue(pool, overdue, now_ns);
    return 0;
}

int weft_pool_acquire_as(struct weft_pool *pool, const char *holder, void **ret_resource,
                         int64_t deadline_ns)
{
    struct weft_fiber *self;
    struct entry *entry = NULL;
    int err = weft_enter_anywhere(&self);
    if (err < 0)
        return err;
    if (!holder)
        holder = self->name ? self->name : "";
    weft_spend(self, deadline_ns); /* before, not while holding a resource */
    err = weft_guard_admit(&pool->guard);
    if (err < 0)
        return err;
    err = acquire_ready(pool, holder, deadline_ns != WEFT_NOWAIT, ret_resource);
    if (err == 0)
        return 0;
    if (err == -ESHUTDOWN || deadline_ns == WEFT_NOWAIT) {
        weft_guard_leave(&pool->guard);
        return err;
    }
    err = find_place(pool, self, deadline_ns, &entry);
    if (err == 0)
        err = prepare(pool, &entry, deadline_ns);
    return err < 0 ? err : hand_over(pool, entry, holder, ret_resource);
}

int weft_pool_acquire(struct weft_pool *pool, void **ret_resource, int64_t deadline_ns)
{
    return weft_pool_acquire_as(pool, NULL, ret_resource, deadline_ns);
}

int weft_pool_release(struct weft_pool *pool, void *resource, int healthy)
{
    int err = weft_guard_admit(&pool->guard);
    if (err < 0)
        return err;
    int64_t now_ns = pool->timed ? weft_now() : 0; /* the clock is the dearest part of this call */
    struct entry *entry = take_back(pool, resource), *overdue = NULL;
    if (!entry) {
        weft_guard_leave(&pool->guard);
        return -ENOENT;
    }
    entry->since_ns = now_ns;
    bool old = now_ns >= entry->expires_at_ns;
    if (!healthy || old || pool->closing) {
        enum weft_pool_reason reason = pool->closing ? WEFT_POOL_CLOSED : WEFT_POOL_TOO_OLD;
        weft_guard_leave(&pool->guard);
        weft_pool_retire(pool, entry, healthy ? reason : WEFT_POOL_BROKEN, 0);
        weft_pool_give_place_back(pool);
        return 0;
    }
    put_idle(pool, entry);
    if (weft_list_empty(&pool->waiting))
        overdue = take_overdue(pool, now_ns);
    weft_pool_leave(pool);
    weft_pool_retire_overdue(pool, overdue, now_ns); /* whose place keeps the pool alive */
    return 0;
}

int weft_pool_with(struct weft_pool *pool, int (*fn)(void *arg, void *resource), void *arg,
                   int64_t deadline_ns)
{
    void *resource;
    int result = weft_pool_acquire(pool, &resource, deadline_ns);
    if (result < 0)
        return result;
    result = fn(arg, resource);
    (void)weft_pool_release(pool, resource, result >= 0);
    return result;
}
