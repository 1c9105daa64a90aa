/* SPDX-License-Identifier: MIT */
#include "no_stacks.h"
#include "test.h"

#include <os/sanitizer.h>

#include <weft/channel.h>
#include <weft/group.h>

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

#define WORKERS 4

static int call_body(void *arg)
{
    void (**body)(void) = arg;
    (*body)();
    return 0;
}

static void on_workers(void (*body)(void))
{
    CHECK_EQUAL(weft_run(&(struct weft_run_options){.workers = WORKERS}, call_body, &body), 0);
}

/* Run on a fiber of the first of four workers, on the real clock. */
#define WORKERS_TEST(id)                                                                           \
    static void id##_body(void);                                                                   \
    TEST(id)                                                                                       \
    {                                                                                              \
        on_workers(id##_body);                                                                     \
    }                                                                                              \
    static void id##_body(void)

static void spawn_on(struct weft_group *group, int worker, int (*fn)(void *), void *arg)
{
    const struct weft_spawn_options options = {.worker = worker};
    CHECK_EQUAL(weft_spawn_with(group, fn, arg, &options), 0);
}

static int note_worker(void *arg)
{
    *(int *)arg = weft_worker_index();
    return 0;
}

WORKERS_TEST(a_task_runs_on_the_worker_it_was_placed_on)
{
    int ran_on[WORKERS] = {-1, -1, -1, -1};
    struct weft_group group;
    CHECK_EQUAL(weft_worker_count(), WORKERS);
    CHECK_EQUAL(weft_group_init(&group, NULL), 0);
    for (int i = 0; i < WORKERS; i++)
        spawn_on(&group, WEFT_WORKER(i), note_worker, &ran_on[i]);
    CHECK_EQUAL(weft_group_wait(&group), 0);
    for (int i = 0; i < WORKERS; i++)
        CHECK_EQUAL(ran_on[i], i);
}

static int spawn_sibling(void *arg)
{
    int ran_on = -1;
    struct weft_group group;
    (void)arg;
    CHECK_EQUAL(weft_group_init(&group, NULL), 0);
    CHECK_EQUAL(weft_spawn(&group, note_worker, &ran_on), 0);
    CHECK_EQUAL(weft_group_wait(&group), 0);
    CHECK_EQUAL(ran_on, weft_worker_index());
    return 0;
}

WORKERS_TEST(a_plain_spawn_stays_on_the_callers_worker)
{
    struct weft_group group;
    CHECK_EQUAL(weft_group_init(&group, NULL), 0);
    for (int i = 0; i < WORKERS; i++)
        spawn_on(&group, WEFT_WORKER(i), spawn_sibling, NULL);
    CHECK_EQUAL(weft_group_wait(&group), 0);
}

static int meet_everybody(void *arg)
{
    atomic_int *arrived = arg;
    atomic_fetch_add(arrived, 1);
    while (atomic_load(arrived) < WORKERS)
        (void)sched_yield(); /* never gives the worker back: only other workers can bring more */
    return 0;
}

WORKERS_TEST(tasks_for_any_worker_run_on_all_of_them_at_once)
{
    atomic_int arrived = 0;
    struct weft_group group;
    CHECK_EQUAL(weft_group_init(&group, NULL), 0);
    for (int i = 0; i < WORKERS; i++)
        spawn_on(&group, WEFT_ANY_WORKER, meet_everybody, &arrived);
    CHECK_EQUAL(weft_group_wait(&group), 0);
}

static int wait_a_lot(void *arg)
{
    pthread_t self = pthread_self();
    (void)arg;
    for (int i = 0; i < 50; i++) {
        CHECK_EQUAL(weft_sleep(i % 3 * WEFT_USEC), 0);
        CHECK(pthread_equal(self, pthread_self()));
    }
    return 0;
}

WORKERS_TEST(a_started_fiber_never_changes_thread)
{
    struct weft_group group;
    CHECK_EQUAL(weft_group_init(&group, NULL), 0);
    for (int i = 0; i < 40; i++)
        spawn_on(&group, WEFT_ANY_WORKER, wait_a_lot, NULL);
    CHECK_EQUAL(weft_group_wait(&group), 0);
}

static int wait_for_cancel(void *arg)
{
    atomic_int *reasons = arg;
    CHECK_EQUAL(weft_sleep(3600 * WEFT_SEC), -ECANCELED);
    CHECK_EQUAL(weft_sleep(0), -ECANCELED);
    atomic_fetch_add(reasons, weft_cancel_reason());
    return -ECANCELED;
}

WORKERS_TEST(a_cancel_reaches_children_everywhere_with_its_reason)
{
    atomic_int reasons = 0;
    struct weft_group group;
    for (int round = 0; round < 50; round++) { /* also while the tasks are on their way */
        atomic_store(&reasons, 0);
        CHECK_EQUAL(weft_group_init(&group, NULL), 0);
        for (int i = 0; i < 2 * WORKERS; i++)
            spawn_on(&group, i % 2 ? WEFT_ANY_WORKER : WEFT_WORKER(i / 2), wait_for_cancel,
                     &reasons);
        if (round % 2)
            CHECK_EQUAL(weft_sleep(200 * WEFT_USEC), 0);
        weft_group_cancel(&group, -7);
        CHECK_EQUAL(weft_group_wait(&group), 0);
        CHECK_EQUAL(reasons, 2 * WORKERS * -7);
    }
}

static int fail_soon(void *arg)
{
    (void)arg;
    (void)weft_sleep(100 * WEFT_USEC);
    return -EIO;
}

WORKERS_TEST(a_failure_on_one_worker_cancels_siblings_on_the_others)
{
    atomic_int reasons = 0;
    struct weft_group group;
    CHECK_EQUAL(weft_group_init(&group, NULL), 0);
    for (int i = 0; i < WORKERS; i++)
        spawn_on(&group, WEFT_WORKER(i), wait_for_cancel, &reasons);
    spawn_on(&group, WEFT_WORKER(2), fail_soon, NULL);
    CHECK_EQUAL(weft_group_wait(&group), -EIO);
    CHECK_EQUAL(reasons, WORKERS * -EIO);
}

static int cancel_group(void *arg)
{
    weft_group_cancel(arg, 0);
    weft_group_cancel(arg, 0);
    return 0;
}

WORKERS_TEST(a_child_on_another_worker_may_cancel_the_group)
{
    for (int round = 0; round < 100; round++) {
        struct weft_group group;
        CHECK_EQUAL(weft_group_init(&group, NULL), 0);
        for (int i = 0; i < WORKERS; i++)
            spawn_on(&group, WEFT_WORKER(i), cancel_group, &group);
        CHECK_EQUAL(weft_group_wait(&group), 0);
    }
}

static int sleep_long(void *arg)
{
    CHECK_EQUAL(weft_deadline(), *(int64_t *)arg);
    return weft_sleep(3600 * WEFT_SEC);
}

WORKERS_TEST(a_deadline_holds_and_shows_on_other_workers)
{
    int64_t deadline_ns = weft_now() + 2 * WEFT_MSEC;
    struct weft_group group;
    struct weft_scope scope;
    weft_scope_enter(&scope, deadline_ns, 0);
    CHECK_EQUAL(weft_group_init(&group, NULL), 0);
    spawn_on(&group, WEFT_WORKER(1), sleep_long, &deadline_ns);
    spawn_on(&group, WEFT_ANY_WORKER, sleep_long, &deadline_ns);
    int err = weft_group_wait(&group);
    CHECK_EQUAL(err, -ECANCELED);
    CHECK_EQUAL(weft_scope_leave(&scope, err), -ETIMEDOUT);
    CHECK(weft_now() >= deadline_ns);
}

static int give(void *arg)
{
    return *(int *)arg;
}

struct join {
    struct weft_task *task;
    int result;
};

static int join_task(void *arg)
{
    struct join *join = arg;
    return weft_task_join(join->task, WEFT_FOREVER, &join->result);
}

WORKERS_TEST(results_come_home_and_can_be_joined_from_anywhere)
{
    int value = 42;
    struct weft_task task;
    struct join joins[WORKERS];
    struct weft_group group, joiners;
    CHECK_EQUAL(weft_group_init(&group, NULL), 0);
    CHECK_EQUAL(weft_group_init(&joiners, NULL), 0);
    const struct weft_spawn_options options = {.worker = WEFT_WORKER(3), .task = &task};
    CHECK_EQUAL(weft_spawn_with(&group, give, &value, &options), 0);
    for (int i = 0; i < WORKERS; i++) {
        joins[i] = (struct join){.task = &task};
        spawn_on(&joiners, WEFT_WORKER(i), join_task, &joins[i]);
    }
    CHECK_EQUAL(weft_group_wait(&joiners), 0);
    CHECK_EQUAL(weft_group_wait(&group), 0);
    for (int i = 0; i < WORKERS; i++)
        CHECK_EQUAL(joins[i].result, 42);
    CHECK_EQUAL(task.result, 42);
}

struct tree {
    struct weft_group group;
    atomic_int leaves;
    int zero;
};

static int grow(void *arg)
{
    struct tree *tree = arg;
    for (int i = 0; i < 5; i++) {
        const struct weft_spawn_options options = {.worker = i - 1};
        CHECK_EQUAL(weft_spawn_with(&tree->group, give, &tree->zero, &options), 0);
        atomic_fetch_add(&tree->leaves, 1);
    }
    return 0;
}

WORKERS_TEST(a_child_on_any_worker_may_spawn_into_its_own_group)
{
    struct tree tree = {.leaves = 0};
    CHECK_EQUAL(weft_group_init(&tree.group, NULL), 0);
    for (int i = 0; i < WORKERS; i++)
        spawn_on(&tree.group, WEFT_WORKER(i), grow, &tree);
    CHECK_EQUAL(weft_group_wait(&tree.group), 0);
    CHECK_EQUAL(tree.leaves, 5 * WORKERS);
}

struct crowd {
    atomic_int inside, most;
};

static int be_inside(void *arg)
{
    struct crowd *crowd = arg;
    int inside = atomic_fetch_add(&crowd->inside, 1) + 1;
    int most = atomic_load(&crowd->most);
    while (inside > most && !atomic_compare_exchange_weak(&crowd->most, &most, inside))
        ;
    CHECK_EQUAL(weft_sleep(50 * WEFT_USEC), 0);
    atomic_fetch_sub(&crowd->inside, 1);
    return 0;
}

WORKERS_TEST(the_limit_of_a_group_holds_over_all_workers)
{
    struct crowd crowd = {.inside = 0, .most = 0};
    struct weft_group group;
    const struct weft_group_options options = {.concurrency_max = 3};
    CHECK_EQUAL(weft_group_init(&group, &options), 0);
    for (int i = 0; i < 60; i++)
        spawn_on(&group, i % 2 ? WEFT_ANY_WORKER : WEFT_WORKER(i % WORKERS), be_inside, &crowd);
    CHECK_EQUAL(weft_group_wait(&group), 0);
    CHECK(crowd.most <= 3);
}

static int check_copy(void *arg)
{
    char *text = arg;
    CHECK(text[0] == 'a' && text[4095] == 'z');
    text[0] = 'b'; /* its own */
    return 0;
}

WORKERS_TEST(a_task_may_have_a_copy_of_its_argument)
{
    char text[4096] = "a";
    text[4095] = 'z';
    struct weft_group group;
    CHECK_EQUAL(weft_group_init(&group, NULL), 0);
    for (int worker = WEFT_ANY_WORKER; worker <= WORKERS; worker++) {
        const struct weft_spawn_options options = {.worker = worker, .copy_bytes = sizeof text};
        CHECK_EQUAL(weft_spawn_with(&group, check_copy, text, &options), 0);
    }
    text[4095] = 0;
    CHECK_EQUAL(weft_group_wait(&group), 0);
    CHECK_EQUAL(text[0], 'a');
}

/* About half a mebibyte of stack, 32 KiB at a time. */
__attribute__((noinline)) static int use_stack(void *arg)
{
    volatile char bytes[32 << 10];
    int depth = arg ? *(int *)arg : 16;
    for (size_t i = 0; i < sizeof bytes; i += 4096)
        bytes[i] = 1;
    return depth > 0 ? use_stack(&(int){depth - 1}) : bytes[0] - 1;
}

WORKERS_TEST(a_task_may_ask_for_a_larger_stack)
{
    struct weft_group group;
    CHECK_EQUAL(weft_group_init(&group, NULL), 0);
    const struct weft_spawn_options here = {.stack_bytes = 1 << 20};
    const struct weft_spawn_options there = {.stack_bytes = 1 << 20, .worker = WEFT_WORKER(1)};
    CHECK_EQUAL(weft_spawn_with(&group, use_stack, NULL, &here), 0);
    CHECK_EQUAL(weft_spawn_with(&group, use_stack, NULL, &there), 0);
    CHECK_EQUAL(weft_group_wait(&group), 0);
}

WORKERS_TEST(impossible_spawn_options_are_refused)
{
    struct weft_group group;
    CHECK_EQUAL(weft_group_init(&group, NULL), 0);
    const struct weft_spawn_options refused[] = {
        {.worker = WEFT_WORKER(WORKERS)},
        {.worker = -2},
        {.copy_bytes = 4097},
        {.stack_bytes = (1 << 20) + 1},
    };
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++)
        CHECK_EQUAL(weft_spawn_with(&group, give, &(int){0}, &refused[i]), -EINVAL);
    CHECK_EQUAL(weft_group_wait(&group), 0);
}

