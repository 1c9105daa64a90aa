/* SPDX-License-Identifier: MIT
 * siphash.c - see siphash.h. */
#include <base/siphash.h>

struct state {
    uint64_t a, b, c, d; /* v0 to v3 in the paper */
};

static inline uint64_t rotate(uint64_t word, unsigned bits)
{
    return word << bits | word >> (64 - bits);
}

static inline void mix(struct state *s, unsigned rounds)
{
    for (unsigned i = 0; i < rounds; i++) {
        s->a += s->b;
        s->c += s->d;
        s->b = rotate(s->b, 13) ^ s->a;
        s->d = rotate(s->d, 16) ^ s->c;
        s->a = rotate(s->a, 32);
        s->c += s->b;
        s->a += s->d;
        s->b = rotate(s->b, 17) ^ s->c;
        s->d = rotate(s->d, 21) ^ s->a;
        s->c = rotate(s->c, 32);
    }
}

/* 8 bytes, the first one lowest: written so that compilers make one load of it. */
static inline uint64_t load(const unsigned char *b)
{
    return (uint64_t)b[0] | (uint64_t)b[1] << 8 | (uint64_t)b[2] << 16 | (uint64_t)b[3] << 24 |
           (uint64_t)b[4] << 32 | (uint64_t)b[5] << 40 | (uint64_t)b[6] << 48 |
           (uint64_t)b[7] << 56;
}

static inline void absorb(struct state *s, uint64_t word, unsigned rounds)
{
    s->d ^= word;
    mix(s, rounds);
    s->a ^= word;
}

static inline uint64_t hash(const uint64_t secret[2], const void *data, size_t len,
                            unsigned word_rounds, unsigned end_rounds)
{
    const unsigned char *bytes = data;
    struct state s = {
        secret[0] ^ 0x736f6d6570736575u,
        secret[1] ^ 0x646f72616e646f6du,
        secret[0] ^ 0x6c7967656e657261u,
        secret[1] ^ 0x7465646279746573u,
    };
    size_t at = 0;
    for (; len - at >= 8; at += 8)
        absorb(&s, load(bytes + at), word_rounds);
    uint64_t last = (uint64_t)len << 56;
    for (unsigned bits = 0; at < len; at++, bits += 8)
        last |= (uint64_t)bytes[at] << bits;
    absorb(&s, last, word_rounds);
    s.c ^= 0xff;
    mix(&s, end_rounds);
    return s.a ^ s.b ^ s.c ^ s.d;
}

uint64_t weft_siphash(const uint64_t secret[2], const void *data, size_t len)
{
    return hash(secret, data, len, 1, 3);
}

uint64_t weft_siphash_rounds(const uint64_t secret[2], const void *data, size_t len,
                             unsigned word_rounds, unsigned end_rounds)
{
    return hash(secret, data, len, word_rounds, end_rounds);
}
