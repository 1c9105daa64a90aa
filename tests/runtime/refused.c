/* SPDX-License-Identifier: MIT
 * refused.c - memory, descriptors and threads run out at every possible point.
 *
 * The linker sends the library's calls below through this file (-Wl,--wrap), which counts them and
 * refuses the n-th: once, or from then on. A scenario runs for n = 1, 2, ... until nothing was
 * refused any more. Every time it must end, and leave no memory and no descriptor behind. Calls
 * that a signal may interrupt are interrupted in the same way; that must make no difference at all.
 */
#include "test.h"

#include <runtime/worker.h>
#include <weft/weft.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

static struct {
    unsigned on;
    unsigned at, seen; /* the at-th call is refused, counted from 1 */
    unsigned fired;
    enum mode {
        ONCE,
        ONWARDS,   /* and all that follow */
        INTERRUPT, /* those that a signal may interrupt */
        MODES,
    } mode;
    long live; /* allocations of this program that are not freed */
} refusal;

static bool is_due(bool onwards)
{
    unsigned number = __atomic_add_fetch(&refusal.seen, 1, __ATOMIC_SEQ_CST);
    bool due = number == refusal.at || (number > refusal.at && onwards);
    if (due)
        __atomic_store_n(&refusal.fired, 1, __ATOMIC_SEQ_CST);
    return due;
}

static bool refuse(int error)
{
    if (!__atomic_load_n(&refusal.on, __ATOMIC_SEQ_CST) || refusal.mode == INTERRUPT ||
        !is_due(refusal.mode == ONWARDS))
        return false;
    errno = error;
    return true;
}

static bool interrupt(void)
{
    if (!__atomic_load_n(&refusal.on, __ATOMIC_SEQ_CST) || refusal.mode != INTERRUPT ||
        !is_due(false))
        return false;
    errno = EINTR;
    return true;
}

static void *count_live(void *allocated)
{
    if (allocated)
        (void)__atomic_add_fetch(&refusal.live, 1, __ATOMIC_SEQ_CST);
    return allocated;
}

/* ---- what can be refused --------------------------------------------------------------- */

/* name(arguments) that is refused comes to failed, with error in errno. */
#define REFUSABLE(type, name, parameters, arguments, failed, error)                                \
    type __real_##name parameters;                                                                 \
    type __wrap_##name parameters;                                                                 \
    type __wrap_##name parameters                                                                  \
    {                                                                                              \
        return refuse(error) ? (failed) : __real_##name arguments;                                 \
    }

#define REFUSABLE_OR_INTERRUPTIBLE(type, name, parameters, arguments, failed, error)               \
    type __real_##name parameters;                                                                 \
    type __wrap_##name parameters;                                                                 \
    type __wrap_##name parameters                                                                  \
    {                                                                                              \
        return interrupt() || refuse(error) ? (failed) : __real_##name arguments;                  \
    }

#define INTERRUPTIBLE(type, name, parameters, arguments)                                           \
    type __real_##name parameters;                                                                 \
    type __wrap_##name parameters;                                                                 \
    type __wrap_##name parameters                                                                  \
    {                                                                                              \
        return interrupt() ? -1 : __real_##name arguments;                                         \
    }

void *__real_malloc(size_t bytes);
void *__wrap_malloc(size_t bytes);
void *__real_calloc(size_t len, size_t bytes);
void *__wrap_calloc(size_t len, size_t bytes);
void *__real_realloc(void *old, size_t bytes);
void *__wrap_realloc(void *old, size_t bytes);
void __real_free(void *allocated);
void __wrap_free(void *allocated);

void *__wrap_malloc(size_t bytes)
{
    return refuse(ENOMEM) ? NULL : count_live(__real_malloc(bytes));
}

void *__wrap_calloc(size_t len, size_t bytes)
{
    return refuse(ENOMEM) ? NULL : count_live(__real_calloc(len, bytes));
}

void *__wrap_realloc(void *old, size_t bytes)
{
    if (refuse(ENOMEM))
        return NULL;
    return old ? __real_realloc(old, bytes) : count_live(__real_realloc(NULL, bytes));
}