static int wait_for_nothing(void *arg)
{
    struct weft_channel *channel = arg;
    int item;
    return weft_receive(channel, &item, WEFT_FOREVER);
}

static int deadlock(void *arg)
{
    struct weft_channel channels[2 * WORKERS];
    struct weft_group group;
    (void)arg;
    CHECK_EQUAL(weft_group_init(&group, NULL), 0);
    for (int i = 0; i < 2 * WORKERS; i++) {
        CHECK_EQUAL(weft_channel_init(&channels[i], sizeof(int), 1), 0);
        spawn_on(&group, i % 2 ? WEFT_ANY_WORKER : WEFT_WORKER(i / 2), wait_for_nothing,
                 &channels[i]);
    }
    int err = weft_group_wait(&group);
    for (int i = 0; i < 2 * WORKERS; i++)
        weft_channel_deinit(&channels[i]);
    return err;
}

TEST(a_deadlock_of_all_workers_is_found)
{
    for (int round = 0; round < 20; round++)
        CHECK_EQUAL(weft_run(&(struct weft_run_options){.workers = WORKERS}, deadlock, NULL),
                    -EDEADLK);
}

static int count_workers(void *arg)
{
    (void)arg;
    return (int)weft_worker_count();
}

TEST(the_virtual_clock_has_one_worker)
{
    const struct weft_run_options options = {.workers = 8, .clock = WEFT_CLOCK_VIRTUAL};
    CHECK_EQUAL(weft_run(&options, count_workers, NULL), 1);
    CHECK(weft_run(&(struct weft_run_options){.workers = WEFT_ALL_CORES}, count_workers, NULL) >=
          1);
    CHECK_EQUAL(weft_run(&(struct weft_run_options){.workers = 1025}, count_workers, NULL),
                -EINVAL);
}

