/* SPDX-License-Identifier: MIT
 * child.h - the other side of WEFT_EXECUTOR_PROCESS: a program that runs handlers for its parent,
 * which has started it. `weft child` is one; a program that calls weft_serve or weft_work with
 * handlers of its own can be its own child:
 *
 *     int main(int argc, char **argv)
 *     {
 *         char error[256] = "";
 *         if (argc > 1 && strcmp(argv[1], "child") == 0)
 *             return weft_child(&(struct weft_child_options){.handlers = handlers,
 *                                                            .handlers_count = 2},
 *                               error, sizeof error) ? 1 : 0;
 *         const char *const child[] = {"/proc/self/exe", "child", NULL};
 *         ...
 *
 * There is no runtime in a child: handlers block, and calls that need a fiber return -EPERM. The
 * functions of task.h do what they do everywhere, on the thread that was given the job. */
#ifndef WEFT_CHILD_H
#define WEFT_CHILD_H

#include <weft/task.h>

WEFT_BEGIN_DECLS

struct weft_child_options {
    const struct weft_handler *handlers; /* the program's own ... */
    size_t handlers_count;
    const char *const *libraries; /* ... and paths of shared objects with WEFT_TASK_LIBRARY */
    size_t libraries_count;
};

/* Run jobs until the parent has no more. Standard input, which is the parent's socket, becomes
 * /dev/null, and standard output the same as standard error, which the parent reads; SIGTERM asks
 * the present job to stop, and then the child ends.
 *
 * ret_error  receives, on failure, one sentence for people, truncated to error_bytes
 * Returns    0; -ENOTSOCK (no parent has started this), -EPROTO (it is of another version),
 * -EINVAL, -ENOENT, WEFT_EVERSION, ... (a library), -ENOMEM Threads    the first thread of a
 * program, with no runtime */
WEFT_API int weft_child(const struct weft_child_options *options, char *ret_error,
                        size_t error_bytes);

WEFT_END_DECLS

#endif
