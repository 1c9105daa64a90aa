/* SPDX-License-Identifier: MIT
 * monitor.c - what a monitor sees of blocked, late, busy and healthy workers.
 *
 * Its thread is a real one. Where a test needs it to have seen something, the fiber under test
 * blocks its worker until the monitor has said so: if it does not look, the test hangs. */
#include "test.h"

#include <os/sanitizer.h>

#include <weft/group.h>
#include <weft/metrics.h>
#include <weft/monitor.h>
#include <weft/sync.h>

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define EVENTS_MAX 64

/* What a monitor has said; written on its thread. */
struct record {
    pthread_mutex_t lock;
    pthread_cond_t news;
    struct weft_monitor_event events[EVENTS_MAX];
    char fibers[EVENTS_MAX][WEFT_NAME_MAX + 1];
    bool located[EVENTS_MAX]; /* function, spawn site and backtrace were known */
    unsigned len;
    char lines[1 << 16];
    size_t lines_len;
};

static void note_event(void *arg, const struct weft_monitor_event *event)
{
    struct record *record = arg;
    (void)pthread_mutex_lock(&record->lock);
    if (record->len < EVENTS_MAX) {
        unsigned i = record->len++;
        record->events[i] = *event;
        (void)snprintf(record->fibers[i], sizeof record->fibers[i], "%s",
                       event->fiber ? event->fiber : "");
        record->located[i] = event->function && event->spawned_at && event->frames_len > 0;
    }
    (void)pthread_cond_broadcast(&record->news);
    (void)pthread_mutex_unlock(&record->lock);
}

static void note_line(void *arg, const char *text, size_t len)
{
    struct record *record = arg;
    (void)pthread_mutex_lock(&record->lock);
    CHECK_EQUAL(strlen(text), len);
    if (record->lines_len + len < sizeof record->lines) {
        memcpy(record->lines + record->lines_len, text, len + 1);
        record->lines_len += len;
    }
    (void)pthread_cond_broadcast(&record->news);
    (void)pthread_mutex_unlock(&record->lock);
}

static struct record *make_record(void)
{
    struct record *record = calloc(1, sizeof *record);
    REQUIRE(record);
    (void)pthread_mutex_init(&record->lock, NULL);
    (void)pthread_cond_init(&record->news, NULL);
    return record;
}

static void free_record(struct record *record)
{
    (void)pthread_cond_destroy(&record->news);
    (void)pthread_mutex_destroy(&record->lock);
    free(record);
}

/* The first such event, from a place on; under the lock. NULL when there is none. */
static const struct weft_monitor_event *find(const struct record *record,
                                             enum weft_monitor_event_kind kind,
                                             enum weft_monitor_cause cause, const char *fiber)
{
    for (unsigned i = 0; i < record->len; i++) {
        if (record->events[i].kind == kind && record->events[i].cause == cause &&
            (!fiber || strcmp(record->fibers[i], fiber) == 0))
            return &record->events[i];
    }
    return NULL;
}

/* Block the calling thread, and with it the worker, until the monitor has said so. */
static struct weft_monitor_event block_until(struct record *record,
                                             enum weft_monitor_event_kind kind,
                                             enum weft_monitor_cause cause, const char *fiber)
{
    const struct weft_monitor_event *event;
    (void)pthread_mutex_lock(&record->lock);
    while (!(event = find(record, kind, cause, fiber)) && record->len < EVENTS_MAX)
        (void)pthread_cond_wait(&record->news, &record->lock);
    REQUIRE(event);
    struct weft_monitor_event copy = *event;
    (void)pthread_mutex_unlock(&record->lock);
    return copy;
}

static bool said(struct record *record, enum weft_monitor_event_kind kind,
                 enum weft_monitor_cause cause, const char *fiber)
{
    (void)pthread_mutex_lock(&record->lock);
    bool found = find(record, kind, cause, fiber) != NULL;
    (void)pthread_mutex_unlock(&record->lock);
    return found;
}

