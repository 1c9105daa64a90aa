/* SPDX-License-Identifier: MIT
 * client_names.h - addresses of hosts, kept for a while, in libcurl's own writing.
 *
 * Addresses that could not be connected to are not used again, and asked for anew: an answer from
 * before the failure would be the same one. No clock, no I/O. */
#ifndef WEFT_HTTP_CLIENT_NAMES_H
#define WEFT_HTTP_CLIENT_NAMES_H

#include <base/list.h>

#include <stdbool.h>
#include <stdint.h>

#define WEFT_HTTP_NAMES_BUCKETS 256

struct weft_http_name;

struct weft_http_names {
    struct weft_http_name **buckets;
    struct weft_link by_use; /* the least recently used first */
    unsigned len, len_max;
    int64_t kept_ns;
    uint64_t secret[2];
};

/* Returns 0, -ENOMEM */
int weft_http_names_init(struct weft_http_names *names, unsigned len_max, int64_t kept_ns,
                         const uint64_t secret[2]);
void weft_http_names_deinit(struct weft_http_names *names); /* zeros are fine */

/* "address,[address]", NULL: not known. Valid until something else is called. */
const char *weft_http_names_find(struct weft_http_names *names, const char *host, int64_t now_ns);

/* Keep what an answer said. asked_at_ns: to the question of that time. Returns 0, -ENOMEM */
int weft_http_names_keep(struct weft_http_names *names, const char *host, const char *addresses,
                         int64_t asked_at_ns);

/* Its addresses are no good. */
void weft_http_names_fail(struct weft_http_names *names, const char *host, int64_t now_ns);

/* Answers to questions from before that time are too old. */
int64_t weft_http_names_since(struct weft_http_names *names, const char *host, int64_t now_ns);

#endif
