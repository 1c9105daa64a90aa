/* SPDX-License-Identifier: MIT
 * Vectors with now = Fri, 31 Dec 1999 23:58:59 GMT. */
#include "test.h"

#include <weft/retry_after.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define NOW_S 946684739 /* date -u -d '1999-12-31 23:58:59' +%s */

static int64_t delay_of(const char *value)
{
    int64_t delay_ns = -7;
    int err = weft_retry_after_parse(value, strlen(value), NOW_S, &delay_ns);
    if (err < 0)
        CHECK_EQUAL(delay_ns, -7); /* untouched */
    return err < 0 ? err : delay_ns;
}

static int64_t date_of(const char *value, int64_t now_s)
{
    int64_t date_s = -7;
    int err = weft_http_date_parse(value, strlen(value), now_s, &date_s);
    if (err < 0)
        CHECK_EQUAL(date_s, -7);
    return err < 0 ? err : date_s;
}

TEST(seconds_are_understood)
{
    CHECK_EQUAL(delay_of("120"), 120 * WEFT_SEC);
    CHECK_EQUAL(delay_of("0"), 0);
    CHECK_EQUAL(delay_of("007"), 7 * WEFT_SEC);
    CHECK_EQUAL(delay_of(" \t120 "), 120 * WEFT_SEC);
}

TEST(all_three_forms_of_a_date_are_understood)
{
    CHECK_EQUAL(delay_of("Fri, 31 Dec 1999 23:59:59 GMT"), 60 * WEFT_SEC);
    CHECK_EQUAL(delay_of("Friday, 31-Dec-99 23:59:59 GMT"), 60 * WEFT_SEC);
    CHECK_EQUAL(delay_of("Fri Dec 31 23:59:59 1999"), 60 * WEFT_SEC);
    CHECK_EQUAL(date_of("Sun Nov  6 08:49:37 1994", 0), 784111777);
    CHECK_EQUAL(date_of("Sun, 06 Nov 1994 08:49:37 GMT", 0), 784111777);
}

TEST(a_date_that_is_over_is_now)
{
    CHECK_EQUAL(delay_of("Fri, 31 Dec 1999 23:58:59 GMT"), 0);
    CHECK_EQUAL(delay_of("Thu, 01 Jan 1970 00:00:00 GMT"), 0);
}

TEST(what_is_neither_is_ignored)
{
    static const char *const garbage[] = {
        "-1",
        "1.5",
        "abc",
        "",
        " ",
        "+1",
        "1 2",
        "120s",
        "0x10",
        "1e3",
        "Fri",
        "Fri, 31 Dec 1999 23:59:59",
        "Fri, 31 Dec 1999 23:59:59 UTC",
        "Fri, 31 Dec 1999 23:59:59 GMTx",
        "Fri, 31 dec 1999 23:59:59 GMT",
        "Foo, 31 Dec 1999 23:59:59 GMT",
        "Fri, 31 Foo 1999 23:59:59 GMT",
        "Fri, 1 Dec 1999 23:59:59 GMT",
        "Fri, 00 Dec 1999 23:59:59 GMT",
        "Fri, 32 Dec 1999 23:59:59 GMT",
        "Tue, 29 Feb 1999 23:59:59 GMT",
        "Thu, 29 Feb 1900 23:59:59 GMT",
        "Fri, 31 Dec 0000 23:59:59 GMT",
        "Fri, 31 Dec 1999 24:00:00 GMT",
        "Fri, 31 Dec 1999 23:60:00 GMT",
        "Fri, 31 Dec 1999 23:59:61 GMT",
        "Fri, 31 Dec 1999 23:59:5",
        "Fri, 31-Dec-99 23:59:59 GMT",
        "Friday, 31-Dec-1999 23:59:59 GMT",
        "Fri Dec  31 23:59:59 1999",
        "Fri Dec 31 23:59:59 1999 GMT",
    };
    for (size_t i = 0; i < sizeof garbage / sizeof garbage[0]; i++)
        CHECK_EQUAL(delay_of(garbage[i]), -EINVAL);
    int64_t delay_ns = -7;
    CHECK_EQUAL(weft_retry_after_parse("12\0", 3, NOW_S, &delay_ns), -EINVAL);
    CHECK_EQUAL(delay_ns, -7);
}

TEST(more_seconds_than_fit_are_for_ever)
{
    CHECK_EQUAL(delay_of("9223372036"), 9223372036 * WEFT_SEC);
    CHECK_EQUAL(delay_of("9223372037"), WEFT_FOREVER);
    CHECK_EQUAL(delay_of("18446744073709551617"), WEFT_FOREVER);
    CHECK_EQUAL(delay_of("99999999999999999999999999999999999999999999"), WEFT_FOREVER);
}

