/* SPDX-License-Identifier: MIT
 * jobs_manage.c - what is wanted of jobs and queues that are there. */
#include <serve/jobs_internal.h>

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* ---- jobs ------------------------------------------------------------------------------- */

static int cancel(struct weft_jobs *jobs, enum weft_cancel_kind kind, const char *id,
                  const char *reason)
{
    struct weft_cancel call = {.kind = kind, .reason = reason};
    int err = weft_jobs_enter(jobs);
    if (!err)
        err = weft_uuid_parse(&call.id, id, strlen(id));
    if (!err)
        err = jobs->broker->ops->cancel(jobs->broker, &call);
    uint64_t count = call.cancelled + call.flagged;
    return err ? err : count < INT_MAX ? (int)count : INT_MAX;
}

int weft_jobs_cancel(struct weft_jobs *jobs, const char *id, const char *reason)
{
    return cancel(jobs, WEFT_CANCEL_JOB, id, reason);
}

int weft_jobs_cancel_flow(struct weft_jobs *jobs, const char *flow, const char *reason)
{
    return cancel(jobs, WEFT_CANCEL_FLOW, flow, reason);
}

int weft_jobs_retry(struct weft_jobs *jobs, const char *id)
{
    struct weft_uuid uuid;
    enum weft_job_state state;
    int err = weft_jobs_enter(jobs);
    if (!err)
        err = weft_uuid_parse(&uuid, id, strlen(id));
    return err ? err : jobs->broker->ops->retry(jobs->broker, &uuid, &state);
}

/* ---- queues ----------------------------------------------------------------------------- */

static void add(struct weft_jobs_counts *counts, const struct weft_queue_info *info)
{
    counts->scheduled += info->jobs[WEFT_JOB_SCHEDULED];
    counts->available += info->jobs[WEFT_JOB_AVAILABLE];
    counts->running += info->jobs[WEFT_JOB_RUNNING];
    counts->retryable += info->jobs[WEFT_JOB_RETRYABLE];
    counts->completed += info->jobs[WEFT_JOB_COMPLETED];
    counts->cancelled += info->jobs[WEFT_JOB_CANCELLED];
    counts->dead += info->jobs[WEFT_JOB_DEAD];
    counts->blocked += info->jobs[WEFT_JOB_BLOCKED];
}

static int count_all(struct weft_jobs *jobs, struct weft_jobs_counts *counts)
{
    size_t count = 0;
    struct weft_queue_info *infos = calloc(WEFT_QUEUES_MAX, sizeof *infos);
    if (!infos)
        return -ENOMEM;
    int err = jobs->broker->ops->queues(jobs->broker, infos, WEFT_QUEUES_MAX, &count);
    for (size_t i = 0; !err && i < count && i < WEFT_QUEUES_MAX; i++)
        add(counts, &infos[i]);
    free(infos);
    return err;
}

static int count_one(struct weft_jobs *jobs, const char *queue, struct weft_jobs_counts *counts)
{
    struct weft_queue_info info;
    int err = jobs->broker->ops->queue_find(jobs->broker, queue, &info);
    if (!err)
        add(counts, &info);
    return err == -ENOENT ? 0 : err;
}

int weft_jobs_count(struct weft_jobs *jobs, const char *queue, struct weft_jobs_counts *ret_counts)
{
    struct weft_jobs_counts counts = {0};
    int err = weft_jobs_enter(jobs);
    if (!err)
        err = queue ? count_one(jobs, queue, &counts) : count_all(jobs, &counts);
    if (!err)
        *ret_counts = counts;
    return err;
}

/* What a call changes of a queue. */
struct change {
    const char *queue;
    const struct weft_jobs_limits *limits; /* NULL: pause or resume */
    bool paused;
};

static void apply(const struct change *change, struct weft_queue_settings *settings)
{
    const struct weft_jobs_limits *limits = change->limits;
    if (!limits) {
        settings->paused = change->paused;
        return;
    }
    *settings = (struct weft_queue_settings){
        .paused = settings->paused,
        .size_max = limits->size_max,
        .running_max = limits->running_max,
        .running_max_per_key = limits->running_max_per_key,
        .rate_per_s = limits->rate_per_s,
        .burst = limits->burst,
    };
}

/* A queue that is yet to be made begins without settings. */
static int change_in_turn(struct weft_jobs *jobs, const struct change *change)
{
    struct weft_queue_info info = {0};
    int err = jobs->broker->ops->queue_find(jobs->broker, change->queue, &info);
    if (err && err != -ENOENT)
        return err;
    apply(change, &info.settings);
    return jobs->broker->ops->queue_set(jobs->broker, change->queue, &info.settings);
}

static int change_queue(struct weft_jobs *jobs, const struct change *change)
{
    int err = weft_jobs_enter(jobs);
    if (!err && !weft_job_name_is_valid(change->queue))
        err = -EINVAL;
    if (!err)
        err = weft_mutex_lock(&jobs->settings_turn, WEFT_FOREVER);
    if (err)
        return err;
    err = change_in_turn(jobs, change);
    (void)weft_mutex_unlock(&jobs->settings_turn);
    return err;
}

int weft_jobs_pause(struct weft_jobs *jobs, const char *queue)
{
    return change_queue(jobs, &(struct change){.queue = queue, .paused = true});
}

int weft_jobs_resume(struct weft_jobs *jobs, const char *queue)
{
    return change_queue(jobs, &(struct change){.queue = queue});
}

int weft_jobs_limit(struct weft_jobs *jobs, const char *queue,
                    const struct weft_jobs_limits *limits)
{
    return change_queue(jobs, &(struct change){.queue = queue, .limits = limits});
}
