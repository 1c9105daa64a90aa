/* SPDX-License-Identifier: MIT
 * io.c - sockets on the real reactors. Time is virtual where nothing depends on the wire. */
#include "test.h"

#include <runtime/worker.h>

#include <weft/group.h>
#include <weft/io.h>
#include <weft/net.h>
#include <weft/runtime.h>
#include <weft/select.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct pair {
    int listener, client, server;
};

static struct pair connected(void)
{
    struct pair pair;
    pair.listener = weft_tcp_listen("127.0.0.1", 0, NULL);
    REQUIRE(pair.listener >= 0);
    int port = weft_tcp_port(pair.listener);
    REQUIRE(port > 0);
    pair.client = weft_tcp_connect("127.0.0.1", (uint16_t)port, WEFT_FOREVER);
    REQUIRE(pair.client >= 0);
    pair.server = weft_tcp_accept(pair.listener, WEFT_FOREVER);
    REQUIRE(pair.server >= 0);
    return pair;
}

static void disconnect(struct pair *pair)
{
    CHECK_EQUAL(weft_close(pair->client), 0);
    CHECK_EQUAL(weft_close(pair->server), 0);
    CHECK_EQUAL(weft_close(pair->listener), 0);
}

FIBER_TEST(what_is_written_is_read)
{
    struct pair pair = connected();
    char text[16] = "";
    CHECK_EQUAL(weft_write(pair.client, "hello", 5, WEFT_FOREVER), 5);
    CHECK_EQUAL(weft_read(pair.server, text, sizeof text, WEFT_FOREVER), 5);
    CHECK(memcmp(text, "hello", 5) == 0);
    CHECK_EQUAL(weft_write(pair.server, "world", 5, WEFT_FOREVER), 5);
    CHECK_EQUAL(weft_read(pair.client, text, sizeof text, WEFT_FOREVER), 5);
    CHECK(memcmp(text, "world", 5) == 0);
    disconnect(&pair);
}

struct echo {
    int fd;
    uint64_t bytes;
};

static int echo_back(void *arg)
{
    struct echo *echo = arg;
    char buffer[777];
    ssize_t count;
    while ((count = weft_read(echo->fd, buffer, sizeof buffer, WEFT_FOREVER)) > 0) {
        echo->bytes += (uint64_t)count;
        int err = weft_write_all(echo->fd, buffer, (size_t)count, WEFT_FOREVER, NULL);
        if (err < 0)
            return err;
    }
    return (int)count;
}

struct sender {
    int fd;
    const unsigned char *data;
    size_t len;
};

static int send_all(void *arg)
{
    struct sender *sender = arg;
    size_t written = 0;
    int err = weft_write_all(sender->fd, sender->data, sender->len, WEFT_FOREVER, &written);
    CHECK_EQUAL(written, sender->len);
    CHECK_EQUAL(shutdown(sender->fd, SHUT_WR), 0);
    return err;
}

REAL_TIME_FIBER_TEST(a_large_stream_survives_backpressure_both_ways)
{
    enum {
        LEN = 3 << 20
    };
    struct pair pair = connected();
    struct echo echo = {.fd = pair.server};
    unsigned char *data = malloc(LEN);
    REQUIRE(data);
    for (size_t i = 0; i < LEN; i++)
        data[i] = (unsigned char)(i * 7 + i / 251);
    struct sender sender = {pair.client, data, LEN};
    struct weft_group group;
    CHECK_EQUAL(weft_group_init(&group, NULL), 0);
    CHECK_EQUAL(weft_spawn(&group, echo_back, &echo), 0);
    CHECK_EQUAL(weft_spawn(&group, send_all, &sender), 0);
    size_t at = 0;
    unsigned char buffer[4096];
    while (at < LEN) {
        ssize_t count = weft_read(pair.client, buffer, sizeof buffer, WEFT_FOREVER);
        REQUIRE(count > 0);
        REQUIRE(memcmp(buffer, data + at, (size_t)count) == 0);
        at += (size_t)count;
    }
    CHECK_EQUAL(weft_group_wait(&group), 0);
    CHECK_EQUAL(echo.bytes, LEN);
    free(data);
    disconnect(&pair);
}

FIBER_TEST(many_short_messages_each_way_on_one_connection)
{
    struct pair pair = connected();
    struct echo echo = {.fd = pair.server};
    struct weft_group group;
    CHECK_EQUAL(weft_group_init(&group, NULL), 0);
    CHECK_EQUAL(weft_spawn(&group, echo_back, &echo), 0);
    for (int i = 0; i < 1000; i++) {
        int back = -1;
        REQUIRE(weft_write(pair.client, &i, sizeof i, WEFT_FOREVER) == sizeof i);
        REQUIRE(weft_read(pair.client, &back, sizeof back, WEFT_FOREVER) == sizeof back);
        REQUIRE(back == i);
    }
    CHECK_EQUAL(shutdown(pair.client, SHUT_WR), 0);
    CHECK_EQUAL(weft_group_wait(&group), 0);
    disconnect(&pair);
}

