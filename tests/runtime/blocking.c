/* SPDX-License-Identifier: MIT
 * blocking.c - what every call that waits promises, for each of them, local and shared: a deadline
 * or a cancellation leaves no trace, and when it meets the completion exactly one of them wins. */
#include "runtime/crowd.h"
#include "test.h"

#include <weft/group.h>
#include <weft/select.h>

#include <errno.h>

static struct weft_channel channel, other_channel;
static struct weft_priority_queue queue;
static struct weft_mutex mutex;
static struct weft_rwlock rwlock;
static struct weft_event event;
static struct weft_semaphore semaphore;
static struct weft_latch latch;
static int item;

static int init_channels(enum weft_sharing sharing, size_t capacity, bool full)
{
    const struct weft_channel_options options = {
        .item_bytes = sizeof item, .capacity = capacity, .sharing = sharing};
    int one = 1;
    int err = weft_channel_init_with(&channel, &options);
    if (err == 0)
        err = weft_channel_init_with(&other_channel, &options);
    if (err == 0 && full)
        err = weft_send(&channel, &one, WEFT_NOWAIT);
    return err;
}

static void deinit_channels(void)
{
    weft_channel_deinit(&channel);
    weft_channel_deinit(&other_channel);
}

static int full_channel(enum weft_sharing sharing)
{
    return init_channels(sharing, 1, true);
}

static int empty_channel(enum weft_sharing sharing)
{
    return init_channels(sharing, 1, false);
}

static int send_two(int64_t deadline_ns)
{
    int two = 2;
    return weft_send(&channel, &two, deadline_ns);
}

static int receive_item(int64_t deadline_ns)
{
    return weft_receive(&channel, &item, deadline_ns);
}

static int take_from_channel(void)
{
    int err = weft_receive(&channel, &item, WEFT_NOWAIT);
    CHECK_EQUAL(item, 1);
    return err;
}

static int put_into_channel(void)
{
    return send_two(WEFT_NOWAIT);
}

static int select_receive(int64_t deadline_ns)
{
    struct weft_case cases[] = {weft_case_receive(&other_channel, &item),
                                weft_case_receive(&channel, &item),
                                weft_case_send(&channel, &item)};
    int index = weft_select(cases, 2, deadline_ns, 0);
    CHECK(index < 0 || (index == 1 && cases[1].result == 0));
    return index < 0 ? index : 0;
}

static int select_send(int64_t deadline_ns)
{
    int two = 2;
    struct weft_case cases[] = {weft_case_send(&channel, &two),
                                weft_case_receive(&other_channel, &item)};
    int index = weft_select(cases, 2, deadline_ns, 0);
    CHECK(index < 0 || (index == 0 && cases[0].result == 0));
    return index < 0 ? index : 0;
}

static int full_queue(enum weft_sharing sharing)
{
    int one = 1;
    int err = weft_priority_queue_init(&queue, sizeof item, 1, sharing);
    return err < 0 ? err : weft_priority_queue_push(&queue, &one, 0, WEFT_NOWAIT);
}

static int empty_queue(enum weft_sharing sharing)
{
    return weft_priority_queue_init(&queue, sizeof item, 1, sharing);
}

static void deinit_queue(void)
{
    weft_priority_queue_deinit(&queue);
}

static int push_two(int64_t deadline_ns)
{
    int two = 2;
    return weft_priority_queue_push(&queue, &two, -1, deadline_ns);
}

static int pop_item(int64_t deadline_ns)
{
    return weft_priority_queue_pop(&queue, &item, deadline_ns);
}

static int select_pop(int64_t deadline_ns)
{
    struct weft_case cases[] = {weft_case_pop(&queue, &item), {0}};
    int index = weft_select(cases, 2, deadline_ns, 0);
    return index < 0 ? index : cases[index].result;
}

static int take_from_queue(void)
{
    int err = weft_priority_queue_pop(&queue, &item, WEFT_NOWAIT);
    CHECK_EQUAL(item, 1);
    return err;
}

static int put_into_queue(void)
{
    return push_two(WEFT_NOWAIT);
}

