/* SPDX-License-Identifier: MIT
 * http_client_decode.c - encoded bodies: what is asked for, what is decoded, and how much of it. */
#include "origin.h"
#include "test.h"

#include <weft/io.h>

#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

static const char plain[] = "hello, hello, hello, hello\n";

/* The same in each encoding. */
static const struct {
    const char *name;
    unsigned char bytes[48];
    size_t len;
    int feature;
} encoded[] = {
    {"gzip",
     "\x1f\x8b\x08\0\0\0\0\0\x02\x03\xcb\x48\xcd\xc9\xc9\xd7\x51\xc8\xc0\xa4\xb8\0\x4b\x21"
     "\xa1\x29\x1b\0\0\0",
     30, CURL_VERSION_LIBZ},
    {"deflate", "\x78\x9c\xcb\x48\xcd\xc9\xc9\xd7\x51\xc8\xc0\xa4\xb8\0\x85\x55\x09\x3f", 18,
     CURL_VERSION_LIBZ},
    {"br",
     "\x1b\x1a\0\xf8\x8d\x94\x6e\xde\x44\x09\x52\x86\xd6\x0a\x2c\x6c\x6f\x4a\x91\x79\x22\x81"
     "\xbb\x5a\0",
     25, CURL_VERSION_BROTLI},
    {"zstd",
     "\x28\xb5\x2f\xfd\x04\x58\x75\0\0\x40\x68\x65\x6c\x6c\x6f\x2c\x20\x0a\x01\0\x4a\x8a"
     "\x11\xf0\x97\x7b\x2a",
     27, CURL_VERSION_ZSTD},
};

static bool can_decode(size_t i)
{
    return curl_version_info(CURLVERSION_NOW)->features & encoded[i].feature;
}

/* "/I": the plain text in that encoding. */
static void say_encoded(struct origin *origin, int fd)
{
    while (origin_read(origin, fd)) {
        char head[128];
        size_t i = (size_t)(strchr(origin->last, '/')[1] - '0');
        (void)snprintf(head, sizeof head,
                       "HTTP/1.1 200 OK\r\nContent-Encoding: %s\r\nContent-Length: %zu\r\n\r\n",
                       encoded[i].name, encoded[i].len);
        origin_say(fd, head);
        (void)weft_write_all(fd, encoded[i].bytes, encoded[i].len, WEFT_FOREVER, NULL);
    }
}

static const char *path_of(size_t i)
{
    static char path[8];
    (void)snprintf(path, sizeof path, "/%zu", i);
    return path;
}

FIBER_TEST(encoded_bodies_are_decoded_when_that_is_asked_for)
{
    struct origin origin;
    struct weft_http_response response;
    origin_open(&origin, say_encoded);
    struct weft_http_client *client =
        open_client(&(struct weft_http_client_options){.decompress = 1});
    for (size_t i = 0; i < sizeof encoded / sizeof encoded[0]; i++) {
        if (!can_decode(i))
            continue;
        REQUIRE(get(client, origin_url(origin.port, path_of(i)), &response) == 0);
        CHECK(body_is(&response, plain));
        CHECK_EQUAL(response.body_bytes, sizeof plain - 1);
        CHECK(field_is(&response, "Content-Encoding", encoded[i].name));
        const char *asked = strstr(origin.last, "\r\nAccept-Encoding: ");
        CHECK(asked && strstr(asked, encoded[i].name) != NULL);
        weft_http_response_release(&response);
    }
    CHECK_EQUAL(origin.accepted, 1);
    weft_http_client_close(client);
    origin_close(&origin);
}

FIBER_TEST(encoded_bodies_stay_as_they_are_unless_asked)
{
    struct origin origin;
    struct weft_http_response response;
    origin_open(&origin, say_encoded);
    struct weft_http_client *client = open_client(NULL);
    REQUIRE(get(client, origin_url(origin.port, "/0"), &response) == 0);
    CHECK_EQUAL(response.body_len, encoded[0].len);
    CHECK(memcmp(response.body, encoded[0].bytes, encoded[0].len) == 0);
    CHECK(strstr(origin.last, "Accept-Encoding") == NULL);
    weft_http_response_release(&response);
    weft_http_client_close(client);
    origin_close(&origin);
}