TEST(a_worker_that_cannot_start_ends_the_run)
{
    struct rlimit before, low;
    REQUIRE(getrlimit(RLIMIT_NOFILE, &before) == 0);
    low = before;
    low.rlim_cur = 24;
    REQUIRE(setrlimit(RLIMIT_NOFILE, &low) == 0);
    CHECK_EQUAL(weft_run(&(struct weft_run_options){.workers = 64}, count_workers, NULL), -EMFILE);
    REQUIRE(setrlimit(RLIMIT_NOFILE, &before) == 0);
}

/* Everything at once: spawns here and there, failures, cancellations, deadlines. */
static int live_a_little(void *arg)
{
    uintptr_t luck = (uintptr_t)arg;
    if (luck % 7 == 0)
        return weft_sleep(3600 * WEFT_SEC);
    if (luck % 11 == 0)
        return -EIO;
    return weft_sleep((int64_t)(luck % 50) * WEFT_USEC);
}

WORKERS_TEST(groups_over_all_workers_come_to_their_end_in_any_order)
{
    for (uintptr_t round = 0; round < 200; round++) {
        struct weft_group group;
        const struct weft_group_options options = {
            .policy = round % 2 ? WEFT_SUPERVISE : WEFT_FAIL_FAST,
            .deadline_ns = weft_now() + (int64_t)(round % 5) * 50 * WEFT_USEC + 1,
        };
        CHECK_EQUAL(weft_group_init(&group, &options), 0);
        for (uintptr_t i = 0; i < 24; i++) {
            const struct weft_spawn_options where = {.worker = (int)(i % (WORKERS + 2)) - 1};
            int err = weft_spawn_with(&group, live_a_little, (void *)(round * 31 + i), &where);
            CHECK(err == 0 || err == -ECANCELED);
        }
        (void)weft_group_wait(&group);
        CHECK_EQUAL(weft_group_live(&group), 0);
    }
}
/* ---- threads outside ------------------------------------------------------------------- */

