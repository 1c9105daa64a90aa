/* SPDX-License-Identifier: MIT
 * inspect.h - see what a running program's fibers are doing.
 *
 * Per worker the tree of fibers and groups, one line each:
 *
 *     worker 0: 3 fibers
 *       fiber "main" serve (app+0x1a40): waiting for the end of a group, stack 1.2 of 64 KiB
 *         group "connections" (supervise): 2 live of at most 100, deadline in 4.210 s
 *           fiber answer (app+0x1890): waiting for data, timer in 0.310 s, spawned at ...
 *
 * Addresses are what addr2line -e takes. docs/debugging.md says what else there is: a signal that
 * prints this, a debug mode that reports leaks, hogs and stack overflows, commands for gdb. */
#ifndef WEFT_INSPECT_H
#define WEFT_INSPECT_H

#include <weft/base.h>

WEFT_BEGIN_DECLS

/* Write the fibers and groups of the calling fiber's runtime to fd, as text for people.
 *
 * Each worker describes its own part between two fibers, and goes on; one that does not come to
 * it within a second is named as busy. At most 100 fibers of each group are shown, and 256 KiB per
 * worker. Works in a cancelled scope as well.
 *
 * fd       as for weft_write_all; a blocking one holds up the calling fiber's worker
 * Returns  0, -EPERM outside a runtime, -ENOMEM, or what writing comes to, -ETIMEDOUT after 10 s
 * Suspends */
WEFT_API int weft_dump(int fd);

WEFT_END_DECLS

#endif
