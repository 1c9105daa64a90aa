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

/* ---- lists ------------------------------------------------------------------------------ */

static int parse_id(struct weft_uuid *ret_id, const char *text)
{
    return text ? weft_uuid_parse(ret_id, text, strlen(text)) : 0;
}

static int make_filter(struct weft_job_filter *ret_filter, const struct weft_jobs_filter *asked)
{
    *ret_filter =
        (struct weft_job_filter){.state = asked->state, .queue = asked->queue, .task = asked->task};
    int err = parse_id(&ret_filter->flow, asked->flow);
    return err ? err : parse_id(&ret_filter->before, asked->before);
}

/* Takes all of them over, also when it fails; *count is raised by the views that were made. */
static int make_views(const struct weft_job_page *page, struct weft_jobs_view **views,
                      size_t *count)
{
    int err = 0;
    for (size_t i = 0; i < page->count; i++) {
        if (err)
            weft_job_free(page->jobs[i]);
        else
            err = make_view(page->jobs[i], &views[*count]);
        *count += !err;
    }
    return err;
}

/* A page may be short although there is more. */
static int list_pages(struct weft_jobs *jobs, struct weft_job_filter *filter,
                      struct weft_jobs_view **views, size_t max, size_t *count)
{
    struct weft_job_page page = {.more = true};
    page.jobs = calloc(max, sizeof(struct weft_job *));
    int err = page.jobs ? 0 : -ENOMEM;
    while (!err && page.more && *count < max) {
        filter->jobs_max = max - *count;
        err = jobs->broker->ops->list(jobs->broker, filter, &page);
        if (!err)
            err = make_views(&page, views, count);
        filter->before = page.next;
    }
    free(page.jobs);
    return err;
}

int weft_jobs_list(struct weft_jobs *jobs, const struct weft_jobs_filter *filter,
                   struct weft_jobs_view **views, size_t max, size_t *ret_count)
{
    struct weft_job_filter asked;
    size_t count = 0;
    int err = weft_jobs_enter(jobs);
    if (!err &&
        (max == 0 || max > WEFT_JOBS_LIST_MAX || (unsigned)filter->state >= WEFT_JOB_STATES))
        err = -EINVAL;
    if (!err)
        err = make_filter(&asked, filter);
    if (!err)
        err = list_pages(jobs, &asked, views, max, &count);
    while (err && count > 0)
        weft_jobs_view_free(views[--count]);
    if (!err)
        *ret_count = count;
    return err;
}
