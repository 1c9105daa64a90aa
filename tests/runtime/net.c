/* SPDX-License-Identifier: MIT
 * net.c - addresses, names, the race of connects, datagrams, unix sockets, descriptors by mail. */
#include "descriptors.h"
#include "test.h"

#include <runtime/resolve.h>
#include <runtime/worker.h>
#include <weft/group.h>
#include <weft/io.h>
#include <weft/net.h>

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* ---- addresses ------------------------------------------------------------------------- */

static void check_text(const struct weft_address *address, const char *expected)
{
    char text[WEFT_ADDRESS_TEXT_MAX];
    CHECK_EQUAL(weft_address_format(address, text, sizeof text), strlen(expected));
    CHECK(strcmp(text, expected) == 0);
}

TEST(addresses_are_read_and_written)
{
    struct weft_address address;
    CHECK_EQUAL(weft_address_parse("127.0.0.1", 80, &address), 0);
    check_text(&address, "127.0.0.1:80");
    CHECK_EQUAL(weft_address_port(&address), 80);
    CHECK_EQUAL(weft_address_parse("::1", 65535, &address), 0);
    check_text(&address, "[::1]:65535");
    CHECK_EQUAL(weft_address_unix("/run/x", &address), 0);
    check_text(&address, "/run/x");
    CHECK_EQUAL(weft_address_port(&address), -EAFNOSUPPORT);
    CHECK_EQUAL(weft_address_unix("@name", &address), 0);
    check_text(&address, "@name");
    char small[5];
    CHECK_EQUAL(weft_address_format(&address, small, sizeof small), 4);
    CHECK(strcmp(small, "@nam") == 0);
}

TEST(what_is_no_address_is_refused)
{
    struct weft_address address = {.len = 7};
    char path[200];
    memset(path, 'x', sizeof path);
    path[108] = '\0';
    CHECK_EQUAL(weft_address_parse("localhost", 1, &address), -EINVAL);
    CHECK_EQUAL(weft_address_parse("", 1, &address), -EINVAL);
    CHECK_EQUAL(weft_address_unix("", &address), -EINVAL);
    CHECK_EQUAL(weft_address_unix(path, &address), -ENAMETOOLONG);
    path[107] = '\0';
    CHECK_EQUAL(address.len, 7);
    CHECK_EQUAL(weft_address_unix(path, &address), 0);
}

/* ---- names ----------------------------------------------------------------------------- */

/* A name service of our own. Names that begin with "slow" wait for the gate. */
static struct {
    atomic_int asked, answered;
    sem_t gate;
    struct weft_answer answer;
} service;

static void serve(const char *host, struct weft_answer *ret_answer)
{
    atomic_fetch_add(&service.asked, 1);
    while (strncmp(host, "slow", 4) == 0 && sem_wait(&service.gate) < 0)
        ;
    *ret_answer = service.answer;
    if (strncmp(host, "missing", 7) == 0)
        *ret_answer = (struct weft_answer){.result = -EADDRNOTAVAIL};
    atomic_fetch_add(&service.answered, 1);
}

static void add_address(const char *text, uint16_t port)
{
    struct weft_address *address = &service.answer.addresses[service.answer.count++];
    REQUIRE(weft_address_parse(text, port, address) == 0);
}

static void use_own_service(void)
{
    atomic_store(&service.asked, 0);
    atomic_store(&service.answered, 0);
    REQUIRE(sem_init(&service.gate, 0, 0) == 0);
    service.answer = (struct weft_answer){0};
    weft_current_worker->resolver = weft_resolver_open(serve);
    REQUIRE(weft_current_worker->resolver);
}

static int resolve_one(const char *host, int64_t deadline_ns)
{
    struct weft_address address;
    return weft_resolve(host, 80, deadline_ns, &address, 1);
}

