/* SPDX-License-Identifier: MIT
 * request_parser.c - llhttp's callbacks fill in the request. See request_parser.h.
 *
 * The body of a chunked request is moved together in place: its pieces never overtake the bytes
 * they come from. */
#include <http/head_check.h>
#include <http/method.h>
#include <http/request_parser.h>

#include <string.h>

/* What chunked framing may cost: chunks of one byte with a plain size line need 6 bytes each, and
 * the trailers may be as long as a head. Beyond it somebody sends nothing but chunk extensions. */
#define FRAMING_PER_BYTE 16

static int refuse(struct weft_http_parser *parser, int status, const char *detail)
{
    if (!parser->refusal.status)
        parser->refusal = (struct weft_http_refusal){status, detail};
    return -1;
}

static struct weft_http_parser *parser_of(llhttp_t *llhttp)
{
    return llhttp->data;
}

static uint32_t offset(const struct weft_http_parser *parser, const char *at)
{
    return (uint32_t)(at - parser->request.message);
}

/* ---- callbacks: spans arrive in pieces, cut wherever a read ended ----------------------- */

static int on_url(llhttp_t *llhttp, const char *at, size_t len)
{
    struct weft_http_parser *parser = parser_of(llhttp);
    struct weft_http_span *url = &parser->request.url;
    if (url->len == 0)
        url->at = offset(parser, at);
    url->len += (uint32_t)len;
    if (url->len > WEFT_HTTP_URL_BYTES_MAX)
        return refuse(parser, 414, "request target too long");
    return 0;
}

static int on_header_field(llhttp_t *llhttp, const char *at, size_t len)
{
    struct weft_http_parser *parser = parser_of(llhttp);
    struct weft_http_incoming *request = &parser->request;
    if (request->head_complete)
        return 0; /* trailers are read and dropped */
    if (!parser->field_open) {
        if (request->headers_count == WEFT_HTTP_HEADERS_MAX)
            return refuse(parser, 431, "too many headers");
        parser->field_open = true;
        request->headers[request->headers_count++] =
            (struct weft_http_header){.name.at = offset(parser, at)};
    }
    request->headers[request->headers_count - 1].name.len += (uint32_t)len;
    return 0;
}

static int on_header_field_complete(llhttp_t *llhttp)
{
    parser_of(llhttp)->field_open = false;
    return 0;
}

static int on_header_value(llhttp_t *llhttp, const char *at, size_t len)
{
    struct weft_http_parser *parser = parser_of(llhttp);
    struct weft_http_incoming *request = &parser->request;
    if (request->head_complete || request->headers_count == 0)
        return 0;
    struct weft_http_span *value = &request->headers[request->headers_count - 1].value;
    if (value->len == 0)
        value->at = offset(parser, at);
    value->len += (uint32_t)len;
    return 0;
}

static int on_headers_complete(llhttp_t *llhttp)
{
    struct weft_http_parser *parser = parser_of(llhttp);
    const struct weft_http_incoming *request = &parser->request;
    parser->refusal = weft_http_head_check(&parser->request, llhttp, parser->message_len,
                                           parser->header_bytes_max);
    if (parser->refusal.status)
        return -1;
    return request->chunked || request->content_length > 0 ? HPE_PAUSED : 0;
}

static int on_chunk_header(llhttp_t *llhttp)
{
    struct weft_http_parser *parser = parser_of(llhttp);
    if (llhttp->content_length > parser->body_bytes_max - parser->request.body_len)
        return refuse(parser, 413, "request body too large");
    return 0;
}

static int on_body(llhttp_t *llhttp, const char *at, size_t len)
{
    struct weft_http_parser *parser = parser_of(llhttp);
    struct weft_http_incoming *request = &parser->request;
    if (len > parser->body_bytes_max - request->body_len)
        return refuse(parser, 413, "request body too large");
    char *end = request->message + request->body_at + request->body_len;
    if (end != at)
        memmove(end, at, len);
    request->body_len += len;
    return 0;
}

static int on_message_complete(llhttp_t *llhttp)
{
    parser_of(llhttp)->complete = true;
    return HPE_PAUSED; /* what follows belongs to the next request */
}

static const llhttp_settings_t settings = {
    .on_url = on_url,
    .on_header_field = on_header_field,
    .on_header_field_complete = on_header_field_complete,
    .on_header_value = on_header_value,
    .on_headers_complete = on_headers_complete,
    .on_chunk_header = on_chunk_header,
    .on_body = on_body,
    .on_message_complete = on_message_complete,
};

/* ---- verdicts --------------------------------------------------------------------------- */

/* llhttp gave up on a version. Behind "HTTP/" it read "D.D": well-formed, but not ours. Anything
 * else is noise. */
static bool names_a_version(const char *message, size_t len)
{
    if (len < 3)
        return false;
    const char *version = message + len - 3;
    return version[0] >= '0' && version[0] <= '9' && version[1] == '.' && version[2] >= '0' &&
           version[2] <= '9' && memcmp(version, "1.1", 3) != 0 && memcmp(version, "1.0", 3) != 0;
}

/* An unknown method is answered with 400, though RFC 9110 would like 501: llhttp stops at its first
 * strange letter, and whether a method or noise goes on there may not have arrived yet. The answer
 * must not depend on how the bytes were cut. */
