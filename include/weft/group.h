/* SPDX-License-Identifier: MIT
 * group.h - start fibers that cannot outlive the block that started them.
 *
 *     struct weft_group group;
 *     weft_group_init(&group, NULL);
 *     weft_spawn(&group, fetch, "a");
 *     weft_spawn(&group, fetch, "b");
 *     int err = weft_group_wait(&group);   // both ended; the first failure cancelled the other
 *
 * A weft_spawn that is refused because the group is cancelled shows in weft_group_wait as well.
 * The task of any spawn that is refused has ended, with the refusal as its result.
 *
 * Every weft_group_init is followed by weft_group_wait or weft_group_close in the same fiber;
 * both return only when every child has ended, whatever was cancelled. */
#ifndef WEFT_GROUP_H
#define WEFT_GROUP_H

#include <weft/scope.h>

WEFT_BEGIN_DECLS

enum weft_group_policy {
    WEFT_FAIL_FAST, /* the first failure cancels the rest and is the group's result */
    WEFT_SUPERVISE, /* failures are kept, nobody is cancelled; the result is the first of them */
    WEFT_RACE,      /* the first success cancels the rest and is the group's result */
    WEFT_QUORUM,    /* as many successes as asked for cancel the rest; the result is 0 */
};

/* One child's failure. */
struct weft_failure {
    int result;       /* negative */
    const char *name; /* weft_spawn_options.name, NULL without */
};

struct weft_group_options {
    enum weft_group_policy policy; /* 0 means WEFT_FAIL_FAST */
    unsigned quorum;               /* WEFT_QUORUM only: successes needed, at least 1 */
    unsigned concurrency_max;      /* children at once; 0: no limit; beyond it weft_spawn waits */
    int64_t deadline_ns;           /* absolute; 0 means none; passing it cancels the children */
    const char *name;              /* for people; not copied */
    struct weft_failure *failures; /* room for failures_max, filled in the order they come */
    unsigned failures_max;
};

/* Where a child runs. On another worker weft_deadline shows the deadline as it was at the spawn;
 * one that is moved after that holds there too, but does not show. A child on another worker than
 * its group's for which there is no stack fails with -ENOMEM: its spawn has succeeded by then. */
#define WEFT_HERE       0         /* on the caller's worker: siblings do not race */
#define WEFT_ANY_WORKER (-1)      /* on whichever has time first; it does not move after that */
#define WEFT_WORKER(n)  ((n) + 1) /* on worker n, 0 to weft_worker_count() - 1 */

struct weft_spawn_options {
    struct weft_task *task; /* keeps the outcome; must live until the group was waited for */
    const char *name;       /* for people; not copied */
    int worker;             /* WEFT_HERE, WEFT_ANY_WORKER, WEFT_WORKER(n) */
    size_t stack_bytes;     /* 0 means weft_run_options.stack_bytes; at most 1 MiB */
    size_t copy_bytes;      /* copy so much of *arg, at most 4 KiB: fn gets a copy of its own */
};

/* Result of one child, in the caller's storage. Read it after the group's wait, or after
 * weft_task_join. After a refused spawn it can be read at once, and used for another. All zero is a
 * task that was never spawned. */
struct weft_task {
    int result; /* what the task function returned, or why the spawn was refused */
    int done;   /* 1 when the function returned, or the spawn was refused */
    /* private */
    int refused;
    struct weft_task *completed; /* next in completion order */
    struct weft_group *group;
    struct weft_link joiners;
};

struct weft_group {
    struct weft_scope scope;
    struct weft_fiber *opener; /* who waits for it: the owner */
    struct weft_link open;     /* in the owner's list of groups to wait for */
    struct weft_link children; /* fibers of this worker, oldest first */
    struct weft_link joiners;  /* the owner, in weft_group_wait */
    struct weft_link spawners; /* held back by concurrency_max */
    struct weft_link nexters;  /* in weft_group_next */
    struct weft_task *first_completed, *last_completed, *last_taken;
    struct weft_failure *failures_kept;
    unsigned failures_max;
    unsigned live, live_max;
    unsigned successes, failures, quorum;
    unsigned cut;  /* children that failed after the group was cancelled */
    unsigned lost; /* failures that nobody can hear of */
    enum weft_group_policy policy;
    int first_success, first_failure;
    const char *name;
};

/* Make a group whose children live inside the calling fiber's current scope.
 *
 * options  NULL means all defaults; not kept
 * Returns  0, -EINVAL (WEFT_QUORUM without a quorum), -EPERM outside a runtime
 * Never suspends */
WEFT_API int weft_group_init(struct weft_group *group, const struct weft_group_options *options);

/* Start fn(arg) as a child. It is queued behind what is runnable; the caller goes on.
 * May be called by the owner and by any child of the group, on any worker; from a worker that is
 * not the group's own it costs a round trip.
 *
 * options  NULL means all defaults; not kept
 * Returns  0; -ECANCELED (the group, or while waiting at concurrency_max the caller, is
 *          cancelled: fn will not run); -ENOMEM (no stack, when it is to run on the group's own
 *          worker; no room to ask another); -EINVAL (options); WEFT_EFULL (a million tasks
 *          are away from their group's worker); -EPERM outside a runtime
 * Suspends only at concurrency_max, first come first served, and on a worker not the group's own.
 *          A task that waits there for its own group to shrink by itself waits for ever: do not
 *          spawn from children at the limit */
WEFT_API int weft_spawn(struct weft_group *group, int (*fn)(void *), void *arg);
WEFT_API int weft_spawn_with(struct weft_group *group, int (*fn)(void *), void *arg,
                             const struct weft_spawn_options *options);

