/* SPDX-License-Identifier: MIT
 * jobs_view.c - jobs as their program sees them. */
#include <serve/jobs_internal.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct view {
    struct weft_jobs_view shown; /* first: what the caller has */
    struct weft_job *job;        /* that it points to */
    char id[WEFT_JOBS_ID_BYTES], flow[WEFT_JOBS_ID_BYTES];
};

/* Takes the job over, also when it fails. */
static int make_view(struct weft_job *job, struct weft_jobs_view **ret_view)
{
    struct view *view = malloc(sizeof *view);
    if (!view) {
        weft_job_free(job);
        return -ENOMEM;
    }
    view->job = job;
    weft_uuid_format(&job->id, view->id);
    weft_uuid_format(&job->flow, view->flow);
    view->shown = (struct weft_jobs_view){
        .id = view->id,
        .flow = weft_uuid_is_none(&job->flow) ? NULL : view->flow,
        .task = job->task,
        .queue = job->queue,
        .state = job->state,
        .priority = job->priority,
        .attempt = job->attempt,
        .attempts_max = job->attempts_max,
        .payload = job->payload.data,
        .payload_len = job->payload.len,
        .progress = job->progress,
        .result = job->result.data,
        .result_len = job->result.len,
        .result_is_json = job->result.json,
        .error = job->error,
        .created_us = job->created_us,
        .run_at_us = job->run_at_us,
        .started_us = job->started_us,
        .finished_us = job->finished_us,
    };
    *ret_view = &view->shown;
    return 0;
}

void weft_jobs_view_free(struct weft_jobs_view *shown)
{
    if (!shown)
        return;
    struct view *view = weft_container_of(shown, struct view, shown);
    weft_job_free(view->job);
    free(view);
}

int weft_jobs_find(struct weft_jobs *jobs, const char *id, struct weft_jobs_view **ret_view)
{
    struct weft_uuid uuid;
    struct weft_job *job;
    int err = weft_jobs_enter(jobs);
    if (!err)
        err = weft_uuid_parse(&uuid, id, strlen(id));
    if (!err)
        err = jobs->broker->ops->find(jobs->broker, &uuid, &job);
    return err ? err : make_view(job, ret_view);
}

int weft_jobs_wait(struct weft_jobs *jobs, const char *id, int64_t deadline_ns,
                   struct weft_jobs_view **ret_view)
{
    struct weft_uuid uuid;
    struct weft_job *job = NULL;
    int err = weft_jobs_enter(jobs);
    if (!err)
        err = weft_uuid_parse(&uuid, id, strlen(id));
    if (!err)
        err = weft_engine_wait(jobs->engine, &uuid, deadline_ns, &job);
    if (err)
        weft_job_free(job); /* that of -ETIMEDOUT */
    return err ? err : make_view(job, ret_view);
}
