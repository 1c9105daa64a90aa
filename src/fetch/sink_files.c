/* SPDX-License-Identifier: MIT
 * sink_files.c - bodies as files, each content once, and an index of all results.
 *
 *   PATH/ab/cdef...     a body, by the hex digits of its SHA-256, two of them as the directory
 *   PATH/tmp/           files being written; what a crash left there is removed at the open
 *   PATH/index.jsonl    a line per result; body_digest names its file
 *
 * A file gets its name when its content is on disk: what has a name is whole. Those of a batch are
 * written together and then synced one after the other, so that the disk is waited for about once:
 * the first sync makes the file system write what the others would. */
#include "sink_output.h"

#include <base/list.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define OPEN_MAX_FILES 64 /* files of one batch that are open at once */

static const char hex[] = "0123456789abcdef";

struct directory {
    struct sink_output output;
    struct sink_output *index;
    char *index_path;
    int fd, temporary_fd;
    uint64_t next;     /* number of the next temporary file */
    bool changed[256]; /* directories with names that are not on disk yet */
    bool made_one;     /* and so the directory of these */
    bool name_synced;  /* our own */
};

/* A body on its way. */
struct file {
    const char *digest;
    int fd;
    char temporary[24];
};

static struct directory *directory_of(struct sink_output *output)
{
    return weft_container_of(output, struct directory, output);
}

/* ---- opening --------------------------------------------------------------------------- */

static int open_index(struct directory *directory)
{
    struct sink_output *index = weft_sink_lines_new();
    if (!index)
        return -ENOMEM;
    directory->index = index;
    if (asprintf(&directory->index_path, "%s/index.jsonl", directory->output.options.path) < 0) {
        directory->index_path = NULL;
        return -ENOMEM;
    }
    index->error = directory->output.error;
    index->options = directory->output.options;
    index->options.kind = WEFT_SINK_JSONL;
    index->options.path = directory->index_path;
    int err = index->ops->open(index);
    return err == 0 && index->writes_on_fiber ? -EINVAL : err; /* a pipe? */
}

/* Nobody else writes here: the index is locked. */
static int clear_temporary(struct directory *directory)
{
    int fd = fcntl(directory->temporary_fd, F_DUPFD_CLOEXEC, 0);
    DIR *stream = fd < 0 ? NULL : fdopendir(fd);
    if (!stream) {
        int err = -errno;
        if (fd >= 0)
            (void)close(fd);
        return err;
    }
    const struct dirent *entry;
    // NOLINTNEXTLINE(concurrency-mt-unsafe): a stream of its own
    while ((entry = readdir(stream))) {
        if (entry->d_name[0] != '.')
            (void)unlinkat(directory->temporary_fd, entry->d_name, 0);
    }
    (void)closedir(stream);
    return 0;
}

