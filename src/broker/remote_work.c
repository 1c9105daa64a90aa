/* SPDX-License-Identifier: MIT
 * remote_work.c - jobs from the server, and what became of them to it. */
#include "remote_internal.h"

#include <base/base64.h>
#include <base/json_scan.h>

#include <weft/offload.h>
#include <weft/scope.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define BODY_MAX       ((size_t)1 << 20)  /* of requests without results */
#define BODY_ENOUGH    ((size_t)4 << 20)  /* of results in one request: then another one */
#define INLINE_MAX     ((size_t)64 << 10) /* larger answers would hold up everybody else */
#define LOOKUPS_MAX    64u
#define ERROR_LEN_MAX  ((size_t)4096) /* the server cuts them shorter still */
#define MICROSECONDS_S 1e6

static void append_seconds(struct weft_buffer *body, const char *before, int64_t us)
{
    weft_buffer_append_string(body, before);
    weft_buffer_append_json_double(body, (double)us / MICROSECONDS_S);
}

static void append_text(struct weft_buffer *body, const char *before, const char *text, size_t len)
{
    weft_buffer_append_string(body, before);
    weft_buffer_append_json_string(body, text, len);
}

/* The list "jobs" of an answer. Returns 0, -EPROTO */
static int find_jobs(const char *json, size_t len, struct weft_remote_value *ret_jobs)
{
    static const char *const members[] = {"jobs"};
    int err = weft_remote_members(json, len, members, 1, ret_jobs);
    return !err && ret_jobs->raw ? 0 : -EPROTO;
}

/* ---- claim ------------------------------------------------------------------------------ */

/* An answer to be read, by another thread when it is large. */
struct reading {
    const char *json;
    size_t len;
    struct weft_claim *claim;
    int err;
};

static int read_leased(const char *json, size_t len, struct weft_arena *arena,
                       struct weft_claim *claim)
{
    struct weft_job job;
    int err = weft_remote_job(json, len, arena, &job);
    if (err)
        return err;
    if (job.lease_token == 0 || job.attempt == 0 || job.attempts_max == 0)
        return -EPROTO;
    job.state = WEFT_JOB_RUNNING;
    job.worker = claim->worker;
    struct weft_job *copy = weft_job_copy(&job);
    if (!copy)
        return -ENOMEM;
    claim->jobs[claim->count++] = copy;
    return 0;
}

static int read_claim(void *arg)
{
    struct reading *reading = arg;
    struct weft_claim *claim = reading->claim;
    struct weft_remote_value jobs;
    int err = find_jobs(reading->json, reading->len, &jobs);
    const char *at = jobs.raw, *raw = NULL;
    size_t len = 0;
    int more = 0;
    while (!err && (more = weft_json_next_element(&at, jobs.raw + jobs.len, &raw, &len)) > 0) {
        struct weft_arena arena = {0};
        err = claim->count < claim->jobs_max ? read_leased(raw, len, &arena, claim) : -EPROTO;
        weft_arena_deinit(&arena);
    }
    if (!err && more < 0)
        err = -EPROTO;
    for (; err && claim->count > 0; claim->count--)
        weft_job_free(claim->jobs[claim->count - 1]);
    reading->err = err;
    return 0;
}

/* The jobs are leased: whoever is cancelled now has them all the same. */
static int take_claim(const struct weft_remote_call *call, struct weft_claim *claim)
{
    struct reading reading = {call->response.body, call->response.body_len, claim, 0};
    struct weft_scope shield;
    if (reading.len <= INLINE_MAX) {
        (void)read_claim(&reading);
        return reading.err;
    }
    weft_scope_enter(&shield, WEFT_FOREVER, WEFT_SCOPE_SHIELD);
    int err = weft_offload(read_claim, &reading);
    if (weft_scope_leave(&shield, err) < 0)
        (void)read_claim(&reading);
    return reading.err;
}

