/* SPDX-License-Identifier: MIT
 * pipeline_stage.c - the way of an item: into a queue, through a worker, into the next queue. See
 * weft/pipeline.h.
 *
 * Invariants, while a stage's guard is not held: pushers wait only while its queue is full, and
 * whoever takes serves them, so nobody overtakes. A worker that has taken a lot settles it,
 * whatever happens: its items are passed on or lost before it looks at anything else. */
#include <flow/pipeline_internal.h>

#include <stddef.h>
#include <stdlib.h>

#define SMALL_BYTES ((size_t)256)

struct weft_emitter {
    struct stage_worker *worker;
    struct weft_lot *lot;
    uint64_t count;
};

/* ---- what is told ---------------------------------------------------------------------- */

void weft_pipeline_tell(struct weft_pipeline *pipeline, enum weft_pipeline_event_kind kind,
                        const struct stage *stage, int result, const void *items, size_t count)
{
    if (!pipeline->on_event)
        return;
    const struct weft_pipeline_event event = {
        .kind = kind,
        .name = pipeline->name,
        .stage = stage ? stage->name : NULL,
        .at_ns = weft_now(),
        .result = result,
        .items = items,
        .count = count,
    };
    pipeline->on_event(pipeline->on_event_arg, &event);
}

/* They have been counted. */
static void drop_items(struct stage *stage, const void *items, size_t count)
{
    const struct weft_stage_options *options = &stage->options;
    if (!options->drop)
        return;
    for (size_t i = 0; i < count; i++)
        options->drop(options->arg, (const unsigned char *)items + i * options->item_bytes_in);
}

static void tell_dropped(struct stage *stage, const void *items, size_t count, int reason)
{
    weft_pipeline_tell(stage->pipeline, WEFT_PIPELINE_DROPPED, stage, reason, items, count);
    drop_items(stage, items, count);
}

void weft_stage_lose(struct stage *stage, const void *items, size_t count, int reason, int came)
{
    weft_guard_enter(&stage->guard);
    stage->dropped += count;
    if (came)
        stage->items_in += count;
    weft_guard_leave(&stage->guard);
    tell_dropped(stage, items, count, reason);
}

/* Items that the stage has failed with; came as in weft_stage_lose. */
static void fail_items(struct stage *stage, const void *items, size_t count, int err, int came)
{
    weft_guard_enter(&stage->guard);
    stage->errors += count;
    if (came)
        stage->items_in += count;
    weft_guard_leave(&stage->guard);
    weft_pipeline_tell(stage->pipeline, WEFT_PIPELINE_FAILED, stage, err, items, count);
    drop_items(stage, items, count);
    if (stage->options.on_error == WEFT_STAGE_FAIL)
        weft_pipeline_stop(stage->pipeline, err);
}

/* ---- what workers do with their time --------------------------------------------------- */

static void life_begins(struct stage_worker *worker)
{
    struct stage *stage = worker->stage;
    worker->start_ns = weft_pipeline_time(stage->pipeline);
    weft_guard_enter(&stage->guard);
    stage->living++;
    stage->living_since_ns += worker->start_ns;
    weft_guard_leave(&stage->guard);
}

static void life_ends(struct stage_worker *worker)
{
    struct stage *stage = worker->stage;
    int64_t now_ns = weft_pipeline_time(stage->pipeline);
    weft_guard_enter(&stage->guard);
    stage->living--;
    stage->living_since_ns -= worker->start_ns;
    stage->lived_ns += now_ns - worker->start_ns;
    weft_guard_leave(&stage->guard);
}

/* Wait for items. Under the stage's guard, which is left. */
static void wait_for_items(struct stage_worker *worker, int64_t until_ns)
{
    struct stage *stage = worker->stage;
    struct weft_waiter waiter;
    worker->since_ns = weft_pipeline_time(stage->pipeline);
    stage->waiting++;
    stage->waiting_since_ns += worker->since_ns;
    (void)weft_wait_turn(worker->self, &stage->guard, &stage->takers, &waiter, until_ns,
                         "items in a stage of a pipeline");
    int64_t now_ns = weft_pipeline_time(stage->pipeline);
    weft_guard_enter(&stage->guard);
    stage->waiting--;
    stage->waiting_since_ns -= worker->since_ns;
    stage->waited_ns += now_ns - worker->since_ns;
    weft_guard_leave(&stage->guard);
}

/* Wait in another stage, or for the turn. */
static int wait_elsewhere(struct stage_worker *worker, struct weft_guard *guard,
                          struct weft_link *list, struct weft_waiter *waiter, int64_t deadline_ns,
                          const char *what)
{
    int64_t since_ns = weft_now();
    int err = weft_wait_turn(worker->self, guard, list, waiter, deadline_ns, what);
    worker->waited_ns += weft_now() - since_ns;
    return err;
}

