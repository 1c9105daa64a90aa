/* SPDX-License-Identifier: MIT
 * links.c - what a page of HTML leads to. */
#include "test.h"

#include <crawl/links.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char seen[8192]; /* "a /x\n" for each link, "a! /x\n" where it is not to be followed */
static struct weft_robots_tag tag;
static bool cut;

static int find(const char *html, size_t len, const struct weft_links_options *options)
{
    struct weft_links links;
    size_t used = 0;
    int err = weft_links_find(&links, html, len, options);
    seen[0] = '\0';
    if (links.has_base)
        used +=
            (size_t)snprintf(seen, sizeof seen, "base %s\n", weft_link_text(&links, &links.base));
    for (size_t i = 0; i < links.count && used < sizeof seen; i++)
        used += (size_t)snprintf(
            seen + used, sizeof seen - used, "%s%s %s\n", weft_link_kind_name(links.items[i].kind),
            links.items[i].nofollow ? "!" : "", weft_link_text(&links, &links.items[i]));
    tag = links.tag;
    cut = links.cut;
    weft_links_release(&links);
    return err;
}

static void leads_with(const char *html, const char *expected,
                       const struct weft_links_options *options)
{
    CHECK_EQUAL(find(html, strlen(html), options), 0);
    CHECK(strcmp(seen, expected) == 0);
    if (strcmp(seen, expected) != 0)
        test_note("got '%s'", seen);
}

static void leads(const char *html, const char *expected)
{
    leads_with(html, expected, &(struct weft_links_options){.agent = "weft"});
}

TEST(elements_that_lead_somewhere_are_found)
{
    leads("<a href=/1>1</a><A HREF='/2'>2</A><area href=\"/3\">", "a /1\na /2\na /3\n");
    leads("<link rel=canonical href=/c><link rel='Alternate' href=/f><link rel=next href=/n>"
          "<link rel=prev href=/p><link rel=preload href=/x>",
          "canonical /c\nalternate /f\nnext /n\nnext /p\n");
    leads("<iframe src=/i></iframe><frameset><frame src=/f></frameset>", "frame /i\nframe /f\n");
    leads("<a name=x>no</a><a href>empty</a><p href=/p>", "a \n");
}

TEST(entities_and_blanks_in_references_are_read)
{
    leads("<a href=\"/?a=1&amp;b=2&#x26;c=3&copy=4\">x</a>", "a /?a=1&b=2&c=3&copy=4\n");
    leads("<a href=\" /x\n/y \">x</a>", "a  /x\n/y \n");
}

TEST(base_is_the_first_one)
{
    leads("<base href=/b/><base href=/c/><a href=x>x</a>", "base /b/\na x\n");
    leads("<base target=_top><a href=x>x</a>", "a x\n");
}

TEST(nofollow_is_noted)
{
    leads("<a rel='noopener NoFollow' href=/1>1</a><a rel=nofollowing href=/2>2</a>",
          "a! /1\na /2\n");
}

TEST(refresh_is_read_as_browsers_do)
{
    leads("<meta http-equiv=Refresh content=\"5; url=/a\">", "refresh /a\n");
    leads("<meta http-equiv=refresh content=\"0;URL='/a b' x\">", "refresh /a b\n");
    leads("<meta http-equiv=refresh content=\"0, /a\">", "refresh /a\n");
    leads("<meta http-equiv=refresh content=30>", "");
    leads("<meta http-equiv=other content='0;url=/a'>", "");
}

TEST(meta_robots_are_noted)
{
    leads("<meta name=ROBOTS content='NoIndex,nofollow'>", "");
    CHECK(tag.noindex && tag.nofollow);
    leads("<meta name=weft content=nofollow><meta name=other content=noindex>", "");
    CHECK(!tag.noindex && tag.nofollow);
}

