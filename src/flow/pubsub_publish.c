/* SPDX-License-Identifier: MIT
 * pubsub_publish.c - the way of a message to its subscriptions. See weft/pubsub.h.
 *
 * All queues with room get it at once, under one hold of the guard. Then the publisher waits for
 * those that block, one after the other, and then for the handlers. */
#include <base/time.h>
#include <flow/pubsub_core.h>
#include <flow/pubsub_internal.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BLOCKED_HERE 8 /* subscriptions that block, for which no memory is asked for */

/* ---- messages ------------------------------------------------------------------------ */

static struct message *message_of(const struct weft_message *message)
{
    void *ours; /* which is constant only to others */
    memcpy(&ours, &message, sizeof ours);
    return weft_container_of(ours, struct message, seen);
}

void weft_message_retain(const struct weft_message *message)
{
    (void)__atomic_fetch_add(&message_of(message)->refs, 1, __ATOMIC_RELAXED);
}

void weft_message_release(const struct weft_message *message)
{
    if (message && __atomic_sub_fetch(&message_of(message)->refs, 1, __ATOMIC_ACQ_REL) == 0)
        free(message_of(message));
}

void weft_message_settle(struct weft_bus *bus, struct message *message, int result,
                         struct weft_bus_wakes *wakes)
{
    struct weft_publish_report *report = &message->report;
    bool failed = result < 0 && result != -ECANCELED;
    report->handled += result != -ECANCELED;
    report->dropped += result == -ECANCELED;
    bus->counts.handled += result != -ECANCELED;
    bus->counts.dropped += result == -ECANCELED;
    bus->counts.failed += failed;
    if (failed && report->failed++ == 0)
        report->first_error = result;
    if (--message->pending == 0)
        weft_claim_all(&message->waiting, &wakes->done);
}

static struct message *make_message(const char *topic, const void *data, size_t len)
{
    size_t topic_bytes = strlen(topic) + 1;
    size_t at = (topic_bytes + sizeof(struct message) + 15) / 16 * 16 - sizeof(struct message);
    struct message *message = malloc(sizeof *message + at + len + 1);
    if (!message)
        return NULL;
    *message = (struct message){.refs = 1};
    weft_list_init(&message->waiting);
    memcpy(message->text, topic, topic_bytes);
    if (len > 0)
        memcpy(message->text + at, data, len);
    message->text[at + len] = 0;
    message->seen =
        (struct weft_message){.topic = message->text, .data = message->text + at, .len = len};
    return message;
}

/* ---- publications -------------------------------------------------------------------- */

/* A message on its way. */
struct publication {
    struct weft_bus *bus;
    struct message *message;
    struct weft_fiber *self; /* who waits, NULL when nobody does */
    int64_t deadline_ns;
    struct weft_link disconnected; /* by this message; each has a user more */
    uint32_t full;                 /* queues that lost a message */
    bool to_itself;                /* the publisher handles it */
    struct weft_subscription **blocked, *blocked_here[BLOCKED_HERE];
    uint32_t blocked_len, blocked_max;
};

/* ---- under the guard: every subscription that matches -------------------------------- */

static void count_dropped(struct weft_subscription *subscription, struct message *message)
{
    subscription->counts.dropped++;
    subscription->bus->counts.dropped++;
    message->report.dropped++;
}

static void lose(struct publication *publication, struct weft_subscription *subscription,
                 struct message *message)
{
    publication->full++;
    count_dropped(subscription, message);
}

static void disconnect(struct publication *publication, struct weft_subscription *subscription,
                       struct weft_bus_wakes *wakes)
{
    subscription->users++;
    subscription->bus->counts.disconnected++;
    count_dropped(subscription, publication->message);
    weft_subscription_end(subscription, WEFT_EFULL, wakes);
    weft_list_append(&publication->disconnected, &subscription->in_topic);
}

