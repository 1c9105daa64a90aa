/* SPDX-License-Identifier: MIT
 * progress.c - hands on how far jobs are, at most once a second for each of them.
 *
 * Handlers leave what they tell at their job, the latest only; once a second one fiber takes it
 * from all that have something new. */
#include "engine_internal.h"

#include <weft/runtime.h>

#include <errno.h>
#include <stdlib.h>

#define INTERVAL_NS WEFT_SEC
#define BATCH_MAX   256u

struct weft_progress_batch {
    struct weft_lease leases[BATCH_MAX];
    char *texts[BATCH_MAX]; /* of leases[i].progress; owned */
};

int weft_progress_init(struct weft_engine *engine)
{
    weft_list_init(&engine->progress.told);
    (void)pthread_mutex_init(&engine->progress.mutex, NULL);
    engine->progress.batch = calloc(1, sizeof *engine->progress.batch);
    return engine->progress.batch ? weft_event_init(&engine->progress.wake, WEFT_SHARED) : -ENOMEM;
}

void weft_progress_deinit(struct weft_engine *engine)
{
    (void)pthread_mutex_destroy(&engine->progress.mutex);
    free(engine->progress.batch);
}

void weft_progress_tell(struct weft_engine_job *job, char *json)
{
    struct weft_progress *progress = &job->engine->progress;
    (void)pthread_mutex_lock(&progress->mutex);
    char *before = job->progress;
    job->progress = json;
    if (weft_list_empty(&job->told))
        weft_list_append(&progress->told, &job->told);
    (void)pthread_mutex_unlock(&progress->mutex);
    free(before);
    (void)weft_event_set(&progress->wake);
}

void weft_progress_forget(struct weft_engine_job *job)
{
    struct weft_progress *progress = &job->engine->progress;
    (void)pthread_mutex_lock(&progress->mutex);
    weft_list_unlink(&job->told);
    (void)pthread_mutex_unlock(&progress->mutex);
}

static size_t collect(struct weft_progress *progress, struct weft_progress_batch *batch)
{
    size_t count = 0;
    (void)pthread_mutex_lock(&progress->mutex);
    while (count < BATCH_MAX && !weft_list_empty(&progress->told)) {
        struct weft_engine_job *job =
            weft_container_of(progress->told.next, struct weft_engine_job, told);
        weft_list_unlink(&job->told);
        batch->texts[count] = job->progress;
        batch->leases[count++] = (struct weft_lease){
            .id = job->job->id, .token = job->job->lease_token, .progress = job->progress};
        job->progress = NULL;
    }
    (void)pthread_mutex_unlock(&progress->mutex);
    return count;
}

/* It could not be handed on: back to the job, unless there is news or it has ended. */
static void put_back(struct weft_engine *engine, const struct weft_lease *lease, char *text)
{
    struct weft_engine_job *job = weft_engine_job_find(engine, &lease->id, lease->token);
    (void)pthread_mutex_lock(&engine->progress.mutex);
    if (job && !job->progress) {
        job->progress = text;
        weft_list_append(&engine->progress.told, &job->told);
        text = NULL;
    }
    (void)pthread_mutex_unlock(&engine->progress.mutex);
    free(text);
}

static int hand_on(struct weft_engine *engine, struct weft_progress_batch *batch, size_t count)
{
    int err = engine->broker->ops->extend(engine->broker, batch->leases, count);
    weft_engine_heard(engine, WEFT_CALL_EXTEND, err);
    for (size_t i = 0; i < count; i++) {
        if (err) {
            put_back(engine, &batch->leases[i], batch->texts[i]);
            continue;
        }
        weft_engine_lease_answered(engine, &batch->leases[i]);
        free(batch->texts[i]);
    }
    return err;
}

int weft_progress_main(void *arg)
{
    struct weft_engine *engine = arg;
    struct weft_progress_batch *batch = engine->progress.batch;
    int err = 0;
    while (err == 0) {
        err = weft_event_wait(&engine->progress.wake, WEFT_FOREVER);
        if (err)
            break;
        (void)weft_event_clear(&engine->progress.wake);
        size_t count;
        while ((count = collect(&engine->progress, batch)) > 0) {
            if (hand_on(engine, batch, count) < 0) {
                (void)weft_event_set(&engine->progress.wake);
                break;
            }
        }
        err = weft_sleep(INTERVAL_NS);
    }
    return 0;
}
