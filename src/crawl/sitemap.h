/* SPDX-License-Identifier: MIT
 * sitemap.h - lists of URLs that sites offer: XML (urlset, sitemapindex) or lines of text, either
 * of them also in gzip. Which it is shows in the first bytes. sitemaps.org.
 *
 * It comes in pieces, and none of it is kept but the entries that nobody has taken yet. XML is read
 * by libxml2 without a network; a document type, which is where entities would be defined, ends it.
 * libxml2 and zlib take more stack than a fiber has: call it on a thread. */
#ifndef WEFT_CRAWL_SITEMAP_H
#define WEFT_CRAWL_SITEMAP_H

#include <base/buffer.h>

#define WEFT_SITEMAP_ENTRIES_MAX 50000u
#define WEFT_SITEMAP_BYTES_MAX   ((size_t)50 << 20) /* when it is not compressed any more */

enum weft_sitemap_kind {
    WEFT_SITEMAP_PAGE,  /* the URL of a page */
    WEFT_SITEMAP_INDEX, /* the URL of another sitemap */
};

struct weft_sitemap;

/* Begin to read one. Returns 0, -ENOMEM */
int weft_sitemap_open(struct weft_sitemap **ret_sitemap);
void weft_sitemap_close(struct weft_sitemap *sitemap); /* NULL is fine */

/* Read more of it, and with len 0 its end.
 * Returns  0; -EBADMSG (neither XML nor text, broken, cut off; a document type); -EMSGSIZE (more
 *          than one may have); -ENOMEM. After an error nothing more is read; the entries that came
 *          before it count */
int weft_sitemap_feed(struct weft_sitemap *sitemap, const void *data, size_t len);

/* Take the next entry of those read so far. The text is good until the next call of any kind.
 * Returns  1, 0: there is none now */
int weft_sitemap_take(struct weft_sitemap *sitemap, enum weft_sitemap_kind *ret_kind,
                      const char **ret_url, size_t *ret_len);

#endif
