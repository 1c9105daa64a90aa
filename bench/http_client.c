/* SPDX-License-Identifier: MIT
 * http_client.c - whole requests over loopback: weft's server in one thread, its client in another,
 * or in two, with a fiber for each connection that sends one request after the other.
 *
 * Both share the machine's cores, so these are figures for the pair. */
#include "bench.h"
#include "hello_server.h"

#include <weft/group.h>
#include <weft/http_client.h>
#include <weft/runtime.h>

#include <string.h>

#define DURATION_NS (2 * WEFT_SEC)

struct fetch {
    struct weft_http_client *client;
    const struct hello_server *hello;
    unsigned connections;
    int64_t begun_ns, ended_ns;
    uint64_t responses;
};

static int fetch_on(void *arg)
{
    struct fetch *fetch = arg;
    const struct weft_http_request request = {.url = fetch->hello->url};
    int64_t until_ns = fetch->begun_ns + DURATION_NS;
    while (weft_now() < until_ns) {
        struct weft_http_response response;
        int err = weft_http_send(fetch->client, &request, &response, WEFT_FOREVER);
        BENCH_REQUIRE(err == 0 && response.status == 200 && response.body_len == 6);
        weft_http_response_release(&response);
        (void)__atomic_fetch_add(&fetch->responses, 1, __ATOMIC_RELAXED);
    }
    return 0;
}

static int fetch_all(void *arg)
{
    struct fetch *fetch = arg;
    struct weft_group group;
    int err = weft_http_client_open(&fetch->client, NULL);
    if (err < 0)
        return err;
    fetch->begun_ns = weft_now();
    BENCH_REQUIRE(weft_group_init(&group, NULL) == 0);
    for (unsigned i = 0; i < fetch->connections; i++) {
        const struct weft_spawn_options spread = {.worker =
                                                      WEFT_WORKER((int)(i % weft_worker_count()))};
        BENCH_REQUIRE(weft_spawn_with(&group, fetch_on, fetch, &spread) == 0);
    }
    err = weft_group_wait(&group);
    fetch->ended_ns = weft_now();
    weft_http_client_close(fetch->client);
    return err;
}

static void fetch_hello(struct bench *bench, unsigned connections, unsigned workers)
{
    const struct weft_run_options options = {.workers = workers};
    struct hello_server hello;
    hello_server_open(&hello);
    struct fetch fetch = {.hello = &hello, .connections = connections};
    BENCH_REQUIRE(weft_run(&options, fetch_all, &fetch) == 0);
    hello_server_close(&hello);
    bench->ops = fetch.responses;
    bench->elapsed_ns = fetch.ended_ns - fetch.begun_ns;
}

PLAIN_BENCH(http_client_1, "requests")
{
    fetch_hello(bench, 1, 1);
}

PLAIN_BENCH(http_client_100, "requests")
{
    fetch_hello(bench, 100, 1);
}

PLAIN_BENCH(http_client_100_by_2, "requests")
{
    fetch_hello(bench, 100, 2);
}

PLAIN_BENCH(http_client_1000, "requests")
{
    fetch_hello(bench, 1000, 1);
}