/* Give way until the monitor has said so: what is to be seen is that the worker goes on. */
static void yield_until(struct record *record, enum weft_monitor_event_kind kind,
                        enum weft_monitor_cause cause, const char *fiber)
{
    while (!said(record, kind, cause, fiber) && weft_sleep(WEFT_MSEC / 10) == 0)
        ;
}

/* Short enough to be quick, long enough that a busy machine stays below it most of the time. */
static struct weft_monitor_options quick(struct record *record)
{
    return (struct weft_monitor_options){
        .sample_ns = 2 * WEFT_MSEC,
        .warning_ns = 8 * WEFT_MSEC,
        .critical_ns = 16 * WEFT_MSEC,
        .on_event = record ? note_event : NULL,
        .on_event_arg = record,
    };
}

struct blocker {
    struct record *record;
    enum weft_monitor_event_kind until;
    const char *name;
    struct weft_monitor_event seen;
};

static int block(void *arg)
{
    struct blocker *blocker = arg;
    blocker->seen = block_until(blocker->record, blocker->until, WEFT_MONITOR_STALL, blocker->name);
    return 0;
}

static int spawn_named(int (*fn)(void *), void *arg, const char *name, int worker)
{
    struct weft_group group;
    const struct weft_spawn_options options = {.name = name, .worker = worker};
    int err = weft_group_init(&group, NULL);
    if (err < 0)
        return err;
    err = weft_spawn_with(&group, fn, arg, &options);
    int result = weft_group_wait(&group);
    return err < 0 ? err : result;
}

/* ---- stalls ---------------------------------------------------------------------------- */

REAL_TIME_FIBER_TEST(a_blocked_worker_is_visible_while_it_is_blocked)
{
    struct record *record = make_record();
    struct weft_monitor *monitor;
    struct weft_monitor_snapshot snapshot;
    const struct weft_monitor_options options = quick(record);
    struct blocker blocker = {record, WEFT_MONITOR_CRITICAL, "greedy", {0}};
    CHECK_EQUAL(weft_monitor_open(&monitor, &options), 0);
    (void)weft_sleep(WEFT_MSEC); /* the worker has read its mail: it takes the signal */
    if (spawn_named(block, &blocker, "greedy", 0) == 0) {
        CHECK_EQUAL(blocker.seen.worker, 0);
        CHECK(blocker.seen.duration_ns >= options.critical_ns);
        CHECK_EQUAL(weft_monitor_snapshot(monitor, &snapshot), 0);
        CHECK(snapshot.stalls > 0);
        yield_until(record, WEFT_MONITOR_RECOVERED, WEFT_MONITOR_STALL, "greedy");
        CHECK(said(record, WEFT_MONITOR_WARNING, WEFT_MONITOR_STALL, "greedy"));
    }
    weft_monitor_close(monitor);
    bool located = false;
    for (unsigned i = 0; i < record->len; i++)
        located = located || (strcmp(record->fibers[i], "greedy") == 0 && record->located[i]);
    CHECK(located);
    free_record(record);
}

static int block_worker_one(void)
{
    struct record *record = make_record();
    struct weft_monitor *monitor;
    const struct weft_monitor_options options = quick(record);
    struct blocker blocker = {record, WEFT_MONITOR_WARNING, NULL, {0}};
    int err = weft_monitor_open(&monitor, &options);
    CHECK_EQUAL(err, 0);
    if (err == 0) {
        CHECK_EQUAL(spawn_named(block, &blocker, "there", WEFT_WORKER(1)), 0);
        weft_monitor_close(monitor);
    }
    free_record(record);
    return blocker.seen.worker;
}

static int run_block_worker_one(void *arg)
{
    (void)arg;
    return block_worker_one();
}

TEST(each_worker_is_watched)
{
    const struct weft_run_options two = {.workers = 2};
    CHECK_EQUAL(weft_run(&two, run_block_worker_one, NULL), 1);
}