struct caller {
    pthread_t thread;
    struct weft_runtime *runtime;
    struct weft_channel *channel;
    int calls, result;
};

static int answer(void *arg)
{
    struct caller *caller = arg;
    CHECK(weft_worker_index() >= 0);
    CHECK_EQUAL(weft_sleep(WEFT_USEC), 0);
    return ++caller->calls;
}

static void *call_often(void *arg)
{
    struct caller *caller = arg;
    for (int i = 1; i <= 100; i++)
        CHECK_EQUAL(weft_call(caller->runtime, answer, caller), i);
    CHECK_EQUAL(weft_send(caller->channel, &caller->calls, WEFT_FOREVER), 0);
    weft_runtime_release(caller->runtime);
    return NULL;
}

WORKERS_TEST(a_thread_outside_calls_into_fibers)
{
    struct caller callers[3];
    struct weft_channel channel;
    int calls;
    const int threads = sizeof callers / sizeof callers[0];
    CHECK_EQUAL(weft_channel_init(&channel, sizeof(int), 1), 0);
    for (int i = 0; i < threads; i++) {
        callers[i] = (struct caller){.runtime = weft_runtime_acquire(), .channel = &channel};
        REQUIRE(pthread_create(&callers[i].thread, NULL, call_often, &callers[i]) == 0);
    }
    for (int i = 0; i < threads; i++) {
        CHECK_EQUAL(weft_receive(&channel, &calls, WEFT_FOREVER), 0);
        CHECK_EQUAL(calls, 100);
    }
    for (int i = 0; i < threads; i++)
        (void)pthread_join(callers[i].thread, NULL);
    weft_channel_deinit(&channel);
}

