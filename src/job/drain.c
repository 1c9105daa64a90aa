/* SPDX-License-Identifier: MIT
 * drain.c - run what is there, then return: for tests of programs, which want to see what their
 * jobs do without an engine running beside them. */
#include "engine_internal.h"

#include <weft/runtime.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PAGE_MAX 1000u

struct inline_run {
    struct weft_engine *engine;
    struct weft_queue_info *infos; /* whose names are in names */
    const char **names;
    size_t names_count;
};

/* ---- which queues ----------------------------------------------------------------------- */

/* Returns 1, 0, -ENOMEM. */
static int takes_from(struct weft_engine *engine, const char *queue)
{
    struct weft_engine_queue *found;
    if (engine->consumers_count == 0)
        return 1;
    int err = weft_engine_queue(engine, queue, &found);
    return err ? err : found != NULL;
}

static void add_name(struct weft_table_node *node, void *arg)
{
    struct inline_run *run = arg;
    const struct weft_engine_queue *queue =
        weft_container_of(node, struct weft_engine_queue, by_name);
    if (run->names_count < WEFT_QUEUES_MAX)
        run->names[run->names_count++] = queue->name;
}

static int learn_names(struct inline_run *run)
{
    struct weft_engine *engine = run->engine;
    size_t count = 0;
    run->names_count = 0;
    if (!(engine->capabilities & WEFT_BROKER_MANAGES)) {
        weft_table_visit(&engine->queues, add_name, run);
        return 0;
    }
    int err = engine->broker->ops->queues(engine->broker, run->infos, WEFT_QUEUES_MAX, &count);
    weft_engine_heard(engine, WEFT_CALL_QUEUES, err);
    int takes = err;
    for (size_t i = 0; takes >= 0 && i < count && i < WEFT_QUEUES_MAX; i++) {
        takes = takes_from(engine, run->infos[i].name);
        if (takes > 0)
            run->names[run->names_count++] = run->infos[i].name;
    }
    return takes < 0 ? takes : 0;
}

/* ---- a batch of jobs -------------------------------------------------------------------- */

static int settle_all(void *arg)
{
    weft_settle_last(arg); /* nobody comes later to try again */
    while (weft_settle_some(arg) > 0)
        continue;
    return 0;
}

static int run_ready(struct weft_consumer *consumer)
{
    struct weft_group group;
    int err = weft_group_init(&group, &(struct weft_group_options){.policy = WEFT_SUPERVISE});
    if (err)
        return err;
    while (!weft_list_empty(&consumer->ready)) {
        err = weft_consumer_start_ready(consumer, &group);
        if (err && weft_sleep(WEFT_BACKOFF_NS) < 0)
            break;
    }
    while (!weft_list_empty(&consumer->ready)) { /* cancelled before there was memory for them */
        struct weft_engine_job *job =
            weft_container_of(consumer->ready.next, struct weft_engine_job, link);
        weft_list_unlink(&job->link);
        weft_engine_job_give_back(job);
    }
    (void)weft_group_wait(&group);
    return weft_shield(settle_all, consumer->engine);
}

/* Returns how many were run, or an error. */
static int run_batch(struct inline_run *run, unsigned jobs_max)
{
    struct weft_engine *engine = run->engine;
    struct weft_consumer *consumer = &engine->inline_consumer;
    unsigned at_once =
        consumer->concurrency < WEFT_CLAIM_MAX ? consumer->concurrency : WEFT_CLAIM_MAX;
    int err = learn_names(run);
    if (err || run->names_count == 0)
        return err;
    struct weft_claim claim = {
        .queues = run->names,
        .queues_count = run->names_count,
        .tasks = engine->tasks,
        .tasks_count = engine->options.handlers_count,
        .worker = engine->worker.number,
        .lease_us = weft_beat_lease_us(engine),
        .jobs_max = weft_consumer_stock(consumer, jobs_max < at_once ? jobs_max : at_once),
        .jobs = consumer->claimed,
    };
    if (claim.jobs_max == 0)
        return -ENOMEM;
    unsigned epoch = weft_engine_call_begin(engine);
    do {
        err = engine->broker->ops->claim(engine->broker, &claim);
        weft_engine_heard(engine, WEFT_CALL_CLAIM, err);
    } while (err == 0 && claim.count == 0 && claim.more);
    for (unsigned i = 0; err == 0 && i < claim.count; i++)
        weft_consumer_start(consumer, claim.jobs[i]);
    weft_engine_call_end(engine, epoch);
    if (err == 0 && claim.count > 0)
        err = run_ready(consumer);
    return err ? err : (int)claim.count;
}