REAL_TIME_FIBER_TEST(without_signals_a_stall_has_no_name)
{
    struct record *record = make_record();
    struct weft_monitor *monitor;
    struct weft_monitor_options options = quick(record);
    struct blocker blocker = {record, WEFT_MONITOR_WARNING, NULL, {0}};
    options.no_signals = 1;
    CHECK_EQUAL(weft_monitor_open(&monitor, &options), 0);
    if (spawn_named(block, &blocker, "greedy", 0) == 0) {
        CHECK_EQUAL(record->fibers[0][0], 0);
        CHECK(!record->located[0]);
        CHECK(blocker.seen.duration_ns >= options.warning_ns);
    }
    weft_monitor_close(monitor);
    free_record(record);
}

/* The times of several looks pass, in a worker that has nothing to do. */
REAL_TIME_FIBER_TEST(a_worker_that_waits_is_no_stall)
{
    struct record *record = make_record();
    struct weft_monitor *monitor;
    struct weft_monitor_options options = quick(record);
    options.critical_ns = options.warning_ns = 500 * WEFT_MSEC;
    CHECK_EQUAL(weft_monitor_open(&monitor, &options), 0);
    struct weft_monitor_snapshot sample = {0};
    while (weft_monitor_history(monitor, &sample, 1) == 0 && weft_sleep(WEFT_MSEC) == 0)
        ;
    CHECK(sample.stall_ns < options.warning_ns);
    weft_monitor_close(monitor);
    CHECK(!find(record, WEFT_MONITOR_WARNING, WEFT_MONITOR_STALL, NULL));
    free_record(record);
}

/* ---- lag ------------------------------------------------------------------------------- */

/* The first sample is an hour away. */
static struct weft_monitor_options never_sampled(struct record *record)
{
    struct weft_monitor_options options = quick(record);
    options.sample_ns = 3600 * WEFT_SEC;
    return options;
}

static int sleep_a_little(void *arg)
{
    (void)arg;
    return weft_sleep(WEFT_MSEC);
}

/* Timing one sleep per sample, as is often done, sees only the stalls that happen to meet it. */
REAL_TIME_FIBER_TEST(a_stall_between_two_samples_is_not_missed)
{
    struct record *record = make_record();
    struct weft_monitor *monitor;
    struct weft_monitor_snapshot snapshot;
    struct weft_group group;
    const struct weft_monitor_options options = never_sampled(record);
    struct blocker blocker = {record, WEFT_MONITOR_CRITICAL, NULL, {0}};
    CHECK_EQUAL(weft_monitor_open(&monitor, &options), 0);
    CHECK_EQUAL(weft_group_init(&group, NULL), 0);
    CHECK_EQUAL(weft_spawn(&group, sleep_a_little, NULL), 0);
    (void)weft_yield(); /* its timer is set, and due long before the stall is critical */
    (void)block(&blocker);
    int err = weft_group_wait(&group);
    CHECK_EQUAL(weft_monitor_snapshot(monitor, &snapshot), 0);
    if (err == 0) {
        CHECK(snapshot.lag.count > 0);
        CHECK(snapshot.lag.max_ns >= options.critical_ns - WEFT_MSEC);
        CHECK(snapshot.slice.max_ns >= options.critical_ns);
        CHECK_EQUAL(snapshot.healthy, 0);
        CHECK(snapshot.unhealthy & WEFT_MONITOR_LAG);
        CHECK(snapshot.unhealthy & WEFT_MONITOR_STALL);
    }
    weft_monitor_close(monitor);
    free_record(record);
}

REAL_TIME_FIBER_TEST(a_late_timer_is_reported_at_the_sample_and_its_recovery_too)
{
    struct record *record = make_record();
    struct weft_monitor *monitor;
    struct weft_group group;
    const struct weft_monitor_options options = quick(record);
    struct blocker blocker = {record, WEFT_MONITOR_CRITICAL, NULL, {0}};
    CHECK_EQUAL(weft_monitor_open(&monitor, &options), 0);
    CHECK_EQUAL(weft_group_init(&group, NULL), 0);
    CHECK_EQUAL(weft_spawn(&group, sleep_a_little, NULL), 0);
    (void)weft_yield();
    (void)block(&blocker);
    (void)weft_group_wait(&group);
    yield_until(record, WEFT_MONITOR_RECOVERED, WEFT_MONITOR_LAG, NULL);
    weft_monitor_close(monitor);
    CHECK(find(record, WEFT_MONITOR_RECOVERED, WEFT_MONITOR_LAG, NULL));
    free_record(record);
}

