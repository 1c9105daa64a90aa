/* SPDX-License-Identifier: MIT
 * offload.h - run blocking C on a thread while the fiber waits. */
#ifndef WEFT_OFFLOAD_H
#define WEFT_OFFLOAD_H

#include <weft/base.h>

WEFT_BEGIN_DECLS

/* Run fn(arg) on one of the runtime's threads (weft_run_options.offload_threads_max).
 *
 * A call that has started is always waited for, even if the fiber is cancelled meanwhile: arg may
 * live on the fiber's stack. One that is still queued when the cancel comes does not run.
 * Returns  fn's result; -ECANCELED (fn did not run), WEFT_EFULL (too many calls queued),
 *          -EAGAIN (no thread can be made), -ENOMEM, -EPERM outside a runtime
 * Threads  fn runs on a plain thread: no call of weft that suspends works there */
WEFT_API int weft_offload(int (*fn)(void *), void *arg);

WEFT_END_DECLS

#endif