void __wrap_free(void *allocated)
{
    if (allocated)
        (void)__atomic_sub_fetch(&refusal.live, 1, __ATOMIC_SEQ_CST);
    __real_free(allocated);
}

// clang-format off
REFUSABLE(void *, mmap64, (void *at, size_t len, int protection, int flags, int fd, off_t offset),
          (at, len, protection, flags, fd, offset), MAP_FAILED, ENOMEM)
REFUSABLE(int, madvise, (void *at, size_t len, int advice), (at, len, advice), -1, EINVAL)
REFUSABLE(int, mprotect, (void *at, size_t len, int protection), (at, len, protection), -1, ENOMEM)
REFUSABLE(int, pthread_create,
          (pthread_t *thread, const pthread_attr_t *attributes, void *(*fn)(void *), void *arg),
          (thread, attributes, fn, arg), EAGAIN, EAGAIN)
REFUSABLE(int, eventfd, (unsigned count, int flags), (count, flags), -1, EMFILE)
REFUSABLE(int, signalfd, (int fd, const sigset_t *set, int flags), (fd, set, flags), -1, EMFILE)
REFUSABLE(int, pipe2, (int *fds, int flags), (fds, flags), -1, EMFILE)
REFUSABLE(int, socket, (int domain, int type, int protocol), (domain, type, protocol), -1, EMFILE)
REFUSABLE(int, socketpair, (int domain, int type, int protocol, int *fds),
          (domain, type, protocol, fds), -1, EMFILE)
REFUSABLE_OR_INTERRUPTIBLE(int, accept4, (int fd, struct sockaddr *from, socklen_t *len, int flags),
          (fd, from, len, flags), -1, EMFILE)
REFUSABLE(int, listen, (int fd, int backlog), (fd, backlog), -1, EADDRINUSE)
REFUSABLE(int, getsockname, (int fd, struct sockaddr *name, socklen_t *len), (fd, name, len), -1,
          ENOBUFS)
REFUSABLE(int, getsockopt, (int fd, int level, int option, void *value, socklen_t *len),
          (fd, level, option, value, len), -1, ENOBUFS)
REFUSABLE(int, sigaction,
          (int number, const struct sigaction *action, struct sigaction *before),
          (number, action, before), -1, EINVAL)
REFUSABLE(int, waitid, (idtype_t type, id_t id, siginfo_t *info, int flags),
          (type, id, info, flags), -1, EINVAL)
REFUSABLE(int, dup2, (int from, int to), (from, to), -1, EBUSY)
REFUSABLE_OR_INTERRUPTIBLE(int, poll, (struct pollfd *fds, nfds_t len, int timeout_ms), (fds, len, timeout_ms), -1,
          ENOMEM)
REFUSABLE(int, epoll_create1, (int flags), (flags), -1, EMFILE)
REFUSABLE(int, epoll_ctl, (int epoll_fd, int operation, int fd, struct epoll_event *event),
          (epoll_fd, operation, fd, event), -1, ENOSPC)
REFUSABLE(struct io_uring_probe *, io_uring_get_probe_ring, (struct io_uring *ring), (ring), NULL,
          ENOMEM)
REFUSABLE(int, io_uring_submit_and_wait_timeout,
          (struct io_uring *ring, struct io_uring_cqe **cqe, unsigned wanted,
           struct __kernel_timespec *timeout, sigset_t *mask),
          (ring, cqe, wanted, timeout, mask), -EBADF, EBADF)
INTERRUPTIBLE(ssize_t, read, (int fd, void *bytes, size_t len), (fd, bytes, len))
INTERRUPTIBLE(ssize_t, pwrite64, (int fd, const void *bytes, size_t len, off_t offset),
              (fd, bytes, len, offset))
INTERRUPTIBLE(ssize_t, send, (int fd, const void *bytes, size_t len, int flags),
              (fd, bytes, len, flags))
INTERRUPTIBLE(ssize_t, sendmsg, (int fd, const struct msghdr *message, int flags),
              (fd, message, flags))
