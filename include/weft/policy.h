/* SPDX-License-Identifier: MIT
 * policy.h - all patterns around one call, said once: what a client of some service does by rule.
 *
 *     const struct weft_retry_options patient = {.attempts_max = 4, .base_ns = 50 * WEFT_MSEC};
 *     const struct weft_layer layers[] = {
 *         weft_layer_timeout(10 * WEFT_SEC),      // for everything, outermost
 *         weft_layer_retry(&patient),
 *         weft_layer_limit(limiter, 1),           // every attempt counts
 *         weft_layer_breaker(breaker),
 *         weft_layer_bulkhead(bulkhead),          // not held while the call waits to retry
 *         weft_layer_timeout(2 * WEFT_SEC),       // for each attempt
 *     };
 *     weft_policy_open(&policy, layers, 6, NULL);
 *     int err = weft_policy_call(policy, fetch, &request);
 *     weft_policy_close(policy);                  // what the layers use is the program's to close
 *
 * Layers are run in the order given, the first outermost. The order above is the usual one; a
 * fallback comes first of all, or right after the first timeout; a hedge comes last, or before the
 * timeout of an attempt. */
#ifndef WEFT_POLICY_H
#define WEFT_POLICY_H

#include <weft/parts.h>

WEFT_BEGIN_DECLS

struct weft_breaker;
struct weft_bulkhead;
struct weft_fallback_options;
struct weft_hedge;
struct weft_limiter;
struct weft_retry_options;

#define WEFT_LAYERS_MAX 16

enum weft_layer_kind {
    WEFT_LAYER_TIMEOUT = 1,
    WEFT_LAYER_RETRY,
    WEFT_LAYER_LIMIT,
    WEFT_LAYER_BREAKER,
    WEFT_LAYER_BULKHEAD,
    WEFT_LAYER_HEDGE,
    WEFT_LAYER_FALLBACK,
    WEFT_LAYER_SHIELD,
    WEFT_LAYER_CUSTOM,
    WEFT_LAYER_KINDS,
};

/* A layer of the program's own.
 *
 * layer_arg  as given to weft_layer_custom
 * arg        the call's
 * next       what is inside; to be called with next_arg any number of times, also by children, on
 *            the caller's worker, that have ended when this returns
 * Returns    what the layers outside see */
typedef int weft_layer_fn(void *layer_arg, void *arg, int (*next)(void *), void *next_arg);

/* Made by the functions below; the fields are private. */
struct weft_layer {
    enum weft_layer_kind kind;
    void *object;
    const void *options;
    weft_layer_fn *run;
    int64_t number;
};

/* What a layer is given must outlive the policy; options are copied by weft_policy_open, but not
 * what they point to. Nothing is checked before weft_policy_open. */

/* Cancel what is inside after timeout_ns: -ETIMEDOUT. */
WEFT_API struct weft_layer weft_layer_timeout(int64_t timeout_ns);

/* weft_retry; callbacks get the call's argument. NULL means all defaults. */
WEFT_API struct weft_layer weft_layer_retry(const struct weft_retry_options *options);

/* Take count permits first, waiting for them as long as weft_deadline() allows. What a call came to
 * is not reported: for an adaptive limiter, which results mean overload is for a layer of your own
 * to say, with weft_limiter_feedback. */
WEFT_API struct weft_layer weft_layer_limit(struct weft_limiter *limiter, uint32_t count);

/* weft_breaker_call. */
WEFT_API struct weft_layer weft_layer_breaker(struct weft_breaker *breaker);

/* weft_bulkhead_call, waiting for a place as long as the bulkhead lets it, or until cancelled. */
WEFT_API struct weft_layer weft_layer_bulkhead(struct weft_bulkhead *bulkhead);

/* weft_hedge_call; what is inside gets copies of arg_bytes of the call's argument. */
WEFT_API struct weft_layer weft_layer_hedge(struct weft_hedge *hedge, size_t arg_bytes);

/* weft_fallback. With a cache, its key and the place for the value are the same for all calls: make
 * one at a time, or give each service of its own kind a policy. */
WEFT_API struct weft_layer weft_layer_fallback(const struct weft_fallback_options *options);

/* weft_shield: a cancellation from outside is noticed only after what is inside has ended. */
WEFT_API struct weft_layer weft_layer_shield(void);

WEFT_API struct weft_layer weft_layer_custom(weft_layer_fn *run, void *layer_arg);

enum weft_policy_event_kind {
    WEFT_POLICY_REFUSED = 1, /* a layer failed, and nothing inside it was begun */
    WEFT_POLICY_FAILED,      /* a call ended with a failure */
};

struct weft_policy_event {
    enum weft_policy_event_kind kind;
    const char *name; /* of the policy */
    int64_t at_ns;
    int result;                 /* negative; what was cancelled is not told */
    unsigned place;             /* of the layer, from 0, outermost; FAILED: 0 */
    enum weft_layer_kind layer; /* what it is; FAILED: 0 */
};

struct weft_policy_options {
    const char *name;          /* NULL means "policy"; copied */
    enum weft_sharing sharing; /* 0 means WEFT_AUTO */
    /* Called by the fiber that the layer or the call runs on, not under any lock. May suspend, must
     * not close the policy. What is inside the layers has events of its own. */
    void (*on_event)(void *arg, const struct weft_policy_event *event);
    void *on_event_arg;
};

struct weft_policy; /* src/flow/policy.c */

/* Make one.
 *
 * layers   count of them, 1 to WEFT_LAYERS_MAX, copied
 * options  NULL means all defaults; not kept
 * Returns  0; -EINVAL (count; a layer without its object, or with options that are refused
 *          there); -ENOMEM, -EPERM (WEFT_LOCAL outside a runtime) */
WEFT_API int weft_policy_open(struct weft_policy **ret_policy, const struct weft_layer *layers,
                              size_t count, const struct weft_policy_options *options);

/* NULL is fine. Nobody may be in weft_policy_call with it. */
WEFT_API void weft_policy_close(struct weft_policy *policy);

/* Run fn(arg) inside all layers.
 * Returns  what the outermost layer makes of it; -ECANCELED (the caller is cancelled already),
 *          -EPERM (outside a runtime; another worker's policy): then no layer was entered
 * Suspends wherever the layers and fn do */
WEFT_API int weft_policy_call(struct weft_policy *policy, int (*fn)(void *), void *arg);

struct weft_layer_snapshot {
    enum weft_layer_kind kind;
    const char *name;   /* of the kind: "retry" */
    uint64_t calls;     /* that came to it: of a layer inside a retry, every attempt */
    uint64_t failures;  /* of these it answered with a failure, its own or one from inside */
    uint64_t refused;   /* of the failures those for which nothing inside was begun */
    uint64_t cancelled; /* ended with -ECANCELED: no failures */
};

struct weft_policy_snapshot {
    char name[WEFT_NAME_MAX + 1];
    unsigned layers_len;
    struct weft_layer_snapshot layers[WEFT_LAYERS_MAX]; /* outermost first */
    struct weft_layer_snapshot work;                    /* fn: kind 0, name "work" */
};

/* A call that has not ended counts as one call of every layer.
 * Returns 0, -EPERM. Never suspends. */
WEFT_API int weft_policy_snapshot(struct weft_policy *policy,
                                  struct weft_policy_snapshot *ret_snapshot);

WEFT_END_DECLS

#endif
