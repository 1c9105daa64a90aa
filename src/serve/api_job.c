/* SPDX-License-Identifier: MIT
 * api_job.c - /v1/jobs and /v1/flows: how jobs are, and what is wanted of them. */
#include <serve/api_job.h>

#include <serve/api_body.h>
#include <serve/api_json.h>

#include <base/duration.h>
#include <weft/runtime.h>

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WAIT_MAX_NS (60 * WEFT_SEC)
#define LIMIT_MAX   1000
#define LIMIT       50

/* --- one job --- */

/* "timeout" is when an attempt is ended, "soft_timeout" when it is told to end. */
void weft_api_timeouts(struct weft_buffer *body, const struct weft_job *job)
{
    if (job->timeout_us && job->grace_us)
        weft_api_seconds(body, "soft_timeout", job->timeout_us);
    weft_api_seconds_if(body, "timeout", job->timeout_us ? job->timeout_us + job->grace_us : 0);
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
    weft_api_timeouts(body, job);
    weft_api_text_if(body, "unique_key", job->unique_key);
    weft_api_text_if(body, "limit_key", job->limit_key);
    if (!weft_uuid_is_none(&job->flow))
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

/* Only where the job has one of its own. */
static void append_backoff(struct weft_buffer *body, const struct weft_job_backoff *backoff)
{
    if (backoff->base_us == 0)
        return;
    weft_api_key(body, "backoff");
    weft_buffer_append_char(body, '{');
    weft_api_text(body, "kind",
                  backoff->kind == WEFT_BACKOFF_CONSTANT ? "constant"
                  : backoff->kind == WEFT_BACKOFF_LINEAR ? "linear"
                                                         : "exponential");
    weft_api_seconds(body, "base", backoff->base_us);
    weft_api_seconds_if(body, "cap", backoff->cap_us);
    weft_api_text(body, "jitter",
                  backoff->jitter == WEFT_JITTER_NONE    ? "none"
                  : backoff->jitter == WEFT_JITTER_EQUAL ? "equal"
                                                         : "full");
    weft_buffer_append_char(body, '}');
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
    weft_api_seconds_if(&body, "result_ttl", job->result_ttl_us);
    append_backoff(&body, &job->backoff);
    weft_api_json_if(&body, "headers", job->headers, job->headers ? strlen(job->headers) : 0);
    weft_api_text_if(&body, "content_type", job->content_type);
    weft_api_bytes_if(&body, "payload", &job->payload);
    weft_api_bytes_if(&body, "result", &job->result);
    append_failures(&body, api, &job->id);
    weft_buffer_append_char(&body, '}');
    weft_api_reply(exchange, &body);
}

static void refuse_id(struct weft_http_exchange *exchange, struct weft_api *api, int err)
{
    if (err == -ENOENT)
        weft_http_reply_error(exchange, 404, "there is no such job");
    else
        weft_api_refuse(api, exchange, err);
}

/* "30" or "0.5": digits, and perhaps a point with digits behind it. */
static bool parse_seconds(const char *text, int64_t *ret_ns)
{
    size_t whole = strspn(text, "0123456789");
    size_t fraction = text[whole] == '.' ? strspn(text + whole + 1, "0123456789") : 0;
    if (whole == 0 || text[whole + (fraction ? fraction + 1 : 0)])
        return false;
    *ret_ns = (int64_t)(fmin(strtod(text, NULL), 1e6) * 1e9);
    return true;
}

/* ?wait=30s, at most a minute; false: answered. */
static bool read_wait(struct weft_http_exchange *exchange, int64_t *ret_wait_ns)
{
    const char *text = weft_http_query(exchange, "wait");
    int64_t wait_ns = 0;
    if (text && !parse_seconds(text, &wait_ns) &&
        weft_duration_parse(&wait_ns, text, strlen(text)) != 0)
        wait_ns = -1;
    if (wait_ns < 0 || wait_ns > WAIT_MAX_NS) {
        weft_http_reply_error(exchange, 422,
                              "the parameter \"wait\" must be seconds, or like \"1m\", up to 60s");
        return false;
    }
    *ret_wait_ns = wait_ns;
    return true;
}

/* Until it is over, or the time is; or nobody waits any more, or the server is to end. */
static int wait_for(struct weft_http_exchange *exchange, struct weft_api *api,
                    const struct weft_uuid *id, int64_t deadline_ns, struct weft_job **ret_job)
{
    const struct weft_case others[] = {weft_http_case_gone(exchange),
                                       weft_http_case_drain(exchange)};
    for (;;) {
        int err = weft_engine_wait_or(api->engine, id, deadline_ns, others, 2, ret_job);
        if (err != -ETIMEDOUT)
            return err;
        if (weft_now() >= deadline_ns || weft_http_gone(exchange) || weft_http_draining(exchange))
            return 0;
        weft_job_free(*ret_job); /* it had seemed that the client was gone */
    }
}

static void get_job(struct weft_http_exchange *exchange, void *context)
{
    struct weft_api *api = context;
    int64_t wait_ns;
    if (!read_wait(exchange, &wait_ns))
        return;
    struct weft_uuid id = weft_api_path_id(exchange);
    struct weft_job *job = NULL;
    int err;
    if (wait_ns > 0)
        err = wait_for(exchange, api, &id, weft_now() + wait_ns, &job);
    else
        err = api->broker->ops->find(api->broker, &id, &job);
    if (err) {
        refuse_id(exchange, api, err);
        return;
    }
    reply_job(exchange, api, job);
    weft_job_free(job);
}

/* --- lists --- */

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

static void reply_page(struct weft_http_exchange *exchange, struct weft_job_page *page)
{
    struct weft_buffer body;
    weft_buffer_init(&body, WEFT_API_LIST_MAX);
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
    if (!weft_api_query_count(exchange, "limit", &limit, LIMIT_MAX) ||
        !weft_api_query_id(exchange, "cursor", &filter.before,
                           "what the last page gave as \"next\"") ||
        !weft_api_query_id(exchange, "flow", &filter.flow, "a flow's id") ||
        !weft_api_query_name(exchange, "queue", &filter.queue) ||
        !weft_api_query_name(exchange, "task", &filter.task) || !read_state(exchange, &filter))
        return;
    filter.jobs_max = limit;
    struct weft_job_page page = {.jobs = calloc(limit, sizeof(struct weft_job *))};
    int err = page.jobs ? api->broker->ops->list(api->broker, &filter, &page) : -ENOMEM;
    if (err)
        weft_api_refuse(api, exchange, err);
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

#define REASON_BYTES (WEFT_TOKEN_NAME_MAX + 32)

static const char *reason_of(const struct weft_api *api, const struct weft_http_exchange *exchange,
                             char reason[REASON_BYTES])
{
    (void)snprintf(reason, REASON_BYTES, "cancelled by %s", weft_api_who(api, exchange));
    return reason;
}

static void delete_job(struct weft_http_exchange *exchange, void *context)
{
    struct weft_api *api = context;
    char reason[REASON_BYTES];
    struct weft_cancel call = {.id = weft_api_path_id(exchange),
                               .reason = reason_of(api, exchange, reason)};
    int err = api->broker->ops->cancel(api->broker, &call);
    if (err == -EALREADY) {
        reply_over(exchange, call.state);
        return;
    }
    if (err) {
        refuse_id(exchange, api, err);
        return;
    }
    weft_api_note_store(api, 0);
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
    struct weft_uuid id = weft_api_path_id(exchange);
    enum weft_job_state state = WEFT_JOB_NONE;
    if (!weft_api_read_nothing(exchange))
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
    weft_api_note_store(api, 0);
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

/* Count the jobs of a flow by state, page by page, as long as somebody wants to know. */
static int count_flow(const struct weft_http_exchange *exchange, struct weft_api *api,
                      const struct weft_uuid *flow, uint64_t counts[WEFT_JOB_STATES])
{
    struct weft_job **jobs = calloc(LIMIT_MAX, sizeof(struct weft_job *));
    if (!jobs)
        return -ENOMEM;
    struct weft_job_filter filter = {.flow = *flow, .jobs_max = LIMIT_MAX};
    struct weft_job_page page = {.jobs = jobs, .more = true};
    int err = 0;
    while (!err && page.more && !weft_http_gone(exchange)) {
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

static void reply_flow(struct weft_http_exchange *exchange, const struct weft_uuid *id,
                       const uint64_t counts[WEFT_JOB_STATES])
{
    uint64_t total = 0, over = 0;
    for (int state = WEFT_JOB_SCHEDULED; state < WEFT_JOB_STATES; state++) {
        total += counts[state];
        over += weft_job_state_is_final((enum weft_job_state)state) ? counts[state] : 0;
    }
    if (total == 0) {
        weft_http_reply_error(exchange, 404, "there is no such flow");
        return;
    }
    struct weft_buffer body;
    weft_buffer_init(&body, WEFT_API_REPLY_MAX);
    weft_buffer_append_char(&body, '{');
    weft_api_id(&body, "flow", id);
    weft_api_bool(&body, "done", over == total);
    weft_api_counts(&body, "jobs", counts);
    weft_buffer_append_char(&body, '}');
    weft_api_reply(exchange, &body);
}

static void get_flow(struct weft_http_exchange *exchange, void *context)
{
    struct weft_api *api = context;
    struct weft_uuid id = weft_api_path_id(exchange);
    uint64_t counts[WEFT_JOB_STATES] = {0};
    int err = weft_uuid_is_none(&id) ? 0 : count_flow(exchange, api, &id, counts);
    if (err)
        weft_api_refuse(api, exchange, err);
    else
        reply_flow(exchange, &id, counts);
}

static void delete_flow(struct weft_http_exchange *exchange, void *context)
{
    struct weft_api *api = context;
    char reason[REASON_BYTES];
    struct weft_cancel call = {.kind = WEFT_CANCEL_FLOW,
                               .id = weft_api_path_id(exchange),
                               .reason = reason_of(api, exchange, reason)};
    int err = api->broker->ops->cancel(api->broker, &call);
    if (err == -ENOENT)
        weft_http_reply_error(exchange, 404, "there is no such flow");
    else if (err == -EALREADY)
        weft_http_reply_error(exchange, 409, "the flow is over");
    else if (err)
        weft_api_refuse(api, exchange, err);
    if (err)
        return;
    weft_api_note_store(api, 0);
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
    {{.method = "GET", .pattern = "/v1/jobs", .handler = get_jobs},
     WEFT_MAY_READ,
     "state queue task flow limit cursor"},
    {{.method = "GET", .pattern = "/v1/jobs/{id:uuid}", .handler = get_job}, WEFT_MAY_READ, "wait"},
    {{.method = "DELETE", .pattern = "/v1/jobs/{id:uuid}", .handler = delete_job},
     WEFT_MAY_ADMIN,
     ""},
    {{.method = "POST", .pattern = "/v1/jobs/{id:uuid}/retry", .handler = post_retry},
     WEFT_MAY_ADMIN,
     ""},
    {{.method = "GET", .pattern = "/v1/flows/{id:uuid}", .handler = get_flow}, WEFT_MAY_READ, ""},
    {{.method = "DELETE", .pattern = "/v1/flows/{id:uuid}", .handler = delete_flow},
     WEFT_MAY_ADMIN,
     ""},
    {{0}},
};
