/* SPDX-License-Identifier: MIT
 * pubsub.c - the bus and its subscriptions; publishing is in pubsub_publish.c. See weft/pubsub.h
 * and pubsub_internal.h. */
#include <base/hash.h>
#include <flow/pattern.h>
#include <flow/pubsub_core.h>
#include <flow/pubsub_internal.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define COUNT_DEFAULT    1024u
#define COUNT_MAX        65536u
#define CAPACITY_DEFAULT 64u
#define BYTES_DEFAULT    ((size_t)64 << 10)
#define BYTES_MAX        ((size_t)1 << 30)

/* ---- waking -------------------------------------------------------------------------- */

void weft_bus_wakes_init(struct weft_bus_wakes *wakes)
{
    weft_list_init(&wakes->done);
    weft_list_init(&wakes->ended);
    wakes->reason = 0;
}

static void free_bus(struct weft_bus *bus)
{
    free(bus->topics);
    free(bus);
}

void weft_bus_leave(struct weft_bus *bus, struct weft_bus_wakes *wakes)
{
    bool last = bus->refs == 0;
    if (bus->counts.backlog == 0 && bus->blocked == 0)
        weft_claim_all(&bus->drainers, &wakes->done);
    weft_guard_leave(&bus->guard);
    weft_wake_claimed(&wakes->done, 0);
    weft_wake_claimed(&wakes->ended, wakes->reason);
    if (last)
        free_bus(bus);
}

void weft_bus_tell(const struct weft_bus *bus, struct weft_bus_event event)
{
    if (!bus->options.on_event)
        return;
    event.name = bus->name;
    event.at_ns = weft_now();
    bus->options.on_event(bus->options.on_event_arg, &event);
}

/* ---- queues -------------------------------------------------------------------------- */

void weft_subscription_push(struct weft_subscription *subscription, struct message *message,
                            struct weft_bus_wakes *wakes)
{
    struct weft_bus *bus = subscription->bus;
    weft_message_retain(&message->seen);
    message->report.delivered++;
    subscription->counts.delivered++;
    bus->counts.delivered++;
    bool handled = subscription->options.handler;
    message->pending += handled;
    struct weft_waiter *first = weft_claim_first(&subscription->receivers);
    if (first) { /* then the queue is empty */
        *(struct message **)first->target = message;
        subscription->users--; /* for it: who was served does not come back to the guard */
        bus->counts.backlog += handled;
        weft_list_append(&wakes->done, &first->link);
        return;
    }
    uint32_t end = subscription->head + subscription->count++;
    subscription->ring[end % subscription->capacity] = message;
    bus->counts.backlog++;
}

static struct message *take_first(struct weft_subscription *subscription)
{
    struct message *message = subscription->ring[subscription->head];
    subscription->head = (subscription->head + 1) % subscription->capacity;
    subscription->count--;
    return message;
}

struct message *weft_subscription_pop(struct weft_subscription *subscription,
                                      struct weft_bus_wakes *wakes)
{
    struct message *message = take_first(subscription);
    struct weft_waiter *first = weft_claim_first(&subscription->publishers);
    subscription->bus->counts.backlog -= !subscription->options.handler;
    if (!first)
        return message;
    weft_subscription_push(subscription, first->target, wakes);
    weft_list_append(&wakes->done, &first->link);
    return message;
}

/* ---- topics -------------------------------------------------------------------------- */

struct topic **weft_bus_bucket(const struct weft_bus *bus, const char *text)
{
    return &bus->topics[weft_hash(text, strlen(text)) & (bus->buckets - 1)];
}

/* Returns NULL when there is no memory for it. */
static struct topic *make_topic(struct weft_bus *bus, const char *text)
{
    size_t bytes = strlen(text) + 1;
    struct topic *topic = malloc(sizeof *topic + bytes), **bucket = weft_bus_bucket(bus, text);
    if (!topic)
        return NULL;
    memcpy(topic->text, text, bytes);
    weft_list_init(&topic->subscriptions);
    weft_list_init(&topic->patterns);
    if (weft_topic_kind(text) == WEFT_TOPIC_PATTERN)
        weft_list_append(&bus->patterns, &topic->patterns);
    topic->next = *bucket;
    *bucket = topic;
    bus->counts.topics++;
    return topic;
}

static struct topic *find_topic(const struct weft_bus *bus, const char *text)
{
    struct topic *topic = *weft_bus_bucket(bus, text);
    while (topic && strcmp(topic->text, text) != 0)
        topic = topic->next;
    return topic;
}

