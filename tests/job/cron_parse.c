/* SPDX-License-Identifier: MIT
 * cron_parse.c - what an expression means, and what is said about one that means nothing. */
#include "test.h"

#include <job/cron.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Without holes, so that they can be compared byte by byte. */
_Static_assert(sizeof(struct weft_cron) == 80, "no padding");

static struct weft_cron parse(const char *text)
{
    struct weft_cron cron = {.every_us = -1};
    char error[WEFT_CRON_ERROR_BYTES] = "";
    if (weft_cron_parse(&cron, text, strlen(text), error, sizeof error) < 0) {
        test_failed(__FILE__, __LINE__, "an expression that is right is taken");
        test_note("%s: %s", text, error);
    }
    return cron;
}

static uint64_t bits(int first, int last, int step)
{
    uint64_t set = 0;
    for (int i = first; i <= last; i += step)
        set |= UINT64_C(1) << i;
    return set;
}

/* What a field of five means. */
struct meaning {
    enum weft_cron_field field;
    const char *text;
    uint64_t values;
};

static void check_meaning(const struct meaning *meaning)
{
    const char *words[WEFT_CRON_FIELDS] = {"0", "0", "0", "*", "*", "*"};
    char text[WEFT_CRON_TEXT_MAX] = "";
    words[meaning->field] = meaning->text;
    for (int i = 0; i < WEFT_CRON_FIELDS; i++) {
        strcat(text, words[i]);
        strcat(text, " ");
    }
    struct weft_cron cron = parse(text);
    if (cron.values[meaning->field] != meaning->values) {
        test_failed(__FILE__, __LINE__, "the field has these values");
        test_note("%s: %llx, not %llx", text, (unsigned long long)cron.values[meaning->field],
                  (unsigned long long)meaning->values);
    }
}

#define BIT(n) (UINT64_C(1) << (n))

static const struct meaning meanings[] = {
    {WEFT_CRON_SECOND, "*", BIT(60) - 1},
    {WEFT_CRON_SECOND, "59", BIT(59)},
    {WEFT_CRON_MINUTE, "*", BIT(60) - 1},
    {WEFT_CRON_MINUTE, "*/1", BIT(60) - 1},
    {WEFT_CRON_MINUTE, "0", 1},
    {WEFT_CRON_MINUTE, "007", BIT(7)},
    {WEFT_CRON_MINUTE, "1,2,40", BIT(1) | BIT(2) | BIT(40)},
    {WEFT_CRON_MINUTE, "40,2,1,2", BIT(1) | BIT(2) | BIT(40)},
    {WEFT_CRON_HOUR, "9-17", BIT(18) - BIT(9)},
    {WEFT_CRON_HOUR, "5-5", BIT(5)},
    {WEFT_CRON_MONTH, "jan", BIT(1)},
    {WEFT_CRON_MONTH, "DEC", BIT(12)},
    {WEFT_CRON_MONTH, "Feb-Apr,9", BIT(2) | BIT(3) | BIT(4) | BIT(9)},
    {WEFT_CRON_MONTH, "3-MAY", BIT(3) | BIT(4) | BIT(5)},
    {WEFT_CRON_WEEKDAY, "*", BIT(7) - 1},
    {WEFT_CRON_WEEKDAY, "?", BIT(7) - 1},
    {WEFT_CRON_WEEKDAY, "0", BIT(0)},
    {WEFT_CRON_WEEKDAY, "7", BIT(0)},
    {WEFT_CRON_WEEKDAY, "sun", BIT(0)},
    {WEFT_CRON_WEEKDAY, "Sat", BIT(6)},
    {WEFT_CRON_WEEKDAY, "mOn-fRi", BIT(6) - BIT(1)},
    {WEFT_CRON_DAY, "?", BIT(32) - 2},
    {WEFT_CRON_DAY, "*,5", BIT(32) - 2},
    /* ranges that go on with the first value */
    {WEFT_CRON_HOUR, "22-2", BIT(22) | BIT(23) | BIT(0) | BIT(1) | BIT(2)},
    {WEFT_CRON_MONTH, "NOV-FEB", BIT(11) | BIT(12) | BIT(1) | BIT(2)},
    {WEFT_CRON_DAY, "30-2", BIT(30) | BIT(31) | BIT(1) | BIT(2)},
    {WEFT_CRON_MINUTE, "59-0", BIT(59) | BIT(0)},
    {WEFT_CRON_WEEKDAY, "FRI-MON", BIT(5) | BIT(6) | BIT(0) | BIT(1)},
    {WEFT_CRON_WEEKDAY, "SAT-SUN", BIT(6) | BIT(0)},
    {WEFT_CRON_WEEKDAY, "6-7", BIT(6) | BIT(0)},
    {WEFT_CRON_WEEKDAY, "7-2", BIT(0) | BIT(1) | BIT(2)},
    {WEFT_CRON_WEEKDAY, "7-7", BIT(0)},
    {WEFT_CRON_WEEKDAY, "0-0", BIT(0)},
    {WEFT_CRON_WEEKDAY, "0-7", BIT(7) - 1},
    {WEFT_CRON_WEEKDAY, "1-7", BIT(7) - 1},
    {WEFT_CRON_WEEKDAY, "MON-SUN", BIT(7) - 1},
};

