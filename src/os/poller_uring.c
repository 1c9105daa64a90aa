/* SPDX-License-Identifier: MIT
 * poller_uring.c - the reactor's eyes on io_uring: one multishot poll per descriptor, and requests
 * for files where the kernel knows the operation.
 *
 * The ring is made on the thread that uses it, with the best flags the kernel takes. A poll holds
 * a reference to its file, so unwatch must reach the kernel before the descriptor is closed:
 * otherwise the connection would stay open behind the program's back. */
#include <os/poller.h>
#include <os/request.h>
#include <os/sanitizer.h>

#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define SQ_ENTRIES 256
#define CQ_ENTRIES 4096
#define IGNORED    UINT64_MAX /* user_data of what nobody waits for */
#define CQES_MAX   256
#define SUBMIT_MAX 16 /* attempts to make room in a full queue */
#define LEN_MAX    0x7ffff000u
/* user_data of a request: its address, with a bit that no address has and no descriptor's tag. */
#define REQUEST_MARK (UINT64_C(1) << 63)

/* poller.h leaves the struct to each implementation; only one is linked to a given pointer. */
struct uring_poller {
    struct io_uring ring;
    bool knows[WEFT_REQUEST_KINDS]; /* what requests the kernel can carry out */
};

static struct uring_poller *uring_of(struct weft_poller *poller)
{
    return (struct uring_poller *)(void *)poller;
}

/* Single issuer and deferred task work (Linux 6.1) are fastest; each older kernel lacks a rung.
 * Deferred work does not end a poll of the ring, which is how valgrind has it waited for. */
