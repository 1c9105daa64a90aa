/* SPDX-License-Identifier: MIT
 * http_client_core.c - what the client decides without a network: turns, addresses, errors, heads.
 */
#include "test.h"

#include <http/client_internal.h>

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- turns -------------------------------------------------------------------------------- */

static const uint64_t secret[2] = {1, 2};

static void open_queue(struct weft_http_queue *queue, unsigned running_max, unsigned host_max)
{
    const struct weft_http_queue_limits limits = {
        .running_max = running_max, .connections_max = running_max, .host_max = host_max};
    REQUIRE(weft_http_queue_init(queue, &limits, secret) == 0);
}

static void push_to(struct weft_http_queue *queue, struct weft_http_place *place, const char *host,
                    enum weft_http_sharing sharing)
{
    *place = (struct weft_http_place){.host = NULL};
    weft_list_init(&place->link);
    REQUIRE(weft_http_queue_push(queue, place, host, sharing) == 0);
}

static void push(struct weft_http_queue *queue, struct weft_http_place *place, const char *host)
{
    push_to(queue, place, host, WEFT_HTTP_SHARING_UNKNOWN);
}

static void leave(struct weft_http_queue *queue, struct weft_http_place *place)
{
    weft_http_queue_leave(queue, place, false);
}

TEST(without_a_limit_per_host_the_first_comes_first)
{
    struct weft_http_queue queue;
    struct weft_http_place places[5];
    open_queue(&queue, 2, 0);
    CHECK(!weft_http_queue_tells_hosts(&queue));
    for (int i = 0; i < 5; i++)
        push(&queue, &places[i], i % 2 ? "a" : "b");
    CHECK(weft_http_queue_pop(&queue) == &places[0]);
    CHECK(weft_http_queue_has_turn(&queue));
    CHECK(weft_http_queue_pop(&queue) == &places[1]);
    CHECK(!weft_http_queue_has_turn(&queue));
    CHECK(weft_http_queue_pop(&queue) == NULL);
    leave(&queue, &places[1]);
    CHECK(weft_http_queue_pop(&queue) == &places[2]);
    CHECK(weft_http_queue_pop(&queue) == NULL);
    weft_http_queue_withdraw(&queue, &places[3]);
    leave(&queue, &places[0]);
    CHECK(weft_http_queue_pop(&queue) == &places[4]);
    leave(&queue, &places[2]);
    leave(&queue, &places[4]);
    CHECK(weft_http_queue_pop(&queue) == NULL);
    CHECK_EQUAL(queue.running, 0);
    CHECK_EQUAL(queue.held, 0);
    weft_http_queue_deinit(&queue);
}

TEST(hosts_take_turns_and_keep_to_their_limit)
{
    struct weft_http_queue queue;
    struct weft_http_place a[4], b[2], c;
    open_queue(&queue, 10, 2);
    for (int i = 0; i < 4; i++)
        push(&queue, &a[i], "a");
    push(&queue, &b[0], "b");
    push(&queue, &b[1], "b");
    push(&queue, &c, "c");
    CHECK(weft_http_queue_pop(&queue) == &a[0]);
    CHECK(weft_http_queue_pop(&queue) == &b[0]);
    CHECK(weft_http_queue_pop(&queue) == &c);
    CHECK(weft_http_queue_pop(&queue) == &a[1]);
    CHECK(weft_http_queue_pop(&queue) == &b[1]);
    CHECK(weft_http_queue_pop(&queue) == NULL); /* a has two */
    leave(&queue, &b[0]);
    CHECK(weft_http_queue_pop(&queue) == NULL);
    leave(&queue, &a[0]);
    CHECK(weft_http_queue_pop(&queue) == &a[2]);
    weft_http_queue_withdraw(&queue, &a[3]);
    leave(&queue, &a[1]);
    CHECK(weft_http_queue_pop(&queue) == NULL);
    leave(&queue, &a[2]);
    leave(&queue, &b[1]);
    leave(&queue, &c);
    CHECK_EQUAL(queue.idle_len, 3);
    CHECK_EQUAL(queue.held, 0);
    weft_http_queue_deinit(&queue);
}

