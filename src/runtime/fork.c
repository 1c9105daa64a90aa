/* SPDX-License-Identifier: MIT
 * fork.c - see fork.h. */
#include <os/handler.h>
#include <runtime/fork.h>
#include <runtime/runtime.h>

#include <pthread.h>

unsigned weft_fork_count;
_Thread_local bool weft_fork_orphan;

static _Thread_local struct weft_sanitizer_stack orphan_stack;
static int watch_err;

/* In the child, on its only thread. Other threads' locks may be held for ever: none is taken. */
static void in_child(void)
{
    weft_fork_count++;
    weft_handler_forked();
    weft_runtimes_forget();
    struct weft_fiber *self = weft_self();
    if (weft_current_worker)
        weft_fork_orphan = true;
    if (self)
        orphan_stack = self->context.sanitizer;
    weft_current_worker = NULL;
}

void weft_fork_adopt_stack(struct weft_context *scheduler)
{
    scheduler->sanitizer = orphan_stack;
}

static void watch(void)
{
    watch_err = -pthread_atfork(NULL, NULL, in_child);
}

int weft_fork_watch(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, watch);
    return watch_err;
}
