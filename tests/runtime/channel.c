/* SPDX-License-Identifier: MIT
 * channel.c - order, bounds, closing, cancelling. */
#include "runtime/crowd.h"
#include "test.h"

#include <weft/channel.h>
#include <weft/group.h>
#include <weft/queue.h>
#include <weft/runtime.h>

#include <errno.h>

struct side {
    struct weft_channel *channel;
    int first, count;
    int result;
    int64_t sum;
};

static int send_range(void *arg)
{
    struct side *side = arg;
    for (int i = 0; i < side->count && side->result == 0; i++) {
        int item = side->first + i;
        side->result = weft_send(side->channel, &item, WEFT_FOREVER);
    }
    return side->result;
}

static int receive_all(void *arg)
{
    struct side *side = arg;
    int item = 0;
    while ((side->result = weft_receive(side->channel, &item, WEFT_FOREVER)) == 0) {
        side->sum += item;
        side->count++;
    }
    return 0;
}

static void check_order(size_t capacity)
{
    struct weft_channel channel;
    struct weft_group group;
    CHECK_EQUAL(weft_channel_init(&channel, sizeof(int), capacity), 0);
    struct side sender = {.channel = &channel, .first = 1, .count = 100};
    CHECK_EQUAL(weft_group_init(&group, NULL), 0);
    CHECK_EQUAL(weft_spawn(&group, send_range, &sender), 0);
    for (int i = 1; i <= 100; i++) {
        int item = 0;
        REQUIRE(weft_receive(&channel, &item, WEFT_FOREVER) == 0);
        REQUIRE(item == i);
    }
    CHECK_EQUAL(weft_group_wait(&group), 0);
    weft_channel_deinit(&channel);
}

FIBER_TEST(items_arrive_in_order_with_and_without_a_ring)
{
    check_order(0);
    check_order(1);
    check_order(7);
    check_order(1000);
}

FIBER_TEST(waiting_senders_are_served_first_come_first_served)
{
    struct weft_channel channel;
    struct weft_group group;
    struct side senders[3];
    CHECK_EQUAL(weft_channel_init(&channel, sizeof(int), 0), 0);
    CHECK_EQUAL(weft_group_init(&group, NULL), 0);
    for (int i = 0; i < 3; i++) {
        senders[i] = (struct side){.channel = &channel, .first = i, .count = 1};
        CHECK_EQUAL(weft_spawn(&group, send_range, &senders[i]), 0);
    }
    CHECK_EQUAL(weft_yield(), 0);
    for (int i = 0; i < 3; i++) {
        int item = -1;
        CHECK_EQUAL(weft_receive(&channel, &item, WEFT_NOWAIT), 0);
        CHECK_EQUAL(item, i);
    }
    CHECK_EQUAL(weft_group_wait(&group), 0);
    weft_channel_deinit(&channel);
}

FIBER_TEST(a_full_or_empty_channel_answers_at_once_or_at_the_deadline)
{
    struct weft_channel channel;
    int item = 5, out = 0;
    CHECK_EQUAL(weft_channel_init(&channel, sizeof item, 1), 0);
    CHECK_EQUAL(weft_receive(&channel, &out, WEFT_NOWAIT), -EAGAIN);
    CHECK_EQUAL(weft_receive(&channel, &out, weft_now() + 10), -ETIMEDOUT);
    CHECK_EQUAL(weft_send(&channel, &item, WEFT_NOWAIT), 0);
    CHECK_EQUAL(weft_send(&channel, &item, WEFT_NOWAIT), -EAGAIN);
    CHECK_EQUAL(weft_send(&channel, &item, weft_now() + 10), -ETIMEDOUT);
    CHECK_EQUAL(out, 0);
    CHECK_EQUAL(weft_receive(&channel, &out, WEFT_NOWAIT), 0);
    CHECK_EQUAL(out, 5);
    CHECK_EQUAL(weft_receive(&channel, &out, WEFT_NOWAIT),
                -EAGAIN); /* the late send left nothing */
    weft_channel_deinit(&channel);
}

FIBER_TEST(a_closed_channel_drains_then_gives_the_reason)
{
    struct weft_channel channel;
    int item = 1, out = 0;
    CHECK_EQUAL(weft_channel_init(&channel, sizeof item, 2), 0);
    CHECK_EQUAL(weft_send(&channel, &item, WEFT_FOREVER), 0);
    weft_channel_close(&channel, -ENOLINK);
    weft_channel_close(&channel, -EIO);
    CHECK_EQUAL(weft_send(&channel, &item, WEFT_FOREVER), -ENOLINK);
    CHECK_EQUAL(weft_receive(&channel, &out, WEFT_FOREVER), 0);
    CHECK_EQUAL(weft_receive(&channel, &out, WEFT_FOREVER), -ENOLINK);
    weft_channel_deinit(&channel);
}

