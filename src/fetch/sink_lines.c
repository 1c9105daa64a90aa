/* SPDX-License-Identifier: MIT
 * sink_lines.c - lines of JSON or rows of CSV into a regular file, or into a pipe or a terminal.
 *
 * A file is written on a thread, at its end, a batch at a time; when a batch does not fit, what
 * went out of it is taken back, so that a full disk leaves whole lines. What can stand still, a
 * pipe above all, is written by the fiber, which waits for the reader and can be cancelled. */
#include "sink_output.h"
#include "sink_tail.h"
#include "sink_text.h"

#include <base/list.h>
#include <weft/io.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHUNK_BYTES ((size_t)256 << 10)                     /* written at once, or a little more */
#define LINE_BYTES  (6 * SINK_TEXT_BYTES_MAX + (64u << 10)) /* a text of control characters */

struct lines {
    struct sink_output output;
    struct weft_buffer text;
    int fd;
    int flags;        /* of a descriptor that is not ours alone, to be set back; -1: none */
    bool at_its_own;  /* standard output into a file: where it stands, and others may write too */
    bool adopted;     /* by the fiber that writes */
    bool name_synced; /* the file is found after a crash */
    uint64_t size_bytes;
};

static struct lines *lines_of(struct sink_output *output)
{
    return weft_container_of(output, struct lines, output);
}

static bool is_csv(const struct lines *lines)
{
    return lines->output.options.kind == WEFT_SINK_CSV;
}

static const char *what_it_is(const struct lines *lines)
{
    return is_csv(lines) ? "CSV with these columns" : "JSON lines";
}

/* ---- opening --------------------------------------------------------------------------- */

/* Read the file from an offset to its end, and feed it. */
static int read_from(struct lines *lines, uint64_t offset,
                     void (*feed)(void *scan, const char *bytes, size_t len), void *scan)
{
    char *chunk = malloc(CHUNK_BYTES);
    ssize_t count = chunk ? 1 : -1;
    int err = chunk ? 0 : -ENOMEM;
    while (err == 0 && count > 0) {
        count = pread(lines->fd, chunk, CHUNK_BYTES, (off_t)offset);
        if (count < 0 && errno != EINTR)
            err = -errno;
        if (count > 0) {
            feed(scan, chunk, (size_t)count);
            offset += (uint64_t)count;
        } else if (count < 0) {
            count = 1;
        }
    }
    free(chunk);
    return err;
}

static void feed_json(void *scan, const char *bytes, size_t len)
{
    weft_sink_json_tail_feed(scan, bytes, len);
}

static void feed_csv(void *scan, const char *bytes, size_t len)
{
    weft_sink_csv_scan_feed(scan, bytes, len);
}

/* Where the last line begins: behind the last line feed. */
static int find_tail(struct lines *lines, uint64_t *ret_offset)
{
    char *chunk = malloc(CHUNK_BYTES);
    uint64_t end = lines->size_bytes;
    int err = chunk ? 0 : -ENOMEM;
    while (err == 0 && end > 0) {
        size_t len = end < CHUNK_BYTES ? (size_t)end : CHUNK_BYTES;
        ssize_t count = pread(lines->fd, chunk, len, (off_t)(end - len));
        if (count != (ssize_t)len) {
            err = count < 0 ? -errno : -EIO; /* 0 or less than there was: somebody cuts it */
            break;
        }
        const char *feed = memrchr(chunk, '\n', len);
        if (feed) {
            end = end - len + (size_t)(feed - chunk) + 1;
            break;
        }
        end -= len;
    }
    free(chunk);
    if (err == 0)
        *ret_offset = end;
    return err;
}

static int foreign(struct lines *lines)
{
    return weft_sink_say(&lines->output, -EINVAL, "%s is not a file of %s: nothing is appended",
                         lines->output.options.path, what_it_is(lines));
}

static int cut(struct lines *lines, uint64_t size_bytes)
{
    if (ftruncate(lines->fd, (off_t)size_bytes) < 0)
        return weft_sink_cannot(&lines->output, -errno, "cut off the end of");
    lines->size_bytes = size_bytes;
    return 0;
}

static int repair_json(struct lines *lines)
{
    char first = '{';
    uint64_t offset = 0;
    struct sink_json_tail tail = {0};
    int err = find_tail(lines, &offset);
    if (err == 0 && offset > 0 && pread(lines->fd, &first, 1, 0) < 0)
        err = -errno;
    if (err == 0)
        err = read_from(lines, offset, feed_json, &tail);
    if (err < 0)
        return weft_sink_cannot(&lines->output, err, "read");
    enum sink_tail_verdict verdict = weft_sink_json_tail_judge(&tail);
    if (verdict == SINK_TAIL_FOREIGN || first != '{')
        return foreign(lines);
    if (verdict == SINK_TAIL_CUT)
        return cut(lines, offset);
    if (tail.bytes == 0)
        return 0;
    err = weft_sink_write_all(lines->fd, "\n", 1, (int64_t)lines->size_bytes);
    lines->size_bytes++;
    return err < 0 ? weft_sink_cannot(&lines->output, err, "write") : 0;
}

