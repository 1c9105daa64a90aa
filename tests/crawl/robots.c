/* SPDX-License-Identifier: MIT
 * robots.c - robots.txt as RFC 9309 has it. */
#include "test.h"

#include <crawl/robots.h>
#include <crawl/robots_tag.h>

#include <weft/base.h>

#include <stdlib.h>
#include <string.h>

static struct weft_robots *parse(const char *text)
{
    struct weft_robots *robots = NULL;
    REQUIRE(weft_robots_parse(&robots, text, strlen(text), "weft") == 0);
    return robots;
}

static bool allows(const char *text, const char *path)
{
    struct weft_robots *robots = parse(text);
    int allowed = weft_robots_allow(robots, path);
    weft_robots_free(robots);
    return allowed == 1;
}

#define ALL "User-agent: *\n"

TEST(without_rules_everything_is_allowed)
{
    CHECK(weft_robots_allow(NULL, "/a") == 1);
    CHECK(allows("", "/a"));
    CHECK(allows("<html>not found</html>", "/a"));
    CHECK(allows(ALL "Disallow:\n", "/a"));
    CHECK(allows("Disallow: /\n", "/a")); /* in no group */
    CHECK(allows("User-agent: other\nDisallow: /\n", "/a"));
}

TEST(the_longest_rule_that_matches_decides)
{
    static const char text[] = ALL "Disallow: /a/\nAllow: /a/b/\nDisallow: /a/b/c.html\n";
    CHECK(allows(text, "/"));
    CHECK(!allows(text, "/a/"));
    CHECK(!allows(text, "/a/x"));
    CHECK(allows(text, "/a/b/x"));
    CHECK(!allows(text, "/a/b/c.html"));
    CHECK(allows(text, "/A/"));
    CHECK(allows(ALL "Disallow: /p\nAllow: /p\n", "/page")); /* equally long: allowed */
    CHECK(allows(ALL "Allow: /p\nDisallow: /\n", "/page"));
    CHECK(!allows(ALL "Allow: /folder\nDisallow: /folder/\n", "/folder/page"));
}

TEST(a_group_is_found_by_the_product_token)
{
    static const char text[] = "User-agent: WEFT\nDisallow: /mine\n\n" ALL "Disallow: /all\n";
    CHECK(!allows(text, "/mine"));
    CHECK(allows(text, "/all"));
    CHECK(!allows("User-agent: weft/2.0\nDisallow: /\n", "/"));
    CHECK(allows("User-agent: weftbot\nDisallow: /\n", "/"));
    CHECK(allows("User-agent: we\nDisallow: /\n", "/"));
    CHECK(allows("User-agent: weft\nDisallow:\n\n" ALL "Disallow: /\n", "/a"));
    /* several names share a group; groups with one name are one */
    static const char shared[] = "User-agent: a\nUser-agent: weft\nDisallow: /x\n"
                                 "User-agent: b\nDisallow: /y\n"
                                 "User-agent: weft\nDisallow: /z\n";
    CHECK(!allows(shared, "/x"));
    CHECK(allows(shared, "/y"));
    CHECK(!allows(shared, "/z"));
    /* a sitemap does not end the names of a group, a rule does */
    CHECK(!allows("User-agent: a\nSitemap: http://x/\nUser-agent: weft\nDisallow: /\n", "/"));
    CHECK(allows("User-agent: weft\nDisallow: /x\nUser-agent: a\nDisallow: /\n", "/"));
}

TEST(asterisks_and_dollars_are_signs)
{
    CHECK(!allows(ALL "Disallow: /*.php$\n", "/a/b.php"));
    CHECK(allows(ALL "Disallow: /*.php$\n", "/a/b.php?x"));
    CHECK(allows(ALL "Disallow: /*.php$\n", "/a/b.php5"));
    CHECK(!allows(ALL "Disallow: /*.php\n", "/a.php?x"));
    CHECK(!allows(ALL "Disallow: *\n", "/"));
    CHECK(!allows(ALL "Disallow: /a*b*c\n", "/axbxc"));
    CHECK(allows(ALL "Disallow: /a*b*c\n", "/acb"));
    CHECK(!allows(ALL "Disallow: /a*a$\n", "/aaa"));
    CHECK(allows(ALL "Disallow: /a*a$\n", "/a"));
    CHECK(!allows(ALL "Disallow: /$\n", "/"));
    CHECK(allows(ALL "Disallow: /$\n", "/a"));
    CHECK(!allows(ALL "Disallow: /fish*\n", "/fishheads"));
    CHECK(!allows(ALL "Disallow: /a%2a\n", "/a*"));
    CHECK(!allows(ALL "Disallow: /a%24\n", "/a$b"));
    CHECK(allows(ALL "Disallow: /a$b\n", "/ab"));
}

