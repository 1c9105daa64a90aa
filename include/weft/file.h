/* SPDX-License-Identifier: MIT
 * file.h - regular files and directories; the fiber waits for the disk, not the thread.
 *
 * Bytes are read and written at an offset the caller names; a descriptor has no position here.
 * What is in memory is read at once, the rest is left to io_uring, or to threads for files (4, with
 * at most 65,536 calls waiting: beyond, WEFT_EFULL).
 *
 * Every call but weft_dir_close suspends and is a checkpoint. Deadlines come from the scope around
 * it. A cancel interrupts what the kernel can interrupt, and waits for the rest: buffers are the
 * caller's again when the call returns. -ECANCELED means it had no effect; when the kernel was
 * done all the same, its result is returned. Paths are relative to the working directory. */
#ifndef WEFT_FILE_H
#define WEFT_FILE_H

#include <weft/base.h>

#include <sys/types.h>

WEFT_BEGIN_DECLS

/* Open or make a file; close it with weft_close. Meant for regular files and directories: opening
 * a FIFO waits for its other end, on a thread.
 * flags    those of open(2), O_RDONLY, O_CREAT, ...; O_CLOEXEC is always set
 * mode     permissions of a file that is made
 * Returns  a descriptor; -ENOENT, -EACCES, -EEXIST, ... */
WEFT_API int weft_file_open(const char *path, int flags, unsigned mode);

/* Read at most len bytes at an offset of 0 or more. Fewer come at the end, or when only the first
 * part is in memory. Returns bytes read, 0 at the end; -EINVAL, -EIO, -ECANCELED, ... */
WEFT_API ssize_t weft_file_read(int fd, void *buffer, size_t len, int64_t offset);

/* Write at most len bytes at an offset of 0 or more. Returns bytes written; -ENOSPC, ... */
WEFT_API ssize_t weft_file_write(int fd, const void *buffer, size_t len, int64_t offset);

/* Read exactly len bytes. *ret_read, unless NULL, is set in every case.
 * Returns  0; -ENODATA (the file ends before), or the error that ended it */
WEFT_API int weft_file_read_all(int fd, void *buffer, size_t len, int64_t offset, size_t *ret_read);

/* Write all the bytes. *ret_written, unless NULL, is set in every case. Returns 0 or the error. */
WEFT_API int weft_file_write_all(int fd, const void *buffer, size_t len, int64_t offset,
                                 size_t *ret_written);

/* Have everything on disk, as fsync(2); or the bytes and what is needed to read them, as
 * fdatasync(2). Returns 0; -EIO (earlier writes may be lost: do not try again), ... */
WEFT_API int weft_file_sync(int fd);
WEFT_API int weft_file_sync_data(int fd);

/* Cut or extend to a length. Returns 0; -EINVAL, ... */
WEFT_API int weft_file_truncate(int fd, int64_t len_bytes);

enum weft_file_kind {
    WEFT_FILE_UNKNOWN, /* weft_dir_next only: the file system does not tell, weft_file_stat does */
    WEFT_FILE_REGULAR,
    WEFT_FILE_DIRECTORY,
    WEFT_FILE_LINK, /* symbolic */
    WEFT_FILE_OTHER,
};

struct weft_file_info {
    enum weft_file_kind kind;
    uint32_t permissions; /* the lowest 12 bits of its mode */
    uint32_t owner_id, group_id;
    uint32_t links;
    uint64_t size_bytes;
    uint64_t inode;
    int64_t modified_ns; /* since 1970, UTC */
};

/* What is known of a path (symbolic links are followed, or with _link are not) or of a descriptor.
 * Returns  0 with *ret_info set; -ENOENT, ... */
WEFT_API int weft_file_stat(const char *path, struct weft_file_info *ret_info);
WEFT_API int weft_file_stat_link(const char *path, struct weft_file_info *ret_info);
WEFT_API int weft_file_stat_fd(int fd, struct weft_file_info *ret_info);

/* Give a file another name, replacing what has it, in one step. Returns 0; -EXDEV, ... */
WEFT_API int weft_file_rename(const char *from, const char *to);

/* Remove a name. Returns 0; -ENOENT, -EISDIR, ... */
WEFT_API int weft_file_unlink(const char *path);

/* Make or remove a directory; only an empty one goes. Returns 0; -EEXIST, -ENOTEMPTY, ... */
WEFT_API int weft_dir_make(const char *path, unsigned mode);
WEFT_API int weft_dir_remove(const char *path);

struct weft_dir; /* a directory being listed; 32 KiB */

struct weft_dir_entry {
    const char *name; /* borrowed until the next call for the directory */
    enum weft_file_kind kind;
    uint64_t inode;
};

/* Begin to list a directory.
 * ret_dir  set only on success; to be closed with weft_dir_close by the same thread
 * Returns  0; -ENOENT, -ENOTDIR, -ENOMEM, ... */
WEFT_API int weft_dir_open(const char *path, struct weft_dir **ret_dir);

/* The next entry, in no order, without "." and "..". Suspends once in a few hundred.
 * Returns  1 with *ret_entry set, 0 at the end; -EIO, -ECANCELED, ... */
WEFT_API int weft_dir_next(struct weft_dir *dir, struct weft_dir_entry *ret_entry);

/* Never suspends; NULL is fine. */
WEFT_API void weft_dir_close(struct weft_dir *dir);

WEFT_END_DECLS

#endif
