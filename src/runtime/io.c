/* SPDX-License-Identifier: MIT
 * io.c - reading and writing: the system call first, waiting only when it says EAGAIN. */
#include <runtime/worker.h>

#include <weft/io.h>

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

/* A short read of a watched stream socket took all there was: the next read need not ask the
 * kernel before it waits. Not so after a hang-up, which is reported only once. */
static void note_read(struct weft_fd *entry, ssize_t count, size_t len)
{
    if (entry && entry->stream && entry->watched && !entry->hangup)
        entry->drained = count > 0 && (size_t)count < len;
}

ssize_t weft_read(int fd, void *buffer, size_t len, int64_t deadline_ns)
{
    struct weft_fiber *self;
    int err = weft_enter(&self);
    if (err < 0)
        return err;
    struct weft_fd *entry = weft_fd_entry(&self->worker->fds, fd);
    for (;;) {
        if (!entry || !entry->drained || deadline_ns == WEFT_NOWAIT) {
            ssize_t count = read(fd, buffer, len);
            if (count >= 0) {
                note_read(entry, count, len);
                weft_spend(self, deadline_ns);
                return count;
            }
            if (errno == EINTR)
                continue;
            if (errno != EAGAIN)
                return -errno;
        }
        err = weft_fd_wait(self, fd, WEFT_READY_READ, deadline_ns);
        if (err < 0)
            return err;
        if (entry)
            entry->drained = false;
    }
}

/* MSG_NOSIGNAL spares sockets the SIGPIPE; other descriptors have only write. */
static ssize_t write_quietly(int fd, const void *buffer, size_t len)
{
    ssize_t count = send(fd, buffer, len, MSG_NOSIGNAL);
    return count < 0 && errno == ENOTSOCK ? write(fd, buffer, len) : count;
}

ssize_t weft_write(int fd, const void *buffer, size_t len, int64_t deadline_ns)
{
    struct weft_fiber *self;
    int err = weft_enter(&self);
    if (err < 0)
        return err;
    for (;;) {
        ssize_t count = write_quietly(fd, buffer, len);
        if (count >= 0) {
            weft_spend(self, deadline_ns);
            return count;
        }
        if (errno == EINTR)
            continue;
        if (errno != EAGAIN)
            return -errno;
        err = weft_fd_wait(self, fd, WEFT_READY_WRITE, deadline_ns);
        if (err < 0)
            return err;
    }
}

int weft_write_all(int fd, const void *buffer, size_t len, int64_t deadline_ns, size_t *ret_written)
{
    const char *bytes = buffer;
    size_t written = 0;
    ssize_t count = 0;
    const struct weft_fiber *self = weft_self();
    const struct weft_fd *entry = self ? weft_fd_entry(&self->worker->fds, fd) : NULL;
    uint32_t generation = entry ? entry->generation : 0;
    while (written < len) {
        /* Closed by another fiber between two writes: the rest is not for who has the number now.
         */
        if (entry && entry->generation != generation)
            count = -EBADF;
        else
            count = weft_write(fd, bytes + written, len - written, deadline_ns);
        if (count < 0)
            break;
        written += (size_t)count;
    }
    if (ret_written)
        *ret_written = written;
    return count < 0 ? (int)count : 0;
}

int weft_fd_level(int fd, unsigned flags)
{
    struct pollfd now = {.fd = fd, .events = flags == WEFT_READABLE ? POLLIN | POLLRDHUP : POLLOUT};
    int ready = poll(&now, 1, 0);
    if (ready < 0)
        return errno == EINTR ? 0 : -errno;
    if (now.revents & POLLNVAL)
        return -EBADF;
    return ready > 0 ? 0 : -EAGAIN;
}

int weft_wait_fd(int fd, unsigned flags, int64_t deadline_ns)
{
    struct weft_fiber *self;
    int err = weft_enter(&self);
    if (err < 0)
        return err;
    if (flags != WEFT_READABLE && flags != WEFT_WRITABLE)
        return -EINVAL;
    const struct weft_fd *entry = weft_fd_entry(&self->worker->fds, fd);
    bool known_empty =
        flags == WEFT_READABLE && entry && entry->drained && deadline_ns != WEFT_NOWAIT;
    err = known_empty ? -EAGAIN : weft_fd_level(fd, flags);
    if (err != -EAGAIN) {
        weft_spend(self, deadline_ns);
        return err;
    }
    return weft_fd_wait(self, fd, flags == WEFT_READABLE ? WEFT_READY_READ : WEFT_READY_WRITE,
                        deadline_ns);
}

int weft_close(int fd)
{
    struct weft_worker *worker = weft_current_worker;
    if (worker)
        weft_fd_forget(worker, fd);
    return close(fd) < 0 ? -errno : 0;
}
