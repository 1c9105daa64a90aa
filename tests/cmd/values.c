/* SPDX-License-Identifier: MIT
 * values.c - the texts that settings take, and those they do not. */
#include "../../src/cmd/values.h"

#include "test.h"

#include <stdio.h>
#include <string.h>

TEST(counts_are_digits_and_nothing_else)
{
    static const char *const wrong[] = {"",    " 1",  "1 ",  "-1",  "+1",
                                        "1.0", "0x1", "abc", "12k", "18446744073709551616"};
    uint64_t value = 7;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        CHECK(!parse_count(wrong[i], &value));
    CHECK_EQUAL(value, 7);
    CHECK(parse_count("0", &value) && value == 0);
    CHECK(parse_count("18446744073709551615", &value) && value == UINT64_MAX);
}

TEST(sizes_have_units_of_1024)
{
    static const struct {
        const char *text;
        uint64_t bytes;
    } right[] = {{"0", 0},       {"4096", 4096},    {"12B", 12},        {"64KiB", 65536},
                 {"64k", 65536}, {"1MiB", 1048576}, {"2G", 2147483648}, {"1tib", 1099511627776}};
    static const char *const wrong[] = {"", "k", "1.5k", "1 k", "1kb", "-1", "16777216t"};
    uint64_t value = 7;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        CHECK(!parse_size(wrong[i], &value));
    CHECK_EQUAL(value, 7);
    for (size_t i = 0; i < sizeof right / sizeof right[0]; i++) {
        CHECK(parse_size(right[i].text, &value));
        CHECK_EQUAL(value, right[i].bytes);
    }
}

TEST(lists_of_durations_have_exactly_so_many)
{
    static const char *const wrong[] = {"",       "1s", "1s,1s",  "1s,1s,1s,1s",
                                        "1s,1s,", ",,", "1s,x,1s"};
    int64_t values[3] = {7, 7, 7};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        CHECK(!parse_durations(wrong[i], values, 3));
    CHECK(values[0] == 7 && values[1] == 7 && values[2] == 7);
    CHECK(parse_durations("2s,0,500ms", values, 3));
    CHECK(values[0] == 2000000000 && values[1] == 0 && values[2] == 500000000);
}

TEST(rates_are_at_least_one_in_1000_s)
{
    static const char *const wrong[] = {"",     "0",  "-1",    "1x",   "inf", "nan",
                                        "0x10", " 1", "1e999", "1e-9", "1-2", "0.0009"};
    double value = 7;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        CHECK(!parse_rate(wrong[i], &value));
    CHECK(value > 6.9 && value < 7.1);
    CHECK(parse_rate("2.5", &value) && value > 2.49 && value < 2.51);
    CHECK(parse_rate("1e3", &value) && value > 999 && value < 1001);
    CHECK(parse_rate("1e-3", &value) && value > 0.0009 && value < 0.0011);
}

TEST(shares_are_numbers_from_0_to_1_or_percent)
{
    static const char *const wrong[] = {"",    "x",   "1.1", "-0.1", "101%", "5%%",
                                        "5 %", "0x1", "nan", "%",    "0.5x", "1e999"};
    double value = 7;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        CHECK(!parse_share(wrong[i], &value));
    CHECK(value > 6.9 && value < 7.1);
    CHECK(parse_share("0", &value) && value < 1e-12);
    CHECK(parse_share("1", &value) && value > 0.999 && value < 1.001);
    CHECK(parse_share("0.05", &value) && value > 0.0499 && value < 0.0501);
    CHECK(parse_share("2.5%", &value) && value > 0.0249 && value < 0.0251);
    CHECK(parse_share("100%", &value) && value > 0.999 && value < 1.001);
}

TEST(yes_and_no_have_four_names_each)
{
    bool yes = false;
    CHECK(parse_yes("yes", &yes) && yes);
    CHECK(parse_yes("off", &yes) && !yes);
    CHECK(parse_yes("TRUE", &yes) && yes);
    CHECK(parse_yes("0", &yes) && !yes);
    CHECK(!parse_yes("", &yes) && !parse_yes("maybe", &yes));
}

TEST(nice_values_are_between_minus_20_and_19)
{
    static const char *const wrong[] = {"", "-", "20", "-21", "+1", "1.5", "--1", "x"};
    int value = 7;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        CHECK(!parse_nice(wrong[i], &value));
    CHECK_EQUAL(value, 7);
    CHECK(parse_nice("-20", &value) && value == -20);
    CHECK(parse_nice("19", &value) && value == 19);
    CHECK(parse_nice("0", &value) && value == 0);
}

/* The words of a text with '|' behind each; "(reason)" where it is wrong. */
static const char *words_of(const char *text)
{
    static char joined[200];
    char copy[100], *at = copy, *word;
    const char *reason = NULL;
    size_t used = 0;
    (void)snprintf(copy, sizeof copy, "%s", text);
    joined[0] = '\0';
    while ((word = parse_word(&at, &reason)))
        used += (size_t)snprintf(joined + used, sizeof joined - used, "%s|", word);
    if (reason)
        (void)snprintf(joined + used, sizeof joined - used, "(%.20s)", reason);
    return joined;
}

TEST(words_are_quoted_as_in_a_shell_and_nothing_is_expanded)
{
    static const struct {
        const char *text, *words;
    } cases[] = {
        {"", ""},
        {"  \t ", ""},
        {"one", "one|"},
        {" one\ttwo  three ", "one|two|three|"},
        {"'a b' c", "a b|c|"},
        {"'a\\b\"c$d'", "a\\b\"c$d|"},
        {"\"a b\" \"c'd\"", "a b|c'd|"},
        {"\"\\\\ \\\" \\$ \\` \\n\"", "\\ \" $ ` \\n|"},
        {"a\\ b \\' \\\\ \\x", "a b|'|\\|x|"},
        {"'' \"\" x''", "||x|"},
        {"a'b c'\"d e\"f", "ab cd ef|"},
        {"$HOME *.c ~ a|b >c # `x` $(y) &", "$HOME|*.c|~|a|b|>c|#|`x`|$(y)|&|"},
        {"a 'b", "a|(a quote is not close)"},
        {"\"a\\\"", "(a quote is not close)"},
        {"\"a\\", "(a quote is not close)"},
        {"a b\\", "a|(there is nothing beh)"},
        {"x=\"1 2\"", "x=1 2|"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *words = words_of(cases[i].text);
        CHECK(strcmp(words, cases[i].words) == 0);
        if (strcmp(words, cases[i].words) != 0)
            test_note("%s: %s, not %s", cases[i].text, words, cases[i].words);
    }
}