INTERRUPTIBLE(ssize_t, splice,
              (int from, off64_t *from_at, int to, off64_t *to_at, size_t len, unsigned flags),
              (from, from_at, to, to_at, len, flags))
INTERRUPTIBLE(ssize_t, sendfile64, (int to, int from, off64_t *offset, size_t len),
              (to, from, offset, len))
// clang-format on

/* What a kernel before this one does not have. */
static enum older {
    NOT_OLDER,
    NO_PWAIT2,         /* Linux 5.10 */
    NO_DEFERRED_WORK,  /* Linux 6.0 */
    NO_TASKRUN_FLAG,   /* Linux 5.18 */
    NO_MULTISHOT_POLL, /* Linux 5.12 */
} older;

int __real_sigaltstack(const stack_t *stack, stack_t *ret_before);
int __wrap_sigaltstack(const stack_t *stack, stack_t *ret_before);
int __real_epoll_wait(int fd, struct epoll_event *events, int max, int timeout_ms);
int __wrap_epoll_wait(int fd, struct epoll_event *events, int max, int timeout_ms);
int __real_epoll_pwait2(int fd, struct epoll_event *events, int max, const struct timespec *timeout,
                        const sigset_t *mask);
int __wrap_epoll_pwait2(int fd, struct epoll_event *events, int max, const struct timespec *timeout,
                        const sigset_t *mask);
int __real_io_uring_queue_init_params(unsigned entries, struct io_uring *ring,
                                      struct io_uring_params *params);
int __wrap_io_uring_queue_init_params(unsigned entries, struct io_uring *ring,
                                      struct io_uring_params *params);

/* A stack that was there before can always be put back. */
int __wrap_sigaltstack(const stack_t *stack, stack_t *ret_before)
{
    return ret_before && refuse(ENOMEM) ? -1 : __real_sigaltstack(stack, ret_before);
}

/* One that does not wait is not interrupted either. */
int __wrap_epoll_wait(int fd, struct epoll_event *events, int max, int timeout_ms)
{
    if ((timeout_ms != 0 && interrupt()) || refuse(EBADF))
        return -1;
    return __real_epoll_wait(fd, events, max, timeout_ms);
}

int __wrap_epoll_pwait2(int fd, struct epoll_event *events, int max, const struct timespec *timeout,
                        const sigset_t *mask)
{
    if (older == NO_PWAIT2) {
        errno = ENOSYS;
        return -1;
    }
    return interrupt() || refuse(EBADF) ? -1 : __real_epoll_pwait2(fd, events, max, timeout, mask);
}

int __wrap_io_uring_queue_init_params(unsigned entries, struct io_uring *ring,
                                      struct io_uring_params *params)
{
    unsigned unknown = 0;
    if (older >= NO_DEFERRED_WORK)
        unknown |= IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN;
    if (older >= NO_TASKRUN_FLAG)
        unknown |= IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG;
    if (params->flags & unknown)
        return -EINVAL;
    int err = refuse(ENOMEM) ? -ENOMEM : __real_io_uring_queue_init_params(entries, ring, params);
    if (err == 0 && older == NO_MULTISHOT_POLL)
        ring->features &= ~IORING_FEAT_RSRC_TAGS;
    return err;
}

int __real_open64(const char *path, int flags, ...);
int __wrap_open64(const char *path, int flags, ...);

int __wrap_open64(const char *path, int flags, ...)
{
    va_list args;
    va_start(args, flags);
    unsigned mode = flags & O_CREAT ? va_arg(args, unsigned) : 0;
    va_end(args);
    return refuse(EMFILE) ? -1 : __real_open64(path, flags, mode);
}

/* ---- the sweep ------------------------------------------------------------------------- */

#define REFUSALS_MAX 2000u /* more calls than any scenario makes */

static unsigned count_fds(void)
{
    unsigned count = 0;
    DIR *dir = opendir("/proc/self/fd");
    REQUIRE(dir);
    while (readdir(dir))
        count++;
    (void)closedir(dir);
    return count;
}

