/* SPDX-License-Identifier: MIT
 * channel.c - see weft/channel.h.
 *
 * Invariants, while the guard is not held: senders wait only while the ring is full, receivers
 * only while it is empty and no sender waits; whoever frees a place or brings an item serves the
 * first waiter itself, so nobody overtakes. It wakes whom it has served after leaving the guard.
 *
 * What an unbounded channel's ring has no room for goes into a chain of blocks; a ring that has run
 * empty is given up for the first of them. No item is ever moved, and nothing is allocated under
 * the guard that is larger than BLOCK_BYTES_MAX, so nobody is kept from the channel by its growing.
 */
#include <runtime/case.h>

#include <weft/channel.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ITEM_BYTES_MAX    ((size_t)4096)
#define ITEMS_MAX_DEFAULT ((size_t)1 << 20)
#define ROOM_DEFAULT      ((size_t)16)
#define BLOCK_BYTES_MAX   ((size_t)64 << 10)

/* Becomes the ring one day. */
struct weft_channel_block {
    struct weft_channel_block *next;
    unsigned char *items;
    size_t capacity, count;
};

int weft_channel_init_with(struct weft_channel *channel, const struct weft_channel_options *options)
{
    size_t item_bytes = options->item_bytes, capacity = options->capacity, items_max = 0;
    struct weft_guard guard;
    *channel = (struct weft_channel){0};
    if (options->unbounded) {
        items_max = options->items_max ? options->items_max : ITEMS_MAX_DEFAULT;
        if (capacity == 0)
            capacity = items_max < ROOM_DEFAULT ? items_max : ROOM_DEFAULT;
    }
    if (item_bytes == 0 || item_bytes > ITEM_BYTES_MAX || capacity > SIZE_MAX / ITEM_BYTES_MAX ||
        items_max > SIZE_MAX / ITEM_BYTES_MAX || (items_max > 0 && capacity > items_max))
        return -EINVAL;
    int err = weft_guard_init(&guard, options->sharing);
    if (err < 0)
        return err;
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
        .guard = guard,
        .items_max = items_max,
    };
    weft_list_init(&channel->senders);
    weft_list_init(&channel->receivers);
    return 0;
}

int weft_channel_init(struct weft_channel *channel, size_t item_bytes, size_t capacity)
{
    const struct weft_channel_options options = {.item_bytes = item_bytes, .capacity = capacity};
    return weft_channel_init_with(channel, &options);
}

void weft_channel_deinit(struct weft_channel *channel)
{
    while (channel->first) {
        struct weft_channel_block *block = channel->first;
        channel->first = block->next;
        free(block->items);
        free(block);
    }
    free(channel->items);
    *channel = (struct weft_channel){.guard = channel->guard, .closed = -EBADF};
    weft_list_init(&channel->senders);
    weft_list_init(&channel->receivers);
}

/* ---- the ring -------------------------------------------------------------------------- */

/* Most items are a pointer or a number: for those it is one move instead of a call. */
static inline void copy_item(const struct weft_channel *channel, void *to, const void *from)
{
    if (channel->item_bytes == sizeof(uint64_t))
        memcpy(to, from, sizeof(uint64_t));
    else
        memcpy(to, from, channel->item_bytes);
}

static inline void ring_push(struct weft_channel *channel, const void *item)
{
    size_t at = channel->head + channel->count;
    if (at >= channel->capacity)
        at -= channel->capacity;
    copy_item(channel, channel->items + at * channel->item_bytes, item);
    channel->count++;
}

static inline void ring_pop(struct weft_channel *channel, void *ret_item)
{
    copy_item(channel, ret_item, channel->items + channel->head * channel->item_bytes);
    channel->head = channel->head + 1 == channel->capacity ? 0 : channel->head + 1;
    channel->count--;
}

/* ---- the blocks ------------------------------------------------------------------------ */

/* Twice what there was last, up to BLOCK_BYTES_MAX and to items_max, which is then what bounds the
 * ring that it becomes. Returns NULL: no memory. */
