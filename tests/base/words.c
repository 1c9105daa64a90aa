/* SPDX-License-Identifier: MIT
 * words.c - how far words are apart. */
#include "test.h"

#include <base/words.h>

#include <string.h>

TEST(word_distance_counts_edits)
{
    CHECK_EQUAL(weft_word_distance("", ""), 0);
    CHECK_EQUAL(weft_word_distance("serve", "serve"), 0);
    CHECK_EQUAL(weft_word_distance("serv", "serve"), 1);
    CHECK_EQUAL(weft_word_distance("kitten", "sitting"), 3);
    CHECK_EQUAL(weft_word_distance("", "abc"), 3);
    CHECK(weft_word_is_near("lsten", 1) && !weft_word_is_near("x", 4));
}

TEST(long_words_are_far_from_everything)
{
    char text[80];
    memset(text, 'a', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    CHECK_EQUAL(weft_word_distance(text, text), 99);
    text[64] = '\0';
    CHECK_EQUAL(weft_word_distance(text, text), 0);
}
