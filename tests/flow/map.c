/* SPDX-License-Identifier: MIT */
#include "test.h"

#include <weft/map.h>

#include <runtime/worker.h>

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define ITEMS 100

struct work {
    int64_t pause_ns;
    atomic_uint running, running_max, calls;
    atomic_uint on_worker[2];
    int bad; /* the item that fails */
    int failure;
    size_t done[ITEMS], done_count;
    size_t progress[ITEMS], progress_count, failed;
    int64_t progress_at_ns[ITEMS];
    int next, count, last_sunk, sunk, sink_failure, next_failure;
    bool in_order;
    unsigned dropped, inside, inside_max;
};

static void count_running(struct work *work, int change)
{
    unsigned running = atomic_fetch_add(&work->running, (unsigned)change) + (unsigned)change;
    unsigned most = atomic_load(&work->running_max);
    while (running > most && !atomic_compare_exchange_weak(&work->running_max, &most, running))
        continue;
}

/* Items are ints: twice the item, after a pause that lets later ones overtake. */
static int twice(void *arg, void *item, size_t index)
{
    struct work *work = arg;
    int value = item ? *(int *)item : (int)index;
    atomic_fetch_add(&work->calls, 1);
    count_running(work, 1);
    int err = work->pause_ns ? weft_sleep(work->pause_ns * (1 + (7 * value) % 5)) : 0;
    count_running(work, -1);
    if (err < 0)
        return err;
    return value == work->bad ? work->failure : 2 * value;
}

static void fill(int *items)
{
    for (int i = 0; i < ITEMS; i++)
        items[i] = i;
}

static void note_done(void *arg, size_t index, int result)
{
    struct work *work = arg;
    work->failed += result < 0;
    if (work->done_count < ITEMS)
        work->done[work->done_count++] = index;
}

static void note_progress(void *arg, const struct weft_map_progress *progress)
{
    struct work *work = arg;
    if (work->progress_count == ITEMS)
        return;
    work->progress_at_ns[work->progress_count] = weft_now();
    work->progress[work->progress_count++] = progress->done;
}

/* ---- arrays ------------------------------------------------------------------------------ */

FIBER_TEST(results_come_in_the_order_of_the_items_and_only_so_many_run)
{
    struct work work = {.pause_ns = WEFT_MSEC, .bad = -1};
    const struct weft_map_options options = {.concurrency_max = 7};
    int items[ITEMS], results[ITEMS];
    fill(items);
    CHECK_EQUAL(weft_map(&options, twice, &work, items, sizeof items[0], ITEMS, results), 0);
    for (int i = 0; i < ITEMS; i++)
        CHECK_EQUAL(results[i], 2 * i);
    CHECK_EQUAL(work.running_max, 7);
    CHECK_EQUAL(work.calls, ITEMS);
}

FIBER_TEST(all_of_it_is_optional)
{
    struct work work = {.bad = -1};
    CHECK_EQUAL(weft_map(NULL, twice, &work, NULL, 0, 1000, NULL), 0);
    CHECK_EQUAL(work.calls, 1000);
    CHECK_EQUAL(weft_map(NULL, twice, &work, NULL, 0, 0, NULL), 0);
}

static int keep_name(void *arg, void *item, size_t index)
{
    (void)item, (void)index;
    const struct weft_fiber *self = weft_self();
    *(const char **)arg = self ? self->name : "";
    return 0;
}

FIBER_TEST(its_fibers_have_its_name)
{
    const struct weft_map_options options = {.name = "thumbnails"};
    const char *name = "";
    CHECK_EQUAL(weft_map(&options, keep_name, &name, NULL, 0, 1, NULL), 0);
    CHECK_EQUAL(strcmp(name, "thumbnails"), 0);
    CHECK_EQUAL(weft_map(NULL, keep_name, &name, NULL, 0, 1, NULL), 0);
    CHECK_EQUAL(strcmp(name, "map"), 0);
}

FIBER_TEST(a_million_items_do_not_take_a_million_fibers)
{
    struct work work = {.bad = -1};
    CHECK_EQUAL(weft_map(NULL, twice, &work, NULL, 0, 1000000, NULL), 0);
    CHECK_EQUAL(work.calls, 1000000);
}

