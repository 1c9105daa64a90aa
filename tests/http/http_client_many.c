/* SPDX-License-Identifier: MIT
 * http_client_many.c - many requests at once: their limits, their turns, several workers. */
#include "client.h"
#include "descriptors.h"
#include "origin.h"
#include "test.h"

#include <weft/channel.h>
#include <weft/io.h>
#include <weft/net.h>
#include <weft/sync.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct crowd {
    struct weft_http_client *client;
    const char *url;
    unsigned requests; /* that each sends */
    unsigned responses, failures;
    int last_failure;
};

static int send_some(void *arg)
{
    struct crowd *crowd = arg;
    for (unsigned i = 0; i < crowd->requests; i++) {
        int status = get_status(crowd->client, crowd->url);
        crowd->responses += status == 200;
        crowd->failures += status < 0;
        crowd->last_failure = status < 0 ? status : crowd->last_failure;
    }
    return 0;
}

static void send_by_many(struct crowd *crowd, unsigned fibers)
{
    struct weft_group group;
    REQUIRE(weft_group_init(&group, NULL) == 0);
    for (unsigned i = 0; i < fibers; i++)
        REQUIRE(weft_spawn(&group, send_some, crowd) == 0);
    CHECK_EQUAL(weft_group_wait(&group), 0);
}

FIBER_TEST(a_thousand_requests_at_once_are_answered)
{
    struct server server;
    int before = open_descriptors();
    server_open(&server, (struct weft_http_server_options){0});
    struct crowd crowd = {
        .client = open_client(NULL), .url = origin_url(server.port, "/slow"), .requests = 2};
    int64_t begun_ns = weft_now();
    send_by_many(&crowd, 1000);
    CHECK_EQUAL(crowd.responses, 2000);
    CHECK(weft_now() - begun_ns < 4 * WEFT_SEC); /* each takes a second there */
    struct weft_http_client_stats stats = stats_of(crowd.client);
    CHECK_EQUAL(stats.responses, 2000);
    CHECK(stats.connections <= 1000);
    CHECK_EQUAL(stats.reused, 2000 - stats.connections);
    CHECK_EQUAL(stats.waiting_now, 0);
    weft_http_client_close(crowd.client);
    server_close(&server);
    CHECK_EQUAL(open_descriptors(), before);
}

FIBER_TEST(no_more_connections_than_allowed_are_made)
{
    struct origin origin;
    origin_open(&origin, origin_reflect);
    struct crowd crowd = {.client =
                              open_client(&(struct weft_http_client_options){.connections_max = 3}),
                          .url = origin_url(origin.port, "/"),
                          .requests = 20};
    send_by_many(&crowd, 50);
    CHECK_EQUAL(crowd.responses, 1000);
    CHECK_EQUAL(origin.most, 3);
    CHECK_EQUAL(origin.accepted, 3);
    weft_http_client_close(crowd.client);
    origin_close(&origin);
}

FIBER_TEST(idle_connections_make_room_for_other_hosts)
{
    struct origin origins[6];
    unsigned open = 0;
    struct weft_http_client *client =
        open_client(&(struct weft_http_client_options){.connections_max = 3});
    for (int i = 0; i < 6; i++)
        origin_open(&origins[i], origin_reflect);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 6; i++)
            CHECK_EQUAL(get_status(client, origin_url(origins[i].port, "/")), 200);
    }
    CHECK_EQUAL(stats_of(client).connections_now, 3);
    CHECK_EQUAL(weft_sleep(WEFT_MSEC), 0);
    for (int i = 0; i < 6; i++)
        open += origins[i].now;
    CHECK_EQUAL(open, 3);
    weft_http_client_close(client);
    for (int i = 0; i < 6; i++)
        origin_close(&origins[i]);
}

FIBER_TEST(hosts_have_limits_of_their_own_and_turns)
{
    struct server slow;
    struct origin quick;
    server_open(&slow, (struct weft_http_server_options){0});
    origin_open(&quick, origin_reflect);
    struct weft_http_client *client = open_client(
        &(struct weft_http_client_options){.connections_max = 10, .host_connections_max = 2});
    struct crowd to_slow = {.client = client, .url = origin_url(slow.port, "/slow"), .requests = 1};
    struct crowd to_quick = {.client = client, .url = origin_url(quick.port, "/"), .requests = 5};
    struct weft_group group;
    REQUIRE(weft_group_init(&group, NULL) == 0);
    for (int i = 0; i < 20; i++)
        REQUIRE(weft_spawn(&group, send_some, &to_slow) == 0);
    CHECK_EQUAL(weft_sleep(WEFT_MSEC), 0);
    CHECK_EQUAL(stats_of(client).requests_now, 2);
    CHECK_EQUAL(stats_of(client).waiting_now, 18);
    send_by_many(&to_quick, 10);
    CHECK_EQUAL(to_quick.responses, 50);
    CHECK(to_slow.responses < 20);
    CHECK_EQUAL(weft_group_wait(&group), 0);
    CHECK_EQUAL(to_slow.responses, 20);
    CHECK_EQUAL(quick.most, 2);
    CHECK_EQUAL(server_stats(&slow).connections, 2);
    weft_http_client_close(client);
    origin_close(&quick);
    server_close(&slow);
}

