/* SPDX-License-Identifier: MIT
 * api.c - the handlers behind api.h. One fiber per connection runs them; they may suspend. */
#include <serve/api.h>

#include <base/buffer.h>
#include <job/json_scan.h>
#include <serve/log.h>

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define REPLY_BYTES_MAX ((size_t)8 << 20)
#define DEPTH_MAX       32 /* of brackets in a body; jansson recurses, and stacks are small */

static void reply_buffer(struct weft_http_exchange *exchange, struct weft_buffer *body)
{
    if (body->err)
        weft_http_reply_error(exchange, 500, weft_strerror(body->err));
    else
        weft_http_reply(exchange, 200, "application/json", body->data, body->len);
    weft_buffer_deinit(body);
}

static void reply_busy(struct weft_http_exchange *exchange, const char *retry_after_s,
                       const char *detail)
{
    weft_http_reply_header(exchange, "Retry-After", retry_after_s);
    weft_http_reply_error(exchange, 503, detail);
}

/* Start the next member of an object; the first one follows an opening bracket. */
static void append_key(struct weft_buffer *body, const char *key)
{
    if (body->len > 0 && body->data[body->len - 1] != '{')
        weft_buffer_append_char(body, ',');
    weft_buffer_append_char(body, '"');
    weft_buffer_append_string(body, key);
    weft_buffer_append(body, "\":", 2);
}

static void append_text(struct weft_buffer *body, const char *key, const char *value)
{
    append_key(body, key);
    weft_buffer_append_json_string(body, value, strlen(value));
}

static void append_raw(struct weft_buffer *body, const char *key, const char *raw, size_t len)
{
    append_key(body, key);
    weft_buffer_append_char(body, '"');
    weft_buffer_append(body, raw, len);
    weft_buffer_append_char(body, '"');
}

static void append_number(struct weft_buffer *body, const char *key, uint64_t value)
{
    append_key(body, key);
    weft_buffer_append_int(body, (int64_t)value);
}

static void append_seconds(struct weft_buffer *body, const char *key, int64_t us)
{
    append_key(body, key);
    weft_buffer_append_json_double(body, (double)us / 1e6);
}

static void append_time(struct weft_buffer *body, const char *key, int64_t unix_us)
{
    append_key(body, key);
    weft_buffer_append_char(body, '"');
    weft_buffer_append_time(body, unix_us);
    weft_buffer_append_char(body, '"');
}

static void append_id(struct weft_buffer *body, const char *key, const struct weft_uuid *id)
{
    char text[WEFT_UUID_TEXT_LEN + 1];
    weft_uuid_format(id, text);
    append_raw(body, key, text, WEFT_UUID_TEXT_LEN);
}

/* --- POST /process --- */

static bool is_json_type(const char *type)
{
    size_t len = strcspn(type, ";");
    while (len > 0 && (type[len - 1] == ' ' || type[len - 1] == '\t'))
        len--;
    return (len == 16 && strncasecmp(type, "application/json", 16) == 0) ||
           (len > 5 && strncasecmp(type + len - 5, "+json", 5) == 0);
}

/* Whether the head promises a body that can be read; answer when not. */
static bool check_type(struct weft_http_exchange *exchange)
{
    const char *type = weft_http_header(exchange, "Content-Type");
    if (type && !is_json_type(type)) {
        weft_http_reply_error(exchange, 415, "the body must be application/json");
        return false;
    }
    const char *encoding = weft_http_header(exchange, "Content-Encoding");
    if (encoding && strcasecmp(encoding, "identity") != 0) {
        weft_http_reply_error(exchange, 415, "the body must not be compressed");
        return false;
    }
    return true;
}

static void refuse_json(struct weft_http_exchange *exchange, const json_error_t *error)
{
    if (!error->text[0]) { /* what the library says when memory is out */
        reply_busy(exchange, "1", weft_strerror(-ENOMEM));
        return;
    }
    /* JSON all the same, but with a number that no double can hold. */
    bool overflow = json_error_code(error) == json_error_numeric_overflow;
    char detail[sizeof error->text + 64];
    (void)snprintf(detail, sizeof detail, "the body %s: %s",
                   overflow ? "cannot be read" : "is not JSON", error->text);
    weft_http_reply_error(exchange, 400, detail);
}

