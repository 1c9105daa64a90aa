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

TEST(a_word_is_listed_only_as_a_whole)
{
    static const char list[] = "state queue task-name";
    CHECK(weft_word_is_listed(list, "state") && weft_word_is_listed(list, "queue"));
    CHECK(weft_word_is_listed(list, "task-name"));
    CHECK(!weft_word_is_listed(list, "stat") && !weft_word_is_listed(list, "tate"));
    CHECK(!weft_word_is_listed(list, "task") && !weft_word_is_listed(list, "name"));
    CHECK(!weft_word_is_listed(list, "") && !weft_word_is_listed("", "state"));
    CHECK(weft_word_is_listed("queues queue", "queue")); /* it comes later */
}
