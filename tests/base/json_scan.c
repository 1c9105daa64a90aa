/* SPDX-License-Identifier: MIT
 * json_scan.c - finding a string in JSON without a parser's memory; whatever the bytes are. */
#include "test.h"

#include <base/json_scan.h>
#include <base/random.h>

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Returns what was found, or NULL with *ret_err set. The text is in exactly as much memory as it
 * needs, so that a sanitizer sees every step too far. */
static char *find(const char *json, const char *key, int *ret_err)
{
    size_t len = strlen(json), raw_len = 0;
    char *exact = malloc(len ? len : 1);
    REQUIRE(exact);
    memcpy(exact, json, len);
    const char *raw = NULL;
    *ret_err = weft_json_find_string(exact, len, key, &raw, &raw_len);
    char *found = *ret_err ? NULL : strndup(raw, raw_len);
    free(exact);
    return found;
}

static void expect(const char *json, const char *wanted)
{
    int err;
    char *found = find(json, "text", &err);
    CHECK(found && strcmp(found, wanted) == 0);
    if (!found || strcmp(found, wanted) != 0)
        test_note("in %s", json);
    free(found);
}

static void expect_error(const char *json, int wanted)
{
    int err;
    char *found = find(json, "text", &err);
    CHECK_EQUAL(err, wanted);
    if (err != wanted)
        test_note("in %s", json);
    free(found);
}

TEST(a_string_member_is_found_among_others)
{
    expect("{\"text\":\"a\"}", "a");
    expect(" { \"text\" : \"\" } ", "");
    expect("{\"n\":1,\"text\":\"b\",\"m\":null}", "b");
    expect("{\"o\":{\"text\":\"inner\"},\"l\":[{\"text\":\"x\"},\"}\"],\"text\":\"outer\"}",
           "outer");
    expect("{\"s\":\"\\\"text\\\":\\\"no\\\"\",\"text\":\"yes\"}", "yes");
    expect("{\"text2\":\"no\",\"tex\":\"no\",\"text\":\"yes\"}", "yes");
}

TEST(escapes_stay_as_they_are_written)
{
    expect("{\"text\":\"a\\\"b\\\\\"}", "a\\\"b\\\\");
    expect("{\"text\":\"\\u0041\\n\"}", "\\u0041\\n");
}

TEST(a_key_may_be_written_with_escapes)
{
    expect("{\"\\u0074e\\u0078t\":\"a\"}", "a");
    expect_error("{\"\\u0174ext\":\"a\"}", -ENOENT);
    expect_error("{\"\\text\":\"a\"}", -ENOENT);
}

TEST(what_is_absent_or_no_string_is_told_apart)
{
    expect_error("{}", -ENOENT);
    expect_error("{\"a\":1}", -ENOENT);
    expect_error("{\"text\":1}", -EINVAL);
    expect_error("{\"text\":{\"text\":\"a\"}}", -EINVAL);
}

TEST(what_is_not_json_is_refused)
{
    static const char *const broken[] = {
        "",
        " ",
        "[]",
        "\"text\"",
        "{",
        "{\"",
        "{\"text",
        "{\"text\"",
        "{\"text\":",
        "{\"text\":\"",
        "{\"text\":\"\\",
        "{\"text\":\"\\\"",
        "{\"a\":1",
        "{\"a\":[1,2",
        "{\"a\":1,",
        "{\"\\u00",
        "{\"a\" 1}",
        "{,}",
        "{\"a\":}}",
        "{\"\\u00\":\"x\"",
    };
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
        int err;
        char *found = find(broken[i], "text", &err);
        CHECK(err == -EINVAL || err == -ENOENT);
        CHECK(!found);
        free(found);
    }
}

TEST(random_bytes_never_lead_outside)
{
    static const char letters[] = "{}[]\",:\\tex u0041\n";
    struct weft_random random;
    weft_random_seed(&random, 20);
    for (int round = 0; round < 50000; round++) {
        size_t len = weft_random_below(&random, 40);
        char *text = malloc(len + 1);
        REQUIRE(text);
        for (size_t i = 0; i < len; i++)
            text[i] = letters[weft_random_below(&random, sizeof letters - 1)];
        const char *raw = text;
        size_t raw_len = 0;
        char *exact = realloc(text, len ? len : 1);
        REQUIRE(exact);
        int err = weft_json_find_string(exact, len, "text", &raw, &raw_len);
        CHECK(err || (raw >= exact && raw + raw_len <= exact + len));
        (void)weft_json_too_deep(exact, len, 5);
        free(exact);
    }
}

