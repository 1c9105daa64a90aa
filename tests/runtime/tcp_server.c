/* SPDX-License-Identifier: MIT */
#include "test.h"

#include <weft/group.h>
#include <weft/io.h>
#include <weft/net.h>

#include <errno.h>
#include <stdatomic.h>
#include <sys/resource.h>

#define CLIENTS 64

struct service {
    atomic_int served[8], open, most;
    unsigned connections_max;
};

static int echo(int fd, void *arg)
{
    struct service *service = arg;
    char bytes[16];
    ssize_t count;
    int open = atomic_fetch_add(&service->open, 1) + 1;
    if (open > atomic_load(&service->most))
        atomic_store(&service->most, open);
    atomic_fetch_add(&service->served[weft_worker_index()], 1);
    while ((count = weft_read(fd, bytes, sizeof bytes, WEFT_FOREVER)) > 0)
        CHECK_EQUAL(weft_write_all(fd, bytes, (size_t)count, WEFT_FOREVER, NULL), 0);
    atomic_fetch_sub(&service->open, 1);
    return 0;
}

static int serve(void *arg)
{
    struct service *service = arg;
    const struct weft_tcp_server_options options = {.connections_max = service->connections_max};
    return weft_tcp_serve("127.0.0.1", 0, &options, echo, service);
}

static int ask(void *arg)
{
    char bytes[4];
    int fd = weft_tcp_connect("127.0.0.1", (uint16_t) * (int *)arg, WEFT_FOREVER);
    REQUIRE(fd >= 0);
    CHECK_EQUAL(weft_write_all(fd, "ping", 4, WEFT_FOREVER, NULL), 0);
    CHECK_EQUAL(weft_read_all(fd, bytes, 4, WEFT_FOREVER, NULL), 0);
    return weft_close(fd);
}

static int ask_all(void *arg)
{
    struct service *service = arg;
    struct weft_group servers, clients;
    CHECK_EQUAL(weft_group_init(&servers, NULL), 0);
    int port = weft_spawn_started(&servers, serve, service, NULL, WEFT_FOREVER);
    REQUIRE(port > 0);
    CHECK_EQUAL(weft_group_init(&clients, NULL), 0);
    for (int i = 0; i < CLIENTS; i++) {
        const struct weft_spawn_options anywhere = {.worker = WEFT_ANY_WORKER};
        CHECK_EQUAL(weft_spawn_with(&clients, ask, &port, &anywhere), 0);
    }
    CHECK_EQUAL(weft_group_wait(&clients), 0);
    weft_group_cancel(&servers, 0);
    CHECK_EQUAL(weft_group_wait(&servers), 0);
    CHECK_EQUAL(service->open, 0);
    return 0;
}

TEST(connections_are_served_on_every_worker)
{
    struct service service = {.connections_max = 0};
    CHECK_EQUAL(weft_run(&(struct weft_run_options){.workers = 4}, ask_all, &service), 0);
    int served = 0, workers = 0;
    for (int i = 0; i < 4; i++) {
        served += service.served[i];
        workers += service.served[i] > 0;
    }
    CHECK_EQUAL(served, CLIENTS);
    CHECK(workers > 1); /* the kernel spreads by hash: 64 on one of four is out of the question */
}

TEST(no_more_connections_are_taken_than_allowed)
{
    struct service service = {.connections_max = 3};
    CHECK_EQUAL(weft_run(NULL, ask_all, &service), 0);
    CHECK(service.most <= 3);
}

static int cancel_busy_server(void *arg)
{
    struct service *service = arg;
    struct weft_group servers;
    char byte;
    CHECK_EQUAL(weft_group_init(&servers, NULL), 0);
    int port = weft_spawn_started(&servers, serve, service, NULL, WEFT_FOREVER);
    int fd = weft_tcp_connect("127.0.0.1", (uint16_t)port, WEFT_FOREVER);
    CHECK_EQUAL(weft_write_all(fd, "x", 1, WEFT_FOREVER, NULL), 0);
    CHECK_EQUAL(weft_read(fd, &byte, 1, WEFT_FOREVER), 1);
    weft_group_cancel(&servers, 0);
    CHECK_EQUAL(weft_group_wait(&servers), 0);
    CHECK_EQUAL(weft_read(fd, &byte, 1, WEFT_FOREVER), 0); /* closed by the server */
    CHECK_EQUAL(weft_close(fd), 0);
    CHECK_EQUAL(weft_tcp_connect("127.0.0.1", (uint16_t)port, WEFT_FOREVER), -ECONNREFUSED);
    return 0;
}

TEST(a_cancelled_server_closes_its_connections)
{
    struct service service = {.connections_max = 0};
    CHECK_EQUAL(weft_run(NULL, cancel_busy_server, &service), 0);
    CHECK_EQUAL(weft_run(&(struct weft_run_options){.workers = 3}, cancel_busy_server, &service),
                0);
}

FIBER_TEST(a_server_that_cannot_listen_says_so)
{
    struct service service = {.connections_max = 0};
    int fd = weft_tcp_listen("127.0.0.1", 0, NULL);
    CHECK_EQUAL(weft_tcp_serve("127.0.0.1", (uint16_t)weft_tcp_port(fd), NULL, echo, &service),
                -EADDRINUSE);
    CHECK_EQUAL(weft_tcp_serve("localhost", 0, NULL, echo, &service), -EINVAL);
    CHECK_EQUAL(weft_close(fd), 0);
}

TEST(a_server_needs_a_runtime)
{
    CHECK_EQUAL(weft_tcp_serve("127.0.0.1", 0, NULL, NULL, NULL), -EPERM);
}