/* Check the body of a request; answer and return false when it is no good. */
static bool check_body(struct weft_http_exchange *exchange, const char *body, size_t len)
{
    if (len == 0) {
        weft_http_reply_error(exchange, 400, "the body is empty");
        return false;
    }
    if (weft_json_too_deep(body, len, DEPTH_MAX)) {
        weft_http_reply_error(exchange, 400, "the JSON is nested too deeply");
        return false;
    }
    json_error_t error = {0}; /* where the library leaves it unset */
    /* Integers may have any length: nobody here computes with them. */
    const size_t flags =
        JSON_DECODE_ANY | JSON_DECODE_INT_AS_REAL | JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES;
    json_t *root = json_loadb(body, len, flags, &error);
    if (!root) {
        refuse_json(exchange, &error);
        return false;
    }
    const json_t *text = json_object_get(root, "text");
    const char *fault = !json_is_object(root)   ? "the body must be a JSON object"
                        : !text                 ? "the field \"text\" is missing"
                        : !json_is_string(text) ? "the field \"text\" must be a string"
                                                : NULL;
    json_decref(root);
    if (fault)
        weft_http_reply_error(exchange, 422, fault);
    return !fault;
}

/* One line in the log when storing begins to fail, one when it works again. */
static void note_store(struct weft_api *api, int err)
{
    bool failing = err == -ENOSPC || err == -EIO || err == -EROFS || err == WEFT_ECORRUPT;
    if (err && !failing)
        return; /* says nothing about the disk */
    int now = failing ? err : 0;
    if (now == api->store_err)
        return;
    api->store_err = now;
    if (now)
        weft_serve_log(api->options, "error", "store_failing", weft_strerror(now));
    else
        weft_serve_log(api->options, "info", "store_recovered", NULL);
}

static void refuse_job(struct weft_http_exchange *exchange, int err)
{
    switch (err) {
    case WEFT_EFULL:
        reply_busy(exchange, "1", "every worker queue is full");
        break;
    case -ENOSPC:
        reply_busy(exchange, "5", "the disk is full: the request was not accepted");
        break;
    case -EIO:
        reply_busy(exchange, "5",
                   "the database cannot be written: the disk fails, or the file was removed or "
                   "replaced");
        break;
    case -EBUSY:
        reply_busy(exchange, "1", "another program writes to the database");
        break;
    case -ESHUTDOWN:
        reply_busy(exchange, "5", "the server is stopping");
        break;
    case -EMSGSIZE:
        weft_http_reply_error(exchange, 413, "the body is too large");
        break;
    default:
        reply_busy(exchange, "5", weft_strerror(err));
        break;
    }
}

static void post_process(struct weft_http_exchange *exchange, void *context)
{
    struct weft_api *api = context;
    struct weft_bytes payload = {.json = true};
    payload.data = weft_http_body(exchange, &payload.len);
    if (!check_body(exchange, payload.data, payload.len))
        return;
    struct weft_receipt receipt;
    int err = weft_engine_submit(api->engine, "process", &payload, &receipt);
    note_store(api, err);
    if (err) {
        refuse_job(exchange, err);
        return;
    }
    const struct weft_serve_settings *settings = api->settings;
    struct weft_buffer body;
    weft_buffer_init(&body, REPLY_BYTES_MAX);
    weft_buffer_append_string(&body, "{\"status\":\"accepted\"");
    append_id(&body, "request_id", &receipt.id);
    append_text(&body, "message", "Request accepted: it is on disk and will be processed");
    append_number(&body, "worker_assigned", receipt.worker);
    append_number(&body, "total_queued", receipt.queued_total);
    append_number(&body, "max_capacity", (uint64_t)settings->workers * settings->queue_size);
    append_time(&body, "timestamp", receipt.created_us);
    weft_buffer_append_char(&body, '}');
    reply_buffer(exchange, &body);
}

/* --- GET /status/{id} --- */

static const char *status_name(enum weft_job_state state)
{
    switch (state) {
    case WEFT_JOB_RUNNING:
        return "processing";
    case WEFT_JOB_COMPLETED:
        return "completed";
    case WEFT_JOB_CANCELLED:
    case WEFT_JOB_DEAD:
        return "failed";
    case WEFT_JOB_NONE:
    case WEFT_JOB_SCHEDULED:
    case WEFT_JOB_AVAILABLE:
    case WEFT_JOB_RETRYABLE:
    case WEFT_JOB_BLOCKED:
    case WEFT_JOB_STATES:
    default:
        return "queued";
    }
}