/* Under the stage's guard. */
static void tell_waited(struct stage_worker *worker)
{
    worker->stage->waited_ns += worker->waited_ns;
    worker->waited_ns = 0;
}

/* ---- waking ---------------------------------------------------------------------------- */

static void claim_one(struct weft_link *list, struct weft_link *claimed)
{
    struct weft_waiter *waiter = weft_claim_first(list);
    if (waiter)
        weft_list_append(claimed, &waiter->link);
}

static void claim_flushers(struct stage *stage, struct weft_link *claimed)
{
    uint64_t settled = weft_stage_core_settled(&stage->core);
    struct weft_link *link = stage->flushers.next;
    while (link != &stage->flushers) {
        struct weft_waiter *waiter = weft_waiter_of(link);
        link = link->next;
        if (weft_container_of(waiter, struct flusher, waiter)->until <= settled &&
            weft_claim_waiter(waiter))
            weft_list_append(claimed, &waiter->link);
    }
}

void weft_stage_rouse(struct stage *stage)
{
    struct weft_link claimed;
    weft_list_init(&claimed);
    if (stage->core.count > 0)
        claim_one(&stage->takers, &claimed);
    if (!weft_list_empty(&stage->turns))
        weft_claim_all(&stage->turns, &claimed);
    if (!weft_list_empty(&stage->flushers))
        claim_flushers(stage, &claimed);
    weft_guard_leave(&stage->guard);
    weft_wake_claimed(&claimed, 0);
}

/* ---- into a queue ---------------------------------------------------------------------- */

/* The queue is full and the item does not wait. Under the guard, which is left. */
static int refuse(struct stage *stage, const struct stage_worker *worker, int err)
{
    if (!worker)
        stage->refused++;
    weft_guard_leave(&stage->guard);
    return err;
}

/* Somebody from outside the way of the items; under the guard. */
static int may_wait_for_room(const struct stage *stage, const struct weft_fiber *self,
                             int64_t deadline_ns)
{
    if (deadline_ns == WEFT_NOWAIT)
        return -EAGAIN;
    if (weft_pipeline_runs(stage->pipeline, self)) /* room is what it has to make itself */
        return -EDEADLK;
    return stage->pushers_waiting < stage->pipeline->pushers_max ? 0 : WEFT_EFULL;
}

/* The queue is full. Under the guard, which is left. */
static int wait_for_room(struct stage *stage, struct weft_fiber *self, struct stage_worker *worker,
                         const void *item, int64_t deadline_ns)
{
    static const char what[] = "room in a stage of a pipeline";
    struct weft_waiter waiter = {.source = item}; /* target: set by who has answered */
    int refusal = worker ? 0 : may_wait_for_room(stage, self, deadline_ns);
    if (refusal < 0)
        return refuse(stage, worker, refusal);
    stage->pushers_waiting++;
    int err =
        worker ? wait_elsewhere(worker, &stage->guard, &stage->pushers, &waiter, deadline_ns, what)
               : weft_wait_turn(self, &stage->guard, &stage->pushers, &waiter, deadline_ns, what);
    if (waiter.target) /* by now the pipeline may be gone */
        return err;
    weft_guard_enter(&stage->guard);
    stage->pushers_waiting--;
    if (err == -ETIMEDOUT)
        stage->refused++;
    if (worker)
        weft_guard_leave(&stage->guard);
    else
        weft_pipeline_left(stage->pipeline);
    return err;
}

/* An item is in. Under the guard, which is left. */
static void came(struct stage *stage, bool for_oldest)
{
    const struct weft_stage_core *core = &stage->core;
    struct weft_waiter *taker = NULL;
    if (for_oldest && !weft_list_empty(&stage->flushers)) {
        weft_stage_rouse(stage); /* perhaps for the one that was dropped */
        return;
    }
    /* Who waits for more of a batch has to learn of the first, for its age, and of the last. */
    if (core->count == 1 || core->count >= core->limits.batch_max || core->first < core->cut)
        taker = weft_claim_first(&stage->takers);
    weft_guard_leave(&stage->guard);
    if (taker)
        weft_wake(taker->fiber, 0);
}

/* Under the guard, which is left. oldest has room for an item. */
static int push_into(struct stage *stage, struct weft_fiber *self, struct stage_worker *worker,
                     const void *item, int64_t deadline_ns, int64_t now_ns, void *oldest)
{
    enum weft_stage_pushed pushed = weft_stage_core_push(&stage->core, item, now_ns, oldest);
    if (pushed == WEFT_STAGE_FULL && stage->options.on_full == WEFT_STAGE_REFUSE)
        return refuse(stage, worker, WEFT_EFULL);
    if (pushed == WEFT_STAGE_FULL)
        return wait_for_room(stage, self, worker, item, deadline_ns);
    stage->items_in++;
    stage->dropped += pushed != WEFT_STAGE_PUSHED;
    came(stage, pushed == WEFT_STAGE_PUSHED_FOR_OLDEST);
    if (pushed != WEFT_STAGE_PUSHED)
        tell_dropped(stage, pushed == WEFT_STAGE_NOT_PUSHED ? item : oldest, 1, WEFT_EFULL);
    weft_spend(self, deadline_ns);
    return pushed == WEFT_STAGE_NOT_PUSHED;
}

