/* SPDX-License-Identifier: MIT
 * net.h - addresses, names, TCP, UDP and unix sockets.
 *
 * What is opened here is non-blocking, closed on exec, and to be closed with weft_close. Bytes go
 * through io.h. Every call with a deadline suspends, is a checkpoint, and answers -ETIMEDOUT,
 * -EAGAIN (WEFT_NOWAIT) or -ECANCELED only when nothing happened; the others never suspend. */
#ifndef WEFT_NET_H
#define WEFT_NET_H

#include <weft/base.h>

#include <sys/socket.h>
#include <sys/types.h>

WEFT_BEGIN_DECLS

#define WEFT_ADDRESSES_MAX    16  /* of one name; further ones are left out */
#define WEFT_ADDRESS_TEXT_MAX 128 /* room for any address as text */
#define WEFT_SEND_FDS_MAX     253 /* descriptors in one message, the kernel's own limit */

/* Where a socket is: IPv4, IPv6 or unix. Copied freely. */
struct weft_address {
    struct sockaddr_storage storage;
    socklen_t len;
};

/* Read a numeric address, "127.0.0.1" or "::1". Returns 0, -EINVAL */
WEFT_API int weft_address_parse(const char *text, uint16_t port, struct weft_address *ret_address);

/* The address of a unix socket: a path, or "@name" for one without a file (Linux's abstract names).
 * Returns  0, -EINVAL (empty), -ENAMETOOLONG (over 107 bytes) */
WEFT_API int weft_address_unix(const char *path, struct weft_address *ret_address);

/* Write an address as text: "127.0.0.1:80", "[::1]:80", "/run/socket", "@name", "" (no name).
 * Returns  the text's length, cut to fit with a final NUL; -EAFNOSUPPORT */
WEFT_API int weft_address_format(const struct weft_address *address, char *ret_text, size_t len);

/* The port of an address, or -EAFNOSUPPORT. */
WEFT_API int weft_address_port(const struct weft_address *address);

/* Look a name up; numeric addresses need no look-up and no waiting.
 *
 * Runs on threads of its own (4, with at most 1,024 calls waiting), and is left alone when the
 * wait ends first. Fibers that ask for the same name meanwhile share one look-up. Answers are kept
 * for 30 s, failures for 5 s, counted from the question; at most 256 names per worker.
 * ret_addresses  filled in the order the system prefers, at most addresses_max of them
 * Returns        how many; -EADDRNOTAVAIL (no such name), -EAGAIN (no name service for now),
 *                -EINVAL (empty or over 1,023 bytes), WEFT_EFULL (too many look-ups at once), ...
 */
WEFT_API int weft_resolve(const char *host, uint16_t port, int64_t deadline_ns,
                          struct weft_address *ret_addresses, size_t addresses_max);

struct weft_listen_options {
    unsigned backlog; /* 0 means 4096, cut to the kernel's own limit */
    int reuse_port;   /* several listeners on one port, SO_REUSEPORT */
};

/* Listen for TCP on a numeric address ("127.0.0.1", "::1"); port 0 picks a free one.
 * Returns  a descriptor; -EINVAL (address), -EADDRINUSE, -EACCES, ... */
WEFT_API int weft_tcp_listen(const char *address, uint16_t port,
                             const struct weft_listen_options *options);

/* The port a socket is bound to, or a negative error. */
WEFT_API int weft_tcp_port(int fd);

/* Take the next connection, with TCP_NODELAY set. Returns a descriptor; -EMFILE, -EBADF, ... */
WEFT_API int weft_tcp_accept(int fd, int64_t deadline_ns);

struct weft_tcp_server_options {
    unsigned backlog;         /* as in weft_listen_options */
    unsigned connections_max; /* at once on each worker; 0 means 10,000; beyond it none is taken */
};

/* Serve connections on every worker until the caller is cancelled: one listener each, among which
 * the kernel spreads the connections (SO_REUSEPORT, with several workers); each connection is
 * served by a fiber of the worker that took it, and closed when serve returns. A caller that was
 * started with weft_spawn_started is ready, with the port, once all listen.
 *
 * port     0 picks a free one, the same for all
 * serve    its result is of no consequence; its fibers are cancelled with the caller
 * Returns  -ECANCELED, after every connection was closed; what weft_tcp_listen and weft_tcp_accept
 *          refuse. Out of descriptors or memory it waits 100 ms and goes on */
