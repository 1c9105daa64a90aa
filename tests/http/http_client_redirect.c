/* SPDX-License-Identifier: MIT
 * http_client_redirect.c - where a redirect leads, what is taken along, and where it ends. */
#include "origin.h"
#include "test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* "/STATUS/": a redirect with that status to origin->reply; all else is reflected. */
static void redirect(struct origin *origin, int fd)
{
    while (origin_read(origin, fd)) {
        char head[512];
        bool is_head = strncmp(origin->last, "HEAD ", 5) == 0;
        int status = atoi(strchr(origin->last, ' ') + 2);
        const char *body = status > 0 ? "there" : origin->last;
        (void)snprintf(head, sizeof head,
                       "HTTP/1.1 %d Somewhere\r\n%s%s%sX-Here: %d\r\nContent-Length: %zu\r\n\r\n",
                       status > 0 ? status : 200, status > 0 ? "Location: " : "",
                       status > 0 ? origin->reply : "", status > 0 ? "\r\n" : "", status,
                       strlen(body));
        origin_say(fd, head);
        if (!is_head)
            origin_say(fd, body);
    }
}

static const struct weft_http_client_options following = {.redirects_max = 5};

FIBER_TEST(a_redirect_is_the_response_unless_it_is_to_be_followed)
{
    struct origin origin;
    struct weft_http_response response;
    origin_open(&origin, redirect);
    origin.reply = "/there";
    struct weft_http_client *client = open_client(NULL);
    REQUIRE(get(client, origin_url(origin.port, "/302/"), &response) == 0);
    CHECK_EQUAL(response.status, 302);
    CHECK(body_is(&response, "there"));
    CHECK(field_is(&response, "Location", "/there"));
    CHECK_EQUAL(response.redirects, 0);
    weft_http_response_release(&response);
    weft_http_client_close(client);
    origin_close(&origin);
}

FIBER_TEST(redirects_are_followed_to_their_end)
{
    static const struct {
        const char *before, *after; /* the server's host and port, if there is something after */
        const char *end;
    } cases[] = {
        {"/there", NULL, "/there"},      {"../there?x=1", NULL, "/there?x=1"},
        {"//", "/there", "/there"},      {"http://", "/there", "/there"},
        {"/a/../there", NULL, "/there"}, {"HTTP://", "/there#part", "/there#part"},
    };
    struct origin origin;
    struct weft_http_response response;
    origin_open(&origin, redirect);
    struct weft_http_client *client = open_client(&following);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char location[64];
        const char *host = origin_url(origin.port, "") + strlen("http://");
        (void)snprintf(location, sizeof location, "%s%s%s", cases[i].before,
                       cases[i].after ? host : "", cases[i].after ? cases[i].after : "");
        origin.reply = location;
        REQUIRE(get(client, origin_url(origin.port, "/302/"), &response) == 0);
        CHECK_EQUAL(response.status, 200);
        CHECK_EQUAL(response.redirects, 1);
        CHECK(strcmp(response.url, origin_url(origin.port, cases[i].end)) == 0);
        CHECK(field_is(&response, "X-Here", "0"));
        CHECK(strncmp(response.body, "GET /there", 10) == 0);
        weft_http_response_release(&response);
    }
    CHECK_EQUAL(origin.accepted, 1);
    CHECK_EQUAL(stats_of(client).redirects, sizeof cases / sizeof cases[0]);
    weft_http_client_close(client);
    origin_close(&origin);
}

