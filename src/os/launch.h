/* SPDX-License-Identifier: MIT
 * launch.h - a new process running another program, from a program with threads. */
#ifndef WEFT_OS_LAUNCH_H
#define WEFT_OS_LAUNCH_H

#include <stdint.h>
#include <sys/types.h>

struct weft_launch {
    const char *path; /* the program's file */
    const char *const *command;
    const char *const *environment; /* NULL: the caller's */
    const char *directory;          /* NULL: the caller's */
    int stdio[3];                   /* what becomes 0, 1 and 2 */
    uint64_t memory_bytes_max;      /* of address space; 0: the caller's limit */
    uint64_t cpu_seconds_max;       /* SIGXCPU then, SIGKILL a second later; 0: likewise */
    int nice;                       /* added to the caller's */
};

/* Find a program's file: a name with a slash is a path already, another is looked for in $PATH.
 *
 * ret_path  of PATH_MAX bytes
 * Returns   0; -ENOENT, -ENAMETOOLONG */
int weft_launch_find(const char *name, char *ret_path);

/* Start it, in a process group of its own, and wait until its program was loaded. When the calling
 * thread ends, the child is killed.
 *
 * ret_pid, ret_pidfd  set only on success; the descriptor is closed on exec, the pid to be reaped
 * Returns             0, or why it could not be started or loaded */
int weft_launch(const struct weft_launch *launch, pid_t *ret_pid, int *ret_pidfd);

#endif
