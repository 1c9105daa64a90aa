/* SPDX-License-Identifier: MIT
 * http_client_trouble.c - servers that are not there, say nothing, too little, or something else.
 */
#include "client.h"
#include "descriptors.h"
#include "origin.h"
#include "test.h"

#include <runtime/worker.h>

#include <weft/io.h>
#include <weft/net.h>

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* A port that nobody listens on. */
static uint16_t free_port(void)
{
    int listener = weft_tcp_listen("127.0.0.1", 0, NULL);
    REQUIRE(listener >= 0);
    uint16_t port = (uint16_t)weft_tcp_port(listener);
    CHECK_EQUAL(weft_close(listener), 0);
    return port;
}

FIBER_TEST(a_connection_that_is_refused_is_told)
{
    struct weft_http_client *client = open_client(NULL);
    struct weft_http_response response;
    for (int i = 0; i < 3; i++) {
        CHECK_EQUAL(get(client, origin_url(free_port(), "/"), &response), -ECONNREFUSED);
        CHECK(strstr(response.error, "127.0.0.1") != NULL);
        CHECK_EQUAL(response.status, 0);
        CHECK(response.body_len == 0 && response.body[0] == '\0');
        weft_http_response_release(&response);
    }
    CHECK_EQUAL(stats_of(client).connections_now, 0);
    CHECK_EQUAL(stats_of(client).responses, 0);
    CHECK_EQUAL(stats_of(client).requests, 3);
    weft_http_client_close(client);
}

FIBER_TEST(a_host_that_does_not_exist_is_told)
{
    struct weft_http_client *client = open_client(NULL);
    struct weft_http_response response;
    int err = get(client, "http://no-such-host.invalid/", &response);
    CHECK(err == -EADDRNOTAVAIL || err == -EAGAIN); /* without any name service */
    CHECK(strstr(response.error, "no-such-host.invalid") != NULL);
    CHECK_EQUAL(stats_of(client).connections, 0);
    weft_http_response_release(&response);
    weft_http_client_close(client);
}

REAL_TIME_FIBER_TEST(a_host_may_have_a_name)
{
    struct origin origin;
    struct weft_http_response response;
    char url[64];
    origin_open(&origin, origin_reflect);
    struct weft_http_client *client = open_client(NULL);
    (void)snprintf(url, sizeof url, "http://localhost:%u/", origin.port);
    for (int i = 0; i < 3; i++) {
        REQUIRE(get(client, url, &response) == 0);
        CHECK_EQUAL(response.times.name_ns > 0, i == 0);
        CHECK(strstr(origin.last, "Host: localhost:") != NULL);
        weft_http_response_release(&response);
    }
    weft_http_client_close(client);
    origin_close(&origin);
}

/* ---- connections that break --------------------------------------------------------------- */

/* Says origin->reply, then breaks the connection so that the client gets a reset. */
static void say_and_reset(struct origin *origin, int fd)
{
    const struct linger at_once = {.l_onoff = 1};
    if (!origin_read(origin, fd))
        return;
    origin_say(fd, origin->reply);
    /* What was said is to arrive before the reset. */
    if (*origin->reply)
        CHECK_EQUAL(weft_sleep(WEFT_MSEC), 0);
    CHECK_EQUAL(setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once), 0);
}

static void say_and_close(struct origin *origin, int fd)
{
    if (origin_read(origin, fd))
        origin_say(fd, origin->reply);
}

FIBER_TEST(a_response_that_breaks_off_is_no_response)
{
    static const char *const replies[] = {
        "",
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
    };
    struct weft_http_client *client = open_client(NULL);
    for (size_t i = 0; i < sizeof replies / sizeof replies[0]; i++) {
        for (int resets = 0; resets < 2; resets++) {
            struct origin origin;
            struct weft_http_response response;
            origin_open(&origin, resets ? say_and_reset : say_and_close);
            origin.reply = replies[i];
            CHECK_EQUAL(get(client, origin_url(origin.port, "/"), &response), -ECONNRESET);
            CHECK(response.error[0]);
            CHECK_EQUAL(origin.accepted, 1);
            weft_http_response_release(&response);
            origin_close(&origin);
        }
    }
    CHECK_EQUAL(stats_of(client).connections_now, 0);
    weft_http_client_close(client);
}