FIBER_TEST(the_caller_may_say_which_encodings_he_wants)
{
    static const struct weft_http_field only = {"Accept-Encoding", "gzip;q=0.5"};
    struct origin origin;
    struct weft_http_response response;
    origin_open(&origin, say_encoded);
    struct weft_http_client *client =
        open_client(&(struct weft_http_client_options){.decompress = 1});
    const struct weft_http_request request = {
        .url = origin_url(origin.port, "/0"), .fields = &only, .fields_count = 1};
    REQUIRE(weft_http_send(client, &request, &response, weft_now() + PATIENCE) == 0);
    CHECK(body_is(&response, plain));
    CHECK(strstr(origin.last, "Accept-Encoding: gzip;q=0.5\r\n") != NULL);
    CHECK(strstr(origin.last, "deflate") == NULL);
    weft_http_response_release(&response);
    weft_http_client_close(client);
    origin_close(&origin);
}

/* ---- what cannot be decoded ---------------------------------------------------------------- */

FIBER_TEST(a_body_that_is_not_what_it_says_is_told)
{
    static const char *const replies[] = {
        "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nContent-Encoding: sdch\r\nContent-Length: 5\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nContent-Encoding: gzip, gzip\r\nContent-Length: 5\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Encoding: br\r\n"
        "Content-Length: 5\r\n\r\nhello",
    };
    for (size_t i = 0; i < sizeof replies / sizeof replies[0]; i++) {
        struct origin origin;
        struct weft_http_response response;
        origin_open(&origin, origin_say_reply);
        origin.reply = replies[i];
        struct weft_http_client *client =
            open_client(&(struct weft_http_client_options){.decompress = 1});
        CHECK_EQUAL(get(client, origin_url(origin.port, "/"), &response), -EPROTO);
        CHECK(response.error[0]);
        CHECK_EQUAL(response.phase, WEFT_HTTP_AT_BODY);
        weft_http_response_release(&response);
        weft_http_client_close(client);
        origin_close(&origin);
    }
}

/* ---- bombs --------------------------------------------------------------------------------- */

/* What zlib makes of a mebibyte of zeros: each byte after the head is 1,032 of them. Sent without
 * an end, as much as the client takes. */
static void explode(struct origin *origin, int fd)
{
    static const unsigned char head[] =
        "\x1f\x8b\x08\0\0\0\0\0\x02\x03\xed\xc1\x31\x01\0\0\0\xc2\xa0\xf5\x4f\x6d\x08\x5f\xa0";
    static const char zeros[1000];
    while (origin_read(origin, fd)) {
        origin_say(fd, "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n");
        if (weft_write_all(fd, head, sizeof head - 1, WEFT_FOREVER, NULL) < 0)
            return;
        while (weft_write_all(fd, zeros, sizeof zeros, WEFT_FOREVER, NULL) == 0)
            *(uint64_t *)origin->arg += sizeof zeros;
    }
}

static int count_piece(void *context, const void *bytes, size_t len)
{
    (void)bytes;
    *(uint64_t *)context += len;
    return weft_yield();
}

REAL_TIME_FIBER_TEST(a_bomb_is_not_let_off)
{
    struct origin origin;
    struct weft_http_response response;
    uint64_t sent = 0, taken = 0;
    origin_open(&origin, explode);
    origin.arg = &sent;
    struct weft_http_client *client =
        open_client(&(struct weft_http_client_options){.decompress = 1});
    const struct weft_http_request request = {
        .url = origin_url(origin.port, "/"), .on_body = count_piece, .on_body_context = &taken};
    CHECK_EQUAL(weft_http_send(client, &request, &response, weft_now() + PATIENCE), -EMSGSIZE);
    CHECK(strstr(response.error, "decoded") != NULL);
    CHECK(taken < 100 << 20);
    weft_http_response_release(&response);
    CHECK_EQUAL(get(client, origin_url(origin.port, "/"), &response), -EMSGSIZE);
    CHECK(strstr(response.error, "decoded") != NULL || strstr(response.error, "too large") != NULL);
    weft_http_response_release(&response);
    CHECK_EQUAL(stats_of(client).connections_now, 0);
    weft_http_client_close(client);
    origin_close(&origin);
}

