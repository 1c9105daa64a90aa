/* SPDX-License-Identifier: MIT
 * mock_routes.c - what there is. docs/mock.md tells it to people. */
#include <lab/mock_answers.h>

#include <weft/base.h>

#define ECHO_BYTES_MAX ((size_t)16 << 20)

#define GET(pattern, answer, ...)                                                                  \
    {                                                                                              \
        "GET", pattern, answer, __VA_ARGS__                                                        \
    }
#define POST(pattern, answer, ...)                                                                 \
    {                                                                                              \
        "POST", pattern, answer, __VA_ARGS__                                                       \
    }

/* A row per method, HEAD being GET's. */
#define ANY(pattern, answer, ...)                                                                  \
    GET(pattern, answer, __VA_ARGS__), POST(pattern, answer, __VA_ARGS__),                         \
        {"PUT", pattern, answer, __VA_ARGS__}, {"PATCH", pattern, answer, __VA_ARGS__},            \
    {                                                                                              \
        "DELETE", pattern, answer, __VA_ARGS__                                                     \
    }

/* The router looks at them in this order: first what is measured with. */
const struct weft_mock_row weft_mock_rows[] = {
    GET("/health", weft_mock_health, .kind = WEFT_MOCK_PLAIN),
    GET("/get", weft_mock_get, 0),
    GET("/", weft_mock_root, 0),
    GET("/users/{id}", weft_mock_user, .latency_ns = 100 * WEFT_MSEC),
    GET("/orders/{id}", weft_mock_order, .latency_ns = 150 * WEFT_MSEC),
    POST("/webhooks/process", weft_mock_webhook, .latency_ns = 200 * WEFT_MSEC),
    GET("/heavy-computation", weft_mock_heavy, 0),
    GET("/error-simulation", weft_mock_errors, .latency_ns = 100 * WEFT_MSEC),

    ANY("/status/{code}", weft_mock_status, 0),
    GET("/delay/{s}", weft_mock_delay, .kind = WEFT_MOCK_PLAIN),
    GET("/429", weft_mock_429, 0),
    GET("/500", weft_mock_500, 0),
    GET("/limited", weft_mock_limited, 0),
    GET("/bytes/{n}", weft_mock_bytes, 0),
    GET("/chunked", weft_mock_chunked, 0),
    GET("/slow", weft_mock_slow, 0),
    GET("/etag/{tag}", weft_mock_etag, 0),

    ANY("/echo", weft_mock_echo, .body_bytes_max = ECHO_BYTES_MAX),
    GET("/headers", weft_mock_headers, 0),
    GET("/cookies", weft_mock_cookies, 0),
    GET("/cookies/set", weft_mock_set_cookies, 0),

    ANY("/redirect/{n}", weft_mock_redirect, 0),
    ANY("/redirect-to", weft_mock_redirect_to, 0),
    GET("/redirect-loop", weft_mock_redirect_loop, 0),

    ANY("/reset", weft_mock_trouble_reset, 0),
    ANY("/close", weft_mock_trouble_close, 0),
    GET("/stall", weft_mock_trouble_stall, 0),
    GET("/wrong-length", weft_mock_wrong_length, 0),
    GET("/malformed", weft_mock_malformed, 0),

    GET("/text", weft_mock_plain_text, 0),
    GET("/gzip", weft_mock_gzip, 0),
    GET("/deflate", weft_mock_deflate, 0),
    GET("/bomb", weft_mock_bomb, 0),

    GET("/site/{page}", weft_mock_page, 0),
    GET("/site/moved/{page}", weft_mock_page_moved, 0),
    GET("/site/private/{page}", weft_mock_page_private, 0),
    GET("/site/missing/{page}", weft_mock_page_missing, 0),
    GET("/robots.txt", weft_mock_robots, .kind = WEFT_MOCK_PLAIN),
    GET("/robots-moved.txt", weft_mock_robots_moved, .kind = WEFT_MOCK_PLAIN),
    GET("/sitemap.xml", weft_mock_sitemap, .kind = WEFT_MOCK_PLAIN),
    GET("/sitemap/{part}", weft_mock_sitemap_part, .kind = WEFT_MOCK_PLAIN),

    GET("/__site", weft_mock_site_facts, .kind = WEFT_MOCK_CONTROL),
    GET("/__stats", weft_mock_tell_stats, .kind = WEFT_MOCK_CONTROL),
    POST("/__reset", weft_mock_forget_stats, .kind = WEFT_MOCK_CONTROL),
};

const unsigned weft_mock_rows_count = sizeof weft_mock_rows / sizeof weft_mock_rows[0];

_Static_assert(sizeof weft_mock_rows / sizeof weft_mock_rows[0] <= WEFT_MOCK_ROWS_MAX,
               "struct weft_mock has room for so many");
