/* SPDX-License-Identifier: MIT
 * remote_job.c - a job as the server shows it (GET /v1/jobs/{id}) or leases it (POST /v1/lease). */
#include "remote_internal.h"

#include <base/json_scan.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ERROR_LEN_MAX 4096 /* of the server's own sentences */
#define WORD_LEN_MAX  16

enum member {
    ID,
    TASK,
    QUEUE,
    STATE,
    PRIORITY,
    ATTEMPT,
    MAX_ATTEMPTS,
    CRASHES,
    CREATED_AT,
    RUN_AT,
    EXPIRES_AT,
    STARTED_AT,
    FINISHED_AT,
    TIMEOUT,
    SOFT_TIMEOUT,
    BACKOFF,
    HEADERS,
    UNIQUE_KEY,
    LIMIT_KEY,
    FLOW,
    WORKER,
    WAITS_FOR,
    CANCELLING,
    PROGRESS,
    ERROR,
    CONTENT_TYPE,
    PAYLOAD,
    PAYLOAD_BASE64,
    RESULT,
    RESULT_BASE64,
    TOKEN,
    LEASE_UNTIL,
    INPUTS,
    MEMBERS,
};

static const char *const names[MEMBERS] = {
    [ID] = "id",
    [TASK] = "task",
    [QUEUE] = "queue",
    [STATE] = "state",
    [PRIORITY] = "priority",
    [ATTEMPT] = "attempt",
    [MAX_ATTEMPTS] = "max_attempts",
    [CRASHES] = "crashes",
    [CREATED_AT] = "created_at",
    [RUN_AT] = "run_at",
    [EXPIRES_AT] = "expires_at",
    [STARTED_AT] = "started_at",
    [FINISHED_AT] = "finished_at",
    [TIMEOUT] = "timeout",
    [SOFT_TIMEOUT] = "soft_timeout",
    [BACKOFF] = "backoff",
    [HEADERS] = "headers",
    [UNIQUE_KEY] = "unique_key",
    [LIMIT_KEY] = "limit_key",
    [FLOW] = "flow",
    [WORKER] = "worker",
    [WAITS_FOR] = "waits_for",
    [CANCELLING] = "cancelling",
    [PROGRESS] = "progress",
    [ERROR] = "error",
    [CONTENT_TYPE] = "content_type",
    [PAYLOAD] = "payload",
    [PAYLOAD_BASE64] = "payload_base64",
    [RESULT] = "result",
    [RESULT_BASE64] = "result_base64",
    [TOKEN] = "token",
    [LEASE_UNTIL] = "lease_until",
    [INPUTS] = "inputs",
};

/* The first of many results that is not 0. */
static void note(int *err, int result)
{
    if (!*err)
        *err = result;
}

static uint64_t read_count(const struct weft_remote_value *value, uint64_t max, int *err)
{
    uint64_t count = 0;
    note(err, weft_remote_count(value, max, &count));
    return count;
}

/* The index of a word in a list; -EPROTO when it is not in it. */
static int read_word(const struct weft_remote_value *value, struct weft_arena *arena,
                     const char *const *words, int count, int *ret_index)
{
    const char *word = NULL;
    int err = weft_remote_string(value, arena, WORD_LEN_MAX, &word);
    if (err || !word)
        return err;
    for (int i = 0; i < count; i++) {
        if (strcmp(words[i], word) == 0) {
            *ret_index = i;
            return 0;
        }
    }
    return -EPROTO;
}

/* The timeout is read: it is the whole time then, of which this is the first part. */
static int read_soft_timeout(const struct weft_remote_value *value, struct weft_job *job)
{
    int64_t soft_us = 0;
    int err = weft_remote_seconds(value, &soft_us);
    if (err || soft_us == 0)
        return err;
    if (soft_us > job->timeout_us)
        return -EPROTO;
    job->grace_us = job->timeout_us - soft_us;
    job->timeout_us = soft_us;
    return 0;
}

static int read_backoff(const struct weft_remote_value *value, struct weft_arena *arena,
                        struct weft_job_backoff *backoff)
{
    static const char *const members[] = {"kind", "jitter", "base", "cap"};
    static const char *const kinds[] = {
        [WEFT_BACKOFF_EXPONENTIAL] = "exponential",
        [WEFT_BACKOFF_LINEAR] = "linear",
        [WEFT_BACKOFF_CONSTANT] = "constant",
    };
    static const char *const jitters[] = {"full", "equal", "none"};
    static const enum weft_jitter jitter_of[] = {WEFT_JITTER_FULL, WEFT_JITTER_EQUAL,
                                                 WEFT_JITTER_NONE};
    struct weft_remote_value values[4];
    int kind = 0, jitter = 0;
    if (!value->raw)
        return 0;
    int err = weft_remote_members(value->raw, value->len, members, 4, values);
    note(&err, read_word(&values[0], arena, kinds, 3, &kind));
    note(&err, read_word(&values[1], arena, jitters, 3, &jitter));
    note(&err, weft_remote_seconds(&values[2], &backoff->base_us));
    note(&err, weft_remote_seconds(&values[3], &backoff->cap_us));
    backoff->kind = (enum weft_backoff)kind;
    backoff->jitter = jitter_of[jitter];
    return err;
}

static int read_input(const char *json, size_t len, struct weft_arena *arena,
                      struct weft_job_input *input)
{
    static const char *const members[] = {"id", "state", "result", "result_base64"};
    struct weft_remote_value values[4];
    *input = (struct weft_job_input){0};
    int err = weft_remote_members(json, len, members, 4, values);
    note(&err, values[0].raw ? 0 : -EPROTO);
    note(&err, weft_remote_uuid(&values[0], &input->id));
    note(&err, weft_remote_state(&values[1], &input->state));
    note(&err,
         weft_remote_bytes(&values[2], &values[3], arena, WEFT_JOB_RESULT_MAX, &input->result));
    return err;
}

