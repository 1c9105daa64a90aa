/* SPDX-License-Identifier: MIT */
#include "no_stacks.h"
#include "test.h"

#include <weft/channel.h>
#include <weft/pipeline.h>
#include <weft/sync.h>

#include <errno.h>
#include <pthread.h>
#include <string.h>

#define ITEMS_MAX 256

/* What came out at the end, what was dropped, and what was told. */
struct log {
    int out[ITEMS_MAX], dropped[ITEMS_MAX];
    size_t out_count, dropped_count;
    size_t batches[ITEMS_MAX]; /* how many items in each */
    int64_t batch_at_ns[ITEMS_MAX];
    size_t batch_count;
    unsigned told[WEFT_PIPELINE_STOPPED + 1]; /* items, of stops events */
    int last_result, last_item;
    char last_stage[WEFT_NAME_MAX + 1];
    int64_t sink_ns;  /* how long the end takes for each item */
    int bad, failure; /* the item that fails, and how */
    unsigned failures_max, calls;
};

static int collect(void *arg, const void *in, void *out)
{
    struct log *log = arg;
    (void)out;
    if (log->sink_ns > 0) {
        int err = weft_sleep(log->sink_ns);
        if (err < 0)
            return err;
    }
    log->out[log->out_count++] = *(const int *)in;
    return 0;
}

static int collect_batch(void *arg, const void *ins, size_t count, void *outs)
{
    struct log *log = arg;
    const int *items = ins;
    (void)outs;
    for (size_t i = 0; i < count; i++)
        if (items[i] == log->bad)
            return log->failure;
    for (size_t i = 0; i < count; i++)
        log->out[log->out_count++] = items[i];
    log->batch_at_ns[log->batch_count] = weft_now();
    log->batches[log->batch_count++] = count;
    return 0;
}

static void drop(void *arg, const void *item)
{
    struct log *log = arg;
    log->dropped[log->dropped_count++] = *(const int *)item;
}

static void note_event(void *arg, const struct weft_pipeline_event *event)
{
    struct log *log = arg;
    log->told[event->kind] += event->kind == WEFT_PIPELINE_STOPPED ? 1 : (unsigned)event->count;
    log->last_result = event->result;
    if (event->items)
        log->last_item = *(const int *)event->items;
    if (event->stage)
        (void)strcpy(log->last_stage, event->stage);
}

static struct weft_stage_options sink(struct log *log)
{
    return (struct weft_stage_options){
        .name = "sink", .fn = collect, .drop = drop, .arg = log, .item_bytes_in = sizeof(int)};
}

static struct weft_stage_options batch_sink(struct log *log)
{
    return (struct weft_stage_options){.name = "batches",
                                       .batch = collect_batch,
                                       .drop = drop,
                                       .arg = log,
                                       .item_bytes_in = sizeof(int)};
}

static struct weft_stage_options between(struct log *log,
                                         int (*fn)(void *arg, const void *in, void *out))
{
    return (struct weft_stage_options){.name = "between",
                                       .fn = fn,
                                       .drop = drop,
                                       .arg = log,
                                       .item_bytes_in = sizeof(int),
                                       .item_bytes_out = sizeof(int)};
}

static struct weft_pipeline *open_of(struct log *log, const struct weft_stage_options *stages,
                                     size_t count)
{
    struct weft_pipeline *pipeline;
    const struct weft_pipeline_options options = {
        .stages = stages, .stage_count = count, .on_event = note_event, .on_event_arg = log};
    REQUIRE(weft_pipeline_open(&pipeline, &options) == 0);
    return pipeline;
}

static void push_up_to(struct weft_pipeline *pipeline, int first, int last)
{
    for (int i = first; i <= last; i++)
        CHECK_EQUAL(weft_pipeline_push(pipeline, &i, WEFT_FOREVER), 0);
}

static void finish_and_close(struct weft_pipeline *pipeline, int expected)
{
    CHECK_EQUAL(weft_pipeline_finish(pipeline, WEFT_FOREVER), expected);
    weft_pipeline_close(pipeline);
}

static bool rising(const int *items, size_t count)
{
    for (size_t i = 1; i < count; i++)
        if (items[i] <= items[i - 1])
            return false;
    return true;
}

static struct weft_stage_snapshot stage_of(struct weft_pipeline *pipeline, size_t index)
{
    struct weft_stage_snapshot snapshot = {0};
    CHECK_EQUAL(weft_pipeline_stage_snapshot(pipeline, index, &snapshot), 0);
    return snapshot;
}

/* ---- the way through --------------------------------------------------------------------- */

static int twice_the_odd(void *arg, const void *in, void *out)
{
    int item = *(const int *)in;
    (void)arg;
    *(int *)out = 2 * item;
    return item % 2;
}

FIBER_TEST(items_go_through_the_stages_and_a_filter_keeps_some)
{
    struct log log = {0};
    const struct weft_stage_options stages[] = {between(&log, twice_the_odd), sink(&log)};
    struct weft_pipeline *pipeline = open_of(&log, stages, 2);
    push_up_to(pipeline, 1, 10);
    CHECK_EQUAL(weft_pipeline_finish(pipeline, WEFT_FOREVER), 0);
    struct weft_stage_snapshot first = stage_of(pipeline, 0), last = stage_of(pipeline, 1);
    CHECK_EQUAL(first.items_in, 10);
    CHECK_EQUAL(first.filtered, 5);
    CHECK_EQUAL(first.passed, 5);
    CHECK_EQUAL(first.items_out, 5);
    CHECK_EQUAL(last.items_in, 5);
    CHECK_EQUAL(last.items_out, 5);
    CHECK_EQUAL(log.out_count, 5);
    CHECK_EQUAL(log.out[4], 18);
    CHECK(rising(log.out, log.out_count));
    CHECK_EQUAL(log.dropped_count, 0);
    weft_pipeline_close(pipeline);
}

static int later_for_small(void *arg, const void *in, void *out)
{
    int item = *(const int *)in;
    (void)arg;
    *(int *)out = item;
    int err = weft_sleep((item % 4 == 0 ? 40 : 4 - item % 4) * WEFT_MSEC);
    return err < 0 ? err : 1;
}

FIBER_TEST(an_ordered_stage_with_several_workers_keeps_the_order)
{
    for (int ordered = 0; ordered < 2; ordered++) {
        struct log log = {0};
        struct weft_stage_options stages[] = {between(&log, later_for_small), sink(&log)};
        stages[0].workers = 5;
        stages[0].ordered = ordered;
        struct weft_pipeline *pipeline = open_of(&log, stages, 2);
        push_up_to(pipeline, 0, 99);
        finish_and_close(pipeline, 0);
        CHECK_EQUAL(log.out_count, 100);
        CHECK_EQUAL(rising(log.out, log.out_count), ordered);
    }
}

