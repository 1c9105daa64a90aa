/* SPDX-License-Identifier: MIT
 * transfer.c - whole buffers, several pieces, splicing, and descriptors that change hands. */
#include "descriptors.h"
#include "test.h"

#include <weft/group.h>
#include <weft/io.h>
#include <weft/net.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

struct pipe_ends {
    int from, to;
};

static struct pipe_ends open_pipe(void)
{
    int fds[2];
    REQUIRE(weft_pipe(fds) == 0);
    return (struct pipe_ends){fds[0], fds[1]};
}

static void close_pipe(struct pipe_ends *ends)
{
    CHECK_EQUAL(weft_close(ends->from), 0);
    CHECK_EQUAL(weft_close(ends->to), 0);
}

static void fill_pipe(int fd)
{
    static const char zeros[4096];
    while (weft_write(fd, zeros, sizeof zeros, WEFT_NOWAIT) > 0)
        ;
}

FIBER_TEST(pieces_are_written_and_read_in_order)
{
    struct pipe_ends ends = open_pipe();
    char one[2], two[9] = "";
    char hello[] = "hello ", world[] = "world";
    struct iovec out[] = {{hello, 6}, {NULL, 0}, {world, 5}};
    struct iovec in[] = {{one, 2}, {two, 9}};
    CHECK_EQUAL(weft_writev(ends.to, out, 3, WEFT_FOREVER), 11);
    CHECK_EQUAL(weft_readv(ends.from, in, 2, WEFT_FOREVER), 11);
    CHECK(memcmp(one, "he", 2) == 0 && memcmp(two, "llo world", 9) == 0);
    CHECK_EQUAL(weft_writev(ends.to, out, -1, WEFT_FOREVER), -EINVAL);
    CHECK_EQUAL(weft_readv(ends.from, in, 1025, WEFT_FOREVER), -EINVAL);
    CHECK_EQUAL(weft_readv(ends.from, in, 2, WEFT_NOWAIT), -EAGAIN);
    CHECK_EQUAL(weft_readv(ends.from, in, 2, weft_now() + 3), -ETIMEDOUT);
    close_pipe(&ends);
}

struct whole {
    int fd;
    unsigned char *data;
    size_t len;
};

static int read_whole(void *arg)
{
    const struct whole *whole = arg;
    size_t done = 0;
    int err = weft_read_all(whole->fd, whole->data, whole->len, WEFT_FOREVER, &done);
    CHECK_EQUAL(done, whole->len);
    return err;
}

FIBER_TEST(all_pieces_go_out_whatever_fits_at_once)
{
    enum {
        PIECES = 100,
        PIECE_BYTES = 4001
    };
    struct pipe_ends ends = open_pipe();
    struct weft_group group;
    struct iovec pieces[PIECES];
    size_t len = (size_t)PIECES * PIECE_BYTES, written = 0;
    unsigned char *data = malloc(len);
    struct whole whole = {ends.from, malloc(len), len};
    REQUIRE(data && whole.data);
    for (size_t i = 0; i < len; i++)
        data[i] = (unsigned char)(i * 13 + i / 255);
    for (size_t i = 0; i < PIECES; i++)
        pieces[i] = (struct iovec){data + i * PIECE_BYTES, i == 7 ? 0 : PIECE_BYTES};
    pieces[6].iov_len += PIECE_BYTES; /* the seventh is empty */
    CHECK_EQUAL(weft_group_init(&group, NULL), 0);
    CHECK_EQUAL(weft_spawn(&group, read_whole, &whole), 0);
    CHECK_EQUAL(weft_writev_all(ends.to, pieces, PIECES, WEFT_FOREVER, &written), 0);
    CHECK_EQUAL(written, len);
    CHECK_EQUAL(weft_group_wait(&group), 0);
    CHECK(memcmp(data, whole.data, len) == 0);
    CHECK_EQUAL(weft_writev_all(ends.to, pieces, 0, WEFT_FOREVER, &written), 0);
    CHECK_EQUAL(written, 0);
    free(data);
    free(whole.data);
    close_pipe(&ends);
}

