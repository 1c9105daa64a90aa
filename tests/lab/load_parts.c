/* SPDX-License-Identifier: MIT
 * load_parts.c - the pure parts of the load generator: URL, request, schedule. */
#include <lab/load_request.h>
#include <lab/load_schedule.h>
#include <lab/load_url.h>
#include <weft/base.h>

#include "test.h"

#include <errno.h>
#include <string.h>

TEST(urls_are_taken_apart)
{
    static const struct {
        const char *text, *host, *authority, *target;
        uint16_t port;
    } vectors[] = {
        {"http://127.0.0.1:8001/process", "127.0.0.1", "127.0.0.1:8001", "/process", 8001},
        {"http://localhost", "localhost", "localhost", "", 80},
        {"HTTP://a.example/", "a.example", "a.example", "/", 80},
        {"http://h:1?q=1", "h", "h:1", "?q=1", 1},
        {"http://h:65535/a/b?c=d#part", "h", "h:65535", "/a/b?c=d", 65535},
        {"http://[::1]:9/x", "::1", "[::1]:9", "/x", 9},
        {"http://[fe80::1]#x", "fe80::1", "[fe80::1]", "", 80},
    };
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        struct weft_load_url url;
        const char *reason;
        REQUIRE(weft_load_url_parse(&url, vectors[i].text, &reason) == 0);
        CHECK(strcmp(url.host, vectors[i].host) == 0);
        CHECK_EQUAL(url.port, vectors[i].port);
        CHECK_EQUAL(url.authority_len, strlen(vectors[i].authority));
        CHECK(strncmp(url.authority, vectors[i].authority, url.authority_len) == 0);
        CHECK_EQUAL(url.target_len, strlen(vectors[i].target));
        CHECK(strncmp(url.target, vectors[i].target, url.target_len) == 0);
    }
}

TEST(bad_urls_are_refused_with_a_reason)
{
    static const struct {
        const char *text, *reason;
    } vectors[] = {
        {"", "begin with http://"},
        {"127.0.0.1:8001/process", "begin with http://"},
        {"https://h/", "https is not supported"},
        {"http://", "host is missing"},
        {"http:///path", "host is missing"},
        {"http://:80/", "host is missing"},
        {"http://h:/", "port"},
        {"http://h:0/", "port"},
        {"http://h:65536/", "port"},
        {"http://h:8x/", "port"},
        {"http://h:123456/", "port"},
        {"http://u:p@h/", "user names"},
        {"http://[::1/", "bracket"},
        {"http://[::1]x/", "between the host and the port"},
        {"http://h/a b", "space"},
        {"http://h/a\r\nX: y", "space or a control"},
    };
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        struct weft_load_url url = {.port = 7};
        const char *reason = "";
        CHECK_EQUAL(weft_load_url_parse(&url, vectors[i].text, &reason), -EINVAL);
        CHECK(strstr(reason, vectors[i].reason));
        CHECK_EQUAL(url.port, 7);
    }
}

TEST(a_host_longer_than_any_name_is_refused)
{
    char text[400] = "http://";
    struct weft_load_url url;
    const char *reason = "";
    memset(text + 7, 'a', 254);
    CHECK_EQUAL(weft_load_url_parse(&url, text, &reason), -EINVAL);
    CHECK(strstr(reason, "too long"));
    text[7 + 253] = '\0';
    CHECK_EQUAL(weft_load_url_parse(&url, text, &reason), 0);
}

static bool text_is(const struct weft_load_request *request, const char *expected)
{
    bool same = request->text.len == strlen(expected) &&
                memcmp(request->text.data, expected, request->text.len) == 0;
    if (!same)
        test_note("got: %.*s", (int)request->text.len, request->text.data);
    return same;
}

TEST(requests_get_their_number_and_their_length)
{
    const char *reason;
    struct weft_load_url url;
    struct weft_load_request request;
    REQUIRE(weft_load_url_parse(&url, "http://h:1?q", &reason) == 0);
    struct weft_load_message message = {&url, "POST", "<{i},{i}>", "text/plain"};
    REQUIRE(weft_load_request_init(&request, &message) == 0);
    CHECK_EQUAL(weft_load_request_set_number(&request, 0), 0);
    CHECK(text_is(&request, "POST /?q HTTP/1.1\r\nHost: h:1\r\nUser-Agent: weft/" WEFT_VERSION
                            "\r\nAccept: */*\r\nContent-Type: text/plain\r\n"
                            "Content-Length: 5\r\n\r\n<0,0>"));
    const char *place = request.text.data;
    CHECK_EQUAL(weft_load_request_set_number(&request, 9), 0);
    CHECK(request.text.data == place && strstr(place, "<9,9>")); /* patched, not laid out anew */
    CHECK_EQUAL(weft_load_request_set_number(&request, 10), 0);
    CHECK(text_is(&request, "POST /?q HTTP/1.1\r\nHost: h:1\r\nUser-Agent: weft/" WEFT_VERSION
                            "\r\nAccept: */*\r\nContent-Type: text/plain\r\n"
                            "Content-Length: 7\r\n\r\n<10,10>"));
    CHECK_EQUAL(weft_load_request_set_number(&request, UINT64_MAX), 0);
    weft_buffer_append_char(&request.text, '\0');
    CHECK(strstr(request.text.data, "<18446744073709551615,18446744073709551615>"));
    weft_load_request_deinit(&request);
}

