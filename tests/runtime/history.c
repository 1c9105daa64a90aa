/* SPDX-License-Identifier: MIT
 * history.c - short histories of real concurrency, checked for an order that explains them.
 *
 * Each caller notes when a call began and ended. A history is linearizable when the calls can be
 * put in one order that respects those times and that the sequential object would have answered
 * just so. Source: Wing, Gong, "Testing and verifying concurrent objects", 1993. */
#include "runtime/crowd.h"
#include "test.h"

#include <weft/channel.h>
#include <weft/sync.h>

#include <errno.h>
#include <sched.h>
#include <string.h>

enum {
    CALLERS = 4,
    CALLS_EACH = 4,
    CALLS = CALLERS * CALLS_EACH,
    CAPACITY = 2,
    ROUNDS = 150,
};

enum action {
    GIVE, /* send; release */
    TAKE, /* receive; acquire */
};

struct call {
    enum action action;
    int item, result;
    unsigned began, ended;
};

struct history {
    struct call calls[CALLS];
    atomic_uint time, ready;
    unsigned seed;
    struct weft_channel channel;
    struct weft_semaphore semaphore;
    int capacity;
    /* the object's state, in order */
    int items[CALLS + CAPACITY], len;
};

/* Whether the sequential object, in the history's state, would have answered so; then do it. */
typedef bool explain_fn(struct history *history, const struct call *call);

static bool explain_channel(struct history *history, const struct call *call)
{
    bool wont = call->result < 0;
    if (wont && call->result != -EAGAIN)
        return true; /* given up after waiting: no effect, at any time */
    if (call->action == GIVE) {
        bool fits = history->len < history->capacity;
        if (fits && !wont)
            history->items[history->len++] = call->item;
        return fits != wont;
    }
    if (wont || history->len == 0)
        return wont && history->len == 0;
    if (history->items[0] != call->item)
        return false;
    memmove(history->items, history->items + 1, (size_t)--history->len * sizeof history->items[0]);
    return true;
}

static bool explain_semaphore(struct history *history, const struct call *call)
{
    if (call->action == GIVE) {
        history->len++;
        return true;
    }
    if (call->result < 0)
        return call->result != -EAGAIN || history->len == 0;
    return history->len-- > 0;
}

/* Depth first: any call that no other call, not yet in the order, ended before, may be next. */
static bool explained(struct history *history, explain_fn *explain, unsigned done)
{
    unsigned first_end = UINT32_MAX;
    if (done == (1u << CALLS) - 1)
        return true;
    for (unsigned i = 0; i < CALLS; i++) {
        if (!(done & 1u << i) && history->calls[i].ended < first_end)
            first_end = history->calls[i].ended;
    }
    for (unsigned i = 0; i < CALLS; i++) {
        int items[CALLS + CAPACITY], len = history->len;
        if (done & 1u << i || history->calls[i].began > first_end)
            continue;
        memcpy(items, history->items, sizeof items);
        if (explain(history, &history->calls[i]) && explained(history, explain, done | 1u << i))
            return true;
        memcpy(history->items, items, sizeof items);
        history->len = len;
    }
    return false;
}

/* All begin together, or there would be little to explain. */
static void meet(struct history *history)
{
    atomic_fetch_add(&history->ready, 1);
    while (atomic_load(&history->ready) < CALLERS)
        (void)sched_yield();
}

static unsigned tick(struct history *history)
{
    return atomic_fetch_add(&history->time, 1);
}

static int64_t some_deadline(unsigned *random)
{
    return crowd_random(random) % 2 ? WEFT_NOWAIT
                                    : weft_now() + (int64_t)(crowd_random(random) % 50) * WEFT_USEC;
}

static void use_channel(void *arg, unsigned index)
{
    struct history *history = arg;
    unsigned random = history->seed + index * 7919;
    meet(history);
    for (unsigned i = 0; i < CALLS_EACH; i++) {
        struct call *call = &history->calls[index * CALLS_EACH + i];
        int64_t deadline_ns = some_deadline(&random);
        call->action = crowd_random(&random) % 2 ? GIVE : TAKE;
        call->item = call->action == GIVE ? (int)(index * CALLS_EACH + i) : -1;
        call->began = tick(history);
        call->result = call->action == GIVE
                           ? weft_send(&history->channel, &call->item, deadline_ns)
                           : weft_receive(&history->channel, &call->item, deadline_ns);
        call->ended = tick(history);
    }
}

static void use_semaphore(void *arg, unsigned index)
{
    struct history *history = arg;
    unsigned random = history->seed + index * 7919;
    meet(history);
    for (unsigned i = 0; i < CALLS_EACH; i++) {
        struct call *call = &history->calls[index * CALLS_EACH + i];
        int64_t deadline_ns = some_deadline(&random);
        call->action = crowd_random(&random) % 2 ? GIVE : TAKE;
        call->began = tick(history);
        call->result = call->action == GIVE
                           ? weft_semaphore_release(&history->semaphore, 1)
                           : weft_semaphore_acquire(&history->semaphore, 1, deadline_ns);
        call->ended = tick(history);
    }
}

static void print_history(const struct history *history)
{
    test_note("seed %u, no order explains:", history->seed);
    for (unsigned i = 0; i < CALLS; i++) {
        const struct call *call = &history->calls[i];
        test_note("  %u: %s %d -> %d, from %u to %u", i / CALLS_EACH,
                  call->action == GIVE ? "give" : "take", call->item, call->result, call->began,
                  call->ended);
    }
}

static void check_histories(void (*use)(void *, unsigned), explain_fn *explain, int capacity,
                            int len)
{
    static struct history history;
    for (unsigned round = 1; round <= ROUNDS; round++) {
        /* Half of the callers are fibers on two workers, half threads outside. */
        const struct crowd crowd = {2, 2, CALLERS - 2, use, &history};
        const struct weft_channel_options options = {
            .item_bytes = sizeof(int), .capacity = (size_t)capacity, .sharing = WEFT_SHARED};
        memset(&history, 0, sizeof history);
        history.seed = round * 2654435761u | 1;
        history.capacity = capacity;
        history.len = len;
        REQUIRE(weft_channel_init_with(&history.channel, &options) == 0);
        REQUIRE(weft_semaphore_init(&history.semaphore, (uint32_t)len, WEFT_SHARED) == 0);
        crowd_run(&crowd);
        weft_channel_deinit(&history.channel);
        bool fine = explained(&history, explain, 0);
        CHECK(fine);
        if (!fine) {
            print_history(&history);
            return;
        }
    }
}

TEST(channel_histories_can_be_explained)
{
    check_histories(use_channel, explain_channel, CAPACITY, 0);
    check_histories(use_channel, explain_channel, 1, 0);
}

TEST(semaphore_histories_can_be_explained)
{
    check_histories(use_semaphore, explain_semaphore, CAPACITY, 1);
}

TEST(the_check_finds_what_cannot_be_explained)
{
    static struct history history;
    memset(&history, 0, sizeof history);
    history.capacity = CAPACITY;
    for (unsigned i = 0; i < CALLS; i++)
        history.calls[i] = (struct call){TAKE, -1, -EAGAIN, 2 * i, 2 * i + 1};
    CHECK(explained(&history, explain_channel, 0));
    history.calls[3] = (struct call){GIVE, 3, 0, 6, 7};
    CHECK(!explained(&history, explain_channel, 0)); /* 4 to 15 find nothing though it is there */
    history.len = 0;
    history.calls[9] = (struct call){TAKE, 3, 0, 7, 19};
    CHECK(explained(&history, explain_channel, 0)); /* 9 began before 3 ended */
}
