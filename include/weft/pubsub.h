/* SPDX-License-Identifier: MIT
 * pubsub.h - tell whoever wants to know: a bus of topics, messages and subscriptions.
 *
 *     static int welcome(void *arg, const struct weft_message *message) { ... }
 *
 *     struct weft_bus *bus;
 *     weft_bus_open(&bus, NULL);
 *     weft_subscribe(bus, &(struct weft_subscription_options){.topic = "user.created",
 *                                                             .handler = welcome}, NULL);
 *     weft_publish(bus, "user.created", "42", 2, WEFT_FOREVER);  // every handler has ended
 *     weft_publish_nowait(bus, "user.seen", "42", 2);            // they will run
 *     weft_bus_close(bus, weft_now() + 10 * WEFT_SEC);
 *
 * A topic is words with dots between, at most WEFT_TOPIC_MAX bytes: "user.created". A subscription
 * may have wildcards: * stands for one word, > as the last word for one or more: "user.*", "user.>"
 * (NATS's rules). Words are any bytes above the space except '.', '*', '>' and 127.
 *
 * A subscription has a queue with a bound, and a rule for when it is full. It is received from
 * (pull), or has a handler, which runs on a fiber of the bus, one message after the other. The
 * messages of one publisher come in its order. The payload is copied once, for everybody. */
#ifndef WEFT_PUBSUB_H
#define WEFT_PUBSUB_H

#include <weft/parts.h>

WEFT_BEGIN_DECLS

#define WEFT_TOPIC_MAX 255

struct weft_bus;
struct weft_subscription;

/* Read only. A 0 byte stands after data. */
struct weft_message {
    const char *topic;
    const void *data;
    size_t len;
    uint64_t sequence; /* of the bus, from 1 */
};

/* Keep a message longer than the call that gave it, or no longer. Any thread; never suspends. */
WEFT_API void weft_message_retain(const struct weft_message *message);
WEFT_API void weft_message_release(const struct weft_message *message); /* NULL is fine */

/* ---- the bus ------------------------------------------------------------------------- */

enum weft_bus_event_kind {
    WEFT_BUS_HANDLER_FAILED, /* and no publisher waits to hear it; result: with what */
    WEFT_BUS_DROPPED,        /* count queues were full and lost a message to this one's topic */
    WEFT_BUS_DISCONNECTED,   /* subscription was ended, result WEFT_EFULL */
};

/* The pointers are good during the call. */
struct weft_bus_event {
    enum weft_bus_event_kind kind;
    const char *name; /* the bus's */
    int64_t at_ns;
    const char *topic;
    const char *subscription; /* its name; NULL for WEFT_BUS_DROPPED */
    int result;
    uint32_t count;
};

struct weft_bus_options {
    uint32_t subscriptions_max; /* 0 means 1,024, at most 65,536 */
    uint32_t topics_max;        /* different ones that are subscribed to; the same */
    size_t message_bytes_max;   /* 0 means 64 KiB, at most 1 GiB */
    const char *name;           /* NULL means "bus" */
    enum weft_sharing sharing;  /* who may publish, subscribe and receive */
    /* On the fiber or thread that caused it; may suspend; must not close the bus. */
    void (*on_event)(void *arg, const struct weft_bus_event *event);
    void *on_event_arg;
};

struct weft_bus_snapshot {
    uint32_t subscriptions, topics;
    uint64_t published; /* messages */
    uint64_t unheard;   /* of them, those nobody had subscribed to */
    uint64_t delivered; /* put into a queue */
    uint64_t handled;   /* ends of handlers, failures too */
    uint64_t failed;    /* of them */
    uint64_t dropped;   /* full queues, and what was queued when a subscription ended */
    uint64_t disconnected;
    uint64_t backlog; /* queued, or with a handler */
};

/* Returns   0, -EINVAL (options), -ENOMEM, -EPERM (WEFT_LOCAL outside a runtime)
 * Threads   any. On a fiber the handlers' group is open until weft_bus_close, which this fiber must
 *           call; of a bus opened outside a runtime subscriptions are pull only. Never suspends */
WEFT_API int weft_bus_open(struct weft_bus **ret_bus, const struct weft_bus_options *options);

/* Take no more messages, wait until every queue is empty, also those that are received from, and
 * every handler has ended, or until deadline_ns (WEFT_NOWAIT: do not wait); then end all
 * subscriptions, cancel the handlers that run, and wait for them. A cancelled caller does not wait
 * for the deadline. Handles of subscriptions stay good until weft_unsubscribe, and receive
 * -ESHUTDOWN. NULL is fine. Returns  how many messages were dropped from queues; -EPERM. Suspends,
 * no checkpoint */
WEFT_API int weft_bus_close(struct weft_bus *bus, int64_t deadline_ns);

WEFT_API int weft_bus_snapshot(struct weft_bus *bus, struct weft_bus_snapshot *ret_snapshot);

/* ---- subscriptions ------------------------------------------------------------------- */