TEST(depth_counts_brackets_outside_of_strings)
{
    static const char three[] = "{\"a\":[{\"b\":\"[[[[[\\\"[[\"}]}";
    CHECK(!weft_json_too_deep(three, strlen(three), 3));
    CHECK(weft_json_too_deep(three, strlen(three), 2));
    static const char flat[] = "[[],[],[],[]]";
    CHECK(!weft_json_too_deep(flat, strlen(flat), 2));
    char deep[5000];
    memset(deep, '[', sizeof deep);
    CHECK(weft_json_too_deep(deep, sizeof deep, 32));
}

static bool is_valid(const char *json, size_t len)
{
    char *exact = malloc(len ? len : 1);
    REQUIRE(exact);
    memcpy(exact, json, len);
    bool valid = weft_json_is_valid(exact, len);
    free(exact);
    return valid;
}

TEST(valid_json_is_told_from_what_is_not)
{
    static const char *const valid[] = {
        "0",
        "-0",
        "12.5e-7",
        "1E+2",
        "null",
        " true ",
        "\"\"",
        "[]",
        "{}",
        "[ ]",
        "{ }",
        "[1,2]",
        "{\"a\":[{\"b\":null}],\"c\":\"\\u00e4\\n\\/\"}",
        "\"\xc3\xa4\"",
        "[[],{},[{}]]",
    };
    static const char *const broken[] = {
        "",         " ",          "nul",
        "truex",    "01",         "-",
        "-true",    "1.",         ".5",
        "1e",       "+1",         "'a'",
        "\"",       "\"\\x\"",    "\"\\u12g4\"",
        "\"\n\"",   "\"\xff\"",   "\"\xc3\"",
        "[",        "]",          "[1,]",
        "[,1]",     "[1 2]",      "{\"a\"}",
        "{\"a\":}", "{\"a\":1,}", "{a:1}",
        "{1:1}",    "[}",         "{]",
        "[1]]",     "1 1",        "{\"a\":1\"b\":2}",
    };
    for (size_t i = 0; i < sizeof valid / sizeof valid[0]; i++) {
        CHECK(is_valid(valid[i], strlen(valid[i])));
        if (!is_valid(valid[i], strlen(valid[i])))
            test_note("in %s", valid[i]);
    }
    for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++) {
        CHECK(!is_valid(broken[i], strlen(broken[i])));
        if (is_valid(broken[i], strlen(broken[i])))
            test_note("in %s", broken[i]);
    }
}

TEST(json_may_be_nested_as_deep_as_the_limit_says)
{
    char text[2 * WEFT_JSON_DEPTH_MAX + 2];
    memset(text, '[', WEFT_JSON_DEPTH_MAX);
    memset(text + WEFT_JSON_DEPTH_MAX, ']', WEFT_JSON_DEPTH_MAX);
    CHECK(is_valid(text, (size_t)2 * WEFT_JSON_DEPTH_MAX));
    memset(text, '[', WEFT_JSON_DEPTH_MAX + 1);
    memset(text + WEFT_JSON_DEPTH_MAX + 1, ']', WEFT_JSON_DEPTH_MAX + 1);
    CHECK(!is_valid(text, sizeof text));
}

/* jansson refuses lone surrogates and numbers that no double can hold as well. */
static bool jansson_is_stricter(const char *json, size_t len)
{
    return memchr(json, '\\', len) || memchr(json, 'e', len) || memchr(json, 'E', len);
}

TEST(validity_is_what_jansson_says)
{
    static const char seed[] = "{\"a\": [1, -2.5e3, \"x\\u0041\", true, null], \"b\": {\"c\": {}}}";
    static const char letters[] = "{}[]\":,\\ -+.0123456789eEtrufalsn\xc3\xa4";
    struct weft_random random;
    weft_random_seed(&random, 7);
    unsigned valid = 0;
    for (int round = 0; round < 200000; round++) {
        char text[sizeof seed];
        size_t len = sizeof seed - 1;
        memcpy(text, seed, len);
        for (uint64_t n = weft_random_below(&random, 4); n > 0; n--)
            text[weft_random_below(&random, len)] =
                letters[weft_random_below(&random, sizeof letters - 1)];
        json_error_t error;
        const size_t flags = JSON_DECODE_ANY | JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL;
        json_t *root = json_loadb(text, len, flags, &error);
        bool ours = is_valid(text, len);
        bool agree = ours == (root != NULL) || (ours && jansson_is_stricter(text, len));
        CHECK(agree);
        if (!agree)
            test_note("%.*s: %s", (int)len, text, error.text);
        json_decref(root);
        valid += ours;
    }
    CHECK(valid > 1000);
}

