/* SPDX-License-Identifier: MIT
 * background.h - tasks that outlive the call that starts them, but not the fiber that keeps them.
 *
 *     struct weft_background background;
 *     weft_background_init(&background, NULL);
 *     weft_background_start(&background, poll_mailbox, &mailbox, "poll mailbox");
 *     ... serve until told to stop ...
 *     int forced = weft_background_stop(&background, weft_now() + 30 * WEFT_SEC);
 *
 * What is done every so often, weft_background_every does, and goes on after a failure:
 *
 *     weft_background_every(&background,
 *         &(struct weft_periodic_options){.period_ns = 60 * WEFT_SEC, .backoff_ns = WEFT_SEC},
 *         poll_mailbox, &mailbox, "poll mailbox");
 *
 * A failure of one task leaves the others alone; it is counted, and told. Everything here is called
 * by fibers of the worker that made it. */
#ifndef WEFT_BACKGROUND_H
#define WEFT_BACKGROUND_H

#include <weft/group.h>

WEFT_BEGIN_DECLS

/* A task has failed: not one that was cancelled. */
struct weft_background_event {
    const char *name; /* the task's, may be NULL */
    int64_t at_ns;
    uint64_t id;
    int result;
};

struct weft_background_options {
    unsigned tasks_max; /* at once; 0 means 10,000 */
    const char *name;   /* for people; not copied */
    /* On the task's fiber, which is still listed; may suspend. */
    void (*on_event)(void *arg, const struct weft_background_event *event);
    void *on_event_arg;
};

struct weft_background {
    struct weft_group group;
    struct weft_link tasks;    /* oldest first */
    struct weft_link sleepers; /* in weft_background_sleep */
    struct weft_link stoppers; /* in weft_background_stop */
    uint64_t started, failed;
    uint64_t rounds, rounds_failed; /* of all periodic tasks */
    unsigned running, tasks_max;
    int last_failure;
    int stopping;
    void (*on_event)(void *arg, const struct weft_background_event *event);
    void *on_event_arg;
};

/* One task, as weft_background_list shows it. The rest is about periodic ones, 0 for others. */
struct weft_background_task {
    uint64_t id;
    const char *name;
    int64_t started_at_ns; /* on the runtime's clock */
    int64_t period_ns;
    int64_t next_at_ns; /* of the next round; 0: one runs, or it has not begun */
    uint64_t rounds;    /* that have ended */
    uint64_t failed;    /* of them */
    uint64_t missed;    /* starts at a fixed rate, left out because a round took too long */
    unsigned failed_in_a_row;
    int last_result;
};

struct weft_background_snapshot {
    unsigned running, tasks_max;
    uint64_t started, failed; /* tasks; a periodic one fails when it gives up */
    uint64_t rounds, rounds_failed;
    int last_failure, stopping;
};

enum weft_periodic_event_kind {
    WEFT_PERIODIC_FAILED,  /* result: with what; next_at_ns: when it is tried again */
    WEFT_PERIODIC_GAVE_UP, /* the same, for the last time; next_at_ns: -1 */
};

struct weft_periodic_event {
    enum weft_periodic_event_kind kind;
    const char *name; /* the task's, may be NULL */
    int64_t at_ns, next_at_ns;
    uint64_t id;
    int result;
    unsigned failed_in_a_row;
};

struct weft_periodic_options {
    int64_t period_ns; /* above 0 */
    int fixed_delay;   /* 0: from start to start, at a fixed rate, whose starts are left out while a
                          round takes longer; 1: from the end of a round to the next start */
    double jitter;     /* each start is later by up to this share of the period or backoff, 0 to 1;
                          at a fixed rate the delays do not add up */
    int run_at_start;  /* 1: the first round begins at once, not after a period */
    /* After a failure: the first time so long, then twice as long each time up to the maximum.
     * 0: as if it had succeeded. */
    int64_t backoff_ns, backoff_max_ns; /* the second: 0 means the longer of 1 min and backoff_ns */
    unsigned failures_max; /* in a row, then the task ends with the failure; 0: never */
    uint64_t seed;         /* of the jitter; 0: drawn */
    /* On the task's fiber; may suspend. */
    void (*on_event)(void *arg, const struct weft_periodic_event *event);
    void *on_event_arg;
};

/* Make a keeper of tasks. Every init is followed by one weft_background_stop in the same fiber.
 * Returns  0, -EPERM outside a runtime. Never suspends */
WEFT_API int weft_background_init(struct weft_background *background,
                                  const struct weft_background_options *options);

/* Start fn(arg).
 *
 * name     for people; not copied, may be NULL
 * Returns  the task's id, above 0; -ESHUTDOWN (stopping), -ECANCELED (the keeper is cancelled),
 *          WEFT_EFULL (tasks_max run), -ENOMEM, -EPERM. Never suspends */
WEFT_API int64_t weft_background_start(struct weft_background *background, int (*fn)(void *),
                                       void *arg, const char *name);

/* Call fn(arg) every so often, as a task; rounds never overlap. A stop does not cut a round short
 * before its deadline, but no other begins. A round that comes to -ECANCELED is no failure.
 *
 * options  copied
 * Returns  like weft_background_start, and -EINVAL (options) */
WEFT_API int64_t weft_background_every(struct weft_background *background,
                                       const struct weft_periodic_options *options,
                                       int (*fn)(void *), void *arg, const char *name);

/* Cancel one task; it ends at its next wait. Returns 0, -ENOENT (it has ended), -EPERM. Never
 * suspends. */
WEFT_API int weft_background_cancel(struct weft_background *background, uint64_t id);

/* Write at most tasks_max running tasks to ret_tasks, oldest first. Returns how many run. */
WEFT_API unsigned weft_background_list(const struct weft_background *background,
                                       struct weft_background_task *ret_tasks, unsigned tasks_max);

/* Returns 0, -EPERM on another worker. Never suspends. */
WEFT_API int weft_background_snapshot(const struct weft_background *background,
                                      struct weft_background_snapshot *ret_snapshot);

/* For a task that keeps its own time: sleep, but not into the shutdown.
 * Returns  0 after duration_ns; -ESHUTDOWN as soon as the keeper stops; -ECANCELED. Suspends */
WEFT_API int weft_background_sleep(struct weft_background *background, int64_t duration_ns);

/* Whether weft_background_stop was called. */
WEFT_API int weft_background_stopping(const struct weft_background *background);

/* Take no more tasks, let those that run come to their end until deadline_ns (WEFT_NOWAIT: do not
 * wait), cancel the rest and wait for them. A cancelled caller does not wait for the deadline.
 * Returns  how many had to be cancelled; -EPERM on another worker. Suspends, no checkpoint */
WEFT_API int weft_background_stop(struct weft_background *background, int64_t deadline_ns);

WEFT_END_DECLS

#endif
