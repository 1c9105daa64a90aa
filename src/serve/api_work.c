/* SPDX-License-Identifier: MIT
 * api_work.c - /v1/lease, /v1/settle, /v1/extend: jobs for workers in any language.
 *
 * A lease is a job's id with a token. Tokens travel as strings: they have more digits than some
 * languages' numbers. Whoever comes with one that is no longer the job's changes nothing. */
#include <serve/api.h>

#include <serve/api_body.h>
#include <serve/api_job.h>
#include <serve/api_json.h>
#include <serve/work_json.h>

#include <weft/runtime.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SETTLE_BYTES_MAX ((size_t)32 << 20)
#define EXTEND_BYTES_MAX ((size_t)8 << 20)
#define TOKEN_LEN        20 /* digits at most */

/* --- lease --- */

/* Wait for something in the queues, until the deadline, or the client or the server goes away.
 * Returns whether it is worth while to look again. */
static bool wait_for_jobs(struct weft_http_exchange *exchange, struct weft_queue_watch *watch,
                          int64_t deadline_ns)
{
    struct weft_case cases[] = {
        weft_queue_watch_case(watch),
        weft_http_case_gone(exchange),
        weft_http_case_drain(exchange),
    };
    int chosen = weft_select(cases, 3, deadline_ns, 0);
    return chosen != -ECANCELED && !weft_http_gone(exchange) && !weft_http_draining(exchange);
}

/* Claim, and wait for the first if there is none. */
static int claim_or_wait(struct weft_http_exchange *exchange, struct weft_api *api,
                         const struct weft_lease_request *request, struct weft_claim *claim)
{
    struct weft_queue_watch watch;
    int64_t deadline_ns = weft_now() + request->wait_ns;
    int err = weft_queue_watch_begin(&watch, api->engine, claim);
    if (err)
        return err;
    bool again = true;
    while (again) {
        weft_queue_watch_look(&watch);
        do
            err = api->broker->ops->claim(api->broker, claim);
        while (!err && claim->count == 0 && claim->more);
        int64_t now_ns = weft_now(), until_ns = deadline_ns;
        if (err || claim->count > 0 || now_ns >= deadline_ns)
            break;
        if (claim->next_us < (deadline_ns - now_ns) / 1000)
            until_ns = now_ns + claim->next_us * 1000;
        again = wait_for_jobs(exchange, &watch, until_ns);
    }
    weft_queue_watch_end(&watch);
    return err;
}

static void append_token(struct weft_buffer *body, uint64_t token)
{
    char text[TOKEN_LEN + 1];
    (void)snprintf(text, sizeof text, "%" PRIu64, token);
    weft_api_raw(body, "token", text, strlen(text));
}

static void append_inputs(struct weft_buffer *body, const struct weft_job *job)
{
    if (job->inputs_count == 0)
        return;
    weft_api_key(body, "inputs");
    weft_buffer_append_char(body, '[');
    for (size_t i = 0; i < job->inputs_count; i++) {
        const struct weft_job_input *input = &job->inputs[i];
        weft_buffer_append_string(body, i ? ",{" : "{");
        weft_api_id(body, "id", &input->id);
        weft_api_text(body, "state", weft_job_state_name(input->state));
        weft_api_bytes_if(body, "result", &input->result);
        weft_buffer_append_char(body, '}');
    }
    weft_buffer_append_char(body, ']');
}

/* Delays as the job has them; left out when it leaves them to its task's handler. */
static void append_backoff(struct weft_buffer *body, const struct weft_job_backoff *backoff)
{
    static const char *const kinds[] = {
        [WEFT_BACKOFF_EXPONENTIAL] = "exponential",
        [WEFT_BACKOFF_LINEAR] = "linear",
        [WEFT_BACKOFF_CONSTANT] = "constant",
    };
    if (backoff->base_us == 0)
        return;
    weft_api_key(body, "backoff");
    weft_buffer_append_char(body, '{');
    weft_api_text(body, "kind", kinds[backoff->kind]);
    weft_api_text(body, "jitter",
                  backoff->jitter == WEFT_JITTER_FULL    ? "full"
                  : backoff->jitter == WEFT_JITTER_EQUAL ? "equal"
                                                         : "none");
    weft_api_seconds(body, "base", backoff->base_us);
    weft_api_seconds_if(body, "cap", backoff->cap_us);
    weft_buffer_append_char(body, '}');
}

