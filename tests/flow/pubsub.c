/* SPDX-License-Identifier: MIT */
#include "runtime/crowd.h"
#include "test.h"

#include <weft/group.h>
#include <weft/pubsub.h>

#include <base/random.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A handler that takes its time, and what it has seen. */
struct listener {
    int64_t work_ns;
    int result, seen;
    char text[64]; /* the data of all messages, one after the other */
};

static int listen(void *arg, const struct weft_message *message)
{
    struct listener *listener = arg;
    int err = listener->work_ns ? weft_sleep(listener->work_ns) : 0;
    if (err < 0)
        return err;
    listener->seen++;
    if (strlen(listener->text) + message->len < sizeof listener->text)
        strcat(listener->text, message->data);
    return listener->result;
}

static struct weft_bus_event last_event;
static int events[3];

static void keep_event(void *arg, const struct weft_bus_event *event)
{
    (void)arg;
    last_event = *event;
    events[event->kind]++;
}

static struct weft_bus *open_bus(void)
{
    struct weft_bus *bus = NULL;
    const struct weft_bus_options options = {.on_event = keep_event};
    memset(events, 0, sizeof events);
    REQUIRE(weft_bus_open(&bus, &options) == 0);
    return bus;
}

static struct weft_subscription *subscribe(struct weft_bus *bus,
                                           struct weft_subscription_options options)
{
    struct weft_subscription *subscription = NULL;
    REQUIRE(weft_subscribe(bus, &options, &subscription) == 0);
    return subscription;
}

static void subscribe_listener(struct weft_bus *bus, const char *topic, struct listener *listener)
{
    const struct weft_subscription_options options = {
        .topic = topic, .handler = listen, .arg = listener};
    REQUIRE(weft_subscribe(bus, &options, NULL) == 0);
}

static struct weft_bus_snapshot look(struct weft_bus *bus)
{
    struct weft_bus_snapshot snapshot;
    CHECK_EQUAL(weft_bus_snapshot(bus, &snapshot), 0);
    return snapshot;
}

/* Receive one message, which must say this. */
static void expect(struct weft_subscription *subscription, const char *text)
{
    const struct weft_message *message = NULL;
    CHECK_EQUAL(weft_subscription_receive(subscription, &message, WEFT_NOWAIT), 0);
    bool same = message && strcmp(message->data, text) == 0;
    CHECK(same);
    if (message && !same)
        test_note("\"%s\", expected \"%s\"", (const char *)message->data, text);
    weft_message_release(message);
}

FIBER_TEST(publish_returns_when_every_handler_has_ended)
{
    struct listener fast = {.work_ns = WEFT_SEC}, slow = {.work_ns = 3 * WEFT_SEC}, other = {0};
    struct weft_bus *bus = open_bus();
    int64_t begin_ns = weft_now();
    subscribe_listener(bus, "user.created", &fast);
    subscribe_listener(bus, "user.*", &slow);
    subscribe_listener(bus, "user.deleted", &other);
    CHECK_EQUAL(weft_publish(bus, "user.created", "42", 2, WEFT_FOREVER), 2);
    CHECK_EQUAL(weft_now() - begin_ns, 3 * WEFT_SEC); /* at the same time */
    CHECK_EQUAL(strcmp(fast.text, "42"), 0);
    CHECK_EQUAL(strcmp(slow.text, "42"), 0);
    CHECK_EQUAL(other.seen, 0);
    CHECK_EQUAL(weft_bus_close(bus, WEFT_FOREVER), 0);
}

FIBER_TEST(errors_of_handlers_are_counted_and_the_first_is_returned)
{
    struct listener good = {0}, early = {.work_ns = WEFT_SEC, .result = -EIO},
                    late = {.work_ns = 2 * WEFT_SEC, .result = -EPIPE};
    struct weft_publish_report report = {0};
    struct weft_bus *bus = open_bus();
    subscribe_listener(bus, "a", &late);
    subscribe_listener(bus, "a", &good);
    subscribe_listener(bus, "a", &early);
    CHECK_EQUAL(weft_publish_report(bus, "a", "", 0, WEFT_FOREVER, &report), -EIO);
    CHECK_EQUAL(report.delivered, 3);
    CHECK_EQUAL(report.handled, 3);
    CHECK_EQUAL(report.failed, 2);
    CHECK_EQUAL(report.first_error, -EIO);
    CHECK_EQUAL(events[WEFT_BUS_HANDLER_FAILED], 0); /* somebody has heard them */
    CHECK_EQUAL(weft_bus_close(bus, WEFT_FOREVER), 0);
}

FIBER_TEST(publish_and_forget_tells_of_failures_by_event)
{
    struct listener listener = {.work_ns = WEFT_SEC, .result = -EIO};
    struct weft_bus *bus = open_bus();
    int64_t begin_ns = weft_now();
    subscribe_listener(bus, "a.b", &listener);
    CHECK_EQUAL(weft_publish_nowait(bus, "a.b", "x", 1), 1);
    CHECK_EQUAL(weft_now(), begin_ns);
    CHECK_EQUAL(listener.seen, 0);
    CHECK_EQUAL(weft_sleep(2 * WEFT_SEC), 0);
    CHECK_EQUAL(listener.seen, 1);
    CHECK_EQUAL(events[WEFT_BUS_HANDLER_FAILED], 1);
    CHECK_EQUAL(last_event.result, -EIO);
    CHECK_EQUAL(look(bus).failed, 1);
    CHECK_EQUAL(weft_bus_close(bus, WEFT_FOREVER), 0);
}