FIBER_TEST(the_end_of_the_stream_is_seen_after_a_short_read)
{
    struct pair pair = connected();
    char buffer[64];
    for (int i = 0; i < 3; i++) { /* make the descriptor known, and drained */
        CHECK_EQUAL(weft_read(pair.server, buffer, sizeof buffer, weft_now() + 10), -ETIMEDOUT);
        CHECK_EQUAL(weft_write(pair.client, "x", 1, WEFT_FOREVER), 1);
        CHECK_EQUAL(weft_read(pair.server, buffer, sizeof buffer, WEFT_FOREVER), 1);
    }
    /* Data and end arrive together, then the end alone. */
    CHECK_EQUAL(weft_write(pair.client, "y", 1, WEFT_FOREVER), 1);
    CHECK_EQUAL(shutdown(pair.client, SHUT_WR), 0);
    CHECK_EQUAL(weft_read(pair.server, buffer, sizeof buffer, WEFT_FOREVER), 1);
    CHECK_EQUAL(weft_read(pair.server, buffer, sizeof buffer, WEFT_FOREVER), 0);
    CHECK_EQUAL(weft_write(pair.server, "z", 1, WEFT_FOREVER), 1);
    CHECK_EQUAL(weft_read(pair.client, buffer, sizeof buffer, WEFT_FOREVER), 1);
    CHECK_EQUAL(shutdown(pair.server, SHUT_WR), 0);
    CHECK_EQUAL(weft_read(pair.client, buffer, sizeof buffer, WEFT_FOREVER), 0);
    disconnect(&pair);
}

FIBER_TEST(reads_end_at_their_deadline_and_by_cancel_without_losing_data)
{
    struct pair pair = connected();
    struct weft_scope scope;
    char buffer[8];
    int64_t start = weft_now();
    CHECK_EQUAL(weft_read(pair.server, buffer, sizeof buffer, WEFT_NOWAIT), -EAGAIN);
    CHECK_EQUAL(weft_read(pair.server, buffer, sizeof buffer, start + 50), -ETIMEDOUT);
    CHECK_EQUAL(weft_now() - start, 50);
    weft_scope_enter(&scope, weft_now() + 10, 0);
    CHECK_EQUAL(weft_read(pair.server, buffer, sizeof buffer, WEFT_FOREVER), -ECANCELED);
    CHECK_EQUAL(weft_write(pair.client, "later", 5, WEFT_FOREVER), -ECANCELED);
    CHECK_EQUAL(weft_tcp_accept(pair.listener, WEFT_FOREVER), -ECANCELED);
    CHECK_EQUAL(weft_tcp_connect("127.0.0.1", 1, WEFT_FOREVER), -ECANCELED);
    CHECK_EQUAL(weft_scope_leave(&scope, -ECANCELED), -ETIMEDOUT);
    CHECK_EQUAL(weft_write(pair.client, "data", 4, WEFT_FOREVER), 4);
    CHECK_EQUAL(weft_read(pair.server, buffer, sizeof buffer, WEFT_FOREVER), 4);
    disconnect(&pair);
}

static int read_one(void *arg)
{
    char byte;
    return (int)weft_read(*(int *)arg, &byte, 1, WEFT_FOREVER);
}

FIBER_TEST(closing_wakes_a_reader_with_ebadf)
{
    struct pair pair = connected();
    struct weft_group group;
    struct weft_task task;
    CHECK_EQUAL(weft_group_init(&group, &(struct weft_group_options){.policy = WEFT_SUPERVISE}), 0);
    CHECK_EQUAL(weft_spawn_task(&group, &task, read_one, &pair.server), 0);
    CHECK_EQUAL(weft_yield(), 0);
    CHECK_EQUAL(weft_close(pair.server), 0);
    CHECK_EQUAL(weft_group_wait(&group), -EBADF);
    CHECK_EQUAL(task.result, -EBADF);
    /* The peer learns of it too, at once: nothing holds the connection open. */
    char byte;
    CHECK_EQUAL(weft_read(pair.client, &byte, 1, weft_now() + WEFT_SEC), 0);
    CHECK_EQUAL(weft_close(pair.client), 0);
    CHECK_EQUAL(weft_close(pair.listener), 0);
}

FIBER_TEST(a_reused_descriptor_number_gets_no_stale_events)
{
    for (int i = 0; i < 50; i++) {
        struct pair pair = connected();
        char byte = 0;
        CHECK_EQUAL(weft_read(pair.server, &byte, 1, weft_now() + 1), -ETIMEDOUT);
        CHECK_EQUAL(weft_write(pair.client, "a", 1, WEFT_FOREVER), 1);
        disconnect(&pair); /* with an event under way */
    }
}

