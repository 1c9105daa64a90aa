/* SPDX-License-Identifier: MIT
 * runtime.h - the workers of one weft_run, and tasks that cross from one to another. */
#ifndef WEFT_RUNTIME_RUNTIME_H
#define WEFT_RUNTIME_RUNTIME_H

#include <runtime/life.h>
#include <runtime/worker.h>

#include <pthread.h>
#include <stdalign.h>

/* A task that runs on another worker than its group's, or a call from outside.
 *
 * home sends it to target, which starts a fiber for it; when the fiber has ended, target sends it
 * back. In between home may send a cancellation after it. Only home touches the group, only target
 * the scope. A task for whoever has time first waits in the runtime's list of unstarted tasks
 * until a worker takes it: nothing moves once it has started. */
struct weft_remote {
    struct weft_mail mail;        /* the order to start, later the report of the end */
    struct weft_mail cancel_mail; /* home to target */
    struct weft_link unstarted;   /* in runtime->unstarted */
    struct weft_link in_group;    /* home: in the group's scope.remotes */
    struct weft_group *group;     /* NULL: a call from outside */
    struct weft_task *task;
    struct weft_worker *home, *target; /* target: under unstarted_lock until it is set */
    struct weft_scope scope;           /* target: the fiber's outermost */
    struct weft_fiber_plan plan;
    int64_t outer_deadline_ns; /* of the scopes around the group, when it was spawned */
    int result, reason;
    struct weft_life life;
    unsigned done;                    /* a call from outside: the word its caller sleeps on */
    alignas(max_align_t) char copy[]; /* what plan.arg points to, when the spawn asked for it */
};

struct weft_runtime {
    struct weft_link all; /* in weft_runtimes */
    struct weft_stack_guards guards;
    struct weft_worker *workers; /* workers[0] belongs to the thread that called weft_run */
    pthread_t *threads;
    unsigned workers_len, workers_ready;

    struct weft_debug *debug; /* NULL outside debug mode */
    unsigned watch_lock;      /* over the making and ending of the next two */
    struct weft_watch *watch; /* NULL until somebody watches */
    struct weft_inspector *inspector;
    unsigned measuring; /* who has the workers' meters on */

    unsigned unstarted_lock;
    struct weft_link unstarted;
    unsigned unstarted_len;

    unsigned fork_count; /* weft_fork_count when it was made */
    unsigned references; /* weft_run's own, and those of weft_runtime_acquire */
    unsigned callers;    /* threads outside that are using the workers */
    unsigned closed;     /* the workers are about to be freed: no caller may come in */
    unsigned guests;     /* tasks away from home, and calls from outside */
    unsigned idle;       /* workers that only mail can wake */
    unsigned rousings;   /* raised when a worker stops being idle */
    unsigned releases;   /* raised when nobody outside holds the runtime any more */
    unsigned stopping;   /* the first fiber has ended */
    unsigned deadlocks;  /* found so far; from the second on shields do not count */
    int broken;          /* a poller's error */
    int result;          /* the first fiber's */
};

/* Every runtime of the process, for debuggers (scripts/weft-gdb.py). */
extern struct weft_link weft_runtimes;

/* In a child of fork(): its parent's are not its own. */
void weft_runtimes_forget(void);

/* Whether the worker has nothing left to do, ever. */
bool weft_runtime_finished(struct weft_runtime *runtime, const struct weft_worker *worker);

/* The first fiber has ended: cancel calls from outside, let every worker come to its end. */
void weft_runtime_stop(struct weft_runtime *runtime, int result);

/* A task away from home, or a call from outside, is over. */
void weft_runtime_guest_left(struct weft_runtime *runtime);

/* A worker is about to sleep until mail comes. If that goes for all of them and nobody outside
 * holds the runtime, its fibers are deadlocked: they are cancelled, and this returns false. */
bool weft_runtime_idle(struct weft_runtime *runtime);
void weft_runtime_busy(struct weft_runtime *runtime);

static inline unsigned weft_runtime_deadlocks(struct weft_runtime *runtime)
{
    return __atomic_load_n(&runtime->deadlocks, __ATOMIC_SEQ_CST);
}

/* How often the last hold from outside has gone. */
static inline unsigned weft_runtime_releases(struct weft_runtime *runtime)
{
    return __atomic_load_n(&runtime->releases, __ATOMIC_SEQ_CST);
}

/* A worker cannot wait for descriptors any more: cancel everything. */
void weft_runtime_broken(struct weft_runtime *runtime, int err);

/* ---- tasks on other workers (remote.c) ------------------------------------------------- */

/* Send a task of a group of this worker to another, or to anybody. Returns 0, -ENOMEM, WEFT_EFULL
 */
int weft_remote_spawn(struct weft_group *group, struct weft_task *task, int worker,
                      const struct weft_fiber_plan *plan);

/* Run a call from outside and sleep until it is done. */
int weft_remote_call(struct weft_runtime *runtime, int (*fn)(void *), void *arg);

/* On home: the scope around the task was cancelled. */
void weft_remote_cancel(struct weft_remote *remote, int reason);

/* On target: the fiber's function has returned. */
void weft_remote_ended(struct weft_remote *remote, int result);

/* Take one unstarted task and start it here. False: there is none. */
bool weft_remote_take(struct weft_worker *worker);

/* Whether somebody waits in the list of unstarted tasks. */
static inline bool weft_remote_waiting(struct weft_runtime *runtime)
{
    return __atomic_load_n(&runtime->unstarted_len, __ATOMIC_SEQ_CST) > 0;
}

#endif