static void drop_oldest(struct publication *publication, struct weft_subscription *subscription,
                        struct weft_bus_wakes *wakes)
{
    struct weft_bus *bus = publication->bus;
    struct message *oldest = weft_subscription_pop(subscription, wakes);
    publication->full++;
    subscription->counts.dropped++;
    if (subscription->options.handler) {
        bus->counts.backlog--;
        weft_message_settle(bus, oldest, -ECANCELED, wakes);
    } else {
        oldest->report.dropped++;
        bus->counts.dropped++;
    }
    weft_message_release(&oldest->seen);
}

static void offer(struct publication *publication, struct weft_subscription *subscription,
                  struct weft_bus_wakes *wakes)
{
    struct message *message = publication->message;
    if (subscription->count == subscription->capacity) {
        switch (subscription->options.slow) {
        case WEFT_SLOW_DROP_OLDEST:
            drop_oldest(publication, subscription, wakes);
            break;
        case WEFT_SLOW_DISCONNECT:
            disconnect(publication, subscription, wakes);
            return;
        case WEFT_SLOW_BLOCK:
            if (publication->self) {
                subscription->users++;
                publication->blocked[publication->blocked_len++] = subscription;
                return;
            }
            lose(publication, subscription, message);
            return;
        case WEFT_SLOW_DROP_NEWEST:
        default:
            lose(publication, subscription, message);
            return;
        }
    }
    weft_subscription_push(subscription, message, wakes);
}

typedef void visit(struct publication *publication, struct weft_subscription *subscription,
                   struct weft_bus_wakes *wakes);

/* Returns how many there are. A topic may be gone after its last subscription was visited. */
static uint32_t for_each_of(struct publication *publication, struct topic *topic, visit *fn,
                            struct weft_bus_wakes *wakes)
{
    uint32_t len = 0;
    struct weft_link *list = &topic->subscriptions, *link = list->next, *next;
    for (bool last = false; !last; link = next, len++) {
        next = link->next;
        last = next == list;
        fn(publication, weft_container_of(link, struct weft_subscription, in_topic), wakes);
    }
    return len;
}

static uint32_t for_each(struct publication *publication, visit *fn, struct weft_bus_wakes *wakes)
{
    struct weft_bus *bus = publication->bus;
    const char *text = publication->message->seen.topic;
    struct topic *topic = *weft_bus_bucket(bus, text);
    struct weft_link *link = bus->patterns.next, *next;
    uint32_t len = 0;
    while (topic && strcmp(topic->text, text) != 0)
        topic = topic->next;
    if (topic)
        len += for_each_of(publication, topic, fn, wakes);
    for (; link != &bus->patterns; link = next) {
        next = link->next;
        topic = weft_container_of(link, struct topic, patterns);
        if (weft_topic_matches(topic->text, text))
            len += for_each_of(publication, topic, fn, wakes);
    }
    return len;
}

static void find_self(struct publication *publication, struct weft_subscription *subscription,
                      struct weft_bus_wakes *wakes)
{
    (void)wakes;
    if (subscription->fiber == publication->self)
        publication->to_itself = true;
}

/* Whether the publisher is the handler of a subscription that would get the message: it would wait
 * for itself. */
static bool waits_for_itself(struct publication *publication)
{
    if (publication->self && publication->self->group == &publication->bus->group)
        (void)for_each(publication, find_self, NULL);
    return publication->to_itself;
}

/* ---- without the guard --------------------------------------------------------------- */

/* Room for every subscription that may block. Enter and leave with the guard. */
static int make_room(struct publication *publication)
{
    struct weft_bus *bus = publication->bus;
    while (publication->self && bus->blocking > publication->blocked_max) {
        uint32_t max = bus->blocking + BLOCKED_HERE;
        weft_guard_leave(&bus->guard);
        struct weft_subscription **blocked = calloc(max, sizeof(struct weft_subscription *));
        if (publication->blocked != publication->blocked_here)
            free(publication->blocked);
        publication->blocked = blocked;
        publication->blocked_max = max;
        weft_guard_enter(&bus->guard);
        if (!blocked)
            return -ENOMEM;
    }
    return 0;
}