TEST(a_queue_may_end_with_some_in_it)
{
    enum {
        COUNT = 3000
    };
    static struct weft_http_place places[COUNT];
    struct weft_http_queue queue;
    open_queue(&queue, 2, 1);
    for (int i = 0; i < COUNT; i++) {
        char host[16];
        (void)snprintf(host, sizeof host, "host%d", i);
        push(&queue, &places[i], host);
    }
    CHECK(weft_http_queue_pop(&queue) == &places[0]);
    weft_http_queue_deinit(&queue);
}

TEST(hosts_that_nobody_needs_are_forgotten_when_there_are_many)
{
    struct weft_http_queue queue;
    struct weft_http_place place;
    unsigned kept = 0;
    open_queue(&queue, 2, 1);
    for (unsigned i = 0; i < WEFT_HTTP_HOSTS_KEPT + 100; i++) {
        char host[16];
        (void)snprintf(host, sizeof host, "host%u", i);
        push(&queue, &place, host);
        CHECK(weft_http_queue_pop(&queue) == &place);
        leave(&queue, &place);
    }
    for (size_t i = 0; i < WEFT_HTTP_QUEUE_BUCKETS; i++) {
        for (const struct weft_http_host *host = queue.buckets[i]; host; host = host->next)
            kept++;
    }
    CHECK_EQUAL(kept, WEFT_HTTP_HOSTS_KEPT);
    weft_http_queue_deinit(&queue);
}

/* ---- turns where requests share connections ----------------------------------------------- */

enum {
    CROWD = 1000
};

/* libcurl and a server: what is popped gets a connection, made where it is told to. */
struct crowd {
    struct weft_http_queue queue;
    struct weft_http_place places[CROWD];
    unsigned pushed, running, made;
};

static void open_crowd(struct crowd *crowd, unsigned connections_max, unsigned host_max,
                       unsigned streams_max)
{
    const struct weft_http_queue_limits limits = {.running_max = 10000,
                                                  .connections_max = connections_max,
                                                  .host_max = host_max,
                                                  .streams_max = streams_max};
    *crowd = (struct crowd){.pushed = 0};
    REQUIRE(weft_http_queue_init(&crowd->queue, &limits, secret) == 0);
}

static void push_crowd(struct crowd *crowd, unsigned count, const char *host,
                       enum weft_http_sharing sharing)
{
    while (count-- > 0)
        push_to(&crowd->queue, &crowd->places[crowd->pushed++], host, sharing);
}

/* All that may begin; how many of them make a connection. */
static unsigned pop_all(struct crowd *crowd, unsigned *ret_making)
{
    unsigned count = 0;
    struct weft_http_place *place;
    *ret_making = 0;
    while ((place = weft_http_queue_pop(&crowd->queue))) {
        count++;
        *ret_making += place->opens;
    }
    return count;
}

/* Those that make connections have made them; the others find a place. */
static void place_all(struct crowd *crowd)
{
    for (unsigned i = 0; i < crowd->pushed; i++) {
        struct weft_http_place *place = &crowd->places[i];
        if (!weft_list_empty(&place->link) || place->placed || !place->host)
            continue;
        if (place->opens)
            weft_http_queue_connected(&crowd->queue, place->host);
        crowd->made += place->opens;
        weft_http_queue_placed(&crowd->queue, place);
    }
}

TEST(a_crowd_on_a_host_that_shares_waits_for_nothing_but_its_connections)
{
    static struct crowd crowd;
    unsigned making;
    open_crowd(&crowd, 100, 0, 100);
    push_crowd(&crowd, CROWD, "a", WEFT_HTTP_SHARING_STREAMS);
    CHECK_EQUAL(pop_all(&crowd, &making), 10);
    CHECK_EQUAL(making, 10);
    place_all(&crowd);
    CHECK_EQUAL(pop_all(&crowd, &making), 990);
    CHECK_EQUAL(making, 0);
    place_all(&crowd);
    CHECK_EQUAL(crowd.made, 10);
    CHECK_EQUAL(crowd.queue.held, 10);
    weft_http_queue_deinit(&crowd.queue);
}

