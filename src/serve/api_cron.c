/* SPDX-License-Identifier: MIT
 * api_cron.c - /v1/crons: schedules that put jobs in. */
#include <serve/api.h>

#include <serve/api_body.h>
#include <serve/api_job.h>
#include <serve/api_json.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CRONS_MAX 10000

static void append_cron(struct weft_buffer *body, const struct weft_cron_entry *entry)
{
    static const struct weft_uuid none;
    weft_buffer_append_char(body, '{');
    weft_api_text(body, "name", entry->name);
    weft_api_text(body, "schedule", entry->schedule);
    weft_api_text(body, "zone", entry->zone && entry->zone[0] ? entry->zone : "UTC");
    weft_api_text(body, "missed", entry->missed && entry->missed[0] ? entry->missed : "once");
    weft_api_bool(body, "paused", entry->paused);
    weft_api_json_if(body, "job", entry->job, strlen(entry->job));
    weft_api_time_if(body, "created_at", entry->created_us);
    if (!entry->paused)
        weft_api_time_if(body, "next_at", entry->next_us);
    weft_api_time_if(body, "last_at", entry->last_us);
    if (memcmp(&entry->last_job, &none, sizeof none) != 0)
        weft_api_id(body, "last_job", &entry->last_job);
    weft_buffer_append_char(body, '}');
}

/* All schedules, one block to be freed; false: answered. */
static bool read_crons(struct weft_http_exchange *exchange, struct weft_api *api,
                       struct weft_cron_entry **ret_entries, size_t *ret_count)
{
    int err = api->broker->ops->crons(api->broker, ret_entries, CRONS_MAX, ret_count);
    if (err)
        weft_api_refuse_job(exchange, err);
    return !err;
}

static void get_crons(struct weft_http_exchange *exchange, void *context)
{
    struct weft_cron_entry *entries = NULL;
    size_t count = 0;
    if (!weft_api_check_query(exchange, "") || !read_crons(exchange, context, &entries, &count))
        return;
    struct weft_buffer body;
    weft_buffer_init(&body, WEFT_API_LEASE_MAX);
    weft_buffer_append_string(&body, "{\"crons\":[");
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            weft_buffer_append_char(&body, ',');
        append_cron(&body, &entries[i]);
    }
    weft_buffer_append_string(&body, "]}");
    free(entries);
    weft_api_reply(exchange, &body);
}

/* The schedule that the path names, in a block of all to be freed; NULL: answered. */
static const struct weft_cron_entry *find_cron(struct weft_http_exchange *exchange,
                                               struct weft_api *api,
                                               struct weft_cron_entry **ret_block)
{
    const char *name = weft_http_param(exchange, "name");
    size_t count = 0;
    *ret_block = NULL;
    if (!read_crons(exchange, api, ret_block, &count))
        return NULL;
    for (size_t i = 0; i < count; i++)
        if (strcmp((*ret_block)[i].name, name) == 0)
            return &(*ret_block)[i];
    weft_http_reply_error(exchange, 404, "there is no schedule of this name");
    return NULL;
}

static void reply_cron(struct weft_http_exchange *exchange, struct weft_api *api)
{
    struct weft_cron_entry *block;
    const struct weft_cron_entry *entry = find_cron(exchange, api, &block);
    if (entry) {
        struct weft_buffer body;
        weft_buffer_init(&body, WEFT_API_REPLY_MAX);
        append_cron(&body, entry);
        weft_api_reply(exchange, &body);
    }
    free(block);
}

static void get_cron(struct weft_http_exchange *exchange, void *context)
{
    if (weft_api_check_query(exchange, ""))
        reply_cron(exchange, context);
}

/* The job of a schedule must be one that can be put in. */
static void check_job(struct weft_api_fault *fault, const char *text)
{
    struct weft_job_requests requests;
    struct weft_job_refusal refusal;
    if (weft_job_json_parse(&requests, WEFT_JOB_BODY_JSON, text, strlen(text), &refusal)) {
        weft_api_fault(fault, "the field \"job\": %.150s", refusal.detail);
        return;
    }
    const struct weft_job_request *request = requests.items;
    if (!requests.single || request->after_count > 0 || request->run_at_us ||
        request->expires_at_us)
        weft_api_fault(fault, "the field \"job\" must be one job without \"after\", \"run_at\" and "
                              "\"expires_at\"");
    weft_job_requests_deinit(&requests);
}

static void read_entry(struct weft_api_fault *fault, const json_t *root,
                       struct weft_cron_entry *entry, char **ret_job)
{
    const json_t *job = json_object_get(root, "job");
    weft_api_only(fault, root, "schedule zone missed paused job");
    weft_api_get_string(fault, root, "schedule", &entry->schedule, WEFT_JOB_KEY_MAX);
    weft_api_get_string(fault, root, "zone", &entry->zone, WEFT_JOB_KEY_MAX);
    weft_api_get_string(fault, root, "missed", &entry->missed, WEFT_JOB_KEY_MAX);
    weft_api_get_bool(fault, root, "paused", &entry->paused);
    const char *missed = entry->missed ? entry->missed : "once";
    if (strcmp(missed, "skip") != 0 && strcmp(missed, "once") != 0 && strcmp(missed, "all") != 0)
        weft_api_fault(fault, "the field \"missed\" must be skip, once or all");
    if (!entry->schedule)
        weft_api_fault(fault, "the field \"schedule\" is missing");
    if (!json_is_object(job)) {
        weft_api_fault(fault, "the field \"job\" must be a job");
        return;
    }
    entry->job = *ret_job = json_dumps(job, JSON_COMPACT);
    if (entry->job)
        check_job(fault, entry->job);
    else
        weft_api_fault(fault, "there is no memory for the job");
}

