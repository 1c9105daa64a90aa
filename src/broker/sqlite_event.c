/* SPDX-License-Identifier: MIT
 * sqlite_event.c - the latest events, for whoever waits for them. A transaction gathers its own;
 * they get their numbers, and can be seen, when it is durable. */
#include "sqlite_internal.h"

#include <runtime/wait.h>
#include <runtime/worker.h>

#include <stdlib.h>

_Static_assert((SQLITE_EVENTS & (SQLITE_EVENTS - 1)) == 0, "numbers are taken modulo");

int weft_sqlite_events_init(struct sqlite_events *events)
{
    events->ring = calloc(SQLITE_EVENTS, sizeof *events->ring);
    if (!events->ring)
        return -ENOMEM;
    weft_list_init(&events->waiting);
    return weft_guard_init(&events->guard, WEFT_SHARED);
}

void weft_sqlite_events_deinit(struct sqlite_events *events)
{
    free(events->ring);
    free(events->pending);
    events->ring = events->pending = NULL;
}

void weft_sqlite_tell(struct sqlite_writer *writer, const struct weft_broker_event *event)
{
    struct sqlite_events *events = &writer->events;
    struct weft_broker_event *pending = weft_sqlite_grow(
        events->pending, events->pending_count, &events->pending_capacity, sizeof *pending);
    if (!pending) {
        writer->memory = SQLITE_NOMEM;
        return;
    }
    events->pending = pending;
    pending[events->pending_count++] = *event;
}

void weft_sqlite_events_publish(struct sqlite_events *events)
{
    struct weft_link claimed;
    if (events->pending_count == 0)
        return;
    weft_list_init(&claimed);
    weft_guard_enter(&events->guard);
    for (size_t i = 0; i < events->pending_count; i++) {
        struct weft_broker_event *event = &events->ring[++events->last & (SQLITE_EVENTS - 1)];
        *event = events->pending[i];
        event->number = events->last;
    }
    weft_claim_all(&events->waiting, &claimed);
    weft_guard_leave(&events->guard);
    events->pending_count = 0;
    weft_wake_claimed(&claimed, 0);
}

/* Events are there from the one after this on. With the guard. */
static uint64_t before_oldest(const struct sqlite_events *events)
{
    uint64_t kept = events->last - events->opened;
    return events->last - (kept < SQLITE_EVENTS ? kept : SQLITE_EVENTS);
}

/* With the guard. Returns their number, 0: there are none yet; -ESTALE. */
static int take(const struct sqlite_events *events, uint64_t after,
                struct weft_broker_event *ret_events, size_t max, uint64_t *ret_oldest)
{
    uint64_t oldest = before_oldest(events);
    if (after < oldest || after > events->last) {
        *ret_oldest = oldest;
        return -ESTALE;
    }
    size_t count = 0;
    while (count < max && after + count < events->last) {
        ret_events[count] = events->ring[(after + count + 1) & (SQLITE_EVENTS - 1)];
        count++;
    }
    return (int)count;
}

int weft_sqlite_events(struct weft_broker *broker, uint64_t after, struct weft_broker_event *events,
                       size_t max, int64_t deadline_ns, uint64_t *ret_oldest)
{
    struct sqlite_events *ring = &weft_sqlite_of(broker)->writer.events;
    struct weft_fiber *self;
    struct weft_waiter waiter;
    if (max == 0)
        return -EINVAL;
    max = max < SQLITE_EVENTS ? max : SQLITE_EVENTS;
    for (;;) {
        int result = weft_enter_anywhere(&self);
        if (result < 0)
            return result;
        weft_guard_enter(&ring->guard);
        result = take(ring, after, events, max, ret_oldest);
        if (result != 0) {
            weft_guard_leave(&ring->guard);
            weft_spend(self, deadline_ns);
            return result;
        }
        result = weft_wait_turn(self, &ring->guard, &ring->waiting, &waiter, deadline_ns,
                                "events of jobs");
        if (result < 0)
            return result;
    }
}

uint64_t weft_sqlite_events_last(struct weft_broker *broker)
{
    struct sqlite_events *events = &weft_sqlite_of(broker)->writer.events;
    weft_guard_enter(&events->guard);
    uint64_t last = events->last;
    weft_guard_leave(&events->guard);
    return last;
}
