/* SPDX-License-Identifier: MIT
 * mock_basic.c - statuses, delays, sizes, paces, limits: one thing each. */
#include <lab/mock_answers.h>

#include <weft/runtime.h>

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define DELAY_MAX_S     60.0
#define BYTES_MAX       (UINT64_C(1) << 30)
#define SLOW_BYTES_MAX  (UINT64_C(64) << 20)
#define RATE_MAX        UINT64_C(10000000000)
#define PIECES_MAX      100000u
#define RETRY_AFTER_MAX (WEFT_SEC * 86400)

#define REPLY_LITERAL(request, status, type, literal)                                              \
    weft_mock_reply(request, status, type, literal, sizeof(literal) - 1)

void weft_mock_health(struct weft_mock_request *request)
{
    REPLY_LITERAL(request, 200, "application/json", "{\"status\": \"healthy\"}");
}

void weft_mock_get(struct weft_mock_request *request)
{
    REPLY_LITERAL(request, 200, "application/json", "{\"status\": \"ok\", \"path\": \"/get\"}");
}

/* A Retry-After where one is asked for. */
static bool may_retry_after(struct weft_mock_request *request)
{
    int64_t wait_ns = -1;
    return weft_mock_query_time(request, "retry_after", RETRY_AFTER_MAX, &wait_ns) &&
           (wait_ns < 0 || weft_mock_retry_after(request, wait_ns));
}

void weft_mock_status(struct weft_mock_request *request)
{
    uint64_t code = 0;
    if (weft_mock_param_count(request, "code", 200, 599, &code) && may_retry_after(request))
        weft_mock_reply_json(request, (int)code, "{\"status\": %" PRIu64 "}", code);
}

void weft_mock_delay(struct weft_mock_request *request)
{
    const char *text = weft_http_param(request->exchange, "s");
    double delay_s;
    if (!weft_mock_decimal_parse(&delay_s, text, strlen(text))) {
        weft_mock_reply_error(request, 422, "s: a number of seconds is wanted");
        return;
    }
    delay_s = delay_s < DELAY_MAX_S ? delay_s : DELAY_MAX_S;
    if (weft_mock_pause(request, (int64_t)(delay_s * 1e9)) == 0)
        weft_mock_reply_json(request, 200, "{\"delay_s\": %.3f}", delay_s);
}

/* Without a wish of the client's 1 to 5 seconds, drawn. */
void weft_mock_429(struct weft_mock_request *request)
{
    int64_t wait_ns = (int64_t)(1 + 5 * weft_mock_draw(request, WEFT_MOCK_CHANCE_OWN)) * WEFT_SEC;
    if (weft_mock_query_time(request, "retry_after", RETRY_AFTER_MAX, &wait_ns) &&
        weft_mock_retry_after(request, wait_ns))
        weft_mock_reply_error(request, 429, "too many requests");
}

void weft_mock_500(struct weft_mock_request *request)
{
    weft_mock_reply_error(request, 500, "internal server error");
}

/* A limit of its own: other numbers, other windows. */
void weft_mock_limited(struct weft_mock_request *request)
{
    struct weft_mock_quota quota = {.requests = 5, .window_ns = WEFT_SEC};
    char name[64];
    if (!weft_mock_query_count(request, "limit", 0, 1000000000, &quota.requests) ||
        !weft_mock_query_time(request, "window", RETRY_AFTER_MAX, &quota.window_ns))
        return;
    (void)snprintf(name, sizeof name, "%" PRIu64 "/%" PRId64, quota.requests, quota.window_ns);
    if (weft_mock_within(request, &quota, name))
        REPLY_LITERAL(request, 200, "application/json", "{\"status\": \"ok\"}");
}

static bool query_framing(struct weft_mock_request *request, enum weft_mock_framing *framing)
{
    static const char *const words[] = {
        [WEFT_MOCK_CHUNKED] = "chunked", [WEFT_MOCK_SIZED] = "length"};
    unsigned word = *framing;
    if (!weft_mock_query_word(request, "framing", words, 2, &word))
        return false;
    *framing = word;
    return true;
}

