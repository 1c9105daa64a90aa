/* SPDX-License-Identifier: MIT
 * dispatch.c - a consumer's two fibers: one claims jobs in batches, the other starts a fiber for
 * each of them and waits for those. */
#include "engine_internal.h"

#include <base/hash.h>
#include <base/time.h>

#include <weft/runtime.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define LONG_POLL_US 10000000 /* of a broker that waits for jobs and tells of nothing */

static int claimer_main(void *arg);
static int starter_main(void *arg);

int weft_consumer_init(struct weft_engine *engine, struct weft_consumer *consumer,
                       const struct weft_consumer_options *options)
{
    consumer->engine = engine;
    consumer->options = options;
    consumer->concurrency = options->concurrency ? options->concurrency : 1000;
    weft_list_init(&consumer->lanes);
    weft_list_init(&consumer->maybe);
    weft_list_init(&consumer->ready);
    weft_list_init(&consumer->spares);
    consumer->again_ns = WEFT_FOREVER;
    consumer->claimer =
        (struct weft_service){.main = claimer_main, .arg = consumer, .name = "claims jobs"};
    consumer->starter =
        (struct weft_service){.main = starter_main, .arg = consumer, .name = "starts jobs"};
    int err = weft_wake_init(&consumer->start_wake);
    return err ? err : weft_wake_init(&consumer->claim_wake);
}

/* ---- jobs that run here ----------------------------------------------------------------- */

static uint64_t hash_of(const struct weft_uuid *id)
{
    return weft_hash(id->bytes, sizeof id->bytes);
}

/* One that was lost may be here twice: claimed again before its first attempt has ended. */
bool weft_engine_jobs_cancel(struct weft_engine *engine, const struct weft_uuid *id)
{
    bool found = false;
    struct weft_table_node *node = weft_table_first(&engine->jobs, hash_of(id));
    for (; node; node = weft_table_next(node)) {
        struct weft_engine_job *job = weft_container_of(node, struct weft_engine_job, by_id);
        if (memcmp(&job->job->id, id, sizeof *id) != 0)
            continue;
        weft_engine_job_stop(job, WEFT_STOP_CANCEL);
        found = true;
    }
    return found;
}

struct weft_engine_job *weft_engine_job_find(struct weft_engine *engine, const struct weft_uuid *id,
                                             uint64_t token)
{
    struct weft_table_node *node = weft_table_first(&engine->jobs, hash_of(id));
    for (; node; node = weft_table_next(node)) {
        struct weft_engine_job *job = weft_container_of(node, struct weft_engine_job, by_id);
        if (job->job->lease_token == token && memcmp(&job->job->id, id, sizeof *id) == 0)
            return job;
    }
    return NULL;
}

static void host_log(struct weft_attempt *attempt, enum weft_log_level level, const char *text)
{
    struct weft_engine_job *job = weft_container_of(attempt, struct weft_engine_job, attempt);
    if (!weft_engine_job_reach(job))
        return;
    weft_engine_log(job->engine, level, job->job, "task", text);
    weft_engine_job_let_go(job);
}

static int host_progress(struct weft_attempt *attempt, char *json)
{
    struct weft_engine_job *job = weft_container_of(attempt, struct weft_engine_job, attempt);
    if (!weft_engine_job_reach(job)) {
        free(json);
        return 0;
    }
    weft_progress_tell(job, json);
    weft_engine_job_let_go(job);
    return 0;
}

static bool host_is_cancelled(const struct weft_attempt *attempt)
{
    const struct weft_engine_job *job = (const void *)attempt;
    /* The deadline of the scope may be a moment faster than our own. */
    return atomic_load_explicit(&job->cancelled, memory_order_relaxed) || weft_cancel_reason() != 0;
}

static const struct weft_attempt_host host = {host_log, host_progress, host_is_cancelled};

static void init_job(struct weft_engine_job *made, struct weft_consumer *consumer,
                     struct weft_job *job)
{
    made->engine = consumer->engine;
    made->consumer = consumer;
    made->handler = weft_engine_handler(consumer->engine, job->task);
    made->job = job;
    made->stuck = consumer->engine->stuck;
    atomic_init(&made->cancelled, false);
    atomic_init(&made->references, 1);
    weft_list_init(&made->link);
    weft_list_init(&made->leased);
    weft_list_init(&made->told);
}

