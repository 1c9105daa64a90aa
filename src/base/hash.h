/* SPDX-License-Identifier: MIT
 * hash.h - 64-bit FNV-1a with a final mix. For placement and tables, not against attackers. */
#ifndef WEFT_BASE_HASH_H
#define WEFT_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

uint64_t weft_hash(const void *data, size_t len);

#endif
