/* SPDX-License-Identifier: MIT
 * hedge_internal.h - hedging for who stands between the caller and its function. */
#ifndef WEFT_FLOW_HEDGE_INTERNAL_H
#define WEFT_FLOW_HEDGE_INTERNAL_H

#include <weft/hedge.h>

/* weft_hedge_call, for a function that gets a context beside its copy of the argument. */
int weft_hedge_between(struct weft_hedge *hedge, int (*fn)(void *context, void *arg), void *context,
                       void *arg, size_t arg_bytes);

#endif
