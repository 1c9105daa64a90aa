/* SPDX-License-Identifier: MIT
 * mock_api.c - users, orders, webhooks, computations: a service as benchmark suites imagine it. */
#include <lab/mock_answers.h>

#include <inttypes.h>

#define ID_MAX         UINT64_C(999999999999)
#define COMPLEXITY_MAX 10000000u

static double slept_ms(const struct weft_mock_request *request)
{
    return (double)request->slept_ns / 1e6;
}

void weft_mock_root(struct weft_mock_request *request)
{
    weft_mock_reply_json(request, 200,
                         "{\"message\": \"weft mock\", \"version\": \"%s\", \"stats\": "
                         "\"/__stats\"}",
                         weft_version());
}

void weft_mock_user(struct weft_mock_request *request)
{
    uint64_t id = 0;
    if (weft_mock_param_count(request, "id", 0, ID_MAX, &id))
        weft_mock_reply_json(request, 200,
                             "{\"id\": %" PRIu64 ", \"name\": \"User %" PRIu64
                             "\", \"email\": \"user%" PRIu64
                             "@example.com\", \"latency_ms\": %.3f}",
                             id, id, id, slept_ms(request));
}

void weft_mock_order(struct weft_mock_request *request)
{
    uint64_t id = 0;
    if (weft_mock_param_count(request, "id", 0, ID_MAX, &id))
        weft_mock_reply_json(request, 200,
                             "{\"id\": %" PRIu64 ", \"user_id\": %" PRIu64
                             ", \"status\": \"completed\", \"total\": %" PRIu64
                             ".50, \"latency_ms\": %.3f}",
                             id, id % 1000, id % 500 + 10, slept_ms(request));
}

void weft_mock_webhook(struct weft_mock_request *request)
{
    size_t len;
    (void)weft_http_body(request->exchange, &len);
    weft_mock_reply_json(request, 200,
                         "{\"status\": \"processed\", \"bytes\": %zu, \"latency_ms\": %.3f}", len,
                         slept_ms(request));
}

/* Work that holds up its thread, as such work does: about a nanosecond for each step. */
void weft_mock_heavy(struct weft_mock_request *request)
{
    uint64_t complexity = 1000;
    if (!weft_mock_query_count(request, "complexity", 0, COMPLEXITY_MAX, &complexity))
        return;
    uint64_t value = 88172645463325252u;
    for (uint64_t i = 0; i < complexity; i++) { /* Marsaglia's xorshift: no step can be left out */
        value ^= value << 13;
        value ^= value >> 7;
        value ^= value << 17;
    }
    weft_mock_reply_json(request, 200, "{\"complexity\": %" PRIu64 ", \"result\": %" PRIu64 "}",
                         complexity, value);
}

/* The errors have struck, or not, before it came here. */
void weft_mock_errors(struct weft_mock_request *request)
{
    weft_mock_reply_json(request, 200, "{\"status\": \"ok\", \"latency_ms\": %.3f}",
                         slept_ms(request));
}
