/* SPDX-License-Identifier: MIT
 * http_client_core.c - what the client decides without a network: turns, addresses, errors, heads.
 */
#include "test.h"

#include <http/client_internal.h>

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- turns -------------------------------------------------------------------------------- */

static const uint64_t secret[2] = {1, 2};

static void open_queue(struct weft_http_queue *queue, unsigned running_max, unsigned host_max)
{
    REQUIRE(weft_http_queue_init(queue, running_max, host_max, secret) == 0);
}

static void push(struct weft_http_queue *queue, struct weft_http_place *place, const char *host)
{
    *place = (struct weft_http_place){.host = NULL};
    weft_list_init(&place->link);
    REQUIRE(weft_http_queue_push(queue, place, host) == 0);
}

TEST(without_a_limit_per_host_the_first_comes_first)
{
    struct weft_http_queue queue;
    struct weft_http_place places[5];
    open_queue(&queue, 2, 0);
    for (int i = 0; i < 5; i++)
        push(&queue, &places[i], i % 2 ? "a" : "b");
    CHECK(weft_http_queue_pop(&queue) == &places[0]);
    CHECK(weft_http_queue_pop(&queue) == &places[1]);
    CHECK(weft_http_queue_pop(&queue) == NULL);
    weft_http_queue_leave(&queue, &places[1]);
    CHECK(weft_http_queue_pop(&queue) == &places[2]);
    CHECK(weft_http_queue_pop(&queue) == NULL);
    weft_http_queue_withdraw(&queue, &places[3]);
    weft_http_queue_leave(&queue, &places[0]);
    CHECK(weft_http_queue_pop(&queue) == &places[4]);
    weft_http_queue_leave(&queue, &places[2]);
    weft_http_queue_leave(&queue, &places[4]);
    CHECK(weft_http_queue_pop(&queue) == NULL);
    CHECK_EQUAL(queue.running, 0);
    weft_http_queue_deinit(&queue);
}

TEST(hosts_take_turns_and_keep_to_their_limit)
{
    struct weft_http_queue queue;
    struct weft_http_place a[4], b[2], c;
    open_queue(&queue, 10, 2);
    for (int i = 0; i < 4; i++)
        push(&queue, &a[i], "a");
    push(&queue, &b[0], "b");
    push(&queue, &b[1], "b");
    push(&queue, &c, "c");
    CHECK(weft_http_queue_pop(&queue) == &a[0]);
    CHECK(weft_http_queue_pop(&queue) == &b[0]);
    CHECK(weft_http_queue_pop(&queue) == &c);
    CHECK(weft_http_queue_pop(&queue) == &a[1]);
    CHECK(weft_http_queue_pop(&queue) == &b[1]);
    CHECK(weft_http_queue_pop(&queue) == NULL); /* a has two */
    weft_http_queue_leave(&queue, &b[0]);
    CHECK(weft_http_queue_pop(&queue) == NULL);
    weft_http_queue_leave(&queue, &a[0]);
    CHECK(weft_http_queue_pop(&queue) == &a[2]);
    weft_http_queue_withdraw(&queue, &a[3]);
    weft_http_queue_leave(&queue, &a[1]);
    CHECK(weft_http_queue_pop(&queue) == NULL);
    weft_http_queue_leave(&queue, &a[2]);
    weft_http_queue_leave(&queue, &b[1]);
    weft_http_queue_leave(&queue, &c);
    for (size_t i = 0; i < WEFT_HTTP_QUEUE_BUCKETS; i++)
        CHECK(queue.buckets[i] == NULL);
    weft_http_queue_deinit(&queue);
}

TEST(a_queue_may_end_with_some_in_it)
{
    enum {
        COUNT = 3000
    };
    static struct weft_http_place places[COUNT];
    struct weft_http_queue queue;
    open_queue(&queue, 2, 1);
    for (int i = 0; i < COUNT; i++) {
        char host[16];
        (void)snprintf(host, sizeof host, "host%d", i);
        push(&queue, &places[i], host);
    }
    CHECK(weft_http_queue_pop(&queue) == &places[0]);
    weft_http_queue_deinit(&queue);
}

/* ---- addresses ---------------------------------------------------------------------------- */

static int is_public(const char *text)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    if (inet_pton(AF_INET, text, &v4.sin_addr) == 1)
        return weft_http_address_is_public(NULL, (struct sockaddr *)&v4, sizeof v4);
    REQUIRE(inet_pton(AF_INET6, text, &v6.sin6_addr) == 1);
    return weft_http_address_is_public(NULL, (struct sockaddr *)&v6, sizeof v6);
}

