/* SPDX-License-Identifier: MIT
 * pool.h - resources that are dear to make, kept and lent: connections, sessions, buffers.
 *
 *     static int connect_db(void *arg, void **ret_resource) { ... }
 *     static void disconnect(void *arg, void *resource) { ... }
 *
 *     struct weft_pool *pool;
 *     weft_pool_open(&pool, &(struct weft_pool_options){
 *         .create = connect_db, .destroy = disconnect, .max = 20, .idle_max_ns = 60 * WEFT_SEC});
 *     void *db;
 *     int err = weft_pool_acquire(pool, &db, weft_now() + WEFT_SEC);
 *     if (err == 0) {
 *         err = query(db);
 *         weft_pool_release(pool, db, err == 0);  // not 0: it may be lent again
 *     }
 *     weft_pool_close(pool, weft_now() + 10 * WEFT_SEC);
 *
 * Every resource has a place, from before it is made until after it is destroyed, and there are max
 * places: never do more exist. Who finds no idle resource makes one in a free place; when all are
 * taken, it waits its turn, and is given a resource or a place. A resource that must not be lent
 * any more leaves its place to the next one. The one used last is lent first, so that those nobody
 * needs grow old. Source of the rules: HikariCP, pgbouncer, database/sql of Go. */
#ifndef WEFT_POOL_H
#define WEFT_POOL_H

#include <weft/parts.h>

WEFT_BEGIN_DECLS

struct weft_pool;

enum weft_pool_event_kind {
    WEFT_POOL_CREATED,
    WEFT_POOL_CREATE_FAILED, /* result: why; not for a cancellation */
    WEFT_POOL_DESTROYED,     /* reason: why */
    WEFT_POOL_LEAKED,        /* at close: out, held_ns long, taken by holder; count in all */
};

/* Why a resource was destroyed. */
enum weft_pool_reason {
    WEFT_POOL_BROKEN,    /* released as not healthy */
    WEFT_POOL_UNHEALTHY, /* result: what check said */
    WEFT_POOL_TOO_OLD,   /* lifetime_max_ns */
    WEFT_POOL_TOO_IDLE,  /* idle_max_ns */
    WEFT_POOL_CLOSED,
};

/* The pointers are good during the call. */
struct weft_pool_event {
    enum weft_pool_event_kind kind;
    enum weft_pool_reason reason;
    const char *name; /* the pool's */
    int64_t at_ns;
    void *resource; /* may be gone already; NULL when it could not be made */
    int result;
    const char *holder;
    int64_t held_ns;
    uint32_t count;
};

struct weft_pool_options {
    /* Make a resource; 0 or more is success. Runs on the caller's fiber or thread, outside all
     * locks; may suspend; cut short by the acquire's deadline and cancellation. Required. */
    int (*create)(void *arg, void **ret_resource);
    void (*destroy)(void *arg, void *resource); /* NULL: nothing to do. May suspend */
    /* Whether it still works, 0 or more; asked before it is lent. May suspend: give it a time limit
     * (weft_timeout). NULL: always. -ECANCELED means nothing: the resource is kept. */
    int (*check)(void *arg, void *resource);
    void *arg;                /* of all three */
    uint32_t max;             /* 0 means 10, at most 65,536 */
    uint32_t min;             /* what weft_pool_warm and the maintainer keep; at most max */
    uint32_t waiters_max;     /* 0 means 1,024; then WEFT_EFULL */
    int64_t check_after_ns;   /* check only what was idle for so long; 0: always */
    int64_t idle_max_ns;      /* not lent and not kept when idle for so long; 0: no limit */
    int64_t lifetime_max_ns;  /* the same since it was made; 0: no limit */
    double lifetime_jitter;   /* each one's lifetime is shorter by up to this share; 0 means 0.1 */
    int64_t maintain_each_ns; /* not 0: a fiber that so often destroys what is too old or too idle
                                 and keeps min alive. 0: acquire and release destroy, one by one */
    uint64_t seed;            /* of the jitter; 0: drawn */
    const char *name;         /* NULL means "pool" */
    enum weft_sharing sharing;
    /* On the thread that caused it; may suspend; must not close the pool. */
    void (*on_event)(void *arg, const struct weft_pool_event *event);
    void *on_event_arg;
};

