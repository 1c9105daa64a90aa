/* SPDX-License-Identifier: MIT
 * jobs.c - weft_jobs: a store and an engine in a program of somebody's own. */
#include <serve/jobs_internal.h>

#include <broker/sqlite.h>
#include <job/builtin.h>
#include <serve/broker_name.h>
#include <serve/retention.h>
#include <serve/schedules.h>

#include <weft/offload.h>
#include <weft/runtime.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BROKER "sqlite:weft.db"
/* The store is this program's alone: who changes something says so. Long, so that a week of virtual
 * time is not made of looks at nothing; so late it is noticed that the machine's clock was set. */
#define MAINTAIN_NS       (60 * WEFT_SEC)
#define SCHEDULES_POLL_NS (60 * WEFT_SEC)

int weft_jobs_enter(const struct weft_jobs *jobs)
{
    return jobs->worker == weft_current_worker ? 0 : -EPERM;
}

bool weft_jobs_has_task(const struct weft_jobs *jobs, const char *task)
{
    const struct weft_handler_set *set = &jobs->tasks.handlers;
    for (size_t i = 0; i < set->count; i++) {
        if (strcmp(set->items[i].name, task) == 0)
            return true;
    }
    return set->count == 0;
}

/* ---- open ------------------------------------------------------------------------------- */

struct open_call {
    struct weft_jobs *jobs;
    const struct weft_jobs_options *options;
    char *error;
    size_t error_bytes;
};

static int gather_tasks(void *arg)
{
    const struct open_call *call = arg;
    const struct weft_jobs_options *options = call->options;
    const struct weft_tasks_options tasks = {
        .steps_ns = options->builtin ? weft_process_steps_ns : NULL,
        .handlers = options->handlers,
        .handlers_count = options->handlers_count,
        .libraries = options->libraries,
        .libraries_count = options->libraries_count,
        .executors = options->executors,
    };
    return weft_tasks_gather(&call->jobs->tasks, &tasks, call->error, call->error_bytes);
}

/* Functions are there already; shared objects and programs are looked for in files. */
static int open_tasks(struct open_call *call)
{
    bool reads = call->options->libraries_count > 0 || call->options->executors;
    int err = reads ? weft_offload(gather_tasks, call) : gather_tasks(call);
    if (!err)
        err = weft_tasks_open(&call->jobs->tasks, call->error, call->error_bytes);
    return err;
}

static int open_queues(const struct open_call *call)
{
    const struct weft_worker_queues_options queues = {
        .who = "a program",
        .otherwise = "*",
        .queues = call->options->queues,
        .count = call->options->queues_count,
        .strict = call->options->strict,
        .concurrency = call->options->concurrency,
    };
    return weft_worker_queues_init(&call->jobs->queues, &queues, call->error, call->error_bytes);
}

static int open_store(const struct open_call *call)
{
    const struct weft_jobs_options *options = call->options;
    const char *path;
    int err = weft_broker_name_parse(&path, options->broker ? options->broker : BROKER, true,
                                     call->error, call->error_bytes);
    if (err)
        return err;
    const struct weft_sqlite_options sqlite = {
        .path = path,
        .memory = !path,
        .size_bytes_max = options->file_bytes_max,
        .clock_us = path ? 0 : options->clock_us,
    };
    return weft_sqlite_open(&call->jobs->broker, &sqlite, call->error, call->error_bytes);
}

static int open_engine(const struct open_call *call)
{
    struct weft_jobs *jobs = call->jobs;
    const struct weft_engine_options options = {
        .broker = jobs->broker,
        .handlers = jobs->tasks.handlers.items,
        .handlers_count = jobs->tasks.handlers.count,
        .children = jobs->tasks.children,
        .consumers = &jobs->queues.consumer,
        .consumers_count = 1,
        .maintain_ns = MAINTAIN_NS,
        .leave_unknown = true, /* a task of an older or newer version of the program */
        .retention = weft_retention_of(&call->options->retention),
        .log = jobs->sink.write ? &jobs->log : NULL,
        .seed = call->options->seed,
    };
    return weft_engine_open(&jobs->engine, &options);
}