static void find_next(struct weft_api_fault *fault, struct weft_api *api,
                      struct weft_cron_entry *entry)
{
    char error[WEFT_SCHEDULE_ERROR_BYTES];
    int64_t now_us = api->broker->ops->now_us(api->broker);
    if (fault->detail[0])
        return;
    entry->created_us = now_us;
    if (weft_schedule_next(entry->schedule, entry->zone, NULL, now_us, now_us, &entry->next_us,
                           error, sizeof error))
        weft_api_fault(fault, "%.150s", error);
}

static void put_cron(struct weft_http_exchange *exchange, void *context)
{
    struct weft_api *api = context;
    json_t *root = weft_api_body(exchange);
    if (!root)
        return;
    struct weft_api_fault fault = {{0}};
    struct weft_cron_entry entry = {.name = weft_http_param(exchange, "name")};
    char *job = NULL;
    if (!weft_job_name_is_valid(entry.name))
        weft_api_fault(&fault, "this cannot be the name of a schedule");
    read_entry(&fault, root, &entry, &job);
    find_next(&fault, api, &entry);
    bool valid = weft_api_is_valid(exchange, &fault);
    int err = valid ? api->broker->ops->cron_set(api->broker, &entry) : 0;
    weft_api_note_store(api, err);
    if (valid && err) {
        weft_api_refuse_job(exchange, err);
    } else if (valid) {
        weft_scheduler_poke(api->scheduler);
        weft_api_audit(api, exchange, "cron_set", entry.name, entry.schedule);
        reply_cron(exchange, api);
    }
    free(job);
    json_decref(root);
}

static void delete_cron(struct weft_http_exchange *exchange, void *context)
{
    struct weft_api *api = context;
    const char *name = weft_http_param(exchange, "name");
    if (!weft_api_check_query(exchange, ""))
        return;
    int err = api->broker->ops->cron_remove(api->broker, name);
    if (err == -ENOENT) {
        weft_http_reply_error(exchange, 404, "there is no schedule of this name");
    } else if (err) {
        weft_api_refuse_job(exchange, err);
    } else {
        weft_scheduler_poke(api->scheduler);
        weft_api_audit(api, exchange, "cron_remove", name, NULL);
        weft_http_reply(exchange, 204, NULL, NULL, 0);
    }
}

/* Put the job of a schedule in now. */
static void run_now(struct weft_http_exchange *exchange, struct weft_api *api,
                    const struct weft_cron_entry *entry)
{
    struct weft_job_requests requests;
    struct weft_job_refusal refusal;
    if (weft_job_json_parse(&requests, WEFT_JOB_BODY_JSON, entry->job, strlen(entry->job),
                            &refusal)) {
        weft_http_reply_error(exchange, 422, refusal.detail);
        return;
    }
    struct weft_submissions submissions;
    int err = weft_submissions_make(&submissions, api->engine, &requests);
    if (!err)
        err = weft_engine_submit(api->engine, submissions.items, 1, false);
    if (!err)
        err = submissions.items[0].err;
    weft_api_note_store(api, err);
    if (err && err != WEFT_EDUPLICATE) {
        weft_api_refuse_job(exchange, err);
    } else {
        struct weft_buffer body;
        weft_buffer_init(&body, WEFT_API_REPLY_MAX);
        weft_buffer_append_char(&body, '{');
        weft_api_id(&body, "id", &submissions.items[0].id);
        if (err)
            weft_api_bool(&body, "duplicate", true);
        else
            weft_api_text(&body, "state", weft_job_state_name(submissions.items[0].state));
        weft_buffer_append_char(&body, '}');
        weft_api_audit(api, exchange, "cron_run", entry->name, NULL);
        weft_api_reply_status(exchange, err ? 200 : 201, &body);
    }
    weft_submissions_release(&submissions);
}

static void post_run(struct weft_http_exchange *exchange, void *context)
{
    struct weft_api *api = context;
    if (!weft_api_check_query(exchange, ""))
        return;
    struct weft_cron_entry *block;
    const struct weft_cron_entry *entry = find_cron(exchange, api, &block);
    if (entry)
        run_now(exchange, api, entry);
    free(block);
}

const struct weft_api_route weft_api_cron_routes[] = {
    {{.method = "GET", .pattern = "/v1/crons", .handler = get_crons}, WEFT_MAY_READ},
    {{.method = "GET", .pattern = "/v1/crons/{name}", .handler = get_cron}, WEFT_MAY_READ},
    {{.method = "PUT", .pattern = "/v1/crons/{name}", .handler = put_cron}, WEFT_MAY_ADMIN},
    {{.method = "DELETE", .pattern = "/v1/crons/{name}", .handler = delete_cron}, WEFT_MAY_ADMIN},
    {{.method = "POST", .pattern = "/v1/crons/{name}/run", .handler = post_run}, WEFT_MAY_ADMIN},
    {{0}, 0},
};
