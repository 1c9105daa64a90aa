/* SPDX-License-Identifier: MIT
 * duration.c - lengths of time as people write them. */
#include "test.h"

#include <base/duration.h>

#include <errno.h>
#include <string.h>

TEST(durations_are_numbers_with_units_in_falling_order)
{
    static const struct {
        const char *text;
        int64_t ns;
    } right[] = {{"0", 0},
                 {"0s", 0},
                 {"2s", 2000000000},
                 {"500ms", 500000000},
                 {"1m30s", 90000000000},
                 {"1min", 60000000000},
                 {"1.5s", 1500000000},
                 {"0.1s", 100000000},
                 {"0.000000001s", 1},
                 {"1h1m1s1ms1us1ns", 3661001001001},
                 {"1d12h", 129600000000000},
                 {"2562047h", 9223369200000000000}};
    static const char *const wrong[] = {
        "",     "1",   "s",  "1.s",  ".5s", "-1s",      "1s ",     "1s1m",
        "1s1s", "1 s", "1w", "1h1d", "abc", "2562048h", "106752d", "99999999999999999999s"};
    int64_t value = 7;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        CHECK_EQUAL(weft_duration_parse(&value, wrong[i], strlen(wrong[i])), -EINVAL);
    CHECK_EQUAL(value, 7);
    for (size_t i = 0; i < sizeof right / sizeof right[0]; i++) {
        CHECK_EQUAL(weft_duration_parse(&value, right[i].text, strlen(right[i].text)), 0);
        CHECK_EQUAL(value, right[i].ns);
    }
}

TEST(a_duration_ends_with_its_text)
{
    int64_t value = 7;
    CHECK_EQUAL(weft_duration_parse(&value, "10s", 2), -EINVAL); /* no unit */
    CHECK_EQUAL(weft_duration_parse(&value, "1m30s", 2), 0);
    CHECK_EQUAL(value, 60000000000);
    CHECK_EQUAL(weft_duration_parse(&value, "1min", 3), -EINVAL);
    CHECK_EQUAL(weft_duration_parse(&value, "1s\0", 3), -EINVAL);
}
