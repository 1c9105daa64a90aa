/* SPDX-License-Identifier: MIT
 * library.h - handlers from shared objects (WEFT_TASK_LIBRARY in weft/task.h), beside a program's
 * own.
 *
 * What was loaded stays loaded until the process ends: a handler that was given up may still run in
 * it. */
#ifndef WEFT_JOB_LIBRARY_H
#define WEFT_JOB_LIBRARY_H

#include <weft/task.h>

#define WEFT_LIBRARIES_MAX        64u
#define WEFT_LIBRARY_HANDLERS_MAX 4096u /* of all together */

/* All handlers of a program. */
struct weft_handler_set {
    struct weft_handler *items;
    size_t count;
};

/* All zeros is an empty set. */
void weft_handler_set_release(struct weft_handler_set *set);

/* Add handlers; two of one name are refused. Strings and settings are borrowed.
 *
 * where    what people call their origin
 * error    receives, on failure, one sentence for people
 * Returns  0; -EINVAL (a handler without a name or function; a name that is there already;
 *          an executor that is not there), -ENOBUFS, -ENOMEM. Never suspends */
int weft_handler_set_add(struct weft_handler_set *set, const char *where,
                         const struct weft_handler *handlers, size_t count, char *error,
                         size_t error_bytes);

/* The same for handlers of others, which have functions: what commands and webhooks are is not
 * theirs to say. */
int weft_handler_set_add_functions(struct weft_handler_set *set, const char *where,
                                   const struct weft_handler *handlers, size_t count, char *error,
                                   size_t error_bytes);

/* Load a shared object and add its handlers. A path without a slash is looked for in the present
 * directory.
 *
 * Returns  as above; -ENOENT, -EACCES, -ENOEXEC (it cannot be loaded, or has no tasks),
 *          WEFT_EVERSION (made for another version of weft/task.h). Reads files without suspending:
 *          before the runtime starts */
int weft_handler_set_load(struct weft_handler_set *set, const char *path, char *error,
                          size_t error_bytes);

#endif
