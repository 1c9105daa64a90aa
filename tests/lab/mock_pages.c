/* SPDX-License-Identifier: MIT
 * mock_pages.c - what a crawler meets: robots.txt, sitemaps, pages. */
#include "mock_fixture.h"
#include "test.h"

#include <lab/mock_site.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static unsigned count_text(const char *text, const char *part)
{
    const char *end = text + strlen(text); /* looked for once: texts may be long */
    unsigned count = 0;
    for (; (text = memmem(text, (size_t)(end - text), part, strlen(part))); text += strlen(part))
        count++;
    return count;
}

FIBER_TEST(robots_txt_says_what_it_is_told_to)
{
    struct mocked mocked;
    mocked_open(&mocked, (struct weft_mock_options){0});
    struct client_reply reply = mocked_get(&mocked, "/robots.txt");
    CHECK(reply_says(&reply, "Content-Type", "text/plain"));
    CHECK(body_has(&reply, "User-agent: *\nDisallow: /site/private/\n"));
    CHECK(body_has(&reply, "Sitemap: http://mock.test:80/sitemap.xml\n"));
    mocked_close(&mocked);
    mocked_open(&mocked, (struct weft_mock_options){.robots = "User-agent: weft\nDisallow: /\n"});
    reply = mocked_get(&mocked, "/robots.txt");
    CHECK(reply_body_is(&reply, "User-agent: weft\nDisallow: /\n"));
    mocked_close(&mocked);
    mocked_open(&mocked, (struct weft_mock_options){.robots_status = 503});
    CHECK_EQUAL(mocked_get(&mocked, "/robots.txt").status, 503);
    mocked_close(&mocked);
    mocked_open(&mocked, (struct weft_mock_options){.robots = "x", .robots_status = 301});
    reply = mocked_get(&mocked, "/robots.txt");
    CHECK_EQUAL(reply.status, 301);
    CHECK(reply_says(&reply, "Location", "/robots-moved.txt"));
    reply = mocked_get(&mocked, "/robots-moved.txt");
    CHECK(reply_body_is(&reply, "x"));
    mocked_close(&mocked);
}

FIBER_TEST(a_host_that_is_none_does_not_get_into_pages)
{
    struct mocked mocked;
    mocked_open(&mocked, (struct weft_mock_options){0});
    client_send(&mocked.client, "GET /robots.txt HTTP/1.1\r\nHost: a\"><b\r\n\r\n");
    struct client_reply reply = client_receive(&mocked.client);
    CHECK(reply.status == 400 || strstr(reply.body, "\"><b") == NULL);
    mocked_close(&mocked);
}

FIBER_TEST(the_sitemap_has_every_page_once)
{
    struct mocked mocked;
    mocked_open(&mocked, (struct weft_mock_options){.site = {.pages = 300}});
    struct client_reply reply = mocked_get(&mocked, "/sitemap.xml");
    CHECK(reply_says(&reply, "Content-Type", "application/xml"));
    CHECK_EQUAL(count_text(reply.body, "<url><loc>http://mock.test:80/site/"), 300);
    CHECK_EQUAL(count_text(reply.body, "/site/299</loc>"), 1);
    CHECK_EQUAL(mocked_get(&mocked, "/sitemap/1").status, 422);
    mocked_close(&mocked);
}

/* Chunked, because it is long. */
static unsigned count_in_chunks(struct mocked *mocked, const char *target, const char *part)
{
    char request[128];
    const char *text;
    size_t len;
    struct weft_buffer body;
    weft_buffer_init(&body, (size_t)64 << 20);
    (void)snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: test\r\n\r\n", target);
    client_send(&mocked->client, request);
    CHECK_EQUAL(client_receive_head(&mocked->client).status, 200);
    while (client_receive_chunk(&mocked->client, &text, &len) && len > 0)
        weft_buffer_append(&body, text, len);
    weft_buffer_append_char(&body, '\0');
    REQUIRE(body.err == 0);
    unsigned count = count_text(body.data, part);
    weft_buffer_deinit(&body);
    return count;
}

FIBER_TEST(a_large_site_has_an_index_of_sitemaps)
{
    struct mocked mocked;
    mocked_open(&mocked, (struct weft_mock_options){.site = {.pages = 100001}});
    struct client_reply reply = mocked_get(&mocked, "/sitemap.xml");
    CHECK_EQUAL(count_text(reply.body, "<sitemap><loc>"), 3);
    CHECK_EQUAL(count_in_chunks(&mocked, "/sitemap/1", "<url>"), 50000);
    reply = mocked_get(&mocked, "/sitemap/2");
    CHECK_EQUAL(count_text(reply.body, "<url>"), 1);
    CHECK_EQUAL(count_text(reply.body, "/site/100000<"), 1);
    mocked_close(&mocked);
}

