/* SPDX-License-Identifier: MIT
 * api_submit.c - POST /v1/jobs: jobs in, one or many. */
#include <serve/api_job.h>

#include <serve/api_body.h>
#include <serve/api_json.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define BATCH_BYTES_MAX  ((size_t)32 << 20)
#define DAY_US           ((int64_t)24 * 3600 * 1000000)
#define IDEMPOTENCY_MAX  200
#define IDEMPOTENCY_SPAN (IDEMPOTENCY_MAX + 40)
#define ALL_STATES       ((1u << WEFT_JOB_STATES) - 2)

/* --- reading --- */

static int parse_json(void *ret_requests, const char *body, size_t len,
                      struct weft_refusal *ret_refusal)
{
    return weft_job_json_parse(ret_requests, WEFT_JOB_BODY_JSON, body, len, ret_refusal);
}

static int parse_lines(void *ret_requests, const char *body, size_t len,
                       struct weft_refusal *ret_refusal)
{
    return weft_job_json_parse(ret_requests, WEFT_JOB_BODY_LINES, body, len, ret_refusal);
}

/* The route has let in only types that it knows. */
static weft_body_parser *parser_for(const struct weft_http_exchange *exchange)
{
    const char *type = weft_http_header(exchange, "Content-Type");
    bool lines = type && (strncasecmp(type, "application/x-ndjson", 20) == 0 ||
                          strncasecmp(type, "application/ndjson", 18) == 0);
    return lines ? parse_lines : parse_json;
}

static bool refuse_key(struct weft_http_exchange *exchange, const char *detail)
{
    weft_http_reply_error(exchange, 422, detail);
    return false;
}

/* A request that comes twice with the same key puts its jobs in once. False: answered. */
static bool set_idempotency(struct weft_http_exchange *exchange,
                            struct weft_submissions *submissions)
{
    const char *key = weft_http_header(exchange, "Idempotency-Key");
    if (!key)
        return true;
    if (!key[0] || strlen(key) > IDEMPOTENCY_MAX)
        return refuse_key(exchange, "an idempotency key has 1 to 200 characters");
    for (const char *c = key; *c; c++)
        if (*c < ' ' || *c == 0x7f) /* bytes above are negative */
            return refuse_key(exchange, "an idempotency key is of ASCII characters");
    for (size_t i = 0; i < submissions->requests.count; i++) {
        struct weft_submission *item = weft_submissions_at(submissions, i);
        char *text = weft_arena_alloc(&submissions->requests.arena, IDEMPOTENCY_SPAN);
        if (item->unique_key)
            return refuse_key(exchange, "a job is either unique or the request has an idempotency "
                                        "key, not both");
        if (!text) {
            weft_api_refuse_job(exchange, -ENOMEM);
            return false;
        }
        if (submissions->requests.single)
            (void)snprintf(text, IDEMPOTENCY_SPAN, WEFT_JOB_IDEMPOTENCY_KEYS ":%s", key);
        else
            (void)snprintf(text, IDEMPOTENCY_SPAN, WEFT_JOB_IDEMPOTENCY_KEYS "%zu:%s", i, key);
        item->unique_key = text;
        item->unique = (struct weft_unique){.window_us = DAY_US, .states = ALL_STATES};
    }
    return true;
}

static bool is_same_text(const char *one, const char *other)
{
    return one && other ? strcmp(one, other) == 0 : one == other;
}

static bool is_same_bytes(const struct weft_bytes *one, const struct weft_bytes *other)
{
    return one->json == other->json && one->len == other->len &&
           (one->len == 0 || memcmp(one->data, other->data, one->len) == 0);
}

/* Whether a job that is there is as it is asked for now. What is counted from the moment of the
 * request says nothing. */
static bool is_as_asked(const struct weft_job *job, const struct weft_submission *asked)
{
    int priority = asked->priority < 0 ? WEFT_PRIORITY_DEFAULT : asked->priority;
    return strcmp(job->task, asked->task) == 0 && strcmp(job->queue, asked->queue) == 0 &&
           job->priority == priority && is_same_bytes(&job->payload, &asked->payload) &&
           (!asked->attempts_max || job->attempts_max == asked->attempts_max) &&
           (!asked->expires_at_us || job->expires_us == asked->expires_at_us) &&
           job->timeout_us == asked->timeout_us && job->grace_us == asked->grace_us &&
           job->result_ttl_us == asked->result_ttl_us && job->backoff.kind == asked->backoff.kind &&
           job->backoff.jitter == asked->backoff.jitter &&
           job->backoff.base_us == asked->backoff.base_us &&
           job->backoff.cap_us == asked->backoff.cap_us &&
           is_same_text(job->content_type, asked->content_type) &&
           is_same_text(job->limit_key, asked->limit_key) &&
           is_same_text(job->headers, asked->headers);
}