/* An abandoned call may end, and release what it holds, a little after its run. */
static bool left_nothing(long live, unsigned fds)
{
    int64_t deadline_ns = weft_now() + 10 * WEFT_SEC;
    bool clean = false;
    while (!clean && weft_now() < deadline_ns) {
        clean = __atomic_load_n(&refusal.live, __ATOMIC_SEQ_CST) == live && count_fds() == fds;
        (void)sched_yield();
    }
    return clean;
}

/* Returns whether anything was refused or interrupted. */
static bool run_refused(const struct weft_run_options *options, int (*fn)(void *), unsigned at,
                        enum mode mode)
{
    static const char *const done[MODES] = {"refused", "refused, and all after it", "interrupted"};
    long live = refusal.live;
    unsigned fds = count_fds();
    refusal.at = at;
    refusal.seen = refusal.fired = 0;
    refusal.mode = mode;
    __atomic_store_n(&refusal.on, 1, __ATOMIC_SEQ_CST);
    int err = weft_run(options, fn, NULL);
    __atomic_store_n(&refusal.on, 0, __ATOMIC_SEQ_CST);
    bool may_fail = refusal.fired && mode != INTERRUPT;
    bool good = (may_fail || err == 0) && left_nothing(live, fds);
    CHECK(good);
    if (!good)
        test_note("call %u %s: %s, %ld allocations and %d descriptors too many", at, done[mode],
                  weft_strerror(err), refusal.live - live, (int)count_fds() - (int)fds);
    return refusal.fired;
}

static void sweep(const struct weft_run_options *options, int (*fn)(void *))
{
    (void)run_refused(options, fn, UINT32_MAX, ONCE); /* what the C library keeps for itself */
    for (int mode = ONCE; mode < MODES; mode++) {
        unsigned at = 1;
        while (at < REFUSALS_MAX && run_refused(options, fn, at, (enum mode)mode))
            at++;
        CHECK(at < REFUSALS_MAX);
    }
}

/* ---- scenarios ------------------------------------------------------------------------- */

static int do_nothing(void *arg)
{
    (void)arg;
    return 0;
}

static int end_at_once(void *arg)
{
    (void)arg;
    return weft_yield();
}

TEST(a_run_that_cannot_get_what_it_needs_says_so_and_leaves_nothing)
{
    sweep(&(struct weft_run_options){.clock = WEFT_CLOCK_VIRTUAL}, end_at_once);
}

TEST(workers_that_cannot_start_end_the_run)
{
    uint64_t waits;
    sweep(&(struct weft_run_options){.workers = 3, .ret_waits = &waits}, end_at_once);
}

TEST(a_simulated_network_without_memory_is_no_network)
{
    sweep(&(struct weft_run_options){.io = "sim"}, end_at_once);
}

TEST(debug_mode_without_memory_threads_or_signals_does_not_begin)
{
    sweep(&(struct weft_run_options){.debug = WEFT_DEBUG_ON, .workers = 2}, end_at_once);
}

TEST(a_dump_signal_that_cannot_be_had_is_an_error)
{
    sweep(&(struct weft_run_options){.dump_signal = SIGUSR2}, end_at_once);
}

/* Sleeping fibers come to an end although there is nothing left that could wake them in time. */
static int sleep_and_wait_for_data(void *arg)
{
    (void)arg;
    int fds[2];
    int err = weft_pipe(fds);
    if (err < 0)
        return err;
    char byte;
    err = weft_wait_fd(fds[0], WEFT_READABLE, weft_now() + WEFT_MSEC);
    if (err == -ETIMEDOUT)
        err = (int)weft_read(fds[0], &byte, 1, weft_now() + WEFT_MSEC);
    if (err == -ETIMEDOUT)
        err = weft_sleep(WEFT_MSEC);
    (void)weft_close(fds[0]);
    (void)weft_close(fds[1]);
    return err;
}

TEST(a_reactor_that_fails_ends_the_run)
{
    sweep(&(struct weft_run_options){.workers = 2}, sleep_and_wait_for_data);
}

