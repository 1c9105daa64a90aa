/* SPDX-License-Identifier: MIT
 * poller_uring.c - the reactor's eyes on io_uring: one multishot poll per descriptor.
 *
 * The ring is made on the thread that uses it, with the best flags the kernel takes. A poll holds
 * a reference to its file, so unwatch must reach the kernel before the descriptor is closed:
 * otherwise the connection would stay open behind the program's back. */
#include <os/poller.h>

#include <errno.h>
#include <liburing.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>

#define SQ_ENTRIES 256
#define CQ_ENTRIES 4096
#define IGNORED    UINT64_MAX /* user_data of what nobody waits for */
#define CQES_MAX   256
#define SUBMIT_MAX 16 /* attempts to make room in a full queue */

/* poller.h leaves the struct to each implementation; only one is linked to a given pointer. */
struct uring_poller {
    struct io_uring ring;
};

static struct uring_poller *uring_of(struct weft_poller *poller)
{
    return (struct uring_poller *)(void *)poller;
}

/* Single issuer and deferred task work (Linux 6.1) are fastest; each older kernel lacks a rung. */
static int open_ring(struct io_uring *ring)
{
    static const unsigned ladder[] = {
        IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG,
        IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG,
        0,
    };
    int err = -ENOSYS;
    for (size_t i = 0; i < sizeof ladder / sizeof ladder[0]; i++) {
        struct io_uring_params params = {
            .flags = ladder[i] | IORING_SETUP_CLAMP | IORING_SETUP_CQSIZE,
            .cq_entries = CQ_ENTRIES,
        };
        err = io_uring_queue_init_params(SQ_ENTRIES, ring, &params);
        if (err != -EINVAL)
            break;
    }
    return err;
}

/* A waiting time beside the call, and completions that are never dropped: Linux 5.11. Multishot
 * poll came with 5.13, as did IORING_FEAT_RSRC_TAGS. */
static int check_features(const struct io_uring *ring)
{
    unsigned needed = IORING_FEAT_EXT_ARG | IORING_FEAT_NODROP | IORING_FEAT_RSRC_TAGS;
    return (ring->features & needed) == needed ? 0 : -ENOSYS;
}

static int uring_open(struct weft_poller **ret_poller)
{
    struct uring_poller *poller = calloc(1, sizeof *poller);
    if (!poller)
        return -ENOMEM;
    int err = open_ring(&poller->ring);
    if (err < 0) {
        free(poller);
        return err;
    }
    err = check_features(&poller->ring);
    if (err < 0) {
        io_uring_queue_exit(&poller->ring);
        free(poller);
        return err;
    }
    (void)io_uring_ring_dontfork(&poller->ring);    /* a child has no business with it */
    (void)io_uring_register_ring_fd(&poller->ring); /* saves a look-up per call; 5.18 */
    *ret_poller = (struct weft_poller *)(void *)poller;
    return 0;
}

static struct io_uring_sqe *next_sqe(struct io_uring *ring)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(ring);
    for (int i = 0; !sqe && i < SUBMIT_MAX; i++) { /* full: hand over what is there */
        (void)io_uring_submit_and_get_events(ring);
        sqe = io_uring_get_sqe(ring);
    }
    return sqe;
}

/* Whether the kernel waits for us to enter, to turn what happened into completions. Completions
 * that lie in the ring already say nothing about that. */
static bool kernel_has_more(const struct io_uring *ring)
{
    unsigned flags = __atomic_load_n(ring->sq.kflags, __ATOMIC_ACQUIRE);
    return flags & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW);
}

/* Hand over what is queued and let the kernel finish what that set in motion; files are released
 * only then. Completions stay in the ring. */
static void submit_and_settle(struct io_uring *ring)
{
    int err = 0;
    for (int i = 0; i < SUBMIT_MAX; i++) {
        err = io_uring_submit_and_get_events(ring);
        unsigned flags = __atomic_load_n(ring->sq.kflags, __ATOMIC_ACQUIRE);
        if (err != -EINTR && !(flags & IORING_SQ_TASKRUN))
            break;
    }
}

