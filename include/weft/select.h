/* SPDX-License-Identifier: MIT
 * select.h - wait for several things at once; exactly one of them happens.
 *
 *     struct weft_case cases[] = {
 *         weft_case_receive(&orders, &order),
 *         weft_case_event(&closing),
 *         weft_case_timer(weft_now() + WEFT_SEC),
 *     };
 *     switch (weft_select(cases, 3, WEFT_FOREVER, 0)) {
 *     case 0: return cases[0].result < 0 ? cases[0].result : serve(&order);
 *     case 1: return 0;
 *     case 2: return report();
 *     default: return -ECANCELED;
 *     } */
#ifndef WEFT_SELECT_H
#define WEFT_SELECT_H

#include <weft/channel.h>
#include <weft/group.h>
#include <weft/queue.h>
#include <weft/sync.h>

WEFT_BEGIN_DECLS

struct weft_case_ops;
struct weft_process;

/* Made by a function below, and good for any number of selects. */
struct weft_case {
    int result; /* of the case that was chosen: what the call by itself would have returned */
    /* private */
    const struct weft_case_ops *ops; /* NULL: never chosen */
    void *object;
    struct weft_guard *guard; /* of the object; NULL: it belongs to the worker */
    const void *source;
    void *target;
    int64_t deadline_ns; /* a timer's */
    uint32_t count;      /* permits asked for */
    int fd;
    unsigned flags;
    int queued, outcome;
    uint32_t generation; /* of the descriptor, when the wait began */
    struct weft_waiter waiter;
};

/* Flags of weft_select. */
#define WEFT_SELECT_IN_ORDER 1u /* of several that are ready the first, not a random one */

#define WEFT_SELECT_MAX      64 /* cases */

/* The cases. The pointers are kept, not what they point to; an all-zero case is never chosen.
 * result is what the call of the same name would return: for a channel or queue 0 or the reason it
 * was closed with, for a descriptor 0 or -EBADF, for an event, a semaphore or a timer 0. */
WEFT_API struct weft_case weft_case_send(struct weft_channel *channel, const void *item);
WEFT_API struct weft_case weft_case_receive(struct weft_channel *channel, void *ret_item);
WEFT_API struct weft_case weft_case_pop(struct weft_priority_queue *queue, void *ret_item);
WEFT_API struct weft_case weft_case_event(struct weft_event *event);
WEFT_API struct weft_case weft_case_acquire(struct weft_semaphore *semaphore, uint32_t count);

/* The end of a task; result is what its function returned. From the group's own worker. */
WEFT_API struct weft_case weft_case_task(struct weft_task *task);

/* A descriptor that is readable or writable, or whose other end hangs up (flags: WEFT_READABLE,
 * WEFT_WRITABLE, WEFT_HANGUP, one of them). May be chosen without need, like weft_wait_fd. */
WEFT_API struct weft_case weft_case_fd(int fd, unsigned flags);

/* The end of a process; weft_process_wait with WEFT_NOWAIT tells how it ended. Virtual time stands
 * still meanwhile. */
WEFT_API struct weft_case weft_case_process(const struct weft_process *process);

/* The clock shows deadline_ns; one that is over is ready at once. */
WEFT_API struct weft_case weft_case_timer(int64_t deadline_ns);

/* Wait until one of the cases can go, and do it. The others have no effect. A case that is ready
 * wins at once; of several, the search begins at a random one, the same for the same
 * weft_run_options.seed. A case that waits has its place in the object's queue; it is lost
 * when another case is chosen. A checkpoint.
 *
 * cases    1 to WEFT_SELECT_MAX; must not move until the call returns
 * flags    0, WEFT_SELECT_IN_ORDER
 * Returns  the index of the case that was chosen; -ETIMEDOUT, -EAGAIN (WEFT_NOWAIT), -ECANCELED,
 *          all without effect; -EINVAL; -EPERM (a case is local to another worker)
 * Threads  any; outside a runtime only with shared objects and timers, and then it blocks
 * Suspends */
WEFT_API int weft_select(struct weft_case *cases, size_t count, int64_t deadline_ns,
                         unsigned flags);

WEFT_END_DECLS

#endif