static void write_claim(struct weft_buffer *body, const struct weft_claim *claim)
{
    for (size_t i = 0; i < claim->queues_count; i++)
        append_text(body, i ? "," : "{\"queues\":[", claim->queues[i], strlen(claim->queues[i]));
    for (size_t i = 0; claim->tasks && i < claim->tasks_count; i++)
        append_text(body, i ? "," : "],\"tasks\":[", claim->tasks[i], strlen(claim->tasks[i]));
    weft_buffer_append_format(body, "],\"max\":%u",
                              claim->jobs_max < WEFT_REMOTE_ITEMS_MAX ? claim->jobs_max
                                                                      : WEFT_REMOTE_ITEMS_MAX);
    append_seconds(body, ",\"lease\":", claim->lease_us);
    append_seconds(body, ",\"wait\":", claim->wait_us);
    if (claim->worker > 0)
        weft_buffer_append_format(body, ",\"worker\":%" PRId64, claim->worker);
    weft_buffer_append_char(body, '}');
}

int weft_remote_claim(struct weft_broker *broker, struct weft_claim *claim)
{
    struct weft_remote *remote = weft_remote_of(broker);
    struct weft_buffer body;
    claim->count = 0;
    claim->more = false;
    claim->next_us = INT64_MAX;
    remote->lease_us = claim->lease_us;
    weft_buffer_init(&body, BODY_MAX);
    write_claim(&body, claim);
    struct weft_remote_call call = {
        .method = "POST",
        .path = "/v1/lease",
        .body = &body,
        .answer_max = WEFT_REMOTE_LEASES_MAX,
        .wait_ns = claim->wait_us * 1000,
        .checkpoint = true,
    };
    int err = weft_remote_send(remote, &call);
    if (!err)
        err = take_claim(&call, claim);
    if (err == -EPROTO && call.status == 200)
        (void)weft_remote_refuse(remote, &call, "a leased job is not what it should be");
    weft_remote_call_release(&call);
    weft_buffer_deinit(&body);
    return err;
}

/* ---- extend ----------------------------------------------------------------------------- */

void weft_remote_write_leases(struct weft_buffer *body, const struct weft_lease *items,
                              size_t count, int64_t default_us)
{
    for (size_t i = 0; i < count; i++) {
        weft_buffer_append_string(body, i ? "," : "{\"jobs\":[");
        weft_remote_append_lease(body, &items[i].id, items[i].token);
        append_seconds(body, ",\"lease\":", items[i].lease_us ? items[i].lease_us : default_us);
        if (items[i].progress) {
            weft_buffer_append_string(body, ",\"progress\":");
            weft_buffer_append_string(body, items[i].progress);
        }
        weft_buffer_append_char(body, '}');
    }
    weft_buffer_append_string(body, "]}");
}

/* An item's own refusal. */
static int item_result(uint64_t status)
{
    switch (status) {
    case 409:
        return -ESTALE;
    case 413:
        return -EMSGSIZE;
    case 503:
        return WEFT_EFULL;
    default:
        return -EINVAL;
    }
}

enum outcome_member {
    OUTCOME_ID,
    OUTCOME_STATUS,
    OUTCOME_STATE,
    OUTCOME_CANCEL,
    OUTCOMES,
};

/* The next outcome of a list, which must be that of this job. Returns 0, -EPROTO */
static int next_outcome(const char **at, const char *end, const struct weft_uuid *id,
                        struct weft_remote_value *values)
{
    static const char *const members[] = {"id", "status", "state", "cancel"};
    const char *raw;
    size_t len;
    struct weft_uuid found = {{0}};
    if (weft_json_next_element(at, end, &raw, &len) <= 0 ||
        weft_remote_members(raw, len, members, OUTCOMES, values) < 0 || !values[OUTCOME_ID].raw ||
        weft_remote_uuid(&values[OUTCOME_ID], &found) < 0 || memcmp(&found, id, sizeof found) != 0)
        return -EPROTO;
    return 0;
}

int weft_remote_read_leases(const char *json, size_t len, struct weft_lease *items, size_t count)
{
    struct weft_remote_value jobs, values[OUTCOMES];
    int err = find_jobs(json, len, &jobs);
    const char *at = jobs.raw;
    for (size_t i = 0; !err && i < count; i++) {
        uint64_t status = 0;
        err = next_outcome(&at, jobs.raw + jobs.len, &items[i].id, values);
        if (!err)
            err = weft_remote_count(&values[OUTCOME_STATUS], UINT16_MAX, &status);
        items[i].cancelling = false;
        if (!err)
            err = weft_remote_bool(&values[OUTCOME_CANCEL], &items[i].cancelling);
        items[i].err = status ? item_result(status) : 0;
    }
    return err;
}