FIBER_TEST(a_handler_sees_its_messages_in_order_one_at_a_time)
{
    struct listener listener = {.work_ns = WEFT_SEC};
    struct weft_bus *bus = open_bus();
    int64_t begin_ns = weft_now();
    subscribe_listener(bus, "a", &listener);
    for (char letter[2] = "a"; letter[0] < 'f'; letter[0]++)
        CHECK_EQUAL(weft_publish_nowait(bus, "a", letter, 1), 1);
    CHECK_EQUAL(weft_bus_close(bus, WEFT_FOREVER), 0); /* drains */
    CHECK_EQUAL(weft_now() - begin_ns, 5 * WEFT_SEC);
    CHECK_EQUAL(strcmp(listener.text, "abcde"), 0);
}

FIBER_TEST(a_message_that_nobody_wants_is_counted)
{
    struct weft_bus *bus = open_bus();
    CHECK_EQUAL(weft_publish(bus, "a", "x", 1, WEFT_FOREVER), 0);
    CHECK_EQUAL(weft_publish_nowait(bus, "a", NULL, 0), 0);
    CHECK_EQUAL(look(bus).published, 2);
    CHECK_EQUAL(look(bus).unheard, 2);
    CHECK_EQUAL(weft_bus_close(bus, WEFT_FOREVER), 0);
}

FIBER_TEST(a_puller_receives_what_is_queued_and_keeps_it_as_long_as_it_likes)
{
    struct weft_bus *bus = open_bus();
    const struct weft_message *first = NULL, *none = NULL;
    char data[] = "one";
    struct weft_subscription *subscription =
        subscribe(bus, (struct weft_subscription_options){.topic = ">"});
    CHECK_EQUAL(weft_publish(bus, "a.b", data, 3, WEFT_FOREVER), 1);
    memset(data, 'x', 3); /* it was copied */
    CHECK_EQUAL(weft_subscription_receive(subscription, &first, WEFT_FOREVER), 0);
    CHECK_EQUAL(weft_subscription_receive(subscription, &none, WEFT_NOWAIT), -EAGAIN);
    CHECK_EQUAL(weft_subscription_receive(subscription, &none, weft_now() + 1), -ETIMEDOUT);
    weft_unsubscribe(subscription);
    CHECK_EQUAL(weft_bus_close(bus, WEFT_FOREVER), 0);
    if (first) {
        CHECK_EQUAL(strcmp(first->data, "one"), 0);
        CHECK_EQUAL(strcmp(first->topic, "a.b"), 0);
        CHECK_EQUAL(first->len, 3);
        CHECK_EQUAL(first->sequence, 1);
        CHECK_EQUAL((uintptr_t)first->data % 16, 0);
    }
    weft_message_release(first);
}

/* ---- full queues --------------------------------------------------------------------- */

static void fill(struct weft_bus *bus)
{
    CHECK_EQUAL(weft_publish_nowait(bus, "a", "1", 1), 1);
    CHECK_EQUAL(weft_publish_nowait(bus, "a", "2", 1), 1);
}

FIBER_TEST(a_full_queue_drops_the_oldest_where_that_is_its_rule)
{
    struct weft_bus *bus = open_bus();
    struct weft_subscription *subscription =
        subscribe(bus, (struct weft_subscription_options){
                           .topic = "a", .capacity = 2, .slow = WEFT_SLOW_DROP_OLDEST});
    fill(bus);
    CHECK_EQUAL(weft_publish(bus, "a", "3", 1, WEFT_FOREVER), 1);
    CHECK_EQUAL(events[WEFT_BUS_DROPPED], 1);
    expect(subscription, "2");
    expect(subscription, "3");
    CHECK_EQUAL(look(bus).dropped, 1);
    weft_unsubscribe(subscription);
    CHECK_EQUAL(weft_bus_close(bus, WEFT_FOREVER), 0);
}

FIBER_TEST(a_full_queue_drops_the_newest_where_that_is_its_rule)
{
    struct weft_bus *bus = open_bus();
    struct weft_subscription *subscription =
        subscribe(bus, (struct weft_subscription_options){
                           .topic = "a", .capacity = 2, .slow = WEFT_SLOW_DROP_NEWEST});
    struct weft_subscription_snapshot snapshot;
    fill(bus);
    CHECK_EQUAL(weft_publish(bus, "a", "3", 1, WEFT_FOREVER), 0);
    expect(subscription, "1");
    expect(subscription, "2");
    CHECK_EQUAL(weft_subscription_snapshot(subscription, &snapshot), 0);
    CHECK_EQUAL(snapshot.dropped, 1);
    CHECK_EQUAL(snapshot.delivered, 2);
    CHECK_EQUAL(snapshot.capacity, 2);
    weft_unsubscribe(subscription);
    CHECK_EQUAL(weft_bus_close(bus, WEFT_FOREVER), 0);
}

