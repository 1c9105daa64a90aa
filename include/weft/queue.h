/* SPDX-License-Identifier: MIT
 * queue.h - a bounded priority queue between fibers: the most urgent item comes out first.
 *
 * Lower numbers are more urgent; among equals, first in is first out. Callers that wait, to push or
 * to pop, are served first come, first served; an item is in the order from when it got a place. */
#ifndef WEFT_QUEUE_H
#define WEFT_QUEUE_H

#include <weft/parts.h>

WEFT_BEGIN_DECLS

struct weft_queue_entry;

/* Storage is the caller's, the fields are private. */
struct weft_priority_queue {
    struct weft_queue_entry *heap; /* capacity entries, the first count of them in heap order */
    unsigned char *items;          /* capacity places, each named by one entry */
    size_t item_bytes, capacity, count;
    uint64_t sequence;
    struct weft_link pushers, poppers;
    struct weft_guard guard;
    int closed;
};

/* Make a queue for capacity items, at least 1, of item_bytes each, at most 4 KiB, copied in and
 * out.
 *
 * Returns   0, -EINVAL (sizes), -ENOMEM, -EPERM (WEFT_LOCAL outside a runtime)
 * Ownership its memory is freed by weft_priority_queue_deinit
 * Threads   any; the queue is shared as enum weft_sharing says. Never suspends */
WEFT_API int weft_priority_queue_init(struct weft_priority_queue *queue, size_t item_bytes,
                                      size_t capacity, enum weft_sharing sharing);

/* Free it. Nobody may be waiting; items inside are dropped. Calls that come later find the queue
 * closed, with -EBADF, and empty. Never suspends. */
WEFT_API void weft_priority_queue_deinit(struct weft_priority_queue *queue);

/* Put one item in; *item is copied. A checkpoint.
 *
 * priority any; the lowest comes out first
 * Returns  0; -ETIMEDOUT, -EAGAIN (WEFT_NOWAIT), -ECANCELED, all without effect; the reason the
 *          queue was closed with; -EPERM (local to another worker)
 * Suspends while the queue is full; a thread outside any runtime blocks */
WEFT_API int weft_priority_queue_push(struct weft_priority_queue *queue, const void *item,
                                      int64_t priority, int64_t deadline_ns);

/* Take the most urgent item out into ret_item, which is written only on success. A checkpoint.
 *
 * Returns  0; -ETIMEDOUT, -EAGAIN (WEFT_NOWAIT), -ECANCELED, all without effect; when the queue is
 *          closed and drained, the reason it was closed with; -EPERM (local to another worker)
 * Suspends while the queue is empty; a thread outside any runtime blocks */
WEFT_API int weft_priority_queue_pop(struct weft_priority_queue *queue, void *ret_item,
                                     int64_t deadline_ns);

/* No more items: waiting and future pushes get reason, pops too once the queue is empty.
 * Idempotent: the first reason stays.
 *
 * reason   negative; 0 means -EPIPE
 * Returns  0, -EPERM (local to another worker). Never suspends, never fails by a cancel */
WEFT_API int weft_priority_queue_close(struct weft_priority_queue *queue, int reason);

/* Items inside now; -EPERM (local to another worker). Never suspends. */
WEFT_API int64_t weft_priority_queue_len(struct weft_priority_queue *queue);

WEFT_END_DECLS

#endif