static int extend_some(struct weft_remote *remote, struct weft_lease *items, size_t count)
{
    struct weft_buffer body;
    weft_buffer_init(&body, WEFT_REMOTE_BODY_MAX);
    weft_remote_write_leases(&body, items, count, remote->lease_us);
    struct weft_remote_call call = {.method = "POST", .path = "/v1/extend", .body = &body};
    int err = weft_remote_send(remote, &call);
    if (!err &&
        weft_remote_read_leases(call.response.body, call.response.body_len, items, count) < 0)
        err = weft_remote_refuse(remote, &call, "a lease is not what it should be");
    weft_remote_call_release(&call);
    weft_buffer_deinit(&body);
    return err;
}

int weft_remote_extend(struct weft_broker *broker, struct weft_lease *items, size_t count)
{
    int err = 0;
    for (size_t at = 0; !err && at < count; at += WEFT_REMOTE_ITEMS_MAX) {
        size_t left = count - at;
        err = extend_some(weft_remote_of(broker), &items[at],
                          left < WEFT_REMOTE_ITEMS_MAX ? left : WEFT_REMOTE_ITEMS_MAX);
    }
    return err;
}

/* ---- settle: to the server -------------------------------------------------------------- */

static const char *outcome_of(enum weft_job_event event)
{
    static const char *const outcomes[WEFT_JOB_EVENTS] = {
        [WEFT_JOB_COMPLETE] = "complete", [WEFT_JOB_RETRY] = "retry",
        [WEFT_JOB_DIE] = "die",           [WEFT_JOB_RELEASE] = "release",
        [WEFT_JOB_SNOOZE] = "snooze",     [WEFT_JOB_CANCEL] = "cancel",
    };
    return (unsigned)event < WEFT_JOB_EVENTS ? outcomes[event] : NULL;
}

static void append_bytes(struct weft_buffer *body, const char *name, const struct weft_bytes *bytes)
{
    if (!bytes->data)
        return;
    weft_buffer_append_format(body, bytes->json ? ",\"%s\":" : ",\"%s_base64\":\"", name);
    if (bytes->json) {
        weft_buffer_append(body, bytes->data, bytes->len);
        return;
    }
    weft_base64_append(body, bytes->data, bytes->len);
    weft_buffer_append_char(body, '"');
}

static void append_follow(struct weft_buffer *body, const struct weft_enqueue *item)
{
    static const struct weft_uuid none;
    const struct weft_job *job = item->job;
    char flow[WEFT_UUID_TEXT_LEN + 1];
    weft_buffer_append_format(body, "{\"task\":\"%s\",\"queue\":\"%s\",\"priority\":%u", job->task,
                              job->queue, (unsigned)job->priority);
    if (job->attempts_max > 0)
        weft_buffer_append_format(body, ",\"max_attempts\":%u", (unsigned)job->attempts_max);
    if (job->run_at_us > job->created_us)
        append_seconds(body, ",\"delay\":", job->run_at_us - job->created_us);
    if (job->timeout_us > 0)
        append_seconds(body, ",\"timeout\":", job->timeout_us);
    if (job->unique_key) {
        append_text(body, ",\"unique\":{\"key\":", job->unique_key, strlen(job->unique_key));
        weft_buffer_append_char(body, '}');
    }
    if (job->limit_key)
        append_text(body, ",\"limit_key\":", job->limit_key, strlen(job->limit_key));
    if (memcmp(&job->flow, &none, sizeof none) != 0) {
        weft_uuid_format(&job->flow, flow);
        weft_buffer_append_format(body, ",\"group\":\"%s\"", flow);
    }
    if (job->headers) {
        weft_buffer_append_string(body, ",\"headers\":");
        weft_buffer_append_string(body, job->headers);
    }
    append_bytes(body, "payload", &job->payload);
    if (!job->payload.json && job->content_type)
        append_text(body, ",\"content_type\":", job->content_type, strlen(job->content_type));
    weft_buffer_append_char(body, '}');
}

