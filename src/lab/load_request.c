/* SPDX-License-Identifier: MIT
 * load_request.c - see load_request.h. */
#include <lab/load_request.h>

#include <weft/base.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_BYTES_MAX ((size_t)64 << 20)
#define PLACE          "{i}"
#define PLACE_LEN      (sizeof PLACE - 1)

int weft_load_request_init(struct weft_load_request *request,
                           const struct weft_load_message *message)
{
    *request = (struct weft_load_request){.message = message};
    weft_buffer_init(&request->text, TEXT_BYTES_MAX);
    const char *at = message->body;
    while (at && (at = strstr(at, PLACE))) {
        request->places_count++;
        at += PLACE_LEN;
    }
    if (request->places_count > 0) {
        request->places = calloc(request->places_count, sizeof *request->places);
        if (!request->places)
            return -ENOMEM;
    }
    return 0;
}

void weft_load_request_deinit(struct weft_load_request *request)
{
    weft_buffer_deinit(&request->text);
    free(request->places);
    request->places = NULL;
}

static void append_head(struct weft_load_request *request, size_t body_len)
{
    const struct weft_load_message *message = request->message;
    const struct weft_load_url *url = message->url;
    struct weft_buffer *text = &request->text;
    weft_buffer_append_string(text, message->method);
    weft_buffer_append_char(text, ' ');
    if (url->target_len == 0 || url->target[0] != '/')
        weft_buffer_append_char(text, '/');
    weft_buffer_append(text, url->target, url->target_len);
    weft_buffer_append_string(text, " HTTP/1.1\r\nHost: ");
    weft_buffer_append(text, url->authority, url->authority_len);
    weft_buffer_append_string(text, "\r\nUser-Agent: weft/" WEFT_VERSION "\r\nAccept: */*\r\n");
    if (message->body) {
        if (message->content_type) {
            weft_buffer_append_string(text, "Content-Type: ");
            weft_buffer_append_string(text, message->content_type);
            weft_buffer_append_string(text, "\r\n");
        }
        weft_buffer_append_string(text, "Content-Length: ");
        weft_buffer_append_int(text, (int64_t)body_len);
        weft_buffer_append_string(text, "\r\n");
    } else if (strcmp(message->method, "POST") == 0 || strcmp(message->method, "PUT") == 0 ||
               strcmp(message->method, "PATCH") == 0) {
        weft_buffer_append_string(text, "Content-Length: 0\r\n"); /* RFC 9110, 8.6 */
    }
    weft_buffer_append_string(text, "\r\n");
}

/* Lay everything out with room for numbers of so many digits, which the caller fills in. */
static int lay_out(struct weft_load_request *request, unsigned digits)
{
    const char *body = request->message->body ? request->message->body : "";
    size_t body_len = strlen(body);
    weft_buffer_clear(&request->text);
    append_head(request,
                body_len - request->places_count * PLACE_LEN + request->places_count * digits);
    for (size_t i = 0; i < request->places_count; i++) {
        const char *place = strstr(body, PLACE);
        weft_buffer_append(&request->text, body, (size_t)(place - body));
        request->places[i] = request->text.len;
        weft_buffer_append(&request->text, "00000000000000000000", digits);
        body = place + PLACE_LEN;
    }
    weft_buffer_append_string(&request->text, body);
    request->digits = request->text.err ? 0 : digits;
    return request->text.err;
}

int weft_load_request_set_number(struct weft_load_request *request, uint64_t number)
{
    char text[20]; /* the digits of UINT64_MAX */
    unsigned digits = 0;
    if (request->places_count == 0 && request->digits > 0)
        return 0;
    do {
        text[sizeof text - ++digits] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    if (digits != request->digits) {
        int err = lay_out(request, digits);
        if (err)
            return err;
    }
    for (size_t i = 0; i < request->places_count; i++)
        memcpy(request->text.data + request->places[i], text + sizeof text - digits, digits);
    return 0;
}