static int accept_one(void *arg)
{
    return weft_tcp_accept(*(int *)arg, WEFT_FOREVER);
}

FIBER_TEST(a_descriptor_closed_behind_our_back_does_not_spoil_its_successor)
{
    for (int i = 0; i < 5; i++) {
        struct pair pair = connected();
        char byte = 0;
        CHECK_EQUAL(weft_read(pair.server, &byte, 1, weft_now() + 1), -ETIMEDOUT);
        CHECK_EQUAL(weft_read(pair.client, &byte, 1, weft_now() + 1), -ETIMEDOUT);
        CHECK_EQUAL(close(pair.server), 0);
        CHECK_EQUAL(close(pair.client), 0);
        struct pair next = connected();
        CHECK_EQUAL(weft_read(next.server, &byte, 1, weft_now() + 1), -ETIMEDOUT);
        CHECK_EQUAL(weft_write(next.client, "a", 1, WEFT_FOREVER), 1);
        CHECK_EQUAL(weft_read(next.server, &byte, 1, weft_now() + 1), 1);
        disconnect(&next);
        CHECK_EQUAL(weft_close(pair.listener), 0);
    }
}

FIBER_TEST(several_fibers_may_wait_on_one_listener)
{
    struct weft_group group;
    struct weft_task tasks[3];
    int clients[3];
    int listener = weft_tcp_listen("127.0.0.1", 0, NULL);
    REQUIRE(listener >= 0);
    uint16_t port = (uint16_t)weft_tcp_port(listener);
    CHECK_EQUAL(weft_group_init(&group, NULL), 0);
    for (int i = 0; i < 3; i++)
        CHECK_EQUAL(weft_spawn_task(&group, &tasks[i], accept_one, &listener), 0);
    CHECK_EQUAL(weft_yield(), 0);
    for (int i = 0; i < 3; i++)
        clients[i] = weft_tcp_connect("127.0.0.1", port, WEFT_FOREVER);
    CHECK_EQUAL(weft_group_wait(&group), 0);
    for (int i = 0; i < 3; i++) {
        CHECK_EQUAL(weft_close(tasks[i].result), 0);
        CHECK_EQUAL(weft_close(clients[i]), 0);
    }
    CHECK_EQUAL(weft_close(listener), 0);
}

struct reader {
    int fd;
    struct weft_scope *victim; /* cancelled before the read returns, if set */
    int close_fd;              /* closed after the read, if not 0 */
    ssize_t result;
};

static int read_then_act(void *arg)
{
    struct reader *reader = arg;
    char byte;
    reader->result = weft_read(reader->fd, &byte, 1, WEFT_FOREVER);
    if (reader->victim)
        weft_scope_cancel(reader->victim, 0);
    if (reader->close_fd)
        CHECK_EQUAL(weft_close(reader->close_fd), 0);
    return 0;
}

FIBER_TEST(a_cancel_is_not_lost_on_a_reader_that_was_just_woken)
{
    struct pair pair = connected();
    struct weft_group group, victims;
    CHECK_EQUAL(weft_group_init(&group, NULL), 0);
    CHECK_EQUAL(weft_group_init(&victims, NULL), 0);
    struct reader first = {.fd = pair.server, .victim = &victims.scope},
                  second = {.fd = pair.server};
    CHECK_EQUAL(weft_spawn(&group, read_then_act, &first), 0);
    CHECK_EQUAL(weft_spawn(&victims, read_then_act, &second), 0);
    CHECK_EQUAL(weft_yield(), 0);
    CHECK_EQUAL(weft_write(pair.client, "x", 1, WEFT_FOREVER), 1);
    CHECK_EQUAL(weft_group_wait(&group), 0);
    CHECK_EQUAL(weft_group_wait(&victims), 0); /* both were woken, one got the byte */
    CHECK_EQUAL(first.result, 1);
    CHECK_EQUAL(second.result, -ECANCELED);
    disconnect(&pair);
}

FIBER_TEST(a_reader_that_was_just_woken_does_not_read_from_the_number_s_next_owner)
{
    struct pair pair = connected();
    struct weft_group group;
    CHECK_EQUAL(weft_group_init(&group, NULL), 0);
    struct reader first = {.fd = pair.server, .close_fd = pair.server},
                  second = {.fd = pair.server};
    CHECK_EQUAL(weft_spawn(&group, read_then_act, &first), 0);
    CHECK_EQUAL(weft_spawn(&group, read_then_act, &second), 0);
    CHECK_EQUAL(weft_yield(), 0);
    CHECK_EQUAL(weft_write(pair.client, "xy", 2, WEFT_FOREVER), 2);
    CHECK_EQUAL(weft_group_wait(&group), 0);
    CHECK_EQUAL(first.result, 1);
    CHECK_EQUAL(second.result, -EBADF);
    CHECK_EQUAL(weft_close(pair.client), 0);
    CHECK_EQUAL(weft_close(pair.listener), 0);
}

