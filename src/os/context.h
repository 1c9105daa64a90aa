/* SPDX-License-Identifier: MIT
 * context.h - leave one stack and go on with another.
 *
 * A switch keeps what the ABI calls callee-saved, the floating point control words among it.
 * Everything else the compiler has saved already, because a switch looks like a call. */
#ifndef WEFT_OS_CONTEXT_H
#define WEFT_OS_CONTEXT_H

#include <os/sanitizer.h>

#include <stdbool.h>
#include <stddef.h>

struct weft_context {
    void *sp; /* where it goes on; meaningful only while it is not running */
    struct weft_sanitizer_stack sanitizer;
};

/* Lay out a stack of size bytes from bottom up, so that the first switch to it calls entry(arg).
 * entry must not return. bottom + size is aligned to 16. */
void weft_context_init(struct weft_context *context, void *bottom, size_t size,
                       void (*entry)(void *), void *arg);

/* Describe the calling thread's own stack, to come back to. */
void weft_context_init_thread(struct weft_context *context);

/* In assembly, or on ucontext: save the registers and the stack pointer, load the other's. */
void weft_context_swap(void **save_sp, void *load_sp);
void *weft_context_prepare(void *bottom, size_t size, void (*entry)(void *), void *arg);

/* Go on with another context; returns when something switches back. With forever the caller
 * promises that nothing will. */
static inline void weft_context_switch(struct weft_context *from, struct weft_context *to,
                                       bool forever)
{
    weft_sanitizer_leave(forever ? NULL : &from->sanitizer, &to->sanitizer);
    weft_context_swap(&from->sp, to->sp);
    weft_sanitizer_arrive(&from->sanitizer);
}

#endif
