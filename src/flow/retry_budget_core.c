/* SPDX-License-Identifier: MIT
 * retry_budget_core.c - see retry_budget_core.h. */
#include <flow/retry_budget_core.h>

#include <string.h>

/* ---- a share of the calls, with a floor -------------------------------------------------- */

/* Far from overflow, even ten of them. */
#define SLICE_MAX (INT64_MAX / 64)

struct weft_share_rule weft_share_rule(double ratio, double per_second, int64_t ttl_ns)
{
    double seconds = (double)ttl_ns / (double)WEFT_SEC;
    int64_t slice_ns = ttl_ns / WEFT_SHARE_SLICES;
    return (struct weft_share_rule){
        .per_call = (int64_t)(ratio * WEFT_SHARE_UNIT + 0.5),
        .reserve = (int64_t)(per_second * seconds * WEFT_SHARE_UNIT + 0.5),
        .slice_ns = slice_ns > 0 ? slice_ns : 1,
    };
}

/* Forget what has expired. Time that goes back stays where it was. */
static void advance(struct weft_share *share, const struct weft_share_rule *rule, int64_t now_ns)
{
    int64_t slice = now_ns / rule->slice_ns;
    if (slice <= share->slice)
        return;
    if (slice - share->slice >= WEFT_SHARE_SLICES) {
        memset(share->slices, 0, sizeof share->slices);
        share->sum = 0;
        share->slice = slice;
        return;
    }
    while (share->slice < slice) {
        int64_t *oldest = &share->slices[++share->slice % WEFT_SHARE_SLICES];
        share->sum -= *oldest;
        *oldest = 0;
    }
}

static void add(struct weft_share *share, int64_t slice, int64_t amount)
{
    int64_t *counted = &share->slices[slice % WEFT_SHARE_SLICES];
    if (amount > 0 ? *counted > SLICE_MAX - amount : *counted < -SLICE_MAX - amount)
        return;
    *counted += amount;
    share->sum += amount;
}

void weft_share_call(struct weft_share *share, const struct weft_share_rule *rule, int64_t now_ns)
{
    advance(share, rule, now_ns);
    add(share, share->slice, rule->per_call);
}

bool weft_share_take(struct weft_share *share, const struct weft_share_rule *rule, int64_t now_ns)
{
    advance(share, rule, now_ns);
    if (share->sum + rule->reserve < WEFT_SHARE_UNIT)
        return false;
    add(share, share->slice, -WEFT_SHARE_UNIT);
    return true;
}

void weft_share_return(struct weft_share *share, const struct weft_share_rule *rule,
                       int64_t taken_at_ns, int64_t now_ns)
{
    int64_t taken = taken_at_ns / rule->slice_ns;
    advance(share, rule, now_ns);
    if (taken > share->slice)
        taken = share->slice;
    if (taken >= 0 && share->slice - taken < WEFT_SHARE_SLICES)
        add(share, taken, WEFT_SHARE_UNIT);
}

double weft_share_balance(struct weft_share *share, const struct weft_share_rule *rule,
                          int64_t now_ns)
{
    advance(share, rule, now_ns);
    int64_t balance = share->sum + rule->reserve;
    return balance > 0 ? (double)balance / WEFT_SHARE_UNIT : 0;
}

/* ---- tokens ------------------------------------------------------------------------------ */

struct weft_token_rule weft_token_rule(double tokens_max, double ratio)
{
    return (struct weft_token_rule){
        .max = (int64_t)(tokens_max * WEFT_TOKEN_UNIT + 0.5),
        .per_success = (int64_t)(ratio * WEFT_TOKEN_UNIT + 0.5),
    };
}

int64_t weft_tokens_after_success(int64_t tokens, const struct weft_token_rule *rule)
{
    tokens += rule->per_success;
    return tokens < rule->max ? tokens : rule->max;
}

int64_t weft_tokens_after_failure(int64_t tokens)
{
    return tokens > WEFT_TOKEN_UNIT ? tokens - WEFT_TOKEN_UNIT : 0;
}

bool weft_tokens_allow(int64_t tokens, const struct weft_token_rule *rule)
{
    return tokens > rule->max / 2;
}