static bool is_plain(const char *json, size_t len)
{
    char *exact = malloc(len ? len : 1);
    REQUIRE(exact);
    memcpy(exact, json, len);
    bool plain = weft_json_is_plain(exact, len);
    free(exact);
    return plain;
}

TEST(what_is_plain_is_told_from_what_a_parser_has_to_look_at)
{
    static const char *const plain[] = {
        "null",
        " true ",
        "0",
        "-12.50",
        "\"text\"",
        "\"\xc3\xa4\"",
        "[]",
        "{ }",
        "[1, [2], {\"a\": [3, {}]}]",
        "{\"a\":{\"a\":1},\"b\":\"\"}",
    };
    static const char *const others[] = {
        "",
        "{",
        "[1,]",
        "{\"a\":1,}",
        "{\"a\"}",
        "01",
        "-",
        "1.",
        "nul",
        "1 2",
        "\"a",
        "\"\x01\"",
        "\"\xff\"",
        "{\"a\":1,\"b\":2,\"a\":3}",
        "\"\\n\"",
        "1e9",
        "1234567890123456",
        "[[[[[1]]]]]",
    };
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
        CHECK(is_plain(plain[i], strlen(plain[i])));
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        CHECK(!is_plain(others[i], strlen(others[i])));
}

TEST(what_is_plain_jansson_takes)
{
    static const char seed[] = "{\"a\": [1, -2.5, \"x\", true, null], \"b\": {\"c\": {}}}";
    static const char letters[] = "{}[]\":,\\ -+.0123456789eEabctrufalsn\xc3\xa4";
    struct weft_random random;
    weft_random_seed(&random, 11);
    unsigned plain = 0;
    for (int round = 0; round < 200000; round++) {
        char text[sizeof seed];
        size_t len = sizeof seed - 1;
        memcpy(text, seed, len);
        for (uint64_t n = weft_random_below(&random, 4); n > 0; n--)
            text[weft_random_below(&random, len)] =
                letters[weft_random_below(&random, sizeof letters - 1)];
        if (!is_plain(text, len))
            continue;
        json_t *root = json_loadb(text, len, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, NULL);
        CHECK(root != NULL);
        if (!root)
            test_note("%.*s", (int)len, text);
        json_decref(root);
        plain++;
    }
    CHECK(plain > 1000);
}

/* A member's value of any kind, as text. */
static void expect_value(const char *json, const char *wanted)
{
    size_t len = strlen(json), raw_len = 0;
    char *exact = malloc(len ? len : 1);
    const char *raw = NULL;
    REQUIRE(exact);
    memcpy(exact, json, len);
    int err = weft_json_find(exact, len, "text", &raw, &raw_len);
    bool same = !err && raw_len == strlen(wanted) && memcmp(raw, wanted, raw_len) == 0;
    CHECK(same);
    if (!same)
        test_note("in %s: %d", json, err);
    free(exact);
}

TEST(a_member_of_any_kind_is_found_as_it_is_written)
{
    expect_value("{\"text\":\"a\"}", "\"a\"");
    expect_value("{\"n\":1,\"text\" :\n 12345678901234567890.50 \t, \"m\":2}",
                 "12345678901234567890.50");
    expect_value("{\"text\":{\"text\":[1 , \"]}\"]} }", "{\"text\":[1 , \"]}\"]}");
    expect_value("{\"o\":{\"text\":1},\"text\":null}", "null");
    expect_value("{\"t\\u0065xt\":[]}", "[]");
    static const struct {
        const char *json;
        int err;
    } wrong[] = {{"{}", -ENOENT},          {"{\"a\":{\"text\":1}}", -ENOENT},
                 {"[]", -EINVAL},          {"", -EINVAL},
                 {"{\"text\":", -EINVAL},  {"{\"text\":}", -EINVAL},
                 {"{\"text\":1", -EINVAL}, {"{\"text\":[1", -EINVAL}};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        const char *raw = "untouched";
        size_t len = 7;
        CHECK_EQUAL(weft_json_find(wrong[i].json, strlen(wrong[i].json), "text", &raw, &len),
                    wrong[i].err);
        CHECK(strcmp(raw, "untouched") == 0 && len == 7);
    }
}

