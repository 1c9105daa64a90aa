/* SPDX-License-Identifier: MIT
 * completion.h - a fiber waits for one answer from another thread.
 *
 *     struct weft_completion done;
 *     weft_completion_init(&done);             // in the fiber
 *     hand_over(request, &done);               // the other thread will call signal exactly once
 *     int result = weft_completion_wait(&done);
 *
 * The wait cannot be cancelled: the other side holds a pointer into the fiber's stack. */
#ifndef WEFT_RUNTIME_COMPLETION_H
#define WEFT_RUNTIME_COMPLETION_H

#include <stdatomic.h>

struct weft_fiber;

struct weft_completion {
    struct weft_fiber *fiber;
    atomic_int state; /* see completion.c */
    int result;
};

/* Bind to the calling fiber. Every init is followed by one wait. */
void weft_completion_init(struct weft_completion *completion);

/* Suspend until signalled; returns the result. Signalled before or after: no wake-up is lost.
 * Only a fiber of that runtime; while one is outstanding, virtual time stands still. */
int weft_completion_wait(struct weft_completion *completion);

/* Answer, exactly once, from any thread. *completion may be gone when this returns. */
void weft_completion_signal(struct weft_completion *completion, int result);

#endif