/* What a redirect makes of a request: RFC 9110, 15.4. */
FIBER_TEST(methods_change_as_the_status_says)
{
    static const struct {
        int status;
        const char *method, *after;
        bool keeps_body;
    } cases[] = {
        {301, "POST", "GET", false},     {302, "POST", "GET", false}, {303, "POST", "GET", false},
        {307, "POST", "POST", true},     {308, "POST", "POST", true}, {301, "PUT", "PUT", true},
        {302, "DELETE", "DELETE", true}, {303, "PUT", "GET", false},  {301, "GET", "GET", true},
        {303, "HEAD", "HEAD", true},     {307, "HEAD", "HEAD", true},
    };
    static const struct weft_http_field type = {"Content-Type", "text/plain"};
    struct origin origin;
    struct weft_http_response response;
    origin_open(&origin, redirect);
    origin.reply = "/there";
    struct weft_http_client *client = open_client(&following);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char path[16], line[32];
        bool has_body = strcmp(cases[i].method, "GET") != 0 && strcmp(cases[i].method, "HEAD") != 0;
        (void)snprintf(path, sizeof path, "/%d/", cases[i].status);
        (void)snprintf(line, sizeof line, "%s /there ", cases[i].after);
        const struct weft_http_request request = {.url = origin_url(origin.port, path),
                                                  .method = cases[i].method,
                                                  .fields = &type,
                                                  .fields_count = has_body,
                                                  .body = has_body ? "body" : NULL,
                                                  .body_len = has_body ? 4 : 0};
        REQUIRE(weft_http_send(client, &request, &response, weft_now() + PATIENCE) == 0);
        bool kept = has_body && cases[i].keeps_body;
        CHECK_EQUAL(response.status, 200);
        CHECK(strncmp(origin.last, line, strlen(line)) == 0);
        CHECK_EQUAL(strstr(origin.last, "\r\n\r\nbody") != NULL, kept);
        CHECK_EQUAL(strstr(origin.last, "Content-Type") != NULL, kept);
        weft_http_response_release(&response);
    }
    weft_http_client_close(client);
    origin_close(&origin);
}

FIBER_TEST(too_many_redirects_are_an_error)
{
    struct origin origin;
    struct weft_http_response response;
    origin_open(&origin, redirect);
    origin.reply = "/302/";
    struct weft_http_client *client = open_client(&following);
    CHECK_EQUAL(get(client, origin_url(origin.port, "/302/"), &response), -ELOOP);
    CHECK_EQUAL(origin.requests, 6);
    CHECK_EQUAL(response.redirects, 5);
    CHECK(strcmp(response.error, "too many redirects") == 0);
    weft_http_response_release(&response);
    CHECK_EQUAL(origin.accepted, 1);
    weft_http_client_close(client);
    origin_close(&origin);
}

FIBER_TEST(a_redirect_leads_nowhere_but_to_http)
{
    static const char *const locations[] = {"ftp://127.0.0.1/", "file:///etc/passwd",
                                            "gopher://127.0.0.1:1/_x"};
    struct origin origin;
    origin_open(&origin, redirect);
    struct weft_http_client *client = open_client(&following);
    for (size_t i = 0; i < sizeof locations / sizeof locations[0]; i++) {
        char location[64];
        (void)snprintf(location, sizeof location, "%s", locations[i]);
        origin.reply = location;
        CHECK_EQUAL(get_status(client, origin_url(origin.port, "/302/")), -EPROTONOSUPPORT);
    }
    CHECK_EQUAL(stats_of(client).connections, 1);
    weft_http_client_close(client);
    origin_close(&origin);
}

FIBER_TEST(what_is_secret_goes_to_no_other_server)
{
    static const struct weft_http_field fields[] = {{"Authorization", "Bearer secret"},
                                                    {"cookie", "secret"},
                                                    {"Host", "here"},
                                                    {"X-Kept", "1"}};
    struct origin here, there;
    struct weft_http_response response;
    char location[64], with_password[64];
    origin_open(&here, redirect);
    origin_open(&there, origin_reflect);
    struct weft_http_client *client = open_client(&following);
    const struct weft_http_request request = {
        .url = origin_url(here.port, "/307/"), .fields = fields, .fields_count = 4};
    for (int abroad = 0; abroad < 2; abroad++) {
        (void)snprintf(location, sizeof location, "http://127.0.0.1:%u/there",
                       abroad ? there.port : here.port);
        here.reply = location;
        REQUIRE(weft_http_send(client, &request, &response, weft_now() + PATIENCE) == 0);
        CHECK_EQUAL(response.status, 200);
        CHECK_EQUAL(strstr(response.body, "secret") != NULL, !abroad);
        CHECK_EQUAL(strstr(response.body, "Host: here") != NULL, !abroad);
        CHECK(strstr(response.body, "X-Kept: 1") != NULL);
        weft_http_response_release(&response);
    }
    (void)snprintf(with_password, sizeof with_password, "http://me:secret@127.0.0.1:%u/307/",
                   here.port);
    CHECK_EQUAL(get_status(client, with_password), 200);
    CHECK(strstr(here.last, "Authorization: Basic ") != NULL);
    CHECK(strstr(there.last, "Authorization") == NULL);
    weft_http_client_close(client);
    origin_close(&there);
    origin_close(&here);
}

