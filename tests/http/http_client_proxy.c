/* SPDX-License-Identifier: MIT
 * http_client_proxy.c - proxies: none, unless asked for. */
#include "origin.h"
#include "test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const variables[] = {"http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY",
                                        "all_proxy",  "ALL_PROXY",  "no_proxy",    "NO_PROXY"};

static void clear_environment(void)
{
    for (size_t i = 0; i < sizeof variables / sizeof variables[0]; i++)
        REQUIRE(unsetenv(variables[i]) == 0);
}

static void set(const char *name, const char *value)
{
    REQUIRE(setenv(name, value, 1) == 0);
}

static bool went_through(const struct origin *proxy, const char *line)
{
    return strncmp(proxy->last, line, strlen(line)) == 0;
}

FIBER_TEST(the_environment_is_not_asked_for_a_proxy)
{
    struct origin origin;
    origin_open(&origin, origin_reflect);
    clear_environment();
    set("http_proxy", "http://127.0.0.1:1");
    set("all_proxy", "http://127.0.0.1:1");
    struct weft_http_client *client = open_client(NULL);
    CHECK_EQUAL(get_status(client, origin_url(origin.port, "/")), 200);
    CHECK(went_through(&origin, "GET / HTTP/1.1"));
    weft_http_client_close(client);
    clear_environment();
    origin_close(&origin);
}

FIBER_TEST(a_proxy_is_asked_for_whole_urls)
{
    struct origin proxy;
    char url[64];
    origin_open(&proxy, origin_reflect);
    (void)snprintf(url, sizeof url, "http://localhost:%u", proxy.port);
    struct weft_http_client *client = open_client(&(struct weft_http_client_options){.proxy = url});
    set("no_proxy", "*"); /* is not asked either */
    for (int i = 0; i < 3; i++)
        CHECK_EQUAL(get_status(client, "http://no-such-host.invalid/path"), 200);
    CHECK(went_through(&proxy, "GET http://no-such-host.invalid/path HTTP/1.1"));
    CHECK_EQUAL(proxy.accepted, 1);
    weft_http_client_close(client);
    clear_environment();
    origin_close(&proxy);
}

FIBER_TEST(a_tunnel_that_the_proxy_refuses_is_told)
{
    struct origin proxy;
    struct weft_http_response response;
    origin_open(&proxy, origin_say_reply);
    proxy.reply = "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n";
    struct weft_http_client *client =
        open_client(&(struct weft_http_client_options){.proxy = origin_url(proxy.port, "")});
    CHECK_EQUAL(get(client, "https://no-such-host.invalid/", &response), -EPROTO);
    CHECK(strstr(response.error, "403") != NULL);
    CHECK(went_through(&proxy, "CONNECT no-such-host.invalid:443 HTTP/1.1"));
    weft_http_response_release(&response);
    weft_http_client_close(client);
    origin_close(&proxy);
}

FIBER_TEST(a_proxy_that_is_not_there_is_told)
{
    struct weft_http_client *client =
        open_client(&(struct weft_http_client_options){.proxy = "http://127.0.0.1:1"});
    CHECK_EQUAL(get_status(client, "http://no-such-host.invalid/"), -ECONNREFUSED);
    weft_http_client_close(client);
}

FIBER_TEST(the_environment_names_proxies_when_it_is_asked)
{
    static const struct weft_http_client_options asking = {.proxy_of_environment = 1};
    struct origin proxy, origin;
    char exception[64];
    origin_open(&proxy, origin_reflect);
    origin_open(&origin, origin_reflect);
    const char *proxy_url = origin_url(proxy.port, "");
    (void)snprintf(exception, sizeof exception, "elsewhere.invalid,127.0.0.1");
    static const char *const names[] = {"http_proxy", "all_proxy", "ALL_PROXY"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        clear_environment();
        set(names[i], proxy_url);
        struct weft_http_client *client = open_client(&asking);
        CHECK_EQUAL(get_status(client, "http://one.invalid/"), 200);
        CHECK(went_through(&proxy, "GET http://one.invalid/ HTTP/1.1"));
        weft_http_client_close(client);
    }
    set("no_proxy", exception);
    struct weft_http_client *client = open_client(&asking);
    clear_environment(); /* what counts is how it was at open */
    CHECK_EQUAL(get_status(client, origin_url(origin.port, "/")), 200);
    CHECK(went_through(&origin, "GET / HTTP/1.1"));
    CHECK_EQUAL(get_status(client, "http://two.invalid/"), 200);
    CHECK(went_through(&proxy, "GET http://two.invalid/ HTTP/1.1"));
    weft_http_client_close(client);

    /* A CGI program's HTTP_PROXY is what a client sent as "Proxy:". */
    set("HTTP_PROXY", "http://127.0.0.1:1");
    client = open_client(&asking);
    CHECK_EQUAL(get_status(client, origin_url(origin.port, "/")), 200);
    weft_http_client_close(client);
    clear_environment();
    origin_close(&origin);
    origin_close(&proxy);
}
