/* SPDX-License-Identifier: MIT
 * robots_tag.h - what a page says of itself to crawlers: <meta name="robots">, X-Robots-Tag. Pure.
 */
#ifndef WEFT_CRAWL_ROBOTS_TAG_H
#define WEFT_CRAWL_ROBOTS_TAG_H

#include <stdbool.h>
#include <stddef.h>

struct weft_robots_tag {
    bool noindex;  /* it wants to be in no index */
    bool nofollow; /* its links are not to be followed */
};

/* Add what a list like "noindex, nofollow" says; "none" is both. Others are passed over. */
void weft_robots_tag_content(struct weft_robots_tag *tag, const char *text, size_t len);

/* Add what a header field says. One that begins with "name:" is for that crawler alone. */
void weft_robots_tag_field(struct weft_robots_tag *tag, const char *text, const char *agent);

#endif
