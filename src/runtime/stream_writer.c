/* SPDX-License-Identifier: MIT
 * stream_writer.c - see weft/stream.h. */
#include <weft/io.h>
#include <weft/stream.h>

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int weft_writer_init(struct weft_writer *writer, int fd, void *buffer, size_t size)
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
    *writer = (struct weft_writer){
        .fd = fd,
        .is_own = own != NULL,
        .buffer = own ? own : buffer,
        .size = size,
    };
    return 0;
}

void weft_writer_deinit(struct weft_writer *writer)
{
    if (writer->is_own)
        free(writer->buffer);
    *writer = (struct weft_writer){.fd = -1};
}

/* What went out leaves the buffer; what did not stays at its front. */
static void drop(struct weft_writer *writer, size_t count)
{
    memmove(writer->buffer, writer->buffer + count, writer->len - count);
    writer->len -= count;
}

int weft_writer_flush(struct weft_writer *writer, int64_t deadline_ns)
{
    size_t written = 0;
    int err = weft_write_all(writer->fd, writer->buffer, writer->len, deadline_ns, &written);
    drop(writer, written);
    return err;
}

/* Buffer and data in one go. */
static int write_through(struct weft_writer *writer, const void *data, size_t len,
                         int64_t deadline_ns, size_t *ret_taken)
{
    struct iovec pieces[2] = {{writer->buffer, writer->len}, {NULL, len}};
    size_t written = 0;
    memcpy(&pieces[1].iov_base, &data, sizeof data); /* writing changes nothing */
    int err = weft_writev_all(writer->fd, pieces, 2, deadline_ns, &written);
    size_t from_buffer = written < writer->len ? written : writer->len;
    drop(writer, from_buffer);
    *ret_taken = written - from_buffer;
    return err;
}

int weft_writer_write(struct weft_writer *writer, const void *data, size_t len, int64_t deadline_ns,
                      size_t *ret_taken)
{
    size_t taken = 0;
    int err = 0;
    if (len > writer->size - writer->len && len >= writer->size)
        err = write_through(writer, data, len, deadline_ns, &taken);
    else if (len > writer->size - writer->len)
        err = weft_writer_flush(writer, deadline_ns);
    if (err == 0 && taken < len) {
        memcpy(writer->buffer + writer->len, data, len);
        writer->len += len;
        taken = len;
    }
    if (ret_taken)
        *ret_taken = taken;
    return err;
}

/* Returns the text's length, which may be more than there was room for. */
__attribute__((format(printf, 2, 0))) static int format_into(struct weft_writer *writer,
                                                             const char *format, va_list args)
{
    va_list again;
    va_copy(again, args);
    int len = vsnprintf(writer->buffer + writer->len, writer->size - writer->len, format, again);
    va_end(again);
    return len;
}

int weft_writer_print(struct weft_writer *writer, int64_t deadline_ns, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int len = format_into(writer, format, args);
    int err = 0;
    if (len < 0)
        err = -EINVAL;
    else if ((size_t)len >= writer->size)
        err = -EMSGSIZE;
    else if ((size_t)len >= writer->size - writer->len) {
        err = weft_writer_flush(writer, deadline_ns);
        if (err == 0)
            len = format_into(writer, format, args);
    }
    va_end(args);
    if (err == 0)
        writer->len += (size_t)len;
    return err;
}
