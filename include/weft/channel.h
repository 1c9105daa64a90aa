/* SPDX-License-Identifier: MIT
 * channel.h - hand values from fiber to fiber, in order, with a bound.
 *
 * capacity 0 is a rendezvous: a send ends when a receiver has the item. Any number of senders and
 * receivers; those that wait are served first come, first served, and nobody overtakes them. A
 * shared channel takes fibers of every worker and threads outside any runtime, which block. */
#ifndef WEFT_CHANNEL_H
#define WEFT_CHANNEL_H

#include <weft/scope.h>

WEFT_BEGIN_DECLS

struct weft_channel_block;

/* Storage is the caller's, the fields are private. */
struct weft_channel {
    unsigned char *items; /* ring of capacity items */
    size_t item_bytes, capacity, head, count;
    struct weft_link senders, receivers;
    struct weft_guard guard;
    size_t items_max; /* 0: the ring is all there is */
    int closed;       /* 0 while open, then what receivers and senders are told */
    struct weft_channel_block *first, *last; /* unbounded: what came after the ring was full */
    size_t more;                             /* items in them */
};

struct weft_channel_options {
    size_t item_bytes;         /* 1 to 4096; items are copied in and out */
    size_t capacity;           /* items it holds; 0: a rendezvous. Unbounded: room to begin with */
    int unbounded;             /* 1: a send never waits; room is added when it is full */
    size_t items_max;          /* unbounded: then WEFT_EFULL; 0 means 1,048,576 */
    enum weft_sharing sharing; /* 0 means WEFT_AUTO */
};

/* Make a channel for items of item_bytes, at most 4 KiB each, copied in and out.
 *
 * capacity  items it holds; 0: a rendezvous
 * Returns   0, -EINVAL (sizes), -ENOMEM, -EPERM (WEFT_LOCAL outside a runtime)
 * Ownership the ring is freed by weft_channel_deinit
 * Threads   any; the channel is shared as enum weft_sharing says. Never suspends */
WEFT_API int weft_channel_init(struct weft_channel *channel, size_t item_bytes, size_t capacity);
WEFT_API int weft_channel_init_with(struct weft_channel *channel,
                                    const struct weft_channel_options *options);

/* Free what the channel has allocated. Nobody may be waiting; items inside are dropped. Calls that
 * come later find the channel closed, with -EBADF, and empty. Never suspends. */
WEFT_API void weft_channel_deinit(struct weft_channel *channel);

/* Put one item in; *item is copied. A checkpoint.
 *
 * Returns  0; -ETIMEDOUT, -EAGAIN (WEFT_NOWAIT), -ECANCELED, all without effect; the reason the
 *          channel was closed with; -EPERM (local to another worker); WEFT_EFULL (unbounded, at
 *          items_max), -ENOMEM (unbounded)
 * Suspends while the channel is full, on a rendezvous until a receiver has the item; a thread
 *          outside any runtime blocks */
WEFT_API int weft_send(struct weft_channel *channel, const void *item, int64_t deadline_ns);

/* Take the oldest item out into ret_item, which is written only on success. A checkpoint.
 *
 * Returns  0; -ETIMEDOUT, -EAGAIN (WEFT_NOWAIT), -ECANCELED, all without effect; when the channel
 *          is closed and drained, the reason it was closed with; -EPERM (local to another worker)
 * Suspends while the channel is empty; a thread outside any runtime blocks */
WEFT_API int weft_receive(struct weft_channel *channel, void *ret_item, int64_t deadline_ns);

/* No more items: waiting and future senders get reason, receivers too once the ring is empty.
 * Items of senders that still wait are not taken. Idempotent: the first reason stays.
 *
 * reason   negative; 0 means -EPIPE
 * Returns  0, -EPERM (local to another worker). Never suspends, never fails by a cancel */
WEFT_API int weft_channel_close(struct weft_channel *channel, int reason);

/* Items in the ring now, without those of waiting senders; -EPERM (local to another worker).
 * Of a shared channel it may be out of date at once. Never suspends. */
WEFT_API int64_t weft_channel_len(struct weft_channel *channel);

WEFT_END_DECLS

#endif
