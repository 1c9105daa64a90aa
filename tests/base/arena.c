/* SPDX-License-Identifier: MIT
 * arena.c - memory that is given back all at once. */
#include "test.h"

#include <base/arena.h>

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

TEST(pieces_of_every_size_keep_what_is_in_them)
{
    enum {
        COUNT = 2000
    };
    static struct {
        unsigned char *at;
        size_t len;
    } pieces[COUNT];
    struct weft_arena arena = {0};
    size_t len = 1;
    for (int i = 0; i < COUNT; i++) {
        len = (len * 7 + 13) % (i % 50 == 0 ? 500000 : 300);
        pieces[i].at = weft_arena_alloc(&arena, len);
        pieces[i].len = len;
        REQUIRE(pieces[i].at != NULL);
        CHECK_EQUAL((uintptr_t)pieces[i].at % _Alignof(max_align_t), 0);
        memset(pieces[i].at, i & 255, len);
    }
    for (int i = 0; i < COUNT; i++)
        for (size_t j = 0; j < pieces[i].len; j++)
            REQUIRE(pieces[i].at[j] == (i & 255));
    weft_arena_deinit(&arena);
}

TEST(a_copy_ends_with_a_nul)
{
    struct weft_arena arena = {0};
    char *copy = weft_arena_copy(&arena, "abcdef", 3);
    CHECK(copy && strcmp(copy, "abc") == 0);
    copy = weft_arena_copy(&arena, NULL, 0);
    CHECK(copy && strcmp(copy, "") == 0);
    weft_arena_deinit(&arena);
    weft_arena_deinit(&arena);
    copy = weft_arena_copy(&arena, "again", 5); /* it is as new */
    CHECK(copy && strcmp(copy, "again") == 0);
    weft_arena_deinit(&arena);
}

TEST(what_no_memory_holds_is_refused)
{
    struct weft_arena arena = {0};
    CHECK(weft_arena_alloc(&arena, SIZE_MAX) == NULL);
    CHECK(weft_arena_alloc(&arena, SIZE_MAX - 15) == NULL);
    CHECK(weft_arena_copy(&arena, "x", SIZE_MAX) == NULL);
    CHECK(weft_arena_alloc(&arena, 1) != NULL);
    weft_arena_deinit(&arena);
}
