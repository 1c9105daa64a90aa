/* SPDX-License-Identifier: MIT
 * client_url.c - what the client has to know of a URL, as libcurl itself reads it: who reads a URL
 * differently from who connects can be made to check another host than it talks to. */
#include <http/client_internal.h>

#include <stdlib.h>
#include <string.h>

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
