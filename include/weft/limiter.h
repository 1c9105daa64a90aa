/* SPDX-License-Identifier: MIT
 * limiter.h - so many permits per time, whoever asks; who comes too early waits its turn.
 *
 *     struct weft_limiter *limiter;       // 100 requests a second, 20 of them at once
 *     weft_limiter_open(&limiter, &(struct weft_limiter_options){.rate = {100, WEFT_SEC, 20}});
 *     err = weft_limiter_acquire(limiter, 1, weft_now() + 2 * WEFT_SEC);
 *     if (err == 0)
 *         err = send_request(server);     // else WEFT_ELIMIT: it would have taken too long
 *     weft_limiter_close(limiter);
 *
 * What each kind promises of the permits it gives, in any stretch of time whatever, reckoned with
 * the nanoseconds at both its ends, to a millionth of a permit; rate is count / period_ns, a window
 * is period_ns long:
 *
 *     TOKEN_BUCKET     at most burst + rate x length. Starts full
 *     GCRA             the same, kept as one time in place of a level; what ATM and redis-cell use
 *     SLIDING_LOG      at most count in any window [t, t + period_ns). Remembers each permit: 8
 *                      bytes x count, an acquire takes time in proportion to its permits
 *     SLIDING_COUNTER  at most count in a window that begins at a multiple of period_ns, less than
 *                      2 x count in any other: reckons that the last window's came evenly
 *     LEAKY            after n permits nothing for n / rate: they leave one by one, no burst
 *
 * Permits are not given back: what they were for has happened. Everybody is served first come,
 * first served, also a wish for many permits before later ones for few. A call on an object that is
 * local to another worker returns -EPERM. Sources: Turner 1986 (leaky bucket), ITU-T I.371 (GCRA),
 * Go x/time/rate (reservations), Chiu and Jain 1989 (increase and decrease). */
#ifndef WEFT_LIMITER_H
#define WEFT_LIMITER_H

#include <weft/parts.h>

WEFT_BEGIN_DECLS

enum weft_limiter_kind {
    WEFT_LIMITER_TOKEN_BUCKET,
    WEFT_LIMITER_GCRA,
    WEFT_LIMITER_SLIDING_LOG,
    WEFT_LIMITER_SLIDING_COUNTER,
    WEFT_LIMITER_LEAKY,
};

/* All zero means 100 per second. */
struct weft_limiter_rate {
    double count; /* permits, at most 1e9, need not be whole; sliding kinds: at least 1; the log
                     rounds down, at most 1,000,000. 0 means 100; with adaptive, its max */
    int64_t period_ns; /* per so long, at most 10 years; 0 means 1 s */
    uint32_t burst;    /* at once; 0 means count, at least 1. Token bucket and GCRA only: else 0 */
};

/* A rate that finds itself: count grows by increase in each period in which a success was heard of,
 * and is multiplied by decrease when the other side was overloaded, at most once per period. */
struct weft_limiter_adaptive {
    double max;        /* above 0 switches it on: count goes no higher ... */
    double min;        /* ... and no lower; 0 means max / 100, the sliding kinds: at least 1 */
    double increase;   /* 0 means max / 100 */
    double decrease;   /* between 0 and 1; 0 means 0.5 */
    int64_t period_ns; /* 0 means 1 s */
    int64_t latency_limit_ns; /* a success that took longer counts as overload; 0: none does */
};

enum weft_limiter_event_kind {
    WEFT_LIMITER_REFUSED,      /* err says why; also when the deadline passed while waiting */
    WEFT_LIMITER_WAITED,       /* served, after waited_ns */
    WEFT_LIMITER_RATE_CHANGED, /* by weft_limiter_set or weft_limiter_feedback: rate_count */
};

struct weft_limiter_event {
    enum weft_limiter_event_kind kind;
    const char *name; /* of the limiter */
    int64_t at_ns, waited_ns;
    uint32_t count;
    int err;
    double rate_count; /* RATE_CHANGED only */
    const void *key;   /* of a keyed limiter, for the length of the call; else NULL */
    size_t key_bytes;
};

struct weft_limiter_options {
    enum weft_limiter_kind kind; /* 0 means WEFT_LIMITER_TOKEN_BUCKET */
    struct weft_limiter_rate rate;
    struct weft_limiter_adaptive adaptive;
    uint32_t waiters_max; /* who wait at once; 0 means 10,000 */
    const char *name;     /* copied; NULL means "limiter" */
    enum weft_sharing sharing;
    /* Called on the thread that caused it, not under a lock. Must not suspend, nor close it. */
    void (*on_event)(void *arg, const struct weft_limiter_event *event);
    void *on_event_arg;
};