FIBER_TEST(closing_wakes_everybody_who_waits)
{
    struct weft_channel channel;
    struct weft_group group;
    struct side senders[2], receiver = {.channel = &channel};
    CHECK_EQUAL(weft_channel_init(&channel, sizeof(int), 0), 0);
    CHECK_EQUAL(weft_group_init(&group, &(struct weft_group_options){.policy = WEFT_SUPERVISE}), 0);
    for (int i = 0; i < 2; i++) {
        senders[i] = (struct side){.channel = &channel, .first = 1, .count = 1};
        CHECK_EQUAL(weft_spawn(&group, send_range, &senders[i]), 0);
    }
    CHECK_EQUAL(weft_yield(), 0);
    weft_channel_close(&channel, 0);
    CHECK_EQUAL(weft_group_wait(&group), -EPIPE);
    CHECK_EQUAL(senders[1].result, -EPIPE);
    CHECK_EQUAL(receive_all(&receiver), 0);
    CHECK_EQUAL(receiver.result, -EPIPE);
    weft_channel_deinit(&channel);
}

FIBER_TEST(many_senders_and_receivers_lose_and_repeat_nothing)
{
    enum {
        SIDES = 8,
        ITEMS = 500
    };
    for (size_t capacity = 0; capacity < 5; capacity += 2) {
        struct weft_channel channel;
        struct weft_group senders, receivers;
        struct side from[SIDES], to[SIDES];
        CHECK_EQUAL(weft_channel_init(&channel, sizeof(int), capacity), 0);
        CHECK_EQUAL(weft_group_init(&senders, NULL), 0);
        CHECK_EQUAL(weft_group_init(&receivers, NULL), 0);
        for (int i = 0; i < SIDES; i++) {
            from[i] = (struct side){.channel = &channel, .first = i * ITEMS, .count = ITEMS};
            to[i] = (struct side){.channel = &channel};
            CHECK_EQUAL(weft_spawn(&senders, send_range, &from[i]), 0);
            CHECK_EQUAL(weft_spawn(&receivers, receive_all, &to[i]), 0);
        }
        CHECK_EQUAL(weft_group_wait(&senders), 0);
        weft_channel_close(&channel, 0);
        CHECK_EQUAL(weft_group_wait(&receivers), 0);
        int64_t sum = 0;
        int count = 0;
        for (int i = 0; i < SIDES; i++) {
            sum += to[i].sum;
            count += to[i].count;
        }
        CHECK_EQUAL(count, SIDES * ITEMS);
        CHECK_EQUAL(sum, (int64_t)SIDES * ITEMS * (SIDES * ITEMS - 1) / 2);
        weft_channel_deinit(&channel);
    }
}

FIBER_TEST(a_cancelled_send_or_receive_had_no_effect)
{
    struct weft_channel channel;
    struct weft_scope scope;
    int item = 1, out = 7;
    CHECK_EQUAL(weft_channel_init(&channel, sizeof item, 1), 0);
    weft_scope_enter(&scope, weft_now() + 10, 0);
    CHECK_EQUAL(weft_receive(&channel, &out, WEFT_FOREVER), -ECANCELED);
    CHECK_EQUAL(weft_send(&channel, &item, WEFT_FOREVER), -ECANCELED); /* though there is room */
    CHECK_EQUAL(weft_scope_leave(&scope, -ECANCELED), -ETIMEDOUT);
    CHECK_EQUAL(out, 7);
    CHECK_EQUAL(weft_receive(&channel, &out, WEFT_NOWAIT), -EAGAIN);
    weft_channel_deinit(&channel);
}

/* A cancel at every possible moment of a transfer: nothing is lost, nothing is doubled. */
FIBER_TEST(cancelling_at_any_moment_loses_no_item)
{
    for (int turn = 0; turn < 40; turn++) {
        struct weft_channel channel;
        struct weft_group group, victims;
        struct side sender = {.count = 10, .first = 1}, victim = {0}, rest = {0};
        CHECK_EQUAL(weft_channel_init(&channel, sizeof(int), (size_t)turn % 3), 0);
        sender.channel = victim.channel = rest.channel = &channel;
        CHECK_EQUAL(weft_group_init(&group, NULL), 0);
        CHECK_EQUAL(weft_group_init(&victims, NULL), 0);
        CHECK_EQUAL(weft_spawn(&victims, receive_all, &victim), 0);
        CHECK_EQUAL(weft_spawn(&group, send_range, &sender), 0);
        for (int i = 0; i < turn; i++)
            CHECK_EQUAL(weft_yield(), 0);
        weft_group_close(&victims);
        CHECK_EQUAL(weft_spawn(&victims, receive_all, &rest), -ECANCELED);
        struct weft_group after;
        CHECK_EQUAL(weft_group_init(&after, NULL), 0);
        CHECK_EQUAL(weft_spawn(&after, receive_all, &rest), 0);
        CHECK_EQUAL(weft_group_wait(&group), 0);
        weft_channel_close(&channel, 0);
        CHECK_EQUAL(weft_group_wait(&after), 0);
        CHECK_EQUAL(victim.count + rest.count, 10);
        CHECK_EQUAL(victim.sum + rest.sum, 55);
        weft_channel_deinit(&channel);
    }
}

