/* SPDX-License-Identifier: MIT
 * pattern.h - what all patterns have in common: a name, numbers to draw from, numbers to count. */
#ifndef WEFT_FLOW_PATTERN_H
#define WEFT_FLOW_PATTERN_H

#include <base/random.h>

#include <weft/base.h>

/* Copy a pattern's name; without one it is called by its kind.
 * Returns  0, -EINVAL (longer than WEFT_NAME_MAX) */
int weft_pattern_name(char target[WEFT_NAME_MAX + 1], const char *name, const char *kind);

/* Seed what a pattern draws from. A seed of 0 means: from the runtime's own numbers where these
 * repeat (virtual clock, shuffled, $WEFT_SEED), from the kernel elsewhere. */
void weft_pattern_seed(struct weft_random *random, uint64_t seed);

/* The secret of a table's weft_siphash. A seed of 0 means: from the kernel, always, because no
 * result depends on it. */
void weft_pattern_secret(uint64_t secret[2], uint64_t seed);

/* Add to a number that calls on several threads share. */
static inline void weft_pattern_count(uint64_t *counter, uint64_t amount)
{
    (void)__atomic_fetch_add(counter, amount, __ATOMIC_RELAXED);
}

/* A number in [0, 1). */
double weft_pattern_draw(struct weft_random *random);

#endif