static int slow_zero(void *arg, const void *in, void *out)
{
    int item = *(const int *)in, err = weft_sleep(item == 0 ? WEFT_SEC : WEFT_MSEC);
    (void)arg;
    *(int *)out = item;
    return err < 0 ? err : 1;
}

FIBER_TEST(workers_go_on_while_a_slow_item_holds_back_the_order)
{
    struct log log = {0};
    struct weft_stage_options stages[] = {between(&log, slow_zero), sink(&log)};
    stages[0].workers = 2;
    stages[0].ordered = 1;
    stages[0].queue_max = 8;
    int64_t start_ns = weft_now();
    struct weft_pipeline *pipeline = open_of(&log, stages, 2);
    push_up_to(pipeline, 0, 9); /* 2 in hand, 8 in the window */
    CHECK_EQUAL(weft_sleep(WEFT_SEC / 2), 0);
    CHECK_EQUAL(log.out_count, 0);
    CHECK_EQUAL(stage_of(pipeline, 0).passed, 9);
    push_up_to(pipeline, 10, 17);
    int more = 18;
    CHECK_EQUAL(weft_pipeline_push(pipeline, &more, weft_now() + WEFT_MSEC), -ETIMEDOUT);
    CHECK_EQUAL(stage_of(pipeline, 0).passed, 9); /* the window is full: bounded */
    finish_and_close(pipeline, 0);
    CHECK_EQUAL(log.out_count, 18);
    CHECK(rising(log.out, log.out_count));
    CHECK(weft_now() - start_ns < WEFT_SEC + 50 * WEFT_MSEC);
}

static int count_down(void *arg, const void *in, struct weft_emitter *emitter)
{
    int item = *(const int *)in, err = weft_sleep((7 * item % 5) * WEFT_MSEC);
    (void)arg;
    for (int i = 0; i < item % 3 && err >= 0; i++) {
        const int out = 10 * item + i;
        err = weft_emit(emitter, &out);
    }
    return err;
}

FIBER_TEST(a_flat_stage_gives_any_number_of_outputs_in_order)
{
    struct log log = {0};
    struct weft_stage_options stages[] = {between(&log, NULL), sink(&log)};
    stages[0].flat = count_down;
    stages[0].workers = 4;
    stages[0].ordered = 1;
    struct weft_pipeline *pipeline = open_of(&log, stages, 2);
    push_up_to(pipeline, 1, 60);
    CHECK_EQUAL(weft_pipeline_finish(pipeline, WEFT_FOREVER), 0);
    CHECK_EQUAL(stage_of(pipeline, 0).items_out, 60);
    CHECK_EQUAL(stage_of(pipeline, 1).items_in, 60);
    weft_pipeline_close(pipeline);
    CHECK_EQUAL(log.out_count, 60);
    CHECK(rising(log.out, log.out_count));
}

/* ---- full queues ------------------------------------------------------------------------- */

static int emit_one(void *arg)
{
    const int item = 7;
    return weft_emit(arg, &item);
}

static int emit_from_a_child(void *arg, const void *in, struct weft_emitter *emitter)
{
    struct log *log = arg;
    struct weft_group group;
    (void)in;
    CHECK_EQUAL(weft_group_init(&group, NULL), 0);
    CHECK_EQUAL(weft_spawn(&group, emit_one, emitter), 0);
    log->failure = weft_group_wait(&group);
    return emit_one(emitter);
}

FIBER_TEST(outputs_are_emitted_by_the_fiber_of_the_stage)
{
    struct log log = {0};
    struct weft_stage_options stages[] = {between(&log, NULL), sink(&log)};
    stages[0].flat = emit_from_a_child;
    struct weft_pipeline *pipeline = open_of(&log, stages, 2);
    push_up_to(pipeline, 1, 1);
    finish_and_close(pipeline, 0);
    CHECK_EQUAL(log.failure, -EPERM);
    CHECK_EQUAL(log.out_count, 1);
}

FIBER_TEST(a_slow_stage_holds_back_whoever_pushes)
{
    struct log log = {.sink_ns = WEFT_SEC};
    struct weft_stage_options stages[] = {between(&log, slow_zero), sink(&log)};
    stages[0].queue_max = stages[1].queue_max = 1;
    struct weft_pipeline *pipeline = open_of(&log, stages, 2);
    int64_t start_ns = weft_now();
    push_up_to(pipeline, 1, 10);
    /* Four are inside: in each queue, in each worker's hands. */
    CHECK(weft_now() - start_ns >= 5 * WEFT_SEC);
    CHECK(log.out_count >= 5);
    finish_and_close(pipeline, 0);
    CHECK_EQUAL(log.out_count, 10);
}

FIBER_TEST(put_never_silently_drops)
{
    struct log log = {.sink_ns = WEFT_SEC};
    struct weft_stage_options stage = sink(&log);
    int item = 3;
    stage.queue_max = 1;
    struct weft_pipeline *pipeline = open_of(&log, &stage, 1);
    push_up_to(pipeline, 1, 2);
    CHECK_EQUAL(weft_pipeline_push(pipeline, &item, WEFT_NOWAIT), -EAGAIN);
    CHECK_EQUAL(weft_pipeline_push(pipeline, &item, weft_now() + WEFT_MSEC), -ETIMEDOUT);
    struct weft_stage_snapshot snapshot = stage_of(pipeline, 0);
    CHECK_EQUAL(snapshot.refused, 2); /* whoever ignores the answer still finds it here */
    CHECK_EQUAL(snapshot.dropped, 0);
    CHECK_EQUAL(snapshot.items_in, 2);
    CHECK_EQUAL(log.dropped_count, 0); /* it is the caller's */
    finish_and_close(pipeline, 0);
    CHECK_EQUAL(log.out_count, 2);
}

