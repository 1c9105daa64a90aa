/* SPDX-License-Identifier: MIT
 * http_client_times.c - how long each part may take and did take, how long connections and
 * addresses are used. */
#include "client.h"
#include "origin.h"
#include "test.h"

#include <runtime/resolve.h>
#include <runtime/worker.h>

#include <weft/io.h>
#include <weft/net.h>

#include <errno.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- limits of each part ------------------------------------------------------------------- */

/* A request that fails by the clock after so long, in that phase. */
static void times_out(const struct weft_http_client_options *options, const char *url,
                      int64_t after_ns, enum weft_http_phase phase, const char *why)
{
    struct weft_http_response response;
    struct weft_http_client *client = open_client(options);
    int64_t begun_ns = weft_now();
    CHECK_EQUAL(get(client, url, &response), -ETIMEDOUT);
    CHECK_EQUAL(weft_now() - begun_ns, after_ns);
    CHECK_EQUAL(response.phase, phase);
    CHECK(strstr(response.error, why) != NULL);
    CHECK_EQUAL(stats_of(client).requests_now, 0);
    CHECK_EQUAL(stats_of(client).connections_now, 0);
    weft_http_response_release(&response);
    weft_http_client_close(client);
}

FIBER_TEST(tls_may_have_a_time_of_its_own)
{
    struct origin origin;
    char url[64];
    origin_open(&origin, origin_keep_silent);
    (void)snprintf(url, sizeof url, "https://127.0.0.1:%u/", origin.port);
    times_out(&(struct weft_http_client_options){.tls_timeout_ns = 3 * WEFT_SEC}, url, 3 * WEFT_SEC,
              WEFT_HTTP_AT_TLS, "no TLS in time");
    times_out(&(struct weft_http_client_options){.tls_timeout_ns = 30 * WEFT_SEC}, url,
              10 * WEFT_SEC, WEFT_HTTP_AT_TLS, "no connection in time");
    origin_close(&origin);
}

FIBER_TEST(the_first_byte_may_have_a_time_of_its_own)
{
    struct origin origin;
    origin_open(&origin, origin_keep_silent);
    times_out(&(struct weft_http_client_options){.first_byte_timeout_ns = 3 * WEFT_SEC},
              origin_url(origin.port, "/"), 3 * WEFT_SEC, WEFT_HTTP_AT_FIRST_BYTE,
              "no answer in time");
    origin_close(&origin);
}

/* Half a head, and then nothing; or a head and some of the body, a byte a second for a while. */
static void say_some(struct origin *origin, int fd)
{
    if (!origin_read(origin, fd))
        return;
    origin_say(fd, origin->reply);
    for (int i = 0; i < 4; i++) {
        CHECK_EQUAL(weft_sleep(WEFT_SEC), 0);
        origin_say(fd, "xy");
    }
    (void)weft_sleep(1000 * WEFT_SEC);
}

FIBER_TEST(a_response_that_stalls_is_given_up)
{
    struct origin origin;
    origin_open(&origin, say_some);
    origin.reply = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n";
    times_out(&(struct weft_http_client_options){.stall_timeout_ns = 3500 * WEFT_MSEC,
                                                 .first_byte_timeout_ns = WEFT_SEC},
              origin_url(origin.port, "/"), 8 * WEFT_SEC, WEFT_HTTP_AT_BODY, "too little");
    origin_close(&origin);
}

FIBER_TEST(a_response_that_drips_is_given_up)
{
    struct origin origin;
    origin_open(&origin, say_some);
    origin.reply = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n";
    times_out(
        &(struct weft_http_client_options){.stall_timeout_ns = 2 * WEFT_SEC, .stall_bytes = 100},
        origin_url(origin.port, "/"), 4 * WEFT_SEC, WEFT_HTTP_AT_BODY, "too little");
    origin_close(&origin);
}

static int take_slowly(void *context, const void *bytes, size_t len)
{
    (void)context, (void)bytes, (void)len;
    return weft_sleep(20 * WEFT_SEC);
}

static ssize_t give_slowly(void *context, void *bytes, size_t size)
{
    (void)context;
    memset(bytes, 'x', size);
    int err = weft_sleep(20 * WEFT_SEC);
    return err < 0 ? err : 2;
}

