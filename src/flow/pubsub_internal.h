/* SPDX-License-Identifier: MIT
 * pubsub_internal.h - a bus and what is on it; between pubsub.c and pubsub_publish.c.
 *
 * One guard for all of a bus. Under it waiters are only claimed, into a struct weft_bus_wakes, and
 * woken after it was left (weft_bus_leave). A subscription lives until its last user is gone: the
 * handle, the handler's fiber, a receiver or a publisher that waits; a bus until it is closed and
 * its last subscription is gone. */
#ifndef WEFT_FLOW_PUBSUB_INTERNAL_H
#define WEFT_FLOW_PUBSUB_INTERNAL_H

#include <runtime/worker.h>

#include <weft/pubsub.h>

/* On the heap, with its topic and data behind it. */
struct message {
    struct weft_message seen; /* by the user */
    unsigned refs;            /* atomic */
    uint32_t pending;         /* handlers it was put before, that have not ended */
    bool awaited;             /* by its publisher */
    struct weft_publish_report report;
    struct weft_link waiting; /* the publisher */
    char text[];
};

/* Something that is subscribed to. */
struct topic {
    struct topic *next;             /* in a bucket */
    struct weft_link patterns;      /* in bus->patterns, when it is one */
    struct weft_link subscriptions; /* oldest first */
    char text[];
};

struct weft_subscription {
    struct weft_link in_topic; /* in topic->subscriptions; after its end in a publisher's list */
    struct weft_link in_bus;
    struct weft_bus *bus;
    struct topic *topic; /* NULL after its end */
    struct message **ring;
    uint32_t capacity, head, count;
    struct weft_link receivers;  /* target: struct message ** */
    struct weft_link publishers; /* target: their message */
    struct weft_link joiners;    /* of the handler's fiber */
    uint32_t users;
    struct weft_subscription_options options;
    struct weft_fiber *fiber;              /* the handler's, NULL before it runs and after */
    struct weft_scope *scope;              /* around it, likewise */
    bool running;                          /* the handler's fiber has not ended */
    const struct weft_subscription *joins; /* whose handler's end the handler waits for, or NULL */
    struct weft_subscription_snapshot counts;
    char name[WEFT_NAME_MAX + 1];
    char pattern[WEFT_TOPIC_MAX + 1];
};

struct weft_bus {
    struct weft_guard guard;
    struct topic **topics; /* hash table */
    uint32_t buckets;      /* a power of 2 */
    struct weft_link patterns;
    struct weft_link subscriptions; /* that have not ended */
    struct weft_link drainers;      /* in weft_bus_close */
    uint32_t refs;     /* subscriptions, ended ones too, publishers, and 1 until closed */
    uint32_t blocking; /* subscriptions that block */
    uint32_t blocked;  /* publishers that wait for room */
    bool closing, has_group;
    struct weft_group group; /* of the handlers */
    struct weft_bus_options options;
    struct weft_bus_snapshot counts;
    char name[WEFT_NAME_MAX + 1];
};

/* Who is to be woken after the guard was left: with 0, and with why a subscription has ended. */
struct weft_bus_wakes {
    struct weft_link done, ended;
    int reason;
};

void weft_bus_wakes_init(struct weft_bus_wakes *wakes);

/* Leave the guard and wake. The bus may be gone after this, unless the caller holds some of it. */
void weft_bus_leave(struct weft_bus *bus, struct weft_bus_wakes *wakes);

/* Under the guard: where a topic's bucket is. */
struct topic **weft_bus_bucket(const struct weft_bus *bus, const char *text);

/* Under the guard: end a subscription, which loses its queue and whoever waits at it. */
void weft_subscription_end(struct weft_subscription *subscription, int reason,
                           struct weft_bus_wakes *wakes);

/* Under the guard: one user less. The last frees it. */
void weft_subscription_drop_user(struct weft_subscription *subscription);

/* Under the guard: a handler has ended with the message, or it was dropped before (-ECANCELED). */
void weft_message_settle(struct weft_bus *bus, struct message *message, int result,
                         struct weft_bus_wakes *wakes);

/* Under the guard: put a message into a queue with room, or before who waits for one. */
void weft_subscription_push(struct weft_subscription *subscription, struct message *message,
                            struct weft_bus_wakes *wakes);

/* Under the guard: take the oldest out of the queue; room goes to the publisher who waits first. */
struct message *weft_subscription_pop(struct weft_subscription *subscription,
                                      struct weft_bus_wakes *wakes);

/* Not under the guard. */
void weft_bus_tell(const struct weft_bus *bus, struct weft_bus_event event);

#endif