FIBER_TEST(numeric_hosts_need_no_look_up)
{
    struct weft_address address;
    use_own_service();
    CHECK_EQUAL(weft_resolve("10.1.2.3", 99, WEFT_NOWAIT, &address, 1), 1);
    check_text(&address, "10.1.2.3:99");
    CHECK_EQUAL(weft_resolve("::1", 99, WEFT_NOWAIT, &address, 1), 1);
    check_text(&address, "[::1]:99");
    CHECK_EQUAL(atomic_load(&service.asked), 0);
    CHECK_EQUAL(resolve_one("", WEFT_FOREVER), -EINVAL);
    char host[1100];
    memset(host, 'a', sizeof host);
    host[1024] = '\0';
    CHECK_EQUAL(resolve_one(host, WEFT_FOREVER), -EINVAL);
}

FIBER_TEST(answers_are_kept_for_a_while_and_failures_for_less)
{
    use_own_service();
    add_address("10.0.0.1", 0);
    CHECK_EQUAL(resolve_one("a", WEFT_FOREVER), 1);
    CHECK_EQUAL(weft_sleep(30 * WEFT_SEC - 1), 0);
    CHECK_EQUAL(resolve_one("a", WEFT_NOWAIT), 1);
    CHECK_EQUAL(atomic_load(&service.asked), 1);
    CHECK_EQUAL(weft_sleep(1), 0);
    CHECK_EQUAL(resolve_one("a", WEFT_FOREVER), 1);
    CHECK_EQUAL(atomic_load(&service.asked), 2);

    CHECK_EQUAL(resolve_one("missing", WEFT_FOREVER), -EADDRNOTAVAIL);
    CHECK_EQUAL(weft_sleep(5 * WEFT_SEC - 1), 0);
    CHECK_EQUAL(resolve_one("missing", WEFT_NOWAIT), -EADDRNOTAVAIL);
    CHECK_EQUAL(weft_sleep(1), 0);
    CHECK_EQUAL(resolve_one("missing", WEFT_FOREVER), -EADDRNOTAVAIL);
    CHECK_EQUAL(atomic_load(&service.asked), 4);
}

FIBER_TEST(the_least_recently_used_name_makes_room)
{
    char host[16];
    use_own_service();
    add_address("10.0.0.1", 0);
    for (int i = 0; i < 256; i++) {
        (void)snprintf(host, sizeof host, "n%d", i);
        CHECK_EQUAL(resolve_one(host, WEFT_FOREVER), 1);
    }
    CHECK_EQUAL(resolve_one("n0", WEFT_NOWAIT), 1);
    CHECK_EQUAL(resolve_one("one-more", WEFT_FOREVER), 1);
    CHECK_EQUAL(resolve_one("n0", WEFT_NOWAIT), 1);
    CHECK_EQUAL(resolve_one("n2", WEFT_NOWAIT), 1);
    CHECK_EQUAL(atomic_load(&service.asked), 257);
    CHECK_EQUAL(resolve_one("n1", WEFT_FOREVER), 1);
    CHECK_EQUAL(atomic_load(&service.asked), 258);
}

static int resolve_slow(void *arg)
{
    return resolve_one(arg, WEFT_FOREVER);
}

static char slow[] = "slow";

FIBER_TEST(fibers_share_one_look_up_and_a_cancel_takes_it_from_nobody)
{
    struct weft_group patient, impatient;
    struct weft_task first, others[3];
    use_own_service();
    add_address("10.0.0.1", 0);
    CHECK_EQUAL(weft_group_init(&impatient, NULL), 0);
    CHECK_EQUAL(weft_group_init(&patient, NULL), 0);
    CHECK_EQUAL(weft_spawn_task(&impatient, &first, resolve_slow, slow), 0); /* who asked */
    for (int i = 0; i < 3; i++)
        CHECK_EQUAL(weft_spawn_task(&patient, &others[i], resolve_slow, slow), 0);
    CHECK_EQUAL(weft_yield(), 0);
    weft_group_close(&impatient);
    CHECK_EQUAL(first.result, -ECANCELED);
    CHECK_EQUAL(sem_post(&service.gate), 0);
    CHECK_EQUAL(weft_group_wait(&patient), 0);
    for (int i = 0; i < 3; i++)
        CHECK_EQUAL(others[i].result, 1);
    CHECK_EQUAL(atomic_load(&service.asked), 1);
}