FIBER_TEST(a_slow_subscriber_is_disconnected_where_that_is_its_rule)
{
    struct weft_bus *bus = open_bus();
    const struct weft_message *message;
    struct weft_subscription *slow = subscribe(
        bus, (struct weft_subscription_options){
                 .topic = "a", .capacity = 2, .slow = WEFT_SLOW_DISCONNECT, .name = "slow one"});
    struct weft_subscription *other =
        subscribe(bus, (struct weft_subscription_options){.topic = "a"});
    CHECK_EQUAL(weft_publish_nowait(bus, "a", "1", 1), 2);
    CHECK_EQUAL(weft_publish_nowait(bus, "a", "2", 1), 2);
    CHECK_EQUAL(weft_publish_nowait(bus, "a", "3", 1), 1);
    CHECK_EQUAL(look(bus).dropped, 3); /* what was queued, and what found no room */
    CHECK_EQUAL(events[WEFT_BUS_DROPPED], 0);
    CHECK_EQUAL(events[WEFT_BUS_DISCONNECTED], 1);
    CHECK_EQUAL(last_event.result, WEFT_EFULL);
    CHECK_EQUAL(weft_subscription_receive(slow, &message, WEFT_FOREVER), WEFT_EFULL);
    expect(other, "1");
    CHECK_EQUAL(weft_publish_nowait(bus, "a", "4", 1), 1);
    CHECK_EQUAL(look(bus).subscriptions, 1);
    CHECK_EQUAL(look(bus).disconnected, 1);
    weft_unsubscribe(slow);
    weft_unsubscribe(other);
    CHECK_EQUAL(weft_bus_close(bus, WEFT_FOREVER), 0);
}

struct reader {
    struct weft_subscription *subscription;
    int64_t after_ns;
    int result;
};

static int read_later(void *arg)
{
    struct reader *reader = arg;
    const struct weft_message *message = NULL;
    (void)weft_sleep(reader->after_ns);
    reader->result = weft_subscription_receive(reader->subscription, &message, WEFT_FOREVER);
    weft_message_release(message);
    return 0;
}

FIBER_TEST(a_full_queue_holds_the_publisher_back_until_there_is_room)
{
    struct weft_bus *bus = open_bus();
    struct weft_group group;
    struct weft_subscription *subscription =
        subscribe(bus, (struct weft_subscription_options){.topic = "a", .capacity = 2});
    struct reader reader = {subscription, WEFT_SEC, 1};
    int64_t begin_ns = weft_now();
    fill(bus);
    CHECK_EQUAL(weft_publish_nowait(bus, "a", "x", 1), 0); /* who does not wait drops it */
    CHECK_EQUAL(weft_group_init(&group, NULL), 0);
    CHECK_EQUAL(weft_spawn(&group, read_later, &reader), 0);
    CHECK_EQUAL(weft_publish(bus, "a", "3", 1, WEFT_FOREVER), 1);
    CHECK_EQUAL(weft_now() - begin_ns, WEFT_SEC);
    CHECK_EQUAL(weft_group_wait(&group), 0);
    expect(subscription, "2");
    expect(subscription, "3");
    weft_unsubscribe(subscription);
    CHECK_EQUAL(weft_bus_close(bus, WEFT_FOREVER), 0);
}

FIBER_TEST(a_publisher_is_held_back_no_longer_than_the_subscription_and_its_deadline_say)
{
    struct weft_bus *bus = open_bus();
    struct weft_publish_report report = {0};
    struct weft_subscription *subscription =
        subscribe(bus, (struct weft_subscription_options){
                           .topic = "a", .capacity = 2, .block_max_ns = 2 * WEFT_SEC});
    struct weft_subscription *second =
        subscribe(bus, (struct weft_subscription_options){.topic = "a", .capacity = 9});
    int64_t begin_ns = weft_now();
    CHECK_EQUAL(weft_publish_nowait(bus, "a", "1", 1), 2);
    CHECK_EQUAL(weft_publish_nowait(bus, "a", "2", 1), 2);
    CHECK_EQUAL(weft_publish_report(bus, "a", "3", 1, WEFT_FOREVER, &report), 1);
    CHECK_EQUAL(report.dropped, 1);
    CHECK_EQUAL(weft_now() - begin_ns, 2 * WEFT_SEC);
    CHECK_EQUAL(weft_publish_report(bus, "a", "4", 1, weft_now() + WEFT_SEC, &report), -ETIMEDOUT);
    CHECK_EQUAL(report.delivered, 1); /* the other one has it all the same */
    CHECK_EQUAL(weft_now() - begin_ns, 3 * WEFT_SEC);
    CHECK_EQUAL(events[WEFT_BUS_DROPPED], 2);
    weft_unsubscribe(subscription);
    weft_unsubscribe(second);
    CHECK_EQUAL(weft_bus_close(bus, WEFT_FOREVER), 0);
}

FIBER_TEST(a_publisher_that_gives_up_waiting_for_handlers_leaves_them_to_their_work)
{
    struct listener listener = {.work_ns = 5 * WEFT_SEC, .result = -EIO};
    struct weft_bus *bus = open_bus();
    subscribe_listener(bus, "a", &listener);
    CHECK_EQUAL(weft_publish(bus, "a", "x", 1, weft_now() + WEFT_SEC), -ETIMEDOUT);
    CHECK_EQUAL(listener.seen, 0);
    CHECK_EQUAL(weft_sleep(5 * WEFT_SEC), 0);
    CHECK_EQUAL(listener.seen, 1);
    CHECK_EQUAL(events[WEFT_BUS_HANDLER_FAILED], 1); /* nobody waits any more */
    CHECK_EQUAL(weft_bus_close(bus, WEFT_FOREVER), 0);
}

