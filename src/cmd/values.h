/* SPDX-License-Identifier: MIT
 * values.h - read the kinds of value that settings have, and find the word somebody meant.
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

/* 0, 2s, 1.5s, 500ms, 20us, 100ns, 1m30s, 2h: numbers with units, the larger ones first. */
bool parse_duration(const char *text, int64_t *ret_ns);

/* Exactly count durations between commas. */
bool parse_durations(const char *text, int64_t *ret_ns, size_t count);

/* A decimal number from 0.001 up. */
bool parse_rate(const char *text, double *ret_rate);

/* yes, true, on, 1, or no, false, off, 0. */
bool parse_yes(const char *text, bool *ret_yes);

/* The edits (insert, remove, change one character) from one word to another, at most 99. */
unsigned word_distance(const char *a, const char *b);

/* Whether a word that far away is close enough to suggest. */
bool word_is_near(const char *text, unsigned distance);

#endif
