/* SPDX-License-Identifier: MIT
 * io.c - what connections, files and threads cost. */
#include "bench.h"

#include <weft/file.h>
#include <weft/group.h>
#include <weft/io.h>
#include <weft/net.h>
#include <weft/offload.h>
#include <weft/process.h>
#include <weft/runtime.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

struct accepting {
    int listener;
    uint64_t left;
};

static int accept_all(void *arg)
{
    struct accepting *accepting = arg;
    while (accepting->left-- > 0) {
        int fd = weft_tcp_accept(accepting->listener, WEFT_FOREVER);
        BENCH_REQUIRE(fd >= 0);
        BENCH_REQUIRE(weft_close(fd) == 0);
    }
    return 0;
}

/* A socket closed with a reset leaves no port in TIME_WAIT behind. */
static void close_at_once(int fd)
{
    struct linger reset = {1, 0};
    BENCH_REQUIRE(setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset) == 0);
    BENCH_REQUIRE(weft_close(fd) == 0);
}

/* One op is one connection: connect, accept, close both ends, one after the other. */
BENCH(connection, "connections")
{
    struct accepting accepting = {weft_tcp_listen("127.0.0.1", 0, NULL), bench->ops};
    struct weft_group group;
    BENCH_REQUIRE(accepting.listener >= 0);
    uint16_t port = (uint16_t)weft_tcp_port(accepting.listener);
    BENCH_REQUIRE(weft_group_init(&group, NULL) == 0);
    BENCH_REQUIRE(weft_spawn(&group, accept_all, &accepting) == 0);
    for (uint64_t i = 0; i < bench->ops; i++) {
        int fd = weft_tcp_connect("127.0.0.1", port, WEFT_FOREVER);
        BENCH_REQUIRE(fd >= 0);
        close_at_once(fd);
    }
    BENCH_REQUIRE(weft_group_wait(&group) == 0);
    BENCH_REQUIRE(weft_close(accepting.listener) == 0);
}

/* One op is one connection of a burst of 64 that lie ready when the acceptor looks. */
BENCH(connection_burst, "connections")
{
    enum {
        BURST = 64
    };
    int listener = weft_tcp_listen("127.0.0.1", 0, NULL), clients[BURST];
    BENCH_REQUIRE(listener >= 0);
    uint16_t port = (uint16_t)weft_tcp_port(listener);
    for (uint64_t done = 0; done < bench->ops; done += BURST) {
        for (int i = 0; i < BURST; i++) {
            clients[i] = weft_tcp_connect("127.0.0.1", port, WEFT_FOREVER);
            BENCH_REQUIRE(clients[i] >= 0);
        }
        struct accepting accepting = {listener, BURST};
        (void)accept_all(&accepting);
        for (int i = 0; i < BURST; i++)
            close_at_once(clients[i]);
    }
    BENCH_REQUIRE(weft_close(listener) == 0);
}

static int open_scratch(void)
{
    char path[64];
    (void)snprintf(path, sizeof path, "/tmp/weft-bench-%d", (int)getpid());
    int fd = weft_file_open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    BENCH_REQUIRE(fd >= 0 && weft_file_unlink(path) == 0);
    return fd;
}

static char block[4096];

/* One op is a read of 4 KiB that lie in memory. */
BENCH(file_read_warm, "reads")
{
    int fd = open_scratch();
    BENCH_REQUIRE(weft_file_write_all(fd, block, sizeof block, 0, NULL) == 0);
    for (uint64_t i = 0; i < bench->ops; i++)
        BENCH_REQUIRE(weft_file_read(fd, block, sizeof block, 0) == sizeof block);
    BENCH_REQUIRE(weft_close(fd) == 0);
}

/* One op is a write of 4 KiB into memory, by the ring or by a thread. */
BENCH(file_write, "writes")
{
    int fd = open_scratch();
    for (uint64_t i = 0; i < bench->ops; i++)
        BENCH_REQUIRE(weft_file_write(fd, block, sizeof block, 0) == sizeof block);
    BENCH_REQUIRE(weft_close(fd) == 0);
}

static int do_nothing(void *arg)
{
    (void)arg;
    return 0;
}

/* One op is an empty call on a thread, and back. */
BENCH(offload, "calls")
{
    for (uint64_t i = 0; i < bench->ops; i++)
        BENCH_REQUIRE(weft_offload(do_nothing, NULL) == 0);
}

/* One op is a process, from start to the end of its group. */
BENCH(process, "processes")
{
    static const char *const command[] = {"/bin/true", NULL};
    struct weft_process_status status;
    for (uint64_t i = 0; i < bench->ops; i++)
        BENCH_REQUIRE(weft_process_run(command, NULL, WEFT_FOREVER, &status) == 0);
}