static void check_steps(enum weft_cron_field field, const char *text, int first, int last, int step)
{
    struct meaning meaning = {field, text, bits(first, last, step)};
    check_meaning(&meaning);
}

TEST(values_lists_ranges_and_names_mean_what_they_say)
{
    for (size_t i = 0; i < sizeof meanings / sizeof *meanings; i++)
        check_meaning(&meanings[i]);
}

TEST(a_step_counts_from_where_its_range_begins)
{
    check_steps(WEFT_CRON_MINUTE, "*/5", 0, 59, 5);
    check_steps(WEFT_CRON_MINUTE, "*/7", 0, 59, 7);
    check_steps(WEFT_CRON_MINUTE, "*/60", 0, 0, 1);
    check_steps(WEFT_CRON_MINUTE, "1-30/2", 1, 30, 2);
    check_steps(WEFT_CRON_MINUTE, "5/15", 5, 59, 15);
    check_steps(WEFT_CRON_DAY, "*/10", 1, 31, 10);
    check_steps(WEFT_CRON_MONTH, "FEB/3", 2, 12, 3);
    check_steps(WEFT_CRON_WEEKDAY, "MON/2", 1, 5, 2);
    struct meaning over_the_end[] = {
        {WEFT_CRON_HOUR, "22-2/2", BIT(22) | BIT(0) | BIT(2)},
        {WEFT_CRON_HOUR, "21-3/2", BIT(21) | BIT(23) | BIT(1) | BIT(3)},
        {WEFT_CRON_WEEKDAY, "FRI-TUE/2", BIT(5) | BIT(0) | BIT(2)},
        {WEFT_CRON_WEEKDAY, "7-3/2", BIT(0) | BIT(2)},
        {WEFT_CRON_WEEKDAY, "1-7/2", BIT(1) | BIT(3) | BIT(5) | BIT(0)},
        {WEFT_CRON_WEEKDAY, "7/3", BIT(0) | BIT(3) | BIT(6)},
    };
    for (size_t i = 0; i < sizeof over_the_end / sizeof *over_the_end; i++)
        check_meaning(&over_the_end[i]);
}

TEST(five_fields_run_at_second_0_and_six_begin_with_the_second)
{
    struct weft_cron five = parse("1 2 3 4 *"), six = parse("30 1 2 3 4 *");
    CHECK_EQUAL(five.values[WEFT_CRON_SECOND], 1);
    CHECK_EQUAL(six.values[WEFT_CRON_SECOND], BIT(30));
    for (int i = WEFT_CRON_MINUTE; i < WEFT_CRON_FIELDS; i++)
        CHECK_EQUAL(five.values[i], six.values[i]);
}

TEST(any_blanks_separate_fields)
{
    struct weft_cron plain = parse("1 2 3 4 5"), wide = parse(" \t1  2\t3 \t 4 5\t ");
    CHECK(memcmp(&plain, &wide, sizeof plain) == 0);
}

