/* SPDX-License-Identifier: MIT
 * json_scan.h - find one string in a JSON object without building a tree.
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

/* Whether brackets nest deeper than depth_max; a parser that recurses must not see such text. */
bool weft_json_too_deep(const char *json, size_t len, unsigned depth_max);

#endif
