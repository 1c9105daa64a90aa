/* SPDX-License-Identifier: MIT
 * listen.c - sockets that listen and accept. See weft/net.h. */
#include <runtime/io.h>
#include <runtime/worker.h>

#include <weft/net.h>

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>

#define BACKLOG 4096

void weft_socket_option(int fd, int level, int option)
{
    int on = 1;
    (void)setsockopt(fd, level, option, &on, sizeof on);
}

int weft_socket_open(int family, int type)
{
    int fd = socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    if (weft_current_worker)
        weft_fd_made(weft_current_worker, fd, family != AF_UNIX && type == SOCK_STREAM);
    return fd;
}

static int bound_socket(const struct weft_address *address, int type,
                        const struct weft_listen_options *options)
{
    int fd = weft_socket_open(address->storage.ss_family, type);
    if (fd < 0)
        return fd;
    if (type == SOCK_STREAM)
        weft_socket_option(fd, SOL_SOCKET, SO_REUSEADDR);
    if (options && options->reuse_port)
        weft_socket_option(fd, SOL_SOCKET, SO_REUSEPORT);
    if (address->storage.ss_family == AF_INET6)
        weft_socket_option(fd, IPPROTO_IPV6, IPV6_V6ONLY);
    if (bind(fd, (const struct sockaddr *)&address->storage, address->len) < 0) {
        int err = -errno;
        (void)close(fd);
        return err;
    }
    return fd;
}

static int listening_socket(const struct weft_address *address,
                            const struct weft_listen_options *options)
{
    int fd = bound_socket(address, SOCK_STREAM, options);
    if (fd >= 0 && listen(fd, options && options->backlog ? (int)options->backlog : BACKLOG) < 0) {
        int err = -errno;
        (void)close(fd);
        return err;
    }
    return fd;
}

int weft_tcp_listen(const char *address, uint16_t port, const struct weft_listen_options *options)
{
    struct weft_address parsed;
    int err = weft_address_parse(address, port, &parsed);
    return err < 0 ? err : listening_socket(&parsed, options);
}

int weft_unix_listen(const char *path, const struct weft_listen_options *options)
{
    struct weft_address address;
    int err = weft_address_unix(path, &address);
    return err < 0 ? err : listening_socket(&address, options);
}

int weft_unix_bind(const char *path)
{
    struct weft_address address;
    int err = weft_address_unix(path, &address);
    return err < 0 ? err : bound_socket(&address, SOCK_DGRAM, NULL);
}

int weft_udp_bind(const char *address, uint16_t port, const struct weft_listen_options *options)
{
    struct weft_address parsed;
    int err = weft_address_parse(address, port, &parsed);
    return err < 0 ? err : bound_socket(&parsed, SOCK_DGRAM, options);
}

int weft_tcp_port(int fd)
{
    struct weft_address address = {.len = sizeof address.storage};
    if (getsockname(fd, (struct sockaddr *)&address.storage, &address.len) < 0)
        return -errno;
    return weft_address_port(&address);
}

/* Errors that accept(2) hands on from a connection that died before it was taken: no concern of
 * the caller, who wants the next one. */
static bool died_in_queue(int err)
{
    return err == ECONNABORTED || err == EPROTO || err == ENETDOWN || err == ENETUNREACH ||
           err == EHOSTDOWN || err == EHOSTUNREACH || err == ENONET || err == ENOPROTOOPT;
}

static ssize_t attempt_accept(int fd, void *arg)
{
    int peer;
    (void)arg;
    do
        peer = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    while (peer < 0 && died_in_queue(errno));
    return peer;
}

static int accept_any(int fd, bool tcp, int64_t deadline_ns)
{
    ssize_t peer = weft_io_retry(fd, WEFT_READY_READ, attempt_accept, NULL, deadline_ns);
    if (peer >= 0) {
        weft_fd_made(weft_current_worker, (int)peer, tcp);
        if (tcp)
            weft_socket_option((int)peer, IPPROTO_TCP, TCP_NODELAY);
    }
    return (int)peer;
}

int weft_tcp_accept(int fd, int64_t deadline_ns)
{
    return accept_any(fd, true, deadline_ns);
}

int weft_unix_accept(int fd, int64_t deadline_ns)
{
    return accept_any(fd, false, deadline_ns);
}
