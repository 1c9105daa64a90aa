/* SPDX-License-Identifier: MIT
 * buffer.c - growing buffers and the JSON they write. */
#include "test.h"

#include <base/buffer.h>
#include <weft/base.h>

#include <errno.h>
#include <math.h>
#include <string.h>

static bool holds(const struct weft_buffer *buffer, const char *text)
{
    return buffer->err == 0 && buffer->len == strlen(text) &&
           memcmp(buffer->data, text, buffer->len) == 0;
}

TEST(buffer_grows_and_keeps_what_was_appended)
{
    struct weft_buffer buffer;
    weft_buffer_init(&buffer, 100000);
    for (int i = 0; i < 1000; i++)
        weft_buffer_append_format(&buffer, "%04d,", i);
    CHECK_EQUAL(buffer.len, 5000);
    CHECK(memcmp(buffer.data + 4995, "0999,", 5) == 0);
    weft_buffer_consume(&buffer, 4995);
    CHECK(holds(&buffer, "0999,"));
    weft_buffer_deinit(&buffer);
}

TEST(buffer_at_its_limit_fails_and_stays_failed)
{
    struct weft_buffer buffer;
    weft_buffer_init(&buffer, 8);
    weft_buffer_append_string(&buffer, "12345678");
    CHECK(holds(&buffer, "12345678"));
    weft_buffer_append_char(&buffer, '9');
    CHECK_EQUAL(buffer.err, -EMSGSIZE);
    weft_buffer_clear(&buffer);
    weft_buffer_append_format(&buffer, "%08d", 7); /* exactly the limit */
    CHECK(holds(&buffer, "00000007"));
    weft_buffer_clear(&buffer);
    weft_buffer_append_string(&buffer, "again");
    CHECK(holds(&buffer, "again"));
    weft_buffer_deinit(&buffer);
}

TEST(buffer_writes_integers_to_both_ends_of_the_range)
{
    struct weft_buffer buffer;
    weft_buffer_init(&buffer, 1000);
    weft_buffer_append_int(&buffer, 0);
    weft_buffer_append_char(&buffer, ' ');
    weft_buffer_append_int(&buffer, INT64_MAX);
    weft_buffer_append_char(&buffer, ' ');
    weft_buffer_append_int(&buffer, INT64_MIN);
    CHECK(holds(&buffer, "0 9223372036854775807 -9223372036854775808"));
    weft_buffer_deinit(&buffer);
}

static void check_json_string(const char *text, size_t len, const char *expected)
{
    struct weft_buffer buffer;
    weft_buffer_init(&buffer, 1000);
    weft_buffer_append_json_string(&buffer, text, len);
    CHECK(holds(&buffer, expected));
    weft_buffer_deinit(&buffer);
}

TEST(json_strings_escape_what_json_must_not_contain)
{
    check_json_string("plain", 5, "\"plain\"");
    check_json_string("", 0, "\"\"");
    check_json_string("a\"b\\c\n\r\t\x01", 9, "\"a\\\"b\\\\c\\n\\r\\t\\u0001\"");
    check_json_string("nul\0!", 5, "\"nul\\u0000!\"");
    check_json_string("gr\xc3\xbc\xc3\x9f \xf0\x9f\x9a\x80", 11,
                      "\"gr\xc3\xbc\xc3\x9f \xf0\x9f\x9a\x80\"");
}

TEST(json_strings_replace_bytes_that_are_not_utf_8)
{
    check_json_string("\xff", 1, "\"\xef\xbf\xbd\"");
    check_json_string("a\xc3", 2, "\"a\xef\xbf\xbd\"");
    check_json_string("\xed\xa0\x80", 3, "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"");
    check_json_string("\xc0\xaf", 2, "\"\xef\xbf\xbd\xef\xbf\xbd\"");
}

static void check_double(double value, const char *expected)
{
    struct weft_buffer buffer;
    weft_buffer_init(&buffer, 1000);
    weft_buffer_append_json_double(&buffer, value);
    CHECK(holds(&buffer, expected));
    weft_buffer_deinit(&buffer);
}

TEST(json_numbers_are_short_and_never_nan)
{
    check_double(3.5, "3.5");
    check_double(0, "0.0");
    check_double(-2.25, "-2.25");
    check_double(-0.0000001, "0.0");
    check_double(-0.05, "-0.05");
    check_double(0.9999999, "1.0");
    check_double(1e15, "1000000000000000.0");
    check_double(1.0 / 3, "0.333333");
    check_double((double)NAN, "null");
    check_double((double)INFINITY, "null");
}

TEST(times_are_iso_8601_in_utc)
{
    struct weft_buffer buffer;
    weft_buffer_init(&buffer, 1000);
    weft_buffer_append_time(&buffer, INT64_C(1795223398600001));
    CHECK(holds(&buffer, "2026-11-21T01:09:58.600001Z"));
    weft_buffer_clear(&buffer);
    weft_buffer_append_time(&buffer, -1);
    CHECK(holds(&buffer, "1969-12-31T23:59:59.999999Z"));
    weft_buffer_clear(&buffer);
    weft_buffer_append_time(&buffer, INT64_MAX);
    CHECK(holds(&buffer, "0000-00-00T00:00:00.000000Z"));
    weft_buffer_deinit(&buffer);
}

TEST(strerror_knows_errno_and_weft_codes)
{
    CHECK(strcmp(weft_strerror(-EPIPE), "Broken pipe") == 0);
    CHECK(strcmp(weft_strerror(EPIPE), "Broken pipe") == 0);
    CHECK(strcmp(weft_strerror(WEFT_EFULL), "The queue is full") == 0);
    CHECK(strcmp(weft_strerror(-99999), "Unknown error") == 0);
    CHECK(strcmp(weft_strerror(INT32_MIN), "Unknown error") == 0);
}