static int open_ring(struct io_uring *ring)
{
    static const unsigned ladder[] = {
        IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG,
        IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG,
        0,
    };
    const size_t rungs = sizeof ladder / sizeof ladder[0];
    int err = -ENOSYS;
    for (size_t i = weft_valgrind_runs() ? rungs - 1 : 0; i < rungs; i++) {
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

static void ask_what_it_knows(struct uring_poller *poller)
{
    static const struct {
        enum weft_request_kind kind;
        int opcode;
    } pairs[] = {
        {WEFT_REQUEST_OPEN, IORING_OP_OPENAT},     {WEFT_REQUEST_READ, IORING_OP_READ},
        {WEFT_REQUEST_WRITE, IORING_OP_WRITE},     {WEFT_REQUEST_SYNC, IORING_OP_FSYNC},
        {WEFT_REQUEST_STAT, IORING_OP_STATX},      {WEFT_REQUEST_RENAME, IORING_OP_RENAMEAT},
        {WEFT_REQUEST_UNLINK, IORING_OP_UNLINKAT}, {WEFT_REQUEST_MAKE_DIR, IORING_OP_MKDIRAT},
    };
    struct io_uring_probe *probe = io_uring_get_probe_ring(&poller->ring);
    if (!probe)
        return; /* threads will do */
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++)
        poller->knows[pairs[i].kind] = io_uring_opcode_supported(probe, pairs[i].opcode);
    io_uring_free_probe(probe);
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
    ask_what_it_knows(poller);
    if (!weft_valgrind_runs()) /* which does not know that such a mapping is gone in a child */
        (void)io_uring_ring_dontfork(&poller->ring); /* a child has no business with it */
    (void)io_uring_register_ring_fd(&poller->ring);  /* saves a look-up per call; 5.18 */
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

static uint64_t request_tag(const struct weft_request *request)
{
    return (uint64_t)(uintptr_t)request | REQUEST_MARK;
}

static void prepare(struct io_uring_sqe *sqe, struct weft_request *request)
{
    unsigned len = request->len < LEN_MAX ? (unsigned)request->len : LEN_MAX;
    uint64_t offset = (uint64_t)request->offset;
    switch (request->kind) {
    case WEFT_REQUEST_OPEN:
        io_uring_prep_openat(sqe, AT_FDCWD, request->path, request->flags, request->mode);
        break;
    case WEFT_REQUEST_READ:
        io_uring_prep_read(sqe, request->fd, request->target, len, offset);
        break;
    case WEFT_REQUEST_WRITE:
        io_uring_prep_write(sqe, request->fd, request->source, len, offset);
        break;
    case WEFT_REQUEST_SYNC:
        io_uring_prep_fsync(sqe, request->fd, request->flags ? IORING_FSYNC_DATASYNC : 0);
        break;
    case WEFT_REQUEST_STAT:
        io_uring_prep_statx(sqe, request->fd, request->path, request->flags, STATX_BASIC_STATS,
                            request->info);
        break;
    case WEFT_REQUEST_RENAME:
        io_uring_prep_renameat(sqe, AT_FDCWD, request->path, AT_FDCWD, request->new_path, 0);
        break;
    case WEFT_REQUEST_UNLINK:
        io_uring_prep_unlinkat(sqe, AT_FDCWD, request->path, request->flags);
        break;
    case WEFT_REQUEST_MAKE_DIR:
        io_uring_prep_mkdirat(sqe, AT_FDCWD, request->path, request->mode);
        break;
    case WEFT_REQUEST_TRUNCATE:
    case WEFT_REQUEST_LIST:
    case WEFT_REQUEST_KINDS:
    default:
        io_uring_prep_nop(sqe); /* never: the ring does not know them */
        break;
    }
    io_uring_sqe_set_data64(sqe, request_tag(request));
}

static int uring_start(struct weft_poller *poller, struct weft_request *request)
{
    struct uring_poller *self = uring_of(poller);
    if (!self->knows[request->kind])
        return -EOPNOTSUPP;
    struct io_uring_sqe *sqe = next_sqe(&self->ring);
    if (!sqe)
        return -EBUSY;
    prepare(sqe, request);
    return 0;
}

static void uring_cancel(struct weft_poller *poller, struct weft_request *request)
{
    struct io_uring_sqe *sqe = next_sqe(&uring_of(poller)->ring);
    if (!sqe)
        return; /* it will end by itself */
    io_uring_prep_cancel64(sqe, request_tag(request), 0);
    io_uring_sqe_set_data64(sqe, IGNORED);
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

/* Valgrind sees what system calls write, but not what comes through the ring. */
static void tell_what_was_written(const struct weft_request *request)
{
    if (request->kind == WEFT_REQUEST_READ && request->result > 0)
        weft_valgrind_written(request->target, (size_t)request->result);
    if (request->kind == WEFT_REQUEST_STAT && request->result == 0)
        weft_valgrind_written(request->info, sizeof *request->info);
}

/* Returns false when there is nothing to report. */
static bool report(const struct io_uring_cqe *cqe, struct weft_ready *ret_ready)
{
    uint64_t data = io_uring_cqe_get_data64(cqe);
    if (data == IGNORED)
        return false;
    if (data & REQUEST_MARK) {
        void *pointer;
        uintptr_t address = (uintptr_t)(data & ~REQUEST_MARK);
        memcpy(&pointer, &address, sizeof pointer);
        struct weft_request *request = pointer;
        request->result = cqe->res;
        tell_what_was_written(request);
        *ret_ready = (struct weft_ready){.request = request};
        return true;
    }
    if (cqe->res == -ECANCELED)
        return false;
    /* A poll that failed (a bad descriptor) wakes both directions: the call will say why. */
    unsigned events = cqe->res < 0 ? WEFT_READY_READ | WEFT_READY_WRITE | WEFT_READY_HANGUP
                                   : ready_events(cqe->res);
    if (!(cqe->flags & IORING_CQE_F_MORE))
        events |= WEFT_READY_LOST;
    *ret_ready = (struct weft_ready){
        .fd = (int)(uint32_t)data,
        .generation = (uint32_t)(data >> 32),
        .events = events,
    };
    return true;
}

static size_t collect(struct io_uring *ring, struct weft_ready *ready, size_t ready_max)
{
    struct io_uring_cqe *cqes[CQES_MAX];
    unsigned max = ready_max < CQES_MAX ? (unsigned)ready_max : CQES_MAX;
    unsigned seen = io_uring_peek_batch_cqe(ring, cqes, max);
    size_t count = 0;
    for (unsigned i = 0; i < seen; i++)
        count += report(cqes[i], &ready[count]);
    io_uring_cq_advance(ring, seen);
    return count;
}

/* Valgrind lets no other thread run during a call that it does not know to wait: then the waiting
 * is poll's. */
static int wait_under_valgrind(struct io_uring *ring, const struct timespec *timeout)
{
    struct pollfd pollfd = {.fd = ring->ring_fd, .events = POLLIN};
    int err = io_uring_submit_and_get_events(ring);
    if (err < 0 || io_uring_cq_ready(ring) > 0)
        return err;
    if (ppoll(&pollfd, 1, timeout, NULL) < 0)
        return -errno;
    return io_uring_get_events(ring);
}

static int submit_and_wait(struct io_uring *ring, int64_t timeout_ns)
{
    struct __kernel_timespec timeout = {timeout_ns / 1000000000, timeout_ns % 1000000000};
    struct io_uring_cqe *cqe;
    if (weft_valgrind_runs()) {
        const struct timespec same = {timeout.tv_sec, (long)timeout.tv_nsec};
        return wait_under_valgrind(ring, timeout_ns < 0 ? NULL : &same);
    }
    return io_uring_submit_and_wait_timeout(ring, &cqe, 1, timeout_ns < 0 ? NULL : &timeout, NULL);
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
        err = submit_and_wait(ring, timeout_ns);
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
    .start = uring_start,
    .cancel = uring_cancel,
    .close = uring_close,
};
