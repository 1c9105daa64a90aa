/* SPDX-License-Identifier: MIT
 * connect.c - connecting to whichever of a host's addresses answers first. See weft/net.h.
 *
 * One fiber holds all the attempts and waits for all of their descriptors at once. */
#include <runtime/io.h>
#include <runtime/resolve.h>
#include <runtime/worker.h>

#include <weft/io.h>

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#define STAGGER_NS (250 * WEFT_MSEC) /* RFC 8305, section 5 */

struct attempt {
    int fd;
    struct weft_waiter waiter;
};

struct race {
    struct weft_fiber *self;
    struct attempt attempts[WEFT_ADDRESSES_MAX];
    size_t live;
    int failure; /* of the last attempt that failed */
};

/* Whether the kernel is done with a connect. Returns 0, -EINPROGRESS, or why it failed. */
static int outcome(int fd)
{
    struct sockaddr_storage peer;
    int failure = 0;
    socklen_t failure_len = sizeof failure, peer_len = sizeof peer;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &failure, &failure_len) < 0)
        return -errno;
    if (failure)
        return -failure;
    if (getpeername(fd, (struct sockaddr *)&peer, &peer_len) == 0)
        return 0;
    return errno == ENOTCONN ? -EINPROGRESS : -errno;
}

/* Returns a connected descriptor, or negative: the attempt goes on, or has failed. */
static int start(struct race *race, const struct weft_address *address)
{
    int fd = weft_socket_open(address->storage.ss_family, SOCK_STREAM);
    if (fd < 0) {
        race->failure = fd;
        return fd;
    }
    weft_socket_option(fd, IPPROTO_TCP, TCP_NODELAY);
    if (connect(fd, (const struct sockaddr *)&address->storage, address->len) == 0)
        return fd;
    int err = errno == EINTR ? -EINPROGRESS : -errno;
    if (err == -EINPROGRESS) {
        race->attempts[race->live++] = (struct attempt){.fd = fd};
    } else {
        race->failure = err;
        (void)weft_close(fd);
    }
    return err;
}

static void end(struct race *race, size_t at)
{
    (void)weft_close(race->attempts[at].fd);
    race->attempts[at] = race->attempts[--race->live];
}

/* Look at every attempt. Returns a connected descriptor, which is no attempt any more; else
 * negative, -EINPROGRESS when none has failed either. */
static int look(struct race *race)
{
    int verdict = -EINPROGRESS;
    for (size_t i = race->live; i-- > 0;) {
        int fd = race->attempts[i].fd;
        int err = outcome(fd);
        if (err == 0) {
            race->attempts[i] = race->attempts[--race->live];
            return fd;
        }
        if (err != -EINPROGRESS) {
            verdict = race->failure = err;
            end(race, i);
        }
    }
    return verdict;
}

/* Have every attempt watched. Returns 1 when one has something to say already. */
static int watch_all(struct race *race)
{
    struct weft_worker *worker = race->self->worker;
    int said = 0;
    for (size_t i = 0; i < race->live; i++) {
        int fd = race->attempts[i].fd;
        int err = weft_fd_watch(worker, fd);
        if (err < 0)
            return err;
        struct weft_fd *entry = weft_fd_entry(&worker->fds, fd);
        if (entry->ready & WEFT_READY_WRITE)
            said = 1;
        entry->ready &= (uint8_t)~WEFT_READY_WRITE;
    }
    return said;
}

/* Wait until one of the attempts has something to say. Returns 0, -ETIMEDOUT, -ECANCELED, ... */
static int wait_for_any(struct race *race, int64_t deadline_ns)
{
    struct weft_fiber *self = race->self;
    struct weft_worker *worker = self->worker;
    int err = watch_all(race);
    if (err != 0)
        return err < 0 ? err : 0;
    if (deadline_ns == WEFT_NOWAIT)
        return -EAGAIN;
    self->waits_for = "a connection";
    weft_park_prepare(self);
    for (size_t i = 0; i < race->live; i++) {
        struct attempt *attempt = &race->attempts[i];
        attempt->waiter.fiber = self;
        weft_list_append(&weft_fd_entry(&worker->fds, attempt->fd)->writers, &attempt->waiter.link);
    }
    worker->fd_waiters++;
    err = weft_park(self, deadline_ns, WEFT_PARK_CANCELLABLE);
    worker->fd_waiters--;
    for (size_t i = 0; i < race->live; i++)
        weft_list_unlink(&race->attempts[i].waiter.link);
    return err;
}

/* In which order to try: the first family, then the other, in turn; within each the order stays
 * (RFC 8305, section 4). */
static void interleave(const struct weft_answer *answer, uint8_t *ret_order)
{
    size_t first = 0, other = 0, count = answer->count;
    const struct weft_address *from = answer->addresses;
    sa_family_t family = from[0].storage.ss_family;
    for (size_t i = 0; i < count; i++) {
        while (first < count && from[first].storage.ss_family != family)
            first++;
        while (other < count && from[other].storage.ss_family == family)
            other++;
        bool take_first = other >= count || (i % 2 == 0 && first < count);
        ret_order[i] = (uint8_t)(take_first ? first++ : other++);
    }
}

static int run(struct race *race, const struct weft_answer *answer, int64_t deadline_ns)
{
    uint8_t order[WEFT_ADDRESSES_MAX];
    size_t next = 0, count = answer->count;
    int64_t next_at_ns = 0;
    interleave(answer, order);
    for (;;) {
        int64_t now_ns = weft_worker_now(race->self->worker);
        if (next < count && (race->live == 0 || now_ns >= next_at_ns)) {
            int fd = start(race, &answer->addresses[order[next++]]);
            if (fd >= 0)
                return fd;
            next_at_ns = fd == -EINPROGRESS ? now_ns + STAGGER_NS : now_ns;
            continue;
        }
        if (race->live == 0)
            return race->failure;
        bool more = next < count && next_at_ns < deadline_ns;
        int err = wait_for_any(race, more ? next_at_ns : deadline_ns);
        if (err < 0 && !(err == -ETIMEDOUT && more))
            return err;
        int fd = look(race);
        if (fd >= 0)
            return fd;
        if (fd != -EINPROGRESS)
            next_at_ns = now_ns; /* a failure lets the next one begin at once */
    }
}

int weft_tcp_connect(const char *host, uint16_t port, int64_t deadline_ns)
{
    struct weft_answer answer = {.count = 0};
    struct weft_fiber *self;
    int err = weft_enter(&self);
    if (err == 0)
        err = weft_resolve_host(host, deadline_ns, &answer);
    if (err < 0)
        return err;
    for (size_t i = 0; i < answer.count; i++)
        weft_address_set_port(&answer.addresses[i], port);
    struct race race = {.self = self};
    int fd = run(&race, &answer, deadline_ns);
    while (race.live > 0)
        end(&race, race.live - 1);
    return fd;
}