/* Give it to whoever has room. Returns 0, or why nobody gets it. */
static int deliver(struct publication *publication)
{
    struct weft_bus *bus = publication->bus;
    struct weft_bus_wakes wakes;
    int err = weft_guard_admit(&bus->guard);
    if (err < 0)
        return err;
    weft_bus_wakes_init(&wakes);
    err = make_room(publication);
    if (err == 0 && bus->closing)
        err = -ESHUTDOWN;
    if (err == 0 && waits_for_itself(publication))
        err = -EDEADLK;
    if (err == 0) {
        publication->message->seen.sequence = ++bus->counts.published;
        publication->message->awaited = publication->self;
        bus->counts.unheard += for_each(publication, offer, &wakes) == 0;
        bus->blocked += publication->blocked_len > 0;
        bus->refs++; /* until publish has ended */
    }
    weft_bus_leave(bus, &wakes);
    return err;
}

static void let_go(struct weft_subscription *subscription)
{
    struct weft_bus *bus = subscription->bus;
    struct weft_bus_wakes wakes;
    weft_bus_wakes_init(&wakes);
    weft_guard_enter(&bus->guard);
    weft_subscription_drop_user(subscription);
    weft_bus_leave(bus, &wakes);
}

/* Tell of what was lost, and let go of those that were disconnected. */
static void tell_losses(struct publication *publication)
{
    struct weft_bus *bus = publication->bus;
    const char *topic = publication->message->seen.topic;
    if (publication->full > 0)
        weft_bus_tell(bus, (struct weft_bus_event){WEFT_BUS_DROPPED, .topic = topic,
                                                   .count = publication->full});
    while (!weft_list_empty(&publication->disconnected)) {
        struct weft_link *first = publication->disconnected.next;
        struct weft_subscription *subscription =
            weft_container_of(first, struct weft_subscription, in_topic);
        weft_bus_tell(bus, (struct weft_bus_event){WEFT_BUS_DISCONNECTED, .topic = topic,
                                                   .subscription = subscription->name,
                                                   .result = WEFT_EFULL, .count = 1});
        weft_list_unlink(first);
        let_go(subscription);
    }
}

/* ---- waiting ------------------------------------------------------------------------- */

/* Wait for room in one queue. interrupted: only look whether there is some. Returns 0, also when it
 * was dropped there, or how the publisher's wait was cut short. */
static int wait_for_room(struct publication *publication, struct weft_subscription *subscription,
                         int interrupted)
{
    struct weft_bus *bus = publication->bus;
    struct message *message = publication->message;
    struct weft_waiter waiter = {.target = message};
    struct weft_bus_wakes wakes;
    int64_t block_max_ns = subscription->options.block_max_ns, until_ns = publication->deadline_ns;
    if (block_max_ns > 0 && !interrupted) {
        int64_t patience_ns = weft_time_after(weft_now(), block_max_ns);
        until_ns = patience_ns < until_ns ? patience_ns : until_ns;
    }
    weft_bus_wakes_init(&wakes);
    weft_guard_enter(&bus->guard);
    int err = subscription->counts.ended;
    bool room = subscription->count < subscription->capacity;
    if (err == 0 && room) {
        weft_subscription_push(subscription, message, &wakes);
    } else if (err == 0 && interrupted) {
        err = interrupted;
    } else if (err == 0) {
        err = weft_wait_turn(publication->self, &bus->guard, &subscription->publishers, &waiter,
                             until_ns, "room in the queue of a subscription");
        weft_guard_enter(&bus->guard);
    }
    if (err < 0)
        lose(publication, subscription, message);
    weft_subscription_drop_user(subscription);
    weft_bus_leave(bus, &wakes);
    bool late = err == -ETIMEDOUT && until_ns == publication->deadline_ns;
    return err == -ECANCELED || late ? err : 0;
}

