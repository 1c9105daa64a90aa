/* SPDX-License-Identifier: MIT
 * submit.c - jobs in: checks, defaults, durable acceptance.
 *
 * A job for which a place is free here asks to be claimed in the same step that makes it durable:
 * half the work for the broker and one commit less before it runs. The place is kept for it during
 * the call, and all that running it needs is made before, because afterwards it must not fail. */
#include "engine_internal.h"

#include <base/time.h>

#include <weft/runtime.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ID_TRIES 64 /* ids are taken only if the clock went back to a busy time */

struct submit {
    struct weft_engine *engine;
    struct weft_submission *asked;
    size_t count;
    bool atomic;
    struct weft_job *jobs;        /* by the index of what was asked, like all of these; the block */
    struct weft_engine_job **run; /* NULL: not to be claimed */
    size_t *sent;                 /* the item is of this one */
    struct weft_enqueue *items;   /* in the order of sent */
    struct weft_after *after;     /* of all, where indices were replaced by ids */
};

/* ---- checks and defaults ---------------------------------------------------------------- */

static bool is_zero(const struct weft_uuid *id)
{
    static const struct weft_uuid none;
    return memcmp(id, &none, sizeof none) == 0;
}

static bool too_long(const char *text, size_t len_max)
{
    return text && strlen(text) > len_max;
}

static bool backoff_is_valid(const struct weft_job_backoff *backoff)
{
    return backoff->kind <= WEFT_BACKOFF_CONSTANT && backoff->base_us >= 0 &&
           backoff->cap_us >= 0 &&
           (backoff->jitter == WEFT_JITTER_FULL || backoff->jitter == WEFT_JITTER_EQUAL ||
            backoff->jitter == WEFT_JITTER_NONE);
}

static bool after_is_valid(const struct weft_submission *asked, size_t index)
{
    if (asked->after_count > WEFT_JOB_AFTER_MAX)
        return false;
    for (size_t i = 0; i < asked->after_count; i++) {
        int at = asked->after_index ? asked->after_index[i] : -1;
        if (at >= 0 ? (size_t)at >= index : is_zero(&asked->after[i].id))
            return false;
    }
    return true;
}

static int check(const struct weft_submission *asked, size_t index)
{
    if (!asked->task || !weft_job_name_is_valid(asked->task) ||
        (asked->queue && !weft_job_name_is_valid(asked->queue)) || asked->priority < -1 ||
        asked->priority > WEFT_PRIORITY_LAST || asked->attempts_max > WEFT_JOB_ATTEMPTS_MAX ||
        asked->timeout_us < 0 || asked->grace_us < 0 || asked->result_ttl_us < 0 ||
        asked->expires_in_us < 0 || asked->unique.window_us < 0 ||
        !backoff_is_valid(&asked->backoff) || !after_is_valid(asked, index))
        return -EINVAL;
    if (asked->unique_key && !asked->unique_key[0])
        return -EINVAL;
    if (asked->payload.len > WEFT_JOB_PAYLOAD_MAX ||
        too_long(asked->headers, WEFT_JOB_HEADERS_MAX) ||
        too_long(asked->limit_key, WEFT_JOB_KEY_MAX) ||
        too_long(asked->unique_key, WEFT_JOB_KEY_MAX) ||
        too_long(asked->content_type, WEFT_JOB_KEY_MAX))
        return -EMSGSIZE;
    return 0;
}

static unsigned attempts_max(const struct weft_submission *asked,
                             const struct weft_handler *handler)
{
    if (asked->attempts_max > 0)
        return asked->attempts_max;
    return handler && handler->attempts_max > 0 ? handler->attempts_max : WEFT_ATTEMPTS_DEFAULT;
}

/* What the handler has a default for and the job does not say stays unsaid: it is the handler's
 * that runs it. Only the number of attempts is the broker's to know. */
