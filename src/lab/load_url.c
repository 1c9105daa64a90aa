/* SPDX-License-Identifier: MIT
 * load_url.c - see load_url.h. */
#include <lab/load_url.h>

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>

/* Returns NULL or what is wrong. */
static const char *check_scheme(const char *text)
{
    if (strncasecmp(text, "https://", 8) == 0)
        return "https is not supported, only http";
    if (strncasecmp(text, "http://", 7) != 0)
        return "it does not begin with http://";
    for (const char *at = text; *at; at++) {
        /* Also what keeps a line feed out of the request's first line. */
        if ((unsigned char)*at <= ' ' || *at == 127)
            return "it contains a space or a control character";
    }
    return NULL;
}

static const char *parse_port(const char *digits, size_t len, uint16_t *ret_port)
{
    unsigned port = 0;
    if (len == 0 || len > 5)
        return "the port is not a number between 1 and 65535";
    for (size_t i = 0; i < len; i++) {
        if (digits[i] < '0' || digits[i] > '9')
            return "the port is not a number between 1 and 65535";
        port = port * 10 + (unsigned)(digits[i] - '0');
    }
    if (port < 1 || port > 65535)
        return "the port is not a number between 1 and 65535";
    *ret_port = (uint16_t)port;
    return NULL;
}

static const char *parse_authority(struct weft_load_url *url)
{
    const char *host = url->authority, *end = host + url->authority_len, *host_end;
    if (memchr(host, '@', url->authority_len))
        return "user names in URLs are not supported";
    if (url->authority_len > 0 && *host == '[') {
        host++;
        host_end = memchr(host, ']', (size_t)(end - host));
        if (!host_end)
            return "the bracket around the IPv6 address is not closed";
    } else {
        host_end = memchr(host, ':', url->authority_len);
        if (!host_end)
            host_end = end;
    }
    size_t host_len = (size_t)(host_end - host);
    if (host_len == 0)
        return "the host is missing";
    if (host_len > WEFT_LOAD_HOST_MAX)
        return "the host is too long";
    memcpy(url->host, host, host_len);
    url->host[host_len] = '\0';

    const char *rest = host_end + (host_end < end && *host_end == ']');
    url->port = 80;
    if (rest == end)
        return NULL;
    if (*rest != ':')
        return "something stands between the host and the port";
    return parse_port(rest + 1, (size_t)(end - rest - 1), &url->port);
}

int weft_load_url_parse(struct weft_load_url *ret_url, const char *text, const char **ret_reason)
{
    struct weft_load_url url = {0};
    const char *reason = check_scheme(text);
    if (!reason) {
        url.authority = text + strlen("http://");
        url.authority_len = strcspn(url.authority, "/?#");
        url.target = url.authority + url.authority_len;
        url.target_len = strcspn(url.target, "#");
        reason = parse_authority(&url);
    }
    if (reason) {
        *ret_reason = reason;
        return -EINVAL;
    }
    *ret_url = url;
    return 0;
}
