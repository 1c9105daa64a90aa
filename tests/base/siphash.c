/* SPDX-License-Identifier: MIT */
#include "test.h"

#include <base/siphash.h>

/* The secret of the paper's appendix A: bytes 0 to 15. */
static const uint64_t secret[2] = {0x0706050403020100, 0x0f0e0d0c0b0a0908};

TEST(siphash_gives_the_published_values)
{
    static const uint64_t vectors[] = {
        /* SipHash-2-4 of the bytes 0, 1, ... len - 1, for len 0 to 3, 7, 8 and 15 */
        0x726fdb47dd0e0e31, 0x74f839c593dc67fd, 0x0d6c8009d9a94f5a, 0x85676696d7fb7e2d,
        0xab0200f58b01d137, 0x93f5f5799a932462, 0xa129ca6149be45e5,
    };
    static const size_t lens[] = {0, 1, 2, 3, 7, 8, 15};
    unsigned char data[16];
    for (unsigned i = 0; i < sizeof data; i++)
        data[i] = (unsigned char)i;
    for (unsigned i = 0; i < sizeof lens / sizeof lens[0]; i++)
        CHECK(weft_siphash_rounds(secret, data, lens[i], 2, 4) == vectors[i]);
}

TEST(siphash_depends_on_the_secret_and_on_every_byte)
{
    static const uint64_t other[2] = {0x0706050403020100, 0x0f0e0d0c0b0a0909};
    unsigned char data[20] = {0};
    uint64_t before = weft_siphash(secret, data, sizeof data);
    CHECK(before == weft_siphash_rounds(secret, data, sizeof data, 1, 3));
    CHECK(before != weft_siphash(other, data, sizeof data));
    CHECK(before != weft_siphash(secret, data, sizeof data - 1));
    for (unsigned i = 0; i < sizeof data; i++) {
        data[i] = 1;
        CHECK(before != weft_siphash(secret, data, sizeof data));
        data[i] = 0;
    }
}
