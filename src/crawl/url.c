/* SPDX-License-Identifier: MIT
 * url.c - see url.h. The reference is cleaned and split; scheme, host, path and query come from it
 * or from the base (RFC 3986, 5.2.2); each part is written in its normal form. */
#include <crawl/url.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define REFERENCE_MAX        (4 * WEFT_URL_MAX) /* escapes can become shorter */
#define SEGMENTS_DEFAULT_MAX 64u

struct piece {
    const char *at;
    size_t len;
};

struct reference {
    struct piece scheme, authority, path, query;
    bool has_scheme, has_authority, has_query;
};

static bool is_alpha(unsigned char c)
{
    return (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
}

static bool is_digit(unsigned char c)
{
    return c >= '0' && c <= '9';
}

static int hex_value(unsigned char c)
{
    if (is_digit(c))
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* ---- split ------------------------------------------------------------------------------- */

/* Without blanks and controls around, and without tabs and line ends within. Returns the length. */
static size_t clean(char *to, const char *text, size_t len)
{
    size_t used = 0;
    while (len > 0 && (unsigned char)text[len - 1] <= ' ')
        len--;
    while (len > 0 && (unsigned char)*text <= ' ') {
        text++;
        len--;
    }
    for (size_t i = 0; i < len; i++) {
        if (text[i] != '\t' && text[i] != '\n' && text[i] != '\r')
            to[used++] = text[i];
    }
    return used;
}

/* How long the scheme in front of a colon is; 0: there is none. */
static size_t scheme_len(const char *text, size_t len)
{
    if (len == 0 || !is_alpha((unsigned char)text[0]))
        return 0;
    for (size_t i = 1; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c == ':')
            return i;
        if (!is_alpha(c) && !is_digit(c) && c != '+' && c != '-' && c != '.')
            return 0;
    }
    return 0;
}

static void split(struct reference *ref, char *text, size_t len)
{
    *ref = (struct reference){.has_scheme = false};
    const char *mark = memchr(text, '#', len);
    if (mark)
        len = (size_t)(mark - text);
    size_t scheme = scheme_len(text, len);
    if (scheme > 0) {
        ref->has_scheme = true;
        ref->scheme = (struct piece){text, scheme};
        text += scheme + 1;
        len -= scheme + 1;
    }
    mark = memchr(text, '?', len);
    if (mark) {
        size_t before = (size_t)(mark - text);
        ref->has_query = true;
        ref->query = (struct piece){mark + 1, len - before - 1};
        len = before;
    }
    for (size_t i = 0; i < len; i++) {
        if (text[i] == '\\')
            text[i] = '/';
    }
    if (len >= 2 && text[0] == '/' && text[1] == '/') {
        const char *end = memchr(text + 2, '/', len - 2);
        size_t authority = end ? (size_t)(end - text) - 2 : len - 2;
        ref->has_authority = true;
        ref->authority = (struct piece){text + 2, authority};
        text += 2 + authority;
        len -= 2 + authority;
    }
    ref->path = (struct piece){text, len};
}

/* ---- parts ------------------------------------------------------------------------------- */

static bool is_unreserved(unsigned char c)
{
    return is_alpha(c) || is_digit(c) || c == '-' || c == '.' || c == '_' || c == '~';
}

/* Besides those: what may stand in a path, and in a query, without being escaped. */
static bool is_plain(unsigned char c, bool in_query)
{
    return is_unreserved(c) || (c != '\0' && strchr("!$&'()*+,;=:@/", c)) || (in_query && c == '?');
}

static void append_escaped(struct weft_buffer *out, unsigned char c)
{
    static const char digits[] = "0123456789ABCDEF";
    const char text[3] = {'%', digits[c >> 4], digits[c & 15]};
    weft_buffer_append(out, text, sizeof text);
}

static void append_normal(struct weft_buffer *out, struct piece piece, bool in_query)
{
    for (size_t i = 0; i < piece.len && !out->err; i++) {
        unsigned char c = (unsigned char)piece.at[i];
        int high = -1, low = -1;
        if (c == '%' && i + 2 < piece.len) {
            high = hex_value((unsigned char)piece.at[i + 1]);
            low = hex_value((unsigned char)piece.at[i + 2]);
        }
        bool escape = high >= 0 && low >= 0;
        if (escape) {
            c = (unsigned char)(high << 4 | low);
            i += 2;
        }
        if (escape ? is_unreserved(c) : is_plain(c, in_query))
            weft_buffer_append_char(out, (char)c);
        else
            append_escaped(out, c); /* a '%' without digits stands for itself */
    }
}

/* RFC 3986, 5.2.4, in place; the path begins with a slash. Returns the new length. */
static size_t remove_dots(char *path, size_t len)
{
    size_t from = 0, to = 0;
    while (from < len) {
        size_t end = from + 1;
        while (end < len && path[end] != '/')
            end++;
        const char *segment = path + from + 1;
        size_t segment_len = end - from - 1;
        bool dot = segment_len == 1 && segment[0] == '.';
        bool dots = segment_len == 2 && segment[0] == '.' && segment[1] == '.';
        if (dots) {
            while (to > 0 && path[--to] != '/')
                continue;
        }
        if (!dot && !dots) {
            memmove(path + to, path + from, end - from);
            to += end - from;
        } else if (end == len) {
            path[to++] = '/';
        }
        from = end;
    }
    return to;
}

static int append_port(struct weft_buffer *out, const char *text, size_t len, bool https)
{
    unsigned port = 0;
    if (len == 0)
        return 0;
    for (size_t i = 0; i < len; i++) {
        if (!is_digit((unsigned char)text[i]))
            return -EINVAL;
        port = port * 10 + (unsigned)(text[i] - '0');
        if (port > UINT16_MAX)
            return -EINVAL;
    }
    if (port == 0)
        return -EINVAL;
    if (port != (https ? 443u : 80u)) {
        weft_buffer_append_char(out, ':');
        weft_buffer_append_int(out, port);
    }
    return 0;
}

static int append_authority(struct weft_buffer *out, struct piece authority, bool https)
{
    if (memchr(authority.at, '@', authority.len))
        return -EINVAL;
    /* The colon of a port is behind the bracket of an IPv6 address. */
    const char *bracket = memchr(authority.at, ']', authority.len);
    const char *from = bracket ? bracket : authority.at;
    size_t left = authority.len - (size_t)(from - authority.at);
    const char *colon = memchr(from, ':', left);
    size_t host = colon ? (size_t)(colon - authority.at) : authority.len;
    int err = weft_url_host(out, authority.at, host);
    if (err == 0 && colon)
        err = append_port(out, colon + 1, authority.len - host - 1, https);
    return err;
}

/* ---- all --------------------------------------------------------------------------------- */

static bool is_word(struct piece piece, const char *word)
{
    return piece.len == strlen(word) && strncasecmp(piece.at, word, piece.len) == 0;
}

/* "scheme://host:port" of the reference, or of the base. */
static int append_origin(struct weft_buffer *out, const struct reference *ref,
                         const struct weft_url *base)
{
    if (!ref->has_authority) {
        if (ref->has_scheme || !base)
            return -EINVAL;
        weft_buffer_append(out, base->text, base->origin_len);
        return 0;
    }
    if (!ref->has_scheme && !base)
        return -EINVAL;
    bool https = ref->has_scheme ? is_word(ref->scheme, "https") : base->https;
    weft_buffer_append_string(out, https ? "https://" : "http://");
    return append_authority(out, ref->authority, https);
}

static int append_path(struct weft_buffer *out, const struct reference *ref,
                       const struct weft_url *base, const struct weft_url_rules *rules)
{
    size_t at = out->len;
    struct piece path = ref->path;
    if (!ref->has_authority && path.len == 0) {
        weft_buffer_append(out, base->path, base->path_len); /* it is normal already */
        return out->err;
    }
    if (!ref->has_authority && path.at[0] != '/') {
        size_t directory = base->path_len;
        while (base->path[directory - 1] != '/')
            directory--;
        weft_buffer_append(out, base->path, directory);
    } else if (path.len == 0) {
        weft_buffer_append_char(out, '/');
    }
    append_normal(out, path, false);
    if (out->err)
        return out->err;
    out->len = at + weft_url_drop_path_parameters(out->data + at, out->len - at, rules);
    out->len = at + remove_dots(out->data + at, out->len - at);
    unsigned segments = 0;
    for (size_t i = at; i < out->len; i++)
        segments += out->data[i] == '/';
    return segments > (rules->segments_max ? rules->segments_max : SEGMENTS_DEFAULT_MAX) ? -EMSGSIZE
                                                                                         : 0;
}

static int append_query(struct weft_buffer *out, struct piece query,
                        const struct weft_url_rules *rules)
{
    weft_buffer_append_char(out, '?');
    size_t at = out->len;
    append_normal(out, query, true);
    if (out->err)
        return out->err;
    size_t before = out->len - at;
    size_t len = weft_url_drop_parameters(out->data + at, before, rules);
    out->len = at + len;
    if (len == 0 && before > 0) /* all of it was dropped */
        out->len--;
    return rules->sorts_query && len > 0 ? weft_url_sort_parameters(out->data + at, len) : 0;
}

static int write_url(struct weft_buffer *out, const struct reference *ref,
                     const struct weft_url *base, const struct weft_url_rules *rules)
{
    if (ref->has_scheme && !is_word(ref->scheme, "http") && !is_word(ref->scheme, "https"))
        return -EPROTONOSUPPORT;
    struct piece query = ref->query;
    bool has_query = ref->has_query;
    bool same_document = !ref->has_authority && ref->path.len == 0;
    int err = append_origin(out, ref, base);
    if (err == 0)
        err = out->err ? out->err : append_path(out, ref, base, rules);
    if (err)
        return err;
    if (!has_query && same_document && base->path[base->path_len] == '?') {
        has_query = true;
        query.at = base->path + base->path_len + 1;
        query.len = strlen(query.at);
    }
    return has_query ? append_query(out, query, rules) : 0;
}

int weft_url_resolve(struct weft_buffer *out, const char *base, const char *text, size_t len,
                     const struct weft_url_rules *rules)
{
    struct reference ref;
    struct weft_url parts;
    if (len > REFERENCE_MAX)
        return -EMSGSIZE;
    char *copy = malloc(len + 1);
    if (!copy)
        return -ENOMEM;
    split(&ref, copy, clean(copy, text, len));
    if (base)
        weft_url_read(&parts, base);
    weft_buffer_clear(out);
    int err = write_url(out, &ref, base ? &parts : NULL, rules);
    weft_buffer_append_char(out, '\0');
    if (err == 0)
        err = out->err;
    if (err == 0) {
        size_t most = rules->bytes_max ? rules->bytes_max : WEFT_URL_DEFAULT_MAX;
        out->len--;
        if (out->len > most || out->len > WEFT_URL_MAX)
            err = -EMSGSIZE;
    }
    free(copy);
    return err;
}

void weft_url_read(struct weft_url *ret_url, const char *text)
{
    struct weft_url url = {.text = text, .len = strlen(text)};
    url.https = text[4] == 's';
    url.host = text + (url.https ? 8 : 7);
    url.path = strchr(url.host, '/');
    url.origin_len = (size_t)(url.path - text);
    url.path_len = strcspn(url.path, "?");
    url.host_len = (size_t)(url.path - url.host);
    url.port = url.https ? 443 : 80;
    const char *from = url.host[0] == '[' ? strchr(url.host, ']') : url.host;
    const char *colon = memchr(from, ':', (size_t)(url.path - from));
    if (colon) {
        url.port = (uint16_t)strtoul(colon + 1, NULL, 10);
        url.host_len = (size_t)(colon - url.host);
    }
    *ret_url = url;
}
