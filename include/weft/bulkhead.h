/* SPDX-License-Identifier: MIT
 * bulkhead.h - so many calls at once, so many waiting, and no more: what floods one part of a
 * program does not sink the rest.
 *
 *     struct weft_bulkhead *database;     // 20 calls at once, 50 waiting for at most 2 s
 *     const struct weft_bulkhead_options options = {
 *         .calls_max = 20, .queue_max = 50, .timeout_ns = 2 * WEFT_SEC};
 *     weft_bulkhead_open(&database, &options);
 *     int err = weft_bulkhead_call(database, run_query, &query, WEFT_FOREVER);
 *     weft_bulkhead_close(database);
 *
 * Who waits is served first come, first served. A call on an object that is local to another worker
 * returns -EPERM. Source: Nygard, "Release It!", 2007. */
#ifndef WEFT_BULKHEAD_H
#define WEFT_BULKHEAD_H

#include <weft/parts.h>

WEFT_BEGIN_DECLS

/* Nobody waits: a call that finds all places taken fails at once. */
#define WEFT_BULKHEAD_NO_QUEUE UINT32_MAX

enum weft_bulkhead_event_kind {
    WEFT_BULKHEAD_REFUSED, /* err: WEFT_EFULL, -EAGAIN; -ETIMEDOUT after waiting */
    WEFT_BULKHEAD_RESIZED,
};

struct weft_bulkhead_event {
    enum weft_bulkhead_event_kind kind;
    const char *name; /* of the bulkhead */
    int64_t at_ns;
    int err;
    uint32_t calls_max, active, waiting; /* as they were then */
};

struct weft_bulkhead_options {
    uint32_t calls_max; /* inside at once; 0 means 100 */
    uint32_t queue_max; /* who wait; 0 means 1,000, WEFT_BULKHEAD_NO_QUEUE none */
    int64_t timeout_ns; /* how long anybody waits, whatever its deadline; 0 means 30 s, WEFT_FOREVER
                           until the deadline */
    const char *name;   /* copied; NULL means "bulkhead" */
    enum weft_sharing sharing;
    /* Called on the thread that caused it, not under a lock. Must not suspend, nor close it. */
    void (*on_event)(void *arg, const struct weft_bulkhead_event *event);
    void *on_event_arg;
};

/* Counters since weft_bulkhead_open. */
struct weft_bulkhead_snapshot {
    uint32_t calls_max;    /* as it is now */
    uint32_t active, peak; /* inside now, and at most */
    uint32_t waiting;
    uint64_t granted;   /* let in */
    uint64_t waits;     /* of those, after a wait */
    uint64_t timed_out; /* -ETIMEDOUT */
    uint64_t refused;   /* WEFT_EFULL, -EAGAIN */
};

struct weft_bulkhead; /* fields: src/flow/bulkhead.c */

/* Make a bulkhead; NULL options means all defaults.
 * Returns  0; -EINVAL (options), -EPERM (WEFT_LOCAL outside a runtime), -ENOMEM. Never suspends */
WEFT_API int weft_bulkhead_open(struct weft_bulkhead **ret_bulkhead,
                                const struct weft_bulkhead_options *options);

/* Free it. Nobody may be inside or wait. NULL is fine. */
WEFT_API void weft_bulkhead_close(struct weft_bulkhead *bulkhead);

/* Go in, waiting for a place in turn; every 0 is followed by one weft_bulkhead_release. A
 * checkpoint.
 *
 * deadline_ns  absolute, WEFT_FOREVER, WEFT_NOWAIT; timeout_ns counts as well
 * Returns      0; without effect: WEFT_EFULL (queue_max wait), -ETIMEDOUT, -EAGAIN (WEFT_NOWAIT),
 *              -ECANCELED
 * Threads      as shared; outside any runtime too. Suspends */
WEFT_API int weft_bulkhead_acquire(struct weft_bulkhead *bulkhead, int64_t deadline_ns);

/* Leave: the place goes to who waited longest. By anybody.
 * Returns  0; -EINVAL (nobody is inside). Never suspends, is not cut short by a cancellation */
WEFT_API int weft_bulkhead_release(struct weft_bulkhead *bulkhead);

/* Go in, run fn(arg), leave, whatever fn returns.
 *
 * deadline_ns  for going in; fn is not cut short
 * Returns      fn's result, or as weft_bulkhead_acquire: fn was not run */
WEFT_API int weft_bulkhead_call(struct weft_bulkhead *bulkhead, int (*fn)(void *arg), void *arg,
                                int64_t deadline_ns);

/* Have calls_max, at least 1, from now on. Who is inside stays: after a resize to fewer nobody
 * comes in until enough have left. Returns  0, -EINVAL. Never suspends */
WEFT_API int weft_bulkhead_resize(struct weft_bulkhead *bulkhead, uint32_t calls_max);

/* Returns  0 with *ret_snapshot filled in. Never suspends */
WEFT_API int weft_bulkhead_snapshot(struct weft_bulkhead *bulkhead,
                                    struct weft_bulkhead_snapshot *ret_snapshot);

WEFT_END_DECLS

#endif