static void remove_topic(struct weft_bus *bus, struct topic *topic)
{
    struct topic **place = weft_bus_bucket(bus, topic->text);
    while (*place != topic)
        place = &(*place)->next;
    *place = topic->next;
    weft_list_unlink(&topic->patterns);
    bus->counts.topics--;
    free(topic);
}

/* ---- the end of a subscription ------------------------------------------------------- */

void weft_subscription_drop_user(struct weft_subscription *subscription)
{
    if (--subscription->users > 0)
        return;
    subscription->bus->refs--;
    free(subscription->ring);
    free(subscription);
}

static void drop_queue(struct weft_subscription *subscription, struct weft_bus_wakes *wakes)
{
    struct weft_bus *bus = subscription->bus;
    while (subscription->count > 0) {
        struct message *message = take_first(subscription);
        bus->counts.backlog--;
        subscription->counts.dropped++;
        if (subscription->options.handler) {
            weft_message_settle(bus, message, -ECANCELED, wakes);
        } else {
            message->report.dropped++;
            bus->counts.dropped++;
        }
        weft_message_release(&message->seen);
    }
}

void weft_subscription_end(struct weft_subscription *subscription, int reason,
                           struct weft_bus_wakes *wakes)
{
    struct weft_bus *bus = subscription->bus;
    struct weft_waiter *first;
    if (subscription->counts.ended)
        return;
    subscription->counts.ended = reason;
    wakes->reason = reason;
    weft_list_unlink(&subscription->in_bus);
    weft_list_unlink(&subscription->in_topic);
    if (weft_list_empty(&subscription->topic->subscriptions))
        remove_topic(bus, subscription->topic);
    subscription->topic = NULL;
    bus->counts.subscriptions--;
    bus->blocking -= subscription->options.slow == WEFT_SLOW_BLOCK;
    weft_claim_all(&subscription->publishers, &wakes->ended); /* before there is room */
    while ((first = weft_claim_first(&subscription->receivers))) {
        subscription->users--; /* never the last: the handle, or the handler's fiber, is left */
        weft_list_append(&wakes->ended, &first->link);
    }
    drop_queue(subscription, wakes);
}

/* ---- receiving ----------------------------------------------------------------------- */

/* Enter with the guard, which is left. */
static int receive(struct weft_subscription *subscription, struct weft_fiber *self,
                   struct message **ret_message, int64_t deadline_ns)
{
    struct weft_bus *bus = subscription->bus;
    struct weft_bus_wakes wakes;
    struct weft_waiter waiter = {.target = ret_message};
    weft_bus_wakes_init(&wakes);
    int err = subscription->counts.ended;
    if (err == 0 && subscription->count > 0) {
        *ret_message = weft_subscription_pop(subscription, &wakes);
        weft_bus_leave(bus, &wakes);
        return 0;
    }
    if (err < 0 || deadline_ns == WEFT_NOWAIT) {
        weft_guard_leave(&bus->guard);
        return err < 0 ? err : -EAGAIN;
    }
    subscription->users++;
    err = weft_wait_turn(self, &bus->guard, &subscription->receivers, &waiter, deadline_ns,
                         "a message of a subscription");
    if (err == -ETIMEDOUT || err == -ECANCELED) { /* not served: we count ourselves out */
        weft_guard_enter(&bus->guard);
        weft_subscription_drop_user(subscription);
        weft_bus_leave(bus, &wakes);
    }
    return err;
}

int weft_subscription_receive(struct weft_subscription *subscription,
                              const struct weft_message **ret_message, int64_t deadline_ns)
{
    struct weft_fiber *self;
    struct message *message;
    int err = weft_enter_anywhere(&self);
    if (err == 0 && subscription->options.handler)
        err = -EINVAL;
    if (err < 0)
        return err;
    weft_spend(self, deadline_ns); /* before, not while holding a message */
    err = weft_guard_admit(&subscription->bus->guard);
    if (err == 0)
        err = receive(subscription, self, &message, deadline_ns);
    if (err == 0)
        *ret_message = &message->seen;
    return err;
}

int weft_subscription_snapshot(struct weft_subscription *subscription,
                               struct weft_subscription_snapshot *ret_snapshot)
{
    struct weft_guard *guard = &subscription->bus->guard;
    int err = weft_guard_admit(guard);
    if (err < 0)
        return err;
    *ret_snapshot = subscription->counts;
    ret_snapshot->queued = subscription->count;
    ret_snapshot->capacity = subscription->capacity;
    weft_guard_leave(guard);
    return 0;
}

