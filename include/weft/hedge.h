/* SPDX-License-Identifier: MIT
 * hedge.h - ask again before the first answer is late, and take whichever comes first.
 *
 *     struct weft_hedge *hedge;
 *     struct query query = {.key = key};
 *     int err = weft_hedge_open(&hedge, NULL);       // shared by all calls to the same service
 *     err = weft_hedge_call(hedge, ask, &query, sizeof query);   // query has the faster answer
 *     weft_hedge_close(hedge);
 *
 * A second attempt begins when the first takes longer than most calls do, or fails. Every attempt
 * is a fiber with a copy of the argument; the first success cancels the others, and the call ends
 * when all have ended. For work that may be done twice: reads, and writes with an idempotency key.
 */
#ifndef WEFT_HEDGE_H
#define WEFT_HEDGE_H

#include <weft/parts.h>

WEFT_BEGIN_DECLS

struct weft_hedge; /* src/flow/hedge.c */

#define WEFT_HEDGE_ATTEMPTS_MAX 10
#define WEFT_HEDGE_ARG_MAX      4096

/* For delay_ns: all attempts at once. */
#define WEFT_HEDGE_AT_ONCE ((int64_t)-1)

/* For per_second_min: no hedge but by the ratio. */
#define WEFT_HEDGE_NO_MINIMUM (-1.0)

enum weft_hedge_event_kind {
    WEFT_HEDGE_STARTED, /* an attempt other than the first */
    WEFT_HEDGE_REFUSED, /* one would have begun, but for the budget */
    WEFT_HEDGE_WON,     /* the attempt's result is the call's */
    WEFT_HEDGE_FAILED,  /* others go on, or begin, unless it was the last or fatal */
    WEFT_HEDGE_LOST,    /* it ended after another had decided the call */
};

struct weft_hedge_event {
    enum weft_hedge_event_kind kind;
    const char *name;   /* of the hedge */
    int64_t at_ns;      /* on the runtime's clock */
    unsigned attempt;   /* from 1 */
    int result;         /* of an attempt that has ended, else 0 */
    int64_t latency_ns; /* of an attempt that has ended, else 0 */
};

struct weft_hedge_options {
    const char *name;          /* NULL means "hedge"; copied */
    enum weft_sharing sharing; /* 0 means WEFT_AUTO */
    unsigned attempts_max;     /* the first one included; 0 means 2, at most 10 */

    size_t stack_bytes; /* of an attempt, as in weft_spawn_options */

    /* When the next attempt begins, while those before it run: after delay_ns, and once there are
     * samples_min of them, after a quantile of the latest latencies instead. */
    int64_t delay_ns;     /* 0 means 2 s; WEFT_HEDGE_AT_ONCE; WEFT_FOREVER: only when one fails.
                             These two stay, whatever the latencies */
    int fixed;            /* not 0: delay_ns stays as well */
    double quantile;      /* 0 means 0.95; above 0 and below 1 */
    unsigned window;      /* latencies looked at; 0 means 256, else 16 to 4,096 */
    unsigned samples_min; /* 0 means 64, or the window where that is less */
    int64_t delay_min_ns; /* below this no quantile counts; 0 means 1 ms */

    /* The attempts beyond the first of all calls: at most ratio x calls, with a minimum, over 10 s.
     * With WEFT_HEDGE_AT_ONCE you want a ratio of attempts_max - 1. */
    double ratio;          /* 0 means 0.1; at most 1,000 */
    double per_second_min; /* 0 means 1; at most 1,000,000 */

    /* Whether a failure ends the call instead of beginning the next attempt: the server has asked
     * to be left alone, for example. arg is the attempt's copy. NULL: what is not weft_retryable
     * (retry.h). -ECANCELED always is, and nobody is asked. */
    int (*fatal_if)(void *arg, int result);

    /* An attempt that was too late has succeeded: close what it opened. arg is its copy. */
    void (*discard)(void *arg, int result);

    /* Called by the fiber of the attempt, or of the call, not under any lock; may not suspend. */
    void (*on_event)(void *arg, const struct weft_hedge_event *event);
    void *on_event_arg;
};

/* Make one. Returns 0, -EINVAL (options), -ENOMEM, -EPERM (WEFT_LOCAL outside a runtime). */
WEFT_API int weft_hedge_open(struct weft_hedge **ret_hedge,
                             const struct weft_hedge_options *options);

/* NULL is fine. Nobody may be in weft_hedge_call with it. */
WEFT_API void weft_hedge_close(struct weft_hedge *hedge);

/* Run fn as often as it takes, each time with a copy of *arg, and return the first success.
 *
 * arg        the winner's copy replaces it on success; else it is as it was
 * arg_bytes  at most 4,096; 0: fn gets arg itself, several at a time, and has to cope
 * Returns    what the winner returned; when all fail, the result of the last that ended; a fatal
 *            result; -ECANCELED (the caller is cancelled, and with it all attempts); -EINVAL
 *            (arg_bytes), -EPERM (outside a runtime, another worker's hedge), -ENOMEM
 * Suspends   until every attempt has ended: losers are cancelled and joined
 * Source     Dean and Barroso, "The Tail at Scale", 2013; gRPC's proposal A6. The latency kept is
 *            the call's, from its beginning: a hedge that wins hides how long the first attempt
 *            would have taken, but not that it took longer than the delay, so the quantile stays */
WEFT_API int weft_hedge_call(struct weft_hedge *hedge, int (*fn)(void *), void *arg,
                             size_t arg_bytes);

struct weft_hedge_snapshot {
    char name[WEFT_NAME_MAX + 1];
    uint64_t calls;
    uint64_t hedges;                        /* attempts beyond the first */
    uint64_t refused;                       /* hedges the budget did not allow */
    uint64_t failures;                      /* calls that failed */
    uint64_t cancelled;                     /* calls that were cancelled */
    uint64_t wins[WEFT_HEDGE_ATTEMPTS_MAX]; /* by attempt, the first one first */
    int64_t quantile_ns;                    /* of the latest latencies; 0 before samples_min */
    int64_t delay_ns;                       /* what a call begun now would wait */
    unsigned samples;                       /* latencies kept */
};

/* Returns 0, -EPERM. Never suspends. */
WEFT_API int weft_hedge_snapshot(struct weft_hedge *hedge,
                                 struct weft_hedge_snapshot *ret_snapshot);

WEFT_END_DECLS

#endif