REAL_TIME_FIBER_TEST(a_look_up_obeys_the_deadline_and_the_runtime_ends_without_it)
{
    use_own_service();
    CHECK_EQUAL(resolve_one(slow, WEFT_NOWAIT), -EAGAIN);
    CHECK_EQUAL(resolve_one(slow, weft_now() + 2 * WEFT_MSEC), -ETIMEDOUT);
    CHECK_EQUAL(weft_tcp_connect(slow, 80, weft_now() + 2 * WEFT_MSEC), -ETIMEDOUT);
    while (atomic_load(&service.asked) == 0) /* a busy machine starts threads late */
        CHECK_EQUAL(weft_sleep(WEFT_MSEC), 0);
    CHECK_EQUAL(atomic_load(&service.asked), 1);
}

TEST(the_look_up_that_was_left_alone_ends_by_itself)
{
    CHECK_EQUAL(atomic_load(&service.answered), 0);
    CHECK_EQUAL(sem_post(&service.gate), 0);
    while (atomic_load(&service.answered) == 0)
        (void)sched_yield();
}

FIBER_TEST(look_ups_that_are_too_many_are_refused)
{
    struct weft_group group;
    static char hosts[300][16];
    static struct weft_task tasks[300];
    int refused = 0;
    use_own_service();
    add_address("10.0.0.1", 0);
    CHECK_EQUAL(weft_group_init(&group, &(struct weft_group_options){.policy = WEFT_SUPERVISE}), 0);
    for (int i = 0; i < 300; i++) {
        (void)snprintf(hosts[i], sizeof hosts[i], "slow%d", i);
        CHECK_EQUAL(weft_spawn_task(&group, &tasks[i], resolve_slow, hosts[i]), 0);
    }
    CHECK_EQUAL(weft_yield(), 0);
    for (int i = 0; i < 300; i++)
        CHECK_EQUAL(sem_post(&service.gate), 0);
    CHECK_EQUAL(weft_group_wait(&group), WEFT_EFULL);
    for (int i = 0; i < 300; i++)
        refused += tasks[i].result == WEFT_EFULL;
    CHECK_EQUAL(refused, 300 - 256);
}

/* ---- connecting ------------------------------------------------------------------------ */

/* A listener that answers nobody: its backlog is full, so a connect hangs. */
struct hole {
    int listener, filler[4];
};

static struct hole dig(const char *address)
{
    struct hole hole;
    hole.listener = weft_tcp_listen(address, 0, &(struct weft_listen_options){.backlog = 1});
    REQUIRE(hole.listener >= 0);
    uint16_t port = (uint16_t)weft_tcp_port(hole.listener);
    for (int i = 0; i < 4; i++)
        hole.filler[i] = weft_tcp_connect(address, port, weft_now() + WEFT_MSEC);
    return hole;
}

static void fill_up(struct hole *hole)
{
    for (int i = 0; i < 4; i++) {
        if (hole->filler[i] >= 0)
            CHECK_EQUAL(weft_close(hole->filler[i]), 0);
    }
    CHECK_EQUAL(weft_close(hole->listener), 0);
}

/* A hole, and a listener on the same port of another address. Another program may have taken that
 * port: then dig elsewhere. */
static struct hole dig_beside(const char *address, int *ret_listener)
{
    for (int tries = 1;; tries++) {
        struct hole hole = dig("127.0.0.2");
        *ret_listener = weft_tcp_listen(address, (uint16_t)weft_tcp_port(hole.listener), NULL);
        if (*ret_listener != -EADDRINUSE || tries == 50)
            return hole;
        fill_up(&hole);
    }
}

