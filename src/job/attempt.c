/* SPDX-License-Identifier: MIT
 * attempt.c - what a handler may do with its job, see weft/task.h; reading JSON is in payload.c. */
#include <job/attempt.h>

#include <base/buffer.h>
#include <base/json_scan.h>

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DELAY_MIN_NS   WEFT_MSEC
#define NOTE_BYTES_MAX 512u /* of a progress; each may become six in JSON */
#define LOG_BYTES_MAX  1024u

void weft_attempt_init(struct weft_attempt *attempt, const struct weft_job *job,
                       const struct weft_attempt_host *host)
{
    attempt->host = host;
    attempt->job = job;
    attempt->desk = NULL;
    weft_uuid_format(&job->id, attempt->id);
}

void weft_attempt_deinit(struct weft_attempt *attempt)
{
    struct weft_desk *desk = attempt->desk;
    if (!desk)
        return;
    attempt->desk = NULL;
    while (desk->follow) {
        struct weft_follow *follow = desk->follow;
        desk->follow = follow->next;
        weft_job_free(follow->job);
        free(follow);
    }
    json_decref(desk->payload);
    json_decref(desk->headers);
    free(desk->result);
    free(desk->reason);
    free(desk);
}

struct weft_desk *weft_attempt_desk(struct weft_attempt *attempt)
{
    if (attempt->desk)
        return attempt->desk;
    struct weft_desk *desk = calloc(1, sizeof *desk);
    if (desk)
        desk->follow_end = &desk->follow;
    attempt->desk = desk;
    return desk;
}

size_t weft_text_cut(const char *text, size_t len, size_t len_max)
{
    if (len <= len_max)
        return len;
    size_t cut = len_max;
    while (cut > 0 && ((unsigned char)text[cut] & 0xc0) == 0x80)
        cut--;
    return cut;
}

/* ---- the job ---------------------------------------------------------------------------- */

const char *weft_attempt_id(const struct weft_attempt *attempt)
{
    return attempt->id;
}

const char *weft_attempt_task(const struct weft_attempt *attempt)
{
    return attempt->job->task;
}

const char *weft_attempt_queue(const struct weft_attempt *attempt)
{
    return attempt->job->queue;
}

unsigned weft_attempt_number(const struct weft_attempt *attempt)
{
    return attempt->job->attempt;
}

unsigned weft_attempt_number_max(const struct weft_attempt *attempt)
{
    return attempt->job->attempts_max;
}

const char *weft_attempt_payload(const struct weft_attempt *attempt, size_t *ret_len)
{
    const struct weft_bytes *payload = &attempt->job->payload;
    if (ret_len)
        *ret_len = payload->len;
    return payload->data ? payload->data : "";
}

size_t weft_attempt_inputs(const struct weft_attempt *attempt)
{
    return attempt->job->inputs_count;
}

int weft_attempt_input(const struct weft_attempt *attempt, size_t index, const char **ret_result,
                       size_t *ret_len)
{
    if (index >= attempt->job->inputs_count)
        return -ENOENT;
    const struct weft_bytes *result = &attempt->job->inputs[index].result;
    *ret_result = result->data;
    if (ret_len)
        *ret_len = result->data ? result->len : 0;
    return 0;
}

int weft_attempt_is_cancelled(const struct weft_attempt *attempt)
{
    return attempt->host->is_cancelled(attempt);
}

/* ---- its outcome ------------------------------------------------------------------------ */

int weft_attempt_take_result(struct weft_attempt *attempt, char *data, size_t len, bool json)
{
    struct weft_desk *desk = weft_attempt_desk(attempt);
    int err = len > WEFT_JOB_RESULT_MAX ? -EMSGSIZE : desk ? 0 : -ENOMEM;
    if (err) {
        free(data);
        return err;
    }
    free(desk->result);
    desk->result = data;
    desk->result_len = len;
    desk->result_json = json;
    return 0;
}

