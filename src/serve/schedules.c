/* SPDX-License-Identifier: MIT
 * schedules.c - see schedules.h. */
#include <serve/schedules.h>

#include <serve/api_job.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

static int fill(struct weft_engine *engine, const struct weft_submission *asked,
                struct weft_scheduled_job *ret_job)
{
    struct weft_job job;
    int err = weft_engine_prepare(engine, asked, &job);
    struct weft_job *copy = err ? NULL : weft_job_copy(&job);
    if (!copy)
        return err ? err : -ENOMEM;
    *ret_job = (struct weft_scheduled_job){
        .job = *copy,
        .unique = asked->unique,
        .delay_us = asked->delay_us > 0 ? asked->delay_us : 0,
        .expires_in_us = asked->expires_in_us,
        .memory = copy,
    };
    return 0;
}

int weft_schedules_make(void *context, const struct weft_cron_entry *entry, int64_t run_us,
                        struct weft_scheduled_job *ret_job, char *error, size_t error_bytes)
{
    struct weft_engine *engine = context;
    struct weft_job_requests requests;
    struct weft_refusal refusal;
    (void)run_us;
    int err = weft_job_json_parse(&requests, WEFT_JOB_BODY_JSON, entry->job, strlen(entry->job),
                                  &refusal);
    if (err) {
        (void)snprintf(error, error_bytes, "%s", refusal.detail);
        return err;
    }
    struct weft_submissions submissions;
    err = weft_submissions_make(&submissions, engine, &requests);
    if (!err)
        err = fill(engine, submissions.items, ret_job);
    weft_submissions_release(&submissions);
    if (err)
        (void)snprintf(error, error_bytes, "the job cannot be made: %s", weft_strerror(err));
    return err;
}
