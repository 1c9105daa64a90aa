/* SPDX-License-Identifier: MIT
 * bulkhead.c - never more inside than it says, whatever is resized, cancelled or late. */
#include "runtime/crowd.h"
#include "test.h"

#include <base/random.h>

#include <weft/bulkhead.h>
#include <weft/group.h>

#include <errno.h>
#include <string.h>

static struct weft_bulkhead *bulkhead;

#define FOR_BOTH_SHARINGS(sharing)                                                                 \
    for (enum weft_sharing sharing = WEFT_LOCAL; sharing <= WEFT_SHARED; sharing++)

static void open_with(const struct weft_bulkhead_options *options)
{
    REQUIRE(weft_bulkhead_open(&bulkhead, options) == 0);
}

static void open_for(uint32_t calls_max, enum weft_sharing sharing)
{
    const struct weft_bulkhead_options options = {
        .calls_max = calls_max, .timeout_ns = WEFT_FOREVER, .sharing = sharing};
    open_with(&options);
}

static struct weft_bulkhead_snapshot snapshot(void)
{
    struct weft_bulkhead_snapshot shot = {.calls_max = 0};
    CHECK_EQUAL(weft_bulkhead_snapshot(bulkhead, &shot), 0);
    return shot;
}

struct visitor {
    int64_t stay_ns;
    int64_t deadline_ns;
    int result;
    int64_t entered_ns;
};

static int stay(void *arg)
{
    struct visitor *visitor = arg;
    visitor->entered_ns = weft_now();
    int err = weft_sleep(visitor->stay_ns);
    return err < 0 ? err : 7;
}

static int visit(void *arg)
{
    struct visitor *visitor = arg;
    visitor->result = weft_bulkhead_call(bulkhead, stay, visitor, visitor->deadline_ns);
    return 0;
}

static void start(struct weft_group *group, struct visitor *visitor, int64_t stay_ns)
{
    *visitor = (struct visitor){.stay_ns = stay_ns, .deadline_ns = WEFT_FOREVER, .result = 1};
    CHECK_EQUAL(weft_group_init(group, NULL), 0);
    CHECK_EQUAL(weft_spawn(group, visit, visitor), 0);
    CHECK_EQUAL(weft_yield(), 0);
}

static void finish(struct weft_group *group, const struct visitor *visitor, int result)
{
    CHECK_EQUAL(weft_group_wait(group), 0);
    CHECK_EQUAL(visitor->result, result);
}

FIBER_TEST(calls_beyond_the_limit_wait_in_turn)
{
    FOR_BOTH_SHARINGS(sharing)
    {
        struct weft_group groups[4];
        struct visitor visitors[4];
        open_for(2, sharing);
        int64_t now_ns = weft_now();
        start(&groups[0], &visitors[0], 3 * WEFT_SEC);
        start(&groups[1], &visitors[1], 1 * WEFT_SEC);
        start(&groups[2], &visitors[2], 1 * WEFT_SEC);
        start(&groups[3], &visitors[3], 1 * WEFT_SEC);
        CHECK_EQUAL(snapshot().active, 2);
        CHECK_EQUAL(snapshot().waiting, 2);
        for (int i = 0; i < 4; i++)
            finish(&groups[i], &visitors[i], 7);
        CHECK_EQUAL(visitors[2].entered_ns - now_ns, 1 * WEFT_SEC);
        CHECK_EQUAL(visitors[3].entered_ns - now_ns, 2 * WEFT_SEC);
        struct weft_bulkhead_snapshot shot = snapshot();
        CHECK_EQUAL(shot.active, 0);
        CHECK_EQUAL(shot.peak, 2);
        CHECK_EQUAL(shot.granted, 4);
        CHECK_EQUAL(shot.waits, 2);
        weft_bulkhead_close(bulkhead);
    }
}

