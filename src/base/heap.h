/* SPDX-License-Identifier: MIT
 * heap.h - the timers of one worker: an intrusive pairing heap, first in first out among equal
 * deadlines.
 *
 * Nothing is allocated, so arming a timer cannot fail. Most timers are cancelled before they
 * fire, and most come with rising deadlines: such a timer is a leaf directly under the root, and
 * both push and remove are O(1). Taking the first out is O(log n) amortised.
 * Source: Fredman, Sedgewick, Sleator, Tarjan, "The pairing heap", Algorithmica 1986. */
#ifndef WEFT_BASE_HEAP_H
#define WEFT_BASE_HEAP_H

#include <weft/parts.h>

#include <stdbool.h>

/* All zero is an empty heap. */
struct weft_heap {
    struct weft_timer *root;
    uint64_t sequence;
};

/* Insert a timer that is in no heap; its deadline_ns is set, its links are zero. */
void weft_heap_push(struct weft_heap *heap, struct weft_timer *timer);

/* Take a timer out; nothing happens when it is in no heap. */
void weft_heap_remove(struct weft_heap *heap, struct weft_timer *timer);

/* The timer with the earliest deadline, NULL when there is none. */
static inline struct weft_timer *weft_heap_first(const struct weft_heap *heap)
{
    return heap->root;
}

/* Whether the timer is in a heap. */
static inline bool weft_timer_armed(const struct weft_timer *timer)
{
    return timer->prev != NULL;
}

#endif