/* libcurl decodes what nobody has asked for: Transfer-Encoding. */
static void explode_in_transfer(struct origin *origin, int fd)
{
    static const unsigned char head[] =
        "\x1f\x8b\x08\0\0\0\0\0\x02\x03\xed\xc1\x31\x01\0\0\0\xc2\xa0\xf5\x4f\x6d\x08\x5f\xa0";
    static const char zeros[1000];
    if (!origin_read(origin, fd))
        return;
    origin_say(fd, "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n");
    if (weft_write_all(fd, head, sizeof head - 1, WEFT_FOREVER, NULL) < 0)
        return;
    while (weft_write_all(fd, zeros, sizeof zeros, WEFT_FOREVER, NULL) == 0)
        ;
}

REAL_TIME_FIBER_TEST(a_bomb_that_nobody_asked_for_is_not_let_off_either)
{
    struct origin origin;
    struct weft_http_response response;
    uint64_t taken = 0;
    origin_open(&origin, explode_in_transfer);
    struct weft_http_client *client = open_client(NULL);
    const struct weft_http_request request = {
        .url = origin_url(origin.port, "/"), .on_body = count_piece, .on_body_context = &taken};
    CHECK_EQUAL(weft_http_send(client, &request, &response, weft_now() + PATIENCE), -EMSGSIZE);
    CHECK(taken < 100 << 20);
    weft_http_response_release(&response);
    weft_http_client_close(client);
    origin_close(&origin);
}

FIBER_TEST(the_limit_of_a_body_is_of_what_was_decoded)
{
    struct origin origin;
    struct weft_http_response response;
    origin_open(&origin, say_encoded);
    struct weft_http_client *client = open_client(&(struct weft_http_client_options){
        .decompress = 1, .response_bytes_max = sizeof plain - 2});
    CHECK_EQUAL(get(client, origin_url(origin.port, "/1"), &response), -EMSGSIZE);
    weft_http_response_release(&response);
    weft_http_client_close(client);
    client = open_client(&(struct weft_http_client_options){
        .decompress = 1, .response_bytes_max = sizeof plain - 1});
    CHECK_EQUAL(get_status(client, origin_url(origin.port, "/1")), 200);
    weft_http_client_close(client);
    origin_close(&origin);
}

/* ---- cancellation -------------------------------------------------------------------------- */

struct reading {
    struct weft_http_client *client;
    const char *url;
    int err;
};

static int slow_piece(void *context, const void *bytes, size_t len)
{
    (void)context, (void)bytes, (void)len;
    return weft_sleep(WEFT_MSEC);
}

static int read_it(void *arg)
{
    struct reading *reading = arg;
    struct weft_http_response response;
    const struct weft_http_request request = {.url = reading->url, .on_body = slow_piece};
    reading->err = weft_http_send(reading->client, &request, &response, weft_now() + PATIENCE);
    weft_http_response_release(&response);
    return 0;
}

REAL_TIME_FIBER_TEST(a_body_that_is_being_decoded_is_cancelled_at_any_moment)
{
    struct origin origin;
    uint64_t sent = 0;
    origin_open(&origin, explode);
    origin.arg = &sent;
    struct weft_http_client *client =
        open_client(&(struct weft_http_client_options){.decompress = 1, .ratio_max = 2000});
    for (int moment = 0; moment < 10; moment++) {
        struct reading reading = {.client = client, .url = origin_url(origin.port, "/"), .err = 1};
        struct weft_group group;
        REQUIRE(weft_group_init(&group, NULL) == 0);
        REQUIRE(weft_spawn(&group, read_it, &reading) == 0);
        CHECK_EQUAL(weft_sleep(moment * WEFT_MSEC), 0);
        weft_group_close(&group);
        CHECK_EQUAL(reading.err, -ECANCELED);
        CHECK_EQUAL(stats_of(client).requests_now, 0);
    }
    weft_http_client_close(client);
    origin_close(&origin);
}