TEST(what_a_host_can_do_is_found_out_by_its_second_request)
{
    static struct crowd crowd;
    unsigned making;
    open_crowd(&crowd, 100, 6, 100);
    push_crowd(&crowd, CROWD, "a", WEFT_HTTP_SHARING_UNKNOWN);
    CHECK_EQUAL(pop_all(&crowd, &making), 1);
    CHECK_EQUAL(making, 1);
    place_all(&crowd);
    CHECK_EQUAL(pop_all(&crowd, &making), 1);
    CHECK_EQUAL(making, 0);
    weft_http_queue_placed(&crowd.queue, &crowd.places[1]); /* it shares: HTTP/2 */
    CHECK_EQUAL(pop_all(&crowd, &making), 98 + 5);
    CHECK_EQUAL(making, 5);
    place_all(&crowd);
    CHECK_EQUAL(pop_all(&crowd, &making), 495);
    CHECK_EQUAL(making, 0);
    weft_http_queue_deinit(&crowd.queue);

    open_crowd(&crowd, 100, 6, 100);
    push_crowd(&crowd, CROWD, "a", WEFT_HTTP_SHARING_UNKNOWN);
    CHECK_EQUAL(pop_all(&crowd, &making), 1);
    place_all(&crowd);
    CHECK_EQUAL(pop_all(&crowd, &making), 1);
    weft_http_queue_opens(&crowd.queue, &crowd.places[1]); /* it does not: HTTP/1 */
    CHECK_EQUAL(pop_all(&crowd, &making), 4);
    CHECK_EQUAL(crowd.queue.held, 6);
    weft_http_queue_deinit(&crowd.queue);
}

TEST(no_connection_is_made_for_those_who_will_find_room)
{
    static struct crowd crowd;
    unsigned making;
    open_crowd(&crowd, 100, 0, 100);
    push_crowd(&crowd, 100, "a", WEFT_HTTP_SHARING_STREAMS);
    CHECK_EQUAL(pop_all(&crowd, &making), 1);
    push_crowd(&crowd, 1, "a", WEFT_HTTP_SHARING_STREAMS);
    CHECK_EQUAL(pop_all(&crowd, &making), 1); /* the 101st */
    CHECK_EQUAL(making, 1);
    place_all(&crowd);
    CHECK_EQUAL(pop_all(&crowd, &making), 99);
    CHECK_EQUAL(making, 0);
    weft_http_queue_deinit(&crowd.queue);
}

TEST(a_server_that_takes_fewer_is_given_fewer)
{
    static struct crowd crowd;
    unsigned making;
    open_crowd(&crowd, 100, 0, 100);
    push_crowd(&crowd, CROWD, "a", WEFT_HTTP_SHARING_STREAMS);
    CHECK_EQUAL(pop_all(&crowd, &making), 10);
    for (unsigned i = 0; i < 10; i++) { /* one is made so far */
        if (i == 0)
            weft_http_queue_connected(&crowd.queue, crowd.places[0].host);
        if (i == 0)
            weft_http_queue_placed(&crowd.queue, &crowd.places[0]);
    }
    CHECK_EQUAL(pop_all(&crowd, &making), 99);
    for (unsigned i = 10; i < 19; i++) /* and takes ten: libcurl makes one for the next */
        weft_http_queue_placed(&crowd.queue, &crowd.places[i]);
    weft_http_queue_opens(&crowd.queue, &crowd.places[19]);
    CHECK_EQUAL(crowd.places[19].host->streams, 10);
    CHECK_EQUAL(crowd.places[19].host->opening, 10);
    weft_http_queue_connected(&crowd.queue, crowd.places[19].host);
    weft_http_queue_placed(&crowd.queue, &crowd.places[19]);
    CHECK_EQUAL(crowd.places[19].host->streams, 20); /* which may have been another's limit */
    weft_http_queue_deinit(&crowd.queue);
}

