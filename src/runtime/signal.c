/* SPDX-License-Identifier: MIT
 * signal.c - see weft/signal.h. */
#include <runtime/worker.h>

#include <weft/io.h>
#include <weft/signal.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/signalfd.h>

static int make_set(sigset_t *set, const int *signals, size_t count)
{
    (void)sigemptyset(set);
    for (size_t i = 0; i < count; i++) {
        if (sigaddset(set, signals[i]) < 0)
            return -EINVAL;
    }
    return count > 0 ? 0 : -EINVAL;
}

int weft_signal_block(const int *signals, size_t count)
{
    sigset_t set;
    int err = make_set(&set, signals, count);
    if (err < 0)
        return err;
    return -pthread_sigmask(SIG_BLOCK, &set, NULL);
}

int weft_signal_wait(const int *signals, size_t count, int64_t deadline_ns)
{
    sigset_t set;
    struct signalfd_siginfo info;
    struct weft_fiber *self;
    int err = weft_enter(&self);
    if (err == 0)
        err = make_set(&set, signals, count);
    if (err < 0)
        return err;
    int fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (fd < 0)
        return -errno;
    weft_fd_made(self->worker, fd, false);
    ssize_t len = weft_read(fd, &info, sizeof info, deadline_ns);
    (void)weft_close(fd);
    return len < 0 ? (int)len : (int)info.ssi_signo;
}

int weft_signal_cancel(struct weft_scope *scope, const int *signals, size_t count)
{
    sigset_t set;
    int number = weft_signal_wait(signals, count, WEFT_FOREVER);
    if (number < 0)
        return number;
    weft_scope_cancel(scope, 0);
    (void)make_set(&set, signals, count); /* it was good enough to wait for */
    (void)pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    return number;
}
