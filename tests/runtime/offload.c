/* SPDX-License-Identifier: MIT
 * offload.c - blocking calls on threads, and answers from foreign threads. */
#include "test.h"

#include <runtime/completion.h>
#include <runtime/offload.h>
#include <weft/channel.h>
#include <weft/group.h>
#include <weft/io.h>
#include <weft/offload.h>
#include <weft/runtime.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

static int add_one(void *arg)
{
    int *value = arg;
    return *value + 1;
}

FIBER_TEST(offload_returns_what_the_function_returned)
{
    int value = 41;
    CHECK_EQUAL(weft_offload(add_one, &value), 42);
    value = -100;
    CHECK_EQUAL(weft_offload(add_one, &value), -99);
}

static int use_runtime(void *arg)
{
    (void)arg;
    return weft_sleep(1);
}

FIBER_TEST(an_offloaded_function_is_outside_the_runtime)
{
    CHECK_EQUAL(weft_offload(use_runtime, NULL), -EPERM);
}

static int answer_over_a_channel(void *arg)
{
    struct weft_channel *channels = arg;
    int item = 0;
    int err = weft_receive(&channels[0], &item, WEFT_FOREVER); /* blocks the thread */
    item++;
    return err < 0 ? err : weft_send(&channels[1], &item, WEFT_FOREVER);
}

static int offload_answerer(void *arg)
{
    return weft_offload(answer_over_a_channel, arg);
}

FIBER_TEST(shared_channels_work_inside_an_offloaded_function)
{
    struct weft_channel channels[2];
    struct weft_group group;
    int item = 41;
    const struct weft_channel_options options = {.item_bytes = sizeof item, .sharing = WEFT_SHARED};
    CHECK_EQUAL(weft_channel_init_with(&channels[0], &options), 0);
    CHECK_EQUAL(weft_channel_init_with(&channels[1], &options), 0);
    CHECK_EQUAL(weft_group_init(&group, NULL), 0);
    CHECK_EQUAL(weft_spawn(&group, offload_answerer, channels), 0);
    CHECK_EQUAL(weft_send(&channels[0], &item, WEFT_FOREVER), 0);
    CHECK_EQUAL(weft_receive(&channels[1], &item, WEFT_FOREVER), 0);
    CHECK_EQUAL(item, 42);
    weft_channel_close(&channels[0], 0); /* whatever happened, the thread ends */
    weft_channel_close(&channels[1], 0);
    CHECK_EQUAL(weft_group_wait(&group), 0);
    weft_channel_deinit(&channels[0]);
    weft_channel_deinit(&channels[1]);
}

static int offload_many(void *arg)
{
    for (int i = 0; i < 50; i++)
        REQUIRE(weft_offload(add_one, arg) == 8);
    return 0;
}

FIBER_TEST(many_fibers_share_the_threads)
{
    struct weft_group group;
    int value = 7;
    CHECK_EQUAL(weft_group_init(&group, NULL), 0);
    for (int i = 0; i < 40; i++)
        CHECK_EQUAL(weft_spawn(&group, offload_many, &value), 0);
    CHECK_EQUAL(weft_group_wait(&group), 0);
}

struct gate {
    sem_t open;
    atomic_int started;
};

static int pass_gate(void *arg)
{
    struct gate *gate = arg;
    atomic_fetch_add(&gate->started, 1);
    while (sem_wait(&gate->open) < 0)
        ;
    return 5;
}

static int offload_gate(void *arg)
{
    return weft_offload(pass_gate, arg);
}

FIBER_TEST(virtual_time_stands_still_while_a_thread_works)
{
    struct gate gate;
    struct weft_group group;
    struct weft_task task;
    REQUIRE(sem_init(&gate.open, 0, 0) == 0);
    atomic_init(&gate.started, 0);
    CHECK_EQUAL(weft_group_init(&group, NULL), 0);
    CHECK_EQUAL(weft_spawn_task(&group, &task, offload_gate, &gate), 0);
    CHECK_EQUAL(weft_yield(), 0);
    CHECK_EQUAL(sem_post(&gate.open), 0);
    int result = 0;
    CHECK_EQUAL(weft_task_join(&task, weft_now() + 1, &result), 0);
    CHECK_EQUAL(result, 5);
    CHECK_EQUAL(weft_group_wait(&group), 0);
}