FIBER_TEST(what_a_policy_drops_is_counted_and_told_with_the_item)
{
    const struct {
        enum weft_stage_full policy;
        int answer, dropped, delivered;
    } cases[] = {{WEFT_STAGE_DROP_OLDEST, 0, 2, 4}, {WEFT_STAGE_DROP_NEWEST, 1, 4, 2}};
    for (int i = 0; i < 2; i++) {
        struct log log = {.sink_ns = WEFT_SEC};
        struct weft_stage_options stage = sink(&log);
        int item = 4;
        stage.queue_max = 2;
        stage.on_full = cases[i].policy;
        struct weft_pipeline *pipeline = open_of(&log, &stage, 1);
        push_up_to(pipeline, 1, 1);
        CHECK_EQUAL(weft_yield(), 0); /* the first is in the worker's hands */
        push_up_to(pipeline, 2, 3);
        CHECK_EQUAL(weft_pipeline_push(pipeline, &item, WEFT_FOREVER), cases[i].answer);
        CHECK_EQUAL(log.dropped_count, 1);
        CHECK_EQUAL(log.dropped[0], cases[i].dropped);
        CHECK_EQUAL(log.told[WEFT_PIPELINE_DROPPED], 1);
        CHECK_EQUAL(log.last_item, cases[i].dropped);
        CHECK_EQUAL(log.last_result, WEFT_EFULL);
        CHECK(strcmp(log.last_stage, "sink") == 0);
        struct weft_stage_snapshot snapshot = stage_of(pipeline, 0);
        CHECK_EQUAL(snapshot.dropped, 1);
        CHECK_EQUAL(snapshot.items_in, 4);
        CHECK_EQUAL(weft_pipeline_flush(pipeline, WEFT_FOREVER), 0);
        finish_and_close(pipeline, 0);
        CHECK_EQUAL(log.out_count, 3);
        CHECK_EQUAL(log.out[1], cases[i].delivered == 4 ? 3 : 2);
    }
}

struct large {
    int id;
    char rest[1020];
};

static int wait_a_second(void *arg, const void *in, void *out)
{
    (void)arg, (void)in, (void)out;
    return weft_sleep(WEFT_SEC);
}

FIBER_TEST(large_items_are_dropped_whole)
{
    struct log log = {0};
    struct weft_stage_options stage = sink(&log);
    struct large large = {0};
    stage.fn = wait_a_second;
    stage.item_bytes_in = sizeof large;
    stage.queue_max = 1;
    stage.on_full = WEFT_STAGE_DROP_OLDEST;
    struct weft_pipeline *pipeline = open_of(&log, &stage, 1);
    for (large.id = 1; large.id <= 3; large.id++)
        CHECK_EQUAL(weft_pipeline_push(pipeline, &large, WEFT_NOWAIT), 0);
    CHECK_EQUAL(log.dropped_count, 2);
    CHECK_EQUAL(log.dropped[1], 2);
    finish_and_close(pipeline, 0);
}

FIBER_TEST(a_stage_that_refuses_says_so_to_pushers_and_fails_within)
{
    struct log log = {.sink_ns = WEFT_SEC};
    struct weft_stage_options stages[] = {sink(&log), sink(&log)};
    int item = 2;
    stages[0].queue_max = stages[1].queue_max = 1;
    stages[0].on_full = stages[1].on_full = WEFT_STAGE_REFUSE;
    struct weft_pipeline *pipeline = open_of(&log, stages, 1);
    push_up_to(pipeline, 1, 1);
    CHECK_EQUAL(weft_pipeline_push(pipeline, &item, WEFT_FOREVER), WEFT_EFULL);
    CHECK_EQUAL(stage_of(pipeline, 0).refused, 1);
    finish_and_close(pipeline, 0);

    for (int skip = 0; skip < 2; skip++) {
        stages[0] = between(&log, slow_zero);
        stages[1].on_error = skip ? WEFT_STAGE_SKIP : WEFT_STAGE_FAIL;
        log = (struct log){.sink_ns = WEFT_SEC};
        pipeline = open_of(&log, stages, 2);
        push_up_to(pipeline, 1, 3); /* one works, one waits, one is too many */
        CHECK_EQUAL(weft_pipeline_finish(pipeline, WEFT_FOREVER), skip ? 0 : WEFT_EFULL);
        CHECK_EQUAL(stage_of(pipeline, 1).errors, 1);
        CHECK_EQUAL(log.told[WEFT_PIPELINE_FAILED], 1);
        CHECK_EQUAL(log.out_count, skip ? 2 : 0);
        CHECK_EQUAL(log.out_count + log.dropped_count, 3);
        weft_pipeline_close(pipeline);
    }
}

static int push_one(void *arg)
{
    int item = 7;
    return weft_pipeline_push(arg, &item, WEFT_FOREVER);
}

FIBER_TEST(only_so_many_pushers_wait)
{
    struct log log = {.sink_ns = WEFT_SEC};
    struct weft_stage_options stage = sink(&log);
    struct weft_pipeline *pipeline;
    struct weft_group group;
    struct weft_task tasks[2];
    stage.queue_max = 1;
    const struct weft_pipeline_options options = {
        .stages = &stage, .stage_count = 1, .pushers_max = 1};
    REQUIRE(weft_pipeline_open(&pipeline, &options) == 0);
    push_up_to(pipeline, 1, 2);
    const struct weft_group_options supervise = {.policy = WEFT_SUPERVISE};
    CHECK_EQUAL(weft_group_init(&group, &supervise), 0);
    CHECK_EQUAL(weft_spawn_task(&group, &tasks[0], push_one, pipeline), 0);
    CHECK_EQUAL(weft_spawn_task(&group, &tasks[1], push_one, pipeline), 0);
    CHECK_EQUAL(weft_group_wait(&group), WEFT_EFULL);
    CHECK_EQUAL(tasks[0].result, 0);
    CHECK_EQUAL(tasks[1].result, WEFT_EFULL);
    int item = 8; /* there is a place again for who waits */
    CHECK_EQUAL(weft_pipeline_push(pipeline, &item, weft_now() + 1), -ETIMEDOUT);
    CHECK_EQUAL(weft_pipeline_push(pipeline, &item, WEFT_FOREVER), 0);
    finish_and_close(pipeline, 0);
    CHECK_EQUAL(log.out_count, 4);
}

/* ---- batches ----------------------------------------------------------------------------- */

FIBER_TEST(a_batch_runs_when_it_is_full)
{
    struct log log = {0};
    struct weft_stage_options stage = batch_sink(&log);
    stage.batch_max = 4;
    stage.batch_age_ns = WEFT_FOREVER;
    struct weft_pipeline *pipeline = open_of(&log, &stage, 1);
    push_up_to(pipeline, 1, 10);
    CHECK_EQUAL(weft_sleep(3600 * WEFT_SEC), 0);
    CHECK_EQUAL(log.batch_count, 2);
    CHECK_EQUAL(weft_pipeline_finish(pipeline, WEFT_FOREVER), 0);
    CHECK_EQUAL(log.batch_count, 3);
    CHECK_EQUAL(log.batches[2], 2); /* the rest goes at the end */
    struct weft_stage_snapshot snapshot = stage_of(pipeline, 0);
    CHECK_EQUAL(snapshot.batches, 3);
    CHECK(snapshot.batch_average > 3.3 && snapshot.batch_average < 3.4);
    weft_pipeline_close(pipeline);
}

