/* SPDX-License-Identifier: MIT
 * mock_pages.c - what a crawler meets: robots.txt, sitemaps, the pages of mock_site.h. */
#include <lab/mock_answers.h>

#include <weft/runtime.h>

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define SITEMAP_PAGES 50000u /* in one file: what the protocol allows */
#define PAGES_AT_ONCE 1024u  /* before others get their turn */

#define ROBOTS_MOVED  "/robots-moved.txt"

/* ---- robots.txt -------------------------------------------------------------------------- */

void weft_mock_robots_moved(struct weft_mock_request *request)
{
    const char *robots = request->mock->robots;
    char text[WEFT_MOCK_HOST_MAX + 128];
    if (!robots) {
        (void)snprintf(text, sizeof text,
                       "User-agent: *\nDisallow: /site/private/\nDisallow: /__\n\n"
                       "Sitemap: http://%s/sitemap.xml\n",
                       weft_mock_host(request));
        robots = text;
    }
    weft_mock_reply(request, 200, "text/plain", robots, strlen(robots));
}

void weft_mock_robots(struct weft_mock_request *request)
{
    int status = request->mock->robots_status;
    if (status == 200) {
        weft_mock_robots_moved(request);
    } else {
        if (status >= 300 && status < 400)
            weft_http_reply_header(request->exchange, "Location", ROBOTS_MOVED);
        weft_mock_reply_json(request, status, "{\"status\": %d}", status);
    }
}

/* ---- sitemaps ---------------------------------------------------------------------------- */

static const char sitemap_head[] = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<%s "
                                   "xmlns=\"http://www.sitemaps.org/schemas/sitemap/0.9\">\n";

static void send_sitemap(struct weft_mock_request *request, uint64_t first, uint64_t end)
{
    const char *host = weft_mock_host(request);
    struct weft_mock_text text;
    weft_mock_text_begin(&text, request, "application/xml");
    weft_buffer_append_format(&text.bytes, sitemap_head, "urlset");
    for (uint64_t page = first; page < end && weft_mock_text_flush(&text) == 0; page++)
        weft_buffer_append_format(&text.bytes, "<url><loc>http://%s/site/%" PRIu64 "</loc></url>\n",
                                  host, page);
    weft_buffer_append_string(&text.bytes, "</urlset>\n");
    weft_mock_text_end(&text);
}

static void send_index(struct weft_mock_request *request, uint64_t parts)
{
    struct weft_mock_text text;
    weft_mock_text_begin(&text, request, "application/xml");
    weft_buffer_append_format(&text.bytes, sitemap_head, "sitemapindex");
    for (uint64_t part = 0; part < parts && weft_mock_text_flush(&text) == 0; part++)
        weft_buffer_append_format(&text.bytes,
                                  "<sitemap><loc>http://%s/sitemap/%" PRIu64 "</loc></sitemap>\n",
                                  weft_mock_host(request), part);
    weft_buffer_append_string(&text.bytes, "</sitemapindex>\n");
    weft_mock_text_end(&text);
}

static uint64_t sitemap_parts(const struct weft_mock *mock)
{
    return (mock->site.pages + SITEMAP_PAGES - 1) / SITEMAP_PAGES;
}

void weft_mock_sitemap(struct weft_mock_request *request)
{
    uint64_t parts = sitemap_parts(request->mock);
    if (parts > 1)
        send_index(request, parts);
    else
        send_sitemap(request, 0, request->mock->site.pages);
}

void weft_mock_sitemap_part(struct weft_mock_request *request)
{
    uint64_t part = 0, pages = request->mock->site.pages;
    if (!weft_mock_param_count(request, "part", 0, sitemap_parts(request->mock) - 1, &part))
        return;
    uint64_t first = part * SITEMAP_PAGES;
    send_sitemap(request, first, pages - first < SITEMAP_PAGES ? pages : first + SITEMAP_PAGES);
}

/* ---- pages ------------------------------------------------------------------------------- */

/* The same address in all the ways in which pages write them; "@" is the host. */
static void append_page_address(struct weft_buffer *out, const char *host,
                                const struct weft_mock_link *link)
{
    static const char *const forms[WEFT_MOCK_LINK_FORMS] = {
        "/site/",         "",          "./",
        "../site/",       "/site/",    "/site/./",
        "/site/x/../",    "//@/site/", "http://@/site/",
        "HTTP://@/site/",
    };
    const char *form = forms[link->form], *at = strchr(form, '@');
    weft_buffer_append(out, form, at ? (size_t)(at - form) : strlen(form));
    if (at) {
        weft_buffer_append_string(out, host);
        weft_buffer_append_string(out, at + 1);
    }
    weft_buffer_append_int(out, (int64_t)link->page);
    if (link->form == 4)
        weft_buffer_append_string(out, "#top");
}