FIBER_TEST(the_time_that_the_caller_takes_is_not_counted_as_a_stall)
{
    struct origin origin;
    struct weft_http_response response;
    origin_open(&origin, origin_reflect);
    struct weft_http_client *client = open_client(&(struct weft_http_client_options){
        .stall_timeout_ns = 5 * WEFT_SEC, .first_byte_timeout_ns = 5 * WEFT_SEC});
    const struct weft_http_request request = {.url = origin_url(origin.port, "/"),
                                              .body_len = 2,
                                              .on_read = give_slowly,
                                              .on_body = take_slowly};
    CHECK_EQUAL(weft_http_send(client, &request, &response, weft_now() + PATIENCE), 0);
    weft_http_response_release(&response);
    weft_http_client_close(client);
    origin_close(&origin);
}

FIBER_TEST(a_server_that_takes_no_body_stalls)
{
    enum {
        LEN = 40 << 20 /* more than sockets hold */
    };
    struct origin origin;
    struct weft_http_response response;
    origin_open(&origin, say_some);
    origin.reply = "";
    char *bytes = calloc(1, LEN);
    REQUIRE(bytes);
    struct weft_http_client *client = open_client(&(struct weft_http_client_options){
        .stall_timeout_ns = 2 * WEFT_SEC, .first_byte_timeout_ns = WEFT_SEC});
    int silent =
        weft_tcp_listen("127.0.0.1", 0, NULL); /* the kernel takes some, nobody else does */
    REQUIRE(silent >= 0);
    const struct weft_http_request request = {
        .url = origin_url((uint16_t)weft_tcp_port(silent), "/"), .body = bytes, .body_len = LEN};
    CHECK_EQUAL(weft_http_send(client, &request, &response, weft_now() + PATIENCE), -ETIMEDOUT);
    CHECK_EQUAL(response.phase, WEFT_HTTP_AT_FIRST_BYTE);
    CHECK(strstr(response.error, "too little") != NULL);
    weft_http_response_release(&response);
    weft_http_client_close(client);
    CHECK_EQUAL(weft_close(silent), 0);
    free(bytes);
    origin_close(&origin);
}

FIBER_TEST(times_of_parts_do_not_hurry_those_that_are_quick)
{
    struct server server;
    server_open(&server, (struct weft_http_server_options){0});
    struct weft_http_client *client =
        open_client(&(struct weft_http_client_options){.connect_timeout_ns = WEFT_SEC,
                                                       .name_timeout_ns = WEFT_SEC,
                                                       .tls_timeout_ns = WEFT_SEC,
                                                       .stall_timeout_ns = WEFT_SEC / 10,
                                                       .first_byte_timeout_ns = 2 * WEFT_SEC});
    for (int i = 0; i < 5; i++)
        CHECK_EQUAL(get_status(client, origin_url(server.port, "/slow")), 200); /* a second each */
    weft_http_client_close(client);
    server_close(&server);
}

struct waiting {
    struct weft_http_client *client;
    const char *url;
    int64_t deadline_ns;
    int err, phase;
    struct weft_http_times times;
};

static int wait_for_it(void *arg)
{
    struct waiting *waiting = arg;
    struct weft_http_response response;
    const struct weft_http_request request = {.url = waiting->url};
    waiting->err = weft_http_send(waiting->client, &request, &response, waiting->deadline_ns);
    waiting->phase = response.phase;
    waiting->times = response.times;
    weft_http_response_release(&response);
    return 0;
}

FIBER_TEST(the_wait_for_a_turn_is_told_apart)
{
    struct server server;
    struct weft_group group;
    struct waiting all[3];
    server_open(&server, (struct weft_http_server_options){0});
    struct weft_http_client *client = open_client(&(struct weft_http_client_options){
        .connections_max = 1, .connect_timeout_ns = WEFT_SEC / 2});
    REQUIRE(weft_group_init(&group, NULL) == 0);
    for (int i = 0; i < 3; i++) {
        all[i] = (struct waiting){.client = client,
                                  .url = origin_url(server.port, "/slow"),
                                  .deadline_ns = weft_now() + (i < 2 ? 100 : 1) * WEFT_SEC};
        REQUIRE(weft_spawn(&group, wait_for_it, &all[i]) == 0);
    }
    CHECK_EQUAL(weft_group_wait(&group), 0);
    CHECK_EQUAL(all[0].times.turn_ns, 0);
    CHECK_EQUAL(all[1].times.turn_ns, WEFT_SEC);
    CHECK_EQUAL(all[1].times.total_ns, 2 * WEFT_SEC);
    CHECK_EQUAL(all[1].phase, WEFT_HTTP_AT_END);
    CHECK_EQUAL(all[2].err, -ETIMEDOUT);
    CHECK_EQUAL(all[2].phase, WEFT_HTTP_AT_TURN);
    CHECK_EQUAL(all[2].times.turn_ns, WEFT_SEC);
    weft_http_client_close(client);
    server_close(&server);
}