TEST(who_cannot_connect_does_not_keep_the_others_waiting)
{
    static struct crowd crowd;
    unsigned making;
    open_crowd(&crowd, 100, 6, 100);
    push_crowd(&crowd, 20, "a", WEFT_HTTP_SHARING_UNKNOWN);
    CHECK_EQUAL(pop_all(&crowd, &making), 1);
    weft_http_queue_leave(&crowd.queue, &crowd.places[0], true);
    CHECK_EQUAL(pop_all(&crowd, &making), 6);
    CHECK_EQUAL(making, 0);
    for (unsigned i = 1; i <= 6; i++)
        weft_http_queue_opens(&crowd.queue, &crowd.places[i]);
    weft_http_queue_connected(&crowd.queue, crowd.places[1].host);
    weft_http_queue_placed(&crowd.queue, &crowd.places[1]); /* there again */
    CHECK(!crowd.places[1].host->failed);
    weft_http_queue_learn(&crowd.queue, crowd.places[1].host, WEFT_HTTP_SHARING_STREAMS);
    CHECK_EQUAL(pop_all(&crowd, &making), 13);
    weft_http_queue_deinit(&crowd.queue);
}

TEST(where_all_connections_are_in_use_only_those_begin_who_need_none)
{
    static struct crowd crowd;
    unsigned making;
    open_crowd(&crowd, 2, 0, 10);
    push_crowd(&crowd, 1, "shares", WEFT_HTTP_SHARING_STREAMS);
    push_crowd(&crowd, 1, "does-not", WEFT_HTTP_SHARING_NONE);
    CHECK_EQUAL(pop_all(&crowd, &making), 2);
    place_all(&crowd);
    push_crowd(&crowd, 5, "does-not", WEFT_HTTP_SHARING_NONE);
    push_crowd(&crowd, 5, "another", WEFT_HTTP_SHARING_STREAMS);
    CHECK(!weft_http_queue_has_turn(&crowd.queue));
    push_crowd(&crowd, 15, "shares", WEFT_HTTP_SHARING_STREAMS);
    CHECK_EQUAL(pop_all(&crowd, &making), 9);
    CHECK_EQUAL(making, 0);
    CHECK_EQUAL(crowd.queue.held, 2);
    leave(&crowd.queue, &crowd.places[1]);
    CHECK_EQUAL(pop_all(&crowd, &making), 1);
    weft_http_queue_deinit(&crowd.queue);
}

TEST(a_host_with_connections_is_not_forgotten)
{
    static struct crowd crowd;
    unsigned making;
    open_crowd(&crowd, 10, 0, 10);
    push_crowd(&crowd, 1, "a", WEFT_HTTP_SHARING_STREAMS);
    CHECK_EQUAL(pop_all(&crowd, &making), 1);
    place_all(&crowd);
    struct weft_http_host *host = crowd.places[0].host;
    leave(&crowd.queue, &crowd.places[0]);
    CHECK_EQUAL(crowd.queue.idle_len, 0);
    CHECK_EQUAL(crowd.queue.held, 0);
    push_crowd(&crowd, 1, "a", WEFT_HTTP_SHARING_STREAMS);
    CHECK_EQUAL(pop_all(&crowd, &making), 1);
    CHECK_EQUAL(making, 0);
    place_all(&crowd);
    leave(&crowd.queue, &crowd.places[1]);
    weft_http_queue_closed(&crowd.queue, host);
    CHECK_EQUAL(crowd.queue.idle_len, 1);
    weft_http_queue_deinit(&crowd.queue);
}

/* ---- names -------------------------------------------------------------------------------- */

TEST(addresses_are_kept_until_they_are_old)
{
    struct weft_http_names names;
    REQUIRE(weft_http_names_init(&names, 10, 60 * WEFT_SEC, secret) == 0);
    CHECK(weft_http_names_find(&names, "a", 0) == NULL);
    CHECK_EQUAL(weft_http_names_keep(&names, "a", "1.2.3.4,[::1]", 5 * WEFT_SEC), 0);
    CHECK(strcmp(weft_http_names_find(&names, "a", 64 * WEFT_SEC), "1.2.3.4,[::1]") == 0);
    CHECK(weft_http_names_find(&names, "b", 64 * WEFT_SEC) == NULL);
    CHECK(weft_http_names_find(&names, "a", 65 * WEFT_SEC) == NULL);
    CHECK_EQUAL(weft_http_names_since(&names, "a", 65 * WEFT_SEC), 5 * WEFT_SEC + 1);
    CHECK_EQUAL(weft_http_names_keep(&names, "a", "5.6.7.8", 65 * WEFT_SEC), 0);
    CHECK(strcmp(weft_http_names_find(&names, "a", 66 * WEFT_SEC), "5.6.7.8") == 0);
    CHECK_EQUAL(names.len, 1);
    weft_http_names_deinit(&names);
}