/* The header row has to be ours, as far as the file goes. */
static int check_header(struct lines *lines)
{
    char begin[512];
    struct weft_buffer *text = &lines->text;
    weft_buffer_clear(text);
    weft_sink_append_csv_header(text);
    if (text->err < 0)
        return text->err;
    size_t len = lines->size_bytes < text->len ? (size_t)lines->size_bytes : text->len;
    if (len > sizeof begin)
        return -EINVAL;
    ssize_t count = pread(lines->fd, begin, len, 0);
    if (count < 0)
        return weft_sink_cannot(&lines->output, -errno, "read");
    return (size_t)count == len && memcmp(begin, text->data, len) == 0 ? 0 : foreign(lines);
}

static int repair_csv(struct lines *lines)
{
    struct sink_csv_scan scan = {0};
    int err = check_header(lines);
    if (err < 0)
        return err;
    err = read_from(lines, 0, feed_csv, &scan);
    if (err < 0)
        return weft_sink_cannot(&lines->output, err, "read");
    return scan.whole_bytes < lines->size_bytes ? cut(lines, scan.whole_bytes) : 0;
}

static int write_header(struct lines *lines)
{
    struct weft_buffer *text = &lines->text;
    weft_buffer_clear(text);
    if (lines->size_bytes > 0 || !is_csv(lines))
        return 0;
    weft_sink_append_csv_header(text);
    int err = text->err;
    if (err == 0 && !lines->output.writes_on_fiber) {
        err = weft_sink_write_all(lines->fd, text->data, text->len,
                                  lines->at_its_own ? -1 : (int64_t)lines->size_bytes);
        lines->size_bytes += text->len;
        weft_buffer_clear(text);
    }
    return err < 0 ? weft_sink_cannot(&lines->output, err, "write") : 0;
}

static int open_file(struct lines *lines)
{
    const struct weft_sink_output *options = &lines->output.options;
    struct stat info;
    lines->fd = open(options->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOCTTY, 0666);
    if (lines->fd < 0 || fstat(lines->fd, &info) < 0)
        return weft_sink_cannot(&lines->output, -errno, "open");
    if (flock(lines->fd, LOCK_EX | LOCK_NB) < 0)
        return errno == EWOULDBLOCK ? weft_sink_say(&lines->output, -EBUSY,
                                                    "%s is being written already", options->path)
                                    : weft_sink_cannot(&lines->output, -errno, "lock");
    lines->size_bytes = (uint64_t)info.st_size;
    int err = 0;
    if (lines->size_bytes > 0 && options->existing == WEFT_SINK_REFUSE)
        return weft_sink_say(&lines->output, -EEXIST, "%s is there already", options->path);
    if (lines->size_bytes > 0 && options->existing == WEFT_SINK_REPLACE)
        err = cut(lines, 0);
    else if (lines->size_bytes > 0)
        err = is_csv(lines) ? repair_csv(lines) : repair_json(lines);
    return err;
}

/* Opened once more, a pipe or a terminal has flags of its own: those of the standard output are
 * other processes' as well. What cannot be opened so, a socket, gets them back in the end. */
static int open_stdout(struct lines *lines)
{
    struct stat info;
    if (fstat(STDOUT_FILENO, &info) < 0)
        return weft_sink_cannot(&lines->output, -errno, "write");
    lines->at_its_own = S_ISREG(info.st_mode);
    lines->output.writes_on_fiber = !lines->at_its_own;
    if (!lines->at_its_own)
        lines->fd = open("/proc/self/fd/1", O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    if (lines->fd < 0) {
        lines->fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0);
        if (lines->fd < 0)
            return weft_sink_cannot(&lines->output, -errno, "write");
        if (!lines->at_its_own)
            lines->flags = fcntl(lines->fd, F_GETFL);
    }
    return 0;
}

static int open_stream(struct lines *lines)
{
    const char *path = lines->output.options.path;
    lines->fd = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    lines->output.writes_on_fiber = true;
    if (lines->fd < 0 && errno == ENXIO)
        return weft_sink_say(&lines->output, -ENXIO, "nobody reads from %s", path);
    return lines->fd < 0 ? weft_sink_cannot(&lines->output, -errno, "open") : 0;
}

