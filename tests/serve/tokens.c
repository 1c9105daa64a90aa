/* SPDX-License-Identifier: MIT
 * tokens.c - files of bearer tokens, and who is let in. */
#include "test.h"

#include <serve/tokens.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int read_bytes(const char *text, size_t len, struct weft_tokens *tokens, char *error,
                      size_t bytes)
{
    char path[200];
    (void)snprintf(path, sizeof path, "%s/tokens", test_directory());
    FILE *file = fopen(path, "wb");
    REQUIRE(file);
    REQUIRE(fwrite(text, 1, len, file) == len);
    (void)fclose(file);
    return weft_tokens_read(tokens, path, error, bytes);
}

static int read_text(const char *text, struct weft_tokens *tokens, char *error, size_t bytes)
{
    return read_bytes(text, strlen(text), tokens, error, bytes);
}

TEST(a_single_word_is_a_token_for_everything)
{
    struct weft_tokens tokens;
    char error[300];
    CHECK_EQUAL(read_text("0123456789abcdef\n", &tokens, error, sizeof error), 0);
    REQUIRE(tokens.count == 1);
    CHECK_EQUAL(tokens.tokens[0].may, WEFT_MAY_ALL);
    CHECK(strcmp(tokens.tokens[0].name, "token") == 0);
    weft_tokens_release(&tokens);
}

TEST(lines_have_scopes_names_and_comments)
{
    static const char text[] = "# who may do what\n"
                               "\n"
                               "aaaaaaaaaaaaaaaa read,enqueue web # the shop\n"
                               "  bbbbbbbbbbbbbbbb\twork\tworker-1\r\n"
                               "cccc#ccccccccccccc admin\n"
                               "dddddddddddddddd";
    struct weft_tokens tokens;
    char error[300];
    CHECK_EQUAL(read_text(text, &tokens, error, sizeof error), 0);
    REQUIRE(tokens.count == 4);
    CHECK_EQUAL(tokens.tokens[0].may, WEFT_MAY_READ | WEFT_MAY_ENQUEUE);
    CHECK(strcmp(tokens.tokens[0].name, "web") == 0);
    CHECK_EQUAL(tokens.tokens[1].may, WEFT_MAY_WORK);
    CHECK(strcmp(tokens.tokens[1].name, "worker-1") == 0);
    CHECK_EQUAL(tokens.tokens[2].may, WEFT_MAY_ALL);
    CHECK(strcmp(tokens.tokens[2].text, "cccc#ccccccccccccc") == 0);
    CHECK_EQUAL(tokens.tokens[3].may, WEFT_MAY_ALL);
    weft_tokens_release(&tokens);
}

TEST(what_is_no_token_file_is_refused_with_its_line)
{
    static const struct {
        const char *text, *says;
    } bad[] = {
        {"", "holds no token"},
        {"# nothing\n\n", "holds no token"},
        {"short\n", "line 1: a token is one word"},
        {"0123456789abcdef\nshort read\n", "line 2: a token is one word"},
        {"0123456789abcdef write\n", "scopes are"},
        {"0123456789abcdef read,\xc3\xa4\n", "scopes are"},
        {"0123456789abcdef read name more\n", "behind the name"},
        {"0123456789abcde\x01f\n", "a token is one word"},
        {"0123456789abcdef read\n\n0123456789abcdef admin\n",
         "line 3: this token is there already"},
        {"0123456789abcdef\n0123456789abcdef\n", "line 2: this token is there already"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct weft_tokens tokens;
        char error[300] = "";
        CHECK_EQUAL(read_text(bad[i].text, &tokens, error, sizeof error), -EINVAL);
        CHECK(strstr(error, bad[i].says));
    }
    char large[2000];
    memset(large, 'x', sizeof large - 1);
    large[sizeof large - 1] = '\0';
    struct weft_tokens tokens;
    char error[300] = "";
    CHECK_EQUAL(read_text(large, &tokens, error, sizeof error), -EINVAL);
    CHECK(strstr(error, "too long"));
    CHECK(!strstr(error, "xxx")); /* secrets are not repeated */
    CHECK_EQUAL(weft_tokens_read(&tokens, "/nonexistent/tokens", error, sizeof error), -ENOENT);
    CHECK(strstr(error, "/nonexistent/tokens"));
}

TEST(what_is_no_text_is_no_token_file)
{
    static const char bytes[] = "0123456789abcdef read\0,admin\nfedcba9876543210 read\n";
    struct weft_tokens tokens;
    char error[300] = "";
    CHECK_EQUAL(read_bytes(bytes, sizeof bytes - 1, &tokens, error, sizeof error), -EINVAL);
    CHECK(strstr(error, "NUL"));
    /* As a file is after the power was cut while it was written. */
    CHECK_EQUAL(read_bytes("\0\0\0\0", 4, &tokens, error, sizeof error), -EINVAL);
    CHECK(strstr(error, "NUL"));
    error[0] = '\0';
    CHECK_EQUAL(weft_tokens_read(&tokens, "/dev/zero", error, sizeof error), -EINVAL);
    CHECK(strstr(error, "more than"));
    CHECK_EQUAL(weft_tokens_read(&tokens, test_directory(), error, sizeof error), -EIO);
    char *large = malloc(300000);
    REQUIRE(large);
    memset(large, '\n', 300000);
    CHECK_EQUAL(read_bytes(large, 300000, &tokens, error, sizeof error), -EINVAL);
    CHECK(strstr(error, "more than"));
    free(large);
}

TEST(there_is_a_limit_to_tokens)
{
    char text[(WEFT_TOKENS_MAX + 1) * 20 + 1], *end = text;
    for (int i = 0; i <= WEFT_TOKENS_MAX; i++)
        end += snprintf(end, 21, "%019d\n", i);
    struct weft_tokens tokens;
    char error[300] = "";
    CHECK_EQUAL(read_text(text, &tokens, error, sizeof error), -EINVAL);
    CHECK(strstr(error, "more than"));
}

TEST(tokens_match_only_when_they_are_equal)
{
    struct weft_tokens tokens;
    char error[300];
    REQUIRE(read_text("fedcba9876543210 read r\n0123456789abcdef work w\n", &tokens, error,
                      sizeof error) == 0);
    const struct weft_token *found = weft_tokens_find(&tokens, "Bearer 0123456789abcdef");
    REQUIRE(found);
    CHECK(strcmp(found->name, "w") == 0);
    found = weft_tokens_find(&tokens, "bearer fedcba9876543210");
    REQUIRE(found);
    CHECK(strcmp(found->name, "r") == 0);
    static const char *const wrong[] = {
        "",
        "Bearer",
        "Bearer ",
        "0123456789abcdef",
        "Basic 0123456789abcdef",
        "Bearer 0123456789abcdeg",
        "Bearer 1123456789abcdef",
        "Bearer 0123456789abcde",
        "Bearer 0123456789abcdef0",
        "Bearer 0123456789abcdef0123456789abcdef",
        "Bearer  0123456789abcdef",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        CHECK(!weft_tokens_find(&tokens, wrong[i]));
    CHECK(!weft_tokens_find(&tokens, NULL));
    weft_tokens_release(&tokens);
}

TEST(scopes_have_names)
{
    CHECK(strcmp(weft_may_name(WEFT_MAY_READ), "read") == 0);
    CHECK(strcmp(weft_may_name(WEFT_MAY_ENQUEUE), "enqueue") == 0);
    CHECK(strcmp(weft_may_name(WEFT_MAY_WORK), "work") == 0);
    CHECK(strcmp(weft_may_name(WEFT_MAY_ADMIN), "admin") == 0);
}
