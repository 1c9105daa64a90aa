/* SPDX-License-Identifier: MIT
 * remote_answer.c - what a server says to a worker, from arbitrary bytes: no crash, a refusal, or a
 * job and leases that keep what their headers promise.
 *
 * The first byte of the input says whether the rest is a job (even) or an answer to /v1/extend. */
#include <base/json_scan.h>
#include <broker/remote_internal.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds)
        abort();
}

static void check_bytes(const struct weft_bytes *bytes, size_t len_max)
{
    check(bytes->len <= len_max && (bytes->data || bytes->len == 0));
    check(!bytes->json || weft_json_is_valid(bytes->data, bytes->len));
}

static void check_text(const char *text, size_t len_max)
{
    check(!text || strlen(text) <= len_max);
}

static void check_job(const struct weft_job *job)
{
    check(weft_job_name_is_valid(job->task) && weft_job_name_is_valid(job->queue));
    check(job->priority <= WEFT_PRIORITY_LAST && job->state < WEFT_JOB_STATES);
    check(job->timeout_us >= 0 && job->grace_us >= 0);
    check(job->backoff.base_us >= 0 && job->backoff.cap_us >= 0);
    check(job->backoff.kind <= WEFT_BACKOFF_CONSTANT && job->backoff.jitter <= WEFT_JITTER_NONE);
    check_text(job->unique_key, WEFT_JOB_KEY_MAX);
    check_text(job->limit_key, WEFT_JOB_KEY_MAX);
    check_text(job->content_type, WEFT_JOB_KEY_MAX);
    check(!job->headers || weft_json_is_valid(job->headers, strlen(job->headers)));
    check(!job->progress || weft_json_is_valid(job->progress, strlen(job->progress)));
    check_bytes(&job->payload, WEFT_JOB_PAYLOAD_MAX);
    check_bytes(&job->result, WEFT_JOB_RESULT_MAX);
    check(job->inputs_count <= WEFT_JOB_AFTER_MAX);
    for (size_t i = 0; i < job->inputs_count; i++)
        check_bytes(&job->inputs[i].result, WEFT_JOB_RESULT_MAX);
}

static void read_job(const char *json, size_t len)
{
    struct weft_arena arena = {0};
    struct weft_job job;
    int err = weft_remote_job(json, len, &arena, &job);
    check(err == 0 || err == -EPROTO || err == -ENOMEM);
    if (!err) {
        check_job(&job);
        struct weft_job *copy = weft_job_copy(&job);
        if (copy)
            check_job(copy);
        weft_job_free(copy);
    }
    weft_arena_deinit(&arena);
}

static void read_leases(const char *json, size_t len)
{
    struct weft_lease items[2] = {{.token = 1}, {.token = 2}};
    int err = weft_remote_read_leases(json, len, items, 2);
    check(err == 0 || err == -EPROTO);
    for (int i = 0; i < 2 && !err; i++)
        check(items[i].err <= 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    /* In as much memory as it needs, so that a sanitizer sees every step too far. */
    char *exact = malloc(size > 1 ? size - 1 : 1);
    check(exact != NULL);
    memcpy(exact, data + 1, size - 1);
    if (data[0] % 2 == 0)
        read_job(exact, size - 1);
    else
        read_leases(exact, size - 1);
    free(exact);
    return 0;
}
