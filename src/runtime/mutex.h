/* SPDX-License-Identifier: MIT
 * mutex.h - what a condition needs of a mutex, beside weft/sync.h. */
#ifndef WEFT_RUNTIME_MUTEX_H
#define WEFT_RUNTIME_MUTEX_H

#include <runtime/worker.h>

#include <weft/sync.h>

/* Lock after having held and unlocked it: no cancellation and no deadline keeps from it. */
void weft_mutex_lock_again(struct weft_mutex *mutex, struct weft_fiber *self);

#endif