/* The same, and keep the outcome in *task, which must live until the group was waited for. */
WEFT_API int weft_spawn_task(struct weft_group *group, struct weft_task *task, int (*fn)(void *),
                             void *arg);

/* Start a child and wait until it says weft_started: for a server that listens, a connection that
 * is made. What it fails with before that is the caller's to hear, not the group's; its task, if it
 * has one, keeps what it returned all the same. When the caller gives up waiting (deadline,
 * cancellation), the child is cancelled, and has returned before this does.
 *
 * Returns  what the child gave to weft_started; its own error when it ended first, -ECHILD when
 *          it ended first without one; -ETIMEDOUT, -ECANCELED; -EAGAIN (WEFT_NOWAIT: nothing was
 *          spawned); else like weft_spawn
 * Suspends */
WEFT_API int weft_spawn_started(struct weft_group *group, int (*fn)(void *), void *arg,
                                const struct weft_spawn_options *options, int64_t deadline_ns);

/* In such a child, once: it is ready. value is 0 or more.
 * Returns  0; -ECANCELED (nobody waits any more; the child should end); -EINVAL (nobody ever
 *          waited, or a negative value). Never suspends */
WEFT_API int weft_started(int value);

/* Wait for one task of a group, once its spawn has returned. From another worker than the group's
 * own it costs a round trip, with WEFT_NOWAIT as well.
 *
 * Returns  0 with *ret_result set; -ETIMEDOUT (-EAGAIN for WEFT_NOWAIT), -ECANCELED, -EPERM outside
 *          a runtime; -EINVAL (never spawned); -ENOMEM (from another worker: no room to ask)
 * Suspends */
WEFT_API int weft_task_join(struct weft_task *task, int64_t deadline_ns, int *ret_result);

/* Wait for some tasks of one group, an array of them; any other children do not matter.
 * weft_wait_first: until one has ended; weft_wait_first_failed: until one has failed; both give its
 * index, and the one that ended first when there are several. weft_wait_all: until all have ended.
 * A task whose spawn was refused has ended, before all others.
 *
 * Returns  the index, weft_wait_all 0; -ENOENT (none failed; count is 0; the group is empty);
 *          -ETIMEDOUT, -EAGAIN (WEFT_NOWAIT), -ECANCELED; -EPERM (another worker's group);
 *          -EINVAL (not all are tasks of one group)
 * Threads  the group's own worker. Suspends */
WEFT_API int weft_wait_first(struct weft_task *tasks, size_t count, int64_t deadline_ns);
WEFT_API int weft_wait_first_failed(struct weft_task *tasks, size_t count, int64_t deadline_ns);
WEFT_API int weft_wait_all(struct weft_task *tasks, size_t count, int64_t deadline_ns);

/* Wait until every child has ended. When the caller is cancelled meanwhile, so are the children,
 * and the wait goes on until they are gone. A cancelled child's -ECANCELED is no failure of its
 * own.
 *
 * Returns  the first of these that applies. A success counts also when it comes after the group
 *          was cancelled; who fails then was cut, and so was a child whose spawn was refused for it
 *
 *          WEFT_RACE, a child succeeded                        what the first to succeed returned
 *          WEFT_QUORUM, as many succeeded as asked for         0
 *          a child was cut, by the group's own deadline        -ETIMEDOUT
 *          a child was cut, by the caller's scope              -ECANCELED
 *          a child failed before any cancellation              what the first to fail returned
 *          WEFT_RACE, WEFT_QUORUM, not after weft_group_cancel -EINVAL: there were too few children
 *          otherwise, also after weft_group_cancel             0
 *
 *          Without having waited: -EDEADLK (the caller is a child of the group), -EPERM (it is not
 *          the fiber that opened the group)
 * Suspends, and is no checkpoint: it always joins */
WEFT_API int weft_group_wait(struct weft_group *group);

/* Cancel every child, now and in future. Idempotent.
 *
 * reason   what weft_cancel_reason says in the children, negative; 0 means -ECANCELED
 * Threads  any thread that knows the group is still open. Never suspends */
WEFT_API void weft_group_cancel(struct weft_group *group, int reason);

/* Cancel what still runs and wait until it is gone. Safe after weft_group_wait. Suspends.
 * Another fiber than the one that opened the group cannot wait for it: that aborts, because its
 * caller would go on while children run. */
WEFT_API void weft_group_close(struct weft_group *group);

/* Take the next task in the order in which they end, waiting for it to end: each is given out once.
 * For children with a task (weft_spawn_task, weft_spawn_options.task).
 *
 * Returns  0 with *ret_task set; -ENOENT (all ended, all given out); -ETIMEDOUT, -EAGAIN
 *          (WEFT_NOWAIT), -ECANCELED; -EPERM (another worker's group)
 * Threads  the group's own worker. Suspends */
WEFT_API int weft_group_next(struct weft_group *group, struct weft_task **ret_task,
                             int64_t deadline_ns);

/* Failures so far, also those there was no room for in weft_group_options.failures. */
WEFT_API unsigned weft_group_failures(const struct weft_group *group);

/* Children that have not ended, from the group's own worker. */
WEFT_API unsigned weft_group_live(const struct weft_group *group);

/* Walk the finished tasks of weft_spawn_task in the order in which they ended:
 * weft_group_completed(group, NULL) is the first, NULL comes after the last. */
WEFT_API struct weft_task *weft_group_completed(const struct weft_group *group,
                                                const struct weft_task *after);

WEFT_END_DECLS

#endif
