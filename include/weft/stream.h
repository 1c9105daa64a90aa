/* SPDX-License-Identifier: MIT
 * stream.h - lines, records and formatted text over a descriptor, through a buffer.
 *
 *     struct weft_reader reader;
 *     char *line;
 *     weft_reader_init(&reader, fd, NULL, 0);
 *     while ((err = weft_reader_line(&reader, &line, NULL, weft_now() + WEFT_SEC)) > 0)
 *         puts(line);
 *     weft_reader_deinit(&reader);
 *
 * A reader and a writer may share a descriptor; each belongs to one fiber at a time. Neither closes
 * it. Every call with a deadline suspends and is a checkpoint, unless the buffer alone can answer
 * it; when one fails with -ETIMEDOUT, -EAGAIN (WEFT_NOWAIT) or -ECANCELED, nothing is lost: what
 * came meanwhile stays in the buffer, what did not go out as well. */
#ifndef WEFT_STREAM_H
#define WEFT_STREAM_H

#include <weft/base.h>

#include <sys/types.h>

WEFT_BEGIN_DECLS

#define WEFT_STREAM_BYTES_DEFAULT ((size_t)16384)

/* Fields are private to the library; storage is the caller's. */
struct weft_reader {
    int fd;
    int is_own; /* the buffer is ours to free */
    int ended;  /* the descriptor gave its end */
    char *buffer;
    size_t size, start, end; /* unread bytes lie from start to end */
};

struct weft_writer {
    int fd;
    int is_own;
    char *buffer;
    size_t size, len;
};

/* Make a reader.
 *
 * buffer   the caller's, borrowed until weft_reader_deinit; NULL: one of its own is made
 * size     its length in bytes: no line or peek can be longer; 0 means 16 KiB, without a buffer
 * Returns  0, -EINVAL (a buffer of size 0), -ENOMEM. Never suspends */
WEFT_API int weft_reader_init(struct weft_reader *reader, int fd, void *buffer, size_t size);

/* Never suspends; what was not read is gone. */
WEFT_API void weft_reader_deinit(struct weft_reader *reader);

/* Read up to and with a delimiter.
 *
 * ret_data  the bytes, delimiter included unless the end came first; borrowed until the next call
 *           for this reader
 * ret_len   how many
 * Returns   1; 0 at the end, when nothing is left; -EMSGSIZE: the buffer is full without one, and
 *           weft_reader_read can still take what is there; what weft_read answers */
WEFT_API int weft_reader_until(struct weft_reader *reader, char delimiter, char **ret_data,
                               size_t *ret_len, int64_t deadline_ns);

/* Read a line, which is given without its "\n" or "\r\n" and with a final NUL in their place. The
 * last one may lack its end, and then needs a byte more. ret_len may be NULL; a line may contain
 * NULs. Returns like weft_reader_until, and *ret_line is borrowed alike. */
WEFT_API int weft_reader_line(struct weft_reader *reader, char **ret_line, size_t *ret_len,
                              int64_t deadline_ns);

/* Read exactly len bytes, however many.
 * ret_read  NULL, or set in every case to the bytes that were taken
 * Returns   0; -ENODATA (the end came first), or the error that ended it */
WEFT_API int weft_reader_exact(struct weft_reader *reader, void *target, size_t len,
                               int64_t deadline_ns, size_t *ret_read);

/* Read what is there, at most len bytes; waits only while there is nothing. Returns like weft_read.
 */
WEFT_API ssize_t weft_reader_read(struct weft_reader *reader, void *target, size_t len,
                                  int64_t deadline_ns);

/* Look at the next len bytes without taking them.
 * ret_data  borrowed until the next call for this reader
 * Returns   0; -ENODATA (the end comes before), -EMSGSIZE (more than the buffer's size), ... */
WEFT_API int weft_reader_peek(struct weft_reader *reader, size_t len, const char **ret_data,
                              int64_t deadline_ns);

/* Make a writer; like weft_reader_init. */
WEFT_API int weft_writer_init(struct weft_writer *writer, int fd, void *buffer, size_t size);

/* Never suspends; what was not flushed is gone. */
WEFT_API void weft_writer_deinit(struct weft_writer *writer);

/* Take bytes for writing. Those that do not fit, and those before them, go out first; many at once
 * go out without a copy.
 * Returns  0, with all of them taken; else an error and none of them taken, unless they are more
 *          than fit and have begun to go out: then *ret_taken, unless NULL, tells how many are */
WEFT_API int weft_writer_write(struct weft_writer *writer, const void *data, size_t len,
                               int64_t deadline_ns, size_t *ret_taken);

/* Take formatted text, shorter than the buffer; no argument may point into the writer's buffer.
 * Returns  0; -EMSGSIZE (as long as the buffer, or longer), -EINVAL (format), what weft_write
 * answers; on an error nothing of the text was taken */
WEFT_API int weft_writer_print(struct weft_writer *writer, int64_t deadline_ns, const char *format,
                               ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 3, 4)))
#endif
    ;

/* Write out everything taken so far. Returns 0, or an error with the rest still held. */
WEFT_API int weft_writer_flush(struct weft_writer *writer, int64_t deadline_ns);

WEFT_END_DECLS

#endif
