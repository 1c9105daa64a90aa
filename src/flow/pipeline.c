/* SPDX-License-Identifier: MIT
 * pipeline.c - how a pipeline is made, flushed, finished, stopped and looked at. See
 * weft/pipeline.h; what happens to an item is in pipeline_stage.c. */
#include <flow/pipeline_internal.h>

#include <stdlib.h>

#define STAGES_MAX      64u
#define ITEM_BYTES_MAX  4096u
#define WORKERS_MAX     65536u
#define QUEUE_DEFAULT   1000u
#define QUEUE_MAX       (1u << 20)
#define BATCH_DEFAULT   100u
#define BATCH_MAX       65536u
#define AGE_DEFAULT_NS  (5 * WEFT_SEC)
#define PUSHERS_DEFAULT 10000u

/* ---- options --------------------------------------------------------------------------- */

static bool contradicts(const struct weft_stage_options *stage)
{
    int functions = (stage->fn != NULL) + (stage->batch != NULL) + (stage->flat != NULL);
    bool batches = stage->batch_max || stage->batch_age_ns;
    return functions != 1 || (batches && !stage->batch) || (stage->flat && stage->retries) ||
           (stage->retry_pause_ns && !stage->retries) ||
           (stage->queue_max && stage->batch_max > stage->queue_max);
}

static bool exceeds(const struct weft_stage_options *stage)
{
    return stage->item_bytes_in == 0 || stage->item_bytes_in > ITEM_BYTES_MAX ||
           stage->item_bytes_out > ITEM_BYTES_MAX || stage->workers > WORKERS_MAX ||
           stage->queue_max > QUEUE_MAX || stage->batch_max > BATCH_MAX ||
           stage->batch_age_ns < 0 || stage->retry_pause_ns < 0 ||
           stage->on_full > WEFT_STAGE_REFUSE || stage->on_error > WEFT_STAGE_SKIP ||
           stage->worker < WEFT_ANY_WORKER;
}

static bool fits(const struct weft_stage_options *stage, const struct weft_stage_options *next)
{
    if (next)
        return stage->item_bytes_out == next->item_bytes_in;
    return stage->item_bytes_out == 0 && !stage->flat;
}

static int check(const struct weft_pipeline_options *options)
{
    if (!options || !options->stages || options->stage_count == 0 ||
        options->stage_count > STAGES_MAX)
        return -EINVAL;
    for (size_t i = 0; i < options->stage_count; i++) {
        const struct weft_stage_options *stage = &options->stages[i];
        const struct weft_stage_options *next = i + 1 < options->stage_count ? stage + 1 : NULL;
        if (contradicts(stage) || exceeds(stage) || !fits(stage, next))
            return -EINVAL;
        if (options->sharing == WEFT_LOCAL && stage->worker != WEFT_HERE)
            return -EINVAL;
    }
    return 0;
}

static unsigned least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

/* All the defaults, so that nobody else has to know them. */
static void complete(struct weft_stage_options *options)
{
    if (options->workers == 0)
        options->workers = 1;
    if (options->queue_max == 0)
        options->queue_max =
            options->batch_max > QUEUE_DEFAULT ? options->batch_max : QUEUE_DEFAULT;
    if (options->batch_max == 0)
        options->batch_max = options->batch ? least(BATCH_DEFAULT, options->queue_max) : 1;
    if (options->batch_age_ns == 0)
        options->batch_age_ns = AGE_DEFAULT_NS;
}

/* ---- open ------------------------------------------------------------------------------ */