TEST(assets_are_found_when_they_are_wanted)
{
    static const char html[] =
        "<img src=1.png srcset='2.png 1x, 3.png 2x,4.png'><script src=s.js></script>"
        "<link rel='stylesheet preload' href=s.css><link rel='shortcut icon' href=i.ico>"
        "<video src=v.mp4></video><source srcset=5.png>";
    leads(html, "");
    leads_with(html,
               "image 1.png\nimage 2.png\nimage 3.png\nimage 4.png\nscript s.js\nstyle s.css\n"
               "style i.ico\nmedia v.mp4\nimage 5.png\n",
               &(struct weft_links_options){.assets = true});
}

TEST(what_only_looks_like_a_link_is_none)
{
    leads("<!-- <a href=/1> --><script>'<a href=/2>'</script><style><a href=/3></style>"
          "<a title='<a href=/4>' href=/5>x</a>",
          "a /5\n");
}

TEST(broken_html_is_read_as_well_as_it_goes)
{
    leads("<a href=/1<a href=/2><div><a href=/3></p></span>", "a /1<a\na /3\n");
    leads("</></><<<a href=/1>", "a /1\n");
    leads("<html><html><body><body><a href=/1></html><a href=/2>", "a /1\na /2\n");
}

TEST(charsets_are_those_of_the_server_the_bytes_or_the_page)
{
    leads("<a href=\"/\xc3\xbc\">", "a /\xc3\xbc\n"); /* nobody says it: UTF-8 by its bytes */
    leads("<meta charset=iso-8859-1><a href=\"/\xfc\">", "a /\xc3\xbc\n");
    leads("<meta http-equiv=content-type content='text/html; charset=iso-8859-1'>"
          "<a href=\"/\xfc\">",
          "a /\xc3\xbc\n");
    leads_with("<a href=\"/\xfc\">", "a /\xc3\xbc\n",
               &(struct weft_links_options){.charset = "ISO-8859-1"});
    leads_with("<a href=\"/\xc3\xbc\">", "a /\xc3\xbc\n",
               &(struct weft_links_options){.charset = "no-such-thing"});
}

TEST(there_are_no_more_links_than_wanted)
{
    size_t len = 0, room = 100000;
    char *html = malloc(room);
    REQUIRE(html);
    for (unsigned i = 0; i < 1000; i++)
        len += (size_t)snprintf(html + len, room - len, "<a href=%u>", i);
    CHECK_EQUAL(find(html, len, &(struct weft_links_options){.links_max = 3}), 0);
    CHECK(strcmp(seen, "a 0\na 1\na 2\n") == 0);
    CHECK(cut);
    free(html);
}

TEST(deep_and_long_pages_are_read)
{
    size_t len = 0, room = (size_t)8 << 20;
    char *html = malloc(room);
    REQUIRE(html);
    for (unsigned i = 0; i < 100000; i++) {
        memcpy(html + len, "<div><b><i>", 11);
        len += 11;
    }
    len += (size_t)snprintf(html + len, room - len, "<a href=/end>");
    CHECK_EQUAL(find(html, len, &(struct weft_links_options){0}), 0);
    CHECK(strcmp(seen, "a /end\n") == 0);
    memset(html, 'x', room);
    memcpy(html, "<a href=/1><a href='", 20);
    CHECK_EQUAL(find(html, room, &(struct weft_links_options){0}), 0);
    free(html);
    CHECK_EQUAL(find("", 0, &(struct weft_links_options){0}), 0);
}

TEST(content_types_have_charsets)
{
    char charset[40];
    weft_content_charset("text/html; boundary=x; Charset=\"utf-8\"", charset);
    CHECK(strcmp(charset, "utf-8") == 0);
    weft_content_charset("text/html;charset=latin1;x", charset);
    CHECK(strcmp(charset, "latin1") == 0);
    weft_content_charset("text/html", charset);
    CHECK(strcmp(charset, "") == 0);
    weft_content_charset(NULL, charset);
    CHECK(strcmp(charset, "") == 0);
    CHECK(weft_content_is("Text/HTML; charset=x", "text/html"));
    CHECK(weft_content_is("text/plain", "text/"));
    CHECK(!weft_content_is("text/htmlx", "text/html"));
    CHECK(!weft_content_is(NULL, "text/html"));
}
