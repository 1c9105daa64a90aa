/* SPDX-License-Identifier: MIT
 * priority_queue.c - see weft/queue.h.
 *
 * The heap orders small entries; items stay where they are. Entries past count name the places
 * that are free. Invariants, while the guard is not held: pushers wait only while the queue is
 * full, poppers only while it is empty; whoever changes that serves the first of them. */
#include <runtime/case.h>

#include <weft/queue.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ITEM_BYTES_MAX ((size_t)4096)

struct weft_queue_entry {
    int64_t priority;
    uint64_t sequence;
    size_t place;
};

/* What a waiting pusher brings. */
struct offer {
    const void *item;
    int64_t priority;
};

int weft_priority_queue_init(struct weft_priority_queue *queue, size_t item_bytes, size_t capacity,
                             enum weft_sharing sharing)
{
    struct weft_guard guard;
    *queue = (struct weft_priority_queue){0};
    if (item_bytes == 0 || item_bytes > ITEM_BYTES_MAX || capacity == 0 ||
        capacity > SIZE_MAX / ITEM_BYTES_MAX)
        return -EINVAL;
    int err = weft_guard_init(&guard, sharing);
    if (err < 0)
        return err;
    struct weft_queue_entry *heap = malloc(capacity * sizeof *heap);
    unsigned char *items = malloc(capacity * item_bytes);
    if (!heap || !items) {
        free(heap);
        free(items);
        return -ENOMEM;
    }
    for (size_t i = 0; i < capacity; i++)
        heap[i].place = i;
    *queue = (struct weft_priority_queue){
        .heap = heap,
        .items = items,
        .item_bytes = item_bytes,
        .capacity = capacity,
        .guard = guard,
    };
    weft_list_init(&queue->pushers);
    weft_list_init(&queue->poppers);
    return 0;
}

void weft_priority_queue_deinit(struct weft_priority_queue *queue)
{
    free(queue->heap);
    free(queue->items);
    queue->heap = NULL;
    queue->items = NULL;
    queue->count = queue->capacity = 0;
    queue->closed = -EBADF;
    weft_list_init(&queue->pushers);
    weft_list_init(&queue->poppers);
}

/* ---- the heap -------------------------------------------------------------------------- */

static bool before(const struct weft_queue_entry *a, const struct weft_queue_entry *b)
{
    return a->priority != b->priority ? a->priority < b->priority : a->sequence < b->sequence;
}

static void *item_at(const struct weft_priority_queue *queue, size_t place)
{
    return queue->items + place * queue->item_bytes;
}

