/* SPDX-License-Identifier: MIT
 * tasks.h - all tasks of a program that runs jobs, and what their executors need.
 *
 *     weft_tasks_gather(&tasks, &options, ...);      before the runtime starts: files are read
 *         weft_tasks_open(&tasks, ...);              on a fiber
 *         weft_engine_open(..., tasks.handlers.items, tasks.children, ...);
 *         weft_engine_close(...);
 *         weft_tasks_close(&tasks);
 *     weft_tasks_release(&tasks); */
#ifndef WEFT_SERVE_TASKS_H
#define WEFT_SERVE_TASKS_H

#include <job/library.h>
#include <weft/executors.h>

struct weft_children;

/* Borrowed until release. */
struct weft_tasks_options {
    const int64_t *steps_ns;             /* of the built-in tasks; NULL: without those */
    const struct weft_handler *handlers; /* the program's own */
    size_t handlers_count;
    const char *const *libraries; /* paths of shared objects */
    size_t libraries_count;
    const struct weft_executors *executors; /* NULL: none */
};

/* Begins as all zeros. */
struct weft_tasks {
    struct weft_tasks_options options;
    struct weft_handler_set handlers;
    struct weft_command_rule *commands; /* settings of handlers, and so are these; owned */
    struct weft_webhook_rule *webhooks;
    struct weft_children *children; /* NULL: no handler needs them */
};

/* Put all of them together and check them.
 *
 * error    receives, on failure, one sentence for people
 * Returns  0; -EINVAL (a task that is none, or there already), what loading a library gives,
 * -ENOMEM Release in every case */
int weft_tasks_gather(struct weft_tasks *tasks, const struct weft_tasks_options *options,
                      char *error, size_t error_bytes);
void weft_tasks_release(struct weft_tasks *tasks);

/* Start the children, if there is something for them to do. Close in every case. Suspend.
 * Returns  0; -ECHILD (they do not start) and other errors of weft_children_open, with a sentence
 */
int weft_tasks_open(struct weft_tasks *tasks, char *error, size_t error_bytes);
void weft_tasks_close(struct weft_tasks *tasks);

#endif
