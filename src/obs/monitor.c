/* SPDX-License-Identifier: MIT
 * monitor.c - see weft/monitor.h.
 *
 * The meters of the workers only ever grow. A monitor keeps what they had said at its last sample;
 * the difference to what they say now is what has happened since. */
#include <base/time.h>
#include <flow/pattern.h>
#include <obs/monitor_internal.h>
#include <obs/times.h>
#include <os/clock.h>
#include <os/symbol.h>
#include <runtime/fork.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SAMPLE_DEFAULT_NS  WEFT_SEC
#define WARNING_DEFAULT_NS (100 * WEFT_MSEC)
#define CRITICAL_FACTOR    5
#define BACKLOG_DEFAULT    1000u
#define DURATION_MIN_NS    WEFT_MSEC
#define DURATION_MAX_NS    (3600 * WEFT_SEC)
#define FRAMES_OURS        2 /* of the signal's handler */

/* ---- samples --------------------------------------------------------------------------- */

/* Under the lock: what was measured since the last sample goes to monitor->since. */
static struct weft_times measure(struct weft_monitor *monitor, enum weft_measure measure)
{
    weft_histogram_clear(monitor->now);
    weft_histogram_clear(monitor->since);
    weft_meter_collect(monitor->runtime, measure, monitor->now);
    weft_histogram_merge(monitor->since, monitor->now);
    weft_histogram_subtract(monitor->since, monitor->latest[measure]);
    return weft_times_of(monitor->since);
}

/* After measure(): count it as seen. */
static void keep(struct weft_monitor *monitor, enum weft_measure measure)
{
    struct weft_histogram *now = monitor->now;
    weft_histogram_merge(monitor->total[measure], monitor->since);
    monitor->now = monitor->latest[measure];
    monitor->latest[measure] = now;
}

const struct weft_histogram *weft_monitor_total(struct weft_monitor *monitor,
                                                enum weft_measure wanted)
{
    if (monitor->ended)
        return monitor->total[wanted];
    (void)measure(monitor, wanted);
    weft_histogram_merge(monitor->since, monitor->total[wanted]);
    return monitor->since;
}

static int64_t longest_stall(const struct weft_monitor *monitor, int64_t now_ns)
{
    int64_t longest_ns = 0;
    for (unsigned i = 0; i < monitor->runtime->workers_len; i++) {
        int64_t age_ns =
            weft_slice_age(&monitor->workers[i].slice, &monitor->runtime->workers[i], now_ns);
        longest_ns = age_ns > longest_ns ? age_ns : longest_ns;
    }
    return longest_ns;
}

/* The longest that anything came too late. */
static int64_t lag_max(const struct weft_monitor_snapshot *sample)
{
    return sample->lag.max_ns > sample->wait.max_ns ? sample->lag.max_ns : sample->wait.max_ns;
}

static unsigned judge(const struct weft_monitor_options *options,
                      const struct weft_monitor_snapshot *sample)
{
    unsigned causes = 0;
    if (sample->slice.max_ns >= options->warning_ns || sample->stall_ns >= options->warning_ns)
        causes |= WEFT_MONITOR_STALL;
    if (lag_max(sample) >= options->warning_ns)
        causes |= WEFT_MONITOR_LAG;
    if (sample->runtime.runnable > options->backlog_max)
        causes |= WEFT_MONITOR_BACKLOG;
    return causes;
}

/* Under the lock.
 * keeping  it is a sample: the next one begins here */
