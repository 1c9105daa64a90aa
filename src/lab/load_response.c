/* SPDX-License-Identifier: MIT
 * load_response.c - see load_response.h. */
#include <lab/load_response.h>

#include <ctype.h>
#include <string.h>

#define STATUS_SWITCHING_PROTOCOLS 101
#define STATUS_NO_CONTENT          204
#define STATUS_NOT_MODIFIED        304

#define ALLOW                      "allow"
#define ALLOW_LEN                  (sizeof ALLOW - 1)

/* 100 Continue and the like: the final response follows. */
static bool is_interim(const llhttp_t *parser)
{
    return parser->status_code / 100 == 1 && parser->status_code != STATUS_SWITCHING_PROTOCOLS;
}

static int on_message_begin(llhttp_t *parser)
{
    struct weft_load_response *response = parser->data;
    response->field_len = response->allow_len = 0;
    response->allow_field = false;
    return 0;
}

static int on_header_field(llhttp_t *parser, const char *at, size_t len)
{
    struct weft_load_response *response = parser->data;
    for (size_t i = 0; i < len && response->field_len < sizeof response->field; i++)
        response->field[response->field_len++] = (char)tolower((unsigned char)at[i]);
    return 0;
}

static int on_header_field_complete(llhttp_t *parser)
{
    struct weft_load_response *response = parser->data;
    response->allow_field =
        response->field_len == ALLOW_LEN && memcmp(response->field, ALLOW, ALLOW_LEN) == 0;
    response->field_len = 0;
    return 0;
}

static int on_header_value(llhttp_t *parser, const char *at, size_t len)
{
    struct weft_load_response *response = parser->data;
    if (!response->allow_field)
        return 0;
    size_t room = sizeof response->allow - 1 - response->allow_len;
    if (len > room)
        len = room;
    memcpy(response->allow + response->allow_len, at, len);
    response->allow_len += len;
    response->allow[response->allow_len] = '\0';
    return 0;
}

/* 1 tells llhttp that no body follows, whatever the headers say (RFC 9112, 6.3). */
static int on_headers_complete(llhttp_t *parser)
{
    struct weft_load_response *response = parser->data;
    bool bodiless = response->head || parser->status_code == STATUS_NO_CONTENT ||
                    parser->status_code == STATUS_NOT_MODIFIED;
    response->head_complete = !is_interim(parser);
    response->body_len = bodiless || (parser->flags & F_CHUNKED) ? 0 : parser->content_length;
    return bodiless;
}

static int on_message_complete(llhttp_t *parser)
{
    struct weft_load_response *response = parser->data;
    if (is_interim(parser))
        return 0;
    response->complete = true;
    response->status = parser->status_code;
    response->keep_alive =
        parser->status_code != STATUS_SWITCHING_PROTOCOLS && llhttp_should_keep_alive(parser) != 0;
    return HPE_PAUSED; /* so that bytes behind the end are noticed */
}

static const llhttp_settings_t settings = {
    .on_message_begin = on_message_begin,
    .on_header_field = on_header_field,
    .on_header_field_complete = on_header_field_complete,
    .on_header_value = on_header_value,
    .on_headers_complete = on_headers_complete,
    .on_message_complete = on_message_complete,
};

void weft_load_response_init(struct weft_load_response *response)
{
    *response = (struct weft_load_response){0};
    llhttp_init(&response->parser, HTTP_RESPONSE, &settings);
    response->parser.data = response;
}

void weft_load_response_begin(struct weft_load_response *response, bool head,
                              struct weft_load_known *known)
{
    response->head = head;
    response->known = known;
    response->started = response->head_complete = response->complete = false;
    response->head_bytes = 0;
    response->status = 0;
    if (llhttp_get_errno(&response->parser) == HPE_PAUSED)
        llhttp_resume(&response->parser);
}

static void remember(struct weft_load_response *response, const char *data, size_t len)
{
    struct weft_load_known *known = response->known;
    known->head_len = 0;
    if (!response->keep_alive || response->body_len >= len ||
        len - response->body_len > sizeof known->head)
        return;
    known->head_len = len - (size_t)response->body_len;
    known->response_len = len;
    known->status = response->status;
    memcpy(known->head, data, known->head_len);
}

static bool is_known(const struct weft_load_known *known, const char *data, size_t len)
{
    return known->head_len > 0 && len >= known->response_len &&
           memcmp(data, known->head, known->head_len) == 0;
}

enum weft_load_progress weft_load_response_feed(struct weft_load_response *response,
                                                const char *data, size_t len, size_t *ret_used)
{
    bool first = !response->started;
    *ret_used = len;
    if (len == 0)
        return WEFT_LOAD_MORE;
    response->started = true;
    if (first && is_known(response->known, data, len)) {
        response->status = response->known->status;
        response->keep_alive = true;
        *ret_used = response->known->response_len;
        return WEFT_LOAD_COMPLETE;
    }
    llhttp_errno_t err = llhttp_execute(&response->parser, data, len);
    if (!response->head_complete)
        response->head_bytes += len;
    if (!response->complete)
        return err == HPE_OK && response->head_bytes < WEFT_LOAD_HEAD_BYTES_MAX
                   ? WEFT_LOAD_MORE
                   : WEFT_LOAD_MALFORMED;
    if (err != HPE_PAUSED) /* what follows is for another protocol */
        response->keep_alive = false;
    else
        *ret_used = (size_t)(llhttp_get_error_pos(&response->parser) - data);
    if (first)
        remember(response, data, *ret_used);
    return WEFT_LOAD_COMPLETE;
}

enum weft_load_progress weft_load_response_end(struct weft_load_response *response)
{
    (void)llhttp_finish(&response->parser);
    response->keep_alive = false;
    return response->complete ? WEFT_LOAD_COMPLETE : WEFT_LOAD_MORE;
}