/* A deadline that had passed before anybody asked for it was missed by nobody. */
REAL_TIME_FIBER_TEST(a_timer_set_for_the_past_is_not_lag)
{
    struct weft_monitor *monitor;
    struct weft_monitor_snapshot snapshot;
    struct weft_event event;
    const struct weft_monitor_options options = {.sample_ns = 3600 * WEFT_SEC};
    CHECK_EQUAL(weft_monitor_open(&monitor, &options), 0);
    CHECK_EQUAL(weft_event_init(&event, WEFT_LOCAL), 0);
    (void)weft_yield(); /* a turn of the scheduler that is measured */
    (void)weft_sleep(1);
    (void)weft_event_wait(&event, 1); /* the first nanosecond since the machine was started */
    (void)weft_sleep(1);
    CHECK_EQUAL(weft_monitor_snapshot(monitor, &snapshot), 0);
    CHECK(snapshot.lag.max_ns < 3600 * WEFT_SEC);
    weft_monitor_close(monitor);
}

/* ---- backlog --------------------------------------------------------------------------- */

static int nothing(void *arg)
{
    (void)arg;
    return 0;
}

REAL_TIME_FIBER_TEST(runnable_is_the_real_depth_of_the_queue)
{
    struct weft_monitor *monitor;
    struct weft_monitor_snapshot before, full, empty;
    struct weft_runtime_snapshot counts;
    struct weft_group group;
    CHECK_EQUAL(weft_monitor_open(&monitor, NULL), 0);
    CHECK_EQUAL(weft_monitor_snapshot(monitor, &before), 0);
    CHECK_EQUAL(weft_group_init(&group, NULL), 0);
    for (int i = 0; i < 37; i++)
        CHECK_EQUAL(weft_spawn(&group, nothing, NULL), 0);
    CHECK_EQUAL(weft_monitor_snapshot(monitor, &full), 0);
    CHECK_EQUAL(weft_runtime_snapshot(&counts), 0);
    CHECK_EQUAL(full.runtime.runnable, before.runtime.runnable + 37);
    CHECK_EQUAL(full.runtime.fibers, before.runtime.fibers + 37);
    CHECK_EQUAL(full.runtime.spawned, before.runtime.spawned + 37);
    CHECK_EQUAL(counts.runnable, full.runtime.runnable);
    CHECK_EQUAL(counts.workers, 1);
    if (weft_group_wait(&group) == 0) {
        CHECK_EQUAL(weft_monitor_snapshot(monitor, &empty), 0);
        CHECK_EQUAL(empty.runtime.runnable, 0);
        CHECK_EQUAL(empty.runtime.fibers, before.runtime.fibers);
        CHECK(empty.runtime.switches >= full.runtime.switches + 37);
    }
    weft_monitor_close(monitor);
}

REAL_TIME_FIBER_TEST(more_runnable_fibers_than_allowed_are_a_warning)
{
    struct record *record = make_record();
    struct weft_monitor *monitor;
    struct weft_group group;
    struct weft_monitor_options options = quick(record);
    options.backlog_max = 20;
    CHECK_EQUAL(weft_monitor_open(&monitor, &options), 0);
    CHECK_EQUAL(weft_group_init(&group, NULL), 0);
    for (int i = 0; i < 21; i++)
        CHECK_EQUAL(weft_spawn(&group, nothing, NULL), 0);
    struct weft_monitor_event event =
        block_until(record, WEFT_MONITOR_WARNING, WEFT_MONITOR_BACKLOG, NULL);
    CHECK_EQUAL(event.runnable, 21);
    CHECK_EQUAL(event.worker, -1);
    (void)weft_group_wait(&group);
    yield_until(record, WEFT_MONITOR_RECOVERED, WEFT_MONITOR_BACKLOG, NULL);
    weft_monitor_close(monitor);
    free_record(record);
}