static void *inherit_itself(void *value)
{
    return value;
}

static void forget_value(void *value)
{
    (void)value;
}

static const struct weft_local_key inherited_key = {forget_value, inherit_itself};
static const struct weft_local_key released_key = {NULL, inherit_itself};

static int spawn_everywhere(void *arg)
{
    (void)arg;
    struct weft_group group;
    int value = 0, err = weft_group_init(&group, NULL);
    if (err == 0)
        err = weft_local_set(&inherited_key, &value);
    if (err == 0)
        err = weft_local_set(&released_key, &value);
    for (int i = 0; i < 4 && err == 0; i++) {
        const struct weft_spawn_options options = {
            .worker = i < 2 ? WEFT_WORKER(i) : WEFT_ANY_WORKER,
            .stack_bytes = (size_t)(i == 2 ? 64 : 32 + 512 * (i & 1)) << 10,
        };
        err = weft_spawn_with(&group, end_at_once, NULL, &options);
    }
    int result = weft_group_wait(&group);
    return err < 0 ? err : result;
}

TEST(a_task_that_cannot_start_fails_its_group)
{
    sweep(&(struct weft_run_options){.workers = 2}, spawn_everywhere);
}

static int fill_queues(void *arg)
{
    (void)arg;
    struct weft_channel channel;
    struct weft_priority_queue queue;
    int err = weft_channel_init_with(
        &channel, &(struct weft_channel_options){.item_bytes = sizeof(int), .unbounded = 1});
    for (int i = 0; i < 1000 && err == 0; i++)
        err = weft_send(&channel, &i, WEFT_NOWAIT);
    weft_channel_deinit(&channel);
    if (err == 0)
        err = weft_channel_init(&channel, sizeof(int), 10);
    weft_channel_deinit(&channel);
    if (err == 0)
        err = weft_priority_queue_init(&queue, sizeof(int), 10, WEFT_SHARED);
    if (err == 0)
        weft_priority_queue_deinit(&queue);
    return err;
}

TEST(queues_without_memory_refuse_items)
{
    sweep(NULL, fill_queues);
}

static int use_files(void *arg)
{
    (void)arg;
    char path[128];
    struct weft_dir *dir;
    struct weft_dir_entry entry;
    (void)snprintf(path, sizeof path, "%s/file", test_directory());
    int fd = weft_file_open(path, O_RDWR | O_CREAT, 0600);
    if (fd < 0)
        return fd;
    int err = weft_file_write_all(fd, "weft", 4, 0, NULL);
    if (err == 0)
        err = weft_file_truncate(fd, 2);
    (void)weft_close(fd);
    int open = weft_dir_open(test_directory(), &dir);
    if (open < 0)
        return open;
    while (err >= 0 && (err = weft_dir_next(dir, &entry)) > 0)
        ;
    weft_dir_close(dir);
    return err;
}

TEST(files_without_threads_or_memory_are_errors)
{
    (void)test_directory();
    sweep(NULL, use_files);
}

static void release_nothing(void *arg)
{
    (void)arg;
}

static int abandon_at_once(void *arg)
{
    (void)arg;
    int result = 0;
    return weft_offload_or_abandon(do_nothing, NULL, release_nothing, WEFT_FOREVER, &result);
}

TEST(work_that_could_be_abandoned_is_released_when_it_cannot_start)
{
    sweep(NULL, abandon_at_once);
}

static int use_threads(void *arg)
{
    (void)arg;
    int result = 0, err = weft_offload(do_nothing, NULL);
    if (err == 0)
        err = weft_offload_or_abandon(do_nothing, NULL, release_nothing, WEFT_FOREVER, &result);
    return err;
}

TEST(offloaded_work_without_threads_is_refused)
{
    sweep(NULL, use_threads);
}

