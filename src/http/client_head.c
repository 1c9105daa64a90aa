/* SPDX-License-Identifier: MIT
 * client_head.c - the head of a response, line by line, and the response's fields. */
#include <http/client_internal.h>

#include <stdlib.h>
#include <string.h>
#include <strings.h>

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static void trim(const char **text, size_t *len)
{
    while (*len > 0 && is_blank(**text)) {
        (*text)++;
        (*len)--;
    }
    while (*len > 0 && is_blank((*text)[*len - 1]))
        (*len)--;
}

/* "HTTP/1.1 200 OK", "HTTP/2 200" */
static int status_of(const char *line, size_t len)
{
    const char *blank = memchr(line, ' ', len);
    int status = 0;
    for (const char *at = blank ? blank + 1 : line + len; at < line + len; at++) {
        if (*at < '0' || *at > '9')
            break;
        status = status * 10 + (*at - '0');
        if (status > 999)
            return 0;
    }
    return status;
}

/* "HTTP/1.0 ", "HTTP/1.1 ", "HTTP/2 " */
static int version_of(const char *line, size_t len)
{
    if (len < 8 || line[5] < '0' || line[5] > '9')
        return 0;
    bool has_minor = line[6] == '.' && line[7] >= '0' && line[7] <= '9';
    return (line[5] - '0') * 10 + (has_minor ? line[7] - '0' : 0);
}

static bool is_named(const char *name, size_t len, const char *expected)
{
    return len == strlen(expected) && strncasecmp(name, expected, len) == 0;
}

/* A line that goes on: its text follows the value before. */
static void continue_field(struct weft_http_transfer *transfer, const char *text, size_t len)
{
    struct weft_buffer *reply = &transfer->reply;
    if (reply->len == transfer->fields_at)
        return;
    reply->len--; /* over the NUL */
    weft_buffer_append_char(reply, ' ');
    weft_buffer_append(reply, text, len);
    weft_buffer_append_char(reply, '\0');
}

/* How many encodings a value names that libcurl decodes: "gzip", "gzip, br", not "chunked". */
static unsigned encodings_in(const char *value, size_t len)
{
    const char *end = value + len;
    unsigned count = 0;
    while (value < end) {
        const char *comma = memchr(value, ',', (size_t)(end - value));
        size_t part_len = (size_t)((comma ? comma : end) - value);
        const char *part = value;
        trim(&part, &part_len);
        bool is_none = part_len == 0 || is_named(part, part_len, "chunked") ||
                       is_named(part, part_len, "identity");
        count += !is_none;
        value = comma ? comma + 1 : end;
    }
    return count;
}

/* What the client itself wants to know of a field. */
static void read_field(struct weft_http_transfer *transfer, const char *name, size_t name_len,
                       const char *value, size_t value_len)
{
    bool decodes = transfer->question.decodes && is_named(name, name_len, "Content-Encoding");
    if (is_named(name, name_len, "Location"))
        transfer->has_location = true;
    else if (is_named(name, name_len, "Set-Cookie"))
        transfer->cookies++;
    else if (decodes || is_named(name, name_len, "Transfer-Encoding"))
        transfer->encodings += encodings_in(value, value_len);
}

static void add_field(struct weft_http_transfer *transfer, const char *line, size_t len)
{
    struct weft_buffer *reply = &transfer->reply;
    const char *colon = memchr(line, ':', len), *value = colon ? colon + 1 : NULL;
    if (!colon || memchr(line, '\0', len))
        return; /* no field; libcurl lets it through */
    size_t name_len = (size_t)(colon - line), value_len = len - name_len - 1;
    trim(&line, &name_len);
    trim(&value, &value_len);
    read_field(transfer, line, name_len, value, value_len);
    weft_buffer_append(reply, line, name_len);
    weft_buffer_append_char(reply, '\0');
    weft_buffer_append(reply, value, value_len);
    weft_buffer_append_char(reply, '\0');
}

void weft_http_head_line(struct weft_http_transfer *transfer, const char *line, size_t len)
{
    struct weft_buffer *reply = &transfer->reply;
    bool is_final = transfer->head_ended && transfer->status >= 200;
    if (is_final)
        return; /* a trailer */
    if (len >= 5 && memcmp(line, "HTTP/", 5) == 0) {
        reply->len = transfer->fields_at; /* what came before was on the way: 100, 103 */
        transfer->status = status_of(line, len);
        transfer->version = version_of(line, len);
        transfer->head_ended = transfer->has_location = false;
        transfer->encodings = 0;
        return;
    }
    bool goes_on = len > 0 && (line[0] == ' ' || line[0] == '\t');
    size_t text_len = len;
    const char *text = line;
    trim(&text, &text_len);
    if (text_len == 0)
        transfer->head_ended = true;
    else if (goes_on)
        continue_field(transfer, text, text_len);
    else
        add_field(transfer, text, text_len);
    transfer->fields_len = reply->len - transfer->fields_at;
}

/* ---- the response's fields ---------------------------------------------------------------- */

/* Walks the fields; *at, 0 at first, is where the next one is. False: there are no more. */
static bool next_field(const struct weft_http_response *response, size_t *at,
                       struct weft_http_field *ret_field)
{
    if (*at >= response->fields_len)
        return false;
    const char *name = response->storage + response->fields_at + *at;
    const char *value = name + strlen(name) + 1;
    *ret_field = (struct weft_http_field){name, value};
    *at += (size_t)(value - name) + strlen(value) + 1;
    return true;
}

int weft_http_response_field_at(const struct weft_http_response *response, size_t index,
                                struct weft_http_field *ret_field)
{
    struct weft_http_field field;
    size_t at = 0;
    while (next_field(response, &at, &field)) {
        if (index-- > 0)
            continue;
        *ret_field = field;
        return 1;
    }
    return 0;
}

const char *weft_http_response_field(const struct weft_http_response *response, const char *name)
{
    struct weft_http_field field;
    size_t at = 0;
    while (next_field(response, &at, &field)) {
        if (strcasecmp(field.name, name) == 0)
            return field.value;
    }
    return NULL;
}

void weft_http_response_release(struct weft_http_response *response)
{
    free(response->storage);
    *response = (struct weft_http_response){.body = "", .url = ""};
}