/* Copy a string from stored JSON under a key of its own, escapes as they are. */
static void copy_text(struct weft_buffer *body, const char *key, const struct weft_bytes *json,
                      const char *member)
{
    const char *raw;
    size_t len;
    if (json->json && weft_json_find_string(json->data, json->len, member, &raw, &len) == 0) {
        append_raw(body, key, raw, len);
    } else {
        append_key(body, key);
        weft_buffer_append_string(body, "null");
    }
}

static void append_result(struct weft_buffer *body, const struct weft_job *job)
{
    append_key(body, "result");
    weft_buffer_append_char(body, '{');
    append_id(body, "request_id", &job->id);
    copy_text(body, "original_text", &job->payload, "text");
    copy_text(body, "step1_result", &job->result, "step1_result");
    copy_text(body, "step2_result", &job->result, "step2_result");
    copy_text(body, "final_result", &job->result, "final_result");
    append_seconds(body, "processing_time", job->finished_us - job->started_us);
    append_number(body, "worker_id", job->worker);
    append_number(body, "thread_id", (uint64_t)job->thread);
    append_time(body, "timestamp", job->finished_us);
    append_text(body, "status", "completed");
    append_text(body, "optimization", "one fiber per job, one disk commit for many jobs");
    weft_buffer_append_char(body, '}');
}

static void append_message(struct weft_buffer *body, const struct weft_job *job)
{
    const char *message = "Request waits in the queue";
    if (job->state == WEFT_JOB_RUNNING)
        message = "Request is being processed";
    else if (job->state == WEFT_JOB_CANCELLED)
        message = "Request was cancelled";
    else if (job->state == WEFT_JOB_DEAD)
        message = job->error ? job->error : "Request failed";
    else if (job->state == WEFT_JOB_RETRYABLE)
        message = "Request failed and will be tried again";
    append_text(body, "message", message);
}

static void get_status(struct weft_http_exchange *exchange, void *context)
{
    struct weft_api *api = context;
    const char *text = weft_http_param(exchange, "id");
    struct weft_uuid id;
    struct weft_job *job;
    int err = text ? weft_uuid_parse(&id, text, strlen(text)) : -EINVAL;
    if (!err)
        err = api->broker->ops->find(api->broker, &id, &job);
    if (err == -EINVAL || err == -ENOENT) {
        weft_http_reply_error(exchange, 404, "there is no request with this id");
        return;
    }
    if (err) {
        reply_busy(exchange, "1", weft_strerror(err));
        return;
    }
    struct weft_engine_counts counts;
    weft_engine_counts(api->engine, &counts);
    struct weft_buffer body;
    weft_buffer_init(&body, REPLY_BYTES_MAX);
    weft_buffer_append_char(&body, '{');
    append_id(&body, "request_id", &job->id);
    append_text(&body, "status", status_name(job->state));
    if (job->state == WEFT_JOB_COMPLETED) {
        append_result(&body, job);
    } else {
        append_number(&body, "total_queue_size", counts.queued_total);
        append_message(&body, job);
    }
    weft_buffer_append_char(&body, '}');
    weft_job_free(job);
    reply_buffer(exchange, &body);
}

/* --- numbers --- */

static struct weft_queue_metrics metrics_of(const struct weft_api *api,
                                            const struct weft_engine_counts *counts)
{
    struct weft_queue_metrics metrics = {
        .time_us = api->broker->ops->now_us(api->broker),
        .total = counts->queued_total,
        .active = counts->running,
        .processed = api->completed_before + counts->completed,
    };
    for (unsigned i = 0; i < 4 && i < counts->workers; i++)
        metrics.workers[i] = counts->queued[i];
    return metrics;
}

/* One slot: of the rows that come while one is being written, the newest is kept. */
int weft_api_recorder_main(void *arg)
{
    struct weft_api *api = arg;
    int err = 0;
    while (err != -ECANCELED && (api->metrics_due || !api->metrics_over)) {
        if (api->metrics_due) {
            struct weft_queue_metrics metrics = api->metrics;
            api->metrics_due = false;
            (void)api->broker->ops->record(api->broker, &metrics);
        } else {
            err = weft_wake_wait(&api->metrics_wake, WEFT_FOREVER);
        }
    }
    return 0;
}