FIBER_TEST(what_is_not_http_is_told)
{
    static const char *const replies[] = {
        "SSH-2.0-OpenSSH_9.2\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\nhello\r\n",
        "HTTP/9.9 200 OK\r\n\r\n",
    };
    struct weft_http_client *client = open_client(NULL);
    for (size_t i = 0; i < sizeof replies / sizeof replies[0]; i++) {
        struct origin origin;
        struct weft_http_response response;
        origin_open(&origin, origin_say_reply);
        origin.reply = replies[i];
        int err = get(client, origin_url(origin.port, "/"), &response);
        CHECK(err == -EPROTO || err == -EPROTONOSUPPORT);
        if (err != -EPROTO && err != -EPROTONOSUPPORT)
            test_note("%zu: %d %s", i, err, response.error);
        weft_http_response_release(&response);
        origin_close(&origin);
    }
    weft_http_client_close(client);
}

FIBER_TEST(after_trouble_the_client_goes_on)
{
    struct origin origin;
    struct server server;
    server_open(&server, (struct weft_http_server_options){0});
    origin_open(&origin, say_and_reset);
    origin.reply = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345";
    struct weft_http_client *client = open_client(NULL);
    for (int i = 0; i < 10; i++) {
        CHECK_EQUAL(get_status(client, origin_url(origin.port, "/")), -ECONNRESET);
        CHECK_EQUAL(get_status(client, origin_url(server.port, "/hello")), 200);
    }
    weft_http_client_close(client);
    origin_close(&origin);
    server_close(&server);
}

/* As io_uring does when it ends a poll by itself. */
static void lose_all_watchers(void)
{
    struct weft_worker *worker = weft_current_worker;
    for (int fd = 0; fd < 1024; fd++) {
        if (!weft_fd_watcher_of(worker, fd))
            continue;
        const struct weft_fd *entry = weft_fd_entry(&worker->fds, fd);
        const struct weft_ready lost = {
            .fd = fd, .generation = entry->generation, .events = WEFT_READY_LOST};
        worker->poller_ops->unwatch(worker->poller, fd, entry->generation);
        weft_fd_event(&worker->fds, &lost);
    }
}

static void lose_and_say(struct origin *origin, int fd)
{
    while (origin_read(origin, fd)) {
        lose_all_watchers();
        CHECK_EQUAL(weft_sleep(WEFT_MSEC), 0);
        origin_say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345");
        CHECK_EQUAL(weft_sleep(WEFT_MSEC), 0);
        lose_all_watchers();
        origin_say(fd, "67890");
        CHECK_EQUAL(weft_sleep(WEFT_MSEC), 0);
        lose_all_watchers(); /* nobody waits: it is watched again with the next request */
    }
}

FIBER_TEST(a_reactor_that_stops_watching_is_asked_again)
{
    struct origin origin;
    struct weft_http_response response;
    origin_open(&origin, lose_and_say);
    struct weft_http_client *client = open_client(NULL);
    for (int i = 0; i < 5; i++) {
        REQUIRE(get(client, origin_url(origin.port, "/"), &response) == 0);
        CHECK(body_is(&response, "1234567890"));
        weft_http_response_release(&response);
        CHECK_EQUAL(weft_sleep(10 * WEFT_MSEC), 0);
    }
    CHECK_EQUAL(origin.accepted, 1);
    weft_http_client_close(client);
    origin_close(&origin);
}

/* ---- time --------------------------------------------------------------------------------- */

static int get_until(struct weft_http_client *client, const char *url, int64_t deadline_ns,
                     struct weft_http_response *response)
{
    const struct weft_http_request request = {.url = url};
    return weft_http_send(client, &request, response, deadline_ns);
}

