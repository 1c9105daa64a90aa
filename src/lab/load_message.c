/* SPDX-License-Identifier: MIT
 * load_message.c - see load_message.h. */
#include <lab/load_message.h>

#include <weft/base.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define TEXT_BYTES_MAX ((size_t)32 << 20)
#define PLACE          "{i}"
#define PLACE_LEN      (sizeof PLACE - 1)
#define PLACES_ROOM    8u  /* to begin with */
#define DIGITS_MAX     20u /* of UINT64_MAX */

/* ---- headers --------------------------------------------------------------------------- */

/* RFC 9110, 5.6.2. */
static bool is_token_char(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
           (c != '\0' && strchr("!#$%&'*+-.^_`|~", c));
}

static bool has_name(const char *header, const char *name)
{
    size_t len = strlen(name);
    return strncasecmp(header, name, len) == 0 && header[len] == ':';
}

const char *weft_load_header_check(const char *header)
{
    size_t len = 0;
    while (is_token_char(header[len]))
        len++;
    if (len == 0 || header[len] != ':')
        return "a header is a name, a colon and a value, like X-Test: yes";
    if (has_name(header, "Content-Length") || has_name(header, "Transfer-Encoding"))
        return "the length of the body is the load's own to say";
    for (const char *at = header; *at; at++) {
        if (((unsigned char)*at < ' ' && *at != '\t') || *at == 127)
            return "it contains a line feed or another control character";
    }
    return NULL;
}

static bool replaces(const struct weft_load_request *request, const char *name)
{
    for (size_t i = 0; i < request->headers_count; i++) {
        if (has_name(request->headers[i], name))
            return true;
    }
    return false;
}

/* ---- making it ------------------------------------------------------------------------- */

static void add_place(struct weft_load_message *message, bool is_length)
{
    size_t count = message->places_count;
    if (message->text.err)
        return;
    if (count >= PLACES_ROOM ? (count & (count - 1)) == 0 : count == 0) {
        size_t room = count >= PLACES_ROOM ? 2 * count : PLACES_ROOM;
        void *places = reallocarray(message->places, room, sizeof message->places[0]);
        if (!places) {
            message->text.err = -ENOMEM;
            return;
        }
        message->places = places;
    }
    message->places[message->places_count++] =
        (struct weft_load_place){message->text.len, is_length};
}

/* Append text, noting the places in it. Returns how many there are. */
static size_t append_text(struct weft_load_message *message, const char *text, size_t len)
{
    size_t count = 0;
    for (;;) {
        const char *place = len > 0 ? memmem(text, len, PLACE, PLACE_LEN) : NULL;
        size_t before = place ? (size_t)(place - text) : len;
        weft_buffer_append(&message->text, text, before);
        if (!place)
            return count;
        add_place(message, false);
        count++;
        text += before + PLACE_LEN;
        len -= before + PLACE_LEN;
    }
}

static void append_header(struct weft_load_message *message, const char *text)
{
    (void)append_text(message, text, strlen(text));
    weft_buffer_append_string(&message->text, "\r\n");
}

static void append_length(struct weft_load_message *message)
{
    weft_buffer_append_string(&message->text, "Content-Length: ");
    if (message->body_places > 0)
        add_place(message, true);
    else
        weft_buffer_append_int(&message->text, (int64_t)message->body_len);
    weft_buffer_append_string(&message->text, "\r\n");
}

static void append_head(struct weft_load_message *message, const struct weft_load_request *request)
{
    const struct weft_load_url *url = request->url;
    const char *method = request->method;
    struct weft_buffer *text = &message->text;
    weft_buffer_append_string(text, method);
    weft_buffer_append_char(text, ' ');
    if (url->target_len == 0 || url->target[0] != '/')
        weft_buffer_append_char(text, '/');
    (void)append_text(message, url->target, url->target_len);
    weft_buffer_append_string(text, " HTTP/1.1\r\n");
    if (!replaces(request, "Host")) {
        weft_buffer_append_string(text, "Host: ");
        weft_buffer_append(text, url->authority, url->authority_len);
        weft_buffer_append_string(text, "\r\n");
    }
    if (!replaces(request, "User-Agent"))
        weft_buffer_append_string(text, "User-Agent: weft/" WEFT_VERSION "\r\n");
    if (!replaces(request, "Accept"))
        weft_buffer_append_string(text, "Accept: */*\r\n");
    for (size_t i = 0; i < request->headers_count; i++)
        append_header(message, request->headers[i]);
    if (request->body && request->content_type && !replaces(request, "Content-Type")) {
        weft_buffer_append_string(text, "Content-Type: ");
        weft_buffer_append_string(text, request->content_type);
        weft_buffer_append_string(text, "\r\n");
    }
    if (request->body || strcmp(method, "POST") == 0 || strcmp(method, "PUT") == 0 ||
        strcmp(method, "PATCH") == 0)
        append_length(message); /* RFC 9110, 8.6: also when it is 0 */
    weft_buffer_append_string(text, "\r\n");
}

static size_t count_places(const char *text, size_t len)
{
    size_t count = 0;
    const char *at = text, *end = text + len;
    while (at < end && (at = memmem(at, (size_t)(end - at), PLACE, PLACE_LEN))) {
        count++;
        at += PLACE_LEN;
    }
    return count;
}

int weft_load_message_init(struct weft_load_message *message,
                           const struct weft_load_request *request)
{
    *message = (struct weft_load_message){.head = strcmp(request->method, "HEAD") == 0};
    weft_buffer_init(&message->text, TEXT_BYTES_MAX);
    if (request->body) {
        message->body_places = count_places(request->body, request->body_len);
        message->body_len = request->body_len - message->body_places * PLACE_LEN;
    }
    append_head(message, request);
    if (request->body)
        (void)append_text(message, request->body, request->body_len);
    return message->text.err;
}

void weft_load_message_deinit(struct weft_load_message *message)
{
    weft_buffer_deinit(&message->text);
    free(message->places);
    message->places = NULL;
}

/* ---- sending it ------------------------------------------------------------------------ */

struct digits {
    char text[DIGITS_MAX];
    unsigned count; /* of them, at the end of text */
};

static struct digits digits_of(uint64_t number)
{
    struct digits digits = {.count = 0};
    do {
        digits.text[DIGITS_MAX - ++digits.count] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    return digits;
}

static void append_digits(struct weft_buffer *buffer, const struct digits *digits)
{
    weft_buffer_append(buffer, digits->text + DIGITS_MAX - digits->count, digits->count);
}

void weft_load_message_append(const struct weft_load_message *message, uint64_t number,
                              struct weft_buffer *buffer)
{
    const char *text = message->text.data;
    size_t done = 0;
    if (message->places_count > 0) {
        struct digits own = digits_of(number);
        struct digits length = digits_of(message->body_len + message->body_places * own.count);
        for (size_t i = 0; i < message->places_count; i++) {
            const struct weft_load_place *place = &message->places[i];
            weft_buffer_append(buffer, text + done, place->offset - done);
            append_digits(buffer, place->is_length ? &length : &own);
            done = place->offset;
        }
    }
    weft_buffer_append(buffer, text + done, message->text.len - done);
}
