/* SPDX-License-Identifier: MIT
 * query.c - query strings from arbitrary bytes, as the list routes read them: pairs in their order,
 * each as long as it can be, and what is no number, no id and no truth is answered with a reason.
 */
#include <http/exchange.h>
#include <http/target.h>
#include <serve/api.h>

#include <llhttp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define PATH      "/v1/jobs?"
#define LIMIT_MAX 1000

static void check(bool holds)
{
    if (!holds)
        abort();
}

/* The number of pieces between "&" that are not empty. */
static size_t count_pairs(const char *query, size_t len)
{
    size_t count = 0;
    for (size_t i = 0; i < len; i++)
        count += query[i] != '&' && (i == 0 || query[i - 1] == '&');
    return count;
}

/* What the pair is written like can be no shorter than what it says. */
static void check_pairs(struct weft_http_exchange *exchange, size_t count, size_t len)
{
    const char *name, *value;
    size_t position = 0, pairs = 0, bytes = 0;
    while (weft_http_query_next(exchange, &position, &name, &value) > 0) {
        const char *first = weft_http_query(exchange, name);
        check(first && first <= value);
        pairs++;
        bytes += strlen(name) + strlen(value);
    }
    check(pairs == count && bytes <= len);
}

static void check_answer(struct weft_http_exchange *exchange, bool good)
{
    check(good == (exchange->status == 0));
    if (!good) {
        check(exchange->status == 422 && exchange->failure == 0 && exchange->spoiled == 0);
        check(strstr(exchange->detail.data, "the parameter") != NULL);
    }
    exchange->status = 0;
    weft_buffer_clear(exchange->out);
}

static void check_parameters(struct weft_http_exchange *exchange)
{
    uint64_t limit = 50;
    bool flag = false;
    struct weft_uuid cursor, written;
    bool good = weft_api_query_count(exchange, "limit", &limit, LIMIT_MAX);
    check_answer(exchange, good);
    check(limit >= 1 && limit <= LIMIT_MAX);

    check_answer(exchange, weft_api_query_bool(exchange, "all", &flag));

    good = weft_api_query_id(exchange, "cursor", &cursor, "what the last page gave as \"next\"");
    check_answer(exchange, good);
    if (good && weft_http_query(exchange, "cursor")) {
        char text[WEFT_UUID_TEXT_LEN + 1];
        weft_uuid_format(&cursor, text);
        check(weft_uuid_parse(&written, text, strlen(text)) == 0);
        check(memcmp(&written, &cursor, sizeof cursor) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct weft_http_incoming request;
    struct weft_http_exchange exchange;
    struct weft_http_date date = {0};
    struct weft_buffer out;
    const bool draining = false;
    size_t len = strlen(PATH) + size;
    if (len > WEFT_HTTP_URL_BYTES_MAX)
        return 0;
    char *message = malloc(len + 1); /* of exactly the size, for a sanitizer */
    check(message != NULL);
    memcpy(message, PATH, strlen(PATH));
    if (size > 0)
        memcpy(message + strlen(PATH), data, size);
    request = (struct weft_http_incoming){
        .message = message, .method = HTTP_GET, .url = {0, (uint32_t)len}};
    const char *error = weft_http_target_split(&request);
    if (error) {
        check(*error);
        free(message);
        return 0;
    }
    check(request.query.len == size);
    size_t count = count_pairs(message + strlen(PATH), size);
    weft_buffer_init(&out, 1 << 16);
    weft_http_exchange_init(&exchange, &out);
    exchange.server_name = "weft";
    exchange.date = &date;
    exchange.draining = &draining;
    weft_http_exchange_begin(&exchange, &request);
    check_pairs(&exchange, count, size);
    check_parameters(&exchange);
    weft_http_exchange_deinit(&exchange);
    weft_buffer_deinit(&out);
    free(message);
    return 0;
}