static int yield_often(void *arg)
{
    (void)arg;
    int err = 0;
    for (int i = 0; i < 100 && err == 0; i++)
        err = weft_yield();
    return err;
}

REAL_TIME_FIBER_TEST(the_wait_for_a_turn_and_the_slices_are_measured)
{
    struct weft_monitor *monitor;
    struct weft_monitor_summary summary;
    struct weft_group group;
    CHECK_EQUAL(weft_monitor_open(&monitor, NULL), 0);
    CHECK_EQUAL(weft_group_init(&group, NULL), 0);
    for (int i = 0; i < 50; i++)
        CHECK_EQUAL(weft_spawn(&group, yield_often, NULL), 0);
    int err = weft_group_wait(&group);
    weft_monitor_summary(monitor, &summary);
    if (err == 0) {
        CHECK(summary.wait.count > 0);
        CHECK(summary.slice.count > 10); /* rounds of 64 switches at most */
        CHECK(summary.slice.p50_ns <= summary.slice.p95_ns);
        CHECK(summary.slice.p99_ns <= summary.slice.max_ns);
    }
    weft_monitor_close(monitor);
}

/* ---- samples and lines ----------------------------------------------------------------- */

REAL_TIME_FIBER_TEST(history_keeps_the_latest_hundred_newest_first)
{
    struct weft_monitor *monitor;
    struct weft_monitor_summary summary = {0};
    static struct weft_monitor_snapshot samples[WEFT_MONITOR_HISTORY + 1];
    const struct weft_monitor_options options = {.sample_ns = WEFT_MSEC, .warning_ns = WEFT_SEC};
    CHECK_EQUAL(weft_monitor_open(&monitor, &options), 0);
    while (summary.samples < WEFT_MONITOR_HISTORY + 5 && weft_sleep(5 * WEFT_MSEC) == 0)
        weft_monitor_summary(monitor, &summary);
    unsigned len = weft_monitor_history(monitor, samples, WEFT_MONITOR_HISTORY + 1);
    if (summary.samples >= WEFT_MONITOR_HISTORY)
        CHECK_EQUAL(len, WEFT_MONITOR_HISTORY);
    for (unsigned i = 1; i < len; i++) {
        CHECK(samples[i].at_ns < samples[i - 1].at_ns);
        CHECK_EQUAL(samples[i - 1].span_ns, samples[i - 1].at_ns - samples[i].at_ns);
        CHECK_EQUAL(samples[i].runtime.fibers, 1);
    }
    weft_monitor_close(monitor);
}

/* The fields of a line, in order. */
static const char *const sample_keys[] = {
    "{\"time\":\"",
    "\"level\":\"",
    "\"event\":\"sample\"",
    "\"monitor\":\"main loop\"",
    "\"healthy\":",
    "\"stall\":",
    "\"lag\":",
    "\"backlog\":",
    "\"span_ns\":",
    "\"workers\":",
    "\"fibers\":",
    "\"runnable\":",
    "\"spawned\":",
    "\"switches\":",
    "\"lag_p50_ns\":",
    "\"lag_p95_ns\":",
    "\"lag_p99_ns\":",
    "\"lag_max_ns\":",
    "\"wait_p50_ns\":",
    "\"wait_max_ns\":",
    "\"slice_p50_ns\":",
    "\"slice_max_ns\":",
    "\"stall_ns\":",
    "\"stalls\":",
};

