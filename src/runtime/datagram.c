/* SPDX-License-Identifier: MIT
 * datagram.c - messages with an address each. See weft/net.h. */
#include <runtime/io.h>
#include <runtime/worker.h>

#include <weft/io.h>
#include <weft/net.h>

#include <errno.h>
#include <string.h>

struct datagram {
    void *buffer;
    size_t len;
    struct weft_address *address;
};

int weft_udp_open(const struct weft_address *peer)
{
    int fd = weft_socket_open(peer->storage.ss_family, SOCK_DGRAM);
    if (fd >= 0 && connect(fd, (const struct sockaddr *)&peer->storage, peer->len) < 0) {
        int err = -errno;
        (void)weft_close(fd);
        return err;
    }
    return fd;
}

static ssize_t attempt_send(int fd, void *arg)
{
    const struct datagram *datagram = arg;
    const struct weft_address *to = datagram->address;
    return sendto(fd, datagram->buffer, datagram->len, MSG_NOSIGNAL,
                  to ? (const struct sockaddr *)&to->storage : NULL, to ? to->len : 0);
}

ssize_t weft_send_to(int fd, const void *buffer, size_t len, const struct weft_address *to,
                     int64_t deadline_ns)
{
    struct datagram datagram = {.len = len};
    struct weft_address copy;
    if (to) {
        copy = *to;
        datagram.address = &copy;
    }
    memcpy(&datagram.buffer, &buffer, sizeof buffer); /* sendto changes nothing */
    return weft_io_retry(fd, WEFT_READY_WRITE, attempt_send, &datagram, deadline_ns);
}

static ssize_t attempt_receive(int fd, void *arg)
{
    const struct datagram *datagram = arg;
    struct weft_address from = {.len = sizeof from.storage};
    struct iovec piece = {datagram->buffer, datagram->len};
    struct msghdr message = {
        .msg_name = &from.storage,
        .msg_namelen = from.len,
        .msg_iov = &piece,
        .msg_iovlen = 1,
    };
    ssize_t count = recvmsg(fd, &message, 0);
    if (count >= 0 && (message.msg_flags & MSG_TRUNC)) {
        errno = EMSGSIZE;
        return -1;
    }
    if (count >= 0 && datagram->address) {
        from.len = message.msg_namelen;
        *datagram->address = from;
    }
    return count;
}

ssize_t weft_receive_from(int fd, void *buffer, size_t len, struct weft_address *ret_from,
                          int64_t deadline_ns)
{
    struct datagram datagram = {buffer, len, ret_from};
    return weft_io_retry(fd, WEFT_READY_READ, attempt_receive, &datagram, deadline_ns);
}
