/* SPDX-License-Identifier: MIT
 * api_job.c - /v1/jobs and /v1/flows: jobs in, how they are, what is wanted of them. */
#include <serve/api_job.h>

#include <serve/api_json.h>

#include <base/duration.h>
#include <weft/offload.h>
#include <weft/runtime.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define INLINE_MAX       ((size_t)64 << 10) /* larger bodies would hold up everybody else */
#define BATCH_BYTES_MAX  ((size_t)32 << 20)
#define WAIT_MAX_NS      (60 * WEFT_SEC)
#define LIMIT_MAX        1000
#define LIMIT            50
#define DAY_US           ((int64_t)24 * 3600 * 1000000)
#define IDEMPOTENCY_MAX  200
#define IDEMPOTENCY_SPAN (IDEMPOTENCY_MAX + 24)
#define ALL_STATES       ((1u << WEFT_JOB_STATES) - 2)

/* --- POST /v1/jobs --- */

struct parse_call {
    struct weft_job_requests requests;
    struct weft_refusal refusal;
    enum weft_job_body kind;
    const char *body;
    size_t len;
    int err;
};

static int parse(void *arg)
{
    struct parse_call *call = arg;
    call->err =
        weft_job_json_parse(&call->requests, call->kind, call->body, call->len, &call->refusal);
    return 0;
}

static enum weft_job_body kind_of(const struct weft_http_exchange *exchange)
{
    const char *type = weft_http_header(exchange, "Content-Type");
    bool lines = type && (strncasecmp(type, "application/x-ndjson", 20) == 0 ||
                          strncasecmp(type, "application/ndjson", 18) == 0);
    return lines ? WEFT_JOB_BODY_LINES : WEFT_JOB_BODY_JSON;
}

/* Read the body; false: answered. */
static bool read_requests(struct weft_http_exchange *exchange, struct parse_call *call)
{
    *call = (struct parse_call){.kind = kind_of(exchange)};
    call->body = weft_http_body(exchange, &call->len);
    if (call->len == 0) {
        weft_http_reply_error(exchange, 400, "the body is empty");
        return false;
    }
    if (call->len <= INLINE_MAX)
        (void)parse(call);
    else if (weft_offload(parse, call)) {
        weft_api_reply_busy(exchange, "5", "the server is stopping");
        return false;
    }
    if (call->err)
        weft_http_reply_error(exchange, call->refusal.status, call->refusal.detail);
    return !call->err;
}

/* A request that comes twice with the same key puts its jobs in once. */
static bool set_idempotency(struct weft_http_exchange *exchange,
                            struct weft_submissions *submissions)
{
    const char *key = weft_http_header(exchange, "Idempotency-Key");
    if (!key)
        return true;
    if (!key[0] || strlen(key) > IDEMPOTENCY_MAX) {
        weft_http_reply_error(exchange, 422, "an idempotency key has 1 to 200 characters");
        return false;
    }
    size_t count = submissions->requests.count;
    for (size_t i = 0; i < count; i++) {
        struct weft_submission *item = &submissions->items[i];
        char *text = weft_arena_alloc(&submissions->requests.arena, IDEMPOTENCY_SPAN + 16);
        if (!text || item->unique_key) {
            weft_http_reply_error(exchange, text ? 422 : 503,
                                  text ? "a job is either unique or the request has an idempotency "
                                         "key, not both"
                                       : "the server has no memory left for this");
            return false;
        }
        (void)snprintf(text, IDEMPOTENCY_SPAN + 16,
                       submissions->requests.single ? "idempotency:%s" : "idempotency:%s#%zu", key,
                       i);
        item->unique_key = text;
        item->unique = (struct weft_unique){.window_us = DAY_US, .states = ALL_STATES};
    }
    return true;
}

static bool has_flow(const struct weft_submission *item)
{
    static const struct weft_uuid none;
    return memcmp(&item->flow, &none, sizeof none) != 0;
}

