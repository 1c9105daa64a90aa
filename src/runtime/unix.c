/* SPDX-License-Identifier: MIT
 * unix.c - unix sockets: connecting, and handing descriptors over. See weft/net.h. */
#include <runtime/io.h>
#include <runtime/worker.h>

#include <weft/io.h>
#include <weft/net.h>

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define PAUSE_FIRST_NS WEFT_MSEC
#define PAUSE_MAX_NS   (20 * WEFT_MSEC)

/* The kernel says EAGAIN while the backlog is full, and has no event for its end. */
static int connect_patiently(int fd, const struct weft_address *address, int64_t deadline_ns)
{
    int64_t pause_ns = PAUSE_FIRST_NS;
    for (;;) {
        if (connect(fd, (const struct sockaddr *)&address->storage, address->len) == 0)
            return 0;
        if (errno != EAGAIN && errno != EINTR)
            return -errno;
        if (deadline_ns == WEFT_NOWAIT)
            return -EAGAIN;
        int64_t now_ns = weft_now();
        if (now_ns >= deadline_ns)
            return -ETIMEDOUT;
        int64_t until_ns = deadline_ns - now_ns < pause_ns ? deadline_ns : now_ns + pause_ns;
        int err = weft_sleep_until(until_ns);
        if (err < 0)
            return err;
        if (pause_ns < PAUSE_MAX_NS)
            pause_ns *= 2;
    }
}

int weft_unix_connect(const char *path, int64_t deadline_ns)
{
    struct weft_address address = {.len = 0};
    struct weft_fiber *self;
    int err = weft_enter(&self);
    if (err == 0)
        err = weft_address_unix(path, &address);
    if (err < 0)
        return err;
    int fd = weft_socket_open(AF_UNIX, SOCK_STREAM);
    if (fd < 0)
        return fd;
    err = connect_patiently(fd, &address, deadline_ns);
    if (err < 0) {
        (void)weft_close(fd);
        return err;
    }
    return fd;
}

/* ---- descriptors as messages ----------------------------------------------------------- */

/* Room for as many descriptors as the kernel ever sends at once. */
union control {
    struct cmsghdr header; /* the first */
    char bytes[CMSG_SPACE(WEFT_SEND_FDS_MAX * sizeof(int))];
};

struct parcel {
    struct iovec piece;
    const int *fds;
    size_t fds_len;
    int *ret_fds;
    size_t ret_max, ret_len;
};

static ssize_t attempt_send(int fd, void *arg)
{
    const struct parcel *parcel = arg;
    union control control;
    struct iovec piece = parcel->piece;
    struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1};
    if (parcel->fds_len > 0) {
        size_t bytes = parcel->fds_len * sizeof(int);
        memset(&control, 0, sizeof control);
        control.header.cmsg_level = SOL_SOCKET;
        control.header.cmsg_type = SCM_RIGHTS;
        control.header.cmsg_len = CMSG_LEN(bytes);
        memcpy(CMSG_DATA(&control.header), parcel->fds, bytes);
        message.msg_control = control.bytes;
        message.msg_controllen = CMSG_SPACE(bytes);
    }
    return sendmsg(fd, &message, MSG_NOSIGNAL);
}

ssize_t weft_send_fds(int fd, const void *buffer, size_t len, const int *fds, size_t count,
                      int64_t deadline_ns)
{
    struct parcel parcel = {.piece.iov_len = len, .fds = fds, .fds_len = count};
    if (len == 0 || count > WEFT_SEND_FDS_MAX)
        return -EINVAL;
    memcpy(&parcel.piece.iov_base, &buffer, sizeof buffer); /* sendmsg changes nothing */
    return weft_io_retry(fd, WEFT_READY_WRITE, attempt_send, &parcel, deadline_ns);
}

/* Take the descriptors out of a message. Returns false, with all of them closed, when there are
 * more than fit. */
static bool unpack(struct msghdr *message, struct parcel *parcel)
{
    int fds[WEFT_SEND_FDS_MAX];
    size_t count = 0;
    for (struct cmsghdr *header = CMSG_FIRSTHDR(message); header;
         header = CMSG_NXTHDR(message, header)) {
        if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS)
            continue;
        size_t bytes = header->cmsg_len - CMSG_LEN(0);
        if (bytes > sizeof fds - count * sizeof(int))
            bytes = sizeof fds - count * sizeof(int); /* never: the buffer holds no more */
        memcpy(fds + count, CMSG_DATA(header), bytes);
        count += bytes / sizeof(int);
    }
    bool fits = count <= parcel->ret_max && !(message->msg_flags & (MSG_CTRUNC | MSG_TRUNC));
    for (size_t i = 0; i < count && !fits; i++)
        (void)close(fds[i]);
    for (size_t i = 0; i < count && fits; i++) {
        weft_fd_made(weft_current_worker, fds[i], false);
        parcel->ret_fds[i] = fds[i];
    }
    parcel->ret_len = fits ? count : 0;
    return fits;
}

static ssize_t attempt_receive(int fd, void *arg)
{
    struct parcel *parcel = arg;
    union control control;
    struct msghdr message = {
        .msg_iov = &parcel->piece,
        .msg_iovlen = 1,
        .msg_control = control.bytes,
        .msg_controllen = sizeof control.bytes,
    };
    ssize_t count = recvmsg(fd, &message, MSG_CMSG_CLOEXEC);
    if (count >= 0 && !unpack(&message, parcel)) {
        errno = EMSGSIZE;
        return -1;
    }
    return count;
}

ssize_t weft_receive_fds(int fd, void *buffer, size_t len, int *ret_fds, size_t fds_max,
                         size_t *ret_count, int64_t deadline_ns)
{
    struct parcel parcel = {.piece = {buffer, len}, .ret_fds = ret_fds, .ret_max = fds_max};
    ssize_t count = weft_io_retry(fd, WEFT_READY_READ, attempt_receive, &parcel, deadline_ns);
    if (count >= 0)
        *ret_count = parcel.ret_len;
    return count;
}
