/* SPDX-License-Identifier: MIT
 * http_client_tls.c - TLS and HTTP/2, with servers that other people wrote: Python's and Node's. An
 * authority and its certificates are made with openssl. What is not installed is skipped. */
#include "descriptors.h"
#include "origin.h"
#include "peer.h"
#include "test.h"

#include <weft/io.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- programs ----------------------------------------------------------------------------- */

/* Says its port, then answers "hello"; "/cut" breaks off, "/slow" takes its time, "/N" has N bytes.
 */
static const char python_server[] =
    "import http.server, os, socket, ssl, sys, time\n"
    "class Handler(http.server.BaseHTTPRequestHandler):\n"
    "    protocol_version = 'HTTP/1.1'\n"
    "    def log_message(self, *arguments): pass\n"
    "    def do_GET(self):\n"
    "        if self.path == '/slow': time.sleep(600)\n"
    "        name = self.path[1:]\n"
    "        body = b'x' * int(name) if name.isdigit() else b'hello'\n"
    "        self.send_response(200)\n"
    "        self.send_header('Content-Length', str(len(body)))\n"
    "        self.end_headers()\n"
    "        if self.path == '/cut':\n"
    "            self.wfile.write(body[:2])\n"
    "            self.wfile.flush()\n"
    "            os.close(self.connection.detach())\n"
    "            self.close_connection = True\n"
    "            self.wfile = self.rfile = open(os.devnull, 'rb+')\n"
    "        else: self.wfile.write(body)\n"
    "server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)\n"
    "server.daemon_threads = True\n"
    "server.handle_error = lambda *arguments: None\n"
    "context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)\n"
    "context.load_cert_chain(sys.argv[1], sys.argv[2])\n"
    "server.socket = context.wrap_socket(server.socket, server_side=True,\n"
    "                                    do_handshake_on_connect=False)\n"
    "print(server.server_address[1], flush=True)\n"
    "server.serve_forever()\n";

static const char node_server[] =
    "const fs = require('fs'), http2 = require('http2');\n"
    "let sessions = 0;\n"
    "const server = http2.createSecureServer({cert: fs.readFileSync(process.argv[1]),\n"
    "    key: fs.readFileSync(process.argv[2])}, (request, response) => {\n"
    "  const len = parseInt(request.url.substring(1));\n"
    "  response.setHeader('x-sessions', sessions);\n"
    "  if (request.url == '/slow') return;\n"
    "  response.end(len > 0 ? Buffer.alloc(len, 'x') : 'hello');\n"
    "});\n"
    "server.on('session', () => sessions++);\n"
    "server.listen(0, '127.0.0.1', () => console.log(server.address().port));\n";

struct https {
    struct peer peer;
    uint16_t port;
};

/* False: the test is skipped. */
static bool https_open(struct https *https, const char *const *program)
{
    if (!certificates_are_made())
        return false;
    const char *const command[] = {program[0], program[1], program[2], certificate, key, NULL};
    bool open = peer_open(&https->peer, command);
    https->port = https->peer.port;
    return open;
}

static const char *const python[] = {"python3", "-c", python_server};
static const char *const node[] = {"node", "-e", node_server};

static const char *https_url(const struct https *https, const char *host, const char *path)
{
    static char url[128];
    (void)snprintf(url, sizeof url, "https://%s:%u%s", host, https->port, path);
    return url;
}

static const struct weft_http_client_options *trusting(void)
{
    static struct weft_http_client_options options;
    options = (struct weft_http_client_options){.ca_file = authority};
    return &options;
}

/* ---- TLS ---------------------------------------------------------------------------------- */

REAL_TIME_FIBER_TEST(a_server_that_our_authority_knows_is_talked_to)
{
    struct https https;
    struct weft_http_response response;
    if (!https_open(&https, python))
        return;
    struct weft_http_client *client = open_client(trusting());
    for (int i = 0; i < 10; i++) {
        REQUIRE(get(client, https_url(&https, "127.0.0.1", "/"), &response) == 0);
        CHECK_EQUAL(response.status, 200);
        CHECK(body_is(&response, "hello"));
        CHECK_EQUAL(response.connections, i == 0);
        CHECK_EQUAL(response.times.tls_ns > 0, i == 0);
        weft_http_response_release(&response);
    }
    CHECK_EQUAL(stats_of(client).connections, 1);
    weft_http_client_close(client);
    peer_close(&https.peer);
}