struct weft_engine_job *weft_engine_job_make(struct weft_consumer *consumer, struct weft_job *job)
{
    struct weft_engine_job *made = calloc(1, sizeof *made);
    if (made)
        init_job(made, consumer, job);
    return made;
}

void weft_engine_job_unref(struct weft_engine_job *job)
{
    if (atomic_fetch_sub_explicit(&job->references, 1, memory_order_acq_rel) > 1)
        return;
    if (job->given_up)
        weft_stuck_ended(job->stuck);
    weft_attempt_deinit(&job->attempt);
    free(job->progress);
    free(job->verdict.own);
    free(job->follow);
    weft_job_free(job->job);
    free(job);
}

void weft_engine_job_start(struct weft_engine_job *job)
{
    struct weft_engine *engine = job->engine;
    weft_attempt_init(&job->attempt, job->job, &host);
    weft_table_put(&engine->jobs, &job->by_id, hash_of(&job->job->id));
    weft_beat_add(job);
    if (engine->stopping) {
        weft_engine_job_give_back(job);
    } else if (!job->handler) {
        weft_engine_job_fail(job, NULL, "no task of this name is known here");
    } else {
        weft_list_append(&job->consumer->ready, &job->link);
        weft_wake_post(&job->consumer->start_wake);
    }
}

void weft_engine_lease_answered(struct weft_engine *engine, const struct weft_lease *lease)
{
    if (lease->err != -ESTALE && !lease->cancelling)
        return;
    struct weft_engine_job *job = weft_engine_job_find(engine, &lease->id, lease->token);
    if (job)
        weft_engine_job_stop(job, lease->err ? WEFT_STOP_LOST : WEFT_STOP_CANCEL);
}

/* ---- a fiber for each ------------------------------------------------------------------- */

/* Not inlined, like everything around the handler that is done when it runs: while it waits, only
 * the frame of job_main lies under it. */
__attribute__((noinline)) static void begin(struct weft_engine_job *job)
{
    atomic_fetch_add_explicit(&job->references, 1, memory_order_relaxed);
    weft_scope_enter(&job->scope, WEFT_FOREVER, 0);
    job->running = true;
    enum weft_stop why = job->stop; /* told between its spawn and now */
    job->stop = WEFT_STOP_NOT;
    weft_engine_job_stop(job, why);
}

static int job_main(void *arg)
{
    struct weft_engine_job *job = arg;
    begin(job);
    int result = weft_engine_job_execute(job);
    weft_engine_job_conclude(job, result);
    return 0;
}

int weft_consumer_start_ready(struct weft_consumer *consumer, struct weft_group *group)
{
    while (!weft_list_empty(&consumer->ready)) {
        struct weft_engine_job *job =
            weft_container_of(consumer->ready.next, struct weft_engine_job, link);
        if (job->stop || consumer->engine->stopping) {
            weft_list_unlink(&job->link);
            weft_engine_job_give_back(job);
            continue;
        }
        int err = weft_spawn_with(group, job_main, job,
                                  &(struct weft_spawn_options){.name = job->handler->name});
        if (err)
            return err;
        /* The fiber has not run yet: a spawned fiber queues behind its spawner. */
        weft_list_unlink(&job->link);
    }
    return 0;
}

static int starter_main(void *arg)
{
    struct weft_consumer *consumer = arg;
    struct weft_group group;
    int err = weft_group_init(
        &group, &(struct weft_group_options){.policy = WEFT_SUPERVISE, .name = "jobs"});
    if (err)
        return err;
    while (!consumer->engine->stopping) {
        err = weft_consumer_start_ready(consumer, &group);
        int64_t until_ns = err ? weft_now() + WEFT_BACKOFF_NS : WEFT_FOREVER;
        if (weft_wake_wait(&consumer->start_wake, until_ns) == -ECANCELED)
            break;
    }
    (void)weft_consumer_start_ready(consumer, &group); /* gives them back */
    return weft_group_wait(&group);
}

