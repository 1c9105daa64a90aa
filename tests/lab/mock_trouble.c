/* SPDX-License-Identifier: MIT
 * mock_trouble.c - answers that break off, lie, stall or explode, byte by byte. Time is virtual. */
#include "mock_fixture.h"
#include "test.h"

#include <weft/io.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

static struct weft_mock_route_stats stats_of(const struct mocked *mocked, const char *name)
{
    struct weft_mock_route_stats route = {0};
    for (unsigned i = 0; weft_mock_route_stats(mocked->mock, i, &route) == 0; i++)
        if (strcmp(route.route, name) == 0)
            return route;
    return (struct weft_mock_route_stats){0};
}

static size_t body_len(const char *text)
{
    const char *end = strstr(text, "\r\n\r\n");
    return end ? strlen(end + 4) : 0;
}

FIBER_TEST(a_reset_comes_before_within_or_behind_the_head)
{
    struct mocked mocked;
    char text[4096];
    mocked_open(&mocked, (struct weft_mock_options){0});
    CHECK_EQUAL(mocked_get_rest(&mocked, "/reset", text, sizeof text), -ECONNRESET);
    CHECK_EQUAL(text[0], '\0');
    mocked_reconnect(&mocked);
    CHECK_EQUAL(mocked_get_rest(&mocked, "/reset?at=head", text, sizeof text), -ECONNRESET);
    CHECK(strcmp(text, "HTTP/1.1 200 OK\r\nContent-Ty") == 0);
    mocked_reconnect(&mocked);
    CHECK_EQUAL(mocked_get_rest(&mocked, "/reset?at=body&bytes=0", text, sizeof text), -ECONNRESET);
    CHECK(strstr(text, "Content-Length: 1000\r\n") != NULL);
    CHECK_EQUAL(body_len(text), 0);
    CHECK_EQUAL(stats_of(&mocked, "/reset").resets, 3);
    mocked_close(&mocked);
}

FIBER_TEST(a_close_ends_the_connection_and_does_not_break_it)
{
    struct mocked mocked;
    char text[4096];
    mocked_open(&mocked, (struct weft_mock_options){0});
    CHECK_EQUAL(mocked_get_rest(&mocked, "/close", text, sizeof text), 0);
    CHECK_EQUAL(text[0], '\0');
    mocked_reconnect(&mocked);
    CHECK_EQUAL(mocked_get_rest(&mocked, "/close?at=head", text, sizeof text), 0);
    CHECK(strstr(text, "Content-Ty") != NULL && strstr(text, "\r\n\r\n") == NULL);
    CHECK_EQUAL(stats_of(&mocked, "/close").resets, 2);
    mocked_close(&mocked);
}

FIBER_TEST(a_stall_says_nothing_for_as_long_as_asked)
{
    struct mocked mocked;
    char text[4096];
    mocked_open(&mocked, (struct weft_mock_options){0});
    int64_t begin_ns = weft_now();
    CHECK_EQUAL(mocked_get_rest(&mocked, "/stall?for=3s&at=head", text, sizeof text), 0);
    CHECK_EQUAL(weft_now() - begin_ns, 3 * WEFT_SEC);
    CHECK(strstr(text, "Content-Ty") != NULL);
    mocked_reconnect(&mocked);
    client_send(&mocked.client, GET("/stall"));
    CHECK_EQUAL(weft_sleep(WEFT_SEC), 0);
    CHECK_EQUAL(stats_of(&mocked, "/stall").now, 1);
    mocked_reconnect(&mocked); /* the client has no more patience */
    CHECK_EQUAL(weft_sleep(WEFT_SEC), 0);
    CHECK_EQUAL(stats_of(&mocked, "/stall").now, 0);
    CHECK_EQUAL(stats_of(&mocked, "/stall").abandoned, 1);
    mocked_close(&mocked);
}

