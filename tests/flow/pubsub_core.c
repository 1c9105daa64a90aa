/* SPDX-License-Identifier: MIT */
#include "test.h"

#include <flow/pubsub_core.h>

#include <weft/pubsub.h>

#include <string.h>

TEST(topics_and_patterns_are_told_apart_and_nonsense_is_refused)
{
    static const struct {
        const char *text;
        enum weft_topic_kind kind;
    } cases[] = {
        {"a", WEFT_TOPIC_EXACT},
        {"user.created", WEFT_TOPIC_EXACT},
        {"a-b_c.0/1", WEFT_TOPIC_EXACT},
        {"*", WEFT_TOPIC_PATTERN},
        {">", WEFT_TOPIC_PATTERN},
        {"user.*", WEFT_TOPIC_PATTERN},
        {"*.created", WEFT_TOPIC_PATTERN},
        {"user.>", WEFT_TOPIC_PATTERN},
        {"a.*.>", WEFT_TOPIC_PATTERN},
        {NULL, WEFT_TOPIC_WRONG},
        {"", WEFT_TOPIC_WRONG},
        {".", WEFT_TOPIC_WRONG},
        {"a.", WEFT_TOPIC_WRONG},
        {".a", WEFT_TOPIC_WRONG},
        {"a..b", WEFT_TOPIC_WRONG},
        {"a b", WEFT_TOPIC_WRONG},
        {"a*", WEFT_TOPIC_WRONG},
        {"*a", WEFT_TOPIC_WRONG},
        {"**", WEFT_TOPIC_WRONG},
        {">.a", WEFT_TOPIC_WRONG},
        {"a>", WEFT_TOPIC_WRONG},
        {">a", WEFT_TOPIC_WRONG},
        {"a\n", WEFT_TOPIC_WRONG},
        {"a.*b", WEFT_TOPIC_WRONG},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        CHECK_EQUAL(weft_topic_kind(cases[i].text), cases[i].kind);
        if (weft_topic_kind(cases[i].text) != cases[i].kind)
            test_note("\"%s\"", cases[i].text ? cases[i].text : "NULL");
    }
}

TEST(a_topic_has_at_most_255_bytes)
{
    char text[WEFT_TOPIC_MAX + 2];
    memset(text, 'a', sizeof text);
    text[WEFT_TOPIC_MAX + 1] = 0;
    CHECK_EQUAL(weft_topic_kind(text), WEFT_TOPIC_WRONG);
    text[WEFT_TOPIC_MAX] = 0;
    CHECK_EQUAL(weft_topic_kind(text), WEFT_TOPIC_EXACT);
}

TEST(a_star_is_one_word_and_an_arrow_the_rest)
{
    static const struct {
        const char *pattern, *topic;
        bool matches;
    } cases[] = {
        {"user.created", "user.created", true},
        {"user.created", "user.create", false},
        {"user.create", "user.created", false},
        {"user", "user.created", false},
        {"user.created", "user", false},
        {"user.*", "user.created", true},
        {"user.*", "user", false},
        {"user.*", "user.a.b", false},
        {"*", "user", true},
        {"*", "user.created", false},
        {"*.*", "user.created", true},
        {"*.created", "user.created", true},
        {"*.created", "user.deleted", false},
        {"a.*.c", "a.b.c", true},
        {"a.*.c", "a.b.d", false},
        {"a.*.c", "a.b", false},
        {">", "user", true},
        {">", "user.created.now", true},
        {"user.>", "user.created", true},
        {"user.>", "user.a.b.c", true},
        {"user.>", "user", false},
        {"user.>", "users.a", false},
        {"*.>", "a.b", true},
        {"*.>", "a", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        CHECK_EQUAL(weft_topic_matches(cases[i].pattern, cases[i].topic), cases[i].matches);
        if (weft_topic_matches(cases[i].pattern, cases[i].topic) != cases[i].matches)
            test_note("%s and %s", cases[i].pattern, cases[i].topic);
    }
}
