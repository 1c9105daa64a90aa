/* SPDX-License-Identifier: MIT
 * poller.c - both pollers against the same expectations. */
#include "test.h"

#include <os/clock.h>
#include <os/poller.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

static const char *const names[] = {"epoll", "uring"};

struct opened {
    const struct weft_poller_ops *ops;
    struct weft_poller *poller;
};

/* False, with the test marked skipped, where the kernel has no such poller. */
static bool open_poller(const char *name, struct opened *ret_opened)
{
    int err = weft_poller_open(name, &ret_opened->ops, &ret_opened->poller);
    if (err == -ENOSYS || err == -EPERM) {
        test_skip("io_uring is not to be had on this kernel");
        return false;
    }
    REQUIRE(err == 0);
    return true;
}

/* Gather events of one descriptor until nothing more comes at once. */
static unsigned collect(struct opened *opened, int fd, uint32_t generation)
{
    struct weft_ready ready[16];
    unsigned events = 0;
    int count;
    while ((count = opened->ops->wait(opened->poller, ready, 16, 0)) > 0) {
        for (int i = 0; i < count; i++) {
            CHECK_EQUAL(ready[i].fd, fd);
            CHECK_EQUAL(ready[i].generation, generation);
            events |= ready[i].events;
        }
    }
    CHECK_EQUAL(count, 0);
    return events;
}

static void check_edges(const char *name)
{
    struct opened opened;
    int ends[2];
    if (!open_poller(name, &opened))
        return;
    REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) == 0);
    CHECK_EQUAL(opened.ops->watch(opened.poller, ends[0], 77), 0);
    CHECK_EQUAL(collect(&opened, ends[0], 77), WEFT_READY_WRITE);
    CHECK_EQUAL(collect(&opened, ends[0], 77), 0); /* an edge is told once */
    CHECK_EQUAL(write(ends[1], "a", 1), 1);
    CHECK(collect(&opened, ends[0], 77) & WEFT_READY_READ);
    CHECK_EQUAL(collect(&opened, ends[0], 77), 0);
    CHECK_EQUAL(write(ends[1], "b", 1), 1); /* more data is a new edge */
    CHECK(collect(&opened, ends[0], 77) & WEFT_READY_READ);
    CHECK_EQUAL(close(ends[1]), 0);
    CHECK_EQUAL(collect(&opened, ends[0], 77) & (WEFT_READY_READ | WEFT_READY_HANGUP),
                WEFT_READY_READ | WEFT_READY_HANGUP);
    opened.ops->unwatch(opened.poller, ends[0], 77);
    CHECK_EQUAL(close(ends[0]), 0);
    CHECK_EQUAL(collect(&opened, ends[0], 77) & WEFT_READY_WRITE, 0);
    opened.ops->close(opened.poller);
}

TEST(epoll_reports_each_edge_once)
{
    check_edges(names[0]);
}

TEST(io_uring_reports_each_edge_once)
{
    check_edges(names[1]);
}

static void check_unwatch(const char *name)
{
    struct opened opened;
    int ends[2];
    char byte;
    if (!open_poller(name, &opened))
        return;
    for (int i = 0; i < 200; i++) { /* with a report under way, and without */
        REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) == 0);
        CHECK_EQUAL(opened.ops->watch(opened.poller, ends[0], (uint32_t)i), 0);
        if (i % 2)
            (void)collect(&opened, ends[0], (uint32_t)i);
        if (i % 3)
            CHECK_EQUAL(write(ends[1], "a", 1), 1);
        opened.ops->unwatch(opened.poller, ends[0], (uint32_t)i);
        CHECK_EQUAL(close(ends[0]), 0);
        /* Nothing holds the other end's peer open any more. */
        ssize_t count = read(ends[1], &byte, 1);
        CHECK(count == 0 || (count < 0 && errno == ECONNRESET));
        CHECK_EQUAL(close(ends[1]), 0);
        struct weft_ready ready[16];
        (void)opened.ops->wait(opened.poller, ready, 16, 0);
    }
    opened.ops->close(opened.poller);
}

TEST(epoll_lets_go_of_a_descriptor_at_once)
{
    check_unwatch(names[0]);
}

TEST(io_uring_lets_go_of_a_descriptor_at_once)
{
    check_unwatch(names[1]);
}

