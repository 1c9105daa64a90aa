/* SPDX-License-Identifier: MIT
 * channel.c - see weft/channel.h.
 *
 * Invariants: senders wait only while the ring is full, receivers only while it is empty and no
 * sender waits; whoever frees a place or brings an item serves the first waiter itself, so nobody
 * overtakes. */
#include <runtime/worker.h>

#include <weft/channel.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ITEM_BYTES_MAX ((size_t)4096)

int weft_channel_init(struct weft_channel *channel, size_t item_bytes, size_t capacity)
{
    if (item_bytes == 0 || item_bytes > ITEM_BYTES_MAX || capacity > SIZE_MAX / ITEM_BYTES_MAX)
        return -EINVAL;
    unsigned char *items = NULL;
    if (capacity > 0) {
        items = malloc(item_bytes * capacity);
        if (!items)
            return -ENOMEM;
    }
    *channel = (struct weft_channel){
        .items = items,
        .item_bytes = item_bytes,
        .capacity = capacity,
    };
    weft_list_init(&channel->senders);
    weft_list_init(&channel->receivers);
    return 0;
}

void weft_channel_deinit(struct weft_channel *channel)
{
    free(channel->items);
    channel->items = NULL;
}

static void ring_push(struct weft_channel *channel, const void *item)
{
    size_t at = channel->head + channel->count;
    if (at >= channel->capacity)
        at -= channel->capacity;
    memcpy(channel->items + at * channel->item_bytes, item, channel->item_bytes);
    channel->count++;
}

static void ring_pop(struct weft_channel *channel, void *ret_item)
{
    memcpy(ret_item, channel->items + channel->head * channel->item_bytes, channel->item_bytes);
    channel->head = channel->head + 1 == channel->capacity ? 0 : channel->head + 1;
    channel->count--;
}

/* The longest waiting fiber of a list, claimed; NULL when there is none. */
static struct weft_waiter *claim_first(struct weft_link *list)
{
    while (!weft_list_empty(list)) {
        struct weft_waiter *waiter = weft_container_of(list->next, struct weft_waiter, link);
        weft_list_unlink(&waiter->link);
        if (weft_claim(waiter->fiber))
            return waiter;
    }
    return NULL;
}

/* Send without waiting. Returns 0, -EAGAIN, or why the channel is closed. */
static int try_send(struct weft_channel *channel, const void *item)
{
    if (channel->closed)
        return channel->closed;
    struct weft_waiter *receiver = claim_first(&channel->receivers);
    if (receiver) {
        memcpy(receiver->target, item, channel->item_bytes);
        weft_wake(receiver->fiber, 0);
        return 0;
    }
    if (channel->count == channel->capacity)
        return -EAGAIN;
    ring_push(channel, item);
    return 0;
}

/* Receive without waiting. Returns 0, -EAGAIN, or why the channel is closed. */
static int try_receive(struct weft_channel *channel, void *ret_item)
{
    bool from_ring = channel->count > 0;
    if (from_ring)
        ring_pop(channel, ret_item);
    struct weft_waiter *sender = claim_first(&channel->senders);
    if (sender && from_ring)
        ring_push(channel, sender->source);
    else if (sender)
        memcpy(ret_item, sender->source, channel->item_bytes);
    if (sender)
        weft_wake(sender->fiber, 0);
    if (sender || from_ring)
        return 0;
    return channel->closed ? channel->closed : -EAGAIN;
}

int weft_send(struct weft_channel *channel, const void *item, int64_t deadline_ns)
{
    struct weft_fiber *self;
    int err = weft_enter(&self);
    if (err < 0)
        return err;
    err = try_send(channel, item);
    if (err != -EAGAIN) {
        weft_spend(self, deadline_ns);
        return err;
    }
    if (deadline_ns == WEFT_NOWAIT)
        return -EAGAIN;
    struct weft_waiter waiter = {.source = item};
    return weft_park_in(self, &channel->senders, &waiter, deadline_ns, WEFT_PARK_CANCELLABLE);
}

int weft_receive(struct weft_channel *channel, void *ret_item, int64_t deadline_ns)
{
    struct weft_fiber *self;
    int err = weft_enter(&self);
    if (err < 0)
        return err;
    err = try_receive(channel, ret_item);
    if (err != -EAGAIN) {
        weft_spend(self, deadline_ns);
        return err;
    }
    if (deadline_ns == WEFT_NOWAIT)
        return -EAGAIN;
    struct weft_waiter waiter = {.target = ret_item};
    return weft_park_in(self, &channel->receivers, &waiter, deadline_ns, WEFT_PARK_CANCELLABLE);
}

void weft_channel_close(struct weft_channel *channel, int reason)
{
    if (channel->closed)
        return;
    channel->closed = reason < 0 ? reason : -EPIPE;
    weft_wake_all(&channel->senders, channel->closed);
    weft_wake_all(&channel->receivers, channel->closed);
}