FIBER_TEST(a_response_that_does_not_come_in_time_is_given_up)
{
    struct origin origin;
    struct weft_http_response response;
    origin_open(&origin, origin_keep_silent);
    struct weft_http_client *client = open_client(NULL);
    int64_t deadline_ns = weft_now() + 5 * WEFT_SEC;
    CHECK_EQUAL(get_until(client, origin_url(origin.port, "/"), deadline_ns, &response),
                -ETIMEDOUT);
    CHECK(weft_now() >= deadline_ns);
    CHECK(response.error[0]);
    CHECK_EQUAL(stats_of(client).connections_now, 0);
    weft_http_response_release(&response);
    CHECK_EQUAL(get_until(client, origin_url(origin.port, "/"), weft_now(), &response), -ETIMEDOUT);
    weft_http_response_release(&response);
    weft_http_client_close(client);
    origin_close(&origin);
}

FIBER_TEST(the_options_limit_every_request)
{
    struct origin origin;
    struct weft_http_response response;
    origin_open(&origin, origin_keep_silent);
    struct weft_http_client *client =
        open_client(&(struct weft_http_client_options){.total_timeout_ns = 3 * WEFT_SEC});
    int64_t begun_ns = weft_now();
    CHECK_EQUAL(get_until(client, origin_url(origin.port, "/"), WEFT_FOREVER, &response),
                -ETIMEDOUT);
    CHECK_EQUAL(weft_now() - begun_ns, 3 * WEFT_SEC);
    CHECK_EQUAL(response.times.total_ns, 3 * WEFT_SEC);
    weft_http_response_release(&response);
    weft_http_client_close(client);
    origin_close(&origin);
}

static void drip(struct origin *origin, int fd)
{
    (void)origin_read(origin, fd);
    origin_say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n");
    while (weft_sleep(WEFT_SEC) == 0)
        origin_say(fd, "x");
}

FIBER_TEST(a_body_that_drips_does_not_outlast_the_deadline)
{
    struct origin origin;
    struct weft_http_response response;
    origin_open(&origin, drip);
    struct weft_http_client *client = open_client(NULL);
    CHECK_EQUAL(
        get_until(client, origin_url(origin.port, "/"), weft_now() + 10 * WEFT_SEC, &response),
        -ETIMEDOUT);
    weft_http_response_release(&response);
    weft_http_client_close(client);
    origin_close(&origin);
}

/* A listener whose queue is full: the kernel drops further requests for a connection. */
struct full_listener {
    int listener, fds[8];
    uint16_t port;
};

static void fill_listener(struct full_listener *full)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    full->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    REQUIRE(full->listener >= 0);
    REQUIRE(bind(full->listener, (struct sockaddr *)&address, sizeof address) == 0);
    REQUIRE(listen(full->listener, 0) == 0);
    REQUIRE(getsockname(full->listener, (struct sockaddr *)&address, &len) == 0);
    full->port = ntohs(address.sin_port);
    for (int i = 0; i < 8; i++) {
        full->fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        REQUIRE(full->fds[i] >= 0);
        (void)connect(full->fds[i], (struct sockaddr *)&address, sizeof address);
    }
}

static void empty_listener(struct full_listener *full)
{
    for (int i = 0; i < 8; i++)
        (void)close(full->fds[i]);
    (void)close(full->listener);
}

FIBER_TEST(a_connection_that_is_not_made_in_time_is_given_up)
{
    struct full_listener full;
    struct weft_http_response response;
    fill_listener(&full);
    struct weft_http_client *client =
        open_client(&(struct weft_http_client_options){.connect_timeout_ns = 2 * WEFT_SEC});
    int64_t begun_ns = weft_now();
    CHECK_EQUAL(get_until(client, origin_url(full.port, "/"), WEFT_FOREVER, &response), -ETIMEDOUT);
    CHECK_EQUAL(weft_now() - begun_ns, 2 * WEFT_SEC);
    CHECK(strcmp(response.error, "no connection in time") == 0);
    CHECK_EQUAL(stats_of(client).connections, 1);
    CHECK_EQUAL(stats_of(client).connections_now, 0);
    weft_http_response_release(&response);
    weft_http_client_close(client);
    empty_listener(&full);
}