REAL_TIME_FIBER_TEST(samples_and_stalls_are_lines_of_json)
{
    struct record *record = make_record();
    struct weft_monitor *monitor;
    struct weft_monitor_options options = quick(record);
    struct blocker blocker = {record, WEFT_MONITOR_WARNING, NULL, {0}};
    options.name = "main loop";
    options.line = note_line;
    options.line_arg = record;
    CHECK_EQUAL(weft_monitor_open(&monitor, &options), 0);
    (void)weft_sleep(WEFT_MSEC);
    int err = spawn_named(block, &blocker, "a \"greedy\" one", 0);
    (void)pthread_mutex_lock(&record->lock);
    while (!strstr(record->lines, "\"event\":\"sample\""))
        (void)pthread_cond_wait(&record->news, &record->lock);
    (void)pthread_mutex_unlock(&record->lock);
    weft_monitor_close(monitor);
    const char *at = record->lines;
    const char *sample = strstr(at, "\"event\":\"sample\"");
    while (sample && sample > at && sample[-1] != '\n')
        sample--;
    for (size_t i = 0; sample && i < sizeof sample_keys / sizeof sample_keys[0]; i++) {
        const char *found = strstr(sample, sample_keys[i]);
        CHECK(found);
        sample = found ? found : sample;
    }
    if (err == 0) {
        CHECK(strstr(at, "\"level\":\"warning\",\"event\":\"stall\",\"monitor\":\"main loop\","
                         "\"worker\":0,\"duration_ns\":"));
        CHECK(strstr(at, "\"fiber\":\"a \\\"greedy\\\" one\",\"function\":\""));
        CHECK(strstr(at, "\"backtrace\":[\""));
    }
    free_record(record);
}

REAL_TIME_FIBER_TEST(lines_go_to_a_descriptor_and_what_it_does_not_take_is_counted)
{
    struct weft_monitor *monitor;
    struct weft_monitor_summary summary = {0};
    char text[4096] = {0};
    int ends[2];
    REQUIRE(pipe(ends) == 0);
    struct weft_monitor_options options = quick(NULL);
    options.log_fd = ends[1];
    CHECK_EQUAL(weft_monitor_open(&monitor, &options), 0);
    ssize_t len = read(ends[0], text, sizeof text - 1); /* blocks until a line is there */
    weft_monitor_close(monitor);
    CHECK(len > 0);
    CHECK(strstr(text, "\"event\":\"sample\"") && strchr(text, '\n'));
    (void)close(ends[1]);

    options.log_fd = ends[0]; /* only for reading */
    CHECK_EQUAL(weft_monitor_open(&monitor, &options), 0);
    while (summary.lines_lost == 0)
        weft_monitor_summary(monitor, &summary);
    weft_monitor_close(monitor);
    (void)close(ends[0]);
}

/* ---- beginning and end ----------------------------------------------------------------- */

FIBER_TEST(a_virtual_clock_has_no_lag_to_monitor)
{
    struct weft_monitor *monitor = NULL;
    CHECK_EQUAL(weft_monitor_open(&monitor, NULL), -ENOTSUP);
    CHECK(!monitor);
    weft_monitor_close(NULL);
}

TEST(outside_a_runtime_there_is_nothing_to_monitor)
{
    struct weft_monitor *monitor;
    struct weft_runtime_snapshot counts;
    CHECK_EQUAL(weft_monitor_open(&monitor, NULL), -EPERM);
    CHECK_EQUAL(weft_runtime_snapshot(&counts), -EPERM);
}

REAL_TIME_FIBER_TEST(options_that_make_no_sense_are_refused)
{
    static const char too_long[] =
        "0123456789012345678901234567890123456789012345678901234567890123";
    static const struct weft_monitor_options wrong[] = {
        {.sample_ns = -1},
        {.sample_ns = 999},
        {.warning_ns = -WEFT_SEC},
        {.warning_ns = 3601 * WEFT_SEC},
        {.warning_ns = WEFT_SEC, .critical_ns = WEFT_SEC - 1},
        {.critical_ns = WEFT_MSEC},
        {.log_fd = -1},
        {.name = too_long},
    };
    struct weft_monitor *monitor = NULL;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        CHECK_EQUAL(weft_monitor_open(&monitor, &wrong[i]), -EINVAL);
    CHECK(!monitor);
}

REAL_TIME_FIBER_TEST(monitors_come_and_go_and_stand_side_by_side)
{
    struct weft_monitor *monitors[3];
    const struct weft_monitor_options options = quick(NULL);
    for (int round = 0; round < 5; round++) {
        for (int i = 0; i < 3; i++)
            CHECK_EQUAL(weft_monitor_open(&monitors[i], &options), 0);
        (void)weft_sleep(WEFT_MSEC);
        for (int i = 0; i < 3; i++)
            weft_monitor_close(monitors[(i + round) % 3]);
    }
}