static struct weft_channel_block *add_block(struct weft_channel *channel)
{
    size_t items_max = BLOCK_BYTES_MAX / channel->item_bytes;
    if (items_max > channel->items_max)
        items_max = channel->items_max;
    size_t before = channel->last ? channel->last->capacity : channel->capacity;
    size_t capacity = before < items_max / 2 ? before * 2 : items_max;
    struct weft_channel_block *block = malloc(sizeof *block);
    unsigned char *items = malloc(capacity * channel->item_bytes);
    if (!block || !items) {
        free(block);
        free(items);
        return NULL;
    }
    *block = (struct weft_channel_block){.items = items, .capacity = capacity};
    if (channel->last)
        channel->last->next = block;
    else
        channel->first = block;
    channel->last = block;
    return block;
}

/* Behind a full ring. Returns 0, WEFT_EFULL, -ENOMEM */
static int push_more(struct weft_channel *channel, const void *item)
{
    struct weft_channel_block *block = channel->last;
    if (channel->count + channel->more >= channel->items_max)
        return WEFT_EFULL;
    if (!block || block->count == block->capacity)
        block = add_block(channel);
    if (!block)
        return -ENOMEM;
    copy_item(channel, block->items + block->count++ * channel->item_bytes, item);
    channel->more++;
    return 0;
}

/* The ring is empty: have the first block in its place. */
static void next_block(struct weft_channel *channel)
{
    struct weft_channel_block *block = channel->first;
    free(channel->items);
    channel->items = block->items;
    channel->capacity = block->capacity;
    channel->head = 0;
    channel->count = block->count;
    channel->more -= block->count;
    channel->first = block->next;
    if (!block->next)
        channel->last = NULL;
    free(block);
}

/* ---- under the guard ------------------------------------------------------------------- */

/* Returns 0, WEFT_WOULD_WAIT, or why not. *ret_served is then to be woken. */
static inline int send_now(struct weft_channel *channel, const void *item,
                           struct weft_waiter **ret_served)
{
    if (channel->closed)
        return channel->closed;
    struct weft_waiter *receiver = weft_claim_first(&channel->receivers);
    if (receiver) {
        copy_item(channel, receiver->target, item);
        *ret_served = receiver;
        return 0;
    }
    if (channel->count == channel->capacity || channel->last)
        return channel->items_max ? push_more(channel, item) : WEFT_WOULD_WAIT;
    ring_push(channel, item);
    return 0;
}

static inline int receive_now(struct weft_channel *channel, void *ret_item,
                              struct weft_waiter **ret_served)
{
    bool from_ring = channel->count > 0;
    if (from_ring)
        ring_pop(channel, ret_item);
    if (channel->count == 0 && channel->first)
        next_block(channel);
    struct weft_waiter *sender = weft_claim_first(&channel->senders);
    if (sender && from_ring)
        ring_push(channel, sender->source);
    else if (sender)
        copy_item(channel, ret_item, sender->source);
    *ret_served = sender;
    if (sender || from_ring)
        return 0;
    return channel->closed ? channel->closed : WEFT_WOULD_WAIT;
}

/* ---- the calls ------------------------------------------------------------------------- */

/* Leave the guard after an operation that did not have to wait. */
static inline int finish(struct weft_channel *channel, struct weft_fiber *self,
                         const struct weft_waiter *served, int64_t deadline_ns, int err)
{
    weft_guard_leave(&channel->guard);
    if (served)
        weft_wake(served->fiber, 0);
    weft_spend(self, deadline_ns);
    return err;
}

/* Apart, so that whoever need not wait sets up no waiter. */
__attribute__((noinline)) static int wait_to_send(struct weft_channel *channel,
                                                  struct weft_fiber *self, const void *item,
                                                  int64_t deadline_ns)
{
    struct weft_waiter waiter;
    waiter.source = item;
    return weft_wait_turn(self, &channel->guard, &channel->senders, &waiter, deadline_ns,
                          "room in a channel");
}