FIBER_TEST(polling_without_waiting_sees_what_is_there)
{
    struct pair pair = connected();
    char buffer[8];
    CHECK_EQUAL(weft_read(pair.server, buffer, sizeof buffer, weft_now() + 1), -ETIMEDOUT);
    CHECK_EQUAL(weft_write(pair.client, "a", 1, WEFT_FOREVER), 1);
    CHECK_EQUAL(weft_read(pair.server, buffer, sizeof buffer, WEFT_FOREVER), 1); /* drained now */
    CHECK_EQUAL(weft_write(pair.client, "b", 1, WEFT_FOREVER), 1);
    CHECK_EQUAL(weft_wait_fd(pair.server, WEFT_READABLE, WEFT_NOWAIT), 0);
    CHECK_EQUAL(weft_read(pair.server, buffer, sizeof buffer, WEFT_NOWAIT), 1);
    CHECK_EQUAL(weft_read(pair.server, buffer, sizeof buffer, WEFT_NOWAIT), -EAGAIN);
    disconnect(&pair);
}

static int listen_and_wait(void *arg)
{
    int *listener = arg;
    *listener = weft_tcp_listen("127.0.0.1", 0, NULL);
    REQUIRE(*listener >= 0);
    CHECK_EQUAL(weft_tcp_accept(*listener, weft_now() + 1), -ETIMEDOUT);
    return 0;
}

/* Descriptors that there are not cost nothing: the table does not grow for them. */
FIBER_TEST(a_descriptor_that_is_not_there_takes_no_memory)
{
    const struct iovec piece = {(char[1]){0}, 1};
    const int fds[] = {-1, 100000, INT_MAX - 1, INT_MAX};
    const struct weft_fd_table *table = &weft_current_worker->fds;
    size_t before = table->chunks_len;
    for (size_t i = 0; i < sizeof fds / sizeof fds[0]; i++) {
        char byte = 0;
        CHECK_EQUAL(weft_read(fds[i], &byte, 1, WEFT_FOREVER), -EBADF);
        CHECK_EQUAL(weft_write(fds[i], &byte, 1, WEFT_FOREVER), -EBADF);
        CHECK_EQUAL(weft_read_all(fds[i], &byte, 1, WEFT_FOREVER, NULL), -EBADF);
        CHECK_EQUAL(weft_write_all(fds[i], &byte, 1, WEFT_FOREVER, NULL), -EBADF);
        CHECK_EQUAL(weft_readv(fds[i], &piece, 1, WEFT_FOREVER), -EBADF);
        CHECK_EQUAL(weft_writev_all(fds[i], &piece, 1, WEFT_FOREVER, NULL), -EBADF);
        CHECK_EQUAL(weft_wait_fd(fds[i], WEFT_READABLE, WEFT_FOREVER), -EBADF);
        CHECK_EQUAL(weft_fd_adopt(fds[i]), -EBADF);
        CHECK_EQUAL(weft_fd_release(fds[i]), -EBADF);
        CHECK_EQUAL(weft_close(fds[i]), -EBADF);
        struct weft_case c = weft_case_fd(fds[i], WEFT_READABLE);
        CHECK_EQUAL(weft_select(&c, 1, WEFT_FOREVER, 0), 0);
        CHECK_EQUAL(c.result, -EBADF);
    }
    CHECK_EQUAL(table->chunks_len, before);
}

TEST(nothing_holds_a_descriptor_after_the_runtime_has_ended)
{
    for (int i = 0; i < 20; i++) {
        struct weft_run_options options = {.clock = WEFT_CLOCK_VIRTUAL};
        int listener = -1;
        CHECK_EQUAL(weft_run(&options, listen_and_wait, &listener), 0);
        uint16_t port = (uint16_t)weft_tcp_port(listener);
        CHECK_EQUAL(close(listener), 0);
        int again = weft_tcp_listen("127.0.0.1", port, NULL);
        CHECK(again >= 0);
        (void)close(again);
    }
}

REAL_TIME_FIBER_TEST(data_that_came_in_time_wins_over_the_deadline_that_passed_since)
{
    struct pair pair = connected();
    char byte;
    CHECK_EQUAL(weft_read(pair.server, &byte, 1, weft_now() + 1), -ETIMEDOUT);
    struct weft_group group;
    struct reader reader = {.fd = pair.server};
    CHECK_EQUAL(weft_group_init(&group, &(struct weft_group_options){.deadline_ns = weft_now() +
                                                                                    5 * WEFT_MSEC}),
                0);
    CHECK_EQUAL(weft_spawn(&group, read_then_act, &reader), 0);
    CHECK_EQUAL(weft_yield(), 0);
    CHECK_EQUAL(weft_write(pair.client, "x", 1, WEFT_FOREVER), 1);
    int64_t busy_until_ns = weft_now() + 8 * WEFT_MSEC;
    while (weft_now() < busy_until_ns)
        ;
    CHECK_EQUAL(weft_group_wait(&group), 0);
    CHECK_EQUAL(reader.result, 1);
    disconnect(&pair);
}

