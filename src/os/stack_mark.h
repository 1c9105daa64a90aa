/* SPDX-License-Identifier: MIT
 * stack_mark.h - how deep a stack has ever been used.
 *
 * The mark is what was there first: a fresh stack is all zero, and a reused one is made so. Nothing
 * is painted, so a stack that is not used takes no memory. What lies below the lowest byte that is
 * not zero counts as unused, also when it is the zero tail of a frame. */
#ifndef WEFT_OS_STACK_MARK_H
#define WEFT_OS_STACK_MARK_H

#include <stddef.h>

/* Before a stack of bytes, a multiple of 8, is used (again). */
void weft_stack_mark(char *stack, size_t bytes);

/* The most that was in use since; 0 when it cannot be told (AddressSanitizer, valgrind). */
size_t weft_stack_marked_bytes(const char *stack, size_t bytes);

#endif
