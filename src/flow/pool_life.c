/* SPDX-License-Identifier: MIT
 * pool_life.c - a pool is opened, kept warm and tidy, and closed. See weft/pool.h and
 * pool_internal.h. */
#include <flow/pattern.h>
#include <flow/pool_internal.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MAX_DEFAULT     10u
#define MAX_LIMIT       65536u
#define WAITERS_DEFAULT 1024u
#define JITTER_DEFAULT  0.1

static bool valid(const struct weft_pool_options *options)
{
    return options && options->create && options->max <= MAX_LIMIT &&
           options->min <= (options->max ? options->max : MAX_DEFAULT) &&
           options->check_after_ns >= 0 && options->idle_max_ns >= 0 &&
           options->lifetime_max_ns >= 0 && options->maintain_each_ns >= 0 &&
           options->lifetime_jitter >= 0 && options->lifetime_jitter <= 1;
}

static int init(struct weft_pool *pool, const struct weft_pool_options *options)
{
    pool->options = *options;
    if (!options->waiters_max)
        pool->options.waiters_max = WAITERS_DEFAULT;
    pool->core = (struct weft_pool_core){
        .min = options->min,
        .max = options->max ? options->max : MAX_DEFAULT,
        .checks = options->check,
        .check_after_ns = options->check_after_ns,
        .idle_max_ns = options->idle_max_ns,
        .lifetime_max_ns = options->lifetime_max_ns,
        .lifetime_jitter = options->lifetime_jitter > 0 ? options->lifetime_jitter : JITTER_DEFAULT,
    };
    pool->timed = options->idle_max_ns > 0 || options->lifetime_max_ns > 0 ||
                  (options->check && options->check_after_ns > 0);
    weft_list_init(&pool->idle);
    weft_list_init(&pool->waiting);
    weft_list_init(&pool->closers);
    weft_pattern_seed(&pool->random, options->seed);
    int err = weft_pattern_name(pool->name, options->name, "pool");
    if (err < 0)
        return err;
    pool->buckets = 1;
    while (pool->buckets < pool->core.max)
        pool->buckets *= 2;
    pool->out = calloc(pool->buckets, sizeof(struct entry *));
    return pool->out ? weft_guard_init(&pool->guard, options->sharing) : -ENOMEM;
}

/* ---- maintenance --------------------------------------------------------------------- */

/* Returns whether there was a place to take for one more of min. */
static bool take_warm_place(struct weft_pool *pool)
{
    weft_guard_enter(&pool->guard);
    bool missing = !pool->closing && pool->core.total < pool->core.min;
    pool->core.total += missing;
    weft_guard_leave(&pool->guard);
    return missing;
}

static int warm(struct weft_pool *pool)
{
    int err = 0;
    while (err == 0 && take_warm_place(pool)) {
        struct entry *entry;
        err = weft_pool_make(pool, WEFT_FOREVER, &entry);
        if (err < 0)
            weft_pool_give_place_back(pool);
        else
            weft_pool_set_aside(pool, entry);
    }
    return err;
}

int weft_pool_warm(struct weft_pool *pool)
{
    struct weft_fiber *self;
    int err = weft_enter_anywhere(&self);
    if (err == 0)
        err = weft_guard_admit(&pool->guard);
    if (err < 0)
        return err;
    pool->warmers++; /* between two resources nothing else of ours keeps the pool */
    weft_guard_leave(&pool->guard);
    err = warm(pool);
    weft_guard_enter(&pool->guard);
    pool->warmers--;
    weft_pool_leave(pool);
    return err;
}

/* Destroy everything idle that must go. */
static void sweep(struct weft_pool *pool, int64_t now_ns)
{
    struct weft_link overdue, *next;
    weft_list_init(&overdue);
    weft_guard_enter(&pool->guard);
    for (struct weft_link *link = pool->idle.next; link != &pool->idle; link = next) {
        enum weft_pool_verdict verdict = weft_pool_judge(pool, weft_pool_entry_of(link), now_ns);
        next = link->next;
        if (verdict != WEFT_POOL_RETIRE_OLD && verdict != WEFT_POOL_RETIRE_UNUSED)
            continue;
        (void)weft_pool_take_idle(pool, link);
        weft_list_append(&overdue, link);
    }
    weft_guard_leave(&pool->guard);
    while (!weft_list_empty(&overdue)) {
        struct weft_link *first = overdue.next;
        weft_list_unlink(first);
        weft_pool_retire_overdue(pool, weft_pool_entry_of(first), now_ns);
    }
}

static int maintain(void *arg)
{
    struct weft_pool *pool = arg;
    do {
        sweep(pool, weft_now());
        (void)warm(pool); /* a failure is told by event; the next round tries again */
    } while (weft_sleep(pool->options.maintain_each_ns) == 0);
    return 0;
}