FIBER_TEST(too_many_who_wait_are_refused)
{
    struct server server;
    server_open(&server, (struct weft_http_server_options){0});
    struct crowd crowd = {.client = open_client(&(struct weft_http_client_options){
                              .connections_max = 2, .waiting_max = 3}),
                          .url = origin_url(server.port, "/slow"),
                          .requests = 1};
    send_by_many(&crowd, 20);
    CHECK_EQUAL(crowd.responses, 5);
    CHECK_EQUAL(crowd.failures, 15);
    CHECK_EQUAL(crowd.last_failure, WEFT_EFULL);
    CHECK_EQUAL(get_status(crowd.client, origin_url(server.port, "/hello")), 200);
    weft_http_client_close(crowd.client);
    server_close(&server);
}

/* Of those who wait some are cancelled; the others have their turn. */
FIBER_TEST(who_waits_may_give_up)
{
    struct server server;
    struct weft_group group, patient;
    server_open(&server, (struct weft_http_server_options){0});
    struct weft_http_client *client = open_client(
        &(struct weft_http_client_options){.connections_max = 1, .host_connections_max = 1});
    struct crowd stays = {.client = client, .url = origin_url(server.port, "/slow"), .requests = 1};
    struct crowd leaves = stays;
    REQUIRE(weft_group_init(&patient, NULL) == 0);
    REQUIRE(weft_group_init(&group, NULL) == 0);
    for (int i = 0; i < 4; i++) {
        REQUIRE(weft_spawn(&patient, send_some, &stays) == 0);
        REQUIRE(weft_spawn(&group, send_some, &leaves) == 0);
    }
    CHECK_EQUAL(weft_sleep(WEFT_MSEC), 0);
    CHECK_EQUAL(stats_of(client).waiting_now, 7);
    weft_group_close(&group);
    CHECK_EQUAL(leaves.failures, 4);
    CHECK_EQUAL(leaves.last_failure, -ECANCELED);
    CHECK_EQUAL(stats_of(client).waiting_now, 3);
    CHECK_EQUAL(weft_group_wait(&patient), 0);
    CHECK_EQUAL(stays.responses, 4);
    weft_http_client_close(client);
    server_close(&server);
}

FIBER_TEST(one_who_waits_for_its_turn_has_a_deadline)
{
    struct server server;
    struct weft_http_response response;
    struct weft_group group;
    server_open(&server, (struct weft_http_server_options){0});
    struct crowd crowd = {.client =
                              open_client(&(struct weft_http_client_options){.connections_max = 1}),
                          .url = origin_url(server.port, "/slow"),
                          .requests = 1};
    REQUIRE(weft_group_init(&group, NULL) == 0);
    REQUIRE(weft_spawn(&group, send_some, &crowd) == 0);
    CHECK_EQUAL(weft_yield(), 0);
    const struct weft_http_request request = {.url = origin_url(server.port, "/hello")};
    CHECK_EQUAL(weft_http_send(crowd.client, &request, &response, weft_now() + WEFT_SEC / 2),
                -ETIMEDOUT);
    weft_http_response_release(&response);
    CHECK_EQUAL(stats_of(crowd.client).waiting_now, 0);
    CHECK_EQUAL(weft_group_wait(&group), 0);
    CHECK_EQUAL(crowd.responses, 1);
    weft_http_client_close(crowd.client);
    server_close(&server);
}

/* Requests to several hosts, some of which break, each cut off at a moment of its own. */
struct storm {
    struct weft_http_client *client;
    uint16_t ports[3];
    unsigned seed, responses;
};

static int one_of_a_storm(void *arg)
{
    struct storm *storm = arg;
    unsigned state = ++storm->seed * 2654435761u;
    for (int i = 0; i < 10; i++) {
        struct weft_http_response response;
        state = state * 1664525u + 1013904223u;
        char path[32];
        (void)snprintf(path, sizeof path, "/large?bytes=%u", (state >> 8) % 100000);
        const struct weft_http_request request = {.url = origin_url(storm->ports[state % 3], path)};
        int64_t patience_ns = (int64_t)((state >> 16) % 8) * WEFT_MSEC;
        char url[256]; /* of one's own: others want the eight there are */
        (void)snprintf(url, sizeof url, "%s", request.url);
        const struct weft_http_request own = {.url = url};
        int err = weft_http_send(storm->client, &own, &response, weft_now() + patience_ns);
        CHECK(err == 0 || err == -ETIMEDOUT || err == -ECONNRESET || err == -ECONNREFUSED);
        storm->responses += err == 0;
        weft_http_response_release(&response);
    }
    return 0;
}