static int init_stage(struct stage *stage, const struct weft_stage_options *options,
                      enum weft_sharing sharing)
{
    stage->options = *options;
    complete(&stage->options);
    options = &stage->options;
    stage->options.name = stage->name;
    weft_list_init(&stage->pushers);
    weft_list_init(&stage->takers);
    weft_list_init(&stage->turns);
    weft_list_init(&stage->flushers);
    const struct weft_stage_limits limits = {
        .item_bytes_in = options->item_bytes_in,
        .item_bytes_out = options->flat ? 0 : options->item_bytes_out,
        .queue_max = options->queue_max,
        .batch_max = options->batch_max,
        .lots_max =
            options->workers + (options->ordered ? options->queue_max / options->batch_max : 0),
        .batch_age_ns = options->batch_age_ns,
        .ordered = options->ordered && options->workers > 1,
        .on_full = options->on_full,
    };
    int err = weft_guard_init(&stage->guard, sharing);
    return err < 0 ? err : weft_stage_core_init(&stage->core, &limits);
}

static int init_stages(struct weft_pipeline *pipeline, const struct weft_pipeline_options *options)
{
    int err = 0;
    for (size_t i = 0; i < options->stage_count && err == 0; i++) {
        struct stage *stage = &pipeline->stages[i];
        stage->pipeline = pipeline;
        stage->next = i + 1 < options->stage_count ? stage + 1 : NULL;
        err = weft_pattern_name(stage->name, options->stages[i].name, "stage");
        if (err == 0)
            err = init_stage(stage, &options->stages[i], options->sharing);
    }
    return err;
}

static void free_pipeline(struct weft_pipeline *pipeline)
{
    for (size_t i = 0; i < pipeline->stage_count; i++)
        weft_stage_core_deinit(&pipeline->stages[i].core);
    free(pipeline);
}

/* Elsewhere a spawn can fail late: be told of it here, and not by a pipeline that stands still. */
static int spawn_workers(struct weft_pipeline *pipeline)
{
    int err = 0;
    for (size_t i = 0; i < pipeline->stage_count; i++) {
        struct stage *stage = &pipeline->stages[i];
        const struct weft_spawn_options options = {.name = stage->name,
                                                   .worker = stage->options.worker,
                                                   .stack_bytes = stage->options.stack_bytes};
        for (unsigned k = 0; k < stage->options.workers && err == 0; k++)
            err = options.worker == WEFT_HERE
                      ? weft_spawn_with(&pipeline->group, weft_stage_run, stage, &options)
                      : weft_spawn_started(&pipeline->group, weft_stage_run, stage, &options,
                                           WEFT_FOREVER);
    }
    return err;
}

static int start(struct weft_pipeline *pipeline)
{
    const struct weft_group_options options = {.policy = WEFT_SUPERVISE, .name = pipeline->name};
    int err = weft_group_init(&pipeline->group, &options);
    if (err < 0)
        return err;
    err = spawn_workers(pipeline);
    if (err < 0) {
        weft_pipeline_stop(pipeline, err);
        weft_group_close(&pipeline->group);
    }
    return err;
}

int weft_pipeline_open(struct weft_pipeline **ret_pipeline,
                       const struct weft_pipeline_options *options)
{
    struct weft_fiber *self;
    int err = weft_enter(&self);
    if (err == 0)
        err = check(options);
    if (err < 0)
        return err;
    struct weft_pipeline *pipeline =
        calloc(1, sizeof *pipeline + options->stage_count * sizeof pipeline->stages[0]);
    if (!pipeline)
        return -ENOMEM;
    weft_list_init(&pipeline->closers);
    pipeline->on_event = options->on_event;
    pipeline->on_event_arg = options->on_event_arg;
    pipeline->pushers_max = options->pushers_max ? options->pushers_max : PUSHERS_DEFAULT;
    pipeline->opened_at_ns = weft_now();
    pipeline->stage_count = options->stage_count;
    err = weft_pattern_name(pipeline->name, options->name, "pipeline");
    if (err == 0)
        err = weft_guard_init(&pipeline->guard, options->sharing);
    if (err == 0)
        err = init_stages(pipeline, options);
    if (err == 0)
        err = start(pipeline);
    if (err < 0) {
        free_pipeline(pipeline);
        return err;
    }
    *ret_pipeline = pipeline;
    return 0;
}

