/* SPDX-License-Identifier: MIT
 * metrics_weft.c - a runtime, its monitor, and timings as metrics. */
#include <obs/metrics_fields.h>
#include <obs/monitor_internal.h>
#include <obs/timing.h>
#include <runtime/worker.h>

#include <errno.h>

static const struct weft_field runtime_fields[] = {
    WEFT_FIELD(struct weft_runtime_snapshot, workers, GAUGE, "weft_workers",
               "Threads that run fibers."),
    WEFT_FIELD(struct weft_runtime_snapshot, fibers, GAUGE, "weft_fibers", "Fibers that live."),
    WEFT_FIELD(struct weft_runtime_snapshot, runnable, GAUGE, "weft_fibers_runnable",
               "Fibers that wait for their turn."),
    WEFT_FIELD(struct weft_runtime_snapshot, spawned, COUNTER, "weft_fibers_spawned_total",
               "Fibers that were started."),
    WEFT_FIELD(struct weft_runtime_snapshot, switches, COUNTER, "weft_switches_total",
               "Times a fiber began to run or went on."),
};

int weft_metrics_add_runtime(struct weft_metrics *metrics, const char *name)
{
    struct weft_runtime_snapshot counts;
    const struct weft_label labels[] = {{name ? "runtime" : NULL, name}, {NULL, NULL}};
    int err = weft_runtime_snapshot(&counts);
    if (err < 0)
        return err;
    return weft_metrics_add_fields(metrics, WEFT_FIELDS(runtime_fields), &counts, labels);
}

/* ---- monitors -------------------------------------------------------------------------- */

static const struct weft_field monitor_fields[] = {
    WEFT_FIELD(struct weft_monitor_summary, samples, COUNTER, "weft_monitor_samples_total",
               "Samples taken."),
    WEFT_FIELD(struct weft_monitor_summary, unhealthy_samples, COUNTER,
               "weft_monitor_samples_unhealthy_total", "Samples with a stall, lag or backlog."),
    WEFT_FIELD(struct weft_monitor_summary, stalls, COUNTER, "weft_stalls_total",
               "Fibers that ran for too long without giving way."),
    WEFT_FIELD(struct weft_monitor_summary, warnings, COUNTER, "weft_monitor_events_total",
               "Stalls, lags and backlogs noticed, and those that got critical.",
               .label = {"level", "warning"}),
    WEFT_FIELD(struct weft_monitor_summary, criticals, COUNTER, "weft_monitor_events_total", NULL,
               .label = {"level", "critical"}),
    WEFT_FIELD(struct weft_monitor_summary, lines_lost, COUNTER, "weft_monitor_lines_lost_total",
               "Lines of the log that could not be written."),
    WEFT_FIELD(struct weft_monitor_summary, runnable_max, GAUGE, "weft_fibers_runnable_max",
               "Most fibers that waited for their turn, in samples."),
};

static const struct weft_field stall_fields[] = {
    WEFT_FIELD(struct weft_monitor_snapshot, healthy, GAUGE, "weft_healthy",
               "1 when there is no stall, lag or backlog since the latest sample."),
    WEFT_FIELD(struct weft_monitor_snapshot, stall_ns, GAUGE, "weft_stall_seconds",
               "For how long the fiber runs that has run the longest; 0 when all give way."),
};

static const struct {
    const char *family, *help;
} measures[WEFT_MEASURES] = {
    [WEFT_MEASURE_LAG] = {"weft_timer_lag_seconds", "How much too late timers fired."},
    [WEFT_MEASURE_WAIT] = {"weft_turn_wait_seconds",
                           "How long fibers that became runnable waited for their turn."},
    [WEFT_MEASURE_SLICE] = {"weft_slice_seconds",
                            "How long fibers ran without a look at timers and descriptors."},
};

int weft_metrics_add_monitor(struct weft_metrics *metrics, struct weft_monitor *monitor)
{
    struct weft_monitor_summary summary;
    struct weft_monitor_snapshot snapshot;
    const struct weft_label labels[] = {{"monitor", monitor->name}, {NULL, NULL}};
    if (weft_monitor_forked(monitor))
        return -EPERM;
    weft_monitor_summary(monitor, &summary);
    int err = weft_metrics_add_fields(metrics, WEFT_FIELDS(monitor_fields), &summary, labels);
    if (err == 0 && weft_monitor_snapshot(monitor, &snapshot) == 0)
        err = weft_metrics_add_fields(metrics, WEFT_FIELDS(stall_fields), &snapshot, labels);
    weft_lock(&monitor->lock);
    for (unsigned i = 0; i < WEFT_MEASURES && err == 0; i++)
        err = weft_metrics_add_times(metrics, measures[i].family, measures[i].help, labels,
                                     weft_monitor_total(monitor, (enum weft_measure)i));
    weft_unlock(&monitor->lock);
    return err;
}

/* ---- timings --------------------------------------------------------------------------- */

static const struct weft_field timing_fields[] = {
    WEFT_FIELD(struct weft_timing_snapshot, running, GAUGE, "weft_calls_running",
               "Timed calls that have not returned."),
    WEFT_FIELD(struct weft_timing_snapshot, failures, COUNTER, "weft_calls_failed_total",
               "Timed calls with a negative result, other than cancelled ones."),
    WEFT_FIELD(struct weft_timing_snapshot, cancelled, COUNTER, "weft_calls_cancelled_total",
               "Timed calls that were cancelled."),
};

int weft_metrics_add_timing(struct weft_metrics *metrics, struct weft_timing *timing)
{
    const struct weft_label labels[] = {{"call", timing->name}, {NULL, NULL}};
    int err = weft_guard_admit(&timing->guard);
    if (err < 0)
        return err;
    const struct weft_timing_snapshot counts = {
        .running = timing->running,
        .failures = timing->failures,
        .cancelled = timing->cancelled,
    };
    err = weft_metrics_add_fields(metrics, WEFT_FIELDS(timing_fields), &counts, labels);
    if (err == 0)
        err = weft_metrics_add_times(metrics, "weft_call_seconds",
                                     "Timed calls, from call to return.", labels, timing->wall);
    if (err == 0 && timing->run)
        err = weft_metrics_add_times(metrics, "weft_call_run_seconds",
                                     "For how long their fibers ran during timed calls.", labels,
                                     timing->run);
    weft_guard_leave(&timing->guard);
    return err;
}
