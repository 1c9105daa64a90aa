/* SPDX-License-Identifier: MIT
 * io.h - reading and writing pollable descriptors: the fiber waits, not the thread.
 *
 * Plain non-blocking descriptors: those made by weft already are, others go through weft_fd_adopt.
 * A descriptor on which a fiber has waited must be closed with weft_close, by the same thread.
 * Every call that can wait is a checkpoint; -ECANCELED and -ETIMEDOUT mean that nothing was
 * transferred. A deadline counts while a call waits; data that is there is taken whatever the time.
 * Urgent data (MSG_OOB) is not supported: bytes behind it may be noticed late. No call raises
 * SIGPIPE: -EPIPE says it. Sockets are made in net.h, files are read in file.h. */
#ifndef WEFT_IO_H
#define WEFT_IO_H

#include <weft/base.h>

#include <sys/types.h>
#include <sys/uio.h>

WEFT_BEGIN_DECLS

#define WEFT_READABLE 1u
#define WEFT_WRITABLE 2u
#define WEFT_HANGUP   4u

#define WEFT_IOV_MAX  1024 /* pieces in one call of the vector functions */

/* Read what is there, at most len bytes; waits only while there is nothing.
 * Returns  bytes read, 0 at the end; -ETIMEDOUT, -EAGAIN (WEFT_NOWAIT), -ECANCELED,
 *          -ECONNRESET, -EBADF (closed by another fiber meanwhile), ... */
WEFT_API ssize_t weft_read(int fd, void *buffer, size_t len, int64_t deadline_ns);

/* Read what is there into several pieces, in order. Returns like weft_read; -EINVAL (count). */
WEFT_API ssize_t weft_readv(int fd, const struct iovec *pieces, int count, int64_t deadline_ns);

/* Read exactly len bytes.
 * ret_read  NULL, or set in every case to the bytes that came
 * Returns   0; -ENODATA (the end came first), or the error that ended it */
WEFT_API int weft_read_all(int fd, void *buffer, size_t len, int64_t deadline_ns, size_t *ret_read);

/* Write some of the bytes, at least one; waits only while none fits. Returns like weft_read. */
WEFT_API ssize_t weft_write(int fd, const void *buffer, size_t len, int64_t deadline_ns);

/* Write some of the bytes of several pieces, in order. Returns like weft_readv. */
WEFT_API ssize_t weft_writev(int fd, const struct iovec *pieces, int count, int64_t deadline_ns);

/* Write all the bytes.
 * ret_written  NULL, or set in every case to the bytes that went out
 * Returns      0 or the error that ended it, with part of the bytes written perhaps */
WEFT_API int weft_write_all(int fd, const void *buffer, size_t len, int64_t deadline_ns,
                            size_t *ret_written);

/* Write all the bytes of several pieces, which are not changed. Returns like weft_write_all. */
WEFT_API int weft_writev_all(int fd, const struct iovec *pieces, int count, int64_t deadline_ns,
                             size_t *ret_written);

/* Move up to len bytes from one descriptor to another inside the kernel; one of them is a pipe.
 * Waits until at least one byte was moved.
 * Returns  bytes moved, 0 at the end of `from`; like weft_read; -EINVAL (neither is a pipe) */
WEFT_API ssize_t weft_splice(int from, int to, size_t len, int64_t deadline_ns);

/* Send up to len bytes of a regular file to a socket or pipe, without copying them. Parts that are
 * not in memory are read on the files' threads first. Sends 256 KiB at most per call.
 * offset   where in the file; the file's own position is not moved
 * Returns  bytes sent, 0 at the end of the file; like weft_write; -EINVAL (not such a file) */
WEFT_API ssize_t weft_sendfile(int to, int file, int64_t offset, size_t len, int64_t deadline_ns);

/* Make a pipe: ret_fds[0] is read, ret_fds[1] is written, both to be closed with weft_close.
 * Returns  0, -EMFILE, ... Never suspends */
WEFT_API int weft_pipe(int ret_fds[2]);

/* Make two connected unix sockets, both to be closed with weft_close.
 * type     SOCK_STREAM, SOCK_DGRAM or SOCK_SEQPACKET of <sys/socket.h>
 * Returns  0, -EMFILE, -EPROTONOSUPPORT (type), ... Never suspends */
WEFT_API int weft_socketpair(int type, int ret_fds[2]);

/* Wait until a descriptor is readable or writable, or its other end hangs up (flags: WEFT_READABLE,
 * WEFT_WRITABLE, WEFT_HANGUP, one of them). May wake without need: try the operation, and wait
 * again on -EAGAIN. A hang-up is that the other end will send no more, or takes no more, or that
 * the connection broke; bytes that are there to be read do not hide it, and are not touched. A
 * regular file is always ready, for all three.
 * Returns  0, -ETIMEDOUT, -EAGAIN (WEFT_NOWAIT), -ECANCELED, -EBADF (closed meanwhile) */
WEFT_API int weft_wait_fd(int fd, unsigned flags, int64_t deadline_ns);

/* Take in a descriptor that was made elsewhere: it becomes non-blocking and is closed on exec.
 * From now on it is weft's: to be closed with weft_close, or handed on with weft_fd_release.
 * O_NONBLOCK belongs to the open file: other processes that share it see the change.
 * Returns  0, -EBADF, -EPERM outside a runtime. Never suspends */
WEFT_API int weft_fd_adopt(int fd);

/* Make the calling worker forget a descriptor without closing it, so that it can be handed to
 * another one, which needs no call of its own; fibers that wait on it here get -EBADF.
 * Returns  0, -EBADF, -EPERM outside a runtime. Never suspends */
WEFT_API int weft_fd_release(int fd);

/* Close; fibers that wait on the descriptor get -EBADF. Never suspends, never fails by a cancel.
 * Returns  0 or the kernel's error; the descriptor is gone in every case */
WEFT_API int weft_close(int fd);

WEFT_END_DECLS

#endif
