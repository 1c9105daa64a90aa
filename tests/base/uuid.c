/* SPDX-License-Identifier: MIT
 * uuid.c - version 7 ids and the random numbers below them. */
#include "test.h"

#include <base/uuid.h>

#include <string.h>

static struct weft_random seeded(uint64_t seed)
{
    struct weft_random random;
    weft_random_seed(&random, seed);
    return random;
}

TEST(random_gives_the_published_numbers_of_its_algorithm)
{
    struct weft_random random = {{1, 2, 3, 4}};
    CHECK(weft_random_next(&random) == 11520u);
    CHECK(weft_random_next(&random) == 0u);
    CHECK(weft_random_next(&random) == 1509978240u);
}

TEST(random_below_stays_below_and_reaches_everything)
{
    struct weft_random random = seeded(7);
    unsigned seen = 0;
    for (int i = 0; i < 1000; i++) {
        uint64_t value = weft_random_below(&random, 5);
        REQUIRE(value < 5);
        seen |= 1u << value;
    }
    CHECK(seen == 0x1f);
    CHECK(weft_random_below(&random, 1) == 0);
}

TEST(uuid_has_version_7_the_variant_and_the_time)
{
    struct weft_random random = seeded(1);
    struct weft_uuid_maker maker;
    weft_uuid_maker_init(&maker, &random);
    struct weft_uuid uuid = weft_uuid_make(&maker, 0x0123456789ab);
    char text[WEFT_UUID_TEXT_LEN + 1];
    weft_uuid_format(&uuid, text);
    CHECK(strlen(text) == WEFT_UUID_TEXT_LEN);
    CHECK(memcmp(text, "01234567-89ab-7", 15) == 0);
    CHECK(strchr("89ab", text[19]) != NULL);
}

TEST(uuids_rise_strictly_even_when_the_clock_stands_or_steps_back)
{
    struct weft_random random = seeded(2);
    struct weft_uuid_maker maker;
    weft_uuid_maker_init(&maker, &random);
    struct weft_uuid last = weft_uuid_make(&maker, 1000);
    for (int i = 0; i < 20000; i++) {
        struct weft_uuid next = weft_uuid_make(&maker, i % 3 == 0 ? 999 : 1000);
        REQUIRE(memcmp(&last, &next, sizeof last) < 0);
        last = next;
    }
}

TEST(uuid_text_reads_back_in_either_case)
{
    struct weft_random random = seeded(3);
    struct weft_uuid_maker maker;
    weft_uuid_maker_init(&maker, &random);
    struct weft_uuid uuid = weft_uuid_make(&maker, 1700000000000), back;
    char text[WEFT_UUID_TEXT_LEN + 1];
    weft_uuid_format(&uuid, text);
    CHECK(weft_uuid_parse(&back, text, strlen(text)) == 0);
    CHECK(memcmp(&uuid, &back, sizeof uuid) == 0);
    for (char *c = text; *c; c++) {
        if (*c >= 'a' && *c <= 'f')
            *c = (char)(*c - 'a' + 'A');
    }
    CHECK(weft_uuid_parse(&back, text, strlen(text)) == 0);
    CHECK(memcmp(&uuid, &back, sizeof uuid) == 0);
}

TEST(uuid_parse_refuses_everything_else)
{
    static const char *const bad[] = {
        "",
        "01234567-89ab-7def-8123-456789abcde",
        "01234567-89ab-7def-8123-456789abcdef0",
        "01234567-89ab-7def-8123-456789abcdeg",
        "0123456789ab-7def-8123-456789abcdef00",
        "01234567 89ab-7def-8123-456789abcdef",
        "{1234567-89ab-7def-8123-456789abcdef",
    };
    struct weft_uuid uuid;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        CHECK(weft_uuid_parse(&uuid, bad[i], strlen(bad[i])) < 0);
}