static int locked_mutex(enum weft_sharing sharing)
{
    int err = weft_mutex_init(&mutex, sharing);
    return err < 0 ? err : weft_mutex_lock(&mutex, WEFT_NOWAIT);
}

static int lock_mutex(int64_t deadline_ns)
{
    int err = weft_mutex_lock(&mutex, deadline_ns);
    return err < 0 ? err : weft_mutex_unlock(&mutex);
}

static int unlock_mutex(void)
{
    return weft_mutex_unlock(&mutex);
}

static int read_locked(enum weft_sharing sharing)
{
    int err = weft_rwlock_init(&rwlock, sharing);
    return err < 0 ? err : weft_rwlock_lock_read(&rwlock, WEFT_NOWAIT);
}

static int write_locked(enum weft_sharing sharing)
{
    int err = weft_rwlock_init(&rwlock, sharing);
    return err < 0 ? err : weft_rwlock_lock_write(&rwlock, WEFT_NOWAIT);
}

static int lock_read(int64_t deadline_ns)
{
    return weft_rwlock_lock_read(&rwlock, deadline_ns);
}

static int lock_write(int64_t deadline_ns)
{
    int err = weft_rwlock_lock_write(&rwlock, deadline_ns);
    return err < 0 ? err : weft_rwlock_unlock_write(&rwlock);
}

static int unlock_read(void)
{
    return weft_rwlock_unlock_read(&rwlock);
}

static int unlock_write(void)
{
    return weft_rwlock_unlock_write(&rwlock);
}

static int clear_event(enum weft_sharing sharing)
{
    return weft_event_init(&event, sharing);
}

static int wait_event(int64_t deadline_ns)
{
    return weft_event_wait(&event, deadline_ns);
}

static int select_event(int64_t deadline_ns)
{
    struct weft_case cases[] = {weft_case_event(&event)};
    int index = weft_select(cases, 1, deadline_ns, 0);
    return index < 0 ? index : cases[index].result;
}

static int set_event(void)
{
    return weft_event_set(&event);
}

static int one_permit(enum weft_sharing sharing)
{
    return weft_semaphore_init(&semaphore, 1, sharing);
}

static int acquire_three(int64_t deadline_ns)
{
    return weft_semaphore_acquire(&semaphore, 3, deadline_ns);
}

static int select_acquire(int64_t deadline_ns)
{
    struct weft_case cases[] = {weft_case_acquire(&semaphore, 3)};
    int index = weft_select(cases, 1, deadline_ns, 0);
    return index < 0 ? index : cases[index].result;
}

static int release_two(void)
{
    return weft_semaphore_release(&semaphore, 2);
}

static int closed_latch(enum weft_sharing sharing)
{
    return weft_latch_init(&latch, 1, sharing);
}

static int wait_latch(int64_t deadline_ns)
{
    return weft_latch_wait(&latch, deadline_ns);
}

static int open_latch(void)
{
    return weft_latch_count_down(&latch, 1);
}

/* call waits after begin; once complete has been called, it can be done without waiting. */
static const struct subject {
    const char *name;
    int (*begin)(enum weft_sharing sharing);
    int (*call)(int64_t deadline_ns);
    int (*complete)(void);
    void (*end)(void);
} subjects[] = {
    {"send", full_channel, send_two, take_from_channel, deinit_channels},
    {"receive", empty_channel, receive_item, put_into_channel, deinit_channels},
    {"select send", full_channel, select_send, take_from_channel, deinit_channels},
    {"select receive", empty_channel, select_receive, put_into_channel, deinit_channels},
    {"push", full_queue, push_two, take_from_queue, deinit_queue},
    {"pop", empty_queue, pop_item, put_into_queue, deinit_queue},
    {"select pop", empty_queue, select_pop, put_into_queue, deinit_queue},
    {"mutex", locked_mutex, lock_mutex, unlock_mutex, NULL},
    {"read lock", write_locked, lock_read, unlock_write, NULL},
    {"write lock, after a reader", read_locked, lock_write, unlock_read, NULL},
    {"write lock", write_locked, lock_write, unlock_write, NULL},
    {"event", clear_event, wait_event, set_event, NULL},
    {"select event", clear_event, select_event, set_event, NULL},
    {"semaphore", one_permit, acquire_three, release_two, NULL},
    {"select semaphore", one_permit, select_acquire, release_two, NULL},
    {"latch", closed_latch, wait_latch, open_latch, NULL},
};