static struct weft_job job_of(const struct weft_submission *asked,
                              const struct weft_handler *handler, int64_t now_us)
{
    struct weft_job job = {
        .task = asked->task,
        .queue = asked->queue ? asked->queue : "default",
        .priority = (uint8_t)(asked->priority < 0 ? WEFT_PRIORITY_DEFAULT : asked->priority),
        .attempts_max = (uint16_t)attempts_max(asked, handler),
        .created_us = now_us,
        .run_at_us = now_us,
        .expires_us = asked->expires_at_us,
        .timeout_us = asked->timeout_us,
        .grace_us = asked->grace_us,
        .result_ttl_us = asked->result_ttl_us,
        .backoff = asked->backoff,
        .flow = asked->flow,
        .limit_key = asked->limit_key,
        .unique_key = asked->unique_key,
        .content_type = asked->content_type,
        .headers = asked->headers,
        .payload = asked->payload,
    };
    if (asked->delay_us < 0)
        job.run_at_us = asked->run_at_us > now_us ? asked->run_at_us : now_us;
    else
        job.run_at_us = weft_time_after(now_us, asked->delay_us);
    if (asked->expires_in_us > 0)
        job.expires_us = weft_time_after(now_us, asked->expires_in_us);
    return job;
}

/* ---- to be claimed at once -------------------------------------------------------------- */

static bool has_place(const struct weft_consumer *consumer)
{
    return consumer->running + consumer->claiming + consumer->reserved < consumer->concurrency;
}

/* Whoever takes from the queue, has a place, and does not know of others that wait. */
static struct weft_consumer *consumer_for(const struct weft_engine_queue *queue)
{
    struct weft_consumer *best = NULL;
    for (const struct weft_lane *lane = queue->lanes; lane; lane = lane->next) {
        struct weft_consumer *consumer = lane->consumer;
        if (!lane->is_maybe && has_place(consumer) &&
            (!best || consumer->running + consumer->reserved < best->running + best->reserved))
            best = consumer;
    }
    return best;
}

static bool may_run_at_once(const struct submit *submit, size_t index)
{
    struct weft_engine *engine = submit->engine;
    const struct weft_job *job = &submit->jobs[index];
    return (engine->capabilities & WEFT_BROKER_CLAIMS_ON_ENQUEUE) && engine->running &&
           !engine->stopping && !weft_engine_too_many_stuck(engine) &&
           submit->asked[index].after_count == 0 && job->run_at_us <= job->created_us &&
           weft_engine_handler(engine, job->task);
}

/* Without memory it waits like any other. */
static void prepare_run(struct submit *submit, size_t index)
{
    struct weft_engine_queue *queue;
    struct weft_job *job = &submit->jobs[index];
    if (!may_run_at_once(submit, index) ||
        weft_engine_queue(submit->engine, job->queue, &queue) < 0 || !queue)
        return;
    struct weft_consumer *consumer = consumer_for(queue);
    struct weft_job *copy = consumer ? weft_job_copy(job) : NULL;
    if (!copy)
        return;
    submit->run[index] = weft_engine_job_make(consumer, copy);
    if (submit->run[index])
        consumer->reserved++;
    else
        weft_job_free(copy);
}

static void drop_run(struct submit *submit, size_t index)
{
    struct weft_engine_job *run = submit->run[index];
    if (!run)
        return;
    run->consumer->reserved--;
    weft_consumer_place_free(run->consumer);
    weft_engine_job_unref(run);
    submit->run[index] = NULL;
}

static void start_run(struct submit *submit, size_t index, uint64_t lease_token)
{
    struct weft_engine_job *run = submit->run[index];
    run->job->state = WEFT_JOB_RUNNING;
    run->job->attempt = 1;
    run->job->started_us = run->job->created_us;
    run->job->lease_token = lease_token;
    run->consumer->reserved--;
    run->consumer->running++;
    submit->run[index] = NULL;
    weft_engine_job_start(run);
}

/* ---- one call to the broker ------------------------------------------------------------- */

