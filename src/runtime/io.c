/* SPDX-License-Identifier: MIT
 * io.c - reading and writing: the system call first, waiting only when it says EAGAIN. */
#include <runtime/io.h>
#include <runtime/sim.h>
#include <runtime/worker.h>

#include <weft/io.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define WINDOW 16 /* pieces handed to the kernel at once by weft_writev_all */

/* Under the simulated reactor: whether the connection breaks now. */
static bool breaks(const struct weft_fiber *self, struct weft_fd *entry, int fd)
{
    return self->worker->sim && weft_sim_resets(self->worker->sim, entry, fd);
}

/* Under the simulated reactor: how much of len bytes moves this time. */
static size_t moving(const struct weft_fiber *self, int fd, size_t len)
{
    return self->worker->sim ? weft_sim_cut(self->worker->sim, fd, len) : len;
}

ssize_t weft_io_retry(int fd, unsigned direction, weft_io_attempt *attempt, void *arg,
                      int64_t deadline_ns)
{
    struct weft_fiber *self;
    int err = weft_enter(&self);
    if (err < 0)
        return err;
    if (breaks(self, weft_fd_entry(&self->worker->fds, fd), fd))
        return -ECONNRESET;
    for (;;) {
        ssize_t count = attempt(fd, arg);
        if (count >= 0) {
            weft_spend(self, deadline_ns);
            return count;
        }
        if (errno == EINTR)
            continue;
        if (errno != EAGAIN)
            return -errno;
        err = weft_fd_wait(self, fd, direction, deadline_ns);
        if (err < 0)
            return err;
    }
}

/* ---- reading --------------------------------------------------------------------------- */

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
    if (breaks(self, entry, fd))
        return -ECONNRESET;
    len = moving(self, fd, len);
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

struct pieces {
    const struct iovec *pieces;
    int count;
};

static ssize_t attempt_readv(int fd, void *arg)
{
    const struct pieces *all = arg;
    return readv(fd, all->pieces, all->count);
}

ssize_t weft_readv(int fd, const struct iovec *pieces, int count, int64_t deadline_ns)
{
    struct pieces all = {pieces, count};
    if (count < 0 || count > WEFT_IOV_MAX)
        return -EINVAL;
    return weft_io_retry(fd, WEFT_READY_READ, attempt_readv, &all, deadline_ns);
}

/* Tells whether a descriptor is still the one it was when a call of several steps began: closed
 * between two of them, its number may have another owner. */
struct identity {
    const struct weft_fd *entry;
    uint32_t generation;
};

static struct identity identity_of(int fd)
{
    const struct weft_fiber *self = weft_self();
    const struct weft_fd *entry = self ? weft_fd_entry(&self->worker->fds, fd) : NULL;
    return (struct identity){entry, entry ? entry->generation : 0};
}

static bool is_same(const struct identity *identity)
{
    return !identity->entry || identity->entry->generation == identity->generation;
}

int weft_read_all(int fd, void *buffer, size_t len, int64_t deadline_ns, size_t *ret_read)
{
    char *bytes = buffer;
    size_t done = 0;
    int err = 0;
    const struct identity identity = identity_of(fd);
    while (done < len && err == 0) {
        ssize_t count =
            is_same(&identity) ? weft_read(fd, bytes + done, len - done, deadline_ns) : -EBADF;
        if (count > 0)
            done += (size_t)count;
        else
            err = count < 0 ? (int)count : -ENODATA;
    }
    if (ret_read)
        *ret_read = done;
    return err;
}

/* ---- writing --------------------------------------------------------------------------- */

void weft_quiet_begin(struct weft_quiet *quiet)
{
    sigset_t pipe_only;
    (void)sigemptyset(&pipe_only);
    (void)sigaddset(&pipe_only, SIGPIPE);
    (void)pthread_sigmask(SIG_BLOCK, &pipe_only, &quiet->before);
}

void weft_quiet_end(const struct weft_quiet *quiet, bool broken_pipe)
{
    int saved = errno;
    if (sigismember(&quiet->before, SIGPIPE) == 1)
        return; /* blocked all along: pending or not is the program's own affair */
    if (broken_pipe) {
        static const struct timespec at_once;
        sigset_t pipe_only;
        (void)sigemptyset(&pipe_only);
        (void)sigaddset(&pipe_only, SIGPIPE);
        (void)sigtimedwait(&pipe_only, NULL, &at_once);
    }
    (void)pthread_sigmask(SIG_SETMASK, &quiet->before, NULL);
    errno = saved;
}

/* MSG_NOSIGNAL spares sockets the SIGPIPE; other descriptors have only write. */
static ssize_t write_quietly(int fd, const void *buffer, size_t len)
{
    struct weft_quiet quiet;
    ssize_t count = send(fd, buffer, len, MSG_NOSIGNAL);
    if (count >= 0 || errno != ENOTSOCK)
        return count;
    weft_quiet_begin(&quiet);
    count = write(fd, buffer, len);
    weft_quiet_end(&quiet, count < 0 && errno == EPIPE);
    return count;
}

static ssize_t attempt_writev(int fd, void *arg)
{
    const struct pieces *all = arg;
    struct weft_quiet quiet;
    const void *unchanged = all->pieces; /* sendmsg only reads them */
    void *pieces;
    memcpy(&pieces, &unchanged, sizeof pieces);
    struct msghdr message = {.msg_iov = pieces, .msg_iovlen = (size_t)all->count};
    ssize_t count = sendmsg(fd, &message, MSG_NOSIGNAL);
    if (count >= 0 || errno != ENOTSOCK)
        return count;
    weft_quiet_begin(&quiet);
    count = writev(fd, all->pieces, all->count);
    weft_quiet_end(&quiet, count < 0 && errno == EPIPE);
    return count;
}

