/* SPDX-License-Identifier: MIT
 * sitemap_fetch.c - a sitemap from the network into the frontier: each piece that comes is read by
 * a thread, while the server is held back. */
#include <crawl/crawl_internal.h>
#include <crawl/sitemap.h>

#include <weft/offload.h>

#include <errno.h>

struct feeding {
    struct crawl_page *page;
    struct weft_sitemap *sitemap;
    const void *bytes;
    size_t len;
    size_t read; /* off the network */
    int broken;
};

/* On a thread. */
static int feed(void *arg)
{
    struct feeding *feeding = arg;
    struct crawl_page *page = feeding->page;
    const struct weft_claimed *claimed = page->claimed;
    enum weft_sitemap_kind kind;
    const char *url;
    size_t len;
    feeding->broken = weft_sitemap_feed(feeding->sitemap, feeding->bytes, feeding->len);
    while (weft_sitemap_take(feeding->sitemap, &kind, &url, &len) == 1) {
        bool index = kind == WEFT_SITEMAP_INDEX;
        const struct weft_entry how = {
            .kind = WEFT_LINK_SITEMAP,
            .use = index ? WEFT_USE_SITEMAP : WEFT_USE_PAGE,
            .depth = claimed->depth + 1,
            .hops = index ? claimed->hops + 1 : 0,
        };
        int err = weft_crawl_page_enter(page, claimed->url, url, len, &how);
        if (err)
            return err;
    }
    return feeding->broken == -ENOMEM ? -ENOMEM : 0;
}

/* A sitemap that is broken is read to its end all the same: the status is not known yet. */
static int on_body(void *context, const void *bytes, size_t len)
{
    struct feeding *feeding = context;
    feeding->read += len;
    if (feeding->read > WEFT_SITEMAP_BYTES_MAX)
        return -EMSGSIZE;
    if (feeding->broken || len == 0)
        return 0;
    feeding->bytes = bytes;
    feeding->len = len;
    return weft_offload(feed, feeding);
}

int weft_crawl_sitemap(struct crawl_page *page, int *ret_broken)
{
    struct feeding feeding = {.page = page};
    struct crawl *crawl = page->crawl;
    *ret_broken = 0;
    int err = weft_sitemap_open(&feeding.sitemap);
    if (err)
        return err;
    err = weft_crawl_fetch(crawl, crawl->client, page->claimed->url, &page->answer, 1, on_body,
                           &feeding);
    if (err == 0 && page->answer.status / 100 == 2) {
        if (feeding.broken == 0) {
            feeding.len = 0;
            err = weft_offload(feed, &feeding);
        }
        *ret_broken = feeding.broken;
    } else {
        page->entries_count = 0; /* a page that says what is wrong is no sitemap */
    }
    page->row.body_bytes = feeding.read;
    weft_sitemap_close(feeding.sitemap);
    return err;
}