TEST(the_name_that_is_longest_unused_makes_room)
{
    struct weft_http_names names;
    REQUIRE(weft_http_names_init(&names, 3, WEFT_SEC, secret) == 0);
    CHECK_EQUAL(weft_http_names_keep(&names, "a", "1.1.1.1", 0), 0);
    CHECK_EQUAL(weft_http_names_keep(&names, "b", "1.1.1.1", 0), 0);
    CHECK_EQUAL(weft_http_names_keep(&names, "c", "1.1.1.1", 0), 0);
    CHECK(weft_http_names_find(&names, "a", 1) != NULL);
    CHECK_EQUAL(weft_http_names_keep(&names, "d", "1.1.1.1", 0), 0);
    CHECK(weft_http_names_find(&names, "b", 1) == NULL);
    CHECK(weft_http_names_find(&names, "a", 1) != NULL);
    CHECK_EQUAL(names.len, 3);
    weft_http_names_deinit(&names);
}

TEST(addresses_that_were_no_good_are_asked_for_anew_but_not_by_everybody)
{
    struct weft_http_names names;
    REQUIRE(weft_http_names_init(&names, 3, 60 * WEFT_SEC, secret) == 0);
    CHECK_EQUAL(weft_http_names_keep(&names, "a", "1.1.1.1", 10 * WEFT_SEC), 0);
    weft_http_names_fail(&names, "a", 20 * WEFT_SEC);
    weft_http_names_fail(&names, "unknown", 20 * WEFT_SEC);
    CHECK(weft_http_names_find(&names, "a", 20 * WEFT_SEC) == NULL);
    CHECK_EQUAL(weft_http_names_since(&names, "a", 20 * WEFT_SEC), 19 * WEFT_SEC);
    CHECK_EQUAL(weft_http_names_since(&names, "a", 20 * WEFT_SEC + 1), 19 * WEFT_SEC + 1);
    CHECK_EQUAL(weft_http_names_since(&names, "a", 22 * WEFT_SEC), 20 * WEFT_SEC + 1);
    weft_http_names_fail(&names, "a", 25 * WEFT_SEC); /* the same once more */
    CHECK_EQUAL(weft_http_names_since(&names, "a", 25 * WEFT_SEC), 20 * WEFT_SEC + 1);
    CHECK_EQUAL(weft_http_names_since(&names, "a", 100 * WEFT_SEC), 40 * WEFT_SEC + 1);
    CHECK_EQUAL(weft_http_names_keep(&names, "a", "2.2.2.2", 26 * WEFT_SEC), 0);
    CHECK(weft_http_names_find(&names, "a", 27 * WEFT_SEC) != NULL);
    weft_http_names_deinit(&names);
}

/* ---- addresses ---------------------------------------------------------------------------- */

static int is_public(const char *text)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    if (inet_pton(AF_INET, text, &v4.sin_addr) == 1)
        return weft_http_address_is_public(NULL, (struct sockaddr *)&v4, sizeof v4);
    REQUIRE(inet_pton(AF_INET6, text, &v6.sin6_addr) == 1);
    return weft_http_address_is_public(NULL, (struct sockaddr *)&v6, sizeof v6);
}

