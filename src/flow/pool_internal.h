/* SPDX-License-Identifier: MIT
 * pool_internal.h - a pool and its resources; between pool.c and pool_life.c. */
#ifndef WEFT_FLOW_POOL_INTERNAL_H
#define WEFT_FLOW_POOL_INTERNAL_H

#include <base/random.h>
#include <flow/pool_core.h>
#include <runtime/worker.h>

#include <weft/pool.h>

/* A resource. */
struct entry {
    struct weft_link link; /* in pool->idle, longest idle first */
    struct entry *next;    /* in a bucket of pool->out */
    void *resource;
    int64_t expires_at_ns;
    int64_t since_ns; /* idle or out */
    char holder[WEFT_NAME_MAX + 1];
};

struct weft_pool {
    struct weft_guard guard;
    struct weft_pool_core core;
    struct weft_link idle;
    struct weft_link waiting; /* for a resource or a place; target: struct entry * */
    struct weft_link closers;
    struct entry **out; /* hash table of what is lent, by address */
    uint32_t buckets;   /* a power of 2 */
    uint32_t waiters;   /* in waiting, or on their way out of it unserved */
    uint32_t warmers;   /* in weft_pool_warm */
    bool closing, abandoned;
    bool timed; /* it matters how long a resource is idle, or how old it is */
    bool maintained;
    struct weft_group maintainer;
    struct weft_random random;
    struct weft_pool_options options;
    struct weft_pool_snapshot counts;
    char name[WEFT_NAME_MAX + 1];
};

static inline struct entry *weft_pool_entry_of(struct weft_link *link)
{
    return weft_container_of(link, struct entry, link);
}

/* Nothing of it may be in use. */
void weft_pool_free(struct weft_pool *pool);

/* Under the guard: whether a place, a waiter or a warmer keeps a closed pool alive. */
static inline bool weft_pool_held(const struct weft_pool *pool)
{
    return pool->core.total > 0 || pool->waiters > 0 || pool->warmers > 0;
}

/* Under the guard: what is idle. */
struct entry *weft_pool_take_idle(struct weft_pool *pool, struct weft_link *link);
enum weft_pool_verdict weft_pool_judge(const struct weft_pool *pool, const struct entry *entry,
                                       int64_t now_ns);

/* Serve those who wait, leave the guard, wake them. Who leaves an abandoned pool as its last frees
 * it: nobody may touch it after this without holding it. */
void weft_pool_leave(struct weft_pool *pool);

/* Not under the guard, each with a place of the caller's: destroy a resource, which leaves the
 * place; give the place back; make a resource in it; put a resource that nobody takes now where it
 * belongs, with its place; destroy one that is too old or too idle, with its place, NULL is fine.
 */
void weft_pool_retire(struct weft_pool *pool, struct entry *entry, enum weft_pool_reason reason,
                      int result);
void weft_pool_give_place_back(struct weft_pool *pool);
int weft_pool_make(struct weft_pool *pool, int64_t deadline_ns, struct entry **ret_entry);
void weft_pool_set_aside(struct weft_pool *pool, struct entry *entry);
void weft_pool_retire_overdue(struct weft_pool *pool, struct entry *entry, int64_t now_ns);

/* Not under the guard. */
void weft_pool_tell(struct weft_pool *pool, struct weft_pool_event event);

#endif