TEST(days_from_the_end_and_by_number_of_weekday_are_kept_apart)
{
    struct weft_cron cron = parse("0 0 L,L-3,15,15W,lw * 5L,friL,2#1,TUE#5,0#2,7#3");
    CHECK_EQUAL(cron.values[WEFT_CRON_DAY], BIT(15));
    CHECK_EQUAL(cron.days_before_last, BIT(0) | BIT(3));
    CHECK_EQUAL(cron.working_days_near, BIT(0) | BIT(15));
    CHECK_EQUAL(cron.values[WEFT_CRON_WEEKDAY], 0);
    CHECK_EQUAL(cron.weekdays_in_month[0], BIT(5));
    CHECK_EQUAL(cron.weekdays_in_month[1], BIT(2));
    CHECK_EQUAL(cron.weekdays_in_month[2], BIT(0));
    CHECK_EQUAL(cron.weekdays_in_month[3], BIT(0));
    CHECK_EQUAL(cron.weekdays_in_month[4], 0);
    CHECK_EQUAL(cron.weekdays_in_month[5], BIT(2));
}

TEST(day_or_weekday_will_do_only_when_both_are_given_without_a_star)
{
    CHECK(parse("0 0 1 * MON").either_day);
    CHECK(parse("0 0 1-31 * 0-6").either_day);
    CHECK(parse("0 0 L * 5#2").either_day);
    CHECK(!parse("0 0 * * MON").either_day);
    CHECK(!parse("0 0 ? * MON").either_day);
    CHECK(!parse("0 0 1 * *").either_day);
    CHECK(!parse("0 0 1 * ?").either_day);
    CHECK(!parse("0 0 */2 * MON").either_day);
    CHECK(!parse("0 0 13 * */2").either_day);
}

TEST(a_star_or_an_open_step_in_the_time_of_day_makes_a_schedule_repeat)
{
    CHECK(parse("* * * * *").repeats);
    CHECK(parse("0 * * * *").repeats);
    CHECK(parse("*/15 2 * * *").repeats);
    CHECK(parse("0/15 2 * * *").repeats);
    CHECK(parse("*/10 30 2 * * *").repeats);
    CHECK(parse("@hourly").repeats);
    CHECK(!parse("30 2 * * *").repeats);
    CHECK(!parse("0-30/10 2-4 * * *").repeats);
    CHECK(!parse("0 0 */2 */2 *").repeats);
    CHECK(!parse("@daily").repeats);
}

TEST(words_stand_for_expressions)
{
    static const char *const words[][2] = {
        {"@yearly", "0 0 1 1 *"}, {"@annually", "0 0 1 1 *"}, {"@monthly", "0 0 1 * *"},
        {"@weekly", "0 0 * * 0"}, {"@daily", "0 0 * * *"},    {"@midnight", "0 0 * * *"},
        {"@hourly", "0 * * * *"}, {" @Daily ", "0 0 * * *"},
    };
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        struct weft_cron word = parse(words[i][0]), expression = parse(words[i][1]);
        CHECK(memcmp(&word, &expression, sizeof word) == 0);
    }
}

TEST(every_takes_one_length_of_time)
{
    CHECK_EQUAL(parse("@every 1h30m").every_us, INT64_C(5400000000));
    CHECK_EQUAL(parse("@every 1s").every_us, 1000000);
    CHECK_EQUAL(parse("  @EVERY\t90S ").every_us, 90000000);
    CHECK_EQUAL(parse("@every 1d12h").every_us, INT64_C(129600000000));
    CHECK_EQUAL(parse("@every 3660d").every_us, INT64_C(316224000000000));
    CHECK_EQUAL(parse("@every 1s").anchor_us, 0);
    CHECK_EQUAL(parse("0 0 * * *").every_us, 0);
}

TEST(the_longest_expression_is_taken_and_a_longer_one_is_not)
{
    struct weft_cron cron;
    char text[WEFT_CRON_TEXT_MAX + 1], error[WEFT_CRON_ERROR_BYTES];
    memset(text, ' ', sizeof text);
    memcpy(text, "0 0 * * *", 9);
    CHECK_EQUAL(weft_cron_parse(&cron, text, sizeof text - 1, error, sizeof error), 0);
    CHECK_EQUAL(weft_cron_parse(&cron, text, sizeof text, error, sizeof error), -EINVAL);
    CHECK(strcmp(error, "a schedule has at most 256 bytes") == 0);
}

