/* SPDX-License-Identifier: MIT
 * channel.h - hand values from fiber to fiber, in order, with a bound.
 *
 * capacity 0 is a rendezvous: a send ends when a receiver has the item. Waiting senders and
 * receivers are served first come, first served. A channel belongs to one runtime thread. */
#ifndef WEFT_CHANNEL_H
#define WEFT_CHANNEL_H

#include <weft/scope.h>

WEFT_BEGIN_DECLS

struct weft_channel {
    unsigned char *items; /* ring of capacity items */
    size_t item_bytes, capacity, head, count;
    struct weft_link senders, receivers;
    int closed; /* 0 while open, then what receivers and senders are told */
};

/* Make a channel for items of item_bytes, at most 4 KiB each, copied in and out.
 * Returns  0, -EINVAL, -ENOMEM. Never suspends. Free it with weft_channel_deinit */
WEFT_API int weft_channel_init(struct weft_channel *channel, size_t item_bytes, size_t capacity);

/* Free the ring. Nobody may be waiting; items inside are dropped. Never suspends. */
WEFT_API void weft_channel_deinit(struct weft_channel *channel);

/* Put one item in. A checkpoint.
 * Returns  0; -ETIMEDOUT, -EAGAIN (WEFT_NOWAIT), -ECANCELED, all without effect; the reason the
 *          channel was closed with */
WEFT_API int weft_send(struct weft_channel *channel, const void *item, int64_t deadline_ns);

/* Take the oldest item out into ret_item, which is written only on success. A checkpoint.
 * Returns  0; -ETIMEDOUT, -EAGAIN (WEFT_NOWAIT), -ECANCELED; when the channel is closed and
 *          drained, the reason it was closed with */
WEFT_API int weft_receive(struct weft_channel *channel, void *ret_item, int64_t deadline_ns);

/* No more items: waiting and future senders get reason, receivers too once the ring is empty.
 * Items of senders that still wait are not taken. Idempotent: the first reason stays.
 *
 * reason  negative; 0 means -EPIPE. Never suspends */
WEFT_API void weft_channel_close(struct weft_channel *channel, int reason);

WEFT_END_DECLS

#endif
