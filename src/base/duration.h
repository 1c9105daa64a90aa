/* SPDX-License-Identifier: MIT
 * duration.h - lengths of time as people write them. */
#ifndef WEFT_BASE_DURATION_H
#define WEFT_BASE_DURATION_H

#include <stddef.h>
#include <stdint.h>

/* Read 0, 2s, 1.5s, 500ms, 20us, 100ns, 1m30s, 2h, 7d: numbers with the units d, h, m (or min), s,
 * ms, us and ns, the larger ones first, each once, and nothing else.
 * Returns 0, -EINVAL (*ret_ns untouched) */
int weft_duration_parse(int64_t *ret_ns, const char *text, size_t len);

#endif
