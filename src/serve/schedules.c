/* SPDX-License-Identifier: MIT
 * schedules.c - see schedules.h. */
#include <serve/schedules.h>

#include <serve/api_job.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
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

int weft_schedules_find(struct weft_broker *broker, const char *name,
                        struct weft_cron_entry **ret_block,
                        const struct weft_cron_entry **ret_entry)
{
    struct weft_cron_entry *block = NULL;
    size_t count = 0;
    int err = broker->ops->crons(broker, &block, WEFT_SCHEDULES_MAX, &count);
    if (err)
        return err;
    *ret_entry = NULL;
    for (size_t i = 0; i < count && !*ret_entry; i++) {
        if (strcmp(block[i].name, name) == 0)
            *ret_entry = &block[i];
    }
    *ret_block = block;
    return 0;
}

int weft_schedules_begin(struct weft_broker *broker, const struct weft_cron_entry *replaced,
                         struct weft_cron_entry *entry, char *error, size_t error_bytes)
{
    int64_t now_us = broker->ops->now_us(broker);
    entry->created_us = replaced ? replaced->created_us : now_us;
    return weft_schedule_next(entry->schedule, entry->zone, NULL, entry->created_us, now_us,
                              &entry->next_us, error, error_bytes);
}
