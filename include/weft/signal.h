/* SPDX-License-Identifier: MIT
 * signal.h - receive signals as a value in a fiber instead of in a handler. */
#ifndef WEFT_SIGNAL_H
#define WEFT_SIGNAL_H

#include <weft/scope.h>

WEFT_BEGIN_DECLS

/* Keep signals from striking the calling thread and the threads it starts later, so that
 * weft_signal_wait can receive them. Call it first thing in main. Returns 0 or -EINVAL. */
WEFT_API int weft_signal_block(const int *signals, size_t count);

/* Wait for one of the signals, which must be blocked in every thread. Of several fibers that wait
 * for the same signal, one receives it.
 *
 * Returns  the signal's number; -ETIMEDOUT, -EAGAIN (WEFT_NOWAIT), -ECANCELED, -EINVAL
 * Threads  the calling thread's and the process's pending signals; suspends */
WEFT_API int weft_signal_wait(const int *signals, size_t count, int64_t deadline_ns);

/* Wait for one of the signals, then cancel a scope, and let the next one strike as usual: the first
 * Ctrl-C asks the program to end, the second ends it. For a fiber outside the scope:
 *
 *     static int until_signal(void *arg)
 *     {
 *         static const int signals[] = {SIGINT, SIGTERM};
 *         return weft_signal_cancel(arg, signals, 2);   // arg: &group.scope of the program's work
 *     }
 *
 * Returns  the signal's number, after it has cancelled the scope; -ECANCELED, -EINVAL
 * Threads  the scope's own; the signals are unblocked in it from then on. Suspends */
WEFT_API int weft_signal_cancel(struct weft_scope *scope, const int *signals, size_t count);

WEFT_END_DECLS

#endif
