/* SPDX-License-Identifier: MIT
 * load_url.h - take an http URL apart, and say in words what is wrong with one. */
#ifndef WEFT_LAB_LOAD_URL_H
#define WEFT_LAB_LOAD_URL_H

#include <stddef.h>
#include <stdint.h>

#define WEFT_LOAD_HOST_MAX 253 /* RFC 1035 */

struct weft_load_url {
    char host[WEFT_LOAD_HOST_MAX + 1]; /* a name or a number, IPv6 without brackets */
    uint16_t port;
    const char *authority; /* "host:port" as it stood in the text; not NUL-terminated */
    size_t authority_len;
    const char *target; /* path and query without fragment, in the text; empty means "/" */
    size_t target_len;
};

/* Parse "http://host[:port][/path][?query][#fragment]". Pure.
 *
 * ret_url     points into text
 * ret_reason  set on failure: what is wrong, a part of a sentence, static
 * Returns     0, -EINVAL */
int weft_load_url_parse(struct weft_load_url *ret_url, const char *text, const char **ret_reason);

#endif