/* ---- push, stop ------------------------------------------------------------------------ */

int weft_pipeline_push(struct weft_pipeline *pipeline, const void *item, int64_t deadline_ns)
{
    struct weft_fiber *self;
    int err = weft_enter_anywhere(&self);
    if (err == 0)
        err = weft_guard_permit(&pipeline->guard);
    return err < 0 ? err : weft_stage_push(&pipeline->stages[0], self, NULL, item, deadline_ns);
}

/* Tell the pushers that wait; under the guard. */
static void claim_pushers(struct stage *stage, struct weft_link *claimed)
{
    struct weft_waiter *pusher;
    while ((pusher = weft_claim_first(&stage->pushers))) {
        pusher->target = pusher;
        stage->pushers_waiting--;
        weft_list_append(claimed, &pusher->link);
    }
}

static void stop_stage(struct stage *stage, int reason)
{
    struct weft_link told, claimed;
    weft_list_init(&told);
    weft_list_init(&claimed);
    weft_guard_enter(&stage->guard);
    stage->stopped = reason;
    claim_pushers(stage, &told);
    weft_claim_all(&stage->takers, &claimed);
    weft_claim_all(&stage->turns, &claimed);
    weft_claim_all(&stage->flushers, &claimed);
    weft_guard_leave(&stage->guard);
    weft_wake_claimed(&told, reason);
    weft_wake_claimed(&claimed, 0);
}

void weft_pipeline_stop(struct weft_pipeline *pipeline, int reason)
{
    weft_guard_enter(&pipeline->guard);
    bool first = pipeline->result == 0 && !pipeline->joined;
    if (first) {
        pipeline->result = reason;
        weft_group_cancel(&pipeline->group, reason);
    }
    weft_guard_leave(&pipeline->guard);
    if (!first)
        return;
    weft_pipeline_tell(pipeline, WEFT_PIPELINE_STOPPED, NULL, reason, NULL, 0);
    for (size_t i = 0; i < pipeline->stage_count; i++)
        stop_stage(&pipeline->stages[i], reason);
}

int weft_pipeline_cancel(struct weft_pipeline *pipeline, int reason)
{
    int err = weft_guard_permit(&pipeline->guard);
    if (err == 0)
        weft_pipeline_stop(pipeline, reason < 0 ? reason : -ECANCELED);
    return err;
}

bool weft_pipeline_runs(const struct weft_pipeline *pipeline, const struct weft_fiber *fiber)
{
    for (size_t i = 0; i < pipeline->stage_count; i++) {
        if (fiber->arg == &pipeline->stages[i])
            return true;
    }
    return false;
}

/* ---- flush ----------------------------------------------------------------------------- */

/* Whether somebody from outside is in a call that waits; under the first stage's guard. */
static bool visited(const struct weft_pipeline *pipeline)
{
    return pipeline->flushing > 0 || pipeline->stages[0].pushers_waiting > 0;
}

void weft_pipeline_left(struct weft_pipeline *pipeline)
{
    struct weft_waiter *closer = visited(pipeline) ? NULL : weft_claim_first(&pipeline->closers);
    weft_guard_leave(&pipeline->stages[0].guard);
    if (closer)
        weft_wake(closer->fiber, 0);
}

/* Wait until all that has come to a stage is settled. */
static int settled(struct stage *stage, struct weft_fiber *self, int64_t deadline_ns)
{
    struct flusher flusher;
    int err = 0;
    weft_guard_enter(&stage->guard);
    flusher.until = weft_stage_core_next(&stage->core);
    if (stage->core.cut < flusher.until)
        stage->core.cut = flusher.until;
    weft_stage_rouse(stage);
    while (err == 0) {
        weft_guard_enter(&stage->guard);
        err = stage->stopped;
        if (err < 0 || weft_stage_core_settled(&stage->core) >= flusher.until) {
            weft_guard_leave(&stage->guard);
            return err;
        }
        err = weft_wait_turn(self, &stage->guard, &stage->flushers, &flusher.waiter, deadline_ns,
                             "a pipeline to be flushed");
    }
    return err;
}