FIBER_TEST(the_first_failure_cancels_the_rest_and_is_the_result)
{
    struct work work = {.pause_ns = WEFT_SEC, .bad = 10, .failure = -EIO};
    const struct weft_map_options options = {.concurrency_max = 4};
    int items[ITEMS], results[ITEMS];
    fill(items);
    CHECK_EQUAL(weft_map(&options, twice, &work, items, sizeof items[0], ITEMS, results), -EIO);
    CHECK_EQUAL(results[10], -EIO);
    CHECK_EQUAL(results[0], 0);
    CHECK_EQUAL(results[ITEMS - 1], -ECANCELED); /* was not run */
    CHECK(work.calls < 20);
}

FIBER_TEST(failures_can_be_collected)
{
    struct work work = {.pause_ns = WEFT_MSEC, .bad = 10, .failure = -EIO};
    const struct weft_map_options options = {.on_error = WEFT_MAP_COLLECT};
    int items[ITEMS], results[ITEMS];
    fill(items);
    items[50] = 10;
    CHECK_EQUAL(weft_map(&options, twice, &work, items, sizeof items[0], ITEMS, results), 2);
    CHECK_EQUAL(results[10], -EIO);
    CHECK_EQUAL(results[50], -EIO);
    CHECK_EQUAL(results[99], 198);
}

FIBER_TEST(a_failure_that_reads_as_cancelled_is_a_failure_when_nobody_was)
{
    struct work work = {.bad = 3, .failure = -ECANCELED};
    const struct weft_map_options options = {.on_error = WEFT_MAP_COLLECT};
    int results[ITEMS];
    CHECK_EQUAL(weft_map(&options, twice, &work, NULL, 0, ITEMS, results), 1);
    CHECK_EQUAL(weft_map(NULL, twice, &work, NULL, 0, ITEMS, results), -ECANCELED);
}

FIBER_TEST(results_can_be_had_as_they_come)
{
    struct work work = {.pause_ns = WEFT_SEC, .bad = 4, .failure = -EIO};
    const struct weft_map_options options = {
        .concurrency_max = 5, .on_error = WEFT_MAP_COLLECT, .on_done = note_done};
    const size_t expected[] = {0, 3, 1, 4, 2}; /* pauses of 1, 3, 5, 2, 4 seconds */
    CHECK_EQUAL(weft_map(&options, twice, &work, NULL, 0, 5, NULL), 1);
    CHECK_EQUAL(work.done_count, 5);
    for (size_t i = 0; i < 5; i++)
        CHECK_EQUAL(work.done[i], expected[i]);
    CHECK_EQUAL(work.failed, 1);
}

static void slow_done(void *arg, size_t index, int result)
{
    struct work *work = arg;
    if (++work->inside > work->inside_max)
        work->inside_max = work->inside;
    (void)weft_sleep(WEFT_SEC);
    work->inside--;
    note_done(arg, index, result);
}

FIBER_TEST(callbacks_are_called_one_at_a_time)
{
    struct work work = {.bad = -1};
    const struct weft_map_options options = {.on_done = slow_done};
    CHECK_EQUAL(weft_map(&options, twice, &work, NULL, 0, 20, NULL), 0);
    CHECK_EQUAL(work.done_count, 20);
    CHECK_EQUAL(work.inside_max, 1);
}

FIBER_TEST(progress_is_told_every_so_many_and_at_the_end)
{
    struct work work = {.pause_ns = WEFT_MSEC, .bad = -1};
    const struct weft_map_options options = {
        .concurrency_max = 3, .on_progress = note_progress, .progress_items = 4};
    CHECK_EQUAL(weft_map(&options, twice, &work, NULL, 0, 10, NULL), 0);
    CHECK_EQUAL(work.progress_count, 3);
    CHECK_EQUAL(work.progress[0], 4);
    CHECK_EQUAL(work.progress[1], 8);
    CHECK_EQUAL(work.progress[2], 10);
}

