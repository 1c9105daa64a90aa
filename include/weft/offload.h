/* SPDX-License-Identifier: MIT
 * offload.h - run blocking C on a thread while the fiber waits. */
#ifndef WEFT_OFFLOAD_H
#define WEFT_OFFLOAD_H

#include <weft/base.h>

WEFT_BEGIN_DECLS

/* Run fn(arg) on one of the calling worker's threads (weft_run_options.offload_threads_max).
 *
 * A call that has started is always waited for, even if the fiber is cancelled meanwhile: arg may
 * live on the fiber's stack. One that is still queued when the cancel comes does not run.
 * Returns  fn's result; -ECANCELED (fn did not run), WEFT_EFULL (too many calls queued),
 *          -EAGAIN (no thread can be made), -ENOMEM, -EPERM outside a runtime
 * Threads  fn runs on a thread outside any runtime. Shared channels, queues and objects of sync.h
 *          work there and block the thread; calls that need a fiber return -EPERM */
WEFT_API int weft_offload(int (*fn)(void *), void *arg);

/* Run fn(arg) likewise, but leave it alone when the wait ends first: the thread finishes the call
 * behind the fiber's back, even behind the runtime's. For calls that nobody can interrupt and
 * whose result is not worth waiting for, like a look-up in a service that does not answer.
 *
 * arg          on the heap, with everything fn touches: the call owns it until it gives it back
 * release      called once with arg when the result is negative: before this returns, or by the
 *              thread when fn has ended; free() will often do
 * deadline_ns  absolute; WEFT_NOWAIT answers -EAGAIN
 * ret_result   set only when 0 is returned
 * Returns      0: *ret_result is what fn returned, arg is the caller's again. -ECANCELED,
 *              -ETIMEDOUT: fn did not run, or still does. WEFT_EFULL, -EAGAIN, -ENOMEM, -EPERM:
 *              as with weft_offload, and fn did not run
 * Limits       an abandoned call keeps its thread busy until fn returns
 * Threads      as with weft_offload; suspends. Nobody waits for an abandoned call: if fn is going
 * to wake fibers even then, the caller acquires the runtime before (weft_runtime_acquire) and fn
 * releases it, or the fibers that wait for fn may be taken for deadlocked */
WEFT_API int weft_offload_or_abandon(int (*fn)(void *), void *arg, void (*release)(void *arg),
                                     int64_t deadline_ns, int *ret_result);

WEFT_END_DECLS

#endif