int weft_pipeline_flush(struct weft_pipeline *pipeline, int64_t deadline_ns)
{
    struct weft_fiber *self;
    int err = weft_enter_anywhere(&self);
    if (err == 0)
        err = weft_guard_permit(&pipeline->guard);
    if (err == 0 && weft_pipeline_runs(pipeline, self))
        err = -EDEADLK;
    if (err < 0)
        return err;
    weft_guard_enter(&pipeline->stages[0].guard);
    pipeline->flushing++;
    weft_guard_leave(&pipeline->stages[0].guard);
    /* What a stage has settled is in the next one's queue, or gone. */
    for (size_t i = 0; i < pipeline->stage_count && err == 0; i++)
        err = settled(&pipeline->stages[i], self, deadline_ns);
    weft_guard_enter(&pipeline->stages[0].guard);
    pipeline->flushing--;
    weft_pipeline_left(pipeline);
    return err;
}

/* ---- finish, close --------------------------------------------------------------------- */

/* No more items come to this stage. */
static void shut(struct stage *stage)
{
    struct weft_link told, claimed;
    weft_list_init(&told);
    weft_list_init(&claimed);
    weft_guard_enter(&stage->guard);
    if (!stage->shut) {
        stage->shut = -ESHUTDOWN;
        claim_pushers(stage, &told);
        weft_claim_all(&stage->takers, &claimed);
    }
    weft_guard_leave(&stage->guard);
    weft_wake_claimed(&told, -ESHUTDOWN);
    weft_wake_claimed(&claimed, 0);
}

/* Nobody works any more: drop what is still in the queues. */
static void drop_rest(struct stage *stage, int reason)
{
    struct weft_stage_core *core = &stage->core;
    while (core->count > 0) {
        size_t count = core->count < core->limits.batch_max ? core->count : core->limits.batch_max;
        struct weft_lot *lot = weft_stage_core_take(core, count);
        weft_stage_lose(stage, lot->ins, count, reason, 0);
        (void)weft_stage_core_passed(core, weft_stage_core_done(core, lot));
    }
}

/* Wait for the fibers, which have been told to end. Returns what it has come to. */
static int join(struct weft_pipeline *pipeline)
{
    weft_guard_enter(&pipeline->guard);
    bool joined = pipeline->joined;
    int result = pipeline->result;
    pipeline->joined = true;
    weft_guard_leave(&pipeline->guard);
    if (joined)
        return result;
    (void)weft_group_wait(&pipeline->group);
    for (size_t i = 0; i < pipeline->stage_count; i++)
        drop_rest(&pipeline->stages[i], result);
    return result;
}

static int finish(struct weft_pipeline *pipeline, struct weft_fiber *self, int64_t deadline_ns)
{
    weft_guard_enter(&pipeline->guard);
    pipeline->finishing = true;
    weft_guard_leave(&pipeline->guard);
    for (size_t i = 0; i < pipeline->stage_count; i++) {
        shut(&pipeline->stages[i]);
        int err = settled(&pipeline->stages[i], self, deadline_ns);
        if (err < 0)
            return err;
    }
    return 0;
}

int weft_pipeline_finish(struct weft_pipeline *pipeline, int64_t deadline_ns)
{
    struct weft_fiber *self;
    int err = weft_enter(&self);
    if (err == 0 && pipeline->group.opener != self)
        err = -EPERM;
    if (err < 0 || pipeline->joined)
        return err < 0 ? err : pipeline->result;
    err = finish(pipeline, self, deadline_ns);
    weft_guard_enter(&pipeline->guard);
    bool stopped = pipeline->result < 0;
    weft_guard_leave(&pipeline->guard);
    return err < 0 && !stopped ? err : join(pipeline);
}

