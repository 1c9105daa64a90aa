/* SPDX-License-Identifier: MIT
 * api_process.c - the queue service of the seed: text in, three steps, a result; its numbers.
 *
 * The paths and keys are a contract with programs that exist. */
#include <serve/api.h>

#include <base/buffer.h>
#include <base/json_scan.h>
#include <serve/api_body.h>
#include <serve/api_json.h>
#include <serve/members.h>

#include <errno.h>
#include <string.h>

/* --- POST /process --- */

/* Members that it does not know are its clients' own. */
static int parse_process(void *ret_nothing, const char *body, size_t len,
                         struct weft_refusal *ret_refusal)
{
    struct weft_reader reader = {.refusal = ret_refusal, .body = body, .body_len = len};
    int err = 0;
    (void)ret_nothing;
    if (len == 0)
        return weft_refuse(&reader, 400, "the body is empty");
    json_t *root = weft_reader_load(&reader, body, len, &err);
    if (!root)
        return err;
    const json_t *text = json_object_get(root, "text");
    if (!json_is_object(root))
        err = weft_refuse(&reader, 422, "the body must be a JSON object");
    else if (!text)
        err = weft_refuse(&reader, 422, "the field \"text\" is missing");
    else if (!json_is_string(text))
        err = weft_refuse(&reader, 422, "the field \"text\" must be a string");
    json_decref(root);
    return err;
}

static uint64_t waiting_total(const struct weft_api *api)
{
    uint64_t total = 0;
    for (unsigned i = 0; i < api->consumers.workers; i++)
        total += api->consumers.waiting[i];
    return total;
}

/* Put one job in. Its queue may have filled up since it was chosen: then another one is. */
static int submit(struct weft_api *api, struct weft_submission *job, unsigned *ret_worker)
{
    struct weft_consumers *consumers = &api->consumers;
    job->id = weft_engine_make_id(api->engine);
    for (unsigned i = 0; i < consumers->workers; i++) {
        int worker = weft_consumers_route(consumers, api->broker, api->engine, &job->id,
                                          api->settings->queue_size);
        if (worker < 0)
            return WEFT_EFULL;
        job->queue = weft_consumers_queue(consumers, (unsigned)worker);
        int err = weft_engine_submit(api->engine, job, 1, false);
        if (!err)
            err = job->err;
        if (!err) {
            consumers->waiting[worker] = job->waiting;
            *ret_worker = (unsigned)worker;
        }
        if (err != WEFT_EFULL)
            return err;
        consumers->waiting[worker] = api->settings->queue_size;
    }
    return WEFT_EFULL;
}

static void post_process(struct weft_http_exchange *exchange, void *context)
{
    struct weft_api *api = context;
    struct weft_submission job = {.task = "process", .priority = -1, .payload.json = true};
    job.payload.data = weft_http_body(exchange, &job.payload.len);
    if (!weft_api_read_body(exchange, parse_process, NULL))
        return;
    unsigned worker = 0;
    int err = submit(api, &job, &worker);
    weft_api_note_store(api, err);
    if (err) {
        weft_api_refuse_job(exchange, err);
        return;
    }
    const struct weft_serve_settings *settings = api->settings;
    struct weft_buffer body;
    weft_buffer_init(&body, WEFT_API_REPLY_MAX);
    weft_buffer_append_string(&body, "{\"status\":\"accepted\"");
    weft_api_id(&body, "request_id", &job.id);
    weft_api_text(&body, "message", "Request accepted: it is on disk and will be processed");
    weft_api_number(&body, "worker_assigned", worker);
    weft_api_number(&body, "total_queued", waiting_total(api));
    weft_api_number(&body, "max_capacity", (uint64_t)settings->workers * settings->queue_size);
    weft_api_time(&body, "timestamp", job.created_us);
    weft_buffer_append_char(&body, '}');
    weft_api_reply(exchange, &body);
}

/* Jobs that wait for a worker, all of them; each worker's, when somebody wants to know. */
static uint64_t waiting_now(struct weft_api *api, uint64_t *ret_waiting)
{
    uint64_t total = 0;
    for (unsigned i = 0; i < api->consumers.workers; i++) {
        uint64_t waiting = weft_consumers_waiting(&api->consumers, api->broker, i);
        if (ret_waiting)
            ret_waiting[i] = waiting;
        total += waiting;
    }
    return total;
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
        weft_api_raw(body, key, raw, len);
    } else {
        weft_api_key(body, key);
        weft_buffer_append_string(body, "null");
    }
}