struct caller {
    const struct subject *subject;
    int64_t deadline_ns;
    int result;
};

static int call(void *arg)
{
    struct caller *caller = arg;
    caller->result = caller->subject->call(caller->deadline_ns);
    return 0;
}

/* What happens in one round, after the call has begun to wait. */
enum round {
    COMPLETE,
    CANCEL,
    COMPLETE_AND_CANCEL,
    CANCEL_AND_COMPLETE,
    ROUNDS,
};

static void check_round(const struct subject *subject, enum weft_sharing sharing, enum round round)
{
    struct caller caller = {.subject = subject, .deadline_ns = WEFT_FOREVER, .result = 7};
    bool succeeds = round == COMPLETE || round == COMPLETE_AND_CANCEL;
    struct weft_group group;
    item = 0;
    REQUIRE(subject->begin(sharing) == 0);
    REQUIRE(weft_group_init(&group, NULL) == 0);
    CHECK_EQUAL(weft_spawn(&group, call, &caller), 0);
    CHECK_EQUAL(weft_yield(), 0);
    CHECK_EQUAL(caller.result, 7);
    if (round == CANCEL || round == CANCEL_AND_COMPLETE)
        weft_group_cancel(&group, 0);
    if (round != CANCEL)
        CHECK_EQUAL(subject->complete(), 0);
    if (round == COMPLETE_AND_CANCEL)
        weft_group_cancel(&group, 0);
    CHECK_EQUAL(weft_group_wait(&group), 0);
    CHECK_EQUAL(caller.result, succeeds ? 0 : -ECANCELED);
    if (round == CANCEL)
        CHECK_EQUAL(subject->complete(), 0);
    if (!succeeds)
        CHECK_EQUAL(subject->call(WEFT_NOWAIT), 0); /* the cancelled one took nothing */
    if (subject->end)
        subject->end();
}

static void for_each(void (*check)(const struct subject *, enum weft_sharing))
{
    for (size_t i = 0; i < sizeof subjects / sizeof subjects[0]; i++) {
        check(&subjects[i], WEFT_LOCAL);
        check(&subjects[i], WEFT_SHARED);
        check(&subjects[i], WEFT_AUTO);
    }
}

static void check_rounds(const struct subject *subject, enum weft_sharing sharing)
{
    for (enum round round = 0; round < ROUNDS; round++)
        check_round(subject, sharing, round);
}

FIBER_TEST(completion_and_cancellation_have_exactly_one_winner)
{
    for_each(check_rounds);
}

/* In a fiber of its own: who holds a lock cannot ask for it. */
static int call_in_child(const struct subject *subject, int64_t deadline_ns)
{
    struct caller caller = {.subject = subject, .deadline_ns = deadline_ns, .result = 7};
    struct weft_group group;
    REQUIRE(weft_group_init(&group, NULL) == 0);
    CHECK_EQUAL(weft_spawn(&group, call, &caller), 0);
    CHECK_EQUAL(weft_group_wait(&group), 0);
    return caller.result;
}

static void check_deadlines(const struct subject *subject, enum weft_sharing sharing)
{
    REQUIRE(subject->begin(sharing) == 0);
    int64_t start_ns = weft_now();
    CHECK_EQUAL(call_in_child(subject, WEFT_NOWAIT), -EAGAIN);
    CHECK_EQUAL(weft_now(), start_ns);
    CHECK_EQUAL(call_in_child(subject, start_ns + 10), -ETIMEDOUT);
    CHECK_EQUAL(weft_now(), start_ns + 10);
    CHECK_EQUAL(call_in_child(subject, start_ns), -ETIMEDOUT); /* over before it began */
    CHECK_EQUAL(subject->complete(), 0);
    CHECK_EQUAL(call_in_child(subject, start_ns + 5),
                0); /* no need to wait: the deadline does not matter */
    if (subject->end)
        subject->end();
}

FIBER_TEST(deadlines_end_a_wait_without_a_trace)
{
    for_each(check_deadlines);
}