static void append_flow(struct weft_buffer *body, const struct weft_uuid *flow)
{
    static const struct weft_uuid none;
    if (memcmp(flow, &none, sizeof none) != 0)
        weft_api_id(body, "flow", flow);
}

static void append_leased(struct weft_buffer *body, const struct weft_job *job)
{
    weft_buffer_append_char(body, '{');
    weft_api_id(body, "id", &job->id);
    append_token(body, job->lease_token);
    weft_api_text(body, "task", job->task);
    weft_api_text(body, "queue", job->queue);
    weft_api_number(body, "attempt", job->attempt);
    weft_api_number(body, "max_attempts", job->attempts_max);
    weft_api_time(body, "lease_until", job->lease_until_us);
    weft_api_timeouts(body, job);
    append_backoff(body, &job->backoff);
    append_flow(body, &job->flow);
    weft_api_json_if(body, "headers", job->headers, job->headers ? strlen(job->headers) : 0);
    weft_api_text_if(body, "content_type", job->content_type);
    weft_api_bytes_if(body, "payload", &job->payload);
    append_inputs(body, job);
    weft_buffer_append_char(body, '}');
}

/* Nobody gets these: they go back without having spent an attempt. */
static void give_back(struct weft_api *api, struct weft_job *const *jobs, size_t count)
{
    struct weft_settlement *items = calloc(count, sizeof *items);
    for (size_t i = 0; items && i < count; i++)
        items[i] = (struct weft_settlement){.job = jobs[i], .event = WEFT_JOB_RELEASE};
    if (items)
        (void)api->broker->ops->settle(api->broker, items, count);
    free(items); /* without memory, or with an error, their leases run out */
}

/* As many of the jobs as one answer holds. Returns how many. */
static unsigned append_jobs(struct weft_buffer *body, const struct weft_claim *claim)
{
    unsigned count = 0;
    size_t good = 0;
    weft_buffer_append_string(body, "{\"jobs\":[");
    for (; count < claim->count && !body->err; count++) {
        good = body->len;
        if (count > 0)
            weft_buffer_append_char(body, ',');
        append_leased(body, claim->jobs[count]);
    }
    if (body->err == -EMSGSIZE && count > 1) {
        body->err = 0;
        body->len = good;
        count--;
    }
    body->len_max += 2; /* there is always room for the end */
    weft_buffer_append_string(body, "]}");
    return body->err ? 0 : count;
}

/* What does not reach the client goes back. */
static void reply_leased(struct weft_http_exchange *exchange, struct weft_api *api,
                         const struct weft_claim *claim)
{
    struct weft_buffer body;
    weft_buffer_init(&body, WEFT_API_LIST_MAX);
    unsigned count = append_jobs(&body, claim);
    bool gone = weft_http_gone(exchange);
    weft_api_reply(exchange, &body);
    if (claim->count == 0)
        return;
    if (gone || weft_http_reply_send(exchange) < 0)
        count = 0;
    if (count < claim->count)
        give_back(api, claim->jobs + count, claim->count - count);
}

static int parse_lease(void *ret_request, const char *body, size_t len,
                       struct weft_refusal *ret_refusal)
{
    return weft_lease_request_parse(ret_request, body, len, ret_refusal);
}

