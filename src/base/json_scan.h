/* SPDX-License-Identifier: MIT
 * json_scan.h - look at JSON without building a tree.
 *
 * Needs no memory and hardly any stack, so it works on the small stacks of jobs as well. */
#ifndef WEFT_BASE_JSON_SCAN_H
#define WEFT_BASE_JSON_SCAN_H

#include <stdbool.h>
#include <stddef.h>

/* Find the member key of the outermost object, when its value is a string. For JSON that was
 * checked before; other text is not overrun.
 *
 * ret_raw  points into json: the string's inside without quotes, escapes as written, so that it
 *          can be put between quotes again; *ret_len is its length
 * Returns  0; -ENOENT (no such member), -EINVAL (its value is no string, or not JSON) */
int weft_json_find_string(const char *json, size_t len, const char *key, const char **ret_raw,
                          size_t *ret_len);

#define WEFT_JSON_DEPTH_MAX 64u /* of what weft_json_is_valid accepts */

/* Whether text is one JSON value (RFC 8259) in UTF-8, nested at most WEFT_JSON_DEPTH_MAX deep. Does
 * not recurse. */
bool weft_json_is_valid(const char *json, size_t len);

/* Whether text is one JSON value, and so plainly that no parser can think otherwise: in UTF-8
 * without escapes, numbers of a few digits, hardly nested, few members and no two of one name.
 * False says nothing. */
bool weft_json_is_plain(const char *json, size_t len);

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

/* A member of an object, as it is written. */
struct weft_json_member {
    const char *name; /* the inside of the string */
    size_t name_len;
    const char *raw; /* the value, without spaces around it */
    size_t len;
};

/* Take the members of an object one by one, likewise. */
int weft_json_next_member(const char **at, const char *end, struct weft_json_member *ret_member);

/* Whether a member has this name, a plain ASCII word. */
bool weft_json_is_named(const struct weft_json_member *member, const char *name);

/* Whether brackets nest deeper than depth_max; a parser that recurses must not see such text. */
bool weft_json_too_deep(const char *json, size_t len, unsigned depth_max);

#endif