static size_t after_total(const struct submit *submit)
{
    size_t total = 0;
    for (size_t i = 0; i < submit->count; i++) {
        if (submit->asked[i].after_count <= WEFT_JOB_AFTER_MAX)
            total += submit->asked[i].after_count;
    }
    return total;
}

/* All arrays are in one block, those of the widest alignment first. */
static int submit_open(struct submit *submit)
{
    size_t count = submit->count, total = after_total(submit);
    char *block = calloc(1, count * (sizeof *submit->jobs + sizeof *submit->items +
                                     sizeof(struct weft_engine_job *) + sizeof *submit->sent) +
                                total * sizeof *submit->after);
    if (!block)
        return -ENOMEM;
    submit->jobs = (void *)block;
    submit->items = (void *)(submit->jobs + count);
    submit->run = (void *)(submit->items + count);
    submit->sent = (void *)(submit->run + count);
    submit->after = (void *)(submit->sent + count);
    return 0;
}

static void submit_close(struct submit *submit)
{
    for (size_t i = 0; submit->run && i < submit->count; i++)
        drop_run(submit, i);
    free(submit->jobs);
}

/* Returns how many are wrong. */
static size_t check_all(struct submit *submit)
{
    struct weft_engine *engine = submit->engine;
    int64_t now_us = engine->broker->ops->now_us(engine->broker);
    size_t wrong = 0;
    for (size_t i = 0; i < submit->count; i++) {
        struct weft_submission *asked = &submit->asked[i];
        asked->state = WEFT_JOB_NONE;
        asked->err = check(asked, i);
        wrong += asked->err != 0;
        if (asked->err)
            continue;
        submit->jobs[i] = job_of(asked, weft_engine_handler(engine, asked->task), now_us);
        asked->created_us = now_us;
        prepare_run(submit, i);
    }
    return wrong;
}

/* Whether it waits for one that is sent again with another id. */
static bool waits_for_renamed(const struct submit *submit, size_t index)
{
    const struct weft_submission *asked = &submit->asked[index];
    for (size_t i = 0; asked->after_index && i < asked->after_count; i++) {
        int at = asked->after_index[i];
        if (at >= 0 && submit->asked[at].err == -EEXIST)
            return true;
    }
    return false;
}

/* Whether it is to be sent, or sent again because an id was taken. */
static bool is_to_send(const struct submit *submit, size_t index, bool again)
{
    int err = submit->asked[index].err;
    if (!again)
        return err == 0;
    return err == -EEXIST || (submit->atomic && err == -ECANCELED) ||
           (err == -ENOENT && waits_for_renamed(submit, index));
}

static struct weft_enqueue *fill_item(struct submit *submit, size_t index,
                                      struct weft_enqueue *item, size_t *after_used)
{
    const struct weft_submission *asked = &submit->asked[index];
    struct weft_after *after = &submit->after[*after_used];
    for (size_t i = 0; i < asked->after_count; i++) {
        int at = asked->after_index ? asked->after_index[i] : -1;
        after[i] = asked->after[i];
        if (at >= 0)
            after[i].id = submit->jobs[at].id;
    }
    *after_used += asked->after_count;
    *item = (struct weft_enqueue){
        .job = &submit->jobs[index],
        .unique = asked->unique_key ? &asked->unique : NULL,
        .after = after,
        .after_count = asked->after_count,
        .claim = submit->run[index] != NULL,
    };
    return item;
}

static size_t fill_items(struct submit *submit, bool again)
{
    struct weft_engine *engine = submit->engine;
    size_t sent = 0, after_used = 0;
    for (size_t i = 0; i < submit->count; i++) {
        struct weft_job *job = &submit->jobs[i];
        if (!is_to_send(submit, i, again))
            continue;
        if (!again && !is_zero(&submit->asked[i].id))
            job->id = submit->asked[i].id;
        else
            job->id = weft_uuid_make(&engine->ids, job->created_us / 1000);
        if (submit->run[i])
            submit->run[i]->job->id = job->id;
        submit->sent[sent] = i;
        (void)fill_item(submit, i, &submit->items[sent], &after_used);
        sent++;
    }
    return sent;
}