/* ---- claiming --------------------------------------------------------------------------- */

static unsigned places(const struct weft_consumer *consumer)
{
    unsigned taken = consumer->running + consumer->claiming + consumer->reserved;
    unsigned free_places = taken < consumer->concurrency ? consumer->concurrency - taken : 0;
    return free_places < WEFT_CLAIM_MAX ? free_places : WEFT_CLAIM_MAX;
}

void weft_consumer_place_free(struct weft_consumer *consumer)
{
    if (!weft_list_empty(&consumer->maybe))
        weft_wake_post(&consumer->claim_wake);
}

unsigned weft_consumer_stock(struct weft_consumer *consumer, unsigned wanted)
{
    while (consumer->spares_count < wanted) {
        struct weft_engine_job *spare = calloc(1, sizeof *spare);
        if (!spare)
            break;
        weft_list_append(&consumer->spares, &spare->link);
        consumer->spares_count++;
    }
    return wanted < consumer->spares_count ? wanted : consumer->spares_count;
}

static struct weft_engine_job *take_spare(struct weft_consumer *consumer)
{
    struct weft_engine_job *spare =
        weft_container_of(consumer->spares.next, struct weft_engine_job, link);
    weft_list_unlink(&spare->link);
    consumer->spares_count--;
    return spare;
}

void weft_consumer_deinit(struct weft_consumer *consumer)
{
    while (consumer->spares_count > 0)
        free(take_spare(consumer));
}

void weft_consumer_start(struct weft_consumer *consumer, struct weft_job *job)
{
    struct weft_engine_job *made = take_spare(consumer);
    init_job(made, consumer, job);
    consumer->running++;
    weft_engine_job_start(made);
}

/* The lane that a job came from, among those that were asked: its index. */
static unsigned lane_of(const struct weft_job *job, struct weft_lane *const *lanes, unsigned count,
                        unsigned guess)
{
    for (unsigned i = 0; i < count; i++, guess++) {
        guess = guess < count ? guess : 0;
        if (strcmp(lanes[guess]->queue->name, job->queue) == 0)
            return guess;
    }
    return 0;
}

/* Start what came. Returns the last lane that had jobs: only behind it there may be more. */
static unsigned take_over(struct weft_consumer *consumer, const struct weft_claim *claim,
                          struct weft_lane *const *lanes, unsigned lanes_count)
{
    unsigned lane = 0, last = 0;
    for (unsigned i = 0; i < claim->count; i++) {
        lane = lane_of(claim->jobs[i], lanes, lanes_count, lane);
        last = lane > last ? lane : last;
        weft_lane_pass(lanes[lane], 1);
        weft_consumer_start(consumer, claim->jobs[i]);
    }
    return last;
}

/* Look at lanes again, at the latest then. */
static void rouse_later(struct weft_consumer *consumer, struct weft_lane *const *lanes,
                        unsigned count, int64_t at_ns)
{
    for (unsigned i = 0; i < count; i++)
        lanes[i]->again_ns = at_ns;
    if (at_ns < consumer->again_ns)
        consumer->again_ns = at_ns;
}

/* Whether a claim there ends when there is a job, and not before. */
static bool broker_waits(const struct weft_engine *engine)
{
    return (engine->capabilities & WEFT_BROKER_WAITS) && !engine->pumped;
}

/* When lanes that gave what they had are to be asked again without being told. */
static int64_t again_at(struct weft_engine *engine, const struct weft_claim *claim,
                        int64_t begun_ns)
{
    int64_t at_ns = WEFT_FOREVER;
    if (claim->next_us < WEFT_FOREVER / 1000)
        at_ns = weft_time_after(weft_now(), (claim->next_us > 0 ? claim->next_us : 1) * 1000);
    if (broker_waits(engine) && claim->count > 0) {
        at_ns = weft_now();
    } else if (!engine->pumped) {
        int64_t poll_ns = begun_ns + weft_engine_jitter(engine, engine->options.poll_ns);
        at_ns = poll_ns < at_ns ? poll_ns : at_ns;
    }
    return at_ns;
}

