/* SPDX-License-Identifier: MIT
 * links.h - where a page of HTML leads to, as it says it: references that nobody has resolved yet.
 *
 * libxml2's HTML parser reads it, without a network and without making a tree. It takes more stack
 * than a fiber has: call it on a thread. */
#ifndef WEFT_CRAWL_LINKS_H
#define WEFT_CRAWL_LINKS_H

#include <base/buffer.h>
#include <crawl/robots_tag.h>

/* How one URL leads to another; numbers and order are those of the store. */
enum weft_link_kind {
    WEFT_LINK_NONE,
    WEFT_LINK_ANCHOR,    /* <a>, <area> */
    WEFT_LINK_CANONICAL, /* <link rel="canonical"> */
    WEFT_LINK_ALTERNATE, /* rel="alternate" */
    WEFT_LINK_SERIES,    /* rel="next", "prev" */
    WEFT_LINK_REFRESH,   /* <meta http-equiv="refresh"> */
    WEFT_LINK_FRAME,     /* <iframe>, <frame> */
    WEFT_LINK_REDIRECT,  /* a status and "Location" */
    WEFT_LINK_SITEMAP,   /* it stands in a sitemap, or names one */
    WEFT_LINK_IMAGE,     /* <img>, and what follows is no page either */
    WEFT_LINK_SCRIPT,
    WEFT_LINK_STYLE, /* rel="stylesheet", and icons */
    WEFT_LINK_MEDIA, /* <audio>, <video>, <source> */
    WEFT_LINK_KINDS,
};

/* "a", "canonical", ...; NULL: there is no such kind. */
const char *weft_link_kind_name(enum weft_link_kind kind);

/* Whether it is something that a page is made of, rather than a page. */
static inline bool weft_link_is_asset(enum weft_link_kind kind)
{
    return kind >= WEFT_LINK_IMAGE;
}

struct weft_link_found {
    enum weft_link_kind kind;
    bool nofollow; /* rel="nofollow" */
    uint32_t at, len;
};

/* All zero is empty. */
struct weft_links {
    struct weft_link_found *items;
    size_t count, capacity;
    struct weft_buffer text;     /* what items point to, in UTF-8 */
    bool has_base;               /* of <base href>, the first */
    struct weft_link_found base; /* kind and nofollow do not count */
    struct weft_robots_tag tag;  /* by its <meta> elements */
    bool cut;                    /* there were more than links_max */
};

struct weft_links_options {
    const char *charset; /* that the server has named; NULL: none */
    const char *agent;   /* <meta name="..."> for this crawler alone */
    size_t links_max;    /* 0 means 10,000 */
    bool assets;         /* images, scripts, style sheets as well */
};

/* Find the links of a page. Broken HTML is read as well as it goes.
 *
 * ret_links  to be released in every case
 * Returns    0; -EMSGSIZE (longer than 1 GiB); -ENOMEM */
int weft_links_find(struct weft_links *ret_links, const char *html, size_t len,
                    const struct weft_links_options *options);
void weft_links_release(struct weft_links *links);

static inline const char *weft_link_text(const struct weft_links *links,
                                         const struct weft_link_found *link)
{
    return links->text.data + link->at;
}

/* The "charset" of a content type, into ret; "" where there is none. */
void weft_content_charset(const char *content_type, char ret_charset[40]);

/* Whether a content type has that name, whatever its parameters; "text/" stands for all texts. */
bool weft_content_is(const char *content_type, const char *name);

#endif