FIBER_TEST(a_full_queue_refuses_at_once)
{
    const struct weft_bulkhead_options one = {.calls_max = 1, .queue_max = 1};
    const struct weft_bulkhead_options none = {.calls_max = 1, .queue_max = WEFT_BULKHEAD_NO_QUEUE};
    struct weft_group groups[2];
    struct visitor visitors[2];
    open_with(&one);
    start(&groups[0], &visitors[0], WEFT_SEC);
    start(&groups[1], &visitors[1], WEFT_SEC);
    CHECK_EQUAL(weft_bulkhead_acquire(bulkhead, WEFT_FOREVER), WEFT_EFULL);
    CHECK_EQUAL(weft_bulkhead_acquire(bulkhead, WEFT_NOWAIT), -EAGAIN);
    finish(&groups[0], &visitors[0], 7);
    finish(&groups[1], &visitors[1], 7);
    CHECK_EQUAL(snapshot().refused, 2);
    weft_bulkhead_close(bulkhead);
    open_with(&none);
    start(&groups[0], &visitors[0], WEFT_SEC);
    CHECK_EQUAL(weft_bulkhead_acquire(bulkhead, WEFT_FOREVER), WEFT_EFULL);
    finish(&groups[0], &visitors[0], 7);
    weft_bulkhead_close(bulkhead);
}

FIBER_TEST(nobody_waits_longer_than_the_timeout_or_its_deadline)
{
    FOR_BOTH_SHARINGS(sharing)
    {
        const struct weft_bulkhead_options options = {.calls_max = 1, .sharing = sharing};
        struct weft_group group;
        struct visitor visitor;
        open_with(&options);
        start(&group, &visitor, 100 * WEFT_SEC);
        int64_t now_ns = weft_now();
        CHECK_EQUAL(weft_bulkhead_acquire(bulkhead, now_ns + WEFT_SEC), -ETIMEDOUT);
        CHECK_EQUAL(weft_now() - now_ns, WEFT_SEC);
        CHECK_EQUAL(weft_bulkhead_acquire(bulkhead, WEFT_FOREVER), -ETIMEDOUT);
        CHECK_EQUAL(weft_now() - now_ns, 31 * WEFT_SEC); /* 30 s are the default */
        CHECK_EQUAL(weft_bulkhead_acquire(bulkhead, now_ns), -ETIMEDOUT);
        CHECK_EQUAL(snapshot().timed_out, 3);
        CHECK_EQUAL(snapshot().waiting, 0);
        finish(&group, &visitor, 7);
        weft_bulkhead_close(bulkhead);
    }
}

/* async-patterns semaphore.py puts a new semaphore in place of the old one: those inside then leave
 * the new one, which they have not entered, and it lets in more than it says. */
FIBER_TEST(a_resize_while_calls_are_inside_never_lets_in_more_than_it_says)
{
    FOR_BOTH_SHARINGS(sharing)
    {
        struct weft_group groups[6];
        struct visitor visitors[6];
        open_for(4, sharing);
        int64_t now_ns = weft_now();
        for (int i = 0; i < 6; i++)
            start(&groups[i], &visitors[i], (i < 4 ? i + 1 : 10) * WEFT_SEC);
        CHECK_EQUAL(weft_bulkhead_resize(bulkhead, 2), 0);
        CHECK_EQUAL(snapshot().active, 4);
        CHECK_EQUAL(snapshot().calls_max, 2);
        for (int i = 0; i < 4; i++)
            finish(&groups[i], &visitors[i], 7);
        CHECK_EQUAL(snapshot().active, 2);
        CHECK_EQUAL(weft_bulkhead_acquire(bulkhead, WEFT_NOWAIT), -EAGAIN);
        finish(&groups[4], &visitors[4], 7);
        finish(&groups[5], &visitors[5], 7);
        CHECK_EQUAL(visitors[4].entered_ns - now_ns, 3 * WEFT_SEC); /* when three had left */
        CHECK_EQUAL(visitors[5].entered_ns - now_ns, 4 * WEFT_SEC);
        CHECK_EQUAL(snapshot().active, 0);
        CHECK_EQUAL(weft_bulkhead_acquire(bulkhead, WEFT_NOWAIT), 0);
        CHECK_EQUAL(weft_bulkhead_acquire(bulkhead, WEFT_NOWAIT), 0);
        CHECK_EQUAL(weft_bulkhead_acquire(bulkhead, WEFT_NOWAIT), -EAGAIN);
        CHECK_EQUAL(weft_bulkhead_release(bulkhead), 0);
        CHECK_EQUAL(weft_bulkhead_release(bulkhead), 0);
        weft_bulkhead_close(bulkhead);
    }
}