/* Returns the first of the lanes that may have more. */
static unsigned claimed(struct weft_consumer *consumer, const struct weft_claim *claim,
                        struct weft_lane *const *lanes, unsigned count, int64_t begun_ns)
{
    unsigned last = take_over(consumer, claim, lanes, count);
    rouse_later(consumer, lanes, count, again_at(consumer->engine, claim, begun_ns));
    if (claim->more) /* perhaps of one that gave none */
        return 0;
    return claim->count == claim->jobs_max ? last : count;
}

static int claim(struct weft_consumer *consumer, struct weft_lane *const *lanes, unsigned count)
{
    struct weft_engine *engine = consumer->engine;
    const char *queues[WEFT_CLAIM_LANES_MAX];
    for (unsigned i = 0; i < count; i++)
        queues[i] = lanes[i]->queue->name;
    struct weft_claim claim = {
        .queues = queues,
        .queues_count = count,
        .tasks = engine->tasks,
        .tasks_count = engine->options.handlers_count,
        .worker = engine->worker.number,
        .lease_us = weft_beat_lease_us(engine),
        .wait_us = broker_waits(engine) ? LONG_POLL_US : 0,
        .jobs_max = weft_consumer_stock(consumer, places(consumer)),
        .jobs = consumer->claimed,
        .next_us = INT64_MAX,
    };
    int64_t begun_ns = weft_now();
    unsigned more_from = 0, epoch = weft_engine_call_begin(engine);
    int err = -ENOMEM;
    if (claim.jobs_max > 0) {
        consumer->claiming = claim.jobs_max;
        err = engine->broker->ops->claim(engine->broker, &claim);
        consumer->claiming = 0;
        weft_engine_heard(engine, WEFT_CALL_CLAIM, err);
    }
    if (err == 0)
        more_from = claimed(consumer, &claim, lanes, count, begun_ns);
    weft_engine_call_end(engine, epoch);
    for (unsigned i = more_from; i < count; i++)
        weft_lane_rouse(lanes[i]);
    return err;
}

/* Rouse the lanes whose time has come. */
static void rouse_due(struct weft_consumer *consumer, int64_t now_ns)
{
    consumer->again_ns = WEFT_FOREVER;
    WEFT_LIST_FOR_EACH (link, &consumer->lanes) {
        struct weft_lane *lane = weft_container_of(link, struct weft_lane, all);
        if (lane->again_ns <= now_ns) {
            lane->again_ns = WEFT_FOREVER;
            weft_lane_rouse(lane);
        } else if (lane->again_ns < consumer->again_ns) {
            consumer->again_ns = lane->again_ns;
        }
    }
}

bool weft_engine_too_many_stuck(struct weft_engine *engine)
{
    bool too_many = weft_stuck_count(engine->stuck) > engine->options.stuck_max;
    if (too_many && !engine->too_many_stuck)
        weft_engine_log(engine, WEFT_LOG_ERROR, NULL, "too_many_stuck",
                        "handlers do not end although they have to: nothing more is claimed");
    engine->too_many_stuck = too_many;
    return too_many;
}

/* Claim if there is reason to. Returns 1 (again), 0 (wait to be woken), or an error: wait a while.
 */
static int claim_some(struct weft_consumer *consumer)
{
    struct weft_lane *lanes[WEFT_CLAIM_LANES_MAX];
    int64_t now_ns = weft_now();
    if (now_ns >= consumer->again_ns)
        rouse_due(consumer, now_ns);
    if (weft_engine_too_many_stuck(consumer->engine))
        return -EBUSY;
    if (places(consumer) == 0)
        return 0;
    unsigned count = weft_lanes_take(consumer, lanes);
    if (count == 0)
        return 0;
    int err = claim(consumer, lanes, count);
    return err ? err : 1;
}

static int claimer_main(void *arg)
{
    struct weft_consumer *consumer = arg;
    int err = 0;
    while (!consumer->engine->stopping && err != -ECANCELED) {
        err = claim_some(consumer);
        if (err < 0)
            err = weft_sleep(WEFT_BACKOFF_NS);
        else if (err == 0)
            err = weft_wake_wait(&consumer->claim_wake, consumer->again_ns);
    }
    return 0;
}
