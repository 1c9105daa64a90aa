/* SPDX-License-Identifier: MIT
 * url.h - the parts of a URL that decide where a request goes. Strict: what readers of URLs
 * disagree about is refused, so that the host that was checked is the host that is asked. */
#ifndef WEFT_FETCH_URL_H
#define WEFT_FETCH_URL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WEFT_FETCH_HOST_MAX     255 /* bytes of a name or an address */
#define WEFT_FETCH_ORIGIN_BYTES 280 /* "https://", the host in brackets, ":65535", NUL */
#define WEFT_FETCH_URL_MAX      ((size_t)64 << 10)

struct weft_fetch_url {
    bool secure;     /* https */
    bool is_address; /* in brackets: IPv6 */
    bool has_user;   /* "user:password@" stands before the host */
    bool is_plain;   /* path and query can be sent as they are */
    uint16_t port;
    char host[WEFT_FETCH_HOST_MAX + 1]; /* in lower case, without brackets */
    /* Inside of the text: the authority without the user, and from the path on, without fragment.
     */
    const char *authority, *target;
    size_t authority_len, target_len;
    /* "http://name:80", the port always there: what hosts are kept by. */
    char origin[WEFT_FETCH_ORIGIN_BYTES];
    size_t origin_len;
};

/* Returns NULL, or what is wrong with it, a clause for people. */
const char *weft_fetch_url_parse(struct weft_fetch_url *ret_url, const char *text);

/* The URL that a Location leads to, on the heap. Returns 0, -EINVAL, -ENOMEM */
int weft_fetch_url_join(const char *base, const char *location, char **ret_url);

#endif