static void append_result(struct weft_buffer *body, const struct weft_job *job)
{
    weft_api_key(body, "result");
    weft_buffer_append_char(body, '{');
    weft_api_id(body, "request_id", &job->id);
    copy_text(body, "original_text", &job->payload, "text");
    copy_text(body, "step1_result", &job->result, "step1_result");
    copy_text(body, "step2_result", &job->result, "step2_result");
    copy_text(body, "final_result", &job->result, "final_result");
    weft_api_seconds(body, "processing_time", job->finished_us - job->started_us);
    int worker = weft_consumers_worker_of(job->queue);
    weft_api_number(body, "worker_id", worker < 0 ? 0 : (uint64_t)worker);
    weft_api_number(body, "thread_id", (uint64_t)job->thread);
    weft_api_time(body, "timestamp", job->finished_us);
    weft_api_text(body, "status", "completed");
    weft_api_text(body, "optimization", "one fiber per job, one disk commit for many jobs");
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
    weft_api_text(body, "message", message);
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
        weft_api_reply_busy(exchange, "1", weft_strerror(err));
        return;
    }
    struct weft_buffer body;
    weft_buffer_init(&body, WEFT_API_REPLY_MAX);
    weft_buffer_append_char(&body, '{');
    weft_api_id(&body, "request_id", &job->id);
    weft_api_text(&body, "status", status_name(job->state));
    if (job->state == WEFT_JOB_COMPLETED) {
        append_result(&body, job);
    } else {
        weft_api_number(&body, "total_queue_size", waiting_now(api, NULL));
        append_message(&body, job);
    }
    weft_buffer_append_char(&body, '}');
    weft_job_free(job);
    weft_api_reply(exchange, &body);
}

/* --- numbers --- */

struct weft_queue_metrics weft_api_metrics(struct weft_api *api)
{
    struct weft_engine_counts counts;
    weft_engine_counts(api->engine, &counts);
    struct weft_queue_metrics metrics = {
        .time_us = api->broker->ops->now_us(api->broker),
        .active = counts.running,
        .processed = api->completed_before + counts.completed,
    };
    uint64_t waiting[WEFT_CONSUMERS_MAX];
    metrics.total = waiting_now(api, waiting);
    for (unsigned i = 0; i < 4 && i < api->consumers.workers; i++)
        metrics.workers[i] = waiting[i];
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
    const struct weft_serve_settings *settings = api->settings;
    uint64_t waiting[WEFT_CONSUMERS_MAX] = {0};
    struct weft_queue_metrics metrics = weft_api_metrics(api);
    (void)waiting_now(api, waiting);
    /* The answer neither depends on the row nor waits for it. */
    api->metrics = metrics;
    api->metrics_due = true;
    weft_wake_post(&api->metrics_wake);

    struct weft_buffer body;
    weft_buffer_init(&body, WEFT_API_REPLY_MAX);
    weft_buffer_append_char(&body, '{');
    weft_api_number(&body, "total_queue_size", metrics.total);
    weft_api_key(&body, "worker_queue_sizes");
    for (unsigned i = 0; i < settings->workers; i++) {
        weft_buffer_append_char(&body, i ? ',' : '[');
        weft_buffer_append_int(&body, (int64_t)waiting[i]);
    }
    weft_buffer_append_char(&body, ']');
    uint64_t places = (uint64_t)settings->workers * settings->concurrency;
    weft_api_number(&body, "active_workers", settings->workers);
    weft_api_number(&body, "threads_per_worker", settings->concurrency);
    weft_api_number(&body, "max_concurrent_requests", places);
    weft_api_number(&body, "active_threads", metrics.active);
    weft_api_number(&body, "processed_requests", metrics.processed);
    weft_api_number(&body, "max_queue_size_per_worker", settings->queue_size);
    weft_api_number(&body, "total_max_capacity",
                    (uint64_t)settings->workers * settings->queue_size);
    weft_api_time(&body, "timestamp", metrics.time_us);
    weft_buffer_append_char(&body, '}');
    weft_api_reply(exchange, &body);
}

static void append_status_counts(struct weft_buffer *body, const struct weft_broker_stats *stats)
{
    const uint64_t *jobs = stats->jobs;
    weft_api_key(body, "request_status_counts");
    weft_buffer_append_char(body, '{');
    weft_api_number(body, "queued", weft_job_states_waiting(jobs));
    weft_api_number(body, "processing", jobs[WEFT_JOB_RUNNING]);
    weft_api_number(body, "completed", jobs[WEFT_JOB_COMPLETED]);
    weft_api_number(body, "failed", jobs[WEFT_JOB_CANCELLED] + jobs[WEFT_JOB_DEAD]);
    weft_buffer_append_char(body, '}');
}