__attribute__((noinline)) static int wait_to_receive(struct weft_channel *channel,
                                                     struct weft_fiber *self, void *ret_item,
                                                     int64_t deadline_ns)
{
    struct weft_waiter waiter;
    waiter.target = ret_item;
    return weft_wait_turn(self, &channel->guard, &channel->receivers, &waiter, deadline_ns,
                          "an item from a channel");
}

int weft_send(struct weft_channel *channel, const void *item, int64_t deadline_ns)
{
    struct weft_fiber *self;
    struct weft_waiter *served = NULL;
    int err = weft_enter_anywhere(&self);
    if (err == 0)
        err = weft_guard_admit(&channel->guard);
    if (err < 0)
        return err;
    err = send_now(channel, item, &served);
    if (err != WEFT_WOULD_WAIT)
        return finish(channel, self, served, deadline_ns, err);
    return wait_to_send(channel, self, item, deadline_ns);
}

int weft_receive(struct weft_channel *channel, void *ret_item, int64_t deadline_ns)
{
    struct weft_fiber *self;
    struct weft_waiter *served = NULL;
    int err = weft_enter_anywhere(&self);
    if (err == 0)
        err = weft_guard_admit(&channel->guard);
    if (err < 0)
        return err;
    err = receive_now(channel, ret_item, &served);
    if (err != WEFT_WOULD_WAIT)
        return finish(channel, self, served, deadline_ns, err);
    return wait_to_receive(channel, self, ret_item, deadline_ns);
}

int weft_channel_close(struct weft_channel *channel, int reason)
{
    struct weft_link claimed;
    int err = weft_guard_admit(&channel->guard);
    if (err < 0)
        return err;
    weft_list_init(&claimed);
    if (!channel->closed) {
        channel->closed = reason < 0 ? reason : -EPIPE;
        weft_claim_all(&channel->senders, &claimed);
        weft_claim_all(&channel->receivers, &claimed);
    }
    reason = channel->closed;
    weft_guard_leave(&channel->guard);
    weft_wake_claimed(&claimed, reason);
    return 0;
}

int64_t weft_channel_len(struct weft_channel *channel)
{
    int err = weft_guard_admit(&channel->guard);
    if (err < 0)
        return err;
    int64_t len = (int64_t)(channel->count + channel->more);
    weft_guard_leave(&channel->guard);
    return len;
}

/* ---- in weft_select -------------------------------------------------------------------- */

static int attempt_send(struct weft_case *c, struct weft_waiter **ret_served)
{
    return send_now(c->object, c->source, ret_served);
}

static bool ready_to_send(const struct weft_case *c, const struct weft_fiber *self)
{
    struct weft_channel *channel = c->object;
    return channel->closed || channel->count < channel->capacity || channel->items_max ||
           weft_another_waits(&channel->receivers, self);
}

static struct weft_link *senders(struct weft_case *c)
{
    struct weft_channel *channel = c->object;
    return &channel->senders;
}

static int attempt_receive(struct weft_case *c, struct weft_waiter **ret_served)
{
    return receive_now(c->object, c->target, ret_served);
}

static bool ready_to_receive(const struct weft_case *c, const struct weft_fiber *self)
{
    struct weft_channel *channel = c->object;
    return channel->closed || channel->count > 0 || weft_another_waits(&channel->senders, self);
}

static struct weft_link *receivers(struct weft_case *c)
{
    struct weft_channel *channel = c->object;
    return &channel->receivers;
}

struct weft_case weft_case_send(struct weft_channel *channel, const void *item)
{
    static const struct weft_case_ops ops = {
        .attempt = attempt_send, .ready = ready_to_send, .queue = senders};
    return (struct weft_case){
        .ops = &ops, .object = channel, .guard = &channel->guard, .source = item};
}

struct weft_case weft_case_receive(struct weft_channel *channel, void *ret_item)
{
    static const struct weft_case_ops ops = {
        .attempt = attempt_receive, .ready = ready_to_receive, .queue = receivers};
    return (struct weft_case){
        .ops = &ops, .object = channel, .guard = &channel->guard, .target = ret_item};
}
