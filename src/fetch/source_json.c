/* SPDX-License-Identifier: MIT
 * source_json.c - a request as a line of JSON. What nobody understands is refused: a misspelt
 * "metod" would send something else than was meant, a million times. */
#include <fetch/source.h>

#include <jansson.h>

#include <stdio.h>
#include <string.h>

/* jansson's parser calls itself for every level, and fibers have small stacks. */
#define DEPTH_MAX 8

struct line {
    struct weft_buffer *bytes;
    struct weft_fetch_item *item;
    char wrong[160]; /* "": nothing */
};

static bool is_deep(const char *line, size_t len)
{
    unsigned depth = 0;
    bool in_string = false;
    for (size_t i = 0; i < len; i++) {
        char c = line[i];
        if (in_string) {
            i += c == '\\';
            in_string = c != '"';
        } else if (c == '"') {
            in_string = true;
        } else if (c == '{' || c == '[') {
            if (++depth > DEPTH_MAX)
                return true;
        } else if ((c == '}' || c == ']') && depth > 0) {
            depth--;
        }
    }
    return false;
}

/* A string without NULs; they would end it early. Returns where it begins, ABSENT. */
static size_t put_text(struct line *line, const char *key, const json_t *value)
{
    if (!json_is_string(value) || strlen(json_string_value(value)) != json_string_length(value)) {
        (void)snprintf(line->wrong, sizeof line->wrong, "'%.40s' is not a text", key);
        return WEFT_FETCH_ABSENT;
    }
    size_t at = line->bytes->len - line->item->at;
    weft_buffer_append(line->bytes, json_string_value(value), json_string_length(value) + 1);
    return at;
}

static void put_fields(struct line *line, json_t *headers)
{
    const char *name;
    json_t *value;
    if (!json_is_object(headers)) {
        (void)snprintf(line->wrong, sizeof line->wrong, "'headers' is not an object");
        return;
    }
    line->item->fields = line->bytes->len - line->item->at;
    json_object_foreach(headers, name, value)
    {
        weft_buffer_append(line->bytes, name, strlen(name) + 1);
        if (put_text(line, name, value) == WEFT_FETCH_ABSENT)
            return;
        line->item->fields_count++;
    }
}

/* A number will do for a name. */
static void put_tag(struct line *line, const json_t *id)
{
    if (!json_is_integer(id)) {
        line->item->tag = put_text(line, "id", id);
        return;
    }
    line->item->tag = line->bytes->len - line->item->at;
    weft_buffer_append_int(line->bytes, json_integer_value(id));
    weft_buffer_append_char(line->bytes, '\0');
}

static void put_body(struct line *line, const json_t *body)
{
    if (!json_is_string(body)) {
        (void)snprintf(line->wrong, sizeof line->wrong, "'body' is not a text");
        return;
    }
    line->item->body = line->bytes->len - line->item->at;
    line->item->body_len = json_string_length(body);
    weft_buffer_append(line->bytes, json_string_value(body), line->item->body_len);
    weft_buffer_append_char(line->bytes, '\0');
}

static void put_all(struct line *line, json_t *request)
{
    const char *key;
    json_t *value;
    bool has_url = false;
    json_object_foreach(request, key, value)
    {
        if (line->wrong[0])
            return;
        if (strcmp(key, "url") == 0) {
            line->item->url = put_text(line, key, value);
            has_url = true;
        } else if (strcmp(key, "method") == 0) {
            line->item->method = put_text(line, key, value);
        } else if (strcmp(key, "headers") == 0) {
            put_fields(line, value);
        } else if (strcmp(key, "body") == 0) {
            put_body(line, value);
        } else if (strcmp(key, "id") == 0) {
            put_tag(line, value);
        } else {
            (void)snprintf(line->wrong, sizeof line->wrong, "there is no key '%.40s'", key);
        }
    }
    if (!line->wrong[0] && !has_url)
        (void)snprintf(line->wrong, sizeof line->wrong, "'url' is missing");
}

void weft_fetch_source_json(struct weft_buffer *bytes, struct weft_fetch_item *item,
                            const char *text, size_t len)
{
    struct line line = {.bytes = bytes, .item = item};
    json_error_t error = {.text = "it is nested too deeply"};
    json_t *request = NULL;
    if (!is_deep(text, len))
        request = json_loadb(text, len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
    if (request && json_is_object(request))
        put_all(&line, request);
    else
        (void)snprintf(line.wrong, sizeof line.wrong, "the line is no JSON: %.100s",
                       request ? "no object" : error.text);
    json_decref(request);
    if (line.wrong[0])
        weft_fetch_source_wrong(bytes, item, text, len, line.wrong);
}