/* ---- unsubscribing ------------------------------------------------------------------- */

static int unsubscribe_later(void *arg)
{
    struct reader *reader = arg;
    (void)weft_sleep(reader->after_ns);
    weft_unsubscribe(reader->subscription);
    return 0;
}

FIBER_TEST(unsubscribing_during_a_publish_lets_the_publisher_go)
{
    struct weft_bus *bus = open_bus();
    struct weft_group group;
    struct weft_publish_report report = {0};
    struct weft_subscription *subscription =
        subscribe(bus, (struct weft_subscription_options){.topic = "a", .capacity = 2});
    struct reader reader = {subscription, WEFT_SEC, 0};
    fill(bus);
    CHECK_EQUAL(weft_group_init(&group, NULL), 0);
    CHECK_EQUAL(weft_spawn(&group, unsubscribe_later, &reader), 0);
    CHECK_EQUAL(weft_publish_report(bus, "a", "3", 1, WEFT_FOREVER, &report), 0);
    CHECK_EQUAL(report.dropped, 1);
    CHECK_EQUAL(weft_group_wait(&group), 0);
    CHECK_EQUAL(look(bus).subscriptions, 0);
    CHECK_EQUAL(look(bus).topics, 0);
    CHECK_EQUAL(weft_bus_close(bus, WEFT_FOREVER), 0);
}

FIBER_TEST(unsubscribing_waits_for_the_handler_and_drops_the_rest)
{
    struct listener listener = {.work_ns = 3 * WEFT_SEC};
    struct weft_bus *bus = open_bus();
    struct weft_subscription *subscription = subscribe(
        bus, (struct weft_subscription_options){.topic = "a", .handler = listen, .arg = &listener});
    int64_t begin_ns = weft_now();
    fill(bus);
    CHECK_EQUAL(weft_sleep(WEFT_SEC), 0);
    weft_unsubscribe(subscription);
    CHECK_EQUAL(weft_now() - begin_ns, 3 * WEFT_SEC);
    CHECK_EQUAL(listener.seen, 1);
    CHECK_EQUAL(look(bus).dropped, 1);
    CHECK_EQUAL(weft_bus_close(bus, WEFT_FOREVER), 0);
}

FIBER_TEST(who_is_cancelled_while_it_unsubscribes_cancels_the_handler)
{
    struct listener listener = {.work_ns = 3600 * WEFT_SEC};
    struct weft_bus *bus = open_bus();
    struct weft_scope scope;
    struct weft_subscription *subscription = subscribe(
        bus, (struct weft_subscription_options){.topic = "a", .handler = listen, .arg = &listener});
    int64_t begin_ns = weft_now();
    fill(bus);
    CHECK_EQUAL(weft_yield(), 0);
    weft_scope_enter(&scope, begin_ns + WEFT_SEC, WEFT_SCOPE_MOVE_ON);
    weft_unsubscribe(subscription);
    CHECK_EQUAL(weft_scope_leave(&scope, 0), 0);
    CHECK_EQUAL(weft_now() - begin_ns, WEFT_SEC);
    CHECK_EQUAL(listener.seen, 0);
    CHECK_EQUAL(look(bus).failed, 0);
    CHECK_EQUAL(weft_bus_close(bus, WEFT_FOREVER), 0);
}

struct once {
    struct weft_bus *bus;
    struct weft_subscription *subscription;
    int seen, inner;
};

static int only_once(void *arg, const struct weft_message *message)
{
    struct once *once = arg;
    (void)message;
    once->seen++;
    weft_unsubscribe(once->subscription);
    return 0;
}

FIBER_TEST(a_handler_may_unsubscribe_itself)
{
    struct weft_bus *bus = open_bus();
    struct once once = {.bus = bus};
    once.subscription = subscribe(
        bus, (struct weft_subscription_options){.topic = "a", .handler = only_once, .arg = &once});
    fill(bus);
    CHECK_EQUAL(weft_sleep(WEFT_SEC), 0);
    CHECK_EQUAL(once.seen, 1);
    bool ended = once.seen;
    CHECK_EQUAL(weft_publish_nowait(bus, "a", "3", 1), 0);
    CHECK_EQUAL(weft_bus_close(bus, WEFT_FOREVER), 0);
    if (!ended)
        weft_unsubscribe(once.subscription);
}

static int end_the_other(void *arg, const struct weft_message *message)
{
    struct once *other = arg;
    struct weft_subscription *subscription = other->subscription;
    (void)message;
    (void)weft_sleep(WEFT_SEC);
    other->subscription = NULL;
    weft_unsubscribe(subscription);
    other->seen++;
    return 0;
}

