/* SPDX-License-Identifier: MIT
 * mock_site.h - which page of the mock's site links to which. Pure, and computed when asked for: a
 * site of ten million pages takes no memory.
 *
 * The pages are numbered level by level: a page n has fan_out children, from n x fan_out + 1 on.
 * Links across go to pages no deeper than one level below, so that no way to a page is shorter than
 * the one down the tree. */
#ifndef WEFT_LAB_MOCK_SITE_H
#define WEFT_LAB_MOCK_SITE_H

#include <base/random.h>
#include <weft/mock.h>

#include <stdbool.h>

#define WEFT_MOCK_SITE_LEVELS 32u

struct weft_mock_site {
    uint64_t seed;
    uint64_t pages;
    uint64_t fan_out;
    unsigned links;
    double broken;
    unsigned levels;                      /* at least 1: the root's */
    uint64_t ends[WEFT_MOCK_SITE_LEVELS]; /* the first page of the level below */
};

enum weft_mock_link_kind {
    WEFT_MOCK_LINK_PAGE,
    WEFT_MOCK_LINK_MOVED,   /* to where a redirect leads to the page */
    WEFT_MOCK_LINK_PRIVATE, /* robots.txt says to stay away */
    WEFT_MOCK_LINK_BROKEN,
};

struct weft_mock_link {
    enum weft_mock_link_kind kind;
    uint64_t page; /* that it leads to, or in a private or broken one that it is on */
    unsigned form; /* 0 to WEFT_MOCK_LINK_FORMS - 1: how it is written */
};

#define WEFT_MOCK_LINK_FORMS 10u

/* The links of one page, one after the other. */
struct weft_mock_links {
    const struct weft_mock_site *site;
    struct weft_random random;
    uint64_t page, child, children_end;
    uint64_t across_end; /* links across lead to pages below it */
    unsigned across;     /* that are still to come */
    unsigned last;       /* of those that stand behind all */
};

/* Returns NULL, or what is wrong with the options: static. */
const char *weft_mock_site_init(struct weft_mock_site *site,
                                const struct weft_mock_site_options *options, uint64_t seed);

/* How many links a page is away from page 0. */
unsigned weft_mock_site_depth(const struct weft_mock_site *site, uint64_t page);

void weft_mock_links_begin(struct weft_mock_links *links, const struct weft_mock_site *site,
                           uint64_t page);

/* Returns whether there is one more. */
bool weft_mock_links_next(struct weft_mock_links *links, struct weft_mock_link *ret_link);

#endif
