/* SPDX-License-Identifier: MIT
 * http_client_nginx.c - nginx as the server: compressed bodies, redirects, cookies, HTTP/2 with
 * connections that end. */
#include "origin.h"
#include "peer.h"
#include "test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct nginx {
    struct peer peer;
    uint16_t tls_port;
};

/* Of ports and directory, in the order of the arguments below. */
#define SETTINGS                                                                                   \
    "daemon off;\nworker_processes 1;\npid %s/nginx.pid;\nerror_log %s/error.log;\nuser root;\n"   \
    "events { worker_connections 2048; }\n"                                                        \
    "http {\n"                                                                                     \
    "  access_log off; default_type text/plain; server_tokens off;\n"                              \
    "  client_body_temp_path %s/b; proxy_temp_path %s/p; fastcgi_temp_path %s/f;\n"                \
    "  uwsgi_temp_path %s/u; scgi_temp_path %s/s;\n"                                               \
    "  gzip on; gzip_min_length 1; gzip_types *; gzip_comp_level 9;\n"                             \
    "  server {\n"                                                                                 \
    "    listen 127.0.0.1:%u; root %s; keepalive_requests 1000;\n"                                 \
    "    location /moved { return 301 /method; }\n"                                                \
    "    location /found { return 302 /method; }\n"                                                \
    "    location /other { return 303 /method; }\n"                                                \
    "    location /kept { return 307 /method; }\n"                                                 \
    "    location /kept-moved { return 308 /method; }\n"                                           \
    "    location /round { return 302 /round; }\n"                                                 \
    "    location /method { return 200 $request_method; }\n"                                       \
    "    location /set { add_header Set-Cookie 'a=1; Path=/'; return 302 /show; }\n"               \
    "    location /show { return 200 '$http_cookie'; }\n"                                          \
    "    location / { }\n"                                                                         \
    "  }\n"                                                                                        \
    "  server {\n"                                                                                 \
    "    listen 127.0.0.1:%u ssl http2; root %s; keepalive_requests 30;\n"                         \
    "    ssl_certificate %s; ssl_certificate_key %s;\n"                                            \
    "    http2_max_concurrent_streams 20;\n"                                                       \
    "    location / { gzip off; }\n"                                                               \
    "  }\n"                                                                                        \
    "}\n"

static void write_zeros(const char *name, size_t len)
{
    char path[128], *zeros = calloc(1, len);
    (void)snprintf(path, sizeof path, "%s/%s", test_directory(), name);
    FILE *file = fopen(path, "w");
    REQUIRE(file && zeros && fwrite(zeros, 1, len, file) == len);
    REQUIRE(fclose(file) == 0);
    free(zeros);
}

/* False: the test is skipped. */
static bool nginx_open(struct nginx *nginx)
{
    const char *directory = test_directory();
    char settings[128];
    if (!certificates_are_made())
        return false;
    *nginx = (struct nginx){.peer.port = unused_port(), .tls_port = unused_port()};
    (void)snprintf(settings, sizeof settings, "%s/nginx.conf", directory);
    FILE *file = fopen(settings, "w");
    REQUIRE(file);
    (void)fprintf(file, SETTINGS, directory, directory, directory, directory, directory, directory,
                  directory, nginx->peer.port, directory, nginx->tls_port, directory, certificate,
                  key);
    REQUIRE(fclose(file) == 0);
    write_zeros("large", 4 << 20);
    write_zeros("small", 100);
    const char *const command[] = {"nginx", "-p", directory, "-c", settings, NULL};
    return peer_open_on_port(&nginx->peer, command);
}

static const char *nginx_url(const struct nginx *nginx, const char *path)
{
    return origin_url(nginx->peer.port, path);
}

static int count_piece(void *context, const void *bytes, size_t len)
{
    (void)bytes;
    *(uint64_t *)context += len;
    return 0;
}

