/* SPDX-License-Identifier: MIT
 * iso_time.c - wall-clock time as text, read back. */
#include "test.h"

#include <base/buffer.h>
#include <base/iso_time.h>

#include <errno.h>
#include <string.h>

TEST(times_are_read_as_they_are_written)
{
    static const struct {
        const char *text;
        int64_t us;
    } right[] = {
        {"1970-01-01T00:00:00Z", 0},
        {"1970-01-01T00:00:00.000001Z", 1},
        {"1969-12-31T23:59:59.999999Z", -1},
        {"2026-11-21T10:00:00Z", 1795255200000000},
        {"2026-11-21T10:00:00.5Z", 1795255200500000},
        {"2026-11-21T10:00:00.123456789Z", 1795255200123456},
        {"2026-11-21T12:00:00+02:00", 1795255200000000},
        {"2026-11-21T04:30:00-05:30", 1795255200000000},
        {"2026-11-20T23:59:59-10:01", 1795255259000000},
        {"2000-02-29T00:00:00Z", 951782400000000},
        {"2024-02-29T23:59:59-00:00", 1709251199000000},
        {"9999-12-31T23:59:59.999999Z", 253402300799999999},
        {"0000-01-01T00:00:00Z", -62167219200000000},
        {"0000-02-29T00:00:00+23:59", -62162208000000000 + 60000000},
    };
    for (size_t i = 0; i < sizeof right / sizeof right[0]; i++) {
        int64_t us = 7;
        CHECK_EQUAL(weft_time_parse(&us, right[i].text, strlen(right[i].text)), 0);
        CHECK_EQUAL(us, right[i].us);
    }
}

TEST(what_is_no_time_is_refused)
{
    static const char *const wrong[] = {
        "",
        "now",
        "2026-11-21",
        "2026-11-21T10:00:00",
        "2026-11-21T10:00Z",
        "2026-11-21 10:00:00Z",
        "2026-11-21t10:00:00Z",
        "2026-11-21T10:00:00z",
        "2026-11-21T10:00:00Z ",
        " 2026-11-21T10:00:00Z",
        "2026-11-21T10:00:00.Z",
        "2026-11-21T10:00:00.1234567890Z",
        "2026-11-21T10:00:00,5Z",
        "2026-11-21T10:00:00+0200",
        "2026-11-21T10:00:00+02",
        "2026-11-21T10:00:00+24:00",
        "2026-11-21T10:00:00+02:60",
        "2026-11-21T10:00:00+02:00Z",
        "2026-11-21T10:00:00Z+02:00",
        "2026-11-21T24:00:00Z",
        "2026-11-21T10:60:00Z",
        "2026-11-21T23:59:60Z",
        "2026-00-21T10:00:00Z",
        "2026-13-21T10:00:00Z",
        "2026-11-00T10:00:00Z",
        "2026-11-31T10:00:00Z",
        "2026-02-29T10:00:00Z",
        "1900-02-29T10:00:00Z",
        "2026-1-21T10:00:00Z",
        "-026-11-21T10:00:00Z",
        "+2026-11-21T10:00:00Z",
        "12026-11-21T10:00:00Z",
        "20261121T100000Z",
        "2026-11-2/T10:00:00Z",
        "2026-11-2:T10:00:00Z",
    };
    int64_t us = 7;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        if (weft_time_parse(&us, wrong[i], strlen(wrong[i])) != -EINVAL)
            test_note("%s", wrong[i]);
        CHECK_EQUAL(weft_time_parse(&us, wrong[i], strlen(wrong[i])), -EINVAL);
    }
    static const char text[] = "2026-11-21T10:00:00.5Z";
    for (size_t len = 0; len < sizeof text - 1; len++)
        CHECK_EQUAL(weft_time_parse(&us, text, len), -EINVAL);
    CHECK_EQUAL(weft_time_parse(&us, text, sizeof text), -EINVAL); /* with the NUL */
    CHECK_EQUAL(us, 7);
}

TEST(what_was_written_is_read_back)
{
    int64_t step_us = INT64_C(86399) * 1000000 * 97 + 123457;
    for (int64_t us = -62167219200000000; us < 253402300800000000; us += step_us) {
        struct weft_buffer text;
        int64_t read_us = 7;
        weft_buffer_init(&text, 100);
        weft_buffer_append_time(&text, us);
        CHECK_EQUAL(weft_time_parse(&read_us, text.data, text.len), 0);
        CHECK_EQUAL(read_us, us);
        weft_buffer_deinit(&text);
    }
}