int weft_stage_push(struct stage *stage, struct weft_fiber *self, struct stage_worker *worker,
                    const void *item, int64_t deadline_ns)
{
    _Alignas(max_align_t) unsigned char small[SMALL_BYTES]; /* drop gets it as an item */
    void *large = NULL;
    int64_t now_ns = weft_stage_core_timed(&stage->core) ? weft_now() : 0;
    if (stage->options.on_full == WEFT_STAGE_DROP_OLDEST &&
        stage->options.item_bytes_in > sizeof small) {
        large = malloc(stage->options.item_bytes_in);
        if (!large)
            return -ENOMEM;
    }
    weft_guard_enter(&stage->guard);
    int err = stage->stopped ? stage->stopped : stage->shut;
    if (err < 0)
        weft_guard_leave(&stage->guard);
    else
        err = push_into(stage, self, worker, item, deadline_ns, now_ns, large ? large : small);
    free(large);
    return err;
}

/* ---- out of a queue -------------------------------------------------------------------- */

/* There is room: let in who waits for it. */
static void serve_pushers(struct stage *stage, int64_t now_ns, struct weft_link *claimed)
{
    struct weft_waiter *pusher;
    while (stage->core.count < stage->core.limits.queue_max &&
           (pusher = weft_claim_first(&stage->pushers))) {
        pusher->target = pusher;
        stage->pushers_waiting--;
        stage->items_in++;
        (void)weft_stage_core_push(&stage->core, pusher->source, now_ns, NULL);
        weft_list_append(claimed, &pusher->link);
    }
}

/* Under the guard; it is left when there is one. NULL: there is none, or no lot is free. */
static struct weft_lot *take_now(struct stage *stage, int64_t now_ns, int64_t *ret_at_ns)
{
    struct weft_link claimed;
    size_t count = weft_stage_core_ready(&stage->core, now_ns, ret_at_ns);
    struct weft_lot *lot = count > 0 ? weft_stage_core_take(&stage->core, count) : NULL;
    if (!lot)
        return NULL;
    stage->running++;
    stage->batches++;
    stage->batched += count;
    weft_list_init(&claimed);
    if (!weft_list_empty(&stage->pushers))
        serve_pushers(stage, now_ns, &claimed);
    if (stage->core.count > 0)
        claim_one(&stage->takers, &claimed);
    else if (stage->shut) /* that was the last: the others can go */
        weft_claim_all(&stage->takers, &claimed);
    weft_guard_leave(&stage->guard);
    weft_wake_claimed(&claimed, 0);
    return lot;
}

/* Wait for items. NULL: there will be none. */
static struct weft_lot *take(struct stage_worker *worker)
{
    struct stage *stage = worker->stage;
    for (;;) {
        int64_t at_ns, now_ns = weft_stage_core_timed(&stage->core) ? weft_now() : 0;
        if (weft_fiber_cancelled(worker->self))
            weft_pipeline_stop(stage->pipeline, -ECANCELED);
        weft_guard_enter(&stage->guard);
        if (stage->stopped || (stage->shut && stage->core.count == 0)) {
            weft_guard_leave(&stage->guard);
            return NULL;
        }
        struct weft_lot *lot = take_now(stage, now_ns, &at_ns);
        if (lot)
            return lot;
        wait_for_items(worker, at_ns);
    }
}

/* ---- through a worker ------------------------------------------------------------------ */

static int call(struct stage *stage, struct weft_lot *lot, struct weft_emitter *emitter)
{
    const struct weft_stage_options *options = &stage->options;
    int result;
    if (options->batch)
        result = options->batch(options->arg, lot->ins, lot->count, stage->next ? lot->outs : NULL);
    else if (options->flat)
        return options->flat(options->arg, lot->ins, emitter);
    else
        result = options->fn(options->arg, lot->ins, stage->next ? lot->outs : NULL);
    if (result > 0 && stage->next) {
        if ((size_t)result > lot->count)
            weft_misuse("a stage of a pipeline gave more outputs than there was room for");
        lot->out_count = (size_t)result;
    }
    return result;
}

