/* SPDX-License-Identifier: MIT
 * target.c - see target.h. RFC 9112 section 3.2 names the forms of a target. */
#include <http/target.h>

#include <llhttp.h>
#include <string.h>
#include <strings.h>

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    char lower = (char)(c | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/* The byte that the escape at text stands for; -1 when it is none. */
static int decode_escape(const char *text, const char *end)
{
    if (end - text < 3)
        return -1;
    int high = hex_value(text[1]), low = hex_value(text[2]);
    return high < 0 || low < 0 ? -1 : high << 4 | low;
}

static bool printable(char c)
{
    return c > ' ' && c < 0x7f && c != '#'; /* a fragment is never sent to a server */
}

static void close_segment(struct weft_http_path *path, size_t begin, size_t end)
{
    if (path->segments_count < WEFT_HTTP_SEGMENTS_MAX)
        path->segments[path->segments_count] =
            (struct weft_http_segment){(uint16_t)begin, (uint16_t)(end - begin)};
    if (path->segments_count <= WEFT_HTTP_SEGMENTS_MAX)
        path->segments_count++;
}

/* Decode a path that begins with '/'. Writing never overtakes reading, so in place is fine. */
static const char *decode_path(struct weft_http_path *path, char *text, size_t len)
{
    const char *end = text + len;
    size_t out = 1, segment = 1;
    path->segments_count = 0;
    for (const char *in = text + 1; in < end; in++) {
        int byte = (unsigned char)*in;
        if (byte == '/') {
            close_segment(path, segment, out);
            segment = out + 1;
        } else if (byte == '%') {
            byte = decode_escape(in, end);
            if (byte <= 0)
                return "malformed escape in the path";
            in += 2;
        } else if (!printable(*in)) {
            return "malformed character in the path";
        }
        text[out++] = (char)byte;
    }
    close_segment(path, segment, out);
    text[out] = '\0';
    path->text = text;
    path->len = out;
    return NULL;
}

static const char *check_query(const char *text, size_t len)
{
    const char *end = text + len;
    for (const char *in = text; in < end; in++) {
        if (!printable(*in))
            return "malformed character in the query";
        if (*in == '%' && decode_escape(in, end) <= 0)
            return "malformed escape in the query";
    }
    return NULL;
}

/* The bytes of "http://host" or "https://host" at the beginning of a target; 0 without them. */
static size_t authority_len(const char *text, size_t len)
{
    size_t scheme = len >= 7 && strncasecmp(text, "http://", 7) == 0    ? 7
                    : len >= 8 && strncasecmp(text, "https://", 8) == 0 ? 8
                                                                        : 0;
    size_t at = scheme;
    while (at > 0 && at < len && text[at] != '/' && text[at] != '?')
        at++;
    return at > scheme ? at : 0;
}

const char *weft_http_target_split(struct weft_http_incoming *request)
{
    size_t at = request->url.at, len = request->url.len;
    char *text = request->message + at;
    if (len == 1 && text[0] == '*' && request->method == HTTP_OPTIONS) {
        request->any_target = true;
        request->path_at = (uint32_t)at;
        text[1] = '\0';
        request->path = (struct weft_http_path){.text = text, .len = 1};
        request->query = (struct weft_http_span){(uint32_t)at + 1, 0};
        return NULL;
    }
    size_t skip = authority_len(text, len);
    if (skip > 0 && (skip == len || text[skip] == '?'))
        text[--skip] = '/'; /* "http://host?a=b" has an empty path, which means "/" */
    at += skip;
    text += skip;
    len -= skip;
    if (len == 0 || text[0] != '/')
        return "malformed request target";

    const char *mark = memchr(text, '?', len);
    size_t path_len = mark ? (size_t)(mark - text) : len;
    size_t query_at = mark ? path_len + 1 : len;
    text[len] = '\0';
    request->query = (struct weft_http_span){(uint32_t)(at + query_at), (uint32_t)(len - query_at)};
    request->path_at = (uint32_t)at;
    const char *error = check_query(text + query_at, len - query_at);
    return error ? error : decode_path(&request->path, text, path_len);
}

size_t weft_http_query_decode(char *out, const char *text, size_t len)
{
    const char *end = text + len;
    size_t written = 0;
    for (const char *in = text; in < end; in++) {
        int escape = *in == '%' ? decode_escape(in, end) : -1;
        char byte = *in;
        if (byte == '+')
            byte = ' ';
        if (escape > 0) {
            byte = (char)escape;
            in += 2;
        }
        out[written++] = byte;
    }
    return written;
}
