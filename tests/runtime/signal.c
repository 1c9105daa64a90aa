/* SPDX-License-Identifier: MIT
 * signal.c - signals as values, for one fiber or several, and as the end of a scope. */
#include "descriptors.h"
#include "test.h"

#include <weft/group.h>
#include <weft/signal.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

static const int usr[] = {SIGUSR1, SIGUSR2};

FIBER_TEST(signals_arrive_as_values)
{
    CHECK_EQUAL(weft_signal_block(usr, 2), 0);
    CHECK_EQUAL(weft_signal_wait(usr, 2, weft_now() + 10), -ETIMEDOUT);
    CHECK_EQUAL(kill(getpid(), SIGUSR2), 0);
    CHECK_EQUAL(weft_signal_wait(usr, 2, WEFT_FOREVER), SIGUSR2);
    CHECK_EQUAL(weft_signal_wait(usr, 0, WEFT_FOREVER), -EINVAL);
}

static int wait_for_usr1(void *arg)
{
    static const int usr1[] = {SIGUSR1};
    (void)arg;
    return weft_signal_wait(usr1, 1, WEFT_FOREVER);
}

FIBER_TEST(of_several_waiters_each_receives_one)
{
    struct weft_group group;
    struct weft_task tasks[3];
    int before = open_descriptors(), received = 0;
    CHECK_EQUAL(weft_signal_block(usr, 2), 0);
    CHECK_EQUAL(weft_group_init(&group, NULL), 0);
    for (int i = 0; i < 3; i++)
        CHECK_EQUAL(weft_spawn_task(&group, &tasks[i], wait_for_usr1, NULL), 0);
    CHECK_EQUAL(weft_yield(), 0);
    for (int i = 0; i < 2; i++) { /* two of them: a signal that is pending is not queued again */
        CHECK_EQUAL(kill(getpid(), SIGUSR1), 0);
        CHECK_EQUAL(weft_sleep(WEFT_MSEC), 0);
    }
    weft_group_close(&group);
    for (int i = 0; i < 3; i++) {
        CHECK(tasks[i].result == SIGUSR1 || tasks[i].result == -ECANCELED);
        received += tasks[i].result == SIGUSR1;
    }
    CHECK_EQUAL(received, 2);
    CHECK_EQUAL(open_descriptors(), before);
}

static int cancel_by_usr2(void *arg)
{
    static const int usr2[] = {SIGUSR2};
    return weft_signal_cancel(arg, usr2, 1);
}

static int sleep_long(void *arg)
{
    (void)arg;
    return weft_sleep(WEFT_SEC);
}

FIBER_TEST(a_signal_cancels_a_scope_and_the_next_strikes_as_usual)
{
    struct weft_group guard, work;
    struct weft_task watcher, worker;
    sigset_t blocked;
    CHECK_EQUAL(weft_signal_block(usr, 2), 0);
    CHECK_EQUAL(weft_group_init(&guard, NULL), 0);
    CHECK_EQUAL(weft_group_init(&work, NULL), 0);
    CHECK_EQUAL(weft_spawn_task(&guard, &watcher, cancel_by_usr2, &work.scope), 0);
    CHECK_EQUAL(weft_spawn_task(&work, &worker, sleep_long, NULL), 0);
    CHECK_EQUAL(weft_yield(), 0);
    CHECK_EQUAL(kill(getpid(), SIGUSR2), 0);
    CHECK_EQUAL(weft_group_wait(&work), 0);
    CHECK_EQUAL(worker.result, -ECANCELED);
    CHECK_EQUAL(weft_group_wait(&guard), 0);
    CHECK_EQUAL(watcher.result, SIGUSR2);
    CHECK_EQUAL(pthread_sigmask(SIG_SETMASK, NULL, &blocked), 0);
    CHECK_EQUAL(sigismember(&blocked, SIGUSR2), 0);
    CHECK_EQUAL(sigismember(&blocked, SIGUSR1), 1);
}

FIBER_TEST(a_watcher_that_is_cancelled_cancels_nothing)
{
    struct weft_group guard, work;
    struct weft_task watcher;
    CHECK_EQUAL(weft_signal_block(usr, 2), 0);
    CHECK_EQUAL(weft_group_init(&work, NULL), 0);
    CHECK_EQUAL(weft_group_init(&guard, NULL), 0);
    CHECK_EQUAL(weft_spawn_task(&guard, &watcher, cancel_by_usr2, &work.scope), 0);
    CHECK_EQUAL(weft_yield(), 0);
    weft_group_close(&guard);
    CHECK_EQUAL(watcher.result, -ECANCELED);
    CHECK_EQUAL(weft_spawn(&work, sleep_long, NULL), 0);
    CHECK_EQUAL(weft_group_wait(&work), 0);
}

FIBER_TEST(what_is_no_signal_is_refused)
{
    static const int bad[] = {SIGUSR1, 100000};
    CHECK_EQUAL(weft_signal_block(bad, 2), -EINVAL);
    CHECK_EQUAL(weft_signal_block(bad, 0), -EINVAL);
    CHECK_EQUAL(weft_signal_wait(bad, 2, WEFT_FOREVER), -EINVAL);
}
