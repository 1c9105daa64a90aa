/* SPDX-License-Identifier: MIT
 * stream_reader.c - see weft/stream.h. Unread bytes move to the front only when room is needed. */
#include <weft/io.h>
#include <weft/stream.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int weft_reader_init(struct weft_reader *reader, int fd, void *buffer, size_t size)
{
    char *own = NULL;
    if (buffer && size == 0)
        return -EINVAL;
    if (size == 0)
        size = WEFT_STREAM_BYTES_DEFAULT;
    if (!buffer) {
        own = malloc(size);
        if (!own)
            return -ENOMEM;
    }
    *reader = (struct weft_reader){
        .fd = fd,
        .is_own = own != NULL,
        .buffer = own ? own : buffer,
        .size = size,
    };
    return 0;
}

void weft_reader_deinit(struct weft_reader *reader)
{
    if (reader->is_own)
        free(reader->buffer);
    *reader = (struct weft_reader){.fd = -1};
}

static size_t held(const struct weft_reader *reader)
{
    return reader->end - reader->start;
}

static void make_room(struct weft_reader *reader)
{
    if (reader->start == 0)
        return;
    memmove(reader->buffer, reader->buffer + reader->start, held(reader));
    reader->end -= reader->start;
    reader->start = 0;
}

/* Get more into the buffer. Returns 1; 0 at the end; -EMSGSIZE: there is no room; errors. */
static int fill(struct weft_reader *reader, int64_t deadline_ns)
{
    if (reader->ended)
        return 0;
    if (held(reader) == 0)
        reader->start = reader->end = 0;
    if (reader->end == reader->size)
        make_room(reader);
    if (reader->end == reader->size)
        return -EMSGSIZE;
    ssize_t count = weft_read(reader->fd, reader->buffer + reader->end, reader->size - reader->end,
                              deadline_ns);
    if (count < 0)
        return (int)count;
    reader->ended = count == 0;
    reader->end += (size_t)count;
    return count > 0;
}

static void take(struct weft_reader *reader, size_t len, char **ret_data, size_t *ret_len)
{
    *ret_data = reader->buffer + reader->start;
    *ret_len = len;
    reader->start += len;
}

int weft_reader_until(struct weft_reader *reader, char delimiter, char **ret_data, size_t *ret_len,
                      int64_t deadline_ns)
{
    size_t seen = 0;
    for (;;) {
        const char *from = reader->buffer + reader->start;
        const char *found = memchr(from + seen, delimiter, held(reader) - seen);
        if (found) {
            take(reader, (size_t)(found - from) + 1, ret_data, ret_len);
            return 1;
        }
        seen = held(reader);
        int more = fill(reader, deadline_ns);
        if (more == 0 && seen > 0) {
            take(reader, seen, ret_data, ret_len);
            return 1;
        }
        if (more <= 0)
            return more;
    }
}

int weft_reader_line(struct weft_reader *reader, char **ret_line, size_t *ret_len,
                     int64_t deadline_ns)
{
    char *line;
    size_t len;
    int more = weft_reader_until(reader, '\n', &line, &len, deadline_ns);
    if (more <= 0)
        return more;
    if (line[len - 1] == '\n') {
        len--;
        if (len > 0 && line[len - 1] == '\r')
            len--;
    }
    line[len] = '\0'; /* a last line without its end: the read that found the end had room there */
    *ret_line = line;
    if (ret_len)
        *ret_len = len;
    return 1;
}

ssize_t weft_reader_read(struct weft_reader *reader, void *target, size_t len, int64_t deadline_ns)
{
    if (held(reader) == 0 && !reader->ended && len >= reader->size)
        return weft_read(reader->fd, target, len, deadline_ns);
    if (held(reader) == 0) {
        int more = fill(reader, deadline_ns);
        if (more <= 0)
            return more;
    }
    size_t count = held(reader) < len ? held(reader) : len;
    memcpy(target, reader->buffer + reader->start, count);
    reader->start += count;
    return (ssize_t)count;
}

int weft_reader_exact(struct weft_reader *reader, void *target, size_t len, int64_t deadline_ns,
                      size_t *ret_read)
{
    char *bytes = target;
    size_t done = 0;
    int err = 0;
    while (done < len && err == 0) {
        ssize_t count = weft_reader_read(reader, bytes + done, len - done, deadline_ns);
        if (count > 0)
            done += (size_t)count;
        else
            err = count < 0 ? (int)count : -ENODATA;
    }
    if (ret_read)
        *ret_read = done;
    return err;
}

int weft_reader_peek(struct weft_reader *reader, size_t len, const char **ret_data,
                     int64_t deadline_ns)
{
    if (len > reader->size)
        return -EMSGSIZE;
    while (held(reader) < len) {
        if (len > reader->size - reader->start)
            make_room(reader);
        int more = fill(reader, deadline_ns);
        if (more <= 0)
            return more < 0 ? more : -ENODATA;
    }
    *ret_data = reader->buffer + reader->start;
    return 0;
}