static int lines_open(struct sink_output *output)
{
    struct lines *lines = lines_of(output);
    struct stat info;
    int err;
    if (strcmp(output->options.path, "-") == 0)
        err = open_stdout(lines);
    else if (stat(output->options.path, &info) == 0 && !S_ISREG(info.st_mode))
        err =
            S_ISDIR(info.st_mode) ? weft_sink_cannot(output, -EISDIR, "open") : open_stream(lines);
    else
        err = open_file(lines);
    return err < 0 ? err : write_header(lines);
}

/* ---- writing --------------------------------------------------------------------------- */

/* Write what is in the buffer. */
static int write_out(struct lines *lines)
{
    struct weft_buffer *text = &lines->text;
    int err = text->err;
    if (err == 0 && lines->output.writes_on_fiber)
        err = weft_write_all(lines->fd, text->data, text->len, WEFT_FOREVER, NULL);
    else if (err == 0)
        err = weft_sink_write_all(lines->fd, text->data, text->len,
                                  lines->at_its_own ? -1 : (int64_t)lines->size_bytes);
    if (err == 0)
        lines->size_bytes += text->len;
    weft_buffer_clear(text);
    return err;
}

static int write_batch(struct lines *lines, struct sink_item *const *items, size_t count)
{
    int err = 0;
    for (size_t i = 0; i < count && err == 0; i++) {
        const struct weft_fetch_result *result = &items[i]->result;
        if (is_csv(lines))
            weft_sink_append_csv(&lines->text, result, lines->output.options.csv_as_is);
        else
            weft_sink_append_json(&lines->text, result);
        if (lines->text.len >= CHUNK_BYTES || lines->text.err < 0)
            err = write_out(lines);
    }
    return err == 0 && lines->text.len > 0 ? write_out(lines) : err;
}

static int fiber_ready(struct lines *lines)
{
    int err = lines->output.writes_on_fiber && !lines->adopted ? weft_fd_adopt(lines->fd) : 0;
    lines->adopted = lines->output.writes_on_fiber && err == 0;
    return err;
}

/* To a pipe there is nothing to be synced but a header that no row has followed. */
static int sync_stream(struct lines *lines)
{
    int err = lines->text.len > 0 ? fiber_ready(lines) : 0;
    if (err == 0 && lines->text.len > 0)
        err = write_out(lines);
    return err < 0 && err != -ECANCELED ? weft_sink_cannot(&lines->output, err, "write") : err;
}

static int lines_sync(struct sink_output *output)
{
    struct lines *lines = lines_of(output);
    if (output->writes_on_fiber)
        return sync_stream(lines);
    if (output->options.sync == WEFT_SINK_SYNC_NEVER)
        return 0;
    int err = fdatasync(lines->fd) < 0 ? -errno : 0;
    if (err == 0 && !lines->name_synced && !lines->at_its_own)
        err = weft_sink_sync_directory_of(output->options.path);
    if (err < 0)
        return weft_sink_cannot(output, err, "have on disk");
    lines->name_synced = true;
    return 0;
}

static int lines_write(struct sink_output *output, struct sink_item *const *items, size_t count)
{
    struct lines *lines = lines_of(output);
    uint64_t before = lines->size_bytes;
    int err = fiber_ready(lines);
    if (err == 0)
        err = write_batch(lines, items, count);
    if (err < 0) {
        if (err != -ECANCELED)
            (void)weft_sink_cannot(output, err, "write");
        if (!output->writes_on_fiber && !lines->at_its_own)
            (void)cut(lines, before); /* if that fails too, the next open for appending does it */
        return err;
    }
    return output->options.sync == WEFT_SINK_SYNC_BATCH ? lines_sync(output) : 0;
}

static int lines_close(struct sink_output *output)
{
    struct lines *lines = lines_of(output);
    int err = 0;
    if (lines->flags >= 0)
        (void)fcntl(lines->fd, F_SETFL, lines->flags);
    if (lines->adopted)
        err = weft_close(lines->fd);
    else if (lines->fd >= 0 && close(lines->fd) < 0)
        err = -errno;
    if (err < 0)
        err = weft_sink_cannot(output, err, "close");
    weft_buffer_deinit(&lines->text);
    free(lines);
    return err;
}

static const struct sink_output_ops lines_ops = {
    .open = lines_open,
    .write = lines_write,
    .sync = lines_sync,
    .close = lines_close,
};

struct sink_output *weft_sink_lines_new(void)
{
    struct lines *lines = calloc(1, sizeof *lines);
    if (!lines)
        return NULL;
    lines->output.ops = &lines_ops;
    lines->fd = lines->flags = -1;
    weft_buffer_init(&lines->text, CHUNK_BYTES + LINE_BYTES);
    return &lines->output;
}
