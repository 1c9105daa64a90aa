/* SPDX-License-Identifier: MIT
 * client_request.c - what can be sent, and what is. */
#include <http/client_journey.h>

#include <errno.h>
#include <string.h>
#include <strings.h>

#define FIELDS_MAX     100u
#define URL_BYTES_MAX  ((size_t)64 << 10)
#define METHOD_LEN_MAX 32u
#define BODY_BYTES_MAX ((uint64_t)1 << 40)

/* ---- what can be sent --------------------------------------------------------------------- */

static bool is_token(const char *text)
{
    static const char others[] = "!#$%&'*+-.^_`|~";
    if (!text || !*text)
        return false;
    for (; *text; text++) {
        bool alphanumeric = (*text >= '0' && *text <= '9') || (*text >= 'a' && *text <= 'z') ||
                            (*text >= 'A' && *text <= 'Z');
        if (!alphanumeric && !strchr(others, *text))
            return false;
    }
    return true;
}

/* No line ends and no other control characters but the tab: they would begin something new. */
static bool is_value(const char *text)
{
    if (!text)
        return false;
    for (; *text; text++) {
        if (((unsigned char)*text < 0x20 && *text != '\t') || *text == 0x7f)
            return false;
    }
    return true;
}

static bool is_one_of(const char *name, const char *const *names)
{
    for (; *names; names++) {
        if (strcasecmp(name, *names) == 0)
            return true;
    }
    return false;
}

static bool is_ours(const char *name)
{
    static const char *const names[] = {"Content-Length", "Transfer-Encoding", "Expect", NULL};
    return is_one_of(name, names);
}

/* Not for another server than the one it was meant for. */
static bool is_private(const char *name)
{
    static const char *const names[] = {"Authorization", "Cookie", "Host", "Proxy-Authorization",
                                        NULL};
    return is_one_of(name, names);
}

/* Of a body that is not sent any more. */
static bool is_of_body(const char *name)
{
    return strncasecmp(name, "Content-", 8) == 0;
}

static bool has_body(const struct weft_http_request *request)
{
    return request->body || request->on_read;
}

int weft_http_journey_check(struct weft_http_journey *journey)
{
    const struct weft_http_request *request = journey->request;
    const char *method = request->method;
    if (!request->url || (strncasecmp(request->url, "http://", 7) != 0 &&
                          strncasecmp(request->url, "https://", 8) != 0))
        return weft_http_journey_fail(journey, -EINVAL,
                                      "the URL does not begin with http:// or https://");
    if (strlen(request->url) > URL_BYTES_MAX)
        return weft_http_journey_fail(journey, -EMSGSIZE, "the URL is longer than 64 KiB");
    if (method &&
        (!is_token(method) || strlen(method) > METHOD_LEN_MAX || strcmp(method, "CONNECT") == 0))
        return weft_http_journey_fail(journey, -EINVAL, "that is no method");
    if (request->on_read && (request->body || request->body_len > BODY_BYTES_MAX))
        return weft_http_journey_fail(journey, -EINVAL, "a body in two ways, or too large");
    if (request->on_head && !request->on_body)
        return weft_http_journey_fail(journey, -EINVAL, "on_head is there for on_body");
    if (method && has_body(request) && strcmp(method, "HEAD") == 0)
        return weft_http_journey_fail(journey, -EINVAL, "a HEAD request has no body");
    if (request->fields_count > FIELDS_MAX)
        return weft_http_journey_fail(journey, -EMSGSIZE, "more than 100 fields");
    for (size_t i = 0; i < request->fields_count; i++) {
        const struct weft_http_field *field = &request->fields[i];
        if (!is_token(field->name) || !is_value(field->value) || is_ours(field->name))
            return weft_http_journey_fail(journey, -EINVAL, "a field that cannot be sent");
    }
    return 0;
}

/* ---- what is sent ------------------------------------------------------------------------- */

static void add_line(struct weft_buffer *lines, const struct weft_http_field *field)
{
    weft_buffer_append_string(lines, field->name);
    /* With nothing behind the colon libcurl would take it as a wish not to send its own. */
    weft_buffer_append_string(lines, *field->value ? ": " : ";");
    weft_buffer_append(lines, field->value, strlen(field->value) + 1);
}

/* Where there is a jar: libcurl sends what is in it, and these behind. */
static void add_cookie(struct weft_buffer *cookie, const char *value)
{
    if (cookie->len > 0) {
        cookie->len--; /* over the NUL */
        weft_buffer_append_string(cookie, "; ");
    }
    weft_buffer_append(cookie, value, strlen(value) + 1);
}

static int ask_fields(struct weft_http_journey *journey)
{
    struct weft_http_transfer *transfer = journey->transfer;
    const struct weft_http_request *request = journey->request;
    weft_buffer_clear(&transfer->lines);
    weft_buffer_clear(&transfer->cookie);
    transfer->lines_len = 0;
    transfer->question.has_type = false;
    for (size_t i = 0; i < request->fields_count; i++) {
        const struct weft_http_field *field = &request->fields[i];
        if ((journey->abroad && is_private(field->name)) ||
            (journey->without_body && is_of_body(field->name)))
            continue;
        if (journey->engine->jar && strcasecmp(field->name, "Cookie") == 0) {
            add_cookie(&transfer->cookie, field->value);
            continue;
        }
        transfer->question.has_type |= strcasecmp(field->name, "Content-Type") == 0;
        add_line(&transfer->lines, field);
        transfer->lines_len++;
    }
    int err = transfer->lines.err ? transfer->lines.err : transfer->cookie.err;
    if (err < 0)
        return weft_http_journey_fail(journey, err, "the fields are larger than 64 KiB");
    return 0;
}

/* Methods that say how long their body is even if there is none. */
static bool announces_body(const char *method)
{
    static const char *const methods[] = {"POST", "PUT", "PATCH", NULL};
    return is_one_of(method, methods);
}

int weft_http_journey_ask(struct weft_http_journey *journey)
{
    const struct weft_http_request *request = journey->request;
    const struct weft_http_client_options *options = &journey->engine->options;
    struct weft_http_question *question = &journey->transfer->question;
    size_t body_max = request->response_bytes_max;
    if (body_max == 0)
        body_max = request->on_body ? SIZE_MAX : options->response_bytes_max;
    *question = (struct weft_http_question){
        .url = journey->url ? journey->url : request->url,
        .method = request->method     ? request->method
                  : has_body(request) ? "POST"
                                      : "GET",
        .body = request->body,
        .body_len = request->body_len,
        .gives = request->on_read,
        .decodes = options->decompress,
        .wants_head = request->on_head,
        .body_max = body_max > BODY_BYTES_MAX ? (size_t)BODY_BYTES_MAX : body_max,
        .streams = request->on_body,
        .may_follow = options->redirects_max > 0,
    };
    if (journey->without_body) {
        question->method = strcmp(question->method, "HEAD") == 0 ? "HEAD" : "GET";
        question->gives = false;
        question->body = NULL;
        question->body_len = 0;
    } else if (!question->body && !question->gives && announces_body(question->method)) {
        question->body = "";
        question->body_len = 0;
    }
    return ask_fields(journey);
}