static void uring_close(struct weft_poller *poller)
{
    if (!poller)
        return;
    struct io_uring *ring = &uring_of(poller)->ring;
    struct io_uring_sqe *sqe = next_sqe(ring);
    if (sqe) {
        /* A ring is torn down behind our back: its polls would hold their files a while longer. */
        io_uring_prep_cancel64(sqe, 0, IORING_ASYNC_CANCEL_ANY | IORING_ASYNC_CANCEL_ALL);
        submit_and_settle(ring);
    }
    io_uring_queue_exit(ring);
    free(poller);
}

static uint64_t tag(int fd, uint32_t generation)
{
    return (uint64_t)generation << 32 | (uint32_t)fd;
}

static int uring_watch(struct weft_poller *poller, int fd, uint32_t generation)
{
    struct io_uring_sqe *sqe = next_sqe(&uring_of(poller)->ring);
    if (!sqe)
        return -ENOMEM;
    /* Multishot polls are edge-triggered unless IORING_POLL_ADD_LEVEL asks otherwise. */
    io_uring_prep_poll_multishot(sqe, fd, POLLIN | POLLOUT | POLLRDHUP);
    io_uring_sqe_set_data64(sqe, tag(fd, generation));
    return 0;
}

static void uring_unwatch(struct weft_poller *poller, int fd, uint32_t generation)
{
    struct io_uring *ring = &uring_of(poller)->ring;
    struct io_uring_sqe *sqe = next_sqe(ring);
    if (!sqe)
        return;
    /* Not poll_remove, which gives up with -EALREADY while the poll reports something. */
    io_uring_prep_cancel64(sqe, tag(fd, generation), 0);
    io_uring_sqe_set_data64(sqe, IGNORED);
    submit_and_settle(ring);
}

static unsigned ready_events(int result)
{
    unsigned ready = 0;
    if (result & (POLLIN | POLLRDHUP | POLLHUP | POLLERR))
        ready |= WEFT_READY_READ;
    if (result & (POLLOUT | POLLHUP | POLLERR))
        ready |= WEFT_READY_WRITE;
    if (result & (POLLRDHUP | POLLHUP | POLLERR))
        ready |= WEFT_READY_HANGUP;
    return ready;
}

static size_t collect(struct io_uring *ring, struct weft_ready *ready, size_t ready_max)
{
    struct io_uring_cqe *cqes[CQES_MAX];
    unsigned max = ready_max < CQES_MAX ? (unsigned)ready_max : CQES_MAX;
    unsigned seen = io_uring_peek_batch_cqe(ring, cqes, max);
    size_t count = 0;
    for (unsigned i = 0; i < seen; i++) {
        uint64_t data = io_uring_cqe_get_data64(cqes[i]);
        if (data == IGNORED || cqes[i]->res == -ECANCELED)
            continue;
        /* A poll that failed (a bad descriptor) wakes both directions: the call will say why. */
        unsigned events = cqes[i]->res < 0 ? WEFT_READY_READ | WEFT_READY_WRITE | WEFT_READY_HANGUP
                                           : ready_events(cqes[i]->res);
        if (!(cqes[i]->flags & IORING_CQE_F_MORE))
            events |= WEFT_READY_LOST;
        ready[count++] = (struct weft_ready){
            .fd = (int)(uint32_t)data,
            .generation = (uint32_t)(data >> 32),
            .events = events,
        };
    }
    io_uring_cq_advance(ring, seen);
    return count;
}

static int uring_wait(struct weft_poller *poller, struct weft_ready *ready, size_t ready_max,
                      int64_t timeout_ns)
{
    struct io_uring *ring = &uring_of(poller)->ring;
    int err = 0;
    if (timeout_ns == 0) {
        if (io_uring_sq_ready(ring) > 0 || kernel_has_more(ring))
            err = io_uring_submit_and_get_events(ring);
    } else {
        struct __kernel_timespec timeout = {timeout_ns / 1000000000, timeout_ns % 1000000000};
        struct io_uring_cqe *cqe;
        err =
            io_uring_submit_and_wait_timeout(ring, &cqe, 1, timeout_ns < 0 ? NULL : &timeout, NULL);
    }
    if (err < 0 && err != -ETIME && err != -EINTR && err != -EAGAIN && err != -EBUSY)
        return err;
    return (int)collect(ring, ready, ready_max);
}

const struct weft_poller_ops weft_poller_uring = {
    .name = "io_uring",
    .open = uring_open,
    .watch = uring_watch,
    .unwatch = uring_unwatch,
    .wait = uring_wait,
    .close = uring_close,
};