FIBER_TEST(handlers_may_unsubscribe_each_other)
{
    struct weft_bus *bus = open_bus();
    struct once ring[3] = {{.bus = NULL}};
    for (int i = 0; i < 3; i++)
        ring[i].subscription =
            subscribe(bus, (struct weft_subscription_options){
                               .topic = "a", .handler = end_the_other, .arg = &ring[(i + 1) % 3]});
    CHECK_EQUAL(weft_publish(bus, "a", "x", 1, WEFT_FOREVER), 3);
    for (int i = 0; i < 3; i++)
        CHECK_EQUAL(ring[i].seen, 1);
    CHECK_EQUAL(weft_bus_close(bus, WEFT_FOREVER), 0);
    for (int i = 0; i < 3; i++)
        weft_unsubscribe(ring[i].subscription);
}

static int publish_again(void *arg, const struct weft_message *message)
{
    struct once *once = arg;
    once->inner = weft_publish(once->bus, message->topic, "again", 5, WEFT_FOREVER);
    if (once->seen++ == 0)
        CHECK_EQUAL(weft_publish_nowait(once->bus, message->topic, "again", 5), 1);
    return 0;
}

FIBER_TEST(a_handler_that_would_wait_for_itself_is_told_so)
{
    struct weft_bus *bus = open_bus();
    struct once once = {.bus = bus};
    const struct weft_subscription_options options = {
        .topic = "a.*", .handler = publish_again, .arg = &once};
    CHECK_EQUAL(weft_subscribe(bus, &options, NULL), 0);
    CHECK_EQUAL(weft_publish(bus, "a.b", "x", 1, WEFT_FOREVER), 1);
    CHECK_EQUAL(once.inner, -EDEADLK);
    CHECK_EQUAL(weft_bus_close(bus, WEFT_FOREVER), 0);
    CHECK_EQUAL(once.seen, 2);
}

/* ---- closing ------------------------------------------------------------------------- */

FIBER_TEST(closing_without_patience_cancels_handlers_and_drops_what_is_queued)
{
    struct listener listener = {.work_ns = 3600 * WEFT_SEC};
    struct weft_bus *bus = open_bus();
    int64_t begin_ns = weft_now();
    subscribe_listener(bus, "a", &listener);
    fill(bus);
    CHECK_EQUAL(weft_publish_nowait(bus, "a", "3", 1), 1);
    CHECK_EQUAL(weft_sleep(WEFT_SEC), 0);
    CHECK_EQUAL(weft_bus_close(bus, begin_ns + 2 * WEFT_SEC), 2);
    CHECK_EQUAL(weft_now() - begin_ns, 2 * WEFT_SEC);
    CHECK_EQUAL(listener.seen, 0);
}

FIBER_TEST(closing_lets_pullers_empty_their_queues_and_then_tells_them)
{
    struct weft_bus *bus = open_bus();
    struct weft_group group;
    struct weft_subscription *subscription =
        subscribe(bus, (struct weft_subscription_options){.topic = "a"});
    struct reader first = {subscription, WEFT_SEC, 1}, second = {subscription, 2 * WEFT_SEC, 1},
                  third = {subscription, 0, 1};
    int64_t begin_ns = weft_now();
    fill(bus);
    CHECK_EQUAL(weft_group_init(&group, NULL), 0);
    CHECK_EQUAL(weft_spawn(&group, read_later, &first), 0);
    CHECK_EQUAL(weft_spawn(&group, read_later, &second), 0);
    CHECK_EQUAL(weft_bus_close(bus, begin_ns + 60 * WEFT_SEC), 0);
    CHECK_EQUAL(weft_now() - begin_ns, 2 * WEFT_SEC);
    CHECK_EQUAL(weft_group_wait(&group), 0);
    CHECK_EQUAL(first.result, 0);
    CHECK_EQUAL(second.result, 0);
    (void)read_later(&third); /* the handle is still good */
    CHECK_EQUAL(third.result, -ESHUTDOWN);
    weft_unsubscribe(subscription);
}

static int publish_late(void *arg)
{
    struct once *once = arg;
    (void)weft_sleep(WEFT_SEC);
    once->inner = weft_publish(once->bus, "a", "x", 1, WEFT_FOREVER);
    return 0;
}

FIBER_TEST(a_closing_bus_takes_nothing_new)
{
    struct listener listener = {.work_ns = 5 * WEFT_SEC};
    struct weft_bus *bus = open_bus();
    struct weft_group group;
    struct once late = {.bus = bus};
    subscribe_listener(bus, "a", &listener);
    fill(bus);
    CHECK_EQUAL(weft_group_init(&group, NULL), 0);
    CHECK_EQUAL(weft_spawn(&group, publish_late, &late), 0);
    CHECK_EQUAL(weft_bus_close(bus, WEFT_FOREVER), 0);
    CHECK_EQUAL(weft_group_wait(&group), 0);
    CHECK_EQUAL(late.inner, -ESHUTDOWN);
    CHECK_EQUAL(listener.seen, 2);
}

FIBER_TEST(a_cancelled_bus_fails_no_publisher_and_hangs_nobody)
{
    struct listener listener = {.work_ns = 3600 * WEFT_SEC};
    struct weft_publish_report report = {0};
    struct weft_scope scope;
    weft_scope_enter(&scope, weft_now() + WEFT_SEC, WEFT_SCOPE_MOVE_ON);
    struct weft_bus *bus = open_bus();
    subscribe_listener(bus, "a", &listener);
    CHECK_EQUAL(weft_publish_report(bus, "a", "x", 1, WEFT_FOREVER, &report), -ECANCELED);
    CHECK_EQUAL(weft_bus_close(bus, WEFT_FOREVER), 0);
    CHECK_EQUAL(weft_scope_leave(&scope, -ECANCELED), 0);
    CHECK_EQUAL(report.delivered, 1);
    CHECK_EQUAL(listener.seen, 0);
}

