/* SPDX-License-Identifier: MIT
 * source.c - see source.h. Lines come through a buffer that is as long as the longest line. */
#include <fetch/source.h>

#include <weft/file.h>
#include <weft/io.h>
#include <weft/runtime.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHUNK_BYTES ((size_t)64 << 10)
#define LINE_BYTES  ((size_t)1 << 20)
#define LINE_SHOWN  200u /* of a line that is no request */

struct weft_fetch_source {
    struct weft_fetch_source_options options;
    size_t next; /* of options.urls */
    uint64_t round;
    int fd;        /* -1: none */
    bool owns_fd;  /* not standard input */
    bool is_file;  /* regular: read at offset */
    bool ended;    /* all was read from it */
    bool too_long; /* the rest of a line that is passed over */
    int64_t offset;
    uint64_t read_bytes, all_bytes;
    char *chunk;
    size_t start, end, capacity;
};

/* ---- items -------------------------------------------------------------------------------- */

static void begin_item(const struct weft_buffer *bytes, struct weft_fetch_item *item)
{
    *item = (struct weft_fetch_item){
        .at = bytes->len,
        .method = WEFT_FETCH_ABSENT,
        .tag = WEFT_FETCH_ABSENT,
        .body = WEFT_FETCH_ABSENT,
        .fields = WEFT_FETCH_ABSENT,
        .wrong = WEFT_FETCH_ABSENT,
    };
}

void weft_fetch_source_wrong(struct weft_buffer *bytes, struct weft_fetch_item *item,
                             const char *line, size_t len, const char *why)
{
    bytes->len = item->at;
    begin_item(bytes, item);
    weft_buffer_append(bytes, line, len < LINE_SHOWN ? len : LINE_SHOWN);
    weft_buffer_append_char(bytes, '\0');
    item->wrong = bytes->len - item->at;
    weft_buffer_append_string(bytes, why);
    weft_buffer_append_char(bytes, '\0');
}

static int end_item(const struct weft_buffer *bytes, struct weft_fetch_item *item)
{
    item->len = bytes->len - item->at;
    return bytes->err ? bytes->err : 1;
}

static int take_url(struct weft_buffer *bytes, struct weft_fetch_item *item, const char *url,
                    size_t len)
{
    begin_item(bytes, item);
    if (len > 0 && url[0] == '{') {
        weft_fetch_source_json(bytes, item, url, len);
    } else if (memchr(url, '\0', len)) {
        weft_fetch_source_wrong(bytes, item, url, len, "the line has a NUL in it");
    } else {
        weft_buffer_append(bytes, url, len);
        weft_buffer_append_char(bytes, '\0');
    }
    return end_item(bytes, item);
}

/* ---- lines -------------------------------------------------------------------------------- */

/* Bytes of a pipe or a terminal, which others may share: it stays as blocking as it is, and is only
 * read when there is something. */
static ssize_t read_stream(int fd, void *buffer, size_t len)
{
    for (;;) {
        int err = weft_wait_fd(fd, WEFT_READABLE, WEFT_FOREVER);
        if (err < 0)
            return err;
        struct pollfd ready = {.fd = fd, .events = POLLIN};
        if (poll(&ready, 1, 0) == 0)
            continue;
        ssize_t got = read(fd, buffer, len);
        if (got >= 0)
            return got;
        if (errno != EINTR && errno != EAGAIN)
            return -errno;
    }
}

/* Room behind what is there; more when a line does not fit. */
static int make_room(struct weft_fetch_source *source)
{
    size_t len = source->end - source->start;
    if (source->start > 0) {
        memmove(source->chunk, source->chunk + source->start, len);
        source->start = 0;
        source->end = len;
    }
    if (source->capacity - len >= CHUNK_BYTES / 2)
        return 0;
    size_t capacity = source->capacity ? source->capacity * 2 : CHUNK_BYTES;
    char *chunk = realloc(source->chunk, capacity);
    if (!chunk)
        return -ENOMEM;
    source->chunk = chunk;
    source->capacity = capacity;
    return 0;
}

/* Returns 1: there is more; 0: the end. */
static int read_more(struct weft_fetch_source *source)
{
    if (source->fd < 0 || source->ended)
        return 0;
    int err = make_room(source);
    if (err)
        return err;
    size_t room = source->capacity - source->end;
    ssize_t len = source->is_file ? weft_file_read(source->fd, source->chunk + source->end, room,
                                                   source->offset)
                                  : read_stream(source->fd, source->chunk + source->end, room);
    if (len < 0)
        return (int)len;
    source->ended = len == 0;
    source->offset += len;
    source->end += (size_t)len;
    return len > 0;
}

static size_t line_max(const struct weft_fetch_source *source)
{
    return source->options.line_bytes_max ? source->options.line_bytes_max : LINE_BYTES;
}

/* The next line, without its end; borrowed until the next call.
 * Returns 1; 2: it is too long, and this is its beginning; 0: there is none; negative */
