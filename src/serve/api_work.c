/* SPDX-License-Identifier: MIT
 * api_work.c - /v1/lease, /v1/settle, /v1/extend: jobs for workers in any language.
 *
 * A lease is a job's id with a token. Tokens travel as strings: they have more digits than some
 * languages' numbers. Whoever comes with one that is no longer the job's changes nothing. */
#include <serve/api.h>

#include <serve/api_body.h>
#include <serve/api_job.h>
#include <serve/api_json.h>

#include <base/base64.h>

#include <weft/runtime.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SECOND_US  ((int64_t)1000000)
#define QUEUES_MAX 64
#define LEASES_MAX 1000
#define LEASE_US   (30 * SECOND_US)
#define LEASE_MIN  SECOND_US
#define LEASE_MAX  (3600 * SECOND_US)
#define WAIT_MAX   (60 * SECOND_US)
#define DELAY_MAX  (365 * 24 * 3600 * SECOND_US)
#define TOKEN_LEN  20 /* digits at most */

/* --- lease --- */

struct lease_request {
    const char *queues[QUEUES_MAX];
    size_t queues_count;
    uint64_t max, worker;
    int64_t lease_us, wait_us;
};

static void read_queues(struct weft_api_fault *fault, const json_t *root,
                        struct lease_request *request)
{
    const json_t *queues = json_object_get(root, "queues");
    size_t count = json_array_size(queues);
    if (count == 0 || count > QUEUES_MAX) {
        weft_api_fault(fault, "the field \"queues\" must be a list of 1 to %d names", QUEUES_MAX);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        const char *name = json_string_value(json_array_get(queues, i));
        if (!name || !weft_job_name_is_valid(name))
            weft_api_fault(fault, "the field \"queues\" must be a list of names");
        request->queues[i] = name;
    }
    request->queues_count = count;
}

static void read_lease(struct weft_api_fault *fault, const json_t *root,
                       struct lease_request *request)
{
    *request = (struct lease_request){.max = 1, .lease_us = LEASE_US};
    weft_api_only(fault, root, "queues max lease wait worker");
    read_queues(fault, root, request);
    weft_api_get_count(fault, root, "max", &request->max, LEASES_MAX);
    weft_api_get_count(fault, root, "worker", &request->worker, INT64_MAX);
    weft_api_get_duration(fault, root, "lease", &request->lease_us, LEASE_MAX);
    weft_api_get_duration(fault, root, "wait", &request->wait_us, WAIT_MAX);
    if (request->max == 0)
        weft_api_fault(fault, "the field \"max\" must be from 1 to %d", LEASES_MAX);
    if (request->lease_us < LEASE_MIN)
        weft_api_fault(fault, "the field \"lease\" must be at least 1 s");
}

/* Wait for something in the queues, until the deadline, or the client or the server goes away. */
static bool wait_for_jobs(struct weft_http_exchange *exchange, struct weft_queue_watch *watch,
                          int64_t deadline_ns)
{
    struct weft_case cases[] = {
        weft_queue_watch_case(watch),
        weft_http_case_gone(exchange),
        weft_http_case_drain(exchange),
    };
    return weft_select(cases, 3, deadline_ns, 0) == 0;
}