FIBER_TEST(names_are_looked_up)
{
    int listener = weft_tcp_listen("127.0.0.1", 0, NULL);
    uint16_t port = (uint16_t)weft_tcp_port(listener);
    CHECK_EQUAL(weft_tcp_connect("localhost", port, WEFT_NOWAIT), -EAGAIN);
    int client = weft_tcp_connect("localhost", port, WEFT_FOREVER);
    if (client == -EADDRNOTAVAIL || client == -EAGAIN)
        test_skip("this machine does not know the name localhost");
    else
        CHECK_EQUAL(weft_close(client), 0);
    CHECK_EQUAL(weft_close(listener), 0);
}

FIBER_TEST(connecting_to_nobody_is_refused)
{
    int listener = weft_tcp_listen("127.0.0.1", 0, NULL);
    int port = weft_tcp_port(listener);
    CHECK_EQUAL(weft_close(listener), 0);
    CHECK_EQUAL(weft_tcp_connect("127.0.0.1", (uint16_t)port, WEFT_FOREVER), -ECONNREFUSED);
}

FIBER_TEST(listening_twice_or_nowhere_is_refused)
{
    int listener = weft_tcp_listen("127.0.0.1", 0, NULL);
    uint16_t port = (uint16_t)weft_tcp_port(listener);
    CHECK_EQUAL(weft_tcp_listen("127.0.0.1", port, NULL), -EADDRINUSE);
    CHECK_EQUAL(weft_tcp_listen("localhost", port, NULL), -EINVAL);
    CHECK_EQUAL(weft_tcp_listen("", 0, NULL), -EINVAL);
    CHECK_EQUAL(weft_close(listener), 0);
}

FIBER_TEST(pipes_and_their_hang_up_work_too)
{
    int ends[2];
    char buffer[8];
    REQUIRE(pipe2(ends, O_NONBLOCK | O_CLOEXEC) == 0);
    CHECK_EQUAL(weft_read(ends[0], buffer, sizeof buffer, weft_now() + 5), -ETIMEDOUT);
    CHECK_EQUAL(weft_write(ends[1], "pipe", 4, WEFT_FOREVER), 4);
    CHECK_EQUAL(weft_wait_fd(ends[0], WEFT_READABLE, WEFT_FOREVER), 0);
    CHECK_EQUAL(weft_wait_fd(ends[0], WEFT_READABLE, WEFT_FOREVER), 0); /* a level, not an edge */
    CHECK_EQUAL(weft_read(ends[0], buffer, sizeof buffer, WEFT_FOREVER), 4);
    CHECK_EQUAL(weft_wait_fd(ends[0], WEFT_READABLE, WEFT_NOWAIT), -EAGAIN);
    CHECK_EQUAL(weft_wait_fd(ends[0], 0, WEFT_NOWAIT), -EINVAL);
    CHECK_EQUAL(weft_wait_fd(ends[0], WEFT_READABLE | WEFT_HANGUP, WEFT_NOWAIT), -EINVAL);
    CHECK_EQUAL(weft_wait_fd(ends[0], WEFT_HANGUP, weft_now() + 5), -ETIMEDOUT);
    CHECK_EQUAL(weft_close(ends[1]), 0);
    CHECK_EQUAL(weft_wait_fd(ends[0], WEFT_HANGUP, WEFT_FOREVER), 0);
    CHECK_EQUAL(weft_read(ends[0], buffer, sizeof buffer, WEFT_FOREVER), 0);
    CHECK_EQUAL(weft_close(ends[0]), 0);
}

static int shut_down(void *arg)
{
    const int *fd = arg;
    CHECK_EQUAL(weft_yield(), 0);
    return shutdown(*fd, SHUT_WR) < 0 ? -errno : 0;
}

FIBER_TEST(a_hang_up_is_seen_behind_bytes_that_nobody_has_read)
{
    struct pair pair = connected();
    struct weft_group group;
    char buffer[8];
    CHECK_EQUAL(weft_write(pair.client, "unread", 6, WEFT_FOREVER), 6);
    CHECK_EQUAL(weft_wait_fd(pair.server, WEFT_READABLE, WEFT_FOREVER), 0);
    CHECK_EQUAL(weft_wait_fd(pair.server, WEFT_HANGUP, WEFT_NOWAIT), -EAGAIN);
    CHECK_EQUAL(weft_wait_fd(pair.server, WEFT_HANGUP, weft_now() + WEFT_SEC), -ETIMEDOUT);
    CHECK_EQUAL(weft_group_init(&group, NULL), 0);
    CHECK_EQUAL(weft_spawn(&group, shut_down, &pair.client), 0);
    CHECK_EQUAL(weft_wait_fd(pair.server, WEFT_HANGUP, WEFT_FOREVER), 0);
    CHECK_EQUAL(weft_wait_fd(pair.server, WEFT_HANGUP, WEFT_NOWAIT), 0); /* and stays so */
    CHECK_EQUAL(weft_read(pair.server, buffer, sizeof buffer, WEFT_FOREVER), 6);
    CHECK_EQUAL(weft_read(pair.server, buffer, sizeof buffer, WEFT_FOREVER), 0);
    CHECK_EQUAL(weft_group_wait(&group), 0);
    disconnect(&pair);
}

