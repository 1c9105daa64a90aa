/* SPDX-License-Identifier: MIT
 * case.h - what weft_select needs to know of each kind of object. */
#ifndef WEFT_RUNTIME_CASE_H
#define WEFT_RUNTIME_CASE_H

#include <runtime/worker.h>

#include <weft/select.h>

/* For objects with a guard, attempt, ready and queue are called while it is entered; for tasks and
 * descriptors on their own worker. */
struct weft_case_ops {
    /* Whether the object may be waited for from here: 0, or a negative error that ends the whole
     * select. NULL where the guard says so. */
    int (*permit)(const struct weft_case *c);

    /* Do it without waiting, all or nothing: 0, WEFT_WOULD_WAIT, or an error for case.result.
     * *ret_served is woken with 0 after the guard is left; it is NULL before. */
    int (*attempt)(struct weft_case *c, struct weft_waiter **ret_served);

    /* Whether attempt would do it, without an effect; self may wait in queues of the object. */
    bool (*ready)(const struct weft_case *c, const struct weft_fiber *self);

    /* Where to wait; called once, right before. NULL: it is never waited for in a queue. */
    struct weft_link *(*queue)(struct weft_case *c);

    /* The waiter is out of the queue again, served or not; not under the guard. May be NULL. */
    void (*left)(const struct weft_case *c, bool served);

    /* case.result after success, where that is not always 0; otherwise NULL. */
    int (*outcome)(const struct weft_case *c);
};

/* Like weft_case_fd for reading, of a descriptor through which somebody owes an answer: virtual
 * time stands still meanwhile. */
struct weft_case weft_case_owed_fd(int fd);

#endif
