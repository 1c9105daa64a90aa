/* SPDX-License-Identifier: MIT
 * retry_budget.h - how many retries everybody together may make: what fails because it is
 * overloaded must not get twice the load.
 *
 *     struct weft_retry_budget *budget;
 *     int err = weft_retry_budget_open(&budget, NULL);   // 20 % of the calls, and 10 per second
 *     const struct weft_retry_options options = {.budget = budget, .budget_key = "example.org"};
 *     err = weft_retry(&options, fetch, &request);       // as many of these as there are requests
 *     weft_retry_budget_close(budget);
 *
 * A retry the budget refuses is not made: the caller gets the result it has. Each key, a host for
 * example, has a budget of its own. */
#ifndef WEFT_RETRY_BUDGET_H
#define WEFT_RETRY_BUDGET_H

#include <weft/parts.h>

WEFT_BEGIN_DECLS

struct weft_retry_budget; /* src/flow/retry_budget.c */

enum weft_retry_budget_kind {
    /* Every call begun is worth ratio retries, and every second per_second_min; what is not used
     * expires after ttl_ns. A key nobody has used can make per_second_min x ttl at once. */
    WEFT_RETRY_BUDGET_RATIO,
    /* There are at most tokens_max. A failure worth a retry takes one, a success brings back ratio
     * of one; retries are made while more than half of them are there. */
    WEFT_RETRY_BUDGET_TOKENS,
};

/* For per_second_min: no retry but by the ratio. */
#define WEFT_RETRY_NO_MINIMUM (-1.0)

enum weft_retry_budget_event_kind {
    WEFT_RETRY_BUDGET_REFUSED = 1, /* a retry was asked for, and there was none left */
};

struct weft_retry_budget_event {
    enum weft_retry_budget_event_kind kind;
    const char *name;
    int64_t at_ns;
    const char *key; /* for the length of the call */
};

struct weft_retry_budget_options {
    const char *name;                 /* NULL means "retry budget"; copied */
    enum weft_sharing sharing;        /* 0 means WEFT_AUTO */
    enum weft_retry_budget_kind kind; /* 0 means WEFT_RETRY_BUDGET_RATIO */
    double ratio;                     /* 0 means 0.2, of tokens 0.1; at most 1,000 */
    double per_second_min;            /* RATIO: 0 means 10; at most 1,000,000 */
    int64_t ttl_ns;                   /* RATIO: 0 means 10 s; 1 ms to 1 hour */
    double tokens_max;                /* TOKENS: 0 means 10; at most 1,000 */
    unsigned keys_max;                /* with a budget of their own; 0 means 1,024; at most
                                         1,048,576. Those beyond share one, until an idle key makes room */
    int64_t idle_ns;                  /* a key unused for so long may lose its place; 0 means 1
                                         minute; with RATIO at least ttl_ns */
    /* Called on the thread that caused it, not under a lock. Must not suspend, nor close it. */
    void (*on_event)(void *arg, const struct weft_retry_budget_event *event);
    void *on_event_arg;
};

/* Make one. Returns 0, -EINVAL (options), -ENOMEM, -EPERM (WEFT_LOCAL outside a runtime). */
WEFT_API int weft_retry_budget_open(struct weft_retry_budget **ret_budget,
                                    const struct weft_retry_budget_options *options);

/* NULL is fine. Nobody may be in weft_retry with it. */
WEFT_API void weft_retry_budget_close(struct weft_retry_budget *budget);

/* What weft_retry tells and asks it, for retry loops of your own. A key is at most WEFT_NAME_MAX
 * bytes, NULL means "". None suspends; every thread if shared.
 *
 * note    a call begins, an attempt succeeded, an attempt failed in a way that is worth a retry
 * take    the right to one retry
 * return  the same, not used after all; taken_at_ns is when it was taken
 *
 * Returns  0; take: WEFT_ELIMIT (none left); -EINVAL (key), -EPERM (another worker's)
 * Source   RATIO: Finagle's RetryBudget; TOKENS: gRPC's proposal A6, retry throttling */
enum weft_retry_note {
    WEFT_RETRY_CALL,
    WEFT_RETRY_SUCCESS,
    WEFT_RETRY_FAILURE,
};
WEFT_API int weft_retry_budget_note(struct weft_retry_budget *budget, const char *key,
                                    enum weft_retry_note note);
WEFT_API int weft_retry_budget_take(struct weft_retry_budget *budget, const char *key);
WEFT_API int weft_retry_budget_return(struct weft_retry_budget *budget, const char *key,
                                      int64_t taken_at_ns);

struct weft_retry_budget_snapshot {
    char name[WEFT_NAME_MAX + 1];
    double balance;   /* RATIO: retries that key could make now; TOKENS: its tokens */
    uint64_t taken;   /* retries, of all keys, without those given back */
    uint64_t refused; /* of all keys */
    uint64_t evicted; /* idle keys that made room */
    uint64_t crowded; /* times somebody used the shared budget because keys_max were there */
    unsigned keys;    /* with a budget of their own */
};

/* Returns 0, -EINVAL (key), -EPERM. Of a key that is not there, the balance is a new one's. */
WEFT_API int weft_retry_budget_snapshot(struct weft_retry_budget *budget, const char *key,
                                        struct weft_retry_budget_snapshot *ret_snapshot);

WEFT_END_DECLS

#endif
