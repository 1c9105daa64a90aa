/* SPDX-License-Identifier: MIT
 * overflow.c - say which fiber has run out of stack, before the process ends. See debug.h.
 *
 * The handler has a stack of its own, 64 KiB per worker. It formats with snprintf and looks symbols
 * up, which is more than a handler may do in general: the process is at its end anyway, and the
 * sentence that matters is written before anything that could wait for a lock. */
#include <os/sanitizer.h>
#include <os/symbol.h>
#include <runtime/debug.h>

#include <errno.h>
#include <execinfo.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void say(const char *text)
{
    ssize_t written = write(STDERR_FILENO, text, strlen(text));
    (void)written;
}

/* Whether the address lies in the guard below the running fiber's stack. */
static bool in_guard(const struct weft_fiber *fiber, const void *address)
{
    const char *at = address;
    return at < fiber->stack && at >= fiber->stack - fiber->stacks->guard_bytes;
}

static void report(const struct weft_worker *worker, const struct weft_fiber *fiber)
{
    char line[512], place[WEFT_SYMBOL_MAX];
    void *frames[WEFT_DEBUG_FRAMES];
    (void)snprintf(line, sizeof line,
                   "weft: stack overflow (%zu KiB) in fiber \"%.100s\" on worker %u; "
                   "weft_spawn_options.stack_bytes gives it more\n",
                   fiber->stacks->usable_bytes >> 10, fiber->name ? fiber->name : "",
                   worker->index);
    say(line);
    weft_symbol_format(weft_symbol_of(fiber->fn), place, sizeof place);
    (void)snprintf(line, sizeof line, "  running %s\n", place);
    say(line);
    if (fiber->spawned_at) {
        weft_symbol_format_call(fiber->spawned_at, place, sizeof place);
        (void)snprintf(line, sizeof line, "  spawned at %s\n", place);
        say(line);
    }
    int len = backtrace(frames, WEFT_DEBUG_FRAMES);
    for (int i = 0; i < len; i++) {
        weft_symbol_format_call(frames[i], place, sizeof place);
        (void)snprintf(line, sizeof line, "  #%d %s\n", i, place);
        say(line);
    }
}

static void faulted(int number, siginfo_t *info, void *context)
{
    int saved = errno;
    const struct weft_worker *worker = weft_current_worker;
    const struct weft_fiber *fiber = worker ? worker->current : NULL;
    if (fiber && info->si_code > 0 && in_guard(fiber, info->si_addr))
        report(worker, fiber);
    errno = saved;
    weft_handler_pass_on(number, info, context);
}

/* The sanitizers report faults themselves, with their own handler. */
#if defined(WEFT_ASAN) || defined(WEFT_TSAN)
#define OURS false
#else
#define OURS true
#endif

int weft_overflow_watch(void)
{
    return OURS ? weft_handler_install(SIGSEGV, faulted, false) : 0;
}

void weft_overflow_unwatch(void)
{
    if (OURS)
        weft_handler_remove(SIGSEGV);
}
