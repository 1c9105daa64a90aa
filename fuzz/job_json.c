/* SPDX-License-Identifier: MIT
 * job_json.c - descriptions of jobs from arbitrary bytes: no crash, a refusal with a sentence, or
 * requests that keep every promise of their header.
 *
 * The first byte of the input says whether the rest is JSON (even) or lines of it. */
#include <job/job.h>
#include <serve/job_json.h>

#include <errno.h>
#include <jansson.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds)
        abort();
}

static void check_word(const char *word)
{
    static const char allowed[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.:-";
    check(*word && strlen(word) <= WEFT_JOB_WORD_MAX && word[strspn(word, allowed)] == '\0');
}

static void check_payload(const struct weft_job_request *job)
{
    const size_t flags =
        JSON_DECODE_ANY | JSON_DECODE_INT_AS_REAL | JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES;
    check((job->payload != NULL) == (job->payload_kind != WEFT_JOB_PAYLOAD_NONE));
    check(!job->content_type || job->payload_kind == WEFT_JOB_PAYLOAD_BYTES);
    if (!job->payload)
        return;
    check(job->payload_len <= WEFT_JOB_PAYLOAD_MAX && job->payload[job->payload_len] == '\0');
    if (job->payload_kind != WEFT_JOB_PAYLOAD_JSON)
        return;
    check(!memchr(job->payload, '\0', job->payload_len)); /* which the library may pass over */
    json_error_t error;
    json_t *value = json_loadb(job->payload, job->payload_len, flags, &error);
    check(value != NULL);
    json_decref(value);
}

static void check_length(int64_t ns)
{
    check(ns >= 0 && ns <= WEFT_JOB_LENGTH_MAX_NS);
}

static void check_times(const struct weft_job_request *job)
{
    check(job->run_at_us >= 0 && job->expires_at_us >= 0);
    check(!job->run_at_us || !job->delay_ns);
    check(!job->expires_at_us || !job->expires_in_ns);
    check_length(job->delay_ns);
    check_length(job->expires_in_ns);
    check_length(job->timeout_ns);
    check_length(job->soft_timeout_ns);
    check_length(job->result_ttl_ns);
    check_length(job->backoff_base_ns);
    check_length(job->backoff_cap_ns);
    check_length(job->unique_window_ns);
    check(!job->timeout_ns || job->soft_timeout_ns <= job->timeout_ns);
}

static void check_after(const struct weft_job_requests *requests,
                        const struct weft_job_request *job)
{
    check(job->after_count <= WEFT_JOB_AFTER_MAX);
    for (size_t i = 0; i < job->after_count; i++) {
        const struct weft_job_after *after = &job->after[i];
        check(i == 0 || after[-1].position < after->position);
        if (!after->name)
            continue;
        check(after->index < requests->count && &requests->items[after->index] != job);
        check(strcmp(requests->items[after->index].name, after->name) == 0);
    }
}

/* Each job comes behind those it waits for. */
static void check_order(const struct weft_job_requests *requests)
{
    bool *seen = calloc(requests->count, sizeof *seen);
    check(seen != NULL);
    for (size_t i = 0; i < requests->count; i++) {
        size_t at = requests->order ? requests->order[i] : i;
        check(at < requests->count && !seen[at]);
        const struct weft_job_request *job = &requests->items[at];
        for (size_t j = 0; j < job->after_count; j++)
            check(!job->after[j].name || seen[job->after[j].index]);
        seen[at] = true;
    }
    free(seen);
}

static void check_job(const struct weft_job_requests *requests, const struct weft_job_request *job)
{
    size_t headers_bytes = 0;
    check_word(job->task);
    check_word(job->queue);
    if (job->name)
        check_word(job->name);
    if (job->group)
        check_word(job->group);
    check(job->priority <= WEFT_PRIORITY_LAST && job->attempts_max <= WEFT_JOB_ATTEMPTS_MAX);
    check(job->unique_key || (!job->unique_window_ns && !job->unique_states));
    check(job->unique_states < 1u << WEFT_JOB_STATES);
    for (size_t i = 0; i < job->headers_count; i++)
        headers_bytes += strlen(job->headers[i].name) + strlen(job->headers[i].value);
    check(headers_bytes <= WEFT_JOB_HEADERS_MAX);
    check_payload(job);
    check_times(job);
    check_after(requests, job);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct weft_job_requests requests;
    struct weft_refusal refusal;
    if (size < 1)
        return 0;
    size_t len = size - 1;
    char *body = malloc(len ? len : 1);
    if (!body)
        abort();
    memcpy(body, data + 1, len);
    int err = weft_job_json_parse(&requests, data[0] & 1 ? WEFT_JOB_BODY_LINES : WEFT_JOB_BODY_JSON,
                                  body, len, &refusal);
    free(body); /* what was read does not point into it */
    if (err) {
        check(err == -EINVAL);
        check(refusal.status == 400 || refusal.status == 413 || refusal.status == 422);
        check(memchr(refusal.detail, '\0', sizeof refusal.detail) && refusal.detail[0]);
        return 0;
    }
    check(requests.count > 0 && requests.count <= WEFT_JOB_REQUESTS_MAX);
    for (size_t i = 0; i < requests.count; i++)
        check_job(&requests, &requests.items[i]);
    check_order(&requests);
    weft_job_requests_deinit(&requests);
    return 0;
}