REAL_TIME_FIBER_TEST(large_bodies_come_over_tls)
{
    struct https https;
    struct weft_http_response response;
    if (!https_open(&https, python))
        return;
    struct weft_http_client *client = open_client(trusting());
    for (int i = 0; i < 3; i++) {
        REQUIRE(get(client, https_url(&https, "127.0.0.1", "/5000000"), &response) == 0);
        CHECK_EQUAL(response.body_len, 5000000);
        CHECK(response.body_len == strspn(response.body, "x"));
        weft_http_response_release(&response);
    }
    weft_http_client_close(client);
    peer_close(&https.peer);
}

REAL_TIME_FIBER_TEST(a_certificate_that_proves_nothing_is_refused)
{
    struct https https;
    struct weft_http_response response;
    if (!https_open(&https, python))
        return;
    struct weft_http_client *client = open_client(NULL); /* the system's authorities */
    CHECK_EQUAL(get(client, https_url(&https, "127.0.0.1", "/"), &response), -EKEYREJECTED);
    CHECK(strstr(response.error, "certificate") != NULL);
    weft_http_response_release(&response);
    weft_http_client_close(client);

    client = open_client(trusting()); /* the right authority, but of another host */
    CHECK_EQUAL(get(client, https_url(&https, "localhost", "/"), &response), -EKEYREJECTED);
    weft_http_response_release(&response);
    CHECK_EQUAL(get_status(client, https_url(&https, "127.0.0.1", "/")), 200);
    weft_http_client_close(client);

    client = open_client(&(struct weft_http_client_options){.tls_insecure = 1});
    CHECK_EQUAL(get_status(client, https_url(&https, "localhost", "/")), 200);
    weft_http_client_close(client);

    client = open_client(&(struct weft_http_client_options){.ca_file = "/nowhere.pem"});
    CHECK_EQUAL(get_status(client, https_url(&https, "127.0.0.1", "/")), -ENOKEY);
    weft_http_client_close(client);
    peer_close(&https.peer);
}