/* What happens to a message that finds the queue full. */
enum weft_slow {
    WEFT_SLOW_BLOCK,       /* the publisher waits, for block_max_ns; who does not wait drops it */
    WEFT_SLOW_DROP_OLDEST, /* the oldest in the queue makes room */
    WEFT_SLOW_DROP_NEWEST, /* it is dropped itself */
    WEFT_SLOW_DISCONNECT,  /* the subscription ends: its queue is dropped, receive: WEFT_EFULL */
};

struct weft_subscription_options {
    const char *topic;    /* or a pattern; required */
    uint32_t capacity;    /* of the queue; 0 means 64, at most 65,536 */
    enum weft_slow slow;  /* 0 means WEFT_SLOW_BLOCK */
    int64_t block_max_ns; /* 0: as long as the publisher's deadline; then the message is dropped */
    /* NULL: pull. 0 or more is success. Runs on the bus's worker; may suspend, publish, subscribe
     * and unsubscribe, itself too. It does not see -ECANCELED before the bus is closed, or
     * somebody who is cancelled himself unsubscribes it. */
    int (*handler)(void *arg, const struct weft_message *message);
    void *arg;
    const char *name; /* for people; NULL means the topic, cut at WEFT_NAME_MAX */
};

struct weft_subscription_snapshot {
    uint32_t queued, capacity;
    uint64_t delivered, handled, failed, dropped;
    int ended; /* 0, or why: WEFT_EFULL, -ESHUTDOWN */
};

/* Subscribe. Messages published from now on are delivered.
 *
 * ret_subscription  a handle for weft_unsubscribe; NULL: until the bus is closed, with handler only
 * Returns  0; -EINVAL (options); WEFT_EFULL (subscriptions_max, topics_max); -ESHUTDOWN (the bus is
 *          closing); -ENOMEM; -EPERM (a handler, outside a runtime); -ECANCELED (a handler, and
 *          the bus is cancelled)
 * Suspends only with a handler and on another worker than the bus's */
WEFT_API int weft_subscribe(struct weft_bus *bus, const struct weft_subscription_options *options,
                            struct weft_subscription **ret_subscription);

/* End a subscription and give the handle back: what is queued is dropped, who receives gets
 * -ESHUTDOWN, and a handler that runs is waited for, unless it is the caller, or itself in an
 * unsubscribe that waits for the caller. Safe while others publish. A caller that is cancelled
 * cancels the handler. NULL is fine.
 * Threads  as the bus is shared. Suspends while a handler runs; no checkpoint */
WEFT_API void weft_unsubscribe(struct weft_subscription *subscription);

/* Receive the next message; give it back with weft_message_release.
 * Returns  0 with *ret_message set; -ETIMEDOUT, -EAGAIN, -ECANCELED; -EINVAL (it has a handler);
 *          WEFT_EFULL (it was too slow), -ESHUTDOWN (unsubscribed, or the bus is closed); -EPERM
 * Suspends; a thread outside any runtime blocks. A checkpoint */
WEFT_API int weft_subscription_receive(struct weft_subscription *subscription,
                                       const struct weft_message **ret_message,
                                       int64_t deadline_ns);

WEFT_API int weft_subscription_snapshot(struct weft_subscription *subscription,
                                        struct weft_subscription_snapshot *ret_snapshot);

/* ---- publishing ---------------------------------------------------------------------- */

/* What one message came to. */
struct weft_publish_report {
    uint32_t delivered; /* queues it was put into */
    uint32_t dropped;   /* full queues, ended subscriptions, cancelled handlers */
    uint32_t handled;   /* handlers that have ended */
    uint32_t failed;    /* of them */
    int first_error;    /* of those that failed, 0 when none has */
};

/* Publish, and wait until every handler of this message has ended.
 *
 * deadline_ns  for room in full queues, and for the handlers. WEFT_NOWAIT is weft_publish_nowait
 * ret_report   also written when the wait was cut short; may be NULL
 * Returns      the first handler's error; otherwise how many queues it was put into. -ETIMEDOUT,
 *              -ECANCELED: the *wait* was cut short; what was delivered is, and is handled.
 *              Without effect: -ECANCELED when it comes at once; -EINVAL (topic), -EMSGSIZE,
 *              -EDEADLK (by the handler of a subscription it would go to; what a handler waits for
 *              otherwise is its own affair), -ESHUTDOWN, -ENOMEM, -EPERM
 * Suspends; a checkpoint. Usable outside a runtime, where it blocks */
WEFT_API int weft_publish(struct weft_bus *bus, const char *topic, const void *data, size_t len,
                          int64_t deadline_ns);
WEFT_API int weft_publish_report(struct weft_bus *bus, const char *topic, const void *data,
                                 size_t len, int64_t deadline_ns,
                                 struct weft_publish_report *ret_report);

/* Publish and forget: full queues that would block drop it, failures are told by event.
 * Returns  how many queues it was put into; -EINVAL, -EMSGSIZE, -ESHUTDOWN, -ENOMEM, -EPERM
 * Never suspends, and is never cancelled */
WEFT_API int weft_publish_nowait(struct weft_bus *bus, const char *topic, const void *data,
                                 size_t len);

WEFT_END_DECLS

#endif
