/* SPDX-License-Identifier: MIT
 * retry.h - do it again when it fails, later each time, and not for ever.
 *
 *     const struct weft_retry_options patient = {.attempts_max = 5, .total_ns = 30 * WEFT_SEC};
 *     int err = weft_retry(&patient, fetch, &request);   // or what the last attempt came to
 *
 * The delays are slept by the calling fiber, in its scope and outside of fn: what fn holds while it
 * works, a connection or a place in a bulkhead, it gives back before. Retries of many callers add
 * up to a second load on what is failing already: give them a budget (retry_budget.h). */
#ifndef WEFT_RETRY_H
#define WEFT_RETRY_H

#include <weft/base.h>

WEFT_BEGIN_DECLS

struct weft_retry_budget;

/* How delays grow, before jitter; n counts retries from 0. No delay is longer than cap_ns. */
enum weft_backoff {
    WEFT_BACKOFF_EXPONENTIAL, /* base x multiplier^n */
    WEFT_BACKOFF_LINEAR,      /* base x (n + 1) */
    WEFT_BACKOFF_CONSTANT,    /* base */
};

/* What chance makes of a delay v, so that those who failed together do not come back together. It
 * works on what the cap has left of v: callers at the cap are spread as well. */
enum weft_jitter {
    WEFT_JITTER_FULL,         /* anywhere in [0, v) */
    WEFT_JITTER_EQUAL,        /* anywhere in [v/2, v) */
    WEFT_JITTER_DECORRELATED, /* anywhere between base and 3 times the delay before */
    WEFT_JITTER_SMOOTH,       /* exponential growth without clusters: Polly's decorrelated jitter */
    WEFT_JITTER_NONE,         /* v: for a single caller, and for tests */
};

/* Why there was no further attempt. */
enum weft_retry_reason {
    WEFT_RETRY_AGAIN,         /* there is one */
    WEFT_RETRY_NOT_RETRYABLE, /* the failure is of a kind that stays */
    WEFT_RETRY_ATTEMPTS,      /* attempts_max were made */
    WEFT_RETRY_DEADLINE,      /* the next could not begin, or not last attempt_min_ns, in time */
    WEFT_RETRY_BUDGET,        /* the budget has none left */
    WEFT_RETRY_DECLINED,      /* delay_ns answered with a negative delay */
    WEFT_RETRY_CANCELED,      /* the attempt, or the wait for the next one, was cancelled */
    WEFT_RETRY_REASONS        /* how many there are */
};

/* An attempt was not the one, told before the wait for the next: reason is WEFT_RETRY_AGAIN; or
 * there is no other. */
struct weft_retry_event {
    enum weft_retry_reason reason;
    const char *name; /* as in the options; may be NULL */
    int64_t at_ns;    /* on the runtime's clock */
    unsigned attempt; /* that has ended, from 1 */
    int result;       /* what it came to */
    int64_t delay_ns; /* until the next one; 0 when there is none */
};

/* Numbers over all calls that were given them. Zero it at first. While calls go on, other
 * threads read it with atomic loads, as the metrics do. */
struct weft_retry_stats {
    uint64_t calls;
    uint64_t attempts;                  /* the first ones included */
    uint64_t retries;                   /* attempts after the first */
    uint64_t delayed_ns;                /* slept between attempts */
    uint64_t ended[WEFT_RETRY_REASONS]; /* calls that gave up, by reason */
};

/* Callbacks get fn's own argument, except on_event; they are called by the calling fiber, not under
 * any lock, and may suspend. */
struct weft_retry_options {
    const char *name;          /* for events; not copied */
    unsigned attempts_max;     /* the first one included; 0 means 3, 1 none but the first */
    enum weft_backoff backoff; /* 0 means WEFT_BACKOFF_EXPONENTIAL */
    enum weft_jitter jitter;   /* 0 means WEFT_JITTER_FULL. DECORRELATED and SMOOTH: exponential
                                  backoff only, and multiplier does not matter */
    int64_t base_ns;           /* 0 means 100 ms; 1 is as good as none */
    int64_t cap_ns;            /* 0 means 10 s, or base_ns where that is longer */
    double multiplier;         /* 0 means 2; at least 1 */
    int64_t total_ns;          /* for all attempts and the delays between them: what runs then is
                                  cancelled. 0 means no more than the scope's own deadline */
    int64_t attempt_min_ns;    /* what an attempt needs at least: none is begun with less time left
                                  until weft_deadline(). The first always is */
    uint64_t seed;             /* of the jitter; 0: drawn */

    /* Whether a result, 0 and more as well, is worth another attempt. NULL: weft_retryable.
     * -ECANCELED never is, and nobody is asked. */
    int (*retry_if)(void *arg, int result);

    /* The delay after so many attempts, for a server that says when (retry_after.h): planned_ns or
     * another, which the cap does not bound; negative to give up. NULL: planned_ns. */
    int64_t (*delay_ns)(void *arg, unsigned attempt, int result, int64_t planned_ns);

    struct weft_retry_budget *budget; /* NULL: none */
    const char *budget_key;           /* whose share of it, the host for example; NULL: "" */

    void (*on_event)(void *arg, const struct weft_retry_event *event);
    void *on_event_arg;
    struct weft_retry_stats *stats; /* NULL: nobody counts */
};

/* Call fn(arg), and again after a delay as long as it fails, within limits.
 *
 * options  NULL means all defaults; read during the call
 * Returns  what the last attempt came to, whatever the reason there was no other; -ETIMEDOUT where
 *          total_ns cut it short; -ECANCELED (the caller was cancelled before the first attempt or
 *          during a delay); -EINVAL (options; a key that is too long), -EPERM (outside a runtime;
 *          the budget is another worker's): then fn was not called
 * Suspends during delays, and wherever fn does. Until the first failure it neither reads a clock
 *          (unless there is a total_ns or a budget) nor draws a number
 * Source   delays: Brooker, "Exponential Backoff and Jitter", AWS 2015; smooth: Polly; one deadline
 *          for all attempts: gRPC's proposal A6 */
WEFT_API int weft_retry(const struct weft_retry_options *options, int (*fn)(void *), void *arg);

/* Whether a result is a failure that may pass: 1 for every negative one but
 *
 *     -ECANCELED                                              nobody wants it any more
 *     -EINVAL -EPERM -EACCES -EFAULT -EBADF -ENOSYS           the call itself is wrong, and will be
 *     -EOPNOTSUPP -EDEADLK -EOVERFLOW -E2BIG -ENAMETOOLONG    wrong again
 *     -EPROTONOSUPPORT
 *     -EMSGSIZE -ELOOP -EKEYREJECTED                          what is there is no good
 *     -ESHUTDOWN WEFT_EVERSION WEFT_ECORRUPT WEFT_ELEAK       what it asks for does not come back
 *     WEFT_EOPEN WEFT_ELIMIT                                  a pattern has said no on purpose */
WEFT_API int weft_retryable(int result);

WEFT_END_DECLS

#endif