/* Of a request that came with an idempotency key: what is there already must be what is meant. */
static void check_repeated(struct weft_api *api, const struct weft_submissions *submissions)
{
    for (size_t i = 0; i < submissions->requests.count; i++) {
        struct weft_submission *item = &submissions->items[i];
        struct weft_job *job;
        if (item->err != WEFT_EDUPLICATE ||
            api->broker->ops->find(api->broker, &item->id, &job) != 0)
            continue;
        if (!is_as_asked(job, item))
            item->err = -EKEYREJECTED;
        weft_job_free(job);
    }
}

/* --- answering --- */

/* Of a job that is there already. One that doubles another of a request that was refused is not. */
static bool is_there(const struct weft_submission *item)
{
    return item->err == WEFT_EDUPLICATE && !weft_uuid_is_none(&item->id);
}

static void append_accepted(struct weft_buffer *body, const struct weft_submission *item)
{
    weft_buffer_append_char(body, '{');
    if (!item->err || is_there(item))
        weft_api_id(body, "id", &item->id);
    if (!item->err) {
        weft_api_text(body, "state", weft_job_state_name(item->state));
        if (!weft_uuid_is_none(&item->flow))
            weft_api_id(body, "flow", &item->flow);
    } else if (is_there(item)) {
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

/* Of a batch that was to be put in as a whole: the error that is the reason. Who repeats it, but
 * not as it was, has made a mistake; that others are there already is none. */
static int reason_of(const struct weft_submissions *submissions)
{
    int reason = 0;
    for (size_t i = 0; i < submissions->requests.count; i++) {
        int err = weft_submissions_at(submissions, i)->err;
        if (err && (!reason || reason == -ECANCELED || err == -EKEYREJECTED))
            reason = err;
    }
    return reason;
}

/* Whether this is a request again that went in before, under its key. */
static bool is_repeated(const struct weft_http_exchange *exchange,
                        const struct weft_submissions *submissions)
{
    bool repeated = weft_http_header(exchange, "Idempotency-Key");
    for (size_t i = 0; repeated && i < submissions->requests.count; i++)
        repeated = is_there(weft_submissions_at(submissions, i));
    return repeated;
}

static void reply_batch(struct weft_http_exchange *exchange,
                        const struct weft_submissions *submissions, bool atomic)
{
    size_t count = submissions->requests.count, accepted = 0, refused = 0;
    for (size_t i = 0; i < count; i++) {
        int err = weft_submissions_at(submissions, i)->err;
        accepted += err == 0;
        refused += err != 0 && !is_there(weft_submissions_at(submissions, i));
    }
    int reason = atomic && !is_repeated(exchange, submissions) ? reason_of(submissions) : 0;
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
        append_accepted(&body, weft_submissions_at(submissions, i));
        weft_buffer_append_char(&body, '}');
    }
    weft_buffer_append_string(&body, "]}");
    int status = reason ? weft_api_status_of(reason) : 200;
    if (status == 503)
        weft_http_reply_header(exchange, "Retry-After", "1");
    weft_api_reply_status(exchange, status, &body);
}

static void submit(struct weft_http_exchange *exchange, struct weft_api *api,
                   struct weft_submissions *submissions, bool atomic)
{
    size_t count = submissions->requests.count;
    int err = weft_engine_submit(api->engine, submissions->items, count, atomic);
    weft_api_note_store(api, err);
    if (!err && weft_http_header(exchange, "Idempotency-Key"))
        check_repeated(api, submissions);
    if (err)
        weft_api_refuse(api, exchange, err);
    else if (submissions->requests.single)
        reply_single(exchange, submissions->items);
    else
        reply_batch(exchange, submissions, atomic);
}

static void post_jobs(struct weft_http_exchange *exchange, void *context)
{
    struct weft_api *api = context;
    struct weft_job_requests requests;
    struct weft_submissions submissions;
    bool atomic = false;
    if (!weft_api_query_bool(exchange, "atomic", &atomic) ||
        !weft_api_read_body(exchange, parser_for(exchange), &requests))
        return;
    int err = weft_submissions_make(&submissions, api->engine, &requests);
    if (err)
        weft_api_refuse_job(exchange, err);
    else if (set_idempotency(exchange, &submissions))
        submit(exchange, api, &submissions, atomic);
    weft_submissions_release(&submissions);
}

const struct weft_api_route weft_api_submit_routes[] = {
    {{.method = "POST",
      .pattern = "/v1/jobs",
      .handler = post_jobs,
      .body_bytes_max = BATCH_BYTES_MAX},
     WEFT_MAY_ENQUEUE,
     "atomic",
     .lines = true},
    {{0}},
};