FIBER_TEST(what_was_done_is_told_in_every_case)
{
    struct pipe_ends ends = open_pipe();
    struct weft_scope scope;
    char buffer[8];
    size_t done = 99;
    CHECK_EQUAL(weft_write(ends.to, "abc", 3, WEFT_FOREVER), 3);
    CHECK_EQUAL(weft_read_all(ends.from, buffer, 8, weft_now() + 5, &done), -ETIMEDOUT);
    CHECK_EQUAL(done, 3);
    CHECK_EQUAL(weft_write(ends.to, "de", 2, WEFT_FOREVER), 2);
    weft_scope_enter(&scope, weft_now() + 5, 0);
    CHECK_EQUAL(weft_read_all(ends.from, buffer, 8, WEFT_FOREVER, &done), -ECANCELED);
    CHECK_EQUAL(done, 2);
    CHECK_EQUAL(weft_read_all(ends.from, buffer, 8, WEFT_FOREVER, &done), -ECANCELED);
    CHECK_EQUAL(done, 0);
    CHECK_EQUAL(weft_scope_leave(&scope, -ECANCELED), -ETIMEDOUT);
    CHECK_EQUAL(weft_write(ends.to, "f", 1, WEFT_FOREVER), 1);
    CHECK_EQUAL(weft_close(ends.to), 0);
    CHECK_EQUAL(weft_read_all(ends.from, buffer, 8, WEFT_FOREVER, &done), -ENODATA);
    CHECK_EQUAL(done, 1);
    CHECK_EQUAL(weft_read_all(ends.from, buffer, 0, WEFT_FOREVER, NULL), 0);
    CHECK_EQUAL(weft_close(ends.from), 0);
}

FIBER_TEST(writing_to_nobody_is_an_error_and_no_signal)
{
    struct pipe_ends ends = open_pipe();
    struct iovec piece = {&ends, 1};
    size_t written = 99;
    int wire[2], file = memfd_create("data", MFD_CLOEXEC);
    REQUIRE(file >= 0 && write(file, "x", 1) == 1);
    CHECK_EQUAL(weft_close(ends.from), 0);
    CHECK_EQUAL(weft_write(ends.to, "x", 1, WEFT_FOREVER), -EPIPE);
    CHECK_EQUAL(weft_writev_all(ends.to, &piece, 1, WEFT_FOREVER, &written), -EPIPE);
    CHECK_EQUAL(written, 0);
    CHECK_EQUAL(weft_sendfile(ends.to, file, 0, 1, WEFT_FOREVER), -EPIPE);
    CHECK_EQUAL(weft_socketpair(SOCK_STREAM, wire), 0);
    CHECK_EQUAL(weft_close(wire[1]), 0);
    CHECK_EQUAL(weft_writev(wire[0], &piece, 1, WEFT_FOREVER), -EPIPE);
    sigset_t pending;
    CHECK_EQUAL(sigpending(&pending), 0);
    CHECK_EQUAL(sigismember(&pending, SIGPIPE), 0);
    CHECK_EQUAL(weft_close(wire[0]), 0);
    CHECK_EQUAL(weft_close(ends.to), 0);
    CHECK_EQUAL(close(file), 0);
}

struct splicing {
    int from, to;
    size_t left;
};

static int splice_all(void *arg)
{
    struct splicing *splicing = arg;
    while (splicing->left > 0) {
        ssize_t count = weft_splice(splicing->from, splicing->to, splicing->left, WEFT_FOREVER);
        if (count <= 0)
            return count < 0 ? (int)count : -ENODATA;
        splicing->left -= (size_t)count;
    }
    return 0;
}

FIBER_TEST(splicing_waits_for_either_side)
{
    enum {
        LEN = 300000
    };
    int wire[2];
    struct pipe_ends first = open_pipe();
    struct weft_group group;
    unsigned char *data = malloc(LEN), *back = malloc(LEN);
    REQUIRE(data && back);
    for (size_t i = 0; i < LEN; i++)
        data[i] = (unsigned char)(i * 31 + i / 253);
    CHECK_EQUAL(weft_socketpair(SOCK_STREAM, wire), 0);
    struct splicing splicing = {first.from, wire[0], LEN};
    struct whole whole = {wire[1], back, LEN};
    CHECK_EQUAL(weft_group_init(&group, NULL), 0);
    CHECK_EQUAL(weft_spawn(&group, splice_all, &splicing), 0);
    CHECK_EQUAL(weft_sleep(1), 0); /* it waits for data now */
    CHECK_EQUAL(weft_spawn(&group, read_whole, &whole), 0);
    CHECK_EQUAL(weft_write_all(first.to, data, LEN, WEFT_FOREVER, NULL), 0);
    CHECK_EQUAL(weft_group_wait(&group), 0);
    CHECK(memcmp(data, back, LEN) == 0);
    CHECK_EQUAL(weft_splice(first.from, wire[0], 1, WEFT_NOWAIT), -EAGAIN);
    CHECK_EQUAL(weft_splice(first.from, wire[0], 1, weft_now() + 5), -ETIMEDOUT);
    CHECK_EQUAL(weft_splice(wire[0], wire[1], 1, WEFT_FOREVER), -EINVAL);
    struct weft_scope scope;
    fill_pipe(first.to);
    struct pipe_ends second = open_pipe();
    fill_pipe(second.to);
    weft_scope_enter(&scope, weft_now() + 5, 0);
    CHECK_EQUAL(weft_splice(first.from, second.to, 1, WEFT_FOREVER), -ECANCELED);
    CHECK_EQUAL(weft_scope_leave(&scope, -ECANCELED), -ETIMEDOUT);
    free(data);
    free(back);
    close_pipe(&first);
    close_pipe(&second);
    CHECK_EQUAL(weft_close(wire[0]), 0);
    CHECK_EQUAL(weft_close(wire[1]), 0);
}