FIBER_TEST(a_wrong_length_is_wrong_both_ways)
{
    struct mocked mocked;
    char *text = malloc(65536);
    REQUIRE(text != NULL);
    mocked_open(&mocked, (struct weft_mock_options){0});
    client_send(&mocked.client, GET("/wrong-length?bytes=100&says=60"));
    struct client_reply reply = client_receive(&mocked.client);
    CHECK_EQUAL(reply.body_len, 60);
    while (mocked.client.in.len - mocked.client.seen < 40) { /* and 40 bytes too many */
        char more[64];
        ssize_t count = weft_read(mocked.client.fd, more, sizeof more, weft_now() + WEFT_SEC);
        REQUIRE(count > 0);
        weft_buffer_append(&mocked.client.in, more, (size_t)count);
    }
    CHECK_EQUAL(mocked.client.in.len - mocked.client.seen, 40);
    mocked_reconnect(&mocked);
    client_send(&mocked.client, GET("/wrong-length?bytes=100&says=101"));
    reply = client_receive(&mocked.client);
    CHECK_EQUAL(reply.status, 0); /* it ended one byte early */
    mocked_reconnect(&mocked);
    CHECK_EQUAL(mocked_get_rest(&mocked, "/wrong-length?says=9999999999999999999", text, 65536), 0);
    CHECK(strstr(text, "Content-Length: 9999999999999999999\r\n") != NULL);
    free(text);
    mocked_close(&mocked);
}

FIBER_TEST(what_is_malformed_is_so_in_one_way_each)
{
    static const struct {
        const char *what, *has;
    } cases[] = {
        {"protocol", "This is not HTTP."},
        {"status", "HTTP/1.1 abc Hello\r\n"},
        {"header", "\r\nno colon here\r\n"},
        {"lengths", "Content-Length: 5\r\nContent-Length: 6\r\n"},
        {"chunk", "\r\n\r\nxyz\r\n"},
        {"both", "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n"},
    };
    struct mocked mocked;
    char text[4096], target[64];
    mocked_open(&mocked, (struct weft_mock_options){0});
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        (void)snprintf(target, sizeof target, "/malformed?what=%s", cases[i].what);
        CHECK_EQUAL(mocked_get_rest(&mocked, target, text, sizeof text), 0);
        CHECK(strstr(text, cases[i].has) != NULL);
        mocked_reconnect(&mocked);
    }
    CHECK_EQUAL(mocked_get(&mocked, "/malformed?what=all").status, 422);
    mocked_close(&mocked);
}

FIBER_TEST(resets_by_chance_come_before_the_answer_and_within_it)
{
    struct mocked mocked;
    char text[4096];
    unsigned before = 0, within = 0;
    mocked_open(&mocked, (struct weft_mock_options){.reset_rate = 1});
    for (int i = 0; i < 50; i++) {
        CHECK_EQUAL(mocked_get_rest(&mocked, "/get", text, sizeof text), -ECONNRESET);
        before += text[0] == '\0';
        within += strstr(text, "Content-Length: 1000\r\n") != NULL && body_len(text) < 1000;
        mocked_reconnect(&mocked);
    }
    CHECK_EQUAL(before + within, 50);
    CHECK(before > 5 && within > 5);
    CHECK_EQUAL(stats_of(&mocked, "/get").resets, 50);
    CHECK_EQUAL(weft_mock_answers(mocked.mock, "/get", 200), 0);
    mocked_close(&mocked);
}

/* ---- what is compressed ------------------------------------------------------------------ */

/* Unpack a body and count what comes out. Returns zlib's last word. */
static int unpack(const struct client_reply *reply, int window_bits, char *out, size_t bytes,
                  uint64_t *ret_len)
{
    z_stream stream = {0};
    char *piece = malloc(1 << 20);
    REQUIRE(piece && inflateInit2(&stream, window_bits) == Z_OK);
    stream.next_in = (Bytef *)reply->body;
    stream.avail_in = (uInt)reply->body_len;
    int result = Z_OK;
    *ret_len = 0;
    while (result == Z_OK) {
        stream.next_out = (Bytef *)piece;
        stream.avail_out = 1 << 20;
        result = inflate(&stream, Z_NO_FLUSH);
        size_t len = (1 << 20) - stream.avail_out;
        if (out && *ret_len < bytes)
            memcpy(out + *ret_len, piece, len < bytes - *ret_len ? len : bytes - *ret_len);
        *ret_len += len;
    }
    (void)inflateEnd(&stream);
    free(piece);
    return result;
}