FIBER_TEST(progress_is_told_every_so_often_also_when_nothing_is_done)
{
    struct work work = {.pause_ns = 10 * WEFT_SEC, .bad = -1};
    const struct weft_map_options options = {.on_progress = note_progress,
                                             .progress_ns = 4 * WEFT_SEC};
    int64_t start_ns = weft_now();
    CHECK_EQUAL(weft_map(&options, twice, &work, NULL, 0, 1, NULL), 0);
    CHECK_EQUAL(work.progress_count, 3);
    CHECK_EQUAL(work.progress_at_ns[0] - start_ns, 4 * WEFT_SEC);
    CHECK_EQUAL(work.progress_at_ns[1] - start_ns, 8 * WEFT_SEC);
    CHECK_EQUAL(work.progress_at_ns[2] - start_ns, 10 * WEFT_SEC);
    CHECK_EQUAL(work.progress[1], 0);
    CHECK_EQUAL(work.progress[2], 1);
}

FIBER_TEST(a_deadline_cuts_short_and_keeps_what_is_done)
{
    struct work work = {.pause_ns = WEFT_SEC, .bad = -1};
    struct weft_map_options options = {.concurrency_max = 1};
    struct weft_scope scope;
    int results[ITEMS];
    for (int own = 0; own < 2; own++) {
        int64_t deadline_ns = weft_now() + WEFT_SEC + WEFT_MSEC;
        options.deadline_ns = own ? deadline_ns : 0;
        options.on_error = own ? WEFT_MAP_COLLECT : WEFT_MAP_FAIL_FAST;
        weft_scope_enter(&scope, own ? WEFT_FOREVER : deadline_ns, 0);
        int err = weft_map(&options, twice, &work, NULL, 0, ITEMS, results);
        CHECK_EQUAL(err, own ? -ETIMEDOUT : -ECANCELED);
        CHECK_EQUAL(weft_scope_leave(&scope, err), -ETIMEDOUT);
        CHECK_EQUAL(results[0], 0);
        CHECK_EQUAL(results[1], -ECANCELED);
    }
    CHECK_EQUAL(work.running, 0);
}

/* ---- chunks ------------------------------------------------------------------------------ */

static int sum_of(void *arg, void *items, size_t first, size_t count)
{
    struct work *work = arg;
    int sum = 0;
    atomic_fetch_add(&work->calls, 1);
    for (size_t i = 0; i < count; i++)
        sum += ((int *)items)[i];
    CHECK_EQUAL(*(int *)items, first);
    return sum;
}

FIBER_TEST(a_call_can_have_a_chunk_of_items)
{
    struct work work = {0};
    const struct weft_map_options options = {.chunk_items = 30};
    int items[ITEMS], results[4];
    fill(items);
    CHECK_EQUAL(weft_map_chunks(&options, sum_of, &work, items, sizeof items[0], ITEMS, results),
                0);
    CHECK_EQUAL(work.calls, 4);
    CHECK_EQUAL(results[0], 435);
    CHECK_EQUAL(results[3], 945); /* the last ten */
    CHECK_EQUAL(weft_map_chunks(NULL, sum_of, &work, items, sizeof items[0], ITEMS, results), 0);
    CHECK_EQUAL(results[0], 4950);
}

FIBER_TEST(chunks_can_be_barriers)
{
    struct work work = {.pause_ns = WEFT_SEC, .bad = -1};
    const struct weft_map_options options = {
        .concurrency_max = 10, .chunk_items = 10, .on_done = note_done};
    int64_t start_ns = weft_now();
    CHECK_EQUAL(weft_map(&options, twice, &work, NULL, 0, 25, NULL), 0);
    CHECK_EQUAL(work.done_count, 25);
    for (size_t i = 0; i < 25; i++)
        CHECK_EQUAL(work.done[i] / 10, i / 10); /* none of the next before the last of this */
    CHECK_EQUAL(weft_now() - start_ns, 15 * WEFT_SEC);
}

/* ---- streams ----------------------------------------------------------------------------- */

static int next_item(void *arg, void *ret_item)
{
    struct work *work = arg;
    if (work->next == work->count)
        return work->next_failure;
    if (++work->inside > work->inside_max)
        work->inside_max = work->inside;
    *(int *)ret_item = work->next++;
    return 1;
}

static int take_item(void *arg, const void *item, int result)
{
    struct work *work = arg;
    int value = *(const int *)item;
    work->inside--;
    if (result >= 0)
        CHECK_EQUAL(result, 2 * value);
    if (value < work->last_sunk)
        work->in_order = false;
    work->last_sunk = value;
    return ++work->sunk == 10 ? work->sink_failure : 0;
}

