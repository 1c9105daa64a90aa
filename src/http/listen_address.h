/* SPDX-License-Identifier: MIT
 * listen_address.h - where a service listens, as people write it. */
#ifndef WEFT_HTTP_LISTEN_ADDRESS_H
#define WEFT_HTTP_LISTEN_ADDRESS_H

#include <stdbool.h>
#include <stdint.h>

struct weft_listen_address {
    char host[64]; /* numeric, IPv6 without brackets */
    uint16_t port;
    bool loopback; /* only this machine reaches it */
};

#define WEFT_LISTEN_TEXT_MAX 96 /* room for any of them as text */

/* Read "127.0.0.1:8001", "[::1]:8001" or "localhost:8001", which is 127.0.0.1; port 0 is one too.
 * Returns 0; -EINVAL: *ret_address is as it was */
int weft_listen_address_parse(struct weft_listen_address *ret_address, const char *text);

/* Write it as a client says it, with the port that it has come to. */
void weft_listen_address_format(const struct weft_listen_address *address, uint16_t port,
                                char ret_text[WEFT_LISTEN_TEXT_MAX]);

#endif