static void take_answer(struct submit *submit, size_t index, const struct weft_enqueue *item)
{
    struct weft_submission *asked = &submit->asked[index];
    struct weft_engine *engine = submit->engine;
    asked->err = item->err;
    asked->id = item->err == WEFT_EDUPLICATE ? item->same : submit->jobs[index].id;
    asked->waiting = item->waiting;
    asked->state = item->err ? WEFT_JOB_NONE : item->state;
    if (item->err)
        return;
    engine->counts.submitted++;
    if (item->job->expires_us)
        weft_maintain_at(engine,
                         weft_time_after(weft_now(), weft_ns_from_us(item->job->expires_us -
                                                                     item->job->created_us)));
    if (item->claimed && submit->run[index])
        start_run(submit, index, item->lease_token);
    else
        weft_engine_expect(engine, item->job->queue, item->job->run_at_us - item->job->created_us);
}

/* Returns the call's error. *ret_again: an id was taken. */
static int send_items(struct submit *submit, bool again, bool *ret_again)
{
    struct weft_engine *engine = submit->engine;
    struct weft_enqueue_batch batch = {
        .items = submit->items,
        .count = fill_items(submit, again),
        .atomic = submit->atomic,
        .worker = engine->worker.number,
        .lease_us = weft_beat_lease_us(engine),
    };
    unsigned epoch = weft_engine_call_begin(engine);
    int err = engine->broker->ops->enqueue(engine->broker, &batch);
    weft_engine_heard(engine, WEFT_CALL_ENQUEUE, err);
    *ret_again = false;
    for (size_t i = 0; i < batch.count; i++) {
        if (err)
            submit->asked[submit->sent[i]].err = err;
        else
            take_answer(submit, submit->sent[i], &submit->items[i]);
        *ret_again |= !err && submit->items[i].err == -EEXIST;
    }
    weft_engine_call_end(engine, epoch);
    return err;
}

static void refuse_the_rest(struct submit *submit)
{
    for (size_t i = 0; i < submit->count; i++) {
        if (submit->asked[i].err == 0)
            submit->asked[i].err = -ECANCELED;
    }
}

static int submit_all(struct submit *submit)
{
    size_t wrong = check_all(submit);
    if (wrong > 0 && submit->atomic)
        refuse_the_rest(submit);
    if (wrong == submit->count || (wrong > 0 && submit->atomic))
        return 0;
    bool again = false;
    int err = send_items(submit, false, &again);
    for (int try = 1; err == 0 && again && try < ID_TRIES; try++)
        err = send_items(submit, true, &again);
    return err;
}

int weft_engine_prepare(struct weft_engine *engine, const struct weft_submission *asked,
                        struct weft_job *ret_job)
{
    int err = check(asked, 0);
    if (err)
        return err;
    int64_t now_us = engine->broker->ops->now_us(engine->broker);
    *ret_job = job_of(asked, weft_engine_handler(engine, asked->task), now_us);
    ret_job->id = is_zero(&asked->id) ? weft_uuid_make(&engine->ids, now_us / 1000) : asked->id;
    return 0;
}

struct weft_uuid weft_engine_make_id(struct weft_engine *engine)
{
    return weft_uuid_make(&engine->ids, engine->broker->ops->now_us(engine->broker) / 1000);
}

int weft_engine_submit(struct weft_engine *engine, struct weft_submission *jobs, size_t count,
                       bool atomic)
{
    if (count == 0 || count > WEFT_SUBMIT_MAX)
        return -EINVAL;
    if (engine->stopping)
        return -ESHUTDOWN;
    struct submit submit = {.engine = engine, .asked = jobs, .count = count, .atomic = atomic};
    int err = submit_open(&submit);
    if (err == 0)
        err = submit_all(&submit);
    submit_close(&submit);
    return err;
}
