/* SPDX-License-Identifier: MIT
 * stack.h - stacks for fibers, cut from slabs, each with a guard of 16 KiB below.
 *
 * A slab is one large mapping that costs nothing until touched. A stack is cut off when it is
 * first needed and then reused, most recently used first, without a system call. Guards are
 * installed with MADV_GUARD_INSTALL (Linux 6.13), which keeps the slab one mapping; on older
 * kernels with mprotect, which costs two mappings per stack, so only the first
 * WEFT_STACK_MPROTECT_MAX stacks get one (vm.max_map_count is 65,530 by default). */
#ifndef WEFT_OS_STACK_H
#define WEFT_OS_STACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WEFT_STACK_MPROTECT_MAX 24000u

enum weft_stack_guard {
    WEFT_GUARD_INSTALL,
    WEFT_GUARD_MPROTECT,
    WEFT_GUARD_NONE,
};

/* How stacks are guarded; shared by the pools of a process that should not use up its mappings
 * together. Written by every thread that has a pool. */
struct weft_stack_guards {
    unsigned kind;      /* enum weft_stack_guard of the next stack */
    unsigned protected; /* by mprotect so far */
    unsigned bare;      /* without a guard so far */
};

/* One pool belongs to one thread. */
struct weft_stack_pool {
    size_t usable_bytes; /* of each stack, a multiple of the page size */
    size_t guard_bytes;
    struct weft_stack_guards *guards;
    char *slab_next, *slab_end; /* what is left of the newest slab */
    void **slabs;
    size_t slabs_len, slabs_capacity;
    char **idle; /* lowest usable byte of each idle stack, hottest last */
    size_t idle_len, idle_capacity;
    size_t idle_cold; /* that many at the front have given their memory back */
    size_t stacks;    /* cut so far, busy or idle */
    uintptr_t *known; /* under valgrind only: what it calls each stack, in the order of cutting */
    size_t known_capacity;
};

/* Returns 0, -EINVAL (usable_bytes below 16 KiB or above 1 GiB). Takes no memory yet. */
int weft_stack_pool_init(struct weft_stack_pool *pool, size_t usable_bytes,
                         struct weft_stack_guards *guards);

/* Unmap everything; every stack must be idle or abandoned. */
void weft_stack_pool_deinit(struct weft_stack_pool *pool);

/* A stack: its lowest usable byte, NULL when there is no memory. */
char *weft_stack_acquire(struct weft_stack_pool *pool);

/* Give one back. Its content stays until the stack is reused or trimmed. */
void weft_stack_release(struct weft_stack_pool *pool, char *stack);

/* Give memory of stacks that have long been idle back to the kernel, a bounded number per call.
 * Returns true when there is more to do. */
bool weft_stack_pool_trim(struct weft_stack_pool *pool);

#endif