static void drop_item(void *arg, const void *item)
{
    struct work *work = arg;
    (void)item;
    work->dropped++;
    work->inside--;
}

FIBER_TEST(a_stream_is_as_long_as_its_source_and_bounded_inside)
{
    for (int ordered = 0; ordered < 2; ordered++) {
        struct work work = {.pause_ns = WEFT_MSEC, .bad = -1, .count = 500, .in_order = true};
        const struct weft_map_options options = {
            .concurrency_max = 5, .ordered = ordered, .window_max = 8, .drop = drop_item};
        CHECK_EQUAL(weft_map_stream(&options, next_item, twice, take_item, &work, sizeof(int)), 0);
        CHECK_EQUAL(work.sunk, 500);
        CHECK_EQUAL(work.in_order, ordered);
        CHECK_EQUAL(work.running_max, 5);
        CHECK_EQUAL(work.dropped, 0);
        CHECK(work.inside_max <= 5 + 3 * 8 + 2); /* and one in the hands of each end */
    }
}

FIBER_TEST(a_stream_stops_at_the_first_failure_or_counts_them)
{
    struct work work = {.pause_ns = WEFT_MSEC, .bad = 20, .failure = -EIO, .count = 100};
    struct weft_map_options options = {.concurrency_max = 3, .ordered = 1, .drop = drop_item};
    CHECK_EQUAL(weft_map_stream(&options, next_item, twice, take_item, &work, sizeof(int)), -EIO);
    CHECK(work.sunk <= 20);
    CHECK_EQUAL(work.inside, 0); /* given away, or dropped */
    CHECK(work.next < 100);

    work = (struct work){.pause_ns = WEFT_MSEC, .bad = 20, .failure = -EIO, .count = 100};
    options.on_error = WEFT_MAP_COLLECT;
    CHECK_EQUAL(weft_map_stream(&options, next_item, twice, take_item, &work, sizeof(int)), 1);
    CHECK_EQUAL(work.sunk, 100);
}

FIBER_TEST(a_stream_ends_with_its_source_or_its_sink)
{
    struct work work = {.bad = -1, .count = 50, .next_failure = -EBADMSG};
    struct weft_map_options options = {.drop = drop_item, .on_error = WEFT_MAP_COLLECT};
    CHECK_EQUAL(weft_map_stream(&options, next_item, twice, take_item, &work, sizeof(int)),
                -EBADMSG);
    CHECK_EQUAL(work.sunk, 50); /* what had come before is given away all the same */
    work = (struct work){.bad = -1, .count = 50, .next_failure = -EBADMSG};
    options.on_error = WEFT_MAP_FAIL_FAST;
    CHECK_EQUAL(weft_map_stream(&options, next_item, twice, take_item, &work, sizeof(int)),
                -EBADMSG);
    CHECK_EQUAL(work.inside, 0);
    work = (struct work){.bad = -1, .count = 50, .sink_failure = -ENOSPC};
    CHECK_EQUAL(weft_map_stream(&options, next_item, twice, take_item, &work, sizeof(int)),
                -ENOSPC);
    CHECK_EQUAL(work.sunk, 10);
    work = (struct work){.bad = -1, .count = 50};
    CHECK_EQUAL(weft_map_stream(&options, next_item, twice, NULL, &work, sizeof(int)), 0);
    CHECK_EQUAL(work.calls, 50);
}

static int endless(void *arg, void *ret_item)
{
    int err = weft_sleep(WEFT_SEC);
    return err < 0 ? err : next_item(arg, ret_item);
}

FIBER_TEST(a_stream_has_a_deadline_and_progress)
{
    struct work work = {.bad = -1, .count = 1000};
    const struct weft_map_options options = {.deadline_ns = weft_now() + 10 * WEFT_SEC + 1,
                                             .on_progress = note_progress,
                                             .progress_items = 4,
                                             .progress_ns = 7 * WEFT_SEC,
                                             .drop = drop_item};
    CHECK_EQUAL(weft_map_stream(&options, endless, twice, take_item, &work, sizeof(int)),
                -ETIMEDOUT);
    CHECK_EQUAL(work.sunk, 10);
    CHECK_EQUAL(work.progress_count, 4); /* 4 by number, 7 s by time, 8 by number, the end */
    CHECK_EQUAL(work.progress[0], 4);
    CHECK_EQUAL(work.progress[2], 8);
    CHECK_EQUAL(work.progress[3], 10);
}

