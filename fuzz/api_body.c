/* SPDX-License-Identifier: MIT
 * api_body.c - bodies of the API from arbitrary bytes: no crash, a refusal with a sentence, or a
 * struct that keeps every promise of its header.
 *
 * The first byte of the input says what the rest is the body of. */
#include <serve/admin_json.h>
#include <serve/work_json.h>

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

static void check_words(const struct weft_words *words, size_t most)
{
    check(words->count <= most);
    for (size_t i = 0; i < words->count; i++)
        check(weft_job_name_is_valid(words->words[i]));
}

/* Text that is handed on as JSON. */
static void check_json(const char *text, size_t len)
{
    const size_t flags =
        JSON_DECODE_ANY | JSON_DECODE_INT_AS_REAL | JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES;
    json_t *value = json_loadb(text, len, flags, NULL);
    check(!memchr(text, '\0', len)); /* which the library may pass over */
    check(value != NULL);
    json_decref(value);
}

static int lease(const char *body, size_t len, struct weft_refusal *refusal)
{
    struct weft_lease_request request;
    int err = weft_lease_request_parse(&request, body, len, refusal);
    if (err)
        return err;
    check(request.queues.count > 0);
    check_words(&request.queues, WEFT_LEASE_QUEUES_MAX);
    check_words(&request.tasks, WEFT_LEASE_TASKS_MAX);
    check(request.max >= 1 && request.max <= WEFT_LEASE_JOBS_MAX);
    check(request.lease_ns >= WEFT_LEASE_LEAST_NS && request.lease_ns <= WEFT_LEASE_MOST_NS);
    check(request.wait_ns >= 0 && request.wait_ns <= WEFT_LEASE_WAIT_MAX_NS);
    weft_lease_request_deinit(&request);
    return 0;
}

static void check_item(const struct weft_settle_item *item)
{
    check(item->event == WEFT_JOB_COMPLETE || item->event == WEFT_JOB_RETRY ||
          item->event == WEFT_JOB_DIE || item->event == WEFT_JOB_SNOOZE ||
          item->event == WEFT_JOB_RELEASE || item->event == WEFT_JOB_CANCEL);
    check(!item->fails || item->event == WEFT_JOB_RETRY);
    check(item->delay_ns >= -1 && item->delay_ns <= WEFT_SETTLE_DELAY_MAX);
    check(item->result.len <= WEFT_JOB_RESULT_MAX);
    if (item->result.json)
        check_json(item->result.data, item->result.len);
    check(item->follow.count <= WEFT_SETTLE_FOLLOW_MAX);
    check(item->follow.count == 0 || item->event == WEFT_JOB_COMPLETE);
    for (size_t i = 0; i < item->follow.count; i++)
        check(item->follow.items[i].after_count == 0);
}

static int settle(const char *body, size_t len, struct weft_refusal *refusal)
{
    struct weft_settle_request request;
    int err = weft_settle_request_parse(&request, body, len, refusal);
    if (err)
        return err;
    check(request.count > 0 && request.count <= WEFT_LEASE_JOBS_MAX);
    for (size_t i = 0; i < request.count; i++)
        check_item(&request.items[i]);
    weft_settle_request_deinit(&request);
    return 0;
}

static int extend(const char *body, size_t len, struct weft_refusal *refusal)
{
    struct weft_extend_request request;
    int err = weft_extend_request_parse(&request, body, len, refusal);
    if (err)
        return err;
    check(request.count > 0 && request.count <= WEFT_LEASE_JOBS_MAX);
    for (size_t i = 0; i < request.count; i++) {
        const struct weft_lease *item = &request.items[i];
        check(item->lease_us >= 0 && item->lease_us <= WEFT_LEASE_MOST_NS / 1000);
        check(item->lease_us > 0 || item->progress);
        if (item->progress)
            check_json(item->progress, strlen(item->progress));
        check(!item->progress || strlen(item->progress) <= WEFT_JOB_PROGRESS_MAX);
    }
    weft_extend_request_deinit(&request);
    return 0;
}

static int queue(const char *body, size_t len, struct weft_refusal *refusal)
{
    struct weft_queue_change change;
    struct weft_queue_settings settings = {0};
    int err = weft_queue_change_parse(&change, body, len, refusal);
    if (err)
        return err;
    weft_queue_change_apply(&change, &settings);
    check(settings.size_max <= WEFT_QUEUE_SIZE_MAX);
    check(settings.rate_per_s >= 0 && settings.rate_per_s <= WEFT_QUEUE_RATE_MAX);
    return 0;
}

static int cron(const char *body, size_t len, struct weft_refusal *refusal)
{
    struct weft_cron_request request;
    int err = weft_cron_request_parse(&request, body, len, refusal);
    if (err)
        return err;
    check(strlen(request.schedule) <= WEFT_JOB_KEY_MAX && request.schedule[0]);
    check(!request.zone || strlen(request.zone) <= WEFT_JOB_KEY_MAX);
    check(!request.missed || strcmp(request.missed, "skip") == 0 ||
          strcmp(request.missed, "once") == 0 || strcmp(request.missed, "all") == 0);
    check(request.job[0] == '{' && strlen(request.job) <= WEFT_JOB_PAYLOAD_MAX);
    check_json(request.job, strlen(request.job));
    weft_cron_request_deinit(&request);
    return 0;
}

static int join(const char *body, size_t len, struct weft_refusal *refusal)
{
    struct weft_worker_info worker;
    int err = weft_worker_join_parse(&worker, body, len, refusal);
    if (err)
        return err;
    check(weft_job_name_is_valid(worker.name));
    check(memchr(worker.host, '\0', sizeof worker.host));
    check(memchr(worker.queues, '\0', sizeof worker.queues));
    check(memchr(worker.version, '\0', sizeof worker.version));
    return 0;
}

static int beat(const char *body, size_t len, struct weft_refusal *refusal)
{
    struct weft_worker_info worker;
    return weft_worker_beat_parse(&worker, body, len, refusal);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int (*const parsers[])(const char *, size_t, struct weft_refusal *) = {
        lease, settle, extend, queue, cron, join, beat};
    struct weft_refusal refusal;
    if (size < 1)
        return 0;
    size_t len = size - 1;
    char *body = malloc(len ? len : 1); /* of exactly the size, for a sanitizer */
    if (!body)
        abort();
    memcpy(body, data + 1, len);
    memset(&refusal, 0xff, sizeof refusal);
    int err = parsers[data[0] % (sizeof parsers / sizeof *parsers)](body, len, &refusal);
    free(body);
    if (err) {
        check(err == -EINVAL);
        check(refusal.status == 400 || refusal.status == 413 || refusal.status == 422);
        check(memchr(refusal.detail, '\0', sizeof refusal.detail) && refusal.detail[0]);
    }
    return 0;
}
