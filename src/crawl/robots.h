/* SPDX-License-Identifier: MIT
 * robots.h - robots.txt: what a site asks crawlers to leave alone. RFC 9309.
 *
 * Of the file only what concerns one crawler is kept: the rules of all groups that name its product
 * token, or else of those for "*". The longest rule that matches decides; of equally long ones that
 * which allows. Pure. */
#ifndef WEFT_CRAWL_ROBOTS_H
#define WEFT_CRAWL_ROBOTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WEFT_ROBOTS_BYTES_MAX    ((size_t)500 << 10) /* what is behind them is not read */
#define WEFT_ROBOTS_SITEMAPS_MAX 100u

struct weft_robots;

/* Read a file. Every text is one: lines that say nothing known are passed over.
 *
 * agent    the crawler's product token, like "weft": letters, '-' and '_'
 * Returns  0, -ENOMEM */
int weft_robots_parse(struct weft_robots **ret_robots, const char *text, size_t len,
                      const char *agent);
void weft_robots_free(struct weft_robots *robots); /* NULL is fine */

/* Whether a URL may be fetched.
 *
 * robots   NULL: there is no file, everything may be
 * path     path and query of a normal form (url.h). "/robots.txt" always may
 * Returns  1 or 0; -ENOMEM */
int weft_robots_allow(const struct weft_robots *robots, const char *path);

/* The pause between two requests that is asked for, -1: none is. Not part of the RFC. */
int64_t weft_robots_delay_ns(const struct weft_robots *robots);

/* The sitemaps it names, as they stand there, the first hundred. NULL behind the last. */
const char *weft_robots_sitemap(const struct weft_robots *robots, size_t index);

size_t weft_robots_rules(const struct weft_robots *robots);

/* ---- patterns (robots_match.c) ----------------------------------------------------------- */

/* Write the form in which paths and patterns are compared: escapes only of what needs them, in
 * capitals; what is not ASCII escaped; in the query "/" and ":" as themselves. '*' and '$' are
 * signs of a pattern, in a path they are escaped.
 *
 * to       3 * len + 1 bytes; a NUL is written behind
 * Returns  the length */
size_t weft_robots_normal(char *to, const char *text, size_t len, bool is_pattern);

/* Whether a pattern matches the beginning of a path, or all of it where it ends with '$'; '*'
 * stands for any characters. Both in that form. */
bool weft_robots_match(const char *pattern, size_t pattern_len, const char *path, size_t path_len);

#endif