TEST(public_addresses_are_known_from_all_others)
{
    static const char *const public[] = {
        "1.1.1.1",
        "8.8.8.8",
        "9.255.255.255",
        "11.0.0.0",
        "100.63.255.255",
        "100.128.0.0",
        "126.255.255.255",
        "128.0.0.0",
        "169.253.255.255",
        "169.255.0.0",
        "172.15.255.255",
        "172.32.0.0",
        "192.0.1.0",
        "192.0.3.0",
        "192.88.98.255",
        "192.88.100.0",
        "192.167.255.255",
        "192.169.0.0",
        "198.17.255.255",
        "198.20.0.0",
        "198.51.99.255",
        "198.51.101.0",
        "203.0.112.255",
        "203.0.114.0",
        "223.255.255.255",
        "2000::1",
        "2001:200::1",
        "2001:4860:4860::8888",
        "2606:4700:4700::1111",
        "2a00:1450:4001:80b::200e",
        "3fff:1000::1",
        "3ffe::1",
        "::ffff:8.8.8.8",
        "168.63.129.15",
        "168.63.129.17",
        "64:ff9b::8.8.8.8",
        "2002:0808:0808::1",
    };
    static const char *const others[] = {
        "0.0.0.0",
        "0.255.255.255",
        "10.0.0.0",
        "10.255.255.255",
        "100.64.0.0",
        "100.127.255.255",
        "127.0.0.1",
        "127.255.255.255",
        "168.63.129.16",
        "169.254.0.0",
        "169.254.169.254",
        "172.16.0.0",
        "172.31.255.255",
        "192.0.0.1",
        "192.0.0.255",
        "192.0.2.1",
        "192.88.99.1",
        "192.168.0.1",
        "192.168.255.255",
        "198.18.0.0",
        "198.19.255.255",
        "198.51.100.1",
        "203.0.113.255",
        "224.0.0.1",
        "239.255.255.255",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::2",
        "::127.0.0.1",
        "::8.8.8.8",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "::ffff:0:8.8.8.8",
        "64:ff9b::127.0.0.1",
        "64:ff9b::192.168.0.1",
        "64:ff9b:1::1",
        "100::1",
        "1fff::1",
        "2001::1",
        "2001:0:4136:e378::1",
        "2001:2::1",
        "2001:10::1",
        "2001:20::1",
        "2001:1ff:ffff::1",
        "2001:db8::1",
        "2001:db8:ffff::1",
        "2002:7f00:1::1",
        "2002:a00:1::1",
        "2002:c0a8:1::1",
        "3fff::1",
        "3fff:fff::1",
        "4000::1",
        "5f00::1",
        "fc00::1",
        "fd12:3456:789a::1",
        "fe80::1",
        "febf::1",
        "fec0::1",
        "ff02::1",
        "ffff::1",
    };
    for (size_t i = 0; i < sizeof public / sizeof public[0]; i++) {
        CHECK(is_public(public[i]) == 1);
        if (!is_public(public[i]))
            test_note("%s", public[i]);
    }
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        CHECK(is_public(others[i]) == 0);
        if (is_public(others[i]))
            test_note("%s", others[i]);
    }
}

TEST(what_is_no_ip_address_is_not_public)
{
    const struct sockaddr local = {.sa_family = AF_UNIX};
    const struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_addr.s_addr = 0x08080808};
    const struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_addr.s6_addr = {0x20, 0x03}};
    CHECK(!weft_http_address_is_public(NULL, &local, sizeof local));
    CHECK(weft_http_address_is_public(NULL, (const struct sockaddr *)&v4, sizeof v4));
    CHECK(!weft_http_address_is_public(NULL, (const struct sockaddr *)&v4, 4));
    CHECK(weft_http_address_is_public(NULL, (const struct sockaddr *)&v6, sizeof v6));
    CHECK(!weft_http_address_is_public(NULL, (const struct sockaddr *)&v6, sizeof v4));
}

/* ---- errors ------------------------------------------------------------------------------- */

