/* SPDX-License-Identifier: MIT
 * io.h - what the files of sockets and transfers share. See weft/io.h. */
#ifndef WEFT_RUNTIME_IO_H
#define WEFT_RUNTIME_IO_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct weft_fiber;

/* One system call: returns like it, with errno. */
typedef ssize_t weft_io_attempt(int fd, void *arg);

/* Attempt until the answer is not EAGAIN, waiting in between for WEFT_READY_READ or _WRITE. A
 * checkpoint. Returns what the attempt did, negative errors included. */
ssize_t weft_io_retry(int fd, unsigned direction, weft_io_attempt *attempt, void *arg,
                      int64_t deadline_ns);

/* Between the two calls of a writer that has no MSG_NOSIGNAL the thread gets no SIGPIPE. */
struct weft_quiet {
    sigset_t before;
};
void weft_quiet_begin(struct weft_quiet *quiet);
void weft_quiet_end(const struct weft_quiet *quiet, bool broken_pipe); /* keeps errno */

/* A non-blocking socket, closed on exec. Returns a descriptor or a negative error. */
int weft_socket_open(int family, int type);

/* Turn an option on; for those that only make things faster or easier. */
void weft_socket_option(int fd, int level, int option);

#endif
