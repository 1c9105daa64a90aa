/* SPDX-License-Identifier: MIT
 * url.h - one spelling for each URL: what a crawler has seen it knows by its text.
 *
 * A reference is resolved against a base and written in the normal form of RFC 3986, 6.2: scheme
 * and host in lower case, names as IDNA has them, no default port, no dot segments, escapes in
 * capitals and only where they are needed, at least the path "/", no fragment. As in browsers,
 * blanks around it and line ends within do not count, and a backslash in front of the query is a
 * slash.
 *
 * What readers disagree on is refused: user names, numbers as hosts that are no dotted quad,
 * "http:" without slashes. So what was checked is what is connected to.
 *
 * Pure: no clock, no I/O. libidn2 takes more stack than a fiber has: call it on a thread. */
#ifndef WEFT_CRAWL_URL_H
#define WEFT_CRAWL_URL_H

#include <base/buffer.h>

#define WEFT_URL_MAX         ((size_t)8192) /* bytes in normal form, whatever the rules say */
#define WEFT_URL_DEFAULT_MAX 2048

/* All zero: the defaults. */
struct weft_url_rules {
    size_t bytes_max;      /* of the normal form; 0 means 2,048; at most WEFT_URL_MAX */
    unsigned segments_max; /* of the path; 0 means 64 */
    bool sorts_query;      /* "?b&a" is "?a&b" */
    /* Parameters that are left out, of the query and behind ";" in the path, by their names in any
     * case; "utm_*" stands for all that begin so. */
    const char *const *drops;
    size_t drops_count;
};

/* Resolve a reference and write its normal form, with a NUL behind it that does not count.
 *
 * out      initialised; what it has is replaced; undefined after a failure
 * base     a normal form; NULL: there is none, the text must be absolute
 * text     UTF-8 as a rule; other bytes are escaped as they are
 * Returns  0; -EINVAL (no URL, or one that readers disagree on); -EPROTONOSUPPORT (neither http nor
 *          https); -EMSGSIZE (longer than the rules allow); -ENOMEM */
int weft_url_resolve(struct weft_buffer *out, const char *base, const char *text, size_t len,
                     const struct weft_url_rules *rules);

/* The parts of a normal form. */
struct weft_url {
    const char *text;
    size_t len;
    size_t origin_len; /* "https://example.org:8443" */
    const char *host;  /* an IPv6 address in brackets */
    size_t host_len;
    uint16_t port;
    bool https;
    const char *path; /* with the query, to the end */
    size_t path_len;  /* without the query */
};

/* Take a normal form apart; *ret_url points into it. */
void weft_url_read(struct weft_url *ret_url, const char *text);

/* ---- its parts (url_host.c, url_query.c) ------------------------------------------------- */

/* Append the normal form of a host. Returns 0, -EINVAL, -ENOMEM */
int weft_url_host(struct weft_buffer *out, const char *text, size_t len);

/* Leave out what the rules drop, of "name=value" parted by '&'; in place.
 * Returns  the new length */
size_t weft_url_drop_parameters(char *query, size_t len, const struct weft_url_rules *rules);

/* The same for ";name=value" in the segments of a path. */
size_t weft_url_drop_path_parameters(char *path, size_t len, const struct weft_url_rules *rules);

/* Put parameters into the order of their bytes, in place. Returns 0, -ENOMEM */
int weft_url_sort_parameters(char *query, size_t len);

#endif