TEST(every_error_of_libcurl_is_one_of_ours)
{
    static const struct {
        CURLcode code;
        long os_error;
        int expected;
    } cases[] = {
        {CURLE_OK, 0, 0},
        {CURLE_UNSUPPORTED_PROTOCOL, 0, -EPROTONOSUPPORT},
        {CURLE_URL_MALFORMAT, 0, -EINVAL},
        {CURLE_COULDNT_RESOLVE_HOST, 0, -EADDRNOTAVAIL},
        {CURLE_COULDNT_CONNECT, ECONNREFUSED, -ECONNREFUSED},
        {CURLE_COULDNT_CONNECT, 0, -EHOSTUNREACH},
        {CURLE_OPERATION_TIMEDOUT, ETIMEDOUT, -ETIMEDOUT},
        {CURLE_OUT_OF_MEMORY, 0, -ENOMEM},
        {CURLE_RECV_ERROR, ECONNRESET, -ECONNRESET},
        {CURLE_RECV_ERROR, 0, -EPROTO},
        {CURLE_SEND_ERROR, EPIPE, -EPIPE},
        {CURLE_SEND_ERROR, 0, -ECONNRESET},
        {CURLE_GOT_NOTHING, 0, -ECONNRESET},
        {CURLE_PARTIAL_FILE, 0, -ECONNRESET},
        {CURLE_PEER_FAILED_VERIFICATION, 0, -EKEYREJECTED},
        {CURLE_SSL_CACERT_BADFILE, 0, -ENOKEY},
        {CURLE_SSL_CONNECT_ERROR, 0, -EPROTO},
        {CURLE_FAILED_INIT, 0, -EIO},
        {CURLE_HTTP2, 0, -EPROTO},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        CHECK_EQUAL(weft_http_error_of(cases[i].code, cases[i].os_error), cases[i].expected);
    for (int code = 1; code < CURL_LAST; code++)
        CHECK(weft_http_error_of((CURLcode)code, 0) < 0);
}

/* ---- URLs --------------------------------------------------------------------------------- */

TEST(hosts_and_ports_are_read_from_urls)
{
    static const struct {
        const char *url, *host;
        int port;
    } cases[] = {
        {"http://example.org/", "example.org", 80},
        {"https://example.org", "example.org", 443},
        {"http://user:pass@example.org:8080/a?b#c", "example.org", 8080},
        {"http://[2001:db8::1]:81/", "[2001:db8::1]", 81},
        {"http://0x7f.1/", "127.0.0.1", 80},
        {"http://a@b@example.org/", NULL, 0},
        {"http:///", NULL, 0},
        {"", NULL, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char host[WEFT_HTTP_HOST_MAX + 1] = "";
        uint16_t port = 0;
        int err = weft_http_url_host(cases[i].url, host, &port);
        CHECK_EQUAL(err, cases[i].host ? 0 : -EINVAL);
        if (!cases[i].host)
            continue;
        CHECK(strcmp(host, cases[i].host) == 0);
        CHECK_EQUAL(port, cases[i].port);
    }
}

TEST(origins_are_scheme_host_and_port)
{
    CHECK(weft_http_url_same_origin("http://a/", "http://a/b"));
    CHECK(weft_http_url_same_origin("http://A:80/", "HTTP://a"));
    CHECK(weft_http_url_same_origin("https://u:p@a/", "https://a:443/"));
    CHECK(!weft_http_url_same_origin("http://a/", "https://a/"));
    CHECK(!weft_http_url_same_origin("http://a/", "http://a:81/"));
    CHECK(!weft_http_url_same_origin("http://a/", "http://b/"));
    CHECK(!weft_http_url_same_origin("http://a/", "http://"));
}

/* ---- heads -------------------------------------------------------------------------------- */

static void read_head(struct weft_http_transfer *transfer, const char *const *lines)
{
    *transfer = (struct weft_http_transfer){.fields_at = 0};
    weft_buffer_init(&transfer->reply, 1000);
    for (; *lines; lines++)
        weft_http_head_line(transfer, *lines, strlen(*lines));
}

static bool fields_are(const struct weft_http_transfer *transfer, const char *bytes, size_t len)
{
    return transfer->fields_len == len && memcmp(transfer->reply.data, bytes, len) == 0;
}

TEST(lines_that_are_no_fields_are_left_out)
{
    struct weft_http_transfer transfer;
    static const char *const lines[] = {"HTTP/1.1 200 OK\r\n",
                                        " folded, but after nothing\r\n",
                                        "no colon\r\n",
                                        "A: b\r\n",
                                        "\r\n",
                                        NULL};
    read_head(&transfer, lines);
    CHECK_EQUAL(transfer.status, 200);
    CHECK(fields_are(&transfer, "A\0b", 4));
    weft_buffer_deinit(&transfer.reply);
    *(&transfer) = (struct weft_http_transfer){.fields_at = 0};
    weft_buffer_init(&transfer.reply, 1000);
    weft_http_head_line(&transfer, "HTTP/2 204\r\n", 12);
    weft_http_head_line(&transfer, "A: b\0c\r\n", 8);
    CHECK_EQUAL(transfer.status, 204);
    CHECK_EQUAL(transfer.fields_len, 0);
    weft_buffer_deinit(&transfer.reply);
}

TEST(a_status_that_is_no_number_is_none)
{
    static const char *const lines[][2] = {
        {"HTTP/1.1\r\n"}, {"HTTP/1.1 \r\n"}, {"HTTP/1.1 abc\r\n"}, {"HTTP/1.1 1000\r\n"}};
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        struct weft_http_transfer transfer;
        read_head(&transfer, lines[i]);
        CHECK_EQUAL(transfer.status, 0);
        weft_buffer_deinit(&transfer.reply);
    }
}
