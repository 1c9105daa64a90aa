/* SPDX-License-Identifier: MIT
 * fixture.c - see fixture.h. */
#include "fixture.h"

#include "test.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

bool fixture_send(int fd, const char *text)
{
    size_t len = strlen(text);
    while (len > 0) {
        ssize_t sent = send(fd, text, len, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0)
            return false;
        text += sent;
        len -= (size_t)sent;
    }
    return true;
}

void fixture_reset(int fd)
{
    struct sockaddr none = {.sa_family = AF_UNSPEC};
    (void)connect(fd, &none, sizeof none);
}

/* Length of the first request in text, 0 while it is not whole. */
static size_t request_len(const char *text, size_t len, bool heads_only)
{
    const char *end = strstr(text, "\r\n\r\n");
    const char *length = strstr(text, "Content-Length: ");
    if (!end)
        return 0;
    size_t whole = (size_t)(end - text) + 4;
    if (length && length < end && !heads_only)
        whole += strtoul(length + strlen("Content-Length: "), NULL, 10);
    return whole <= len ? whole : 0;
}

static void *serve_connection(void *arg)
{
    struct fixture_connection *connection = arg;
    struct fixture *fixture = connection->fixture;
    char text[FIXTURE_REQUEST_BYTES] = "";
    size_t len = 0;
    for (bool open = true; open && !atomic_load(&fixture->stopping);) {
        ssize_t count = recv(connection->fd, text + len, sizeof text - 1 - len, 0);
        if (count < 0 && errno == EINTR)
            continue;
        if (count <= 0)
            break;
        len += (size_t)count;
        text[len] = '\0';
        size_t whole;
        while (open && (whole = request_len(text, len, atomic_load(&fixture->heads_only))) > 0) {
            char after = text[whole];
            text[whole] = '\0';
            open = fixture->answer(fixture, connection->fd, atomic_fetch_add(&fixture->requests, 1),
                                   text);
            text[whole] = after;
            len -= whole;
            memmove(text, text + whole, len + 1);
        }
    }
    /* The descriptor itself stays until fixture_stop, which may shut it down at any time. */
    (void)shutdown(connection->fd, SHUT_WR);
    return NULL;
}

static void *accept_connections(void *arg)
{
    struct fixture *fixture = arg;
    unsigned count = 0;
    int yes = 1;
    while (!atomic_load(&fixture->stopping)) {
        struct pollfd listening = {.fd = fixture->fd, .events = POLLIN};
        if (poll(&listening, 1, 20) <= 0)
            continue;
        int fd = accept4(fixture->fd, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0)
            continue;
        REQUIRE(count < FIXTURE_CONNECTIONS_MAX);
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
        struct fixture_connection *connection = &fixture->accepted[count++];
        connection->fixture = fixture;
        connection->fd = fd;
        REQUIRE(pthread_create(&connection->thread, NULL, serve_connection, connection) == 0);
        bool last = count == fixture->accepts_max;
        if (last) {
            close(fixture->fd);
            fixture->fd = -1;
        }
        atomic_store(&fixture->connections, count);
        if (last)
            break;
    }
    return NULL;
}

static int listen_somewhere(unsigned short *ret_port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t address_len = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    REQUIRE(fd >= 0);
    REQUIRE(bind(fd, (struct sockaddr *)&address, sizeof address) == 0);
    REQUIRE(getsockname(fd, (struct sockaddr *)&address, &address_len) == 0);
    *ret_port = ntohs(address.sin_port);
    return fd;
}

unsigned short fixture_free_port(void)
{
    unsigned short port;
    close(listen_somewhere(&port)); /* bound without listen: nobody else got it meanwhile */
    return port;
}

void fixture_start(struct fixture *fixture, fixture_answer answer, unsigned accepts_max)
{
    memset(fixture, 0, sizeof *fixture);
    fixture->answer = answer;
    fixture->accepts_max = accepts_max;
    fixture->fd = listen_somewhere(&fixture->port);
    REQUIRE(listen(fixture->fd, 128) == 0);
    (void)snprintf(fixture->url, sizeof fixture->url, "http://127.0.0.1:%u/", fixture->port);
    REQUIRE(pthread_create(&fixture->thread, NULL, accept_connections, fixture) == 0);
}

void fixture_stop(struct fixture *fixture)
{
    atomic_store(&fixture->stopping, true);
    REQUIRE(pthread_join(fixture->thread, NULL) == 0);
    unsigned count = atomic_load(&fixture->connections);
    for (unsigned i = 0; i < count; i++) {
        (void)shutdown(fixture->accepted[i].fd, SHUT_RDWR);
        REQUIRE(pthread_join(fixture->accepted[i].thread, NULL) == 0);
        close(fixture->accepted[i].fd);
    }
    if (fixture->fd >= 0)
        close(fixture->fd);
}
