/* SPDX-License-Identifier: MIT
 * pipeline_storm.c - random pipelines, drawn from a seed that is printed when one goes wrong. What
 * must hold in all of them: every item that was pushed is delivered, filtered or dropped, once; an
 * ordered pipeline keeps the order of each producer; a flush leaves nothing of before inside. */
#include "test.h"

#include <base/random.h>

#include <weft/pipeline.h>

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

#define STAGES    5
#define PRODUCERS 3
#define ITEMS     40 /* of each producer */

/* What producers push, and stages pass on. */
struct item {
    int producer, number;
    char rest[8]; /* sometimes */
};

struct storm;

struct stage {
    struct storm *storm;
    unsigned fail_percent, filter_percent;
    int64_t pause_ns_max;
    bool last;
};

struct storm {
    uint64_t seed;
    struct stage stages[STAGES];
    struct weft_stage_options options[STAGES];
    size_t stage_count;
    bool ordered;
    struct weft_pipeline *pipeline;
    unsigned producers;
    unsigned flush_percent;
    int64_t unit_ns, cancel_after_ns; /* 0: not */
    bool finish;
    atomic_uint draws;
    atomic_int inside[PRODUCERS][ITEMS]; /* pushed or emitted, and not yet accounted for */
    int last_out[PRODUCERS];
    atomic_uint wrong; /* found under way */
    unsigned delivered;
};

struct producer {
    struct storm *storm;
    int index;
};

static unsigned draw(struct storm *storm, unsigned bound)
{
    struct weft_random random;
    uint64_t number = atomic_fetch_add_explicit(&storm->draws, 1, memory_order_relaxed);
    weft_random_seed(&random, storm->seed * 1000003 + number);
    return (unsigned)weft_random_below(&random, bound);
}

static void account(struct storm *storm, const struct item *item, int change)
{
    int before = atomic_fetch_add(&storm->inside[item->producer][item->number], change);
    if (before + change < 0)
        atomic_fetch_add(&storm->wrong, 1); /* out more often than in */
}

static int pause_or_fail(const struct stage *stage)
{
    struct storm *storm = stage->storm;
    int64_t pause_ns = draw(storm, (unsigned)stage->pause_ns_max + 1);
    if (pause_ns > 0 && draw(storm, 2) == 0) {
        int err = weft_sleep(pause_ns);
        if (err < 0)
            return err;
    }
    return draw(storm, 100) < stage->fail_percent ? -EIO : 0;
}

static void deliver(const struct stage *stage, const struct item *item)
{
    struct storm *storm = stage->storm;
    account(storm, item, -1);
    storm->delivered++;
    if (item->number < storm->last_out[item->producer] && storm->ordered)
        atomic_fetch_add(&storm->wrong, 1);
    storm->last_out[item->producer] = item->number;
}

static bool filtered(const struct stage *stage, const struct item *item)
{
    if (draw(stage->storm, 100) >= stage->filter_percent)
        return false;
    account(stage->storm, item, -1);
    return true;
}

static int one(void *arg, const void *in, void *out)
{
    const struct stage *stage = arg;
    const struct item *item = in;
    int err = pause_or_fail(stage);
    if (err < 0)
        return err;
    if (stage->last) {
        deliver(stage, item);
        return 0;
    }
    *(struct item *)out = *item;
    return !filtered(stage, item);
}

static int many(void *arg, const void *ins, size_t count, void *outs)
{
    const struct stage *stage = arg;
    const struct item *items = ins;
    struct item *out = outs;
    int kept = 0, err = pause_or_fail(stage);
    if (err < 0)
        return err;
    for (size_t i = 0; i < count; i++) {
        if (stage->last)
            deliver(stage, &items[i]);
        else if (!filtered(stage, &items[i]))
            out[kept++] = items[i];
    }
    return kept;
}

static int flat(void *arg, const void *in, struct weft_emitter *emitter)
{
    const struct stage *stage = arg;
    const struct item *item = in;
    int err = pause_or_fail(stage);
    for (unsigned i = draw(stage->storm, 3); i > 0 && err >= 0; i--) {
        account(stage->storm, item, 1);
        err = weft_emit(emitter, item);
        if (err < 0)
            account(stage->storm, item, -1);
        else
            err = pause_or_fail(stage);
    }
    if (err >= 0)
        account(stage->storm, item, -1);
    return err;
}

static void drop(void *arg, const void *item)
{
    const struct stage *stage = arg;
    account(stage->storm, item, -1);
}