static void append_metrics(struct weft_buffer *body, const struct weft_broker_stats *stats)
{
    weft_api_key(body, "recent_queue_metrics");
    weft_buffer_append_char(body, '[');
    for (unsigned i = 0; i < stats->metrics_count; i++) {
        const struct weft_queue_metrics *metrics = &stats->metrics[i];
        weft_buffer_append_string(body, i ? ",{" : "{");
        weft_api_time(body, "timestamp", metrics->time_us);
        weft_api_number(body, "total_queued", metrics->total);
        weft_api_number(body, "worker_0_queue", metrics->workers[0]);
        weft_api_number(body, "worker_1_queue", metrics->workers[1]);
        weft_api_number(body, "worker_2_queue", metrics->workers[2]);
        weft_api_number(body, "worker_3_queue", metrics->workers[3]);
        weft_api_number(body, "active_threads", metrics->active);
        weft_api_number(body, "processed_requests", metrics->processed);
        weft_buffer_append_char(body, '}');
    }
    weft_buffer_append_char(body, ']');
}

static void append_times(struct weft_buffer *body, const struct weft_broker_stats *stats)
{
    uint64_t completed = stats->jobs[WEFT_JOB_COMPLETED];
    weft_api_key(body, "processing_time_stats");
    weft_buffer_append_char(body, '{');
    weft_api_seconds(body, "average_time",
                     completed ? stats->processing_sum_us / (int64_t)completed : 0);
    weft_api_seconds(body, "min_time", stats->processing_min_us);
    weft_api_seconds(body, "max_time", stats->processing_max_us);
    weft_api_number(body, "total_completed", completed);
    weft_buffer_append_char(body, '}');
}

static void get_database_stats(struct weft_http_exchange *exchange, void *context)
{
    struct weft_api *api = context;
    struct weft_broker_stats stats;
    int err = api->broker->ops->stats(api->broker, &stats);
    if (err) {
        weft_api_reply_busy(exchange, "1", weft_strerror(err));
        return;
    }
    struct weft_buffer body;
    weft_buffer_init(&body, WEFT_API_REPLY_MAX);
    weft_buffer_append_char(&body, '{');
    append_status_counts(&body, &stats);
    append_metrics(&body, &stats);
    append_times(&body, &stats);
    weft_api_text(&body, "database_path", api->settings->database_path);
    weft_api_time(&body, "timestamp", api->broker->ops->now_us(api->broker));
    weft_buffer_append_char(&body, '}');
    weft_api_reply(exchange, &body);
}

static void get_thread_efficiency(struct weft_http_exchange *exchange, void *context)
{
    struct weft_api *api = context;
    struct weft_engine_counts counts;
    weft_engine_counts(api->engine, &counts);
    uint64_t total = (uint64_t)api->settings->workers * api->settings->concurrency;
    double percentage = 100.0 * (double)counts.running / (double)total;
    struct weft_buffer body;
    weft_buffer_init(&body, WEFT_API_REPLY_MAX);
    weft_buffer_append_char(&body, '{');
    weft_api_number(&body, "active_threads", counts.running);
    weft_api_number(&body, "total_threads", total);
    weft_api_key(&body, "efficiency_percentage");
    weft_buffer_append_json_double(&body, percentage);
    weft_api_text(&body, "recommendation",
                  percentage < 50.0 ? "Reduce threads" : "Optimal configuration");
    weft_buffer_append_char(&body, '}');
    weft_api_reply(exchange, &body);
}

/* Programs that exist may send parameters of their own. */
const struct weft_api_route weft_api_process_routes[] = {
    {{.method = "POST", .pattern = "/process", .handler = post_process}, WEFT_MAY_ENQUEUE},
    {{.method = "GET", .pattern = "/status/{id:uuid}", .handler = get_status}, WEFT_MAY_READ},
    {{.method = "GET", .pattern = "/queue-status", .handler = get_queue_status}, WEFT_MAY_READ},
    {{.method = "GET", .pattern = "/database/stats", .handler = get_database_stats}, WEFT_MAY_READ},
    {{.method = "GET", .pattern = "/thread-efficiency", .handler = get_thread_efficiency},
     WEFT_MAY_READ},
    {{0}},
};
