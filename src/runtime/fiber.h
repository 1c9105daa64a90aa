/* SPDX-License-Identifier: MIT
 * fiber.h - a fiber's control block, and its life from start to end. */
#ifndef WEFT_RUNTIME_FIBER_H
#define WEFT_RUNTIME_FIBER_H

#include <base/list.h>
#include <os/context.h>

#include <weft/group.h>

#include <stdatomic.h>
#include <stdbool.h>

struct weft_remote;
struct weft_stack_pool;
struct weft_starter;

/* Lives at the top of its own stack, so that a new fiber touches one page. */
struct weft_fiber {
    struct weft_context context;
    struct weft_worker *worker;   /* NULL: a thread outside any runtime, see wait.c */
    struct weft_mail mail;        /* in the run queue or in the worker's mailbox, never in both */
    atomic_bool parked;           /* true while it waits and nobody has claimed it */
    bool exposed;                 /* other threads may claim it */
    int wake_result;              /* written by the claimer */
    unsigned clocked;             /* not 0: its running time is counted, for so many who asked */
    struct weft_waiter *winner;   /* which of several waiters was served; written by the claimer */
    const char *waits_for;        /* for people */
    unsigned awake;               /* outside a runtime: the word the thread sleeps on */
    unsigned holds;               /* mutexes, and locks to write */
    struct weft_scope *scope;     /* innermost */
    struct weft_link in_scope;    /* in scope->waiting while it waits cancellably */
    struct weft_timer timer;      /* armed while it waits with a deadline */
    struct weft_group *group;     /* NULL for the first fiber, and for one from another worker */
    struct weft_remote *remote;   /* its record, when it was spawned on another worker */
    struct weft_link sibling;     /* in group->children, or in worker->guests */
    struct weft_link groups;      /* made by this fiber and not waited for yet */
    struct weft_task *task;       /* where the outcome goes; may be NULL */
    struct weft_starter *starter; /* who waits for weft_started; NULL otherwise, and after it */
    struct weft_local *locals;
    int (*fn)(void *);
    void *arg;
    char *stack; /* lowest usable byte */
    struct weft_stack_pool *stacks;
    const char *name;
    const void *spawned_at;
    int64_t run_ns, resumed_at_ns; /* while clocked: run before the last switch to it, and then */
};

/* What weft_fiber_start is told. */
struct weft_fiber_plan {
    struct weft_scope *scope;
    int (*fn)(void *);
    void *arg;
    const void *copy; /* arg points to a copy of that, on the fiber's own stack */
    size_t copy_bytes;
    struct weft_local *locals;    /* taken over when it starts, or fails to on another worker */
    struct weft_starter *starter; /* who waits for weft_started, or NULL */
    size_t stack_bytes;           /* 0: the runtime's default */
    const char *name;
    const void *spawned_at;
};

/* Make a fiber, runnable behind the others. Returns NULL when there is no stack. */
struct weft_fiber *weft_fiber_start(struct weft_worker *worker, const struct weft_fiber_plan *plan);

#endif
