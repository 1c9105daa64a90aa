/* SPDX-License-Identifier: MIT
 * stack_mark.c - see stack_mark.h. */
#include <os/sanitizer.h>
#include <os/stack_mark.h>

#include <stdint.h>
#include <string.h>

#ifdef WEFT_ASAN

void weft_stack_mark(char *stack, size_t bytes)
{
    (void)stack, (void)bytes;
}

size_t weft_stack_marked_bytes(const char *stack, size_t bytes)
{
    (void)stack, (void)bytes;
    return 0;
}

#else

/* Other fibers of the same worker own the words: nobody writes to them meanwhile. Valgrind takes
 * every look below a stack pointer for a mistake: there no depth is known. */
size_t weft_stack_marked_bytes(const char *stack, size_t bytes)
{
    if (weft_valgrind_runs())
        return 0;
    const uint64_t *words = (const uint64_t *)(const void *)stack;
    size_t len = bytes / sizeof *words, at = 0;
    while (at < len && words[at] == 0)
        at++;
    return (len - at) * sizeof *words;
}

void weft_stack_mark(char *stack, size_t bytes)
{
    size_t used = weft_stack_marked_bytes(stack, bytes);
    if (used > 0)
        memset(stack + bytes - used, 0, used);
}

#endif