FIBER_TEST(the_time_to_connect_includes_tls)
{
    struct origin origin;
    struct weft_http_response response;
    char url[64];
    origin_open(&origin, origin_keep_silent);
    struct weft_http_client *client =
        open_client(&(struct weft_http_client_options){.connect_timeout_ns = 2 * WEFT_SEC});
    (void)snprintf(url, sizeof url, "https://127.0.0.1:%u/", origin.port);
    CHECK_EQUAL(get_until(client, url, WEFT_FOREVER, &response), -ETIMEDOUT);
    CHECK(strcmp(response.error, "no connection in time") == 0);
    weft_http_response_release(&response);
    weft_http_client_close(client);
    origin_close(&origin);
}

FIBER_TEST(the_time_to_connect_does_not_limit_the_response)
{
    struct server server;
    server_open(&server, (struct weft_http_server_options){0});
    struct weft_http_client *client =
        open_client(&(struct weft_http_client_options){.connect_timeout_ns = WEFT_MSEC});
    CHECK_EQUAL(get_status(client, origin_url(server.port, "/slow")), 200);
    weft_http_client_close(client);
    server_close(&server);
}

/* ---- cancellation ------------------------------------------------------------------------- */

struct attempt {
    struct weft_http_client *client;
    const char *url;
    int err;
};

static int attempt(void *arg)
{
    struct attempt *attempt = arg;
    struct weft_http_response response;
    attempt->err = get(attempt->client, attempt->url, &response);
    CHECK(attempt->err == 0 || response.error[0]);
    weft_http_response_release(&response);
    return 0;
}

/* Cancels a request after so long. Returns its result. */
static int cancel_after(struct weft_http_client *client, const char *url, int64_t duration_ns)
{
    struct attempt one = {.client = client, .url = url};
    struct weft_group group;
    REQUIRE(weft_group_init(&group, NULL) == 0);
    REQUIRE(weft_spawn(&group, attempt, &one) == 0);
    if (duration_ns > 0)
        CHECK_EQUAL(weft_sleep(duration_ns), 0);
    weft_group_close(&group);
    return one.err;
}

FIBER_TEST(a_cancelled_request_ends_at_once_and_closes_its_connection)
{
    struct origin origin;
    struct full_listener full;
    int before = open_descriptors();
    origin_open(&origin, origin_keep_silent);
    fill_listener(&full);
    struct weft_http_client *client = open_client(NULL);
    int64_t begun_ns = weft_now();
    CHECK_EQUAL(cancel_after(client, origin_url(origin.port, "/"), 0), -ECANCELED);
    CHECK_EQUAL(origin.accepted, 0);
    CHECK_EQUAL(cancel_after(client, origin_url(origin.port, "/"), WEFT_SEC), -ECANCELED);
    CHECK_EQUAL(origin.accepted, 1);
    CHECK_EQUAL(cancel_after(client, origin_url(full.port, "/"), WEFT_SEC), -ECANCELED);
    CHECK_EQUAL(weft_now() - begun_ns, 2 * WEFT_SEC);
    CHECK_EQUAL(stats_of(client).requests_now, 0);
    CHECK_EQUAL(stats_of(client).connections_now, 0);
    weft_http_client_close(client);
    empty_listener(&full);
    origin_close(&origin);
    CHECK_EQUAL(open_descriptors(), before);
}

FIBER_TEST(a_request_cancelled_before_it_begins_is_not_sent)
{
    struct origin origin;
    struct weft_http_response response;
    struct weft_scope scope;
    origin_open(&origin, origin_reflect);
    struct weft_http_client *client = open_client(NULL);
    weft_scope_enter(&scope, WEFT_FOREVER, 0);
    weft_scope_cancel(&scope, 0);
    CHECK_EQUAL(get(client, origin_url(origin.port, "/"), &response), -ECANCELED);
    CHECK_EQUAL(weft_scope_leave(&scope, 0), 0);
    weft_http_response_release(&response);
    CHECK_EQUAL(origin.accepted, 0);
    weft_http_client_close(client);
    origin_close(&origin);
}