/* Bytes that come meanwhile wake nobody who waits for the end. */
static int write_and_shut_down(void *arg)
{
    struct pair *pair = arg;
    for (int i = 0; i < 10; i++) {
        CHECK_EQUAL(weft_write(pair->client, "x", 1, WEFT_FOREVER), 1);
        CHECK_EQUAL(weft_sleep(WEFT_SEC), 0);
    }
    return shutdown(pair->client, SHUT_WR) < 0 ? -errno : 0;
}

FIBER_TEST(a_hang_up_is_a_case)
{
    struct pair pair = connected();
    struct weft_group group;
    struct weft_case c = weft_case_fd(pair.server, WEFT_HANGUP);
    CHECK_EQUAL(weft_group_init(&group, NULL), 0);
    CHECK_EQUAL(weft_select(&c, 1, WEFT_NOWAIT, 0), -EAGAIN);
    int64_t began_ns = weft_now();
    CHECK_EQUAL(weft_spawn(&group, write_and_shut_down, &pair), 0);
    CHECK_EQUAL(weft_select(&c, 1, WEFT_FOREVER, 0), 0);
    CHECK_EQUAL(c.result, 0);
    CHECK_EQUAL(weft_now() - began_ns, 10 * WEFT_SEC);
    CHECK_EQUAL(weft_select(&c, 1, WEFT_FOREVER, 0), 0); /* a level */
    CHECK_EQUAL(weft_group_wait(&group), 0);
    disconnect(&pair);
}

static int await_hang_up(void *arg)
{
    const int *fd = arg;
    return weft_wait_fd(*fd, WEFT_HANGUP, WEFT_FOREVER);
}

FIBER_TEST(waiting_for_a_hang_up_ends_with_the_descriptor_and_with_a_cancellation)
{
    struct pair pair = connected();
    struct weft_group group;
    struct weft_task cancelled, closed;
    CHECK_EQUAL(weft_group_init(&group, NULL), 0);
    CHECK_EQUAL(weft_spawn_task(&group, &cancelled, await_hang_up, &pair.client), 0);
    CHECK_EQUAL(weft_yield(), 0);
    weft_group_cancel(&group, 0);
    CHECK_EQUAL(weft_group_wait(&group), 0);
    CHECK_EQUAL(cancelled.result, -ECANCELED);
    CHECK_EQUAL(weft_group_init(&group, &(struct weft_group_options){.policy = WEFT_SUPERVISE}), 0);
    CHECK_EQUAL(weft_spawn_task(&group, &closed, await_hang_up, &pair.server), 0);
    CHECK_EQUAL(weft_yield(), 0);
    CHECK_EQUAL(weft_close(pair.server), 0);
    CHECK_EQUAL(weft_group_wait(&group), -EBADF);
    CHECK_EQUAL(closed.result, -EBADF);
    CHECK_EQUAL(weft_wait_fd(pair.client, WEFT_HANGUP, WEFT_FOREVER), 0);
    CHECK_EQUAL(weft_close(pair.client), 0);
    CHECK_EQUAL(weft_close(pair.listener), 0);
}

FIBER_TEST(bad_descriptors_say_so)
{
    char byte = 0;
    CHECK_EQUAL(weft_read(-1, &byte, 1, WEFT_FOREVER), -EBADF);
    CHECK_EQUAL(weft_write(9999, &byte, 1, WEFT_FOREVER), -EBADF);
    CHECK_EQUAL(weft_wait_fd(9999, WEFT_READABLE, WEFT_FOREVER), -EBADF);
    CHECK_EQUAL(weft_close(-1), -EBADF);
}

FIBER_TEST(descriptors_with_high_numbers_are_like_others)
{
    int fds[2], high[2];
    CHECK_EQUAL(weft_pipe(fds), 0);
    high[0] = fcntl(fds[0], F_DUPFD_CLOEXEC, 900); /* and in between is nothing */
    high[1] = fcntl(fds[1], F_DUPFD_CLOEXEC, 600);
    REQUIRE(high[0] >= 900 && high[1] >= 600);
    char byte;
    CHECK_EQUAL(weft_read(high[0], &byte, 1, weft_now() + 1), -ETIMEDOUT);
    CHECK_EQUAL(weft_wait_fd(high[1], WEFT_WRITABLE, WEFT_FOREVER), 0);
    CHECK_EQUAL(weft_write(high[1], "x", 1, WEFT_FOREVER), 1);
    CHECK_EQUAL(weft_read(high[0], &byte, 1, WEFT_FOREVER), 1);
    for (int i = 0; i < 2; i++) {
        CHECK_EQUAL(weft_close(fds[i]), 0);
        CHECK_EQUAL(weft_close(high[i]), 0);
    }
}

