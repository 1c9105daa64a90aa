/* SPDX-License-Identifier: MIT
 * siphash.h - a hash with a secret, for tables whose keys strangers choose: who does not know the
 * secret cannot make keys collide. Source: Aumasson and Bernstein, "SipHash: a fast short-input
 * PRF", 2012. */
#ifndef WEFT_BASE_SIPHASH_H
#define WEFT_BASE_SIPHASH_H

#include <stddef.h>
#include <stdint.h>

/* SipHash-1-3: one round per word, three at the end, as tables use it. */
uint64_t weft_siphash(const uint64_t secret[2], const void *data, size_t len);

/* SipHash-c-d; 2-4 is the one with published vectors. */
uint64_t weft_siphash_rounds(const uint64_t secret[2], const void *data, size_t len,
                             unsigned word_rounds, unsigned end_rounds);

#endif