static void break_now_and_then(struct origin *origin, int fd)
{
    while (origin_read(origin, fd)) {
        if (origin->requests % 3 == 0)
            return;
        origin_say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345");
        if (origin->requests % 3 == 1)
            return;
        origin_say(fd, "67890");
    }
}

FIBER_TEST(a_storm_of_requests_that_are_cut_off_leaves_nothing_behind)
{
    struct server server;
    struct origin origin;
    struct weft_group group;
    int before = open_descriptors();
    server_open(&server, (struct weft_http_server_options){0});
    origin_open(&origin, break_now_and_then);
    struct storm storm = {.client = open_client(&(struct weft_http_client_options){
                              .connections_max = 30, .host_connections_max = 15}),
                          .ports = {server.port, server.port, origin.port}};
    REQUIRE(weft_group_init(&group, NULL) == 0);
    for (int i = 0; i < 100; i++)
        REQUIRE(weft_spawn(&group, one_of_a_storm, &storm) == 0);
    CHECK_EQUAL(weft_group_wait(&group), 0);
    CHECK_EQUAL(stats_of(storm.client).requests_now, 0);
    CHECK_EQUAL(stats_of(storm.client).waiting_now, 0);
    CHECK_EQUAL(get_status(storm.client, origin_url(server.port, "/hello")), 200);
    weft_http_client_close(storm.client);
    origin_close(&origin);
    server_close(&server);
    CHECK_EQUAL(open_descriptors(), before);
}

/* ---- several workers ---------------------------------------------------------------------- */

struct shared {
    struct weft_http_client *client;
    char url[64];
    unsigned responses;
    int closing; /* the client is closed meanwhile */
};

static int send_from_anywhere(void *arg)
{
    struct shared *shared = arg;
    for (int i = 0; i < 100; i++) {
        int status = get_status(shared->client, shared->url);
        CHECK(status == 200);
        __atomic_add_fetch(&shared->responses, status == 200, __ATOMIC_RELAXED);
    }
    return 0;
}

static int share_a_client(void *arg)
{
    struct shared *shared = arg;
    struct server server;
    struct weft_group group;
    server_open(&server, (struct weft_http_server_options){0});
    (void)snprintf(shared->url, sizeof shared->url, "%s", origin_url(server.port, "/hello"));
    shared->client = open_client(NULL);
    REQUIRE(weft_group_init(&group, NULL) == 0);
    for (int i = 0; i < 20; i++) {
        const struct weft_spawn_options options = {.worker = WEFT_WORKER(i % 4)};
        REQUIRE(weft_spawn_with(&group, send_from_anywhere, shared, &options) == 0);
    }
    CHECK_EQUAL(weft_group_wait(&group), 0);
    struct weft_http_client_stats stats = stats_of(shared->client);
    CHECK_EQUAL(stats.responses, 2000);
    CHECK_EQUAL(stats.responses, stats.reused + stats.connections);
    CHECK(stats.connections >= 4 && stats.connections <= 20);
    weft_http_client_close(shared->client);
    server_close(&server);
    return 0;
}

TEST(workers_share_a_client)
{
    struct shared shared = {.responses = 0};
    int before = open_descriptors();
    const struct weft_run_options options = {.workers = 4};
    CHECK_EQUAL(weft_run(&options, share_a_client, &shared), 0);
    CHECK_EQUAL(shared.responses, 2000);
    CHECK_EQUAL(open_descriptors(), before);
}

static int send_until_closed(void *arg)
{
    struct shared *shared = arg;
    struct weft_http_response response;
    int err = get(shared->client, shared->url, &response);
    weft_http_response_release(&response);
    CHECK_EQUAL(err, -ESHUTDOWN);
    return 0;
}

static int close_under_others(void *arg)
{
    struct shared *shared = arg;
    struct server server;
    struct weft_group group;
    server_open(&server, (struct weft_http_server_options){0});
    (void)snprintf(shared->url, sizeof shared->url, "%s", origin_url(server.port, "/slow"));
    shared->client = open_client(&(struct weft_http_client_options){.connections_max = 3});
    REQUIRE(weft_group_init(&group, NULL) == 0);
    for (int i = 0; i < 20; i++) {
        const struct weft_spawn_options options = {.worker = WEFT_WORKER(i % 4)};
        REQUIRE(weft_spawn_with(&group, send_until_closed, shared, &options) == 0);
    }
    while (stats_of(shared->client).requests_now < 12 || stats_of(shared->client).waiting_now < 8)
        CHECK_EQUAL(weft_sleep(WEFT_MSEC), 0);
    weft_http_client_close(shared->client);
    CHECK_EQUAL(weft_group_wait(&group), 0);
    server_close(&server);
    return 0;
}

TEST(closing_ends_requests_of_all_workers)
{
    struct shared shared = {.responses = 0};
    int before = open_descriptors();
    const struct weft_run_options options = {.workers = 4};
    CHECK_EQUAL(weft_run(&options, close_under_others, &shared), 0);
    CHECK_EQUAL(open_descriptors(), before);
}