static void take_snapshot(struct weft_monitor *monitor, bool keeping,
                          struct weft_monitor_snapshot *ret)
{
    struct weft_times *const times[WEFT_MEASURES] = {
        [WEFT_MEASURE_LAG] = &ret->lag,
        [WEFT_MEASURE_WAIT] = &ret->wait,
        [WEFT_MEASURE_SLICE] = &ret->slice,
    };
    int64_t now_ns = weft_clock_monotonic_ns();
    *ret = (struct weft_monitor_snapshot){
        .at_ns = now_ns,
        .unix_us = weft_clock_unix_us(),
        .span_ns = now_ns - monitor->sampled_at_ns,
        .stall_ns = longest_stall(monitor, now_ns),
        .stalls = monitor->counts.stalls,
    };
    weft_runtime_count(monitor->runtime, &ret->runtime);
    for (unsigned i = 0; i < WEFT_MEASURES; i++) {
        *times[i] = measure(monitor, (enum weft_measure)i);
        if (keeping)
            keep(monitor, (enum weft_measure)i);
    }
    ret->unhealthy = judge(&monitor->options, ret);
    ret->healthy = ret->unhealthy == 0;
}

static void remember(struct weft_monitor *monitor, const struct weft_monitor_snapshot *sample)
{
    struct weft_monitor_summary *counts = &monitor->counts;
    monitor->sampled_at_ns = sample->at_ns;
    monitor->history[monitor->history_next] = *sample;
    monitor->history_next = (monitor->history_next + 1) % WEFT_MONITOR_HISTORY;
    if (monitor->history_len < WEFT_MONITOR_HISTORY)
        monitor->history_len++;
    counts->samples++;
    counts->unhealthy_samples += !sample->healthy;
    if (sample->runtime.fibers > counts->fibers_max)
        counts->fibers_max = sample->runtime.fibers;
    if (sample->runtime.runnable > counts->runnable_max)
        counts->runnable_max = sample->runtime.runnable;
}

static void take_sample(struct weft_monitor *monitor, struct weft_monitor_snapshot *ret)
{
    weft_lock(&monitor->lock);
    take_snapshot(monitor, true, ret);
    remember(monitor, ret);
    weft_unlock(&monitor->lock);
    weft_monitor_log_sample(monitor, ret);
}

/* ---- events, on the thread that looks -------------------------------------------------- */

static void tell(struct weft_monitor *monitor, const struct weft_monitor_event *event)
{
    weft_lock(&monitor->lock);
    monitor->counts.warnings += event->kind == WEFT_MONITOR_WARNING;
    monitor->counts.criticals += event->kind == WEFT_MONITOR_CRITICAL;
    monitor->counts.stalls +=
        event->kind == WEFT_MONITOR_WARNING && event->cause == WEFT_MONITOR_STALL;
    weft_unlock(&monitor->lock);
    weft_monitor_log_event(monitor, event);
    if (monitor->options.on_event)
        monitor->options.on_event(monitor->options.on_event_arg, event);
}

static struct weft_monitor_event event_of(const struct weft_monitor *monitor,
                                          enum weft_monitor_cause cause)
{
    struct weft_runtime_snapshot counted;
    weft_runtime_count(monitor->runtime, &counted);
    return (struct weft_monitor_event){
        .cause = cause,
        .name = monitor->name,
        .at_ns = weft_clock_monotonic_ns(),
        .worker = -1,
        .runnable = counted.runnable,
    };
}

/* Say so when a level has changed. */
static void compare(struct weft_monitor *monitor, enum weft_badness *level, enum weft_badness now,
                    enum weft_monitor_cause cause, const struct weft_monitor_snapshot *sample)
{
    static const enum weft_monitor_event_kind kinds[] = {
        [WEFT_FINE] = WEFT_MONITOR_RECOVERED,
        [WEFT_WARNED] = WEFT_MONITOR_WARNING,
        [WEFT_ALARMED] = WEFT_MONITOR_CRITICAL,
    };
    enum weft_badness before = *level;
    *level = now;
    if (now == before || (now != WEFT_FINE && now < before))
        return; /* better, but not good */
    struct weft_monitor_event event = event_of(monitor, cause);
    event.kind = kinds[now];
    event.at_ns = sample->at_ns;
    event.runnable = sample->runtime.runnable;
    if (cause == WEFT_MONITOR_LAG)
        event.duration_ns = lag_max(sample);
    tell(monitor, &event);
}