static int talk_by_unix(void *arg)
{
    (void)arg;
    char path[128], byte = 0;
    int pair[2] = {-1, -1}, err;
    (void)snprintf(path, sizeof path, "%s/socket", test_directory());
    (void)unlink(path);
    int server = weft_unix_listen(path, NULL);
    int client = server < 0 ? server : weft_unix_connect(path, weft_now() + WEFT_SEC);
    int peer = client < 0 ? client : weft_unix_accept(server, weft_now() + WEFT_SEC);
    err = peer < 0 ? peer : weft_socketpair(SOCK_STREAM, pair);
    if (err == 0)
        err = weft_write_all(client, &byte, 1, weft_now() + WEFT_SEC, NULL);
    if (err == 0)
        err = weft_read_all(peer, &byte, 1, weft_now() + WEFT_SEC, NULL);
    const int fds[] = {server, client, peer, pair[0], pair[1]};
    for (size_t i = 0; i < sizeof fds / sizeof fds[0]; i++) {
        if (fds[i] >= 0)
            (void)weft_close(fds[i]);
    }
    return err;
}

TEST(sockets_without_descriptors_are_errors)
{
    (void)test_directory();
    sweep(NULL, talk_by_unix);
}

static int talk_by_tcp(void *arg)
{
    (void)arg;
    struct weft_address peer;
    int server = weft_tcp_listen("127.0.0.1", 0, NULL);
    int port = server < 0 ? server : weft_tcp_port(server);
    int client =
        port < 0 ? port : weft_tcp_connect("localhost", (uint16_t)port, weft_now() + WEFT_SEC);
    int accepted = client < 0 ? client : weft_tcp_accept(server, weft_now() + WEFT_SEC);
    int err = accepted < 0 ? accepted : weft_address_parse("127.0.0.1", 9, &peer);
    int datagrams = err < 0 ? err : weft_udp_open(&peer);
    const int fds[] = {server, client, accepted, datagrams};
    for (size_t i = 0; i < sizeof fds / sizeof fds[0]; i++) {
        if (fds[i] >= 0)
            (void)weft_close(fds[i]);
    }
    return datagrams < 0 ? datagrams : 0;
}

TEST(connections_without_descriptors_are_errors)
{
    sweep(NULL, talk_by_tcp);
}

static int serve_nobody(int fd, void *arg)
{
    (void)fd, (void)arg;
    return 0;
}

static int run_server(void *arg)
{
    (void)arg;
    return weft_tcp_serve("127.0.0.1", 0, NULL, serve_nobody, NULL);
}

static int serve_one(void *arg)
{
    (void)arg;
    char byte;
    struct weft_group group;
    int err = weft_group_init(&group, NULL);
    if (err < 0)
        return err;
    int port = weft_spawn_started(&group, run_server, NULL, NULL, WEFT_FOREVER);
    int fd = port < 0 ? port : weft_tcp_connect("127.0.0.1", (uint16_t)port, weft_now() + WEFT_SEC);
    err = fd < 0 ? fd : (int)weft_read(fd, &byte, 1, weft_now() + 10 * WEFT_SEC);
    if (fd >= 0)
        (void)weft_close(fd);
    weft_group_cancel(&group, -ECANCELED);
    weft_group_close(&group);
    return err;
}

TEST(a_server_without_descriptors_goes_on_or_says_why_not)
{
    sweep(&(struct weft_run_options){.clock = WEFT_CLOCK_VIRTUAL}, serve_one);
}

static int move_bytes(void *arg)
{
    (void)arg;
    char path[128], bytes[8] = "weft";
    int first[2] = {-1, -1}, second[2] = {-1, -1};
    (void)snprintf(path, sizeof path, "%s/moved", test_directory());
    int file = weft_file_open(path, O_RDWR | O_CREAT, 0600);
    int err = file < 0 ? file : weft_file_write_all(file, "weft", 4, 0, NULL);
    if (err == 0)
        err = weft_pipe(first);
    if (err == 0)
        err = weft_socketpair(SOCK_STREAM, second);
    if (err == 0)
        err = (int)weft_sendfile(first[1], file, 0, 4, WEFT_FOREVER);
    if (err == 4)
        err = (int)weft_splice(first[0], second[0], 4, WEFT_FOREVER);
    if (err == 4)
        err = weft_writev_all(second[0], &(struct iovec){bytes, 4}, 1, WEFT_FOREVER, NULL);
    if (err == 0)
        err = weft_read_all(second[1], bytes, 8, WEFT_FOREVER, NULL);
    const int fds[] = {file, first[0], first[1], second[0], second[1]};
    for (size_t i = 0; i < sizeof fds / sizeof fds[0]; i++) {
        if (fds[i] >= 0)
            (void)weft_close(fds[i]);
    }
    return err;
}