static void get_queue_status(struct weft_http_exchange *exchange, void *context)
{
    struct weft_api *api = context;
    struct weft_engine_counts counts;
    weft_engine_counts(api->engine, &counts);
    struct weft_queue_metrics metrics = metrics_of(api, &counts);
    /* The answer neither depends on the row nor waits for it. */
    api->metrics = metrics;
    api->metrics_due = true;
    weft_wake_post(&api->metrics_wake);

    struct weft_buffer body;
    weft_buffer_init(&body, REPLY_BYTES_MAX);
    weft_buffer_append_char(&body, '{');
    append_number(&body, "total_queue_size", counts.queued_total);
    append_key(&body, "worker_queue_sizes");
    for (unsigned i = 0; i < counts.workers; i++) {
        weft_buffer_append_char(&body, i ? ',' : '[');
        weft_buffer_append_int(&body, (int64_t)counts.queued[i]);
    }
    weft_buffer_append_char(&body, ']');
    append_number(&body, "active_workers", counts.workers);
    append_number(&body, "threads_per_worker", counts.concurrency);
    append_number(&body, "max_concurrent_requests", (uint64_t)counts.workers * counts.concurrency);
    append_number(&body, "active_threads", counts.running);
    append_number(&body, "processed_requests", metrics.processed);
    append_number(&body, "max_queue_size_per_worker", counts.queue_size);
    append_number(&body, "total_max_capacity", (uint64_t)counts.workers * counts.queue_size);
    append_time(&body, "timestamp", metrics.time_us);
    weft_buffer_append_char(&body, '}');
    reply_buffer(exchange, &body);
}

static void append_status_counts(struct weft_buffer *body, const struct weft_broker_stats *stats)
{
    const uint64_t *jobs = stats->jobs;
    append_key(body, "request_status_counts");
    weft_buffer_append_char(body, '{');
    append_number(body, "queued",
                  jobs[WEFT_JOB_SCHEDULED] + jobs[WEFT_JOB_AVAILABLE] + jobs[WEFT_JOB_RETRYABLE] +
                      jobs[WEFT_JOB_BLOCKED]);
    append_number(body, "processing", jobs[WEFT_JOB_RUNNING]);
    append_number(body, "completed", jobs[WEFT_JOB_COMPLETED]);
    append_number(body, "failed", jobs[WEFT_JOB_CANCELLED] + jobs[WEFT_JOB_DEAD]);
    weft_buffer_append_char(body, '}');
}

static void append_metrics(struct weft_buffer *body, const struct weft_broker_stats *stats)
{
    append_key(body, "recent_queue_metrics");
    weft_buffer_append_char(body, '[');
    for (unsigned i = 0; i < stats->metrics_count; i++) {
        const struct weft_queue_metrics *metrics = &stats->metrics[i];
        weft_buffer_append_string(body, i ? ",{" : "{");
        append_time(body, "timestamp", metrics->time_us);
        append_number(body, "total_queued", metrics->total);
        append_number(body, "worker_0_queue", metrics->workers[0]);
        append_number(body, "worker_1_queue", metrics->workers[1]);
        append_number(body, "worker_2_queue", metrics->workers[2]);
        append_number(body, "worker_3_queue", metrics->workers[3]);
        append_number(body, "active_threads", metrics->active);
        append_number(body, "processed_requests", metrics->processed);
        weft_buffer_append_char(body, '}');
    }
    weft_buffer_append_char(body, ']');
}

static void append_times(struct weft_buffer *body, const struct weft_broker_stats *stats)
{
    uint64_t completed = stats->jobs[WEFT_JOB_COMPLETED];
    append_key(body, "processing_time_stats");
    weft_buffer_append_char(body, '{');
    append_seconds(body, "average_time",
                   completed ? stats->processing_sum_us / (int64_t)completed : 0);
    append_seconds(body, "min_time", stats->processing_min_us);
    append_seconds(body, "max_time", stats->processing_max_us);
    append_number(body, "total_completed", completed);
    weft_buffer_append_char(body, '}');
}

