/* SPDX-License-Identifier: MIT
 * offload.h - blocking calls on threads, by class. See weft/offload.h.
 *
 * Each class has threads and a queue of its own: slow lookups do not keep files waiting, nor do
 * the program's own calls. */
#ifndef WEFT_RUNTIME_OFFLOAD_H
#define WEFT_RUNTIME_OFFLOAD_H

#include <stdint.h>

enum weft_offload_class {
    WEFT_OFFLOAD_USER,  /* limits by weft_run_options */
    WEFT_OFFLOAD_FILES, /* 4 threads, 65,536 calls waiting */
    WEFT_OFFLOAD_NAMES, /* 4 threads, 1,024 lookups waiting */
    WEFT_OFFLOAD_JOBS,  /* 1,024 threads: who uses it has a limit of its own */
    WEFT_OFFLOAD_CLASSES,
};

/* weft_offload on the threads of a class. */
int weft_offload_on(enum weft_offload_class kind, int (*fn)(void *), void *arg);

/* weft_offload_or_abandon on the threads of a class. */
int weft_offload_or_abandon_on(enum weft_offload_class kind, int (*fn)(void *), void *arg,
                               void (*release)(void *arg), int64_t deadline_ns, int *ret_result);

/* Have fn(arg) run without waiting for it. arg, on the heap, belongs to the call: release(arg)
 * follows fn, or comes without it when the runtime ends first. Never suspends.
 * Returns  0; WEFT_EFULL, -EAGAIN (no thread), -ENOMEM, with arg still the caller's */
int weft_offload_post(enum weft_offload_class kind, int (*fn)(void *), void *arg,
                      void (*release)(void *arg));

#endif
