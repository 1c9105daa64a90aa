/* SPDX-License-Identifier: MIT
 * jobs_request.c - jobs in: checked, so that what is wrong is said in a sentence; then the
 * engine's.
 */
#include <serve/jobs_internal.h>

#include <base/json_scan.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- what can be wrong ------------------------------------------------------------------ */

static bool is_too_long(const char *text, size_t len_max)
{
    return text && strnlen(text, len_max + 1) > len_max;
}

struct weft_bytes weft_jobs_payload(const struct weft_jobs_request *request)
{
    if (request->is_bytes)
        return (struct weft_bytes){request->payload, request->payload_len, false};
    if (!request->payload)
        return (struct weft_bytes){"null", 4, true};
    size_t len = request->payload_len;
    return (struct weft_bytes){request->payload, len ? len : strlen(request->payload), true};
}

static bool is_object_of_strings(const char *json)
{
    struct weft_json_member member;
    size_t len = strlen(json);
    const char *at = json + strspn(json, " \t\r\n"), *end = json + len;
    if (!weft_json_is_valid(json, len) || *at != '{')
        return false;
    int more = weft_json_next_member(&at, end, &member);
    while (more > 0 && member.raw[0] == '"')
        more = weft_json_next_member(&at, end, &member);
    return more == 0;
}

static const char *size_problem(const struct weft_jobs_request *request)
{
    if (weft_jobs_payload(request).len > WEFT_JOB_PAYLOAD_MAX)
        return "its payload is larger than 1 MiB";
    if (is_too_long(request->headers, WEFT_JOB_HEADERS_MAX))
        return "its headers are longer than 4 KiB";
    if (is_too_long(request->unique_key, WEFT_JOB_KEY_MAX) ||
        is_too_long(request->limit_key, WEFT_JOB_KEY_MAX) ||
        is_too_long(request->content_type, WEFT_JOB_KEY_MAX))
        return "a key or its content type is longer than 255 bytes";
    return NULL;
}

static const char *name_problem(const struct weft_jobs *jobs,
                                const struct weft_jobs_request *request)
{
    if (!request->task || !weft_job_name_is_valid(request->task))
        return "its task is no name: letters, digits and . _ : - make one, at most 128";
    if (!weft_jobs_has_task(jobs, request->task))
        return "no handler is for its task";
    if (request->queue && !weft_job_name_is_valid(request->queue))
        return "its queue is no name: letters, digits and . _ : - make one, at most 128";
    return NULL;
}

static const char *text_problem(const struct weft_jobs_request *request)
{
    struct weft_bytes payload = weft_jobs_payload(request);
    if (!payload.data && payload.len > 0)
        return "its payload has a length, but is NULL";
    if (payload.json && !weft_json_is_valid(payload.data, payload.len))
        return "its payload is not JSON; is_bytes is for what is none";
    if (request->content_type && !request->is_bytes)
        return "a content type is for bytes only";
    if (request->headers && !is_object_of_strings(request->headers))
        return "its headers are no JSON object of strings";
    if ((request->unique_key && !request->unique_key[0]) ||
        (request->limit_key && !request->limit_key[0]))
        return "a key is empty";
    return NULL;
}

static const char *number_problem(const struct weft_jobs_request *request)
{
    if (request->has_priority && (request->priority < 0 || request->priority > WEFT_PRIORITY_LAST))
        return "its priority is not 0 to 9";
    if (request->attempts_max > WEFT_JOB_ATTEMPTS_MAX)
        return "it has more than 1,000 attempts";
    if (request->delay_ns < 0 || request->run_at_us < 0 || request->expires_in_ns < 0 ||
        request->timeout_ns < 0 || request->unique_window_ns < 0)
        return "one of its times is negative";
    if (request->delay_ns > 0 && request->run_at_us > 0)
        return "it has a delay as well as a time";
    if (request->unique_window_ns > 0 && !request->unique_key)
        return "it has a window, but no unique key";
    return NULL;
}

static bool is_id(const char *text)
{
    struct weft_uuid id;
    return weft_uuid_parse(&id, text, strlen(text)) == 0 && !weft_uuid_is_none(&id);
}

static const char *relation_problem(const struct weft_jobs_request *request, size_t index)
{
    if (request->flow && !is_id(request->flow))
        return "its flow is no id";
    if (request->after_count > WEFT_JOBS_AFTER_MAX)
        return "it waits for more than 1,000 jobs";
    for (size_t i = 0; i < request->after_count; i++) {
        const struct weft_jobs_after *after = &request->after[i];
        if (after->id && !is_id(after->id))
            return "it waits for a job whose id is none";
        if (!after->id && after->index >= index)
            return "it waits for a request that is not before it in the call";
    }
    return NULL;
}

const char *weft_jobs_request_problem(const struct weft_jobs *jobs,
                                      const struct weft_jobs_request *request, size_t index,
                                      int *ret_err)
{
    const char *problem = size_problem(request);
    *ret_err = problem ? -EMSGSIZE : -EINVAL;
    if (!problem)
        problem = name_problem(jobs, request);
    if (!problem)
        problem = text_problem(request);
    if (!problem)
        problem = number_problem(request);
    if (!problem)
        problem = relation_problem(request, index);
    return problem;
}

/* Why the store refused what was in order by itself. */
static const char *reason_of(int err)
{
    switch (err) {
    case WEFT_EDUPLICATE:
        return "a job with its unique key is there already";
    case WEFT_EFULL:
        return "its queue has no room";
    case -ENOENT:
        return "it waits for a job that is not known";
    case -EINVAL:
        return "it waits for a job twice";
    case -ENOBUFS:
        return "there are too many different queues or tasks";
    case -ECANCELED:
        return "it was not put in, because another one of the call was refused";
    default:
        return weft_strerror(err);
    }
}

