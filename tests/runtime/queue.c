/* SPDX-License-Identifier: MIT
 * queue.c - the priority queue: order, bounds, closing. What it promises of cancelling is in
 * blocking.c. */
#include "runtime/crowd.h"
#include "test.h"

#include <weft/group.h>
#include <weft/queue.h>

#include <errno.h>

struct item {
    int64_t priority;
    unsigned number;
    char rest[20];
};

FIBER_TEST(the_lowest_comes_out_first_and_among_equals_the_oldest)
{
    enum {
        ITEMS = 1000
    };
    struct weft_priority_queue queue;
    unsigned random = 42, number = 0;
    CHECK_EQUAL(weft_priority_queue_init(&queue, sizeof(struct item), ITEMS, WEFT_AUTO), 0);
    for (int turn = 0; turn < 5; turn++) {
        struct item last = {.priority = INT64_MIN}, item;
        for (int i = 0; i < ITEMS; i++) {
            item = (struct item){crowd_random(&random) % 16 - 8, number++, "untouched"};
            if (i == 500)
                item.priority = INT64_MIN;
            if (i == 501)
                item.priority = INT64_MAX;
            CHECK_EQUAL(weft_priority_queue_push(&queue, &item, item.priority, WEFT_NOWAIT), 0);
        }
        CHECK_EQUAL(weft_priority_queue_len(&queue), ITEMS);
        CHECK_EQUAL(weft_priority_queue_push(&queue, &item, 0, WEFT_NOWAIT), -EAGAIN);
        for (int i = 0; i < ITEMS; i++) {
            REQUIRE(weft_priority_queue_pop(&queue, &item, WEFT_NOWAIT) == 0);
            CHECK(item.priority > last.priority ||
                  (item.priority == last.priority && (i == 0 || item.number > last.number)));
            CHECK_EQUAL(item.rest[0], 'u');
            last = item;
        }
        CHECK_EQUAL(weft_priority_queue_pop(&queue, &last, WEFT_NOWAIT), -EAGAIN);
    }
    weft_priority_queue_deinit(&queue);
}

struct pusher {
    struct weft_priority_queue *queue;
    int item, result;
};

static int push_one(void *arg)
{
    struct pusher *pusher = arg;
    pusher->result =
        weft_priority_queue_push(pusher->queue, &pusher->item, -pusher->item, WEFT_FOREVER);
    return 0;
}

FIBER_TEST(waiting_pushers_get_places_in_the_order_they_came)
{
    struct weft_priority_queue queue;
    struct pusher pushers[4];
    struct weft_group group;
    int item = 0;
    CHECK_EQUAL(weft_priority_queue_init(&queue, sizeof item, 1, WEFT_AUTO), 0);
    CHECK_EQUAL(weft_group_init(&group, NULL), 0);
    for (int i = 0; i < 4; i++) { /* the later, the more urgent: it makes no difference */
        pushers[i] = (struct pusher){&queue, i, 7};
        CHECK_EQUAL(weft_spawn(&group, push_one, &pushers[i]), 0);
    }
    CHECK_EQUAL(weft_yield(), 0);
    for (int i = 0; i < 4; i++) {
        CHECK_EQUAL(weft_priority_queue_pop(&queue, &item, WEFT_NOWAIT), 0);
        CHECK_EQUAL(item, i);
    }
    CHECK_EQUAL(weft_group_wait(&group), 0);
    weft_priority_queue_deinit(&queue);
}

FIBER_TEST(a_closed_queue_drains_then_gives_the_reason)
{
    struct weft_priority_queue queue;
    struct weft_group group;
    struct pusher pusher = {&queue, 5, 7};
    int item = 1;
    CHECK_EQUAL(weft_priority_queue_init(&queue, sizeof item, 1, WEFT_AUTO), 0);
    CHECK_EQUAL(weft_priority_queue_push(&queue, &item, 0, WEFT_NOWAIT), 0);
    CHECK_EQUAL(weft_group_init(&group, NULL), 0);
    CHECK_EQUAL(weft_spawn(&group, push_one, &pusher), 0);
    CHECK_EQUAL(weft_yield(), 0);
    CHECK_EQUAL(weft_priority_queue_close(&queue, -ENOLINK), 0);
    CHECK_EQUAL(weft_priority_queue_close(&queue, 0), 0);
    CHECK_EQUAL(weft_group_wait(&group), 0);
    CHECK_EQUAL(pusher.result, -ENOLINK);
    CHECK_EQUAL(weft_priority_queue_push(&queue, &item, 0, WEFT_FOREVER), -ENOLINK);
    CHECK_EQUAL(weft_priority_queue_pop(&queue, &item, WEFT_FOREVER), 0);
    CHECK_EQUAL(weft_priority_queue_pop(&queue, &item, WEFT_FOREVER), -ENOLINK);
    weft_priority_queue_deinit(&queue);
}

static int close_and_count(void *arg)
{
    CHECK_EQUAL(weft_priority_queue_len(arg), -EPERM);
    return weft_priority_queue_close(arg, 0);
}

FIBER_TEST(queues_refuse_senseless_sizes_and_strangers)
{
    struct weft_priority_queue queue;
    CHECK_EQUAL(weft_priority_queue_init(&queue, 0, 1, WEFT_AUTO), -EINVAL);
    CHECK_EQUAL(weft_priority_queue_init(&queue, 5000, 1, WEFT_AUTO), -EINVAL);
    CHECK_EQUAL(weft_priority_queue_init(&queue, 8, 0, WEFT_AUTO), -EINVAL);
    CHECK_EQUAL(weft_priority_queue_init(&queue, 8, SIZE_MAX, WEFT_AUTO), -EINVAL);
    CHECK_EQUAL(weft_priority_queue_init(&queue, 8, 1, WEFT_LOCAL), 0);
    CHECK_EQUAL(on_a_thread(close_and_count, &queue), -EPERM);
    weft_priority_queue_deinit(&queue);
}
