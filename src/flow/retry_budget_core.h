/* SPDX-License-Identifier: MIT
 * retry_budget_core.h - the two ways to count how many extra attempts there may be. No clock, no
 * lock, no allocation. Hedging has the first as well. */
#ifndef WEFT_FLOW_RETRY_BUDGET_CORE_H
#define WEFT_FLOW_RETRY_BUDGET_CORE_H

#include <weft/base.h>

#include <stdbool.h>

/* ---- a share of the calls, with a floor -------------------------------------------------- */

#define WEFT_SHARE_SLICES 10

/* Amounts are in millionths of an attempt: what is added up in one order must be gone when it is
 * subtracted in another. */
#define WEFT_SHARE_UNIT 1000000

struct weft_share_rule {
    int64_t per_call; /* what a call is worth */
    int64_t reserve;  /* always there */
    int64_t slice_ns; /* a tenth of how long what is worth something stays so */
};

/* What came and what went, in slices of time; the oldest is forgotten as a whole. Zeroed is new. */
struct weft_share {
    int64_t slices[WEFT_SHARE_SLICES];
    int64_t sum;
    int64_t slice; /* the number of the current one, counted from time 0 */
};

/* ratio at least 0 and at most 1,000; per_second at least 0 and at most 1,000,000; ttl_ns at most
 * an hour. */
struct weft_share_rule weft_share_rule(double ratio, double per_second, int64_t ttl_ns);

void weft_share_call(struct weft_share *share, const struct weft_share_rule *rule, int64_t now_ns);

/* Whether there is an attempt to spend; if so, it is spent. */
bool weft_share_take(struct weft_share *share, const struct weft_share_rule *rule, int64_t now_ns);

/* Undo a take of then, unless it has been forgotten by now. */
void weft_share_return(struct weft_share *share, const struct weft_share_rule *rule,
                       int64_t taken_at_ns, int64_t now_ns);

/* How many there are to spend. */
double weft_share_balance(struct weft_share *share, const struct weft_share_rule *rule,
                          int64_t now_ns);

/* ---- tokens ------------------------------------------------------------------------------ */

/* In thousandths of a token, as gRPC counts them. */
#define WEFT_TOKEN_UNIT 1000

struct weft_token_rule {
    int64_t max, per_success;
};

struct weft_token_rule weft_token_rule(double tokens_max, double ratio);
int64_t weft_tokens_after_success(int64_t tokens, const struct weft_token_rule *rule);
int64_t weft_tokens_after_failure(int64_t tokens);
bool weft_tokens_allow(int64_t tokens, const struct weft_token_rule *rule);

#endif
