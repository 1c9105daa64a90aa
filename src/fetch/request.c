/* SPDX-License-Identifier: MIT
 * request.c - see request.h. */
#include <fetch/request.h>

#include <stdbool.h>
#include <string.h>
#include <strings.h>

#define FIELDS_MAX     100u
#define FIELD_BYTES    ((size_t)64 << 10)
#define METHOD_LEN_MAX 32u

/* RFC 9110, 5.6.2. */
static bool is_token(const char *text)
{
    static const char others[] = "!#$%&'*+-.^_`|~";
    if (!*text)
        return false;
    for (; *text; text++) {
        bool alphanumeric = (*text >= '0' && *text <= '9') || (*text >= 'a' && *text <= 'z') ||
                            (*text >= 'A' && *text <= 'Z');
        if (!alphanumeric && !strchr(others, *text))
            return false;
    }
    return true;
}

/* No line ends: they would begin something new. */
static bool is_value(const char *text)
{
    for (; *text; text++) {
        if (((unsigned char)*text < 0x20 && *text != '\t') || *text == 0x7f)
            return false;
    }
    return true;
}

/* What the engines say by themselves. */
static bool is_ours(const char *name)
{
    static const char *const names[] = {"Connection", "Content-Length", "Expect",
                                        "Transfer-Encoding", NULL};
    for (const char *const *ours = names; *ours; ours++) {
        if (strcasecmp(name, *ours) == 0)
            return true;
    }
    return false;
}

static const char *check_fields(const struct weft_fetch_request *request)
{
    size_t bytes = 0;
    if (request->fields_count > FIELDS_MAX)
        return "more than 100 header fields";
    for (size_t i = 0; i < request->fields_count; i++) {
        const struct weft_http_field *field = &request->fields[i];
        if (!field->name || !field->value || !is_token(field->name) || !is_value(field->value))
            return "a header field that cannot be sent";
        if (is_ours(field->name))
            return "Connection, Content-Length, Expect and Transfer-Encoding cannot be set";
        bytes += strlen(field->name) + strlen(field->value);
    }
    return bytes > FIELD_BYTES ? "the header fields are larger than 64 KiB" : NULL;
}

const char *weft_fetch_request_check(const struct weft_fetch_request *request)
{
    const char *method = request->method;
    if (!request->url)
        return "the URL is missing";
    if (method &&
        (!is_token(method) || strlen(method) > METHOD_LEN_MAX || strcmp(method, "CONNECT") == 0))
        return "that is no method";
    if (method && request->body && strcmp(method, "HEAD") == 0)
        return "a HEAD request has no body";
    return check_fields(request);
}

const char *weft_fetch_request_field(const struct weft_fetch_request *request, const char *name)
{
    for (size_t i = 0; i < request->fields_count; i++) {
        if (strcasecmp(request->fields[i].name, name) == 0)
            return request->fields[i].value;
    }
    return NULL;
}