FIBER_TEST(a_resize_to_more_lets_those_who_wait_in_at_once)
{
    struct weft_group groups[3];
    struct visitor visitors[3];
    open_for(1, WEFT_AUTO);
    int64_t now_ns = weft_now();
    for (int i = 0; i < 3; i++)
        start(&groups[i], &visitors[i], WEFT_SEC);
    CHECK_EQUAL(weft_bulkhead_resize(bulkhead, 3), 0);
    for (int i = 0; i < 3; i++)
        finish(&groups[i], &visitors[i], 7);
    CHECK_EQUAL(weft_now() - now_ns, WEFT_SEC);
    weft_bulkhead_close(bulkhead);
}

FIBER_TEST(a_cancelled_call_gives_its_place_back_and_a_cancelled_waiter_takes_none)
{
    FOR_BOTH_SHARINGS(sharing)
    {
        struct weft_group groups[3];
        struct visitor visitors[3];
        open_for(1, sharing);
        for (int i = 0; i < 3; i++)
            start(&groups[i], &visitors[i], WEFT_SEC);
        weft_group_cancel(&groups[1], 0);
        finish(&groups[1], &visitors[1], -ECANCELED);
        CHECK_EQUAL(snapshot().waiting, 1);
        weft_group_cancel(&groups[0], 0);
        finish(&groups[0], &visitors[0], -ECANCELED);
        finish(&groups[2], &visitors[2], 7);
        CHECK_EQUAL(snapshot().active, 0);
        CHECK_EQUAL(snapshot().granted, 2);
        weft_bulkhead_close(bulkhead);
    }
}

/* Let in and cancelled in the same moment: then it is inside, and leaves. */
FIBER_TEST(a_place_given_to_one_who_is_being_cancelled_is_not_lost)
{
    FOR_BOTH_SHARINGS(sharing)
    {
        struct weft_group group;
        struct visitor visitor;
        open_for(1, sharing);
        CHECK_EQUAL(weft_bulkhead_acquire(bulkhead, WEFT_FOREVER), 0);
        start(&group, &visitor, WEFT_SEC);
        CHECK_EQUAL(weft_bulkhead_release(bulkhead), 0);
        weft_group_cancel(&group, 0);
        finish(&group, &visitor, -ECANCELED);
        CHECK_EQUAL(snapshot().active, 0);
        CHECK_EQUAL(snapshot().granted, 2);
        weft_bulkhead_close(bulkhead);
    }
}

static int fail(void *arg)
{
    return *(int *)arg;
}

FIBER_TEST(a_call_hands_through_what_its_function_returns)
{
    int result = -EIO;
    open_for(1, WEFT_AUTO);
    CHECK_EQUAL(weft_bulkhead_call(bulkhead, fail, &result, WEFT_NOWAIT), -EIO);
    result = 5;
    CHECK_EQUAL(weft_bulkhead_call(bulkhead, fail, &result, WEFT_NOWAIT), 5);
    CHECK_EQUAL(weft_bulkhead_release(bulkhead), -EINVAL); /* nobody is inside */
    CHECK_EQUAL(snapshot().active, 0);
    weft_bulkhead_close(bulkhead);
}

static int use_from_elsewhere(void *arg)
{
    struct weft_bulkhead_snapshot shot;
    (void)arg;
    CHECK_EQUAL(weft_bulkhead_acquire(bulkhead, WEFT_NOWAIT), -EPERM);
    CHECK_EQUAL(weft_bulkhead_release(bulkhead), -EPERM);
    CHECK_EQUAL(weft_bulkhead_resize(bulkhead, 1), -EPERM);
    CHECK_EQUAL(weft_bulkhead_snapshot(bulkhead, &shot), -EPERM);
    return 0;
}

FIBER_TEST(a_local_bulkhead_is_its_workers_own)
{
    open_for(1, WEFT_LOCAL);
    CHECK_EQUAL(on_a_thread(use_from_elsewhere, NULL), 0);
    weft_bulkhead_close(bulkhead);
}