static void insert(struct weft_priority_queue *queue, const struct offer *offer)
{
    struct weft_queue_entry *heap = queue->heap;
    size_t at = queue->count++;
    struct weft_queue_entry entry = {offer->priority, queue->sequence++, heap[at].place};
    memcpy(item_at(queue, entry.place), offer->item, queue->item_bytes);
    while (at > 0 && before(&entry, &heap[(at - 1) / 2])) {
        heap[at] = heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    heap[at] = entry;
}

static void take_first(struct weft_priority_queue *queue, void *ret_item)
{
    struct weft_queue_entry *heap = queue->heap;
    size_t place = heap[0].place, at = 0, count = --queue->count;
    struct weft_queue_entry last = heap[count];
    memcpy(ret_item, item_at(queue, place), queue->item_bytes);
    heap[count].place = place; /* free again; when it was the only one, it is itself */
    for (;;) {
        size_t child = at * 2 + 1;
        if (child + 1 < count && before(&heap[child + 1], &heap[child]))
            child++;
        if (child >= count || !before(&heap[child], &last))
            break;
        heap[at] = heap[child];
        at = child;
    }
    if (count > 0)
        heap[at] = last;
}

/* ---- under the guard ------------------------------------------------------------------- */

/* Returns 0, WEFT_WOULD_WAIT, or why not. *ret_served is then to be woken. */
static int push_now(struct weft_priority_queue *queue, const struct offer *offer,
                    struct weft_waiter **ret_served)
{
    if (queue->closed)
        return queue->closed;
    struct weft_waiter *popper = weft_claim_first(&queue->poppers);
    *ret_served = popper;
    if (popper)
        memcpy(popper->target, offer->item, queue->item_bytes);
    else if (queue->count < queue->capacity)
        insert(queue, offer);
    else
        return WEFT_WOULD_WAIT;
    return 0;
}

static int pop_now(struct weft_priority_queue *queue, void *ret_item,
                   struct weft_waiter **ret_served)
{
    if (queue->count == 0)
        return queue->closed ? queue->closed : WEFT_WOULD_WAIT;
    take_first(queue, ret_item);
    struct weft_waiter *pusher = weft_claim_first(&queue->pushers);
    if (pusher)
        insert(queue, pusher->source);
    *ret_served = pusher;
    return 0;
}

/* ---- the calls ------------------------------------------------------------------------- */

static int finish(struct weft_priority_queue *queue, struct weft_fiber *self,
                  const struct weft_waiter *served, int64_t deadline_ns, int err)
{
    weft_guard_leave(&queue->guard);
    if (served)
        weft_wake(served->fiber, 0);
    weft_spend(self, deadline_ns);
    return err;
}

int weft_priority_queue_push(struct weft_priority_queue *queue, const void *item, int64_t priority,
                             int64_t deadline_ns)
{
    const struct offer offer = {item, priority};
    struct weft_fiber *self;
    struct weft_waiter *served = NULL;
    int err = weft_enter_anywhere(&self);
    if (err == 0)
        err = weft_guard_admit(&queue->guard);
    if (err < 0)
        return err;
    err = push_now(queue, &offer, &served);
    if (err != WEFT_WOULD_WAIT)
        return finish(queue, self, served, deadline_ns, err);
    struct weft_waiter waiter = {.source = &offer};
    return weft_wait_turn(self, &queue->guard, &queue->pushers, &waiter, deadline_ns,
                          "room in a priority queue");
}

int weft_priority_queue_pop(struct weft_priority_queue *queue, void *ret_item, int64_t deadline_ns)
{
    struct weft_fiber *self;
    struct weft_waiter *served = NULL;
    int err = weft_enter_anywhere(&self);
    if (err == 0)
        err = weft_guard_admit(&queue->guard);
    if (err < 0)
        return err;
    err = pop_now(queue, ret_item, &served);
    if (err != WEFT_WOULD_WAIT)
        return finish(queue, self, served, deadline_ns, err);
    struct weft_waiter waiter = {.target = ret_item};
    return weft_wait_turn(self, &queue->guard, &queue->poppers, &waiter, deadline_ns,
                          "an item from a priority queue");
}

int weft_priority_queue_close(struct weft_priority_queue *queue, int reason)
{
    struct weft_link claimed;
    int err = weft_guard_admit(&queue->guard);
    if (err < 0)
        return err;
    weft_list_init(&claimed);
    if (!queue->closed) {
        queue->closed = reason < 0 ? reason : -EPIPE;
        weft_claim_all(&queue->pushers, &claimed);
        weft_claim_all(&queue->poppers, &claimed);
    }
    reason = queue->closed;
    weft_guard_leave(&queue->guard);
    weft_wake_claimed(&claimed, reason);
    return 0;
}

int64_t weft_priority_queue_len(struct weft_priority_queue *queue)
{
    int err = weft_guard_admit(&queue->guard);
    if (err < 0)
        return err;
    int64_t len = (int64_t)queue->count;
    weft_guard_leave(&queue->guard);
    return len;
}

/* ---- in weft_select -------------------------------------------------------------------- */

static int attempt_pop(struct weft_case *c, struct weft_waiter **ret_served)
{
    return pop_now(c->object, c->target, ret_served);
}

static bool ready_to_pop(const struct weft_case *c, const struct weft_fiber *self)
{
    const struct weft_priority_queue *queue = c->object;
    (void)self; /* pushers wait only while there is something to pop */
    return queue->closed || queue->count > 0;
}

static struct weft_link *poppers(struct weft_case *c)
{
    struct weft_priority_queue *queue = c->object;
    return &queue->poppers;
}

struct weft_case weft_case_pop(struct weft_priority_queue *queue, void *ret_item)
{
    static const struct weft_case_ops ops = {
        .attempt = attempt_pop, .ready = ready_to_pop, .queue = poppers};
    return (struct weft_case){
        .ops = &ops, .object = queue, .guard = &queue->guard, .target = ret_item};
}