/* All times in ns on the runtime's clock; counters since weft_limiter_open. */
struct weft_limiter_snapshot {
    struct weft_limiter_rate rate; /* as it is now, defaults filled in */
    double available;              /* permits there are now; below 0: owed to reservations */
    uint32_t waiting;              /* who wait */
    uint64_t granted;              /* permits given, with those reserved */
    uint64_t refused;              /* calls that failed with WEFT_ELIMIT, WEFT_EFULL, -EAGAIN */
    uint64_t timed_out;            /* calls that failed with -ETIMEDOUT */
    uint64_t waits;                /* calls that were served after a wait */
    int64_t waited_ns;             /* how long they did, in all */
    int64_t waited_max_ns;         /* ... and at most */
};

/* Permits that were taken on credit: usable from at_ns on. */
struct weft_reservation {
    int64_t at_ns, wait_ns; /* wait_ns: from when it was made */
    uint32_t count;
    uint32_t epoch; /* private */
};

enum weft_limiter_outcome {
    WEFT_LIMITER_SUCCESS,
    WEFT_LIMITER_OVERLOAD, /* such as HTTP 429 and 503 */
};

struct weft_limiter; /* fields: src/flow/limiter_queue.h */

/* Make a limiter; NULL options means all defaults.
 * Returns  0; -EINVAL (options), -EPERM (WEFT_LOCAL outside a runtime), -ENOMEM. Never suspends */
WEFT_API int weft_limiter_open(struct weft_limiter **ret_limiter,
                               const struct weft_limiter_options *options);

/* Free it. Nobody may wait in it. NULL is fine. */
WEFT_API void weft_limiter_close(struct weft_limiter *limiter);

/* Take count permits, at least 1, all at once, waiting for them in turn. A checkpoint.
 *
 * deadline_ns  absolute, WEFT_FOREVER, WEFT_NOWAIT
 * Returns      0; without effect: WEFT_ELIMIT (more than it ever gives at once; or, as soon as that
 *              is known, not before the deadline), WEFT_EFULL (waiters_max wait), -EAGAIN
 *              (WEFT_NOWAIT), -ETIMEDOUT, -ECANCELED, -EINVAL. What it ever gives at once is burst
 *              where there is one, else count, at least 1
 * Threads      as shared; outside any runtime too. Suspends */
WEFT_API int weft_limiter_acquire(struct weft_limiter *limiter, uint32_t count,
                                  int64_t deadline_ns);

/* Take count permits if they are there and nobody waits. Never suspends, no checkpoint.
 * Returns  0, -EAGAIN, WEFT_ELIMIT (more than it ever gives at once), -EINVAL */
WEFT_API int weft_limiter_try(struct weft_limiter *limiter, uint32_t count);

/* Take count permits now, on credit, and learn when they may be used: for who has a clock of its
 * own. Never suspends.
 *
 * max_wait_ns  0 or more, WEFT_FOREVER
 * Returns      0 with *ret_reservation set; without effect: WEFT_ELIMIT (the wait would be longer,
 *              or more than it ever gives at once), -EAGAIN (others wait, and must not be
 *              overtaken), -EINVAL */
WEFT_API int weft_limiter_reserve(struct weft_limiter *limiter, uint32_t count, int64_t max_wait_ns,
                                  struct weft_reservation *ret_reservation);

/* Give up a reservation whose time has not come; sets its count to 0. As much of it as no later
 * permit was reckoned with is there for others; of a sliding log, only the latest reservation; of
 * one made before the rate changed, nothing.
 * Returns  0; -ESTALE (its time has come: the permits count as used). Never suspends */
WEFT_API int weft_limiter_cancel_reservation(struct weft_limiter *limiter,
                                             struct weft_reservation *reservation);

/* Change the rate from now on. Who waits is reckoned with anew, and fails with WEFT_ELIMIT when its
 * turn comes and it wants more than there ever will be. What was given before counts, and what is
 * given after it keeps the new rate's promise; reservations keep their times. An adaptive rate goes
 * on from here, within its bounds.
 * Returns  0, -EINVAL, -ENOMEM. Never suspends */
WEFT_API int weft_limiter_set(struct weft_limiter *limiter, const struct weft_limiter_rate *rate);

/* Take all permits that are there now, unused: for when the other side says 429.
 * Returns  how many whole ones there were. Never suspends */
WEFT_API int64_t weft_limiter_drain(struct weft_limiter *limiter);

/* Tell an adaptive limiter how a call went. Cancelled calls tell nothing: leave them out.
 *
 * latency_ns  how long it took; 0 when that is not known
 * Returns     1 (the rate has changed), 0; -EINVAL (not adaptive). Never suspends */
WEFT_API int weft_limiter_feedback(struct weft_limiter *limiter, enum weft_limiter_outcome outcome,
                                   int64_t latency_ns);

/* Returns  0 with *ret_snapshot filled in. Never suspends */
WEFT_API int weft_limiter_snapshot(struct weft_limiter *limiter,
                                   struct weft_limiter_snapshot *ret_snapshot);

WEFT_END_DECLS

#endif
