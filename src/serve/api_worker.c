/* SPDX-License-Identifier: MIT
 * api_worker.c - /v1/workers: who works, and how they are. */
#include <serve/api.h>

#include <serve/admin_json.h>
#include <serve/api_body.h>
#include <serve/api_json.h>

#include <errno.h>
#include <stdlib.h>

#define LIST_MAX 1000
#define ALIVE_US ((int64_t)60 * 1000000) /* one that was not heard of for longer is not alive */

static void append_worker(struct weft_buffer *body, const struct weft_worker_info *worker,
                          int64_t now_us)
{
    weft_buffer_append_char(body, '{');
    weft_api_number(body, "number", (uint64_t)worker->number);
    weft_api_text(body, "name", worker->name);
    weft_api_text(body, "host", worker->host);
    weft_api_number(body, "pid", (uint64_t)worker->pid);
    weft_api_text(body, "version", worker->version);
    weft_api_text(body, "queues", worker->queues);
    weft_api_number(body, "concurrency", worker->concurrency);
    weft_api_number(body, "running", worker->running);
    weft_api_number(body, "done", worker->done);
    weft_api_time(body, "started_at", worker->started_us);
    weft_api_time(body, "seen_at", worker->seen_us);
    weft_api_time_if(body, "ended_at", worker->ended_us);
    weft_api_bool(body, "alive", !worker->ended_us && now_us - worker->seen_us <= ALIVE_US);
    weft_buffer_append_char(body, '}');
}

static void get_workers(struct weft_http_exchange *exchange, void *context)
{
    struct weft_api *api = context;
    struct weft_worker_info *workers = calloc(LIST_MAX, sizeof *workers);
    size_t count = 0;
    int err = workers ? api->broker->ops->workers(api->broker, workers, LIST_MAX, &count) : -ENOMEM;
    if (err) {
        free(workers);
        weft_api_refuse(api, exchange, err);
        return;
    }
    int64_t now_us = api->broker->ops->now_us(api->broker);
    struct weft_buffer body;
    weft_buffer_init(&body, WEFT_API_REPLY_MAX);
    weft_buffer_append_string(&body, "{\"workers\":[");
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            weft_buffer_append_char(&body, ',');
        append_worker(&body, &workers[i], now_us);
    }
    weft_buffer_append_string(&body, "]}");
    free(workers);
    weft_api_reply(exchange, &body);
}

static int parse_join(void *ret_worker, const char *body, size_t len,
                      struct weft_refusal *ret_refusal)
{
    return weft_worker_join_parse(ret_worker, body, len, ret_refusal);
}

static int parse_beat(void *ret_worker, const char *body, size_t len,
                      struct weft_refusal *ret_refusal)
{
    return weft_worker_beat_parse(ret_worker, body, len, ret_refusal);
}

static void post_worker(struct weft_http_exchange *exchange, void *context)
{
    struct weft_api *api = context;
    struct weft_worker_info worker;
    if (!weft_api_read_body(exchange, parse_join, &worker))
        return;
    int err = api->broker->ops->worker_join(api->broker, &worker);
    if (err) {
        weft_api_refuse(api, exchange, err);
        return;
    }
    struct weft_buffer body;
    weft_buffer_init(&body, WEFT_API_REPLY_MAX);
    weft_buffer_append_char(&body, '{');
    weft_api_number(&body, "number", (uint64_t)worker.number);
    weft_buffer_append_char(&body, '}');
    weft_api_reply_status(exchange, 201, &body);
}

static int64_t number_of(const struct weft_http_exchange *exchange)
{
    return strtoll(weft_http_param(exchange, "number"), NULL, 10);
}

static void reply_done(struct weft_api *api, struct weft_http_exchange *exchange, int err)
{
    if (err == -ENOENT)
        weft_http_reply_error(exchange, 404, "there is no worker of this number: join again");
    else if (err)
        weft_api_refuse(api, exchange, err);
    else
        weft_http_reply(exchange, 204, NULL, NULL, 0);
}

static void put_worker(struct weft_http_exchange *exchange, void *context)
{
    struct weft_api *api = context;
    struct weft_worker_info worker;
    if (!weft_api_read_body(exchange, parse_beat, &worker))
        return;
    worker.number = number_of(exchange);
    reply_done(api, exchange, api->broker->ops->worker_beat(api->broker, &worker));
}

static void delete_worker(struct weft_http_exchange *exchange, void *context)
{
    struct weft_api *api = context;
    reply_done(api, exchange, api->broker->ops->worker_leave(api->broker, number_of(exchange)));
}

const struct weft_api_route weft_api_worker_routes[] = {
    {{.method = "GET", .pattern = "/v1/workers", .handler = get_workers}, WEFT_MAY_READ, ""},
    {{.method = "POST", .pattern = "/v1/workers", .handler = post_worker}, WEFT_MAY_WORK, ""},
    {{.method = "PUT", .pattern = "/v1/workers/{number:int}", .handler = put_worker},
     WEFT_MAY_WORK,
     ""},
    {{.method = "DELETE", .pattern = "/v1/workers/{number:int}", .handler = delete_worker},
     WEFT_MAY_WORK,
     ""},
    {{0}},
};
