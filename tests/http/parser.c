/* SPDX-License-Identifier: MIT
 * parser.c - bytes in, a request or a refusal out, however the bytes are cut. */
#include "test.h"

#include <base/buffer.h>
#include <http/request_parser.h>

#include <stdlib.h>
#include <string.h>

#define H                "Host: a\r\n"

#define HEADER_BYTES_MAX ((size_t)16384)
#define BODY_BYTES_MAX   ((size_t)100000)

/* One message, fed to a parser from memory of exactly its size (plus the spare byte), moved to a
 * new place before every feed: what the parser keeps must not point into the old one. */
struct feeder {
    struct weft_http_parser parser;
    char *message;
    size_t len;
};

static void feeder_init(struct feeder *feeder)
{
    weft_http_parser_begin(&feeder->parser, HEADER_BYTES_MAX);
    feeder->message = NULL;
    feeder->len = 0;
}

static enum weft_http_verdict feed_only(struct feeder *feeder, const char *bytes, size_t len)
{
    char *moved = malloc(feeder->len + len + 1);
    REQUIRE(moved != NULL);
    if (feeder->len > 0)
        memcpy(moved, feeder->message, feeder->len);
    if (len > 0)
        memcpy(moved + feeder->len, bytes, len);
    free(feeder->message);
    feeder->message = moved;
    feeder->len += len;
    return weft_http_parser_feed(&feeder->parser, moved, &feeder->len);
}

static enum weft_http_verdict feed(struct feeder *feeder, const char *bytes, size_t len)
{
    enum weft_http_verdict verdict = feed_only(feeder, bytes, len);
    return verdict != WEFT_HTTP_HEAD ? verdict
                                     : weft_http_parser_expect(&feeder->parser, BODY_BYTES_MAX,
                                                               feeder->message, &feeder->len);
}

static void feeder_deinit(struct feeder *feeder)
{
    free(feeder->message);
}

/* Feed text cut at two places. */
static enum weft_http_verdict feed_cut(struct feeder *feeder, const char *text, size_t len,
                                       size_t first, size_t second)
{
    enum weft_http_verdict verdict = feed(feeder, text, first);
    if (verdict == WEFT_HTTP_MORE)
        verdict = feed(feeder, text + first, second - first);
    if (verdict == WEFT_HTTP_MORE)
        verdict = feed(feeder, text + second, len - second);
    return verdict;
}

static bool is(const struct weft_http_incoming *request, struct weft_http_span span,
               const char *text)
{
    return span.len == strlen(text) && strcmp(weft_http_text(request, span), text) == 0;
}

/* What becomes of text that comes in pieces: the refusal, 200, or 0 while it goes on. */
static int status_of(const char *text, size_t len, size_t piece)
{
    struct feeder feeder;
    feeder_init(&feeder);
    enum weft_http_verdict verdict = WEFT_HTTP_MORE;
    for (size_t at = 0; at < len && verdict == WEFT_HTTP_MORE; at += piece)
        verdict = feed(&feeder, text + at, len - at < piece ? len - at : piece);
    int status = verdict == WEFT_HTTP_REFUSED    ? feeder.parser.refusal.status
                 : verdict == WEFT_HTTP_COMPLETE ? 200
                                                 : 0;
    feeder_deinit(&feeder);
    return status;
}

static const char chunked[] = "POST /a%20b?c=d HTTP/1.1\r\nHost: example.com\r\nX-Empty:\r\n"
                              "X-Padded: \t value \t\r\nTransfer-Encoding: chunked\r\n\r\n"
                              "5;name=value\r\nhello\r\n"
                              "1;quoted=\"v\"\r\n,\r\n"
                              "06\r\n world\r\n"
                              "0\r\nX-Trailer: dropped\r\n\r\n";