static void append_accepted(struct weft_buffer *body, const struct weft_submission *item)
{
    weft_buffer_append_char(body, '{');
    if (!item->err || item->err == WEFT_EDUPLICATE)
        weft_api_id(body, "id", &item->id);
    if (!item->err) {
        weft_api_text(body, "state", weft_job_state_name(item->state));
        if (has_flow(item))
            weft_api_id(body, "flow", &item->flow);
    } else if (item->err == WEFT_EDUPLICATE) {
        weft_api_bool(body, "duplicate", true);
    } else {
        weft_api_number(body, "status", (uint64_t)weft_api_status_of(item->err));
        weft_api_text(body, "error", weft_api_detail_of(item->err));
    }
}

static void reply_single(struct weft_http_exchange *exchange, const struct weft_submission *item)
{
    if (item->err && item->err != WEFT_EDUPLICATE) {
        weft_api_refuse_job(exchange, item->err);
        return;
    }
    struct weft_buffer body;
    weft_buffer_init(&body, WEFT_API_REPLY_MAX);
    append_accepted(&body, item);
    if (!item->err) {
        weft_api_text(&body, "task", item->task);
        weft_api_text(&body, "queue", item->queue);
        weft_api_time(&body, "created_at", item->created_us);
    }
    weft_buffer_append_char(&body, '}');
    weft_api_reply_status(exchange, item->err ? 200 : 201, &body);
}

/* Of a batch that was to be put in as a whole: the error that is the reason. */
static int reason_of(const struct weft_submission *items, size_t count)
{
    int reason = 0;
    for (size_t i = 0; i < count; i++)
        if (items[i].err && (!reason || reason == -ECANCELED))
            reason = items[i].err;
    return reason;
}

static void reply_batch(struct weft_http_exchange *exchange, const struct weft_submission *items,
                        size_t count, bool atomic)
{
    size_t accepted = 0, refused = 0;
    for (size_t i = 0; i < count; i++) {
        accepted += items[i].err == 0;
        refused += items[i].err != 0 && items[i].err != WEFT_EDUPLICATE;
    }
    int reason = atomic ? reason_of(items, count) : 0;
    struct weft_buffer body;
    weft_buffer_init(&body, WEFT_API_REPLY_MAX);
    weft_buffer_append_char(&body, '{');
    if (reason)
        weft_api_text(&body, "detail", weft_api_detail_of(reason));
    weft_api_number(&body, "accepted", accepted);
    weft_api_number(&body, "refused", refused);
    weft_api_key(&body, "jobs");
    weft_buffer_append_char(&body, '[');
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            weft_buffer_append_char(&body, ',');
        append_accepted(&body, &items[i]);
        weft_buffer_append_char(&body, '}');
    }
    weft_buffer_append_string(&body, "]}");
    weft_api_reply_status(exchange, reason ? weft_api_status_of(reason) : 200, &body);
}

static void submit(struct weft_http_exchange *exchange, struct weft_api *api,
                   struct weft_submissions *submissions, bool atomic)
{
    size_t count = submissions->requests.count;
    int err = weft_engine_submit(api->engine, submissions->items, count, atomic);
    weft_api_note_store(api, err);
    if (err)
        weft_api_refuse_job(exchange, err);
    else if (submissions->requests.single)
        reply_single(exchange, submissions->items);
    else
        reply_batch(exchange, submissions->items, count, atomic);
}

static void post_jobs(struct weft_http_exchange *exchange, void *context)
{
    struct weft_api *api = context;
    bool atomic = false;
    if (!weft_api_check_query(exchange, "atomic") ||
        !weft_api_query_bool(exchange, "atomic", &atomic))
        return;
    struct parse_call call;
    if (!read_requests(exchange, &call))
        return;
    struct weft_submissions submissions;
    int err = weft_submissions_make(&submissions, api->engine, &call.requests);
    if (err)
        weft_api_refuse_job(exchange, err);
    else if (set_idempotency(exchange, &submissions))
        submit(exchange, api, &submissions, atomic);
    weft_submissions_release(&submissions);
}