static int open_directories(struct directory *directory)
{
    const char *path = directory->output.options.path;
    if (mkdir(path, 0777) < 0 && errno != EEXIST)
        return -errno;
    directory->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (directory->fd < 0 || (mkdirat(directory->fd, "tmp", 0777) < 0 && errno != EEXIST))
        return -errno;
    directory->temporary_fd = openat(directory->fd, "tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return directory->temporary_fd < 0 ? -errno : 0;
}

static int files_open(struct sink_output *output)
{
    struct directory *directory = directory_of(output);
    int err = open_directories(directory);
    if (err == 0)
        err = open_index(directory);
    if (err == 0)
        err = clear_temporary(directory);
    return err < 0 ? weft_sink_cannot(output, err, "open") : 0;
}

/* ---- writing --------------------------------------------------------------------------- */

static int make_digest(struct sink_item *item)
{
    const struct weft_fetch_result *result = &item->result;
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    if (!EVP_Digest(result->body, result->body_len, digest, &len, EVP_sha256(), NULL) ||
        2 * len + 1 != sizeof item->digest)
        return -ENOMEM;
    for (size_t i = 0; i < len; i++) {
        item->digest[2 * i] = hex[digest[i] >> 4];
        item->digest[2 * i + 1] = hex[digest[i] & 15];
    }
    item->digest[sizeof item->digest - 1] = '\0';
    item->result.body_digest = item->digest;
    return 0;
}

static unsigned nibble(char c)
{
    return (unsigned)(c <= '9' ? c - '0' : c - 'a' + 10);
}

static void name_of(char name[SINK_DIGEST_BYTES + 1], const char *digest)
{
    memcpy(name, digest, 2);
    name[2] = '/';
    memcpy(name + 3, digest + 2, SINK_DIGEST_BYTES - 2);
}

static bool is_there(const struct directory *directory, const struct weft_fetch_result *result)
{
    struct stat info;
    char name[SINK_DIGEST_BYTES + 1];
    name_of(name, result->body_digest);
    return fstatat(directory->fd, name, &info, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(info.st_mode) &&
           (uint64_t)info.st_size == result->body_len;
}

/* Write a body under a temporary name; file->fd stays open. */
static int begin_file(struct directory *directory, struct file *file,
                      const struct weft_fetch_result *result)
{
    (void)snprintf(file->temporary, sizeof file->temporary, "%llu",
                   (unsigned long long)directory->next++);
    file->digest = result->body_digest;
    file->fd = openat(directory->temporary_fd, file->temporary,
                      O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (file->fd < 0)
        return -errno;
    int err = weft_sink_write_all(file->fd, result->body, result->body_len, 0);
    if (err == 0 && directory->output.options.sync != WEFT_SINK_SYNC_NEVER)
        (void)sync_file_range(file->fd, 0, 0, SYNC_FILE_RANGE_WRITE); /* begin; only a hint */
    return err;
}

static int give_name(struct directory *directory, const struct file *file)
{
    char name[SINK_DIGEST_BYTES + 1], parent[3] = {file->digest[0], file->digest[1], '\0'};
    name_of(name, file->digest);
    int rc = renameat(directory->temporary_fd, file->temporary, directory->fd, name);
    if (rc < 0 && errno == ENOENT) {
        if (mkdirat(directory->fd, parent, 0777) < 0 && errno != EEXIST)
            return -errno;
        directory->made_one = true;
        rc = renameat(directory->temporary_fd, file->temporary, directory->fd, name);
    }
    if (rc < 0)
        return -errno;
    directory->changed[nibble(parent[0]) << 4 | nibble(parent[1])] = true;
    return 0;
}

/* Its content on disk, and its name. The descriptor is gone in every case. */
static int end_file(struct directory *directory, struct file *file)
{
    int err = 0;
    if (directory->output.options.sync != WEFT_SINK_SYNC_NEVER && fdatasync(file->fd) < 0)
        err = -errno;
    if (close(file->fd) < 0 && err == 0)
        err = -errno;
    file->fd = -1;
    return err == 0 ? give_name(directory, file) : err;
}

static void abandon_file(struct directory *directory, struct file *file)
{
    if (file->fd >= 0)
        (void)close(file->fd);
    file->fd = -1;
    (void)unlinkat(directory->temporary_fd, file->temporary, 0);
}

static bool is_among(const struct file *files, size_t count, const char *digest)
{
    for (size_t i = 0; i < count; i++) {
        if (memcmp(files[i].digest, digest, SINK_DIGEST_BYTES) == 0)
            return true;
    }
    return false;
}

/* Write bodies until as many files are open as may be. Returns 0 with *at moved on. */
static int begin_files(struct directory *directory, struct sink_item *const *items, size_t count,
                       size_t *at, struct file *files, size_t *files_count)
{
    int err = 0;
    for (; *at < count && *files_count < OPEN_MAX_FILES && err == 0; ++*at) {
        struct sink_item *item = items[*at];
        if (!item->result.body)
            continue;
        if (!item->result.body_digest)
            err = make_digest(item);
        if (err < 0 || is_among(files, *files_count, item->result.body_digest) ||
            is_there(directory, &item->result))
            continue;
        err = begin_file(directory, &files[*files_count], &item->result);
        if (err == 0 || files[*files_count].fd >= 0)
            ++*files_count;
    }
    return err;
}

static int write_bodies(struct directory *directory, struct sink_item *const *items, size_t count)
{
    struct file files[OPEN_MAX_FILES];
    int err = 0;
    for (size_t at = 0; at < count && err == 0;) {
        size_t files_count = 0;
        err = begin_files(directory, items, count, &at, files, &files_count);
        for (size_t i = 0; i < files_count; i++) {
            if (err == 0)
                err = end_file(directory, &files[i]);
            if (err < 0)
                abandon_file(directory, &files[i]);
        }
    }
    return err;
}

static int sync_directory(int at, const char *name)
{
    int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int err = fd < 0 || fsync(fd) < 0 ? -errno : 0;
    if (fd >= 0)
        (void)close(fd);
    return err;
}

static int sync_names(struct directory *directory)
{
    int err = 0;
    for (unsigned i = 0; i < 256 && err == 0; i++) {
        const char name[3] = {hex[i >> 4], hex[i & 15], '\0'};
        if (!directory->changed[i])
            continue;
        err = sync_directory(directory->fd, name);
        if (err == 0)
            directory->changed[i] = false;
    }
    if (err == 0 && directory->made_one && fsync(directory->fd) < 0)
        err = -errno;
    if (err == 0)
        directory->made_one = false;
    return err;
}

static int files_sync(struct sink_output *output)
{
    struct directory *directory = directory_of(output);
    if (output->options.sync == WEFT_SINK_SYNC_NEVER)
        return 0;
    int err = directory->name_synced ? 0 : weft_sink_sync_directory_of(output->options.path);
    directory->name_synced = err == 0;
    if (err == 0)
        err = sync_names(directory);
    if (err < 0)
        return weft_sink_cannot(output, err, "have on disk");
    return directory->index->ops->sync(directory->index);
}

/* Bodies first: a line of the index never names a file that is not there. */
static int files_write(struct sink_output *output, struct sink_item *const *items, size_t count)
{
    struct directory *directory = directory_of(output);
    int err = write_bodies(directory, items, count);
    if (err == 0 && output->options.sync == WEFT_SINK_SYNC_BATCH)
        err = sync_names(directory);
    if (err == 0)
        err = directory->index->ops->write(directory->index, items, count);
    return err < 0 ? weft_sink_cannot(output, err, "write to") : 0;
}

static int files_close(struct sink_output *output)
{
    struct directory *directory = directory_of(output);
    int err = directory->index ? directory->index->ops->close(directory->index) : 0;
    free(directory->index_path);
    if (directory->temporary_fd >= 0)
        (void)close(directory->temporary_fd);
    if (directory->fd >= 0)
        (void)close(directory->fd);
    free(directory);
    return err;
}

static const struct sink_output_ops files_ops = {
    .open = files_open,
    .write = files_write,
    .sync = files_sync,
    .close = files_close,
};

struct sink_output *weft_sink_files_new(void)
{
    struct directory *directory = calloc(1, sizeof *directory);
    if (!directory)
        return NULL;
    directory->output.ops = &files_ops;
    directory->fd = directory->temporary_fd = -1;
    return &directory->output;
}