static int read_a_byte(void *arg)
{
    char byte;
    return (int)weft_read(*(int *)arg, &byte, 1, WEFT_FOREVER) == 1 ? 0 : -EIO;
}

FIBER_TEST(a_poll_that_the_kernel_ends_is_begun_again)
{
    int fds[2];
    struct weft_group group;
    if (strcmp(weft_io_name(), "io_uring") != 0) {
        test_skip("only io_uring ends polls");
        return;
    }
    CHECK_EQUAL(weft_pipe(fds), 0);
    CHECK_EQUAL(weft_group_init(&group, NULL), 0);
    CHECK_EQUAL(weft_spawn(&group, read_a_byte, &fds[0]), 0);
    CHECK_EQUAL(weft_yield(), 0);
    struct weft_fd_table *table = &weft_current_worker->fds;
    const struct weft_fd *entry = weft_fd_entry(table, fds[0]);
    REQUIRE(entry);
    const struct weft_ready lost = {
        .fd = fds[0], .generation = entry->generation, .events = WEFT_READY_LOST};
    weft_fd_event(table, &lost);
    CHECK(!entry->watched);
    CHECK_EQUAL(weft_yield(), 0);
    CHECK(entry->watched);
    CHECK_EQUAL(weft_write(fds[1], "x", 1, WEFT_FOREVER), 1);
    CHECK_EQUAL(weft_group_wait(&group), 0);
    CHECK_EQUAL(weft_close(fds[0]), 0);
    CHECK_EQUAL(weft_close(fds[1]), 0);
}

static int drain_to_the_end(void *arg)
{
    static char bytes[65536];
    ssize_t count;
    while ((count = weft_read(*(int *)arg, bytes, sizeof bytes, WEFT_FOREVER)) > 0)
        ;
    return (int)count;
}

FIBER_TEST(pieces_larger_than_what_fits_go_out_whole)
{
    static char large[1 << 20];
    const struct iovec pieces[] = {{large, 10}, {large, sizeof large}, {large, sizeof large}};
    int fds[2];
    size_t written = 0;
    struct weft_group group;
    CHECK_EQUAL(weft_socketpair(SOCK_STREAM, fds), 0);
    CHECK_EQUAL(weft_group_init(&group, NULL), 0);
    CHECK_EQUAL(weft_spawn(&group, drain_to_the_end, &fds[1]), 0);
    CHECK_EQUAL(weft_writev_all(fds[0], pieces, 3, WEFT_FOREVER, &written), 0);
    CHECK_EQUAL(written, 10 + 2 * sizeof large);
    CHECK_EQUAL(weft_close(fds[0]), 0);
    CHECK_EQUAL(weft_group_wait(&group), 0);
    CHECK_EQUAL(weft_close(fds[1]), 0);
}

FIBER_TEST(what_is_drained_can_be_waited_for)
{
    struct pair pair = connected();
    char bytes[16];
    CHECK_EQUAL(weft_read(pair.server, bytes, 1, weft_now() + 1), -ETIMEDOUT);
    CHECK_EQUAL(weft_write(pair.client, "weft", 4, WEFT_FOREVER), 4);
    CHECK_EQUAL(weft_wait_fd(pair.server, WEFT_READABLE, WEFT_FOREVER), 0);
    CHECK_EQUAL(weft_read(pair.server, bytes, sizeof bytes, WEFT_FOREVER), 4);
    int64_t deadline_ns = weft_now() + 10;
    int err;
    do
        err = weft_wait_fd(pair.server, WEFT_READABLE, deadline_ns); /* perhaps without need */
    while (err == 0);
    CHECK_EQUAL(err, -ETIMEDOUT);
    CHECK_EQUAL(weft_wait_fd(pair.server, 0, WEFT_FOREVER), -EINVAL);
    disconnect(&pair);
}

FIBER_TEST(room_to_write_can_be_waited_for)
{
    static const char bytes[65536];
    int fds[2];
    CHECK_EQUAL(weft_pipe(fds), 0);
    CHECK_EQUAL(weft_wait_fd(fds[1], WEFT_WRITABLE, WEFT_FOREVER), 0);
    while (weft_write(fds[1], bytes, sizeof bytes, WEFT_NOWAIT) > 0)
        ;
    CHECK_EQUAL(weft_wait_fd(fds[1], WEFT_WRITABLE, weft_now() + 10), -ETIMEDOUT);
    CHECK_EQUAL(weft_close(fds[0]), 0);
    CHECK_EQUAL(weft_close(fds[1]), 0);
}