/* ---- what took how long ------------------------------------------------------------------- */

static void answer_in_parts(struct origin *origin, int fd)
{
    while (origin_read(origin, fd)) {
        CHECK_EQUAL(weft_sleep(30 * WEFT_MSEC), 0);
        origin_say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab");
        CHECK_EQUAL(weft_sleep(40 * WEFT_MSEC), 0);
        origin_say(fd, "cd");
    }
}

static ssize_t give_two(void *context, void *bytes, size_t size)
{
    unsigned *left = context;
    memset(bytes, 'x', size);
    int err = weft_sleep(20 * WEFT_MSEC);
    return err < 0 ? err : (*left)-- > 0 ? 2 : 0;
}

REAL_TIME_FIBER_TEST(each_part_of_the_time_is_without_the_others)
{
    struct origin origin;
    struct weft_http_response response;
    origin_open(&origin, answer_in_parts);
    struct weft_http_client *client = open_client(NULL);
    for (int i = 0; i < 3; i++) {
        unsigned pieces = 2;
        struct weft_http_request request = {.url = origin_url(origin.port, "/")};
        request.body = i == 1 ? "body" : NULL;
        request.body_len = i > 0 ? 4 : 0;
        request.on_read = i == 2 ? give_two : NULL;
        request.on_read_context = &pieces;
        REQUIRE(weft_http_send(client, &request, &response, weft_now() + PATIENCE) == 0);
        const struct weft_http_times *times = &response.times;
        CHECK(times->first_byte_ns >= 25 * WEFT_MSEC); /* sleeps are never early, nor are clocks */
        CHECK(times->body_ns >= 35 * WEFT_MSEC);
        CHECK(i < 2 ? times->send_ns == 0 : times->send_ns >= 35 * WEFT_MSEC);
        CHECK(times->turn_ns + times->name_ns + times->connect_ns + times->send_ns +
                  times->first_byte_ns + times->body_ns <=
              times->total_ns + 5 * WEFT_MSEC);
        CHECK_EQUAL(times->connect_ns > 0, i == 0);
        weft_http_response_release(&response);
    }
    weft_http_client_close(client);
    origin_close(&origin);
}

/* ---- connections -------------------------------------------------------------------------- */

FIBER_TEST(every_request_may_have_a_connection_of_its_own)
{
    struct origin origin;
    origin_open(&origin, origin_reflect);
    struct weft_http_client *client =
        open_client(&(struct weft_http_client_options){.no_reuse = 1});
    for (unsigned i = 1; i <= 5; i++) {
        CHECK_EQUAL(get_status(client, origin_url(origin.port, "/")), 200);
        CHECK_EQUAL(origin.accepted, i);
        CHECK_EQUAL(stats_of(client).connections_now, 0);
    }
    CHECK_EQUAL(stats_of(client).reused, 0);
    CHECK_EQUAL(stats_of(client).connections, 5);
    CHECK_EQUAL(stats_of(client).connections_failed, 0);
    weft_http_client_close(client);
    origin_close(&origin);
}

/* libcurl counts whole seconds on a clock of its own: this one takes its time. */
REAL_TIME_FIBER_TEST(a_connection_that_lives_for_too_long_is_replaced)
{
    struct origin origin;
    origin_open(&origin, origin_reflect);
    struct weft_http_client *client =
        open_client(&(struct weft_http_client_options){.lifetime_ns = WEFT_SEC});
    int64_t begun_ns = weft_now();
    CHECK_EQUAL(get_status(client, origin_url(origin.port, "/")), 200);
    CHECK_EQUAL(get_status(client, origin_url(origin.port, "/")), 200);
    while (weft_now() - begun_ns < 2500 * WEFT_MSEC) { /* never idle for long */
        CHECK_EQUAL(weft_sleep(300 * WEFT_MSEC), 0);
        CHECK_EQUAL(get_status(client, origin_url(origin.port, "/")), 200);
    }
    CHECK(origin.accepted >= 2);
    weft_http_client_close(client);
    origin_close(&origin);
}