TEST(options_that_make_no_sense_are_refused_and_none_mean_a_hundred_calls)
{
    const struct weft_bulkhead_options negative = {.timeout_ns = -1},
                                       local = {.sharing = WEFT_LOCAL},
                                       nameless = {.name = "0123456789012345678901234567890123456"
                                                           "789012345678901234567890123"};
    bulkhead = NULL;
    CHECK_EQUAL(weft_bulkhead_open(&bulkhead, &negative), -EINVAL);
    CHECK_EQUAL(weft_bulkhead_open(&bulkhead, &nameless), -EINVAL);
    CHECK_EQUAL(weft_bulkhead_open(&bulkhead, &local), -EPERM);
    CHECK(!bulkhead);
    weft_bulkhead_close(NULL);
    open_with(NULL);
    CHECK_EQUAL(snapshot().calls_max, 100);
    CHECK_EQUAL(weft_bulkhead_resize(bulkhead, 0), -EINVAL);
    weft_bulkhead_close(bulkhead);
}

static struct weft_bulkhead_event events[8];
static unsigned event_count;

static void keep_event(void *arg, const struct weft_bulkhead_event *event)
{
    CHECK(arg == events && event->at_ns == weft_now());
    CHECK_EQUAL(strcmp(event->name, "database"), 0);
    if (event_count < 8)
        events[event_count++] = *event;
}

FIBER_TEST(events_tell_of_refusals_and_resizes)
{
    const struct weft_bulkhead_options options = {.calls_max = 1,
                                                  .queue_max = 1,
                                                  .timeout_ns = WEFT_SEC,
                                                  .name = "database",
                                                  .on_event = keep_event,
                                                  .on_event_arg = events};
    struct weft_group group;
    struct visitor visitor;
    event_count = 0;
    open_with(&options);
    CHECK_EQUAL(weft_bulkhead_acquire(bulkhead, WEFT_FOREVER), 0);
    start(&group, &visitor, 0);
    CHECK_EQUAL(weft_bulkhead_acquire(bulkhead, WEFT_FOREVER), WEFT_EFULL);
    finish(&group, &visitor, -ETIMEDOUT);
    CHECK_EQUAL(weft_bulkhead_resize(bulkhead, 2), 0);
    CHECK_EQUAL(weft_bulkhead_release(bulkhead), 0);
    CHECK_EQUAL(event_count, 3);
    CHECK(events[0].kind == WEFT_BULKHEAD_REFUSED && events[0].err == WEFT_EFULL);
    CHECK(events[0].active == 1 && events[0].waiting == 1 && events[0].calls_max == 1);
    CHECK(events[1].kind == WEFT_BULKHEAD_REFUSED && events[1].err == -ETIMEDOUT);
    CHECK(events[2].kind == WEFT_BULKHEAD_RESIZED && events[2].calls_max == 2);
    weft_bulkhead_close(bulkhead);
}

/* ---- everything at once ------------------------------------------------------------------- */

static struct schedule {
    struct weft_random random;
    uint32_t inside, calls_max, most;
    unsigned asked, served;
    unsigned running;
    bool kept, in_order;
} schedule;

/* Those who are inside, with those who have been let in and are about to run: as many as the limit
 * says, or, after it has been lowered, never more than there were. */
static void check_inside(void)
{
    uint32_t active = snapshot().active;
    schedule.kept = schedule.kept && active <= schedule.most && schedule.inside <= active;
    schedule.most = active > schedule.calls_max ? active : schedule.calls_max;
}

static int stay_at_random(void *arg)
{
    unsigned number = *(unsigned *)arg;
    schedule.inside++;
    check_inside();
    schedule.in_order = schedule.in_order && number > schedule.served;
    schedule.served = number;
    int err = weft_sleep((int64_t)weft_random_below(&schedule.random, 3000));
    check_inside();
    schedule.inside--;
    return err;
}