/* ---- a pipeline from a seed -------------------------------------------------------------- */

static void draw_stage(struct storm *storm, size_t i, bool elsewhere)
{
    struct stage *stage = &storm->stages[i];
    bool last = i + 1 == storm->stage_count;
    unsigned kind = draw(storm, last ? 2 : 3);
    *stage = (struct stage){.storm = storm,
                            .fail_percent = draw(storm, 3) ? 0 : draw(storm, 8),
                            .filter_percent = draw(storm, 2) ? 0 : draw(storm, 50),
                            .pause_ns_max = storm->unit_ns * draw(storm, 3),
                            .last = last};
    struct weft_stage_options *options = &storm->options[i];
    *options = (struct weft_stage_options){
        .drop = drop,
        .arg = stage,
        .item_bytes_in = sizeof(struct item),
        .item_bytes_out = last ? 0 : sizeof(struct item),
        .workers = last && elsewhere ? 1 : 1 + draw(storm, 4), /* deliver is for one at a time */
        .queue_max = 1 + draw(storm, 6),
        .ordered = (int)draw(storm, 2),
        .on_full = draw(storm, 2) ? WEFT_STAGE_BLOCK : (enum weft_stage_full)draw(storm, 4),
        .on_error = draw(storm, 3) ? WEFT_STAGE_SKIP : WEFT_STAGE_FAIL,
        .worker = elsewhere && !last && draw(storm, 2) ? WEFT_ANY_WORKER : WEFT_HERE,
    };
    if (kind == 0) {
        options->fn = one;
    } else if (kind == 1) {
        options->batch = many;
        options->batch_max = 1 + draw(storm, options->queue_max);
        options->batch_age_ns = 1 + storm->unit_ns * draw(storm, 5);
    } else {
        options->flat = flat;
    }
    if (kind < 2 && draw(storm, 3) == 0) {
        options->retries = 1 + draw(storm, 2);
        options->retry_pause_ns = storm->unit_ns * draw(storm, 2);
    }
    /* The last one may sleep before it delivers: several at a time are out of order there. */
    storm->ordered &= options->workers == 1 || (options->ordered && !last);
}

static void draw_storm(struct storm *storm, uint64_t seed, bool elsewhere, int64_t unit_ns)
{
    *storm = (struct storm){.seed = seed, .unit_ns = unit_ns, .ordered = true};
    storm->stage_count = 1 + draw(storm, STAGES);
    storm->producers = 1 + draw(storm, PRODUCERS);
    for (size_t i = 0; i < storm->stage_count; i++)
        draw_stage(storm, i, elsewhere);
    storm->flush_percent = draw(storm, 2) ? 0 : draw(storm, 20);
    storm->cancel_after_ns = draw(storm, 4) ? 0 : 1 + unit_ns * draw(storm, 40);
    storm->finish = draw(storm, 5) > 0;
}

static void check_flushed(struct storm *storm, int producer, int number)
{
    for (int i = 0; i <= number; i++)
        if (atomic_load(&storm->inside[producer][i]) != 0)
            atomic_fetch_add(&storm->wrong, 1);
}

static int push_one(struct storm *storm, int producer, int number)
{
    const struct item item = {.producer = producer, .number = number};
    int64_t deadline_ns = WEFT_FOREVER;
    if (draw(storm, 5) == 0)
        deadline_ns = draw(storm, 2) ? WEFT_NOWAIT : weft_now() + storm->unit_ns;
    account(storm, &item, 1);
    int err = weft_pipeline_push(storm->pipeline, &item, deadline_ns);
    if (err < 0)
        account(storm, &item, -1);
    return err;
}

static int produce(void *arg)
{
    const struct producer *producer = arg;
    struct storm *storm = producer->storm;
    for (int i = 0; i < ITEMS; i++) {
        (void)push_one(storm, producer->index, i);
        if (draw(storm, 4) == 0)
            (void)weft_sleep(draw(storm, (unsigned)storm->unit_ns + 1));
        if (draw(storm, 100) < storm->flush_percent &&
            weft_pipeline_flush(storm->pipeline, WEFT_FOREVER) == 0)
            check_flushed(storm, producer->index, i);
    }
    return 0;
}

static int cancel_later(void *arg)
{
    struct storm *storm = arg;
    if (weft_sleep(storm->cancel_after_ns) == 0)
        (void)weft_pipeline_cancel(storm->pipeline, -EINTR);
    return 0;
}

