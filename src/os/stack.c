/* SPDX-License-Identifier: MIT
 * stack.c - see stack.h. */
#include <os/sanitizer.h>
#include <os/stack.h>

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102 /* Linux 6.13; newer than the headers of Debian 12 */
#endif

/* Costs address space only. A frame larger than this can jump it, unless its code was compiled with
 * -fstack-clash-protection. */
#define GUARD_BYTES  ((size_t)16 << 10)
#define SLAB_BYTES   ((size_t)64 << 20)
#define USABLE_MIN   ((size_t)16 << 10)
#define USABLE_MAX   ((size_t)1 << 30)
#define IDLE_HOT_MAX 4096u /* idle stacks that keep their memory */
#define TRIM_MAX     64u   /* stacks trimmed per call: about 100 us */

int weft_stack_pool_init(struct weft_stack_pool *pool, size_t usable_bytes,
                         struct weft_stack_guards *guards)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    if (usable_bytes < USABLE_MIN || usable_bytes > USABLE_MAX)
        return -EINVAL;
    *pool = (struct weft_stack_pool){
        .usable_bytes = (usable_bytes + page - 1) / page * page,
        .guard_bytes = GUARD_BYTES > page ? GUARD_BYTES : page,
        .guards = guards,
    };
    return 0;
}

void weft_stack_pool_deinit(struct weft_stack_pool *pool)
{
    size_t slab_bytes = pool->usable_bytes + pool->guard_bytes;
    if (slab_bytes < SLAB_BYTES)
        slab_bytes = SLAB_BYTES;
    for (size_t i = 0; pool->known && i < pool->stacks; i++)
        weft_valgrind_forget_stack(pool->known[i]);
    for (size_t i = 0; i < pool->slabs_len; i++)
        (void)munmap(pool->slabs[i], slab_bytes);
    free(pool->slabs);
    free(pool->idle);
    free(pool->known);
    *pool = (struct weft_stack_pool){0};
}

static int grow_array(void *array, size_t len, size_t *capacity)
{
    void **pointer = array;
    if (len < *capacity)
        return 0;
    size_t wanted = *capacity ? *capacity * 2 : 16;
    void *grown = realloc(*pointer, wanted * sizeof(void *));
    if (!grown)
        return -ENOMEM;
    *pointer = grown;
    *capacity = wanted;
    return 0;
}

static int map_slab(struct weft_stack_pool *pool)
{
    size_t bytes = pool->usable_bytes + pool->guard_bytes;
    if (bytes < SLAB_BYTES)
        bytes = SLAB_BYTES;
    if (grow_array(&pool->slabs, pool->slabs_len, &pool->slabs_capacity) < 0)
        return -ENOMEM;
    void *slab = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (slab == MAP_FAILED)
        return -ENOMEM;
    /* A huge page would make every first touch cost 2 MiB. Where the kernel has none: fine. */
    (void)madvise(slab, bytes, MADV_NOHUGEPAGE);
    pool->slabs[pool->slabs_len++] = slab;
    pool->slab_next = slab;
    pool->slab_end = pool->slab_next + bytes;
    return 0;
}

static unsigned load(unsigned *at)
{
    return __atomic_load_n(at, __ATOMIC_RELAXED);
}

static void install_guard(struct weft_stack_pool *pool, char *guard)
{
    struct weft_stack_guards *guards = pool->guards;
    if (load(&guards->kind) == WEFT_GUARD_INSTALL) {
        if (madvise(guard, pool->guard_bytes, MADV_GUARD_INSTALL) == 0)
            return;
        __atomic_store_n(&guards->kind, WEFT_GUARD_MPROTECT, __ATOMIC_RELAXED);
    }
    if (load(&guards->kind) == WEFT_GUARD_MPROTECT) {
        unsigned number = __atomic_add_fetch(&guards->protected, 1, __ATOMIC_RELAXED);
        if (number <= WEFT_STACK_MPROTECT_MAX && mprotect(guard, pool->guard_bytes, PROT_NONE) == 0)
            return;
        __atomic_store_n(&guards->kind, WEFT_GUARD_NONE, __ATOMIC_RELAXED);
        (void)__atomic_sub_fetch(&guards->protected, 1, __ATOMIC_RELAXED);
    }
    (void)__atomic_add_fetch(&guards->bare, 1, __ATOMIC_RELAXED);
}

static char *cut_stack(struct weft_stack_pool *pool)
{
    size_t bytes = pool->usable_bytes + pool->guard_bytes;
    /* Room in the idle array is made here, so that giving a stack back cannot fail. */
    if (grow_array(&pool->idle, pool->stacks, &pool->idle_capacity) < 0)
        return NULL;
    if (weft_valgrind_runs() && grow_array(&pool->known, pool->stacks, &pool->known_capacity) < 0)
        return NULL;
    if ((size_t)(pool->slab_end - pool->slab_next) < bytes && map_slab(pool) < 0)
        return NULL;
    char *guard = pool->slab_next;
    pool->slab_next += bytes;
    install_guard(pool, guard);
    if (pool->known)
        pool->known[pool->stacks] =
            weft_valgrind_know_stack(guard + pool->guard_bytes, pool->usable_bytes);
    pool->stacks++;
    return guard + pool->guard_bytes;
}

char *weft_stack_acquire(struct weft_stack_pool *pool)
{
    if (pool->idle_len == 0)
        return cut_stack(pool);
    char *stack = pool->idle[--pool->idle_len];
    if (pool->idle_cold > pool->idle_len)
        pool->idle_cold = pool->idle_len;
    return stack;
}

void weft_stack_release(struct weft_stack_pool *pool, char *stack)
{
    pool->idle[pool->idle_len++] = stack;
}

bool weft_stack_pool_trim(struct weft_stack_pool *pool)
{
    for (unsigned i = 0; i < TRIM_MAX; i++) {
        if (pool->idle_len <= IDLE_HOT_MAX || pool->idle_cold >= pool->idle_len - IDLE_HOT_MAX)
            return false;
        /* Guards survive MADV_DONTNEED, and so would the stack's address. */
        (void)madvise(pool->idle[pool->idle_cold++], pool->usable_bytes, MADV_DONTNEED);
    }
    return true;
}