/* ---- what is refused ----------------------------------------------------------------------- */

#define FIELDS "there are 5 fields (minute hour day month weekday) or 6 (second first), not "
#define WORDS  " is none of @yearly @monthly @weekly @daily @hourly @every"
#define EVERY  "@every needs one length of time such as 90s, 1h30m or 1d"

static const char *const wrong[][2] = {
    {"", "the schedule is empty"},
    {" \t ", "the schedule is empty"},
    {"* * * *", FIELDS "4"},
    {"0 0 0 1 1 * 2026", FIELDS "7"},
    {"60 * * * *", "minute: \"60\" is not between 0 and 59"},
    {"* 24 * * *", "hour: \"24\" is not between 0 and 23"},
    {"* * 0 * *", "day: \"0\" is not between 1 and 31"},
    {"* * 32 * *", "day: \"32\" is not between 1 and 31"},
    {"* * * 13 *", "month: \"13\" is not between 1 and 12"},
    {"* * * * 8", "weekday: \"8\" is not between 0 and 7"},
    {"61 * * * * *", "second: \"61\" is not between 0 and 59"},
    {"* 9-24 * * *", "hour: \"24\" is not between 0 and 23"},
    {"4294967296 * * * *", "minute: \"4294967296\" is not between 0 and 59"},
    {"18446744073709551616 * * * *", "minute: \"18446744073709551616\" is not between 0 and 59"},
    {"-1 * * * *", "minute: \"-1\" is not a number"},
    {"a * * * *", "minute: \"a\" is not a number"},
    {"* JAN * * *", "hour: \"JAN\" is not a number"},
    {"* * * FOO *", "month: \"FOO\" is neither a number nor a name such as JAN"},
    {"* * * * MO", "weekday: \"MO\" is neither a number nor a name such as SUN"},
    {"* * * * MONDAY", "weekday: \"MONDAY\" is not understood"},
    {"* * * MON *", "month: \"MON\" is neither a number nor a name such as JAN"},
    {"1, * * * *", "minute: an item of the list is empty"},
    {",1 * * * *", "minute: an item of the list is empty"},
    {"1,,2 * * * *", "minute: an item of the list is empty"},
    {"1-2-3 * * * *", "minute: \"1-2-3\" is not understood"},
    {"1- * * * *", "minute: \"1-\" is not a number"},
    {"*5 * * * *", "minute: \"*5\" is not understood"},
    {"** * * * *", "minute: \"**\" is not understood"},
    {"1-* * * * *", "minute: \"1-*\" is not a number"},
    {"*/0 * * * *", "minute: the step \"0\" is not between 1 and 60"},
    {"*/61 * * * *", "minute: the step \"61\" is not between 1 and 60"},
    {"* */25 * * *", "hour: the step \"25\" is not between 1 and 24"},
    {"*/ * * * *", "minute: \"*/\" is not understood"},
    {"*/5/5 * * * *", "minute: \"*/5/5\" is not understood"},
    {"*/-5 * * * *", "minute: \"*/-5\" is not understood"},
    {"? * * * *", "minute: ? can stand for any value in the fields day and weekday only"},
    {"* ? * * *", "hour: ? can stand for any value in the fields day and weekday only"},
    {"* * ?/2 * *", "day: \"?/2\" is not a number"},
    {"* * 1,? * *", "day: \"?\" is not a number"},
    {"* * * * L", "weekday: L needs a weekday before it, as in 5L for the last Friday"},
    {"* * * * 5#6", "weekday: \"6\" is not between 1 and 5"},
    {"* * * * 5#0", "weekday: \"0\" is not between 1 and 5"},
    {"* * * * 5#", "weekday: \"5#\" is not understood"},
    {"* * * * 1-5#2", "weekday: \"1-5#2\" is not understood"},
    {"* * * * 5#2/2", "weekday: \"5#2/2\" is not understood"},
    {"* * * * 5L-6", "weekday: \"5L-6\" is not understood"},
    {"* * 5L * *", "day: \"5L\" is not understood"},
    {"* * 5#2 * *", "day: \"5#2\" is not understood"},
    {"* * L-0 * *", "day: \"0\" is not between 1 and 30"},
    {"* * L-31 * *", "day: \"31\" is not between 1 and 30"},
    {"* * L- * *", "day: \"L-\" is not understood"},
    {"* * L/2 * *", "day: \"L/2\" is not understood"},
    {"* * LX * *", "day: \"LX\" is not understood"},
    {"* * W * *", "day: \"W\" is not a number"},
    {"* * 1-15W * *", "day: \"1-15W\" is not understood"},
    {"* * 15WW * *", "day: \"15WW\" is not understood"},
    {"15W * * * *", "minute: \"15W\" is not understood"},
    {"* * * L *", "month: \"L\" is neither a number nor a name such as JAN"},
    {"0 0 30 2 *", "day: no such day ever comes"},
    {"0 0 31 APR,JUN,SEP,NOV *", "day: no such day ever comes"},
    {"0 0 30W FEB *", "day: no such day ever comes"},
    {"0 0 L-29 FEB *", "day: no such day ever comes"},
    {"0 0 31 2 ?", "day: no such day ever comes"},
    {"@reboot", "\"@reboot\"" WORDS},
    {"@", "\"@\"" WORDS},
    {"@daily 5", "\"@daily\"" WORDS},
    {"@every", EVERY},
    {"@every 5", EVERY},
    {"@every 5x", EVERY},
    {"@every h", EVERY},
    {"@every 1m1h", EVERY},
    {"@every 1m1m", EVERY},
    {"@every 1.5h", EVERY},
    {"@every -1h", EVERY},
    {"@every 1h 30m", EVERY},
    {"@every 0s", "@every: \"0s\" is not between 1s and 3660d"},
    {"@every 3661d", "@every: \"3661d\" is not between 1s and 3660d"},
    {"@every 99999999999999999999d",
     "@every: \"99999999999999999999...\" is not between 1s and 3660d"},
    {"* * * * \x1b[31mred\x1b[0m_and_much_longer",
     "weekday: \"?[31mred?[0m_and_muc...\" is neither a number nor a name such as SUN"},
    {"* * * *\n* *", "month: \"*?*\" is not understood"},
};

