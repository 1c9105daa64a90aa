/* SPDX-License-Identifier: MIT
 * load_watch.c - see load_watch.h. */
#include <lab/load_watch.h>

#include <base/time.h>
#include <weft/runtime.h>

#include <errno.h>
#include <stdlib.h>

#define ROW_NS    WEFT_SEC
#define VIEW_NS   (200 * WEFT_MSEC) /* divides ROW_NS */
#define ROWS_ROOM 64                /* to begin with */

#define load(at)  __atomic_load_n(at, __ATOMIC_RELAXED)

int weft_load_watch_init(struct weft_load_watch *watch, struct weft_load_shared *shared,
                         const struct weft_load_shard *shards, unsigned shards_count,
                         const struct weft_load_options *options)
{
    *watch = (struct weft_load_watch){
        .shared = shared, .shards = shards, .shards_count = shards_count, .options = options};
    int err = weft_histogram_open(&watch->before);
    return err ? err : weft_histogram_open(&watch->now);
}

void weft_load_watch_deinit(struct weft_load_watch *watch)
{
    weft_histogram_close(watch->before);
    weft_histogram_close(watch->now);
    free(watch->rows);
    *watch = (struct weft_load_watch){0};
}

struct totals {
    uint64_t requests, succeeded;
    unsigned connected;
};

static struct totals totals_of(const struct weft_load_watch *watch)
{
    struct totals totals = {0};
    for (unsigned i = 0; i < watch->shards_count; i++) {
        const struct weft_load_shard *shard = &watch->shards[i];
        totals.succeeded += load(&shard->succeeded); /* before requests: never more than those */
        totals.requests += load(&shard->requests);
        totals.connected += load(&shard->connected);
    }
    return totals;
}

/* Leave in watch->now what came since the row before, and add it to what is known. */
static void take_latencies(struct weft_load_watch *watch)
{
    weft_histogram_clear(watch->now);
    for (unsigned i = 0; i < watch->shards_count; i++)
        weft_histogram_merge(watch->now, watch->shards[i].latency);
    weft_histogram_subtract(watch->now, watch->before);
    weft_histogram_merge(watch->before, watch->now);
}

static int make_room(struct weft_load_watch *watch)
{
    if (watch->rows_count < watch->rows_room)
        return 0;
    size_t room = watch->rows_room > 0 ? 2 * watch->rows_room : ROWS_ROOM;
    void *rows = reallocarray(watch->rows, room, sizeof watch->rows[0]);
    if (!rows)
        return -ENOMEM;
    watch->rows = rows;
    watch->rows_room = room;
    return 0;
}

/* A row for what has happened since the row before. */
static int add_row(struct weft_load_watch *watch, int64_t now_ns)
{
    const struct weft_load_schedule *schedule = &watch->shared->schedule;
    struct totals totals = totals_of(watch);
    if (watch->rows_count == WEFT_LOAD_SECONDS_MAX)
        return 0;
    int err = make_room(watch);
    if (err)
        return err;
    take_latencies(watch);
    uint64_t requests = totals.requests - watch->requests;
    uint64_t succeeded = totals.succeeded - watch->succeeded;
    int64_t begin_ns = watch->begin_ns - schedule->start_ns;
    watch->rows[watch->rows_count++] = (struct weft_load_second){
        .begin_ns = begin_ns,
        .length_ns = now_ns - watch->begin_ns,
        .requests = requests,
        .succeeded = succeeded,
        .failed = requests > succeeded ? requests - succeeded : 0,
        .p50_ns = weft_histogram_percentile(watch->now, 500000),
        .p99_ns = weft_histogram_percentile(watch->now, 990000),
        .max_ns = weft_histogram_max(watch->now),
        .connected = totals.connected,
        .warmup = begin_ns < schedule->parts[1].begin_ns,
    };
    watch->requests = totals.requests;
    watch->succeeded = totals.succeeded;
    watch->begin_ns = now_ns;
    return 0;
}

/* By requests or by time, whichever is further. Never falls. */
static double fraction_of(struct weft_load_watch *watch, int64_t since_ns)
{
    const struct weft_load_schedule *schedule = &watch->shared->schedule;
    int64_t whole_ns = schedule->parts[schedule->count].begin_ns;
    double by_time = whole_ns < WEFT_FOREVER ? (double)since_ns / (double)whole_ns : 0;
    double by_count = 0;
    if (schedule->requests_max < UINT64_MAX) {
        /* The warm-up takes time and no requests of the load's. */
        uint64_t done = schedule->open ? load(&schedule->next) : load(&schedule->measured);
        by_count = (double)done / (double)schedule->requests_max;
    }
    double fraction = by_time > by_count ? by_time : by_count;
    if (fraction > 1)
        fraction = 1;
    if (fraction > watch->fraction)
        watch->fraction = fraction;
    return watch->fraction;
}

static void show(struct weft_load_watch *watch, int64_t now_ns)
{
    const struct weft_load_options *options = watch->options;
    const struct weft_load_schedule *schedule = &watch->shared->schedule;
    const struct weft_load_second *row =
        watch->rows_count > 0 ? &watch->rows[watch->rows_count - 1] : NULL;
    struct totals totals = totals_of(watch);
    int64_t since_ns = now_ns - schedule->start_ns;
    unsigned part = weft_load_schedule_part_at(schedule, now_ns, 0);
    double seconds = (double)(now_ns - watch->viewed_ns) / 1e9;
    struct weft_load_view view = {
        .elapsed_ns = since_ns,
        .fraction = fraction_of(watch, since_ns),
        .requests = totals.requests,
        .failed = totals.requests > totals.succeeded ? totals.requests - totals.succeeded : 0,
        .requests_per_s = (double)(totals.requests - watch->viewed) / (seconds > 0 ? seconds : 1),
        .intended_per_s = weft_load_schedule_rate(schedule, now_ns),
        .p50_ns = row ? row->p50_ns : 0,
        .p99_ns = row ? row->p99_ns : 0,
        .connected = totals.connected,
        .step = part == WEFT_LOAD_PART_NONE ? schedule->count - 1 : part,
        .steps_count = schedule->count - 1,
    };
    watch->viewed = totals.requests;
    watch->viewed_ns = now_ns;
    options->progress(options->progress_context, &view);
}

int weft_load_watch_run(void *arg)
{
    struct weft_load_watch *watch = arg;
    char nothing;
    int err = weft_receive(&watch->shared->gate, &nothing, WEFT_FOREVER);
    if (err == -ECANCELED)
        return err;
    int64_t start_ns = watch->shared->schedule.start_ns;
    watch->begin_ns = watch->viewed_ns = start_ns;
    for (err = 0; err == 0;) {
        /* On the beat that began with the load, however late this is. */
        int64_t beats = (weft_now() - start_ns) / VIEW_NS + 1;
        err = weft_sleep_until(weft_time_after(start_ns, beats * VIEW_NS));
        int64_t now_ns = weft_now();
        if (err == 0 && now_ns - watch->begin_ns >= ROW_NS)
            err = add_row(watch, now_ns);
        if (err == 0 && watch->options->progress)
            show(watch, now_ns);
    }
    return err;
}

int weft_load_watch_end(struct weft_load_watch *watch, int64_t now_ns)
{
    if (watch->begin_ns == 0) /* it was over before this had its first turn */
        watch->begin_ns = watch->shared->schedule.start_ns;
    return now_ns > watch->begin_ns ? add_row(watch, now_ns) : 0;
}
