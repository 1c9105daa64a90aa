/* SPDX-License-Identifier: MIT
 * arena.c - see arena.h. Blocks grow, so that there are few; what is large has one of its own. The
 * first is small: allocators keep such at hand, and many inputs need no second. */
#include <base/arena.h>

#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK_BYTES_MIN ((size_t)960)
#define BLOCK_BYTES_MAX ((size_t)256 << 10)

struct weft_arena_block {
    struct weft_arena_block *older;
    size_t bytes; /* that follow */
    alignas(max_align_t) char data[];
};

static struct weft_arena_block *make_block(size_t bytes)
{
    struct weft_arena_block *block = bytes > SIZE_MAX / 2 ? NULL : malloc(sizeof *block + bytes);
    if (block)
        block->bytes = bytes;
    return block;
}

/* Behind the newest, which keeps its free bytes. */
static void *alloc_apart(struct weft_arena *arena, size_t bytes)
{
    struct weft_arena_block *block = make_block(bytes), *newest = arena->blocks;
    if (!block)
        return NULL;
    if (newest) {
        block->older = newest->older;
        newest->older = block;
    } else {
        block->older = NULL;
        arena->blocks = block;
        arena->used = bytes;
    }
    return block->data;
}

static void *alloc_in_new(struct weft_arena *arena, size_t bytes)
{
    size_t size = arena->blocks ? 2 * arena->blocks->bytes : BLOCK_BYTES_MIN;
    if (size > BLOCK_BYTES_MAX)
        size = BLOCK_BYTES_MAX;
    struct weft_arena_block *block = make_block(size > bytes ? size : bytes);
    if (!block)
        return NULL;
    block->older = arena->blocks;
    arena->blocks = block;
    arena->used = bytes;
    return block->data;
}

void *weft_arena_alloc(struct weft_arena *arena, size_t bytes)
{
    const size_t align = alignof(max_align_t);
    if (bytes > BLOCK_BYTES_MAX / 4)
        return alloc_apart(arena, bytes);
    struct weft_arena_block *block = arena->blocks;
    bytes = (bytes + align - 1) / align * align;
    if (!block || arena->used > block->bytes || bytes > block->bytes - arena->used)
        return alloc_in_new(arena, bytes);
    void *memory = block->data + arena->used;
    arena->used += bytes;
    return memory;
}

char *weft_arena_copy(struct weft_arena *arena, const void *data, size_t len)
{
    char *copy = len < SIZE_MAX ? weft_arena_alloc(arena, len + 1) : NULL;
    if (!copy)
        return NULL;
    if (len > 0)
        memcpy(copy, data, len);
    copy[len] = '\0';
    return copy;
}

void weft_arena_deinit(struct weft_arena *arena)
{
    while (arena->blocks) {
        struct weft_arena_block *block = arena->blocks;
        arena->blocks = block->older;
        free(block);
    }
    arena->used = 0;
}
