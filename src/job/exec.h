/* SPDX-License-Identifier: MIT
 * exec.h - the executor "exec": a command that the server's administrator allows.
 *
 *     static const char *const argv[] = {"/usr/bin/convert", "-", "png:-", NULL};
 *     struct weft_exec_command command = {.name = "thumbnail", .command = argv,
 *                                         .timeout_ns = 30 * WEFT_SEC};
 *     struct weft_outcome outcome = {0};
 *     int err = weft_exec_run(&command, &execution, &outcome);
 *
 * No shell is involved, and clients choose nothing but the bytes on its standard input. What it
 * writes to its standard output is the result. It is over when the command itself has ended:
 * whatever it leaves behind in its process group is killed, and heard no more.
 *
 *     exit code 0               done
 *     65 (EX_DATAERR), 100      discard: the input is at fault, no attempt will do better
 *     any other, 75 and 111 too failed; another attempt may do better
 *     a signal                  failed
 *
 * Source: sysexits.h of BSD for 65 and 75, qmail-command(8) for 100 and 111. */
#ifndef WEFT_JOB_EXEC_H
#define WEFT_JOB_EXEC_H

#include <job/executor.h>

#define WEFT_EXEC_OUTPUT_DEFAULT ((size_t)1 << 20)
#define WEFT_EXEC_VARIABLES_MAX  ((size_t)256)

struct weft_exec_command {
    const char *name;           /* for people */
    const char *const *command; /* its arguments, the first of which names it; ends with NULL */
    /* "NAME=value", or "NAME" to hand on the server's own; ends with NULL. NULL means PATH, HOME,
     * LANG and TZ of the server. Besides, each attempt gets WEFT_JOB_ID, WEFT_TASK, WEFT_QUEUE and
     * WEFT_ATTEMPT. */
    const char *const *environment;
    const char *directory;   /* where it starts, absolute; NULL means the server's */
    int64_t timeout_ns;      /* then SIGTERM to its group; 0: none */
    int64_t grace_ns;        /* from there to SIGKILL; 0 means 10 s, WEFT_NO_GRACE */
    size_t output_bytes_max; /* 0 means 1 MiB, at most WEFT_JOB_RESULT_MAX; more is a failure */
    size_t memory_bytes_max; /* these three as in weft_process_options */
    unsigned cpu_seconds_max;
    int nice; /* -20 to 19 */
};

/* Whether a command can be run, as far as that can be known before.
 *
 * ret_path    PATH_MAX bytes, overwritten in every case; on success where its program is, which
 *             should take the place of the first argument: a $PATH that changes later finds no
 *             other
 * ret_reason  set on failure to what is wrong, static storage
 * Returns     0, -EINVAL, -ENOENT, -EACCES */
int weft_exec_check(const struct weft_exec_command *command, char *ret_path,
                    const char **ret_reason);

/* Run a command for one attempt. The input is written while output is read; a command need not read
 * it. Cancelled or late, it is sent SIGTERM and, after the grace, SIGKILL, with its whole group;
 * both outputs are read until its end.
 *
 * ret_outcome  set only on success, which failures of the command, and to start it, are as well
 * Returns      0; -ECANCELED (the command has been ended), -ENOMEM, -EINVAL (an id or name that is
 *              too long), -EPERM outside a runtime
 * Suspends */
int weft_exec_run(const struct weft_exec_command *command, const struct weft_execution *execution,
                  struct weft_outcome *ret_outcome);

#endif
