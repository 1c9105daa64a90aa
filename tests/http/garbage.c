/* SPDX-License-Identifier: MIT
 * garbage.c - a server that is sent malformed requests goes on answering good ones.
 *
 *     WEFT_SEED=7 WEFT_GARBAGE_REQUESTS=10000 test-http-garbage
 *
 * A failure prints the seed and the number of the request: with the same seed it comes again. */
#include "../tools/http_garbage.h"
#include "client.h"
#include "test.h"

#include <weft/io.h>
#include <weft/runtime.h>

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define REQUESTS_DEFAULT 500

static uint64_t number_from(const char *variable, uint64_t otherwise)
{
    const char *text = getenv(variable);
    return text && *text ? strtoull(text, NULL, 0) : otherwise;
}

/* Replies until the server closes or has said nothing for a while; each must be well-formed, which
 * client_receive checks. Returns how many there were. */
static unsigned drain_replies(struct client *client)
{
    unsigned replies = 0;
    CHECK_EQUAL(shutdown(client->fd, SHUT_WR) < 0 ? 0 : 1, 1);
    while (client_receive(client).status)
        replies++;
    return replies;
}

/* Send in up to four pieces, so that the parser sees them cut anywhere. */
static void send_in_pieces(struct weft_random *random, struct client *client,
                           const struct weft_buffer *bytes)
{
    size_t at = 0;
    for (uint64_t pieces = weft_random_below(random, 4); pieces > 0; pieces--) {
        size_t len = weft_random_below(random, bytes->len - at + 1);
        client_send_bytes(client, bytes->data + at, len);
        at += len;
        if (weft_sleep(WEFT_MSEC) < 0)
            return;
    }
    client_send_bytes(client, bytes->data + at, bytes->len - at);
}

/* One connection with a malformed request, sometimes behind or before good ones. */
static void send_garbage(const struct server *server, uint64_t seed, uint64_t number)
{
    struct weft_random random;
    struct weft_buffer bytes;
    struct client client;
    weft_random_seed(&random, seed ^ number * UINT64_C(0x9e3779b97f4a7c15));
    weft_buffer_init(&bytes, 4 << 20);
    for (uint64_t good = weft_random_below(&random, 4) / 3 * 3; good > 0; good--)
        weft_buffer_append_string(&bytes, "GET /hello HTTP/1.1\r\n" HOST "\r\n");
    http_garbage(&random, "/hello", &bytes);
    if (weft_random_below(&random, 4) == 0)
        http_garbage(&random, "/echo", &bytes);
    client_open(&client, server);
    send_in_pieces(&random, &client, &bytes);
    if (weft_random_below(&random, 8) > 0)
        (void)drain_replies(&client); /* the others vanish without reading */
    client_close(&client);
    weft_buffer_deinit(&bytes);
}

FIBER_TEST(malformed_requests_do_not_stop_the_good_ones)
{
    uint64_t requests = number_from("WEFT_GARBAGE_REQUESTS", REQUESTS_DEFAULT);
    uint64_t seed = number_from("WEFT_SEED", 1);
    struct server server;
    server_open(&server, (struct weft_http_server_options){0});
    for (uint64_t i = 0; i < requests; i++) {
        send_garbage(&server, seed, i);
        bool answers = server_answers(&server);
        CHECK(answers);
        if (!answers) {
            test_note("request %llu; replay: WEFT_SEED=%llu WEFT_GARBAGE_REQUESTS=%llu %s",
                      (unsigned long long)i, (unsigned long long)seed, (unsigned long long)i + 1,
                      "test-http-garbage");
            break;
        }
    }
    struct weft_http_server_stats stats = server_stats(&server);
    test_note("seed %llu: %llu malformed connections, %llu refused, %llu timeouts",
              (unsigned long long)seed, (unsigned long long)requests,
              (unsigned long long)stats.bad_requests, (unsigned long long)stats.timeouts);
    CHECK(stats.bad_requests > requests / 3);
    CHECK_EQUAL(weft_sleep(100 * WEFT_SEC), 0);
    CHECK_EQUAL(server_stats(&server).connections_now, 0);
    server_close(&server);
}
