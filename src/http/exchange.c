/* SPDX-License-Identifier: MIT
 * exchange.c - what handlers call: reading the request, composing the reply. */
#include <http/exchange.h>
#include <http/method.h>
#include <http/target.h>

#include <os/clock.h>

#include <errno.h>
#include <string.h>
#include <strings.h>

void weft_http_exchange_init(struct weft_http_exchange *exchange, struct weft_buffer *out)
{
    *exchange = (struct weft_http_exchange){.out = out};
    weft_buffer_init(&exchange->fields, WEFT_HTTP_FIELDS_BYTES_MAX);
    weft_buffer_init(&exchange->params, WEFT_HTTP_URL_BYTES_MAX + 1);
    weft_buffer_init(&exchange->query, (size_t)2 * WEFT_HTTP_URL_BYTES_MAX);
    weft_buffer_init(&exchange->detail, WEFT_HTTP_REPLY_BYTES_MAX);
}

void weft_http_exchange_deinit(struct weft_http_exchange *exchange)
{
    weft_buffer_deinit(&exchange->fields);
    weft_buffer_deinit(&exchange->params);
    weft_buffer_deinit(&exchange->query);
    weft_buffer_deinit(&exchange->detail);
}

void weft_http_exchange_begin(struct weft_http_exchange *exchange,
                              struct weft_http_incoming *request)
{
    exchange->request = request;
    exchange->match = (struct weft_http_match){0};
    exchange->decided = exchange->head_only = exchange->close = false;
    exchange->stream = WEFT_HTTP_STREAM_NONE;
    exchange->framing = WEFT_HTTP_UNTIL_CLOSE;
    exchange->raw = false;
    exchange->left = 0;
    exchange->status = exchange->spoiled = exchange->failure = 0;
    weft_buffer_clear(&exchange->fields);
    weft_buffer_clear(&exchange->params);
    weft_buffer_clear(&exchange->query);
    weft_buffer_clear(&exchange->detail);
}

/* ---- the request ------------------------------------------------------------------------ */

const char *weft_http_method(const struct weft_http_exchange *exchange)
{
    return weft_http_method_name(exchange->request->method);
}

const char *weft_http_path(const struct weft_http_exchange *exchange)
{
    return exchange->request->path.text;
}

const char *weft_http_body(const struct weft_http_exchange *exchange, size_t *ret_len)
{
    const struct weft_http_incoming *request = exchange->request;
    if (ret_len)
        *ret_len = request->body_len; /* 0 as long as there is only the head */
    return exchange->head_only ? "" : request->message + request->body_at;
}

const char *weft_http_header(const struct weft_http_exchange *exchange, const char *name)
{
    const struct weft_http_incoming *request = exchange->request;
    size_t len = strlen(name);
    for (size_t i = 0; i < request->headers_count; i++) {
        const struct weft_http_header *header = &request->headers[i];
        if (header->name.len == len && strcasecmp(weft_http_text(request, header->name), name) == 0)
            return weft_http_text(request, header->value);
    }
    return NULL;
}

int weft_http_header_next(const struct weft_http_exchange *exchange, size_t *position,
                          const char **ret_name, const char **ret_value)
{
    const struct weft_http_incoming *request = exchange->request;
    if (*position >= request->headers_count)
        return 0;
    const struct weft_http_header *header = &request->headers[(*position)++];
    *ret_name = weft_http_text(request, header->name);
    *ret_value = weft_http_text(request, header->value);
    return 1;
}

int weft_http_exchange_route(struct weft_http_exchange *exchange, struct weft_http_match match)
{
    const struct weft_http_path *path = &exchange->request->path;
    exchange->match = match;
    if (match.params_count == 0)
        return 0;
    weft_buffer_clear(&exchange->params);
    char *text = weft_buffer_reserve(&exchange->params, path->len + 1);
    if (!text)
        return exchange->params.err;
    memcpy(text, path->text, path->len + 1);
    for (unsigned i = 0; i < path->segments_count; i++)
        text[path->segments[i].at + path->segments[i].len] = '\0';
    return 0;
}

const char *weft_http_param(const struct weft_http_exchange *exchange, const char *name)
{
    const struct weft_http_match *match = &exchange->match;
    size_t len = strlen(name);
    for (unsigned i = 0; i < match->params_count; i++) {
        const struct weft_http_param_place *place = &match->params[i];
        if (place->name_len == len && memcmp(place->name, name, len) == 0)
            return exchange->params.data + exchange->request->path.segments[place->segment].at;
    }
    return NULL;
}

/* One "name=value" of a query, decoded and with a NUL behind each half. */
static void append_pair(struct weft_buffer *pairs, const char *text, size_t len)
{
    const char *equals = memchr(text, '=', len);
    size_t name_len = equals ? (size_t)(equals - text) : len;
    size_t value_len = equals ? len - name_len - 1 : 0;
    char *at = weft_buffer_reserve(pairs, len + 2);
    if (!at)
        return;
    char *begin = at;
    at += weft_http_query_decode(at, text, name_len);
    *at++ = '\0';
    at += weft_http_query_decode(at, equals ? equals + 1 : text, value_len);
    *at++ = '\0';
    pairs->len += (size_t)(at - begin);
}

/* Split the query string once. Room for all is reserved first: what callers got must not move. */
static int split_query(struct weft_http_exchange *exchange)
{
    struct weft_http_span query = exchange->request->query;
    const char *text = weft_http_text(exchange->request, query);
    const char *end = text + query.len;
    struct weft_buffer *pairs = &exchange->query;
    if (pairs->len > 0 || query.len == 0)
        return 0;
    if (!weft_buffer_reserve(pairs, 2 * (size_t)query.len + 2))
        return pairs->err;
    while (text < end) {
        const char *mark = memchr(text, '&', (size_t)(end - text));
        const char *stop = mark ? mark : end;
        if (stop > text)
            append_pair(pairs, text, (size_t)(stop - text));
        text = stop + 1;
    }
    return 0;
}