/* ---- refusals, other workers ------------------------------------------------------------- */

FIBER_TEST(nonsense_is_refused)
{
    struct work work = {.bad = -1};
    int item = 0;
    char name[WEFT_NAME_MAX + 2];
    (void)memset(name, 'x', sizeof name - 1);
    name[sizeof name - 1] = 0;
    const struct weft_map_options bad[] = {
        {.concurrency_max = 65537},
        {.on_error = (enum weft_map_errors)2},
        {.deadline_ns = -1},
        {.worker = -2},
        {.progress_ns = -1, .on_progress = note_progress},
        {.progress_items = 1}, /* told to nobody */
        {.name = name},
    };
    const struct weft_map_options only_streams[] = {
        {.ordered = 1}, {.window_max = 1}, {.drop = drop_item}};
    const struct weft_map_options only_arrays[] = {{.chunk_items = 1}, {.on_done = note_done}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        CHECK_EQUAL(weft_map(&bad[i], twice, &work, &item, sizeof item, 1, NULL), -EINVAL);
        CHECK_EQUAL(weft_map_stream(&bad[i], next_item, twice, NULL, &work, 4), -EINVAL);
    }
    for (size_t i = 0; i < 3; i++)
        CHECK_EQUAL(weft_map(&only_streams[i], twice, &work, NULL, 0, 1, NULL), -EINVAL);
    for (size_t i = 0; i < 2; i++)
        CHECK_EQUAL(weft_map_stream(&only_arrays[i], next_item, twice, NULL, &work, 4), -EINVAL);
    CHECK_EQUAL(weft_map(NULL, twice, &work, &item, 0, 1, NULL), -EINVAL);
    CHECK_EQUAL(weft_map(NULL, NULL, &work, &item, 4, 1, NULL), -EINVAL);
    CHECK_EQUAL(weft_map_chunks(NULL, NULL, &work, &item, 4, 1, NULL), -EINVAL);
    CHECK_EQUAL(weft_map_stream(NULL, NULL, twice, NULL, &work, 4), -EINVAL);
    CHECK_EQUAL(weft_map_stream(NULL, next_item, twice, NULL, &work, 0), -EINVAL);
    CHECK_EQUAL(weft_map_stream(NULL, next_item, twice, NULL, &work, 4081), -EINVAL);
    CHECK_EQUAL(work.calls, 0);
}

TEST(a_map_is_called_by_a_fiber)
{
    struct work work = {.bad = -1};
    CHECK_EQUAL(weft_map(NULL, twice, &work, NULL, 0, 1, NULL), -EPERM);
    CHECK_EQUAL(weft_map_stream(NULL, next_item, twice, NULL, &work, 4), -EPERM);
}

static int twice_anywhere(void *arg, void *item, size_t index)
{
    struct work *work = arg;
    atomic_fetch_add(&work->on_worker[weft_worker_index()], 1);
    return twice(arg, item, index);
}

static int map_anywhere(void *arg)
{
    const struct weft_map_options array = {.concurrency_max = 8,
                                           .worker = WEFT_WORKER(1),
                                           .on_done = note_done,
                                           .on_progress = note_progress,
                                           .progress_ns = WEFT_MSEC};
    const struct weft_map_options any = {.concurrency_max = 8, .worker = WEFT_ANY_WORKER};
    const struct weft_map_options stream = {
        .concurrency_max = 8, .worker = WEFT_WORKER(1), .ordered = 1};
    struct work work = {.pause_ns = 20 * WEFT_USEC, .bad = -1, .in_order = true};
    int items[ITEMS], results[ITEMS];
    (void)arg;
    fill(items);
    CHECK_EQUAL(weft_map(&array, twice_anywhere, &work, items, sizeof items[0], ITEMS, results), 0);
    CHECK_EQUAL(work.on_worker[1], ITEMS);
    CHECK_EQUAL(work.done_count, ITEMS);
    CHECK_EQUAL(weft_map(&any, twice_anywhere, &work, items, sizeof items[0], ITEMS, results), 0);
    CHECK_EQUAL(work.calls, 2 * ITEMS);
    for (int i = 0; i < ITEMS; i++)
        CHECK_EQUAL(results[i], 2 * i);
    work.count = 300;
    CHECK_EQUAL(weft_map_stream(&stream, next_item, twice_anywhere, take_item, &work, sizeof(int)),
                0);
    CHECK_EQUAL(work.sunk, 300);
    CHECK(work.in_order);
    work.bad = 50;
    work.failure = -EIO;
    CHECK_EQUAL(weft_map(&any, twice_anywhere, &work, items, sizeof items[0], ITEMS, results),
                -EIO);
    return 0;
}