/* A name that is being looked up: the thread that does may take its time. */
FIBER_TEST(a_request_is_cancelled_while_its_name_is_looked_up)
{
    struct weft_http_client *client = open_client(NULL);
    int err = cancel_after(client, "http://no-such-host-either.invalid/", 0);
    CHECK(err == -ECANCELED || err == -EADDRNOTAVAIL || err == -EAGAIN);
    CHECK_EQUAL(stats_of(client).requests_now, 0);
    weft_http_client_close(client);
}

/* Whatever the moment: it has happened or it has not, and nothing is left behind. */
struct journey {
    uint16_t port;
    int err, statuses[3];
};

static int travel(void *arg)
{
    struct journey *journey = arg;
    struct weft_http_client *client;
    journey->err = weft_http_client_open(&client, NULL);
    if (journey->err < 0)
        return 0;
    char url[64];
    (void)snprintf(url, sizeof url, "http://localhost:%u/hello", journey->port);
    journey->statuses[0] = get_status(client, origin_url(journey->port, "/hello"));
    journey->statuses[1] = get_status(client, url);
    journey->statuses[2] = get_status(client, origin_url(journey->port, "/hello"));
    weft_http_client_close(client);
    return 0;
}

static int serve_and_travel(void *arg)
{
    struct journey *journey = arg;
    struct origin origin;
    origin_open(&origin, origin_reflect);
    journey->port = origin.port;
    int err = travel(journey);
    weft_group_close(&origin.group);
    (void)weft_close(origin.listener);
    return err;
}

TEST(cancelled_at_any_wait_nothing_is_left_behind)
{
    uint64_t waits = 1;
    int before = open_descriptors();
    for (uint64_t at = 1; at <= waits && at < 500; at++) {
        struct journey journey = {.err = 0};
        const struct weft_run_options options = {
            .clock = WEFT_CLOCK_VIRTUAL, .cancel_at = at, .ret_waits = &waits};
        int err = weft_run(&options, serve_and_travel, &journey);
        CHECK(err == 0 || err == -ECANCELED);
        for (int i = 0; i < 3; i++)
            CHECK(journey.statuses[i] == 200 || journey.statuses[i] == -ECANCELED ||
                  journey.statuses[i] == 0);
        CHECK_EQUAL(open_descriptors(), before);
    }
    CHECK(waits > 10);
}

/* ---- close -------------------------------------------------------------------------------- */

FIBER_TEST(closing_ends_what_is_under_way_and_what_waits)
{
    enum {
        COUNT = 20
    };
    struct attempt all[COUNT];
    struct origin origin;
    struct weft_group group;
    int before = open_descriptors();
    origin_open(&origin, origin_keep_silent);
    struct weft_http_client *client =
        open_client(&(struct weft_http_client_options){.connections_max = 5});
    REQUIRE(weft_group_init(&group, NULL) == 0);
    for (int i = 0; i < COUNT; i++) {
        all[i] = (struct attempt){.client = client, .url = origin_url(origin.port, "/")};
        REQUIRE(weft_spawn(&group, attempt, &all[i]) == 0);
    }
    CHECK_EQUAL(weft_sleep(WEFT_SEC), 0);
    CHECK_EQUAL(stats_of(client).requests_now, 5);
    CHECK_EQUAL(stats_of(client).waiting_now, COUNT - 5);
    weft_http_client_close(client);
    CHECK_EQUAL(weft_group_wait(&group), 0);
    for (int i = 0; i < COUNT; i++)
        CHECK_EQUAL(all[i].err, -ESHUTDOWN);
    origin_close(&origin);
    CHECK_EQUAL(open_descriptors(), before);
}

FIBER_TEST(closing_right_after_a_request_has_begun_ends_it)
{
    struct origin origin;
    struct weft_group group;
    struct attempt one;
    origin_open(&origin, origin_reflect);
    one = (struct attempt){.client = open_client(NULL), .url = origin_url(origin.port, "/")};
    REQUIRE(weft_group_init(&group, NULL) == 0);
    REQUIRE(weft_spawn(&group, attempt, &one) == 0);
    CHECK_EQUAL(weft_yield(), 0);
    weft_http_client_close(one.client);
    CHECK_EQUAL(weft_group_wait(&group), 0);
    CHECK_EQUAL(one.err, -ESHUTDOWN);
    origin_close(&origin);
}