TEST(channels_refuse_senseless_sizes)
{
    struct weft_channel channel;
    CHECK_EQUAL(weft_channel_init(&channel, 0, 1), -EINVAL);
    CHECK_EQUAL(weft_channel_init(&channel, 5000, 1), -EINVAL);
    CHECK_EQUAL(weft_channel_init(&channel, 8, SIZE_MAX), -EINVAL);
    const struct weft_channel_options options = {
        .item_bytes = 8, .capacity = 10, .unbounded = 1, .items_max = 9};
    CHECK_EQUAL(weft_channel_init_with(&channel, &options), -EINVAL);
    const struct weft_channel_options homeless = {.item_bytes = 8, .sharing = WEFT_LOCAL};
    CHECK_EQUAL(weft_channel_init_with(&channel, &homeless), -EPERM);
}

FIBER_TEST(an_unbounded_channel_grows_in_order_up_to_its_maximum)
{
    struct weft_channel channel;
    int next_in = 0, next_out = 0, out = -1;
    const struct weft_channel_options options = {
        .item_bytes = sizeof(int), .capacity = 3, .unbounded = 1, .items_max = 100};
    CHECK_EQUAL(weft_channel_init_with(&channel, &options), 0);
    for (int turn = 0; turn < 30; turn++) { /* it wraps around while it grows */
        for (int i = 0; i < turn; i++) {
            int err = weft_send(&channel, &next_in, WEFT_FOREVER);
            CHECK_EQUAL(err, next_in - next_out < 100 ? 0 : WEFT_EFULL);
            next_in += err == 0;
        }
        CHECK_EQUAL(weft_channel_len(&channel), next_in - next_out);
        for (int i = 0; i < turn / 2; i++) {
            CHECK_EQUAL(weft_receive(&channel, &out, WEFT_NOWAIT), 0);
            CHECK_EQUAL(out, next_out++);
        }
    }
    while (next_in - next_out < 100) {
        CHECK_EQUAL(weft_send(&channel, &next_in, WEFT_NOWAIT), 0);
        next_in++;
    }
    CHECK_EQUAL(weft_send(&channel, &next_in, WEFT_FOREVER), WEFT_EFULL);
    weft_channel_deinit(&channel);
}

/* So growing takes no longer the more there is. */
FIBER_TEST(an_unbounded_channel_moves_no_item_when_it_grows)
{
    struct weft_channel channel;
    int64_t in = 0, out = -1;
    const struct weft_channel_options options = {
        .item_bytes = sizeof in, .unbounded = 1, .sharing = WEFT_SHARED};
    CHECK_EQUAL(weft_channel_init_with(&channel, &options), 0);
    const unsigned char *items = channel.items;
    while (in < 100000 && weft_send(&channel, &in, WEFT_NOWAIT) == 0)
        in++;
    CHECK(channel.items == items);
    CHECK_EQUAL(weft_channel_len(&channel), 100000);
    for (int64_t i = 0; i < 100000; i++) {
        CHECK_EQUAL(weft_receive(&channel, &out, WEFT_NOWAIT), 0);
        CHECK_EQUAL(out, i);
        if (i % 3 == 0) { /* ... and behind what is left */
            CHECK_EQUAL(weft_send(&channel, &in, WEFT_NOWAIT), 0);
            in++;
        }
    }
    CHECK_EQUAL(weft_channel_len(&channel), in - 100000);
    CHECK_EQUAL(weft_receive(&channel, &out, WEFT_NOWAIT), 0);
    CHECK_EQUAL(out, 100000);
    weft_channel_deinit(&channel); /* with items inside */
}

