/* SPDX-License-Identifier: MIT
 * enqueue.c - durable POST /process: the service in a child process, on a database of its own on
 * this file system, fsync on; the load generator here. Jobs run too, with steps of no length. */
#include "bench.h"

#include <weft/load.h>
#include <weft/serve.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void tell_address(void *context, const char *address)
{
    int fd = *(int *)context;
    ssize_t written = write(fd, address, strlen(address) + 1);
    (void)written;
}

static void drop_log(void *context, const char *line)
{
    (void)context, (void)line;
}

static _Noreturn void serve_child(const char *directory, int ready)
{
    static const int64_t steps[WEFT_SERVE_STEPS];
    char broker[128], error[256] = "";
    (void)snprintf(broker, sizeof broker, "sqlite:%s/bench.db", directory);
    struct weft_serve_options options = {.listen = "127.0.0.1:0",
                                         .broker = broker,
                                         .steps_ns = steps,
                                         .ready = tell_address,
                                         .ready_context = &ready,
                                         .log = drop_log};
    int err = weft_serve(&options, error, sizeof error);
    if (err < 0)
        (void)fprintf(stderr, "weft-bench: serve: %s\n", error);
    _exit(err < 0);
}

/* Starts the child and reads its address. */
static pid_t start_service(const char *directory, char *address, size_t address_bytes)
{
    int ends[2];
    BENCH_REQUIRE(pipe(ends) == 0);
    pid_t child = fork();
    BENCH_REQUIRE(child >= 0);
    if (child == 0) {
        (void)close(ends[0]);
        serve_child(directory, ends[1]);
    }
    (void)close(ends[1]);
    BENCH_REQUIRE(read(ends[0], address, address_bytes - 1) > 0);
    (void)close(ends[0]);
    return child;
}

static void remove_directory(const char *directory)
{
    static const char *const suffixes[] = {"", "-wal", "-shm", "-lock"};
    char path[160];
    for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++) {
        (void)snprintf(path, sizeof path, "%s/bench.db%s", directory, suffixes[i]);
        (void)unlink(path);
    }
    (void)rmdir(directory);
}

static void load_process(struct bench *bench, unsigned connections)
{
    char directory[] = "weft-bench-XXXXXX", address[64] = "", url[96], error[128];
    struct weft_load_result result;
    int status = -1;
    BENCH_REQUIRE(mkdtemp(directory));
    pid_t child = start_service(directory, address, sizeof address);
    (void)snprintf(url, sizeof url, "http://%s/process", address);
    struct weft_load_options options = {.url = url,
                                        .body = "{\"text\":\"job {i}\"}",
                                        .connections = connections,
                                        .duration_ns = 3 * WEFT_SEC};
    BENCH_REQUIRE(weft_load(&options, &result, error, sizeof error) == 0);
    BENCH_REQUIRE(result.total.succeeded > 0 && result.total.failed == 0);
    BENCH_REQUIRE(kill(child, SIGTERM) == 0 && waitpid(child, &status, 0) == child && status == 0);
    remove_directory(directory);
    bench->ops = result.total.succeeded;
    bench->elapsed_ns = result.elapsed_ns;
    weft_load_result_release(&result);
}

PLAIN_BENCH(enqueue_64, "requests")
{
    load_process(bench, 64);
}

PLAIN_BENCH(enqueue_1000, "requests")
{
    load_process(bench, 1000);
}
