/* SPDX-License-Identifier: MIT
 * http_client_cookies.c - cookies: none unless asked for, and then one jar for all workers. */
#include "origin.h"
#include "test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct weft_http_client_options keeping = {.cookies = 1, .redirects_max = 3};

/* Sets what the path says, "/name=value;Path=/", and says back which cookies came. */
static void set_cookie(struct origin *origin, int fd)
{
    while (origin_read(origin, fd)) {
        char reply[1024], cookie[256] = "", sent[256] = "";
        const char *end = strstr(origin->last, " HTTP/1.1"),
                   *came = strstr(origin->last, "Cookie: ");
        const char *path = strchr(origin->last, '/') + 1;
        if (end && end > path && memchr(path, '=', (size_t)(end - path)))
            (void)snprintf(cookie, sizeof cookie, "Set-Cookie: %.*s\r\n", (int)(end - path), path);
        if (came)
            (void)snprintf(sent, sizeof sent, "%.*s", (int)strcspn(came + 8, "\r"), came + 8);
        (void)snprintf(reply, sizeof reply, "HTTP/1.1 200 OK\r\n%sContent-Length: %zu\r\n\r\n%s",
                       cookie, strlen(sent), sent);
        origin_say(fd, reply);
    }
}

/* What the server says that it got. */
static bool came(struct weft_http_client *client, const char *url, const char *expected)
{
    struct weft_http_response response;
    REQUIRE(get(client, url, &response) == 0);
    bool same = body_is(&response, expected);
    weft_http_response_release(&response);
    return same;
}

FIBER_TEST(cookies_are_not_kept_unless_asked)
{
    struct origin origin;
    origin_open(&origin, set_cookie);
    struct weft_http_client *client = open_client(NULL);
    CHECK(came(client, origin_url(origin.port, "/a=1"), ""));
    CHECK(came(client, origin_url(origin.port, "/"), ""));
    weft_http_client_close(client);
    origin_close(&origin);
}

FIBER_TEST(cookies_come_back_to_where_they_belong)
{
    struct origin origin;
    char url[128];
    origin_open(&origin, set_cookie);
    struct weft_http_client *client = open_client(&keeping);
    CHECK(came(client, origin_url(origin.port, "/a=1;Path=/"), ""));
    CHECK(came(client, origin_url(origin.port, "/"), "a=1"));
    CHECK(came(client, origin_url(origin.port, "/b=2;Path=/there"), "a=1"));
    CHECK(came(client, origin_url(origin.port, "/"), "a=1"));
    CHECK(came(client, origin_url(origin.port, "/there/x"), "b=2; a=1"));
    CHECK(came(client, origin_url(origin.port, "/a=3;Path=/"), "a=1"));
    CHECK(came(client, origin_url(origin.port, "/"), "a=3"));
    CHECK(came(client, origin_url(origin.port, "/a=3;Path=/;Max-Age=0"), "a=3"));
    CHECK(came(client, origin_url(origin.port, "/"), ""));
    (void)snprintf(url, sizeof url, "http://localhost:%u/", origin.port);
    CHECK(came(client, origin_url(origin.port, "/c=4;Path=/"), ""));
    CHECK(came(client, url, "")); /* another host */
    CHECK(came(client, origin_url(origin.port, "/d=5;Path=/;Domain=example.org"), "c=4"));
    CHECK(came(client, origin_url(origin.port, "/"), "c=4"));
    weft_http_client_close(client);

    client = open_client(&keeping); /* another jar */
    CHECK(came(client, origin_url(origin.port, "/"), ""));
    weft_http_client_close(client);
    origin_close(&origin);
}

FIBER_TEST(the_callers_cookies_are_sent_behind_those_of_the_jar)
{
    static const struct weft_http_field fields[] = {{"Cookie", "x=9"}, {"cookie", "y=8"}};
    struct origin origin;
    struct weft_http_response response;
    origin_open(&origin, set_cookie);
    struct weft_http_client *client = open_client(&keeping);
    CHECK(came(client, origin_url(origin.port, "/a=1;Path=/"), ""));
    const struct weft_http_request request = {
        .url = origin_url(origin.port, "/"), .fields = fields, .fields_count = 2};
    REQUIRE(weft_http_send(client, &request, &response, weft_now() + PATIENCE) == 0);
    CHECK(body_is(&response, "a=1; x=9; y=8"));
    weft_http_response_release(&response);
    CHECK(came(client, origin_url(origin.port, "/"), "a=1")); /* they were for that request */
    weft_http_client_close(client);
    origin_close(&origin);
}

