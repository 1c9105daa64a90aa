/* SPDX-License-Identifier: MIT
 * http_client_http2.c - HTTP/2 with and without TLS, against Node's server and nghttpd: how many
 * requests share how many connections, and what a connection's end does to them. */
#include "descriptors.h"
#include "origin.h"
#include "peer.h"
#include "test.h"

#include <weft/io.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Says its port. "/hold/N" is answered when N requests are there at once; "/N" with N bytes;
 * "/echo" with the request's body; "/last" ends the connection; every answer says how many
 * connections there have been. Arguments: streams of a connection; streams after which it ends, 0:
 * none; a certificate and a key: with TLS. */
static const char node_server[] =
    "const fs = require('fs'), http2 = require('http2');\n"
    "const [most, last, cert, key] = process.argv.slice(1);\n"
    "let sessions = 0, held = [];\n"
    "process.on('uncaughtException', () => 0);\n"
    "function answer(request, response) {\n"
    "  const path = request.url, session = request.stream.session || {};\n"
    "  response.setHeader('x-sessions', sessions);\n"
    "  session.count = (session.count || 0) + 1;\n"
    "  if (+last && session.count == +last && session.close) session.close();\n"
    "  if (path.startsWith('/hold/')) {\n"
    "    held.push(response);\n"
    "    if (held.length < +path.substring(6)) return;\n"
    "    for (const one of held) one.end('held');\n"
    "    held = [];\n"
    "  } else if (path == '/slow') {\n"
    "  } else if (path == '/count') {\n"
    "    let count = 0;\n"
    "    request.on('data', (data) => count += data.length);\n"
    "    request.on('end', () => response.end('' + count));\n"
    "  } else if (path == '/echo') request.pipe(response);\n"
    "  else if (path == '/late') setTimeout(() => response.end('late'), 20);\n"
    "  else response.end(Buffer.alloc(+path.substring(1), 'x'));\n"
    "}\n"
    "const options = {settings: {maxConcurrentStreams: +most}};\n"
    "if (cert) Object.assign(options, {cert: fs.readFileSync(cert), key: fs.readFileSync(key)});\n"
    "const server = cert ? http2.createSecureServer(options, answer)\n"
    "                    : http2.createServer(options, answer);\n"
    "server.on('session', () => sessions++);\n"
    "server.on('sessionError', () => 0);\n"
    "server.listen(0, '127.0.0.1', 4096, () => console.log(server.address().port));\n";

static bool node_open(struct peer *peer, const char *streams, const char *last, bool tls)
{
    if (tls && !certificates_are_made())
        return false;
    const char *const command[] = {
        "node", "-e", node_server, streams, last, tls ? certificate : "", tls ? key : "", NULL};
    return peer_open(peer, command);
}

static const char *url_at(const struct peer *peer, bool tls, const char *path)
{
    static char urls[4][128];
    static unsigned next;
    char *url = urls[next++ % 4];
    (void)snprintf(url, sizeof urls[0], "http%s://127.0.0.1:%u%s", tls ? "s" : "", peer->port,
                   path);
    return url;
}

static struct weft_http_client_options sharing(unsigned connections, bool tls)
{
    return (struct weft_http_client_options){.http2 = tls ? WEFT_HTTP2_TLS : WEFT_HTTP2_ALL,
                                             .ca_file = tls ? authority : NULL,
                                             .host_connections_max = connections};
}

struct many {
    struct weft_http_client *client;
    const char *url;
    unsigned responses, version_2, sessions;
    int err;
};