/* They have been told, or have given up just before. */
static void await_visitors(struct weft_pipeline *pipeline)
{
    struct weft_fiber *self = weft_self();
    struct weft_guard *guard = &pipeline->stages[0].guard;
    struct weft_waiter waiter;
    weft_guard_enter(guard);
    while (visited(pipeline)) {
        self->waits_for = "pushers and flushers to leave a pipeline";
        (void)weft_park_served(self, guard, &pipeline->closers, &waiter, WEFT_FOREVER,
                               WEFT_PARK_SHIELDED);
        weft_guard_enter(guard);
    }
    weft_guard_leave(guard);
}

void weft_pipeline_close(struct weft_pipeline *pipeline)
{
    if (!pipeline)
        return;
    if (pipeline->group.opener != weft_self())
        weft_misuse("weft_pipeline_close by another fiber than the one that opened it");
    weft_pipeline_stop(pipeline, -ECANCELED);
    (void)join(pipeline);
    await_visitors(pipeline);
    free_pipeline(pipeline);
}

/* ---- snapshots ------------------------------------------------------------------------- */

int weft_pipeline_stage_snapshot(struct weft_pipeline *pipeline, size_t index,
                                 struct weft_stage_snapshot *ret_snapshot)
{
    int err = weft_guard_permit(&pipeline->guard);
    if (err == 0 && index >= pipeline->stage_count)
        err = -EINVAL;
    if (err < 0)
        return err;
    struct stage *stage = &pipeline->stages[index];
    weft_guard_enter(&stage->guard);
    int64_t now_ns = weft_pipeline_time(pipeline);
    int64_t wait_ns = stage->waited_ns + stage->waiting * now_ns - stage->waiting_since_ns;
    int64_t live_ns = stage->lived_ns + stage->living * now_ns - stage->living_since_ns;
    *ret_snapshot = (struct weft_stage_snapshot){
        .name = stage->name,
        .items_in = stage->items_in,
        .passed = stage->passed,
        .items_out = stage->items_out,
        .filtered = stage->filtered,
        .errors = stage->errors,
        .dropped = stage->dropped,
        .refused = stage->refused,
        .retries = stage->retries,
        .batches = stage->batches,
        .batch_average = stage->batches ? (double)stage->batched / (double)stage->batches : 0,
        .queue_depth = (unsigned)stage->core.count,
        .queue_depth_max = (unsigned)stage->core.count_max,
        .running = stage->running,
        .busy_ns = live_ns - wait_ns,
        .wait_ns = wait_ns,
    };
    weft_guard_leave(&stage->guard);
    return 0;
}

static enum weft_pipeline_state state_of(const struct weft_pipeline *pipeline)
{
    if (pipeline->result < 0)
        return WEFT_PIPELINE_CANCELLED;
    if (pipeline->joined)
        return WEFT_PIPELINE_FINISHED;
    return pipeline->finishing ? WEFT_PIPELINE_FINISHING : WEFT_PIPELINE_RUNNING;
}

int weft_pipeline_snapshot(struct weft_pipeline *pipeline,
                           struct weft_pipeline_snapshot *ret_snapshot)
{
    int err = weft_guard_admit(&pipeline->guard);
    if (err < 0)
        return err;
    struct weft_pipeline_snapshot snapshot = {
        .name = pipeline->name,
        .state = state_of(pipeline),
        .result = pipeline->result,
        .stage_count = pipeline->stage_count,
    };
    weft_guard_leave(&pipeline->guard);
    for (size_t i = 0; i < pipeline->stage_count; i++) {
        struct weft_stage_snapshot stage = {0};
        (void)weft_pipeline_stage_snapshot(pipeline, i, &stage);
        if (i == 0)
            snapshot.items_in = stage.items_in;
        snapshot.items_out = stage.items_out;
        snapshot.errors += stage.errors;
        snapshot.dropped += stage.dropped;
        snapshot.refused += stage.refused;
    }
    *ret_snapshot = snapshot;
    return 0;
}
