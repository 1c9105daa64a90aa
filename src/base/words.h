/* SPDX-License-Identifier: MIT
 * words.h - find the word that somebody meant. */
#ifndef WEFT_BASE_WORDS_H
#define WEFT_BASE_WORDS_H

#include <stdbool.h>

/* The edits (insert, remove, change one character) from one word to another, at most 99. */
unsigned weft_word_distance(const char *a, const char *b);

/* Whether a word that far away is close enough to suggest. */
bool weft_word_is_near(const char *text, unsigned distance);

/* Whether a word stands in a list, which has one space between words; "" never does. */
bool weft_word_is_listed(const char *list, const char *word);

#endif