static void post_lease(struct weft_http_exchange *exchange, void *context)
{
    struct weft_api *api = context;
    struct weft_lease_request request;
    if (!weft_api_read_body(exchange, parse_lease, &request))
        return;
    struct weft_claim claim = {
        .queues = request.queues.words,
        .queues_count = request.queues.count,
        .tasks = request.tasks.words,
        .tasks_count = request.tasks.count,
        .worker = (int64_t)request.worker,
        .lease_us = request.lease_ns / 1000,
        .jobs_max = (unsigned)request.max,
        .jobs = calloc(request.max, sizeof(struct weft_job *)),
        .next_us = INT64_MAX,
    };
    int err = claim.jobs ? claim_or_wait(exchange, api, &request, &claim) : -ENOMEM;
    if (err)
        weft_api_refuse(api, exchange, err);
    else
        reply_leased(exchange, api, &claim);
    for (unsigned i = 0; i < claim.count; i++)
        weft_job_free(claim.jobs[i]);
    free(claim.jobs);
    weft_lease_request_deinit(&request);
}

/* --- what settle and extend have in common --- */

static void append_failure(struct weft_buffer *body, int err)
{
    bool lost = err == -ESTALE;
    weft_api_number(body, "status", (uint64_t)(lost ? 409 : weft_api_status_of(err)));
    weft_api_text(body, "error",
                  lost ? "the lease is lost: the token is not the job's present one"
                       : weft_api_detail_of(err));
}

/* --- extend --- */

static int parse_extend(void *ret_request, const char *body, size_t len,
                        struct weft_refusal *ret_refusal)
{
    return weft_extend_request_parse(ret_request, body, len, ret_refusal);
}

static void reply_extended(struct weft_http_exchange *exchange,
                           const struct weft_extend_request *request, int64_t asked_us)
{
    struct weft_buffer body;
    weft_buffer_init(&body, WEFT_API_REPLY_MAX);
    weft_buffer_append_string(&body, "{\"jobs\":[");
    for (size_t i = 0; i < request->count; i++) {
        const struct weft_lease *lease = &request->items[i];
        weft_buffer_append_string(&body, i ? ",{" : "{");
        weft_api_id(&body, "id", &lease->id);
        if (lease->err) {
            append_failure(&body, lease->err);
        } else {
            if (lease->lease_us > 0)
                weft_api_time(&body, "lease_until", asked_us + lease->lease_us);
            weft_api_bool(&body, "cancel", lease->cancelling);
        }
        weft_buffer_append_char(&body, '}');
    }
    weft_buffer_append_string(&body, "]}");
    weft_api_reply(exchange, &body);
}

static void post_extend(struct weft_http_exchange *exchange, void *context)
{
    struct weft_api *api = context;
    struct weft_extend_request request;
    if (!weft_api_read_body(exchange, parse_extend, &request))
        return;
    /* Before the call: the leases last at least as long as is said. */
    int64_t asked_us = api->broker->ops->now_us(api->broker);
    int err = api->broker->ops->extend(api->broker, request.items, request.count);
    if (err)
        weft_api_refuse(api, exchange, err);
    else
        reply_extended(exchange, &request, asked_us);
    weft_extend_request_deinit(&request);
}

/* --- settle --- */

/* What one item needs beside its settlement. */
struct settling {
    struct weft_job job; /* id and token */
    struct weft_follow_jobs *follow;
};

static int parse_settle(void *ret_request, const char *body, size_t len,
                        struct weft_refusal *ret_refusal)
{
    return weft_settle_request_parse(ret_request, body, len, ret_refusal);
}

static void fill_settlement(struct weft_settlement *settlement, struct settling *settling,
                            const struct weft_settle_item *item)
{
    settling->job.id = item->id;
    settling->job.lease_token = item->token;
    *settlement = (struct weft_settlement){
        .job = &settling->job,
        .event = item->event,
        .delay_us = item->delay_ns < 0 ? 0 : item->delay_ns / 1000,
        .result = item->result,
        .error = item->error,
    };
    if (item->error)
        return;
    if (item->event == WEFT_JOB_RETRY || item->event == WEFT_JOB_DIE)
        settlement->error = "the worker gave no reason";
    else if (item->event == WEFT_JOB_CANCEL) /* the reason of who asked for it goes before */
        settlement->error = "cancelled by its worker";
}

/* A failure: is there another attempt, and when? The job, which may be large, is looked at and let
 * go: a request has a thousand of them. */
