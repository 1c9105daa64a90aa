/* SPDX-License-Identifier: MIT
 * listen_address.c - see listen_address.h. */
#include <http/listen_address.h>

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static bool split(struct weft_listen_address *address, const char *text)
{
    const char *colon = strrchr(text, ':');
    if (!colon || colon[1] < '0' || colon[1] > '9')
        return false;
    char *end;
    unsigned long port = strtoul(colon + 1, &end, 10);
    if (*end || port > UINT16_MAX)
        return false;
    const char *host = text;
    size_t len = (size_t)(colon - text);
    if (len >= 2 && host[0] == '[' && host[len - 1] == ']') {
        host++;
        len -= 2;
    } else if (memchr(host, ':', len)) {
        return false;
    }
    if (len == strlen("localhost") && strncasecmp(host, "localhost", len) == 0) {
        host = "127.0.0.1";
        len = strlen(host);
    }
    if (len == 0 || len >= sizeof address->host)
        return false;
    memcpy(address->host, host, len);
    address->host[len] = '\0';
    address->port = (uint16_t)port;
    return true;
}

static bool look_up(struct weft_listen_address *address)
{
    static const unsigned char v6_loopback[16] = {[15] = 1};
    unsigned char v4[4], v6[16];
    if (inet_pton(AF_INET, address->host, v4) == 1) {
        address->loopback = v4[0] == 127;
        return true;
    }
    if (inet_pton(AF_INET6, address->host, v6) != 1)
        return false;
    address->loopback = memcmp(v6, v6_loopback, sizeof v6) == 0;
    return true;
}

int weft_listen_address_parse(struct weft_listen_address *ret_address, const char *text)
{
    struct weft_listen_address address;
    if (!split(&address, text) || !look_up(&address))
        return -EINVAL;
    *ret_address = address;
    return 0;
}

void weft_listen_address_format(const struct weft_listen_address *address, uint16_t port,
                                char ret_text[WEFT_LISTEN_TEXT_MAX])
{
    (void)snprintf(ret_text, WEFT_LISTEN_TEXT_MAX, strchr(address->host, ':') ? "[%s]:%u" : "%s:%u",
                   address->host, (unsigned)port);
}
