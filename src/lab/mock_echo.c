/* SPDX-License-Identifier: MIT
 * mock_echo.c - what the client has sent: requests, headers, cookies. */
#include <lab/mock_answers.h>

#include <weft/net.h>

#include <string.h>
#include <strings.h>

#define COOKIE_MAX 4096u /* bytes of a Set-Cookie */

/* A name and a value, of which neither needs to end with a NUL. */
struct pair {
    const char *name, *value;
    size_t name_len, value_len;
};

/* The next pair behind *position. Returns whether there is one. */
typedef bool (*next_pair)(struct weft_http_exchange *exchange, size_t *position,
                          struct pair *ret_pair);

static struct pair pair_of(const char *name, const char *value)
{
    return (struct pair){name, value, strlen(name), strlen(value)};
}

static bool next_header(struct weft_http_exchange *exchange, size_t *position,
                        struct pair *ret_pair)
{
    const char *name, *value;
    if (weft_http_header_next(exchange, position, &name, &value) <= 0)
        return false;
    *ret_pair = pair_of(name, value);
    return true;
}

static bool next_parameter(struct weft_http_exchange *exchange, size_t *position,
                           struct pair *ret_pair)
{
    const char *name, *value;
    if (weft_http_query_next(exchange, position, &name, &value) <= 0)
        return false;
    *ret_pair = pair_of(name, value);
    return true;
}

/* "a=1; b=2": the position is a byte of it. */
static bool next_cookie(struct weft_http_exchange *exchange, size_t *position,
                        struct pair *ret_pair)
{
    const char *line = weft_http_header(exchange, "Cookie");
    if (!line)
        return false;
    const char *at = line + *position;
    at += strspn(at, "; ");
    size_t len = strcspn(at, ";");
    const char *equals = memchr(at, '=', len);
    if (len == 0)
        return false;
    size_t name_len = equals ? (size_t)(equals - at) : len;
    *ret_pair = (struct pair){
        .name = at,
        .value = equals ? equals + 1 : at + len,
        .name_len = name_len,
        .value_len = equals ? len - name_len - 1 : 0,
    };
    *position = (size_t)(at + len - line);
    return true;
}

static bool same_name(const struct pair *a, const struct pair *b)
{
    return a->name_len == b->name_len && strncasecmp(a->name, b->name, a->name_len) == 0;
}

/* Whether a pair of this name stands before the one that begins at a position. */
static bool comes_before(struct weft_http_exchange *exchange, next_pair next,
                         const struct pair *pair, size_t end)
{
    struct pair other;
    size_t position = 0;
    while (position < end && next(exchange, &position, &other) && position <= end)
        if (same_name(&other, pair))
            return true;
    return false;
}

/* A JSON string of the values of all pairs with the name of the one that was read last. */
static void append_values(struct weft_buffer *out, struct weft_http_exchange *exchange,
                          next_pair next, const struct pair *first, size_t position)
{
    struct weft_buffer joined;
    struct pair pair;
    weft_buffer_init(&joined, out->len_max);
    weft_buffer_append(&joined, first->value, first->value_len);
    while (next(exchange, &position, &pair)) {
        if (!same_name(&pair, first))
            continue;
        weft_buffer_append_string(&joined, ", ");
        weft_buffer_append(&joined, pair.value, pair.value_len);
    }
    out->err = joined.err ? joined.err : out->err;
    weft_buffer_append_json_string(out, joined.data ? joined.data : "", joined.len);
    weft_buffer_deinit(&joined);
}

/* "name": {...}, with the pairs in their order; those of one name in any case are one member, their
 * values joined as a server may join those of headers. */
static void append_object(struct weft_buffer *out, struct weft_http_exchange *exchange,
                          const char *name, next_pair next)
{
    const char *comma = "";
    struct pair pair;
    weft_buffer_append_json_string(out, name, strlen(name));
    weft_buffer_append_string(out, ": {");
    for (size_t position = 0, begin = 0; next(exchange, &position, &pair); begin = position) {
        if (comes_before(exchange, next, &pair, begin))
            continue;
        weft_buffer_append_string(out, comma);
        weft_buffer_append_json_string(out, pair.name, pair.name_len);
        weft_buffer_append_string(out, ": ");
        append_values(out, exchange, next, &pair, position);
        comma = ", ";
    }
    weft_buffer_append_char(out, '}');
}