static void get_database_stats(struct weft_http_exchange *exchange, void *context)
{
    struct weft_api *api = context;
    struct weft_broker_stats stats;
    int err = api->broker->ops->stats(api->broker, &stats);
    if (err) {
        reply_busy(exchange, "1", weft_strerror(err));
        return;
    }
    struct weft_buffer body;
    weft_buffer_init(&body, REPLY_BYTES_MAX);
    weft_buffer_append_char(&body, '{');
    append_status_counts(&body, &stats);
    append_metrics(&body, &stats);
    append_times(&body, &stats);
    append_text(&body, "database_path", api->settings->database_path);
    append_time(&body, "timestamp", api->broker->ops->now_us(api->broker));
    weft_buffer_append_char(&body, '}');
    reply_buffer(exchange, &body);
}

static void get_thread_efficiency(struct weft_http_exchange *exchange, void *context)
{
    struct weft_api *api = context;
    struct weft_engine_counts counts;
    weft_engine_counts(api->engine, &counts);
    uint64_t total = (uint64_t)counts.workers * counts.concurrency;
    double percentage = 100.0 * (double)counts.running / (double)total;
    struct weft_buffer body;
    weft_buffer_init(&body, REPLY_BYTES_MAX);
    weft_buffer_append_char(&body, '{');
    append_number(&body, "active_threads", counts.running);
    append_number(&body, "total_threads", total);
    append_key(&body, "efficiency_percentage");
    weft_buffer_append_json_double(&body, percentage);
    append_text(&body, "recommendation",
                percentage < 50.0 ? "Reduce threads" : "Optimal configuration");
    weft_buffer_append_char(&body, '}');
    reply_buffer(exchange, &body);
}

/* --- health: without a token, so that a probe needs none --- */

static void reply_status(struct weft_http_exchange *exchange, const char *status)
{
    struct weft_buffer body;
    weft_buffer_init(&body, REPLY_BYTES_MAX);
    weft_buffer_append_char(&body, '{');
    append_text(&body, "status", status);
    weft_buffer_append_char(&body, '}');
    reply_buffer(exchange, &body);
}

static void get_healthz(struct weft_http_exchange *exchange, void *context)
{
    (void)context;
    reply_status(exchange, "ok");
}

/* Whoever is told that the service is not ready sends no jobs: without a row of our own, nobody
 * would notice that storing works again. */
static void probe_store(struct weft_api *api)
{
    struct weft_engine_counts counts;
    weft_engine_counts(api->engine, &counts);
    struct weft_queue_metrics metrics = metrics_of(api, &counts);
    note_store(api, api->broker->ops->record(api->broker, &metrics));
}

static void get_readyz(struct weft_http_exchange *exchange, void *context)
{
    struct weft_api *api = context;
    if (api->store_err && !api->draining)
        probe_store(api);
    if (api->draining)
        reply_busy(exchange, "5", "the server is stopping");
    else if (api->store_err)
        reply_busy(exchange, "5", weft_strerror(api->store_err));
    else
        reply_status(exchange, "ready");
}

/* --- who comes in, decided before a body is read --- */

static bool check_token(struct weft_http_exchange *exchange, const struct weft_api *api)
{
    const char *token = api->settings->token;
    if (!token[0] || weft_serve_token_matches(token, weft_http_header(exchange, "Authorization")))
        return true;
    weft_http_reply_header(exchange, "WWW-Authenticate", "Bearer");
    weft_http_reply_error(exchange, 401, "a bearer token is needed, and it must be the right one");
    return false;
}

int weft_api_admit(struct weft_http_exchange *exchange, const struct weft_http_route *route,
                   void *context)
{
    bool open = route->handler == get_healthz || route->handler == get_readyz;
    if (!open && !check_token(exchange, context))
        return false;
    return route->handler != post_process || check_type(exchange);
}

const struct weft_http_route weft_api_routes[] = {
    {"POST", "/process", post_process},
    {"GET", "/status/{id:uuid}", get_status},
    {"GET", "/queue-status", get_queue_status},
    {"GET", "/database/stats", get_database_stats},
    {"GET", "/thread-efficiency", get_thread_efficiency},
    {"GET", "/healthz", get_healthz},
    {"GET", "/readyz", get_readyz},
};
const size_t weft_api_routes_count = sizeof weft_api_routes / sizeof *weft_api_routes;