/* Claim, and wait for the first if there is none. */
static int lease(struct weft_http_exchange *exchange, struct weft_api *api,
                 const struct lease_request *request, struct weft_claim *claim)
{
    struct weft_queue_watch watch;
    int64_t deadline_ns = weft_now() + request->wait_us * 1000;
    int err = weft_queue_watch_begin(&watch, api->engine, request->queues, request->queues_count);
    if (err)
        return err;
    for (;;) {
        err = api->broker->ops->claim(api->broker, claim);
        if (err || claim->count > 0 || weft_now() >= deadline_ns)
            break;
        int64_t until_ns = deadline_ns;
        if (claim->next_us < request->wait_us && weft_now() + claim->next_us * 1000 < until_ns)
            until_ns = weft_now() + claim->next_us * 1000;
        bool again = wait_for_jobs(exchange, &watch, until_ns);
        if (!again && (weft_now() >= deadline_ns || weft_http_gone(exchange) ||
                       weft_http_draining(exchange) || weft_checkpoint() < 0))
            break;
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
    weft_api_seconds_if(body, "timeout", job->timeout_us);
    weft_api_seconds_if(body, "grace", job->grace_us);
    append_backoff(body, &job->backoff);
    append_flow(body, &job->flow);
    weft_api_json_if(body, "headers", job->headers, job->headers ? strlen(job->headers) : 0);
    weft_api_text_if(body, "content_type", job->content_type);
    weft_api_bytes_if(body, "payload", &job->payload);
    append_inputs(body, job);
    weft_buffer_append_char(body, '}');
}

/* Nobody hears the answer: the jobs go back without having spent an attempt. */
static void give_back(struct weft_api *api, struct weft_claim *claim)
{
    struct weft_settlement *items = calloc(claim->count, sizeof *items);
    for (unsigned i = 0; items && i < claim->count; i++)
        items[i] = (struct weft_settlement){.job = claim->jobs[i], .event = WEFT_JOB_RELEASE};
    if (items)
        (void)api->broker->ops->settle(api->broker, items, claim->count);
    free(items); /* without memory, or with an error, their leases run out */
}

static void reply_leased(struct weft_http_exchange *exchange, struct weft_api *api,
                         struct weft_claim *claim)
{
    struct weft_buffer body;
    weft_buffer_init(&body, WEFT_API_LEASE_MAX);
    weft_buffer_append_string(&body, "{\"jobs\":[");
    for (unsigned i = 0; i < claim->count; i++) {
        if (i > 0)
            weft_buffer_append_char(&body, ',');
        append_leased(&body, claim->jobs[i]);
    }
    weft_buffer_append_string(&body, "]}");
    if (claim->count > 0 && (body.err || weft_http_gone(exchange)))
        give_back(api, claim);
    weft_api_reply(exchange, &body);
}

static void post_lease(struct weft_http_exchange *exchange, void *context)
{
    struct weft_api *api = context;
    json_t *root = weft_api_body(exchange);
    if (!root)
        return;
    struct weft_api_fault fault = {{0}};
    struct lease_request request;
    read_lease(&fault, root, &request);
    if (!weft_api_is_valid(exchange, &fault)) {
        json_decref(root);
        return;
    }
    struct weft_claim claim = {
        .queues = request.queues,
        .queues_count = request.queues_count,
        .worker = (int64_t)request.worker,
        .lease_us = request.lease_us,
        .jobs_max = (unsigned)request.max,
        .jobs = calloc(request.max, sizeof(struct weft_job *)),
        .next_us = INT64_MAX,
    };
    int err = claim.jobs ? lease(exchange, api, &request, &claim) : -ENOMEM;
    json_decref(root);
    if (err)
        weft_api_refuse_job(exchange, err);
    else
        reply_leased(exchange, api, &claim);
    for (unsigned i = 0; i < claim.count; i++)
        weft_job_free(claim.jobs[i]);
    free(claim.jobs);
}

/* --- what settle and extend have in common --- */

/* An id with its token; a fault when they are not there. */
static bool read_held(struct weft_api_fault *fault, const json_t *item, struct weft_uuid *ret_id,
                      uint64_t *ret_token)
{
    const char *id = NULL, *token = NULL;
    weft_api_get_string(fault, item, "id", &id, WEFT_UUID_TEXT_LEN);
    weft_api_get_string(fault, item, "token", &token, TOKEN_LEN);
    if (!id || weft_uuid_parse(ret_id, id, strlen(id)))
        return weft_api_fault(fault, "the field \"id\" must be a job's id");
    char *end;
    errno = 0;
    if (!token || token[0] < '0' || token[0] > '9')
        return weft_api_fault(fault, "the field \"token\" must be what the lease came with");
    *ret_token = strtoull(token, &end, 10);
    if (*end || errno)
        return weft_api_fault(fault, "the field \"token\" must be what the lease came with");
    return !fault->detail[0];
}

/* The list "jobs" of a body; NULL: answered. */
static const json_t *read_items(struct weft_http_exchange *exchange, const json_t *root)
{
    struct weft_api_fault fault = {{0}};
    const json_t *items = json_object_get(root, "jobs");
    size_t count = json_array_size(items);
    weft_api_only(&fault, root, "jobs");
    if (count == 0 || count > LEASES_MAX)
        weft_api_fault(&fault, "the field \"jobs\" must be a list of 1 to %d jobs", LEASES_MAX);
    for (size_t i = 0; i < count; i++)
        if (!json_is_object(json_array_get(items, i)))
            weft_api_fault(&fault, "the field \"jobs\" must be a list of objects");
    return weft_api_is_valid(exchange, &fault) ? items : NULL;
}

static void append_error(struct weft_buffer *body, int status, const char *detail)
{
    weft_api_number(body, "status", (uint64_t)status);
    weft_api_text(body, "error", detail);
}

static void append_failure(struct weft_buffer *body, int err)
{
    if (err == -ESTALE)
        append_error(body, 409, "the lease is lost: the token is not the job's present one");
    else
        append_error(body, weft_api_status_of(err), weft_api_detail_of(err));
}

/* --- extend --- */

static void read_extension(struct weft_api_fault *fault, const json_t *item,
                           struct weft_lease *lease, char **ret_progress)
{
    lease->lease_us = LEASE_US;
    weft_api_only(fault, item, "id token lease progress");
    (void)read_held(fault, item, &lease->id, &lease->token);
    weft_api_get_duration(fault, item, "lease", &lease->lease_us, LEASE_MAX);
    if (lease->lease_us < LEASE_MIN)
        weft_api_fault(fault, "the field \"lease\" must be at least 1 s");
    const json_t *progress = json_object_get(item, "progress");
    if (progress)
        lease->progress = *ret_progress = json_dumps(progress, JSON_ENCODE_ANY | JSON_COMPACT);
}

static void reply_extended(struct weft_http_exchange *exchange, const struct weft_api *api,
                           const struct weft_lease *leases, size_t count)
{
    int64_t now_us = api->broker->ops->now_us(api->broker);
    struct weft_buffer body;
    weft_buffer_init(&body, WEFT_API_REPLY_MAX);
    weft_buffer_append_string(&body, "{\"jobs\":[");
    for (size_t i = 0; i < count; i++) {
        weft_buffer_append_string(&body, i ? ",{" : "{");
        weft_api_id(&body, "id", &leases[i].id);
        if (leases[i].err) {
            append_failure(&body, leases[i].err);
        } else {
            weft_api_time(&body, "lease_until", now_us + leases[i].lease_us);
            weft_api_bool(&body, "cancel", leases[i].cancelling);
        }
        weft_buffer_append_char(&body, '}');
    }
    weft_buffer_append_string(&body, "]}");
    weft_api_reply(exchange, &body);
}

static void extend(struct weft_http_exchange *exchange, struct weft_api *api, const json_t *items)
{
    size_t count = json_array_size(items);
    struct weft_lease *leases = calloc(count, sizeof *leases);
    char **progress = calloc(count, sizeof *progress);
    struct weft_api_fault fault = {{0}};
    for (size_t i = 0; leases && progress && i < count; i++)
        read_extension(&fault, json_array_get(items, i), &leases[i], &progress[i]);
    int err = leases && progress ? 0 : -ENOMEM;
    bool valid = !err && weft_api_is_valid(exchange, &fault);
    if (valid)
        err = api->broker->ops->extend(api->broker, leases, count);
    if (err)
        weft_api_refuse_job(exchange, err);
    else if (valid)
        reply_extended(exchange, api, leases, count);
    for (size_t i = 0; progress && i < count; i++)
        free(progress[i]);
    free(progress);
    free(leases);
}

static void post_extend(struct weft_http_exchange *exchange, void *context)
{
    json_t *root = weft_api_body(exchange);
    const json_t *items = root ? read_items(exchange, root) : NULL;
    if (items)
        extend(exchange, context, items);
    json_decref(root);
}

/* --- settle --- */

/* What one item of a settlement needs beside the settlement itself. */
struct settling {
    struct weft_job job; /* id and token only, or with the job's facts for "fail" */
    struct weft_job *found;
    char *result;                    /* JSON */
    struct weft_follow_jobs *follow; /* further jobs */
    bool fails;                      /* the server decides about another attempt */
};

static const struct {
    const char *name;
    enum weft_job_event event;
} outcomes[] = {
    {"complete", WEFT_JOB_COMPLETE}, {"fail", WEFT_JOB_RETRY},    {"retry", WEFT_JOB_RETRY},
    {"die", WEFT_JOB_DIE},           {"discard", WEFT_JOB_DIE},   {"snooze", WEFT_JOB_SNOOZE},
    {"release", WEFT_JOB_RELEASE},   {"cancel", WEFT_JOB_CANCEL},
};

static void read_outcome(struct weft_api_fault *fault, const json_t *item,
                         struct settling *settling, struct weft_settlement *settlement)
{
    const char *name = json_string_value(json_object_get(item, "outcome"));
    for (size_t i = 0; name && i < sizeof outcomes / sizeof *outcomes; i++) {
        if (strcmp(outcomes[i].name, name) != 0)
            continue;
        settlement->event = outcomes[i].event;
        settling->fails = strcmp(name, "fail") == 0;
        return;
    }
    weft_api_fault(fault, "the field \"outcome\" must be complete, fail, retry, die, discard, "
                          "snooze, release or cancel");
}

static void read_result(struct weft_api_fault *fault, const json_t *item, struct settling *settling,
                        struct weft_settlement *settlement)
{
    const json_t *result = json_object_get(item, "result");
    const char *base64 = NULL;
    weft_api_get_string(fault, item, "result_base64", &base64, 2 * WEFT_JOB_RESULT_MAX);
    if (result && base64) {
        weft_api_fault(fault, "there can be \"result\" or \"result_base64\", not both");
    } else if (result) {
        settling->result = json_dumps(result, JSON_ENCODE_ANY | JSON_COMPACT);
        settlement->result = (struct weft_bytes){
            settling->result, settling->result ? strlen(settling->result) : 0, true};
    } else if (base64) {
        size_t len = strlen(base64);
        settling->result = malloc(weft_base64_bytes_max(len) + 1);
        if (!settling->result ||
            weft_base64_decode(settling->result, &settlement->result.len, base64, len))
            weft_api_fault(fault, "the field \"result_base64\" is not base64");
        settlement->result.data = settling->result;
    }
}

static void read_settlement(struct weft_api *api, struct weft_api_fault *fault, const json_t *item,
                            struct settling *settling, struct weft_settlement *settlement)
{
    settlement->job = &settling->job;
    weft_api_only(fault, item, "id token outcome result result_base64 error delay enqueue");
    (void)read_held(fault, item, &settling->job.id, &settling->job.lease_token);
    read_outcome(fault, item, settling, settlement);
    read_result(fault, item, settling, settlement);
    settlement->delay_us = -1;
    weft_api_get_string(fault, item, "error", &settlement->error, SIZE_MAX);
    weft_api_get_duration(fault, item, "delay", &settlement->delay_us, DELAY_MAX);
    if (settlement->delay_us < 0 && !settling->fails)
        settlement->delay_us = 0;
    if (!settlement->error &&
        (settlement->event == WEFT_JOB_RETRY || settlement->event == WEFT_JOB_DIE))
        settlement->error = "the worker gave no reason";
    const json_t *enqueue = json_object_get(item, "enqueue");
    if (enqueue && settlement->event != WEFT_JOB_COMPLETE)
        weft_api_fault(fault, "only with \"complete\" can there be \"enqueue\"");
    else if (enqueue)
        weft_follow_jobs_read(api, fault, enqueue, settlement, &settling->follow);
}

/* A failure: is there another attempt, and when? */
static int judge(struct weft_api *api, struct settling *settling,
                 struct weft_settlement *settlement)
{
    if (!settling->fails)
        return 0;
    int err = api->broker->ops->find(api->broker, &settling->job.id, &settling->found);
    if (err == -ENOENT || (!err && settling->found->lease_token != settling->job.lease_token))
        return 0; /* settling it will say that the lease is lost */
    if (!err)
        weft_engine_judge(api->engine, settling->found, settlement);
    return err;
}

/* Further jobs that are there already were wanted once only: off the list with them. Returns
 * whether there was one. */
static bool drop_duplicates(struct weft_settlement *settlement)
{
    size_t kept = 0;
    for (size_t i = 0; i < settlement->follow_count; i++) {
        if (settlement->follow[i].err != WEFT_EDUPLICATE)
            settlement->follow[kept++] = settlement->follow[i];
    }
    bool dropped = kept < settlement->follow_count;
    settlement->follow_count = kept;
    return dropped;
}

/* Settle, and once more what was refused for further jobs that are there already. */
static int settle_all(struct weft_api *api, struct weft_settlement *settlements, size_t count)
{
    int err = api->broker->ops->settle(api->broker, settlements, count);
    for (size_t i = 0; !err && i < count; i++) {
        while (!err && settlements[i].err == WEFT_EDUPLICATE && drop_duplicates(&settlements[i]))
            err = api->broker->ops->settle(api->broker, &settlements[i], 1);
    }
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

static void settle(struct weft_http_exchange *exchange, struct weft_api *api, const json_t *items)
{
    size_t count = json_array_size(items);
    struct weft_settlement *settlements = calloc(count, sizeof *settlements);
    struct settling *settling = calloc(count, sizeof *settling);
    struct weft_api_fault fault = {{0}};
    int err = settlements && settling ? 0 : -ENOMEM;
    for (size_t i = 0; !err && i < count; i++)
        read_settlement(api, &fault, json_array_get(items, i), &settling[i], &settlements[i]);
    bool valid = !err && weft_api_is_valid(exchange, &fault);
    for (size_t i = 0; valid && !err && i < count; i++)
        err = judge(api, &settling[i], &settlements[i]);
    if (valid && !err)
        err = settle_all(api, settlements, count);
    if (err)
        weft_api_refuse_job(exchange, err);
    else if (valid)
        reply_settled(exchange, settlements, count);
    for (size_t i = 0; settling && i < count; i++) {
        weft_job_free(settling[i].found);
        free(settling[i].result);
        weft_follow_jobs_free(settling[i].follow);
    }
    free(settling);
    free(settlements);
}

static void post_settle(struct weft_http_exchange *exchange, void *context)
{
    json_t *root = weft_api_body(exchange);
    const json_t *items = root ? read_items(exchange, root) : NULL;
    if (items)
        settle(exchange, context, items);
    json_decref(root);
}

const struct weft_api_route weft_api_work_routes[] = {
    {{.method = "POST", .pattern = "/v1/lease", .handler = post_lease}, WEFT_MAY_WORK},
    {{.method = "POST",
      .pattern = "/v1/settle",
      .handler = post_settle,
      .body_bytes_max = (size_t)32 << 20},
     WEFT_MAY_WORK},
    {{.method = "POST", .pattern = "/v1/extend", .handler = post_extend}, WEFT_MAY_WORK},
    {{0}, 0},
};
