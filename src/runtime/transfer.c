/* SPDX-License-Identifier: MIT
 * transfer.c - bytes from one descriptor to another without a copy. See weft/io.h. */
#include <runtime/io.h>
#include <runtime/offload.h>
#include <runtime/worker.h>

#include <weft/io.h>

#include <errno.h>
#include <fcntl.h>
#include <sys/sendfile.h>
#include <sys/uio.h>
#include <unistd.h>

#define SENDFILE_MAX ((size_t)256 << 10)
#define PAGE_BYTES   4096

/* EAGAIN does not say which side is to be waited for. */
static int wait_for_either(struct weft_fiber *self, int from, int to, int64_t deadline_ns)
{
    int err = weft_fd_level(from, WEFT_READABLE);
    if (err == -EAGAIN)
        return weft_fd_wait(self, from, WEFT_READY_READ, deadline_ns);
    if (err == 0)
        err = weft_fd_level(to, WEFT_WRITABLE);
    if (err == -EAGAIN)
        return weft_fd_wait(self, to, WEFT_READY_WRITE, deadline_ns);
    /* Both have become ready since. */
    if (err == 0)
        err = deadline_ns == WEFT_NOWAIT ? -EAGAIN : weft_yield();
    return err;
}

ssize_t weft_splice(int from, int to, size_t len, int64_t deadline_ns)
{
    struct weft_fiber *self;
    int err = weft_enter(&self);
    while (err == 0) {
        struct weft_quiet quiet;
        weft_quiet_begin(&quiet);
        ssize_t count = splice(from, NULL, to, NULL, len, SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
        weft_quiet_end(&quiet, count < 0 && errno == EPIPE);
        if (count >= 0) {
            weft_spend(self, deadline_ns);
            return count;
        }
        if (errno == EAGAIN)
            err = wait_for_either(self, from, to, deadline_ns);
        else if (errno != EINTR)
            err = -errno;
    }
    return err;
}

struct stretch {
    int file;
    off_t offset;
    size_t len;
};

/* Whether the stretch's first and last pages can be read without waiting for the disk. */
static bool is_warm(const struct stretch *stretch)
{
    const off_t places[] = {stretch->offset, stretch->offset + (off_t)stretch->len - 1};
    for (int i = 0; i < 2; i++) {
        char byte;
        struct iovec piece = {&byte, 1};
        if (preadv2(stretch->file, &piece, 1, places[i], RWF_NOWAIT) < 0 && errno == EAGAIN)
            return false;
    }
    return true;
}

static int warm(void *arg)
{
    const struct stretch *stretch = arg;
    char byte;
    (void)readahead(stretch->file, stretch->offset, stretch->len);
    for (size_t at = 0; at < stretch->len; at += PAGE_BYTES) {
        if (pread(stretch->file, &byte, 1, stretch->offset + (off_t)at) <= 0)
            break; /* sendfile will say why */
    }
    return 0;
}

static ssize_t attempt_sendfile(int to, void *arg)
{
    const struct stretch *stretch = arg;
    struct weft_quiet quiet;
    off_t offset = stretch->offset;
    weft_quiet_begin(&quiet);
    ssize_t count = sendfile(to, stretch->file, &offset, stretch->len);
    weft_quiet_end(&quiet, count < 0 && errno == EPIPE);
    return count;
}

ssize_t weft_sendfile(int to, int file, int64_t offset, size_t len, int64_t deadline_ns)
{
    struct stretch stretch = {
        .file = file,
        .offset = offset,
        .len = len < SENDFILE_MAX ? len : SENDFILE_MAX,
    };
    if (offset < 0)
        return -EINVAL;
    if (len > 0 && !is_warm(&stretch)) {
        int err = deadline_ns == WEFT_NOWAIT ? -EAGAIN
                                             : weft_offload_on(WEFT_OFFLOAD_FILES, warm, &stretch);
        if (err < 0)
            return err;
    }
    return weft_io_retry(to, WEFT_READY_WRITE, attempt_sendfile, &stretch, deadline_ns);
}