static int open_schedules(const struct open_call *call)
{
    struct weft_jobs *jobs = call->jobs;
    const struct weft_scheduler_options options = {
        .broker = jobs->broker,
        .make = weft_schedules_make,
        .context = jobs->engine,
        .poll_ns = SCHEDULES_POLL_NS,
        .log = jobs->sink.write ? &jobs->log : NULL,
        .seed = call->options->seed ? call->options->seed + 1 : 0, /* ids of their own */
    };
    int err = weft_scheduler_open(&jobs->scheduler, &options);
    for (size_t i = 0; !err && i < call->options->crons_count; i++)
        err = weft_jobs_cron_set(jobs, &call->options->crons[i], call->error, call->error_bytes);
    return err;
}

static int open_all(struct open_call *call)
{
    int err = weft_mutex_init(&call->jobs->settings_turn, WEFT_LOCAL);
    if (!err)
        err = open_queues(call);
    if (!err)
        err = open_tasks(call);
    if (!err)
        err = open_store(call);
    if (!err)
        err = open_engine(call);
    if (!err)
        err = open_schedules(call);
    return err;
}

int weft_jobs_open(struct weft_jobs **ret_jobs, const struct weft_jobs_options *options,
                   char *ret_error, size_t error_bytes)
{
    struct weft_fiber *self;
    int err = weft_enter(&self);
    if (error_bytes > 0)
        ret_error[0] = '\0';
    struct weft_jobs *jobs = err ? NULL : calloc(1, sizeof *jobs);
    if (!err && !jobs)
        err = -ENOMEM;
    if (!err) {
        struct open_call call = {jobs, options, ret_error, error_bytes};
        jobs->worker = weft_current_worker;
        jobs->sink = (struct weft_log_sink){options->log, options->log_context};
        jobs->log = weft_job_log(&jobs->sink);
        err = open_all(&call);
    }
    if (!err) {
        *ret_jobs = jobs;
        return 0;
    }
    if (error_bytes > 0 && !ret_error[0])
        (void)snprintf(ret_error, error_bytes, "the jobs cannot be opened: %s", weft_strerror(err));
    weft_jobs_close(jobs);
    return err;
}

void weft_jobs_close(struct weft_jobs *jobs)
{
    if (!jobs)
        return;
    weft_scheduler_close(jobs->scheduler);
    weft_engine_close(jobs->engine);
    weft_tasks_close(&jobs->tasks);
    weft_tasks_release(&jobs->tasks);
    weft_worker_queues_release(&jobs->queues);
    if (jobs->broker)
        jobs->broker->ops->close(jobs->broker);
    free(jobs);
}

/* ---- run -------------------------------------------------------------------------------- */

static int schedules_main(void *arg)
{
    return weft_scheduler_run(arg);
}

int weft_jobs_run(struct weft_jobs *jobs)
{
    struct weft_group schedules;
    int err = weft_jobs_enter(jobs);
    if (!err && jobs->ran)
        err = -EALREADY;
    if (!err && jobs->draining)
        err = -EBUSY;
    if (!err && jobs->tasks.handlers.count == 0)
        err = -EINVAL;
    if (!err)
        err = weft_group_init(&schedules, &(struct weft_group_options){.policy = WEFT_SUPERVISE});
    if (err)
        return err;
    jobs->ran = true;
    jobs->running = &schedules;
    if (!jobs->stopping)
        err = weft_spawn(&schedules, schedules_main, jobs->scheduler);
    if (!err)
        err = weft_engine_run(jobs->engine);
    jobs->running = NULL;
    weft_group_close(&schedules);
    if (!err && !jobs->stopping) /* what else ends it */
        err = weft_checkpoint();
    return err;
}

/* First the schedules: they could put in what nobody runs before the next open, which would be late
 * for no reason. */
void weft_jobs_stop(struct weft_jobs *jobs, int64_t grace_ns)
{
    if (weft_jobs_enter(jobs) < 0)
        return;
    jobs->stopping = true;
    if (jobs->running)
        weft_group_cancel(jobs->running, 0);
    weft_engine_drain(jobs->engine, grace_ns);
}

int weft_jobs_drain(struct weft_jobs *jobs, int with_scheduled, unsigned jobs_max)
{
    int err = weft_jobs_enter(jobs);
    if (!err && (jobs->ran || jobs->draining))
        err = -EBUSY;
    if (err)
        return err;
    jobs->draining = true;
    err = weft_engine_drain_queues(jobs->engine, with_scheduled,
                                   jobs_max > 0 ? jobs_max : WEFT_JOBS_DRAIN_MAX);
    jobs->draining = false;
    return err;
}

int64_t weft_jobs_now_us(const struct weft_jobs *jobs)
{
    return jobs->broker->ops->now_us(jobs->broker);
}
