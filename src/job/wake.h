/* SPDX-License-Identifier: MIT
 * wake.h - "there may be something to do": any number of posts wakes one waiting fiber once.
 *
 * The waiter looks at the real state afterwards; a post carries nothing. One runtime thread. */
#ifndef WEFT_JOB_WAKE_H
#define WEFT_JOB_WAKE_H

#include <weft/sync.h>

struct weft_wake {
    struct weft_event event;
};

/* Returns 0, -EPERM outside a runtime */
int weft_wake_init(struct weft_wake *wake);
void weft_wake_deinit(struct weft_wake *wake);

/* Never suspends and never fails, also in a cancelled fiber. */
void weft_wake_post(struct weft_wake *wake);

/* Forget a post that came before. */
void weft_wake_clear(struct weft_wake *wake);

/* Wait for a post, or take one that came before.
 * Returns 0, -ETIMEDOUT, -ECANCELED. Suspends */
int weft_wake_wait(struct weft_wake *wake, int64_t deadline_ns);

#endif