TEST(requests_without_a_body_say_so_where_it_matters)
{
    const char *reason;
    struct weft_load_url url;
    struct weft_load_request request;
    REQUIRE(weft_load_url_parse(&url, "http://h/p", &reason) == 0);
    struct weft_load_message message = {&url, "GET", NULL, "application/json"};
    REQUIRE(weft_load_request_init(&request, &message) == 0);
    CHECK_EQUAL(weft_load_request_set_number(&request, 5), 0);
    CHECK(text_is(&request, "GET /p HTTP/1.1\r\nHost: h\r\nUser-Agent: weft/" WEFT_VERSION
                            "\r\nAccept: */*\r\n\r\n"));
    weft_load_request_deinit(&request);

    message.method = "POST";
    REQUIRE(weft_load_request_init(&request, &message) == 0);
    CHECK_EQUAL(weft_load_request_set_number(&request, 5), 0);
    CHECK(text_is(&request, "POST /p HTTP/1.1\r\nHost: h\r\nUser-Agent: weft/" WEFT_VERSION
                            "\r\nAccept: */*\r\nContent-Length: 0\r\n\r\n"));
    weft_load_request_deinit(&request);
}

TEST(closed_loop_is_due_when_asked_until_the_limits)
{
    struct weft_load_schedule schedule = {.start_ns = 10, .end_ns = 100, .requests_max = 2};
    uint64_t number;
    int64_t due_ns;
    CHECK(weft_load_schedule_take(&schedule, 30, &number, &due_ns));
    CHECK_EQUAL(number, 0);
    CHECK_EQUAL(due_ns, 30);
    CHECK(!weft_load_schedule_take(&schedule, 100, &number, &due_ns));
    CHECK(weft_load_schedule_take(&schedule, 99, &number, &due_ns));
    CHECK_EQUAL(number, 1);
    CHECK(!weft_load_schedule_take(&schedule, 31, &number, &due_ns));
    CHECK_EQUAL(weft_load_schedule_left(&schedule), 0);
}

TEST(open_loop_is_due_on_the_clock_whoever_asks_when)
{
    struct weft_load_schedule schedule = {
        .start_ns = 1000, .end_ns = 1000 + WEFT_SEC, .requests_max = UINT64_MAX, .rate_per_s = 4};
    uint64_t number;
    int64_t due_ns;
    CHECK(weft_load_schedule_take(&schedule, 1000, &number, &due_ns));
    CHECK_EQUAL(due_ns, 1000);
    CHECK(weft_load_schedule_take(&schedule, 1000, &number, &due_ns)); /* ahead of time */
    CHECK_EQUAL(due_ns, 1000 + 250 * WEFT_MSEC);
    CHECK(weft_load_schedule_take(&schedule, 900 * WEFT_MSEC, &number, &due_ns)); /* behind */
    CHECK_EQUAL(number, 2);
    CHECK_EQUAL(due_ns, 1000 + 500 * WEFT_MSEC);
    CHECK_EQUAL(weft_load_schedule_left(&schedule), 1);
    CHECK(!weft_load_schedule_take(&schedule, 1000 + WEFT_SEC, &number, &due_ns));
    CHECK(weft_load_schedule_take(&schedule, 1000, &number, &due_ns));
    CHECK_EQUAL(weft_load_schedule_left(&schedule), 0);
    CHECK(!weft_load_schedule_take(&schedule, 1000, &number, &due_ns)); /* 4 is due at the end */
}

TEST(what_is_left_agrees_with_what_can_be_taken)
{
    static const double rates[] = {0.7, 1, 3, 7.77, 1000, 333333.3};
    for (size_t i = 0; i < sizeof rates / sizeof rates[0]; i++) {
        struct weft_load_schedule schedule = {.start_ns = 123456789,
                                              .end_ns = 123456789 + 2 * WEFT_SEC + 1,
                                              .requests_max = 500000,
                                              .rate_per_s = rates[i]};
        uint64_t left = weft_load_schedule_left(&schedule), taken = 0, number;
        int64_t due_ns;
        while (weft_load_schedule_take(&schedule, 123456789, &number, &due_ns))
            taken++;
        CHECK_EQUAL(left, taken);
        CHECK_EQUAL(weft_load_schedule_left(&schedule), 0);
    }
}