static int count_body(void *context, const void *bytes, size_t len)
{
    (void)bytes;
    *(size_t *)context += len;
    return 0;
}

FIBER_TEST(the_body_of_a_redirect_is_thrown_away)
{
    struct origin origin;
    struct weft_http_response response;
    size_t taken = 0;
    origin_open(&origin, redirect);
    origin.reply = "/there";
    struct weft_http_client *client = open_client(&following);
    const struct weft_http_request request = {
        .url = origin_url(origin.port, "/302/"), .on_body = count_body, .on_body_context = &taken};
    REQUIRE(weft_http_send(client, &request, &response, weft_now() + PATIENCE) == 0);
    CHECK_EQUAL(taken, strlen(origin.last));
    weft_http_response_release(&response);
    weft_http_client_close(client);
    origin_close(&origin);
}

FIBER_TEST(a_redirect_to_nowhere_is_the_response)
{
    struct origin origin;
    struct weft_http_response response;
    origin_open(&origin, origin_say_reply);
    struct weft_http_client *client = open_client(&following);
    origin.reply = "HTTP/1.1 302 Found\r\nContent-Length: 2\r\n\r\nno";
    REQUIRE(get(client, origin_url(origin.port, "/"), &response) == 0);
    CHECK_EQUAL(response.status, 302);
    CHECK(body_is(&response, "no"));
    weft_http_response_release(&response);
    origin.reply = "HTTP/1.1 304 Not Modified\r\nLocation: /there\r\n\r\n";
    REQUIRE(get(client, origin_url(origin.port, "/"), &response) == 0);
    CHECK_EQUAL(response.status, 304);
    weft_http_response_release(&response);
    weft_http_client_close(client);
    origin_close(&origin);
}

/* ---- addresses that are not allowed ------------------------------------------------------- */

struct only {
    uint16_t port;
    unsigned asked;
};

static int only_port(void *context, const struct sockaddr *address, socklen_t len)
{
    struct only *only = context;
    uint16_t port = 0;
    CHECK(address->sa_family == AF_INET && len >= 16);
    memcpy(&port, (const char *)address + 2, sizeof port); /* sin_port, big-endian */
    only->asked++;
    return port == (uint16_t)(only->port << 8 | only->port >> 8);
}

FIBER_TEST(no_redirect_gets_around_the_addresses_that_are_allowed)
{
    struct origin here, forbidden;
    struct weft_http_response response;
    char location[64];
    origin_open(&here, redirect);
    origin_open(&forbidden, origin_reflect);
    struct only only = {.port = here.port};
    struct weft_http_client *client = open_client(&(struct weft_http_client_options){
        .redirects_max = 5, .allow_address = only_port, .allow_address_context = &only});
    CHECK_EQUAL(get_status(client, origin_url(here.port, "/")), 200);
    (void)snprintf(location, sizeof location, "http://127.0.0.1:%u/", forbidden.port);
    here.reply = location;
    CHECK_EQUAL(get(client, origin_url(here.port, "/302/"), &response), -EACCES);
    CHECK(strstr(response.error, "not allowed") != NULL);
    CHECK_EQUAL(response.redirects, 1);
    weft_http_response_release(&response);
    CHECK_EQUAL(get_status(client, location), -EACCES);
    CHECK_EQUAL(forbidden.accepted, 0);
    CHECK_EQUAL(only.asked, 3);
    CHECK_EQUAL(stats_of(client).addresses_refused, 2);
    weft_http_client_close(client);
    origin_close(&forbidden);
    origin_close(&here);
}

FIBER_TEST(the_public_internet_does_not_include_this_machine)
{
    static const char *const hosts[] = {"127.0.0.1", "localhost", "[::1]",           "0.0.0.0",
                                        "127.1",     "0x7f.1",    "[::ffff:7f00:1]", "2130706433"};
    struct origin origin;
    origin_open(&origin, origin_reflect);
    struct weft_http_client *client = open_client(
        &(struct weft_http_client_options){.allow_address = weft_http_address_is_public});
    for (size_t i = 0; i < sizeof hosts / sizeof hosts[0]; i++) {
        char url[64];
        (void)snprintf(url, sizeof url, "http://%s:%u/", hosts[i], origin.port);
        CHECK_EQUAL(get_status(client, url), -EACCES);
    }
    CHECK_EQUAL(origin.accepted, 0);
    weft_http_client_close(client);
    origin_close(&origin);
}