/* ---- watchers: who reads and writes itself ----------------------------------------------- */

struct told {
    struct weft_fd_watcher watcher;
    unsigned events, times;
};

static void note_events(struct weft_fd_watcher *watcher, unsigned events)
{
    struct told *told = weft_container_of(watcher, struct told, watcher);
    told->events |= events;
    told->times++;
}

/* What was told since the last time, once it holds what is expected. */
static unsigned await_events(struct told *told, unsigned expected)
{
    weft_current_worker->fd_waiters++;
    for (int i = 0; i < 1000 && (told->events & expected) != expected; i++)
        CHECK_EQUAL(weft_sleep(WEFT_MSEC), 0);
    weft_current_worker->fd_waiters--;
    unsigned events = told->events;
    told->events = 0;
    return events;
}

FIBER_TEST(a_watcher_is_told_of_the_level_and_then_of_every_edge)
{
    int fds[2];
    struct told told = {.watcher.ready = note_events};
    REQUIRE(weft_socketpair(SOCK_STREAM, fds) == 0);
    CHECK(weft_fd_watcher_of(weft_current_worker, fds[0]) == NULL);
    CHECK_EQUAL(weft_write(fds[1], "1", 1, WEFT_FOREVER), 1);
    REQUIRE(weft_fd_watch_by(weft_current_worker, fds[0], &told.watcher) == 0);
    CHECK(weft_fd_watcher_of(weft_current_worker, fds[0]) == &told.watcher);
    CHECK_EQUAL(await_events(&told, WEFT_READY_READ | WEFT_READY_WRITE),
                WEFT_READY_READ | WEFT_READY_WRITE);
    CHECK_EQUAL(weft_write(fds[1], "2", 1, WEFT_FOREVER), 1);
    CHECK(await_events(&told, WEFT_READY_READ) & WEFT_READY_READ);
    CHECK_EQUAL(shutdown(fds[1], SHUT_WR), 0);
    CHECK(await_events(&told, WEFT_READY_HANGUP) & WEFT_READY_HANGUP);
    CHECK_EQUAL(weft_close(fds[0]), 0);
    CHECK_EQUAL(weft_close(fds[1]), 0);
}

FIBER_TEST(a_watcher_of_a_closed_descriptor_is_told_nothing)
{
    int fds[2];
    struct told told = {.watcher.ready = note_events};
    CHECK_EQUAL(weft_fd_watch_by(weft_current_worker, 999999, &told.watcher), -EBADF);
    CHECK(weft_fd_watcher_of(weft_current_worker, 999999) == NULL);
    REQUIRE(weft_socketpair(SOCK_STREAM, fds) == 0);
    REQUIRE(weft_fd_watch_by(weft_current_worker, fds[0], &told.watcher) == 0);
    (void)await_events(&told, WEFT_READY_WRITE);
    CHECK_EQUAL(weft_write(fds[1], "1", 1, WEFT_FOREVER), 1);
    CHECK_EQUAL(weft_close(fds[0]), 0);
    CHECK(weft_fd_watcher_of(weft_current_worker, fds[0]) == NULL);
    unsigned times = told.times;
    CHECK_EQUAL(weft_sleep(WEFT_SEC), 0);
    CHECK_EQUAL(told.times, times);
    CHECK_EQUAL(weft_close(fds[1]), 0);
}

FIBER_TEST(a_watcher_hears_that_the_poller_has_stopped_and_can_watch_again)
{
    int fds[2];
    struct told told = {.watcher.ready = note_events};
    struct weft_worker *worker = weft_current_worker;
    REQUIRE(weft_socketpair(SOCK_STREAM, fds) == 0);
    REQUIRE(weft_fd_watch_by(worker, fds[0], &told.watcher) == 0);
    (void)await_events(&told, WEFT_READY_WRITE);
    CHECK_EQUAL(weft_write(fds[1], "1", 1, WEFT_FOREVER), 1);
    CHECK(await_events(&told, WEFT_READY_READ) & WEFT_READY_READ);
    /* As io_uring does when it ends a poll by itself. */
    struct weft_fd *entry = weft_fd_entry(&worker->fds, fds[0]);
    worker->poller_ops->unwatch(worker->poller, fds[0], entry->generation);
    const struct weft_ready lost = {
        .fd = fds[0], .generation = entry->generation, .events = WEFT_READY_LOST};
    weft_fd_event(&worker->fds, &lost);
    CHECK_EQUAL(await_events(&told, WEFT_READY_LOST), WEFT_READY_LOST);
    CHECK(!entry->watched);
    REQUIRE(weft_fd_watch_by(worker, fds[0], &told.watcher) == 0);
    CHECK(await_events(&told, WEFT_READY_READ) & WEFT_READY_READ);
    CHECK_EQUAL(weft_close(fds[0]), 0);
    CHECK_EQUAL(weft_close(fds[1]), 0);
}
