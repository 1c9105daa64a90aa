/* SPDX-License-Identifier: MIT
 * mock_request.c - one request: counted, struck by chance, replied to. See mock_internal.h. */
#include <lab/mock_internal.h>

#include <base/random.h>
#include <http/exchange.h>
#include <os/clock.h>

#include <weft/net.h>
#include <weft/runtime.h>
#include <weft/select.h>

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define JSON_BYTES 1024

/* ---- chance ------------------------------------------------------------------------------ */

double weft_mock_draw(const struct weft_mock_request *request, enum weft_mock_chance chance)
{
    struct weft_random random;
    uint64_t seed = request->mock->seed ^ request->mock->keys[request->counted_as];
    /* Two odd numbers without meaning keep requests and purposes apart. */
    seed += request->number * 0xd1342543de82ef95u + (uint64_t)chance * 0x2545f4914f6cdd1du;
    weft_random_seed(&random, seed);
    return (double)(weft_random_next(&random) >> 11) * 0x1.0p-53;
}

static bool strikes(const struct weft_mock_request *request, enum weft_mock_chance chance,
                    double rate)
{
    return rate > 0 && weft_mock_draw(request, chance) < rate;
}

static void note_lost(struct weft_mock_request *request)
{
    if (!request->lost)
        weft_mock_count(&request->counters->abandoned, 1);
    request->lost = true;
}

int weft_mock_pause(struct weft_mock_request *request, int64_t duration_ns)
{
    struct weft_case left = weft_http_case_gone(request->exchange);
    int64_t begin_ns = weft_now();
    int chosen = duration_ns > 0 ? 0 : -ETIMEDOUT;
    while (chosen == 0) {
        chosen = weft_select(&left, 1, begin_ns + duration_ns, 0);
        if (chosen == 0 && weft_http_gone(request->exchange)) {
            note_lost(request);
            (void)weft_http_hang_up(request->exchange, 0);
            return -EPIPE;
        }
    }
    request->slept_ns += weft_now() - begin_ns;
    return chosen == -ETIMEDOUT ? 0 : chosen;
}

static bool sleep_through(struct weft_mock_request *request)
{
    const struct weft_mock *mock = request->mock;
    struct weft_mock_latency latency = mock->latency;
    if (!mock->has_latency)
        latency.low_ns = latency.high_ns = request->row->latency_ns;
    if (!weft_mock_query_latency(request, &latency))
        return false;
    double first = 0, second = 0;
    if (latency.kind != WEFT_MOCK_FIXED) {
        first = weft_mock_draw(request, WEFT_MOCK_CHANCE_LATENCY);
        second = weft_mock_draw(request, WEFT_MOCK_CHANCE_LATENCY_TOO);
    }
    return weft_mock_pause(request, weft_mock_latency_draw(&latency, first, second)) == 0;
}

/* No answer at all, or one that breaks off. */
static bool escapes_reset(struct weft_mock_request *request)
{
    double rate = request->mock->reset_rate;
    if (!weft_mock_query_share(request, "reset_rate", &rate))
        return false;
    if (!strikes(request, WEFT_MOCK_CHANCE_RESET, rate))
        return true;
    if (!strikes(request, WEFT_MOCK_CHANCE_RESET_PLACE, 0.5) &&
        weft_mock_begin(request, 0, NULL, WEFT_MOCK_RAW, 0) == 0)
        (void)weft_mock_write_head(request, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                                            "Content-Length: 1000\r\n\r\n{\"data\": \"");
    weft_mock_hang_up(request, true);
    return false;
}

static bool escapes_error(struct weft_mock_request *request)
{
    double rate = request->mock->error_rate;
    uint64_t status = 500;
    if (!weft_mock_query_share(request, "error_rate", &rate) ||
        !weft_mock_query_count(request, "error_status", 400, 599, &status))
        return false;
    if (!strikes(request, WEFT_MOCK_CHANCE_ERROR, rate))
        return true;
    weft_mock_reply_error(request, (int)status, "simulated error");
    return false;
}

/* Nothing is asked for that could strike: the fast way. */
static bool is_safe(const struct weft_mock_request *request)
{
    const struct weft_mock *mock = request->mock;
    return request->exchange->request->query.len == 0 && !mock->limited && !mock->has_latency &&
           request->row->latency_ns == 0 && mock->error_rate <= 0 && mock->reset_rate <= 0;
}

/* Returns whether the route is to answer. */
static bool survives(struct weft_mock_request *request)
{
    const struct weft_mock *mock = request->mock;
    if (request->row->kind != WEFT_MOCK_API || is_safe(request))
        return true;
    return (!mock->limited || weft_mock_within(request, &mock->quota, "*")) &&
           sleep_through(request) && escapes_reset(request) && escapes_error(request);
}

