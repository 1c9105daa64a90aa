/* SPDX-License-Identifier: MIT
 * webhook_url.c - which urls may be asked, see webhook.h.
 *
 * What is read here will be read again by the client, and perhaps otherwise. So everything that
 * readers of urls are known to disagree on is refused, not interpreted: users, backslashes,
 * fragments, addresses in odd forms, encoded slashes, segments of dots. */
#include <job/webhook.h>

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <strings.h>

#define NAME_MAX_CHARS  ((size_t)253)
#define LABEL_MAX_CHARS ((size_t)63)

enum host_kind {
    HOST_NAME,
    HOST_BELOW, /* pattern "*.name": every name below it */
    HOST_ANY,   /* pattern "*": every name */
    HOST_IPV4,
    HOST_IPV6,
};

struct url {
    bool encrypted;
    enum host_kind kind;
    const char *host; /* of names; of HOST_BELOW without "*" */
    size_t host_len;
    unsigned char address[16];
    unsigned port;
    const char *path; /* without the query; begins with '/' unless it is empty */
    size_t path_len;
};

/* ---- hosts ------------------------------------------------------------------------------- */

static bool is_digits(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (!isdigit((unsigned char)text[i]))
            return false;
    }
    return len > 0;
}

/* A host that ends in a number is an address in many a reader's eyes, "0x7f.1" for example. */
static bool ends_in_number(const char *host, size_t len)
{
    const char *dot = memrchr(host, '.', len);
    const char *last = dot ? dot + 1 : host;
    size_t last_len = (size_t)(host + len - last);
    return is_digits(last, last_len) ||
           (last_len >= 2 && last[0] == '0' && (last[1] == 'x' || last[1] == 'X'));
}

static bool is_label(const char *label, size_t len)
{
    if (len == 0 || len > LABEL_MAX_CHARS || label[0] == '-' || label[len - 1] == '-')
        return false;
    for (size_t i = 0; i < len; i++) {
        if (!isalnum((unsigned char)label[i]) && label[i] != '-' && label[i] != '_')
            return false;
    }
    return true;
}

static bool is_name(const char *name, size_t len)
{
    if (len > NAME_MAX_CHARS)
        return false;
    for (const char *end = name + len;;) {
        const char *dot = memchr(name, '.', (size_t)(end - name));
        if (!is_label(name, (size_t)((dot ? dot : end) - name)))
            return false;
        if (!dot)
            return true;
        name = dot + 1;
    }
}

static const char *read_address(struct url *url, int family, const char *text, size_t len)
{
    char copy[INET6_ADDRSTRLEN];
    if (len >= sizeof copy)
        return "its address is not in its usual form";
    memcpy(copy, text, len);
    copy[len] = '\0';
    if (inet_pton(family, copy, url->address) != 1)
        return "its address is not in its usual form";
    url->kind = family == AF_INET ? HOST_IPV4 : HOST_IPV6;
    return NULL;
}

static const char *read_host(struct url *url, const char *host, size_t len, bool pattern)
{
    if (len == 0)
        return "it has no host";
    if (host[0] == '[')
        return len > 2 && host[len - 1] == ']' ? read_address(url, AF_INET6, host + 1, len - 2)
                                               : "its address is not in its usual form";
    if (pattern && len == 1 && host[0] == '*') {
        url->kind = HOST_ANY;
        return NULL;
    }
    url->kind = HOST_NAME;
    if (pattern && len > 2 && host[0] == '*' && host[1] == '.') {
        url->kind = HOST_BELOW;
        host++;
        len--;
    }
    url->host = host;
    url->host_len = len;
    size_t dot = url->kind == HOST_BELOW;
    if (ends_in_number(host, len))
        return dot ? "its host is not a name" : read_address(url, AF_INET, host, len);
    return is_name(host + dot, len - dot) ? NULL : "its host is not a name";
}

static const char *read_port(struct url *url, const char *digits, size_t len)
{
    unsigned port = 0;
    for (size_t i = 0; i < len && len <= 5 && isdigit((unsigned char)digits[i]); i++)
        port = port * 10 + (unsigned)(digits[i] - '0');
    if (len > 5 || !is_digits(digits, len) || digits[0] == '0' || port > 65535)
        return "its port is not a number between 1 and 65535";
    url->port = port;
    return NULL;
}

static const char *read_authority(struct url *url, const char *text, size_t len, bool pattern)
{
    if (memchr(text, '@', len))
        return "it has a user";
    const char *bracket = memrchr(text, ']', len);
    const char *after = bracket ? bracket : text;
    const char *colon = memchr(after, ':', (size_t)(text + len - after));
    const char *reason = read_host(url, text, colon ? (size_t)(colon - text) : len, pattern);
    url->port = url->encrypted ? 443 : 80;
    if (!reason && colon)
        reason = read_port(url, colon + 1, (size_t)(text + len - colon - 1));
    return reason;
}