/* --- one job --- */

static bool is_none(const struct weft_uuid *id)
{
    static const struct weft_uuid none;
    return memcmp(id, &none, sizeof none) == 0;
}

static void append_job(struct weft_buffer *body, const struct weft_job *job)
{
    weft_api_id(body, "id", &job->id);
    weft_api_text(body, "task", job->task);
    weft_api_text(body, "queue", job->queue);
    weft_api_text(body, "state", weft_job_state_name(job->state));
    weft_api_number(body, "priority", job->priority);
    weft_api_number(body, "attempt", job->attempt);
    weft_api_number(body, "max_attempts", job->attempts_max);
    if (job->crashes > 0)
        weft_api_number(body, "crashes", job->crashes);
    weft_api_time(body, "created_at", job->created_us);
    if (!weft_job_state_is_final(job->state))
        weft_api_time_if(body, "run_at", job->run_at_us);
    weft_api_time_if(body, "expires_at", job->expires_us);
    weft_api_time_if(body, "started_at", job->started_us);
    weft_api_time_if(body, "finished_at", job->finished_us);
    weft_api_seconds_if(body, "timeout", job->timeout_us);
    weft_api_text_if(body, "unique_key", job->unique_key);
    weft_api_text_if(body, "limit_key", job->limit_key);
    if (!is_none(&job->flow))
        weft_api_id(body, "flow", &job->flow);
    if (job->waits_for > 0)
        weft_api_number(body, "waits_for", job->waits_for);
    if (job->cancelling)
        weft_api_bool(body, "cancelling", true);
    if (job->worker > 0)
        weft_api_number(body, "worker", (uint64_t)job->worker);
    if (job->state != WEFT_JOB_COMPLETED)
        weft_api_text_if(body, "error", job->error);
    weft_api_json_if(body, "progress", job->progress, job->progress ? strlen(job->progress) : 0);
}

static void append_failures(struct weft_buffer *body, struct weft_api *api,
                            const struct weft_uuid *id)
{
    struct weft_job_failure *failures = calloc(WEFT_JOB_ERRORS_MAX, sizeof *failures);
    size_t count = 0;
    if (failures &&
        api->broker->ops->failures(api->broker, id, failures, WEFT_JOB_ERRORS_MAX, &count) == 0 &&
        count > 0) {
        weft_api_key(body, "errors");
        for (size_t i = 0; i < count; i++) {
            weft_buffer_append_string(body, i ? ",{" : "[{");
            weft_api_number(body, "attempt", failures[i].attempt);
            weft_api_time(body, "at", failures[i].at_us);
            weft_api_text(body, "error", failures[i].text);
            weft_buffer_append_char(body, '}');
        }
        weft_buffer_append_char(body, ']');
    }
    free(failures);
}

static void reply_job(struct weft_http_exchange *exchange, struct weft_api *api,
                      const struct weft_job *job)
{
    struct weft_buffer body;
    weft_buffer_init(&body, WEFT_API_REPLY_MAX);
    weft_buffer_append_char(&body, '{');
    append_job(&body, job);
    weft_api_json_if(&body, "headers", job->headers, job->headers ? strlen(job->headers) : 0);
    weft_api_text_if(&body, "content_type", job->content_type);
    weft_api_bytes_if(&body, "payload", &job->payload);
    weft_api_bytes_if(&body, "result", &job->result);
    append_failures(&body, api, &job->id);
    weft_buffer_append_char(&body, '}');
    weft_api_reply(exchange, &body);
}

/* The id in the path, which the route has checked. */
static struct weft_uuid id_of(const struct weft_http_exchange *exchange)
{
    struct weft_uuid id = {{0}};
    const char *text = weft_http_param(exchange, "id");
    (void)weft_uuid_parse(&id, text, strlen(text));
    return id;
}

static void refuse_id(struct weft_http_exchange *exchange, struct weft_api *api, int err)
{
    if (err == -ENOENT)
        weft_http_reply_error(exchange, 404, "there is no such job");
    else
        weft_api_refuse_job(exchange, err);
    weft_api_note_store(api, err);
}

