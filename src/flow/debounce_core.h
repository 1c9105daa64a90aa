/* SPDX-License-Identifier: MIT
 * debounce_core.h - when to run what was called often. Reads no clock, takes no lock. */
#ifndef WEFT_FLOW_DEBOUNCE_CORE_H
#define WEFT_FLOW_DEBOUNCE_CORE_H

#include <stdbool.h>
#include <stdint.h>

struct weft_debounce_core {
    int64_t wait_ns, wait_max_ns; /* the second is WEFT_FOREVER for none */
    bool leading, trailing;
    bool spaced; /* as a throttle does: no two runs begin less than wait_ns apart */
    /* state */
    bool open;           /* a window is */
    bool wanted;         /* run at its end */
    bool due;            /* run as soon as possible */
    int64_t forced_from; /* the window's first call, or its latest forced run */
    int64_t quiet_from;  /* the window's last call; spaced: or run */
};

/* Somebody calls. A run that is due already will do for it. */
void weft_debounce_core_call(struct weft_debounce_core *core, int64_t now_ns);

/* When to look again; 0: at once, WEFT_FOREVER: not before the next call. */
int64_t weft_debounce_core_next(const struct weft_debounce_core *core);

/* Time has passed. Returns whether to run now; then it is not due any more. */
bool weft_debounce_core_take(struct weft_debounce_core *core, int64_t now_ns);

/* Close the window. Returns whether a run was pending, which is forgotten. */
bool weft_debounce_core_forget(struct weft_debounce_core *core);

#endif
