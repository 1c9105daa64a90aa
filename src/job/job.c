/* SPDX-License-Identifier: MIT
 * job.c - see job.h. */
#include <job/job.h>

#include <stdlib.h>
#include <string.h>

/* A block that is filled from its front. With data NULL only its size is counted. */
struct block {
    char *data;
    size_t len;
};

static const char *put(struct block *block, const char *data, size_t len)
{
    char *start = block->data ? block->data + block->len : NULL;
    block->len += len + 1;
    if (!start)
        return NULL;
    if (len > 0)
        memcpy(start, data, len);
    start[len] = '\0';
    return start;
}

static const char *put_text(struct block *block, const char *text)
{
    return text ? put(block, text, strlen(text)) : NULL;
}

static struct weft_bytes put_bytes(struct block *block, const struct weft_bytes *bytes)
{
    struct weft_bytes copy = *bytes;
    if (bytes->data)
        copy.data = put(block, bytes->data, bytes->len);
    return copy;
}

/* Everything a job points to; the job's own pointers are moved when there is a block. */
static void put_all(struct block *block, struct weft_job *copy, const struct weft_job *job)
{
    copy->task = put_text(block, job->task);
    copy->queue = put_text(block, job->queue);
    copy->limit_key = put_text(block, job->limit_key);
    copy->unique_key = put_text(block, job->unique_key);
    copy->content_type = put_text(block, job->content_type);
    copy->headers = put_text(block, job->headers);
    copy->progress = put_text(block, job->progress);
    copy->error = put_text(block, job->error);
    copy->payload = put_bytes(block, &job->payload);
    copy->result = put_bytes(block, &job->result);
    for (size_t i = 0; i < job->inputs_count; i++) {
        struct weft_bytes result = put_bytes(block, &job->inputs[i].result);
        if (block->data)
            copy->inputs[i].result = result;
    }
}

struct weft_job *weft_job_copy(const struct weft_job *job)
{
    struct weft_job scratch;
    struct block size = {0};
    put_all(&size, &scratch, job);
    size_t inputs_bytes = job->inputs_count * sizeof *job->inputs;
    struct weft_job *copy = malloc(sizeof *copy + inputs_bytes + size.len);
    if (!copy)
        return NULL;
    *copy = *job;
    copy->inputs = job->inputs_count > 0 ? (struct weft_job_input *)(copy + 1) : NULL;
    if (inputs_bytes > 0)
        memcpy(copy->inputs, job->inputs, inputs_bytes);
    struct block block = {.data = (char *)(copy + 1) + inputs_bytes};
    put_all(&block, copy, job);
    return copy;
}

void weft_job_free(struct weft_job *job)
{
    free(job);
}

static bool is_name_char(char c)
{
    char lower = (char)(c | 0x20);
    return (lower >= 'a' && lower <= 'z') || (c >= '0' && c <= ':') || c == '.' || c == '_' ||
           c == '-';
}

bool weft_job_name_is_valid(const char *text)
{
    size_t len = 0;
    while (is_name_char(text[len]) && len <= WEFT_JOB_NAME_MAX)
        len++;
    return len > 0 && len <= WEFT_JOB_NAME_MAX && text[len] == '\0';
}
