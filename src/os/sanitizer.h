/* SPDX-License-Identifier: MIT
 * sanitizer.h - tell AddressSanitizer, ThreadSanitizer and valgrind about stacks and switches.
 * Nothing without them. The only place that knows their interfaces.
 *
 * The sanitizers are told at every switch. Valgrind watches the stack pointer by itself and needs
 * to know, once, where stacks are: else it takes a switch for a very large frame. */
#ifndef WEFT_OS_SANITIZER_H
#define WEFT_OS_SANITIZER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__SANITIZE_ADDRESS__)
#define WEFT_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WEFT_ASAN 1
#endif
#endif

#if defined(__SANITIZE_THREAD__)
#define WEFT_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define WEFT_TSAN 1
#endif
#endif

#ifdef WEFT_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#ifdef WEFT_TSAN
#include <sanitizer/tsan_interface.h>
#endif

#ifdef WEFT_HAVE_VALGRIND /* its header is installed; what it inserts does nothing by itself */
#include <valgrind/memcheck.h>
#endif

/* Whether valgrind runs this program. */
static inline bool weft_valgrind_runs(void)
{
#ifdef WEFT_HAVE_VALGRIND
    return RUNNING_ON_VALGRIND;
#else
    return false;
#endif
}

/* The kernel has written these bytes. */
static inline void weft_valgrind_written(void *bytes, size_t len)
{
    (void)bytes, (void)len;
#ifdef WEFT_HAVE_VALGRIND
    (void)VALGRIND_MAKE_MEM_DEFINED(bytes, len);
#endif
}

/* From here to weft_valgrind_forget_stack these bytes are a stack. Returns what to forget it by. */
static inline uintptr_t weft_valgrind_know_stack(char *bottom, size_t size)
{
    (void)bottom, (void)size;
#ifdef WEFT_HAVE_VALGRIND
    return VALGRIND_STACK_REGISTER(bottom, bottom + size - 1);
#else
    return 0;
#endif
}

static inline void weft_valgrind_forget_stack(uintptr_t known)
{
    (void)known;
#ifdef WEFT_HAVE_VALGRIND
    VALGRIND_STACK_DEREGISTER(known);
#endif
}

/* What the sanitizers want to know of one stack. */
struct weft_sanitizer_stack {
#ifdef WEFT_ASAN
    void *fake_stack;
    const void *bottom;
    size_t size;
#endif
#ifdef WEFT_TSAN
    void *fiber;
#endif
    char unused[0]; /* an empty struct is not ISO C */
};

/* Describe a new fiber stack. */
static inline void weft_sanitizer_stack_init(struct weft_sanitizer_stack *stack, void *bottom,
                                             size_t size)
{
    (void)stack, (void)bottom, (void)size;
#ifdef WEFT_ASAN
    __asan_unpoison_memory_region(bottom, size);
    stack->fake_stack = NULL;
    stack->bottom = bottom;
    stack->size = size;
#endif
#ifdef WEFT_TSAN
    stack->fiber = __tsan_create_fiber(0);
#endif
}

/* Describe the stack of the calling thread. */
static inline void weft_sanitizer_thread_init(struct weft_sanitizer_stack *stack, void *bottom,
                                              size_t size)
{
    (void)stack, (void)bottom, (void)size;
#ifdef WEFT_ASAN
    stack->fake_stack = NULL;
    stack->bottom = bottom;
    stack->size = size;
#endif
#ifdef WEFT_TSAN
    stack->fiber = __tsan_get_current_fiber();
#endif
}

/* The fiber on this stack is about to be left for good. ThreadSanitizer's record of it can only
 * be freed later, from another stack: the grave holds the last one. stack NULL: empty the grave. */
static inline void weft_sanitizer_bury(struct weft_sanitizer_stack *grave,
                                       struct weft_sanitizer_stack *stack)
{
    (void)grave, (void)stack;
#ifdef WEFT_TSAN
    if (grave->fiber)
        __tsan_destroy_fiber(grave->fiber);
    grave->fiber = stack ? stack->fiber : NULL;
#endif
}

/* Just before leaving one stack for another; from is NULL when it will never run again. */
static inline void weft_sanitizer_leave(struct weft_sanitizer_stack *from,
                                        struct weft_sanitizer_stack *to)
{
    (void)from, (void)to;
#ifdef WEFT_ASAN
    __sanitizer_start_switch_fiber(from ? &from->fake_stack : NULL, to->bottom, to->size);
#endif
#ifdef WEFT_TSAN
    __tsan_switch_to_fiber(to->fiber, 0);
#endif
}

/* Just after arriving on a stack. */
static inline void weft_sanitizer_arrive(struct weft_sanitizer_stack *stack)
{
    (void)stack;
#ifdef WEFT_ASAN
    __sanitizer_finish_switch_fiber(stack->fake_stack, NULL, NULL);
#endif
}

#endif