/* ---- limits and misuse --------------------------------------------------------------- */

FIBER_TEST(every_limit_has_its_error)
{
    struct weft_bus *bus = NULL;
    struct weft_subscription *subscriptions[2] = {NULL}, *none = NULL;
    struct weft_bus_options options = {
        .subscriptions_max = 2, .topics_max = 1, .message_bytes_max = 4};
    struct weft_subscription_options wish = {.topic = "a"};
    CHECK_EQUAL(weft_bus_open(&bus, &options), 0);
    CHECK_EQUAL(weft_subscribe(bus, &wish, NULL), -EINVAL); /* nobody could receive */
    CHECK_EQUAL(weft_subscribe(bus, &wish, &subscriptions[0]), 0);
    wish.topic = "b";
    CHECK_EQUAL(weft_subscribe(bus, &wish, &none), WEFT_EFULL);
    wish.topic = "a..b";
    CHECK_EQUAL(weft_subscribe(bus, &wish, &none), -EINVAL);
    wish.topic = "a", wish.capacity = 65537;
    CHECK_EQUAL(weft_subscribe(bus, &wish, &none), -EINVAL);
    wish.capacity = 0;
    CHECK_EQUAL(weft_subscribe(bus, &wish, &subscriptions[1]), 0);
    CHECK_EQUAL(weft_subscribe(bus, &wish, &none), WEFT_EFULL);
    CHECK_EQUAL(weft_publish_nowait(bus, "a", "12345", 5), -EMSGSIZE);
    CHECK_EQUAL(weft_publish_nowait(bus, "a.*", "1", 1), -EINVAL);
    CHECK_EQUAL(weft_publish_nowait(bus, "a", NULL, 1), -EINVAL);
    CHECK_EQUAL(weft_publish(bus, "a", "1234", 4, WEFT_NOWAIT), 2);
    weft_unsubscribe(subscriptions[0]);
    weft_unsubscribe(subscriptions[1]);
    weft_unsubscribe(NULL);
    CHECK_EQUAL(weft_bus_close(bus, WEFT_NOWAIT), 0);
    CHECK_EQUAL(weft_bus_close(NULL, WEFT_NOWAIT), 0);
    options.topics_max = 65537;
    CHECK_EQUAL(weft_bus_open(&bus, &options), -EINVAL);
}

static int use_local(void *arg)
{
    const struct weft_subscription_options options = {.topic = "a"};
    struct weft_subscription *subscription;
    CHECK_EQUAL(weft_publish(arg, "a", "x", 1, WEFT_FOREVER), -EPERM);
    CHECK_EQUAL(weft_publish_nowait(arg, "a", "x", 1), -EPERM);
    CHECK_EQUAL(weft_subscribe(arg, &options, &subscription), -EPERM);
    CHECK_EQUAL(weft_bus_close(arg, WEFT_NOWAIT), -EPERM);
    return 0;
}

FIBER_TEST(a_local_bus_is_not_for_other_threads)
{
    struct weft_bus *bus = open_bus();
    CHECK_EQUAL(on_a_thread(use_local, bus), 0);
    CHECK_EQUAL(weft_bus_close(bus, WEFT_NOWAIT), 0);
}

TEST(a_bus_of_threads_is_pull_only)
{
    struct listener listener = {0};
    struct weft_bus *bus = open_bus();
    const struct weft_subscription_options handled = {
        .topic = "a", .handler = listen, .arg = &listener};
    struct weft_subscription *subscription =
        subscribe(bus, (struct weft_subscription_options){.topic = "a"});
    CHECK_EQUAL(weft_subscribe(bus, &handled, NULL), -EPERM);
    CHECK_EQUAL(weft_publish(bus, "a", "x", 1, WEFT_FOREVER), 1);
    expect(subscription, "x");
    weft_unsubscribe(subscription);
    CHECK_EQUAL(weft_bus_close(bus, WEFT_FOREVER), 0);
}

/* ---- random schedules ---------------------------------------------------------------- */

#define STORM_PUBLISHERS  4
#define STORM_SUBSCRIBERS 6
#define STORM_MEMBERS     (STORM_PUBLISHERS + STORM_SUBSCRIBERS)
#define STORM_ROUNDS      12

struct storm {
    struct weft_bus *bus;
    struct weft_random random;
    struct weft_scope *scopes[STORM_MEMBERS];
    int out_of_order, unexpected, handled, received;
};

/* What a message says: who has sent it, and the how manieth of its own it is. */
struct note {
    int publisher, number;
};

/* What a subscriber has seen last, of each publisher. */
struct memory {
    struct storm *storm;
    int numbers[STORM_PUBLISHERS];
};

struct member {
    struct storm *storm;
    int index;
};

static int64_t some(struct storm *storm, uint64_t bound)
{
    return (int64_t)weft_random_below(&storm->random, bound);
}