static int count_elements(const struct weft_remote_value *list, size_t max, size_t *ret_count)
{
    const char *at = list->raw, *raw;
    size_t len, count = 0;
    int more;
    while ((more = weft_json_next_element(&at, list->raw + list->len, &raw, &len)) > 0 &&
           count <= max)
        count++;
    if (more < 0 || count > max)
        return -EPROTO;
    *ret_count = count;
    return 0;
}

static int read_inputs(const struct weft_remote_value *list, struct weft_arena *arena,
                       struct weft_job *job)
{
    size_t count = 0;
    int err = list->raw ? count_elements(list, WEFT_JOB_AFTER_MAX, &count) : 0;
    if (err || count == 0)
        return err;
    job->inputs = weft_arena_alloc(arena, count * sizeof *job->inputs);
    if (!job->inputs)
        return -ENOMEM;
    const char *at = list->raw, *raw;
    size_t len;
    while (!err && job->inputs_count < count &&
           weft_json_next_element(&at, list->raw + list->len, &raw, &len) > 0)
        err = read_input(raw, len, arena, &job->inputs[job->inputs_count++]);
    return err;
}

static int read_asked(const struct weft_remote_value *values, struct weft_arena *arena,
                      struct weft_job *job)
{
    int err = 0;
    for (int i = ID; i <= QUEUE; i++)
        note(&err, values[i].raw ? 0 : -EPROTO);
    note(&err, weft_remote_uuid(&values[ID], &job->id));
    note(&err, weft_remote_name(&values[TASK], arena, &job->task));
    note(&err, weft_remote_name(&values[QUEUE], arena, &job->queue));
    if (values[PRIORITY].raw)
        job->priority = (uint8_t)read_count(&values[PRIORITY], WEFT_PRIORITY_LAST, &err);
    job->attempts_max = (uint16_t)read_count(&values[MAX_ATTEMPTS], UINT16_MAX, &err);
    note(&err, weft_remote_time(&values[CREATED_AT], &job->created_us));
    note(&err, weft_remote_time(&values[EXPIRES_AT], &job->expires_us));
    note(&err, weft_remote_seconds(&values[TIMEOUT], &job->timeout_us));
    note(&err, read_soft_timeout(&values[SOFT_TIMEOUT], job));
    note(&err, read_backoff(&values[BACKOFF], arena, &job->backoff));
    note(&err, weft_remote_uuid(&values[FLOW], &job->flow));
    note(&err, weft_remote_string(&values[LIMIT_KEY], arena, WEFT_JOB_KEY_MAX, &job->limit_key));
    note(&err, weft_remote_string(&values[UNIQUE_KEY], arena, WEFT_JOB_KEY_MAX, &job->unique_key));
    note(&err,
         weft_remote_string(&values[CONTENT_TYPE], arena, WEFT_JOB_KEY_MAX, &job->content_type));
    note(&err, weft_remote_json(&values[HEADERS], arena, 8 * WEFT_JOB_HEADERS_MAX, &job->headers));
    note(&err, weft_remote_bytes(&values[PAYLOAD], &values[PAYLOAD_BASE64], arena,
                                 WEFT_JOB_PAYLOAD_MAX, &job->payload));
    return err;
}

static int read_present(const struct weft_remote_value *values, struct weft_arena *arena,
                        struct weft_job *job)
{
    int err = weft_remote_state(&values[STATE], &job->state);
    job->attempt = (uint16_t)read_count(&values[ATTEMPT], UINT16_MAX, &err);
    job->crashes = (uint16_t)read_count(&values[CRASHES], UINT16_MAX, &err);
    job->waits_for = (uint32_t)read_count(&values[WAITS_FOR], UINT32_MAX, &err);
    job->worker = (int64_t)read_count(&values[WORKER], INT64_MAX, &err);
    note(&err, weft_remote_bool(&values[CANCELLING], &job->cancelling));
    note(&err, weft_remote_time(&values[RUN_AT], &job->run_at_us));
    note(&err, weft_remote_time(&values[LEASE_UNTIL], &job->lease_until_us));
    note(&err, weft_remote_time(&values[STARTED_AT], &job->started_us));
    note(&err, weft_remote_time(&values[FINISHED_AT], &job->finished_us));
    note(&err, weft_remote_token(&values[TOKEN], &job->lease_token));
    note(&err, weft_remote_json(&values[PROGRESS], arena, WEFT_JOB_PROGRESS_MAX, &job->progress));
    note(&err, weft_remote_string(&values[ERROR], arena, ERROR_LEN_MAX, &job->error));
    note(&err, weft_remote_bytes(&values[RESULT], &values[RESULT_BASE64], arena,
                                 WEFT_JOB_RESULT_MAX, &job->result));
    note(&err, read_inputs(&values[INPUTS], arena, job));
    return err;
}

int weft_remote_job(const char *json, size_t len, struct weft_arena *arena,
                    struct weft_job *ret_job)
{
    struct weft_remote_value values[MEMBERS];
    struct weft_job job = {.priority = WEFT_PRIORITY_DEFAULT};
    int err = weft_remote_members(json, len, names, MEMBERS, values);
    if (!err)
        err = read_asked(values, arena, &job);
    if (!err)
        err = read_present(values, arena, &job);
    if (!err)
        *ret_job = job;
    return err;
}