static int sleep_until_shut_down(void *arg)
{
    atomic_int *started = arg;
    atomic_store(started, 1);
    CHECK_EQUAL(weft_sleep(3600 * WEFT_SEC), -ECANCELED);
    return weft_cancel_reason();
}

struct late {
    struct weft_runtime *runtime;
    atomic_int started;
};

static void *call_once(void *arg)
{
    struct late *late = arg;
    CHECK_EQUAL(weft_call(late->runtime, sleep_until_shut_down, &late->started), -ESHUTDOWN);
    CHECK_EQUAL(weft_call(late->runtime, sleep_until_shut_down, &late->started), -ESHUTDOWN);
    return NULL;
}

static int leave_while_called(void *arg)
{
    struct late *late = arg;
    pthread_t thread;
    late->runtime = weft_runtime_acquire();
    REQUIRE(pthread_create(&thread, NULL, call_once, late) == 0);
    (void)pthread_detach(thread);
    while (!atomic_load(&late->started))
        CHECK_EQUAL(weft_sleep(10 * WEFT_USEC), 0);
    return 0;
}

TEST(calls_are_cancelled_when_the_runtime_ends_and_refused_afterwards)
{
    static struct late late; /* the detached thread may outlive this function by a little */
    CHECK_EQUAL(weft_run(&(struct weft_run_options){.workers = 2}, leave_while_called, &late), 0);
    CHECK_EQUAL(weft_call(late.runtime, sleep_until_shut_down, &late.started), -ESHUTDOWN);
    weft_runtime_release(late.runtime);
    weft_runtime_release(NULL);
}

static void *wake_later(void *arg)
{
    struct caller *caller = arg;
    const struct timespec while_ = {.tv_nsec = 2000000};
    (void)nanosleep(&while_, NULL); /* long enough for a deadlock to be found, if it were one */
    int item = 5;
    CHECK_EQUAL(weft_send(caller->channel, &item, WEFT_FOREVER), 0);
    weft_runtime_release(caller->runtime);
    return NULL;
}

static int wait_for_outside(void *arg)
{
    struct caller caller = {.runtime = weft_runtime_acquire(), .channel = arg};
    int item = 0;
    REQUIRE(pthread_create(&caller.thread, NULL, wake_later, &caller) == 0);
    CHECK_EQUAL(weft_receive(arg, &item, WEFT_FOREVER), 0);
    (void)pthread_join(caller.thread, NULL);
    return item;
}