int weft_http_query_next(struct weft_http_exchange *exchange, size_t *position,
                         const char **ret_name, const char **ret_value)
{
    const struct weft_buffer *pairs = &exchange->query;
    int err = split_query(exchange);
    if (err < 0)
        return err;
    if (*position >= pairs->len)
        return 0;
    const char *name = pairs->data + *position, *value = name + strlen(name) + 1;
    *position = (size_t)(value + strlen(value) + 1 - pairs->data);
    *ret_name = name;
    *ret_value = value;
    return 1;
}

const char *weft_http_query(struct weft_http_exchange *exchange, const char *name)
{
    const char *at, *value;
    size_t position = 0;
    while (weft_http_query_next(exchange, &position, &at, &value) > 0)
        if (strcmp(at, name) == 0)
            return value;
    return NULL;
}

/* ---- the reply -------------------------------------------------------------------------- */

/* The handler, or the server for it, has a status that no reply can have. */
static bool status_valid(int status)
{
    return status >= 200 && status <= 599;
}

void weft_http_exchange_head(struct weft_http_exchange *exchange, int status,
                             const char *content_type, struct weft_http_reply_head *ret_head)
{
    const struct weft_http_incoming *request = exchange->request;
    exchange->close = exchange->close || *exchange->draining;
    *ret_head = (struct weft_http_reply_head){
        .status = status,
        .date = weft_http_date_at(exchange->date, weft_clock_unix_us() / 1000000),
        .server_name = exchange->server_name,
        .content_type = content_type,
        .fields = exchange->fields.data,
        .fields_len = exchange->fields.len,
        .close = exchange->close,
        .keep_alive = request->version_minor == 0,
        .body_hidden = request->method == HTTP_HEAD,
    };
}

static int append_reply(struct weft_http_exchange *exchange, int status, const char *content_type,
                        const void *body, size_t len)
{
    struct weft_http_reply_head head;
    weft_http_exchange_head(exchange, status, content_type, &head);
    return weft_http_reply_append(exchange->out, &head, body, len);
}

/* Say at least that it went wrong. This reply needs no memory but the output's. */
static void fail(struct weft_http_exchange *exchange, int err, const char *body)
{
    weft_buffer_clear(&exchange->fields);
    exchange->close = true;
    exchange->spoiled = err;
    exchange->failure = append_reply(exchange, 500, "application/json", body, strlen(body));
}

void weft_http_reply(struct weft_http_exchange *exchange, int status, const char *content_type,
                     const void *body, size_t len)
{
    if (exchange->status)
        return;
    exchange->status = status_valid(status) ? status : 500;
    int err = exchange->fields.err;
    if (err) {
        fail(exchange, err, "{\"detail\": \"reply headers too large\"}");
    } else if (!status_valid(status)) {
        fail(exchange, -EINVAL, "{\"detail\": \"invalid status\"}");
    } else {
        err = append_reply(exchange, status, content_type, body, len);
        if (err < 0)
            fail(exchange, err, "{\"detail\": \"reply too large\"}");
    }
}

void weft_http_reply_header(struct weft_http_exchange *exchange, const char *name,
                            const char *value)
{
    /* -EINVAL: a header the server sends itself, or no header name at all, is left out. */
    int err = weft_http_field_append(&exchange->fields, name, value);
    if (err < 0 && err != -EINVAL)
        exchange->fields.err = err;
}

void weft_http_reply_error(struct weft_http_exchange *exchange, int status, const char *detail)
{
    if (exchange->status)
        return;
    struct weft_buffer *body = &exchange->detail;
    weft_buffer_clear(body);
    weft_buffer_append_string(body, "{\"detail\": ");
    weft_buffer_append_json_string(body, detail, strlen(detail));
    weft_buffer_append_char(body, '}');
    if (body->err) {
        exchange->status = 500;
        fail(exchange, body->err, "{\"detail\": \"out of memory\"}");
        return;
    }
    weft_http_reply(exchange, status, "application/json", body->data, body->len);
}

static void allow(struct weft_http_exchange *exchange, uint64_t methods)
{
    char list[512]; /* all names of llhttp together take 330 bytes */
    size_t len = 0;
    for (unsigned i = 0; i < WEFT_HTTP_METHODS; i++) {
        const char *name = methods & weft_http_method_bit(i) ? weft_http_method_name(i) : NULL;
        size_t name_len = name ? strlen(name) : 0;
        if (!name || len + name_len + 3 > sizeof list)
            continue;
        if (len > 0) {
            memcpy(list + len, ", ", 2);
            len += 2;
        }
        memcpy(list + len, name, name_len);
        len += name_len;
    }
    list[len] = '\0';
    weft_http_reply_header(exchange, "Allow", list);
}

void weft_http_exchange_reply_unrouted(struct weft_http_exchange *exchange, uint64_t methods)
{
    bool asks = exchange->request->method == HTTP_OPTIONS;
    if (methods == 0 && !exchange->request->any_target) {
        weft_http_reply_error(exchange, 404, "Not Found");
        return;
    }
    if (methods & weft_http_method_bit(HTTP_GET))
        methods |= weft_http_method_bit(HTTP_HEAD);
    allow(exchange, methods | weft_http_method_bit(HTTP_OPTIONS));
    if (asks)
        weft_http_reply(exchange, 204, NULL, NULL, 0);
    else
        weft_http_reply_error(exchange, 405, "Method Not Allowed");
}