/* The elements with bars between them, and how it ended. */
static int elements_of(const char *json, char out[128], const char **ret_at)
{
    const char *at = json, *raw;
    size_t len, used = 0;
    int more;
    while ((more = weft_json_next_element(&at, json + strlen(json), &raw, &len)) > 0) {
        memcpy(out + used, raw, len);
        used += len;
        out[used++] = '|';
    }
    out[used] = '\0';
    *ret_at = at;
    return more;
}

/* The members with bars between them, and how it ended. */
static int members_of(const char *json, char out[128])
{
    struct weft_json_member member;
    const char *at = json;
    size_t used = 0;
    int more;
    out[0] = '\0';
    while ((more = weft_json_next_member(&at, json + strlen(json), &member)) > 0)
        used += (size_t)snprintf(out + used, 128 - used, "%.*s=%.*s|", (int)member.name_len,
                                 member.name, (int)member.len, member.raw);
    return more;
}

TEST(the_members_of_an_object_come_one_by_one)
{
    static const struct {
        const char *json, *members;
        int end;
    } cases[] = {
        {"{}", "", 0},
        {" { \n } x", "", 0},
        {"{\"a\":1}", "a=1|", 0},
        {"{ \"a\" : {\"b\":[2,\"}\"]} , \"c,:\\\"\":\"x\" }tail",
         "a={\"b\":[2,\"}\"]}|c,:\\\"=\"x\"|", 0},
        {"{\"a\":1,\"a\":2}", "a=1|a=2|", 0},
        {"{\"a\":1,}", "a=1|", -EINVAL},
        {"{\"a\"}", "", -EINVAL},
        {"{\"a\":}", "", -EINVAL},
        {"{a:1}", "", -EINVAL},
        {"{\"a\":1", "", -EINVAL},
        {"{\"a", "", -EINVAL},
        {"[1]", "", -EINVAL},
        {"", "", -EINVAL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char out[128];
        CHECK_EQUAL(members_of(cases[i].json, out), cases[i].end);
        CHECK(strcmp(out, cases[i].members) == 0);
        if (strcmp(out, cases[i].members) != 0)
            test_note("%s: %s", cases[i].json, out);
    }
}

TEST(a_member_is_known_by_its_name_however_that_is_written)
{
    static const char json[] = "{\"t\\u0065xt\":1}";
    struct weft_json_member member;
    const char *at = json;
    CHECK_EQUAL(weft_json_next_member(&at, json + sizeof json - 1, &member), 1);
    CHECK(weft_json_is_named(&member, "text"));
    CHECK(!weft_json_is_named(&member, "tex"));
    CHECK(!weft_json_is_named(&member, "texts"));
}

TEST(the_elements_of_an_array_come_one_by_one)
{
    static const struct {
        const char *json, *elements;
        int end;
        const char *rest;
    } cases[] = {
        {"[]", "", 0, ""},
        {" [ \n ] x", "", 0, " x"},
        {"[1]", "1|", 0, ""},
        {"[ 1 , \"a,]\" ,{\"b\":[2,3]},[[4]] ]tail", "1|\"a,]\"|{\"b\":[2,3]}|[[4]]|", 0, "tail"},
        {"[1 2]", "1 2|", 0, ""}, /* a parser's to refuse */
        {"[1,]", "1|", -EINVAL, "]"},
        {"[,1]", "", -EINVAL, ",1]"},
        {"[1,,2]", "1|", -EINVAL, ",2]"},
        {"[1", "", -EINVAL, ""},
        {"[1,\"a]", "1|", -EINVAL, ""},
        {"[1}", "1|", -EINVAL, "}"},
        {"[", "", -EINVAL, ""},
        {"1", "", -EINVAL, "1"},
        {"{}", "", -EINVAL, "{}"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char out[128];
        const char *at;
        int end = elements_of(cases[i].json, out, &at);
        CHECK_EQUAL(end, cases[i].end);
        CHECK(strcmp(out, cases[i].elements) == 0);
        CHECK(strcmp(at, cases[i].rest) == 0);
        if (strcmp(out, cases[i].elements) != 0 || strcmp(at, cases[i].rest) != 0)
            test_note("%s: %s, then %s", cases[i].json, out, at);
    }
}