TEST(bytes_that_move_without_copies_arrive_or_say_why_not)
{
    (void)test_directory();
    sweep(NULL, move_bytes);
}

static int run_program(void *arg)
{
    (void)arg;
    static const char *const command[] = {"true", NULL};
    const struct weft_process_options options = {
        .in.kind = WEFT_STDIO_NULL,
        .out.kind = WEFT_STDIO_PIPE,
        .err.kind = WEFT_STDIO_NULL,
    };
    struct weft_process *process;
    struct weft_process_status status;
    int err = weft_process_open(&process, command, &options);
    if (err < 0)
        return err;
    err = weft_process_wait(process, WEFT_FOREVER, &status);
    weft_process_close(process);
    return err;
}

TEST(a_program_that_cannot_be_started_is_an_error)
{
    sweep(NULL, run_program);
}

static int use_streams(void *arg)
{
    (void)arg;
    struct weft_reader reader;
    struct weft_writer writer;
    int err = weft_reader_init(&reader, 0, NULL, 100);
    if (err == 0)
        weft_reader_deinit(&reader);
    if (err == 0)
        err = weft_writer_init(&writer, 1, NULL, 0);
    if (err == 0)
        weft_writer_deinit(&writer);
    return err;
}

TEST(streams_without_memory_do_not_open)
{
    sweep(NULL, use_streams);
}

static int describe(void *arg)
{
    (void)arg;
    int fds[2];
    int err = weft_socketpair(SOCK_STREAM, fds);
    if (err < 0)
        return err;
    err = weft_dump(fds[0]);
    (void)weft_close(fds[0]);
    (void)weft_close(fds[1]);
    return err;
}

TEST(a_dump_without_memory_is_an_error)
{
    sweep(&(struct weft_run_options){.workers = 2, .debug = WEFT_DEBUG_ON}, describe);
}

static int wait_for_signal(void *arg)
{
    static const int signals[] = {SIGUSR2};
    (void)arg;
    int err = weft_signal_wait(signals, 1, weft_now() + WEFT_MSEC);
    return err == -ETIMEDOUT ? 0 : err;
}

TEST(a_signal_that_nobody_can_wait_for_is_an_error)
{
    sweep(NULL, wait_for_signal);
}

/* ---- older kernels --------------------------------------------------------------------- */

static int run_on_older(enum older kernel, const char *io)
{
    older = kernel;
    int err = weft_run(&(struct weft_run_options){.io = io}, sleep_and_wait_for_data, NULL);
    older = NOT_OLDER;
    return err;
}

TEST(without_epoll_pwait2_epoll_does)
{
    CHECK_EQUAL(run_on_older(NO_PWAIT2, "epoll"), 0);
}

TEST(a_ring_with_fewer_abilities_does)
{
    int err = run_on_older(NOT_OLDER, "uring");
    if (err < 0) {
        test_skip("io_uring is not to be had on this kernel");
        return;
    }
    CHECK_EQUAL(run_on_older(NO_DEFERRED_WORK, "uring"), 0);
    CHECK_EQUAL(run_on_older(NO_TASKRUN_FLAG, "uring"), 0);
}

TEST(a_ring_that_cannot_watch_descriptors_is_not_used)
{
    int err = run_on_older(NO_MULTISHOT_POLL, "uring");
    CHECK(err == -ENOSYS || err == -EPERM); /* the second where every ring is refused */
    CHECK_EQUAL(run_on_older(NO_MULTISHOT_POLL, ""), 0);
}
