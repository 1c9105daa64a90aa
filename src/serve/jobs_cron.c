/* SPDX-License-Identifier: MIT
 * jobs_cron.c - schedules. The store keeps what a schedule puts in as JSON, as the API has it: a
 * server that opens the same file understands it. */
#include <serve/jobs_internal.h>

#include <base/base64.h>
#include <serve/job_json.h>
#include <serve/schedules.h>

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define JOB_BYTES    ((size_t)2 << 20) /* the store takes less */
#define MISSED_WORDS "once, skip or all"

struct cron_call {
    struct weft_jobs *jobs;
    const struct weft_jobs_cron *cron;
    char *error;
    size_t error_bytes;
};

__attribute__((format(printf, 3, 4))) static int refuse(const struct cron_call *call, int err,
                                                        const char *format, ...)
{
    char why[300];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(why, sizeof why, format, args);
    va_end(args);
    if (call->error_bytes > 0)
        (void)snprintf(call->error, call->error_bytes, "the schedule \"%.128s\": %s",
                       call->cron->name ? call->cron->name : "", why);
    return err;
}

/* ---- the job as JSON -------------------------------------------------------------------- */

static void append_text(struct weft_buffer *json, const char *key, const char *text)
{
    if (!text)
        return;
    weft_buffer_append_format(json, ",\"%s\":", key);
    weft_buffer_append_json_string(json, text, strlen(text));
}

static void append_length(struct weft_buffer *json, const char *key, int64_t ns)
{
    if (ns > 0)
        weft_buffer_append_format(json, ",\"%s\":\"%" PRId64 "ns\"", key, ns);
}

static void append_payload(struct weft_buffer *json, const struct weft_jobs_request *job)
{
    struct weft_bytes payload = weft_jobs_payload(job);
    if (payload.json) {
        weft_buffer_append_string(json, ",\"payload\":");
        weft_buffer_append(json, payload.data, payload.len);
        return;
    }
    weft_buffer_append_string(json, ",\"payload_base64\":\"");
    weft_base64_append(json, payload.data, payload.len);
    weft_buffer_append_char(json, '"');
}

static void append_unique(struct weft_buffer *json, const struct weft_jobs_request *job)
{
    if (!job->unique_key)
        return;
    weft_buffer_append_string(json, ",\"unique\":{\"key\":");
    weft_buffer_append_json_string(json, job->unique_key, strlen(job->unique_key));
    append_length(json, "window", job->unique_window_ns);
    weft_buffer_append_char(json, '}');
}

static void append_job(struct weft_buffer *json, const struct weft_jobs_request *job)
{
    weft_buffer_append_string(json, "{\"task\":");
    weft_buffer_append_json_string(json, job->task, strlen(job->task));
    append_text(json, "queue", job->queue);
    append_payload(json, job);
    append_text(json, "content_type", job->content_type);
    if (job->headers)
        weft_buffer_append_format(json, ",\"headers\":%s", job->headers);
    if (job->has_priority)
        weft_buffer_append_format(json, ",\"priority\":%d", job->priority);
    append_length(json, "delay", job->delay_ns);
    append_length(json, "expires_in", job->expires_in_ns);
    append_length(json, "timeout", job->timeout_ns);
    if (job->attempts_max > 0)
        weft_buffer_append_format(json, ",\"max_attempts\":%u", job->attempts_max);
    append_unique(json, job);
    append_text(json, "limit_key", job->limit_key);
    weft_buffer_append(json, "}", 2); /* with a NUL */
}

/* ---- checks ----------------------------------------------------------------------------- */

static bool is_missed_word(const char *word)
{
    return !word || strcmp(word, "once") == 0 || strcmp(word, "skip") == 0 ||
           strcmp(word, "all") == 0;
}

