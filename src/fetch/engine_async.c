/* SPDX-License-Identifier: MIT
 * engine_async.c - the engine of fibers: plain http by our own hands (engine_wire.h), all else by
 * http_client.h. Each worker has its own connections. */
#include <fetch/engine.h>
#include <fetch/engine_wire.h>

#include <weft/group.h>
#include <weft/runtime.h>

#include <errno.h>
#include <stdlib.h>

struct async {
    const struct weft_fetcher_options *options;
    struct weft_http_client *client;
    unsigned workers_len;
    struct weft_fetch_wire *wires[]; /* by worker; each made by its own */
};

static int open_engine(void **ret_engine, const struct weft_fetcher_options *options)
{
    unsigned workers_len = weft_worker_count();
    struct async *async = calloc(1, sizeof *async + workers_len * sizeof async->wires[0]);
    if (!async)
        return -ENOMEM;
    async->options = options;
    async->workers_len = workers_len;
    const struct weft_http_client_options client = {
        .connections_max = options->concurrency,
        .requests_max = options->concurrency, /* it never waits for its turn there */
        .waiting_max = options->concurrency,
        .connect_timeout_ns = options->connect_timeout_ns,
        .total_timeout_ns = options->attempt_timeout_ns,
        .response_bytes_max = options->response_bytes_max,
        .user_agent = options->user_agent,
        .http2 = options->http2 ? WEFT_HTTP2_TLS : WEFT_HTTP2_OFF,
        .no_reuse = options->pooling == WEFT_FETCH_NAIVE,
        .ca_file = options->ca_file,
        .tls_insecure = options->tls_insecure,
        .proxy = options->proxy,
        .proxy_of_environment = options->proxy_of_environment,
        .allow_address = options->refuse_private ? weft_http_address_is_public : NULL,
    };
    int err = weft_http_client_open(&async->client, &client);
    if (err) {
        free(async);
        return err;
    }
    *ret_engine = async;
    return 0;
}

/* ---- by http_client.h --------------------------------------------------------------------- */

static void take_response(struct weft_fetch_exchange *exchange, int err)
{
    struct weft_fetch_answer *answer = exchange->answer;
    struct weft_http_response *response = &answer->response;
    exchange->sent = response->phase >= WEFT_HTTP_AT_FIRST_BYTE;
    exchange->body_bytes = response->body_len;
    if (err)
        (void)weft_fetch_fail(answer, err,
                              response->error[0] ? response->error : weft_strerror(err));
}

static int by_client(struct async *async, struct weft_fetch_exchange *exchange)
{
    const struct weft_http_request request = {
        .url = exchange->url,
        .method = exchange->method,
        .fields = exchange->fields,
        .fields_count = exchange->fields_count,
        .body = exchange->body,
        .body_len = exchange->body_len,
        .response_bytes_max = exchange->body_max,
    };
    int err =
        weft_http_send(async->client, &request, &exchange->answer->response, exchange->deadline_ns);
    exchange->ended_ns = weft_now();
    take_response(exchange, err);
    return err;
}

/* ---- by our own hands --------------------------------------------------------------------- */

static int exchange_on(void *engine, struct weft_fetch_exchange *exchange)
{
    struct async *async = engine;
    if (!weft_fetch_wire_can(async->options, exchange))
        return by_client(async, exchange);
    struct weft_fetch_wire **wire = &async->wires[weft_worker_index()];
    if (!*wire) {
        int err = weft_fetch_wire_open(wire, async->options);
        if (err)
            return weft_fetch_fail(exchange->answer, err, weft_strerror(err));
    }
    return weft_fetch_wire_exchange(*wire, exchange);
}

/* ---- close -------------------------------------------------------------------------------- */

static int close_here(void *arg)
{
    struct async *async = arg;
    weft_fetch_wire_close(async->wires[weft_worker_index()]);
    return 0;
}

static int close_everywhere(void *arg)
{
    struct async *async = arg;
    struct weft_group group;
    int here = weft_worker_index();
    int err = weft_group_init(&group, &(struct weft_group_options){.policy = WEFT_SUPERVISE});
    for (unsigned i = 0; i < async->workers_len && err == 0; i++) {
        if (async->wires[i] && (int)i != here)
            (void)weft_spawn_with(&group, close_here, async,
                                  &(struct weft_spawn_options){.worker = WEFT_WORKER((int)i)});
    }
    if (err == 0)
        (void)weft_group_wait(&group);
    return close_here(async);
}

static void close_engine(void *engine)
{
    struct async *async = engine;
    (void)weft_shield(close_everywhere, async);
    weft_http_client_close(async->client);
    free(async);
}

const struct weft_fetch_engine_ops weft_fetch_async = {
    .open = open_engine,
    .exchange = exchange_on,
    .close = close_engine,
};
