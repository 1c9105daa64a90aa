/* SPDX-License-Identifier: MIT
 * api_queue.c - /v1/queues: what waits in them, and what is allowed to run. */
#include <serve/api.h>

#include <serve/admin_json.h>
#include <serve/api_body.h>
#include <serve/api_json.h>

#include <weft/runtime.h>

#include <errno.h>
#include <stdlib.h>

static void append_settings(struct weft_buffer *body, const struct weft_queue_settings *settings)
{
    weft_api_bool(body, "paused", settings->paused);
    weft_api_number(body, "size_max",
                    settings->size_max ? settings->size_max : WEFT_QUEUE_SIZE_DEFAULT);
    weft_api_number(body, "running_max", settings->running_max);
    weft_api_number(body, "running_max_per_key", settings->running_max_per_key);
    weft_api_key(body, "rate");
    weft_buffer_append_json_double(body, settings->rate_per_s);
    weft_api_number(body, "burst", settings->burst);
}

static void append_queue(struct weft_buffer *body, const struct weft_queue_info *info,
                         int64_t now_us)
{
    weft_buffer_append_char(body, '{');
    weft_api_text(body, "name", info->name);
    append_settings(body, &info->settings);
    weft_api_counts(body, "jobs", info->jobs);
    weft_api_number(body, "waiting", weft_job_states_waiting(info->jobs));
    weft_api_seconds(body, "oldest_seconds",
                     info->oldest_us && info->oldest_us < now_us ? now_us - info->oldest_us : 0);
    weft_buffer_append_char(body, '}');
}

static void get_queues(struct weft_http_exchange *exchange, void *context)
{
    struct weft_api *api = context;
    struct weft_queue_info *queues = calloc(WEFT_QUEUES_MAX, sizeof *queues);
    size_t count = 0;
    int err =
        queues ? api->broker->ops->queues(api->broker, queues, WEFT_QUEUES_MAX, &count) : -ENOMEM;
    if (err) {
        free(queues);
        weft_api_refuse(api, exchange, err);
        return;
    }
    int64_t now_us = api->broker->ops->now_us(api->broker);
    struct weft_buffer body;
    weft_buffer_init(&body, WEFT_API_REPLY_MAX);
    weft_buffer_append_string(&body, "{\"queues\":[");
    for (size_t i = 0; i < count && i < WEFT_QUEUES_MAX; i++) {
        if (i > 0)
            weft_buffer_append_char(&body, ',');
        append_queue(&body, &queues[i], now_us);
    }
    weft_buffer_append_string(&body, "]}");
    free(queues);
    weft_api_reply(exchange, &body);
}

static void reply_queue(struct weft_http_exchange *exchange, struct weft_api *api, const char *name)
{
    struct weft_queue_info info;
    int err = api->broker->ops->queue_find(api->broker, name, &info);
    if (err == -ENOENT)
        weft_http_reply_error(exchange, 404, "there is no queue of this name");
    else if (err)
        weft_api_refuse(api, exchange, err);
    if (err)
        return;
    struct weft_buffer body;
    weft_buffer_init(&body, WEFT_API_REPLY_MAX);
    append_queue(&body, &info, api->broker->ops->now_us(api->broker));
    weft_api_reply(exchange, &body);
}

static void get_queue(struct weft_http_exchange *exchange, void *context)
{
    reply_queue(exchange, context, weft_http_param(exchange, "queue"));
}

static int parse_change(void *ret_change, const char *body, size_t len,
                        struct weft_refusal *ret_refusal)
{
    return weft_queue_change_parse(ret_change, body, len, ret_refusal);
}

/* Change what was asked for, and leave the rest as it is. */
static int change_queue(struct weft_api *api, const char *name,
                        const struct weft_queue_change *change,
                        struct weft_queue_settings *ret_settings)
{
    struct weft_queue_info info = {0};
    int err = api->broker->ops->queue_find(api->broker, name, &info);
    if (err && err != -ENOENT)
        return err;
    weft_queue_change_apply(change, &info.settings);
    *ret_settings = info.settings;
    return api->broker->ops->queue_set(api->broker, name, &info.settings);
}

/* What holds from now on, for the audit log: in our words, as a body can be long for no reason. */
static void audit_change(struct weft_http_exchange *exchange, struct weft_api *api,
                         const char *name, const struct weft_queue_settings *settings)
{
    struct weft_buffer detail;
    weft_buffer_init(&detail, WEFT_API_REPLY_MAX);
    weft_buffer_append_char(&detail, '{');
    append_settings(&detail, settings);
    weft_buffer_append(&detail, "}", 2);
    weft_api_audit(api, exchange, "queue_set", name, detail.err ? NULL : detail.data);
    weft_buffer_deinit(&detail);
}

static void patch_queue(struct weft_http_exchange *exchange, void *context)
{
    struct weft_api *api = context;
    const char *name = weft_http_param(exchange, "queue");
    struct weft_queue_change change;
    struct weft_queue_settings settings;
    if (!weft_job_name_is_valid(name)) {
        weft_http_reply_error(exchange, 422, "this cannot be the name of a queue");
        return;
    }
    if (!weft_api_read_body(exchange, parse_change, &change))
        return;
    int err = weft_mutex_lock(&api->settings_turn, WEFT_FOREVER);
    if (!err) {
        err = change_queue(api, name, &change, &settings);
        (void)weft_mutex_unlock(&api->settings_turn);
    }
    if (err) {
        weft_api_refuse(api, exchange, err);
        return;
    }
    weft_api_note_store(api, 0);
    audit_change(exchange, api, name, &settings);
    reply_queue(exchange, api, name);
}

const struct weft_api_route weft_api_queue_routes[] = {
    {{.method = "GET", .pattern = "/v1/queues", .handler = get_queues}, WEFT_MAY_READ, ""},
    {{.method = "GET", .pattern = "/v1/queues/{queue}", .handler = get_queue}, WEFT_MAY_READ, ""},
    {{.method = "PATCH", .pattern = "/v1/queues/{queue}", .handler = patch_queue},
     WEFT_MAY_ADMIN,
     ""},
    {{0}},
};
