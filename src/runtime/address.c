/* SPDX-License-Identifier: MIT
 * address.c - addresses from text and back. See weft/net.h. */
#include <weft/net.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

int weft_address_parse(const char *text, uint16_t port, struct weft_address *ret_address)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    bool is_v4 = inet_pton(AF_INET, text, &v4.sin_addr) == 1;
    if (!is_v4 && inet_pton(AF_INET6, text, &v6.sin6_addr) != 1)
        return -EINVAL;
    memset(ret_address, 0, sizeof *ret_address);
    ret_address->len = is_v4 ? sizeof v4 : sizeof v6;
    if (is_v4)
        memcpy(&ret_address->storage, &v4, sizeof v4);
    else
        memcpy(&ret_address->storage, &v6, sizeof v6);
    return 0;
}

int weft_address_unix(const char *path, struct weft_address *ret_address)
{
    struct sockaddr_un named = {.sun_family = AF_UNIX};
    size_t len = strlen(path);
    if (len == 0)
        return -EINVAL;
    if (len >= sizeof named.sun_path)
        return -ENAMETOOLONG;
    bool abstract = path[0] == '@';
    memcpy(named.sun_path, path, len);
    if (abstract)
        named.sun_path[0] = '\0';
    memset(ret_address, 0, sizeof *ret_address);
    memcpy(&ret_address->storage, &named, sizeof named);
    /* An abstract name is as long as it says; a path ends with its NUL. */
    ret_address->len =
        (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + (abstract ? 0 : 1));
    return 0;
}

static int format_unix(const struct weft_address *address, char *ret_text, size_t len)
{
    struct sockaddr_un named;
    const size_t start = offsetof(struct sockaddr_un, sun_path);
    memcpy(&named, &address->storage, sizeof named);
    size_t name_len = address->len > start ? address->len - start : 0;
    if (name_len > sizeof named.sun_path)
        name_len = sizeof named.sun_path;
    bool abstract = name_len > 0 && named.sun_path[0] == '\0';
    if (abstract)
        named.sun_path[0] = '@';
    return snprintf(ret_text, len, "%.*s", (int)strnlen(named.sun_path, name_len), named.sun_path);
}

int weft_address_format(const struct weft_address *address, char *ret_text, size_t len)
{
    char number[INET6_ADDRSTRLEN];
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)&address->storage;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&address->storage;
    int text_len = 0;
    switch (address->storage.ss_family) {
    case AF_INET:
        (void)inet_ntop(AF_INET, &v4->sin_addr, number, sizeof number);
        text_len = snprintf(ret_text, len, "%s:%u", number, (unsigned)ntohs(v4->sin_port));
        break;
    case AF_INET6:
        (void)inet_ntop(AF_INET6, &v6->sin6_addr, number, sizeof number);
        text_len = snprintf(ret_text, len, "[%s]:%u", number, (unsigned)ntohs(v6->sin6_port));
        break;
    case AF_UNIX:
        text_len = format_unix(address, ret_text, len);
        break;
    default:
        return -EAFNOSUPPORT;
    }
    return len > 0 && (size_t)text_len >= len ? (int)len - 1 : text_len;
}

int weft_address_port(const struct weft_address *address)
{
    if (address->storage.ss_family == AF_INET)
        return ntohs(((const struct sockaddr_in *)&address->storage)->sin_port);
    if (address->storage.ss_family == AF_INET6)
        return ntohs(((const struct sockaddr_in6 *)&address->storage)->sin6_port);
    return -EAFNOSUPPORT;
}
