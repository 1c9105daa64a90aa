/* SPDX-License-Identifier: MIT
 * load_line.c - a line of a file of URLs that is a JSON object. See load_target.h. */
#include <lab/load_target.h>

#include <errno.h>

#ifdef WEFT_HAVE_JANSSON
#include <jansson.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEADERS_MAX 64

/* A copy of a string, into *ret_text. Returns NULL or what is wrong. */
static const char *take_string(char **ret_text, const json_t *value, const char *reason)
{
    if (!json_is_string(value))
        return reason;
    free(*ret_text); /* a member that comes twice */
    *ret_text = strdup(json_string_value(value));
    return *ret_text ? NULL : "";
}

/* A string is sent as it is, anything else as the JSON it is. */
static const char *take_body(struct weft_load_line *line, const json_t *value)
{
    if (json_is_string(value))
        return take_string(&line->body, value, NULL);
    free(line->body);
    line->body = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
    return line->body ? NULL : "";
}

static const char *take_headers(struct weft_load_line *line, json_t *headers)
{
    size_t count = json_object_size(headers);
    void *cursor = json_object_iter(headers);
    if (!json_is_object(headers) || count > HEADERS_MAX || line->headers)
        return "headers are an object of at most 64 strings";
    line->headers = calloc(count + 1, sizeof line->headers[0]);
    if (!line->headers)
        return "";
    for (; cursor; cursor = json_object_iter_next(headers, cursor)) {
        const json_t *value = json_object_iter_value(cursor);
        char *text;
        if (!json_is_string(value))
            return "headers are an object of at most 64 strings";
        if (asprintf(&text, "%s: %s", json_object_iter_key(cursor), json_string_value(value)) < 0)
            return "";
        line->headers[line->headers_count++] = text;
    }
    return NULL;
}

static const char *take_weight(struct weft_load_line *line, const json_t *value)
{
    json_int_t weight = json_integer_value(value); /* 0 when it is none */
    if (weight < 1 || weight > WEFT_LOAD_ORDER_MAX)
        return "weight is not a whole number between 1 and 65536";
    line->weight = (uint64_t)weight;
    return NULL;
}

static const char *take_member(struct weft_load_line *line, const char *name, json_t *value)
{
    if (strcmp(name, "url") == 0)
        return take_string(&line->url, value, "url is not a string");
    if (strcmp(name, "method") == 0)
        return take_string(&line->method, value, "method is not a string");
    if (strcmp(name, "content_type") == 0)
        return take_string(&line->content_type, value, "content_type is not a string");
    if (strcmp(name, "body") == 0)
        return take_body(line, value);
    if (strcmp(name, "headers") == 0)
        return take_headers(line, value);
    if (strcmp(name, "weight") == 0)
        return take_weight(line, value);
    return "it has a member besides url, method, body, content_type, headers and weight";
}

int weft_load_line_from_json(struct weft_load_line *ret_line, const char *text, size_t len,
                             const char **ret_reason)
{
    json_error_t error;
    const char *reason = NULL;
    json_t *root = json_loadb(text, len, JSON_REJECT_DUPLICATES, &error);
    if (!json_is_object(root)) {
        json_decref(root);
        *ret_reason = "it begins with { and is not a JSON object";
        return -EINVAL;
    }
    for (void *at = json_object_iter(root); at && !reason; at = json_object_iter_next(root, at))
        reason = take_member(ret_line, json_object_iter_key(at), json_object_iter_value(at));
    json_decref(root);
    if (!reason && !ret_line->url)
        reason = "the object has no url";
    if (!reason)
        return 0;
    *ret_reason = reason;
    return *reason ? -EINVAL : -ENOMEM;
}

#else

int weft_load_line_from_json(struct weft_load_line *ret_line, const char *text, size_t len,
                             const char **ret_reason)
{
    (void)ret_line, (void)text, (void)len;
    *ret_reason = "JSON objects cannot be read: weft was built without jansson";
    return -EINVAL;
}

#endif