/* ---- paths ------------------------------------------------------------------------------- */

/* The character at text, decoded, and how many bytes it takes; 0: not well encoded. */
static size_t read_char(const char *text, const char *end, char *ret_char)
{
    static const char digits[] = "0123456789abcdef";
    *ret_char = *text;
    if (*text != '%')
        return 1;
    if (end - text < 3 || !isxdigit((unsigned char)text[1]) || !isxdigit((unsigned char)text[2]))
        return 0;
    *ret_char = (char)((strchr(digits, tolower((unsigned char)text[1])) - digits) * 16 +
                       (strchr(digits, tolower((unsigned char)text[2])) - digits));
    return 3;
}

static const char *check_path(const char *path, size_t len)
{
    const char *end = path + len;
    bool only_dots = false; /* in this segment, so far, and not none */
    bool first = true;      /* in this segment */
    while (path < end) {
        char c;
        size_t taken = read_char(path, end, &c);
        if (taken == 0)
            return "its path is not well encoded";
        if (taken > 1 && (c == '/' || c == '\\' || (unsigned char)c < ' '))
            return "its path has an encoded slash or control character";
        if ((c == '/' || c == ';') && only_dots) /* what follows ';' is dropped by some */
            break;
        only_dots = c == '.' && (first || only_dots);
        first = c == '/';
        path += taken;
    }
    return only_dots ? "its path has a segment of dots" : NULL;
}

/* ---- the whole --------------------------------------------------------------------------- */

static const char *check_chars(const char *text)
{
    size_t len = strlen(text);
    if (len > WEFT_WEBHOOK_URL_MAX)
        return "it is too long";
    for (size_t i = 0; i < len; i++) {
        if (text[i] <= ' ' || text[i] > '~' || strchr("\\\"<>^`{|}", text[i]))
            return "it has a character that does not belong there";
    }
    return strchr(text, '#') ? "it has a fragment" : NULL;
}

/* Returns NULL, or what is wrong with it. */
static const char *read_url(struct url *url, const char *text, bool pattern)
{
    const char *reason = check_chars(text);
    if (reason)
        return reason;
    url->encrypted = strncasecmp(text, "https://", 8) == 0;
    if (!url->encrypted && strncasecmp(text, "http://", 7) != 0)
        return "it begins neither with https:// nor with http://";
    const char *authority = text + (url->encrypted ? 8 : 7);
    size_t authority_len = strcspn(authority, "/?");
    reason = read_authority(url, authority, authority_len, pattern);
    url->path = authority + authority_len;
    url->path_len = strcspn(url->path, "?");
    if (pattern && url->path[url->path_len] == '?')
        return "it has a query, which no url is compared with";
    return reason ? reason : check_path(url->path, url->path_len);
}

static bool host_fits(const struct url *pattern, const struct url *url)
{
    size_t len = pattern->host_len;
    switch (pattern->kind) {
    case HOST_ANY:
        return url->kind == HOST_NAME;
    case HOST_BELOW: /* of which the dot is a part */
        return url->kind == HOST_NAME && url->host_len > len &&
               strncasecmp(url->host + url->host_len - len, pattern->host, len) == 0;
    case HOST_NAME:
        return url->kind == HOST_NAME && url->host_len == len &&
               strncasecmp(url->host, pattern->host, len) == 0;
    case HOST_IPV4:
    case HOST_IPV6:
    default:
        return url->kind == pattern->kind &&
               memcmp(url->address, pattern->address, sizeof url->address) == 0;
    }
}

/* "/in" leads to itself and what is below, "/in/" to what is below. */
static bool path_fits(const struct url *pattern, const struct url *url)
{
    size_t len = pattern->path_len;
    if (len <= 1)
        return true;
    if (url->path_len < len || memcmp(url->path, pattern->path, len) != 0)
        return false;
    return pattern->path[len - 1] == '/' || url->path_len == len || url->path[len] == '/';
}

int weft_webhook_pattern_check(const char *pattern, const char **ret_reason)
{
    struct url url = {.port = 0};
    const char *reason = read_url(&url, pattern, true);
    if (!reason)
        return 0;
    *ret_reason = reason;
    return -EINVAL;
}

int weft_webhook_url_check(const char *const *allowed, const char *url, const char **ret_reason)
{
    struct url asked = {.port = 0};
    const char *reason = read_url(&asked, url, false);
    if (reason) {
        *ret_reason = reason;
        return -EINVAL;
    }
    for (; *allowed; allowed++) {
        struct url pattern = {.port = 0};
        if (!read_url(&pattern, *allowed, true) && pattern.encrypted == asked.encrypted &&
            pattern.port == asked.port && host_fits(&pattern, &asked) &&
            path_fits(&pattern, &asked))
            return 0;
    }
    *ret_reason = "it is not among those that are allowed";
    return -EACCES;
}
