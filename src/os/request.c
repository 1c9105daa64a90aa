/* SPDX-License-Identifier: MIT
 * request.c - see request.h. */
#include <os/request.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define LEN_MAX ((size_t)0x7ffff000) /* the kernel's own limit of one read or write */

static ssize_t call(const struct weft_request *request)
{
    size_t len = request->len < LEN_MAX ? request->len : LEN_MAX;
    switch (request->kind) {
    case WEFT_REQUEST_OPEN:
        return open(request->path, request->flags, (mode_t)request->mode);
    case WEFT_REQUEST_READ:
        return pread(request->fd, request->target, len, request->offset);
    case WEFT_REQUEST_WRITE:
        return pwrite(request->fd, request->source, len, request->offset);
    case WEFT_REQUEST_SYNC:
        return request->flags ? fdatasync(request->fd) : fsync(request->fd);
    case WEFT_REQUEST_STAT:
        return statx(request->fd, request->path, request->flags, STATX_BASIC_STATS, request->info);
    case WEFT_REQUEST_RENAME:
        return rename(request->path, request->new_path);
    case WEFT_REQUEST_UNLINK:
        return unlinkat(AT_FDCWD, request->path, request->flags);
    case WEFT_REQUEST_MAKE_DIR:
        return mkdir(request->path, (mode_t)request->mode);
    case WEFT_REQUEST_TRUNCATE:
        return ftruncate(request->fd, request->offset);
    case WEFT_REQUEST_LIST:
        return getdents64(request->fd, request->target, request->len);
    case WEFT_REQUEST_KINDS:
    default:
        errno = ENOSYS;
        return -1;
    }
}

int weft_request_block(const struct weft_request *request)
{
    ssize_t result;
    do
        result = call(request);
    while (result < 0 && errno == EINTR);
    return result < 0 ? -errno : (int)result;
}