static void append_link(struct weft_buffer *out, const char *host,
                        const struct weft_mock_link *link)
{
    static const char *const folders[] = {
        [WEFT_MOCK_LINK_MOVED] = "moved",
        [WEFT_MOCK_LINK_PRIVATE] = "private",
        [WEFT_MOCK_LINK_BROKEN] = "missing",
    };
    weft_buffer_append_string(out, "<li><a href=\"");
    if (link->kind == WEFT_MOCK_LINK_PAGE)
        append_page_address(out, host, link);
    else
        weft_buffer_append_format(out, "/site/%s/%" PRIu64, folders[link->kind], link->page);
    weft_buffer_append_format(out, "\">page %" PRIu64 "</a></li>\n", link->page);
}

static bool take_page(struct weft_mock_request *request, uint64_t *ret_page)
{
    const char *text = weft_http_param(request->exchange, "page");
    if (text[strspn(text, "0123456789")]) {
        weft_mock_reply_error(request, 404, "there is no such page");
        return false;
    }
    return weft_mock_param_count(request, "page", 0, UINT32_MAX, ret_page);
}

/* A page that there is; any other is a 404, as on other sites. */
static bool find_page(struct weft_mock_request *request, uint64_t *ret_page)
{
    if (!take_page(request, ret_page))
        return false;
    if (*ret_page < request->mock->site.pages)
        return true;
    weft_mock_reply_error(request, 404, "there is no such page");
    return false;
}

void weft_mock_page(struct weft_mock_request *request)
{
    const char *host = weft_mock_host(request);
    struct weft_mock_links links;
    struct weft_mock_link link;
    struct weft_mock_text text;
    uint64_t page = 0;
    if (!find_page(request, &page))
        return;
    weft_mock_text_begin(&text, request, "text/html; charset=utf-8");
    weft_buffer_append_format(&text.bytes,
                              "<!DOCTYPE html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\">"
                              "<title>Page %" PRIu64 "</title></head>\n<body>\n<h1>Page %" PRIu64
                              "</h1>\n<ul>\n",
                              page, page);
    weft_mock_links_begin(&links, &request->mock->site, page);
    while (weft_mock_text_flush(&text) == 0 && weft_mock_links_next(&links, &link))
        append_link(&text.bytes, host, &link);
    weft_buffer_append_string(&text.bytes, "</ul>\n</body>\n</html>\n");
    weft_mock_text_end(&text);
}

void weft_mock_page_moved(struct weft_mock_request *request)
{
    uint64_t page = 0;
    char location[48];
    if (!find_page(request, &page))
        return;
    (void)snprintf(location, sizeof location, "/site/%" PRIu64, page);
    weft_http_reply_header(request->exchange, "Location", location);
    weft_mock_reply_json(request, 301, "{\"status\": 301}");
}

void weft_mock_page_private(struct weft_mock_request *request)
{
    static const char page[] = "<!DOCTYPE html>\n<html lang=\"en\"><head><title>Private</title>"
                               "</head><body>Crawlers were asked to stay away.</body></html>\n";
    weft_mock_reply(request, 200, "text/html; charset=utf-8", page, sizeof page - 1);
}

void weft_mock_page_missing(struct weft_mock_request *request)
{
    weft_mock_reply_error(request, 404, "there is no such page");
}

/* ---- what there is to be found ----------------------------------------------------------- */

struct facts {
    uint64_t links, kinds[WEFT_MOCK_LINK_BROKEN + 1];
};

static void count_links(struct facts *facts, const struct weft_mock_site *site, uint64_t page)
{
    struct weft_mock_links links;
    struct weft_mock_link link;
    weft_mock_links_begin(&links, site, page);
    while (weft_mock_links_next(&links, &link)) {
        facts->links++;
        facts->kinds[link.kind]++;
    }
}

/* Each page has one broken and one private link at most, to an address of its own. */
void weft_mock_site_facts(struct weft_mock_request *request)
{
    const struct weft_mock_site *site = &request->mock->site;
    struct facts facts = {0};
    struct weft_mock_text text;
    for (uint64_t page = 0; page < site->pages; page++) {
        count_links(&facts, site, page);
        if (page % PAGES_AT_ONCE == PAGES_AT_ONCE - 1 && weft_yield() < 0)
            return;
    }
    weft_mock_text_begin(&text, request, "application/json");
    weft_buffer_append_format(
        &text.bytes,
        "{\"pages\": %" PRIu64 ", \"depth\": %u, \"links\": %" PRIu64 ", \"moved\": %" PRIu64
        ", \"private\": %" PRIu64 ", \"broken\": %" PRIu64 ", \"levels\": [",
        site->pages, site->levels - 1, facts.links, facts.kinds[WEFT_MOCK_LINK_MOVED],
        facts.kinds[WEFT_MOCK_LINK_PRIVATE], facts.kinds[WEFT_MOCK_LINK_BROKEN]);
    for (unsigned i = 0; i < site->levels; i++)
        weft_buffer_append_format(&text.bytes, i ? ", %" PRIu64 : "%" PRIu64,
                                  site->ends[i] - (i ? site->ends[i - 1] : 0));
    weft_buffer_append_string(&text.bytes, "]}");
    weft_mock_text_end(&text);
}
