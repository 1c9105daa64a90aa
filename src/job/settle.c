/* SPDX-License-Identifier: MIT
 * settle.c - says in batches what became of jobs.
 *
 * While one batch becomes durable the next gathers. A batch the broker refuses, because the disk
 * is full for instance, is tried again until it is taken: the work was done. */
#include "engine_internal.h"

#include <base/time.h>

#include <weft/runtime.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define BACKOFF_MIN_NS (50 * WEFT_MSEC)
#define BACKOFF_MAX_NS (2 * WEFT_SEC)
#define LAST_TRIES_NS  (10 * WEFT_SEC) /* when everything else has ended */

/* ---- further jobs ----------------------------------------------------------------------- */

int weft_follow_prepare(struct weft_engine_job *job)
{
    const struct weft_desk *desk = job->attempt.desk;
    if (!desk || desk->follow_count == 0)
        return 0;
    job->follow = calloc(desk->follow_count, sizeof *job->follow);
    return job->follow ? 0 : -ENOMEM;
}

static unsigned attempts_max_of(const struct weft_engine *engine, const char *task)
{
    const struct weft_handler *handler = weft_engine_handler(engine, task);
    return handler && handler->attempts_max > 0 ? handler->attempts_max : WEFT_ATTEMPTS_DEFAULT;
}

static size_t fill_follow(struct weft_engine_job *job)
{
    struct weft_engine *engine = job->engine;
    int64_t now_us = engine->broker->ops->now_us(engine->broker);
    size_t count = 0;
    if (!job->follow)
        return 0;
    for (struct weft_follow *follow = job->attempt.desk->follow; follow; follow = follow->next) {
        struct weft_job *asked = follow->job;
        asked->id = weft_uuid_make(&engine->ids, now_us / 1000);
        asked->created_us = now_us;
        asked->run_at_us = weft_time_after(now_us, follow->delay_us);
        if (asked->attempts_max == 0)
            asked->attempts_max = (uint16_t)attempts_max_of(engine, asked->task);
        job->follow[count++] = (struct weft_enqueue){.job = asked};
    }
    return count;
}

/* One that is there already was wanted once only: take it off the list. Returns whether there was
 * one. */
static bool drop_duplicates(struct weft_engine_job *job)
{
    struct weft_desk *desk = job->attempt.desk;
    struct weft_follow **at = &desk->follow;
    bool dropped = false;
    for (const struct weft_enqueue *item = job->follow; *at; item++) {
        struct weft_follow *follow = *at;
        if (item->err != WEFT_EDUPLICATE) {
            at = &follow->next;
            continue;
        }
        *at = follow->next;
        weft_job_free(follow->job);
        free(follow);
        dropped = true;
    }
    desk->follow_end = at;
    return dropped;
}

/* ---- a batch ---------------------------------------------------------------------------- */

void weft_engine_job_finish(struct weft_engine_job *job)
{
    weft_list_append(&job->engine->finished, &job->link);
    weft_wake_post(&job->engine->settle_wake);
}

/* The engine is done with it: it was settled, or there is nothing to settle. */
static void forget(struct weft_engine_job *job)
{
    struct weft_engine *engine = job->engine;
    struct weft_consumer *consumer = job->consumer;
    weft_table_remove(&engine->jobs, &job->by_id);
    weft_beat_remove(job);
    weft_progress_forget(job);
    weft_engine_job_unref(job);
    consumer->running--;
    weft_consumer_place_free(consumer);
}

static void lose(struct weft_engine_job *job)
{
    job->engine->counts.lost++;
    weft_engine_log(job->engine, WEFT_LOG_WARNING, job->job, "lost",
                    "the lease was lost: what the attempt came to does not count");
    forget(job);
}

static struct weft_settlement settlement_of(struct weft_engine_job *job, int64_t thread)
{
    const struct weft_verdict *verdict = &job->verdict;
    struct weft_settlement item = {
        .job = job->job,
        .event = verdict->event,
        .delay_us = verdict->delay_us,
        .error = verdict->error,
        .thread = job->thread ? job->thread : thread,
    };
    /* A desk that a stuck handler still works at is not looked at. */
    const struct weft_desk *desk = verdict->event == WEFT_JOB_COMPLETE ? job->attempt.desk : NULL;
    if (desk) {
        item.result = (struct weft_bytes){desk->result, desk->result_len, desk->result_json};
        item.follow = job->follow;
        item.follow_count = fill_follow(job);
    }
    return item;
}

