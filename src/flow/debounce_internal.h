/* SPDX-License-Identifier: MIT
 * debounce_internal.h - a debounce that keeps a distance between its runs, for throttle.c. */
#ifndef WEFT_FLOW_DEBOUNCE_INTERNAL_H
#define WEFT_FLOW_DEBOUNCE_INTERNAL_H

#include <weft/debounce.h>

/* Like weft_debounce_open; fn begins at the first call and then at most once in wait_ns, with the
 * argument of the latest call. */
int weft_debounce_open_spaced(struct weft_debounce **ret_debounce,
                              const struct weft_debounce_options *options);

#endif
