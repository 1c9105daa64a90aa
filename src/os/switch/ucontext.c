/* SPDX-License-Identifier: MIT
 * ucontext.c - the switch for machines without assembly here. A system call per switch.
 *
 * The saved stack pointer of context.h is the address of a ucontext_t: for a new fiber at the top
 * of its stack, for one that switched out in its own frame of weft_context_swap. */
#include <os/context.h>

#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <ucontext.h>

struct start {
    ucontext_t context;
    void (*entry)(void *);
    void *arg;
};

/* makecontext passes ints only: a pointer travels in two halves. */
static void start_fiber(unsigned high, unsigned low)
{
    uintptr_t bits = (uintptr_t)((uint64_t)high << 32 | low);
    struct start *start = (struct start *)bits; // NOLINT(performance-no-int-to-ptr)
    start->entry(start->arg);
}

/* The mask of blocked signals belongs to the thread; swapcontext would bring back the one from when
 * the other stack was left. */
void weft_context_swap(void **save_sp, void *load_sp)
{
    ucontext_t here, *there = load_sp;
    *save_sp = &here; // cppcheck-suppress autoVariables ; valid while this context is switched out
    (void)pthread_sigmask(SIG_SETMASK, NULL, &there->uc_sigmask);
    (void)swapcontext(&here, there);
}

void *weft_context_prepare(void *bottom, size_t size, void (*entry)(void *), void *arg)
{
    uintptr_t top = ((uintptr_t)bottom + size - sizeof(struct start)) & ~(uintptr_t)63;
    struct start *start = (struct start *)top; // NOLINT(performance-no-int-to-ptr)
    start->entry = entry;
    start->arg = arg;
    (void)getcontext(&start->context);
    start->context.uc_stack.ss_sp = bottom;
    start->context.uc_stack.ss_size = top - (uintptr_t)bottom;
    start->context.uc_link = NULL;
    uint64_t bits = top;
    /* makecontext takes any function type by its own contract.
     * NOLINTNEXTLINE(performance-no-int-to-ptr) */
    makecontext(&start->context, (void (*)(void))(uintptr_t)start_fiber, 2, (unsigned)(bits >> 32),
                (unsigned)bits);
    return &start->context;
}