static void speak_plainly(struct origin *origin, int fd)
{
    char hello[1024];
    (void)origin;
    if (weft_read(fd, hello, sizeof hello, WEFT_FOREVER) > 0)
        origin_say(fd, "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
}

REAL_TIME_FIBER_TEST(a_connection_that_breaks_under_tls_is_told)
{
    struct https https;
    struct origin origin;
    if (!https_open(&https, python))
        return;
    origin_open(&origin, speak_plainly);
    struct weft_http_client *client = open_client(trusting());
    for (int i = 0; i < 3; i++) {
        int err = get_status(client, https_url(&https, "127.0.0.1", "/cut"));
        CHECK(err == -ECONNRESET || err == -EPROTO);
        CHECK_EQUAL(get_status(client, https_url(&https, "127.0.0.1", "/")), 200);
    }
    char url[64];
    (void)snprintf(url, sizeof url, "https://127.0.0.1:%u/", origin.port);
    CHECK_EQUAL(get_status(client, url), -EPROTO);
    weft_http_client_close(client);
    origin_close(&origin);
    peer_close(&https.peer);
}

struct many {
    struct weft_http_client *client;
    const char *url;
    unsigned responses;
    int err;
};

static int get_one(void *arg)
{
    struct many *many = arg;
    int status = get_status(many->client, many->url);
    many->responses += status == 200;
    if (status != 200)
        many->err = status;
    return 0;
}

static void get_many(struct many *many, unsigned count)
{
    struct weft_group group;
    REQUIRE(weft_group_init(&group, NULL) == 0);
    for (unsigned i = 0; i < count; i++)
        REQUIRE(weft_spawn(&group, get_one, many) == 0);
    CHECK_EQUAL(weft_group_wait(&group), 0);
}

REAL_TIME_FIBER_TEST(many_talk_over_tls_at_once)
{
    struct https https;
    int before = open_descriptors();
    if (!https_open(&https, python))
        return;
    struct many many = {.client = open_client(trusting()),
                        .url = https_url(&https, "127.0.0.1", "/20000")};
    get_many(&many, 50);
    CHECK_EQUAL(many.responses, 50);
    weft_http_client_close(many.client);
    peer_close(&https.peer);
    CHECK_EQUAL(open_descriptors(), before);
}

/* Some before, some in, some after the handshake. */
REAL_TIME_FIBER_TEST(requests_over_tls_are_cancelled_at_any_moment)
{
    struct https https;
    int before = open_descriptors();
    if (!https_open(&https, python))
        return;
    struct many many = {.client = open_client(trusting()),
                        .url = https_url(&https, "127.0.0.1", "/slow")};
    for (int moment = 0; moment < 20; moment++) {
        struct weft_group group;
        REQUIRE(weft_group_init(&group, NULL) == 0);
        for (int i = 0; i < 5; i++)
            REQUIRE(weft_spawn(&group, get_one, &many) == 0);
        CHECK_EQUAL(weft_sleep(moment * WEFT_MSEC / 2), 0);
        weft_group_close(&group);
        CHECK_EQUAL(many.err, -ECANCELED);
        CHECK_EQUAL(stats_of(many.client).requests_now, 0);
        CHECK_EQUAL(stats_of(many.client).connections_now, 0);
    }
    weft_http_client_close(many.client);
    peer_close(&https.peer);
    CHECK_EQUAL(open_descriptors(), before);
}

/* ---- HTTP/2 ------------------------------------------------------------------------------- */

REAL_TIME_FIBER_TEST(http_2_is_spoken_when_asked_for)
{
    struct https https;
    struct weft_http_response response;
    if (!https_open(&https, node))
        return;
    struct weft_http_client_options options = *trusting();
    options.http2 = 1;
    struct weft_http_client *client = open_client(&options);
    for (int i = 0; i < 5; i++) {
        REQUIRE(get(client, https_url(&https, "127.0.0.1", i % 2 ? "/3000000" : "/"), &response) ==
                0);
        CHECK_EQUAL(response.http_version, 20);
        CHECK_EQUAL(response.status, 200);
        CHECK_EQUAL(response.body_len, i % 2 ? 3000000 : 5);
        CHECK(field_is(&response, "X-Sessions", "1"));
        weft_http_response_release(&response);
    }
    weft_http_client_close(client);
    peer_close(&https.peer);
}

REAL_TIME_FIBER_TEST(http_2_requests_share_a_connection)
{
    struct https https;
    if (!https_open(&https, node))
        return;
    struct weft_http_client_options options = *trusting();
    options.http2 = 1;
    struct many many = {.client = open_client(&options),
                        .url = https_url(&https, "127.0.0.1", "/50000")};
    for (int i = 0; i < 3; i++)
        get_many(&many, 100);
    CHECK_EQUAL(many.responses, 300);
    CHECK(stats_of(many.client).connections <= 3);
    weft_http_client_close(many.client);
    peer_close(&https.peer);
}

static int count_piece(void *context, const void *bytes, size_t len)
{
    (void)bytes;
    *(size_t *)context += len;
    return weft_yield();
}

REAL_TIME_FIBER_TEST(http_2_bodies_come_in_pieces)
{
    struct https https;
    struct weft_http_response response;
    size_t bytes = 0;
    if (!https_open(&https, node))
        return;
    struct weft_http_client_options options = *trusting();
    options.http2 = 1;
    struct weft_http_client *client = open_client(&options);
    const struct weft_http_request request = {.url = https_url(&https, "127.0.0.1", "/5000000"),
                                              .on_body = count_piece,
                                              .on_body_context = &bytes};
    CHECK_EQUAL(weft_http_send(client, &request, &response, weft_now() + PEER_PATIENCE), 0);
    CHECK_EQUAL(bytes, 5000000);
    weft_http_response_release(&response);
    weft_http_client_close(client);
    peer_close(&https.peer);
}

REAL_TIME_FIBER_TEST(one_cancelled_http_2_request_leaves_the_others_alone)
{
    struct https https;
    struct weft_group group;
    if (!https_open(&https, node))
        return;
    struct weft_http_client_options options = *trusting();
    options.http2 = 1;
    struct many slow = {.client = open_client(&options)}, quick = slow;
    char slow_url[128];
    (void)snprintf(slow_url, sizeof slow_url, "%s", https_url(&https, "127.0.0.1", "/slow"));
    slow.url = slow_url;
    quick.url = https_url(&https, "127.0.0.1", "/100000");
    get_many(&quick, 1);
    for (int i = 0; i < 10; i++) {
        REQUIRE(weft_group_init(&group, NULL) == 0);
        for (int j = 0; j < 5; j++)
            REQUIRE(weft_spawn(&group, get_one, &slow) == 0);
        CHECK_EQUAL(weft_yield(), 0);
        get_many(&quick, 5);
        weft_group_close(&group);
        get_many(&quick, 5);
    }
    CHECK_EQUAL(quick.responses, 101);
    CHECK_EQUAL(slow.err, -ECANCELED);
    CHECK_EQUAL(stats_of(quick.client).requests_now, 0);
    weft_http_client_close(quick.client);
    peer_close(&https.peer);
}
