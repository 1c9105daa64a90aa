/* SPDX-License-Identifier: MIT
 * robots.c - robots.txt from arbitrary bytes: no crash, and what decides is the longest rule that
 * matches by a matcher that tries everything.
 *
 * The input: a path up to a newline, then the file. */
#include <crawl/robots.h>

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds)
        abort();
}

/* By trying: slow, and easy to see through. */
static bool matches(const char *pattern, const char *path)
{
    if (*pattern == '\0')
        return true;
    if (*pattern == '$' && pattern[1] == '\0')
        return *path == '\0';
    if (*pattern == '*') {
        for (;; path++) {
            if (matches(pattern + 1, path))
                return true;
            if (*path == '\0')
                return false;
        }
    }
    return *path == *pattern && matches(pattern + 1, path + 1);
}

static void check_match(const char *pattern, size_t pattern_len, const char *path, size_t path_len)
{
    char *signs = malloc(3 * pattern_len + 1), *plain = malloc(3 * path_len + 1);
    check(signs && plain);
    size_t signs_len = weft_robots_normal(signs, pattern, pattern_len, true);
    size_t plain_len = weft_robots_normal(plain, path, path_len, false);
    check(strlen(signs) == signs_len && strlen(plain) == plain_len);
    check(!strpbrk(plain, "*$"));
    size_t stars = 0;
    for (size_t i = 0; i < signs_len; i++)
        stars += signs[i] == '*';
    if (stars <= 3 && plain_len <= 64) /* else trying takes too long */
        check(weft_robots_match(signs, signs_len, plain, plain_len) == matches(signs, plain));
    else
        (void)weft_robots_match(signs, signs_len, plain, plain_len);
    free(signs);
    free(plain);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct weft_robots *robots;
    const uint8_t *newline = memchr(data, '\n', size);
    size_t path_len = newline ? (size_t)(newline - data) : 0;
    size_t at = newline ? path_len + 1 : 0;
    char *text = malloc(size - at + 1), *path = malloc(path_len + 1);
    check(text && path);
    memcpy(text, data + at, size - at);
    memcpy(path, data, path_len);
    path[path_len] = '\0';
    char *exact = realloc(text, size > at ? size - at : 1); /* for a sanitizer */
    check(exact != NULL);
    check(weft_robots_parse(&robots, exact, size - at, "weft") == 0);
    int allowed = weft_robots_allow(robots, path);
    check(allowed == 0 || allowed == 1);
    check(allowed == 1 || weft_robots_rules(robots) > 0);
    check(weft_robots_allow(robots, "/robots.txt") == 1);
    check(weft_robots_delay_ns(robots) >= -1);
    size_t count = 0;
    while (weft_robots_sitemap(robots, count))
        count++;
    check(count <= WEFT_ROBOTS_SITEMAPS_MAX);
    weft_robots_free(robots);
    check_match(exact, size - at < 4096 ? size - at : 4096, path, path_len);
    free(exact);
    free(path);
    return 0;
}
