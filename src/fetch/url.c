/* SPDX-License-Identifier: MIT
 * url.c - see url.h. Joining is libcurl's work. */
#include <fetch/url.h>

#include <curl/curl.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char *read_port(const char *digits, size_t len, uint16_t *ret_port)
{
    unsigned port = 0;
    for (size_t i = 0; i < len && port <= UINT16_MAX; i++) {
        if (digits[i] < '0' || digits[i] > '9')
            return "the port is no number";
        port = port * 10 + (unsigned)(digits[i] - '0');
    }
    if (len == 0 || port == 0 || port > UINT16_MAX)
        return "the port is not between 1 and 65535";
    *ret_port = (uint16_t)port;
    return NULL;
}

static bool is_host_char(unsigned char c, bool is_address)
{
    if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '_')
        return true;
    return is_address ? c == ':' : c >= 0x80; /* international names are libcurl's to turn */
}

static const char *read_host(struct weft_fetch_url *url, const char *host, size_t len)
{
    if (len == 0)
        return "the host is missing";
    if (len > WEFT_FETCH_HOST_MAX)
        return "the host is too long";
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)host[i];
        c = c >= 'A' && c <= 'Z' ? (unsigned char)(c - 'A' + 'a') : c;
        if (!is_host_char(c, url->is_address))
            return "the host has a character that does not belong there";
        url->host[i] = (char)c;
    }
    url->host[len] = '\0';
    return NULL;
}

static const char *read_authority(struct weft_fetch_url *url, const char *text, size_t len)
{
    const char *at = memrchr(text, '@', len);
    if (at) {
        url->has_user = true;
        len -= (size_t)(at + 1 - text);
        text = at + 1;
    }
    url->authority = text;
    url->authority_len = len;
    size_t host_len;
    const char *rest;
    if (len > 0 && text[0] == '[') {
        const char *close = memchr(text, ']', len);
        if (!close)
            return "the bracket around the address is not closed";
        url->is_address = true;
        host_len = (size_t)(close - text - 1);
        rest = close + 1;
        text++;
    } else {
        const char *colon = memchr(text, ':', len);
        host_len = colon ? (size_t)(colon - text) : len;
        rest = text + host_len;
    }
    const char *wrong = read_host(url, text, host_len);
    size_t rest_len = (size_t)(url->authority + url->authority_len - rest);
    if (wrong || rest_len == 0)
        return wrong;
    if (*rest != ':')
        return "something stands between the host and the port";
    /* "http://name:/" means the default, says RFC 3986, 3.2.3. */
    return rest_len == 1 ? NULL : read_port(rest + 1, rest_len - 1, &url->port);
}

/* "/./" or "/../", or one of them at the end of the path. */
static bool is_dots(const char *slash, const char *end)
{
    const char *at = slash + 1;
    for (int dots = 0; dots < 2 && at < end && *at == '.'; dots++)
        at++;
    return at > slash + 1 && (at == end || *at == '/' || *at == '?');
}

/* Returns false when libcurl has to have a look at it: dots to take out, letters to escape. */
static bool is_plain(const char *target, size_t len)
{
    const char *end = target + len, *path_end = len ? memchr(target, '?', len) : NULL;
    path_end = path_end ? path_end : end;
    if (len == 0 || target[0] != '/')
        return false;
    for (const char *at = target; at < end; at++) {
        if ((unsigned char)*at >= 0x7f || (*at == '/' && at < path_end && is_dots(at, end)))
            return false;
    }
    return true;
}

static void write_origin(struct weft_fetch_url *url)
{
    char *end = url->origin, digits[5];
    unsigned port = url->port, count = 0;
    end = stpcpy(end, url->secure ? "https://" : "http://");
    if (url->is_address)
        *end++ = '[';
    end = stpcpy(end, url->host);
    if (url->is_address)
        *end++ = ']';
    *end++ = ':';
    do {
        digits[count++] = (char)('0' + port % 10);
        port /= 10;
    } while (port > 0);
    while (count > 0)
        *end++ = digits[--count];
    *end = '\0';
    url->origin_len = (size_t)(end - url->origin);
}

const char *weft_fetch_url_parse(struct weft_fetch_url *ret_url, const char *text)
{
    struct weft_fetch_url *url = ret_url;
    url->secure = strncasecmp(text, "https://", 8) == 0;
    url->is_address = url->has_user = false;
    if (!url->secure && strncasecmp(text, "http://", 7) != 0)
        return "the URL does not begin with http:// or https://";
    const char *authority = text + (url->secure ? 8 : 7);
    size_t len = strlen(authority);
    if (len > WEFT_FETCH_URL_MAX - 8)
        return "the URL is longer than 64 KiB";
    for (const char *at = authority; *at; at++) {
        /* Also what keeps a line feed out of the request's first line. */
        if ((unsigned char)*at <= ' ' || *at == 0x7f)
            return "the URL has a space or a control character in it";
    }
    url->port = url->secure ? 443 : 80;
    size_t authority_len = strcspn(authority, "/?#");
    url->target = authority + authority_len;
    url->target_len = strcspn(url->target, "#");
    url->is_plain = is_plain(url->target, url->target_len);
    const char *wrong = read_authority(url, authority, authority_len);
    if (!wrong)
        write_origin(url);
    return wrong;
}

int weft_fetch_url_join(const char *base, const char *location, char **ret_url)
{
    char *joined = NULL;
    CURLU *url = curl_url();
    if (!url)
        return -ENOMEM;
    CURLUcode code = curl_url_set(url, CURLUPART_URL, base, 0);
    if (code == CURLUE_OK)
        code = curl_url_set(url, CURLUPART_URL, location, CURLU_URLENCODE);
    if (code == CURLUE_OK)
        (void)curl_url_set(url, CURLUPART_FRAGMENT, NULL, 0);
    if (code == CURLUE_OK)
        code = curl_url_get(url, CURLUPART_URL, &joined, 0);
    curl_url_cleanup(url);
    if (code == CURLUE_OUT_OF_MEMORY)
        return -ENOMEM;
    if (code != CURLUE_OK)
        return -EINVAL;
    *ret_url = strdup(joined);
    curl_free(joined);
    return *ret_url ? 0 : -ENOMEM;
}
