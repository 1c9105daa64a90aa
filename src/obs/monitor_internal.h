/* SPDX-License-Identifier: MIT
 * monitor_internal.h - the inside of a weft_monitor, for the files of src/obs. */
#ifndef WEFT_OBS_MONITOR_INTERNAL_H
#define WEFT_OBS_MONITOR_INTERNAL_H

#include <obs/meter.h>

#include <weft/monitor.h>

/* One worker, as this monitor sees it. */
struct weft_monitored {
    struct weft_slice slice; /* told: how bad, as enum weft_badness */
    char fiber[WEFT_NAME_MAX + 1];
};

enum weft_badness {
    WEFT_FINE,
    WEFT_WARNED,
    WEFT_ALARMED,
};

/* Histograms are read under the lock, by any thread; what is below the line belongs to the thread
 * that looks. Locks are taken in this order: the inspector's, the monitor's. */
struct weft_monitor {
    struct weft_watcher watcher;
    struct weft_runtime *runtime;
    unsigned fork_count;
    struct weft_monitor_options options;
    char name[WEFT_NAME_MAX + 1];
    bool capturing;

    unsigned lock;
    bool ended;                                   /* with the runtime */
    struct weft_histogram *latest[WEFT_MEASURES]; /* what the meters had said at the last sample */
    struct weft_histogram *total[WEFT_MEASURES];  /* since the monitor was opened, till then */
    struct weft_histogram *now, *since;           /* scratch */
    struct weft_monitor_snapshot history[WEFT_MONITOR_HISTORY];
    unsigned history_len, history_next;
    struct weft_monitor_summary counts; /* its times are not kept here */
    int64_t sampled_at_ns;
    struct weft_monitored *workers; /* workers_len of them; written by the thread that looks */

    /* ---- */
    enum weft_badness lag, backlog;
    int64_t next_sample_ns;
};

/* In a child of fork() a monitor of the parent's has no thread, and its locks may be held for ever:
 * it is not to be touched. */
bool weft_monitor_forked(const struct weft_monitor *monitor);

/* Everything that was measured since the monitor was opened, up to now, in one histogram; under the
 * lock. It is valid until it is left. */
const struct weft_histogram *weft_monitor_total(struct weft_monitor *monitor,
                                                enum weft_measure wanted);

/* ---- lines of JSON (monitor_log.c) ----------------------------------------------------- */

void weft_monitor_log_sample(struct weft_monitor *monitor,
                             const struct weft_monitor_snapshot *sample);
void weft_monitor_log_event(struct weft_monitor *monitor, const struct weft_monitor_event *event);

#endif
