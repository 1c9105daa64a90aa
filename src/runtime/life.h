/* SPDX-License-Identifier: MIT
 * life.h - the life of a task away from home: who may touch its record, and when it may be freed.
 *
 * Home may send a cancellation after the task while target sends its end back. The record must not
 * be freed under the cancellation, so target holds the end back until that has arrived. */
#ifndef WEFT_RUNTIME_LIFE_H
#define WEFT_RUNTIME_LIFE_H

#include <stdbool.h>

/* The model test compiles this file with operations of its own, which it interleaves. */
#ifndef WEFT_MODEL
#define weft_life_load(at)         __atomic_load_n(at, __ATOMIC_ACQUIRE)
#define weft_life_store(at, value) __atomic_store_n(at, value, __ATOMIC_RELEASE)
#define weft_life_replace(at, expected, value)                                                     \
    __atomic_compare_exchange_n(at, expected, value, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)
#endif

enum weft_life_state {
    WEFT_LIFE_RUNNING,    /* or on its way to target */
    WEFT_LIFE_CANCELLING, /* the cancellation is on its way */
    WEFT_LIFE_CANCELLED,
    WEFT_LIFE_ENDED,
};

/* All zero is a running task. */
struct weft_life {
    unsigned state;
    bool ended_early; /* target's own: it ended while a cancellation was on its way */
};

static inline bool weft_life_advance(struct weft_life *life, unsigned from, unsigned to)
{
    return weft_life_replace(&life->state, &from, to);
}

/* Home, before it sends a cancellation. False: it must not, there was one, or the end is here. */
static inline bool weft_life_cancel(struct weft_life *life)
{
    return weft_life_advance(life, WEFT_LIFE_RUNNING, WEFT_LIFE_CANCELLING);
}

/* Home, when the task is on its way to nobody yet: cancelled without mail. */
static inline bool weft_life_cancel_at_once(struct weft_life *life)
{
    return weft_life_advance(life, WEFT_LIFE_RUNNING, WEFT_LIFE_CANCELLED);
}

/* Target, when it starts the task. */
static inline bool weft_life_cancelled(struct weft_life *life)
{
    return weft_life_load(&life->state) == WEFT_LIFE_CANCELLED;
}

/* Target, when the cancellation arrives. True: the task has ended meanwhile, send the end home. */
static inline bool weft_life_cancel_arrived(struct weft_life *life)
{
    if (life->ended_early)
        return true;
    weft_life_store(&life->state, WEFT_LIFE_CANCELLED);
    return false;
}

/* Target, when the task has ended. True: send the end home; false: once the cancellation is here.
 */
static inline bool weft_life_end(struct weft_life *life)
{
    if (weft_life_advance(life, WEFT_LIFE_RUNNING, WEFT_LIFE_ENDED) ||
        weft_life_advance(life, WEFT_LIFE_CANCELLED, WEFT_LIFE_ENDED))
        return true;
    life->ended_early = true;
    return false;
}

#endif