/* A monitor's times begin when it is opened, whatever was measured for another before. */
REAL_TIME_FIBER_TEST(a_second_monitor_begins_at_zero)
{
    struct weft_monitor *first, *second;
    struct weft_monitor_summary summary;
    CHECK_EQUAL(weft_monitor_open(&first, NULL), 0);
    for (int i = 0; i < 1000; i++)
        (void)weft_yield();
    CHECK_EQUAL(weft_monitor_open(&second, NULL), 0);
    weft_monitor_summary(second, &summary);
    CHECK_EQUAL(summary.slice.count, 0);
    CHECK_EQUAL(summary.slice.max_ns, 0);
    weft_monitor_close(first);
    weft_monitor_close(second);
}

static struct weft_monitor *left_open;

static int leave_open(void *arg)
{
    const struct weft_monitor_options options = {.sample_ns = 3600 * WEFT_SEC};
    (void)arg;
    int err = weft_monitor_open(&left_open, &options);
    for (int i = 0; i < 1000 && err == 0; i++)
        err = weft_yield();
    return err;
}

TEST(a_monitor_left_open_ends_with_its_runtime_and_keeps_what_it_saw)
{
    struct weft_monitor_snapshot snapshot;
    struct weft_monitor_summary summary;
    CHECK_EQUAL(weft_run(NULL, leave_open, NULL), 0);
    CHECK_EQUAL(weft_monitor_snapshot(left_open, &snapshot), -ESHUTDOWN);
    CHECK_EQUAL(weft_monitor_history(left_open, &snapshot, 1), 1);
    CHECK_EQUAL(snapshot.runtime.fibers, 0);
    weft_monitor_summary(left_open, &summary);
    CHECK_EQUAL(summary.samples, 1);
    CHECK(summary.slice.count > 0);
    weft_monitor_close(left_open);
}

static int leave_open_with_log(void *arg)
{
    const struct weft_monitor_options options = {.sample_ns = 3600 * WEFT_SEC,
                                                 .log_fd = *(const int *)arg};
    return weft_monitor_open(&left_open, &options);
}

TEST(the_last_line_of_a_log_that_nobody_reads_is_lost_and_harms_nobody)
{
    struct weft_monitor_summary summary;
    int fds[2];
    REQUIRE(pipe(fds) == 0);
    (void)close(fds[0]);
    CHECK_EQUAL(weft_run(NULL, leave_open_with_log, &fds[1]), 0);
    weft_monitor_summary(left_open, &summary);
    CHECK_EQUAL(summary.lines_lost, 1);
    weft_monitor_close(left_open);
    (void)close(fds[1]);
}

/* ThreadSanitizer lets a child of a program with threads start none. */
static const bool children_start_threads =
#ifdef WEFT_TSAN
    false;
#else
    true;
#endif

/* In a child the monitor's thread does not exist, and may have held its locks. */
static void look_in_child(struct weft_monitor *monitor)
{
    struct weft_monitor_snapshot snapshot;
    struct weft_monitor_summary summary;
    struct weft_metrics *page;
    if (weft_monitor_snapshot(monitor, &snapshot) != -EPERM)
        _exit(1);
    if (weft_monitor_history(monitor, &snapshot, 1) != 0)
        _exit(2);
    weft_monitor_summary(monitor, &summary);
    if (summary.samples != 0)
        _exit(3);
    if (weft_metrics_open(&page, NULL) < 0 || weft_metrics_add_monitor(page, monitor) != -EPERM)
        _exit(4);
    weft_metrics_close(page);
    weft_monitor_close(monitor);
    if (!children_start_threads)
        _exit(0);
    if (weft_run(NULL, leave_open, NULL) != 0)
        _exit(5);
    _exit(weft_monitor_history(left_open, &snapshot, 1) == 1 ? 0 : 6);
}

