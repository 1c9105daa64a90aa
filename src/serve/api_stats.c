/* SPDX-License-Identifier: MIT
 * api_stats.c - /v1/stats, /v1/audit, /metrics for Prometheus, and /openapi.json. */
#include <serve/api.h>

#include <serve/api_json.h>

#include <weft/metrics.h>

#include <errno.h>
#include <stdlib.h>

#define AUDIT_MAX 1000
#define AUDIT     100

/* --- numbers --- */

static void get_stats(struct weft_http_exchange *exchange, void *context)
{
    struct weft_api *api = context;
    struct weft_broker_stats stats;
    int err = api->broker->ops->stats(api->broker, &stats);
    if (err) {
        weft_api_refuse(api, exchange, err);
        return;
    }
    struct weft_engine_counts counts;
    weft_engine_counts(api->engine, &counts);
    uint64_t completed = stats.jobs[WEFT_JOB_COMPLETED];
    struct weft_buffer body;
    weft_buffer_init(&body, WEFT_API_REPLY_MAX);
    weft_buffer_append_char(&body, '{');
    weft_api_counts(&body, "jobs", stats.jobs);
    weft_buffer_append_string(&body, ",\"processing_seconds\":{");
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
    uint64_t limit = AUDIT;
    if (!weft_api_query_count(exchange, "limit", &limit, AUDIT_MAX))
        return;
    struct weft_audit_entry *entries = calloc(AUDIT_MAX, sizeof *entries);
    size_t count = 0;
    int err = entries ? api->broker->ops->audits(api->broker, entries, limit, &count) : -ENOMEM;
    if (err) {
        free(entries);
        weft_api_refuse(api, exchange, err);
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

/* --- for Prometheus --- */

static int add(struct weft_metrics *page, const char *family, const char *help,
               enum weft_metric_type type, double value)
{
    return weft_metrics_add(
        page, &(struct weft_metric){.family = family, .help = help, .type = type, .value = value});
}

static int add_engine(struct weft_metrics *page, const struct weft_api *api)
{
    struct weft_engine_counts counts;
    weft_engine_counts(api->engine, &counts);
    const struct {
        const char *family, *help;
        enum weft_metric_type type;
        uint64_t value;
    } rows[] = {
        {"weft_jobs_running", "Jobs between claim and settlement.", WEFT_METRIC_GAUGE,
         counts.running},
        {"weft_job_places", "Jobs that may run at once.", WEFT_METRIC_GAUGE, counts.places},
        {"weft_jobs_stuck", "Handlers that did not end although they had to.", WEFT_METRIC_GAUGE,
         counts.stuck},
        {"weft_jobs_submitted_total", "Jobs put in.", WEFT_METRIC_COUNTER, counts.submitted},
        {"weft_jobs_completed_total", "Attempts that completed their job.", WEFT_METRIC_COUNTER,
         counts.completed},
        {"weft_jobs_failed_total", "Jobs that failed for good.", WEFT_METRIC_COUNTER,
         counts.failed},
        {"weft_jobs_retried_total", "Attempts that failed and were followed by another.",
         WEFT_METRIC_COUNTER, counts.retried},
        {"weft_jobs_released_total", "Jobs given back unfinished.", WEFT_METRIC_COUNTER,
         counts.released},
        {"weft_jobs_snoozed_total", "Jobs that asked to be called later.", WEFT_METRIC_COUNTER,
         counts.snoozed},
        {"weft_jobs_cancelled_total", "Jobs that were cancelled while they ran.",
         WEFT_METRIC_COUNTER, counts.cancelled},
        {"weft_leases_lost_total", "Attempts whose lease was lost.", WEFT_METRIC_COUNTER,
         counts.lost},
        {"weft_store_errors_total", "Calls to the store that failed.", WEFT_METRIC_COUNTER,
         counts.broker_errors},
    };
    int err = add(page, "weft_event_streams", "Streams of events that are open.", WEFT_METRIC_GAUGE,
                  api->streams);
    for (size_t i = 0; !err && i < sizeof rows / sizeof *rows; i++)
        err = add(page, rows[i].family, rows[i].help, rows[i].type, (double)rows[i].value);
    return err;
}

static int add_queue(struct weft_metrics *page, const struct weft_queue_info *info, int64_t now_us)
{
    int err = 0;
    for (int state = WEFT_JOB_SCHEDULED; !err && state < WEFT_JOB_STATES; state++) {
        bool final = weft_job_state_is_final((enum weft_job_state)state);
        err = weft_metrics_add(
            page, &(struct weft_metric){
                      .family = final ? "weft_queue_finished_total" : "weft_queue_jobs",
                      .help = final ? "Jobs that ended." : "Jobs that have not ended.",
                      .type = final ? WEFT_METRIC_COUNTER : WEFT_METRIC_GAUGE,
                      .labels = {{"queue", info->name},
                                 {"state", weft_job_state_name((enum weft_job_state)state)}},
                      .value = (double)info->jobs[state],
                  });
    }
    int64_t waits_us = info->oldest_us && info->oldest_us < now_us ? now_us - info->oldest_us : 0;
    if (!err)
        err = weft_metrics_add(
            page,
            &(struct weft_metric){.family = "weft_queue_oldest_seconds",
                                  .help = "How long the job has waited that can run and has waited "
                                          "longest.",
                                  .type = WEFT_METRIC_GAUGE,
                                  .labels = {{"queue", info->name}},
                                  .value = (double)waits_us / 1e6});
    return err;
}

static int add_queues(struct weft_metrics *page, struct weft_api *api)
{
    struct weft_queue_info *queues = calloc(WEFT_QUEUES_MAX, sizeof *queues);
    size_t count = 0;
    int err =
        queues ? api->broker->ops->queues(api->broker, queues, WEFT_QUEUES_MAX, &count) : -ENOMEM;
    int64_t now_us = api->broker->ops->now_us(api->broker);
    for (size_t i = 0; !err && i < count && i < WEFT_QUEUES_MAX; i++)
        err = add_queue(page, &queues[i], now_us);
    free(queues);
    return err;
}

static void get_metrics(struct weft_http_exchange *exchange, void *context)
{
    struct weft_api *api = context;
    struct weft_metrics *page = NULL;
    const char *text = NULL;
    size_t len = 0;
    int err = weft_metrics_open(&page, &(struct weft_metrics_options){
                                           .bytes_max = WEFT_API_REPLY_MAX,
                                           .samples_max = 10 * WEFT_QUEUES_MAX + 1000,
                                       });
    if (!err)
        err = add_engine(page, api);
    if (!err)
        err = add_queues(page, api);
    if (!err)
        err = weft_metrics_add_runtime(page, NULL);
    if (!err)
        err = weft_metrics_text(page, &text, &len);
    if (err)
        weft_api_refuse(api, exchange, err);
    else
        weft_http_reply(exchange, 200, WEFT_METRICS_CONTENT_TYPE, text, len);
    weft_metrics_close(page);
}

/* --- the description of it all --- */

/* Made of the file beside this one: openapi.awk. */
extern const char weft_openapi_json[] __attribute__((visibility("hidden")));
extern const char weft_openapi_json_end[] __attribute__((visibility("hidden")));

static void get_openapi(struct weft_http_exchange *exchange, void *context)
{
    (void)context;
    // cppcheck-suppress comparePointers ; the end of the same one
    size_t len = (size_t)(weft_openapi_json_end - weft_openapi_json);
    weft_http_reply(exchange, 200, "application/json", weft_openapi_json, len);
}

const struct weft_api_route weft_api_stats_routes[] = {
    {{.method = "GET", .pattern = "/v1/stats", .handler = get_stats}, WEFT_MAY_READ, ""},
    {{.method = "GET", .pattern = "/v1/audit", .handler = get_audit}, WEFT_MAY_ADMIN, "limit"},
    {{.method = "GET", .pattern = "/metrics", .handler = get_metrics}, WEFT_MAY_READ, ""},
    {{.method = "GET", .pattern = "/openapi.json", .handler = get_openapi}},
    {{0}},
};
