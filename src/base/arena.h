/* SPDX-License-Identifier: MIT
 * arena.h - memory that is given back all at once. For what is read from one input: whoever limits
 * the input limits the arena. */
#ifndef WEFT_BASE_ARENA_H
#define WEFT_BASE_ARENA_H

#include <stddef.h>

struct weft_arena_block;

/* All zero is an empty arena. */
struct weft_arena {
    struct weft_arena_block *blocks; /* the newest first: it has the free bytes */
    size_t used;                     /* of its bytes */
};

/* Bytes that are not set, aligned for anything. Returns NULL when memory is out. */
void *weft_arena_alloc(struct weft_arena *arena, size_t bytes);

/* A copy of len bytes and a NUL behind it. Returns NULL when memory is out. */
char *weft_arena_copy(struct weft_arena *arena, const void *data, size_t len);

/* Give everything back; the arena is empty again. */
void weft_arena_deinit(struct weft_arena *arena);

#endif
