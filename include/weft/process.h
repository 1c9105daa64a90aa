/* SPDX-License-Identifier: MIT
 * process.h - other programs, as children that do not outlive who started them.
 *
 *     struct weft_process *process;
 *     const char *const command[] = {"sort", "-n", NULL};
 *     struct weft_process_options options = {.in.kind = WEFT_STDIO_PIPE};
 *     int err = weft_process_open(&process, command, &options);
 *     if (err == 0) {
 *         ... weft_write_all(weft_process_pipe(process, 0), ...) ...
 *         err = weft_process_wait(process, weft_now() + WEFT_SEC, &status);
 *         weft_process_close(process);        // in every case: whatever still runs is ended
 *     }
 *
 * No shell is involved. A child leads a process group of its own; a process belongs to the thread
 * that opened it, and is killed by the kernel should that thread end without closing it. */
#ifndef WEFT_PROCESS_H
#define WEFT_PROCESS_H

#include <weft/base.h>

#include <sys/types.h>

WEFT_BEGIN_DECLS

#define WEFT_NO_GRACE ((int64_t)-1)

enum weft_stdio_kind {
    WEFT_STDIO_INHERIT, /* the caller's own */
    WEFT_STDIO_NULL,    /* /dev/null */
    WEFT_STDIO_PIPE,    /* a pipe; weft_process_pipe gives its other end */
    WEFT_STDIO_FD,      /* a copy of fd, which stays the caller's */
};

struct weft_stdio {
    enum weft_stdio_kind kind;
    int fd; /* WEFT_STDIO_FD only */
};

struct weft_process_options {
    struct weft_stdio in, out, err; /* 0 means inherited */
    const char *const *environment; /* "NAME=value", ends with NULL; NULL means the caller's */
    const char *directory;          /* where it starts; NULL means the caller's */
    int64_t grace_ns;               /* between SIGTERM and SIGKILL; 0 means 5 s, WEFT_NO_GRACE */
    /* Limits of each process that comes of it; 0 means as the caller's, and so does what is higher.
     * A program whose start needs more memory is killed then, or is not started: -ENOMEM. */
    size_t memory_bytes_max;  /* of address space, not only of memory in use (RLIMIT_AS) */
    unsigned cpu_seconds_max; /* of processor time: SIGXCPU, a second later SIGKILL (RLIMIT_CPU) */
    int nice;                 /* added to the caller's; below 0 takes a privilege: -EACCES */
};

/* How a process ended. */
struct weft_process_status {
    int exit_code;   /* 0 to 255, or -1 when a signal ended it */
    int signal;      /* that signal, or 0 */
    int core_dumped; /* 1 when it left a core */
    /* What it used, with the processes that it waited for. */
    int64_t cpu_ns;        /* processor time */
    size_t resident_bytes; /* memory, the most at once; 0: no more than the caller has had, which
                              the kernel cannot tell apart */
};

struct weft_process; /* one child */

/* Start a program.
 *
 * command      its arguments, the first of which names it: a path, or a name to be found in $PATH;
 *              ends with NULL. It and the options are not kept
 * ret_process  set only on success; to be closed with weft_process_close by the same thread
 * Returns      0 when the program has been loaded; -ENOENT, -EACCES, -ENOEXEC (no program, or a
 *              directory that does not exist), -EINVAL (no command), -EMFILE, -EAGAIN, ...
 * The child    starts with default signals, none blocked, and no descriptors but its three
 * Suspends     not, but holds up its thread while the program is loaded */
WEFT_API int weft_process_open(struct weft_process **ret_process, const char *const *command,
                               const struct weft_process_options *options);

/* Its process id, which is its group's id as well. */
WEFT_API pid_t weft_process_id(const struct weft_process *process);

/* Our end of a pipe: what the child reads as 0 is written here, its 1 and 2 are read here.
 * Returns  a descriptor, which stays the process's; -ENOENT: there is no such pipe (any more) */
WEFT_API int weft_process_pipe(const struct weft_process *process, int number);

/* Close our end of a pipe; on 0, the child reads the end. Never suspends. */
WEFT_API void weft_process_close_pipe(struct weft_process *process, int number);

/* Wait until it has ended; it can be asked for again. As one of several things: weft_case_process
 * in select.h. Cancelled or late, it goes on running.
 * While it is waited for, virtual time stands still.
 *
 * Returns  0 with *ret_status set; -ETIMEDOUT, -EAGAIN (WEFT_NOWAIT), -ECANCELED, -ECHILD (the
 *          program ignores SIGCHLD, so the kernel keeps no status)
 * Suspends */
WEFT_API int weft_process_wait(struct weft_process *process, int64_t deadline_ns,
                               struct weft_process_status *ret_status);

/* Send a signal to its whole group. Returns 0, -EINVAL (signal). Never suspends. */
WEFT_API int weft_process_kill(struct weft_process *process, int signal);

/* End it, if it has not, and everything in its group: SIGTERM, SIGKILL after the grace, or at once
 * to what is left when the child itself has ended. Closes the pipes. NULL is fine.
 * Suspends, and is no checkpoint: it always waits until the child is gone */
WEFT_API void weft_process_close(struct weft_process *process);

/* Start a program, wait for its end, close it: cancelled or late, it is ended first.
 * Pipes are of no use here: -EINVAL. Returns what weft_process_open and weft_process_wait do. */
WEFT_API int weft_process_run(const char *const *command,
                              const struct weft_process_options *options, int64_t deadline_ns,
                              struct weft_process_status *ret_status);

WEFT_END_DECLS

#endif