static void remember(struct memory *memory, const struct weft_message *message)
{
    struct note note;
    memcpy(&note, message->data, sizeof note);
    memory->storm->out_of_order += note.number <= memory->numbers[note.publisher];
    memory->numbers[note.publisher] = note.number;
}

static int handle_note(void *arg, const struct weft_message *message)
{
    struct memory *memory = arg;
    struct storm *storm = memory->storm;
    remember(memory, message);
    storm->handled++;
    int err = some(storm, 2) ? weft_sleep(some(storm, 20)) : 0;
    if (err == 0 && some(storm, 5) == 0)
        err = -EIO;
    return err;
}

static void storm_publish(struct storm *storm, int publisher, int number)
{
    static const char *const topics[] = {"a", "a.b", "a.c", "d"};
    const char *topic = topics[some(storm, 4)];
    struct note note = {publisher, number};
    struct weft_publish_report report = {0};
    if (some(storm, 3) == 0) {
        storm->unexpected += weft_publish_nowait(storm->bus, topic, &note, sizeof note) < 0;
        return;
    }
    int64_t patience_ns = some(storm, 80);
    int64_t deadline_ns = patience_ns > 60 ? WEFT_FOREVER : weft_now() + patience_ns;
    int err = weft_publish_report(storm->bus, topic, &note, sizeof note, deadline_ns, &report);
    bool cut = err == -ETIMEDOUT || err == -ECANCELED;
    storm->unexpected += err < 0 && !cut && err != -EIO;
    storm->unexpected += report.handled > report.delivered || report.failed > report.handled;
}

static void storm_pull(struct storm *storm, struct weft_subscription *subscription,
                       struct memory *memory)
{
    const struct weft_message *message;
    for (int64_t left = some(storm, 20); left > 0; left--) {
        int64_t deadline_ns = weft_now() + some(storm, 30);
        if (weft_subscription_receive(subscription, &message, deadline_ns) < 0)
            continue;
        storm->received++;
        remember(memory, message);
        weft_message_release(message);
        (void)weft_sleep(some(storm, 10));
    }
}

static void storm_listen(struct storm *storm)
{
    static const char *const topics[] = {"a", "a.*", ">", "d", "a.b", "a.>"};
    struct memory memory = {storm, {0}};
    struct weft_subscription *subscription;
    const struct weft_subscription_options options = {
        .topic = topics[some(storm, 6)],
        .capacity = 1 + (uint32_t)some(storm, 3),
        .slow = (enum weft_slow)some(storm, 4),
        .block_max_ns = some(storm, 30),
        .handler = some(storm, 2) ? handle_note : NULL,
        .arg = &memory,
    };
    if (weft_subscribe(storm->bus, &options, &subscription) < 0)
        return;
    if (options.handler)
        (void)weft_sleep(some(storm, 200));
    else
        storm_pull(storm, subscription, &memory);
    weft_unsubscribe(subscription);
}

static int storm_member(void *arg)
{
    const struct member *member = arg;
    struct storm *storm = member->storm;
    for (int i = 1; i <= STORM_ROUNDS; i++) {
        struct weft_scope scope;
        weft_scope_enter(&scope, WEFT_FOREVER, WEFT_SCOPE_MOVE_ON);
        storm->scopes[member->index] = &scope;
        if (member->index < STORM_PUBLISHERS)
            storm_publish(storm, member->index, i);
        else
            storm_listen(storm);
        storm->scopes[member->index] = NULL;
        (void)weft_scope_leave(&scope, 0);
        (void)weft_sleep(some(storm, 40));
    }
    return 0;
}

static int storm_run(void *arg)
{
    struct storm *storm = arg;
    struct weft_group group;
    REQUIRE(weft_bus_open(&storm->bus, NULL) == 0);
    CHECK_EQUAL(weft_group_init(&group, NULL), 0);
    for (int i = 0; i < STORM_MEMBERS; i++) {
        struct member member = {storm, i};
        const struct weft_spawn_options options = {.copy_bytes = sizeof member};
        CHECK_EQUAL(weft_spawn_with(&group, storm_member, &member, &options), 0);
    }
    while (weft_group_live(&group) > 0) { /* cancel somebody now and then */
        CHECK_EQUAL(weft_sleep(1 + some(storm, 30)), 0);
        struct weft_scope *victim = storm->scopes[some(storm, STORM_MEMBERS)];
        if (victim)
            weft_scope_cancel(victim, 0);
    }
    CHECK_EQUAL(weft_group_wait(&group), 0);
    struct weft_bus_snapshot snapshot = look(storm->bus);
    storm->unexpected += snapshot.backlog > 0 || snapshot.subscriptions > 0 || snapshot.topics > 0;
    return weft_bus_close(storm->bus, WEFT_FOREVER);
}

TEST(no_schedule_hangs_anybody_or_delivers_out_of_order)
{
    int handled = 0, received = 0;
    for (uint64_t seed = 1; seed <= 300; seed++) {
        struct storm storm = {0};
        const struct weft_run_options run = {
            .clock = WEFT_CLOCK_VIRTUAL, .seed = seed, .io = "epoll"};
        weft_random_seed(&storm.random, seed);
        int err = weft_run(&run, storm_run, &storm);
        CHECK_EQUAL(err, 0);
        CHECK_EQUAL(storm.out_of_order, 0);
        CHECK_EQUAL(storm.unexpected, 0);
        if (err || storm.out_of_order || storm.unexpected) {
            test_note("seed %llu", (unsigned long long)seed);
            return;
        }
        handled += storm.handled, received += storm.received;
    }
    CHECK(handled > 1000 && received > 1000); /* there was something to see */
}

