/* SPDX-License-Identifier: MIT
 * fork.c - a child of fork() has no part in its parent's runtime, and may have one of its own. */
#include "child.h"
#include "test.h"

#include <weft/group.h>
#include <weft/io.h>
#include <weft/local.h>
#include <weft/offload.h>

#include <errno.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* Each step of a child that goes wrong has an exit code of its own. */
#define EXPECT(condition)                                                                          \
    do {                                                                                           \
        if (!(condition))                                                                          \
            child_exit(__LINE__ % 200 + 1);                                                        \
    } while (0)

static int exit_code_of(pid_t pid)
{
    int status = 0;
    REQUIRE(pid > 0);
    REQUIRE(waitpid(pid, &status, 0) == pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static int do_nothing(void *arg)
{
    (void)arg;
    return 0;
}

/* Bytes over a socket pair, so that the reactor is needed. */
static int echo(void *arg)
{
    char byte = 0;
    int fd = *(int *)arg;
    ssize_t len = weft_read(fd, &byte, 1, WEFT_FOREVER);
    return len == 1 ? (int)weft_write(fd, &byte, 1, WEFT_FOREVER) : -EIO;
}

static int exchange(void *arg)
{
    (void)arg;
    int pair[2];
    char byte = 'x';
    struct weft_group group;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) < 0)
        return -errno;
    int err = weft_group_init(&group, NULL);
    if (err < 0)
        return err;
    (void)weft_spawn(&group, echo, &pair[1]);
    (void)weft_sleep(WEFT_MSEC);
    ssize_t len = weft_write(pair[0], &byte, 1, WEFT_FOREVER);
    if (len == 1)
        len = weft_read(pair[0], &byte, 1, weft_now() + 10 * WEFT_SEC);
    err = weft_group_wait(&group);
    (void)weft_close(pair[0]);
    (void)weft_close(pair[1]);
    return len == 1 && err == 0 ? 42 : -EPROTO;
}

REAL_TIME_FIBER_TEST(in_a_child_every_call_is_refused)
{
    static const struct weft_local_key key;
    struct weft_group group;
    struct weft_task task;
    CHECK_EQUAL(weft_group_init(&group, NULL), 0);
    pid_t pid = fork();
    if (pid == 0) {
        EXPECT(weft_sleep(1) == -EPERM);
        EXPECT(weft_yield() == -EPERM);
        EXPECT(weft_checkpoint() == -EPERM);
        EXPECT(weft_spawn(&group, do_nothing, NULL) == -EPERM);
        EXPECT(weft_spawn_task(&group, &task, do_nothing, NULL) == -EPERM);
        EXPECT(weft_group_wait(&group) == -EPERM);
        EXPECT(weft_offload(do_nothing, NULL) == -EPERM);
        EXPECT(weft_timeout(WEFT_SEC, do_nothing, NULL) == -EPERM);
        EXPECT(weft_local_set(&key, &group) == -EPERM);
        EXPECT(weft_wait_fd(0, WEFT_READABLE, WEFT_FOREVER) == -EPERM);
        EXPECT(weft_worker_index() == -EPERM);
        EXPECT(weft_runtime_acquire() == NULL);
        EXPECT(weft_now() > 0);
        weft_group_cancel(&group, 0);
        child_exit(0);
    }
    CHECK_EQUAL(exit_code_of(pid), 0);
    CHECK_EQUAL(weft_checkpoint(), 0);
    CHECK_EQUAL(weft_spawn(&group, do_nothing, NULL), 0); /* cancelled in the child only */
    CHECK_EQUAL(weft_group_wait(&group), 0);
}

REAL_TIME_FIBER_TEST(a_child_can_run_a_runtime_of_its_own)
{
    CHECK_EQUAL(exchange(NULL), 42);
    pid_t pid = fork();
    if (pid == 0) {
        for (int i = 0; i < 3; i++)
            EXPECT(weft_run(NULL, exchange, NULL) == 42);
        EXPECT(weft_sleep(1) == -EPERM);
        child_exit(0);
    }
    for (int i = 0; i < 3; i++)
        CHECK_EQUAL(exchange(NULL), 42);
    CHECK_EQUAL(exit_code_of(pid), 0);
    CHECK_EQUAL(exchange(NULL), 42);
}

static int fork_and_exchange(void *arg)
{
    (void)arg;
    pid_t pid = fork();
    if (pid == 0) {
        EXPECT(weft_run(NULL, exchange, NULL) == 42);
        child_exit(17);
    }
    return exit_code_of(pid);
}

TEST(a_grandchild_can_run_a_runtime_of_its_own)
{
    struct child child;
    child_run(&child, fork_and_exchange, NULL);
    CHECK_EQUAL(child.exit_code, 17);
}

static int return_in_child(void *arg)
{
    (void)arg;
    pid_t pid = fork();
    if (pid == 0)
        return 0;
    return exit_code_of(pid) == -SIGABRT ? 0 : 1;
}

static int run_return_in_child(void *arg)
{
    return weft_run(NULL, return_in_child, arg);
}

TEST(a_fiber_that_returns_in_a_child_aborts_with_a_reason)
{
    struct child child;
    child_run(&child, run_return_in_child, NULL);
    CHECK_EQUAL(child.exit_code, 0);
    child_check_said(&child, "weft: a fiber returned in a child of fork()");
}

static int call_from_child(void *arg)
{
    (void)arg;
    struct weft_runtime *runtime = weft_runtime_acquire();
    pid_t pid = fork();
    if (pid == 0) {
        EXPECT(weft_call(runtime, do_nothing, NULL) == -EPERM);
        weft_runtime_release(runtime);
        child_exit(0);
    }
    CHECK_EQUAL(exit_code_of(pid), 0);
    weft_runtime_release(runtime);
    return 0;
}

TEST(a_child_cannot_call_into_its_parents_runtime)
{
    CHECK_EQUAL(weft_run(NULL, call_from_child, NULL), 0);
}
