/* SPDX-License-Identifier: MIT
 * engine_wire_response.c - see engine_wire_response.h. */
#include <fetch/engine_wire_response.h>

#include <errno.h>
#include <string.h>

#define STATUS_SWITCHING_PROTOCOLS 101
#define STATUS_NO_CONTENT          204
#define STATUS_NOT_MODIFIED        304

/* llhttp says that a value is complete when it has seen the byte behind its line's end, which may
 * be the first of a read: the NUL goes before that one. */
#define HEAD_GAP 1

/* 100 Continue and the like: the final response follows. */
static bool is_interim(const llhttp_t *parser)
{
    return parser->status_code / 100 == 1 && parser->status_code != STATUS_SWITCHING_PROTOCOLS;
}

/* Move bytes that were read to the end of what is kept: always to the front, or nowhere. */
static void keep(struct weft_fetch_wire_response *response, const char *at, size_t len)
{
    struct weft_buffer *buffer = response->buffer;
    char *to = buffer->data + buffer->len;
    if (to != at)
        memmove(to, at, len);
    buffer->len += len;
}

static void end_text(struct weft_fetch_wire_response *response)
{
    struct weft_buffer *buffer = response->buffer;
    while (buffer->len > response->fields_at &&
           (buffer->data[buffer->len - 1] == ' ' || buffer->data[buffer->len - 1] == '\t'))
        buffer->len--;
    buffer->data[buffer->len++] = '\0'; /* where a colon or a line's end stood, or before */
}

static int on_message_begin(llhttp_t *parser)
{
    struct weft_fetch_wire_response *response = parser->data;
    response->buffer->len = response->fields_at; /* what came before was interim */
    return 0;
}

static int on_header(llhttp_t *parser, const char *at, size_t len)
{
    struct weft_fetch_wire_response *response = parser->data;
    if (!response->head_ended) /* not of a trailer */
        keep(response, at, len);
    return 0;
}

static int on_header_complete(llhttp_t *parser)
{
    struct weft_fetch_wire_response *response = parser->data;
    if (!response->head_ended)
        end_text(response);
    return 0;
}

/* 1 tells llhttp that no body follows, whatever the head says (RFC 9112, 6.3). */
static int on_headers_complete(llhttp_t *parser)
{
    struct weft_fetch_wire_response *response = parser->data;
    if (is_interim(parser))
        return 0;
    response->head_ended = true;
    response->body_at = response->buffer->len;
    bool bodiless = response->is_head || parser->status_code == STATUS_NO_CONTENT ||
                    parser->status_code == STATUS_NOT_MODIFIED;
    if (!bodiless && !(parser->flags & F_CHUNKED) && (parser->flags & F_CONTENT_LENGTH) &&
        parser->content_length > response->body_max) {
        response->err = -EMSGSIZE;
        response->why = "the body is larger than allowed";
        return -1;
    }
    return bodiless;
}

static int on_body(llhttp_t *parser, const char *at, size_t len)
{
    struct weft_fetch_wire_response *response = parser->data;
    response->body_bytes += len;
    if (response->body_bytes > response->body_max) {
        response->err = -EMSGSIZE;
        response->why = "the body is larger than allowed";
        return -1;
    }
    if (response->keeps_body)
        keep(response, at, len);
    return 0;
}

static int on_message_complete(llhttp_t *parser)
{
    struct weft_fetch_wire_response *response = parser->data;
    if (is_interim(parser))
        return 0;
    response->complete = true;
    response->keep_alive =
        parser->status_code != STATUS_SWITCHING_PROTOCOLS && llhttp_should_keep_alive(parser) != 0;
    return HPE_PAUSED; /* so that bytes behind the end are noticed */
}

static const llhttp_settings_t settings = {
    .on_message_begin = on_message_begin,
    .on_header_field = on_header,
    .on_header_field_complete = on_header_complete,
    .on_header_value = on_header,
    .on_header_value_complete = on_header_complete,
    .on_headers_complete = on_headers_complete,
    .on_body = on_body,
    .on_message_complete = on_message_complete,
};

void weft_fetch_wire_response_begin(struct weft_fetch_wire_response *response,
                                    struct weft_buffer *buffer, bool is_head, bool keeps_body,
                                    size_t body_max)
{
    *response = (struct weft_fetch_wire_response){
        .buffer = buffer,
        .fields_at = buffer->len,
        .body_at = buffer->len,
        .body_max = body_max,
        .keeps_body = keeps_body,
        .is_head = is_head,
    };
    llhttp_init(&response->parser, HTTP_RESPONSE, &settings);
    response->parser.data = response;
}

char *weft_fetch_wire_response_room(struct weft_fetch_wire_response *response, size_t len)
{
    response->gap = response->head_ended ? 0 : HEAD_GAP;
    char *room = weft_buffer_reserve(response->buffer, len + response->gap);
    return room ? room + response->gap : NULL;
}

static int fail(struct weft_fetch_wire_response *response, int err, const char *why)
{
    if (response->err == 0) {
        response->err = err;
        response->why = why;
    }
    return response->err;
}

static int feed_end(struct weft_fetch_wire_response *response)
{
    (void)llhttp_finish(&response->parser);
    response->keep_alive = false;
    if (response->complete)
        return 0;
    return fail(response, -ECONNRESET,
                response->received == 0 ? "the connection was closed without an answer"
                : !response->head_ended ? "the connection was closed in the middle of a head"
                                        : "the connection was closed in the middle of a body");
}

int weft_fetch_wire_response_feed(struct weft_fetch_wire_response *response, size_t len)
{
    const char *data = response->buffer->data + response->buffer->len + response->gap;
    if (len == 0)
        return feed_end(response);
    response->received += len;
    llhttp_errno_t code = llhttp_execute(&response->parser, data, len);
    if (!response->head_ended)
        response->head_bytes += len;
    if (response->complete) {
        /* Bytes nobody asked for: this answer counts, the next one could not be told apart. */
        if (code != HPE_PAUSED || llhttp_get_error_pos(&response->parser) != data + len)
            response->keep_alive = false;
        return 0;
    }
    if (code != HPE_OK)
        return fail(response, -EPROTO, "what came is not HTTP");
    if (response->head_bytes >= WEFT_FETCH_HEAD_MAX)
        return fail(response, -EMSGSIZE, "the head is larger than 64 KiB");
    return 0;
}