static void judge_sample(struct weft_monitor *monitor, const struct weft_monitor_snapshot *sample)
{
    enum weft_badness lag = WEFT_FINE, backlog = WEFT_FINE;
    if (sample->unhealthy & WEFT_MONITOR_LAG)
        lag = lag_max(sample) >= monitor->options.critical_ns ? WEFT_ALARMED : WEFT_WARNED;
    if (sample->unhealthy & WEFT_MONITOR_BACKLOG)
        backlog = WEFT_WARNED;
    compare(monitor, &monitor->lag, lag, WEFT_MONITOR_LAG, sample);
    compare(monitor, &monitor->backlog, backlog, WEFT_MONITOR_BACKLOG, sample);
}

/* ---- stalls, on the thread that looks -------------------------------------------------- */

/* A fiber runs for long: find out which, and say so. */
static void tell_stall(struct weft_monitor *monitor, unsigned index,
                       enum weft_monitor_event_kind kind, int64_t now_ns)
{
    struct weft_monitored *seen = &monitor->workers[index];
    char function[WEFT_SYMBOL_MAX], spawned_at[WEFT_SYMBOL_MAX];
    const struct weft_capture *capture = NULL;
    if (monitor->capturing)
        capture = weft_capture_ask(&monitor->runtime->workers[index], seen->slice.fiber);
    struct weft_monitor_event event = event_of(monitor, WEFT_MONITOR_STALL);
    event.kind = kind;
    event.worker = (int)index;
    event.duration_ns = now_ns - seen->slice.since_ns;
    if (capture) {
        memcpy(seen->fiber, capture->name, sizeof seen->fiber);
        weft_symbol_format(capture->fn, function, sizeof function);
        event.function = function;
    }
    if (capture && capture->spawned_at) {
        weft_symbol_format_call(capture->spawned_at, spawned_at, sizeof spawned_at);
        event.spawned_at = spawned_at;
    }
    if (capture && capture->frames_len > FRAMES_OURS) {
        event.frames = capture->frames + FRAMES_OURS;
        event.frames_len = (unsigned)capture->frames_len - FRAMES_OURS;
    }
    event.fiber = seen->fiber[0] ? seen->fiber : NULL;
    tell(monitor, &event);
}

static void tell_recovered(struct weft_monitor *monitor, unsigned index, const char *fiber,
                           int64_t duration_ns)
{
    struct weft_monitor_event event = event_of(monitor, WEFT_MONITOR_STALL);
    event.kind = WEFT_MONITOR_RECOVERED;
    event.worker = (int)index;
    event.duration_ns = duration_ns;
    event.fiber = fiber[0] ? fiber : NULL;
    tell(monitor, &event);
}

static void look_at(struct weft_monitor *monitor, unsigned index)
{
    struct weft_monitored *seen = &monitor->workers[index];
    const struct weft_slice before = seen->slice;
    int64_t now_ns = weft_clock_monotonic_ns();
    weft_lock(&monitor->lock);
    bool same = weft_slice_look(&seen->slice, &monitor->runtime->workers[index], now_ns,
                                monitor->options.warning_ns);
    enum weft_badness level = WEFT_FINE;
    if (weft_slice_exceeds(&seen->slice, now_ns, monitor->options.critical_ns))
        level = WEFT_ALARMED;
    else if (weft_slice_exceeds(&seen->slice, now_ns, monitor->options.warning_ns))
        level = WEFT_WARNED;
    bool worse = level > seen->slice.told;
    if (worse)
        seen->slice.told = level;
    weft_unlock(&monitor->lock);
    if (!same && before.told) {
        tell_recovered(monitor, index, seen->fiber, now_ns - before.since_ns);
        seen->fiber[0] = '\0';
    }
    if (worse && before.told < WEFT_WARNED)
        tell_stall(monitor, index, WEFT_MONITOR_WARNING, now_ns);
    if (worse && level == WEFT_ALARMED)
        tell_stall(monitor, index, WEFT_MONITOR_CRITICAL, now_ns);
}