static int start_maintainer(struct weft_pool *pool)
{
    const struct weft_group_options group = {.name = pool->name};
    const struct weft_spawn_options child = {.name = "pool maintainer"};
    int err = weft_group_init(&pool->maintainer, &group);
    if (err < 0)
        return err;
    pool->maintained = true;
    err = weft_spawn_with(&pool->maintainer, maintain, pool, &child);
    if (err < 0)
        weft_group_close(&pool->maintainer);
    return err;
}

int weft_pool_open(struct weft_pool **ret_pool, const struct weft_pool_options *options)
{
    if (!valid(options))
        return -EINVAL;
    struct weft_pool *pool = calloc(1, sizeof *pool);
    if (!pool)
        return -ENOMEM;
    int err = init(pool, options);
    if (err == 0 && options->maintain_each_ns > 0)
        err = start_maintainer(pool);
    if (err < 0) {
        weft_pool_free(pool);
        return err;
    }
    *ret_pool = pool;
    return 0;
}

int weft_pool_snapshot(struct weft_pool *pool, struct weft_pool_snapshot *ret_snapshot)
{
    int err = weft_guard_admit(&pool->guard);
    if (err < 0)
        return err;
    *ret_snapshot = pool->counts;
    ret_snapshot->idle = pool->core.idle;
    ret_snapshot->busy = pool->core.total - pool->core.idle - pool->counts.out;
    ret_snapshot->waiting = pool->waiters;
    weft_guard_leave(&pool->guard);
    return 0;
}

/* ---- close --------------------------------------------------------------------------- */

static void drain(struct weft_pool *pool)
{
    weft_guard_enter(&pool->guard);
    while (pool->core.idle > 0) {
        struct entry *entry = weft_pool_take_idle(pool, pool->idle.next);
        weft_guard_leave(&pool->guard);
        weft_pool_retire(pool, entry, WEFT_POOL_CLOSED, 0);
        weft_guard_enter(&pool->guard);
        pool->core.total--;
    }
    weft_guard_leave(&pool->guard);
}

/* Returns with the guard entered. */
static void await_return(struct weft_pool *pool, int64_t deadline_ns)
{
    struct weft_fiber *self;
    struct weft_waiter waiter;
    int err = deadline_ns == WEFT_NOWAIT ? -EAGAIN : weft_enter_anywhere(&self);
    weft_guard_enter(&pool->guard);
    while (err == 0 && weft_pool_held(pool)) {
        err = weft_wait_turn(self, &pool->guard, &pool->closers, &waiter, deadline_ns,
                             "resources to come back to a pool");
        weft_guard_enter(&pool->guard);
    }
}

/* Enter and leave with the guard. */
static void report_leak(struct weft_pool *pool, const struct entry *entry)
{
    char holder[WEFT_NAME_MAX + 1];
    memcpy(holder, entry->holder, sizeof holder);
    struct weft_pool_event event = {WEFT_POOL_LEAKED, .resource = entry->resource,
                                    .result = WEFT_ELEAK, .holder = holder,
                                    .count = pool->core.total};
    int64_t since_ns = entry->since_ns;
    weft_guard_leave(&pool->guard);
    event.held_ns = weft_now() - since_ns;
    weft_pool_tell(pool, event);
    weft_guard_enter(&pool->guard);
}

static const struct entry *nth(const struct entry *entry, uint32_t n)
{
    while (entry && n-- > 0)
        entry = entry->next;
    return entry;
}

/* The guard is left for each event, so who comes back meanwhile may not be told. */
static void report_leaks(struct weft_pool *pool)
{
    if (!pool->options.on_event)
        return;
    for (uint32_t i = 0; i < pool->buckets; i++) {
        const struct entry *entry;
        for (uint32_t n = 0; (entry = nth(pool->out[i], n)); n++)
            report_leak(pool, entry);
    }
}

int weft_pool_close(struct weft_pool *pool, int64_t deadline_ns)
{
    struct weft_link claimed;
    int err = pool ? weft_guard_admit(&pool->guard) : 0;
    if (!pool || err < 0)
        return err;
    pool->closing = true;
    weft_list_init(&claimed);
    weft_claim_all(&pool->waiting, &claimed);
    WEFT_LIST_FOR_EACH (link, &claimed)
        pool->waiters--;
    weft_guard_leave(&pool->guard);
    weft_wake_claimed(&claimed, -ESHUTDOWN);
    if (pool->maintained)
        weft_group_close(&pool->maintainer);
    drain(pool);
    await_return(pool, deadline_ns);
    report_leaks(pool);
    pool->abandoned = true;
    bool leaks = pool->core.total > 0;
    weft_pool_leave(pool); /* frees it, now or when the last has come back */
    return leaks ? WEFT_ELEAK : 0;
}
