/* SPDX-License-Identifier: MIT
 * reach.h - which URLs belong to a crawl.
 *
 * Regular expressions take more stack than a fiber has: call weft_reach_of on a thread. */
#ifndef WEFT_CRAWL_REACH_H
#define WEFT_CRAWL_REACH_H

#include <crawl/url.h>
#include <weft/crawl.h>

#include <regex.h>

struct weft_reach {
    enum weft_crawl_scope scope;
    char **texts; /* of the seeds, in normal form */
    struct weft_url *seeds;
    size_t seeds_count;
    regex_t *includes, *excludes;
    size_t includes_count, excludes_count;
};

/* Prepare. seeds are normal forms and are copied.
 * Returns  0; -EINVAL (a pattern that is none, with a sentence in error), -ENOMEM. Deinit in every
 *          case */
int weft_reach_init(struct weft_reach *reach, const struct weft_crawl_options *options,
                    const char *const *seeds, size_t seeds_count, char *error, size_t error_bytes);
void weft_reach_deinit(struct weft_reach *reach);

/* Whether a URL, in normal form, is inside. Any thread. */
bool weft_reach_has(const struct weft_reach *reach, const char *url);

#endif
