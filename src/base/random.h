/* SPDX-License-Identifier: MIT
 * random.h - seeded random numbers (xoshiro256**, Blackman and Vigna 2018). Not for secrets. */
#ifndef WEFT_BASE_RANDOM_H
#define WEFT_BASE_RANDOM_H

#include <stdint.h>

struct weft_random {
    uint64_t state[4];
};

/* The same seed gives the same numbers on every machine. */
void weft_random_seed(struct weft_random *random, uint64_t seed);

uint64_t weft_random_next(struct weft_random *random);

/* A number in [0, bound), without bias; bound at least 1. */
uint64_t weft_random_below(struct weft_random *random, uint64_t bound);

#endif