FIBER_TEST(the_age_of_a_batch_counts_from_its_first_item_not_from_the_last_flush)
{
    struct log log = {0};
    struct weft_stage_options stage = batch_sink(&log);
    stage.batch_age_ns = 5 * WEFT_SEC;
    struct weft_pipeline *pipeline = open_of(&log, &stage, 1);
    int64_t start_ns = weft_now();
    push_up_to(pipeline, 1, 2);
    CHECK_EQUAL(weft_sleep(5 * WEFT_SEC), 0);
    CHECK_EQUAL(weft_yield(), 0);
    CHECK_EQUAL(log.batch_count, 1);
    CHECK_EQUAL(log.batch_at_ns[0] - start_ns, 5 * WEFT_SEC);
    CHECK_EQUAL(weft_sleep(4 * WEFT_SEC), 0); /* nothing comes for nearly an age */
    push_up_to(pipeline, 3, 3);
    int64_t came_ns = weft_now();
    CHECK_EQUAL(weft_sleep(3 * WEFT_SEC), 0);
    push_up_to(pipeline, 4, 4); /* does not make the first any younger */
    CHECK_EQUAL(log.batch_count, 1);
    CHECK_EQUAL(weft_sleep(10 * WEFT_SEC), 0);
    CHECK_EQUAL(log.batch_count, 2);
    CHECK_EQUAL(log.batch_at_ns[1] - came_ns, 5 * WEFT_SEC);
    CHECK_EQUAL(log.batches[1], 2);
    finish_and_close(pipeline, 0);
}

static int slow_batch(void *arg, const void *ins, size_t count, void *outs)
{
    int err = weft_sleep(3 * WEFT_SEC);
    return err < 0 ? err : collect_batch(arg, ins, count, outs);
}

FIBER_TEST(a_batch_ages_while_its_worker_is_busy_with_another)
{
    struct log log = {0};
    struct weft_stage_options stage = batch_sink(&log);
    stage.batch = slow_batch;
    stage.batch_max = 2;
    stage.batch_age_ns = 4 * WEFT_SEC;
    struct weft_pipeline *pipeline = open_of(&log, &stage, 1);
    int64_t start_ns = weft_now();
    push_up_to(pipeline, 1, 3); /* 1 and 2 at once; 3 comes now and is 3 s old when they are done */
    CHECK_EQUAL(weft_sleep(8 * WEFT_SEC), 0);
    CHECK_EQUAL(log.batch_count, 2);
    CHECK_EQUAL(log.batch_at_ns[1] - start_ns, 7 * WEFT_SEC);
    finish_and_close(pipeline, 0);
}

static int sum_up(void *arg, const void *ins, size_t count, void *outs)
{
    const int *items = ins;
    int sum = 0;
    (void)arg;
    for (size_t i = 0; i < count; i++)
        sum += items[i];
    *(int *)outs = sum;
    return 1;
}

FIBER_TEST(a_batch_in_the_middle_has_outputs)
{
    struct log log = {0};
    struct weft_stage_options stages[] = {between(&log, NULL), sink(&log)};
    stages[0].batch = sum_up;
    stages[0].batch_max = 5;
    struct weft_pipeline *pipeline = open_of(&log, stages, 2);
    push_up_to(pipeline, 1, 12);
    finish_and_close(pipeline, 0);
    CHECK_EQUAL(log.out_count, 3);
    CHECK_EQUAL(log.out[0], 15);
    CHECK_EQUAL(log.out[1], 40);
    CHECK_EQUAL(log.out[2], 23);
}

FIBER_TEST(shutdown_reports_batch_errors)
{
    for (int skip = 0; skip < 2; skip++) {
        struct log log = {.bad = 5, .failure = -EIO};
        struct weft_stage_options stage = batch_sink(&log);
        stage.batch_max = 4;
        stage.batch_age_ns = WEFT_FOREVER;
        stage.on_error = skip ? WEFT_STAGE_SKIP : WEFT_STAGE_FAIL;
        struct weft_pipeline *pipeline = open_of(&log, &stage, 1);
        push_up_to(pipeline, 1,
                   6); /* the second batch is not full: it runs, and fails, at the end */
        CHECK_EQUAL(weft_pipeline_finish(pipeline, WEFT_FOREVER), skip ? 0 : -EIO);
        struct weft_stage_snapshot snapshot = stage_of(pipeline, 0);
        CHECK_EQUAL(snapshot.errors, 2);
        CHECK_EQUAL(snapshot.passed, 4);
        CHECK_EQUAL(log.told[WEFT_PIPELINE_FAILED], 2);
        CHECK_EQUAL(log.told[WEFT_PIPELINE_STOPPED], !skip);
        CHECK_EQUAL(log.dropped_count, 2);
        CHECK_EQUAL(log.out_count, 4);
        weft_pipeline_close(pipeline);
    }
}

/* ---- errors ------------------------------------------------------------------------------ */

static int fail_on_bad(void *arg, const void *in, void *out)
{
    struct log *log = arg;
    *(int *)out = *(const int *)in;
    log->calls++;
    if (*(const int *)in == log->bad && log->failures_max > 0) {
        log->failures_max--;
        return log->failure;
    }
    return 1;
}

FIBER_TEST(the_first_error_stops_the_pipeline_and_is_its_result)
{
    struct log log = {.bad = 3, .failure = -EIO, .failures_max = 1, .sink_ns = WEFT_SEC};
    struct weft_stage_options stages[] = {between(&log, fail_on_bad), sink(&log)};
    struct weft_pipeline_snapshot snapshot;
    struct weft_pipeline *pipeline = open_of(&log, stages, 2);
    push_up_to(pipeline, 1, 6);
    CHECK_EQUAL(weft_pipeline_flush(pipeline, WEFT_FOREVER), -EIO);
    int item = 7;
    CHECK_EQUAL(weft_pipeline_push(pipeline, &item, WEFT_FOREVER), -EIO);
    CHECK_EQUAL(weft_pipeline_finish(pipeline, WEFT_FOREVER), -EIO);
    CHECK_EQUAL(weft_pipeline_finish(pipeline, WEFT_FOREVER), -EIO);
    CHECK_EQUAL(weft_pipeline_snapshot(pipeline, &snapshot), 0);
    CHECK_EQUAL(snapshot.state, WEFT_PIPELINE_CANCELLED);
    CHECK_EQUAL(snapshot.result, -EIO);
    CHECK_EQUAL(snapshot.errors, 1);
    CHECK_EQUAL(snapshot.dropped, 5);
    CHECK_EQUAL(log.told[WEFT_PIPELINE_STOPPED], 1);
    CHECK_EQUAL(log.told[WEFT_PIPELINE_DROPPED], 5);
    CHECK_EQUAL(log.dropped_count, 6);
    CHECK_EQUAL(log.out_count, 0);
    weft_pipeline_close(pipeline);
}