struct weft_pool_snapshot {
    uint32_t idle, out, waiting;
    uint32_t busy;    /* being made, checked, destroyed or handed over */
    uint32_t out_max; /* the most that were ever out */
    uint64_t acquired, released, waited;
    uint64_t created, create_failed, destroyed;
    uint64_t unhealthy; /* destroyed because a check failed or release said so */
};

/* Make a pool. It is empty: see weft_pool_warm.
 *
 * Returns   0, -EINVAL (options), -ENOMEM, -EPERM (WEFT_LOCAL, or maintain_each_ns, outside a
 *           runtime)
 * Threads   any. With maintain_each_ns a group of the calling fiber is open until weft_pool_close,
 *           which that fiber must call. Never suspends */
WEFT_API int weft_pool_open(struct weft_pool **ret_pool, const struct weft_pool_options *options);

/* Borrow a resource, first come, first served. WEFT_NOWAIT takes one that is idle and needs no
 * check, else -EAGAIN.
 *
 * holder   who takes it, for the report of leaks; copied, cut at WEFT_NAME_MAX. NULL, and
 *          weft_pool_acquire: the fiber's name
 * Returns  0 with *ret_resource set; what create returned when it failed, with -ETIMEDOUT for one
 *          the deadline cut short; -ETIMEDOUT, -EAGAIN, -ECANCELED; WEFT_EFULL (waiters_max);
 *          -ESHUTDOWN (closed); -ENOMEM; -EPERM (local to another worker). On every error nothing
 *          was taken, and what was on its way is another's
 * Threads  as sharing says; outside a runtime it blocks. Suspends; a checkpoint */
WEFT_API int weft_pool_acquire(struct weft_pool *pool, void **ret_resource, int64_t deadline_ns);
WEFT_API int weft_pool_acquire_as(struct weft_pool *pool, const char *holder, void **ret_resource,
                                  int64_t deadline_ns);

/* Give it back, from whichever fiber or thread has it now.
 *
 * healthy  0: destroy it; its place goes to who waits
 * Returns  0; -ENOENT (it is not out: nothing was done); -EPERM (local to another worker)
 * Suspends only where destroy does; no checkpoint */
WEFT_API int weft_pool_release(struct weft_pool *pool, void *resource, int healthy);

/* Borrow one for the length of fn(arg, resource). After a negative result it is destroyed, because
 * nobody knows what state it is in: a failure that leaves it sound is told through arg.
 * Returns  what fn returned, or an error of weft_pool_acquire */
WEFT_API int weft_pool_with(struct weft_pool *pool, int (*fn)(void *arg, void *resource), void *arg,
                            int64_t deadline_ns);

/* Make resources until there are min. Returns 0 (or closed meanwhile), what create failed with,
 * -ECANCELED, -ENOMEM, -EPERM. Suspends where create does; a checkpoint */
WEFT_API int weft_pool_warm(struct weft_pool *pool);

/* Returns 0, -EPERM (local to another worker). Never suspends. */
WEFT_API int weft_pool_snapshot(struct weft_pool *pool, struct weft_pool_snapshot *ret_snapshot);

/* Lend no more, tell who waits -ESHUTDOWN, destroy what is idle, and wait until the rest has come
 * back. When some has not, each is reported by an event, and the pool lives on for them alone:
 * weft_pool_release destroys it, and after the last the pool is freed. A cancelled caller does not
 * wait for the deadline. NULL is fine.
 *
 * Returns  0; WEFT_ELEAK (some is still out, or being made, checked or destroyed); -EPERM (local to
 *          another worker: nothing was done). Nobody may begin a call after this
 * Suspends, no checkpoint */
WEFT_API int weft_pool_close(struct weft_pool *pool, int64_t deadline_ns);

WEFT_END_DECLS

#endif