void weft_mock_bytes(struct weft_mock_request *request)
{
    enum weft_mock_framing framing = WEFT_MOCK_SIZED;
    uint64_t len = 0;
    if (!weft_mock_param_count(request, "n", 0, BYTES_MAX, &len) ||
        !query_framing(request, &framing))
        return;
    if (framing == WEFT_MOCK_SIZED && len <= WEFT_MOCK_BLOCK_BYTES) {
        weft_mock_reply(request, 200, "application/octet-stream", request->mock->block,
                        (size_t)len);
        return;
    }
    int err = weft_mock_begin(request, 200, "application/octet-stream", framing, len);
    if (!err)
        err = weft_mock_write_noise(request, 0, len);
    if (!err)
        (void)weft_mock_end(request);
}

void weft_mock_chunked(struct weft_mock_request *request)
{
    uint64_t bytes = 1000, pieces = 10;
    if (!weft_mock_query_count(request, "bytes", 0, SLOW_BYTES_MAX, &bytes) ||
        !weft_mock_query_count(request, "pieces", 1, PIECES_MAX, &pieces))
        return;
    int err = weft_mock_begin(request, 200, "application/octet-stream", WEFT_MOCK_CHUNKED, 0);
    uint64_t at = 0;
    for (uint64_t i = 1; i <= pieces && !err; i++) {
        uint64_t end = bytes * i / pieces;
        err = weft_mock_write_noise(request, at, end - at);
        at = end;
    }
    if (!err)
        (void)weft_mock_end(request);
}

/* Pieces are due at times counted from the first, so that what one of them was late is made up. */
void weft_mock_slow(struct weft_mock_request *request)
{
    enum weft_mock_framing framing = WEFT_MOCK_SIZED;
    uint64_t bytes = 1000, rate = 1000, piece = 0;
    if (!weft_mock_query_count(request, "bytes", 0, SLOW_BYTES_MAX, &bytes) ||
        !weft_mock_query_count(request, "rate", 1, RATE_MAX, &rate) ||
        !weft_mock_query_count(request, "piece", 1, SLOW_BYTES_MAX, &piece) ||
        !query_framing(request, &framing))
        return;
    if (piece == 0)
        piece = rate / 10 > 0 ? rate / 10 : 1;
    if (bytes / piece > PIECES_MAX) {
        weft_mock_reply_error(request, 422, "piece: that would be more than 100000 pieces");
        return;
    }
    int err = weft_mock_begin(request, 200, "application/octet-stream", framing, bytes);
    int64_t begin_ns = weft_now();
    for (uint64_t at = 0; at < bytes && !err; at += piece) {
        uint64_t len = bytes - at < piece ? bytes - at : piece;
        int64_t due_ns = begin_ns + (int64_t)((double)at * 1e9 / (double)rate);
        int64_t early_ns = due_ns - weft_now();
        err = early_ns > 0 ? weft_mock_pause(request, early_ns) : weft_yield();
        if (!err)
            err = weft_mock_write_noise(request, at, len);
    }
    if (!err)
        (void)weft_mock_end(request);
}

/* Whether a list of tags, which may be weak, has one. */
static bool names_tag(const char *list, const char *tag)
{
    size_t len = strlen(tag);
    if (strcmp(list, "*") == 0)
        return true;
    for (const char *at = strchr(list, '"'); at; at = strchr(at, '"')) {
        const char *end = strchr(++at, '"');
        if (!end)
            return false;
        if ((size_t)(end - at) == len && memcmp(at, tag, len) == 0)
            return true;
        at = end + 1;
    }
    return false;
}

void weft_mock_etag(struct weft_mock_request *request)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                  "-_.";
    const char *tag = weft_http_param(request->exchange, "tag");
    const char *wanted = weft_http_header(request->exchange, "If-Match");
    const char *known = weft_http_header(request->exchange, "If-None-Match");
    char quoted[80];
    if (strlen(tag) > 64 || tag[strspn(tag, allowed)]) {
        weft_mock_reply_error(request, 422, "tag: at most 64 letters, digits, - _ . are wanted");
        return;
    }
    (void)snprintf(quoted, sizeof quoted, "\"%s\"", tag);
    weft_http_reply_header(request->exchange, "ETag", quoted);
    weft_http_reply_header(request->exchange, "Cache-Control", "no-cache");
    if (wanted && !names_tag(wanted, tag))
        weft_mock_reply_error(request, 412, "the tag is another one");
    else if (known && names_tag(known, tag))
        weft_mock_reply(request, 304, NULL, NULL, 0);
    else
        weft_mock_reply_json(request, 200, "{\"etag\": \"%s\"}", tag);
}