/* A wait may end early, by a signal; what it must not do is return at once again and again. */
static void check_timeout(const char *name)
{
    static const int64_t timeouts[] = {1000, 700 * 1000, 3 * 1000 * 1000};
    struct opened opened;
    struct weft_ready ready;
    if (!open_poller(name, &opened))
        return;
    for (size_t i = 0; i < 3; i++) {
        int64_t deadline_ns = weft_clock_monotonic_ns() + timeouts[i];
        int64_t left_ns;
        int waits = 0;
        while ((left_ns = deadline_ns - weft_clock_monotonic_ns()) > 0) {
            CHECK_EQUAL(opened.ops->wait(opened.poller, &ready, 1, left_ns), 0);
            waits++;
        }
        CHECK(waits <= 5);
    }
    opened.ops->close(opened.poller);
}

TEST(epoll_waits_as_long_as_it_is_told)
{
    check_timeout(names[0]);
}

TEST(io_uring_waits_as_long_as_it_is_told)
{
    check_timeout(names[1]);
}

/* Reports of one descriptor must not hide behind what is left over from another's end. */
static void check_leftovers(const char *name)
{
    struct opened opened;
    int ends[2];
    if (!open_poller(name, &opened))
        return;
    REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) == 0);
    CHECK_EQUAL(opened.ops->watch(opened.poller, ends[0], 1), 0);
    (void)collect(&opened, ends[0], 1);
    for (int i = 0; i < 50; i++) {
        struct weft_ready ready[16];
        char byte;
        int other = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
        REQUIRE(other >= 0);
        CHECK_EQUAL(opened.ops->watch(opened.poller, other, 2), 0);
        (void)opened.ops->wait(opened.poller, ready, 16, 0);
        opened.ops->unwatch(opened.poller, other, 2);
        CHECK_EQUAL(close(other), 0);
        CHECK_EQUAL(write(ends[1], "a", 1), 1);
        CHECK_EQUAL(opened.ops->wait(opened.poller, ready, 16, 0), 1);
        CHECK_EQUAL(ready[0].fd, ends[0]);
        CHECK_EQUAL(read(ends[0], &byte, 1), 1);
    }
    (void)close(ends[0]);
    (void)close(ends[1]);
    opened.ops->close(opened.poller);
}

TEST(epoll_reports_beside_the_remains_of_others)
{
    check_leftovers(names[0]);
}

TEST(io_uring_reports_beside_the_remains_of_others)
{
    check_leftovers(names[1]);
}

static void check_many(const char *name)
{
    enum {
        FDS = 600
    }; /* more than one batch, more than one submission queue */
    struct opened opened;
    static int fds[FDS];
    static bool seen[FDS];
    if (!open_poller(name, &opened))
        return;
    memset(seen, 0, sizeof seen);
    for (int i = 0; i < FDS; i++) {
        fds[i] = eventfd(1, EFD_NONBLOCK | EFD_CLOEXEC);
        REQUIRE(fds[i] >= 0);
        CHECK_EQUAL(opened.ops->watch(opened.poller, fds[i], (uint32_t)i), 0);
    }
    static struct weft_ready ready[FDS]; /* more than they report at once */
    int count;
    while ((count = opened.ops->wait(opened.poller, ready, FDS, 0)) > 0) {
        for (int i = 0; i < count; i++) {
            CHECK(fds[ready[i].generation] == ready[i].fd);
            seen[ready[i].generation] = true;
        }
    }
    for (int i = 0; i < FDS; i++) {
        CHECK(seen[i]);
        (void)close(fds[i]);
    }
    opened.ops->close(opened.poller);
}

TEST(epoll_watches_hundreds_of_descriptors)
{
    check_many(names[0]);
}

TEST(io_uring_watches_hundreds_of_descriptors)
{
    check_many(names[1]);
}

TEST(unknown_pollers_are_refused)
{
    struct opened opened;
    CHECK_EQUAL(weft_poller_open("kqueue", &opened.ops, &opened.poller), -EINVAL);
}

TEST(without_a_name_there_is_always_a_poller)
{
    struct opened opened;
    REQUIRE(weft_poller_open(NULL, &opened.ops, &opened.poller) == 0);
    opened.ops->close(opened.poller);
    REQUIRE(weft_poller_open("", &opened.ops, &opened.poller) == 0);
    opened.ops->close(opened.poller);
}
