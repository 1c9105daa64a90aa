/* SPDX-License-Identifier: MIT
 * http_client_body.c - bodies that are taken in pieces: order, backpressure, the caller's word.
 * They are larger than what sockets hold, so the kernel's own times count, and the clock is the
 * real one. */
#include "client.h"
#include "origin.h"
#include "test.h"

#include <weft/io.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct reader {
    uint64_t bytes, calls, wrong, largest;
    int64_t pause_ns; /* slept in each call */
    int yields;       /* instead */
    uint64_t stop_at; /* bytes after which to return result */
    int result;
    const struct origin *origin;
    uint64_t sent_max; /* what the server had sent beyond what had been read */
};

static char byte_at(uint64_t at)
{
    return (char)('a' + at % 26 + at / 70000 % 2);
}

static int read_piece(void *context, const void *bytes, size_t len)
{
    struct reader *reader = context;
    const char *text = bytes;
    int err = 0;
    CHECK(len > 0);
    for (size_t i = 0; i < len; i++)
        reader->wrong += text[i] != byte_at(reader->bytes + i);
    if (reader->pause_ns > 0)
        err = weft_sleep(reader->pause_ns);
    for (int i = 0; i < reader->yields; i++)
        (void)weft_yield();
    for (size_t i = 0; i < len; i++) /* it stays as it was meanwhile */
        reader->wrong += text[i] != byte_at(reader->bytes + i);
    if (reader->origin && *(uint64_t *)reader->origin->arg - reader->bytes > reader->sent_max)
        reader->sent_max = *(uint64_t *)reader->origin->arg - reader->bytes;
    reader->bytes += len;
    reader->calls++;
    reader->largest = len > reader->largest ? len : reader->largest;
    return reader->stop_at > 0 && reader->bytes >= reader->stop_at ? reader->result : err;
}

/* Sends as many bytes as the path says, and counts them for who reads alone. */
static void say_bytes(struct origin *origin, int fd)
{
    while (origin_read(origin, fd)) {
        uint64_t len = strtoull(strchr(origin->last, '/') + 1, NULL, 10);
        char head[128], bytes[1000];
        (void)snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\nContent-Length: %llu\r\n\r\n",
                       (unsigned long long)len);
        origin_say(fd, head);
        for (uint64_t at = 0; at < len;) {
            size_t count = len - at < sizeof bytes ? (size_t)(len - at) : sizeof bytes;
            for (size_t i = 0; i < count; i++)
                bytes[i] = byte_at(at + i);
            if (weft_write_all(fd, bytes, count, WEFT_FOREVER, NULL) < 0)
                return;
            at += count;
            *(uint64_t *)origin->arg = at;
        }
    }
}

static int read_from(struct weft_http_client *client, const struct origin *origin, uint64_t len,
                     struct reader *reader, struct weft_http_response *response)
{
    char path[32];
    (void)snprintf(path, sizeof path, "/%llu", (unsigned long long)len);
    const struct weft_http_request request = {
        .url = origin_url(origin->port, path), .on_body = read_piece, .on_body_context = reader};
    return weft_http_send(client, &request, response, weft_now() + PATIENCE);
}

REAL_TIME_FIBER_TEST(a_body_comes_in_pieces_in_order)
{
    static const uint64_t lens[] = {0, 1, 1000, 16384, 65536, 65537, 1000000, 5000000};
    struct origin origin;
    uint64_t sent;
    origin_open(&origin, say_bytes);
    origin.arg = &sent;
    struct weft_http_client *client = open_client(NULL);
    for (size_t i = 0; i < sizeof lens / sizeof lens[0]; i++) {
        struct weft_http_response response;
        struct reader reader = {.yields = (int)(i % 3)};
        REQUIRE(read_from(client, &origin, lens[i], &reader, &response) == 0);
        CHECK_EQUAL(response.status, 200);
        CHECK_EQUAL(response.body_len, 0);
        CHECK_EQUAL(reader.bytes, lens[i]);
        CHECK_EQUAL(reader.wrong, 0);
        CHECK_EQUAL(reader.calls > 0, lens[i] > 0);
        CHECK(reader.largest <= 65536);
        CHECK(weft_http_response_field(&response, "Content-Length") != NULL);
        weft_http_response_release(&response);
    }
    CHECK_EQUAL(origin.accepted, 1);
    weft_http_client_close(client);
    origin_close(&origin);
}

REAL_TIME_FIBER_TEST(a_slow_reader_holds_the_server_back)
{
    enum {
        LEN = 30 << 20,
        KERNEL = 16 << 20 /* what both sockets together may hold */
    };
    struct origin origin;
    struct weft_http_response response;
    uint64_t sent;
    origin_open(&origin, say_bytes);
    origin.arg = &sent;
    struct weft_http_client *client = open_client(NULL);
    struct reader reader = {.pause_ns = WEFT_MSEC, .origin = &origin};
    REQUIRE(read_from(client, &origin, LEN, &reader, &response) == 0);
    CHECK_EQUAL(reader.bytes, LEN);
    CHECK_EQUAL(reader.wrong, 0);
    CHECK(reader.sent_max < KERNEL);
    weft_http_response_release(&response);
    weft_http_client_close(client);
    origin_close(&origin);
}