TEST(escapes_do_not_matter_where_they_mean_the_same)
{
    CHECK(!allows(ALL "Disallow: /foo/bar/%62%61%7A\n", "/foo/bar/baz"));
    CHECK(!allows(ALL "Disallow: /foo/bar/baz\n", "/foo/bar/%62%61%7a"));
    CHECK(!allows(ALL "Disallow: /foo/bar/\xe3\x83\x84\n", "/foo/bar/%E3%83%84"));
    CHECK(!allows(ALL "Disallow: /foo/bar/%e3%83%84\n", "/foo/bar/%E3%83%84"));
    CHECK(!allows(ALL "Disallow: /foo/bar?baz=https%3A%2F%2Ffoo.bar\n",
                  "/foo/bar?baz=https://foo.bar"));
    CHECK(!allows(ALL "Disallow: /foo/bar?baz=https://foo.bar\n",
                  "/foo/bar?baz=https%3A%2F%2Ffoo.bar"));
    CHECK(allows(ALL "Disallow: /a/b\n", "/a%2Fb"));
    CHECK(!allows(ALL "Disallow: /%zz\n", "/%zz"));
}

TEST(lines_may_be_written_as_people_do)
{
    CHECK(!allows("\xef\xbb\xbfUSER-AGENT : * \r\n  disallow\t:/a # why\r\n", "/a"));
    CHECK(!allows("user-agent:*\rdisallow:/a\r", "/a"));
    CHECK(!allows("# x\n\nUser-agent: *\n\n\nDisallow: /a", "/a"));
    CHECK(allows(ALL "Disallow /a\nDissallow: /a\n", "/a"));
}

TEST(robots_txt_itself_may_always_be_fetched)
{
    CHECK(allows(ALL "Disallow: /\n", "/robots.txt"));
    CHECK(!allows(ALL "Disallow: /\n", "/robots.txt?x"));
}

TEST(what_is_behind_500_kib_is_not_read)
{
    size_t len = WEFT_ROBOTS_BYTES_MAX + 100;
    char *text = malloc(len);
    REQUIRE(text);
    struct weft_robots *robots = NULL;
    memset(text, '\n', len);
    memcpy(text, ALL "Disallow: /a\n", 27);
    memcpy(text + WEFT_ROBOTS_BYTES_MAX, "Disallow: /b\n", 13);
    REQUIRE(weft_robots_parse(&robots, text, len, "weft") == 0);
    CHECK(!weft_robots_allow(robots, "/a"));
    CHECK(weft_robots_allow(robots, "/b") == 1);
    weft_robots_free(robots);
    free(text);
}

TEST(pauses_and_sitemaps_are_told)
{
    struct weft_robots *robots =
        parse("Sitemap: http://a/1.xml\nUser-agent: weft\nCrawl-delay: 2.5\n"
              "Disallow: /x\nsitemap: http://a/2.xml\n" ALL "Crawl-delay: 9\n");
    CHECK_EQUAL(weft_robots_delay_ns(robots), 2500 * WEFT_MSEC);
    REQUIRE(weft_robots_sitemap(robots, 0) && weft_robots_sitemap(robots, 1));
    CHECK(strcmp(weft_robots_sitemap(robots, 0), "http://a/1.xml") == 0);
    CHECK(strcmp(weft_robots_sitemap(robots, 1), "http://a/2.xml") == 0);
    CHECK(!weft_robots_sitemap(robots, 2));
    weft_robots_free(robots);
    robots = parse(ALL "Crawl-delay: soon\n");
    CHECK_EQUAL(weft_robots_delay_ns(robots), -1);
    weft_robots_free(robots);
    robots = parse(ALL "Crawl-delay: 99999999999999999999\n");
    CHECK_EQUAL(weft_robots_delay_ns(robots), 86400 * WEFT_SEC);
    weft_robots_free(robots);
    CHECK_EQUAL(weft_robots_delay_ns(NULL), -1);
}

static int tag_of(const char *field)
{
    struct weft_robots_tag tag = {0};
    weft_robots_tag_field(&tag, field, "weft");
    return tag.noindex * 1 + tag.nofollow * 2;
}

TEST(tags_of_pages_are_for_all_or_for_one)
{
    CHECK_EQUAL(tag_of("noindex"), 1);
    CHECK_EQUAL(tag_of(" NoFollow , archive"), 2);
    CHECK_EQUAL(tag_of("none"), 3);
    CHECK_EQUAL(tag_of("all"), 0);
    CHECK_EQUAL(tag_of("weft: noindex"), 1);
    CHECK_EQUAL(tag_of("Weft : nofollow"), 2);
    CHECK_EQUAL(tag_of("otherbot: noindex"), 0);
    CHECK_EQUAL(tag_of("unavailable_after: 25 Jun 2030 15:00:00 GMT"), 0);
    CHECK_EQUAL(tag_of("max-snippet: 5, noindex"), 1);
    CHECK_EQUAL(tag_of("noindex, max-snippet:5"), 1);
    CHECK_EQUAL(tag_of(""), 0);
}