FIBER_TEST(the_next_address_is_tried_after_a_quarter_of_a_second)
{
    use_own_service();
    int listener;
    struct hole hole = dig_beside("127.0.0.1", &listener);
    uint16_t port = (uint16_t)weft_tcp_port(hole.listener);
    REQUIRE(listener >= 0);
    int before = open_descriptors();
    add_address("127.0.0.2", 0);
    add_address("127.0.0.1", 0);
    int64_t start_ns = weft_now();
    int fd = weft_tcp_connect("both", port, WEFT_FOREVER);
    REQUIRE(fd >= 0);
    CHECK_EQUAL(weft_now() - start_ns, 250 * WEFT_MSEC);
    CHECK_EQUAL(weft_close(fd), 0);
    CHECK_EQUAL(open_descriptors(), before);
    CHECK_EQUAL(weft_close(listener), 0);
    fill_up(&hole);
}

FIBER_TEST(the_next_address_is_tried_at_once_after_a_failure)
{
    use_own_service();
    int listener = weft_tcp_listen("127.0.0.1", 0, NULL);
    uint16_t port = (uint16_t)weft_tcp_port(listener);
    add_address("127.0.0.3", 0); /* refuses */
    add_address("127.0.0.4", 0);
    add_address("127.0.0.1", 0);
    int64_t start_ns = weft_now();
    int fd = weft_tcp_connect("three", port, WEFT_FOREVER);
    REQUIRE(fd >= 0);
    CHECK_EQUAL(weft_now(), start_ns);
    CHECK_EQUAL(weft_close(fd), 0);
    CHECK_EQUAL(weft_close(listener), 0);
    CHECK_EQUAL(weft_tcp_connect("three", port, WEFT_FOREVER), -ECONNREFUSED);
}

FIBER_TEST(families_take_turns)
{
    use_own_service();
    int listener;
    struct hole hole = dig_beside("::1", &listener);
    uint16_t port = (uint16_t)weft_tcp_port(hole.listener);
    if (listener < 0) {
        test_skip("no IPv6 here");
        fill_up(&hole);
        return;
    }
    add_address("127.0.0.2", 0);
    add_address("127.0.0.2", 0);
    add_address("127.0.0.2", 0);
    add_address("::1", 0);
    int64_t start_ns = weft_now();
    int fd = weft_tcp_connect("mixed", port, WEFT_FOREVER);
    REQUIRE(fd >= 0);
    CHECK_EQUAL(weft_now() - start_ns, 250 * WEFT_MSEC); /* second, not fourth */
    CHECK_EQUAL(weft_close(fd), 0);
    CHECK_EQUAL(weft_close(listener), 0);
    fill_up(&hole);
}

FIBER_TEST(a_connect_obeys_deadline_and_cancel_and_leaves_nothing_behind)
{
    use_own_service();
    struct hole hole = dig("127.0.0.2");
    uint16_t port = (uint16_t)weft_tcp_port(hole.listener);
    add_address("127.0.0.2", 0);
    add_address("127.0.0.2", 0);
    add_address("127.0.0.2", 0);
    struct weft_scope scope;
    int before = open_descriptors();
    int64_t start_ns = weft_now();
    CHECK_EQUAL(weft_tcp_connect("nobody", port, start_ns + 600 * WEFT_MSEC), -ETIMEDOUT);
    CHECK_EQUAL(weft_now() - start_ns, 600 * WEFT_MSEC);
    weft_scope_enter(&scope, weft_now() + 300 * WEFT_MSEC, 0);
    CHECK_EQUAL(weft_tcp_connect("nobody", port, WEFT_FOREVER), -ECANCELED);
    CHECK_EQUAL(weft_tcp_connect("nobody", port, WEFT_FOREVER), -ECANCELED);
    CHECK_EQUAL(weft_scope_leave(&scope, -ECANCELED), -ETIMEDOUT);
    CHECK_EQUAL(weft_tcp_connect("nobody", port, WEFT_NOWAIT), -EAGAIN);
    CHECK_EQUAL(open_descriptors(), before);
    fill_up(&hole);
}

/* ---- datagrams ------------------------------------------------------------------------- */

