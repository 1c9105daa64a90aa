/* SPDX-License-Identifier: MIT
 * breaker.h - stops calling what keeps failing, until a trial shows that it works again.
 *
 *     struct weft_breaker *breaker;
 *     weft_breaker_open(&breaker, NULL);                    // one for each thing that can fail
 *     int err = weft_breaker_call(breaker, fetch, &page);   // WEFT_EOPEN at once while it is open
 *
 * CLOSED lets every call through and judges the recent ones; too many failures open it. OPEN
 * refuses all. When the open time is over the next call makes it HALF_OPEN: a few probes go
 * through, enough successes close it, one failure opens it again, for longer.
 * docs/patterns/breaker.md has the table.
 *
 * Nothing here suspends; a shared breaker works on any thread. A success never opens a breaker.
 * Sources: Nygard, "Release It!", 2007 (the pattern); resilience4j (windows, slow calls, states by
 * hand); Polly (time that grows, a cancelled call is no failure). */
#ifndef WEFT_BREAKER_H
#define WEFT_BREAKER_H

#include <weft/parts.h>

WEFT_BEGIN_DECLS

struct weft_breaker;

/* For options where 0 means the default: no such rate, no jitter. */
#define WEFT_BREAKER_NONE (-1.0)

enum weft_breaker_state {
    WEFT_BREAKER_CLOSED = 1,    /* lets calls through and judges them */
    WEFT_BREAKER_OPEN,          /* refuses calls until its time is over */
    WEFT_BREAKER_HALF_OPEN,     /* lets a few probes through */
    WEFT_BREAKER_FORCED_OPEN,   /* by hand: refuses calls */
    WEFT_BREAKER_FORCED_CLOSED, /* by hand: counts, never opens */
    WEFT_BREAKER_DISABLED,      /* by hand: lets calls through, counts nothing */
    WEFT_BREAKER_STATES,
};

/* Why the state changed. */
enum weft_breaker_event_kind {
    WEFT_BREAKER_TRIP = 1,    /* too many failures or slow calls */
    WEFT_BREAKER_DUE,         /* the open time is over, and a call came */
    WEFT_BREAKER_RECOVER,     /* enough probes succeeded */
    WEFT_BREAKER_RELAPSE,     /* a probe failed, or was slow */
    WEFT_BREAKER_OVERDUE,     /* probes were out for longer than half_open_max_ns */
    WEFT_BREAKER_RESET,       /* weft_breaker_reset */
    WEFT_BREAKER_FORCE_OPEN,  /* weft_breaker_force_open */
    WEFT_BREAKER_FORCE_CLOSE, /* weft_breaker_force_close */
    WEFT_BREAKER_DISABLE,     /* weft_breaker_disable */
    WEFT_BREAKER_EVENTS,
};

struct weft_breaker_event {
    enum weft_breaker_event_kind kind;
    const char *name;
    int64_t at_ns;
    uint64_t generation; /* of the new state; one more than the event before */
    enum weft_breaker_state from, to;
    int64_t open_ns;                /* when it opens: for how long; else 0 */
    unsigned calls;                 /* in the window, before this */
    double failure_rate, slow_rate; /* of them */
};

/* What a result says about the thing that was called. */
enum weft_breaker_verdict {
    WEFT_BREAKER_SUCCESS,
    WEFT_BREAKER_FAILURE,
    WEFT_BREAKER_IGNORED, /* nothing: counts neither way, a probe's permit is free again */
};

struct weft_breaker_options {
    const char *name; /* copied; NULL means "breaker" */
    enum weft_sharing sharing;

    /* The window: the last window_calls calls, or those of the last window_ns. */
    unsigned window_calls;   /* 0 means 100; at most 65,536 */
    int64_t window_ns;       /* 0: the window counts calls */
    unsigned window_buckets; /* parts that window_ns moves on by; 0 means 10; at most 1,000 */

    /* What opens it. Rates count once so many calls are in the window that bad luck is unlikely: 9
     * of 10 calls must not open it, and with one call in five failing by nature half of 10 calls
     * fail in 3 % of all windows, half of 20 in 0.3 %. */
    unsigned calls_min;   /* 0 means 20, or window_calls if that is less */
    double failure_rate;  /* opens when reached; 0 means 0.5 */
    double slow_rate;     /* likewise; 0 means 1.0; needs slow_call_ns */
    int64_t slow_call_ns; /* so long and longer is slow; 0: no call is, and the clock is
                             not read while it is closed, unless window_ns is given */
    unsigned consecutive_failures_max; /* so many without a success between; 0: does not matter */

    /* How long it stays open: open_ns, times open_factor at every opening since it last closed, at
     * most open_max_ns, and then a share of that, drawn up to open_jitter, on top. */
    int64_t open_ns;     /* 0 means 60 s */
    int64_t open_max_ns; /* 0 means 10 min, or open_ns if that is more */
    double open_factor;  /* 0 means 2; 1: does not grow; at most 1,000 */
    double open_jitter;  /* 0 means 0.1; at most 1; WEFT_BREAKER_NONE */
    uint64_t seed;       /* 0: drawn */