static int wait_for_rooms(struct publication *publication)
{
    struct weft_bus *bus = publication->bus;
    struct weft_bus_wakes wakes;
    int interrupted = 0;
    if (publication->blocked_len == 0)
        return 0;
    for (uint32_t i = 0; i < publication->blocked_len; i++) {
        int err = wait_for_room(publication, publication->blocked[i], interrupted);
        interrupted = interrupted ? interrupted : err;
    }
    weft_bus_wakes_init(&wakes);
    weft_guard_enter(&bus->guard);
    bus->blocked--;
    weft_bus_leave(bus, &wakes);
    return interrupted;
}

static int wait_for_handlers(struct publication *publication)
{
    struct message *message = publication->message;
    struct weft_guard *guard = &publication->bus->guard;
    struct weft_waiter waiter;
    int err = weft_fiber_cancelled(publication->self) ? -ECANCELED : 0;
    weft_guard_enter(guard);
    while (err == 0 && message->pending > 0) {
        err = weft_wait_turn(publication->self, guard, &message->waiting, &waiter,
                             publication->deadline_ns, "the handlers of a message");
        weft_guard_enter(guard);
    }
    if (message->pending == 0)
        err = 0;
    message->awaited = false;
    weft_guard_leave(guard);
    return err;
}

/* Returns how many queues it was put into, or what weft_publish returns. */
static int publish(struct publication *publication, struct weft_publish_report *ret_report)
{
    struct weft_bus *bus = publication->bus;
    struct weft_bus_wakes wakes;
    int err = deliver(publication);
    if (err < 0)
        return err;
    tell_losses(publication);
    publication->full = 0;
    if (publication->self) {
        err = wait_for_rooms(publication);
        tell_losses(publication);
        if (err == 0)
            err = wait_for_handlers(publication);
    }
    weft_bus_wakes_init(&wakes);
    weft_guard_enter(&bus->guard);
    struct weft_publish_report report = publication->message->report;
    bus->refs--;
    weft_bus_leave(bus, &wakes);
    if (ret_report)
        *ret_report = report;
    if (err == 0 && publication->self)
        err = report.first_error;
    return err < 0 ? err : (int)report.delivered;
}

static int check(const struct weft_bus *bus, const char *topic, const void *data, size_t len)
{
    int err = weft_guard_permit(&bus->guard);
    if (err < 0)
        return err;
    if (weft_topic_kind(topic) != WEFT_TOPIC_EXACT || (!data && len > 0))
        return -EINVAL;
    return len > bus->options.message_bytes_max ? -EMSGSIZE : 0;
}

static int begin(struct weft_bus *bus, const char *topic, const void *data, size_t len,
                 struct weft_fiber *self, int64_t deadline_ns,
                 struct weft_publish_report *ret_report)
{
    struct publication publication = {
        .bus = bus, .self = self, .deadline_ns = deadline_ns, .blocked_max = BLOCKED_HERE};
    int err = check(bus, topic, data, len);
    if (err < 0)
        return err;
    publication.message = make_message(topic, data, len);
    if (!publication.message)
        return -ENOMEM;
    weft_list_init(&publication.disconnected);
    publication.blocked = publication.blocked_here;
    err = publish(&publication, ret_report);
    weft_message_release(&publication.message->seen);
    if (publication.blocked != publication.blocked_here)
        free(publication.blocked);
    return err;
}

int weft_publish_report(struct weft_bus *bus, const char *topic, const void *data, size_t len,
                        int64_t deadline_ns, struct weft_publish_report *ret_report)
{
    struct weft_fiber *self;
    int err = weft_enter_anywhere(&self);
    if (err < 0)
        return err;
    weft_spend(self, deadline_ns);
    return begin(bus, topic, data, len, deadline_ns == WEFT_NOWAIT ? NULL : self, deadline_ns,
                 ret_report);
}

int weft_publish(struct weft_bus *bus, const char *topic, const void *data, size_t len,
                 int64_t deadline_ns)
{
    return weft_publish_report(bus, topic, data, len, deadline_ns, NULL);
}

int weft_publish_nowait(struct weft_bus *bus, const char *topic, const void *data, size_t len)
{
    return begin(bus, topic, data, len, NULL, WEFT_NOWAIT, NULL);
}
