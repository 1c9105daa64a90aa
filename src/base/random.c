/* SPDX-License-Identifier: MIT
 * random.c - see random.h. */
#include <base/random.h>

static uint64_t rotate_left(uint64_t value, int bits)
{
    return (value << bits) | (value >> (64 - bits));
}

static uint64_t splitmix_next(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

void weft_random_seed(struct weft_random *random, uint64_t seed)
{
    for (int i = 0; i < 4; i++)
        random->state[i] = splitmix_next(&seed);
}

uint64_t weft_random_next(struct weft_random *random)
{
    uint64_t *s = random->state;
    uint64_t result = rotate_left(s[1] * 5, 7) * 9;
    uint64_t t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate_left(s[3], 45);
    return result;
}

uint64_t weft_random_below(struct weft_random *random, uint64_t bound)
{
    /* Refuse the short first interval, so that every remainder is equally likely. */
    uint64_t refused = -bound % bound;
    uint64_t value;
    do {
        value = weft_random_next(random);
    } while (value < refused);
    return value % bound;
}