static int read_line(struct weft_fetch_source *source, const char **ret_line, size_t *ret_len)
{
    size_t looked = 0;
    for (;;) {
        char *line = source->chunk + source->start;
        size_t len = source->end - source->start;
        char *newline = len > looked ? memchr(line + looked, '\n', len - looked) : NULL;
        bool is_last = source->ended && !newline && len > 0;
        if (newline || is_last) {
            size_t used = newline ? (size_t)(newline - line) + 1 : len;
            size_t line_len = newline ? used - 1 : len;
            source->start += used;
            source->read_bytes += used;
            *ret_line = line;
            *ret_len = line_len > 0 && line[line_len - 1] == '\r' ? line_len - 1 : line_len;
            if (!source->too_long)
                return line_len > line_max(source) ? 2 : 1;
            source->too_long = false; /* the end of one that was told of already */
            looked = 0;
            continue;
        }
        if (len > line_max(source)) {
            bool told = source->too_long;
            source->too_long = true;
            source->start = source->end;
            source->read_bytes += len;
            *ret_line = line;
            *ret_len = len;
            looked = 0;
            if (!told)
                return 2;
            continue;
        }
        looked = len;
        int more = read_more(source);
        if (more < 0)
            return more;
        if (more == 0 && source->start == source->end)
            return 0;
    }
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

int weft_fetch_source_next(struct weft_fetch_source *source, struct weft_buffer *bytes,
                           struct weft_fetch_item *ret_item)
{
    const struct weft_fetch_source_options *options = &source->options;
    const char *line;
    size_t len;
    int kind;
    if (source->next == options->urls_count && source->round + 1 < options->repeat) {
        source->round++;
        source->next = 0;
    }
    if (source->next < options->urls_count) {
        const char *url = options->urls[source->next++];
        return take_url(bytes, ret_item, url, strlen(url));
    }
    while ((kind = read_line(source, &line, &len)) > 0) {
        while (len > 0 && is_blank(*line)) {
            line++;
            len--;
        }
        while (len > 0 && is_blank(line[len - 1]))
            len--;
        if (kind == 2) {
            begin_item(bytes, ret_item);
            weft_fetch_source_wrong(bytes, ret_item, line, len, "the line is too long");
            return end_item(bytes, ret_item);
        }
        if (len > 0 && *line != '#')
            return take_url(bytes, ret_item, line, len);
    }
    return kind;
}

bool weft_fetch_source_ready(const struct weft_fetch_source *source)
{
    size_t len = source->end - source->start;
    return source->fd < 0 || source->is_file || source->ended ||
           memchr(source->chunk + source->start, '\n', len);
}

/* ---- open and close ----------------------------------------------------------------------- */

static int open_path(struct weft_fetch_source *source, const char *path)
{
    struct stat status;
    bool standard = strcmp(path, "-") == 0;
    int fd = standard ? STDIN_FILENO : weft_file_open(path, O_RDONLY, 0);
    if (fd < 0)
        return fd;
    source->fd = fd;
    source->owns_fd = !standard;
    if (fstat(fd, &status) != 0)
        return -errno;
    if (S_ISDIR(status.st_mode))
        return -EISDIR;
    source->is_file = S_ISREG(status.st_mode);
    if (!source->is_file)
        return 0;
    off_t at = lseek(fd, 0, SEEK_CUR); /* who has opened it for us may have read some of it */
    source->offset = at > 0 ? at : 0;
    if (status.st_size > source->offset)
        source->all_bytes = (uint64_t)(status.st_size - source->offset);
    return 0;
}

int weft_fetch_source_open(struct weft_fetch_source **ret_source,
                           const struct weft_fetch_source_options *options)
{
    if (weft_worker_index() < 0)
        return -EPERM;
    if (options->urls_count > 0 && !options->urls)
        return -EINVAL;
    struct weft_fetch_source *source = calloc(1, sizeof *source);
    if (!source)
        return -ENOMEM;
    source->options = *options;
    source->fd = -1;
    int err = make_room(source);
    if (err == 0 && options->path)
        err = open_path(source, options->path);
    if (err) {
        weft_fetch_source_close(source);
        return err;
    }
    *ret_source = source;
    return 0;
}

void weft_fetch_source_close(struct weft_fetch_source *source)
{
    if (!source)
        return;
    if (source->fd >= 0 && source->owns_fd)
        (void)weft_close(source->fd);
    else if (source->fd >= 0 && !source->is_file)
        (void)weft_fd_release(source->fd);
    free(source->chunk);
    free(source);
}

const struct weft_fetch_source_options *
weft_fetch_source_options(const struct weft_fetch_source *source)
{
    return &source->options;
}

struct weft_fetch_source_place weft_fetch_source_place(const struct weft_fetch_source *source)
{
    const struct weft_fetch_source_options *options = &source->options;
    uint64_t repeat = options->repeat ? options->repeat : 1;
    return (struct weft_fetch_source_place){
        .read_bytes = source->read_bytes,
        .all_bytes = source->all_bytes,
        .all = options->path ? 0 : options->urls_count * repeat,
    };
}
