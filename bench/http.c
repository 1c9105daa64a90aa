/* SPDX-License-Identifier: MIT
 * http.c - whole requests over loopback: server in one thread, load generator in another.
 *
 * Both share the machine's cores, so these are figures for the pair; for the server alone, drive it
 * with wrk on another core. */
#include "bench.h"
#include "hello_server.h"

#include <weft/load.h>

static void load_hello(struct bench *bench, unsigned connections)
{
    struct hello_server hello;
    struct weft_load_result result;
    char error[128];
    hello_server_open(&hello);
    struct weft_load_options options = {
        .url = hello.url, .method = "GET", .connections = connections, .duration_ns = 2 * WEFT_SEC};
    BENCH_REQUIRE(weft_load(&options, &result, error, sizeof error) == 0);
    BENCH_REQUIRE(result.total.succeeded > 0 && result.total.failed == 0);
    hello_server_close(&hello);
    bench->ops = result.total.succeeded;
    bench->elapsed_ns = result.elapsed_ns;
    weft_load_result_release(&result);
}

PLAIN_BENCH(http_hello_64, "requests")
{
    load_hello(bench, 64);
}

PLAIN_BENCH(http_hello_1000, "requests")
{
    load_hello(bench, 1000);
}