/* ---- handlers ------------------------------------------------------------------------ */

/* Let the handler have one message. */
static void handle(struct weft_subscription *subscription, struct message *message)
{
    struct weft_bus *bus = subscription->bus;
    struct weft_bus_wakes wakes;
    weft_bus_wakes_init(&wakes);
    int result = subscription->options.handler(subscription->options.arg, &message->seen);
    weft_guard_enter(&bus->guard);
    bool failed = result < 0 && result != -ECANCELED;
    subscription->counts.handled += result != -ECANCELED;
    subscription->counts.dropped += result == -ECANCELED;
    subscription->counts.failed += failed;
    bus->counts.backlog--;
    weft_message_settle(bus, message, result, &wakes);
    bool heard = message->awaited;
    weft_bus_leave(bus, &wakes); /* the handler's fiber keeps it alive */
    if (failed && !heard)
        weft_bus_tell(
            bus, (struct weft_bus_event){WEFT_BUS_HANDLER_FAILED, .topic = message->seen.topic,
                                         .subscription = subscription->name, .result = result});
    weft_message_release(&message->seen);
}

static void end_handler(struct weft_subscription *subscription)
{
    struct weft_bus *bus = subscription->bus;
    struct weft_bus_wakes wakes;
    weft_bus_wakes_init(&wakes);
    weft_guard_enter(&bus->guard);
    subscription->scope = NULL;
    subscription->fiber = NULL;
    subscription->running = false;
    weft_subscription_end(subscription, -ESHUTDOWN, &wakes); /* unless that is why we are here */
    weft_claim_all(&subscription->joiners, &wakes.done);
    weft_subscription_drop_user(subscription);
    weft_bus_leave(bus, &wakes);
}

static int run_handler(void *arg)
{
    struct weft_subscription *subscription = arg;
    struct weft_bus *bus = subscription->bus;
    struct weft_fiber *self = weft_self();
    struct weft_scope scope;
    int err;
    weft_scope_enter(&scope, WEFT_FOREVER, WEFT_SCOPE_MOVE_ON);
    weft_guard_enter(&bus->guard);
    subscription->scope = &scope;
    subscription->fiber = self;
    do {
        struct message *message;
        err = weft_fiber_cancelled(self) ? -ECANCELED : 0;
        if (err == 0)
            err = receive(subscription, self, &message, WEFT_FOREVER);
        else
            weft_guard_leave(&bus->guard);
        if (err == 0) {
            handle(subscription, message);
            weft_spend(self, WEFT_FOREVER);
            weft_guard_enter(&bus->guard);
        }
    } while (err == 0);
    end_handler(subscription);
    (void)weft_scope_leave(&scope, 0);
    return 0;
}

static int start_handler(struct weft_subscription *subscription)
{
    struct weft_bus *bus = subscription->bus;
    if (!bus->has_group)
        return -EPERM;
    const struct weft_spawn_options options = {
        .name = subscription->name, .worker = WEFT_WORKER((int)bus->group.scope.home->index)};
    return weft_spawn_with(&bus->group, run_handler, subscription, &options);
}

/* The subscription whose handler's fiber this is; NULL: none of this bus. */
static struct weft_subscription *handled_by(const struct weft_bus *bus,
                                            const struct weft_fiber *fiber)
{
    struct weft_subscription *subscription = fiber->fn == run_handler ? fiber->arg : NULL;
    return subscription && subscription->bus == bus ? subscription : NULL;
}

/* Whether a handler ends only after the other has: it is the same, or waits for it, over whatever
 * others. Under the guard. */
static bool ends_after(const struct weft_subscription *subscription,
                       const struct weft_subscription *other)
{
    while (subscription && subscription != other)
        subscription = subscription->joins;
    return other && subscription;
}

/* Wait for the handler's fiber, unless that waits for ours; enter with the guard and leave with it.
 * Who is cancelled cancels the handler, too. */
