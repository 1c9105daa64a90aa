/* SPDX-License-Identifier: MIT
 * ndjson.c - lines of jobs from arbitrary bytes: what is taken line by line is taken in the same
 * way as an array of these lines, and a refusal names a line that there is.
 *
 * job_json.c checks what each request promises. */
#include <base/buffer.h>
#include <job/job.h>
#include <serve/job_json.h>

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds)
        abort();
}

static bool is_blank(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (!memchr(" \t\r", text[i], 3))
            return false;
    return true;
}

/* The lines between commas. ret_lines: all of them, also empty ones. */
static void join_lines(struct weft_buffer *array, const char *body, size_t len, unsigned *ret_lines)
{
    unsigned lines = 0;
    weft_buffer_append_char(array, '[');
    for (const char *at = body, *end = body + len; at < end; lines++) {
        const char *feed = memchr(at, '\n', (size_t)(end - at));
        size_t line_len = (size_t)((feed ? feed : end) - at);
        if (!is_blank(at, line_len)) {
            if (array->len > 1)
                weft_buffer_append_char(array, ',');
            weft_buffer_append(array, at, line_len);
        }
        at += line_len + 1;
    }
    weft_buffer_append_char(array, ']');
    check(!array->err);
    *ret_lines = lines;
}

static bool same_text(const char *one, const char *other)
{
    return one == other || (one && other && strcmp(one, other) == 0);
}

static void check_same_job(const struct weft_job_request *one, const struct weft_job_request *other)
{
    check(same_text(one->task, other->task) && same_text(one->queue, other->queue));
    check(same_text(one->name, other->name) && same_text(one->group, other->group));
    check(one->priority == other->priority && one->attempts_max == other->attempts_max);
    check(one->payload_kind == other->payload_kind && one->payload_len == other->payload_len);
    check(one->payload_len == 0 || memcmp(one->payload, other->payload, one->payload_len) == 0);
    check(one->run_at_us == other->run_at_us && one->delay_ns == other->delay_ns);
    check(one->timeout_ns == other->timeout_ns && one->expires_at_us == other->expires_at_us);
    check(same_text(one->unique_key, other->unique_key));
    check(same_text(one->limit_key, other->limit_key));
    check(one->headers_count == other->headers_count && one->after_count == other->after_count);
    for (size_t i = 0; i < one->after_count; i++)
        check(same_text(one->after[i].name, other->after[i].name) &&
              one->after[i].index == other->after[i].index);
}

static void check_array(const struct weft_job_requests *lines, const struct weft_buffer *array,
                        unsigned last_line)
{
    struct weft_job_requests jobs;
    struct weft_refusal refusal;
    check(weft_job_json_parse(&jobs, WEFT_JOB_BODY_JSON, array->data, array->len, &refusal) == 0);
    check(jobs.count == lines->count && (jobs.order != NULL) == (lines->order != NULL));
    for (size_t i = 0; i < jobs.count; i++) {
        check(lines->items[i].place >= 1 && lines->items[i].place <= last_line);
        check(i == 0 || lines->items[i].place > lines->items[i - 1].place);
        check_same_job(&lines->items[i], &jobs.items[i]);
    }
    weft_job_requests_deinit(&jobs);
}

/* "line 3: ..." or "line 3, ..." */
static void check_line(const struct weft_refusal *refusal, unsigned last_line)
{
    unsigned line = 0;
    check(refusal->status == 400 || refusal->status == 413 || refusal->status == 422);
    check(memchr(refusal->detail, '\0', sizeof refusal->detail) && refusal->detail[0]);
    if (sscanf(refusal->detail, "line %u", &line) == 1)
        check(line >= 1 && line <= last_line);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct weft_job_requests lines;
    struct weft_refusal refusal;
    struct weft_buffer array;
    unsigned last_line;
    char *body = malloc(size ? size : 1); /* of exactly the size, for a sanitizer */
    check(body != NULL);
    if (size > 0)
        memcpy(body, data, size);
    weft_buffer_init(&array, 2 * size + 2);
    join_lines(&array, body, size, &last_line);
    int err = weft_job_json_parse(&lines, WEFT_JOB_BODY_LINES, body, size, &refusal);
    check(err == 0 || err == -EINVAL);
    if (err) {
        check_line(&refusal, last_line);
    } else {
        check(!lines.single);
        check_array(&lines, &array, last_line);
        weft_job_requests_deinit(&lines);
    }
    free(body);
    weft_buffer_deinit(&array);
    return 0;
}
