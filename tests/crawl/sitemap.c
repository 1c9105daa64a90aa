/* SPDX-License-Identifier: MIT
 * sitemap.c - sitemaps in their forms, whole and in pieces, and what they may not do. */
#include "test.h"

#include <crawl/sitemap.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#define ZLIB_CONST
#include <zlib.h>

static char seen[4096]; /* "p http://a/\n" for each entry */
static unsigned entries;

static int read_pieces(const void *data, size_t len, size_t piece_max)
{
    struct weft_sitemap *sitemap;
    const char *at = data;
    enum weft_sitemap_kind kind;
    const char *url;
    size_t url_len, used = 0;
    int err = 0;
    REQUIRE(weft_sitemap_open(&sitemap) == 0);
    seen[0] = '\0';
    entries = 0;
    for (bool more = true; more && err == 0;) {
        size_t piece = len < piece_max ? len : piece_max;
        more = piece > 0;
        err = weft_sitemap_feed(sitemap, at, piece);
        at += piece;
        len -= piece;
        while (weft_sitemap_take(sitemap, &kind, &url, &url_len)) {
            entries++;
            CHECK_EQUAL(strlen(url), url_len);
            if (used + url_len + 4 < sizeof seen)
                used += (size_t)snprintf(seen + used, sizeof seen - used, "%c %s\n",
                                         kind == WEFT_SITEMAP_INDEX ? 's' : 'p', url);
        }
    }
    weft_sitemap_close(sitemap);
    return err;
}

static void says(const void *data, size_t len, int expected_err, const char *expected)
{
    static const size_t pieces[] = {SIZE_MAX, 1, 7};
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        int err = read_pieces(data, len, pieces[i]);
        CHECK_EQUAL(err, expected_err);
        CHECK(strcmp(seen, expected) == 0);
        if (strcmp(seen, expected) != 0)
            test_note("got '%s'", seen);
    }
}

static void says_text(const char *text, int expected_err, const char *expected)
{
    says(text, strlen(text), expected_err, expected);
}

static const char urlset[] =
    "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
    "<urlset xmlns=\"http://www.sitemaps.org/schemas/sitemap/0.9\" xmlns:i=\"urn:i\">\n"
    "<url><loc>\n http://a/?b=1&amp;c=2 </loc><lastmod>2026-01-01</lastmod>"
    "<i:image><i:loc>http://a/i.png</i:loc></i:image></url>\n"
    "<url><priority>1</priority><loc><![CDATA[http://a/<2>]]></loc></url><url/></urlset>";

TEST(a_urlset_names_pages)
{
    says_text(urlset, 0, "p http://a/?b=1&c=2\np http://a/<2>\n");
    says_text("\xef\xbb\xbf\n<urlset><url><loc>http://a/</loc></url></urlset>\n", 0,
              "p http://a/\n");
}

TEST(an_index_names_sitemaps)
{
    says_text("<sitemapindex><sitemap><loc>http://a/1.xml.gz</loc></sitemap>"
              "<url><loc>http://a/no</loc></url></sitemapindex>",
              0, "s http://a/1.xml.gz\n");
}

TEST(lines_of_text_name_pages)
{
    says_text("\xef\xbb\xbfhttp://a/1\r\n\n  http://a/2  \nhttp://a/3", 0,
              "p http://a/1\np http://a/2\np http://a/3\n");
}

static size_t compress_it(unsigned char *to, size_t room, const char *text, size_t len)
{
    z_stream stream = {0};
    REQUIRE(deflateInit2(&stream, 6, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY) == Z_OK);
    stream.next_in = (z_const Bytef *)text;
    stream.avail_in = (uInt)len;
    stream.next_out = to;
    stream.avail_out = (uInt)room;
    REQUIRE(deflate(&stream, Z_FINISH) == Z_STREAM_END);
    size_t used = room - stream.avail_out;
    (void)deflateEnd(&stream);
    return used;
}

