/* SPDX-License-Identifier: MIT
 * faults.c - every allocation fails once, and the server goes on afterwards.
 *
 * malloc and its relatives are replaced for this program, so it has nothing to say under a
 * sanitizer that replaces them too. */
#include "client.h"
#include "test.h"

#include <weft/io.h>
#include <weft/runtime.h>

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define REPLACED 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define REPLACED 0
#endif
#endif
#if !defined(REPLACED) && defined(__GLIBC__)
#define REPLACED 1
#endif
#ifndef REPLACED
#define REPLACED 0
#endif

/* Allocations until one fails; 0: none will. One thread runs at a time here. */
static unsigned long countdown;
static bool fired;
static size_t largest; /* bytes asked for at once */

static void arm(unsigned long step)
{
    countdown = step;
    fired = false;
}

static bool disarm(void)
{
    countdown = 0;
    return fired;
}

#if REPLACED
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *memory, size_t size);

static bool fails(size_t size)
{
    largest = size > largest ? size : largest;
    bool now = countdown == 1;
    if (countdown > 0)
        countdown--;
    fired = fired || now;
    if (now)
        errno = ENOMEM;
    return now;
}

void *malloc(size_t size)
{
    return fails(size) ? NULL : __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    return fails(count * size) ? NULL : __libc_calloc(count, size);
}

void *realloc(void *memory, size_t size)
{
    return fails(size) ? NULL : __libc_realloc(memory, size);
}
#endif

static void handler(struct weft_http_exchange *exchange, void *context)
{
    (void)exchange, (void)context;
}

TEST(opening_survives_every_failed_allocation)
{
    static const struct weft_http_route routes[] = {
        {"GET", "/a/{b:int}", handler},
        {"POST", "/c", handler},
    };
    struct weft_http_server_options options = {.routes = routes, .routes_count = 2};
    if (!REPLACED) {
        test_skip("malloc belongs to the sanitizer");
        return;
    }
    for (unsigned long step = 1;; step++) {
        struct weft_http_server *server = NULL;
        arm(step);
        int err = weft_http_server_open(&server, &options);
        bool failed = disarm();
        CHECK_EQUAL(err, failed ? -ENOMEM : 0);
        CHECK((server == NULL) == failed);
        weft_http_server_close(server);
        if (!failed)
            return;
    }
}

/* Plain calls, so that nothing of the client is allocated. */
static int send_quietly(const struct server *server, const char *text)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons(server->port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    REQUIRE(fd >= 0);
    REQUIRE(connect(fd, (struct sockaddr *)&address, sizeof address) == 0);
    REQUIRE(send(fd, text, strlen(text), 0) == (ssize_t)strlen(text));
    return fd;
}

/* The client was told something, or the connection was cut: it does not hang. */
static void check_outcome(int fd)
{
    char reply[64] = "";
    ssize_t count = recv(fd, reply, sizeof reply - 1, MSG_DONTWAIT);
    bool cut = count == 0 || (count < 0 && errno == ECONNRESET);
    bool told = count > 0 && strncmp(reply, "HTTP/1.1 ", 9) == 0;
    CHECK(cut || told);
    if (!cut && !told)
        test_note("count %zd, errno %d, reply %s", count, errno, reply);
}

FIBER_TEST(requests_survive_every_failed_allocation)
{
    static const char *const requests[] = {
        "GET /name/x HTTP/1.1\r\n" HOST "\r\n",
        "GET /query?a=1&b=2 HTTP/1.1\r\n" HOST "\r\n",
        "GET /hello HTTP/1.1\r\n" HOST "\r\n",
        "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nhello",
        "GET /odd HTTP/1.1\r\n" HOST "\r\nGET /failing HTTP/1.1\r\n" HOST "\r\n",
        "GET /nowhere HTTP/1.1\r\n" HOST "\r\n",
        "GET /stream HTTP/1.1\r\n" HOST "\r\n",
        "POST /nowhere HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nhello",
        "POST /echo HTTP/1.1\r\n" HOST "Expect: 100-continue\r\nContent-Length: 5\r\n\r\n",
    };
    if (!REPLACED) {
        test_skip("malloc belongs to the sanitizer");
        return;
    }
    for (size_t i = 0; i < sizeof requests / sizeof requests[0]; i++) {
        bool failed = true;
        unsigned long step = 1;
        for (; failed; step++) {
            struct server server; /* a new one has no memory put by */
            server_open(&server, (struct weft_http_server_options){0});
            REQUIRE(weft_sleep(WEFT_MSEC) == 0);
            int fd = send_quietly(&server, requests[i]);
            arm(step);
            int err = weft_sleep(WEFT_MSEC);
            failed = disarm();
            CHECK_EQUAL(err, 0);
            check_outcome(fd);
            CHECK_EQUAL(close(fd), 0);
            CHECK(server_answers(&server));
            server_close(&server);
        }
        CHECK(step > 3); /* something was allocated, so something failed */
    }
}

static void count_body(struct weft_http_exchange *exchange, void *context)
{
    size_t len;
    (void)weft_http_body(exchange, &len);
    *(size_t *)context = len;
    weft_http_reply(exchange, 200, NULL, NULL, 0);
}

FIBER_TEST(a_body_takes_memory_as_it_comes_not_as_it_is_announced)
{
    enum {
        LEN = 32 << 20,
        PIECE = 1 << 16,
    };
    static const struct weft_http_route routes[] = {
        {"POST", "/", count_body, .body_bytes_max = LEN},
    };
    static const char zeros[PIECE];
    struct server server;
    struct client client;
    size_t received = 0;
    if (!REPLACED) {
        test_skip("malloc belongs to the sanitizer");
        return;
    }
    server_open(&server, (struct weft_http_server_options){
                             .routes = routes, .routes_count = 1, .context = &received});
    client_open(&client, &server);
    client_send(&client, "POST / HTTP/1.1\r\n" HOST "Content-Length: 33554432\r\n\r\n");
    largest = 0;
    for (size_t sent = 0; sent < LEN; sent += PIECE) {
        client_send_bytes(&client, zeros, PIECE);
        CHECK_EQUAL(weft_sleep(WEFT_MSEC), 0);
        CHECK(largest <= 2 * (sent + 2 * PIECE + 1024));
    }
    CHECK(largest >= LEN);
    CHECK_EQUAL(client_receive(&client).status, 200);
    CHECK_EQUAL(received, LEN);
    client_close(&client);
    server_close(&server);
}
