/* SPDX-License-Identifier: MIT
 * symbol.h - where in which program or library an address lies. */
#ifndef WEFT_OS_SYMBOL_H
#define WEFT_OS_SYMBOL_H

#include <stddef.h>
#include <string.h>

#define WEFT_SYMBOL_MAX 160 /* room that is always enough; what is longer is cut */

/* Describe an address as "function+0x12 (object+0x3456)", as "function (object+0x3456)" when it is
 * the function's first, or without the function when it is not exported. addr2line -e object takes
 * the last number. Allocates nothing. */
void weft_symbol_format(const void *address, char *text, size_t size);

/* The same for a return address: describes the call before it. */
void weft_symbol_format_call(const void *return_address, char *text, size_t size);

/* The address of a task function's code. */
static inline const void *weft_symbol_of(int (*fn)(void *))
{
    const void *address;
    memcpy(&address, &fn, sizeof address);
    return address;
}

#endif
