/* SPDX-License-Identifier: MIT
 * inspect.h - descriptions of the fibers of a runtime, worker by worker. */
#ifndef WEFT_RUNTIME_INSPECT_H
#define WEFT_RUNTIME_INSPECT_H

#include <base/buffer.h>
#include <runtime/runtime.h>

/* Describe every worker's groups and fibers, appended to text. From a fiber of the runtime, or from
 * a thread outside for as long as the workers exist. Waits for the workers, a second at most.
 * Returns 0, -ENOMEM */
int weft_inspect(struct weft_runtime *runtime, struct weft_buffer *text);

/* Describe the calling thread's own worker. Returns 0, -ENOMEM */
int weft_inspect_worker(struct weft_worker *worker, struct weft_buffer *text);

/* Answer what is still asked of a worker that reads its mail no more. */
void weft_inspect_refuse(struct weft_worker *worker);

#endif