static void append_settlement(struct weft_buffer *body, const struct weft_settlement *item)
{
    weft_remote_append_lease(body, &item->job->id, item->job->lease_token);
    weft_buffer_append_format(body, ",\"outcome\":\"%s\"", outcome_of(item->event));
    if (item->event == WEFT_JOB_RETRY || item->event == WEFT_JOB_SNOOZE)
        append_seconds(body, ",\"delay\":", item->delay_us > 0 ? item->delay_us : 0);
    if (item->error && (item->event == WEFT_JOB_RETRY || item->event == WEFT_JOB_DIE ||
                        item->event == WEFT_JOB_CANCEL))
        append_text(body, ",\"error\":", item->error, strnlen(item->error, ERROR_LEN_MAX));
    if (item->event == WEFT_JOB_COMPLETE)
        append_bytes(body, "result", &item->result);
    for (size_t i = 0; i < item->follow_count; i++) {
        weft_buffer_append_string(body, i ? "," : ",\"enqueue\":[");
        append_follow(body, &item->follow[i]);
    }
    weft_buffer_append_string(body, item->follow_count ? "]}" : "}");
}

/* As many items from the front as fit into one request, at most max. Returns how many; 0: the first
 * is too large for any. */
static size_t write_settlements(struct weft_buffer *body, const struct weft_settlement *items,
                                size_t max)
{
    size_t count = 0;
    weft_buffer_append_string(body, "{\"jobs\":[");
    while (count < max && (count == 0 || body->len < BODY_ENOUGH)) {
        size_t before = body->len;
        if (count > 0)
            weft_buffer_append_char(body, ',');
        append_settlement(body, &items[count]);
        /* Two bytes for the end. */
        if (body->err == -EMSGSIZE || body->len > WEFT_REMOTE_BODY_MAX - 2) {
            body->err = 0;
            body->len = before;
            break;
        }
        count++;
    }
    weft_buffer_append_string(body, "]}");
    return count;
}

/* ---- settle: what the server says ------------------------------------------------------- */

/* Where a job is after this, if nobody touches it again. */
static enum weft_job_state state_after(enum weft_job_event event)
{
    return weft_job_next(WEFT_JOB_RUNNING, event);
}

/* The lease is lost, or a former request has settled the job and its answer got lost: then it is
 * where that settlement took it, by our hands. */
static void look_up(struct weft_remote *remote, struct weft_settlement *item)
{
    struct weft_job *job;
    if (item->job->worker == 0 || weft_remote_find(&remote->broker, &item->job->id, &job) < 0)
        return;
    // NOLINTNEXTLINE(clang-analyzer-core.NullDereference): it was found
    if (job->state == state_after(item->event) && job->worker == item->job->worker) {
        item->err = 0;
        item->state = job->state;
    }
    weft_job_free(job);
}

static void look_up_lost(struct weft_remote *remote, struct weft_settlement *items, size_t count)
{
    unsigned lookups = 0;
    for (size_t i = 0; i < count && lookups < LOOKUPS_MAX; i++) {
        if (items[i].err != -ESTALE)
            continue;
        look_up(remote, &items[i]);
        lookups++;
    }
}

static int read_settled(const struct weft_remote_call *call, struct weft_settlement *items,
                        size_t count)
{
    struct weft_remote_value jobs, values[OUTCOMES];
    int err = find_jobs(call->response.body, call->response.body_len, &jobs);
    const char *at = jobs.raw;
    for (size_t i = 0; !err && i < count; i++) {
        uint64_t status = 0;
        items[i].state = WEFT_JOB_NONE;
        err = next_outcome(&at, jobs.raw + jobs.len, &items[i].job->id, values);
        if (!err)
            err = weft_remote_count(&values[OUTCOME_STATUS], UINT16_MAX, &status);
        if (!err)
            err = weft_remote_state(&values[OUTCOME_STATE], &items[i].state);
        items[i].err = status ? item_result(status) : 0;
        if (!err && !status && items[i].state == WEFT_JOB_NONE)
            err = -EPROTO;
    }
    return err;
}

