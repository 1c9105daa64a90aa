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

/* What was read is written again as it was. */
static void check_again(int err, struct weft_buffer *again, const struct weft_frame_reader *reader)
{
    check(err == 0);
    check(again->len == WEFT_FRAME_HEAD + reader->frame.len);
    check(memcmp(again->data, reader->head, WEFT_FRAME_HEAD) == 0);
    check(memcmp(again->data + WEFT_FRAME_HEAD, reader->body, reader->frame.len) == 0);
    weft_buffer_deinit(again);
}

static void check_run(const struct weft_frame_reader *reader)
{
    struct weft_execution execution;
    struct weft_job_input *inputs;
    struct weft_buffer again;
    if (weft_frame_read_run(&reader->frame, reader->body, &execution, &inputs) < 0)
        return;
    check(execution.input.len <= WEFT_JOB_PAYLOAD_MAX);
    check(execution.input.data + execution.input.len == reader->body + reader->frame.len);
    check_again(weft_frame_write_run(&again, &execution), &again, reader);
    free(inputs);
}

static void check_follow(const struct weft_frame_reader *reader)
{
    struct weft_attempt_job job;
    struct weft_buffer again;
    if (weft_frame_read_follow(&reader->frame, reader->body, &job) == 0)
        check_again(weft_frame_write_follow(&again, &job), &again, reader);
}

static void check_frame(const struct weft_frame_reader *reader)
{
    unsigned char head[WEFT_FRAME_HEAD];
    weft_frame_write_head(&reader->frame, head);
    check(memcmp(head, reader->head, sizeof head) == 0);
    check(reader->body[reader->frame.len] == '\0');
    if (reader->frame.kind == WEFT_FRAME_RUN)
        check_run(reader);
    else if (reader->frame.kind == WEFT_FRAME_FOLLOW)
        check_follow(reader);
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