/* More polls begun and ended than io_uring's completion queue holds, in one go. */
FIBER_TEST(wake_ups_from_threads_survive_a_flood_of_descriptors)
{
    int value = 7;
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 4500; i++) {
            int ends[2];
            REQUIRE(pipe2(ends, O_NONBLOCK | O_CLOEXEC) == 0);
            REQUIRE(weft_wait_fd(ends[0], WEFT_READABLE, WEFT_NOWAIT) == -EAGAIN);
            REQUIRE(weft_close(ends[0]) == 0);
            REQUIRE(close(ends[1]) == 0);
        }
        for (int i = 0; i < 20; i++)
            REQUIRE(weft_offload(add_one, &value) == 8);
    }
}

static int cancel_offloads(void *arg)
{
    struct gate *gate = arg;
    struct weft_group group;
    struct weft_task running, queued;
    CHECK_EQUAL(weft_group_init(&group, NULL), 0);
    CHECK_EQUAL(weft_spawn_task(&group, &running, offload_gate, gate), 0);
    CHECK_EQUAL(weft_spawn_task(&group, &queued, offload_gate, gate), 0);
    while (atomic_load(&gate->started) == 0)
        CHECK_EQUAL(weft_yield(), 0);
    weft_group_cancel(&group, 0);
    CHECK_EQUAL(weft_yield(), 0);
    CHECK(queued.done && queued.result == -ECANCELED);
    CHECK(!running.done);
    CHECK_EQUAL(sem_post(&gate->open), 0);
    CHECK_EQUAL(weft_group_wait(&group), 0);
    CHECK(running.done && running.result == 5);
    CHECK_EQUAL(atomic_load(&gate->started), 1);
    return 0;
}

TEST(a_cancel_takes_queued_calls_back_and_waits_for_running_ones)
{
    struct gate gate;
    struct weft_run_options options = {.offload_threads_max = 1};
    REQUIRE(sem_init(&gate.open, 0, 0) == 0);
    atomic_init(&gate.started, 0);
    CHECK_EQUAL(weft_run(&options, cancel_offloads, &gate), 0);
}

static int overflow_queue(void *arg)
{
    struct gate *gate = arg;
    struct weft_group group;
    struct weft_task tasks[3];
    CHECK_EQUAL(weft_group_init(&group, &(struct weft_group_options){.policy = WEFT_SUPERVISE}), 0);
    CHECK_EQUAL(weft_spawn_task(&group, &tasks[0], offload_gate, gate), 0);
    while (atomic_load(&gate->started) == 0)
        CHECK_EQUAL(weft_yield(), 0);
    CHECK_EQUAL(weft_spawn_task(&group, &tasks[1], offload_gate, gate), 0);
    CHECK_EQUAL(weft_spawn_task(&group, &tasks[2], offload_gate, gate), 0);
    CHECK_EQUAL(weft_yield(), 0);
    CHECK(tasks[2].done && tasks[2].result == WEFT_EFULL);
    CHECK_EQUAL(sem_post(&gate->open), 0);
    CHECK_EQUAL(sem_post(&gate->open), 0);
    CHECK_EQUAL(weft_group_wait(&group), WEFT_EFULL);
    CHECK_EQUAL(tasks[0].result, 5);
    CHECK_EQUAL(tasks[1].result, 5);
    return 0;
}

TEST(the_queue_of_calls_is_bounded)
{
    struct gate gate;
    struct weft_run_options options = {.offload_threads_max = 1, .offload_queue_max = 1};
    REQUIRE(sem_init(&gate.open, 0, 0) == 0);
    atomic_init(&gate.started, 0);
    CHECK_EQUAL(weft_run(&options, overflow_queue, &gate), 0);
}

