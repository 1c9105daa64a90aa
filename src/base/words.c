/* SPDX-License-Identifier: MIT
 * words.c - see words.h. */
#include <base/words.h>

#include <string.h>

#define WORD_MAX     64u
#define DISTANCE_MAX 99u

static unsigned least(unsigned a, unsigned b, unsigned c)
{
    unsigned ab = a < b ? a : b;
    return ab < c ? ab : c;
}

/* Levenshtein's, with one row. */
unsigned weft_word_distance(const char *a, const char *b)
{
    unsigned row[WORD_MAX + 1];
    size_t a_len = strlen(a), b_len = strlen(b);
    if (a_len > WORD_MAX || b_len > WORD_MAX)
        return DISTANCE_MAX;
    for (unsigned j = 0; j <= b_len; j++)
        row[j] = j;
    for (size_t i = 1; i <= a_len; i++) {
        unsigned diagonal = row[0];
        row[0] = (unsigned)i;
        for (size_t j = 1; j <= b_len; j++) {
            unsigned above = row[j];
            row[j] = least(above + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1]));
            diagonal = above;
        }
    }
    return row[b_len];
}

bool weft_word_is_near(const char *text, unsigned distance)
{
    return distance <= strlen(text) / 3 + 1;
}

bool weft_word_is_listed(const char *list, const char *word)
{
    size_t len = strlen(word);
    for (const char *at = strstr(list, word); at && len > 0; at = strstr(at + 1, word))
        if ((at == list || at[-1] == ' ') && (at[len] == ' ' || at[len] == '\0'))
            return true;
    return false;
}