static int visit_at_random(void *arg)
{
    (void)arg;
    for (int i = 0; i < 10; i++) {
        struct weft_scope scope;
        int64_t cancel_ns = WEFT_FOREVER, deadline_ns = WEFT_FOREVER;
        if (weft_sleep((int64_t)weft_random_below(&schedule.random, 5000)) < 0)
            break;
        if (weft_random_below(&schedule.random, 3) == 0)
            deadline_ns = weft_now() + (int64_t)weft_random_below(&schedule.random, 5000);
        if (weft_random_below(&schedule.random, 3) == 0)
            cancel_ns = weft_now() + (int64_t)weft_random_below(&schedule.random, 5000);
        weft_scope_enter(&scope, cancel_ns, 0);
        unsigned number = ++schedule.asked;
        (void)weft_scope_leave(&scope,
                               weft_bulkhead_call(bulkhead, stay_at_random, &number, deadline_ns));
    }
    schedule.running--;
    return 0;
}

static int resize_at_random(void *arg)
{
    (void)arg;
    while (schedule.running > 0) {
        if (weft_sleep(1 + (int64_t)weft_random_below(&schedule.random, 2000)) < 0)
            break;
        check_inside();
        schedule.calls_max = 1 + (uint32_t)weft_random_below(&schedule.random, 6);
        if (schedule.calls_max > schedule.most)
            schedule.most = schedule.calls_max;
        CHECK_EQUAL(weft_bulkhead_resize(bulkhead, schedule.calls_max), 0);
        check_inside();
    }
    return 0;
}

FIBER_TEST(over_random_resizes_and_cancellations_never_more_than_its_limit_come_in)
{
    for (uint64_t seed = 1; seed <= 50; seed++) {
        struct weft_group group;
        schedule = (struct schedule){
            .calls_max = 3, .most = 3, .kept = true, .in_order = true, .running = 30};
        weft_random_seed(&schedule.random, seed);
        open_for(3, seed % 2 ? WEFT_LOCAL : WEFT_SHARED);
        CHECK_EQUAL(weft_group_init(&group, NULL), 0);
        for (int i = 0; i < 30; i++)
            CHECK_EQUAL(weft_spawn(&group, visit_at_random, NULL), 0);
        CHECK_EQUAL(weft_spawn(&group, resize_at_random, NULL), 0);
        CHECK_EQUAL(weft_group_wait(&group), 0);
        CHECK(schedule.kept && schedule.in_order);
        CHECK_EQUAL(snapshot().active, 0);
        CHECK_EQUAL(snapshot().waiting, 0);
        if (!schedule.kept || !schedule.in_order || snapshot().active)
            test_note("seed %d", (int)seed);
        weft_bulkhead_close(bulkhead);
    }
}

static atomic_int inside, inside_max;

static int be_inside(void *arg)
{
    int now_inside = atomic_fetch_add(&inside, 1) + 1, most = atomic_load(&inside_max);
    while (now_inside > most && !atomic_compare_exchange_weak(&inside_max, &most, now_inside))
        ;
    if (arg)
        (void)weft_yield();
    atomic_fetch_sub(&inside, 1);
    return 0;
}

static void visit_in_the_crowd(void *arg, unsigned index)
{
    unsigned random = index + 1;
    (void)arg;
    for (int i = 0; i < 50; i++) {
        bool fiber = weft_worker_index() >= 0;
        int64_t deadline_ns = crowd_random(&random) % 2
                                  ? WEFT_FOREVER
                                  : weft_now() + (int64_t)(crowd_random(&random) % 100) * WEFT_USEC;
        int err = weft_bulkhead_call(bulkhead, be_inside, fiber ? &random : NULL, deadline_ns);
        CHECK(err == 0 || err == -ETIMEDOUT);
    }
}

TEST(workers_and_threads_share_a_bulkhead)
{
    const struct crowd crowd = {
        .workers = 4, .fibers = 100, .threads = 4, .run = visit_in_the_crowd};
    atomic_store(&inside, 0);
    atomic_store(&inside_max, 0);
    open_for(5, WEFT_SHARED);
    crowd_run(&crowd);
    CHECK(atomic_load(&inside_max) <= 5);
    CHECK_EQUAL(snapshot().active, 0);
    CHECK_EQUAL(snapshot().waiting, 0);
    CHECK(snapshot().peak <= 5);
    weft_bulkhead_close(bulkhead);
}