static int pass_gate_for_files(void *arg)
{
    return weft_offload_on(WEFT_OFFLOAD_FILES, pass_gate, arg);
}

FIBER_TEST(calls_of_one_class_do_not_hold_up_another)
{
    enum {
        CALLS = 9
    }; /* more than the class has threads */
    struct gate gate;
    struct weft_group group;
    int value = 1;
    REQUIRE(sem_init(&gate.open, 0, 0) == 0);
    atomic_init(&gate.started, 0);
    CHECK_EQUAL(weft_group_init(&group, &(struct weft_group_options){.policy = WEFT_SUPERVISE}), 0);
    for (int i = 0; i < CALLS; i++)
        CHECK_EQUAL(weft_spawn(&group, pass_gate_for_files, &gate), 0);
    CHECK_EQUAL(weft_yield(), 0);
    CHECK_EQUAL(weft_offload(add_one, &value), 2);
    CHECK_EQUAL(weft_offload_on(WEFT_OFFLOAD_NAMES, add_one, &value), 2);
    for (int i = 0; i < CALLS; i++)
        CHECK_EQUAL(sem_post(&gate.open), 0);
    CHECK_EQUAL(weft_group_wait(&group), 0);
}

/* Owns what it touches; the counts outlive it. */
struct owned {
    struct gate *gate;
    sem_t *released;
};

static int pass_gate_owned(void *arg)
{
    struct owned *owned = arg;
    return pass_gate(owned->gate);
}

static void release_owned(void *arg)
{
    struct owned *owned = arg;
    CHECK_EQUAL(sem_post(owned->released), 0);
    free(owned);
}

static struct owned *make_owned(struct gate *gate, sem_t *released)
{
    struct owned *owned = malloc(sizeof *owned);
    REQUIRE(owned);
    *owned = (struct owned){gate, released};
    return owned;
}

static int released_count(sem_t *released)
{
    int count = -1;
    CHECK_EQUAL(sem_getvalue(released, &count), 0);
    return count;
}

FIBER_TEST(a_call_that_ended_gives_its_argument_back)
{
    struct gate gate;
    sem_t released;
    int result = 0;
    REQUIRE(sem_init(&gate.open, 0, 1) == 0 && sem_init(&released, 0, 0) == 0);
    struct owned *owned = make_owned(&gate, &released);
    CHECK_EQUAL(
        weft_offload_or_abandon(pass_gate_owned, owned, release_owned, WEFT_FOREVER, &result), 0);
    REQUIRE(result == 5);
    CHECK_EQUAL(released_count(&released), 0);
    free(owned);
}

FIBER_TEST(a_call_that_cannot_begin_releases_its_argument)
{
    struct gate gate;
    sem_t released;
    struct weft_scope scope;
    int result = 77;
    REQUIRE(sem_init(&gate.open, 0, 0) == 0 && sem_init(&released, 0, 0) == 0);
    CHECK_EQUAL(weft_offload_or_abandon(pass_gate_owned, make_owned(&gate, &released),
                                        release_owned, WEFT_NOWAIT, &result),
                -EAGAIN);
    weft_scope_enter(&scope, WEFT_FOREVER, 0);
    weft_scope_cancel(&scope, 0);
    CHECK_EQUAL(weft_offload_or_abandon(pass_gate_owned, make_owned(&gate, &released),
                                        release_owned, WEFT_FOREVER, &result),
                -ECANCELED);
    CHECK_EQUAL(weft_scope_leave(&scope, 0), 0);
    CHECK_EQUAL(released_count(&released), 2);
    CHECK_EQUAL(result, 77);
}

static int offload_owned(void *arg)
{
    const struct owned *model = arg;
    int result = 0;
    return weft_offload_or_abandon(pass_gate_owned, make_owned(model->gate, model->released),
                                   release_owned, WEFT_FOREVER, &result);
}