FIBER_TEST(datagrams_keep_their_boundaries_and_tell_their_sender)
{
    struct weft_address server_address, from;
    char buffer[32];
    int server = weft_udp_bind("127.0.0.1", 0, NULL);
    REQUIRE(server >= 0);
    int port = weft_tcp_port(server);
    CHECK_EQUAL(weft_address_parse("127.0.0.1", (uint16_t)port, &server_address), 0);
    int client = weft_udp_open(&server_address);
    REQUIRE(client >= 0);
    CHECK_EQUAL(weft_write(client, "one", 3, WEFT_FOREVER), 3);
    CHECK_EQUAL(weft_send_to(client, "", 0, NULL, WEFT_FOREVER), 0);
    CHECK_EQUAL(weft_send_to(client, "three", 5, NULL, WEFT_FOREVER), 5);
    CHECK_EQUAL(weft_receive_from(server, buffer, sizeof buffer, &from, WEFT_FOREVER), 3);
    CHECK(memcmp(buffer, "one", 3) == 0);
    CHECK_EQUAL(weft_address_port(&from), weft_tcp_port(client));
    CHECK_EQUAL(weft_receive_from(server, buffer, sizeof buffer, NULL, WEFT_FOREVER), 0);
    CHECK_EQUAL(weft_receive_from(server, buffer, 4, &from, WEFT_FOREVER), -EMSGSIZE);
    CHECK_EQUAL(weft_receive_from(server, buffer, 4, &from, WEFT_NOWAIT), -EAGAIN);
    CHECK_EQUAL(weft_send_to(server, "back", 4, &from, WEFT_FOREVER), 4);
    CHECK_EQUAL(weft_read(client, buffer, sizeof buffer, WEFT_FOREVER), 4);
    CHECK_EQUAL(weft_close(server), 0);
    CHECK_EQUAL(weft_send_to(client, "x", 1, NULL, WEFT_FOREVER), 1);
    CHECK_EQUAL(weft_read(client, buffer, 1, weft_now() + WEFT_SEC), -ECONNREFUSED);
    CHECK_EQUAL(weft_close(client), 0);
}

FIBER_TEST(a_receiver_of_datagrams_obeys_deadline_and_cancel)
{
    struct weft_scope scope;
    char byte;
    int fd = weft_udp_bind("127.0.0.1", 0, NULL);
    CHECK_EQUAL(weft_receive_from(fd, &byte, 1, NULL, weft_now() + 5), -ETIMEDOUT);
    weft_scope_enter(&scope, weft_now() + 5, 0);
    CHECK_EQUAL(weft_receive_from(fd, &byte, 1, NULL, WEFT_FOREVER), -ECANCELED);
    CHECK_EQUAL(weft_send_to(fd, &byte, 1, NULL, WEFT_FOREVER), -ECANCELED);
    CHECK_EQUAL(weft_scope_leave(&scope, -ECANCELED), -ETIMEDOUT);
    CHECK_EQUAL(weft_close(fd), 0);
    CHECK_EQUAL(weft_udp_bind("nonsense", 0, NULL), -EINVAL);
}

/* ---- unix sockets ---------------------------------------------------------------------- */

static const char *socket_path(const char *name)
{
    static char path[200];
    (void)snprintf(path, sizeof path, "%s/%s", test_directory(), name);
    return path;
}

FIBER_TEST(unix_streams_connect_by_path)
{
    char text[8];
    const char *path = socket_path("stream");
    int before = open_descriptors();
    CHECK_EQUAL(weft_unix_connect(path, WEFT_FOREVER), -ENOENT);
    int listener = weft_unix_listen(path, NULL);
    REQUIRE(listener >= 0);
    CHECK_EQUAL(weft_unix_accept(listener, WEFT_NOWAIT), -EAGAIN);
    CHECK_EQUAL(weft_unix_accept(listener, weft_now() + 5), -ETIMEDOUT);
    int client = weft_unix_connect(path, WEFT_FOREVER);
    REQUIRE(client >= 0);
    int server = weft_unix_accept(listener, WEFT_FOREVER);
    REQUIRE(server >= 0);
    CHECK_EQUAL(weft_write(client, "hi", 2, WEFT_FOREVER), 2);
    CHECK_EQUAL(weft_read(server, text, sizeof text, WEFT_FOREVER), 2);
    CHECK_EQUAL(weft_unix_listen(path, NULL), -EADDRINUSE);
    CHECK_EQUAL(weft_close(client), 0);
    CHECK_EQUAL(weft_close(server), 0);
    CHECK_EQUAL(weft_close(listener), 0);
    CHECK_EQUAL(weft_unix_connect(path, WEFT_FOREVER), -ECONNREFUSED);
    CHECK_EQUAL(unlink(path), 0);
    CHECK_EQUAL(open_descriptors(), before);
}

