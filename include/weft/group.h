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
 *
 * Every weft_group_init is followed by weft_group_wait or weft_group_close in the same fiber;
 * both return only when every child has ended, whatever was cancelled. */
#ifndef WEFT_GROUP_H
#define WEFT_GROUP_H

#include <weft/scope.h>

WEFT_BEGIN_DECLS

enum weft_policy {
    WEFT_FAIL_FAST, /* the first failure cancels the rest and is the group's result */
    WEFT_SUPERVISE, /* failures are kept, nobody is cancelled; the result is the first of them */
    WEFT_RACE,      /* the first success cancels the rest and is the group's result */
    WEFT_QUORUM,    /* as many successes as asked for cancel the rest; the result is 0 */
};

struct weft_group_options {
    enum weft_policy policy;  /* 0 means WEFT_FAIL_FAST */
    unsigned quorum;          /* WEFT_QUORUM only: successes needed, at least 1 */
    unsigned concurrency_max; /* children at once; 0 means no limit; beyond it weft_spawn waits */
    int64_t deadline_ns;      /* absolute; 0 means none; passing it cancels the children */
    const char *name;         /* for people; not copied */
};

/* Result of one child, in the caller's storage. Read it after the group's wait, or after
 * weft_task_join. */
struct weft_task {
    int result;                  /* what the task function returned, once done */
    int done;                    /* 1 when the function returned */
    struct weft_task *completed; /* private: next in completion order */
    struct weft_link joiners;    /* private */
};

struct weft_group {
    struct weft_scope scope;
    struct weft_link children; /* fibers, oldest first */
    struct weft_link joiners;  /* the owner, in weft_group_wait */
    struct weft_link spawners; /* held back by concurrency_max */
    struct weft_task *first_completed, *last_completed;
    unsigned live, live_max;
    unsigned successes, failures, quorum;
    unsigned cut; /* children that failed after the group was cancelled */
    enum weft_policy policy;
    int result;        /* decided by the policy */
    int first_failure; /* where the policy lets others go on */
    const char *name;
};

/* Make a group whose children live inside the calling fiber's current scope.
 *
 * options  NULL means all defaults; not kept
 * Returns  0, -EINVAL (WEFT_QUORUM without a quorum), -EPERM outside a runtime
 * Never suspends */
WEFT_API int weft_group_init(struct weft_group *group, const struct weft_group_options *options);

/* Start fn(arg) as a child. It is queued behind what is runnable; the caller goes on.
 * May be called by the owner and by any child of the group.
 *
 * Returns  0; -ECANCELED (the group, or while waiting at concurrency_max the caller, is
 *          cancelled: fn will not run); -ENOMEM (no stack)
 * Suspends only at concurrency_max, first come first served. A task that waits there for its
 *          own group to shrink by itself waits for ever: do not spawn from children at the limit */
WEFT_API int weft_spawn(struct weft_group *group, int (*fn)(void *), void *arg);

/* The same, and keep the outcome in *task, which must live until the group was waited for. */
WEFT_API int weft_spawn_task(struct weft_group *group, struct weft_task *task, int (*fn)(void *),
                             void *arg);

/* Wait for one task of a group.
 *
 * Returns  0 with *ret_result set; -ETIMEDOUT (-EAGAIN for WEFT_NOWAIT), -ECANCELED */
WEFT_API int weft_task_join(struct weft_task *task, int64_t deadline_ns, int *ret_result);

/* Wait until every child has ended. When the caller is cancelled meanwhile, so are the children,
 * and the wait goes on until they are gone. A cancelled child's -ECANCELED is no failure of its
 * own.
 *
 * Returns  by policy, see enum weft_policy. Where a cancellation kept a child from succeeding, or
 *          from being spawned: -ETIMEDOUT by the group's own deadline, -ECANCELED by the caller's
 *          scope. After weft_group_cancel: 0, unless a child had failed before. -EINVAL when too
 *          few children for the policy were there, and none failed: an empty race, a quorum larger
 *          than the group
 * Suspends, and is no checkpoint: it always joins */
WEFT_API int weft_group_wait(struct weft_group *group);

/* Cancel every child, now and in future. Idempotent. From the group's own thread. */
WEFT_API void weft_group_cancel(struct weft_group *group);

/* Cancel what still runs and wait until it is gone. Safe after weft_group_wait. Suspends. */
WEFT_API void weft_group_close(struct weft_group *group);

/* Children that have not ended, from the group's own thread. */
WEFT_API unsigned weft_group_live(const struct weft_group *group);

/* Walk the finished tasks of weft_spawn_task in the order in which they ended:
 * weft_group_completed(group, NULL) is the first, NULL comes after the last. */
WEFT_API struct weft_task *weft_group_completed(const struct weft_group *group,
                                                const struct weft_task *after);

WEFT_END_DECLS

#endif