static int copy_result(struct weft_attempt *attempt, const void *data, size_t len, bool json)
{
    if (len > WEFT_JOB_RESULT_MAX)
        return -EMSGSIZE;
    char *copy = malloc(len + 1);
    if (!copy)
        return -ENOMEM;
    if (len > 0)
        memcpy(copy, data, len);
    copy[len] = '\0';
    return weft_attempt_take_result(attempt, copy, len, json);
}

int weft_attempt_result_json(struct weft_attempt *attempt, const char *json, size_t len)
{
    if (len > WEFT_JOB_RESULT_MAX)
        return -EMSGSIZE;
    return weft_json_is_valid(json, len) ? copy_result(attempt, json, len, true) : -EINVAL;
}

int weft_attempt_result_bytes(struct weft_attempt *attempt, const void *data, size_t len)
{
    return copy_result(attempt, data, len, false);
}

int weft_attempt_printf_result(struct weft_attempt *attempt, const char *format, ...)
{
    char *text;
    va_list args;
    va_start(args, format);
    int len = vasprintf(&text, format, args);
    va_end(args);
    if (len < 0)
        return -ENOMEM;
    if (!weft_json_is_valid(text, (size_t)len)) {
        free(text);
        return -EINVAL;
    }
    return weft_attempt_take_result(attempt, text, (size_t)len, true);
}

/* Without memory for it there is no reason; the code still says something. */
static void set_reason(struct weft_attempt *attempt, const char *format, va_list args)
    __attribute__((format(printf, 2, 0)));

static void set_reason(struct weft_attempt *attempt, const char *format, va_list args)
{
    struct weft_desk *desk = weft_attempt_desk(attempt);
    /* One more than is kept, to see where a longer one can be cut. */
    char *reason = desk ? malloc(WEFT_JOB_ERROR_MAX + 2) : NULL;
    if (!reason)
        return;
    int len = vsnprintf(reason, WEFT_JOB_ERROR_MAX + 2, format, args);
    size_t kept = len < 0 ? 0 : strlen(reason);
    reason[weft_text_cut(reason, kept, WEFT_JOB_ERROR_MAX)] = '\0';
    free(desk->reason);
    desk->reason = reason;
}

int weft_attempt_fail(struct weft_attempt *attempt, int err, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    set_reason(attempt, format, args);
    va_end(args);
    return err < 0 ? err : -EINVAL;
}

int weft_attempt_discard(struct weft_attempt *attempt, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    set_reason(attempt, format, args);
    va_end(args);
    return WEFT_TASK_DISCARD;
}

int weft_attempt_cancel(struct weft_attempt *attempt, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    set_reason(attempt, format, args);
    va_end(args);
    return WEFT_TASK_CANCEL;
}

static void set_delay(struct weft_attempt *attempt, int64_t delay_ns)
{
    struct weft_desk *desk = weft_attempt_desk(attempt);
    if (!desk)
        return;
    desk->delay_ns = delay_ns > DELAY_MIN_NS ? delay_ns : DELAY_MIN_NS;
    desk->delay_least = false;
}

int weft_attempt_snooze(struct weft_attempt *attempt, int64_t delay_ns)
{
    set_delay(attempt, delay_ns);
    return WEFT_TASK_SNOOZE;
}

int weft_attempt_retry_after(struct weft_attempt *attempt, int64_t delay_ns, const char *format,
                             ...)
{
    va_list args;
    va_start(args, format);
    set_reason(attempt, format, args);
    va_end(args);
    set_delay(attempt, delay_ns);
    return -EAGAIN;
}

int weft_attempt_retry_not_before(struct weft_attempt *attempt, int64_t delay_ns,
                                  const char *reason)
{
    int err = weft_attempt_retry_after(attempt, delay_ns, "%s", reason);
    if (attempt->desk)
        attempt->desk->delay_least = true;
    return err;
}

/* ---- on its way ------------------------------------------------------------------------- */