FIBER_TEST(a_unix_connect_waits_for_room_in_the_backlog)
{
    struct weft_scope scope;
    int listener = weft_unix_listen("@weft-test-full", &(struct weft_listen_options){.backlog = 1});
    int clients[2];
    REQUIRE(listener >= 0);
    for (int i = 0; i < 2; i++)
        clients[i] = weft_unix_connect("@weft-test-full", WEFT_FOREVER);
    int before = open_descriptors();
    CHECK_EQUAL(weft_unix_connect("@weft-test-full", WEFT_NOWAIT), -EAGAIN);
    int64_t start_ns = weft_now();
    CHECK_EQUAL(weft_unix_connect("@weft-test-full", start_ns + 50 * WEFT_MSEC), -ETIMEDOUT);
    CHECK_EQUAL(weft_now() - start_ns, 50 * WEFT_MSEC);
    weft_scope_enter(&scope, weft_now() + 10 * WEFT_MSEC, 0);
    CHECK_EQUAL(weft_unix_connect("@weft-test-full", WEFT_FOREVER), -ECANCELED);
    CHECK_EQUAL(weft_scope_leave(&scope, -ECANCELED), -ETIMEDOUT);
    CHECK_EQUAL(open_descriptors(), before);
    for (int i = 0; i < 2; i++)
        CHECK_EQUAL(weft_close(clients[i]), 0);
    CHECK_EQUAL(weft_close(listener), 0);
}

FIBER_TEST(unix_datagrams_go_by_name)
{
    struct weft_address to, from;
    char text[8];
    int receiver = weft_unix_bind("@weft-test-receiver");
    int sender = weft_unix_bind("@weft-test-sender");
    REQUIRE(receiver >= 0 && sender >= 0);
    CHECK_EQUAL(weft_address_unix("@weft-test-receiver", &to), 0);
    CHECK_EQUAL(weft_send_to(sender, "abc", 3, &to, WEFT_FOREVER), 3);
    CHECK_EQUAL(weft_receive_from(receiver, text, sizeof text, &from, WEFT_FOREVER), 3);
    check_text(&from, "@weft-test-sender");
    CHECK_EQUAL(weft_close(sender), 0);
    CHECK_EQUAL(weft_close(receiver), 0);
}

FIBER_TEST(descriptors_travel_with_bytes)
{
    int ends[2], wire[2], got[4];
    size_t count = 99;
    char byte, text[4];
    int before = open_descriptors();
    CHECK_EQUAL(weft_pipe(ends), 0);
    CHECK_EQUAL(weft_socketpair(SOCK_STREAM, wire), 0);
    CHECK_EQUAL(weft_send_fds(wire[0], "x", 1, ends, 2, WEFT_FOREVER), 1);
    CHECK_EQUAL(weft_receive_fds(wire[1], text, sizeof text, got, 4, &count, WEFT_FOREVER), 1);
    REQUIRE(count == 2);
    CHECK(fcntl(got[0], F_GETFD) & FD_CLOEXEC);
    CHECK_EQUAL(weft_write(got[1], "y", 1, WEFT_FOREVER), 1);
    CHECK_EQUAL(weft_read(ends[0], &byte, 1, WEFT_FOREVER), 1);
    CHECK_EQUAL(weft_send_fds(wire[0], "z", 1, NULL, 0, WEFT_FOREVER), 1);
    CHECK_EQUAL(weft_receive_fds(wire[1], text, 4, got + 2, 2, &count, WEFT_FOREVER), 1);
    CHECK_EQUAL(count, 0);
    for (int i = 0; i < 2; i++) {
        CHECK_EQUAL(weft_close(got[i]), 0);
        CHECK_EQUAL(weft_close(ends[i]), 0);
        CHECK_EQUAL(weft_close(wire[i]), 0);
    }
    CHECK_EQUAL(open_descriptors(), before);
}

