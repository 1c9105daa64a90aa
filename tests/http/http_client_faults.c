/* SPDX-License-Identifier: MIT
 * http_client_faults.c - every allocation of weft fails once: there is an error or a response,
 * nothing is left behind, and afterwards everything works.
 *
 * libcurl's own allocations succeed: 7.88 divides by zero where a hash table cannot be made. malloc
 * and its relatives are replaced for this program, so it has nothing to say under a sanitizer that
 * replaces them too. */
#include "descriptors.h"
#include "origin.h"
#include "test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

/* Allocations until one fails; 0: none will. Blocks that were allocated and not freed. */
static unsigned long countdown;
static bool fired;
static long blocks;

#if REPLACED
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *memory, size_t size);
void __libc_free(void *memory);

extern const char __executable_start, etext;

/* The program has weft inside; libcurl is a library of its own. */
static bool fails(const void *caller)
{
    const char *at = caller;
    if (at < &__executable_start || at >= &etext)
        return false;
    bool now = countdown == 1;
    if (countdown > 0)
        countdown--;
    fired = fired || now;
    if (now)
        errno = ENOMEM;
    return now;
}

#define FAILS() fails(__builtin_return_address(0))

static void *counted(void *memory)
{
    blocks += memory != NULL;
    return memory;
}

void *malloc(size_t size)
{
    return FAILS() ? NULL : counted(__libc_malloc(size));
}

void *calloc(size_t count, size_t size)
{
    return FAILS() ? NULL : counted(__libc_calloc(count, size));
}

void *realloc(void *memory, size_t size)
{
    return FAILS()  ? NULL
           : memory ? __libc_realloc(memory, size)
                    : counted(__libc_realloc(NULL, size));
}

void free(void *memory)
{
    blocks -= memory != NULL;
    __libc_free(memory);
}
#endif

static const char reply[] = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Field: value\r\n\r\nhello";

static int count_piece(void *context, const void *bytes, size_t len)
{
    (void)bytes;
    *(size_t *)context += len;
    return 0;
}

static ssize_t give_four(void *context, void *bytes, size_t size)
{
    bool *given = context;
    (void)size;
    if (*given)
        return 0;
    *given = true;
    memcpy(bytes, "body", 4);
    return 4;
}

static int see_head(void *context, const struct weft_http_response *response)
{
    (void)context;
    CHECK_EQUAL(response->status, 200);
    return 0;
}

/* A client from open to close. Returns the worst that happened. */
static int use_a_client(const struct weft_http_client_options *options, uint16_t port,
                        const char *path)
{
    static const struct weft_http_field field = {"Cookie", "x=y"};
    struct weft_http_client *client;
    size_t bytes = 0;
    int worst = weft_http_client_open(&client, options);
    if (worst < 0)
        return worst;
    for (int i = 0; i < 4; i++) {
        struct weft_http_response response;
        bool given = false;
        const struct weft_http_request request = {.url = origin_url(port, path),
                                                  .fields = &field,
                                                  .fields_count = 1,
                                                  .body = i == 1 ? "body" : NULL,
                                                  .body_len = i == 1 || i == 3 ? 4 : 0,
                                                  .on_read = i == 3 ? give_four : NULL,
                                                  .on_read_context = &given,
                                                  .on_head = i == 2 ? see_head : NULL,
                                                  .on_body = i == 2 ? count_piece : NULL,
                                                  .on_body_context = &bytes};
        int err = weft_http_send(client, &request, &response, weft_now() + PATIENCE);
        CHECK((err == 0) == (response.error[0] == '\0'));
        CHECK(err < 0 || response.status == 200);
        CHECK(err < 0 || i == 2 || body_is(&response, "hello"));
        weft_http_response_release(&response);
        worst = err < 0 ? err : worst;
    }
    weft_http_client_close(client);
    return worst;
}

static void fail_each_allocation(const struct weft_http_client_options *options, const char *path,
                                 const char *said)
{
    struct origin origin;
    unsigned long step = 1;
    int before = open_descriptors();
    origin_open(&origin, origin_say_reply);
    origin.reply = said;
    CHECK_EQUAL(use_a_client(options, origin.port, path), 0); /* what is made once is made */
    CHECK_EQUAL(weft_sleep(WEFT_MSEC), 0);
    for (fired = true; fired; step++) {
        long blocks_before = blocks;
        fired = false;
        countdown = step;
        int err = use_a_client(options, origin.port, path);
        countdown = 0;
        CHECK(err == 0 || fired);
        CHECK_EQUAL(weft_sleep(WEFT_MSEC), 0); /* the server sees that it is gone */
        if (blocks != blocks_before)
            test_note("step %lu: %ld blocks left, result %d", step, blocks - blocks_before, err);
        CHECK_EQUAL(blocks, blocks_before);
    }
    CHECK(step > 10);
    origin_close(&origin);
    CHECK_EQUAL(open_descriptors(), before);
}

FIBER_TEST(requests_survive_every_failed_allocation)
{
    if (!REPLACED) {
        test_skip("malloc belongs to the sanitizer");
        return;
    }
    fail_each_allocation(NULL, "/", reply);
}

FIBER_TEST(cookies_and_names_survive_every_failed_allocation)
{
    static const char setting[] =
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nSet-Cookie: a=b\r\n\r\nhello";
    static const struct weft_http_client_options options = {.cookies = 1,
                                                            .decompress = 1,
                                                            .names_max = 1,
                                                            .no_reuse = 1,
                                                            .http2 = WEFT_HTTP2_TLS,
                                                            .host_connections_max = 2};
    if (!REPLACED) {
        test_skip("malloc belongs to the sanitizer");
        return;
    }
    fail_each_allocation(&options, "/", setting);
}

FIBER_TEST(requests_in_turns_survive_every_failed_allocation)
{
    static const struct weft_http_client_options options = {
        .host_connections_max = 1, .connections_max = 1, .redirects_max = 2};
    if (!REPLACED) {
        test_skip("malloc belongs to the sanitizer");
        return;
    }
    fail_each_allocation(&options, "/path", reply);
}
