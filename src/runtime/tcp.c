/* SPDX-License-Identifier: MIT
 * tcp.c - listening, accepting, connecting. */
#include <runtime/worker.h>

#include <weft/io.h>
#include <weft/offload.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define BACKLOG 4096

static void set_option(int fd, int level, int option)
{
    int on = 1;
    /* These options only make things faster or restarts easier: without them it works too. */
    (void)setsockopt(fd, level, option, &on, sizeof on);
}

/* Returns the length of the address, or -EINVAL. */
static int parse_address(const char *address, uint16_t port, struct sockaddr_storage *ret_address)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)ret_address;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)ret_address;
    memset(ret_address, 0, sizeof *ret_address);
    if (inet_pton(AF_INET, address, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons(port);
        return sizeof *v4;
    }
    if (inet_pton(AF_INET6, address, &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons(port);
        return sizeof *v6;
    }
    return -EINVAL;
}

int weft_tcp_listen(const char *address, uint16_t port, const struct weft_listen_options *options)
{
    struct sockaddr_storage storage;
    int err;
    int len = parse_address(address, port, &storage);
    if (len < 0)
        return len;
    int fd = socket(storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    set_option(fd, SOL_SOCKET, SO_REUSEADDR);
    if (options && options->reuse_port)
        set_option(fd, SOL_SOCKET, SO_REUSEPORT);
    if (storage.ss_family == AF_INET6)
        set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY);
    if (bind(fd, (struct sockaddr *)&storage, (socklen_t)len) < 0 ||
        listen(fd, options && options->backlog ? (int)options->backlog : BACKLOG) < 0) {
        err = -errno;
        (void)close(fd);
        return err;
    }
    if (weft_current_worker)
        weft_fd_made(weft_current_worker, fd, false);
    return fd;
}

int weft_tcp_port(int fd)
{
    struct sockaddr_storage storage = {.ss_family = AF_UNSPEC};
    socklen_t len = sizeof storage;
    if (getsockname(fd, (struct sockaddr *)&storage, &len) < 0)
        return -errno;
    if (storage.ss_family == AF_INET)
        return ntohs(((struct sockaddr_in *)&storage)->sin_port);
    if (storage.ss_family == AF_INET6)
        return ntohs(((struct sockaddr_in6 *)&storage)->sin6_port);
    return -EAFNOSUPPORT;
}

/* Errors that accept(2) hands on from a connection that died before it was taken: no concern of
 * the caller, who wants the next one. */
static bool died_in_queue(int err)
{
    return err == ECONNABORTED || err == EPROTO || err == ENETDOWN || err == ENETUNREACH ||
           err == EHOSTDOWN || err == EHOSTUNREACH || err == ENONET || err == ENOPROTOOPT;
}

int weft_tcp_accept(int fd, int64_t deadline_ns)
{
    struct weft_fiber *self;
    int err = weft_enter(&self);
    if (err < 0)
        return err;
    for (;;) {
        int peer = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (peer >= 0) {
            weft_fd_made(self->worker, peer, true);
            set_option(peer, IPPROTO_TCP, TCP_NODELAY);
            weft_spend(self, deadline_ns);
            return peer;
        }
        if (errno == EINTR || died_in_queue(errno))
            continue;
        if (errno != EAGAIN)
            return -errno;
        err = weft_fd_wait(self, fd, WEFT_READY_READ, deadline_ns);
        if (err < 0)
            return err;
    }
}

static int finish_connect(struct weft_fiber *self, int fd, int64_t deadline_ns)
{
    for (;;) {
        struct sockaddr_storage peer;
        int failure = 0;
        socklen_t failure_len = sizeof failure, peer_len = sizeof peer;
        int err = weft_fd_wait(self, fd, WEFT_READY_WRITE, deadline_ns);
        if (err < 0)
            return err;
        if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &failure, &failure_len) < 0)
            return -errno;
        if (failure)
            return -failure;
        if (getpeername(fd, (struct sockaddr *)&peer, &peer_len) == 0)
            return 0;
        if (errno != ENOTCONN) /* else we were woken without need */
            return -errno;
    }
}

static int connect_to(struct weft_fiber *self, const struct addrinfo *address, int64_t deadline_ns)
{
    int fd = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    weft_fd_made(self->worker, fd, true);
    set_option(fd, IPPROTO_TCP, TCP_NODELAY);
    int err = 0;
    if (connect(fd, address->ai_addr, address->ai_addrlen) < 0)
        err =
            errno == EINPROGRESS || errno == EINTR ? finish_connect(self, fd, deadline_ns) : -errno;
    if (err < 0) {
        (void)weft_close(fd);
        return err;
    }
    return fd;
}

struct lookup {
    const char *host;
    char service[8];
    int flags;
    struct addrinfo *found;
};

static int run_lookup(void *arg)
{
    struct lookup *lookup = arg;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = lookup->flags};
    switch (getaddrinfo(lookup->host, lookup->service, &hints, &lookup->found)) {
    case 0:
        return 0;
    case EAI_MEMORY:
        return -ENOMEM;
    case EAI_AGAIN:
        return -EAGAIN;
    default:
        return -EADDRNOTAVAIL;
    }
}

/* Numbers need no thread. */
static int look_up(struct lookup *lookup, int64_t deadline_ns)
{
    lookup->flags = AI_NUMERICHOST | AI_NUMERICSERV;
    if (run_lookup(lookup) == 0)
        return 0;
    if (deadline_ns == WEFT_NOWAIT)
        return -EAGAIN;
    lookup->flags = AI_NUMERICSERV;
    return weft_offload(run_lookup, lookup);
}

int weft_tcp_connect(const char *host, uint16_t port, int64_t deadline_ns)
{
    struct weft_fiber *self;
    int err = weft_enter(&self);
    if (err < 0)
        return err;
    struct lookup lookup = {.host = host};
    (void)snprintf(lookup.service, sizeof lookup.service, "%u", (unsigned)port);
    err = look_up(&lookup, deadline_ns);
    if (err < 0)
        return err;
    int fd = -EADDRNOTAVAIL;
    for (const struct addrinfo *address = lookup.found; address; address = address->ai_next) {
        fd = connect_to(self, address, deadline_ns);
        if (fd >= 0 || fd == -ECANCELED || weft_worker_now(self->worker) >= deadline_ns)
            break;
    }
    freeaddrinfo(lookup.found);
    return fd;
}
