/* SPDX-License-Identifier: MIT
 * load_parts.c - the pure parts of the load generator: URLs, messages, limits. */
#include <lab/load_message.h>
#include <lab/load_url.h>
#include <weft/base.h>
#include <weft/load.h>

#include "test.h"

#include <errno.h>
#include <stdio.h>
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

/* The bytes of a request with this number are these. */
static void check_message(const struct weft_load_message *message, uint64_t number,
                          const char *expected)
{
    struct weft_buffer out;
    weft_buffer_init(&out, 1 << 20);
    weft_load_message_append(message, number, &out);
    bool same = out.len == strlen(expected) && memcmp(out.data, expected, out.len) == 0;
    CHECK(same);
    if (!same)
        test_note("got: %.*s", (int)out.len, out.data);
    weft_buffer_deinit(&out);
}

static struct weft_load_message message_of(const struct weft_load_request *request)
{
    struct weft_load_message message;
    REQUIRE(weft_load_message_init(&message, request) == 0);
    return message;
}

static struct weft_load_url url_of(const char *text)
{
    const char *reason;
    struct weft_load_url url;
    REQUIRE(weft_load_url_parse(&url, text, &reason) == 0);
    return url;
}

TEST(requests_get_their_number_and_their_length)
{
    struct weft_load_url url = url_of("http://h:1?q");
    struct weft_load_message message = message_of(&(struct weft_load_request){
        .url = &url,
        .method = "POST",
        .body = "<{i},{i}>",
        .body_len = 9,
        .content_type = "text/plain",
    });
    check_message(&message, 0,
                  "POST /?q HTTP/1.1\r\nHost: h:1\r\nUser-Agent: weft/" WEFT_VERSION
                  "\r\nAccept: */*\r\nContent-Type: text/plain\r\n"
                  "Content-Length: 5\r\n\r\n<0,0>");
    check_message(&message, 10,
                  "POST /?q HTTP/1.1\r\nHost: h:1\r\nUser-Agent: weft/" WEFT_VERSION
                  "\r\nAccept: */*\r\nContent-Type: text/plain\r\n"
                  "Content-Length: 7\r\n\r\n<10,10>");
    check_message(&message, UINT64_MAX,
                  "POST /?q HTTP/1.1\r\nHost: h:1\r\nUser-Agent: weft/" WEFT_VERSION
                  "\r\nAccept: */*\r\nContent-Type: text/plain\r\n"
                  "Content-Length: 43\r\n\r\n<18446744073709551615,18446744073709551615>");
    weft_load_message_deinit(&message);
}

TEST(requests_without_a_body_say_so_where_it_matters)
{
    struct weft_load_url url = url_of("http://h/p");
    struct weft_load_request request = {.url = &url, .method = "GET", .content_type = "a/b"};
    struct weft_load_message message = message_of(&request);
    CHECK(!message.head);
    check_message(&message, 5,
                  "GET /p HTTP/1.1\r\nHost: h\r\nUser-Agent: weft/" WEFT_VERSION
                  "\r\nAccept: */*\r\n\r\n");
    weft_load_message_deinit(&message);

    request.method = "POST";
    message = message_of(&request);
    check_message(&message, 5,
                  "POST /p HTTP/1.1\r\nHost: h\r\nUser-Agent: weft/" WEFT_VERSION
                  "\r\nAccept: */*\r\nContent-Length: 0\r\n\r\n");
    weft_load_message_deinit(&message);

    request.method = "HEAD";
    message = message_of(&request);
    CHECK(message.head);
    weft_load_message_deinit(&message);
}

TEST(headers_replace_those_that_are_sent_anyway)
{
    static const char *const headers[] = {"host: other", "X-Number: {i}", "ACCEPT: a/b",
                                          "User-agent: me", "content-type: text/csv"};
    struct weft_load_url url = url_of("http://h/users/{i}?n={i}");
    struct weft_load_message message = message_of(&(struct weft_load_request){
        .url = &url,
        .method = "PUT",
        .body = "a\0b",
        .body_len = 3,
        .content_type = "application/json",
        .headers = headers,
        .headers_count = 5,
    });
    static const char expected[] = "PUT /users/42?n=42 HTTP/1.1\r\nhost: other\r\nX-Number: 42\r\n"
                                   "ACCEPT: a/b\r\nUser-agent: me\r\ncontent-type: text/csv\r\n"
                                   "Content-Length: 3\r\n\r\na\0b";
    struct weft_buffer out;
    weft_buffer_init(&out, 1 << 20);
    weft_load_message_append(&message, 42, &out);
    CHECK_EQUAL(out.len, sizeof expected - 1);
    CHECK(memcmp(out.data, expected, sizeof expected - 1) == 0);
    weft_buffer_deinit(&out);
    weft_load_message_deinit(&message);
}