REAL_TIME_FIBER_TEST(what_nginx_compresses_is_decoded)
{
    struct nginx nginx;
    struct weft_http_response response;
    uint64_t bytes = 0;
    if (!nginx_open(&nginx))
        return;
    struct weft_http_client *client =
        open_client(&(struct weft_http_client_options){.decompress = 1, .ratio_max = 2000});
    REQUIRE(get(client, nginx_url(&nginx, "/small"), &response) == 0);
    CHECK_EQUAL(response.body_len, 100);
    CHECK(field_is(&response, "Content-Encoding", "gzip"));
    weft_http_response_release(&response);
    const struct weft_http_request request = {
        .url = nginx_url(&nginx, "/large"), .on_body = count_piece, .on_body_context = &bytes};
    CHECK_EQUAL(weft_http_send(client, &request, &response, weft_now() + PEER_PATIENCE), 0);
    CHECK_EQUAL(bytes, 4 << 20);
    CHECK(response.bytes_received < 100000);
    weft_http_response_release(&response);
    weft_http_client_close(client);

    client = open_client(&(struct weft_http_client_options){.decompress = 1, .ratio_max = 50});
    CHECK_EQUAL(get(client, nginx_url(&nginx, "/large"), &response), -EMSGSIZE); /* a bomb */
    CHECK(strstr(response.error, "decoded") != NULL);
    weft_http_response_release(&response);
    weft_http_client_close(client);
    peer_close(&nginx.peer);
}

REAL_TIME_FIBER_TEST(redirects_of_nginx_change_methods_as_they_say)
{
    static const struct {
        const char *path, *method, *after;
    } cases[] = {
        {"/moved", "POST", "GET"},       {"/found", "POST", "GET"}, {"/other", "PUT", "GET"},
        {"/kept", "POST", "POST"},       {"/moved", "PUT", "PUT"},  {"/found", "DELETE", "DELETE"},
        {"/kept-moved", "POST", "POST"},
    };
    struct nginx nginx;
    struct weft_http_response response;
    if (!nginx_open(&nginx))
        return;
    struct weft_http_client *client =
        open_client(&(struct weft_http_client_options){.redirects_max = 5});
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct weft_http_request request = {.url = nginx_url(&nginx, cases[i].path),
                                                  .method = cases[i].method,
                                                  .body = "body",
                                                  .body_len = 4};
        REQUIRE(weft_http_send(client, &request, &response, weft_now() + PEER_PATIENCE) == 0);
        CHECK_EQUAL(response.redirects, 1);
        CHECK(body_is(&response, cases[i].after));
        weft_http_response_release(&response);
    }
    CHECK_EQUAL(get(client, nginx_url(&nginx, "/round"), &response), -ELOOP);
    weft_http_response_release(&response);
    weft_http_client_close(client);
    peer_close(&nginx.peer);
}

REAL_TIME_FIBER_TEST(cookies_of_nginx_come_back)
{
    struct nginx nginx;
    struct weft_http_response response;
    if (!nginx_open(&nginx))
        return;
    for (int keeps = 0; keeps < 2; keeps++) {
        struct weft_http_client *client =
            open_client(&(struct weft_http_client_options){.redirects_max = 5, .cookies = keeps});
        REQUIRE(get(client, nginx_url(&nginx, "/set"), &response) == 0);
        CHECK(body_is(&response, keeps ? "a=1" : ""));
        weft_http_response_release(&response);
        weft_http_client_close(client);
    }
    peer_close(&nginx.peer);
}

struct many {
    struct weft_http_client *client;
    char url[64];
    unsigned responses, version_2;
};

static int get_some(void *arg)
{
    struct many *many = arg;
    for (int i = 0; i < 20; i++) {
        struct weft_http_response response;
        int err = get(many->client, many->url, &response);
        if (err < 0)
            test_note("%d %s", err, response.error);
        many->responses += err == 0 && response.body_len == 100;
        many->version_2 += response.http_version == 20;
        weft_http_response_release(&response);
    }
    return 0;
}

/* After 30 requests nginx ends a connection, and takes no more than 20 at once on one. */
REAL_TIME_FIBER_TEST(connections_of_http_2_that_nginx_ends_lose_nothing)
{
    struct nginx nginx;
    struct weft_group group;
    if (!nginx_open(&nginx))
        return;
    struct many many = {
        .client = open_client(&(struct weft_http_client_options){
            .http2 = WEFT_HTTP2_TLS, .ca_file = authority, .host_connections_max = 5})};
    (void)snprintf(many.url, sizeof many.url, "https://127.0.0.1:%u/small", nginx.tls_port);
    REQUIRE(weft_group_init(&group, NULL) == 0);
    for (int i = 0; i < 50; i++)
        REQUIRE(weft_spawn(&group, get_some, &many) == 0);
    CHECK_EQUAL(weft_group_wait(&group), 0);
    CHECK_EQUAL(many.responses, 1000);
    CHECK_EQUAL(many.version_2, 1000);
    CHECK(stats_of(many.client).connections >= 30);
    CHECK(stats_of(many.client).connections_now <= 5);
    weft_http_client_close(many.client);
    peer_close(&nginx.peer);
}