static int64_t look(struct weft_watcher *watcher, int64_t now_ns)
{
    struct weft_monitor *monitor = weft_container_of(watcher, struct weft_monitor, watcher);
    struct weft_monitor_snapshot sample;
    for (unsigned i = 0; i < monitor->runtime->workers_len; i++)
        look_at(monitor, i);
    if (now_ns >= monitor->next_sample_ns) {
        take_sample(monitor, &sample);
        monitor->next_sample_ns = weft_time_after(now_ns, monitor->options.sample_ns);
        judge_sample(monitor, &sample);
    }
    int64_t look_ns =
        weft_time_after(weft_clock_monotonic_ns(), weft_slice_pause(monitor->options.warning_ns));
    return look_ns < monitor->next_sample_ns ? look_ns : monitor->next_sample_ns;
}

/* The workers are still there, but run nothing any more. */
static void ended(struct weft_watcher *watcher)
{
    struct weft_monitor *monitor = weft_container_of(watcher, struct weft_monitor, watcher);
    struct weft_monitor_snapshot sample;
    take_sample(monitor, &sample);
    weft_lock(&monitor->lock);
    monitor->ended = true;
    weft_unlock(&monitor->lock);
    if (monitor->capturing)
        weft_capture_stop();
}

/* ---- beginning and end ----------------------------------------------------------------- */

bool weft_monitor_forked(const struct weft_monitor *monitor)
{
    return monitor->fork_count != weft_fork_count;
}

static bool outside(int64_t duration_ns)
{
    return duration_ns < DURATION_MIN_NS || duration_ns > DURATION_MAX_NS;
}

/* Returns 0, -EINVAL */
static int read_options(struct weft_monitor *monitor, const struct weft_monitor_options *options)
{
    struct weft_monitor_options *ours = &monitor->options;
    *ours = *options;
    ours->name = NULL; /* it is in monitor->name */
    if (ours->sample_ns == 0)
        ours->sample_ns = SAMPLE_DEFAULT_NS;
    if (ours->warning_ns == 0)
        ours->warning_ns = WARNING_DEFAULT_NS;
    if (outside(ours->sample_ns) || outside(ours->warning_ns))
        return -EINVAL;
    if (ours->critical_ns == 0) {
        ours->critical_ns = CRITICAL_FACTOR * ours->warning_ns;
        if (ours->critical_ns > DURATION_MAX_NS)
            ours->critical_ns = DURATION_MAX_NS;
    }
    if (outside(ours->critical_ns) || ours->critical_ns < ours->warning_ns || ours->log_fd < 0)
        return -EINVAL;
    if (ours->backlog_max == 0)
        ours->backlog_max = BACKLOG_DEFAULT;
    return weft_pattern_name(monitor->name, options->name, "monitor");
}

static void free_monitor(struct weft_monitor *monitor)
{
    for (unsigned i = 0; i < WEFT_MEASURES; i++) {
        weft_histogram_close(monitor->latest[i]);
        weft_histogram_close(monitor->total[i]);
    }
    weft_histogram_close(monitor->now);
    weft_histogram_close(monitor->since);
    free(monitor->workers);
    free(monitor);
}

static int make_parts(struct weft_monitor *monitor)
{
    int err = 0;
    for (unsigned i = 0; i < WEFT_MEASURES && err == 0; i++) {
        err = weft_histogram_open(&monitor->latest[i]);
        if (err == 0)
            err = weft_histogram_open(&monitor->total[i]);
    }
    if (err == 0)
        err = weft_histogram_open(&monitor->now);
    if (err == 0)
        err = weft_histogram_open(&monitor->since);
    monitor->workers = calloc(monitor->runtime->workers_len, sizeof *monitor->workers);
    return monitor->workers ? err : -ENOMEM;
}

