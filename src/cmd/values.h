/* SPDX-License-Identifier: MIT
 * values.h - read the kinds of value that settings have.
 *
 * Each parser returns whether the whole text is of its kind; *ret_... is written only then. */
#ifndef WEFT_CMD_VALUES_H
#define WEFT_CMD_VALUES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Digits only: no sign, no spaces. */
bool parse_count(const char *text, uint64_t *ret_value);

/* 4096, 64KiB, 1MiB, 2GiB; also k, m, g. Always powers of 1024. */
bool parse_size(const char *text, uint64_t *ret_bytes);

/* Exactly count durations (base/duration.h) between commas. */
bool parse_durations(const char *text, int64_t *ret_ns, size_t count);

/* A decimal number from 0.001 up. */
bool parse_rate(const char *text, double *ret_rate);

/* A decimal number from 0 to 1, or from 0% to 100%. */
bool parse_share(const char *text, double *ret_share);

/* -20 to 19. */
bool parse_nice(const char *text, int *ret_nice);

/* Take the next word of a text, as a shell would without expanding anything:
 *
 *     spaces and tabs part words
 *     'x'   stands for x, whatever it is
 *     "x"   likewise, but that \\ \" \$ and \` stand for the second character
 *     \x    outside of quotes stands for x
 *
 * Quotes may begin and end within a word; '' is an empty one. Nothing else has a meaning: no
 * variables, patterns, redirections or comments.
 *
 * text     what is left; cut into pieces where it is
 * Returns  the word; NULL when there is none any more, or with *ret_reason set */
char *parse_word(char **text, const char **ret_reason);

/* yes, true, on, 1, or no, false, off, 0. */
bool parse_yes(const char *text, bool *ret_yes);

#endif