static enum weft_http_verdict malformed(struct weft_http_parser *parser, llhttp_errno_t error)
{
    const char *message = parser->request.message;
    const char *at = llhttp_get_error_pos(&parser->llhttp);
    size_t len = at ? (size_t)(at - message) : 0;
    if (error == HPE_PAUSED_H2_UPGRADE ||
        (error == HPE_INVALID_VERSION && names_a_version(message, len)))
        refuse(parser, 505, "HTTP/1.1 and HTTP/1.0 only");
    else if (error == HPE_INVALID_METHOD)
        refuse(parser, 400, "malformed request or unknown method");
    else
        refuse(parser, 400, llhttp_get_error_reason(&parser->llhttp));
    return WEFT_HTTP_REFUSED;
}

/* Count the bytes of the message up to end that came since the last call as the body's; false when
 * too many of them are framing. */
static bool framing_bearable(struct weft_http_parser *parser, size_t end)
{
    const struct weft_http_incoming *request = &parser->request;
    size_t counted = parser->parsed > request->body_at ? parser->parsed : request->body_at;
    parser->body_received += end - counted;
    return parser->body_received - request->body_len <=
           parser->header_bytes_max + FRAMING_PER_BYTE * request->body_len;
}

/* All bytes are seen and the message goes on. */
static enum weft_http_verdict more(struct weft_http_parser *parser, size_t *len)
{
    const struct weft_http_incoming *request = &parser->request;
    if (*len > parser->parsed)
        parser->last_byte = request->message[*len - 1];
    if (!request->head_complete) {
        parser->parsed = *len;
        if (*len <= parser->header_bytes_max)
            return WEFT_HTTP_MORE;
        refuse(parser, 431, "headers too large");
        return WEFT_HTTP_REFUSED;
    }
    bool bearable = framing_bearable(parser, *len);
    parser->parsed = *len = request->body_at + request->body_len;
    if (bearable)
        return WEFT_HTTP_MORE;
    refuse(parser, 413, "too much chunked framing");
    return WEFT_HTTP_REFUSED;
}

/* End the body with a NUL without harming the message behind it. */
static void terminate_body(struct weft_http_parser *parser, size_t len)
{
    struct weft_http_incoming *request = &parser->request;
    size_t body_end = request->body_at + request->body_len;
    if (body_end == parser->end && body_end < len) {
        /* The head's last byte is no longer needed: move the body there. */
        char *body = request->message + request->body_at;
        memmove(body - 1, body, request->body_len);
        request->body_at--;
        body_end--;
    }
    request->message[body_end] = '\0';
}

static enum weft_http_verdict complete(struct weft_http_parser *parser, size_t len)
{
    const char *message = parser->request.message;
    parser->end = (size_t)(llhttp_get_error_pos(&parser->llhttp) - message);
    if (parser->request.chunked) {
        /* llhttp takes a bare line feed for the end of the trailers. */
        char before = parser->last_byte;
        if (parser->end - parser->parsed >= 2)
            before = message[parser->end - 2];
        if (before != '\r') {
            refuse(parser, 400, "line feed without carriage return");
            return WEFT_HTTP_REFUSED;
        }
        if (!framing_bearable(parser, parser->end)) {
            refuse(parser, 413, "too much chunked framing");
            return WEFT_HTTP_REFUSED;
        }
    }
    terminate_body(parser, len);
    return WEFT_HTTP_COMPLETE;
}

void weft_http_parser_begin(struct weft_http_parser *parser, size_t header_bytes_max)
{
    llhttp_init(&parser->llhttp, HTTP_REQUEST, &settings);
    parser->llhttp.data = parser;
    parser->header_bytes_max = header_bytes_max;
    parser->refusal = (struct weft_http_refusal){0};
    parser->parsed = parser->end = parser->body_received = 0;
    parser->field_open = parser->complete = false;
    /* Not the arrays: what their counts do not cover is never read. */
    struct weft_http_incoming *request = &parser->request;
    memset(request, 0, offsetof(struct weft_http_incoming, path));
    request->path.segments_count = 0;
    request->content_length = 0;
    request->body_at = request->body_len = request->headers_count = 0;
}

enum weft_http_verdict weft_http_parser_feed(struct weft_http_parser *parser, char *message,
                                             size_t *len)
{
    struct weft_http_incoming *request = &parser->request;
    request->message = message;
    request->path.text = message + request->path_at;
    parser->message_len = *len;
    llhttp_errno_t error =
        llhttp_execute(&parser->llhttp, message + parser->parsed, *len - parser->parsed);
    if (parser->refusal.status)
        return WEFT_HTTP_REFUSED;
    if (parser->complete)
        return complete(parser, *len);
    if (error == HPE_PAUSED) {
        parser->parsed = request->body_at;
        return WEFT_HTTP_HEAD;
    }
    return error == HPE_OK ? more(parser, len) : malformed(parser, error);
}

enum weft_http_verdict weft_http_parser_expect(struct weft_http_parser *parser,
                                               size_t body_bytes_max, char *message, size_t *len)
{
    parser->body_bytes_max = body_bytes_max;
    if (parser->request.content_length > body_bytes_max) {
        refuse(parser, 413, "request body too large");
        return WEFT_HTTP_REFUSED;
    }
    llhttp_resume(&parser->llhttp);
    return weft_http_parser_feed(parser, message, len);
}
