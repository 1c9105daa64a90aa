/* SPDX-License-Identifier: MIT
 * context.c - the part of context.h that is the same for every way to switch. */
#include <os/context.h>

#include <pthread.h>

void weft_context_init(struct weft_context *context, void *bottom, size_t size,
                       void (*entry)(void *), void *arg)
{
    weft_sanitizer_stack_init(&context->sanitizer, bottom, size);
    context->sp = weft_context_prepare(bottom, size, entry, arg);
}

void weft_context_init_thread(struct weft_context *context)
{
    void *bottom = NULL;
    size_t size = 0;
#ifdef WEFT_ASAN
    pthread_attr_t attributes;
    if (pthread_getattr_np(pthread_self(), &attributes) == 0) {
        (void)pthread_attr_getstack(&attributes, &bottom, &size);
        (void)pthread_attr_destroy(&attributes);
    }
#endif
    weft_sanitizer_thread_init(&context->sanitizer, bottom, size);
    context->sp = NULL;
}