FIBER_TEST(a_file_is_sent_from_any_place)
{
    char path[200], text[16];
    int wire[2];
    (void)snprintf(path, sizeof path, "%s/sent", test_directory());
    int file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    REQUIRE(file >= 0 && write(file, "0123456789", 10) == 10);
    (void)posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED); /* perhaps not in memory */
    CHECK_EQUAL(weft_socketpair(SOCK_STREAM, wire), 0);
    CHECK_EQUAL(weft_sendfile(wire[0], file, 3, 4, WEFT_FOREVER), 4);
    CHECK_EQUAL(weft_read(wire[1], text, sizeof text, WEFT_FOREVER), 4);
    CHECK(memcmp(text, "3456", 4) == 0);
    CHECK_EQUAL(weft_sendfile(wire[0], file, 8, 1 << 20, WEFT_FOREVER), 2);
    CHECK_EQUAL(weft_sendfile(wire[0], file, 10, 5, WEFT_FOREVER), 0);
    CHECK_EQUAL(weft_sendfile(wire[0], file, -1, 5, WEFT_FOREVER), -EINVAL);
    struct weft_scope scope;
    weft_scope_enter(&scope, WEFT_FOREVER, 0);
    weft_scope_cancel(&scope, 0);
    CHECK_EQUAL(weft_sendfile(wire[0], file, 0, 5, WEFT_FOREVER), -ECANCELED);
    CHECK_EQUAL(weft_scope_leave(&scope, 0), 0);
    CHECK_EQUAL(weft_close(wire[0]), 0);
    CHECK_EQUAL(weft_close(wire[1]), 0);
    CHECK_EQUAL(close(file), 0);
}

FIBER_TEST(a_file_that_is_not_in_memory_is_fetched_by_a_thread)
{
    char path[128], sent[4096] = "";
    struct pipe_ends ends = open_pipe();
    (void)snprintf(path, sizeof path, "%s/cold", test_directory());
    int file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    REQUIRE(file >= 0);
    memset(sent, 'w', sizeof sent);
    for (int i = 0; i < 16; i++)
        REQUIRE(write(file, sent, sizeof sent) == sizeof sent);
    /* Where the file system knows no memory of its own, it stays warm: then this is any file. */
    REQUIRE(fsync(file) == 0 && posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED) == 0);
    ssize_t count = weft_sendfile(ends.to, file, 0, 4096, WEFT_NOWAIT);
    CHECK(count == -EAGAIN || count == 4096);
    (void)posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED);
    CHECK_EQUAL(weft_sendfile(ends.to, file, 4096, 8192, WEFT_FOREVER), 8192);
    CHECK_EQUAL(weft_close(ends.to), 0);
    CHECK_EQUAL(weft_close(ends.from), 0);
    CHECK_EQUAL(close(file), 0);
    CHECK_EQUAL(unlink(path), 0);
}

FIBER_TEST(pieces_that_cannot_be_are_refused_and_empty_ones_are_nothing)
{
    struct pipe_ends ends = open_pipe();
    char text[] = "weft";
    size_t written = 9;
    const struct iovec pieces[] = {{text, 0}, {text, 2}, {text, 0}, {text + 2, 2}, {text, 0}};
    CHECK_EQUAL(weft_readv(ends.from, pieces, -1, WEFT_FOREVER), -EINVAL);
    CHECK_EQUAL(weft_writev(ends.to, pieces, -1, WEFT_FOREVER), -EINVAL);
    CHECK_EQUAL(weft_writev(ends.to, pieces, INT_MAX, WEFT_FOREVER), -EINVAL);
    CHECK_EQUAL(weft_writev_all(ends.to, pieces, -1, WEFT_FOREVER, &written), -EINVAL);
    CHECK_EQUAL(written, 0);
    CHECK_EQUAL(weft_writev_all(ends.to, pieces, INT_MAX, WEFT_FOREVER, NULL), -EINVAL);
    CHECK_EQUAL(weft_writev_all(ends.to, pieces, 5, WEFT_FOREVER, &written), 0);
    CHECK_EQUAL(written, 4);
    char back[8] = "";
    CHECK_EQUAL(weft_read(ends.from, back, sizeof back, WEFT_FOREVER), 4);
    CHECK(strcmp(back, "weft") == 0);
    CHECK_EQUAL(weft_close(ends.to), 0);
    CHECK_EQUAL(weft_close(ends.from), 0);
}