static void check_counts(struct storm *storm)
{
    uint64_t in = 0;
    for (size_t i = 0; i < storm->stage_count; i++) {
        struct weft_stage_snapshot s;
        if (weft_pipeline_stage_snapshot(storm->pipeline, i, &s) < 0)
            return;
        bool whole = s.items_in == s.passed + s.filtered + s.errors + s.dropped &&
                     s.queue_depth == 0 && s.running == 0 && (i == 0 || s.items_in == in) &&
                     s.queue_depth_max <= storm->options[i].queue_max && s.busy_ns >= 0 &&
                     s.wait_ns >= 0;
        if (!whole)
            atomic_fetch_add(&storm->wrong, 1);
        in = s.items_out;
    }
}

static int run_storm(void *arg)
{
    struct storm *storm = arg;
    struct producer producers[PRODUCERS];
    struct weft_group group;
    const struct weft_pipeline_options options = {.stages = storm->options,
                                                  .stage_count = storm->stage_count};
    int err = weft_pipeline_open(&storm->pipeline, &options);
    if (err < 0)
        return err;
    if (weft_group_init(&group, NULL) == 0) {
        for (unsigned i = 0; i < storm->producers; i++) {
            producers[i] = (struct producer){storm, (int)i};
            (void)weft_spawn(&group, produce, &producers[i]);
        }
        if (storm->cancel_after_ns > 0)
            (void)weft_spawn(&group, cancel_later, storm);
        (void)weft_group_wait(&group);
    }
    if (storm->finish) {
        err = weft_pipeline_finish(storm->pipeline, WEFT_FOREVER);
        if (err != -ECANCELED)
            check_counts(storm);
    }
    weft_pipeline_close(storm->pipeline);
    return 0;
}

/* Returns whether all was well. */
static bool check_storm(struct storm *storm, const struct weft_run_options *options,
                        uint64_t cancel_at)
{
    unsigned lost = 0;
    for (int i = 0; i < PRODUCERS; i++)
        for (int k = 0; k < ITEMS; k++)
            lost += atomic_load(&storm->inside[i][k]) != 0;
    if (lost == 0 && atomic_load(&storm->wrong) == 0)
        return true;
    test_note("seed %llu, %u workers, cancelled at wait %llu: %u items unaccounted for, %u wrong",
              (unsigned long long)storm->seed, options->workers, (unsigned long long)cancel_at,
              lost, atomic_load(&storm->wrong));
    return false;
}

static struct storm storm;

static bool storm_goes_well(uint64_t seed, struct weft_run_options options)
{
    bool elsewhere = options.workers > 1;
    draw_storm(&storm, seed, elsewhere, elsewhere ? 20 * WEFT_USEC : WEFT_USEC);
    int err = weft_run(&options, run_storm, &storm);
    if (err < 0 && err != -ECANCELED)
        test_note("seed %llu: %s", (unsigned long long)seed, weft_strerror(err));
    return check_storm(&storm, &options, options.cancel_at) && (err == 0 || err == -ECANCELED);
}

TEST(no_random_pipeline_loses_duplicates_or_reorders_items)
{
    unsigned delivered = 0, ordered = 0;
    for (uint64_t seed = 1; seed <= 200; seed++) {
        const struct weft_run_options options = {.clock = WEFT_CLOCK_VIRTUAL, .seed = seed};
        CHECK(storm_goes_well(seed, options));
        delivered += storm.delivered;
        ordered += storm.ordered;
    }
    CHECK(delivered > 200 * ITEMS / 4); /* that it is about something */
    CHECK(ordered > 25);
}

TEST(cancelled_at_any_wait_every_item_is_delivered_or_dropped)
{
    for (uint64_t seed = 1; seed <= 10; seed++) {
        uint64_t waits = 0;
        struct weft_run_options options = {
            .clock = WEFT_CLOCK_VIRTUAL, .seed = seed, .ret_waits = &waits};
        bool well = storm_goes_well(seed, options);
        uint64_t waits_max = waits;
        for (options.cancel_at = 1; well && options.cancel_at <= waits_max; options.cancel_at++)
            well = storm_goes_well(seed, options);
        CHECK(well);
    }
}

TEST(stages_on_several_workers_lose_nothing_either)
{
    for (uint64_t seed = 1; seed <= 30; seed++) {
        const struct weft_run_options options = {.workers = 1 + (unsigned)(seed % 3) + 1};
        CHECK(storm_goes_well(seed, options));
    }
}