static size_t fill_batch(struct weft_engine *engine)
{
    size_t count = 0;
    int64_t thread = gettid();
    while (count < WEFT_SETTLE_MAX && !weft_list_empty(&engine->finished)) {
        struct weft_engine_job *job =
            weft_container_of(engine->finished.next, struct weft_engine_job, link);
        weft_list_unlink(&job->link);
        if (job->stop == WEFT_STOP_LOST) {
            lose(job);
            continue;
        }
        engine->settling[count] = job;
        engine->settlements[count++] = settlement_of(job, thread);
    }
    return count;
}

static void count_settled(struct weft_engine_counts *counts, const struct weft_settlement *item)
{
    uint64_t *const by_event[WEFT_JOB_EVENTS] = {
        [WEFT_JOB_COMPLETE] = &counts->completed, [WEFT_JOB_RETRY] = &counts->retried,
        [WEFT_JOB_DIE] = &counts->failed,         [WEFT_JOB_RELEASE] = &counts->released,
        [WEFT_JOB_SNOOZE] = &counts->snoozed,     [WEFT_JOB_CANCEL] = &counts->cancelled,
    };
    if (item->state == WEFT_JOB_CANCELLED)
        counts->cancelled++;
    else
        ++*by_event[item->event];
}

/* It is durable. */
static void settled(struct weft_engine_job *job, const struct weft_settlement *item)
{
    struct weft_engine *engine = job->engine;
    count_settled(&engine->counts, item);
    if (item->event == WEFT_JOB_RETRY || item->event == WEFT_JOB_SNOOZE)
        weft_engine_expect(engine, NULL, item->delay_us);
    else if (item->event == WEFT_JOB_RELEASE)
        weft_engine_expect(engine, job->job->queue, 0);
    for (size_t i = 0; i < item->follow_count; i++)
        weft_engine_expect(engine, item->follow[i].job->queue,
                           item->follow[i].job->run_at_us - item->follow[i].job->created_us);
    forget(job);
}

/* The broker does not take this verdict: another one, if there is any. */
static void refused(struct weft_engine_job *job, const struct weft_settlement *item)
{
    if (item->err == -ESTALE) {
        lose(job);
    } else if (item->event == WEFT_JOB_COMPLETE &&
               (item->err == -EEXIST || (item->err == WEFT_EDUPLICATE && drop_duplicates(job)))) {
        weft_engine_job_finish(job);
    } else if (item->event == WEFT_JOB_COMPLETE) {
        const char *what = item->follow_count > 0 ? "a further job was" : "its result was";
        char *own;
        int len = asprintf(&own, "%s refused: %s", what, weft_strerror(item->err));
        weft_engine_job_fail(job, len < 0 ? NULL : own, "refused");
    } else {
        weft_engine_log(job->engine, WEFT_LOG_ERROR, job->job, "unsettled",
                        weft_strerror(item->err));
        lose(job);
    }
}

/* Returns 0, or the broker's last error when all attempts were in vain. */
static int hand_over(struct weft_engine *engine, size_t count)
{
    struct weft_broker *broker = engine->broker;
    int64_t backoff_ns = BACKOFF_MIN_NS;
    for (;;) {
        int err = broker->ops->settle(broker, engine->settlements, count);
        weft_engine_heard(engine, WEFT_CALL_SETTLE, err);
        if (err == 0 || weft_now() >= engine->settle_until_ns)
            return err;
        (void)weft_sleep(backoff_ns);
        backoff_ns = backoff_ns * 2 < BACKOFF_MAX_NS ? backoff_ns * 2 : BACKOFF_MAX_NS;
    }
}

size_t weft_settle_some(struct weft_engine *engine)
{
    size_t count = fill_batch(engine);
    int err = count > 0 ? hand_over(engine, count) : 0;
    for (size_t i = 0; i < count; i++) {
        const struct weft_settlement *item = &engine->settlements[i];
        if (err)
            lose(engine->settling[i]); /* until its lease ends */
        else if (item->err)
            refused(engine->settling[i], item);
        else
            settled(engine->settling[i], item);
    }
    return count;
}

void weft_settle_begin(struct weft_engine *engine)
{
    engine->settled_all = false;
    engine->settle_until_ns = WEFT_FOREVER;
}

void weft_settle_last(struct weft_engine *engine)
{
    engine->settled_all = true;
    engine->settle_until_ns = weft_now() + LAST_TRIES_NS;
    weft_wake_post(&engine->settle_wake);
}

int weft_settler_main(void *arg)
{
    struct weft_engine *engine = arg;
    for (;;) {
        if (weft_settle_some(engine) > 0)
            continue;
        if (engine->settled_all && engine->calls[0] + engine->calls[1] == 0)
            return 0;
        (void)weft_wake_wait(&engine->settle_wake, WEFT_FOREVER);
    }
}