    /* Half open. */
    unsigned probes_max;      /* at once; 0 means 1 */
    unsigned successes_min;   /* that close it; 0 means 2 */
    int64_t half_open_max_ns; /* probes out for so long open it again; 0: they have all the time */

    /* How a result is judged. NULL: 0 and more is a success, refusals that are the program's own
     * (WEFT_EOPEN, WEFT_ELIMIT, WEFT_EFULL) are ignored, all else is a failure. Not asked about
     * -ECANCELED, which is always ignored. Called without a lock, and must not suspend. */
    enum weft_breaker_verdict (*judge)(void *arg, int result);
    void *judge_arg;

    /* Told of every change of state, in order and one at a time, on a thread that is in a call on
     * the breaker: the one that caused the change, unless another is telling already. May call the
     * breaker (what that changes is told after it returns), must not close it or suspend. */
    void (*on_event)(void *arg, const struct weft_breaker_event *event);
    void *on_event_arg;
};

/* Permission for one call; the caller's, from weft_breaker_enter to weft_breaker_leave. */
struct weft_breaker_permit {
    uint64_t generation;    /* private: 0 when it is none, or was given back */
    int64_t entered_at_ns;  /* private */
    int64_t retry_after_ns; /* refused: until a probe may go through; 0: once those that are out
                               have ended; WEFT_FOREVER: when somebody says so */
};

struct weft_breaker_snapshot {
    enum weft_breaker_state state;
    uint64_t generation;            /* changes with every change of state, from 1 */
    int64_t since_ns;               /* when the state began */
    int64_t retry_after_ns;         /* as in a permit; 0 too when calls go through */
    unsigned calls, failures, slow; /* in the window */
    double failure_rate, slow_rate; /* of them; 0 when there are none */
    unsigned consecutive_failures;
    unsigned probes, probe_successes; /* out; of this half-open state */
    uint64_t entered, refused;        /* calls so far */
    uint64_t succeeded, failed;       /* slow ones among them, ignored and late ones not */
    uint64_t slow_calls;              /* so far */
    uint64_t ignored;
    uint64_t late;        /* results from before a change of state: not counted */
    uint64_t opened;      /* times */
    uint64_t events_lost; /* more than 16 waited to be told: the oldest were dropped */
};

/* Make a closed breaker.
 *
 * options  NULL means all defaults; not kept
 * Returns  0; -EINVAL (a number below 0, not a number or too large; both windows, or a calls_min
 *          that is never reached; a slow_rate without slow_call_ns; a long name); -ENOMEM; -EPERM
 *          (WEFT_LOCAL outside a runtime)
 * Never suspends. Every other call says -EPERM for a breaker that is local to another worker */
WEFT_API int weft_breaker_open(struct weft_breaker **ret_breaker,
                               const struct weft_breaker_options *options);

/* Free it. Permits that are out are void: do not give them back. NULL is fine. */
WEFT_API void weft_breaker_close(struct weft_breaker *breaker);

/* Ask for one call. Each success is followed by one weft_breaker_leave, also when cancelled.
 * Returns  0; WEFT_EOPEN with permit->retry_after_ns set; -EPERM */
WEFT_API int weft_breaker_enter(struct weft_breaker *breaker, struct weft_breaker_permit *permit);

/* Say what the call came to. A result that comes after the state has changed is not counted.
 * Returns  0; -EINVAL (no permit, or given back before); -EPERM */
WEFT_API int weft_breaker_leave(struct weft_breaker *breaker, struct weft_breaker_permit *permit,
                                int result);

/* Enter, run fn(arg), leave. Returns fn's result, which may be anything; WEFT_EOPEN or -EPERM
 * without having called it. Suspends where fn does. */
WEFT_API int weft_breaker_call(struct weft_breaker *breaker, int (*fn)(void *), void *arg);

/* By hand; the state stays until the next of these calls, except after a reset: closed, with an
 * empty window and the first open time. What is so already stays so. Returns 0, -EPERM. */
WEFT_API int weft_breaker_reset(struct weft_breaker *breaker);
WEFT_API int weft_breaker_force_open(struct weft_breaker *breaker);
WEFT_API int weft_breaker_force_close(struct weft_breaker *breaker);
WEFT_API int weft_breaker_disable(struct weft_breaker *breaker);

/* How it is. Returns 0, -EPERM. */
WEFT_API int weft_breaker_snapshot(struct weft_breaker *breaker,
                                   struct weft_breaker_snapshot *ret_snapshot);

/* Lower-case names in static storage; "none" for what is out of range. Any thread. */
WEFT_API const char *weft_breaker_state_name(enum weft_breaker_state state);
WEFT_API const char *weft_breaker_event_name(enum weft_breaker_event_kind kind);

WEFT_END_DECLS

#endif
