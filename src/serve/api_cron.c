/* SPDX-License-Identifier: MIT
 * api_cron.c - /v1/crons: schedules that put jobs in. */
#include <serve/api.h>

#include <serve/admin_json.h>
#include <serve/api_body.h>
#include <serve/api_job.h>
#include <serve/api_json.h>
#include <serve/schedules.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void append_cron(struct weft_buffer *body, const struct weft_cron_entry *entry)
{
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
    if (!weft_uuid_is_none(&entry->last_job))
        weft_api_id(body, "last_job", &entry->last_job);
    weft_buffer_append_char(body, '}');
}

static void get_crons(struct weft_http_exchange *exchange, void *context)
{
    struct weft_api *api = context;
    struct weft_cron_entry *entries = NULL;
    size_t count = 0;
    int err = api->broker->ops->crons(api->broker, &entries, WEFT_SCHEDULES_MAX, &count);
    if (err) {
        weft_api_refuse(api, exchange, err);
        return;
    }
    struct weft_buffer body;
    weft_buffer_init(&body, WEFT_API_LIST_MAX);
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
    const struct weft_cron_entry *entry = NULL;
    *ret_block = NULL;
    int err =
        weft_schedules_find(api->broker, weft_http_param(exchange, "name"), ret_block, &entry);
    if (err)
        weft_api_refuse(api, exchange, err);
    else if (!entry)
        weft_http_reply_error(exchange, 404, "there is no schedule of this name");
    return entry;
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
    reply_cron(exchange, context);
}

static int parse_cron(void *ret_request, const char *body, size_t len,
                      struct weft_refusal *ret_refusal)
{
    return weft_cron_request_parse(ret_request, body, len, ret_refusal);
}

/* When it fires first; false: it never does, or says nothing that can be understood, and that is
 * answered. */
static bool find_next(struct weft_http_exchange *exchange, struct weft_api *api,
                      struct weft_cron_entry *entry)
{
    char error[WEFT_SCHEDULE_ERROR_BYTES];
    struct weft_cron_entry *block = NULL;
    const struct weft_cron_entry *replaced = NULL;
    int err = weft_schedules_find(api->broker, entry->name, &block, &replaced);
    if (err) {
        weft_api_refuse(api, exchange, err);
        return false;
    }
    err = weft_schedules_begin(api->broker, replaced, entry, error, sizeof error);
    if (err)
        weft_http_reply_error(exchange, 422, error);
    free(block);
    return !err;
}

static void set_cron(struct weft_http_exchange *exchange, struct weft_api *api,
                     const struct weft_cron_request *request)
{
    struct weft_cron_entry entry = {
        .name = weft_http_param(exchange, "name"),
        .schedule = request->schedule,
        .zone = request->zone,
        .missed = request->missed,
        .job = request->job,
        .paused = request->paused,
    };
    if (!find_next(exchange, api, &entry))
        return;
    int err = api->broker->ops->cron_set(api->broker, &entry);
    if (err == -ENOBUFS)
        weft_http_reply_error(exchange, 422,
                              "there are too many schedules, or their jobs are too "
                              "large together");
    else if (err)
        weft_api_refuse(api, exchange, err);
    if (err)
        return;
    weft_api_note_store(api, 0);
    weft_scheduler_poke(api->scheduler);
    weft_api_audit(api, exchange, "cron_set", entry.name, entry.schedule);
    reply_cron(exchange, api);
}

static void put_cron(struct weft_http_exchange *exchange, void *context)
{
    struct weft_cron_request request;
    if (!weft_job_name_is_valid(weft_http_param(exchange, "name"))) {
        weft_http_reply_error(exchange, 422, "this cannot be the name of a schedule");
        return;
    }
    if (!weft_api_read_body(exchange, parse_cron, &request))
        return;
    set_cron(exchange, context, &request);
    weft_cron_request_deinit(&request);
}

static void delete_cron(struct weft_http_exchange *exchange, void *context)
{
    struct weft_api *api = context;
    const char *name = weft_http_param(exchange, "name");
    int err = api->broker->ops->cron_remove(api->broker, name);
    if (err == -ENOENT) {
        weft_http_reply_error(exchange, 404, "there is no schedule of this name");
    } else if (err) {
        weft_api_refuse(api, exchange, err);
    } else {
        weft_api_note_store(api, 0);
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
    struct weft_refusal refusal;
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
    struct weft_cron_entry *block;
    if (!weft_api_read_nothing(exchange))
        return;
    const struct weft_cron_entry *entry = find_cron(exchange, api, &block);
    if (entry)
        run_now(exchange, api, entry);
    free(block);
}

const struct weft_api_route weft_api_cron_routes[] = {
    {{.method = "GET", .pattern = "/v1/crons", .handler = get_crons}, WEFT_MAY_READ, ""},
    {{.method = "GET", .pattern = "/v1/crons/{name}", .handler = get_cron}, WEFT_MAY_READ, ""},
    {{.method = "PUT", .pattern = "/v1/crons/{name}", .handler = put_cron}, WEFT_MAY_ADMIN, ""},
    {{.method = "DELETE", .pattern = "/v1/crons/{name}", .handler = delete_cron},
     WEFT_MAY_ADMIN,
     ""},
    {{.method = "POST", .pattern = "/v1/crons/{name}/run", .handler = post_run},
     WEFT_MAY_ADMIN,
     ""},
    {{0}},
};
