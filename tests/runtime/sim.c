/* SPDX-License-Identifier: MIT */
#include "test.h"

#include <weft/group.h>
#include <weft/io.h>
#include <weft/net.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define MESSAGES    50
#define CONNECTIONS 8

/* Clients send numbered messages, an echo server answers; what happens is written down. */
struct net {
    struct weft_group group;
    int listener;
    char path[32];
    int echoed, broken;
    uint64_t history; /* hash of who got what when */
};

static void note(struct net *net, uint64_t what)
{
    net->history = (net->history ^ what ^ (uint64_t)weft_now()) * 1099511628211u;
}

static int echo(void *arg)
{
    int fd = *(int *)arg;
    char bytes[64];
    ssize_t count;
    while ((count = weft_read(fd, bytes, sizeof bytes, WEFT_FOREVER)) > 0) {
        if (weft_write_all(fd, bytes, (size_t)count, WEFT_FOREVER, NULL) < 0)
            break;
    }
    CHECK(count == 0 || count == -ECONNRESET || count == -EPIPE || count > 0);
    (void)weft_close(fd);
    return 0;
}

static int serve(void *arg)
{
    struct net *net = arg;
    for (int i = 0; i < CONNECTIONS; i++) {
        int fd = weft_unix_accept(net->listener, WEFT_FOREVER);
        const struct weft_spawn_options options = {.copy_bytes = sizeof fd};
        if (fd < 0)
            return fd;
        CHECK_EQUAL(weft_spawn_with(&net->group, echo, &fd, &options), 0);
    }
    return 0;
}

static int ask(struct net *net, int fd, int number)
{
    char bytes[32] = "", answer[32];
    memcpy(bytes, &number, sizeof number);
    int err = weft_write_all(fd, bytes, sizeof bytes, WEFT_FOREVER, NULL);
    if (err == 0)
        err = weft_read_all(fd, answer, sizeof answer, WEFT_FOREVER, NULL);
    if (err == 0) {
        CHECK(memcmp(bytes, answer, sizeof bytes) == 0);
        note(net, (uint64_t)number);
    }
    return err;
}

static int talk(void *arg)
{
    struct net *net = arg;
    int fd = weft_unix_connect(net->path, WEFT_FOREVER), err = 0;
    REQUIRE(fd >= 0);
    for (int i = 0; i < MESSAGES && err == 0; i++) {
        err = ask(net, fd, i);
        net->echoed += err == 0;
    }
    if (err < 0) {
        net->broken++;
        CHECK(err == -ECONNRESET || err == -EPIPE || err == -ENODATA);
    }
    (void)weft_close(fd);
    return 0;
}

static int run_net(void *arg)
{
    struct net *net = arg;
    (void)snprintf(net->path, sizeof net->path, "@weft-sim-%d", (int)getpid());
    net->listener = weft_unix_listen(net->path, NULL);
    REQUIRE(net->listener >= 0);
    CHECK_EQUAL(weft_group_init(&net->group, NULL), 0);
    CHECK_EQUAL(weft_spawn(&net->group, serve, net), 0);
    for (int i = 0; i < CONNECTIONS; i++)
        CHECK_EQUAL(weft_spawn(&net->group, talk, net), 0);
    CHECK_EQUAL(weft_group_wait(&net->group), 0);
    return weft_close(net->listener);
}

static struct net simulate(uint64_t seed, const struct weft_faults *faults)
{
    struct net net = {.history = 14695981039346656037u};
    const struct weft_run_options options = {
        .clock = WEFT_CLOCK_VIRTUAL, .io = "sim", .seed = seed, .faults = faults};
    CHECK_EQUAL(weft_run(&options, run_net, &net), 0);
    return net;
}

/* $WEFT_SIM_RUNS seeds from $WEFT_SEED on; a failure names its seed, which brings it back alone. */
static uint64_t first_seed(void)
{
    const char *text = getenv("WEFT_SEED");
    return text ? strtoull(text, NULL, 0) : 1;
}

static uint64_t runs(void)
{
    const char *text = getenv("WEFT_SIM_RUNS");
    return text ? strtoull(text, NULL, 0) : 20;
}

TEST(late_and_partial_data_arrives_whole)
{
    for (uint64_t seed = first_seed(); seed < first_seed() + runs(); seed++) {
        struct net net = simulate(seed, NULL);
        if (net.echoed != MESSAGES * CONNECTIONS || net.broken != 0)
            test_note("replay with WEFT_SIM_RUNS=1 WEFT_SEED=%llu", (unsigned long long)seed);
        CHECK_EQUAL(net.echoed, MESSAGES * CONNECTIONS);
        CHECK_EQUAL(net.broken, 0);
    }
}

TEST(broken_connections_are_noticed_on_both_sides)
{
    const struct weft_faults faults = {
        .late = 500, .late_max_ns = 10 * WEFT_MSEC, .partial = 500, .reset = 5};
    int broken = 0;
    for (uint64_t seed = first_seed(); seed < first_seed() + runs(); seed++)
        broken += simulate(seed, &faults).broken;
    CHECK(broken > 0);
}

TEST(the_same_seed_gives_the_same_run)
{
    const struct weft_faults faults = {
        .late = 500, .late_max_ns = 10 * WEFT_MSEC, .partial = 500, .reset = 2};
    uint64_t seed = first_seed();
    struct net once = simulate(seed, &faults), again = simulate(seed, &faults);
    struct net other = simulate(seed + 1, &faults);
    CHECK(once.history == again.history && once.echoed == again.echoed);
    CHECK(once.history != other.history);
}

static int name_reactor(void *arg)
{
    (void)arg;
    return strcmp(weft_io_name(), "sim");
}

TEST(the_simulated_reactor_says_its_name)
{
    CHECK_EQUAL(weft_run(&(struct weft_run_options){.io = "sim"}, name_reactor, NULL), 0);
}

static int write_to_the_broken(void *arg)
{
    int fds[2];
    char byte = 'x';
    const struct iovec piece = {&byte, 1};
    (void)arg;
    CHECK_EQUAL(weft_socketpair(SOCK_STREAM, fds), 0);
    CHECK_EQUAL(weft_writev(fds[0], &piece, 1, WEFT_FOREVER), -ECONNRESET);
    CHECK_EQUAL(weft_close(fds[0]), 0);
    CHECK_EQUAL(weft_close(fds[1]), 0);
    CHECK_EQUAL(weft_socketpair(SOCK_DGRAM, fds), 0); /* no connection */
    CHECK_EQUAL(weft_read(fds[0], &byte, 1, weft_now() + WEFT_MSEC), -ETIMEDOUT);
    CHECK_EQUAL(weft_close(fds[0]), 0);
    CHECK_EQUAL(weft_close(fds[1]), 0);
    CHECK_EQUAL(weft_pipe(fds), 0); /* no network */
    CHECK_EQUAL(weft_writev(fds[1], &piece, 1, WEFT_FOREVER), 1);
    CHECK_EQUAL(weft_close(fds[0]), 0);
    CHECK_EQUAL(weft_close(fds[1]), 0);
    return 0;
}

TEST(every_way_to_write_meets_broken_connections)
{
    const struct weft_faults faults = {.reset = 1000, .late = 1000};
    CHECK_EQUAL(weft_run(&(struct weft_run_options){.io = "sim", .seed = 1, .faults = &faults},
                         write_to_the_broken, NULL),
                0);
}
