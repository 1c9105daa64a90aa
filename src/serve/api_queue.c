/* SPDX-License-Identifier: MIT
 * api_queue.c - /v1/queues, /v1/workers, /v1/stats, /v1/audit: what there is, and how it is doing.
 */
#include <serve/api.h>

#include <serve/api_body.h>
#include <serve/api_json.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LIST_MAX     1000
#define ALIVE_US     ((int64_t)60 * 1000000) /* a worker not heard of for longer is not alive */
#define RUNNING_LAST UINT32_MAX
#define RATE_MAX     1e9

/* --- queues --- */

static uint64_t waiting_of(const struct weft_queue_info *info)
{
    return info->jobs[WEFT_JOB_SCHEDULED] + info->jobs[WEFT_JOB_AVAILABLE] +
           info->jobs[WEFT_JOB_RETRYABLE] + info->jobs[WEFT_JOB_BLOCKED];
}

static void append_queue(struct weft_buffer *body, const struct weft_queue_info *info,
                         int64_t now_us)
{
    const struct weft_queue_settings *settings = &info->settings;
    weft_buffer_append_char(body, '{');
    weft_api_text(body, "name", info->name);
    weft_api_bool(body, "paused", settings->paused);
    weft_api_number(body, "size_max",
                    settings->size_max ? settings->size_max : WEFT_QUEUE_SIZE_DEFAULT);
    weft_api_number(body, "running_max", settings->running_max);
    weft_api_number(body, "running_max_per_key", settings->running_max_per_key);
    weft_api_key(body, "rate");
    weft_buffer_append_json_double(body, settings->rate_per_s);
    weft_api_number(body, "burst", settings->burst);
    weft_api_key(body, "jobs");
    weft_buffer_append_char(body, '{');
    for (int state = WEFT_JOB_SCHEDULED; state < WEFT_JOB_STATES; state++)
        weft_api_number(body, weft_job_state_name((enum weft_job_state)state), info->jobs[state]);
    weft_buffer_append_char(body, '}');
    weft_api_number(body, "waiting", waiting_of(info));
    weft_api_seconds(body, "oldest_seconds",
                     info->oldest_us && info->oldest_us < now_us ? now_us - info->oldest_us : 0);
    weft_buffer_append_char(body, '}');
}