/* ?wait=30s, at most a minute; false: answered. */
static bool read_wait(struct weft_http_exchange *exchange, int64_t *ret_wait_ns)
{
    const char *text = weft_http_query(exchange, "wait");
    *ret_wait_ns = 0;
    if (!text)
        return true;
    char *end;
    double seconds = strtod(text, &end);
    if (*text && !*end && seconds >= 0 && seconds <= 60)
        *ret_wait_ns = (int64_t)(seconds * 1e9);
    else if (weft_duration_parse(ret_wait_ns, text, strlen(text)) || *ret_wait_ns > WAIT_MAX_NS) {
        weft_http_reply_error(exchange, 422, "the parameter \"wait\" must be from 0 to 60s");
        return false;
    }
    return true;
}

static void get_job(struct weft_http_exchange *exchange, void *context)
{
    struct weft_api *api = context;
    int64_t wait_ns;
    if (!weft_api_check_query(exchange, "wait") || !read_wait(exchange, &wait_ns))
        return;
    struct weft_uuid id = id_of(exchange);
    struct weft_job *job = NULL;
    int err;
    if (wait_ns > 0)
        err = weft_engine_wait(api->engine, &id, weft_now() + wait_ns, &job);
    else
        err = api->broker->ops->find(api->broker, &id, &job);
    if (err == -ETIMEDOUT)
        err = 0;
    if (err) {
        refuse_id(exchange, api, err);
        return;
    }
    reply_job(exchange, api, job);
    weft_job_free(job);
}

/* --- lists --- */

static bool read_cursor(struct weft_http_exchange *exchange, struct weft_job_filter *filter)
{
    const char *cursor = weft_http_query(exchange, "cursor");
    if (!cursor || weft_uuid_parse(&filter->before, cursor, strlen(cursor)) == 0)
        return true;
    weft_http_reply_error(exchange, 422,
                          "the parameter \"cursor\" must be what the last page gave as \"next\"");
    return false;
}

static bool read_state(struct weft_http_exchange *exchange, struct weft_job_filter *filter)
{
    const char *state = weft_http_query(exchange, "state");
    if (!state)
        return true;
    filter->state = weft_job_state_named(state);
    if (filter->state != WEFT_JOB_NONE)
        return true;
    weft_http_reply_error(exchange, 422,
                          "the parameter \"state\" must be scheduled, available, running, "
                          "retryable, completed, cancelled, dead or blocked");
    return false;
}

static bool read_flow(struct weft_http_exchange *exchange, struct weft_job_filter *filter)
{
    const char *flow = weft_http_query(exchange, "flow");
    if (!flow || weft_uuid_parse(&filter->flow, flow, strlen(flow)) == 0)
        return true;
    weft_http_reply_error(exchange, 422, "the parameter \"flow\" must be a flow's id");
    return false;
}

static void reply_page(struct weft_http_exchange *exchange, struct weft_job_page *page)
{
    struct weft_buffer body;
    weft_buffer_init(&body, WEFT_API_REPLY_MAX);
    weft_buffer_append_string(&body, "{\"jobs\":[");
    for (size_t i = 0; i < page->count; i++) {
        weft_buffer_append_string(&body, i ? ",{" : "{");
        append_job(&body, page->jobs[i]);
        weft_buffer_append_char(&body, '}');
        weft_job_free(page->jobs[i]);
    }
    weft_buffer_append_char(&body, ']');
    if (page->more) {
        weft_api_id(&body, "next", &page->next);
    } else {
        weft_api_key(&body, "next");
        weft_buffer_append_string(&body, "null");
    }
    weft_buffer_append_char(&body, '}');
    weft_api_reply(exchange, &body);
}