REAL_TIME_FIBER_TEST(the_reader_may_want_no_more)
{
    struct origin origin;
    struct weft_http_response response;
    uint64_t sent;
    origin_open(&origin, say_bytes);
    origin.arg = &sent;
    struct weft_http_client *client = open_client(NULL);
    for (uint64_t stop_at = 1; stop_at < 4000000; stop_at *= 4) {
        struct reader reader = {.stop_at = stop_at, .result = -ENOSPC};
        CHECK_EQUAL(read_from(client, &origin, 4000000, &reader, &response), -ENOSPC);
        CHECK(response.error[0]);
        CHECK(reader.bytes >= stop_at);
        weft_http_response_release(&response);
    }
    struct reader last = {.stop_at = 1000, .result = -ENOSPC}; /* all of it has come by then */
    CHECK_EQUAL(read_from(client, &origin, 1000, &last, &response), -ENOSPC);
    weft_http_response_release(&response);
    CHECK_EQUAL(stats_of(client).requests_now, 0);
    CHECK_EQUAL(weft_sleep(WEFT_MSEC), 0);
    CHECK(origin.now <= 1);
    weft_http_client_close(client);
    origin_close(&origin);
}

struct reading {
    struct weft_http_client *client;
    const struct origin *origin;
    struct reader reader;
    int err;
};

static int read_all(void *arg)
{
    struct reading *reading = arg;
    struct weft_http_response response;
    reading->err =
        read_from(reading->client, reading->origin, 10000000, &reading->reader, &response);
    weft_http_response_release(&response);
    return 0;
}

REAL_TIME_FIBER_TEST(a_reader_is_cancelled_inside_and_outside_of_its_function)
{
    struct origin origin;
    uint64_t sent;
    origin_open(&origin, say_bytes);
    origin.arg = &sent;
    struct weft_http_client *client = open_client(NULL);
    for (int moment = 0; moment < 20; moment++) {
        struct reading reading = {
            .client = client, .origin = &origin, .reader.pause_ns = 3 * WEFT_MSEC, .err = 1};
        struct weft_group group;
        REQUIRE(weft_group_init(&group, NULL) == 0);
        REQUIRE(weft_spawn(&group, read_all, &reading) == 0);
        CHECK_EQUAL(weft_sleep(moment * WEFT_MSEC), 0);
        weft_group_close(&group);
        CHECK_EQUAL(reading.err, -ECANCELED);
        CHECK_EQUAL(reading.reader.wrong, 0);
        CHECK_EQUAL(stats_of(client).requests_now, 0);
    }
    weft_http_client_close(client);
    origin_close(&origin);
}

REAL_TIME_FIBER_TEST(a_client_closed_under_a_reader_ends_it)
{
    struct origin origin;
    struct weft_group group;
    uint64_t sent;
    origin_open(&origin, say_bytes);
    origin.arg = &sent;
    struct reading reading = {
        .client = open_client(NULL), .origin = &origin, .reader.pause_ns = 10 * WEFT_MSEC};
    REQUIRE(weft_group_init(&group, NULL) == 0);
    REQUIRE(weft_spawn(&group, read_all, &reading) == 0);
    CHECK_EQUAL(weft_sleep(15 * WEFT_MSEC), 0);
    weft_http_client_close(reading.client);
    CHECK_EQUAL(weft_group_wait(&group), 0);
    CHECK_EQUAL(reading.err, -ESHUTDOWN);
    origin_close(&origin);
}

REAL_TIME_FIBER_TEST(many_read_at_once)
{
    struct origin origin;
    struct weft_group group;
    uint64_t sent;
    struct reading readings[20];
    origin_open(&origin, say_bytes);
    origin.arg = &sent;
    struct weft_http_client *client = open_client(NULL);
    REQUIRE(weft_group_init(&group, NULL) == 0);
    for (int i = 0; i < 20; i++) {
        readings[i] = (struct reading){
            .client = client, .origin = &origin, .reader.pause_ns = i % 4 * WEFT_MSEC / 4};
        REQUIRE(weft_spawn(&group, read_all, &readings[i]) == 0);
    }
    CHECK_EQUAL(weft_group_wait(&group), 0);
    for (int i = 0; i < 20; i++) {
        CHECK_EQUAL(readings[i].err, 0);
        CHECK_EQUAL(readings[i].reader.bytes, 10000000);
        CHECK_EQUAL(readings[i].reader.wrong, 0);
    }
    weft_http_client_close(client);
    origin_close(&origin);
}

/* ---- what a body may have ----------------------------------------------------------------- */

FIBER_TEST(pieces_have_no_limit_unless_the_request_sets_one)
{
    struct origin origin;
    struct weft_http_response response;
    uint64_t sent;
    origin_open(&origin, say_bytes);
    origin.arg = &sent;
    struct weft_http_client *client =
        open_client(&(struct weft_http_client_options){.response_bytes_max = 1000});
    struct reader reader = {.bytes = 0};
    CHECK_EQUAL(read_from(client, &origin, 100000, &reader, &response), 0);
    CHECK_EQUAL(reader.bytes, 100000);
    weft_http_response_release(&response);
    struct reader limited = {.bytes = 0};
    const struct weft_http_request request = {.url = origin_url(origin.port, "/100000"),
                                              .response_bytes_max = 50000,
                                              .on_body = read_piece,
                                              .on_body_context = &limited};
    CHECK_EQUAL(weft_http_send(client, &request, &response, weft_now() + PATIENCE), -EMSGSIZE);
    CHECK(limited.bytes <= 50000);
    weft_http_response_release(&response);
    weft_http_client_close(client);
    origin_close(&origin);
}
