/* SPDX-License-Identifier: MIT
 * json_scan.h - find parts of JSON text without building a tree.
 *
 * For JSON that was already checked (jansson, at the door): needs no memory and hardly any stack,
 * so it also works on the small stacks of jobs. Text that is not JSON is refused, never overrun. */
#ifndef WEFT_JOB_JSON_SCAN_H
#define WEFT_JOB_JSON_SCAN_H

#include <stdbool.h>
#include <stddef.h>

/* Find the member key of the outermost object, when its value is a string.
 *
 * ret_raw  points into json: the string's inside without quotes, escapes as written, so that it
 *          can be put between quotes again; *ret_len is its length
 * Returns  0; -ENOENT (no such member), -EINVAL (its value is no string, or not JSON) */
int weft_json_find_string(const char *json, size_t len, const char *key, const char **ret_raw,
                          size_t *ret_len);

/* Find the member key of the outermost object, whatever its value is.
 *
 * ret_raw  points into json: the value as it is written, without spaces around it
 * Returns  0; -ENOENT (no such member), -EINVAL (not JSON) */
int weft_json_find(const char *json, size_t len, const char *key, const char **ret_raw,
                   size_t *ret_len);

/* Take the elements of an array one by one. Brackets inside an element are counted, and strings
 * passed over; whether it is JSON is for a parser to say, and then the whole is.
 *
 * at       the opening bracket at first, then as it was left: behind an element, behind the array,
 *          or where it is no array any more
 * Returns  1 with the element's text, without spaces around it; 0: the array has ended; -EINVAL */
int weft_json_next_element(const char **at, const char *end, const char **ret_raw, size_t *ret_len);

/* Whether brackets nest deeper than depth_max; a parser that recurses must not see such text. */
bool weft_json_too_deep(const char *json, size_t len, unsigned depth_max);

#endif