TEST(who_is_held_from_outside_is_not_deadlocked)
{
    struct weft_channel channel;
    CHECK_EQUAL(weft_channel_init(&channel, sizeof(int), 0), 0);
    CHECK_EQUAL(weft_run(NULL, wait_for_outside, &channel), 5);
    CHECK_EQUAL(weft_run(&(struct weft_run_options){.workers = 3}, wait_for_outside, &channel), 5);
    weft_channel_deinit(&channel);
}

static int let_go(void *arg)
{
    int item;
    weft_runtime_release(weft_runtime_acquire());
    return weft_receive(arg, &item, WEFT_FOREVER);
}

TEST(letting_go_from_outside_makes_it_a_deadlock_again)
{
    struct weft_channel channel;
    CHECK_EQUAL(weft_channel_init(&channel, sizeof(int), 0), 0);
    CHECK_EQUAL(weft_run(NULL, let_go, &channel), -EDEADLK);
    weft_channel_deinit(&channel);
}

/* ---- from another worker than the group's ------------------------------------------------ */

struct visitor {
    struct weft_group *group;
    struct weft_task *task;
    int worker; /* where it is */
    int spawn_err, join_err, result;
};

static int note_run(void *arg)
{
    *(bool *)arg = true;
    return 0;
}

#if defined(__GLIBC__) && !defined(WEFT_ASAN) && !defined(WEFT_TSAN)

void *__libc_calloc(size_t count, size_t bytes);

static _Thread_local bool no_memory;

/* In place of the C library's. */
void *calloc(size_t count, size_t bytes)
{
    return no_memory ? NULL : __libc_calloc(count, bytes);
}

static int visit_without_memory(void *arg)
{
    struct visitor *visitor = arg;
    struct weft_task task;
    bool ran = false;
    no_memory = true;
    int err = weft_spawn_task(visitor->group, &task, note_run, &ran);
    visitor->join_err = weft_task_join(visitor->task, WEFT_FOREVER, &visitor->result);
    no_memory = false;
    CHECK_EQUAL(err, -ENOMEM);
    CHECK_EQUAL(visitor->join_err, -ENOMEM);
    CHECK_EQUAL(visitor->result, -1);
    CHECK_EQUAL(task.result, -ENOMEM);
    CHECK_EQUAL(weft_task_join(visitor->task, WEFT_FOREVER, &visitor->result), 0);
    CHECK_EQUAL(visitor->result, 7);
    CHECK(!ran);
    return 0;
}

WORKERS_TEST(a_question_that_cannot_be_sent_home_is_refused)
{
    int value = 7;
    struct weft_task task;
    struct weft_group group;
    struct visitor visitor = {.group = &group, .task = &task, .result = -1};
    CHECK_EQUAL(weft_group_init(&group, NULL), 0);
    CHECK_EQUAL(weft_spawn_task(&group, &task, give, &value), 0);
    spawn_on(&group, WEFT_WORKER(1), visit_without_memory, &visitor);
    CHECK_EQUAL(weft_group_wait(&group), 0);
}

#endif

static int visit_without_stacks(void *arg)
{
    struct visitor *visitor = arg;
    bool ran = false;
    no_stacks = true;
    CHECK_EQUAL(weft_spawn(visitor->group, note_run, &ran), -ENOMEM);
    CHECK_EQUAL(weft_task_join(visitor->task, WEFT_FOREVER, &visitor->result), -ENOMEM);
    no_stacks = false;
    CHECK(!ran);
    CHECK_EQUAL(visitor->result, -1);
    return 0;
}

static int be_visited_without_stacks(void *arg)
{
    int value = 7;
    struct weft_task task;
    struct weft_group group;
    struct visitor visitor = {.group = &group, .task = &task, .result = -1};
    (void)arg;
    CHECK_EQUAL(weft_group_init(&group, NULL), 0);
    const struct weft_spawn_options small = {.stack_bytes = 16 << 10, .task = &task};
    const struct weft_spawn_options there = {.stack_bytes = 16 << 10, .worker = WEFT_WORKER(1)};
    CHECK_EQUAL(weft_spawn_with(&group, give, &value, &small), 0);
    CHECK_EQUAL(weft_spawn_with(&group, visit_without_stacks, &visitor, &there), 0);
    return weft_group_wait(&group);
}

