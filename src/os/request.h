/* SPDX-License-Identifier: MIT
 * request.h - one operation on a file, to be carried out by a poller or by a thread. */
#ifndef WEFT_OS_REQUEST_H
#define WEFT_OS_REQUEST_H

#include <stddef.h>
#include <stdint.h>

struct statx;

enum weft_request_kind {
    WEFT_REQUEST_OPEN,     /* path, flags, mode */
    WEFT_REQUEST_READ,     /* fd, target, len, offset */
    WEFT_REQUEST_WRITE,    /* fd, source, len, offset */
    WEFT_REQUEST_SYNC,     /* fd; flags: 1 for the data only */
    WEFT_REQUEST_STAT,     /* fd or AT_FDCWD, path, flags, info */
    WEFT_REQUEST_RENAME,   /* path, new_path */
    WEFT_REQUEST_UNLINK,   /* path; flags: AT_REMOVEDIR */
    WEFT_REQUEST_MAKE_DIR, /* path, mode */
    WEFT_REQUEST_TRUNCATE, /* fd, offset; threads only */
    WEFT_REQUEST_LIST,     /* fd, target, len: getdents64(2); threads only */
    WEFT_REQUEST_KINDS,
};

/* Whoever makes a request keeps it, and what it points to, until its result is there. */
struct weft_request {
    enum weft_request_kind kind;
    int fd;
    int flags;
    unsigned mode;
    const char *path, *new_path;
    void *target;
    const void *source;
    size_t len;
    int64_t offset;
    struct statx *info;
    int result; /* 0 or more, or -errno */
};

/* Carry it out on the calling thread, which blocks. Returns the result, negative errno */
int weft_request_block(const struct weft_request *request);

#endif