static void check_chunked(const struct feeder *feeder)
{
    const struct weft_http_incoming *request = &feeder->parser.request;
    CHECK_EQUAL(request->method, HTTP_POST);
    CHECK(strcmp(request->path.text, "/a b") == 0);
    CHECK(is(request, request->query, "c=d"));
    CHECK_EQUAL(request->headers_count, 4);
    CHECK(is(request, request->headers[0].name, "Host"));
    CHECK(is(request, request->headers[0].value, "example.com"));
    CHECK(is(request, request->headers[1].value, ""));
    CHECK(is(request, request->headers[2].value, "value"));
    CHECK_EQUAL(request->body_len, 12);
    CHECK(strcmp(request->message + request->body_at, "hello, world") == 0);
    CHECK(request->keep_alive);
}

TEST(a_chunked_request_is_understood_however_it_is_cut)
{
    size_t len = sizeof chunked - 1;
    for (size_t first = 0; first <= len; first++) {
        for (size_t second = first; second <= len; second++) {
            struct feeder feeder;
            feeder_init(&feeder);
            enum weft_http_verdict verdict = feed_cut(&feeder, chunked, len, first, second);
            if (verdict != WEFT_HTTP_COMPLETE)
                test_note("cut at %zu and %zu: %s", first, second, feeder.parser.refusal.detail);
            REQUIRE(verdict == WEFT_HTTP_COMPLETE);
            check_chunked(&feeder);
            feeder_deinit(&feeder);
        }
    }
}

TEST(a_request_is_understood_byte_by_byte)
{
    struct feeder feeder;
    feeder_init(&feeder);
    size_t len = sizeof chunked - 1;
    for (size_t i = 0; i + 1 < len; i++)
        REQUIRE(feed(&feeder, chunked + i, 1) == WEFT_HTTP_MORE);
    REQUIRE(feed(&feeder, chunked + len - 1, 1) == WEFT_HTTP_COMPLETE);
    check_chunked(&feeder);
    feeder_deinit(&feeder);
}

TEST(a_message_ends_where_the_next_begins)
{
    static const struct {
        const char *text;
        size_t len; /* of the first message */
    } cases[] = {
        {"GET / HTTP/1.1\r\n" H "\r\nGET /next", 16 + 9 + 2},
        {"POST / HTTP/1.1\r\n" H "Content-Length: 3\r\n\r\nabcGET /next", 17 + 9 + 19 + 2 + 3},
        {"POST / HTTP/1.1\r\n" H "Content-Length: 0\r\n\r\nGET /next", 17 + 9 + 19 + 2},
        {"POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\nGET /next",
         17 + 9 + 28 + 2 + 8 + 5},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct feeder feeder;
        feeder_init(&feeder);
        CHECK_EQUAL(feed(&feeder, cases[i].text, strlen(cases[i].text)), WEFT_HTTP_COMPLETE);
        CHECK_EQUAL(feeder.parser.end, cases[i].len);
        CHECK(memcmp(feeder.message + feeder.parser.end, "GET /next", 9) == 0);
        const struct weft_http_incoming *request = &feeder.parser.request;
        CHECK(strcmp(request->message + request->body_at, request->body_len ? "abc" : "") == 0);
        feeder_deinit(&feeder);
    }
}

TEST(the_body_is_held_without_its_framing)
{
    struct feeder feeder;
    feeder_init(&feeder);
    static const char head[] = "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n";
    CHECK_EQUAL(feed(&feeder, head, sizeof head - 1), WEFT_HTTP_MORE);
    for (int i = 0; i < 1000; i++)
        CHECK_EQUAL(feed(&feeder, "1;ext=1\r\na\r\n", 12), WEFT_HTTP_MORE);
    CHECK_EQUAL(feeder.len, sizeof head - 1 + 1000);
    CHECK_EQUAL(feed(&feeder, "0\r\n\r\n", 5), WEFT_HTTP_COMPLETE);
    CHECK_EQUAL(feeder.parser.request.body_len, 1000);
    feeder_deinit(&feeder);
}

TEST(framing_without_content_is_refused)
{
    struct feeder feeder;
    feeder_init(&feeder);
    static const char head[] = "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n1;";
    enum weft_http_verdict verdict = feed(&feeder, head, sizeof head - 1);
    int rounds = 0;
    for (; verdict == WEFT_HTTP_MORE && rounds < 10000; rounds++)
        verdict = feed(&feeder, "extension_without_end_extension_without_end", 43);
    CHECK_EQUAL(verdict, WEFT_HTTP_REFUSED);
    CHECK_EQUAL(feeder.parser.refusal.status, 413);
    CHECK(rounds < 1000);
    feeder_deinit(&feeder);
}