static void get_queues(struct weft_http_exchange *exchange, void *context)
{
    struct weft_api *api = context;
    if (!weft_api_check_query(exchange, ""))
        return;
    struct weft_queue_info *queues = calloc(WEFT_QUEUES_MAX, sizeof *queues);
    size_t count = 0;
    int err =
        queues ? api->broker->ops->queues(api->broker, queues, WEFT_QUEUES_MAX, &count) : -ENOMEM;
    if (err) {
        free(queues);
        weft_api_refuse_job(exchange, err);
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
        weft_api_refuse_job(exchange, err);
    if (err)
        return;
    struct weft_buffer body;
    weft_buffer_init(&body, WEFT_API_REPLY_MAX);
    append_queue(&body, &info, api->broker->ops->now_us(api->broker));
    weft_api_reply(exchange, &body);
}

static void get_queue(struct weft_http_exchange *exchange, void *context)
{
    if (weft_api_check_query(exchange, ""))
        reply_queue(exchange, context, weft_http_param(exchange, "queue"));
}

static bool read_settings(struct weft_http_exchange *exchange, struct weft_queue_settings *settings)
{
    json_t *root = weft_api_body(exchange);
    if (!root)
        return false;
    struct weft_api_fault fault = {{0}};
    uint64_t running = settings->running_max, per_key = settings->running_max_per_key;
    uint64_t burst = settings->burst;
    weft_api_only(&fault, root, "paused size_max running_max running_max_per_key rate burst");
    weft_api_get_bool(&fault, root, "paused", &settings->paused);
    weft_api_get_count(&fault, root, "size_max", &settings->size_max, WEFT_QUEUE_SIZE_MAX);
    weft_api_get_count(&fault, root, "running_max", &running, RUNNING_LAST);
    weft_api_get_count(&fault, root, "running_max_per_key", &per_key, RUNNING_LAST);
    weft_api_get_number(&fault, root, "rate", &settings->rate_per_s, RATE_MAX);
    weft_api_get_count(&fault, root, "burst", &burst, RUNNING_LAST);
    settings->running_max = (uint32_t)running;
    settings->running_max_per_key = (uint32_t)per_key;
    settings->burst = (uint32_t)burst;
    json_decref(root);
    return weft_api_is_valid(exchange, &fault);
}

/* What is changed, for the audit log: the body as it came, on one line. */
static void audit_settings(struct weft_http_exchange *exchange, struct weft_api *api,
                           const char *name)
{
    char detail[256];
    size_t len;
    const char *text = weft_http_body(exchange, &len);
    (void)snprintf(detail, sizeof detail, "%.*s", (int)(len < 250 ? len : 250), text);
    for (char *c = detail; *c; c++)
        if ((unsigned char)*c < ' ')
            *c = ' ';
    weft_api_audit(api, exchange, "queue_set", name, detail);
}

static void patch_queue(struct weft_http_exchange *exchange, void *context)
{
    struct weft_api *api = context;
    const char *name = weft_http_param(exchange, "queue");
    if (!weft_job_name_is_valid(name)) {
        weft_http_reply_error(exchange, 422, "this cannot be the name of a queue");
        return;
    }
    struct weft_queue_info info;
    int err = api->broker->ops->queue_find(api->broker, name, &info);
    struct weft_queue_settings settings = {0};
    if (!err)
        settings = info.settings;
    if (!read_settings(exchange, &settings))
        return;
    if (!err || err == -ENOENT)
        err = api->broker->ops->queue_set(api->broker, name, &settings);
    weft_api_note_store(api, err);
    if (err) {
        weft_api_refuse_job(exchange, err);
        return;
    }
    audit_settings(exchange, api, name);
    reply_queue(exchange, api, name);
}

/* --- workers --- */

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
    if (!weft_api_check_query(exchange, ""))
        return;
    struct weft_worker_info *workers = calloc(LIST_MAX, sizeof *workers);
    size_t count = 0;
    int err = workers ? api->broker->ops->workers(api->broker, workers, LIST_MAX, &count) : -ENOMEM;
    if (err) {
        free(workers);
        weft_api_refuse_job(exchange, err);
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

static void copy_text(char *to, size_t bytes, const char *from)
{
    (void)snprintf(to, bytes, "%s", from ? from : "");
}

static bool read_worker(struct weft_http_exchange *exchange, struct weft_worker_info *worker)
{
    json_t *root = weft_api_body(exchange);
    if (!root)
        return false;
    struct weft_api_fault fault = {{0}};
    const char *name = NULL, *host = NULL, *version = NULL, *queues = NULL;
    uint64_t pid = 0;
    weft_api_only(&fault, root, "name host pid version queues concurrency");
    weft_api_get_string(&fault, root, "name", &name, sizeof worker->name - 1);
    weft_api_get_string(&fault, root, "host", &host, sizeof worker->host - 1);
    weft_api_get_string(&fault, root, "version", &version, sizeof worker->version - 1);
    weft_api_get_string(&fault, root, "queues", &queues, sizeof worker->queues - 1);
    weft_api_get_count(&fault, root, "pid", &pid, INT32_MAX);
    weft_api_get_count(&fault, root, "concurrency", &worker->concurrency, UINT32_MAX);
    if (!fault.detail[0] && (!name || !weft_job_name_is_valid(name)))
        weft_api_fault(&fault, "the field \"name\" must be a name: letters, digits, . _ : -");
    copy_text(worker->name, sizeof worker->name, name);
    copy_text(worker->host, sizeof worker->host, host);
    copy_text(worker->version, sizeof worker->version, version);
    copy_text(worker->queues, sizeof worker->queues, queues);
    worker->pid = (int64_t)pid;
    json_decref(root);
    return weft_api_is_valid(exchange, &fault);
}

static void post_worker(struct weft_http_exchange *exchange, void *context)
{
    struct weft_api *api = context;
    struct weft_worker_info worker = {0};
    if (!read_worker(exchange, &worker))
        return;
    int err = api->broker->ops->worker_join(api->broker, &worker);
    if (err) {
        weft_api_refuse_job(exchange, err);
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

static void reply_worker_done(struct weft_http_exchange *exchange, int err)
{
    if (err == -ENOENT)
        weft_http_reply_error(exchange, 404, "there is no worker of this number: join again");
    else if (err)
        weft_api_refuse_job(exchange, err);
    else
        weft_http_reply(exchange, 204, NULL, NULL, 0);
}

static void put_worker(struct weft_http_exchange *exchange, void *context)
{
    struct weft_api *api = context;
    struct weft_worker_info worker = {.number = number_of(exchange)};
    json_t *root = weft_api_body(exchange);
    if (!root)
        return;
    struct weft_api_fault fault = {{0}};
    weft_api_only(&fault, root, "running done concurrency");
    weft_api_get_count(&fault, root, "running", &worker.running, UINT32_MAX);
    weft_api_get_count(&fault, root, "done", &worker.done, INT64_MAX);
    weft_api_get_count(&fault, root, "concurrency", &worker.concurrency, UINT32_MAX);
    json_decref(root);
    if (weft_api_is_valid(exchange, &fault))
        reply_worker_done(exchange, api->broker->ops->worker_beat(api->broker, &worker));
}

static void delete_worker(struct weft_http_exchange *exchange, void *context)
{
    struct weft_api *api = context;
    reply_worker_done(exchange, api->broker->ops->worker_leave(api->broker, number_of(exchange)));
}

/* --- numbers --- */

static void get_stats(struct weft_http_exchange *exchange, void *context)
{
    struct weft_api *api = context;
    if (!weft_api_check_query(exchange, ""))
        return;
    struct weft_broker_stats stats;
    int err = api->broker->ops->stats(api->broker, &stats);
    if (err) {
        weft_api_refuse_job(exchange, err);
        return;
    }
    struct weft_engine_counts counts;
    weft_engine_counts(api->engine, &counts);
    uint64_t completed = stats.jobs[WEFT_JOB_COMPLETED];
    struct weft_buffer body;
    weft_buffer_init(&body, WEFT_API_REPLY_MAX);
    weft_buffer_append_string(&body, "{\"jobs\":{");
    for (int state = WEFT_JOB_SCHEDULED; state < WEFT_JOB_STATES; state++)
        weft_api_number(&body, weft_job_state_name((enum weft_job_state)state), stats.jobs[state]);
    weft_buffer_append_string(&body, "},\"processing_seconds\":{");
    weft_api_seconds(&body, "mean", completed ? stats.processing_sum_us / (int64_t)completed : 0);
    weft_api_seconds(&body, "min", stats.processing_min_us);
    weft_api_seconds(&body, "max", stats.processing_max_us);
    weft_buffer_append_string(&body, "},\"server\":{");
    weft_api_number(&body, "running", counts.running);
    weft_api_number(&body, "places", counts.places);
    weft_api_number(&body, "stuck", counts.stuck);
    weft_api_number(&body, "completed", counts.completed);
    weft_api_number(&body, "failed", counts.failed);
    weft_api_number(&body, "retried", counts.retried);
    weft_api_number(&body, "store_errors", counts.broker_errors);
    weft_api_number(&body, "operations", stats.operations);
    weft_api_number(&body, "commits", stats.commits);
    weft_buffer_append_char(&body, '}');
    weft_api_time(&body, "timestamp", api->broker->ops->now_us(api->broker));
    weft_buffer_append_char(&body, '}');
    weft_api_reply(exchange, &body);
}

static void get_audit(struct weft_http_exchange *exchange, void *context)
{
    struct weft_api *api = context;
    if (!weft_api_check_query(exchange, "limit"))
        return;
    uint64_t limit = 100;
    if (!weft_api_query_count(exchange, "limit", &limit, LIST_MAX))
        return;
    struct weft_audit_entry *entries = calloc(LIST_MAX, sizeof *entries);
    size_t count = 0;
    int err = entries ? api->broker->ops->audits(api->broker, entries, limit, &count) : -ENOMEM;
    if (err) {
        free(entries);
        weft_api_refuse_job(exchange, err);
        return;
    }
    struct weft_buffer body;
    weft_buffer_init(&body, WEFT_API_REPLY_MAX);
    weft_buffer_append_string(&body, "{\"entries\":[");
    for (size_t i = 0; i < count; i++) {
        weft_buffer_append_string(&body, i ? ",{" : "{");
        weft_api_time(&body, "at", entries[i].at_us);
        weft_api_text(&body, "who", entries[i].who);
        weft_api_text(&body, "action", entries[i].action);
        weft_api_text(&body, "target", entries[i].target);
        weft_api_text(&body, "detail", entries[i].detail);
        weft_buffer_append_char(&body, '}');
    }
    weft_buffer_append_string(&body, "]}");
    free(entries);
    weft_api_reply(exchange, &body);
}

const struct weft_api_route weft_api_queue_routes[] = {
    {{.method = "GET", .pattern = "/v1/queues", .handler = get_queues}, WEFT_MAY_READ},
    {{.method = "GET", .pattern = "/v1/queues/{queue}", .handler = get_queue}, WEFT_MAY_READ},
    {{.method = "PATCH", .pattern = "/v1/queues/{queue}", .handler = patch_queue}, WEFT_MAY_ADMIN},
    {{.method = "GET", .pattern = "/v1/workers", .handler = get_workers}, WEFT_MAY_READ},
    {{.method = "POST", .pattern = "/v1/workers", .handler = post_worker}, WEFT_MAY_WORK},
    {{.method = "PUT", .pattern = "/v1/workers/{number:int}", .handler = put_worker},
     WEFT_MAY_WORK},
    {{.method = "DELETE", .pattern = "/v1/workers/{number:int}", .handler = delete_worker},
     WEFT_MAY_WORK},
    {{.method = "GET", .pattern = "/v1/stats", .handler = get_stats}, WEFT_MAY_READ},
    {{.method = "GET", .pattern = "/v1/audit", .handler = get_audit}, WEFT_MAY_ADMIN},
    {{0}, 0},
};
