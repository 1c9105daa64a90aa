/* SPDX-License-Identifier: MIT
 * reply.c - replies as bytes. */
#include "test.h"

#include <http/reply.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define DATE "Sun, 06 Nov 1994 08:49:37 GMT"

static bool holds(const struct weft_buffer *buffer, const char *text)
{
    bool same = buffer->len == strlen(text) && memcmp(buffer->data, text, buffer->len) == 0;
    if (!same)
        test_note("got: %.*s", (int)buffer->len, buffer->data);
    return same;
}

TEST(a_date_is_written_as_rfc_9110_says)
{
    struct weft_http_date date = {0};
    CHECK(strcmp(weft_http_date_at(&date, 784111777), DATE) == 0);
    CHECK(strcmp(weft_http_date_at(&date, 784111778), "Sun, 06 Nov 1994 08:49:38 GMT") == 0);
    CHECK(strcmp(weft_http_date_at(&date, 951782400), "Tue, 29 Feb 2000 00:00:00 GMT") == 0);
    CHECK(strcmp(weft_http_date_at(&date, 4102444799), "Thu, 31 Dec 2099 23:59:59 GMT") == 0);
    CHECK(strcmp(weft_http_date_at(&date, 0), "Thu, 01 Jan 1970 00:00:00 GMT") == 0);
}

TEST(a_reply_is_head_and_body_in_one_piece)
{
    struct weft_buffer out;
    weft_buffer_init(&out, 4096);
    struct weft_http_reply_head head = {.status = 200, .date = DATE, .content_type = "text/plain"};
    CHECK_EQUAL(weft_http_reply_append(&out, &head, "hello", 5), 0);
    CHECK(holds(&out, "HTTP/1.1 200 OK\r\nDate: " DATE "\r\nContent-Type: text/plain\r\n"
                      "Content-Length: 5\r\n\r\nhello"));
    weft_buffer_deinit(&out);
}

TEST(a_reply_says_what_it_was_told)
{
    struct weft_buffer out;
    weft_buffer_init(&out, 4096);
    struct weft_http_reply_head head = {
        .status = 405,
        .date = DATE,
        .server_name = "weft",
        .fields = "Allow: GET\r\n",
        .fields_len = 12,
        .close = true,
        .keep_alive = true,
    };
    CHECK_EQUAL(weft_http_reply_append(&out, &head, NULL, 0), 0);
    CHECK(holds(&out, "HTTP/1.1 405 Method Not Allowed\r\nDate: " DATE "\r\nServer: weft\r\n"
                      "Content-Length: 0\r\nConnection: close\r\nAllow: GET\r\n\r\n"));
    weft_buffer_deinit(&out);
}

TEST(a_hidden_body_still_counts)
{
    struct weft_buffer out;
    weft_buffer_init(&out, 4096);
    struct weft_http_reply_head head = {.status = 200, .date = DATE, .body_hidden = true};
    CHECK_EQUAL(weft_http_reply_append(&out, &head, "12345", 5), 0);
    CHECK(holds(&out, "HTTP/1.1 200 OK\r\nDate: " DATE "\r\nContent-Length: 5\r\n\r\n"));
    weft_buffer_deinit(&out);
}

TEST(statuses_without_a_body_get_none)
{
    static const struct {
        int status;
        const char *text;
    } cases[] = {
        {204, "HTTP/1.1 204 No Content\r\nDate: " DATE "\r\n\r\n"},
        {304, "HTTP/1.1 304 Not Modified\r\nDate: " DATE "\r\n\r\n"},
        {205, "HTTP/1.1 205 Reset Content\r\nDate: " DATE "\r\nContent-Length: 0\r\n\r\n"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct weft_buffer out;
        weft_buffer_init(&out, 4096);
        struct weft_http_reply_head head = {.status = cases[i].status, .date = DATE};
        CHECK_EQUAL(weft_http_reply_append(&out, &head, "body", 4), 0);
        CHECK(holds(&out, cases[i].text));
        weft_buffer_deinit(&out);
    }
}

TEST(a_reply_that_does_not_fit_leaves_the_others_alone)
{
    struct weft_buffer out;
    weft_buffer_init(&out, 1024);
    struct weft_http_reply_head head = {.status = 200, .date = DATE};
    static const char large[2000];
    CHECK_EQUAL(weft_http_reply_append(&out, &head, "a", 1), 0);
    size_t len = out.len;
    CHECK_EQUAL(weft_http_reply_append(&out, &head, large, sizeof large), -EMSGSIZE);
    CHECK_EQUAL(weft_http_reply_append(&out, &head, large, 900), -EMSGSIZE);
    CHECK_EQUAL(out.len, len);
    CHECK_EQUAL(weft_http_reply_append(&out, &head, "b", 1), 0);
    CHECK_EQUAL(out.len, 2 * len);
    weft_buffer_deinit(&out);
}

TEST(header_lines_cannot_be_smuggled_into_a_value)
{
    struct weft_buffer fields;
    weft_buffer_init(&fields, 4096);
    CHECK_EQUAL(weft_http_field_append(&fields, "X-A", "b\r\nSet-Cookie: c"), 0);
    CHECK(holds(&fields, "X-A: b  Set-Cookie: c\r\n"));
    weft_buffer_deinit(&fields);
}

TEST(header_names_must_be_names_and_not_the_servers_own)
{
    static const char *const bad[] = {
        "",
        "A B",
        "A:",
        "A\r\nB",
        "Content-Length",
        "connection",
        "DATE",
        "\xc3",
        "transfer-encoding",
    };
    struct weft_buffer fields;
    weft_buffer_init(&fields, 4096);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        CHECK_EQUAL(weft_http_field_append(&fields, bad[i], "x"), -EINVAL);
    CHECK_EQUAL(fields.len, 0);
    weft_buffer_deinit(&fields);
}

TEST(every_status_that_the_server_sends_has_a_reason)
{
    static const int statuses[] = {200, 204, 400, 404, 405, 408, 413, 414,
                                   417, 422, 429, 431, 500, 501, 503, 505};
    for (size_t i = 0; i < sizeof statuses / sizeof statuses[0]; i++)
        CHECK(strcmp(weft_http_reason(statuses[i]), "Unknown") != 0);
    CHECK(strcmp(weft_http_reason(299), "Unknown") == 0);
}
