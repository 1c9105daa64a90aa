/* SPDX-License-Identifier: MIT
 * poller.h - how a worker learns which descriptors are ready.
 *
 * A descriptor is watched once, edge-triggered, for both directions, until it is closed: waiting
 * for it later costs no system call. A poller fills an array and never calls back. What a kernel
 * can do with files by itself goes through it as well; where it cannot, threads do it. */
#ifndef WEFT_OS_POLLER_H
#define WEFT_OS_POLLER_H

#include <stddef.h>
#include <stdint.h>

#define WEFT_READY_READ   1u
#define WEFT_READY_WRITE  2u
#define WEFT_READY_HANGUP 4u /* the peer is done sending, or an error waits to be read */
#define WEFT_READY_LOST   8u /* the poller stopped watching: watch again before the next wait */

struct weft_request;

struct weft_ready {
    struct weft_request *request; /* carried out; NULL where a descriptor is meant */
    int fd;
    uint32_t generation; /* as given to watch: tells a reused descriptor number apart; 31 bits */
    unsigned events;
};

struct weft_poller;

struct weft_poller_ops {
    const char *name;
    /* Returns 0; -ENOSYS, -EPERM and the like where the kernel has or allows no such thing. */
    int (*open)(struct weft_poller **ret_poller);
    /* Returns 0; -EPERM for a descriptor that is always ready (a regular file); -EBADF, -ENOMEM */
    int (*watch)(struct weft_poller *poller, int fd, uint32_t generation);
    /* Stop watching before fd is closed. Events already under way may still be delivered. */
    void (*unwatch)(struct weft_poller *poller, int fd, uint32_t generation);
    /* Wait at most timeout_ns (0: not at all, negative: without limit) and fill the array.
     * Returns the number of events, 0 also after a signal; negative when it is broken. */
    int (*wait)(struct weft_poller *poller, struct weft_ready *ready, size_t ready_max,
                int64_t timeout_ns);
    /* Have a request carried out; it is reported once, with its result set. Until then it and all
     * it points to must stay. Returns 0; -EOPNOTSUPP, -EBUSY: let a thread do it */
    int (*start)(struct weft_poller *poller, struct weft_request *request);
    /* Ask for a request's early end. It is reported all the same, as it ended. */
    void (*cancel)(struct weft_poller *poller, struct weft_request *request);
    void (*close)(struct weft_poller *poller);
};

extern const struct weft_poller_ops weft_poller_epoll, weft_poller_uring;

/* Find the poller by name ("epoll", "uring") and open it; NULL or "": io_uring if the kernel
 * lets us and valgrind does not watch, else epoll. Returns 0, -EINVAL (no such name), or why it
 * cannot be opened. */
int weft_poller_open(const char *name, const struct weft_poller_ops **ret_ops,
                     struct weft_poller **ret_poller);

#endif
