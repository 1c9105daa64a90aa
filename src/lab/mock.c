/* SPDX-License-Identifier: MIT
 * mock.c - opens a mock, runs it on one worker or several, ends it. See weft/mock.h. */
#include <lab/mock_internal.h>

#include <base/hash.h>
#include <weft/group.h>
#include <weft/io.h>
#include <weft/net.h>
#include <weft/runtime.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- opening and closing ----------------------------------------------------------------- */

static void make_routes(struct weft_mock *mock)
{
    unsigned first = 0;
    for (unsigned i = 0; i < weft_mock_rows_count; i++) {
        const struct weft_mock_row *row = &weft_mock_rows[i];
        if (strcmp(row->pattern, weft_mock_rows[first].pattern) != 0)
            first = i;
        mock->counted_as[i] = first;
        mock->keys[i] = weft_hash(row->pattern, strlen(row->pattern));
        mock->routes[i] = (struct weft_http_route){
            .method = row->method,
            .pattern = row->pattern,
            .handler = weft_mock_handle,
            .body_bytes_max = row->body_bytes_max,
        };
    }
}

static void make_noise(struct weft_mock *mock)
{
    struct weft_random random;
    weft_random_seed(&random, mock->seed);
    for (size_t i = 0; i < WEFT_MOCK_BLOCK_BYTES; i += sizeof(uint64_t)) {
        uint64_t number = weft_random_next(&random);
        memcpy(mock->block + i, &number, sizeof number);
    }
}

static int make_parts(struct weft_mock *mock)
{
    size_t bytes = weft_mock_rows_count * sizeof *mock->counters;
    mock->counters = aligned_alloc(_Alignof(struct weft_mock_counters), bytes);
    mock->workers = calloc(mock->workers_count, sizeof *mock->workers);
    mock->block = malloc(WEFT_MOCK_BLOCK_BYTES);
    if (!mock->counters || !mock->workers || !mock->block)
        return -ENOMEM;
    memset(mock->counters, 0, bytes);
    for (unsigned i = 0; i < mock->workers_count; i++)
        mock->workers[i].mock = mock;
    make_routes(mock);
    make_noise(mock);
    int err = weft_mock_limit_init(&mock->limit);
    return err ? err : weft_event_init(&mock->drain, WEFT_SHARED);
}

/* Whether nobody else has the port. Servers that share one would share it with another mock's as
 * well, and each get some of the requests. */
static int find_port_free(const struct weft_mock *mock)
{
    const struct weft_http_server_options *options = &mock->server_options;
    if (!options->reuse_port || options->port == 0)
        return 0;
    int fd = weft_tcp_listen(options->address, options->port, NULL);
    return fd < 0 ? fd : weft_close(fd);
}

/* The first server takes the port, which may be any that is free; the others share it. */
static int listen_first(struct weft_mock *mock)
{
    char address[WEFT_LISTEN_TEXT_MAX];
    int err = find_port_free(mock);
    if (!err)
        err = weft_http_server_open(&mock->workers[0].server, &mock->server_options);
    if (err)
        return err;
    mock->server_options.port = weft_http_server_port(mock->workers[0].server);
    weft_listen_address_format(&mock->listen, mock->server_options.port, address);
    (void)snprintf(mock->url, sizeof mock->url, "http://%s", address);
    return 0;
}

int weft_mock_open(struct weft_mock **ret_mock, const struct weft_mock_options *options,
                   char *ret_error, size_t error_bytes)
{
    struct weft_mock *mock = calloc(1, sizeof *mock);
    if (!mock)
        return -ENOMEM;
    (void)pthread_mutex_init(&mock->bomb_lock, NULL);
    if (error_bytes > 0)
        ret_error[0] = '\0';
    mock->started_ns = weft_now();
    int err = weft_mock_settings(mock, options, ret_error, error_bytes);
    if (!err)
        err = make_parts(mock);
    if (!err)
        err = listen_first(mock);
    if (err) {
        if (error_bytes > 0 && !ret_error[0])
            (void)snprintf(ret_error, error_bytes, "cannot listen on %s port %u: %s",
                           mock->listen.host, (unsigned)mock->listen.port, weft_strerror(err));
        weft_mock_close(mock);
        return err;
    }
    *ret_mock = mock;
    return 0;
}

void weft_mock_close(struct weft_mock *mock)
{
    if (!mock)
        return;
    for (unsigned i = 0; mock->workers && i < mock->workers_count; i++)
        weft_http_server_close(mock->workers[i].server);
    weft_mock_limit_deinit(&mock->limit);
    weft_mock_bomb_free(mock->bomb);
    (void)pthread_mutex_destroy(&mock->bomb_lock);
    free(mock->counters);
    free(mock->workers);
    free(mock->block);
    free(mock);
}

const char *weft_mock_url(const struct weft_mock *mock)
{
    return mock->url;
}

uint16_t weft_mock_port(const struct weft_mock *mock)
{
    return mock->server_options.port;
}

/* ---- running ----------------------------------------------------------------------------- */

static int drain_when_told(void *arg)
{
    struct weft_mock_worker *worker = arg;
    int err = weft_event_wait(&worker->mock->drain, WEFT_FOREVER);
    if (!err)
        weft_http_server_drain(worker->server);
    return err;
}

/* Serve, with one beside that waits for the drain. */
static int serve(struct weft_mock_worker *worker)
{
    struct weft_group beside;
    int err = weft_group_init(&beside, NULL);
    if (!err)
        err = weft_spawn(&beside, drain_when_told, worker);
    if (err)
        return err;
    (void)weft_started(0);
    err = weft_http_server_run(worker->server);
    weft_group_close(&beside);
    return err;
}

static int worker_main(void *arg)
{
    struct weft_mock_worker *worker = arg;
    struct weft_http_server *server;
    if (!worker->server) {
        int err = weft_http_server_open(&server, &worker->mock->server_options);
        if (err)
            return err;
        __atomic_store_n(&worker->server, server, __ATOMIC_RELEASE);
    }
    return serve(worker);
}

static int start_workers(struct weft_mock *mock, struct weft_group *group)
{
    int here = weft_worker_index(), err = 0;
    unsigned count = weft_worker_count();
    if (mock->workers_count > count)
        return -EINVAL;
    for (unsigned i = 0; i < mock->workers_count && !err; i++) {
        const struct weft_spawn_options options = {
            .name = "mock",
            .worker = i == 0 ? WEFT_HERE : WEFT_WORKER((int)(((unsigned)here + i) % count)),
        };
        err = weft_spawn_started(group, worker_main, &mock->workers[i], &options, WEFT_FOREVER);
    }
    return err;
}

int weft_mock_run(struct weft_mock *mock)
{
    struct weft_group group;
    int err = weft_group_init(&group, &(struct weft_group_options){.name = "mock"});
    if (err)
        return err;
    err = start_workers(mock, &group);
    if (err)
        weft_group_cancel(&group, 0);
    else if (mock->ready)
        mock->ready(mock->context, mock);
    int result = weft_group_wait(&group);
    return err ? err : result;
}

void weft_mock_drain(struct weft_mock *mock)
{
    (void)weft_event_set(&mock->drain);
}