static void get_jobs(struct weft_http_exchange *exchange, void *context)
{
    struct weft_api *api = context;
    uint64_t limit = LIMIT;
    struct weft_job_filter filter = {0};
    if (!weft_api_check_query(exchange, "state queue task flow limit cursor") ||
        !weft_api_query_count(exchange, "limit", &limit, LIMIT_MAX) ||
        !read_cursor(exchange, &filter) || !read_state(exchange, &filter) ||
        !read_flow(exchange, &filter))
        return;
    filter.queue = weft_http_query(exchange, "queue");
    filter.task = weft_http_query(exchange, "task");
    filter.jobs_max = limit;
    struct weft_job_page page = {.jobs = calloc(limit, sizeof(struct weft_job *))};
    int err = page.jobs ? api->broker->ops->list(api->broker, &filter, &page) : -ENOMEM;
    if (err)
        weft_api_refuse_job(exchange, err);
    else
        reply_page(exchange, &page);
    free(page.jobs);
}

/* --- what is wanted of jobs --- */

static void reply_over(struct weft_http_exchange *exchange, enum weft_job_state state)
{
    char detail[96];
    (void)snprintf(detail, sizeof detail, "the job is %s", weft_job_state_name(state));
    weft_http_reply_error(exchange, 409, detail);
}

static void delete_job(struct weft_http_exchange *exchange, void *context)
{
    struct weft_api *api = context;
    if (!weft_api_check_query(exchange, ""))
        return;
    char reason[WEFT_TOKEN_NAME_MAX + 32];
    (void)snprintf(reason, sizeof reason, "cancelled by %s", weft_api_who(api, exchange));
    struct weft_cancel call = {.id = id_of(exchange), .reason = reason};
    int err = api->broker->ops->cancel(api->broker, &call);
    if (err == -EALREADY) {
        reply_over(exchange, call.state);
        return;
    }
    if (err) {
        refuse_id(exchange, api, err);
        return;
    }
    weft_api_audit(api, exchange, "cancel", weft_http_param(exchange, "id"), NULL);
    bool running = call.state == WEFT_JOB_RUNNING;
    struct weft_buffer body;
    weft_buffer_init(&body, WEFT_API_REPLY_MAX);
    weft_buffer_append_char(&body, '{');
    weft_api_id(&body, "id", &call.id);
    weft_api_text(&body, "state", weft_job_state_name(call.state));
    if (running)
        weft_api_bool(&body, "cancelling", true);
    weft_buffer_append_char(&body, '}');
    weft_api_reply_status(exchange, running ? 202 : 200, &body);
}

static void post_retry(struct weft_http_exchange *exchange, void *context)
{
    struct weft_api *api = context;
    struct weft_uuid id = id_of(exchange);
    enum weft_job_state state = WEFT_JOB_NONE;
    if (!weft_api_check_query(exchange, ""))
        return;
    int err = api->broker->ops->retry(api->broker, &id, &state);
    if (err == -EALREADY) {
        reply_over(exchange, state);
        return;
    }
    if (err) {
        refuse_id(exchange, api, err);
        return;
    }
    weft_api_audit(api, exchange, "retry", weft_http_param(exchange, "id"), NULL);
    struct weft_buffer body;
    weft_buffer_init(&body, WEFT_API_REPLY_MAX);
    weft_buffer_append_char(&body, '{');
    weft_api_id(&body, "id", &id);
    weft_api_text(&body, "state", weft_job_state_name(state));
    weft_buffer_append_char(&body, '}');
    weft_api_reply(exchange, &body);
}

/* --- flows --- */

/* Count the jobs of a flow by state, page by page. */
static int count_flow(struct weft_api *api, const struct weft_uuid *flow,
                      uint64_t counts[WEFT_JOB_STATES])
{
    struct weft_job **jobs = calloc(LIMIT_MAX, sizeof *jobs);
    if (!jobs)
        return -ENOMEM;
    struct weft_job_filter filter = {.flow = *flow, .jobs_max = LIMIT_MAX};
    struct weft_job_page page = {.jobs = jobs, .more = true};
    int err = 0;
    while (!err && page.more) {
        err = api->broker->ops->list(api->broker, &filter, &page);
        for (size_t i = 0; !err && i < page.count; i++) {
            counts[jobs[i]->state]++;
            weft_job_free(jobs[i]);
        }
        filter.before = page.next;
    }
    free(jobs);
    return err;
}