/* Whether the server refuses the request as a whole because of something in it. */
static bool is_refusal(const struct weft_remote_call *call)
{
    return call->status == 400 || call->status == 413 || call->status == 422;
}

/* Settle some from the front. *count: how many there may be; out: how many are through, or what a
 * refused request held. Returns 0; 1: refused; or an error: it is not known */
static int settle_some(struct weft_remote *remote, struct weft_settlement *items, size_t *count,
                       int *ret_refusal)
{
    struct weft_buffer body;
    weft_buffer_init(&body, WEFT_REMOTE_BODY_MAX);
    *count = write_settlements(&body, items, *count);
    struct weft_remote_call call = {.method = "POST", .path = "/v1/settle", .body = &body};
    int err = body.err;
    if (!err && *count == 0) {
        *ret_refusal = -EMSGSIZE;
        *count = 1;
        weft_buffer_deinit(&body);
        return 1;
    }
    if (!err)
        err = weft_remote_send(remote, &call);
    remote->unsure |= call.tries > 1 || (err && call.tries > 0 && !is_refusal(&call));
    if (!err && read_settled(&call, items, *count) < 0)
        err = weft_remote_refuse(remote, &call, "a settlement is not what it should be");
    if (err && is_refusal(&call)) {
        *ret_refusal = err;
        err = 1;
    }
    weft_remote_call_release(&call);
    weft_buffer_deinit(&body);
    if (!err && remote->unsure)
        look_up_lost(remote, items, *count);
    return err;
}

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* How many from the front, at most max, have an event that a settlement can have. */
static size_t valid_run(const struct weft_settlement *items, size_t max)
{
    size_t count = 0;
    while (count < max && outcome_of(items[count].event))
        count++;
    return count;
}

/* A request that is refused because of one item says nothing about the others: half as many then,
 * down to the one that is the reason. */
int weft_remote_settle(struct weft_broker *broker, struct weft_settlement *items, size_t count)
{
    struct weft_remote *remote = weft_remote_of(broker);
    size_t limit = WEFT_REMOTE_ITEMS_MAX, at = 0;
    while (at < count) {
        size_t some = valid_run(&items[at], smaller(limit, count - at));
        int refusal = 0;
        if (some == 0) {
            items[at++].err = -EINVAL;
            continue;
        }
        int err = settle_some(remote, &items[at], &some, &refusal);
        if (err < 0) {
            remote->unsure |= at > 0; /* those before are settled, and will come again */
            return err;
        }
        if (err > 0 && some > 1) {
            limit = some / 2;
            continue;
        }
        if (err > 0)
            items[at].err = refusal;
        at += some;
        limit = smaller(2 * limit, WEFT_REMOTE_ITEMS_MAX);
    }
    remote->unsure = false;
    return 0;
}

/* ---- find ------------------------------------------------------------------------------- */

int weft_remote_find(struct weft_broker *broker, const struct weft_uuid *id,
                     struct weft_job **ret_job)
{
    struct weft_remote *remote = weft_remote_of(broker);
    struct weft_arena arena = {0};
    struct weft_job job;
    char text[WEFT_UUID_TEXT_LEN + 1], path[64];
    weft_uuid_format(id, text);
    (void)snprintf(path, sizeof path, "/v1/jobs/%s", text);
    struct weft_remote_call call = {.method = "GET", .path = path, .checkpoint = true};
    int err = weft_remote_send(remote, &call);
    if (!err) {
        err = weft_remote_job(call.response.body, call.response.body_len, &arena, &job);
        if (!err && (job.state == WEFT_JOB_NONE || memcmp(&job.id, id, sizeof *id) != 0))
            err = -EPROTO;
        if (err == -EPROTO)
            err = weft_remote_refuse(remote, &call, "the job is not what it should be");
    }
    struct weft_job *copy = err ? NULL : weft_job_copy(&job);
    if (!err && !copy)
        err = -ENOMEM;
    weft_arena_deinit(&arena);
    weft_remote_call_release(&call);
    if (!err)
        *ret_job = copy;
    return err;
}