FIBER_TEST(a_page_has_the_links_that_the_site_gives_it)
{
    struct mocked mocked;
    struct weft_mock_site site;
    const struct weft_mock_options options = {.seed = 5, .site = {.pages = 200, .broken = 0.5}};
    CHECK(weft_mock_site_init(&site, &options.site, 5) == NULL);
    mocked_open(&mocked, options);
    for (unsigned page = 0; page < 200; page++) {
        struct weft_mock_links links;
        struct weft_mock_link link;
        char target[32], text[32];
        (void)snprintf(target, sizeof target, "/site/%u", page);
        struct client_reply reply = mocked_get(&mocked, target);
        CHECK_EQUAL(reply.status, 200);
        CHECK(reply_says(&reply, "Content-Type", "text/html; charset=utf-8"));
        unsigned count = 0;
        weft_mock_links_begin(&links, &site, page);
        for (; weft_mock_links_next(&links, &link); count++) {
            (void)snprintf(text, sizeof text, ">page %u</a>", (unsigned)link.page);
            CHECK(strstr(reply.body, text) != NULL);
        }
        CHECK_EQUAL(count_text(reply.body, "<a href=\""), count);
    }
    mocked_close(&mocked);
}

FIBER_TEST(links_are_written_in_every_way_and_lead_to_pages)
{
    static const char *const forms[] = {
        "\"/site/",
        "\"./",
        "\"../site/",
        "#top\"",
        "\"/site/./",
        "\"/site/x/../",
        "\"//mock.test:80/site/",
        "\"http://mock.test:80/site/",
        "\"HTTP://mock.test:80/site/",
        "\"1",
    };
    struct mocked mocked;
    mocked_open(&mocked, (struct weft_mock_options){.site = {.pages = 200, .depth = 1}});
    struct client_reply reply = mocked_get(&mocked, "/site/0");
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        char form[64];
        (void)snprintf(form, sizeof form, "href=%s", forms[i]);
        if (strcmp(forms[i], "#top\"") == 0)
            (void)snprintf(form, sizeof form, "%s", forms[i]);
        CHECK(strstr(reply.body, form) != NULL);
    }
    mocked_close(&mocked);
}

FIBER_TEST(pages_that_moved_are_private_or_missing_answer_so)
{
    struct mocked mocked;
    mocked_open(&mocked, (struct weft_mock_options){.site = {.pages = 10}});
    struct client_reply reply = mocked_get(&mocked, "/site/moved/7");
    CHECK_EQUAL(reply.status, 301);
    CHECK(reply_says(&reply, "Location", "/site/7"));
    CHECK_EQUAL(mocked_get(&mocked, "/site/moved/10").status, 404);
    CHECK_EQUAL(mocked_get(&mocked, "/site/private/7").status, 200);
    CHECK_EQUAL(mocked_get(&mocked, "/site/missing/7").status, 404);
    CHECK_EQUAL(mocked_get(&mocked, "/site/9").status, 200);
    CHECK_EQUAL(mocked_get(&mocked, "/site/10").status, 404);
    CHECK_EQUAL(mocked_get(&mocked, "/site/abc").status, 404);
    CHECK_EQUAL(weft_mock_requests(mocked.mock, "/site/private/{page}"), 1);
    mocked_close(&mocked);
}

FIBER_TEST(the_facts_of_the_site_are_its_pages)
{
    struct mocked mocked;
    mocked_open(&mocked, (struct weft_mock_options){.site = {.pages = 1000, .broken = 1}});
    struct client_reply reply = mocked_get(&mocked, "/__site");
    CHECK(body_has(&reply, "{\"pages\": 1000, \"depth\": 4, \"links\": "));
    CHECK(body_has(&reply, "\"private\": 20, \"broken\": 1000, \"levels\": [1, 6, 36, 216, 741]}"));
    mocked_close(&mocked);
}

/* A page with more links than fit into one piece. */
FIBER_TEST(a_long_page_comes_in_chunks)
{
    struct mocked mocked;
    mocked_open(&mocked, (struct weft_mock_options){
                             .site = {.pages = 20001, .depth = 1, .links = 1, .broken = -1}});
    CHECK_EQUAL(count_in_chunks(&mocked, "/site/0", "<a href="), 20000 + 1 + 1);
    struct client_reply reply = mocked_ask(&mocked, "HEAD", "/site/0", NULL, NULL);
    CHECK_EQUAL(reply.status, 200);
    CHECK_EQUAL(mocked_get(&mocked, "/get").status, 200);
    mocked_close(&mocked);
}
