/* SPDX-License-Identifier: MIT
 * job.c - see job.h. */
#include <job/job.h>

#include <stdlib.h>
#include <string.h>

/* Copy len bytes and a NUL to *end and move it on. */
static const char *put(char **end, const char *data, size_t len)
{
    char *start = *end;
    if (len > 0)
        memcpy(start, data, len);
    start[len] = '\0';
    *end = start + len + 1;
    return start;
}

struct weft_job *weft_job_copy(const struct weft_job *job)
{
    size_t task_len = strlen(job->task);
    size_t error_len = job->error ? strlen(job->error) : 0;
    size_t tail = task_len + 1 + job->payload.len + 1 + job->result.len + 1 + error_len + 1;
    struct weft_job *copy = malloc(sizeof *copy + tail);
    if (!copy)
        return NULL;
    char *end = (char *)(copy + 1);
    *copy = *job;
    copy->task = put(&end, job->task, task_len);
    copy->payload.data = put(&end, job->payload.data, job->payload.len);
    if (job->result.data)
        copy->result.data = put(&end, job->result.data, job->result.len);
    if (job->error)
        copy->error = put(&end, job->error, error_len);
    return copy;
}

void weft_job_free(struct weft_job *job)
{
    free(job);
}