TEST(what_is_wrong_is_refused_with_its_reason)
{
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct weft_cron cron = {.every_us = 77};
        char error[WEFT_CRON_ERROR_BYTES] = "";
        CHECK_EQUAL(weft_cron_parse(&cron, wrong[i][0], strlen(wrong[i][0]), error, sizeof error),
                    -EINVAL);
        CHECK_EQUAL(cron.every_us, 77);
        if (strcmp(error, wrong[i][1]) != 0) {
            test_failed(__FILE__, __LINE__, "the reason is this");
            test_note("%s\n#   %s\n#   %s", wrong[i][0], error, wrong[i][1]);
        }
    }
}

TEST(a_reason_is_cut_to_the_room_there_is)
{
    struct weft_cron cron;
    char error[] = "untouched";
    CHECK_EQUAL(weft_cron_parse(&cron, "x", 1, NULL, 0), -EINVAL);
    CHECK_EQUAL(weft_cron_parse(&cron, "", 0, error, 1), -EINVAL);
    CHECK(error[0] == '\0' && error[1] == 'n');
    CHECK_EQUAL(weft_cron_parse(&cron, "60 * * * *", 10, error, 5), -EINVAL);
    CHECK(strcmp(error, "minu") == 0);
}

TEST(text_is_read_up_to_its_length_only)
{
    struct weft_cron cron;
    char *text = malloc(9);
    REQUIRE(text);
    memcpy(text, "0 0 * * *", 9); /* no NUL */
    CHECK_EQUAL(weft_cron_parse(&cron, text, 9, NULL, 0), 0);
    CHECK_EQUAL(weft_cron_parse(&cron, text, 8, NULL, 0), -EINVAL);
    free(text);
    CHECK_EQUAL(weft_cron_parse(&cron, "0 0 * * 1\0002", 11, NULL, 0), -EINVAL);
}