static int get_one(void *arg)
{
    struct many *many = arg;
    struct weft_http_response response;
    int err = get(many->client, many->url, &response);
    if (err < 0 && err != -ECANCELED)
        test_note("%d %s", err, response.error);
    many->err = err < 0 ? err : many->err;
    many->responses += err == 0 && response.status == 200;
    many->version_2 += err == 0 && response.http_version == 20;
    const char *sessions = weft_http_response_field(&response, "x-sessions");
    unsigned number = sessions ? (unsigned)atoi(sessions) : 0;
    many->sessions = number > many->sessions ? number : many->sessions;
    weft_http_response_release(&response);
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

/* ---- how many share how many --------------------------------------------------------------- */

/* Nobody is answered before all are there: none may wait for another's end. */
REAL_TIME_FIBER_TEST(a_thousand_requests_are_under_way_on_ten_connections)
{
    struct peer peer;
    if (!node_open(&peer, "100", "0", false))
        return;
    struct weft_http_client_options options = sharing(10, false);
    struct many many = {.client = open_client(&options), .url = url_at(&peer, false, "/hold/1000")};
    for (unsigned round = 1; round <= 2; round++) {
        get_many(&many, 1000);
        CHECK_EQUAL(many.responses, 1000 * round);
        CHECK_EQUAL(many.version_2, 1000 * round);
        CHECK_EQUAL(many.sessions, 10);
    }
    CHECK_EQUAL(stats_of(many.client).connections, 10);
    CHECK_EQUAL(stats_of(many.client).reused, 1990);
    weft_http_client_close(many.client);
    peer_close(&peer);
}

REAL_TIME_FIBER_TEST(what_a_server_speaks_is_found_out_and_then_shared)
{
    struct peer peer;
    if (!node_open(&peer, "100", "0", true))
        return;
    struct weft_http_client_options options = sharing(3, true);
    struct many many = {.client = open_client(&options), .url = url_at(&peer, true, "/hold/300")};
    get_many(&many, 300);
    CHECK_EQUAL(many.responses, 300);
    CHECK_EQUAL(many.version_2, 300);
    CHECK_EQUAL(many.sessions, 3);
    weft_http_client_close(many.client);
    peer_close(&peer);
}

REAL_TIME_FIBER_TEST(fewer_share_a_connection_where_that_is_wanted)
{
    struct peer peer;
    if (!node_open(&peer, "100", "0", false))
        return;
    struct weft_http_client_options options = sharing(8, false);
    options.streams_max = 5;
    struct many many = {.client = open_client(&options), .url = url_at(&peer, false, "/hold/40")};
    get_many(&many, 40);
    CHECK_EQUAL(many.responses, 40);
    CHECK_EQUAL(many.sessions, 8);
    weft_http_client_close(many.client);
    peer_close(&peer);
}

REAL_TIME_FIBER_TEST(a_server_may_want_few_on_a_connection)
{
    struct peer peer;
    if (!node_open(&peer, "10", "0", false))
        return;
    struct weft_http_client_options options = sharing(6, false);
    struct many many = {.client = open_client(&options), .url = url_at(&peer, false, "/late")};
    get_many(&many, 1); /* its settings have come */
    get_many(&many, 300);
    CHECK_EQUAL(many.responses, 301);
    CHECK(many.sessions > 1);
    CHECK(stats_of(many.client).connections_now <= 6);
    weft_http_client_close(many.client);
    peer_close(&peer);
}

/* ---- where it is not spoken ---------------------------------------------------------------- */

REAL_TIME_FIBER_TEST(without_tls_it_is_only_spoken_to_those_who_are_known_to)
{
    struct origin origin;
    struct weft_http_response response;
    origin_open(&origin, origin_reflect);
    struct weft_http_client *client =
        open_client(&(struct weft_http_client_options){.http2 = WEFT_HTTP2_TLS});
    struct many many = {.client = client, .url = origin_url(origin.port, "/")};
    get_many(&many, 20);
    CHECK_EQUAL(many.responses, 20);
    CHECK_EQUAL(many.version_2, 0);
    CHECK(strstr(origin.last, "Upgrade") == NULL);
    CHECK(origin.most > 1); /* at once, each on its own */
    weft_http_client_close(client);

    client = open_client(&(struct weft_http_client_options){.http2 = WEFT_HTTP2_ALL,
                                                            .total_timeout_ns = WEFT_SEC / 2});
    int err = get(client, origin_url(origin.port, "/"), &response);
    CHECK(err < 0);
    weft_http_response_release(&response);
    weft_http_client_close(client);
    origin_close(&origin);
}

static const char http1_server[] =
    "const fs = require('fs'), https = require('https');\n"
    "const [cert, key] = process.argv.slice(1);\n"
    "let held = [];\n"
    "https.createServer({cert: fs.readFileSync(cert), key: fs.readFileSync(key)},\n"
    "    (request, response) => {\n"
    "  held.push(response);\n"
    "  if (held.length < 6) return;\n"
    "  for (const one of held) one.end('held');\n"
    "  held = [];\n"
    "}).listen(0, '127.0.0.1', function () { console.log(this.address().port); });\n";

REAL_TIME_FIBER_TEST(a_server_without_it_gets_as_many_connections_as_are_allowed)
{
    struct peer peer;
    if (!certificates_are_made())
        return;
    const char *const command[] = {"node", "-e", http1_server, certificate, key, NULL};
    if (!peer_open(&peer, command))
        return;
    struct weft_http_client_options options = sharing(6, true);
    struct many many = {.client = open_client(&options), .url = url_at(&peer, true, "/")};
    /* Only six at once are answered, but for the one that finds out what is spoken. */
    get_many(&many, 60);
    CHECK_EQUAL(many.responses, 60);
    CHECK_EQUAL(many.version_2, 0);
    CHECK_EQUAL(stats_of(many.client).connections, 6);
    weft_http_client_close(many.client);
    peer_close(&peer);
}

REAL_TIME_FIBER_TEST(a_server_that_is_not_there_is_told_to_all)
{
    struct weft_http_client_options options = sharing(5, false);
    struct many many = {.client = open_client(&options)};
    struct peer nobody = {.port = unused_port()};
    many.url = url_at(&nobody, false, "/");
    struct weft_group group;
    REQUIRE(weft_group_init(&group, NULL) == 0);
    for (unsigned i = 0; i < 50; i++)
        REQUIRE(weft_spawn(&group, get_one, &many) == 0);
    CHECK_EQUAL(weft_group_wait(&group), 0);
    CHECK_EQUAL(many.err, -ECONNREFUSED);
    CHECK_EQUAL(many.responses, 0);
    CHECK_EQUAL(stats_of(many.client).requests_now, 0);
    weft_http_client_close(many.client);
}

/* ---- bodies ------------------------------------------------------------------------------- */

struct both {
    uint64_t sent, received;
};

static ssize_t give_both(void *context, void *bytes, size_t size)
{
    struct both *both = context;
    size_t len = 2000000 - both->sent < size ? (size_t)(2000000 - both->sent) : size;
    memset(bytes, 'x', len);
    both->sent += len;
    return weft_yield() < 0 ? -ECANCELED : (ssize_t)len;
}

static int take_both(void *context, const void *bytes, size_t len)
{
    struct both *both = context;
    (void)bytes;
    both->received += len;
    return weft_yield();
}

struct echo {
    struct weft_http_client *client;
    const char *url;
    unsigned good;
};

static int give_some(void *arg)
{
    struct echo *echo = arg;
    struct both both = {0};
    struct weft_http_response response;
    const struct weft_http_request request = {
        .url = echo->url, .on_read = give_both, .on_read_context = &both};
    int err = weft_http_send(echo->client, &request, &response, weft_now() + PEER_PATIENCE);
    bool good = err == 0 && both.sent == 2000000 && strcmp(response.body, "2000000") == 0;
    echo->good += good;
    if (!good)
        test_note("%d %s: %llu given, %s arrived", err, response.error,
                  (unsigned long long)both.sent, response.body);
    weft_http_response_release(&response);
    return 0;
}

static void ten_at_once(int (*one)(void *arg), const char *path)
{
    struct peer peer;
    struct weft_group group;
    if (!node_open(&peer, "100", "0", false))
        return;
    struct weft_http_client_options options = sharing(1, false);
    struct echo echo = {.client = open_client(&options), .url = url_at(&peer, false, path)};
    REQUIRE(weft_group_init(&group, NULL) == 0);
    for (int i = 0; i < 10; i++)
        REQUIRE(weft_spawn(&group, one, &echo) == 0);
    CHECK_EQUAL(weft_group_wait(&group), 0);
    CHECK_EQUAL(echo.good, 10);
    CHECK_EQUAL(stats_of(echo.client).connections, 1);
    weft_http_client_close(echo.client);
    peer_close(&peer);
}

REAL_TIME_FIBER_TEST(bodies_of_many_go_on_a_connection)
{
    ten_at_once(give_some, "/count");
}

static int echo_both(void *arg)
{
    struct echo *echo = arg;
    struct both both = {0};
    struct weft_http_response response;
    const struct weft_http_request request = {.url = echo->url,
                                              .on_read = give_both,
                                              .on_read_context = &both,
                                              .on_body = take_both,
                                              .on_body_context = &both};
    int err = weft_http_send(echo->client, &request, &response, weft_now() + PEER_PATIENCE);
    echo->good += err == 0 && both.sent == 2000000 && both.received == 2000000;
    if (err < 0 || both.sent != 2000000 || both.received != 2000000)
        test_note("%d %s: %llu given, %llu taken, %llu came", err, response.error,
                  (unsigned long long)both.sent, (unsigned long long)both.received,
                  (unsigned long long)response.body_bytes);
    weft_http_response_release(&response);
    return 0;
}

REAL_TIME_FIBER_TEST(a_body_goes_both_ways_at_once)
{
    struct peer peer;
    if (!node_open(&peer, "100", "0", false))
        return;
    struct weft_http_client_options options = sharing(1, false);
    struct echo echo = {.client = open_client(&options), .url = url_at(&peer, false, "/echo")};
    for (int i = 0; i < 3; i++)
        CHECK_EQUAL(echo_both(&echo), 0);
    CHECK_EQUAL(echo.good, 3);
    weft_http_client_close(echo.client);
    peer_close(&peer);
}

/* ---- cancellation ------------------------------------------------------------------------- */

REAL_TIME_FIBER_TEST(a_crowd_is_cancelled_at_any_moment)
{
    struct peer peer;
    int before = open_descriptors();
    if (!node_open(&peer, "100", "0", false))
        return;
    struct weft_http_client_options options = sharing(3, false);
    struct many slow = {.client = open_client(&options), .url = url_at(&peer, false, "/slow")};
    struct many quick = {.client = slow.client, .url = url_at(&peer, false, "/10")};
    for (int moment = 0; moment < 15; moment++) {
        struct weft_group group;
        REQUIRE(weft_group_init(&group, NULL) == 0);
        for (int i = 0; i < 200; i++)
            REQUIRE(weft_spawn(&group, get_one, &slow) == 0);
        if (moment > 0)
            CHECK_EQUAL(weft_sleep(moment * WEFT_MSEC / 2), 0);
        weft_group_close(&group);
        CHECK_EQUAL(slow.err, -ECANCELED);
        CHECK_EQUAL(stats_of(slow.client).requests_now, 0);
        CHECK_EQUAL(stats_of(slow.client).waiting_now, 0);
    }
    get_many(&quick, 200);
    CHECK_EQUAL(quick.responses, 200);
    weft_http_client_close(slow.client);
    peer_close(&peer);
    CHECK_EQUAL(open_descriptors(), before);
}

/* Whoever makes the connection goes; the others do not go with it. */
REAL_TIME_FIBER_TEST(the_one_who_connects_may_be_cancelled)
{
    struct peer peer;
    struct weft_group first;
    if (!node_open(&peer, "100", "0", true))
        return;
    struct weft_http_client_options options = sharing(2, true);
    struct many many = {.client = open_client(&options), .url = url_at(&peer, true, "/10")};
    struct many gone = many;
    for (int i = 0; i < 5; i++) {
        REQUIRE(weft_group_init(&first, NULL) == 0);
        REQUIRE(weft_spawn(&first, get_one, &gone) == 0);
        struct weft_group group;
        REQUIRE(weft_group_init(&group, NULL) == 0);
        for (int j = 0; j < 20; j++)
            REQUIRE(weft_spawn(&group, get_one, &many) == 0);
        for (int j = 0; j < i; j++)
            CHECK_EQUAL(weft_yield(), 0);
        weft_group_close(&first);
        CHECK_EQUAL(weft_group_wait(&group), 0);
        CHECK_EQUAL(many.responses, 20 * (i + 1));
    }
    weft_http_client_close(many.client);
    peer_close(&peer);
}

/* ---- nghttpd ------------------------------------------------------------------------------- */

static bool nghttpd_open(struct peer *peer, bool tls)
{
    char port[8], file[128];
    *peer = (struct peer){.port = unused_port()};
    if (tls && !certificates_are_made())
        return false;
    (void)snprintf(port, sizeof port, "%u", peer->port);
    (void)snprintf(file, sizeof file, "%s/small", test_directory());
    FILE *small = fopen(file, "w");
    REQUIRE(small);
    (void)fputs("small", small);
    REQUIRE(fclose(small) == 0);
    const char *const plain[] = {"nghttpd", "--no-tls",       "-a", "127.0.0.1",
                                 "-d",      test_directory(), port, NULL};
    const char *const secure[] = {"nghttpd", "-a", "127.0.0.1", "-d", test_directory(),
                                  port,      key,  certificate, NULL};
    return peer_open_on_port(peer, tls ? secure : plain);
}

REAL_TIME_FIBER_TEST(nghttpd_is_asked_by_a_thousand_on_few_connections)
{
    for (int tls = 0; tls < 2; tls++) {
        struct peer peer;
        if (!nghttpd_open(&peer, tls))
            return;
        struct weft_http_client_options options = sharing(10, tls);
        struct many many = {.client = open_client(&options), .url = url_at(&peer, tls, "/small")};
        get_many(&many, 1000);
        get_many(&many, 1000);
        CHECK_EQUAL(many.responses, 2000);
        CHECK_EQUAL(many.version_2, 2000);
        CHECK(stats_of(many.client).connections <= 10);
        weft_http_client_close(many.client);
        peer_close(&peer);
    }
}
