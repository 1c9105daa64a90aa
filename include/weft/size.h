/* SPDX-License-Identifier: MIT
 * size.h - how many workers and how much concurrency fit this machine: what `weft size` prints. */
#ifndef WEFT_SIZE_H
#define WEFT_SIZE_H

#include <weft/base.h>

WEFT_BEGIN_DECLS

struct weft_machine {
    unsigned cpus;            /* usable by this process */
    uint64_t memory_bytes;    /* total, or the cgroup's limit when that is lower */
    uint64_t available_bytes; /* free for new work now */
};

struct weft_size {
    unsigned workers;            /* one per core, at most 8 */
    uint64_t threads_per_worker; /* the seed's step table: 1000 from 32 GiB, 500, 250, 100 */
    uint64_t threads_memory_bytes;
    uint64_t threads_memory_max; /* threads that half of the available memory holds */
    uint64_t fibers_per_worker;  /* fibers that half of the available memory holds, per worker */
    uint64_t fibers_memory_bytes;
};

#define WEFT_THREAD_BYTES ((uint64_t)8 << 20) /* the guide's figure for one thread */
#define WEFT_FIBER_BYTES  ((uint64_t)7 << 10) /* one waiting job: stack page, record, page table */

/* Look at this machine. Returns 0 or the error of reading /proc. Never suspends. */
WEFT_API int weft_machine_read(struct weft_machine *ret_machine);

/* What fits the machine. Pure. */
WEFT_API void weft_size_for(const struct weft_machine *machine, struct weft_size *ret_size);

WEFT_END_DECLS

#endif