static void get_flow(struct weft_http_exchange *exchange, void *context)
{
    struct weft_api *api = context;
    struct weft_uuid id = id_of(exchange);
    uint64_t counts[WEFT_JOB_STATES] = {0}, total = 0, over = 0;
    int err = weft_api_check_query(exchange, "") ? count_flow(api, &id, counts) : 1;
    if (err > 0)
        return;
    for (int state = WEFT_JOB_SCHEDULED; state < WEFT_JOB_STATES; state++) {
        total += counts[state];
        over += weft_job_state_is_final((enum weft_job_state)state) ? counts[state] : 0;
    }
    if (err) {
        weft_api_refuse_job(exchange, err);
    } else if (total == 0) {
        weft_http_reply_error(exchange, 404, "there is no such flow");
    } else {
        struct weft_buffer body;
        weft_buffer_init(&body, WEFT_API_REPLY_MAX);
        weft_buffer_append_char(&body, '{');
        weft_api_id(&body, "flow", &id);
        weft_api_bool(&body, "done", over == total);
        weft_api_key(&body, "jobs");
        weft_buffer_append_char(&body, '{');
        for (int state = WEFT_JOB_SCHEDULED; state < WEFT_JOB_STATES; state++)
            weft_api_number(&body, weft_job_state_name((enum weft_job_state)state), counts[state]);
        weft_buffer_append_string(&body, "}}");
        weft_api_reply(exchange, &body);
    }
}

static void delete_flow(struct weft_http_exchange *exchange, void *context)
{
    struct weft_api *api = context;
    if (!weft_api_check_query(exchange, ""))
        return;
    struct weft_cancel call = {.kind = WEFT_CANCEL_FLOW, .id = id_of(exchange)};
    int err = api->broker->ops->cancel(api->broker, &call);
    if (err == -ENOENT)
        weft_http_reply_error(exchange, 404, "there is no such flow");
    else if (err == -EALREADY)
        weft_http_reply_error(exchange, 409, "the flow is over");
    else if (err)
        weft_api_refuse_job(exchange, err);
    if (err)
        return;
    weft_api_audit(api, exchange, "cancel_flow", weft_http_param(exchange, "id"), NULL);
    struct weft_buffer body;
    weft_buffer_init(&body, WEFT_API_REPLY_MAX);
    weft_buffer_append_char(&body, '{');
    weft_api_id(&body, "flow", &call.id);
    weft_api_number(&body, "cancelled", call.cancelled);
    weft_api_number(&body, "cancelling", call.flagged);
    weft_buffer_append_char(&body, '}');
    weft_api_reply(exchange, &body);
}

const struct weft_api_route weft_api_job_routes[] = {
    {{.method = "POST",
      .pattern = "/v1/jobs",
      .handler = post_jobs,
      .body_bytes_max = BATCH_BYTES_MAX},
     WEFT_MAY_ENQUEUE},
    {{.method = "GET", .pattern = "/v1/jobs", .handler = get_jobs}, WEFT_MAY_READ},
    {{.method = "GET", .pattern = "/v1/jobs/{id:uuid}", .handler = get_job}, WEFT_MAY_READ},
    {{.method = "DELETE", .pattern = "/v1/jobs/{id:uuid}", .handler = delete_job}, WEFT_MAY_ADMIN},
    {{.method = "POST", .pattern = "/v1/jobs/{id:uuid}/retry", .handler = post_retry},
     WEFT_MAY_ADMIN},
    {{.method = "GET", .pattern = "/v1/flows/{id:uuid}", .handler = get_flow}, WEFT_MAY_READ},
    {{.method = "DELETE", .pattern = "/v1/flows/{id:uuid}", .handler = delete_flow},
     WEFT_MAY_ADMIN},
    {{0}, 0},
};