static void append_member(struct weft_buffer *out, const char *name, const char *value, size_t len)
{
    weft_buffer_append_json_string(out, name, strlen(name));
    weft_buffer_append_string(out, ": ");
    weft_buffer_append_json_string(out, value, len);
    weft_buffer_append_string(out, ", ");
}

#define OUT_BYTES_MAX ((size_t)128 << 20) /* a body of control characters grows sixfold */

static void send_object(struct weft_mock_request *request, struct weft_buffer *out)
{
    weft_buffer_append_char(out, '}');
    if (out->err)
        weft_mock_reply_error(request, 503, "out of memory");
    else
        weft_mock_reply(request, 200, "application/json", out->data, out->len);
    weft_buffer_deinit(out);
}

void weft_mock_echo(struct weft_mock_request *request)
{
    struct weft_http_exchange *exchange = request->exchange;
    struct weft_address peer;
    char client[WEFT_ADDRESS_TEXT_MAX] = "";
    struct weft_buffer out;
    size_t body_len;
    const char *body = weft_http_body(exchange, &body_len);
    const char *path = weft_http_path(exchange), *method = weft_http_method(exchange);
    if (weft_http_peer(exchange, &peer) == 0)
        (void)weft_address_format(&peer, client, sizeof client);
    weft_buffer_init(&out, OUT_BYTES_MAX);
    weft_buffer_append_char(&out, '{');
    append_member(&out, "method", method, strlen(method));
    append_member(&out, "path", path, strlen(path));
    append_member(&out, "client", client, strlen(client));
    append_object(&out, exchange, "query", next_parameter);
    weft_buffer_append_string(&out, ", ");
    append_object(&out, exchange, "headers", next_header);
    weft_buffer_append_string(&out, ", ");
    append_member(&out, "body", body, body_len);
    weft_buffer_append_string(&out, "\"bytes\": ");
    weft_buffer_append_int(&out, (int64_t)body_len);
    send_object(request, &out);
}

static void send_pairs(struct weft_mock_request *request, const char *name, next_pair next)
{
    struct weft_buffer out;
    weft_buffer_init(&out, OUT_BYTES_MAX);
    weft_buffer_append_char(&out, '{');
    append_object(&out, request->exchange, name, next);
    send_object(request, &out);
}

void weft_mock_headers(struct weft_mock_request *request)
{
    send_pairs(request, "headers", next_header);
}

void weft_mock_cookies(struct weft_mock_request *request)
{
    send_pairs(request, "cookies", next_cookie);
}

static bool is_attribute(const char *name)
{
    static const char *const names[] = {"Domain", "Expires",  "HttpOnly", "Max-Age",
                                        "Path",   "SameSite", "Secure"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return false;
}

/* "; Path=/x; Secure" for what the query says of all cookies. */
static void append_attributes(struct weft_buffer *line, struct weft_http_exchange *exchange)
{
    const char *name, *value;
    bool has_path = false;
    for (size_t position = 0; weft_http_query_next(exchange, &position, &name, &value) > 0;) {
        if (!is_attribute(name))
            continue;
        has_path = has_path || strcmp(name, "Path") == 0;
        weft_buffer_append_string(line, "; ");
        weft_buffer_append_string(line, name);
        if (*value) {
            weft_buffer_append_char(line, '=');
            weft_buffer_append_string(line, value);
        }
    }
    if (!has_path)
        weft_buffer_append_string(line, "; Path=/");
}

/* Each parameter is a cookie, but those that are attributes of them all. */
void weft_mock_set_cookies(struct weft_mock_request *request)
{
    struct weft_http_exchange *exchange = request->exchange;
    const char *name, *value;
    struct weft_buffer line;
    weft_buffer_init(&line, COOKIE_MAX);
    for (size_t position = 0; weft_http_query_next(exchange, &position, &name, &value) > 0;) {
        if (is_attribute(name) || *name == '\0')
            continue;
        weft_buffer_clear(&line);
        weft_buffer_append_string(&line, name);
        weft_buffer_append_char(&line, '=');
        weft_buffer_append_string(&line, value);
        append_attributes(&line, exchange);
        weft_buffer_append_char(&line, '\0');
        if (line.err) {
            weft_mock_reply_error(request, 422, "the cookie is longer than 4096 bytes");
            weft_buffer_deinit(&line);
            return;
        }
        weft_http_reply_header(exchange, "Set-Cookie", line.data);
    }
    weft_buffer_deinit(&line);
    weft_http_reply_header(exchange, "Location", "/cookies");
    weft_mock_reply_json(request, 302, "{\"location\": \"/cookies\"}");
}
