/* SPDX-License-Identifier: MIT
 * monitor.h - whether the workers of a runtime keep up, seen from outside them.
 *
 *     static void tell(void *arg, const struct weft_monitor_event *event) { ... }
 *     ...
 *     struct weft_monitor *monitor;
 *     int err = weft_monitor_open(&monitor, &(struct weft_monitor_options){.on_event = tell});
 *     ... serve ...
 *     weft_monitor_close(monitor);
 *
 * A thread of its own looks at every worker several times within warning_ns. A fiber that computes
 * or blocks without giving way is reported while it still does, by name; nothing that is blocked
 * has to run for that. Workers themselves note how late each timer fired, how long who became
 * runnable had to wait for its turn, and how long fibers ran between two looks at timers and
 * descriptors: a few nanoseconds per such round, and nothing once the monitor is closed. */
#ifndef WEFT_MONITOR_H
#define WEFT_MONITOR_H

#include <weft/timing.h>

WEFT_BEGIN_DECLS

#define WEFT_MONITOR_HISTORY 100

/* What can be wrong; bits of weft_monitor_snapshot.unhealthy. */
enum weft_monitor_cause {
    WEFT_MONITOR_STALL = 1,   /* fibers ran for warning_ns, and nothing else could */
    WEFT_MONITOR_LAG = 2,     /* a timer fired, or a runnable fiber ran, so much too late */
    WEFT_MONITOR_BACKLOG = 4, /* more than backlog_max fibers are runnable */
};

enum weft_monitor_event_kind {
    WEFT_MONITOR_WARNING,
    WEFT_MONITOR_CRITICAL,
    WEFT_MONITOR_RECOVERED,
};

/* Stalls are noticed at once; lag and backlog, of all workers together, at samples. Every pointer
 * is valid during the call; NULL where it is not known. */
struct weft_monitor_event {
    enum weft_monitor_event_kind kind;
    enum weft_monitor_cause cause;
    const char *name; /* the monitor's */
    int64_t at_ns;
    int worker;          /* of a stall; -1 otherwise */
    int64_t duration_ns; /* for how long the fiber has run, to a quarter of warning_ns; the longest
                            lag since the sample before */
    uint64_t runnable;   /* fibers, of all workers */
    /* Of a stall: the fiber's name, what it runs and the call that spawned it. The latter two as
     * addr2line takes them: "function (app+0x1a40)", without the function when it is not exported.
     */
    const char *fiber, *function, *spawned_at;
    void *const *frames; /* where it is; the innermost first */
    unsigned frames_len;
};

struct weft_monitor_options {
    const char *name;     /* copied; NULL means "monitor"; at most WEFT_NAME_MAX bytes */
    int64_t sample_ns;    /* between samples; 0 means 1 s */
    int64_t warning_ns;   /* 0 means 100 ms */
    int64_t critical_ns;  /* 0 means 5 times warning_ns */
    uint64_t backlog_max; /* 0 means 1,000 */
    int no_signals;       /* not 0: do not ask a stalled fiber who it is. That is done by SIGURG to
                             its thread, once per event, and ends a sleep() or poll() in it early,
                             with EINTR; then name, function and backtrace stay unknown */
    /* A line of JSON for every sample and every event, ended by a newline. */
    int log_fd; /* 0: none. Written on the monitor's thread, so a blocking one may hold it up */
    void (*line)(void *arg, const char *text, size_t len); /* text is ended by a NUL as well */
    void *line_arg;
    /* Called on the monitor's thread, outside any fiber: it may set shared events and send to
     * shared channels (weft_runtime_acquire says how fibers may wait for that). While it runs,
     * nothing is looked at. It must close no monitor: they share the thread. */
    void (*on_event)(void *arg, const struct weft_monitor_event *event);
    void *on_event_arg;
};

/* Of all workers of a runtime together. */
struct weft_runtime_snapshot {
    unsigned workers;
    uint64_t fibers;            /* that live */
    uint64_t runnable;          /* of them: that wait for their turn; not those that run */
    uint64_t spawned, switches; /* so far: fibers begun; times a fiber began to run or went on */
};

struct weft_monitor_snapshot {
    int64_t at_ns, unix_us; /* on the runtime's clock, and time of day */
    int64_t span_ns;        /* what the times below are about: since the sample before */
    struct weft_runtime_snapshot runtime;
    struct weft_times lag;   /* of each timer that fired: how much too late */
    struct weft_times wait;  /* for its turn, of who became runnable (a sample at a time) */
    struct weft_times slice; /* fibers ran without a look at timers and descriptors */
    int64_t stall_ns;        /* the longest that a fiber has been running now; 0: all give way */
    uint64_t stalls;         /* noticed so far */
    unsigned unhealthy;      /* causes; the maxima above and stall_ns count, not just this moment */
    int healthy;
};

/* Everything since the monitor was opened. */
struct weft_monitor_summary {
    uint64_t samples, unhealthy_samples;
    uint64_t stalls, warnings, criticals; /* warnings and criticals are events of any cause */
    uint64_t lines_lost;                  /* log_fd took them not, or not whole */
    uint64_t fibers_max, runnable_max;    /* in samples */
    struct weft_times lag, wait, slice;
};

struct weft_monitor;

/* Watch the workers of the calling fiber's runtime until weft_monitor_close. What is still open at
 * the end of the runtime ends with it: that is its last sample, on the thread that called weft_run,
 * and it is closed after that. Several monitors share one thread. A child of fork() has no part in
 * its parent's monitors: they are empty there, and closing them does nothing.
 *
 * options  NULL means all defaults; durations are 1 ms to 1 h, critical_ns at least warning_ns
 * Returns  0, -EPERM outside a runtime, -ENOTSUP (its clock is virtual: there computing takes no
 *          time, and a jump is no delay), -EINVAL, -ENOMEM, -EAGAIN (no thread). Never suspends */
WEFT_API int weft_monitor_open(struct weft_monitor **ret_monitor,
                               const struct weft_monitor_options *options);

/* Stop and free; waits for the callback that may be running. From a fiber of the runtime, or from
 * anywhere once weft_run has returned. NULL is fine. */
WEFT_API void weft_monitor_close(struct weft_monitor *monitor);

/* How things are at this moment; begins no new sample.
 * Returns  0, -ESHUTDOWN (the runtime has ended), -EPERM (in a child of fork()). Any thread, the
 *          callbacks' too; never suspends */
WEFT_API int weft_monitor_snapshot(struct weft_monitor *monitor, struct weft_monitor_snapshot *ret);

/* Write the latest samples, at most samples_max and at most 100, newest first. Returns how many.
 * Any thread, also after the end of the runtime */
WEFT_API unsigned weft_monitor_history(struct weft_monitor *monitor,
                                       struct weft_monitor_snapshot *ret_samples,
                                       unsigned samples_max);

/* Any thread, also after the end of the runtime. */
WEFT_API void weft_monitor_summary(struct weft_monitor *monitor, struct weft_monitor_summary *ret);

/* Count the calling fiber's runtime; without a monitor as well. Returns 0, -EPERM outside one. */
WEFT_API int weft_runtime_snapshot(struct weft_runtime_snapshot *ret);

WEFT_END_DECLS

#endif
