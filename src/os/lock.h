/* SPDX-License-Identifier: MIT
 * lock.h - a lock of one word for a few instructions at a time, and sleeping on a word.
 *
 * Nobody suspends a fiber while holding it. Source of the three states: Drepper, "Futexes Are
 * Tricky", 2011, mutex 2. */
#ifndef WEFT_OS_LOCK_H
#define WEFT_OS_LOCK_H

#include <stdbool.h>
#include <stdint.h>

/* Sleep while *word is expected, until deadline_ns on CLOCK_MONOTONIC (INT64_MAX: no limit).
 * May return without need. Returns false once the deadline is over. */
bool weft_futex_wait(unsigned *word, unsigned expected, int64_t deadline_ns);
void weft_futex_wake_one(unsigned *word);
void weft_futex_wake_all(unsigned *word); /* allowed in a signal handler */

void weft_lock_slow(unsigned *lock);

/* 0 is an unlocked lock. */
static inline void weft_lock(unsigned *lock)
{
    unsigned unlocked = 0;
    if (!__atomic_compare_exchange_n(lock, &unlocked, 1, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
        weft_lock_slow(lock);
}

static inline void weft_unlock(unsigned *lock)
{
    if (__atomic_exchange_n(lock, 0, __ATOMIC_RELEASE) == 2)
        weft_futex_wake_one(lock);
}

#endif
