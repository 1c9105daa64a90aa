/* SPDX-License-Identifier: MIT
 * http.c - whole requests over loopback: server in one thread, load generator in another.
 *
 * Both share the machine's cores, so these are figures for the pair; for the server alone, drive it
 * with wrk on another core. */
#include "bench.h"

#include <weft/group.h>
#include <weft/http_server.h>
#include <weft/io.h>
#include <weft/load.h>
#include <weft/runtime.h>

#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <unistd.h>

struct hello_server {
    struct weft_http_server *server;
    sem_t ready;
    int stop[2]; /* a pipe: closing the writing end stops the server */
    uint16_t port;
    int err;
};

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

static void load_hello(struct bench *bench, unsigned connections)
{
    struct hello_server hello = {.port = 0};
    struct weft_load_result result;
    pthread_t thread;
    char url[64], error[128];
    BENCH_REQUIRE(sem_init(&hello.ready, 0, 0) == 0 &&
                  pipe2(hello.stop, O_NONBLOCK | O_CLOEXEC) == 0);
    BENCH_REQUIRE(pthread_create(&thread, NULL, hello_thread, &hello) == 0);
    BENCH_REQUIRE(sem_wait(&hello.ready) == 0 && hello.port != 0);
    (void)snprintf(url, sizeof url, "http://127.0.0.1:%u/hello", hello.port);
    struct weft_load_options options = {
        .url = url, .method = "GET", .connections = connections, .duration_ns = 2 * WEFT_SEC};
    BENCH_REQUIRE(weft_load(&options, &result, error, sizeof error) == 0);
    BENCH_REQUIRE(result.succeeded > 0 && result.succeeded == result.requests);
    (void)close(hello.stop[1]);
    BENCH_REQUIRE(pthread_join(thread, NULL) == 0 && hello.err == 0);
    (void)close(hello.stop[0]);
    bench->ops = result.succeeded;
    bench->elapsed_ns = result.elapsed_ns;
}

PLAIN_BENCH(http_hello_64, "requests")
{
    load_hello(bench, 64);
}

PLAIN_BENCH(http_hello_1000, "requests")
{
    load_hello(bench, 1000);
}
