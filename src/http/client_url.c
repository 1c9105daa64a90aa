/* SPDX-License-Identifier: MIT
 * client_url.c - what the client has to know of a URL, as libcurl itself reads it: who reads a URL
 * differently from who connects can be made to check another host than it talks to. */
#include <http/client_internal.h>

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* A part of a URL, to be freed with curl_free; NULL where there is none. */
static char *part_of(CURLU *url, CURLUPart part, unsigned flags)
{
    char *text = NULL;
    return curl_url_get(url, part, &text, flags) == CURLUE_OK ? text : NULL;
}

static CURLU *parse(const char *text, unsigned flags)
{
    CURLU *url = curl_url();
    if (url && curl_url_set(url, CURLUPART_URL, text, flags) != CURLUE_OK) {
        curl_url_cleanup(url);
        return NULL;
    }
    return url;
}

int weft_http_url_host(const char *text, char ret_host[WEFT_HTTP_HOST_MAX + 1], uint16_t *ret_port)
{
    CURLU *url = parse(text, CURLU_GUESS_SCHEME);
    char *host = url ? part_of(url, CURLUPART_HOST, CURLU_PUNYCODE) : NULL;
    char *port = url ? part_of(url, CURLUPART_PORT, CURLU_DEFAULT_PORT) : NULL;
    int err = host && port && strlen(host) <= WEFT_HTTP_HOST_MAX ? 0 : -EINVAL;
    if (err == 0) {
        memcpy(ret_host, host, strlen(host) + 1);
        *ret_port = (uint16_t)strtoul(port, NULL, 10);
    }
    curl_free(host);
    curl_free(port);
    curl_url_cleanup(url);
    return err;
}

/* ---- names for turns ---------------------------------------------------------------------- */

bool weft_http_url_is_secure(const char *text)
{
    return strncasecmp(text, "https:", 6) == 0;
}

static bool is_plain(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '-';
}

static bool is_end(char c)
{
    return c == '\0' || c == '/' || c == '?' || c == '#';
}

/* Where a host ends that everybody reads in the same way: small letters and digits, and an IPv4
 * address only in its usual form. NULL: it is not like that. */
static const char *end_of_host(const char *host)
{
    char copy[WEFT_HTTP_HOST_MAX + 1];
    struct in_addr address;
    size_t len = 0, label = 0;
    for (; is_plain(host[len]); len++)
        label = host[len] == '.' ? len + 1 : label;
    if (len == 0 || len > WEFT_HTTP_HOST_MAX || (host[len] != ':' && !is_end(host[len])))
        return NULL;
    if (host[label] >= 'a' && host[label] <= 'z')
        return host + len;
    memcpy(copy, host, len);
    copy[len] = '\0';
    return inet_pton(AF_INET, copy, &address) == 1 ? host + len : NULL;
}

/* The usual case, in a fraction of the time that libcurl takes for it. */
static bool plain_key(const char *text, char ret_key[WEFT_HTTP_KEY_BYTES])
{
    bool secure = strncmp(text, "https://", 8) == 0;
    if (!secure && strncmp(text, "http://", 7) != 0)
        return false;
    const char *host = text + (secure ? 8 : 7), *end = end_of_host(host);
    const char *port = secure ? "443" : "80";
    size_t digits = strlen(port);
    if (end && *end == ':') {
        port = end + 1;
        digits = strspn(port, "0123456789");
        if (digits == 0 || digits > 5 || *port == '0' || !is_end(port[digits]) ||
            strtoul(port, NULL, 10) > UINT16_MAX)
            return false;
    }
    if (!end)
        return false;
    size_t host_len = (size_t)(end - host);
    memcpy(ret_key, host, host_len);
    ret_key[host_len] = ':';
    memcpy(ret_key + host_len + 1, port, digits);
    ret_key[host_len + 1 + digits] = '\0';
    return true;
}

int weft_http_url_key(const char *text, char ret_key[WEFT_HTTP_KEY_BYTES])
{
    char host[WEFT_HTTP_HOST_MAX + 1];
    uint16_t port;
    if (plain_key(text, ret_key))
        return 0;
    int err = weft_http_url_host(text, host, &port);
    for (char *at = host; err == 0 && *at; at++)
        *at = *at >= 'A' && *at <= 'Z' ? (char)(*at - 'A' + 'a') : *at;
    if (err == 0)
        (void)snprintf(ret_key, WEFT_HTTP_KEY_BYTES, "%s:%u", host, port);
    return err;
}

/* ---- origins ------------------------------------------------------------------------------ */

static bool same_part(CURLU *one, CURLU *other, CURLUPart part, unsigned flags)
{
    char *ours = part_of(one, part, flags), *theirs = part_of(other, part, flags);
    bool same = ours && theirs && curl_strequal(ours, theirs);
    curl_free(ours);
    curl_free(theirs);
    return same;
}

bool weft_http_url_same_origin(const char *one, const char *other)
{
    CURLU *ours = parse(one, 0), *theirs = parse(other, 0);
    bool same = ours && theirs && same_part(ours, theirs, CURLUPART_SCHEME, 0) &&
                same_part(ours, theirs, CURLUPART_HOST, 0) &&
                same_part(ours, theirs, CURLUPART_PORT, CURLU_DEFAULT_PORT);
    curl_url_cleanup(ours);
    curl_url_cleanup(theirs);
    return same;
}

bool weft_http_url_is_proxy(const char *text)
{
    CURLU *url = parse(text, CURLU_GUESS_SCHEME);
    char *scheme = url ? part_of(url, CURLUPART_SCHEME, 0) : NULL;
    char *port = url ? part_of(url, CURLUPART_PORT, 0) : NULL;
    bool good = scheme && port && (!strcmp(scheme, "http") || !strcmp(scheme, "https"));
    curl_free(scheme);
    curl_free(port);
    curl_url_cleanup(url);
    return good;
}