int weft_attempt_progress(struct weft_attempt *attempt, double fraction, const char *note)
{
    if (!(fraction >= 0 && fraction <= 1))
        return -EINVAL;
    struct weft_buffer json;
    weft_buffer_init(&json, WEFT_JOB_PROGRESS_MAX);
    weft_buffer_append_string(&json, "{\"fraction\":");
    weft_buffer_append_json_double(&json, fraction);
    if (note) {
        weft_buffer_append_string(&json, ",\"note\":");
        weft_buffer_append_json_string(&json, note,
                                       weft_text_cut(note, strlen(note), NOTE_BYTES_MAX));
    }
    weft_buffer_append(&json, "}", 2); /* with its NUL */
    if (json.err) {
        int err = json.err;
        weft_buffer_deinit(&json);
        return err;
    }
    return attempt->host->progress(attempt, json.data);
}

void weft_attempt_log(struct weft_attempt *attempt, enum weft_log_level level, const char *format,
                      ...)
{
    char *text = malloc(LOG_BYTES_MAX);
    if (!text)
        return;
    va_list args;
    va_start(args, format);
    int len = vsnprintf(text, LOG_BYTES_MAX, format, args);
    va_end(args);
    if (len >= 0) {
        text[weft_text_cut(text, strlen(text), LOG_BYTES_MAX - 2)] = '\0';
        attempt->host->log(attempt, level, text);
    }
    free(text);
}

/* ---- further jobs ----------------------------------------------------------------------- */

static int check_follow(const struct weft_attempt_job *job, const char *queue,
                        const struct weft_bytes *payload)
{
    bool names = job->task && weft_job_name_is_valid(job->task) && weft_job_name_is_valid(queue);
    bool priority =
        !job->has_priority || (job->priority >= 0 && job->priority <= WEFT_PRIORITY_LAST);
    if (!names || !priority || job->delay_ns < 0 || job->attempts_max > WEFT_JOB_ATTEMPTS_MAX)
        return -EINVAL;
    if (payload->len > WEFT_JOB_PAYLOAD_MAX)
        return -EMSGSIZE;
    if (job->unique_key && (!job->unique_key[0] || strlen(job->unique_key) > WEFT_JOB_KEY_MAX))
        return -EINVAL;
    return weft_json_is_valid(payload->data, payload->len) ? 0 : -EINVAL;
}

static struct weft_follow *make_follow(const struct weft_job *job, int64_t delay_us)
{
    struct weft_follow *follow = calloc(1, sizeof *follow);
    if (!follow)
        return NULL;
    follow->delay_us = delay_us;
    follow->job = weft_job_copy(job);
    if (follow->job)
        return follow;
    free(follow);
    return NULL;
}

int weft_attempt_enqueue(struct weft_attempt *attempt, const struct weft_attempt_job *job)
{
    struct weft_bytes payload = {job->payload ? job->payload : "null", job->payload_len, true};
    if (payload.len == 0 || !job->payload)
        payload.len = strlen(payload.data);
    const char *queue = job->queue ? job->queue : attempt->job->queue;
    int err = check_follow(job, queue, &payload);
    if (err)
        return err;
    struct weft_desk *desk = weft_attempt_desk(attempt);
    if (!desk)
        return -ENOMEM;
    if (desk->follow_count == WEFT_FOLLOW_MAX ||
        payload.len > WEFT_FOLLOW_BYTES_MAX - desk->follow_bytes)
        return -ENOBUFS;
    const struct weft_job asked = {
        .task = job->task,
        .queue = queue,
        .priority = (uint8_t)(job->has_priority ? job->priority : WEFT_PRIORITY_DEFAULT),
        .attempts_max = (uint16_t)job->attempts_max,
        .unique_key = job->unique_key,
        .flow = attempt->job->flow,
        .headers = attempt->job->headers, /* the trace goes on */
        .payload = payload,
    };
    struct weft_follow *follow = make_follow(&asked, job->delay_ns / 1000);
    if (!follow)
        return -ENOMEM;
    *desk->follow_end = follow;
    desk->follow_end = &follow->next;
    desk->follow_count++;
    desk->follow_bytes += payload.len;
    return 0;
}