static void join_handler(struct weft_subscription *subscription)
{
    struct weft_fiber *self = weft_whoever();
    struct weft_guard *guard = &subscription->bus->guard;
    struct weft_subscription *own = handled_by(subscription->bus, self);
    struct weft_waiter waiter;
    while (subscription->running && !ends_after(subscription, own)) {
        if (own)
            own->joins = subscription;
        bool cancelled = weft_fiber_cancelled(self);
        if (cancelled && subscription->scope)
            weft_scope_cancel(subscription->scope, 0);
        self->waits_for = "the handler of a subscription";
        (void)weft_park_served(self, guard, &subscription->joiners, &waiter, WEFT_FOREVER,
                               cancelled ? WEFT_PARK_SHIELDED : WEFT_PARK_CANCELLABLE);
        weft_guard_enter(guard);
        if (own)
            own->joins = NULL;
    }
}

/* ---- subscribing --------------------------------------------------------------------- */

static bool valid_subscription(const struct weft_subscription_options *options, bool handle)
{
    return options && weft_topic_kind(options->topic) != WEFT_TOPIC_WRONG &&
           options->capacity <= COUNT_MAX && (unsigned)options->slow <= WEFT_SLOW_DISCONNECT &&
           options->block_max_ns >= 0 && (handle || options->handler);
}

static int make_subscription(struct weft_bus *bus, const struct weft_subscription_options *options,
                             struct weft_subscription **ret_subscription)
{
    struct weft_subscription *subscription = calloc(1, sizeof *subscription);
    if (!subscription)
        return -ENOMEM;
    subscription->bus = bus;
    subscription->options = *options;
    subscription->capacity = options->capacity ? options->capacity : CAPACITY_DEFAULT;
    subscription->ring = calloc(subscription->capacity, sizeof(struct message *));
    weft_list_init(&subscription->receivers);
    weft_list_init(&subscription->publishers);
    weft_list_init(&subscription->joiners);
    memcpy(subscription->pattern, options->topic, strlen(options->topic));
    memcpy(subscription->name, options->topic, strnlen(options->topic, WEFT_NAME_MAX));
    int err = subscription->ring ? 0 : -ENOMEM;
    if (err == 0 && options->name)
        err = weft_pattern_name(subscription->name, options->name, "");
    if (err == 0) {
        *ret_subscription = subscription;
        return 0;
    }
    free(subscription->ring);
    free(subscription);
    return err;
}

/* Under the guard. */
static int enlist(struct weft_bus *bus, struct weft_subscription *subscription)
{
    if (bus->closing)
        return -ESHUTDOWN;
    if (bus->counts.subscriptions >= bus->options.subscriptions_max)
        return WEFT_EFULL;
    struct topic *topic = find_topic(bus, subscription->pattern);
    if (!topic && bus->counts.topics >= bus->options.topics_max)
        return WEFT_EFULL;
    if (!topic)
        topic = make_topic(bus, subscription->pattern);
    if (!topic)
        return -ENOMEM;
    subscription->topic = topic;
    subscription->users = 1; /* the caller's, for now */
    subscription->users += subscription->running = subscription->options.handler;
    weft_list_append(&topic->subscriptions, &subscription->in_topic);
    weft_list_append(&bus->subscriptions, &subscription->in_bus);
    bus->counts.subscriptions++;
    bus->blocking += subscription->options.slow == WEFT_SLOW_BLOCK;
    bus->refs++;
    return 0;
}

/* One user less; the others and the bus live on for whoever is left. */
static void let_go(struct weft_subscription *subscription)
{
    struct weft_bus *bus = subscription->bus;
    struct weft_bus_wakes wakes;
    weft_bus_wakes_init(&wakes);
    weft_guard_enter(&bus->guard);
    weft_subscription_drop_user(subscription);
    weft_bus_leave(bus, &wakes);
}

int weft_subscribe(struct weft_bus *bus, const struct weft_subscription_options *options,
                   struct weft_subscription **ret_subscription)
{
    struct weft_subscription *subscription = NULL;
    int err = weft_guard_permit(&bus->guard);
    if (err == 0 && !valid_subscription(options, ret_subscription))
        err = -EINVAL;
    if (err == 0)
        err = make_subscription(bus, options, &subscription);
    if (err != 0)
        return err;
    weft_guard_enter(&bus->guard);
    err = enlist(bus, subscription);
    weft_guard_leave(&bus->guard);
    if (err < 0) {
        free(subscription->ring);
        free(subscription);
        return err;
    }
    if (options->handler && (err = start_handler(subscription)) < 0)
        end_handler(subscription);
    if (err < 0 || !ret_subscription)
        let_go(subscription);
    else
        *ret_subscription = subscription;
    return err;
}

