/* SPDX-License-Identifier: MIT
 * mock_query.c - what a request asks for in its query and its path. See mock_internal.h. */
#include <lab/mock_internal.h>

#include <base/duration.h>
#include <weft/base.h>

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define PLAIN_MS_MAX 5000u

/* names and words are this file's callers' own: nothing in them wants escaping. */
__attribute__((format(printf, 3, 4))) static bool refuse(struct weft_mock_request *request,
                                                         const char *name, const char *format, ...)
{
    char text[256];
    va_list args;
    int len = snprintf(text, sizeof text, "%s: ", name);
    va_start(args, format);
    (void)vsnprintf(text + len, sizeof text - (size_t)len, format, args);
    va_end(args);
    weft_mock_reply_error(request, 422, text);
    return false;
}

/* 19 digits at most: they fit. */
static bool read_count(const char *text, uint64_t *ret_value)
{
    size_t len = strspn(text, "0123456789");
    uint64_t value = 0;
    if (len == 0 || len > 19 || text[len])
        return false;
    for (size_t i = 0; i < len; i++)
        value = value * 10 + (uint64_t)(text[i] - '0');
    *ret_value = value;
    return true;
}

static bool take_count(struct weft_mock_request *request, const char *name, const char *text,
                       uint64_t min, uint64_t max, uint64_t *value)
{
    uint64_t count;
    if (!read_count(text, &count) || count < min || count > max)
        return refuse(request, name, "a number from %" PRIu64 " to %" PRIu64 " is wanted", min,
                      max);
    *value = count;
    return true;
}

bool weft_mock_query_count(struct weft_mock_request *request, const char *name, uint64_t min,
                           uint64_t max, uint64_t *value)
{
    const char *text = weft_http_query(request->exchange, name);
    return !text || take_count(request, name, text, min, max, value);
}

bool weft_mock_param_count(struct weft_mock_request *request, const char *name, uint64_t min,
                           uint64_t max, uint64_t *value)
{
    return take_count(request, name, weft_http_param(request->exchange, name), min, max, value);
}

bool weft_mock_query_share(struct weft_mock_request *request, const char *name, double *value)
{
    const char *text = weft_http_query(request->exchange, name);
    double share;
    if (!text)
        return true;
    if (!weft_mock_decimal_parse(&share, text, strlen(text)) || share > 1)
        return refuse(request, name, "a number from 0 to 1 is wanted");
    *value = share;
    return true;
}

bool weft_mock_query_word(struct weft_mock_request *request, const char *name,
                          const char *const words[], unsigned count, unsigned *value)
{
    const char *text = weft_http_query(request->exchange, name);
    char list[160] = "";
    size_t len = 0;
    if (!text)
        return true;
    for (unsigned i = 0; i < count; i++) {
        if (strcmp(text, words[i]) == 0) {
            *value = i;
            return true;
        }
        if (len < sizeof list)
            len += (size_t)snprintf(list + len, sizeof list - len, i ? ", %s" : "%s", words[i]);
    }
    return refuse(request, name, "one of %s is wanted", list);
}

bool weft_mock_query_flag(struct weft_mock_request *request, const char *name, bool *value)
{
    static const char *const words[] = {"0", "1"};
    unsigned flag = *value;
    if (!weft_mock_query_word(request, name, words, 2, &flag))
        return false;
    *value = flag;
    return true;
}

bool weft_mock_query_time(struct weft_mock_request *request, const char *name, int64_t max_ns,
                          int64_t *value)
{
    const char *text = weft_http_query(request->exchange, name);
    uint64_t ms = 0;
    int64_t time_ns;
    if (!text)
        return true;
    if (read_count(text, &ms))
        time_ns = ms <= INT64_MAX / WEFT_MSEC ? (int64_t)ms * WEFT_MSEC : INT64_MAX;
    else if (weft_duration_parse(&time_ns, text, strlen(text)) < 0)
        return refuse(request, name, "milliseconds, or a time like 1.5s, is wanted");
    if (time_ns > max_ns)
        return refuse(request, name, "it is more than %" PRId64 " s", max_ns / WEFT_SEC);
    *value = time_ns;
    return true;
}

bool weft_mock_query_latency(struct weft_mock_request *request, struct weft_mock_latency *latency)
{
    const char *text = weft_http_query(request->exchange, "latency");
    const char *reason;
    uint64_t ms;
    if (!text)
        return true;
    if (read_count(text, &ms)) {
        if (ms > PLAIN_MS_MAX)
            return refuse(request, "latency", "milliseconds from 0 to %u are wanted", PLAIN_MS_MAX);
        *latency = (struct weft_mock_latency){
            .kind = WEFT_MOCK_FIXED,
            .low_ns = (int64_t)ms * WEFT_MSEC,
            .high_ns = (int64_t)ms * WEFT_MSEC,
        };
        return true;
    }
    if (weft_mock_latency_parse(latency, text, &reason) < 0)
        return refuse(request, "latency", "%s", reason);
    return true;
}

/* What a host and a port are written with: it goes into pages and headers as it is. */
const char *weft_mock_host(const struct weft_mock_request *request)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                  ".-_:[]";
    const char *host = weft_http_header(request->exchange, "Host");
    if (host && *host && host[strspn(host, allowed)] == '\0' && strlen(host) <= WEFT_MOCK_HOST_MAX)
        return host;
    return request->mock->url + strlen("http://");
}