FIBER_TEST(connections_that_are_not_made_are_counted)
{
    int listener = weft_tcp_listen("127.0.0.1", 0, NULL);
    REQUIRE(listener >= 0);
    uint16_t port = (uint16_t)weft_tcp_port(listener);
    CHECK_EQUAL(weft_close(listener), 0);
    struct weft_http_client *client = open_client(NULL);
    struct weft_http_response response;
    CHECK_EQUAL(get(client, origin_url(port, "/"), &response), -ECONNREFUSED);
    CHECK_EQUAL(response.phase, WEFT_HTTP_AT_CONNECT);
    weft_http_response_release(&response);
    CHECK_EQUAL(stats_of(client).connections_failed, 1);
    weft_http_client_close(client);
}

/* ---- names -------------------------------------------------------------------------------- */

/* A name service of our own. Names that begin with "slow" wait for the gate. */
static struct {
    atomic_int asked, at_once, most;
    sem_t gate;
    const char *address;
} service;

static void serve_name(const char *host, struct weft_answer *ret_answer)
{
    atomic_fetch_add(&service.asked, 1);
    int now = atomic_fetch_add(&service.at_once, 1) + 1;
    if (now > atomic_load(&service.most))
        atomic_store(&service.most, now);
    while (strncmp(host, "slow", 4) == 0 && sem_wait(&service.gate) < 0)
        ;
    *ret_answer = (struct weft_answer){.count = 1};
    if (strncmp(host, "missing", 7) == 0)
        *ret_answer = (struct weft_answer){.result = -EADDRNOTAVAIL};
    else
        (void)weft_address_parse(service.address, 0, &ret_answer->addresses[0]);
    atomic_fetch_sub(&service.at_once, 1);
}

static void use_own_service(void)
{
    atomic_store(&service.asked, 0);
    atomic_store(&service.at_once, 0);
    atomic_store(&service.most, 0);
    service.address = "127.0.0.1";
    REQUIRE(sem_init(&service.gate, 0, 0) == 0);
    weft_current_worker->resolver = weft_resolver_open(serve_name);
    REQUIRE(weft_current_worker->resolver);
}

static const char *url_of(const char *host, uint16_t port)
{
    static char url[128];
    (void)snprintf(url, sizeof url, "http://%s:%u/", host, port);
    return url;
}

FIBER_TEST(addresses_are_asked_for_once_a_minute)
{
    struct origin origin;
    use_own_service();
    origin_open(&origin, origin_reflect);
    struct weft_http_client *client =
        open_client(&(struct weft_http_client_options){.no_reuse = 1});
    for (int i = 0; i < 6; i++) { /* for 50 s; libcurl's own memory is of seconds, on its clock */
        CHECK_EQUAL(get_status(client, url_of("a.test", origin.port)), 200);
        CHECK_EQUAL(weft_sleep(10 * WEFT_SEC), 0);
    }
    CHECK_EQUAL(atomic_load(&service.asked), 1);
    CHECK_EQUAL(stats_of(client).names_asked, 1);
    weft_http_client_close(client);
    origin_close(&origin);
}

/* Another port each time: libcurl's own memory is by port. */
FIBER_TEST(addresses_that_are_old_are_asked_for_again)
{
    struct origin origins[4];
    use_own_service();
    struct weft_http_client *client =
        open_client(&(struct weft_http_client_options){.names_kept_ns = 20 * WEFT_SEC});
    for (int i = 0; i < 4; i++) {
        origin_open(&origins[i], origin_reflect);
        CHECK_EQUAL(get_status(client, url_of("a.test", origins[i].port)), 200);
        CHECK_EQUAL(atomic_load(&service.asked), 1 + i / 2);
        CHECK_EQUAL(weft_sleep(10 * WEFT_SEC), 0);
    }
    CHECK_EQUAL(stats_of(client).names_asked, 2);
    CHECK_EQUAL(stats_of(client).names_reused, 2);
    weft_http_client_close(client);
    for (int i = 0; i < 4; i++)
        origin_close(&origins[i]);
}