TEST(public_addresses_are_known_from_all_others)
{
    static const char *const public[] = {
        "1.1.1.1",
        "8.8.8.8",
        "9.255.255.255",
        "11.0.0.0",
        "100.63.255.255",
        "100.128.0.0",
        "126.255.255.255",
        "128.0.0.0",
        "169.253.255.255",
        "169.255.0.0",
        "172.15.255.255",
        "172.32.0.0",
        "192.0.1.0",
        "192.0.3.0",
        "192.88.98.255",
        "192.88.100.0",
        "192.167.255.255",
        "192.169.0.0",
        "198.17.255.255",
        "198.20.0.0",
        "198.51.99.255",
        "198.51.101.0",
        "203.0.112.255",
        "203.0.114.0",
        "223.255.255.255",
        "2000::1",
        "2001:200::1",
        "2001:4860:4860::8888",
        "2606:4700:4700::1111",
        "2a00:1450:4001:80b::200e",
        "3fff:1000::1",
        "3ffe::1",
        "::ffff:8.8.8.8",
        "64:ff9b::8.8.8.8",
        "2002:0808:0808::1",
    };
    static const char *const others[] = {
        "0.0.0.0",
        "0.255.255.255",
        "10.0.0.0",
        "10.255.255.255",
        "100.64.0.0",
        "100.127.255.255",
        "127.0.0.1",
        "127.255.255.255",
        "169.254.0.0",
        "169.254.169.254",
        "172.16.0.0",
        "172.31.255.255",
        "192.0.0.1",
        "192.0.0.255",
        "192.0.2.1",
        "192.88.99.1",
        "192.168.0.1",
        "192.168.255.255",
        "198.18.0.0",
        "198.19.255.255",
        "198.51.100.1",
        "203.0.113.255",
        "224.0.0.1",
        "239.255.255.255",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::2",
        "::127.0.0.1",
        "::8.8.8.8",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "::ffff:0:8.8.8.8",
        "64:ff9b::127.0.0.1",
        "64:ff9b::192.168.0.1",
        "64:ff9b:1::1",
        "100::1",
        "1fff::1",
        "2001::1",
        "2001:0:4136:e378::1",
        "2001:2::1",
        "2001:10::1",
        "2001:20::1",
        "2001:1ff:ffff::1",
        "2001:db8::1",
        "2001:db8:ffff::1",
        "2002:7f00:1::1",
        "2002:a00:1::1",
        "2002:c0a8:1::1",
        "3fff::1",
        "3fff:fff::1",
        "4000::1",
        "5f00::1",
        "fc00::1",
        "fd12:3456:789a::1",
        "fe80::1",
        "febf::1",
        "fec0::1",
        "ff02::1",
        "ffff::1",
    };
    for (size_t i = 0; i < sizeof public / sizeof public[0]; i++) {
        CHECK(is_public(public[i]) == 1);
        if (!is_public(public[i]))
            test_note("%s", public[i]);
    }
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        CHECK(is_public(others[i]) == 0);
        if (is_public(others[i]))
            test_note("%s", others[i]);
    }
}

TEST(what_is_no_ip_address_is_not_public)
{
    const struct sockaddr local = {.sa_family = AF_UNIX};
    const struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_addr.s_addr = 0x08080808};
    const struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_addr.s6_addr = {0x20, 0x03}};
    CHECK(!weft_http_address_is_public(NULL, &local, sizeof local));
    CHECK(weft_http_address_is_public(NULL, (const struct sockaddr *)&v4, sizeof v4));
    CHECK(!weft_http_address_is_public(NULL, (const struct sockaddr *)&v4, 4));
    CHECK(weft_http_address_is_public(NULL, (const struct sockaddr *)&v6, sizeof v6));
    CHECK(!weft_http_address_is_public(NULL, (const struct sockaddr *)&v6, sizeof v4));
}

/* ---- errors ------------------------------------------------------------------------------- */