static void check_cancelled_before(const struct subject *subject, enum weft_sharing sharing)
{
    struct weft_scope scope;
    REQUIRE(subject->begin(sharing) == 0);
    weft_scope_enter(&scope, WEFT_FOREVER, 0);
    weft_scope_cancel(&scope, 0);
    CHECK_EQUAL(subject->call(WEFT_FOREVER), -ECANCELED);
    CHECK_EQUAL(weft_scope_leave(&scope, 0), 0);
    CHECK_EQUAL(subject->complete(), 0);
    weft_scope_enter(&scope, WEFT_FOREVER, 0);
    weft_scope_cancel(&scope, 0);
    CHECK_EQUAL(subject->call(WEFT_FOREVER), -ECANCELED); /* though it could be done */
    CHECK_EQUAL(weft_scope_leave(&scope, 0), 0);
    CHECK_EQUAL(subject->call(WEFT_NOWAIT), 0);
    if (subject->end)
        subject->end();
}

FIBER_TEST(a_cancelled_caller_does_nothing)
{
    for_each(check_cancelled_before);
}

static int call_from_outside(void *arg)
{
    const struct caller *caller = arg;
    return caller->subject->call(caller->deadline_ns);
}

static void check_outside(const struct subject *subject, enum weft_sharing sharing)
{
    struct caller caller = {.subject = subject, .deadline_ns = WEFT_NOWAIT};
    bool local = sharing != WEFT_SHARED; /* one worker: so is WEFT_AUTO */
    REQUIRE(subject->begin(sharing) == 0);
    CHECK_EQUAL(on_a_thread(call_from_outside, &caller), local ? -EPERM : -EAGAIN);
    caller.deadline_ns = 1; /* long over */
    CHECK_EQUAL(on_a_thread(call_from_outside, &caller), local ? -EPERM : -ETIMEDOUT);
    CHECK_EQUAL(subject->complete(), 0);
    CHECK_EQUAL(on_a_thread(call_from_outside, &caller), local ? -EPERM : 0);
    if (subject->end)
        subject->end();
}

FIBER_TEST(threads_outside_may_use_what_is_shared_and_only_that)
{
    for_each(check_outside);
}

/* The fiber waits first; then a thread outside completes it. */
static int complete_from_outside(void *arg)
{
    const struct subject *subject = arg;
    return subject->complete();
}

FIBER_TEST(a_thread_outside_wakes_a_fiber)
{
    for (size_t i = 0; i < sizeof subjects / sizeof subjects[0]; i++) {
        struct subject subject = subjects[i];
        struct caller caller = {.subject = &subject, .deadline_ns = WEFT_FOREVER, .result = 7};
        struct weft_group group;
        if (subject.begin == locked_mutex || subject.begin == write_locked)
            continue; /* only the holder unlocks */
        REQUIRE(subject.begin(WEFT_SHARED) == 0);
        REQUIRE(weft_group_init(&group, NULL) == 0);
        CHECK_EQUAL(weft_spawn(&group, call, &caller), 0);
        CHECK_EQUAL(weft_yield(), 0);
        CHECK_EQUAL(on_a_thread(complete_from_outside, &subject), 0);
        CHECK_EQUAL(weft_group_wait(&group), 0);
        CHECK_EQUAL(caller.result, 0);
        if (subject.end)
            subject.end();
    }
}

TEST(local_objects_need_a_runtime)
{
    CHECK_EQUAL(full_channel(WEFT_LOCAL), -EPERM);
    CHECK_EQUAL(empty_queue(WEFT_LOCAL), -EPERM);
    CHECK_EQUAL(locked_mutex(WEFT_LOCAL), -EPERM);
    CHECK_EQUAL(write_locked(WEFT_LOCAL), -EPERM);
    CHECK_EQUAL(clear_event(WEFT_LOCAL), -EPERM);
    CHECK_EQUAL(one_permit(WEFT_LOCAL), -EPERM);
    CHECK_EQUAL(closed_latch(WEFT_LOCAL), -EPERM);
    CHECK_EQUAL(clear_event((enum weft_sharing)17), -EINVAL);
    CHECK_EQUAL(clear_event(WEFT_AUTO), 0);
    CHECK_EQUAL(set_event(), 0);
}
