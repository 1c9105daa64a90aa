/* SPDX-License-Identifier: MIT
 * children.h - the executor "process": handlers that run in processes of their own, which are kept
 * ready, one job at a time in each. For work that takes the processor for long, or that may spoil
 * memory, its own only.
 *
 *     static const char *const command[] = {"/usr/bin/weft", "child", "--load", "tasks.so", NULL};
 *     struct weft_children *children;
 *     weft_children_open(&children, &(struct weft_children_options){.command = command}, &outcome);
 *     int err = weft_children_run(children, &execution, NULL, &outcome);
 *     weft_children_close(children);
 *
 * A child is a program that calls weft_child_main (child.h) or weft_child (weft/child.h), started
 * anew, not a copy of this process: there is no fork of a process with threads and locks to be
 * afraid of, a child begins with clean memory, and is replaced as easily. Child and parent speak
 * frames (frame.h) over a socket that is the child's standard input; nothing a child sends is
 * trusted.
 *
 * A child that crashes takes one attempt with it. Children are replaced when they have crashed or
 * did not stop when asked to, when they have done jobs_max jobs, and when they have grown too
 * large. When one after the other crashes, or they cannot be started, each next one waits longer.
 *
 * A pool and its children belong to the worker that opened it; from others: -EPERM. */
#ifndef WEFT_JOB_CHILDREN_H
#define WEFT_JOB_CHILDREN_H

#include <job/executor.h>
#include <weft/task.h>

#define WEFT_CHILDREN_MAX 1024u

struct weft_children;

struct weft_children_options {
    const char *const *command; /* what a child is; these three as in process.h, not copied */
    const char *const *environment;
    const char *directory;
    unsigned size;             /* children; 0 means as many as there are processors */
    unsigned waiters_max;      /* calls that wait for a child; 0 means 1,024; then WEFT_EFULL */
    unsigned jobs_max;         /* of one child; 0 means 100 */
    size_t memory_bytes_max;   /* of one child, as in process.h; 0: no limit */
    size_t resident_bytes_max; /* after a job; with more, the child is replaced; 0: no limit */
    int nice;                  /* added to the server's */
    int64_t timeout_ns;        /* of a job; then SIGTERM; 0: none */
    int64_t grace_ns;          /* from there to SIGKILL; 0 means 10 s, WEFT_NO_GRACE */
    int64_t start_timeout_ns;  /* from a child's start to its first word; 0 means 10 s */
    int64_t backoff_min_ns;    /* after the second crash in a row; doubled each time; 0: 100 ms */
    int64_t backoff_max_ns;    /* 0 means 10 s */
};

/* What a job says while it runs, good during the call. On the fiber of the call; must not suspend.
 */
struct weft_children_listener {
    void (*on_progress)(void *arg, const char *json, size_t len);
    /* bytes of any kind, with a 0 behind them */
    void (*on_log)(void *arg, enum weft_log_level level, const char *text, size_t len);
    /* A further job, if this one is done in the end; not checked. Returns 0, -ENOMEM, or what is
     * wrong with it, which is then taken for a fault of the child's. */
    int (*on_follow)(void *arg, const struct weft_attempt_job *job);
    void *arg;
};

struct weft_children_counts {
    unsigned size, idle, waiting;
    uint64_t started, crashed; /* children; crashed: also those that did not come to their start */
    uint64_t replaced;         /* for their age, their size or their deafness */
};

/* Make a pool and start its children. Waits for the first to say that it is there.
 *
 * options      those that are not pointers are copied
 * ret_outcome  NULL, or set to why, when -ECHILD is returned
 * Returns      0; -ECHILD (children do not start), -EINVAL (options), -ECANCELED, -ENOMEM, -EPERM
 *              outside a runtime, -ENOENT and what else weft_process_open refuses
 * Suspends */
int weft_children_open(struct weft_children **ret_children,
                       const struct weft_children_options *options,
                       struct weft_outcome *ret_outcome);

/* Have a child run the handler of a task for one attempt; when all are busy, first come, first
 * served. Cancelled, or late by its own clock, which runs from when a child begins, it is sent
 * SIGTERM and, after the grace, SIGKILL. A handler that completes in that time has completed.
 *
 * execution    its id must be a UUID
 * listener     may be NULL
 * ret_outcome  set only on success, which crashes and failures are as well
 * Returns      0; -ECANCELED (it did not run, or was ended with its child), WEFT_EFULL
 *              (waiters_max), -ENOMEM, -EINVAL (what the child would have to be told is too long),
 *              -EPERM (another worker's pool)
 * Suspends */
int weft_children_run(struct weft_children *children, const struct weft_execution *execution,
                      const struct weft_children_listener *listener,
                      struct weft_outcome *ret_outcome);

void weft_children_counts(const struct weft_children *children,
                          struct weft_children_counts *ret_counts);

/* End all children: a moment to leave by themselves, then SIGKILL. No call may be under way. NULL
 * is fine. Suspends, no checkpoint */
void weft_children_close(struct weft_children *children);

#endif