TEST(trailers_may_be_as_large_as_a_head_and_not_larger)
{
    static const char head[] = "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n0\r\n";
    for (size_t extra = 0; extra < 2; extra++) {
        struct weft_buffer text;
        weft_buffer_init(&text, 100000);
        weft_buffer_append_string(&text, head);
        size_t framing = HEADER_BYTES_MAX + extra;
        weft_buffer_append_string(&text, "X: ");
        for (size_t i = 3 + 3 + 4; i < framing; i++) /* the last chunk, the name, both line ends */
            weft_buffer_append_char(&text, 'x');
        weft_buffer_append_string(&text, "\r\n\r\n");
        CHECK_EQUAL(status_of(text.data, text.len, 100000), extra ? 413 : 200);
        CHECK_EQUAL(status_of(text.data, text.len, 100), extra ? 413 : 200);
        weft_buffer_deinit(&text);
    }
}

/* Every malformed message gets its status wherever it is cut in two. */
static const struct {
    int status;
    const char *text;
} refused[] = {
    {400, "GET  / HTTP/1.1\r\n" H "\r\n"},
    {400, "GET /  HTTP/1.1\r\n" H "\r\n"},
    {400, "GET / HTTP/1.1 \r\n" H "\r\n"},
    {400, "get / HTTP/1.1\r\n" H "\r\n"},
    {400, "FOO / HTTP/1.1\r\n" H "\r\n"},
    {400, " GET / HTTP/1.1\r\n" H "\r\n"},
    {400, "\nGET / HTTP/1.1\r\n" H "\r\n"},
    {400, "GET / HTTP/1.1\n" H "\n"},
    {400, "GET / HTTP/1.1\r\nHost: a\n\r\n"},
    {400, "GET / HTTP/1.1\r\nHost: a\r\n\n"},
    {400, "GET / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n"},
    {400, "GET / HTTP/1.1\r\nHost: a\r\r\n\r\n"},
    {400, "GET / HTTP/1.1\r\n" H "X: a\r\n b\r\n\r\n"},
    {400, "GET / HTTP/1.1\r\n" H "X: a\r\n\tb\r\n\r\n"},
    {400, "GET / HTTP/1.1\r\n X: a\r\n" H "\r\n"},
    {400, "GET / HTTP/1.1\r\n" H "X : a\r\n\r\n"},
    {400, "GET / HTTP/1.1\r\n" H ": a\r\n\r\n"},
    {400, "GET / HTTP/1.1\r\n" H "X\r\n\r\n"},
    {400, "GET / HTTP/1.1\r\n" H "X\x01: a\r\n\r\n"},
    {400, "GET / HTTP/1.1\r\n" H "X: \x01\r\n\r\n"},
    {400, "GET / HTTP/1.1\r\n\r\n"},
    {400, "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"},
    {400, "GET / HTTP/1.1\r\nHost: a b\r\n\r\n"},
    {400, "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"},
    {400, "GET / HTTP/1.1\r\nHost: a,b\r\n\r\n"},
    {400, "GET / HTTP/1.1\r\nHost: a@b\r\n\r\n"},
    {400, "GET a HTTP/1.1\r\n" H "\r\n"},
    {400, "GET * HTTP/1.1\r\n" H "\r\n"},
    {400, "GET /% HTTP/1.1\r\n" H "\r\n"},
    {400, "GET /%00 HTTP/1.1\r\n" H "\r\n"},
    {400, "GET /?%0 HTTP/1.1\r\n" H "\r\n"},
    {400, "GET /#a HTTP/1.1\r\n" H "\r\n"},
    {400, "GET / HTTQ/1.1\r\n" H "\r\n"},
    {400, "GET / HTTP/x.1\r\n" H "\r\n"},
    {400, "GET / HTTP/11\r\n" H "\r\n"},
    {400, "GET / HTTP/1.10\r\n" H "\r\n"},
    {400, "GET / RTSP/1.0\r\n" H "\r\n"},
    {400, "SOURCE / ICE/1.0\r\n" H "\r\n"},
    {505, "GET / HTTP/1.2\r\n" H "\r\n"},
    {505, "GET / HTTP/0.9\r\n" H "\r\n"},
    {505, "GET / HTTP/2.0\r\n" H "\r\n"},
    {505, "GET / HTTP/3.0\r\n" H "\r\n"},
    {505, "GET /\r\n\r\n"},
    {505, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"},
    {501, "CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n"},
    {417, "POST / HTTP/1.1\r\n" H "Expect: miracles\r\nContent-Length: 1\r\n\r\n"},
    {417, "POST / HTTP/1.1\r\n" H "Expect: 100-continue, more\r\nContent-Length: 1\r\n\r\n"},
    {413, "POST / HTTP/1.1\r\n" H "Content-Length: 100001\r\n\r\n"},
    {413, "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n186a1\r\n"},
    {413, "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n186a0\r\n"},
    {413, "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n"},
    /* The ways to make two servers disagree about where a request ends. */
    {400, "POST / HTTP/1.1\r\n" H "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"},
    {400, "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n"},
    {400, "POST / HTTP/1.1\r\n" H "Content-Length: 1\r\nContent-Length: 2\r\n\r\n"},
    {400, "POST / HTTP/1.1\r\n" H "Content-Length: 1\r\nContent-Length: 1\r\n\r\n"},
    {400, "POST / HTTP/1.1\r\n" H "Content-Length: 1, 1\r\n\r\n"},
    {400, "POST / HTTP/1.1\r\n" H "Content-Length: 1 2\r\n\r\n"},
    {400, "POST / HTTP/1.1\r\n" H "Content-Length: +1\r\n\r\n"},
    {400, "POST / HTTP/1.1\r\n" H "Content-Length: -1\r\n\r\n"},
    {400, "POST / HTTP/1.1\r\n" H "Content-Length: 0x1\r\n\r\n"},
    {400, "POST / HTTP/1.1\r\n" H "Content-Length: 1a\r\n\r\n"},
    {400, "POST / HTTP/1.1\r\n" H "Content-Length:\r\n\r\n"},
    {400, "POST / HTTP/1.1\r\n" H "Content-Length : 1\r\n\r\n"},
    {400, "POST / HTTP/1.1\r\n" H "Content-Length: 18446744073709551617\r\n\r\n"},
    {400, "POST / HTTP/1.1\r\n" H "Content-Length: 1\r\n 2\r\n\r\n"},
    {501, "POST / HTTP/1.1\r\n" H "Transfer-Encoding: gzip\r\n\r\n"},
    {501, "POST / HTTP/1.1\r\n" H "Transfer-Encoding: gzip, chunked\r\n\r\n"},
    {501, "POST / HTTP/1.1\r\n" H "Transfer-Encoding: xchunked\r\n\r\n"},
    {501, "POST / HTTP/1.1\r\n" H "Transfer-Encoding: identity\r\n\r\n"},
    {501, "POST / HTTP/1.1\r\n" H "Transfer-Encoding:\r\n\r\n"},
    {400, "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked, gzip\r\n\r\n"},
    {400, "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked, chunked\r\n\r\n"},
    {400,
     "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"},
    {400, "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n0\r\n\n"},
    {400, "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n0\r\nA: b\r\n\n"},
    {400, "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n0\r\nA: b\n\r\n"},
    {400, "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n1\na\r\n0\r\n\r\n"},
    {400, "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n1\r\na\n0\r\n\r\n"},
    {400, "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n"},
    {400, "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n1 \r\na\r\n0\r\n\r\n"},
    {400, "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n0x1\r\na\r\n0\r\n\r\n"},
    {400, "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n-1\r\na\r\n0\r\n\r\n"},
    {400, "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n\r\n"},
    {400, "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n1;a\nb\r\na\r\n0\r\n\r\n"},
    {400, "POST / HTTP/1.0\r\n" H "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
    {400, "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n10000000000000000\r\n"},
};

TEST(malformed_requests_get_their_status_however_they_are_cut)
{
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        size_t len = strlen(refused[i].text);
        for (size_t cut = 0; cut <= len; cut++) {
            struct feeder feeder;
            feeder_init(&feeder);
            enum weft_http_verdict verdict = feed_cut(&feeder, refused[i].text, len, 0, cut);
            int status = verdict == WEFT_HTTP_REFUSED ? feeder.parser.refusal.status : 0;
            CHECK_EQUAL(status, refused[i].status);
            if (status != refused[i].status)
                test_note("cut at %zu: %s", cut, refused[i].text);
            feeder_deinit(&feeder);
        }
    }
}

static const char *const served[] = {
    "GET / HTTP/1.1\r\n" H "\r\n",
    "\r\n\r\nGET / HTTP/1.1\r\n" H "\r\n",
    "GET / HTTP/1.1\r\nHost:\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n",
    "GET / HTTP/1.0\r\n\r\n",
    "GET http://a/ HTTP/1.1\r\n" H "\r\n",
    "OPTIONS * HTTP/1.1\r\n" H "\r\n",
    "GET / HTTP/1.1\r\n" H "X:\r\nY: \x80\xff \t\r\n\r\n",
    "GET / HTTP/1.1\r\n" H "Upgrade: websocket\r\nConnection: upgrade\r\n\r\n",
    "POST / HTTP/1.1\r\n" H "Upgrade: h2c\r\nConnection: upgrade\r\nContent-Length: 1\r\n\r\nx",
    "GET / HTTP/1.1\r\n" H "Content-Length: 1\r\n\r\nx",
    "POST / HTTP/1.1\r\n" H "Content-Length: 00000000001\r\n\r\nx",
    "POST / HTTP/1.1\r\n" H "transfer-encoding: ChUnKeD \r\n\r\n0000\r\n\r\n",
    "POST / HTTP/1.0\r\nExpect: anything\r\nContent-Length: 1\r\n\r\nx",
    "POST / HTTP/1.1\r\n" H "Expect: 100-Continue\r\nContent-Length: 1\r\n\r\nx",
};

TEST(unusual_but_valid_requests_are_served_however_they_are_cut)
{
    for (size_t i = 0; i < sizeof served / sizeof served[0]; i++) {
        size_t len = strlen(served[i]);
        for (size_t cut = 0; cut <= len; cut++) {
            struct feeder feeder;
            feeder_init(&feeder);
            enum weft_http_verdict verdict = feed_cut(&feeder, served[i], len, 0, cut);
            CHECK_EQUAL(verdict, WEFT_HTTP_COMPLETE);
            if (verdict != WEFT_HTTP_COMPLETE)
                test_note("cut at %zu: %s", cut, served[i]);
            CHECK_EQUAL(feeder.parser.end, feeder.len);
            feeder_deinit(&feeder);
        }
    }
}

TEST(keeping_alive_follows_version_and_header)
{
    static const struct {
        bool keep_alive;
        const char *text;
    } cases[] = {
        {true, "GET / HTTP/1.1\r\n" H "\r\n"},
        {false, "GET / HTTP/1.1\r\n" H "Connection: close\r\n\r\n"},
        {false, "GET / HTTP/1.1\r\n" H "Connection: Keep-Alive, Close\r\n\r\n"},
        {true, "GET / HTTP/1.1\r\n" H "Connection: something\r\n\r\n"},
        {false, "GET / HTTP/1.0\r\n" H "\r\n"},
        {true, "GET / HTTP/1.0\r\n" H "Connection: keep-alive\r\n\r\n"},
        {false, "GET / HTTP/1.0\r\n" H "Connection: keep-alive, close\r\n\r\n"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct feeder feeder;
        feeder_init(&feeder);
        CHECK_EQUAL(feed(&feeder, cases[i].text, strlen(cases[i].text)), WEFT_HTTP_COMPLETE);
        CHECK_EQUAL(feeder.parser.request.keep_alive, cases[i].keep_alive);
        feeder_deinit(&feeder);
    }
}

/* ---- the head by itself ------------------------------------------------------------------ */

static const char *const with_body[] = {
    "POST /a?b=c HTTP/1.1\r\n" H "Content-Length: 5\r\n\r\nhello",
    "POST /a?b=c HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "POST /a?b=c HTTP/1.1\r\n" H "Content-Length: 500000\r\n\r\n",
    /* Malformed, but not the head. */
    "POST /a?b=c HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\nnonsense",
};

TEST(the_head_comes_before_its_body_however_it_is_cut)
{
    for (size_t i = 0; i < sizeof with_body / sizeof with_body[0]; i++) {
        const char *text = with_body[i];
        size_t len = strlen(text), head_len = (size_t)(strstr(text, "\r\n\r\n") + 4 - text);
        for (size_t cut = 0; cut <= len; cut++) {
            struct feeder feeder;
            feeder_init(&feeder);
            enum weft_http_verdict verdict = feed_only(&feeder, text, cut);
            CHECK_EQUAL(verdict, cut < head_len ? WEFT_HTTP_MORE : WEFT_HTTP_HEAD);
            if (verdict == WEFT_HTTP_MORE)
                verdict = feed_only(&feeder, text + cut, len - cut);
            CHECK_EQUAL(verdict, WEFT_HTTP_HEAD);
            const struct weft_http_incoming *request = &feeder.parser.request;
            CHECK(request->head_complete);
            CHECK_EQUAL(request->body_at, head_len);
            CHECK_EQUAL(request->body_len, 0);
            CHECK(strcmp(request->path.text, "/a") == 0);
            CHECK(is(request, request->query, "b=c"));
            CHECK(is(request, request->headers[0].value, "a"));
            feeder_deinit(&feeder);
        }
    }
}

TEST(a_head_without_a_body_is_complete_at_once)
{
    static const char *const texts[] = {
        "GET / HTTP/1.1\r\n" H "\r\n",
        "POST / HTTP/1.1\r\n" H "Content-Length: 0\r\n\r\n",
    };
    for (size_t i = 0; i < 2; i++) {
        struct feeder feeder;
        feeder_init(&feeder);
        CHECK_EQUAL(feed_only(&feeder, texts[i], strlen(texts[i])), WEFT_HTTP_COMPLETE);
        feeder_deinit(&feeder);
    }
}

TEST(how_long_a_body_may_be_is_said_after_its_head)
{
    static const struct {
        const char *text;
        size_t max;
        enum weft_http_verdict verdict;
    } cases[] = {
        {"POST / HTTP/1.1\r\n" H "Content-Length: 5\r\n\r\nhello", 5, WEFT_HTTP_COMPLETE},
        {"POST / HTTP/1.1\r\n" H "Content-Length: 5\r\n\r\nhello", 4, WEFT_HTTP_REFUSED},
        {"POST / HTTP/1.1\r\n" H "Content-Length: 5\r\n\r\nhell", 5, WEFT_HTTP_MORE},
        {"POST / HTTP/1.1\r\n" H "Content-Length: 5\r\n\r\n", 0, WEFT_HTTP_REFUSED},
        {"POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", 5,
         WEFT_HTTP_COMPLETE},
        {"POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n5\r\n", 4, WEFT_HTTP_REFUSED},
        {"POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 0,
         WEFT_HTTP_COMPLETE},
        {"POST / HTTP/1.1\r\n" H "Content-Length: 3000000\r\n\r\n", 3000000, WEFT_HTTP_MORE},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct feeder feeder;
        feeder_init(&feeder);
        CHECK_EQUAL(feed_only(&feeder, cases[i].text, strlen(cases[i].text)), WEFT_HTTP_HEAD);
        CHECK_EQUAL(
            weft_http_parser_expect(&feeder.parser, cases[i].max, feeder.message, &feeder.len),
            cases[i].verdict);
        if (cases[i].verdict == WEFT_HTTP_REFUSED)
            CHECK_EQUAL(feeder.parser.refusal.status, 413);
        feeder_deinit(&feeder);
    }
}

/* ---- limits ----------------------------------------------------------------------------- */

/* A head of exactly len bytes, padded in one header. */
static char *head_of(size_t len)
{
    static const char start[] = "GET / HTTP/1.1\r\n" H "X: ", stop[] = "\r\n\r\n";
    char *text = malloc(len + 1);
    REQUIRE(text != NULL);
    memset(text, 'x', len);
    memcpy(text, start, sizeof start - 1);
    memcpy(text + len - (sizeof stop - 1), stop, sizeof stop);
    return text;
}

TEST(a_head_may_reach_its_limit_and_not_exceed_it)
{
    static const size_t pieces[] = {100000, 4096, 1000};
    char *fits = head_of(HEADER_BYTES_MAX), *exceeds = head_of(HEADER_BYTES_MAX + 1);
    for (size_t i = 0; i < sizeof pieces / sizeof pieces[0]; i++) {
        CHECK_EQUAL(status_of(fits, HEADER_BYTES_MAX, pieces[i]), 200);
        CHECK_EQUAL(status_of(exceeds, HEADER_BYTES_MAX + 1, pieces[i]), 431);
    }
    free(fits);
    free(exceeds);
}

TEST(a_head_without_end_is_refused)
{
    char *endless = head_of(HEADER_BYTES_MAX + 1000);
    CHECK_EQUAL(status_of(endless, HEADER_BYTES_MAX, 512), 0);
    CHECK_EQUAL(status_of(endless, HEADER_BYTES_MAX + 1, 512), 431);
    free(endless);
}

TEST(a_target_may_reach_its_limit_and_not_exceed_it)
{
    for (size_t extra = 0; extra < 2; extra++) {
        size_t len = WEFT_HTTP_URL_BYTES_MAX + extra;
        struct weft_buffer text;
        weft_buffer_init(&text, 100000);
        weft_buffer_append_string(&text, "GET /");
        for (size_t i = 1; i < len; i++)
            weft_buffer_append_char(&text, 'a');
        weft_buffer_append_string(&text, " HTTP/1.1\r\n" H "\r\n");
        CHECK_EQUAL(status_of(text.data, text.len, 100000), extra ? 414 : 200);
        CHECK_EQUAL(status_of(text.data, text.len, 777), extra ? 414 : 200);
        weft_buffer_deinit(&text);
    }
}

TEST(headers_may_be_as_many_as_their_limit_and_not_more)
{
    for (unsigned extra = 0; extra < 2; extra++) {
        struct weft_buffer text;
        weft_buffer_init(&text, 100000);
        weft_buffer_append_string(&text, "GET / HTTP/1.1\r\n" H);
        for (unsigned i = 1; i < WEFT_HTTP_HEADERS_MAX + extra; i++)
            weft_buffer_append_string(&text, "X: y\r\n");
        weft_buffer_append_string(&text, "\r\n");
        CHECK_EQUAL(status_of(text.data, text.len, 100000), extra ? 431 : 200);
        CHECK_EQUAL(status_of(text.data, text.len, 1), extra ? 431 : 200);
        weft_buffer_deinit(&text);
    }
}

TEST(a_body_may_reach_its_limit_and_not_exceed_it)
{
    for (unsigned extra = 0; extra < 2; extra++) {
        struct weft_buffer text;
        weft_buffer_init(&text, 1000000);
        weft_buffer_append_string(&text,
                                  "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n");
        for (unsigned i = 0; i < BODY_BYTES_MAX; i += 10)
            weft_buffer_append_string(&text, "a\r\n0123456789\r\n");
        weft_buffer_append_string(&text, extra ? "1\r\nx\r\n0\r\n\r\n" : "0\r\n\r\n");
        CHECK_EQUAL(status_of(text.data, text.len, 1000000), extra ? 413 : 200);
        CHECK_EQUAL(status_of(text.data, text.len, 999), extra ? 413 : 200);
        weft_buffer_deinit(&text);
    }
}
