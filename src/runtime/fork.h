/* SPDX-License-Identifier: MIT
 * fork.h - what is left of a runtime in a child of fork(): nothing that can be used.
 *
 * The child has one thread, a copy of the fiber that called fork, and the parent's descriptors. In
 * it every call of weft says -EPERM, until a weft_run of its own; returning from the fiber aborts.
 * The parent's rings are not even mapped there. */
#ifndef WEFT_RUNTIME_FORK_H
#define WEFT_RUNTIME_FORK_H

#include <os/context.h>

#include <stdbool.h>

/* How often this process and its ancestors were forked since they first ran fibers. What was made
 * at another count belongs to an ancestor. */
extern unsigned weft_fork_count;

/* The calling thread was inside a runtime when its process was forked. */
extern _Thread_local bool weft_fork_orphan;

/* The stack that an orphan runs on is a fiber's, whatever the system says of its thread: describe
 * that one for coming back to. */
void weft_fork_adopt_stack(struct weft_context *scheduler);

/* Have forks noticed from now on. Returns 0 or -ENOMEM */
int weft_fork_watch(void);

#endif