FIBER_TEST(after_deinit_every_call_finds_the_channel_closed)
{
    for (int unbounded = 0; unbounded < 2; unbounded++) {
        struct weft_channel channel;
        struct weft_priority_queue queue;
        int item = 7;
        const struct weft_channel_options options = {
            .item_bytes = sizeof item, .capacity = 1, .unbounded = unbounded};
        REQUIRE(weft_channel_init_with(&channel, &options) == 0);
        REQUIRE(weft_priority_queue_init(&queue, sizeof item, 1, WEFT_AUTO) == 0);
        CHECK_EQUAL(weft_send(&channel, &item, WEFT_FOREVER), 0);
        CHECK_EQUAL(weft_priority_queue_push(&queue, &item, 1, WEFT_FOREVER), 0);
        weft_channel_deinit(&channel);
        weft_priority_queue_deinit(&queue);
        CHECK_EQUAL(weft_send(&channel, &item, WEFT_FOREVER), -EBADF);
        CHECK_EQUAL(weft_receive(&channel, &item, WEFT_FOREVER), -EBADF);
        CHECK_EQUAL(weft_channel_close(&channel, -EIO), 0); /* the first reason stays */
        CHECK_EQUAL(weft_receive(&channel, &item, WEFT_FOREVER), -EBADF);
        CHECK_EQUAL(weft_channel_len(&channel), 0);
        CHECK_EQUAL(weft_priority_queue_push(&queue, &item, 1, WEFT_FOREVER), -EBADF);
        CHECK_EQUAL(weft_priority_queue_pop(&queue, &item, WEFT_FOREVER), -EBADF);
        CHECK_EQUAL(weft_priority_queue_len(&queue), 0);
        weft_channel_deinit(&channel); /* again */
        weft_priority_queue_deinit(&queue);
    }
}

TEST(a_channel_whose_init_failed_refuses_every_call)
{
    struct weft_channel channel;
    struct weft_priority_queue queue;
    int item = 0;
    const struct weft_channel_options homeless = {.item_bytes = 4, .sharing = WEFT_LOCAL};
    CHECK_EQUAL(weft_channel_init_with(&channel, &homeless), -EPERM);
    CHECK_EQUAL(weft_send(&channel, &item, WEFT_FOREVER), -EPERM);
    CHECK_EQUAL(weft_receive(&channel, &item, WEFT_FOREVER), -EPERM);
    CHECK_EQUAL(weft_channel_len(&channel), -EPERM);
    CHECK_EQUAL(weft_channel_close(&channel, 0), -EPERM);
    weft_channel_deinit(&channel);
    CHECK_EQUAL(weft_priority_queue_init(&queue, 0, 1, WEFT_SHARED), -EINVAL);
    CHECK_EQUAL(weft_priority_queue_push(&queue, &item, 1, WEFT_FOREVER), -EPERM);
    weft_priority_queue_deinit(&queue);
}

static int use_a_local_channel(void *arg)
{
    int item = 0;
    CHECK_EQUAL(weft_send(arg, &item, WEFT_FOREVER), -EPERM);
    CHECK_EQUAL(weft_receive(arg, &item, WEFT_FOREVER), -EPERM);
    CHECK_EQUAL(weft_channel_len(arg), -EPERM);
    return weft_channel_close(arg, 0);
}

FIBER_TEST(a_local_channel_is_not_for_other_threads)
{
    struct weft_channel channel;
    const struct weft_channel_options options = {
        .item_bytes = sizeof(int), .capacity = 1, .sharing = WEFT_LOCAL};
    CHECK_EQUAL(weft_channel_init_with(&channel, &options), 0);
    CHECK_EQUAL(on_a_thread(use_a_local_channel, &channel), -EPERM);
    CHECK_EQUAL(weft_channel_len(&channel), 0);
    weft_channel_deinit(&channel);
}

/* Ten senders that always have something: each gets its turn before anybody gets another. */
FIBER_TEST(senders_that_wait_take_turns)
{
    enum {
        SENDERS = 10,
        ITEMS = 20
    };
    for (enum weft_sharing sharing = WEFT_LOCAL; sharing <= WEFT_SHARED; sharing++) {
        struct weft_channel channel;
        struct weft_group group;
        struct side from[SENDERS];
        int item = 0, count[SENDERS] = {0};
        const struct weft_channel_options options = {
            .item_bytes = sizeof item, .capacity = 0, .sharing = sharing};
        CHECK_EQUAL(weft_channel_init_with(&channel, &options), 0);
        CHECK_EQUAL(weft_group_init(&group, NULL), 0);
        for (int i = 0; i < SENDERS; i++) {
            from[i] = (struct side){.channel = &channel, .first = i * ITEMS, .count = ITEMS};
            CHECK_EQUAL(weft_spawn(&group, send_range, &from[i]), 0);
        }
        for (int i = 0; i < SENDERS * ITEMS; i++) {
            CHECK_EQUAL(weft_yield(), 0);
            CHECK_EQUAL(weft_receive(&channel, &item, WEFT_FOREVER), 0);
            CHECK_EQUAL(count[item / ITEMS]++, i / SENDERS);
        }
        CHECK_EQUAL(weft_group_wait(&group), 0);
        weft_channel_deinit(&channel);
    }
}

TEST(a_limit_that_cannot_be_counted_is_refused)
{
    struct weft_channel channel;
    CHECK_EQUAL(weft_channel_init_with(&channel,
                                       &(struct weft_channel_options){
                                           .item_bytes = 1, .unbounded = 1, .items_max = SIZE_MAX}),
                -EINVAL);
}
