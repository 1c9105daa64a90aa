/* SPDX-License-Identifier: MIT
 * tasks.h - handlers that do the same wherever they run: linked into a test and into the children
 * that it starts. */
#ifndef WEFT_TESTS_JOB_TASKS_H
#define WEFT_TESTS_JOB_TASKS_H

#include <weft/task.h>

#define TASKS 3

/* everything  makes use of all that a handler may ask and say, and tells it in its result
 * end         {"how": "fail" | "discard" | "cancel" | "snooze" | "retry_after" | "code",
 *             "code": n}; one that is not negative is the result, [n]
 * wait        until it is to end; makes the file {"file"} first, if
 *             there is one, and tells of its progress. {"then": "complete"} completes,
 *             "ignore" goes on for ever */
extern const struct weft_handler tasks[TASKS];

#endif