static int check(const struct cron_call *call)
{
    const struct weft_jobs_cron *cron = call->cron;
    int err = weft_jobs_enter(call->jobs);
    if (err)
        return refuse(call, err, "it is set from another worker");
    if (!cron->name || !weft_job_name_is_valid(cron->name))
        return refuse(call, -EINVAL,
                      "that is no name: letters, digits and . _ : - make one, at most 128");
    if (!cron->expression)
        return refuse(call, -EINVAL, "it has no expression");
    if (!is_missed_word(cron->missed))
        return refuse(call, -EINVAL, "\"%.40s\" is not " MISSED_WORDS, cron->missed);
    if (!cron->job)
        return refuse(call, -EINVAL, "it has no job");
    if (cron->job->run_at_us || cron->job->flow || cron->job->after_count > 0)
        return refuse(call, -EINVAL, "its job cannot have run_at_us, a flow, or jobs to wait for");
    const char *problem = weft_jobs_request_problem(call->jobs, cron->job, 0, &err);
    return problem ? refuse(call, err, "its job is refused: %s", problem) : 0;
}

/* ---- set and remove --------------------------------------------------------------------- */

static bool same(const char *one, const char *other)
{
    return strcmp(one ? one : "", other ? other : "") == 0;
}

static bool is_like(const struct weft_cron_entry *stored, const struct weft_cron_entry *wanted)
{
    return same(stored->schedule, wanted->schedule) && same(stored->zone, wanted->zone) &&
           same(stored->missed, wanted->missed) && same(stored->job, wanted->job);
}

/* As it will be read when its time has come. */
static int check_json(const struct cron_call *call, const struct weft_buffer *json)
{
    struct weft_job_requests requests;
    struct weft_refusal refusal;
    if (json->err)
        return json->err;
    int err =
        weft_job_json_parse(&requests, WEFT_JOB_BODY_JSON, json->data, json->len - 1, &refusal);
    if (err)
        return refuse(call, err, "its job is refused: %s", refusal.detail);
    weft_job_requests_deinit(&requests);
    return 0;
}

/* One that is stored just like it is left alone; of another one its pause stays. */
static int replace(const struct cron_call *call, const struct weft_cron_entry *stored,
                   struct weft_cron_entry *entry)
{
    struct weft_broker *broker = call->jobs->broker;
    char error[WEFT_SCHEDULE_ERROR_BYTES] = "";
    if (stored && is_like(stored, entry))
        return 0;
    entry->paused = stored && stored->paused;
    int err = weft_schedules_begin(broker, stored, entry, error, sizeof error);
    if (err && err != -ECANCELED)
        return refuse(call, err == -ERANGE ? -EINVAL : err, "%s", error);
    if (!err)
        err = broker->ops->cron_set(broker, entry);
    if (!err)
        weft_scheduler_poke(call->jobs->scheduler);
    return err;
}

static int store(const struct cron_call *call, struct weft_cron_entry *entry)
{
    struct weft_cron_entry *block;
    const struct weft_cron_entry *stored;
    int err = weft_schedules_find(call->jobs->broker, entry->name, &block, &stored);
    if (err)
        return err;
    err = replace(call, stored, entry);
    free(block);
    return err;
}

int weft_jobs_cron_set(struct weft_jobs *jobs, const struct weft_jobs_cron *cron, char *ret_error,
                       size_t error_bytes)
{
    const struct cron_call call = {jobs, cron, ret_error, error_bytes};
    struct weft_buffer json;
    if (error_bytes > 0)
        ret_error[0] = '\0';
    int err = check(&call);
    if (err)
        return err;
    weft_buffer_init(&json, JOB_BYTES);
    append_job(&json, cron->job);
    struct weft_cron_entry entry = {
        .name = cron->name,
        .schedule = cron->expression,
        .zone = cron->zone,
        .missed = cron->missed,
        .job = json.data,
    };
    err = check_json(&call, &json);
    if (!err)
        err = store(&call, &entry);
    weft_buffer_deinit(&json);
    if (err && error_bytes > 0 && !ret_error[0])
        (void)refuse(&call, err, "%s", weft_strerror(err));
    return err;
}

int weft_jobs_cron_remove(struct weft_jobs *jobs, const char *name)
{
    int err = weft_jobs_enter(jobs);
    if (!err)
        err = jobs->broker->ops->cron_remove(jobs->broker, name);
    if (!err)
        weft_scheduler_poke(jobs->scheduler);
    return err;
}