void weft_unsubscribe(struct weft_subscription *subscription)
{
    struct weft_bus_wakes wakes;
    if (!subscription || weft_guard_admit(&subscription->bus->guard) < 0)
        return;
    struct weft_bus *bus = subscription->bus;
    weft_bus_wakes_init(&wakes);
    weft_subscription_end(subscription, -ESHUTDOWN, &wakes);
    weft_bus_leave(bus, &wakes);
    weft_guard_enter(&bus->guard);
    join_handler(subscription);
    weft_guard_leave(&bus->guard);
    let_go(subscription);
}

/* ---- the bus ------------------------------------------------------------------------- */

static int init(struct weft_bus *bus, const struct weft_bus_options *options)
{
    struct weft_bus_options *set = &bus->options;
    *set = *options;
    set->subscriptions_max = set->subscriptions_max ? set->subscriptions_max : COUNT_DEFAULT;
    set->topics_max = set->topics_max ? set->topics_max : COUNT_DEFAULT;
    set->message_bytes_max = set->message_bytes_max ? set->message_bytes_max : BYTES_DEFAULT;
    if (set->subscriptions_max > COUNT_MAX || set->topics_max > COUNT_MAX ||
        set->message_bytes_max > BYTES_MAX)
        return -EINVAL;
    weft_list_init(&bus->patterns);
    weft_list_init(&bus->subscriptions);
    weft_list_init(&bus->drainers);
    bus->refs = 1;
    bus->buckets = 1;
    while (bus->buckets < set->topics_max)
        bus->buckets *= 2;
    int err = weft_pattern_name(bus->name, options->name, "bus");
    if (err < 0)
        return err;
    bus->topics = calloc(bus->buckets, sizeof(struct topic *));
    return bus->topics ? weft_guard_init(&bus->guard, options->sharing) : -ENOMEM;
}

int weft_bus_open(struct weft_bus **ret_bus, const struct weft_bus_options *options)
{
    static const struct weft_bus_options defaults;
    struct weft_bus *bus = calloc(1, sizeof *bus);
    if (!bus)
        return -ENOMEM;
    int err = init(bus, options ? options : &defaults);
    if (err < 0) {
        free_bus(bus);
        return err;
    }
    const struct weft_group_options group = {.policy = WEFT_SUPERVISE, .name = bus->name};
    bus->has_group = weft_group_init(&bus->group, &group) == 0;
    *ret_bus = bus;
    return 0;
}

int weft_bus_snapshot(struct weft_bus *bus, struct weft_bus_snapshot *ret_snapshot)
{
    int err = weft_guard_admit(&bus->guard);
    if (err < 0)
        return err;
    *ret_snapshot = bus->counts;
    weft_guard_leave(&bus->guard);
    return 0;
}

/* Enter and leave with the guard. */
static void drain(struct weft_bus *bus, int64_t deadline_ns)
{
    struct weft_fiber *self;
    struct weft_waiter waiter;
    int err = deadline_ns == WEFT_NOWAIT ? -EAGAIN : weft_enter_anywhere(&self);
    while (err == 0 && bus->counts.backlog + bus->blocked > 0) {
        err = weft_wait_turn(self, &bus->guard, &bus->drainers, &waiter, deadline_ns,
                             "the queues of a bus");
        weft_guard_enter(&bus->guard);
    }
}

int weft_bus_close(struct weft_bus *bus, int64_t deadline_ns)
{
    struct weft_bus_wakes wakes;
    int err = bus ? weft_guard_admit(&bus->guard) : 0;
    if (!bus || err < 0)
        return err;
    weft_bus_wakes_init(&wakes);
    bus->closing = true;
    drain(bus, deadline_ns);
    uint64_t dropped = bus->counts.dropped;
    while (!weft_list_empty(&bus->subscriptions)) {
        struct weft_link *first = bus->subscriptions.next;
        weft_subscription_end(weft_container_of(first, struct weft_subscription, in_bus),
                              -ESHUTDOWN, &wakes);
    }
    dropped = bus->counts.dropped - dropped;
    weft_bus_leave(bus, &wakes);
    if (bus->has_group)
        weft_group_close(&bus->group); /* cancels the handlers that run */
    weft_bus_wakes_init(&wakes);
    weft_guard_enter(&bus->guard);
    bus->refs--;
    weft_bus_leave(bus, &wakes);
    return dropped > INT32_MAX ? INT32_MAX : (int)dropped;
}