/* From here on the meters count for this monitor, and its thread looks. */
static int start(struct weft_monitor *monitor)
{
    struct weft_runtime *runtime = monitor->runtime;
    int err = weft_meter_begin(runtime);
    if (err < 0)
        return err;
    for (unsigned i = 0; i < WEFT_MEASURES; i++)
        weft_meter_collect(runtime, (enum weft_measure)i, monitor->latest[i]);
    monitor->sampled_at_ns = weft_clock_monotonic_ns();
    monitor->next_sample_ns = weft_time_after(monitor->sampled_at_ns, monitor->options.sample_ns);
    monitor->capturing = !monitor->options.no_signals && weft_capture_start() == 0;
    if (monitor->capturing)
        weft_watch_attach_all(runtime);
    err = weft_watcher_add(runtime, &monitor->watcher);
    if (err == 0)
        return 0;
    if (monitor->capturing)
        weft_capture_stop();
    weft_meter_end(runtime);
    return err;
}

int weft_monitor_open(struct weft_monitor **ret_monitor, const struct weft_monitor_options *options)
{
    static const struct weft_monitor_options defaults;
    const struct weft_worker *worker = weft_current_worker;
    if (!worker)
        return -EPERM;
    if (worker->clock == WEFT_CLOCK_VIRTUAL)
        return -ENOTSUP;
    struct weft_monitor *monitor = calloc(1, sizeof *monitor);
    if (!monitor)
        return -ENOMEM;
    monitor->watcher.look = look;
    monitor->watcher.ended = ended;
    monitor->runtime = worker->runtime;
    monitor->fork_count = weft_fork_count;
    int err = read_options(monitor, options ? options : &defaults);
    if (err == 0)
        err = make_parts(monitor);
    if (err == 0)
        err = start(monitor);
    if (err < 0)
        free_monitor(monitor);
    else
        *ret_monitor = monitor;
    return err;
}

void weft_monitor_close(struct weft_monitor *monitor)
{
    if (!monitor || weft_monitor_forked(monitor))
        return;
    if (!monitor->ended) {
        weft_watcher_remove(monitor->runtime, &monitor->watcher);
        weft_meter_end(monitor->runtime);
        if (monitor->capturing)
            weft_capture_stop();
    }
    free_monitor(monitor);
}

/* ---- what it has seen ------------------------------------------------------------------ */

int weft_monitor_snapshot(struct weft_monitor *monitor, struct weft_monitor_snapshot *ret)
{
    if (weft_monitor_forked(monitor))
        return -EPERM;
    weft_lock(&monitor->lock);
    bool over = monitor->ended;
    if (!over)
        take_snapshot(monitor, false, ret);
    weft_unlock(&monitor->lock);
    return over ? -ESHUTDOWN : 0;
}

unsigned weft_monitor_history(struct weft_monitor *monitor,
                              struct weft_monitor_snapshot *ret_samples, unsigned samples_max)
{
    if (weft_monitor_forked(monitor))
        return 0;
    weft_lock(&monitor->lock);
    unsigned len = monitor->history_len < samples_max ? monitor->history_len : samples_max;
    for (unsigned i = 0; i < len; i++) {
        unsigned back = monitor->history_next + WEFT_MONITOR_HISTORY - 1 - i;
        ret_samples[i] = monitor->history[back % WEFT_MONITOR_HISTORY];
    }
    weft_unlock(&monitor->lock);
    return len;
}

void weft_monitor_summary(struct weft_monitor *monitor, struct weft_monitor_summary *ret)
{
    *ret = (struct weft_monitor_summary){0};
    if (weft_monitor_forked(monitor))
        return;
    weft_lock(&monitor->lock);
    *ret = monitor->counts;
    ret->lag = weft_times_of(weft_monitor_total(monitor, WEFT_MEASURE_LAG));
    ret->wait = weft_times_of(weft_monitor_total(monitor, WEFT_MEASURE_WAIT));
    ret->slice = weft_times_of(weft_monitor_total(monitor, WEFT_MEASURE_SLICE));
    weft_unlock(&monitor->lock);
}
