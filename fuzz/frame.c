/* SPDX-License-Identifier: MIT
 * frame.c - what a child of children.h may send, and what a child may be sent: no crash, no frame
 * beyond its limits, the same frames however the bytes are cut; a job that is read is written again
 * as it was.
 *
 * The first byte of the input is the longest piece. */
#include <job/frame.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(int holds)
{
    if (!holds)
        abort();
}

static void check_job(const struct weft_frame_reader *reader)
{
    struct weft_frame_job job;
    char again[WEFT_FRAME_JOB_MAX];
    if (weft_frame_read_job(&reader->frame, reader->body, &job) < 0)
        return;
    check(job.input.len <= WEFT_JOB_PAYLOAD_MAX);
    check(job.input.data + job.input.len == reader->body + reader->frame.len);
    ssize_t len = weft_frame_write_job(&job, again);
    check(len > 0 && (size_t)len == reader->frame.len - job.input.len);
    check(memcmp(again, reader->body, (size_t)len) == 0);
}

static void check_frame(const struct weft_frame_reader *reader)
{
    unsigned char head[WEFT_FRAME_HEAD];
    weft_frame_write_head(&reader->frame, head);
    check(memcmp(head, reader->head, sizeof head) == 0);
    check(reader->body[reader->frame.len] == '\0');
    if (reader->frame.kind == WEFT_FRAME_RUN)
        check_job(reader);
}

/* Returns how many bytes the whole frames had. */
static size_t read_stream(const uint8_t *data, size_t size, size_t piece_max)
{
    struct weft_frame_reader reader = {.head_len = 0};
    size_t whole_bytes = 0, at = 0;
    int whole = 0;
    while (whole >= 0 && at < size) {
        char *room;
        size_t piece = weft_frame_room(&reader, &room);
        check(piece > 0);
        piece = piece < piece_max ? piece : piece_max;
        piece = piece < size - at ? piece : size - at;
        memcpy(room, data + at, piece);
        at += piece;
        whole = weft_frame_took(&reader, piece);
        check(whole == 0 || whole == 1 || whole == -EPROTO || whole == -ENOMEM);
        if (whole > 0) {
            check_frame(&reader);
            whole_bytes += WEFT_FRAME_HEAD + reader.frame.len;
            weft_frame_next(&reader);
        }
    }
    weft_frame_next(&reader);
    return whole_bytes;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    size_t piece_max = data[0] ? data[0] : 1;
    check(read_stream(data + 1, size - 1, piece_max) == read_stream(data + 1, size - 1, size));
    return 0;
}