FIBER_TEST(compressed_bodies_are_the_plain_one)
{
    struct mocked mocked;
    char plain[5000], unpacked[5000];
    uint64_t len;
    mocked_open(&mocked, (struct weft_mock_options){0});
    struct client_reply reply = mocked_get(&mocked, "/text?bytes=5000");
    REQUIRE(reply.body_len == sizeof plain);
    CHECK(reply_field(&reply, "Content-Encoding") == NULL);
    memcpy(plain, reply.body, sizeof plain);
    reply = mocked_get(&mocked, "/gzip?bytes=5000");
    CHECK(reply_says(&reply, "Content-Encoding", "gzip"));
    CHECK(reply.body_len < 4000);
    CHECK_EQUAL(unpack(&reply, MAX_WBITS + 16, unpacked, sizeof unpacked, &len), Z_STREAM_END);
    CHECK_EQUAL(len, sizeof plain);
    CHECK(memcmp(plain, unpacked, sizeof plain) == 0);
    reply = mocked_get(&mocked, "/deflate?bytes=5000");
    CHECK(reply_says(&reply, "Content-Encoding", "deflate"));
    CHECK_EQUAL(unpack(&reply, MAX_WBITS, unpacked, sizeof unpacked, &len), Z_STREAM_END);
    CHECK(len == sizeof plain && memcmp(plain, unpacked, sizeof plain) == 0);
    reply = mocked_get(&mocked, "/gzip?bytes=5000&broken=1");
    CHECK_EQUAL(unpack(&reply, MAX_WBITS + 16, unpacked, sizeof unpacked, &len), Z_BUF_ERROR);
    reply = mocked_get(&mocked, "/gzip?bytes=0");
    CHECK_EQUAL(unpack(&reply, MAX_WBITS + 16, NULL, 0, &len), Z_STREAM_END);
    CHECK_EQUAL(len, 0);
    reply = mocked_get(&mocked, "/gzip?bytes=1048576");
    CHECK_EQUAL(unpack(&reply, MAX_WBITS + 16, NULL, 0, &len), Z_STREAM_END);
    CHECK_EQUAL(len, 1048576);
    CHECK_EQUAL(mocked_get(&mocked, "/gzip?bytes=1048577").status, 422);
    mocked_close(&mocked);
}

/* inflate checks the sum and the length at the end. */
FIBER_TEST(a_bomb_is_small_and_unpacks_to_what_was_asked_for)
{
    static const struct {
        const char *target;
        uint64_t mib;
    } cases[] = {
        {"/bomb?bytes=0", 0}, {"/bomb?bytes=1", 1}, {"/bomb?bytes=67108865", 65}, {"/bomb", 100}};
    struct mocked mocked;
    uint64_t len;
    mocked_open(&mocked, (struct weft_mock_options){0});
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char start[16] = {1};
        struct client_reply reply = mocked_get(&mocked, cases[i].target);
        CHECK_EQUAL(reply.status, 200);
        CHECK(reply.body_len <= 32 + cases[i].mib * 2048);
        CHECK_EQUAL(unpack(&reply, MAX_WBITS + 16, start, sizeof start, &len), Z_STREAM_END);
        CHECK_EQUAL(len, cases[i].mib << 20);
        CHECK_EQUAL(start[0], cases[i].mib == 0);
    }
    CHECK_EQUAL(mocked_get(&mocked, "/bomb?bytes=68719476737").status, 422);
    mocked_close(&mocked);
}