TEST(items_can_run_on_other_workers)
{
    CHECK_EQUAL(weft_run(&(struct weft_run_options){.workers = 2}, map_anywhere, NULL), 0);
}

/* ---- storm ------------------------------------------------------------------------------- */

#define STORM_ITEMS 30

struct storm {
    struct weft_map_options options;
    struct work work;
    int results[STORM_ITEMS];
    bool stream;
    int err;
};

static int run_storm(void *arg)
{
    struct storm *storm = arg;
    storm->err = storm->stream ? weft_map_stream(&storm->options, next_item, twice, take_item,
                                                 &storm->work, sizeof(int))
                               : weft_map(&storm->options, twice, &storm->work, NULL, 0,
                                          STORM_ITEMS, storm->results);
    return 0;
}

static void check_storm(const struct storm *storm)
{
    const struct work *work = &storm->work;
    int run = 0, failed = 0;
    CHECK_EQUAL(work->running, 0);
    if (storm->stream) {
        CHECK_EQUAL(work->inside, 0); /* read = given away + dropped */
        CHECK_EQUAL(work->sunk + (int)work->dropped, work->next);
        CHECK(storm->err < 0 || work->sunk == work->count);
        CHECK(!storm->options.ordered || work->in_order);
        return;
    }
    for (int i = 0; i < STORM_ITEMS; i++) {
        run += storm->results[i] != -ECANCELED;
        failed += storm->results[i] == -EIO;
        CHECK(storm->results[i] == 2 * i || storm->results[i] < 0);
    }
    CHECK_EQUAL(work->done_count, run); /* all that ran are told */
    CHECK(storm->err < 0 ? run < STORM_ITEMS || failed
                         : run == STORM_ITEMS && storm->err == failed);
}

static struct storm storm_of(unsigned seed)
{
    struct storm storm = {
        .options = {.concurrency_max = 1 + seed % 9,
                    .on_error = seed % 2 ? WEFT_MAP_COLLECT : WEFT_MAP_FAIL_FAST},
        .work = {.pause_ns = seed % 5 ? WEFT_MSEC : 0,
                 .bad = seed % 3 ? -1 : (int)(seed % STORM_ITEMS),
                 .failure = -EIO,
                 .count = STORM_ITEMS,
                 .in_order = true},
        .stream = seed / 2 % 2,
    };
    if (storm.stream) {
        storm.options.ordered = (int)(seed / 4 % 2);
        storm.options.window_max = 1 + seed % 7;
        storm.options.drop = drop_item;
    } else {
        storm.options.on_done = note_done;
        storm.options.chunk_items = seed % 4 ? 0 : 1 + seed % 13;
    }
    return storm;
}

TEST(cancelled_at_any_wait_no_result_is_lost)
{
    for (unsigned seed = 1; seed <= 40; seed++) {
        uint64_t waits = 0;
        struct weft_run_options options = {
            .clock = WEFT_CLOCK_VIRTUAL, .seed = seed, .ret_waits = &waits};
        struct storm storm = storm_of(seed);
        CHECK_EQUAL(weft_run(&options, run_storm, &storm), 0);
        check_storm(&storm);
        uint64_t waits_max = waits;
        for (options.cancel_at = 1; options.cancel_at <= waits_max; options.cancel_at++) {
            storm = storm_of(seed);
            for (int i = 0; i < STORM_ITEMS; i++)
                storm.results[i] = -ECANCELED; /* it may be refused before it has begun */
            CHECK_EQUAL(weft_run(&options, run_storm, &storm), 0);
            check_storm(&storm);
        }
    }
}