FIBER_TEST(a_stage_that_skips_goes_on_without_the_item)
{
    struct log log = {.bad = 3, .failure = -EIO, .failures_max = 1};
    struct weft_stage_options stages[] = {between(&log, fail_on_bad), sink(&log)};
    stages[0].on_error = WEFT_STAGE_SKIP;
    struct weft_pipeline *pipeline = open_of(&log, stages, 2);
    push_up_to(pipeline, 1, 6);
    finish_and_close(pipeline, 0);
    CHECK_EQUAL(log.told[WEFT_PIPELINE_FAILED], 1);
    CHECK_EQUAL(log.told[WEFT_PIPELINE_STOPPED], 0);
    CHECK_EQUAL(log.dropped_count, 1);
    CHECK_EQUAL(log.dropped[0], 3);
    CHECK_EQUAL(log.out_count, 5);
}

FIBER_TEST(a_failure_is_tried_again_after_a_pause)
{
    struct log log = {.bad = 2, .failure = -EAGAIN, .failures_max = 2};
    struct weft_stage_options stages[] = {between(&log, fail_on_bad), sink(&log)};
    stages[0].retries = 2;
    stages[0].retry_pause_ns = WEFT_SEC;
    struct weft_pipeline *pipeline = open_of(&log, stages, 2);
    int64_t start_ns = weft_now();
    push_up_to(pipeline, 1, 3);
    CHECK_EQUAL(weft_pipeline_flush(pipeline, WEFT_FOREVER), 0);
    CHECK_EQUAL(weft_now() - start_ns, 2 * WEFT_SEC);
    CHECK_EQUAL(log.calls, 5);
    CHECK_EQUAL(log.told[WEFT_PIPELINE_RETRIED], 2);
    CHECK_EQUAL(stage_of(pipeline, 0).retries, 2);
    CHECK_EQUAL(stage_of(pipeline, 0).errors, 0);
    log.failures_max = 3; /* once too often */
    push_up_to(pipeline, 2, 2);
    finish_and_close(pipeline, -EAGAIN);
    CHECK_EQUAL(log.out_count, 3);
    CHECK_EQUAL(log.dropped_count, 1);
}

static int come_to_cancelled(void *arg, const void *in, void *out)
{
    struct log *log = arg;
    (void)in, (void)out;
    log->calls++;
    return -ECANCELED;
}

FIBER_TEST(what_comes_to_cancelled_is_not_tried_again)
{
    struct log log = {0};
    struct weft_stage_options stages[] = {between(&log, come_to_cancelled), sink(&log)};
    stages[0].retries = 5;
    stages[0].on_error = WEFT_STAGE_SKIP;
    struct weft_pipeline *pipeline = open_of(&log, stages, 2);
    push_up_to(pipeline, 1, 1);
    finish_and_close(pipeline, 0);
    CHECK_EQUAL(log.calls, 1);
    CHECK_EQUAL(log.dropped_count, 1);
}

/* ---- flush, finish, cancel, close -------------------------------------------------------- */

static int push_for_ever(void *arg)
{
    int err = 0;
    for (int i = 1000; err == 0; i++) {
        err = weft_pipeline_push(arg, &i, WEFT_FOREVER);
        if (err == 0)
            err = weft_sleep(WEFT_SEC);
    }
    return err;
}

FIBER_TEST(a_flush_waits_for_what_came_before_and_not_for_more)
{
    struct log log = {.bad = -1};
    struct weft_stage_options stages[] = {between(&log, slow_zero), batch_sink(&log)};
    struct weft_group group;
    stages[1].batch_age_ns = WEFT_FOREVER;
    struct weft_pipeline *pipeline = open_of(&log, stages, 2);
    CHECK_EQUAL(weft_pipeline_flush(pipeline, WEFT_NOWAIT), 0); /* nothing is inside */
    CHECK_EQUAL(weft_group_init(&group, NULL), 0);
    CHECK_EQUAL(weft_spawn(&group, push_for_ever, pipeline), 0);
    push_up_to(pipeline, 0, 5);
    CHECK_EQUAL(weft_pipeline_flush(pipeline, WEFT_NOWAIT), -EAGAIN);
    CHECK_EQUAL(weft_pipeline_flush(pipeline, weft_now() + WEFT_MSEC), -ETIMEDOUT);
    CHECK_EQUAL(weft_pipeline_flush(pipeline, WEFT_FOREVER), 0);
    CHECK(log.out_count >= 6); /* the batch did not wait to be full */
    CHECK_EQUAL(log.out[5], 5);
    weft_group_close(&group);
    finish_and_close(pipeline, 0);
}

/* A stage that brings its own pipeline more work, as a crawler does. */
struct crawler {
    struct weft_pipeline *pipeline;
    int seen, pushed, refused, flushed;
};

static int crawl(void *arg, const void *in, void *out)
{
    struct crawler *crawler = arg;
    int depth = *(const int *)in;
    (void)out;
    crawler->seen++;
    crawler->flushed = weft_pipeline_flush(crawler->pipeline, WEFT_FOREVER);
    for (int i = 0, further = depth - 1; i < 2 && depth > 0; i++) {
        int err = weft_pipeline_push(crawler->pipeline, &further, WEFT_FOREVER);
        crawler->pushed += err == 0;
        crawler->refused += err == -EDEADLK;
    }
    return 0;
}

static void crawl_on(int worker)
{
    struct crawler crawler = {0};
    int depth = 4;
    const struct weft_stage_options stage = {.fn = crawl,
                                             .arg = &crawler,
                                             .item_bytes_in = sizeof depth,
                                             .queue_max = 3,
                                             .worker = worker};
    const struct weft_pipeline_options options = {.stages = &stage, .stage_count = 1};
    REQUIRE(weft_pipeline_open(&crawler.pipeline, &options) == 0);
    CHECK_EQUAL(weft_pipeline_push(crawler.pipeline, &depth, WEFT_FOREVER), 0);
    int err;
    do
        err = weft_pipeline_flush(crawler.pipeline, WEFT_FOREVER);
    while (err == 0 && stage_of(crawler.pipeline, 0).queue_depth > 0);
    CHECK_EQUAL(err, 0);
    finish_and_close(crawler.pipeline, 0);
    CHECK_EQUAL(crawler.flushed, -EDEADLK);
    CHECK_EQUAL(crawler.seen, 1 + crawler.pushed);
    CHECK(crawler.refused > 0);
}