WEFT_API int weft_tcp_serve(const char *address, uint16_t port,
                            const struct weft_tcp_server_options *options,
                            int (*serve)(int fd, void *arg), void *arg);

/* Connect to a host, numeric or a name, with TCP_NODELAY set.
 *
 * Addresses are tried in turn, families alternating: the next attempt begins when one fails, or
 * 250 ms after the last began; the first to succeed wins and the others are closed (RFC 8305).
 * Returns  a descriptor; -ECONNREFUSED and the like (of the last attempt that failed), what
 *          weft_resolve answers */
WEFT_API int weft_tcp_connect(const char *host, uint16_t port, int64_t deadline_ns);

/* Open a datagram socket on a numeric address; port 0 picks a free one (weft_tcp_port tells).
 * Returns  a descriptor; -EINVAL (address), -EADDRINUSE, ... */
WEFT_API int weft_udp_bind(const char *address, uint16_t port,
                           const struct weft_listen_options *options);

/* Open a datagram socket that talks to one peer, with weft_read and weft_write too; what others
 * send does not come through, and -ECONNREFUSED tells that nobody is there. Returns a descriptor */
WEFT_API int weft_udp_open(const struct weft_address *peer);

/* Send one datagram, whole or not at all; to may be NULL where the socket has a peer.
 * Returns  len; -EMSGSIZE (too large for a datagram), -ECONNREFUSED, ... */
WEFT_API ssize_t weft_send_to(int fd, const void *buffer, size_t len, const struct weft_address *to,
                              int64_t deadline_ns);

/* Receive one datagram.
 * ret_from  NULL, or set to who sent it
 * Returns   its length, perhaps 0; -EMSGSIZE (it did not fit, and is gone), -ECONNREFUSED, ... */
WEFT_API ssize_t weft_receive_from(int fd, void *buffer, size_t len, struct weft_address *ret_from,
                                   int64_t deadline_ns);

/* Listen for unix stream connections; a path's file must not exist, and is not removed at close.
 * Returns  a descriptor; what weft_address_unix answers; -EADDRINUSE, -EACCES, -ENOENT, ... */
WEFT_API int weft_unix_listen(const char *path, const struct weft_listen_options *options);

/* Take the next connection of a unix listener. Returns a descriptor; -EMFILE, -EBADF, ... */
WEFT_API int weft_unix_accept(int fd, int64_t deadline_ns);

/* Connect to a unix listener. While its backlog is full, tries again every few milliseconds.
 * Returns  a descriptor; -ECONNREFUSED, -ENOENT, -EACCES, ... */
WEFT_API int weft_unix_connect(const char *path, int64_t deadline_ns);

/* Open a unix datagram socket under a name of its own; for weft_send_to and weft_receive_from.
 * Returns  like weft_unix_listen */
WEFT_API int weft_unix_bind(const char *path);

/* Send bytes, at least one, and with them copies of descriptors over a unix socket; the caller
 * keeps its own. On a stream the descriptors travel with the first byte sent.
 * Returns  bytes sent; -EINVAL (len is 0, or more than WEFT_SEND_FDS_MAX), -ETOOMANYREFS, ... */
WEFT_API ssize_t weft_send_fds(int fd, const void *buffer, size_t len, const int *fds, size_t count,
                               int64_t deadline_ns);

/* Receive bytes, and descriptors that come with them: closed on exec, the caller's to close, as
 * the sender had them otherwise (weft_fd_adopt makes them non-blocking).
 * ret_count  set to the number of descriptors, at most fds_max, perhaps 0
 * Returns    bytes received, 0 at the end; -EMSGSIZE (more descriptors than fit, or a datagram
 *            that did not: all of it is gone, what came is closed) */
WEFT_API ssize_t weft_receive_fds(int fd, void *buffer, size_t len, int *ret_fds, size_t fds_max,
                                  size_t *ret_count, int64_t deadline_ns);

WEFT_END_DECLS

#endif