/* ---- threads ------------------------------------------------------------------------- */

#define CROWD_ROUNDS 100

struct market {
    struct weft_bus *bus;
    atomic_int handled, received, waited;
};

static int count(void *arg, const struct weft_message *message)
{
    struct market *market = arg;
    atomic_fetch_add(&market->handled, 1);
    return message->len == 4 ? 0 : -EINVAL;
}

/* The first of them pulls, and comes and goes; the others publish. */
static void take_part(void *arg, unsigned index)
{
    struct market *market = arg;
    const struct weft_subscription_options options = {.topic = "goods.*", .capacity = 4};
    for (int i = 0; i < CROWD_ROUNDS; i++) {
        struct weft_subscription *subscription;
        const struct weft_message *message;
        if (index > 0) {
            int result = weft_publish(market->bus, "goods.fish", "cod!", 4, WEFT_FOREVER);
            CHECK(result >= 1);
            atomic_fetch_add(&market->waited, result >= 1);
            continue;
        }
        REQUIRE(weft_subscribe(market->bus, &options, &subscription) == 0);
        for (int taken = 0; taken < 3; taken++) {
            int64_t deadline_ns = weft_now() + 100 * WEFT_USEC;
            if (weft_subscription_receive(subscription, &message, deadline_ns) < 0)
                break;
            weft_message_release(message);
            atomic_fetch_add(&market->received, 1);
        }
        weft_unsubscribe(subscription);
    }
}

static int crowd_publisher(void *arg)
{
    const struct weft_bus_options shared = {.sharing = WEFT_SHARED};
    struct market *market = arg;
    REQUIRE(weft_bus_open(&market->bus, &shared) == 0);
    const struct weft_subscription_options options = {
        .topic = "goods.>", .handler = count, .arg = market};
    CHECK_EQUAL(weft_subscribe(market->bus, &options, NULL), 0);
    return 0;
}

struct stall {
    struct market *market;
    unsigned index;
};

static int stall(void *arg)
{
    const struct stall *self = arg;
    take_part(self->market, self->index);
    return 0;
}

static int hold_market(void *arg)
{
    struct market *market = arg;
    struct weft_group group;
    struct weft_runtime *runtime = weft_runtime_acquire();
    (void)crowd_publisher(market);
    CHECK_EQUAL(weft_group_init(&group, NULL), 0);
    for (unsigned i = 0; i < 6; i++) {
        struct stall self = {market, i};
        const struct weft_spawn_options options = {.copy_bytes = sizeof self,
                                                   .worker = WEFT_WORKER((int)(i % 2))};
        CHECK_EQUAL(weft_spawn_with(&group, stall, &self, &options), 0);
    }
    CHECK_EQUAL(weft_group_wait(&group), 0);
    weft_runtime_release(runtime);
    CHECK_EQUAL(weft_bus_close(market->bus, WEFT_FOREVER), 0);
    return 0;
}

TEST(workers_share_a_bus_whose_handlers_run_on_one)
{
    struct market market = {.bus = NULL};
    const struct weft_run_options run = {.workers = 2};
    CHECK_EQUAL(weft_run(&run, hold_market, &market), 0);
    CHECK_EQUAL(market.handled, 5 * CROWD_ROUNDS);
    CHECK_EQUAL(market.waited, 5 * CROWD_ROUNDS);
}

static void pull_or_publish(void *arg, unsigned index)
{
    struct market *market = arg;
    const struct weft_subscription_options options = {.topic = "a", .capacity = 2};
    struct weft_subscription *subscription;
    const struct weft_message *message;
    if (index % 4 != 0) {
        for (int i = 0; i < CROWD_ROUNDS; i++) {
            int64_t deadline_ns = weft_now() + 200 * WEFT_USEC;
            CHECK(weft_publish(market->bus, "a", "x", 1, deadline_ns) != -EINVAL);
        }
        return;
    }
    for (int i = 0; i < CROWD_ROUNDS; i++) {
        REQUIRE(weft_subscribe(market->bus, &options, &subscription) == 0);
        int64_t deadline_ns = weft_now() + 50 * WEFT_USEC;
        while (weft_subscription_receive(subscription, &message, deadline_ns) == 0)
            weft_message_release(message);
        weft_unsubscribe(subscription);
    }
}

TEST(workers_and_threads_publish_while_others_come_and_go)
{
    struct market market = {.bus = NULL};
    const struct weft_bus_options shared = {.sharing = WEFT_SHARED};
    REQUIRE(weft_bus_open(&market.bus, &shared) == 0);
    const struct crowd crowd = {
        .workers = 2, .fibers = 6, .threads = 4, .run = pull_or_publish, .arg = &market};
    crowd_run(&crowd);
    CHECK_EQUAL(look(market.bus).subscriptions, 0);
    CHECK_EQUAL(look(market.bus).backlog, 0);
    CHECK_EQUAL(weft_bus_close(market.bus, WEFT_NOWAIT), 0);
}
