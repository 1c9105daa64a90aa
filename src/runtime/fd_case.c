/* SPDX-License-Identifier: MIT
 * fd_case.c - descriptors in weft_select. The level is asked first; after that every change is an
 * edge that the reactor reports. */
#include <runtime/case.h>

#include <weft/io.h>

#include <errno.h>

static struct weft_fd *entry_of(const struct weft_case *c)
{
    return weft_fd_entry(&weft_current_worker->fds, c->fd);
}

static int permit(const struct weft_case *c)
{
    if (!weft_current_worker)
        return -EPERM;
    return weft_fd_direction_valid(c->flags) ? 0 : -EINVAL;
}

static int attempt(struct weft_case *c, struct weft_waiter **ret_served)
{
    struct weft_worker *worker = weft_current_worker;
    (void)ret_served;
    int err = worker->broken ? worker->broken : weft_fd_watch(worker, c->fd);
    if (err < 0)
        return err;
    struct weft_fd *entry = entry_of(c);
    c->generation = entry->generation;
    err = entry->always_ready ? 0 : weft_fd_level(c->fd, c->flags);
    if (err != -EAGAIN)
        return err;
    /* What is remembered is older than the level. */
    entry->ready &= (uint8_t)~c->flags;
    return WEFT_WOULD_WAIT;
}

static bool ready(const struct weft_case *c, const struct weft_fiber *self)
{
    (void)c, (void)self; /* the reactor has not run since attempt */
    return false;
}

static struct weft_link *queue(struct weft_case *c)
{
    struct weft_fd *entry = entry_of(c);
    weft_current_worker->fd_waiters++;
    return weft_fd_waiters(entry, c->flags);
}

static void left(const struct weft_case *c, bool served)
{
    (void)c, (void)served;
    weft_current_worker->fd_waiters--;
}

static struct weft_link *queue_owed(struct weft_case *c)
{
    weft_current_worker->outstanding++;
    return queue(c);
}

static void left_owed(const struct weft_case *c, bool served)
{
    weft_current_worker->outstanding--;
    left(c, served);
}

static int outcome(const struct weft_case *c)
{
    return entry_of(c)->generation == c->generation ? 0 : -EBADF;
}

struct weft_case weft_case_fd(int fd, unsigned flags)
{
    static const struct weft_case_ops ops = {.permit = permit,
                                             .attempt = attempt,
                                             .ready = ready,
                                             .queue = queue,
                                             .left = left,
                                             .outcome = outcome};
    return (struct weft_case){.ops = &ops, .fd = fd, .flags = flags};
}

struct weft_case weft_case_owed_fd(int fd)
{
    static const struct weft_case_ops ops = {.permit = permit,
                                             .attempt = attempt,
                                             .ready = ready,
                                             .queue = queue_owed,
                                             .left = left_owed,
                                             .outcome = outcome};
    return (struct weft_case){.ops = &ops, .fd = fd, .flags = WEFT_READABLE};
}