static int call_again(struct stage_worker *worker, struct weft_lot *lot, int result)
{
    struct stage *stage = worker->stage;
    for (unsigned i = 0; i < stage->options.retries && result < 0; i++) {
        if (result == -ECANCELED || weft_fiber_cancelled(worker->self))
            break;
        weft_pipeline_tell(stage->pipeline, WEFT_PIPELINE_RETRIED, stage, result, lot->ins,
                           lot->count);
        if (weft_sleep(stage->options.retry_pause_ns) < 0)
            return -ECANCELED;
        weft_guard_enter(&stage->guard);
        stage->retries++;
        weft_guard_leave(&stage->guard);
        result = call(stage, lot, NULL);
    }
    return result;
}

/* A stage passes on to one that is full and refuses, or that is stopped. */
static void not_passed_on(struct stage *next, const void *out, int err)
{
    if (err == WEFT_EFULL) {
        fail_items(next, out, 1, err, 1);
        return;
    }
    weft_pipeline_stop(next->pipeline, err);
    weft_stage_lose(next, out, 1, err, 1);
}

static void pass_on(struct stage_worker *worker, struct weft_lot *lot)
{
    struct stage *next = worker->stage->next;
    for (size_t i = 0; i < lot->out_count; i++) {
        const unsigned char *out = lot->outs + i * next->options.item_bytes_in;
        int err = weft_stage_push(next, worker->self, worker, out, WEFT_FOREVER);
        if (err < 0)
            not_passed_on(next, out, err);
    }
}

/* The outcome is known: pass on what is to be, this lot's or that of others whose turn has come. */
static void settle(struct stage_worker *worker, struct weft_lot *lot)
{
    struct stage *stage = worker->stage;
    lot = weft_stage_core_done(&stage->core, lot);
    while (lot) {
        if (lot->out_count > 0) {
            stage->items_out += lot->out_count;
            weft_stage_rouse(stage);
            pass_on(worker, lot);
            weft_guard_enter(&stage->guard);
            tell_waited(worker);
        }
        lot = weft_stage_core_passed(&stage->core, lot);
    }
    weft_stage_rouse(stage);
}

static void work(struct stage_worker *worker, struct weft_lot *lot)
{
    struct stage *stage = worker->stage;
    struct weft_emitter emitter = {.worker = worker, .lot = lot};
    int result = call(stage, lot, &emitter);
    if (result < 0 && stage->options.retries > 0)
        result = call_again(worker, lot, result);
    if (result == -ECANCELED && weft_fiber_cancelled(worker->self))
        weft_stage_lose(stage, lot->ins, lot->count, result, 0);
    else if (result < 0)
        fail_items(stage, lot->ins, lot->count, result, 0);
    weft_guard_enter(&stage->guard);
    tell_waited(worker);
    stage->running--;
    stage->items_out += emitter.count;
    if (result >= 0) {
        if (result == 0 && stage->options.fn && stage->next)
            stage->filtered++;
        else
            stage->passed += lot->count;
        if (!stage->next)
            stage->items_out += lot->count;
    }
    settle(worker, lot);
    if (!stage->next)
        weft_spend(worker->self, WEFT_FOREVER); /* the others do it where they push */
}

int weft_stage_run(void *arg)
{
    struct stage_worker worker = {.self = weft_current_worker->current, .stage = arg};
    struct weft_lot *lot;
    (void)weft_started(0); /* to who waits for it, if anybody does */
    life_begins(&worker);
    while ((lot = take(&worker)))
        work(&worker, lot);
    life_ends(&worker);
    return 0;
}

/* ---- many outputs ---------------------------------------------------------------------- */

static int wait_for_turn(struct stage_worker *worker, const struct weft_lot *lot)
{
    struct stage *stage = worker->stage;
    struct weft_waiter waiter;
    int err = 0;
    weft_guard_enter(&stage->guard);
    while (err == 0 && !weft_stage_core_turn(&stage->core, lot)) {
        err = stage->stopped;
        if (err < 0)
            break;
        err = wait_elsewhere(worker, &stage->guard, &stage->turns, &waiter, WEFT_FOREVER,
                             "its turn in an ordered stage");
        weft_guard_enter(&stage->guard);
    }
    weft_guard_leave(&stage->guard);
    return err;
}

int weft_emit(struct weft_emitter *emitter, const void *out)
{
    struct stage_worker *worker = emitter->worker;
    struct stage *stage = worker->stage;
    const struct weft_fiber *self = weft_self();
    if (!self || self != worker->self) /* who waits there, and whose time it is */
        return -EPERM;
    int err = weft_fiber_cancelled(self) ? -ECANCELED : 0;
    if (err == 0 && stage->core.limits.ordered)
        err = wait_for_turn(worker, emitter->lot);
    if (err == 0)
        err = weft_stage_push(stage->next, worker->self, worker, out, WEFT_FOREVER);
    if (err >= 0)
        emitter->count++;
    return err;
}
