/* SPDX-License-Identifier: MIT
 * hello_server.c - see hello_server.h. */
#include "hello_server.h"
#include "bench.h"

#include <weft/group.h>
#include <weft/io.h>
#include <weft/runtime.h>

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

static void say_hello(struct weft_http_exchange *exchange, void *context)
{
    (void)context;
    weft_http_reply(exchange, 200, "text/plain", "hello\n", 6);
}

static const struct weft_http_route routes[] = {{"GET", "/hello", say_hello}};

static int drain_when_told(void *arg)
{
    struct hello_server *hello = arg;
    char byte;
    (void)weft_read(hello->stop[0], &byte, 1, WEFT_FOREVER);
    weft_http_server_drain(hello->server);
    return 0;
}

static int serve_hello(void *arg)
{
    struct hello_server *hello = arg;
    struct weft_http_server_options options = {.routes = routes, .routes_count = 1};
    struct weft_group group;
    int err = weft_http_server_open(&hello->server, &options);
    if (err < 0)
        return err;
    hello->port = weft_http_server_port(hello->server);
    (void)sem_post(&hello->ready);
    BENCH_REQUIRE(weft_group_init(&group, NULL) == 0);
    BENCH_REQUIRE(weft_spawn(&group, drain_when_told, hello) == 0);
    err = weft_http_server_run(hello->server);
    weft_group_close(&group);
    weft_http_server_close(hello->server);
    return err;
}

static void *hello_thread(void *arg)
{
    struct hello_server *hello = arg;
    hello->err = weft_run(NULL, serve_hello, hello);
    (void)sem_post(&hello->ready);
    return NULL;
}

void hello_server_open(struct hello_server *hello)
{
    *hello = (struct hello_server){.port = 0};
    BENCH_REQUIRE(sem_init(&hello->ready, 0, 0) == 0 &&
                  pipe2(hello->stop, O_NONBLOCK | O_CLOEXEC) == 0);
    BENCH_REQUIRE(pthread_create(&hello->thread, NULL, hello_thread, hello) == 0);
    BENCH_REQUIRE(sem_wait(&hello->ready) == 0 && hello->port != 0);
    (void)snprintf(hello->url, sizeof hello->url, "http://127.0.0.1:%u/hello", hello->port);
}

void hello_server_close(struct hello_server *hello)
{
    (void)close(hello->stop[1]);
    BENCH_REQUIRE(pthread_join(hello->thread, NULL) == 0 && hello->err == 0);
    (void)close(hello->stop[0]);
}
