/* SPDX-License-Identifier: MIT
 * poller_epoll.c - the reactor's eyes on any Linux: epoll, edge-triggered. */
#include <os/poller.h>
#include <os/sanitizer.h>

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#define EVENTS_MAX 256

struct weft_poller {
    int epoll_fd;
    bool no_pwait2; /* before Linux 5.11 timeouts are whole milliseconds */
    struct epoll_event events[EVENTS_MAX];
};

static int epoll_open(struct weft_poller **ret_poller)
{
    struct weft_poller *poller = calloc(1, sizeof *poller);
    if (!poller)
        return -ENOMEM;
    poller->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (poller->epoll_fd < 0) {
        int err = -errno;
        free(poller);
        return err;
    }
    *ret_poller = poller;
    return 0;
}

static void epoll_close(struct weft_poller *poller)
{
    (void)close(poller->epoll_fd);
    free(poller);
}

static int epoll_watch(struct weft_poller *poller, int fd, uint32_t generation)
{
    struct epoll_event event = {
        .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
        .data.u64 = (uint64_t)generation << 32 | (uint32_t)fd,
    };
    return epoll_ctl(poller->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

static void epoll_unwatch(struct weft_poller *poller, int fd, uint32_t generation)
{
    (void)generation;
    (void)epoll_ctl(poller->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
}

static int wait_events(struct weft_poller *poller, int max, int64_t timeout_ns)
{
    if (!poller->no_pwait2 && timeout_ns > 0) {
        struct timespec timeout = {timeout_ns / 1000000000, timeout_ns % 1000000000};
        int count = epoll_pwait2(poller->epoll_fd, poller->events, max, &timeout, NULL);
        if (count >= 0 || (errno != ENOSYS && errno != EPERM)) /* EPERM: an old sandbox */
            return count;
        poller->no_pwait2 = true;
    }
    /* Rounded up: a deadline is never early. A day at most fits an int of milliseconds. */
    int64_t day_ns = INT64_C(86400) * 1000000000;
    int64_t capped_ns = timeout_ns > day_ns ? day_ns : timeout_ns;
    int timeout_ms = timeout_ns < 0 ? -1 : (int)((capped_ns + 999999) / 1000000);
    return epoll_wait(poller->epoll_fd, poller->events, max, timeout_ms);
}

static unsigned ready_events(uint32_t events)
{
    unsigned ready = 0;
    /* Errors and hang-ups belong to both directions: whoever waits must learn of them. */
    if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        ready |= WEFT_READY_READ;
    if (events & (EPOLLOUT | EPOLLHUP | EPOLLERR))
        ready |= WEFT_READY_WRITE;
    if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        ready |= WEFT_READY_HANGUP;
    return ready;
}

static int epoll_wait_ready(struct weft_poller *poller, struct weft_ready *ready, size_t ready_max,
                            int64_t timeout_ns)
{
    int max = ready_max < EVENTS_MAX ? (int)ready_max : EVENTS_MAX;
    int count = wait_events(poller, max, timeout_ns);
    if (count < 0)
        return errno == EINTR ? 0 : -errno;
    for (int i = 0; i < count; i++) {
        const struct epoll_event *event = &poller->events[i];
        ready[i] = (struct weft_ready){
            .fd = (int)(uint32_t)event->data.u64,
            .generation = (uint32_t)(event->data.u64 >> 32),
            .events = ready_events(event->events),
        };
    }
    return count;
}

static int epoll_start(struct weft_poller *poller, struct weft_request *request)
{
    (void)poller, (void)request;
    return -EOPNOTSUPP;
}

static void epoll_cancel(struct weft_poller *poller, struct weft_request *request)
{
    (void)poller, (void)request;
}

const struct weft_poller_ops weft_poller_epoll = {
    .name = "epoll",
    .open = epoll_open,
    .watch = epoll_watch,
    .unwatch = epoll_unwatch,
    .wait = epoll_wait_ready,
    .start = epoll_start,
    .cancel = epoll_cancel,
    .close = epoll_close,
};

int weft_poller_open(const char *name, const struct weft_poller_ops **ret_ops,
                     struct weft_poller **ret_poller)
{
    bool any = !name || !*name;
    if (!any && strcmp(name, "epoll") != 0 && strcmp(name, "uring") != 0 &&
        strcmp(name, "io_uring") != 0)
        return -EINVAL;
    /* Valgrind (3.19) lets no other thread run while one waits in io_uring. */
    bool avoid_uring = any ? weft_valgrind_runs() : strcmp(name, "epoll") == 0;
    if (!avoid_uring) {
        int err = weft_poller_uring.open(ret_poller);
        if (err == 0)
            *ret_ops = &weft_poller_uring;
        if (err == 0 || !any)
            return err;
    }
    int err = weft_poller_epoll.open(ret_poller);
    if (err == 0)
        *ret_ops = &weft_poller_epoll;
    return err;
}