TEST(dates_far_from_each_other_do_not_overflow)
{
    static const char first[] = "Mon, 01 Jan 0001 00:00:00 GMT";
    static const char last[] = "Fri, 31 Dec 9999 23:59:59 GMT";
    int64_t delay_ns = -7;
    CHECK_EQUAL(date_of(first, 0), -62135596800);
    CHECK_EQUAL(date_of(last, 0), 253402300799);
    CHECK_EQUAL(delay_of(last), WEFT_FOREVER);
    CHECK_EQUAL(weft_retry_after_parse(first, sizeof first - 1, INT64_MAX, &delay_ns), 0);
    CHECK_EQUAL(delay_ns, 0);
    CHECK_EQUAL(weft_retry_after_parse(last, sizeof last - 1, INT64_MIN, &delay_ns), 0);
    CHECK_EQUAL(delay_ns, WEFT_FOREVER);
}

/* The server's clock is an hour behind ours: measured against ours, the date would be long over. */
TEST(a_date_is_measured_against_the_servers_own)
{
    static const char date[] = "Fri, 31 Dec 1999 22:58:59 GMT";
    static const char until[] = "Fri, 31 Dec 1999 22:59:59 GMT";
    int64_t date_s = NOW_S, delay_ns = -7;
    CHECK_EQUAL(weft_http_date_parse(date, sizeof date - 1, NOW_S, &date_s), 0);
    CHECK_EQUAL(weft_retry_after_parse(until, sizeof until - 1, date_s, &delay_ns), 0);
    CHECK_EQUAL(delay_ns, 60 * WEFT_SEC);
    CHECK_EQUAL(delay_of(until), 0);
}

TEST(years_of_two_digits_are_at_most_fifty_ahead)
{
    const int64_t y2049 = 2493072000; /* 2049-01-01 */
    CHECK_EQUAL(date_of("Saturday, 01-Jan-00 00:00:00 GMT", NOW_S), 946684800);
    CHECK_EQUAL(date_of("Friday, 31-Dec-49 00:00:00 GMT", NOW_S), 2524521600);   /* 2049 */
    CHECK_EQUAL(date_of("Saturday, 31-Dec-50 00:00:00 GMT", NOW_S), -599702400); /* 1950 */
    CHECK_EQUAL(date_of("Friday, 31-Dec-99 00:00:00 GMT", y2049), 4102358400);   /* 2099 */
    CHECK_EQUAL(date_of("Friday, 01-Jan-00 00:00:00 GMT", y2049), 946684800);
    CHECK_EQUAL(date_of("Friday, 31-Dec-99 23:59:59 GMT", INT64_MIN), -EINVAL);
    CHECK(date_of("Friday, 31-Dec-99 23:59:59 GMT", INT64_MAX) > 0);
}

/* Against the C library, one day in each month of 800 years, and every day of some. */
TEST(dates_agree_with_the_c_library)
{
    char text[64];
    for (int64_t day = -141427; day<150000; day += day> 10000 && day < 12000 ? 1 : 29) {
        struct tm parts;
        time_t time_s = day * 86400 + 86399 - (day & 1023);
        REQUIRE(gmtime_r(&time_s, &parts));
        (void)strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", &parts);
        CHECK_EQUAL(date_of(text, 0), time_s);
        (void)strftime(text, sizeof text, "%a %b %e %H:%M:%S %Y", &parts);
        CHECK_EQUAL(date_of(text, 0), time_s);
        size_t len = strftime(text, sizeof text, "%A, %d-%b-", &parts);
        (void)snprintf(text + len, sizeof text - len, "%02d %02d:%02d:%02d GMT",
                       (parts.tm_year + 1900) % 100, parts.tm_hour, parts.tm_min, parts.tm_sec);
        CHECK_EQUAL(date_of(text, time_s), time_s);
    }
}

TEST(the_longer_of_server_and_plan_wins_with_a_little_chance)
{
    const int64_t cap_ns = 300 * WEFT_SEC;
    CHECK_EQUAL(weft_retry_after_delay(0, 800, cap_ns), 800);
    CHECK_EQUAL(weft_retry_after_delay(800, 800, cap_ns), 800);
    CHECK_EQUAL(weft_retry_after_delay(1000, 800, cap_ns), 1100);
    CHECK_EQUAL(weft_retry_after_delay(cap_ns, 800, cap_ns), cap_ns + 100);
    CHECK_EQUAL(weft_retry_after_delay(cap_ns + 1, 800, cap_ns), -1);
    CHECK_EQUAL(weft_retry_after_delay(WEFT_FOREVER, 800, cap_ns), -1);
    CHECK_EQUAL(weft_retry_after_delay(WEFT_FOREVER, 800, WEFT_FOREVER), WEFT_FOREVER);
}