FIBER_TEST(a_stage_may_push_into_its_own_pipeline_but_not_wait_for_itself)
{
    crawl_on(WEFT_HERE);
}

static int crawl_elsewhere(void *arg)
{
    (void)arg;
    crawl_on(WEFT_WORKER(1));
    return 0;
}

TEST(a_stage_on_another_worker_does_not_wait_for_itself_either)
{
    const struct weft_run_options run = {.workers = 2};
    CHECK_EQUAL(weft_run(&run, crawl_elsewhere, NULL), 0);
}

FIBER_TEST(a_flush_does_not_wait_for_what_is_dropped_meanwhile)
{
    struct log log = {.sink_ns = 10 * WEFT_SEC};
    struct weft_stage_options stages[] = {between(&log, slow_zero), sink(&log)};
    struct weft_group group;
    stages[1].queue_max = 2;
    stages[1].on_full = WEFT_STAGE_DROP_OLDEST;
    struct weft_pipeline *pipeline = open_of(&log, stages, 2);
    CHECK_EQUAL(weft_group_init(&group, NULL), 0);
    push_up_to(pipeline, 1, 3);
    CHECK_EQUAL(weft_sleep(WEFT_SEC), 0); /* 1 at the end, 2 and 3 before it */
    CHECK_EQUAL(weft_spawn(&group, push_for_ever, pipeline), 0);
    CHECK_EQUAL(weft_pipeline_flush(pipeline, WEFT_FOREVER), 0);
    CHECK_EQUAL(log.out_count, 1); /* 2 and 3 have had to go */
    weft_group_close(&group);
    weft_pipeline_close(pipeline);
}

FIBER_TEST(workers_that_wait_for_the_rest_of_a_batch_end_with_it)
{
    struct log log = {.bad = -1};
    struct weft_stage_options stage = batch_sink(&log);
    stage.workers = 3;
    stage.batch_age_ns = WEFT_FOREVER;
    struct weft_pipeline *pipeline = open_of(&log, &stage, 1);
    CHECK_EQUAL(weft_yield(), 0);
    push_up_to(pipeline, 1, 5);
    finish_and_close(pipeline, 0);
    CHECK_EQUAL(log.batch_count, 1);
}

FIBER_TEST(a_finish_that_takes_too_long_can_be_waited_for_again)
{
    struct log log = {.sink_ns = WEFT_SEC};
    const struct weft_stage_options stage = sink(&log);
    struct weft_pipeline_snapshot snapshot;
    struct weft_pipeline *pipeline = open_of(&log, &stage, 1);
    push_up_to(pipeline, 1, 3);
    CHECK_EQUAL(weft_pipeline_finish(pipeline, WEFT_NOWAIT), -EAGAIN);
    CHECK_EQUAL(weft_pipeline_finish(pipeline, weft_now() + WEFT_SEC), -ETIMEDOUT);
    int item = 4;
    CHECK_EQUAL(weft_pipeline_push(pipeline, &item, WEFT_FOREVER), -ESHUTDOWN);
    CHECK_EQUAL(weft_pipeline_snapshot(pipeline, &snapshot), 0);
    CHECK_EQUAL(snapshot.state, WEFT_PIPELINE_FINISHING);
    CHECK_EQUAL(weft_pipeline_finish(pipeline, WEFT_FOREVER), 0);
    CHECK_EQUAL(log.out_count, 3);
    CHECK_EQUAL(weft_pipeline_snapshot(pipeline, &snapshot), 0);
    CHECK_EQUAL(snapshot.state, WEFT_PIPELINE_FINISHED);
    CHECK_EQUAL(snapshot.items_in, 3);
    CHECK_EQUAL(snapshot.items_out, 3);
    CHECK_EQUAL(weft_pipeline_cancel(pipeline, 0), 0); /* too late */
    CHECK_EQUAL(weft_pipeline_finish(pipeline, WEFT_NOWAIT), 0);
    weft_pipeline_close(pipeline);
}

FIBER_TEST(who_waits_to_push_hears_why_it_will_not_be)
{
    for (int i = 0; i < 3; i++) {
        struct log log = {.sink_ns = WEFT_SEC};
        struct weft_stage_options stage = sink(&log);
        struct weft_group group;
        struct weft_task task;
        stage.queue_max = 1;
        struct weft_pipeline *pipeline = open_of(&log, &stage, 1);
        push_up_to(pipeline, 1, 2);
        const struct weft_group_options supervise = {.policy = WEFT_SUPERVISE};
        CHECK_EQUAL(weft_group_init(&group, &supervise), 0);
        CHECK_EQUAL(weft_spawn_task(&group, &task, push_one, pipeline), 0);
        CHECK_EQUAL(weft_yield(), 0);
        if (i == 0) {
            CHECK_EQUAL(weft_pipeline_cancel(pipeline, -EINTR), 0);
            CHECK_EQUAL(weft_pipeline_finish(pipeline, WEFT_FOREVER), -EINTR);
        } else if (i == 1) {
            CHECK_EQUAL(weft_pipeline_finish(pipeline, WEFT_FOREVER), 0);
        }
        weft_pipeline_close(pipeline); /* gone before the pusher looks around */
        (void)weft_group_wait(&group);
        CHECK_EQUAL(task.result, i == 0 ? -EINTR : i == 1 ? -ESHUTDOWN : -ECANCELED);
        CHECK_EQUAL(log.out_count + log.dropped_count, 2);
    }
}

FIBER_TEST(a_close_cancels_what_is_inside_and_gives_it_to_drop)
{
    struct log log = {.sink_ns = WEFT_SEC};
    struct weft_stage_options stages[] = {between(&log, slow_zero), sink(&log)};
    stages[0].workers = 3;
    stages[0].ordered = 1;
    struct weft_pipeline *pipeline = open_of(&log, stages, 2);
    push_up_to(pipeline, 0, 19);
    CHECK_EQUAL(weft_sleep(5 * WEFT_MSEC), 0); /* some done, held back by the first */
    weft_pipeline_close(pipeline);
    CHECK_EQUAL(log.out_count, 0);
    CHECK_EQUAL(log.dropped_count, 20);
    CHECK_EQUAL(log.told[WEFT_PIPELINE_DROPPED], 20);
    weft_pipeline_close(NULL);
}

struct visitor {
    struct weft_pipeline *pipeline;
    int64_t until_ns;
};

static int push_in_time(void *arg)
{
    const struct visitor *visitor = arg;
    int item = 3, err = weft_pipeline_push(visitor->pipeline, &item, visitor->until_ns);
    CHECK(err == -ETIMEDOUT || err == -ECANCELED);
    return 0;
}