ssize_t weft_writev(int fd, const struct iovec *pieces, int count, int64_t deadline_ns)
{
    struct pieces all = {pieces, count};
    if (count < 0 || count > WEFT_IOV_MAX)
        return -EINVAL;
    return weft_io_retry(fd, WEFT_READY_WRITE, attempt_writev, &all, deadline_ns);
}

ssize_t weft_write(int fd, const void *buffer, size_t len, int64_t deadline_ns)
{
    struct weft_fiber *self;
    int err = weft_enter(&self);
    if (err < 0)
        return err;
    struct weft_fd *entry = weft_fd_entry(&self->worker->fds, fd);
    if (breaks(self, entry, fd))
        return -ECONNRESET;
    len = moving(self, fd, len);
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
    const struct identity identity = identity_of(fd);
    while (written < len) {
        count = is_same(&identity) ? weft_write(fd, bytes + written, len - written, deadline_ns)
                                   : -EBADF;
        if (count < 0)
            break;
        written += (size_t)count;
    }
    if (ret_written)
        *ret_written = written;
    return count < 0 ? (int)count : 0;
}

/* The next pieces to write: from *at on, of which `skip` bytes are gone. Returns how many. */
static int fill_window(struct iovec *window, const struct iovec *pieces, int count, int at,
                       size_t skip)
{
    int len = 0;
    while (len < WINDOW && at + len < count) {
        window[len] = pieces[at + len];
        len++;
    }
    if (len > 0) {
        window[0].iov_base = (char *)window[0].iov_base + skip;
        window[0].iov_len -= skip;
    }
    return len;
}

int weft_writev_all(int fd, const struct iovec *pieces, int count, int64_t deadline_ns,
                    size_t *ret_written)
{
    struct iovec window[WINDOW];
    size_t written = 0, skip = 0;
    ssize_t sent = count < 0 || count > WEFT_IOV_MAX ? -EINVAL : 0;
    const struct identity identity = identity_of(fd);
    int at = 0;
    while (sent >= 0) {
        while (at < count && skip == pieces[at].iov_len) {
            at++;
            skip = 0;
        }
        if (at >= count)
            break;
        int len = fill_window(window, pieces, count, at, skip);
        sent = is_same(&identity) ? weft_writev(fd, window, len, deadline_ns) : -EBADF;
        size_t left = sent > 0 ? (size_t)sent : 0;
        written += left;
        while (left > 0 && left >= pieces[at].iov_len - skip) {
            left -= pieces[at++].iov_len - skip;
            skip = 0;
        }
        skip += left;
    }
    if (ret_written)
        *ret_written = written;
    return sent < 0 ? (int)sent : 0;
}

/* ---- descriptors ----------------------------------------------------------------------- */

int weft_fd_level(int fd, unsigned direction)
{
    struct pollfd now = {.fd = fd, .events = POLLRDHUP};
    if (direction == WEFT_READABLE)
        now.events = POLLIN | POLLRDHUP;
    else if (direction == WEFT_WRITABLE)
        now.events = POLLOUT;
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
    if (!weft_fd_direction_valid(flags))
        return -EINVAL;
    const struct weft_fd *entry = weft_fd_entry(&self->worker->fds, fd);
    bool known_empty =
        flags == WEFT_READABLE && entry && entry->drained && deadline_ns != WEFT_NOWAIT;
    err = known_empty ? -EAGAIN : weft_fd_level(fd, flags);
    if (err != -EAGAIN) {
        weft_spend(self, deadline_ns);
        return err;
    }
    return weft_fd_wait(self, fd, flags, deadline_ns);
}

int weft_pipe(int ret_fds[2])
{
    int fds[2];
    if (pipe2(fds, O_NONBLOCK | O_CLOEXEC) < 0)
        return -errno;
    for (int i = 0; i < 2; i++) {
        if (weft_current_worker)
            weft_fd_made(weft_current_worker, fds[i], false);
        ret_fds[i] = fds[i];
    }
    return 0;
}

int weft_socketpair(int type, int ret_fds[2])
{
    int fds[2];
    if (socketpair(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) < 0)
        return -errno;
    for (int i = 0; i < 2; i++) {
        if (weft_current_worker)
            weft_fd_made(weft_current_worker, fds[i], false);
        ret_fds[i] = fds[i];
    }
    return 0;
}

/* Only TCP: a read of a unix stream ends where descriptors were sent along. */
static bool is_tcp(int fd)
{
    int domain = 0, type = 0;
    socklen_t domain_len = sizeof domain, type_len = sizeof type;
    return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &domain_len) == 0 &&
           getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &type_len) == 0 &&
           (domain == AF_INET || domain == AF_INET6) && type == SOCK_STREAM;
}

int weft_fd_adopt(int fd)
{
    if (!weft_current_worker)
        return -EPERM;
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ||
        fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
        return -errno;
    weft_fd_made(weft_current_worker, fd, is_tcp(fd));
    return 0;
}

int weft_fd_release(int fd)
{
    if (!weft_current_worker)
        return -EPERM;
    if (fcntl(fd, F_GETFD) < 0)
        return -errno;
    weft_fd_forget(weft_current_worker, fd);
    return 0;
}

int weft_close(int fd)
{
    struct weft_worker *worker = weft_current_worker;
    if (worker)
        weft_fd_forget(worker, fd);
    return close(fd) < 0 ? -errno : 0;
}
