/* SPDX-License-Identifier: MIT
 * file.c - files by name and by descriptor. See weft/file.h. */
#include <runtime/request.h>
#include <runtime/worker.h>

#include <weft/file.h>

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/uio.h>

int weft_file_open(const char *path, int flags, unsigned mode)
{
    const struct weft_request request = {
        .kind = WEFT_REQUEST_OPEN,
        .path = path,
        .flags = flags | O_CLOEXEC,
        .mode = mode,
    };
    int fd = weft_request_run(&request);
    if (fd >= 0)
        weft_fd_made(weft_current_worker, fd, false);
    return fd;
}

/* What is in memory needs no waiting. Returns a count, or -EAGAIN: somebody has to wait. */
static ssize_t read_at_once(int fd, void *buffer, size_t len, int64_t offset)
{
    struct iovec piece = {buffer, len};
    ssize_t count = preadv2(fd, &piece, 1, offset, RWF_NOWAIT);
    return count < 0 ? -EAGAIN : count; /* other errors will come again */
}

ssize_t weft_file_read(int fd, void *buffer, size_t len, int64_t offset)
{
    struct weft_fiber *self;
    int err = weft_enter(&self);
    if (err < 0)
        return err;
    if (offset < 0)
        return -EINVAL;
    ssize_t count = read_at_once(fd, buffer, len, offset);
    if (count >= 0) {
        weft_spend(self, WEFT_FOREVER);
        return count;
    }
    const struct weft_request request = {
        .kind = WEFT_REQUEST_READ,
        .fd = fd,
        .target = buffer,
        .len = len,
        .offset = offset,
    };
    return weft_request_run(&request);
}

ssize_t weft_file_write(int fd, const void *buffer, size_t len, int64_t offset)
{
    const struct weft_request request = {
        .kind = WEFT_REQUEST_WRITE,
        .fd = fd,
        .source = buffer,
        .len = len,
        .offset = offset,
    };
    return offset < 0 ? -EINVAL : weft_request_run(&request);
}

int weft_file_read_all(int fd, void *buffer, size_t len, int64_t offset, size_t *ret_read)
{
    char *bytes = buffer;
    size_t done = 0;
    int err = 0;
    while (done < len && err == 0) {
        ssize_t count = weft_file_read(fd, bytes + done, len - done, offset + (int64_t)done);
        if (count > 0)
            done += (size_t)count;
        else
            err = count < 0 ? (int)count : -ENODATA;
    }
    if (ret_read)
        *ret_read = done;
    return err;
}

int weft_file_write_all(int fd, const void *buffer, size_t len, int64_t offset, size_t *ret_written)
{
    const char *bytes = buffer;
    size_t done = 0;
    int err = 0;
    while (done < len && err == 0) {
        ssize_t count = weft_file_write(fd, bytes + done, len - done, offset + (int64_t)done);
        if (count > 0)
            done += (size_t)count;
        else
            err = count < 0 ? (int)count : -EIO;
    }
    if (ret_written)
        *ret_written = done;
    return err;
}

int weft_file_sync(int fd)
{
    const struct weft_request request = {.kind = WEFT_REQUEST_SYNC, .fd = fd};
    return weft_request_run(&request);
}

int weft_file_sync_data(int fd)
{
    const struct weft_request request = {.kind = WEFT_REQUEST_SYNC, .fd = fd, .flags = 1};
    return weft_request_run(&request);
}

int weft_file_truncate(int fd, int64_t len_bytes)
{
    const struct weft_request request = {
        .kind = WEFT_REQUEST_TRUNCATE,
        .fd = fd,
        .offset = len_bytes,
    };
    return weft_request_run(&request);
}

static enum weft_file_kind kind_of(unsigned mode)
{
    if (S_ISREG(mode))
        return WEFT_FILE_REGULAR;
    if (S_ISDIR(mode))
        return WEFT_FILE_DIRECTORY;
    return S_ISLNK(mode) ? WEFT_FILE_LINK : WEFT_FILE_OTHER;
}

static int stat_any(int fd, const char *path, int flags, struct weft_file_info *ret_info)
{
    struct statx info;
    const struct weft_request request = {
        .kind = WEFT_REQUEST_STAT,
        .fd = fd,
        .path = path,
        .flags = flags,
        .info = &info,
    };
    int err = weft_request_run(&request);
    if (err < 0)
        return err;
    *ret_info = (struct weft_file_info){
        .kind = kind_of(info.stx_mode),
        .permissions = info.stx_mode & 07777u,
        .owner_id = info.stx_uid,
        .group_id = info.stx_gid,
        .links = info.stx_nlink,
        .size_bytes = info.stx_size,
        .inode = info.stx_ino,
        .modified_ns = info.stx_mtime.tv_sec * WEFT_SEC + info.stx_mtime.tv_nsec,
    };
    return 0;
}

int weft_file_stat(const char *path, struct weft_file_info *ret_info)
{
    return stat_any(AT_FDCWD, path, 0, ret_info);
}

int weft_file_stat_link(const char *path, struct weft_file_info *ret_info)
{
    return stat_any(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, ret_info);
}

int weft_file_stat_fd(int fd, struct weft_file_info *ret_info)
{
    return stat_any(fd, "", AT_EMPTY_PATH, ret_info);
}

int weft_file_rename(const char *from, const char *to)
{
    const struct weft_request request = {
        .kind = WEFT_REQUEST_RENAME,
        .path = from,
        .new_path = to,
    };
    return weft_request_run(&request);
}

int weft_file_unlink(const char *path)
{
    const struct weft_request request = {.kind = WEFT_REQUEST_UNLINK, .path = path};
    return weft_request_run(&request);
}