static int flush_in_time(void *arg)
{
    const struct visitor *visitor = arg;
    int err = weft_pipeline_flush(visitor->pipeline, visitor->until_ns);
    CHECK(err == -ETIMEDOUT || err == -ECANCELED);
    return 0;
}

static int close_on_visitors(void *arg)
{
    struct log log = {.sink_ns = 3600 * WEFT_SEC};
    struct weft_stage_options stages[] = {sink(&log)};
    struct weft_group group;
    (void)arg;
    stages[0].queue_max = 1;
    struct visitor visitor = {open_of(&log, stages, 1), 2 * WEFT_SEC};
    push_up_to(visitor.pipeline, 1, 1);
    CHECK_EQUAL(weft_sleep(1), 0);
    push_up_to(visitor.pipeline, 2, 2);
    visitor.until_ns += weft_now();
    CHECK_EQUAL(weft_group_init(&group, NULL), 0);
    for (int i = 0; i < 3; i++) {
        CHECK_EQUAL(weft_spawn(&group, push_in_time, &visitor), 0);
        CHECK_EQUAL(weft_spawn(&group, flush_in_time, &visitor), 0);
    }
    CHECK_EQUAL(weft_sleep_until(visitor.until_ns), 0); /* all is over at once, in any order */
    weft_pipeline_close(visitor.pipeline);
    CHECK_EQUAL(log.dropped_count, 2);
    return weft_group_wait(&group);
}

TEST(a_close_waits_for_who_is_just_giving_up)
{
    for (uint64_t seed = 1; seed <= 100; seed++) {
        const struct weft_run_options run = {
            .clock = WEFT_CLOCK_VIRTUAL, .seed = seed, .io = "epoll"};
        CHECK_EQUAL(weft_run(&run, close_on_visitors, NULL), 0);
    }
}

FIBER_TEST(a_cancelled_scope_takes_its_pipeline_along)
{
    struct log log = {.sink_ns = WEFT_SEC};
    struct weft_stage_options stage = sink(&log);
    struct weft_scope scope;
    struct weft_group group;
    struct weft_task task;
    stage.queue_max = 1;
    const struct weft_group_options supervise = {.policy = WEFT_SUPERVISE};
    CHECK_EQUAL(weft_group_init(&group, &supervise), 0);
    weft_scope_enter(&scope, weft_now() + WEFT_SEC / 2, 0);
    struct weft_pipeline *pipeline = open_of(&log, &stage, 1);
    push_up_to(pipeline, 1, 2);
    CHECK_EQUAL(weft_spawn_task(&group, &task, push_one, pipeline), 0); /* outside the scope */
    CHECK_EQUAL(weft_pipeline_finish(pipeline, WEFT_FOREVER), -ECANCELED);
    weft_pipeline_close(pipeline);
    CHECK_EQUAL(weft_scope_leave(&scope, -ECANCELED), -ETIMEDOUT);
    (void)weft_group_wait(&group);
    CHECK(task.result == -ECANCELED || task.result == -ESHUTDOWN);
    CHECK_EQUAL(log.dropped_count, 2);
}

/* ---- what is to be seen ------------------------------------------------------------------ */

FIBER_TEST(queue_depth_is_reported)
{
    struct log log = {.sink_ns = WEFT_SEC};
    const struct weft_stage_options stage = sink(&log);
    struct weft_pipeline *pipeline = open_of(&log, &stage, 1);
    push_up_to(pipeline, 1, 5);
    CHECK_EQUAL(stage_of(pipeline, 0).queue_depth, 5);
    CHECK_EQUAL(weft_sleep(2 * WEFT_SEC + WEFT_SEC / 2), 0);
    struct weft_stage_snapshot snapshot = stage_of(pipeline, 0);
    CHECK_EQUAL(snapshot.queue_depth, 2);
    CHECK_EQUAL(snapshot.queue_depth_max, 5);
    CHECK_EQUAL(snapshot.running, 1);
    CHECK_EQUAL(snapshot.passed, 2);
    CHECK_EQUAL(weft_pipeline_finish(pipeline, WEFT_FOREVER), 0);
    snapshot = stage_of(pipeline, 0);
    CHECK_EQUAL(snapshot.queue_depth, 0);
    CHECK_EQUAL(snapshot.queue_depth_max, 5);
    CHECK_EQUAL(snapshot.running, 0);
    weft_pipeline_close(pipeline);
}

FIBER_TEST(busy_and_waiting_times_are_told_apart)
{
    struct log log = {.sink_ns = 3 * WEFT_SEC};
    struct weft_stage_options stages[] = {between(&log, slow_zero), sink(&log)};
    stages[1].queue_max = 1;
    struct weft_pipeline *pipeline = open_of(&log, stages, 2);
    CHECK_EQUAL(weft_sleep(2 * WEFT_SEC), 0);
    CHECK_EQUAL(stage_of(pipeline, 0).wait_ns, 2 * WEFT_SEC); /* it still waits */
    push_up_to(pipeline, 1, 4);
    CHECK_EQUAL(weft_sleep(WEFT_SEC), 0);
    CHECK_EQUAL(stage_of(pipeline, 1).busy_ns, WEFT_SEC - WEFT_MSEC); /* it is still at it */
    CHECK_EQUAL(weft_pipeline_finish(pipeline, WEFT_FOREVER), 0);
    struct weft_stage_snapshot first = stage_of(pipeline, 0), last = stage_of(pipeline, 1);
    CHECK_EQUAL(last.busy_ns, 12 * WEFT_SEC);
    CHECK(last.wait_ns >= 2 * WEFT_SEC && last.wait_ns < 2 * WEFT_SEC + 10 * WEFT_MSEC);
    CHECK_EQUAL(first.busy_ns, 4 * WEFT_MSEC);
    CHECK(first.wait_ns >= 4 * WEFT_SEC); /* for items, then for room */
    weft_pipeline_close(pipeline);
}

/* ---- who may do what --------------------------------------------------------------------- */

static int finish_it(void *arg)
{
    return weft_pipeline_finish(arg, WEFT_FOREVER);
}

FIBER_TEST(only_the_opener_finishes)
{
    struct log log = {0};
    const struct weft_stage_options stage = sink(&log);
    struct weft_group group;
    struct weft_pipeline *pipeline = open_of(&log, &stage, 1);
    CHECK_EQUAL(weft_group_init(&group, NULL), 0);
    CHECK_EQUAL(weft_spawn(&group, finish_it, pipeline), 0);
    CHECK_EQUAL(weft_group_wait(&group), -EPERM);
    finish_and_close(pipeline, 0);
}