FIBER_TEST(an_address_that_could_not_be_reached_is_asked_for_again)
{
    struct origin origin;
    struct weft_http_response response;
    use_own_service();
    origin_open(&origin, origin_reflect);
    service.address = "127.0.0.2"; /* nobody there */
    struct weft_http_client *client = open_client(NULL);
    CHECK_EQUAL(get(client, url_of("a.test", origin.port), &response), -ECONNREFUSED);
    CHECK_EQUAL(response.phase, WEFT_HTTP_AT_CONNECT);
    weft_http_response_release(&response);
    CHECK_EQUAL(atomic_load(&service.asked), 1);
    service.address = "127.0.0.1"; /* it has moved */
    CHECK_EQUAL(weft_sleep(2 * WEFT_SEC), 0);
    struct origin other;
    origin_open(&other, origin_reflect);
    CHECK_EQUAL(get_status(client, url_of("a.test", other.port)), 200);
    CHECK_EQUAL(atomic_load(&service.asked), 2);
    weft_http_client_close(client);
    origin_close(&other);
    origin_close(&origin);
}

/* A look-up is on a thread, and virtual time stands still for it. */
REAL_TIME_FIBER_TEST(a_name_that_is_not_looked_up_in_time_is_given_up)
{
    struct weft_http_response response;
    use_own_service();
    struct weft_http_client *client =
        open_client(&(struct weft_http_client_options){.name_timeout_ns = 20 * WEFT_MSEC});
    int64_t begun_ns = weft_now();
    CHECK_EQUAL(get(client, "http://slow.test/", &response), -ETIMEDOUT);
    CHECK(weft_now() - begun_ns >= 20 * WEFT_MSEC);
    CHECK_EQUAL(response.phase, WEFT_HTTP_AT_NAME);
    CHECK(strstr(response.error, "slow.test") != NULL);
    weft_http_response_release(&response);
    CHECK_EQUAL(stats_of(client).requests_now, 0);
    sem_post(&service.gate);
    weft_http_client_close(client);
}

FIBER_TEST(a_name_that_there_is_not_is_told)
{
    struct weft_http_response response;
    use_own_service();
    struct weft_http_client *client = open_client(NULL);
    CHECK_EQUAL(get(client, "http://missing.test/", &response), -EADDRNOTAVAIL);
    CHECK_EQUAL(response.phase, WEFT_HTTP_AT_NAME);
    CHECK(strcmp(response.error, "missing.test: no such host") == 0);
    weft_http_response_release(&response);
    weft_http_client_close(client);
}

struct looker {
    struct weft_http_client *client;
    uint16_t port;
    unsigned number, good;
};

static int ask_another_host(void *arg)
{
    struct looker *looker = arg;
    char url[64];
    (void)snprintf(url, sizeof url, "http://host%u.test:%u/", looker->number++, looker->port);
    looker->good += get_status(looker->client, url) == 200;
    return 0;
}

/* More than the resolver takes at once. */
FIBER_TEST(a_thousand_names_at_once_are_looked_up_in_turns)
{
    struct origin origin;
    struct weft_group group;
    use_own_service();
    origin_open(&origin, origin_reflect);
    struct looker looker = {.client = open_client(NULL), .port = origin.port};
    REQUIRE(weft_group_init(&group, NULL) == 0);
    for (int i = 0; i < 1000; i++)
        REQUIRE(weft_spawn(&group, ask_another_host, &looker) == 0);
    CHECK_EQUAL(weft_group_wait(&group), 0);
    CHECK_EQUAL(looker.good, 1000);
    CHECK_EQUAL(atomic_load(&service.asked), 1000);
    weft_http_client_close(looker.client);
    origin_close(&origin);
}

static int ask_slow_host(void *arg)
{
    struct looker *looker = arg;
    struct weft_http_response response;
    int err = get(looker->client, "http://slow.test/", &response);
    looker->good += err == -ECANCELED;
    weft_http_response_release(&response);
    return 0;
}

REAL_TIME_FIBER_TEST(who_waits_for_a_look_up_is_cancelled)
{
    struct weft_group group;
    use_own_service();
    struct looker looker = {.client = open_client(NULL)};
    REQUIRE(weft_group_init(&group, NULL) == 0);
    for (int i = 0; i < 100; i++) /* some wait until others have asked */
        REQUIRE(weft_spawn(&group, ask_slow_host, &looker) == 0);
    while (atomic_load(&service.asked) == 0)
        CHECK_EQUAL(weft_sleep(WEFT_MSEC), 0);
    weft_group_close(&group);
    CHECK_EQUAL(looker.good, 100);
    CHECK_EQUAL(stats_of(looker.client).requests_now, 0);
    sem_post(&service.gate);
    weft_http_client_close(looker.client);
}
