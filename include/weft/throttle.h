/* SPDX-License-Identifier: MIT
 * throttle.h - not more often than once per interval.
 *
 *     struct weft_throttle *mail;
 *     weft_throttle_open(&mail, &(struct weft_throttle_options){.interval_ns = WEFT_SEC});
 *     weft_throttle_run(mail, send_mail, &letter, WEFT_FOREVER);  // waits its turn
 *
 * Whoever passes sets the time of the next before it goes on, so however many callers there are,
 * no two pass less than the interval apart. For more than one at a time, or bursts, take a rate
 * limiter. */
#ifndef WEFT_THROTTLE_H
#define WEFT_THROTTLE_H

#include <weft/parts.h>

WEFT_BEGIN_DECLS

struct weft_throttle;

enum weft_throttle_mode {
    WEFT_THROTTLE_WAIT,     /* who comes too early waits its turn, first come, first served */
    WEFT_THROTTLE_SKIP,     /* who comes too early gets -EAGAIN */
    WEFT_THROTTLE_TRAILING, /* weft_throttle_call: what came too early runs once, as the latest of
                               them asked, when the interval is over */
};

enum weft_throttle_event_kind {
    WEFT_THROTTLE_SKIPPED, /* a caller does not pass; result: -EAGAIN, or WEFT_EFULL */
    WEFT_THROTTLE_FAILED,  /* fn of WEFT_THROTTLE_TRAILING; result: with what */
};

struct weft_throttle_event {
    enum weft_throttle_event_kind kind;
    const char *name;
    int64_t at_ns;
    int result;
};

struct weft_throttle_options {
    int64_t interval_ns; /* above 0 */
    enum weft_throttle_mode mode;
    uint32_t waiters_max; /* 0 means 1,024; then WEFT_EFULL */
    int (*fn)(void *arg); /* WEFT_THROTTLE_TRAILING, and only then */
    size_t arg_bytes;     /* the same: copied from the argument, at most 4,096; 0: the pointer */
    const char *name;     /* NULL means "throttle" */
    enum weft_sharing sharing;
    /* On the fiber or thread that caused it; may suspend; must not close. */
    void (*on_event)(void *arg, const struct weft_throttle_event *event);
    void *on_event_arg;
};

struct weft_throttle_snapshot {
    uint64_t passed, skipped; /* skipped: -EAGAIN, or covered by a later run */
    uint64_t failed;          /* of fn, WEFT_THROTTLE_TRAILING */
    uint32_t waiting;
    int pending;        /* 1: fn will run once more, WEFT_THROTTLE_TRAILING */
    int64_t next_at_ns; /* when the next may pass; 0: always. Not for WEFT_THROTTLE_TRAILING */
};

/* Returns   0, -EINVAL (options), -ENOMEM, -EPERM (WEFT_LOCAL, or WEFT_THROTTLE_TRAILING, outside a
 *           runtime)
 * Threads   any. With WEFT_THROTTLE_TRAILING a group of the calling fiber is open until
 *           weft_throttle_close, which this fiber must call. Never suspends */
WEFT_API int weft_throttle_open(struct weft_throttle **ret_throttle,
                                const struct weft_throttle_options *options);

/* Pass, now or when it is the caller's turn. Who gives up costs the others no time.
 *
 * Returns  0; -EAGAIN (WEFT_THROTTLE_SKIP, or WEFT_NOWAIT: too early); -ETIMEDOUT, -ECANCELED;
 *          WEFT_EFULL (waiters_max); -EINVAL (WEFT_THROTTLE_TRAILING); -EPERM
 * Threads  as sharing says; outside a runtime it blocks
 * Suspends with WEFT_THROTTLE_WAIT; a checkpoint */
WEFT_API int weft_throttle_enter(struct weft_throttle *throttle, int64_t deadline_ns);

/* Pass and run fn(arg), which is not cut short by the deadline and may take longer than the
 * interval: it is the beginnings that are kept apart.
 * Returns  what fn returned, or an error of weft_throttle_enter */
WEFT_API int weft_throttle_run(struct weft_throttle *throttle, int (*fn)(void *), void *arg,
                               int64_t deadline_ns);

/* Have the fn of a WEFT_THROTTLE_TRAILING throttle run, on its own fiber: at once, or with the
 * argument of the latest call when the interval is over. It never runs beside itself.
 * Returns  0; -EINVAL (another mode; no argument where arg_bytes of it are to be copied);
 *          -ESHUTDOWN (the fiber that opened it was cancelled), -EPERM
 * Never suspends */
WEFT_API int weft_throttle_call(struct weft_throttle *throttle, const void *arg);

/* How it is. Returns 0, -EPERM. Never suspends. */
WEFT_API int weft_throttle_snapshot(struct weft_throttle *throttle,
                                    struct weft_throttle_snapshot *ret_snapshot);

/* Nobody may be in a call. A trailing run is forgotten, one that runs is cancelled and waited for.
 * NULL is fine. Suspends only with WEFT_THROTTLE_TRAILING; no checkpoint */
WEFT_API void weft_throttle_close(struct weft_throttle *throttle);

WEFT_END_DECLS

#endif
