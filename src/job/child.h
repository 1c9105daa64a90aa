/* SPDX-License-Identifier: MIT
 * child.h - inside a child of children.h: a program that runs handlers for its parent, one job at a
 * time. weft_child in weft/child.h is this with tasks from shared objects, too.
 *
 *     int main(void)
 *     {
 *         static const struct weft_handler handlers[] = {{.name = "resize", .run = resize}};
 *         return weft_child_main(handlers, 1) < 0 ? 1 : 0;
 *     }
 *
 * There is no runtime here: one thread, which may block, crash, and use up its memory. The
 * functions of weft/task.h do what they do everywhere. */
#ifndef WEFT_JOB_CHILD_H
#define WEFT_JOB_CHILD_H

#include <weft/task.h>

/* Take jobs from the parent, which has started this program with a socket as its standard input,
 * and run them until the parent has no more. Standard input is /dev/null then, standard output the
 * same as standard error; SIGTERM asks the present job to stop, and ends the child then.
 *
 * Returns  0; -ENOTSOCK (no parent started this), -EPROTO (it is not of our kind), -ENOMEM, or why
 *          it cannot be heard */
int weft_child_main(const struct weft_handler *handlers, size_t count);

#endif