FIBER_TEST(descriptors_that_do_not_fit_are_closed)
{
    int ends[2], wire[2], got;
    size_t count = 99;
    char byte;
    CHECK_EQUAL(weft_pipe(ends), 0);
    CHECK_EQUAL(weft_socketpair(SOCK_STREAM, wire), 0);
    CHECK_EQUAL(weft_send_fds(wire[0], "x", 1, ends, 2, WEFT_FOREVER), 1);
    int before = open_descriptors();
    CHECK_EQUAL(weft_receive_fds(wire[1], &byte, 1, &got, 1, &count, WEFT_FOREVER), -EMSGSIZE);
    CHECK_EQUAL(count, 99);
    CHECK_EQUAL(open_descriptors(), before);
    CHECK_EQUAL(weft_send_fds(wire[0], "", 0, ends, 2, WEFT_FOREVER), -EINVAL);
    CHECK_EQUAL(weft_send_fds(wire[0], "x", 1, ends, 254, WEFT_FOREVER), -EINVAL);
    CHECK_EQUAL(weft_receive_fds(wire[1], &byte, 1, &got, 1, &count, weft_now() + 1), -ETIMEDOUT);
    for (int i = 0; i < 2; i++) {
        CHECK_EQUAL(weft_close(ends[i]), 0);
        CHECK_EQUAL(weft_close(wire[i]), 0);
    }
}

/* ---- edges ----------------------------------------------------------------------------- */

TEST(addresses_that_the_kernel_may_give_are_written)
{
    struct weft_address address = {.len = sizeof(sa_family_t)};
    char text[WEFT_ADDRESS_TEXT_MAX];
    address.storage.ss_family = AF_UNIX; /* of a socket without a name */
    check_text(&address, "");
    address.len = 1; /* less than there can be */
    check_text(&address, "");
    memset((char *)&address.storage + sizeof(sa_family_t), 'x', 108); /* a name without its end */
    address.len = 200;
    CHECK_EQUAL(weft_address_format(&address, text, sizeof text), 108);
    CHECK_EQUAL(weft_address_parse("::1", 443, &address), 0);
    CHECK_EQUAL(weft_address_port(&address), 443);
    CHECK_EQUAL(weft_address_format(&address, NULL, 0), 9);
    address.storage.ss_family = AF_NETLINK;
    CHECK_EQUAL(weft_address_format(&address, text, sizeof text), -EAFNOSUPPORT);
    CHECK_EQUAL(weft_address_port(&address), -EAFNOSUPPORT);
}

FIBER_TEST(nobody_connects_to_a_broadcast_address)
{
    struct weft_address everybody;
    int before = open_descriptors();
    CHECK(weft_tcp_connect("255.255.255.255", 9, weft_now() + WEFT_SEC) < 0);
    CHECK_EQUAL(weft_address_parse("255.255.255.255", 9, &everybody), 0);
    CHECK(weft_udp_open(&everybody) < 0);
    CHECK_EQUAL(open_descriptors(), before);
}

FIBER_TEST(a_path_that_is_too_long_is_no_place_to_listen)
{
    char path[200];
    memset(path, 'x', sizeof path);
    path[sizeof path - 1] = '\0';
    CHECK_EQUAL(weft_unix_listen(path, NULL), -ENAMETOOLONG);
    CHECK_EQUAL(weft_unix_bind(path), -ENAMETOOLONG);
    CHECK_EQUAL(weft_unix_connect(path, WEFT_NOWAIT), -ENAMETOOLONG);
}