/* ---- what is not due yet ---------------------------------------------------------------- */

/* Returns 0, -ENOMEM. */
static int take_earlier(struct weft_engine *engine, const struct weft_job *job,
                        struct weft_uuid *best, int64_t *best_us)
{
    int takes = job->run_at_us < *best_us ? takes_from(engine, job->queue) : 0;
    if (takes > 0) {
        *best = job->id;
        *best_us = job->run_at_us;
    }
    return takes < 0 ? takes : 0;
}

/* The earliest job in a state, if it is earlier than *best_us. */
static int find_earliest(struct weft_engine *engine, enum weft_job_state state,
                         struct weft_job **jobs, struct weft_uuid *best, int64_t *best_us)
{
    struct weft_job_filter filter = {.state = state, .jobs_max = PAGE_MAX};
    struct weft_job_page page = {.jobs = jobs, .more = true};
    int err = 0;
    while (err == 0 && page.more) {
        page.count = 0; /* whatever an error leaves */
        err = engine->broker->ops->list(engine->broker, &filter, &page);
        for (size_t i = 0; err == 0 && i < page.count; i++)
            err = take_earlier(engine, jobs[i], best, best_us);
        for (size_t i = 0; i < page.count; i++)
            weft_job_free(jobs[i]);
        filter.before = page.next;
    }
    return err;
}

/* As if its time had come. Returns 1, 0 when there is none, or an error. */
static int hurry_one(struct weft_engine *engine)
{
    struct weft_uuid id = {{0}};
    int64_t at_us = INT64_MAX;
    enum weft_job_state state;
    if (!(engine->capabilities & WEFT_BROKER_MANAGES))
        return -ENOSYS;
    struct weft_job **jobs = calloc(PAGE_MAX, sizeof(struct weft_job *));
    if (!jobs)
        return -ENOMEM;
    int err = find_earliest(engine, WEFT_JOB_SCHEDULED, jobs, &id, &at_us);
    if (err == 0)
        err = find_earliest(engine, WEFT_JOB_RETRYABLE, jobs, &id, &at_us);
    free(jobs);
    if (err || at_us == INT64_MAX)
        return err;
    err = engine->broker->ops->retry(engine->broker, &id, &state);
    return err == 0 || err == -EALREADY || err == -ENOENT ? 1 : err;
}

/* ---- all of it -------------------------------------------------------------------------- */

static int maintain(struct weft_engine *engine)
{
    struct weft_maintenance done = {.more = true};
    int err = 0;
    while (err == 0 && done.more) {
        done = (struct weft_maintenance){0};
        err = engine->broker->ops->maintain(engine->broker, &done);
        weft_engine_heard(engine, WEFT_CALL_MAINTAIN, err);
    }
    return err;
}

static int run_all(struct inline_run *run, bool with_scheduled, unsigned jobs_max)
{
    unsigned count = 0;
    int more = 1;
    while (more > 0 && count < jobs_max && !run->engine->stopping) {
        more = maintain(run->engine);
        if (more == 0)
            more = run_batch(run, jobs_max - count);
        if (more > 0)
            count += (unsigned)more;
        else if (more == 0 && with_scheduled)
            more = hurry_one(run->engine);
        if (more > 0 && weft_checkpoint() < 0)
            more = -ECANCELED;
    }
    return more < 0 ? more : (int)count;
}

int weft_engine_drain_queues(struct weft_engine *engine, bool with_scheduled, unsigned jobs_max)
{
    if (engine->occupied || engine->stopping)
        return -EBUSY;
    struct inline_run run = {.engine = engine};
    engine->occupied = true;
    run.infos = calloc(WEFT_QUEUES_MAX, sizeof *run.infos);
    run.names = calloc(WEFT_QUEUES_MAX, sizeof(const char *));
    int err = run.infos && run.names ? 0 : -ENOMEM;
    struct weft_group services;
    if (err == 0)
        err = weft_group_init(&services, &(struct weft_group_options){.policy = WEFT_SUPERVISE});
    if (err == 0) {
        err = weft_services_start(engine, &services, true);
        if (err == 0)
            err = run_all(&run, with_scheduled, jobs_max < INT32_MAX ? jobs_max : INT32_MAX);
        weft_services_stop(engine, &services);
    }
    engine->occupied = false;
    free(run.infos);
    free((void *)run.names);
    return err;
}
