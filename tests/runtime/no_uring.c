/* SPDX-License-Identifier: MIT
 * no_uring.c - where io_uring is refused, weft takes epoll, and says so when asked for io_uring.
 * Run under tests/tools/without_io_uring.c; on its own it fails where io_uring is allowed. */
#include "test.h"

#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define IO_URING_SETUP 425

/* Entries 0 is never valid: EINVAL tells that the call itself is allowed. */
static bool io_uring_is_refused(void)
{
    return syscall(IO_URING_SETUP, 0, NULL) < 0 && errno == EPERM;
}

static int compare_name(void *arg)
{
    const char *expected = arg;
    return strcmp(weft_io_name(), expected) == 0 ? 0 : -ENOENT;
}

static int never_called(void *arg)
{
    *(bool *)arg = true;
    return 0;
}

TEST(the_reactor_is_epoll_where_io_uring_is_refused)
{
    char expected[] = "epoll";
    REQUIRE(io_uring_is_refused());
    CHECK_EQUAL(weft_run(NULL, compare_name, expected), 0);
}

TEST(asking_for_epoll_works_where_io_uring_is_refused)
{
    char expected[] = "epoll";
    struct weft_run_options options = {.io = "epoll"};
    REQUIRE(io_uring_is_refused());
    CHECK_EQUAL(weft_run(&options, compare_name, expected), 0);
}

TEST(asking_for_io_uring_where_it_is_refused_is_an_error)
{
    bool called = false;
    struct weft_run_options options = {.io = "uring"};
    REQUIRE(io_uring_is_refused());
    CHECK_EQUAL(weft_run(&options, never_called, &called), -EPERM);
    CHECK(!called);
}
