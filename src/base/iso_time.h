/* SPDX-License-Identifier: MIT
 * iso_time.h - read wall-clock time; weft_buffer_append_time (buffer.h) writes it. */
#ifndef WEFT_BASE_ISO_TIME_H
#define WEFT_BASE_ISO_TIME_H

#include <stddef.h>
#include <stdint.h>

/* Read "2026-11-21T10:00:00.25Z" or "...+02:00": RFC 3339, which is ISO 8601 with date, time and
 * zone all given, with capital letters. Of the fraction's digits, 1 to 9, those behind the sixth
 * are dropped. A day that there is not is refused, and so is a leap second.
 *
 * ret_unix_us  microseconds since 1970, negative before
 * Returns      0, -EINVAL (*ret_unix_us untouched) */
int weft_time_parse(int64_t *ret_unix_us, const char *text, size_t len);

#endif