TEST(what_cannot_be_asked_at_home_is_not_reported_as_done)
{
    /* One stack to a mapping: the first fiber has it. */
    const struct weft_run_options options = {.workers = 2, .stack_bytes = 64 << 20};
    CHECK_EQUAL(weft_run(&options, be_visited_without_stacks, NULL), 0);
}

static int visit_cancelled(void *arg)
{
    struct visitor *visitor = arg;
    bool ran = false;
    struct weft_scope scope;
    const struct weft_spawn_options beside = {.worker = WEFT_WORKER(0), .task = visitor->task};
    weft_scope_enter(&scope, WEFT_FOREVER, 0);
    weft_scope_cancel(&scope, 0);
    visitor->spawn_err = weft_spawn_with(visitor->group, note_run, &ran, &beside);
    visitor->join_err = weft_task_join(visitor->task, WEFT_FOREVER, &visitor->result);
    (void)weft_scope_leave(&scope, 0);
    if (visitor->spawn_err == 0)
        CHECK_EQUAL(weft_task_join(visitor->task, WEFT_FOREVER, &visitor->result), 0);
    CHECK_EQUAL(ran, visitor->spawn_err == 0);
    return 0;
}

WORKERS_TEST(who_is_cancelled_gets_the_same_answers_at_home_and_abroad)
{
    for (int worker = 0; worker < 2; worker++) {
        struct weft_task task;
        struct weft_group group;
        struct visitor visitor = {.group = &group, .task = &task};
        CHECK_EQUAL(weft_group_init(&group, NULL), 0);
        spawn_on(&group, WEFT_WORKER(worker), visit_cancelled, &visitor);
        CHECK_EQUAL(weft_group_wait(&group), 0);
        CHECK_EQUAL(visitor.spawn_err, 0);
        CHECK_EQUAL(visitor.join_err, -ECANCELED);
    }
}

WORKERS_TEST(who_is_cancelled_at_the_limit_gets_the_same_answers_at_home_and_abroad)
{
    for (int worker = 0; worker < 2; worker++) {
        atomic_int reasons = 0;
        struct weft_task task;
        struct weft_group full, others;
        struct visitor visitor = {.group = &full, .task = &task};
        CHECK_EQUAL(weft_group_init(&full, &(struct weft_group_options){.concurrency_max = 1}), 0);
        CHECK_EQUAL(weft_group_init(&others, NULL), 0);
        spawn_on(&full, WEFT_WORKER(0), wait_for_cancel, &reasons);
        spawn_on(&others, WEFT_WORKER(worker), visit_cancelled, &visitor);
        CHECK_EQUAL(weft_group_wait(&others), 0);
        weft_group_cancel(&full, 0);
        CHECK_EQUAL(weft_group_wait(&full), 0);
        CHECK_EQUAL(visitor.spawn_err, -ECANCELED);
        CHECK_EQUAL(visitor.join_err, -ECANCELED);
    }
}

static int spawn_at_the_limit(void *arg)
{
    struct visitor *visitor = arg;
    struct weft_scope scope;
    weft_scope_enter(&scope, weft_now() + WEFT_MSEC, 0);
    visitor->spawn_err = weft_spawn_task(visitor->group, visitor->task, give, &(int){0});
    CHECK_EQUAL(weft_scope_leave(&scope, visitor->spawn_err), -ETIMEDOUT);
    return 0;
}

WORKERS_TEST(a_spawner_at_the_limit_of_a_group_elsewhere_can_be_cancelled)
{
    atomic_int reasons = 0;
    struct weft_task task;
    struct weft_group full, others;
    struct visitor visitor = {.group = &full, .task = &task};
    CHECK_EQUAL(weft_group_init(&full, &(struct weft_group_options){.concurrency_max = 1}), 0);
    CHECK_EQUAL(weft_group_init(&others, NULL), 0);
    spawn_on(&full, WEFT_WORKER(0), wait_for_cancel, &reasons);
    spawn_on(&others, WEFT_WORKER(1), spawn_at_the_limit, &visitor);
    CHECK_EQUAL(weft_group_wait(&others), 0);
    weft_group_cancel(&full, 0);
    CHECK_EQUAL(weft_group_wait(&full), 0);
    CHECK_EQUAL(visitor.spawn_err, -ECANCELED);
    CHECK_EQUAL(task.result, -ECANCELED);
}