FIBER_TEST(nonsense_is_refused)
{
    struct log log = {0};
    struct weft_pipeline *pipeline = NULL;
    const struct weft_stage_options good = sink(&log), middle = between(&log, slow_zero);
    char name[WEFT_NAME_MAX + 2];
    (void)memset(name, 'x', sizeof name - 1);
    name[sizeof name - 1] = 0;
    struct weft_stage_options bad[24];
    size_t count = 0;
    for (size_t i = 0; i < 24; i++)
        bad[i] = good;
    bad[count++].fn = NULL;
    bad[count++].batch = collect_batch;
    bad[count++].item_bytes_in = 0;
    bad[count++].item_bytes_in = 4097;
    bad[count++].item_bytes_out = 4; /* the last has none */
    bad[count++].workers = 65537;
    bad[count++].queue_max = (1u << 20) + 1;
    bad[count++].batch_max = 2; /* of no batches */
    bad[count++].batch_age_ns = 1;
    bad[count++].retry_pause_ns = 1; /* of no retries */
    bad[count++].on_full = (enum weft_stage_full)9;
    bad[count++].on_error = (enum weft_stage_error)9;
    bad[count++].worker = -2;
    bad[count++].name = name;
    bad[count++] = middle;
    bad[count] = batch_sink(&log);
    bad[count++].batch_age_ns = -1;
    bad[count] = batch_sink(&log);
    bad[count].queue_max = 10;
    bad[count++].batch_max = 11;
    bad[count] = good;
    bad[count].retries = 1;
    bad[count++].retry_pause_ns = -1;
    for (size_t i = 0; i < count; i++) {
        const struct weft_pipeline_options options = {.stages = &bad[i], .stage_count = 1};
        CHECK_EQUAL(weft_pipeline_open(&pipeline, &options), -EINVAL);
    }
    struct weft_stage_options two[] = {middle, good};
    struct weft_pipeline_options options = {.stages = two, .stage_count = 2};
    two[0].item_bytes_out = 8; /* the next takes 4 */
    CHECK_EQUAL(weft_pipeline_open(&pipeline, &options), -EINVAL);
    two[0] = middle;
    two[0].fn = NULL;
    two[0].flat = count_down;
    two[0].retries = 1;
    CHECK_EQUAL(weft_pipeline_open(&pipeline, &options), -EINVAL);
    two[0] = middle;
    two[0].worker = WEFT_ANY_WORKER;
    options.sharing = WEFT_LOCAL;
    CHECK_EQUAL(weft_pipeline_open(&pipeline, &options), -EINVAL);
    options = (struct weft_pipeline_options){.stages = two, .stage_count = 65};
    CHECK_EQUAL(weft_pipeline_open(&pipeline, &options), -EINVAL);
    options.stage_count = 0;
    CHECK_EQUAL(weft_pipeline_open(&pipeline, &options), -EINVAL);
    options = (struct weft_pipeline_options){.stages = &good, .stage_count = 1, .name = name};
    CHECK_EQUAL(weft_pipeline_open(&pipeline, &options), -EINVAL);
    CHECK_EQUAL(weft_pipeline_open(&pipeline, NULL), -EINVAL);
    CHECK(!pipeline);
}

TEST(a_pipeline_is_opened_by_a_fiber)
{
    struct log log = {0};
    const struct weft_stage_options stage = sink(&log);
    struct weft_pipeline *pipeline;
    const struct weft_pipeline_options options = {.stages = &stage, .stage_count = 1};
    CHECK_EQUAL(weft_pipeline_open(&pipeline, &options), -EPERM);
}

static int open_without_stacks(void *arg)
{
    struct log log = {0};
    struct weft_stage_options stages[] = {between(&log, slow_zero), sink(&log)};
    struct weft_pipeline *pipeline;
    const struct weft_pipeline_options options = {.stages = stages, .stage_count = 2};
    (void)arg;
    stages[1].stack_bytes = 256 << 10; /* the first stage's fiber runs already */
    for (int elsewhere = 0; elsewhere < 2; elsewhere++) {
        stages[1].worker = elsewhere ? WEFT_WORKER(1) : WEFT_HERE;
        atomic_store(&no_stacks, true);
        CHECK_EQUAL(weft_pipeline_open(&pipeline, &options), -ENOMEM);
        atomic_store(&no_stacks, false);
    }
    CHECK_EQUAL(weft_pipeline_open(&pipeline, &options), 0);
    weft_pipeline_close(pipeline);
    return 0;
}

TEST(an_open_without_memory_leaves_nothing_behind)
{
    const struct weft_run_options options = {.workers = 2};
    CHECK_EQUAL(weft_run(&options, open_without_stacks, NULL), 0);
}

static void *push_from_outside(void *arg)
{
    int err = 0;
    for (int i = 0; i < 100 && err == 0; i++)
        err = weft_pipeline_push(arg, &i, WEFT_FOREVER);
    if (err == 0)
        err = weft_pipeline_flush(arg, WEFT_FOREVER);
    return err == 0 ? arg : NULL;
}

static void push_from_thread(enum weft_sharing sharing)
{
    struct log log = {0};
    struct weft_stage_options stage = sink(&log);
    struct weft_pipeline *pipeline;
    pthread_t thread;
    void *answer = NULL;
    stage.queue_max = 4;
    const struct weft_pipeline_options options = {
        .stages = &stage, .stage_count = 1, .sharing = sharing};
    REQUIRE(weft_pipeline_open(&pipeline, &options) == 0);
    struct weft_runtime *runtime = weft_runtime_acquire();
    REQUIRE(pthread_create(&thread, NULL, push_from_outside, pipeline) == 0);
    while (sharing == WEFT_SHARED && log.out_count < 100 && weft_sleep(WEFT_MSEC) == 0)
        continue;
    if (log.out_count < 100)
        (void)weft_pipeline_cancel(pipeline, 0); /* so that the thread ends, whatever happened */
    (void)pthread_join(thread, &answer);
    weft_runtime_release(runtime);
    CHECK_EQUAL(answer == pipeline, sharing == WEFT_SHARED);
    weft_pipeline_close(pipeline);
    CHECK_EQUAL(log.out_count, sharing == WEFT_SHARED ? 100 : 0);
}

REAL_TIME_FIBER_TEST(a_thread_outside_pushes_into_a_shared_pipeline)
{
    push_from_thread(WEFT_SHARED);
}

REAL_TIME_FIBER_TEST(a_local_pipeline_is_not_for_other_threads)
{
    push_from_thread(WEFT_LOCAL);
}