/* ---- as the engine takes them ----------------------------------------------------------- */

struct batch {
    struct weft_submission *items; /* by the index of their requests, like what is in after */
    struct weft_after *after;
    int *after_index;
};

static int batch_open(struct batch *batch, const struct weft_jobs_request *requests, size_t count)
{
    size_t after_count = 0;
    for (size_t i = 0; i < count; i++)
        after_count += requests[i].err ? 0 : requests[i].after_count;
    *batch = (struct batch){
        .items = calloc(count, sizeof *batch->items),
        .after = calloc(after_count + 1, sizeof *batch->after),
        .after_index = calloc(after_count + 1, sizeof *batch->after_index),
    };
    return batch->items && batch->after && batch->after_index ? 0 : -ENOMEM;
}

static void batch_close(struct batch *batch)
{
    free(batch->items);
    free(batch->after);
    free(batch->after_index);
}

static int64_t us(int64_t ns)
{
    return ns / 1000 + (ns % 1000 != 0); /* what is not 0 does not become 0 */
}

static void fill_after(struct weft_submission *item, const struct weft_jobs_request *request,
                       struct weft_after *after, int *index)
{
    for (size_t i = 0; i < request->after_count; i++) {
        const struct weft_jobs_after *from = &request->after[i];
        after[i].any_end = from->any_end;
        index[i] = from->id ? -1 : (int)from->index;
        if (from->id)
            (void)weft_uuid_parse(&after[i].id, from->id, strlen(from->id));
    }
    item->after = after;
    item->after_index = index;
    item->after_count = request->after_count;
}

static struct weft_submission translate(const struct weft_jobs_request *request)
{
    struct weft_submission item = {
        .task = request->task,
        .queue = request->queue,
        .priority = request->has_priority ? request->priority : -1,
        .payload = weft_jobs_payload(request),
        .content_type = request->content_type,
        .headers = request->headers,
        .limit_key = request->limit_key,
        .delay_us = request->run_at_us ? -1 : us(request->delay_ns),
        .run_at_us = request->run_at_us,
        .expires_in_us = us(request->expires_in_ns),
        .timeout_us = us(request->timeout_ns),
        .attempts_max = request->attempts_max,
        .unique_key = request->unique_key,
        .unique = {.window_us = us(request->unique_window_ns)},
    };
    if (request->flow)
        (void)weft_uuid_parse(&item.flow, request->flow, strlen(request->flow));
    return item;
}

/* One that is wrong keeps its place, without a task: the engine refuses it as well, and in a batch
 * of all or none the others with it. */
static void batch_fill(struct batch *batch, const struct weft_jobs_request *requests, size_t count)
{
    size_t used = 0;
    for (size_t i = 0; i < count; i++) {
        struct weft_submission *item = &batch->items[i];
        if (requests[i].err)
            continue;
        *item = translate(&requests[i]);
        fill_after(item, &requests[i], &batch->after[used], &batch->after_index[used]);
        used += requests[i].after_count;
    }
}

/* ---- the call --------------------------------------------------------------------------- */

static void check_all(const struct weft_jobs *jobs, struct weft_jobs_request *requests,
                      size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct weft_jobs_request *request = &requests[i];
        int err;
        request->reason = weft_jobs_request_problem(jobs, request, i, &err);
        request->err = request->reason ? err : 0;
        request->state = WEFT_JOB_NONE;
        request->id[0] = '\0';
    }
}

static void take_answer(struct weft_jobs_request *request, const struct weft_submission *item)
{
    if (request->err)
        return;
    request->err = item->err;
    request->reason = item->err ? reason_of(item->err) : NULL;
    request->state = item->state;
    if (!item->err || (item->err == WEFT_EDUPLICATE && !weft_uuid_is_none(&item->id)))
        weft_uuid_format(&item->id, request->id);
}

static int refuse_all(struct weft_jobs_request *requests, size_t count, int err)
{
    for (size_t i = 0; i < count; i++) {
        requests[i].err = err;
        requests[i].reason = weft_strerror(err);
    }
    return err;
}

/* The error of the first that is not refused for the sake of another one. */
static int first_error(const struct weft_jobs_request *requests, size_t count)
{
    int first = 0;
    for (size_t i = 0; i < count; i++) {
        if (requests[i].err && (!first || first == -ECANCELED))
            first = requests[i].err;
    }
    return first;
}

int weft_jobs_enqueue(struct weft_jobs *jobs, struct weft_jobs_request *requests, size_t count,
                      int atomic)
{
    struct batch batch;
    int err = weft_jobs_enter(jobs);
    if (!err && (count == 0 || count > WEFT_JOBS_MAX))
        err = -EINVAL;
    if (err)
        return err;
    check_all(jobs, requests, count);
    err = batch_open(&batch, requests, count);
    if (!err) {
        batch_fill(&batch, requests, count);
        err = weft_engine_submit(jobs->engine, batch.items, count, atomic);
    }
    for (size_t i = 0; !err && i < count; i++)
        take_answer(&requests[i], &batch.items[i]);
    batch_close(&batch);
    return err ? refuse_all(requests, count, err) : first_error(requests, count);
}

int weft_jobs_make_flow(struct weft_jobs *jobs, char ret_flow[WEFT_JOBS_ID_BYTES])
{
    int err = weft_jobs_enter(jobs);
    if (err)
        return err;
    struct weft_uuid flow = weft_engine_make_id(jobs->engine);
    weft_uuid_format(&flow, ret_flow);
    return 0;
}