/* Sets a cookie and leads to origin->reply. */
static void set_and_lead(struct origin *origin, int fd)
{
    while (origin_read(origin, fd)) {
        char reply[512];
        (void)snprintf(reply, sizeof reply,
                       "HTTP/1.1 302 Found\r\nSet-Cookie: session=1; Path=/\r\nLocation: %s\r\n"
                       "Content-Length: 0\r\n\r\n",
                       origin->reply);
        origin_say(fd, reply);
    }
}

FIBER_TEST(cookies_of_redirects_are_kept_and_the_callers_are_not_taken_elsewhere)
{
    static const struct weft_http_field field = {"Cookie", "secret=1"};
    struct origin here, there;
    struct weft_http_response response;
    char location[64];
    origin_open(&here, set_and_lead);
    origin_open(&there, set_cookie);
    (void)snprintf(location, sizeof location, "http://localhost:%u/", there.port);
    here.reply = location;
    struct weft_http_client *client = open_client(&keeping);
    const struct weft_http_request request = {
        .url = origin_url(here.port, "/"), .fields = &field, .fields_count = 1};
    REQUIRE(weft_http_send(client, &request, &response, weft_now() + PATIENCE) == 0);
    CHECK(body_is(&response, "")); /* neither the caller's nor the other host's */
    weft_http_response_release(&response);
    (void)snprintf(location, sizeof location, "http://127.0.0.1:%u/", there.port);
    REQUIRE(get(client, origin_url(here.port, "/"), &response) == 0);
    CHECK(body_is(&response, "session=1")); /* cookies know hosts, not ports: RFC 6265, 8.5 */
    weft_http_response_release(&response);
    weft_http_client_close(client);
    origin_close(&there);
    origin_close(&here);
}

/* Sets 20 cookies with each reply, all different. */
static void set_many(struct origin *origin, int fd)
{
    static unsigned number;
    while (origin_read(origin, fd)) {
        origin_say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n");
        for (int i = 0; i < 20; i++) {
            char line[64];
            (void)snprintf(line, sizeof line, "Set-Cookie: n%u=1; Path=/no\r\n", number++);
            origin_say(fd, line);
        }
        origin_say(fd, "\r\n");
    }
}

FIBER_TEST(too_many_cookies_are_forgotten)
{
    struct origin origin;
    origin_open(&origin, set_many);
    struct weft_http_client *client =
        open_client(&(struct weft_http_client_options){.cookies = 1, .cookies_max = 100});
    for (int i = 0; i < 5; i++) {
        CHECK_EQUAL(get_status(client, origin_url(origin.port, "/")), 200);
        CHECK_EQUAL(stats_of(client).cookies_forgotten, 0);
    }
    for (int i = 0; i < 45; i++)
        CHECK_EQUAL(get_status(client, origin_url(origin.port, "/")), 200);
    CHECK(stats_of(client).cookies_forgotten >= 200);
    CHECK(stats_of(client).cookies_forgotten <= 1000);
    weft_http_client_close(client);
    origin_close(&origin);
}

/* ---- several workers ---------------------------------------------------------------------- */

struct shared {
    struct weft_http_client *client;
    char url[64];
    unsigned with_cookie;
};

static int ask_from_anywhere(void *arg)
{
    struct shared *shared = arg;
    for (int i = 0; i < 20; i++) {
        struct weft_http_response response;
        REQUIRE(get(shared->client, shared->url, &response) == 0);
        bool came_back = strcmp(response.body, "a=1") == 0;
        (void)__atomic_add_fetch(&shared->with_cookie, came_back, __ATOMIC_RELAXED);
        weft_http_response_release(&response);
    }
    return 0;
}

static int share_a_jar(void *arg)
{
    struct shared *shared = arg;
    struct origin origin;
    struct weft_group group;
    origin_open(&origin, set_cookie);
    shared->client = open_client(&keeping);
    CHECK(came(shared->client, origin_url(origin.port, "/a=1;Path=/"), ""));
    (void)snprintf(shared->url, sizeof shared->url, "%s", origin_url(origin.port, "/"));
    REQUIRE(weft_group_init(&group, NULL) == 0);
    for (int i = 0; i < 8; i++) {
        const struct weft_spawn_options options = {.worker = WEFT_WORKER(i % 4)};
        REQUIRE(weft_spawn_with(&group, ask_from_anywhere, shared, &options) == 0);
    }
    CHECK_EQUAL(weft_group_wait(&group), 0);
    weft_http_client_close(shared->client);
    origin_close(&origin);
    return 0;
}

TEST(workers_share_a_jar)
{
    struct shared shared = {.with_cookie = 0};
    const struct weft_run_options options = {.workers = 4};
    CHECK_EQUAL(weft_run(&options, share_a_jar, &shared), 0);
    CHECK_EQUAL(shared.with_cookie, 160);
}
