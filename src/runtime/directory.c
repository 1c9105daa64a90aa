/* SPDX-License-Identifier: MIT
 * directory.c - directories, listed in batches. See weft/file.h. */
#include <runtime/request.h>

#include <weft/file.h>
#include <weft/io.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdalign.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define BATCH_BYTES ((size_t)32 << 10)

struct weft_dir {
    int fd;
    size_t at, len;
    alignas(struct dirent64) char batch[BATCH_BYTES]; /* records of getdents64 */
};

int weft_dir_make(const char *path, unsigned mode)
{
    const struct weft_request request = {
        .kind = WEFT_REQUEST_MAKE_DIR,
        .path = path,
        .mode = mode,
    };
    return weft_request_run(&request);
}

int weft_dir_remove(const char *path)
{
    const struct weft_request request = {
        .kind = WEFT_REQUEST_UNLINK,
        .path = path,
        .flags = AT_REMOVEDIR,
    };
    return weft_request_run(&request);
}

int weft_dir_open(const char *path, struct weft_dir **ret_dir)
{
    struct weft_dir *dir = malloc(sizeof *dir);
    if (!dir)
        return -ENOMEM;
    int fd = weft_file_open(path, O_RDONLY | O_DIRECTORY, 0);
    if (fd < 0) {
        free(dir);
        return fd;
    }
    dir->fd = fd;
    dir->at = dir->len = 0;
    *ret_dir = dir;
    return 0;
}

/* Returns 1, 0 at the end, negative errors. */
static int fill(struct weft_dir *dir)
{
    const struct weft_request request = {
        .kind = WEFT_REQUEST_LIST,
        .fd = dir->fd,
        .target = dir->batch,
        .len = sizeof dir->batch,
    };
    int len = weft_request_run(&request);
    if (len <= 0)
        return len;
    dir->at = 0;
    dir->len = (size_t)len;
    return 1;
}

static enum weft_file_kind kind_of(unsigned char type)
{
    switch (type) {
    case DT_UNKNOWN:
        return WEFT_FILE_UNKNOWN;
    case DT_REG:
        return WEFT_FILE_REGULAR;
    case DT_DIR:
        return WEFT_FILE_DIRECTORY;
    case DT_LNK:
        return WEFT_FILE_LINK;
    default:
        return WEFT_FILE_OTHER;
    }
}

static bool is_dots(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

int weft_dir_next(struct weft_dir *dir, struct weft_dir_entry *ret_entry)
{
    for (;;) {
        if (dir->at == dir->len) {
            int more = fill(dir);
            if (more <= 0)
                return more;
        }
        const struct dirent64 *record = (const void *)(dir->batch + dir->at);
        dir->at += record->d_reclen;
        if (is_dots(record->d_name))
            continue;
        *ret_entry = (struct weft_dir_entry){
            .name = record->d_name,
            .kind = kind_of(record->d_type),
            .inode = record->d_ino,
        };
        return 1;
    }
}

void weft_dir_close(struct weft_dir *dir)
{
    if (!dir)
        return;
    (void)weft_close(dir->fd);
    free(dir);
}