REAL_TIME_FIBER_TEST(in_a_child_of_fork_a_monitor_is_empty_and_a_new_one_works)
{
    struct weft_monitor *monitor;
    struct weft_monitor_summary summary = {0};
    const struct weft_monitor_options options = quick(NULL);
    CHECK_EQUAL(weft_monitor_open(&monitor, &options), 0);
    while (summary.samples == 0)
        weft_monitor_summary(monitor, &summary);
    for (int i = 0; i < 5; i++) {
        int status = -1;
        pid_t pid = fork();
        if (pid == 0)
            look_in_child(monitor);
        CHECK_EQUAL(waitpid(pid, &status, 0), pid);
        CHECK_EQUAL(status, 0);
    }
    weft_monitor_close(monitor);
}

/* ---- many at once ---------------------------------------------------------------------- */

static int compute(void *arg)
{
    (void)arg;
    int64_t end_ns = weft_now() + 3 * WEFT_MSEC;
    while (weft_now() < end_ns)
        continue;
    return 0;
}

/* One for a while, one to be closed by another fiber. */
static int open_monitors(void *arg)
{
    struct weft_monitor **left = arg, *monitor;
    struct weft_monitor_snapshot snapshot;
    const struct weft_monitor_options options = quick(NULL);
    int err = weft_monitor_open(&monitor, &options);
    if (err < 0)
        return err;
    err = weft_monitor_open(left, &options);
    (void)compute(NULL);
    if (err == 0)
        err = weft_monitor_snapshot(*left, &snapshot);
    weft_monitor_close(monitor);
    return err;
}

static int close_monitor(void *arg)
{
    struct weft_monitor **left = arg;
    weft_monitor_close(*left);
    return 0;
}

static int everywhere(int (*fn)(void *), struct weft_monitor **left)
{
    const struct weft_spawn_options anywhere = {.worker = WEFT_ANY_WORKER};
    struct weft_group group;
    int err = weft_group_init(&group, NULL);
    if (err < 0)
        return err;
    for (int i = 0; i < 8 && err == 0; i++)
        err = weft_spawn_with(&group, fn, &left[i], &anywhere);
    int result = weft_group_wait(&group);
    return err < 0 ? err : result;
}

static int watch_everywhere(void *arg)
{
    struct weft_monitor *left[8] = {0};
    (void)arg;
    int err = everywhere(open_monitors, left);
    int closed = everywhere(close_monitor, left);
    return err < 0 ? err : closed;
}

TEST(monitors_are_opened_and_closed_by_all_workers_at_once_run_after_run)
{
    const struct weft_run_options options = {.workers = 4};
    for (int i = 0; i < 10; i++)
        CHECK_EQUAL(weft_run(&options, watch_everywhere, NULL), 0);
}

static int wait_for_nothing(void *arg)
{
    struct weft_event *event = arg;
    return weft_event_wait(event, WEFT_FOREVER);
}

static int deadlock(void *arg)
{
    struct weft_monitor *monitor;
    struct weft_event event;
    (void)arg;
    int err = weft_monitor_open(&monitor, NULL);
    if (err < 0)
        return err;
    (void)weft_event_init(&event, WEFT_AUTO);
    err = wait_for_nothing(&event);
    weft_monitor_close(monitor);
    return err;
}

TEST(a_monitor_does_not_keep_a_deadlock_from_being_found)
{
    const struct weft_run_options two = {.workers = 2};
    CHECK_EQUAL(weft_run(NULL, deadlock, NULL), -EDEADLK);
    CHECK_EQUAL(weft_run(&two, deadlock, NULL), -EDEADLK);
}

static int monitor_in_debug_mode(void *arg)
{
    (void)arg;
    struct weft_monitor *monitor;
    const struct weft_monitor_options options = quick(NULL);
    int err = weft_monitor_open(&monitor, &options);
    if (err == 0)
        err = weft_sleep(5 * WEFT_MSEC);
    if (err == 0)
        weft_monitor_close(monitor);
    return err;
}

TEST(monitor_and_debug_mode_share_one_thread)
{
    const struct weft_run_options options = {.debug = WEFT_DEBUG_ON, .hog_ns = WEFT_SEC};
    CHECK_EQUAL(weft_run(&options, monitor_in_debug_mode, NULL), 0);
}