static int judge(struct weft_api *api, const struct weft_settle_item *item,
                 struct weft_settlement *settlement)
{
    struct weft_job *job;
    int err = api->broker->ops->find(api->broker, &item->id, &job);
    if (err)
        return err == -ENOENT ? 0 : err; /* settling it will say that the lease is lost */
    settlement->delay_us = item->delay_ns < 0 ? -1 : item->delay_ns / 1000;
    weft_engine_judge(api->engine, job, settlement);
    weft_job_free(job);
    return 0;
}

static int prepare(struct weft_api *api, struct weft_settle_item *item, struct settling *settling,
                   struct weft_settlement *settlement)
{
    fill_settlement(settlement, settling, item);
    if (item->fails)
        return judge(api, item, settlement);
    if (item->follow.count > 0)
        return weft_follow_jobs_make(&settling->follow, api->engine, &item->follow, settlement);
    return 0;
}

/* Those that were refused because of their further jobs, once more without the reason. */
static int settle_mended(struct weft_api *api, struct settling *settling,
                         struct weft_settlement *settlements, size_t count)
{
    int err = 0;
    for (size_t i = 0; !err && i < count; i++)
        while (!err && weft_follow_jobs_mend(settling[i].follow, api->engine, &settlements[i]))
            err = api->broker->ops->settle(api->broker, &settlements[i], 1);
    return err;
}

static void reply_settled(struct weft_http_exchange *exchange,
                          const struct weft_settlement *settlements, size_t count)
{
    struct weft_buffer body;
    weft_buffer_init(&body, WEFT_API_REPLY_MAX);
    weft_buffer_append_string(&body, "{\"jobs\":[");
    for (size_t i = 0; i < count; i++) {
        weft_buffer_append_string(&body, i ? ",{" : "{");
        weft_api_id(&body, "id", &settlements[i].job->id);
        if (settlements[i].err)
            append_failure(&body, settlements[i].err);
        else
            weft_api_text(&body, "state", weft_job_state_name(settlements[i].state));
        weft_buffer_append_char(&body, '}');
    }
    weft_buffer_append_string(&body, "]}");
    weft_api_reply(exchange, &body);
}

static void settle(struct weft_http_exchange *exchange, struct weft_api *api,
                   struct weft_settle_request *request)
{
    size_t count = request->count;
    struct weft_settlement *settlements = calloc(count, sizeof *settlements);
    struct settling *settling = calloc(count, sizeof *settling);
    int err = settlements && settling ? 0 : -ENOMEM;
    for (size_t i = 0; !err && i < count; i++)
        err = prepare(api, &request->items[i], &settling[i], &settlements[i]);
    if (!err)
        err = api->broker->ops->settle(api->broker, settlements, count);
    if (!err)
        err = settle_mended(api, settling, settlements, count);
    if (err)
        weft_api_refuse(api, exchange, err);
    else
        reply_settled(exchange, settlements, count);
    for (size_t i = 0; settling && i < count; i++)
        weft_follow_jobs_free(settling[i].follow);
    free(settling);
    free(settlements);
}

static void post_settle(struct weft_http_exchange *exchange, void *context)
{
    struct weft_settle_request request;
    if (!weft_api_read_body(exchange, parse_settle, &request))
        return;
    settle(exchange, context, &request);
    weft_settle_request_deinit(&request);
}

const struct weft_api_route weft_api_work_routes[] = {
    {{.method = "POST", .pattern = "/v1/lease", .handler = post_lease}, WEFT_MAY_WORK, ""},
    {{.method = "POST",
      .pattern = "/v1/settle",
      .handler = post_settle,
      .body_bytes_max = SETTLE_BYTES_MAX},
     WEFT_MAY_WORK,
     ""},
    {{.method = "POST",
      .pattern = "/v1/extend",
      .handler = post_extend,
      .body_bytes_max = EXTEND_BYTES_MAX},
     WEFT_MAY_WORK,
     ""},
    {{0}},
};