/* Cancel a call once it runs. */
static void abandon_running(struct owned *model)
{
    struct weft_group group;
    struct weft_task task;
    CHECK_EQUAL(weft_group_init(&group, NULL), 0);
    CHECK_EQUAL(weft_spawn_task(&group, &task, offload_owned, model), 0);
    while (atomic_load(&model->gate->started) == 0)
        REQUIRE(weft_yield() == 0);
    weft_group_close(&group);
    CHECK_EQUAL(task.result, -ECANCELED);
    REQUIRE(released_count(model->released) == 0);
}

FIBER_TEST(a_running_call_is_abandoned_and_released_by_its_thread)
{
    struct gate gate;
    sem_t released;
    struct owned model = {&gate, &released};
    REQUIRE(sem_init(&gate.open, 0, 0) == 0 && sem_init(&released, 0, 0) == 0);
    atomic_init(&gate.started, 0);
    abandon_running(&model);
    CHECK_EQUAL(sem_post(&gate.open), 0);
    while (sem_wait(&released) < 0)
        ;
}

/* One thread: the first call keeps it, the second stays queued until its deadline. */
static int abandon_two(void *arg)
{
    struct owned *model = arg;
    int result = 77;
    abandon_running(model);
    CHECK_EQUAL(weft_offload_or_abandon(pass_gate_owned, make_owned(model->gate, model->released),
                                        release_owned, weft_now() + WEFT_MSEC, &result),
                -ETIMEDOUT);
    CHECK_EQUAL(result, 77);
    CHECK_EQUAL(released_count(model->released), 1);
    return 0;
}

TEST(a_runtime_ends_without_the_calls_it_abandoned)
{
    struct gate gate;
    sem_t released;
    struct weft_run_options options = {.offload_threads_max = 1};
    REQUIRE(sem_init(&gate.open, 0, 0) == 0 && sem_init(&released, 0, 0) == 0);
    atomic_init(&gate.started, 0);
    struct owned model = {&gate, &released};
    CHECK_EQUAL(weft_run(&options, abandon_two, &model), 0);
    CHECK_EQUAL(sem_post(&gate.open), 0);
    for (int i = 0; i < 2; i++) {
        while (sem_wait(&released) < 0)
            ;
    }
    CHECK_EQUAL(atomic_load(&gate.started), 1);
}

/* A foreign thread that answers whatever is handed to it. */
struct answerer {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    struct weft_completion *asked;
    bool stop;
};

static void *answer(void *arg)
{
    struct answerer *answerer = arg;
    int answered = 0;
    (void)pthread_mutex_lock(&answerer->mutex);
    while (!answerer->stop) {
        if (answerer->asked) {
            weft_completion_signal(answerer->asked, ++answered);
            answerer->asked = NULL;
        } else {
            (void)pthread_cond_wait(&answerer->changed, &answerer->mutex);
        }
    }
    (void)pthread_mutex_unlock(&answerer->mutex);
    return NULL;
}

FIBER_TEST(no_answer_of_a_foreign_thread_is_lost)
{
    struct answerer answerer = {.asked = NULL};
    pthread_t thread;
    (void)pthread_mutex_init(&answerer.mutex, NULL);
    (void)pthread_cond_init(&answerer.changed, NULL);
    REQUIRE(pthread_create(&thread, NULL, answer, &answerer) == 0);
    for (int i = 1; i <= 5000; i++) {
        struct weft_completion done;
        weft_completion_init(&done);
        (void)pthread_mutex_lock(&answerer.mutex);
        answerer.asked = &done;
        (void)pthread_cond_signal(&answerer.changed);
        (void)pthread_mutex_unlock(&answerer.mutex);
        REQUIRE(weft_completion_wait(&done) == i);
    }
    (void)pthread_mutex_lock(&answerer.mutex);
    answerer.stop = true;
    (void)pthread_cond_signal(&answerer.changed);
    (void)pthread_mutex_unlock(&answerer.mutex);
    CHECK_EQUAL(pthread_join(thread, NULL), 0);
}