TEST(gzip_is_read_in_any_pieces)
{
    unsigned char packed[4096];
    size_t len = compress_it(packed, sizeof packed, urlset, 100);
    len += compress_it(packed + len, sizeof packed - len, urlset + 100, sizeof urlset - 1 - 100);
    says(packed, len, 0, "p http://a/?b=1&c=2\np http://a/<2>\n");
    CHECK_EQUAL(read_pieces(packed, len - 9, SIZE_MAX), -EBADMSG);
    packed[len / 2] ^= 0x55;
    CHECK(read_pieces(packed, len, SIZE_MAX) < 0);
}

TEST(utf_16_is_read)
{
    static const char text[] = "<urlset><url><loc>http://a/</loc></url></urlset>";
    unsigned char wide[2 + 2 * sizeof text] = {0xff, 0xfe};
    for (size_t i = 0; i < sizeof text - 1; i++)
        wide[2 + 2 * i] = (unsigned char)text[i];
    says(wide, 2 * sizeof text, 0, "p http://a/\n");
}

TEST(entities_and_document_types_are_refused)
{
    says_text("<!DOCTYPE x [<!ENTITY a \"aaaaaaaaaa\"><!ENTITY b \"&a;&a;&a;&a;&a;&a;&a;&a;\">"
              "<!ENTITY c \"&b;&b;&b;&b;&b;&b;&b;&b;\">]>"
              "<urlset><url><loc>http://a/&c;</loc></url></urlset>",
              -EBADMSG, "");
    says_text("<!DOCTYPE urlset SYSTEM \"file:///etc/passwd\"><urlset/>", -EBADMSG, "");
}

TEST(what_is_broken_counts_up_to_there)
{
    CHECK_EQUAL(read_pieces("<urlset><url><loc>http://a/</loc></url><url><loc>http://b</url>", 64,
                            SIZE_MAX),
                -EBADMSG);
    CHECK(strcmp(seen, "p http://a/\n") == 0);
    says_text("", -EBADMSG, "");
    says_text(" \n", -EBADMSG, "");
    says_text("<html><body><a href='x'></body></html>", -EBADMSG, "");
    CHECK_EQUAL(read_pieces("<urlset><url><loc>http://a/</loc></url>", 39, SIZE_MAX), -EBADMSG);
}

TEST(there_are_at_most_50000_entries)
{
    size_t len = 0, room = (size_t)4 << 20;
    char *text = malloc(room);
    REQUIRE(text);
    for (unsigned i = 0; i < WEFT_SITEMAP_ENTRIES_MAX + 5; i++)
        len += (size_t)snprintf(text + len, room - len, "http://a/%u\n", i);
    CHECK_EQUAL(read_pieces(text, len, 4096), -EMSGSIZE);
    CHECK_EQUAL(entries, WEFT_SITEMAP_ENTRIES_MAX);
    free(text);
}

TEST(a_bomb_of_gzip_ends_at_50_mib)
{
    size_t len = (size_t)60 << 20;
    char *text = malloc(len);
    unsigned char *packed = malloc((size_t)1 << 20);
    REQUIRE(text && packed);
    memset(text, ' ', len);
    memcpy(text, "<urlset><url><loc>http://a/</loc></url>", 39);
    size_t packed_len = compress_it(packed, (size_t)1 << 20, text, len);
    CHECK_EQUAL(read_pieces(packed, packed_len, SIZE_MAX), -EMSGSIZE);
    CHECK_EQUAL(entries, 1);
    free(packed);
    free(text);
}

TEST(a_url_of_absurd_length_is_passed_over)
{
    size_t len = 200000;
    char *text = malloc(len);
    REQUIRE(text);
    memset(text, 'x', len);
    memcpy(text, "http://a/1\nhttp://a/", 20);
    memcpy(text + len - 12, "\nhttp://a/2\n", 12);
    CHECK_EQUAL(read_pieces(text, len, 1000), 0);
    CHECK(strcmp(seen, "p http://a/1\np http://a/2\n") == 0);
    free(text);
}