TEST(every_error_of_libcurl_is_one_of_ours)
{
    static const struct {
        CURLcode code;
        long os_error;
        int expected;
    } cases[] = {
        {CURLE_OK, 0, 0},
        {CURLE_UNSUPPORTED_PROTOCOL, 0, -EPROTONOSUPPORT},
        {CURLE_URL_MALFORMAT, 0, -EINVAL},
        {CURLE_COULDNT_RESOLVE_HOST, 0, -EADDRNOTAVAIL},
        {CURLE_COULDNT_CONNECT, ECONNREFUSED, -ECONNREFUSED},
        {CURLE_COULDNT_CONNECT, 0, -EHOSTUNREACH},
        {CURLE_OPERATION_TIMEDOUT, ETIMEDOUT, -ETIMEDOUT},
        {CURLE_OUT_OF_MEMORY, 0, -ENOMEM},
        {CURLE_RECV_ERROR, ECONNRESET, -ECONNRESET},
        {CURLE_RECV_ERROR, 0, -EPROTO},
        {CURLE_SEND_ERROR, EPIPE, -EPIPE},
        {CURLE_SEND_ERROR, 0, -ECONNRESET},
        {CURLE_GOT_NOTHING, 0, -ECONNRESET},
        {CURLE_PARTIAL_FILE, 0, -ECONNRESET},
        {CURLE_PEER_FAILED_VERIFICATION, 0, -EKEYREJECTED},
        {CURLE_SSL_CACERT_BADFILE, 0, -ENOKEY},
        {CURLE_SSL_CONNECT_ERROR, 0, -EPROTO},
        {CURLE_FAILED_INIT, 0, -EIO},
        {CURLE_HTTP2, 0, -EPROTO},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        CHECK_EQUAL(weft_http_error_of(cases[i].code, cases[i].os_error), cases[i].expected);
    for (int code = 1; code < CURL_LAST; code++)
        CHECK(weft_http_error_of((CURLcode)code, 0) < 0);
}

/* ---- URLs --------------------------------------------------------------------------------- */

TEST(hosts_and_ports_are_read_from_urls)
{
    static const struct {
        const char *url, *host;
        int port;
    } cases[] = {
        {"http://example.org/", "example.org", 80},
        {"https://example.org", "example.org", 443},
        {"http://user:pass@example.org:8080/a?b#c", "example.org", 8080},
        {"http://[2001:db8::1]:81/", "[2001:db8::1]", 81},
        {"http://0x7f.1/", "127.0.0.1", 80},
        {"http://a@b@example.org/", NULL, 0},
        {"http:///", NULL, 0},
        {"", NULL, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char host[WEFT_HTTP_HOST_MAX + 1] = "";
        uint16_t port = 0;
        int err = weft_http_url_host(cases[i].url, host, &port);
        CHECK_EQUAL(err, cases[i].host ? 0 : -EINVAL);
        if (!cases[i].host)
            continue;
        CHECK(strcmp(host, cases[i].host) == 0);
        CHECK_EQUAL(port, cases[i].port);
    }
}

/* However quickly: what libcurl makes of it, or an error. */
TEST(hosts_have_one_name_however_they_are_written)
{
    static const struct {
        const char *url, *key;
    } cases[] = {
        {"http://example.org/", "example.org:80"},
        {"https://example.org", "example.org:443"},
        {"http://example.org:8080?x", "example.org:8080"},
        {"http://EXAMPLE.org:80/", "example.org:80"},
        {"http://example.org:080/", "example.org:80"},
        {"http://user:pass@example.org/", "example.org:80"},
        {"http://127.0.0.1:1/", "127.0.0.1:1"},
        {"http://0x7f.1/", "127.0.0.1:80"},
        {"http://127.1/", "127.0.0.1:80"},
        {"http://2130706433/", "127.0.0.1:80"},
        {"http://[2001:db8::1]:81/", "[2001:db8::1]:81"},
        {"HTTPS://a#x", "a:443"},
        {"http://example.org:99999/", NULL},
        {"http://exa mple.org/", NULL},
        {"http://:80/", NULL},
        {"http:///", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char key[WEFT_HTTP_KEY_BYTES] = "";
        int err = weft_http_url_key(cases[i].url, key);
        CHECK_EQUAL(err, cases[i].key ? 0 : -EINVAL);
        if (cases[i].key && strcmp(key, cases[i].key) != 0) {
            CHECK(strcmp(key, cases[i].key) == 0);
            test_note("%s: %s", cases[i].url, key);
        }
    }
}

TEST(origins_are_scheme_host_and_port)
{
    CHECK(weft_http_url_same_origin("http://a/", "http://a/b"));
    CHECK(weft_http_url_same_origin("http://A:80/", "HTTP://a"));
    CHECK(weft_http_url_same_origin("https://u:p@a/", "https://a:443/"));
    CHECK(!weft_http_url_same_origin("http://a/", "https://a/"));
    CHECK(!weft_http_url_same_origin("http://a/", "http://a:81/"));
    CHECK(!weft_http_url_same_origin("http://a/", "http://b/"));
    CHECK(!weft_http_url_same_origin("http://a/", "http://"));
}

/* ---- heads -------------------------------------------------------------------------------- */

static void read_head(struct weft_http_transfer *transfer, const char *const *lines)
{
    *transfer = (struct weft_http_transfer){.fields_at = 0};
    weft_buffer_init(&transfer->reply, 1000);
    for (; *lines; lines++)
        weft_http_head_line(transfer, *lines, strlen(*lines));
}

static bool fields_are(const struct weft_http_transfer *transfer, const char *bytes, size_t len)
{
    return transfer->fields_len == len && memcmp(transfer->reply.data, bytes, len) == 0;
}

TEST(lines_that_are_no_fields_are_left_out)
{
    struct weft_http_transfer transfer;
    static const char *const lines[] = {"HTTP/1.1 200 OK\r\n",
                                        " folded, but after nothing\r\n",
                                        "no colon\r\n",
                                        "A: b\r\n",
                                        "\r\n",
                                        NULL};
    read_head(&transfer, lines);
    CHECK_EQUAL(transfer.status, 200);
    CHECK(fields_are(&transfer, "A\0b", 4));
    weft_buffer_deinit(&transfer.reply);
    *(&transfer) = (struct weft_http_transfer){.fields_at = 0};
    weft_buffer_init(&transfer.reply, 1000);
    weft_http_head_line(&transfer, "HTTP/2 204\r\n", 12);
    weft_http_head_line(&transfer, "A: b\0c\r\n", 8);
    CHECK_EQUAL(transfer.status, 204);
    CHECK_EQUAL(transfer.fields_len, 0);
    weft_buffer_deinit(&transfer.reply);
}

TEST(a_status_that_is_no_number_is_none)
{
    static const char *const lines[][2] = {
        {"HTTP/1.1\r\n"}, {"HTTP/1.1 \r\n"}, {"HTTP/1.1 abc\r\n"}, {"HTTP/1.1 1000\r\n"}};
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        struct weft_http_transfer transfer;
        read_head(&transfer, lines[i]);
        CHECK_EQUAL(transfer.status, 0);
        weft_buffer_deinit(&transfer.reply);
    }
}

TEST(encodings_and_cookies_of_a_head_are_counted)
{
    static const struct {
        const char *line;
        unsigned encodings, cookies;
    } cases[] = {
        {"Content-Encoding: gzip\r\n", 1, 0},
        {"content-encoding:GZIP , br\r\n", 2, 0},
        {"Content-Encoding: identity\r\n", 0, 0},
        {"Content-Encoding:\r\n", 0, 0},
        {"Transfer-Encoding: chunked\r\n", 0, 0},
        {"Transfer-Encoding: gzip, chunked\r\n", 1, 0},
        {"Set-Cookie: a=b\r\n", 0, 1},
        {"Set-Cookie2: a=b\r\n", 0, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        for (int decodes = 0; decodes < 2; decodes++) {
            struct weft_http_transfer transfer = {.question.decodes = decodes};
            weft_buffer_init(&transfer.reply, 1000);
            weft_http_head_line(&transfer, "HTTP/1.1 200 OK\r\n", 17);
            weft_http_head_line(&transfer, cases[i].line, strlen(cases[i].line));
            bool transfers = cases[i].line[0] == 'T';
            CHECK_EQUAL(transfer.encodings, decodes || transfers ? cases[i].encodings : 0);
            CHECK_EQUAL(transfer.cookies, cases[i].cookies);
            CHECK_EQUAL(transfer.version, 11);
            weft_buffer_deinit(&transfer.reply);
        }
    }
}
