/* SPDX-License-Identifier: MIT
 * background.h - tasks that outlive the call that starts them, but not the fiber that keeps them.
 *
 *     struct weft_background background;
 *     weft_background_init(&background, NULL);
 *     weft_background_start(&background, poll_mailbox, &mailbox, "poll mailbox");
 *     ... serve until told to stop ...
 *     int forced = weft_background_stop(&background, weft_now() + 30 * WEFT_SEC);
 *
 * A failure of one task leaves the others alone; it is counted. Everything here is called by
 * fibers of the worker that made it. */
#ifndef WEFT_BACKGROUND_H
#define WEFT_BACKGROUND_H

#include <weft/group.h>

WEFT_BEGIN_DECLS

struct weft_background_options {
    unsigned tasks_max; /* at once; 0 means 10,000 */
    const char *name;   /* for people; not copied */
};

struct weft_background {
    struct weft_group group;
    struct weft_link tasks;    /* oldest first */
    struct weft_link sleepers; /* in weft_background_sleep */
    struct weft_link stoppers; /* in weft_background_stop */
    uint64_t started, failed;
    unsigned running, tasks_max;
    int last_failure;
    int stopping;
};

/* One task, as weft_background_list shows it. */
struct weft_background_task {
    uint64_t id;
    const char *name;
    int64_t started_at_ns; /* on the runtime's clock */
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

/* Cancel one task; it ends at its next wait. Returns 0, -ENOENT (it has ended). Never suspends. */
WEFT_API int weft_background_cancel(struct weft_background *background, uint64_t id);

/* Write at most tasks_max running tasks to ret_tasks, oldest first. Returns how many run. */
WEFT_API unsigned weft_background_list(const struct weft_background *background,
                                       struct weft_background_task *ret_tasks, unsigned tasks_max);

/* For a task that does something every so often: sleep, but not into the shutdown.
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
