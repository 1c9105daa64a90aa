/* SPDX-License-Identifier: MIT
 * io.h - sockets and other pollable descriptors, waited for by the fiber, not by the thread.
 *
 * Plain non-blocking descriptors: those made here already are, others need O_NONBLOCK. A
 * descriptor on which a fiber has waited must be closed with weft_close, by the same thread.
 * Every call that can wait is a checkpoint; -ECANCELED and -ETIMEDOUT mean that nothing was
 * transferred. A deadline counts while a call waits; data that is there is taken whatever the time.
 * Urgent data (MSG_OOB) is not supported: bytes behind it may be noticed late. */
#ifndef WEFT_IO_H
#define WEFT_IO_H

#include <weft/base.h>

#include <sys/types.h>

WEFT_BEGIN_DECLS

#define WEFT_READABLE 1u
#define WEFT_WRITABLE 2u

struct weft_listen_options {
    unsigned backlog; /* 0 means 4096, cut to the kernel's own limit */
    int reuse_port;   /* several listeners on one port, SO_REUSEPORT */
};

/* Listen for TCP on a numeric address ("127.0.0.1", "::1"); port 0 picks a free one.
 * Returns  a descriptor; -EINVAL (address), -EADDRINUSE, -EACCES, ... Never suspends */
WEFT_API int weft_tcp_listen(const char *address, uint16_t port,
                             const struct weft_listen_options *options);

/* The port a socket is bound to, or a negative error. Never suspends. */
WEFT_API int weft_tcp_port(int fd);

/* Take the next connection, with TCP_NODELAY set.
 * Returns  a descriptor; -ETIMEDOUT, -EAGAIN (WEFT_NOWAIT), -ECANCELED, -EMFILE, ... */
WEFT_API int weft_tcp_accept(int fd, int64_t deadline_ns);

/* Connect to a host, numeric or a name (looked up on the offload pool; each address is tried in
 * turn until the deadline; the lookup itself is not cut short), with TCP_NODELAY set.
 * Returns  a descriptor; -ETIMEDOUT, -ECANCELED, -ECONNREFUSED, -EADDRNOTAVAIL (no such name) */
WEFT_API int weft_tcp_connect(const char *host, uint16_t port, int64_t deadline_ns);

/* Read what is there, at most len bytes; waits only while there is nothing.
 * Returns  bytes read, 0 at the end; -ETIMEDOUT, -EAGAIN (WEFT_NOWAIT), -ECANCELED,
 *          -ECONNRESET, -EBADF (closed by another fiber meanwhile), ... */
WEFT_API ssize_t weft_read(int fd, void *buffer, size_t len, int64_t deadline_ns);

/* Write some of the bytes, at least one; waits only while none fits. Returns like weft_read.
 * No SIGPIPE on sockets: -EPIPE. */
WEFT_API ssize_t weft_write(int fd, const void *buffer, size_t len, int64_t deadline_ns);

/* Write all the bytes.
 * ret_written  NULL, or set in every case to the bytes that went out
 * Returns      0 or the error that ended it, with part of the bytes written perhaps */
WEFT_API int weft_write_all(int fd, const void *buffer, size_t len, int64_t deadline_ns,
                            size_t *ret_written);

/* Wait until a descriptor is readable or writable (flags: WEFT_READABLE, WEFT_WRITABLE, one of
 * them). May wake without need: try the operation, and wait again on -EAGAIN.
 * Returns  0, -ETIMEDOUT, -EAGAIN (WEFT_NOWAIT), -ECANCELED, -EBADF (closed meanwhile) */
WEFT_API int weft_wait_fd(int fd, unsigned flags, int64_t deadline_ns);

/* Close; fibers that wait on the descriptor get -EBADF. Never suspends, never fails by a cancel.
 * Returns  0 or the kernel's error; the descriptor is gone in every case */
WEFT_API int weft_close(int fd);

WEFT_END_DECLS

#endif
