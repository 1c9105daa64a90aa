/* SPDX-License-Identifier: MIT
 * api_body.c - see api_body.h. */
#include <serve/api_body.h>

#include <base/duration.h>
#include <job/json_scan.h>
#include <weft/offload.h>

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define INLINE_MAX ((size_t)64 << 10) /* larger bodies would hold up everybody else */

struct parse_call {
    const char *body;
    size_t len;
    json_t *root;
    json_error_t error;
};

static int parse(void *arg)
{
    struct parse_call *call = arg;
    call->root =
        json_loadb(call->body, call->len, JSON_DECODE_ANY | JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES,
                   &call->error);
    return 0;
}

static json_t *refuse(struct weft_http_exchange *exchange, int status, const char *detail)
{
    weft_http_reply_error(exchange, status, detail);
    return NULL;
}

json_t *weft_api_body(struct weft_http_exchange *exchange)
{
    struct parse_call call = {0};
    call.body = weft_http_body(exchange, &call.len);
    if (call.len == 0)
        return refuse(exchange, 400, "the body is empty");
    if (weft_json_too_deep(call.body, call.len, WEFT_API_DEPTH_MAX))
        return refuse(exchange, 400, "the JSON is nested too deeply");
    if (call.len <= INLINE_MAX)
        (void)parse(&call);
    else if (weft_offload(parse, &call))
        return refuse(exchange, 503, "the server is stopping");
    if (!call.root && !call.error.text[0])
        return refuse(exchange, 503, "the server has no memory left for this");
    if (!call.root) {
        char detail[sizeof call.error.text + 64];
        (void)snprintf(detail, sizeof detail, "the body is not JSON that can be read: %s",
                       call.error.text);
        return refuse(exchange, 400, detail);
    }
    if (json_is_object(call.root))
        return call.root;
    json_decref(call.root);
    return refuse(exchange, 422, "the body must be a JSON object");
}

json_t *weft_api_body_or_empty(struct weft_http_exchange *exchange)
{
    size_t len;
    (void)weft_http_body(exchange, &len);
    if (len > 0)
        return weft_api_body(exchange);
    json_t *empty = json_object();
    return empty ? empty : refuse(exchange, 503, "the server has no memory left for this");
}

bool weft_api_fault(struct weft_api_fault *fault, const char *format, ...)
{
    if (fault->detail[0])
        return false;
    va_list args;
    va_start(args, format);
    (void)vsnprintf(fault->detail, sizeof fault->detail, format, args);
    va_end(args);
    return false;
}

bool weft_api_is_valid(struct weft_http_exchange *exchange, const struct weft_api_fault *fault)
{
    if (!fault->detail[0])
        return true;
    weft_http_reply_error(exchange, 422, fault->detail);
    return false;
}

static bool is_in(const char *list, const char *word)
{
    size_t len = strlen(word);
    for (const char *at = strstr(list, word); at && len > 0; at = strstr(at + 1, word))
        if ((at == list || at[-1] == ' ') && (at[len] == ' ' || at[len] == '\0'))
            return true;
    return false;
}

void weft_api_only(struct weft_api_fault *fault, const json_t *object, const char *known)
{
    const char *name;
    json_t *value;
    /* jansson's iteration takes no const object, but changes nothing. */
    json_object_foreach((json_t *)(uintptr_t)object, name, value)
    {
        if (!is_in(known, name))
            weft_api_fault(fault, "the field \"%.64s\" is not known", name);
    }
}

void weft_api_get_string(struct weft_api_fault *fault, const json_t *object, const char *name,
                         const char **ret_value, size_t len_max)
{
    const json_t *value = json_object_get(object, name);
    if (!value)
        return;
    if (!json_is_string(value) || json_string_length(value) > len_max ||
        strlen(json_string_value(value)) != json_string_length(value))
        weft_api_fault(fault, "the field \"%s\" must be a string of at most %zu bytes", name,
                       len_max);
    else
        *ret_value = json_string_value(value);
}

void weft_api_get_bool(struct weft_api_fault *fault, const json_t *object, const char *name,
                       bool *ret_value)
{
    const json_t *value = json_object_get(object, name);
    if (value && !json_is_boolean(value))
        weft_api_fault(fault, "the field \"%s\" must be true or false", name);
    else if (value)
        *ret_value = json_is_true(value);
}

void weft_api_get_count(struct weft_api_fault *fault, const json_t *object, const char *name,
                        uint64_t *ret_value, uint64_t max)
{
    const json_t *value = json_object_get(object, name);
    if (!value)
        return;
    if (!json_is_integer(value) || json_integer_value(value) < 0 ||
        (uint64_t)json_integer_value(value) > max)
        weft_api_fault(fault, "the field \"%s\" must be a whole number from 0 to %llu", name,
                       (unsigned long long)max);
    else
        *ret_value = (uint64_t)json_integer_value(value);
}

void weft_api_get_number(struct weft_api_fault *fault, const json_t *object, const char *name,
                         double *ret_value, double max)
{
    const json_t *value = json_object_get(object, name);
    if (!value)
        return;
    double number = json_number_value(value);
    if (!json_is_number(value) || !(number >= 0) || number > max)
        weft_api_fault(fault, "the field \"%s\" must be a number from 0 to %g", name, max);
    else
        *ret_value = number;
}

void weft_api_get_duration(struct weft_api_fault *fault, const json_t *object, const char *name,
                           int64_t *ret_us, int64_t max_us)
{
    const json_t *value = json_object_get(object, name);
    int64_t ns = -1;
    if (!value)
        return;
    int64_t us = -1;
    if (json_is_number(value) && json_number_value(value) <= (double)max_us / 1e6)
        us = (int64_t)llround(json_number_value(value) * 1e6);
    else if (json_is_string(value) &&
             weft_duration_parse(&ns, json_string_value(value), json_string_length(value)) == 0)
        us = ns / 1000;
    if (us < 0 || us > max_us)
        weft_api_fault(fault,
                       "the field \"%s\" must be seconds, or text like \"1m30s\", up to %g s", name,
                       (double)max_us / 1e6);
    else
        *ret_us = us;
}
