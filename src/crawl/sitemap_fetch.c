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

static enum crawl_want want(void *context, const struct crawl_answer *answer)
{
    (void)context;
    return answer->status / 100 == 2 ? WANT_ALL : WANT_NOTHING;
}

/* What is broken is not read any further; that is no failure of the request. */
static int on_body(void *context, const void *bytes, size_t len)
{
    struct feeding *feeding = context;
    feeding->bytes = bytes;
    feeding->len = len;
    int err = len > 0 ? weft_offload(feed, feeding) : 0;
    return err ? err : feeding->broken;
}

int weft_crawl_sitemap(struct crawl_page *page, int *ret_broken)
{
    struct feeding feeding = {.page = page};
    struct crawl *crawl = page->crawl;
    *ret_broken = 0;
    int err = weft_sitemap_open(&feeding.sitemap);
    if (err)
        return err;
    const struct crawl_request request = {
        .client = crawl->client,
        .url = page->claimed->url,
        .want = want,
        .on_body = on_body,
        .context = &feeding,
    };
    err = weft_crawl_fetch(crawl, &request, &page->answer);
    if (err == 0 && page->answer.status / 100 == 2) {
        feeding.len = 0;
        err = weft_offload(feed, &feeding);
    }
    if (feeding.broken && err == feeding.broken)
        err = page->answer.err = 0;
    *ret_broken = feeding.broken;
    weft_sitemap_close(feeding.sitemap);
    return err;
}