static int wait_for(void *arg)
{
    return weft_group_wait(arg);
}

WORKERS_TEST(only_who_opened_a_group_may_wait_for_it_also_elsewhere)
{
    struct weft_task child, stranger;
    struct weft_group group, others;
    const struct weft_spawn_options inside = {.worker = WEFT_WORKER(1), .task = &child};
    const struct weft_spawn_options outside = {.worker = WEFT_WORKER(2), .task = &stranger};
    CHECK_EQUAL(weft_group_init(&group, &(struct weft_group_options){.policy = WEFT_SUPERVISE}), 0);
    CHECK_EQUAL(weft_group_init(&others, NULL), 0);
    CHECK_EQUAL(weft_spawn_with(&group, wait_for, &group, &inside), 0);
    CHECK_EQUAL(weft_spawn_with(&others, wait_for, &group, &outside), 0);
    CHECK_EQUAL(weft_group_wait(&others), -EPERM);
    CHECK_EQUAL(weft_group_wait(&group), -EDEADLK);
    CHECK_EQUAL(child.result, -EDEADLK);
    CHECK_EQUAL(stranger.result, -EPERM);
}

static void *hold_a_moment(void *arg)
{
    weft_runtime_release(arg);
    return NULL;
}

static int wait_until_let_go(void *arg)
{
    int item;
    pthread_t thread;
    REQUIRE(pthread_create(&thread, NULL, hold_a_moment, weft_runtime_acquire()) == 0);
    int err = weft_receive(arg, &item, WEFT_FOREVER);
    (void)pthread_join(thread, NULL);
    return err;
}

TEST(letting_go_just_before_the_worker_sleeps_is_noticed)
{
    struct weft_channel channel;
    CHECK_EQUAL(weft_channel_init(&channel, sizeof(int), 0), 0);
    for (unsigned i = 0; i < 3000; i++) {
        const struct weft_run_options options = {.workers = 1 + i % 2};
        CHECK_EQUAL(weft_run(&options, wait_until_let_go, &channel), -EDEADLK);
    }
    weft_channel_deinit(&channel);
}

static int receive_item(void *arg)
{
    int item;
    return weft_receive(arg, &item, WEFT_FOREVER);
}

static int receive_shielded(void *arg)
{
    int err = weft_shield(receive_item, arg);
    CHECK_EQUAL(err, -ECANCELED);
    CHECK_EQUAL(weft_cancel_reason(), -EDEADLK);
    return err;
}

static int deadlock_behind_shields(void *arg)
{
    struct weft_group group;
    CHECK_EQUAL(weft_group_init(&group, NULL), 0);
    for (int i = 0; i < 4; i++) {
        const struct weft_spawn_options where = {.worker =
                                                     WEFT_WORKER(i % (int)weft_worker_count())};
        CHECK_EQUAL(weft_spawn_with(&group, receive_shielded, arg, &where), 0);
    }
    return weft_group_wait(&group);
}

TEST(a_deadlock_behind_shields_leaves_nobody_behind)
{
    struct weft_channel channel;
    int item = 1;
    CHECK_EQUAL(weft_channel_init(&channel, sizeof item, 1), 0);
    CHECK_EQUAL(weft_run(NULL, deadlock_behind_shields, &channel), -EDEADLK);
    CHECK_EQUAL(
        weft_run(&(struct weft_run_options){.workers = 3}, deadlock_behind_shields, &channel),
        -EDEADLK);
    CHECK_EQUAL(weft_send(&channel, &item, WEFT_NOWAIT), 0); /* nobody waits in it any more */
    CHECK_EQUAL(weft_receive(&channel, &item, WEFT_NOWAIT), 0);
    weft_channel_deinit(&channel);
}

TEST(a_deadline_before_time_began_is_over_for_threads_too)
{
    struct weft_channel channel;
    int item;
    CHECK_EQUAL(weft_channel_init(&channel, sizeof item, 1), 0);
    CHECK_EQUAL(weft_receive(&channel, &item, -5), -ETIMEDOUT);
    CHECK_EQUAL(weft_receive(&channel, &item, INT64_MIN), -ETIMEDOUT);
    CHECK_EQUAL(weft_receive(&channel, &item, 1), -ETIMEDOUT);
    weft_channel_deinit(&channel);
}