static void note_most(struct weft_mock_counters *counters, unsigned now)
{
    unsigned most = __atomic_load_n(&counters->most, __ATOMIC_RELAXED);
    while (now > most && !__atomic_compare_exchange_n(&counters->most, &most, now, true,
                                                      __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        ;
}

void weft_mock_handle(struct weft_http_exchange *exchange, void *context)
{
    struct weft_mock *mock = context;
    size_t row = (size_t)(exchange->match.route - mock->routes);
    unsigned counted_as = mock->counted_as[row];
    struct weft_mock_counters *counters = &mock->counters[counted_as];
    struct weft_mock_request request = {
        .mock = mock,
        .exchange = exchange,
        .row = &weft_mock_rows[row],
        .counters = counters,
        .counted_as = counted_as,
        .number = __atomic_fetch_add(&counters->requests, 1, __ATOMIC_RELAXED),
    };
    note_most(counters, __atomic_add_fetch(&counters->now, 1, __ATOMIC_RELAXED));
    if (survives(&request))
        request.row->answer(&request);
    (void)__atomic_fetch_sub(&counters->now, 1, __ATOMIC_RELAXED);
}

/* ---- replies ----------------------------------------------------------------------------- */

static bool asks_for_head(const struct weft_mock_request *request)
{
    return strcmp(weft_http_method(request->exchange), "HEAD") == 0;
}

static void count_status(const struct weft_mock_request *request, int status)
{
    if (status >= WEFT_MOCK_STATUS_MIN && status < WEFT_MOCK_STATUS_MIN + WEFT_MOCK_STATUSES)
        weft_mock_count(&request->counters->status[status - WEFT_MOCK_STATUS_MIN], 1);
}

void weft_mock_reply(struct weft_mock_request *request, int status, const char *content_type,
                     const void *body, size_t len)
{
    if (request->exchange->status)
        return;
    count_status(request, status);
    bool bodiless = status == 204 || status == 205 || status == 304 || asks_for_head(request);
    if (!bodiless && len > 0)
        weft_mock_count(&request->counters->bytes, len);
    weft_http_reply(request->exchange, status, content_type, body, len);
}

void weft_mock_reply_json(struct weft_mock_request *request, int status, const char *format, ...)
{
    char text[JSON_BYTES];
    va_list args;
    va_start(args, format);
    int len = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (len < 0 || (size_t)len >= sizeof text)
        weft_mock_reply_error(request, 500, "the answer is too long");
    else
        weft_mock_reply(request, status, "application/json", text, (size_t)len);
}

void weft_mock_reply_error(struct weft_mock_request *request, int status, const char *detail)
{
    weft_mock_reply_json(request, status, "{\"detail\": \"%s\"}", detail);
}

static int sent(struct weft_mock_request *request, int err)
{
    if (err == -EPIPE || err == -ETIMEDOUT)
        note_lost(request);
    return err;
}

int weft_mock_begin(struct weft_mock_request *request, int status, const char *content_type,
                    enum weft_mock_framing framing, uint64_t len)
{
    int err;
    count_status(request, status);
    request->hidden = framing != WEFT_MOCK_RAW && asks_for_head(request);
    if (framing == WEFT_MOCK_SIZED)
        weft_http_stream_length(request->exchange, len);
    if (framing == WEFT_MOCK_RAW)
        err = weft_http_stream_raw(request->exchange);
    else
        err = weft_http_stream_begin(request->exchange, status, content_type);
    return sent(request, err);
}

int weft_mock_write_head(struct weft_mock_request *request, const char *text)
{
    return sent(request, weft_http_stream_write(request->exchange, text, strlen(text)));
}

int weft_mock_write(struct weft_mock_request *request, const void *data, size_t len)
{
    if (request->hidden)
        return -EPIPE;
    /* Counted first: a client that has them may look the number up. */
    weft_mock_count(&request->counters->bytes, len);
    int err = sent(request, weft_http_stream_write(request->exchange, data, len));
    if (err)
        weft_mock_count(&request->counters->bytes, -(uint64_t)len);
    return err;
}

int weft_mock_end(struct weft_mock_request *request)
{
    return sent(request, weft_http_stream_end(request->exchange));
}

int weft_mock_write_noise(struct weft_mock_request *request, uint64_t at, uint64_t len)
{
    int err = 0;
    while (len > 0 && !err) {
        size_t from = (size_t)(at % WEFT_MOCK_BLOCK_BYTES);
        size_t piece = WEFT_MOCK_BLOCK_BYTES - from;
        piece = piece < len ? piece : (size_t)len;
        err = weft_mock_write(request, request->mock->block + from, piece);
        at += piece;
        len -= piece;
        if (!err && len > 0)
            err = weft_yield(); /* a client that reads fast must not be the only one served */
    }
    return err;
}

void weft_mock_hang_up(struct weft_mock_request *request, bool reset)
{
    weft_mock_count(&request->counters->resets, 1);
    (void)weft_http_hang_up(request->exchange, reset);
}

/* ---- those who ask too often ------------------------------------------------------------- */

static int64_t seconds_up(int64_t duration_ns)
{
    return duration_ns / WEFT_SEC + (duration_ns % WEFT_SEC > 0);
}

bool weft_mock_retry_after(struct weft_mock_request *request, int64_t wait_ns)
{
    static const char *const forms[] = {"seconds", "date"};
    unsigned form = request->mock->retry_after_date;
    char text[24];
    if (!weft_mock_query_word(request, "form", forms, 2, &form))
        return false;
    if (form == 0) {
        (void)snprintf(text, sizeof text, "%" PRId64, seconds_up(wait_ns));
        weft_http_reply_header(request->exchange, "Retry-After", text);
        return true;
    }
    struct weft_http_date date = {0};
    int64_t end_us = weft_clock_unix_us() + wait_ns / 1000;
    weft_http_reply_header(request->exchange, "Retry-After",
                           weft_http_date_at(&date, seconds_up(end_us * 1000)));
    return true;
}

/* The name that it gives itself, or else where it is, without the port. */
static void name_client(const struct weft_mock_request *request, const char *prefix,
                        char name[WEFT_MOCK_CLIENT_LENGTH])
{
    char address[WEFT_ADDRESS_TEXT_MAX] = "";
    struct weft_address peer;
    const char *client = weft_http_header(request->exchange, "X-Client");
    if (!client && weft_http_peer(request->exchange, &peer) == 0 &&
        weft_address_format(&peer, address, sizeof address) > 0) {
        char *colon = strrchr(address, ':');
        if (colon)
            *colon = '\0';
    }
    (void)snprintf(name, WEFT_MOCK_CLIENT_LENGTH, "%s %s", prefix, client ? client : address);
}

static void tell_quota(struct weft_mock_request *request, const struct weft_mock_quota *quota,
                       const struct weft_mock_verdict *verdict)
{
    char text[24];
    (void)snprintf(text, sizeof text, "%" PRIu64, quota->requests);
    weft_http_reply_header(request->exchange, "X-RateLimit-Limit", text);
    (void)snprintf(text, sizeof text, "%" PRIu64, verdict->left);
    weft_http_reply_header(request->exchange, "X-RateLimit-Remaining", text);
    (void)snprintf(text, sizeof text, "%" PRId64, seconds_up(verdict->wait_ns));
    weft_http_reply_header(request->exchange, "X-RateLimit-Reset", text);
}

bool weft_mock_within(struct weft_mock_request *request, const struct weft_mock_quota *quota,
                      const char *name)
{
    char client[WEFT_MOCK_CLIENT_LENGTH];
    struct weft_mock_verdict verdict;
    name_client(request, name, client);
    int err = weft_mock_limit_take(&request->mock->limit, quota, client, weft_now(), &verdict);
    if (err) {
        weft_mock_reply_error(request, 503, "too many clients to keep count of");
        return false;
    }
    tell_quota(request, quota, &verdict);
    if (verdict.granted)
        return true;
    if (weft_mock_retry_after(request, verdict.wait_ns))
        weft_mock_reply_error(request, 429, "too many requests");
    return false;
}

/* ---- texts ------------------------------------------------------------------------------- */

#define TEXT_PIECE_BYTES ((size_t)32 << 10)
#define TEXT_BYTES_MAX   ((size_t)1 << 20) /* between two flushes */

void weft_mock_text_begin(struct weft_mock_text *text, struct weft_mock_request *request,
                          const char *content_type)
{
    *text = (struct weft_mock_text){.request = request, .content_type = content_type};
    weft_buffer_init(&text->bytes, TEXT_BYTES_MAX);
}

static int send_piece(struct weft_mock_text *text)
{
    struct weft_mock_request *request = text->request;
    if (!text->begun)
        text->err = weft_mock_begin(request, 200, text->content_type, WEFT_MOCK_CHUNKED, 0);
    text->begun = true;
    if (!text->err)
        text->err = weft_mock_write(request, text->bytes.data, text->bytes.len);
    weft_buffer_clear(&text->bytes);
    return text->err;
}

int weft_mock_text_flush(struct weft_mock_text *text)
{
    if (!text->err)
        text->err = text->bytes.err;
    if (text->err || text->bytes.len < TEXT_PIECE_BYTES)
        return text->err;
    return send_piece(text);
}

void weft_mock_text_end(struct weft_mock_text *text)
{
    struct weft_mock_request *request = text->request;
    if (!text->err)
        text->err = text->bytes.err;
    if (text->begun) {
        if (!text->err && text->bytes.len > 0)
            (void)send_piece(text);
        if (!text->err)
            (void)weft_mock_end(request);
    } else if (text->err) {
        weft_mock_reply_error(request, 503, "out of memory");
    } else {
        weft_mock_reply(request, 200, text->content_type, text->bytes.data, text->bytes.len);
    }
    weft_buffer_deinit(&text->bytes);
}
