/* SPDX-License-Identifier: MIT
 * signal.h - receive signals as a value in a fiber instead of in a handler. */
#ifndef WEFT_SIGNAL_H
#define WEFT_SIGNAL_H

#include <weft/base.h>

WEFT_BEGIN_DECLS

/* Keep signals from striking the calling thread and the threads it starts later, so that
 * weft_signal_wait can receive them. Call it first thing in main. Returns 0 or -EINVAL. */
WEFT_API int weft_signal_block(const int *signals, size_t count);

/* Wait for one of the signals, which must be blocked in every thread.
 *
 * Returns  the signal's number; -ETIMEDOUT, -EAGAIN (WEFT_NOWAIT), -ECANCELED, -EINVAL
 * Threads  the calling thread's and the process's pending signals; suspends */
WEFT_API int weft_signal_wait(const int *signals, size_t count, int64_t deadline_ns);

WEFT_END_DECLS

#endif