TEST(any_number_of_places_is_filled_in)
{
    char body[3 * 100 + 1] = "", expected[600];
    struct weft_load_url url = url_of("http://h/");
    for (int i = 0; i < 100; i++)
        strcat(body, "{i}");
    struct weft_load_message message = message_of(
        &(struct weft_load_request){.url = &url, .method = "POST", .body = body, .body_len = 300});
    size_t len = (size_t)snprintf(expected, sizeof expected,
                                  "POST / HTTP/1.1\r\nHost: h\r\nUser-Agent: weft/" WEFT_VERSION
                                  "\r\nAccept: */*\r\nContent-Length: 200\r\n\r\n");
    for (int i = 0; i < 100; i++)
        len += (size_t)snprintf(expected + len, sizeof expected - len, "17");
    check_message(&message, 17, expected);
    weft_load_message_deinit(&message);
}

TEST(what_is_no_header_is_refused_with_a_reason)
{
    static const struct {
        const char *text, *reason; /* NULL: it is one */
    } vectors[] = {
        {"A:", NULL},
        {"x-y_z: a\tb", NULL},
        {"A: b: c", NULL},
        {"Connection: close", NULL},
        {"Content-Lengths: 5", NULL},
        {"", "a header is"},
        {": x", "a header is"},
        {"A b: c", "a header is"},
        {"A", "a header is"},
        {"A: b\r\nC: d", "line feed"},
        {"A: b\nC: d", "line feed"},
        {"A: \x7f", "control"},
        {"Content-Length: 5", "length of the body"},
        {"transfer-encoding: chunked", "length of the body"},
    };
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        const char *reason = weft_load_header_check(vectors[i].text);
        CHECK(!reason == !vectors[i].reason);
        CHECK(!reason || strstr(reason, vectors[i].reason));
    }
}

TEST(limits_are_understood_or_refused_with_a_reason)
{
    static const char *const fine[] = {
        "p99>50ms",    "p50>=1s",       "p99.9<10us",      "p99.99>1m30s", "p100>1h",  "min<5ns",
        "mean>1ms",    "max>=2s",       "rate<1000",       "rate<=0.5",    "errors>0", "errors>1%",
        "errors>0.1%", "not-started>0", "not-started>=5%", "p0>0",
    };
    static const struct {
        const char *text, *reason;
    } wrong[] = {
        {"", "no < or >"},
        {"p99", "no < or >"},
        {"p99=5ms", "no < or >"},
        {"p101>5ms", "begins with none"},
        {"p>5ms", "begins with none"},
        {"p-1>5ms", "begins with none"},
        {"q99>5ms", "begins with none"},
        {"latency>5ms", "begins with none"},
        {"a-very-long-name-indeed>5ms", "begins with none"},
        {"p99>5", "with a duration"},
        {"p99>", "with a duration"},
        {"p99>>5ms", "with a duration"},
        {"p99>5%", "with a duration"},
        {"rate<5%", "with a number"},
        {"rate<5ms", "with a number"},
        {"errors>x", "a number or a share"},
        {"errors>-1", "a number or a share"},
        {"errors>%", "a number or a share"},
        {"errors>1e3", "a number or a share"},
    };
    for (size_t i = 0; i < sizeof fine / sizeof fine[0]; i++) {
        char text[200] = "";
        CHECK_EQUAL(weft_load_limit_check(fine[i], NULL, text, sizeof text), 0);
        if (text[0])
            test_note("%s", text);
    }
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        char text[200] = "";
        CHECK_EQUAL(weft_load_limit_check(wrong[i].text, NULL, text, sizeof text), -EINVAL);
        CHECK(strstr(text, wrong[i].reason));
        CHECK_EQUAL(weft_load_limit_check(wrong[i].text, NULL, NULL, 0), -EINVAL);
    }
}