/* Who blocks SIGPIPE finds it pending, as after any write. */
FIBER_TEST(a_SIGPIPE_that_the_program_blocks_is_its_own)
{
    static const struct timespec at_once;
    struct pipe_ends ends = open_pipe();
    sigset_t pipe_only, before, pending;
    (void)sigemptyset(&pipe_only);
    (void)sigaddset(&pipe_only, SIGPIPE);
    REQUIRE(pthread_sigmask(SIG_BLOCK, &pipe_only, &before) == 0);
    CHECK_EQUAL(weft_close(ends.from), 0);
    CHECK_EQUAL(weft_write(ends.to, "x", 1, WEFT_FOREVER), -EPIPE);
    REQUIRE(sigpending(&pending) == 0);
    CHECK(sigismember(&pending, SIGPIPE) == 1);
    (void)sigtimedwait(&pipe_only, NULL, &at_once);
    REQUIRE(pthread_sigmask(SIG_SETMASK, &before, NULL) == 0);
    CHECK_EQUAL(weft_close(ends.to), 0);
}

/* ---- descriptors that change hands ----------------------------------------------------- */

FIBER_TEST(adopted_descriptors_do_not_block)
{
    int fds[2];
    char byte;
    REQUIRE(pipe(fds) == 0);
    CHECK_EQUAL(weft_fd_adopt(fds[0]), 0);
    CHECK(fcntl(fds[0], F_GETFL) & O_NONBLOCK);
    CHECK(fcntl(fds[0], F_GETFD) & FD_CLOEXEC);
    CHECK_EQUAL(weft_read(fds[0], &byte, 1, weft_now() + 1), -ETIMEDOUT);
    CHECK_EQUAL(weft_close(fds[0]), 0);
    CHECK_EQUAL(close(fds[1]), 0);
    CHECK_EQUAL(weft_fd_adopt(-1), -EBADF);
    CHECK_EQUAL(weft_fd_release(-1), -EBADF);
}

FIBER_TEST(sockets_of_every_kind_can_be_adopted)
{
    static const struct {
        int domain, type;
    } kinds[] = {{AF_INET, SOCK_STREAM},
                 {AF_INET, SOCK_DGRAM},
                 {AF_INET6, SOCK_STREAM},
                 {AF_UNIX, SOCK_STREAM}};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        int fd = socket(kinds[i].domain, kinds[i].type, 0);
        if (fd < 0 && kinds[i].domain == AF_INET6)
            continue;
        REQUIRE(fd >= 0);
        CHECK_EQUAL(weft_fd_adopt(fd), 0);
        CHECK(fcntl(fd, F_GETFL) & O_NONBLOCK);
        CHECK_EQUAL(weft_close(fd), 0);
    }
}

static int read_byte(void *arg)
{
    char byte;
    return (int)weft_read(*(int *)arg, &byte, 1, WEFT_FOREVER);
}

static int read_byte_elsewhere(void *arg)
{
    int count = read_byte(arg);
    CHECK_EQUAL(weft_close(*(int *)arg), 0);
    return count;
}

static void *run_elsewhere(void *arg)
{
    CHECK_EQUAL(weft_run(NULL, read_byte_elsewhere, arg), 1);
    return NULL;
}

FIBER_TEST(a_released_descriptor_belongs_to_another_worker)
{
    struct pipe_ends ends = open_pipe();
    struct weft_group group;
    struct weft_task task;
    pthread_t thread;
    int before = open_descriptors();
    CHECK_EQUAL(weft_group_init(&group, &(struct weft_group_options){.policy = WEFT_SUPERVISE}), 0);
    CHECK_EQUAL(weft_spawn_task(&group, &task, read_byte, &ends.from), 0);
    CHECK_EQUAL(weft_yield(), 0);
    CHECK_EQUAL(weft_fd_release(ends.from), 0);
    CHECK_EQUAL(weft_group_wait(&group), -EBADF);
    CHECK_EQUAL(open_descriptors(), before);
    REQUIRE(pthread_create(&thread, NULL, run_elsewhere, &ends.from) == 0);
    REQUIRE(weft_write(ends.to, "x", 1, WEFT_FOREVER) == 1);
    CHECK_EQUAL(pthread_join(thread, NULL), 0);
    CHECK_EQUAL(weft_close(ends.to), 0);
}

TEST(outside_a_runtime_descriptors_are_made_but_not_waited_for)
{
    int fds[2];
    char byte;
    CHECK_EQUAL(weft_pipe(fds), 0);
    CHECK_EQUAL(weft_read(fds[0], &byte, 1, WEFT_FOREVER), -EPERM);
    CHECK_EQUAL(weft_fd_adopt(fds[0]), -EPERM);
    CHECK_EQUAL(weft_fd_release(fds[0]), -EPERM);
    CHECK_EQUAL(weft_close(fds[0]), 0);
    CHECK_EQUAL(weft_close(fds[1]), 0);
}
